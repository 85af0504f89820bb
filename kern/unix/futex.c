/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex.c - fast user-space mutexes: sleeping on a word of user memory.
 *
 *   key: private memory  (map, address)      the same for FUTEX_PRIVATE and
 *        shared memory   (object, offset)    for a word that happens not to
 *                                            be in shared memory
 *
 * WAIT queues itself first and then looks at the word: a waker changes the
 * word first and then looks at the queue, so one of them sees the other, and
 * the word can be read without a lock (reading it may fault, and sleep).
 * What WAIT finds changed it leaves by itself, unless it was woken already:
 * then that wakeup was for it, and it says 0.
 *
 * CMP_REQUEUE reads the word too before it takes the lock; who queued after
 * that is not the waiter that it meant, so it looks again if anybody has.
 *
 * Locks: futex_lock, a spin lock of rank SIGNAL, for all queues; wakeups are
 * made with it, so a waiter's record (on its stack) lives long enough.
 */
#include "proc_impl.h"

#define FUTEX_WAIT              0
#define FUTEX_WAKE              1
#define FUTEX_REQUEUE           3
#define FUTEX_CMP_REQUEUE       4
#define FUTEX_WAKE_OP           5
#define FUTEX_WAIT_BITSET       9
#define FUTEX_WAKE_BITSET       10
#define FUTEX_PRIVATE_FLAG      128
#define FUTEX_CLOCK_REALTIME    256
#define FUTEX_COMMANDS          0x7f
#define FUTEX_BITSET_ANY        0xffffffffu

#define FUTEX_WAITERS           0x80000000u
#define FUTEX_OWNER_DIED        0x40000000u
#define FUTEX_TID_MASK          0x3fffffffu
#define FUTEX_ROBUST_LIMIT      2048u

#define CLOCK_REALTIME          0
#define CLOCK_MONOTONIC         1

#define FUTEX_BUCKETS           256u

struct futex_key {
    const void *space;          /* a map or an object: identity only */
    uint64_t offset;
};
struct futex_waiter {
    struct futex_waiter *next, *prev;
    struct futex_key key;
    uint32_t bits;
    _Atomic uint32_t woken;
};
struct futex_bucket {
    struct futex_waiter *head, *tail;   /* who has waited longest is first */
    uint64_t queued;                    /* how often anybody queued here */
};

static struct vm_spin futex_lock;
static struct futex_bucket futex_buckets[FUTEX_BUCKETS];

void
futex_init(void)
{
    futex_lock = (struct vm_spin)VM_SPIN_INIT(KERN_RANK_SIGNAL);
}

static inline struct futex_bucket *
futex_bucket(const struct futex_key *k)
{
    uint64_t h = ((uint64_t)(uintptr_t)k->space >> 4) + (k->offset >> 2);

    h *= UINT64_C(0x9e3779b97f4a7c15);
    return &futex_buckets[h >> 56];
}

static inline bool
futex_same(const struct futex_key *x, const struct futex_key *y)
{
    return x->space == y->space && x->offset == y->offset;
}

/*
 * Do others see what is there?  What is inherited as a copy is nobody else's;
 * what is not inherited (MADV_DONTFORK) may be.
 */
static bool
futex_is_shared(struct vm_map *map, uint64_t va, const struct vm_lookup *l)
{
    enum vm_inherit inherit = VM_ATTR_INHERIT(l->attr);
    struct vm_region r;
    vaddr_t at = va;

    if (inherit != VM_INHERIT_NONE) {
        return inherit == VM_INHERIT_SHARE;
    }
    return vm_map_region(map, &at, &r) && at <= va && r.shared;
}

/* What the word at va is called; -EINVAL, -EFAULT. */
static int64_t
futex_key(uint64_t va, bool private, struct futex_key *key)
{
    struct vm_map *map = thread_current()->map;
    struct vm_lookup l;

    if ((va & 3) != 0) {
        return -UNIX_EINVAL;
    }
    key->space = map;
    key->offset = va;
    if (private) {
        return 0;
    }
    if (vm_map_lookup(map, va, &l) != VM_OK) {
        return -UNIX_EFAULT;
    }
    if (!futex_is_shared(map, va, &l)) {
        return 0;
    }
    if (l.object == NULL || (l.attr & VM_ATTR_NEEDS_COPY) != 0) {
        /* It gets now the object that it is going to have. */
        if (vm_map_prepare(map, va, true, &l) != VM_OK) {
            return -UNIX_EFAULT;
        }
    }
    key->space = l.object;
    key->offset = (l.pgno << vm_page_shift) | (va & VM_PAGE_MASK);
    return 0;
}

