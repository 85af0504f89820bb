/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.c - sleeping on a word, and being woken.
 *
 *   word -> hash -> bucket: oldest sleeper <-> ... <-> youngest
 *
 * A sleeper tests the word and joins the bucket under the bucket's lock; a
 * waker has changed the word before it takes that lock.  So the sleeper
 * either sees the change, or is found.
 *
 * Three may end a sleep: a waker, thread_interrupt(), the timer.  Each does
 * it under the lock of the bucket that wait_word names, and only if it still
 * names that bucket's word: then the thread is in it.  For the timer, which
 * comes from the list of deadlines, that is safe because the list is the
 * sleeper's own CPU's and interrupts are off: the thread cannot run, much
 * less die, before we are done with it (sched.h, AFFINITY).
 *
 * Locks: a bucket's (WAIT), then a queue's (RUN).
 */
#include "sched.h"

#define BUCKET_SHIFT    6
#define BUCKETS         (1u << BUCKET_SHIFT)

struct bucket {
    struct vm_spin lock;
    struct thread *head, *tail;         /* (w) oldest first */
} __attribute__((aligned(64)));

/* Ready before there are threads: the core wakes from its first steps on. */
static struct bucket buckets[BUCKETS] = {
    [0 ... BUCKETS - 1] = { .lock = VM_SPIN_INIT(KERN_RANK_WAIT) }
};

static inline struct bucket *
bucket_of(_Atomic uint32_t *word)
{
    uintptr_t a = (uintptr_t)word;

    /* Neighbours in an array, in structures, on stacks: all told apart. */
    a = a >> 2 ^ a >> (2 + BUCKET_SHIFT) ^ a >> (3 + 2 * BUCKET_SHIFT);
    return &buckets[a % BUCKETS];
}

static inline void
bucket_put(struct bucket *b, struct thread *t)
{
    t->next = NULL;
    t->prev = b->tail;
    if (b->tail != NULL) {
        b->tail->next = t;
    } else {
        b->head = t;
    }
    b->tail = t;
}

static inline void
bucket_remove(struct bucket *b, struct thread *t)
{
    if (t->prev != NULL) {
        t->prev->next = t->next;
    } else {
        b->head = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    } else {
        b->tail = t->prev;
    }
    vm_set(&t->wait_word, NULL);
}

/* t sleeps in b, which is locked: it wakes up to this result. */
static inline __attribute__((always_inline)) void
wait_end(struct bucket *b, struct thread *t, int result)
{
    bucket_remove(b, t);
    t->wait_result = result;
    if (__builtin_expect(t->deadline != 0, 0)) {
        sched_timeout_cancel(t);
    }
    sched_ready(t);
}

static inline bool
wait_is_pointless(struct thread *t)
{
    return vm_get(&t->stop) != 0 ||
        (vm_get(&t->head.work) & WORK_SIGNAL) != 0;
}

/* The bucket is locked, t in it; false: it was taken out again. */
static inline bool
wait_announce(struct thread *t, _Atomic uint32_t *word, bool interruptible)
{
    if (!interruptible) {
        vm_set(&t->wait_word, word);
        return true;
    }
    /* Against thread_interrupt(): it sets work, then reads wait_word. */
    atomic_store_explicit(&t->wait_word, word, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    return !wait_is_pointless(t);
}

/* deadline in ticks, 0: none.  Inline: most have none. */
static inline __attribute__((always_inline)) int
wait_on(_Atomic uint32_t *word, uint32_t value, bool interruptible,
    uint64_t deadline)
{
    struct thread *t = thread_current();
    struct bucket *b = bucket_of(word);
    bool enabled;

    if (t->progress.held != NULL) {
        vm_progress_end(&t->progress);
    }
    enabled = md_irq_save();
    sched_lock(&b->lock);
    if (atomic_load_explicit(word, memory_order_relaxed) != value) {
        sched_unlock(&b->lock);
        sched_irq_restore(enabled);
        return VM_OK;
    }
    KASSERT(t->head.preempt == 0);
    t->interruptible = interruptible;
    t->wait_result = VM_OK;
    bucket_put(b, t);
    if (!wait_announce(t, word, interruptible)) {
        bucket_remove(b, t);
        sched_unlock(&b->lock);
        sched_irq_restore(enabled);
        return VM_E_INTR;
    }
    t->state = THREAD_SLEEPING;
    if (deadline != 0) {
        t->deadline = deadline;
        sched_timeout(t);
    }
    sched_unlock(&b->lock);
    sched_switch();
    sched_irq_restore(enabled);
    return t->wait_result;
}

/* The idle thread, which never sleeps, gives others a chance instead. */
static int
wait_idle(void)
{
    thread_yield();
    return VM_OK;
}

int
kern_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible)
{
    if (__builtin_expect(thread_current()->is_idle, 0)) {
        return wait_idle();
    }
    return wait_on(word, value, interruptible, 0);
}

