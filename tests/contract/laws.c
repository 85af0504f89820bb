/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws.c - what one thread sees: isolation, sharing, snapshots, wiring.
 */
#include <string.h>

#include "laws.h"

static uint8_t got[65536], want[65536];

vaddr_t
law_memory(struct vm_map *map, unsigned npages)
{
    vaddr_t va = ((vaddr_t)1 << 30) - npages / 2 * VM_PAGE_SIZE;

    WORLD_OK(vm_map_allocate(map, &va, npages * VM_PAGE_SIZE, false));
    return va;
}

vaddr_t
law_map(struct vm_map *map, struct vm_object *object, unsigned npages,
    enum vm_map_mode mode)
{
    struct vm_map_args a = {
        .size = npages * VM_PAGE_SIZE, .anywhere = true, .object = object,
        .mode = mode, .prot = VM_PROT_READ | VM_PROT_WRITE,
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY,
    };
    vaddr_t va;

    WORLD_OK(vm_map_enter(map, &a, &va));
    return va;
}

void
law_fill(struct vm_map *map, vaddr_t va, uint64_t page, uint64_t version)
{
    static uint8_t data[VM_MAX_CPUS][65536];
    uint8_t *d = data[kern_cpu()];

    world_fill(d, VM_PAGE_SIZE, 99, page, version);
    WORLD_OK(world_store(map, va, d, VM_PAGE_SIZE));
}

static void
expect(struct vm_map *map, vaddr_t va)
{
    WORLD_OK(world_load(map, va, got, VM_PAGE_SIZE));
    if (memcmp(got, want, VM_PAGE_SIZE) != 0) {
        world_fail("%#llx: wrong contents", (unsigned long long)va);
    }
}

void
law_expect(struct vm_map *map, vaddr_t va, uint64_t page, uint64_t version)
{
    world_fill(want, VM_PAGE_SIZE, 99, page, version);
    expect(map, va);
}

void
law_expect_zero(struct vm_map *map, vaddr_t va)
{
    memset(want, 0, VM_PAGE_SIZE);
    expect(map, va);
}

void
law_expect_file(struct vm_map *map, vaddr_t va, struct world_file *f,
    vm_pgno_t pgno, uint64_t version)
{
    if (version == 0 && pgno % 5 == 4) {
        memset(want, 0, VM_PAGE_SIZE);
    } else {
        world_fill(want, VM_PAGE_SIZE, f->id, pgno, version);
    }
    expect(map, va);
}

/* Parent, child, grandchild: whoever writes writes alone. */
static void
law_isolation(const struct world_config *c)
{
    enum { PAGES = 8, MAPS = 5 };
    struct vm_map *map[MAPS];
    vaddr_t va;

    world_boot(c);
    map[0] = world_map_create();
    va = law_memory(map[0], PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        law_fill(map[0], va + i * VM_PAGE_SIZE, i, 0);
    }
    for (unsigned m = 1; m < MAPS; m++) {
        world_on(m % world.config.cpus);
        map[m] = world_map_fork(map[m - 1]);
        law_fill(map[m], va + m * VM_PAGE_SIZE, m, m);
        law_fill(map[m - 1], va, 0, m);
    }
    for (unsigned m = 0; m < MAPS; m++) {
        world_on((m + 1) % world.config.cpus);
        for (unsigned i = 1; i < PAGES; i++) {
            law_expect(map[m], va + i * VM_PAGE_SIZE, i, i <= m ? i : 0);
        }
        /* Each but the last wrote page 0 once, after it had a child. */
        law_expect(map[m], va, 0, m + 1 < MAPS ? m + 1 : 0);
        world_check();
    }
    for (unsigned m = 0; m < MAPS; m++) {
        world_map_destroy(map[m]);
    }
    world_end();
}

