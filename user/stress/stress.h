/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.h - the tasks of a stress run as processes.
 *
 * The coordinator forks task 0, which makes the memory and forks task 1, and
 * so on; so each task may name those after it.  Barriers are pipes: a task
 * writes a message to all tasks' pipe, and reads one letter of its own.
 */
#ifndef STRESS_H
#define STRESS_H

#include <sys/types.h>

#include "flow.h"

/* What all processes share. */
struct stress {
    struct flow_config config;
    int file[2];                /* private, shared */
    int up[2], down[FLOW_TASKS_MAX][2];
    volatile pid_t *pids;       /* of the tasks; shared memory */
    const char *self;           /* this program's file */
};
extern struct stress stress;

enum stress_word {
    STRESS_READY,               /* at the first barrier of an epoch */
    STRESS_DONE,                /* at its end */
    STRESS_FAILED
};

struct stress_message {
    uint32_t task;
    uint32_t word;
    uint64_t share;             /* of the digest */
    struct flow_counts counts;
};

void stress_send(const struct flow_task *t, enum stress_word word,
    uint64_t share);

/* stress_os.c */
const struct flow_os *stress_os(void);
/* Accesses that are refused are signals. */
void stress_catch(void);
/* Files and memory, empty but for the files. */
void stress_make_files(const struct flow_config *c);
void stress_make_memory(const struct flow_config *c);
/* The program that os->exec() starts; its exit status. */
int stress_executed(int argc, char **argv);

#endif
