/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64/pte.h - codec of Sv39, Sv48 and Sv57 (see pt_format.h).
 *
 * Source: RISC-V Privileged Architecture 20211203: 4.3.1 (meaning of the
 * bits), 4.3.2 (translation), 4.4 Sv39, 4.5 Sv48, 4.6 Sv57, chapters 5
 * (Svnapot) and 6 (Svpbmt).
 *
 * One form is written for each meaning, and all else is PTE_BAD:
 *
 *   table  PPN | V.  R, W, X clear make a table; A, D, U are reserved there
 *          (4.3.1), G and RSW are never set
 *   leaf   V and R, W only with R, X.  RSW[0] is wired.  RSW[1] is DEVICE:
 *          what is device memory is said by the PMAs (3.6) of the address;
 *          PBMT needs Svpbmt and stays 0, so the software bit is only our
 *          note of what was asked for.  EXEC of DEVICE is never granted.
 *
 * Not supported, and taken out by pte_leaf(): global with user, dirty
 * without WRITE, EXEC of DEVICE.
 */
#ifndef PTE_H
#define PTE_H

#include "pt_format.h"

#define PTE_BIT(n)      ((pte_t)1 << (n))
#define PTE_V           PTE_BIT(0)      /* 4.3.1: valid */
#define PTE_R           PTE_BIT(1)      /* 4.3.1: read */
#define PTE_W           PTE_BIT(2)      /* 4.3.1: write */
#define PTE_X           PTE_BIT(3)      /* 4.3.1: execute */
#define PTE_U           PTE_BIT(4)      /* 4.3.1: user, and not supervisor */
#define PTE_G           PTE_BIT(5)      /* 4.3.1: in every address space */
#define PTE_A           PTE_BIT(6)      /* 4.3.1: accessed */
#define PTE_D           PTE_BIT(7)      /* 4.3.1: dirty */
#define PTE_WIRED       PTE_BIT(8)      /* 4.3.1: RSW[0] */
#define PTE_DEV         PTE_BIT(9)      /* 4.3.1: RSW[1] */
#define PTE_FLAGS       (PTE_BIT(10) - 1)
#define PTE_PPN_SHIFT   10              /* 4.4.1: PPN is 53:10 */

/* What all have in common; md of each is satp.MODE (4.1.11, table 4.4). */
#define PTE_SAME                                                        \
    .pa_bits = 56, .shared_root = 1, .user_start = 0x10000,              \
    .kernel_start = 0xffffffff00000000, .kernel_end = 0xffffffffc0000000

#define PTE_FORMATS 3
static const struct pt_format pte_formats[PTE_FORMATS] = {
    {
        .name = "sv39", .levels = 3, .page_shift = 12, .bits = { 9, 9, 9 },
        .user_end = 0x0000004000000000, .md = 8, PTE_SAME
    }, {
        .name = "sv48", .levels = 4, .page_shift = 12, .bits = { 9, 9, 9, 9 },
        .user_end = 0x0000800000000000, .md = 9, PTE_SAME
    }, {
        .name = "sv57", .levels = 5, .page_shift = 12,
        .bits = { 9, 9, 9, 9, 9 }, .user_end = 0x0100000000000000,
        .md = 10, PTE_SAME
    }
};

/* The PPN field for pa, aligned down to 2^shift bytes. */
static inline pte_t
pte_ppn(const struct pt_format *f, paddr_t pa, unsigned shift)
{
    pa &= (PTE_BIT(f->pa_bits) - 1) & ~(PTE_BIT(shift) - 1);
    return pa >> f->page_shift << PTE_PPN_SHIFT;
}

/* "Any level of PTE may be a leaf PTE" (4.4.1, 4.5.1, 4.6.1). */
static inline bool
pte_leaf_ok(const struct pt_format *f, int level)
{
    return level < f->levels;
}

static inline bool
pte_leads(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return (pte & (PTE_V | PTE_R | PTE_W | PTE_X)) == PTE_V;
}

