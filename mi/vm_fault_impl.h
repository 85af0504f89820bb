/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fault_impl.h - the state of one fault, shared by vm_fault.c (from
 * address to translation) and vm_fault_page.c (from object to page).
 */
#ifndef VM_FAULT_IMPL_H
#define VM_FAULT_IMPL_H

#include "vm_fault.h"
#include "vm_object_impl.h"

/* What is to happen to the page when it has been found. */
enum vm_fault_action {
    VM_FAULT_ENTER,             /* map it */
    VM_FAULT_COPY_OUT,          /* copy bytes of it to buf */
    VM_FAULT_COPY_IN,           /* copy buf into it */
    VM_FAULT_WIRE,              /* hold its frame */
    VM_FAULT_OWN                /* nothing: it is there */
};

struct vm_fault {
    struct vm_map *map;         /* NULL: objects only */
    vaddr_t va;                 /* page-aligned */
    vm_prot_t access;
    enum vm_fault_action action;
    bool own;                   /* the page must be in the top object */
    bool map_locked;
    bool progress;              /* slept or prepared: not a lost race */
    bool resident;              /* nothing had to be made or fetched */
    bool copied;                /* page is a copy just made, unmapped yet */
    bool fixed;                 /* of what no one will change: vm_ahead.c */
    bool collapse;              /* the chain may be shortened after */
    vm_prot_t missing;          /* rights to demand of a pager's lock */
    struct vm_progress *thread; /* who asks; NULL: not a program's thread */
    struct vm_lookup look;
    struct vm_object *top;      /* locked, from validation to the end */
    struct vm_object *obj;      /* locked; has the page; may be top */
    vm_pgno_t pgno;             /* in top */
    vm_pgno_t obj_pgno;         /* in obj */
    struct vm_page *page;       /* NULL: zero, and COPY_OUT */
    struct vm_page *waited;     /* last page that we slept for */
    enum vm_stat kind;          /* the case, for the statistics */
    void *buf;
    size_t offset, size;        /* bytes of the page to copy */
};

/* No error and no page: the fault is over, f's program may go on. */
#define VM_FAULT_DONE   (-1)

/*
 * vm_fault_page - find or make the page that f wants.
 *
 * => Locks: top; on success top and obj; on failure none of the two, and
 *           if it had to sleep, not the map either
 * => Fails: VM_E_RETRY (look again), VM_E_NOMEM, VM_E_PAGER, VM_E_INTR,
 *           VM_FAULT_DONE (only for VM_FAULT_ENTER)
 */
int vm_fault_page(struct vm_fault *f) VM_MUST_CHECK;

/*
 * vm_fault_undo - the page could not be entered: as if it had not been
 * copied up.  Nobody has seen the copy, since top is still locked.
 */
void vm_fault_undo(struct vm_fault *f);

/*
 * vm_fault_resident - enter va as a fault to read would, with neighbours, if
 * that needs nothing but a look: the page is resident and allowed.  Once:
 * whatever is in the way, it is given up.
 *
 * => Locks: none
 * => Fails: VM_E_NOMEM, no page table; or something else
 */
int vm_fault_resident(struct vm_map *map, vaddr_t va) VM_MUST_CHECK;

/*
 * vm_large.c.  fill: the page, EMPTY in top, which is plain, is to be
 * written: make it and all of its run; false: nothing was done.  enter: the
 * page is resident, to be mapped with prot: map its run; false: it was not.
 * => Locks: top
 */
bool vm_large_fill(struct vm_fault *f);
bool vm_large_enter(struct vm_fault *f, vm_prot_t prot);

/*
 * Does back have for good what top shows, where top is not written?  Else top
 * goes on to show what is written there.
 * => Locks: both
 */
static inline bool
vm_fault_is_fixed(const struct vm_object *top, const struct vm_object *back)
{
    return (back->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED)) ==
        VM_OBJ_INTERNAL || back->copy == top;
}

/*
 * vm_ahead.c: the page that was just made, to be written, lies where the last
 * one ended, of a run of so many: make the next ones, too.
 * => Locks: top (takes its shadow)
 */
void vm_fault_make_ahead(struct vm_fault *f, unsigned run);

/* Drop the objects' locks; and the map's. */
void vm_fault_unlock_objects(struct vm_fault *f);
void vm_fault_unlock_all(struct vm_fault *f);

#endif
