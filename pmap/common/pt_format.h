/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_format.h - geometry of a radix page table, as data, and the contract
 * of <pte.h>, the codec that each architecture supplies.
 *
 * Levels are counted from the leaf: level 0 maps one hardware page.  One
 * kernel runs several formats at a time (Sv39 beside Sv48), so nothing
 * here is a compile-time constant.
 *
 * <pte.h> defines, as pure static inline functions that compile on any
 * host (f is one of its own formats):
 *
 *   #define PTE_FORMATS n
 *   extern/static const struct pt_format pte_formats[PTE_FORMATS];
 *   enum pte_kind pte_kind(f, pte, level);
 *   pte_t   pte_table(f, pa);              entry that leads to a table
 *   pte_t   pte_leaf(f, pa, attr, level);  entry that maps a page
 *   paddr_t pte_pa(f, pte, level);         of a TABLE or LEAF
 *   struct pte_attr pte_attr(f, pte, level);       of a LEAF
 *   bool    pte_leaf_ok(f, level);         may a leaf stand here
 *   bool    pte_leads(f, pte);             of level > 0, well-formed: TABLE
 *   pte_t   pte_restrict(f, pte, prot);    a leaf with fewer rights
 *   pte_t   pte_age(f, pte);               the same leaf, not accessed
 *
 * Laws, tested exhaustively for every format (tests/unit/t_codec_*):
 * 0 is EMPTY at every level; marks (PT_MARK) are BAD; leads is kind TABLE;
 * table and leaf round-trip every supported address and attribute; what
 * the manual reserves is BAD, never LEAF;
 * restrict never adds a right and keeps all else; age only clears A.
 */
#ifndef PT_FORMAT_H
#define PT_FORMAT_H

#include "vm_types.h"

typedef uint64_t pte_t;

#define PT_MAX_LEVELS 5

struct pt_format {
    const char *name;
    uint8_t levels;
    uint8_t page_shift;                 /* hardware page, also a table */
    uint8_t bits[PT_MAX_LEVELS];        /* index bits of each level */
    uint8_t pa_bits;                    /* physical address bits */
    uint8_t shared_root;                /* kernel half in the same root */
    vaddr_t user_start, user_end;       /* user half: [start, end) */
    vaddr_t kernel_start, kernel_end;   /* kernel's window */
    uint64_t md;                        /* the codec's own: mode, TCR */
};

enum pte_kind {
    PTE_EMPTY,          /* 0, and only 0: other non-valid patterns are BAD */
    PTE_TABLE,
    PTE_LEAF,
    PTE_BAD             /* no such entry is ever written */
};

/*
 * What holds a place above level 0 while a large leaf is made (pt_large.c):
 * of one CPU, not valid to the hardware, whose valid bit is bit 0 in every
 * machine here, and no entry to anybody else.
 */
#define PT_MARK(cpu)    (((pte_t)(cpu) + 1) << 1)
#define PT_IS_MARK(pte) ((pte) != 0 && ((pte) & 1) == 0)

enum pte_memory {
    PTE_NORMAL,         /* write-back cacheable */
    PTE_DEVICE          /* strongly ordered, never executed */
};

struct pte_attr {
    uint8_t prot;       /* VM_PROT_*; always has READ */
    uint8_t memory;     /* enum pte_memory */
    bool user;
    bool global;        /* matches every ASID; kernel only */
    bool wired;         /* software bit */
    bool accessed;      /* pmap writes true: no fault for the mark */
    bool dirty;         /* pmap writes true iff WRITE: see below */
};
/*
 * Modified lives in the core map (architecture.md, section 1): a leaf that
 * grants WRITE is born dirty, so no hardware or software dirty update is
 * ever waited for.  aarch64: dirty == write (AP[2] = 0); hardware DBM stays
 * off.  x86_64: D; riscv64: D.
 */

/* First bit of the index of a level; the shift of what one entry maps. */
static inline unsigned
pt_shift(const struct pt_format *f, int level)
{
    unsigned shift = f->page_shift;

    for (int i = 0; i < level; i++) {
        shift += f->bits[i];
    }
    return shift;
}

static inline unsigned
pt_index(const struct pt_format *f, int level, vaddr_t va)
{
    return (unsigned)(va >> pt_shift(f, level)) &
        ((1u << f->bits[level]) - 1);
}

#endif
