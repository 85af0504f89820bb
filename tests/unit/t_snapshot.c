/* pal: machines=x86_64 flavours=debug timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_snapshot.c - virtual copies of memory that others write: shared memory
 * and files keep in the copy what they held when it was made.
 */
#include "object_test.h"

#define N       16u             /* pages of a source */
#define COPIES  6u

/* ---- any history -------------------------------------------------------- */

struct copy {
    struct vm_map *map;
    uint64_t value[N];
};

static struct history {
    struct tp f;                /* of a file */
    bool is_file;
    struct vm_object *object;
    struct vm_map *sharer[2];   /* [0, N) of both is the source */
    uint64_t value[N];
    struct copy copy[COPIES];
    uint64_t next;
} h;

static void
history_copy(struct vm_map *from, const uint64_t *value)
{
    for (unsigned i = 0; i < COPIES; i++) {
        struct copy *c = &h.copy[i];
        struct vm_map_copy *flight;
        vaddr_t at;

        if (c->map != NULL) {
            continue;
        }
        c->map = map_new(0, world_random(2) * N);
        if (c->map->entries > 0) {
            CHECK_EQ(vm_map_copy(from, BASE, N * PAGE, c->map, BASE),
                VM_OK);
        } else {
            /* The lowest hole is not at BASE: move it there. */
            CHECK_EQ(vm_map_copyin(from, BASE, N * PAGE, &flight), VM_OK);
            CHECK_EQ(vm_map_copyout(c->map, flight, &at), VM_OK);
            if (at != BASE) {
                vaddr_t va = BASE;

                CHECK_EQ(vm_map_allocate(c->map, &va, N * PAGE, false),
                    VM_OK);
                CHECK_EQ(vm_map_copy(c->map, at, N * PAGE, c->map, BASE),
                    VM_OK);
                CHECK_EQ(vm_map_deallocate(c->map, at, N * PAGE), VM_OK);
            }
        }
        memcpy(c->value, value, sizeof(c->value));
        return;
    }
}

/* The file changes behind everybody's back. */
static void
history_update(unsigned page)
{
    unsigned before = h.f.completed;

    CHECK_EQ(vm_pager_flush(&h.f.pager, page, 1), VM_OK);
    CHECK_EQ(h.f.completed, before + 1);
    CHECK_EQ(tp_value(&h.f, page), h.value[page]);
    h.value[page] = ++h.next;
    tp_set(&h.f, page, h.next);
}

static void
want_values(struct vm_map *map, const uint64_t *value)
{
    for (unsigned i = 0; i < N; i++) {
        CHECK_EQ(get(map, i), value[i]);
    }
}

static void
history_step(void)
{
    unsigned page = (unsigned)world_random(N);
    struct copy *c = &h.copy[world_random(COPIES)];
    struct vm_map *sharer = h.sharer[world_random(2)];

    switch (world_random(12)) {
    case 0: case 1:
        history_copy(sharer, h.value);
        break;
    case 2:
        if (c->map != NULL) {
            history_copy(c->map, c->value);
        }
        break;
    case 3: case 4:
        if (c->map != NULL) {
            world_map_destroy(c->map);
            c->map = NULL;
        }
        break;
    case 5: case 6:
        if (c->map != NULL) {
            c->value[page] = ++h.next;
            put(c->map, page, h.next);
        }
        break;
    case 7:
        (void)vm_pageout(3 * vm_page_count, world_random(3 * N));
        world_serve();
        break;
    case 8:
        if (h.is_file) {
            history_update(page);
        } else if (c->map != NULL) {
            CHECK_EQ(get(c->map, page), c->value[page]);
        }
        break;
    default:
        h.value[page] = ++h.next;
        put(sharer, page, h.next);
    }
}

