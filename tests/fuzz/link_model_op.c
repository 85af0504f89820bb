/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A suite is linked with the helpers of its own directory only; the model
 * is that of tests/model.
 */
#include "../model/model_op.c"
