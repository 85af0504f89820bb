/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmap.h - the contract between the VM core and an MMU.
 *
 * A pmap is a cache of one address map.  Any translation may be missing at
 * any moment, but for the kernel's own wired ones; none may grant more
 * than the map, the object and the page allow now.  docs/pmap.md is this
 * header as a manual page, with the laws and the protocol.
 *
 * For all functions:
 * => Context: a thread; may spin, never sleeps; not from an interrupt.
 * => Addresses are multiples of the MI page; ranges lie inside the half of
 *    the address space that the pmap translates (asserted).
 * => TLB: "gone everywhere on return" includes page-walk caches, CPUs that
 *    run the space lazily, and CPUs that will run it later.  With a batch,
 *    it is true when the batch is committed.
 */
#ifndef PMAP_H
#define PMAP_H

#include "vm_page.h"

struct pmap;
struct pmap_batch;

/* pmap_enter flags */
#define PMAP_WIRED      1u      /* kernel pmap only: may not be forgotten */
#define PMAP_DEVICE     2u      /* device memory: uncached, never executed */

/*
 * pmap_init - make the kernel's pmap and what all pmaps share.
 *
 * => Context: once, one CPU, after vm_page_bootstrap()
 * => seq:     sequence of the kernel's map
 * => Fails:   VM_E_NOMEM
 */
int pmap_init(struct vm_seq *seq) VM_MUST_CHECK;
struct pmap *pmap_kernel(void);

/*
 * pmap_create - an empty pmap for a user map, in the default format.
 *
 * => seq:   the map's sequence; outlives the pmap
 * => Fails: VM_E_NOMEM, nothing changed
 * Takes no table: the first pmap_enter() or pmap_activate() does.
 *
 * pmap_destroy - drop it and all it holds.
 *
 * => Needs: no thread runs in it or will; CPUs may still hold it lazily
 * => TLB:   all its translations are gone everywhere on return
 */
int pmap_create(struct vm_seq *seq, struct pmap **out) VM_MUST_CHECK;
void pmap_destroy(struct pmap *pm);

/* Lowest and first-beyond-highest user address that pm can translate. */
void pmap_bounds(const struct pmap *pm, vaddr_t *start, vaddr_t *end);

/*
 * pmap_activate - run in pm's space on this CPU from now on.
 *
 * => Context: preemption disabled; pmap_kernel() means "in none" (the CPU
 *             gives its user space up at once, none is held lazily)
 * => Fails:   VM_E_NOMEM (no root table), still in the old space
 */
int pmap_activate(struct pmap *pm) VM_MUST_CHECK;

/*
 * pmap_enter - map one page at va, replacing any mapping there.
 *
 * => Locks:   caller holds the lock of the page's object (and of the
 *             object it resolves through); takes leaf
 * => Needs:   prot has READ; if prot has WRITE, the page is marked modified
 *             (asserted); pa is not in our RAM: unmanaged, no reverse map
 * => Fails:   VM_E_NOMEM, pmap unchanged; caller unlocks, frees memory,
 *             retries
 *             VM_E_RETRY, seq is not the map's sequence any more: a
 *             revocation began since it was read; pmap unchanged
 * => TLB:     a replaced translation to another frame is gone everywhere
 *             before the new one can be used anywhere; this CPU uses the
 *             new one at once; others may fault once more on an upgrade
 */
int pmap_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq) VM_MUST_CHECK;

/*
 * pmap_prefill - map neighbours of a page just entered, if that is cheap.
 *
 * => near:    what may be mapped at va, va + page ... (vm_page.h)
 * => Locks:   as pmap_enter, for every page
 * Takes no memory but for the reverse map, replaces and upgrades nothing,
 * enters what fits in the table that was used last; stops at a changed
 * seq.  Never fails.
 * => Returns: how many of them could be looked at
 */
unsigned pmap_prefill(struct pmap *pm, vaddr_t va, const struct pmap_near *near,
    vm_seq_t seq);

/*
 * pmap_remove - revoke all rights in [start, end).
 * pmap_protect - revoke the rights that are not in prot (READ, or READ and
 *     EXEC; NONE is pmap_remove).
 *
 * => Locks:   caller has begun a change of the map's sequence (odd), so a
 *             pmap_enter() decided before cannot land after; takes leaf
 * => TLB:     revoked rights are gone everywhere on return
 * Both may forget more than they were asked to revoke.  They find wired
 * kernel translations too: only the kernel removes those.
 */
void pmap_remove(struct pmap *pm, vaddr_t start, vaddr_t end,
    struct pmap_batch *batch);
void pmap_protect(struct pmap *pm, vaddr_t start, vaddr_t end,
    vm_prot_t prot, struct pmap_batch *batch);

/*
 * pmap_page_protect - revoke rights to a frame in every pmap.
 *
 * => Locks:   caller holds the lock of the page's object
 * => prot:    NONE, READ or READ | EXEC: what may stay
 * => TLB:     revoked rights are gone everywhere on return.  After NONE
 *             without a batch the page has no reverse-map hint.
 */
void pmap_page_protect(struct vm_page *page, vm_prot_t prot,
    struct pmap_batch *batch);

/*
 * pmap_page_forget - the page is about to be freed: no translation to it
 *     and no hint is left on return, as after pmap_page_protect(NONE).
 *
 * => Locks:   caller holds the lock of the page's object
 * => Needs:   pm NULL; or pmap_remove(pm) of [start, end) is complete, and
 *             no address there has led to this page since
 * Cheap where all hints name that range, or pmaps that are no more.
 */
void pmap_page_forget(struct vm_page *page, const struct pmap *pm,
    vaddr_t start, vaddr_t end);

/*
 * pmap_page_age - was the page used since the last call?  Clears the mark.
 *
 * => Locks:   caller holds the lock of the page's object
 * A hint: stale TLB entries may hide a use.  Revokes nothing.
 */
bool pmap_page_age(struct vm_page *page);

/*
 * pmap_extract - what va translates to now: true, and *pa, *prot are set.
 *
 * => Locks: none; the answer is true when it is read, and may be
 *           forgotten by the time it is used
 */
bool pmap_extract(struct pmap *pm, vaddr_t va, paddr_t *pa,
    vm_prot_t *prot);

/*
 * Batches: several revocations, one round of invalidation.
 *
 * The batch lives on the caller's stack.  Between begin and commit the
 * caller must not sleep, nor depend on the revocations.  A batch that is
 * full commits itself and goes on.
 */
#define PMAP_BATCH_WORDS 80
struct pmap_batch {
    uint64_t private[PMAP_BATCH_WORDS];
};
void pmap_batch_begin(struct pmap_batch *batch);
void pmap_batch_commit(struct pmap_batch *batch);

#endif
