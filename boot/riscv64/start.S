/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.S - the first instructions of a hart, from SBI (chapter 9.1: S-mode,
 * satp 0, interrupts off, a0 the hart id) to C at the linked address.
 *
 * The image may lie at any multiple of 2 MiB: addresses are relative to pc
 * until satp is set.  The first tables (Sv39) map no user address, so not
 * where the code runs either: the instruction after the store to satp faults,
 * and stvec has the same place at its linked address.
 *
 *   boot_root[256..503]   all physical addresses at MD_DIRECT_BASE, in GiB
 *   boot_root[504]        boot_leaves: the image in leaves of 2 MiB
 *
 * The first hart to come boots; others, started by md_cpu_start() or let go
 * by the firmware all at once, wait until they are wanted.
 */
#include "md_cpu.h"
#include "machine.h"
#include "thread_head.h"

    .option norelax                     /* lld 14 cannot, and .balign asks */

#define PTE_TABLE       0x01            /* V, 4.3.1 */
#define PTE_DATA        0xe7            /* D A G W R V */
#define PTE_CODE        0xef            /* and X */
#define SATP_SV39       8

#define DIRECT_FIRST    256             /* index of MD_DIRECT_BASE */
#define IMAGE_FIRST     504             /* of kern_image_start */

    .section .text.start, "ax"
    .globl _start
_start:
    csrw    sie, zero
    lla     s2, kern_image_start
    mv      a2, s2
    lla     t0, boot_begun
    li      t1, 1
    amoswap.w.aqrl t1, t1, (t0)
    bnez    t1, other_hart

    lla     t0, boot_bss
    lla     t1, kern_image_end
1:  sd      zero, (t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b

    lla     s3, boot_root
    li      t0, DIRECT_FIRST * 8
    add     t0, t0, s3
    li      t1, PTE_DATA
    li      t2, 1 << 28                 /* PPN of a GiB */
    li      t3, IMAGE_FIRST - DIRECT_FIRST
2:  sd      t1, (t0)
    addi    t0, t0, 8
    add     t1, t1, t2
    addi    t3, t3, -1
    bnez    t3, 2b

    lla     t1, boot_leaves
    srli    t2, t1, 2
    ori     t2, t2, PTE_TABLE
    sd      t2, (t0)
    srli    t2, s2, 2
    ori     t2, t2, PTE_CODE
    li      t3, 1 << 19                 /* PPN of 2 MiB */
    li      t5, 1 << 21
    lla     t4, kern_image_end
    mv      t6, s2
3:  sd      t2, (t1)
    addi    t1, t1, 8
    add     t2, t2, t3
    add     t6, t6, t5
    bltu    t6, t4, 3b

    srli    t0, s3, 12
    li      t1, SATP_SV39
    slli    t1, t1, 60
    or      t0, t0, t1
    lla     t1, 4f
    ld      t2, image_linked
    sub     t2, t2, s2
    add     t1, t1, t2
    csrw    stvec, t1
    sfence.vma
    csrw    satp, t0
    .balign 4
4:  lla     tp, boot_thread
    lla     sp, boot_stack_top
    li      s0, 0
    call    md_boot

    /*
     * Wait for a stack: an entry of smp_start with this hart's id.  What
     * hart_start gave in a1 is not used: with OpenSBI 1.1 a hart may come
     * here with the boot hart's a1.
     */
other_hart:
    lla     t0, smp_start
    li      t1, SMP_CPUS
1:  ld      t2, SMP_HART(t0)
    ld      a1, SMP_IDLE(t0)
    bne     t2, a0, 2f
    bnez    a1, 3f
2:  addi    t0, t0, SMP_SIZE
    addi    t1, t1, -1
    bnez    t1, 1b
    .4byte  0x0100000f                  /* pause */
    j       other_hart
3:  fence   r, rw
    ld      t0, smp_satp
    lla     t1, 4f
    ld      t2, image_linked
    sub     t2, t2, s2
    add     t1, t1, t2
    csrw    stvec, t1
    sfence.vma
    csrw    satp, t0
    .balign 4
4:  mv      tp, a1
    ld      sp, THREAD_KSTACK(tp)
    li      s0, 0
    call    smp_main

    /* In the text: reached relative to pc from either address. */
    .balign 8
image_linked:
    .dword  kern_image_start

    .data
boot_begun:
    .4byte  0

    .section .stack, "aw"
    .globl  boot_stack
    .balign 4096
boot_stack:
    .skip   1 << STACK_SHIFT
boot_stack_top:

    .bss
    .balign 4096
boot_root:
    .skip   4096
boot_leaves:
    .skip   4096
    .globl  trap_stack
    .balign 16
trap_stack:
    .skip   1 << EMERGENCY_SHIFT
