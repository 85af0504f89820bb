/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_memory.c - page tables and what a process takes.
 */
#include "vmbench.h"

void
b_ptmem(void)
{
    fflush(stdout);
    static const struct {
        const char *n;
        size_t len, step;
    } pt[] = {
        { "1G_every_page", GiB, PG },
        { "1G_1_per_2M", GiB, 2 * MiB },
        { "64G_1_per_1G", 64 * GiB, GiB },
    };
    for (int k = 0; k < 3; k++) {
        pid_t c = fork();
        if (!c) {
            long a = field_kib("/proc/self/status", "VmPTE:");
            char *p = anon(pt[k].len, 0);
            for (size_t i = 0; i < pt[k].len; i += pt[k].step) {
                p[i] = 1;
            }
            long b = field_kib("/proc/self/status", "VmPTE:");
            if (!k) {
                value("KiB", a, "vmpte_at_start");
            }
            value("KiB", b - a, "vmpte_%s", pt[k].n);
            fflush(stdout);
            _exit(0);
        }
        reap(c);
    }
    /* what does one more process with 16 MiB of shared-by-COW memory cost? */
    enum { K = 400 };
    char *p = anon(16 * MiB, 0);
    touch_w(p, 16 * MiB);
    int pp[2];
    static pid_t kid[K];
    if (pipe(pp)) {
        die("pipe");
    }
    usleep(20000);
    long f0 = field_kib("/proc/meminfo", "MemFree:"),
         s0 = field_kib("/proc/meminfo", "Slab:"),
         t0 = field_kib("/proc/meminfo", "PageTables:"),
         k0 = field_kib("/proc/meminfo", "KernelStack:");
    for (int i = 0; i < K; i++) {
        kid[i] = fork();
        if (!kid[i]) {
            char b;
            close(pp[1]);
            if (read(pp[0], &b, 1) < 0) {
                _exit(1);
            }
            _exit(0);
        }
    }
    usleep(50000);
    long f1 = field_kib("/proc/meminfo", "MemFree:"),
         s1 = field_kib("/proc/meminfo", "Slab:"),
         t1 = field_kib("/proc/meminfo", "PageTables:"),
         k1 = field_kib("/proc/meminfo", "KernelStack:");
    close(pp[1]);
    for (int i = 0; i < K; i++) {
        reap(kid[i]);
    }
    close(pp[0]);
    munmap(p, 16 * MiB);
    value("KiB", (f0 - f1) / (double)K, "process_cost_16M_total");
    value("KiB", (t1 - t0) / (double)K, "process_cost_16M_pagetables");
    value("KiB", (s1 - s0) / (double)K, "process_cost_16M_slab");
    value("KiB", (k1 - k0) / (double)K, "process_cost_16M_kstack");
    value("KiB", field_kib("/proc/meminfo", "MemTotal:"), "meminfo_MemTotal");
    value("KiB", field_kib("/proc/meminfo", "MemFree:"), "meminfo_MemFree");
    flush();
}
