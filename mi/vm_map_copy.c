/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_copy.c - virtual copies: fork, copy, copies in flight.
 *
 * What becomes of an entry that is copied:
 *
 *   no object                  copy has none: zero and zero
 *   private object             both entries need copy of it; the source's
 *                              write rights are revoked
 *   ... and wired              the pages are copied now: the source's
 *                              frames must stay what it writes to
 *   shared object, file        a snapshot; source and sharers go on writing
 *                              the object, which pushes into it
 *   already needs copy         one more that does.  But a strict copy of a
 *                              private file mapping is a snapshot too:
 *                              pages not yet written show the file, which
 *                              may change; a fork's child shows it as well
 *
 * Two passes.  The first builds the copy and may fail; all that it does to
 * the source is invisible.  The second cannot fail, but for memory to copy
 * wired pages, which comes before it changes anything:
 *
 *   seq begin
 *     revoke writes to what will be shared copy-on-write or copied now
 *     copy wired pages                     may fail: nothing has changed
 *     mark the source's entries NEEDS_COPY
 *   seq end
 *
 * The moment of the copy is the revocation.  A write to private memory
 * between the passes (faults take no map lock) lands in a page that the
 * copy already references; nobody has seen the copy, so that write came
 * before it.  From the revocation on, a fault finds the sequence odd; once
 * it is even, NEEDS_COPY.  Snapshots of shared objects are taken in the
 * first pass, each at its own moment.
 *
 * References held by a copy name no owner (vm_object.h): its windows may
 * overlap others of the same map.
 *
 * Locks: one map at a time; a new map needs none while nobody knows it.
 */
#include "vm_map_impl.h"

/* A range in flight: entries from 0 to size, in no map. */
struct vm_map_copy {
    void *zone_link;
    vsize_t size;
    struct vm_map_entry *list;
};

static struct vm_zone vm_map_copy_zone;

void
vm_map_copy_bootstrap(void)
{
    vm_zone_init(&vm_map_copy_zone, "vm_map_copy",
        sizeof(struct vm_map_copy));
}

/* First pass for one entry: c gets its object and attr. */
static int
copy_begin(struct vm_map_entry *e, bool strict, struct vm_map_entry *c)
{
    struct vm_object *object = vm_get(&e->object), *snapshot;
    uint32_t attr = vm_get(&e->attr), flags;
    bool needs_copy = (attr & VM_ATTR_NEEDS_COPY) != 0, shared;
    int error;

    vm_set(&c->attr, attr & VM_ATTR_POLICY);
    if (object == NULL) {
        return VM_OK;
    }
    vm_object_lock(object);
    flags = object->flags;
    vm_object_unlock(object);
    shared = (flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED)) != VM_OBJ_INTERNAL;

    if (!needs_copy && !shared && e->wired_count > 0 &&
        !VM_MUTANT(FORK_WIRED)) {
        /* The second pass copies it now. */
        return VM_OK;
    }
    vm_set(&c->pgno, vm_get(&e->pgno));
    vm_set(&c->attr, (attr & VM_ATTR_POLICY) | VM_ATTR_NEEDS_COPY);
    if (shared && (!needs_copy || strict)) {
        error = vm_object_snapshot(object, &snapshot);
        if (error == VM_OK) {
            vm_set(&c->object, snapshot);
        }
        return error;
    }
    vm_object_ref(object, NULL);
    vm_set(&c->object, object);
    return VM_OK;
}

/* What the second pass has to do for an entry, e, and its copy, c. */
static bool
copy_wants_mark(struct vm_map_entry *e, struct vm_map_entry *c)
{
    return vm_get(&c->object) == vm_get(&e->object) &&
        (vm_get(&c->attr) & ~vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) != 0;
}

static bool
copy_wants_pages(struct vm_map_entry *e, struct vm_map_entry *c)
{
    return vm_get(&c->object) == NULL && vm_get(&e->object) != NULL;
}

/*
 * The entry of map that c is a copy of, where e is that of the copy before
 * c (NULL for the first).
 */
static struct vm_map_entry *
copy_source(struct vm_map *map, struct vm_map_entry *e,
    struct vm_map_entry *c, vaddr_t delta)
{
    if (e == NULL) {
        return vm_map_tree_find(map, vm_get(&c->start) + delta);
    }
    do {
        e = e->next;
    } while (vm_get(&e->end) <= vm_get(&c->start) + delta);
    return e;
}

static bool
copy_wants_revoke(struct vm_map_entry *e, struct vm_map_entry *c, bool mark)
{
    return (vm_get(&e->attr) & VM_PROT_WRITE) != 0 &&
        ((mark && copy_wants_mark(e, c)) || copy_wants_pages(e, c));
}

