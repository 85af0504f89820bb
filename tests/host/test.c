/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test.c - runs the subtests of one program and reports them as KTAP.
 *
 * A subtest is a forked child.  Its verdict is its exit status: 0 passed,
 * EXIT_SKIP skipped, anything else, or a signal, failed.  The child prints
 * its own diagnostics before it ends, so they stand before the verdict.
 *
 * Locks: none; a check may fail in several threads at once, and each
 *        prints its line with one write.
 */
/* fork(), strsignal(): -std=c11 hides them. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define EXIT_FAIL       1
#define EXIT_SKIP       77
/* After which a subtest is taken to hang. */
#define SECONDS         300
#define SECONDS_LONG    7200

bool test_long;
uint64_t test_seed = 1;

static struct test_case *cases;
static struct test_case **cases_end = &cases;
static struct test_rng rng;
static bool no_fork;
static unsigned current;        /* number of the running subtest */
static const char *current_name;

void
test_register(struct test_case *t)
{
    *cases_end = t;
    cases_end = &t->next;
}

/* One line, in one piece whatever other threads print. */
static void
say(const char *fmt, va_list ap)
{
    char line[512];
    int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);

    if (n < 0) {
        return;
    }
    if ((size_t)n > sizeof(line) - 2) {
        n = (int)sizeof(line) - 2;
    }
    line[n] = '\n';
    fwrite(line, 1, (size_t)n + 1, stdout);
    fflush(stdout);
}

void
test_note(const char *fmt, ...)
{
    char prefixed[256];
    va_list ap;

    snprintf(prefixed, sizeof(prefixed), "# %s", fmt);
    va_start(ap, fmt);
    say(prefixed, ap);
    va_end(ap);
}

/*
 * End the subtest.  _exit: other threads may be in the middle of anything,
 * and this may be a fiber's stack.
 */
static _Noreturn void
end(int status)
{
    if (no_fork) {
        printf("%s %u - %s%s\n", status == EXIT_SKIP ? "ok" : "not ok",
            current, current_name, status == EXIT_SKIP ? " # SKIP" : "");
    }
    fflush(stdout);
    _exit(status);
}

void
test_fail(const char *file, int line, const char *fmt, ...)
{
    char text[384];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    test_note("%s:%d: %s", file, line, text);
    end(EXIT_FAIL);
}

void
test_check(bool ok, const char *file, int line, const char *text)
{
    if (!ok) {
        test_fail(file, line, "%s", text);
    }
}

void
test_check_eq(uint64_t a, uint64_t b, const char *file, int line,
    const char *text_a, const char *text_b)
{
    if (a != b) {
        test_fail(file, line, "%s == %s: %llu (%#llx) is not %llu (%#llx)",
            text_a, text_b, (unsigned long long)a, (unsigned long long)a,
            (unsigned long long)b, (unsigned long long)b);
    }
}

void
test_skip(const char *why)
{
    test_note("skipped: %s", why);
    end(EXIT_SKIP);
}

/* splitmix64: every seed is a good one, zero included. */
uint64_t
test_rng_next(struct test_rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void
test_rng_init(struct test_rng *r, uint64_t salt)
{
    r->state = test_seed;
    r->state = test_rng_next(r) ^ salt;
    (void)test_rng_next(r);
}

uint64_t
test_rng_below(struct test_rng *r, uint64_t n)
{
    return test_rng_next(r) % n;
}

uint64_t
test_rand(void)
{
    return test_rng_next(&rng);
}

uint64_t
test_rand_below(uint64_t n)
{
    return test_rng_below(&rng, n);
}

/* Salted by its name, so that -k does not change what a subtest does. */
static void
run_here(struct test_case *t)
{
    uint64_t salt = 0;
    const char *s;

    for (s = t->name; *s != '\0'; s++) {
        salt = salt * 31 + (unsigned char)*s;
    }
    test_rng_init(&rng, salt);
    t->fn();
}

/* Returns the verdict as an exit status. */
static int
run_child(struct test_case *t)
{
    int status;
    pid_t pid;

    fflush(stdout);
    fflush(stderr);
    pid = fork();
    if (pid == -1) {
        test_note("fork: %s", strerror(errno));
        return EXIT_FAIL;
    }
    if (pid == 0) {
        /* A lost wakeup shows as a hang. */
        alarm(test_long ? SECONDS_LONG : SECONDS);
        run_here(t);
        /* Not _exit: coverage and leaks are reported on the way out. */
        exit(0);
    }
    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) {
            test_note("waitpid: %s", strerror(errno));
            return EXIT_FAIL;
        }
    }
    if (WIFSIGNALED(status)) {
        test_note("killed by signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
        return EXIT_FAIL;
    }
    if (WEXITSTATUS(status) > EXIT_FAIL &&
        WEXITSTATUS(status) != EXIT_SKIP) {
        test_note("exit status %d", WEXITSTATUS(status));
    }
    return WEXITSTATUS(status);
}

static bool
run_one(struct test_case *t)
{
    int status = 0;

    current_name = t->name;
    if (no_fork) {
        run_here(t);
    } else {
        status = run_child(t);
    }
    if (status != 0 && status != EXIT_SKIP) {
        test_note("again: -k %s --seed %llu%s", t->name,
            (unsigned long long)test_seed, test_long ? " --long" : "");
        printf("not ok %u - %s\n", current, t->name);
        return false;
    }
    printf("ok %u - %s%s\n", current, t->name,
        status == EXIT_SKIP ? " # SKIP" : "");
    return true;
}

static _Noreturn void
usage(const char *name)
{
    fprintf(stderr, "usage: %s [-k PATTERN] [--seed N] [--long] "
        "[--no-fork] [--list]\n", name);
    exit(2);
}

int
main(int argc, char **argv)
{
    const char *pattern = "";
    struct test_case *t;
    bool list = false, ok = true;
    unsigned n = 0;
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-k") == 0 && i + 1 < argc) {
            pattern = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            test_seed = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--long") == 0) {
            test_long = true;
        } else if (strcmp(argv[i], "--no-fork") == 0) {
            no_fork = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else {
            usage(argv[0]);
        }
    }
    for (t = cases; t != NULL; t = t->next) {
        n += strstr(t->name, pattern) != NULL;
    }
    if (!list) {
        printf("KTAP version 1\n1..%u\n", n);
    }
    for (t = cases; t != NULL; t = t->next) {
        if (strstr(t->name, pattern) == NULL) {
            continue;
        }
        if (list) {
            printf("%s\n", t->name);
            continue;
        }
        current++;
        ok = run_one(t) && ok;
        fflush(stdout);
    }
    return ok ? 0 : 1;
}
