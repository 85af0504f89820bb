/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoch.c - when may a table that was unlinked be freed?
 *
 * A CPU that reads tables announces the epoch in which it began
 * (epoch_enter() in pt.h).  A table comes here after it was unlinked and
 * the flush for it, page-walk caches included, is complete: no hardware
 * can reach it, only a CPU inside a section begun before.  Putting it here
 * begins a new epoch, its tag; when every CPU is outside, or in a section
 * of that epoch or later, nobody has it.
 *
 *   section:  E1 epoch = now; fence; E2 read entries
 *   limbo:    L1 entry unlinked; L2 now = tag; fence; L3 read epoch
 * If L3 sees the CPU outside, the fences order L1 before E2, which sees the
 * entry gone.  If it sees tag or more, E1 read (acquire) what L2 wrote.
 *
 * A table is freed alone; those that hang below it go back to limbo, where
 * all that is left to do can be seen, and done by whoever needs a table.
 *
 * Locks:   limbo_lock (LIMBO); frames are freed outside it
 * Forced:  waits for other CPUs' sections, which spin but never sleep;
 *          never with a lock held that they may want
 */
#include "pt.h"

#define LIMBO_POLL  8           /* reap after so many tables put */
#define LIMBO_STEP  32u         /* tables freed at once */

_Atomic uint64_t epoch_now = 1;
struct pt_cpu pt_cpu[VM_MAX_CPUS];

static struct vm_spin limbo_lock = VM_SPIN_INIT(VM_RANK_LIMBO);
static struct vm_page *limbo_head, *limbo_tail;     /* (limbo_lock) by tag */
static _Atomic uint32_t limbo_new;      /* (a) put since the last reap */

void
epoch_init(void)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        vm_set(&pt_cpu[i].epoch, 0);
        vm_set(&pt_cpu[i].current, NULL);
        vm_set(&pt_cpu[i].next, NULL);
        memset(pt_cpu[i].note, 0, sizeof(pt_cpu[i].note));
        for (unsigned e = 0; e < EV_COUNT; e++) {
            vm_set(&pt_cpu[i].event[e], 0);
        }
    }
    vm_set(&epoch_now, 1);
    vm_set(&limbo_new, 0);
    limbo_head = NULL;
    limbo_tail = NULL;
}

void
pt_event_any(enum pmap_event e, uint64_t n)
{
    kern_preempt_disable();
    pt_event(&pt_cpu[kern_cpu()], e, n);
    kern_preempt_enable();
}

/* The bug: at once. */
static void
limbo_free(struct vm_page *chain)
{
    while (chain != NULL) {
        struct vm_page *p = chain;

        chain = pt_reclaim(p, pt_frame(p)->next);
    }
}

void
limbo_put(struct vm_page *chain)
{
    uint64_t tag;

    if (chain == NULL) {
        return;
    }
    if (VM_MUTANT(TABLE_EARLY_FREE)) {
        limbo_free(chain);
        return;
    }
    vm_spin_lock(&limbo_lock);
    tag = atomic_fetch_add_explicit(&epoch_now, 1,
        memory_order_seq_cst) + 1;
    if (limbo_tail != NULL) {
        pt_frame(limbo_tail)->next = chain;
    } else {
        limbo_head = chain;
    }
    for (; chain != NULL; chain = pt_frame(chain)->next) {
        pt_frame(chain)->tag = tag;
        limbo_tail = chain;
        (void)atomic_fetch_add_explicit(&limbo_new, 1,
            memory_order_relaxed);
    }
    vm_spin_unlock(&limbo_lock);
}

/* The oldest epoch that some CPU is still in, epoch_now if none is. */
static uint64_t
epoch_oldest(void)
{
    uint64_t oldest = atomic_load_explicit(&epoch_now,
        memory_order_acquire);

    /* L2 before L3: see above. */
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        uint64_t e = atomic_load_explicit(&pt_cpu[i].epoch,
            memory_order_acquire);

        if (e != 0 && e < oldest) {
            oldest = e;
        }
    }
    return oldest;
}

/* Wait until every section that began before now has ended. */
static void
epoch_wait(void)
{
    uint64_t now = atomic_load_explicit(&epoch_now, memory_order_acquire);

    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        for (;;) {
            uint64_t e = atomic_load_explicit(&pt_cpu[i].epoch,
                memory_order_acquire);

            if (e == 0 || e >= now) {
                break;
            }
            kern_relax();
            vm_point();
        }
    }
}

/* Some tables whose sections are over, off the list. */
static struct vm_page *
limbo_take(uint64_t oldest)
{
    struct vm_page *chain, *last = NULL;

    vm_spin_lock(&limbo_lock);
    chain = limbo_head;
    for (unsigned n = 0; n < LIMBO_STEP && limbo_head != NULL &&
        pt_frame(limbo_head)->tag <= oldest; n++) {
        last = limbo_head;
        limbo_head = pt_frame(last)->next;
    }
    if (limbo_head == NULL) {
        limbo_tail = NULL;
    }
    vm_spin_unlock(&limbo_lock);
    if (last == NULL) {
        return NULL;
    }
    pt_frame(last)->next = NULL;
    return chain;
}

/* Not freed yet; their sections are over, so their place is the first. */
static void
limbo_return(struct vm_page *chain)
{
    struct vm_page *last = chain;

    while (pt_frame(last)->next != NULL) {
        last = pt_frame(last)->next;
    }
    vm_spin_lock(&limbo_lock);
    pt_frame(last)->next = limbo_head;
    if (limbo_head == NULL) {
        limbo_tail = last;
    }
    limbo_head = chain;
    vm_spin_unlock(&limbo_lock);
}

/*
 * Free some tables; how many.  Preemption is disabled while they are in
 * nobody's reach: who waits for one must not have to wait for a thread.
 */
static uint64_t
limbo_step(uint64_t oldest)
{
    struct vm_page *chain;
    uint64_t freed = 0;

    kern_preempt_disable();
    chain = limbo_take(oldest);
    for (; chain != NULL && freed < LIMBO_STEP; freed++) {
        struct vm_page *p = chain;

        chain = pt_reclaim(p, pt_frame(p)->next);
    }
    if (chain != NULL) {
        limbo_return(chain);
    }
    kern_preempt_enable();
    return freed;
}

uint64_t
limbo_reap(bool force)
{
    uint64_t oldest, freed = 0, n;

    vm_set(&limbo_new, 0);
    if (force) {
        epoch_wait();
    }
    oldest = epoch_oldest();
    do {
        n = limbo_step(oldest);
        freed += n;
    } while (n == LIMBO_STEP);
    if (freed != 0) {
        pt_event_any(EV_TABLE_FREED, freed);
    }
    return freed;
}

uint64_t
limbo_count(void)
{
    uint64_t n = 0;

    vm_spin_lock(&limbo_lock);
    for (struct vm_page *p = limbo_head; p != NULL; p = pt_frame(p)->next) {
        n += pt_reclaim_count(p);
    }
    vm_spin_unlock(&limbo_lock);
    return n;
}

void
limbo_poll(void)
{
    if (vm_get(&limbo_new) >= LIMBO_POLL) {
        (void)limbo_reap(false);
    }
}
