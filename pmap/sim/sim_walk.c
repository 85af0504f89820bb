/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_walk.c - the table walker, and the marks that it sets.
 *
 * Manual:  x86_64   SDM 4.5 (walk), 4.8 (A and D), 4.10.3 (partial walks)
 *          aarch64  DDI 0487 D8.2 (walk), D8.5 (AF), D8.13 (walk caches)
 *          riscv64  privileged spec 4.3.2 (walk), 4.3.1 (A and D), 4.2.1
 * The A mark may be set by a walk that nobody needs; the D mark only for a
 * write that is done (SDM 4.8; privileged spec 4.3.1).
 *
 * A large leaf is cached as it is or cut up (SDM 4.10.2.3: "multiple TLB
 * entries"; DDI 0487 D8.13), as chance will have it.
 *
 * Locks:   the walking CPU's
 * Restart: if an entry changes between its load and setting its mark, the
 *          walk begins again at the root
 */
#include "sim_impl.h"

static _Atomic pte_t *
entry_of(paddr_t table, const struct pt_format *f, int level, vaddr_t va)
{
    return (_Atomic pte_t *)kern_frame_ptr(table) + pt_index(f, level, va);
}

static vaddr_t
span_start(const struct pt_format *f, int level, vaddr_t va)
{
    return va & ~(((vaddr_t)1 << pt_shift(f, level)) - 1);
}

/* The cached step from a table entry to a table. */
static void
remember(struct sim_cpu *c, const struct sim_space *s, vaddr_t va,
    int level, paddr_t table)
{
    struct sim_partial p = {
        .valid = true, .level = (int8_t)(level - 1), .asid = s->asid,
        .va = span_start(s->f, level, va),
        .size = (vsize_t)1 << pt_shift(s->f, level),
        .table = table, .root = s->root
    };

    sim_partial_fill(c, &p);
}

/*
 * Set the marks that an access needs.  False: the entry has changed.  Also
 * D only where a leaf can have it apart from WRITE.
 */
static bool
set_marks(struct sim_cpu *c, const struct sim_space *s, _Atomic pte_t *at,
    pte_t *pte, int level, bool write)
{
    struct pte_attr attr = pte_attr(s->f, *pte, level);
    pte_t was = *pte, new;
    bool dirty = write && (attr.prot & VM_PROT_WRITE) && !attr.dirty;

    if (attr.accessed && !dirty) {
        return true;
    }
    c->stats.accessed_set += !attr.accessed;
    c->stats.dirty_set += dirty;
    attr.accessed = true;
    attr.dirty = attr.dirty || dirty;
    new = pte_leaf(s->f, pte_pa(s->f, *pte, level), attr, level);
    if (!atomic_compare_exchange_strong_explicit(at, &was, new,
            memory_order_seq_cst, memory_order_relaxed)) {
        return false;
    }
    *pte = new;
    return true;
}

static void
describe(const struct sim_space *s, vaddr_t va, paddr_t at, pte_t pte,
    int level, struct sim_entry *e)
{
    memset(e, 0, sizeof(*e));
    e->valid = true;
    e->asid = s->asid;
    e->va = span_start(s->f, level, va);
    e->size = (vsize_t)1 << pt_shift(s->f, level);
    e->pte_at = at;
    e->pte = pte;
    e->f = s->f;
    e->root = s->root;
    e->pm = s->pm;
    if (pte_kind(s->f, pte, level) == PTE_LEAF) {
        struct pte_attr attr = pte_attr(s->f, pte, level);

        e->pa = pte_pa(s->f, pte, level);
        e->prot = attr.prot;
        e->memory = attr.memory;
        e->user = attr.user;
        e->global = attr.global;
        e->dirty = attr.dirty;
    } else {
        e->negative = true;
    }
}

/* Of a large leaf, perhaps only the page of va. */
static void
fracture(struct sim_cpu *c, vaddr_t va, struct sim_entry *e)
{
    vsize_t page = (vsize_t)1 << e->f->page_shift;

    if (e->size > page && sim_chance(c, 2)) {
        e->leaf_va = e->va;
        e->leaf_size = e->size;
        e->va = va & ~(page - 1);
        e->pa += e->va - e->leaf_va;
        e->size = page;
    }
}

/* One attempt.  *again: an entry changed under a mark. */
static enum sim_walk
walk_once(struct sim_cpu *c, const struct sim_space *s, vaddr_t va,
    bool write, struct sim_entry *e, bool *again)
{
    struct sim_partial *p = NULL;
    int level = s->f->levels - 1;
    paddr_t table = s->root;

    *again = false;
    if (!sim_chance(c, sim_config.forget_walk)) {
        p = sim_partial_choose(c, s, va);
    }
    if (p != NULL) {
        table = p->table;
        level = p->level;
        c->stats.partial_walks++;
        if (p->dead) {
            sim_violation(SIM_TABLE, c, va, "the table at %#llx, reached by "
                "a cached partial walk, has been free",
                (unsigned long long)table);
        }
    }
    for (;; level--) {
        _Atomic pte_t *at;
        pte_t pte;

        sim_check_table(c, va, table, p != NULL ? "partial walk" : "walk");
        at = entry_of(table, s->f, level, va);
        /* Acquire: a walker sees a table as it was when it was linked. */
        pte = atomic_load_explicit(at, memory_order_acquire);
        switch (pte_kind(s->f, pte, level)) {
        case PTE_TABLE:
            table = pte_pa(s->f, pte, level);
            remember(c, s, va, level, table);
            continue;
        case PTE_EMPTY:
            describe(s, va, 0, pte, level, e);
            return SIM_WALK_NONE;
        case PTE_LEAF:
            if (!pte_attr(s->f, pte, level).accessed &&
                sim_config.software_accessed) {
                return SIM_WALK_FAULT;
            }
            *again = !set_marks(c, s, at, &pte, level, write);
            describe(s, va, table, pte, level, e);
            fracture(c, va, e);
            return SIM_WALK_LEAF;
        case PTE_BAD:
            if (PT_IS_MARK(pte) && level > 0) {
                describe(s, va, 0, pte, level, e);
                return SIM_WALK_NONE;
            }
            sim_violation(SIM_BAD_PTE, c, va, "entry %#llx at level %d of "
                "the table at %#llx", (unsigned long long)pte, level,
                (unsigned long long)table);
            return SIM_WALK_FAULT;
        }
    }
}

__attribute__((weak)) enum sim_walk
sim_walk(struct sim_cpu *c, const struct sim_space *s, vaddr_t va,
    bool write, struct sim_entry *e)
{
    enum sim_walk found;
    bool again;

    c->stats.walks++;
    do {
        found = walk_once(c, s, va, write, e, &again);
    } while (again);
    return found;
}

/*
 * As above from the root, without checks and caches.  The root is that of a
 * TLB entry, and may have been taken apart, or be so just now, without
 * atomic steps, by who knows that no CPU walks it: what is read then is of a
 * table that is no more, and either answer is right.
 */
__attribute__((weak, no_sanitize("thread"))) bool
sim_walk_grants(const struct sim_entry *e)
{
    paddr_t table = e->root;

    for (int level = e->f->levels - 1; level >= 0; level--) {
        struct vm_page *page = vm_page_of(table);
        struct pte_attr attr;
        pte_t pte;

        if (page == NULL || vm_get(&page->kind) != VM_PAGE_TABLE) {
            return false;
        }
        /* An atomic load would be looked at, whatever the attribute says. */
        pte = *(const volatile pte_t *)entry_of(table, e->f, level, e->va);
        switch (pte_kind(e->f, pte, level)) {
        case PTE_TABLE:
            table = pte_pa(e->f, pte, level);
            break;
        case PTE_LEAF:
            attr = pte_attr(e->f, pte, level);
            return pte_pa(e->f, pte, level) +
                (e->va - span_start(e->f, level, e->va)) == e->pa &&
                (e->prot & ~attr.prot) == 0 && attr.memory == e->memory;
        default:
            return false;
        }
    }
    return false;
}
