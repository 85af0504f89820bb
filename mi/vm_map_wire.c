/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_wire.c - hold the frames of a range, and let them go.
 *
 *   lock    check, clip; give each entry the object whose pages it holds
 *           mark the range TRANSITION
 *   unlock  fault page after page in, each wired as it comes
 *   lock    count the entries (or take back what was wired)
 *           unmark, wake who waited, merge
 *
 * An entry counts how often it was wired, a frame how many entries hold it:
 * one wiring an entry, however high its count.
 *
 * Which frame?  The one that the entry will go on showing.  Where a write
 * may come, that is a page of the entry's own object, so needs-copy is
 * resolved first, and pages are copied up.  A private mapping of a file
 * that may not be written is wired in place: its pages are the file's,
 * still shared.  If protect later allows writes, vm_map_rewire() exchanges
 * them.
 */
#include "vm_map_impl.h"

/*
 * Must e's pages be in its own object to be wired?  Below any object but a
 * pager's, a page may be replaced: a snapshot gets another frame when its
 * source changes.
 */
static bool
wire_copies_up(struct vm_map_entry *e)
{
    struct vm_object *object = vm_get(&e->object);
    uint32_t attr = vm_get(&e->attr);
    bool internal;

    if ((attr & VM_ATTR_NEEDS_COPY) == 0 || (attr & VM_PROT_WRITE) != 0) {
        return true;
    }
    vm_object_lock(object);
    internal = (object->flags & VM_OBJ_INTERNAL) != 0;
    vm_object_unlock(object);
    return internal;
}

static void
wire_mark(struct vm_map *map, struct vm_map_entry *first, vaddr_t end)
{
    vm_seq_begin(&map->seq);
    for (struct vm_map_entry *e = first; e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        vm_set(&e->attr, vm_get(&e->attr) | VM_ATTR_TRANSITION);
    }
    vm_seq_end(&map->seq);
}

/* Wire e's pages; *done is the first that is not. */
static int
wire_entry(struct vm_map *map, struct vm_map_entry *e, vaddr_t *done)
{
    bool copy_up = wire_copies_up(e);
    vaddr_t end = vm_get(&e->end);
    int error;

    for (vaddr_t va = vm_get(&e->start); va < end; va += VM_PAGE_SIZE) {
        *done = va;
        error = vm_fault_wire(map, va, copy_up);
        if (error != VM_OK) {
            return error;
        }
    }
    *done = end;
    return VM_OK;
}

/*
 * The map is not locked, but the entries of the range are in transition:
 * they stay, and so do the links between them.
 */
static int
wire_pages(struct vm_map *map, struct vm_map_entry *e, vaddr_t end,
    vaddr_t *done)
{
    int error = VM_OK;

    for (;;) {
        *done = vm_get(&e->end);
        if (e->wired_count == 0) {
            error = wire_entry(map, e, done);
        }
        if (error != VM_OK || *done >= end) {
            return error;
        }
        e = e->next;
    }
}

/* Pages of e below va lose the wiring that wire_pages() gave them. */
static void
wire_undo(struct vm_map_entry *e, vaddr_t va)
{
    vaddr_t end = vm_get(&e->end), start = vm_get(&e->start);

    end = va < end ? va : end;
    if (e->wired_count == 0 && start < end) {
        vm_object_unwire(vm_get(&e->object), vm_get(&e->pgno),
            (end - start) >> vm_page_shift);
    }
}

/* The transition is over, well or (done < end) not. */
static void
wire_finish(struct vm_map *map, struct vm_map_entry *first, vaddr_t end,
    bool ok)
{
    vm_seq_begin(&map->seq);
    for (struct vm_map_entry *e = first; e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        uint32_t attr = vm_get(&e->attr) & ~VM_ATTR_TRANSITION;

        if (ok) {
            e->wired_count++;
            attr |= VM_ATTR_WIRED;
        }
        vm_set(&e->attr, attr);
    }
    vm_seq_end(&map->seq);
    vm_map_settled(map);
}

/* Clip, and give every entry the object that it needs. */
static int
wire_prepare(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_entry **first)
{
    int error = vm_map_clip_range(map, start, end);

    *first = vm_map_tree_find(map, start);
    for (struct vm_map_entry *e = *first; error == VM_OK && e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        if (e->wired_count == 0) {
            error = vm_map_resolve(map, e, wire_copies_up(e));
        }
    }
    return error;
}

