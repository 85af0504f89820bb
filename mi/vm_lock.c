/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_lock.c - the slow halves of the locks, rank checks, wait channels.
 *
 *   spin lock, bit lock   read until it looks free, then try again; the
 *                         reads share the line while the holder works
 *   mutex                 0 free, 1 held, 2 held and somebody may sleep;
 *                         who has waited holds it as 2, because others
 *                         may still wait: one wakeup too many, never one
 *                         too few
 *   wait channel          a hashed counter; a wakeup moves it on
 *
 * Locks:   none of its own; a wait channel is only an atomic counter
 * Restart: kern_wait() may return for no reason, so every sleep here is
 *          in a loop, or (vm_wait_sleep) in the caller's
 */
#include "vm_lock.h"

/*
 * Turns for which a mutex is spun on before the thread sleeps.  Critical
 * sections of a map or an object are shorter than a switch of threads,
 * but for those that sleep themselves.
 */
#define MUTEX_SPIN      64u

/* Wait channels; a power of two. */
#define WAIT_SHIFT      8
#define WAIT_CHANNELS   (1u << WAIT_SHIFT)

/*
 * vm_spin_wait - take a lock bit that was seen to be held.
 *
 * => Context: preemption disabled
 */
void
vm_spin_wait(_Atomic uint32_t *word, uint32_t bit)
{
    do {
        while ((atomic_load_explicit(word, memory_order_relaxed) & bit)
            != 0) {
            kern_relax();
        }
        /* Acquire: what the last holder wrote is seen under the lock. */
    } while ((atomic_fetch_or_explicit(word, bit, memory_order_acquire)
        & bit) != 0);
}

/*
 * vm_mutex_wait - take a mutex that was seen to be held.
 *
 * => Context: thread, no spin lock held; sleeps
 */
void
vm_mutex_wait(struct vm_mutex *m)
{
    uint32_t seen;
    unsigned turn;

    for (turn = 0; turn < MUTEX_SPIN; turn++) {
        seen = 0;
        if (atomic_compare_exchange_weak_explicit(&m->word, &seen, 1,
                memory_order_acquire, memory_order_relaxed)) {
            return;
        }
        /* Others sleep already: the wait is not a short one. */
        if (seen == 2) {
            break;
        }
        kern_relax();
    }
    /* Acquire as in vm_mutex_lock().  2: there may be other sleepers. */
    while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire)
        != 0) {
        (void)kern_wait(&m->word, 2, false);
    }
}

#if VM_DEBUG
static const char *const rank_names[VM_RANK_COUNT] = {
    [VM_RANK_MAP] = "map",
    [VM_RANK_OBJECT] = "object",
    [VM_RANK_LEAF] = "leaf table",
    [VM_RANK_ASID] = "asid",
    [VM_RANK_LIMBO] = "limbo",
    [VM_RANK_SWAP] = "swap",
    [VM_RANK_ZONE] = "zone",
    [VM_RANK_FREE] = "free frames",
};

static const char *
rank_name(enum vm_rank rank)
{
    if (rank < VM_RANK_OUTER || rank >= VM_RANK_COUNT) {
        kern_panic("lock with bad rank %u: not initialised?",
            (unsigned)rank);
    }
    if (rank < VM_RANK_MAP) {
        return "embedder's outer";
    }
    return rank < VM_RANK_INNER ? rank_names[rank] : "embedder's inner";
}

/* The running thread is about to wait for a lock of this rank. */
void
vm_held_acquire(enum vm_rank rank)
{
    struct vm_held *h = kern_held();
    const char *name = rank_name(rank);
    unsigned r;

    /* A front's backing object is locked after it: same rank, legal. */
    r = rank == VM_RANK_OBJECT ? rank + 1u : (unsigned)rank;
    for (; r < VM_RANK_COUNT; r++) {
        if (h->count[r] != 0) {
            kern_panic("lock order: %s lock taken with %s lock held",
                name, rank_name((enum vm_rank)r));
        }
    }
    if (h->count[rank] == UINT8_MAX) {
        kern_panic("too many %s locks held", name);
    }
    h->count[rank]++;
}

void
vm_held_release(enum vm_rank rank)
{
    struct vm_held *h = kern_held();
    const char *name = rank_name(rank);

    if (h->count[rank] == 0) {
        kern_panic("%s lock released by a thread that holds none", name);
    }
    h->count[rank]--;
}

/* Does the running thread hold a lock of this rank?  For assertions. */
bool
vm_held_any(enum vm_rank rank)
{
    (void)rank_name(rank);
    return kern_held()->count[rank] != 0;
}
#endif

/* Never reset: a value has no meaning but that it changes. */
static _Atomic uint32_t wait_channel[WAIT_CHANNELS];

static _Atomic uint32_t *
wait_word(const void *event)
{
    uint64_t h = (uint64_t)(uintptr_t)event;

    /* Multiplicative: events are addresses, their low bits all alike. */
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return &wait_channel[h >> (64 - WAIT_SHIFT)];
}

/*
 * vm_wait_ticket - what to sleep on until event happens.
 *
 * => Locks: whatever guards the condition that is waited for; taken
 *           before it is dropped, so a later wakeup changes the counter
 */
struct vm_ticket
vm_wait_ticket(const void *event)
{
    struct vm_ticket t;

    t.word = wait_word(event);
    /* Acquire: a condition that no lock guards is tested after this. */
    t.value = atomic_load_explicit(t.word, memory_order_acquire);
    return t;
}

/*
 * vm_wait_sleep - sleep until a wakeup that came after the ticket.
 *
 * => Context: thread, no lock held that the waker needs; sleeps
 * => Fails:   VM_E_INTR, only if interruptible
 * Returns 0 for a neighbour's wakeup too: test the condition again.
 */
int
vm_wait_sleep(struct vm_ticket t, bool interruptible)
{
    vm_point();
    return kern_wait(t.word, t.value, interruptible);
}

/*
 * vm_wakeup - event has happened; never sleeps.
 *
 * => Needs: the condition was changed before, under the lock under which
 *           tickets are taken, if there is one
 */
void
vm_wakeup(const void *event)
{
    _Atomic uint32_t *word = wait_word(event);

    vm_point();
    /*
     * The new condition is seen by whoever sees the new count (release),
     * and the count is changed before kern_wake() looks for sleepers,
     * even if it looks without a lock (sequentially consistent).
     */
    atomic_fetch_add_explicit(word, 1, memory_order_seq_cst);
    kern_wake(word);
}
