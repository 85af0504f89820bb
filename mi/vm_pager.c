/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_pager.c - what pagers say to the core.
 *
 * A pager names its object by its own struct vm_pager.  The object may go
 * at any time, so each answer locks what the pager points to and looks
 * whether it is still that pager's: objects are type-stable.
 *
 * Nothing here waits for a pager.  A flush that owes a snapshot pages that
 * only the pager has asks for them (BUSY pages marked PUSH), and completes
 * when the last has been answered.
 */
#include "vm_object_impl.h"
#include "vm_zone.h"

/* A flush that waits for old data. */
struct vm_flush {
    void *zone_link;
    struct vm_flush *next;
    vm_pgno_t pgno, npages;
    uint64_t pending;
};

static struct vm_zone vm_flush_zone;

void
vm_pager_bootstrap(void)
{
    vm_zone_init(&vm_flush_zone, "vm_flush", sizeof(struct vm_flush));
}

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
static int
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

/* One page of the flush that covers pgno is done; true if that was all. */
static bool
vm_flush_step(struct vm_object *o, vm_pgno_t pgno, struct vm_flush *out)
{
    struct vm_flush **link = &o->flushes, *f;

    while ((f = *link) != NULL &&
        (pgno < f->pgno || pgno - f->pgno >= f->npages)) {
        link = &f->next;
    }
    if (f == NULL || --f->pending > 0) {
        return false;
    }
    *link = f->next;
    *out = *f;
    vm_zone_free(&vm_flush_zone, f);
    return true;
}

void
vm_pager_drop_flushes(struct vm_object *o)
{
    while (o->flushes != NULL) {
        struct vm_flush *f = o->flushes;

        o->flushes = f->next;
        vm_zone_free(&vm_flush_zone, f);
    }
}

/*
 * p, just filled, was wanted for a snapshot: move it there if that still
 * lacks it, else drop it.  Returns VM_E_RETRY with o unlocked for a moment.
 */