/* ---- queues: futex_lock held ------------------------------------------ */

static void
futex_put(struct futex_waiter *w)
{
    struct futex_bucket *b = futex_bucket(&w->key);

    w->next = NULL;
    w->prev = b->tail;
    if (b->tail != NULL) {
        b->tail->next = w;
    } else {
        b->head = w;
    }
    b->tail = w;
    b->queued++;
}

static void
futex_remove(struct futex_waiter *w)
{
    struct futex_bucket *b = futex_bucket(&w->key);

    if (w->prev != NULL) {
        w->prev->next = w->next;
    } else {
        b->head = w->next;
    }
    if (w->next != NULL) {
        w->next->prev = w->prev;
    } else {
        b->tail = w->prev;
    }
}

/* w, or the first behind it that waits for key and one of bits; or NULL. */
static struct futex_waiter *
futex_next(struct futex_waiter *w, const struct futex_key *key,
    uint32_t bits)
{
    while (w != NULL && (!futex_same(&w->key, key) ||
        (w->bits & bits) == 0)) {
        w = w->next;
    }
    return w;
}

static int64_t
futex_wake_locked(const struct futex_key *key, uint64_t n, uint32_t bits)
{
    struct futex_waiter *w = futex_bucket(key)->head, *next;
    uint64_t woken = 0;

    while (woken < n && (w = futex_next(w, key, bits)) != NULL) {
        next = w->next;
        futex_remove(w);
        vm_set(&w->woken, 1);
        kern_wake(&w->woken);
        woken++;
        w = next;
    }
    return (int64_t)woken;
}

/* ---- the operations --------------------------------------------------- */

static int64_t
futex_wake(uint64_t va, bool private, uint64_t n, uint32_t bits)
{
    struct futex_key key;
    int64_t result;

    if (bits == 0) {
        return -UNIX_EINVAL;
    }
    result = futex_key(va, private, &key);
    if (result == 0) {
        vm_spin_lock(&futex_lock);
        result = futex_wake_locked(&key, n, bits);
        vm_spin_unlock(&futex_lock);
    }
    return result;
}

/* Out of the queue; true if it was woken before. */
static bool
futex_leave(struct futex_waiter *w)
{
    bool woken;

    vm_spin_lock(&futex_lock);
    woken = vm_get(&w->woken) != 0;
    if (!woken) {
        futex_remove(w);
    }
    vm_spin_unlock(&futex_lock);
    return woken;
}

static int64_t
futex_wait(uint64_t va, bool private, uint32_t value, uint64_t deadline,
    uint32_t bits)
{
    struct futex_waiter w = { .bits = bits };
    int64_t result;
    uint32_t seen;
    int error = VM_OK;

    if (bits == 0) {
        return -UNIX_EINVAL;
    }
    result = futex_key(va, private, &w.key);
    if (result != 0) {
        return result;
    }
    vm_spin_lock(&futex_lock);
    futex_put(&w);
    vm_spin_unlock(&futex_lock);
    if (md_user_load32(va, &seen) != VM_OK) {
        result = -UNIX_EFAULT;
    } else if (seen != value) {
        result = -UNIX_EAGAIN;
    }
    while (result == 0 && error == VM_OK && vm_get(&w.woken) == 0) {
        error = thread_wait(&w.woken, 0, true, deadline);
    }
    if (futex_leave(&w)) {
        return 0;
    }
    if (result != 0) {
        return result;
    }
    if (error == VM_E_BUSY) {
        return -UNIX_ETIMEDOUT;
    }
    /* With a deadline Linux does not start again after a handler. */
    return deadline == 0 ? -UNIX_RESTART : -UNIX_EINTR;
}

/* futex_lock held: at most n waiters of from go over to to. */
static int64_t
futex_move_locked(const struct futex_key *from, const struct futex_key *to,
    uint64_t n)
{
    struct futex_waiter *w = futex_bucket(from)->head, *next;
    uint64_t moved = 0;

    if (futex_same(from, to)) {
        return 0;
    }
    while (moved < n &&
        (w = futex_next(w, from, FUTEX_BITSET_ANY)) != NULL) {
        next = w->next;
        futex_remove(w);
        w->key = *to;
        futex_put(w);
        moved++;
        w = next;
    }
    return (int64_t)moved;
}

