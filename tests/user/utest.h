/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * utest.h - tests that run as ordinary programs, here and on Linux.
 *
 *   UTEST(name) { ... UCHECK(x); ... }     a case, in a child of its own
 *
 * Included once by each u_*.c, it supplies main(): argv[1] is a pattern with
 * * and ? (or a part of a name), and only the cases that match run; "-l"
 * lists them.  A case that fails a check, dies, or takes longer than its time
 * is a failure; the rest go on.  Results are KTAP on stdout; status 1 if any
 * case failed, 2 if none matched.
 */
#ifndef UTEST_H
#define UTEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef UTEST_TIMEOUT
#define UTEST_TIMEOUT   60              /* seconds for a case */
#endif
#define UTEST_SKIP      77

struct utest {
    const char *name;
    void (*fn)(void);
    struct utest *next;
};

static struct utest *utest_first, **utest_last = &utest_first;

#define UTEST(name)                                                     \
    static void utest_##name(void);                                     \
    static void __attribute__((constructor))                            \
    utest_add_##name(void)                                              \
    {                                                                   \
        static struct utest t = { #name, utest_##name, NULL };          \
                                                                        \
        *utest_last = &t;                                               \
        utest_last = &t.next;                                           \
    }                                                                   \
    static void                                                         \
    utest_##name(void)

/* The case ends there.  Also from a child that the case has made. */
#define UCHECK(x)                                                       \
    ((x) ? (void)0 : utest_fail(__FILE__, __LINE__, #x))
/* x is -1 and errno is e. */
#define UERRNO(x, e)                                                    \
    do {                                                                \
        errno = 0;                                                      \
        if ((long)(x) != -1 || errno != (e)) {                          \
            utest_fail(__FILE__, __LINE__, #x " fails with " #e);       \
        }                                                               \
    } while (0)
#define USKIP(why)                                                      \
    do {                                                                \
        printf("# skip: %s\n", why);                                    \
        fflush(stdout);                                                 \
        _exit(UTEST_SKIP);                                              \
    } while (0)

static inline void __attribute__((noreturn))
utest_fail(const char *file, int line, const char *what)
{
    const char *base = strrchr(file, '/');
    int error = errno;

    printf("# %s:%d: not true: %s (errno %d: %s)\n",
        base != NULL ? base + 1 : file, line, what, error, strerror(error));
    fflush(stdout);
    _exit(1);
}

/* fn(arg) in a child; its wait status. */
static inline int __attribute__((unused))
utest_child(void (*fn)(void *), void *arg)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        fn(arg);
        fflush(stdout);
        _exit(0);
    }
    UCHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* Wait at most timeout seconds; false: it was killed. */
static inline int
utest_wait(pid_t pid, int *status)
{
    struct timespec nap = { 0, 200000 }, now, start;
    pid_t got;

    clock_gettime(CLOCK_MONOTONIC, &start);
    while ((got = waitpid(pid, status, WNOHANG)) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > UTEST_TIMEOUT) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            (void)waitpid(pid, status, 0);
            return 0;
        }
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < 10000000) {
            nap.tv_nsec *= 2;
        }
    }
    return got == pid;
}

/* 1: passed or skipped. */
static inline int
utest_run(const struct utest *t, unsigned n)
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        t->fn();
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0) {
        printf("# fork: %s\n", strerror(errno));
        status = 1;
    } else if (!utest_wait(pid, &status)) {
        printf("# took longer than %d s\n", UTEST_TIMEOUT);
        status = 1;
    } else if (WIFSIGNALED(status)) {
        printf("# died of signal %d\n", WTERMSIG(status));
    }
    if (pid > 0) {
        kill(-pid, SIGKILL);            /* what the case left behind */
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == UTEST_SKIP) {
        printf("ok %u %s # SKIP\n", n, t->name);
        return 1;
    }
    printf("%sok %u %s\n", status == 0 ? "" : "not ", n, t->name);
    return status == 0;
}

static inline int
utest_matches(const struct utest *t, const char *pattern)
{
    return pattern == NULL || strstr(t->name, pattern) != NULL ||
        fnmatch(pattern, t->name, 0) == 0;
}

int
main(int argc, char **argv)
{
    const char *pattern = NULL;
    unsigned count = 0, n = 0, failed = 0;
    const struct utest *t;

    /* --seed and --long are for those that can do with them. */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            i++;
        } else if (strcmp(argv[i], "-k") != 0 && pattern == NULL &&
            strcmp(argv[i], "--long") != 0) {
            pattern = argv[i];
        }
    }
    if (pattern != NULL && strcmp(pattern, "-l") == 0) {
        for (t = utest_first; t != NULL; t = t->next) {
            puts(t->name);
        }
        return 0;
    }
    for (t = utest_first; t != NULL; t = t->next) {
        count += utest_matches(t, pattern) ? 1 : 0;
    }
    printf("KTAP version 1\n1..%u\n", count);
    for (t = utest_first; t != NULL; t = t->next) {
        if (utest_matches(t, pattern)) {
            failed += utest_run(t, ++n) ? 0 : 1;
        }
    }
    printf("# %u passed, %u failed\n", n - failed, failed);
    return count == 0 ? 2 : failed != 0;
}

#endif
