/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.S - whole pages (kern.h, MD_PAGE_CLEAR and MD_PAGE_COPY), with the
 * stores and loads of the base instruction set.
 */
    .text

    .macro  clear16 at
    .irp    i, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
    sd      zero, \at + \i(t3)
    .endr
    .endm

    .macro  copy8 at
    ld      a3, \at(a1)
    ld      a4, \at + 8(a1)
    ld      a5, \at + 16(a1)
    ld      a6, \at + 24(a1)
    ld      a7, \at + 32(a1)
    ld      t0, \at + 40(a1)
    ld      t1, \at + 48(a1)
    ld      t2, \at + 56(a1)
    sd      a3, \at(a0)
    sd      a4, \at + 8(a0)
    sd      a5, \at + 16(a0)
    sd      a6, \at + 24(a0)
    sd      a7, \at + 32(a0)
    sd      t0, \at + 40(a0)
    sd      t1, \at + 48(a0)
    sd      t2, \at + 56(a0)
    .endm

    /* md_page_clear(p, n): p */
    .globl  md_page_clear
md_page_clear:
    add     a1, a0, a1
    mv      t3, a0
1:  .irp    at, 0, 128, 256, 384, 512, 640, 768, 896
    clear16 \at
    .endr
    addi    t3, t3, 1024
    bne     t3, a1, 1b
    ret

    /* md_page_copy(to, from, n) */
    .globl  md_page_copy
md_page_copy:
    add     a2, a0, a2
1:  .irp    at, 0, 64, 128, 192, 256, 320, 384, 448
    copy8   \at
    .endr
    .irp    at, 512, 576, 640, 704, 768, 832, 896, 960
    copy8   \at
    .endr
    addi    a1, a1, 1024
    addi    a0, a0, 1024
    bne     a0, a2, 1b
    ret
