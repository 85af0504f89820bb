/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_mutant.h - real bugs, each at the place where it would be made,
 * chosen at run time in test builds, to prove that the tests find them.
 * In other builds VM_MUTANT() is the constant false and costs nothing.
 *
 * Who finds which: tests/mutants.h; docs/testing.md has the table.
 */
#ifndef VM_MUTANT_H
#define VM_MUTANT_H

#include "vm_kern.h"

/* M(its name in C, the name by which it is chosen, what is wrong). */
#define VM_MUTANTS(M)                                                   \
    /* revoking */                                                      \
    M(REMOVE_NO_FLUSH, "remove-no-flush",                               \
        "pmap_remove() does not invalidate")                            \
    M(PROTECT_NO_FLUSH, "protect-no-flush",                             \
        "pmap_protect() does not invalidate")                           \
    M(PAGE_PROTECT_NO_FLUSH, "page-protect-no-flush",                   \
        "pmap_page_protect() does not invalidate")                      \
    M(BATCH_OVERFLOW, "batch-overflow",                                 \
        "a batch with too many ranges forgets some")                    \
    M(BATCH_LATE, "batch-late",                                         \
        "frames are freed before the batch is committed")               \
    M(USED_CLEARED, "used-cleared",                                     \
        "a group of entries is called unused that is not")              \
    M(KERNEL_WIRED, "kernel-wired",                                     \
        "revoking a page takes the kernel's wired translation along")   \
    M(DISCARD_NO_FLUSH, "discard-no-flush",                             \
        "what is discarded is not invalidated")                         \
    M(KERNEL_DISCARDED, "kernel-discarded",                             \
        "the kernel's own translations are discarded")                  \
    M(HOLD_IGNORED, "hold-ignored",                                     \
        "a pmap held for progress is discarded")                        \
    M(CPU_LEFT_OUT, "cpu-left-out",                                     \
        "one CPU is left out of a flush")                               \
    M(WRONG_ASID, "wrong-asid",                                         \
        "a flush names the wrong ASID")                                 \
    M(ASID_EARLY, "asid-early",                                         \
        "an ASID is used again before CPUs have flushed it")            \
    M(ASID_NOT_KEPT, "asid-not-kept",                                   \
        "a new generation gives away the ASIDs of those that run")      \
    M(GENERATION_NARROW, "generation-narrow",                           \
        "generations of ASIDs are compared by two bits")                \
    /* tables */                                                        \
    M(TABLE_NOT_ZEROED, "table-not-zeroed",                             \
        "a new table is not zeroed")                                    \
    M(TABLE_NOT_WIPED, "table-not-wiped",                               \
        "a table that served is not wiped for the next")                \
    M(BUDGET_TWICE, "budget-twice",                                     \
        "a table is counted twice against the budget")                  \
    M(FORMAT_KEEPS, "format-keeps",                                     \
        "a change of format keeps what TLBs and the old tables held")   \
    M(CHANGE_NO_RELOAD, "change-no-reload",                             \
        "a change of format leaves CPUs in the old tables")             \
    M(TABLE_EARLY_FREE, "table-early-free",                             \
        "an unlinked table is freed without a grace period")            \
    /* entering */                                                      \
    M(COW_NO_FLUSH, "cow-no-flush",                                     \
        "a page is replaced without invalidation")                      \
    M(NO_BBM, "no-bbm",                                                 \
        "a page is replaced without a break")                           \
    M(RESTRICT_NO_FLUSH, "restrict-no-flush",                           \
        "entering with fewer rights does not invalidate")               \
    M(ENTER_NO_SEQ, "enter-no-seq",                                     \
        "pmap_enter() does not compare the map's sequence")             \
    M(ENTER_NO_PENDING, "enter-no-pending",                             \
        "pmap_enter() fills a hole whose flush is under way")           \
    M(PAGE_NO_PENDING, "page-no-pending",                               \
        "who finds a page revoked does not mind a flush under way")     \
    M(PAGE_UNSEEN, "page-unseen",                                       \
        "a page's revocation is not pending while it is flushed")       \
    M(NOTE_STALE, "note-stale",                                         \
        "the note of a leaf table outlives the table")                  \
    M(PUBLISH_SKIPPED, "publish-skipped",                               \
        "a new entry is not published to the walkers")                  \
    M(FENCE_SKIPPED, "fence-skipped",                                   \
        "this CPU keeps its older answer")                              \
    M(PREFILL_REPLACES, "prefill-replaces",                             \
        "a neighbour is entered over what is there")                    \
    /* large leaves */                                                  \
    M(LARGE_HALF, "large-half",                                         \
        "protecting the upper half of a large leaf does nothing")       \
    M(LARGE_NO_FLUSH, "large-no-flush",                                 \
        "a large leaf is forgotten without invalidation")               \
    M(LARGE_MODIFIED, "large-modified",                                 \
        "a forgotten large leaf takes its pages' modified marks along") \
    M(LARGE_NO_BREAK, "large-no-break",                                 \
        "a large leaf comes in the place of a table without a break")   \
    /* reverse map */                                                   \
    M(PV_STALE, "pv-stale",                                             \
        "an absent entry is trusted while its flush is pending")        \
    M(PV_LOST, "pv-lost",                                               \
        "a page's second mapping is not noted")                         \
    M(FRAME_FREED_MAPPED, "frame-freed-mapped",                         \
        "a frame is freed while it is mapped elsewhere")                \
    /* faults */                                                        \
    M(WRITE_CLEAN, "write-clean",                                       \
        "a right to write is granted on a clean page")                  \
    M(NO_ZERO, "no-zero",                                               \
        "a recycled page is not zeroed")                                \
    M(NO_RECHECK, "no-recheck",                                         \
        "the map's version is not rechecked after a sleep")             \
    M(BACKING_WRITABLE, "backing-writable",                             \
        "a page of a backing object is mapped writable")                \
    M(MOVE_STEALS, "move-steals",                                       \
        "a page is moved up though a sibling can see it")               \
    M(AROUND_PAST_ENTRY, "around-past-entry",                           \
        "fault-around leaves the entry")                                \
    M(AROUND_RIGHTS, "around-rights",                                   \
        "fault-around grants writes to pages still shared")             \
    M(AROUND_BEHIND_SWAP, "around-behind-swap",                         \
        "fault-around maps from behind a swapped-out page")             \
    M(AHEAD_PAST_ENTRY, "ahead-past-entry",                             \
        "pages made ahead are entered behind their entry")              \
    M(AHEAD_STALE, "ahead-stale",                                       \
        "what a page made ahead is a copy of stays mapped")             \
    /* objects */                                                       \
    M(SHADOW_OFFSET, "shadow-offset",                                   \
        "a shadow is off by one page")                                  \
    M(COLLAPSE_LOSES, "collapse-loses",                                 \
        "collapse loses a page")                                        \
    M(COLLAPSE_DEAD, "collapse-dead",                                   \
        "collapse keeps the older of two pages")                        \
    M(BYPASS_LEAK, "bypass-leak",                                       \
        "bypass leaks a reference")                                     \
    M(NO_PUSH, "no-push",                                               \
        "a shared page is written before its snapshot has it")          \
    M(CLEAN_LATE, "clean-late",                                         \
        "a page is marked clean when its write ends, not before")          \
    M(SWAP_FREED, "swap-freed",                                         \
        "a slot of swap is freed while a page is in it")                \
    M(PAGEOUT_WIRED, "pageout-wired",                                   \
        "the clock takes a wired page")                                 \
    /* maps */                                                          \
    M(PARENT_NEEDS_COPY, "parent-needs-copy",                           \
        "fork forgets the parent's half")                               \
    M(FORK_WIRED, "fork-wired",                                         \
        "fork does not copy wired pages at once")                       \
    M(INHERIT_NONE, "inherit-none",                                     \
        "inheritance NONE is ignored")                                  \
    M(SHARE_COPIED, "share-copied",                                     \
        "inheritance SHARE copies")                                     \
    M(MAX_IGNORED, "max-ignored",                                       \
        "the maximum protection is ignored")                            \
    M(PROTECT_LAST, "protect-last",                                     \
        "protect does not revoke in the last entry of its range")       \
    M(RANGE_END, "range-end",                                           \
        "deallocate leaves the last page of its range mapped")          \
    M(WIRE_CLIP, "wire-clip",                                           \
        "an entry that is cut forgets that it is wired")

#define VM_MUTANT_ID(m, name, text)     VM_MUTANT_##m,
enum vm_mutant {
    VM_MUTANT_NONE,
    VM_MUTANTS(VM_MUTANT_ID)
    VM_MUTANT_COUNT
};

#if VM_TEST
extern enum vm_mutant vm_mutant;
extern const char *const vm_mutant_names[VM_MUTANT_COUNT];
/* False: none is called that. */
bool vm_mutant_choose(const char *name);
/* AROUND_BEHIND_SWAP: which of a leaf's slots hold pages. */
uint32_t vm_mutant_pages(const uintptr_t *slot);
#define VM_MUTANT(m)    (vm_mutant == VM_MUTANT_##m)
#else
#define VM_MUTANT(m)    false
#define vm_mutant_pages(slot)   0u
#endif

#endif
