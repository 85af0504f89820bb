/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_md.h - what each machine supplies beside <pte.h>: constants in its
 * <pmap_md.h> and the privileged operations below, in its pmap_md.c.  The
 * simulated MMU implements the same operations for every <pte.h>.
 *
 * <pmap_md.h> defines:
 *   PMAP_MD_ASID_BITS     most bits that the hardware may have (0: none)
 *   PMAP_MD_BROADCAST     1 if an invalidation reaches all CPUs by itself
 *   PMAP_MD_CACHES_INVALID 1 if invalid entries may be cached, so that a
 *                         fence is due after invalid -> valid (riscv64)
 *   PMAP_MD_INSN_PAGES    most pages that one instruction needs at once, to
 *                         be fetched and executed (docs/pmap.md)
 *   pmap_md_publish()     static inline: table writes made before it are
 *                         seen by walkers of every CPU before anything
 *                         done after it (dsb ishst; x86: compiler only)
 */
#ifndef PT_MD_H
#define PT_MD_H

#include "pt_format.h"
#include "vm_kern.h"

struct pt_cpuset {
    uint64_t bits;
};

/*
 * One round of invalidation for one address space.  With n > 0, the n
 * ranges; n == 0: the whole ASID (or, asid == PT_ASID_KERNEL, the kernel's
 * global entries and everything else).  tables: a table was unlinked, so
 * page-walk caches go too.
 */
#define PT_FLUSH_RANGES 16
#define PT_ASID_KERNEL  0u      /* never given to a user pmap */
struct pt_flush {
    uint32_t asid;
    bool tables;
    uint8_t page_shift;         /* hardware page of the format */
    uint8_t n;
    struct {
        vaddr_t start, end;
    } range[PT_FLUSH_RANGES];
};

/* ASID bits that this machine really has, <= PMAP_MD_ASID_BITS. */
unsigned pmap_md_asid_bits(void);

/*
 * pmap_md_flush - on return no CPU of the set (this one included if it is
 * in it) can use an old translation in the flush, nor has an access under
 * way that began with one.  IPI, broadcast or firmware call stays private.
 * Called with preemption disabled; acknowledgements are awaited, so CPUs
 * in the set must serve them even while they spin (kern_relax).
 */
void pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus);

/*
 * pmap_md_activate - this CPU walks from root under asid from now on.
 * flush_asid: what it may still hold for that asid goes first.
 * root 0: no user half (a reserved empty root).
 */
void pmap_md_activate(const struct pt_format *f, paddr_t root,
    uint32_t asid, bool flush_asid);

/*
 * pmap_md_reload - one CPU, this or another, walks from root under asid from
 * now on, if still() says so there, where that CPU cannot load another root
 * meanwhile.  What it may hold for asid goes first.
 *
 * => Context: preemption disabled; acknowledgement is awaited as in
 *             pmap_md_flush()
 * Supplied by the kernel, once for all its machines (kern/mmu.c), or the
 * simulator: it takes an interrupt on the other CPU.
 * => Returns: what still(arg, cpu) did
 */
bool pmap_md_reload(const struct pt_format *f, paddr_t root, uint32_t asid,
    unsigned cpu, bool (*still)(void *arg, unsigned cpu), void *arg);

/*
 * pmap_md_fence - this CPU forgets what it holds for one page of its
 * current space, "not there" included.  After invalid -> valid where
 * PMAP_MD_CACHES_INVALID, and when a fault finds that the table already
 * has a sufficient entry.
 */
void pmap_md_fence(vaddr_t va, uint32_t asid);

/* Instruction caches of all CPUs agree with the page from now on. */
void pmap_md_icache_sync(paddr_t pa, size_t size);

/* Which formats this machine has: a bit per index of pte_formats. */
uint64_t pmap_md_formats(void);

/*
 * pmap_md_kernel_root - the root of the kernel's half in format f (of the
 * shared-root formats, the one with the fewest levels).
 *
 * => made:    0, or a zeroed table that pmap/common offers
 * => Returns: the root that the boot layer made (CR3, satp, TTBR1), or made
 * Nothing but the kernel's window in it is touched.  A machine without this
 * function (weak) takes what it is offered, and must look there for the
 * kernel's translations.
 */
paddr_t pmap_md_kernel_root(const struct pt_format *f, paddr_t made);

#endif
