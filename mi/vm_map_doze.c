/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_doze.c - a map whose threads all sleep holds no page tables.
 *
 *   doze   translations --> runs of pages, the 32 that weigh most
 *          then evict all tables and the root
 *   wake   each page of each run: entered again if it is still mapped,
 *          resident and readable, with the neighbours that a fault brings
 *
 * A hint is an address and no more: what it leads to is looked up when the
 * map wakes, so nothing that happens to map, objects or pages meanwhile
 * need know of it.  A page weighs more if the core map says that it was
 * referenced; the tables' own marks are not asked for, since finding them
 * means a walk through each page's reverse map.
 *
 * Locks: the map's, for the list; those of a fault, for each page.
 */
#include "vm_fault_impl.h"
#include "vm_map_impl.h"
#include "pmap_ctl.h"

#define DOZE_RUNS       32u
#define DOZE_RUN_PAGES  256u    /* at most in one run */
#define DOZE_LOOK       65536u  /* translations looked at */
#define WAKE_PAGES      512u    /* at most entered again */
#define REFERENCED      3u      /* weight of a referenced page */

struct doze_run {
    uint64_t page : 48;         /* va >> vm_page_shift */
    uint64_t count : 16;
};

struct vm_hints {
    void *zone_link;
    uint64_t count;
    struct doze_run run[DOZE_RUNS];
};

/* The list in the making: the run that grows is not in it yet. */
struct doze {
    struct vm_hints *hints;
    uint32_t weight[DOZE_RUNS];
    struct doze_run run;
    uint32_t run_weight;
    uint32_t looked;
};

static struct vm_zone hints_zone;

void
vm_map_doze_bootstrap(void)
{
    vm_zone_init(&hints_zone, "vm_hints", sizeof(struct vm_hints));
}

void
vm_map_hints_drop(struct vm_map *map)
{
    struct vm_hints *hints = vm_get(&map->hints);

    if (hints != NULL) {
        vm_set(&map->hints, NULL);
        vm_zone_free(&hints_zone, hints);
    }
}

/* The run is complete: is it worth a place? */
static void
doze_run_end(struct doze *d)
{
    struct vm_hints *h = d->hints;
    unsigned at = 0;

    if (d->run.count == 0) {
        return;
    }
    if (h->count < DOZE_RUNS) {
        at = (unsigned)h->count++;
    } else {
        for (unsigned i = 1; i < DOZE_RUNS; i++) {
            at = d->weight[i] < d->weight[at] ? i : at;
        }
        if (d->weight[at] >= d->run_weight) {
            return;
        }
    }
    h->run[at] = d->run;
    d->weight[at] = d->run_weight;
}

static int
doze_mapping(void *arg, const struct pmap_mapping *m)
{
    struct vm_page *page = vm_page_of(m->pa);
    uint64_t number = m->va >> vm_page_shift;
    struct doze *d = arg;

    if (page == NULL) {
        /* A device's: looking for it again is a fault's business. */
        return 0;
    }
    if (d->run.count == DOZE_RUN_PAGES ||
        number != d->run.page + d->run.count) {
        doze_run_end(d);
        d->run.page = number & (((uint64_t)1 << 48) - 1);
        d->run.count = 0;
        d->run_weight = 0;
    }
    d->run.count++;
    d->run_weight += (vm_page_flags(page) & VM_PG_REFERENCED) != 0 ?
        REFERENCED : 1;
    return ++d->looked == DOZE_LOOK;
}

int
vm_map_doze(struct vm_map *map)
{
    struct doze d = { .hints = vm_zone_alloc(&hints_zone) };

    if (d.hints != NULL) {
        d.hints->count = 0;
        vm_map_lock(map);
        (void)pmap_audit(map->pmap, doze_mapping, &d);
        doze_run_end(&d);
        if (d.hints->count > 0) {
            vm_map_hints_drop(map);
            vm_set(&map->hints, d.hints);
        }
        vm_map_unlock(map);
        if (d.looked == 0) {
            /* It sleeps on: what is known of it stays. */
            vm_zone_free(&hints_zone, d.hints);
        }
    }
    return pmap_evict(map->pmap);
}

/* VM_E_NOMEM: there is no room for tables, so let it be. */
static int
wake_run(struct vm_map *map, struct doze_run run, unsigned *left)
{
    vaddr_t va = (vaddr_t)run.page << vm_page_shift;
    int error = VM_OK;

    for (unsigned n = run.count; n > 0 && *left > 0 &&
        error != VM_E_NOMEM; n--, (*left)--, va += VM_PAGE_SIZE) {
        error = vm_fault_resident(map, va);
    }
    return error;
}

void
vm_map_wake(struct vm_map *map)
{
    unsigned left = WAKE_PAGES;
    struct vm_hints *hints;

    if (vm_get(&map->hints) == NULL) {
        return;
    }
    vm_map_lock(map);
    hints = vm_get(&map->hints);
    vm_set(&map->hints, NULL);
    vm_map_unlock(map);
    if (hints == NULL) {
        return;
    }
    for (unsigned i = 0; i < hints->count; i++) {
        if (wake_run(map, hints->run[i], &left) == VM_E_NOMEM) {
            break;
        }
    }
    vm_zone_free(&hints_zone, hints);
}
