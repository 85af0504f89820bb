/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_maps.c - the list of all maps, and other page tables for a map: bounds,
 * contents, and what a fork makes of it.
 */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug timeout=180 */
/* pal: machines=x86_64 flavours=tsan timeout=180 */
#include "object_test.h"

#define LIVE    16u

/* ---- the list ----------------------------------------------------------- */

static unsigned
count_maps(void)
{
    unsigned n = 0;

    for (struct vm_map *m = vm_map_next(NULL); m != NULL;
        m = vm_map_next(m)) {
        n++;
    }
    return n;
}

TEST(list_order)
{
    struct vm_map *m[LIVE], *at;
    bool seen[LIVE] = { false };

    boot(2048, 0);
    CHECK_EQ(count_maps(), 0);
    CHECK(vm_map_pick(7) == NULL);
    for (unsigned i = 0; i < LIVE; i++) {
        m[i] = map_new(0, 1);
        CHECK_EQ(count_maps(), i + 1);
    }
    /* The newest first. */
    at = vm_map_next(NULL);
    for (unsigned i = LIVE; i-- > 0; at = vm_map_next(at)) {
        CHECK(at == m[i]);
        CHECK_EQ(vm_get(&at->ref_count), 2);
    }
    CHECK(at == NULL);
    for (uint64_t n = 0; n < 3 * LIVE; n++) {
        at = vm_map_pick(n);
        CHECK(at == m[LIVE - 1 - n % LIVE]);
        seen[n % LIVE] = true;
        vm_map_unref(at);
    }
    /* One from the middle, the first, the last. */
    world_map_destroy(m[5]);
    world_map_destroy(m[0]);
    world_map_destroy(m[LIVE - 1]);
    CHECK_EQ(count_maps(), LIVE - 3);
    m[0] = world_map_fork(m[1]);
    CHECK_EQ(count_maps(), LIVE - 2);
    for (unsigned i = 0; i < LIVE - 1; i++) {
        CHECK(seen[i]);
        if (i != 5) {
            world_map_destroy(m[i]);
        }
    }
    CHECK_EQ(count_maps(), 0);
    world_end();
}

/* A fork that fails leaves no map behind. */
TEST(list_fork_fails)
{
    struct vm_map *m, *child;
    int error = VM_E_NOMEM;

    boot(2048, 0);
    m = map_new(0, 4);
    put(m, 0, 1);
    for (long n = 1; error != VM_OK; n++) {
        fail_from(n);
        error = vm_map_fork(m, &child);
        fail_from(0);
        CHECK(error == VM_OK || error == VM_E_NOMEM);
        CHECK_EQ(count_maps(), error == VM_OK ? 2 : 1);
    }
    vm_map_unref(child);
    world_map_destroy(m);
    world_end();
}

static struct vm_map *stays;
static _Atomic unsigned makers;

/* Two make and drop; the others walk and pick what dies under them. */
static void
churn(unsigned cpu, void *arg)
{
    struct test_rng rng;

    (void)arg;
    test_rng_init(&rng, cpu);
    for (unsigned i = 0; cpu < 2 && i < 150; i++) {
        struct vm_map *m, *child;
        vaddr_t va = BASE;

        WORLD_OK(vm_map_create(&m));
        WORLD_OK(vm_map_allocate(m, &va, 2 * PAGE, false));
        WORLD_OK(vm_map_write(m, va, &i, sizeof(i)));
        WORLD_OK(vm_map_fork(m, &child));
        vm_map_unref(m);
        vm_map_unref(child);
    }
    if (cpu < 2) {
        atomic_fetch_sub(&makers, 1);
        return;
    }
    while (atomic_load(&makers) > 0) {
        bool met = false;

        if (test_rng_below(&rng, 2) == 0) {
            struct vm_map *m = vm_map_pick(test_rng_next(&rng));

            /* One is always there. */
            WORLD_CHECK(m != NULL);
            WORLD_CHECK(vm_get(&m->ref_count) > 0);
            (void)vm_map_heal(m, false, NULL, NULL);
            vm_map_unref(m);
            continue;
        }
        for (struct vm_map *m = vm_map_next(NULL); m != NULL;
            m = vm_map_next(m)) {
            met |= m == stays;
        }
        WORLD_CHECK(met);
        host_yield();
    }
}

static void
list_churn(enum host_mode mode)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        boot_seed(4096, 0, seed);
        host_set_mode(mode);
        stays = map_new(0, 1);
        atomic_store(&makers, 2);
        world_run(3, churn, NULL);
        host_set_mode(HOST_FIBERS);
        CHECK_EQ(count_maps(), 1);
        world_map_destroy(stays);
        world_end();
    }
}

TEST(list_churn_threads)
{
    list_churn(HOST_THREADS);
}

TEST(list_churn_fibers)
{
    list_churn(HOST_FIBERS);
}

/* ---- other tables -------------------------------------------------------- */

