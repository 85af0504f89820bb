/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_list.c - all maps that there are.
 *
 *   newest <-> ... <-> oldest
 *
 * A map is in the list from when it is complete until its last reference
 * goes, which takes no lock: so who finds a map here takes a reference only
 * if there still is one.  A walk goes from the newest to the oldest, and
 * ends however many are made meanwhile.
 *
 * Locks: maps_lock (rank MAPS, takes nothing inside).
 */
#include "vm_map_impl.h"

static struct vm_spin maps_lock = VM_SPIN_INIT(VM_RANK_MAPS);
static struct vm_map *maps_first;       /* (l) */
static uint64_t maps_count;             /* (l) */

void
vm_map_list_bootstrap(void)
{
    maps_lock = (struct vm_spin)VM_SPIN_INIT(VM_RANK_MAPS);
    maps_first = NULL;
    maps_count = 0;
}

void
vm_map_list_add(struct vm_map *map)
{
    vm_spin_lock(&maps_lock);
    map->all_prev = NULL;
    map->all_next = maps_first;
    if (maps_first != NULL) {
        maps_first->all_prev = map;
    }
    maps_first = map;
    maps_count++;
    vm_spin_unlock(&maps_lock);
}

void
vm_map_list_remove(struct vm_map *map)
{
    struct vm_map *next, *prev;

    vm_spin_lock(&maps_lock);
    next = map->all_next;
    prev = map->all_prev;
    *(prev == NULL ? &maps_first : &prev->all_next) = next;
    if (next != NULL) {
        next->all_prev = prev;
    }
    maps_count--;
    vm_spin_unlock(&maps_lock);
}

/* A reference, unless the last one has gone. */
static bool
list_ref(struct vm_map *map)
{
    uint32_t refs = vm_get(&map->ref_count);

    while (refs != 0) {
        if (atomic_compare_exchange_weak_explicit(&map->ref_count, &refs,
                refs + 1, memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* The first from map on that can be referenced, or NULL. */
static struct vm_map *
list_first(struct vm_map *map)
{
    while (map != NULL && !list_ref(map)) {
        map = map->all_next;
    }
    return map;
}

struct vm_map *
vm_map_next(struct vm_map *after)
{
    struct vm_map *map;

    vm_spin_lock(&maps_lock);
    map = list_first(after == NULL ? maps_first : after->all_next);
    vm_spin_unlock(&maps_lock);
    if (after != NULL) {
        vm_map_unref(after);
    }
    return map;
}

struct vm_map *
vm_map_pick(uint64_t n)
{
    struct vm_map *map, *found;

    vm_spin_lock(&maps_lock);
    n = maps_count == 0 ? 0 : n % maps_count;
    for (map = maps_first; n > 0; n--) {
        map = map->all_next;
    }
    found = list_first(map);
    if (found == NULL) {
        found = list_first(maps_first);
    }
    vm_spin_unlock(&maps_lock);
    return found;
}
