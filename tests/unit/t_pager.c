/* pal: machines=x86_64 flavours=debug timeout=240 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_pager.c - the protocol with pagers: whatever one does or leaves undone,
 * only those who asked it are hurt, and only as vm_pager.h says.
 */
#include "object_test.h"

static struct stage {
    struct tp f;
    struct vm_map *m, *p;       /* shared, private mapping of it */
    void (*act)(struct stage *s);
    int want[2];                /* what the readers must get */
    uint64_t value;
    vm_prot_t access;
    unsigned page, ended, others;
} st;

static void
stage_begin(void)
{
    memset(&st, 0, sizeof(st));
    tp_open(&st.f, 8, 100);
    st.m = map_new(0, 0);
    map_object(st.m, 0, 8, st.f.object, 0, VM_MAP_SHARED);
    st.p = map_new(0, 0);
    map_object(st.p, 0, 8, st.f.object, 0, VM_MAP_PRIVATE);
}

static void
stage_end(void)
{
    st.f.hold = false;
    st.f.hold_writes = false;
    st.f.hold_unlocks = false;
    while (st.f.queued > 0) {
        (void)!tp_answer(&st.f, 0);
    }
    world_check();
    world_map_destroy(st.m);
    world_map_destroy(st.p);
    if (st.f.object != NULL) {
        tp_close(&st.f);
    }
    CHECK_EQ(st.f.late, 0);
    tp_free(&st.f);
    world_end();
}

/* CPUs 0 and 1 touch the page, shared and private; CPU 2 acts. */
static void
stage_cpu(unsigned cpu, void *arg)
{
    struct stage *s = arg;
    uint64_t v = 7;
    int error;

    if (cpu == 2) {
        s->act(s);
        return;
    }
    error = vm_fault(cpu == 0 ? s->m : s->p, va_of(s->page),
        cpu == 0 ? s->access : VM_PROT_READ);
    CHECK_EQ(error, s->want[cpu]);
    if (error == VM_OK && s->value != 0) {
        CHECK_EQ(vm_map_read(cpu == 0 ? s->m : s->p, va_of(s->page), &v,
            sizeof(v)), VM_OK);
        CHECK_EQ(v, s->value);
    }
    s->ended++;
}

static void
stage_run(void (*act)(struct stage *), int want0, int want1, uint64_t value)
{
    st.act = act;
    st.want[0] = want0;
    st.want[1] = want1;
    st.value = value;
    if (st.access == VM_PROT_NONE) {
        st.access = VM_PROT_READ;
    }
    world_run(3, stage_cpu, &st);
    CHECK_EQ(st.ended, 2);
}

#define ROUNDS(n) \
    for (uint64_t round = 0; round < (n); round++)
#define BEGIN() \
    boot_seed(1024, 64, test_seed * 1000 + round); stage_begin()

/* ---- answers ------------------------------------------------------------ */

