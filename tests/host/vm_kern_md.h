/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_kern_md.h - the inline half of the kernel's port (vm_kern.h) for an
 * ordinary process: a CPU is a thread or a fiber, RAM is one mapping.
 */
#ifndef VM_KERN_MD_H
#define VM_KERN_MD_H

#include "vm_types.h"

/* The pmaps of the host run on the simulated MMU (pmap_md.h). */
#ifndef PMAP_SIM
#define PMAP_SIM 1
#endif

/* Not 0, so that an offset taken for an address does not go unnoticed. */
#define HOST_RAM_BASE   ((paddr_t)0x40000000)

struct vm_held;

/* What the code that runs on one CPU sees of itself. */
struct host_cpu {
    unsigned index;
    unsigned preempt;                   /* depth of preempt_disable */
    struct vm_held *held;
    _Atomic uint32_t interrupted;       /* host_interrupt() */
    uint64_t random;                    /* state of host_random() */
    void *expect;                       /* jmp_buf of host_expect_panic() */
};

extern _Thread_local struct host_cpu *host_self;
extern bool host_in_fibers;             /* inside host_run(), FIBERS */
extern unsigned char *host_ram;
extern uint64_t host_ram_size;

void host_fiber_point(void);
void host_relax(void);
_Noreturn void host_bad_frame(paddr_t pa);

static inline unsigned
kern_cpu(void)
{
    return host_self->index;
}

static inline void
kern_preempt_disable(void)
{
    host_self->preempt++;
}

static inline void
kern_preempt_enable(void)
{
    host_self->preempt--;
#if VM_TEST
    if (host_in_fibers) {
        host_fiber_point();
    }
#endif
}

static inline void
kern_relax(void)
{
    host_relax();
}

static inline void *
kern_frame_ptr(paddr_t pa)
{
#if VM_DEBUG
    if (pa - HOST_RAM_BASE >= host_ram_size) {
        host_bad_frame(pa);
    }
#endif
    return host_ram + (pa - HOST_RAM_BASE);
}

static inline struct vm_held *
kern_held(void)
{
    return host_self->held;
}

#endif
