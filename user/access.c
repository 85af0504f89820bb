/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * access - every way to touch memory that one may not: the right signal, the
 * right si_code, the right address, and the program goes on.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "scene.h"

static sigjmp_buf back;
static volatile sig_atomic_t got_signal, got_code;
static void *volatile got_address;

static void
handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    got_signal = sig;
    got_code = info->si_code;
    got_address = info->si_addr;
    siglongjmp(back, 1);
}

enum how { LOAD, STORE, CALL };

static void
expect(const char *what, void *at, enum how how, int sig, int code)
{
    got_signal = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (how == LOAD) {
            (void)*(volatile unsigned char *)at;
        } else if (how == STORE) {
            *(volatile unsigned char *)at = 1;
        } else {
            ((void (*)(void))(uintptr_t)at)();
        }
    }
    if (got_signal != sig || (sig != 0 && (got_code != code ||
        got_address != at))) {
        scene_fail("%s at %p: signal %d code %d address %p", what, at,
            (int)got_signal, (int)got_code, got_address);
    }
}

static void *
map(size_t size, int prot, int flags, int fd)
{
    void *p = mmap(NULL, size, prot, flags, fd, 0);

    SCENE_CHECK(p != MAP_FAILED);
    return p;
}

static void
past_the_end(size_t page)
{
    int fd = memfd_create("short", 0);
    char *p;

    SCENE_CHECK(fd >= 0 && ftruncate(fd, (off_t)page + 10) == 0);
    p = map(4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    expect("last page of a file", p + page + 9, STORE, 0, 0);
    expect("rest of the last page", p + 2 * page - 1, LOAD, 0, 0);
    expect("past the end of a file", p + 2 * page, LOAD, SIGBUS,
        BUS_ADRERR);
    SCENE_CHECK(ftruncate(fd, 10) == 0);
    expect("truncated away", p + page, LOAD, SIGBUS, BUS_ADRERR);
    expect("what is left of it", p + 5, LOAD, 0, 0);
}

int
main(void)
{
    struct sigaction sa = { .sa_sigaction = handler,
        .sa_flags = SA_SIGINFO };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int anon = MAP_PRIVATE | MAP_ANONYMOUS;
    char *p;

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    expect("null", NULL, LOAD, SIGSEGV, SEGV_MAPERR);
    p = map(3 * page, PROT_READ | PROT_WRITE, anon, -1);
    SCENE_CHECK(munmap(p + page, page) == 0);
    expect("a hole", p + page, LOAD, SIGSEGV, SEGV_MAPERR);
    expect("beside a hole", p + 2 * page, STORE, 0, 0);
    expect("data that is no code", p, CALL, SIGSEGV, SEGV_ACCERR);
    SCENE_CHECK(mprotect(p, page, PROT_READ) == 0);
    expect("read-only", p + 7, STORE, SIGSEGV, SEGV_ACCERR);
    expect("read-only", p + 7, LOAD, 0, 0);
    SCENE_CHECK(mprotect(p, page, PROT_NONE) == 0);
    expect("nothing allowed", p, LOAD, SIGSEGV, SEGV_ACCERR);
    expect("program text", (void *)(uintptr_t)main, STORE, SIGSEGV,
        SEGV_ACCERR);
    past_the_end(page);
    return 0;
}
