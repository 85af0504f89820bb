/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_tables.c - calls on page tables: their format, budget, storms, healing
 * and sleep, each with its errors; and programs that compute on meanwhile.
 */
/* pal: options="idle=200" */
/* pal: name=16k arches=aarch64 options="idle=200 page=16384 format=16k" */
/* pal: name=64k arches=aarch64 options="page=65536 format=16k" mem=1G */
/* pal: name=tables options="idle=200 tables=40" */
/* pal: name=storm options="idle=200 storm=page,table,pmap,idle,asid:500" */
#include "uprobe.h"

#include <pthread.h>

#include "mach_vm.h"

#define ADDRESS(p)  ((vm_address_t)(uintptr_t)(p))
#define BEYOND      ((vm_address_t)1 << 63)
#define OK(x)       UCHECK((x) == KERN_SUCCESS)
#define FORMATS     8
#define IDLE_MS     200

static size_t page;
static const char *const storm_names[VM_STORM_KINDS] = VM_STORM_NAMES;

/* What the task has, and all that it may have. */
static char configured[128], *formats[FORMATS];
static unsigned nformats;

static void
read_configuration(mach_task_t task)
{
    char *line;

    OK(vm_configuration(task, configured, sizeof(configured)));
    line = strchr(configured, '\n');
    UCHECK(line != NULL);
    *line++ = 0;
    nformats = 0;
    for (char *w = strtok(line, " \n"); w != NULL && nformats < FORMATS;
        w = strtok(NULL, " \n")) {
        formats[nformats++] = w;
    }
    UCHECK(nformats > 0);
}

static void
tables_begin(void)
{
    page = page_size();
    if (!is_palimpsest()) {
        USKIP("no Mach calls here");
    }
    read_configuration(0);
    probe_init();
}

static uint64_t
mismatches(void)
{
    struct vm_storm_report r;
    uint64_t n = 1;

    OK(vm_heal(VM_ALL, 0, &n));
    OK(vm_storm_report(&r));
    return n + r.mismatches;
}

/* A thread that was joined may still be on its way out. */
static void
check(void)
{
    kern_return_t r;

    for (unsigned i = 0; i < 100; i++) {
        r = vm_check(0);
        if (r != KERN_FAILURE) {
            break;
        }
        usleep(1000);
    }
    OK(r);
}

/* ---- work that goes wrong if a byte does -------------------------------- */

#define WORK_PAGES 300

struct work {
    char *memory;
    uint64_t seed;
    volatile int stop;
    volatile unsigned rounds;
};

static uint64_t
word_of(uint64_t seed, size_t i, unsigned round)
{
    return (seed + i * 0x9e3779b97f4a7c15u) ^ (uint64_t)round << 32;
}

/* Write and verify a word of each page, round after round. */
static void *
work(void *arg)
{
    struct work *w = arg;

    while (!w->stop) {
        for (size_t i = 0; i < WORK_PAGES; i++) {
            uint64_t *at = (uint64_t *)(void *)(w->memory + i * page);

            if (w->rounds > 0 &&
                *at != word_of(w->seed, i, w->rounds - 1)) {
                return "a word is not what was written";
            }
            *at = word_of(w->seed, i, w->rounds);
        }
        w->rounds++;
    }
    return NULL;
}

static void
work_begin(struct work *w, uint64_t seed, pthread_t *thread)
{
    *w = (struct work){ map_pages(WORK_PAGES, RW, PRIVATE), seed, 0, 0 };
    UCHECK(pthread_create(thread, NULL, work, w) == 0);
    while (w->rounds == 0) {
        usleep(1000);
    }
}

static void
work_end(struct work *w, pthread_t thread)
{
    void *wrong;

    w->stop = 1;
    UCHECK(pthread_join(thread, &wrong) == 0);
    if (wrong != NULL) {
        utest_fail(__FILE__, __LINE__, wrong);
    }
    UCHECK(w->rounds > 0);
}