static bool
same_config(struct vm_map *m, const struct pmap_config *want)
{
    struct pmap_config now;

    pmap_config(m->pmap, &now);
    return now.format == want->format && now.tagged == want->tagged &&
        now.large == want->large;
}

static void
want_bounds(struct vm_map *m)
{
    vaddr_t start, end;

    pmap_bounds(m->pmap, &start, &end);
    CHECK_EQ(vm_get(&m->start), start);
    CHECK_EQ(vm_get(&m->end), end);
}


TEST(configure_errors)
{
    struct pmap_config c, was;
    struct vm_map *m;

    boot(1024, 0);
    m = map_new(0, 2);
    put(m, 0, 7);
    pmap_config(m->pmap, &was);
    c = was;
    c.format = pmap_format_count();
    CHECK_EQ(vm_map_configure(m, &c), VM_E_INVAL);
    c.format = ~0u;
    CHECK_EQ(vm_map_configure(m, &c), VM_E_INVAL);
    for (unsigned f = 0; f < pmap_format_count(); f++) {
        c.format = f;
        if (pmap_format_page_shift(f) > vm_page_shift) {
            CHECK_EQ(vm_map_configure(m, &c), VM_E_INVAL);
        }
    }
    CHECK(same_config(m, &was));
    pmap_hold(m->pmap);
    c = was;
    c.tagged = !was.tagged;
    CHECK_EQ(vm_map_configure(m, &c), VM_E_BUSY);
    pmap_release(m->pmap);
    CHECK(same_config(m, &was));
    want_range(m, 0, 1, 7);
    CHECK_EQ(vm_get(&m->seq.count) & 1, 0);
    world_map_destroy(m);
    world_end();
}

static void
configure_all(unsigned format, unsigned shift, void *arg)
{
    struct world_config wc = { .format = format, .page_shift = shift,
        .ram = 1024, .cpus = 2, .seed = test_seed };
    unsigned *changes = arg;

    world_boot(&wc);
    for (unsigned i = 0; i < 8 * pmap_format_count(); i++) {
        struct vm_map *m = map_new(0, 24), *child;
        struct pmap_config c = { .format = i / 8,
            .tagged = (i & 1) != 0, .large = (i & 2) != 0 };
        int error;

        put_range(m, 0, 8, 100);
        error = vm_map_configure(m, &c);
        if (pmap_format_page_shift(c.format) > vm_page_shift) {
            CHECK_EQ(error, VM_E_INVAL);
        } else {
            CHECK_EQ(error, VM_OK);
            CHECK(same_config(m, &c));
            want_bounds(m);
            ++*changes;
        }
        vm_map_check(m);
        want_range(m, 0, 8, 100);
        put_range(m, 8, 8, 200);
        child = world_map_fork(m);
        if (error == VM_OK) {
            CHECK(same_config(child, &c));
        }
        want_bounds(child);
        vm_map_check(child);
        put_range(m, 0, 4, 300);
        want_range(child, 0, 8, 100);
        want_range(child, 8, 8, 200);
        world_check();
        world_map_destroy(child);
        world_map_destroy(m);
    }
    world_end();
}

TEST(configure_every)
{
    unsigned changes = 0;

    world_each(configure_all, &changes);
    CHECK(changes > 0);
    test_note("%u changes", changes);
}

/*
 * Memory at the top of the largest format keeps the map there; without it,
 * the small format's bounds hold for everything.
 */
TEST(configure_reach)
{
    struct pmap_config wide = { .tagged = true }, narrow = wide;
    vaddr_t start, end, least = UINT64_MAX, most = 0, addr;
    struct vm_map *m, *child;

    world_boot(&(struct world_config){ .page_shift = 16, .ram = 512,
        .cpus = 2, .seed = test_seed });
    for (unsigned f = 0; f < pmap_format_count(); f++) {
        struct pmap_config c = { .format = f, .tagged = true };

        pmap_config_bounds(&c, &start, &end);
        if (end < least) {
            least = end;
            narrow = c;
        }
        if (end > most) {
            most = end;
            wide = c;
        }
    }
    m = map_new(0, 2);
    put(m, 0, 1);
    CHECK_EQ(vm_map_configure(m, &wide), VM_OK);
    CHECK_EQ(vm_get(&m->end), most);
    addr = most - PAGE;
    CHECK_EQ(vm_map_allocate(m, &addr, PAGE, false), VM_OK);
    world_store64(m, addr, 42);
    if (least < most) {
        CHECK_EQ(vm_map_configure(m, &narrow), VM_E_NOSPACE);
        CHECK(same_config(m, &wide));
    }
    /* The child goes where the parent is, whatever is the default. */
    CHECK_EQ(pmap_set_default_format(narrow.format), VM_OK);
    child = world_map_fork(m);
    CHECK_EQ(world_load64(child, addr), 42);
    CHECK(same_config(child, &wide));
    world_map_destroy(child);
    CHECK_EQ(world_load64(m, addr), 42);
    CHECK_EQ(vm_map_deallocate(m, addr, PAGE), VM_OK);
    CHECK_EQ(vm_map_configure(m, &narrow), VM_OK);
    CHECK_EQ(vm_get(&m->end), least);
    if (least < most) {
        CHECK_EQ(vm_map_allocate(m, &addr, PAGE, false), VM_E_ADDRESS);
        CHECK_EQ(vm_map_deallocate(m, least - PAGE, 2 * PAGE),
            VM_E_ADDRESS);
        CHECK_EQ(vm_fault(m, addr, VM_PROT_READ), VM_E_ADDRESS);
    }
    vm_map_check(m);
    want_range(m, 0, 1, 1);
    world_map_destroy(m);
    world_end();
}

