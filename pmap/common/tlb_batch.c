/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tlb_batch.c - the pending rule, and rounds of invalidation.
 *
 * Every revocation runs in a batch, its own or its caller's; or, if it is of
 * one page, in a round of its own, which is the same in small.  For each
 * pmap that it is about to edit the batch raises pm->pending (touch), then
 * notes what was edited (add, unlink); commit flushes each pmap once,
 * lowers pending, sends unlinked tables to limbo and tells the tests.
 *
 *   revoker A:  pending++ ; entry = 0 ; ... flush ... ; pending--
 *   revoker B:  finds 0 ; reads pending ; not 0: flushes the pmap itself
 * B read A's entry (acquire after A's exchange), so it sees A's pending++,
 * or a later pending-- and then A's flush is complete.  Two batches that
 * each find the other's holes both flush; neither waits.
 *
 * A batch has room for 8 pmaps and 16 ranges: one range too many makes the
 * flush of that pmap a full one, one pmap too many commits the batch.
 *
 * Locks: none of its own; may be called with leaf locks held, since CPUs
 *        that spin on them serve invalidations (kern_relax)
 */
#include "pt.h"

#define BATCH_PMAPS     8u
#define BATCH_RECORDS   6u
#define FULL_PAGES      64u     /* more hardware pages: flush everything */

#if VM_TEST
_Atomic unsigned pmap_test_delay;
#endif

struct tlb_batch {
    uint32_t npmap;
    uint32_t nrange;
    uint32_t nrecord;           /* test builds */
    uint32_t skip;              /* test builds: a mutant does not flush */
    struct vm_page *unlinked;   /* through pt_frame()->next */
    struct {
        struct pmap *pm;
        bool full;              /* the whole ASID */
        bool tables;            /* a table was unlinked */
    } pmap[BATCH_PMAPS];
    struct {
        vaddr_t start, end;
    } range[PT_FLUSH_RANGES];
    uint8_t owner[PT_FLUSH_RANGES];     /* index into pmap[] */
#if VM_TEST
    struct {
        struct pmap *pm;
        vaddr_t start, end;
        paddr_t pa;             /* low bits: keep */
    } record[BATCH_RECORDS];
#endif
};

_Static_assert(sizeof(struct tlb_batch) <= sizeof(struct pmap_batch),
    "a batch fits into the words that pmap.h gives it");

static void
batch_reset(struct tlb_batch *b)
{
    b->npmap = 0;
    b->nrange = 0;
    b->nrecord = 0;
    b->unlinked = NULL;
}

void
pmap_batch_begin(struct pmap_batch *batch)
{
    batch_reset(tlb_batch(batch));
    tlb_batch(batch)->skip = 0;
}

/*
 * An address is flushed alone only if no other revocation is in flight
 * beside our own: a page-walk cache may still lead to a leaf table that
 * another has unlinked, and that holds the same translation.
 */
static void
flush_widen(struct pmap *pm, struct pt_flush *f, uint32_t own)
{
    if ((uint32_t)atomic_load_explicit(&pm->pending,
            memory_order_seq_cst) != own) {
        f->tables = true;
        f->n = 0;
    }
}

static void
batch_flush(struct tlb_batch *b, unsigned i)
{
    struct pmap *pm = b->pmap[i].pm;
    struct pt_flush f;
    uint64_t pages = 0;

    f.n = 0;
    f.tables = b->pmap[i].tables;
    for (unsigned r = 0; r < b->nrange && !b->pmap[i].full; r++) {
        if (b->owner[r] == i) {
            f.range[f.n].start = b->range[r].start;
            f.range[f.n].end = b->range[r].end;
            f.n++;
            pages += (b->range[r].end - b->range[r].start)
                >> vm_get(&pm->page_shift);
        }
    }
    if (f.n == 0 && !b->pmap[i].full) {
        return;
    }
    if (pages > FULL_PAGES) {
        f.n = 0;
    }
    flush_widen(pm, &f, PMAP_REVOKING);
    asid_flush(pm, &f);
}

