/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_mutant.c - the chosen bug and the names by which bugs are chosen.
 *
 * Test builds only; nothing of it is left in others.
 *
 * Locks: none.  vm_mutant is set before threads run and not after.
 */
#include "vm_mutant.h"

#if VM_TEST
enum vm_mutant vm_mutant = VM_MUTANT_NONE;

const char *const vm_mutant_names[VM_MUTANT_COUNT] = {
    [VM_MUTANT_NONE] = "none",
    [VM_MUTANT_REMOVE_NO_FLUSH] = "remove-no-flush",
    [VM_MUTANT_PROTECT_NO_FLUSH] = "protect-no-flush",
    [VM_MUTANT_PAGE_PROTECT_NO_FLUSH] = "page-protect-no-flush",
    [VM_MUTANT_COW_NO_FLUSH] = "cow-no-flush",
    [VM_MUTANT_ENTER_NO_SEQ] = "enter-no-seq",
    [VM_MUTANT_PV_STALE] = "pv-stale",
    [VM_MUTANT_TABLE_EARLY_FREE] = "table-early-free",
    [VM_MUTANT_WRITE_CLEAN] = "write-clean",
    [VM_MUTANT_NO_BBM] = "no-bbm",
    [VM_MUTANT_SHADOW_OFFSET] = "shadow-offset",
    [VM_MUTANT_COLLAPSE_LOSES] = "collapse-loses",
    [VM_MUTANT_PARENT_NEEDS_COPY] = "parent-needs-copy",
    [VM_MUTANT_RANGE_END] = "range-end",
    [VM_MUTANT_NO_ZERO] = "no-zero",
    [VM_MUTANT_AROUND_PAST_ENTRY] = "around-past-entry",
};
#endif
