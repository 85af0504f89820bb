/* pal: machines=x86_64 flavours=debug timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_collapse.c - chains of shadows of every shape stay short, and whoever
 * reads through them reads the same before and after.
 */
#include "object_test.h"

#define N       24u             /* pages of a map */
#define MAPS    10u

/* ---- random families ---------------------------------------------------- */

/* What each map of a family must show. */
static struct member {
    struct vm_map *map;
    uint64_t value[N];
    bool there[N];
} family[MAPS];
static uint64_t next_value;

static void
member_check(struct member *m)
{
    for (unsigned i = 0; i < N; i++) {
        uint64_t v = 0;
        int error = try_get(m->map, i, &v, world_random(2) == 0);

        CHECK_EQ(error, m->there[i] ? VM_OK : VM_E_ADDRESS);
        if (m->there[i] && v != m->value[i]) {
            FAIL("map %u: page %u is %llu, not %llu",
                (unsigned)(m - family), i, (unsigned long long)v,
                (unsigned long long)m->value[i]);
        }
    }
}

static unsigned
family_size(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MAPS; i++) {
        n += family[i].map != NULL;
    }
    return n;
}

/* No chain is longer than there are maps that could hold a part of it. */
static void
family_check(bool contents)
{
    unsigned live = family_size();

    for (unsigned i = 0; i < MAPS; i++) {
        struct member *m = &family[i];

        if (m->map == NULL) {
            continue;
        }
        for (unsigned k = 0; k < N; k++) {
            struct vm_object *o = m->there[k] ? object_at(m->map, k) : NULL;

            if (o != NULL && vm_object_depth(o) > 2 * live + 3) {
                FAIL("map %u, page %u: depth %u of %u maps", i, k,
                    vm_object_depth(o), live);
            }
        }
        if (contents) {
            member_check(m);
        }
    }
    world_check();
}

static void
family_fork(struct member *m)
{
    for (unsigned i = 0; i < MAPS; i++) {
        struct member *c = &family[i];

        if (c->map == NULL) {
            if (world_map_try_fork(m->map, &c->map) == VM_OK) {
                memcpy(c->value, m->value, sizeof(c->value));
                memcpy(c->there, m->there, sizeof(c->there));
            }
            return;
        }
    }
}

/* [at, +n) of one onto [to, +n) of another: a window with an offset. */
static void
family_copy(struct member *a, struct member *b, unsigned at, unsigned to,
    unsigned n)
{
    struct member was = *a;
    int error = vm_map_copy(a->map, va_of(at), n * PAGE, b->map,
        va_of(to));

    if (error == VM_OK) {
        memcpy(&b->value[to], &was.value[at], n * sizeof(b->value[0]));
    } else {
        CHECK(error == VM_E_ADDRESS || error == VM_E_NOMEM);
    }
}

static void
family_write(struct member *m, unsigned at, unsigned n)
{
    for (unsigned i = at; i < at + n; i++) {
        uint64_t was = m->value[i];
        int error;

        if (!m->there[i]) {
            continue;
        }
        error = try_put(m->map, i, ++next_value, world_random(2) == 0);
        if (error == VM_OK) {
            m->value[i] = next_value;
        } else {
            /* Half-written at most: make it whole, one way or the other. */
            CHECK_EQ(error, VM_E_NOMEM);
            fail_from(0);
            put(m->map, i, was);
        }
    }
}

static void
family_hole(struct member *m, unsigned at, unsigned n)
{
    vaddr_t va = va_of(at);
    bool free = true;

    for (unsigned i = at; i < at + n; i++) {
        free = free && !m->there[i];
    }
    if (free) {
        if (vm_map_allocate(m->map, &va, n * PAGE, false) == VM_OK) {
            memset(&m->there[at], 1, n);
            memset(&m->value[at], 0, n * sizeof(m->value[0]));
        }
    } else if (vm_map_deallocate(m->map, va, n * PAGE) == VM_OK) {
        memset(&m->there[at], 0, n);
    }
}

