/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_walk.c - the radix store: revoking, reading, auditing.
 *
 *   range that covers a whole table of a user pmap   unlink the table, O(1)
 *   the rest, and the kernel's                       edit leaf entries,
 *                                                    leaf lock held
 *   one page, from the reverse map                   edit its entries, by
 *                                                    compare-and-swap only
 *
 * Protecting a whole table forgets it: the translations that could have
 * stayed come back by faults, and fork costs nothing for each page.  A leaf
 * table that is emptied entry by entry stays where it is.
 *
 * Every edit follows tlb_batch_touch(), which raises pending.  No leaf lock
 * is needed to take rights away; ranges take it all the same, so that one
 * who enters under it has either compared the sequence before, and is found
 * here, or compares it after, and sees that it moved (pmap_seq_same()).
 *
 * Locks: leaf (LEAF) for ranges; none for one page.  Epoch sections.
 */
#include "pt_radix.h"

/* ---- ranges ----------------------------------------------------------- */

struct edit {
    struct pmap *pm;
    const struct pt_geo *g;
    struct tlb_batch *b;
    vm_prot_t keep;
};

/* One entry.  True if it was changed. */
static bool
edit_entry(const struct edit *e, pte_t *slot)
{
    pte_t old = pte_load(slot), new;

    do {
        new = e->keep == VM_PROT_NONE || old == 0 ? 0 :
            pte_restrict(pt_f(e->g), old, e->keep);
        if (new == old) {
            return false;
        }
        tlb_batch_touch(e->b, e->pm);
    } while (!pte_cas(slot, &old, new));
    return true;
}

/* Groups of entries from index first to last. */
static uint64_t
edit_groups(const struct edit *e, int level, unsigned first, unsigned last)
{
    return (pt_group(e->g, level, last) << 1) - pt_group(e->g, level, first);
}

/* Entries from index i to last, part of one group; va is that of i. */
static void
edit_group(const struct edit *e, pte_t *slot, unsigned i, unsigned last,
    vaddr_t va)
{
    vaddr_t run = 0;
    bool open = false;          /* run: the start of what was changed */

    for (; i <= last; i++, va += e->g->hw_page) {
        if (edit_entry(e, &slot[i])) {
            run = open ? run : va;
            open = true;
        } else if (open) {
            tlb_batch_add(e->b, e->pm, run, va);
            open = false;
        }
    }
    if (open) {
        tlb_batch_add(e->b, e->pm, run, va);
    }
}

/* Entries from index first to end, whose address is start; leaf lock held. */
static void
edit_groups_of(const struct edit *e, struct vm_page *table, paddr_t leaf,
    unsigned first, unsigned end, vaddr_t start)
{
    unsigned n = 1u << e->g->group[0];
    uint64_t used, emptied = 0;

    used = pt_used(e->pm, table) & edit_groups(e, 0, first, end);
    for (; used != 0; used &= used - 1) {
        unsigned at = pt_group_first(e->g, 0, used);
        unsigned i = at < first ? first : at;
        unsigned stop = at + n - 1 > end ? end : at + n - 1;

        edit_group(e, kern_frame_ptr(leaf), i, stop,
            start + (vsize_t)(i - first) * e->g->hw_page);
        emptied |= stop - i == n - 1 || VM_MUTANT(USED_CLEARED) ?
            used & -used : 0;
    }
    if (e->keep == VM_PROT_NONE && !e->pm->kernel && emptied != 0) {
        vm_set(&pt_frame(table)->used,
            vm_get(&pt_frame(table)->used) & ~emptied);
    }
}

/* Entries of one leaf table for [start, last]. */
static void
edit_leaf(const struct edit *e, paddr_t leaf, vaddr_t start, vaddr_t last)
{
    struct vm_page *table = pt_leaf_page(leaf);
    unsigned first = pt_geo_index(e->g, 0, start);
    unsigned end = pt_geo_index(e->g, 0, last);

    vm_bit_lock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
    if (first == end) {
        edit_group(e, kern_frame_ptr(leaf), first, end, start);
    } else {
        edit_groups_of(e, table, leaf, first, end, start);
    }
    vm_bit_unlock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
}

/* The whole of a table, of any height, or of a large leaf. */
static void
edit_unlink(const struct edit *e, pte_t *slot, int level, vaddr_t start,
    vaddr_t last)
{
    pte_t old;

    tlb_batch_touch(e->b, e->pm);
    old = __atomic_exchange_n(slot, 0, __ATOMIC_SEQ_CST);
    vm_point();
    if (pt_leads(e->g, old, level)) {
        tlb_batch_unlink(e->b, e->pm, start, last + 1,
            vm_page_of(pt_child(e->g, old, level)));
    } else {
        pt_large_gone(e->b, e->pm, old, start);
    }
}

