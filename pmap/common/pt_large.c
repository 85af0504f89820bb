/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_large.c - the radix store: large leaves.
 *
 * A large leaf stands at level 1 in place of a leaf table.  It is never
 * changed but for its accessed mark: whoever wants part of it to be another
 * way forgets all of it, by one step and without memory, and what is left
 * comes back by faults.  The reverse map has a hint for every page of it,
 * so whoever revokes one page finds it as he finds a small one.
 *
 * Making one, at an entry of level 1:
 *
 *   old = 0                 old = a table
 *      | swap: MARK            | pending++ ; swap: MARK
 *      | pending? flush        | table to limbo, flush, pending--
 *      +-----------+-----------+
 *                  | the map's sequence is still the same?  no: swap: 0
 *                  | swap: MARK -> leaf; fails if the mark is gone
 *
 * No lock is held, and revokers take none for it.  The mark is what lets
 * them and us not miss each other.  It is invalid to the hardware, it holds
 * the place (nobody grows a table there), and whoever finds it when he
 * came to revoke or to enter takes it away, which makes our last step fail:
 *
 *   revoker:  S1 seq = odd (seq_cst); fence; T1 look at the entry
 *   we:       T2 the mark (seq_cst); S2 read seq (seq_cst); T3 mark -> leaf
 * If S2 reads the old value, then T2 and S2 precede S1 and the fence in the
 * single order, so T1 sees the mark, or the leaf after it, and he swaps
 * either for 0: the first makes T3 fail, the second is flushed.  If T1 saw
 * a table or nothing, then T2 comes after T1, hence S2 sees S1 and we give
 * up.  So it is right that he revokes in a table which he found, though we
 * unlink it meanwhile.  How we reach the level-1 table, and what if that is
 * unlinked, is as in pt_enter.c, a level higher.
 *
 * The swap of 0 for MARK cannot be fooled by an entry that came and went:
 * a mark is one CPU's, who makes one leaf at a time (no preemption), so T3
 * succeeds only if nothing else stood there since T2.  Break before make
 * (DDI 0487 D8.14.1, the size changes): the flush, walk caches included, is
 * complete before T3; and when the place was empty at T2, others' flushes
 * are, if none is pending after T2; else we flush.
 *
 * What is revoked by page and not by address is ordered by the lock of the
 * object, which our caller holds for all pages of the run.
 *
 * A flush of a large leaf names one page of it: all that was made of one
 * entry goes at once, also where a TLB has cut it up (SDM 4.10.4.2, INVLPG;
 * DDI 0487 D8.13; RISC-V privileged spec 4.2.1, "the leaf PTE").
 *
 * Locks: none.  Epoch sections.
 */
#include "pt_radix.h"

/* The place of a large leaf. */
struct large {
    struct pmap *pm;
    const struct pt_geo *g;
    paddr_t table;              /* of level 1 */
    pte_t *slot;                /* in it */
    vaddr_t va;                 /* where the leaf begins */
};

/* The entry of level 1 for va; false: its table is missing. */
static bool
large_walk(struct large *l, struct pmap *pm, uint64_t root, vaddr_t va)
{
    const struct pt_geo *g = pt_root_geo(root);
    paddr_t table = pt_root_pa(root);

    if (root == 0 || !pt_reaches(g, va)) {
        return false;
    }
    for (int level = pt_top(g); level > 1; level--) {
        pte_t pte = pte_load(pt_slot(g, table, level, va));

        if (pte == 0) {
            return false;
        }
        table = pt_child(g, pte, level);
    }
    l->pm = pm;
    l->g = g;
    l->table = table;
    l->slot = pt_slot(g, table, 1, va);
    l->va = va & ~(((vsize_t)1 << g->shift[1]) - 1);
    return true;
}

static bool
large_is_leaf(const struct large *l, pte_t pte)
{
    return pte != 0 && !PT_IS_MARK(pte) && !pt_leads(l->g, pte, 1);
}

/* The leaf at va, 0 if there is none. */
static pte_t
large_find(struct large *l, struct pmap *pm, uint64_t root, vaddr_t va)
{
    pte_t pte;

    if (!large_walk(l, pm, root, va)) {
        return 0;
    }
    pte = pte_load(l->slot);
    return large_is_leaf(l, pte) ? pte : 0;
}

pte_t
pt_large_find(uint64_t root, vaddr_t va)
{
    struct large l;

    return large_find(&l, NULL, root, va);
}

/* Does pte, a leaf, map va to pa? */
static bool
large_maps(const struct large *l, pte_t pte, vaddr_t va, paddr_t pa)
{
    return pte_pa(pt_f(l->g), pte, 1) + (va - l->va) == pa;
}

static pte_t
large_pte(const struct large *l, paddr_t pa, vm_prot_t prot)
{
    struct pte_attr attr = {
        .prot = prot, .memory = PTE_NORMAL, .user = true,
        .accessed = true, .dirty = (prot & VM_PROT_WRITE) != 0
    };

    return pte_leaf(pt_f(l->g), pa, attr, 1);
}

