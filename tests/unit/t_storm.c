/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_storm.c - blows of every kind against quiet maps and busy ones: nothing
 * is lost, nothing is wrong, and afterwards all is as it was.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash flavours=debug timeout=240 */
/* pal: machines=x86_64 flavours=tsan timeout=240 */
#include "object_test.h"
#include "vm_storm.h"

#define PAGES   48u
#define ALL     ((1u << VM_STORM_KINDS) - 1)

static void
fill(struct vm_map *m, uint64_t value)
{
    put_range(m, 0, PAGES, value);
    want_range(m, 0, PAGES, value);
}

/* ---- quiet maps ---------------------------------------------------------- */

static void
each_kind(unsigned format, unsigned shift, void *arg)
{
    struct vm_map *m[3];
    struct pmap_budget b;
    struct vm_storm s;

    (void)arg;
    world_boot(&(struct world_config){ .format = format,
        .page_shift = shift, .ram = 2048, .cpus = 2, .seed = test_seed });
    for (unsigned i = 0; i < 3; i++) {
        m[i] = map_new(0, PAGES);
    }
    for (unsigned k = 0; k < VM_STORM_KINDS; k++) {
        vm_storm_begin(&s, 1u << k, test_seed + k);
        for (unsigned n = 0; n < 40; n++) {
            unsigned i = n % 3;

            put_range(m[i], n, 4, 1000 * k + n);
            CHECK_EQ(vm_storm_step(&s), k);
            want_range(m[i], n, 4, 1000 * k + n);
        }
        CHECK(vm_storm_names[k] != NULL);
        CHECK_EQ(s.done[k] + s.refused[k], 40);
        if (s.done[k] < 10 && k != VM_STORM_IDLE) {
            FAIL("%s: %llu of 40", vm_storm_names[k],
                (unsigned long long)s.done[k]);
        }
        vm_storm_end(&s);
        pmap_budget(&b);
        CHECK_EQ(b.limit, 0);
        for (unsigned i = 0; i < 3; i++) {
            struct pmap_config c;

            pmap_config(m[i]->pmap, &c);
            CHECK_EQ(c.format, format);
            pmap_limit(m[i]->pmap, &b);
            CHECK_EQ(b.limit, 0);
        }
        world_check();
    }
    for (unsigned i = 0; i < 3; i++) {
        world_map_destroy(m[i]);
    }
    world_end();
}

TEST(kinds)
{
    world_each(each_kind, NULL);
}

/* No map, maps without memory, and one whose pmap is held. */
TEST(nothing_to_strike)
{
    struct vm_storm s;
    struct vm_map *m;

    boot(1024, 0);
    vm_storm_begin(&s, ALL, 3);
    for (unsigned n = 0; n < 50; n++) {
        (void)vm_storm_step(&s);
    }
    m = map_new(0, 0);
    for (unsigned n = 0; n < 200; n++) {
        (void)vm_storm_step(&s);
    }
    vm_storm_end(&s);
    CHECK_EQ(s.done[VM_STORM_PAGE], 0);
    world_map_destroy(m);

    m = map_new(0, PAGES);
    fill(m, 1);
    pmap_hold(m->pmap);
    vm_storm_begin(&s, 1u << VM_STORM_PAGE | 1u << VM_STORM_PMAP |
        1u << VM_STORM_TABLE | 1u << VM_STORM_RANGE, 3);
    for (unsigned n = 0; n < 200; n++) {
        (void)vm_storm_step(&s);
    }
    vm_storm_end(&s);
    pmap_release(m->pmap);
    for (unsigned k = 0; k < VM_STORM_KINDS; k++) {
        CHECK_EQ(s.done[k], 0);
    }
    world_map_destroy(m);
    world_end();
}

