/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.S - into the kernel and back (Privileged Architecture 20211203, 4.1).
 *
 *   from user mode     sscratch is the thread: frame on its kernel stack
 *   from the kernel    sscratch is 0, tp the thread: frame below sp, if that
 *                      is on the thread's stack and leaves room; else on
 *                      trap_stack, and trap_kernel() says so
 *
 * A system call goes straight to kern_syscall(), everything else to trap.c.
 * The frame always has all registers.  A system call's return loads what C
 * does not preserve, unless somebody wrote the rest (FRAME_ALL).
 *
 * SUM is clear from the first instructions on, and as it was on return: so
 * it is only ever set between two lines of usercopy.S.
 */
#include "md_cpu.h"
#include "machine.h"
#include "thread_head.h"

    .option norelax                     /* lld 14 cannot, and .balign asks */

#define CAUSE_CALL      8               /* ECALL from U-mode, table 4.2 */

/* Registers but sp and tp; FAST: without those that C functions keep. */
#define FAST            1, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, \
                        28, 29, 30, 31
#define KEPT            9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27

    .macro  each insn:req, list:vararg
    .irp    n, \list
    \insn   x\n, 8 * \n(sp)
    .endr
    .endm

    .text
    .globl  trap_entry
    .balign 4
trap_entry:
    csrrw   tp, sscratch, tp
    bnez    tp, from_user

    csrrw   tp, sscratch, zero          /* as they were */
    sd      t0, THREAD_SCRATCH(tp)
    sd      sp, THREAD_SCRATCH + 8(tp)
    ld      t0, THREAD_KSTACK(tp)
    sub     t0, t0, sp
    addi    t0, t0, MD_FRAME_SIZE
    srli    t0, t0, STACK_SHIFT
    bnez    t0, off_stack
kernel_save:
    ld      t0, THREAD_SCRATCH(tp)
    addi    sp, sp, -MD_FRAME_SIZE
    each    sd, FAST
    each    sd, KEPT
    li      t0, SSTATUS_SUM
    csrrc   t0, sstatus, t0
    ld      t1, THREAD_SCRATCH + 8(tp)
    csrr    t2, sepc
    csrr    a1, scause
    csrr    a2, stval
    sd      t0, FRAME_STATUS(sp)
    sd      t1, FRAME_SP(sp)
    sd      t2, FRAME_PC(sp)
    sd      tp, FRAME_TP(sp)
    mv      a0, sp
    call    trap_kernel

    /* FS belongs to whoever's registers are loaded now: left alone. */
    ld      t0, FRAME_STATUS(sp)
    li      t1, SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SUM
    csrc    sstatus, t1
    and     t0, t0, t1
    csrs    sstatus, t0
    ld      t0, FRAME_PC(sp)
    csrw    sepc, t0
    sc.d    zero, t0, (sp)              /* no LR before counts */
    each    ld, FAST
    each    ld, KEPT
    ld      sp, FRAME_SP(sp)
    sret

    /* Neither touch the stack nor trust sp: is this a trap on trap_stack? */
off_stack:
    lla     t0, trap_stack
    sub     t0, sp, t0
    addi    t0, t0, -MD_FRAME_SIZE
    srli    t0, t0, EMERGENCY_SHIFT
    beqz    t0, kernel_save
    lla     sp, trap_stack + (1 << EMERGENCY_SHIFT)
    j       kernel_save

from_user:
    sd      sp, THREAD_SCRATCH(tp)
    ld      sp, THREAD_KSTACK(tp)
    addi    sp, sp, -MD_FRAME_SIZE
    each    sd, FAST
    each    sd, KEPT
    csrr    a1, scause
    csrr    t2, sepc
    csrrw   t0, sscratch, zero
    ld      t1, THREAD_SCRATCH(tp)
    csrr    t3, sstatus
    sd      t0, FRAME_TP(sp)
    sd      t1, FRAME_SP(sp)
    sd      t3, FRAME_STATUS(sp)
    li      s0, 0                       /* backtraces end here */
    li      t4, CAUSE_CALL
    bne     a1, t4, other

    addi    t2, t2, 4
    sd      t2, FRAME_PC(sp)
    sd      a0, FRAME_CALL_A0(sp)
    mv      a0, sp
    csrsi   sstatus, SSTATUS_SIE
    call    kern_syscall
    csrci   sstatus, SSTATUS_SIE
    lw      t0, THREAD_WORK(tp)
    ld      t1, FRAME_STATUS(sp)
    bnez    t0, work
    andi    t1, t1, FRAME_ALL
    bnez    t1, leave_all
    ld      t0, FRAME_PC(sp)

    /* t0: pc.  A switch from within a trap has left SPP set. */
leave:
    li      t1, SSTATUS_SPP
    csrw    sepc, t0
    csrc    sstatus, t1
    csrw    sscratch, tp
    each    ld, FAST
    ld      tp, FRAME_TP(sp)
    ld      sp, FRAME_SP(sp)
    sret

other:
    csrr    a2, stval
    sd      t2, FRAME_PC(sp)
    mv      a0, sp
    call    trap_user
leave_user:
    lw      t0, THREAD_WORK(tp)
    bnez    t0, work
leave_all:
    ld      t0, FRAME_PC(sp)
    sc.d    zero, t0, (sp)
    each    ld, KEPT
    j       leave
work:
    mv      a0, sp
    call    kern_user_work
    j       leave_user

    .globl  md_user_enter
md_user_enter:
    csrci   sstatus, SSTATUS_SIE
    ld      sp, THREAD_KSTACK(tp)
    addi    sp, sp, -MD_FRAME_SIZE
    li      s0, 0
    j       leave_user
