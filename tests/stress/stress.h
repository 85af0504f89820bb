/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.h - several CPUs do everything at once to the same memory.
 *
 * Each page has one writer, who numbers what he writes, and tells everybody
 * before he writes and after.  So a reader, or a child, or a copy, knows
 * the least and the most that it may find there.
 */
#ifndef STRESS_H
#define STRESS_H

#include "world.h"

struct stress_config {
    struct world_config world;
    bool fibers;                /* else threads */
    unsigned cpus;
    unsigned rounds;            /* operations of each CPU */
};

/*
 * One run, from boot to the search for leaks.  Returns a hash of all that
 * happened; in fibers it is a function of the config alone.
 */
uint64_t stress_run(const struct stress_config *c);

#endif
