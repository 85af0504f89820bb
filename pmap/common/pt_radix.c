/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_radix.c - the radix store: formats, roots, and tables that come and go.
 *
 * Growing: the missing tables, one for each level, are made and linked to
 * each other in private, and become reachable by one compare-and-swap of
 * the entry that was empty.  So an allocation that fails leaves the pmap as
 * it was, and whoever loses the race gives his tables back.
 *
 * Kernel half, where it shares the root: the tables just below the root
 * that cover the kernel's window are made by pt_init() and stay for ever,
 * so every root holds the same entries.  The kernel's format is that with
 * the fewest levels; the last entry of its root leads to the root itself,
 * and therefore serves as the last entry of the root of every format with
 * more levels (Sv39 under Sv48 and Sv57): no kernel address uses it.
 */
#include "pt_radix.h"

struct pt_geo pt_geo[PTE_FORMATS + 1];

static unsigned format_count;                   /* (c) */
static uint8_t format_index[PTE_FORMATS];       /* (c) into pte_formats */
static paddr_t kernel_root;                     /* (c) */

/* A machine whose boot layer made no root of its own. */
__attribute__((weak)) paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    (void)f;
    return made;
}

/* ---- formats ---------------------------------------------------------- */

static pte_t
geo_leaf(const struct pt_format *f, vm_prot_t prot, bool device, bool kernel,
    bool wired)
{
    struct pte_attr attr = {
        .prot = (uint8_t)(prot | VM_PROT_READ),
        .memory = device ? PTE_DEVICE : PTE_NORMAL,
        .user = !kernel, .global = kernel, .wired = wired,
        .accessed = true, .dirty = (prot & VM_PROT_WRITE) != 0
    };

    return pte_leaf(f, 0, attr, 0);
}

static void
geo_make(struct pt_geo *g, const struct pt_format *f, bool kernel)
{
    int top = f->levels - 1;

    g->f = f;
    g->levels = f->levels;
    for (int i = 0; i <= top; i++) {
        g->shift[i] = pt_shift(f, i);
        g->mask[i] = (1u << f->bits[i]) - 1;
    }
    g->root_shift = (uint8_t)(g->shift[top] +
        (f->bits[top] > 6 ? f->bits[top] - 6 : 0));
    g->hw_page = (vsize_t)1 << f->page_shift;
    /* 0: the format cannot serve this MI page. */
    g->per_page = 0;
    if (f->page_shift <= vm_page_shift &&
        vm_page_shift <= (unsigned)f->page_shift + f->bits[0]) {
        g->per_page = (uint16_t)(1u << (vm_page_shift - f->page_shift));
    }
    for (vm_prot_t p = 0; p <= VM_PROT_ALL; p++) {
        g->leaf[p] = geo_leaf(f, p, false, kernel, false);
        g->device[p] = geo_leaf(f, p, true, kernel, false);
    }
    g->wired = geo_leaf(f, 0, false, kernel, true) ^ g->leaf[0];
}

/* The first that fits; of those that share the root, the fewest levels. */
static const struct pt_format *
kernel_format(void)
{
    const struct pt_format *best = NULL;

    for (unsigned i = 0; i < format_count; i++) {
        const struct pt_geo *g = &pt_geo[format_index[i]];

        if (g->per_page != 0 && (best == NULL ||
                (best->shared_root && g->levels < best->levels))) {
            best = g->f;
        }
    }
    return best;
}

int
pt_init(void)
{
    uint64_t have = pmap_md_formats();
    const struct pt_format *f;

    format_count = 0;
    kernel_root = 0;
    for (unsigned i = 0; i < PTE_FORMATS; i++) {
        geo_make(&pt_geo[i], &pte_formats[i], false);
        if ((have >> i & 1) != 0) {
            format_index[format_count++] = (uint8_t)i;
        }
    }
    f = kernel_format();
    if (f == NULL) {
        return VM_E_INVAL;
    }
    geo_make(&pt_geo[PT_GEO_KERNEL], f, true);
    return VM_OK;
}

