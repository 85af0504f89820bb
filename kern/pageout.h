/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.h - waiting for the thread that makes frames free.
 */
#ifndef PAGEOUT_H
#define PAGEOUT_H

#include "kern.h"

/*
 * Wake the thread and sleep until it has made a round, or for a moment.
 * => Context: as for kern_wait(); interruptible
 * => Fails:   VM_E_INTR
 */
int pageout_wait(void) VM_MUST_CHECK;

#endif
