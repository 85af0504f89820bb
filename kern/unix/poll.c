/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll.c - poll(2), ppoll(2), select(2), pselect6(2).
 *
 * All who poll sleep on one word, poll_word, and every change of what a
 * file's poll() would say moves it while somebody polls (poll_event()).
 *
 *   poller                          whoever changes a file
 *   poll_waiters++                  the change, under the file's lock
 *   fence                           fence
 *   note poll_word                  poll_waiters != 0?  then
 *   look at the files                   poll_word++, wake all
 *   sleep if poll_word is as noted
 *
 * Of the two who come at the same time at least one sees the other, so no
 * wakeup is lost.  That all pollers wake is the price for files that need no
 * lists of pollers and for changes that cost two instructions when nobody
 * polls.
 */
#include "file_impl.h"
#include "proc_impl.h"

#define POLL_FEW        8u
#define POLL_FD_MAX     1024u
#define POLL_ALWAYS     (POLL_ERR | POLL_HUP | POLL_NVAL)
#define NS              1000000000

struct poll_fd {
    int32_t fd;
    uint16_t events, revents;
};

_Atomic uint32_t poll_waiters, poll_word;

void
poll_wake(void)
{
    atomic_fetch_add_explicit(&poll_word, 1, memory_order_relaxed);
    thread_wake(&poll_word, ~0u);
}

void
poll_event_now(void)
{
    poll_event();
}

static uint32_t
poll_one(const struct poll_fd *p)
{
    struct file *f;
    uint32_t mask;

    if (p->fd < 0) {
        return 0;
    }
    if (file_get(p->fd, &f) != 0) {
        return POLL_NVAL;
    }
    mask = (vm_get(&f->flags) & UNIX_O_PATH) != 0 ? POLL_NVAL :
        f->ops->poll == NULL ? POLL_IN | POLL_OUT : f->ops->poll(f);
    file_unref(f);
    return mask & (p->events | POLL_ALWAYS);
}

/* Look at all of them once; how many have something to say. */
static int64_t
poll_look(struct poll_fd *p, unsigned n)
{
    int64_t ready = 0;

    for (unsigned i = 0; i < n; i++) {
        p[i].revents = (uint16_t)poll_one(&p[i]);
        ready += p[i].revents != 0;
    }
    return ready;
}

/* deadline as thread_wait() has it; `at_once`: do not wait. */
static int64_t
poll_run(struct poll_fd *p, unsigned n, uint64_t deadline, bool at_once)
{
    int64_t ready = poll_look(p, n);
    int error = VM_OK;

    if (ready != 0 || at_once) {
        return ready;
    }
    atomic_fetch_add_explicit(&poll_waiters, 1, memory_order_seq_cst);
    while (ready == 0 && error == VM_OK) {
        uint32_t seen = vm_get(&poll_word);

        atomic_thread_fence(memory_order_seq_cst);
        ready = poll_look(p, n);
        if (ready == 0) {
            error = thread_wait(&poll_word, seen, true, deadline);
        }
    }
    atomic_fetch_sub_explicit(&poll_waiters, 1, memory_order_relaxed);
    /* EINTR even with SA_RESTART: signal(7). */
    return ready != 0 ? ready : error == VM_E_INTR ? -UNIX_EINTR : 0;
}

/* ns from now, to a deadline; far away is for ever. */
static uint64_t
poll_deadline(uint64_t sec, uint64_t nsec)
{
    uint64_t now = kern_now(), ns;

    if (__builtin_mul_overflow(sec, (uint64_t)NS, &ns) ||
        __builtin_add_overflow(ns, nsec, &ns) ||
        __builtin_add_overflow(ns, now, &ns)) {
        return 0;
    }
    return ns;
}

static int64_t
poll_timespec(uint64_t from, uint64_t *deadline, bool *at_once)
{
    struct unix_timespec t;

    *deadline = 0;
    *at_once = false;
    if (from == 0) {
        return 0;
    }
    if (unix_copyin(&t, from, sizeof(t)) != 0) {
        return -UNIX_EFAULT;
    }
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= NS) {
        return -UNIX_EINVAL;
    }
    *at_once = t.sec == 0 && t.nsec == 0;
    *deadline = poll_deadline((uint64_t)t.sec, (uint64_t)t.nsec);
    return 0;
}

