/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_calib.c - what an instruction, the clock and 4 KiB cost; counters.
 */
#include "vmbench.h"

static uint64_t
ticks(void)
{
#if defined(__x86_64__)
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
#elif defined(__aarch64__)
    uint64_t v;

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v));
    return v;
#elif defined(__riscv)
    uint64_t v;

    __asm__ volatile("rdtime %0" : "=r"(v));
    return v;
#else
    return 0;
#endif
}

void
b_calib(void)
{
    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        spin2(500000);
        sample((now() - t) / 1e6);
    }
    emit("ns/insn", "calib_spin");

    uint64_t c0 = ticks(), t0 = now();
    spin2(5000000);
    uint64_t c1 = ticks(), t1 = now();
    value("Hz", (c1 - c0) * 1e9 / (t1 - t0), "calib_tick_rate");

    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        for (int i = 0; i < 1000; i++) {
            now();
        }
        sample((now() - t) / 1001.0);
    }
    emit("ns", "calib_clock_gettime");

    char *p = anon(2 * PG, 0);
    touch_w(p, 2 * PG);
    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        for (int i = 0; i < 256; i++) {
            memset(p, i, PG);
            __asm__ volatile("" : : : "memory");
        }
        sample((now() - t) / 256.0);
    }
    emit("ns", "calib_memset_4k");
    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        for (int i = 0; i < 256; i++) {
            memcpy(p, p + PG, PG);
            __asm__ volatile("" : : : "memory");
        }
        sample((now() - t) / 256.0);
    }
    emit("ns", "calib_memcpy_4k");
#if defined(__x86_64__)
    for (int k = 0; k < 2; k++) {
        for (int r = 0; r < reps(10); r++) {
            uint64_t t = now();
            for (int i = 0; i < 64; i++) {
                void *d = p;
                uint64_t c = k ? PG / 8 : PG;
                if (k) {
                    __asm__ volatile("rep stosq"
                                     : "+D"(d), "+c"(c)
                                     : "a"(0)
                                     : "memory");
                } else {
                    __asm__ volatile("rep stosb"
                                     : "+D"(d), "+c"(c)
                                     : "a"(0)
                                     : "memory");
                }
            }
            sample((now() - t) / 64.0);
        }
        emit("ns", k ? "calib_rep_stosq_4k" : "calib_rep_stosb_4k");
    }
#elif defined(__aarch64__)
    uint64_t dczid;
    __asm__("mrs %0, dczid_el0" : "=r"(dczid));
    unsigned blk = 4u << (dczid & 15);
    value("bytes", blk, "calib_dczva_block");
    for (int r = 0; r < reps(10); r++) {
        uint64_t t = now();
        for (int i = 0; i < 64; i++)
            for (char *d = p; d < p + PG; d += blk)
                __asm__ volatile("dc zva, %0" : : "r"(d) : "memory");
        sample((now() - t) / 64.0);
    }
    emit("ns", "calib_dczva_4k");
#endif
    munmap(p, 2 * PG);
}

static long
perf_open(uint64_t cfg, int kernel)
{
    struct perf_event_attr a;
    memset(&a, 0, sizeof a);
    a.size = sizeof a;
    a.type = PERF_TYPE_HARDWARE;
    a.config = cfg;
    a.exclude_kernel = !kernel;
    a.exclude_hv = 1;
    return syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

void
b_perf(void)
{
    static const struct {
        const char *n;
        uint64_t c;
    } ev[] = {
        { "instructions", PERF_COUNT_HW_INSTRUCTIONS },
        { "cycles", PERF_COUNT_HW_CPU_CYCLES },
        { "dtlb_or_cache_misses", PERF_COUNT_HW_CACHE_MISSES },
    };
    for (unsigned i = 0; i < 3; i++) {
        long f = perf_open(ev[i].c, 1);
        if (f < 0) {
            printf("# perf %s: %s\n", ev[i].n, strerror(errno));
            continue;
        }
        uint64_t a = 0, b = 0;
        if (read(f, &a, 8) != 8) {
            a = 0;
        }
        spin2(1000000);
        if (read(f, &b, 8) != 8) {
            b = 0;
        }
        close(f);
        value("count", b - a, "perf_%s_of_2M_insn", ev[i].n);
    }
    flush();
}
