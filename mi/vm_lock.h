/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_lock.h - spin locks, mutexes, the map sequence and wait channels.
 *
 * The order of locks is docs/locking.md; enum vm_rank mirrors it, outer
 * first, and debug builds assert that a thread takes locks in rising
 * rank.  Two objects are locked front before backing, which a rank
 * cannot see: VM_RANK_OBJECT may be taken again while it is held.
 *
 * The bit lock guards a word that has a spare bit (a core map entry); it
 * is a spin lock in every other respect.
 */
#ifndef VM_LOCK_H
#define VM_LOCK_H

#include "vm_kern.h"

enum vm_rank {
    VM_RANK_OUTER = 1,  /* up to here: the embedder's, outside the core's */
    VM_RANK_MAP = VM_RANK_OUTER + 8,    /* address map (mutex) */
    VM_RANK_OBJECT,     /* memory object (mutex), front before backing */
    VM_RANK_MAPS,       /* list of all maps (spin) */
    VM_RANK_LEAF,       /* leaf table (bit in its frame) */
    VM_RANK_ASID,       /* address-space identifiers (spin) */
    VM_RANK_LIMBO,      /* dropped subtrees (spin) */
    VM_RANK_SWAP,       /* swap slots (spin) */
    VM_RANK_ZONE,       /* allocator of one kind of structure (spin) */
    VM_RANK_FREE,       /* free frames (spin) */
    VM_RANK_INNER,      /* from here: the embedder's, inside the core's */
    VM_RANK_COUNT = VM_RANK_INNER + 4
};

/* What one thread holds: a count for each rank (debug builds). */
struct vm_held {
    uint8_t count[VM_RANK_COUNT];
};

#if VM_DEBUG
void vm_held_acquire(enum vm_rank rank);
void vm_held_release(enum vm_rank rank);
bool vm_held_any(enum vm_rank rank);
#else
#define vm_held_acquire(r)      ((void)0)
#define vm_held_release(r)      ((void)0)
#define vm_held_any(r)          true
#endif

struct vm_spin {
    _Atomic uint32_t word;      /* 0 free, 1 held */
    uint32_t rank;              /* (c) */
};

struct vm_mutex {
    _Atomic uint32_t word;      /* 0 free, 1 held, 2 held with waiters */
    uint32_t rank;              /* (c) */
};

#define VM_SPIN_INIT(r)         { 0, (r) }
#define VM_MUTEX_INIT(r)        { 0, (r) }

void vm_spin_wait(_Atomic uint32_t *word, uint32_t bit);
void vm_mutex_wait(struct vm_mutex *m);

static inline void
vm_spin_lock(struct vm_spin *l)
{
    uint32_t free = 0;

    vm_point();
    /* Who is preempted here holds nothing: the switch takes locks. */
    kern_preempt_disable();
    vm_held_acquire((enum vm_rank)l->rank);
    /* Acquire: what the last holder wrote is seen under the lock. */
    if (!atomic_compare_exchange_strong_explicit(&l->word, &free, 1,
            memory_order_acquire, memory_order_relaxed)) {
        vm_spin_wait(&l->word, 1);
    }
}

static inline void
vm_spin_unlock(struct vm_spin *l)
{
    KASSERT(atomic_load_explicit(&l->word, memory_order_relaxed) == 1);
    atomic_store_explicit(&l->word, 0, memory_order_release);
    /* Before others may run here: one may take locks on this thread. */
    vm_held_release((enum vm_rank)l->rank);
    kern_preempt_enable();
    vm_point();
}

static inline void
vm_bit_lock(_Atomic uint32_t *word, uint32_t bit, enum vm_rank rank)
{
    uint32_t none = 0;

    vm_point();
    kern_preempt_disable();
    vm_held_acquire(rank);
    (void)rank;
    /* Mostly no other bit is set either, and this is one instruction. */
    if (!atomic_compare_exchange_strong_explicit(word, &none, bit,
            memory_order_acquire, memory_order_relaxed) &&
        (atomic_fetch_or_explicit(word, bit, memory_order_acquire) & bit)
            != 0) {
        vm_spin_wait(word, bit);
    }
}

