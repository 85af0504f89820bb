/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_cpu.c - pipes, threads, several CPUs.
 */
#include "vmbench.h"

void
b_ctx(void)
{
    for (int mode = 0; mode < 2; mode++) {
        if (mode && ncpu < 2) {
            continue;
        }
        int a[2], b[2], n = 2000;
        char x = 0;
        if (pipe(a) || pipe(b)) {
            die("pipe");
        }
        pid_t c = fork();
        if (!c) {
            pin(mode);
            close(a[1]);
            close(b[0]);
            while (read(a[0], &x, 1) == 1) {
                if (write(b[1], &x, 1) != 1) {
                    break;
                }
            }
            _exit(0);
        }
        close(a[0]);
        close(b[1]);
        for (int r = -1; r < reps(8); r++) {
            uint64_t t = now();
            for (int i = 0; i < n; i++) {
                if (write(a[1], &x, 1) != 1 || read(b[0], &x, 1) != 1) {
                    die("pingpong");
                }
            }
            if (r >= 0) {
                sample((now() - t) / (double)n);
            }
        }
        close(a[1]);
        reap(c);
        close(b[0]);
        emit("ns/roundtrip", "pipe_pingpong_%dcpu", mode + 1);
    }
    /* bulk data: 1 MiB through a pipe in 64 KiB writes */
    int a[2], b[2];
    if (pipe(a) || pipe(b)) {
        die("pipe");
    }
    char *p = anon(MiB, 0);
    touch_w(p, MiB);
    pid_t c = fork();
    if (!c) {
        char *q = anon(64 * KiB, 0);
        size_t got = 0;
        ssize_t n;
        close(a[1]);
        while ((n = read(a[0], q, 64 * KiB)) > 0) {
            got += n;
            if (got == MiB) {
                got = 0;
                if (write(b[1], q, 1) != 1) {
                    break;
                }
            }
        }
        _exit(0);
    }
    close(a[0]);
    for (int r = 0; r < reps(10); r++) {
        char x;
        uint64_t t = now();
        for (size_t o = 0; o < MiB; o += 64 * KiB) {
            if (write(a[1], p + o, 64 * KiB) != 64 * (ssize_t)KiB) {
                die("pipe write");
            }
        }
        if (read(b[0], &x, 1) != 1) {
            die("pipe ack");
        }
        sample(now() - t);
    }
    close(a[1]);
    reap(c);
    emit("ns/MiB", "pipe_bulk_1M");
    munmap(p, MiB);
}

/* --- threads --- */

static atomic_int stop, running;

static void *
spinner(void *arg)
{
    pin((int)(intptr_t)arg);
    atomic_fetch_add(&running, 1);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        spin2(100);
    }
    return NULL;
}

void
b_shoot(void)
{
    for (int others = 0; others <= 4; others++) {
        if (others >= ncpu) {
            continue;
        }
        pthread_t th[4];
        atomic_store(&stop, 0);
        atomic_store(&running, 0);
        pin(0);
        for (int i = 0; i < others; i++) {
            if (pthread_create(
                    &th[i], NULL, spinner, (void *)(intptr_t)(i + 1))) {
                die("thread");
            }
        }
        while (atomic_load(&running) < others) {
            sched_yield();
        }
        enum { NR = 128, NP = 16 };
        char *v[NR];
        for (int k = 0; k < 2; k++) {
            int np = k ? NP : 1;
            for (int r = 0; r < reps(8); r++) {
                for (int i = 0; i < NR; i++) {
                    v[i] = mmap(NULL, np * PG, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    touch_w(v[i], np * PG);
                }
                uint64_t t = now();
                for (int i = 0; i < NR; i++) {
                    munmap(v[i], np * PG);
                }
                sample((now() - t) / (double)NR);
            }
            emit("ns", "munmap_%dp_%d_other_cpus", np, others);
        }
        char *p = anon(PG, 0);
        for (int r = 0; r < reps(8); r++) {
            uint64_t t = now();
            for (int i = 0; i < 200; i++) {
                *(volatile char *)p = 1;
                mprotect(p, PG, PROT_READ);
                mprotect(p, PG, PROT_READ | PROT_WRITE);
            }
            sample((now() - t) / 200.0);
        }
        emit("ns/toggle", "mprotect_1p_touch_%d_other_cpus", others);
        munmap(p, PG);
        atomic_store(&stop, 1);
        for (int i = 0; i < others; i++) {
            pthread_join(th[i], NULL);
        }
    }
}

static pthread_barrier_t bar;
struct mt {
    int cpu;
    char *p;
    size_t len;
    uint64_t a, b;
};

static void *
faulter(void *arg)
{
    struct mt *m = arg;
    pin(m->cpu);
    pthread_barrier_wait(&bar);
    m->a = now();
    touch_w(m->p, m->len);
    m->b = now();
    return NULL;
}

void
b_mt(void)
{
    size_t len = 16 * MiB;
    for (int T = 1; T <= 4; T *= 2) {
        if (T > ncpu && T > 1) {
            continue;
        }
        for (int r = -1; r < reps(8); r++) {
            struct mt m[4];
            pthread_t th[4];
            char *p = anon(len * T, 0);
            pthread_barrier_init(&bar, NULL, T);
            for (int i = 0; i < T; i++) {
                m[i] = (struct mt){i, p + i * len, len, 0, 0 };
                if (pthread_create(&th[i], NULL, faulter, &m[i])) {
                    die("thread");
                }
            }
            uint64_t a = ~0ull, b = 0;
            for (int i = 0; i < T; i++) {
                pthread_join(th[i], NULL);
                if (m[i].a < a) {
                    a = m[i].a;
                }
                if (m[i].b > b) {
                    b = m[i].b;
                }
            }
            munmap(p, len * T);
            if (r >= 0) {
                sample((b - a) / (double)(T * len / PG));
            }
        }
        emit("ns/page", "mt_zero_fill_%dthr", T);
    }
}
