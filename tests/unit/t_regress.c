/* pal: machines=x86_64 flavours=debug,tsan */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_regress.c - bugs that reviews of the core found, each in the fewest
 * steps that showed it.
 */
#include <unistd.h>

#include "object_test.h"

#define SNAPSHOT    100u        /* the page where snapshots are mapped */
#define PRIVATE     200u
#define PATIENCE    20u         /* seconds, for what once took forever */

/* A file of n pages, 100 and so on, mapped shared at page 0. */
static struct tp f;
static struct vm_map *m;

static void
begin(vm_pgno_t n)
{
    boot(4096, 0);
    tp_open(&f, n, 100);
    m = map_new(0, 0);
    map_object(m, 0, n, f.object, 0, VM_MAP_SHARED);
}

static void
end(void)
{
    f.hold = false;
    f.hold_writes = false;
    f.on_write = NULL;
    while (f.queued > 0) {
        (void)!tp_answer(&f, 0);
    }
    world_check();
    world_map_destroy(m);
    tp_close(&f);
    CHECK_EQ(f.terminated, 1);
    tp_free(&f);
    world_end();
}

static void
snapshot(vm_pgno_t n)
{
    map_object(m, SNAPSHOT, n, f.object, 0, VM_MAP_COPY);
}

/* Ask for a page, and leave before the answer comes. */
static void
ask_and_leave(uint64_t page)
{
    CHECK(f.hold);
    host_interrupt(0);
    CHECK_EQ(vm_fault(m, va_of(page), VM_PROT_READ), VM_E_INTR);
}

/* ---- faults ------------------------------------------------------------- */

/* A store by the kernel left a page executable with stale instructions. */
TEST(exec_stale)
{
    vm_prot_t prot = VM_PROT_NONE;
    uint64_t v = 1;
    paddr_t pa;

    begin(4);
    CHECK_EQ(vm_map_protect(m, va_of(0), 4 * PAGE, VM_PROT_ALL, false),
        VM_OK);
    CHECK_EQ(vm_fault(m, va_of(0), VM_PROT_READ | VM_PROT_EXEC), VM_OK);
    CHECK(pmap_extract(m->pmap, va_of(0), &pa, &prot));
    CHECK(prot & VM_PROT_EXEC);
    CHECK_EQ(vm_map_write(m, va_of(0), &v, sizeof(v)), VM_OK);
    prot = VM_PROT_NONE;
    CHECK(!pmap_extract(m->pmap, va_of(0), &pa, &prot) ||
        (prot & VM_PROT_EXEC) == 0);
    end();
}

/* Frames of pages that could not be read were never reclaimed. */
TEST(error_frames)
{
    begin(1000);
    f.fail_reads = 1000;
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK_EQ(vm_fault(m, va_of(i), VM_PROT_READ), VM_E_PAGER);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)vm_pageout(vm_page_count, vm_page_count);
    }
    CHECK(frames() < 100);
    want_range(m, 0, 1000, 100);
    end();
}

/* A page reclaimed before its fault had used it was read without end. */
static void
request_and_evict(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    CHECK(f.requests < 1000);
    tp_op_request(pg, pgno, n, access);
    (void)vm_pageout(vm_page_count, vm_page_count);
}

TEST(pagein_evicted)
{
    struct vm_pager_ops ops = tp_ops;

    begin(4);
    ops.data_request = request_and_evict;
    f.pager.ops = &ops;
    CHECK_EQ(vm_fault(m, va_of(0), VM_PROT_READ), VM_OK);
    want_range(m, 0, 4, 100);
    f.pager.ops = &tp_ops;
    end();
}

/* A write fault short of memory left a zero page over the object's data. */
static int
zero_fault_fails_at(long n)
{
    struct vm_lookup look;
    struct vm_object *o;
    int error;

    boot(4096, 0);
    CHECK_EQ(vm_object_create(4, NULL, &o), VM_OK);
    m = map_new(0, 0);
    map_object(m, 0, 4, o, 0, VM_MAP_SHARED);
    map_object(m, PRIVATE, 4, o, 0, VM_MAP_PRIVATE);
    CHECK_EQ(vm_map_prepare(m, va_of(PRIVATE), true, &look), VM_OK);
    host_fail_after(n);
    error = vm_fault(m, va_of(PRIVATE), VM_PROT_WRITE);
    host_fail_after(0);
    if (error != VM_OK) {
        CHECK_EQ(error, VM_E_NOMEM);
        put(m, 0, 1);
        CHECK_EQ(get(m, PRIVATE), 1);
    }
    vm_object_unref(o, NULL);
    world_map_destroy(m);
    world_end();
    return error;
}

