/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_badptr.c - every system call with every kind of bad pointer and length.
 *
 * The calls that matter most have a table of what they answer, the same on
 * Linux.  All numbers there are, Mach's too, are then made blindly, with bad
 * values in each place: they may answer what they like, but nothing may
 * change that they were not given, and the kernel lives on.  That part would
 * do harm to a real Linux, and is left out there.
 */
#include "uprobe.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#define A       ((long)-777777)         /* the bad pointer's place */
#define CWD     AT_FDCWD
#define PATTERN 0x5a                    /* as a set of signals: no SIGALRM */

/* page -1: a guard, 0: read and write, 1: nothing there, 2: to read only,
 * 3: not even that. */
static char *area;
static int data_fd, dir_fd;

static void
area_init(int flags)
{
    size_t page = page_size();

    area = map_pages(5, RW, flags);
    memset(area, PATTERN, 5 * page);
    area += page;
    UCHECK(munmap(area + page, page) == 0);
    UCHECK(mprotect(area + 2 * page, page, PROT_READ) == 0);
    UCHECK(mprotect(area + 3 * page, page, PROT_NONE) == 0);
}

/* ---- exact errors ----------------------------------------------------- */

enum { IN = 1, OUT = 2, NULL_OK = 4, WORD = 8 };

struct bad_call {
    const char *what;
    int dir;
    long nr, a[6];
};

