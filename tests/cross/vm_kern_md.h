/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_kern_md.h - the inline half of the kernel's port, for code that is
 * compiled for its machine but never linked (cmake/cross.cmake).
 */
#ifndef VM_KERN_MD_H
#define VM_KERN_MD_H

#include "vm_types.h"

struct vm_held;

unsigned kern_cross_cpu(void);
void kern_cross_preempt(int change);
void *kern_cross_frame(paddr_t pa);
struct vm_held *kern_cross_held(void);

static inline unsigned
kern_cpu(void)
{
    return kern_cross_cpu();
}

static inline void
kern_preempt_disable(void)
{
    kern_cross_preempt(1);
}

static inline void
kern_preempt_enable(void)
{
    kern_cross_preempt(-1);
}

static inline void
kern_relax(void)
{
    kern_cross_preempt(0);
}

static inline void *
kern_frame_ptr(paddr_t pa)
{
    return kern_cross_frame(pa);
}

static inline struct vm_held *
kern_held(void)
{
    return kern_cross_held();
}

#endif
