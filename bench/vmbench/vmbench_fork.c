/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_fork.c - fork, exec, generations.
 */
#include "vmbench.h"

void
fork_once(double *call, double *total)
{
    uint64_t t = now();
    pid_t c = fork();
    if (!c) {
        _exit(0);
    }
    uint64_t t1 = now();
    if (c < 0) {
        die("fork");
    }
    reap(c);
    *total = now() - t;
    *call = t1 - t;
}

void
exec_once(void)
{
    pid_t c = fork();

    if (!c) {
        execl(self, "vmbench", "--exit", (char *)0);
        _exit(1);
    }
    reap(c);
}

void
b_fork(void)
{
    static const struct {
        int mib, n;
    } z[] = {
        { 0, 40 },
        { 1, 40 },
        { 16, 20 },
        { 64, 12 },
        { 256, 8 },
        { 1024, 5 },
    };
    static double call[MAXS];
    for (int huge = 0; huge < 2; huge++) {
        for (unsigned i = 0; i < sizeof z / sizeof *z; i++) {
            size_t len = z[i].mib * MiB;
            if (huge && z[i].mib < 256) {
                continue;
            }
            char *p = len ? anon(len, huge) : NULL;
            touch_w(p, len);
            int k = 0;
            for (int r = -1; r < reps(z[i].n); r++) {
                double a, b;
                fork_once(&a, &b);
                if (r < 0) {
                    continue;
                }
                sample(b);
                call[k++] = a;
            }
            emit("ns", huge ? "fork_exit_wait_thp_%dM" : "fork_exit_wait_%dM",
                z[i].mib);
            for (int j = 0; j < k; j++) {
                sample(call[j]);
            }
            emit("ns", huge ? "fork_call_thp_%dM" : "fork_call_%dM", z[i].mib);
            if (len) {
                munmap(p, len);
            }
        }
    }

    /* vfork for comparison: nothing is copied */
    char *p = anon(256 * MiB, 0);
    touch_w(p, 256 * MiB);
    for (int r = 0; r < reps(20); r++) {
        uint64_t t = now();
        pid_t c = vfork();
        if (!c) {
            _exit(0);
        }
        reap(c);
        sample(now() - t);
    }
    emit("ns", "vfork_exit_wait_256M");
    munmap(p, 256 * MiB);

    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        exec_once();
        sample(now() - t);
    }
    emit("ns", "fork_exec_wait_static");

    for (int m = 16; m <= 256; m *= 4) {
        size_t len = m * MiB;
        p = anon(len, 0);
        touch_w(p, len);
        for (int r = 0; r < reps(6); r++) {
            uint64_t t = now();
            pid_t c = fork();
            if (!c) {
                touch_r(p, len);
                _exit(0);
            }
            reap(c);
            sample(now() - t);
        }
        emit("ns", "fork_readall_wait_%dM", m);
        munmap(p, len);
    }
}

/*
 * G generations; each child writes one page of its own and forks, its parent
 * exits (or, alive, sleeps until the end).  The last one reads, then writes,
 * NOLD pages nobody wrote since generation 0.
 */
#define NOLD 256
struct chain {
    double gen, rd, rd2, wrt;
    int ok;
};

static void
chain(int G, int alive, int rep)
{
    struct chain *res = shared(PG);
    static double a[4][16];
    for (int r = 0; r < rep; r++) {
        int pp[2];
        if (pipe(pp)) {
            die("pipe");
        }
        res->ok = 0;
        pid_t c = fork();
        if (!c) {
            size_t len = (NOLD + G) * PG;
            char *p = anon(len, 0);
            touch_w(p, len);
            uint64_t t = now();
            for (int g = 0; g < G; g++) {
                pid_t me = getpid();
                pid_t k = fork();
                if (k < 0) {
                    _exit(2);
                }
                if (k > 0) {
                    char b;
                    if (alive) {
                        close(pp[1]);
                        while (read(pp[0], &b, 1) > 0) {
                            ;
                        }
                    }
                    _exit(0);
                }
                if (!alive) {
                    while (getppid() == me) {
                        sched_yield();
                    }
                }
                p[(NOLD + g) * PG] = 2;
            }
            res->gen = (now() - t) / (double)G;
            t = now();
            touch_r(p, NOLD * PG);
            res->rd = (now() - t) / (double)NOLD;
            t = now();
            touch_r(p, NOLD * PG);
            res->rd2 = (now() - t) / (double)NOLD;
            t = now();
            touch_w(p, NOLD * PG);
            res->wrt = (now() - t) / (double)NOLD;
            res->ok = 1;
            _exit(0);
        }
        close(pp[1]);
        close(pp[0]);
        int st;
        while (wait(&st) > 0) {
            ;
        }
        if (!res->ok) {
            printf("# chain %d failed\n", G);
            break;
        }
        a[0][r] = res->gen;
        a[1][r] = res->rd;
        a[2][r] = res->rd2;
        a[3][r] = res->wrt;
        if (r == rep - 1) {
            static const char *nm[] = { "per_generation", "read_oldest",
                "reread_oldest", "write_oldest" };
            for (int j = 0; j < 4; j++) {
                for (int i = 0; i < rep; i++) {
                    sample(a[j][i]);
                }
                emit(j ? "ns/page" : "ns", "chain%d%s_%s", G,
                    alive ? "_alive" : "", nm[j]);
            }
        }
    }
    munmap(res, PG);
}

void
b_chain(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    chain(1, 0, reps(6));
    chain(4, 0, reps(6));
    chain(16, 0, reps(6));
    chain(64, 0, reps(6));
    chain(256, 0, reps(6));
    chain(64, 1, reps(6));
}
