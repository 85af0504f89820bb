/* pal: machines=x86_64 flavours=debug timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_fault.c - each case of a fault counts as what it was; a fault that
 * fails, at whichever allocation or by whichever race, has changed nothing.
 */
#include "object_test.h"

/* ---- the cases ---------------------------------------------------------- */

static const enum vm_stat cases[] = {
    VM_STAT_FAULT_ZERO, VM_STAT_FAULT_SOFT, VM_STAT_FAULT_COPY,
    VM_STAT_FAULT_MOVE, VM_STAT_FAULT_PAGEIN, VM_STAT_FAULT_ERRORS,
};

/* One fault: exactly one case counts, and it is this. */
static void
fault_is(struct vm_map *m, uint64_t page, vm_prot_t access,
    enum vm_stat want, int error)
{
    struct vm_statistics a, b;

    vm_statistics(&a);
    CHECK_EQ(vm_fault(m, va_of(page), access), error);
    vm_statistics(&b);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t n = b.event[cases[i]] - a.event[cases[i]];

        if (n != (cases[i] == want)) {
            FAIL("%s counts %llu, not %u", vm_stat_names[cases[i]],
                (unsigned long long)n, cases[i] == want);
        }
    }
    CHECK_EQ(b.event[VM_STAT_FAULTS] - a.event[VM_STAT_FAULTS],
        error == VM_OK);
}

TEST(cases_are_counted)
{
    struct vm_map *m, *child;
    struct tp f;

    boot(1024, 64);
    m = map_new(0, 16);
    fault_is(m, 0, VM_PROT_WRITE, VM_STAT_FAULT_ZERO, VM_OK);
    fault_is(m, 1, VM_PROT_READ, VM_STAT_FAULT_ZERO, VM_OK);
    fault_is(m, 1, RW, VM_STAT_FAULT_SOFT, VM_OK);
    fault_is(m, 16, VM_PROT_READ, VM_STAT_FAULT_ERRORS, VM_E_ADDRESS);
    fault_is(m, 0, VM_PROT_EXEC, VM_STAT_FAULT_ERRORS, VM_E_PROT);
    put_range(m, 0, 16, 100);
    child = world_map_fork(m);
    fault_is(child, 0, VM_PROT_READ, VM_STAT_FAULT_SOFT, VM_OK);
    fault_is(child, 0, VM_PROT_WRITE, VM_STAT_FAULT_COPY, VM_OK);
    fault_is(m, 1, VM_PROT_WRITE, VM_STAT_FAULT_COPY, VM_OK);
    CHECK_EQ(stat_of(VM_STAT_COPIES), 2);
    CHECK_EQ(stat_of(VM_STAT_SHADOWS), 2);
    world_map_destroy(m);
    fault_is(child, 5, VM_PROT_WRITE, VM_STAT_FAULT_SOFT, VM_OK);
    want_range(child, 0, 16, 100);
    world_map_destroy(child);

    tp_open(&f, 8, 500);
    m = map_new(0, 0);
    map_object(m, 0, 8, f.object, 0, VM_MAP_PRIVATE);
    fault_is(m, 0, VM_PROT_READ, VM_STAT_FAULT_PAGEIN, VM_OK);
    CHECK_EQ(stat_of(VM_STAT_PAGEINS), 1);
    fault_is(m, 0, VM_PROT_READ, VM_STAT_FAULT_SOFT, VM_OK);
    fault_is(m, 0, VM_PROT_WRITE, VM_STAT_FAULT_COPY, VM_OK);
    f.fail_reads = 1;
    fault_is(m, 1, VM_PROT_READ, VM_STAT_FAULT_ERRORS, VM_E_PAGER);
    fault_is(m, 1, VM_PROT_READ, VM_STAT_FAULT_PAGEIN, VM_OK);
    want_range(m, 0, 8, 500);
    world_map_destroy(m);
    tp_close(&f);
    tp_free(&f);
    world_end();
}

