/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pt.h - inside pmap/common: the seam between what every MMU needs and the
 * translation store.
 *
 *   pmap.c pmap_ctl.c   the contract of pmap.h and pmap_ctl.h
 *   pv.c                reverse map (hints)
 *   tlb_batch.c         pending rule, batches, rounds of invalidation
 *   asid.c              ASIDs, activation, which CPUs to tell
 *   epoch.c             epochs and limbo
 *   change.c            walking all pmaps; roots that come and go
 *   budget.c            the ceiling of table pages, and who is evicted
 *   ------------------- this header -------------------
 *   pt_*.c              the radix store; alone includes <pte.h>
 *
 * Another store (software-filled TLB, hashed inverted table) replaces only
 * what is below the line: it implements the functions of part 3, for the
 * services of part 2, and keeps its state in pmap.store.
 *
 * The rules that make forgetting safe (docs/pmap.md has the proofs):
 *
 * SEQUENCE  pt_enter() compares the map's sequence under a lock of the
 *           store (the leaf lock) that pt_restrict() of that address also
 *           takes, or else in such an order that one sees the other.
 * PENDING   Whoever clears or weakens a translation, or unlinks a table,
 *           raises pm->pending before the edit and lowers it when the
 *           invalidation is complete.  Whoever finds less than it came to
 *           revoke, or finds nothing where it is about to enter, then
 *           looks at pm->pending; if it is not 0 the old translation may
 *           still live in some TLB, and it flushes the whole pmap itself.
 * EPOCH     Tables are read only inside an epoch section; an unlinked
 *           table is freed when all sections that saw it have ended.
 * CHANGING  Who takes a root away, or puts another in its place, bars CPUs
 *           from loading the pmap first (PMAP_CHANGING).  A flush of such a
 *           pmap waits until every CPU has left the old root: until then
 *           it could be walked again, however often it were flushed.
 * HINTS     A reverse-map hint is there before the translation is, and is
 *           dropped only when its translation is known to be in no TLB.
 */
#ifndef PT_H
#define PT_H

#include "pmap_ctl.h"
#include "pt_md.h"
#include "vm_mutant.h"

/* ---- 1. the pmap ---------------------------------------------------- */

#define PT_STORE_WORDS  8
#define PT_NOTE_WORDS   7

struct tlb_batch;

enum pmap_state {
    PMAP_DEAD,              /* free header; translates nothing */
    PMAP_LIVE,
    PMAP_DYING,             /* emptied; some CPU still holds it lazily */
    PMAP_HAND               /* no pmap: a mark in the list (budget.c) */
};

/*
 * Headers are type-stable and never cleared: a stale hint may lead to one
 * that is free, or serves another map by now.  So pending runs on from one
 * life to the next; what a stale hint's reader may touch is atomic.
 * The first word belongs to the zone while the header is free.
 */
struct pmap {
    struct pmap *all_next;          /* (l) pmap_list_lock */
    struct pmap *all_prev;          /* (l) */
    struct vm_seq *seq;             /* (c) the map's sequence */
    _Atomic uint64_t pending;       /* (a) PMAP_REVOKING, PMAP_BREAKING */
    _Atomic uint32_t holds;         /* (a) pmap_hold() */
    _Atomic uint32_t state;         /* (a) enum pmap_state */
    _Atomic uint64_t asid;          /* (a) generation << 16 | ASID */
    _Atomic uint64_t active;        /* (a) CPUs that have it loaded, and
                                       PMAP_CHANGING */
    _Atomic uint64_t cached;        /* (a) CPUs that may skip the flush */
    _Atomic vaddr_t start, end;     /* (a) what it translates */
    _Atomic uint32_t pins;          /* (a) pmap_next(): its life goes on */
    _Atomic uint32_t tables;        /* (a) charged to it; runs on from one
                                       life to the next, like pending */
    _Atomic uint32_t limit;         /* (a) of tables; UINT32_MAX: none */
    _Atomic uint32_t peak;          /* (a) */
    _Atomic uint8_t page_shift;     /* (a) hardware page, for flushes */
    _Atomic uint8_t format;         /* (a) */
    _Atomic bool tagged;            /* (a) has an ASID of its own */
    _Atomic bool large;             /* (a) may have large leaves */
    _Atomic bool recent;            /* (a) loaded since the hand passed */
    bool kernel;                    /* (c) the same in every life */
    uint64_t store[PT_STORE_WORDS] __attribute__((aligned(16)));
};

