/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_table.c - the radix store: frames of tables, made, taken apart, kept.
 *
 *   alloc <--- clean stock <--- wiped, group by used group <--- reclaim
 *     |                                                            ^
 *     +---> linked, entries set and cleared ---> unlinked, limbo --+
 *
 * A table that comes back from limbo has few entries that were ever used,
 * and says which (pt_group() in pt_radix.h).  Wiping those costs less than
 * clearing a whole frame for the next table, so a few wiped ones are kept,
 * by size: a table of a format with small pages is clean only as far as it
 * goes, and its frame may be larger.  And so are a few roots, of each format,
 * with their kernel half in place: it is the same in all of them and never
 * changes.  When memory is low, pt_trim() gives all of them back.
 *
 * Locks: the stock's (LIMBO), nothing taken inside
 */
#include "pt_radix.h"

#define STOCKS          (2 * PTE_FORMATS)       /* roots, clean tables */
#define STOCK_TABLES    16u
#define STOCK_ROOTS     4u
#define WIPE_GROUPS     8u              /* of more, all is cleared */

struct stock {
    struct vm_page *head;               /* through pt_frame()->next */
    _Atomic unsigned n;                 /* read without the lock, too */
};

static struct vm_spin stock_lock = VM_SPIN_INIT(VM_RANK_LIMBO);
static struct stock stock[STOCKS];      /* (stock_lock) */

void
pt_table_init(void)
{
    stock_lock = (struct vm_spin)VM_SPIN_INIT(VM_RANK_LIMBO);
    memset(stock, 0, sizeof(stock));
}

/* The stock of clean tables as large as g's: the first such format's. */
static inline unsigned
stock_clean(const struct pt_geo *g)
{
    unsigned i = 0;

    while (pte_formats[i].page_shift != pt_f(g)->page_shift) {
        i++;
    }
    return PTE_FORMATS + i;
}

static struct vm_page *
stock_take(unsigned which)
{
    struct stock *s = &stock[which];
    struct vm_page *p;

    vm_spin_lock(&stock_lock);
    p = s->head;
    if (p != NULL) {
        s->head = pt_frame(p)->next;
        vm_set(&s->n, vm_get(&s->n) - 1);
    }
    vm_spin_unlock(&stock_lock);
    return p;
}

static bool
stock_give(unsigned which, unsigned most, struct vm_page *p)
{
    struct stock *s = &stock[which];
    bool room;

    vm_set(&pt_frame(p)->used, 0);
    vm_spin_lock(&stock_lock);
    room = vm_get(&s->n) < most;
    if (room) {
        pt_frame(p)->next = s->head;
        s->head = p;
        vm_set(&s->n, vm_get(&s->n) + 1);
    }
    vm_spin_unlock(&stock_lock);
    return room;
}

struct vm_page *
pt_table_alloc(const struct pt_geo *g, int level)
{
    struct vm_page *p = stock_take(stock_clean(g));

    if (p == NULL) {
        p = vm_page_alloc(VM_PAGE_TABLE, VM_ALLOC_KERNEL);
        if (p == NULL) {
            return NULL;
        }
        KASSERT(vm_page_pa(p) != 0);
        memset(vm_page_data(p), 0, g->hw_page);
    }
    pt_frame(p)->level = (uint32_t)level;
    pt_frame(p)->geo = (uint32_t)(g - pt_geo);
    return p;
}

struct vm_page *
pt_table_root(const struct pt_geo *g)
{
    KASSERT(g != &pt_geo[PT_GEO_KERNEL]);
    return stock_take((unsigned)(g - pt_geo));
}

void
pt_table_free(struct vm_page *p)
{
    struct pt_frame *f = pt_frame(p);

    vm_set(&f->used, 0);
    f->next = NULL;
    f->tag = 0;
    f->level = 0;
    f->geo = 0;
    vm_page_free(p);
}

void
pt_trim(void)
{
    struct vm_page *p;

    for (unsigned i = 0; i < STOCKS; i++) {
        while ((p = stock_take(i)) != NULL) {
            pt_table_free(p);
        }
    }
}

/* ---- taking apart ----------------------------------------------------- */

