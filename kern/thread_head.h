/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread_head.h - the beginning of struct thread: what inline functions and
 * the entry paths written in assembly touch.  The offsets are for them.
 */
#ifndef THREAD_HEAD_H
#define THREAD_HEAD_H

#define THREAD_PREEMPT  0
#define THREAD_SETTLED  4
#define THREAD_CPU      8
#define THREAD_WORK     12
#define THREAD_KSTACK   16
#define THREAD_SCRATCH  24
#define THREAD_HELD     40

/* Bits of work: what to do before this thread goes back to user mode. */
#define WORK_RESCHED    1u      /* give the CPU to somebody else */
#define WORK_SIGNAL     2u      /* a signal may be deliverable; or exit */
#define WORK_SPACE      4u      /* its pmap could not be activated yet */
#define WORK_WAKE       8u      /* its map dozed: vm_map_wake() */

#ifndef __ASSEMBLER__
#include <stdatomic.h>
#include <stdint.h>

/*
 * Preemption.  Each disable adds one to preempt; enable takes one off and
 * then reads both words as one: all zero means that the thread may be
 * switched from and somebody wants that.  An interrupt handler asks for it
 * by storing 0 to settled, a word that this thread never writes except in
 * the scheduler, so no read-modify-write can lose the wish.
 */
struct thread_head {
    uint32_t preempt;           /* this thread: nesting of disables */
    uint32_t settled;           /* 1; 0: a switch is wanted */
    uint32_t cpu;               /* stable while preemption is disabled */
    _Atomic uint32_t work;      /* WORK_*; anybody, atomically */
    uint64_t kstack;            /* (c) top; the user's frame lies below */
    uint64_t scratch[2];        /* for the entry path of its machine */
    uint8_t held[24];           /* struct vm_held of the core's locks */
};

#define HEAD_AT(field, offset) \
    _Static_assert(__builtin_offsetof(struct thread_head, field) == \
        (offset), #field)
HEAD_AT(preempt, THREAD_PREEMPT);
HEAD_AT(settled, THREAD_SETTLED);
HEAD_AT(cpu, THREAD_CPU);
HEAD_AT(work, THREAD_WORK);
HEAD_AT(kstack, THREAD_KSTACK);
HEAD_AT(scratch, THREAD_SCRATCH);
HEAD_AT(held, THREAD_HELD);
#endif

#endif