/*
 * Two counts in one word: revocations that may have left a hole with stale
 * TLB entries behind it, and breaks by pt_enter(), whose hole nobody can
 * fill because the leaf lock is held until the flush is complete.  A
 * revoker must mind both, pt_enter() only the first.
 */
#define PMAP_REVOKING   ((uint64_t)1)
#define PMAP_BREAKING   ((uint64_t)1 << 32)

/* In active, beside the CPUs: the root is being taken or replaced. */
#define PMAP_CHANGING   ((uint64_t)1 << VM_MAX_CPUS)

_Static_assert(VM_MAX_CPUS < 64, "a CPU's bit, and one for PMAP_CHANGING");

extern struct pmap *pmap_kernel_pmap;
extern struct vm_spin pmap_list_lock;       /* rank ASID */
extern struct pmap *pmap_list;              /* (l) */

/* Before a neighbour is entered that may be executed (pt_prefill). */
void pmap_near_icache(struct vm_page *page, vm_prot_t prot);

/*
 * pmap.c: revoke all but keep in [start, end), by the pending rule; it is
 * done when b is committed.
 */
void pmap_revoke_range(struct pmap *pm, vaddr_t start, vaddr_t end,
    vm_prot_t keep, struct tlb_batch *b);
/* The last to leave a dying pmap ends its life. */
void pmap_finish(struct pmap *pm);
/*
 * change.c.  pin: pmap_list_lock is held; false: it is dying, and is to be
 * unpinned at once, the lock not held.
 */
bool pmap_pin(struct pmap *pm);
/*
 * pmap_evict(), also of one that is held; it adds to *tables how many were
 * unlinked.
 */
int change_evict(struct pmap *pm, unsigned *tables);
/* pmap_list_lock is held; after NULL: first of all. */
void pmap_list_insert(struct pmap *pm, struct pmap *after);
void pmap_list_remove(struct pmap *pm);

/* ---- 2. services for the store -------------------------------------- */

/* In the order of struct pmap_events. */
enum pmap_event {
    EV_ENTER, EV_RETRY, EV_PREFILLED,
    EV_REMOVE, EV_PROTECT, EV_PAGE_PROTECT,
    EV_DISCARD, EV_TABLE_DISCARD,
    EV_FLUSH, EV_FLUSHED_CPU, EV_FULL_FLUSH, EV_PENDING_FLUSH,
    EV_TABLE_MADE, EV_TABLE_FREED, EV_ASID_ROLL, EV_PV_CHUNK,
    EV_CHANGE, EV_EVICTED, EV_LARGE, EV_LARGE_FORGOTTEN,
    EV_COUNT
};

_Static_assert(sizeof(struct pmap_events) == EV_COUNT * sizeof(uint64_t),
    "enum pmap_event mirrors struct pmap_events");

struct pt_cpu {
    _Atomic uint64_t epoch;             /* 0: in no section */
    struct pmap *_Atomic current;       /* loaded in the hardware */
    struct pmap *_Atomic next;          /* being loaded */
    _Atomic uint64_t event[EV_COUNT];   /* written by this CPU only */
    uint64_t note[PT_NOTE_WORDS];       /* the store's own */
} __attribute__((aligned(64)));

extern struct pt_cpu pt_cpu[VM_MAX_CPUS];
extern _Atomic uint64_t epoch_now;

/* Preemption is disabled. */
static inline void
pt_event(struct pt_cpu *cpu, enum pmap_event e, uint64_t n)
{
    vm_set(&cpu->event[e], vm_get(&cpu->event[e]) + n);
}

/* Anywhere. */
void pt_event_any(enum pmap_event e, uint64_t n);

/*
 * epoch_enter - tables read from now to epoch_exit() stay tables.
 * Sections do not nest.  Preemption is disabled inside.
 */
