/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.S - f0 to f31 and fcsr, to and from a struct md_user.  The one place
 * of the kernel with floating point instructions.
 */
    .attribute arch, "rv64i2p0_m2p0_a2p0_f2p0_d2p0_c2p0"

    .macro  each insn:req
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, \
        17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \insn   f\n, 8 * \n(a0)
    .endr
    .endm

    .text
    .globl  user_store, user_fetch
user_store:
    each    fsd
    frcsr   t0
    sw      t0, 256(a0)
    ret

user_fetch:
    each    fld
    lw      t0, 256(a0)
    fscsr   t0
    ret
