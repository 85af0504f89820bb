/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_fault.c - calls and faults one by one; faults answered in user mode.
 */
#include "vmbench.h"

void
b_null(void)
{
    for (int r = 0; r < reps(12); r++) {
        uint64_t t = now();
        for (int i = 0; i < 10000; i++) {
            syscall(SYS_getppid);
        }
        sample((now() - t) / 1e4);
    }
    emit("ns", "null_syscall");
}

/* Written where whoever makes pages ahead of their use gains nothing. */
static void
touch_sparse(char *p, size_t len)
{
    for (size_t o = 0; o < len; o += 2 * PG) {
        ((volatile char *)p)[o] = 1;
    }
}

void
b_zero(void)
{
    size_t len = 64 * MiB;
    static double um[MAXS];
    for (int huge = 0; huge < 2; huge++) {
        int n = reps(8), k = 0;
        for (int r = -1; r < n; r++) {
            char *p = anon(len, huge);
            uint64_t t = now();
            touch_w(p, len);
            uint64_t d = now() - t;
            t = now();
            munmap(p, len);
            uint64_t e = now() - t;
            if (r < 0) {
                continue; /* the first round warms up */
            }
            sample(d / (double)(len / PG));
            um[k++] = e / (double)(len / PG);
        }
        emit("ns/page", huge ? "zero_fill_thp" : "zero_fill");
        for (int i = 0; i < k; i++) {
            sample(um[i]);
        }
        emit("ns/page", huge ? "munmap_resident_thp" : "munmap_resident");
    }
    /* every second page: nobody can know which comes next */
    for (int r = 0; r < reps(5); r++) {
        char *p = anon(len, 0);
        uint64_t t = now();
        touch_sparse(p, len);
        sample((now() - t) / (double)(len / PG / 2));
        munmap(p, len);
    }
    emit("ns/page", "zero_fill_sparse");
    /* reading first maps the shared zero page */
    for (int r = 0; r < reps(5); r++) {
        char *p = anon(len, 0);
        uint64_t t = now();
        touch_r(p, len);
        sample((now() - t) / (double)(len / PG));
        munmap(p, len);
    }
    emit("ns/page", "zero_read");
    for (int r = 0; r < reps(5); r++) {
        char *p = anon(len, 0);
        uint64_t t = now();
        if (madvise(p, len, 23 /* MADV_POPULATE_WRITE */)) {
            die("populate");
        }
        sample((now() - t) / (double)(len / PG));
        munmap(p, len);
    }
    emit("ns/page", "populate_write");
    char *p = anon(16 * MiB, 0), *q;
    touch_w(p, 16 * MiB);
    for (int r = 0; r < reps(8); r++) {
        char *to = anon(16 * MiB, 0);
        uint64_t t = now();
        q = mremap(p, 16 * MiB, 16 * MiB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
        sample((now() - t) / (16.0 * MiB / PG));
        if (q == MAP_FAILED) {
            die("mremap");
        }
        p = q;
    }
    emit("ns/page", "mremap_move_16M");
    munmap(p, 16 * MiB);
}

void
b_soft(void)
{
    static const char *const places[] = {
        "/sys/kernel/debug/fault_around_bytes",
        "/proc/sys/vm/fault_around_bytes" };
    const char *fa = places[access(places[0], W_OK) != 0];
    size_t len = 64 * MiB;
    int f = memfd_create("m", 0);
    if (f < 0 || ftruncate(f, len)) {
        die("memfd");
    }
    char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    touch_w(p, len);
    munmap(p, len);
    for (int mode = 0; mode < 4; mode++) {
        /* 0 read, fault-around as it is; 1 read without; 2 shared write;
         * 3 private write (copy out of the page cache) */
        if (mode == 1 && wr(fa, "4096")) {
            printf("# no %s\n", fa);
            continue;
        }
        if (mode == 2) {
            wr(fa, "65536");
        }
        for (int r = 0; r < reps(6); r++) {
            p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                mode == 3 ? MAP_PRIVATE : MAP_SHARED, f, 0);
            madvise(p, len, MADV_NOHUGEPAGE);
            uint64_t t = now();
            if (mode < 2) {
                touch_r(p, len);
            } else {
                touch_w(p, len);
            }
            sample((now() - t) / (double)(len / PG));
            munmap(p, len);
        }
        emit("ns/page", mode == 0   ? "soft_read_faultaround"
                        : mode == 1 ? "soft_read_1page"
                        : mode == 2 ? "soft_write_shared"
                                    : "file_cow_write");
    }
    close(f);
}

