/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_poll.c - poll(2), ppoll(2), select(2), pselect(2).
 */
#include "utest.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/select.h>

/* The compiler knows better than to let these through. */
static void *volatile bad = (void *)8;
static int fd[2];

static long
ms_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 +
        (now.tv_nsec - start->tv_nsec) / 1000000;
}

UTEST(pipe_states)
{
    struct pollfd p[3];

    UCHECK(pipe(fd) == 0);
    p[0] = (struct pollfd){ fd[0], POLLIN, 0 };
    p[1] = (struct pollfd){ fd[1], POLLOUT, 0 };
    p[2] = (struct pollfd){ -1, POLLIN, 99 };
    UCHECK(poll(p, 3, 0) == 1);
    UCHECK(p[0].revents == 0 && p[1].revents == POLLOUT &&
        p[2].revents == 0);
    UCHECK(write(fd[1], "x", 1) == 1);
    UCHECK(poll(p, 2, -1) == 2 && p[0].revents == POLLIN);
    UCHECK(close(fd[1]) == 0);
    UCHECK(poll(p, 2, -1) == 2);
    UCHECK(p[0].revents == (POLLIN | POLLHUP) &&
        p[1].revents == POLLNVAL);
    UCHECK(pipe(fd) == 0 && close(fd[0]) == 0);
    p[0] = (struct pollfd){ fd[1], POLLOUT, 0 };
    UCHECK(poll(p, 1, 0) == 1 && (p[0].revents & POLLERR) != 0);
    UERRNO(poll(bad, 1, 0), EFAULT);
}

UTEST(timeout)
{
    struct timespec start, t = { 0, 30000000 };
    struct pollfd p;

    UCHECK(pipe(fd) == 0);
    p = (struct pollfd){ fd[0], POLLIN, 0 };
    clock_gettime(CLOCK_MONOTONIC, &start);
    UCHECK(poll(&p, 1, 30) == 0 && ms_since(&start) >= 29);
    clock_gettime(CLOCK_MONOTONIC, &start);
    UCHECK(ppoll(&p, 1, &t, NULL) == 0 && ms_since(&start) >= 29);
    clock_gettime(CLOCK_MONOTONIC, &start);
    UCHECK(poll(NULL, 0, 30) == 0 && ms_since(&start) >= 29);
    t.tv_nsec = -1;
    UERRNO(ppoll(&p, 1, &t, NULL), EINVAL);
}

UTEST(wakes)
{
    struct pollfd p[2];
    int other[2];
    pid_t pid;
    char c;

    UCHECK(pipe(fd) == 0 && pipe(other) == 0);
    p[0] = (struct pollfd){ fd[0], POLLIN, 0 };
    p[1] = (struct pollfd){ other[0], POLLIN, 0 };
    pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 200; i++) {
            UCHECK(write(i % 3 == 0 ? fd[1] : other[1], "x", 1) == 1);
            if (i % 16 == 0) {
                usleep(1000);
            }
        }
        _exit(0);
    }
    for (int got = 0; got < 200;) {
        UCHECK(poll(p, 2, -1) > 0);
        for (int i = 0; i < 2; i++) {
            if ((p[i].revents & POLLIN) != 0) {
                UCHECK(read(p[i].fd, &c, 1) == 1);
                got++;
            }
        }
    }
    UCHECK(waitpid(pid, NULL, 0) == pid);
}

UTEST(select_sets)
{
    fd_set r, w;
    struct timeval t = { 0, 20000 };

    UCHECK(pipe(fd) == 0);
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(fd[0], &r);
    FD_SET(fd[1], &w);
    UCHECK(select(fd[1] + 1, &r, &w, NULL, NULL) == 1);
    UCHECK(!FD_ISSET(fd[0], &r) && FD_ISSET(fd[1], &w));
    FD_SET(fd[0], &r);
    UCHECK(select(fd[0] + 1, &r, NULL, NULL, &t) == 0);
    UCHECK(!FD_ISSET(fd[0], &r));
    UCHECK(write(fd[1], "x", 1) == 1);
    FD_SET(fd[0], &r);
    UCHECK(select(fd[0] + 1, &r, NULL, NULL, NULL) == 1);
    UCHECK(FD_ISSET(fd[0], &r));
    UCHECK(close(fd[1]) == 0);
    FD_ZERO(&r);
    FD_SET(fd[1], &r);
    UERRNO(select(fd[1] + 1, &r, NULL, NULL, NULL), EBADF);
}

static volatile int signals;

static void
on_signal(int signo)
{
    (void)signo;
    signals++;
}

UTEST(mask_for_the_call)
{
    struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigset_t block, none, now;
    struct pollfd p;

    UCHECK(pipe(fd) == 0);
    UCHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    UCHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
    UCHECK(raise(SIGUSR1) == 0 && signals == 0);
    p = (struct pollfd){ fd[0], POLLIN, 0 };
    UERRNO(ppoll(&p, 1, NULL, &none), EINTR);
    UCHECK(signals == 1);
    UCHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
    UCHECK(sigismember(&now, SIGUSR1) == 1);
    UCHECK(raise(SIGUSR1) == 0 && signals == 1);
    UERRNO(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
    UCHECK(signals == 2);
}
