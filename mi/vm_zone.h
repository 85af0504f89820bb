/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_zone.h - memory for the core's own structures, one zone a type.
 *
 * A zone carves page frames (kind KERNEL) into items of one size.  Zones
 * are type-stable: a freed item stays an item of its type, all but its
 * first 8 bytes keep their contents, and its frame is not used for
 * anything else until vm_zone_drain().  Lock-free readers (map lookup, the
 * clock, the reverse map) depend on that: they may look at a dead item,
 * lock it, and see that it is not what they sought.
 */
#ifndef VM_ZONE_H
#define VM_ZONE_H

#include "vm_lock.h"

struct vm_zone {
    struct vm_spin lock;
    const char *name;           /* (c) */
    uint32_t size;              /* (c) bytes, multiple of 8 */
    uint32_t per_slab;          /* (c) */
    struct vm_page *partial;    /* (z) slabs with a free item */
    struct vm_page *full;       /* (z) */
    uint64_t live;              /* (z) items handed out */
    uint64_t slabs;             /* (z) */
    struct vm_zone *next;       /* list of all zones */
};

/*
 * Empty the list of all zones; then each zone is made (again).  Both by
 * one thread, after vm_page_bootstrap() and before others run.
 * size: 8 bytes to one page less VM_ZONE_HEADER; items are aligned to 8.
 */
#define VM_ZONE_HEADER  16u
void vm_zone_bootstrap(void);
void vm_zone_init(struct vm_zone *z, const char *name, size_t size);

/*
 * vm_zone_alloc - an item, or NULL when no frame is left.  Its bytes are
 * zero the first time it is handed out, later what its last user left (but
 * for the first 8, which are zero).  Never sleeps.  A new slab takes a frame
 * as VM_ALLOC_KERNEL does.
 * => Locks: any of lower rank than ZONE
 */
void *vm_zone_alloc(struct vm_zone *z);
void vm_zone_free(struct vm_zone *z, void *item);

/*
 * vm_zone_drain - give wholly free slabs of every zone back.  Only while
 * no other thread is inside the core (type stability ends here).
 */
void vm_zone_drain(void);
/* The list of all zones, youngest first; follow next. */
struct vm_zone *vm_zone_list(void);
/* Items handed out and not freed. */
uint64_t vm_zone_live(struct vm_zone *z);
/* Verify one zone, every zone; panics with what is wrong. */
void vm_zone_check(struct vm_zone *z);
void vm_zone_check_all(void);

#endif
