/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unix_calls.h - CALL(number, name) for every system call of this machine's
 * Linux 6.12, whether it is there or not.
 *
 * Source: arch/riscv/include/uapi/asm/unistd.h.
 */
#include "unix_generic_calls.h"
CALL(258, riscv_hwprobe)
CALL(259, riscv_flush_icache)