/* So much, and all of the pmap is forgotten: see below. */
#define COPY_REVOKE_ALL ((vsize_t)64 << 20)

/*
 * Entries to be revoked are taken together with what is between them, if
 * that is holes or memory without an object: nothing is mapped there.
 *
 * That costs something for each table, so where it is much, everything that
 * the map has is forgotten with the root's few entries, and a fork costs
 * the same however large the parent is.  The rest comes back by faults.
 */
static void
copy_revoke(struct vm_map *map, struct vm_map_entry *list, vaddr_t delta,
    bool mark)
{
    struct vm_map_entry *e = NULL, *last = NULL;
    vaddr_t start = 0, end = 0;         /* to be revoked, if end != 0 */
    struct pmap_batch batch;
    vsize_t size = 0;
    bool revoke;

    for (struct vm_map_entry *c = list; map->size >= COPY_REVOKE_ALL &&
        c != NULL && size < COPY_REVOKE_ALL; c = c->next) {
        e = copy_source(map, e, c, delta);
        if (copy_wants_revoke(e, c, mark)) {
            size += vm_get(&e->end) - vm_get(&e->start);
        }
    }
    if (size >= COPY_REVOKE_ALL) {
        pmap_protect(map->pmap, vm_get(&map->start), vm_get(&map->end),
            VM_MAP_NO_WRITE, NULL);
        return;
    }
    e = NULL;
    pmap_batch_begin(&batch);
    for (struct vm_map_entry *c = list; c != NULL; c = c->next, last = e) {
        e = copy_source(map, e, c, delta);
        revoke = copy_wants_revoke(e, c, mark);
        if (end != 0 && (e->prev != last ||
                (!revoke && vm_get(&e->object) != NULL))) {
            pmap_protect(map->pmap, start, end, VM_MAP_NO_WRITE, &batch);
            end = 0;
        }
        if (revoke) {
            start = end != 0 ? start : vm_get(&e->start);
            end = vm_get(&e->end);
        }
    }
    if (end != 0) {
        pmap_protect(map->pmap, start, end, VM_MAP_NO_WRITE, &batch);
    }
    pmap_batch_commit(&batch);
}

static int
copy_wired(struct vm_map *map, struct vm_map_entry *list, vaddr_t delta)
{
    struct vm_map_entry *e = NULL;

    for (struct vm_map_entry *c = list; c != NULL; c = c->next) {
        struct vm_object *object;
        int error;

        e = copy_source(map, e, c, delta);
        if (!copy_wants_pages(e, c)) {
            continue;
        }
        error = vm_object_copy_now(vm_get(&e->object), vm_get(&e->pgno),
            vm_map_entry_pages(e), NULL, &object);
        if (error != VM_OK) {
            /* A wired page that is not there is being read or written. */
            return VM_E_NOMEM;
        }
        vm_set(&c->object, object);
    }
    return VM_OK;
}

/*
 * Second pass: list holds the copies, in order; c->start + delta is where
 * in map it came from.  mark false: the bug that fork forgets its parent.
 */
static int
copy_commit(struct vm_map *map, struct vm_map_entry *list, vaddr_t delta,
    bool mark)
{
    struct vm_map_entry *e = NULL;
    int error;

    vm_seq_begin(&map->seq);
    copy_revoke(map, list, delta, mark);
    error = copy_wired(map, list, delta);
    for (struct vm_map_entry *c = list; error == VM_OK && mark && c != NULL;
        c = c->next) {
        e = copy_source(map, e, c, delta);
        if (copy_wants_mark(e, c)) {
            vm_set(&e->attr, vm_get(&e->attr) | VM_ATTR_NEEDS_COPY);
        }
    }
    vm_seq_end(&map->seq);
    return error;
}

/* Both get the same memory, as it is. */
static int
fork_share(struct vm_map *parent, struct vm_map_entry *e,
    struct vm_map_entry *c)
{
    int error = vm_map_resolve(parent, e, true);

    if (error == VM_OK) {
        struct vm_object *object = vm_get(&e->object);

        vm_object_set_shared(object);
        vm_object_ref(object, NULL);
        vm_set(&c->object, object);
        vm_set(&c->pgno, vm_get(&e->pgno));
        vm_set(&c->attr, vm_get(&e->attr) & VM_ATTR_POLICY);
    }
    return error;
}