int
thread_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible,
    uint64_t deadline)
{
    uint64_t ticks = deadline == 0 ? 0 : time_deadline(deadline);

    if (thread_current()->is_idle) {
        return wait_idle();
    }
    if (ticks != 0 && md_ticks() >= ticks) {
        /* What has happened counts for more than that it was late. */
        return atomic_load_explicit(word, memory_order_relaxed) != value ?
            VM_OK : VM_E_BUSY;
    }
    return wait_on(word, value, interruptible, ticks);
}

unsigned
thread_wake(_Atomic uint32_t *word, unsigned n)
{
    struct bucket *b = bucket_of(word);
    bool enabled = md_irq_save();
    struct thread *t, *next;
    unsigned woken = 0;

    sched_lock(&b->lock);
    for (t = b->head; t != NULL && woken < n; t = next) {
        next = t->next;
        if (vm_get(&t->wait_word) == word) {
            wait_end(b, t, VM_OK);
            woken++;
        }
    }
    sched_unlock(&b->lock);
    sched_irq_restore(enabled);
    return woken;
}

void
kern_wake(_Atomic uint32_t *word)
{
    (void)thread_wake(word, UINT32_MAX);
}

/* End t's sleep if it sleeps; intr: only if that is interruptible. */
static void
wait_break(struct thread *t, bool intr, int result)
{
    _Atomic uint32_t *word;
    struct bucket *b;

    while ((word = atomic_load_explicit(&t->wait_word,
            memory_order_seq_cst)) != NULL) {
        b = bucket_of(word);
        sched_lock(&b->lock);
        if (vm_get(&t->wait_word) == word) {
            if (!intr || t->interruptible) {
                wait_end(b, t, result);
            }
            sched_unlock(&b->lock);
            return;
        }
        sched_unlock(&b->lock);
    }
}

void
thread_interrupt(struct thread *t, uint32_t work)
{
    bool enabled = md_irq_save();

    (void)atomic_fetch_or_explicit(&t->head.work, work,
        memory_order_seq_cst);
    wait_break(t, true, VM_E_INTR);
    if (t->state == THREAD_RUNNING && t->head.cpu != kern_cpu()) {
        md_ipi(t->head.cpu);    /* so that it comes by user_work */
    }
    sched_irq_restore(enabled);
}

void
wait_expire(uint64_t now)
{
    struct thread *t;

    while ((t = sched_expired(now)) != NULL) {
        wait_break(t, false, VM_E_BUSY);
        if (__builtin_expect(t->urgent, 0)) {
            sched_hurry(t);
        }
    }
}

int
thread_sleep_until(uint64_t ns, bool interruptible)
{
    _Atomic uint32_t never = 0;
    int error = VM_OK;

    while (kern_now() < ns && error != VM_E_INTR) {
        error = thread_wait(&never, 0, interruptible, ns);
    }
    return error == VM_E_INTR ? VM_E_INTR : VM_OK;
}
