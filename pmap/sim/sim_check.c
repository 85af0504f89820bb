/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_check.c - the rules, and how a breach of one is reported.
 *
 * SIM_REVOKED  architecture.md, law 3.  pmap/common says when a revocation
 *              is complete (pmap_test_revoked); an entry of it that is left
 *              in a TLB whose space runs is wrong at once, in another it is
 *              wrong if it survives the next activation.
 * SIM_OVERLAP  break before make: DDI 0487 D8.14.1; law 4 demands the same
 *              of every machine where the frame changes.  SDM 4.10.2.3 and
 *              the privileged spec, 4.2.1, allow either to be used.
 * SIM_SIZES    DDI 0487 D8.14.1; SDM 4.10.2.3.
 * SIM_TABLE    SDM 4.10.4.2, DDI 0487 D8.13, privileged spec 4.2.1: walk
 *              caches are held until they are invalidated.
 */
#include <stdarg.h>
#include <stdio.h>

#include "sim_impl.h"

static const struct {
    const char *name, *manual;
} rules[SIM_RULES] = {
    [SIM_REVOKED] = { "revoked", "architecture.md, law 3" },
    [SIM_OVERLAP] = { "overlap",
        "break before make: DDI 0487 D8.14.1; SDM 4.10.2.3; law 4" },
    [SIM_SIZES] = { "sizes",
        "break before make: DDI 0487 D8.14.1; SDM 4.10.2.3" },
    [SIM_TABLE] = { "table",
        "SDM 4.10.4.2; DDI 0487 D8.13; privileged spec 4.2.1" },
    [SIM_BAD_PTE] = { "bad pte", "<pte.h>: reserved in the manual" },
    [SIM_FRAME] = { "frame", "a frame is unmapped before it is freed" },
    [SIM_USER] = { "user", "user half and user bit agree" },
    [SIM_STALE] = { "stale", "architecture.md, law 3, when all is quiet" },
    [SIM_CALL] = { "call", "pt_md.h" },
};

static _Atomic bool expected;
static _Atomic unsigned counts[SIM_RULES];

void
sim_expect_violations(bool expect)
{
    expected = expect;
    for (unsigned i = 0; i < SIM_RULES; i++) {
        counts[i] = 0;
    }
}

unsigned
sim_violations(enum sim_rule rule)
{
    return counts[rule];
}

const char *
sim_rule_name(enum sim_rule rule)
{
    return rules[rule].name;
}

void
sim_violation(enum sim_rule rule, struct sim_cpu *c, vaddr_t va,
    const char *fmt, ...)
{
    char what[256];
    va_list ap;

    counts[rule]++;
    if (expected) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    kern_panic("MMU rule \"%s\" (%s): CPU %u, va %#llx, ASID %u: %s",
        rules[rule].name, rules[rule].manual, c->index,
        (unsigned long long)va, c->space.asid, what);
}

/* ---- use -------------------------------------------------------------- */

void
sim_check_table(struct sim_cpu *c, vaddr_t va, paddr_t table,
    const char *whence)
{
    struct vm_page *page = vm_page_of(table);

    if (page == NULL) {
        sim_violation(SIM_TABLE, c, va, "%s: no RAM at %#llx", whence,
            (unsigned long long)table);
        kern_panic("MMU: a walk leaves RAM, at %#llx",
            (unsigned long long)table);
    }
    if (vm_get(&page->kind) != VM_PAGE_TABLE) {
        sim_violation(SIM_TABLE, c, va, "%s: the frame at %#llx is of kind "
            "%u now", whence, (unsigned long long)table,
            vm_get(&page->kind));
    }
}