static void
law_sharing(const struct world_config *c)
{
    struct vm_map *a, *b, *d;
    vaddr_t va;

    world_boot(c);
    a = world_map_create();
    va = law_memory(a, 4);
    law_fill(a, va, 0, 1);
    WORLD_OK(vm_map_inherit(a, va, 3 * VM_PAGE_SIZE, VM_INHERIT_SHARE));
    WORLD_OK(vm_map_inherit(a, va + 3 * VM_PAGE_SIZE, VM_PAGE_SIZE,
        VM_INHERIT_NONE));
    b = world_map_fork(a);
    world_on(1);
    law_expect(b, va, 0, 1);
    law_fill(b, va, 0, 2);
    law_fill(b, va + VM_PAGE_SIZE, 1, 2);
    world_on(2);
    law_expect(a, va, 0, 2);
    law_expect(a, va + VM_PAGE_SIZE, 1, 2);
    WORLD_CHECK(world_load(b, va + 3 * VM_PAGE_SIZE, got, 8) ==
        VM_E_ADDRESS);
    /* A copy of what is shared is a snapshot; sharing goes on. */
    WORLD_OK(vm_map_inherit(b, va, 3 * VM_PAGE_SIZE, VM_INHERIT_COPY));
    d = world_map_fork(b);
    law_fill(a, va, 0, 3);
    law_fill(a, va + 2 * VM_PAGE_SIZE, 2, 3);
    world_on(0);
    law_expect(b, va, 0, 3);
    law_expect(d, va, 0, 2);
    law_expect(d, va + VM_PAGE_SIZE, 1, 2);
    law_expect_zero(d, va + 2 * VM_PAGE_SIZE);
    law_fill(d, va, 0, 4);
    law_expect(a, va, 0, 3);
    law_expect(b, va, 0, 3);
    world_check();
    world_map_destroy(a);
    world_map_destroy(d);
    law_expect(b, va + 2 * VM_PAGE_SIZE, 2, 3);
    world_map_destroy(b);
    world_end();
}

/*
 * Snapshots of a file: of resident pages, of others, by map, by copyin;
 * then the file is written by a mapping, and changed by its pager.
 */