static long
bad_call(const struct bad_call *c, uintptr_t p)
{
    long a[6];

    for (int i = 0; i < 6; i++) {
        a[i] = c->a[i] == A ? (long)p : c->a[i];
    }
    return syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* EFAULT for each pointer that is none. */
static void
bad_check(const struct bad_call *c)
{
    size_t page = page_size();
    const uintptr_t bad[] = {
        0, (uintptr_t)area + page, (uintptr_t)area + 3 * page,
        (uintptr_t)area + page + 3, 0xffff800000001000, 0xffffffff80000000,
        0xffffffff00001000, 0xffffffc000001000, 0xfffffffe00001000,
        (uintptr_t)1 << 63, (uintptr_t)1 << 62, (uintptr_t)-8,
        (uintptr_t)area + 2 * page
    };
    size_t n = sizeof(bad) / sizeof(bad[0]) - (c->dir & OUT ? 0 : 1);

    for (size_t i = c->dir & NULL_OK ? 1 : 0; i < n; i++) {
        long r;

        if ((c->dir & WORD) != 0 && (bad[i] & 3) != 0) {
            continue;
        }
        errno = 0;
        r = bad_call(c, bad[i]);
        if (r != -1 || errno != EFAULT) {
            printf("# %s: pointer %zu (%lx): %ld\n", c->what, i,
                (unsigned long)bad[i], r);
            UCHECK(!"EFAULT");
        }
    }
    UCHECK(is_filled(area + 2 * page, PATTERN, page));
}

#define CHECK(d, name, ...)                                             \
    bad_check(&(struct bad_call){ #name, d, SYS_##name, { __VA_ARGS__ } })

static void
bad_init(void)
{
    area_init(PRIVATE);
    data_fd = file_of(1);
    dir_fd = open("/", O_RDONLY | O_DIRECTORY);
    UCHECK(dir_fd >= 0);
}

UTEST(efault_files)
{
    struct iovec iov = { area, 8 };

    bad_init();
    CHECK(OUT, read, data_fd, A, 8);
    CHECK(IN, write, data_fd, A, 8);
    CHECK(OUT, pread64, data_fd, A, 8, 0);
    CHECK(IN, pwrite64, data_fd, A, 8, 0);
    CHECK(IN, readv, data_fd, A, 1);
    CHECK(IN, writev, data_fd, A, 1);
    CHECK(IN, openat, CWD, A, O_RDONLY);
    CHECK(IN, newfstatat, CWD, A, (long)area, 0);
    CHECK(OUT, newfstatat, CWD, (long)"/", A, 0);
    CHECK(OUT, fstat, data_fd, A);
    CHECK(OUT, statx, CWD, (long)"/", 0, 0x7ff, A);
    CHECK(IN, faccessat, CWD, A, 0);
    CHECK(OUT, getdents64, dir_fd, A, 512);
    CHECK(OUT, getcwd, A, 64);
    CHECK(IN, chdir, A);
    CHECK(IN, mkdirat, CWD, A, 0700);
    CHECK(IN, unlinkat, CWD, A, 0);
    CHECK(IN, symlinkat, A, CWD, (long)"/u_badptr");
    CHECK(IN, symlinkat, (long)"x", CWD, A);
    CHECK(IN, linkat, CWD, A, CWD, (long)"/u_badptr", 0);
    CHECK(IN, renameat2, CWD, A, CWD, (long)"/u_badptr", 0);
    CHECK(IN, readlinkat, CWD, A, (long)area, 8);
    CHECK(OUT, readlinkat, CWD, (long)"/proc/self/exe", A, 64);
    CHECK(IN, truncate, A, 0);
    CHECK(OUT, pipe2, A, 0);
    CHECK(IN, memfd_create, A, 0);
    CHECK(OUT, statfs, (long)"/", A);
    CHECK(OUT, fstatfs, data_fd, A);
    CHECK(IN, execve, A, 0, 0);
    CHECK(IN | NULL_OK, execve, (long)"/proc/self/exe", A, 0);
    iov.iov_base = area + page_size();
    UERRNO(syscall(SYS_readv, data_fd, &iov, 1), EFAULT);
    UERRNO(syscall(SYS_writev, data_fd, &iov, 1), EFAULT);
}

UTEST(efault_processes)
{
    bad_init();
    CHECK(OUT, uname, A);
    CHECK(OUT, sysinfo, A);
    CHECK(OUT, getrusage, 0, A);
    CHECK(OUT | NULL_OK, times, A);
    CHECK(OUT, getrandom, A, 16, 0);
    CHECK(OUT, sched_getaffinity, 0, 128, A);
    CHECK(IN | NULL_OK, prlimit64, 0, RLIMIT_CORE, A, 0);
    CHECK(OUT | NULL_OK, prlimit64, 0, RLIMIT_CORE, 0, A);
    CHECK(IN, prctl, 15, A);
    CHECK(OUT, prctl, 16, A);
    CHECK(OUT, getresuid, A, (long)area, (long)area);
    CHECK(OUT, getresuid, (long)area, (long)area, A);
    CHECK(OUT | NULL_OK, getcpu, A, 0, 0);
    CHECK(OUT, clock_gettime, CLOCK_MONOTONIC, A);
    CHECK(OUT | NULL_OK, clock_getres, CLOCK_MONOTONIC, A);
    CHECK(OUT | NULL_OK, gettimeofday, A, 0);
    CHECK(IN, nanosleep, A, 0);
    CHECK(IN, clock_nanosleep, CLOCK_MONOTONIC, 0, A, 0);
    CHECK(IN | NULL_OK, setitimer, ITIMER_REAL, A, 0);
    CHECK(OUT, getitimer, ITIMER_REAL, A);
    CHECK(IN, clone3, A, 88);
    CHECK(IN, sethostname, A, 4);
}

UTEST(efault_signals)
{
    bad_init();
    CHECK(IN | NULL_OK, rt_sigaction, SIGUSR1, A, 0, 8);
    CHECK(OUT | NULL_OK, rt_sigaction, SIGUSR1, 0, A, 8);
    CHECK(IN | NULL_OK, rt_sigprocmask, SIG_BLOCK, A, 0, 8);
    CHECK(OUT | NULL_OK, rt_sigprocmask, SIG_BLOCK, 0, A, 8);
    CHECK(OUT, rt_sigpending, A, 8);
    CHECK(IN, rt_sigtimedwait, A, 0, 0, 8);
    CHECK(IN, rt_sigsuspend, A, 8);
    CHECK(IN | NULL_OK, sigaltstack, A, 0);
    CHECK(OUT | NULL_OK, sigaltstack, 0, A);
    CHECK(IN, ppoll, A, 1, 0, 0, 8);
    CHECK(IN | NULL_OK, ppoll, 0, 0, A, 0, 8);
    CHECK(IN | NULL_OK, pselect6, 8, A, 0, 0, 0, 0);
    CHECK(IN | NULL_OK, pselect6, 0, 0, 0, 0, A, 0);
    CHECK(IN | WORD, futex, A, 0, 0, 0, 0, 0);
    UERRNO(syscall(SYS_futex, area + 1, 0, 0, 0, 0, 0), EINVAL);
    UERRNO(syscall(SYS_rt_sigaction, SIGUSR1, 0, 0, 7), EINVAL);
    UERRNO(syscall(SYS_rt_sigaction, 0, 0, 0, 8), EINVAL);
    UERRNO(syscall(SYS_rt_sigaction, 65, 0, 0, 8), EINVAL);
    UERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, area, 0, 4), EINVAL);
    UERRNO(syscall(SYS_rt_sigprocmask, 77, area, 0, 8), EINVAL);
}

/* A child is not lost when its status cannot be told. */
UTEST(efault_wait)
{
    int status;
    pid_t pid;

    bad_init();
    UERRNO(syscall(SYS_wait4, -1, area + page_size(), 0, 0), ECHILD);
    pid = fork();
    if (pid == 0) {
        _exit(3);
    }
    UERRNO(syscall(SYS_wait4, pid, area + page_size(), 0, 0), EFAULT);
    UERRNO(waitpid(pid, &status, 0), ECHILD);
}

UTEST(lengths)
{
    struct iovec iov[2] = { { area, 8 }, { area, SIZE_MAX } };
    static struct iovec many[1025];

    bad_init();
    iov[0].iov_base = iov[1].iov_base = area;
    UCHECK(read(data_fd, area + page_size(), 0) == 0);
    UCHECK(write(data_fd, area + page_size(), 0) == 0);
    UERRNO(syscall(SYS_readv, data_fd, iov, 2), EINVAL);
    UERRNO(syscall(SYS_writev, data_fd, iov, -1), EINVAL);
    UERRNO(syscall(SYS_writev, data_fd, many, 1025), EINVAL);
    UCHECK(syscall(SYS_writev, data_fd, many, 1024) == 0);
    UCHECK(syscall(SYS_readv, data_fd, area + page_size(), 0) == 0);
    UERRNO(pread(data_fd, area, 1, -1), EINVAL);
    UERRNO(pwrite(data_fd, area, 1, -1), EINVAL);
    UERRNO(syscall(SYS_getdents64, dir_fd, area, 1), EINVAL);
    UERRNO(syscall(SYS_getcwd, area, 1), ERANGE);
    UERRNO(syscall(SYS_readlinkat, CWD, "/proc/self/exe", area, 0), EINVAL);
    UERRNO(syscall(SYS_readlinkat, CWD, "/proc/self/exe", area, -1), EINVAL);
    UERRNO(syscall(SYS_sched_getaffinity, 0, 1, area), EINVAL);
    UERRNO(syscall(SYS_clone3, area, 8), EINVAL);
    UERRNO(syscall(SYS_set_robust_list, area, 8), EINVAL);
    UERRNO(syscall(SYS_sethostname, area, -1), EINVAL);
    UERRNO(syscall(SYS_ppoll, area, (unsigned)INT32_MAX, area, 0, 8),
        EINVAL);
    UERRNO(syscall(SYS_pselect6, -1, 0, 0, 0, 0, 0), EINVAL);
    UERRNO(syscall(SYS_getrandom, area, 8, 0x100), EINVAL);
    UERRNO(lseek(data_fd, -1, SEEK_SET), EINVAL);
    UERRNO(lseek(data_fd, 0, 99), EINVAL);
    UERRNO(ftruncate(data_fd, -1), EINVAL);
    UERRNO(openat(CWD, "", O_RDONLY), ENOENT);
    /* What fits is moved, the rest is not there. */
    UCHECK(ftruncate(data_fd, 64) == 0);
    UCHECK(pread(data_fd, area, 1 << 30, 0) == 64);
    UERRNO(syscall(SYS_read, 999, area, 8), EBADF);
    UERRNO(syscall(SYS_read, -1, area + page_size(), 8), EBADF);
}

/* A path that ends where memory does, and one that does not end. */
UTEST(paths_at_the_edge)
{
    size_t page = page_size();
    char *end;

    bad_init();
    end = area + page;
    memcpy(end - 2, "/", 2);
    UCHECK(openat(CWD, end - 2, O_RDONLY) >= 0);
    end[-1] = 'x';
    UERRNO(openat(CWD, end - 2, O_RDONLY), EFAULT);
    memset(area, 'x', page);
    UERRNO(openat(CWD, area, O_RDONLY), ENAMETOOLONG);
    UERRNO(openat(CWD, end - 100, O_RDONLY), EFAULT);
    memset(area, '/', page);
    area[page - 1] = 0;
    UCHECK(openat(CWD, area + page - 512, O_RDONLY) >= 0);
}

/* ---- exact sizes ------------------------------------------------------ */

/* size bytes at the end of memory are enough, and no others are written. */
static void
fit_check(const struct bad_call *c, size_t size)
{
    char *at = area + page_size() - size;
    long r;

    memset(area, PATTERN, page_size());
    r = bad_call(c, (uintptr_t)at);
    if (r < 0) {
        printf("# %s in %zu bytes\n", c->what, size);
        UCHECK(!"fits");
    }
    UCHECK(is_filled(area, PATTERN, page_size() - size));
    /* One byte less is too few. */
    UERRNO(bad_call(c, (uintptr_t)at + 1), EFAULT);
    UCHECK(is_filled(area - page_size(), PATTERN, page_size()));
}

#define FIT(size, name, ...)                                            \
    fit_check(&(struct bad_call){ #name, OUT, SYS_##name,               \
        { __VA_ARGS__ } }, size)

UTEST(results_fit)
{
    static int other;

    bad_init();
    FIT(sizeof(struct stat), fstat, data_fd, A);
    FIT(sizeof(struct stat), newfstatat, CWD, (long)"/", A, 0);
    FIT(256, statx, CWD, (long)"/", 0, 0x7ff, A);
    FIT(sizeof(struct statfs), fstatfs, data_fd, A);
    FIT(sizeof(struct utsname), uname, A);
    FIT(sizeof(struct sysinfo), sysinfo, A);
    FIT(sizeof(struct rusage), getrusage, 0, A);
    FIT(sizeof(struct tms), times, A);
    FIT(16, clock_gettime, CLOCK_MONOTONIC, A);
    FIT(16, clock_getres, CLOCK_MONOTONIC, A);
    FIT(16, gettimeofday, A, 0);
    FIT(8, gettimeofday, 0, A);
    FIT(32, getitimer, ITIMER_REAL, A);
    FIT(16, prlimit64, 0, RLIMIT_NOFILE, 0, A);
    FIT(8, pipe2, A, 0);
    FIT(8, rt_sigpending, A, 8);
    FIT(8, rt_sigprocmask, SIG_BLOCK, 0, A, 8);
    FIT(24, sigaltstack, 0, A);
    FIT(4, getresuid, (long)&other, (long)&other, A);
    FIT(16, prctl, 16, A);
    FIT(4, getcpu, A, 0, 0);
}

/* ---- all calls, blindly ------------------------------------------------ */

struct blind {
    int number, index;          /* under way; index -1: done */
    long args[6];
};

/* Calls that nobody may make here, and why. */
static const struct {
    int number;
    const char *why;
} blind_skip[] = {
    { SYS_kill, "ends other processes" },
    { SYS_tkill, "ends other processes" },
    { SYS_tgkill, "ends other processes" },
    { SYS_rt_sigqueueinfo, "ends other processes" },
    { SYS_reboot, "ends the machine" },
};

/* Calls that may well end the process that makes them. */
static const int blind_deadly[] = {
    SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_mmap, SYS_munmap,
    SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_clone, SYS_clone3,
    SYS_set_tid_address, SYS_execve, SYS_execveat,
    SYS_rt_sigaction, SYS_setitimer,
#ifdef SYS_fork
    SYS_fork, SYS_vfork, SYS_alarm,
#endif
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
    0x4d00, 0x4d01, 0x4d02, 0x4d03, 0x4d04, 0x4d05, 0x4d06, 0x4d07, 0x4d0b,
};

#define BLIND_VALUES    17
#define BLIND_OTHERS    5
#define BLIND_COUNT     (6 * BLIND_VALUES * BLIND_OTHERS)

static long
blind_value(int i)
{
    const long page = (long)page_size(), at = (long)area;
    const long values[BLIND_VALUES] = {
        0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, -page, at + 1,
        at + page - 4, at + page, at + 2 * page, at + 3 * page,
        (long)0xffff800000001000, (long)0xffffffff80001000,
        (long)0xfffffffe00001000, INT64_MIN, 1l << 47
    };

    return values[i];
}

/* The other arguments: something that goes far enough in some call. */
static long
blind_other(int i, int position)
{
    const long at = (long)area, page = (long)page_size();
    const long others[BLIND_OTHERS][6] = {
        { 0, 0, 0, 0, 0, 0 },
        { at, at, at, at, at, at },
        { 3, at, 8, 0, 0, 0 },
        { CWD, at, at, 0, at, 8 },
        { at, page, 1, 2, 3, 0 },
    };

    return others[i][position];
}

static void
blind_tick(int sig)
{
    (void)sig;
}

/* All combinations from index on; in a child that may end at any of them. */
static void
blind_child(int number, int index, volatile struct blind *b)
{
    struct itimerval tick = { { 0, 1000 }, { 0, 1000 } };
    struct sigaction sa = { .sa_handler = blind_tick };
    pid_t self = (pid_t)syscall(SYS_getpid);
    int null = open("/dev/null", O_RDWR), missing = 0;

    setsid();
    for (int i = 0; i < 3; i++) {
        dup2(null, i);
    }
    dup2(data_fd, 3);
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    b->number = number;
    for (; index < BLIND_COUNT && missing < 2; index++) {
        int position = index / (BLIND_VALUES * BLIND_OTHERS);
        long a[6], r;

        for (int i = 0; i < 6; i++) {
            a[i] = b->args[i] = i == position ?
                blind_value(index / BLIND_OTHERS % BLIND_VALUES) :
                blind_other(index % BLIND_OTHERS, i);
        }
        b->index = index;
        r = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        missing = r == -1 && errno == ENOSYS ? missing + 1 : 0;
        if ((pid_t)syscall(SYS_getpid) != self) {
            syscall(SYS_exit_group, 0);
        }
    }
    b->index = -1;
    syscall(0x4d00 + 12, 0, 0, 0, 0, 0, 0);
    syscall(SYS_exit_group, 0);
}

static int
blind_is_deadly(int number)
{
    for (size_t i = 0; i < sizeof(blind_deadly) / sizeof(int); i++) {
        if (blind_deadly[i] == number) {
            return 1;
        }
    }
    return 0;
}

static void
blind_number(int number, volatile struct blind *b)
{
    int deadly = blind_is_deadly(number), index = 0, status;

    for (int tries = 0; tries < 100 && index < BLIND_COUNT; tries++) {
        pid_t pid = fork();

        if (pid == 0) {
            blind_child(number, index, b);
        }
        UCHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        if (b->index < 0) {
            UCHECK(status == 0);
            break;
        }
        if (!deadly) {
            printf("# call %d (%lx, %lx, %lx, %lx, %lx, %lx): status %x\n",
                number, b->args[0], b->args[1], b->args[2], b->args[3],
                b->args[4], b->args[5], status);
            UCHECK(!"the process lives on");
        }
        index = b->index + 1;
    }
    /* What is not to be written to stays; the guard was never named. */
    UCHECK(is_filled(area + 2 * page_size(), PATTERN, page_size()));
    UCHECK(is_filled(area - page_size(), PATTERN, page_size()));
    memset(area, 0, page_size());
    area[0] = 'q';
}

static void
blind_range(int from, int to)
{
    volatile struct blind *b;
    int skip;

    if (!is_palimpsest()) {
        USKIP("it would do harm to a Linux");
    }
    bad_init();
    munmap(area - page_size(), 2 * page_size());
    munmap(area + 2 * page_size(), 2 * page_size());
    area_init(SHARED);
    memset(area, 0, page_size());
    area[0] = 'q';
    b = (volatile struct blind *)map_pages(1, RW, SHARED);
    UCHECK(mkdir("/badptr", 0700) == 0 || errno == EEXIST);
    UCHECK(chdir("/badptr") == 0);
    for (int number = from; number < to; number++) {
        skip = 0;
        for (size_t i = 0; i < sizeof(blind_skip) / sizeof(blind_skip[0]);
            i++) {
            if (blind_skip[i].number == number) {
                printf("# call %d left out: %s\n", number,
                    blind_skip[i].why);
                skip = 1;
            }
        }
        if (!skip) {
            blind_number(number, b);
        }
    }
}

UTEST(blind_0)
{
    blind_range(0, 120);
}

UTEST(blind_120)
{
    blind_range(120, 240);
}

UTEST(blind_240)
{
    blind_range(240, 480);
}

UTEST(blind_odd_numbers)
{
    if (!is_palimpsest()) {
        USKIP("it would do harm to a Linux");
    }
    for (long i = 1; i < 63; i++) {
        UERRNO(syscall((1l << i) + 600, 0, 0, 0, 0, 0, 0), ENOSYS);
        UERRNO(syscall(-(1l << i), 0, 0, 0, 0, 0, 0), ENOSYS);
    }
}

UTEST(blind_mach)
{
    blind_range(0x4d00 - 1, 0x4d00 + 17);
}
