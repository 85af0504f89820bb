/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A suite is linked with the helpers of its own directory only; the mutants
 * are to be found by the stress of tests/stress too.
 */
#include "../stress/stress.c"
