/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_discard.c - what throwing page tables away costs, and what it gives.
 *
 *   discard  for each kind: the call, the memory saved (tables before and
 *            after, what the caller needs to go on being back already), and
 *            the bill: a sweep over 64 MiB, less what it takes when nothing
 *            was thrown away.
 *   bill     a fork, and everything that it leaves to be done.
 *
 * Where a kernel keeps its page tables, as Linux does, the first says so and
 * measures nothing.
 */
#include "vmbench.h"

#include "mach_vm.h"

#define LEN     (64 * MiB)
#define REPS    6

static char *mem;               /* LEN bytes, resident */
static double swept;            /* a sweep with all tables there */

/* ---- tables ----------------------------------------------------------- */

static struct vm_table_budget
tables_of(mach_task_t task)
{
    struct vm_table_budget b;

    if (vm_table_budget(task, VM_BUDGET_ASK, &b) != KERN_SUCCESS) {
        die("vm_table_budget");
    }
    return b;
}

static double
tables_kib(mach_task_t task)
{
    return tables_of(task).tables * (double)sysconf(_SC_PAGESIZE) / KiB;
}

static double
sweep(void)
{
    uint64_t t = now();

    touch_r(mem, LEN);
    return now() - t;
}

/* ---- kinds that the caller's own space is struck by ------------------- */

static kern_return_t
strike_page(void)
{
    return vm_discard(0, (vm_address_t)mem + LEN / 2, PG);
}

static kern_return_t
strike_range(void)
{
    return vm_discard(0, (vm_address_t)mem + LEN / 2, 16 * PG);
}

static kern_return_t
strike_table(void)
{
    return vm_discard_table(0, (vm_address_t)mem + LEN / 2);
}

static kern_return_t
strike_pmap(void)
{
    return vm_discard(0, 0, 0);
}

static kern_return_t
strike_all(void)
{
    return vm_discard(VM_ALL, 0, 0);
}

static uint64_t floor_tables;

/* The limit stays during the sweep. */
static kern_return_t
strike_budget(void)
{
    return vm_table_budget(0, floor_tables, NULL);
}

static const char *format[2];   /* what there is, and another */
static int format_now;

/* There and back by turns: the median is in the middle of both. */
static kern_return_t
strike_format(void)
{
    format_now ^= 1;
    return vm_configure(0, format[format_now]);
}

static void
format_find(void)
{
    static char text[256];
    char *names, *word;

    if (vm_configuration(0, text, sizeof text) != KERN_SUCCESS) {
        die("vm_configuration");
    }
    names = strchr(text, '\n') + 1;
    text[strcspn(text, ",")] = 0;
    for (word = strtok(names, " \n"); word; word = strtok(NULL, " \n")) {
        if (strcmp(word, text)) {
            break;
        }
    }
    format[0] = word ? text : "large";
    format[1] = word ? word : "nolarge";
    printf("# format: %s <-> %s\n", format[0], format[1]);
}

static const struct kind {
    const char *name;
    kern_return_t (*strike)(void);
    int huge;
} kinds[] = {
    { "page", strike_page, 0 },
    { "range_16p", strike_range, 0 },
    { "table", strike_table, 0 },
    { "pmap", strike_pmap, 0 },
    { "all", strike_all, 0 },
    { "budget", strike_budget, 0 },
    { "format", strike_format, 0 },
    { "page_thp", strike_page, 1 },
    { "pmap_thp", strike_pmap, 1 },
};

static void
emit_kind(const char *name, const double *call, const double *bill,
    const double *saved)
{
    static const char *const what[] = { "discard", "rebuild", "saved" };
    const double *v[] = { call, bill, saved };

    for (int k = 0; k < 3; k++) {
        for (int r = 0; r < REPS; r++) {
            sample(v[k][r]);
        }
        emit(k == 2 ? "KiB" : "ns", "%s_%s", what[k], name);
    }
}

static void
one_kind(const struct kind *k)
{
    double call[REPS + 1], bill[REPS + 1], saved[REPS + 1];
    mach_task_t task = k->strike == strike_all ? VM_BUDGET_MACHINE : 0;

    mem = anon(LEN, k->huge);
    touch_w(mem, LEN);
    for (int r = 0; r <= REPS; r++) {
        touch_r(mem, LEN);
        swept = sweep();
        saved[r] = tables_kib(task);
        uint64_t t = now();
        kern_return_t error = k->strike();
        call[r] = now() - t;
        if (error != KERN_SUCCESS) {
            printf("# FAIL discard_%s: error %d\n", k->name, error);
            break;
        }
        saved[r] -= tables_kib(task);
        bill[r] = sweep() - swept;
        if (k->strike == strike_budget) {
            (void)vm_table_budget(0, 0, NULL);
        }
        if (r == REPS) {
            /* The first round warmed up. */
            emit_kind(k->name, call + 1, bill + 1, saved + 1);
        }
    }
    if (format_now && strike_format() != KERN_SUCCESS) {
        die("vm_configure");
    }
    munmap(mem, LEN);
}

/* ---- all of a space, by what is resident ------------------------------ */

static void
by_size(const char *name, size_t len, int huge, int write)
{
    double call[REPS], freed[REPS], swept_after[REPS];
    char *p = anon(len, huge);

    touch_w(p, len);
    for (int r = -1; r < REPS; r++) {
        touch_w(p, len);
        (void)tables_of(0);
        uint64_t t = now();
        (void)tables_of(0);
        double asked = now() - t;
        t = now();
        if (vm_discard(0, 0, 0) != KERN_SUCCESS) {
            die("vm_discard");
        }
        uint64_t t1 = now();
        (void)tables_of(0);
        uint64_t t2 = now();
        (write ? touch_w : touch_r)(p, len);
        if (r >= 0) {
            swept_after[r] = (now() - t2) / (double)(len / PG);
            call[r] = t1 - t;
            freed[r] = t2 - t1 - asked;
        }
    }
    for (int k = write || huge ? 2 : 0; k < 3; k++) {
        for (int r = 0; r < REPS; r++) {
            sample(k == 0 ? call[r] : k == 1 ? freed[r] : swept_after[r]);
        }
        emit(k == 2 ? "ns/page" : "ns", "%s_%s", k == 0 ? "discard_pmap" :
            k == 1 ? "discard_free" : "sweep_discarded", name);
    }
    munmap(p, len);
}

