/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_mutant.h - real bugs, each at the place where it would be made,
 * chosen at run time in test builds, to prove that the tests find them.
 * In other builds VM_MUTANT() is the constant false and costs nothing.
 */
#ifndef VM_MUTANT_H
#define VM_MUTANT_H

#include "vm_kern.h"

enum vm_mutant {
    VM_MUTANT_NONE,
    VM_MUTANT_REMOVE_NO_FLUSH,          /* pmap_remove: no invalidation */
    VM_MUTANT_PROTECT_NO_FLUSH,         /* pmap_protect: no invalidation */
    VM_MUTANT_PAGE_PROTECT_NO_FLUSH,    /* pmap_page_protect: likewise */
    VM_MUTANT_COW_NO_FLUSH,             /* copy-on-write break: likewise */
    VM_MUTANT_ENTER_NO_SEQ,             /* enter does not compare */
    VM_MUTANT_PV_STALE,                 /* absent entry trusted too soon */
    VM_MUTANT_TABLE_EARLY_FREE,         /* no grace period */
    VM_MUTANT_WRITE_CLEAN,              /* write granted on a clean page */
    VM_MUTANT_NO_BBM,                   /* replaced without a break */
    VM_MUTANT_SHADOW_OFFSET,            /* shadow offset off by one page */
    VM_MUTANT_COLLAPSE_LOSES,           /* collapse loses a page */
    VM_MUTANT_PARENT_NEEDS_COPY,        /* fork forgets the parent's half */
    VM_MUTANT_RANGE_END,                /* last page of a range left out */
    VM_MUTANT_NO_ZERO,                  /* recycled page not zeroed */
    VM_MUTANT_AROUND_PAST_ENTRY,        /* fault-around leaves the entry */
    VM_MUTANT_COUNT
};

#if VM_TEST
extern enum vm_mutant vm_mutant;
extern const char *const vm_mutant_names[VM_MUTANT_COUNT];
#define VM_MUTANT(m)    (vm_mutant == VM_MUTANT_##m)
#else
#define VM_MUTANT(m)    false
#endif

#endif
