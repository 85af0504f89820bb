/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_op.c - the operations that leave contents alone: visits, forks,
 * protection, moves.  Each ends with a look at what it touched.
 */
#include "flow_impl.h"

#define CELLS           4u      /* most machine pages of an operation */
#define EXECUTED        6u      /* pages that an executed program sees */
#define NEAR            4u      /* pages that are visited for a while */

/* ---- choices ---------------------------------------------------------- */

unsigned
flow_pick_own(struct flow_task *t)
{
    return flow_page(t->config, t->number,
        (enum flow_kind)flow_pick(t, FLOW_OWN),
        (unsigned)flow_pick(t, t->config->pages));
}

unsigned
flow_pick_shared(struct flow_task *t)
{
    return flow_page(t->config, 0, flow_pick(t, 2) ? FLOW_SHARED :
        FLOW_FILE_SHARED, (unsigned)flow_pick(t, t->config->pages));
}

uint8_t *
flow_mark(const struct flow_task *t, uint8_t *marks, unsigned page)
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

    first = (unsigned)flow_pick(t, cells);
    r.page = flow_page(c, t->number, kind, first * cell);
    r.va = flow_va(t, r.page);
    do {
        n++;
    } while (n < CELLS && first + n < cells && flow_pick(t, 3) != 0 &&
        *flow_mark(t, t->side, r.page + n * cell) ==
        *flow_mark(t, t->side, r.page));
    r.n = n * cell;
    r.size = (uint64_t)r.n * FLOW_UNIT;
    return r;
}

static unsigned
within(struct flow_task *t, struct run r)
{
    return r.page + (unsigned)flow_pick(t, r.n);
}

static bool
is_hidden(const struct flow_task *t, struct run r)
{
    for (unsigned i = 0; i < r.n; i++) {
        if (*flow_mark(t, t->hidden, r.page + i) != 0) {
            return true;
        }
    }
    return false;
}

void
flow_wrong(struct flow_task *t, const char *what)
{
    t->os->fail(t, what);
}

/* ---- operations that change nothing ----------------------------------- */

/*
 * Mostly near the last one, as programs do; so translations are used for a
 * while, and one that should be gone is found out.
 */
static void
op_visit(struct flow_task *t)
{
    unsigned pages = t->config->pages, r = (unsigned)flow_pick(t, 64);

    if (r < 4) {
        t->near = r != 0 ? flow_pick_own(t) : flow_pick_shared(t);
    }
    flow_visit(t, t->near - t->near % pages +
        (t->near + r % NEAR) % pages);
}

static void
op_protect(struct flow_task *t)
{
    struct run r = pick_run(t, (enum flow_kind)flow_pick(t, FLOW_OWN));

    if (!t->os->protect(t, r.va, r.size, false)) {
        return;
    }
    flow_visit(t, within(t, r));
    if (!t->os->refused(t, flow_va(t, within(t, r)), true)) {
        flow_wrong(t, "NOT PROTECTED: a store to protected memory went "
            "through\n");
    }
    while (!t->os->protect(t, r.va, r.size, true)) {
        t->os->disturb(t, 0);
    }
    if (t->os->refused(t, flow_va(t, within(t, r)), true)) {
        flow_wrong(t, "PROTECTED: a store to writable memory was refused\n");
    }
}

static void
op_move(struct flow_task *t)
{
    struct run r = pick_run(t, flow_pick(t, 2) ? FLOW_PRIVATE : FLOW_COPIES);
    bool there = *flow_mark(t, t->side, r.page) != 0;

    if (!t->os->move(t, r.va, there ? r.va - FLOW_SIDE :
            r.va + FLOW_SIDE, r.size)) {
        return;
    }
    for (unsigned i = 0; i < r.n; i++) {
        *flow_mark(t, t->side, r.page + i) ^= 1;
    }
    flow_visit(t, within(t, r));
    if (!t->os->refused(t, r.va, false)) {
        flow_wrong(t, "STALE: a place that memory was moved from can be "
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
            *flow_mark(t, t->hidden, r.page + i) = yes;
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

void
flow_join(struct flow_task *t, unsigned slot)
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
        flow_join(t, (unsigned)flow_pick(t, FLOW_CHILDREN));
        return;
    }
    op_hide(t, flow_pick(t, 2));
    t->living[slot] = t->os->fork(t, slot);
}

static void
op_exec(struct flow_task *t)
{
    unsigned pages[EXECUTED], slot = free_slot(t);

    if (slot == FLOW_CHILDREN) {
        flow_join(t, (unsigned)flow_pick(t, FLOW_CHILDREN));
        return;
    }
    for (unsigned i = 0; i < EXECUTED; i++) {
        pages[i] = flow_page(t->config, 0, FLOW_FILE_SHARED,
            (unsigned)flow_pick(t, t->config->pages));
    }
    t->living[slot] = t->os->exec(t, slot, pages, EXECUTED);
}

static void
op_kernel(struct flow_task *t)
{
    flow_visit_kernel(t, flow_pick(t, 2) ? flow_pick_own(t) :
        flow_pick_shared(t));
}

static void
op_wire(struct flow_task *t)
{
    struct run r = pick_run(t, (enum flow_kind)flow_pick(t, FLOW_OWN));

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
    struct run r = pick_run(t, (enum flow_kind)flow_pick(t, FLOW_OWN));
    uint64_t va = flow_scratch(c) + t->os->page_size * flow_pick(t, 32), word;

    if (!t->os->map(t, va, r.size)) {
        return;
    }
    t->os->load(t, va + FLOW_UNIT / 2, &word, sizeof(word));
    if (word != 0) {
        flow_wrong(t, "DIRTY: new memory is not zero\n");
    }
    if (t->os->copy(t, r.va, va, r.size)) {
        unsigned i = (unsigned)flow_pick(t, r.n);

        flow_visit_at(t, r.page + i, va + (uint64_t)i * FLOW_UNIT);
    }
    t->os->unmap(t, va, r.size);
    if (!t->os->refused(t, va, false)) {
        flow_wrong(t, "STALE: memory that was unmapped can be read\n");
    }
}

static void
op_disturb(struct flow_task *t)
{
    t->os->disturb(t, flow_random(&t->random));
}

void
flow_noise(struct flow_task *t)
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
    unsigned x = (unsigned)flow_pick(t, 256);

    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        if (x < shares[i].below) {
            op = shares[i].op;
            break;
        }
    }
    if (op == FLOW_OP_FORK && flow_pick(t, 4) == 0) {
        op = FLOW_OP_EXEC;
    }
    if ((t->config->only >> op & 1) == 0 || (op != FLOW_OP_VISIT &&
            t->config->calm > 1 && flow_pick(t, t->config->calm) != 0)) {
        op = FLOW_OP_VISIT;
    }
    t->counts.done[op]++;
    ops[op](t);
}
