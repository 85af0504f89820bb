/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uprobe.h - for tests of memory: touching it and living on, maps to hand,
 * and how much is free.
 */
#ifndef UPROBE_H
#define UPROBE_H

#include "utest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#define RW          (PROT_READ | PROT_WRITE)
#define PRIVATE     (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED      (MAP_SHARED | MAP_ANONYMOUS)

/* What a touch ends in: 0, or signal and si_code. */
#define FAULT(sig, code)    ((sig) * 100 + (code))
#define FAULT_NO_MAP        FAULT(SIGSEGV, 1)
#define FAULT_ACCESS        FAULT(SIGSEGV, 2)
#define FAULT_END           FAULT(SIGBUS, 2)

static sigjmp_buf probe_back;
static volatile uintptr_t probe_addr;

static inline void
probe_handler(int sig, siginfo_t *si, void *context)
{
    (void)context;
    probe_addr = (uintptr_t)si->si_addr;
    siglongjmp(probe_back, FAULT(sig, si->si_code));
}

static inline void
probe_init(void)
{
    struct sigaction sa = {
        .sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO
    };

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
}

/* The handlers must be there. */
static inline int
probe_read(const volatile void *p)
{
    int fault = sigsetjmp(probe_back, 1);

    if (fault == 0) {
        (void)*(const volatile char *)p;
    }
    return fault;
}

static inline int
probe_write(volatile void *p, char value)
{
    int fault = sigsetjmp(probe_back, 1);

    if (fault == 0) {
        *(volatile char *)p = value;
    }
    return fault;
}

static inline size_t
page_size(void)
{
    static size_t size;

    if (size == 0) {
        size = (size_t)sysconf(_SC_PAGESIZE);
    }
    return size;
}

static inline char *
map_pages(size_t pages, int prot, int flags)
{
    char *p = mmap(NULL, pages * page_size(), prot, flags, -1, 0);

    UCHECK(p != MAP_FAILED);
    return p;
}

/* A file in memory of that many pages; each begins with 'a' + its number. */
static inline int
file_of(size_t pages)
{
    int fd = memfd_create("probe", 0);

    UCHECK(fd >= 0);
    UCHECK(ftruncate(fd, (off_t)(pages * page_size())) == 0);
    for (size_t i = 0; i < pages; i++) {
        char c = (char)('a' + i % 26);

        UCHECK(pwrite(fd, &c, 1, (off_t)(i * page_size())) == 1);
    }
    return fd;
}

static inline int
is_filled(const void *p, int c, size_t n)
{
    const unsigned char *b = p;

    return n == 0 || (b[0] == (unsigned char)c && memcmp(b, b + 1,
        n - 1) == 0);
}

static inline uint64_t
free_bytes(void)
{
    struct sysinfo si;

    UCHECK(sysinfo(&si) == 0);
    return (uint64_t)si.freeram * si.mem_unit;
}

/* Here, not on Linux. */
static inline int
is_palimpsest(void)
{
    return syscall(0x4d00 + 12, 0, 0, 0, 0, 0, 0) >= 0;
}

#endif
