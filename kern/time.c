/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time.c - nanoseconds from the machine's counter, and back.
 *
 * ns = ticks * mult >> 32, with mult = 10^9 * 2^32 / hz, in 128 bits: late by
 * a nanosecond every 2^32 ticks at most, and no division on the way.
 */
#include "sched.h"

#define NS              UINT64_C(1000000000)

uint64_t kern_epoch;

static uint64_t time_first;     /* (c) tick of time 0 */
static uint64_t time_mult;      /* (c) ns of a tick, 32.32 */
static uint64_t time_inverse;   /* (c) ticks of a ns, 32.32 */

/* a * m / 2^32, m being 32.32. */
static inline uint64_t
time_scale(uint64_t a, uint64_t m)
{
    return (uint64_t)((unsigned __int128)a * m >> 32);
}

void
kern_time_bootstrap(uint64_t first_tick)
{
    if (md_tick_hz == 0) {
        kern_panic("the machine's counter has no known frequency");
    }
    time_first = first_tick;
    time_mult = (NS << 32) / md_tick_hz;
    time_inverse = (md_tick_hz / NS << 32) +
        ((md_tick_hz % NS) << 32) / NS;
    sched_slice = md_tick_hz / 1000u * SCHED_SLICE_MS;
    sched_period = md_tick_hz / 1000u * kern_option_u64("tick", 0);
    kern_epoch = kern_option_u64("time", 0);
}

uint64_t
kern_now(void)
{
    return time_scale(md_ticks() - time_first, time_mult);
}

/* Rounded up: kern_now() is not less than ns when it has come (nearly). */
uint64_t
time_deadline(uint64_t ns)
{
    uint64_t ticks = time_scale(ns, time_inverse);

    /* Centuries are cut short, not wrapped. */
    if (ns > UINT64_MAX / 4 || ticks > UINT64_MAX / 4) {
        ticks = UINT64_MAX / 4;
    }
    return time_first + ticks + 1;
}
