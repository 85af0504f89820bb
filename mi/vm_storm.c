/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_storm.c - discard anything, at any moment.
 *
 * A blow is a kind, a map and an address, all drawn from the seed; what it
 * does is one call of pmap_ctl.h or vm_map.h that anybody might make at this
 * moment.  Nothing here knows what the programs are doing, which is the point.
 *
 * Maps are drawn from the list of all maps, each as likely as any other;
 * addresses from a map's entries, likewise, so that the one page of a stack
 * is met as often as a gigabyte of file.
 *
 * Locks: none held; the map's while an address is drawn.
 */
#include "vm_storm.h"
#include "vm_map_impl.h"
#include "pmap_ctl.h"

#define STORM_RANGE     64u     /* pages, at most */
#define STORM_ENTRIES   1024u   /* of a map: those that addresses come from */
#define STORM_ROOM      8u      /* tables over the floor, at least ... */
#define STORM_SPREAD    300u    /* ... and up to so many more */
#define STORM_PATIENCE  64u     /* tries to put a map back */

const char *const vm_storm_names[VM_STORM_KINDS] = {
    [VM_STORM_PAGE] = "page",
    [VM_STORM_RANGE] = "range",
    [VM_STORM_TABLE] = "table",
    [VM_STORM_PMAP] = "pmap",
    [VM_STORM_ALL] = "all",
    [VM_STORM_BUDGET] = "budget",
    [VM_STORM_IDLE] = "idle",
    [VM_STORM_FORMAT] = "format",
    [VM_STORM_ASID] = "asid",
    [VM_STORM_SPLIT] = "split",
    [VM_STORM_AUDIT] = "audit",
};

/* splitmix64 */
static uint64_t
storm_random(struct vm_storm *s, uint64_t below)
{
    uint64_t x = s->random += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % below;
}

/* A page that is mapped; VM_E_ADDRESS: there is none. */
static int
storm_address(struct vm_storm *s, struct vm_map *map, vaddr_t *va)
{
    uint64_t entry = storm_random(s, STORM_ENTRIES);
    uint64_t page = storm_random(s, UINT64_MAX);
    struct vm_map_entry *e;

    vm_map_lock(map);
    e = map->first;
    if (e != NULL) {
        for (entry %= map->entries; entry > 0; entry--) {
            e = e->next;
        }
        *va = vm_get(&e->start) +
            (page % vm_map_entry_pages(e) << vm_page_shift);
    }
    vm_map_unlock(map);
    return e != NULL ? VM_OK : VM_E_ADDRESS;
}

static int
storm_range(struct vm_storm *s, struct vm_map *map, vaddr_t va)
{
    vsize_t size = (1 + storm_random(s, STORM_RANGE)) << vm_page_shift;
    vaddr_t end = vm_get(&map->end);

    if (va < end && end - va < size) {
        size = end - va;
    }
    return pmap_discard_range(map->pmap, va, va + size);
}

/* One of the formats that fit, other than the one it has. */
static int
storm_format(struct vm_storm *s, struct vm_map *map)
{
    unsigned n = pmap_format_count(), turn;
    struct pmap_config config;

    pmap_config(map->pmap, &config);
    turn = 1 + (unsigned)storm_random(s, n);
    do {
        config.format = (config.format + 1) % n;
        turn -= pmap_format_page_shift(config.format) <= vm_page_shift;
    } while (turn > 0);
    config.tagged = storm_random(s, 2) != 0;
    return vm_map_configure(map, &config);
}

static int
storm_split(struct vm_map *map)
{
    struct pmap_config config;

    pmap_config(map->pmap, &config);
    config.large = !config.large;
    return vm_map_configure(map, &config);
}

/* The machine's budget or, now and then, one map's; sometimes none. */
static int
storm_budget(struct vm_storm *s, struct vm_map *map)
{
    uint64_t lowest = pmap_budget_floor() + STORM_ROOM;
    uint64_t tables = s->budget != 0 ? s->budget : lowest;
    uint64_t what = storm_random(s, 8);

    /* Half of them near the lowest. */
    tables += storm_random(s, what % 2 == 0 ? STORM_ROOM : STORM_SPREAD);
    if (what < 2) {
        return pmap_set_limit(map->pmap, what == 0 ? tables : 0);
    }
    return pmap_set_budget(what == 7 ? 0 : tables);
}

