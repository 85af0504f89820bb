/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy_store.h - what the two toy machines share: translations in slots of
 * an array, where a machine says in which slots a page may stand.
 *
 * It implements section 3 of pt.h beside the radix walker; reverse map,
 * batches, ASIDs and the rest of pmap/common are used as they are.
 *
 * Locks: toy_lock (LEAF) around entering and range revocation, as the leaf
 *        lock of a table.  The slots' own lock has no rank: nothing is
 *        taken and nothing switches inside it; the reverse map edits slots
 *        under it alone.  A CPU of the simulated MMU may be locked before
 *        it, never after.
 */
#ifndef TOY_STORE_H
#define TOY_STORE_H

#include "sim_impl.h"

struct toy_slot {
    struct pmap *pm;            /* NULL: free */
    vaddr_t va;
    paddr_t pa;
    uint8_t prot;
    bool wired;
    bool device;
    bool used;                  /* since pt_age_one() */
};

#define TOY_SLOTS       4096u
extern struct toy_slot toy_slots[TOY_SLOTS];

/* What a TLB of a CPU in space s holds of a slot. */
void toy_entry(const struct toy_slot *t, const struct sim_space *s,
    struct sim_entry *e);

void toy_lock_slots(void);
void toy_unlock_slots(void);

struct toy_group {
    unsigned first, n;
};

/* ---- what a machine supplies ------------------------------------------ */

/* How many slots there are now: the rest is free. */
unsigned toy_count(void);

/*
 * toy_group - where a page of pm may stand when this CPU enters it; false:
 * nowhere, it is forgotten at once.
 */
bool toy_group(struct pmap *pm, vaddr_t va, struct pt_cpu *cpu,
    struct toy_group *g);

/*
 * toy_write - set slot i.  replaces: what it held before is in no TLB
 * after that, so that the slot of another page may be overwritten.
 */
void toy_write(unsigned i, const struct toy_slot *s, struct pt_cpu *cpu);
extern const bool toy_write_replaces;

/* Does the hardware look into the slots when a TLB misses? */
bool toy_walks(vaddr_t va);

#endif
