/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_stat.c - the core's counters: their names, and their sums.
 */
#include "vm_object_impl.h"

_Alignas(64) _Atomic uint64_t
    vm_stat_cpu[VM_MAX_CPUS][VM_STAT_COUNT + 11];

const char *const vm_stat_names[VM_STAT_COUNT] = {
    [VM_STAT_FAULTS] = "faults",
    [VM_STAT_FAULT_ZERO] = "fault-zero",
    [VM_STAT_FAULT_SOFT] = "fault-soft",
    [VM_STAT_FAULT_COPY] = "fault-copy",
    [VM_STAT_FAULT_MOVE] = "fault-move",
    [VM_STAT_FAULT_PAGEIN] = "fault-pagein",
    [VM_STAT_FAULT_ERRORS] = "fault-errors",
    [VM_STAT_RETRIES] = "retries",
    [VM_STAT_COPIES] = "copies",
    [VM_STAT_ZERO_FILLS] = "zero-fills",
    [VM_STAT_PUSHES] = "pushes",
    [VM_STAT_SHADOWS] = "shadows",
    [VM_STAT_SNAPSHOTS] = "snapshots",
    [VM_STAT_COLLAPSES] = "collapses",
    [VM_STAT_BYPASSES] = "bypasses",
    [VM_STAT_FORKS] = "forks",
    [VM_STAT_PAGEINS] = "pageins",
    [VM_STAT_PAGEOUTS] = "pageouts",
    [VM_STAT_RECLAIMS] = "reclaims",
    [VM_STAT_MISMATCHES] = "mismatches",
    [VM_STAT_AHEAD] = "made-ahead",
};

/* The wire count belongs to the lock of the page's object. */
static bool
stat_is_wired(struct vm_page *p)
{
    struct vm_object *o = vm_page_lock_object(p);
    bool wired = false;

    if (o != NULL) {
        wired = p->wire_count > 0;
        vm_object_unlock(o);
    }
    return wired;
}

static void
stat_pages(struct vm_statistics *out)
{
    for (uint64_t i = 0; i < vm_page_count; i++) {
        struct vm_page *p = &vm_page_array[i];
        uint32_t flags;

        if (vm_get(&p->kind) != VM_PAGE_OBJECT) {
            continue;
        }
        flags = vm_page_flags(p);
        out->pages_modified += (flags & VM_PG_MODIFIED) != 0;
        out->pages_busy += (flags & VM_PG_BUSY) != 0;
        out->pages_wired += stat_is_wired(p);
    }
}

void
vm_stat_events(uint64_t event[VM_STAT_COUNT])
{
    memset(event, 0, VM_STAT_COUNT * sizeof(event[0]));
    for (unsigned cpu = 0; cpu < VM_MAX_CPUS; cpu++) {
        for (unsigned s = 0; s < VM_STAT_COUNT; s++) {
            event[s] += vm_get(&vm_stat_cpu[cpu][s]);
        }
    }
    /* Each fault is counted once, by its case. */
    for (unsigned s = VM_STAT_FAULT_ZERO; s < VM_STAT_FAULT_ERRORS; s++) {
        event[VM_STAT_FAULTS] += event[s];
    }
}

void
vm_statistics(struct vm_statistics *out)
{
    *out = (struct vm_statistics){ .page_size = VM_PAGE_SIZE };
    vm_stat_events(out->event);
    out->pages_free = vm_page_kind_count(VM_PAGE_FREE);
    out->pages_object = vm_page_kind_count(VM_PAGE_OBJECT);
    out->pages_table = vm_page_kind_count(VM_PAGE_TABLE);
    out->pages_kernel = vm_page_kind_count(VM_PAGE_KERNEL);
    stat_pages(out);
}