static void
batch_commit(struct tlb_batch *b)
{
    struct vm_page *unlinked = b->unlinked;

#if VM_TEST
    for (unsigned i = vm_get(&pmap_test_delay); i > 0; i--) {
        kern_relax();
        vm_point();
    }
#endif
    for (unsigned i = 0; i < b->npmap; i++) {
        vm_point();
        batch_flush(b, i);
        vm_point();
        if (b->pmap[i].tables) {
            /* Notes of leaf tables are void before it is: pt_note.h. */
            (void)atomic_fetch_add_explicit(&epoch_now, 1,
                memory_order_seq_cst);
        }
        /* Release: who reads the lowered count finds the flush done. */
        (void)atomic_fetch_sub_explicit(&b->pmap[i].pm->pending,
            PMAP_REVOKING, memory_order_release);
    }
#if VM_TEST
    for (unsigned i = 0; i < b->nrecord; i++) {
        bool any = b->record[i].pa >= ~(paddr_t)VM_PROT_ALL;

        pmap_test_revoked(b->record[i].pm, b->record[i].start,
            b->record[i].end,
            any ? ~(paddr_t)0 : b->record[i].pa & ~(paddr_t)VM_PROT_ALL,
            (vm_prot_t)(b->record[i].pa & VM_PROT_ALL));
    }
#endif
    batch_reset(b);
    limbo_put(unlinked);
}

void
pmap_batch_commit(struct pmap_batch *batch)
{
    struct tlb_batch *b = tlb_batch(batch);

    if (b->npmap != 0 || b->nrecord != 0) {
        batch_commit(b);
        limbo_poll();
    }
}

/* Index of pm, npmap if the batch has not touched it. */
static unsigned
batch_find(const struct tlb_batch *b, const struct pmap *pm)
{
    unsigned i = b->npmap;

    while (i > 0) {
        if (b->pmap[--i].pm == pm) {
            return i;
        }
    }
    return b->npmap;
}

void
tlb_batch_touch(struct tlb_batch *b, struct pmap *pm)
{
    if (batch_find(b, pm) < b->npmap) {
        return;
    }
    if (b->npmap == BATCH_PMAPS) {
        batch_commit(b);
    }
    b->pmap[b->npmap].pm = pm;
    b->pmap[b->npmap].full = false;
    b->pmap[b->npmap].tables = false;
    b->npmap++;
    (void)atomic_fetch_add_explicit(&pm->pending, PMAP_REVOKING,
        memory_order_seq_cst);
    vm_point();
}

/* No room for another range of pmap i: flush all of it. */
static void
batch_overflow(struct tlb_batch *b, unsigned i)
{
    unsigned to = 0;

    b->pmap[i].full = !VM_MUTANT(BATCH_OVERFLOW);
    for (unsigned r = 0; r < b->nrange; r++) {
        if (b->owner[r] != i) {
            b->range[to] = b->range[r];
            b->owner[to] = b->owner[r];
            to++;
        }
    }
    b->nrange = to;
}

void
tlb_batch_add(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end)
{
    unsigned i = batch_find(b, pm);
    unsigned last = b->nrange - 1;

    KASSERT(i < b->npmap && start < end);
    if (b->skip != 0 || b->pmap[i].full) {
        return;
    }
    if (b->nrange > 0 && b->owner[last] == i) {
        if (b->range[last].end == start) {
            b->range[last].end = end;
            return;
        }
        if (b->range[last].start == end) {
            b->range[last].start = start;
            return;
        }
    }
    if (b->nrange == PT_FLUSH_RANGES) {
        batch_overflow(b, i);
        return;
    }
    b->range[b->nrange].start = start;
    b->range[b->nrange].end = end;
    b->owner[b->nrange] = (uint8_t)i;
    b->nrange++;
}

void
tlb_batch_unlink(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end, struct vm_page *table)
{
    unsigned i = batch_find(b, pm);

    KASSERT(i < b->npmap);
    (void)start;
    (void)end;
    pt_frame(table)->next = b->unlinked;
    b->unlinked = table;
    if (b->skip == 0) {
        /* A table covers more pages than are worth flushing singly. */
        b->pmap[i].tables = true;
        batch_overflow(b, i);
    }
}