/* A child that sleeps until the pipe is closed, and then verifies. */
static pid_t
sleeper(const char *p, int c, size_t n, int pipes[2])
{
    pid_t pid = fork();
    char b;

    UCHECK(pid >= 0);
    if (pid == 0) {
        close(pipes[1]);
        (void)!read(pipes[0], &b, 1);
        _exit(is_filled(p, c, n) ? 0 : 1);
    }
    return pid;
}

static int
exit_of(pid_t pid)
{
    int status;

    UCHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* ---- the format --------------------------------------------------------- */

UTEST(configuration)
{
    char text[128];
    size_t n;

    tables_begin();
    OK(vm_configuration(getpid(), text, sizeof(text)));
    n = strlen(text) + 1;
    UCHECK(strchr(text, '\n') != NULL && text[n - 2] == '\n');
    memset(text, 'x', sizeof(text));
    UCHECK(vm_configuration(0, text, n - 1) == KERN_NO_SPACE);
    UCHECK(vm_configuration(0, text, 0) == KERN_NO_SPACE && text[0] == 'x');
    OK(vm_configuration(0, text, n));
    UCHECK(vm_configuration(0, (void *)8, 128) == KERN_INVALID_ADDRESS);
    UCHECK(vm_configuration(0, (void *)BEYOND, 128) ==
        KERN_INVALID_ADDRESS);
    UCHECK(vm_configuration(1, text, n) == KERN_INVALID_TASK);
    UCHECK(vm_configuration(-1, text, n) == KERN_INVALID_TASK);
}

UTEST(configure_errors)
{
    static const char *const bad[] = {
        "", ",", "sv40", "SV39", "tagged,", ",tagged", "tagged large",
        "tagged,,large", "tagge", "taggedd", "0", "large,nothing"
    };
    char long_name[5000];

    tables_begin();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        UCHECK(vm_configure(0, bad[i]) == KERN_INVALID_ARGUMENT);
    }
    memset(long_name, 'a', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = 0;
    UCHECK(vm_configure(0, long_name) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_configure(0, NULL) == KERN_INVALID_ADDRESS);
    UCHECK(vm_configure(0, (char *)BEYOND) == KERN_INVALID_ADDRESS);
    UCHECK(vm_configure(1, formats[0]) == KERN_INVALID_TASK);
    UCHECK(vm_configure(getppid(), formats[0]) == KERN_INVALID_TASK);
    UCHECK(vm_configure(12345, formats[0]) == KERN_INVALID_TASK);
    UCHECK(vm_configure(-1, formats[0]) == KERN_INVALID_TASK);
    check();
}

/* Formats, with and without tags and large leaves, under a thread's hands. */
UTEST(configure_running)
{
    static const char *const flags[] = {
        "tagged", "untagged", "large", "nolarge"
    };
    unsigned changed = 0;
    pthread_t thread;
    struct work w;
    char what[64];

    tables_begin();
    work_begin(&w, 7, &thread);
    for (unsigned i = 0; i < 100; i++) {
        const char *format = formats[i % nformats];
        kern_return_t r;

        snprintf(what, sizeof(what), "%s,%s", format, flags[i / 3 % 4]);
        r = vm_configure(0, what);
        /* An address of ours may be out of its reach; law 7. */
        UCHECK(r == KERN_SUCCESS || r == KERN_NO_SPACE ||
            r == KERN_FAILURE);
        changed += r == KERN_SUCCESS;
        if (r == KERN_SUCCESS) {
            char present[sizeof(configured)];

            OK(vm_configuration(0, present, sizeof(present)));
            UCHECK(strncmp(present, format, strlen(format)) == 0 &&
                present[strlen(format)] == ',');
        }
        usleep(1000);
    }
    work_end(&w, thread);
    UCHECK(changed > 0);
    OK(vm_configure(0, configured));
    UCHECK(mismatches() == 0);
    check();
}

/* What the parent has its child has, and a child's is the child's own. */
UTEST(configure_child)
{
    char *p, present[128];
    int pipes[2];
    pid_t pid;

    tables_begin();
    p = map_pages(64, RW, PRIVATE);
    memset(p, 3, 64 * page);
    OK(vm_configure(0, "untagged"));
    UCHECK(pipe(pipes) == 0);
    pid = sleeper(p, 3, 64 * page, pipes);
    OK(vm_configuration(pid, present, sizeof(present)));
    UCHECK(strstr(present, ",untagged,") != NULL);
    OK(vm_configure(pid, "tagged"));
    OK(vm_configuration(0, present, sizeof(present)));
    UCHECK(strstr(present, ",untagged,") != NULL);
    memset(p, 4, 64 * page);
    close(pipes[1]);
    UCHECK(exit_of(pid) == 0);
}

/* ---- discards ----------------------------------------------------------- */

UTEST(discard_tables)
{
    struct vm_storm_report before, after;
    pthread_t thread;
    struct work w;

    tables_begin();
    OK(vm_storm_report(&before));
    work_begin(&w, 1, &thread);
    for (unsigned i = 0; i < 300; i++) {
        /* Refused for a moment: law 7. */
        kern_return_t r = i % 3 == 0 ? vm_discard(VM_ALL, 0, 0) :
            i % 3 == 1 ? vm_discard_table(0, ADDRESS(w.memory) + i * page) :
            vm_discard(0, 0, 0);

        UCHECK(r == KERN_SUCCESS || r == KERN_FAILURE);
        if (i % 16 == 0) {
            usleep(100);
        }
    }
    work_end(&w, thread);
    OK(vm_storm_report(&after));
    UCHECK(after.discards > before.discards);
    UCHECK(after.table_discards > before.table_discards);
    UCHECK(vm_discard_table(0, BEYOND) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_discard_table(0, -1) == KERN_INVALID_ARGUMENT);
    OK(vm_discard_table(0, ADDRESS(&w) + 1));
    UCHECK(vm_discard_table(1, ADDRESS(&w)) == KERN_INVALID_TASK);
    UCHECK(vm_discard_table(-1, ADDRESS(&w)) == KERN_INVALID_TASK);
    UCHECK(vm_discard(-1, page, page) == KERN_INVALID_TASK);
    UCHECK(mismatches() == 0);
    check();
}

/* ---- the budget --------------------------------------------------------- */

UTEST(budget_errors)
{
    struct vm_table_budget b, *bad;

    tables_begin();
    OK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b));
    UCHECK(b.tables > 0 && b.peak >= b.tables && b.floor > 1);
    UCHECK(b.limit == 0 || b.limit >= b.tables);
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    OK(vm_table_budget(getpid(), VM_BUDGET_ASK, NULL));
    UCHECK(b.limit == 0 && b.tables > 0);
    UCHECK(vm_table_budget(0, b.floor - 1, &b) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_table_budget(0, 1, NULL) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_table_budget(VM_BUDGET_MACHINE, b.floor - 1, NULL) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_table_budget(1, 0, NULL) == KERN_INVALID_TASK);
    UCHECK(vm_table_budget(getppid(), 0, NULL) == KERN_INVALID_TASK);
    UCHECK(vm_table_budget(-2, 0, NULL) == KERN_INVALID_TASK);
    bad = (struct vm_table_budget *)map_pages(1, PROT_READ, PRIVATE);
    UCHECK(vm_table_budget(0, b.floor, bad) == KERN_INVALID_ADDRESS);
    UCHECK(vm_table_budget(0, b.floor, (void *)8) == KERN_INVALID_ADDRESS);
    UCHECK(vm_table_budget(-1, b.floor, (void *)BEYOND) ==
        KERN_INVALID_ADDRESS);
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    UCHECK(b.limit == 0);
}

