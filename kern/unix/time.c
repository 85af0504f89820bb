/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time.c - clocks, sleeping, and how much CPU time was used.
 *
 * All clocks are kern_now(), ns since boot, which never steps; REALTIME adds
 * the wall-clock second of the boot.  A thread's CPU time is what the scheduler
 * counts; user and system time are not told apart, all of it is the user's.
 */
#include "proc_impl.h"

#include "mem.h"

#define NS_PER_S        1000000000ull
/* 100 years: later than that is never. */
#define TIME_FOREVER    (3153600000ull * NS_PER_S)
#define TIMER_ABSTIME   1
#define CLK_TCK         100u

enum {
    CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME,
    CLOCK_THREAD_CPUTIME, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
    CLOCK_BOOTTIME_ALARM, CLOCK_TAI = 11
};

uint64_t
time_of_ticks(uint64_t ticks)
{
    return ticks / md_tick_hz * NS_PER_S +
        ticks % md_tick_hz * NS_PER_S / md_tick_hz;
}

static uint64_t
time_epoch(void)
{
    return kern_epoch * NS_PER_S;
}

/* false: there is no such clock. */
static bool
time_clock(int clock, uint64_t *ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        *ns = time_epoch() + kern_now();
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        *ns = kern_now();
        return true;
    case CLOCK_PROCESS_CPUTIME:
        *ns = time_of_ticks(proc_ticks(proc_current()));
        return true;
    case CLOCK_THREAD_CPUTIME:
        *ns = time_of_ticks(proc_thread_ticks(thread_current()));
        return true;
    default:
        return false;
    }
}

int64_t
time_copyin(uint64_t from, uint64_t *ns)
{
    struct unix_timespec ts;
    int64_t error = unix_copyin(&ts, from, sizeof(ts));

    if (error != 0) {
        return error;
    }
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (int64_t)NS_PER_S) {
        return -UNIX_EINVAL;
    }
    *ns = (uint64_t)ts.sec >= TIME_FOREVER / NS_PER_S ? TIME_FOREVER :
        (uint64_t)ts.sec * NS_PER_S + (uint64_t)ts.nsec;
    return 0;
}

static int64_t
time_copyout(uint64_t to, uint64_t ns)
{
    struct unix_timespec ts = {
        (int64_t)(ns / NS_PER_S), (int64_t)(ns % NS_PER_S)
    };

    return unix_copyout(to, &ts, sizeof(ts));
}

uint64_t
time_relative(uint64_t ns)
{
    uint64_t at = kern_now() + (ns < TIME_FOREVER ? ns : TIME_FOREVER);

    return at == 0 ? 1 : at;
}

uint64_t
time_absolute(int clock, uint64_t ns)
{
    uint64_t epoch = clock == CLOCK_REALTIME || clock == CLOCK_TAI ||
        clock == CLOCK_REALTIME_ALARM ? time_epoch() : 0;

    return ns <= epoch ? 1 : ns - epoch;
}

int64_t
sys_clock_gettime(const uint64_t *a)
{
    uint64_t ns;

    if (!time_clock((int)a[0], &ns)) {
        return -UNIX_EINVAL;
    }
    return time_copyout(a[1], ns);
}

int64_t
sys_clock_getres(const uint64_t *a)
{
    uint64_t ns;

    if (!time_clock((int)a[0], &ns)) {
        return -UNIX_EINVAL;
    }
    return a[1] == 0 ? 0 : time_copyout(a[1], 1);
}

int64_t
sys_gettimeofday(const uint64_t *a)
{
    static const int32_t zone[2];
    uint64_t ns = time_epoch() + kern_now();
    uint64_t tv[2] = { ns / NS_PER_S, ns % NS_PER_S / 1000 };
    int64_t error = 0;

    if (a[0] != 0) {
        error = unix_copyout(a[0], tv, sizeof(tv));
    }
    if (error == 0 && a[1] != 0) {
        error = unix_copyout(a[1], zone, sizeof(zone));
    }
    return error;
}

int64_t
sys_time(const uint64_t *a)
{
    uint64_t s = (time_epoch() + kern_now()) / NS_PER_S;

    if (a[0] != 0 && unix_copyout(a[0], &s, sizeof(s)) != 0) {
        return -UNIX_EFAULT;
    }
    return (int64_t)s;
}

/* ---- sleeping --------------------------------------------------------- */

static int64_t
time_sleep(uint64_t deadline, uint64_t remainder)
{
    uint64_t now;

    while ((now = kern_now()) < deadline && !proc_signal_pending()) {
        (void)signal_doze(0, deadline);
    }
    if (now >= deadline) {
        return 0;
    }
    if (remainder != 0 &&
        time_copyout(remainder, deadline > now ? deadline - now : 0) != 0) {
        return -UNIX_EFAULT;
    }
    return -UNIX_EINTR;
}

int64_t
sys_nanosleep(const uint64_t *a)
{
    uint64_t ns;
    int64_t error = time_copyin(a[0], &ns);

    return error != 0 ? error : time_sleep(time_relative(ns), a[1]);
}

int64_t
sys_clock_nanosleep(const uint64_t *a)
{
    int clock = (int)a[0];
    uint64_t ns;
    int64_t error;

    if (clock == CLOCK_THREAD_CPUTIME || !time_clock(clock, &ns)) {
        return -UNIX_EINVAL;
    }
    if (clock == CLOCK_PROCESS_CPUTIME || clock == CLOCK_MONOTONIC_RAW ||
        clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE) {
        return -UNIX_ENOTSUP;
    }
    error = time_copyin(a[2], &ns);
    if (error != 0) {
        return error;
    }
    if ((a[1] & TIMER_ABSTIME) != 0) {
        return time_sleep(time_absolute(clock, ns), 0);
    }
    return time_sleep(time_relative(ns), a[3]);
}

/* ---- CPU time --------------------------------------------------------- */

int64_t
sys_times(const uint64_t *a)
{
    struct proc *p = proc_current();
    uint64_t tms[4] = { 0 };

    if (a[0] != 0) {
        tms[0] = time_of_ticks(proc_ticks(p)) / (NS_PER_S / CLK_TCK);
        vm_mutex_lock(&proc_tree);
        tms[2] = time_of_ticks(p->child_ticks) / (NS_PER_S / CLK_TCK);
        vm_mutex_unlock(&proc_tree);
        if (unix_copyout(a[0], tms, sizeof(tms)) != 0) {
            return -UNIX_EFAULT;
        }
    }
    return (int64_t)(kern_now() / (NS_PER_S / CLK_TCK));
}

int64_t
sys_getrusage(const uint64_t *a)
{
    struct proc *p = proc_current();
    uint64_t ru[18] = { 0 }, ns;

    switch ((int)a[0]) {
    case 0:                             /* RUSAGE_SELF */
        ns = time_of_ticks(proc_ticks(p));
        ru[4] = mem_resident(p->map) >> 10;
        break;
    case 1:                             /* RUSAGE_THREAD */
        ns = time_of_ticks(proc_thread_ticks(thread_current()));
        ru[4] = mem_resident(p->map) >> 10;
        break;
    case -1:                            /* RUSAGE_CHILDREN */
        vm_mutex_lock(&proc_tree);
        ns = time_of_ticks(p->child_ticks);
        vm_mutex_unlock(&proc_tree);
        break;
    default:
        return -UNIX_EINVAL;
    }
    ru[0] = ns / NS_PER_S;
    ru[1] = ns % NS_PER_S / 1000;
    return unix_copyout(a[1], ru, sizeof(ru));
}
