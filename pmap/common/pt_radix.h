/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_radix.h - inside the radix store: geometry, the walk, table frames.
 *
 * A table is one MI page frame of kind TABLE, of which the first hardware
 * page is the table: where the MI page is larger, the rest is waste (known
 * cost, in exchange for one allocator and one kind of frame).  An MI page
 * is 1 << n hardware pages, that is 1 << n adjacent entries of one leaf
 * table, set and cleared together under the leaf lock.
 *
 * Upper entries lead to tables; at level 1 a large leaf may stand in place
 * of one, and then pt_large.c knows what to do.  An upper entry is set
 * once, by compare-and-swap from 0 to a table that is zeroed and published,
 * and unlinked by exchange with 0.  An entry of level 0 leaves 0 only under
 * the leaf lock; all else that changes it (restrict, age, the hardware's
 * accessed and dirty marks) is one atomic step.
 */
#ifndef PT_RADIX_H
#define PT_RADIX_H

#include "pt.h"

#include <pmap_md.h>
#include <pte.h>

/* What walks need of a format; one for each, and one for the kernel. */
struct pt_geo {
    const struct pt_format *f;
    uint8_t levels;
    uint32_t shift[PT_MAX_LEVELS];
    uint32_t mask[PT_MAX_LEVELS];
    uint8_t group[PT_MAX_LEVELS];   /* index >> this: bit of used */
    uint16_t per_page;              /* hardware pages in an MI page */
    uint8_t frame_shift;            /* a frame's number, as it stands in an
                                       entry; 0: not that simple, or more
                                       than one entry a page */
    vsize_t hw_page;
    vaddr_t first, last;            /* addresses that it translates */
    pte_t leaf[VM_PROT_ALL + 1];    /* attributes for each prot, address 0 */
    pte_t device[VM_PROT_ALL + 1];
    pte_t wired;                    /* to be ored (kernel) */
} __attribute__((aligned(256)));    /* indexed by a shift */

#define PT_GEO_KERNEL   PTE_FORMATS
#define PT_ROOT_GEO     0xfu

_Static_assert(PTE_FORMATS < PT_ROOT_GEO, "a geometry fits into root");

extern struct pt_geo pt_geo[PTE_FORMATS + 1];

/*
 * The store's part of a pmap.  Address and geometry of the root are one
 * word, so that a stranger's walk (a stale hint) never mixes two lives of
 * a header.
 */
struct pt_radix {
    _Atomic uint64_t root;          /* pa | index into pt_geo; 0: none */
};

_Static_assert(sizeof(struct pt_radix) <= PT_STORE_WORDS * 8, "fits");

static inline struct pt_radix *
pt_radix(struct pmap *pm)
{
    return (struct pt_radix *)(void *)pm->store;
}

/* The format; with only one, the compiler knows all of it. */
static inline const struct pt_format *
pt_f(const struct pt_geo *g)
{
    return PTE_FORMATS == 1 ? &pte_formats[0] : g->f;
}

/* With only one format these are constants, and walks are unrolled. */
static inline int
pt_top(const struct pt_geo *g)
{
    return pt_f(g)->levels - 1;
}

static inline unsigned
pt_geo_index(const struct pt_geo *g, int level, vaddr_t va)
{
    if (PTE_FORMATS == 1) {
        return pt_index(pt_f(g), level, va);
    }
    return (unsigned)(va >> g->shift[level]) & g->mask[level];
}

static inline const struct pt_geo *
pt_root_geo(uint64_t root)
{
    return &pt_geo[root & PT_ROOT_GEO];
}

static inline paddr_t
pt_root_pa(uint64_t root)
{
    return root & ~(uint64_t)PT_ROOT_GEO;
}

/*
 * Does g translate va?  An address was looked up, or written into a hint,
 * when its pmap may have had another format; the entries for it may be the
 * kernel's in this one.  Whoever walks asks here, of the root that he walks.
 */
static inline bool
pt_reaches(const struct pt_geo *g, vaddr_t va)
{
    return va - g->first <= g->last - g->first;
}

