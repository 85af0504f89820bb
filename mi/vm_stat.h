/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_stat.h - counters of the machine-independent core.
 *
 * Kept per CPU, so that counting costs one instruction and shares no
 * line; summed on request.  What the core alone determines (everything
 * but retries and soft faults, which depend on what was forgotten) is the
 * same on every machine for the same history.
 */
#ifndef VM_STAT_H
#define VM_STAT_H

#include "vm_kern.h"

enum vm_stat {
    VM_STAT_FAULTS,             /* vm_fault() that returned 0: a sum */
    VM_STAT_FAULT_ZERO,         /* ... by case: end of chain, zero-fill */
    VM_STAT_FAULT_SOFT,         /* resident, mapped as it is */
    VM_STAT_FAULT_COPY,         /* copied up from a backing object */
    VM_STAT_FAULT_MOVE,         /* sole owner: moved up, not copied */
    VM_STAT_FAULT_PAGEIN,       /* had to ask a pager */
    VM_STAT_FAULT_ERRORS,       /* returned an error */
    VM_STAT_RETRIES,            /* looked up again */
    VM_STAT_COPIES,             /* pages copied, for whatever reason */
    VM_STAT_ZERO_FILLS,         /* pages zeroed */
    VM_STAT_PUSHES,             /* old contents saved for a snapshot */
    VM_STAT_SHADOWS,            /* shadow objects created */
    VM_STAT_SNAPSHOTS,          /* copy objects created */
    VM_STAT_COLLAPSES,          /* backing object merged into its front */
    VM_STAT_BYPASSES,           /* backing object stepped over */
    VM_STAT_FORKS,
    VM_STAT_PAGEINS,            /* pages asked of pagers */
    VM_STAT_PAGEOUTS,           /* pages written to pagers */
    VM_STAT_RECLAIMS,           /* clean pages freed by the clock */
    VM_STAT_MISMATCHES,         /* translations that broke a law */
    VM_STAT_AHEAD,              /* pages made before they were asked for */
    VM_STAT_COUNT
};

extern _Atomic uint64_t vm_stat_cpu[VM_MAX_CPUS][VM_STAT_COUNT + 11];

static inline void
vm_stat_add(enum vm_stat s, uint64_t n)
{
    atomic_fetch_add_explicit(&vm_stat_cpu[kern_cpu()][s], n,
        memory_order_relaxed);
}

static inline void
vm_stat_inc(enum vm_stat s)
{
    vm_stat_add(s, 1);
}

struct vm_statistics {
    uint64_t event[VM_STAT_COUNT];
    uint64_t page_size;
    uint64_t pages_free, pages_object, pages_table, pages_kernel;
    uint64_t pages_wired, pages_modified, pages_busy;
};

/* The counters alone: cheap. */
void vm_stat_events(uint64_t event[VM_STAT_COUNT]);
/* Sums; pages by state are counted by walking the core map. */
void vm_statistics(struct vm_statistics *out);
extern const char *const vm_stat_names[VM_STAT_COUNT];

#endif
