/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_ops.c - what a program asks of its address space: allocate, map,
 * deallocate, protect, inherit.  vm_map_impl.h shows how an operation on a
 * range is made; vm_map.h has the errors and their order.
 *
 * New anonymous memory costs no object: its entry has none until it is
 * touched, and where its neighbour below is anonymous memory of the same
 * attributes the neighbour just grows (a heap is one entry, not one for
 * each brk).
 */
#include "vm_map_impl.h"

/* VM_E_INVAL, VM_E_ADDRESS, VM_E_PROT. */
static int
enter_check(const struct vm_map *map, const struct vm_map_args *a)
{
    int error;

    if ((a->prot & ~VM_PROT_ALL) != 0 || (a->max & ~VM_PROT_ALL) != 0 ||
        (unsigned)a->inherit > VM_INHERIT_NONE ||
        (unsigned)a->mode > VM_MAP_COPY ||
        (a->align & (a->align - 1)) != 0 || a->size == 0 ||
        !vm_page_aligned(a->size)) {
        return VM_E_INVAL;
    }
    if (a->object != NULL &&
        a->pgno + (a->size >> vm_page_shift) < a->pgno) {
        return VM_E_INVAL;
    }
    if (!a->anywhere) {
        if (a->align != 0 && (a->addr & (a->align - 1)) != 0) {
            return VM_E_INVAL;
        }
        error = vm_map_range_check(map, a->addr, a->size);
        if (error != VM_OK) {
            return error;
        }
    }
    return (a->prot & ~a->max) != 0 ? VM_E_PROT : VM_OK;
}

/*
 * Where it goes: VM_E_NOSPACE.  With overwrite waits for transitions; *old
 * says whether something is there to be replaced; if not, *next is the
 * entry behind it.
 */
static int
enter_place(struct vm_map *map, const struct vm_map_args *a, vaddr_t *start,
    bool *old, struct vm_map_entry **next)
{
    vsize_t align = a->align > VM_PAGE_SIZE ? a->align : VM_PAGE_SIZE;
    struct vm_map_scan scan;
    int error;

    *old = false;
    if (a->anywhere) {
        return vm_map_tree_hole(map, vm_trunc_page(a->addr), a->size,
            align, start, next);
    }
    *start = a->addr;
    for (;;) {
        (void)!vm_map_scan(map, a->addr, a->addr + a->size, true, &scan);
        if (scan.first == NULL) {
            *next = vm_map_tree_find(map, a->addr);
            return VM_OK;
        }
        if (!a->overwrite) {
            return VM_E_NOSPACE;
        }
        *old = true;
        if ((scan.any & VM_ATTR_TRANSITION) == 0) {
            return VM_OK;
        }
        (void)vm_map_wait(map, false);
        *old = false;
        error = vm_map_range_check(map, a->addr, a->size);
        if (error != VM_OK) {
            return error;
        }
    }
}

static inline bool
is_like(struct vm_map_entry *a, struct vm_map_entry *b)
{
    return a != NULL && b != NULL && vm_get(&a->end) == vm_get(&b->start) &&
        vm_get(&a->attr) == vm_get(&b->attr);
}

/* e is new or has changed: merge it with its neighbours, if it can be. */
static inline void
merge_around(struct vm_map *map, struct vm_map_entry *e)
{
    if (is_like(e->prev, e) || is_like(e, e->next)) {
        vm_map_merge_range(map, vm_get(&e->start), vm_get(&e->end));
    }
}

/* Anonymous memory after more of the same: the entry below grows. */
static bool
enter_extend(struct vm_map *map, struct vm_map_entry *next, vaddr_t start,
    vaddr_t end, uint32_t attr)
{
    struct vm_map_entry *e = next != NULL ? next->prev : map->last;
    struct vm_object *object;

    if (e == NULL || vm_get(&e->end) != start ||
        vm_get(&e->attr) != attr) {
        return false;
    }
    object = vm_get(&e->object);
    if (object != NULL && !vm_object_grow(object,
            vm_map_entry_pgno(e, start), (end - start) >> vm_page_shift,
            map)) {
        return false;
    }
    vm_seq_begin(&map->seq);
    vm_set(&e->end, end);
    map->size += end - start;
    vm_map_tree_moved(map, e);
    vm_seq_end(&map->seq);
    return true;
}

/* The reference that the new entry has, and what it is to. */
static int
enter_object(const struct vm_map_args *a, struct vm_object **object,
    uint32_t *attr)
{
    *object = a->object;
    if (a->object == NULL) {
        return VM_OK;
    }
    /* Whoever gave it to us may give it to others. */
    vm_object_set_shared(a->object);
    if (a->mode != VM_MAP_SHARED) {
        *attr |= VM_ATTR_NEEDS_COPY;
    }
    if (a->mode == VM_MAP_COPY) {
        return vm_object_snapshot(a->object, object);
    }
    vm_object_ref(a->object, NULL);
    return VM_OK;
}

