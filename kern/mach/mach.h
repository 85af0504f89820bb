/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mach.h - Mach's calls on address spaces, beside Linux's.
 *
 * Numbers begin at MACH_CALL_BASE, far above Linux's; the arguments lie in
 * the same registers, and the result is a kern_return_t (0 or positive,
 * never an errno).  A task is named by a process number, 0: the caller; ports
 * come later, and may replace the names without changing the calls.  A program
 * may name itself and its own descendants.
 *
 * user/include/mach_vm.h is the programmer's side, with the contracts.
 */
#ifndef MACH_H
#define MACH_H

#include "unix.h"

#define MACH_CALL_BASE  0x4d00u

enum mach_call {
    MACH_VM_ALLOCATE, MACH_VM_DEALLOCATE, MACH_VM_PROTECT, MACH_VM_INHERIT,
    MACH_VM_COPY, MACH_VM_MAP, MACH_VM_READ, MACH_VM_WRITE, MACH_VM_REGION,
    MACH_VM_WIRE, MACH_VM_STATISTICS, MACH_VM_DISCARD, MACH_VM_CHECK,
    MACH_VM_CONFIGURE, MACH_VM_CONFIGURATION, MACH_VM_TABLE_BUDGET,
    MACH_VM_STORM, MACH_VM_STORM_REPORT, MACH_VM_HEAL, MACH_VM_DOZE,
    MACH_VM_DISCARD_TABLE,
    MACH_CALLS
};

extern const struct unix_entry mach_table[MACH_CALLS];

/* ---- between mach_vm.c and mach_ctl.c --------------------------------- */

enum kern_return {
    KERN_SUCCESS = 0, KERN_INVALID_ADDRESS = 1, KERN_PROTECTION_FAILURE = 2,
    KERN_NO_SPACE = 3, KERN_INVALID_ARGUMENT = 4, KERN_FAILURE = 5,
    KERN_RESOURCE_SHORTAGE = 6, KERN_MEMORY_ERROR = 10, KERN_ABORTED = 14,
    KERN_INVALID_TASK = 16
};

/* A task's name that means all of them, or the machine. */
#define MACH_ALL        (-1)

int64_t mach_error(int vm_error);
/* The map of a task that the caller may name, with a reference, or NULL. */
struct vm_map *mach_task_map(uint64_t task);
/* Gives the reference back; returns result. */
int64_t mach_task_done(struct vm_map *map, int64_t result);

/* mach_ctl.c: page tables and what is done to them */
unix_call mach_vm_discard, mach_vm_configure, mach_vm_configuration,
    mach_vm_table_budget, mach_vm_storm, mach_vm_storm_report, mach_vm_heal,
    mach_vm_doze, mach_vm_discard_table;

#endif
