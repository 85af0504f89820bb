/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.c - spin locks that interrupt handlers take, too.
 *
 * They are held with interrupts disabled, else a handler could spin on a
 * lock that the thread below it holds.  Preemption needs no counting then:
 * nothing switches while interrupts are off.  But a switch that was asked
 * for meanwhile (a wakeup under the lock) is due when they are on again.
 */
#include "sched.h"

bool
kern_irq_lock(struct vm_spin *l)
{
    bool enabled = md_irq_save();

    vm_held_acquire((enum vm_rank)l->rank);
    sched_spin_lock(l);
    return enabled;
}

void
kern_irq_unlock(struct vm_spin *l, bool enabled)
{
    sched_spin_unlock(l);
    vm_held_release((enum vm_rank)l->rank);
    sched_irq_restore(enabled);
}
