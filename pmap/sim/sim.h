/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim.h - the simulated MMU: what tests see of it.
 *
 * It walks the real tables of one architecture, through that
 * architecture's <pte.h>, and implements pt_md.h.  Each CPU has a TLB and
 * a cache of partial walks.  It does what the manuals allow and no more,
 * but the worst of that:
 *
 *   - an entry stays until pmap_md_flush(), _activate(.., true) or _fence()
 *     names it; a flush without .tables leaves partial walks; entries of
 *     other ASIDs stay while their space does not run
 *   - if several entries match an address, any of them answers
 *   - walks happen at any time, for any address near one in use, on any
 *     CPU, and may begin at a cached partial walk
 *   - the accessed bit is set by any walk; if the hardware does not set it,
 *     the access faults
 *   - "not there" is cached where PMAP_MD_CACHES_INVALID
 *   - a flush of several CPUs reaches them one after the other
 *
 * All choices come from host_seed().  An access is one step against a
 * flush: when the flush has returned, no access that began with what it
 * dropped is under way.
 *
 * What is wrong is a violation of a rule below: it panics, or is counted.
 */
#ifndef SIM_H
#define SIM_H

#include "vm_types.h"

enum sim_rule {
    SIM_REVOKED,        /* use of a translation whose revocation is complete */
    SIM_OVERLAP,        /* two translations of one address at a time: no break
                         * before make */
    SIM_SIZES,          /* likewise, of different sizes */
    SIM_TABLE,          /* a walker meets a frame that is no table any more */
    SIM_BAD_PTE,        /* ... an entry that the manual reserves */
    SIM_FRAME,          /* access to a frame that is free, a table, no RAM */
    SIM_USER,           /* user half and user bit disagree */
    SIM_STALE,          /* in a TLB, not in the tables, and all is quiet */
    SIM_CALL,           /* pmap_md_ function called wrongly */
    SIM_RULES
};

struct sim_config {
    unsigned asid_bits;         /* at most PMAP_MD_ASID_BITS; 0, or enough
                                 * for two spaces a CPU */
    unsigned speculate;         /* mean test points between two walks that
                                 * nobody asked for; 0 never */
    unsigned evict;             /* one access in so many misses although an
                                 * entry matches; 0 never */
    unsigned forget_walk;       /* one walk in so many begins at the root
                                 * although part of it is cached; 0 never */
    unsigned negative;          /* percent of failed walks that are cached,
                                 * where they may be */
    unsigned latency;           /* fibers: steps, at most, until a flush
                                 * reaches the next CPU */
    bool software_accessed;     /* the hardware does not set the mark */
    bool lax;                   /* a revoked entry that is still in the TLB
                                 * is a violation only when it is used */
    uint64_t formats;           /* a bit each; 0: all */
};

/* What a machine does if nobody says otherwise. */
extern const struct sim_config sim_default;

/*
 * sim_reset - all TLBs empty, no space loaded; NULL: the last config.
 * host_memory() does that too.  Keeps the count of violations.
 */
void sim_reset(const struct sim_config *config);
/* The same config from the next access on; TLBs stay. */
void sim_configure(const struct sim_config *config);

enum sim_result {
    SIM_OK,
    SIM_NOT_PRESENT,
    SIM_PROT
};

/*
 * sim_access - one access of a program on cpu.
 *
 * => access:  READ, WRITE or EXEC, one of them
 * => buf:     copied to or from; NULL: nothing is
 * => len:     within one hardware page
 * => Context: no lock needed; never sleeps
 */
enum sim_result sim_access(unsigned cpu, vaddr_t va, vm_prot_t access,
    void *buf, size_t len, bool user);

/*
 * sim_user_copy - len bytes, any alignment; each fault is told to fault(),
 * whose error ends it; 0 tries again.
 */
typedef int (*sim_fault_fn)(void *ctx, vaddr_t va, vm_prot_t access);
int sim_user_copy(unsigned cpu, vaddr_t va, void *buf, size_t len,
    vm_prot_t access, sim_fault_fn fault, void *ctx);

/* One walk that nobody asked for, on this CPU or another, now. */
void sim_speculate(void);
/* The same for that address on that CPU, whatever the config says. */
void sim_prefetch(unsigned cpu, vaddr_t va);

/* Rules: counting instead of panicking; how often since then; names. */
void sim_expect_violations(bool expect);
unsigned sim_violations(enum sim_rule rule);
const char *sim_rule_name(enum sim_rule rule);

/*
 * sim_check_quiet - no TLB grants more than the tables do.  While nobody is
 * inside a pmap operation.
 */
void sim_check_quiet(void);

struct sim_stats {
    uint64_t accesses, hits, stale_hits, negative_hits;
    uint64_t walks, partial_walks, fills, speculations;
    uint64_t flushes, flushed_cpus, fences, activations, icache_syncs;
    uint64_t accessed_set, dirty_set;
    uint64_t faults_not_present, faults_prot;
};
void sim_stats(struct sim_stats *out);
/* pmap_md_publish() so far, by all CPUs. */
uint64_t sim_published(void);

/* What cpu's TLB holds for va in its current space: how many entries. */
unsigned sim_tlb_count(unsigned cpu, vaddr_t va);
/* All valid entries of that TLB, "not there" included. */
unsigned sim_tlb_used(unsigned cpu);

#endif
