/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_doze.c - maps that sleep: no tables, a short list of hints, and after
 * waking exactly what a read fault on resident pages would have entered.
 */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug timeout=180 */
/* pal: machines=x86_64 flavours=tsan timeout=180 */
#include "object_test.h"

#define PAGES   64u

static uint64_t
translations(struct vm_map *m)
{
    struct pmap_counts c;

    pmap_count(m->pmap, &c);
    return c.translations;
}

static uint64_t
tables(struct vm_map *m)
{
    struct pmap_counts c;

    pmap_count(m->pmap, &c);
    return c.tables;
}

static bool
mapped(struct vm_map *m, uint64_t page, vm_prot_t *prot)
{
    paddr_t pa;

    return pmap_extract(m->pmap, va_of(page), &pa, prot);
}

static void
leave_all(void)
{
    for (unsigned cpu = 0; cpu < world.config.cpus; cpu++) {
        world_on(cpu);
        world_leave();
    }
    world_on(0);
}

/* Nobody runs in it: everything goes. */
static void
doze(struct vm_map *m)
{
    leave_all();
    CHECK_EQ(vm_map_doze(m), VM_OK);
    CHECK_EQ(translations(m), 0);
    CHECK_EQ(tables(m), 0);
}

TEST(comes_back)
{
    vm_prot_t prot;
    struct vm_map *m;
    uint64_t faults;

    boot(2048, 0);
    m = map_new(0, PAGES);
    /* Nothing to note: nothing fails. */
    doze(m);
    vm_map_wake(m);
    CHECK_EQ(translations(m), 0);

    put_range(m, 0, 8, 100);
    put_range(m, 32, 4, 200);
    want_range(m, 0, 8, 100);
    doze(m);
    /* It sleeps on; what is known stays. */
    CHECK_EQ(vm_map_doze(m), VM_OK);
    vm_map_wake(m);
    for (unsigned i = 0; i < 8; i++) {
        CHECK(mapped(m, i, &prot));
    }
    CHECK(mapped(m, 32, &prot));
    CHECK(!mapped(m, 20, &prot));
    CHECK_EQ(translations(m), 12);
    faults = world_faults();
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(world_load64(m, va_of(i)), 100 + i);
    }
    CHECK_EQ(world_faults(), faults);
    /* Once. */
    doze(m);
    vm_map_wake(m);
    leave_all();
    CHECK_EQ(pmap_discard(m->pmap), VM_OK);
    vm_map_wake(m);
    CHECK_EQ(translations(m), 0);
    world_check();
    world_map_destroy(m);
    world_end();
}

/* What changed while it slept is looked up, not remembered. */
TEST(revalidated)
{
    uint64_t in, copies, zeros;
    struct vm_map *m, *child;
    vm_prot_t prot;

    boot(2048, 512);
    m = map_new(0, PAGES);
    put_range(m, 0, 40, 100);
    want_range(m, 0, 40, 100);
    doze(m);
    CHECK_EQ(vm_map_protect(m, va_of(1), PAGE, VM_PROT_READ, false), VM_OK);
    CHECK_EQ(vm_map_protect(m, va_of(2), PAGE, VM_PROT_NONE, false), VM_OK);
    CHECK_EQ(vm_map_protect(m, va_of(3), PAGE, VM_PROT_NONE, false), VM_OK);
    drop_range(m, 4, 2);
    vm_map_wake(m);
    CHECK(mapped(m, 0, &prot) && (prot & VM_PROT_WRITE) != 0);
    CHECK(mapped(m, 1, &prot) && (prot & VM_PROT_WRITE) == 0);
    CHECK(!mapped(m, 2, &prot) && !mapped(m, 3, &prot));
    CHECK(!mapped(m, 4, &prot) && !mapped(m, 5, &prot));
    CHECK(mapped(m, 6, &prot));
    world_check();

    /* A copy-on-write sleeper: read-only, and nothing is copied. */
    doze(m);
    child = world_map_fork(m);
    copies = stat_of(VM_STAT_COPIES);
    zeros = stat_of(VM_STAT_ZERO_FILLS);
    vm_map_wake(m);
    CHECK(mapped(m, 0, &prot) && (prot & VM_PROT_WRITE) == 0);
    CHECK_EQ(translations(child), 0);
    put(child, 10, 999);
    put(m, 11, 888);
    CHECK_EQ(get(m, 10), 110);
    CHECK_EQ(get(child, 11), 111);
    CHECK(stat_of(VM_STAT_COPIES) > copies);
    world_map_destroy(child);

    /* Written out: nothing is asked for. */
    doze(m);
    pageout_all();
    CHECK_EQ(frames(), 0);
    in = stat_of(VM_STAT_PAGEINS);
    vm_map_wake(m);
    CHECK_EQ(stat_of(VM_STAT_PAGEINS), in);
    CHECK_EQ(stat_of(VM_STAT_ZERO_FILLS), zeros);
    CHECK_EQ(frames(), 0);
    CHECK_EQ(translations(m), 0);
    CHECK_EQ(get(m, 0), 100);
    world_map_destroy(m);
    world_end();
}

