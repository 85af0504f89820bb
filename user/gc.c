/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gc - the write barrier of a garbage collector: old objects are protected,
 * a SIGSEGV handler notes which page was written and allows it.
 *
 * The handler's notes must name exactly the pages that were written.
 */
#include <signal.h>
#include <sys/mman.h>

#include "scene.h"

#define PAGES   512
#define ROUNDS  8
#define WRITES  200

static char *heap;
static size_t page;
static volatile unsigned char dirty[PAGES];
static volatile unsigned faults;

static void
barrier(int sig, siginfo_t *info, void *context)
{
    size_t i = ((uintptr_t)info->si_addr - (uintptr_t)heap) / page;

    (void)context;
    if (sig != SIGSEGV || info->si_code != SEGV_ACCERR || i >= PAGES) {
        _exit(99);
    }
    dirty[i] = 1;
    faults++;
    if (mprotect(heap + i * page, page, PROT_READ | PROT_WRITE) != 0) {
        _exit(98);
    }
}

static void
round_of_writes(uint64_t *seed)
{
    unsigned char wrote[PAGES] = { 0 };
    unsigned n = 0, before = faults;

    SCENE_CHECK(mprotect(heap, PAGES * page, PROT_READ) == 0);
    memset((void *)(uintptr_t)dirty, 0, sizeof(dirty));
    for (int w = 0; w < WRITES; w++) {
        uint64_t at = scene_random(seed) % (PAGES * page);

        n += wrote[at / page] == 0;
        wrote[at / page] = 1;
        heap[at] = (char)w;
        SCENE_CHECK(heap[at] == (char)w);
    }
    for (int i = 0; i < PAGES; i++) {
        SCENE_CHECK(dirty[i] == wrote[i]);
    }
    SCENE_CHECK(faults - before == n);
}

int
main(void)
{
    struct sigaction sa = { .sa_sigaction = barrier,
        .sa_flags = SA_SIGINFO | SA_ONSTACK };
    stack_t alt = { .ss_size = 65536 };
    uint64_t seed = 88172645463325252u;

    page = (size_t)sysconf(_SC_PAGESIZE);
    alt.ss_sp = malloc(alt.ss_size);
    SCENE_CHECK(alt.ss_sp != NULL && sigaltstack(&alt, NULL) == 0);
    SCENE_CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
    heap = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SCENE_CHECK(heap != MAP_FAILED);
    for (int r = 0; r < ROUNDS; r++) {
        round_of_writes(&seed);
    }
    return 0;
}
