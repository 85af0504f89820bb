/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_paging.c - laws about pages that are away: what happens meanwhile
 * is not undone by their coming back, and what is on its way out is not
 * lost.
 */
#include <string.h>

#include "laws.h"

/* ---- a fault that sleeps ---------------------------------------------- */

static struct sleeper {
    struct vm_map *map;
    struct world_file *file;
    vaddr_t va;
    uint8_t seen[65536];
    int error;
} sleeper;

/* 0 puts other memory in the place of what 1 waits for. */
static void
sleeper_cpu(unsigned cpu, void *arg)
{
    struct vm_map_args a = {
        .addr = sleeper.va, .size = VM_PAGE_SIZE, .overwrite = true,
        .prot = VM_PROT_READ, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY, .mode = VM_MAP_SHARED,
    };
    vaddr_t va;

    (void)arg;
    if (cpu == 1) {
        sleeper.error = world_load(sleeper.map, sleeper.va, sleeper.seen,
            VM_PAGE_SIZE);
        return;
    }
    while (atomic_load(&sleeper.file->requests) == 0) {
        host_yield();
    }
    WORLD_OK(vm_map_enter(sleeper.map, &a, &va));
    atomic_store(&sleeper.file->silent, false);
}

void
law_sleeper(const struct world_config *c)
{
    static const uint8_t zero[65536];

    world_boot(c);
    sleeper.map = world_map_create();
    sleeper.file = world_file_create(6, 4, NULL);
    sleeper.va = law_map(sleeper.map, sleeper.file->object, 4,
        VM_MAP_SHARED) + VM_PAGE_SIZE;
    atomic_store(&sleeper.file->silent, true);
    world_run(2, sleeper_cpu, NULL);
    WORLD_OK(sleeper.error);
    if (memcmp(sleeper.seen, zero, VM_PAGE_SIZE) != 0) {
        world_fail("a fault that slept shows what was mapped before");
    }
    law_expect_zero(sleeper.map, sleeper.va);
    world_check();
    world_map_destroy(sleeper.map);
    world_file_close(sleeper.file);
    world_end();
}

/* ---- a page on its way to its pager ----------------------------------- */

/* What is written while an older write is under way gets home too. */
void
law_clean(const struct world_config *c)
{
    enum { PAGES = 3 };
    static const struct world_habits late = { .late = 100 };
    static uint8_t got[65536], want[65536];
    struct vm_map *map;
    struct world_file *f;
    vaddr_t va;

    world_boot(c);
    map = world_map_create();
    f = world_file_create(7, PAGES, &late);
    va = law_map(map, f->object, PAGES, VM_MAP_SHARED);
    for (uint64_t version = 1; version < 7; version += 2) {
        for (unsigned i = 0; i < PAGES; i++) {
            law_fill(map, va + i * VM_PAGE_SIZE, i, version);
        }
        WORLD_OK(vm_pager_clean_request(&f->pager, 0, PAGES));
        world_on(1);
        law_fill(map, va + VM_PAGE_SIZE, 1, version + 1);
        world_serve();
        WORLD_OK(vm_pager_flush(&f->pager, 0, PAGES));
        world_serve();
        for (unsigned i = 0; i < PAGES; i++) {
            uint64_t last = i == 1 ? version + 1 : version;

            world_file_read(f, i, got);
            world_fill(want, VM_PAGE_SIZE, 99, i, last);
            if (memcmp(got, want, VM_PAGE_SIZE) != 0) {
                world_fail("page %u: what was written last is lost", i);
            }
            law_expect(map, va + i * VM_PAGE_SIZE, i, last);
        }
        world_check();
    }
    world_map_destroy(map);
    world_file_close(f);
    world_end();
}

/* ---- a page in swap ---------------------------------------------------- */

/* The child's own pages are away, its parent's are there: no mixing up. */
void
law_around_swap(const struct world_config *c)
{
    enum { PAGES = 16 };
    struct world_config swapping = *c;
    struct vm_map *parent, *child;
    vaddr_t va = (vaddr_t)1 << 30;

    swapping.swap = 256;
    world_boot(&swapping);
    parent = world_map_create();
    WORLD_OK(vm_map_allocate(parent, &va, PAGES * VM_PAGE_SIZE, false));
    for (unsigned i = 0; i < PAGES; i++) {
        law_fill(parent, va + i * VM_PAGE_SIZE, i, 1);
    }
    child = world_map_fork(parent);
    for (unsigned i = 4; i < 10; i++) {
        law_fill(child, va + i * VM_PAGE_SIZE, i, 2);
    }
    for (unsigned round = 0; round < 4; round++) {
        (void)vm_pageout(3 * vm_page_count, vm_page_count);
        world_serve();
        world_on(round);
        for (unsigned i = 0; i < PAGES; i++) {
            law_expect(parent, va + i * VM_PAGE_SIZE, i, 1);
        }
        for (unsigned i = 0; i < PAGES; i++) {
            unsigned k = (i * 5 + round) % PAGES;

            law_expect(child, va + k * VM_PAGE_SIZE, k,
                k >= 4 && k < 10 ? 2 : 1);
        }
        world_check();
    }
    world_map_destroy(parent);
    world_map_destroy(child);
    world_end();
}

/* ---- frames that go while others look ---------------------------------- */

#define UNMAP_PAGES     4u

static struct unmap {
    struct vm_map *map;
    vaddr_t va, other;
    _Atomic bool over;
} unmap;

/* 0 maps and unmaps; what the others see at va was never elsewhere. */
static void
unmap_cpu(unsigned cpu, void *arg)
{
    uint64_t word;

    (void)arg;
    for (unsigned round = 0; cpu == 0 && round < 12; round++) {
        for (unsigned where = 0; where < 2; where++) {
            vaddr_t va = where == 0 ? unmap.va : unmap.other;

            WORLD_OK(vm_map_allocate(unmap.map, &va,
                UNMAP_PAGES * VM_PAGE_SIZE, false));
            for (unsigned i = 0; i < UNMAP_PAGES; i++) {
                world_store64(unmap.map, va + i * VM_PAGE_SIZE,
                    va + i * VM_PAGE_SIZE);
                host_yield();
            }
            WORLD_OK(vm_map_deallocate(unmap.map, va,
                UNMAP_PAGES * VM_PAGE_SIZE));
        }
    }
    if (cpu == 0) {
        atomic_store(&unmap.over, true);
    }
    for (unsigned i = cpu; cpu != 0 && !atomic_load(&unmap.over); i++) {
        vaddr_t va = unmap.va + i % UNMAP_PAGES * VM_PAGE_SIZE;

        if (world_load(unmap.map, va, &word, sizeof(word)) == VM_OK &&
            word != 0 && word != va) {
            world_fail("CPU %u reads %#llx at %#llx", cpu,
                (unsigned long long)word, (unsigned long long)va);
        }
        host_yield();
    }
}

void
law_unmap(const struct world_config *c)
{
    world_boot(c);
    unmap.map = world_map_create();
    unmap.va = (vaddr_t)1 << 30;
    unmap.other = unmap.va + 64 * VM_PAGE_SIZE;
    atomic_store(&unmap.over, false);
    world_run(3, unmap_cpu, NULL);
    world_check();
    world_map_destroy(unmap.map);
    world_end();
}
