/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manytasks - tasks that each touch a page in every 2 MiB of 1 GiB, all at
 * once, under a budget for the page tables of all.  Without one, 1,000 of
 * them take 2 GiB of tables, as much as the pages themselves.
 *
 *   manytasks [TASKS [TABLES]]     1000 tasks; a limit in pages, 0: none
 *
 *   ./pal run --arch riscv64 --mem 4G --tables 4M manytasks
 */
#include <inttypes.h>
#include <sys/mman.h>
#include <time.h>

#include "mach_vm.h"
#include "scene.h"

#define STEP    ((size_t)2 << 20)
#define TOUCHES 512
#define TASKS_MAX       30000ul
#define TABLES_MAX      (1ul << 40)

static uint64_t
word_of(unsigned task, unsigned i)
{
    return ((uint64_t)task << 32 | i) * 0x9e3779b97f4a7c15u;
}

static uint64_t *
word_at(char *p, unsigned i)
{
    return (uint64_t *)(void *)(p + i * STEP);
}

/* One task: write, tell, wait until all have written, verify. */
static int
run(unsigned task, int done, int go)
{
    char c = 0, *p = mmap(NULL, STEP * TOUCHES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (unsigned i = 0; i < TOUCHES; i++) {
        *word_at(p, i) = word_of(task, i);
    }
    if (write(done, &c, 1) != 1 || read(go, &c, 1) != 0) {
        return 1;
    }
    for (unsigned i = 0; i < TOUCHES; i++) {
        if (*word_at(p, i) != word_of(task, i)) {
            fprintf(stderr, "task %u: page %u is not what it wrote\n", task,
                i);
            return 1;
        }
    }
    return 0;
}

/* All of them; how many failed. */
static unsigned
run_all(unsigned tasks)
{
    unsigned failed = 0;
    int done[2], go[2], status;
    char c;

    if (pipe(done) != 0 || pipe(go) != 0) {
        return tasks;
    }
    for (unsigned i = 0; i < tasks; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            close(go[1]);
            _exit(run(i, done[1], go[0]));
        }
        if (pid < 0) {
            perror("fork");
            return tasks - i;
        }
    }
    close(done[1]);
    for (unsigned i = 0; i < tasks && read(done[0], &c, 1) == 1; i++) {
        continue;
    }
    close(go[1]);
    for (unsigned i = 0; i < tasks; i++) {
        failed += wait(&status) < 0 || status != 0;
    }
    return failed;
}

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A number from low on, or it is said and the program ends. */
static unsigned long
number(const char *what, const char *text, unsigned long low,
    unsigned long high)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != 0 || n < low || n > high) {
        fprintf(stderr, "manytasks: %s are %lu to %lu, not %s\n", what, low,
            high, text);
        exit(2);
    }
    return n;
}

int
main(int argc, char **argv)
{
    unsigned tasks = argc > 1 ?
        (unsigned)number("tasks", argv[1], 1, TASKS_MAX) : 1000, failed;
    double start = seconds();
    struct vm_table_budget b;

    if (argc > 2 && vm_table_budget(VM_BUDGET_MACHINE,
        number("tables", argv[2], 0, TABLES_MAX), NULL) != KERN_SUCCESS) {
        fprintf(stderr, "manytasks: no such budget: %s\n", argv[2]);
        return 2;
    }
    failed = run_all(tasks);
    printf("%u tasks, %u pages each: %u failed, %.1f s\n", tasks, TOUCHES,
        failed, seconds() - start);
    if (vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b) ==
        KERN_SUCCESS) {
        printf("page tables: at most %" PRIu64 " pages, limit %" PRIu64
            ", evicted %" PRIu64 "\n", b.peak, b.limit, b.evicted);
        failed += b.limit != 0 && b.peak > b.limit;
    }
    return failed != 0;
}
