/* pal: machines=x86_64 flavours=debug */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_object.c - the life of memory objects: who owns what, what is freed
 * when part of it is unmapped, growth, truncation, death.
 */
#include "object_test.h"

/* ---- references and owners ---------------------------------------------- */

TEST(clipped_entries_own_alone)
{
    struct vm_map *m;

    boot(1024, 0);
    m = map_new(0, 16);
    put_range(m, 0, 16, 100);
    CHECK_EQ(frames(), 16);
    /* Cut into many entries, each a reference of the same owner. */
    for (unsigned i = 0; i < 16; i += 2) {
        CHECK_EQ(vm_map_protect(m, va_of(i), PAGE, VM_PROT_READ, false),
            VM_OK);
    }
    CHECK_EQ(m->entries, 16);
    /* Unmapped is freed, at once and nothing else. */
    for (unsigned i = 4; i < 12; i++) {
        drop_range(m, i, 1);
        CHECK_EQ(frames(), 15 - (i - 4));
        world_check();
    }
    want_range(m, 0, 4, 100);
    want_range(m, 12, 4, 112);
    world_map_destroy(m);
    world_end();
}

TEST(purge_goes_down_the_chain)
{
    struct vm_map *parent, *child;

    boot(1024, 0);
    parent = map_new(0, 16);
    put_range(parent, 0, 16, 100);
    child = world_map_fork(parent);
    put_range(child, 0, 8, 200);
    CHECK_EQ(frames(), 24);
    /* Parent's half of what both read stays, for the child. */
    drop_range(parent, 6, 4);
    want_range(child, 0, 8, 200);
    want_range(child, 8, 8, 108);
    drop_range(child, 4, 8);
    want_range(parent, 0, 6, 100);
    want_range(parent, 10, 6, 110);
    want_range(child, 0, 4, 200);
    want_range(child, 12, 4, 112);
    world_map_destroy(parent);
    /* Alone: all that is unmapped goes. */
    drop_range(child, 0, 2);
    drop_range(child, 14, 2);
    want_range(child, 2, 2, 202);
    want_range(child, 12, 2, 112);
    put_range(child, 2, 2, 300);
    put_range(child, 12, 2, 310);
    CHECK(frames() <= 16);
    drop_range(child, 0, 16);
    world_map_destroy(child);
    CHECK_EQ(frames(), 0);
    world_end();
}

/*
 * One map sees the same pages at several places, each cut up and unmapped
 * by chance: what is still mapped keeps its contents.
 */
#define N 48u

struct picture {
    uint64_t value[N];
    bool there[N];
};

static void
overlap_check(struct vm_map *m, const struct picture *p)
{
    for (unsigned i = 0; i < N; i++) {
        uint64_t v;
        int error = try_get(m, i, &v, world_random(2) == 0);

        CHECK_EQ(error, p->there[i] ? VM_OK : VM_E_ADDRESS);
        if (error == VM_OK && v != p->value[i]) {
            FAIL("page %u is %llu, not %llu", i, (unsigned long long)v,
                (unsigned long long)p->value[i]);
        }
    }
}

static void
overlap_copy(struct vm_map *m, struct picture *p, unsigned n)
{
    unsigned from = (unsigned)world_random(N - n + 1);
    unsigned to = (unsigned)world_random(N - n + 1);
    struct picture was = *p;
    bool ok = true;

    for (unsigned i = 0; i < n; i++) {
        ok = ok && p->there[from + i] && p->there[to + i];
    }
    CHECK_EQ(vm_map_copy(m, va_of(from), n * PAGE, m, va_of(to)),
        ok ? VM_OK : VM_E_ADDRESS);
    for (unsigned i = 0; ok && i < n; i++) {
        p->value[to + i] = was.value[from + i];
    }
}

static void
overlap_step(struct vm_map *m, struct picture *p, uint64_t *next)
{
    unsigned n = 1 + (unsigned)world_random(8);
    unsigned at = (unsigned)world_random(N - n + 1);
    vaddr_t va;

    switch (world_random(6)) {
    case 0:
    case 1:
        overlap_copy(m, p, n);
        break;
    case 2:
        drop_range(m, at, n);
        memset(&p->there[at], 0, n);
        break;
    case 3:
        for (unsigned i = at; i < at + n; i++) {
            va = va_of(i);
            if (!p->there[i]) {
                CHECK_EQ(vm_map_allocate(m, &va, PAGE, false), VM_OK);
                p->there[i] = true;
                p->value[i] = 0;
            }
        }
        break;
    case 4:
        if (p->there[at]) {
            /* A cut that is mended again. */
            CHECK_EQ(vm_map_inherit(m, va_of(at), PAGE,
                world_random(2) == 0 ? VM_INHERIT_COPY : VM_INHERIT_NONE),
                VM_OK);
        }
        break;
    default:
        for (unsigned i = at; i < at + n; i++) {
            if (p->there[i]) {
                put(m, i, ++*next);
                p->value[i] = *next;
            }
        }
    }
}

