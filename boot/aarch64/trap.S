/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.S - exception vectors, system calls, ways back (D1.3, D1.4).
 *
 * From user mode SP_EL1 is the top of the thread's kernel stack, so the
 * frame lands where md.h says.  From the kernel the stack is checked first,
 * without touching it: it holds at most 16 KiB below head->kstack.
 * TPIDRRO_EL0 keeps x0 meanwhile, and is 0 whenever a program could read it.
 */
#include "md_cpu.h"
#include "thread_head.h"

#define STACK_SHIFT     14              /* trap.c checks it */
#define EC_SVC          0x15

/* x0 to x29 to or from the frame. */
.macro gprs op
    \op     x0, x1, [sp, #0]
    \op     x2, x3, [sp, #16]
    \op     x4, x5, [sp, #32]
    \op     x6, x7, [sp, #48]
    \op     x8, x9, [sp, #64]
    \op     x10, x11, [sp, #80]
    \op     x12, x13, [sp, #96]
    \op     x14, x15, [sp, #112]
    \op     x16, x17, [sp, #128]
    \op     x18, x19, [sp, #144]
    \op     x20, x21, [sp, #160]
    \op     x22, x23, [sp, #176]
    \op     x24, x25, [sp, #192]
    \op     x26, x27, [sp, #208]
    \op     x28, x29, [sp, #224]
.endm

/* x21: the interrupted stack pointer. */
.macro save_state
    mrs     x22, elr_el1
    mrs     x23, spsr_el1
    stp     x30, x21, [sp, #FRAME_X30]
    stp     x22, x23, [sp, #FRAME_PC]
.endm

/* Leaves the interrupted stack pointer in x21. */
.macro restore_state
    ldp     x22, x23, [sp, #FRAME_PC]
    ldp     x30, x21, [sp, #FRAME_X30]
    msr     elr_el1, x22
    msr     spsr_el1, x23
.endm

.macro from_user to
    .balign 128
    sub     sp, sp, #MD_FRAME_SIZE
    gprs    stp
    mrs     x21, sp_el0
    save_state
    b       \to
.endm

.macro from_kernel to
    .balign 128
    sub     sp, sp, #MD_FRAME_SIZE
    msr     tpidrro_el0, x0
    mrs     x0, tpidr_el1
    ldr     x0, [x0, #THREAD_KSTACK]
    sub     x0, sp, x0                  // -16384 .. -288 is all right
    mvn     x0, x0, asr #STACK_SHIFT
    cbnz    x0, stack_overflow
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    gprs    stp
    add     x21, sp, #MD_FRAME_SIZE
    save_state
    b       \to
.endm

    .text
    .balign 2048
    .globl trap_vectors
trap_vectors:
    from_kernel kernel_sync             // never: SP_EL0 is not used here
    from_kernel kernel_sync
    from_kernel kernel_sync
    from_kernel kernel_sync
    from_kernel kernel_sync
    from_kernel kernel_irq
    from_kernel kernel_irq              // FIQ
    from_kernel kernel_sync             // SError
    .balign 128
    sub     sp, sp, #MD_FRAME_SIZE
    gprs    stp
    mrs     x21, sp_el0
    save_state
    mrs     x1, esr_el1
    lsr     x2, x1, #26
    cmp     x2, #EC_SVC
    b.eq    user_call
    b       user_sync
    from_user user_irq
    from_user user_irq
    from_user user_serror
    from_user user_serror               // AArch32: we enter none
    from_user user_serror
    from_user user_serror
    from_user user_serror
    .balign 128

user_call:
    str     x0, [sp, #FRAME_CALL_X0]
    msr     daifclr, #6
    mov     x0, sp
    mov     x29, xzr
    bl      kern_syscall
    msr     daifset, #2

user_return:
    mrs     x1, tpidr_el1
    ldr     w2, [x1, #THREAD_WORK]
    cbnz    w2, user_work
    restore_state
    msr     sp_el0, x21
    gprs    ldp
    add     sp, sp, #MD_FRAME_SIZE
    eret

user_work:
    mov     x0, sp
    bl      kern_user_work
    b       user_return

user_serror:
    mrs     x1, esr_el1
user_sync:                              // x1: ESR
    mrs     x2, far_el1
    mov     x0, sp
    mov     x29, xzr
    bl      trap_user
    msr     daifset, #2
    b       user_return

user_irq:
    mov     x29, xzr
    bl      intc_interrupt
    b       user_return

    .globl md_user_enter
md_user_enter:
    msr     daifset, #2
    mrs     x1, tpidr_el1
    ldr     x2, [x1, #THREAD_KSTACK]
    sub     sp, x2, #MD_FRAME_SIZE
    mov     x29, xzr
    b       user_return

kernel_sync:
    mrs     x1, esr_el1
    mrs     x2, far_el1
    mov     x0, sp
    bl      trap_kernel
    msr     daifset, #2
    b       kernel_return

kernel_irq:
    bl      intc_interrupt
    mrs     x1, tpidr_el1
    ldr     x2, [x1, #THREAD_PREEMPT]   // and settled
    cbnz    x2, kernel_return
    bl      kern_preempt_irq

kernel_return:
    restore_state
    gprs    ldp
    add     sp, sp, #MD_FRAME_SIZE
    eret

/* x0 is in TPIDRRO_EL0, sp is below the stack.  There is no way back. */
stack_overflow:
    mrs     x0, tpidr_el1
    str     x1, [x0, #THREAD_SCRATCH]
    add     x1, sp, #MD_FRAME_SIZE
    adrp    x0, emergency_top
    add     x0, x0, :lo12:emergency_top
    sub     sp, x0, #MD_FRAME_SIZE
    str     x1, [sp, #FRAME_X30 + 8]
    mov     x1, x0
    mrs     x0, tpidr_el1
    str     x1, [x0, #THREAD_KSTACK]    // traps from here find room
    ldr     x1, [x0, #THREAD_SCRATCH]
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    gprs    stp
    ldr     x21, [sp, #FRAME_X30 + 8]
    save_state
    mrs     x1, esr_el1
    mrs     x2, far_el1
    mov     x0, sp
    bl      trap_stack

    .bss
    .balign 16
    .space  16384
emergency_top:
