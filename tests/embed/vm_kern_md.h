/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_kern_md.h - the inline half of an embedder's port (mi/vm_kern.h): the
 * smallest there can be, one CPU that is never preempted.
 */
#ifndef VM_KERN_MD_H
#define VM_KERN_MD_H

#include "vm_types.h"

#define EMBED_RAM_BASE  ((paddr_t)0x100000)

struct vm_held;
extern unsigned char *embed_ram;
extern struct vm_held *embed_held;

static inline unsigned
kern_cpu(void)
{
    return 0;
}

static inline void
kern_preempt_disable(void)
{
}

static inline void
kern_preempt_enable(void)
{
}

static inline void
kern_relax(void)
{
}

static inline void *
kern_frame_ptr(paddr_t pa)
{
    return embed_ram + (pa - EMBED_RAM_BASE);
}

static inline struct vm_held *
kern_held(void)
{
    return embed_held;
}

#endif