static inline struct pt_cpu *
epoch_enter(void)
{
    struct pt_cpu *cpu;

    kern_preempt_disable();
    cpu = &pt_cpu[kern_cpu()];
    KASSERT(vm_get(&cpu->epoch) == 0);
    /* Acquire: an epoch begun after an unlink has seen the unlink. */
    vm_set(&cpu->epoch,
        atomic_load_explicit(&epoch_now, memory_order_acquire));
    /*
     * Against limbo's fence between unlink and reading our epoch: either
     * it sees us inside, or we see the table unlinked.
     */
    atomic_thread_fence(memory_order_seq_cst);
    vm_point();
    return cpu;
}

static inline void
epoch_exit(struct pt_cpu *cpu)
{
    /* Release: what we read in tables was read before they are freed. */
    atomic_store_explicit(&cpu->epoch, 0, memory_order_release);
    kern_preempt_enable();
    vm_point();
}

/*
 * Private words of a table's frame; limbo links frames on their way out.
 * Where an object's page has its object there stays 0: whoever looks at
 * the core map without a lock must never take our word for one.
 */
struct pt_frame {
    uint64_t zero;
    _Atomic uint64_t used;      /* the store's own: which entries */
    struct vm_page *next;
    uint64_t tag : 48;          /* epoch in which it was put here */
    uint64_t level : 8;         /* the store's own */
    uint64_t geo : 8;           /* the store's own */
    struct pmap *owner;         /* whom it is charged to, or NULL */
};

_Static_assert(sizeof(struct pt_frame) <= VM_PAGE_PRIVATE, "fits");

static inline struct pt_frame *
pt_frame(struct vm_page *p)
{
    return (struct pt_frame *)(void *)p->private;
}

void epoch_init(void);
/* limbo_put - chain of unlinked tables whose flush is complete. */
void limbo_put(struct vm_page *chain);
/* limbo_reap - free what nobody can see; returns tables freed. */
uint64_t limbo_reap(bool force);
uint64_t limbo_count(void);
/* limbo_poll - after an operation, no epoch section: reap now and then. */
void limbo_poll(void);

/*
 * The sequence, read so that pt_enter() and a revocation cannot miss each
 * other:
 *   revoker:  S1 seq = odd (seq_cst); fence; T1 read or edit table entries
 *   enter:    T2 reach the leaf table (each step an acquire load, a table
 *             installed by a seq_cst compare-and-swap); S2 read seq
 * If S2 reads the old value, S2 precedes S1 in the single order of
 * seq_cst operations.  The installation of every table on our path happens
 * before S2 (ours by program order, another's by our acquire load), so it
 * precedes S1 and the revoker's fence, and T1 sees the tables.  It then
 * either takes our leaf lock after us and finds the entry, or unlinks the
 * table, and its flush, walk caches included, comes after.  If it took the
 * leaf lock before us, S1 happens before S2 through the lock.
 */
static inline bool
pmap_seq_same(const struct pmap *pm, vm_seq_t seq)
{
    vm_point();
    if (VM_MUTANT(ENTER_NO_SEQ)) {
        return true;
    }
    return (seq & 1) == 0 && atomic_load_explicit(&pm->seq->count,
        memory_order_seq_cst) == seq;
}

/*
 * True if a revocation is under way: a translation that is absent from the
 * store may still be in a TLB.  Read after the entry was found absent
 * (acquire): then the revoker's increment is visible, and if it is gone
 * again its flush is complete (release; all changes are read-modify-write,
 * so one zero stands for all of them).
 */
static inline bool
pmap_revoking(struct pmap *pm)
{
    vm_point();
    return (uint32_t)atomic_load_explicit(&pm->pending,
        memory_order_seq_cst) != 0;
}

/*
 * tlb_break_begin/end - around the break in pt_enter(), leaf lock held.
 * The entries in [va, va + size) are cleared between begin and flush.
 */
void tlb_break_begin(struct pmap *pm);
void tlb_break_flush(struct pmap *pm, vaddr_t va, vsize_t size);
void tlb_break_end(struct pmap *pm);
/* Flush all of pm: somebody else's flush may not be complete. */
void tlb_flush_pending(struct pmap *pm);

