/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_tlb.c - TLBs and caches of partial walks of one CPU, its lock held.
 *
 * An entry leaves for three reasons: it is flushed, its place is needed, or
 * the configuration lets it be forgotten.
 */
#include "sim_impl.h"

static uint64_t
next_serial(void)
{
    static _Atomic uint64_t serial;

    return atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
}

bool
sim_entry_is_current(const struct sim_cpu *c, const struct sim_entry *e)
{
    return e->valid && (e->global || e->asid == c->space.asid);
}

bool
sim_entry_matches(const struct sim_cpu *c, const struct sim_entry *e,
    vaddr_t va)
{
    return sim_entry_is_current(c, e) && va - e->va < e->size;
}

struct sim_entry *
sim_tlb_choose(struct sim_cpu *c, vaddr_t va)
{
    struct sim_entry *match[SIM_TLB];
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_TLB; i++) {
        if (sim_entry_matches(c, &c->tlb[i], va)) {
            match[n++] = &c->tlb[i];
        }
    }
    return n == 0 ? NULL : match[n == 1 ? 0 : sim_pick(c, n)];
}

/* Did chance cut it off a larger leaf?  Then it goes with all of that. */
static vaddr_t
leaf_va(const struct sim_entry *e)
{
    return e->leaf_size != 0 ? e->leaf_va : e->va;
}

static vsize_t
leaf_size(const struct sim_entry *e)
{
    return e->leaf_size != 0 ? e->leaf_size : e->size;
}

static bool
same_entry(const struct sim_entry *a, const struct sim_entry *b)
{
    return a->valid && a->va == b->va && a->size == b->size &&
        a->pa == b->pa && a->prot == b->prot && a->user == b->user &&
        a->negative == b->negative && a->global == b->global &&
        a->asid == b->asid && a->root == b->root && a->dirty == b->dirty &&
        a->memory == b->memory && !a->revoked && !a->dead;
}

struct sim_entry *
sim_tlb_fill(struct sim_cpu *c, const struct sim_entry *e)
{
    struct sim_entry *place = NULL;

    for (unsigned i = 0; i < SIM_TLB; i++) {
        if (same_entry(&c->tlb[i], e)) {
            return &c->tlb[i];
        }
        if (place == NULL && !c->tlb[i].valid) {
            place = &c->tlb[i];
        }
    }
    if (place == NULL) {
        place = &c->tlb[sim_pick(c, SIM_TLB)];
    }
    *place = *e;
    place->serial = next_serial();
    c->stats.fills++;
    return place;
}

void
sim_tlb_write(struct sim_cpu *c, unsigned i, const struct sim_entry *e)
{
    c->tlb[i] = *e;
    c->tlb[i].serial = next_serial();
    c->stats.fills++;
}

struct sim_partial *
sim_partial_choose(struct sim_cpu *c, const struct sim_space *s, vaddr_t va)
{
    struct sim_partial *match[SIM_PARTIAL], *deepest = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_PARTIAL; i++) {
        struct sim_partial *p = &c->partial[i];

        if (p->valid && p->asid == s->asid && va - p->va < p->size) {
            match[n++] = p;
            if (deepest == NULL || p->level < deepest->level) {
                deepest = p;
            }
        }
    }
    /* Mostly the one that skips most. */
    return n < 2 || !sim_chance(c, 4) ? deepest : match[sim_pick(c, n)];
}

void
sim_partial_fill(struct sim_cpu *c, const struct sim_partial *p)
{
    struct sim_partial *place = NULL;

    for (unsigned i = 0; i < SIM_PARTIAL; i++) {
        struct sim_partial *q = &c->partial[i];

        if (q->valid && q->asid == p->asid && q->va == p->va &&
            q->size == p->size && q->table == p->table) {
            return;
        }
        if (place == NULL && !q->valid) {
            place = q;
        }
    }
    if (place == NULL) {
        place = &c->partial[sim_pick(c, SIM_PARTIAL)];
    }
    *place = *p;
}

/* ---- leaving ---------------------------------------------------------- */

static bool
overlaps(const struct pt_flush *f, vaddr_t va, vsize_t size)
{
    vaddr_t last = va + size - 1;

    for (unsigned i = 0; i < f->n; i++) {
        if (va < f->range[i].end && f->range[i].start <= last) {
            return true;
        }
    }
    return f->n == 0;
}

/*
 * The kernel's flush reaches what any ASID holds of the kernel's half, and
 * without ranges everything; a user's reaches its own ASID alone, and no
 * global entry (privileged spec 4.2.1: rs2 other than x0).
 */
static bool
concerns(const struct pt_flush *f, uint32_t asid, bool global)
{
    return f->asid == PT_ASID_KERNEL || (!global && asid == f->asid);
}

void
sim_tlb_flush(struct sim_cpu *c, const struct pt_flush *f)
{
    for (unsigned i = 0; i < SIM_TLB; i++) {
        struct sim_entry *e = &c->tlb[i];

        if (e->valid && concerns(f, e->asid, e->global) &&
            overlaps(f, leaf_va(e), leaf_size(e))) {
            e->valid = false;
        }
    }
    for (unsigned i = 0; f->tables && i < SIM_PARTIAL; i++) {
        struct sim_partial *p = &c->partial[i];

        if (p->valid && concerns(f, p->asid, false) &&
            overlaps(f, p->va, p->size)) {
            p->valid = false;
        }
    }
}

void
sim_tlb_flush_asid(struct sim_cpu *c, uint32_t asid, bool any)
{
    for (unsigned i = 0; i < SIM_TLB; i++) {
        struct sim_entry *e = &c->tlb[i];

        if (!e->global && (any || e->asid == asid)) {
            e->valid = false;
        }
    }
    for (unsigned i = 0; i < SIM_PARTIAL; i++) {
        if (any || c->partial[i].asid == asid) {
            c->partial[i].valid = false;
        }
    }
}

/*
 * The kernel's pages may be held under any ASID.  Partial walks stay: only
 * leaf entries are ordered by a fence with an address (4.2.1), and an entry
 * that is not valid is where a walk ends.
 */
void
sim_tlb_flush_page(struct sim_cpu *c, vaddr_t va, uint32_t asid)
{
    for (unsigned i = 0; i < SIM_TLB; i++) {
        struct sim_entry *e = &c->tlb[i];

        if (va - leaf_va(e) < leaf_size(e) && (e->asid == asid ||
            asid == PT_ASID_KERNEL)) {
            e->valid = false;
        }
    }
}

unsigned
sim_tlb_count(unsigned cpu, vaddr_t va)
{
    struct sim_cpu *c = &sim_cpus[cpu];
    unsigned n = 0;

    sim_lock(c);
    for (unsigned i = 0; i < SIM_TLB; i++) {
        n += sim_entry_matches(c, &c->tlb[i], va);
    }
    sim_unlock(c);
    return n;
}

unsigned
sim_tlb_used(unsigned cpu)
{
    struct sim_cpu *c = &sim_cpus[cpu];
    unsigned n = 0;

    sim_lock(c);
    for (unsigned i = 0; i < SIM_TLB; i++) {
        n += c->tlb[i].valid;
    }
    sim_unlock(c);
    return n;
}
