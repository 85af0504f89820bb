/* pal: machines=x86_64,riscv64 flavours=debug timeout=240 */
/* pal: machines=x86_64 flavours=tsan timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_ahead.c - who writes memory from one end to the other comes back less
 * often; everybody else gets what is asked for, and nobody sees a page that
 * was made ahead as anything but what it would have been.
 */
#include "object_test.h"
#include "pmap_ctl.h"

#define AHEAD   8u

static void
ahead_boot(uint64_t ram, uint64_t swap, uint64_t seed)
{
    world_boot(&(struct world_config){
        .cpus = 3, .ram = ram, .swap = swap, .seed = seed, .ahead = AHEAD,
    });
}

/* The program's way alone: the kernel's writes make nothing ahead. */
static void
fill(struct vm_map *m, uint64_t page, uint64_t n, uint64_t value)
{
    for (uint64_t i = 0; i < n; i++) {
        CHECK_EQ(try_put(m, page + i, value + i, false), VM_OK);
    }
}

static uint64_t
faults(void)
{
    return stat_of(VM_STAT_FAULT_ZERO) + stat_of(VM_STAT_FAULT_COPY);
}

TEST(zero_pages)
{
    struct vm_map *m;

    ahead_boot(1024, 0, test_seed);
    m = map_new(0, 128);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(try_put(m, i, 100 + i, false), VM_OK);
        /* Never more than what this run of faults has used. */
        CHECK(frames() <= 2 * (i + 1) && frames() <= i + AHEAD);
    }
    CHECK_EQ(stat_of(VM_STAT_ZERO_FILLS), frames());
    CHECK_EQ(stat_of(VM_STAT_AHEAD) + faults(), frames());
    CHECK(faults() <= 20);
    want_range(m, 0, 100, 100);
    want_zero(m, 100, 28);
    world_check();
    world_map_destroy(m);
    world_end();
}

TEST(only_in_order)
{
    struct vm_map *m;

    ahead_boot(1024, 0, test_seed);
    m = map_new(0, 128);
    /* Backwards, here and there, and read: as many as were asked for. */
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(try_put(m, 127 - i, 1, false), VM_OK);
        CHECK_EQ(try_put(m, 3 * i, 2, false), VM_OK);
    }
    CHECK_EQ(frames(), 40);
    for (unsigned i = 64; i < 90; i++) {
        uint64_t value;

        CHECK_EQ(try_get(m, i, &value, false), VM_OK);
    }
    CHECK_EQ(frames(), 66);
    CHECK_EQ(stat_of(VM_STAT_AHEAD), 0);
    world_map_destroy(m);
    /* Switched off. */
    vm_fault_ahead = 1;
    m = map_new(0, 64);
    fill(m, 0, 32, 100);
    CHECK_EQ(frames(), 32);
    world_map_destroy(m);
    world_end();
}

/* The entry's end, others' pages, leaves of trees that end. */
TEST(edges)
{
    struct vm_map *m;
    uint64_t value;

    ahead_boot(1024, 0, test_seed);
    for (unsigned first = 20; first < 50; first++) {
        m = map_new(0, 64);
        CHECK_EQ(try_put(m, first + 9, 5, false), VM_OK);
        CHECK_EQ(vm_map_protect(m, va_of(first + 6), 2 * PAGE,
            VM_PROT_READ, false), VM_OK);
        drop_range(m, first + 12, 1);
        fill(m, first, 6, 100);
        CHECK_EQ(try_put(m, first + 6, 1, false), VM_E_PROT);
        CHECK_EQ(try_put(m, first + 7, 1, false), VM_E_PROT);
        fill(m, first + 8, 4, 200);
        CHECK_EQ(try_put(m, first + 12, 1, false), VM_E_ADDRESS);
        CHECK_EQ(try_get(m, first + 12, &value, false), VM_E_ADDRESS);
        want_range(m, first, 6, 100);
        want_zero(m, first + 6, 2);
        want_range(m, first + 8, 4, 200);
        world_check();
        world_map_destroy(m);
    }
    world_end();
}

/* The parent reads, then writes what it reads; the child sees neither. */
TEST(copies)
{
    for (unsigned way = 0; way < 4; way++) {
        struct vm_map *m, *child;
        uint64_t value = 7777, before, copied;

        ahead_boot(1024, 0, test_seed);
        m = map_new(0, 64);
        put_range(m, 0, 64, 100);
        child = world_map_fork(m);
        if ((way & 1) != 0) {
            want_range(m, 0, 64, 100);
        }
        before = faults();
        copied = stat_of(VM_STAT_COPIES);
        fill(m, 0, 20, 500);
        CHECK(faults() - before <= 8);
        copied = stat_of(VM_STAT_COPIES) - copied;
        CHECK(copied >= 20 && copied <= 20 + AHEAD);
        if ((way & 2) != 0) {
            /* The kernel writes a page made ahead: that is what is read. */
            CHECK_EQ(vm_map_write(m, va_of(21), &value, 8), VM_OK);
            CHECK_EQ(world_load64(m, va_of(21)), 7777);
            CHECK_EQ(vm_map_write(m, va_of(21) + PAGE - 8, &value, 8),
                VM_OK);
        }
        world_check();
        want_range(child, 0, 64, 100);
        want_range(m, 0, 20, 500);
        want_range(m, 30, 34, 130);
        fill(child, 10, 20, 900);
        want_range(m, 0, 20, 500);
        want_range(m, 30, 34, 130);
        world_check();
        world_map_destroy(m);
        want_range(child, 0, 10, 100);
        want_range(child, 10, 20, 900);
        world_map_destroy(child);
        world_end();
    }
}

