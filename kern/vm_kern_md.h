/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_kern_md.h - the inline half of what the VM core needs (vm_kern.h),
 * the same for every machine that this kernel boots on.
 */
#ifndef VM_KERN_MD_H
#define VM_KERN_MD_H

#include <md_cpu.h>
#include "thread_head.h"

/* The slow half of enabling preemption: switch, unless interrupts are off. */
void kern_preempt_now(void);

static inline struct thread_head *
kern_head(void)
{
    return (struct thread_head *)(void *)md_current();
}

static inline unsigned
kern_cpu(void)
{
    return *(volatile uint32_t *)&kern_head()->cpu;
}

/* Not atomic_signal_fence(), for which Clang 14 may emit a real fence. */
static inline void
kern_compiler_fence(void)
{
    __asm__ volatile("" : : : "memory");
}

/*
 * The compiler must not move guarded accesses over these; no other CPU
 * looks at the words.
 */
static inline void
kern_preempt_disable(void)
{
    struct thread_head *h = kern_head();

    *(volatile uint32_t *)&h->preempt = h->preempt + 1;
    kern_compiler_fence();
}

static inline void
kern_preempt_enable(void)
{
    struct thread_head *h = kern_head();

    kern_compiler_fence();
    *(volatile uint32_t *)&h->preempt = h->preempt - 1;
    if (__builtin_expect(*(volatile uint64_t *)(void *)&h->preempt == 0,
            0)) {
        kern_preempt_now();
    }
}

static inline void
kern_relax(void)
{
    md_relax();
}

static inline void *
kern_frame_ptr(paddr_t pa)
{
    return (void *)(uintptr_t)(pa + MD_DIRECT_BASE);
}

static inline struct vm_held *
kern_held(void)
{
    return (struct vm_held *)(void *)kern_head()->held;
}

#endif