static void edit_table(const struct edit *e, paddr_t table, int level,
    vaddr_t start, vaddr_t last);

/* One entry above the leaves, for the part of it in [start, last]. */
static void
edit_upper(const struct edit *e, pte_t *slot, int level, vaddr_t va,
    vaddr_t start, vaddr_t last)
{
    vaddr_t stop = va | (((vsize_t)1 << e->g->shift[level]) - 1);
    pte_t pte = pte_load(slot);

    if (pte == 0) {
        return;
    }
    if (VM_MUTANT(LARGE_HALF) && !pt_leads(e->g, pte, level) &&
        start > va + (stop - va) / 2) {
        return;
    }
    /* Part of a large leaf: all of it is forgotten. */
    if ((!e->pm->kernel && start <= va && stop <= last) ||
        !pt_leads(e->g, pte, level)) {
        edit_unlink(e, slot, level, va, stop);
        return;
    }
    start = start > va ? start : va;
    last = last < stop ? last : stop;
    if (level > 1) {
        edit_table(e, pt_child(e->g, pte, level), level - 1, start, last);
    } else {
        edit_leaf(e, pt_child(e->g, pte, level), start, last);
    }
}

/* The same, where more than one entry is concerned. */
static void
edit_entries(const struct edit *e, paddr_t table, int level, vaddr_t start,
    vaddr_t last)
{
    unsigned shift = e->g->shift[level], n = 1u << e->g->group[level];
    unsigned first = pt_geo_index(e->g, level, start);
    unsigned end = pt_geo_index(e->g, level, last);
    pte_t *slot = kern_frame_ptr(table);
    /* Of the first entry of all. */
    vaddr_t base = (start >> shift << shift) - ((vaddr_t)first << shift);
    uint64_t used = edit_groups(e, level, first, end);

    used &= e->pm->kernel ? used : pt_used(e->pm, pt_leaf_page(table));
    for (; used != 0; used &= used - 1) {
        unsigned at = pt_group_first(e->g, level, used);
        unsigned i = at < first ? first : at;
        unsigned stop = at + n - 1 > end ? end : at + n - 1;

        for (; i <= stop; i++) {
            edit_upper(e, &slot[i], level, base + ((vaddr_t)i << shift),
                start, last);
        }
    }
}

/* [start, last] lies in one table of that level, which bounds the depth. */
static void
edit_table(const struct edit *e, paddr_t table, int level, vaddr_t start,
    vaddr_t last)
{
    vsize_t span = (vsize_t)1 << e->g->shift[level];

    if (((start ^ last) & ~(span - 1)) == 0) {
        edit_upper(e, pt_slot(e->g, table, level, start), level,
            start & ~(span - 1), start, last);
    } else {
        edit_entries(e, table, level, start, last);
    }
}

void
pt_restrict(struct pmap *pm, vaddr_t start, vaddr_t end, vm_prot_t keep,
    struct tlb_batch *b)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    struct edit e = { .pm = pm, .b = b, .keep = keep };
    vaddr_t last = end - 1;

    if (root != 0) {
        e.g = pt_root_geo(root);
        /* Who forgets unasked may have had another format in mind. */
        if (!pt_reaches(e.g, start)) {
            epoch_exit(cpu);
            return;
        }
        last = last < e.g->last ? last : e.g->last;
        /* What the first and the last root entry hold is all the pmap's. */
        if (!pm->kernel) {
            vsize_t span = (vsize_t)1 << e.g->shift[e.g->levels - 1];

            start = start == vm_get(&pm->start) ? start & ~(span - 1) : start;
            last = end == vm_get(&pm->end) ? last | (span - 1) : last;
        }
        edit_table(&e, pt_root_pa(root), e.g->levels - 1, start, last);
    }
    epoch_exit(cpu);
}

void
pt_table_range(struct pmap *pm, vaddr_t va, vaddr_t *start, vaddr_t *end)
{
    uint64_t root = pt_root(pm);
    vsize_t span;

    *start = va;
    *end = va + VM_PAGE_SIZE;
    if (root != 0) {
        span = (vsize_t)1 << pt_root_geo(root)->shift[1];
        *start = va & ~(span - 1);
        *end = *start + span;
    }
    *start = *start < vm_get(&pm->start) ? vm_get(&pm->start) : *start;
    *end = *end > vm_get(&pm->end) ? vm_get(&pm->end) : *end;
}

/* ---- one page, for the reverse map ------------------------------------ */

enum pt_found
pt_restrict_one(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t keep,
    struct tlb_batch *b)
{
    uint64_t root = pt_root(pm);
    struct edit e = { .pm = pm, .b = b, .keep = keep };
    unsigned done = 0;
    pte_t *slot = pt_walk(root, va);