TEST(bad_arguments)
{
    struct vm_map *m;
    char byte = 0;

    boot(1024, 0);
    m = map_new(0, 2);
    CHECK_EQ(vm_fault(m, BASE, VM_PROT_NONE), VM_E_INVAL);
    CHECK_EQ(vm_fault(m, BASE, 8), VM_E_INVAL);
    CHECK_EQ(vm_fault(m, ~(vaddr_t)0, VM_PROT_READ), VM_E_ADDRESS);
    CHECK_EQ(vm_map_read(m, BASE, &byte, 0), VM_E_INVAL);
    CHECK_EQ(vm_map_write(m, BASE, &byte, 0), VM_E_INVAL);
    CHECK_EQ(vm_map_read(m, ~(vaddr_t)0, &byte, 2), VM_E_INVAL);
    CHECK_EQ(vm_map_read(m, va_of(2), &byte, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_map_protect(m, BASE, PAGE, VM_PROT_READ, false), VM_OK);
    CHECK_EQ(vm_map_write(m, BASE, &byte, 1), VM_E_PROT);
    CHECK_EQ(vm_fault(m, BASE, VM_PROT_WRITE), VM_E_PROT);
    CHECK_EQ(vm_map_protect(m, BASE, PAGE, VM_PROT_NONE, false), VM_OK);
    CHECK_EQ(vm_map_read(m, BASE, &byte, 1), VM_E_PROT);
    world_map_destroy(m);
    world_end();
}

/* ---- moved, not copied -------------------------------------------------- */

/*
 * A child whose two halves are objects before one backing object, which
 * has no other reference; extra grandchildren cover the first half too.
 */
static struct vm_map *
two_windows(unsigned extra, struct vm_map *more[])
{
    struct vm_map *parent = map_new(0, 16), *child;

    put_range(parent, 0, 16, 100);
    child = world_map_fork(parent);
    for (unsigned i = 0; i < extra; i++) {
        more[i] = world_map_fork(parent);
        CHECK_EQ(vm_map_deallocate(more[i], va_of(8), 8 * PAGE), VM_OK);
    }
    CHECK_EQ(vm_map_protect(child, BASE, 8 * PAGE, RW | VM_PROT_EXEC,
        false), VM_OK);
    put(child, 0, 50);
    put(child, 8, 58);
    for (unsigned i = 0; i < extra; i++) {
        put(more[i], 1, 61);
    }
    world_map_destroy(parent);
    return child;
}

TEST(moved_if_nobody_else_covers_it)
{
    for (unsigned extra = 0; extra < 6; extra++) {
        struct vm_map *child, *more[6];
        uint64_t before;

        boot(1024, 0);
        child = two_windows(extra, more);
        before = frames();
        /* Nobody else's window covers the second half. */
        fault_is(child, 9, VM_PROT_WRITE, extra <= 3 ?
            VM_STAT_FAULT_MOVE : VM_STAT_FAULT_COPY, VM_OK);
        fault_is(child, 2, VM_PROT_WRITE, extra == 0 ?
            VM_STAT_FAULT_MOVE : VM_STAT_FAULT_COPY, VM_OK);
        if (extra == 0) {
            CHECK(frames() <= before);
        }
        CHECK_EQ(get(child, 0), 50);
        want_range(child, 1, 7, 101);
        CHECK_EQ(get(child, 8), 58);
        want_range(child, 9, 7, 109);
        for (unsigned i = 0; i < extra; i++) {
            CHECK_EQ(get(more[i], 0), 100);
            CHECK_EQ(get(more[i], 1), 61);
            want_range(more[i], 2, 6, 102);
            world_map_destroy(more[i]);
        }
        want_range(child, 9, 7, 109);
        world_map_destroy(child);
        world_end();
    }
}

/* ---- every allocation of every kind of fault ---------------------------- */

static struct scene {
    struct tp f;
    struct vm_map *a, *b;
    struct vm_object *o, *snap;
} sc;

/* Pages 0-3 of a: fresh. 4-7: copied with b. 8-15: the file, shared.
 * 16-23: the file, private. 24-31: shared memory with a snapshot. */
static void
scene_begin(void)
{
    vaddr_t va = va_of(24);

    boot(1024, 256);
    memset(&sc, 0, sizeof(sc));
    tp_open(&sc.f, 8, 800);
    sc.a = map_new(0, 8);
    put_range(sc.a, 4, 4, 400);
    map_object(sc.a, 8, 8, sc.f.object, 0, VM_MAP_SHARED);
    map_object(sc.a, 16, 8, sc.f.object, 0, VM_MAP_PRIVATE);
    CHECK_EQ(vm_object_create(8, NULL, &sc.o), VM_OK);
    map_object(sc.a, 24, 8, sc.o, 0, VM_MAP_SHARED);
    put_range(sc.a, 24, 8, 700);
    CHECK_EQ(vm_object_snapshot(sc.o, &sc.snap), VM_OK);
    sc.b = world_map_fork(sc.a);
    /* What is mapped for reading, and stays if a fault fails. */
    CHECK_EQ(get(sc.a, 5), 401);
    (void)va;
}

static int
scene_act(unsigned kind)
{
    uint64_t v = 1;
    struct vm_object *o;
    struct vm_map *child;
    int error;

    switch (kind) {
    case 0: return vm_fault(sc.a, va_of(0), VM_PROT_WRITE);
    case 1: return vm_fault(sc.a, va_of(1), VM_PROT_READ);
    case 2: return vm_fault(sc.a, va_of(5), VM_PROT_WRITE);
    case 3: return vm_fault(sc.a, va_of(9), VM_PROT_READ);
    case 4: return vm_fault(sc.a, va_of(18), VM_PROT_WRITE);
    case 5: return vm_fault(sc.a, va_of(25), VM_PROT_WRITE);
    case 6: return vm_map_read(sc.a, va_of(10), &v, sizeof(v));
    case 7: v = 401; return vm_map_write(sc.a, va_of(5), &v, sizeof(v));
    case 8: v = 702; return vm_map_write(sc.a, va_of(26), &v, sizeof(v));
    case 9:
        error = vm_object_snapshot(sc.f.object, &o);
        if (error == VM_OK) {
            vm_object_unref(o, NULL);
        }
        return error;
    case 10: return vm_map_wire(sc.a, va_of(16), 8 * PAGE);
    case 11: return vm_map_wire(sc.a, va_of(2), 4 * PAGE);
    case 12:
        error = vm_map_fork(sc.a, &child);
        if (error == VM_OK) {
            vm_map_unref(child);
        }
        return error;
    case 13: return vm_fault(sc.b, va_of(6), VM_PROT_WRITE);
    case 14: return vm_pager_flush(&sc.f.pager, 0, 8);
    case 15: return vm_map_copy(sc.a, va_of(24), 8 * PAGE, sc.b,
        va_of(8));
    }
    return -1;
}

static void
scene_check(bool copied)
{
    world_check();
    for (unsigned i = 0; i < 2; i++) {
        struct vm_map *m = i == 0 ? sc.a : sc.b;

        want_zero(m, 0, 4);
        want_range(m, 4, 4, 400);
        want_range(m, 8, 8, copied ? 700 : 800);
        want_range(m, 16, 8, copied ? 700 : 800);
        want_range(m, 24, 8, 700);
    }
}

static void
scene_end(void)
{
    uint64_t *page = malloc(PAGE);

    world_map_destroy(sc.a);
    world_map_destroy(sc.b);
    vm_object_unref(sc.o, NULL);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(vm_object_read_page(sc.snap, i, page), VM_OK);
        CHECK_EQ(page[0], 700 + i);
    }
    free(page);
    vm_object_unref(sc.snap, NULL);
    tp_close(&sc.f);
    CHECK_EQ(sc.f.terminated, 1);
    tp_free(&sc.f);
    world_end();
}

