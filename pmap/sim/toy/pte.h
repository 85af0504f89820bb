/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy/pte.h - what the simulated MMU wants to know of a machine that has
 * no table entries: the halves of its address space.  The codec is there to
 * be compiled, never called.
 */
#ifndef PTE_H
#define PTE_H

#include "pt_format.h"

#define SIM_HAS_TABLES  0

#define PTE_FORMATS 1
static const struct pt_format pte_formats[PTE_FORMATS] = {
    {
        .name = "toy", .levels = 1, .page_shift = 12, .bits = { 35 },
        .pa_bits = 52, .shared_root = 0,
        .user_start = 0x10000, .user_end = 0x0000400000000000,
        .kernel_start = 0xffffffff00000000,
        .kernel_end = 0xffffffffc0000000
    }
};

static inline enum pte_kind
pte_kind(const struct pt_format *f, pte_t pte, int level)
{
    (void)f;
    (void)level;
    return pte == 0 ? PTE_EMPTY : PTE_BAD;
}

static inline paddr_t
pte_pa(const struct pt_format *f, pte_t pte, int level)
{
    (void)f;
    (void)level;
    return pte;
}

static inline struct pte_attr
pte_attr(const struct pt_format *f, pte_t pte, int level)
{
    (void)f;
    (void)pte;
    (void)level;
    return (struct pte_attr){ .prot = VM_PROT_READ };
}

static inline pte_t
pte_leaf(const struct pt_format *f, paddr_t pa, struct pte_attr attr,
    int level)
{
    (void)f;
    (void)attr;
    (void)level;
    return pa;
}

#endif
