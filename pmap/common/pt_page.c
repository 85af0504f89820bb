/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt_page.c - the radix store: revoking one page, and no more than that.
 *
 * Who gives up or protects a page has mostly just used it, or its
 * neighbour, so this CPU's note (pt_note.h) names its leaf table: no walk,
 * and no batch, since there is one pmap and one address to be flushed.  The
 * order is that of every revocation: pending, the edit under the leaf lock,
 * the flush.  Where a large leaf stands, or the page was found revoked and
 * another may not be done with that, nothing has happened, and pt_restrict()
 * does it.
 *
 * Locks: leaf (LEAF)
 */
#include "pt_note.h"

/* What an entry becomes. */
static inline pte_t
page_restrict(const struct pt_geo *g, pte_t old, vm_prot_t keep)
{
    return keep == VM_PROT_NONE || old == 0 ? 0 :
        pte_restrict(pt_f(g), old, keep);
}

/*
 * Is there no leaf table for va, nor what stands in place of one?  A mark
 * (pt_large.c) is something: who set it may not yet have seen the sequence.
 */
static bool
page_is_nowhere(uint64_t root, vaddr_t va)
{
    const struct pt_geo *g = pt_root_geo(root);
    paddr_t table = pt_root_pa(root);

    if (root == 0 || !pt_reaches(g, va)) {
        return root == 0;
    }
    for (int level = pt_top(g); level > 0; level--) {
        pte_t pte = pte_load(pt_slot(g, table, level, va));

        if (!pt_leads(g, pte, level)) {
            return pte == 0;
        }
        table = pt_child(g, pte, level);
    }
    return false;
}

/* Whose it was to take away has flushed, if nothing is pending. */
static inline bool
page_is_quiet(struct pmap *pm)
{
    return atomic_load_explicit(&pm->pending, memory_order_seq_cst) == 0 ||
        VM_MUTANT(PAGE_NO_PENDING);
}

bool
pt_restrict_page(struct pmap *pm, vaddr_t va, vm_prot_t keep, bool skip)
{
    struct pt_cpu *cpu = epoch_enter();
    struct note *n = note_of(cpu);
    const struct pt_geo *g;
    pte_t *slot, old, new;
    bool done;

    if (!note_hit(n, pm, va) && !note_walk(n, pm, va)) {
        done = page_is_nowhere(pt_root(pm), va) && page_is_quiet(pm);
        epoch_exit(cpu);
        return done;
    }
    if (n->g->per_page != 1) {
        epoch_exit(cpu);
        return false;
    }
    g = n->g;
    slot = note_slot(n, va);
    leaf_lock(n->table);
    old = pte_load(slot);
    new = page_restrict(g, old, keep);
    if (new == old) {
        leaf_unlock(n->table);
        done = page_is_quiet(pm);
        epoch_exit(cpu);
        return done;
    }
    tlb_page_begin(pm);
    /* The hardware may mark it meanwhile. */
    while (!pte_cas(slot, &old, new)) {
        new = page_restrict(g, old, keep);
    }
    leaf_unlock(n->table);
    epoch_exit(cpu);
    tlb_page_end(pm, va, skip);
    limbo_poll();
    return true;
}