/* Acquire: what an entry leads to was made before it. */
static inline pte_t
pte_load(const pte_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline bool
pte_cas(pte_t *slot, pte_t *old, pte_t new)
{
    return __atomic_compare_exchange_n(slot, old, new, false,
        __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

/* An entry's address bits: all else cancels out. */
static inline pte_t
pte_address(const struct pt_format *f, paddr_t pa)
{
    const struct pte_attr plain = { .prot = VM_PROT_READ };

    return pte_leaf(f, pa, plain, 0) ^ pte_leaf(f, 0, plain, 0);
}

/* The table that a TABLE entry leads to.  0 is EMPTY; BAD is a bug. */
static inline paddr_t
pt_child(const struct pt_geo *g, pte_t pte, int level)
{
    KASSERT(pte_kind(pt_f(g), pte, level) == PTE_TABLE);
    return pte_pa(pt_f(g), pte, level);
}

/* Does an upper entry lead to a table?  Else: empty, large leaf, mark. */
static inline bool
pt_leads(const struct pt_geo *g, pte_t pte, int level)
{
    bool yes = pte_leads(pt_f(g), pte);

    KASSERT(yes || pte == 0 || level == 1);
    (void)level;
    return yes;
}

static inline pte_t *
pt_slot(const struct pt_geo *g, paddr_t table, int level, vaddr_t va)
{
    return (pte_t *)kern_frame_ptr(table) + pt_geo_index(g, level, va);
}

/*
 * pt_leaf - the leaf table of va, 0 if there is none (but perhaps a large
 * leaf).  Inside an epoch section.  va may be any address: a stale hint's.
 * No table is frame 0.
 */
static inline paddr_t
pt_leaf(uint64_t root, vaddr_t va)
{
    const struct pt_geo *g = pt_root_geo(root);
    paddr_t table = pt_root_pa(root);

    if (root == 0 || !pt_reaches(g, va)) {
        return 0;
    }
    for (int level = pt_top(g); level > 0; level--) {
        pte_t pte = pte_load(pt_slot(g, table, level, va));

        if (!pt_leads(g, pte, level)) {
            return 0;
        }
        table = pt_child(g, pte, level);
    }
    return table;
}

/* The first entry of va's MI page, NULL if there is no leaf table. */
static inline pte_t *
pt_walk(uint64_t root, vaddr_t va)
{
    paddr_t leaf = pt_leaf(root, va);

    return leaf == 0 ? NULL : pt_slot(pt_root_geo(root), leaf, 0, va);
}

/* Core map entry of a leaf table: always one of ours. */
static inline struct vm_page *
pt_leaf_page(paddr_t leaf)
{
    KASSERT(vm_page_of(leaf) != NULL);
    return &vm_page_array[(leaf >> vm_page_shift) - vm_page_first];
}

/*
 * Which entries of a table are in use?  pt_frame.used has a bit for each of
 * 64 groups of neighbours, one cache line of entries where there are 512:
 * a bit too many, never one too few, once the entry can be found.  Walks
 * over ranges and the last walk of all look at nothing else.  Bits of a
 * leaf table change under its lock, or when nobody can reach it any more.
 */
static inline uint64_t
pt_group(const struct pt_geo *g, int level, unsigned index)
{
    return (uint64_t)1 << (index >> g->group[level]);
}

/* Index of the first entry of the lowest of these groups, not none. */
static inline unsigned
pt_group_first(const struct pt_geo *g, int level, uint64_t groups)
{
    return (unsigned)__builtin_ctzll(groups) << g->group[level];
}

/* Groups of a user pmap's table; of a kernel's, all. */
static inline uint64_t
pt_used(const struct pmap *pm, struct vm_page *table)
{
    return pm->kernel ? ~(uint64_t)0 :
        atomic_load_explicit(&pt_frame(table)->used, memory_order_seq_cst);
}

/* Leaf lock held: n entries from slot on are about to be set. */
static inline void
pt_mark(const struct pt_geo *g, struct vm_page *table, const pte_t *slot,
    unsigned n)
{
    unsigned i = (unsigned)((uintptr_t)slot / sizeof(pte_t)) & g->mask[0];
    uint64_t bits = pt_group(g, 0, i);

    if (n > 1) {
        /* All from the first group to the last. */
        bits = (pt_group(g, 0, i + n - 1) << 1) - bits;
    }
    vm_set(&pt_frame(table)->used, vm_get(&pt_frame(table)->used) | bits);
}

static inline uint64_t
pt_root(struct pmap *pm)
{
    return atomic_load_explicit(&pt_radix(pm)->root, memory_order_acquire);
}

/*
 * pt_grow - the leaf table of va, made if it is not there; 0: no memory,
 * nothing changed; PT_GROW_LARGE: a large leaf or a mark stands there, or
 * the format does not reach va.
 * Inside an epoch section, no lock held.
 */
#define PT_GROW_LARGE   ((paddr_t)1)
paddr_t pt_grow(struct pmap *pm, vaddr_t va);

/* The word of an empty root of that format, not linked; 0: no memory. */
uint64_t pt_root_make(struct pmap *pm, unsigned format);

/*
 * pt_table.c: frames of tables, charged to pm.  alloc: zeroed; NULL: no
 * memory, or over a budget.  root: a root that was used before, its kernel
 * half as it must be, its user half empty, or NULL.  free: of one that was
 * never linked, with nothing below; chain_free: with all that is below.
 */
void pt_table_init(void);
struct vm_page *pt_table_alloc(struct pmap *pm, const struct pt_geo *g,
    int level);
struct vm_page *pt_table_root(struct pmap *pm, const struct pt_geo *g);
void pt_table_free(struct vm_page *p);
void pt_chain_free(struct vm_page *table);

/* Of a format's index. */
const struct pt_geo *pt_format_geo(unsigned format);

/*
 * pt_large.c, for the walkers that find no leaf table at va.  Inside an
 * epoch section.
 *
 * find: a large leaf's entry, or 0.
 * meet: pt_enter() of that page, for one MI page: true if a large leaf
 * does what was asked for.  Else one that stood there is forgotten.
 * gone: an entry of level 1 that was exchanged for 0 and leads to no table;
 * va is where it begins.
 * The rest: what pt.h says of pt_..._one().
 */
pte_t pt_large_find(uint64_t root, vaddr_t va);
bool pt_large_meet(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot);
void pt_large_gone(struct tlb_batch *b, struct pmap *pm, pte_t old,
    vaddr_t va);
enum pt_found pt_large_restrict_one(struct pmap *pm, vaddr_t va, paddr_t pa,
    vm_prot_t keep, struct tlb_batch *b);
bool pt_large_age_one(struct pmap *pm, vaddr_t va, paddr_t pa);
bool pt_large_maps_one(struct pmap *pm, vaddr_t va, paddr_t pa);

#endif