static void
law_snapshot(const struct world_config *c)
{
    enum { PAGES = 12 };
    struct vm_map *map, *other;
    struct vm_map_copy *copy;
    struct world_file *f;
    vaddr_t live, snap, out, later;

    world_boot(c);
    map = world_map_create();
    other = world_map_create();
    f = world_file_create(3, PAGES, NULL);
    live = law_map(map, f->object, PAGES, VM_MAP_SHARED);
    for (unsigned i = 0; i < PAGES; i += 2) {
        law_expect_file(map, live + i * VM_PAGE_SIZE, f, i, 0);
    }
    snap = law_map(other, f->object, PAGES, VM_MAP_COPY);
    WORLD_OK(vm_map_copyin(map, live, PAGES * VM_PAGE_SIZE, &copy));
    for (unsigned i = 0; i < 4; i++) {
        law_fill(map, live + i * VM_PAGE_SIZE, i, 7);
    }
    later = law_map(other, f->object, PAGES, VM_MAP_COPY);
    for (unsigned i = 3; i < 8; i++) {
        world_file_update(f, i, 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        law_fill(map, live + i * VM_PAGE_SIZE, i, 8);
    }
    world_on(1);
    WORLD_OK(vm_map_copyout(other, copy, &out));
    for (unsigned i = 0; i < PAGES; i++) {
        vaddr_t at = i * VM_PAGE_SIZE;

        law_expect_file(other, snap + at, f, i, 0);
        law_expect_file(other, out + at, f, i, 0);
        if (i < 4) {
            law_expect(other, later + at, i, 7);
        } else {
            law_expect_file(other, later + at, f, i, 0);
        }
        if (i < 3) {
            law_expect(map, live + at, i, 8);
        } else {
            law_expect_file(map, live + at, f, i, i < 8 ? 1 : 0);
        }
    }
    /* The snapshot is writable memory of its own. */
    law_fill(other, snap, 0, 9);
    law_expect(map, live, 0, 8);
    law_expect_file(other, out, f, 0, 0);
    world_check();
    world_map_destroy(map);
    law_expect_file(other, out + 9 * VM_PAGE_SIZE, f, 9, 0);
    world_map_destroy(other);
    world_file_close(f);
    world_end();
}

/* MAP_PRIVATE: the file shows through until a page is written. */
static void
law_private(const struct world_config *c)
{
    enum { PAGES = 8 };
    struct vm_map *a, *b, *child;
    struct world_file *f;
    vaddr_t shared, private;

    world_boot(c);
    a = world_map_create();
    b = world_map_create();
    f = world_file_create(4, PAGES, NULL);
    shared = law_map(a, f->object, PAGES, VM_MAP_SHARED);
    private = law_map(b, f->object, PAGES, VM_MAP_PRIVATE);
    law_expect_file(b, private, f, 0, 0);
    law_fill(a, shared, 0, 1);
    law_expect(b, private, 0, 1);
    law_fill(b, private, 0, 2);
    law_expect(a, shared, 0, 1);
    law_fill(a, shared, 0, 3);
    law_expect(b, private, 0, 2);
    world_on(1);
    child = world_map_fork(b);
    law_fill(child, private + VM_PAGE_SIZE, 1, 4);
    law_fill(b, private + VM_PAGE_SIZE, 1, 5);
    law_expect_file(a, shared + VM_PAGE_SIZE, f, 1, 0);
    law_expect(child, private + VM_PAGE_SIZE, 1, 4);
    law_expect(child, private, 0, 2);
    world_on(2);
    law_fill(a, shared + 2 * VM_PAGE_SIZE, 2, 6);
    law_expect(b, private + 2 * VM_PAGE_SIZE, 2, 6);
    world_file_update(f, 3, 1);
    law_expect_file(b, private + 3 * VM_PAGE_SIZE, f, 3, 1);
    law_expect_file(child, private + 3 * VM_PAGE_SIZE, f, 3, 1);
    world_check();
    world_map_destroy(a);
    world_map_destroy(b);
    world_map_destroy(child);
    world_file_close(f);
    world_end();
}

static paddr_t
frame_at(struct vm_map *map, vaddr_t va)
{
    paddr_t pa = 0;
    vm_prot_t prot;

    (void)world_load64(map, va);
    /* A machine with a small TLB may have forgotten it already. */
    return pmap_extract(map->pmap, va, &pa, &prot) ? pa : 0;
}

/* Wired memory stays in its frames, whatever is forgotten or copied. */
static void
law_wiring(const struct world_config *c)
{
    enum { PAGES = 6, QUIET = 2 };
    struct vm_map *map, *child;
    struct world_config swapping = *c;
    paddr_t frame[PAGES + QUIET];
    vaddr_t va;

    /* Swap is where the frames would go if they could. */
    swapping.swap = 256;
    world_boot(&swapping);
    map = world_map_create();
    va = law_memory(map, PAGES + QUIET);
    law_fill(map, va, 0, 1);
    WORLD_OK(vm_map_wire(map, va, (PAGES + QUIET) * VM_PAGE_SIZE));
    for (unsigned i = 0; i < PAGES + QUIET; i++) {
        if (i < PAGES) {
            law_fill(map, va + i * VM_PAGE_SIZE, i, 1);
        }
        frame[i] = frame_at(map, va + i * VM_PAGE_SIZE);
    }
    for (unsigned round = 2; round < 6; round++) {
        WORLD_OK(pmap_discard(map->pmap));
        (void)vm_pageout(4096, 4096);
        world_serve();
        child = world_map_fork(map);
        world_on(round % world.config.cpus);
        for (unsigned i = 0; i < PAGES; i++) {
            vaddr_t at = va + i * VM_PAGE_SIZE;
            paddr_t now;

            law_fill(map, at, i, round);
            now = frame_at(map, at);
            WORLD_CHECK(now == frame[i] || now == 0 || frame[i] == 0);
            law_expect(child, at, i, round - 1);
        }
        /* What nobody ever wrote is not for the clock either. */
        for (unsigned i = PAGES; i < PAGES + QUIET; i++) {
            paddr_t now = frame_at(map, va + i * VM_PAGE_SIZE);

            WORLD_CHECK(now == frame[i] || now == 0 || frame[i] == 0);
        }
        world_check();
        world_map_destroy(child);
    }
    WORLD_OK(vm_map_unwire(map, va, (PAGES + QUIET) * VM_PAGE_SIZE));
    law_expect(map, va, 0, 5);
    world_map_destroy(map);
    world_end();
}

/* A child that is gone, or a copy that is dropped, leaves no trace. */
static void
law_needs_copy(const struct world_config *c)
{
    enum { PAGES = 8 };
    struct vm_map *map, *child;
    struct vm_map_copy *copy;
    vaddr_t va;
    uint64_t before;

    world_boot(c);
    map = world_map_create();
    va = law_memory(map, PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        law_fill(map, va + i * VM_PAGE_SIZE, i, 0);
    }
    before = vm_page_kind_count(VM_PAGE_OBJECT);
    for (unsigned round = 1; round < 20; round++) {
        child = world_map_fork(map);
        if (round % 3 == 0) {
            law_fill(child, va, 0, 1000);
        }
        WORLD_OK(vm_map_copyin(map, va, PAGES * VM_PAGE_SIZE, &copy));
        law_fill(map, va + round % PAGES * VM_PAGE_SIZE, round % PAGES,
            round);
        vm_map_copy_discard(copy);
        world_map_destroy(child);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        law_fill(map, va + i * VM_PAGE_SIZE, i, 77);
    }
    WORLD_CHECK(vm_page_kind_count(VM_PAGE_OBJECT) <= before);
    world_check();
    world_map_destroy(map);
    world_end();
}

/* Memory that had another owner's bytes, or nobody's, begins zero. */
static void
law_zero(const struct world_config *c)
{
    struct vm_map *map, *child;
    vaddr_t va;

    world_boot(c);
    for (unsigned round = 0; round < 6; round++) {
        map = world_map_create();
        va = law_memory(map, 40);
        for (unsigned i = 0; i < 40; i++) {
            law_expect_zero(map, va + i * VM_PAGE_SIZE);
            law_fill(map, va + i * VM_PAGE_SIZE, i, round);
        }
        WORLD_OK(vm_map_deallocate(map, va + 8 * VM_PAGE_SIZE,
            8 * VM_PAGE_SIZE));
        child = world_map_fork(map);
        va += 8 * VM_PAGE_SIZE;
        WORLD_OK(vm_map_allocate(child, &va, 8 * VM_PAGE_SIZE, false));
        WORLD_OK(vm_map_allocate(map, &va, 8 * VM_PAGE_SIZE, false));
        for (unsigned i = 0; i < 8; i++) {
            law_expect_zero(child, va + i * VM_PAGE_SIZE);
            law_fill(child, va + i * VM_PAGE_SIZE, i, 1);
            law_expect_zero(map, va + i * VM_PAGE_SIZE);
        }
        world_map_destroy(map);
        world_map_destroy(child);
    }
    world_end();
}

/* The last page of a range is in the range. */
static void
law_ranges(const struct world_config *c)
{
    struct vm_map *map;
    vaddr_t va, at;
    uint64_t word = 1;

    world_boot(c);
    map = world_map_create();
    va = law_memory(map, 16);
    for (unsigned n = 1; n <= 8; n++) {
        for (unsigned cpu = 0; cpu < 3; cpu++) {
            world_on(cpu);
            for (unsigned i = 0; i < 16; i++) {
                world_store64(map, va + i * VM_PAGE_SIZE, i);
            }
        }
        at = va + 4 * VM_PAGE_SIZE;
        WORLD_OK(vm_map_protect(map, at, n * VM_PAGE_SIZE, VM_PROT_READ,
            false));
        for (unsigned cpu = 0; cpu < 3; cpu++) {
            world_on(cpu);
            for (unsigned i = 0; i < 16; i++) {
                int error = world_store(map, va + i * VM_PAGE_SIZE, &word,
                    8);

                WORLD_CHECK(error == (i >= 4 && i < 4 + n ? VM_E_PROT :
                    VM_OK));
            }
        }
        WORLD_OK(vm_map_deallocate(map, at, n * VM_PAGE_SIZE));
        for (unsigned cpu = 0; cpu < 3; cpu++) {
            world_on(cpu);
            for (unsigned i = 4; i < 4 + n; i++) {
                WORLD_CHECK(world_load(map, va + i * VM_PAGE_SIZE, &word,
                    8) == VM_E_ADDRESS);
            }
        }
        world_check();
        WORLD_OK(vm_map_allocate(map, &at, n * VM_PAGE_SIZE, false));
    }
    world_map_destroy(map);
    world_end();
}

/* Fault-around never shows what the entry does not. */
static void
law_around(const struct world_config *c)
{
    enum { PAGES = 16 };
    struct vm_map *map;
    struct world_file *f;
    struct vm_map_args a = {
        .overwrite = true, .prot = VM_PROT_READ, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY, .mode = VM_MAP_SHARED,
    };
    vaddr_t va;
    uint64_t word;

    world_boot(c);
    map = world_map_create();
    f = world_file_create(5, PAGES, NULL);
    va = law_map(map, f->object, PAGES, VM_MAP_SHARED);
    for (unsigned i = 0; i < PAGES; i++) {
        (void)world_load64(map, va + i * VM_PAGE_SIZE);
    }
    /* Pages all resident; the entry gets holes and other rights. */
    WORLD_OK(vm_map_deallocate(map, va + 6 * VM_PAGE_SIZE, VM_PAGE_SIZE));
    WORLD_OK(vm_map_protect(map, va + 9 * VM_PAGE_SIZE, VM_PAGE_SIZE,
        VM_PROT_NONE, false));
    a.addr = va + 3 * VM_PAGE_SIZE;
    a.size = VM_PAGE_SIZE;
    WORLD_OK(vm_map_enter(map, &a, &a.addr));
    WORLD_OK(pmap_discard(map->pmap));
    for (unsigned i = 0; i < PAGES; i++) {
        vaddr_t at = va + (i * 5 + 4) % PAGES * VM_PAGE_SIZE;
        unsigned k = (unsigned)((at - va) / VM_PAGE_SIZE);
        int error = world_load(map, at, &word, 8);

        WORLD_CHECK(error == (k == 6 ? VM_E_ADDRESS : k == 9 ? VM_E_PROT :
            VM_OK));
        if (error == VM_OK && k == 3) {
            law_expect_zero(map, at);
        } else if (error == VM_OK) {
            law_expect_file(map, at, f, k, 0);
        }
        vm_map_audit(map);
    }
    world_map_destroy(map);
    world_file_close(f);
    world_end();
}

enum { AHEAD_PAGES = 24, AHEAD_END = 12 };

/* Copies: no old page stays in their place. */
static void
ahead_copies(struct vm_map *map)
{
    vaddr_t va = law_map(map, NULL, AHEAD_END, VM_MAP_SHARED);
    struct vm_map *child;
    uint64_t word = 77;

    for (unsigned i = 0; i < AHEAD_END; i++) {
        world_store64(map, va + i * VM_PAGE_SIZE, i + 1);
    }
    child = world_map_fork(map);
    for (unsigned i = 0; i < AHEAD_END; i++) {
        WORLD_CHECK(world_load64(map, va + i * VM_PAGE_SIZE) == i + 1);
    }
    for (unsigned i = 0; i < AHEAD_END; i++) {
        world_store64(map, va + i * VM_PAGE_SIZE, 100 + i);
        vm_map_audit(map);
        /* The kernel writes those that were made already. */
        for (unsigned k = i + 1; i == 3 && k < AHEAD_END; k++) {
            WORLD_OK(vm_map_write(map, va + k * VM_PAGE_SIZE, &word, 8));
            WORLD_CHECK(world_load64(map, va + k * VM_PAGE_SIZE) == 77);
        }
    }
    for (unsigned i = 0; i < AHEAD_END; i++) {
        WORLD_CHECK(world_load64(child, va + i * VM_PAGE_SIZE) == i + 1);
        WORLD_CHECK(world_load64(map, va + i * VM_PAGE_SIZE) == 100 + i);
    }
    world_map_destroy(child);
}

/* Pages made ahead are what their writes would have made, where they may. */
static void
law_ahead(const struct world_config *c)
{
    struct world_config k = *c;
    struct vm_map *map;
    uint64_t word = 77;
    vaddr_t va;

    k.ahead = 8;
    world_boot(&k);
    map = world_map_create();
    va = law_map(map, NULL, AHEAD_PAGES, VM_MAP_SHARED);
    world_store64(map, va, 100);
    WORLD_OK(vm_map_protect(map, va + AHEAD_END * VM_PAGE_SIZE,
        (AHEAD_PAGES - AHEAD_END) * VM_PAGE_SIZE, VM_PROT_READ, false));
    for (unsigned i = 1; i < AHEAD_END; i++) {
        world_store64(map, va + i * VM_PAGE_SIZE, 100 + i);
    }
    for (unsigned i = 0; i < AHEAD_PAGES; i++) {
        vaddr_t at = va + i * VM_PAGE_SIZE;

        WORLD_CHECK(i < AHEAD_END ||
            world_store(map, at, &word, 8) == VM_E_PROT);
        WORLD_CHECK(world_load64(map, at) == (i < AHEAD_END ? 100 + i : 0));
    }
    ahead_copies(map);
    world_map_destroy(map);
    world_end();
}

const struct law laws[] = {
    { "isolation", law_isolation, 1 },
    { "sharing", law_sharing, 1 },
    { "snapshot", law_snapshot, 3 },
    { "private", law_private, 1 },
    { "wiring", law_wiring, 1 },
    { "needs_copy", law_needs_copy, 1 },
    { "zero", law_zero, 1 },
    { "ranges", law_ranges, 1 },
    { "around", law_around, 1 },
    { "around_swap", law_around_swap, 1 },
    { "ahead", law_ahead, 1 },
    { "sleeper", law_sleeper, 3 },
    { "clean", law_clean, 1 },
    { "unmap", law_unmap, 10 },
    { "law4_shared_front", law_shared_front, 40 },
    { "law4_fork_reader", law_fork_reader, 20 },
    { "law7_adversary", law_adversary, 3 },
    { "fork_line", law_fork_line, 1 },
    { "fork_line_swap", law_fork_line_swap, 1 },
    { "fork_line_file", law_fork_line_file, 1 },
    { "no_memory", law_no_memory, 1 },
    { "no_memory_fork", law_no_memory_fork, 1 },
    { "run", law_run, 1 },
    { "run_random", law_run_random, 6 },
    { "run_no_memory", law_run_no_memory, 1 },
    { NULL, NULL, 0 },
};
