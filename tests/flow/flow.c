/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - what a task does in an epoch, and its children.
 *
 * A step is one change of the plan or one operation that changes nothing;
 * which, and what the latter is, the task's own random numbers say.
 */
#include <stdlib.h>
#include <string.h>

#include "flow_impl.h"

#define DEPTH           2u      /* of a tree of children */

/* ---- tables ----------------------------------------------------------- */

static bool
make_tables(struct flow_task *t)
{
    size_t n = flow_states(t->config), own = FLOW_OWN * t->config->pages;

    t->now = malloc(n * sizeof(*t->now));
    t->next = malloc(n * sizeof(*t->next));
    t->side = calloc(own, 1);
    t->hidden = calloc(own, 1);
    if (t->now == NULL || t->next == NULL || t->side == NULL ||
        t->hidden == NULL) {
        flow_end(t);
        return false;
    }
    return true;
}

bool
flow_init(struct flow_task *t, const struct flow_config *c,
    const struct flow_os *os, unsigned number)
{
    *t = (struct flow_task){ .config = c, .os = os, .number = number };
    if (!make_tables(t)) {
        return false;
    }
    flow_initial(c, t->now);
    memcpy(t->next, t->now, flow_states(c) * sizeof(*t->now));
    t->near = flow_page(c, number, FLOW_PRIVATE, 0);
    t->random = flow_mix(c->seed ^ (uint64_t)(number + 1) << 40);
    return true;
}

bool
flow_clone(struct flow_task *child, const struct flow_task *t,
    unsigned slot)
{
    size_t n = flow_states(t->config), own = FLOW_OWN * t->config->pages;

    *child = *t;
    if (!make_tables(child)) {
        return false;
    }
    memcpy(child->now, t->now, n * sizeof(*t->now));
    memcpy(child->next, t->next, n * sizeof(*t->next));
    memcpy(child->side, t->side, own);
    memcpy(child->hidden, t->hidden, own);
    child->child = t->depth * FLOW_CHILDREN + slot + 1;
    child->depth = t->depth + 1;
    child->random = flow_mix(t->random + slot + 1);
    memset(child->living, 0, sizeof(child->living));
    child->counts = (struct flow_counts){ 0 };
    return true;
}

void
flow_end(struct flow_task *t)
{
    free(t->now);
    free(t->next);
    free(t->side);
    free(t->hidden);
    t->now = t->next = NULL;
    t->side = t->hidden = NULL;
}

void
flow_prepare(struct flow_task *root)
{
    for (unsigned i = 0; i < root->config->pages; i++) {
        unsigned page = flow_page(root->config, 0, FLOW_INHERITED, i);

        flow_write(root, page, root->now[page]);
    }
}

/* ---- the plan, carried out -------------------------------------------- */

static void
by_stores(struct flow_task *t, const struct flow_step *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        flow_write(t, s->page + i, t->now[s->page + i]);
    }
}

static uint64_t
file_offset(const struct flow_task *t, unsigned page)
{
    return (uint64_t)(page % t->config->pages) * FLOW_UNIT;
}

static bool
is_one_place(const struct flow_task *t, unsigned page, unsigned n)
{
    uint64_t va = flow_va(t, page);

    for (unsigned i = 1; i < n; i++) {
        if (flow_va(t, page + i) != va + (uint64_t)i * FLOW_UNIT) {
            return false;
        }
    }
    return true;
}

static bool
change(struct flow_task *t, const struct flow_step *s)
{
    uint64_t va = flow_va(t, s->page), size = (uint64_t)s->n * FLOW_UNIT;
    unsigned from = s->from;

    if (s->op == FLOW_OP_WRITE || !is_one_place(t, s->page, s->n)) {
        return false;
    }
    switch (s->op) {
    case FLOW_OP_DROP:
        return t->os->fresh(t, flow_kind_of(t->config, s->page), va,
            file_offset(t, s->page), size);
    case FLOW_OP_COPY:
        return is_one_place(t, from, s->n) &&
            t->os->copy(t, flow_va(t, from), va, size);
    default:
        return t->os->fetch(t, flow_owner(t->config, from),
            flow_va(t, from), va, size);
    }
}

/* Memory mapped anew is inherited again. */
static void
show(struct flow_task *t, const struct flow_step *s)
{
    bool hidden = false;

    for (unsigned i = 0; i < s->n; i++) {
        uint8_t *m = flow_mark(t, t->hidden, s->page + i);

        hidden = hidden || *m != 0;
        *m = 0;
    }
    while (hidden && !t->os->inherit(t, flow_va(t, s->page),
            (uint64_t)s->n * FLOW_UNIT, true)) {
        t->os->disturb(t, 0);
    }
}

