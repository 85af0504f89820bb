/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_map_race.c - address maps with very many entries, and with several
 * CPUs: lookups that take no lock while the tree is edited, and everything
 * that must wait for a transition.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
#include "map_test.h"

/* ---- many entries ------------------------------------------------------- */

static uint64_t points;

static void
count_point(void)
{
    points++;
}

static void
shuffle(uint32_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        a[i] = i;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = (uint32_t)test_rand_below(i + 1), t = a[i];

        a[i] = a[j];
        a[j] = t;
    }
}

/* n one-page entries with one-page holes between, in any order. */
static void
many_fill(struct vm_map *map, const uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        vaddr_t addr = va_of(2 * order[i]);

        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
    }
    CHECK_EQ(map->entries, n);
    vm_map_check(map);
}

TEST(many_entries)
{
    uint32_t n = SMALL ? 5000 : 100000;
    uint32_t *order = malloc(n * sizeof(*order));
    struct vm_lookup look;
    struct vm_map *map;
    uint64_t most = 0;
    vaddr_t addr;

    boot(12, 16384);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    shuffle(order, n);
    many_fill(map, order, n);
    /* AVL: less than 1.44 log2(n + 2). */
    CHECK(vm_get(&map->root)->height <= 24);
    host_hooks.point = count_point;
    for (uint32_t i = 0; i < n; i++) {
        points = 0;
        CHECK_EQ(vm_map_lookup(map, va_of(2 * order[i]), &look), VM_OK);
        CHECK_EQ(look.start, va_of(2 * order[i]));
        most = points > most ? points : most;
        CHECK_EQ(vm_map_lookup(map, va_of(2 * order[i] + 1), &look),
            VM_E_ADDRESS);
    }
    host_hooks.point = NULL;
    test_note("%u entries: height %u, %lu steps in the longest lookup", n,
        vm_get(&map->root)->height, (unsigned long)most);
    CHECK(most <= 32);

    /* Two pages fit only behind all of them; then each hole, in order. */
    addr = va_of(0);
    CHECK_EQ(vm_map_allocate(map, &addr, 2 * VM_PAGE_SIZE, true), VM_OK);
    CHECK_EQ(addr, va_of(2 * (uint64_t)n - 1));
    for (uint32_t i = 0; i < n - 1; i++) {
        addr = va_of(0);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, true), VM_OK);
        CHECK_EQ(addr, va_of(2 * (uint64_t)i + 1));
    }
    CHECK_EQ(map->entries, 1);
    vm_map_check(map);
    vm_map_unref(map);

    /* Fill, and take away in another order. */
    CHECK_EQ(vm_map_create(&map), VM_OK);
    many_fill(map, order, n);
    shuffle(order, n);
    for (uint32_t i = 0; i < n; i++) {
        CHECK_EQ(vm_map_deallocate(map, va_of(2 * order[i]), VM_PAGE_SIZE),
            VM_OK);
        if (i % (n / 16) == 0) {
            vm_map_check(map);
        }
    }
    CHECK_EQ(map->entries, 0);
    CHECK_EQ(map->size, 0);
    vm_map_unref(map);
    free(order);
}

/* ---- lookups without a lock --------------------------------------------- */

#define SLOTS   24u             /* of 4 pages; every third is never touched */
#define READERS 3u

struct race {
    struct vm_map *map, *other;
    struct vm_object *object[2];
    unsigned edits;
    _Atomic bool done;
    _Atomic uint64_t found;
};

static void
race_enter(struct vm_map *map, struct vm_object *object, unsigned slot)
{
    struct vm_map_args a = {
        .addr = va_of(4 * slot), .size = 4 * VM_PAGE_SIZE,
        .object = object, .pgno = 4 * slot, .mode = VM_MAP_SHARED,
        .prot = RW, .max = VM_PROT_ALL, .inherit = VM_INHERIT_SHARE,
        .overwrite = true,
    };
    vaddr_t addr;

    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
}

/*
 * Page k of the window always shows page k of the object, if anything: a
 * mixture of two states of an entry would not.
 */
static void
race_reader(struct race *r, unsigned cpu)
{
    struct test_rng rng;
    uint64_t found = 0;

    test_rng_init(&rng, cpu);
    while (!atomic_load(&r->done)) {
        unsigned page = (unsigned)test_rng_below(&rng, 4 * SLOTS);
        struct vm_lookup look;
        int error = vm_map_lookup(r->map, va_of(page), &look);

        if (error != VM_OK) {
            CHECK_EQ(error, VM_E_ADDRESS);
            CHECK(page / 4 % 3 != 0);
            continue;
        }
        CHECK(look.object == r->object[0]);
        CHECK_EQ(look.pgno, page);
        CHECK(look.start <= va_of(page) && va_of(page) < look.end);
        CHECK((look.seq & 1) == 0);
        CHECK(VM_ATTR_PROT(look.attr) == RW ||
            (VM_ATTR_PROT(look.attr) == VM_PROT_READ && page / 4 % 3 != 0));
        found++;
    }
    atomic_fetch_add(&r->found, found);
}

