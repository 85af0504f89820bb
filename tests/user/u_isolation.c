/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_isolation.c - no program sees another's bytes, or the kernel's.
 *
 * Children leave secrets wherever bytes can be left, and end; later ones look
 * for anything but zeros in what they get.  What the kernel copies out is
 * compared over two backgrounds: what differs was not written, and what
 * was must not look like an address of the kernel.
 */
#include "uprobe.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>

#define SECRET  0x5ec4e7a15ec4e7a1u
#define PAGES   256u

static char isolation_bss[16 * 4096];

static void
fill(void *p, size_t n)
{
    for (size_t i = 0; i < n / 8; i++) {
        ((volatile uint64_t *)p)[i] = SECRET;
    }
}

/* ---- leaving secrets -------------------------------------------------- */

static void
leave_stack(unsigned depth)
{
    volatile uint64_t here[512];

    fill((void *)here, sizeof(here));
    if (depth > 0) {
        leave_stack(depth - 1);
    }
    here[0] = SECRET;
}

static void
leave_secrets(void *unused)
{
    size_t size = PAGES * page_size();
    char *p = map_pages(PAGES, RW, PRIVATE), *q = map_pages(PAGES, RW,
        SHARED);
    int fd = memfd_create("secret", 0), pipes[2];

    (void)unused;
    fill(p, size);
    fill(q, size);
    fill(isolation_bss, sizeof(isolation_bss));
    leave_stack(40);
    p = sbrk(64 * 4096);
    UCHECK(p != (void *)-1);
    fill(p, 64 * 4096);
    UCHECK(write(fd, q, size) == (ssize_t)size);
    fd = open("/u_isolation", O_RDWR | O_CREAT, 0600);
    UCHECK(fd >= 0 && write(fd, q, size) == (ssize_t)size);
    UCHECK(unlink("/u_isolation") == 0);
    UCHECK(pipe2(pipes, O_NONBLOCK) == 0 && write(pipes[1], q, 65536) > 0);
}

static void
left_behind(void)
{
    UCHECK(utest_child(leave_secrets, NULL) == 0);
}

/* ---- looking ---------------------------------------------------------- */

UTEST(fresh_maps)
{
    size_t page = page_size();
    char *p;

    left_behind();
    p = map_pages(2 * PAGES, RW, PRIVATE);
    UCHECK(is_filled(p, 0, 2 * PAGES * page));
    p = map_pages(PAGES, RW, SHARED);
    UCHECK(is_filled(p, 0, PAGES * page));
    p = map_pages(4, RW, PRIVATE);
    fill(p, 4 * page);
    p = mremap(p, 4 * page, PAGES * page, MREMAP_MAYMOVE);
    UCHECK(p != MAP_FAILED);
    UCHECK(is_filled(p + 4 * page, 0, (PAGES - 4) * page));
    UCHECK(madvise(p, PAGES * page, MADV_DONTNEED) == 0);
    UCHECK(is_filled(p, 0, PAGES * page));
}

UTEST(fresh_break)
{
    char *p;

    left_behind();
    p = sbrk(128 * 4096);
    UCHECK(p != (void *)-1 && is_filled(p, 0, 128 * 4096));
    fill(p, 128 * 4096);
    UCHECK(sbrk(-128 * 4096) != (void *)-1);
    UCHECK(sbrk(128 * 4096) == p);
    p += 65536;                 /* behind the page that stayed */
    UCHECK(is_filled(p, 0, 128 * 4096 - 65536));
}

UTEST(fresh_files)
{
    size_t page = page_size(), size = PAGES * page;
    int fd = memfd_create("fresh", 0);
    char *p, *buf = map_pages(PAGES, RW, PRIVATE);

    left_behind();
    UCHECK(ftruncate(fd, (off_t)size) == 0);
    memset(buf, 0x55, size);
    UCHECK(pread(fd, buf, size, 0) == (ssize_t)size);
    UCHECK(is_filled(buf, 0, size));
    p = mmap(NULL, size, RW, MAP_SHARED, fd, 0);
    UCHECK(p != MAP_FAILED && is_filled(p, 0, size));
    /* Bytes that are cut off do not come back. */
    fill(p, size);
    UCHECK(ftruncate(fd, 100) == 0 && ftruncate(fd, (off_t)size) == 0);
    UCHECK(is_filled(p + 100, 0, size - 100));
    /* Nor is there anything but zeros around one that is written. */
    fd = memfd_create("sparse", 0);
    UCHECK(pwrite(fd, "x", 1, (off_t)(5 * page + 17)) == 1);
    UCHECK(pread(fd, buf, size, 0) == (ssize_t)(5 * page + 18));
    UCHECK(is_filled(buf, 0, 5 * page + 17) && buf[5 * page + 17] == 'x');
    p = mmap(NULL, 6 * page, PROT_READ, MAP_PRIVATE, fd, 0);
    UCHECK(is_filled(p + 5 * page + 18, 0, page - 18));
}

UTEST(fresh_stack)
{
    char *sp = __builtin_frame_address(0), *p;
    size_t page = page_size();

    left_behind();
    p = (char *)(((uintptr_t)sp - 65536) & ~(page - 1));
    for (unsigned i = 0; i < 64; i++) {
        p -= page;
        UCHECK(is_filled(p, 0, page));
    }
}

/* ---- a new program ---------------------------------------------------- */

#if defined(__x86_64__)
#define FP_SET(v)   __asm__ volatile("movq %0, %%xmm14\n\t"             \
    "movq %0, %%xmm15" :: "r"(v) : "xmm14", "xmm15")
#define FP_GET(v)   __asm__ volatile("movq %%xmm15, %0" : "=r"(v))
#elif defined(__aarch64__)
#define FP_SET(v)   __asm__ volatile("fmov d30, %0\n\tfmov d31, %0\n\t" \
    "ins v31.d[1], %0" :: "r"(v) : "v30", "v31")