void
sim_check_use(struct sim_cpu *c, const struct sim_entry *e, vaddr_t va,
    bool user)
{
    paddr_t pa = e->pa + (va - e->va);
    struct vm_page *page = vm_page_of(pa);
    unsigned kind = page == NULL ? VM_PAGE_DEVICE : vm_get(&page->kind);

    if (e->revoked) {
        sim_violation(SIM_REVOKED, c, va, "access to %#llx (rights %u)",
            (unsigned long long)pa, e->prot);
    }
    if (page == NULL && e->memory != PTE_DEVICE) {
        sim_violation(SIM_FRAME, c, va, "no RAM at %#llx",
            (unsigned long long)pa);
        kern_panic("MMU: an access leaves RAM, at %#llx",
            (unsigned long long)pa);
    }
    if (e->dead || kind == VM_PAGE_FREE || kind == VM_PAGE_TABLE) {
        sim_violation(SIM_FRAME, c, va, "the frame at %#llx %s, kind %u",
            (unsigned long long)pa, e->dead ? "has been free" : "is", kind);
    }
    if (e->user == sim_is_kernel_va(va) || (user && !e->user)) {
        sim_violation(SIM_USER, c, va, "the entry for %#llx is %s",
            (unsigned long long)pa, e->user ? "for users" : "not for users");
    }
}

/* ---- break before make ------------------------------------------------ */

/* Of one space, or of the kernel's half that all share? */
static bool
same_space(const struct sim_entry *a, const struct sim_entry *b)
{
    return sim_is_kernel_va(a->va) || a->global || b->global ||
        (a->asid == b->asid && a->root == b->root);
}

/* Of what the entry was made of. */
static vsize_t
leaf_size(const struct sim_entry *e)
{
    return e->leaf_size != 0 ? e->leaf_size : e->size;
}

static bool
conflict(const struct sim_entry *a, const struct sim_entry *b)
{
    return !b->negative && !b->revoked && !b->dead &&
        a->va < b->va + b->size && b->va < a->va + a->size &&
        same_space(a, b) && (leaf_size(a) != leaf_size(b) ||
        a->pa - a->va != b->pa - b->va || a->memory != b->memory);
}

static const struct sim_entry *
find_serial(const struct sim_cpu *c, uint64_t serial)
{
    for (unsigned i = 0; i < SIM_TLB; i++) {
        if (c->tlb[i].valid && c->tlb[i].serial == serial) {
            return &c->tlb[i];
        }
    }
    return NULL;
}

/* e is still in c's TLB: is there something against it in other's? */
static void
check_pair(struct sim_cpu *c, struct sim_cpu *other, uint64_t serial)
{
    const struct sim_entry *e = find_serial(c, serial);

    if (e == NULL || e->revoked || e->dead ||
        !sim_entry_is_current(c, e)) {
        return;
    }
    for (unsigned i = 0; i < SIM_TLB; i++) {
        const struct sim_entry *o = &other->tlb[i];

        if (sim_entry_is_current(other, o) && conflict(e, o)) {
            bool sizes = leaf_size(e) != leaf_size(o);

            sim_violation(sizes ? SIM_SIZES : SIM_OVERLAP, c, e->va,
                "%#llx bytes at %#llx; CPU %u still has %#llx bytes "
                "at %#llx", (unsigned long long)e->size,
                (unsigned long long)e->pa, other->index,
                (unsigned long long)o->size, (unsigned long long)o->pa);
        }
    }
}

void
sim_check_overlap(struct sim_cpu *c, const struct sim_entry *e)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        struct sim_cpu *other = &sim_cpus[i];

        if (other == c) {
            sim_lock(c);
            check_pair(c, c, e->serial);
            sim_unlock(c);
            continue;
        }
        if (!vm_get(&other->runs)) {
            continue;
        }
        sim_lock_both(c, other);
        check_pair(c, other, e->serial);
        sim_unlock(other);
        sim_unlock(c);
    }
}

/* ---- revocation ------------------------------------------------------- */

#if VM_TEST
struct revoked {
    struct pmap *pm;            /* NULL: any */
    vaddr_t start, end;         /* start >= end: any */
    paddr_t pa;                 /* ~0: any */
    vm_prot_t keep;
};

static bool
is_of(const struct sim_entry *e, const struct pmap *pm)
{
    return pm == NULL || (sim_is_kernel_va(e->va) ? pm->kernel :
        e->pm == pm);
}