static void
history_begin(uint64_t seed, bool is_file)
{
    boot_seed(2048, 1024, seed);
    memset(&h, 0, sizeof(h));
    h.is_file = is_file;
    h.next = 1000;
    if (is_file) {
        tp_open(&h.f, N, 100);
        h.object = h.f.object;
    } else {
        CHECK_EQ(vm_object_create(N, NULL, &h.object), VM_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        h.value[i] = is_file ? 100 + i : 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        h.sharer[i] = map_new(0, 0);
        map_object(h.sharer[i], 0, N, h.object, 0, VM_MAP_SHARED);
    }
}

static void
history_run(uint64_t seed, bool is_file)
{
    unsigned order = seed % 2;

    history_begin(seed, is_file);
    for (unsigned step = 0; step < 400; step++) {
        history_step();
        if (step % 16 == 0) {
            for (unsigned i = 0; i < COPIES; i++) {
                if (h.copy[i].map != NULL) {
                    want_values(h.copy[i].map, h.copy[i].value);
                }
            }
            want_values(h.sharer[order], h.value);
            world_check();
        }
    }
    /* The source goes; its copies stay. */
    world_map_destroy(h.sharer[order]);
    world_map_destroy(h.sharer[1 - order]);
    vm_object_unref(h.object, NULL);
    pageout_all();
    for (unsigned i = 0; i < COPIES; i++) {
        if (h.copy[i].map != NULL) {
            want_values(h.copy[i].map, h.copy[i].value);
            world_map_destroy(h.copy[i].map);
        }
    }
    if (is_file) {
        CHECK_EQ(h.f.terminated, 1);
        CHECK_EQ(h.f.late, 0);
        tp_free(&h.f);
    }
    CHECK_EQ(frames(), 0);
    world_end();
}

TEST(shared_memory)
{
    for (unsigned i = 0; i < (test_long ? 400u : 20u); i++) {
        history_run(test_seed * 1000 + i, false);
    }
}

TEST(files)
{
    for (unsigned i = 0; i < (test_long ? 400u : 20u); i++) {
        history_run(test_seed * 1000 + i, true);
    }
}

/* ---- one moment, one snapshot ------------------------------------------- */

TEST(reused_until_written)
{
    struct vm_object *o, *a, *b, *c;
    struct vm_map *m;

    boot(1024, 64);
    CHECK_EQ(vm_object_create(N, NULL, &o), VM_OK);
    m = map_new(0, 0);
    map_object(m, 0, N, o, 0, VM_MAP_SHARED);
    put_range(m, 0, N, 100);
    CHECK_EQ(vm_object_snapshot(o, &a), VM_OK);
    CHECK_EQ(vm_object_snapshot(o, &b), VM_OK);
    CHECK(a == b);
    want_range(m, 0, N, 100);
    CHECK_EQ(stat_of(VM_STAT_PUSHES), 0);
    put(m, 3, 33);
    put(m, 3, 34);
    CHECK_EQ(stat_of(VM_STAT_PUSHES), 1);
    CHECK_EQ(vm_object_snapshot(o, &c), VM_OK);
    CHECK(c != a);
    CHECK_EQ(stat_of(VM_STAT_SNAPSHOTS), 2);
    vm_object_unref(a, NULL);
    vm_object_unref(b, NULL);
    vm_object_unref(c, NULL);
    world_map_destroy(m);
    vm_object_unref(o, NULL);
    world_end();
}

/* Empty again is not unused: the page that was pushed has been unmapped. */
TEST(not_reused_when_emptied)
{
    for (unsigned way = 0; way < 3; way++) {
        struct vm_map *m, *one, *two;
        struct vm_object *o;

        boot(1024, 64);
        CHECK_EQ(vm_object_create(4, NULL, &o), VM_OK);
        m = map_new(0, 0);
        map_object(m, 0, 4, o, 0, VM_MAP_SHARED);
        put_range(m, 0, 4, 100);
        one = map_new(0, 0);
        map_object(one, 0, 4, o, 0, VM_MAP_COPY);
        put(m, 1, 11);
        switch (way) {
        case 0:
            drop_range(one, 1, 1);
            break;
        case 1:
            /* Moved up, into a front of the snapshot. */
            put(one, 1, 500);
            break;
        default:
            pageout_all();
            drop_range(one, 1, 1);
        }
        two = map_new(0, 0);
        map_object(two, 0, 4, o, 0, VM_MAP_COPY);
        put(m, 2, 12);
        CHECK_EQ(get(two, 0), 100);
        CHECK_EQ(get(two, 1), 11);
        CHECK_EQ(get(two, 2), 102);
        CHECK_EQ(get(one, 0), 100);
        CHECK_EQ(get(one, 2), 102);
        if (way == 1) {
            CHECK_EQ(get(one, 1), 500);
        }
        world_check();
        world_map_destroy(one);
        CHECK_EQ(get(two, 1), 11);
        world_map_destroy(two);
        world_map_destroy(m);
        vm_object_unref(o, NULL);
        world_end();
    }
}

/* ---- zero --------------------------------------------------------------- */

TEST(zero_stays_zero)
{
    for (unsigned kernel = 0; kernel < 2; kernel++) {
        struct vm_object *o;
        struct vm_map *m, *c;
        uint64_t v;

        boot(1024, 64);
        CHECK_EQ(vm_object_create(4, NULL, &o), VM_OK);
        m = map_new(0, 0);
        map_object(m, 0, 4, o, 0, VM_MAP_SHARED);
        c = map_new(0, 0);
        map_object(c, 0, 4, o, 0, VM_MAP_COPY);
        /* Zero pages of the copy's own, which nobody wrote. */
        for (unsigned i = 0; i < 2; i++) {
            CHECK_EQ(try_get(c, i, &v, kernel != 0), VM_OK);
            CHECK_EQ(v, 0);
        }
        put_range(m, 0, 4, 700);
        pageout_all();
        CHECK_EQ(frames(), 0);
        want_zero(c, 0, 4);
        want_range(m, 0, 4, 700);
        pageout_all();
        world_map_destroy(m);
        vm_object_unref(o, NULL);
        want_zero(c, 0, 4);
        world_map_destroy(c);
        world_end();
    }
}

/* ---- a pager's flush ---------------------------------------------------- */

static void
flush_begin(struct tp *f, struct vm_map **m, struct vm_map **c)
{
    boot(1024, 64);
    tp_open(f, 8, 100);
    *m = map_new(0, 0);
    map_object(*m, 0, 8, f->object, 0, VM_MAP_SHARED);
    *c = map_new(0, 0);
    map_object(*c, 0, 8, f->object, 0, VM_MAP_COPY);
}

static void
flush_end(struct tp *f, struct vm_map *m, struct vm_map *c)
{
    world_check();
    world_map_destroy(m);
    tp_close(f);
    want_range(c, 0, 8, 100);
    world_map_destroy(c);
    CHECK_EQ(f->terminated, 1);
    tp_free(f);
    world_end();
}

TEST(flush_of_what_is_not_here)
{
    struct vm_map *m, *c;
    struct tp f;

    flush_begin(&f, &m, &c);
    f.hold = true;
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 8), VM_OK);
    CHECK_EQ(f.requests, 8);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(f.completed, 0);
        CHECK_EQ(tp_answer(&f, 0), VM_OK);
    }
    CHECK_EQ(f.completed, 1);
    for (unsigned i = 0; i < 8; i++) {
        tp_set(&f, i, 500 + i);
    }
    f.hold = false;
    want_range(m, 0, 8, 500);
    want_range(c, 0, 8, 100);
    flush_end(&f, m, c);
}

