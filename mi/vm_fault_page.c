/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fault_page.c - the object half of a fault: which page is it?
 *
 *   top  [ page ]    A  resident in the top object
 *    |   [  -   ]
 *   back [ page ]    B  read: use it as it is
 *    |               C  write: move it up if nobody else can see it,
 *    |                  copy it up if somebody can
 *   swap [ slot ]    D  in swap: BUSY page in its place, ask, sleep
 *   file [  -   ]    E  backed by a pager: the same
 *   end  [  -   ]    F  nowhere: a zero page, at the end of the chain
 *                       for a read, in top for a write
 *                    G  nowhere, and the entry has a server: ask it
 *
 * In every write case, if top has a snapshot that still looks through it,
 * the old contents are pushed first (vm_snapshot.c).
 *
 * Locks: top stays locked until the translation is entered, so that nobody
 * breaks copy-on-write above a page that we are about to map (law 4); the
 * chain below is locked hand over hand, and the object with the page too
 * until the end, so that pmap_page_protect() on that page comes before or
 * after us, never between.  Whoever has to sleep drops everything and
 * starts from the address again.
 */
#include "vm_fault_impl.h"

void
vm_fault_unlock_objects(struct vm_fault *f)
{
    if (f->obj != NULL && f->obj != f->top) {
        vm_object_unlock(f->obj);
    }
    if (f->top != NULL) {
        vm_object_unlock(f->top);
    }
    f->obj = NULL;
    f->top = NULL;
}

void
vm_fault_unlock_all(struct vm_fault *f)
{
    vm_fault_unlock_objects(f);
    if (f->map_locked) {
        vm_mutex_unlock(&f->map->lock);
        f->map_locked = false;
    }
}

static int
vm_fault_fail(struct vm_fault *f, int error)
{
    vm_fault_unlock_objects(f);
    return error;
}

static int
vm_fault_sleep(struct vm_fault *f, struct vm_page *p, struct vm_ticket t)
{
    f->waited = p;
    f->progress = true;
    return vm_wait_sleep(t, true) == VM_OK ? VM_E_RETRY : VM_E_INTR;
}

/* Somebody else has the page in hand. */
static int
vm_fault_wait(struct vm_fault *f, struct vm_page *p)
{
    struct vm_ticket t = vm_wait_ticket(p);

    vm_page_set(p, VM_PG_WANTED);
    vm_fault_unlock_all(f);
    return vm_fault_sleep(f, p, t);
}

/*
 * E: ask the pager of obj.  The BUSY page keeps the place, and keeps
 * others from asking again.
 */
static int
vm_fault_ask_pager(struct vm_fault *f)
{
    struct vm_object *o = f->obj;
    struct vm_pager *pg = o->pager;
    vm_pgno_t pgno = f->obj_pgno;
    vm_prot_t access = f->access | VM_PROT_READ;
    struct vm_ticket t;
    struct vm_page *p;

    p = vm_object_new_page(o, pgno,
        VM_PG_BUSY | VM_PG_ABSENT | VM_PG_WANTED, VM_ALLOC_USER);
    if (p == NULL) {
        return vm_fault_fail(f, VM_E_NOMEM);
    }
    t = vm_wait_ticket(p);
    vm_object_paging_begin(o);
    vm_fault_unlock_all(f);
    vm_stat_inc(VM_STAT_PAGEINS);
    pg->ops->data_request(pg, pgno, 1, access);
    vm_object_lock(o);
    vm_object_paging_end_unlock(o);
    f->kind = VM_STAT_FAULT_PAGEIN;
    return vm_fault_sleep(f, p, t);
}

