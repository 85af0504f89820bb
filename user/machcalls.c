/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machcalls - Mach's calls on address spaces: allocate, virtual copy,
 * inheritance, protection limits, regions, another task's memory, discard.
 */
#include <signal.h>
#include <sys/mman.h>

#include "mach_vm.h"
#include "scene.h"

#define OK(x) SCENE_CHECK((x) == KERN_SUCCESS)

static size_t page;

static void
copies(void)
{
    vm_address_t a = 0, b = 0;
    unsigned char *pa, *pb;

    OK(vm_allocate(mach_task_self(), &a, 8 * page, 1));
    OK(vm_allocate(mach_task_self(), &b, 8 * page, 1));
    pa = (unsigned char *)(uintptr_t)a;
    pb = (unsigned char *)(uintptr_t)b;
    memset(pa, 1, 8 * page);
    OK(vm_copy(mach_task_self(), a, 8 * page, b));
    pa[0] = 2;
    pb[page] = 3;
    SCENE_CHECK(pb[0] == 1 && pa[page] == 1 && pa[0] == 2 && pb[page] == 3);
    OK(vm_discard(mach_task_self(), 0, 0));
    SCENE_CHECK(pb[0] == 1 && pa[page] == 1 && pa[0] == 2 && pb[page] == 3);
    SCENE_CHECK(vm_copy(mach_task_self(), a + 1, page, b) ==
        KERN_INVALID_ARGUMENT);
    OK(vm_deallocate(mach_task_self(), a, 8 * page));
    SCENE_CHECK(vm_copy(mach_task_self(), a, page, b) ==
        KERN_INVALID_ADDRESS);
    OK(vm_deallocate(mach_task_self(), b, 8 * page));
    OK(vm_check(mach_task_self()));
}

static void
inheritance(void)
{
    vm_address_t at = 0;
    volatile unsigned char *p;
    unsigned char vec;
    pid_t pid;

    OK(vm_allocate(mach_task_self(), &at, 3 * page, 1));
    p = (unsigned char *)(uintptr_t)at;
    p[0] = p[page] = p[2 * page] = 1;
    OK(vm_inherit(mach_task_self(), at, page, VM_INHERIT_SHARE));
    OK(vm_inherit(mach_task_self(), at + 2 * page, page, VM_INHERIT_NONE));
    pid = scene_fork();
    if (pid == 0) {
        p[0] = 2;
        p[page] = 2;
        _exit(mincore((void *)(uintptr_t)(at + 2 * page), page, &vec) == -1 ?
            0 : 1);
    }
    scene_wait(pid, 0);
    SCENE_CHECK(p[0] == 2 && p[page] == 1 && p[2 * page] == 1);
    OK(vm_deallocate(mach_task_self(), at, 3 * page));
}

static void
limits(void)
{
    struct vm_region_info r;
    vm_address_t at = 0, next;

    OK(vm_allocate(mach_task_self(), &at, 4 * page, 1));
    OK(vm_protect(mach_task_self(), at, page, 1, VM_PROT_READ));
    SCENE_CHECK(vm_protect(mach_task_self(), at, page, 0, VM_PROT_READ |
        VM_PROT_WRITE) == KERN_PROTECTION_FAILURE);
    next = at;
    OK(vm_region(mach_task_self(), &next, &r));
    SCENE_CHECK(next == at && r.size == page &&
        r.protection == VM_PROT_READ && r.max_protection == VM_PROT_READ);
    OK(vm_wire(mach_task_self(), at + page, page, 1));
    next = at + page;
    OK(vm_region(mach_task_self(), &next, &r));
    SCENE_CHECK(next == at + page && r.wired == 1);
    OK(vm_wire(mach_task_self(), at + page, page, 0));
    OK(vm_deallocate(mach_task_self(), at, 4 * page));
    next = ~(vm_address_t)0 - 4095;
    SCENE_CHECK(vm_region(mach_task_self(), &next, &r) == KERN_NO_SPACE);
}

/* A child's memory, from its parent. */
static void
other_task(void)
{
    vm_address_t at = 0, data;
    unsigned char *p;
    int ready[2], go[2];
    char c;
    pid_t pid;

    OK(vm_allocate(mach_task_self(), &at, 2 * page, 1));
    p = (unsigned char *)(uintptr_t)at;
    SCENE_CHECK(pipe(ready) == 0 && pipe(go) == 0);
    pid = scene_fork();
    if (pid == 0) {
        memset(p, 5, 2 * page);
        SCENE_CHECK(write(ready[1], "r", 1) == 1 && read(go[0], &c, 1) == 1);
        _exit(p[100] == 9 && p[99] == 5 ? 0 : 1);
    }
    SCENE_CHECK(read(ready[0], &c, 1) == 1);
    OK(vm_read(pid, at + 10, page, &data));
    SCENE_CHECK(*(unsigned char *)(uintptr_t)data == 5 && p[10] == 0);
    OK(vm_deallocate(mach_task_self(), data & -page, 2 * page));
    OK(vm_write(pid, at + 100, "\011", 1));
    OK(vm_discard(pid, 0, 0));
    SCENE_CHECK(write(go[1], "g", 1) == 1);
    scene_wait(pid, 0);
    SCENE_CHECK(vm_write(1, at, "x", 1) == KERN_INVALID_TASK);
    SCENE_CHECK(vm_write(pid, at, "x", 1) == KERN_INVALID_TASK);
    OK(vm_deallocate(mach_task_self(), at, 2 * page));
}

int
main(void)
{
    struct vm_statistics s;

    page = (size_t)sysconf(_SC_PAGESIZE);
    copies();
    inheritance();
    limits();
    other_task();
    OK(vm_statistics(&s));
    SCENE_CHECK(s.page_size == page && s.pages_free > 0 && s.faults > 0);
    SCENE_CHECK(s.faults == s.zero_faults + s.soft_faults + s.copy_faults +
        s.move_faults + s.pagein_faults);
    return 0;
}