/* A page in each of many tables, under a limit of a few. */
static void
touch_widely(uint64_t limit, mach_task_t whose)
{
    size_t step = page * (page / 8), count = 64;
    struct vm_table_budget b;
    char *p = mmap(NULL, step * count, RW, PRIVATE | MAP_NORESERVE, -1, 0);

    UCHECK(p != MAP_FAILED);
    OK(vm_table_budget(whose, limit, &b));
    UCHECK(b.limit == limit);
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < count; i++) {
            UCHECK(round == 0 || p[i * step] == (char)(i + round - 1));
            p[i * step] = (char)(i + round);
        }
        OK(vm_table_budget(whose, VM_BUDGET_ASK, &b));
        UCHECK(b.tables <= limit && b.peak <= limit);
    }
    OK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b));
    UCHECK(b.evicted > 0);
    OK(vm_table_budget(whose, 0, &b));
    UCHECK(b.limit == 0);
    UCHECK(munmap(p, step * count) == 0);
    check();
}

UTEST(budget_task)
{
    struct vm_table_budget b;

    tables_begin();
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    touch_widely(b.floor, 0);
    touch_widely(b.floor + 7, 0);
    UCHECK(mismatches() == 0);
}

UTEST(budget_machine)
{
    struct vm_table_budget b;

    tables_begin();
    OK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b));
    touch_widely(b.floor, VM_BUDGET_MACHINE);
    touch_widely(b.floor + 7, VM_BUDGET_MACHINE);
    UCHECK(mismatches() == 0);
}

