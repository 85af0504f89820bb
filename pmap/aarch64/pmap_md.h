/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aarch64/pmap_md.h - constants and what the boot layer calls (see
 * pt_md.h).  Sections are of the Arm ARM, DDI 0487 issue J.a.
 */
#ifndef PMAP_MD_H
#define PMAP_MD_H

/*
 * MAIR_EL1 (D17.2) that the codec's AttrIndx assumes, for start.S too:
 * attribute 0 is Normal, write-back, allocating; 1 is Device-nGnRnE.
 */
#define PMAP_MD_MAIR            0x00ff

#ifndef __ASSEMBLER__
#include "pt_md.h"

/*
 * Code is aligned; a load or store of a pair or a vector structure may lie
 * across two pages.  Two such for the memory copies of FEAT_MOPS.
 */
#define PMAP_MD_INSN_PAGES      5u

#define PMAP_MD_ASID_BITS       16
#define PMAP_MD_BROADCAST       1       /* TLBI ...IS, D8.13 */
#define PMAP_MD_CACHES_INVALID  0       /* D8.13: faulting ones are not held */

#ifdef PMAP_SIM
void sim_publish(void);                 /* supplied by pmap/sim */
#endif

/*
 * A store to a table is sure to be seen by walkers after DSB, and by what
 * this CPU executes next after ISB (D8.2, "Ordering of memory accesses
 * from translation table walks").
 */
static inline void
pmap_md_publish(void)
{
#ifdef PMAP_SIM
    sim_publish();
#else
    __asm__ volatile("dsb ishst; isb" : : : "memory");
#endif
}

/*
 * pmap_md_cpu_init - make this CPU behave as the codec assumes: MAIR, ASID
 * size, hardware access flag as far as it has it; TTBR0 walks off.
 *
 * => Context: the boot layer, on each CPU, running from TTBR1, before any
 *             other operation of pmap_md there
 * => Needs:   TCR_EL1.IPS, T1SZ, TG1 and SCTLR_EL1.M set, MAIR_EL1 as above
 */
void pmap_md_cpu_init(void);

#endif
#endif
