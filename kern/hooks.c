/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.c - the kernel without a personality: weak defaults of hooks.h.
 */
#include "hooks.h"
#include "kern.h"

#define WEAK            __attribute__((weak))
#define NO_SUCH_CALL    38      /* ENOSYS */

WEAK void
unix_syscall(struct md_frame *f)
{
    md_frame_set_result(f, (uint64_t)-NO_SUCH_CALL);
}

WEAK void
unix_fault(struct md_frame *f, const struct trap *t, int error)
{
    kern_panic_frame(f, "trap %d at %llx in user mode (error %d)",
        (int)t->kind, (unsigned long long)t->va, error);
}

WEAK bool
unix_no_memory(void)
{
    return false;
}

WEAK void
unix_signal_work(struct md_frame *f)
{
    (void)f;
}

WEAK void
unix_reaped(struct thread *t)
{
    (void)t;
}

WEAK void
unix_trim(void)
{
}

WEAK void
console_interrupt(void)
{
    while (md_console_get() >= 0) {
        continue;
    }
}

WEAK void
kern_tests(void)
{
}
