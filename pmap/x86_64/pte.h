/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/pte.h - codec of the long-mode page tables (see pt_format.h).
 *
 * Source: Intel SDM vol. 3A (order 325462-075), chapter 4 "Paging"; "T4-n"
 * is its table 4-n.  AMD64 APM vol. 2, 5.3-5.4 agrees on every bit used.
 *
 * One form is written for each meaning, and all else is PTE_BAD, bits that
 * the processor ignores included: a stray store shows itself early.
 *
 *   table  address | A | US | RW | P   (T4-15, T4-17, T4-19)
 *          Rights are the AND over all levels (4.6.1): leaves decide.  A is
 *          written set, so the processor never changes a table entry.
 *   leaf   T4-16, T4-18, T4-20.  READ is P, WRITE is RW, EXEC is not NX.
 *          NORMAL is PAT entry 0 (write-back), DEVICE is entry 3, PCD|PWT
 *          (uncacheable), as after reset (11.12.4); DEVICE has NX.
 *
 * Not supported, and taken out by pte_leaf(): global with user, dirty
 * without WRITE (a shadow-stack page, 4.6.1), EXEC of DEVICE.
 */
#ifndef PTE_H
#define PTE_H

#include "pt_format.h"

#define PTE_BIT(n)      ((pte_t)1 << (n))
#define PTE_P           PTE_BIT(0)      /* T4-20: present */
#define PTE_RW          PTE_BIT(1)      /* T4-20: writes allowed */
#define PTE_US          PTE_BIT(2)      /* T4-20: user mode allowed */
#define PTE_PWT         PTE_BIT(3)      /* 4.9.2: bit 0 of the PAT index */
#define PTE_PCD         PTE_BIT(4)      /* 4.9.2: bit 1 of the PAT index */
#define PTE_A           PTE_BIT(5)      /* 4.8: accessed */
#define PTE_D           PTE_BIT(6)      /* 4.8: dirty */
#define PTE_PS          PTE_BIT(7)      /* T4-16, T4-18: large leaf */
#define PTE_G           PTE_BIT(8)      /* 4.10.2.4: global */
#define PTE_WIRED       PTE_BIT(9)      /* T4-20: 11:9 are software's */
#define PTE_NX          PTE_BIT(63)     /* T4-20: execute-disable */
#define PTE_UC          (PTE_PCD | PTE_PWT)
#define PTE_LEAF_BITS   (PTE_P | PTE_RW | PTE_US | PTE_UC | PTE_A | PTE_D | \
                         PTE_G | PTE_WIRED | PTE_NX)

/*
 * md is CR4.LA57 that the format needs.  A fifth level is one more row:
 * levels 5, bits { 9, 9, 9, 9, 9 }, user_end 2^56 - 64 KiB, md 1; no code.
 * The last 64 KiB below the canonical hole stay unused: on some processors
 * SYSRET to the first non-canonical address faults in the kernel.
 * pa_bits: MAXPHYADDR is at most 52 (4.1.4); a frame of this machine has
 * no bit above its own MAXPHYADDR.
 */
#define PTE_FORMATS 1
static const struct pt_format pte_formats[PTE_FORMATS] = {
    {
        .name = "x86_64-4level", .levels = 4, .page_shift = 12,
        .bits = { 9, 9, 9, 9 }, .pa_bits = 52, .shared_root = 1,
        .user_start = 0x10000, .user_end = 0x00007fffffff0000,
        .kernel_start = 0xffffffff00000000,
        .kernel_end = 0xffffffffc0000000,
        .md = 0
    }
};

/* Address bits of what an entry maps, when that is 2^shift bytes. */
static inline pte_t
pte_addr_mask(const struct pt_format *f, unsigned shift)
{
    return (PTE_BIT(f->pa_bits) - 1) & ~(PTE_BIT(shift) - 1);
}