static int
fork_entry(struct vm_map *parent, struct vm_map *child,
    struct vm_map_entry *e)
{
    vaddr_t start = vm_get(&e->start), end = vm_get(&e->end);
    enum vm_inherit inherit = VM_ATTR_INHERIT(vm_get(&e->attr));
    struct vm_map_entry *c;
    int error;

    if (inherit == VM_INHERIT_NONE && !VM_MUTANT(INHERIT_NONE)) {
        return VM_OK;
    }
    KASSERT(start >= vm_get(&child->start) && end <= vm_get(&child->end));
    c = vm_map_entry_alloc(start, end, NULL, 0, 0);
    if (c == NULL) {
        return VM_E_NOMEM;
    }
    error = inherit == VM_INHERIT_SHARE && !VM_MUTANT(SHARE_COPIED) ?
        fork_share(parent, e, c) :
        copy_begin(e, false, c);
    if (error != VM_OK) {
        vm_map_entry_free(c);
        return error;
    }
    vm_map_tree_append(child, c);
    return VM_OK;
}

/* Nobody in transition, and nothing shared that is wired in place. */
static int
fork_settle(struct vm_map *parent)
{
    const uint32_t both = VM_ATTR_WIRED | VM_ATTR_NEEDS_COPY;
    struct vm_map_entry *e = parent->first;

    while (e != NULL) {
        uint32_t attr = vm_get(&e->attr);
        int error = VM_OK;

        if ((attr & VM_ATTR_TRANSITION) != 0) {
            (void)vm_map_wait(parent, false);
        } else if ((attr & both) == both &&
            VM_ATTR_INHERIT(attr) == VM_INHERIT_SHARE) {
            error = vm_map_rewire(parent, e);
        } else {
            e = e->next;
            continue;
        }
        if (error != VM_OK) {
            return error;
        }
        /* The map was unlocked. */
        e = parent->first;
    }
    return VM_OK;
}

int
vm_map_fork(struct vm_map *parent, struct vm_map **child)
{
    struct vm_map *map;
    int error = vm_map_make(&map);

    if (error != VM_OK) {
        return error;
    }
    vm_map_lock(parent);
    error = fork_settle(parent);
    if (error == VM_OK) {
        error = vm_map_configure_like(map, parent);
    }
    for (struct vm_map_entry *e = parent->first; e != NULL &&
        error == VM_OK; e = e->next) {
        error = fork_entry(parent, map, e);
    }
    if (error == VM_OK) {
        error = copy_commit(parent, map->first, 0,
            !VM_MUTANT(PARENT_NEEDS_COPY));
    }
    vm_map_unlock(parent);
    vm_map_tree_build(map);
    vm_map_list_add(map);
    if (error != VM_OK) {
        vm_map_unref(map);
        return error;
    }
    vm_stat_inc(VM_STAT_FORKS);
    *child = map;
    return VM_OK;
}

void
vm_map_copy_discard(struct vm_map_copy *copy)
{
    while (copy->list != NULL) {
        struct vm_map_entry *c = copy->list;

        copy->list = c->next;
        if (vm_get(&c->object) != NULL) {
            vm_object_unref(vm_get(&c->object), NULL);
        }
        vm_map_entry_free(c);
    }
    vm_zone_free(&vm_map_copy_zone, copy);
}

/* First pass over a range that was clipped. */
static int
copyin_range(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_copy *copy)
{
    struct vm_map_entry *e = vm_map_tree_find(map, start);
    struct vm_map_entry **tail = &copy->list;

    for (; e != NULL && vm_get(&e->start) < end; e = e->next) {
        struct vm_map_entry *c = vm_map_entry_alloc(
            vm_get(&e->start) - start, vm_get(&e->end) - start, NULL, 0, 0);
        int error;

        if (c == NULL) {
            return VM_E_NOMEM;
        }
        *tail = c;
        tail = &c->next;
        error = copy_begin(e, true, c);
        if (error != VM_OK) {
            return error;
        }
    }
    return VM_OK;
}

int
vm_map_copyin(struct vm_map *map, vaddr_t src, vsize_t size,
    struct vm_map_copy **out)
{
    struct vm_map_copy *copy;
    struct vm_map_scan scan;
    int error = vm_map_lock_range(map, src, size, false, &scan);