static int
enter_commit(struct vm_map *map, const struct vm_map_args *a, vaddr_t start,
    bool old, struct vm_map_entry *next, struct vm_map_entry **dead)
{
    uint32_t attr = VM_ATTR(a->prot, a->max, a->inherit);
    vaddr_t end = start + a->size;
    struct vm_object *object;
    struct vm_map_entry *e;
    int error;

    if (a->object == NULL && !old &&
        enter_extend(map, next, start, end, attr)) {
        merge_around(map, next != NULL ? next->prev : map->last);
        return VM_OK;
    }
    error = enter_object(a, &object, &attr);
    if (error != VM_OK) {
        return error;
    }
    e = vm_map_entry_alloc(start, end, object,
        object != NULL ? a->pgno : 0, attr);
    error = e == NULL ? VM_E_NOMEM : VM_OK;
    if (error == VM_OK && old) {
        error = vm_map_clip_range(map, start, end);
    }
    if (error != VM_OK) {
        if (e != NULL) {
            vm_map_entry_free(e);
        }
        if (object != NULL) {
            vm_object_unref(object, NULL);
        }
        return error;
    }
    vm_seq_begin(&map->seq);
    if (old) {
        *dead = vm_map_unlink_range(map, start, end);
        pmap_remove(map->pmap, start, end, NULL);
        next = vm_map_tree_find(map, start);
    }
    vm_map_tree_insert_before(map, e, next);
    vm_seq_end(&map->seq);
    merge_around(map, e);
    return VM_OK;
}

int
vm_map_enter(struct vm_map *map, const struct vm_map_args *args,
    vaddr_t *addr)
{
    struct vm_map_entry *dead = NULL, *next = NULL;
    vaddr_t start = 0;
    bool old = false;
    int error;

    vm_map_lock(map);
    error = enter_check(map, args);
    if (error == VM_OK) {
        error = enter_place(map, args, &start, &old, &next);
    }
    if (error == VM_OK) {
        error = enter_commit(map, args, start, old, next, &dead);
    }
    if (error == VM_OK) {
        *addr = start;
    }
    vm_map_unlock(map);
    if (dead != NULL) {
        vm_map_dispose(map, dead);
    }
    return error;
}

int
vm_map_allocate(struct vm_map *map, vaddr_t *addr, vsize_t size,
    bool anywhere)
{
    struct vm_map_args args = {
        .addr = *addr,
        .size = size,
        .anywhere = anywhere,
        .prot = VM_PROT_READ | VM_PROT_WRITE,
        .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY,
    };

    return vm_map_enter(map, &args, addr);
}

/*
 * What is common: all of it is one entry's.  That, with the map locked; or
 * NULL, not locked, for whatever reason.
 */
static inline struct vm_map_entry *
lock_entry(struct vm_map *map, vaddr_t start, vsize_t size)
{
    struct vm_map_entry *e;

    vm_mutex_lock(&map->lock);
    if (vm_map_range_check(map, start, size) == VM_OK) {
        e = vm_get(&map->hint);
        if (e == NULL || vm_get(&e->map) != map || start -
            vm_get(&e->start) >= vm_get(&e->end) - vm_get(&e->start)) {
            e = vm_map_tree_find(map, start);
            if (e != NULL) {
                link_set(&map->hint, e);
            }
        }
        if (e != NULL && vm_get(&e->start) <= start &&
            vm_get(&e->end) - start >= size &&
            (vm_get(&e->attr) & VM_ATTR_TRANSITION) == 0) {
            return e;
        }
    }
    vm_map_unlock(map);
    return NULL;
}

/* [start, end) goes: of whole entries, or of e alone.  Unlocks the map. */
static inline int
deallocate_commit(struct vm_map *map, struct vm_map_entry *e, vaddr_t start,
    vaddr_t end)
{
    struct vm_map_entry *dead = e;
    vaddr_t revoke = end;
    struct pmap_batch late;

    if (VM_MUTANT(RANGE_END)) {
        revoke -= VM_PAGE_SIZE;
    }
    if (VM_MUTANT(BATCH_LATE)) {
        pmap_batch_begin(&late);
    }
    vm_seq_begin(&map->seq);
    if (e != NULL) {
        vm_map_tree_remove(map, e);
        e->next = NULL;
    } else {
        dead = vm_map_unlink_range(map, start, end);
    }
    if (revoke > start) {
        pmap_remove(map->pmap, start, revoke,
            VM_MUTANT(BATCH_LATE) ? &late : NULL);
    }
    vm_seq_end(&map->seq);
    vm_map_unlock(map);
    vm_map_dispose(map, dead);
    if (VM_MUTANT(BATCH_LATE)) {
        pmap_batch_commit(&late);
    }
    return VM_OK;
}

