/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * context.S - from one kernel thread to another.
 *
 * A context is the stack pointer; on the stack are the registers that a
 * function preserves.  tp names the thread, and with it the stack for traps
 * from user mode.
 */
#include "md_cpu.h"

#define SIZE    112

    .macro  each insn:req
    \insn   ra, 0(sp)
    \insn   s0, 8(sp)
    \insn   s1, 16(sp)
    \insn   s2, 24(sp)
    \insn   s3, 32(sp)
    \insn   s4, 40(sp)
    \insn   s5, 48(sp)
    \insn   s6, 56(sp)
    \insn   s7, 64(sp)
    \insn   s8, 72(sp)
    \insn   s9, 80(sp)
    \insn   s10, 88(sp)
    \insn   s11, 96(sp)
    .endm

    .text
    /* md_switch(save, load, next) */
    .globl  md_switch
md_switch:
    addi    sp, sp, -SIZE
    each    sd
    sd      sp, (a0)
    mv      sp, a1
    mv      tp, a2
    each    ld
    addi    sp, sp, SIZE
    ret

    /* md_context_make(stack_top, fn, arg): as if md_switch had saved it. */
    .globl  md_context_make
md_context_make:
    andi    a0, a0, -16
    addi    a0, a0, -SIZE
    lla     t0, context_start
    sd      t0, 0(a0)
    sd      zero, 8(a0)                 /* s0: backtraces end here */
    sd      a1, 16(a0)
    sd      a2, 24(a0)
    ret

context_start:
    mv      a0, s2
    jalr    s1
    ebreak                              /* fn does not return */
