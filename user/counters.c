/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters - scripted accesses between two marks: what the machine-independent
 * core counted for them, a line each.
 *
 * The lines are equal on every machine, since only the script touches memory
 * between the marks: the stack, the marks and the script's own text have been
 * touched before.  Soft faults are left out: they depend on what a page
 * table happened to hold.  So would pages made ahead, on what the program
 * wrote before: they are switched off meanwhile.
 */
#include <stddef.h>
#include <sys/mman.h>

#include "mach_vm.h"
#include "scene.h"

#define N       64

static size_t page;
static struct vm_statistics before, after;

/* Write to (or read) n pages from first, each step-th. */
static __attribute__((noinline)) unsigned
touch(volatile unsigned char *p, int first, int n, int step, int write)
{
    unsigned sum = 0;

    for (int i = 0; i < n; i++) {
        volatile unsigned char *at = p + (size_t)(first + i * step) * page;

        if (write) {
            *at = (unsigned char)(*at + 1);
        }
        sum += *at;
    }
    return sum;
}

static void
mark(struct vm_statistics *at)
{
    if (vm_counters(at) != KERN_SUCCESS) {
        scene_fail("no vm_counters");
    }
}

/* Everything but the script's own pages is in place, and writable. */
static void
warm(void)
{
    static unsigned char scratch[8];
    volatile char stack[16384];

    for (size_t i = 0; i < sizeof(stack); i += 512) {
        stack[i] = 1;
    }
    (void)touch(scratch, 0, 1, 1, 1);
    mark(&after);
    mark(&before);
}

static void
show(const char *name)
{
#define SHOW(field) printf(" " #field "=%llu", \
    (unsigned long long)(after.field - before.field))
    printf("%s", name);
    SHOW(zero_faults);
    SHOW(copy_faults);
    SHOW(move_faults);
    SHOW(pagein_faults);
    SHOW(fault_errors);
    SHOW(copies);
    SHOW(zero_fills);
    SHOW(pushes);
    SHOW(shadows);
    SHOW(snapshots);
    SHOW(collapses);
    SHOW(bypasses);
    printf("\n");
    fflush(stdout);
#undef SHOW
}

static unsigned char *
memory(int flags, int fd)
{
    unsigned char *p = mmap(NULL, N * page, PROT_READ | PROT_WRITE, flags,
        fd, 0);

    SCENE_CHECK(p != MAP_FAILED);
    return p;
}

static unsigned char *
anonymous(void)
{
    return memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int
a_file(void)
{
    int fd = memfd_create("counters", 0);

    SCENE_CHECK(fd >= 0 && ftruncate(fd, (off_t)(N * page)) == 0);
    return fd;
}

static void
first_touch(void)
{
    unsigned char *p = anonymous();

    warm();
    touch(p, 0, N / 2, 1, 1);
    touch(p, N / 2, N / 4, 1, 0);
    touch(p, N / 2, N / 4, 1, 1);
    mark(&after);
    show("first-touch");
}

/* The child copies, then the parent has its own again. */
static void
after_fork(void)
{
    unsigned char *p = anonymous();
    pid_t pid;

    touch(p, 0, N, 1, 1);
    pid = scene_fork();
    if (pid == 0) {
        warm();
        touch(p, 0, N / 4, 4, 0);
        touch(p, 0, N / 2, 2, 1);
        mark(&after);
        show("child-writes");
        _exit(0);
    }
    scene_wait(pid, 0);
    warm();
    touch(p, 0, N, 1, 1);
    mark(&after);
    show("parent-again");
}

/* Each generation writes a quarter that overlaps the last one's. */
static void
generations(void)
{
    unsigned char *p = anonymous();
    char name[32];

    touch(p, 0, N, 1, 1);
    for (int g = 0; g < 6; g++) {
        pid_t pid = scene_fork();

        if (pid != 0) {
            scene_wait(pid, 0);
            if (g != 0) {
                _exit(0);
            }
            return;
        }
        warm();
        touch(p, g * 8, N / 4, 1, 1);
        touch(p, 0, N, 1, 0);
        mark(&after);
        snprintf(name, sizeof(name), "generation-%d", g);
        show(name);
    }
    _exit(0);
}

static void
files(void)
{
    int fd = a_file();
    unsigned char *shared = memory(MAP_SHARED, fd);
    unsigned char *private = memory(MAP_PRIVATE, fd);

    warm();
    touch(shared, 0, N / 2, 1, 1);
    touch(private, 0, N, 1, 0);
    touch(private, 0, N / 2, 2, 1);
    mark(&after);
    show("file-private");
    SCENE_CHECK(close(fd) == 0);
}

/* A snapshot of shared memory, which then changes. */
static void
snapshots(void)
{
    vm_address_t at = 0;
    int fd = a_file();
    unsigned char *shared = memory(MAP_SHARED, fd), *copy;

    touch(shared, 0, N, 1, 1);
    SCENE_CHECK(vm_map(mach_task_self(), &at, N * page,
        VM_MAP_ANYWHERE | VM_MAP_COPY, fd, 0) == KERN_SUCCESS);
    copy = (unsigned char *)(uintptr_t)at;
    warm();
    touch(shared, 0, N / 2, 1, 1);
    touch(copy, 0, N, 1, 0);
    touch(copy, 0, N / 4, 3, 1);
    mark(&after);
    SCENE_CHECK(copy[(N - 1) * page] == shared[(N - 1) * page]);
    SCENE_CHECK(copy[page] + 1 == shared[page]);
    show("snapshot");
}

static void
virtual_copy(void)
{
    unsigned char *a = anonymous(), *b = anonymous();
    vm_address_t from = (uintptr_t)a, to = (uintptr_t)b;

    touch(a, 0, N, 1, 1);
    SCENE_CHECK(vm_copy(mach_task_self(), from, N * page, to) ==
        KERN_SUCCESS);
    warm();
    touch(a, 0, N / 2, 1, 1);
    touch(b, 0, N / 2, 2, 1);
    touch(b, 0, N, 1, 0);
    mark(&after);
    show("virtual-copy");
}

/* Forgotten page tables cost soft faults and nothing else. */
static void
discarded(void)
{
    unsigned char *p = anonymous();

    touch(p, 0, N, 1, 1);
    warm();
    SCENE_CHECK(vm_discard(mach_task_self(), (uintptr_t)p, N * page) ==
        KERN_SUCCESS);
    touch(p, 0, N, 1, 1);
    mark(&after);
    show("discarded");
}

/* One fault makes so many bytes at most; returns how many it was. */
static unsigned long
make_ahead(unsigned long bytes)
{
    FILE *f = fopen("/proc/sys/vm/fault_ahead_bytes", "r+");
    unsigned long was;

    if (f == NULL || fscanf(f, "%lu", &was) != 1) {
        scene_fail("no fault_ahead_bytes");
    }
    rewind(f);
    if (fprintf(f, "%lu\n", bytes) < 0 || fclose(f) != 0) {
        scene_fail("fault_ahead_bytes cannot be set");
    }
    return was;
}

int
main(void)
{
    unsigned long ahead;

    page = (size_t)sysconf(_SC_PAGESIZE);
    ahead = make_ahead(page);
    first_touch();
    after_fork();
    generations();
    files();
    snapshots();
    virtual_copy();
    discarded();
    (void)make_ahead(ahead);
    return 0;
}
