/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mach_vm.h - Mach's virtual memory calls for programs (Mach 3 Kernel
 * Interfaces, Loepere 1992, chapter "Virtual Memory Interface"), for any libc.
 *
 * Addresses and sizes are in bytes.  vm_read, vm_write and vm_region take any
 * alignment; the rest want page-aligned addresses and sizes
 * (KERN_INVALID_ARGUMENT).  A task is a process number: mach_task_self() or a
 * descendant's.  On an error nothing has changed, unless a call says so.
 *
 * On a kernel without these calls each returns KERN_NOT_SUPPORTED.
 */
#ifndef MACH_VM_H
#define MACH_VM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int kern_return_t;
typedef int mach_task_t;
typedef uint64_t vm_address_t;
typedef uint64_t vm_size_t;
typedef unsigned vm_prot_t;
typedef unsigned vm_inherit_t;

#define KERN_SUCCESS            0
#define KERN_INVALID_ADDRESS    1
#define KERN_PROTECTION_FAILURE 2
#define KERN_NO_SPACE           3
#define KERN_INVALID_ARGUMENT   4
#define KERN_FAILURE            5
#define KERN_RESOURCE_SHORTAGE  6
#define KERN_MEMORY_ERROR       10
#define KERN_ABORTED            14
#define KERN_INVALID_TASK       16
#define KERN_NOT_SUPPORTED      46

#define VM_PROT_NONE    0u
#define VM_PROT_READ    1u
#define VM_PROT_WRITE   2u
#define VM_PROT_EXECUTE 4u
#define VM_PROT_ALL     7u

#define VM_INHERIT_SHARE 0u
#define VM_INHERIT_COPY 1u
#define VM_INHERIT_NONE 2u

struct vm_region_info {
    uint64_t address, size;
    uint32_t protection, max_protection, inheritance;
    uint32_t shared, needs_copy, wired;
    uint64_t object, offset;    /* identity of the memory object; bytes */
};

/*
 * Counters of the machine-independent core since boot, and pages by use.  For
 * the same history those marked (=) are equal on every machine.
 */
struct vm_statistics {
    uint64_t faults;            /* resolved; the sum of the next five */
    uint64_t zero_faults;       /* (=) */
    uint64_t soft_faults;       /* resident; depends on what was forgotten */
    uint64_t copy_faults;       /* (=) */
    uint64_t move_faults;       /* (=) sole owner: moved, not copied */
    uint64_t pagein_faults;     /* (=) */
    uint64_t fault_errors;      /* (=) */
    uint64_t retries;
    uint64_t copies;            /* (=) pages copied */
    uint64_t zero_fills;        /* (=) pages zeroed */
    uint64_t pushes;            /* (=) pages saved for snapshots */
    uint64_t shadows;           /* (=) shadow objects made */
    uint64_t snapshots;         /* (=) */
    uint64_t collapses;         /* (=) shadow objects merged */
    uint64_t bypasses;          /* (=) shadow objects stepped over */
    uint64_t forks;             /* (=) */
    uint64_t pageins, pageouts, reclaims;
    uint64_t page_size;
    uint64_t pages_free, pages_object, pages_table, pages_kernel;
    uint64_t pages_wired, pages_modified;
};

#define MACH_CALL(n, a, b, c, d, e, f)                                  \
    mach_result(syscall(0x4d00 + (n), (a), (b), (c), (d), (e), (f)))

static inline kern_return_t
mach_result(long r)
{
    return r < 0 ? KERN_NOT_SUPPORTED : (kern_return_t)r;
}

static inline mach_task_t
mach_task_self(void)
{
    return 0;
}

/* Zero-filled memory; anywhere: *address is a hint on entry. */
static inline kern_return_t
vm_allocate(mach_task_t task, vm_address_t *address, vm_size_t size,
    int anywhere)
{
    return MACH_CALL(0, task, address, size, anywhere, 0, 0);
}

