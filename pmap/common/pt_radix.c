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

/*
 * Are entries of all frames that there are the number of the frame, shifted,
 * beside the attributes?  The last frame has most of the bits that matter.
 */
static uint8_t
geo_frame_shift(const struct pt_geo *g)
{
    uint64_t last = vm_page_first + vm_page_count - 1;
    pte_t one = pte_address(g->f, (paddr_t)1 << vm_page_shift);
    unsigned shift = one == 0 ? 0 : (unsigned)__builtin_ctzll(one);

    if (g->per_page != 1 || one != (pte_t)1 << shift) {
        return 0;
    }
    for (uint64_t bit = 1; bit <= last; bit <<= 1) {
        if (pte_address(g->f, bit << vm_page_shift) != bit << shift) {
            return 0;
        }
    }
    return (uint8_t)shift;
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
        g->group[i] = f->bits[i] > 6 ? f->bits[i] - 6 : 0;
    }
    g->hw_page = (vsize_t)1 << f->page_shift;
    g->first = kernel ? f->kernel_start : 0;
    g->last = (kernel ? f->kernel_end : f->user_end) - 1;
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
    g->frame_shift = geo_frame_shift(g);
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
    pt_table_init();
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

const struct pt_geo *
pt_format_geo(unsigned format)
{
    return &pt_geo[format_index[format]];
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

bool
pt_format_bounds(unsigned format, vaddr_t *start, vaddr_t *end)
{
    const struct pt_geo *g;

    if (format >= format_count) {
        return false;
    }
    g = &pt_geo[format_index[format]];
    *start = vm_trunc_page(g->f->user_start + VM_PAGE_MASK);
    *end = vm_trunc_page(g->f->user_end);
    return g->per_page != 0;
}

/* Of each page, a table on every level but the root, which all share. */
unsigned
pt_insn_tables(void)
{
    unsigned most = 0;

    for (unsigned i = 0; i < format_count; i++) {
        unsigned levels = pt_geo[format_index[i]].levels;

        most = levels > most ? levels : most;
    }
    return 1 + (most - 1) * PMAP_MD_INSN_PAGES;
}

/* ---- growing ---------------------------------------------------------- */

/* Private still: p's entry for va leads to below. */
static void
chain_link(const struct pt_geo *g, struct vm_page *p, int level, vaddr_t va,
    struct vm_page *below)
{
    vm_set(&pt_frame(p)->used, pt_group(g, level,
        pt_geo_index(g, level, va)));
    __atomic_store_n(pt_slot(g, vm_page_pa(p), level, va),
        pte_table(pt_f(g), vm_page_pa(below)), __ATOMIC_RELAXED);
}

/* A table of that level with all that leads from it to va's leaf table. */
static struct vm_page *
chain_make(struct pmap *pm, const struct pt_geo *g, vaddr_t va, int level)
{
    struct vm_page *below = NULL;

    for (int l = 0; l <= level; l++) {
        struct vm_page *p = pt_table_alloc(pm, g, l);

        if (p == NULL) {
            if (below != NULL) {
                pt_chain_free(below);
            }
            return NULL;
        }
        if (below != NULL) {
            chain_link(g, p, l, va, below);
        }
        below = p;
    }
    return below;
}

/*
 * Must be known before the entry can be found in use: whoever revokes reads
 * the groups after the sequence is odd, like the entries (pmap_seq_same()).
 * Upper tables never unmark: an entry may be on its way.
 */
static void
grow_mark(const struct pt_geo *g, struct vm_page *table, int level,
    vaddr_t va)
{
    uint64_t bit = pt_group(g, level, pt_geo_index(g, level, va));

    if ((vm_get(&pt_frame(table)->used) & bit) == 0) {
        (void)atomic_fetch_or_explicit(&pt_frame(table)->used, bit,
            memory_order_seq_cst);
    }
}

/* The entry at slot is empty: fill it.  Returns what is there now, or 0. */
static pte_t
grow_entry(struct pmap *pm, const struct pt_geo *g, vaddr_t va, int level,
    paddr_t table)
{
    pte_t *slot = pt_slot(g, table, level, va);
    struct vm_page *top = chain_make(pm, g, va, level - 1);
    pte_t old = 0, new;

    if (top == NULL) {
        return 0;
    }
    /* The kernel's may be the boot layer's: nobody asks for its groups. */
    if (!pm->kernel) {
        grow_mark(g, pt_leaf_page(table), level, va);
    }
    new = pte_table(pt_f(g), vm_page_pa(top));
    pmap_md_publish();
    vm_point();
    if (!pte_cas(slot, &old, new)) {
        pt_chain_free(top);
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

uint64_t
pt_root_make(struct pmap *pm, unsigned format)
{
    const struct pt_geo *g = &pt_geo[format_index[format]];
    struct vm_page *p = pt_table_root(pm, g);

    if (p == NULL) {
        p = pt_table_alloc(pm, g, g->levels - 1);
        if (p == NULL) {
            return 0;
        }
        root_share(g, vm_page_pa(p));
    }
    return vm_page_pa(p) | (uint64_t)(g - pt_geo);
}

/*
 * Give a user pmap its root.  va_used: with the tables for va below it.
 * Returns the root word, 0 if there is no memory.
 */
static uint64_t
root_grow(struct pmap *pm, bool va_used, vaddr_t va)
{
    struct pt_radix *r = pt_radix(pm);
    uint64_t word = pt_root_make(pm, vm_get(&pm->format)), old = 0;
    const struct pt_geo *g = pt_root_geo(word);
    int top = g->levels - 1;
    struct vm_page *p, *below = NULL;

    if (word == 0) {
        return 0;
    }
    p = vm_page_of(pt_root_pa(word));
    if (va_used && pt_reaches(g, va)) {
        below = chain_make(pm, g, va, top - 1);
        if (below == NULL) {
            pt_table_free(p);
            return 0;
        }
        chain_link(g, p, top, va, below);
    }
    pmap_md_publish();
    vm_point();
    if (!atomic_compare_exchange_strong_explicit(&r->root, &old, word,
            memory_order_seq_cst, memory_order_acquire)) {
        pt_table_free(p);
        if (below != NULL) {
            pt_chain_free(below);
        }
        return old;
    }
    pt_event_any(EV_TABLE_MADE, below != NULL ? g->levels : 1u);
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
    if (!pt_reaches(g, va)) {
        return PT_GROW_LARGE;
    }
    for (int level = g->levels - 1; level > 0; level--) {
        pte_t *slot = pt_slot(g, table, level, va);
        pte_t pte = pte_load(slot);

        if (pte == 0) {
            pte = grow_entry(pm, g, va, level, table);
            if (pte == 0) {
                return 0;
            }
        }
        if (!pt_leads(g, pte, level)) {
            return PT_GROW_LARGE;
        }
        table = pt_child(g, pte, level);
    }
    return table;
}

/* ---- making, loading, dropping a pmap --------------------------------- */

/* Everything just below the root that the kernel's window needs. */
static int
kernel_tables(struct pmap *pm, const struct pt_geo *g)
{
    int top = g->levels - 1;
    vsize_t span = (vsize_t)1 << g->shift[top];
    vaddr_t last = (g->f->kernel_end - 1) & ~(span - 1);
    vaddr_t va = g->f->kernel_start & ~(span - 1);
    struct vm_page *p;

    for (;; va += span) {
        pte_t *slot = pt_slot(g, kernel_root, top, va);

        if (pte_load(slot) == 0) {
            p = pt_table_alloc(pm, g, top - 1);
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

    kernel_root = pmap_md_kernel_root(g->f, 0);
    if (kernel_root == 0) {
        p = pt_table_alloc(pm, g, top);
        if (p == NULL) {
            return VM_E_NOMEM;
        }
        kernel_root = pmap_md_kernel_root(g->f, vm_page_pa(p));
    }
    error = g->f->shared_root ? kernel_tables(pm, g) : VM_OK;
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
            vm_set(&pm->format, (uint8_t)i);
        }
    }
    vm_set(&pm->start, vm_trunc_page(g->f->kernel_start + VM_PAGE_MASK));
    vm_set(&pm->end, vm_trunc_page(g->f->kernel_end));
    vm_set(&pm->page_shift, g->f->page_shift);
    atomic_store_explicit(&r->root, kernel_root | PT_GEO_KERNEL,
        memory_order_release);
    return VM_OK;
}

int
pt_create(struct pmap *pm)
{
    vaddr_t start, end;

    if (pm->kernel) {
        return kernel_create(pm);
    }
    if (!pt_format_bounds(vm_get(&pm->format), &start, &end)) {
        return VM_E_INVAL;
    }
    KASSERT(vm_get(&pt_radix(pm)->root) == 0);
    vm_set(&pm->start, start);
    vm_set(&pm->end, end);
    vm_set(&pm->page_shift,
        (uint8_t)pt_format_page_shift(vm_get(&pm->format)));
    return VM_OK;
}

void
pt_destroy(struct pmap *pm)
{
    uint64_t root = atomic_exchange_explicit(&pt_radix(pm)->root, 0,
        memory_order_seq_cst);

    if (root != 0) {
        struct vm_page *p = vm_page_of(pt_root_pa(root));

        /* Its kernel half serves the next one. */
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
