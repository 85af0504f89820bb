/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64 flavours=debug,tsan */
/*
 * t_zone.c - zones: items never overlap, keep what their last user left
 * but for the first word, survive failed allocations, and all come back.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "test.h"
#include "vm_page.h"
#include "vm_zone.h"

#define THREADS 4u

/* All bytes of an item say whose it is. */
static void
fill(void *item, size_t size, uint64_t tag)
{
    uint64_t *w = item;
    size_t i;

    for (i = 0; i < size / 8; i++) {
        w[i] = tag + i;
    }
}

static void
check_fill(void *item, size_t from, size_t size, uint64_t tag)
{
    uint64_t *w = item;
    size_t i;

    for (i = from; i < size / 8; i++) {
        CHECK_EQ(w[i], tag + i);
    }
}

static void
check_zero(void *item, size_t size)
{
    uint64_t *w = item;
    size_t i;

    for (i = 0; i < size / 8; i++) {
        CHECK_EQ(w[i], 0);
    }
}

static void
shuffle(void **v, unsigned n)
{
    while (n > 1) {
        unsigned at = (unsigned)test_rand_below(n--);
        void *t = v[at];

        v[at] = v[n];
        v[n] = t;
    }
}

/* One size: three slabs and a bit, out and in again. */
static void
one_size(size_t size)
{
    uint64_t kernel = vm_page_kind_count(VM_PAGE_KERNEL);
    size_t rounded = (size + 7) / 8 * 8;
    static struct vm_zone z;
    unsigned i, n;
    void **item;

    vm_zone_bootstrap();
    vm_zone_init(&z, "test", size);
    n = 3 * z.per_slab + 1;
    CHECK(z.per_slab >= 1);
    item = malloc(n * sizeof(*item));
    for (i = 0; i < n; i++) {
        item[i] = vm_zone_alloc(&z);
        CHECK(item[i] != NULL);
        CHECK_EQ((uintptr_t)item[i] % 8, 0);
        check_zero(item[i], rounded);
        fill(item[i], rounded, i * UINT64_C(0x100000));
    }
    CHECK_EQ(vm_zone_live(&z), n);
    CHECK_EQ(vm_page_kind_count(VM_PAGE_KERNEL), kernel + 4);
    vm_zone_check(&z);
    for (i = 0; i < n; i++) {
        check_fill(item[i], 0, rounded, i * UINT64_C(0x100000));
    }
    shuffle(item, n);
    for (i = 0; i < n; i++) {
        vm_zone_free(&z, item[i]);
        if (i % 16 == 0) {
            vm_zone_check(&z);
        }
    }
    CHECK_EQ(vm_zone_live(&z), 0);
    CHECK_EQ(z.slabs, 4);
    vm_zone_check_all();
    vm_zone_drain();
    CHECK_EQ(z.slabs, 0);
    CHECK_EQ(vm_page_kind_count(VM_PAGE_KERNEL), kernel);
    vm_zone_check_all();
    free(item);
}

TEST(sizes)
{
    unsigned shift;
    size_t size, most;

    for (shift = 12; shift <= 16; shift += 2) {
        host_memory(shift, 16);
        most = VM_PAGE_SIZE - VM_ZONE_HEADER;
        for (size = 8; size < 512; size += 1 + test_rand_below(24)) {
            one_size(size);
        }
        for (; size < most; size += size / 4) {
            one_size(size);
        }
        one_size(most);
        one_size(most / 2);
        one_size(most / 2 + 1);
        vm_page_check();
        host_memory_end();
    }
}

/*
 * Model: for every address ever handed out, the tag that was last written
 * there (0: never) and whether it is out.
 */
struct place {
    void *item;
    uint64_t tag;
    bool out;
};

static unsigned
place_of(struct place *model, unsigned *n, void *item)
{
    unsigned i;

    for (i = 0; i < *n && model[i].item != item; i++) {
        continue;
    }
    if (i == *n) {
        model[i] = (struct place){ item, 0, false };
        (*n)++;
    }
    return i;
}

/* Type stability: what the last user left is there, but for word 0. */
TEST(contents_kept)
{
    struct place *model = calloc(4096, sizeof(*model));
    unsigned i, at, n = 0, ops = test_long ? 1000000 : 30000;
    const size_t size = 72;
    struct vm_zone z;
    uint64_t live = 0;
    void *item;

    host_memory(12, 16);
    vm_zone_bootstrap();
    vm_zone_init(&z, "model", size);
    for (i = 1; i <= ops; i++) {
        if (test_rand_below(100) < 40 + i / 64 % 2 * 20 && live < 500) {
            item = vm_zone_alloc(&z);
            CHECK(item != NULL);
            CHECK_EQ(*(uint64_t *)item, 0);
            at = place_of(model, &n, item);
            CHECK(!model[at].out);
            if (model[at].tag == 0) {
                check_zero(item, size);
            } else {
                check_fill(item, 1, size, model[at].tag);
            }
            model[at].tag = (uint64_t)i << 16;
            model[at].out = true;
            fill(item, size, model[at].tag);
            live++;
        } else if (n != 0) {
            at = (unsigned)test_rand_below(n);
            /* Dead or alive, it still says what it said. */
            check_fill(model[at].item, 1, size, model[at].tag);
            if (model[at].out) {
                check_fill(model[at].item, 0, size, model[at].tag);
                vm_zone_free(&z, model[at].item);
                model[at].out = false;
                live--;
            }
        }
        CHECK_EQ(vm_zone_live(&z), live);
        if (i % 256 == 0) {
            vm_zone_check(&z);
        }
    }
    host_memory_end();
    free(model);
}

