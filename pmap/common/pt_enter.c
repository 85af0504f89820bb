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
 * Locks: leaf (LEAF)
 */
#include "pt_note.h"

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

static inline void
enter_publish(void)
{
    if (!VM_MUTANT(PUBLISH_SKIPPED)) {
        pmap_md_publish();
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
    if (!VM_MUTANT(RESTRICT_NO_FLUSH)) {
        tlb_break_flush(e->pm, e->va, VM_PAGE_SIZE);
    }
    tlb_break_end(e->pm);
}

/* Case A, of a page that is one entry? */
static inline bool
enter_is_empty(struct pmap *pm, const struct pt_geo *g, const pte_t *slot)
{
    return __builtin_expect(g->frame_shift != 0, 1) &&
        __builtin_expect(pte_load(slot) == 0, 1) &&
        __builtin_expect(!pmap_revoking(pm), 1);
}

/* Then this. */
static inline void
enter_fill(struct pmap *pm, pte_t *slot, vaddr_t va, pte_t new,
    struct pt_cpu *cpu)
{
    /* Release: the page's contents are there before it is mapped. */
    __atomic_store_n(slot, new, __ATOMIC_RELEASE);
    enter_publish();
    if (PMAP_MD_CACHES_INVALID && asid_is_current(pm, cpu)) {
        pmap_md_fence(va, asid_of(pm));
    }
}

/*
 * Case C as it is met: the entry is what it becomes but for the right to
 * write, which was taken away (pte_restrict()) and comes back.
 */
static inline bool
enter_upgrade(const struct enter *e, pte_t new, struct pt_cpu *cpu)
{
    const pte_t *leaf = e->g->leaf;
    pte_t old = new ^ leaf[e->prot] ^ leaf[e->prot & ~VM_PROT_WRITE];

    if (e->g->frame_shift == 0 || pte_load(e->slot) != old ||
        !pte_cas(e->slot, &old, new)) {
        return false;
    }
    enter_publish();
    if (!VM_MUTANT(FENCE_SKIPPED)) {
        enter_fence(e, cpu);
    }
    return true;
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
    if (empty && pmap_revoking(e->pm) && !VM_MUTANT(ENTER_NO_PENDING)) {
        tlb_flush_pending(e->pm);
    }
    for (unsigned i = 0; i < e->g->per_page; i++) {
        pte_t old = pte_load(&e->slot[i]), new = enter_pte(e, i);

        /* The hardware may mark it, page_age unmark it, meanwhile. */
        while (old != new && !pte_cas(&e->slot[i], &old, new)) {
            continue;
        }
    }
    enter_publish();
    if (!VM_MUTANT(FENCE_SKIPPED)) {
        enter_fence(e, cpu);
    }
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

static inline void
enter_at(struct enter *e, const struct note *n, struct pmap *pm, vaddr_t va,
    paddr_t pa, vm_prot_t prot, unsigned flags)
{
    e->pm = pm;
    e->g = n->g;
    e->slot = note_slot(n, va);
    e->va = va;
    e->pa = pa;
    e->prot = prot;
    e->attr = enter_attr(n->g, prot, flags);
}

/* Leaf lock held, sequence compared, hint inserted. */
static inline __attribute__((always_inline)) void
enter_set(const struct enter *e, const struct note *n, struct pt_cpu *cpu)
{
    pte_t new = e->attr | e->pa >> vm_page_shift << e->g->frame_shift;

    vm_point();
    pt_mark(e->g, n->table, e->slot, e->g->per_page);
    if (enter_is_empty(e->pm, e->g, e->slot)) {
        enter_fill(e->pm, e->slot, e->va, new, cpu);
    } else if (!enter_upgrade(e, new, cpu)) {
        enter_any(e, cpu);
    }
    pt_event(cpu, EV_ENTER, 1);
}

/*
 * The note, after a walk, if need be after growing the leaf table.  Memory
 * may wait in limbo; outside the section, which is left and entered again,
 * it can be had.
 */
#define ENTER_THERE     1       /* a large leaf has the page already */

static __attribute__((noinline)) int
note_grow(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot)
{
    struct note *n;

    if (pt_large_meet(pm, va, pa, prot)) {
        return ENTER_THERE;
    }
    if (pt_grow(pm, va) == 0) {
        uint64_t freed;

        epoch_exit(&pt_cpu[kern_cpu()]);
        freed = limbo_reap(false);
        (void)epoch_enter();
        if (freed == 0 || pt_grow(pm, va) == 0) {
            return VM_E_NOMEM;
        }
    }
    /* Gone again already?  Then the thread faults again. */
    n = note_of(&pt_cpu[kern_cpu()]);
    return note_walk(n, pm, va) ? VM_OK : VM_E_RETRY;
}

/* Its common half in the caller's own registers. */
static inline __attribute__((always_inline)) int
note_make(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot)
{
    return note_walk(note_of(&pt_cpu[kern_cpu()]), pm, va) ? VM_OK :
        note_grow(pm, va, pa, prot);
}

/*
 * All of it, inside an epoch section that is left.  page: NULL if it has no
 * reverse map.
 */
static __attribute__((noinline)) int
enter(struct pmap *pm, vaddr_t va, paddr_t pa, struct vm_page *page,
    vm_prot_t prot, unsigned flags, vm_seq_t seq)
{
    struct pt_cpu *cpu = &pt_cpu[kern_cpu()];
    struct note *n = note_of(cpu);
    struct vm_page *table;
    struct enter e;
    int error = VM_OK;

    if (!note_hit(n, pm, va)) {
        error = note_make(pm, va, pa, prot);
        cpu = &pt_cpu[kern_cpu()];
        n = note_of(cpu);
        if (error != VM_OK) {
            epoch_exit(cpu);
            return error == ENTER_THERE ? VM_OK : error;
        }
    }
    enter_at(&e, n, pm, va, pa, prot, flags);
    table = n->table;
    leaf_lock(table);
    if (!pmap_seq_same(pm, seq)) {
        error = VM_E_RETRY;
        pt_event(cpu, EV_RETRY, 1);
    } else if (page != NULL) {
        error = pv_insert(page, pm, va);
    }
    if (error == VM_OK) {
        enter_set(&e, n, cpu);
    }
    leaf_unlock(table);
    epoch_exit(cpu);
    return error;
}

/*
 * The rest of enter_noted(), if something is there, or another's hint: leaf
 * lock held, sequence compared.
 */
static __attribute__((noinline)) int
enter_over(struct pmap *pm, vaddr_t va, struct vm_page *page, vm_prot_t prot)
{
    struct pt_cpu *cpu = &pt_cpu[kern_cpu()];
    struct note *n = note_of(cpu);
    struct vm_page *table = n->table;
    int error = pv_insert(page, pm, va);
    struct enter e;

    if (error == VM_OK) {
        enter_at(&e, n, pm, va, vm_page_pa(page), prot, 0);
        enter_set(&e, n, cpu);
    }
    leaf_unlock(table);
    epoch_exit(cpu);
    return error;
}

/*
 * enter() where this CPU's note serves, case A as it is nearly always met, in
 * few registers: what does not fit is left to another function, with which
 * this one ends.
 */
static inline __attribute__((always_inline)) int
enter_noted(struct pt_cpu *cpu, struct pmap *pm, vaddr_t va,
    struct vm_page *page, vm_prot_t prot, vm_seq_t seq)
{
    struct note *n = note_of(cpu);
    struct vm_page *table = n->table;
    const struct pt_geo *g = n->g;
    pte_t *slot;

    if (__builtin_expect(!leaf_try(table), 0)) {
        return enter(pm, va, vm_page_pa(page), page, prot, 0, seq);
    }
    if (__builtin_expect(!pmap_seq_same(pm, seq), 0)) {
        pt_event(cpu, EV_RETRY, 1);
        leaf_unlock(table);
        epoch_exit(cpu);
        return VM_E_RETRY;
    }
    slot = note_slot(n, va);
    if (__builtin_expect(!pv_insert_inline(page, pm, va), 0) ||
        !enter_is_empty(pm, g, slot)) {
        return enter_over(pm, va, page, prot);
    }
    pt_mark(g, table, slot, 1);
    enter_fill(pm, slot, va, g->leaf[prot] | ((uint64_t)(page -
        vm_page_array) + vm_page_first) << g->frame_shift, cpu);
    pt_event(cpu, EV_ENTER, 1);
    leaf_unlock(table);
    epoch_exit(cpu);
    return VM_OK;
}

/* The same without a note. */
static __attribute__((noinline)) int
enter_missed(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq)
{
    int error = note_make(pm, va, vm_page_pa(page), prot);
    struct pt_cpu *cpu = &pt_cpu[kern_cpu()];

    if (error != VM_OK) {
        epoch_exit(cpu);
        return error == ENTER_THERE ? VM_OK : error;
    }
    return enter_noted(cpu, pm, va, page, prot, seq);
}

int
pt_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq)
{
    (void)epoch_enter();
    return enter(pm, va, pa, pv_page(pa), prot, flags, seq);
}

int
pt_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq)
{
    struct pt_cpu *cpu = epoch_enter();

    if (__builtin_expect(!note_hit(note_of(cpu), pm, va), 0)) {
        return enter_missed(pm, va, page, prot, seq);
    }
    return enter_noted(cpu, pm, va, page, prot, seq);
}

