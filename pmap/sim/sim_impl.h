/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_impl.h - what the parts of the simulated MMU share.
 *
 *   sim_mmu.c     configuration, CPUs, pmap_md_*()
 *   sim_tlb.c     TLBs and caches of partial walks
 *   sim_walk.c    the table walker; accessed and dirty marks
 *   sim_access.c  accesses, speculation
 *   sim_check.c   rules
 *
 * Locks: each CPU's lock (a POSIX mutex; nothing in a run of fibers, which
 *        never switch in here).  Two are taken in order of CPU number.
 */
#ifndef SIM_IMPL_H
#define SIM_IMPL_H

#include <pthread.h>

#include "host.h"
#include "pt.h"
#include "sim.h"

#include <pmap_md.h>
#include <pte.h>

/* A toy machine may have none, and then "roots" are names only. */
#ifndef SIM_HAS_TABLES
#define SIM_HAS_TABLES  1
#endif

#define SIM_TLB         64u
#define SIM_PARTIAL     16u
#define SIM_RECENT      8u

/* Where a walk begins. */
struct sim_space {
    const struct pt_format *f;
    paddr_t root;               /* 0: nothing is mapped */
    uint32_t asid;
    struct pmap *pm;            /* NULL: made by hand */
};

struct sim_entry {
    bool valid;
    bool negative;              /* nothing is there */
    bool global;
    bool user;
    bool dirty;
    bool revoked;               /* may not be used any more */
    bool dead;                  /* its frame has been free meanwhile */
    uint8_t prot, memory;
    uint32_t asid;
    vaddr_t va;                 /* [va, va + size) */
    vsize_t size;
    vaddr_t leaf_va;            /* of the leaf that it was made of, which */
    vsize_t leaf_size;          /* may be larger; size 0: the same */
    paddr_t pa;
    paddr_t pte_at;             /* where the table entry was, */
    pte_t pte;                  /* and what */
    const struct pt_format *f;
    paddr_t root;
    struct pmap *pm;
    uint64_t serial;
};

/* A partial walk: the table that translates [va, va + size). */
struct sim_partial {
    bool valid;
    bool dead;                  /* the frame has been no table meanwhile */
    int8_t level;               /* of the table's entries */
    uint32_t asid;
    vaddr_t va;
    vsize_t size;
    paddr_t table;
    paddr_t root;
};

struct sim_cpu {
    pthread_mutex_t lock;
    unsigned index;
    _Atomic bool runs;          /* has done anything */
    struct sim_space space;
    struct sim_entry tlb[SIM_TLB];
    struct sim_partial partial[SIM_PARTIAL];
    uint64_t random;
    vaddr_t recent[SIM_RECENT];
    unsigned next_recent;
    unsigned countdown;         /* test points to the next speculation */
    struct sim_stats stats;
};

extern struct sim_cpu sim_cpus[VM_MAX_CPUS];
extern struct sim_config sim_config;
extern struct sim_space sim_kernel;     /* where the kernel's half is */

void sim_lock(struct sim_cpu *c);
void sim_unlock(struct sim_cpu *c);
void sim_lock_both(struct sim_cpu *a, struct sim_cpu *b);

/* In [0, n). */
static inline uint64_t
sim_pick(struct sim_cpu *c, uint64_t n)
{
    return host_mix(&c->random) % n;
}

/* One time in n; n 0: never. */
static inline bool
sim_chance(struct sim_cpu *c, unsigned n)
{
    return n != 0 && sim_pick(c, n) == 0;
}

static inline bool
sim_is_kernel_va(vaddr_t va)
{
    return (va >> 63) != 0;
}

/* The space that translates va on c: false if va has no translation. */
bool sim_space_of(const struct sim_cpu *c, vaddr_t va,
    struct sim_space *out);

/* ---- sim_tlb.c -------------------------------------------------------- */

/* Does e answer for va on c now? */
bool sim_entry_matches(const struct sim_cpu *c, const struct sim_entry *e,
    vaddr_t va);
/* Can e be used on c before another activation? */
bool sim_entry_is_current(const struct sim_cpu *c,
    const struct sim_entry *e);
/* One of those that match, NULL if none does. */
struct sim_entry *sim_tlb_choose(struct sim_cpu *c, vaddr_t va);
/* An entry as good as e that is there, or a copy of e. */
struct sim_entry *sim_tlb_fill(struct sim_cpu *c, const struct sim_entry *e);
/* A software-filled TLB: write entry i. */
void sim_tlb_write(struct sim_cpu *c, unsigned i, const struct sim_entry *e);
struct sim_partial *sim_partial_choose(struct sim_cpu *c,
    const struct sim_space *s, vaddr_t va);
void sim_partial_fill(struct sim_cpu *c, const struct sim_partial *p);
void sim_tlb_flush(struct sim_cpu *c, const struct pt_flush *f);
/* All that belongs to one ASID, or to every one. */
void sim_tlb_flush_asid(struct sim_cpu *c, uint32_t asid, bool any);
void sim_tlb_flush_page(struct sim_cpu *c, vaddr_t va, uint32_t asid);

/* ---- sim_walk.c ------------------------------------------------------- */

enum sim_walk {
    SIM_WALK_LEAF,              /* *e is what a TLB would hold */
    SIM_WALK_NONE,              /* likewise, and negative */
    SIM_WALK_FAULT              /* nothing that may be cached */
};
/*
 * sim_walk - translate va as hardware would.  write: set the dirty mark.
 * A toy machine that has no tables supplies its own (these are weak).
 */
enum sim_walk sim_walk(struct sim_cpu *c, const struct sim_space *s,
    vaddr_t va, bool write, struct sim_entry *e);
/* Does the table grant all that e does, now?  Looks and touches nothing. */
bool sim_walk_grants(const struct sim_entry *e);

/* ---- sim_check.c ------------------------------------------------------ */

void sim_violation(enum sim_rule rule, struct sim_cpu *c, vaddr_t va,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* After e was filled on c (unlocked): against every TLB. */
void sim_check_overlap(struct sim_cpu *c, const struct sim_entry *e);
/* Before e is used, c locked. */
void sim_check_use(struct sim_cpu *c, const struct sim_entry *e,
    vaddr_t va, bool user);
/* Before a table is read. */
void sim_check_table(struct sim_cpu *c, vaddr_t va, paddr_t table,
    const char *whence);
/* At each allocation: who holds something of a frame that is free? */
void sim_check_alloc(void);

#endif