/* Somebody else revokes there, and has not reached this CPU yet. */
static bool
is_pending(const struct sim_entry *e)
{
    struct pmap *pm = sim_is_kernel_va(e->va) ? pmap_kernel_pmap : e->pm;

    return pm != NULL && vm_get(&pm->pending) != 0;
}

/*
 * A translation that is in the tables again is no leftover.  pending is
 * read last: if the entry went from the tables since, its revoker raised
 * pending before, and lowers it only when this CPU's lock was his.
 */
static bool
is_leftover(const struct sim_entry *e, const struct revoked *r)
{
    return e->valid && !e->negative && !e->revoked && is_of(e, r->pm) &&
        (r->start >= r->end ||
        (e->va < r->end && r->start < e->va + e->size)) &&
        (r->pa == ~(paddr_t)0 || (e->pa < r->pa + VM_PAGE_SIZE &&
        r->pa < e->pa + e->size)) &&
        (e->prot & ~r->keep) != 0 && !sim_walk_grants(e) &&
        (r->pm == NULL || !is_pending(e));
}

static void
mark_revoked(struct sim_cpu *c, const struct revoked *r)
{
    sim_lock(c);
    for (unsigned i = 0; i < SIM_TLB; i++) {
        struct sim_entry *e = &c->tlb[i];

        if (!is_leftover(e, r)) {
            continue;
        }
        e->revoked = true;
        if (!sim_config.lax && sim_entry_is_current(c, e)) {
            sim_violation(SIM_REVOKED, c, e->va, "rights %u to %#llx are "
                "still in the TLB, %u may stay", e->prot,
                (unsigned long long)e->pa, r->keep);
        }
    }
    sim_unlock(c);
}

void
pmap_test_revoked(struct pmap *pm, vaddr_t start, vaddr_t end, paddr_t pa,
    vm_prot_t keep)
{
    struct revoked r = { pm, start, end, pa, keep };

    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        if (vm_get(&sim_cpus[i].runs)) {
            mark_revoked(&sim_cpus[i], &r);
        }
    }
}
#endif

void
sim_check_quiet(void)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        struct sim_cpu *c = &sim_cpus[i];

        sim_lock(c);
        for (unsigned n = 0; n < SIM_TLB; n++) {
            const struct sim_entry *e = &c->tlb[n];

            if (sim_entry_is_current(c, e) && !e->negative &&
                !sim_walk_grants(e)) {
                sim_violation(SIM_STALE, c, e->va, "rights %u to %#llx",
                    e->prot, (unsigned long long)e->pa);
            }
        }
        sim_unlock(c);
    }
}

/* ---- frames ----------------------------------------------------------- */

/* Is a frame of it? */
static bool
is_free(const struct sim_entry *e)
{
    for (vsize_t off = 0; off < e->size; off += VM_PAGE_SIZE) {
        struct vm_page *page = vm_page_of(e->pa + off);

        if (page != NULL && vm_get(&page->kind) == VM_PAGE_FREE) {
            return true;
        }
    }
    return false;
}

static void
mark_dead(struct sim_cpu *c)
{
    for (unsigned i = 0; i < SIM_PARTIAL; i++) {
        struct sim_partial *p = &c->partial[i];
        struct vm_page *page;

        if (p->valid && (page = vm_page_of(p->table)) != NULL &&
            vm_get(&page->kind) != VM_PAGE_TABLE) {
            p->dead = true;
        }
    }
    for (unsigned i = 0; i < SIM_TLB; i++) {
        struct sim_entry *e = &c->tlb[i];

        if (e->valid && !e->negative && is_free(e)) {
            e->dead = true;
        }
    }
}

/*
 * A frame that goes from one use to another is FREE at some allocation in
 * between.  Among threads only this CPU's caches are looked at.
 */
void
sim_check_alloc(void)
{
    struct sim_cpu *me = &sim_cpus[kern_cpu()];

    if (!host_in_fibers) {
        sim_lock(me);
        mark_dead(me);
        sim_unlock(me);
        return;
    }
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        if (vm_get(&sim_cpus[i].runs)) {
            mark_dead(&sim_cpus[i]);
        }
    }
}
