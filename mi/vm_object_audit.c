/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object_audit.c - memory objects looked at from outside: how much is
 * resident, how long a chain is, whether everything fits together.
 *
 * Locks: one object at a time, or front before backing.
 */
#include "vm_object_impl.h"

/*
 * The first page number from *pgno on, below end, for which something of the
 * chain has a slot, and whether its topmost one is resident; o is locked.
 */
static bool
resident_next(struct vm_object *o, vm_pgno_t *pgno, vm_pgno_t end,
    bool *resident)
{
    struct vm_object *top = o, *back;
    vm_pgno_t below = 0, best = end;

    for (;;) {
        vm_pgno_t key = *pgno + below;
        vm_slot_t slot;

        if (vm_radix_next(&o->pages, &key, &slot) && key - below < best) {
            struct vm_page *p = vm_slot_page(slot);

            best = key - below;
            *resident = p != NULL && vm_page_is_valid(p);
        }
        back = o->shadow;
        if (back == NULL) {
            break;
        }
        below += o->shadow_pgno;
        vm_object_lock(back);
        if (o != top) {
            vm_object_unlock(o);
        }
        o = back;
    }
    if (o != top) {
        vm_object_unlock(o);
    }
    *pgno = best;
    return best < end;
}

vm_pgno_t
vm_object_resident(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages)
{
    vm_pgno_t end = pgno + npages, n = 0;
    bool resident;

    /* By the pages that there are: a window may be far larger. */
    vm_object_lock(o);
    for (; resident_next(o, &pgno, end, &resident); pgno++) {
        n += resident;
    }
    vm_object_unlock(o);
    return n;
}

unsigned
vm_object_depth(struct vm_object *o)
{
    unsigned depth = 1;

    vm_object_lock(o);
    while (o->shadow != NULL) {
        struct vm_object *back = o->shadow;

        vm_object_lock(back);
        vm_object_unlock(o);
        o = back;
        depth++;
    }
    vm_object_unlock(o);
    return depth;
}

static void
vm_object_check_pages(struct vm_object *o)
{
    vm_pgno_t key = 0;
    vm_slot_t slot;

    vm_radix_check(&o->pages);
    while (vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        if (p != NULL) {
            KASSERT(vm_get(&p->kind) == VM_PAGE_OBJECT);
            KASSERT(vm_get(&p->object) == o && vm_get(&p->pgno) == key);
            KASSERT((vm_page_flags(p) & VM_PG_ABSENT) == 0 ||
                (vm_page_flags(p) & (VM_PG_BUSY | VM_PG_ERROR)) != 0);
        } else {
            KASSERT((o->flags & (VM_OBJ_INTERNAL | VM_OBJ_ORPHAN)) != 0);
        }
        KASSERT(key < o->npages);
        key++;
    }
}

void
vm_object_check(struct vm_object *o)
{
    uint32_t fronts = 0;

    vm_object_lock(o);
    KASSERT(o->ref_count > 0 && (o->flags & VM_OBJ_DEAD) == 0);
    KASSERT(o->owner_refs + o->front_count <= o->ref_count);
    KASSERT((o->owner == NULL) == (o->owner_refs == 0));
    KASSERT(o->pager == NULL || (o->flags & VM_OBJ_INTERNAL) == 0);
    KASSERT(o->pager == NULL || o->shadow == NULL);
    vm_object_check_pages(o);
    for (struct vm_object *f = o->fronts; f != NULL; f = f->front_next) {
        KASSERT(f->shadow == o);
        fronts++;
    }
    KASSERT(fronts == o->front_count);
    if (o->copy != NULL) {
        KASSERT(o->copy->shadow == o);
        KASSERT((o->copy->flags & VM_OBJ_PUSHED) != 0);
    }
    if ((o->flags & VM_OBJ_PUSHED) != 0) {
        KASSERT(o->shadow != NULL && o->shadow->copy == o);
    }
    vm_object_unlock(o);
}
