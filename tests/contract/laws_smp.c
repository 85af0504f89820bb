/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_smp.c - laws that need several CPUs at once, and laws about what is
 * left after very long histories.
 */
#include "laws.h"
#include "vm_stat.h"

/* ---- law 4 ------------------------------------------------------------ */

#define WORDS   3u

static struct race {
    struct vm_map *writer, *reader[2];
    vaddr_t va;
    _Atomic uint64_t published[WORDS];
    _Atomic bool over;
} race;

/* What was published before a load is the least that it may see. */
static void
watch(struct vm_map *map)
{
    uint64_t last[WORDS] = { 0 };

    while (!atomic_load(&race.over)) {
        unsigned i = (unsigned)(host_random() % WORDS);
        uint64_t before = atomic_load(&race.published[i]);
        uint64_t now = world_load64(map, race.va + i * VM_PAGE_SIZE);

        if (now < before || now < last[i]) {
            world_fail("CPU %u reads %llu in page %u after %llu was there",
                kern_cpu(), (unsigned long long)now, i,
                (unsigned long long)(now < before ? before : last[i]));
        }
        last[i] = now;
        host_yield();
    }
}

static void
shared_front_cpu(unsigned cpu, void *arg)
{
    (void)arg;
    if (cpu > 0) {
        watch(race.reader[cpu - 1]);
        return;
    }
    for (unsigned step = 2; step < 6; step++) {
        for (unsigned i = 0; i < WORDS; i++) {
            world_store64(race.writer, race.va + i * VM_PAGE_SIZE, step);
            atomic_store(&race.published[i], step);
            host_yield();
        }
        if (step == 3) {
            (void)pmap_discard(race.reader[0]->pmap);
        }
    }
    atomic_store(&race.over, true);
}

/*
 * golang/go#34988: two maps share a front object whose page is still in the
 * backing object; one writes, and the other must not go on reading the old.
 */
void
law_shared_front(const struct world_config *c)
{
    struct vm_map *keeper;

    world_boot(c);
    race.writer = world_map_create();
    race.va = law_memory(race.writer, WORDS);
    for (unsigned i = 0; i < WORDS; i++) {
        world_store64(race.writer, race.va + i * VM_PAGE_SIZE, 1);
        atomic_store(&race.published[i], 1);
    }
    atomic_store(&race.over, false);
    /* The keeper makes it a virtual copy; then the copy is shared. */
    keeper = world_map_fork(race.writer);
    WORLD_OK(vm_map_inherit(race.writer, race.va, WORDS * VM_PAGE_SIZE,
        VM_INHERIT_SHARE));
    race.reader[0] = world_map_fork(race.writer);
    race.reader[1] = race.writer;
    world_run(3, shared_front_cpu, NULL);
    for (unsigned i = 0; i < WORDS; i++) {
        WORLD_CHECK(world_load64(keeper, race.va + i * VM_PAGE_SIZE) == 1);
        WORLD_CHECK(world_load64(race.reader[0],
            race.va + i * VM_PAGE_SIZE) == 5);
    }
    world_check();
    world_map_destroy(keeper);
    world_map_destroy(race.reader[0]);
    world_map_destroy(race.writer);
    world_end();
}

/*
 * One CPU forks again and again while two others run in the parent: one
 * counts up, one watches.  Each child holds one moment.
 */
static void
fork_reader_cpu(unsigned cpu, void *arg)
{
    uint64_t n = 1;

    (void)arg;
    if (cpu == 1) {
        watch(race.writer);
        return;
    }
    while (cpu == 2 && !atomic_load(&race.over)) {
        unsigned i = (unsigned)(++n % WORDS);

        world_store64(race.writer, race.va + i * VM_PAGE_SIZE, n);
        atomic_store(&race.published[i], n);
    }
    for (unsigned round = 0; cpu == 0 && round < 5; round++) {
        struct vm_map *child = world_map_fork(race.writer);
        uint64_t first[WORDS];

        for (unsigned i = 0; i < WORDS; i++) {
            first[i] = world_load64(child, race.va + i * VM_PAGE_SIZE);
        }
        host_sleep_steps(50);
        for (unsigned i = 0; i < WORDS; i++) {
            WORLD_CHECK(first[i] == world_load64(child,
                race.va + i * VM_PAGE_SIZE));
            world_store64(child, race.va + i * VM_PAGE_SIZE, 0);
        }
        world_leave();
        world_map_destroy(child);
    }
    if (cpu == 0) {
        atomic_store(&race.over, true);
    }
}

void
law_fork_reader(const struct world_config *c)
{
    world_boot(c);
    race.writer = world_map_create();
    race.va = law_memory(race.writer, WORDS);
    for (unsigned i = 0; i < WORDS; i++) {
        world_store64(race.writer, race.va + i * VM_PAGE_SIZE, 1);
        atomic_store(&race.published[i], 1);
    }
    atomic_store(&race.over, false);
    world_run(3, fork_reader_cpu, NULL);
    world_check();
    world_map_destroy(race.writer);
    world_end();
}

/* ---- law 7 ------------------------------------------------------------ */

static void
adversary_cpu(unsigned cpu, void *arg)
{
    uint64_t n = 0;

    (void)arg;
    if (cpu == 0) {
        for (unsigned i = 0; i < 300; i++) {
            world_store64(race.writer, race.va + i % 4 * VM_PAGE_SIZE, i);
        }
        atomic_store(&race.over, true);
        return;
    }
    while (!atomic_load(&race.over)) {
        int error = cpu == 1 ? pmap_discard(race.writer->pmap) :
            pmap_discard_table(race.writer->pmap, race.va);

        WORLD_CHECK(error == VM_OK || error == VM_E_BUSY);
        if (++n > 5000000) {
            world_fail("no progress against %llu discards",
                (unsigned long long)n);
        }
        host_yield();
    }
}

void
law_adversary(const struct world_config *c)
{
    uint64_t faults;

    world_boot(c);
    race.writer = world_map_create();
    race.va = law_memory(race.writer, 4);
    atomic_store(&race.over, false);
    faults = world_faults();
    world_run(3, adversary_cpu, NULL);
    faults = world_faults() - faults;
    if (faults > 300 * (VM_PROGRESS_FAULTS + 4)) {
        world_fail("%llu faults for 300 stores",
            (unsigned long long)faults);
    }
    for (unsigned i = 296; i < 300; i++) {
        WORLD_CHECK(world_load64(race.writer,
            race.va + i % 4 * VM_PAGE_SIZE) == i);
    }
    world_map_destroy(race.writer);
    world_end();
}

/* ---- endless forking -------------------------------------------------- */

#define LINE_PAGES      8u

static void
line_bounds(struct vm_map *map, vaddr_t va, unsigned generation)
{
    struct vm_region r;
    vaddr_t at = va;

    WORLD_CHECK(vm_map_region(map, &at, &r));
    if (r.object != NULL && vm_object_depth(r.object) > 4) {
        world_fail("generation %u: a chain of %u objects", generation,
            vm_object_depth(r.object));
    }
    if (vm_page_kind_count(VM_PAGE_OBJECT) > 8 * LINE_PAGES ||
        vm_object_count() - world.objects > 32) {
        world_fail("generation %u: %llu pages, %llu objects", generation,
            (unsigned long long)vm_page_kind_count(VM_PAGE_OBJECT),
            (unsigned long long)(vm_object_count() - world.objects));
    }
    if (world.config.swap > 0 && vm_swap_used() > 8 * LINE_PAGES) {
        world_fail("generation %u: %llu pages in swap", generation,
            (unsigned long long)vm_swap_used());
    }
}

/* Each generation writes a page; every parent exits after its child. */
static void
line(struct vm_map *map, vaddr_t va, unsigned generations, bool swap,
    uint64_t last[])
{
    for (unsigned g = 1; g <= generations; g++) {
        struct vm_map *child = world_map_fork(map);
        unsigned i = (unsigned)world_random(LINE_PAGES);

        if (swap && g % 3 == 0) {
            (void)vm_pageout(vm_page_count, LINE_PAGES);
            world_serve();
        }
        if (g % 7 == 0) {
            /* The parent writes too, and nobody sees it. */
            world_store64(map, va + i * VM_PAGE_SIZE, ~(uint64_t)0);
        }
        world_store64(child, va + i * VM_PAGE_SIZE, g);
        last[i] = g;
        i = (i + 1) % LINE_PAGES;
        if (last[i] != 0) {
            WORLD_CHECK(world_load64(child, va + i * VM_PAGE_SIZE) ==
                last[i]);
        }
        world_map_destroy(map);
        map = child;
        if (g % 64 == 0) {
            line_bounds(map, va, g);
        }
    }
    for (unsigned i = 0; i < LINE_PAGES; i++) {
        WORLD_CHECK(last[i] == 0 ||
            world_load64(map, va + i * VM_PAGE_SIZE) == last[i]);
    }
    world_check();
    world_map_destroy(map);
}

