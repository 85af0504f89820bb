/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_room.c - faults under a budget of page tables: all get on down to the
 * floor, the ceiling is never passed, and fault-around keeps to its window.
 */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug timeout=240 */
/* pal: machines=x86_64 flavours=tsan timeout=240 */
#include "object_test.h"

#define FAR     0x4000u         /* pages from one to the next: other tables */
#define SPOTS   24u
#define AT_ONCE 6u              /* pages that an instruction needs */

static struct vm_map *maps[4];

/* A page in each of SPOTS places far apart. */
static struct vm_map *
sparse_map(void)
{
    struct vm_map *m = world_map_create();

    for (uint64_t i = 0; i < SPOTS; i++) {
        vaddr_t va = va_of(i * FAR);

        CHECK_EQ(vm_map_allocate(m, &va, PAGE, false), VM_OK);
    }
    return m;
}

static void
within(void)
{
    struct pmap_budget b;

    pmap_budget(&b);
    CHECK(b.limit == 0 || b.peak <= b.limit);
    CHECK(b.limit == 0 || b.tables <= b.limit);
}

static void
floor_of(unsigned format, unsigned shift, void *arg)
{
    (void)arg;
    world_boot(&(struct world_config){ .format = format, .cpus = 2,
        .page_shift = shift, .ram = 1024, .seed = test_seed });
    CHECK(pmap_budget_floor() > 0);
    CHECK_EQ(pmap_set_budget(pmap_budget_floor() - 1), VM_E_INVAL);
    CHECK_EQ(pmap_set_budget(pmap_budget_floor()), VM_OK);
    for (unsigned i = 0; i < 4; i++) {
        maps[i] = sparse_map();
    }
    for (uint64_t turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < 4 * SPOTS; i++) {
            struct vm_map *m = maps[i % 4];
            vaddr_t va = va_of(i / 4 * FAR);

            if (turn > 0) {
                CHECK_EQ(world_load64(m, va), turn * 1000 + i - 1000);
            }
            world_store64(m, va, turn * 1000 + i);
            within();
        }
    }
    world_check();
    CHECK_EQ(pmap_set_budget(0), VM_OK);
    for (unsigned i = 0; i < 4; i++) {
        world_map_destroy(maps[i]);
    }
    world_end();
}

TEST(floor_sparse)
{
    world_each(floor_of, NULL);
}

/* One map's own limit: it evicts what is its own. */
TEST(limit)
{
    struct pmap_budget b;
    struct vm_map *m;

    boot(2048, 0);
    m = sparse_map();
    CHECK_EQ(pmap_set_limit(m->pmap, pmap_budget_floor()), VM_OK);
    for (uint64_t turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < SPOTS; i++) {
            world_store64(m, va_of(i * FAR), i + turn);
            CHECK_EQ(world_load64(m, va_of(i * FAR)), i + turn);
            pmap_limit(m->pmap, &b);
            CHECK(b.peak <= b.limit);
        }
    }
    world_map_destroy(m);
    world_end();
}

/*
 * Everything is held by others: a fault says 0 and has entered nothing; when
 * they let go it gets on.  A holder who is refused begins anew.
 */
TEST(all_held)
{
    struct vm_progress t = { 0 };
    struct pmap_budget b;
    struct vm_map *m, *other;
    vm_prot_t prot;
    paddr_t pa;
    uint64_t i;

    boot(2048, 0);
    other = sparse_map();
    m = sparse_map();
    put(other, 0, 1);
    CHECK_EQ(pmap_set_budget(pmap_budget_floor()), VM_OK);
    pmap_hold(other->pmap);
    for (i = 0; i < SPOTS; i++) {
        CHECK_EQ(vm_fault(other, va_of(i * FAR), VM_PROT_WRITE), VM_OK);
        within();
    }
    CHECK(!pmap_extract(other->pmap, va_of((SPOTS - 1) * FAR), &pa, &prot));
    CHECK_EQ(vm_fault(m, va_of(0), VM_PROT_WRITE), VM_OK);
    CHECK(!pmap_extract(m->pmap, va_of(0), &pa, &prot));
    pmap_budget(&b);
    CHECK(b.waits > 0);

    /* The 17th at one place takes hold; it is alone with its hold. */
    for (i = 0; i <= VM_PROGRESS_FAULTS + 1; i++) {
        CHECK_EQ(vm_fault_thread(m, va_of(0), VM_PROT_WRITE, 1, &t), VM_OK);
    }
    CHECK(t.held == m->pmap);
    CHECK(!pmap_extract(m->pmap, va_of(0), &pa, &prot));
    pmap_release(other->pmap);
    CHECK_EQ(vm_fault_thread(m, va_of(0), VM_PROT_WRITE, 1, &t), VM_OK);
    CHECK(pmap_extract(m->pmap, va_of(0), &pa, &prot));

    /* It holds all that there is, and wants one more. */
    for (i = 0; i < SPOTS; i++) {
        CHECK_EQ(vm_fault(m, va_of(i * FAR), VM_PROT_WRITE), VM_OK);
    }
    CHECK(t.held == m->pmap);
    for (i = 0; i < AT_ONCE; i++) {
        for (unsigned k = 0; k < 3 && !pmap_extract(m->pmap,
            va_of(i * FAR), &pa, &prot); k++) {
            CHECK_EQ(vm_fault_thread(m, va_of(i * FAR), VM_PROT_WRITE, 1,
                &t), VM_OK);
            within();
        }
        CHECK(pmap_extract(m->pmap, va_of(i * FAR), &pa, &prot));
        CHECK(t.held == m->pmap);
    }
    /* If another holds it, too, it lets go. */
    pmap_hold(m->pmap);
    for (i = 0; i < SPOTS && t.held != NULL; i++) {
        CHECK_EQ(vm_fault_thread(m, va_of(i * FAR), VM_PROT_WRITE, 1, &t),
            VM_OK);
    }
    CHECK(t.held == NULL);
    pmap_release(m->pmap);
    vm_progress_end(&t);
    CHECK_EQ(pmap_set_budget(0), VM_OK);
    world_check();
    world_map_destroy(m);
    world_map_destroy(other);
    world_end();
}

