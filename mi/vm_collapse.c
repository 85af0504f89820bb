/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_collapse.c - keep shadow chains short.
 *
 *   merge    front -> back -> rest      only front references back:
 *            front ---------> rest      back's pages move into front
 *
 *   bypass   front -> back -> rest      others reference back, but front
 *            front ---------> rest      has all that back could give it
 *
 * Both are what bounds depth and memory under endless forking.  Neither
 * needs memory of its own (moving a page into a tree may need a node; if
 * there is none, the rest stays where it is, correct but longer) nor the
 * pager: a page in swap is a slot number, which moves like a page, and so
 * does a page that is on its way in: who waits for it waits for the frame,
 * and looks again (NetBSD tech-kern, November 1995, on the "swap leak" of
 * Mach 2.5 and 3.0).  An external pager's object ends a chain for good.
 *
 * Neither for a private mapping of shared memory (of a file): it goes on to
 * show what is written there until it is written to itself.
 *
 * If back is the newest snapshot of rest, front takes that office over:
 * rest pushes into front from then on.
 */
#include "vm_object_impl.h"

/* Can nothing of back be seen by anyone but front? */
static bool
vm_collapse_can_merge(struct vm_object *back)
{
    return back->ref_count == 1 &&
        (back->flags & VM_OBJ_INTERNAL) != 0 && back->paging == 0;
}

/* Has front a newer one of its own? */
static bool
vm_collapse_has(struct vm_object *front, vm_pgno_t k)
{
    vm_slot_t slot = vm_radix_lookup(&front->pages, k);

    if (VM_MUTANT(COLLAPSE_DEAD) && slot != VM_SLOT_EMPTY) {
        vm_object_free_slot(front, k, slot);
        return false;
    }
    return slot != VM_SLOT_EMPTY;
}

/* Move or free every page of back; false if it had to stop. */
static bool
vm_collapse_pages(struct vm_object *front, struct vm_object *back)
{
    vm_pgno_t base = front->shadow_pgno, key = 0;
    bool lose = VM_MUTANT(COLLAPSE_LOSES);
    vm_slot_t slot;

    while (vm_radix_next(&back->pages, &key, &slot)) {
        vm_pgno_t k = key - base;

        if (key < base || k >= front->npages || lose ||
            vm_collapse_has(front, k)) {
            vm_object_free_slot(back, key, slot);
            lose = false;
        } else if (!vm_object_move_page(back, key, front, k)) {
            return false;
        }
        key++;
    }
    return true;
}

/* front steps over back to back's shadow; both locked. */
static void
vm_collapse_relink(struct vm_object *front, struct vm_object *back)
{
    struct vm_object *rest = back->shadow;

    if (rest != NULL) {
        vm_object_lock(rest);
        vm_object_link_front(rest, front);
        rest->ref_count++;
    }
    front->shadow = rest;
    front->shadow_pgno = rest == NULL ? 0 :
        front->shadow_pgno + back->shadow_pgno;
    if (rest != NULL) {
        vm_object_unlock(rest);
    }
}

/* back, locked and empty, is nobody's any more. */
static void
vm_collapse_retire(struct vm_object *front, struct vm_object *back)
{
    struct vm_object *rest = back->shadow;

    KASSERT(back->pages.count == 0 && back->ref_count == 0);
    if (rest != NULL) {
        vm_object_lock(rest);
        vm_object_unlink_front(rest, back);
        if (rest->copy == back) {
            rest->copy = front;
            front->flags |= VM_OBJ_PUSHED;
        }
        rest->ref_count--;
        KASSERT(rest->ref_count > 0);
        vm_object_unlock(rest);
    }
    back->shadow = NULL;
    back->flags |= VM_OBJ_DEAD;
    vm_object_unlock(back);
    vm_object_release(back);
}

static bool
vm_collapse_merge(struct vm_object *front, struct vm_object *back)
{
    if (!vm_collapse_pages(front, back)) {
        vm_object_unlock(back);
        return false;
    }
    vm_object_unlink_front(back, front);
    vm_object_drop_locked(back, NULL);
    if (back->copy == front) {
        /* It was back's snapshot; nobody pushes into it any more. */
        front->flags &= ~VM_OBJ_PUSHED;
    }
    vm_collapse_relink(front, back);
    vm_collapse_retire(front, back);
    vm_stat_inc(VM_STAT_COLLAPSES);
    return true;
}

/* Has front, in its window, everything that back has? */
static bool
vm_collapse_can_bypass(struct vm_object *front, struct vm_object *back)
{
    vm_pgno_t key = front->shadow_pgno;
    vm_slot_t slot;

    if ((back->flags & VM_OBJ_INTERNAL) == 0 ||
        (back->flags & VM_OBJ_PUSHED) != 0) {
        return false;
    }
    /* The usual case, decided without looking at pages. */
    if (front->npages == back->npages &&
        front->pages.count < back->pages.count) {
        return false;
    }
    while (vm_radix_next(&back->pages, &key, &slot) &&
        key < front->shadow_pgno + front->npages) {
        if (vm_radix_lookup(&front->pages, key - front->shadow_pgno) ==
            VM_SLOT_EMPTY) {
            return false;
        }
        key++;
    }
    return true;
}

static void
vm_collapse_bypass(struct vm_object *front, struct vm_object *back)
{
    /* First out of the one list of fronts, then into the other. */
    vm_object_unlink_front(back, front);
    vm_collapse_relink(front, back);
    if (!VM_MUTANT(BYPASS_LEAK)) {
        vm_object_drop_locked(back, NULL);
    }
    KASSERT(back->ref_count > 0);
    if (back->copy == front) {
        /* Its snapshot has all that it will ever need of it. */
        back->copy = NULL;
        front->flags &= ~VM_OBJ_PUSHED;
    }
    vm_object_unlock(back);
    vm_stat_inc(VM_STAT_BYPASSES);
}

/*
 * A private mapping of shared memory that is no snapshot: what is written to
 * back later is seen through front, and vm_map_reset() goes back to it.
 */
static bool
vm_collapse_is_private(const struct vm_object *front,
    const struct vm_object *back)
{
    return (back->flags & VM_OBJ_SHARED) != 0 && back->copy != front;
}

void
vm_object_collapse(struct vm_object *front)
{
    KASSERT(vm_mutex_is_locked(&front->lock));
    while (front->shadow != NULL) {
        struct vm_object *back = front->shadow;

        vm_object_lock(back);
        if (vm_collapse_is_private(front, back)) {
            vm_object_unlock(back);
            return;
        }
        if (vm_collapse_can_merge(back)) {
            if (!vm_collapse_merge(front, back)) {
                return;
            }
        } else if (back->ref_count > 1 &&
            vm_collapse_can_bypass(front, back)) {
            vm_collapse_bypass(front, back);
        } else {
            vm_object_unlock(back);
            return;
        }
    }
}
