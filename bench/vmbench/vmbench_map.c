/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_map.c - mmap, munmap and mprotect, among few and many mappings.
 */
#include "vmbench.h"

void
b_map(void)
{
    for (int k = 0; k < 2; k++) {
        for (int r = 0; r < reps(12); r++) {
            uint64_t t = now();
            for (int i = 0; i < 1000; i++) {
                char *p = mmap(NULL, PG, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (k) {
                    *(volatile char *)p = 1;
                }
                munmap(p, PG);
            }
            sample((now() - t) / 1e3);
        }
        emit("ns", k ? "mmap_touch_munmap_1p" : "mmap_munmap_1p");
    }
}

void
b_prot(void)
{
    static const size_t lens[] = { PG, 16 * MiB };
    for (int z = 0; z < 2; z++) {
        for (int k = 0; k < 2; k++) {
            size_t len = lens[z];
            int n = z ? 4 : 1000;
            char *p = anon(len, 0);
            touch_w(p, len);
            for (int r = 0; r < reps(10); r++) {
                uint64_t t = now();
                for (int i = 0; i < n; i++) {
                    if (mprotect(p, len, PROT_READ) ||
                        mprotect(p, len, PROT_READ | PROT_WRITE)) {
                        die("mprotect");
                    }
                    if (k) {
                        touch_w(p, len);
                    }
                }
                sample((now() - t) / (double)n);
            }
            emit("ns/toggle", "mprotect_toggle_%s%s", z ? "16M" : "1p",
                k ? "_touch" : "");
            munmap(p, len);
        }
    }
}

void
b_many(void)
{
    enum { N = 10000 };
    static char *v[N];
    static uint32_t ord[N], ord2[N];
    static double a[6][32];
    int n = reps(5);
    for (int r = 0; r < n; r++) {
        permute(ord, N);
        permute(ord2, N);
        uint64_t t = now();
        for (int i = 0; i < N; i++) {
            v[i] = mmap(NULL, PG, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        }
        a[0][r] = (now() - t) / (double)N;
        t = now();
        for (int i = 0; i < N; i++) {
            if (!(ord[i] & 1)) {
                *(volatile char *)v[ord[i]] = 1;
            }
        }
        a[1][r] = (now() - t) / (double)(N / 2);
        double x, y;
        fork_once(&x, &y);
        a[2][r] = y;
        t = now();
        for (int i = 0; i < N; i++) {
            munmap(v[ord2[i]], PG);
        }
        a[3][r] = (now() - t) / (double)N;
        /* the same faults in one mapping */
        char *p = anon(N * PG, 0);
        t = now();
        for (int i = 0; i < N; i++) {
            if (!(ord[i] & 1)) {
                *(volatile char *)(p + ord[i] * PG) = 1;
            }
        }
        a[4][r] = (now() - t) / (double)(N / 2);
        fork_once(&x, &y);
        a[5][r] = y;
        munmap(p, N * PG);
    }
    static const char *nm[] = { "many_mmap", "many_fault_random",
        "many_fork_exit_wait", "many_munmap_random", "one_fault_random",
        "one_fork_exit_wait" };
    for (int j = 0; j < 6; j++) {
        for (int i = 0; i < n; i++) {
            sample(a[j][i]);
        }
        emit(j == 2 || j == 5 ? "ns" : "ns/op", nm[j]);
    }
}

/* A mapping made, and a random one written first, among n. */
static void
lookup(int n)
{
    static char *v[30000];
    static uint32_t order[30000];
    int sets = n < 10000 ? 10000 / n : 1, writable = (n + 1) / 2;

    for (int k = 0; k < 2; k++) {
        for (int r = 0; r < 3; r++) {
            uint64_t mapping = 0, faults = 0, t;

            for (int set = 0; set < sets; set++) {
                permute(order, n);
                t = now();
                for (int i = 0; i < n; i++) {
                    v[i] = mmap(NULL, PG,
                        i & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    if (v[i] == MAP_FAILED) {
                        die("mmap");
                    }
                }
                mapping += now() - t;
                t = now();
                for (int i = 0; i < n; i++) {
                    if (!(order[i] & 1)) {
                        *(volatile char *)v[order[i]] = 1;
                    }
                }
                faults += now() - t;
                for (int i = 0; i < n; i++) {
                    munmap(v[i], PG);
                }
            }
            sample(k ? faults / ((double)writable * sets) :
                mapping / ((double)n * sets));
        }
        emit("ns/op", k ? "lookup_fault_%d" : "lookup_mmap_%d", n);
    }
}

void
b_lookup(void)
{
    static const int n[] = { 10, 100, 1000, 10000, 30000 };

    for (unsigned i = 0; i < sizeof n / sizeof *n; i++) {
        lookup(n[i]);
    }
}