/* ---- prefill ---------------------------------------------------------- */

/*
 * How an entry is stored: behind one fence for all, see pt_prefill().
 * ThreadSanitizer does not know fences, and has to be told with each.
 */
#if __has_feature(thread_sanitizer)
#define PREFILL_ORDER   __ATOMIC_RELEASE
#else
#define PREFILL_ORDER   __ATOMIC_RELAXED
#endif

/* log2 of a core map entry's size */
#define PREFILL_CORE    6u
_Static_assert(sizeof(struct vm_page) == (size_t)1 << PREFILL_CORE,
    "a shift leads from a page to its frame's number");

/*
 * As pmap_revoking(), of an entry that pte_load() found empty just now; a
 * break elsewhere is reason enough, too, to leave it.
 */
static inline bool
prefill_may(struct pmap *pm)
{
    vm_point();
    return vm_get(&pm->pending) == 0;
}

/*
 * An entry is the address of the page's core map entry, shifted, and one of
 * two constants: leaf[1] if the page is modified.  Returns the shift.
 */
static inline unsigned
prefill_leaf(const struct enter *e, const struct pmap_near *near,
    pte_t leaf[2])
{
    const unsigned up = e->g->frame_shift - PREFILL_CORE;
    const uint64_t base = (vm_page_first << e->g->frame_shift) -
        ((uint64_t)(uintptr_t)vm_page_array << up);

    leaf[0] = e->g->leaf[near->prot[0]] + base;
    leaf[1] = e->g->leaf[near->prot[1]] + base;
    return up;
}