/* ---- storms ------------------------------------------------------------- */

UTEST(storm_errors)
{
    struct vm_storm_report r;
    struct vm_table_budget b;

    tables_begin();
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    UCHECK(vm_storm(1u << VM_STORM_KINDS, 1, 1, 0) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_storm(~0u, 1, 1, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_storm(1, VM_STORM_RATE_MAX + 1, 1, 0) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_storm(1, UINT64_MAX, 1, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_storm(1u << VM_STORM_BUDGET, 1, 1, b.floor - 1) ==
        KERN_INVALID_ARGUMENT);
    OK(vm_storm(0, 0, 0, 0));
    OK(vm_storm_report(&r));
    UCHECK(r.kinds == 0);
    OK(vm_storm(0, 0, 0, 0));
    UCHECK(vm_storm_report((void *)8) == KERN_INVALID_ADDRESS);
    UCHECK(vm_storm_report((void *)BEYOND) == KERN_INVALID_ADDRESS);
    OK(vm_storm(1u << VM_STORM_PMAP, 1, UINT64_MAX, 0));
    OK(vm_storm(1u << VM_STORM_PAGE, 100, 5, 0));
    OK(vm_storm_report(&r));
    UCHECK(r.kinds == 1u << VM_STORM_PAGE && r.rate == 100 && r.seed == 5);
    OK(vm_storm(0, 0, 0, 0));
}

/* It leaves alone what it did not blow at. */
UTEST(storm_leaves)
{
    struct vm_table_budget b;
    char first[sizeof(configured)], was[sizeof(configured)];

    tables_begin();
    memcpy(first, configured, sizeof(first));
    OK(vm_table_budget(0, 1000, NULL));
    OK(vm_storm(1u << VM_STORM_SPLIT, 1000, 1, 0));
    usleep(5000);
    OK(vm_storm(0, 0, 0, 0));
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    UCHECK(b.limit == 1000);
    OK(vm_configure(0, "untagged"));
    read_configuration(0);
    memcpy(was, configured, sizeof(was));
    OK(vm_storm(1u << VM_STORM_BUDGET, 1000, 1, 0));
    usleep(5000);
    OK(vm_storm(0, 0, 0, 0));
    read_configuration(0);
    UCHECK(strcmp(was, configured) == 0);
    OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
    UCHECK(b.limit == 0);
    OK(vm_configure(0, first));
}

static uint64_t
done(const struct vm_storm_report *r)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        n += r->done[i];
    }
    return n;
}

