/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_pageout.c - the clock.
 *
 * Reclaim needs no queues: the core map is an array, and a hand that goes
 * round it gives every page a second chance (used since the last turn:
 * leave it; not used: reclaim it).  So a fault neither takes a queue lock
 * nor touches a list, and a page that moves between objects moves in
 * nothing else.
 *
 * The hand comes from the core map and wants the object's lock, which is
 * the wrong way round for nobody: it is tried, and a page whose object is
 * busy is left for the next turn.
 */
#include "vm_object_impl.h"

static _Atomic uint64_t clock_hand;

/* True if the page was freed or is on its way out.  o locked, paging. */
static bool
vm_pageout_page(struct vm_object *o, struct vm_page *p)
{
    uint32_t flags = vm_page_flags(p);
    bool used;

    if ((flags & (VM_PG_ABSENT | VM_PG_ERROR | VM_PG_BUSY)) ==
        (VM_PG_ABSENT | VM_PG_ERROR)) {
        /* Nothing in it but the memory of a failure. */
        if (o->pager == NULL) {
            vm_swap_retry(o, p);
        } else {
            vm_object_free_page(o, p);
        }
        return true;
    }
    if (!vm_page_is_valid(p) ||
        (p->wire_count > 0 && !VM_MUTANT(PAGEOUT_WIRED)) ||
        (flags & (VM_PG_CLEANING | VM_PG_UNLOCKING)) != 0) {
        return false;
    }
    used = pmap_page_age(p) || (flags & VM_PG_REFERENCED) != 0;
    vm_page_clear(p, VM_PG_REFERENCED);
    if (used) {
        return false;
    }
    if ((o->flags & VM_OBJ_ORPHAN) != 0) {
        /* Its pager is dead: this is the only copy. */
        vm_page_set(p, VM_PG_MODIFIED);
        flags |= VM_PG_MODIFIED;
    }
    if ((flags & VM_PG_MODIFIED) != 0) {
        return vm_object_clean_page(o, p, true);
    }
    /*
     * Clean: the pager has it; or, in an anonymous object, it is a zero
     * page that nobody ever wrote.
     */
    vm_object_free_page(o, p);
    vm_stat_inc(VM_STAT_RECLAIMS);
    return true;
}

uint64_t
vm_pageout(uint64_t scan, uint64_t want)
{
    uint64_t got = 0;

    while (scan-- > 0 && got < want) {
        uint64_t i = atomic_fetch_add_explicit(&clock_hand, 1,
            memory_order_relaxed) % vm_page_count;
        struct vm_page *p = &vm_page_array[i];
        struct vm_object *o;

        if (vm_get(&p->kind) != VM_PAGE_OBJECT) {
            continue;
        }
        o = vm_get(&p->object);
        if (o == NULL || !vm_mutex_trylock(&o->lock)) {
            continue;
        }
        if (vm_get(&p->kind) != VM_PAGE_OBJECT ||
            vm_get(&p->object) != o || o->ref_count == 0) {
            vm_object_unlock(o);
            continue;
        }
        vm_object_paging_begin(o);
        got += vm_pageout_page(o, p) ? 1 : 0;
        vm_object_paging_end_unlock(o);
    }
    return got;
}
