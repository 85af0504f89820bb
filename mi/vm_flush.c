/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_flush.c - pages that go home because their pager says so.
 *
 * flush drops pages and clean_request keeps them; both write modified ones
 * back, and tell the pager (lock_completed) when that is over.  Nothing
 * here waits: what is still to come is marked on the pages,
 *
 *   PUSH      asked of the pager, because a snapshot needs the old data
 *   CLEANING  a write is out, its write_done is awaited
 *   AGAIN     ... and the page was modified since: another must follow
 *   EVICT     ... and then the page is dropped
 *
 * and a request is complete when it has been through its range and no page
 * there has PUSH, CLEANING or AGAIN.  Each answer looks (vm_flush_poll).
 * So overlapping requests need no counts, and one that comes while a write
 * is out joins it.
 *
 * A page is never dropped before the pager has taken its data: a write that
 * fails leaves it modified, and the request completes with it in place.
 */
#include "vm_object_impl.h"
#include "vm_zone.h"

struct vm_flush {
    void *zone_link;
    struct vm_flush *next;
    vm_pgno_t pgno, npages;
    bool walked;                /* every page has been looked at */
};

static struct vm_zone vm_flush_zone;

void
vm_flush_bootstrap(void)
{
    vm_zone_init(&vm_flush_zone, "vm_flush", sizeof(struct vm_flush));
}

void
vm_flush_drop(struct vm_object *o)
{
    while (o->flushes != NULL) {
        struct vm_flush *f = o->flushes;

        o->flushes = f->next;
        vm_zone_free(&vm_flush_zone, f);
    }
}

static bool
vm_flush_is_settled(struct vm_object *o, const struct vm_flush *f)
{
    vm_pgno_t key = f->pgno;
    vm_slot_t slot;

    while (vm_radix_next(&o->pages, &key, &slot) &&
        key - f->pgno < f->npages) {
        struct vm_page *p = vm_slot_page(slot);

        if (p != NULL && (vm_page_flags(p) &
            (VM_PG_PUSH | VM_PG_CLEANING | VM_PG_AGAIN)) != 0) {
            return false;
        }
        key++;
    }
    return true;
}

/* Take a request off o's list, if it is still there. */
static bool
vm_flush_unlink(struct vm_object *o, struct vm_flush *f)
{
    struct vm_flush **link = &o->flushes;

    while (*link != NULL && *link != f) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return false;
    }
    *link = f->next;
    vm_zone_free(&vm_flush_zone, f);
    return true;
}

void
vm_flush_poll(struct vm_object *o)
{
    struct vm_flush *f = o->flushes;

    while (f != NULL) {
        if (f->walked && vm_flush_is_settled(o, f)) {
            vm_pgno_t pgno = f->pgno, npages = f->npages;
            struct vm_pager *pg = o->pager;

            vm_flush_unlink(o, f);
            vm_object_unlock(o);
            pg->ops->lock_completed(pg, pgno, npages);
            vm_object_lock(o);
            /* The list may have changed meanwhile. */
            f = o->flushes;
        } else {
            f = f->next;
        }
    }
}

/* A request on o's list; paging is begun, for vm_flush_finish() to end. */
static int
vm_flush_start(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    struct vm_object **object, struct vm_flush **flush)
{
    struct vm_flush *f = vm_zone_alloc(&vm_flush_zone);
    int error;

    if (f == NULL) {
        return VM_E_NOMEM;
    }
    error = vm_pager_lock_object(pg, pgno, n, object);
    if (error != VM_OK) {
        vm_zone_free(&vm_flush_zone, f);
        return error;
    }
    vm_object_paging_begin(*object);
    f->pgno = pgno;
    f->npages = n;
    f->walked = false;
    f->next = (*object)->flushes;
    (*object)->flushes = f;
    *flush = f;
    return VM_OK;
}

static int
vm_flush_finish(struct vm_pager *pg, struct vm_object *o,
    struct vm_flush *f, int error)
{
    if (o->pager != pg) {
        /* It died meanwhile, and all its requests with it. */
        error = VM_E_ADDRESS;
    } else if (error != VM_OK) {
        vm_flush_unlink(o, f);
    } else {
        f->walked = true;
        vm_flush_poll(o);
    }
    vm_object_paging_end_unlock(o);
    return error;
}

/* Page pgno is not here, but a snapshot may need it: ask. */
static int
vm_flush_ask(struct vm_object *o, vm_pgno_t pgno)
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
    vm_object_unlock(o);
    vm_stat_inc(VM_STAT_PAGEINS);
    pg->ops->data_request(pg, pgno, 1, VM_PROT_READ);
    vm_object_lock(o);
    return VM_OK;
}

/* The page was asked for, for another reason: its answer is old data. */
static int
vm_flush_absent(struct vm_object *o, vm_pgno_t pgno, struct vm_page *p)
{
    bool needs;
    int error = vm_object_needs_push(o, pgno, &needs);

    if (error != VM_OK || !needs) {
        return error;
    }
    if ((vm_page_flags(p) & VM_PG_BUSY) == 0) {
        /* It failed then; the snapshot needs it now. */
        vm_object_free_page(o, p);
        return vm_flush_ask(o, pgno);
    }
    vm_page_set(p, VM_PG_PUSH);
    return VM_OK;
}

