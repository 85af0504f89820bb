/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_map_memory.c - address maps and the memory behind them: neighbours
 * merge, each allocation of each operation fails once and nothing changes,
 * wired frames stay what they are, the statistics add up.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
#include "map_test.h"

/* ---- merging ------------------------------------------------------------ */

TEST(neighbours_merge)
{
    struct vm_map *map;
    struct vm_lookup look;
    vaddr_t addr;

    boot(12, 1024);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    /* A heap that grows, untouched: one entry. */
    for (unsigned i = 0; i < 32; i++) {
        addr = va_of(i);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
        CHECK_EQ(map->entries, 1);
    }
    /* The same when it has been touched: its object grows. */
    CHECK_EQ(vm_map_prepare(map, va_of(3), true, &look), VM_OK);
    for (unsigned i = 32; i < 48; i++) {
        addr = va_of(i);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
        CHECK_EQ(map->entries, 1);
    }
    vm_map_check(map);
    /* Cut and mend. */
    CHECK_EQ(vm_map_protect(map, va_of(5), VM_PAGE_SIZE, VM_PROT_READ,
        false), VM_OK);
    CHECK_EQ(map->entries, 3);
    CHECK_EQ(vm_map_protect(map, va_of(5), VM_PAGE_SIZE, RW, false), VM_OK);
    CHECK_EQ(map->entries, 1);
    CHECK_EQ(vm_map_wire(map, va_of(40), 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 3);
    CHECK_EQ(vm_map_unwire(map, va_of(40), 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 1);
    /* A hole stays a hole. */
    CHECK_EQ(vm_map_deallocate(map, va_of(10), VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 2);
    CHECK_EQ(map->size, 47 * VM_PAGE_SIZE);
    CHECK_EQ(vm_map_simplify(map), 0);
    vm_map_check(map);
    vm_map_unref(map);
    CHECK_EQ(vm_object_count(), 0);
}

/* ---- every allocation fails once ---------------------------------------- */

/* A map with something of everything. */
static struct vm_map *
rich_map(struct vm_object *object)
{
    struct vm_map_args a = {
        .addr = va_of(16), .size = 8 * VM_PAGE_SIZE, .object = object,
        .mode = VM_MAP_SHARED, .prot = RW, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_SHARE,
    };
    vaddr_t addr = BASE;
    struct vm_map *map;
    uint64_t word = 1;

    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, 8 * VM_PAGE_SIZE, false), VM_OK);
    addr = va_of(8);
    CHECK_EQ(vm_map_allocate(map, &addr, 8 * VM_PAGE_SIZE, false), VM_OK);
    CHECK_EQ(vm_map_inherit(map, va_of(8), 8 * VM_PAGE_SIZE,
        VM_INHERIT_SHARE), VM_OK);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    a.addr = va_of(24);
    a.mode = VM_MAP_PRIVATE;
    a.inherit = VM_INHERIT_COPY;
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    for (unsigned i = 0; i < 32; i += 3) {
        CHECK_EQ(vm_map_write(map, va_of(i), &word, sizeof(word)), VM_OK);
    }
    CHECK_EQ(vm_map_wire(map, va_of(4), 2 * VM_PAGE_SIZE), VM_OK);
    /* Untouched. */
    addr = va_of(33);
    CHECK_EQ(vm_map_allocate(map, &addr, 2 * VM_PAGE_SIZE, false), VM_OK);
    a.addr = va_of(36);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    return map;
}

static int
rich_op(struct vm_map *map, unsigned op)
{
    struct vm_map_copy *copy;
    struct vm_map *child;
    struct vm_map_args a = {
        .addr = va_of(3), .size = 20 * VM_PAGE_SIZE, .overwrite = true,
        .prot = RW, .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY,
    };
    vaddr_t addr = va_of(40);
    struct vm_lookup look;
    int error = VM_OK;

    switch (op) {
    case 0: return vm_map_deallocate(map, va_of(1), 4 * VM_PAGE_SIZE);
    case 1: return vm_map_deallocate(map, va_of(5), 15 * VM_PAGE_SIZE);
    case 2: return vm_map_protect(map, va_of(5), 20 * VM_PAGE_SIZE,
        VM_PROT_READ, false);
    case 3: return vm_map_inherit(map, va_of(1), 29 * VM_PAGE_SIZE,
        VM_INHERIT_NONE);
    case 4: return vm_map_wire(map, va_of(1), 29 * VM_PAGE_SIZE);
    case 5: return vm_map_unwire(map, va_of(5), VM_PAGE_SIZE);
    case 6: return vm_map_allocate(map, &addr, VM_PAGE_SIZE, true);
    case 7: return vm_map_enter(map, &a, &addr);
    case 8:
        error = vm_map_copyin(map, va_of(1), 29 * VM_PAGE_SIZE, &copy);
        if (error == VM_OK) {
            vm_map_copy_discard(copy);
        }
        return error;
    case 9: return vm_map_copy(map, va_of(2), 5 * VM_PAGE_SIZE, map,
        va_of(25));
    case 10:
        error = vm_map_fork(map, &child);
        if (error == VM_OK) {
            vm_map_check(child);
            vm_map_unref(child);
        }
        return error;
    case 11: return vm_map_prepare(map, va_of(33), true, &look);
    case 12: return vm_map_prepare(map, va_of(37), true, &look);
    case 13: return vm_map_copy(map, va_of(2), 5 * VM_PAGE_SIZE, map,
        va_of(17));
    case 14: return vm_map_copy(map, va_of(20), 4 * VM_PAGE_SIZE, map,
        va_of(3));
    }
    return -1;
}

TEST(each_allocation_fails)
{
    struct vm_object *object;

    boot(12, 4096);
    CHECK_EQ(vm_object_create(64, NULL, &object), VM_OK);
    for (unsigned op = 0; op < 15; op++) {
        uint64_t objects = vm_object_count();
        int error = VM_E_NOMEM;
        long n;

        for (n = 1; error == VM_E_NOMEM; n++) {
            struct vm_map *map = rich_map(object);
            struct picture before, after;

            picture_take(map, &before);
            host_fail_after(n);
            error = rich_op(map, op);
            host_fail_after(0);
            picture_take(map, &after);
            vm_map_check(map);
            vm_map_audit(map);
            if (error != VM_OK && !picture_same(&before, &after)) {
                FAIL("operation %u, allocation %ld failed: the map has "
                    "changed", op, n);
            }
            vm_map_unref(map);
            CHECK_EQ(vm_object_count(), objects);
            CHECK(n < 1000);
        }
        if (error != VM_OK) {
            FAIL("operation %u, allocation %ld: %d", op, n - 1, error);
        }
        test_note("operation %u: %ld allocations", op, n - 2);
    }
    vm_object_unref(object, NULL);
}

/* ---- wired in place ------------------------------------------------------ */

/* A file whose page k is full of k + 1; it answers within the call. */
static void
file_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    static unsigned char page[65536];

    (void)access;
    for (; n > 0; n--, pgno++) {
        memset(page, (int)pgno + 1, VM_PAGE_SIZE);
        (void)!vm_pager_data_provided(pg, pgno, 1, page, VM_PROT_NONE,
            false);
    }
}