int
vm_map_wire(struct vm_map *map, vaddr_t start, vsize_t size)
{
    vaddr_t end = start + size, done;
    struct vm_map_entry *first;
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, false, &scan);

    if (error != VM_OK) {
        return error;
    }
    if ((scan.all & VM_PROT_READ) == 0) {
        error = VM_E_PROT;
    } else if (scan.wired_max == UINT16_MAX) {
        error = VM_E_BUSY;
    } else {
        error = wire_prepare(map, start, end, &first);
        if (error == VM_OK) {
            wire_mark(map, first, end);
            vm_map_unlock(map);
            error = wire_pages(map, first, end, &done);
            vm_map_lock(map);
            for (struct vm_map_entry *e = first; error != VM_OK &&
                e != NULL && vm_get(&e->start) < done; e = e->next) {
                wire_undo(e, done);
            }
            wire_finish(map, first, end, error == VM_OK);
        }
        vm_map_merge_range(map, start, end);
    }
    vm_map_unlock(map);
    return error;
}

/* Every entry of the range loses a wiring; clipped, map locked. */
static void
unwire_locked(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    struct vm_map_entry *first = vm_map_tree_find(map, start);

    vm_seq_begin(&map->seq);
    for (struct vm_map_entry *e = first; e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        if (e->wired_count == 1) {
            vm_set(&e->attr, vm_get(&e->attr) & ~VM_ATTR_WIRED);
        }
    }
    vm_seq_end(&map->seq);
    for (struct vm_map_entry *e = first; e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        if (e->wired_count > 0 && --e->wired_count == 0) {
            vm_object_unwire(vm_get(&e->object), vm_get(&e->pgno),
                vm_map_entry_pages(e));
        }
    }
    vm_map_merge_range(map, start, end);
}

int
vm_map_unwire(struct vm_map *map, vaddr_t start, vsize_t size)
{
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, false, &scan);

    if (error != VM_OK) {
        return error;
    }
    error = vm_map_clip_range(map, start, start + size);
    if (error == VM_OK) {
        unwire_locked(map, start, start + size);
    }
    vm_map_unlock(map);
    return error;
}

void
vm_map_unwire_mapped(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_entry *spare[2])
{
    struct vm_map_scan scan;

    if (vm_map_lock_range(map, start, end - start, true, &scan) == VM_OK) {
        vm_map_clip_spare(map, start, end, spare);
        unwire_locked(map, start, end);
        vm_map_unlock(map);
    }
}

/*
 * Put a front before e's object, as for a write, and wire its pages; then
 * let the old ones go.  Until it has succeeded e may not be written, so
 * nothing is in the front that the old object does not have, and taking
 * the front away again loses nothing.
 */
static void
rewire_set(struct vm_map *map, struct vm_map_entry *e,
    struct vm_object *object, vm_pgno_t pgno, uint32_t attr)
{
    vm_seq_begin(&map->seq);
    vm_set(&e->object, object);
    vm_set(&e->pgno, pgno);
    vm_set(&e->attr, attr);
    pmap_remove(map->pmap, vm_get(&e->start), vm_get(&e->end), NULL);
    vm_seq_end(&map->seq);
}

int
vm_map_rewire(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_object *old = vm_get(&e->object), *front;
    vm_pgno_t pgno = vm_get(&e->pgno), n = vm_map_entry_pages(e);
    uint32_t attr = vm_get(&e->attr);
    vaddr_t done;
    int error;

    KASSERT((attr & VM_ATTR_WIRED) != 0 && (attr & VM_PROT_WRITE) == 0);
    /* One reference for the front, one to go back to. */
    vm_object_ref(old, NULL);
    error = vm_object_shadow(old, pgno, n, map, &front);
    if (error != VM_OK) {
        vm_object_unref(old, NULL);
        return error;
    }
    /* It keeps the other reference: nothing of it can go meanwhile. */
    vm_object_unlock(old);
    rewire_set(map, e, front, 0,
        (attr & ~VM_ATTR_NEEDS_COPY) | VM_ATTR_TRANSITION);
    vm_map_unlock(map);
    error = wire_entry(map, e, &done);
    vm_map_lock(map);
    if (error == VM_OK) {
        rewire_set(map, e, front, 0, attr & ~VM_ATTR_NEEDS_COPY);
        vm_object_unwire(old, pgno, n);
        vm_object_unref(old, NULL);
    } else {
        vm_object_unwire(front, 0,
            (done - vm_get(&e->start)) >> vm_page_shift);
        rewire_set(map, e, old, pgno, attr);
        vm_object_unref(front, map);
    }
    vm_map_settled(map);
    return error;
}
