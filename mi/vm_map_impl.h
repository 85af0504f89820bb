/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_impl.h - what the files that work on address maps share:
 * vm_map*.c.  Nobody else includes it, but their tests.
 *
 * How an operation on a range is made, everywhere:
 *
 *   vm_map_lock_range   arguments, bounds, holes; nobody in transition
 *   (rights)            from what the scan gathered
 *   vm_map_clip_range   the range begins and ends at entries: may fail, and
 *                       then nothing has changed
 *   seq begin           from here nothing fails
 *     edit, pmap_remove / pmap_protect
 *   seq end
 *   vm_map_merge_range  undo clips that were not needed
 *   unlock
 *   vm_map_dispose      objects of entries that went
 */
#ifndef VM_MAP_IMPL_H
#define VM_MAP_IMPL_H

#include "vm_fault.h"
#include "vm_mutant.h"
#include "vm_pager.h"
#include "vm_stat.h"
#include "vm_zone.h"
#include "pmap.h"

#define VM_MAP_NO_WRITE (VM_PROT_READ | VM_PROT_EXEC)

/* Everything in attr but the states that belong to one entry's memory. */
#define VM_ATTR_POLICY  (0xffu | VM_ATTR_LARGE | VM_ATTR_COPIED)

/* More steps than the tallest tree: a longer walk met an edit. */
#define VM_MAP_WALK     64u

/*
 * Links that lock-free readers follow.  A new entry is filled before
 * vm_seq_begin(), whose fence orders that before the link; the reader's
 * loads are ordered by their address dependency.  ThreadSanitizer knows
 * neither, so it gets the release and acquire that they amount to.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VM_MAP_LINK_LOAD        memory_order_acquire
#define VM_MAP_LINK_STORE       memory_order_release
#endif
#endif
#ifndef VM_MAP_LINK_LOAD
#define VM_MAP_LINK_LOAD        memory_order_relaxed
#define VM_MAP_LINK_STORE       memory_order_relaxed
#endif
#define link_get(p)     atomic_load_explicit((p), VM_MAP_LINK_LOAD)
#define link_set(p, v)  atomic_store_explicit((p), (v), VM_MAP_LINK_STORE)

static inline vm_pgno_t
vm_map_entry_pages(struct vm_map_entry *e)
{
    return (vm_get(&e->end) - vm_get(&e->start)) >> vm_page_shift;
}

/* Page of e's object at va. */
static inline vm_pgno_t
vm_map_entry_pgno(struct vm_map_entry *e, vaddr_t va)
{
    return vm_get(&e->pgno) + ((va - vm_get(&e->start)) >> vm_page_shift);
}

static inline bool
vm_map_is_locked(struct vm_map *map)
{
    return vm_mutex_is_locked(&map->lock);
}

/*
 * vm_map_tree.c.  insert, remove and moved (start or end changed, order
 * did not) want the sequence begun, unless nobody else can see the map.
 */
void vm_map_tree_insert(struct vm_map *map, struct vm_map_entry *e);
/* The same before next, NULL: at the end. */
void vm_map_tree_insert_before(struct vm_map *map, struct vm_map_entry *e,
    struct vm_map_entry *next);
void vm_map_tree_remove(struct vm_map *map, struct vm_map_entry *e);
void vm_map_tree_moved(struct vm_map *map, struct vm_map_entry *e);
/*
 * For a map that nobody else can see: entries in order, without a tree, and
 * then the tree of them all at once, in linear time.
 */
void vm_map_tree_append(struct vm_map *map, struct vm_map_entry *e);
void vm_map_tree_build(struct vm_map *map);
/* The lowest entry that ends above va, or NULL. */
struct vm_map_entry *vm_map_tree_find(struct vm_map *map, vaddr_t va);
/* The entry that holds va, without a lock; bounded; NULL is a guess. */
struct vm_map_entry *vm_map_tree_walk(struct vm_map *map, vaddr_t va);
/* The lowest hole at or above from, else the lowest; VM_E_NOSPACE. */
int vm_map_tree_space(struct vm_map *map, vaddr_t from, vsize_t size,
    vsize_t align, vaddr_t *addr) VM_MUST_CHECK;
/* The same, and the entry behind the hole or NULL. */
int vm_map_tree_hole(struct vm_map *map, vaddr_t from, vsize_t size,
    vsize_t align, vaddr_t *addr, struct vm_map_entry **next) VM_MUST_CHECK;
