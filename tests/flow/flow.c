/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - what a task does in an epoch, and its children.
 *
 * A step is one change of the plan or one operation that changes nothing;
 * which, and what the latter is, the task's own random numbers say.
 */
#include <stdlib.h>
#include <string.h>

#include "flow.h"

#define CELLS           4u      /* most machine pages of an operation */
#define EXECUTED        6u      /* pages that an executed program sees */
#define DEPTH           2u      /* of a tree of children */
#define NEAR            4u      /* pages that are visited for a while */

static uint64_t
pick(struct flow_task *t, uint64_t n)
{
    return flow_random(&t->random) % n;
}

static bool
may(const struct flow_task *t, enum flow_op op)
{
    return (t->config->only >> op & 1) != 0;
}

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

/* ---- choices ---------------------------------------------------------- */

static unsigned
pick_own(struct flow_task *t)
{
    return flow_page(t->config, t->number,
        (enum flow_kind)pick(t, FLOW_OWN),
        (unsigned)pick(t, t->config->pages));
}

static unsigned
pick_shared(struct flow_task *t)
{
    return flow_page(t->config, 0, pick(t, 2) ? FLOW_SHARED :
        FLOW_FILE_SHARED, (unsigned)pick(t, t->config->pages));
}

static uint8_t *
mark(const struct flow_task *t, uint8_t *marks, unsigned page)
{
    unsigned c = t->config->pages;

    return &marks[flow_kind_of(t->config, page) * c + page % c];
}

/* Some of the task's pages that are machine pages, at one place. */
struct run {
    unsigned page, n;
    uint64_t va, size;
};

static struct run
pick_run(struct flow_task *t, enum flow_kind kind)
{
    const struct flow_config *c = t->config;
    unsigned cell = (unsigned)(t->os->page_size / FLOW_UNIT);
    unsigned cells = c->pages / cell, first, n = 0;
    struct run r;

    first = (unsigned)pick(t, cells);
    r.page = flow_page(c, t->number, kind, first * cell);
    r.va = flow_va(t, r.page);
    do {
        n++;
    } while (n < CELLS && first + n < cells && pick(t, 3) != 0 &&
        *mark(t, t->side, r.page + n * cell) ==
        *mark(t, t->side, r.page));
    r.n = n * cell;
    r.size = (uint64_t)r.n * FLOW_UNIT;
    return r;
}

static unsigned
within(struct flow_task *t, struct run r)
{
    return r.page + (unsigned)pick(t, r.n);
}

static bool
is_hidden(const struct flow_task *t, struct run r)
{
    for (unsigned i = 0; i < r.n; i++) {
        if (*mark(t, t->hidden, r.page + i) != 0) {
            return true;
        }
    }
    return false;
}

static void __attribute__((noreturn))
allowed(struct flow_task *t, const char *what)
{
    t->os->fail(t, what);
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
        uint8_t *m = mark(t, t->hidden, s->page + i);

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
    flow_visit(t, s->page + (unsigned)pick(t, s->n));
}

/* ---- operations that change nothing ----------------------------------- */

/*
 * Mostly near the last one, as programs do; so translations are used for a
 * while, and one that should be gone is found out.
 */
static void
op_visit(struct flow_task *t)
{
    unsigned pages = t->config->pages, r = (unsigned)pick(t, 64);

    if (r < 4) {
        t->near = r != 0 ? pick_own(t) : pick_shared(t);
    }
    flow_visit(t, t->near - t->near % pages +
        (t->near + r % NEAR) % pages);
}

static void
op_protect(struct flow_task *t)
{
    struct run r = pick_run(t, (enum flow_kind)pick(t, FLOW_OWN));

    if (!t->os->protect(t, r.va, r.size, false)) {
        return;
    }
    flow_visit(t, within(t, r));
    if (!t->os->refused(t, flow_va(t, within(t, r)), true)) {
        allowed(t, "NOT PROTECTED: a store to protected memory went "
            "through\n");
    }
    while (!t->os->protect(t, r.va, r.size, true)) {
        t->os->disturb(t, 0);
    }
    if (t->os->refused(t, flow_va(t, within(t, r)), true)) {
        allowed(t, "PROTECTED: a store to writable memory was refused\n");
    }
}

static void
op_move(struct flow_task *t)
{
    struct run r = pick_run(t, pick(t, 2) ? FLOW_PRIVATE : FLOW_COPIES);
    bool there = *mark(t, t->side, r.page) != 0;

    if (!t->os->move(t, r.va, there ? r.va - FLOW_SIDE :
            r.va + FLOW_SIDE, r.size)) {
        return;
    }
    for (unsigned i = 0; i < r.n; i++) {
        *mark(t, t->side, r.page + i) ^= 1;
    }
    flow_visit(t, within(t, r));
    if (!t->os->refused(t, r.va, false)) {
        allowed(t, "STALE: a place that memory was moved from can be "
            "read\n");
    }
}

static void
op_hide(struct flow_task *t, bool yes)
{
    struct run r = pick_run(t, FLOW_PRIVATE);

    if (!yes && !is_hidden(t, r)) {
        return;
    }
    if (t->os->inherit(t, r.va, r.size, !yes)) {
        for (unsigned i = 0; i < r.n; i++) {
            *mark(t, t->hidden, r.page + i) = yes;
        }
    }
}

static unsigned
free_slot(struct flow_task *t)
{
    unsigned i = 0;

    while (i < FLOW_CHILDREN && t->living[i]) {
        i++;
    }
    return i;
}

static void
join(struct flow_task *t, unsigned slot)
{
    if (t->living[slot]) {
        t->os->join(t, slot);
        t->living[slot] = false;
    }
}

