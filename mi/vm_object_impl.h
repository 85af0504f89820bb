/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object_impl.h - what the files that work on memory objects share:
 * vm_object.c, vm_collapse.c, vm_snapshot.c, vm_fault*.c, vm_pager.c,
 * vm_flush.c, vm_swap.c, vm_pageout.c, vm_stat.c, vm_map_audit.c,
 * vm_map_move.c, vm_init.c.
 */
#ifndef VM_OBJECT_IMPL_H
#define VM_OBJECT_IMPL_H

#include "vm_mutant.h"
#include "vm_object.h"
#include "vm_pager.h"
#include "vm_stat.h"
#include "pmap.h"

#define VM_PROT_NO_WRITE        (VM_PROT_READ | VM_PROT_EXEC)

/* A new object, locked, with one reference of owner; NULL: no memory. */
struct vm_object *vm_object_alloc(vm_pgno_t npages, uint32_t flags,
    const struct vm_map *owner);
/* Its memory, back to the zone; not locked, ref_count 0. */
void vm_object_release(struct vm_object *o);

/* Membership in the backing object's list; backing locked. */
void vm_object_link_front(struct vm_object *back, struct vm_object *front);
void vm_object_unlink_front(struct vm_object *back, struct vm_object *front);

/* A reference to a locked object. */
void vm_object_ref_locked(struct vm_object *o, const struct vm_map *owner);
/* Count one reference less; locked.  The caller looks at ref_count. */
void vm_object_drop_locked(struct vm_object *o, const struct vm_map *owner);

/* Calls of its pager are under way; locked.  end may free o; unlocks it. */
void vm_object_paging_begin(struct vm_object *o);
void vm_object_paging_end_unlock(struct vm_object *o);

static inline struct vm_page *
vm_object_page(struct vm_object *o, vm_pgno_t pgno)
{
    return vm_slot_page(vm_radix_lookup(&o->pages, pgno));
}

/* Anonymous, with nothing below: what is not here is zero. */
static inline bool
vm_object_is_plain(struct vm_object *o)
{
    return (o->flags & (VM_OBJ_INTERNAL | VM_OBJ_DEAD | VM_OBJ_MISSING)) ==
        VM_OBJ_INTERNAL && o->shadow == NULL && o->copy == NULL;
}

/* A page that holds data now. */
static inline bool
vm_page_is_valid(struct vm_page *p)
{
    return (vm_page_flags(p) &
        VM_PG_NO_DATA) == 0;
}

/*
 * vm_object_new_page - a frame for page pgno of o, which is EMPTY there.
 * => Locks: o.  Returns NULL when memory is short.  Contents undefined.
 */
struct vm_page *vm_object_new_page(struct vm_object *o, vm_pgno_t pgno,
    uint32_t flags, enum vm_alloc who);
/* The same with a frame that the caller has; VM_E_NOMEM: he keeps it. */
int vm_object_add_page(struct vm_object *o, vm_pgno_t pgno,
    struct vm_page *p, uint32_t flags) VM_MUST_CHECK;
/* The same with n frames, the last in a leaf that is there: vm_radix_put(). */
void vm_object_add_pages(struct vm_object *o, vm_pgno_t pgno,
    struct vm_page *const p[], unsigned n, uint32_t flags);
/* Take p out of o and free it, with its translations; wakes waiters. */
void vm_object_free_page(struct vm_object *o, struct vm_page *p);
/* The same for whatever the slot holds: page or swap. */
void vm_object_free_slot(struct vm_object *o, vm_pgno_t pgno,
    vm_slot_t slot);
/* Give the page in `from` to `to` at pgno, where to is EMPTY. */
bool vm_object_move_page(struct vm_object *from, vm_pgno_t from_pgno,
    struct vm_object *to, vm_pgno_t to_pgno);

/*
 * vm_object_chain_find - the slot that reads at *pgno of o's chain.
 *
 * => Locks:   o, which stays locked; the chain hand over hand below it
 * => Returns: the object that has it, locked (it may be o), and *pgno there;
 *             if nobody has it (*slot EMPTY), the last of the chain
 */