TEST(failed_write_fault_zero)
{
    long n = 1;

    while (zero_fault_fails_at(n) != VM_OK) {
        n++;
        CHECK(n < 12);
    }
    CHECK(n > 1);
}

/* ---- truncation --------------------------------------------------------- */

/* What was cut off an object was lost to its snapshots. */
TEST(truncate_snapshot)
{
    begin(4);
    snapshot(4);
    CHECK_EQ(get(m, 3), 103);
    vm_object_resize(f.object, 1);
    CHECK_EQ(get(m, SNAPSHOT + 3), 103);
    end();
}

/* A flush that waited for a page cut off was never complete. */
TEST(truncate_flush)
{
    begin(4);
    snapshot(4);
    f.hold = true;
    CHECK_EQ(vm_pager_flush(&f.pager, 3, 1), VM_OK);
    CHECK_EQ(f.completed, 0);
    vm_object_resize(f.object, 2);
    CHECK_EQ(tp_provide(&f, 3, 1), VM_E_INVAL);
    CHECK_EQ(f.completed, 1);
    f.queued = 0;
    end();
}

/* An answer that reached beyond a truncation left its pages busy. */
TEST(straddle)
{
    begin(4);
    f.hold = true;
    ask_and_leave(0);
    ask_and_leave(1);
    vm_object_resize(f.object, 2);
    CHECK_EQ(tp_provide(&f, 0, 4), VM_E_INVAL);
    for (vm_pgno_t i = 0; i < 2; i++) {
        struct vm_page *p = vm_object_page(f.object, i);

        CHECK(p != NULL);
        CHECK_EQ(vm_page_flags(p) & (VM_PG_BUSY | VM_PG_ABSENT), 0);
    }
    want_range(m, 0, 2, 100);
    CHECK_EQ(f.requests, 2);
    f.queued = 0;
    end();
}

/* ---- writing back ------------------------------------------------------- */

/* A flush dropped the page although its write failed. */
TEST(flush_failed_write)
{
    begin(4);
    put(m, 0, 1);
    f.hold_writes = true;
    f.fail_writes = 1;
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 1), VM_OK);
    CHECK_EQ(f.queued, 1);
    tp_answer_all(&f);
    CHECK_EQ(get(m, 0), 1);
    CHECK_EQ(tp_value(&f, 0), 100);
    end();
}

/* A clean request passed over a page modified while it was written. */
TEST(clean_skips_redirtied)
{
    begin(4);
    put(m, 0, 1);
    f.hold_writes = true;
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_OK);
    CHECK_EQ(tp_value(&f, 0), 1);
    put(m, 0, 2);
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_OK);
    CHECK_EQ(f.completed, 0);
    tp_answer_all(&f);
    CHECK_EQ(f.completed, 2);
    CHECK_EQ(f.writes, 2);
    CHECK_EQ(tp_value(&f, 0), 2);
    end();
}

/* What a page got during its write was forgotten once that succeeded. */
TEST(two_writes)
{
    begin(4);
    put(m, 0, 1);
    f.hold_writes = true;
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_OK);
    put(m, 0, 2);
    f.fail_writes = 1;
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_OK);
    CHECK_EQ(f.writes, 1);
    CHECK_EQ(tp_answer(&f, 0), VM_OK);
    CHECK_EQ(f.writes, 2);
    CHECK_EQ(f.queued, 1);
    CHECK_EQ(tp_answer(&f, 0), VM_OK);
    CHECK_EQ(tp_value(&f, 0), 1);
    /* It failed: the page is modified still. */
    f.hold_writes = false;
    CHECK_EQ(vm_pager_flush(&f.pager, 0, 1), VM_OK);
    CHECK_EQ(tp_value(&f, 0), 2);
    CHECK_EQ(get(m, 0), 2);
    end();
}

/* A flush from within data_write waited for itself. */
static void
flush_again(struct tp *t)
{
    t->on_write = NULL;
    CHECK_EQ(vm_pager_flush(&t->pager, 0, 1), VM_OK);
}