/* D: the same for a page of an anonymous object, by slot. */
static int
vm_fault_ask_swap(struct vm_fault *f)
{
    vm_prot_t access = f->access;
    struct vm_ticket t;
    struct vm_page *p;
    uint64_t slot;
    int error = vm_swap_in_begin(f->obj, f->obj_pgno, &p, &slot);

    if (error != VM_OK) {
        return vm_fault_fail(f, error);
    }
    vm_page_set(p, VM_PG_WANTED);
    t = vm_wait_ticket(p);
    vm_fault_unlock_all(f);
    vm_stat_inc(VM_STAT_PAGEINS);
    /* The frame keeps its identity wherever collapse moves it. */
    vm_swap_in_request(slot, access);
    f->kind = VM_STAT_FAULT_PAGEIN;
    return vm_fault_sleep(f, p, t);
}

/* The pager failed to bring the page: tell those who waited, once. */
static int
vm_fault_error_page(struct vm_fault *f, struct vm_page *p)
{
    struct vm_object *o = f->obj;

    if (f->waited == p) {
        return vm_fault_fail(f, VM_E_PAGER);
    }
    /* A new fault: forget the failure and ask again. */
    if (o->pager == NULL) {
        vm_swap_retry(o, p);
    } else {
        vm_object_free_page(o, p);
    }
    f->progress = true;
    return vm_fault_fail(f, VM_E_RETRY);
}

/* The pager's lock forbids the access: ask it to allow it. */
static int
vm_fault_ask_unlock(struct vm_fault *f, struct vm_page *p)
{
    struct vm_object *o = f->obj;
    struct vm_pager *pg = o->pager;
    vm_pgno_t pgno = f->obj_pgno;
    vm_prot_t missing = f->missing;
    struct vm_ticket t;

    if (pg == NULL) {
        return vm_fault_fail(f, VM_E_PAGER);
    }
    if ((vm_page_flags(p) & VM_PG_UNLOCKING) != 0) {
        return vm_fault_wait(f, p);
    }
    vm_page_set(p, VM_PG_UNLOCKING | VM_PG_WANTED);
    t = vm_wait_ticket(p);
    vm_object_paging_begin(o);
    vm_fault_unlock_all(f);
    pg->ops->data_unlock(pg, pgno, 1, missing);
    vm_object_lock(o);
    vm_object_paging_end_unlock(o);
    return vm_fault_sleep(f, p, t);
}

/* G: a server is asked; nothing is held or marked while it is. */
static __attribute__((noinline)) int
vm_fault_ask_server(struct vm_fault *f)
{
    struct vm_map *map = f->map;
    struct vm_ticket t = vm_wait_ticket(vm_map_missing_event(map, f->va));
    int error;

    vm_fault_unlock_all(f);
    f->progress = true;
    f->kind = VM_STAT_FAULT_PAGEIN;
    vm_stat_inc(VM_STAT_PAGEINS);
    error = vm_map_server(map, f->va, f->access,
        VM_ATTR_SERVER(f->look.attr), t);
    /* The page was entered where it was brought: vm_map_supply(). */
    return error != VM_OK ? error :
        f->action == VM_FAULT_ENTER ? VM_FAULT_DONE : VM_E_RETRY;
}

/*
 * The chain is somebody's whose server may yet bring the page: if it is
 * not all this entry's own, zeros go to a front of its own.
 */
static bool
vm_fault_wants_front(struct vm_fault *f)
{
    if (f->own || (f->obj->flags & VM_OBJ_MISSING) == 0 ||
        f->action == VM_FAULT_COPY_OUT) {
        return false;
    }
    f->own = true;
    f->progress = true;
    return (f->look.attr & VM_ATTR_NEEDS_COPY) != 0;
}

