/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_main.c - a stress run on the simulated machine: some CPUs carry the
 * tasks, one strikes (mi/vm_storm.c), one answers for the files.
 *
 * Tasks change their CPU with each epoch, and share it in slices.  fibers=1:
 * by the seeded scheduler, so that the same words are the same run, step by
 * step; else real threads.  schedule=N: another order of the same work.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash flavours=debug,opt */
/* pal: machines=x86_64,riscv64 flavours=tsan */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim_os.h"
#include "vm_mutant.h"
#include "vm_stat.h"
#include "vm_storm.h"

#define SLICE           24u             /* most steps of a task in a row */
#define SERVED          ((uint64_t)1 << 14)     /* slots of swap */

static struct flow_args args;
static uint64_t cpus = 4, fibers, format = UINT64_MAX, ram_mib = 64, shift;
static uint64_t formats, schedule = UINT64_MAX;
static const struct flow_arg more_args[] = {
    { "cpus", &cpus }, { "fibers", &fibers }, { "format", &format },
    { "ram", &ram_mib }, { "shift", &shift }, { "formats", &formats },
    { "schedule", &schedule },
    { NULL, NULL }
};

static struct {
    _Atomic uint32_t arrived, turn;     /* of the barrier */
    _Atomic bool over;
    uint64_t share[FLOW_TASKS_MAX];     /* of this epoch's digest */
    uint64_t digest;
    double told;
    struct timespec start;
    _Atomic uint64_t done[VM_STORM_KINDS], refused[VM_STORM_KINDS];
} run;

static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - run.start.tv_sec) +
        (double)(now.tv_nsec - run.start.tv_nsec) / 1e9;
}

/* ---- what is told ----------------------------------------------------- */

static size_t
tell_kinds(char *buf, size_t size, const char *what,
    const _Atomic uint64_t counts[])
{
    size_t n = (size_t)snprintf(buf, size, ", \"%s\": {", what);

    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        n += (size_t)snprintf(buf + n, size - n, "%s\"%s\": %llu",
            i == 0 ? "" : ", ", vm_storm_names[i],
            (unsigned long long)vm_get(&counts[i]));
    }
    return n + (size_t)snprintf(buf + n, size - n, "}");
}

static void
tell(const char *what, uint32_t epoch)
{
    struct flow_counts sum = { 0 };
    struct pmap_events events;
    uint64_t stat[VM_STAT_COUNT];
    struct pmap_budget budget;
    char more[2048];
    size_t n;

    for (unsigned i = 0; i < args.config.tasks; i++) {
        flow_add(&sum, &sim_task(i)->counts);
    }
    vm_stat_events(stat);
    pmap_events(&events);
    pmap_budget(&budget);
    n = (size_t)snprintf(more, sizeof(more), ", \"faults\": %llu, "
        "\"rebuilds\": %llu, \"tables\": %llu, \"peak\": %llu, "
        "\"mismatches\": %llu",
        (unsigned long long)stat[VM_STAT_FAULTS],
        (unsigned long long)stat[VM_STAT_FAULT_SOFT],
        (unsigned long long)events.tables_made,
        (unsigned long long)budget.peak,
        (unsigned long long)stat[VM_STAT_MISMATCHES]);
    n += tell_kinds(more + n, sizeof(more) - n, "discards", run.done);
    n += tell_kinds(more + n, sizeof(more) - n, "refused", run.refused);
    (void)snprintf(more + n, sizeof(more) - n, ", \"trace\": \"%016llx\"",
        (unsigned long long)(fibers != 0 ? host_trace() : 0));
    flow_tell(what, epoch, run.digest, seconds(), &sum, more);
}

/* ---- CPUs ------------------------------------------------------------- */

/* The last to arrive does what is to be done alone. */
static void
barrier(uint32_t epoch, void (*alone)(uint32_t epoch))
{
    uint32_t turn = atomic_load(&run.turn);

    if (atomic_fetch_add(&run.arrived, 1) + 1 == cpus) {
        if (alone != NULL) {
            alone(epoch);
        }
        atomic_store(&run.arrived, 0);
        atomic_fetch_add(&run.turn, 1);
        kern_wake((_Atomic uint32_t *)&run.turn);
        return;
    }
    while (atomic_load(&run.turn) == turn) {
        (void)kern_wait(&run.turn, turn, false);
    }
}

static void
end_of_epoch(uint32_t epoch)
{
    double s = seconds();

    if (!flow_is_check(epoch)) {
        return;
    }
    for (unsigned i = 0; i < args.config.tasks; i++) {
        run.digest = flow_chain(run.digest, run.share[i]);
    }
    if (flow_is_done(&args, epoch, s)) {
        tell("end", epoch);
        atomic_store(&run.over, true);
    } else if (flow_tells(epoch, s, &run.told)) {
        tell("progress", epoch);
    }
}

static struct flow_task *
task_of(unsigned cpu, uint32_t epoch, unsigned i)
{
    unsigned number = i * (unsigned)cpus + (cpu + epoch) % (unsigned)cpus;

    return number < args.config.tasks ? sim_task(number) : NULL;
}

static void
phase_1(unsigned cpu, uint32_t epoch, uint64_t *random)
{
    bool busy[FLOW_TASKS_MAX], any = true;
    struct flow_task *t;

    for (unsigned i = 0; (t = task_of(cpu, epoch, i)) != NULL; i++) {
        flow_begin(t, epoch);
        busy[i] = true;
    }
    while (any) {
        any = false;
        for (unsigned i = 0; (t = task_of(cpu, epoch, i)) != NULL; i++) {
            uint64_t slice = 1 + flow_random(random) % SLICE;

            while (busy[i] && slice-- > 0) {
                busy[i] = flow_step(t);
            }
            any = any || busy[i];
        }
    }
}