static void
room_cpu(unsigned cpu, void *arg)
{
    struct test_rng rng;

    (void)arg;
    test_rng_init(&rng, world.config.seed * 8 + cpu);
    for (uint64_t i = 0; i < 200; i++) {
        struct vm_map *m = maps[test_rng_below(&rng, 4)];
        uint64_t spot = cpu * 8 + test_rng_below(&rng, 8);

        world_store64(m, va_of(spot * FAR), i);
        WORLD_CHECK(world_load64(m, va_of(spot * FAR)) == i);
    }
}

/* Three CPUs in four maps, with as many tables as CPUs can need at once. */
static void
room(enum host_mode mode, uint64_t seed)
{
    boot_seed(2048, 0, seed);
    host_set_mode(mode);
    for (unsigned i = 0; i < 4; i++) {
        maps[i] = sparse_map();
    }
    CHECK_EQ(pmap_set_budget(pmap_budget_floor() + seed % 4), VM_OK);
    world_run(3, room_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    within();
    world_check();
    CHECK_EQ(pmap_set_budget(0), VM_OK);
    for (unsigned i = 0; i < 4; i++) {
        world_map_destroy(maps[i]);
    }
    world_end();
}

TEST(floor_threads)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        room(HOST_THREADS, seed);
    }
}

TEST(floor_fibers)
{
    for (uint64_t seed = 1; seed <= (test_long ? 60 : 8); seed++) {
        room(HOST_FIBERS, seed);
    }
}

/* ---- fault-around --------------------------------------------------------- */

static uint64_t
translations(struct vm_map *m)
{
    struct pmap_counts c;

    pmap_count(m->pmap, &c);
    return c.translations;
}

/*
 * Going through memory costs a fault for 128 pages in the end, wherever it
 * lies, a table's end included; no window is more than twice the one before,
 * and a jump brings 16.
 */
static void
window_at(uint64_t first)
{
    uint64_t faults = 0, before = 16, was;
    struct vm_map *m;

    world_boot(&(struct world_config){ .cpus = 1, .ram = 4096,
        .seed = test_seed });
    m = map_new(first, 1024);
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK_EQ(vm_fault(m, va_of(first + i), VM_PROT_WRITE), VM_OK);
    }
    CHECK_EQ(pmap_discard(m->pmap), VM_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        vm_prot_t prot;
        paddr_t pa;

        if (!pmap_extract(m->pmap, va_of(first + i), &pa, &prot)) {
            was = translations(m);
            CHECK_EQ(vm_fault(m, va_of(first + i), VM_PROT_READ), VM_OK);
            was = translations(m) - was;
            CHECK(was <= (before < 16 ? 32 : 2 * before) && was <= 128);
            before = vm_get(&m->around_pages);
            faults++;
        }
    }
    CHECK(faults <= 1000 / 128 + 9);
    CHECK_EQ(translations(m), 1000);
    for (uint64_t i = 0; i < 40; i++) {
        vaddr_t va = va_of(first + 32 + i * 7919 % 900);
        bool on = va == vm_get(&m->around);

        CHECK_EQ(pmap_discard(m->pmap), VM_OK);
        CHECK_EQ(vm_fault(m, va, VM_PROT_READ), VM_OK);
        CHECK(on || translations(m) <= 16);
    }
    world_check();
    world_map_destroy(m);
    world_end();
}

TEST(window)
{
    for (uint64_t first = 0; first < 64; first += 8) {
        window_at(first);
    }
}

/* Whatever the entry's edges and the window: inside, and no rights more. */
TEST(window_edges)
{
    struct vm_map *m, *child;

    boot(4096, 0);
    m = map_new(0, 200);
    for (unsigned turn = 0; turn < 300; turn++) {
        uint64_t a = world_random(100), n = 1 + world_random(60);
        uint64_t at = a + world_random(n), was;

        vm_fault_around = 1u << world_random(7);
        CHECK_EQ(vm_map_protect(m, va_of(0), 200 * PAGE, RW, false), VM_OK);
        put_range(m, a, n, turn);
        child = world_map_fork(m);
        put(child, a + n / 2, turn);
        CHECK_EQ(vm_map_protect(m, va_of(a), n * PAGE, VM_PROT_READ, false),
            VM_OK);
        CHECK_EQ(pmap_discard(m->pmap), VM_OK);
        CHECK_EQ(pmap_discard(child->pmap), VM_OK);
        vm_set(&m->around, va_of(at));
        vm_set(&child->around, va_of(at));
        CHECK_EQ(vm_fault(m, va_of(at), VM_PROT_READ), VM_OK);
        CHECK_EQ(vm_fault(child, va_of(at), VM_PROT_READ), VM_OK);
        was = translations(m);
        CHECK(was >= 1 && was <= n && was <= 128);
        CHECK_EQ(vm_map_heal(m, false, NULL, NULL), 0);
        CHECK_EQ(vm_map_heal(child, false, NULL, NULL), 0);
        world_map_destroy(child);
    }
    vm_fault_around = 16;
    world_check();
    world_map_destroy(m);
    world_end();
}