TEST(more_and_fewer)
{
    ROUNDS(1) {
        BEGIN();
        /* Fewer: nothing.  More: neighbours come with it. */
        CHECK_EQ(tp_provide(&st.f, 2, 4), VM_OK);
        CHECK_EQ(frames(), 4);
        want_range(st.m, 2, 4, 102);
        CHECK_EQ(st.f.requests, 0);
        /* What is resident is left as it is. */
        put(st.m, 3, 33);
        tp_set(&st.f, 2, 999);
        CHECK_EQ(tp_provide(&st.f, 0, 8), VM_OK);
        CHECK_EQ(get(st.m, 2), 102);
        CHECK_EQ(get(st.m, 3), 33);
        CHECK_EQ(get(st.p, 3), 33);
        CHECK_EQ(st.f.requests, 0);
        /* Out of range, malformed. */
        CHECK_EQ(tp_provide(&st.f, 8, 1), VM_E_INVAL);
        CHECK_EQ(tp_provide(&st.f, 7, 2), VM_E_INVAL);
        CHECK_EQ(tp_provide(&st.f, 0, 0), VM_E_INVAL);
        CHECK_EQ(vm_pager_data_provided(&st.f.pager, ~(vm_pgno_t)0, 2,
            st.f.bytes, 0, false), VM_E_INVAL);
        CHECK_EQ(vm_pager_data_provided(&st.f.pager, 0, 1, NULL, 0, false),
            VM_E_INVAL);
        CHECK_EQ(vm_pager_data_provided(&st.f.pager, 0, 1, st.f.bytes, 8,
            false), VM_E_INVAL);
        CHECK_EQ(vm_pager_data_unavailable(&st.f.pager, 8, 1), VM_E_INVAL);
        CHECK_EQ(vm_pager_data_error(&st.f.pager, 8, 1), VM_E_INVAL);
        CHECK_EQ(vm_pager_write_done(&st.f.pager, 8, 1, true), VM_E_INVAL);
        CHECK_EQ(vm_pager_lock(&st.f.pager, 8, 1, 0), VM_E_INVAL);
        CHECK_EQ(vm_pager_lock(&st.f.pager, 0, 1, 8), VM_E_INVAL);
        CHECK_EQ(vm_pager_flush(&st.f.pager, 8, 1), VM_E_INVAL);
        CHECK_EQ(vm_pager_clean_request(&st.f.pager, 8, 1), VM_E_INVAL);
        stage_end();
    }
}

static void
act_unavailable(struct stage *s)
{
    tp_await(&s->f, 1);
    CHECK_EQ(vm_pager_data_unavailable(&s->f.pager, 0, 8), VM_OK);
    s->f.queued = 0;
}

static void
act_error(struct stage *s)
{
    tp_await(&s->f, 1);
    host_sleep_steps(world_random(60));
    s->f.fail_reads = 1;
    CHECK_EQ(tp_answer(&s->f, 0), VM_OK);
    /* One of them may have come after the error: it asks again. */
    while (s->ended < 2) {
        if (s->f.queued > 0) {
            s->f.fail_reads = 1;
            CHECK_EQ(tp_answer(&s->f, 0), VM_OK);
        }
        host_sleep_steps(5);
    }
}

TEST(unavailable_is_zero)
{
    ROUNDS(20) {
        BEGIN();
        st.f.hold = true;
        st.page = 3;
        stage_run(act_unavailable, VM_OK, VM_OK, 0);
        CHECK_EQ(get(st.m, 3), 0);
        CHECK_EQ(get(st.p, 3), 0);
        stage_end();
    }
}

TEST(error_for_those_who_wait)
{
    ROUNDS(40) {
        BEGIN();
        st.f.hold = true;
        st.page = 3;
        stage_run(act_error, VM_E_PAGER, VM_E_PAGER, 0);
        /* The next asks again. */
        st.f.hold = false;
        CHECK_EQ(get(st.m, 3), 103);
        CHECK_EQ(get(st.p, 3), 103);
        stage_end();
    }
}

/* ---- silence ------------------------------------------------------------ */

static void
act_silent(struct stage *s)
{
    tp_await(&s->f, 1);
    /* Another page, another object: nobody else is held up. */
    CHECK_EQ(tp_provide(&s->f, 5, 1), VM_OK);
    CHECK_EQ(get(s->m, 5), 105);
    put(s->p, 5, 55);
    put(s->m, 5, 56);
    CHECK_EQ(vm_pager_flush(&s->f.pager, 5, 1), VM_OK);
    (void)vm_pageout(vm_page_count, 100);
    CHECK_EQ(s->ended, 0);
    host_interrupt(0);
    while (s->ended < 1) {
        host_sleep_steps(5);
    }
    host_interrupt(1);
}

TEST(silence_hurts_who_asked)
{
    ROUNDS(30) {
        BEGIN();
        st.f.hold = true;
        st.page = 2;
        stage_run(act_silent, VM_E_INTR, VM_E_INTR, 0);
        /* It wakes up, late: nobody minds. */
        tp_answer_all(&st.f);
        st.f.hold = false;
        want_range(st.m, 0, 5, 100);
        CHECK_EQ(get(st.p, 5), 55);
        stage_end();
    }
}

/* ---- locks -------------------------------------------------------------- */

