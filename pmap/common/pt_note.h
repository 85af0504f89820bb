/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_note.h - the radix store: the leaf table that a CPU reached last.
 *
 * Each CPU keeps a note of the leaf table that it reached last, with the
 * epoch then.  Every unlinking raises the pmap's pending before, and
 * moves the epoch on before it lowers pending again.  So if nothing of the
 * pmap is pending, and after that the epoch is read and is still the note's,
 * a walk from the root would lead to the same table now; and the table is
 * not freed, because we are inside a section whose beginning (epoch_enter()'s
 * fence) came before that reading.
 *
 * Who enters (pt_enter.c) may find the table unlinked a moment later.  Who
 * revokes (pt_page.c) must not overlook what another entered in a table that
 * took the place of the noted one: that other compared the sequence before
 * it was made odd, and had seen the old table unlinked, so that unlinking's
 * pending is visible here, or its end, and with it the epoch.
 *
 * Locks: leaf (LEAF)
 */
#ifndef PT_NOTE_H
#define PT_NOTE_H

#include "pt_radix.h"

/* The leaf table that a CPU reached last; all zero: none. */
struct note {
    struct pmap *pm;
    uint64_t epoch;
    vaddr_t start;              /* what the table covers */
    vsize_t size;
    pte_t *slot;                /* its first entry */
    struct vm_page *table;
    const struct pt_geo *g;
};

_Static_assert(sizeof(struct note) <= PT_NOTE_WORDS * 8, "fits");

static inline struct note *
note_of(struct pt_cpu *cpu)
{
    return (struct note *)(void *)cpu->note;
}

/* The first entry of va's MI page, of a note that hits. */
static inline pte_t *
note_slot(const struct note *n, vaddr_t va)
{
    return n->slot + pt_geo_index(n->g, 0, va);
}

/*
 * The leaf lock inside an epoch section, where preemption is disabled
 * already.  It is the only bit of a table's lockword.
 */
static inline void
leaf_lock(struct vm_page *table)
{
    vm_point();
    vm_held_acquire(VM_RANK_LEAF);
    /* Acquire and release as in vm_bit_lock(). */
    if (atomic_exchange_explicit(&table->lockword, VM_PG_LEAF_LOCK,
            memory_order_acquire) != 0) {
        vm_spin_wait(&table->lockword, VM_PG_LEAF_LOCK);
    }
}

/* The same, if it is free. */
static inline bool
leaf_try(struct vm_page *table)
{
    vm_point();
    if (atomic_exchange_explicit(&table->lockword, VM_PG_LEAF_LOCK,
            memory_order_acquire) != 0) {
        return false;
    }
    vm_held_acquire(VM_RANK_LEAF);
    return true;
}

static inline void
leaf_unlock(struct vm_page *table)
{
    KASSERT(vm_get(&table->lockword) == VM_PG_LEAF_LOCK);
    atomic_store_explicit(&table->lockword, 0, memory_order_release);
    vm_held_release(VM_RANK_LEAF);
    vm_point();
}

/* Does the note say where va's leaf table is?  See above for the order. */
static inline bool
note_hit(struct note *n, struct pmap *pm, vaddr_t va)
{
    return !pmap_revoking(pm) && n->pm == pm && va - n->start < n->size &&
        (n->epoch == atomic_load_explicit(&epoch_now,
        memory_order_acquire) || VM_MUTANT(NOTE_STALE));
}

/* Walk, and note where it led; false: there is no leaf table. */
static inline bool
note_walk(struct note *n, struct pmap *pm, vaddr_t va)
{
    /* Before the walk: what is unlinked later makes it void. */
    uint64_t now = atomic_load_explicit(&epoch_now, memory_order_acquire);
    uint64_t root = pt_root(pm);
    paddr_t leaf = pt_leaf(root, va);
    const struct pt_geo *g = pt_root_geo(root);

    if (leaf == 0) {
        return false;
    }
    n->pm = pm;
    n->epoch = now;
    n->size = g->hw_page << pt_f(g)->bits[0];
    n->start = va & ~(n->size - 1);
    n->slot = kern_frame_ptr(leaf);
    n->table = pt_leaf_page(leaf);
    n->g = g;
    return true;
}

#endif
