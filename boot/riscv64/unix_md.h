/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unix_md.h - numbers and layouts of Linux that belong to this machine.
 *
 * Source: Linux 6.12's uapi headers for user programs: asm-generic/
 * unistd.h, asm-generic/stat.h, asm-generic/fcntl.h, asm/unistd.h.
 * kern/unix sees no other part of the machine's Linux.
 */
#ifndef UNIX_MD_H
#define UNIX_MD_H

#include "unix_generic.h"

#define UNIX_MACHINE            "riscv64"    /* uname(2) */

/* struct sigaction of rt_sigaction(2) has the field sa_restorer. */
#define UNIX_SIGACTION_RESTORER 0

/* riscv_flush_icache(2) is md_flush_icache(). */
#define UNIX_FLUSH_ICACHE       1

/* e_machine of this machine's ELF files. */
#define UNIX_ELF_MACHINE        243

/* open(2): the flags whose values differ among machines. */
#define UNIX_O_DIRECTORY        0200000
#define UNIX_O_NOFOLLOW         0400000
#define UNIX_O_DIRECT           0040000
#define UNIX_O_LARGEFILE        0100000

#endif
