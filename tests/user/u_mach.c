/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_mach.c - the Mach calls: what each does, and each of its errors.
 */
#include "uprobe.h"

#include "mach_vm.h"

#define ADDRESS(p)  ((vm_address_t)(uintptr_t)(p))
#define BEYOND      ((vm_address_t)1 << 63)
#define OK(x)       UCHECK((x) == KERN_SUCCESS)

static size_t page;

static void
mach_begin(void)
{
    struct vm_statistics s;

    page = page_size();
    if (vm_statistics(&s) == KERN_NOT_SUPPORTED) {
        USKIP("no Mach calls here");
    }
    probe_init();
}

static char *
allocate(size_t pages)
{
    vm_address_t at = 0;

    OK(vm_allocate(0, &at, pages * page, 1));
    return (char *)(uintptr_t)at;
}

UTEST(allocate_and_deallocate)
{
    vm_address_t at = 0, again;
    char *p;

    mach_begin();
    p = allocate(3);
    UCHECK(is_filled(p, 0, 3 * page));
    memset(p, 1, 3 * page);
    at = ADDRESS(p) + page;
    UCHECK(vm_allocate(0, &at, page, 0) == KERN_NO_SPACE);
    UCHECK(at == ADDRESS(p) + page && p[page] == 1);
    OK(vm_deallocate(0, at, page));
    UCHECK(probe_read(p + page) == FAULT_NO_MAP && p[2 * page] == 1);
    OK(vm_allocate(0, &at, page, 0));
    UCHECK(at == ADDRESS(p) + page && is_filled(p + page, 0, page));
    OK(vm_deallocate(mach_task_self(), ADDRESS(p), 3 * page));
    OK(vm_deallocate(0, ADDRESS(p), 3 * page));
    again = BEYOND;
    UCHECK(vm_allocate(0, &again, page, 0) != KERN_SUCCESS);
    again = at + 1;
    UCHECK(vm_allocate(0, &again, page, 0) == KERN_INVALID_ARGUMENT);
    again = 0;
    UCHECK(vm_allocate(0, &again, page + 1, 1) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_allocate(0, &again, 0, 1) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_allocate(0, &again, BEYOND, 1) != KERN_SUCCESS);
    UCHECK(vm_allocate(0, (void *)8, page, 1) == KERN_INVALID_ADDRESS);
    UCHECK(vm_allocate(0, (void *)BEYOND, page, 1) == KERN_INVALID_ADDRESS);
    UCHECK(vm_deallocate(0, at + 1, page) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_deallocate(0, BEYOND, page) != KERN_SUCCESS);
    UCHECK(vm_deallocate(0, at, -page) != KERN_SUCCESS);
    OK(vm_check(0));
}

/* The result cannot be stored: nothing stays mapped. */
UTEST(allocate_read_only_result)
{
    struct vm_statistics before, after;
    vm_address_t *at;

    mach_begin();
    at = (vm_address_t *)map_pages(1, RW, PRIVATE);
    *at = 0;
    UCHECK(mprotect(at, page, PROT_READ) == 0);
    OK(vm_statistics(&before));
    for (int i = 0; i < 50; i++) {
        UCHECK(vm_allocate(0, at, page, 1) == KERN_INVALID_ADDRESS);
        UCHECK(vm_read(0, ADDRESS(at), page, at) == KERN_INVALID_ADDRESS);
        UCHECK(vm_map(0, at, page, VM_MAP_ANYWHERE, -1, 0) ==
            KERN_INVALID_ADDRESS);
    }
    OK(vm_statistics(&after));
    UCHECK(after.pages_object <= before.pages_object + 4);
    OK(vm_check(0));
}

