/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_move.c - the same memory elsewhere, more of it, none of it: what
 * mremap, MADV_DONTNEED and mincore need.
 *
 * Since translations are a cache, memory moves by moving its entries: their
 * translations are forgotten and come back by faults at the new address.
 * No page is touched, whatever the size.
 */
#include "vm_map_impl.h"
#include "vm_object_impl.h"

/*
 * What a private entry shows where nobody has written: the pager's object,
 * the shared object or snapshot at the end of its chain, with a reference
 * (of no owner), and *pgno there; NULL: zeros.
 */
static struct vm_object *
move_bottom(struct vm_object *o, vm_pgno_t *pgno)
{
    struct vm_object *back;

    if (o == NULL) {
        return NULL;
    }
    vm_object_lock(o);
    while ((o->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED |
        VM_OBJ_SNAPSHOT)) == VM_OBJ_INTERNAL) {
        back = o->shadow;
        if (back == NULL) {
            vm_object_unlock(o);
            return NULL;
        }
        *pgno += o->shadow_pgno;
        vm_object_lock(back);
        vm_object_unlock(o);
        o = back;
    }
    vm_object_ref_locked(o, NULL);
    vm_object_unlock(o);
    return o;
}

/* An entry that was unlinked, at another address. */
static void
move_entry(struct vm_map *map, struct vm_map_entry *e, vaddr_t delta)
{
    link_set(&e->left, NULL);
    link_set(&e->right, NULL);
    e->parent = NULL;
    e->gap = 0;
    e->height = 1;
    vm_set(&e->start, vm_get(&e->start) + delta);
    vm_set(&e->end, vm_get(&e->end) + delta);
    /* A server knows what is missing by its address. */
    vm_set(&e->attr, vm_get(&e->attr) & VM_ATTR_NO_SERVER);
    vm_map_tree_insert(map, e);
}

/* Nothing fails from here; what stood at dst comes back as a list. */
static struct vm_map_entry *
move_commit(struct vm_map *map, vaddr_t src, vsize_t size, vaddr_t dst)
{
    struct vm_map_entry *list, *dead, *next;

    vm_seq_begin(&map->seq);
    dead = vm_map_unlink_range(map, dst, dst + size);
    if (dead != NULL) {
        pmap_remove(map->pmap, dst, dst + size, NULL);
    }
    list = vm_map_unlink_range(map, src, src + size);
    pmap_remove(map->pmap, src, src + size, NULL);
    for (; list != NULL; list = next) {
        next = list->next;
        move_entry(map, list, dst - src);
    }
    vm_seq_end(&map->seq);
    return dead;
}

int
vm_map_move(struct vm_map *map, vaddr_t src, vsize_t size, vaddr_t dst)
{
    struct vm_map_entry *dead;
    struct vm_map_scan scan;
    int error = vm_map_range_check(map, dst, size);

    if (error != VM_OK) {
        return error;
    }
    for (;;) {
        error = vm_map_lock_range(map, src, size, false, &scan);
        if (error != VM_OK) {
            return error;
        }
        if (dst < src + size && src < dst + size) {
            vm_map_unlock(map);
            return VM_E_INVAL;
        }
        error = vm_map_range_check(map, dst, size);
        if (error != VM_OK) {
            vm_map_unlock(map);
            return error;
        }
        (void)!vm_map_scan(map, dst, dst + size, true, &scan);
        if ((scan.any & VM_ATTR_TRANSITION) == 0) {
            break;
        }
        (void)vm_map_wait(map, false);
        vm_map_unlock(map);
    }
    error = vm_map_clip_range(map, src, src + size);
    if (error == VM_OK) {
        error = vm_map_clip_range(map, dst, dst + size);
    }
    if (error != VM_OK) {
        vm_map_merge_range(map, src, src + size);
        vm_map_unlock(map);
        return error;
    }
    dead = move_commit(map, src, size, dst);
    vm_map_merge_range(map, dst, dst + size);
    vm_map_unlock(map);
    vm_map_dispose(map, dead);
    return VM_OK;
}

/* The object of what follows e, and *pgno, *attr; VM_OK: it needs an entry. */
static struct vm_object *
extend_object(struct vm_map *map, struct vm_map_entry *e, vm_pgno_t *pgno,
    uint32_t *attr)
{
    struct vm_object *o = vm_get(&e->object);

    *attr = vm_get(&e->attr) & VM_ATTR_POLICY;
    *pgno = vm_map_entry_pgno(e, vm_get(&e->end));
    if ((vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) == 0 &&
        vm_map_entry_is_shared(e)) {
        vm_object_ref(o, map);
        return o;
    }
    o = (*attr & VM_ATTR_COPIED) != 0 ? NULL : move_bottom(o, pgno);
    if (o == NULL) {
        *pgno = 0;
        *attr &= ~VM_ATTR_COPIED;
    } else {
        *attr |= VM_ATTR_NEEDS_COPY;
    }
    return o;
}

