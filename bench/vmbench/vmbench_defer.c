/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_defer.c - what an operation leaves to be done later, seen.
 *
 *   retouch  a fork, and the parent then touches all of its memory again: if
 *            fork took translations away, they are faulted back inside the
 *            measured interval.
 *   drain    operations and all the work they left behind: the interval ends
 *            only when nothing is left to do.
 *
 * How the end is reached: settle() does a fixed amount of work, small memory
 * calls (at which a kernel may free what waits), yields (so that its threads
 * run) and a long spin (so that its timers and grace periods come to pass).
 * The CPU is never idle, so the clock counts work alone.  What settle() costs
 * in a quiet system is measured first and taken off; whatever else happened in
 * it is work of the operations and is counted as theirs.
 */
#include "vmbench.h"

#define SETTLE_CALLS    32
#define SETTLE_SPINS    16
#define SPIN            1000000         /* two instructions each */

static double quiet;                    /* of settle(), nothing being left */

static void
map_touch_unmap(void)
{
    char *p = mmap(NULL, PG, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    touch_w(p, PG);
    munmap(p, PG);
}

static void
settle(void)
{
    for (int i = 0; i < SETTLE_CALLS; i++) {
        map_touch_unmap();
        sched_yield();
    }
    for (int i = 0; i < SETTLE_SPINS; i++) {
        spin2(SPIN);
        sched_yield();
    }
}

/* Time from t until all is done, less what settle() itself takes. */
static double
until_quiet(uint64_t t)
{
    settle();
    return now() - t - quiet;
}

static void
measure_quiet(void)
{
    double v[5], least = 0;

    settle();
    for (int r = 0; r < 5; r++) {
        uint64_t t = now();

        settle();
        v[r] = now() - t;
        sample(v[r]);
        least = r == 0 || v[r] < least ? v[r] : least;
    }
    emit("ns", "drain_settle_quiet");
    quiet = least;
}

static void
drain_munmap(void)
{
    size_t len = 64 * MiB;

    for (int r = 0; r < 3; r++) {
        char *p = anon(len, 0);

        touch_w(p, len);
        settle();
        uint64_t t = now();
        munmap(p, len);
        sample(until_quiet(t) / (double)(len / PG));
    }
    emit("ns/page", "munmap_resident_drained");
}

static void
drain_fork(void)
{
    enum { N = 64 };
    size_t len = 16 * MiB;
    char *p = anon(len, 0);
    double call, total;

    touch_w(p, len);
    for (int r = 0; r < 3; r++) {
        settle();
        uint64_t t = now();
        for (int i = 0; i < N; i++) {
            fork_once(&call, &total);
        }
        sample(until_quiet(t) / N);
    }
    emit("ns", "fork_exit_wait_16M_drained");
    munmap(p, len);
}

static void
drain_exec(void)
{
    enum { N = 16 };

    for (int r = 0; r < 3; r++) {
        settle();
        uint64_t t = now();
        for (int i = 0; i < N; i++) {
            exec_once();
        }
        sample(until_quiet(t) / N);
    }
    emit("ns", "fork_exec_wait_drained");
}

static void
drain_map(void)
{
    enum { N = 4000 };

    for (int r = 0; r < 3; r++) {
        settle();
        uint64_t t = now();
        for (int i = 0; i < N; i++) {
            map_touch_unmap();
        }
        sample(until_quiet(t) / N);
    }
    emit("ns", "mmap_touch_munmap_1p_drained");
}

void
b_drain(void)
{
    long tables;

    measure_quiet();
    tables = field_kib("/proc/meminfo", "PageTables:");
    drain_munmap();
    drain_fork();
    drain_exec();
    drain_map();
    if (tables >= 0) {
        value("KiB", field_kib("/proc/meminfo", "PageTables:") - tables,
            "drain_tables_left");
    }
    flush();
}

void
b_retouch(void)
{
    for (int m = 16; m <= 256; m *= 16) {
        size_t len = m * MiB;
        char *p = anon(len, 0);
        double call, total;

        touch_w(p, len);
        for (int k = 0; k < 2; k++) {
            for (int r = 0; r < reps(6); r++) {
                uint64_t t = now();

                fork_once(&call, &total);
                if (k) {
                    touch_w(p, len);
                } else {
                    touch_r(p, len);
                }
                sample(now() - t);
            }
            emit("ns", k ? "fork_parent_retouch_write_%dM" :
                "fork_parent_retouch_read_%dM", m);
        }
        munmap(p, len);
    }
}