static void
work(unsigned cpu)
{
    uint64_t random = host_derive(300 + cpu);
    struct flow_task *t;

    for (uint32_t epoch = 1; !atomic_load(&run.over); epoch++) {
        phase_1(cpu, epoch, &random);
        barrier(epoch, NULL);
        for (unsigned i = 0; (t = task_of(cpu, epoch, i)) != NULL; i++) {
            flow_exchange(t);
        }
        barrier(epoch, NULL);
        for (unsigned i = 0; flow_is_check(epoch) &&
                (t = task_of(cpu, epoch, i)) != NULL; i++) {
            run.share[t->number] = flow_digest(t);
        }
        barrier(epoch, end_of_epoch);
    }
}

/* So many a second, or, in fibers, one in so many steps. */
static void
pace(uint64_t struck)
{
    if (fibers != 0) {
        host_sleep_steps(args.rate == 0 ? 20 : 2000000 / args.rate);
    } else if (args.rate != 0) {
        double early = (double)struck / (double)args.rate - seconds();

        if (early > 0) {
            host_sleep_steps(early < 0.01 ? (uint64_t)(early * 1e6) : 10000);
        }
    }
}

static void
strike(void)
{
    uint64_t struck = 0;
    struct vm_storm s;

    vm_storm_begin(&s, (uint32_t)args.storm, host_derive(200));
    s.budget = args.budget;
    while (!atomic_load(&run.over)) {
        enum vm_storm_kind kind = vm_storm_step(&s);

        vm_set(&run.done[kind], s.done[kind]);
        vm_set(&run.refused[kind], s.refused[kind]);
        pace(++struck);
    }
    vm_storm_end(&s);
}

static void
run_cpu(unsigned cpu, void *arg)
{
    (void)arg;
    if (cpu < cpus) {
        work(cpu);
    } else {
        strike();
    }
}

/* ---- the run ---------------------------------------------------------- */

static void
boot(void)
{
    struct world_config w = {
        .seed = schedule != UINT64_MAX ? schedule : args.config.seed,
        .swap = SERVED,
        .cpus = (unsigned)cpus + 1,
        .format = (unsigned)(format != UINT64_MAX ? format :
            args.config.seed % world_formats()),
        .page_shift = (unsigned)shift,
        .ahead = 8,
    };
    unsigned least = pmap_format_page_shift(w.format);

    w.ram = (ram_mib << 20) >> (w.page_shift > least ? w.page_shift : least);
    world_boot(&w);
#if VM_TEST
    pmap_test_delay = (unsigned)args.delay;
#endif
    if (args.budget != 0 && pmap_set_budget(args.budget) != VM_OK) {
        fprintf(stderr, "stress: a budget of %llu tables is refused; the "
            "least is %llu\n", (unsigned long long)args.budget,
            (unsigned long long)pmap_budget_floor());
        exit(2);
    }
}

static bool
is_valid(void)
{
    if (format != UINT64_MAX && format >= world_formats()) {
        fprintf(stderr, "stress: no such format; there are:");
        for (unsigned i = 0; i < world_formats(); i++) {
            fprintf(stderr, " %u (%s)", i, pmap_format_name(i));
        }
        fprintf(stderr, "\n");
        return false;
    }
    if (cpus == 0 || cpus > FLOW_TASKS_MAX || ram_mib < 16 ||
        args.storm >> VM_STORM_KINDS != 0) {
        fprintf(stderr, "stress: cpus are 1 to %u, ram at least 16, storm "
            "has %u bits\n", FLOW_TASKS_MAX, VM_STORM_KINDS);
        return false;
    }
    return true;
}

/* The last word may be mutant=NAME; false: there is none of that name. */
static bool
take_mutant(int *argc, char **argv)
{
    static const char word[] = "mutant=";
    const char *last = argv[*argc - 1];

    if (strncmp(last, word, sizeof(word) - 1) != 0) {
        return true;
    }
    --*argc;
#if VM_TEST
    if (vm_mutant_choose(last + sizeof(word) - 1)) {
        return true;
    }
#endif
    fprintf(stderr, "stress: no mutant is called %s\n",
        last + sizeof(word) - 1);
    return false;
}

int
main(int argc, char **argv)
{
    if (!take_mutant(&argc, argv) ||
        !flow_parse(argc - 1, argv + 1, &args, more_args)) {
        return 2;
    }
    if (formats != 0) {
        for (unsigned i = 0; i < world_formats(); i++) {
            printf("%s\n", pmap_format_name(i));
        }
        return 0;
    }
    if (!is_valid()) {
        return 2;
    }
    boot();
    sim_tasks_begin(&args.config);
    clock_gettime(CLOCK_MONOTONIC, &run.start);
    host_set_mode(fibers != 0 ? HOST_FIBERS : HOST_THREADS);
    world_run((unsigned)cpus + (args.storm != 0 ? 1 : 0), run_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    world_serve();
    world_check();
    sim_tasks_end();
    if (args.budget != 0) {
        WORLD_OK(pmap_set_budget(0));
    }
    world_end();
    printf("flow {\"clean\": true}\n");
    return 0;
}