UTEST(protect)
{
    struct vm_region_info info;
    vm_address_t at;
    char *p;

    mach_begin();
    p = allocate(3);
    at = ADDRESS(p);
    memset(p, 2, 3 * page);
    OK(vm_protect(0, at, page, 0, VM_PROT_READ));
    UCHECK(probe_write(p, 1) == FAULT_ACCESS && p[0] == 2);
    OK(vm_protect(0, at, page, 0, VM_PROT_READ | VM_PROT_WRITE));
    UCHECK(probe_write(p, 3) == 0);
    OK(vm_protect(0, at, 2 * page, 1, VM_PROT_READ));
    UCHECK(probe_write(p + page, 1) == FAULT_ACCESS);
    UCHECK(vm_protect(0, at, page, 0, VM_PROT_READ | VM_PROT_WRITE) ==
        KERN_PROTECTION_FAILURE);
    UERRNO(mprotect(p, page, RW), EACCES);
    OK(vm_region(0, &at, &info));
    UCHECK(info.max_protection == VM_PROT_READ && info.size == 2 * page);
    UCHECK(vm_protect(0, at + 1, page, 0, 1) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_protect(0, at, page, 0, 64) == KERN_INVALID_ARGUMENT);
    OK(vm_deallocate(0, at, page));
    UCHECK(vm_protect(0, at, 2 * page, 0, 1) == KERN_INVALID_ADDRESS);
    UCHECK(vm_protect(0, BEYOND, page, 0, 1) != KERN_SUCCESS);
    OK(vm_check(0));
}

static void
inherit_child(void *arg)
{
    char *p = arg;

    page = page_size();
    probe_init();
    UCHECK(p[0] == 1 && p[page] == 1);
    UCHECK(probe_read(p + 2 * page) == FAULT_NO_MAP);
    p[0] = p[page] = 5;
    OK(vm_check(0));
}