unsigned
pt_large_shift(struct pmap *pm)
{
    uint64_t root = pt_root(pm);
    const struct pt_geo *g = root != 0 ? pt_root_geo(root) :
        pt_format_geo(vm_get(&pm->format));

    if (pm->kernel || !vm_get(&pm->large) || !pte_leaf_ok(pt_f(g), 1) ||
        g->shift[1] <= vm_page_shift) {
        return 0;
    }
    return g->shift[1];
}

bool
pt_large_room(struct pmap *pm, vaddr_t va)
{
    struct pt_cpu *cpu = epoch_enter();
    struct large l;
    bool room = !large_walk(&l, pm, pt_root(pm), va) ||
        pte_load(l.slot) == 0;

    epoch_exit(cpu);
    return room;
}

/* ---- forgetting ------------------------------------------------------- */

void
pt_large_gone(struct tlb_batch *b, struct pmap *pm, pte_t old, vaddr_t va)
{
    if (old != 0 && !PT_IS_MARK(old)) {
        if (!VM_MUTANT(LARGE_NO_FLUSH)) {
            tlb_batch_add(b, pm, va, va + VM_PAGE_SIZE);
        }
        pt_event_any(EV_LARGE_FORGOTTEN, 1);
    }
}

/* A leaf or mark that an enter has met goes. */
static void
large_break(const struct large *l, pte_t old)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);

    pmap_batch_begin(&own);
    if (!PT_IS_MARK(old)) {
        tlb_batch_touch(b, l->pm);
    }
    if (pte_cas(l->slot, &old, 0)) {
        pt_large_gone(b, l->pm, old, l->va);
        if (!PT_IS_MARK(old)) {
            tlb_batch_revoked(b, l->pm, l->va,
                l->va + ((vsize_t)1 << l->g->shift[1]), ~(paddr_t)0,
                VM_PROT_NONE);
        }
    }
    pmap_batch_commit(&own);
}

bool
pt_large_meet(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot)
{
    struct large l;
    pte_t old, new;

    if (!large_walk(&l, pm, pt_root(pm), va)) {
        return false;
    }
    old = pte_load(l.slot);
    if (old == 0 || pt_leads(l.g, old, 1)) {
        return false;
    }
    if (PT_IS_MARK(old) || !large_maps(&l, old, va, pa) ||
        pte_attr(pt_f(l.g), old, 1).prot != prot) {
        large_break(&l, old);
        return false;
    }
    /* As it was, but for the accessed mark; a race leaves that to a fault. */
    new = large_pte(&l, pa - (va - l.va), prot);
    if (old != new) {
        (void)pte_cas(l.slot, &old, new);
        pmap_md_publish();
    }
    if (asid_is_current(pm, &pt_cpu[kern_cpu()])) {
        pmap_md_fence(va, asid_of(pm));
    }
    return true;
}

/* The bug: the marks of its pages go with a leaf that may be written. */
static void
large_unmark(const struct large *l, pte_t old)
{
    struct vm_page *p = vm_page_of(pte_pa(pt_f(l->g), old, 1));
    uint64_t n = ((uint64_t)1 << l->g->shift[1]) >> vm_page_shift;

    while (n-- > 0) {
        vm_page_clear(p++, VM_PG_MODIFIED);
    }
}

enum pt_found
pt_large_restrict_one(struct pmap *pm, vaddr_t va, paddr_t pa,
    vm_prot_t keep, struct tlb_batch *b)
{
    struct large l;
    pte_t old = large_find(&l, pm, pt_root(pm), va);

    while (old != 0 && large_is_leaf(&l, old) &&
        large_maps(&l, old, va, pa)) {
        if (keep != VM_PROT_NONE &&
            pte_restrict(pt_f(l.g), old, keep) == old) {
            break;
        }
        tlb_batch_touch(b, pm);
        if (pte_cas(l.slot, &old, 0)) {
            pt_large_gone(b, pm, old, l.va);
            if (VM_MUTANT(LARGE_MODIFIED)) {
                large_unmark(&l, old);
            }
            return PT_ALL;
        }
    }
    return PT_LESS;
}

/*
 * There is one mark for all of the run: it holds for each of its pages, and
 * goes when the last of them is asked for, so that a clock hand that passes
 * over the run finds them all alike.
 */
bool
pt_large_age_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    struct large l;
    pte_t old = large_find(&l, pm, pt_root(pm), va);
    vsize_t span;

    if (old == 0 || !large_maps(&l, old, va, pa) ||
        !pte_attr(pt_f(l.g), old, 1).accessed) {
        return false;
    }
    span = (vsize_t)1 << l.g->shift[1];
    if (va - l.va == span - VM_PAGE_SIZE) {
        (void)pte_cas(l.slot, &old, pte_age(pt_f(l.g), old));
    }
    return true;
}

bool
pt_large_maps_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    struct large l;
    pte_t pte = large_find(&l, pm, pt_root(pm), va);

    return pte != 0 && large_maps(&l, pte, va, pa);
}

/* ---- making ----------------------------------------------------------- */

