/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_fuzz.c - random system calls.
 *
 *   u_fuzz [--seed N] [--calls N] [--long]
 *
 * Batches of children make calls with arguments out of pools: addresses that
 * are mapped, nearly mapped, or never; descriptors; sizes; flags.  A child may
 * end as it likes.  After each batch the parent's own memory, private and
 * shared read-only, is as it was, the memory of the children has come back,
 * and vm_check() finds the maps in order.  On a real Linux nothing is done:
 * these calls are made as root.
 *
 * pal: timeout=120 long-timeout=900
 */
#define main utest_main
#include "uprobe.h"
#undef main

#include "mach_vm.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/time.h>

#define BATCHES     20
#define SLOTS       8
#define POOL_FDS    12

struct fuzz {
    uint64_t seed, random;
    long calls;                 /* of one child */
    unsigned batch;
};

static struct fuzz fuzz;
static volatile long *fuzz_last;        /* the last call, and its number */
static char *fuzz_slot[SLOTS];  /* of the child: where it maps things */
static int fuzz_pid;

static uint64_t
fuzz_next(void)
{
    fuzz.random ^= fuzz.random << 13;
    fuzz.random ^= fuzz.random >> 7;
    fuzz.random ^= fuzz.random << 17;
    return fuzz.random;
}

static unsigned
fuzz_below(unsigned n)
{
    return (unsigned)((fuzz_next() >> 20) % n);
}

/* ---- arguments -------------------------------------------------------- */

static long
fuzz_address(void)
{
    static const uint64_t wild[] = {
        0, 1, 0xffff800000001000, 0xffffffff80000000, 0xfffffffe00001000,
        1ull << 63, 1ull << 47, 0x7ffffffff000, UINT64_MAX, 65536
    };
    size_t page = page_size();
    long slot = (long)fuzz_slot[fuzz_below(SLOTS)];

    switch (fuzz_below(8)) {
    case 0:
        return (long)wild[fuzz_below(sizeof(wild) / sizeof(wild[0]))];
    case 1:
        return slot + (long)fuzz_below((unsigned)(16 * page));
    case 2:
        return slot + (long)(page * fuzz_below(16) + page - 8);
    default:
        return slot + (long)(page * fuzz_below(16));
    }
}

static long
fuzz_size(void)
{
    static const uint64_t odd[] = {
        0, 1, 7, 8, INT32_MAX, 1ull << 32, 1ull << 40, INT64_MAX,
        UINT64_MAX, UINT64_MAX - 4095
    };

    switch (fuzz_below(6)) {
    case 0:
        return (long)odd[fuzz_below(sizeof(odd) / sizeof(odd[0]))];
    case 1:
        return (long)fuzz_below(100);
    default:
        return (long)((1 + fuzz_below(8)) * page_size());
    }
}

static long
fuzz_fd(void)
{
    return fuzz_below(10) == 0 ? (long)fuzz_below(2000) - 1000 :
        3 + (long)fuzz_below(POOL_FDS);
}

/*
 * A letter an argument: a address, s size, f descriptor, p protection, P path,
 * Q one of those that may go, i small number, b bits, m flags of mmap,
 * n signal, N harmless signal, c child, z 0, w flags that do not wait, t place
 * of a timespec, - anything.
 */
static long
fuzz_argument(char kind)
{
    static const char *const paths[] = {
        "/fuzz/a", "/fuzz/b", "/fuzz/a/c", "c", ".", "", "..", "/",
        "/proc/self/maps", "/proc/self/exe", "/dev/null", "/dev/zero",
        "/proc/self/fd/4", "/nowhere/x", "/proc/self/status"
    };
    static const int maps[] = {
        MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS,
        MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
    };
    static const int quiet[] = { 0, SIGURG, SIGALRM, SIGCHLD };
    static struct timespec nap = { 0, 1000 };

    switch (kind) {
    case 'a':
        return fuzz_address();
    case 's':
        return fuzz_size();
    case 'f':
        return fuzz_fd();
    case 'p':
        return fuzz_below(20) == 0 ? (long)fuzz_next() :
            (long)fuzz_below(8);
    case 'Q':
        return (long)paths[fuzz_below(6)];
    case 'P':
        return fuzz_below(10) == 0 ? fuzz_address() : (long)paths[
            fuzz_below(sizeof(paths) / sizeof(paths[0]))];
    case 'i':
        return (long)fuzz_below(12) - 1;
    case 'b':
        return 1l << fuzz_below(24);
    case 'm':
        return maps[fuzz_below(5)] | (fuzz_below(2) ? MAP_FIXED : 0);
    case 'n':
        return 32 + (long)fuzz_below(33);
    case 'N':
        return fuzz_below(50) == 0 ? 40 : quiet[fuzz_below(4)];
    case 'c':
        return fuzz_below(3) ? fuzz_pid : 0;
    case 'w':
        return 1;
    case 't':
        return (long)&nap;
    case 'z':
        return 0;
    default:
        return (long)(fuzz_next() >> fuzz_below(64));
    }
}

