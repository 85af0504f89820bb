/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64 flavours=debug,tsan */
/*
 * t_page.c - the core map: no frame is handed out twice or lost, reserves
 * hold to the frame, every CPU's cache can be reached, blank is blank.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "test.h"
#include "vm_mutant.h"
#include "vm_page.h"

#define THREADS 4u

static const enum vm_page_kind kinds[3] = {
    VM_PAGE_OBJECT, VM_PAGE_TABLE, VM_PAGE_KERNEL
};

/* The first word of a held frame says who holds it. */
static void
mark(struct vm_page *p, uint64_t tag)
{
    *(uint64_t *)vm_page_data(p) = tag ^ vm_page_pa(p);
}

static void
check_mark(struct vm_page *p, uint64_t tag)
{
    CHECK_EQ(*(uint64_t *)vm_page_data(p), tag ^ vm_page_pa(p));
}

/* Take frames until there is none for who; returns how many. */
static uint64_t
take_all(enum vm_alloc who, struct vm_page **out)
{
    uint64_t n = 0;

    while ((out[n] = vm_page_alloc(VM_PAGE_OBJECT, who)) != NULL) {
        n++;
    }
    return n;
}

static void
free_all(struct vm_page **pages, uint64_t n)
{
    while (n-- > 0) {
        vm_page_free(pages[n]);
    }
}

static void
random_ops(unsigned shift, uint64_t npages, unsigned ops)
{
    struct vm_page **held = malloc(npages * sizeof(*held));
    uint64_t n = 0, count[VM_PAGE_KINDS] = { 0 };
    unsigned i, k, grow = 50;

    host_memory(shift, npages);
    for (i = 0; i < ops; i++) {
        if (i % 512 == 0) {
            /* Seasons of growth and decline: both ends are reached. */
            grow = 20 + (unsigned)test_rand_below(61);
        }
        if (test_rand_below(100) < grow) {
            enum vm_page_kind kind = kinds[test_rand_below(3)];
            struct vm_page *p = vm_page_alloc(kind, VM_ALLOC_USER);

            CHECK_EQ(p == NULL, n == npages);
            if (p != NULL) {
                CHECK_EQ(p->kind, kind);
                CHECK(vm_page_of(vm_page_pa(p)) == p);
                mark(p, kind);
                count[kind]++;
                held[n++] = p;
            }
        } else if (n != 0) {
            uint64_t at = test_rand_below(n);

            check_mark(held[at], held[at]->kind);
            count[held[at]->kind]--;
            vm_page_free(held[at]);
            held[at] = held[--n];
        }
        CHECK_EQ(vm_page_free_count(), npages - n);
        if (i % 64 == 0) {
            for (k = 0; k < 3; k++) {
                CHECK_EQ(vm_page_kind_count(kinds[k]), count[kinds[k]]);
            }
            CHECK_EQ(vm_page_kind_count(VM_PAGE_FREE), npages - n);
            CHECK_EQ(vm_page_kind_count(VM_PAGE_RESERVED), 0);
            vm_page_check();
        }
        if (test_rand_below(1000) == 0) {
            vm_page_drain();
        }
    }
    free_all(held, n);
    vm_page_check();
    CHECK_EQ(vm_page_free_count(), npages);
    host_memory_end();
    free(held);
}

/* Many at a time, of every number around the sizes of the caches. */
TEST(free_many)
{
    struct vm_page *held[100];

    host_memory(12, 100);
    for (unsigned n = 0; n <= 100; n++) {
        for (unsigned i = 0; i < n; i++) {
            held[i] = vm_page_alloc(kinds[n % 3], VM_ALLOC_USER);
            CHECK(held[i] != NULL);
        }
        CHECK_EQ(vm_page_kind_count(kinds[n % 3]), n);
        vm_page_free_many(held, n);
        CHECK_EQ(vm_page_free_count(), 100);
        CHECK_EQ(vm_page_kind_count(kinds[n % 3]), 0);
        vm_page_check();
        if (n >= 16) {
            /* The last to be freed, that is the first, is used first. */
            struct vm_page *p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_USER);

            CHECK(p != NULL);
            vm_page_free(p);
        }
    }
    host_memory_end();
}