struct vm_object *vm_object_chain_find(struct vm_object *o,
    vm_pgno_t *pgno, vm_slot_t *slot);

/* BUSY is over: wake who waits for the page. */
void vm_page_wake(struct vm_page *p);

/*
 * vm_object_push - before a page of o changes, let its snapshot have it.
 *
 * => Locks:   o, held on return; tries the snapshot's
 * => Fails:   VM_E_NOMEM; VM_E_RETRY: the snapshot's lock was taken
 * => TLB:     no translation to p is left anywhere if it was pushed
 */
int vm_object_push(struct vm_object *o, vm_pgno_t pgno, struct vm_page *p)
    VM_MUST_CHECK;
/*
 * Does the snapshot of o still look through it at pgno?  VM_E_RETRY as
 * above; *needs false if there is none.
 */
int vm_object_needs_push(struct vm_object *o, vm_pgno_t pgno,
    bool *needs) VM_MUST_CHECK;

/*
 * vm_object_clean_page - start writing p back (evict: and free it after).
 *
 * => Locks: o, which has paging begun; dropped for the pager's call and
 *           taken again.  p is valid, MODIFIED and not CLEANING before;
 *           afterwards it may be anything.
 * Returns false if nothing could be started (no swap space).
 */
bool vm_object_clean_page(struct vm_object *o, struct vm_page *p,
    bool evict);
/*
 * The pager has it, or not; o locked, p CLEANING.  True: p was modified and
 * asked for again meanwhile, so clean it once more.  p may be gone if not.
 */
bool vm_object_write_complete(struct vm_object *o, struct vm_page *p,
    bool ok);
/* p, no longer in any tree, loses translations and waiters and is freed. */
void vm_object_free_frame(struct vm_page *p);

/*
 * vm_object_wait_copy - after a push met a snapshot whose lock was taken:
 * wait for that lock with o unlocked, and lock o again.
 */
void vm_object_wait_copy(struct vm_object *o);

/* pg's object, locked, if [pgno, pgno + n) lies in it. */
int vm_pager_lock_object(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    struct vm_object **out) VM_MUST_CHECK;

/*
 * vm_flush.c.  poll: tell the pager of flushes and clean requests that are
 * complete by now; o locked (dropped for the call), paging begun.  drop:
 * forget those of an object that goes away, or whose pager died.
 */
void vm_flush_bootstrap(void);
void vm_flush_poll(struct vm_object *o);
void vm_flush_drop(struct vm_object *o);

/*
 * Swap (vm_swap.c): the default pager's side of anonymous objects.  A page
 * in transit keeps its slot number in p->link.
 */
void vm_swap_bootstrap(void);
bool vm_swap_is(const struct vm_pager *pg);
/* o has a swap slot at pgno: put a BUSY page in its place. */
int vm_swap_in_begin(struct vm_object *o, vm_pgno_t pgno,
    struct vm_page **page, uint64_t *slot) VM_MUST_CHECK;
void vm_swap_in_request(uint64_t slot, vm_prot_t access);
/* An ERROR page becomes its slot again. */
void vm_swap_retry(struct vm_object *o, struct vm_page *p);
bool vm_swap_out_begin(struct vm_page *p);
void vm_swap_out_write(uint64_t slot, const void *data);
/* What was written stays there, no page is in transit. */
void vm_swap_keep(uint64_t slot);
void vm_swap_free(uint64_t slot);
/* p is going away while swap reads or writes it. */
void vm_swap_cancel(struct vm_page *p);
/* Answers of the default pager.  data NULL: zero, or an error. */
void vm_swap_answer(uint64_t slot, const void *data, bool error);
void vm_swap_write_done(uint64_t slot, bool ok);

/* Lock the object that p belongs to now; NULL if it is free. */
struct vm_object *vm_page_lock_object(struct vm_page *p);

/* Copy bytes that a program may be touching: relaxed word by word. */
void vm_bytes_copy(void *to, const void *from, size_t n);

#endif
