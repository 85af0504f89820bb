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
unsigned pmap_format(struct pmap *pm);

/*
 * What a pmap's tables look like.  All of it may be changed while threads
 * run in it (pmap_configure); none of it is seen by them.
 */
struct pmap_config {
    unsigned format;            /* index, < pmap_format_count() */
    bool tagged;                /* translations live under an ASID of its
                                   own; else they go at each activation */
    bool large;                 /* leaves of more than a page may be used */
};
void pmap_config(struct pmap *pm, struct pmap_config *out);

/*
 * pmap_configure - give pm tables of another kind.  What was translated is
 * forgotten; CPUs that run in pm go on in the new, empty tables.
 *
 * => Locks: that of pm's map, whose sequence has begun to change: nothing
 *           of the map lies beyond what the new format reaches (asserted
 *           by nobody: vm_map_configure() is who asks)
 * => Fails: VM_E_INVAL  no such format, or its page is larger than MI's,
 *                       or the kernel's pmap
 *           VM_E_NOMEM  no root table
 *           VM_E_BUSY   held for progress, or being changed or evicted by
 *                       another
 *           then nothing has changed
 * => After: pmap_bounds() are the new format's
 * => TLB:   nothing of before is used by any CPU on return
 * pmap_config_bounds: what pmap_bounds() would be then.
 */
int pmap_configure(struct pmap *pm, const struct pmap_config *config)
    VM_MUST_CHECK;
void pmap_config_bounds(const struct pmap_config *config, vaddr_t *start,
    vaddr_t *end);

/*
 * Voluntary forgetting, at any moment, by any thread, for any user pmap.
 *
 * => Locks:   none needed
 * => Fails:   VM_E_BUSY: the pmap is held for progress (pmap_hold), nothing
 *             forgotten; VM_E_INVAL: the kernel's pmap, or a bad range
 * => TLB:     the forgotten translations are gone everywhere on return
 * discard: everything, in O(1) for the caller: the user half of the root
 * is emptied in place, the subtrees go to limbo.  discard_table: the leaf
 * table that translates va.  discard_all: every user pmap that is not held;
 * returns how many.  evict: everything and the root, of a pmap that no CPU
 * has loaded (VM_E_BUSY: one has; then all but the root is gone).
 */
int pmap_discard(struct pmap *pm) VM_MUST_CHECK;
int pmap_discard_range(struct pmap *pm, vaddr_t start, vaddr_t end)
    VM_MUST_CHECK;
int pmap_discard_table(struct pmap *pm, vaddr_t va) VM_MUST_CHECK;
unsigned pmap_discard_all(void);
int pmap_evict(struct pmap *pm) VM_MUST_CHECK;

/*
 * The budget of page tables, in table pages (an MI page each): a ceiling
 * that is never passed, limbo and stock included.  Counted are the tables
 * of user pmaps; the kernel's own stay, and are few.
 *
 * A pmap_enter() or pmap_activate() that would pass it fails with
 * VM_E_NOMEM; pmap_make_room() then evicts tables of others, idle pmaps
 * with their roots first, then tables that were not used lately, sparse
 * before dense.
 *
 * set_budget: for the machine; 0: none (at boot).
 * set_limit: for one pmap, its tables in limbo included; 0: none.
 * => Fails: VM_E_INVAL, less than pmap_budget_floor(): what one instruction
 *           may need at once on every CPU, derived in docs/pmap.md
 * Lowering evicts at once; what cannot be freed at this moment goes before
 * the next table is made.
 */
int pmap_set_budget(uint64_t tables) VM_MUST_CHECK;
int pmap_set_limit(struct pmap *pm, uint64_t tables) VM_MUST_CHECK;
uint64_t pmap_budget_floor(void);

struct pmap_budget {
    uint64_t limit;             /* 0: none */
    uint64_t tables;            /* now, limbo and stock included */
    uint64_t peak;              /* most since the limit was set */
    uint64_t evicted;           /* tables evicted for it, since boot */
    uint64_t waits;             /* times that nothing could be evicted */
};
void pmap_budget(struct pmap_budget *out);          /* of the machine */
void pmap_limit(struct pmap *pm, struct pmap_budget *out);

/*
 * pmap_make_room - after VM_E_NOMEM: free page tables so that pm can have
 * one more.
 *
 * => Locks:   none held; preemption enabled
 * => Returns: true: try again.  false: there is nothing to free (memory is
 *             short for another reason), or all of it is held for progress
 */
bool pmap_make_room(struct pmap *pm);
/* Is it the budget or pm's limit that refuses a table just now? */
bool pmap_is_over(struct pmap *pm);

/*
 * The next live user pmap, pinned, so that it may be destroyed meanwhile and
 * comes to no harm; NULL begins and ends it.  after is unpinned; who stops
 * before the end unpins the last.
 */
struct pmap *pmap_next(struct pmap *after);
void pmap_unpin(struct pmap *pm);

/* Every ASID is given anew from now on, as when they are used up. */
void pmap_roll_asids(void);

/*
 * Progress (law 7): while a pmap is held, voluntary forgetting is refused;
 * revocations never are.  Of several that are held only the first is safe
 * from pmap_make_room(), when nobody else has anything to give.  Counted:
 * each hold needs its release.
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
    uint64_t changes;           /* pmap_configure() that succeeded */
    uint64_t evicted;           /* tables evicted for a budget */
    uint64_t large, large_forgotten;    /* leaves entered, forgotten */
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
/* Steps to wait between an edit and its flush: as late as is allowed. */
extern _Atomic unsigned pmap_test_delay;
#endif

/* pmap_enter() of a page of an object, without flags: what a fault does. */
int pmap_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq) VM_MUST_CHECK;

/*
 * Leaves of more than a page.  large_shift: of the smallest that pm's format
 * has and its configuration allows, in bytes; 0: none.
 * enter_large: the run of frames from head on, all pages of one object,
 * resident, valid, not busy, alike in rights, is mapped at va by one leaf;
 * va and head are aligned to it.
 *
 * => Locks, Needs, Fails, TLB: as pmap_enter_page(), for every page; and
 *           who may WRITE has ended that caches agree (VM_PG_ICACHE)
 * A revocation of any part forgets the whole leaf; what is left comes back
 * by faults.  VM_E_NOMEM also where a hint would need memory.
 */
unsigned pmap_large_shift(struct pmap *pm);
/* Does neither a leaf nor a table stand where va's large leaf would? */
bool pmap_large_room(struct pmap *pm, vaddr_t va);
int pmap_enter_large(struct pmap *pm, vaddr_t va, struct vm_page *head,
    vm_prot_t prot, vm_seq_t seq) VM_MUST_CHECK;

#endif
