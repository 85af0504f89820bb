/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_change.c - the radix store: another root, and leaf tables that are
 * evicted.
 *
 * Which tables?  The one that misses them least: first those of which no
 * entry was used since they were looked at last (the accessed mark, which
 * looking takes away; a TLB that holds the translation may hide a use, and
 * a flush after the whole look ends that), then the others; of either,
 * those with the fewest groups of entries in use, which cost the fewest
 * faults to get back.  One walk over the pmap's tables, and a short list of
 * the best so far.
 *
 * Locks: none; entries change by one atomic step.  Epoch sections.
 */
#include "pt_radix.h"

/* ---- another root ----------------------------------------------------- */

bool
pt_spare(struct pmap *pm, unsigned format, struct pt_spare *out)
{
    out->format = format;
    out->root = pt_root_make(pm, format);
    return out->root != 0;
}

void
pt_spare_free(struct pt_spare *spare)
{
    pt_table_free(vm_page_of(pt_root_pa(spare->root)));
}

bool
pt_replace(struct pmap *pm, const struct pt_spare *spare,
    struct tlb_batch *b)
{
    vaddr_t start, end;
    uint64_t old;

    if (spare != NULL && pt_format_bounds(spare->format, &start, &end)) {
        vm_set(&pm->format, (uint8_t)spare->format);
        vm_set(&pm->start, start);
        vm_set(&pm->end, end);
        vm_set(&pm->page_shift,
            (uint8_t)pt_format_page_shift(spare->format));
    }
    pmap_md_publish();
    old = atomic_exchange_explicit(&pt_radix(pm)->root,
        spare != NULL ? spare->root : 0, memory_order_seq_cst);
    vm_point();
    if (old != 0) {
        tlb_batch_unlink(b, pm, vm_get(&pm->start), vm_get(&pm->end),
            vm_page_of(pt_root_pa(old)));
    }
    return true;
}

bool
pt_reload(struct pmap *pm, uint32_t asid, unsigned cpu)
{
    uint64_t root = pt_root(pm);

    return pmap_md_reload(pt_f(pt_root_geo(root)), pt_root_pa(root), asid,
        cpu, asid_runs, pm);
}

/* ---- eviction --------------------------------------------------------- */

#define EVICT_LIST      16u

struct victim {
    pte_t *slot;                /* leads to the leaf table */
    pte_t pte;
    vaddr_t start;
    unsigned rank;              /* lower goes first */
};

struct evict {
    struct pmap *pm;
    const struct pt_geo *g;
    struct tlb_batch *b;
    bool aged;
    unsigned want, n;
    struct victim list[EVICT_LIST];     /* by rank */
};

/* Was any entry of the table used?  Its marks are taken away. */
static bool
table_age(struct evict *e, pte_t *slot, uint64_t used)
{
    unsigned n = 1u << e->g->group[0];
    bool was = false;

    for (; used != 0; used &= used - 1) {
        pte_t *at = slot + pt_group_first(e->g, 0, used);

        for (unsigned i = 0; i < n; i++) {
            pte_t old = pte_load(&at[i]);

            while (old != 0 && pte_attr(pt_f(e->g), old, 0).accessed) {
                if (pte_cas(&at[i], &old, pte_age(pt_f(e->g), old))) {
                    was = true;
                    e->aged = true;
                    break;
                }
            }
        }
    }
    return was;
}

static void
victim_add(struct evict *e, const struct victim *v)
{
    unsigned i = e->n;

    if (i == e->want) {
        if (e->list[--i].rank <= v->rank) {
            return;
        }
    } else {
        e->n++;
    }
    for (; i > 0 && e->list[i - 1].rank > v->rank; i--) {
        e->list[i] = e->list[i - 1];
    }
    e->list[i] = *v;
}

static void
evict_look(struct evict *e, pte_t *slot, pte_t pte, vaddr_t start)
{
    paddr_t leaf = pt_child(e->g, pte, 1);
    uint64_t used = pt_used(e->pm, pt_leaf_page(leaf));
    struct victim v = { .slot = slot, .pte = pte, .start = start };

    v.rank = (unsigned)__builtin_popcountll(used);
    if (table_age(e, kern_frame_ptr(leaf), used)) {
        v.rank += 64 + 1;
    }
    victim_add(e, &v);
}

/* All leaf tables below one of that level, which bounds the depth. */
static void
evict_walk(struct evict *e, paddr_t table, int level, vaddr_t base)
{
    uint64_t used = pt_used(e->pm, pt_leaf_page(table));
    unsigned n = 1u << e->g->group[level];
    pte_t *slot = kern_frame_ptr(table);

    for (; used != 0; used &= used - 1) {
        unsigned first = pt_group_first(e->g, level, used);

        for (unsigned i = first; i < first + n; i++) {
            pte_t pte = pte_load(&slot[i]);
            vaddr_t va = base + ((vaddr_t)i << e->g->shift[level]);

            /* A large leaf has no table to give back. */
            if (!pt_leads(e->g, pte, level)) {
                continue;
            }
            if (level > 1) {
                evict_walk(e, pt_child(e->g, pte, level), level - 1, va);
            } else {
                evict_look(e, &slot[i], pte, va);
            }
        }
    }
}

unsigned
pt_evict(struct pmap *pm, unsigned want, struct tlb_batch *b)
{
    struct evict e = { .pm = pm, .b = b, .want = want };
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    unsigned done = 0;

    e.want = want < EVICT_LIST ? want : EVICT_LIST;
    if (root != 0 && want != 0) {
        e.g = pt_root_geo(root);
        evict_walk(&e, pt_root_pa(root), e.g->levels - 1, 0);
    }
    for (unsigned i = 0; i < e.n; i++) {
        struct victim *v = &e.list[i];
        vaddr_t last = v->start | (((vsize_t)1 << e.g->shift[1]) - 1);

        tlb_batch_touch(b, pm);
        /* Unless another has unlinked it meanwhile. */
        if (pte_cas(v->slot, &v->pte, 0)) {
            tlb_batch_unlink(b, pm, v->start, last + 1,
                vm_page_of(pt_child(e.g, v->pte, 1)));
            tlb_batch_revoked(b, pm,
                v->start > vm_get(&pm->start) ? v->start :
                vm_get(&pm->start), last + 1, ~(paddr_t)0, VM_PROT_NONE);
            done++;
        }
    }
    if (e.aged && done == 0) {
        tlb_batch_touch(b, pm);
        tlb_batch_add(b, pm, vm_get(&pm->start), vm_get(&pm->end));
    }
    epoch_exit(cpu);
    return done;
}
