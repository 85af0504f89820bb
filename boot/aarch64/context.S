/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * context.S - threads' contexts, the registers beside the frame, probes.
 *
 * A context is the address of x19-x30 on its stack: AAPCS64 6.1.1 lets a
 * call change all others.
 */
#include "md_cpu.h"
#include "thread_head.h"

#define CONTEXT_SIZE    96

    .arch_extension simd
.macro saved op
    \op     x19, x20, [sp, #0]
    \op     x21, x22, [sp, #16]
    \op     x23, x24, [sp, #32]
    \op     x25, x26, [sp, #48]
    \op     x27, x28, [sp, #64]
    \op     x29, x30, [sp, #80]
.endm

.macro vectors op
    \op     q0, q1, [x0, #0]
    \op     q2, q3, [x0, #32]
    \op     q4, q5, [x0, #64]
    \op     q6, q7, [x0, #96]
    \op     q8, q9, [x0, #128]
    \op     q10, q11, [x0, #160]
    \op     q12, q13, [x0, #192]
    \op     q14, q15, [x0, #224]
    \op     q16, q17, [x0, #256]
    \op     q18, q19, [x0, #288]
    \op     q20, q21, [x0, #320]
    \op     q22, q23, [x0, #352]
    \op     q24, q25, [x0, #384]
    \op     q26, q27, [x0, #416]
    \op     q28, q29, [x0, #448]
    \op     q30, q31, [x0, #480]
.endm

    .text

/* uint64_t md_context_make(stack_top, fn, arg) */
    .globl md_context_make
md_context_make:
    sub     x0, x0, #CONTEXT_SIZE
    adr     x3, context_start
    stp     x1, x2, [x0, #0]
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    stp     xzr, xzr, [x0, #64]
    stp     xzr, x3, [x0, #80]
    ret

context_start:
    mov     x0, x20
    mov     x30, xzr                    // backtraces end here
    blr     x19
    brk     #0

/* void md_switch(uint64_t *save, uint64_t load, struct thread_head *next) */
    .globl md_switch
md_switch:
    sub     sp, sp, #CONTEXT_SIZE
    saved   stp
    mov     x3, sp
    str     x3, [x0]
    mov     sp, x1
    msr     tpidr_el1, x2
    saved   ldp
    add     sp, sp, #CONTEXT_SIZE
    ret

/* void md_user_save(struct md_user *) */
    .globl md_user_save
md_user_save:
    vectors stp
    mrs     x1, fpsr
    mrs     x2, fpcr
    add     x3, x0, #USER_FPSR
    stp     w1, w2, [x3]
    mrs     x1, tpidr_el0
    str     x1, [x0, #USER_TLS]
    ret

/* void md_user_load(const struct md_user *) */
    .globl md_user_load
md_user_load:
    vectors ldp
    add     x3, x0, #USER_FPSR
    ldp     w1, w2, [x3]
    msr     fpsr, x1
    msr     fpcr, x2
    ldr     x1, [x0, #USER_TLS]
    msr     tpidr_el0, x1
    ret