/* Wired frames stay, but the snapshot must not depend on them. */
TEST(flush_of_wired_pages)
{
    struct vm_map *m, *c;
    struct tp f;

    flush_begin(&f, &m, &c);
    CHECK_EQ(vm_map_wire(m, BASE, 8 * PAGE), VM_OK);
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 8), VM_OK);
    CHECK_EQ(f.completed, 1);
    for (unsigned i = 0; i < 8; i++) {
        tp_set(&f, i, 500 + i);
    }
    CHECK_EQ(vm_map_unwire(m, BASE, 8 * PAGE), VM_OK);
    pageout_all();
    want_range(m, 0, 8, 500);
    want_range(c, 0, 8, 100);
    flush_end(&f, m, c);
}

/* One more answer is awaited by two flushes, and each by its own. */
TEST(flushes_that_overlap)
{
    struct vm_map *m, *c;
    struct tp f;

    flush_begin(&f, &m, &c);
    f.hold = true;
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 4), VM_OK);    /* A: 0 1 2 3 */
    CHECK_EQ(vm_pager_flush(&f.pager, 2, 4), VM_OK);    /* B: 2 3 4 5 */
    CHECK_EQ(f.requests, 6);
    CHECK_EQ(tp_answer(&f, 2), VM_OK);                  /* 2 */
    CHECK_EQ(tp_answer(&f, 2), VM_OK);                  /* 3 */
    CHECK_EQ(tp_answer(&f, 2), VM_OK);                  /* 4 */
    /* Page 5 is still to come: the pager may not change it yet. */
    CHECK_EQ(f.completed, 0);
    CHECK_EQ(tp_answer(&f, 2), VM_OK);                  /* 5 */
    CHECK_EQ(f.completed, 1);
    CHECK_EQ(f.done[0].pgno, 2);
    CHECK_EQ(tp_answer(&f, 0), VM_OK);
    CHECK_EQ(f.completed, 1);
    CHECK_EQ(tp_answer(&f, 0), VM_OK);
    CHECK_EQ(f.completed, 2);
    CHECK_EQ(f.done[1].pgno, 0);
    f.hold = false;
    for (unsigned i = 0; i < 6; i++) {
        tp_set(&f, i, 500 + i);
    }
    want_range(m, 0, 6, 500);
    flush_end(&f, m, c);
}