/*
 * Batches.  touch: before an edit of pm; raises pending until commit.
 * add: after the edit, what was edited.  unlink: the same for a table,
 * which goes to limbo after the flush.  pending: the pending rule for a
 * revoker that found less.  revoked: tells the tests, at commit.
 * Any of them may commit the batch when it is full.
 */
void tlb_batch_touch(struct tlb_batch *b, struct pmap *pm);
void tlb_batch_add(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end);
void tlb_batch_unlink(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end, struct vm_page *table);
void tlb_batch_pending(struct tlb_batch *b, struct pmap *pm);
/* Tables in it that were unlinked, with those below.  No epoch section. */
unsigned tlb_batch_tables(const struct tlb_batch *b);
/*
 * A round of one page by itself: begin raises pending, before the edit; end,
 * behind it and outside an epoch section, flushes and lowers pending.  skip: a
 * mutant does not flush.
 */
void tlb_page_begin(struct pmap *pm);
void tlb_page_end(struct pmap *pm, vaddr_t va, bool skip);
/* Mutants: edits are not flushed while skip is set. */
#if VM_TEST
void tlb_batch_revoked(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end, paddr_t pa, vm_prot_t keep);
void tlb_batch_skip(struct tlb_batch *b, bool skip);
#else
#define tlb_batch_revoked(b, pm, start, end, pa, keep)  ((void)(pm))
#define tlb_batch_skip(b, skip)                         ((void)(b))
#endif

static inline struct tlb_batch *
tlb_batch(struct pmap_batch *batch)
{
    return (struct tlb_batch *)(void *)batch->private;
}

/*
 * asid_flush - one round of invalidation, on every CPU that may hold
 * translations of pm.  f's ranges, tables and n are set.  Complete on
 * return; preemption may be enabled.
 */
void asid_flush(struct pmap *pm, struct pt_flush *f);
void asid_init(void);
void asid_check(void);
/* CPUs that have ever activated a pmap. */
unsigned asid_cpus(void);

/*
 * asid_change - bar CPUs from loading pm, from here to asid_changed().
 *
 * => idle:    only if no CPU has it loaded
 * => Returns: false, it is barred already, or not idle
 * => Context: preemption disabled from before until asid_changed()
 * asid_reload: pm's root, format or tagging is another now.  It gets a new
 * ASID, and each CPU that has it loaded goes over to the new root; on
 * return none walks the old one any more, or ever will.
 */
bool asid_change(struct pmap *pm, bool idle);
void asid_reload(struct pmap *pm);
void asid_changed(struct pmap *pm);
/* pm, which no CPU has loaded and none can load, gets another when one does. */
void asid_drop(struct pmap *pm);

/* Has that CPU pm (a struct pmap *) loaded, and not begun to leave it? */
bool asid_runs(void *pm, unsigned cpu);

/*
 * budget.c.  own: may pm have one more table?  Then take: may another frame
 * become a table?  disown: pm has it no more; give: the frame is none any
 * more.  Tables of user pmaps only.  held, released: pm is held, for the
 * first, or not any more.
 */
bool budget_own(struct pmap *pm);
void budget_disown(struct pmap *pm);
bool budget_take(void);
void budget_give(void);
void budget_held(struct pmap *pm);
void budget_released(struct pmap *pm);
void budget_init(void);

static inline uint32_t
asid_of(const struct pmap *pm)
{
    return pm->kernel ? PT_ASID_KERNEL :
        (uint32_t)(atomic_load_explicit(&pm->asid,
            memory_order_acquire) & 0xffff);
}

/* May this CPU hold translations of pm now?  Preemption is disabled. */
static inline bool
asid_is_current(const struct pmap *pm, struct pt_cpu *cpu)
{
    return pm->kernel || vm_get(&cpu->current) == pm;
}

/*
 * Reverse map.  insert: a hint for (pm, va), unless there is one.  Inside
 * an epoch section; the object's lock is held, so no other CPU enters this
 * page meanwhile.  cheap: false where it would have to look far.
 */