unsigned
pt_format_count(void)
{
    return format_count;
}

const char *
pt_format_name(unsigned format)
{
    return pte_formats[format_index[format]].name;
}

unsigned
pt_format_page_shift(unsigned format)
{
    return pte_formats[format_index[format]].page_shift;
}

/* ---- table frames ----------------------------------------------------- */

static struct vm_page *
table_alloc(const struct pt_geo *g, int level)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_TABLE, VM_ALLOC_KERNEL);

    if (p != NULL) {
        KASSERT(vm_page_pa(p) != 0);
        memset(vm_page_data(p), 0, g->hw_page);
        pt_frame(p)->level = (uint32_t)level;
        pt_frame(p)->geo = (uint32_t)(g - pt_geo);
    }
    return p;
}

static void
table_free(struct vm_page *p)
{
    struct pt_frame *f = pt_frame(p);

    f->next = NULL;
    f->tag = 0;
    f->level = 0;
    f->geo = 0;
    vm_page_free(p);
}

/* Hang the tables below p, a table of level > 0, onto the chain. */
static struct vm_page *
table_children(struct vm_page *p, struct vm_page *chain)
{
    int level = (int)pt_frame(p)->level;
    const struct pt_geo *g = &pt_geo[pt_frame(p)->geo];
    pte_t *slot = vm_page_data(p);

    for (unsigned i = 0; i <= g->mask[level]; i++) {
        pte_t pte = pte_load(&slot[i]);

        if (pte != 0) {
            struct vm_page *child = vm_page_of(pt_child(g, pte, level));

            pt_frame(child)->next = chain;
            chain = child;
        }
    }
    return chain;
}

/*
 * Nobody can reach the subtree any more, so its frames' links are ours:
 * they are the list of what is still to be done.
 */
uint64_t
pt_reclaim(struct vm_page *table)
{
    struct vm_page *chain = table;
    uint64_t freed = 0;

    pt_frame(table)->next = NULL;
    while (chain != NULL) {
        struct vm_page *p = chain;

        chain = pt_frame(p)->next;
        if (pt_frame(p)->level > 0) {
            chain = table_children(p, chain);
        }
        table_free(p);
        freed++;
    }
    return freed;
}

/* Tables below a table; its depth bounds the recursion. */
static uint64_t
table_count(const struct pt_geo *g, paddr_t table, int level)
{
    pte_t *slot = kern_frame_ptr(table);
    uint64_t n = 1;

    for (unsigned i = 0; level > 0 && i <= g->mask[level]; i++) {
        pte_t pte = pte_load(&slot[i]);

        if (pte != 0) {
            n += table_count(g, pt_child(g, pte, level), level - 1);
        }
    }
    return n;
}