    if (slot == NULL) {
        return pt_large_restrict_one(pm, va, pa, keep, b);
    }
    e.g = pt_root_geo(root);
    for (unsigned i = 0; i < e.g->per_page; i++) {
        vsize_t off = i * e.g->hw_page;
        pte_t old = pte_load(&slot[i]), new;

        while (old != 0 && pte_pa(pt_f(e.g), old, 0) == pa + off) {
            if (pte_attr(pt_f(e.g), old, 0).wired &&
                !VM_MUTANT(KERNEL_WIRED)) {
                return PT_WIRED;
            }
            new = keep == VM_PROT_NONE ? 0 :
                pte_restrict(pt_f(e.g), old, keep);
            if (new == old) {
                break;
            }
            tlb_batch_touch(b, pm);
            if (pte_cas(&slot[i], &old, new)) {
                tlb_batch_add(b, pm, va + off, va + off + e.g->hw_page);
                done++;
                break;
            }
        }
    }
    return done == e.g->per_page ? PT_ALL : PT_LESS;
}

bool
pt_age_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g = pt_root_geo(root);
    bool used = false;
    pte_t *slot = pt_walk(root, va);

    if (slot == NULL) {
        return pt_large_age_one(pm, va, pa);
    }
    for (unsigned i = 0; i < g->per_page; i++) {
        pte_t old = pte_load(&slot[i]);

        while (old != 0 &&
            pte_pa(pt_f(g), old, 0) == pa + i * g->hw_page &&
            pte_attr(pt_f(g), old, 0).accessed) {
            if (pte_cas(&slot[i], &old, pte_age(pt_f(g), old))) {
                used = true;
                break;
            }
        }
    }
    return used;
}

bool
pt_maps_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g = pt_root_geo(root);
    pte_t *slot = pt_walk(root, va);

    for (unsigned i = 0; slot != NULL && i < g->per_page; i++) {
        pte_t pte = pte_load(&slot[i]);

        if (pte != 0 && pte_pa(pt_f(g), pte, 0) == pa + i * g->hw_page) {
            return true;
        }
    }
    return slot == NULL && pt_large_maps_one(pm, va, pa);
}

/* ---- reading ---------------------------------------------------------- */

/* What a leaf of that level maps at va, which is aligned to a page. */
static paddr_t
read_pa(const struct pt_geo *g, pte_t pte, int level, vaddr_t va)
{
    vsize_t span = level == 0 ? VM_PAGE_SIZE : (vsize_t)1 << g->shift[level];

    return pte_pa(pt_f(g), pte, level) + (va & (span - 1) & ~VM_PAGE_MASK);
}

bool
pt_extract(struct pmap *pm, vaddr_t va, paddr_t *pa, vm_prot_t *prot)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    const struct pt_geo *g = pt_root_geo(root);
    pte_t *slot = pt_walk(root, va);
    int level = slot == NULL ? 1 : 0;
    pte_t pte = slot == NULL ? pt_large_find(root, va) : pte_load(slot);

    epoch_exit(cpu);
    if (pte == 0) {
        return false;
    }
    *pa = read_pa(g, pte, level, va);
    *prot = pte_attr(pt_f(g), pte, level).prot;
    return true;
}

/* First entry in use at or after *va, an MI page at a time; its level. */
static pte_t
next_in_use(struct pmap *pm, uint64_t root, vaddr_t *va, int *found)
{
    const struct pt_geo *g = pt_root_geo(root);

    while (*va < vm_get(&pm->end) && pt_reaches(g, *va)) {
        paddr_t table = pt_root_pa(root);
        vaddr_t past;

        for (int level = g->levels - 1;; level--) {
            pte_t pte = pte_load(pt_slot(g, table, level, *va));

            if (pte != 0 && !PT_IS_MARK(pte) && (level == 0 ||
                !pt_leads(g, pte, level))) {
                *found = level;
                return pte;
            }
            if (pte == 0 || PT_IS_MARK(pte)) {
                vsize_t span = level == 0 ? VM_PAGE_SIZE :
                    (vsize_t)1 << g->shift[level];

                past = (*va | (span - 1)) + 1;
                break;
            }
            table = pt_child(g, pte, level);
        }
        if (past < *va) {
            break;
        }
        *va = past;
    }
    return 0;
}

bool
pt_next(struct pmap *pm, vaddr_t *va, struct pmap_mapping *out)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    vaddr_t at = *va < vm_get(&pm->start) ? vm_get(&pm->start) : *va;
    int level = 0;
    pte_t pte = root == 0 ? 0 : next_in_use(pm, root, &at, &level);

    epoch_exit(cpu);
    if (pte == 0) {
        return false;
    }
    const struct pt_geo *g = pt_root_geo(root);
    out->va = at;
    out->pa = read_pa(g, pte, level, at);
    out->prot = pte_attr(pt_f(g), pte, level).prot;
    out->wired = pte_attr(pt_f(g), pte, level).wired;
    *va = at + VM_PAGE_SIZE;
    return true;
}