int pv_insert_slow(struct vm_page *page, struct pmap *pm, vaddr_t va);
bool pv_insert_near(struct vm_page *page, struct pmap *pm, vaddr_t va);
bool pv_has(struct vm_page *page, struct pmap *pm, vaddr_t va);
void pv_init(void);
void pv_protect(struct vm_page *page, vm_prot_t keep, struct tlb_batch *b,
    bool drop);
bool pv_age(struct vm_page *page);
/*
 * Drop the page's hints if they all name an address of pm in [start, end),
 * where nothing leads to the page any more, or pmaps that are no more.
 */
bool pv_forget(struct vm_page *page, const struct pmap *pm, vaddr_t start,
    vaddr_t end);

static inline bool
pv_insert_inline(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    if (page->pv.pm == NULL) {
        page->pv.pm = pm;
        page->pv.va = va;
        return true;
    }
    return page->pv.pm == pm && page->pv.va == va;
}

static inline int
pv_insert(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    return __builtin_expect(pv_insert_inline(page, pm, va), 1) ? VM_OK :
        pv_insert_slow(page, pm, va);
}

static inline bool
pv_insert_cheap(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    return __builtin_expect(pv_insert_inline(page, pm, va), 1) ||
        pv_insert_near(page, pm, va);
}

/* Data of an object: has a reverse map. */
static inline bool
pv_managed(struct vm_page *page)
{
    return page != NULL && vm_get(&page->kind) == VM_PAGE_OBJECT;
}

/* The managed page at pa, NULL: no reverse map. */
static inline struct vm_page *
pv_page(paddr_t pa)
{
    struct vm_page *page = vm_page_of(pa);

    return pv_managed(page) ? page : NULL;
}

/* ---- 3. what a store implements ------------------------------------- */

/*
 * pt_init - forget everything; find the formats.  Called by pmap_init(),
 * again for each boot in the same process.  VM_E_NOMEM, VM_E_INVAL.
 */
int pt_init(void) VM_MUST_CHECK;
unsigned pt_format_count(void);
const char *pt_format_name(unsigned format);
unsigned pt_format_page_shift(unsigned format);

/*
 * pt_create - make pm->store empty; set start, end, page_shift; pm->kernel
 * and pm->format are set.  A user pmap takes no memory.
 * pt_destroy - give the last table back (through limbo); pm is empty, no
 * CPU has it loaded.
 */
int pt_create(struct pmap *pm) VM_MUST_CHECK;
void pt_destroy(struct pmap *pm);

/* What pt_activate() needs exists: VM_E_NOMEM. */
int pt_ready(struct pmap *pm) VM_MUST_CHECK;
/* Load it on this CPU (pmap_md_activate). */
void pt_activate(struct pmap *pm, uint32_t asid, bool flush_asid);

/*
 * pt_spare - an empty root of that format, for pm; false: no memory.
 * pt_replace - that root, none (0), or none of the same format (NULL), in
 * place of what pm has; what it had is unlinked into b.  PMAP_CHANGING is
 * set, b has touched pm; takes no lock that is held in a flush.  false: there
 * are no roots here, all is to be revoked as ever.
 * pt_spare_free - one that was not used.
 */
struct pt_spare {
    uint64_t root;
    unsigned format;
};
bool pt_spare(struct pmap *pm, unsigned format, struct pt_spare *out);
void pt_spare_free(struct pt_spare *spare);
bool pt_replace(struct pmap *pm, const struct pt_spare *spare,
    struct tlb_batch *b);
/* What a format translates; false: not with this MI page. */
bool pt_format_bounds(unsigned format, vaddr_t *start, vaddr_t *end);
/* Tables that one instruction may need, of the format that needs most. */
unsigned pt_insn_tables(void);

/*
 * pt_evict - unlink some leaf tables of pm into b: those whose entries
 * were not used since the last time, before those that were; of either,
 * sparse before dense.  Returns how many; 0: there are none.
 */
unsigned pt_evict(struct pmap *pm, unsigned want, struct tlb_batch *b);

/* One CPU loads the root, if it runs in pm (asid_runs): did it? */
bool pt_reload(struct pmap *pm, uint32_t asid, unsigned cpu);

