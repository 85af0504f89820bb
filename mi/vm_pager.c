/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_pager.c - what pagers say to the core.
 *
 * A pager names its object by its own struct vm_pager.  The object may go
 * at any time, so each answer locks what the pager points to and looks
 * whether it is still that pager's: objects are type-stable.
 *
 * Nothing here waits for a pager.  vm_flush.c has what pagers ask to have
 * back.
 */
#include "vm_object_impl.h"

int
vm_object_create_pager(struct vm_pager *pg, vm_pgno_t npages,
    struct vm_object **out)
{
    struct vm_object *o = vm_object_alloc(npages, 0, NULL);

    if (o == NULL) {
        return VM_E_NOMEM;
    }
    o->pager = pg;
    vm_object_unlock(o);
    vm_set(&pg->object, o);
    *out = o;
    pg->ops->init(pg);
    return VM_OK;
}

/* The object of pg, locked, however small it is. */
static int
vm_pager_lock_any(struct vm_pager *pg, struct vm_object **out)
{
    struct vm_object *o = vm_get(&pg->object);

    if (o == NULL) {
        return VM_E_ADDRESS;
    }
    vm_object_lock(o);
    if (o->pager != pg || (o->flags & VM_OBJ_DEAD) != 0) {
        vm_object_unlock(o);
        return VM_E_ADDRESS;
    }
    *out = o;
    return VM_OK;
}

/* The same, if [pgno, pgno + n) lies in it. */
int
vm_pager_lock_object(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    struct vm_object **out)
{
    struct vm_object *o;
    int error = vm_pager_lock_any(pg, &o);

    if (error != VM_OK) {
        return error;
    }
    if (n == 0 || pgno + n < pgno || pgno + n > o->npages) {
        vm_object_unlock(o);
        return VM_E_INVAL;
    }
    *out = o;
    return VM_OK;
}

/*
 * p, just filled, was wanted for a snapshot: move it there if that still
 * lacks it, else drop it.  Returns VM_E_RETRY with o unlocked for a moment.
 */
static int
vm_pager_push_page(struct vm_object *o, struct vm_page *p)
{
    vm_pgno_t pgno = vm_get(&p->pgno);
    int error = vm_object_push(o, pgno, p);

    if (error == VM_E_RETRY) {
        vm_object_wait_copy(o);
        return VM_E_RETRY;
    }
    vm_page_clear(p, VM_PG_BUSY | VM_PG_PUSH);
    if (error == VM_OK) {
        vm_object_free_page(o, p);
    } else {
        /* No memory to save it: then it may not go. */
        vm_page_wake(p);
    }
    return VM_OK;
}

/*
 * The answer for page pgno of o, which is locked and has paging begun.
 * data NULL and zero false: an error.
 */
static int
vm_pager_fill(struct vm_object *o, vm_pgno_t pgno, const void *data,
    bool zero, vm_prot_t forbid, bool dirty)
{
    struct vm_page *p = vm_object_page(o, pgno);

    if (p == NULL) {
        if (data == NULL) {
            return VM_OK;
        }
        p = vm_object_new_page(o, pgno, VM_PG_ABSENT | VM_PG_BUSY,
            VM_ALLOC_USER);
        if (p == NULL) {
            return VM_E_NOMEM;
        }
    } else if ((vm_page_flags(p) & VM_PG_ABSENT) == 0) {
        return VM_OK;
    }
    if (data == NULL && !zero) {
        vm_page_set(p, VM_PG_ERROR);
    } else if (zero) {
        vm_page_zero(p);
    } else {
        memcpy(vm_page_data(p), data, VM_PAGE_SIZE);
    }
    p->forbidden = (uint8_t)forbid;
    if (dirty) {
        vm_page_set(p, VM_PG_MODIFIED);
    }
    if (data != NULL || zero) {
        /* Whoever asked has not had it yet: let the clock pass once. */
        vm_page_set(p, VM_PG_REFERENCED);
        vm_page_clear(p, VM_PG_ABSENT | VM_PG_ERROR);
    }
    if ((vm_page_flags(p) & VM_PG_PUSH) == 0) {
        vm_page_clear(p, VM_PG_BUSY);
        vm_page_wake(p);
        return VM_OK;
    }
    if ((vm_page_flags(p) & VM_PG_ERROR) != 0) {
        vm_page_clear(p, VM_PG_BUSY | VM_PG_PUSH);
        vm_page_wake(p);
    } else {
        /* BUSY keeps it ours while the lock is dropped. */
        while (vm_pager_push_page(o, p) == VM_E_RETRY) {
            continue;
        }
    }
    return VM_OK;
}

static int
vm_pager_answer(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data, bool zero, vm_prot_t forbid, bool dirty)
{
    const unsigned char *bytes = data;
    struct vm_object *o;
    int error = VM_OK;

    if (vm_swap_is(pg)) {
        for (vm_pgno_t i = 0; i < n; i++) {
            vm_swap_answer(pgno + i, data == NULL ? NULL :
                bytes + (i << vm_page_shift), data == NULL && !zero);
        }
        return VM_OK;
    }
    if ((forbid & ~VM_PROT_ALL) != 0) {
        return VM_E_INVAL;
    }
    error = vm_pager_lock_any(pg, &o);
    if (error != VM_OK) {
        return error;
    }
    if (n == 0 || pgno + n < pgno || pgno + n > o->npages) {
        /*
         * Told, but what is inside is taken: the object may have been cut
         * short since these pages were asked for, and somebody waits.
         */
        error = VM_E_INVAL;
    }
    vm_object_paging_begin(o);
    /* The lock may be dropped in between: it may die, or be cut short. */
    for (vm_pgno_t i = 0; i < n && o->pager == pg &&
        pgno + i < o->npages; i++) {
        int e = vm_pager_fill(o, pgno + i, data == NULL ? NULL :
            bytes + (i << vm_page_shift), zero, forbid, dirty);

        error = e != VM_OK ? e : error;
    }
    vm_flush_poll(o);
    vm_object_paging_end_unlock(o);
    return error;
}