TEST(purge_spares_other_windows_of_one_map)
{
    for (unsigned round = 0; round < (test_long ? 200u : 12u); round++) {
        struct picture p, q;
        struct vm_map *m, *child = NULL;
        uint64_t next = 1000;

        boot_seed(2048, 256, test_seed * 1000 + round);
        m = map_new(0, N);
        for (unsigned i = 0; i < N; i++) {
            p.there[i] = true;
            p.value[i] = i + 1;
            put(m, i, i + 1);
        }
        for (unsigned step = 0; step < 250; step++) {
            overlap_step(m, &p, &next);
            if (step % 40 == 20) {
                pageout_all();
            }
            if (step == 100) {
                CHECK_EQ(vm_map_inherit(m, va_of(0), PAGE,
                    VM_INHERIT_COPY), p.there[0] ? VM_OK : VM_E_ADDRESS);
                child = world_map_fork(m);
                q = p;
                for (unsigned i = 0; i < N; i++) {
                    uint64_t v;

                    q.there[i] = try_get(child, i, &v, true) == VM_OK;
                }
            }
            if (step % 10 == 0) {
                overlap_check(m, &p);
                world_check();
            }
        }
        overlap_check(child, &q);
        world_map_destroy(m);
        overlap_check(child, &q);
        /* Nobody else is left: what is not mapped costs nothing. */
        drop_range(child, 0, N);
        CHECK_EQ(frames(), 0);
        world_map_destroy(child);
        world_end();
    }
}

/* ---- growth ------------------------------------------------------------- */

TEST(grown_memory_is_zero)
{
    struct vm_map_copy *copy;
    struct vm_map *m;
    vaddr_t va;

    boot(1024, 64);
    m = map_new(0, 8);
    put_range(m, 0, 8, 100);
    /* Unmapped while a message holds it: its pages stay. */
    CHECK_EQ(vm_map_copyin(m, BASE, 8 * PAGE, &copy), VM_OK);
    drop_range(m, 4, 4);
    CHECK_EQ(frames(), 8);
    vm_map_copy_discard(copy);
    put(m, 0, 50);
    /* The heap grows again, over the stale pages. */
    va = va_of(4);
    CHECK_EQ(vm_map_allocate(m, &va, 4 * PAGE, false), VM_OK);
    CHECK_EQ(m->entries, 1);
    want_zero(m, 4, 4);
    CHECK_EQ(get(m, 0), 50);
    want_range(m, 1, 3, 101);
    put_range(m, 4, 4, 400);
    /* The same with stale swap. */
    CHECK_EQ(vm_map_copyin(m, BASE, 8 * PAGE, &copy), VM_OK);
    drop_range(m, 4, 4);
    pageout_all();
    CHECK_EQ(frames(), 0);
    vm_map_copy_discard(copy);
    put(m, 0, 51);
    va = va_of(4);
    CHECK_EQ(vm_map_allocate(m, &va, 6 * PAGE, false), VM_OK);
    want_zero(m, 4, 6);
    want_range(m, 1, 3, 101);
    world_map_destroy(m);
    world_end();
}

/* ---- truncation --------------------------------------------------------- */

TEST(truncation)
{
    struct vm_statistics st;
    struct vm_map *m;
    struct tp f;
    uint64_t v;

    boot(1024, 0);
    tp_open(&f, 16, 100);
    m = map_new(0, 0);
    map_object(m, 0, 8, f.object, 0, VM_MAP_SHARED);
    map_object(m, 8, 8, f.object, 0, VM_MAP_PRIVATE);
    want_range(m, 0, 8, 100);
    put(m, 6, 66);
    put(m, 8 + 5, 55);
    CHECK_EQ(vm_map_wire(m, va_of(0), 8 * PAGE), VM_OK);
    vm_object_resize(f.object, 4);
    world_check();
    vm_statistics(&st);
    CHECK_EQ(st.pages_wired, 4);
    want_range(m, 0, 4, 100);
    want_range(m, 8, 4, 100);
    for (unsigned i = 4; i < 8; i++) {
        CHECK_EQ(try_get(m, i, &v, false), VM_E_PAGER);
        CHECK_EQ(try_put(m, i, 1, true), VM_E_PAGER);
    }
    /* Written privately is its writer's. */
    CHECK_EQ(get(m, 8 + 5), 55);
    CHECK_EQ(try_get(m, 8 + 6, &v, false), VM_E_PAGER);
    CHECK_EQ(vm_map_unwire(m, va_of(0), 8 * PAGE), VM_OK);
    vm_statistics(&st);
    CHECK_EQ(st.pages_wired, 0);
    /* It grows: what the pager says now, not what was in memory. */
    CHECK_EQ(f.writes, 0);
    vm_object_resize(f.object, 12);
    want_range(m, 0, 8, 100);
    CHECK_EQ(get(m, 8 + 5), 55);
    vm_object_resize(f.object, 0);
    world_check();
    CHECK_EQ(frames(), 1);
    CHECK_EQ(try_get(m, 0, &v, false), VM_E_PAGER);
    world_map_destroy(m);
    tp_close(&f);
    CHECK_EQ(f.terminated, 1);
    tp_free(&f);
    world_end();
}