/* Every point of failure, from an empty zone on. */
TEST(fail_nth)
{
    struct vm_zone z;
    void *item[200];
    unsigned got, failed;
    long n;

    for (n = 1; n < 250; n++) {
        host_memory(12, 32);
        vm_zone_bootstrap();
        vm_zone_init(&z, "fail", 1000);
        host_fail_after(n);
        failed = 0;
        for (got = 0; got < 100;) {
            item[got] = vm_zone_alloc(&z);
            if (item[got] == NULL) {
                failed++;
                CHECK_EQ(vm_zone_live(&z), got);
                vm_zone_check(&z);
                vm_page_check();
                CHECK(failed == 1);
            } else {
                got++;
            }
        }
        /* A hundred items and their slabs: the last n come too late. */
        CHECK_EQ(failed, n <= 125);
        host_fail_after(0);
        while (got > 0) {
            vm_zone_free(&z, item[--got]);
        }
        vm_zone_drain();
        CHECK_EQ(vm_page_free_count(), 32);
        host_memory_end();
    }
}

/* Zones stop at the reserve of the pageout path, and recover. */
TEST(exhaustion)
{
    static void *item[4096];
    struct vm_zone z;
    unsigned n = 0, i, round;

    host_memory(12, 40);
    vm_page_set_reserves(10, 5, 20);
    vm_zone_bootstrap();
    vm_zone_init(&z, "all", 128);
    for (round = 0; round < 5; round++) {
        while ((item[n] = vm_zone_alloc(&z)) != NULL) {
            n++;
        }
        CHECK_EQ(vm_page_free_count(), 5);
        CHECK_EQ(n, 35 * z.per_slab);
        CHECK(vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL) == NULL);
        vm_zone_check(&z);
        /* One back, one out, the same one. */
        vm_zone_free(&z, item[n / 2]);
        CHECK(vm_zone_alloc(&z) == item[n / 2]);
        CHECK(vm_zone_alloc(&z) == NULL);
        shuffle(item, n);
        for (i = n / 2; i < n; i++) {
            vm_zone_free(&z, item[i]);
        }
        n /= 2;
        vm_zone_drain();
        vm_zone_check(&z);
        CHECK_EQ(vm_zone_live(&z), n);
    }
    while (n > 0) {
        vm_zone_free(&z, item[--n]);
    }
    vm_zone_drain();
    CHECK_EQ(vm_page_free_count(), 40);
    vm_page_check();
    host_memory_end();
}

/* One item in each slab holds its slab, and no more. */
TEST(drain_keeps_used)
{
    struct vm_zone z;
    void *item[10 * 8];
    unsigned i;

    host_memory(12, 16);
    vm_zone_bootstrap();
    vm_zone_init(&z, "drain", 504);
    CHECK_EQ(z.per_slab, 8);
    for (i = 0; i < 80; i++) {
        item[i] = vm_zone_alloc(&z);
        fill(item[i], 504, i * 1000);
    }
    for (i = 0; i < 80; i++) {
        if (i % 8 != 3 || i / 8 % 2 == 0) {
            vm_zone_free(&z, item[i]);
        }
    }
    vm_zone_drain();
    vm_zone_check_all();
    CHECK_EQ(z.slabs, 5);
    CHECK_EQ(vm_page_free_count(), 11);
    for (i = 11; i < 80; i += 16) {
        check_fill(item[i], 0, 504, i * 1000);
        vm_zone_free(&z, item[i]);
    }
    vm_zone_drain();
    CHECK_EQ(vm_page_free_count(), 16);
    host_memory_end();
}

/*
 * Four CPUs, three zones; items change hands through a table, so one CPU
 * frees what another took.
 */
#define TABLE   64u

static struct {
    struct vm_zone z[3];
    void *_Atomic table[3][TABLE];
    _Atomic uint64_t failed;
} w;

static const size_t smp_size[3] = { 16, 264, 1200 };