int
vm_pager_data_provided(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data, vm_prot_t forbid, bool dirty)
{
    if (data == NULL) {
        return VM_E_INVAL;
    }
    return vm_pager_answer(pg, pgno, n, data, false, forbid, dirty);
}

int
vm_pager_data_unavailable(struct vm_pager *pg, vm_pgno_t pgno,
    vm_pgno_t n)
{
    return vm_pager_answer(pg, pgno, n, NULL, true, VM_PROT_NONE, false);
}

int
vm_pager_data_error(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    return vm_pager_answer(pg, pgno, n, NULL, false, VM_PROT_NONE, false);
}

int
vm_pager_write_done(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    bool ok)
{
    struct vm_object *o;
    vm_slot_t slot;
    int error;

    if (vm_swap_is(pg)) {
        for (vm_pgno_t i = 0; i < n; i++) {
            vm_swap_write_done(pgno + i, ok);
        }
        return VM_OK;
    }
    error = vm_pager_lock_object(pg, pgno, n, &o);
    if (error != VM_OK) {
        return error;
    }
    vm_object_paging_begin(o);
    for (vm_pgno_t key = pgno; o->pager == pg &&
        vm_radix_next(&o->pages, &key, &slot) && key - pgno < n; key++) {
        struct vm_page *p = vm_slot_page(slot);

        if (p != NULL && (vm_page_flags(p) & VM_PG_CLEANING) != 0) {
            bool evict = (vm_page_flags(p) & VM_PG_EVICT) != 0;

            if (vm_object_write_complete(o, p, ok)) {
                vm_object_clean_page(o, p, evict);
            }
        }
    }
    vm_flush_poll(o);
    vm_object_paging_end_unlock(o);
    return VM_OK;
}

int
vm_pager_lock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t forbid)
{
    vm_prot_t keep = VM_PROT_ALL & ~forbid;
    struct vm_object *o;
    vm_slot_t slot;
    int error;

    if ((forbid & ~VM_PROT_ALL) != 0) {
        return VM_E_INVAL;
    }
    error = vm_pager_lock_object(pg, pgno, n, &o);
    if (error != VM_OK) {
        return error;
    }
    for (vm_pgno_t key = pgno; vm_radix_next(&o->pages, &key, &slot) &&
        key - pgno < n; key++) {
        struct vm_page *p = vm_slot_page(slot);

        if (p == NULL || (vm_page_flags(p) & VM_PG_ABSENT) != 0) {
            continue;
        }
        p->forbidden = (uint8_t)forbid;
        if ((keep & VM_PROT_READ) == 0) {
            pmap_page_protect(p, VM_PROT_NONE, NULL);
        } else if (forbid != VM_PROT_NONE) {
            pmap_page_protect(p, keep & VM_PROT_NO_WRITE, NULL);
        }
        vm_page_clear(p, VM_PG_UNLOCKING);
        vm_page_wake(p);
    }
    vm_object_unlock(o);
    return VM_OK;
}

int
vm_pager_cache(struct vm_pager *pg, bool keep)
{
    struct vm_object *o;
    int error = vm_pager_lock_any(pg, &o);
    bool had;

    if (error != VM_OK) {
        return error;
    }
    had = (o->flags & VM_OBJ_CACHE) != 0;
    if (keep && !had) {
        o->flags |= VM_OBJ_CACHE;
        o->ref_count++;
    } else if (!keep) {
        o->flags &= ~VM_OBJ_CACHE;
    }
    vm_object_unlock(o);
    if (!keep && had) {
        vm_object_unref(o, NULL);
    }
    return VM_OK;
}

int
vm_pager_dead(struct vm_pager *pg)
{
    struct vm_object *o;
    vm_pgno_t key = 0;
    vm_slot_t slot;
    bool cached;
    int error = vm_pager_lock_any(pg, &o);

    if (error != VM_OK) {
        return error;
    }
    o->flags |= VM_OBJ_ORPHAN;
    while (vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        key++;
        if (p == NULL) {
            continue;
        }
        if ((vm_page_flags(p) & VM_PG_ABSENT) != 0) {
            /* Who waits looks again, and sees an orphan. */
            vm_object_free_page(o, p);
            continue;
        }
        if ((vm_page_flags(p) & VM_PG_CLEANING) != 0) {
            /* Nobody will say that it arrived. */
            vm_page_set(p, VM_PG_MODIFIED);
            vm_page_clear(p, VM_PG_CLEANING | VM_PG_EVICT |
                VM_PG_WROTE | VM_PG_FAILED | VM_PG_AGAIN);
        }
        vm_page_clear(p, VM_PG_UNLOCKING);
        vm_page_wake(p);
    }
    vm_flush_drop(o);
    o->pager = NULL;
    cached = (o->flags & VM_OBJ_CACHE) != 0;
    o->flags &= ~VM_OBJ_CACHE;
    vm_object_unlock(o);
    vm_set(&pg->object, NULL);
    if (cached) {
        vm_object_unref(o, NULL);
    }
    return VM_OK;
}