/* More runs than the list has places; the longest are those that stay. */
TEST(many_runs)
{
    vm_prot_t prot;
    struct vm_map *m;

    world_boot(&(struct world_config){ .cpus = 1, .ram = 4096,
        .seed = test_seed });
    m = map_new(0, 4096);
    vm_fault_around = 1;
    for (uint64_t i = 0; i < 100; i++) {
        for (uint64_t k = 0; k < (i % 10 == 3 ? 4 : 1); k++) {
            world_store64(m, va_of(40 * i + k), i);
        }
    }
    doze(m);
    vm_map_wake(m);
    CHECK(translations(m) >= 62);
    for (uint64_t i = 3; i < 100; i += 10) {
        for (uint64_t k = 0; k < 4; k++) {
            CHECK(mapped(m, 40 * i + k, &prot));
        }
    }
    /* One run of more pages than one place can tell. */
    for (uint64_t i = 0; i < 600; i++) {
        world_store64(m, va_of(i), i);
    }
    doze(m);
    vm_map_wake(m);
    CHECK(translations(m) >= 400);
    vm_fault_around = 16;
    world_check();
    world_map_destroy(m);
    world_end();
}

TEST(refused)
{
    struct vm_map *m;

    boot(2048, 0);
    m = map_new(0, PAGES);
    put_range(m, 0, 8, 100);
    world_store64(m, va_of(0), 1);
    /* This CPU has it loaded. */
    CHECK_EQ(vm_map_doze(m), VM_E_BUSY);
    vm_map_wake(m);
    CHECK(translations(m) > 0);
    leave_all();
    pmap_hold(m->pmap);
    CHECK_EQ(vm_map_doze(m), VM_E_BUSY);
    CHECK(translations(m) > 0);
    pmap_release(m->pmap);
    /* It goes with hints. */
    doze(m);
    world_map_destroy(m);
    world_end();
}

/* No memory for the list, no memory for tables. */
TEST(no_memory)
{
    struct vm_map *m;

    boot(2048, 0);
    m = map_new(0, PAGES);
    put_range(m, 0, 8, 100);
    for (long n = 1; n < 8; n++) {
        want_range(m, 0, 8, 100);
        leave_all();
        fail_from(1);
        CHECK_EQ(vm_map_doze(m), VM_OK);
        fail_from(0);
        CHECK_EQ(translations(m), 0);
        want_range(m, 0, 8, 100);
        doze(m);
        fail_from(n);
        vm_map_wake(m);
        fail_from(0);
    }
    want_range(m, 0, 8, 100);
    world_check();
    world_map_destroy(m);
    world_end();
}

static struct vm_map *slept;
static _Atomic unsigned awake;

/* It dozes and wakes while its threads run, which nobody forbids. */
static void
live_cpu(unsigned cpu, void *arg)
{
    struct test_rng rng;

    (void)arg;
    test_rng_init(&rng, world.config.seed * 8 + cpu);
    if (cpu == 2) {
        while (atomic_load(&awake) > 0) {
            (void)!vm_map_doze(slept);
            host_sleep_steps(test_rng_below(&rng, 40));
            vm_map_wake(slept);
            (void)vm_map_heal(slept, false, NULL, NULL);
        }
        return;
    }
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t page = cpu * 24 + test_rng_below(&rng, 24);
        vaddr_t va = va_of(page);

        world_store64(slept, va, i);
        if (i % 16 == 5) {
            struct vm_map *child = world_map_fork(slept);

            world_store64(slept, va, i + 1000);
            WORLD_CHECK(world_load64(child, va) == i);
            world_map_destroy(child);
            world_store64(slept, va, i);
        } else if (i % 16 == 9) {
            WORLD_OK(vm_map_deallocate(slept, va, PAGE));
            WORLD_OK(vm_map_allocate(slept, &va, PAGE, false));
            WORLD_CHECK(world_load64(slept, va) == 0);
            continue;
        } else if (i % 16 == 13) {
            (void)vm_pageout(64, 4);
        }
        WORLD_CHECK(world_load64(slept, va) == i);
    }
    atomic_fetch_sub(&awake, 1);
}

static void
live(enum host_mode mode, uint64_t seed)
{
    boot_seed(2048, 512, seed);
    host_set_mode(mode);
    slept = map_new(0, PAGES);
    atomic_store(&awake, 2);
    world_run(3, live_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    world_check();
    world_map_destroy(slept);
    world_end();
}

TEST(live_threads)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        live(HOST_THREADS, seed);
    }
}

TEST(live_fibers)
{
    for (uint64_t seed = 1; seed <= (test_long ? 60 : 6); seed++) {
        live(HOST_FIBERS, seed);
    }
}