static int
vm_flush_page(struct vm_object *o, vm_pgno_t pgno)
{
    struct vm_page *p = vm_object_page(o, pgno);
    int error;

    if (p == NULL) {
        return o->copy == NULL ? VM_OK : vm_flush_ask(o, pgno);
    }
    if ((vm_page_flags(p) & VM_PG_ABSENT) != 0) {
        return o->copy == NULL ? VM_OK : vm_flush_absent(o, pgno, p);
    }
    error = vm_object_push(o, pgno, p);
    if (error != VM_OK || p->wire_count > 0 ||
        (vm_page_flags(p) & VM_PG_PUSH) != 0) {
        /* A wired frame is held; a PUSH page is in other hands. */
        return error;
    }
    if ((vm_page_flags(p) & VM_PG_CLEANING) != 0) {
        vm_page_set(p, VM_PG_EVICT |
            ((vm_page_flags(p) & VM_PG_MODIFIED) != 0 ? VM_PG_AGAIN : 0));
    } else if ((vm_page_flags(p) & VM_PG_MODIFIED) != 0) {
        vm_object_clean_page(o, p, true);
    } else {
        vm_object_free_page(o, p);
    }
    return VM_OK;
}

int
vm_pager_flush(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    vm_pgno_t key = pgno;
    struct vm_object *o;
    struct vm_flush *f;
    vm_slot_t slot;
    int error = vm_flush_start(pg, pgno, n, &o, &f);

    if (error != VM_OK) {
        return error;
    }
    /* What is not here matters only to a snapshot. */
    while ((o->copy != NULL || vm_radix_next(&o->pages, &key, &slot)) &&
        key - pgno < n && key < o->npages && o->pager == pg) {
        error = vm_flush_page(o, key);
        if (error == VM_E_RETRY) {
            vm_object_wait_copy(o);
        } else if (error != VM_OK) {
            break;
        } else {
            key++;
        }
    }
    return vm_flush_finish(pg, o, f, error == VM_E_RETRY ? VM_OK : error);
}

int
vm_pager_clean_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    vm_pgno_t key = pgno;
    struct vm_object *o;
    struct vm_flush *f;
    vm_slot_t slot;
    int error = vm_flush_start(pg, pgno, n, &o, &f);

    if (error != VM_OK) {
        return error;
    }
    while (vm_radix_next(&o->pages, &key, &slot) && key - pgno < n &&
        o->pager == pg) {
        struct vm_page *p = vm_slot_page(slot);
        uint32_t flags = p == NULL ? 0 : vm_page_flags(p);

        if ((flags & VM_PG_MODIFIED) != 0) {
            if ((flags & VM_PG_CLEANING) != 0) {
                vm_page_set(p, VM_PG_AGAIN);
            } else if (vm_page_is_valid(p)) {
                vm_object_clean_page(o, p, false);
            }
        }
        key++;
    }
    return vm_flush_finish(pg, o, f, VM_OK);
}

bool
vm_object_write_complete(struct vm_object *o, struct vm_page *p, bool ok)
{
    bool swap = o->pager == NULL, evict, again;
    uint32_t flags = vm_page_flags(p);

    if ((flags & VM_PG_BUSY) != 0) {
        /* Answered before the call returned: the caller finishes. */
        vm_page_set(p, VM_PG_WROTE | (ok ? 0 : VM_PG_FAILED));
        return false;
    }
    if (!ok) {
        vm_page_set(p, VM_PG_MODIFIED);
    } else if (VM_MUTANT(CLEAN_LATE)) {
        vm_page_clear(p, VM_PG_MODIFIED);
    }
    evict = (vm_page_flags(p) & (VM_PG_EVICT | VM_PG_MODIFIED)) ==
        VM_PG_EVICT && p->wire_count == 0;
    again = ok && (vm_page_flags(p) & (VM_PG_AGAIN | VM_PG_MODIFIED)) ==
        (VM_PG_AGAIN | VM_PG_MODIFIED);
    vm_page_clear(p, VM_PG_CLEANING | VM_PG_EVICT | VM_PG_WROTE |
        VM_PG_FAILED | VM_PG_AGAIN);
    if (evict && swap) {
        if (VM_MUTANT(SWAP_FREED)) {
            vm_swap_free(p->link);
        } else {
            vm_swap_keep(p->link);
        }
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
    return again && !swap;
}

bool
vm_object_clean_page(struct vm_object *o, struct vm_page *p, bool evict)
{
    struct vm_pager *pg = o->pager;
    vm_pgno_t pgno = vm_get(&p->pgno);
    bool again;

    do {
        KASSERT(o->paging > 0 && vm_page_is_valid(p));
        KASSERT((vm_page_flags(p) & (VM_PG_MODIFIED | VM_PG_CLEANING)) ==
            VM_PG_MODIFIED);
        if (pg == NULL && !vm_swap_out_begin(p)) {
            return false;
        }
        vm_page_set(p, VM_PG_BUSY | VM_PG_CLEANING |
            (evict ? VM_PG_EVICT : 0));
        /* Write rights go first, then the mark, then the data. */
        pmap_page_protect(p, evict ? VM_PROT_NONE : VM_PROT_NO_WRITE,
            NULL);
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
        evict = (vm_page_flags(p) & VM_PG_EVICT) != 0;
        again = (vm_page_flags(p) & VM_PG_WROTE) != 0 &&
            vm_object_write_complete(o, p,
                (vm_page_flags(p) & VM_PG_FAILED) == 0);
    } while (again);
    return true;
}
