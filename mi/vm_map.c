/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map.c - address maps: life, lookup, and what all operations on
 * ranges are made of.
 *
 * Lookup takes no lock.  It tries the entry that the last lookup found,
 * else walks the tree, copies the entry's words and asks the sequence
 * whether what it read was one state of the map:
 *
 *   seq even --> hint or walk --> copy words --> same seq? --> answer
 *      ^                                            | no
 *      +---------------- kern_relax <---------------+   64 times, then
 *                                                       take the lock
 *
 * The hint may name an entry that has left the map and lives in another
 * one: entries are type-stable, and entry->map, which changes only while
 * the sequence of the map concerned is odd, tells them apart.
 *
 * Transition: while vm_map_wire() waits for pagers, the map is unlocked and
 * the entries concerned are marked.  Lookups go on; faults, and everyone who
 * would change such an entry waits for map->waiting to be served.
 *
 * Locks: map, then objects.  Never two maps.
 */
#include "vm_map_impl.h"

#define VM_MAP_LOOKUPS  64u

static _Atomic uint64_t vm_map_serials; /* never reset */
static struct vm_zone vm_map_zone;
static struct vm_zone vm_map_entry_zone;

void
vm_map_bootstrap(void)
{
    vm_zone_init(&vm_map_zone, "vm_map", sizeof(struct vm_map));
    vm_zone_init(&vm_map_entry_zone, "vm_map_entry",
        sizeof(struct vm_map_entry));
    vm_map_copy_bootstrap();
    vm_map_list_bootstrap();
    vm_map_doze_bootstrap();
}

int
vm_map_make(struct vm_map **out)
{
    struct vm_map *map = vm_zone_alloc(&vm_map_zone);
    vaddr_t start, end;
    int error;

    if (map == NULL) {
        return VM_E_NOMEM;
    }
    /*
     * The sequence goes on from its last user's: it never restarts, so
     * that nothing decided in a dead map can be entered in this one.
     */
    KASSERT((vm_get(&map->seq.count) & 1) == 0);
    map->lock.rank = VM_RANK_MAP;
    vm_set(&map->lock.word, 0);
    link_set(&map->root, NULL);
    link_set(&map->hint, NULL);
    map->first = NULL;
    map->last = NULL;
    map->full = (struct vm_map_full){ .from = ~(vaddr_t)0 };
    map->entries = 0;
    map->size = 0;
    map->waiting = false;
    map->serial = atomic_fetch_add_explicit(&vm_map_serials, 1,
        memory_order_relaxed) + 1;
    vm_set(&map->around, 0);
    vm_set(&map->around_pages, 0);
    vm_set(&map->made, 0);
    vm_set(&map->hints, NULL);
    vm_set(&map->rest, 0);
    vm_set(&map->ref_count, 1);
    error = pmap_create(&map->seq, &map->pmap);
    if (error != VM_OK) {
        vm_zone_free(&vm_map_zone, map);
        return error;
    }
    pmap_bounds(map->pmap, &start, &end);
    vm_set(&map->start, start);
    vm_set(&map->end, end);
    *out = map;
    return VM_OK;
}

int
vm_map_create(struct vm_map **out)
{
    int error = vm_map_make(out);

    if (error == VM_OK) {
        vm_map_list_add(*out);
    }
    return error;
}

void
vm_map_ref(struct vm_map *map)
{
    atomic_fetch_add_explicit(&map->ref_count, 1, memory_order_relaxed);
}

void
vm_map_unref(struct vm_map *map)
{
    /* Release our uses of the map, acquire everybody else's. */
    if (atomic_fetch_sub_explicit(&map->ref_count, 1,
            memory_order_acq_rel) != 1) {
        return;
    }
    vm_map_list_remove(map);
    vm_map_hints_drop(map);
    /* First all translations at once, then what they translated to. */
    pmap_destroy(map->pmap);
    link_set(&map->root, NULL);
    link_set(&map->hint, NULL);
    for (struct vm_map_entry *e = map->first; e != NULL; e = e->next) {
        KASSERT((vm_get(&e->attr) & VM_ATTR_TRANSITION) == 0);
        vm_set(&e->map, NULL);
    }
    vm_map_dispose(map, map->first);
    vm_zone_free(&vm_map_zone, map);
}

