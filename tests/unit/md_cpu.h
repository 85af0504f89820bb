/* SPDX-License-Identifier: BSD-2-Clause */
/* md_cpu.h - what t_boot.c and t_printf.c need of a machine. */
#ifndef MD_CPU_H
#define MD_CPU_H

/* Within every format's kernel half. */
#define MD_DIRECT_BASE  0xffffffc000000000u
#define MD_PAGE_SHIFT   12

#endif
