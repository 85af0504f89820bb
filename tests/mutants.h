/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutants.h - which test is likely to find which bug of mi/vm_mutant.h.
 *
 * Only a hint of what to run first: that it is found, and by what, each run
 * of t_mutants and of ./pal mutants (tools/mutants.py, which reads this
 * file) shows anew.
 *
 *   M(mutant, on the simulated MMU, in a booted kernel)
 *
 * A scenario of the simulator is named in model/t_mutants.c; one of a booted
 * kernel is FILE.CASE of tests/kernel or PROGRAM:CASE of tests/user.
 * HIDDEN(why): nothing in QEMU can see it, and why.
 */
#ifndef MUTANTS_H
#define MUTANTS_H

#define ONE_CPU     "the booted kernels run one CPU"
#define OWN_FENCE   "the booted kernels run one CPU, and it forgets by " \
                    "itself what it enters anew"
#define NO_TAGS     "QEMU's TLBs forget all at each change of the address " \
                    "space, and heed no ASID in an invalidation"
#define NO_SWAP     "the booted kernels have no swap"
#define NO_PAGER    "files of the booted kernels are in memory: no fault " \
                    "waits for a pager, nothing is written back"
#define TCG_ORDER   "TCG's walker reads memory as the CPU wrote it"
#define TCG_MISS    "TCG walks again before it reports a fault"

#define MUTANT_KILLERS(M)                                               \
    M(REMOVE_NO_FLUSH, "law3/remove", "u_revoke:unmap")                 \
    M(PROTECT_NO_FLUSH, "law3/protect", "u_revoke:protect")             \
    M(PAGE_PROTECT_NO_FLUSH, "law3/page_protect", "u_revoke:truncate")  \
    M(BATCH_OVERFLOW, "law3/spaces", "u_revoke:protect_many")           \
    M(BATCH_LATE, "unmap", HIDDEN(ONE_CPU))                             \
    M(USED_CLEARED, "ranges", "u_revoke:protect")                       \
    M(KERNEL_WIRED, "law6/wired", "k_contract.law6_wired")              \
    M(DISCARD_NO_FLUSH, "law3/discard", "u_revoke:discard_and_unmap")   \
    M(KERNEL_DISCARDED, "law6/wired", "k_contract.law6_wired")          \
    M(HOLD_IGNORED, "law7/hold", "k_contract.law7_hold")                \
    M(CPU_LEFT_OUT, "law3/remove", HIDDEN(ONE_CPU))                     \
    M(WRONG_ASID, "law3/remove", HIDDEN(NO_TAGS))                       \
    M(ASID_EARLY, "law3/asids", HIDDEN(NO_TAGS))                        \
    M(ASID_NOT_KEPT, "change/asids", HIDDEN(NO_TAGS))                   \
    M(GENERATION_NARROW, "law3/asids", HIDDEN(NO_TAGS))                 \
    M(TABLE_NOT_ZEROED, "table/blank", "k_contract.table_blank")        \
    M(TABLE_NOT_WIPED, "table/blank", "k_contract.table_blank")         \
    M(BUDGET_TWICE, "change/counts", "k_contract.change_counts")        \
    M(FORMAT_KEEPS, "change/formats", HIDDEN(NO_TAGS))                  \
    M(CHANGE_NO_RELOAD, "change/formats", "k_contract.change_formats")  \
    M(TABLE_EARLY_FREE, "law7_adversary", HIDDEN(ONE_CPU))              \
    M(COW_NO_FLUSH, "law4/replace", HIDDEN(OWN_FENCE))                  \
    M(NO_BBM, "law4/replace", HIDDEN(ONE_CPU))                          \
    M(RESTRICT_NO_FLUSH, "law4/restrict", HIDDEN(OWN_FENCE))            \
    M(ENTER_NO_SEQ, "enter/seq", "k_contract.enter_seq")                \
    M(ENTER_NO_PENDING, "law4/holes", HIDDEN(ONE_CPU))                  \
    M(PAGE_NO_PENDING, "law3/two", HIDDEN(ONE_CPU))                     \
    M(PAGE_UNSEEN, "law3/two", HIDDEN(ONE_CPU))                         \
    M(NOTE_STALE, "table/blank", "k_contract.table_blank")              \
    M(PUBLISH_SKIPPED, "law8/publish", HIDDEN(TCG_ORDER))               \
    M(FENCE_SKIPPED, "law8/fence", HIDDEN(TCG_MISS))                    \
    M(PREFILL_REPLACES, "prefill", "k_contract.prefill")                \
    M(LARGE_HALF, "large/range", "u_revoke:part_of_large")              \
    M(LARGE_NO_FLUSH, "large/range", "u_revoke:part_of_large")          \
    M(LARGE_MODIFIED, "large/page_protect",                             \
        "k_contract.large_page_protect")                                \
    M(LARGE_NO_BREAK, "large/replace", "k_contract.large_replace")      \
    M(PV_STALE, "stress.0", HIDDEN(ONE_CPU))                            \
    M(PV_LOST, "law5/enter", "k_contract.law5_enter")                   \
    M(FRAME_FREED_MAPPED, "table/forget", "k_contract.table_forget")    \
    M(WRITE_CLEAN, "isolation", "u_mach:protect")                       \
    M(NO_ZERO, "zero", "u_isolation:fresh_maps")                        \
    M(NO_RECHECK, "sleeper", HIDDEN(NO_PAGER))                          \
    M(BACKING_WRITABLE, "isolation", "u_revoke:both_write")             \
    M(MOVE_STEALS, "isolation", "u_revoke:both_write")                  \
    M(AROUND_PAST_ENTRY, "around", "u_mach:inherit")                    \
    M(AROUND_RIGHTS, "snapshot", "u_revoke:children_write")             \
    M(AROUND_BEHIND_SWAP, "around_swap", HIDDEN(NO_SWAP))               \
    M(AHEAD_PAST_ENTRY, "ahead", "u_revoke:ahead")                      \
    M(AHEAD_STALE, "ahead", "u_revoke:ahead")                           \
    M(SHADOW_OFFSET, "isolation", "u_revoke:children_write")            \
    M(COLLAPSE_LOSES, "model.0", "u_revoke:both_write")                 \
    M(COLLAPSE_DEAD, "model.0", "u_revoke:children_write")              \
    M(BYPASS_LEAK, "law4_shared_front", "u_revoke:children_write")      \
    M(NO_PUSH, "snapshot", "u_mach:map_files")                          \
    M(CLEAN_LATE, "clean", HIDDEN(NO_PAGER))                            \
    M(SWAP_FREED, "model.0", HIDDEN(NO_SWAP))                           \
    M(PAGEOUT_WIRED, "wiring", HIDDEN(NO_SWAP))                         \
    M(PARENT_NEEDS_COPY, "isolation", "u_revoke:fork_then_write")       \
    M(FORK_WIRED, "wiring", "u_revoke:locked_and_forked")               \
    M(INHERIT_NONE, "sharing", "u_mach:inherit")                        \
    M(SHARE_COPIED, "sharing", "u_mach:inherit")                        \
    M(MAX_IGNORED, "model.0", "u_mach:protect")                         \
    M(PROTECT_LAST, "ranges", "u_revoke:protect")                       \
    M(RANGE_END, "ranges", "u_revoke:unmap")                            \
    M(WIRE_CLIP, "model.3", "u_revoke:unlock_in_the_midst")

/* Where one machine differs in a booted kernel: M(mutant, machine, ...) */
#define MUTANT_KILLERS_ON(M)                                            \
    M(USED_CLEARED, x86_64, "u_revoke:replace")

#endif