/*
 * Leaf lock held: n pages, one for every hardware page, all wanted, none of
 * them code: the hot case.  What does not change in the loop is read before,
 * and there is little of it, so that it stays in registers; a function of its
 * own, or what the caller keeps takes them.
 */
static __attribute__((noinline)) unsigned
prefill_dense(const struct enter *e, const struct pmap_near *near,
    unsigned n)
{
    pte_t leaf[2];
    const unsigned up = prefill_leaf(e, near, leaf);
    const vsize_t size = VM_PAGE_SIZE;
    const uintptr_t *source = near->slot, *end = source + n;
    struct pmap *pm = e->pm;
    vaddr_t va = e->va;
    pte_t *slot = e->slot;

    for (; source != end; source++, va += size, slot++) {
        const uintptr_t what = *source;
        struct vm_page *page = (struct vm_page *)what;
        unsigned which;
        uint32_t flags;

        if (__builtin_expect((what & 1) != 0, 0) ||
            __builtin_expect(pte_load(slot) != 0 &&
                !VM_MUTANT(PREFILL_REPLACES), 0) ||
            __builtin_expect(!prefill_may(pm), 0)) {
            n--;
            continue;
        }
        flags = vm_page_flags(page);
        if (__builtin_expect(((flags & (VM_PG_NO_DATA | VM_PG_ICACHE)) |
                page->forbidden) != 0, 0) &&
            vm_near_look(what, near->prot, &which) == NULL) {
            n--;
            continue;
        }
        if (__builtin_expect(page->pv.pm != pm || page->pv.va != va, 0) &&
            !pv_insert_cheap(page, pm, va)) {
            n--;
            continue;
        }
        __atomic_store_n(slot, leaf[(flags & VM_PG_MODIFIED) != 0] +
            ((uint64_t)what << up), PREFILL_ORDER);
    }
    return n;
}