struct cut {
    struct tp f;
    struct vm_map *m;
    unsigned ends;
};

static void
cut_cpu(unsigned cpu, void *arg)
{
    struct cut *c = arg;
    uint64_t v;
    int error;

    switch (cpu) {
    case 0:
        /* Pages are on their way to the pager, slowly. */
        error = vm_pager_clean_request(&c->f.pager, 0, 8);
        /* If it is cut short before: out of range. */
        CHECK(error == VM_OK || error == VM_E_INVAL);
        break;
    case 1:
        host_sleep_steps(world_random(60));
        vm_object_resize(c->f.object, 2);
        c->ends++;
        break;
    default:
        for (unsigned i = 0; c->ends == 0 || i < 40; i++) {
            unsigned page = 2 + (unsigned)world_random(6);

            error = try_get(c->m, page, &v, false);
            CHECK(error == VM_OK || error == VM_E_PAGER);
            host_sleep_steps(3);
        }
    }
}

TEST(truncation_meets_pages_in_transit)
{
    for (unsigned round = 0; round < 40; round++) {
        struct cut c = { 0 };

        boot_seed(1024, 0, test_seed * 1000 + round);
        tp_open(&c.f, 8, 100);
        c.f.write_steps = 20;
        c.m = map_new(0, 0);
        map_object(c.m, 0, 8, c.f.object, 0, VM_MAP_SHARED);
        put_range(c.m, 0, 8, 200);
        world_run(3, cut_cpu, &c);
        CHECK_EQ(c.f.object->npages, 2);
        world_check();
        want_range(c.m, 0, 2, 200);
        world_map_destroy(c.m);
        tp_close(&c.f);
        tp_free(&c.f);
        world_end();
    }
}

static void
cut_waiter(unsigned cpu, void *arg)
{
    struct cut *c = arg;
    uint64_t v;

    if (cpu == 0) {
        /* It was asked for, and then the file ended before it. */
        CHECK_EQ(try_get(c->m, 6, &v, false), VM_E_PAGER);
        c->ends++;
    } else {
        tp_await(&c->f, 1);
        vm_object_resize(c->f.object, 3);
        CHECK_EQ(tp_provide(&c->f, 6, 1), VM_E_INVAL);
        CHECK_EQ(vm_pager_data_error(&c->f.pager, 2, 2), VM_E_INVAL);
        c->f.queued = 0;
    }
}

TEST(truncation_ends_waiting)
{
    for (unsigned round = 0; round < 20; round++) {
        struct cut c = { 0 };

        boot_seed(1024, 0, test_seed * 1000 + round);
        tp_open(&c.f, 8, 100);
        c.f.hold = true;
        c.m = map_new(0, 0);
        map_object(c.m, 0, 8, c.f.object, 0, VM_MAP_SHARED);
        world_run(2, cut_waiter, &c);
        CHECK_EQ(c.ends, 1);
        CHECK_EQ(frames(), 0);
        world_map_destroy(c.m);
        tp_close(&c.f);
        tp_free(&c.f);
        world_end();
    }
}

/* A flush waits for old data of pages that are then cut off. */
TEST(truncation_completes_a_flush)
{
    struct vm_object *snap;
    struct tp f;

    boot(1024, 0);
    tp_open(&f, 8, 100);
    CHECK_EQ(vm_object_snapshot(f.object, &snap), VM_OK);
    f.hold = true;
    CHECK_EQ(vm_pager_flush(&f.pager, 4, 4), VM_OK);
    CHECK_EQ(f.requests, 4);
    CHECK_EQ(f.completed, 0);
    CHECK_EQ(tp_answer(&f, 0), VM_OK);
    vm_object_resize(f.object, 4);
    CHECK_EQ(f.completed, 1);
    f.queued = 0;
    world_check();
    vm_object_unref(snap, NULL);
    tp_close(&f);
    tp_free(&f);
    world_end();
}