UTEST(inherit)
{
    char *p;

    mach_begin();
    p = allocate(3);
    memset(p, 1, 3 * page);
    OK(vm_inherit(0, ADDRESS(p), page, VM_INHERIT_SHARE));
    OK(vm_inherit(0, ADDRESS(p) + 2 * page, page, VM_INHERIT_NONE));
    for (int i = 0; i < 2; i++) {
        p[0] = 1;
        UCHECK(utest_child(inherit_child, p) == 0);
        UCHECK(p[0] == 5 && p[page] == 1 && p[2 * page] == 1);
    }
    UCHECK(vm_inherit(0, ADDRESS(p), page, 3) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_inherit(0, ADDRESS(p), page, -1u) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_inherit(0, ADDRESS(p) + 1, page, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_inherit(0, BEYOND, page, 0) != KERN_SUCCESS);
    OK(vm_check(0));
}

UTEST(copy)
{
    char *p, *q;

    mach_begin();
    p = allocate(4);
    q = allocate(4);
    memset(p, 1, 4 * page);
    memset(q, 2, 4 * page);
    OK(vm_copy(0, ADDRESS(p), 2 * page, ADDRESS(q) + page));
    UCHECK(is_filled(q, 2, page) && is_filled(q + page, 1, 2 * page) &&
        is_filled(q + 3 * page, 2, page));
    p[0] = 7;
    q[2 * page] = 8;
    UCHECK(q[page] == 1 && p[page] == 1);
    UCHECK(vm_copy(0, ADDRESS(p) + 1, page, ADDRESS(q)) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_copy(0, ADDRESS(p), page, ADDRESS(q) + 1) ==
        KERN_INVALID_ARGUMENT);
    OK(vm_protect(0, ADDRESS(q), page, 0, VM_PROT_READ));
    UCHECK(vm_copy(0, ADDRESS(p), 2 * page, ADDRESS(q)) ==
        KERN_PROTECTION_FAILURE);
    OK(vm_protect(0, ADDRESS(p), page, 0, VM_PROT_NONE));
    UCHECK(vm_copy(0, ADDRESS(p), page, ADDRESS(q) + page) ==
        KERN_PROTECTION_FAILURE);
    OK(vm_deallocate(0, ADDRESS(p), page));
    UCHECK(vm_copy(0, ADDRESS(p), 2 * page, ADDRESS(q) + page) ==
        KERN_INVALID_ADDRESS);
    UCHECK(vm_copy(0, ADDRESS(q) + page, page, BEYOND) != KERN_SUCCESS);
    UCHECK(q[0] == 2 && q[page] == 1);
    OK(vm_check(0));
}

UTEST(map_files)
{
    vm_address_t at = 0;
    char *p, *q, c, path[64];
    int fd, ro;

    mach_begin();
    fd = file_of(4);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ro = open(path, O_RDONLY);
    OK(vm_map(0, &at, 2 * page, VM_MAP_ANYWHERE, fd, page));
    p = (char *)(uintptr_t)at;
    UCHECK(p[0] == 'b' && p[page] == 'c');
    p[0] = 'B';
    UCHECK(pread(fd, &c, 1, (off_t)page) == 1 && c == 'B');
    at = 0;
    OK(vm_map(0, &at, 2 * page, VM_MAP_ANYWHERE | VM_MAP_COPY, fd, page));
    q = (char *)(uintptr_t)at;
    UCHECK(q[0] == 'B');
    p[page] = 'x';
    UCHECK(pwrite(fd, "y", 1, (off_t)page) == 1);
    UCHECK(q[0] == 'B' && q[page] == 'c' && p[0] == 'y');
    q[0] = 'q';
    UCHECK(p[0] == 'y');
    at = 0;
    OK(vm_map(0, &at, page, VM_MAP_ANYWHERE, ro, 0));
    UCHECK(probe_write((char *)(uintptr_t)at, 1) == FAULT_ACCESS);
    UCHECK(vm_protect(0, at, page, 0, 3) == KERN_PROTECTION_FAILURE);
    UCHECK(vm_map(0, &at, page, 8, fd, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_map(0, &at, page, 1, fd, 1) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_map(0, &at, page, 1, 999, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_map(0, &at, page, 1, open("/", O_RDONLY), 0) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_map(0, &at, page, 0, fd, 0) == KERN_NO_SPACE);
    UCHECK(vm_map(0, (void *)8, page, 1, fd, 0) == KERN_INVALID_ADDRESS);
    OK(vm_check(0));
}

/* A pipe to tell a child, which fills a page and waits. */
static pid_t
other_task(char *p, int pipes[2])
{
    pid_t pid;
    char c;

    UCHECK(pipe(pipes) == 0);
    pid = fork();
    if (pid == 0) {
        memset(p, 3, 2 * page);
        close(pipes[1]);
        p[page] = 4;
        (void)!read(pipes[0], &c, 1);
        _exit(p[0] == 9 ? 0 : 1);
    }
    UCHECK(pid > 0);
    usleep(20000);
    return pid;
}

UTEST(other_tasks)
{
    vm_address_t data = 0, at;
    int pipes[2], status;
    pid_t pid;
    char *p, *q;

    mach_begin();
    p = allocate(2);
    memset(p, 1, 2 * page);
    pid = other_task(p, pipes);
    OK(vm_read(pid, ADDRESS(p) + 5, page, &data));
    q = (char *)(uintptr_t)data;
    UCHECK((data & (page - 1)) == 5 && q[0] == 3 && q[page - 5] == 4 &&
        p[0] == 1);
    q[0] = 77;
    OK(vm_write(pid, ADDRESS(p), "\11", 1));
    UCHECK(p[0] == 1);
    at = 0;
    OK(vm_allocate(pid, &at, page, 1));
    OK(vm_protect(pid, at, page, 0, VM_PROT_READ));
    OK(vm_deallocate(pid, at, page));
    UCHECK(vm_read(pid, BEYOND, page, &data) != KERN_SUCCESS);
    UCHECK(vm_read(pid, ADDRESS(p), 0, &data) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_read(pid, ADDRESS(p), SIZE_MAX, &data) != KERN_SUCCESS);
    UCHECK(vm_write(pid, BEYOND, "x", 1) != KERN_SUCCESS);
    UCHECK(vm_write(pid, ADDRESS(p), (void *)8, 1) == KERN_INVALID_ADDRESS);
    UCHECK(vm_write(pid, ADDRESS(p), p, 0) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_check(pid) == KERN_FAILURE);
    close(pipes[1]);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    /* Nobody; the first; one that is no descendant. */
    UCHECK(vm_read(pid, ADDRESS(p), 1, &data) == KERN_INVALID_TASK);
    UCHECK(vm_read(1, ADDRESS(p), 1, &data) == KERN_INVALID_TASK);
    UCHECK(vm_read(getppid(), ADDRESS(p), 1, &data) == KERN_INVALID_TASK);
    UCHECK(vm_check(-1) == KERN_INVALID_TASK);
    UCHECK(vm_allocate(12345, &at, page, 1) == KERN_INVALID_TASK);
    UCHECK(vm_wire(12345, at, page, 1) == KERN_INVALID_TASK);
    UCHECK(vm_discard(12345, 0, 0) == KERN_INVALID_TASK);
    OK(vm_deallocate(getpid(), (vm_address_t)(uintptr_t)(q - 5), 2 * page));
    OK(vm_check(0));
}

UTEST(regions)
{
    struct vm_region_info info;
    vm_address_t at = 0, last = 0, count = 0;
    char *p;

    mach_begin();
    p = allocate(3);
    OK(vm_deallocate(0, ADDRESS(p) + page, page));
    p[0] = 1;
    while (vm_region(0, &at, &info) == KERN_SUCCESS) {
        UCHECK(at >= last && info.address == at && info.size != 0 &&
            info.size % page == 0);
        UCHECK((info.object >> 47) != 0x1ffff);
        last = at += info.size;
        count++;
    }
    UCHECK(vm_region(0, &at, &info) == KERN_NO_SPACE && count > 4);
    at = ADDRESS(p) + page + 7;
    OK(vm_region(0, &at, &info));
    UCHECK(at == ADDRESS(p) + 2 * page);
    UCHECK(vm_region(0, (void *)8, &info) == KERN_INVALID_ADDRESS);
    UCHECK(vm_region(0, &at, (void *)8) == KERN_INVALID_ADDRESS);
}

UTEST(wire_and_discard)
{
    char *p;

    mach_begin();
    p = allocate(2);
    memset(p, 6, 2 * page);
    OK(vm_wire(0, ADDRESS(p), 2 * page, 1));
    OK(vm_wire(0, ADDRESS(p), page, 1));
    OK(vm_discard(0, 0, 0));
    OK(vm_discard(0, ADDRESS(p), page));
    UCHECK(is_filled(p, 6, 2 * page));
    UERRNO(madvise(p, page, MADV_DONTNEED), EINVAL);
    OK(vm_wire(0, ADDRESS(p), 2 * page, 0));
    UERRNO(madvise(p, page, MADV_DONTNEED), EINVAL);
    OK(vm_wire(0, ADDRESS(p), page, 0));
    UCHECK(madvise(p, page, MADV_DONTNEED) == 0);
    UCHECK(vm_wire(0, ADDRESS(p) + 1, page, 1) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_wire(0, ADDRESS(p), 64 * page, 1) == KERN_INVALID_ADDRESS);
    OK(vm_protect(0, ADDRESS(p), page, 0, VM_PROT_NONE));
    UCHECK(vm_wire(0, ADDRESS(p), page, 1) == KERN_PROTECTION_FAILURE);
    UCHECK(vm_discard(0, BEYOND, page) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_discard(0, 0xffff800000000000, page) ==
        KERN_INVALID_ARGUMENT);
    UCHECK(vm_discard(0, 1, page) == KERN_INVALID_ARGUMENT);
    UCHECK(vm_discard(0, page, SIZE_MAX & ~(page - 1)) ==
        KERN_INVALID_ARGUMENT);
    OK(vm_check(0));
}

UTEST(statistics)
{
    struct vm_statistics a, b;
    char *p;

    mach_begin();
    p = allocate(20);
    OK(vm_statistics(&a));
    memset(p, 1, 20 * page);
    OK(vm_statistics(&b));
    UCHECK(b.zero_fills - a.zero_fills >= 20 && b.page_size == page);
    UCHECK(b.faults == b.zero_faults + b.soft_faults + b.copy_faults +
        b.move_faults + b.pagein_faults);
    UCHECK(b.pages_free <= a.pages_free && b.pages_kernel != 0);
    OK(vm_counters(&a));
    UCHECK(vm_statistics((void *)8) == KERN_INVALID_ADDRESS);
    UCHECK(vm_counters((void *)BEYOND) == KERN_INVALID_ADDRESS);
}
