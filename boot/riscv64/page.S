/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.S - whole pages (kern.h, MD_PAGE_CLEAR and MD_PAGE_COPY), with the
 * stores and loads of the base instruction set.
 */
    .text

    .macro  clear16 at
    .irp    i, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
    sd      zero, \at + \i(a0)
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

    /* md_page_clear(p, n) */
    .globl  md_page_clear
md_page_clear:
    add     a1, a0, a1
1:  clear16 0
    clear16 128
    clear16 256
    clear16 384
    addi    a0, a0, 512
    bne     a0, a1, 1b
    ret

    /* md_page_copy(to, from, n) */
    .globl  md_page_copy
md_page_copy:
    add     a2, a0, a2
1:  copy8   0
    copy8   64
    copy8   128
    copy8   192
    addi    a1, a1, 256
    addi    a0, a0, 256
    bne     a0, a2, 1b
    ret