TEST(each_allocation_fails)
{
    for (unsigned variant = 0; variant < 64; variant++) {
        unsigned kind = variant % 16;
        bool swapped = (variant & 16) != 0, once = (variant & 32) != 0;
        int error = VM_E_NOMEM;
        bool failed = false;
        long n;

        for (n = 1; (error == VM_E_NOMEM || once) && n < 200; n++) {
            bool over;

            scene_begin();
            if (swapped) {
                pageout_all();
            }
            if (once) {
                host_fail_after(n);
            } else {
                fail_from(n);
            }
            error = scene_act(kind);
            over = once && host_fail_count() < n;
            fail_from(0);
            CHECK(error == VM_OK || error == VM_E_NOMEM);
            failed = failed || error == VM_E_NOMEM;
            /* vm_map_copy onto the file: page 0 of it is 700 now. */
            scene_check(kind == 15 && error == VM_OK);
            if (error == VM_E_NOMEM) {
                CHECK_EQ(scene_act(kind), VM_OK);
                scene_check(kind == 15);
            }
            scene_end();
            if (over) {
                break;
            }
        }
        CHECK_EQ(error, VM_OK);
        CHECK(failed || once || swapped || kind == 1 || kind == 14);
    }
}

/* ---- a copy that could not be entered ----------------------------------- */

