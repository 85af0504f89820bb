/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_mutants.c - do the tests find real bugs?
 *
 * vm_mutant.h has bugs that can be switched on.  For each, the scenarios
 * below run one after the other, each in a process of its own; the first
 * that dies (panic, violation, wrong contents, a sanitizer) has found it.
 * A mutant that survives them all fails its subtest.  All scenarios must
 * live without a mutant.
 */
/* pal: machines=x86_64,aarch64,riscv64 timeout=240 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../contract/contract.h"
#include "../contract/laws.h"
#include "../stress/stress.h"
#include "model.h"
#include "test.h"
#include "vm_mutant.h"

#define SECONDS         20u

/* One of these. */
struct scenario {
    const char *name;
    const struct law *law;
    const struct contract_law *pmap_law;
    bool stress, failures;
    uint64_t seed;
};

static void
scenario_run(const struct scenario *s)
{
    struct world_config w = { .ram = 1024, .seed = s->seed };

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
            s->name = l->name;
            s->law = l;
            return true;
        }
    }
    for (const struct contract_law *l = contract_laws; l->name != NULL;
        l++) {
        if (i-- == 0) {
            s->name = l->name;
            s->pmap_law = l;
            return true;
        }
    }
    if (i < 8) {
        s->name = "model";
        s->failures = i % 2 == 1;
        s->seed += i;
        return true;
    }
    if (i < 24) {
        s->name = "stress";
        s->stress = true;
        s->seed += i - 8;
        return true;
    }
    if (i < 64) {
        s->law = laws;
        while (strcmp(s->law->name, "law4_fork_reader") != 0) {
            s->law++;
        }
        s->name = s->law->name;
        s->seed += i - 23;
        return true;
    }
    return false;
}

/* The line of text that says why. */
static const char *
reason(char *text)
{
    char *at = strstr(text, "panic:");

    if (at == NULL) {
        at = strstr(text, "ERROR:");
    }
    if (at == NULL) {
        at = strstr(text, "runtime error:");
    }
    if (at == NULL) {
        return "killed";
    }
    at[strcspn(at, "\n")] = '\0';
    if (strlen(at) > 150) {
        at[150] = '\0';
    }
    return at;
}

static char text[8192];

static void
mutant_run(enum vm_mutant mutant)
{
    struct scenario s;

    for (unsigned i = 0; scenario(i, &s); i++) {
        if (!lives(&s, mutant, text, sizeof(text))) {
            test_note("%s is found by %s (seed %llu): %s",
                vm_mutant_names[mutant], s.name,
                (unsigned long long)s.seed, reason(text));
            return;
        }
    }
    FAIL("%s survives", vm_mutant_names[mutant]);
}

/* One without a mutant: nothing is found. */
TEST(none)
{
    struct scenario s;

    for (unsigned i = 0; scenario(i, &s); i++) {
        if (!lives(&s, VM_MUTANT_NONE, text, sizeof(text))) {
            FAIL("%s (seed %llu) fails without a mutant: %s", s.name,
                (unsigned long long)s.seed, reason(text));
        }
    }
}

#define MUTANT(m) \
    TEST(m) \
    { \
        mutant_run(VM_MUTANT_##m); \
    }

MUTANT(REMOVE_NO_FLUSH)
MUTANT(PROTECT_NO_FLUSH)
MUTANT(PAGE_PROTECT_NO_FLUSH)
MUTANT(COW_NO_FLUSH)
MUTANT(ENTER_NO_SEQ)
MUTANT(PV_STALE)
MUTANT(TABLE_EARLY_FREE)
MUTANT(WRITE_CLEAN)
MUTANT(NO_BBM)
MUTANT(SHADOW_OFFSET)
MUTANT(COLLAPSE_LOSES)
MUTANT(PARENT_NEEDS_COPY)
MUTANT(RANGE_END)
MUTANT(NO_ZERO)
MUTANT(AROUND_PAST_ENTRY)

_Static_assert(VM_MUTANT_COUNT == 16, "each mutant has its subtest");