static struct vm_map *changing;
static _Atomic bool changed;

static void
change_cpu(unsigned cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        struct test_rng rng;

        test_rng_init(&rng, 5);
        for (unsigned i = 0; i < 100; i++) {
            struct pmap_config c = {
                .format = (unsigned)test_rng_below(&rng,
                    pmap_format_count()),
                .tagged = test_rng_below(&rng, 2) != 0,
                .large = test_rng_below(&rng, 2) != 0,
            };
            int error = vm_map_configure(changing, &c);

            WORLD_CHECK(error == VM_OK || error == VM_E_BUSY ||
                pmap_format_page_shift(c.format) > vm_page_shift);
            host_sleep_steps(20);
        }
        atomic_store(&changed, true);
        return;
    }
    for (uint64_t i = 0; !atomic_load(&changed); i++) {
        uint64_t page = cpu * 16 + i % 16;

        world_store64(changing, va_of(page), i);
        WORLD_CHECK(world_load64(changing, va_of(page)) == i);
    }
}

/* Threads run in the space while its tables change. */
static void
configure_live(enum host_mode mode)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        world_boot(&(struct world_config){ .page_shift = 16, .ram = 512,
            .cpus = 3, .seed = seed });
        host_set_mode(mode);
        changing = map_new(0, 64);
        atomic_store(&changed, false);
        world_run(3, change_cpu, NULL);
        host_set_mode(HOST_FIBERS);
        vm_map_check(changing);
        world_map_destroy(changing);
        world_end();
    }
}

TEST(configure_live_threads)
{
    configure_live(HOST_THREADS);
}

TEST(configure_live_fibers)
{
    configure_live(HOST_FIBERS);
}

static struct pmap_config reach[2];     /* that of least, of most */
static vaddr_t beyond;                  /* only the second reaches it */

static void
find_reach(void)
{
    vaddr_t start, end, least = UINT64_MAX, most = 0;

    for (unsigned f = 0; f < pmap_format_count(); f++) {
        struct pmap_config c = { .format = f, .tagged = true };

        pmap_config_bounds(&c, &start, &end);
        if (end < least) {
            least = end;
            reach[0] = c;
        }
        if (end > most) {
            most = end;
            reach[1] = c;
        }
    }
    beyond = most - PAGE;
}

static void
reach_cpu(unsigned cpu, void *arg)
{
    (void)arg;
    for (unsigned i = 0; cpu == 0 && i < 100; i++) {
        vaddr_t va = beyond;
        int error = vm_map_configure(changing, &reach[1]);

        WORLD_CHECK(error == VM_OK || error == VM_E_BUSY);
        error = vm_map_allocate(changing, &va, PAGE, false);
        if (error == VM_OK) {
            host_sleep_steps(i);
            WORLD_OK(vm_map_deallocate(changing, beyond, PAGE));
        } else {
            WORLD_CHECK(error == VM_E_ADDRESS);
        }
    }
    if (cpu == 0) {
        atomic_store(&changed, true);
    }
    while (!atomic_load(&changed)) {
        int error = cpu == 1 ?
            vm_fault(changing, beyond, VM_PROT_WRITE) :
            vm_map_configure(changing, &reach[0]);

        WORLD_CHECK(error == VM_OK || (cpu == 1 ?
            error == VM_E_ADDRESS :
            error == VM_E_BUSY || error == VM_E_NOSPACE));
        if (cpu == 2) {
            (void)vm_map_doze(changing);
            vm_map_wake(changing);
        }
        host_yield();
    }
}

/* Who faults on what was unmapped, and is out of reach by now. */
static void
reach_live(enum host_mode mode)
{
    for (uint64_t seed = 1; seed <= (test_long ? 200 : 12); seed++) {
        world_boot(&(struct world_config){ .page_shift = 16, .ram = 512,
            .cpus = 3, .seed = seed });
        find_reach();
        host_set_mode(mode);
        changing = map_new(0, 4);
        atomic_store(&changed, false);
        world_run(3, reach_cpu, NULL);
        host_set_mode(HOST_FIBERS);
        vm_map_check(changing);
        world_map_destroy(changing);
        world_end();
    }
}

TEST(reach_live_threads)
{
    reach_live(HOST_THREADS);
}

TEST(reach_live_fibers)
{
    reach_live(HOST_FIBERS);
}
