/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.c - mlock's family, and the break.
 *
 * Linux does not count locks on memory, the VM core counts wirings: a region
 * is wired here only if it is not.
 */
#include "mem.h"
#include "proc.h"

#define MCL_CURRENT     1u
#define MCL_FUTURE      2u
#define MCL_ONFAULT     4u
#define MLOCK_ONFAULT   1u

static int64_t
lock_error(int error)
{
    /* EAGAIN: some of it could not be locked (mlock(2)). */
    return error == VM_OK ? 0 : error == VM_E_NOMEM || error == VM_E_BUSY ?
        -UNIX_EAGAIN : error == VM_E_INTR ? -UNIX_EINTR : -UNIX_ENOMEM;
}

/* Without holes? */
static int64_t
lock_is_mapped(struct vm_map *map, vaddr_t at, vaddr_t end)
{
    struct vm_region r;

    while (at < end) {
        vaddr_t found = at;

        if (!vm_map_region(map, &found, &r) || found > at) {
            return -UNIX_ENOMEM;
        }
        at = found + r.size;
    }
    return 0;
}

/* Wire what is not; holes only if all that is there is meant. */
static int64_t
lock_range(struct vm_map *map, vaddr_t start, vaddr_t end, bool holes)
{
    struct vm_region r;
    vaddr_t at = start;
    int error;

    while (at < end) {
        vaddr_t found = at, stop;

        if (!vm_map_region(map, &found, &r) || found >= end) {
            return holes ? 0 : -UNIX_ENOMEM;
        }
        if (found > at && !holes) {
            return -UNIX_ENOMEM;
        }
        stop = found + r.size < end ? found + r.size : end;
        found = found > at ? found : at;
        if (r.wired_count == 0 && r.prot != VM_PROT_NONE) {
            error = vm_map_wire(map, found, stop - found);
            if (error != VM_OK) {
                return lock_error(error);
            }
        } else if (r.wired_count == 0 && !holes) {
            return -UNIX_ENOMEM;
        }
        at = stop;
    }
    return 0;
}

/* The range in whole pages: 0, or what is wrong with it. */
static int64_t
lock_bounds(const struct vm_map *map, const uint64_t *a, vaddr_t *start,
    vaddr_t *end)
{
    *start = vm_trunc_page(a[0]);
    *end = (a[0] + a[1] + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    if (a[0] + a[1] < a[0] || *end < *start) {
        return -UNIX_EINVAL;
    }
    if (*start != *end && (*start < map->start || *end > map->end)) {
        return -UNIX_ENOMEM;
    }
    return 0;
}

int64_t
sys_mlock(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vaddr_t start, end;
    int64_t error = lock_bounds(map, a, &start, &end);

    return error != 0 || start == end ? error :
        lock_range(map, start, end, false);
}

int64_t
sys_mlock2(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vaddr_t start, end;
    int64_t error;

    if ((a[2] & ~(uint64_t)MLOCK_ONFAULT) != 0) {
        return -UNIX_EINVAL;
    }
    if ((a[2] & MLOCK_ONFAULT) == 0) {
        return sys_mlock(a);
    }
    /* On fault: pages that are touched stay here anyway, without swap. */
    error = lock_bounds(map, a, &start, &end);
    return error != 0 || start == end ? error :
        lock_is_mapped(map, start, end);
}

int64_t
sys_munlock(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vaddr_t start, end;
    int64_t error = lock_bounds(map, a, &start, &end);

    if (error != 0 || start == end) {
        return error;
    }
    return vm_map_unwire(map, start, end - start) == VM_OK ? 0 :
        -UNIX_ENOMEM;
}

int64_t
sys_mlockall(const uint64_t *a)
{
    struct proc *p = proc_current();

    if (a[0] == 0 || a[0] == MCL_ONFAULT ||
        (a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0) {
        return -UNIX_EINVAL;
    }
    p->lock_future = (a[0] & (MCL_FUTURE | MCL_ONFAULT)) == MCL_FUTURE;
    if ((a[0] & (MCL_CURRENT | MCL_ONFAULT)) != MCL_CURRENT) {
        return 0;
    }
    return lock_range(p->map, p->map->start, p->map->end, true);
}

int64_t
sys_munlockall(const uint64_t *a)
{
    struct proc *p = proc_current();
    struct vm_region r;

    (void)a;
    p->lock_future = false;
    for (vaddr_t at = p->map->start; vm_map_region(p->map, &at, &r);
        at += r.size) {
        if (r.wired_count != 0) {
            (void)!vm_map_unwire(p->map, at, r.size);
        }
    }
    return 0;
}

/* The old break is the answer when the new one cannot be. */
int64_t
sys_brk(const uint64_t *a)
{
    struct proc *p = proc_current();
    vaddr_t new = a[0], from, to, at;
    struct vm_map_args args = {
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY,
    };

    vm_mutex_lock(&p->lock);
    from = (p->brk + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    to = (new + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    if (new < p->brk_start || new > p->map->end || to < new) {
        new = p->brk;
    } else if (to > from) {
        args.addr = from;
        args.size = to - from;
        if (!mem_may_promise(args.size) ||
            vm_map_enter(p->map, &args, &at) != VM_OK) {
            new = p->brk;
        } else if (p->lock_future) {
            (void)!vm_map_wire(p->map, at, args.size);
        }
    } else if (to < from &&
        vm_map_deallocate(p->map, to, from - to) != VM_OK) {
        new = p->brk;
    }
    p->brk = new;
    vm_mutex_unlock(&p->lock);
    return (int64_t)new;
}
