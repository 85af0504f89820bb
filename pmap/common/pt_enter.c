/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_enter.c - the radix store: entering translations.
 *
 *   entry found                     what is done, leaf lock held
 *   A  empty, nothing revoking      set                     (the hot path)
 *   B  empty, a revocation pending  flush the pmap, set
 *   C  this page, same or fewer     set by compare-and-swap; this CPU
 *      rights                       forgets its older answer
 *   D  this page, more rights       restrict, flush
 *   E  anything else                break: clear, flush; then set
 *
 * B: another revoker has cleared the entry, and its flush may not be
 * complete: some CPU may still use the old page.  Were the new one set
 * now, two CPUs could see two pages at one address (law 4).
 * E: the hole is nobody's but ours while we hold the leaf lock; others who
 * came to revoke the old page see pending (PMAP_BREAKING) and flush.
 *
 * UNLINKED LEAF.  The table may be unlinked between our walk and our
 * store.  It cannot be freed (epoch).  A CPU reaches our entry only
 * through a page-walk cache from before the unlinking, hence only until
 * the unlinker's flush; he keeps pending raised until then, so whoever
 * comes to revoke the entry meanwhile finds less and flushes himself; and
 * whoever comes later finds nothing where nothing is.  The hint stays
 * behind, stale.  The thread faults again: that is all.
 *
 * Locks: leaf (LEAF), under it the page's pv bit (PV)
 */
#include "pt_radix.h"

/* One enter, as its helpers see it. */
struct enter {
    struct pmap *pm;
    const struct pt_geo *g;
    pte_t *slot;
    vaddr_t va;
    paddr_t pa;
    pte_t attr;             /* the entry without its address */
    vm_prot_t prot;
};

/* An entry's address bits: all else cancels out. */
static inline pte_t
pte_address(const struct pt_format *f, paddr_t pa)
{
    const struct pte_attr plain = { .prot = VM_PROT_READ };

    return pte_leaf(f, pa, plain, 0) ^ pte_leaf(f, 0, plain, 0);
}

static inline pte_t
enter_pte(const struct enter *e, unsigned i)
{
    return e->attr | pte_address(pt_f(e->g), e->pa + i * e->g->hw_page);
}

/* This CPU forgets what it holds for va, "not there" included. */
static inline void
enter_fence(const struct enter *e, struct pt_cpu *cpu)
{
    if (asid_is_current(e->pm, cpu)) {
        for (unsigned i = 0; i < e->g->per_page; i++) {
            pmap_md_fence(e->va + i * e->g->hw_page, asid_of(e->pm));
        }
    }
}

/* Does an entry map its part of the page, differing in rights at most? */
static bool
enter_same(const struct enter *e, unsigned i, pte_t old)
{
    struct pte_attr a = pte_attr(pt_f(e->g), old, 0);
    struct pte_attr b = pte_attr(pt_f(e->g), e->attr, 0);

    return pte_pa(pt_f(e->g), old, 0) == e->pa + i * e->g->hw_page &&
        a.memory == b.memory && a.wired == b.wired;
}

/* Case E, all but the setting. */
static void
enter_break(const struct enter *e)
{
    vsize_t size = VM_PAGE_SIZE;
    pte_t old = 0;

    tlb_break_begin(e->pm);
    for (unsigned i = 0; i < e->g->per_page; i++) {
        pte_t new = VM_MUTANT(NO_BBM) ? enter_pte(e, i) : 0;
        pte_t was = __atomic_exchange_n(&e->slot[i], new, __ATOMIC_SEQ_CST);

        old = was != 0 ? was : old;
    }
    if (!VM_MUTANT(COW_NO_FLUSH)) {
        tlb_break_flush(e->pm, e->va, size);
    }
    tlb_break_end(e->pm);
#if VM_TEST
    pmap_test_revoked(e->pm, e->va, e->va + size,
        pte_pa(pt_f(e->g), old, 0) & ~VM_PAGE_MASK, VM_PROT_NONE);
#else
    (void)old;
#endif
}

/* Case D: rights are taken from the page that is mapped here. */
static void
enter_restrict(const struct enter *e)
{
    tlb_break_begin(e->pm);
    for (unsigned i = 0; i < e->g->per_page; i++) {
        pte_t old = pte_load(&e->slot[i]);

        while (old != 0 && !pte_cas(&e->slot[i], &old, enter_pte(e, i))) {
            continue;
        }
    }
    tlb_break_flush(e->pm, e->va, VM_PAGE_SIZE);
    tlb_break_end(e->pm);
}

/* All cases. */
static __attribute__((noinline)) void
enter_any(const struct enter *e, struct pt_cpu *cpu)
{
    bool empty = false, other = false, more = false;

    for (unsigned i = 0; i < e->g->per_page; i++) {
        pte_t old = pte_load(&e->slot[i]);

        if (old == 0) {
            empty = true;
        } else if (!enter_same(e, i, old)) {
            other = true;
        } else if ((pte_attr(pt_f(e->g), old, 0).prot & ~e->prot) != 0) {
            more = true;
        }
    }
    if (other) {
        enter_break(e);
    } else if (more) {
        enter_restrict(e);
    }
    if (empty && pmap_revoking(e->pm)) {
        tlb_flush_pending(e->pm);
    }
    for (unsigned i = 0; i < e->g->per_page; i++) {
        pte_t old = pte_load(&e->slot[i]), new = enter_pte(e, i);

        /* The hardware may mark it, page_age unmark it, meanwhile. */
        while (old != new && !pte_cas(&e->slot[i], &old, new)) {
            continue;
        }
    }
    pmap_md_publish();
    enter_fence(e, cpu);
}

