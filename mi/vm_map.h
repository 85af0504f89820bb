/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map.h - address maps: what an address means.
 *
 * A map is an ordered set of entries that do not overlap, in a balanced
 * tree augmented with the largest hole of each subtree, so that lookup and
 * the search for free space are O(log n).
 *
 * LOCKING.  Writers hold map->lock (a mutex) and bracket every edit with
 * vm_seq_begin/end.  The fault's lookup takes no lock: it reads the
 * sequence, walks, copies the entry's words out, and validates.  So every
 * word that lookup reads is atomic and read relaxed, entries are type-
 * stable, and a walk is bounded in steps because it may meet a tree that
 * is being rotated.  Whoever revokes rights does so between begin and end,
 * with the pmap call inside: see pmap.h.
 *
 * ERRORS, the same for all operations on a range, in this order:
 *   VM_E_INVAL    size 0, start or size not page-aligned, wrap, unknown
 *                 bits (read and write take any alignment)
 *   VM_E_ADDRESS  not inside the map's bounds, or a hole where memory must
 *                 be (deallocate alone does not mind holes)
 *   VM_E_PROT     the maximum (or, where data is touched, the current)
 *                 protection forbids it
 *   VM_E_NOSPACE  no hole that fits; fixed and something is there
 *   VM_E_NOMEM    no memory
 * After an error the map reads as before.
 */
#ifndef VM_MAP_H
#define VM_MAP_H

#include "vm_object.h"

struct pmap;

/* attr word of an entry, read by lookup in one load */
#define VM_ATTR_PROT(a)         ((a) & 7u)
#define VM_ATTR_MAX(a)          ((a) >> 3 & 7u)
#define VM_ATTR_INHERIT(a)      ((enum vm_inherit)((a) >> 6 & 3u))
#define VM_ATTR_NEEDS_COPY      0x100u  /* shadow before the first write */
#define VM_ATTR_WIRED           0x200u  /* frames held (wired_count > 0) */
#define VM_ATTR_TRANSITION      0x400u  /* being wired: others wait */
#define VM_ATTR_LARGE           0x800u  /* advised: fill by the run */
#define VM_ATTR_COPIED          0x1000u /* by a virtual copy: see reset */
/* Who is asked for pages that are missing: vm_map_serve(); 0: nobody. */
#define VM_ATTR_SERVER_SHIFT    16
#define VM_ATTR_SERVER(a)       ((a) >> VM_ATTR_SERVER_SHIFT)
#define VM_ATTR_NO_SERVER       0xffffu
#define VM_SERVER_MAX           0xffffu
#define VM_ATTR(prot, max, inh) \
    ((prot) | (max) << 3 | (uint32_t)(inh) << 6)

struct vm_map_entry {
    void *zone_link;
    struct vm_map_entry *_Atomic left, *_Atomic right;
    struct vm_map *_Atomic map;         /* whose tree I am in, or NULL */
    struct vm_map_entry *parent;        /* (m) */
    _Atomic vaddr_t start, end;
    vaddr_t gap;                /* (m) largest hole in my subtree; mine is
                                   the one before me */
    struct vm_object *_Atomic object;   /* NULL: never touched, zero */
    _Atomic vm_pgno_t pgno;     /* page of object at start */
    _Atomic uint32_t attr;
    uint16_t wired_count;       /* (m) */
    uint8_t height;             /* (m) of the balanced tree */
    struct vm_map_entry *prev, *next;   /* (m) in order of address */
};

struct vm_map {
    void *zone_link;
    struct vm_mutex lock;
    struct vm_seq seq;
    struct vm_map_entry *_Atomic root;  /* (m) written */
    struct vm_map_entry *_Atomic hint;  /* last lookup; a hint */
    struct vm_map_entry *first, *last;  /* (m) */
    _Atomic vaddr_t start, end; /* (m) written: bounds, those of pmap */
    struct vm_map_full {        /* (m) no hole of size begins in it */
        vaddr_t from, to;
        vsize_t size;
    } full;
    uint64_t entries;           /* (m) */
    vsize_t size;               /* (m) bytes mapped */
    struct pmap *pmap;          /* (c) */
    uint64_t serial;            /* (c) never 0, no other map ever has it */
    _Atomic uint32_t ref_count;
    bool waiting;               /* (m) somebody waits for TRANSITION */
    _Atomic vaddr_t around;     /* where the last fault-around ended */
    _Atomic unsigned around_pages;  /* and how many pages it was */
    _Atomic vaddr_t made;       /* behind the last page made for a write,
                                   plus the length of the run: vm_ahead.c */
    struct vm_hints *_Atomic hints;     /* (m) written: vm_map_doze() */
    _Atomic uint32_t rest;      /* the embedder's own; 0 at first */
    struct vm_map *all_next, *all_prev;     /* (l) vm_map_list_lock */
};