/* ---- one that sleeps -------------------------------------------------- */

/* A child answers a byte with a byte; to 's' after a sweep, which it times. */
static void
sleeper(int in, int out, double *bill)
{
    char c;

    while (read(in, &c, 1) == 1) {
        if (c == 's') {
            double first = sweep();

            *bill = first - sweep();
        }
        if (write(out, &c, 1) != 1) {
            _exit(1);
        }
    }
    _exit(0);
}

static double
call_on(int in, int out, char c)
{
    uint64_t t = now();

    if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1) {
        die("pipe");
    }
    return now() - t;
}

static void
sleeping(void)
{
    double call[REPS], wake[REPS], bill[REPS], saved[REPS];
    double *res = shared(PG), awake;
    int to[2], from[2];

    mem = anon(LEN, 0);
    touch_w(mem, LEN);
    if (pipe(to) || pipe(from)) {
        die("pipe");
    }
    pid_t c = fork();
    if (!c) {
        close(to[1]);
        sleeper(to[0], from[1], res);
    }
    for (int r = -1; r < REPS; r++) {
        call_on(from[0], to[1], 's');
        call_on(from[0], to[1], 'w');
        awake = call_on(from[0], to[1], 'w');
        double before = tables_kib(c);
        uint64_t t = now();
        kern_return_t error = vm_doze(c);
        t = now() - t;
        double left = tables_kib(c), woken = call_on(from[0], to[1], 'w');
        if (error != KERN_SUCCESS) {
            printf("# FAIL discard_idle: error %d\n", error);
            break;
        }
        call_on(from[0], to[1], 's');
        if (r >= 0) {
            call[r] = t;
            saved[r] = before - left;
            wake[r] = woken - awake;
            bill[r] = *res + wake[r];
        }
        if (r == REPS - 1) {
            emit_kind("idle", call, bill, saved);
            for (int i = 0; i < REPS; i++) {
                sample(wake[i]);
            }
            emit("ns", "wake_idle");
        }
    }
    close(to[1]);
    reap(c);
    munmap(mem, LEN);
}

void
b_discard(void)
{
    struct vm_table_budget b;

    if (vm_table_budget(0, VM_BUDGET_ASK, &b) != KERN_SUCCESS) {
        printf("# discard: not measured, this kernel keeps its page tables\n");
        return;
    }
    floor_tables = b.floor;
    format_find();
    by_size("1M", MiB, 0, 0);
    by_size("64M", LEN, 0, 0);
    by_size("1024M", GiB, 0, 0);
    by_size("64M_write", LEN, 0, 1);
    by_size("64M_thp", LEN, 1, 0);
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        one_kind(&kinds[k]);
    }
    sleeping();
}

/* ---- the whole bill of a fork ----------------------------------------- */

enum bill { FORK, PARENT_READS, CHILD_READS, EXIT_WAIT, FREED, PARENT_WRITES,
    BILLS };
static const char *const bills[BILLS] = { "fork", "parent_reads",
    "child_reads", "exit_wait", "freed", "parent_writes" };

static uint64_t
since(uint64_t *t)
{
    uint64_t was = *t;

    *t = now();
    return *t - was;
}

static void
one_bill(char *p, size_t len, double *v, double *child)
{
    struct vm_table_budget b;
    int go[2], done[2];
    char c = 0;

    if (pipe(go) || pipe(done)) {
        die("pipe");
    }
    uint64_t t = now();
    pid_t pid = fork();
    if (!pid) {
        if (read(go[0], &c, 1) == 1) {
            t = now();
            touch_r(p, len);
            *child = now() - t;
        }
        _exit(write(done[1], &c, 1) != 1 || read(go[0], &c, 1) != 1);
    }
    v[FORK] = since(&t);
    touch_r(p, len);
    v[PARENT_READS] = since(&t);
    if (pid < 0 || write(go[1], &c, 1) != 1 || read(done[0], &c, 1) != 1) {
        die("fork");
    }
    v[CHILD_READS] = *child;
    since(&t);
    if (write(go[1], &c, 1) != 1) {
        die("pipe");
    }
    reap(pid);
    v[EXIT_WAIT] = since(&t);
    (void)vm_table_budget(0, VM_BUDGET_ASK, &b);
    v[FREED] = since(&t);
    touch_w(p, len);
    v[PARENT_WRITES] = since(&t);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(done[i]);
    }
}

void
b_bill(void)
{
    static double v[BILLS][REPS];
    double *child = shared(PG), one[BILLS];

    for (int m = 1; m <= 1024; m *= 32) {
        char *p = anon(m * MiB, 0);

        touch_w(p, m * MiB);
        for (int r = -1; r < 3; r++) {
            one_bill(p, m * MiB, one, child);
            for (int k = 0; k < BILLS && r >= 0; k++) {
                v[k][r] = one[k];
            }
        }
        for (int k = 0; k < BILLS; k++) {
            for (int r = 0; r < 3; r++) {
                sample(v[k][r]);
            }
            emit("ns", "bill_%s_%dM", bills[k], m);
        }
        munmap(p, m * MiB);
    }
    munmap(child, PG);
}