static void
family_step(bool failures)
{
    struct member *m, *o;
    unsigned n = 1 + (unsigned)world_random(8);
    unsigned at = (unsigned)world_random(N - n + 1);

    do {
        m = &family[world_random(MAPS)];
        o = &family[world_random(MAPS)];
    } while (m->map == NULL || o->map == NULL);
    if (failures && world_random(4) == 0) {
        fail_from(1 + (long)world_random(12));
    }
    switch (world_random(16)) {
    case 0: case 1: case 2:
        family_fork(m);
        break;
    case 3: case 4:
        if (family_size() > 1) {
            world_map_destroy(m->map);
            m->map = NULL;
        }
        break;
    case 5: case 6:
        family_copy(m, o, at, (unsigned)world_random(N - n + 1), n);
        break;
    case 7:
        family_hole(m, at, n);
        break;
    case 8:
        /* A cut, or one that is mended. */
        (void)!vm_map_protect(m->map, va_of(at), n * PAGE,
            world_random(2) == 0 ? RW : RW | VM_PROT_EXEC, false);
        break;
    case 9:
        (void)vm_pageout(3 * vm_page_count, world_random(60));
        break;
    default:
        family_write(m, at, n);
    }
    fail_from(0);
}

static void
family_run(uint64_t seed, unsigned steps, bool failures)
{
    boot_seed(3072, 1024, seed);
    memset(family, 0, sizeof(family));
    next_value = 1000;
    family[0].map = map_new(0, N);
    for (unsigned i = 0; i < N; i++) {
        family[0].there[i] = true;
    }
    for (unsigned step = 0; step < steps; step++) {
        family_step(failures);
        if (step % 8 == 0) {
            world_serve();
            family_check(step % 32 == 0);
        }
    }
    family_check(true);
    for (unsigned i = 0; i < MAPS; i++) {
        if (family[i].map != NULL) {
            world_map_destroy(family[i].map);
        }
    }
    CHECK_EQ(frames(), 0);
    world_end();
}

TEST(families)
{
    for (unsigned i = 0; i < (test_long ? 300u : 12u); i++) {
        family_run(test_seed * 1000 + i, 500, false);
    }
}

TEST(families_short_of_memory)
{
    for (unsigned i = 0; i < (test_long ? 300u : 12u); i++) {
        family_run(test_seed * 2000 + i, 500, true);
    }
}

/* ---- ten thousand generations ------------------------------------------- */

struct line {
    const char *name;
    bool child_first;           /* the child writes while parent lives */
    bool clip;
    bool swap;
    bool parent_writes;
};

static void
line_write(struct vm_map *m, uint64_t *value, unsigned n)
{
    while (n-- > 0) {
        unsigned page = (unsigned)world_random(N);

        value[page] = ++next_value;
        put(m, page, next_value);
    }
}

static void
line_clip(struct vm_map *m)
{
    unsigned n = 1 + (unsigned)world_random(N / 2);
    vaddr_t va = va_of(world_random(N - n + 1));

    /* A cut that stays: this part may be executed, or not any more. */
    CHECK_EQ(vm_map_protect(m, va, n * PAGE, world_random(2) == 0 ? RW :
        RW | VM_PROT_EXEC, false), VM_OK);
}

static void
line_run(const struct line *l, unsigned generations)
{
    uint64_t value[N] = { 0 }, most = 0, slots = 0;
    struct vm_map *parent, *child;
    unsigned deepest = 0;

    boot(2048, l->swap ? 1024 : 0);
    next_value = 1000;
    parent = map_new(0, N);
    line_write(parent, value, N);
    for (unsigned g = 0; g < generations; g++) {
        uint64_t scratch[N];

        if (l->clip) {
            line_clip(parent);
        }
        child = world_map_fork(parent);
        if (l->parent_writes) {
            memcpy(scratch, value, sizeof(scratch));
            line_write(parent, scratch, 2);
        }
        if (l->child_first) {
            line_write(child, value, 1 + (unsigned)world_random(4));
        }
        if (l->swap && g % 7 == 0) {
            (void)vm_pageout(3 * vm_page_count, world_random(2 * N));
        }
        world_map_destroy(parent);
        if (!l->child_first) {
            line_write(child, value, 1 + (unsigned)world_random(4));
        }
        parent = child;
        for (unsigned i = 0; i < N; i++) {
            struct vm_object *o = object_at(parent, i);
            unsigned depth = o == NULL ? 0 : vm_object_depth(o);

            deepest = depth > deepest ? depth : deepest;
        }
        most = frames() > most ? frames() : most;
        slots = vm_swap_used() > slots ? vm_swap_used() : slots;
        if (g % 97 == 0) {
            for (unsigned i = 0; i < N; i++) {
                CHECK_EQ(get(parent, i), value[i]);
            }
            world_check();
        }
    }
    for (unsigned i = 0; i < N; i++) {
        CHECK_EQ(get(parent, i), value[i]);
    }
    test_note("%s: depth %u, %llu frames, %llu swap slots", l->name,
        deepest, (unsigned long long)most,
        (unsigned long long)slots);
    /*
     * Measured: up to 9, reached in the first 600 generations, and no more
     * after 10,000.  What it must not do is grow with them.
     */
    CHECK(deepest <= 12);
    CHECK(most <= 4 * N);
    CHECK(slots <= 4 * N);
    world_map_destroy(parent);
    world_end();
}