/* 4 KiB, 2 MiB, 1 GiB; PS is reserved in PML4E and PML5E (T4-14, T4-15). */
static inline bool
pte_leaf_ok(const struct pt_format *f, int level)
{
    return level <= 2 && level < f->levels;
}

static inline bool
pte_leads(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return (pte & (PTE_P | PTE_PS)) == PTE_P;
}

static inline pte_t
pte_table(const struct pt_format *f, paddr_t pa)
{
    return (pa & pte_addr_mask(f, f->page_shift)) |
        PTE_A | PTE_US | PTE_RW | PTE_P;
}

static inline pte_t
pte_leaf(const struct pt_format *f, paddr_t pa, struct pte_attr attr,
    int level)
{
    bool write = (attr.prot & VM_PROT_WRITE) != 0;
    bool device = attr.memory == PTE_DEVICE;
    bool exec = (attr.prot & VM_PROT_EXEC) != 0 && !device;

    return (pa & pte_addr_mask(f, pt_shift(f, level))) | PTE_P |
        (write ? PTE_RW : 0) |
        (write && attr.dirty ? PTE_D : 0) |
        (exec ? 0 : PTE_NX) |
        (device ? PTE_UC : 0) |
        (attr.user ? PTE_US : 0) |
        (attr.global && !attr.user ? PTE_G : 0) |
        (attr.wired ? PTE_WIRED : 0) |
        (attr.accessed ? PTE_A : 0) |
        (level > 0 ? PTE_PS : 0);
}

static inline enum pte_kind
pte_kind(const struct pt_format *f, pte_t pte, int level)
{
    pte_t allowed = PTE_LEAF_BITS | (level > 0 ? PTE_PS : 0);

    if (pte == 0) {
        return PTE_EMPTY;
    }
    if (level > 0 && (pte & PTE_PS) == 0) {
        return pte == pte_table(f, pte) ? PTE_TABLE : PTE_BAD;
    }
    if (!pte_leaf_ok(f, level)) {
        return PTE_BAD;
    }
    /*
     * Address bits from pa_bits up and below the size of the leaf are
     * reserved (T4-16, T4-18), bit 12 of a large leaf and bit 7 of a small
     * one are PAT, 62:59 the protection key, the rest is ignored (T4-20).
     */
    allowed |= pte_addr_mask(f, pt_shift(f, level));
    if ((pte & ~allowed) != 0 || (pte & PTE_P) == 0) {
        return PTE_BAD;
    }
    if ((pte & PTE_UC) != 0 &&
        ((pte & PTE_UC) != PTE_UC || (pte & PTE_NX) == 0)) {
        return PTE_BAD;
    }
    if ((pte & (PTE_G | PTE_US)) == (PTE_G | PTE_US) ||
        (pte & (PTE_D | PTE_RW)) == PTE_D) {
        return PTE_BAD;
    }
    return PTE_LEAF;
}

/* The bits below a large leaf's address are 0, or it were PTE_BAD. */
static inline paddr_t
pte_pa(const struct pt_format *f, pte_t pte, int level)
{
    (void)level;
    return pte & pte_addr_mask(f, f->page_shift);
}

static inline struct pte_attr
pte_attr(const struct pt_format *f, pte_t pte, int level)
{
    (void)f;
    (void)level;
    return (struct pte_attr){
        .prot = (uint8_t)(VM_PROT_READ |
            (pte & PTE_RW ? VM_PROT_WRITE : 0) |
            (pte & PTE_NX ? 0 : VM_PROT_EXEC)),
        .memory = pte & PTE_PCD ? PTE_DEVICE : PTE_NORMAL,
        .user = (pte & PTE_US) != 0,
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
        pte &= ~(PTE_RW | PTE_D);
    }
    if ((prot & VM_PROT_EXEC) == 0) {
        pte |= PTE_NX;
    }
    return pte;
}

/* The processor sets A again when it next fills a TLB from the leaf (4.8). */
static inline pte_t
pte_age(const struct pt_format *f, pte_t pte)
{
    (void)f;
    return pte & ~PTE_A;
}

#endif