/* What is left of the time goes back, as Linux does; errors are ignored. */
static void
poll_time_left(uint64_t to, uint64_t deadline, bool at_once)
{
    uint64_t now = kern_now(), left = deadline > now ? deadline - now : 0;
    struct unix_timespec t = { (int64_t)(left / NS), (int64_t)(left % NS) };

    if (to != 0 && deadline != 0 && !at_once) {
        (void)unix_copyout(to, &t, sizeof(t));
    }
}

static int64_t
poll_user(uint64_t base, uint64_t n, uint64_t deadline, bool at_once)
{
    struct poll_fd few[POLL_FEW], *p = few;
    size_t size = (size_t)n * sizeof(*p);
    int64_t result;

    if (n > POLL_FD_MAX) {
        return -UNIX_EINVAL;
    }
    if (n > POLL_FEW) {
        p = kern_alloc(size);
        if (p == NULL) {
            return -UNIX_ENOMEM;
        }
    }
    result = unix_copyin(p, base, size);
    if (result == 0) {
        result = poll_run(p, (unsigned)n, deadline, at_once);
        if (result >= 0 && unix_copyout(base, p, size) != 0) {
            result = -UNIX_EFAULT;
        }
    }
    if (p != few) {
        kern_free(p, size);
    }
    return result;
}

int64_t
sys_poll(const uint64_t *a)
{
    int32_t ms = (int32_t)a[2];

    return poll_user(a[0], (uint32_t)a[1], ms < 0 ? 0 :
        poll_deadline((uint64_t)ms / 1000, (uint64_t)ms % 1000 * 1000000),
        ms == 0);
}

/* The mask of signals for the time of the call; sigreturn's or exit's
 * path to user mode puts the old one back. */
static int64_t
poll_mask(uint64_t from, uint64_t size)
{
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t mask;

    if (from == 0) {
        return 0;
    }
    if (size != sizeof(mask)) {
        return -UNIX_EINVAL;
    }
    if (unix_copyin(&mask, from, sizeof(mask)) != 0) {
        return -UNIX_EFAULT;
    }
    ut->saved_mask = ut->mask;
    ut->restore_mask = true;
    signal_set_mask(mask);
    return 0;
}

/* No signal came: the old mask at once. */
static void
poll_unmask(int64_t result)
{
    struct unix_thread *ut = unix_thread(thread_current());

    if (ut->restore_mask && result != -UNIX_EINTR) {
        ut->restore_mask = false;
        signal_set_mask(ut->saved_mask);
    }
}

int64_t
sys_ppoll(const uint64_t *a)
{
    uint64_t deadline;
    bool at_once;
    int64_t result = poll_timespec(a[2], &deadline, &at_once);

    if (result == 0) {
        result = poll_mask(a[3], a[4]);
    }
    if (result != 0) {
        return result;
    }
    result = poll_user(a[0], (uint32_t)a[1], deadline, at_once);
    poll_unmask(result);
    poll_time_left(a[2], deadline, at_once);
    return result;
}

/* ---- select: three sets of bits ----------------------------------------- */

#define SET_READ    (POLL_IN | POLL_RDNORM | POLL_HUP | POLL_ERR)
#define SET_WRITE   (POLL_OUT | POLL_WRNORM | POLL_ERR)
#define SET_EXCEPT  POLL_PRI

struct select_sets {
    uint64_t bits[3][POLL_FD_MAX / 64];
};
static const uint32_t select_mask[3] = { SET_READ, SET_WRITE, SET_EXCEPT };

/* The descriptors of the sets as poll has them; how many. */
static unsigned
select_gather(const struct select_sets *s, unsigned n, struct poll_fd *p)
{
    unsigned count = 0;

    for (unsigned fd = 0; fd < n; fd++) {
        uint32_t events = 0;

        for (unsigned i = 0; i < 3; i++) {
            events |= (s->bits[i][fd / 64] >> fd % 64 & 1) != 0 ?
                select_mask[i] : 0;
        }
        if (events != 0) {
            p[count++] = (struct poll_fd){ (int32_t)fd, (uint16_t)events,
                0 };
        }
    }
    return count;
}