void vm_map_bootstrap(void);

/*
 * vm_map_create - an empty map with its own pmap; bounds from the pmap.
 * One reference.
 * vm_map_unref - the last one deallocates everything.
 */
int vm_map_create(struct vm_map **out) VM_MUST_CHECK;
void vm_map_ref(struct vm_map *map);
void vm_map_unref(struct vm_map *map);

/*
 * vm_map_lookup - what is at va?  Takes no lock.
 *
 * => Fails: VM_E_ADDRESS
 * => out:   one state of the map, the one that out->seq names
 */
struct vm_lookup {
    vm_seq_t seq;
    struct vm_object *object;   /* may be NULL; no reference is taken */
    vm_pgno_t pgno;             /* page of object at va */
    vaddr_t start, end;         /* of the entry */
    uint32_t attr;
};
int vm_map_lookup(struct vm_map *map, vaddr_t va, struct vm_lookup *out)
    VM_MUST_CHECK;
/* The same with the map locked by the caller. */
int vm_map_lookup_locked(struct vm_map *map, vaddr_t va,
    struct vm_lookup *out) VM_MUST_CHECK;

/*
 * vm_map_prepare - the slow half of a fault's lookup: give the entry at va
 * an object if it has none, and, for a write, a shadow if it needs copy
 * (or just clear needs-copy when the map is sole owner).  Waits while
 * the entry is in transition.
 * => Locks: none held
 * => Fails: VM_E_ADDRESS, VM_E_NOMEM, VM_E_INTR
 * => out:   on success, as of vm_map_lookup(); what was asked for may still
 *           not be there (rights to write, say): look again
 * vm_map_prepare_locked: map locked, does not wait.
 */
int vm_map_prepare(struct vm_map *map, vaddr_t va, bool write,
    struct vm_lookup *out) VM_MUST_CHECK;
int vm_map_prepare_locked(struct vm_map *map, vaddr_t va, bool write,
    struct vm_lookup *out) VM_MUST_CHECK;

/*
 * vm_map_allocate - zero-filled memory, READ | WRITE, max ALL, COPY.
 * anywhere: *addr is a hint on entry (rounded down to a page; the lowest
 * hole at or above it that fits, else the lowest of all), the address on
 * success.
 */
int vm_map_allocate(struct vm_map *map, vaddr_t *addr, vsize_t size,
    bool anywhere) VM_MUST_CHECK;

/* How an entry uses the object that it is given. */
enum vm_map_mode {
    VM_MAP_SHARED,      /* writes go to the object */
    VM_MAP_PRIVATE,     /* writes go to a shadow; unwritten pages show the
                           object as it is (mmap MAP_PRIVATE) */
    VM_MAP_COPY         /* a snapshot of now (Mach vm_map with copy) */
};

struct vm_map_args {
    vaddr_t addr;               /* hint or fixed */
    vsize_t size;
    vsize_t align;              /* power of two, 0: page */
    bool anywhere;
    bool overwrite;             /* fixed: replace what is there */
    struct vm_object *object;   /* NULL: anonymous */
    vm_pgno_t pgno;
    enum vm_map_mode mode;
    vm_prot_t prot, max;
    enum vm_inherit inherit;
};
/*
 * vm_map_enter - the general form.  Takes its own reference to object; the
 * caller keeps his, so the object counts as shared from now on.  A fixed
 * address must have the alignment asked for.  *addr is set on success.
 */
int vm_map_enter(struct vm_map *map, const struct vm_map_args *args,
    vaddr_t *addr) VM_MUST_CHECK;

int vm_map_deallocate(struct vm_map *map, vaddr_t start, vsize_t size)
    VM_MUST_CHECK;
/*
 * set_max: lower the maximum to prot, and the current to what remains.
 * Any combination of rights is kept as it was asked for, but hardware
 * cannot deny READ where it grants WRITE or EXEC.  Wired memory that gains
 * WRITE may have to be copied first (VM_E_NOMEM, VM_E_PAGER).
 */
int vm_map_protect(struct vm_map *map, vaddr_t start, vsize_t size,
    vm_prot_t prot, bool set_max) VM_MUST_CHECK;
int vm_map_inherit(struct vm_map *map, vaddr_t start, vsize_t size,
    enum vm_inherit inherit) VM_MUST_CHECK;

/*
 * vm_map_advise_large - is memory here worth large leaves, zeroed all at
 * once?  Advice: what is read and what is refused does not change.
 */