/* The entry without its address. */
static inline pte_t
enter_attr(const struct pt_geo *g, vm_prot_t prot, unsigned flags)
{
    if (flags == 0) {
        return g->leaf[prot];
    }
    return ((flags & PMAP_DEVICE) != 0 ? g->device[prot] : g->leaf[prot]) |
        ((flags & PMAP_WIRED) != 0 ? g->wired : 0);
}

/* Leaf lock held, sequence compared, hint inserted. */
static inline void
enter_set(const struct enter *e, struct pt_cpu *cpu)
{
    struct enter slow;

    vm_point();
    if (e->g->per_page == 1 && pte_load(e->slot) == 0 &&
        !pmap_revoking(e->pm)) {
        /* Release: the page's contents are there before it is mapped. */
        __atomic_store_n(e->slot, enter_pte(e, 0), __ATOMIC_RELEASE);
        pmap_md_publish();
        if (PMAP_MD_CACHES_INVALID) {
            enter_fence(e, cpu);
        }
    } else {
        /* A copy, so that the hot path keeps *e in registers. */
        slow = *e;
        enter_any(&slow, cpu);
    }
}

/* Inside an epoch section; leaf != 0. */
static inline int
enter_leaf(struct pmap *pm, paddr_t leaf, const struct enter *e,
    vm_seq_t seq, struct pt_cpu *cpu)
{
    struct vm_page *table = pt_leaf_page(leaf);
    struct vm_page *page = pv_page(e->pa);
    int error = VM_OK;

    vm_bit_lock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
    if (!pmap_seq_same(pm, seq)) {
        error = VM_E_RETRY;
        pt_event(cpu, EV_RETRY, 1);
    } else if (page != NULL) {
        error = pv_insert(page, pm, e->va);
    }
    if (error == VM_OK) {
        pt_mark(e->g, table, e->slot, e->g->per_page);
        enter_set(e, cpu);
        pt_event(cpu, EV_ENTER, 1);
    }
    vm_bit_unlock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
    return error;
}

/*
 * No leaf table yet.  Memory may wait in limbo; outside the section, which
 * is left and entered again, it can be had.
 */
static __attribute__((noinline)) paddr_t
enter_grow(struct pmap *pm, vaddr_t va)
{
    paddr_t leaf = pt_grow(pm, va);
    uint64_t freed;

    if (leaf == 0) {
        epoch_exit(&pt_cpu[kern_cpu()]);
        freed = limbo_reap(false);
        (void)epoch_enter();
        leaf = freed == 0 ? 0 : pt_grow(pm, va);
    }
    return leaf;
}

int
pt_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    paddr_t leaf = pt_leaf(root, va);
    int error = VM_E_NOMEM;

    if (leaf == 0) {
        leaf = enter_grow(pm, va);
        cpu = &pt_cpu[kern_cpu()];
        root = pt_root(pm);
    }
    if (leaf != 0) {
        const struct pt_geo *g = pt_root_geo(root);
        const struct enter e = {
            .pm = pm, .g = g, .slot = pt_slot(g, leaf, 0, va),
            .va = va, .pa = pa, .prot = prot,
            .attr = enter_attr(g, prot, flags)
        };

        error = enter_leaf(pm, leaf, &e, seq, cpu);
    }
    epoch_exit(cpu);
    return error;
}

/* ---- prefill ---------------------------------------------------------- */

/* One page, leaf lock held; false: stop here. */
static bool
prefill_one(const struct enter *e, struct vm_page *page, unsigned *done)
{
    for (unsigned i = 0; i < e->g->per_page; i++) {
        if (pte_load(&e->slot[i]) != 0) {
            return true;
        }
    }
    if (pmap_revoking(e->pm)) {
        return false;
    }
    if (pv_insert_cheap(page, e->pm, e->va)) {
        for (unsigned i = 0; i < e->g->per_page; i++) {
            __atomic_store_n(&e->slot[i], enter_pte(e, i),
                __ATOMIC_RELEASE);
        }
        ++*done;
    }
    return true;
}

static unsigned
prefill_locked(struct enter *e, struct vm_page *table, unsigned n,
    struct vm_page *const pages[], const vm_prot_t prots[])
{
    const pte_t *first = e->slot;
    unsigned room = (unsigned)(e->g->mask[0] + 1u) -
        pt_geo_index(e->g, 0, e->va);
    unsigned done = 0;

    for (unsigned i = 0; i < n && room > 0 && e->va < e->pm->end; i++) {
        if (pages[i] != NULL) {
            e->pa = vm_page_pa(pages[i]);
            e->attr = e->g->leaf[prots[i]];
            if (!prefill_one(e, pages[i], &done)) {
                break;
            }
        }
        e->va += VM_PAGE_SIZE;
        e->slot += e->g->per_page;
        room -= e->g->per_page;
    }
    if (done != 0) {
        pt_mark(e->g, table, first, (unsigned)(e->slot - first));
        pmap_md_publish();
    }
    return done;
}

unsigned
pt_prefill(struct pmap *pm, vaddr_t va, unsigned n,
    struct vm_page *const pages[], const vm_prot_t prots[], vm_seq_t seq)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t root = pt_root(pm);
    struct enter e = { .pm = pm, .va = va };
    paddr_t leaf = pt_leaf(root, va);
    unsigned done = 0;

    if (leaf != 0) {
        struct vm_page *table = pt_leaf_page(leaf);

        e.g = pt_root_geo(root);
        e.slot = pt_slot(e.g, leaf, 0, va);
        vm_bit_lock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
        if (pmap_seq_same(pm, seq)) {
            done = prefill_locked(&e, table, n, pages, prots);
        }
        vm_bit_unlock(&table->lockword, VM_PG_LEAF_LOCK, VM_RANK_LEAF);
        pt_event(cpu, EV_PREFILLED, done);
    }
    epoch_exit(cpu);
    return done;
}