/* ---- calls ------------------------------------------------------------ */

static const struct {
    long number;
    const char *args;
    unsigned weight;
} fuzz_calls[] = {
    { SYS_mmap, "aspmfz", 12 }, { SYS_munmap, "as", 6 },
    { SYS_mprotect, "asp", 8 }, { SYS_mremap, "assiaz", 8 },
    { SYS_madvise, "asi", 8 }, { SYS_mincore, "asa", 2 },
    { SYS_msync, "asi", 2 }, { SYS_mlock, "as", 3 },
    { SYS_munlock, "as", 3 }, { SYS_mlockall, "i", 1 },
    { SYS_munlockall, "", 1 }, { SYS_brk, "a", 1 },
    { SYS_mlock2, "asi", 1 }, { SYS_memfd_create, "Pi", 2 },
    { SYS_read, "fas", 4 }, { SYS_write, "fas", 4 },
    { SYS_pread64, "fass", 4 }, { SYS_pwrite64, "fass", 4 },
    { SYS_readv, "fai", 2 }, { SYS_writev, "fai", 2 },
    { SYS_openat, "zPbi", 4 }, { SYS_openat, "fPbi", 2 },
    { SYS_close, "f", 2 }, { SYS_dup, "f", 1 }, { SYS_dup3, "ffz", 2 },
    { SYS_lseek, "fsi", 3 }, { SYS_ftruncate, "fs", 4 },
    { SYS_truncate, "Qs", 1 }, { SYS_fallocate, "fiss", 2 },
    { SYS_fstat, "fa", 1 }, { SYS_newfstatat, "fPai", 2 },
    { SYS_statx, "fPi-a", 1 }, { SYS_getdents64, "fas", 2 },
    { SYS_getcwd, "as", 1 }, { SYS_chdir, "Q", 1 },
    { SYS_mkdirat, "fQi", 2 }, { SYS_unlinkat, "fQz", 2 },
    { SYS_unlinkat, "zQi", 2 }, { SYS_symlinkat, "PfQ", 1 },
    { SYS_linkat, "fPfQz", 2 }, { SYS_renameat2, "fQfQi", 2 },
    { SYS_readlinkat, "fPas", 1 }, { SYS_fcntl, "fi-", 3 },
    { SYS_ioctl, "f-a", 1 }, { SYS_pipe2, "ai", 2 },
    { SYS_sendfile, "ffas", 2 }, { SYS_copy_file_range, "fafasz", 2 },
    { SYS_fsync, "f", 1 }, { SYS_utimensat, "fPai", 1 },
    { SYS_fchmod, "fi", 1 }, { SYS_faccessat, "fPi", 1 },
    { SYS_ppoll, "aitaz", 1 }, { SYS_pselect6, "iaaatz", 1 },
    { SYS_rt_sigaction, "naa-", 2 }, { SYS_rt_sigaction, "naai", 1 },
    { SYS_rt_sigprocmask, "iaas", 1 }, { SYS_rt_sigpending, "as", 1 },
    { SYS_sigaltstack, "aa", 2 }, { SYS_rt_sigtimedwait, "aatz", 1 },
    { SYS_tgkill, "ccN", 1 }, { SYS_futex, "awitai", 2 },
    { SYS_futex, "aiitai", 1 }, { SYS_set_robust_list, "as", 1 },
    { SYS_wait4, "iawa", 1 }, { SYS_waitid, "iiaba", 1 },
    { SYS_prlimit64, "ziaa", 1 }, { SYS_getrusage, "ia", 1 },
    { SYS_clock_gettime, "ia", 1 }, { SYS_nanosleep, "tz", 1 },
    { SYS_uname, "a", 1 }, { SYS_sysinfo, "a", 1 },
    { SYS_getrandom, "aii", 1 }, { SYS_prctl, "-a", 1 },
    { SYS_sched_yield, "", 1 }, { SYS_execve, "Qaa", 1 },
    { 0x4d00, "zasi", 4 }, { 0x4d01, "zas", 2 }, { 0x4d02, "zasip", 4 },
    { 0x4d03, "zasi", 4 }, { 0x4d04, "zasa", 6 }, { 0x4d05, "zasif", 4 },
    { 0x4d06, "zasa", 4 }, { 0x4d07, "zaas", 2 }, { 0x4d08, "zaa", 2 },
    { 0x4d09, "zasi", 4 }, { 0x4d0a, "as", 1 }, { 0x4d0b, "zas", 2 },
    { 0x4d00, "casi", 1 }, { 0x4d07, "caas", 1 },
};
#define FUZZ_CALLS (sizeof(fuzz_calls) / sizeof(fuzz_calls[0]))