    if (error != VM_OK) {
        return error;
    }
    if ((scan.all & VM_PROT_READ) == 0) {
        vm_map_unlock(map);
        return VM_E_PROT;
    }
    copy = vm_zone_alloc(&vm_map_copy_zone);
    if (copy == NULL) {
        vm_map_unlock(map);
        return VM_E_NOMEM;
    }
    copy->size = size;
    copy->list = NULL;
    error = vm_map_clip_range(map, src, src + size);
    if (error == VM_OK) {
        error = copyin_range(map, src, src + size, copy);
    }
    if (error == VM_OK) {
        error = copy_commit(map, copy->list, src, true);
    }
    vm_map_merge_range(map, src, src + size);
    vm_map_unlock(map);
    if (error != VM_OK) {
        vm_map_copy_discard(copy);
        return error;
    }
    *out = copy;
    return VM_OK;
}

/* Entries of copy become map's, from addr on; sequence begun. */
static void
copy_insert(struct vm_map *map, struct vm_map_copy *copy, vaddr_t addr)
{
    struct vm_map_entry *c = copy->list;

    while (c != NULL) {
        struct vm_map_entry *next = c->next;

        vm_set(&c->start, vm_get(&c->start) + addr);
        vm_set(&c->end, vm_get(&c->end) + addr);
        vm_map_tree_insert(map, c);
        c = next;
    }
    copy->list = NULL;
}

int
vm_map_copyout(struct vm_map *map, struct vm_map_copy *copy, vaddr_t *addr)
{
    const uint32_t policy = VM_ATTR(VM_PROT_READ | VM_PROT_WRITE,
        VM_PROT_ALL, VM_INHERIT_COPY);
    vaddr_t start;
    int error;

    vm_map_lock(map);
    error = vm_map_tree_space(map, 0, copy->size, VM_PAGE_SIZE, &start);
    if (error != VM_OK) {
        vm_map_unlock(map);
        return error;
    }
    for (struct vm_map_entry *c = copy->list; c != NULL; c = c->next) {
        vm_set(&c->attr, policy | VM_ATTR_COPIED |
            (vm_get(&c->attr) & VM_ATTR_NEEDS_COPY));
    }
    vm_seq_begin(&map->seq);
    copy_insert(map, copy, start);
    vm_seq_end(&map->seq);
    vm_map_merge_range(map, start, start + copy->size);
    vm_map_unlock(map);
    vm_map_copy_discard(copy);
    *addr = start;
    return VM_OK;
}

/* The part of c beyond at becomes an entry of its own, after c. */
static int
copy_split(struct vm_map_entry *c, vaddr_t at)
{
    struct vm_object *object = vm_get(&c->object);
    struct vm_map_entry *rest = vm_map_entry_alloc(at, vm_get(&c->end),
        object, object != NULL ? vm_map_entry_pgno(c, at) : 0,
        vm_get(&c->attr));

    if (rest == NULL) {
        return VM_E_NOMEM;
    }
    if (object != NULL) {
        vm_object_ref(object, NULL);
    }
    rest->next = c->next;
    c->next = rest;
    vm_set(&c->end, at);
    return VM_OK;
}

/* Cut the copy where dst's entries are, and give it their attributes. */
static int
overwrite_fit(struct vm_map *map, vaddr_t dst, struct vm_map_copy *copy)
{
    for (struct vm_map_entry *c = copy->list; c != NULL; c = c->next) {
        struct vm_map_entry *d = vm_map_tree_find(map,
            dst + vm_get(&c->start));
        vaddr_t limit = vm_get(&d->end) - dst;

        if (vm_get(&c->end) > limit) {
            int error = copy_split(c, limit);

            if (error != VM_OK) {
                return error;
            }
        }
        vm_set(&c->attr, (vm_get(&d->attr) & VM_ATTR_POLICY) |
            VM_ATTR_COPIED | (vm_get(&c->attr) & VM_ATTR_NEEDS_COPY));
    }
    return VM_OK;
}

/* Does nobody else see [start, end), and nobody hold its frames? */
static bool
overwrite_is_private(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    struct vm_map_entry *e = vm_map_tree_find(map, start);

    for (; e != NULL && vm_get(&e->start) < end; e = e->next) {
        if (e->wired_count > 0) {
            return false;
        }
        if ((vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) == 0 &&
            vm_map_entry_is_shared(e)) {
            return false;
        }
    }
    return true;
}

/* Put the copy's entries in the place of dst's; map locked. */
static int
overwrite_replace(struct vm_map *map, vaddr_t dst, struct vm_map_copy *copy,
    struct vm_map_entry **dead)
{
    vaddr_t end = dst + copy->size;
    int error = overwrite_fit(map, dst, copy);

    if (error == VM_OK) {
        error = vm_map_clip_range(map, dst, end);
    }
    if (error != VM_OK) {
        return error;
    }
    vm_seq_begin(&map->seq);
    *dead = vm_map_unlink_range(map, dst, end);
    pmap_remove(map->pmap, dst, end, NULL);
    copy_insert(map, copy, dst);
    vm_seq_end(&map->seq);
    vm_map_merge_range(map, dst, end);
    return VM_OK;
}