/* vm_map_deallocate() of anything. */
static __attribute__((noinline)) int
deallocate_range(struct vm_map *map, vaddr_t start, vsize_t size)
{
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, true, &scan);

    if (error != VM_OK) {
        return error;
    }
    if (scan.first == NULL) {
        vm_map_unlock(map);
        return VM_OK;
    }
    error = vm_map_clip_range(map, start, start + size);
    if (error != VM_OK) {
        vm_map_unlock(map);
        return error;
    }
    return deallocate_commit(map, NULL, start, start + size);
}

int
vm_map_deallocate(struct vm_map *map, vaddr_t start, vsize_t size)
{
    struct vm_map_entry *e = lock_entry(map, start, size);

    if (e != NULL && vm_get(&e->start) == start &&
        vm_get(&e->end) - start == size) {
        return deallocate_commit(map, e, start, start + size);
    }
    if (e != NULL) {
        vm_map_unlock(map);
    }
    return deallocate_range(map, start, size);
}

/* attr after vm_map_protect(). */
static uint32_t
protect_attr(uint32_t attr, vm_prot_t prot, bool set_max)
{
    vm_prot_t now = set_max ? VM_ATTR_PROT(attr) & prot : prot;
    vm_prot_t max = set_max ? prot : VM_ATTR_MAX(attr);

    return (attr & ~0x3fu) | now | max << 3;
}

/* Revoke what a range had and may have no more; sequence begun. */
static void
protect_revoke(struct vm_map *map, vaddr_t start, vaddr_t end, vm_prot_t was,
    vm_prot_t now, struct pmap_batch *batch)
{
    vm_prot_t lost = was & ~now;

    if (was != VM_PROT_NONE && now == VM_PROT_NONE) {
        pmap_remove(map->pmap, start, end, batch);
    } else if ((lost & (VM_PROT_WRITE | VM_PROT_EXEC)) != 0) {
        /* What is still allowed to write faults once more for it. */
        pmap_protect(map->pmap, start, end,
            VM_PROT_READ | (now & VM_PROT_EXEC), batch);
    }
}

static void
protect_commit(struct vm_map *map, vaddr_t start, vaddr_t end,
    vm_prot_t prot, bool set_max)
{
    struct pmap_batch batch;

    vm_seq_begin(&map->seq);
    pmap_batch_begin(&batch);
    for (struct vm_map_entry *e = vm_map_tree_find(map, start);
        e != NULL && vm_get(&e->start) < end; e = e->next) {
        uint32_t was = vm_get(&e->attr);
        uint32_t now = protect_attr(was, prot, set_max);

        vm_set(&e->attr, now);
        if (!VM_MUTANT(PROTECT_LAST) || vm_get(&e->end) < end) {
            protect_revoke(map, vm_get(&e->start), vm_get(&e->end),
                VM_ATTR_PROT(was), VM_ATTR_PROT(now), &batch);
        }
    }
    pmap_batch_commit(&batch);
    vm_seq_end(&map->seq);
}

/*
 * The page between two entries of the same memory changes sides: upper, or
 * lower, loses [start, end) to the other.
 */
static void
protect_shift(struct vm_map_entry *lower, struct vm_map_entry *upper,
    vaddr_t at)
{
    vaddr_t start = vm_get(&upper->start);
    vm_pgno_t pgno = vm_get(&upper->pgno);

    if (vm_get(&upper->object) != NULL) {
        /* It moves either way. */
        vm_set(&upper->pgno, at >= start ?
            pgno + ((at - start) >> vm_page_shift) :
            pgno - ((start - at) >> vm_page_shift));
    }
    vm_set(&lower->end, at);
    vm_set(&upper->start, at);
}

/* Is it e's neighbour (or NULL), and would it have what e gives it? */
static inline bool
protect_takes(struct vm_map_entry *lower, struct vm_map_entry *upper,
    struct vm_map_entry *taker, uint32_t attr)
{
    return taker != NULL && vm_get(&taker->attr) == attr &&
        vm_map_entry_continues(lower, upper);
}

/*
 * What is common: one entry has it all, and changes as a whole or has at
 * its edge what its neighbour is already.  Nothing is allocated, and no
 * tree changes since no hole does.  VM_E_RETRY: nothing has happened.
 */
