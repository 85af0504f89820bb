/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h - what the personality (kern/unix) supplies to the kernel below
 * it.  hooks.c has a weak default of each, so that the kernel links and
 * runs its threads without a personality.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include "md.h"

/*
 * unix_syscall - a program has made the call md_frame_call(f).
 * => Context: interrupts enabled, no lock held; sleeps
 * => After:   the result is in f
 * Default: every call is -38 (ENOSYS on every machine).
 */
void unix_syscall(struct md_frame *f);

/*
 * unix_fault - a program did what it may not: tell it by a signal.
 * => Context: interrupts enabled, no lock held; sleeps
 * => error:   of vm_fault() if t->kind is TRAP_FAULT (VM_E_NOMEM: after
 *             unix_no_memory() said that the caller has to go), else 0
 * On return the frame is entered (again), after unix_signal_work().
 * Default: panic, with the registers.
 */
void unix_fault(struct md_frame *f, const struct trap *t, int error);

/*
 * unix_no_memory - waiting for free frames has not helped.
 * => Context: as for kern_wait(): no lock of the core, interrupts enabled
 * => Returns: true, somebody else is giving memory back: try again;
 *             false, the caller is the one that has to give up
 * Default: false.
 */
bool unix_no_memory(void);

/*
 * unix_signal_work - WORK_SIGNAL was set, and is cleared by now: deliver
 * signals, stop, or end the thread.
 * => Context: on the way back to user mode in f, interrupts enabled; sleeps
 */
void unix_signal_work(struct md_frame *f);

/*
 * unix_reaped - the thread is dead and off its stack; its structure is
 * about to be freed.  => Context: any, interrupts disabled; never sleeps
 */
void unix_reaped(struct thread *t);

/* Drop caches that hold frames, for kern_usage_check().  Sleeps. */
void unix_trim(void);

/* A received byte or more; interrupts disabled.  Takes all that is there. */
void console_interrupt(void);

#endif
