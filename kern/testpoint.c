/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * testpoint.c - test flavour: allocations that fail, switches in the midst.
 */
#include "testpoint.h"

#if VM_TEST
#include "pmap_ctl.h"
#include "sched.h"
#include "vm_mutant.h"

static struct thread *fail_thread;
static long fail_after;
static uint64_t point_random, point_every;

void
kern_test_fail_after(long n)
{
    fail_thread = n < 0 ? NULL : thread_current();
    fail_after = n;
}

bool
kern_test_failed(void)
{
    return fail_thread != NULL && fail_after < 0;
}

void
kern_test_mutant(void)
{
    const char *name = kern_option("mutant");

    if (name != NULL && !vm_mutant_choose(name)) {
        kern_printf("option mutant=%s: no mutant is called that\n", name);
        md_exit(2);
    }
}

bool
kern_test_fail(void)
{
    return fail_thread != NULL && fail_thread == thread_current() &&
        fail_after >= 0 && fail_after-- == 0;
}

void
kern_test_switch(uint64_t seed, unsigned every)
{
    point_random = seed | 1;
    point_every = every;
}

/* On a real MMU the hardware knows what was revoked. */
__attribute__((weak)) void
pmap_test_revoked(struct pmap *pm, vaddr_t start, vaddr_t end, paddr_t pa,
    vm_prot_t keep)
{
    (void)pm;
    (void)start;
    (void)end;
    (void)pa;
    (void)keep;
}

void
kern_test_point(void)
{
    if (point_every == 0 || kern_head()->preempt != 0 ||
        !md_irq_enabled()) {
        return;
    }
    /* xorshift64: Marsaglia, "Xorshift RNGs", 2003. */
    point_random ^= point_random << 13;
    point_random ^= point_random >> 7;
    point_random ^= point_random << 17;
    if (point_random % point_every == 0) {
        thread_yield();
    }
}
#endif
