/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_copy.c - the radix store: a child begins with some of its parent's
 * translations, less the right to write.
 *
 * Who enters a translation holds the lock of the page's object, so that a
 * revocation by page comes wholly before or wholly after.  Here nobody
 * holds it; instead
 *
 *   copy                               pmap_page_protect
 *     lock the page's pv bit             lock the page's pv bit
 *     the parent's entry leads there     revoke wherever a hint says,
 *     hint for the child                   the parent's too
 *     the child's entry, no more           ...
 *       rights than the parent's         unlock, after the flush
 *     unlock
 *
 * so that a copy that comes first is found by its hint, and one that comes
 * after finds no more in the parent than may stay.  Revocations by address
 * are excluded by the lock of the parent's map, and enters by its sequence,
 * which is odd: what stands in the parent's tables is what the parent and
 * the child both see (pmap_copy() in pmap.h).  That a discard may clear the
 * parent's entry meanwhile does no harm: it revokes nothing.
 *
 * Locks: the child's leaf (LEAF), under it the page's pv bit (PV)
 */
#include "pt_radix.h"

#define COPY_KEEP   (VM_PROT_READ | VM_PROT_EXEC)

struct copy {
    struct pmap *to;
    const struct pt_geo *g;
    pte_t *src, *dst;           /* the leaf tables */
    struct vm_page *table;      /* of dst */
};

/* Entries of one MI page at pa, pv bit held: all of them, or none. */
static bool
copy_entries(const struct copy *c, unsigned i, paddr_t pa)
{
    for (unsigned k = 0; k < c->g->per_page; k++) {
        pte_t pte = pte_load(&c->src[i + k]);

        if (pte == 0 ||
            pte_pa(pt_f(c->g), pte, 0) != pa + k * c->g->hw_page) {
            while (k-- > 0) {
                __atomic_store_n(&c->dst[i + k], 0, __ATOMIC_RELAXED);
            }
            return false;
        }
        __atomic_store_n(&c->dst[i + k],
            pte_restrict(pt_f(c->g), pte, COPY_KEEP), __ATOMIC_RELEASE);
    }
    return true;
}

/* The MI page at va, whose first entry has index i. */
static bool
copy_page(const struct copy *c, unsigned i, vaddr_t va)
{
    pte_t pte = pte_load(&c->src[i]);
    struct vm_page *page;
    bool done = false;

    if (pte == 0 || pte_load(&c->dst[i]) != 0) {
        return false;
    }
    page = pv_page(pte_pa(pt_f(c->g), pte, 0));
    if (page == NULL) {
        return false;
    }
    pt_mark(c->g, c->table, &c->dst[i], c->g->per_page);
    vm_bit_lock(&page->lockword, VM_PG_PV_LOCK, VM_RANK_PV);
    vm_point();
    /* A hint too many does no harm, if the entry is gone by now. */
    if (pv_insert_inline(page, c->to, va) ||
        pv_insert_near(page, c->to, va)) {
        vm_point();
        done = copy_entries(c, i, vm_page_pa(page));
    }
    vm_bit_unlock(&page->lockword, VM_PG_PV_LOCK, VM_RANK_PV);
    return done;
}

/* [start, last] lies in one leaf table. */
static unsigned
copy_leaf(const struct copy *c, uint64_t used, vaddr_t start, vaddr_t last,
    unsigned most)
{
    unsigned first = pt_geo_index(c->g, 0, start), n = 0;
    unsigned end = pt_geo_index(c->g, 0, last), size = 1u << c->g->group[0];

    used &= (pt_group(c->g, 0, end) << 1) - pt_group(c->g, 0, first);
    for (; used != 0; used &= used - 1) {
        unsigned i = pt_group_first(c->g, 0, used);
        unsigned stop = i + size - 1 < end ? i + size - 1 : end;

        /* A page of many entries begins in the first of its groups. */
        i = i < first ? first : i;
        i = (i + c->g->per_page - 1) & ~(c->g->per_page - 1u);
        for (; i <= stop && n < most; i += c->g->per_page) {
            n += copy_page(c, i, start + (i - first) * c->g->hw_page);
        }
    }
    return n;
}

/* The part of a range that one leaf table covers; inside a section. */
static unsigned
copy_range(struct pmap *to, struct pmap *from, vaddr_t start, vaddr_t last,
    unsigned most)
{
    uint64_t root = pt_root(from);
    paddr_t src = pt_leaf(root, start), dst;
    struct copy c = { .to = to };
    uint64_t used;
    unsigned n;

    if (src == 0) {
        return 0;
    }
    used = pt_used(from, pt_leaf_page(src));
    dst = used == 0 ? 0 : pt_grow(to, start);
    if (dst == 0) {
        return 0;
    }
    c.g = pt_root_geo(root);
    c.src = kern_frame_ptr(src);
    c.dst = kern_frame_ptr(dst);
    c.table = pt_leaf_page(dst);
    vm_bit_lock(&c.table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
    n = copy_leaf(&c, used, start, last, most);
    vm_bit_unlock(&c.table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
    return n;
}

unsigned
pt_copy(struct pmap *to, struct pmap *from, vaddr_t start, vaddr_t end,
    unsigned most)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(from);
    unsigned n = 0;

    if (root != 0 && to->format == from->format && !pmap_revoking(to)) {
        vsize_t span = (vsize_t)1 << pt_root_geo(root)->shift[1];

        while (start < end && n < most) {
            vaddr_t last = start | (span - 1);

            last = last < end - 1 ? last : end - 1;
            n += copy_range(to, from, start, last, most - n);
            start = last + 1;
        }
        pmap_md_publish();
        pt_event(cpu, EV_PREFILLED, n);
    }
    epoch_exit(cpu);
    return n;
}
