/* pal: machines=x86_64 flavours=debug timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_swap.c - anonymous memory goes out and comes back; slots are neither
 * lost nor used twice, whatever happens to a page on its way.
 */
#include "object_test.h"

static struct tp swap;

static void
swap_boot(uint64_t slots)
{
    boot(1024, 0);
    tp_make(&swap, slots);
    CHECK_EQ(vm_swap_set(&swap.pager, slots), VM_OK);
}

static void
swap_end(void)
{
    CHECK_EQ(vm_swap_used(), 0);
    world_end();
    tp_free(&swap);
}

/* Out with n more pages. */
static void
out(unsigned n)
{
    unsigned before = swap.writes;

    for (unsigned i = 0; i < 100 && swap.writes < before + n; i++) {
        (void)vm_pageout(vm_page_count, before + n - swap.writes);
    }
    CHECK_EQ(swap.writes, before + n);
}

TEST(arguments)
{
    struct vm_map *m;

    boot(256, 0);
    tp_make(&swap, 8);
    CHECK_EQ(vm_swap_set(NULL, 8), VM_E_INVAL);
    CHECK_EQ(vm_swap_set(&swap.pager, 0), VM_E_INVAL);
    CHECK_EQ(vm_swap_set(&swap.pager, (uint64_t)1 << 32), VM_E_INVAL);
    /* Without swap, what was written stays. */
    m = map_new(0, 4);
    put_range(m, 0, 4, 100);
    for (unsigned i = 0; i < 10; i++) {
        (void)vm_pageout(vm_page_count, vm_page_count);
    }
    CHECK_EQ(frames(), 4);
    CHECK_EQ(vm_swap_set(&swap.pager, 8), VM_OK);
    pageout_all();
    CHECK_EQ(frames(), 0);
    CHECK_EQ(vm_swap_set(&swap.pager, 16), VM_E_BUSY);
    want_range(m, 0, 4, 100);
    CHECK_EQ(vm_swap_set(&swap.pager, 8), VM_OK);
    world_map_destroy(m);
    swap_end();
}

TEST(everything_and_back)
{
    struct vm_map *m, *child;

    swap_boot(128);
    m = map_new(0, 32);
    put_range(m, 0, 32, 100);
    child = world_map_fork(m);
    put_range(child, 0, 8, 200);
    for (unsigned turn = 0; turn < 8; turn++) {
        pageout_all();
        CHECK_EQ(frames(), 0);
        CHECK_EQ(vm_swap_used(), 40);
        want_range(child, 0, 8, 200);
        want_range(child, 8, 24, 108);
        want_range(m, 0, 32, 100);
        CHECK_EQ(vm_swap_used(), 0);
        world_check();
    }
    /* Slots move and go like pages. */
    pageout_all();
    world_map_destroy(m);
    CHECK(vm_swap_used() <= 32 + 8);
    want_range(child, 8, 4, 108);
    put_range(child, 12, 20, 300);
    pageout_all();
    CHECK_EQ(vm_swap_used(), 32);
    drop_range(child, 0, 16);
    CHECK_EQ(vm_swap_used(), 16);
    want_range(child, 16, 16, 304);
    world_map_destroy(child);
    swap_end();
}

TEST(full)
{
    struct vm_map *m;

    swap_boot(5);
    m = map_new(0, 16);
    put_range(m, 0, 16, 100);
    for (unsigned turn = 0; turn < 6; turn++) {
        for (unsigned i = 0; i < 10; i++) {
            (void)vm_pageout(vm_page_count, vm_page_count);
        }
        CHECK_EQ(vm_swap_used(), 5);
        CHECK_EQ(frames(), 11);
        want_range(m, 0, 16, 100);
        CHECK_EQ(vm_swap_used(), 0);
        world_check();
    }
    world_map_destroy(m);
    swap_end();
}