void vm_map_tree_check(struct vm_map *map);

/* vm_map.c: entries and ranges. */

/* vm_map_create(), but not yet in the list of all maps. */
int vm_map_make(struct vm_map **out) VM_MUST_CHECK;

/* A filled entry in no map; VM_PAGE-aligned bounds, no wiring. */
struct vm_map_entry *vm_map_entry_alloc(vaddr_t start, vaddr_t end,
    struct vm_object *object, vm_pgno_t pgno, uint32_t attr);
void vm_map_entry_free(struct vm_map_entry *e);

struct vm_map_scan {
    struct vm_map_entry *first; /* first entry in the range, or NULL */
    uint32_t all, any;          /* AND and OR of attr */
    unsigned wired_max;
};
/* VM_E_ADDRESS for a hole, unless holes are welcome. */
int vm_map_scan(struct vm_map *map, vaddr_t start, vaddr_t end, bool holes,
    struct vm_map_scan *scan) VM_MUST_CHECK;
/* Arguments of an operation: VM_E_INVAL, VM_E_ADDRESS. */
int vm_map_range_check(const struct vm_map *map, vaddr_t start,
    vsize_t size) VM_MUST_CHECK;
/* Both, with the map locked on success and nobody in transition. */
int vm_map_lock_range(struct vm_map *map, vaddr_t start, vsize_t size,
    bool holes, struct vm_map_scan *scan) VM_MUST_CHECK;

void vm_map_lock(struct vm_map *map);
void vm_map_unlock(struct vm_map *map);
/* Sleep until some transition is over; unlocks and locks the map. */
int vm_map_wait(struct vm_map *map, bool interruptible);
/* Transitions are over: wake who waits for that; map locked. */
void vm_map_settled(struct vm_map *map);

/* Make start and end boundaries of entries; VM_E_NOMEM, all unchanged. */
int vm_map_clip_range(struct vm_map *map, vaddr_t start, vaddr_t end)
    VM_MUST_CHECK;
/* The same with entries from vm_map_entry_alloc(); those used become NULL. */
void vm_map_clip_spare(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_entry *spare[2]);
/* Is b, right after a, the same memory as a would go on with? */
bool vm_map_entry_continues(struct vm_map_entry *a, struct vm_map_entry *b);
/* Merge all that can be merged at boundaries in [start, end]. */
unsigned vm_map_merge_range(struct vm_map *map, vaddr_t start,
    vaddr_t end);

/* Sequence begun: take [start, end) out, a list by next. */
struct vm_map_entry *vm_map_unlink_range(struct vm_map *map, vaddr_t start,
    vaddr_t end);
/* Entries that were map's: give memory back.  No translation is left. */
void vm_map_dispose(struct vm_map *map, struct vm_map_entry *list);

/* Give e an object; for a write, one of its own.  Map locked. */
int vm_map_resolve(struct vm_map *map, struct vm_map_entry *e, bool write)
    VM_MUST_CHECK;

/* Do others write e's object, so that a copy of it must be a snapshot? */
bool vm_map_entry_is_shared(struct vm_map_entry *e);

/* vm_map_copy.c */
void vm_map_copy_bootstrap(void);

/*
 * vm_map_list.c.  add: others find it from now on, so what it is made of is
 * complete or locked.  remove: its last reference has gone.
 */
void vm_map_list_bootstrap(void);
void vm_map_list_add(struct vm_map *map);
void vm_map_list_remove(struct vm_map *map);

/*
 * vm_map_config.c: map, empty and in no list, gets tables like those of
 * from, which is locked: VM_E_NOMEM.
 */
int vm_map_configure_like(struct vm_map *map, struct vm_map *from)
    VM_MUST_CHECK;

/* vm_map_doze.c */
void vm_map_doze_bootstrap(void);
void vm_map_hints_drop(struct vm_map *map);

/*
 * vm_map_wire.c: e is wired in place and about to become writable: wire
 * copies instead.  Map locked, e starts and ends with what the caller
 * wants; unlocks meanwhile, so the caller looks again.
 */
int vm_map_rewire(struct vm_map *map, struct vm_map_entry *e)
    VM_MUST_CHECK;
/* One wiring less, wherever [start, end) is still mapped and wired. */
void vm_map_unwire_mapped(struct vm_map *map, vaddr_t start, vaddr_t end,
    struct vm_map_entry *spare[2]);

#endif