/* Where others are to see what was there, or are to see what is written. */
TEST(others)
{
    struct vm_map *m, *child;
    struct vm_map_copy *copy;
    uint64_t value;
    vaddr_t at;
    struct tp f;

    ahead_boot(1024, 64, test_seed);
    /* A private mapping shows the file where it is not written: its end too. */
    tp_open(&f, 32, 500);
    m = map_new(0, 0);
    map_object(m, 0, 32, f.object, 0, VM_MAP_PRIVATE);
    map_object(m, 40, 32, f.object, 0, VM_MAP_SHARED);
    want_range(m, 40, 32, 500);
    fill(m, 0, 4, 900);
    fill(m, 44, 4, 700);
    CHECK_EQ(stat_of(VM_STAT_AHEAD), 0);
    want_range(m, 0, 4, 900);
    want_range(m, 4, 4, 700);
    want_range(m, 40, 4, 500);
    want_range(m, 28, 4, 528);
    CHECK_EQ(vm_object_resize(f.object, 4), VM_OK);
    CHECK_EQ(try_get(m, 5, &value, false), VM_E_PAGER);
    want_range(m, 0, 4, 900);
    world_check();
    world_map_destroy(m);
    tp_close(&f);
    tp_free(&f);
    /* A message that was sent while memory is written in order. */
    m = map_new(0, 32);
    fill(m, 0, 4, 100);
    CHECK_EQ(vm_map_copyin(m, va_of(0), 32 * PAGE, &copy), VM_OK);
    fill(m, 0, 16, 200);
    child = map_new(0, 0);
    CHECK_EQ(vm_map_copyout(child, copy, &at), VM_OK);
    CHECK_EQ(world_load64(child, at), 100);
    CHECK_EQ(world_load64(child, at + 5 * PAGE), 0);
    world_check();
    world_map_destroy(child);
    /* Shared by inheritance: one page at a time, seen by both. */
    CHECK_EQ(vm_map_inherit(m, va_of(0), 32 * PAGE, VM_INHERIT_SHARE),
        VM_OK);
    child = world_map_fork(m);
    fill(child, 16, 8, 300);
    want_range(m, 16, 8, 300);
    want_zero(m, 24, 8);
    world_check();
    world_map_destroy(child);
    world_map_destroy(m);
    world_end();
}

/* What is in swap, or fails, or is short, is the next fault's business. */
TEST(not_at_hand)
{
    struct vm_map *m, *child;
    uint64_t n;

    ahead_boot(1024, 256, test_seed);
    m = map_new(0, 32);
    put_range(m, 0, 32, 100);
    child = world_map_fork(m);
    pageout_all();
    fill(child, 0, 16, 300);
    want_range(m, 0, 32, 100);
    want_range(child, 0, 16, 300);
    world_check();
    world_map_destroy(child);
    world_map_destroy(m);
    world_end();
    for (long at = 1; at < 24; at++) {
        ahead_boot(1024, 0, test_seed);
        m = map_new(0, 40);
        put_range(m, 0, 16, 100);
        child = world_map_fork(m);
        fail_from(at);
        for (n = 0; n < 40 && try_put(m, n, 500 + n, false) == VM_OK;
            n++) {
            continue;
        }
        fail_from(0);
        want_range(m, 0, n, 500);
        want_range(child, 0, 16, 100);
        world_check();
        world_map_destroy(m);
        world_map_destroy(child);
        world_end();
    }
    /* Memory that is not plenty is for who asks. */
    ahead_boot(256, 0, test_seed);
    m = map_new(0, 256);
    for (n = 0; vm_page_is_plenty(); n++) {
        CHECK_EQ(try_put(m, n, n, false), VM_OK);
    }
    n = stat_of(VM_STAT_AHEAD);
    fill(m, 200, 10, 1);
    CHECK_EQ(stat_of(VM_STAT_AHEAD), n);
    world_map_destroy(m);
    world_end();
}

/* ---- a map that changes meanwhile -------------------------------------- */

static struct shrink {
    struct vm_map *map;
    vaddr_t high;
    unsigned small;
    _Atomic unsigned over;
} shrink;

