/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_plan.c - what is written where, by whom, when: a pure function.
 *
 * Pages are numbered: the tasks' own, kind by kind and task by task, then
 * the shared ones, then those of the two files as they were made.
 */
#include "flow.h"

const char *const flow_op_names[FLOW_OPS] = {
    "write", "copy", "drop", "fetch", "visit", "protect", "move", "fork",
    "exec", "kernel", "wire", "scratch", "disturb"
};

#define WORD    UINT64_C(0x9e3779b97f4a7c15)
#define GIB     ((uint64_t)1 << 30)
#define RUN     8u                      /* most pages of a step */

uint64_t
flow_random(uint64_t *state)
{
    return flow_mix(*state += WORD);
}

static uint64_t
derive(const struct flow_config *c, uint64_t a, uint64_t b, uint64_t d)
{
    uint64_t x = flow_mix(c->seed + WORD);

    x = flow_mix(x ^ a * WORD);
    x = flow_mix(x + b * WORD);
    return flow_mix(x ^ d * WORD);
}

/* ---- pages ------------------------------------------------------------ */

unsigned
flow_pages(const struct flow_config *c)
{
    return (c->tasks * FLOW_OWN + FLOW_KINDS - FLOW_OWN) * c->pages;
}

unsigned
flow_states(const struct flow_config *c)
{
    return flow_pages(c) + 2 * c->pages;
}

unsigned
flow_page(const struct flow_config *c, unsigned task, enum flow_kind kind,
    unsigned index)
{
    unsigned run = kind < FLOW_SHARED ? task * FLOW_OWN + kind :
        c->tasks * FLOW_OWN + (kind - FLOW_SHARED);

    return run * c->pages + index;
}

enum flow_kind
flow_kind_of(const struct flow_config *c, unsigned page)
{
    unsigned run = page / c->pages;

    return run < c->tasks * FLOW_OWN ? (enum flow_kind)(run % FLOW_OWN) :
        (enum flow_kind)(FLOW_SHARED + (run - c->tasks * FLOW_OWN));
}

unsigned
flow_owner(const struct flow_config *c, unsigned page)
{
    unsigned task = page / c->pages / FLOW_OWN;

    return task < c->tasks ? task : c->tasks;
}

unsigned
flow_original(const struct flow_config *c, unsigned page)
{
    unsigned file = flow_kind_of(c, page) == FLOW_FILE_SHARED ? 1 : 0;

    return flow_pages(c) + file * c->pages + page % c->pages;
}

uint64_t
flow_span(const struct flow_config *c)
{
    return (uint64_t)c->pages * FLOW_UNIT;
}

/* Across the end of a leaf table, where that can be had. */
uint64_t
flow_base(const struct flow_config *c, enum flow_kind kind)
{
    uint64_t half = flow_span(c) / 2 & ~(uint64_t)0xffff;

    return (4 + (uint64_t)kind) * GIB + ((uint64_t)64 << 20) - half;
}

uint64_t
flow_scratch(const struct flow_config *c)
{
    (void)c;
    return (4 + (uint64_t)FLOW_KINDS) * GIB;
}

/* ---- the plan --------------------------------------------------------- */

/* A run of at most most pages that does not leave its kind. */
static unsigned
run_of(const struct flow_config *c, uint64_t r, unsigned most,
    unsigned *index)
{
    unsigned n = 1 + (unsigned)(r % most);

    *index = (unsigned)((r >> 8) % (c->pages - n + 1));
    return n;
}

unsigned
flow_writer(const struct flow_config *c, unsigned page, uint32_t epoch)
{
    return (unsigned)(derive(c, page, epoch, 1) % c->tasks);
}

static struct flow_step
plan_own(const struct flow_config *c, unsigned task, uint64_t r,
    unsigned most)
{
    enum flow_kind kind = (enum flow_kind)((r >> 40) % FLOW_OWN);
    unsigned index, n = run_of(c, r, most, &index);

    return (struct flow_step){ .op = FLOW_OP_WRITE, .n = n,
        .page = flow_page(c, task, kind, index) };
}

static struct flow_step
plan_shared(const struct flow_config *c, unsigned task, uint32_t epoch,
    uint64_t r)
{
    uint64_t state = r;

    for (unsigned i = 0; i < 2 * c->tasks; i++) {
        uint64_t x = flow_random(&state);
        unsigned page = flow_page(c, 0, x & 1 ? FLOW_SHARED :
            FLOW_FILE_SHARED, (unsigned)((x >> 8) % c->pages));

        if (flow_writer(c, page, epoch) == task) {
            return (struct flow_step){ .op = FLOW_OP_WRITE, .page = page,
                .n = 1 };
        }
    }
    return plan_own(c, task, r, 1);
}

/* From one kind to another. */
static struct flow_step
plan_copy(const struct flow_config *c, unsigned task, uint64_t r)
{
    enum flow_kind from = (enum flow_kind)((r >> 40) % FLOW_OWN);
    enum flow_kind to = from == FLOW_COPIES ? FLOW_PRIVATE : FLOW_COPIES;
    unsigned i, j, n = run_of(c, r, RUN, &i);

    (void)run_of(c, (r & 0xff) | r >> 20 << 8, RUN, &j);
    return (struct flow_step){ .op = FLOW_OP_COPY, .n = n,
        .page = flow_page(c, task, to, j),
        .from = flow_page(c, task, from, i) };
}

static bool
may(const struct flow_config *c, enum flow_op op)
{
    return (c->only >> op & 1) != 0;
}

struct flow_step
flow_plan(const struct flow_config *c, unsigned task, uint32_t epoch,
    unsigned i)
{
    uint64_t r = derive(c, task + 1000, epoch, i + 2), x = r >> 56;
    struct flow_step s;

    if (x >= 128 && x < 200) {
        return plan_shared(c, task, epoch, r);
    }
    if (x >= 216 && x < 240 && may(c, FLOW_OP_COPY)) {
        return plan_copy(c, task, r);
    }
    if (x < 240 || !may(c, FLOW_OP_DROP)) {
        return plan_own(c, task, r, x < 200 ? 1 : RUN);
    }
    s = plan_own(c, task, r, RUN);
    s.op = FLOW_OP_DROP;
    return s;
}

/*
 * The source is memory that nobody's fetch changes and that never moves;
 * its task was forked by this one, or by one that was, so that it may be
 * named.
 */
bool
flow_plan_fetch(const struct flow_config *c, unsigned task, uint32_t epoch,
    struct flow_step *out)
{
    uint64_t r = derive(c, task + 1000, epoch, 1);
    unsigned i, j, n, other;

    if (task + 1 >= c->tasks || (r >> 56 & 1) != 0 ||
        !may(c, FLOW_OP_FETCH)) {
        return false;
    }
    other = task + 1 + (unsigned)((r >> 32) % (c->tasks - task - 1));
    n = run_of(c, r, RUN, &i);
    (void)run_of(c, (r & 0xff) | r >> 20 << 8, RUN, &j);
    *out = (struct flow_step){ .op = FLOW_OP_FETCH, .n = n,
        .page = flow_page(c, task, FLOW_COPIES, j),
        .from = flow_page(c, other, (r >> 55 & 1) != 0 ? FLOW_INHERITED :
            FLOW_FILE_PRIVATE, i) };
    return true;
}

/* ---- what follows from it --------------------------------------------- */

/* As mapped first. */
static struct flow_state
fresh(const struct flow_config *c, unsigned page)
{
    enum flow_kind kind = flow_kind_of(c, page);

    if (kind == FLOW_FILE_PRIVATE || kind == FLOW_FILE_SHARED) {
        return (struct flow_state){ flow_original(c, page), 0 };
    }
    return (struct flow_state){ FLOW_ZERO, 0 };
}

void
flow_apply(const struct flow_config *c, struct flow_state *s,
    const struct flow_step *step, uint32_t epoch)
{
    for (unsigned i = 0; i < step->n; i++) {
        unsigned page = step->page + i;

        switch (step->op) {
        case FLOW_OP_WRITE:
            s[page] = (struct flow_state){ page, epoch };
            break;
        case FLOW_OP_DROP:
            s[page] = fresh(c, page);
            break;
        default:
            s[page] = s[step->from + i];
            break;
        }
    }
}

void
flow_initial(const struct flow_config *c, struct flow_state *s)
{
    unsigned pages = flow_pages(c);

    for (unsigned i = 0; i < pages; i++) {
        s[i] = fresh(c, i);
        if (flow_kind_of(c, i) == FLOW_INHERITED) {
            /* All have what the root wrote: task 0's. */
            s[i] = (struct flow_state){ flow_page(c, 0, FLOW_INHERITED,
                i % c->pages), 0 };
        }
    }
    for (unsigned i = pages; i < flow_states(c); i++) {
        s[i] = (struct flow_state){ i, 0 };
    }
}
