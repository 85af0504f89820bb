/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object.h - memory objects: what memory contains.
 *
 *   map entry --> front --shadow--> backing --shadow--> file or nothing
 *                                    ^
 *                 snapshot (->shadow)|  source->copy = newest snapshot
 *
 * A page of memory is looked for along the shadow chain from the entry's
 * object; the first object that has it, in memory or in its pager, wins.
 * At the end of the chain stands a pager or zero.
 *
 *   anonymous   internal, no shadow: pages are zero until written
 *   shadow      internal, with a shadow: holds what changed since a copy
 *   pager       external data; always ends a chain, is never collapsed
 *   snapshot    internal, shadows a shared source; the source pushes old
 *               pages into it before they change.  Never written itself:
 *               entries that map one have needs-copy set.
 *
 * Lock order: front before backing.  A source must push into its snapshot,
 * which is its front: that lock is tried, never waited for.
 *
 * Units are MI pages.  Objects are type-stable (vm_zone.h): a dead one can
 * still be locked, and shows ref_count 0.
 */
#ifndef VM_OBJECT_H
#define VM_OBJECT_H

#include "vm_page.h"
#include "vm_radix.h"

struct vm_pager;
struct vm_map;

/* flags (o) */
#define VM_OBJ_INTERNAL  1u     /* the kernel made it; swap backs it */
#define VM_OBJ_SHARED    2u     /* several maps see each other's writes */
#define VM_OBJ_SNAPSHOT  4u     /* no program writes it: needs-copy */
#define VM_OBJ_PUSHED    8u     /* is shadow->copy: bypass would miss */
#define VM_OBJ_DEAD      16u    /* being terminated */
#define VM_OBJ_CACHE     32u    /* its pager holds a reference */
#define VM_OBJ_ORPHAN    64u    /* its pager died: what is not here is lost */
#define VM_OBJ_USED      128u   /* has, or had, a page */
#define VM_OBJ_MISSING   256u   /* what is not here may be a server's */
#define VM_OBJ_RUNS      512u   /* has, or had, a run: vm_large.c */

struct vm_object {
    void *zone_link;            /* the zone's, while free */
    struct vm_mutex lock;
    uint32_t flags;             /* (o) */
    uint32_t ref_count;         /* (o) entries, fronts, holders */
    uint32_t owner_refs;        /* (o) of these: entries of owner */
    uint32_t front_count;       /* (o) of these: objects that shadow it */
    uint32_t paging;            /* (o) calls to the pager under way */
    const struct vm_map *owner; /* (o) identity only, never followed */
    vm_pgno_t npages;           /* (o) size */
    struct vm_radix pages;      /* (o) */
    struct vm_object *shadow;   /* (o) backing object, holds a reference */
    vm_pgno_t shadow_pgno;      /* (o) my page 0 in it */
    struct vm_object *copy;     /* (o) newest snapshot of me, no reference */
    struct vm_object *fronts;   /* (o) objects that shadow me ... */
    struct vm_object *front_next, *front_prev;  /* (shadow's o) */
    struct vm_pager *pager;     /* (o) */
    struct vm_flush *flushes;   /* (o) flushes that wait for old data */
};

/* Once, after the zones; makes the zone of objects. */
void vm_object_bootstrap(void);

static inline void
vm_object_lock(struct vm_object *o)
{
    vm_mutex_lock(&o->lock);
}

static inline void
vm_object_unlock(struct vm_object *o)
{
    vm_mutex_unlock(&o->lock);
}

/*
 * References.  "Is this memory mine alone" is asked per map, because the
 * clipped entries of one map hold one reference each and together still
 * own the object alone.  So references are counted a second time, for one
 * owner: those of entries of that map whose windows do not overlap, made
 * by create, shadow and clip.  A reference taken for a copy (fork, virtual
 * copy, a holder that is no map) names no owner.  The second count may
 * fall short, never exceed: then memory is copied or kept that need not
 * be, and nothing is lost.
 *
 * ref, unref: => Locks: object not locked by the caller (unref may take
 * the locks of the whole chain); unref may free it, and pages with it.
 */
int vm_object_create(vm_pgno_t npages, const struct vm_map *owner,
    struct vm_object **out) VM_MUST_CHECK;
