/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_storm.h - discard anything, at any moment: blows against the page
 * tables of all maps, drawn from a seed.  The thread that strikes is the
 * caller's: the kernel's storm thread (kern/storm.c), the simulator's CPUs
 * (tests/stress).
 */
#ifndef VM_STORM_H
#define VM_STORM_H

#include "vm_map.h"

enum vm_storm_kind {
    VM_STORM_PAGE,              /* one page */
    VM_STORM_RANGE,             /* some pages, within or across entries */
    VM_STORM_TABLE,             /* one leaf table */
    VM_STORM_PMAP,              /* all of one pmap */
    VM_STORM_ALL,               /* all pmaps */
    VM_STORM_BUDGET,            /* the machine's budget moves up and down */
    VM_STORM_IDLE,              /* tables and root of a map that sleeps */
    VM_STORM_FORMAT,            /* another format of tables */
    VM_STORM_ASID,              /* all ASIDs anew */
    VM_STORM_SPLIT,             /* large leaves allowed, forbidden */
    VM_STORM_AUDIT,             /* page tables against map and objects */
    VM_STORM_KINDS
};

/* "page", "range" ... */
extern const char *const vm_storm_names[VM_STORM_KINDS];

struct vm_storm {
    uint64_t random;
    uint32_t kinds;             /* a bit each */
    uint64_t budget;            /* lowest that a budget blow sets; 0: the
                                   floor and a few tables more */
    uint64_t done[VM_STORM_KINDS];
    uint64_t refused[VM_STORM_KINDS];   /* held, busy, cannot reach ... */
    uint64_t budget_before;     /* of the machine */
};

/*
 * vm_storm_step - one blow.
 *
 * => Context: a thread, no lock held; may sleep for a map's lock
 * => Returns: what it was
 * vm_storm_begin: kinds is not 0, of known kinds.  Set s->budget after it.
 * vm_storm_end: the machine's budget is what it was; where a kind may have
 * changed it, every map has tables like those of a new map, and no limit.
 */
void vm_storm_begin(struct vm_storm *s, uint32_t kinds, uint64_t seed);
enum vm_storm_kind vm_storm_step(struct vm_storm *s);
void vm_storm_end(struct vm_storm *s);

#endif