/* Again and again in one process: the core can be started many times. */
TEST(random_model)
{
    unsigned round, rounds = test_long ? 200 : 8;

    for (round = 0; round < rounds; round++) {
        random_ops(12 + 2 * (round % 3), 1 + test_rand_below(300), 8000);
    }
}

TEST(order)
{
    struct vm_page *p[3];
    unsigned i;

    host_memory(12, 200);
    for (i = 0; i < 200; i++) {
        CHECK(vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER) ==
            &vm_page_array[i]);
    }
    /* The newest first. */
    for (i = 0; i < 3; i++) {
        p[i] = &vm_page_array[7 + 50 * i];
        vm_page_free(p[i]);
    }
    for (i = 3; i-- > 0;) {
        CHECK(vm_page_alloc(VM_PAGE_TABLE, VM_ALLOC_USER) == p[i]);
    }
    host_memory_end();
}

/* Exactly at the marks, for many marks, with and without a low mark. */
TEST(reserves_exact)
{
    struct vm_page *held[400];
    unsigned round;

    for (round = 0; round < 60; round++) {
        uint64_t kernel = test_rand_below(100);
        uint64_t pageout = test_rand_below(60);
        uint64_t n;

        host_memory(12, 300);
        vm_page_set_reserves(kernel, pageout, test_rand_below(300));
        n = take_all(VM_ALLOC_USER, held);
        CHECK_EQ(vm_page_free_count(), kernel + pageout);
        CHECK_EQ(n, 300 - kernel - pageout);
        n += take_all(VM_ALLOC_KERNEL, held + n);
        CHECK_EQ(vm_page_free_count(), pageout);
        CHECK(vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER) == NULL);
        n += take_all(VM_ALLOC_PAGEOUT, held + n);
        CHECK_EQ(vm_page_free_count(), 0);
        CHECK_EQ(n, 300);

        /* On the way back each comes to life one frame above its mark. */
        while (n > 0) {
            uint64_t free = 300 - --n;
            struct vm_page *p;

            vm_page_free(held[n]);
            p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
            CHECK_EQ(p != NULL, free > kernel + pageout);
            if (p != NULL) {
                vm_page_free(p);
            }
            p = vm_page_alloc(VM_PAGE_TABLE, VM_ALLOC_KERNEL);
            CHECK_EQ(p != NULL, free > pageout);
            if (p != NULL) {
                vm_page_free(p);
            }
        }
        vm_page_check();
        host_memory_end();
    }
}

struct hoard {
    struct vm_page *page[THREADS][600];
    uint64_t n[THREADS];
    enum vm_alloc who;
};

static void
hoard_thread(void *arg, unsigned cpu)
{
    struct hoard *h = arg;

    h->n[cpu] = take_all(h->who, h->page[cpu]);
}

static void
unhoard_thread(void *arg, unsigned cpu)
{
    struct hoard *h = arg;

    free_all(h->page[cpu], h->n[cpu]);
}

/* Four CPUs at once pass a mark by at most one frame each, and stop. */
TEST_SMP(reserves_smp)
{
    static struct hoard h;
    unsigned round, cpu, rounds = test_long ? 2000 : 30;
    uint64_t n;

    for (round = 0; round < rounds; round++) {
        host_memory(12, 500);
        vm_page_set_reserves(40, 20, round % 2 == 0 ? 100 : 0);
        h.who = VM_ALLOC_USER;
        host_run(THREADS, hoard_thread, &h);
        for (n = 0, cpu = 0; cpu < THREADS; cpu++) {
            n += h.n[cpu];
        }
        CHECK_EQ(vm_page_free_count(), 500 - n);
        CHECK(vm_page_free_count() <= 60);
        CHECK(vm_page_free_count() > 60 - THREADS);
        CHECK(vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER) == NULL);
        vm_page_check();
        CHECK(vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL) != NULL);
        host_run(THREADS, unhoard_thread, &h);
        CHECK_EQ(vm_page_free_count(), 499);
        vm_page_check();
        host_memory_end();
    }
}

