/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world_int.h - between world.c and world_file.c.
 */
#ifndef WORLD_INT_H
#define WORLD_INT_H

#include "world.h"

struct world_int {
    bool running;               /* in world_run(): a CPU serves the pagers */
    _Atomic uint32_t work;      /* counts what is given to it */
    _Atomic uint32_t left;      /* CPUs that still run the test */
};
extern struct world_int world_int;

void world_files_begin(uint64_t seed, uint64_t swap_slots);
void world_files_end(void);
/* Answer one request that is due (or any, if all); false: there is none. */
bool world_pager_turn(bool all);
bool world_pager_idle(void);

#endif