/* Before it is entered, each page has a hint; its caches are in step. */
static int
large_pages(struct pmap *pm, vaddr_t va, struct vm_page *head, uint64_t n,
    vm_prot_t prot)
{
    const vsize_t size = VM_PAGE_SIZE;
    struct vm_page *end = head + n;

    for (struct vm_page *p = head; (prot & VM_PROT_EXEC) != 0 && p < end;
        p++) {
        pmap_near_icache(p, prot);
    }
#pragma clang loop unroll_count(8)
    for (struct vm_page *p = head; p < end; p++, va += size) {
        KASSERT((prot & VM_PROT_WRITE) == 0 || (vm_page_flags(p) &
            (VM_PG_MODIFIED | VM_PG_ICACHE)) == VM_PG_MODIFIED);
        if (!pv_insert_cheap(p, pm, va)) {
            return VM_E_NOMEM;
        }
    }
    return VM_OK;
}

/* Its place; if need be, tables above it are made, with one below. */
static int
large_place(struct large *l, struct pmap *pm, vaddr_t va)
{
    struct vm_page *table;
    uint64_t bit;

    if (!large_walk(l, pm, pt_root(pm), va)) {
        if (pt_grow(pm, va) == 0) {
            return VM_E_NOMEM;
        }
        if (!large_walk(l, pm, pt_root(pm), va)) {
            return VM_E_RETRY;
        }
    }
    /* Before the mark: whoever finds that must find its group in use. */
    table = pt_leaf_page(l->table);
    bit = pt_group(l->g, 1, pt_geo_index(l->g, 1, va));
    if ((vm_get(&pt_frame(table)->used) & bit) == 0) {
        (void)atomic_fetch_or_explicit(&pt_frame(table)->used, bit,
            memory_order_seq_cst);
    }
    return VM_OK;
}

/* The place is ours: a mark stands there, and no TLB has what was. */
static bool
large_mark(const struct large *l, pte_t old, pte_t mark)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);
    bool done;

    pmap_batch_begin(&own);
    if (old != 0) {
        tlb_batch_touch(b, l->pm);
    }
    done = pte_cas(l->slot, &old, mark);
    vm_point();
    if (done && old != 0 && !VM_MUTANT(LARGE_NO_BREAK)) {
        if (pt_leads(l->g, old, 1)) {
            tlb_batch_unlink(b, l->pm, l->va,
                l->va + ((vsize_t)1 << l->g->shift[1]),
                vm_page_of(pt_child(l->g, old, 1)));
        } else {
            pt_large_gone(b, l->pm, old, l->va);
        }
    }
    pmap_batch_commit(&own);
    vm_point();
    if (done && old == 0 && pmap_revoking(l->pm)) {
        tlb_flush_pending(l->pm);
    }
    return done;
}

/* Inside an epoch section; hints are there. */
static int
large_set(const struct large *l, pte_t leaf, vm_seq_t seq)
{
    struct pt_cpu *cpu = &pt_cpu[kern_cpu()];
    pte_t old = pte_load(l->slot), mark = PT_MARK(kern_cpu());

    if (old == leaf) {
        return VM_OK;
    }
    if (PT_IS_MARK(old) || !pmap_seq_same(l->pm, seq) ||
        !large_mark(l, old, mark)) {
        return VM_E_RETRY;
    }
    if (!pmap_seq_same(l->pm, seq)) {
        (void)pte_cas(l->slot, &mark, 0);
        pt_event(cpu, EV_RETRY, 1);
        return VM_E_RETRY;
    }
    vm_point();
    /* Contents and tables are there before; seq_cst is release as well. */
    if (!pte_cas(l->slot, &mark, leaf)) {
        return VM_E_RETRY;
    }
    pmap_md_publish();
    if (PMAP_MD_CACHES_INVALID && asid_is_current(l->pm, cpu)) {
        pmap_md_fence(l->va, asid_of(l->pm));
    }
    pt_event(cpu, EV_LARGE, 1);
    return VM_OK;
}

int
pt_enter_large(struct pmap *pm, vaddr_t va, struct vm_page *head,
    vm_prot_t prot, vm_seq_t seq)
{
    unsigned shift = pt_large_shift(pm);
    struct pt_cpu *cpu;
    struct large l;
    int error;

    if (shift == 0) {
        return VM_E_NOMEM;
    }
    cpu = epoch_enter();
    error = large_place(&l, pm, va);
    /*
     * Of another format by now, or since our caller asked for the shift?
     * Then the sequence has moved, and the run may be another's beyond the
     * caller's: not even a hint may be written.
     */
    if (error == VM_OK && (l.g->shift[1] != shift ||
        !pmap_seq_same(pm, seq))) {
        error = VM_E_RETRY;
    }
    KASSERT(error != VM_OK ||
        ((va | vm_page_pa(head)) & (((vaddr_t)1 << shift) - 1)) == 0);
    if (error == VM_OK) {
        error = large_pages(pm, va, head,
            (uint64_t)1 << (shift - vm_page_shift), prot);
    }
    if (error == VM_OK) {
        error = large_set(&l, large_pte(&l, vm_page_pa(head), prot), seq);
    }
    epoch_exit(cpu);
    return error;
}
