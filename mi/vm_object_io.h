/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object_io.h - bytes of memory objects for the kernel itself: read(2)
 * and write(2) of files, which are objects.
 */
#ifndef VM_OBJECT_IO_H
#define VM_OBJECT_IO_H

#include "vm_object.h"

/*
 * vm_object_read, vm_object_write - bytes [offset, +n) of what o's chain
 * reads, to and from a kernel buffer.  n may be 0.
 *
 * A write is one like a program's: the old contents go to a snapshot first,
 * the page is o's own and modified afterwards, and whoever executes it gets
 * the new instructions.  Each page is one step against every mapping's
 * faults; several pages are not one step.
 * => Locks:   none of an object held, caller has a reference; sleeps for
 *             pagers, and for a page that somebody has in hand
 * => Fails:   VM_E_ADDRESS  the object ends before that
 *             VM_E_NOMEM    no frame
 *             VM_E_PAGER    the pager failed
 *             VM_E_INTR     the thread was told to give up waiting
 *             what lies before the page that failed is read, or written
 */
int vm_object_read(struct vm_object *o, uint64_t offset, void *buf,
    size_t n) VM_MUST_CHECK;
int vm_object_write(struct vm_object *o, uint64_t offset, const void *buf,
    size_t n) VM_MUST_CHECK;

/*
 * vm_object_zero - the same with zeros.  Pages that are known to read as
 * zeros anyway are not made.
 */
int vm_object_zero(struct vm_object *o, uint64_t offset, uint64_t n)
    VM_MUST_CHECK;

/* Is page pgno in memory or in swap, in o itself? */
bool vm_object_has_page(struct vm_object *o, vm_pgno_t pgno);

/*
 * The next page at or after pgno that o has itself, in memory or in swap;
 * false if there is none.
 */
bool vm_object_next_page(struct vm_object *o, vm_pgno_t *pgno);
/* Is the caller's reference the only one, and no page modified? */
bool vm_object_is_unused(struct vm_object *o);
/* How many pages o had itself a moment ago; takes no lock. */
uint64_t vm_object_page_count(struct vm_object *o);

/*
 * vm_object_end - the object at the end of o's chain (a file, for a private
 * mapping of one), and what *pgno of o is there.  Identity only: nothing
 * keeps it but what keeps o.
 */
struct vm_object *vm_object_end(struct vm_object *o, vm_pgno_t *pgno);

#endif
