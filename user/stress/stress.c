/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress - tasks that share, copy, fork and move memory while the kernel
 * throws page tables away; see tests/flow/flow.h, docs/stress.md.
 *
 *   stress [seed=N] [epochs=N] [seconds=N] [storm=BITS] [rate=N] ...
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "mach_vm.h"
#include "stress.h"

#define SILENCE         180000          /* ms without a word from any task */

struct stress stress;
static struct flow_args args;

/* Of the coordinator. */
static struct {
    struct flow_counts counts[FLOW_TASKS_MAX];
    uint64_t share[FLOW_TASKS_MAX];
    uint64_t digest;
    double told;
    struct timespec start;
} run;

static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - run.start.tv_sec) +
        (double)(now.tv_nsec - run.start.tv_nsec) / 1e9;
}

/* ---- a task ----------------------------------------------------------- */

void
stress_send(const struct flow_task *t, enum stress_word word,
    uint64_t share)
{
    struct stress_message m = {
        .task = t->number, .word = (uint32_t)word, .share = share,
        .counts = t->counts,
    };

    /* Shorter than PIPE_BUF, so in one piece. */
    if (write(stress.up[1], &m, sizeof(m)) != (ssize_t)sizeof(m)) {
        _exit(3);
    }
}

/* The letter that opens the barrier. */
static char
pass(struct flow_task *t, enum stress_word word, uint64_t share)
{
    char c;

    stress_send(t, word, share);
    while (read(stress.down[t->number][0], &c, 1) != 1) {
        if (errno != EINTR) {
            _exit(3);
        }
    }
    return c;
}

static void
work(struct flow_task *t)
{
    char c;

    for (uint32_t epoch = 1; ; epoch++) {
        flow_begin(t, epoch);
        while (flow_step(t)) {
            continue;
        }
        (void)pass(t, STRESS_READY, 0);
        flow_exchange(t);
        (void)pass(t, STRESS_READY, 0);
        c = pass(t, STRESS_DONE, flow_is_check(epoch) ? flow_digest(t) : 0);
        if (c == 's') {
            return;
        }
    }
}

static void __attribute__((noreturn, format(printf, 1, 2)))
cannot(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("stress: cannot ");
    vprintf(fmt, ap);
    printf(": %s\n", strerror(errno));
    va_end(ap);
    fflush(stdout);
    _exit(2);
}

/*
 * This process becomes a task, and its child the next; the last has none.
 * Does not return.
 */
static void __attribute__((noreturn))
run_tasks(void)
{
    unsigned number = 0;
    struct flow_task t;
    int status = 0;
    pid_t next;

    do {
        if (!flow_init(&t, &stress.config, stress_os(), number)) {
            cannot("have task %u", number);
        }
        if (number == 0) {
            stress_make_memory(&stress.config);
            flow_prepare(&t);
        }
        stress.pids[number] = getpid();
        next = ++number < stress.config.tasks ? fork() : -1;
        if (next < 0 && number < stress.config.tasks) {
            cannot("fork task %u", number);
        }
        if (next == 0) {
            flow_end(&t);
        }
    } while (next == 0);
    work(&t);
    while (next > 0 && waitpid(next, &status, 0) == -1 && errno == EINTR) {
        continue;
    }
    _exit(status == 0 ? 0 : 1);
}

/* ---- the coordinator -------------------------------------------------- */

static size_t
tell_kinds(char *buf, size_t size, const char *what, const uint64_t counts[])
{
    static const char *const names[] = VM_STORM_NAMES;
    size_t n = (size_t)snprintf(buf, size, ", \"%s\": {", what);

    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        n += (size_t)snprintf(buf + n, size - n, "%s\"%s\": %llu",
            i == 0 ? "" : ", ", names[i], (unsigned long long)counts[i]);
    }
    return n + (size_t)snprintf(buf + n, size - n, "}");
}

static void
tell(const char *what, uint32_t epoch)
{
    struct flow_counts sum = { 0 };
    struct vm_storm_report r;
    struct vm_table_budget b = { 0 };
    char more[2048] = "";
    size_t n;

    for (unsigned i = 0; i < stress.config.tasks; i++) {
        flow_add(&sum, &run.counts[i]);
    }
    if (vm_storm_report(&r) == KERN_SUCCESS) {
        (void)vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b);
        n = (size_t)snprintf(more, sizeof(more), ", \"faults\": %llu, "
            "\"rebuilds\": %llu, \"tables\": %llu, \"peak\": %llu, "
            "\"mismatches\": %llu", (unsigned long long)r.faults,
            (unsigned long long)r.soft_faults,
            (unsigned long long)r.tables_made, (unsigned long long)b.peak,
            (unsigned long long)r.mismatches);
        n += tell_kinds(more + n, sizeof(more) - n, "discards", r.done);
        (void)tell_kinds(more + n, sizeof(more) - n, "refused", r.refused);
    }
    flow_tell(what, epoch, run.digest, seconds(), &sum, more);
}