static inline pte_t
pte_table(const struct pt_format *f, paddr_t pa)
{
    return pte_ppn(f, pa, f->page_shift) | PTE_V;
}

static inline pte_t
pte_leaf(const struct pt_format *f, paddr_t pa, struct pte_attr attr,
    int level)
{
    bool write = (attr.prot & VM_PROT_WRITE) != 0;
    bool device = attr.memory == PTE_DEVICE;
    bool exec = (attr.prot & VM_PROT_EXEC) != 0 && !device;

    return pte_ppn(f, pa, pt_shift(f, level)) | PTE_V | PTE_R |
        (write ? PTE_W : 0) |
        (write && attr.dirty ? PTE_D : 0) |
        (exec ? PTE_X : 0) |
        (device ? PTE_DEV : 0) |
        (attr.user ? PTE_U : 0) |
        (attr.global && !attr.user ? PTE_G : 0) |
        (attr.wired ? PTE_WIRED : 0) |
        (attr.accessed ? PTE_A : 0);
}

static inline paddr_t
pte_pa(const struct pt_format *f, pte_t pte, int level)
{
    (void)level;
    return (pte >> PTE_PPN_SHIFT << f->page_shift) &
        (PTE_BIT(f->pa_bits) - 1);
}

static inline enum pte_kind
pte_kind(const struct pt_format *f, pte_t pte, int level)
{
    pte_t ppn = pte_ppn(f, pte_pa(f, pte, level), pt_shift(f, level));

    if (pte == 0) {
        return PTE_EMPTY;
    }
    /* 4.3.2 step 4: R = X = 0 leads on; W without R is reserved. */
    if ((pte & (PTE_R | PTE_X)) == 0) {
        return level > 0 && pte == pte_table(f, pte_pa(f, pte, level)) ?
            PTE_TABLE : PTE_BAD;
    }
    /*
     * 4.4.1: 60:54 are reserved, 63 is N and 62:61 PBMT, reserved without
     * Svnapot and Svpbmt; 4.3.2 step 6: a misaligned superpage.  A leaf
     * that can only be executed is legal and never written.
     */
    if ((pte & ~(ppn | PTE_FLAGS)) != 0 ||
        (pte & (PTE_V | PTE_R)) != (PTE_V | PTE_R)) {
        return PTE_BAD;
    }
    if ((pte & (PTE_G | PTE_U)) == (PTE_G | PTE_U) ||
        (pte & (PTE_D | PTE_W)) == PTE_D ||
        (pte & (PTE_DEV | PTE_X)) == (PTE_DEV | PTE_X)) {
        return PTE_BAD;
    }
    return PTE_LEAF;
}

static inline struct pte_attr
pte_attr(const struct pt_format *f, pte_t pte, int level)
{
    (void)f;
    (void)level;
    return (struct pte_attr){
        .prot = (uint8_t)(VM_PROT_READ |
            (pte & PTE_W ? VM_PROT_WRITE : 0) |
            (pte & PTE_X ? VM_PROT_EXEC : 0)),
        .memory = pte & PTE_DEV ? PTE_DEVICE : PTE_NORMAL,
        .user = (pte & PTE_U) != 0,
        .global = (pte & PTE_G) != 0,
        .wired = (pte & PTE_WIRED) != 0,
        .accessed = (pte & PTE_A) != 0,
        .dirty = (pte & PTE_D) != 0
    };
}

/* READ stays; a leaf without WRITE is not dirty. */
static inline pte_t
pte_restrict(const struct pt_format *f, pte_t pte, vm_prot_t prot)
{
    (void)f;
    if ((prot & VM_PROT_WRITE) == 0) {
        pte &= ~(PTE_W | PTE_D);
    }
    if ((prot & VM_PROT_EXEC) == 0) {
        pte &= ~PTE_X;
    }
    return pte;
}

/*
 * Where the hardware does not set A (4.3.1 allows a page fault instead),
 * the next use that misses the TLB faults, and vm_fault() enters again.
 */
static inline pte_t
pte_age(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return pte & ~PTE_A;
}

#endif
