/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scene.h - what the programs of the tour share: say what is wrong and end.
 */
#ifndef SCENE_H
#define SCENE_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static inline __attribute__((format(printf, 1, 2), noreturn)) void
scene_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

#define SCENE_CHECK(x)                                                  \
    ((x) ? (void)0 : scene_fail("%s:%d: not true: %s (errno %d)",       \
                                __FILE__, __LINE__, #x, errno))

/* A child that ends with this status: 0. */
static inline void
scene_wait(pid_t pid, int want)
{
    int status;

    SCENE_CHECK(waitpid(pid, &status, 0) == pid);
    if (status != want) {
        scene_fail("child %d ended with status %#x, not %#x", (int)pid,
            status, want);
    }
}

static inline pid_t
scene_fork(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    SCENE_CHECK(pid >= 0);
    return pid;
}

/* A pseudo-random sequence that is the same everywhere (xorshift64). */
static inline uint64_t
scene_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