static void
fuzz_call(void)
{
    static unsigned total;
    unsigned pick, i = 0;
    long a[6] = { 0 };

    if (total == 0) {
        for (i = 0; i < FUZZ_CALLS; i++) {
            total += fuzz_calls[i].weight;
        }
        i = 0;
    }
    pick = fuzz_below(total);
    while (pick >= fuzz_calls[i].weight) {
        pick -= fuzz_calls[i++].weight;
    }
    for (unsigned k = 0; fuzz_calls[i].args[k] != 0; k++) {
        a[k] = fuzz_argument(fuzz_calls[i].args[k]);
    }
    fuzz_last[7]++;
    fuzz_last[0] = fuzz_calls[i].number;
    for (unsigned k = 0; k < 6; k++) {
        fuzz_last[k + 1] = a[k];
    }
    syscall(fuzz_calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Touch memory (call -1), if it is there; a fork now and then. */
static void
fuzz_touch(void)
{
    volatile char *p = (volatile char *)fuzz_address();
    int status;
    pid_t pid;

    fuzz_last[0] = -1;
    fuzz_last[1] = (long)p;
    if (fuzz_below(2)) {
        (void)probe_read(p);
    } else {
        (void)probe_write(p, (char)fuzz_next());
    }
    if (fuzz_below(40) != 0) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        alarm(2);
        for (int i = 0; i < 20; i++) {
            fuzz_touch();
            fuzz_call();
        }
        _exit(0);
    }
    if (pid > 0 && fuzz_below(2)) {
        (void)waitpid(pid, &status, 0);
    }
}

static void
fuzz_tick(int sig)
{
    (void)sig;
}

/* ---- children --------------------------------------------------------- */

static void
fuzz_child(void)
{
    struct itimerval tick = { { 0, 20000 }, { 0, 20000 } };
    struct sigaction sa = { .sa_handler = fuzz_tick };
    int null = open("/dev/null", O_RDWR), pipes[2];
    char *base;

    setsid();
    for (int i = 0; i < 3; i++) {
        dup2(null, i);
    }
    close_range(3, 100, 0);
    fuzz_pid = (int)syscall(SYS_getpid);
    (void)!open("/fuzz", O_RDONLY | O_DIRECTORY);
    (void)!chdir("/fuzz");
    (void)!pipe2(pipes, O_NONBLOCK);
    (void)!open("/fuzz/a", O_RDWR | O_CREAT, 0600);
    (void)!open("/fuzz/b", O_RDWR | O_CREAT | O_APPEND, 0600);
    (void)!open("/dev/zero", O_RDWR);
    (void)!memfd_create("one", 0);
    (void)!memfd_create("two", 2);
    (void)!open("/proc/self/maps", O_RDONLY);
    base = mmap(NULL, 2 * SLOTS * 16 * page_size(), RW, PRIVATE, -1, 0);
    for (int i = 0; i < SLOTS; i++) {
        fuzz_slot[i] = base + (size_t)i * 32 * page_size();
        munmap(fuzz_slot[i] + 16 * page_size(), 16 * page_size());
    }
    probe_init();
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    for (long i = 0; i < fuzz.calls; i++) {
        fuzz_call();
        if (i % 4 == 0) {
            fuzz_touch();
        }
    }
    syscall(SYS_exit_group, 0);
}

/* What children make there is not to fill memory. */
static void
fuzz_clean(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    char name[512];

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
            if (unlink(name) != 0) {
                fuzz_clean(name);
                UCHECK(rmdir(name) == 0);
            }
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static void
fuzz_batch(void)
{
    struct timespec nap = { 0, 5000000 };
    int status, n = 0;
    pid_t pid;

    for (unsigned i = 0; i < 4; i++) {
        fuzz.random = (fuzz.seed + fuzz.batch * 4 + i + 1) *
            0x9e3779b97f4a7c15u;
        pid = fork();
        UCHECK(pid >= 0);
        if (pid == 0) {
            fuzz_child();
        }
        for (n = 0; waitpid(pid, &status, WNOHANG) == 0; n++) {
            /* It may have blocked all signals and wait for ever. */
            if (n == 2000) {
                printf("# seed %llu, batch %u, call %ld (%lx, %lx, %lx, "
                    "%lx, %lx, %lx)\n", (unsigned long long)fuzz.seed,
                    fuzz.batch, fuzz_last[0], fuzz_last[1], fuzz_last[2],
                    fuzz_last[3], fuzz_last[4], fuzz_last[5], fuzz_last[6]);
                UCHECK(!"the child ends");
            }
            nanosleep(&nap, NULL);
            if (n == 100) {
                kill(pid, SIGKILL);
            }
        }
        /* Its children may wait for ever likewise. */
        kill(-pid, SIGKILL);
    }
    fuzz_clean("/fuzz");
}

#define OWN_PAGES 32u

static uint64_t *own, *theirs;

static uint64_t
fuzz_pattern(size_t i)
{
    return (i + 1) * 0x9e3779b97f4a7c15u;
}

static void
fuzz_check(uint64_t before)
{
    size_t words = OWN_PAGES * page_size() / 8;
    struct timespec nap = { 0, 20000000 };

    for (size_t i = 0; i < words; i++) {
        UCHECK(own[i] == fuzz_pattern(i) && theirs[i] == fuzz_pattern(~i));
    }
    UCHECK(vm_check(mach_task_self()) == KERN_SUCCESS);
    /* Orphans may be on their way out. */
    for (int i = 0; i < 100 && free_bytes() + (2u << 20) < before; i++) {
        nanosleep(&nap, NULL);
    }
    if (free_bytes() + (2u << 20) < before) {
        printf("# batch %u: %llu of %llu KiB free\n", fuzz.batch,
            (unsigned long long)free_bytes() >> 10,
            (unsigned long long)before >> 10);
        UCHECK(!"memory comes back");
    }
}

UTEST(fuzz)
{
    size_t size = OWN_PAGES * page_size();
    uint64_t before = 0;

    if (!is_palimpsest()) {
        USKIP("it would do harm to a Linux");
    }
    UCHECK(mkdir("/fuzz", 0700) == 0 || errno == EEXIST);
    own = (uint64_t *)map_pages(OWN_PAGES, RW, PRIVATE);
    fuzz_last = (volatile long *)map_pages(1, RW, SHARED);
    theirs = (uint64_t *)map_pages(OWN_PAGES, RW, SHARED);
    for (size_t i = 0; i < size / 8; i++) {
        own[i] = fuzz_pattern(i);
        theirs[i] = fuzz_pattern(~i);
    }
    UCHECK(mprotect(theirs, size, PROT_READ) == 0);
    UCHECK(vm_protect(0, (uintptr_t)theirs, size, 1, VM_PROT_READ) == 0);
    for (fuzz.batch = 0; fuzz.batch < BATCHES; fuzz.batch++) {
        fuzz_batch();
        if (fuzz.batch == 0) {
            before = free_bytes();
        }
        fuzz_check(before);
    }
    printf("# %ld calls\n", fuzz_last[7]);
}

int
main(int argc, char **argv)
{
    char *rest[] = { argv[0], NULL };

    fuzz.seed = 1;
    fuzz.calls = 250;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0) {
            fuzz.calls = 5000;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            fuzz.seed = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--calls") == 0 && i + 1 < argc) {
            fuzz.calls = strtol(argv[++i], NULL, 0);
        }
    }
    printf("# again: u_fuzz --seed %llu --calls %ld\n",
        (unsigned long long)fuzz.seed, fuzz.calls);
    return utest_main(1, rest);
}
