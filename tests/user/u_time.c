/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_time.c - clocks, sleeping, and the small calls about the system.
 */
#include "utest.h"

#include <sched.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>

static int64_t
ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t
now(clockid_t clock)
{
    struct timespec t;

    UCHECK(clock_gettime(clock, &t) == 0);
    UCHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return ns_of(t);
}

static void
spin(int64_t ns)
{
    int64_t end = now(CLOCK_MONOTONIC) + ns;

    while (now(CLOCK_MONOTONIC) < end) {
        continue;
    }
}

UTEST(clocks_go_forward)
{
    static const clockid_t clocks[] = {
        CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
        CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID,
        CLOCK_THREAD_CPUTIME_ID
    };

    for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        int64_t before = now(clocks[i]), at = before;

        for (int k = 0; k < 1000; k++) {
            int64_t t = now(clocks[i]);

            UCHECK(t >= at);
            at = t;
        }
        spin(2000000);
        UCHECK(now(clocks[i]) > before);
    }
}

UTEST(clock_errors)
{
    struct timespec t = { 0, 0 };

    UERRNO(clock_gettime(1234, &t), EINVAL);
    UERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);
    UERRNO(clock_getres(1234, &t), EINVAL);
    UCHECK(clock_getres(CLOCK_MONOTONIC, &t) == 0 && ns_of(t) > 0);
    UCHECK(clock_getres(CLOCK_MONOTONIC, NULL) == 0);
}

UTEST(wall_clock_agrees)
{
    struct timeval tv;
    int64_t real = now(CLOCK_REALTIME);

    UCHECK(syscall(SYS_gettimeofday, &tv, NULL) == 0);
    UCHECK(tv.tv_sec - real / 1000000000 <= 1);
    UCHECK(time(NULL) - real / 1000000000 <= 1);
    UCHECK(real / 1000000000 > 1600000000);
}

UTEST(nanosleep_sleeps)
{
    struct timespec t = { 0, 30000000 }, left = { 7, 7 };
    int64_t before = now(CLOCK_MONOTONIC), took;

    UCHECK(nanosleep(&t, &left) == 0);
    took = now(CLOCK_MONOTONIC) - before;
    UCHECK(took >= 30000000 && took < 5000000000);
    t.tv_nsec = 1000000000;
    UERRNO(nanosleep(&t, NULL), EINVAL);
    t.tv_nsec = 0;
    t.tv_sec = -1;
    UERRNO(nanosleep(&t, NULL), EINVAL);
    UERRNO(syscall(SYS_nanosleep, 8, NULL), EFAULT);
    UCHECK(nanosleep(&(struct timespec){ 0, 0 }, NULL) == 0);
}

static void
on_signal(int signo)
{
    (void)signo;
}

UTEST(nanosleep_tells_the_rest)
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct timespec t = { 10, 0 }, left = { 0, 0 };
    struct itimerval it = { { 0, 0 }, { 0, 20000 } };

    sigaction(SIGALRM, &sa, NULL);
    UCHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    UERRNO(nanosleep(&t, &left), EINTR);
    UCHECK(ns_of(left) > 5000000000 && ns_of(left) < 9990000000);
}

UTEST(sleep_until)
{
    struct timespec t;
    int64_t at = now(CLOCK_MONOTONIC) + 20000000;

    t.tv_sec = at / 1000000000;
    t.tv_nsec = at % 1000000000;
    UCHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    UCHECK(now(CLOCK_MONOTONIC) >= at);
    UCHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    at = now(CLOCK_REALTIME) + 20000000;
    t.tv_sec = at / 1000000000;
    t.tv_nsec = at % 1000000000;
    UCHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0);
    UCHECK(now(CLOCK_REALTIME) >= at);
    UCHECK(clock_nanosleep(1234, 0, &t, NULL) == EINVAL);
}

UTEST(sleeping_takes_no_cpu)
{
    int64_t before = now(CLOCK_PROCESS_CPUTIME_ID);

    usleep(50000);
    UCHECK(now(CLOCK_PROCESS_CPUTIME_ID) - before < 30000000);
    spin(20000000);
    UCHECK(now(CLOCK_PROCESS_CPUTIME_ID) > before);
}

UTEST(times_counts)
{
    struct tms t;
    clock_t a = times(&t);

    UCHECK(a != (clock_t)-1);
    usleep(30000);
    UCHECK(times(&t) > a);
    UCHECK(sysconf(_SC_CLK_TCK) == 100);
}

UTEST(uname_fills_in)
{
    struct utsname u;

    UCHECK(uname(&u) == 0);
    UCHECK(strcmp(u.sysname, "Linux") == 0);
#ifdef __x86_64__
    UCHECK(strcmp(u.machine, "x86_64") == 0);
#elif defined(__aarch64__)
    UCHECK(strcmp(u.machine, "aarch64") == 0);
#else
    UCHECK(strcmp(u.machine, "riscv64") == 0);
#endif
    UCHECK(u.release[0] >= '3' && u.release[0] <= '9');
    UERRNO(syscall(SYS_uname, 8), EFAULT);
}

UTEST(sysinfo_fills_in)
{
    struct sysinfo si;

    UCHECK(sysinfo(&si) == 0);
    UCHECK(si.totalram > si.freeram && si.freeram > 0);
    UCHECK(si.mem_unit > 0 && si.procs > 0);
    UERRNO(syscall(SYS_sysinfo, 8), EFAULT);
}

UTEST(getrandom_gives)
{
    unsigned char a[300], b[300];
    int same = 0;

    UCHECK(getrandom(a, sizeof(a), 0) == sizeof(a));
    UCHECK(getrandom(b, sizeof(b), GRND_NONBLOCK) == sizeof(b));
    for (unsigned i = 0; i < sizeof(a); i++) {
        same += a[i] == b[i];
    }
    UCHECK(same < 30);
    UCHECK(getrandom(a, 0, 0) == 0);
    UERRNO(getrandom(a, 1, 0x1000), EINVAL);
    UERRNO(syscall(SYS_getrandom, 8, 16, 0), EFAULT);
}

UTEST(one_cpu_at_least)
{
    cpu_set_t set;
    unsigned cpu = 99;

    UCHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    UCHECK(CPU_COUNT(&set) >= 1);
    UCHECK(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 && cpu < 1024);
    UCHECK(sched_yield() == 0);
    UERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
    UERRNO(syscall(SYS_sched_getaffinity, 999999, sizeof(set), &set),
        ESRCH);
}
