/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forktree - a tree of processes, each of which writes its own mark over
 * copy-on-write memory and adds to shared memory: nobody sees another's
 * marks, everybody sees the sum.
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "scene.h"

#define PAGES   64
#define DEPTH   4
#define WIDTH   3

static unsigned char *private;
static _Atomic uint64_t *shared;
static size_t page;

static unsigned char
mark_of(unsigned id, int i)
{
    return (unsigned char)(id * 31 + (unsigned)i * 7 + 1);
}

static void
check(unsigned id)
{
    for (int i = 0; i < PAGES; i++) {
        SCENE_CHECK(private[(size_t)i * page] == mark_of(id, i));
        SCENE_CHECK(private[(size_t)i * page + page - 1] ==
            mark_of(id, i));
    }
}

static void
paint(unsigned id)
{
    for (int i = 0; i < PAGES; i++) {
        private[(size_t)i * page] = mark_of(id, i);
        private[(size_t)i * page + page - 1] = mark_of(id, i);
    }
}

static void
grow(unsigned id, int depth)
{
    pid_t child[WIDTH];

    check(id);
    atomic_fetch_add(&shared[depth], 1);
    if (depth == DEPTH) {
        return;
    }
    for (unsigned i = 0; i < WIDTH; i++) {
        child[i] = scene_fork();
        if (child[i] == 0) {
            check(id);
            paint(id * WIDTH + i + 1);
            grow(id * WIDTH + i + 1, depth + 1);
            _exit(0);
        }
    }
    /* While they run, change what they were given. */
    paint(id + 100);
    for (unsigned i = 0; i < WIDTH; i++) {
        scene_wait(child[i], 0);
    }
    check(id + 100);
}

int
main(void)
{
    unsigned want = 1;

    page = (size_t)sysconf(_SC_PAGESIZE);
    private = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared = mmap(NULL, page, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    SCENE_CHECK(private != MAP_FAILED && (void *)shared != MAP_FAILED);
    paint(0);
    grow(0, 0);
    for (int d = 0; d <= DEPTH; d++) {
        SCENE_CHECK(shared[d] == want);
        want *= WIDTH;
    }
    return 0;
}
