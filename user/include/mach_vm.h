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
 * the same history those marked (=) are equal on every machine, if no pages
 * are made ahead (/proc/sys/vm/fault_ahead_bytes is one page): when that is
 * done depends on all that a program writes, its stack included.
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
    uint64_t mismatches;        /* translations that broke a law: none */
    uint64_t made_ahead;        /* pages made before they were asked for */
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
 * lost; the next accesses fault.  Task VM_ALL: every task's, also of others.
 * KERN_FAILURE: refused for a moment, so that the task gets on.
 */
#define VM_ALL (-1)
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

/*
 * Other page tables for the task, while its threads run.  what: words with
 * commas between them, in any order: a format's name ("sv48", "16k"), tagged
 * or untagged, large or nolarge; what is not named stays.
 * KERN_INVALID_ARGUMENT: no such word, or the machine cannot; KERN_NO_SPACE:
 * something is mapped where that format does not reach; KERN_FAILURE: another
 * kept changing them, try again; KERN_RESOURCE_SHORTAGE: no room for a root.
 */
static inline kern_return_t
vm_configure(mach_task_t task, const char *what)
{
    return MACH_CALL(13, task, what, 0, 0, 0, 0);
}

/*
 * Two lines: what the task has, as vm_configure() takes it; the names of all
 * formats that it may have, with blanks between them.  Ends with a 0.
 * KERN_NO_SPACE: size is too small.
 */
static inline kern_return_t
vm_configuration(mach_task_t task, char *text, vm_size_t size)
{
    return MACH_CALL(14, task, text, size, 0, 0, 0);
}

/*
 * A limit, in pages, for the page tables of a task, or of all tasks together:
 * VM_BUDGET_MACHINE.  tables: 0: no limit; VM_BUDGET_ASK: leave it.  out may
 * be NULL; it tells of the time after.  KERN_INVALID_ARGUMENT: below the
 * floor.
 */
#define VM_BUDGET_MACHINE   (-1)
#define VM_BUDGET_ASK       UINT64_MAX
struct vm_table_budget {
    uint64_t limit;             /* 0: none */
    uint64_t tables;            /* now; with those still to be freed */
    uint64_t peak;              /* most since the limit was set */
    uint64_t evicted;           /* of the machine: for limits, since boot */
    uint64_t waits;             /* of it: times that none could be evicted */
    uint64_t floor;             /* lowest limit */
};
static inline kern_return_t
vm_table_budget(mach_task_t task, uint64_t tables,
    struct vm_table_budget *out)
{
    return MACH_CALL(15, task, tables, out, 0, 0, 0);
}

/*
 * A thread of the kernel's strikes at the page tables of all tasks, and cares
 * for nobody.  kinds: a bit for each kind of blow; 0: it stops.  rate: blows
 * a second; 0: as many as it can in half of the time.  seed: of the choice.
 * budget: the lowest that VM_STORM_BUDGET sets, 0: a little above the floor.
 * One that blows already is replaced.  When it stops, the machine's budget is
 * as it was; tasks have no limit of their own if budgets blew, and a new task's
 * tables if formats or split did.  KERN_INVALID_ARGUMENT: unknown kinds, a rate that is too
 * high, a budget below the floor.
 */
enum vm_storm_kind {
    VM_STORM_PAGE, VM_STORM_RANGE, VM_STORM_TABLE, VM_STORM_PMAP,
    VM_STORM_ALL, VM_STORM_BUDGET, VM_STORM_IDLE, VM_STORM_FORMAT,
    VM_STORM_ASID, VM_STORM_SPLIT, VM_STORM_AUDIT, VM_STORM_KINDS
};
#define VM_STORM_NAMES { "page", "range", "table", "pmap", "all", "budget", \
    "idle", "format", "asid", "split", "audit" }
#define VM_STORM_RATE_MAX   1000000u
static inline kern_return_t
vm_storm(uint32_t kinds, uint64_t rate, uint64_t seed, uint64_t budget)
{
    return MACH_CALL(16, kinds, rate, seed, budget, 0, 0);
}

/* Of the storm that blows, or of the last one; then, since boot. */
struct vm_storm_report {
    uint64_t kinds;             /* 0: none blows */
    uint64_t rate, seed, budget;
    uint64_t nanoseconds;       /* that it has blown */
    uint64_t done[VM_STORM_KINDS], refused[VM_STORM_KINDS];
    uint64_t mismatches;        /* of page tables with the map: 0, or a bug */
    uint64_t faults, soft_faults;
    uint64_t discards, table_discards;      /* of all; of one table */
    uint64_t tables_made, tables_freed, evicted;
    uint64_t changes, asid_rolls;           /* of format; all ASIDs anew */
    uint64_t large, large_forgotten;        /* leaves entered, forgotten */
    uint64_t flushes;
};
static inline kern_return_t
vm_storm_report(struct vm_storm_report *out)
{
    return MACH_CALL(17, out, sizeof(*out), 0, 0, 0, 0);
}

/*
 * Verify page tables against map, objects and pages, while the task runs;
 * task VM_ALL: of all.  What is wrong is counted, named in the kernel's log,
 * and with repair != 0 thrown away.
 */
static inline kern_return_t
vm_heal(mach_task_t task, int repair, uint64_t *mismatches)
{
    return MACH_CALL(18, task, repair, mismatches, 0, 0, 0);
}

/*
 * Take all page tables of a task that sleeps.  Some of what it used last is
 * back when it wakes.  KERN_FAILURE: it runs, so its root stays.
 */
static inline kern_return_t
vm_doze(mach_task_t task)
{
    return MACH_CALL(19, task, 0, 0, 0, 0, 0);
}

/* Throw away the lowest table that translates the address. */
static inline kern_return_t
vm_discard_table(mach_task_t task, vm_address_t address)
{
    return MACH_CALL(20, task, address, 0, 0, 0, 0);
}

#endif
