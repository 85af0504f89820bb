/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy_hash.c - a toy machine with one hashed, inverted table for all
 * spaces, which the hardware searches when a TLB misses (as PowerPC's).
 *
 *   (space, page) --hash--> group of 8 slots; there is no other place
 *
 * A full group refuses: one of its pages must be forgotten first, in every
 * TLB too, because the hardware has cached it from there.
 */
#include "toy/toy_store.h"

#define GROUP           8u
#define GROUPS          64u

const bool toy_write_replaces = false;

unsigned
toy_count(void)
{
    return GROUP * GROUPS;
}

bool
toy_group(struct pmap *pm, vaddr_t va, struct pt_cpu *cpu,
    struct toy_group *g)
{
    uint64_t h = (uint64_t)(uintptr_t)pm / sizeof(*pm) * 31 +
        (va >> vm_page_shift);

    (void)cpu;
    g->first = (unsigned)((h ^ h >> 7) % GROUPS) * GROUP;
    g->n = GROUP;
    return true;
}

void
toy_write(unsigned i, const struct toy_slot *s, struct pt_cpu *cpu)
{
    (void)cpu;
    toy_lock_slots();
    toy_slots[i] = *s;
    toy_unlock_slots();
}

bool
toy_walks(vaddr_t va)
{
    (void)va;
    return true;
}
