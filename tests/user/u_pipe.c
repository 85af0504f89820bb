/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_pipe.c - pipes and FIFOs: pipe(7), fifo(7).
 */
#include "utest.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* The compiler knows better than to let these through. */
static void *volatile bad = (void *)8;

#define RING 65536

static int fd[2];

UTEST(bytes)
{
    char buf[64];
    int n = -1;

    UCHECK(pipe(fd) == 0);
    UCHECK(write(fd[1], "hello", 5) == 5);
    UCHECK(ioctl(fd[0], FIONREAD, &n) == 0 && n == 5);
    UCHECK(read(fd[0], buf, 2) == 2 && memcmp(buf, "he", 2) == 0);
    UCHECK(write(fd[1], "!", 1) == 1);
    UCHECK(read(fd[0], buf, 64) == 4 && memcmp(buf, "llo!", 4) == 0);
    UERRNO(write(fd[0], "x", 1), EBADF);
    UERRNO(read(fd[1], buf, 1), EBADF);
    UERRNO(lseek(fd[0], 0, SEEK_CUR), ESPIPE);
    UERRNO(pread(fd[0], buf, 1, 0), ESPIPE);
    UCHECK(close(fd[1]) == 0);
    UCHECK(read(fd[0], buf, 1) == 0);
}

UTEST(nonblocking_and_full)
{
    static char page[4096];
    char c;
    int total = 0;

    UCHECK(pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0);
    UCHECK(fcntl(fd[0], F_GETFD) == FD_CLOEXEC);
    UERRNO(read(fd[0], &c, 1), EAGAIN);
    while (write(fd[1], page, sizeof(page)) == sizeof(page)) {
        total += 4096;
    }
    UCHECK(errno == EAGAIN && total == RING);
    UERRNO(write(fd[1], page, 1), EAGAIN);
    UCHECK(read(fd[0], page, 100) == 100);
    /* Whole pieces only, up to PIPE_BUF. */
    UERRNO(write(fd[1], page, 4096), EAGAIN);
    UERRNO(pipe2(fd, 0x40000000), EINVAL);
    UERRNO(pipe(bad), EFAULT);
}

UTEST(no_reader)
{
    UCHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    UCHECK(pipe(fd) == 0 && close(fd[0]) == 0);
    UERRNO(write(fd[1], "x", 1), EPIPE);
}

static void
write_broken(void *unused)
{
    (void)unused;
    (void)!write(fd[1], "x", 1);
}

UTEST(no_reader_kills)
{
    int status;

    UCHECK(pipe(fd) == 0 && close(fd[0]) == 0);
    status = utest_child(write_broken, NULL);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

UTEST(much_through_it)
{
    enum { N = 1 << 20 };
    uint32_t sum = 0, expect = 0;
    static unsigned char buf[10007];
    ssize_t n;
    pid_t pid;

    UCHECK(pipe(fd) == 0);
    pid = fork();
    if (pid == 0) {
        unsigned char *data = malloc(N);

        for (int i = 0; i < N; i++) {
            data[i] = (unsigned char)(i * 31 >> 3);
        }
        _exit(write(fd[1], data, N) == N ? 0 : 1);
    }
    UCHECK(close(fd[1]) == 0);
    while ((n = read(fd[0], buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            sum = sum * 33 + buf[i];
        }
    }
    for (int i = 0; i < N; i++) {
        expect = expect * 33 + (unsigned char)(i * 31 >> 3);
    }
    UCHECK(n == 0 && sum == expect);
    UCHECK(waitpid(pid, NULL, 0) == pid);
}

UTEST(atomic_pieces)
{
    enum { WRITERS = 4, PIECES = 50, SIZE = 1000 };
    static unsigned char buf[SIZE];
    int seen = 0;

    UCHECK(pipe(fd) == 0);
    for (int w = 0; w < WRITERS; w++) {
        if (fork() == 0) {
            struct iovec v[2] = { { buf, 400 }, { buf + 400, 600 } };

            memset(buf, 'a' + w, SIZE);
            for (int i = 0; i < PIECES; i++) {
                UCHECK(writev(fd[1], v, 2) == SIZE);
            }
            _exit(0);
        }
    }
    UCHECK(close(fd[1]) == 0);
    for (;;) {
        ssize_t n = 0, got;

        while (n < SIZE && (got = read(fd[0], buf + n, SIZE - n)) > 0) {
            n += got;
        }
        if (n == 0) {
            break;
        }
        UCHECK(n == SIZE);
        for (int i = 1; i < SIZE; i++) {
            UCHECK(buf[i] == buf[0]);
        }
        seen++;
    }
    UCHECK(seen == WRITERS * PIECES);
    while (wait(NULL) > 0) {
        continue;
    }
}

UTEST(ping_pong)
{
    int back[2];
    char c = 0;
    pid_t pid;

    UCHECK(pipe(fd) == 0 && pipe(back) == 0);
    pid = fork();
    if (pid == 0) {
        while (read(fd[0], &c, 1) == 1 && c != 'q') {
            UCHECK(write(back[1], &c, 1) == 1);
        }
        _exit(0);
    }
    for (int i = 0; i < 1000; i++) {
        char want = (char)(i & 63);

        UCHECK(write(fd[1], &want, 1) == 1);
        UCHECK(read(back[0], &c, 1) == 1 && c == want);
    }
    UCHECK(write(fd[1], "q", 1) == 1);
    UCHECK(waitpid(pid, NULL, 0) == pid);
}

static void
on_signal(int signo)
{
    (void)signo;
}

UTEST(interrupted)
{
    struct sigaction sa = { .sa_handler = on_signal };
    char c;

    UCHECK(sigaction(SIGALRM, &sa, NULL) == 0);
    UCHECK(pipe(fd) == 0);
    alarm(1);
    UERRNO(read(fd[0], &c, 1), EINTR);
}

UTEST(fifo)
{
    char path[64], c;
    pid_t pid;
    int f;

    snprintf(path, sizeof(path), "/tmp/u_pipe.%d", (int)getpid());
    UCHECK(mkfifo(path, 0600) == 0);
    UERRNO(mkfifo(path, 0600), EEXIST);
    UERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
    pid = fork();
    if (pid == 0) {
        f = open(path, O_WRONLY);
        UCHECK(f >= 0 && write(f, "z", 1) == 1);
        _exit(0);
    }
    f = open(path, O_RDONLY);
    UCHECK(f >= 0);
    UCHECK(read(f, &c, 1) == 1 && c == 'z');
    UCHECK(read(f, &c, 1) == 0);
    UCHECK(waitpid(pid, NULL, 0) == pid);
    UCHECK(unlink(path) == 0);
}
