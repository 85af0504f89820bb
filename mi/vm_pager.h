/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_pager.h - the protocol between the core and what backs its objects.
 *
 * Asynchronous both ways: no call waits for its answer.  The core calls
 * the ops without holding a lock; the pager answers from any thread, at
 * any time, with more than was asked for, less, an error, or never.  Who
 * waits for a page waits alone.
 *
 *   core -> pager                  pager -> core
 *   init                           data_provided, data_unavailable,
 *   data_request                   data_error
 *   data_write  (copy the bytes    write_done
 *   data_create  before return)    lock, flush, clean_request, cache
 *   data_unlock                    dead
 *   terminate (the last call)
 *
 * One pager per object.  The default pager (swap) is one more, whose page
 * numbers are swap slots that the core hands out; anonymous pages live in
 * any slot, so that collapse can move them without asking it.
 */
#ifndef VM_PAGER_H
#define VM_PAGER_H

#include "vm_object.h"

struct vm_pager;

struct vm_pager_ops {
    /* The object exists; requests will come. */
    void (*init)(struct vm_pager *pg);
    /* Somebody waits for [pgno, +n) with this access. */
    void (*data_request)(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
        vm_prot_t access);
    /* Modified data; answer write_done.  data is the core's, only now. */
    void (*data_write)(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
        const void *data);
    /* The same for a page that the pager has never seen (swap). */
    void (*data_create)(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
        const void *data);
    /* Somebody waits for access that the pager's lock forbids. */
    void (*data_unlock)(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
        vm_prot_t access);
    /* A flush or clean_request is complete. */
    void (*lock_completed)(struct vm_pager *pg, vm_pgno_t pgno,
        vm_pgno_t n);
    /* No call follows; answers from now on are ignored. */
    void (*terminate)(struct vm_pager *pg);
};

/* The creator's memory; outlives terminate. */
struct vm_pager {
    const struct vm_pager_ops *ops;     /* (c) */
    /* NULL before init and once terminated; objects are type-stable. */
    struct vm_object *_Atomic object;
};

/*
 * vm_object_create_pager - an object of npages backed by pg; one reference
 * of no owner.  Calls pg->ops->init.  Fails: VM_E_NOMEM.
 */
int vm_object_create_pager(struct vm_pager *pg, vm_pgno_t npages,
    struct vm_object **out) VM_MUST_CHECK;

/*
 * Answers and demands of a pager, by any thread, no lock held.
 * => Fails: VM_E_ADDRESS  the object is gone
 *           VM_E_INVAL    a range beyond the object, or that wraps (of
 *                         data, what lies inside is taken all the same)
 *           VM_E_NOMEM    pages not asked for found no frame (those asked
 *                         for have theirs)
 * data_provided: n pages of bytes.  Pages that nobody asked for are taken
 *     too if there is memory and none is there already; one that is
 *     resident is left as it is.  forbid: access to deny (the lock).
 *     dirty: the data differs from what the pager keeps.
 * data_unavailable: the pager has nothing there: zero.
 * data_error: those who wait get VM_E_PAGER; later faults ask again.
 * write_done: a data_write or data_create is over; ok false marks the
 *     pages modified again.
 * lock: deny access from now on (what is granted is revoked on return), or
 *     allow it again and wake those who wait.
 * flush: drop the pages.  Modified ones go back by data_write first, and
 *     snapshots get what they need before: from memory, or by asking the
 *     pager for the old data; lock_completed tells when all is done, the
 *     write_dones included.  A page stays if it is wired, if its write
 *     fails, or if a snapshot needs it and there is no memory to save it;
 *     an answer of data_error to such a request loses it to the snapshot.
 * clean_request: write modified pages back, keep them; lock_completed
 *     when every write is done, also of pages modified again meanwhile.
 * cache: keep the object when nobody maps it.
 * dead: the pager is gone: its waiters get VM_E_PAGER, now and later;
 *     resident pages stay, and the default pager takes modified ones.
 *     Calls that were under way may still arrive; terminate does not.
 */
int vm_pager_data_provided(struct vm_pager *pg, vm_pgno_t pgno,
    vm_pgno_t n, const void *data, vm_prot_t forbid, bool dirty)
    VM_MUST_CHECK;
int vm_pager_data_unavailable(struct vm_pager *pg, vm_pgno_t pgno,
    vm_pgno_t n) VM_MUST_CHECK;
int vm_pager_data_error(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
    VM_MUST_CHECK;
int vm_pager_write_done(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    bool ok) VM_MUST_CHECK;
int vm_pager_lock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t forbid) VM_MUST_CHECK;
int vm_pager_flush(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
    VM_MUST_CHECK;
int vm_pager_clean_request(struct vm_pager *pg, vm_pgno_t pgno,
    vm_pgno_t n) VM_MUST_CHECK;
int vm_pager_cache(struct vm_pager *pg, bool keep) VM_MUST_CHECK;
int vm_pager_dead(struct vm_pager *pg) VM_MUST_CHECK;

/*
 * The default pager.  slots: how many pages of swap there are.  Without
 * one, anonymous pages stay in memory.
 */
int vm_swap_set(struct vm_pager *pg, uint64_t slots) VM_MUST_CHECK;
uint64_t vm_swap_used(void);

/*
 * vm_pageout - one turn of the clock: look at up to scan frames, reclaim
 * up to want; returns how many were freed or are on their way out.  For
 * the pageout thread, and for tests.  => Locks: none held.
 */
uint64_t vm_pageout(uint64_t scan, uint64_t want);

#endif