static int
vm_pager_push_page(struct vm_object *o, struct vm_page *p)
{
    vm_pgno_t pgno = vm_get(&p->pgno);
    bool needs;
    int error = vm_object_needs_push(o, pgno, &needs);

    if (error == VM_OK && needs) {
        error = vm_object_push(o, pgno, p);
    }
    if (error == VM_E_RETRY) {
        vm_object_unlock(o);
        kern_relax();
        vm_object_lock(o);
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
    struct vm_flush done;

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
    if (vm_flush_step(o, pgno, &done)) {
        struct vm_pager *pg = o->pager;

        vm_object_unlock(o);
        pg->ops->lock_completed(pg, done.pgno, done.npages);
        vm_object_lock(o);
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
    error = vm_pager_lock_object(pg, pgno, n, &o);
    if (error != VM_OK) {
        return error;
    }
    vm_object_paging_begin(o);
    /* The lock may be dropped in between: it may die, or be cut short. */
    for (vm_pgno_t i = 0; i < n && o->pager == pg &&
        pgno + i < o->npages; i++) {
        int e = vm_pager_fill(o, pgno + i, data == NULL ? NULL :
            bytes + (i << vm_page_shift), zero, forbid, dirty);

        error = e != VM_OK ? e : error;
    }
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

void
vm_object_write_complete(struct vm_object *o, struct vm_page *p, bool ok)
{
    bool swap = o->pager == NULL, evict;

    if ((vm_page_flags(p) & VM_PG_BUSY) != 0) {
        /* Answered before the call returned: the caller finishes. */
        vm_page_set(p, VM_PG_WROTE | (ok ? 0 : VM_PG_MODIFIED));
        return;
    }
    if (!ok) {
        vm_page_set(p, VM_PG_MODIFIED);
    }
    evict = (vm_page_flags(p) & (VM_PG_EVICT | VM_PG_MODIFIED)) ==
        VM_PG_EVICT && p->wire_count == 0;
    vm_page_clear(p, VM_PG_CLEANING | VM_PG_EVICT | VM_PG_WROTE);
    if (evict && swap) {
        vm_swap_keep(p->link);
        vm_radix_replace(&o->pages, vm_get(&p->pgno),
            vm_slot_swap(p->link));
        vm_object_free_frame(p);
    } else if (evict) {
        vm_object_free_page(o, p);
    } else if (swap) {
        /* Used again: its slot goes, so the frame is the only copy. */
        vm_swap_free(p->link);
        vm_page_set(p, VM_PG_MODIFIED);
    }
}

bool
vm_object_clean_page(struct vm_object *o, struct vm_page *p, bool evict)
{
    struct vm_pager *pg = o->pager;
    vm_pgno_t pgno = vm_get(&p->pgno);

    KASSERT(o->paging > 0 && vm_page_is_valid(p));
    KASSERT((vm_page_flags(p) & (VM_PG_MODIFIED | VM_PG_CLEANING)) ==
        VM_PG_MODIFIED);
    if (pg == NULL && !vm_swap_out_begin(p)) {
        return false;
    }
    vm_page_set(p, VM_PG_BUSY | VM_PG_CLEANING |
        (evict ? VM_PG_EVICT : 0));
    /* Write rights go first, then the mark, then the data. */
    pmap_page_protect(p, evict ? VM_PROT_NONE : VM_PROT_NO_WRITE, NULL);
    vm_page_clear(p, VM_PG_MODIFIED);
    vm_object_unlock(o);
    vm_stat_inc(VM_STAT_PAGEOUTS);
    if (pg != NULL) {
        pg->ops->data_write(pg, pgno, 1, vm_page_data(p));
    } else {
        vm_swap_out_write(p->link, vm_page_data(p));
    }
    vm_object_lock(o);
    vm_page_clear(p, VM_PG_BUSY);
    vm_page_wake(p);
    if ((vm_page_flags(p) & VM_PG_WROTE) != 0) {
        vm_object_write_complete(o, p,
            (vm_page_flags(p) & VM_PG_MODIFIED) == 0);
    }
    return true;
}

int
vm_pager_write_done(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    bool ok)
{
    struct vm_object *o;
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
    for (vm_pgno_t i = 0; i < n; i++) {
        struct vm_page *p = vm_object_page(o, pgno + i);

        if (p != NULL && (vm_page_flags(p) & VM_PG_CLEANING) != 0) {
            vm_object_write_complete(o, p, ok);
        }
    }
    vm_object_unlock(o);
    return VM_OK;
}

int
vm_pager_lock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t forbid)
{
    vm_prot_t keep = VM_PROT_ALL & ~forbid;
    struct vm_object *o;
    int error;

    if ((forbid & ~VM_PROT_ALL) != 0) {
        return VM_E_INVAL;
    }
    error = vm_pager_lock_object(pg, pgno, n, &o);
    if (error != VM_OK) {
        return error;
    }
    for (vm_pgno_t i = 0; i < n; i++) {
        struct vm_page *p = vm_object_page(o, pgno + i);

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

/* Sleep until p is no longer BUSY; o is unlocked meanwhile. */
static void
vm_pager_wait_page(struct vm_object *o, struct vm_page *p)
{
    struct vm_ticket t = vm_wait_ticket(p);

    vm_page_set(p, VM_PG_WANTED);
    vm_object_unlock(o);
    (void)!vm_wait_sleep(t, false);
    vm_object_lock(o);
}

/* Page pgno is not here, but the snapshot may need it: ask. */
static int
vm_flush_ask(struct vm_object *o, vm_pgno_t pgno, struct vm_flush *f)
{
    struct vm_pager *pg = o->pager;
    bool needs;
    int error = vm_object_needs_push(o, pgno, &needs);

    if (error != VM_OK || !needs) {
        return error;
    }
    if (vm_object_new_page(o, pgno, VM_PG_BUSY | VM_PG_ABSENT |
        VM_PG_PUSH, VM_ALLOC_USER) == NULL) {
        return VM_E_NOMEM;
    }
    f->pending++;
    vm_object_unlock(o);
    vm_stat_inc(VM_STAT_PAGEINS);
    pg->ops->data_request(pg, pgno, 1, VM_PROT_READ);
    vm_object_lock(o);
    return VM_OK;
}

/* Flush one page; VM_E_RETRY: look again. */
static int
vm_flush_page(struct vm_object *o, vm_pgno_t pgno, struct vm_flush *f)
{
    struct vm_page *p = vm_object_page(o, pgno);
    int error;

    if (p == NULL) {
        return o->copy == NULL ? VM_OK : vm_flush_ask(o, pgno, f);
    }
    if ((vm_page_flags(p) & VM_PG_ABSENT) != 0) {
        /* The answer to come is new data. */
        return VM_OK;
    }
    if ((vm_page_flags(p) & VM_PG_BUSY) != 0) {
        vm_pager_wait_page(o, p);
        return VM_E_RETRY;
    }
    error = vm_object_push(o, pgno, p);
    if (error != VM_OK) {
        return error;
    }
    if (p->wire_count > 0) {
        /* Its frame is held; the snapshot does not depend on it now. */
        return VM_OK;
    }
    if ((vm_page_flags(p) & (VM_PG_MODIFIED | VM_PG_CLEANING)) ==
        VM_PG_MODIFIED) {
        vm_object_clean_page(o, p, true);
        return VM_E_RETRY;
    }
    if ((vm_page_flags(p) & VM_PG_MODIFIED) != 0) {
        /* An older write of it is on its way: write the newer after. */
        vm_page_clear(p, VM_PG_CLEANING | VM_PG_EVICT);
        return VM_E_RETRY;
    }
    vm_object_free_page(o, p);
    return VM_OK;
}

int
vm_pager_flush(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    struct vm_flush *f = vm_zone_alloc(&vm_flush_zone), done;
    struct vm_object *o;
    bool complete;
    int error;

    if (f == NULL) {
        return VM_E_NOMEM;
    }
    error = vm_pager_lock_object(pg, pgno, n, &o);
    if (error != VM_OK) {
        vm_zone_free(&vm_flush_zone, f);
        return error;
    }
    vm_object_paging_begin(o);
    /* One for ourselves, so that it does not complete under our hands. */
    f->pgno = pgno;
    f->npages = n;
    f->pending = 1;
    f->next = o->flushes;
    o->flushes = f;
    for (vm_pgno_t i = 0; i < n && error == VM_OK && o->pager == pg &&
        pgno + i < o->npages; i++) {
        while ((error = vm_flush_page(o, pgno + i, f)) == VM_E_RETRY) {
            vm_object_unlock(o);
            kern_relax();
            vm_object_lock(o);
            if (o->pager != pg) {
                /* It died meanwhile, and f with it. */
                error = VM_E_ADDRESS;
                break;
            }
        }
    }
    complete = o->pager == pg && vm_flush_step(o, pgno, &done);
    if (complete && error == VM_OK) {
        /* Before the object can go: terminate is the last call. */
        vm_object_unlock(o);
        pg->ops->lock_completed(pg, pgno, n);
        vm_object_lock(o);
    }
    vm_object_paging_end_unlock(o);
    return error;
}

int
vm_pager_clean_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    struct vm_object *o;
    int error = vm_pager_lock_object(pg, pgno, n, &o);

    if (error != VM_OK) {
        return error;
    }
    vm_object_paging_begin(o);
    for (vm_pgno_t i = 0; i < n && o->pager == pg; i++) {
        struct vm_page *p = vm_object_page(o, pgno + i);

        if (p != NULL && vm_page_is_valid(p) && (vm_page_flags(p) &
            (VM_PG_MODIFIED | VM_PG_CLEANING)) == VM_PG_MODIFIED) {
            vm_object_clean_page(o, p, false);
        }
    }
    /* Before the object can go: terminate is the last call. */
    if (o->pager == pg) {
        vm_object_unlock(o);
        pg->ops->lock_completed(pg, pgno, n);
        vm_object_lock(o);
    }
    vm_object_paging_end_unlock(o);
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
                VM_PG_WROTE);
        }
        vm_page_clear(p, VM_PG_UNLOCKING);
        vm_page_wake(p);
    }
    vm_pager_drop_flushes(o);
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