/* F, or E: the chain has no page. */
static int
vm_fault_absent(struct vm_fault *f)
{
    if (f->obj->pager != NULL || (f->obj->flags & VM_OBJ_ORPHAN) != 0) {
        if (f->obj_pgno >= f->obj->npages || f->obj->pager == NULL) {
            return vm_fault_fail(f, VM_E_PAGER);
        }
        return vm_fault_ask_pager(f);
    }
    if (f->pgno >= f->top->npages) {
        /* Mapped beyond its end: nobody would account for a page there. */
        return vm_fault_fail(f, VM_E_PAGER);
    }
    if (f->obj != f->top && (f->obj->flags & VM_OBJ_SHARED) != 0 &&
        f->obj->copy == NULL && f->obj_pgno >= f->obj->npages) {
        /* The same through a private mapping (of a file that is shorter). */
        return vm_fault_fail(f, VM_E_PAGER);
    }
    if (f->map != NULL && VM_ATTR_SERVER(f->look.attr) != 0) {
        return vm_fault_ask_server(f);
    }
    if (vm_fault_wants_front(f)) {
        return vm_fault_fail(f, VM_E_RETRY);
    }
    f->page = NULL;
    f->kind = VM_STAT_FAULT_ZERO;
    if (f->action == VM_FAULT_COPY_OUT) {
        return VM_OK;
    }
    /*
     * A page that is only read goes to the end of the chain: a private
     * mapping must go on showing what its source's writers do.  One that
     * is to be top's own covers what objects below may get later (a
     * source that is written once its snapshot has a page), so it counts
     * as data; at the end of a chain it may be dropped and made again.
     */
    if (!f->own && f->obj_pgno < f->obj->npages) {
        f->page = vm_object_new_page(f->obj, f->obj_pgno, 0,
            VM_ALLOC_USER);
    } else {
        f->page = vm_object_new_page(f->top, f->pgno,
            f->top->shadow != NULL ? VM_PG_MODIFIED : 0, VM_ALLOC_USER);
        f->copied = f->page != NULL && f->top->shadow != NULL;
    }
    if (f->page == NULL) {
        return vm_fault_fail(f, VM_E_NOMEM);
    }
    vm_page_zero(f->page);
    vm_stat_inc(VM_STAT_ZERO_FILLS);
    if (f->obj != f->top && vm_get(&f->page->object) == f->top) {
        vm_object_unlock(f->obj);
        f->obj = f->top;
        f->obj_pgno = f->pgno;
    }
    return VM_OK;
}

/*
 * Can nobody but top see obj's page?  Decided per page: every reference to
 * obj is a front's, and no other front's window covers it.  A few fronts
 * are looked at, more than that are taken for covering.  A snapshot keeps
 * what was pushed to it, or it would be pushed again; what is mapped in
 * private keeps what vm_map_reset() may want back.
 */
static bool
vm_fault_can_move(struct vm_fault *f)
{
    struct vm_object *o = f->obj, *front;
    unsigned looked = 0;

    if (o != f->top->shadow ||
        (o->flags & (VM_OBJ_INTERNAL | VM_OBJ_PUSHED)) !=
        VM_OBJ_INTERNAL || o->ref_count != o->front_count ||
        ((o->flags & VM_OBJ_SHARED) != 0 && o->copy != f->top) ||
        f->page->wire_count != 0 ||
        (vm_page_flags(f->page) & VM_PG_CLEANING) != 0) {
        return false;
    }
    for (front = o->fronts; front != NULL; front = front->front_next) {
        if (front == f->top || VM_MUTANT(MOVE_STEALS)) {
            continue;
        }
        if (++looked > 4 || (f->obj_pgno >= front->shadow_pgno &&
            f->obj_pgno - front->shadow_pgno < front->npages)) {
            return false;
        }
    }
    return true;
}

