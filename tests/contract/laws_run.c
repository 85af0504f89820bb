/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_run.c - memory that is found and mapped by the run: nothing that
 * happens to one of its pages happens to another.
 */
#include <string.h>

#include "laws.h"
#include "vm_stat.h"

enum { MAPS = 3, SLOTS = 24, RUNS = 2, STEPS = 160 };

/* What each map should read in the pages that are looked at. */
static struct run_world {
    struct vm_map *map[MAPS];
    uint64_t word[MAPS][SLOTS];
    vaddr_t va;                 /* of the memory: RUNS runs, and edges */
    vsize_t size;
    uint64_t version;
} w;

/* Pages at the edges of runs, and some between. */
static vaddr_t
slot_va(unsigned i)
{
    vsize_t run = (vsize_t)1 << 21;
    vaddr_t first = (w.va + run - 1) & ~(run - 1);

    switch (i % 6) {
    case 0:
        return first + i / 6 * (run / 2);
    case 1:
        return first + i / 6 * (run / 2) + VM_PAGE_SIZE;
    case 2:
        return first + (i / 6 + 1) * (run / 2) - VM_PAGE_SIZE;
    case 3:
        return w.va + i / 6 * VM_PAGE_SIZE;
    default:
        return first + i / 6 * (run / 2) + (i % 6) * 5 * VM_PAGE_SIZE;
    }
}

static uint64_t
leaves(void)
{
    struct pmap_events e;

    pmap_events(&e);
    return e.large;
}

static void
expect_all(void)
{
    for (unsigned m = 0; m < MAPS; m++) {
        for (unsigned i = 0; w.map[m] != NULL && i < SLOTS; i++) {
            uint64_t word = world_load64(w.map[m], slot_va(i));

            if (word != w.word[m][i]) {
                world_fail("map %u, page %u: %llu instead of %llu", m, i,
                    (unsigned long long)word,
                    (unsigned long long)w.word[m][i]);
            }
        }
    }
}

static void
store(unsigned m, unsigned i)
{
    w.word[m][i] = ++w.version;
    world_store64(w.map[m], slot_va(i), w.version);
}

static void
fork_or_end(unsigned m)
{
    unsigned n = (unsigned)world_random(MAPS);

    if (n == m) {
        return;
    }
    if (w.map[n] != NULL) {
        world_map_destroy(w.map[n]);
        w.map[n] = NULL;
    } else {
        w.map[n] = world_map_fork(w.map[m]);
        memcpy(w.word[n], w.word[m], sizeof(w.word[n]));
    }
}

static void
change(unsigned m, unsigned i)
{
    struct vm_map *map = w.map[m];
    vaddr_t va = slot_va(i);

    switch (world_random(9)) {
    case 0:
        WORLD_OK(vm_map_protect(map, va, VM_PAGE_SIZE, VM_PROT_READ,
            false));
        WORLD_CHECK(world_store(map, va, &w.version, 8) == VM_E_PROT);
        WORLD_OK(vm_map_protect(map, va, VM_PAGE_SIZE,
            VM_PROT_READ | VM_PROT_WRITE, false));
        break;
    case 1:
        WORLD_OK(vm_map_reset(map, va, VM_PAGE_SIZE));
        w.word[m][i] = 0;
        break;
    case 2:
        WORLD_OK(vm_map_wire(map, va, VM_PAGE_SIZE));
        WORLD_OK(pmap_discard(map->pmap));
        WORLD_OK(vm_map_unwire(map, va, VM_PAGE_SIZE));
        break;
    case 3:
        WORLD_OK(vm_map_advise_large(map, w.va, w.size,
            world_random(3) != 0));
        break;
    case 4:
        WORLD_OK(pmap_discard_range(map->pmap, va, va + VM_PAGE_SIZE));
        break;
    case 5:
        WORLD_OK(pmap_discard_table(map->pmap, va));
        break;
    case 6:
        WORLD_OK(pmap_discard(map->pmap));
        break;
    case 7:
        (void)vm_pageout(2048, 64);
        break;
    default:
        fork_or_end(m);
        break;
    }
}