static int
storm_idle(struct vm_storm *s, struct vm_map *map)
{
    int error = vm_map_doze(map);

    if (storm_random(s, 4) == 0) {
        vm_map_wake(map);
    }
    return error;
}

static int
storm_strike(struct vm_storm *s, enum vm_storm_kind kind,
    struct vm_map *map)
{
    vaddr_t va = 0;
    int error = VM_OK;

    if (kind <= VM_STORM_TABLE) {
        error = storm_address(s, map, &va);
        if (error != VM_OK) {
            return error;
        }
    }
    switch (kind) {
    case VM_STORM_PAGE:
        return pmap_discard_range(map->pmap, va, va + VM_PAGE_SIZE);
    case VM_STORM_RANGE:
        return storm_range(s, map, va);
    case VM_STORM_TABLE:
        return pmap_discard_table(map->pmap, va);
    case VM_STORM_PMAP:
        return pmap_discard(map->pmap);
    case VM_STORM_ALL:
        (void)pmap_discard_all();
        break;
    case VM_STORM_BUDGET:
        return storm_budget(s, map);
    case VM_STORM_IDLE:
        return storm_idle(s, map);
    case VM_STORM_FORMAT:
        return storm_format(s, map);
    case VM_STORM_ASID:
        pmap_roll_asids();
        break;
    case VM_STORM_SPLIT:
        return storm_split(map);
    case VM_STORM_AUDIT:
        (void)vm_map_heal(map, false, NULL, NULL);
        break;
    case VM_STORM_KINDS:
        break;
    }
    return VM_OK;
}

void
vm_storm_begin(struct vm_storm *s, uint32_t kinds, uint64_t seed)
{
    struct pmap_budget budget;

    KASSERT(kinds != 0 && kinds >> VM_STORM_KINDS == 0);
    *s = (struct vm_storm){ .random = seed, .kinds = kinds };
    pmap_budget(&budget);
    s->budget_before = budget.limit;
}

enum vm_storm_kind
vm_storm_step(struct vm_storm *s)
{
    unsigned turn = (unsigned)storm_random(s,
        (unsigned)__builtin_popcount(s->kinds));
    uint32_t left = s->kinds;
    enum vm_storm_kind kind;
    struct vm_map *map;
    int error = VM_E_ADDRESS;

    for (; turn > 0; turn--) {
        left &= left - 1;
    }
    kind = (enum vm_storm_kind)__builtin_ctz(left);
    map = vm_map_pick(storm_random(s, UINT64_MAX));
    if (map != NULL) {
        error = storm_strike(s, kind, map);
        vm_map_unref(map);
    }
    (error == VM_OK ? s->done : s->refused)[kind]++;
    return kind;
}

/* map's tables as those of a new map, where blows may have changed them. */
static void
storm_calm(const struct vm_storm *s, struct vm_map *map,
    const struct pmap_config *calm)
{
    unsigned tries = 0;
    struct pmap_config now;

    if ((s->kinds & 1u << VM_STORM_BUDGET) != 0) {
        (void)!pmap_set_limit(map->pmap, 0);
    }
    if ((s->kinds & (1u << VM_STORM_FORMAT | 1u << VM_STORM_SPLIT)) == 0) {
        return;
    }
    pmap_config(map->pmap, &now);
    if (now.format != calm->format || now.tagged != calm->tagged ||
        now.large != calm->large) {
        while (vm_map_configure(map, calm) == VM_E_BUSY &&
            tries++ < STORM_PATIENCE) {
            /* Held for progress: a thread is getting on. */
            kern_relax();
        }
    }
}

void
vm_storm_end(struct vm_storm *s)
{
    struct vm_map *map, *new;
    struct pmap_config calm;

    if (s->kinds & 1u << VM_STORM_BUDGET) {
        (void)!pmap_set_budget(s->budget_before);
    }
    if ((s->kinds & (1u << VM_STORM_BUDGET | 1u << VM_STORM_FORMAT |
            1u << VM_STORM_SPLIT)) == 0 || vm_map_create(&new) != VM_OK) {
        return;
    }
    pmap_config(new->pmap, &calm);
    for (map = vm_map_next(NULL); map != NULL; map = vm_map_next(map)) {
        storm_calm(s, map, &calm);
    }
    vm_map_unref(new);
}