uint64_t
pt_reclaim_count(struct vm_page *table)
{
    return table_count(&pt_geo[pt_frame(table)->geo], vm_page_pa(table),
        (int)pt_frame(table)->level);
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

/* ---- growing ---------------------------------------------------------- */

/* A table of that level with all that leads from it to va's leaf table. */
static struct vm_page *
chain_make(const struct pt_geo *g, vaddr_t va, int level)
{
    struct vm_page *below = NULL;

    for (int l = 0; l <= level; l++) {
        struct vm_page *p = table_alloc(g, l);

        if (p == NULL) {
            if (below != NULL) {
                (void)pt_reclaim(below);
            }
            return NULL;
        }
        if (below != NULL) {
            __atomic_store_n(pt_slot(g, vm_page_pa(p), l, va),
                pte_table(pt_f(g), vm_page_pa(below)), __ATOMIC_RELAXED);
        }
        below = p;
    }
    return below;
}

/* Must be known before the root entry can be found in use. */
static void
root_mark(struct pt_radix *r, const struct pt_geo *g, vaddr_t va)
{
    uint64_t bit = (uint64_t)1 << (va >> g->root_shift & 63);

    if ((vm_get(&r->root_used) & bit) == 0) {
        (void)atomic_fetch_or_explicit(&r->root_used, bit,
            memory_order_seq_cst);
    }
}

/* The entry at slot is empty: fill it.  Returns what is there now, or 0. */
static pte_t
grow_entry(struct pt_radix *r, const struct pt_geo *g, vaddr_t va,
    int level, pte_t *slot)
{
    struct vm_page *top = chain_make(g, va, level - 1);
    pte_t old = 0, new;

    if (top == NULL) {
        return 0;
    }
    if (level == g->levels - 1) {
        root_mark(r, g, va);
    }
    new = pte_table(pt_f(g), vm_page_pa(top));
    pmap_md_publish();
    vm_point();
    if (!pte_cas(slot, &old, new)) {
        (void)pt_reclaim(top);
        return old;
    }
    pt_event_any(EV_TABLE_MADE, (uint64_t)level);
    return new;
}

/* Kernel entries of a new root. */
static void
root_share(const struct pt_geo *g, paddr_t root)
{
    const struct pt_geo *k = &pt_geo[PT_GEO_KERNEL];
    int top = g->levels - 1;
    pte_t *slot = kern_frame_ptr(root);

    if (!g->f->shared_root) {
        return;
    }
    if (g->levels == k->levels) {
        pte_t *from = kern_frame_ptr(kernel_root);
        unsigned half = (g->mask[top] + 1u) / 2;

        for (unsigned i = half; i <= g->mask[top]; i++) {
            __atomic_store_n(&slot[i], pte_load(&from[i]),
                __ATOMIC_RELAXED);
        }
    } else {
        __atomic_store_n(&slot[g->mask[top]],
            pte_table(g->f, kernel_root), __ATOMIC_RELAXED);
    }
}

/*
 * Give a user pmap its root.  va_used: with the tables for va below it.
 * Returns the root word, 0 if there is no memory.
 */
static uint64_t
root_grow(struct pmap *pm, bool va_used, vaddr_t va)
{
    struct pt_radix *r = pt_radix(pm);
    const struct pt_geo *g = &pt_geo[format_index[pm->format]];
    int top = g->levels - 1;
    struct vm_page *p = table_alloc(g, top), *below = NULL;
    uint64_t word, old = 0;

    if (p == NULL) {
        return 0;
    }
    word = vm_page_pa(p) | (uint64_t)(g - pt_geo);
    if (va_used) {
        below = chain_make(g, va, top - 1);
        if (below == NULL) {
            table_free(p);
            return 0;
        }
        __atomic_store_n(pt_slot(g, vm_page_pa(p), top, va),
            pte_table(pt_f(g), vm_page_pa(below)), __ATOMIC_RELAXED);
        root_mark(r, g, va);
    }
    root_share(g, vm_page_pa(p));
    pmap_md_publish();
    vm_point();
    if (!atomic_compare_exchange_strong_explicit(&r->root, &old, word,
            memory_order_seq_cst, memory_order_acquire)) {
        table_free(p);
        if (below != NULL) {
            (void)pt_reclaim(below);
        }
        return old;
    }
    pt_event_any(EV_TABLE_MADE, va_used ? g->levels : 1u);
    return word;
}

paddr_t
pt_grow(struct pmap *pm, vaddr_t va)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g;
    paddr_t table;

    if (root == 0) {
        root = root_grow(pm, true, va);
        if (root == 0) {
            return 0;
        }
    }
    g = pt_root_geo(root);
    table = pt_root_pa(root);
    for (int level = g->levels - 1; level > 0; level--) {
        pte_t *slot = pt_slot(g, table, level, va);
        pte_t pte = pte_load(slot);

        if (pte == 0) {
            pte = grow_entry(pt_radix(pm), g, va, level, slot);
            if (pte == 0) {
                return 0;
            }
        }
        table = pt_child(g, pte, level);
    }
    return table;
}

/* ---- making, loading, dropping a pmap --------------------------------- */