/* ms of a storm over work that is verified. */
static void
storm_over_work(uint32_t kinds, uint64_t rate, unsigned ms)
{
    struct vm_storm_report r;
    pthread_t thread;
    struct work w;

    work_begin(&w, kinds, &thread);
    OK(vm_storm(kinds, rate, 42, 0));
    usleep(ms * 1000);
    OK(vm_storm(0, 0, 0, 0));
    OK(vm_storm_report(&r));
    work_end(&w, thread);
    UCHECK(r.kinds == 0 && done(&r) > 0 && r.mismatches == 0);
    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        UCHECK((kinds >> i & 1) != 0 || r.done[i] + r.refused[i] == 0);
    }
    printf("# %s%s: %llu blows, %u rounds of %d pages in %llu ms\n",
        storm_names[__builtin_ctz(kinds)],
        (kinds & (kinds - 1)) != 0 ? "..." : "",
        (unsigned long long)done(&r), w.rounds, WORK_PAGES,
        (unsigned long long)(r.nanoseconds / 1000000));
    UCHECK(mismatches() == 0);
    check();
}

UTEST(storm_each)
{
    tables_begin();
    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        storm_over_work(1u << i, 2000, 200);
    }
}

UTEST(storm_all)
{
    tables_begin();
    storm_over_work((1u << VM_STORM_KINDS) - 1, 1000, 1000);
    storm_over_work((1u << VM_STORM_KINDS) - 1, 0, 1000);
}

/* A call that a storm and another thread are in the way of. */
static kern_return_t
any_call(uint64_t random, vm_address_t memory)
{
    vm_address_t far = (random >> 8) % ((vm_address_t)1 << 48);
    struct vm_table_budget b;
    uint64_t n = 0;

    switch (random % 8) {
    case 0:
        return vm_configure(0, formats[(random >> 8) % nformats]);
    case 1:
        return vm_discard(0, memory + (random >> 8) % 99 * page, page);
    case 2:
        return vm_discard(0, far & ~(page - 1), 600 * page);
    case 3:
        return vm_discard_table(0, far);
    case 4:
        OK(vm_table_budget(0, VM_BUDGET_ASK, &b));
        return vm_table_budget(0, (random & 64) != 0 ? 0 : b.floor + 4,
            NULL);
    case 5:
        OK(vm_heal(VM_ALL, 1, &n));
        return n == 0 ? KERN_SUCCESS : -1;
    case 6:
        return vm_discard(VM_ALL, 0, 0);
    }
    return vm_doze(0);
}

UTEST(calls_in_storm)
{
    pthread_t thread;
    struct work w;
    uint64_t random = 1;

    tables_begin();
    work_begin(&w, 9, &thread);
    OK(vm_storm((1u << VM_STORM_KINDS) - 1, 20000, 3, 0));
    for (unsigned i = 0; i < 4000; i++) {
        kern_return_t r;

        random = random * 6364136223846793005u + 1442695040888963407u;
        r = any_call(random >> 16, ADDRESS(w.memory));
        UCHECK(r == KERN_SUCCESS || r == KERN_FAILURE ||
            r == KERN_NO_SPACE || r == KERN_INVALID_ARGUMENT ||
            r == KERN_RESOURCE_SHORTAGE);
    }
    OK(vm_storm(0, 0, 0, 0));
    work_end(&w, thread);
    OK(vm_table_budget(0, 0, NULL));
    UCHECK(mismatches() == 0);
    check();
}

static void
storm_begin_often(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        OK(vm_storm(1u << VM_STORM_PMAP | 1u << VM_STORM_IDLE, 1000, i, 0));
    }
}

/* Who began it may be gone. */
UTEST(storm_goes_on)
{
    struct vm_storm_report r;

    tables_begin();
    UCHECK(utest_child(storm_begin_often, NULL) == 0);
    OK(vm_storm_report(&r));
    UCHECK(r.kinds != 0 && r.seed == 19);
    OK(vm_storm(0, 0, 0, 0));
}

/* ---- healing ------------------------------------------------------------ */

