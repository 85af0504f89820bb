/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usercopy.S - the only code that touches user memory (md.h).
 *
 * LDTR and STTR access with the rights of user mode, so PAN stays on and
 * the kernel's addresses fault; C6.2.178.  Only compare-and-swap has no such
 * form and opens PAN.  Addresses outside the user's half are refused before,
 * since a fault there might find that the kernel may.
 *
 * Each access that may fault stands in section .fixup with where to go on.
 */
#include "md_cpu.h"

#define VM_E_ADDRESS    2               /* user.c checks them */
#define VM_E_NOSPACE    5

    .arch_extension pan

/* The next instruction may fault: then go on at to. */
.macro may to
    .pushsection .fixup, "a"
    .balign 4
    .long   .Lmay\@ - .
    .long   \to - .
    .popsection
.Lmay\@:
.endm

.macro try insn:vararg
    may     bad_address
    \insn
.endm

    .text

/*
 * x0: to, x1: from, x2: size.  Blocks of 64, then the bits of what is
 * left.  in: load is the user's side, else store is.
 */
.macro copy in
    .if \in
    lsr     x3, x1, #USER_BITS
    .else
    lsr     x3, x0, #USER_BITS
    .endif
    cbnz    x3, bad_address
    subs    x2, x2, #64
    b.lo    20f