void vm_object_ref(struct vm_object *o, const struct vm_map *owner);
void vm_object_unref(struct vm_object *o, const struct vm_map *owner);

/* Locked: does owner hold every reference? */
bool vm_object_is_sole(struct vm_object *o, const struct vm_map *owner);

/*
 * vm_object_shadow - put a new, empty front before [pgno, pgno + npages).
 *
 * The caller's reference (of owner) to o becomes the front's; *out has one
 * reference of owner, page 0 of *out is page pgno of o.
 * => Success: o is locked.  Before the caller unlocks it, whatever leads
 *    programs to o by that reference must lead to *out (an entry, with its
 *    map's sequence moved): from then on a collapse may take o away.
 * => Fails: VM_E_NOMEM, nothing changed, o not locked
 */
int vm_object_shadow(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner, struct vm_object **out) VM_MUST_CHECK;

/*
 * vm_object_snapshot - an object that keeps what o holds now, for ever.
 *
 * For sources that others can write: files, shared memory.  *out (one
 * reference, of no owner) has the page numbers of o; the entry that maps
 * it needs copy.  Write grants to o's pages are revoked everywhere on
 * return, so that the next write pushes the old page first.  A snapshot
 * that has not been pushed to yet serves again.
 * => Fails: VM_E_NOMEM, nothing changed
 */
int vm_object_snapshot(struct vm_object *o, struct vm_object **out)
    VM_MUST_CHECK;

/*
 * vm_object_copy_now - a new object with copies of [pgno, +npages) as it
 * reads now (fork of wired memory).  Pages that nobody has yet are left
 * out; pages that only a pager has are an error VM_E_BUSY (wired memory is
 * resident).  *out has one reference of owner.
 */
int vm_object_copy_now(struct vm_object *o, vm_pgno_t pgno,
    vm_pgno_t npages, const struct vm_map *owner, struct vm_object **out)
    VM_MUST_CHECK;

/* Where pages were mapped that are to go: removed by now; pmap NULL: ? */
struct vm_gone {
    const struct pmap *pmap;
    vaddr_t start, end;
};

/*
 * vm_object_leave - owner unmaps [pgno, +npages) and drops its reference:
 * if nobody else can see these pages, they are freed now, down the chain
 * as far as that holds.
 * => Needs: no translation to them through this entry is left, all of
 *           which were in m
 */
void vm_object_leave(struct vm_object *o, vm_pgno_t pgno,
    vm_pgno_t npages, const struct vm_map *owner, const struct vm_gone *m);

/*
 * vm_object_grow - owner's window ended at pgno and is to go on for npages
 * (brk, coalescing): true if o is owner's alone and now reaches so far,
 * with nothing in the new pages.
 */
bool vm_object_grow(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner);

/*
 * vm_object_resize - a file changed size; pages beyond go, and their
 * translations.  A snapshot is given those that are resident before; what
 * only the pager had is lost to it.  VM_E_NOMEM: it could not be, and
 * nothing has changed.  May sleep for a write that is under way.
 */
int vm_object_resize(struct vm_object *o, vm_pgno_t npages);

/* Several maps will see each other's writes from now on. */
void vm_object_set_shared(struct vm_object *o);
/* What o does not hold, a server brings where one is asked. */
void vm_object_set_missing(struct vm_object *o);

/*
 * vm_object_collapse - shorten the chain below front.
 * => Locks: front locked by the caller and stays so
 * Merges backing objects that only front references, steps over those of
 * which front needs nothing.  Never allocates, never waits for a pager.
 */
void vm_object_collapse(struct vm_object *front);

/*
 * vm_object_unwire - each page that reads at [pgno, +npages) of the chain
 * loses one wiring.
 */
void vm_object_unwire(struct vm_object *o, vm_pgno_t pgno,
    vm_pgno_t npages);

/* How many pages of [pgno, +n) are resident somewhere in the chain. */
vm_pgno_t vm_object_resident(struct vm_object *o, vm_pgno_t pgno,
    vm_pgno_t npages);

/* Length of the chain below (and with) o. */
unsigned vm_object_depth(struct vm_object *o);

/* Objects that live; exact while nobody else is inside. */
uint64_t vm_object_count(void);
/* Verify one object and its links; panics with what is wrong. */
void vm_object_check(struct vm_object *o);

#endif