static void
act_unlock(struct stage *s)
{
    tp_await(&s->f, 1);
    host_sleep_steps(world_random(60));
    tp_answer_all(&s->f);
}

TEST(locks)
{
    ROUNDS(20) {
        BEGIN();
        st.f.forbid = VM_PROT_WRITE;
        want_range(st.m, 0, 8, 100);
        st.f.forbid = VM_PROT_NONE;
        CHECK_EQ(st.f.unlocks, 0);
        /* A private write only reads. */
        put(st.p, 1, 11);
        CHECK_EQ(st.f.unlocks, 0);
        st.f.hold_unlocks = true;
        st.page = 2;
        st.access = VM_PROT_WRITE;
        stage_run(act_unlock, VM_OK, VM_OK, 102);
        CHECK_EQ(st.f.unlocks, 1);
        CHECK_EQ(st.f.last_access, VM_PROT_WRITE);
        /* Revoked on return, from who has it mapped. */
        st.f.hold_unlocks = false;
        world_store64(st.m, va_of(2), 22);
        CHECK_EQ(vm_pager_lock(&st.f.pager, 2, 1, VM_PROT_WRITE), VM_OK);
        world_store64(st.m, va_of(2), 23);
        CHECK_EQ(st.f.unlocks, 2);
        CHECK_EQ(world_load64(st.m, va_of(2)), 23);
        stage_end();
    }
}

/* Who may not read may not copy either. */
TEST(read_lock_holds_for_private_writes)
{
    ROUNDS(1) {
        BEGIN();
        want_range(st.p, 0, 8, 100);
        CHECK_EQ(vm_pager_lock(&st.f.pager, 0, 8, VM_PROT_READ), VM_OK);
        put(st.p, 3, 33);
        CHECK_EQ(st.f.unlocks, 1);
        CHECK(st.f.last_access & VM_PROT_READ);
        CHECK_EQ(vm_fault(st.m, va_of(4), VM_PROT_WRITE), VM_OK);
        CHECK_EQ(st.f.unlocks, 2);
        CHECK_EQ(get(st.p, 3), 33);
        want_range(st.m, 0, 8, 100);
        stage_end();
    }
}

/* ---- writing back ------------------------------------------------------- */

TEST(clean_request_keeps_pages)
{
    ROUNDS(1) {
        BEGIN();
        put_range(st.m, 0, 4, 200);
        CHECK_EQ(vm_pager_clean_request(&st.f.pager, 0, 8), VM_OK);
        CHECK_EQ(st.f.writes, 4);
        CHECK_EQ(st.f.completed, 1);
        CHECK_EQ(frames(), 4);
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(tp_value(&st.f, i), 200 + i);
        }
        /* Clean: nothing to write, until it is written again. */
        CHECK_EQ(vm_pager_clean_request(&st.f.pager, 0, 8), VM_OK);
        CHECK_EQ(st.f.writes, 4);
        world_store64(st.m, va_of(2), 9);
        CHECK_EQ(vm_pager_clean_request(&st.f.pager, 0, 8), VM_OK);
        CHECK_EQ(st.f.writes, 5);
        CHECK_EQ(tp_word(&st.f, 2)[0], 9);
        stage_end();
    }
}

TEST(failed_write_is_written_again)
{
    for (unsigned way = 0; way < 4; way++) {
        struct vm_statistics s;

        boot(1024, 0);
        stage_begin();
        put_range(st.m, 0, 4, 200);
        st.f.fail_writes = 4;
        st.f.hold_writes = (way & 1) != 0;
        if ((way & 2) != 0) {
            for (unsigned i = 0; i < 40 && st.f.writes < 4; i++) {
                (void)vm_pageout(vm_page_count, 4 - st.f.writes);
            }
        } else {
            CHECK_EQ(vm_pager_clean_request(&st.f.pager, 0, 8), VM_OK);
        }
        CHECK_EQ(st.f.writes, 4);
        tp_answer_all(&st.f);
        vm_statistics(&s);
        CHECK_EQ(s.pages_modified, 4);
        CHECK_EQ(frames(), 4);
        want_range(st.m, 0, 4, 200);
        st.f.hold_writes = false;
        for (unsigned i = 0; i < 40 && frames() > 0; i++) {
            (void)vm_pageout(vm_page_count, vm_page_count);
        }
        CHECK_EQ(st.f.writes, 8);
        CHECK_EQ(frames(), 0);
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(tp_value(&st.f, i), 200 + i);
        }
        want_range(st.m, 0, 4, 200);
        stage_end();
    }
}