struct asked {
    struct tp f;
    struct vm_map *m, *c;
    unsigned ends;
};

static void
asked_cpu(unsigned cpu, void *arg)
{
    struct asked *a = arg;

    if (cpu == 0) {
        uint64_t v = get(a->m, 3);

        CHECK(v == 103 || v == 500);
        a->ends++;
        return;
    }
    tp_await(&a->f, 1);
    /* The page is on its way for a reader when the flush comes by. */
    CHECK_EQ(vm_pager_flush(&a->f.pager, 3, 1), VM_OK);
    if (a->f.completed == 0) {
        CHECK_EQ(tp_answer(&a->f, 0), VM_OK);
    }
    CHECK_EQ(a->f.completed, 1);
    /* It is complete: the file may change. */
    tp_set(&a->f, 3, 500);
    while (a->ends == 0) {
        if (a->f.queued > 0) {
            CHECK_EQ(tp_answer(&a->f, 0), VM_OK);
        }
        host_sleep_steps(10);
    }
}

TEST(flush_while_a_reader_waits)
{
    struct asked a = { .ends = 0 };

    flush_begin(&a.f, &a.m, &a.c);
    a.f.hold = true;
    world_run(2, asked_cpu, &a);
    a.f.hold = false;
    CHECK_EQ(get(a.m, 3), 500);
    want_range(a.c, 0, 8, 100);
    flush_end(&a.f, a.m, a.c);
}

/* ---- writers and copies at once ----------------------------------------- */

static struct race {
    struct vm_object *object;
    struct vm_map *sharer, *copy[8];
    unsigned copies, writes;
} race;

static void
race_cpu(unsigned cpu, void *arg)
{
    struct race *r = arg;

    if (cpu < 2) {
        /* Each writer counts up in pages of its own. */
        for (uint64_t v = 1; v <= 12; v++) {
            for (unsigned i = cpu; i < 4; i += 2) {
                CHECK_EQ(try_put(r->sharer, i, v, cpu == 1), VM_OK);
            }
        }
        r->writes++;
        return;
    }
    while (r->copies < 8) {
        struct vm_map *m = map_new(0, 0);
        uint64_t first[4];

        map_object(m, 0, 4, r->object, 0, VM_MAP_COPY);
        for (unsigned pass = 0; pass < 3; pass++) {
            for (unsigned i = 0; i < 4; i++) {
                vaddr_t va = va_of(i);
                uint64_t v;

                CHECK_EQ(vm_map_read(m, va, &v, sizeof(v)), VM_OK);
                first[i] = pass == 0 ? v : first[i];
                CHECK_EQ(v, first[i]);
            }
            host_sleep_steps(world_random(50));
        }
        r->copy[r->copies++] = m;
    }
}

TEST(writers_race_with_copies)
{
    for (unsigned round = 0; round < (test_long ? 1000u : 60u); round++) {
        uint64_t was[4] = { 0 };

        boot_seed(1024, 0, test_seed * 1000 + round);
        memset(&race, 0, sizeof(race));
        CHECK_EQ(vm_object_create(4, NULL, &race.object), VM_OK);
        race.sharer = map_new(0, 0);
        map_object(race.sharer, 0, 4, race.object, 0, VM_MAP_SHARED);
        world_run(3, race_cpu, &race);
        world_check();
        for (unsigned k = 0; k < 8; k++) {
            for (unsigned i = 0; i < 4; i++) {
                uint64_t v;

                CHECK_EQ(vm_map_read(race.copy[k], va_of(i), &v,
                    sizeof(v)), VM_OK);
                /* A later copy is not older. */
                CHECK(v >= was[i] && v <= 12);
                was[i] = v;
            }
        }
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(get(race.sharer, i), 12);
        }
        world_map_destroy(race.sharer);
        for (unsigned k = 0; k < 8; k++) {
            world_map_destroy(race.copy[k]);
        }
        vm_object_unref(race.object, NULL);
        world_end();
    }
}
