/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy_soft.c - a toy machine whose TLBs are filled by software (as MIPS'),
 * and a pmap that keeps no table at all: the slots of a CPU are a copy of
 * its TLB, entry by entry.
 *
 *   slots  0 ..            the kernel's wired pages, for every CPU; the miss
 *                          handler loads them
 *          KERNEL + i      entry i of CPU 0's TLB, then CPU 1's ...
 *
 * Entering loads an entry of the CPU that enters; any other CPU faults.
 * Writing an entry is one step that also ends the life of the page that it
 * held, so that one needs no flush.  A page entered by a CPU that does not
 * run the space is forgotten at once.
 */
#include "toy/toy_store.h"

#define KERNEL          512u
#define ENTRIES         48u     /* the rest of a TLB is for kernel pages */
#define CPUS            ((TOY_SLOTS - KERNEL) / ENTRIES)

const bool toy_write_replaces = true;

static _Atomic unsigned cpus_seen;      /* CPUs that have entered a page */

_Static_assert(CPUS >= VM_MAX_CPUS, "slots for every CPU");

unsigned
toy_count(void)
{
    return KERNEL + vm_get(&cpus_seen) * ENTRIES;
}

bool
toy_group(struct pmap *pm, vaddr_t va, struct pt_cpu *cpu,
    struct toy_group *g)
{
    unsigned me = kern_cpu();

    (void)va;
    if (pm->kernel) {
        *g = (struct toy_group){ 0, KERNEL };
        return true;
    }
    if (me >= vm_get(&cpus_seen)) {
        vm_set(&cpus_seen, me + 1);     /* under toy_lock */
    }
    *g = (struct toy_group){ KERNEL + me * ENTRIES, ENTRIES };
    return asid_is_current(pm, cpu);
}

/* The TLB entry and the slot that is its copy change in one step. */
void
toy_write(unsigned i, const struct toy_slot *s, struct pt_cpu *cpu)
{
    struct sim_cpu *c = &sim_cpus[kern_cpu()];

    (void)cpu;
    sim_lock(c);
    toy_lock_slots();
    toy_slots[i] = *s;
    toy_unlock_slots();
    if (!s->pm->kernel) {
        struct sim_entry e;

        toy_entry(s, &c->space, &e);
        sim_tlb_write(c, (i - KERNEL) % ENTRIES, &e);
    }
    sim_unlock(c);
}

/* Only for the kernel's pages is there anything to find. */
bool
toy_walks(vaddr_t va)
{
    return sim_is_kernel_va(va);
}
