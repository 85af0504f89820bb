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

static struct vm_page *
frame_alloc(const struct pt_geo *g)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_TABLE, VM_ALLOC_KERNEL);

    if (p != NULL) {
        KASSERT(vm_page_pa(p) != 0);
        if (!VM_MUTANT(TABLE_NOT_ZEROED)) {
            memset(vm_page_data(p), 0, g->hw_page);
        }
    }
    return p;
}

/* Another frame for a user pmap's table, within the budget. */
static struct vm_page *
frame_take(const struct pt_geo *g)
{
    struct vm_page *p;

    if (!budget_take()) {
        return NULL;
    }
    p = frame_alloc(g);
    if (p == NULL) {
        budget_give();
    }
    return p;
}

struct vm_page *
pt_table_alloc(struct pmap *pm, const struct pt_geo *g, int level)
{
    struct vm_page *p;

    if (pm->kernel) {
        p = frame_alloc(g);
        pm = NULL;
    } else {
        if (!budget_own(pm)) {
            return NULL;
        }
        p = stock_take(stock_clean(g));
        if (p == NULL && (p = frame_take(g)) == NULL) {
            budget_disown(pm);
        }
    }
    if (p != NULL) {
        pt_frame(p)->level = (unsigned)level & 0xff;
        pt_frame(p)->geo = (unsigned)(g - pt_geo) & 0xff;
        pt_frame(p)->owner = pm;
    }
    return p;
}

struct vm_page *
pt_table_root(struct pmap *pm, const struct pt_geo *g)
{
    struct vm_page *p;

    KASSERT(g != &pt_geo[PT_GEO_KERNEL]);
    if (!budget_own(pm)) {
        return NULL;
    }
    p = stock_take((unsigned)(g - pt_geo));
    if (p == NULL) {
        budget_disown(pm);
    } else {
        pt_frame(p)->owner = pm;
        if (VM_MUTANT(BUDGET_TWICE)) {
            (void)budget_take();
        }
    }
    return p;
}

/* Nobody's any more. */
static inline void
frame_disown(struct pt_frame *f)
{
    if (f->owner != NULL) {
        budget_disown(f->owner);
        f->owner = NULL;
    }
}

void
pt_table_free(struct vm_page *p)
{
    struct pt_frame *f = pt_frame(p);

    if (f->geo != PT_GEO_KERNEL) {
        budget_give();
    }
    frame_disown(f);
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
    unsigned n = 1u << g->group[0];
    pte_t *slot = vm_page_data(p);

    if (VM_MUTANT(TABLE_NOT_WIPED)) {
        return true;
    }
    if ((unsigned)__builtin_popcountll(used) > WIPE_GROUPS) {
        return false;
    }
    for (; used != 0; used &= used - 1) {
        pte_t *at = slot + pt_group_first(g, 0, used);

        /* Atomic, or the compiler calls memset(): six times as much. */
        for (unsigned i = 0; i < n; i++) {
            __atomic_store_n(&at[i], 0, __ATOMIC_RELAXED);
        }
    }
    return true;
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

                pt_frame(child)->tag = pt_frame(p)->tag;
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

    if (pt_frame(p)->geo == PT_GEO_KERNEL || (level == 0 &&
            (vm_get(&stock[clean].n) >= STOCK_TABLES || !leaf_wipe(p, g)))) {
        pt_table_free(p);
        return;
    }
    frame_disown(pt_frame(p));
    kept = level == g->levels - 1 ?
        stock_give((unsigned)(g - pt_geo), STOCK_ROOTS, p) :
        stock_give(clean, STOCK_TABLES, p);

    if (!kept) {
        pt_table_free(p);
    }
}

struct vm_page *
pt_reclaim(struct vm_page *table, struct vm_page *chain)
{
    const struct pt_geo *g = &pt_geo[pt_frame(table)->geo];

    if (pt_frame(table)->level > 0) {
        chain = table_wipe(table, g, chain);
    }
    table_keep(table, g);
    return chain;
}

void
pt_chain_free(struct vm_page *table)
{
    struct vm_page *chain = pt_reclaim(table, NULL);

    while (chain != NULL) {
        struct vm_page *p = chain;

        chain = pt_reclaim(p, pt_frame(p)->next);
    }
}

/* ---- counting --------------------------------------------------------- */

/*
 * A table and those below it; its depth bounds the recursion.  Of a root,
 * only the user half is in use.
 */
static uint64_t
table_count(const struct pt_geo *g, paddr_t table, int level, bool kernel)
{
    /* The kernel's tables do not tell which entries they use. */
    uint64_t used = level == 0 ? 0 : kernel ? ~UINT64_C(0) :
        vm_get(&pt_frame(pt_leaf_page(table))->used);
    pte_t *slot = kern_frame_ptr(table);
    uint64_t n = 1;

    for (; used != 0; used &= used - 1) {
        unsigned first = pt_group_first(g, level, used);

        for (unsigned i = 0; i < 1u << g->group[level]; i++) {
            pte_t pte = pte_load(&slot[first + i]);

            if (pt_leads(g, pte, level)) {
                n += table_count(g, pt_child(g, pte, level), level - 1,
                    kernel);
            }
        }
    }
    return n;
}

uint64_t
pt_reclaim_count(struct vm_page *table)
{
    return table_count(&pt_geo[pt_frame(table)->geo], vm_page_pa(table),
        (int)pt_frame(table)->level, false);
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
        for (vaddr_t va = vm_get(&pm->start) & ~(span - 1);
            va < vm_get(&pm->end) && va <= g->last; va += span) {
            pte_t pte = pte_load(pt_slot(g, pt_root_pa(root), top, va));

            if (pte != 0) {
                n += table_count(g, pt_child(g, pte, top), top - 1,
                    pm->kernel);
            }
            if (va + span < va) {
                break;
            }
        }
    }
    epoch_exit(cpu);
    return n;
}
