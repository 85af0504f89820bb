/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.S - whole pages (kern.h, MD_PAGE_CLEAR and MD_PAGE_COPY).
 *
 * DC ZVA zeroes a block of a size that DCZID_EL0 tells (D17.2): 64 bytes on
 * all that we know; elsewhere, or if it is prohibited, stores do.
 */
    .text

/* void *md_page_clear(void *p, size_t n): p */
    .globl md_page_clear
md_page_clear:
    mrs     x2, dczid_el0
    mov     x4, x0
    add     x3, x0, #64
    cmp     x2, #4                      // 4 << 4 bytes, not prohibited
    b.ne    2f
1:  dc      zva, x4
    dc      zva, x3
    add     x4, x4, #128
    add     x3, x3, #128
    dc      zva, x4
    dc      zva, x3
    add     x4, x4, #128
    add     x3, x3, #128
    subs    x1, x1, #256
    b.ne    1b
    ret
2:  stp     xzr, xzr, [x4]
    stp     xzr, xzr, [x4, #16]
    stp     xzr, xzr, [x4, #32]
    stp     xzr, xzr, [x4, #48]
    add     x4, x4, #64
    subs    x1, x1, #64
    b.ne    2b
    ret

.macro copy128 at
    ldp     x3, x4, [x1, #\at]
    ldp     x5, x6, [x1, #\at + 16]
    ldp     x7, x8, [x1, #\at + 32]
    ldp     x9, x10, [x1, #\at + 48]
    ldp     x11, x12, [x1, #\at + 64]
    ldp     x13, x14, [x1, #\at + 80]
    ldp     x15, x16, [x1, #\at + 96]
    ldp     x17, x18, [x1, #\at + 112]
    stp     x3, x4, [x0, #\at]
    stp     x5, x6, [x0, #\at + 16]
    stp     x7, x8, [x0, #\at + 32]
    stp     x9, x10, [x0, #\at + 48]
    stp     x11, x12, [x0, #\at + 64]
    stp     x13, x14, [x0, #\at + 80]
    stp     x15, x16, [x0, #\at + 96]
    stp     x17, x18, [x0, #\at + 112]
.endm

/* void md_page_copy(void *to, const void *from, size_t n) */
    .globl md_page_copy
md_page_copy:
    copy128 0
    copy128 128
    copy128 256
    copy128 384
    add     x0, x0, #512
    add     x1, x1, #512
    subs    x2, x2, #512
    b.ne    md_page_copy
    ret