/* Then look at what came out. */
static void
carry_out(struct flow_task *t, const struct flow_step *s)
{
    const struct flow_config *c = t->config;
    bool done = change(t, s);

    flow_apply(c, t->now, s, t->epoch);
    if (!done) {
        by_stores(t, s);
    } else if (s->op == FLOW_OP_DROP) {
        show(t, s);
    }
    t->counts.done[s->op]++;
    flow_visit(t, s->page + (unsigned)flow_pick(t, s->n));
}

/* ---- an epoch --------------------------------------------------------- */

void
flow_begin(struct flow_task *t, uint32_t epoch)
{
    const struct flow_config *c = t->config;

    t->epoch = epoch;
    t->at = 0;
    t->planned = 0;
    t->random = flow_mix(t->random ^ epoch);
    memcpy(t->next, t->now, flow_states(c) * sizeof(*t->now));
    for (unsigned task = 0; task < c->tasks; task++) {
        for (unsigned i = 0; i < c->writes; i++) {
            struct flow_step s = flow_plan(c, task, epoch, i);

            flow_apply(c, t->next, &s, epoch);
        }
    }
}

bool
flow_step(struct flow_task *t)
{
    const struct flow_config *c = t->config;
    unsigned all = c->writes + c->visits;

    if (t->at == all) {
        for (unsigned i = 0; i < FLOW_CHILDREN; i++) {
            flow_join(t, i);
        }
        return false;
    }
    /* The plan's steps, in their order, spread among the others. */
    if (t->planned < c->writes && flow_pick(t, all - t->at) <
            c->writes - t->planned) {
        struct flow_step s = flow_plan(c, t->number, t->epoch,
            t->planned++);

        carry_out(t, &s);
    } else {
        flow_noise(t);
    }
    t->at++;
    return true;
}

void
flow_exchange(struct flow_task *t)
{
    const struct flow_config *c = t->config;
    struct flow_step s;

    memcpy(t->now, t->next, flow_states(c) * sizeof(*t->now));
    for (unsigned task = 0; task < c->tasks; task++) {
        if (task != t->number && flow_plan_fetch(c, task, t->epoch, &s)) {
            flow_apply(c, t->now, &s, t->epoch);
        }
    }
    if (flow_plan_fetch(c, t->number, t->epoch, &s)) {
        carry_out(t, &s);
    }
    memcpy(t->next, t->now, flow_states(c) * sizeof(*t->now));
}

bool
flow_is_check(uint32_t epoch)
{
    return epoch % FLOW_CHECK == 0;
}

uint64_t
flow_chain(uint64_t last, uint64_t share)
{
    return flow_mix(last ^ share) + UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t
flow_digest(struct flow_task *t)
{
    const struct flow_config *c = t->config;
    uint64_t hash = t->number;

    for (unsigned kind = 0; kind < FLOW_OWN; kind++) {
        for (unsigned i = 0; i < c->pages; i++) {
            flow_visit_whole(t, flow_page(c, t->number,
                (enum flow_kind)kind, i), &hash);
        }
    }
    for (unsigned i = t->number; i < c->pages; i += c->tasks) {
        flow_visit_whole(t, flow_page(c, 0, FLOW_SHARED, i), &hash);
        flow_visit_whole(t, flow_page(c, 0, FLOW_FILE_SHARED, i), &hash);
    }
    return hash;
}

/* ---- children --------------------------------------------------------- */

/* What it inherited is what its parent had at that moment. */
static void
child_visits(struct flow_task *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned page = flow_pick(t, 5) != 0 ? flow_pick_own(t) :
            flow_pick_shared(t);

        if (flow_kind_of(t->config, page) >= FLOW_SHARED ||
            *flow_mark(t, t->hidden, page) == 0) {
            flow_visit(t, page);
        } else if (!t->os->refused(t, flow_va(t, page), false)) {
            flow_wrong(t, "INHERITED: a child can read what it was not to "
                "inherit\n");
        }
    }
}

void
flow_child_early(struct flow_task *t)
{
    child_visits(t, 8);
    for (unsigned i = 0; i < 6; i++) {
        unsigned page = flow_pick_own(t);

        if (*flow_mark(t, t->hidden, page) == 0) {
            t->now[page] = (struct flow_state){ page,
                t->epoch | t->child << 28 };
            flow_write(t, page, t->now[page]);
            flow_visit(t, page);
        }
    }
    child_visits(t, 4);
    if (t->depth < DEPTH && flow_pick(t, 3) == 0) {
        t->living[0] = t->os->fork(t, 0);
    }
}

void
flow_child_late(struct flow_task *t)
{
    child_visits(t, 24);
    flow_join(t, 0);
}

void
flow_executed(struct flow_task *t, const unsigned *pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        flow_visit(t, pages[i]);
    }
}
