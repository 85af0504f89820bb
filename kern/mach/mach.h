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
    MACH_CALLS
};

extern const struct unix_entry mach_table[MACH_CALLS];

#endif