void
tlb_batch_pending(struct tlb_batch *b, struct pmap *pm)
{
    uint64_t own = batch_find(b, pm) < b->npmap ? PMAP_REVOKING : 0;
    unsigned i;

    vm_point();
    if (atomic_load_explicit(&pm->pending, memory_order_seq_cst) == own) {
        return;
    }
    tlb_batch_touch(b, pm);
    i = batch_find(b, pm);
    b->pmap[i].tables = true;
    batch_overflow(b, i);
    pt_event_any(EV_PENDING_FLUSH, 1);
}

unsigned
tlb_batch_tables(const struct tlb_batch *b)
{
    struct pt_cpu *cpu = epoch_enter();
    uint64_t n = 0;

    /* What hangs below may be unlinked by others meanwhile, but not freed. */
    for (struct vm_page *p = b->unlinked; p != NULL; p = pt_frame(p)->next) {
        n += pt_reclaim_count(p);
    }
    epoch_exit(cpu);
    return (unsigned)n;
}

#if VM_TEST
void
tlb_batch_revoked(struct tlb_batch *b, struct pmap *pm, vaddr_t start,
    vaddr_t end, paddr_t pa, vm_prot_t keep)
{
    if (b->nrecord == BATCH_RECORDS) {
        batch_commit(b);
    }
    b->record[b->nrecord].pm = pm;
    b->record[b->nrecord].start = start;
    b->record[b->nrecord].end = end;
    b->record[b->nrecord].pa = (pa & ~(paddr_t)VM_PROT_ALL) | keep;
    b->nrecord++;
}

void
tlb_batch_skip(struct tlb_batch *b, bool skip)
{
    b->skip = skip;
}
#endif

/* ---- a page by itself, without a batch -------------------------------- */

#define PAGE_PENDING    (VM_MUTANT(PAGE_UNSEEN) ? 0 : PMAP_REVOKING)

void
tlb_page_begin(struct pmap *pm)
{
    (void)atomic_fetch_add_explicit(&pm->pending, PAGE_PENDING,
        memory_order_seq_cst);
    vm_point();
}

void
tlb_page_end(struct pmap *pm, vaddr_t va, bool skip)
{
    struct pt_flush f;

#if VM_TEST
    for (unsigned i = vm_get(&pmap_test_delay); i > 0; i--) {
        kern_relax();
        vm_point();
    }
#endif
    vm_point();
    if (!skip) {
        f.tables = false;
        f.n = 1;
        f.range[0].start = va;
        f.range[0].end = va + VM_PAGE_SIZE;
        flush_widen(pm, &f, PAGE_PENDING);
        asid_flush(pm, &f);
    }
    vm_point();
    /* Release: as in batch_commit(). */
    (void)atomic_fetch_sub_explicit(&pm->pending, PAGE_PENDING,
        memory_order_release);
}

/* ---- pt_enter()'s break, and its own side of the pending rule -------- */

void
tlb_break_begin(struct pmap *pm)
{
    (void)atomic_fetch_add_explicit(&pm->pending, PMAP_BREAKING,
        memory_order_seq_cst);
    vm_point();
}

void
tlb_break_flush(struct pmap *pm, vaddr_t va, vsize_t size)
{
    struct pt_flush f;

    vm_point();
    f.tables = false;
    f.n = 1;
    f.range[0].start = va;
    f.range[0].end = va + size;
    flush_widen(pm, &f, 0);
    asid_flush(pm, &f);
}

void
tlb_break_end(struct pmap *pm)
{
    (void)atomic_fetch_sub_explicit(&pm->pending, PMAP_BREAKING,
        memory_order_release);
    vm_point();
}

void
tlb_flush_pending(struct pmap *pm)
{
    struct pt_flush f;

    f.tables = true;
    f.n = 0;
    pt_event_any(EV_PENDING_FLUSH, 1);
    asid_flush(pm, &f);
}
