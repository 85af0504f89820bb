/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/context.S - from one kernel thread to another.  A context is the
 * stack pointer; the callee-saved registers and the return address lie
 * there.
 */
#include "asm.h"

    .text

/* md_switch(uint64_t *save, uint64_t load, struct thread_head *next) */
FUNCTION md_switch
    push    %rbp
    push    %rbx
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, (%rdi)
    mov     %rsi, %rsp
    mov     %rdx, %gs:CPU_CURRENT
    mov     THREAD_KSTACK(%rdx), %rax
    mov     %rax, %gs:CPU_KSTACK
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbx
    pop     %rbp
    ret
END md_switch

/* md_context_make(uint64_t stack_top, void (*fn)(void *), void *arg) */
FUNCTION md_context_make
    and     $-16, %rdi
    lea     -56(%rdi), %rax
    xor     %ecx, %ecx
    mov     %rcx, 0(%rax)               /* r15 */
    mov     %rcx, 8(%rax)               /* r14 */
    mov     %rdx, 16(%rax)              /* r13: arg */
    mov     %rsi, 24(%rax)              /* r12: fn */
    mov     %rcx, 32(%rax)              /* rbx */
    mov     %rcx, 40(%rax)              /* rbp: the backtrace ends here */
    movq    $context_start, 48(%rax)
    ret
END md_context_make

context_start:
    mov     %r13, %rdi
    call    *%r12
    ud2

    .section .note.GNU-stack, "", @progbits