TEST(bad_disk)
{
    struct vm_map *m;
    uint64_t v;

    swap_boot(64);
    m = map_new(0, 8);
    put_range(m, 0, 8, 100);
    /* Writes that fail leave the page where it is, and no slot. */
    swap.fail_writes = 8;
    out(8);
    CHECK_EQ(vm_swap_used(), 0);
    CHECK_EQ(frames(), 8);
    want_range(m, 0, 8, 100);
    pageout_all();
    CHECK_EQ(vm_swap_used(), 8);
    /* Reads that fail are told, and tried again. */
    for (unsigned i = 0; i < 8; i++) {
        swap.fail_reads = 1;
        CHECK_EQ(try_get(m, i, &v, i % 2 == 0), VM_E_PAGER);
        CHECK_EQ(vm_swap_used(), 8 - i);
        CHECK_EQ(get(m, i), 100 + i);
    }
    pageout_all();
    /* Unmapped after an error: page and slot go. */
    swap.fail_reads = 1;
    CHECK_EQ(try_put(m, 3, 1, false), VM_E_PAGER);
    world_check();
    drop_range(m, 3, 1);
    CHECK_EQ(vm_swap_used(), 7);
    CHECK_EQ(frames(), 0);
    world_map_destroy(m);
    swap_end();
}

TEST(cancelled_on_the_way_out)
{
    for (unsigned way = 0; way < 4; way++) {
        struct vm_map *m;
        uint64_t used;

        swap_boot(64);
        m = map_new(0, 8);
        put_range(m, 0, 8, 100);
        swap.hold_writes = true;
        swap.fail_writes = way >= 2 ? 3 : 0;
        out(8);
        CHECK_EQ(swap.queued, 8);
        CHECK_EQ(vm_swap_used(), 8);
        if (way % 2 == 0) {
            world_map_destroy(m);
            CHECK_EQ(frames(), 0);
        } else {
            drop_range(m, 0, 4);
            put(m, 5, 55);
            CHECK_EQ(frames(), 4);
        }
        world_check();
        tp_answer_all(&swap);
        used = vm_swap_used();
        if (way % 2 == 1) {
            CHECK(used <= 3);
            CHECK_EQ(get(m, 4), 104);
            CHECK_EQ(get(m, 5), 55);
            want_range(m, 6, 2, 106);
            world_map_destroy(m);
        }
        CHECK_EQ(vm_swap_used(), 0);
        swap_end();
    }
}

/* Answers to nothing are ignored. */
TEST(unexpected_answers)
{
    struct vm_map *m;
    uint8_t *junk = malloc(64 * PAGE);

    swap_boot(64);
    memset(junk, 0x5a, 64 * PAGE);
    m = map_new(0, 8);
    put_range(m, 0, 8, 100);
    for (unsigned i = 0; i < 2; i++) {
        (void)!vm_pager_data_provided(&swap.pager, 0, 64, junk, 0, false);
        (void)!vm_pager_data_error(&swap.pager, 0, 64);
        (void)!vm_pager_data_unavailable(&swap.pager, 0, 64);
        (void)!vm_pager_write_done(&swap.pager, 0, 64, false);
        (void)!vm_pager_write_done(&swap.pager, 0, 64, true);
        CHECK_EQ(vm_swap_used(), i * 8);
        pageout_all();
        CHECK_EQ(vm_swap_used(), 8);
    }
    want_range(m, 0, 8, 100);
    /* Data for a page that is on its way out. */
    swap.hold_writes = true;
    out(8);
    (void)!vm_pager_data_provided(&swap.pager, 0, 64, junk, 0, false);
    (void)!vm_pager_data_error(&swap.pager, 0, 64);
    want_range(m, 0, 8, 100);
    tp_answer_all(&swap);
    want_range(m, 0, 8, 100);
    world_map_destroy(m);
    swap_end();
    free(junk);
}

/* ---- in transit, with others about -------------------------------------- */

static struct way_in {
    struct vm_map *m, *child;
    unsigned ended, how;
} in;

static void
in_cpu(unsigned cpu, void *arg)
{
    struct way_in *w = arg;
    uint64_t v;
    int error;

    if (cpu == 1) {
        tp_await(&swap, 1);
        switch (w->how) {
        case 0:
            /* Unmapped while it is on its way in. */
            drop_range(w->m, 2, 3);
            break;
        case 1:
            host_interrupt(0);
            break;
        default:
            swap.fail_reads = 1;
            CHECK_EQ(tp_answer(&swap, 0), VM_OK);
        }
        while (w->ended == 0) {
            host_sleep_steps(5);
        }
        return;
    }
    error = vm_map_read(w->m, va_of(3), &v, sizeof(v));
    CHECK_EQ(error, w->how == 0 ? VM_E_ADDRESS :
        w->how == 1 ? VM_E_INTR : VM_E_PAGER);
    w->ended++;
}

TEST(cancelled_on_the_way_in)
{
    for (unsigned round = 0; round < 30; round++) {
        swap_boot(64);
        host_seed(test_seed * 1000 + round);
        memset(&in, 0, sizeof(in));
        in.how = round % 3;
        in.m = map_new(0, 8);
        put_range(in.m, 0, 8, 100);
        pageout_all();
        swap.hold = true;
        world_run(2, in_cpu, &in);
        world_check();
        swap.hold = false;
        tp_answer_all(&swap);
        if (in.how == 0) {
            CHECK_EQ(vm_swap_used(), 5);
        } else {
            CHECK_EQ(get(in.m, 3), 103);
        }
        want_range(in.m, 0, 2, 100);
        want_range(in.m, 5, 3, 105);
        world_map_destroy(in.m);
        swap_end();
    }
}

/* Programs, pageout and a slow, unreliable disk at once. */
static struct busy {
    struct vm_map *map[2];
    uint64_t value[2][12];
    unsigned ended;
} bz;

static void
busy_cpu(unsigned cpu, void *arg)
{
    struct busy *b = arg;
    struct test_rng r;

    if (cpu == 2) {
        while (b->ended < 2) {
            (void)vm_pageout(vm_page_count, 8);
            host_sleep_steps(20);
        }
        return;
    }
    test_rng_init(&r, host_derive(cpu));
    for (unsigned step = 0; step < 80; step++) {
        unsigned i = (unsigned)test_rng_below(&r, 12);
        uint64_t v = cpu * 1000 + step;
        int error;

        /* Each half of a page may fail to come in: try again. */
        if (step % 3 == 0) {
            do {
                error = try_put(b->map[cpu], i, v, step % 2 == 0);
            } while (error == VM_E_PAGER);
            CHECK_EQ(error, VM_OK);
            b->value[cpu][i] = v;
        } else {
            do {
                error = try_get(b->map[cpu], i, &v, step % 2 == 0);
            } while (error == VM_E_PAGER);
            CHECK_EQ(error, VM_OK);
            CHECK_EQ(v, b->value[cpu][i]);
        }
    }
    b->ended++;
}

TEST(pageout_under_way)
{
    static const struct world_habits habits = {
        .late = 50, .bad_write = 20, .error = 10,
    };

    for (unsigned round = 0; round < (test_long ? 1000u : 60u); round++) {
        boot_seed(1024, 32, test_seed * 1000 + round);
        world_swap_behave(&habits);
        memset(&bz, 0, sizeof(bz));
        bz.map[0] = map_new(0, 12);
        for (unsigned i = 0; i < 12; i++) {
            put(bz.map[0], i, 500 + i);
            bz.value[0][i] = bz.value[1][i] = 500 + i;
        }
        bz.map[1] = world_map_fork(bz.map[0]);
        world_run(3, busy_cpu, &bz);
        world_check();
        world_swap_behave(&(struct world_habits){ .late = 0 });
        for (unsigned c = 0; c < 2; c++) {
            for (unsigned i = 0; i < 12; i++) {
                CHECK_EQ(get(bz.map[c], i), bz.value[c][i]);
            }
            world_map_destroy(bz.map[c]);
        }
        world_end();
    }
}