static void
file_nothing(struct vm_pager *pg)
{
    (void)pg;
}

static void
file_write(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data)
{
    (void)data;
    (void)!vm_pager_write_done(pg, pgno, n, true);
}

static const struct vm_pager_ops file_ops = {
    .init = file_nothing, .data_request = file_request,
    .data_write = file_write, .data_create = file_write,
    .terminate = file_nothing,
};

static uint64_t
wired_frames(void)
{
    struct vm_statistics stat;

    vm_statistics(&stat);
    return stat.pages_wired;
}

/* Four pages of the file: as many bytes k + 1 as there should be. */
static void
check_file_bytes(struct vm_map *map, const unsigned char want[4])
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned char byte = 0;

        CHECK_EQ(vm_map_read(map, va_of(i) + 99, &byte, 1), VM_OK);
        CHECK_EQ(byte, want[i]);
    }
}

TEST(wired_in_place_becomes_writable)
{
    struct vm_pager pager = { .ops = &file_ops };
    struct vm_map_args a = {
        .addr = BASE, .size = 0, .mode = VM_MAP_PRIVATE,
        .prot = VM_PROT_READ, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY,
    };
    struct vm_map *map, *child;
    struct vm_region r;
    vaddr_t addr;
    int error = VM_E_NOMEM;

    boot(12, 1024);
    a.size = 4 * VM_PAGE_SIZE;
    CHECK_EQ(vm_object_create_pager(&pager, 4, &a.object), VM_OK);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    CHECK_EQ(vm_map_wire(map, BASE, a.size), VM_OK);
    CHECK(vm_map_region(map, &addr, &r));
    CHECK(r.object == a.object && r.needs_copy && r.wired_count == 1);
    CHECK_EQ(wired_frames(), 4);

    /* Pages 1 and 2 become writable, as soon as there is memory. */
    for (long n = 1; error == VM_E_NOMEM; n++) {
        host_fail_after(n);
        error = vm_map_protect(map, va_of(1), 2 * VM_PAGE_SIZE, RW, false);
        host_fail_after(0);
        vm_map_check(map);
        CHECK_EQ(wired_frames(), 4);
        check_file_bytes(map, (const unsigned char[]){ 1, 2, 3, 4 });
        CHECK(error != VM_E_NOMEM || map->entries == 1);
    }
    CHECK_EQ(error, VM_OK);
    CHECK_EQ(map->entries, 3);
    CHECK_EQ(vm_map_write(map, va_of(1) + 99, "\x77", 1), VM_OK);
    check_file_bytes(map, (const unsigned char[]){ 1, 0x77, 3, 4 });

    /* A child gets copies; shared, the rest is exchanged too. */
    CHECK_EQ(vm_map_inherit(map, va_of(3), VM_PAGE_SIZE, VM_INHERIT_SHARE),
        VM_OK);
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    CHECK_EQ(wired_frames(), 4);
    CHECK_EQ(vm_map_write(map, va_of(1) + 99, "\x78", 1), VM_OK);
    CHECK_EQ(vm_map_protect(child, va_of(3), VM_PAGE_SIZE, RW, false),
        VM_OK);
    CHECK_EQ(vm_map_write(child, va_of(3) + 99, "\x79", 1), VM_OK);
    check_file_bytes(map, (const unsigned char[]){ 1, 0x78, 3, 0x79 });
    check_file_bytes(child, (const unsigned char[]){ 1, 0x77, 3, 0x79 });
    vm_map_check(map);
    vm_map_check(child);
    vm_map_audit(map);

    CHECK_EQ(vm_map_unwire(map, BASE, a.size), VM_OK);
    CHECK_EQ(wired_frames(), 0);
    vm_map_unref(child);
    vm_map_unref(map);
    vm_object_unref(a.object, NULL);
    CHECK_EQ(vm_object_count(), 0);
}