static void
cow_sparse(size_t len, double *res)
{
    char *p = anon(len, 0);

    touch_w(p, len);
    for (int r = 0; r < reps(6); r++) {
        pid_t c = fork();

        if (c < 0) {
            die("fork");
        }
        if (!c) {
            uint64_t t = now();
            touch_sparse(p, len);
            res[0] = (now() - t) / (double)(len / PG / 2);
            _exit(0);
        }
        reap(c);
        sample(res[0]);
    }
    emit("ns/page", "cow_copy_sparse");
    munmap(p, len);
}

void
b_cow(void)
{
    size_t len = 64 * MiB;
    double *res = shared(PG);
    static double reuse[MAXS];
    for (int huge = 0; huge < 2; huge++) {
        char *p = anon(len, huge);
        touch_w(p, len);
        int k = 0;
        for (int r = 0; r < reps(6); r++) {
            pid_t c = fork();
            if (c < 0) {
                die("fork");
            }
            if (!c) {
                uint64_t t = now();
                touch_w(p, len);
                res[0] = (now() - t) / (double)(len / PG);
                _exit(0);
            }
            reap(c);
            sample(res[0]);
            uint64_t t = now();
            touch_w(p, len);
            reuse[k++] = (now() - t) / (double)(len / PG);
        }
        emit("ns/page", huge ? "cow_copy_thp" : "cow_copy");
        for (int i = 0; i < k; i++) {
            sample(reuse[i]);
        }
        emit("ns/page", huge ? "cow_reuse_thp" : "cow_reuse");
        munmap(p, len);
    }
    cow_sparse(len, res);
    munmap(res, PG);
}

/* --- faults answered in user mode --- */

static int uffd, uffd_todo;

static void *
uffd_thread(void *arg)
{
    static char page[4096] __attribute__((aligned(4096)));
    memset(page, 7, sizeof page);
    for (int i = 0; i < uffd_todo; i++) {
        struct uffd_msg m;
        if (read(uffd, &m, sizeof m) != (ssize_t)sizeof m) {
            break;
        }
        struct uffdio_copy c = { .dst = m.arg.pagefault.address & ~(PG - 1),
            .src = (uintptr_t)page,
            .len = PG };
        if (m.event == UFFD_EVENT_PAGEFAULT && ioctl(uffd, UFFDIO_COPY, &c)) {
            break;
        }
    }
    return arg;
}

static char *seg_base;
static void
on_segv(int s, siginfo_t *i, void *u)
{
    (void)s;
    (void)u;
    char *a = (char *)((uintptr_t)i->si_addr & ~(PG - 1));
    if (a < seg_base || mprotect(a, PG, PROT_READ | PROT_WRITE)) {
        _exit(9);
    }
}

void
b_upager(void)
{
    enum { NP = 1024 };
    struct uffdio_api api = { .api = UFFD_API };
    uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
        printf("# userfaultfd: %s\n", strerror(errno));
    } else {
        pthread_t th;
        int n = reps(6);
        uffd_todo = n * NP;
        if (pthread_create(&th, NULL, uffd_thread, NULL)) {
            die("thread");
        }
        for (int r = 0; r < n; r++) {
            char *p = anon(NP * PG, 0);
            struct uffdio_register g = { .range = { (uintptr_t)p, NP * PG },
                .mode = UFFDIO_REGISTER_MODE_MISSING };
            if (ioctl(uffd, UFFDIO_REGISTER, &g)) {
                die("uffd register");
            }
            uint64_t t = now();
            touch_r(p, NP * PG);
            sample((now() - t) / (double)NP);
            munmap(p, NP * PG);
        }
        pthread_join(th, NULL);
        emit("ns/fault", "userfaultfd_pager_fault");
        close(uffd);
    }
    struct sigaction sa, old;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = on_segv;
    sa.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &sa, &old);
    for (int r = 0; r < reps(8); r++) {
        char *p = anon(1024 * PG, 0);
        seg_base = p;
        touch_w(p, 1024 * PG);
        mprotect(p, 1024 * PG, PROT_NONE);
        uint64_t t = now();
        touch_w(p, 1024 * PG);
        sample((now() - t) / 1024.0);
        munmap(p, 1024 * PG);
    }
    emit("ns/fault", "segv_handler_mprotect");
    sigaction(SIGSEGV, &old, NULL);
}
