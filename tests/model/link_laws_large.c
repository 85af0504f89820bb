/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A suite is linked with the helpers of its own directory only; the mutants
 * are to be found by the laws of tests/contract too.
 */
#include "../contract/laws_large.c"
