/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_config.c - other page tables for a map, while its threads run.
 *
 * The map's lock keeps entries where they are, so what the new tables reach
 * is decided once.  The change is a revocation of all there is: the
 * sequence is odd meanwhile, and a fault that looked up before cannot enter
 * an address of the old format into tables of the new one.
 *
 *   lock --> nothing out of reach? --> seq odd --> pmap_configure()
 *        --> bounds of the new format --> seq even --> unlock
 *
 * The bounds are read without the lock by who can do with a guess; every
 * operation on the map reads them with it.
 *
 * Locks: the map's.
 */
#include "vm_map_impl.h"
#include "pmap_ctl.h"

static void
config_bounds(struct vm_map *map)
{
    vaddr_t start, end;

    pmap_bounds(map->pmap, &start, &end);
    vm_set(&map->start, start);
    vm_set(&map->end, end);
    if (map->first != NULL) {
        /* The hole before it begins elsewhere. */
        vm_map_tree_moved(map, map->first);
    }
}

static bool
config_reaches(struct vm_map *map, const struct pmap_config *config)
{
    vaddr_t start, end;

    pmap_config_bounds(config, &start, &end);
    return map->first == NULL || (vm_get(&map->first->start) >= start &&
        vm_get(&map->last->end) <= end);
}

int
vm_map_configure(struct vm_map *map, const struct pmap_config *config)
{
    int error = VM_E_NOSPACE;

    if (config->format >= pmap_format_count() ||
        pmap_format_page_shift(config->format) > vm_page_shift) {
        return VM_E_INVAL;
    }
    vm_map_lock(map);
    if (config_reaches(map, config)) {
        vm_seq_begin(&map->seq);
        error = pmap_configure(map->pmap, config);
        if (error == VM_OK) {
            config_bounds(map);
        }
        vm_seq_end(&map->seq);
    }
    vm_map_unlock(map);
    return error;
}

int
vm_map_configure_like(struct vm_map *map, struct vm_map *from)
{
    struct pmap_config have, want;
    int error;

    pmap_config(map->pmap, &have);
    pmap_config(from->pmap, &want);
    if (have.format == want.format && have.tagged == want.tagged &&
        have.large == want.large) {
        return VM_OK;
    }
    vm_seq_begin(&map->seq);
    while ((error = pmap_configure(map->pmap, &want)) == VM_E_BUSY) {
        /* Somebody who walks through all pmaps discards what is not there. */
        kern_relax();
    }
    if (error == VM_OK) {
        config_bounds(map);
    }
    vm_seq_end(&map->seq);
    return error;
}
