/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_oom.c - programs that take until nothing is left.
 *
 * Each ends with an error, or the kernel kills it and says so; the parent goes
 * on, and all memory is back.  Run on a small machine; on a real Linux
 * nothing is done.
 *
 * pal: mem=64M timeout=120
 */
#include "uprobe.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define SLACK   (1u << 20)

static void
oom_begin(void)
{
    if (!is_palimpsest()) {
        USKIP("it would do harm to a Linux");
    }
}

/* Free memory when nobody is on his way out any more. */
static uint64_t
oom_settled(void)
{
    struct timespec nap = { 0, 30000000 };
    uint64_t now = 0, then;

    do {
        then = now;
        nanosleep(&nap, NULL);
        now = free_bytes();
    } while (now > then);
    return now;
}

/* fn in a child: it ends by itself, or is killed; memory comes back. */
static void
oom_case(void (*fn)(void *))
{
    struct timespec nap = { 0, 10000000 };
    uint64_t before;
    int status;

    oom_begin();
    /* What the kernel keeps for next time, it has after the first time. */
    (void)utest_child(fn, NULL);
    nanosleep(&nap, NULL);
    before = oom_settled();
    status = utest_child(fn, NULL);
    if (status != 0 && status != SIGKILL) {
        printf("# wait status %x\n", status);
        UCHECK(!"ends with an error or is killed");
    }
    for (int i = 0; i < 300 && free_bytes() + SLACK < before; i++) {
        nanosleep(&nap, NULL);
    }
    if (free_bytes() + SLACK < before) {
        printf("# %llu KiB free, were %llu\n",
            (unsigned long long)free_bytes() >> 10,
            (unsigned long long)before >> 10);
        UCHECK(!"memory comes back");
    }
}

static void
touch_anonymous(void *unused)
{
    (void)unused;
    for (;;) {
        char *p = mmap(NULL, 1 << 20, RW, PRIVATE, -1, 0);

        if (p == MAP_FAILED) {
            UCHECK(errno == ENOMEM);
            return;
        }
        memset(p, 1, 1 << 20);
    }
}

UTEST(touch_everything)
{
    oom_case(touch_anonymous);
}

static void
touch_shared(void *unused)
{
    size_t size = (size_t)1 << 30;
    char *p = mmap(NULL, size, RW, SHARED | MAP_NORESERVE, -1, 0);

    (void)unused;
    for (size_t at = 0; p != MAP_FAILED && at < size; at += page_size()) {
        p[at] = 1;
    }
}

UTEST(touch_shared_memory)
{
    oom_case(touch_shared);
}

static void
map_only(void *unused)
{
    size_t page = page_size();

    (void)unused;
    for (int i = 0; i < 40000; i++) {
        /* Neighbours differ, or they would be one. */
        if (mmap(NULL, page, i % 2 ? PROT_READ : PROT_NONE, PRIVATE, -1,
            0) == MAP_FAILED) {
            UCHECK(errno == ENOMEM);
            break;
        }
    }
    while (mmap(NULL, (size_t)1 << 40, PROT_NONE, PRIVATE | MAP_NORESERVE,
        -1, 0) != MAP_FAILED) {
    }
    UCHECK(errno == ENOMEM);
}

UTEST(map_without_touching)
{
    oom_case(map_only);
}

static void
fork_bomb(void *unused)
{
    int pipes[2];
    pid_t pid;
    char c;

    (void)unused;
    setpgid(0, 0);
    UCHECK(pipe(pipes) == 0);
    for (;;) {
        pid = fork();
        if (pid == 0) {
            /* Wait for the end of all. */
            close(pipes[1]);
            (void)!read(pipes[0], &c, 1);
            _exit(0);
        }
        if (pid < 0) {
            break;
        }
    }
    UCHECK(errno == ENOMEM || errno == EAGAIN);
    kill(0, SIGKILL);
}

UTEST(fork_until_none)
{
    oom_case(fork_bomb);
}

static void
fork_tree(void *unused)
{
    (void)unused;
    setpgid(0, 0);
    alarm(3);
    for (int i = 0; i < 12; i++) {
        char *p = mmap(NULL, 1 << 18, RW, PRIVATE, -1, 0);

        if (p != MAP_FAILED) {
            memset(p, 1, 1 << 18);
        }
        (void)!fork();
    }
    kill(0, SIGKILL);
}

UTEST(fork_and_touch)
{
    oom_case(fork_tree);
}

static void
all_descriptors(void *unused)
{
    struct rlimit limit = { 4096, 4096 };
    static char bytes[4096];
    int pipes[2], n = 0;

    (void)unused;
    UCHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (pipe2(pipes, O_NONBLOCK) == 0) {
        while (write(pipes[1], bytes, sizeof(bytes)) > 0) {
        }
        n++;
    }
    UCHECK(n > 100 && (errno == EMFILE || errno == ENFILE ||
        errno == ENOMEM));
}

UTEST(pipes_until_none)
{
    oom_case(all_descriptors);
}

static void
grow_file(void *unused)
{
    static char bytes[65536];
    int fd = open("/u_oom", O_RDWR | O_CREAT | O_TRUNC, 0600);

    (void)unused;
    UCHECK(fd >= 0);
    UCHECK(unlink("/u_oom") == 0);
    memset(bytes, 1, sizeof(bytes));
    while (write(fd, bytes, sizeof(bytes)) > 0) {
    }
    UCHECK(errno == ENOSPC || errno == ENOMEM || errno == EFBIG);
}

UTEST(file_until_full)
{
    oom_case(grow_file);
}

static void
lock_all(void *unused)
{
    (void)unused;
    for (;;) {
        char *p = mmap(NULL, 1 << 20, RW, PRIVATE, -1, 0);

        if (p == MAP_FAILED || mlock(p, 1 << 20) != 0) {
            UCHECK(errno == ENOMEM || errno == EAGAIN);
            return;
        }
    }
}

UTEST(lock_everything)
{
    oom_case(lock_all);
}

static void
lock_future(void *unused)
{
    (void)unused;
    UCHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    touch_anonymous(NULL);
}

UTEST(lock_all_to_come)
{
    oom_case(lock_future);
}

static void
many_names(void *unused)
{
    char name[32];
    int i;

    (void)unused;
    UCHECK(mkdir("/u_oom.d", 0700) == 0 && chdir("/u_oom.d") == 0);
    for (i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        if (mkdir(name, 0700) != 0) {
            UCHECK(errno == ENOMEM || errno == ENOSPC);
            break;
        }
    }
    while (i-- > 0) {
        snprintf(name, sizeof(name), "%d", i);
        UCHECK(rmdir(name) == 0);
    }
    UCHECK(rmdir("/u_oom.d") == 0);
}

UTEST(many_directories)
{
    oom_case(many_names);
}

static int
recurse(volatile char *above)
{
    volatile char here[4096];

    here[0] = above != NULL ? above[0] : 1;
    here[4095] = 1;
    return here[0] == 0 ? 0 : recurse(here) + here[0];
}

static void
deep(void *unused)
{
    (void)unused;
    (void)recurse(NULL);
}

UTEST(deep_recursion)
{
    int status;

    oom_begin();
    status = utest_child(deep, NULL);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