/* The same seed, the same blows. */
TEST(repeats)
{
    enum vm_storm_kind kinds[200];

    for (unsigned turn = 0; turn < 2; turn++) {
        struct vm_storm s;
        struct vm_map *m;

        boot_seed(1024, 0, 5);
        m = map_new(0, PAGES);
        vm_storm_begin(&s, ALL & ~(1u << VM_STORM_BUDGET), 77);
        for (unsigned n = 0; n < 200; n++) {
            enum vm_storm_kind k = vm_storm_step(&s);

            CHECK(turn == 0 || kinds[n] == k);
            kinds[n] = k;
        }
        vm_storm_end(&s);
        world_map_destroy(m);
        world_end();
    }
}

/* ---- busy ones ------------------------------------------------------------ */

static struct vm_map *maps[3];
static struct vm_storm storm;
static _Atomic unsigned working;
static unsigned rounds;

/* Each CPU writes its own pages, in its own map and in one that is shared. */
static void
work(unsigned cpu)
{
    struct test_rng rng;

    test_rng_init(&rng, world.config.seed * 8 + cpu);
    for (uint64_t i = 1; i <= rounds; i++) {
        struct vm_map *m = maps[test_rng_below(&rng, 2) != 0 ? cpu : 2];
        uint64_t page = cpu * 16 + test_rng_below(&rng, 16);
        /* Far apart, so that there are tables to be had. */
        vaddr_t va = va_of(page << (page % 3 == 0 ? 12 : 0));

        world_store64(m, va, i);
        if (i % 8 == 3) {
            struct vm_map *child = world_map_fork(m);

            world_store64(m, va, i + 1000);
            WORLD_CHECK(world_load64(child, va) == i);
            world_store64(child, va, i + 2000);
            WORLD_CHECK(world_load64(m, va) == i + 1000);
            world_map_destroy(child);
            world_store64(m, va, i);
        } else if (i % 8 == 5) {
            uint64_t word = i;

            WORLD_OK(vm_map_write(m, va, &word, sizeof(word)));
        } else if (i % 8 == 7) {
            (void)vm_pageout(32, 4);
        }
        WORLD_CHECK(world_load64(m, va) == i);
    }
    atomic_fetch_sub(&working, 1);
}

static void
storm_cpu(unsigned cpu, void *arg)
{
    (void)arg;
    if (cpu < 2) {
        work(cpu);
        return;
    }
    for (unsigned n = 0; n < 100 || atomic_load(&working) > 0; n++) {
        (void)vm_storm_step(&storm);
        host_sleep_steps(5);
    }
}

static void
busy(enum host_mode mode, uint32_t kinds, uint64_t seed)
{
    unsigned format = (unsigned)(seed % world_formats());
    uint64_t blows = 0;

    world_boot(&(struct world_config){ .cpus = 3, .ram = 4096, .swap = 1024,
        .format = format, .page_shift = seed % 3 == 0 ? 16 : 0,
        .seed = seed });
    host_set_mode(mode);
    for (unsigned i = 0; i < 3; i++) {
        vaddr_t va = va_of(0);

        maps[i] = world_map_create();
        CHECK_EQ(vm_map_allocate(maps[i], &va, PAGE << 18, false), VM_OK);
    }
    rounds = test_long ? 600 : 120;
    atomic_store(&working, 2);
    vm_storm_begin(&storm, kinds, seed);
    world_run(3, storm_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    vm_storm_end(&storm);
    for (unsigned k = 0; k < VM_STORM_KINDS; k++) {
        blows += storm.done[k];
    }
    CHECK(blows > 0);
    world_check();
    for (unsigned i = 0; i < 3; i++) {
        world_map_destroy(maps[i]);
    }
    world_end();
}

TEST(busy_each)
{
    for (unsigned k = 0; k < VM_STORM_KINDS; k++) {
        busy(HOST_FIBERS, 1u << k, test_seed * 16 + k);
    }
}

TEST(busy_mixed_fibers)
{
    for (uint64_t seed = 1; seed <= (test_long ? 100 : 6); seed++) {
        busy(HOST_FIBERS, ALL, seed);
    }
}

TEST(busy_mixed_threads)
{
    for (uint64_t seed = 1; seed <= (test_long ? 50 : 3); seed++) {
        busy(HOST_THREADS, ALL, seed);
    }
}
