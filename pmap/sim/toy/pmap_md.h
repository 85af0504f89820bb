/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy/pmap_md.h - constants of the two toy machines (see pt_md.h), whose
 * MMUs are no radix trees and which exist in pmap/sim/ only.
 */
#ifndef PMAP_MD_H
#define PMAP_MD_H

#include "pt_md.h"

/* It has no tables. */
#define PMAP_MD_INSN_PAGES      1u

#define PMAP_MD_ASID_BITS       8
#define PMAP_MD_BROADCAST       0
#define PMAP_MD_CACHES_INVALID  0

void sim_publish(void);

static inline void
pmap_md_publish(void)
{
    sim_publish();
}

#endif
