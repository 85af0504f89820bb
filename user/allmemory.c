/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * allmemory - take all of memory, see that every page comes zeroed, give it
 * back; then ask for more than there is: the kernel says no, or ends the one
 * who asked, and everything is as before.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "scene.h"

static size_t page;

static uint64_t
free_memory(void)
{
    struct sysinfo si;

    SCENE_CHECK(sysinfo(&si) == 0);
    return (uint64_t)si.freeram * si.mem_unit;
}

/* Touch [size) page by page; each must be zero, and hold what is stored. */
static void
take(size_t size)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    SCENE_CHECK(p != MAP_FAILED);
    for (size_t i = 0; i < size; i += page) {
        uint64_t *w = (uint64_t *)(void *)(p + i);

        SCENE_CHECK(w[0] == 0 && w[page / 16] == 0 &&
            w[page / 8 - 1] == 0);
        w[0] = i + 1;
        w[page / 16] = ~i;
        w[page / 8 - 1] = i ^ 0x5555;
    }
    for (size_t i = 0; i < size; i += page) {
        SCENE_CHECK(*(uint64_t *)(void *)(p + i) == i + 1);
    }
    SCENE_CHECK(munmap(p, size) == 0);
}

int
main(void)
{
    uint64_t before, after;
    int status;
    pid_t pid;

    page = (size_t)sysconf(_SC_PAGESIZE);
    before = free_memory();
    for (int round = 0; round < 2; round++) {
        take((before - before / 16) & -page);
    }
    after = free_memory();
    if (after + before / 64 < before) {
        scene_fail("%llu KiB free, %llu before",
            (unsigned long long)after / 1024,
            (unsigned long long)before / 1024);
    }
    pid = scene_fork();
    if (pid == 0) {
        take((before + before / 4) & -page);
        _exit(7);
    }
    SCENE_CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        scene_fail("one who took too much ended with %#x", status);
    }
    take(before / 2 & -page);
    return 0;
}
