/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/asm.h - macros of the assembly files.
 *
 * CLAC and STAC become a three-byte NOP at boot where there is no SMAP.
 */
#ifndef ASM_H
#define ASM_H

#include "md_cpu.h"
#include "thread_head.h"

.macro SMAP_SITE insn
771:
    \insn
    .pushsection .smap_patch, "a", @progbits
    .long   771b - .
    .popsection
.endm
#define CLAC    SMAP_SITE clac
#define STAC    SMAP_SITE stac

/* The instruction that follows may fault; then go on at label. */
.macro FIXUP label
772:
    .pushsection .fixup, "a", @progbits
    .balign 4
    .long   772b - .
    .long   \label - .
    .popsection
.endm

.macro FUNCTION name
    .balign 16
    .globl  \name
    .type   \name, @function
\name:
.endm
.macro END name
    .size   \name, . - \name
.endm

#endif