static void
smp_thread(void *arg, unsigned cpu)
{
    unsigned i, k, ops = *(unsigned *)arg;
    struct test_rng r;
    void *item, *old;

    test_rng_init(&r, cpu);
    for (i = 0; i < ops; i++) {
        k = (unsigned)test_rng_below(&r, 3);
        item = NULL;
        if (test_rng_below(&r, 2) == 0) {
            item = vm_zone_alloc(&w.z[k]);
            if (item == NULL) {
                atomic_fetch_add(&w.failed, 1);
            } else {
                CHECK_EQ(*(uint64_t *)item, 0);
                fill(item, smp_size[k], (uintptr_t)item);
            }
        }
        old = atomic_exchange(&w.table[k][test_rng_below(&r, TABLE)], item);
        if (old != NULL) {
            check_fill(old, 0, smp_size[k], (uintptr_t)old);
            vm_zone_free(&w.z[k], old);
        }
        if (test_rng_below(&r, 500) == 0) {
            vm_zone_check_all();
        }
    }
}

static void
smp(uint64_t npages)
{
    unsigned k, i, ops = test_long ? 1000000 : 15000;
    uint64_t live;
    void *item;

    memset(&w, 0, sizeof(w));
    host_memory(12, npages);
    vm_zone_bootstrap();
    for (k = 0; k < 3; k++) {
        vm_zone_init(&w.z[k], "smp", smp_size[k]);
    }
    host_run(THREADS, smp_thread, &ops);
    vm_zone_check_all();
    for (k = 0; k < 3; k++) {
        live = vm_zone_live(&w.z[k]);
        for (i = 0; i < TABLE; i++) {
            item = atomic_load(&w.table[k][i]);
            if (item != NULL) {
                check_fill(item, 0, smp_size[k], (uintptr_t)item);
                vm_zone_free(&w.z[k], item);
                live--;
            }
        }
        CHECK_EQ(live, 0);
    }
    vm_zone_drain();
    CHECK_EQ(vm_page_free_count(), npages);
    vm_page_check();
    host_memory_end();
}

TEST_SMP(smp_plenty)
{
    smp(1000);
    CHECK_EQ(w.failed, 0);
}

TEST_SMP(smp_scarce)
{
    smp(12);
    CHECK(w.failed != 0);
}

#if VM_DEBUG
/*
 * Misuse.  The panic comes with the zone locked, so one to a subtest.
 */
static struct {
    struct vm_zone z, other;
    char *item[100];
} m;

static void
misuse_begin(void)
{
    unsigned i;

    host_memory(12, 32);
    vm_zone_bootstrap();
    vm_zone_init(&m.z, "misused", 64);
    vm_zone_init(&m.other, "other", 64);
    for (i = 0; i < 100; i++) {
        m.item[i] = vm_zone_alloc(&m.z);
    }
}

static void
do_free(void *arg)
{
    vm_zone_free(&m.z, arg);
}

static void
do_alloc(void *arg)
{
    (void)vm_zone_alloc(arg);
}

static void
do_check(void *arg)
{
    vm_zone_check(arg);
}

static void
do_init_huge(void *arg)
{
    vm_zone_init(arg, "huge", VM_PAGE_SIZE - VM_ZONE_HEADER + 1);
}

TEST(misuse_free_twice)
{
    misuse_begin();
    vm_zone_free(&m.z, m.item[5]);
    CHECK(host_expect_panic(do_free, m.item[5]));
}

TEST(misuse_free_twice_later)
{
    unsigned i;

    misuse_begin();
    for (i = 0; i < 90; i++) {
        vm_zone_free(&m.z, m.item[i]);
    }
    CHECK(host_expect_panic(do_free, m.item[40]));
}

TEST(misuse_free_elsewhere)
{
    misuse_begin();
    CHECK(host_expect_panic(do_free, vm_zone_alloc(&m.other)));
}

TEST(misuse_free_inside)
{
    misuse_begin();
    CHECK(host_expect_panic(do_free, m.item[5] + 8));
}

TEST(misuse_write_dead)
{
    misuse_begin();
    vm_zone_free(&m.z, m.item[99]);
    *(uint64_t *)(void *)m.item[99] = 1;
    CHECK(host_expect_panic(do_alloc, &m.z));
}

TEST(misuse_write_dead_checked)
{
    misuse_begin();
    vm_zone_free(&m.z, m.item[99]);
    *(uint64_t *)(void *)m.item[99] = 1;
    CHECK(host_expect_panic(do_check, &m.z));
}

TEST(misuse_too_large)
{
    misuse_begin();
    CHECK(host_expect_panic(do_init_huge, &m.other));
}

/* A live item that looks dead is freed all the same. */
TEST(looks_dead)
{
    uint64_t dead;

    misuse_begin();
    vm_zone_free(&m.z, m.item[99]);
    dead = *(uint64_t *)(void *)m.item[99];
    CHECK(vm_zone_alloc(&m.z) == m.item[99]);
    *(uint64_t *)(void *)m.item[99] = dead;
    vm_zone_free(&m.z, m.item[99]);
    vm_zone_check(&m.z);
    CHECK_EQ(vm_zone_live(&m.z), 99);
    host_memory_end();
}
#endif