/*
 * The copy-up fails at its n-th allocation; then the entry is shared by
 * fork.  Both must see what either writes, and nobody an old page.
 */
TEST(failed_copy_then_share)
{
    for (unsigned variant = 0; variant < 8; variant++) {
        bool seen = (variant & 1) != 0, gone = (variant & 2) != 0;
        bool discard = (variant & 4) != 0;

        for (long n = 1; n < 12; n++) {
            struct vm_map *m, *child, *sharer;
            int error;

            boot(1024, 0);
            m = map_new(0, 4);
            put_range(m, 0, 4, 100);
            child = world_map_fork(m);
            if (seen) {
                want_range(child, 0, 4, 100);
            }
            if (discard) {
                CHECK_EQ(pmap_discard(child->pmap), VM_OK);
            }
            fail_from(n);
            error = vm_fault(child, va_of(1), VM_PROT_WRITE);
            fail_from(0);
            CHECK(error == VM_OK || error == VM_E_NOMEM);
            CHECK_EQ(get(child, 1), 101);
            if (gone) {
                world_map_destroy(m);
            }
            CHECK_EQ(vm_map_inherit(child, BASE, 4 * PAGE,
                VM_INHERIT_SHARE), VM_OK);
            sharer = world_map_fork(child);
            put(sharer, 1, 500);
            CHECK_EQ(get(child, 1), 500);
            put(child, 1, 501);
            CHECK_EQ(get(sharer, 1), 501);
            CHECK_EQ(get(sharer, 2), 102);
            put(child, 2, 502);
            CHECK_EQ(get(sharer, 2), 502);
            if (!gone) {
                want_range(m, 0, 4, 100);
                world_map_destroy(m);
            }
            world_check();
            world_map_destroy(child);
            world_map_destroy(sharer);
            world_end();
        }
    }
}

/* ---- a fork that races with faults -------------------------------------- */

static struct forks {
    struct vm_map *map, *child[10];
    uint64_t seen[10][4];
    bool shares[10];
    unsigned n, ended;
} fk;

static void
forks_cpu(unsigned cpu, void *arg)
{
    struct forks *k = arg;

    if (cpu == 0) {
        while (k->n < 10) {
            /* After one that shares, all is shared: what it sees moves. */
            bool share = k->n == 7;
            struct vm_map *c;

            CHECK_EQ(vm_map_inherit(k->map, BASE, 4 * PAGE, share ?
                VM_INHERIT_SHARE : VM_INHERIT_COPY), VM_OK);
            c = world_map_fork(k->map);
            for (unsigned i = 0; i < 4; i++) {
                CHECK_EQ(vm_map_read(c, va_of(i), &k->seen[k->n][i], 8),
                    VM_OK);
            }
            k->shares[k->n] = share;
            k->child[k->n++] = c;
            host_sleep_steps(world_random(40));
        }
        k->ended = 1;
        return;
    }
    for (uint64_t v = 1; k->ended == 0 || v < 5; v++) {
        for (unsigned i = cpu - 1; i < 4; i += 2) {
            uint64_t was = v;

            CHECK_EQ(try_put(k->map, i, v, cpu == 2 && v % 3 == 0), VM_OK);
            CHECK_EQ(world_load(k->map, va_of(i), &was, 8), VM_OK);
            CHECK_EQ(was, v);
        }
    }
}

TEST(forks_race_with_writes)
{
    for (unsigned round = 0; round < (test_long ? 2000u : 100u); round++) {
        boot_seed(2048, 0, test_seed * 1000 + round);
        memset(&fk, 0, sizeof(fk));
        fk.map = map_new(0, 4);
        world_run(3, forks_cpu, &fk);
        world_check();
        for (unsigned k = 0; k < 10; k++) {
            for (unsigned i = 0; i < 4; i++) {
                uint64_t v, now;

                CHECK_EQ(vm_map_read(fk.child[k], va_of(i), &v, 8),
                    VM_OK);
                now = get(fk.map, i);
                CHECK_EQ(v, fk.shares[k] ? now : fk.seen[k][i]);
            }
        }
        world_map_destroy(fk.map);
        for (unsigned k = 0; k < 10; k++) {
            world_map_destroy(fk.child[k]);
        }
        world_end();
    }
}