TEST(written_while_it_is_written)
{
    ROUNDS(1) {
        BEGIN();
        put(st.m, 0, 200);
        st.f.hold_writes = true;
        for (unsigned i = 0; i < 40 && st.f.writes == 0; i++) {
            (void)vm_pageout(vm_page_count, 1);
        }
        CHECK_EQ(st.f.queued, 1);
        put(st.m, 0, 201);
        CHECK_EQ(tp_answer(&st.f, 0), VM_OK);
        CHECK_EQ(get(st.m, 0), 201);
        CHECK_EQ(tp_value(&st.f, 0), 200);
        st.f.hold_writes = false;
        CHECK_EQ(vm_pager_flush(&st.f.pager, 0, 8), VM_OK);
        CHECK_EQ(st.f.completed, 1);
        CHECK_EQ(tp_value(&st.f, 0), 201);
        CHECK_EQ(frames(), 0);
        CHECK_EQ(get(st.m, 0), 201);
        stage_end();
    }
}

TEST(dirty_data_goes_home)
{
    ROUNDS(1) {
        BEGIN();
        st.f.dirty = true;
        CHECK_EQ(tp_provide(&st.f, 0, 2), VM_OK);
        tp_set(&st.f, 0, 1);
        CHECK_EQ(vm_pager_flush(&st.f.pager, 0, 8), VM_OK);
        CHECK_EQ(st.f.writes, 2);
        CHECK_EQ(tp_value(&st.f, 0), 100);
        stage_end();
    }
}

/* ---- life and death ----------------------------------------------------- */

TEST(cache_keeps_the_object)
{
    for (unsigned pages = 0; pages < 2; pages++) {
        struct vm_object *o;
        struct tp f;

        boot(1024, 0);
        tp_open(&f, 4, 100);
        o = f.object;
        CHECK_EQ(tp_provide(&f, 0, 4), VM_OK);
        if (pages == 0) {
            /* However small it is. */
            vm_object_resize(o, 0);
        }
        CHECK_EQ(vm_pager_cache(&f.pager, true), VM_OK);
        CHECK_EQ(vm_pager_cache(&f.pager, true), VM_OK);
        tp_close(&f);
        CHECK_EQ(f.terminated, 0);
        CHECK_EQ(frames(), pages * 4);
        CHECK_EQ(vm_pager_cache(&f.pager, false), VM_OK);
        CHECK_EQ(f.terminated, 1);
        CHECK_EQ(frames(), 0);
        CHECK_EQ(vm_pager_cache(&f.pager, false), VM_E_ADDRESS);
        tp_free(&f);
        world_end();
    }
}

/* terminate is the last call, also if it comes in the middle of another. */
static void
drop_last(struct tp *t)
{
    t->on_write = NULL;
    vm_object_unref(t->object, NULL);
    t->object = NULL;
}

TEST(terminate_is_the_last_call)
{
    for (unsigned flush = 0; flush < 2; flush++) {
        struct vm_map *m;
        struct tp f;

        boot(1024, 0);
        tp_open(&f, 4, 100);
        m = map_new(0, 0);
        map_object(m, 0, 4, f.object, 0, VM_MAP_SHARED);
        put_range(m, 0, 4, 200);
        world_map_destroy(m);
        f.on_write = drop_last;
        CHECK_EQ(flush != 0 ? vm_pager_flush(&f.pager, 0, 4) :
            vm_pager_clean_request(&f.pager, 0, 4), VM_OK);
        CHECK_EQ(f.terminated, 1);
        CHECK_EQ(f.completed, 1);
        CHECK_EQ(f.late, 0);
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(tp_value(&f, i), 200 + i);
        }
        tp_free(&f);
        world_end();
    }
}