static void
race_editor(struct race *r)
{
    struct test_rng rng;

    test_rng_init(&rng, 99);
    for (unsigned i = 0; i < r->edits; i++) {
        unsigned slot = (unsigned)test_rng_below(&rng, SLOTS);
        vaddr_t va = va_of(4 * slot);

        slot += slot % 3 == 0;
        va = va_of(4 * slot);
        switch (test_rng_below(&rng, 5)) {
        case 0:
            CHECK_EQ(vm_map_deallocate(r->map, va, 4 * VM_PAGE_SIZE),
                VM_OK);
            break;
        case 1:
            /* Entries that the first map gave up live here. */
            race_enter(r->other, r->object[1], slot);
            break;
        case 2:
            CHECK_EQ(vm_map_deallocate(r->other, va_of(0),
                4 * SLOTS * VM_PAGE_SIZE), VM_OK);
            break;
        case 3:
            race_enter(r->map, r->object[0], slot);
            break;
        default:
            race_enter(r->map, r->object[0], slot);
            CHECK_EQ(vm_map_protect(r->map, va + VM_PAGE_SIZE,
                2 * VM_PAGE_SIZE, VM_PROT_READ, false), VM_OK);
            break;
        }
    }
    atomic_store(&r->done, true);
}

static void
race_cpu(void *arg, unsigned cpu)
{
    struct race *r = arg;

    if (cpu < READERS) {
        race_reader(r, cpu);
    } else {
        race_editor(r);
    }
}

static void
race_run(enum host_mode mode, unsigned edits)
{
    struct race r = { .edits = edits };

    boot(12, 2048);
    host_set_mode(mode);
    CHECK_EQ(vm_map_create(&r.map), VM_OK);
    CHECK_EQ(vm_map_create(&r.other), VM_OK);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(vm_object_create(4 * SLOTS, NULL, &r.object[i]), VM_OK);
    }
    for (unsigned slot = 0; slot < SLOTS; slot += 3) {
        race_enter(r.map, r.object[0], slot);
    }
    host_run(READERS + 1, race_cpu, &r);
    test_note("%lu lookups found something during %u edits",
        (unsigned long)atomic_load(&r.found), edits);
    vm_map_check(r.map);
    vm_map_check(r.other);
    vm_map_unref(r.map);
    vm_map_unref(r.other);
    for (unsigned i = 0; i < 2; i++) {
        vm_object_unref(r.object[i], NULL);
    }
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

TEST(lookup_during_edits_threads)
{
    race_run(HOST_THREADS, SMALL ? 20000 : test_long ? 3000000 : 100000);
}

/* Fibers are one thread: nothing for ThreadSanitizer to see. */
#if !SMALL
TEST(lookup_during_edits_fibers)
{
    for (unsigned i = 0; i < (test_long ? 200u : 10u); i++) {
        host_seed(test_seed + i);
        race_run(HOST_FIBERS, 300);
    }
}
#endif

/* ---- wiring and transitions --------------------------------------------- */

struct wiring {
    struct vm_map *map;
    unsigned rounds;
};

/* Everyone changes the same pages; those who wire are not disturbed. */
static void
wiring_cpu(void *arg, unsigned cpu)
{
    struct wiring *w = arg;
    struct test_rng rng;

    test_rng_init(&rng, cpu);
    for (unsigned i = 0; i < w->rounds; i++) {
        vaddr_t va = va_of(test_rng_below(&rng, 12));
        vsize_t size = (1 + test_rng_below(&rng, 4)) << vm_page_shift;
        struct vm_map *child;
        vaddr_t addr = va;
        int error = VM_OK;

        switch (test_rng_below(&rng, 8)) {
        case 0: case 1: error = vm_map_wire(w->map, va, size); break;
        case 2: error = vm_map_unwire(w->map, va, size); break;
        case 3: error = vm_map_deallocate(w->map, va, size); break;
        case 4: error = vm_map_protect(w->map, va, size,
            VM_PROT_READ | (test_rng_below(&rng, 2) ? VM_PROT_WRITE : 0),
            false); break;
        case 5: case 6: error = vm_map_allocate(w->map, &addr, size, false);
            break;
        case 7:
            error = vm_map_fork(w->map, &child);
            if (error == VM_OK) {
                vm_map_check(child);
                vm_map_unref(child);
            }
            break;
        }
        CHECK(error == VM_OK || error == VM_E_ADDRESS ||
            error == VM_E_NOSPACE);
    }
}

static void
wiring_run(enum host_mode mode, unsigned rounds)
{
    struct wiring w = { .rounds = rounds };
    struct vm_statistics stat;

    boot(12, 4096);
    host_set_mode(mode);
    CHECK_EQ(vm_map_create(&w.map), VM_OK);
    host_run(4, wiring_cpu, &w);
    vm_map_check(w.map);
    vm_map_audit(w.map);
    CHECK_EQ(vm_map_deallocate(w.map, w.map->start,
        w.map->end - w.map->start), VM_OK);
    vm_statistics(&stat);
    CHECK_EQ(stat.pages_wired, 0);
    CHECK_EQ(stat.pages_object, 0);
    vm_map_unref(w.map);
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

TEST(wire_against_everything_threads)
{
    wiring_run(HOST_THREADS, SMALL ? 500 : test_long ? 100000 : 5000);
}

#if !SMALL
TEST(wire_against_everything_fibers)
{
    for (unsigned i = 0; i < (test_long ? 300u : 20u); i++) {
        host_seed(test_seed + i);
        wiring_run(HOST_FIBERS, 100);
    }
}
#endif