/* ---- statistics --------------------------------------------------------- */

TEST(statistics)
{
    struct vm_statistics a, b;
    struct vm_map *map, *child;
    vaddr_t addr = BASE;
    uint64_t word = 1;

    boot(14, 512);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, 4 * VM_PAGE_SIZE, false), VM_OK);
    vm_statistics(&a);
    CHECK_EQ(a.page_size, 16384);
    CHECK_EQ(a.pages_object, 0);
    CHECK_EQ(vm_map_write(map, BASE, &word, sizeof(word)), VM_OK);
    CHECK_EQ(vm_map_wire(map, BASE, 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    vm_statistics(&b);
    CHECK_EQ(b.event[VM_STAT_FORKS], a.event[VM_STAT_FORKS] + 1);
    /* Wired pages were copied at once. */
    CHECK_EQ(b.event[VM_STAT_COPIES], a.event[VM_STAT_COPIES] + 2);
    CHECK_EQ(b.pages_wired, 2);
    CHECK_EQ(b.pages_object, 4);
    CHECK_EQ(b.pages_busy, 0);
    for (unsigned i = 0; i < VM_STAT_COUNT; i++) {
        CHECK(vm_stat_names[i] != NULL);
    }
    vm_map_unref(child);
    vm_map_unref(map);
    vm_statistics(&b);
    CHECK_EQ(b.pages_wired, 0);
    CHECK_EQ(b.pages_object, 0);
}