static void
op_fork(struct flow_task *t)
{
    unsigned slot = free_slot(t);

    if (slot == FLOW_CHILDREN) {
        join(t, (unsigned)pick(t, FLOW_CHILDREN));
        return;
    }
    op_hide(t, pick(t, 2));
    t->living[slot] = t->os->fork(t, slot);
}

static void
op_exec(struct flow_task *t)
{
    unsigned pages[EXECUTED], slot = free_slot(t);

    if (slot == FLOW_CHILDREN) {
        join(t, (unsigned)pick(t, FLOW_CHILDREN));
        return;
    }
    for (unsigned i = 0; i < EXECUTED; i++) {
        pages[i] = flow_page(t->config, 0, FLOW_FILE_SHARED,
            (unsigned)pick(t, t->config->pages));
    }
    t->living[slot] = t->os->exec(t, slot, pages, EXECUTED);
}

static void
op_kernel(struct flow_task *t)
{
    flow_visit_kernel(t, pick(t, 2) ? pick_own(t) : pick_shared(t));
}

static void
op_wire(struct flow_task *t)
{
    struct run r = pick_run(t, (enum flow_kind)pick(t, FLOW_OWN));

    if (t->os->wire(t, r.va, r.size, true)) {
        flow_visit(t, within(t, r));
        (void)t->os->wire(t, r.va, r.size, false);
    }
}

/* A copy of memory somewhere else, for a moment. */
static void
op_scratch(struct flow_task *t)
{
    const struct flow_config *c = t->config;
    struct run r = pick_run(t, (enum flow_kind)pick(t, FLOW_OWN));
    uint64_t va = flow_scratch(c) + t->os->page_size * pick(t, 32), word;

    if (!t->os->map(t, va, r.size)) {
        return;
    }
    t->os->load(t, va + FLOW_UNIT / 2, &word, sizeof(word));
    if (word != 0) {
        allowed(t, "DIRTY: new memory is not zero\n");
    }
    if (t->os->copy(t, r.va, va, r.size)) {
        unsigned i = (unsigned)pick(t, r.n);

        flow_visit_at(t, r.page + i, va + (uint64_t)i * FLOW_UNIT);
    }
    t->os->unmap(t, va, r.size);
    if (!t->os->refused(t, va, false)) {
        allowed(t, "STALE: memory that was unmapped can be read\n");
    }
}

static void
op_disturb(struct flow_task *t)
{
    t->os->disturb(t, flow_random(&t->random));
}

static void
noise(struct flow_task *t)
{
    static void (*const ops[FLOW_OPS])(struct flow_task *) = {
        [FLOW_OP_PROTECT] = op_protect, [FLOW_OP_MOVE] = op_move,
        [FLOW_OP_FORK] = op_fork, [FLOW_OP_EXEC] = op_exec,
        [FLOW_OP_KERNEL] = op_kernel, [FLOW_OP_WIRE] = op_wire,
        [FLOW_OP_SCRATCH] = op_scratch, [FLOW_OP_DISTURB] = op_disturb,
        [FLOW_OP_VISIT] = op_visit,
    };
    /* Shares of 256; the rest visits. */
    static const struct {
        enum flow_op op;
        unsigned below;
    } shares[] = {
        { FLOW_OP_PROTECT, 6 }, { FLOW_OP_MOVE, 12 }, { FLOW_OP_FORK, 14 },
        { FLOW_OP_KERNEL, 20 }, { FLOW_OP_WIRE, 22 },
        { FLOW_OP_SCRATCH, 26 }, { FLOW_OP_DISTURB, 28 },
    };
    enum flow_op op = FLOW_OP_VISIT;
    unsigned x = (unsigned)pick(t, 256);

    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        if (x < shares[i].below) {
            op = shares[i].op;
            break;
        }
    }
    if (op == FLOW_OP_FORK && pick(t, 4) == 0) {
        op = FLOW_OP_EXEC;
    }
    if (!may(t, op) || (op != FLOW_OP_VISIT && t->config->calm > 1 &&
            pick(t, t->config->calm) != 0)) {
        op = FLOW_OP_VISIT;
    }
    t->counts.done[op]++;
    ops[op](t);
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
            join(t, i);
        }
        return false;
    }
    /* The plan's steps, in their order, spread among the others. */
    if (t->planned < c->writes && pick(t, all - t->at) <
            c->writes - t->planned) {
        struct flow_step s = flow_plan(c, t->number, t->epoch,
            t->planned++);

        carry_out(t, &s);
    } else {
        noise(t);
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
        unsigned page = pick(t, 5) != 0 ? pick_own(t) : pick_shared(t);

        if (flow_kind_of(t->config, page) >= FLOW_SHARED ||
            *mark(t, t->hidden, page) == 0) {
            flow_visit(t, page);
        } else if (!t->os->refused(t, flow_va(t, page), false)) {
            allowed(t, "INHERITED: a child can read what it was not to "
                "inherit\n");
        }
    }
}

void
flow_child_early(struct flow_task *t)
{
    child_visits(t, 8);
    for (unsigned i = 0; i < 6; i++) {
        unsigned page = pick_own(t);

        if (*mark(t, t->hidden, page) == 0) {
            t->now[page] = (struct flow_state){ page,
                t->epoch | t->child << 28 };
            flow_write(t, page, t->now[page]);
            flow_visit(t, page);
        }
    }
    child_visits(t, 4);
    if (t->depth < DEPTH && pick(t, 3) == 0) {
        t->living[0] = t->os->fork(t, 0);
    }
}

void
flow_child_late(struct flow_task *t)
{
    child_visits(t, 24);
    join(t, 0);
}

void
flow_executed(struct flow_task *t, const unsigned *pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        flow_visit(t, pages[i]);
    }
}