int vm_map_advise_large(struct vm_map *map, vaddr_t start, vsize_t size,
    bool on) VM_MUST_CHECK;

/*
 * vm_map_wire - hold (or release) the frames of a range; counted for each
 * entry.  VM_E_PROT where nothing may be read, VM_E_BUSY when a count is
 * full.  Waits for pagers; on failure nothing stays wired that was not.
 * unwire leaves alone what is not wired.
 */
int vm_map_wire(struct vm_map *map, vaddr_t start, vsize_t size)
    VM_MUST_CHECK;
int vm_map_unwire(struct vm_map *map, vaddr_t start, vsize_t size)
    VM_MUST_CHECK;

/*
 * vm_map_move - [src, +size) is found at dst from now on, wiring included;
 * what was at dst goes.  Costs entries, not pages.  The ranges must not
 * overlap (VM_E_INVAL).
 * vm_map_extend - what is mapped up to end goes on for size bytes: the
 * same object's next pages if it is shared or a file's, else zeros.  Not
 * wired.  VM_E_ADDRESS: no region ends there; VM_E_NOSPACE: one begins.
 * vm_map_reset - private memory shows again what it showed when it was
 * mapped (the file, or zeros), and zeros where a virtual copy has gone
 * since; shared memory stays.  VM_E_BUSY: wired.
 */
int vm_map_move(struct vm_map *map, vaddr_t src, vsize_t size, vaddr_t dst)
    VM_MUST_CHECK;
int vm_map_extend(struct vm_map *map, vaddr_t end, vsize_t size)
    VM_MUST_CHECK;
int vm_map_reset(struct vm_map *map, vaddr_t start, vsize_t size)
    VM_MUST_CHECK;

/*
 * vm_map_resident - how many pages of a range are in memory, mapped or not.
 * vec: a byte for each, 1 if it is; then there may be no holes.
 */
int vm_map_resident(struct vm_map *map, vaddr_t start, vsize_t size,
    uint8_t *vec, uint64_t *count) VM_MUST_CHECK;

/*
 * vm_map_copy - virtual copy of [src, +size) over [dst, +size): Mach
 * vm_copy.  A snapshot of the source; the destination must exist and be
 * writable, and keeps its own protection and inheritance.  Where it is
 * shared or wired memory, the bytes are written, and the sharers see them:
 * memory is taken before the first byte, but an error of the source's
 * pager (VM_E_PAGER) or the end of the thread's patience (VM_E_INTR)
 * leaves a prefix written.  The two may be one map, and may overlap.
 *
 * What is no snapshot: the part of a private file mapping that has been
 * written to somewhere and forked or copied, in pages that nobody has
 * written.  They are the file's, in the source and so in the copy.
 */
int vm_map_copy(struct vm_map *src_map, vaddr_t src, vsize_t size,
    struct vm_map *dst_map, vaddr_t dst) VM_MUST_CHECK;

/*
 * Copies in flight, as messages carry them: copyin takes a snapshot of a
 * range, copyout maps it in the lowest hole that fits, as vm_map_allocate
 * would (and consumes it, on success only), discard drops it.
 */
struct vm_map_copy;
int vm_map_copyin(struct vm_map *map, vaddr_t src, vsize_t size,
    struct vm_map_copy **out) VM_MUST_CHECK;
int vm_map_copyout(struct vm_map *map, struct vm_map_copy *copy,
    vaddr_t *addr) VM_MUST_CHECK;
void vm_map_copy_discard(struct vm_map_copy *copy);

/* The region at or after *addr: true, and *addr, *out are set. */
struct vm_region {
    vsize_t size;
    vm_prot_t prot, max;
    enum vm_inherit inherit;
    bool shared, needs_copy;
    unsigned wired_count;
    struct vm_object *object;   /* identity only */
    vm_pgno_t pgno;
};
bool vm_map_region(struct vm_map *map, vaddr_t *addr,
    struct vm_region *out);

/* Merge neighbours that are one region cut in two; returns how many. */
unsigned vm_map_simplify(struct vm_map *map);

/*
 * vm_map_fork - a child map by each entry's inheritance, with page tables
 * like the parent's.  The parent's write rights to memory that is now copy-
 * on-write are revoked everywhere on return.
 * => Fails: VM_E_NOMEM; the parent reads, writes and shares as before
 */
int vm_map_fork(struct vm_map *parent, struct vm_map **child)
    VM_MUST_CHECK;

/* Verify a whole map, its tree, gaps, sums; panics with what is wrong. */
void vm_map_check(struct vm_map *map);
/* Verify that pmap grants no more than map, objects and pages allow. */
void vm_map_audit(struct vm_map *map);