/* Everything just below the root that the kernel's window needs. */
static int
kernel_tables(const struct pt_geo *g)
{
    int top = g->levels - 1;
    vsize_t span = (vsize_t)1 << g->shift[top];
    vaddr_t last = (g->f->kernel_end - 1) & ~(span - 1);
    vaddr_t va = g->f->kernel_start & ~(span - 1);
    struct vm_page *p;

    for (;; va += span) {
        pte_t *slot = pt_slot(g, kernel_root, top, va);

        if (pte_load(slot) == 0) {
            p = table_alloc(g, top - 1);
            if (p == NULL) {
                return VM_E_NOMEM;
            }
            pmap_md_publish();
            __atomic_store_n(slot, pte_table(g->f, vm_page_pa(p)),
                __ATOMIC_RELEASE);
        }
        if (va == last) {
            return VM_OK;
        }
    }
}

static int
kernel_create(struct pmap *pm)
{
    const struct pt_geo *g = &pt_geo[PT_GEO_KERNEL];
    struct pt_radix *r = pt_radix(pm);
    int top = g->levels - 1, error;
    struct vm_page *p;
    pte_t *last;

    /* Tables of the boot layer may be there already: skip nothing. */
    vm_set(&r->root_used, ~(uint64_t)0);
    kernel_root = pmap_md_kernel_root(g->f, 0);
    if (kernel_root == 0) {
        p = table_alloc(g, top);
        if (p == NULL) {
            return VM_E_NOMEM;
        }
        kernel_root = pmap_md_kernel_root(g->f, vm_page_pa(p));
    }
    error = g->f->shared_root ? kernel_tables(g) : VM_OK;
    if (error != VM_OK) {
        return error;
    }
    last = (pte_t *)kern_frame_ptr(kernel_root) + g->mask[top];
    if (PTE_FORMATS > 1 && g->f->shared_root && pte_load(last) == 0) {
        __atomic_store_n(last, pte_table(g->f, kernel_root),
            __ATOMIC_RELEASE);
    }
    pmap_md_publish();
    for (unsigned i = 0; i < format_count; i++) {
        if (&pte_formats[format_index[i]] == g->f) {
            pm->format = (uint8_t)i;
        }
    }
    pm->start = vm_trunc_page(g->f->kernel_start + VM_PAGE_MASK);
    pm->end = vm_trunc_page(g->f->kernel_end);
    pm->page_shift = g->f->page_shift;
    atomic_store_explicit(&r->root, kernel_root | PT_GEO_KERNEL,
        memory_order_release);
    return VM_OK;
}

int
pt_create(struct pmap *pm)
{
    const struct pt_geo *g;

    vm_set(&pt_radix(pm)->root_used, 0);
    if (pm->kernel) {
        return kernel_create(pm);
    }
    g = &pt_geo[format_index[pm->format]];
    if (g->per_page == 0) {
        return VM_E_INVAL;
    }
    KASSERT(vm_get(&pt_radix(pm)->root) == 0);
    pm->start = vm_trunc_page(g->f->user_start + VM_PAGE_MASK);
    pm->end = vm_trunc_page(g->f->user_end);
    pm->page_shift = g->f->page_shift;
    return VM_OK;
}

void
pt_destroy(struct pmap *pm)
{
    uint64_t root = atomic_exchange_explicit(&pt_radix(pm)->root, 0,
        memory_order_seq_cst);

    if (root != 0) {
        struct vm_page *p = vm_page_of(pt_root_pa(root));

        /* Its user half is empty, its kernel half is not ours to drop. */
        pt_frame(p)->level = 0;
        pt_frame(p)->next = NULL;
        limbo_put(p);
    }
}

int
pt_ready(struct pmap *pm)
{
    if (pt_root(pm) == 0 && root_grow(pm, false, 0) == 0) {
        return VM_E_NOMEM;
    }
    return VM_OK;
}

void
pt_activate(struct pmap *pm, uint32_t asid, bool flush_asid)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g = pt_root_geo(root);

    /* A kernel with a root register of its own runs with no user root. */
    if (pm->kernel && !g->f->shared_root) {
        root = 0;
    }
    pmap_md_activate(g->f, pt_root_pa(root), asid, flush_asid);
}