/* The same for some of them, or code. */
static __attribute__((noinline)) unsigned
prefill_some(const struct enter *e, const struct pmap_near *from,
    uint32_t want)
{
    pte_t leaf[2];
    const unsigned up = prefill_leaf(e, from, leaf);
    const struct pmap_near near = *from;
    const bool exec = (near.prot[0] & VM_PROT_EXEC) != 0;
    const vsize_t size = VM_PAGE_SIZE;
    const uintptr_t *source = near.slot;
    struct pmap *pm = e->pm;
    vaddr_t va = e->va;
    pte_t *slot = e->slot;
    unsigned done = 0;

    for (; want != 0; source++, want >>= 1, va += size, slot++) {
        struct vm_page *page;
        unsigned which = 0;

        if ((want & 1) == 0 ||
            (pte_load(slot) != 0 && !VM_MUTANT(PREFILL_REPLACES)) ||
            !prefill_may(pm) ||
            (page = vm_near_look(*source, near.prot, &which)) == NULL ||
            !pv_insert_cheap(page, pm, va)) {
            continue;
        }
        /* In step already: vm_near_look() has seen that nobody may write. */
        if (exec && (vm_page_flags(page) & VM_PG_ICACHE) == 0) {
            pmap_near_icache(page, near.prot[which]);
        }
        __atomic_store_n(slot, leaf[which] +
            ((uint64_t)(uintptr_t)page << up), PREFILL_ORDER);
        done++;
    }
    return done;
}

static bool
prefill_is_empty(const struct enter *e)
{
    bool empty = true;

    for (unsigned k = 0; empty && k < e->g->per_page; k++) {
        empty = pte_load(&e->slot[k]) == 0;
    }
    return empty && prefill_may(e->pm);
}

/* The same for pages that are several of the hardware's. */
static __attribute__((noinline)) unsigned
prefill_multiple(struct enter *e, const struct pmap_near *near,
    uint32_t want)
{
    unsigned done = 0;

    for (unsigned i = 0; want != 0; i++, want >>= 1) {
        struct vm_page *page;

        if ((want & 1) != 0 && prefill_is_empty(e) &&
            (page = vm_near_page(near, i, &e->prot)) != NULL &&
            pv_insert_cheap(page, e->pm, e->va)) {
            if ((e->prot & VM_PROT_EXEC) != 0) {
                pmap_near_icache(page, e->prot);
            }
            e->pa = vm_page_pa(page);
            e->attr = e->g->leaf[e->prot];
            for (unsigned k = 0; k < e->g->per_page; k++) {
                __atomic_store_n(&e->slot[k], enter_pte(e, k),
                    __ATOMIC_RELEASE);
            }
            done++;
        }
        e->va += VM_PAGE_SIZE;
        e->slot += e->g->per_page;
    }
    return done;
}

/* How many of n pages from va on lie in the table and in the pmap. */
static inline unsigned
prefill_room(const struct note *at, const struct pmap *pm, vaddr_t va,
    unsigned n)
{
    vaddr_t end = at->start + (at->size - 1);
    uint64_t room;

    end = end < vm_get(&pm->end) - 1 ? end : vm_get(&pm->end) - 1;
    if (va > end) {
        return 0;               /* the pmap has just become smaller */
    }
    room = ((end - va) >> vm_page_shift) + 1;
    return room < n ? (unsigned)room : n;
}

/* n pages, leaf lock held, sequence compared. */
static inline unsigned
prefill_enter(struct enter *e, const struct pmap_near *near, unsigned n)
{
    uint32_t all = UINT32_MAX >> (32 - n);

    if (e->g->frame_shift == 0) {
        return prefill_multiple(e, near, near->want & all);
    }
    return (near->want & all) == all &&
        (near->prot[0] & VM_PROT_EXEC) == 0 ? prefill_dense(e, near, n) :
        prefill_some(e, near, near->want & all);
}

unsigned
pt_prefill(struct pmap *pm, vaddr_t va, const struct pmap_near *near,
    vm_seq_t seq)
{
    struct pt_cpu *cpu = epoch_enter();
    struct note *at = note_of(cpu);
    struct enter e = { .pm = pm, .va = va };
    unsigned n = 0;

    if (note_hit(at, pm, va) &&
        (n = prefill_room(at, pm, va, near->n)) != 0) {
        struct vm_page *table = at->table;

        e.g = at->g;
        e.slot = note_slot(at, va);
        leaf_lock(table);
        if (pmap_seq_same(pm, seq)) {
            pt_mark(e.g, table, e.slot, n * e.g->per_page);
            /* What the pages hold is there before they are mapped. */
            atomic_thread_fence(memory_order_release);
            pt_event(cpu, EV_PREFILLED, prefill_enter(&e, near, n));
            pmap_md_publish();
        } else {
            n = 0;
        }
        leaf_unlock(table);
    }
    epoch_exit(cpu);
    return n;
}