/* What they say, as sets; how many bits, or -EBADF. */
static int64_t
select_scatter(struct select_sets *s, const struct poll_fd *p,
    unsigned count)
{
    struct select_sets asked = *s;
    int64_t bits = 0;

    memset(s, 0, sizeof(*s));
    for (unsigned j = 0; j < count; j++) {
        unsigned fd = (unsigned)p[j].fd;
        uint64_t bit = (uint64_t)1 << fd % 64;

        if ((p[j].revents & POLL_NVAL) != 0) {
            return -UNIX_EBADF;
        }
        for (unsigned i = 0; i < 3; i++) {
            if ((asked.bits[i][fd / 64] & bit) != 0 &&
                (p[j].revents & select_mask[i]) != 0) {
                s->bits[i][fd / 64] |= bit;
                bits++;
            }
        }
    }
    return bits;
}

struct select_work {
    struct select_sets sets;
    struct poll_fd fd[POLL_FD_MAX];
};

static int64_t
select_run(unsigned n, const uint64_t set[3], uint64_t deadline,
    bool at_once)
{
    struct select_work *w = kern_alloc(sizeof(*w));
    size_t size = (n + 63) / 64 * 8;
    int64_t result = w == NULL ? -UNIX_ENOMEM : 0;
    unsigned count;

    for (unsigned i = 0; i < 3 && result == 0; i++) {
        if (set[i] != 0) {
            result = unix_copyin(w->sets.bits[i], set[i], size);
        }
    }
    if (result == 0) {
        count = select_gather(&w->sets, n, w->fd);
        result = poll_run(w->fd, count, deadline, at_once);
        if (result >= 0) {
            result = select_scatter(&w->sets, w->fd, count);
        }
    }
    for (unsigned i = 0; i < 3 && result >= 0; i++) {
        if (set[i] != 0 && unix_copyout(set[i], w->sets.bits[i],
            size) != 0) {
            result = -UNIX_EFAULT;
        }
    }
    if (w != NULL) {
        kern_free(w, sizeof(*w));
    }
    return result;
}

int64_t
sys_select(const uint64_t *a)
{
    struct { int64_t sec, usec; } t;
    uint64_t deadline = 0, left;
    int64_t result;

    if ((int32_t)a[0] < 0) {
        return -UNIX_EINVAL;
    }
    if (a[4] != 0) {
        if (unix_copyin(&t, a[4], sizeof(t)) != 0) {
            return -UNIX_EFAULT;
        }
        if (t.sec < 0 || t.usec < 0) {
            return -UNIX_EINVAL;
        }
        deadline = poll_deadline((uint64_t)t.sec, (uint64_t)t.usec * 1000);
    }
    result = select_run((unsigned)a[0] < POLL_FD_MAX ? (unsigned)a[0] :
        POLL_FD_MAX, &a[1], deadline, a[4] != 0 && t.sec == 0 &&
        t.usec == 0);
    if (deadline != 0) {
        left = kern_now() < deadline ? deadline - kern_now() : 0;
        t.sec = (int64_t)(left / NS);
        t.usec = (int64_t)(left % NS / 1000);
        (void)unix_copyout(a[4], &t, sizeof(t));
    }
    return result;
}

int64_t
sys_pselect6(const uint64_t *a)
{
    uint64_t deadline, mask[2] = { 0, 0 };
    bool at_once;
    int64_t result;

    if ((int32_t)a[0] < 0) {
        return -UNIX_EINVAL;
    }
    if (a[5] != 0 && unix_copyin(mask, a[5], sizeof(mask)) != 0) {
        return -UNIX_EFAULT;
    }
    result = poll_timespec(a[4], &deadline, &at_once);
    if (result == 0) {
        result = poll_mask(mask[0], mask[1]);
    }
    if (result != 0) {
        return result;
    }
    result = select_run((unsigned)a[0] < POLL_FD_MAX ? (unsigned)a[0] :
        POLL_FD_MAX, &a[1], deadline, at_once);
    poll_unmask(result);
    poll_time_left(a[4], deadline, at_once);
    return result;
}
