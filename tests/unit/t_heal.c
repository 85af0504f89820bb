/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_heal.c - wrong translations, of each kind that can be made, are found,
 * named, counted and repaired; right ones, however busy, never are.
 */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug timeout=240 */
/* pal: machines=x86_64 flavours=tsan timeout=240 */
#include "object_test.h"

#define PAGES   24u

/* ---- one of each kind ---------------------------------------------------- */

struct told {
    unsigned n;
    vaddr_t va;
    char what[80];
};

static void
tell(void *arg, const struct vm_mismatch *m)
{
    struct told *t = arg;

    t->n++;
    t->va = m->va;
    strncpy(t->what, m->what, sizeof(t->what) - 1);
}

/* The page of memory that reads at page now. */
static struct vm_page *
page_at(struct vm_map *m, uint64_t page)
{
    struct vm_lookup look;
    struct vm_object *o;
    vm_pgno_t pgno;
    vm_slot_t slot;

    CHECK_EQ(vm_map_lookup(m, va_of(page), &look), VM_OK);
    vm_object_lock(look.object);
    pgno = look.pgno;
    o = vm_object_chain_find(look.object, &pgno, &slot);
    if (o != look.object) {
        vm_object_unlock(o);
    }
    vm_object_unlock(look.object);
    CHECK(vm_slot_page(slot) != NULL);
    return vm_slot_page(slot);
}

/* What no fault would do. */
static void
enter_wrong(struct vm_map *m, uint64_t page, paddr_t pa, vm_prot_t prot)
{
    CHECK_EQ(pmap_enter(m->pmap, va_of(page), pa, prot, 0,
        vm_get(&m->seq.count)), VM_OK);
}

/* Exactly one, at page, for that reason; then none. */
static void
heals(struct vm_map *m, uint64_t page, const char *what, bool held)
{
    uint64_t before = stat_of(VM_STAT_MISMATCHES);
    struct told told = { 0 };
    vm_prot_t prot;
    paddr_t pa;

    if (held) {
        pmap_hold(m->pmap);
    }
    /* Without repair it stays. */
    CHECK_EQ(vm_map_heal(m, false, tell, &told), 1);
    CHECK_EQ(told.n, 1);
    CHECK_EQ(told.va, va_of(page));
    if (strstr(told.what, what) == NULL) {
        FAIL("found \"%s\", not \"%s\"", told.what, what);
    }
    CHECK(pmap_extract(m->pmap, va_of(page), &pa, &prot));
    CHECK_EQ(vm_map_heal(m, true, NULL, NULL), 1);
    CHECK(!pmap_extract(m->pmap, va_of(page), &pa, &prot));
    CHECK_EQ(vm_map_heal(m, true, tell, &told), 0);
    CHECK_EQ(told.n, 1);
    CHECK_EQ(stat_of(VM_STAT_MISMATCHES), before + 2);
    CHECK_EQ(vm_get(&m->seq.count) & 1, 0);
    if (held) {
        pmap_release(m->pmap);
    }
    world.mismatches += 2;
}