static int64_t
futex_requeue(const uint64_t *a, bool private, bool compare)
{
    uint64_t nwake = (uint32_t)a[2], nmove = (uint32_t)a[3];
    struct futex_key from, to;
    const uint64_t *at;
    uint64_t queued;
    uint32_t seen;
    int64_t moved, result = futex_key(a[0], private, &from);

    if (result == 0) {
        result = futex_key(a[4], private, &to);
    }
    if (result != 0) {
        return result;
    }
    if ((int32_t)a[2] < 0 || (int32_t)a[3] < 0) {
        return -UNIX_EINVAL;
    }
    at = &futex_bucket(&from)->queued;
    for (;;) {
        vm_spin_lock(&futex_lock);
        queued = *at;
        vm_spin_unlock(&futex_lock);
        if (compare && md_user_load32(a[0], &seen) != VM_OK) {
            return -UNIX_EFAULT;
        }
        if (compare && seen != (uint32_t)a[5]) {
            return -UNIX_EAGAIN;
        }
        vm_spin_lock(&futex_lock);
        if (!compare || queued == *at) {
            break;
        }
        vm_spin_unlock(&futex_lock);
        if (proc_signal_pending()) {
            return -UNIX_RESTART;
        }
    }
    result = futex_wake_locked(&from, nwake, FUTEX_BITSET_ANY);
    moved = futex_move_locked(&from, &to, nmove);
    /* Who moved counts for CMP_REQUEUE only. */
    result += compare ? moved : 0;
    vm_spin_unlock(&futex_lock);
    return result;
}

/* What FUTEX_WAKE_OP makes of the second word; false: unknown. */
static bool
futex_op(uint32_t op, uint32_t old, uint32_t *new, bool *wake)
{
    int32_t arg = (int32_t)(op << 8) >> 20, cmparg = (int32_t)(op << 20) >> 20;
    int32_t was = (int32_t)old;

    if ((op & 0x80000000u) != 0) {
        arg = (int32_t)(1u << (arg & 31));
    }
    switch (op >> 28 & 7) {
    case 0: *new = (uint32_t)arg; break;
    case 1: *new = old + (uint32_t)arg; break;
    case 2: *new = old | (uint32_t)arg; break;
    case 3: *new = old & ~(uint32_t)arg; break;
    case 4: *new = old ^ (uint32_t)arg; break;
    default: return false;
    }
    switch (op >> 24 & 15) {
    case 0: *wake = was == cmparg; break;
    case 1: *wake = was != cmparg; break;
    case 2: *wake = was < cmparg; break;
    case 3: *wake = was <= cmparg; break;
    case 4: *wake = was > cmparg; break;
    case 5: *wake = was >= cmparg; break;
    default: return false;
    }
    return true;
}

static int64_t
futex_wake_op(const uint64_t *a, bool private)
{
    struct futex_key one, two;
    uint32_t old, new, seen;
    bool wake = false;
    int64_t result = futex_key(a[0], private, &one);

    if (result == 0) {
        result = futex_key(a[4], private, &two);
    }
    if (result != 0) {
        return result;
    }
    if (md_user_load32(a[4], &seen) != VM_OK) {
        return -UNIX_EFAULT;
    }
    do {
        old = seen;
        if (!futex_op((uint32_t)a[5], old, &new, &wake)) {
            return -UNIX_ENOSYS;
        }
        if (md_user_cas32(a[4], old, new, &seen) != VM_OK) {
            return -UNIX_EFAULT;
        }
    } while (seen != old);
    vm_spin_lock(&futex_lock);
    result = futex_wake_locked(&one, (uint32_t)a[2], FUTEX_BITSET_ANY);
    if (wake) {
        result += futex_wake_locked(&two, (uint32_t)a[3], FUTEX_BITSET_ANY);
    }
    vm_spin_unlock(&futex_lock);
    return result;
}