static inline void
vm_bit_unlock(_Atomic uint32_t *word, uint32_t bit, enum vm_rank rank)
{
    KASSERT(atomic_load_explicit(word, memory_order_relaxed) & bit);
    atomic_fetch_and_explicit(word, ~bit, memory_order_release);
    vm_held_release(rank);
    (void)rank;
    kern_preempt_enable();
    vm_point();
}

static inline void
vm_mutex_lock(struct vm_mutex *m)
{
    uint32_t free = 0;

    vm_point();
    vm_held_acquire((enum vm_rank)m->rank);
    if (!atomic_compare_exchange_strong_explicit(&m->word, &free, 1,
            memory_order_acquire, memory_order_relaxed)) {
        vm_mutex_wait(m);
    }
}

/* Never waits, so it may be used against the order. */
static inline bool
vm_mutex_trylock(struct vm_mutex *m)
{
    uint32_t free = 0;

    vm_point();
    if (!atomic_compare_exchange_strong_explicit(&m->word, &free, 1,
            memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    /* Ranks are checked where a thread could wait; here it cannot. */
#if VM_DEBUG
    kern_held()->count[m->rank]++;
#endif
    return true;
}

static inline void
vm_mutex_unlock(struct vm_mutex *m)
{
    vm_held_release((enum vm_rank)m->rank);
    if (atomic_exchange_explicit(&m->word, 0, memory_order_release) == 2) {
        kern_wake(&m->word);
    }
    vm_point();
}

static inline bool
vm_mutex_is_locked(struct vm_mutex *m)
{
    return atomic_load_explicit(&m->word, memory_order_relaxed) != 0;
}

/*
 * The sequence of an address map: the whole coherence protocol between
 * lookup and pmap_enter() (docs/pmap.md, "From lookup to enter").  Odd
 * while entries are being edited or translations revoked, so a reader
 * that saw an even value, and later the same value, saw one state of the
 * map and has not been revoked since.  Written under the map's lock.
 */
struct vm_seq {
    _Atomic vm_seq_t count;
};

static inline vm_seq_t
vm_seq_read(struct vm_seq *s)
{
    vm_point();
    /* Acquire: entry fields are read after it. */
    return atomic_load_explicit(&s->count, memory_order_acquire);
}

/* True if s is even and nothing began since it was read. */
static inline bool
vm_seq_valid(struct vm_seq *s, vm_seq_t was)
{
    vm_point();
    /* Entry fields were read before this load. */
    atomic_thread_fence(memory_order_acquire);
    return (was & 1) == 0 &&
        atomic_load_explicit(&s->count, memory_order_relaxed) == was;
}

static inline void
vm_seq_begin(struct vm_seq *s)
{
    vm_seq_t v = atomic_load_explicit(&s->count, memory_order_relaxed);

    KASSERT((v & 1) == 0);
    /*
     * Sequentially consistent: the store comes before every edit of an
     * entry and of a table, against an enter that stores a table entry
     * and then loads the sequence.
     */
    atomic_store_explicit(&s->count, v + 1, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    vm_point();
}

static inline void
vm_seq_end(struct vm_seq *s)
{
    vm_seq_t v = atomic_load_explicit(&s->count, memory_order_relaxed);

    KASSERT((v & 1) == 1);
    atomic_store_explicit(&s->count, v + 1, memory_order_release);
    vm_point();
}

/*
 * Wait channels: threads that wait for a page or an object sleep on a
 * hashed counter.  The ticket is read under the lock that guards the
 * condition, so a wakeup between unlock and sleep is not lost; wakeups
 * for a neighbour in the hash are spurious and harmless.
 */
struct vm_ticket {
    _Atomic uint32_t *word;
    uint32_t value;
};

struct vm_ticket vm_wait_ticket(const void *event);
int vm_wait_sleep(struct vm_ticket t, bool interruptible) VM_MUST_CHECK;
void vm_wakeup(const void *event);

/* Relaxed access to a word that lock-free readers may read meanwhile. */
#define vm_get(p)       atomic_load_explicit((p), memory_order_relaxed)
#define vm_set(p, v)    atomic_store_explicit((p), (v), memory_order_relaxed)

#endif
