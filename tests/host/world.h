/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - one machine for a test: memory, CPUs, programs that load and
 * store, files, swap, and the proof at the end that nothing was lost.
 *
 * world_boot() ... world_end() may be called again and again in one
 * process.  Between them a test runs on one thread, which is any CPU that
 * it wants to be (world_on), or on several with world_run().
 */
#ifndef WORLD_H
#define WORLD_H

#include "host.h"
#include "pmap_ctl.h"
#include "sim.h"
#include "vm_fault.h"
#include "vm_pager.h"

struct world_config {
    unsigned format;        /* of page tables */
    unsigned page_shift;    /* 0: the smallest that serves the format */
    unsigned cpus;          /* 0: 4 */
    uint64_t ram;           /* MI pages; 0: 4096 */
    uint64_t swap;          /* slots; 0: no default pager */
    unsigned asid_bits;     /* 0: as the simulated MMU likes */
    unsigned ahead;         /* pages made by a fault to write; 0: one */
    uint64_t seed;
};

/* The CPUs are [0, cpus), and one more for the pager's thread. */
struct world {
    struct world_config config;
    uint64_t kinds[VM_PAGE_KINDS];      /* frames after boot */
    uint64_t objects;
    uint64_t mismatches;                /* that the test made itself */
    bool up;
};
extern struct world world;

void world_boot(const struct world_config *c);
/*
 * Everything has been destroyed by the test: are as many frames of each
 * kind, and objects, there as after boot?  Fails the test if not.
 */
void world_end(void);
/* Count what is there now as there after boot. */
void world_rebase(void);
/* Everything must be consistent now; nobody else is inside the core. */
void world_check(void);
/* A seeded choice in [0, n). */
uint64_t world_random(uint64_t n);

/*
 * world_fail - the test has found something: panics, which tells the seed.
 */
_Noreturn void world_fail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* Called by any panic before it ends the process; NULL: nothing. */
extern void (*world_explain)(void);
#define WORLD_CHECK(x)                                                  \
    ((x) ? (void)0 : world_fail("%s:%d: not true: %s", __FILE__,        \
                                __LINE__, #x))
#define WORLD_OK(x)     world_ok((x), __FILE__, __LINE__, #x)
void world_ok(int error, const char *file, int line, const char *what);
const char *world_error_name(int error);

/*
 * Formats of this machine and MI page shifts for them: calls fn for each
 * pair, that is for shifts 12, 14, 16 from the smallest of the format on.
 */
unsigned world_formats(void);
void world_each(void (*fn)(unsigned format, unsigned shift, void *arg),
    void *arg);

/* CPUs */
void world_on(unsigned cpu);            /* one-threaded tests only */
/*
 * fn(cpu, arg) on CPUs [0, n) at once, and the pager's thread beside them.
 * Returns when all have returned; every CPU has left its space.
 */
void world_run(unsigned n, void (*fn)(unsigned cpu, void *arg), void *arg);
/* The running CPU gives up its user space; fault bookkeeping ends. */
void world_leave(void);

/* Maps that world_check() looks at. */
struct vm_map *world_map_create(void);
struct vm_map *world_map_fork(struct vm_map *parent);   /* must succeed */
int world_map_try_fork(struct vm_map *parent, struct vm_map **child)
    VM_MUST_CHECK;
void world_map_destroy(struct vm_map *map);             /* one reference */

/*
 * What a program does on the running CPU in this map, faults and all.
 * Returns what the fault that could not be resolved returned.
 */
int world_load(struct vm_map *map, vaddr_t va, void *buf, size_t size)
    VM_MUST_CHECK;
int world_store(struct vm_map *map, vaddr_t va, const void *buf,
    size_t size) VM_MUST_CHECK;
int world_exec(struct vm_map *map, vaddr_t va) VM_MUST_CHECK;
/* One aligned word; fails the test on an error. */
uint64_t world_load64(struct vm_map *map, vaddr_t va);
void world_store64(struct vm_map *map, vaddr_t va, uint64_t value);
/* Faults taken since boot by world_load and its like. */
uint64_t world_faults(void);

/* n bytes that depend on all three. */
void world_fill(void *buf, size_t n, uint64_t who, uint64_t page,
    uint64_t version);

/*
 * Files.  A file answers from the thread of world_run(), or, in
 * one-threaded tests, within the call; how well, its habits say (percent).
 */
struct world_habits {
    unsigned more;          /* provides neighbours too */
    unsigned hole;          /* says unavailable where all is zero */
    unsigned error;         /* an error instead */
    unsigned late;          /* answers much later */
    unsigned bad_write;     /* reports a write as failed */
};

struct world_file {
    struct vm_pager pager;
    struct vm_object *object;       /* one reference, the file's */
    unsigned id;
    vm_pgno_t npages;
    uint8_t *bytes;                 /* what the pager holds */
    struct world_habits habits;
    vm_prot_t forbid;               /* lock on what it provides */
    _Atomic uint32_t requests, writes, unlocks, completed;
    _Atomic bool gone, silent;      /* silent: answers nothing for now */
    struct world_file *next;
};

struct world_file *world_file_create(unsigned id, vm_pgno_t npages,
    const struct world_habits *habits);
/* Drops the reference; its memory goes at world_end(). */
void world_file_close(struct world_file *f);
/* What the pager holds for a page now. */
void world_file_read(struct world_file *f, vm_pgno_t pgno, void *buf);
/* The file changes behind the mappings' back: flush, then new contents. */
void world_file_update(struct world_file *f, vm_pgno_t pgno,
    uint64_t version);
/* The default pager. */
void world_swap_behave(const struct world_habits *habits);
uint64_t world_swap_writes(void);
/* Answer what is due now (one-threaded tests with late habits). */
void world_serve(void);

#endif