/* What lies in the caches of other CPUs is free memory, too. */
TEST_SMP(caches_reachable)
{
    static struct hoard h;
    static struct vm_page *held[600];

    host_memory(12, 100);
    h.who = VM_ALLOC_PAGEOUT;
    host_run(THREADS, hoard_thread, &h);
    CHECK_EQ(vm_page_free_count(), 0);
    host_run(THREADS, unhoard_thread, &h);
    CHECK_EQ(vm_page_free_count(), 100);
    CHECK_EQ(take_all(VM_ALLOC_USER, held), 100);
    CHECK_EQ(vm_page_free_count(), 0);
    vm_page_check();
    free_all(held, 100);
    vm_page_drain();
    vm_page_check();
    CHECK_EQ(vm_page_free_count(), 100);
    CHECK_EQ(take_all(VM_ALLOC_USER, held), 100);
    host_memory_end();
}

struct churn {
    unsigned ops, hold;
    bool meddle;                /* drain and check while others work */
};

static void
churn_thread(void *arg, unsigned cpu)
{
    const struct churn *c = arg;
    struct vm_page *held[256], *p;
    struct test_rng r;
    unsigned i, at, n = 0;

    test_rng_init(&r, cpu);
    for (i = 0; i < c->ops; i++) {
        if (n < c->hold && test_rng_below(&r, 2) == 0) {
            p = vm_page_alloc(kinds[test_rng_below(&r, 3)],
                (enum vm_alloc)test_rng_below(&r, 3));
            if (p != NULL) {
                mark(p, cpu + 1);
                held[n++] = p;
            }
        } else if (n != 0) {
            at = (unsigned)test_rng_below(&r, n);
            check_mark(held[at], cpu + 1);
            vm_page_free(held[at]);
            held[at] = held[--n];
        }
        if (c->meddle && test_rng_below(&r, 200) == 0) {
            vm_page_drain();
        }
        if (c->meddle && test_rng_below(&r, 200) == 0) {
            vm_page_check();
        }
    }
    while (n != 0) {
        check_mark(held[--n], cpu + 1);
        vm_page_free(held[n]);
    }
    CHECK_EQ(host_self->preempt, 0);
}

static void
churn(uint64_t npages, unsigned hold, bool meddle)
{
    struct churn c = { test_long ? 1000000 : 20000, hold, meddle };
    unsigned k;

    host_memory(12, npages);
    vm_page_set_reserves(npages / 16, npages / 32, npages / 8);
    host_run(THREADS, churn_thread, &c);
    vm_page_check();
    CHECK_EQ(vm_page_free_count(), npages);
    for (k = 0; k < 3; k++) {
        CHECK_EQ(vm_page_kind_count(kinds[k]), 0);
    }
    host_memory_end();
}

TEST_SMP(conserved_plenty)
{
    churn(4000, 200, false);
}

/* The CPUs together want more than there is: steal, fail, go on. */
TEST_SMP(conserved_scarce)
{
    churn(130, 60, false);
}

TEST_SMP(conserved_meddled)
{
    churn(300, 100, true);
}

/* The n-th allocation fails, that one alone, and leaves no trace. */
TEST(fail_nth)
{
    struct vm_page *held[64];
    unsigned i, n, got;

    host_memory(12, 64);
    for (n = 1; n <= 64; n++) {
        host_fail_after((long)n);
        got = 0;
        for (i = 1; i <= 64; i++) {
            struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT,
                VM_ALLOC_PAGEOUT);

            CHECK_EQ(p == NULL, i == n);
            if (p != NULL) {
                held[got++] = p;
            }
        }
        CHECK_EQ(vm_page_free_count(), 1);
        free_all(held, got);
        vm_page_check();
    }
    host_memory_end();
}

/* Whatever the last life left, the next begins blank. */
TEST(blank)
{
    struct vm_page *p;
    unsigned i;

    host_memory(12, 1);
    for (i = 0; i < 6; i++) {
        p = vm_page_alloc(kinds[i % 3], VM_ALLOC_USER);
        CHECK(p == &vm_page_array[0]);
        CHECK_EQ(p->kind, kinds[i % 3]);
        CHECK_EQ(p->flags, 0);
        CHECK_EQ(p->lockword, 0);
        CHECK_EQ(p->forbidden, 0);
        CHECK_EQ(p->wire_count, 0);
        CHECK_EQ(p->private[0] | p->private[1] | p->private[2] |
            p->private[3] | p->private[4], 0);
        if (p->kind == VM_PAGE_OBJECT) {
            p->pgno = 77;
            p->pv.va = 0x1000;
        } else {
            memset(p->private, 0xff, sizeof(p->private));
        }
        p->forbidden = VM_PROT_WRITE;
        vm_page_set(p, VM_PG_MODIFIED | VM_PG_REFERENCED | VM_PG_ICACHE);
        vm_page_free(p);
    }
    host_memory_end();
}