/* Holes in the range do not matter. */
static inline kern_return_t
vm_deallocate(mach_task_t task, vm_address_t address, vm_size_t size)
{
    return MACH_CALL(1, task, address, size, 0, 0, 0);
}

/* set_maximum: lower the limit of what may ever be set. */
static inline kern_return_t
vm_protect(mach_task_t task, vm_address_t address, vm_size_t size,
    int set_maximum, vm_prot_t protection)
{
    return MACH_CALL(2, task, address, size, set_maximum, protection, 0);
}

/* What a child gets at fork. */
static inline kern_return_t
vm_inherit(mach_task_t task, vm_address_t address, vm_size_t size,
    vm_inherit_t inheritance)
{
    return MACH_CALL(3, task, address, size, inheritance, 0, 0);
}

/* A virtual copy over memory that exists and is writable; see mi/vm_map.h. */
static inline kern_return_t
vm_copy(mach_task_t task, vm_address_t source, vm_size_t count,
    vm_address_t dest)
{
    return MACH_CALL(4, task, source, count, dest, 0, 0);
}

/*
 * Map the memory of an open file (offset in bytes, a multiple of the page),
 * shared, or copy: a snapshot of it as it is now.  fd -1: zero-filled.
 * Protection READ | WRITE, maximum ALL, as far as the file was opened for.
 * flags: VM_MAP_ANYWHERE, VM_MAP_COPY.
 */
#define VM_MAP_ANYWHERE 1u
#define VM_MAP_COPY     2u
static inline kern_return_t
vm_map(mach_task_t task, vm_address_t *address, vm_size_t size,
    unsigned flags, int fd, uint64_t offset)
{
    return MACH_CALL(5, task, address, size, flags, fd, offset);
}

/*
 * vm_read - a copy-on-write copy of [address, +size) of task appears in the
 * caller, at *data (page-aligned; the first byte is at the same offset in its
 * page).  Deallocate it when done.
 * vm_write - bytes into memory of task; after an error a part may be written.
 */
static inline kern_return_t
vm_read(mach_task_t task, vm_address_t address, vm_size_t size,
    vm_address_t *data)
{
    return MACH_CALL(6, task, address, size, data, 0, 0);
}

static inline kern_return_t
vm_write(mach_task_t task, vm_address_t address, const void *data,
    vm_size_t size)
{
    return MACH_CALL(7, task, address, data, size, 0, 0);
}

/* The region at or after *address; KERN_NO_SPACE: there is none. */
static inline kern_return_t
vm_region(mach_task_t task, vm_address_t *address,
    struct vm_region_info *info)
{
    return MACH_CALL(8, task, address, info, 0, 0, 0);
}

/* Hold the frames of a range (wire != 0), or let go once. */
static inline kern_return_t
vm_wire(mach_task_t task, vm_address_t address, vm_size_t size, int wire)
{
    return MACH_CALL(9, task, address, size, wire, 0, 0);
}

static inline kern_return_t
vm_statistics(struct vm_statistics *out)
{
    return MACH_CALL(10, out, sizeof(*out), 0, 0, 0, 0);
}

/* The counters alone, cheaply; the pages of *out are not touched. */
static inline kern_return_t
vm_counters(struct vm_statistics *out)
{
    return MACH_CALL(10, out, offsetof(struct vm_statistics, page_size), 0,
        0, 0, 0);
}

/*
 * Throw the task's page tables away: all, or those of a range.  Nothing is
 * lost; the next accesses fault.
 */
static inline kern_return_t
vm_discard(mach_task_t task, vm_address_t address, vm_size_t size)
{
    return MACH_CALL(11, task, address, size, 0, 0, 0);
}

/*
 * Verify the task's map, and its page tables against it; the kernel panics if
 * they are wrong.  KERN_FAILURE: the task is another's, or has threads, so it
 * does not stand still.
 */
static inline kern_return_t
vm_check(mach_task_t task)
{
    return MACH_CALL(12, task, 0, 0, 0, 0, 0);
}

#endif