void
law_fork_line(const struct world_config *c)
{
    uint64_t last[LINE_PAGES] = { 0 };
    struct vm_map *map;

    world_boot(c);
    map = world_map_create();
    line(map, law_memory(map, LINE_PAGES), 10000, false, last);
    world_end();
}

void
law_fork_line_swap(const struct world_config *c)
{
    uint64_t last[LINE_PAGES] = { 0 };
    struct world_config with = *c;
    struct vm_map *map;

    with.swap = 1024;
    world_boot(&with);
    map = world_map_create();
    line(map, law_memory(map, LINE_PAGES), 2000, true, last);
    WORLD_CHECK(world_swap_writes() > 0);
    world_end();
}

void
law_fork_line_file(const struct world_config *c)
{
    uint64_t last[LINE_PAGES] = { 0 };
    struct world_config with = *c;
    struct world_file *f;
    struct vm_map *map;

    with.swap = 1024;
    world_boot(&with);
    f = world_file_create(6, LINE_PAGES, NULL);
    map = world_map_create();
    line(map, law_map(map, f->object, LINE_PAGES, VM_MAP_PRIVATE), 2000,
        true, last);
    world_file_close(f);
    world_end();
}

/* ---- out of memory ---------------------------------------------------- */

static unsigned
store_until_full(struct vm_map *map, vaddr_t va, unsigned npages)
{
    for (unsigned i = 0; i < npages; i++) {
        uint64_t word = i;
        int error = world_store(map, va + i * VM_PAGE_SIZE, &word, 8);

        if (error != VM_OK) {
            WORLD_CHECK(error == VM_E_NOMEM);
            return i;
        }
    }
    world_fail("%u pages fit", npages);
}

/* An error, to him who asked; what is there stays; what is freed serves. */
void
law_no_memory(const struct world_config *c)
{
    struct world_config with = *c;
    struct vm_map *map;
    unsigned n, again;
    vaddr_t va;

    with.ram = 256;
    world_boot(&with);
    map = world_map_create();
    va = (vaddr_t)1 << 30;
    WORLD_OK(vm_map_allocate(map, &va, 512 * VM_PAGE_SIZE, false));
    n = store_until_full(map, va, 512);
    for (unsigned i = 0; i < n; i++) {
        WORLD_CHECK(world_load64(map, va + i * VM_PAGE_SIZE) == i);
    }
    world_check();
    WORLD_OK(vm_map_deallocate(map, va, 100 * VM_PAGE_SIZE));
    WORLD_OK(vm_map_allocate(map, &va, 100 * VM_PAGE_SIZE, false));
    again = store_until_full(map, va, 512);
    WORLD_CHECK(again + 16 > n);
    world_map_destroy(map);
    world_end();
}

void
law_no_memory_fork(const struct world_config *c)
{
    struct world_config with = *c;
    struct vm_map *map, *child[200];
    unsigned n, children = 0;
    vaddr_t va;

    with.ram = 256;
    world_boot(&with);
    map = world_map_create();
    va = (vaddr_t)1 << 30;
    WORLD_OK(vm_map_allocate(map, &va, 512 * VM_PAGE_SIZE, false));
    n = store_until_full(map, va, 512);
    while (children < 200 && world_map_try_fork(map, &child[children]) ==
        VM_OK) {
        children++;
    }
    for (unsigned i = 0; i < n; i++) {
        WORLD_CHECK(world_load64(map, va + i * VM_PAGE_SIZE) == i);
    }
    world_check();
    while (children-- > 0) {
        world_map_destroy(child[children]);
    }
    /* It is alone again: nothing to copy, so nothing that could fail. */
    for (unsigned i = 0; i < n; i++) {
        world_store64(map, va + i * VM_PAGE_SIZE, i + 1);
    }
    world_map_destroy(map);
    world_end();
}
