/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usercopy.S - the instructions that may touch user memory.
 *
 * SUM lets S-mode at user pages; nothing else stands between SUM's setting
 * and clearing.  It does not keep S-mode from the kernel's pages, therefore
 * addresses with the sign bit are refused first; what is not canonical
 * faults (4.4.1).  On a fault that stays, the trap's way back is via .fixup.
 */
#include "md_cpu.h"
#include "machine.h"

#define SUM     t6

    /* An instruction that may fault, and where it then goes on. */
    .macro  may to:req, insn:vararg
99: \insn
    .pushsection .fixup, "a"
    .4byte  99b - ., \to - .
    .popsection
    .endm

    .text
    /* md_copyin(to, from, n) */
    .globl  md_copyin
md_copyin:
    add     t0, a1, a2
    or      t1, a1, a2
    or      t0, t0, t1
    bgez    t0, copy
refused:
    li      a0, ERROR_ADDRESS
    ret

    /* md_copyout(to, from, n) */
    .globl  md_copyout
md_copyout:
    add     t0, a0, a2
    or      t1, a0, a2
    or      t0, t0, t1
    bltz    t0, refused

copy:
    li      SUM, SSTATUS_SUM
    csrs    sstatus, SUM
    or      t0, a0, a1
    or      t0, t0, a2
    andi    t0, t0, 7
    beqz    t0, 2f                      /* whole words, most often */
    xor     t0, a0, a1
    sltiu   t1, a2, 8
    andi    t0, t0, 7
    or      t0, t0, t1
    bnez    t0, bytes
    /* Alike aligned: bytes to a boundary, words, the rest. */
    neg     t0, a0
    andi    t0, t0, 7
    sub     a2, a2, t0
    beqz    t0, 2f
1:  may     fault, lb t1, (a1)
    may     fault, sb t1, (a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    addi    t0, t0, -1
    bnez    t0, 1b
2:  andi    a3, a2, -64
    beqz    a3, 4f
    add     a3, a3, a0
3:  may     fault, ld t0, (a1)
    may     fault, ld t1, 8(a1)
    may     fault, ld t2, 16(a1)
    may     fault, ld t3, 24(a1)
    may     fault, ld t4, 32(a1)
    may     fault, ld t5, 40(a1)
    may     fault, ld a4, 48(a1)
    may     fault, ld a5, 56(a1)
    may     fault, sd t0, (a0)
    may     fault, sd t1, 8(a0)
    may     fault, sd t2, 16(a0)
    may     fault, sd t3, 24(a0)
    may     fault, sd t4, 32(a0)
    may     fault, sd t5, 40(a0)
    may     fault, sd a4, 48(a0)
    may     fault, sd a5, 56(a0)
    addi    a0, a0, 64
    addi    a1, a1, 64
    bne     a0, a3, 3b
4:  andi    a3, a2, 0x38
    beqz    a3, 6f
    add     a3, a3, a0
5:  may     fault, ld t0, (a1)
    may     fault, sd t0, (a0)
    addi    a0, a0, 8
    addi    a1, a1, 8
    bne     a0, a3, 5b
6:  andi    a2, a2, 7
bytes:
    beqz    a2, 8f
    add     a2, a2, a0
7:  may     fault, lb t0, (a1)
    may     fault, sb t0, (a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    bne     a0, a2, 7b
8:  csrc    sstatus, SUM
    li      a0, 0
    ret

fault:
    csrc    sstatus, SUM
    li      a0, ERROR_ADDRESS
    ret

    /* md_copyin_str(to, from, max, len) */
    .globl  md_copyin_str
md_copyin_str:
    bltz    a1, refused
    li      SUM, SSTATUS_SUM
    csrs    sstatus, SUM
    mv      t0, a1
    add     a2, a2, a0
1:  beq     a0, a2, 2f
    may     fault, lbu t1, (a1)
    sb      t1, (a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    bnez    t1, 1b
    csrc    sstatus, SUM
    sub     a1, a1, t0
    addi    a1, a1, -1
    sd      a1, (a3)
    li      a0, 0
    ret
2:  csrc    sstatus, SUM
    li      a0, ERROR_NOSPACE
    ret

    /* md_user_load32(from, value) */
    .globl  md_user_load32
md_user_load32:
    bltz    a0, refused
    li      SUM, SSTATUS_SUM
    csrs    sstatus, SUM
    may     fault, lw t0, (a0)
    csrc    sstatus, SUM
    sw      t0, (a1)
    li      a0, 0
    ret

    /* md_user_cas32(at, old, new, seen): int arguments are sign-extended. */
    .globl  md_user_cas32
md_user_cas32:
    bltz    a0, refused
    li      SUM, SSTATUS_SUM
    csrs    sstatus, SUM
1:  may     fault, lr.w.aqrl t0, (a0)
    bne     t0, a1, 2f
    may     fault, sc.w.rl t1, a2, (a0)
    bnez    t1, 1b
2:  csrc    sstatus, SUM
    sw      t0, (a3)
    li      a0, 0
    ret

    /*
     * probe_access(va, access, sum, value): see md_probe().  An instruction
     * fetch faults at its target; trap_kernel() takes it to the call.
     */
    .globl  probe_access, probe_call, probe_called
probe_access:
    addi    sp, sp, -32
    sd      ra, (sp)
    sd      a2, 8(sp)
    sd      a3, 16(sp)
    csrs    sstatus, a2
    andi    t0, a1, 4                   /* VM_PROT_EXEC */
    bnez    t0, probe_call
    andi    t0, a1, 2                   /* VM_PROT_WRITE */
    bnez    t0, 1f
    may     3f, ld t1, (a0)
    csrc    sstatus, a2
    sd      t1, (a3)
    j       2f
1:  ld      t1, (a3)
    may     3f, sd t1, (a0)
    j       2f
probe_call:
    may     3f, jalr a0
probe_called:
2:  li      a0, 1
    j       4f
3:  li      a0, 0
4:  ld      a2, 8(sp)
    csrc    sstatus, a2
    ld      ra, (sp)
    addi    sp, sp, 32
    ret