TEST(flush_in_data_write)
{
    begin(4);
    put(m, 0, 1);
    f.on_write = flush_again;
    alarm(PATIENCE);
    CHECK_EQ(vm_pager_clean_request(&f.pager, 0, 1), VM_OK);
    alarm(0);
    CHECK_EQ(f.completed, 2);
    CHECK_EQ(tp_value(&f, 0), 1);
    CHECK_EQ(get(m, 0), 1);
    end();
}

/* ---- locks -------------------------------------------------------------- */

/* A lock looked at each page number, whether a page was there or not. */
TEST(sparse_lock)
{
    vm_pgno_t n = (vm_pgno_t)1 << 36;

    boot(4096, 0);
    tp_make(&f, 1);
    CHECK_EQ(vm_object_create_pager(&f.pager, n, &f.object), VM_OK);
    alarm(PATIENCE);
    CHECK_EQ(vm_pager_lock(&f.pager, 0, n, VM_PROT_WRITE), VM_OK);
    alarm(0);
    tp_close(&f);
    tp_free(&f);
    world_end();
}

/* ---- forks -------------------------------------------------------------- */

#define WIRED   64u
#define FORKS   200u

static _Atomic bool forked;
static unsigned forks;

/* CPU 0 forks wired memory and looks; CPU 1 takes what pages it can. */
static void
fork_or_steal(unsigned cpu, void *arg)
{
    (void)arg;
    while (cpu == 1 && !atomic_load(&forked)) {
        (void)vm_pageout(512, 512);
    }
    for (unsigned i = 0; cpu == 0 && i < FORKS; i++) {
        struct vm_map *child;
        int error = world_map_try_fork(m, &child);

        if (error != VM_OK) {
            CHECK_EQ(error, VM_E_NOMEM);
            continue;
        }
        forks++;
        for (uint64_t page = 0; page < WIRED; page++) {
            uint64_t v = 0;

            CHECK_EQ(try_get(child, page, &v, true), VM_OK);
            CHECK_EQ(v, page + 1);
        }
        world_map_destroy(child);
    }
    if (cpu == 0) {
        atomic_store(&forked, true);
    }
}

/* Pageout took the pages of a fork's copy before they were filled. */
TEST(copy_now_race)
{
    boot(1024, 2048);
    m = map_new(0, WIRED);
    put_range(m, 0, WIRED, 1);
    CHECK_EQ(vm_map_wire(m, va_of(0), WIRED * PAGE), VM_OK);
    atomic_store(&forked, false);
    host_set_mode(HOST_THREADS);
    world_run(2, fork_or_steal, NULL);
    CHECK(forks > 0);
    test_note("%u of %u forks", forks, FORKS);
    want_range(m, 0, WIRED, 1);
    CHECK_EQ(vm_map_unwire(m, va_of(0), WIRED * PAGE), VM_OK);
    world_map_destroy(m);
    world_end();
}

/*
 * The kernel's store waited for a wiring of the same memory, and went on
 * without the map's lock: a protection made meanwhile came too late for it.
 * (The assertion is in the core.)
 */
static struct waits {
    struct vm_map *map;
    struct tp f;
} waits;

static void
waits_cpu(unsigned cpu, void *arg)
{
    struct waits *w = arg;
    uint64_t v = 7;

    switch (cpu) {
    case 0:
        CHECK_EQ(vm_map_wire(w->map, va_of(0), 4 * PAGE), VM_OK);
        break;
    case 1:
        host_sleep_steps(100 + world_random(100));
        CHECK_EQ(vm_map_write(w->map, va_of(1), &v, 8), VM_OK);
        break;
    default:
        for (unsigned i = 0; i < 40; i++) {
            host_sleep_steps(100);
            tp_answer_all(&w->f);
        }
        break;
    }
}

TEST(kernel_store_waits_for_a_wiring)
{
    for (unsigned round = 0; round < 50; round++) {
        boot_seed(1024, 0, test_seed * 100 + round);
        tp_open(&waits.f, 4, 500);
        waits.map = map_new(0, 0);
        map_object(waits.map, 0, 4, waits.f.object, 0, VM_MAP_SHARED);
        waits.f.hold = true;
        world_run(3, waits_cpu, &waits);
        waits.f.hold = false;
        CHECK_EQ(world_load64(waits.map, va_of(1)), 7);
        CHECK_EQ(vm_map_unwire(waits.map, va_of(0), 4 * PAGE), VM_OK);
        world_map_destroy(waits.map);
        tp_close(&waits.f);
        tp_free(&waits.f);
        world_end();
    }
}
