/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aarch64/pte.h - codec of the VMSAv8-64 stage 1 tables of EL1&0 (see
 * pt_format.h), granules 4, 16 and 64 KiB.
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D8.3.1 (descriptor formats), D8.3.2
 * (their attribute fields), D8.4 (access control), D8.5 (access flag and
 * dirty state), D8.6 (memory types, shareability).  Our level n is the
 * manual's level 3 - n.
 *
 * One form is written for each meaning, and all else is PTE_BAD, bits that
 * the hardware ignores included: a stray store shows itself early.
 *
 *   table  address | 0b11, with no hierarchical attribute (63:59): leaves
 *          decide
 *   leaf   0b11 at level 0 (a page), 0b01 above (a block).  WRITE is AP[2]
 *          clear.  A user leaf always has PXN, a kernel leaf always UXN;
 *          EXEC is the other of the two clear.  NORMAL is MAIR attribute 0
 *          and inner shareable, DEVICE is attribute 1 and neither PXN nor
 *          UXN is clear.
 *
 * AP[2] = 0 is all there is to dirty (DBM stays off): attr.dirty of
 * pte_leaf() is not kept, it reads as WRITE.
 * Not supported, and taken out by pte_leaf(): global with user, EXEC of
 * DEVICE.
 */
#ifndef PTE_H
#define PTE_H

#include "pt_format.h"

#define PTE_BIT(n)      ((pte_t)1 << (n))
#define PTE_VALID       PTE_BIT(0)      /* D8.3.1 */
#define PTE_PAGE        PTE_BIT(1)      /* D8.3.1: table or page, no block */
#define PTE_DEV         PTE_BIT(2)      /* D8.6: AttrIndx[0] */
#define PTE_AP_USER     PTE_BIT(6)      /* D8.4.1: AP[1], EL0 may access */
#define PTE_AP_RO       PTE_BIT(7)      /* D8.4.1: AP[2] */
#define PTE_SH_INNER    (PTE_BIT(8) | PTE_BIT(9))       /* D8.6: SH */
#define PTE_AF          PTE_BIT(10)     /* D8.5.1: access flag */
#define PTE_NG          PTE_BIT(11)     /* D8.3.2: not global */
#define PTE_PXN         PTE_BIT(53)     /* D8.4.1: EL1 never executes */
#define PTE_UXN         PTE_BIT(54)     /* D8.4.1: EL0 never executes */
#define PTE_WIRED       PTE_BIT(55)     /* D8.3.2: 58:55 are software's */
#define PTE_XN          (PTE_PXN | PTE_UXN)
#define PTE_LEAF_BITS   (PTE_VALID | PTE_PAGE | PTE_DEV | PTE_AP_USER | \
                         PTE_AP_RO | PTE_SH_INNER | PTE_AF | PTE_NG | \
                         PTE_XN | PTE_WIRED)

/*
 * md is T0SZ | TG0 << 14 as they stand in TCR_EL1 (D17.2, TCR_EL1): 64 less
 * the bits of an address; 4 KiB is 0b00, 16 KiB 0b10, 64 KiB 0b01.
 */
#define PTE_TCR(va_bits, tg0)   ((64u - (va_bits)) | (tg0) << 14)

/* What all formats have in common. */
#define PTE_SAME                                                        \
    .pa_bits = 48, .shared_root = 0, .user_start = 0x10000,              \
    .kernel_start = 0xffffffff00000000, .kernel_end = 0xffffffffc0000000

#define PTE_FORMATS 3
static const struct pt_format pte_formats[PTE_FORMATS] = {
    {
        .name = "4k", .levels = 4, .page_shift = 12, .bits = { 9, 9, 9, 9 },
        .user_end = 0x0001000000000000, .md = PTE_TCR(48, 0u), PTE_SAME
    }, {
        .name = "16k", .levels = 3, .page_shift = 14, .bits = { 11, 11, 11 },
        .user_end = 0x0000800000000000, .md = PTE_TCR(47, 2u), PTE_SAME
    }, {
        .name = "64k", .levels = 3, .page_shift = 16, .bits = { 13, 13, 6 },
        .user_end = 0x0001000000000000, .md = PTE_TCR(48, 1u), PTE_SAME
    }
};

/* Address bits of what an entry maps, when that is 2^shift bytes. */
static inline pte_t
pte_addr_mask(const struct pt_format *f, unsigned shift)
{
    return (PTE_BIT(f->pa_bits) - 1) & ~(PTE_BIT(shift) - 1);
}

/* D8.3.1, without LPA2: blocks of 2 MiB and 1 GiB; 32 MiB; 512 MiB. */
static inline bool
pte_leaf_ok(const struct pt_format *f, int level)
{
    return level <= (f->page_shift == 12 ? 2 : 1);
}

