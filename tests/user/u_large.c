/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_large.c - memory advised for large pages reads like any other, whatever
 * is done to parts of it.
 */
/* pal: */
#include "mach_vm.h"
#include "utest.h"

#include <stdint.h>
#include <sys/mman.h>

#define RUN     ((size_t)2 << 20)
#define SIZE    (4 * RUN)

static size_t page;

static uint32_t
word_of(size_t i, unsigned version)
{
    return (uint32_t)(i * 2654435761u) ^ version << 24 ^ version;
}

static void
put(char *p, size_t from, size_t to, unsigned version)
{
    for (size_t i = from; i < to; i++) {
        *(volatile uint32_t *)(void *)(p + i * page) = word_of(i, version);
    }
}

static void
want(const char *p, size_t from, size_t to, unsigned version)
{
    for (size_t i = from; i < to; i++) {
        const char *at = p + i * page;

        UCHECK(*(const volatile uint32_t *)(const void *)at ==
            word_of(i, version));
        UCHECK(*(const volatile uint32_t *)(const void *)(at + 8) == 0);
    }
}

static char *
advised(int advice)
{
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    page = (size_t)sysconf(_SC_PAGESIZE);
    UCHECK(p != MAP_FAILED);
    UCHECK(madvise(p, SIZE, advice) == 0);
    return p;
}

static void
reap(pid_t pid)
{
    int status;

    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

UTEST(parts)
{
    char *p = advised(MADV_HUGEPAGE);
    size_t n = SIZE / page;

    put(p, 0, n, 1);
    want(p, 0, n, 1);
    UCHECK(mprotect(p + SIZE / 2, page, PROT_READ) == 0);
    want(p, 0, n, 1);
    UCHECK(mprotect(p + SIZE / 2, page, PROT_READ | PROT_WRITE) == 0);
    put(p, n / 2, n, 2);
    UCHECK(madvise(p + 3 * page, page, MADV_DONTNEED) == 0);
    UCHECK(*(volatile uint32_t *)(void *)(p + 3 * page) == 0);
    want(p, 0, 3, 1);
    want(p, 4, n / 2, 1);
    want(p, n / 2, n, 2);
    UCHECK(munmap(p + (n - 9) * page, page) == 0);
    UCHECK(madvise(p, RUN, MADV_NOHUGEPAGE) == 0);
    want(p, 4, n / 2, 1);
    want(p, n / 2, n - 9, 2);
    want(p, n - 8, n, 2);
    UERRNO(madvise(p, SIZE, MADV_HUGEPAGE), ENOMEM);
}

UTEST(forks)
{
    char *p = advised(MADV_HUGEPAGE);
    size_t n = SIZE / page;
    pid_t pid;

    put(p, 0, n, 1);
    for (unsigned version = 2; version < 6; version++) {
        pid = fork();
        UCHECK(pid >= 0);
        if (pid == 0) {
            want(p, 0, n, version - 1);
            put(p, 0, n, 77);
            want(p, 0, n, 77);
            _exit(0);
        }
        put(p, 0, n / 3, version);
        reap(pid);
        want(p, 0, n / 3, version);
        want(p, n / 3, n, version - 1);
        put(p, n / 3, n, version);
        want(p, 0, n, version);
    }
}

UTEST(moves)
{
    char *p = advised(MADV_HUGEPAGE), *q;
    size_t n = SIZE / page;

    put(p, 0, n, 1);
    q = mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
        mmap(NULL, SIZE + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
        0));
    UCHECK(q != MAP_FAILED && q != p);
    want(q, 0, n, 1);
    put(q, 0, n, 2);
    UCHECK(mlock(q, SIZE) == 0);
    want(q, 0, n, 2);
    UCHECK(munlock(q, SIZE) == 0);
    UCHECK(madvise(q, SIZE, MADV_DONTNEED) == 0);
    for (size_t i = 0; i < n; i++) {
        UCHECK(*(volatile uint32_t *)(void *)(q + i * page) == 0);
    }
    put(q, 0, n, 3);
    want(q, 0, n, 3);
}

/* Faults that brought new pages, by Mach's counters; 0 where there are none. */
static uint64_t
zero_faults(void)
{
    struct vm_statistics s;

    return vm_counters(&s) == KERN_SUCCESS ? s.zero_faults : 0;
}

/* A file in memory is filled by the run as well, and reads as a file does. */
UTEST(files)
{
    int fd = memfd_create("large", 0);
    char *room = mmap(NULL, SIZE + RUN, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;
    uint64_t before;
    uint32_t value;
    size_t n;

    page = (size_t)sysconf(_SC_PAGESIZE);
    n = SIZE / page;
    UCHECK(fd >= 0 && ftruncate(fd, (off_t)SIZE) == 0 && room != MAP_FAILED);
    p = (char *)(((uintptr_t)room + RUN - 1) & ~(uintptr_t)(RUN - 1));
    UCHECK(mmap(p, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
        0) == p);
    UCHECK(madvise(p, SIZE, MADV_HUGEPAGE) == 0);
    before = zero_faults();
    put(p, 0, n, 1);
    UCHECK(page != 4096 || zero_faults() - before < n / 64);
    want(p, 0, n, 1);
    for (size_t i = 0; i < n; i += 97) {
        UCHECK(pread(fd, &value, sizeof(value), (off_t)(i * page)) ==
            sizeof(value) && value == word_of(i, 1));
    }
    value = word_of(7, 2);
    UCHECK(pwrite(fd, &value, sizeof(value), (off_t)(7 * page)) ==
        sizeof(value));
    want(p, 7, 8, 2);
    UCHECK(munmap(room, SIZE + RUN) == 0 && close(fd) == 0);
}