static void
each_kind(bool held)
{
    struct vm_page *frame = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    struct vm_map *m = map_new(0, PAGES), *child;
    vaddr_t far = va_of(100);
    struct vm_page *p;

    put_range(m, 0, 8, 100);
    want_range(m, 0, 8, 100);
    CHECK_EQ(vm_map_heal(m, true, NULL, NULL), 0);

    /* Another page of the same object; a frame of nobody. */
    enter_wrong(m, 1, vm_page_pa(page_at(m, 2)), RW);
    heals(m, 1, "not the page", held);
    enter_wrong(m, 1, vm_page_pa(frame), RW);
    heals(m, 1, "not the page", held);

    /* A hole; a page that nobody has touched yet. */
    enter_wrong(m, PAGES + 3, vm_page_pa(page_at(m, 2)), VM_PROT_READ);
    heals(m, PAGES + 3, "nothing is mapped", held);
    enter_wrong(m, PAGES - 2, vm_page_pa(page_at(m, 2)), VM_PROT_READ);
    heals(m, PAGES - 2, "not the page", held);
    CHECK_EQ(vm_map_allocate(m, &far, PAGE, false), VM_OK);
    enter_wrong(m, 100, vm_page_pa(page_at(m, 2)), VM_PROT_READ);
    heals(m, 100, "never touched", held);

    /* More rights than the entry has; any where it has none. */
    CHECK_EQ(vm_map_protect(m, va_of(4), PAGE, VM_PROT_READ, false), VM_OK);
    enter_wrong(m, 4, vm_page_pa(page_at(m, 4)), RW);
    heals(m, 4, "protection", held);
    CHECK_EQ(vm_map_protect(m, va_of(4), PAGE, VM_PROT_NONE, false), VM_OK);
    enter_wrong(m, 4, vm_page_pa(page_at(m, 4)), VM_PROT_READ);
    heals(m, 4, "protection", held);
    CHECK_EQ(vm_map_protect(m, va_of(4), PAGE, RW, false), VM_OK);

    /* The page's own marks. */
    p = page_at(m, 5);
    put(m, 5, 105);
    enter_wrong(m, 5, vm_page_pa(p), RW);
    vm_page_clear(p, VM_PG_MODIFIED);
    heals(m, 5, "clean", held);
    vm_page_set(p, VM_PG_MODIFIED);
    p->forbidden = VM_PROT_WRITE;
    enter_wrong(m, 5, vm_page_pa(p), RW);
    heals(m, 5, "pager forbids", held);
    p->forbidden = VM_PROT_NONE;

    /* Copy-on-write: before the copy, and a page below the copy. */
    child = world_map_fork(m);
    enter_wrong(m, 6, vm_page_pa(page_at(m, 6)), RW);
    heals(m, 6, "needs copy", held);
    put(child, 0, 500);
    enter_wrong(child, 6, vm_page_pa(page_at(child, 6)), RW);
    heals(child, 6, "backing", held);

    want_range(m, 0, 8, 100);
    want_range(child, 1, 7, 101);
    CHECK_EQ(get(child, 0), 500);
    world_check();
    world_map_destroy(child);
    world_map_destroy(m);
    vm_page_free(frame);
}

TEST(kinds)
{
    boot(2048, 0);
    each_kind(false);
    world_end();
}

TEST(kinds_held)
{
    boot(2048, 0);
    each_kind(true);
    world_end();
}

/* A page that a snapshot still reads through its source. */
TEST(snapshot_owed)
{
    struct vm_map *m;
    struct tp f;

    boot(2048, 0);
    tp_open(&f, 4, 100);
    m = map_new(0, 0);
    map_object(m, 0, 4, f.object, 0, VM_MAP_SHARED);
    map_object(m, 10, 4, f.object, 0, VM_MAP_COPY);
    want_range(m, 0, 4, 100);
    vm_page_set(page_at(m, 1), VM_PG_MODIFIED);
    enter_wrong(m, 1, vm_page_pa(page_at(m, 1)), RW);
    heals(m, 1, "snapshot", false);
    put(m, 1, 900);
    want_range(m, 10, 4, 100);
    CHECK_EQ(vm_map_heal(m, false, NULL, NULL), 0);
    world_check();
    world_map_destroy(m);
    tp_close(&f);
    tp_free(&f);
    world_end();
}

static void
formats(unsigned format, unsigned shift, void *arg)
{
    (void)arg;
    world_boot(&(struct world_config){ .format = format,
        .page_shift = shift, .ram = 1024, .cpus = 2, .seed = test_seed });
    each_kind(format % 2 != 0);
    world_end();
}

/* MI pages that are several of the hardware's, too. */
TEST(kinds_formats)
{
    world_each(formats, NULL);
}

/* ---- right ones, in the middle of everything ------------------------------ */

static struct vm_map *root;
static struct tp file;
static _Atomic unsigned working;
static unsigned rounds;

/* One step of a program in m, which it shares with nobody but its kin. */
static void
work_step(struct vm_map *m, struct test_rng *rng)
{
    uint64_t page = test_rng_below(rng, PAGES);
    vm_prot_t prot = test_rng_below(rng, 2) != 0 ? RW : VM_PROT_READ;
    uint64_t word = page;
    vaddr_t va = va_of(page);

    switch (test_rng_below(rng, 9)) {
    case 0:
        (void)!vm_map_protect(m, va, PAGE, prot, false);
        break;
    case 1:
        WORLD_OK(vm_map_deallocate(m, va, PAGE));
        WORLD_OK(vm_map_allocate(m, &va, PAGE, false));
        break;
    case 2:
        (void)!vm_map_copy(m, va_of(0), PAGE, m, va);
        break;
    case 3:
        (void)pmap_discard_range(m->pmap, va, va + PAGE);
        break;
    case 4:
        (void)vm_pageout(64, 8);
        break;
    case 5:
        (void)!vm_map_write(m, va, &word, sizeof(word));
        break;
    case 6:
        (void)!world_load(m, va, &word, sizeof(word));
        break;
    default:
        (void)!world_store(m, va, &word, sizeof(word));
        break;
    }
}