/* Holes that are not ours are never handed out. */
TEST(reserved_holes)
{
    struct vm_page *held[128];
    paddr_t start;
    uint64_t i, n;

    host_memory(14, 128);
    start = vm_page_pa(vm_page_array);
    memset(vm_page_array, 0, 128 * sizeof(*vm_page_array));
    vm_page_bootstrap(vm_page_array, start, 128);
    CHECK_EQ(vm_page_kind_count(VM_PAGE_RESERVED), 128);
    CHECK(vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_PAGEOUT) == NULL);
    vm_page_check();
    vm_page_release(start + 3 * VM_PAGE_SIZE, 20);
    vm_page_release(start + 100 * VM_PAGE_SIZE, 28);
    vm_page_release(start, 0);
    vm_page_check();
    CHECK_EQ(vm_page_kind_count(VM_PAGE_RESERVED), 80);
    n = take_all(VM_ALLOC_USER, held);
    CHECK_EQ(n, 48);
    for (i = 0; i < n; i++) {
        uint64_t at = (uint64_t)(held[i] - vm_page_array);

        CHECK((at >= 3 && at < 23) || at >= 100);
    }
    vm_page_check();
    CHECK(vm_page_of(start - 1) == NULL);
    CHECK(vm_page_of(start) == vm_page_array);
    CHECK(vm_page_of(start + 128 * VM_PAGE_SIZE - 1) ==
        &vm_page_array[127]);
    CHECK(vm_page_of(start + 128 * VM_PAGE_SIZE) == NULL);
    CHECK(vm_page_of(0) == NULL);
    host_memory_end();
}

/* Runs are taken whole, given back by the frame, and whole again. */
TEST(runs)
{
    struct vm_page *p[3], *run[2];
    vm_pgno_t pgno;

    host_memory(12, 3 * 512 + 40);
    CHECK(vm_page_alloc_run(20, NULL, 0, 0) == NULL);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            p[i] = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
        }
        for (unsigned i = 0; i < 2; i++) {
            run[i] = vm_page_alloc_run(21, NULL, 7, VM_PG_MODIFIED);
            CHECK(run[i] != NULL);
            CHECK_EQ(vm_page_pa(run[i]) & ((1u << 21) - 1), 0);
            pgno = vm_get(&run[i][511].pgno);
            CHECK_EQ(pgno, 7 + 511);
            CHECK_EQ(run[i][100].flags, VM_PG_MODIFIED);
            CHECK(run[i][511].pv.pm == NULL && run[i][3].pv.more == NULL);
        }
        vm_page_check();
        CHECK_EQ(vm_page_kind_count(VM_PAGE_OBJECT), 2 * 512 + 3);
        CHECK_EQ(vm_page_free_count(), 512 + 40 - 3);
        /* From both ends, and all together. */
        for (unsigned i = 0; i < 256; i++) {
            vm_page_free(run[0] + i);
            vm_page_free(run[0] + 511 - i);
        }
        for (unsigned i = 0; i < 512; i += 32) {
            struct vm_page *some[32];

            for (unsigned k = 0; k < 32; k++) {
                some[k] = run[1] + i + k;
            }
            vm_page_free_many(some, 32);
        }
        for (unsigned i = 0; i < 3; i++) {
            vm_page_free(p[i]);
        }
        vm_page_check();
    }
    /* A reserve is left alone. */
    vm_page_set_reserves(0, 0, 3 * 512);
    CHECK(vm_page_alloc_run(21, NULL, 0, 0) == NULL);
    host_memory_end();
}

/* A run that is not all ours, or not all there, is none. */
TEST(runs_at_edges)
{
    paddr_t start;

    host_memory(12, 4 * 512);
    start = vm_page_pa(vm_page_array) + 5 * VM_PAGE_SIZE;
    memset(vm_page_array, 0, 4 * 512 * sizeof(*vm_page_array));
    vm_page_bootstrap(vm_page_array, start, 3 * 512);
    vm_page_release(start, 1024);
    vm_page_release(start + 1025 * VM_PAGE_SIZE, 511);
    vm_page_check();
    CHECK_EQ(vm_page_free_count(), 3 * 512 - 1);
    CHECK(vm_page_alloc_run(21, NULL, 0, 0) == vm_page_array + 507);
    CHECK(vm_page_alloc_run(21, NULL, 0, 0) == NULL);
    vm_page_check();
    host_memory_end();
}

