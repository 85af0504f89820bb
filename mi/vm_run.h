/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_run.h - the pool of free frames, by aligned runs of VM_RUN_SIZE bytes.
 * Inside the allocator of vm_page.c, whose pool lock guards all of it.
 */
#ifndef VM_RUN_H
#define VM_RUN_H

#include "vm_page.h"

#define VM_RUN_SHIFT    21u             /* 2 MiB: the least large leaf */
#define VM_RUN_NONE     UINT32_MAX

struct vm_run {
    uint32_t head;              /* freed frames, through .link; NONE: end */
    uint32_t next, prev;        /* runs of the same list */
    uint16_t count;             /* free frames here, of both sorts */
    uint16_t fresh;             /* first frame not used since it was whole */
};

/* Frames in a run. */
static inline unsigned
vm_run_pages(void)
{
    return 1u << (VM_RUN_SHIFT - vm_page_shift);
}

/* None is free.  memory: what VM_PAGE_ENTRIES() has beside the core map. */
void vm_run_bootstrap(struct vm_run *memory);
/* Frames first to end - 1 are free from now on. */
void vm_run_release(uint64_t first, uint64_t end);
void vm_run_push(uint32_t frame);
/* The same for n frames, whose kind is FREE from now on. */
void vm_run_free(struct vm_page *const p[], unsigned n);
/* Up to n frames, the one to be used first last; returns how many. */
unsigned vm_run_pop(uint32_t frame[], unsigned n);
/* The first frame of a whole run, which is taken; NONE. */
uint32_t vm_run_take(void);
/* Call fn for each free frame; verify the structure.  Returns how many. */
uint64_t vm_run_check(void (*fn)(uint32_t frame, const char *where));

#endif