void
vm_map_lock(struct vm_map *map)
{
    vm_mutex_lock(&map->lock);
}

void
vm_map_unlock(struct vm_map *map)
{
    KASSERT((vm_get(&map->seq.count) & 1) == 0);
    vm_mutex_unlock(&map->lock);
}

/* What e says about va; va is in e. */
static inline void
lookup_read(struct vm_map_entry *e, vaddr_t va, struct vm_lookup *out)
{
    out->start = vm_get(&e->start);
    out->end = vm_get(&e->end);
    out->object = vm_get(&e->object);
    out->pgno = vm_get(&e->pgno) + ((va - out->start) >> vm_page_shift);
    out->attr = vm_get(&e->attr);
}

int
vm_map_lookup_locked(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
{
    struct vm_map_entry *e = vm_map_tree_find(map, va);

    KASSERT(vm_map_is_locked(map));
    if (e == NULL || va < vm_get(&e->start)) {
        return VM_E_ADDRESS;
    }
    lookup_read(e, va, out);
    out->seq = vm_get(&map->seq.count);
    return VM_OK;
}

/* Once; VM_E_RETRY: the map was changed meanwhile. */
static inline int
lookup_walk(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
{
    vm_seq_t seq = vm_seq_read(&map->seq);
    struct vm_lookup found;
    struct vm_map_entry *e;

    if ((seq & 1) != 0) {
        return VM_E_RETRY;
    }
    e = vm_map_tree_walk(map, va);
    if (e != NULL) {
        lookup_read(e, va, &found);
        found.seq = seq;
    }
    if (!vm_seq_valid(&map->seq, seq)) {
        return VM_E_RETRY;
    }
    if (e == NULL) {
        return VM_E_ADDRESS;
    }
    link_set(&map->hint, e);
    *out = found;
    return VM_OK;
}

/* Somebody edits the map just now: again, and in the end stand in line. */
static __attribute__((noinline)) int
lookup_again(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
{
    int error;

    for (unsigned i = 1; i < VM_MAP_LOOKUPS; i++) {
        kern_relax();
        error = lookup_walk(map, va, out);
        if (error != VM_E_RETRY) {
            return error;
        }
    }
    vm_map_lock(map);
    error = vm_map_lookup_locked(map, va, out);
    vm_map_unlock(map);
    return error;
}

/* The hint did not serve. */
static __attribute__((noinline)) int
lookup_tree(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
{
    int error = lookup_walk(map, va, out);

    return error == VM_E_RETRY ? lookup_again(map, va, out) : error;
}

int
vm_map_lookup(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
{
    vm_seq_t seq = vm_seq_read(&map->seq);
    struct vm_map_entry *e = link_get(&map->hint);

    if (e != NULL && vm_get(&e->map) == map) {
        struct vm_lookup found;

        vm_point();
        lookup_read(e, va, &found);
        found.seq = seq;
        if (va >= found.start && va < found.end &&
            vm_seq_valid(&map->seq, seq)) {
            *out = found;
            return VM_OK;
        }
    }
    return lookup_tree(map, va, out);
}

struct vm_map_entry *
vm_map_entry_alloc(vaddr_t start, vaddr_t end, struct vm_object *object,
    vm_pgno_t pgno, uint32_t attr)
{
    struct vm_map_entry *e = vm_zone_alloc(&vm_map_entry_zone);

    if (e == NULL) {
        return NULL;
    }
    KASSERT(vm_get(&e->map) == NULL);
    KASSERT(vm_page_aligned(start) && vm_page_aligned(end) && start < end);
    /* Who still reads it as a dead entry of another map sees that map's
       sequence moved before it sees these. */
    atomic_thread_fence(memory_order_release);
    link_set(&e->left, NULL);
    link_set(&e->right, NULL);
    e->parent = NULL;
    vm_set(&e->start, start);
    vm_set(&e->end, end);
    e->gap = 0;
    vm_set(&e->object, object);
    vm_set(&e->pgno, pgno);
    vm_set(&e->attr, attr);
    e->wired_count = 0;
    e->height = 1;
    e->prev = NULL;
    e->next = NULL;
    return e;
}

void
vm_map_entry_free(struct vm_map_entry *e)
{
    KASSERT(vm_get(&e->map) == NULL);
    vm_zone_free(&vm_map_entry_zone, e);
}

int
vm_map_range_check(const struct vm_map *map, vaddr_t start, vsize_t size)
{
    if (!vm_page_aligned(start) || !vm_page_aligned(size) ||
        !vm_range_ok(start, size)) {
        return VM_E_INVAL;
    }
    if (start < vm_get(&map->start) || start + size > vm_get(&map->end)) {
        return VM_E_ADDRESS;
    }
    return VM_OK;
}

int
vm_map_scan(struct vm_map *map, vaddr_t start, vaddr_t end, bool holes,
    struct vm_map_scan *scan)
{
    struct vm_map_entry *e = vm_map_tree_find(map, start);
    vaddr_t at = start;

    *scan = (struct vm_map_scan){ .all = ~0u };
    for (; e != NULL && vm_get(&e->start) < end; e = e->next) {
        uint32_t attr = vm_get(&e->attr);

        if (vm_get(&e->start) > at && !holes) {
            return VM_E_ADDRESS;
        }
        if (scan->first == NULL) {
            scan->first = e;
        }
        scan->all &= attr;
        scan->any |= attr;
        if (e->wired_count > scan->wired_max) {
            scan->wired_max = e->wired_count;
        }
        at = vm_get(&e->end);
    }
    return at >= end || holes ? VM_OK : VM_E_ADDRESS;
}

int
vm_map_lock_range(struct vm_map *map, vaddr_t start, vsize_t size,
    bool holes, struct vm_map_scan *scan)
{
    int error;

    vm_map_lock(map);
    for (;;) {
        /* Each time: vm_map_configure() moves the bounds. */
        error = vm_map_range_check(map, start, size);
        if (error == VM_OK) {
            error = vm_map_scan(map, start, start + size, holes, scan);
        }
        if (error != VM_OK) {
            vm_map_unlock(map);
            return error;
        }
        if ((scan->any & VM_ATTR_TRANSITION) == 0) {
            return VM_OK;
        }
        (void)vm_map_wait(map, false);
    }
}

int
vm_map_wait(struct vm_map *map, bool interruptible)
{
    struct vm_ticket ticket = vm_wait_ticket(map);
    int error;

    map->waiting = true;
    vm_map_unlock(map);
    error = vm_wait_sleep(ticket, interruptible);
    vm_map_lock(map);
    return error;
}

void
vm_map_settled(struct vm_map *map)
{
    KASSERT(vm_map_is_locked(map));
    if (map->waiting) {
        map->waiting = false;
        vm_wakeup(map);
    }
}

/* The entry that at would cut in two, or NULL. */
static struct vm_map_entry *
clip_victim(struct vm_map *map, vaddr_t at)
{
    struct vm_map_entry *e = vm_map_tree_find(map, at);

    return e != NULL && vm_get(&e->start) < at ? e : NULL;
}

/*
 * Cut the entry around at; the upper part becomes spare.  A fault sees
 * either the whole or the parts, which say the same.
 */
static void
clip(struct vm_map *map, vaddr_t at, struct vm_map_entry *spare)
{
    struct vm_map_entry *e = clip_victim(map, at);
    struct vm_object *object = vm_get(&e->object);

    vm_set(&spare->start, at);
    vm_set(&spare->end, vm_get(&e->end));
    vm_set(&spare->attr, vm_get(&e->attr));
    spare->wired_count = VM_MUTANT(WIRE_CLIP) ? 0 : e->wired_count;
    if (object != NULL) {
        vm_set(&spare->object, object);
        vm_set(&spare->pgno, vm_map_entry_pgno(e, at));
        vm_object_ref(object, map);
    }
    vm_seq_begin(&map->seq);
    map->size -= vm_get(&e->end) - at;
    vm_set(&e->end, at);
    vm_map_tree_insert(map, spare);
    vm_seq_end(&map->seq);
}

void
vm_map_clip_spare(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_entry *spare[2])
{
    const vaddr_t at[2] = { start, end };

    KASSERT(vm_map_is_locked(map));
    for (unsigned i = 0; i < 2; i++) {
        if (clip_victim(map, at[i]) != NULL) {
            clip(map, at[i], spare[i]);
            spare[i] = NULL;
        }
    }
}

int
vm_map_clip_range(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    const vaddr_t at[2] = { start, end };
    struct vm_map_entry *spare[2] = { NULL, NULL };

    for (unsigned i = 0; i < 2; i++) {
        if (clip_victim(map, at[i]) == NULL) {
            continue;
        }
        spare[i] = vm_map_entry_alloc(start, end, NULL, 0, 0);
        if (spare[i] == NULL) {
            if (spare[0] != NULL) {
                vm_map_entry_free(spare[0]);
            }
            return VM_E_NOMEM;
        }
    }
    if (spare[0] != NULL || spare[1] != NULL) {
        vm_map_clip_spare(map, start, end, spare);
    }
    return VM_OK;
}

bool
vm_map_entry_continues(struct vm_map_entry *a, struct vm_map_entry *b)
{
    if (vm_get(&a->end) != vm_get(&b->start) ||
        a->wired_count != b->wired_count ||
        vm_get(&a->object) != vm_get(&b->object)) {
        return false;
    }
    return vm_get(&a->object) == NULL ||
        vm_get(&a->pgno) + vm_map_entry_pages(a) == vm_get(&b->pgno);
}

/* Are a and the entry after it one region cut in two? */
static bool
can_merge(struct vm_map_entry *a, struct vm_map_entry *b)
{
    uint32_t attr = vm_get(&a->attr);

    return attr == vm_get(&b->attr) && (attr & VM_ATTR_TRANSITION) == 0 &&
        vm_map_entry_continues(a, b);
}

unsigned
vm_map_merge_range(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    struct vm_map_entry *e, *dead = NULL;
    unsigned n = 0;

    KASSERT(vm_map_is_locked(map));
    e = vm_map_tree_find(map, start > 0 ? start - 1 : start);
    while (e != NULL && e->next != NULL && vm_get(&e->end) <= end) {
        struct vm_map_entry *gone = e->next;

        if (!can_merge(e, gone)) {
            e = gone;
            continue;
        }
        if (n++ == 0) {
            vm_seq_begin(&map->seq);
        }
        vm_map_tree_remove(map, gone);
        map->size += vm_get(&gone->end) - vm_get(&gone->start);
        vm_set(&e->end, vm_get(&gone->end));
        vm_map_tree_moved(map, e);
        gone->next = dead;
        dead = gone;
    }
    if (n > 0) {
        vm_seq_end(&map->seq);
    }
    while (dead != NULL) {
        struct vm_map_entry *gone = dead;

        dead = gone->next;
        if (vm_get(&gone->object) != NULL) {
            vm_object_unref(vm_get(&gone->object), map);
        }
        vm_map_entry_free(gone);
    }
    return n;
}

unsigned
vm_map_simplify(struct vm_map *map)
{
    unsigned n;

    vm_map_lock(map);
    n = vm_map_merge_range(map, vm_get(&map->start), vm_get(&map->end));
    vm_map_unlock(map);
    return n;
}

struct vm_map_entry *
vm_map_unlink_range(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    struct vm_map_entry *e = vm_map_tree_find(map, start), *list = NULL;
    struct vm_map_entry **tail = &list;

    while (e != NULL && vm_get(&e->start) < end) {
        struct vm_map_entry *next = e->next;

        KASSERT(vm_get(&e->start) >= start && vm_get(&e->end) <= end);
        vm_map_tree_remove(map, e);
        *tail = e;
        tail = &e->next;
        e = next;
    }
    *tail = NULL;
    return list;
}

void
vm_map_dispose(struct vm_map *map, struct vm_map_entry *list)
{
    while (list != NULL) {
        struct vm_map_entry *e = list;
        struct vm_object *object = vm_get(&e->object);

        list = e->next;
        if (object != NULL) {
            vm_pgno_t pgno = vm_get(&e->pgno), n = vm_map_entry_pages(e);
            const struct vm_gone gone = {
                .pmap = map->pmap,
                .start = vm_get(&e->start), .end = vm_get(&e->end)
            };

            if (e->wired_count > 0) {
                vm_object_unwire(object, pgno, n);
            }
            vm_object_leave(object, pgno, n, map, &gone);
        }
        vm_map_entry_free(e);
    }
}

bool
vm_map_entry_is_shared(struct vm_map_entry *e)
{
    struct vm_object *object = vm_get(&e->object);
    bool shared = false;

    if (object != NULL) {
        vm_object_lock(object);
        shared = (object->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED)) !=
            VM_OBJ_INTERNAL;
        vm_object_unlock(object);
    }
    return shared;
}

/* May e's map write e's object itself, though e needs copy? */
static bool
resolve_is_mine(struct vm_map *map, struct vm_object *object)
{
    bool mine;

    vm_object_lock(object);
    mine = (object->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED |
        VM_OBJ_SNAPSHOT)) == VM_OBJ_INTERNAL &&
        vm_object_is_sole(object, map);
    vm_object_unlock(object);
    return mine;
}

/* e has another object from here on, and need not be copied any more. */
static inline void
resolve_set(struct vm_map *map, struct vm_map_entry *e,
    struct vm_object *object, vm_pgno_t pgno)
{
    vm_seq_begin(&map->seq);
    vm_set(&e->object, object);
    vm_set(&e->pgno, pgno);
    vm_set(&e->attr, vm_get(&e->attr) & ~VM_ATTR_NEEDS_COPY);
    vm_seq_end(&map->seq);
}

/* Fresh memory: its object is made when it is touched. */
static int
resolve_fresh(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_object *object;
    int error = vm_object_create(vm_map_entry_pages(e), map, &object);

    KASSERT((vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) == 0);
    if (error != VM_OK) {
        return error;
    }
    if (VM_ATTR_SERVER(vm_get(&e->attr)) != 0) {
        vm_object_set_missing(object);
    }
    resolve_set(map, e, object, 0);
    return VM_OK;
}

static int
resolve_copy(struct vm_map *map, struct vm_map_entry *e,
    struct vm_object *back)
{
    vm_pgno_t pgno = vm_get(&e->pgno);
    struct vm_object *front;
    int error;

    if (resolve_is_mine(map, back)) {
        resolve_set(map, e, back, pgno);
        return VM_OK;
    }
    error = vm_object_shadow(back, pgno, vm_map_entry_pages(e), map, &front);
    if (error != VM_OK) {
        return error;
    }
    /*
     * Translations stay: they are read-only, and the pages that they show
     * are what the new front shows.  back is locked: a fault that still
     * believes in it looks at the sequence with that lock.
     */
    resolve_set(map, e, front, 0);
    vm_object_unlock(back);
    return VM_OK;
}

int
vm_map_resolve(struct vm_map *map, struct vm_map_entry *e, bool write)
{
    struct vm_object *object = vm_get(&e->object);

    KASSERT(vm_map_is_locked(map));
    if (object == NULL) {
        return resolve_fresh(map, e);
    }
    if (!write || (vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) == 0) {
        return VM_OK;
    }
    return resolve_copy(map, e, object);
}

/* Mostly what the lookup that asks has just left as the map's hint. */
static struct vm_map_entry *
prepare_find(struct vm_map *map, vaddr_t va)
{
    struct vm_map_entry *e = link_get(&map->hint);

    if (e == NULL || vm_get(&e->map) != map || va < vm_get(&e->start) ||
        va >= vm_get(&e->end)) {
        e = vm_map_tree_find(map, va);
    }
    return e != NULL && va >= vm_get(&e->start) ? e : NULL;
}

static int
prepare_entry(struct vm_map *map, struct vm_map_entry *e, vaddr_t va,
    bool write, struct vm_lookup *out)
{
    /*
     * The fault that asks decided by an older state.  Without the right
     * to write there is nothing to prepare: it looks again and sees that.
     * (A wired entry that needs copy is never writable.)  But a read may
     * want a front, too, where others' servers have memory missing.
     */
    int error = vm_map_resolve(map, e, write && (vm_get(&e->attr) &
        (VM_PROT_WRITE | VM_ATTR_WIRED)) != VM_ATTR_WIRED);

    if (error == VM_OK) {
        lookup_read(e, va, out);
        out->seq = vm_get(&map->seq.count);
    }
    return error;
}

int
vm_map_prepare_locked(struct vm_map *map, vaddr_t va, bool write,
    struct vm_lookup *out)
{
    struct vm_map_entry *e = prepare_find(map, va);

    return e == NULL ? VM_E_ADDRESS :
        prepare_entry(map, e, va, write, out);
}

/* *e is in transition: wait.  Then what is at va stands in *e. */
static __attribute__((noinline)) int
prepare_wait(struct vm_map *map, vaddr_t va, struct vm_map_entry **e)
{
    while (*e != NULL && (vm_get(&(*e)->attr) & VM_ATTR_TRANSITION) != 0) {
        int error = vm_map_wait(map, true);

        if (error != VM_OK) {
            return error;
        }
        *e = prepare_find(map, va);
    }
    return VM_OK;
}

int
vm_map_prepare(struct vm_map *map, vaddr_t va, bool write,
    struct vm_lookup *out)
{
    struct vm_map_entry *e;
    int error = VM_OK;

    vm_map_lock(map);
    e = prepare_find(map, va);
    if (e != NULL && (vm_get(&e->attr) & VM_ATTR_TRANSITION) != 0) {
        error = prepare_wait(map, va, &e);
    }
    if (error == VM_OK) {
        error = e == NULL ? VM_E_ADDRESS :
            prepare_entry(map, e, va, write, out);
    }
    vm_map_unlock(map);
    return error;
}

bool
vm_map_region(struct vm_map *map, vaddr_t *addr, struct vm_region *out)
{
    struct vm_map_entry *e;
    uint32_t attr;

    vm_map_lock(map);
    e = vm_map_tree_find(map, *addr);
    if (e == NULL) {
        vm_map_unlock(map);
        return false;
    }
    attr = vm_get(&e->attr);
    *addr = vm_get(&e->start);
    out->size = vm_get(&e->end) - vm_get(&e->start);
    out->prot = VM_ATTR_PROT(attr);
    out->max = VM_ATTR_MAX(attr);
    out->inherit = VM_ATTR_INHERIT(attr);
    out->needs_copy = (attr & VM_ATTR_NEEDS_COPY) != 0;
    out->shared = !out->needs_copy && vm_map_entry_is_shared(e);
    out->wired_count = e->wired_count;
    out->object = vm_get(&e->object);
    out->pgno = vm_get(&e->pgno);
    vm_map_unlock(map);
    return true;
}
