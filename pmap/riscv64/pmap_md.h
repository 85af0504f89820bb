/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64/pmap_md.h - constants and what the boot layer supplies and calls
 * (see pt_md.h).  Sections are of the Privileged Architecture 20211203.
 */
#ifndef PMAP_MD_H
#define PMAP_MD_H

#include "pt_md.h"

/*
 * With C an instruction may lie across two pages (16.1), and so may what a
 * misaligned access touches (2.6).
 */
#define PMAP_MD_INSN_PAGES      4u

#define PMAP_MD_ASID_BITS       16      /* satp.ASID, 4.1.11 */
#define PMAP_MD_BROADCAST       0
#define PMAP_MD_CACHES_INVALID  1       /* 4.2.1 */

#ifdef PMAP_SIM
void sim_publish(void);                 /* supplied by pmap/sim */
#endif

/* Orders the stores; this hart's own walks need pmap_md_fence() too. */
static inline void
pmap_md_publish(void)
{
#ifdef PMAP_SIM
    sim_publish();
#else
    __asm__ volatile("fence rw, rw" : : : "memory");
#endif
}

/*
 * pmap_md_cpu_init - learn the kernel's root and the width of ASIDs.
 *
 * => Context: the boot layer, on each hart, the boot hart first, before
 *             any other operation of pmap_md there
 * => Needs:   satp holds the kernel's root, in any mode; its user half is
 *             empty by the time of the first pmap_md_activate() with root 0
 */
void pmap_md_cpu_init(void);

/* Supplied by the boot layer: the hart id, as SBI wants it, of a CPU. */
uint64_t kern_hart_of(unsigned cpu);

#endif