/*
 * One pass over all pages.  write false: only bring the source in, and make
 * the destination's page its own, with its snapshot served: after that a
 * pass that writes takes no memory.
 */
static int
overwrite_bytes(struct vm_map *map, vaddr_t dst, struct vm_map_copy *copy,
    void *page, bool write)
{
    for (struct vm_map_entry *c = copy->list; c != NULL; c = c->next) {
        struct vm_object *object = vm_get(&c->object);
        vm_pgno_t n = vm_map_entry_pages(c), pgno = vm_get(&c->pgno);
        vaddr_t va = dst + vm_get(&c->start);
        int error = VM_OK;

        for (; n > 0; n--, pgno++, va += VM_PAGE_SIZE) {
            if (object == NULL) {
                memset(page, 0, VM_PAGE_SIZE);
            } else {
                error = vm_object_read_page(object, pgno, page);
            }
            if (error == VM_OK) {
                error = write ? vm_map_write(map, va, page, VM_PAGE_SIZE) :
                    vm_fault_own(map, va);
            }
            if (error != VM_OK) {
                return error;
            }
        }
    }
    return VM_OK;
}

/*
 * Shared or wired memory: write bytes.  All that is to be written is wired
 * first, so that memory cannot run out half-way; where that is refused
 * (it may not be read, or the count is full) we go on without.
 */
static int
overwrite_write(struct vm_map *map, vaddr_t dst, struct vm_map_copy *copy)
{
    struct vm_map_entry *spare[2];
    struct vm_page *frame;
    int error = VM_E_NOMEM, wired;

    frame = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    for (unsigned i = 0; i < 2; i++) {
        spare[i] = vm_map_entry_alloc(0, VM_PAGE_SIZE, NULL, 0, 0);
    }
    if (frame != NULL && spare[0] != NULL && spare[1] != NULL) {
        wired = vm_map_wire(map, dst, copy->size);
        error = wired;
        if (wired == VM_OK || wired == VM_E_PROT || wired == VM_E_BUSY) {
            error = overwrite_bytes(map, dst, copy, vm_page_data(frame),
                false);
        }
        if (error == VM_OK) {
            error = overwrite_bytes(map, dst, copy, vm_page_data(frame),
                true);
        }
        if (wired == VM_OK) {
            vm_map_unwire_mapped(map, dst, dst + copy->size, spare);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (spare[i] != NULL) {
            vm_map_entry_free(spare[i]);
        }
    }
    if (frame != NULL) {
        vm_page_free(frame);
    }
    return error;
}

/* Malformed before unmapped, whichever of the two it is. */
static int
copy_check(struct vm_map *src_map, vaddr_t src, vsize_t size,
    struct vm_map *dst_map, vaddr_t dst)
{
    int a = vm_map_range_check(src_map, src, size);
    int b = vm_map_range_check(dst_map, dst, size);
    struct vm_map_scan scan;

    if (a != VM_OK || b != VM_OK) {
        return a == VM_E_INVAL || b == VM_E_INVAL ? VM_E_INVAL :
            VM_E_ADDRESS;
    }
    vm_map_lock(dst_map);
    a = vm_map_scan(dst_map, dst, dst + size, false, &scan);
    vm_map_unlock(dst_map);
    return a;
}

int
vm_map_copy(struct vm_map *src_map, vaddr_t src, vsize_t size,
    struct vm_map *dst_map, vaddr_t dst)
{
    struct vm_map_entry *dead = NULL;
    struct vm_map_copy *copy;
    struct vm_map_scan scan;
    bool replace;
    int error = copy_check(src_map, src, size, dst_map, dst);

    if (error == VM_OK) {
        error = vm_map_copyin(src_map, src, size, &copy);
    }
    if (error != VM_OK) {
        return error;
    }
    error = vm_map_lock_range(dst_map, dst, size, false, &scan);
    if (error == VM_OK) {
        replace = overwrite_is_private(dst_map, dst, dst + size);
        if ((scan.all & VM_PROT_WRITE) == 0) {
            error = VM_E_PROT;
        } else if (replace) {
            error = overwrite_replace(dst_map, dst, copy, &dead);
        }
        vm_map_unlock(dst_map);
        vm_map_dispose(dst_map, dead);
        if (error == VM_OK && !replace) {
            error = overwrite_write(dst_map, dst, copy);
        }
    }
    vm_map_copy_discard(copy);
    return error;
}
