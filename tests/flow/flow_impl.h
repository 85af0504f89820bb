/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_impl.h - between flow.c and flow_op.c.
 */
#ifndef FLOW_IMPL_H
#define FLOW_IMPL_H

#include "flow.h"

static inline uint64_t
flow_pick(struct flow_task *t, uint64_t n)
{
    return flow_random(&t->random) % n;
}

unsigned flow_pick_own(struct flow_task *t);
unsigned flow_pick_shared(struct flow_task *t);
/* Of one of the task's own pages, in t->side or t->hidden. */
uint8_t *flow_mark(const struct flow_task *t, uint8_t *marks, unsigned page);
/* Something was allowed that must not be, or not. */
void flow_wrong(struct flow_task *t, const char *what)
    __attribute__((noreturn));
void flow_join(struct flow_task *t, unsigned slot);
/* One operation that leaves contents alone. */
void flow_noise(struct flow_task *t);

#endif
