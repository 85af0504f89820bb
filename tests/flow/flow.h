/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.h - the work of a stress run: many tasks that write, share, copy,
 * fork, move and protect memory, and know what every page must hold.
 *
 * The work is divided in epochs.  What happens to the contents of memory is
 * a pure function of (seed, task, epoch): flow_plan() says it, so every task
 * knows what all of them did, and the history of any page can be told
 * afterwards.  What does not change contents (visits, forks, protection,
 * moves ...) fills the time between and differs as the machine likes.
 *
 *   phase 1   each task carries out its plan, and visits; a shared page
 *             has one writer in an epoch, and who else looks at it finds
 *             each word as before the epoch or as after it
 *   barrier
 *   phase 2   virtual copies out of other tasks' memory
 *   barrier
 *   now and then: all memory is verified and its digest chained
 *
 * Contents come in units of 4 KiB whatever the machine's page is, so one
 * seed has one digest everywhere.  A unit ("page" below) is a header that
 * says who wrote which page when, and words that are each a function of it.
 *
 * The machine is behind struct flow_os: a simulated one (sim_os.c), or the
 * system calls of a booted kernel or of Linux (user/stress).
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_UNIT       4096u
#define FLOW_WORDS      (FLOW_UNIT / 8)
#define FLOW_HEADER     4u              /* words */
#define FLOW_TASKS_MAX  32u
#define FLOW_PAGES_MAX  256u            /* of one kind */
#define FLOW_CHILDREN   3u              /* at a time */
#define FLOW_CHECK      8u              /* epochs from digest to digest */
#define FLOW_EPOCH_MAX  0xfffffffu

/* Kinds of memory; each task has its own of those before SHARED. */
enum flow_kind {
    FLOW_PRIVATE,               /* anonymous; moves about */
    FLOW_INHERITED,             /* written before the tasks were forked */
    FLOW_FILE_PRIVATE,          /* a file, copy-on-write */
    FLOW_COPIES,                /* where virtual copies go; moves about */
    FLOW_SHARED,                /* anonymous, of all tasks */
    FLOW_FILE_SHARED,           /* a file that all tasks write */
    FLOW_KINDS
};
#define FLOW_OWN        4u              /* kinds before FLOW_SHARED */

/* What may be left out to find what a failure needs (--only). */
enum flow_op {
    FLOW_OP_WRITE, FLOW_OP_COPY, FLOW_OP_DROP, FLOW_OP_FETCH,
    FLOW_OP_VISIT, FLOW_OP_PROTECT, FLOW_OP_MOVE, FLOW_OP_FORK,
    FLOW_OP_EXEC, FLOW_OP_KERNEL, FLOW_OP_WIRE, FLOW_OP_SCRATCH,
    FLOW_OP_DISTURB,
    FLOW_OPS
};
extern const char *const flow_op_names[FLOW_OPS];

struct flow_config {
    uint64_t seed;
    unsigned tasks;             /* <= FLOW_TASKS_MAX */
    unsigned pages;             /* of each kind, a multiple of 16 */
    unsigned writes;            /* changes of contents in task and epoch */
    unsigned visits;            /* other operations in task and epoch */
    unsigned calm;              /* of those that do more than visit, one in
                                   so many is carried out */
    uint32_t only;              /* operations, a bit each */
};

/* What a page must hold. */
struct flow_state {
    uint32_t page;              /* whose words; FLOW_ZERO: none, zeros */
    uint32_t version;           /* the epoch it was written in, and in the
                                   top four bits by which child */
};
#define FLOW_ZERO       UINT32_MAX

struct flow_counts {
    uint64_t visits;            /* pages verified */
    uint64_t whole;             /* of them, by all their words */
    uint64_t done[FLOW_OPS];
};

struct flow_task;

/*
 * The machine.  A function that returns bool may say false, "not here, not
 * now": the page is not a multiple of the machine's, or memory is short.
 * Then the contents are as before, and the same end is reached by stores.
 * Addresses and sizes of load and store lie within a unit, in words.
 */