/*
 * pt_enter - the promise of pmap_enter().  Enters an epoch section; takes
 * what memory it needs first; then under its leaf lock
 *   1. !pmap_seq_same() -> VM_E_RETRY
 *   2. pv_page(pa) is not NULL: pv_insert(); its error, nothing changed
 *   3. nothing there: if pmap_revoking(), tlb_flush_pending() first
 *      another frame or memory type there: tlb_break_begin(), clear,
 *      tlb_break_flush(), tlb_break_end()
 *   4. set it, at once for a whole MI page
 * and pmap_md_fence() where an older answer may be cached on this CPU.
 */
int pt_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq) VM_MUST_CHECK;
/* The same for a managed page, without flags. */
int pt_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq) VM_MUST_CHECK;

/*
 * pt_large_shift, pt_enter_large - the promises of pmap_ctl.h; a store
 * without large leaves has 0 and VM_E_NOMEM.
 */
unsigned pt_large_shift(struct pmap *pm);
int pt_enter_large(struct pmap *pm, vaddr_t va, struct vm_page *head,
    vm_prot_t prot, vm_seq_t seq) VM_MUST_CHECK;
/* Is there neither a large leaf nor a table where va's leaf would be? */
bool pt_large_room(struct pmap *pm, vaddr_t va);

/*
 * pt_prefill - the same, but only where nothing is, no memory is needed
 * and no revocation is under way.  pages are managed.  Returns how many
 * it could look at.
 */
unsigned pt_prefill(struct pmap *pm, vaddr_t va,
    const struct pmap_near *near, vm_seq_t seq);

/*
 * pt_restrict_page - pt_restrict() of one page, with its flush, where that is
 * cheap; false: nothing was done.  skip: a mutant does not flush.
 */
bool pt_restrict_page(struct pmap *pm, vaddr_t va, vm_prot_t keep,
    bool skip);

/*
 * pt_restrict - revoke all but keep in [start, end); forgetting more of a
 * user pmap is legal.  Every edit under tlb_batch_touch, _add or _unlink.
 * Outside an epoch section.  The caller applies the pending rule.
 */
void pt_restrict(struct pmap *pm, vaddr_t start, vaddr_t end,
    vm_prot_t keep, struct tlb_batch *b);

/*
 * The next three serve the reverse map: inside an epoch section, without
 * the leaf lock.  pm may be dead or a stranger.
 */
enum pt_found {
    PT_ALL,             /* all of the page was there; it is revoked */
    PT_LESS,            /* absent, another frame, or weak already */
    PT_WIRED            /* the kernel's own: left alone */
};
enum pt_found pt_restrict_one(struct pmap *pm, vaddr_t va, paddr_t pa,
    vm_prot_t keep, struct tlb_batch *b);
bool pt_age_one(struct pmap *pm, vaddr_t va, paddr_t pa);
/* Does any part of va's MI page lead to pa's? */
bool pt_maps_one(struct pmap *pm, vaddr_t va, paddr_t pa);

/* pt_extract - outside an epoch section. */
bool pt_extract(struct pmap *pm, vaddr_t va, paddr_t *pa, vm_prot_t *prot);
/* What one table covers around va: the unit of pmap_discard_table(). */
void pt_table_range(struct pmap *pm, vaddr_t va, vaddr_t *start,
    vaddr_t *end);

/*
 * Limbo hands frames back.  reclaim: free one; tables that hang below it
 * are put before chain, which is returned, with its tag.  count: it and all
 * that hang below.
 */
struct vm_page *pt_reclaim(struct vm_page *table, struct vm_page *chain);
uint64_t pt_reclaim_count(struct vm_page *table);
/* Give back the frames that the store keeps for its next tables. */
void pt_trim(void);

/*
 * Audit.  next: the first translation at or after *va; sets *va to its
 * successor.  check: structure; panics.
 */
bool pt_next(struct pmap *pm, vaddr_t *va, struct pmap_mapping *out);
uint64_t pt_table_count(struct pmap *pm);
void pt_check(struct pmap *pm);

#endif