/* ---- death -------------------------------------------------------------- */

TEST(the_dead_hear_nothing)
{
    struct vm_object *o[8];
    struct vm_map *m;
    struct tp f, g;

    boot(1024, 0);
    tp_open(&f, 4, 100);
    m = map_new(0, 0);
    map_object(m, 0, 4, f.object, 0, VM_MAP_SHARED);
    put(m, 1, 7);
    put(m, 3, 9);
    tp_close(&f);
    CHECK_EQ(f.terminated, 0);
    CHECK_EQ(get(m, 1), 7);
    /* The last one out: modified pages go home, then the last call. */
    world_map_destroy(m);
    CHECK_EQ(f.terminated, 1);
    CHECK_EQ(f.writes, 2);
    CHECK_EQ(tp_value(&f, 1), 7);
    CHECK_EQ(tp_value(&f, 3), 9);
    CHECK_EQ(tp_value(&f, 2), 102);
    /* Its memory is somebody else's now. */
    tp_open(&g, 4, 200);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(vm_object_create(4, NULL, &o[i]), VM_OK);
    }
    CHECK_EQ(tp_provide(&f, 0, 4), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_data_unavailable(&f.pager, 0, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_data_error(&f.pager, 0, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_write_done(&f.pager, 0, 1, false), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_lock(&f.pager, 0, 1, RW), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_cache(&f.pager, true), VM_E_ADDRESS);
    CHECK_EQ(vm_pager_dead(&f.pager), VM_E_ADDRESS);
    CHECK_EQ(frames(), 0);
    CHECK_EQ(f.late, 0);
    for (unsigned i = 0; i < 8; i++) {
        vm_object_unref(o[i], NULL);
    }
    tp_close(&g);
    tp_free(&f);
    tp_free(&g);
    world_end();
}

/* ---- where an object ends ----------------------------------------------- */

TEST(anonymous_object_ends)
{
    struct vm_map_copy *copy;
    struct vm_object *o;
    struct vm_map *m;
    uint64_t v;
    vaddr_t at;

    boot(1024, 0);
    CHECK_EQ(vm_object_create(4, NULL, &o), VM_OK);
    m = map_new(0, 0);
    map_object(m, 0, 8, o, 0, VM_MAP_SHARED);
    put_range(m, 0, 4, 100);
    /* "the object ends before" (vm_fault.h) */
    CHECK_EQ(try_put(m, 6, 1, false), VM_E_PAGER);
    CHECK_EQ(try_put(m, 4, 1, true), VM_E_PAGER);
    CHECK_EQ(try_get(m, 5, &v, false), VM_E_PAGER);
    CHECK_EQ(try_get(m, 7, &v, true), VM_E_PAGER);
    world_check();
    CHECK_EQ(vm_map_copyin(m, BASE, 8 * PAGE, &copy), VM_OK);
    CHECK_EQ(vm_map_copyout(m, copy, &at), VM_OK);
    put_range(m, 0, 4, 200);
    CHECK_EQ(vm_map_read(m, at + 3 * PAGE, &v, sizeof(v)), VM_OK);
    CHECK_EQ(v, 103);
    CHECK_EQ(vm_map_read(m, at + 5 * PAGE, &v, sizeof(v)), VM_E_PAGER);
    world_map_destroy(m);
    vm_object_unref(o, NULL);
    world_end();
}

/* ---- every allocation --------------------------------------------------- */

TEST(creation_fails_cleanly)
{
    struct vm_object *o, *out = (void *)1;
    struct vm_pager pg = { .ops = &tp_ops };

    boot(1024, 0);
    CHECK_EQ(vm_object_create(4, NULL, &o), VM_OK);
    host_fail_after(1);
    CHECK_EQ(vm_object_create(4, NULL, &out), VM_E_NOMEM);
    host_fail_after(1);
    CHECK_EQ(vm_object_create_pager(&pg, 4, &out), VM_E_NOMEM);
    host_fail_after(1);
    CHECK_EQ(vm_object_shadow(o, 0, 4, NULL, &out), VM_E_NOMEM);
    host_fail_after(1);
    CHECK_EQ(vm_object_snapshot(o, &out), VM_E_NOMEM);
    host_fail_after(1);
    CHECK_EQ(vm_object_copy_now(o, 0, 4, NULL, &out), VM_E_NOMEM);
    host_fail_after(0);
    CHECK(out == (void *)1);
    CHECK_EQ(vm_object_depth(o), 1);
    vm_object_check(o);
    CHECK_EQ(o->ref_count, 1);
    vm_object_unref(o, NULL);
    world_end();
}
