/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idle.h - programs that sleep hold no page tables.
 */
#ifndef IDLE_H
#define IDLE_H

#include "thread.h"
#include "vm_map.h"

#define KERN_IDLE_MS    1000u           /* option "idle=", if not given */
#define KERN_IDLE_MAX   3600000u

/*
 * kern_idle_start - the thread; ms: how long a program has to have slept.
 * Once.
 * => Fails: VM_E_NOMEM
 * kern_idle_end - it looks at no map any more.  Sleeps.
 */
int kern_idle_start(uint64_t ms) VM_MUST_CHECK;
void kern_idle_end(void);

/*
 * kern_idle_doze - vm_map_doze(), and the first thread of the map that runs
 * again will call vm_map_wake().
 * => Context, Fails: as vm_map_doze()
 */
int kern_idle_doze(struct vm_map *map) VM_MUST_CHECK;

/*
 * A thread of a map whose word "rest" is not 0 is about to run.
 * => Context: of the scheduler: interrupts disabled, no lock of its held
 */
void kern_idle_over(struct thread *t);

#endif