/* ---- checking --------------------------------------------------------- */

static _Noreturn void
check_fail(const struct pmap *pm, vaddr_t va, int level, pte_t pte,
    const char *what)
{
    kern_panic("pmap %p: va %#llx level %d entry %#llx: %s",
        (const void *)pm, (unsigned long long)va, level,
        (unsigned long long)pte, what);
}

/* What pte, of that level, maps at va: frame pa. */
static void
check_leaf(struct pmap *pm, const struct pt_geo *g, vaddr_t va, pte_t pte,
    int level, paddr_t pa)
{
    struct vm_page *page = vm_page_of(pa);
    struct pte_attr attr = pte_attr(pt_f(g), pte, level);
    vsize_t off = va & VM_PAGE_MASK;

    if ((pa & VM_PAGE_MASK) != off) {
        check_fail(pm, va, level, pte, "parts of an MI page out of order");
    }
    if (level != 0 && (pm->kernel || !pv_managed(page))) {
        check_fail(pm, va, level, pte, "a large leaf of no object");
    }
    if (va < vm_get(&pm->start) || va >= vm_get(&pm->end)) {
        check_fail(pm, va, level, pte, "outside the pmap");
    }
    if (attr.user == pm->kernel || (attr.wired && !pm->kernel)) {
        check_fail(pm, va, level, pte, "wrong half");
    }
    if (!pv_managed(page)) {
        if (!pm->kernel && page != NULL &&
            vm_get(&page->kind) != VM_PAGE_DEVICE &&
            vm_get(&page->kind) != VM_PAGE_RESERVED) {
            check_fail(pm, va, level, pte, "maps a frame of no object");
        }
        return;
    }
    if (!pv_has(page, pm, va - off)) {
        check_fail(pm, va, level, pte, "no hint in the reverse map");
    }
    if ((attr.prot & VM_PROT_WRITE) != 0 &&
        (vm_page_flags(page) & VM_PG_MODIFIED) == 0) {
        check_fail(pm, va, level, pte, "write grant on a clean page");
    }
}

/* Each page of a leaf of that level. */
static void
check_leaves(struct pmap *pm, const struct pt_geo *g, vaddr_t va, pte_t pte,
    int level)
{
    paddr_t pa = pte_pa(pt_f(g), pte, level);

    if (level == 0) {
        check_leaf(pm, g, va, pte, 0, pa);
        return;
    }
    for (vsize_t off = 0; off < (vsize_t)1 << g->shift[level];
        off += VM_PAGE_SIZE) {
        check_leaf(pm, g, va + off, pte, level, pa + off);
    }
}

static void
check_table(struct pmap *pm, const struct pt_geo *g, paddr_t table,
    int level, vaddr_t base, vaddr_t start, vaddr_t last)
{
    struct vm_page *p = vm_page_of(table);
    vsize_t span = (vsize_t)1 << g->shift[level];

    if (!pm->kernel && (p == NULL || vm_get(&p->kind) != VM_PAGE_TABLE ||
            pt_frame(p)->level != (uint32_t)level)) {
        check_fail(pm, base, level, 0, "table frame");
    }
    for (vaddr_t va = start & ~(span - 1); va <= last; va += span) {
        pte_t pte = pte_load(pt_slot(g, table, level, va));
        enum pte_kind kind = pte_kind(pt_f(g), pte, level);
        vaddr_t stop = va + (span - 1);

        if (pte != 0 && !pm->kernel && (pt_used(pm, p) &
                pt_group(g, level, pt_geo_index(g, level, va))) == 0) {
            check_fail(pm, va, level, pte, "in a group not in use");
        }
        if (kind == PTE_LEAF && level <= 1) {
            check_leaves(pm, g, va, pte, level);
        } else if (kind == PTE_TABLE && level > 0) {
            check_table(pm, g, pt_child(g, pte, level), level - 1, va,
                va < start ? start : va, stop > last ? last : stop);
        } else if (kind != PTE_EMPTY) {
            check_fail(pm, va, level, pte, "malformed entry");
        }
        if (stop >= last) {
            break;
        }
    }
}

void
pt_check(struct pmap *pm)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g;
    vaddr_t start = vm_get(&pm->start), last = vm_get(&pm->end) - 1;

    if (root == 0) {
        return;
    }
    g = pt_root_geo(root);
    if (!pm->kernel) {
        vsize_t span = (vsize_t)1 << g->shift[g->levels - 1];

        start &= ~(span - 1);
        last |= span - 1;
    }
    check_table(pm, g, pt_root_pa(root), g->levels - 1, start, start, last);
}