#define FP_GET(v)   __asm__ volatile("umov %0, v31.d[1]" : "=r"(v))
#else
#define FP_SET(v)   __asm__ volatile("fmv.d.x ft10, %0\n\t"             \
    "fmv.d.x ft11, %0" :: "r"(v) : "ft10", "ft11")
#define FP_GET(v)   __asm__ volatile("fmv.x.d %0, ft11" : "=r"(v))
#endif

static uint64_t fp_at_start;

static void __attribute__((constructor))
isolation_start(void)
{
    FP_GET(fp_at_start);
}

UTEST(new_program)
{
    char *argv[] = { "u_isolation", "look_at_program", NULL };
    char *envp[] = { "LOOK=1", NULL };
    int status;
    pid_t pid;

    left_behind();
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        fill(isolation_bss, sizeof(isolation_bss));
        FP_SET(SECRET);
        execve("/proc/self/exe", argv, envp);
        _exit(9);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The one that new_program runs; by itself it looks at no secrets. */
UTEST(look_at_program)
{
    UCHECK(fp_at_start != SECRET);
    UCHECK(is_filled(isolation_bss, 0, sizeof(isolation_bss)));
}

/* ---- floating point of two ---------------------------------------------- */

static double
fp_work(double x)
{
    double a = x, b = x + 1, c = x + 2, d = x + 3;

    for (int i = 0; i < 400000; i++) {
        a = a * 0.75 + b * 0.25;
        b = b * 0.5 + c * 0.5;
        c = c * 0.25 + d * 0.75;
        d = d * 0.999 + x * 0.001;
    }
    return a + b * 3 + c * 5 + d * 7;
}

UTEST(floating_point_of_each)
{
    double expected[4];
    int status;

    for (int i = 0; i < 4; i++) {
        expected[i] = fp_work(i * 1000.0);
    }
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            for (int k = 0; k < 5; k++) {
                UCHECK(fp_work(i * 1000.0) == expected[i]);
                sched_yield();
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        UCHECK(wait(&status) > 0 && status == 0);
    }
}

/* A child has its parent's, and is alone with its own. */
UTEST(floating_point_over_fork)
{
    uint64_t v = 0x3ff0123456789abc;
    int status;
    pid_t pid;

    for (uint64_t i = 0; i < 20; i++) {
        uint64_t got;

        FP_SET(v + i);
        pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        FP_GET(got);
        if (pid == 0) {
            FP_SET(SECRET);
            syscall(SYS_sched_yield);
            _exit(got == v + i ? 0 : 1);
        }
        UCHECK(got == v + i);
        UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
}

/* ---- what the kernel copies out ---------------------------------------- */

/* Over two backgrounds: n bytes are written alike, nothing behind them. */
static void
out_check(const char *what, long nr, const long *a, int at, size_t n)
{
    static unsigned char buf[2][4096] __attribute__((aligned(64)));
    long r[2];

    for (int k = 0; k < 2; k++) {
        long b[6] = { a[0], a[1], a[2], a[3], a[4], a[5] };

        memset(buf[k], k ? 0x55 : 0xaa, sizeof(buf[k]));
        b[at] = (long)buf[k];
        r[k] = syscall(nr, b[0], b[1], b[2], b[3], b[4], b[5]);
        if (nr == SYS_getdents64) {
            lseek((int)a[0], 0, SEEK_SET);
            n = r[k] > 0 ? (size_t)r[k] : 0;
        }
    }
    for (size_t i = 0; i < sizeof(buf[0]); i++) {
        int kept = buf[0][i] == 0xaa && buf[1][i] == 0x55;

        if (r[0] < 0 || r[1] < 0 || (i >= n && !kept)) {
            printf("# %s: byte %zu of %zu (%ld, %ld)\n", what, i, n, r[0],
                r[1]);
            UCHECK(!"writes what it should");
        }
    }
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t word;

        memcpy(&word, buf[0] + i, 8);
        if (word >> 47 == 0x1ffff && word < (uint64_t)-65536) {
            printf("# %s: %llx at %zu\n", what, (unsigned long long)word, i);
            UCHECK(!"no address of the kernel");
        }
    }
}

#define OUT(name, at, n, ...)                                           \
    out_check(#name, SYS_##name, (long[6]){ __VA_ARGS__ }, at, n)

UTEST(results_have_no_holes)
{
    int fd = file_of(1), dir = open("/", O_RDONLY | O_DIRECTORY);

    OUT(fstat, 1, sizeof(struct stat), fd);
    OUT(newfstatat, 2, sizeof(struct stat), AT_FDCWD, (long)"/");
    OUT(statx, 4, 256, AT_FDCWD, (long)"/", 0, 0x7ff);
    OUT(fstatfs, 1, sizeof(struct statfs), fd);
    OUT(uname, 0, sizeof(struct utsname), 0);
    OUT(sysinfo, 0, sizeof(struct sysinfo), 0);
    OUT(getrusage, 1, sizeof(struct rusage), 0);
    OUT(times, 0, sizeof(struct tms), 0);
    OUT(clock_gettime, 1, 16, 0);
    OUT(gettimeofday, 0, 16, 0);
    OUT(getitimer, 1, 32, 0);
    OUT(prlimit64, 3, 16, 0, RLIMIT_STACK, 0);
    OUT(rt_sigprocmask, 2, 8, 0, 0, 0, 8);
    OUT(rt_sigpending, 0, 8, 0, 8);
    OUT(sigaltstack, 1, 24, 0);
    OUT(sched_getaffinity, 2, 128, 0, 128);
    OUT(getdents64, 1, 0, dir, 0, 2048);
}
