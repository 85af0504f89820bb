/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idle.c - a program that has slept for a while gives its page tables back.
 *
 *            a round              a round: vm_map_doze()
 *   RUNS -------------> STILL -------------------------> DOZES
 *     ^                   |                                |
 *     '-------------------+--------------------------------'
 *       a CPU loads its space: kern_idle_over(), vm_map_wake()
 *
 * The word is vm_map.rest.  Loading a space is the only moment at which a
 * program that slept can begin to run, if no CPU keeps its space loaded from
 * before: so a round begins with leaving whatever space this CPU has, which
 * the scheduler loads again for whoever runs next.  Who is ready and has
 * only not had its turn does not sleep.
 *
 * Rounds are made every "idle=" milliseconds; none is needed, and no timer is
 * set, when all programs doze.
 *
 * Locks: turn (CONTROL) over a round; the map's inside vm_map_doze()
 */
#include "idle.h"

#include "pmap_ctl.h"
#include "sched.h"

#define MS              UINT64_C(1000000)       /* ns */
#define ROUND_REAP      64u     /* tables of so many go back at once */

enum { REST_RUNS, REST_STILL, REST_DOZES };

static struct vm_mutex turn = VM_MUTEX_INIT(KERN_RANK_CONTROL);
static uint64_t period;                 /* (c) ns */
static bool over;                       /* (turn) no rounds any more */
static _Atomic uint32_t resting;        /* 1: no round until somebody runs */

static void
rest_from(struct vm_map *map, uint32_t from, uint32_t to)
{
    (void)atomic_compare_exchange_strong_explicit(&map->rest, &from, to,
        memory_order_seq_cst, memory_order_relaxed);
}

/* ---- what the scheduler tells ----------------------------------------- */

void
kern_idle_over(struct thread *t)
{
    if (atomic_exchange_explicit(&t->map->rest, REST_RUNS,
            memory_order_seq_cst) != REST_DOZES) {
        return;
    }
    (void)atomic_fetch_or_explicit(&t->head.work, WORK_WAKE,
        memory_order_relaxed);
    if (atomic_load_explicit(&resting, memory_order_seq_cst) != 0) {
        vm_set(&resting, 0);
        kern_wake(&resting);
    }
}

int
kern_idle_doze(struct vm_map *map)
{
    uint32_t was = atomic_exchange_explicit(&map->rest, REST_DOZES,
        memory_order_seq_cst);
    int error = vm_map_doze(map);

    if (error != VM_OK) {
        rest_from(map, REST_DOZES, was);
    }
    return error;
}

/* ---- rounds ----------------------------------------------------------- */

/* From here on, whoever runs passes sched_space(). */
static void
leave_space(void)
{
    bool enabled = md_irq_save();
    struct sched_cpu *c = sched_this();

    if (c->space != pmap_kernel()) {
        if (pmap_activate(pmap_kernel()) != VM_OK) {
            kern_panic("no way into the kernel's own space");
        }
        c->space = pmap_kernel();
    }
    sched_lock(&c->lock);
    for (struct thread *t = c->head; t != NULL; t = t->next) {
        if (t->map != NULL) {
            rest_from(t->map, REST_STILL, REST_RUNS);
        }
    }
    sched_unlock(&c->lock);
    sched_irq_restore(enabled);
}

/* Is another CPU in it?  Then it does not rest, whatever its word says. */
static bool
is_loaded(const struct vm_map *map)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        if (sched_cpus[i].space == map->pmap) {
            return true;
        }
    }
    return false;
}

/* False: nothing is left to do until somebody runs. */
static bool
make_round(void)
{
    bool more = false, any = false;
    unsigned dozed = 0;

    leave_space();
    for (struct vm_map *map = vm_map_next(NULL); map != NULL;
        map = vm_map_next(map)) {
        uint32_t rest = vm_get(&map->rest);

        any = true;
        if (rest == REST_RUNS) {
            rest_from(map, REST_RUNS, REST_STILL);
            more = true;
        } else if (rest == REST_STILL && !is_loaded(map) &&
            kern_idle_doze(map) == VM_OK) {
            if (++dozed % ROUND_REAP == 0) {
                (void)pmap_reap(false);
            }
        } else if (rest != REST_DOZES) {
            more = true;
        }
    }
    if (dozed != 0) {
        (void)pmap_reap(true);
    }
    return more || !any;
}

static void
idle_thread(void *arg)
{
    (void)arg;
    for (;;) {
        (void)thread_sleep_until(kern_now() + period, false);
        vm_mutex_lock(&turn);
        /* Before the round: who runs again meanwhile is not missed. */
        atomic_store_explicit(&resting, 1, memory_order_seq_cst);
        if (!over && make_round()) {
            vm_set(&resting, 0);
        }
        vm_mutex_unlock(&turn);
        while (vm_get(&resting) != 0) {
            (void)kern_wait(&resting, 1, false);
        }
    }
}

int
kern_idle_start(uint64_t ms)
{
    struct thread *t;
    int error;

    period = ms * MS;
    error = thread_create("idle tables", idle_thread, NULL, &t);
    if (error == VM_OK) {
        thread_start(t);
    }
    return error;
}

void
kern_idle_end(void)
{
    vm_mutex_lock(&turn);
    over = true;
    vm_mutex_unlock(&turn);
}