/* A leaf: false if it is better cleared when it is needed. */
static bool
leaf_wipe(struct vm_page *p, const struct pt_geo *g)
{
    uint64_t used = vm_get(&pt_frame(p)->used);
    size_t size = sizeof(pte_t) << g->group[0];
    pte_t *slot = vm_page_data(p);

    for (unsigned i = 0; used != 0 && i < WIPE_GROUPS; i++) {
        memset(slot + pt_group_first(g, 0, used), 0, size);
        used &= used - 1;
    }
    return used == 0;
}

/*
 * Wipe p, which is no leaf.  Tables that hang below go onto the chain,
 * through their frames' links.
 */
static struct vm_page *
table_wipe(struct vm_page *p, const struct pt_geo *g, struct vm_page *chain)
{
    int level = (int)pt_frame(p)->level;
    uint64_t used = vm_get(&pt_frame(p)->used);
    unsigned n = 1u << g->group[level];
    pte_t *slot = vm_page_data(p);

    for (; used != 0; used &= used - 1) {
        pte_t *at = slot + pt_group_first(g, level, used);

        for (unsigned i = 0; i < n; i++) {
            pte_t pte = at[i];

            at[i] = 0;
            if (pt_leads(g, pte, level)) {
                struct vm_page *child = vm_page_of(pt_child(g, pte, level));

                pt_frame(child)->next = chain;
                chain = child;
            }
        }
    }
    return chain;
}

/* Keep a table or root, wiped so far, or give it back. */
static void
table_keep(struct vm_page *p, const struct pt_geo *g)
{
    int level = (int)pt_frame(p)->level;
    unsigned clean = stock_clean(g);
    bool kept;

    if (level == 0 && (vm_get(&stock[clean].n) >= STOCK_TABLES ||
            !leaf_wipe(p, g))) {
        pt_table_free(p);
        return;
    }
    kept = level == g->levels - 1 ?
        stock_give((unsigned)(g - pt_geo), STOCK_ROOTS, p) :
        stock_give(clean, STOCK_TABLES, p);

    if (!kept) {
        pt_table_free(p);
    }
}

uint64_t
pt_reclaim(struct vm_page *table)
{
    struct vm_page *chain = table;
    uint64_t freed = 0;

    pt_frame(table)->next = NULL;
    while (chain != NULL) {
        struct vm_page *p = chain;
        const struct pt_geo *g = &pt_geo[pt_frame(p)->geo];

        chain = pt_frame(p)->next;
        if (pt_frame(p)->level > 0) {
            chain = table_wipe(p, g, chain);
        }
        table_keep(p, g);
        freed++;
    }
    return freed;
}

/* ---- counting --------------------------------------------------------- */

/* Tables below a table; its depth bounds the recursion. */
static uint64_t
table_count(const struct pt_geo *g, paddr_t table, int level)
{
    pte_t *slot = kern_frame_ptr(table);
    uint64_t n = 1;

    for (unsigned i = 0; level > 0 && i <= g->mask[level]; i++) {
        pte_t pte = pte_load(&slot[i]);

        if (pt_leads(g, pte, level)) {
            n += table_count(g, pt_child(g, pte, level), level - 1);
        }
    }
    return n;
}

uint64_t
pt_reclaim_count(struct vm_page *table)
{
    const struct pt_geo *g = &pt_geo[pt_frame(table)->geo];
    int level = (int)pt_frame(table)->level;

    /* A root's kernel half is not its own, and its user half is empty. */
    return level == g->levels - 1 ? 1 :
        table_count(g, vm_page_pa(table), level);
}

uint64_t
pt_table_count(struct pmap *pm)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm), n = 0;

    if (root != 0) {
        const struct pt_geo *g = pt_root_geo(root);
        int top = g->levels - 1;
        vsize_t span = (vsize_t)1 << g->shift[top];

        n = 1;
        for (vaddr_t va = pm->start & ~(span - 1); va < pm->end;
            va += span) {
            pte_t pte = pte_load(pt_slot(g, pt_root_pa(root), top, va));

            if (pte != 0) {
                n += table_count(g, pt_child(g, pte, top), top - 1);
            }
            if (va + span < va) {
                break;
            }
        }
    }
    epoch_exit(cpu);
    return n;
}
