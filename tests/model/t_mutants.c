/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_mutants.c - do the tests find real bugs?
 *
 * vm_mutant.h has bugs that can be switched on.  For each, the scenarios
 * below run one after the other, each in a process of its own; the first
 * that dies (panic, violation, wrong contents, a sanitizer) has found it.
 * The one that found it last time, mutants.h says, is tried first.
 * A mutant that survives them all fails its subtest.  All scenarios must
 * live without a mutant.
 *
 * Scenarios are called as the laws of tests/contract, and "model.0",
 * "stress.0", "delay.0", "fork_reader.0" and so on, by seed.
 *
 * ./pal mutants reads the line "# found: ..." of each subtest.
 */
/* pal: machines=x86_64,aarch64,riscv64 timeout=240 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../contract/contract.h"
#include "../contract/laws.h"
#include "../mutants.h"
#include "../stress/stress.h"
#include "model.h"
#include "test.h"
#include "vm_mutant.h"

#define SECONDS         20u
#define MODELS          8u
#define STRESSES        16u
#define DELAYS          8u
#define FORK_READERS    40u

/* One of these. */
struct scenario {
    char name[40];
    const struct law *law;
    const struct contract_law *pmap_law;
    bool stress, failures;
    unsigned delay;             /* of each flush, in steps */
    uint64_t seed;
};

/* Likely killers, by mutant. */
#define HIDDEN(why)     NULL
#define HINT(m, host, kernel)   [VM_MUTANT_##m] = host,
static const char *const likely[VM_MUTANT_COUNT] = {
    MUTANT_KILLERS(HINT)
};

static void
scenario_run(const struct scenario *s)
{
    struct world_config w = { .ram = 1024, .seed = s->seed };

    /* Some laws choose a page by the formats, before they boot. */
    (void)world_formats();
    if (s->law != NULL) {
        s->law->fn(&w);
    } else if (s->pmap_law != NULL) {
        w.asid_bits = 3;
        world_boot(&w);
        s->pmap_law->fn();
        if (s->pmap_law->wants == 0) {
            world_end();
        }
    } else if (s->stress) {
        struct stress_config c = { .world = w, .fibers = true,
            .cpus = 4, .rounds = 60 };

        c.world.ram = 4096;
        vm_set(&pmap_test_delay, s->delay);
        (void)stress_run(&c);
    } else {
        struct model_config c = { .world = w, .failures = s->failures };
        struct model_source source = {
            .draw = model_draw_random, .seed = s->seed,
        };

        c.world.ram = 4096;
        c.world.cpus = 3;
        c.world.swap = 4096;
        model_run(&c, &source, 1500);
    }
}

