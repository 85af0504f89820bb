/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_memory.c - page tables and what a process takes.
 */
#include "vmbench.h"

/* A difference of two figures of /proc; -1: there was none. */
static void
grown(long from, long to, double parts, const char *name)
{
    if (from < 0 || to < 0) {
        printf("# %s: not measured, /proc does not tell\n", name);
    } else {
        value("KiB", (to - from) / parts, "%s", name);
    }
}

static void
page_tables(const char *name, size_t len, size_t step, int first)
{
    pid_t c = fork();

    if (!c) {
        char row[64], *p;
        long a = field_kib("/proc/self/status", "VmPTE:");

        p = anon(len, 0);
        for (size_t i = 0; i < len; i += step) {
            p[i] = 1;
        }
        if (first) {
            grown(0, a, 1, "vmpte_at_start");
        }
        snprintf(row, sizeof row, "vmpte_%s", name);
        grown(a, field_kib("/proc/self/status", "VmPTE:"), 1, row);
        fflush(stdout);
        _exit(0);
    }
    reap(c);
}

struct memory {
    long available, slab, tables, stacks;
};

static struct memory
memory(void)
{
    return (struct memory){
        field_kib("/proc/meminfo", "MemFree:"),
        field_kib("/proc/meminfo", "Slab:"),
        field_kib("/proc/meminfo", "PageTables:"),
        field_kib("/proc/meminfo", "KernelStack:"),
    };
}

static void
process_cost_rows(const char *prefix, const struct memory *a,
    const struct memory *b, int n)
{
    char row[64];

    snprintf(row, sizeof row, "%s_total", prefix);
    grown(b->available, a->available, n, row);
    snprintf(row, sizeof row, "%s_pagetables", prefix);
    grown(a->tables, b->tables, n, row);
    snprintf(row, sizeof row, "%s_slab", prefix);
    grown(a->slab, b->slab, n, row);
    snprintf(row, sizeof row, "%s_kstack", prefix);
    grown(a->stacks, b->stacks, n, row);
}

/*
 * What does one more process with 16 MiB of shared-by-COW memory cost?  It
 * may leave them alone or read them all, so that its page tables are there.
 */
static void
process_cost(const char *prefix, int reread)
{
    enum { K = 400 };
    static pid_t kid[K];
    struct memory before, after;
    size_t len = 16 * MiB;
    char *p = anon(len, 0), b;
    int out[2], in[2];

    touch_w(p, len);
    if (pipe(out) || pipe(in)) {
        die("pipe");
    }
    usleep(20000);
    before = memory();
    for (int i = 0; i < K; i++) {
        kid[i] = fork();
        if (kid[i] < 0) {
            die("fork");
        }
        if (!kid[i]) {
            close(out[1]);
            if (reread) {
                touch_r(p, len);
            }
            if (write(in[1], "", 1) != 1 || read(out[0], &b, 1) < 0) {
                _exit(1);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < K; i++) {
        if (read(in[0], &b, 1) != 1) {
            die("child");
        }
    }
    usleep(50000);
    after = memory();
    close(out[1]);
    for (int i = 0; i < K; i++) {
        reap(kid[i]);
    }
    close(out[0]);
    close(in[0]);
    close(in[1]);
    munmap(p, len);
    process_cost_rows(prefix, &before, &after, K);
}

void
b_ptmem(void)
{
    fflush(stdout);
    page_tables("1G_every_page", GiB, PG, 1);
    page_tables("1G_1_per_2M", GiB, 2 * MiB, 0);
    page_tables("64G_1_per_1G", 64 * GiB, GiB, 0);
    process_cost("process_cost_16M", 0);
    process_cost("process_cost_16M_reread", 1);
    value("KiB", field_kib("/proc/meminfo", "MemTotal:"), "meminfo_MemTotal");
    value("KiB", field_kib("/proc/meminfo", "MemFree:"), "meminfo_MemFree");
    flush();
}