/* Its memory goes, and its tables get smaller, while it is written. */
static void
shrink_cpu(unsigned cpu, void *arg)
{
    struct shrink *s = arg;
    uint64_t v = 5;

    switch (cpu) {
    case 0:
        for (unsigned i = 0; i < 24 && world_store(s->map,
            s->high + i * PAGE, &v, 8) == VM_OK; i++) {
            continue;
        }
        vm_set(&s->over, 1);
        break;
    case 1:
        host_sleep_steps(world_random(400));
        CHECK_EQ(vm_map_deallocate(s->map, s->high, 24 * PAGE), VM_OK);
        break;
    default:
        while (vm_get(&s->over) == 0 && vm_map_configure(s->map,
            &(struct pmap_config){ .format = s->small, .tagged = true }) !=
            VM_OK) {
            host_sleep_steps(1);
        }
        break;
    }
}

static void
shrink_run(uint64_t seed, unsigned big)
{
    struct vm_map *child;

    world_boot(&(struct world_config){ .cpus = 3, .ram = 1024,
        .seed = seed, .format = big, .ahead = AHEAD });
    shrink.map = map_new(0, 0);
    shrink.over = 0;
    CHECK_EQ(vm_map_allocate(shrink.map, &shrink.high, 24 * PAGE, false),
        VM_OK);
    for (uint64_t i = 0; i < 24; i++) {
        CHECK_EQ(vm_map_write(shrink.map, shrink.high + i * PAGE, &i, 8),
            VM_OK);
    }
    child = world_map_fork(shrink.map);
    world_run(3, shrink_cpu, &shrink);
    world_check();
    world_map_destroy(child);
    world_map_destroy(shrink.map);
    world_end();
}

TEST(map_shrinks_meanwhile)
{
    vaddr_t start, end, most = 0, least = ~(vaddr_t)0;
    unsigned big = 0;

    ahead_boot(64, 0, test_seed);
    for (unsigned i = 0; i < pmap_format_count(); i++) {
        if (pmap_format_page_shift(i) == 12) {
            pmap_config_bounds(&(struct pmap_config){ .format = i }, &start,
                &end);
            big = end > most ? i : big;
            most = end > most ? end : most;
            shrink.small = end < least ? i : shrink.small;
            least = end < least ? end : least;
        }
    }
    world_end();
    /* Where all formats reach as far, the highest memory still goes. */
    shrink.high = (most == least ? least / 2 : least) + 64 * PAGE;
    for (uint64_t seed = 1; seed <= (test_long ? 20000 : 600); seed++) {
        shrink_run(test_seed * 10000 + seed, big);
    }
}

/* ---- several CPUs ------------------------------------------------------- */

static struct crowd {
    struct vm_map *map;
    _Atomic unsigned ended;
} crowd;

/* Each has a third of the memory; a third CPU forks, discards, looks. */
static void
crowd_cpu(unsigned cpu, void *arg)
{
    struct crowd *k = arg;

    if (cpu == 0) {
        while (vm_get(&k->ended) < 2) {
            struct vm_map *child = world_map_fork(k->map);
            uint64_t a = 0, b = 0;

            CHECK_EQ(vm_map_read(child, va_of(3), &a, 8), VM_OK);
            CHECK_EQ(pmap_discard(k->map->pmap), VM_OK);
            host_sleep_steps(a % 8 * 20);
            CHECK_EQ(vm_map_read(child, va_of(3), &b, 8), VM_OK);
            CHECK_EQ(a, b);
            world_map_destroy(child);
        }
        return;
    }
    for (uint64_t round = 1; round <= 4; round++) {
        for (uint64_t i = (cpu - 1) * 48; i < cpu * 48u; i++) {
            uint64_t was = 0;

            CHECK_EQ(try_put(k->map, i, round, false), VM_OK);
            CHECK_EQ(try_get(k->map, i, &was, i % 4 == 0),
                VM_OK);
            CHECK_EQ(was, round);
        }
    }
    (void)atomic_fetch_add(&k->ended, 1);
}

static void
crowd_run(enum host_mode mode, uint64_t seed)
{
    ahead_boot(2048, 0, seed);
    host_set_mode(mode);
    crowd.ended = 0;
    crowd.map = map_new(0, 96);
    world_run(3, crowd_cpu, &crowd);
    for (unsigned i = 0; i < 96; i++) {
        CHECK_EQ(get(crowd.map, i), 4);
    }
    world_check();
    world_map_destroy(crowd.map);
    world_end();
}

TEST(crowd_of_threads)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        crowd_run(HOST_THREADS, seed);
    }
}

TEST(crowd_of_fibers)
{
    for (uint64_t seed = 1; seed <= (test_long ? 300 : 20); seed++) {
        crowd_run(HOST_FIBERS, test_seed * 1000 + seed);
    }
}