/* In a process of its own: did it live?  Its last words go to text. */
static bool
lives(const struct scenario *s, enum vm_mutant mutant, char *text,
    size_t size)
{
    int status, pipes[2];
    ssize_t n;
    size_t got = 0;
    pid_t pid;

    fflush(stdout);
    if (pipe(pipes) != 0 || (pid = fork()) == -1) {
        FAIL("no process");
    }
    if (pid == 0) {
        dup2(pipes[1], STDERR_FILENO);
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        alarm(SECONDS);
        vm_mutant = mutant;
        scenario_run(s);
        _exit(0);
    }
    close(pipes[1]);
    while ((n = read(pipes[0], text + got, size - 1 - got)) > 0) {
        got += (size_t)n;
        if (got == size - 1) {
            got = size / 2;
        }
    }
    text[got] = '\0';
    close(pipes[0]);
    while (waitpid(pid, &status, 0) == -1) {
        continue;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
name_numbered(struct scenario *s, const char *name, unsigned i)
{
    snprintf(s->name, sizeof(s->name), "%s.%u", name, i);
    s->seed = test_seed + i;
}

/* The i-th of all; false: there are no more. */
static bool
scenario(unsigned i, struct scenario *s)
{
    memset(s, 0, sizeof(*s));
    s->seed = test_seed;
    for (const struct law *l = laws; l->name != NULL; l++) {
        /* Too long, and what is in them is in the model. */
        if (strncmp(l->name, "fork_line", 9) == 0) {
            continue;
        }
        if (i-- == 0) {
            snprintf(s->name, sizeof(s->name), "%s", l->name);
            s->law = l;
            return true;
        }
    }
    for (const struct contract_law *l = contract_laws; l->name != NULL;
        l++) {
        if (i-- == 0) {
            snprintf(s->name, sizeof(s->name), "%s", l->name);
            s->pmap_law = l;
            return true;
        }
    }
    if (i < MODELS) {
        name_numbered(s, "model", i);
        s->failures = i % 2 == 1;
        return true;
    }
    i -= MODELS;
    if (i < STRESSES) {
        name_numbered(s, "stress", i);
        s->stress = true;
        return true;
    }
    i -= STRESSES;
    if (i < DELAYS) {
        name_numbered(s, "delay", i);
        s->stress = true;
        s->delay = 40;
        return true;
    }
    i -= DELAYS;
    if (i < FORK_READERS) {
        s->law = laws;
        while (strcmp(s->law->name, "law4_fork_reader") != 0) {
            s->law++;
        }
        name_numbered(s, "fork_reader", i + 1);
        return true;
    }
    return false;
}

/* The line of text that says why. */
static const char *
reason(char *text)
{
    static const char *const signs[] = {
        "panic:", "ERROR:", "runtime error:",
    };

    for (unsigned i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        char *at = strstr(text, signs[i]);

        if (at != NULL) {
            at[strcspn(at, "\n")] = '\0';
            if (strlen(at) > 150) {
                at[150] = '\0';
            }
            return at;
        }
    }
    return "killed, or not done in time";
}

static char text[8192];

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Does it find the mutant? */
static bool
finds(const struct scenario *s, enum vm_mutant mutant)
{
    double start = now(), took;
    char why[160];

    if (lives(s, mutant, text, sizeof(text))) {
        return false;
    }
    took = now() - start;
    snprintf(why, sizeof(why), "%s", reason(text));
    if (!lives(s, VM_MUTANT_NONE, text, sizeof(text))) {
        test_note("%s fails without a mutant, too", s->name);
        return false;
    }
    test_note("found: %s by %s seed %llu in %.2f s: %s",
        vm_mutant_names[mutant], s->name, (unsigned long long)s->seed,
        took, why);
    return true;
}

static void
mutant_run(enum vm_mutant mutant)
{
    struct scenario s;

    for (unsigned i = 0; scenario(i, &s); i++) {
        if (strcmp(s.name, likely[mutant]) == 0 && finds(&s, mutant)) {
            return;
        }
    }
    for (unsigned i = 0; scenario(i, &s); i++) {
        if (strcmp(s.name, likely[mutant]) != 0 && finds(&s, mutant)) {
            return;
        }
    }
    FAIL("%s survives", vm_mutant_names[mutant]);
}

/* One without a mutant: nothing is found. */
TEST(unmutated)
{
    struct scenario s;
    unsigned bad = 0;

    for (unsigned i = 0; scenario(i, &s); i++) {
        if (!lives(&s, VM_MUTANT_NONE, text, sizeof(text))) {
            test_note("%s seed %llu: %s", s.name,
                (unsigned long long)s.seed, reason(text));
            bad++;
        }
    }
    if (bad != 0) {
        FAIL("%u scenarios fail without a mutant", bad);
    }
}

/* Each has its hint, and the hints name what there is. */
TEST(hints)
{
    for (unsigned m = VM_MUTANT_NONE + 1; m < VM_MUTANT_COUNT; m++) {
        struct scenario s;
        bool found = false;

        for (unsigned i = 0; likely[m] != NULL && scenario(i, &s); i++) {
            found = found || strcmp(s.name, likely[m]) == 0;
        }
        if (!found) {
            FAIL("mutants.h has no scenario for %s", vm_mutant_names[m]);
        }
    }
}

#define MUTANT(m, name, text) \
    TEST(m) \
    { \
        mutant_run(VM_MUTANT_##m); \
    }
VM_MUTANTS(MUTANT)
