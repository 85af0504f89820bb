/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * testpoint.h - test flavour (VM_TEST): see vm_kern.h.
 */
#ifndef TESTPOINT_H
#define TESTPOINT_H

#include "kern.h"

#if VM_TEST
/*
 * The calling thread's n-th allocation from now on (0: the next) fails,
 * once; n < 0: none does.  failed: has it happened?
 */
void kern_test_fail_after(long n);
bool kern_test_failed(void);

/*
 * At each point of the core, yield with a chance of one in every, drawn
 * from seed; every 0: never.
 */
void kern_test_switch(uint64_t seed, unsigned every);

/*
 * The option "mutant=NAME" switches a bug of vm_mutant.h on, for the tests
 * and the first program.  An unknown name: one line, exit status 2.
 */
void kern_test_mutant(void);
#endif

#endif
