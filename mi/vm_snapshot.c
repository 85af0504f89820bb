/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_snapshot.c - virtual copies of memory that others can write.
 *
 * A private anonymous object is copied by marking both sides needs-copy.
 * That cannot work for a file or for shared memory (the local-RPC case: the
 * sender has no shadow object): its writers write the object itself.  So
 * the copy is an object of its own, and the source owes it every page:
 *
 *     source ----copy----> C2 (newest snapshot)
 *        ^                 |  ^
 *        +-----shadow------+  +--shadow-- C1 (older)
 *
 * Before a page of the source changes - by a mapping, by a write from
 * within, by its pager's flush - the old contents are pushed into C2 if
 * C2's chain does not have it yet, and every translation to the old page is
 * removed, since some resolve through C2.  C1 sees the push through C2.
 * Write rights to the source are revoked when a snapshot is made, so each
 * first write comes by here.  A page that is not resident when the copy is
 * made is brought in by the write fault, and pushed before the write.
 *
 * Locks: C2 is a front of the source, and fronts go first; a push holds
 * the source, so it tries C2's lock and gives up (VM_E_RETRY) if it fails.
 */
#include "vm_object_impl.h"

/*
 * Does copy look through its source at pgno?  Its own page number in *k.
 */
static bool
vm_snapshot_lacks(struct vm_object *copy, vm_pgno_t pgno, vm_pgno_t *k)
{
    *k = pgno - copy->shadow_pgno;
    return pgno >= copy->shadow_pgno && *k < copy->npages &&
        vm_radix_lookup(&copy->pages, *k) == VM_SLOT_EMPTY;
}

int
vm_object_needs_push(struct vm_object *o, vm_pgno_t pgno, bool *needs)
{
    struct vm_object *copy = o->copy;
    vm_pgno_t k;

    *needs = false;
    if (copy == NULL) {
        return VM_OK;
    }
    if (!vm_mutex_trylock(&copy->lock)) {
        return VM_E_RETRY;
    }
    *needs = vm_snapshot_lacks(copy, pgno, &k);
    vm_object_unlock(copy);
    return VM_OK;
}

int
vm_object_push(struct vm_object *o, vm_pgno_t pgno, struct vm_page *p)
{
    struct vm_object *copy = o->copy;
    struct vm_page *new;
    vm_pgno_t k;

    if (copy == NULL || VM_MUTANT(NO_PUSH)) {
        return VM_OK;
    }
    if (!vm_mutex_trylock(&copy->lock)) {
        return VM_E_RETRY;
    }
    if (!vm_snapshot_lacks(copy, pgno, &k)) {
        vm_object_unlock(copy);
        return VM_OK;
    }
    new = vm_object_new_page(copy, k, VM_PG_MODIFIED, VM_ALLOC_USER);
    if (new == NULL) {
        vm_object_unlock(copy);
        return VM_E_NOMEM;
    }
    vm_page_copy(new, p);
    vm_stat_inc(VM_STAT_COPIES);
    vm_stat_inc(VM_STAT_PUSHES);
    /* Who reads p as the snapshot's must come back and find the copy. */
    pmap_page_protect(p, VM_PROT_NONE, NULL);
    vm_object_unlock(copy);
    return VM_OK;
}

void
vm_object_wait_copy(struct vm_object *o)
{
    struct vm_object *copy = o->copy;

    if (copy == NULL) {
        return;
    }
    vm_object_unlock(o);
    /*
     * In the right order, and without a reference: it may be dead by
     * now, but objects are type-stable.
     */
    vm_object_lock(copy);
    vm_object_unlock(copy);
    vm_object_lock(o);
}

/* Write rights to any page of o go. */
static void
vm_snapshot_revoke(struct vm_object *o)
{
    struct pmap_batch batch;
    vm_pgno_t key = 0;
    vm_slot_t slot;

    pmap_batch_begin(&batch);
    while (vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        /* Nobody was ever granted a write to a page not marked. */
        if (p != NULL && (vm_page_flags(p) & VM_PG_MODIFIED) != 0) {
            pmap_page_protect(p, VM_PROT_NO_WRITE, &batch);
        }
        key++;
    }
    pmap_batch_commit(&batch);
}

/*
 * Lock the newest snapshot of o (if any) and then o, in that order, which
 * is the wrong way round from where we come.
 */
static struct vm_object *
vm_snapshot_lock(struct vm_object *o)
{
    vm_object_lock(o);
    while (o->copy != NULL && !vm_mutex_trylock(&o->copy->lock)) {
        vm_object_wait_copy(o);
    }
    return o->copy;
}

/* Put new between o and its former newest snapshot; all locked. */
static void
vm_snapshot_insert(struct vm_object *o, struct vm_object *old,
    struct vm_object *new)
{
    new->shadow = o;
    vm_object_link_front(o, new);
    o->ref_count++;
    if (old != NULL) {
        vm_object_unlink_front(o, old);
        vm_object_drop_locked(o, NULL);
        vm_object_link_front(new, old);
        new->ref_count++;
        old->shadow = new;
        old->flags &= ~VM_OBJ_PUSHED;
    }
    o->copy = new;
}

int
vm_object_snapshot(struct vm_object *o, struct vm_object **out)
{
    struct vm_object *new = vm_object_alloc(0, VM_OBJ_INTERNAL |
        VM_OBJ_SNAPSHOT | VM_OBJ_PUSHED, NULL);
    struct vm_object *old;

    if (new == NULL) {
        return VM_E_NOMEM;
    }
    old = vm_snapshot_lock(o);
    if (old != NULL && (old->flags & (VM_OBJ_SNAPSHOT | VM_OBJ_USED)) ==
        VM_OBJ_SNAPSHOT && old->npages == o->npages &&
        old->ref_count > 0) {
        /* Nothing was written since: the same moment serves twice. */
        vm_object_ref_locked(old, NULL);
        vm_object_drop_locked(new, NULL);
        *out = old;
    } else {
        new->npages = o->npages;
        vm_snapshot_insert(o, old, new);
        vm_snapshot_revoke(o);
        vm_stat_inc(VM_STAT_SNAPSHOTS);
        *out = new;
    }
    vm_object_unlock(o);
    if (old != NULL) {
        vm_object_unlock(old);
    }
    vm_object_unlock(new);
    if (*out == old) {
        vm_object_release(new);
    }
    return VM_OK;
}