static inline bool
pte_leads(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return (pte & (PTE_VALID | PTE_PAGE)) == (PTE_VALID | PTE_PAGE);
}

static inline pte_t
pte_table(const struct pt_format *f, paddr_t pa)
{
    return (pa & pte_addr_mask(f, f->page_shift)) | PTE_PAGE | PTE_VALID;
}

static inline pte_t
pte_leaf(const struct pt_format *f, paddr_t pa, struct pte_attr attr,
    int level)
{
    bool device = attr.memory == PTE_DEVICE;
    bool exec = (attr.prot & VM_PROT_EXEC) != 0 && !device;

    return (pa & pte_addr_mask(f, pt_shift(f, level))) | PTE_VALID |
        (level == 0 ? PTE_PAGE : 0) |
        (device ? PTE_DEV : PTE_SH_INNER) |
        (attr.prot & VM_PROT_WRITE ? 0 : PTE_AP_RO) |
        (attr.user ? PTE_AP_USER | PTE_PXN : PTE_UXN) |
        (exec ? 0 : PTE_XN) |
        (attr.global && !attr.user ? 0 : PTE_NG) |
        (attr.wired ? PTE_WIRED : 0) |
        (attr.accessed ? PTE_AF : 0);
}

static inline enum pte_kind
pte_kind(const struct pt_format *f, pte_t pte, int level)
{
    pte_t allowed = PTE_LEAF_BITS;
    bool user = (pte & PTE_AP_USER) != 0;
    bool device = (pte & PTE_DEV) != 0;

    if (pte == 0) {
        return PTE_EMPTY;
    }
    if (level > 0 && (pte & PTE_PAGE) != 0) {
        return pte == pte_table(f, pte) ? PTE_TABLE : PTE_BAD;
    }
    /* 0b01 is reserved at the manual's level 3, D8.3.1. */
    if (!pte_leaf_ok(f, level) || (level == 0 && (pte & PTE_PAGE) == 0)) {
        return PTE_BAD;
    }
    /*
     * D8.3.1, D8.3.2: 49:48 and the address bits below a block are RES0 or
     * nT; 4:3 AttrIndx, 5 NS, 50 GP, 51 DBM, 52 Contiguous, 62:59 PBHA.
     */
    allowed |= pte_addr_mask(f, pt_shift(f, level));
    if ((pte & ~allowed) != 0 || (pte & PTE_VALID) == 0) {
        return PTE_BAD;
    }
    if ((pte & PTE_SH_INNER) != (device ? 0 : PTE_SH_INNER) ||
        (device && (pte & PTE_XN) != PTE_XN) ||
        (pte & (user ? PTE_PXN : PTE_UXN)) == 0 ||
        (user && (pte & PTE_NG) == 0)) {
        return PTE_BAD;
    }
    return PTE_LEAF;
}

/* The bits below a block's address are 0, or it were PTE_BAD. */
static inline paddr_t
pte_pa(const struct pt_format *f, pte_t pte, int level)
{
    (void)level;
    return pte & pte_addr_mask(f, f->page_shift);
}

static inline struct pte_attr
pte_attr(const struct pt_format *f, pte_t pte, int level)
{
    bool user = (pte & PTE_AP_USER) != 0;
    bool write = (pte & PTE_AP_RO) == 0;

    (void)f;
    (void)level;
    return (struct pte_attr){
        .prot = (uint8_t)(VM_PROT_READ | (write ? VM_PROT_WRITE : 0) |
            (pte & (user ? PTE_UXN : PTE_PXN) ? 0 : VM_PROT_EXEC)),
        .memory = pte & PTE_DEV ? PTE_DEVICE : PTE_NORMAL,
        .user = user,
        .global = (pte & PTE_NG) == 0,
        .wired = (pte & PTE_WIRED) != 0,
        .accessed = (pte & PTE_AF) != 0,
        .dirty = write
    };
}

/* READ stays. */
static inline pte_t
pte_restrict(const struct pt_format *f, pte_t pte, vm_prot_t prot)
{
    (void)f;
    if ((prot & VM_PROT_WRITE) == 0) {
        pte |= PTE_AP_RO;
    }
    if ((prot & VM_PROT_EXEC) == 0) {
        pte |= PTE_XN;
    }
    return pte;
}

/*
 * With TCR_EL1.HA (D8.5.1) the hardware sets AF again.  Without, the next
 * use that misses the TLB takes an access flag fault, which must go to
 * vm_fault() like any other: it enters the page again, with AF.
 */
static inline pte_t
pte_age(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return pte & ~PTE_AF;
}

#endif
