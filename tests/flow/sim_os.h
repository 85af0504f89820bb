/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_os.h - the tasks of a stress run as maps of the simulated machine.
 */
#ifndef SIM_OS_H
#define SIM_OS_H

#include "flow.h"
#include "world.h"

extern const struct flow_os *sim_os(void);

/* All tasks, each forked from the one before.  After world_boot(). */
void sim_tasks_begin(const struct flow_config *c);
void sim_tasks_end(void);
struct flow_task *sim_task(unsigned number);

#endif