static int
finish(bool good)
{
    if (args.storm != 0) {
        (void)vm_storm(0, 0, 0, 0);
    }
    if (!good) {
        for (unsigned i = 0; i < stress.config.tasks; i++) {
            if (stress.pids[i] != 0) {
                (void)kill(stress.pids[i], SIGKILL);
            }
        }
    }
    while (wait(NULL) > 0 || errno == EINTR) {
        continue;
    }
    if (good && args.budget != 0) {
        (void)vm_table_budget(VM_BUDGET_MACHINE, 0, NULL);
    }
    if (good) {
        printf("flow {\"clean\": true}\n");
    }
    fflush(stdout);
    return good ? 0 : 1;
}

/* Wait until all tasks have sent word; false: one has failed. */
static bool
gather(enum stress_word word)
{
    struct pollfd up = { .fd = stress.up[0], .events = POLLIN };
    struct stress_message m;
    unsigned n = 0;

    while (n < stress.config.tasks) {
        int ready = poll(&up, 1, SILENCE);

        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0 ||
            read(stress.up[0], &m, sizeof(m)) != (ssize_t)sizeof(m)) {
            printf("STUCK: no word from any task\n");
            return false;
        }
        run.counts[m.task] = m.counts;
        if (m.word != (uint32_t)word) {
            return false;
        }
        run.share[m.task] = m.share;
        n++;
    }
    return true;
}

static void
open_barrier(char letter)
{
    for (unsigned i = 0; i < stress.config.tasks; i++) {
        if (write(stress.down[i][1], &letter, 1) != 1) {
            perror("stress: pipe");
        }
    }
}

static bool
end_of_epoch(uint32_t epoch)
{
    double s = seconds();

    for (unsigned i = 0; flow_is_check(epoch) && i < stress.config.tasks;
            i++) {
        run.digest = flow_chain(run.digest, run.share[i]);
    }
    if (flow_is_done(&args, epoch, s)) {
        tell("end", epoch);
        return true;
    }
    if (flow_tells(epoch, s, &run.told)) {
        tell("progress", epoch);
    }
    return false;
}

static int
coordinate(void)
{
    bool over = false;

    for (uint32_t epoch = 1; !over; epoch++) {
        for (unsigned i = 0; i < 2; i++) {
            if (!gather(STRESS_READY)) {
                tell("failed", epoch);
                return finish(false);
            }
            open_barrier('g');
        }
        if (!gather(STRESS_DONE)) {
            tell("failed", epoch);
            return finish(false);
        }
        over = end_of_epoch(epoch);
        open_barrier(over ? 's' : 'g');
    }
    return finish(true);
}

static bool
begin_storm(void)
{
    struct vm_table_budget b = { 0 };

    if (args.budget != 0 && vm_table_budget(VM_BUDGET_MACHINE, args.budget,
            &b) != KERN_SUCCESS) {
        fprintf(stderr, "stress: a budget of %llu tables is refused; the "
            "least is %llu\n", (unsigned long long)args.budget,
            (unsigned long long)b.floor);
        return false;
    }
    if (args.storm != 0 && vm_storm((uint32_t)args.storm, args.rate,
            args.config.seed, args.budget) != KERN_SUCCESS) {
        fprintf(stderr, "stress: the kernel refuses the storm\n");
        return false;
    }
    return true;
}

static bool
make_pipes(void)
{
    bool ok = pipe(stress.up) == 0;

    for (unsigned i = 0; i < stress.config.tasks; i++) {
        ok = ok && pipe(stress.down[i]) == 0;
    }
    stress.pids = mmap(NULL, FLOW_TASKS_MAX * sizeof(*stress.pids),
        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return ok && stress.pids != MAP_FAILED;
}

int
main(int argc, char **argv)
{
    static char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    stress.self = n > 0 ? self : argv[0];
    stress_catch();
    if (argc > 0 && strcmp(argv[0], "executed") == 0) {
        return stress_executed(argc, argv);
    }
    if (!flow_parse(argc - 1, argv + 1, &args, NULL)) {
        return 2;
    }
    stress.config = args.config;
    if (!make_pipes()) {
        perror("stress");
        return 2;
    }
    stress_make_files(&stress.config);
    clock_gettime(CLOCK_MONOTONIC, &run.start);
    if (!begin_storm()) {
        return 2;
    }
    switch (fork()) {
    case -1:
        perror("stress: fork");
        return 2;
    case 0:
        run_tasks();
    }
    return coordinate();
}