static int
extend_commit(struct vm_map *map, struct vm_map_entry *e, vsize_t size)
{
    vaddr_t end = vm_get(&e->end);
    struct vm_object *object = vm_get(&e->object);
    struct vm_map_entry *more;
    vm_pgno_t pgno;
    uint32_t attr;

    if (e->wired_count == 0 && (object == NULL ||
        vm_object_grow(object, vm_map_entry_pgno(e, end),
            size >> vm_page_shift, map))) {
        vm_seq_begin(&map->seq);
        vm_set(&e->end, end + size);
        map->size += size;
        vm_map_tree_moved(map, e);
        vm_seq_end(&map->seq);
        return VM_OK;
    }
    object = extend_object(map, e, &pgno, &attr);
    more = vm_map_entry_alloc(end, end + size, object, pgno, attr);
    if (more == NULL) {
        if (object != NULL) {
            vm_object_unref(object, map);
        }
        return VM_E_NOMEM;
    }
    vm_seq_begin(&map->seq);
    vm_map_tree_insert(map, more);
    vm_seq_end(&map->seq);
    return VM_OK;
}

int
vm_map_extend(struct vm_map *map, vaddr_t end, vsize_t size)
{
    struct vm_map_scan scan;
    struct vm_map_entry *e;
    int error;

    vm_map_lock(map);
    for (;;) {
        error = vm_map_range_check(map, end, size);
        if (error != VM_OK) {
            break;
        }
        e = vm_map_tree_find(map, end - 1);
        if (e == NULL || vm_get(&e->end) != end) {
            error = VM_E_ADDRESS;
            break;
        }
        (void)!vm_map_scan(map, end, end + size, true, &scan);
        if (scan.first != NULL) {
            error = VM_E_NOSPACE;
            break;
        }
        if ((vm_get(&e->attr) & VM_ATTR_TRANSITION) == 0) {
            error = extend_commit(map, e, size);
            vm_map_merge_range(map, end, end + size);
            break;
        }
        (void)vm_map_wait(map, false);
    }
    vm_map_unlock(map);
    return error;
}

/* e's memory is again what it was when it was mapped. */
static void
reset_entry(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_object *was = vm_get(&e->object), *object;
    vm_pgno_t was_pgno = vm_get(&e->pgno), pgno = was_pgno;
    uint32_t attr = vm_get(&e->attr);
    struct vm_gone gone;

    if (was == NULL || ((attr & VM_ATTR_NEEDS_COPY) == 0 &&
        vm_map_entry_is_shared(e))) {
        return;
    }
    object = (attr & VM_ATTR_COPIED) != 0 ? NULL : move_bottom(was, &pgno);
    if (object == was) {
        vm_object_unref(object, NULL);
        return;
    }
    vm_seq_begin(&map->seq);
    vm_set(&e->object, object);
    vm_set(&e->pgno, object == NULL ? 0 : pgno);
    vm_set(&e->attr, object == NULL ?
        attr & ~(VM_ATTR_NEEDS_COPY | VM_ATTR_COPIED) :
        attr | VM_ATTR_NEEDS_COPY);
    pmap_remove(map->pmap, vm_get(&e->start), vm_get(&e->end), NULL);
    vm_seq_end(&map->seq);
    gone = (struct vm_gone){
        .pmap = map->pmap,
        .start = vm_get(&e->start), .end = vm_get(&e->end)
    };
    vm_object_leave(was, was_pgno, vm_map_entry_pages(e), map, &gone);
}

int
vm_map_reset(struct vm_map *map, vaddr_t start, vsize_t size)
{
    vaddr_t end = start + size;
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, false, &scan);

    if (error != VM_OK) {
        return error;
    }
    error = (scan.any & VM_ATTR_WIRED) != 0 ? VM_E_BUSY :
        vm_map_clip_range(map, start, end);
    if (error == VM_OK) {
        for (struct vm_map_entry *e = vm_map_tree_find(map, start);
            e != NULL && vm_get(&e->start) < end; e = e->next) {
            reset_entry(map, e);
        }
        vm_map_merge_range(map, start, end);
    }
    vm_map_unlock(map);
    return error;
}

int
vm_map_resident(struct vm_map *map, vaddr_t start, vsize_t size,
    uint8_t *vec, uint64_t *count)
{
    vaddr_t end = start + size;
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, vec == NULL, &scan);
    uint64_t n = 0;

    if (error != VM_OK) {
        return error;
    }
    for (struct vm_map_entry *e = scan.first; e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        vaddr_t a = vm_get(&e->start), b = vm_get(&e->end);
        struct vm_object *o = vm_get(&e->object);

        a = a > start ? a : start;
        b = b < end ? b : end;
        if (vec == NULL) {
            n += o == NULL ? 0 : vm_object_resident(o,
                vm_map_entry_pgno(e, a), (b - a) >> vm_page_shift);
            continue;
        }
        for (; a < b; a += VM_PAGE_SIZE) {
            bool in = o != NULL &&
                vm_object_resident(o, vm_map_entry_pgno(e, a), 1) != 0;

            n += in;
            vec[(a - start) >> vm_page_shift] = in;
        }
    }
    vm_map_unlock(map);
    *count = n;
    return VM_OK;
}