static int
protect_entry(struct vm_map *map, struct vm_map_entry *e, vaddr_t start,
    vaddr_t end, vm_prot_t prot, bool set_max)
{
    uint32_t was = vm_get(&e->attr), now = protect_attr(was, prot, set_max);
    bool low = vm_get(&e->start) == start, high = vm_get(&e->end) == end;
    bool down = !high && low && protect_takes(e->prev, e, e->prev, now);
    bool up = !low && high && protect_takes(e, e->next, e->next, now);

    if ((prot & ~VM_ATTR_MAX(was)) != 0 && !VM_MUTANT(MAX_IGNORED)) {
        return VM_E_PROT;
    }
    if (e->wired_count != 0 || !((low && high) || down || up)) {
        return VM_E_RETRY;
    }
    vm_seq_begin(&map->seq);
    if (down) {
        protect_shift(e->prev, e, end);
    } else if (up) {
        protect_shift(e, e->next, start);
    } else {
        vm_set(&e->attr, now);
    }
    if (!VM_MUTANT(PROTECT_LAST)) {
        protect_revoke(map, start, end, VM_ATTR_PROT(was),
            VM_ATTR_PROT(now), NULL);
    }
    vm_seq_end(&map->seq);
    if (low && high) {
        merge_around(map, e);
    }
    return VM_OK;
}

/* An entry in range that is wired in place and is about to gain WRITE. */
static struct vm_map_entry *
protect_wired(struct vm_map *map, vaddr_t start, vaddr_t end,
    vm_prot_t prot, bool set_max)
{
    const uint32_t both = VM_ATTR_WIRED | VM_ATTR_NEEDS_COPY;
    struct vm_map_entry *e = vm_map_tree_find(map, start);

    for (; e != NULL && vm_get(&e->start) < end; e = e->next) {
        uint32_t attr = vm_get(&e->attr);

        if ((attr & both) == both && (protect_attr(attr, prot, set_max) &
            VM_PROT_WRITE) != 0) {
            return e;
        }
    }
    return NULL;
}

/* vm_map_protect() of anything. */
static __attribute__((noinline)) int
protect_range(struct vm_map *map, vaddr_t start, vsize_t size,
    vm_prot_t prot, bool set_max)
{
    vaddr_t end = start + size;
    struct vm_map_entry *e;
    struct vm_map_scan scan;
    int error;

    do {
        error = vm_map_lock_range(map, start, size, false, &scan);
        if (error != VM_OK) {
            return error;
        }
        if ((prot & ~VM_ATTR_MAX(scan.all)) != 0 &&
            !VM_MUTANT(MAX_IGNORED)) {
            vm_map_unlock(map);
            return VM_E_PROT;
        }
        error = vm_map_clip_range(map, start, end);
        if (error != VM_OK) {
            vm_map_unlock(map);
            return error;
        }
        e = protect_wired(map, start, end, prot, set_max);
        if (e == NULL) {
            protect_commit(map, start, end, prot, set_max);
        } else {
            /* The map was unlocked meanwhile: from the beginning. */
            error = vm_map_rewire(map, e);
        }
        vm_map_merge_range(map, start, end);
        vm_map_unlock(map);
    } while (e != NULL && error == VM_OK);
    return error;
}

int
vm_map_protect(struct vm_map *map, vaddr_t start, vsize_t size,
    vm_prot_t prot, bool set_max)
{
    struct vm_map_entry *e;
    int error = VM_E_RETRY;

    if ((prot & ~VM_PROT_ALL) != 0) {
        return VM_E_INVAL;
    }
    e = lock_entry(map, start, size);
    if (e != NULL) {
        error = protect_entry(map, e, start, start + size, prot, set_max);
        vm_map_unlock(map);
    }
    return error != VM_E_RETRY ? error :
        protect_range(map, start, size, prot, set_max);
}

/* In the attr of every entry of a range: these bits. */
static int
attr_set(struct vm_map *map, vaddr_t start, vsize_t size, uint32_t clear,
    uint32_t set)
{
    vaddr_t end = start + size;
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, start, size, false, &scan);

    if (error != VM_OK) {
        return error;
    }
    error = vm_map_clip_range(map, start, end);
    if (error == VM_OK) {
        vm_seq_begin(&map->seq);
        for (struct vm_map_entry *e = vm_map_tree_find(map, start);
            e != NULL && vm_get(&e->start) < end; e = e->next) {
            vm_set(&e->attr, (vm_get(&e->attr) & ~clear) | set);
        }
        vm_seq_end(&map->seq);
        vm_map_merge_range(map, start, end);
    }
    vm_map_unlock(map);
    return error;
}

int
vm_map_inherit(struct vm_map *map, vaddr_t start, vsize_t size,
    enum vm_inherit inherit)
{
    if ((unsigned)inherit > VM_INHERIT_NONE) {
        return VM_E_INVAL;
    }
    return attr_set(map, start, size, 0xc0u, (uint32_t)inherit << 6);
}

int
vm_map_advise_large(struct vm_map *map, vaddr_t start, vsize_t size,
    bool on)
{
    return attr_set(map, start, size, VM_ATTR_LARGE,
        on ? VM_ATTR_LARGE : 0);
}