/* WAIT's time is relative, WAIT_BITSET's absolute. */
static int64_t
futex_wait_call(const uint64_t *a, int command, bool realtime, bool private)
{
    uint64_t ns, deadline = 0;

    if (a[3] != 0) {
        int64_t error = time_copyin(a[3], &ns);

        if (error != 0) {
            return error;
        }
        deadline = command == FUTEX_WAIT ? time_relative(ns) :
            time_absolute(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, ns);
    }
    return futex_wait(a[0], private, (uint32_t)a[2], deadline,
        command == FUTEX_WAIT ? FUTEX_BITSET_ANY : (uint32_t)a[5]);
}

int64_t
sys_futex(const uint64_t *a)
{
    int op = (int)a[1], command = op & FUTEX_COMMANDS;
    bool private = (op & FUTEX_PRIVATE_FLAG) != 0;
    bool realtime = (op & FUTEX_CLOCK_REALTIME) != 0;
    uint64_t n = (int32_t)a[2] < 1 ? 1 : (uint32_t)a[2];

    if (realtime && command != FUTEX_WAIT_BITSET) {
        return -UNIX_ENOSYS;
    }
    switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        return futex_wait_call(a, command, realtime, private);
    case FUTEX_WAKE:
        return futex_wake(a[0], private, n, FUTEX_BITSET_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(a[0], private, n, (uint32_t)a[5]);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(a, private, command == FUTEX_CMP_REQUEUE);
    case FUTEX_WAKE_OP:
        return futex_wake_op(a, private);
    default:
        return -UNIX_ENOSYS;
    }
}

/* ---- the end of a thread ---------------------------------------------- */

/* A lock that its dead owner held: mark it, wake one that waits. */
static bool
futex_owner_died(uint64_t va, int tid)
{
    uint32_t seen, old;

    if ((va & 3) != 0 || md_user_load32(va, &seen) != VM_OK) {
        return false;
    }
    do {
        old = seen;
        if ((old & FUTEX_TID_MASK) != (uint32_t)tid) {
            return true;
        }
        if (md_user_cas32(va, old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED,
            &seen) != VM_OK) {
            return false;
        }
    } while (seen != old);
    if ((old & FUTEX_WAITERS) != 0) {
        (void)futex_wake(va, false, 1, FUTEX_BITSET_ANY);
    }
    return true;
}

/* struct robust_list_head: first entry, offset of the word, pending. */
static void
futex_robust(const struct unix_thread *ut)
{
    uint64_t head[3], at;

    if (md_copyin(head, ut->robust_list, sizeof(head)) != VM_OK) {
        return;
    }
    at = head[0];
    for (unsigned n = 0; n < FUTEX_ROBUST_LIMIT &&
        (at & ~1ull) != ut->robust_list; n++) {
        uint64_t next;

        if (md_copyin(&next, at & ~1ull, sizeof(next)) != VM_OK ||
            ((at & ~1ull) != head[2] &&
            !futex_owner_died((at & ~1ull) + head[1], ut->tid))) {
            return;
        }
        at = next;
    }
    if (head[2] != 0) {
        (void)futex_owner_died((head[2] & ~1ull) + head[1], ut->tid);
    }
}

void
futex_thread_exit(struct unix_thread *ut)
{
    static const uint32_t zero;

    if (ut->robust_list != 0) {
        futex_robust(ut);
        ut->robust_list = 0;
    }
    if (ut->clear_tid != 0) {
        uint64_t va = ut->clear_tid;

        ut->clear_tid = 0;
        /* Nobody else could see it: leave the page alone. */
        if (thread_current()->map->ref_count > 1 ||
            proc_current()->nthreads > 1) {
            if (md_copyout(va, &zero, sizeof(zero)) == VM_OK) {
                (void)futex_wake(va, false, 1, FUTEX_BITSET_ANY);
            }
        }
    }
}

int64_t
sys_set_robust_list(const uint64_t *a)
{
    if (a[1] != 3 * sizeof(uint64_t)) {
        return -UNIX_EINVAL;
    }
    unix_thread(thread_current())->robust_list = a[0];
    return 0;
}

int64_t
sys_get_robust_list(const uint64_t *a)
{
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t size = 3 * sizeof(uint64_t);
    int64_t error;

    if ((int)a[0] != 0 && (int)a[0] != ut->tid) {
        return -UNIX_ESRCH;
    }
    error = unix_copyout(a[1], &ut->robust_list, sizeof(ut->robust_list));
    return error != 0 ? error : unix_copyout(a[2], &size, sizeof(size));
}