10:
    .if \in
    try     ldtr  x4, [x1, #0]
    try     ldtr  x5, [x1, #8]
    try     ldtr  x6, [x1, #16]
    try     ldtr  x7, [x1, #24]
    try     ldtr  x8, [x1, #32]
    try     ldtr  x9, [x1, #40]
    try     ldtr  x10, [x1, #48]
    try     ldtr  x11, [x1, #56]
    stp     x4, x5, [x0, #0]
    stp     x6, x7, [x0, #16]
    stp     x8, x9, [x0, #32]
    stp     x10, x11, [x0, #48]
    .else
    ldp     x4, x5, [x1, #0]
    ldp     x6, x7, [x1, #16]
    ldp     x8, x9, [x1, #32]
    ldp     x10, x11, [x1, #48]
    try     sttr  x4, [x0, #0]
    try     sttr  x5, [x0, #8]
    try     sttr  x6, [x0, #16]
    try     sttr  x7, [x0, #24]
    try     sttr  x8, [x0, #32]
    try     sttr  x9, [x0, #40]
    try     sttr  x10, [x0, #48]
    try     sttr  x11, [x0, #56]
    .endif
    add     x0, x0, #64
    add     x1, x1, #64
    subs    x2, x2, #64
    b.hs    10b
20:
    copy_8  \in, 5, 32, 0, 8, 16, 24
    copy_8  \in, 4, 16, 0, 8
    copy_8  \in, 3, 8, 0
    copy_small \in, 2, 4, , w4
    copy_small \in, 1, 2, h, w4
    copy_small \in, 0, 1, b, w4
    mov     w0, #0
    ret
.endm

/* If bit is set in x2: words of 8 bytes at each offset, size in all. */
.macro copy_8 in, bit, size, offsets:vararg
    tbz     x2, #\bit, 30f
    .irp    o, \offsets
    .if \in
    try     ldtr  x4, [x1, #\o]
    str     x4, [x0, #\o]
    .else
    ldr     x4, [x1, #\o]
    try     sttr  x4, [x0, #\o]
    .endif
    .endr
    add     x0, x0, #\size
    add     x1, x1, #\size
30:
.endm

.macro copy_small in, bit, size, suffix, r
    tbz     x2, #\bit, 30f
    .if \in
    try     ldtr\suffix \r, [x1]
    str\suffix \r, [x0], #\size
    add     x1, x1, #\size
    .else
    ldr\suffix \r, [x1], #\size
    try     sttr\suffix \r, [x0]
    add     x0, x0, #\size
    .endif
30:
.endm

    .globl md_copyin
md_copyin:
    copy    1

    .globl md_copyout
md_copyout:
    copy    0

cas_bad:
    msr     pan, #1
bad_address:
    mov     w0, #VM_E_ADDRESS
    ret

/*
 * int md_copyin_str(char *to, vaddr_t from, size_t max, size_t *len)
 *
 * Words while there is room and the page goes on, else bytes.  A word has
 * a 0 byte where (w - 0x01..) & ~w & 0x80.. has its lowest bit.  x4: length.
 */
    .globl md_copyin_str
md_copyin_str:
    lsr     x4, x1, #USER_BITS
    cbnz    x4, bad_address
    mov     x4, #0
    mov     x9, #0x0101010101010101
1:  sub     x5, x2, x4
    and     x6, x1, #4095
    cmp     x5, #8
    b.lo    2f
    cmp     x6, #4096 - 8
    b.hi    2f
    try     ldtr  x6, [x1]
    sub     x7, x6, x9
    bic     x7, x7, x6
    ands    x7, x7, #0x8080808080808080
    str     x6, [x0, x4]
    b.ne    3f
    add     x1, x1, #8
    add     x4, x4, #8
    b       1b
2:  cbz     x5, 5f
    try     ldtrb w6, [x1]
    strb    w6, [x0, x4]
    cbz     w6, 4f
    add     x1, x1, #1
    add     x4, x4, #1
    b       1b
3:  rbit    x7, x7
    clz     x7, x7
    add     x4, x4, x7, lsr #3
4:  str     x4, [x3]
    mov     w0, #0
    ret
5:  mov     w0, #VM_E_NOSPACE
    ret

/* int md_user_load32(vaddr_t from, uint32_t *value) */
    .globl md_user_load32
md_user_load32:
    lsr     x2, x0, #USER_BITS
    cbnz    x2, bad_address
    try     ldtr  w2, [x0]
    str     w2, [x1]
    mov     w0, #0
    ret

/* Sequentially consistent, w1 -> w2 if it is w1; w5: what was there. */
.macro cas bad
10: may \bad
    ldaxr   w5, [x0]
    cmp     w5, w1
    b.ne    20f
    may \bad
    stlxr   w6, w2, [x0]
    cbnz    w6, 10b
    dmb     ish
20:
.endm

/* int md_user_cas32(vaddr_t at, uint32_t old, uint32_t new, uint32_t *seen) */
    .globl md_user_cas32
md_user_cas32:
    lsr     x4, x0, #USER_BITS
    cbnz    x4, bad_address
    adrp    x4, user_pan
    ldrb    w4, [x4, :lo12:user_pan]
    cbz     w4, cas_open
    msr     pan, #0
    cas     cas_bad
    msr     pan, #1
    b       cas_done
cas_open:
    cas     bad_address
cas_done:
    str     w5, [x3]
    mov     w0, #0
    ret

/*
 * bool md_probe(va, access, user, uint64_t *value)
 * access: VM_PROT_READ 1, VM_PROT_WRITE 2, VM_PROT_EXEC 4.
 */
    .globl md_probe, probe_call, probe_called
md_probe:
    tbnz    w1, #2, 3f
    tbnz    w1, #1, 2f
    cbnz    w2, 1f
    may probe_bad
    ldr     x4, [x0]
    b       probe_ok
1:  may probe_bad
    ldtr    x4, [x0]
    b       probe_ok
2:  ldr     x4, [x3]
    cbnz    w2, 1f
    may probe_bad
    str     x4, [x0]
    b       probe_ok
1:  may probe_bad
    sttr    x4, [x0]
    b       probe_ok
3:  stp     x29, x30, [sp, #-32]!
    mov     x29, sp
    str     x3, [sp, #16]
    may call_bad
probe_call:
    blr     x0                          // trap.c blames this one
probe_called:
    mov     x4, x0
    ldr     x3, [sp, #16]
    ldp     x29, x30, [sp], #32
probe_ok:
    str     x4, [x3]
    mov     w0, #1
    ret
call_bad:
    ldp     x29, x30, [sp], #32
probe_bad:
    mov     w0, #0
    ret
