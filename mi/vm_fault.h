/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fault.h - resolving faults, and touching a map's memory from within.
 */
#ifndef VM_FAULT_H
#define VM_FAULT_H

#include "vm_map.h"

/*
 * vm_fault - make access to va possible, or say why it is not.
 *
 * => Locks:   none held; sleeps for pagers and locks
 * => access:  READ, WRITE, EXEC or a union
 * => Fails:   VM_E_ADDRESS  nothing there ("invalid address")
 *             VM_E_PROT     not allowed ("protection failure")
 *             VM_E_NOMEM    no frame; wait for memory and try again
 *             VM_E_PAGER    the pager failed, or the object ends before
 *             VM_E_INTR     the thread was told to give up waiting
 * => After:   0: the translation was entered; it may be forgotten again
 *             before it is used.  Or the budget of page tables has no room
 *             just now (pmap_ctl.h) and all of it is held for progress by
 *             others: nothing was entered, and who uses va faults again
 * VM_E_NOMEM comes only after page tables of others were freed in vain.
 */
int vm_fault(struct vm_map *map, vaddr_t va, vm_prot_t access)
    VM_MUST_CHECK;

/*
 * Law 7.  A thread that faults VM_PROGRESS_FAULTS times at one pc on pages
 * that it has faulted on there before holds its pmap against voluntary
 * forgetting until it gets on: at its next fault elsewhere, or when the
 * kernel calls vm_progress_end() (it blocks, exits, or enters the kernel for
 * another reason).  More than VM_PROGRESS_PAGES pages are more than one
 * instruction needs: the loop that it is in gets on.
 *
 * With a budget of page tables the hold alone is not enough: what the pmap
 * has may be all that there is, and not what the instruction needs.  So a
 * holder who is refused a table lets go, discards its own pmap and holds it
 * again: from then on it gathers only what this one instruction touches,
 * and pmap_budget_floor() is enough for that.  If others hold the pmap too,
 * it only lets go, so that one of them can.
 *
 * vm_fault_thread - vm_fault() for a program's thread; where that writes
 * memory in order, it also makes the next pages (vm_fault_ahead).
 */
#define VM_PROGRESS_FAULTS 16u
#define VM_PROGRESS_PAGES  8u   /* an instruction needs 6 at most */
struct vm_progress {
    uint64_t pc;
    uint64_t seen;              /* pages faulted on there: a bit each */
    struct pmap *held;
    uint32_t count;             /* faults there that were no progress */
};
int vm_fault_thread(struct vm_map *map, vaddr_t va, vm_prot_t access,
    uint64_t pc, struct vm_progress *t) VM_MUST_CHECK;
void vm_progress_end(struct vm_progress *t);

/*
 * vm_map_read, vm_map_write - copy bytes out of and into a map.
 *
 * Any alignment; size 0 is VM_E_INVAL.  Rights are those of user code.
 * => After an error: what was copied before it stays copied (the bytes
 *    moved are not reported; check rights first where that matters)
 */
int vm_map_read(struct vm_map *map, vaddr_t va, void *buf, size_t size)
    VM_MUST_CHECK;
int vm_map_write(struct vm_map *map, vaddr_t va, const void *buf,
    size_t size) VM_MUST_CHECK;

/*
 * vm_fault_wire - fault one page in and wire it, for vm_map_wire().
 *
 * The entry is in transition; the map is not locked.  copy_up: get the
 * page into the entry's own object even if it may not be written now.
 */
int vm_fault_wire(struct vm_map *map, vaddr_t va, bool copy_up)
    VM_MUST_CHECK;

/*
 * vm_fault_own - do what a write to the page at va would need (its own page
 * in the entry's object, old contents pushed to a snapshot), but write
 * nothing: the next vm_map_write() there takes no memory, if nothing is
 * forked, copied or paged out before.
 */
int vm_fault_own(struct vm_map *map, vaddr_t va) VM_MUST_CHECK;

/*
 * vm_object_read_page - copy what page pgno of o's chain reads now to a
 * buffer of a page.  Sleeps; => Locks: none held, caller has a reference.
 */
int vm_object_read_page(struct vm_object *o, vm_pgno_t pgno, void *buf)
    VM_MUST_CHECK;

/*
 * Fault-around: pages mapped with one that is asked for, the window that is
 * aligned to their number.  A power of two; 1: none, more than 32 is 32.  A
 * fault just where the last window ended looks ahead twice as far as that
 * did, at least twice and at most eight times this, and up to 128.
 */
extern unsigned vm_fault_around;

/*
 * Pages made by one fault to write, at most, where somebody fills memory in
 * order (vm_ahead.c): a power of two; 1: only what is asked for, more than
 * 32 is 32.
 */
extern unsigned vm_fault_ahead;

/* Everything of mi/ and pmap/, in order; RAM is already released. */
int vm_init(void) VM_MUST_CHECK;

/*
 * The sequence under which the embedder enters wired translations into
 * pmap_kernel(); it begins and ends a change of it around pmap_remove(),
 * one thread at a time.
 */
struct vm_seq *vm_kernel_seq(void);

#endif
