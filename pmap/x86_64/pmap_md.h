/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/pmap_md.h - constants and what the boot layer supplies and calls
 * (see pt_md.h).  SDM: Intel SDM vol. 3A, order 325462-075.
 */
#ifndef PMAP_MD_H
#define PMAP_MD_H

#include "pt_md.h"

/*
 * Code, source and destination of a string instruction, each of which may lie
 * across two pages (SDM vol. 2, MOVS; 8.1.1 lets any access be misaligned).
 */
#define PMAP_MD_INSN_PAGES      6u

#define PMAP_MD_ASID_BITS       12      /* PCID, SDM 4.10.1 */
#define PMAP_MD_BROADCAST       0
#define PMAP_MD_CACHES_INVALID  0       /* SDM 4.10.2.3: P = 0 is not cached */

#ifdef PMAP_SIM
void sim_publish(void);                 /* supplied by pmap/sim */
#endif

/* Stores are seen in program order (SDM 8.2.2), by walkers too. */
static inline void
pmap_md_publish(void)
{
#ifdef PMAP_SIM
    sim_publish();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/*
 * pmap_md_cpu_init - make this CPU behave as the codec assumes: WP, global
 * pages, SMEP and PCIDs as far as it has them.
 *
 * => Context: the boot layer, on each CPU, the boot CPU first, before any
 *             other operation of pmap_md there
 * => Needs:   IA32_EFER.NXE set, IA32_PAT as after reset; CR3 holds
 *             the kernel's root, its user half empty by the time of the
 *             first pmap_md_activate() with root 0
 */
void pmap_md_cpu_init(void);

/*
 * kern_ipi_call - supplied by the boot layer: run fn(arg) on each CPU of
 * the set other than this one; returns when all have.
 *
 * => Context: preemption disabled; any spin lock may be held.  A CPU that
 *             waits here serves the calls of others meanwhile.
 * Stores made before it are visible to fn on each CPU.
 */
void kern_ipi_call(struct pt_cpuset cpus, void (*fn)(void *), void *arg);

#endif
