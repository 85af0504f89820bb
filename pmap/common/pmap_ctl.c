/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmap_ctl.c - the functions of pmap_ctl.h, over any translation store:
 * voluntary forgetting, counts, checks.
 *
 * Forgetting is a revocation without a change of the map's sequence: who
 * has looked up before may enter after, and nothing is wrong with that.
 *
 * Locks: none held by the caller, none taken here but by what is called
 */
#include "pt.h"

unsigned
pmap_format_count(void)
{
    return pt_format_count();
}

const char *
pmap_format_name(unsigned format)
{
    return format < pt_format_count() ? pt_format_name(format) : NULL;
}

unsigned
pmap_format_page_shift(unsigned format)
{
    KASSERT(format < pt_format_count());
    return pt_format_page_shift(format);
}

unsigned
pmap_format(struct pmap *pm)
{
    return vm_get(&pm->format);
}

/* ---- forgetting ------------------------------------------------------- */

static int
forget(struct pmap *pm, vaddr_t start, vaddr_t end)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);

    if (atomic_load_explicit(&pm->holds, memory_order_acquire) != 0 &&
        !VM_MUTANT(HOLD_IGNORED)) {
        return VM_E_BUSY;
    }
    pmap_batch_begin(&own);
    tlb_batch_skip(b, VM_MUTANT(DISCARD_NO_FLUSH));
    pmap_revoke_range(pm, start, end, VM_PROT_NONE, b);
    pmap_batch_commit(&own);
    return VM_OK;
}

int
pmap_discard(struct pmap *pm)
{
    int error;

    if (pm->kernel && !VM_MUTANT(KERNEL_DISCARDED)) {
        return VM_E_INVAL;
    }
    error = forget(pm, vm_get(&pm->start), vm_get(&pm->end));
    if (error == VM_OK) {
        pt_event_any(EV_DISCARD, 1);
    }
    return error;
}

int
pmap_discard_range(struct pmap *pm, vaddr_t start, vaddr_t end)
{
    if (pm->kernel || !vm_page_aligned(start) || !vm_page_aligned(end) ||
        start < vm_get(&pm->start) || start >= end || end > vm_get(&pm->end)) {
        return VM_E_INVAL;
    }
    return forget(pm, start, end);
}

int
pmap_discard_table(struct pmap *pm, vaddr_t va)
{
    vaddr_t start, end;
    int error;

    if (pm->kernel || va < vm_get(&pm->start) || va >= vm_get(&pm->end)) {
        return VM_E_INVAL;
    }
    pt_table_range(pm, vm_trunc_page(va), &start, &end);
    error = forget(pm, start, end);
    if (error == VM_OK) {
        pt_event_any(EV_TABLE_DISCARD, 1);
    }
    return error;
}

void
pmap_hold(struct pmap *pm)
{
    if (atomic_fetch_add_explicit(&pm->holds, 1, memory_order_acq_rel) ==
        0) {
        budget_held(pm);
    }
}

void
pmap_release(struct pmap *pm)
{
    uint32_t was = atomic_fetch_sub_explicit(&pm->holds, 1,
        memory_order_acq_rel);

    KASSERT(was != 0);
    if (was == 1) {
        budget_released(pm);
    }
}

uint64_t
pmap_reap(bool force)
{
    (void)limbo_reap(force);
    pt_trim();
    return limbo_count();
}

/* ---- counts and checks ------------------------------------------------ */

int
pmap_audit(struct pmap *pm,
    int (*fn)(void *arg, const struct pmap_mapping *m), void *arg)
{
    struct pmap_mapping m;
    vaddr_t va = vm_get(&pm->start);
    int stop;

    while (pt_next(pm, &va, &m)) {
        stop = fn(arg, &m);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

void
pmap_count(struct pmap *pm, struct pmap_counts *out)
{
    struct pmap_mapping m;
    vaddr_t va = vm_get(&pm->start);

    out->tables = pt_table_count(pm);
    out->translations = 0;
    out->wired = 0;
    while (pt_next(pm, &va, &m)) {
        out->translations++;
        out->wired += m.wired;
    }
}

void
pmap_events(struct pmap_events *out)
{
    uint64_t sum[EV_COUNT] = { 0 };

    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        for (unsigned e = 0; e < EV_COUNT; e++) {
            sum[e] += vm_get(&pt_cpu[i].event[e]);
        }
    }
    memcpy(out, sum, sizeof(*out));
}

void
pmap_check(struct pmap *pm)
{
    if (vm_get(&pm->pending) != 0) {
        kern_panic("pmap %p: invalidations pending at rest",
            (const void *)pm);
    }
    pt_check(pm);
}

void
pmap_check_all(void)
{
    for (struct pmap *pm = pmap_list; pm != NULL; pm = pm->all_next) {
        if (vm_get(&pm->state) != PMAP_HAND) {
            pmap_check(pm);
        }
    }
    (void)limbo_count();
    asid_check();
}

/* ---- large leaves ----------------------------------------------------- */

unsigned
pmap_large_shift(struct pmap *pm)
{
    return pt_large_shift(pm);
}

bool
pmap_large_room(struct pmap *pm, vaddr_t va)
{
    return pt_large_room(pm, va);
}

int
pmap_enter_large(struct pmap *pm, vaddr_t va, struct vm_page *head,
    vm_prot_t prot, vm_seq_t seq)
{
    KASSERT(pv_managed(head));
    KASSERT((prot & VM_PROT_READ) != 0 && (prot & ~VM_PROT_ALL) == 0);
    return pt_enter_large(pm, va, head, prot, seq);
}
