/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmap_ctl.h - control and audit of pmaps: what a kernel's monitor, a
 * stress tool and the tests use, beside the contract in pmap.h.
 */
#ifndef PMAP_CTL_H
#define PMAP_CTL_H

#include "pmap.h"

/*
 * Formats of page table that this MMU has; a pmap has one.  A machine
 * without a choice has one format.  set_default: for pmap_create() from
 * now on; VM_E_INVAL if there is no such format or its hardware page is
 * larger than the MI page.
 */
unsigned pmap_format_count(void);
const char *pmap_format_name(unsigned format);
/* Smallest MI page shift that the format can serve. */
unsigned pmap_format_page_shift(unsigned format);
int pmap_set_default_format(unsigned format) VM_MUST_CHECK;
unsigned pmap_format(const struct pmap *pm);

/*
 * Voluntary forgetting, at any moment, by any thread, for any user pmap.
 *
 * => Locks:   none needed
 * => Fails:   VM_E_BUSY: the pmap is held for progress (pmap_hold), nothing
 *             forgotten; VM_E_INVAL: the kernel's pmap, or a bad range
 * => TLB:     the forgotten translations are gone everywhere on return
 * discard: everything, in O(1) for the caller: the user half of the root
 * is emptied in place, the subtrees go to limbo.  discard_table: the leaf
 * table that translates va.
 */
int pmap_discard(struct pmap *pm) VM_MUST_CHECK;
int pmap_discard_range(struct pmap *pm, vaddr_t start, vaddr_t end)
    VM_MUST_CHECK;
int pmap_discard_table(struct pmap *pm, vaddr_t va) VM_MUST_CHECK;

/*
 * Progress (law 7): while a pmap is held, voluntary forgetting is refused;
 * revocations never are.  Counted: each hold needs its release.
 */
void pmap_hold(struct pmap *pm);
void pmap_release(struct pmap *pm);

/*
 * pmap_reap - free dropped tables whose grace period is over; returns how
 * many table pages are still in limbo.  force: wait for the grace period
 * (spins until no other CPU is inside a pmap operation that began before);
 * never force with a lock held.
 */
uint64_t pmap_reap(bool force);

struct pmap_counts {
    uint64_t tables;            /* table pages reachable, root included */
    uint64_t translations;      /* leaf entries (MI pages) */
    uint64_t wired;
};

struct pmap_events {            /* since boot, all pmaps */
    uint64_t enters, retries, prefilled;
    uint64_t removes, protects, page_protects;
    uint64_t discards, table_discards;
    uint64_t flushes, flushed_cpus, full_flushes, pending_flushes;
    uint64_t tables_made, tables_freed, asid_rolls, pv_chunks;
};

/* By walking; exact only while nobody else uses pm. */
void pmap_count(struct pmap *pm, struct pmap_counts *out);
void pmap_events(struct pmap_events *out);

/*
 * pmap_check - verify the structure of one pmap: entries well-formed,
 * tables of kind TABLE, each translation of a managed page known to its
 * reverse map, no write grant on a clean page.  Panics with what is wrong.
 * pmap_check_all - the same for all pmaps, limbo and ASIDs.
 * => Locks: nobody else uses pm
 */
void pmap_check(struct pmap *pm);
void pmap_check_all(void);

/*
 * pmap_audit - call fn for each translation in rising order of address,
 * an MI page at a time; stop and return its value when it is not 0.
 */
struct pmap_mapping {
    vaddr_t va;
    paddr_t pa;
    vm_prot_t prot;
    bool wired;
};
int pmap_audit(struct pmap *pm,
    int (*fn)(void *arg, const struct pmap_mapping *m), void *arg);

#if VM_TEST
/*
 * Called by pmap/common (test builds) each time a revocation is complete:
 * the simulated MMU then holds every later use of such a translation for a
 * violation.  pm NULL: any pmap; pa ~0: any frame; keep: rights that stay.
 */
void pmap_test_revoked(struct pmap *pm, vaddr_t start, vaddr_t end,
    paddr_t pa, vm_prot_t keep);
#endif

/* pmap_enter() of a page of an object, without flags: what a fault does. */
int pmap_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq) VM_MUST_CHECK;

#endif
