/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_args.c - what a stress program is told, and what it tells: words
 * "name=number" in, lines "flow {json}" out (tools/stress_run.py).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"

static bool
take(const char *word, const char *name, uint64_t *value)
{
    size_t n = strlen(name);
    char *end;

    if (strncmp(word, name, n) != 0 || word[n] != '=' || word[n + 1] < '0' ||
        word[n + 1] > '9') {
        return false;
    }
    errno = 0;
    *value = strtoull(word + n + 1, &end, 0);
    return *end == 0 && errno == 0;
}

bool
flow_parse(int argc, char **argv, struct flow_args *args,
    const struct flow_arg *more)
{
    uint64_t tasks = 8, pages = 32, writes = 24, visits = 400,
        calm = 1;
    uint64_t only = (1u << FLOW_OPS) - 1;
    const struct flow_arg known[] = {
        { "seed", &args->config.seed }, { "tasks", &tasks },
        { "pages", &pages }, { "writes", &writes }, { "visits", &visits },
        { "calm", &calm },
        { "only", &only }, { "epochs", &args->epochs },
        { "seconds", &args->seconds }, { "storm", &args->storm },
        { "rate", &args->rate }, { "budget", &args->budget },
        { "delay", &args->delay }, { NULL, NULL }
    };
    const struct flow_arg *const lists[] = { known, more };

    *args = (struct flow_args){ .config = { .seed = 1 } };
    for (int i = 0; i < argc; i++) {
        bool found = false;

        for (unsigned l = 0; l < 2; l++) {
            for (const struct flow_arg *a = lists[l];
                    a != NULL && a->name != NULL && !found; a++) {
                found = take(argv[i], a->name, a->value);
            }
        }
        if (!found) {
            fprintf(stderr, "stress: %s is no argument\n", argv[i]);
            return false;
        }
    }
    args->config.tasks = (unsigned)tasks;
    args->config.pages = (unsigned)pages;
    args->config.writes = (unsigned)writes;
    args->config.visits = (unsigned)visits;
    args->config.calm = (unsigned)calm;
    args->config.only = (uint32_t)only | 1u << FLOW_OP_WRITE |
        1u << FLOW_OP_VISIT;
    return flow_is_valid(args);
}

bool
flow_is_valid(const struct flow_args *args)
{
    const struct flow_config *c = &args->config;

    if (c->tasks == 0 || c->tasks > FLOW_TASKS_MAX || c->pages == 0 ||
        c->pages > FLOW_PAGES_MAX || c->pages % 16 != 0 ||
        args->epochs > FLOW_EPOCH_MAX - FLOW_CHECK ||
        (args->epochs == 0 && args->seconds == 0)) {
        fprintf(stderr, "stress: tasks are 1 to %u, pages a multiple of 16 "
            "up to %u, epochs up to %u\n", FLOW_TASKS_MAX, FLOW_PAGES_MAX,
            FLOW_EPOCH_MAX - FLOW_CHECK);
        return false;
    }
    return true;
}

bool
flow_is_done(const struct flow_args *args, uint32_t epoch, double seconds)
{
    return flow_is_check(epoch) &&
        ((args->epochs != 0 && epoch >= args->epochs) ||
        (args->seconds != 0 && seconds >= (double)args->seconds) ||
        epoch >= FLOW_EPOCH_MAX - FLOW_CHECK);
}

/* At each power of two, so that runs of any length have epochs in common. */
bool
flow_tells(uint32_t epoch, double seconds, double *told)
{
    if (!flow_is_check(epoch) || ((epoch & (epoch - 1)) != 0 &&
        seconds - *told < 1.0)) {
        return false;
    }
    *told = seconds;
    return true;
}

void
flow_tell(const char *what, uint32_t epoch, uint64_t digest,
    double seconds, const struct flow_counts *counts, const char *more)
{
    char line[4096];
    size_t n;

    n = (size_t)snprintf(line, sizeof(line), "flow {\"%s\": true, "
        "\"epoch\": %u, \"digest\": \"%016llx\", \"seconds\": %.3f, "
        "\"visits\": %llu, \"whole\": %llu, \"ops\": {", what, epoch,
        (unsigned long long)digest, seconds,
        (unsigned long long)counts->visits,
        (unsigned long long)counts->whole);
    for (unsigned i = 0; i < FLOW_OPS; i++) {
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s\"%s\": %llu",
            i == 0 ? "" : ", ", flow_op_names[i],
            (unsigned long long)counts->done[i]);
    }
    n += (size_t)snprintf(line + n, sizeof(line) - n, "}%s}\n", more);
    fwrite(line, 1, n < sizeof(line) ? n : sizeof(line) - 1, stdout);
    fflush(stdout);
}

void
flow_add(struct flow_counts *sum, const struct flow_counts *n)
{
    sum->visits += n->visits;
    sum->whole += n->whole;
    for (unsigned i = 0; i < FLOW_OPS; i++) {
        sum->done[i] += n->done[i];
    }
}