static void
work(unsigned cpu)
{
    struct test_rng rng;

    test_rng_init(&rng, world.config.seed * 8 + cpu);
    for (unsigned i = 0; i < rounds; i++) {
        struct vm_map *m = world_map_fork(root);
        vaddr_t at = va_of(40);

        for (unsigned k = 0; k < 25; k++) {
            work_step(m, &rng);
            if (k % 8 == 7) {
                work_step(root, &rng);
            }
        }
        WORLD_OK(vm_map_copy(root, va_of(30), 4 * PAGE, m, at));
        (void)!world_store(root, va_of(30 + i % 4), &at, sizeof(at));
        world_map_destroy(m);
    }
    atomic_fetch_sub(&working, 1);
}

static void
busy_cpu(unsigned cpu, void *arg)
{
    uint64_t walks = 0;

    (void)arg;
    if (cpu < 2) {
        work(cpu);
        return;
    }
    while (atomic_load(&working) > 0) {
        for (struct vm_map *m = vm_map_next(NULL); m != NULL;
            m = vm_map_next(m)) {
            struct told told = { 0 };

            if (vm_map_heal(m, walks % 2 != 0, tell, &told) != 0) {
                world_fail("va %#llx: %s", (unsigned long long)told.va,
                    told.what);
            }
            walks++;
        }
        host_sleep_steps(20);
    }
}

static void
busy_layout(void)
{
    struct vm_map_args a = {
        .addr = va_of(40), .size = 4 * PAGE, .prot = RW,
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY,
    };
    vaddr_t at;

    root = map_new(0, PAGES);
    put_range(root, 0, PAGES, 1);
    tp_open(&file, 8, 100);
    map_object(root, 30, 4, file.object, 0, VM_MAP_SHARED);
    map_object(root, 34, 4, file.object, 0, VM_MAP_PRIVATE);
    CHECK_EQ(vm_map_enter(root, &a, &at), VM_OK);
}

static void
busy(enum host_mode mode, uint64_t seed)
{
    boot_seed(2048, 512, seed);
    host_set_mode(mode);
    busy_layout();
    rounds = test_long ? 60 : 12;
    atomic_store(&working, 2);
    world_run(3, busy_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    world_check();
    world_map_destroy(root);
    tp_close(&file);
    tp_free(&file);
    world_end();
}

TEST(busy_threads)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        busy(HOST_THREADS, seed);
    }
}

TEST(busy_fibers)
{
    for (uint64_t seed = 1; seed <= (test_long ? 100 : 10); seed++) {
        busy(HOST_FIBERS, seed);
    }
}

/*
 * Wrong ones made and repaired while others fault there: the memory itself
 * is never touched by it, for the wrong frame is read-only, and nobody's.
 */
static struct vm_page *alien;

static void
repair_cpu(unsigned cpu, void *arg)
{
    struct test_rng rng;

    (void)arg;
    test_rng_init(&rng, world.config.seed * 8 + cpu);
    for (unsigned i = 0; cpu == 0 && i < 60; i++) {
        uint64_t page = PAGES + test_rng_below(&rng, 6);

        (void)!pmap_enter(root->pmap, va_of(page), vm_page_pa(alien),
            VM_PROT_READ, 0, vm_get(&root->seq.count));
        (void)vm_map_heal(root, true, NULL, NULL);
        host_sleep_steps(5);
    }
    if (cpu == 0) {
        atomic_store(&working, 0);
        return;
    }
    while (atomic_load(&working) > 0) {
        uint64_t page = cpu * 4 + test_rng_below(&rng, 4);

        world_store64(root, va_of(page), page * 3);
        WORLD_CHECK(world_load64(root, va_of(page)) == page * 3);
    }
}

TEST(repair_live)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint64_t found;

        boot_seed(2048, 0, seed);
        host_set_mode(seed % 2 != 0 ? HOST_THREADS : HOST_FIBERS);
        root = map_new(0, PAGES);
        alien = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
        atomic_store(&working, 1);
        found = stat_of(VM_STAT_MISMATCHES);
        world_run(3, repair_cpu, NULL);
        host_set_mode(HOST_FIBERS);
        CHECK(stat_of(VM_STAT_MISMATCHES) > found);
        world.mismatches += stat_of(VM_STAT_MISMATCHES) - found;
        CHECK_EQ(vm_map_heal(root, false, NULL, NULL), 0);
        vm_page_free(alien);
        world_map_destroy(root);
        world_end();
    }
}