UTEST(heal)
{
    uint64_t n = 1, *bad;
    char *p;

    tables_begin();
    p = map_pages(50, RW, PRIVATE);
    memset(p, 5, 50 * page);
    OK(vm_heal(0, 0, &n));
    UCHECK(n == 0);
    OK(vm_heal(getpid(), 1, &n));
    OK(vm_heal(VM_ALL, 1, &n));
    UCHECK(n == 0 && is_filled(p, 5, 50 * page));
    UCHECK(vm_heal(1, 0, &n) == KERN_INVALID_TASK);
    UCHECK(vm_heal(-2, 0, &n) == KERN_INVALID_TASK);
    UCHECK(vm_heal(getppid(), 0, &n) == KERN_INVALID_TASK);
    UCHECK(vm_heal(0, 0, NULL) == KERN_INVALID_ADDRESS);
    bad = (uint64_t *)map_pages(1, PROT_READ, PRIVATE);
    UCHECK(vm_heal(0, 0, bad) == KERN_INVALID_ADDRESS);
}

/* ---- sleep -------------------------------------------------------------- */

UTEST(doze)
{
    struct vm_table_budget b;
    int pipes[2];
    pid_t pid;
    char *p;

    tables_begin();
    p = map_pages(200, RW, PRIVATE);
    memset(p, 6, 200 * page);
    UCHECK(pipe(pipes) == 0);
    pid = sleeper(p, 6, 200 * page, pipes);
    usleep(20000);
    OK(vm_doze(pid));
    OK(vm_doze(pid));
    OK(vm_table_budget(pid, VM_BUDGET_ASK, &b));
    UCHECK(b.tables == 0);
    memset(p, 7, 200 * page);
    close(pipes[1]);
    UCHECK(exit_of(pid) == 0);
    UCHECK(vm_doze(pid) == KERN_INVALID_TASK);
    UCHECK(vm_doze(1) == KERN_INVALID_TASK);
    UCHECK(vm_doze(VM_ALL) == KERN_INVALID_TASK);
    UCHECK(vm_doze(getppid()) == KERN_INVALID_TASK);
    /* Who asks, runs. */
    UCHECK(vm_doze(0) == KERN_FAILURE && is_filled(p, 7, 200 * page));
}

/* They give their tables back by themselves, and compute on. */
UTEST(sleepers)
{
    enum { COUNT = 200 };
    struct vm_table_budget b;
    unsigned tries = 0;
    pid_t pid[COUNT];
    int pipes[2];
    char *p;

    tables_begin();
    p = map_pages(16, RW, PRIVATE);
    memset(p, 8, 16 * page);
    UCHECK(pipe(pipes) == 0);
    for (unsigned i = 0; i < COUNT; i++) {
        pid[i] = sleeper(p, 8, 16 * page, pipes);
    }
    memset(p, 9, 16 * page);
    /* Each, however slow the machine is; nobody looks at their memory. */
    for (unsigned i = 0; i < COUNT; i++) {
        OK(vm_table_budget(pid[i], VM_BUDGET_ASK, &b));
        while (b.tables > 0 && tries++ < 500) {
            usleep(IDLE_MS * 1000 / 5);
            OK(vm_table_budget(pid[i], VM_BUDGET_ASK, &b));
        }
        UCHECK(b.tables == 0);
    }
    OK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b));
    while (b.tables >= 64 && tries++ < 500) {
        /* The round that made the last one sleep is not over. */
        usleep(IDLE_MS * 1000 / 5);
        OK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b));
    }
    printf("# %d sleepers: %llu tables in the machine\n", COUNT,
        (unsigned long long)b.tables);
    /* Ours, those who wait for us, and what is kept for the next. */
    UCHECK(b.tables < 64);
    close(pipes[1]);
    for (unsigned i = 0; i < COUNT; i++) {
        UCHECK(exit_of(pid[i]) == 0);
    }
    UCHECK(mismatches() == 0);
}