static bool
boot(const struct world_config *c)
{
    struct world_config k = *c;

    if (k.page_shift == 0) {
        k.page_shift = pmap_format_page_shift(k.format);
    }
    k.ram = ((uint64_t)24 << 20) >> k.page_shift;
    k.swap = 4096;
    world_boot(&k);
    memset(&w, 0, sizeof(w));
    w.map[0] = world_map_create();
    w.size = (RUNS + 1) * ((vsize_t)1 << 21);
    w.va = ((vaddr_t)1 << 30) - 37 * VM_PAGE_SIZE;
    WORLD_OK(vm_map_allocate(w.map[0], &w.va, w.size, false));
    WORLD_OK(vm_map_advise_large(w.map[0], w.va, w.size, true));
    return pmap_large_shift(w.map[0]->pmap) == 21;
}

static void
end(void)
{
    for (unsigned m = 0; m < MAPS; m++) {
        if (w.map[m] != NULL) {
            world_map_destroy(w.map[m]);
        }
    }
    world_end();
}

/* Filled by the run, forgotten and entered again by the run. */
void
law_run(const struct world_config *c)
{
    bool large = boot(c);
    uint64_t faults, before;

    before = leaves();
    store(0, 0);
    WORLD_CHECK(leaves() - before == large);
    faults = world_faults();
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slot_va(i) - slot_va(0) < (vsize_t)1 << 21) {
            WORLD_CHECK(i == 0 || world_load64(w.map[0], slot_va(i)) == 0);
        }
    }
    /* One fault to remember that it is there, where that is remembered. */
    WORLD_CHECK(!large || world_faults() <= faults + 1);
    WORLD_OK(pmap_discard(w.map[0]->pmap));
    before = leaves();
    store(0, 1);
    WORLD_CHECK(leaves() - before == large);
    /* A page that is protected alone, and allowed again. */
    WORLD_OK(vm_map_protect(w.map[0], slot_va(2), VM_PAGE_SIZE,
        VM_PROT_READ, false));
    WORLD_CHECK(world_store(w.map[0], slot_va(2), &before, 8) ==
        VM_E_PROT);
    store(0, 0);
    expect_all();
    world_check();
    end();
}

/* Anything, in any order. */
void
law_run_random(const struct world_config *c)
{
    (void)boot(c);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned m = (unsigned)world_random(MAPS);

        if (w.map[m] == NULL) {
            continue;
        }
        world_on((unsigned)world_random(world.config.cpus));
        if (world_random(2) == 0) {
            store(m, (unsigned)world_random(SLOTS));
        } else {
            change(m, (unsigned)world_random(SLOTS));
        }
        if (step % 16 == 15) {
            expect_all();
            world_check();
        }
        if (w.map[0] == NULL && w.map[1] == NULL && w.map[2] == NULL) {
            break;
        }
    }
    expect_all();
    end();
}

/* Memory ends somewhere in the middle: smaller pages, and no harm. */
void
law_run_no_memory(const struct world_config *c)
{
    bool large = boot(c);
    uint64_t word;

    (void)large;
    for (long n = 1; n < 40; n++) {
        unsigned i = (unsigned)n % SLOTS;
        int error;

        w.version++;
        host_fail_after(n);
        error = world_store(w.map[0], slot_va(i), &w.version, 8);
        host_fail_after(0);
        WORLD_CHECK(error == VM_OK || error == VM_E_NOMEM);
        w.word[0][i] = error == VM_OK ? w.version : w.word[0][i];
        WORLD_OK(world_load(w.map[0], slot_va(i), &word, 8));
        WORLD_CHECK(word == w.word[0][i]);
        WORLD_OK(vm_map_reset(w.map[0], w.va, w.size));
        memset(w.word, 0, sizeof(w.word));
        WORLD_OK(pmap_discard(w.map[0]->pmap));
        (void)pmap_reap(true);
        world_check();
    }
    expect_all();
    end();
}
