/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_map_move.c - memory that moves, goes on, is reset, is counted: against
 * a picture of what each page should hold.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
#include "map_test.h"

#define NONE    UINT64_MAX      /* not mapped */

static struct vm_map *map;
static uint64_t want[PAGES];

static void
put(unsigned page, uint64_t value)
{
    CHECK_EQ(vm_map_write(map, va_of(page) + 8, &value, sizeof(value)),
        VM_OK);
    want[page] = value;
}

static void
compare(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t got = 0;
        int error = vm_map_read(map, va_of(i) + 8, &got, sizeof(got));

        if (want[i] == NONE) {
            CHECK_EQ(error, VM_E_ADDRESS);
        } else {
            CHECK_EQ(error, VM_OK);
            CHECK_EQ(got, want[i]);
        }
    }
    vm_map_check(map);
    vm_map_audit(map);
}

static void
begin(void)
{
    boot(12, 4096);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        want[i] = NONE;
    }
}

static void
end(void)
{
    vm_map_unref(map);
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

static void
allocate(unsigned page, unsigned n)
{
    vaddr_t at = va_of(page);

    CHECK_EQ(vm_map_allocate(map, &at, n * VM_PAGE_SIZE, false), VM_OK);
    for (unsigned i = page; i < page + n; i++) {
        want[i] = 0;
    }
}

static int
move(unsigned from, unsigned n, unsigned to)
{
    int error = vm_map_move(map, va_of(from), n * VM_PAGE_SIZE, va_of(to));

    if (error == VM_OK) {
        memcpy(&want[to], &want[from], n * sizeof(want[0]));
        for (unsigned i = from; i < from + n; i++) {
            want[i] = NONE;
        }
    }
    return error;
}

TEST(move_takes_everything_along)
{
    begin();
    allocate(0, 8);
    for (unsigned i = 0; i < 8; i += 2) {
        put(i, i + 1);
    }
    CHECK_EQ(vm_map_protect(map, va_of(3), VM_PAGE_SIZE, VM_PROT_READ,
        false), VM_OK);
    CHECK_EQ(vm_map_wire(map, va_of(5), VM_PAGE_SIZE), VM_OK);
    compare();
    CHECK_EQ(move(2, 5, 20), VM_OK);
    compare();
    CHECK_EQ(vm_map_write(map, va_of(21), "x", 1), VM_E_PROT);
    CHECK_EQ(vm_map_unwire(map, va_of(23), VM_PAGE_SIZE), VM_OK);
    /* Over something, and back to where it was: one entry again. */
    allocate(40, 8);
    put(41, 9);
    CHECK_EQ(vm_map_protect(map, va_of(21), VM_PAGE_SIZE, RW, false), VM_OK);
    CHECK_EQ(move(20, 5, 42), VM_OK);
    compare();
    CHECK_EQ(move(42, 5, 2), VM_OK);
    compare();
    CHECK_EQ(vm_map_deallocate(map, va_of(40), 8 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 1);
    end();
}

TEST(move_refuses)
{
    begin();
    allocate(0, 8);
    CHECK_EQ(move(0, 4, 2), VM_E_INVAL);
    CHECK_EQ(move(2, 4, 0), VM_E_INVAL);
    CHECK_EQ(move(0, 4, 0), VM_E_INVAL);
    CHECK_EQ(move(4, 8, 30), VM_E_ADDRESS);
    CHECK_EQ(vm_map_move(map, BASE, VM_PAGE_SIZE, 0), VM_E_ADDRESS);
    CHECK_EQ(vm_map_move(map, BASE, VM_PAGE_SIZE, BASE + 1), VM_E_INVAL);
    CHECK_EQ(vm_map_move(map, BASE, 0, va_of(9)), VM_E_INVAL);
    CHECK_EQ(vm_map_move(map, BASE, VM_PAGE_SIZE, ~VM_PAGE_MASK),
        VM_E_INVAL);
    compare();
    end();
}

/* Each allocation fails once: nothing has changed. */
TEST(move_without_memory)
{
    for (long n = 1;; n++) {
        int error;

        begin();
        allocate(0, 10);
        allocate(20, 10);
        put(3, 3);
        put(24, 24);
        host_fail_after(n);
        error = move(2, 5, 22);
        host_fail_after(0);
        compare();
        end();
        if (error == VM_OK) {
            CHECK(n > 2);
            return;
        }
        CHECK_EQ(error, VM_E_NOMEM);
    }
}

TEST(extend_anonymous)
{
    struct vm_map *child;

    begin();
    allocate(0, 4);
    put(3, 7);
    CHECK_EQ(vm_map_extend(map, va_of(4), 4 * VM_PAGE_SIZE), VM_OK);
    memset(&want[4], 0, 4 * sizeof(want[0]));
    compare();
    CHECK_EQ(map->entries, 1);
    /* Where a child looks too, what is new is zero and the parent's. */
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    CHECK_EQ(vm_map_extend(map, va_of(8), 4 * VM_PAGE_SIZE), VM_OK);
    memset(&want[8], 0, 4 * sizeof(want[0]));
    put(9, 9);
    put(2, 2);
    compare();
    vm_map_unref(child);
    compare();
    CHECK_EQ(vm_map_extend(map, va_of(11), VM_PAGE_SIZE), VM_E_ADDRESS);
    CHECK_EQ(vm_map_extend(map, va_of(30), VM_PAGE_SIZE), VM_E_ADDRESS);
    allocate(14, 1);
    CHECK_EQ(vm_map_extend(map, va_of(12), 4 * VM_PAGE_SIZE), VM_E_NOSPACE);
    compare();
    end();
}

/* An object of PAGES pages that others see, page i holding i + 100. */
static struct vm_object *
shared_object(void)
{
    struct vm_map_args a = {
        .addr = BASE, .size = PAGES * VM_PAGE_SIZE, .prot = RW,
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_SHARE,
    };
    struct vm_map *own;
    vaddr_t at;

    CHECK_EQ(vm_object_create(PAGES, NULL, &a.object), VM_OK);
    CHECK_EQ(vm_map_create(&own), VM_OK);
    CHECK_EQ(vm_map_enter(own, &a, &at), VM_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t value = i + 100;

        CHECK_EQ(vm_map_write(own, va_of(i) + 8, &value, sizeof(value)),
            VM_OK);
    }
    vm_map_unref(own);
    return a.object;
}

static void
enter(struct vm_object *o, unsigned page, unsigned n, unsigned at,
    enum vm_map_mode mode)
{
    struct vm_map_args a = {
        .addr = va_of(at), .size = n * VM_PAGE_SIZE, .object = o,
        .pgno = page, .mode = mode, .prot = RW, .max = VM_PROT_ALL,
        .inherit = mode == VM_MAP_SHARED ? VM_INHERIT_SHARE :
            VM_INHERIT_COPY,
    };
    vaddr_t addr;

    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    for (unsigned i = 0; i < n; i++) {
        want[at + i] = page + i + 100;
    }
}

TEST(extend_objects)
{
    struct vm_object *o;

    begin();
    o = shared_object();
    enter(o, 2, 4, 0, VM_MAP_SHARED);
    CHECK_EQ(vm_map_extend(map, va_of(4), 2 * VM_PAGE_SIZE), VM_OK);
    want[4] = 106;
    want[5] = 107;
    compare();
    CHECK_EQ(map->entries, 1);
    /* Private, before and after it has pages of its own. */
    enter(o, 10, 4, 20, VM_MAP_PRIVATE);
    CHECK_EQ(vm_map_extend(map, va_of(24), VM_PAGE_SIZE), VM_OK);
    want[24] = 114;
    put(22, 1);
    CHECK_EQ(vm_map_extend(map, va_of(25), 2 * VM_PAGE_SIZE), VM_OK);
    want[25] = 115;
    want[26] = 116;
    compare();
    put(26, 2);
    put(25, 3);
    compare();
    vm_object_unref(o, NULL);
    end();
}

TEST(reset)
{
    struct vm_map *child;
    struct vm_object *o;
    uint64_t n;

    begin();
    o = shared_object();
    allocate(0, 8);
    enter(o, 0, 8, 8, VM_MAP_PRIVATE);
    enter(o, 20, 8, 16, VM_MAP_SHARED);
    for (unsigned i = 0; i < 24; i += 2) {
        put(i, 1000 + i);
    }
    compare();
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    put(2, 5);
    put(10, 6);
    CHECK_EQ(vm_map_reset(map, va_of(1), 22 * VM_PAGE_SIZE), VM_OK);
    for (unsigned i = 1; i < 16; i++) {
        want[i] = i < 8 ? 0 : i - 8 + 100;
    }
    compare();
    vm_map_unref(child);
    compare();
    for (unsigned i = 1; i < 16; i++) {
        put(i, i);
    }
    compare();
    CHECK_EQ(vm_map_resident(map, BASE, 24 * VM_PAGE_SIZE, NULL, &n),
        VM_OK);
    CHECK_EQ(n, 24);
    CHECK_EQ(vm_map_reset(map, va_of(2), 2 * VM_PAGE_SIZE), VM_OK);
    want[2] = want[3] = 0;
    CHECK_EQ(vm_map_resident(map, BASE, 24 * VM_PAGE_SIZE, NULL, &n),
        VM_OK);
    CHECK_EQ(n, 22);
    compare();
    CHECK_EQ(vm_map_wire(map, va_of(5), VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(vm_map_reset(map, va_of(4), 4 * VM_PAGE_SIZE), VM_E_BUSY);
    CHECK_EQ(vm_map_reset(map, va_of(30), VM_PAGE_SIZE), VM_E_ADDRESS);
    compare();
    vm_object_unref(o, NULL);
    end();
}

/* A virtual copy brings what is there, not what it was mapped from. */
TEST(reset_of_copies)
{
    struct vm_map_copy *copy;
    struct vm_object *o;
    uint64_t word;
    vaddr_t va;

    begin();
    o = shared_object();
    enter(o, 0, 4, 0, VM_MAP_PRIVATE);
    allocate(8, 6);
    put(1, 5);
    CHECK_EQ(vm_map_copy(map, va_of(0), 4 * VM_PAGE_SIZE, map, va_of(9)),
        VM_OK);
    for (unsigned i = 0; i < 4; i++) {
        want[9 + i] = want[i];
    }
    compare();
    CHECK_EQ(vm_map_extend(map, va_of(14), VM_PAGE_SIZE), VM_OK);
    want[14] = 0;
    put(10, 7);
    compare();
    CHECK_EQ(vm_map_reset(map, va_of(8), 3 * VM_PAGE_SIZE), VM_OK);
    want[9] = want[10] = 0;
    compare();
    put(9, 8);
    put(12, 9);
    CHECK_EQ(vm_map_reset(map, va_of(8), 6 * VM_PAGE_SIZE), VM_OK);
    want[9] = want[11] = want[12] = 0;
    compare();
    /* Behind a copy of file pages come zeros, too. */
    CHECK_EQ(vm_map_copy(map, va_of(2), VM_PAGE_SIZE, map, va_of(14)),
        VM_OK);
    want[14] = want[2];
    CHECK_EQ(vm_map_extend(map, va_of(15), VM_PAGE_SIZE), VM_OK);
    want[15] = 0;
    compare();
    /* In a message. */
    CHECK_EQ(vm_map_copyin(map, va_of(0), 4 * VM_PAGE_SIZE, &copy), VM_OK);
    CHECK_EQ(vm_map_copyout(map, copy, &va), VM_OK);
    CHECK_EQ(vm_map_read(map, va + 8, &word, 8), VM_OK);
    CHECK_EQ(word, want[0]);
    CHECK_EQ(vm_map_reset(map, va, 4 * VM_PAGE_SIZE), VM_OK);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(vm_map_read(map, va + i * VM_PAGE_SIZE + 8, &word, 8),
            VM_OK);
        CHECK_EQ(word, 0);
    }
    CHECK_EQ(vm_map_deallocate(map, va, 4 * VM_PAGE_SIZE), VM_OK);
    vm_object_unref(o, NULL);
    end();
}

TEST(resident_names_pages)
{
    uint8_t vec[8];
    uint64_t n;

    begin();
    allocate(0, 8);
    put(1, 1);
    put(6, 6);
    CHECK_EQ(vm_map_resident(map, BASE, 8 * VM_PAGE_SIZE, vec, &n), VM_OK);
    CHECK_EQ(n, 2);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(vec[i], i == 1 || i == 6);
    }
    CHECK_EQ(vm_map_resident(map, va_of(4), 8 * VM_PAGE_SIZE, vec, &n),
        VM_E_ADDRESS);
    end();
}

/* Any history of moves, extensions, resets and forks. */
TEST(any_history)
{
    struct vm_map *child = NULL;
    struct vm_object *o;

    begin();
    o = shared_object();
    allocate(0, 16);
    enter(o, 0, 16, 16, VM_MAP_PRIVATE);
    for (unsigned step = 0; step < (SMALL ? 300 : 2000); step++) {
        unsigned a = (unsigned)test_rand_below(PAGES);
        unsigned n = (unsigned)test_rand_below(8) + 1;
        unsigned b = (unsigned)test_rand_below(PAGES - 8);
        unsigned what = (unsigned)test_rand_below(10);

        if (what < 4) {
            if (want[a] != NONE) {
                put(a, step + 1000);
            }
        } else if (what < 7 && a + n <= PAGES) {
            (void)!move(a, n, b);
        } else if (what == 7 && child == NULL) {
            CHECK_EQ(vm_map_fork(map, &child), VM_OK);
        } else if (what == 8 && child != NULL) {
            vm_map_unref(child);
            child = NULL;
        } else if (what == 9 && a + n <= PAGES && test_rand_below(4) == 0) {
            for (unsigned i = a; i < a + n; i++) {
                if (want[i] == NONE) {
                    allocate(i, 1);
                }
            }
        }
        if (step % 50 == 0) {
            compare();
        }
    }
    if (child != NULL) {
        vm_map_unref(child);
    }
    compare();
    vm_object_unref(o, NULL);
    end();
}