/*
 * vm_map_heal - the same for a map in use, without a panic: every
 * translation that pmap should not have is counted, told to report (which
 * may be NULL, and does not sleep), and with repair forgotten, so that the
 * next access brings the right one.
 *
 * => Locks:   none held; takes map's, objects'; sleeps for them
 * => Returns: how many mismatches; they also go to VM_STAT_MISMATCHES,
 *             which every test ends by looking at
 * Threads may run in the map meanwhile: what a translation should be is
 * read under the locks that whoever changes it holds.
 */
struct vm_mismatch {
    struct vm_map *map;
    vaddr_t va;
    paddr_t pa;
    vm_prot_t prot;
    const char *what;           /* the law that it breaks */
};
uint64_t vm_map_heal(struct vm_map *map, bool repair,
    void (*report)(void *arg, const struct vm_mismatch *m), void *arg);

/*
 * vm_map_next - every map that there is, one after the other, each with a
 * reference; after's is given back.  NULL begins and ends it.
 * vm_map_pick - the n-th, modulo how many there are, with a reference; NULL:
 * there is none.
 */
struct vm_map *vm_map_next(struct vm_map *after);
struct vm_map *vm_map_pick(uint64_t n);

/*
 * vm_map_configure - other tables for map's pmap, while its threads run.
 *
 * => Locks: none held; takes map's
 * => Fails: VM_E_NOSPACE  something is mapped where the new format does not
 *                         reach
 *           and what pmap_configure() fails with; then nothing has changed
 * A child of vm_map_fork() has its parent's configuration.
 */
struct pmap_config;
int vm_map_configure(struct vm_map *map, const struct pmap_config *config)
    VM_MUST_CHECK;

/*
 * A map whose threads all sleep holds no tables.  doze: note, as a short
 * list of hints, which pages were used lately, then evict all tables.
 * wake: enter those pages again that are still resident and allowed: each
 * is looked up like a fault to read, and nothing is paged in or copied for
 * it.  Both may be left out at any time; what they forget faults back.
 *
 * => Locks: none held; take map's and objects'
 * => doze:  VM_E_BUSY, a CPU has the pmap loaded, or it is held; evicts
 *           then all that it may.  VM_OK also where there was nothing
 */
int vm_map_doze(struct vm_map *map) VM_MUST_CHECK;
void vm_map_wake(struct vm_map *map);

/*
 * Anonymous memory whose missing pages a server outside brings
 * (vm_map_serve.c).  Where nothing was written yet, a fault does not make a
 * zero page but calls vm_map_server, which tells the server and sleeps on
 * the ticket: then the fault looks again.
 *
 * vm_map_ask: => Locks: none held; a thread of the map, or of another one
 *             => Fails: VM_E_INTR, VM_E_PAGER; VM_E_RETRY: look again.
 *                VM_OK: the page was supplied since
 * Without servers vm_map_server may be NULL.
 *
 * vm_map_serve - server (not 0) is to be asked for what is missing in
 *     [start, +size) from now on; 0: nobody.  Holes do not matter, but
 *     something must be there.  Pages that are there stay.  Copies of the
 *     memory, by fork or else, and what moves are ordinary memory.
 *     => Fails: VM_E_INVAL  also: not private anonymous memory
 *               VM_E_PROT   it can never be written
 *               VM_E_BUSY   it has another server
 * vm_map_unserve - nobody is asked any more where that server was.
 *     Both wake nobody: who asked before sleeps until vm_map_server's
 *     wakes him.
 * vm_map_supply - the page at va is p, a frame of kind VM_PAGE_OBJECT, of
 *     no object; enters it (if it can) and wakes who waits for it.
 *     => Fails: VM_E_ADDRESS  no server is asked there
 *               VM_E_NOSPACE  a page is there, be it in swap
 *               VM_E_NOMEM
 *               VM_E_BUSY     the memory is shared by now
 *               p is the caller's then
 * vm_map_missing_event - what supply wakes.
 */
typedef int vm_map_ask(struct vm_map *map, vaddr_t va, vm_prot_t access,
    unsigned server, struct vm_ticket ticket);
extern vm_map_ask *vm_map_server;
int vm_map_serve(struct vm_map *map, vaddr_t start, vsize_t size,
    unsigned server) VM_MUST_CHECK;
void vm_map_unserve(struct vm_map *map, unsigned server);
int vm_map_supply(struct vm_map *map, vaddr_t va, struct vm_page *p)
    VM_MUST_CHECK;
const void *vm_map_missing_event(const struct vm_map *map, vaddr_t va);

#endif
