/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * change.c - all pmaps one after the other, and roots that come and go
 * under a pmap that lives on.
 *
 * PINS.  Whoever finds a pmap in the list pins it: it may be destroyed
 * meanwhile, but its life does not end, so that its header and its root are
 * nobody else's.
 *   pin:      P1 pins++            destroy:  D1 state = DYING
 *             P2 read state                  D2 read pins
 * Either P2 sees it dying, and lets go, or D2 sees the pin, and leaves the
 * end of its life to whoever unpins it.
 *
 * ANOTHER ROOT (pmap_configure), under PMAP_CHANGING:
 *   C1  pending++
 *   C2  root = the new one, empty, with its geometry in the same word
 *   C3  a new ASID; every CPU that has pm loaded goes over to the new root
 *   C4  the flush of the batch; pending--; the old root goes to limbo
 * An enter that had read the old root's word before C2 lands in the old
 * tables, which no CPU walks after C3: its thread faults again.  Who comes
 * to revoke it finds nothing in the new ones, but pending raised, so it
 * flushes; and the flush waits for C3 (flush_cpus() in asid.c).  Before C2
 * it finds the entry, whoever entered it.  What was revoked in the old
 * tables before C3 was flushed under the old ASID, which nobody uses after.
 *
 * NO ROOT (pmap_evict): the same for a pmap that no CPU has loaded, without
 * C3; a CPU that comes to load it waits, and makes a new root.  What it may
 * hold in walk caches of the old tables is the case of every unlinked
 * table: pending is raised until it is flushed.
 *
 * Locks: pmap_list_lock (ASID) for the list
 */
#include "pt.h"

/* ---- the list --------------------------------------------------------- */

bool
pmap_pin(struct pmap *pm)
{
    (void)atomic_fetch_add_explicit(&pm->pins, 1, memory_order_seq_cst);
    return atomic_load_explicit(&pm->state, memory_order_seq_cst) ==
        PMAP_LIVE;
}

void
pmap_unpin(struct pmap *pm)
{
    (void)atomic_fetch_sub_explicit(&pm->pins, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&pm->state, memory_order_seq_cst) ==
        PMAP_DYING) {
        pmap_finish(pm);
    }
}

struct pmap *
pmap_next(struct pmap *after)
{
    struct pmap *pm;
    bool live = false;

    do {
        vm_spin_lock(&pmap_list_lock);
        pm = after != NULL ? after->all_next : pmap_list;
        while (pm != NULL && (pm->kernel ||
                vm_get(&pm->state) != PMAP_LIVE)) {
            pm = pm->all_next;
        }
        live = pm != NULL && pmap_pin(pm);
        vm_spin_unlock(&pmap_list_lock);
        if (pm != NULL && !live) {
            pmap_unpin(pm);
        }
    } while (pm != NULL && !live);
    if (after != NULL) {
        pmap_unpin(after);
    }
    return pm;
}

unsigned
pmap_discard_all(void)
{
    unsigned n = 0;

    for (struct pmap *pm = pmap_next(NULL); pm != NULL;
        pm = pmap_next(pm)) {
        n += pmap_discard(pm) == VM_OK;
    }
    return n;
}

/* ---- another root ----------------------------------------------------- */

void
pmap_config(struct pmap *pm, struct pmap_config *out)
{
    out->format = vm_get(&pm->format);
    out->tagged = vm_get(&pm->tagged);
    out->large = vm_get(&pm->large);
}

void
pmap_config_bounds(const struct pmap_config *config, vaddr_t *start,
    vaddr_t *end)
{
    if (!pt_format_bounds(config->format, start, end)) {
        *start = *end = 0;
    }
}

/*
 * C1 to C4; pm is barred, preemption disabled, and both end here.  How many
 * tables were unlinked.
 */
static unsigned
replace(struct pmap *pm, const struct pt_spare *spare, bool reload)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);
    vaddr_t start, end;
    bool replaced;
    unsigned tables;

    pmap_batch_begin(&own);
    tlb_batch_touch(b, pm);
    tlb_batch_skip(b, VM_MUTANT(FORMAT_KEEPS));
    replaced = pt_replace(pm, spare, b);
    pmap_bounds(pm, &start, &end);
    if (reload && !VM_MUTANT(CHANGE_NO_RELOAD)) {
        asid_reload(pm);
    }
    /* After asid_changed() pm may be no more, but for the batch's count. */
    asid_changed(pm);
    kern_preempt_enable();
    if (!replaced) {
        pt_restrict(pm, start, end, VM_PROT_NONE, b);
    }
    tables = tlb_batch_tables(b);
    tlb_batch_revoked(b, pm, start, end, ~(paddr_t)0, VM_PROT_NONE);
    pmap_batch_commit(&own);
    return tables;
}

/* Only what is nobody's business but ours: no CPU has it loaded. */
static bool
configure_idle(struct pmap *pm, const struct pmap_config *config)
{
    struct pt_spare none = { .root = 0, .format = config->format };

    kern_preempt_disable();
    if (!asid_change(pm, true)) {
        kern_preempt_enable();
        return false;
    }
    vm_set(&pm->tagged, config->tagged);
    vm_set(&pm->large, config->large);
    /* Its ASID may be of the other kind: a new one when it is loaded. */
    asid_drop(pm);
    (void)replace(pm, &none, false);
    return true;
}

int
pmap_configure(struct pmap *pm, const struct pmap_config *config)
{
    struct pt_spare spare;
    vaddr_t start, end;

    if (pm->kernel || !pt_format_bounds(config->format, &start, &end)) {
        return VM_E_INVAL;
    }
    if (atomic_load_explicit(&pm->holds, memory_order_acquire) != 0) {
        return VM_E_BUSY;
    }
    if (configure_idle(pm, config)) {
        pt_event_any(EV_CHANGE, 1);
        return VM_OK;
    }
    if (!pt_spare(pm, config->format, &spare)) {
        return VM_E_NOMEM;
    }
    kern_preempt_disable();
    if (!asid_change(pm, false)) {
        kern_preempt_enable();
        pt_spare_free(&spare);
        return VM_E_BUSY;
    }
    vm_set(&pm->tagged, config->tagged);
    vm_set(&pm->large, config->large);
    (void)replace(pm, &spare, true);
    pt_event_any(EV_CHANGE, 1);
    return VM_OK;
}

/* All but the root, which some CPU has loaded. */
static unsigned
evict_below(struct pmap *pm)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);
    vaddr_t start, end;
    unsigned tables;

    pmap_batch_begin(&own);
    pmap_bounds(pm, &start, &end);
    pmap_revoke_range(pm, start, end, VM_PROT_NONE, b);
    tables = tlb_batch_tables(b);
    pmap_batch_commit(&own);
    return tables;
}

int
change_evict(struct pmap *pm, unsigned *tables)
{
    bool idle;

    kern_preempt_disable();
    idle = asid_change(pm, true);
    if (idle) {
        *tables += replace(pm, NULL, false);
    } else {
        kern_preempt_enable();
        *tables += evict_below(pm);
    }
    pt_event_any(EV_DISCARD, 1);
    return idle ? VM_OK : VM_E_BUSY;
}

int
pmap_evict(struct pmap *pm)
{
    unsigned tables = 0;

    if (pm->kernel) {
        return VM_E_INVAL;
    }
    if (atomic_load_explicit(&pm->holds, memory_order_acquire) != 0) {
        return VM_E_BUSY;
    }
    return change_evict(pm, &tables);
}