TEST(zero_and_copy)
{
    struct vm_page *p, *q;
    unsigned char *d;
    uint64_t i;

    host_memory(16, 8);
    p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    q = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    for (d = vm_page_data(p), i = 0; i < VM_PAGE_SIZE; i++) {
        d[i] = (unsigned char)(i * 7 + i / 256);
    }
    vm_page_zero(q);
    for (d = vm_page_data(q), i = 0; i < VM_PAGE_SIZE; i++) {
        CHECK_EQ(d[i], 0);
    }
    vm_page_copy(q, p);
    CHECK_EQ(memcmp(vm_page_data(q), vm_page_data(p), VM_PAGE_SIZE), 0);
#if VM_TEST
    vm_mutant = VM_MUTANT_NO_ZERO;
    vm_page_zero(q);
    CHECK_EQ(memcmp(vm_page_data(q), vm_page_data(p), VM_PAGE_SIZE), 0);
    vm_mutant = VM_MUTANT_NONE;
#endif
    host_memory_end();
}

#if VM_TEST
TEST(mutant_names)
{
    unsigned i, j;

    for (i = 0; i < VM_MUTANT_COUNT; i++) {
        CHECK(vm_mutant_names[i] != NULL);
        for (j = 0; j < i; j++) {
            CHECK(strcmp(vm_mutant_names[i], vm_mutant_names[j]) != 0);
        }
    }
    CHECK_EQ(strcmp(vm_mutant_names[VM_MUTANT_REMOVE_NO_FLUSH],
        "remove-no-flush"), 0);
}
#endif

#if VM_DEBUG
static void
do_free(void *arg)
{
    vm_page_free(arg);
}

/* Each misuse alone is found, and undone the page can be freed. */
TEST(free_asserts)
{
    struct vm_page *p, *q;

    host_memory(12, 8);
    p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    q = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    vm_set(&p->object, (struct vm_object *)8);
    CHECK(host_expect_panic(do_free, p));
    vm_set(&p->object, NULL);
    p->wire_count = 1;
    CHECK(host_expect_panic(do_free, p));
    p->wire_count = 0;
    vm_page_set(p, VM_PG_BUSY);
    CHECK(host_expect_panic(do_free, p));
    vm_page_clear(p, VM_PG_BUSY);
    vm_set(&p->lockword, VM_PG_LEAF_LOCK);
    CHECK(host_expect_panic(do_free, p));
    vm_set(&p->lockword, 0);
    p->pv.pm = (struct pmap *)8;
    CHECK(host_expect_panic(do_free, p));
    p->pv.pm = NULL;
    p->pv.more = (struct pv_chunk *)8;
    CHECK(host_expect_panic(do_free, p));
    p->pv.more = NULL;
    vm_page_free(p);
    CHECK(host_expect_panic(do_free, p));
    CHECK(host_expect_panic(do_free, vm_page_array - 1));
    vm_page_free(q);
    vm_page_check();
    CHECK_EQ(vm_page_free_count(), 8);
    host_memory_end();
}
#endif

static void
do_check(void *arg)
{
    (void)arg;
    vm_page_check();
}

/* The check is not blind.  A panic inside it leaves locks held: one each. */
TEST(check_finds_lost)
{
    struct vm_page *p;

    host_memory(12, 100);
    p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    vm_set(&p->kind, VM_PAGE_FREE);
    CHECK(host_expect_panic(do_check, NULL));
}

TEST(check_finds_kind)
{
    host_memory(12, 100);
    vm_set(&vm_page_array[50].kind, VM_PAGE_TABLE);
    CHECK(host_expect_panic(do_check, NULL));
}

TEST(check_finds_loop)
{
    host_memory(12, 100);
    vm_page_array[50].link = 40;
    CHECK(host_expect_panic(do_check, NULL));
}

TEST(check_finds_miscount)
{
    struct vm_page *p;

    host_memory(12, 100);
    p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    vm_set(&p->kind, VM_PAGE_TABLE);
    CHECK(host_expect_panic(do_check, NULL));
}