TEST(endless_forking)
{
    static const struct line lines[] = {
        { "child first", true, false, false, false },
        { "parent exits first", false, false, false, false },
        { "clipped", true, true, false, false },
        { "clipped, parent first", false, true, false, false },
        { "swap", true, false, true, false },
        { "clipped, swap, both write", true, true, true, true },
    };

    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        line_run(&lines[i], i < 2 || test_long ? 10000 : 2500);
    }
}

/* ---- merge and bypass, seen from outside -------------------------------- */

TEST(bypass_lets_the_parents_memory_go)
{
    struct vm_map *parent, *child;

    boot(1024, 0);
    parent = map_new(0, N);
    put_range(parent, 0, N, 100);
    child = world_map_fork(parent);
    put_range(child, 0, N, 200);
    CHECK_EQ(vm_object_depth(object_at(child, 0)), 1);
    CHECK_EQ(stat_of(VM_STAT_BYPASSES), 1);
    CHECK_EQ(frames(), 2 * N);
    want_range(parent, 0, N, 100);
    world_map_destroy(parent);
    CHECK_EQ(frames(), N);
    want_range(child, 0, N, 200);
    world_map_destroy(child);
    world_end();
}

/*
 * A snapshot that outlived its source by absorbing it is as good as any
 * anonymous object: what stands before it, with every page, steps over it.
 */
TEST(absorbed_source_leaves_nothing_behind)
{
    struct vm_map *reader[24];
    struct vm_map *m;

    boot(4096, 0);
    m = map_new(0, 4);
    put_range(m, 0, 4, 100);
    for (unsigned g = 0; g < 24; g++) {
        struct vm_map *sharer, *next;

        /* Shared for a while ... */
        CHECK_EQ(vm_map_inherit(m, BASE, 4 * PAGE, VM_INHERIT_SHARE),
            VM_OK);
        sharer = world_map_fork(m);
        /* ... snapshot, of which a reader keeps a copy ... */
        CHECK_EQ(vm_map_inherit(m, BASE, 4 * PAGE, VM_INHERIT_COPY),
            VM_OK);
        next = world_map_fork(m);
        world_map_destroy(sharer);
        world_map_destroy(m);
        reader[g] = world_map_fork(next);
        /* ... and the line goes on with memory all its own. */
        put_range(next, 0, 4, 100 * (g + 2));
        m = next;
        CHECK(vm_object_depth(object_at(m, 0)) <= 3);
        world_check();
    }
    for (unsigned g = 0; g < 24; g++) {
        want_range(reader[g], 0, 4, 100 * (g + 1));
        world_map_destroy(reader[g]);
    }
    want_range(m, 0, 4, 2500);
    world_map_destroy(m);
    world_end();
}

/* No node for a moved page: the chain stays longer, nothing is lost. */
TEST(collapse_without_nodes)
{
    for (long n = 1; n < 16; n++) {
        struct vm_map *parent, *child;
        vaddr_t far = BASE;

        boot(1024, 64);
        parent = world_map_create();
        CHECK_EQ(vm_map_allocate(parent, &far, 70000 * PAGE, false),
            VM_OK);
        for (unsigned i = 0; i < 20; i++) {
            put(parent, i * 3400, 100 + i);
        }
        child = world_map_fork(parent);
        put(child, 3, 5);
        if (n % 2 == 0) {
            (void)vm_pageout(vm_page_count, 10);
            world_serve();
        }
        fail_from(n);
        world_map_destroy(parent);
        fail_from(0);
        world_check();
        for (unsigned i = 0; i < 20; i++) {
            CHECK_EQ(get(child, i * 3400), 100 + i);
        }
        CHECK_EQ(get(child, 3), 5);
        /* The next copy-up ends the work. */
        for (unsigned i = 0; i < 20; i++) {
            put(child, i * 3400, 200 + i);
        }
        CHECK(vm_object_depth(object_at(child, 0)) <= 2);
        for (unsigned i = 0; i < 20; i++) {
            CHECK_EQ(get(child, i * 3400), 200 + i);
        }
        CHECK(frames() <= 42);
        world_map_destroy(child);
        world_end();
    }
}