/* C: the page is in a backing object and must be in top. */
static int
vm_fault_copy_up(struct vm_fault *f)
{
    struct vm_object *back = f->obj;
    struct vm_page *old = f->page, *new;

    if (vm_fault_can_move(f) &&
        vm_object_move_page(back, f->obj_pgno, f->top, f->pgno)) {
        f->kind = VM_STAT_FAULT_MOVE;
    } else {
        new = vm_object_new_page(f->top, f->pgno, VM_PG_MODIFIED,
            VM_ALLOC_USER);
        if (new == NULL) {
            return vm_fault_fail(f, VM_E_NOMEM);
        }
        vm_page_copy(new, old);
        vm_stat_inc(VM_STAT_COPIES);
        f->kind = VM_STAT_FAULT_COPY;
        /*
         * Law 4: who else maps the old page through top must lose it
         * before the new one can be written.  If this entry is all that
         * leads to top, pmap_enter() breaks that one mapping itself; if it
         * fails, vm_fault_undo() takes the copy back, or else the old page
         * would stay mapped here while top already has a newer one.
         */
        if (f->top->ref_count > 1 || f->action != VM_FAULT_ENTER) {
            pmap_page_protect(old, VM_PROT_NONE, NULL);
        }
        f->page = new;
        f->copied = true;
        f->fixed = vm_fault_is_fixed(f->top, back);
    }
    f->collapse = back == f->top->shadow && (back->ref_count == 1 ||
        back->pages.count <= f->top->pages.count);
    vm_object_unlock(back);
    f->obj = f->top;
    f->obj_pgno = f->pgno;
    return VM_OK;
}

void
vm_fault_undo(struct vm_fault *f)
{
    if (f->copied) {
        vm_object_free_page(f->top, f->page);
        f->copied = false;
    }
}

static int
vm_fault_push(struct vm_fault *f)
{
    struct vm_object *copy = f->top->copy;
    int error = vm_object_push(f->top, f->pgno, f->page);

    if (error != VM_OK) {
        vm_fault_undo(f);
        vm_fault_unlock_objects(f);
        if (error == VM_E_RETRY) {
            /* Wait for the snapshot's lock: vm_object_wait_copy(). */
            vm_object_lock(copy);
            vm_object_unlock(copy);
        }
    }
    return error;
}

/*
 * What the pager's lock must allow.  Hardware that grants anything grants
 * READ; a write above a backing object reads that object, no more.
 */
static vm_prot_t
vm_fault_needs(struct vm_fault *f)
{
    return VM_PROT_READ | (f->obj != f->top ?
        f->access & ~VM_PROT_WRITE : f->access);
}

/* vm_object_chain_find() for f; most chains have one object, or two. */
static inline void
vm_fault_find(struct vm_fault *f, vm_slot_t *slot)
{
    struct vm_object *top = f->top, *back = top->shadow;

    *slot = vm_radix_lookup(&top->pages, f->pgno);
    f->obj_pgno = f->pgno;
    f->obj = top;
    if (*slot == VM_SLOT_EMPTY && back != NULL) {
        f->obj_pgno += top->shadow_pgno;
        vm_object_lock(back);
        f->obj = vm_object_chain_find(back, &f->obj_pgno, slot);
        if (f->obj != back) {
            vm_object_unlock(back);
        }
    }
}

int
vm_fault_page(struct vm_fault *f)
{
    bool write = (f->access & VM_PROT_WRITE) != 0;
    struct vm_page *p;
    vm_slot_t slot;
    int error = VM_OK;

    vm_fault_find(f, &slot);
    p = vm_slot_page(slot);
    f->resident = false;
    f->copied = false;
    f->collapse = false;
    if (vm_slot_is_swap(slot)) {
        return vm_fault_ask_swap(f);
    }
    if (p == NULL) {
        error = vm_fault_absent(f);
    } else if (!vm_page_is_valid(p)) {
        return (vm_page_flags(p) & VM_PG_BUSY) != 0 ?
            vm_fault_wait(f, p) : vm_fault_error_page(f, p);
    } else if ((f->missing = p->forbidden & vm_fault_needs(f)) != 0) {
        return vm_fault_ask_unlock(f, p);
    } else {
        f->page = p;
        f->resident = true;
        if (f->kind == VM_STAT_FAULTS) {
            f->kind = VM_STAT_FAULT_SOFT;
        }
        if (f->own && f->obj != f->top) {
            f->resident = false;
            error = vm_fault_copy_up(f);
        }
    }
    if (error == VM_OK && write && f->top->copy != NULL) {
        error = vm_fault_push(f);
    }
    return error;
}