static void
act_dead(struct stage *s)
{
    tp_await(&s->f, 1);
    host_sleep_steps(world_random(40));
    CHECK_EQ(vm_pager_dead(&s->f.pager), VM_OK);
    s->f.queued = 0;
}

TEST(dead_pager)
{
    ROUNDS(30) {
        uint64_t v;

        BEGIN();
        CHECK_EQ(tp_provide(&st.f, 0, 2), VM_OK);
        put_range(st.m, 4, 3, 400);
        put(st.p, 5, 55);
        st.f.hold = true;
        st.f.hold_writes = true;
        st.page = 3;
        stage_run(act_dead, VM_E_PAGER, VM_E_PAGER, 0);
        CHECK_EQ(vm_pager_dead(&st.f.pager), VM_E_ADDRESS);
        CHECK_EQ(tp_provide(&st.f, 3, 1), VM_E_ADDRESS);
        CHECK_EQ(try_get(st.m, 3, &v, false), VM_E_PAGER);
        /* What is here stays here; swap takes what was modified. */
        want_range(st.m, 0, 2, 100);
        want_range(st.m, 4, 3, 400);
        for (unsigned i = 0; i < 20; i++) {
            (void)vm_pageout(vm_page_count, vm_page_count);
            world_serve();
        }
        CHECK(vm_swap_used() >= 4);
        CHECK(frames() <= 2);
        want_range(st.m, 0, 2, 100);
        want_range(st.m, 4, 3, 400);
        CHECK_EQ(get(st.p, 5), 55);
        CHECK_EQ(get(st.p, 4), 400);
        CHECK_EQ(try_get(st.p, 7, &v, true), VM_E_PAGER);
        CHECK_EQ(st.f.writes, 0);
        stage_end();
        CHECK_EQ(st.f.terminated, 0);
    }
}

/* Death with a write outstanding: it never arrived, for all we know. */
TEST(dead_while_writing)
{
    for (unsigned way = 0; way < 2; way++) {
        boot(1024, 64);
        stage_begin();
        put_range(st.m, 0, 4, 200);
        st.f.hold_writes = true;
        for (unsigned i = 0; i < 40 && st.f.writes < 4; i++) {
            (void)vm_pageout(vm_page_count, 4);
        }
        CHECK_EQ(st.f.writes, 4);
        if (way == 1) {
            vm_object_resize(st.f.object, 4);
        }
        CHECK_EQ(vm_pager_dead(&st.f.pager), VM_OK);
        while (st.f.queued > 0) {
            CHECK_EQ(tp_answer(&st.f, 0), VM_E_ADDRESS);
        }
        pageout_all();
        CHECK_EQ(vm_swap_used(), 4);
        want_range(st.m, 0, 4, 200);
        stage_end();
    }
}

/* An orphan's page in swap: an error is told once, the next asks again. */
TEST(orphan_and_a_bad_disk)
{
    struct tp swap;
    uint64_t v;

    boot(1024, 0);
    tp_make(&swap, 64);
    CHECK_EQ(vm_swap_set(&swap.pager, 64), VM_OK);
    stage_begin();
    put_range(st.m, 0, 4, 200);
    CHECK_EQ(vm_pager_dead(&st.f.pager), VM_OK);
    pageout_all();
    CHECK_EQ(frames(), 0);
    swap.fail_reads = 1;
    CHECK_EQ(try_get(st.m, 1, &v, true), VM_E_PAGER);
    want_range(st.m, 0, 4, 200);
    CHECK_EQ(vm_swap_used(), 0);
    stage_end();
    tp_free(&swap);
}

/* An empty file's pager dies too. */
TEST(dead_and_empty)
{
    struct tp f;

    boot(1024, 0);
    tp_open(&f, 4, 100);
    vm_object_resize(f.object, 0);
    CHECK_EQ(vm_pager_dead(&f.pager), VM_OK);
    tp_close(&f);
    CHECK_EQ(f.terminated, 0);
    tp_free(&f);
    world_end();
}