struct flow_os {
    uint64_t page_size;
    void (*load)(struct flow_task *t, uint64_t va, void *buf, size_t n);
    void (*store)(struct flow_task *t, uint64_t va, const void *buf,
        size_t n);
    /* The same as the kernel does it for a system call. */
    void (*kernel_load)(struct flow_task *t, uint64_t va, void *buf,
        size_t n);
    /* Would this access be refused?  It stores what is there. */
    bool (*refused)(struct flow_task *t, uint64_t va, bool write);
    bool (*protect)(struct flow_task *t, uint64_t va, uint64_t size,
        bool write);
    /* Will a child have it? */
    bool (*inherit)(struct flow_task *t, uint64_t va, uint64_t size,
        bool yes);
    bool (*wire)(struct flow_task *t, uint64_t va, uint64_t size, bool yes);
    bool (*move)(struct flow_task *t, uint64_t from, uint64_t to,
        uint64_t size);
    /* As it was when it was mapped first: zeros, or the file. */
    bool (*fresh)(struct flow_task *t, enum flow_kind kind, uint64_t va,
        uint64_t offset, uint64_t size);
    bool (*map)(struct flow_task *t, uint64_t va, uint64_t size);
    void (*unmap)(struct flow_task *t, uint64_t va, uint64_t size);
    /* Virtual copy within the task, and from another's same address. */
    bool (*copy)(struct flow_task *t, uint64_t from, uint64_t to,
        uint64_t size);
    bool (*fetch)(struct flow_task *t, unsigned other, uint64_t from,
        uint64_t to, uint64_t size);
    /* A child that calls flow_child_early(), then _late(); and its end. */
    bool (*fork)(struct flow_task *t, unsigned slot);
    void (*join)(struct flow_task *t, unsigned slot);
    /* A program of its own that looks at n pages of the shared file. */
    bool (*exec)(struct flow_task *t, unsigned slot, const unsigned *pages,
        unsigned n);
    /* Whatever else may hurt: write back, page out, discard. */
    void (*disturb)(struct flow_task *t, uint64_t random);
    /* Text of several lines.  Ends the run. */
    void (*fail)(struct flow_task *t, const char *text)
        __attribute__((noreturn));
};

struct flow_task {
    const struct flow_config *config;
    const struct flow_os *os;
    void *machine;              /* the machine's */
    unsigned number;
    unsigned child;             /* 0: the task itself; else which child */
    unsigned depth;             /* of the fork tree */
    uint32_t epoch;
    unsigned at;                /* steps of this epoch that are done */
    unsigned planned;           /* of them, of the plan */
    uint64_t random;            /* for what leaves contents alone */
    unsigned near;              /* page about which it visits */
    bool living[FLOW_CHILDREN];
    struct flow_counts counts;
    struct flow_state *now;     /* of all pages */
    struct flow_state *next;    /* after this epoch's plan */
    uint8_t *side;              /* of own pages: which of two places */
    uint8_t *hidden;            /* of own pages: children do not have it */
};

/* ---- the plan (flow_plan.c) ------------------------------------------- */

struct flow_step {
    enum flow_op op;            /* WRITE, COPY, DROP, FETCH */
    unsigned page, n;           /* first of n pages */
    unsigned from;              /* COPY, FETCH: first source page */
};

/* splitmix64's mixing of one word: a bijection. */
static inline uint64_t
flow_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t flow_random(uint64_t *state);
/* All pages, the files' original ones (from which they are made) behind. */
unsigned flow_pages(const struct flow_config *c);
unsigned flow_states(const struct flow_config *c);
enum flow_kind flow_kind_of(const struct flow_config *c, unsigned page);
unsigned flow_owner(const struct flow_config *c, unsigned page);
unsigned flow_page(const struct flow_config *c, unsigned task,
    enum flow_kind kind, unsigned index);
/* The page of the file that a page of a file shows at first. */
unsigned flow_original(const struct flow_config *c, unsigned page);
uint64_t flow_base(const struct flow_config *c, enum flow_kind kind);
uint64_t flow_span(const struct flow_config *c);        /* of one kind */
uint64_t flow_scratch(const struct flow_config *c);
#define FLOW_SIDE       ((uint64_t)512 << 20)   /* to the other place */