/* ---- swap-in under way -------------------------------------------------- */

struct transit {
    struct tp swap;
    struct vm_map *parent, *child;
    bool write;
    unsigned ends;
};

static void
transit_cpu(unsigned cpu, void *arg)
{
    struct transit *t = arg;

    if (cpu == 1) {
        tp_await(&t->swap, 1);
        /* The page asked for moves from one object to the other. */
        world_map_destroy(t->parent);
        while (t->ends == 0) {
            if (t->swap.queued > 0) {
                CHECK_EQ(tp_answer(&t->swap, 0), VM_OK);
            }
            host_sleep_steps(10);
        }
        return;
    }
    CHECK_EQ(get(t->child, 3), 103);
    if (t->write) {
        put(t->child, 4, 44);
    }
    t->ends++;
}

TEST(collapse_with_a_page_on_its_way_in)
{
    for (unsigned round = 0; round < 60; round++) {
        struct transit t = { .write = round % 2 == 1 };

        boot_seed(1024, 0, test_seed * 1000 + round);
        tp_make(&t.swap, 64);
        CHECK_EQ(vm_swap_set(&t.swap.pager, 64), VM_OK);
        t.parent = map_new(0, 8);
        put_range(t.parent, 0, 8, 100);
        t.child = world_map_fork(t.parent);
        put(t.child, 0, 50);
        pageout_all();
        CHECK_EQ(frames(), 0);
        CHECK_EQ(vm_swap_used(), 9);
        t.swap.hold = true;
        world_run(2, transit_cpu, &t);
        t.swap.hold = false;
        tp_answer_all(&t.swap);
        CHECK_EQ(get(t.child, 0), 50);
        want_range(t.child, 1, 3, 101);
        CHECK_EQ(get(t.child, 4), t.write ? 44 : 104);
        want_range(t.child, 5, 2, 105);
        world_map_destroy(t.child);
        CHECK_EQ(vm_swap_used(), 0);
        world_end();
        tp_free(&t.swap);
    }
}

/*
 * One CPU writes, so that its entry gets a front; another destroys the only
 * other front, so that what is below belongs to the new one alone; a third
 * looks for a page there that nobody has.  What the first gives up must not
 * be found by the third when the second has taken it away.
 */
static struct leaving {
    struct vm_map *map, *child;
} leaving;

static void
leaving_cpu(unsigned cpu, void *arg)
{
    struct leaving *l = arg;
    uint64_t v = 1;

    host_sleep_steps(world_random(20));
    switch (cpu) {
    case 0:
        put(l->map, 1, 7);
        break;
    case 1:
        world_map_destroy(l->child);
        break;
    default:
        for (unsigned i = 4; i < 64; i += 6) {
            CHECK_EQ(world_load(l->map, va_of(i), &v, 8), VM_OK);
            CHECK_EQ(v, 0);
        }
        break;
    }
}

TEST(front_made_while_the_other_goes)
{
    for (unsigned round = 0; round < (test_long ? 20000u : 2000u); round++) {
        boot_seed(256, 0, test_seed * 10000 + round);
        leaving.map = map_new(0, 64);
        put_range(leaving.map, 0, 4, 100);
        leaving.child = world_map_fork(leaving.map);
        put(leaving.child, 0, 50);
        world_run(3, leaving_cpu, &leaving);
        world_check();
        put(leaving.map, 6, 9);
        CHECK_EQ(get(leaving.map, 1), 7);
        CHECK_EQ(get(leaving.map, 3), 103);
        CHECK_EQ(get(leaving.map, 6), 9);
        world_map_destroy(leaving.map);
        CHECK_EQ(frames(), 0);
        world_end();
    }
}
