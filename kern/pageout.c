/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.c - the thread that turns the clock (mi/vm_pageout.c).
 *
 *   an allocation finds less than the low mark -> kern_memory_low()
 *     -> the thread goes round until a margin above the mark is free, or
 *        until two rounds have given next to nothing; then it rests, the
 *        longer the more often that happens
 *
 * A page is freed in its second round at the earliest: the first one takes
 * its "used" mark away.
 */
#include "pageout.h"
#include "pmap_ctl.h"
#include "sched.h"
#include "vm_pager.h"

#define SCAN            256u    /* frames looked at before others may run */
#define WORTH           128u    /* a round is, that gains 1 of so many */
#define REST_MIN        UINT64_C(10000000)      /* ns */
#define REST_MAX        UINT64_C(640000000)     /* ns */
#define PATIENCE        UINT64_C(20000000)      /* ns that a waiter waits */

static _Atomic uint32_t wanted; /* 1: memory is low */
static _Atomic uint32_t rounds; /* made; waiters sleep on it */
static uint64_t goal;           /* (c) free frames */

void
kern_memory_low(void)
{
    if (atomic_load_explicit(&wanted, memory_order_relaxed) == 0) {
        atomic_store_explicit(&wanted, 1, memory_order_seq_cst);
        kern_wake(&wanted);
    }
}

/*
 * Until the goal is reached; false: two rounds in a row gained next to
 * nothing.  A page that a program needs to go on comes back at once, so a
 * round may always gain a few, and still be in vain.
 */
static bool
turn(void)
{
    uint64_t looked = 0, gained = 0;
    unsigned vain = 0;

    thread_trim_stacks(0);
    (void)pmap_reap(false);
    while (vm_page_free_count() < goal) {
        gained += vm_pageout(SCAN, SCAN);
        looked += SCAN;
        if (looked >= vm_page_count) {
            vain = gained < vm_page_count / WORTH ? vain + 1 : 0;
            if (vain == 2) {
                return false;
            }
            looked = gained = 0;
        }
        thread_yield();
    }
    return true;
}

static void
pageout(void *arg)
{
    uint64_t rest = REST_MIN;

    (void)arg;
    for (;;) {
        while (atomic_load_explicit(&wanted, memory_order_seq_cst) == 0) {
            (void)kern_wait(&wanted, 0, false);
        }
        rest = turn() ? REST_MIN : rest < REST_MAX ? 2 * rest : rest;
        (void)atomic_fetch_add_explicit(&rounds, 1, memory_order_seq_cst);
        kern_wake(&rounds);
        if (rest != REST_MIN) {
            /* Nothing to gain: do not take the CPU from those who could
               give something back. */
            (void)thread_sleep_until(kern_now() + rest, false);
        }
        atomic_store_explicit(&wanted, 0, memory_order_seq_cst);
    }
}

int
pageout_wait(void)
{
    uint32_t seen = atomic_load_explicit(&rounds, memory_order_seq_cst);

    kern_memory_low();
    return thread_wait(&rounds, seen, true, kern_now() + PATIENCE) ==
        VM_E_INTR ? VM_E_INTR : VM_OK;
}

int
kern_pageout_start(uint64_t low)
{
    struct thread *t;
    int error;

    goal = low + low / 2;
    error = thread_create("pageout", pageout, NULL, &t);
    if (error == VM_OK) {
        thread_start(t);
    }
    return error;
}