/* Step i < config->writes of task in epoch. */
struct flow_step flow_plan(const struct flow_config *c, unsigned task,
    uint32_t epoch, unsigned i);
/* What it copies from another task in phase 2; false: nothing. */
bool flow_plan_fetch(const struct flow_config *c, unsigned task,
    uint32_t epoch, struct flow_step *out);
unsigned flow_writer(const struct flow_config *c, unsigned page,
    uint32_t epoch);
void flow_apply(const struct flow_config *c, struct flow_state *s,
    const struct flow_step *step, uint32_t epoch);
/* What all pages hold before the first epoch. */
void flow_initial(const struct flow_config *c, struct flow_state *s);

/* ---- a page (flow_page.c) --------------------------------------------- */

/* "page 3 of task 2's private memory" */
void flow_name(const struct flow_config *c, unsigned page, char *buf,
    size_t size);
void flow_fill(const struct flow_config *c, struct flow_state s,
    uint64_t words[FLOW_WORDS]);
uint64_t flow_va(const struct flow_task *t, unsigned page);
void flow_write(struct flow_task *t, unsigned page, struct flow_state s);
/* Look at one page; one in 64 as a whole. */
void flow_visit(struct flow_task *t, unsigned page);
void flow_visit_whole(struct flow_task *t, unsigned page, uint64_t *hash);
/* What stands at va must be what page may hold now. */
void flow_visit_at(struct flow_task *t, unsigned page, uint64_t va);
void flow_visit_kernel(struct flow_task *t, unsigned page);

/* ---- a task (flow.c) -------------------------------------------------- */

/* Tables for a task; false: no memory.  clone: for its child. */
bool flow_init(struct flow_task *t, const struct flow_config *c,
    const struct flow_os *os, unsigned number);
bool flow_clone(struct flow_task *child, const struct flow_task *t,
    unsigned slot);
void flow_end(struct flow_task *t);
/* The memory that tasks inherit gets its first contents. */
void flow_prepare(struct flow_task *root);

/* Phase 1: until flow_step() is false.  Phase 2. */
void flow_begin(struct flow_task *t, uint32_t epoch);
bool flow_step(struct flow_task *t);
void flow_exchange(struct flow_task *t);
/* Is the epoch one that ends with a digest?  The task's share of it. */
bool flow_is_check(uint32_t epoch);
uint64_t flow_digest(struct flow_task *t);
/* The digest of all, from the last one and the tasks' in order. */
uint64_t flow_chain(uint64_t last, uint64_t share);

void flow_child_early(struct flow_task *t);
void flow_child_late(struct flow_task *t);
/* The program that a child executes: pages of the shared file. */
void flow_executed(struct flow_task *t, const unsigned *pages, unsigned n);

/* ---- what it is told and tells (flow_args.c) -------------------------- */

struct flow_args {
    struct flow_config config;
    uint64_t epochs;            /* 0: until the time is up */
    uint64_t seconds;           /* 0: until the epochs are done */
    uint64_t storm;             /* kinds of vm_storm.h, a bit each */
    uint64_t rate;              /* discards a second; 0: all that it can */
    uint64_t budget;            /* least number of tables */
    uint64_t delay;             /* steps that an invalidation is late */
};

struct flow_arg {
    const char *name;
    uint64_t *value;
};

/*
 * flow_parse - words "name=number", by the names of flow_args and then of
 * more (which ends with a NULL name).  False: a word is none, and it is
 * said on stderr.
 */
bool flow_parse(int argc, char **argv, struct flow_args *args,
    const struct flow_arg *more);
bool flow_is_valid(const struct flow_args *args);
/* Is it time for a line of progress, and for the end? */
bool flow_is_done(const struct flow_args *args, uint32_t epoch,
    double seconds);
bool flow_tells(uint32_t epoch, double seconds, double *told);
/* A line for tools/stress.py; more: further members of the object. */
void flow_tell(const char *what, uint32_t epoch, uint64_t digest,
    double seconds, const struct flow_counts *counts, const char *more);
void flow_add(struct flow_counts *sum, const struct flow_counts *n);

#endif
