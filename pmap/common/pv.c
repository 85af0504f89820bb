/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pv.c - the reverse map: from a page to the places that may map it.
 *
 *   struct vm_page   [ pm va ] more -> chunk [7 x (pm va)] -> chunk -> 0
 *
 * Entries are hints, too many but never too few.  A hint is inserted
 * before its translation is, under the lock of the page's object; remove,
 * discard and destroy leave it behind, so that forgetting a whole pmap
 * costs nothing here.  Whoever uses a hint verifies it in the live tables.
 *
 * A hint is dropped in three places only:
 *   - pmap_page_protect(NONE), after its flush;
 *   - before its page is freed, where the caller has removed the range that
 *     it names, or its pmap is no more (pv_forget());
 *   - insertion that would need another chunk: a hint whose translation is
 *     not in the store, and whose pmap has no revocation pending after
 *     that was seen, is in no TLB either, and its slot is used again.
 * A dead header (its pmap destroyed) is seen to be stale at once.  An
 * insertion verifies PV_VERIFY hints at most, so it costs what it costs;
 * stale hints beyond that wait for page_protect.  Finding a hint that is
 * already there is linear in the number of hints: known cost for pages
 * mapped by hundreds of pmaps.
 *
 * Locks: none here; the caller holds the lock of the page's object, which
 *        guards its hints.  Inside an epoch section where tables are looked
 *        at.
 */
#include "pt.h"
#include "vm_zone.h"

#define PV_SLOTS    7
#define PV_VERIFY   8

/* The first word is the zone's while the chunk is free. */
struct pv_chunk {
    struct pv_chunk *next;
    struct {
        struct pmap *pm;        /* NULL: free slot */
        vaddr_t va;
    } slot[PV_SLOTS];
};

static struct vm_zone pv_zone;

void
pv_init(void)
{
    vm_zone_init(&pv_zone, "pv chunk", sizeof(struct pv_chunk));
}

/* One hint after the other, the inline one first. */
struct pv_iter {
    struct pmap **pm;
    vaddr_t *va;
    struct pv_chunk *chunk;
    unsigned slot;
};

static bool
pv_first(struct pv_iter *it, struct vm_page *page)
{
    it->pm = &page->pv.pm;
    it->va = &page->pv.va;
    it->chunk = page->pv.more;
    it->slot = 0;
    return true;
}

static bool
pv_next(struct pv_iter *it)
{
    if (it->chunk == NULL) {
        return false;
    }
    it->pm = &it->chunk->slot[it->slot].pm;
    it->va = &it->chunk->slot[it->slot].va;
    if (++it->slot == PV_SLOTS) {
        it->chunk = it->chunk->next;
        it->slot = 0;
    }
    return true;
}

/*
 * The translation is absent from the store and in no TLB.  The store is
 * read first, pending after it: see pmap_revoking() in pt.h.  For a dead
 * header, its state stands for the reading.
 */
static bool
pv_is_stale(struct pmap *pm, vaddr_t va, paddr_t pa, unsigned *budget)
{
    if (atomic_load_explicit(&pm->state, memory_order_acquire) !=
        PMAP_DEAD) {
        if (*budget == 0) {
            return false;
        }
        --*budget;
        if (pt_maps_one(pm, va, pa)) {
            return false;
        }
    }
    return atomic_load_explicit(&pm->pending, memory_order_seq_cst) == 0;
}

static bool
pv_reclaim(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    unsigned budget = PV_VERIFY;
    paddr_t pa = vm_page_pa(page);
    struct pv_iter it;

    for (bool more = pv_first(&it, page); more; more = pv_next(&it)) {
        if (pv_is_stale(*it.pm, *it.va, pa, &budget)) {
            *it.pm = pm;
            *it.va = va;
            return true;
        }
    }
    return false;
}

/* One more chunk for page, with one hint; NULL: no memory. */
static struct pv_chunk *
chunk_add(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    struct pv_chunk *chunk = vm_zone_alloc(&pv_zone);

    if (chunk != NULL) {
        for (unsigned i = 0; i < PV_SLOTS; i++) {
            chunk->slot[i].pm = NULL;
        }
        chunk->slot[0].pm = pm;
        chunk->slot[0].va = va;
        chunk->next = page->pv.more;
        page->pv.more = chunk;
        pt_event_any(EV_PV_CHUNK, 1);
    }
    return chunk;
}

/* The inline hint is another's.  Inside an epoch section. */
int
pv_insert_slow(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    struct pv_iter it, empty = { .pm = NULL };

    if (VM_MUTANT(PV_LOST)) {
        return VM_OK;
    }
    for (bool more = pv_first(&it, page); more; more = pv_next(&it)) {
        if (*it.pm == pm && *it.va == va) {
            return VM_OK;
        }
        if (*it.pm == NULL && empty.pm == NULL) {
            empty = it;
        }
    }
    if (empty.pm != NULL) {
        *empty.pm = pm;
        *empty.va = va;
        return VM_OK;
    }
    if (pv_reclaim(page, pm, va)) {
        return VM_OK;
    }
    return chunk_add(page, pm, va) != NULL ? VM_OK : VM_E_NOMEM;
}

/*
 * For a neighbour that is mapped on the chance: the inline hint is
 * another's.  Looks into the first chunk only, so that a page of hundreds
 * of pmaps costs no more than one of two; a hint that stands twice is one
 * too many, which is allowed.
 */
bool
pv_insert_near(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    struct pv_chunk *chunk = page->pv.more;
    unsigned empty = PV_SLOTS;

    if (chunk == NULL) {
        return chunk_add(page, pm, va) != NULL;
    }
    for (unsigned i = 0; i < PV_SLOTS; i++) {
        if (chunk->slot[i].pm == pm && chunk->slot[i].va == va) {
            return true;
        }
        if (chunk->slot[i].pm == NULL && empty == PV_SLOTS) {
            empty = i;
        }
    }
    if (empty == PV_SLOTS) {
        return false;
    }
    chunk->slot[empty].pm = pm;
    chunk->slot[empty].va = va;
    return true;
}

/* Free chunks that hold no hint. */
static void
pv_trim(struct vm_page *page)
{
    struct pv_chunk **link = &page->pv.more;

    while (*link != NULL) {
        struct pv_chunk *chunk = *link;
        unsigned i = 0;

        while (i < PV_SLOTS && chunk->slot[i].pm == NULL) {
            i++;
        }
        if (i < PV_SLOTS) {
            link = &chunk->next;
        } else {
            *link = chunk->next;
            vm_zone_free(&pv_zone, chunk);
        }
    }
}

/*
 * pv_protect - revoke all but keep wherever the page is mapped.
 *
 * => drop: b is the caller's own and holds nothing else: commit it here
 *          and, if nothing is kept, drop the hints
 * The kernel's wired translations stay, and so do their hints.
 */
void
pv_protect(struct vm_page *page, vm_prot_t keep, struct tlb_batch *b,
    bool drop)
{
    paddr_t pa = vm_page_pa(page);
    struct pt_cpu *cpu = epoch_enter();
    struct pv_iter it;

    for (bool more = pv_first(&it, page); more; more = pv_next(&it)) {
        enum pt_found found;

        if (*it.pm == NULL) {
            continue;
        }
        vm_point();
        found = pt_restrict_one(*it.pm, *it.va, pa, keep, b);
        if (found == PT_LESS && !VM_MUTANT(PV_STALE)) {
            tlb_batch_pending(b, *it.pm);
        }
        /* The object stays locked until the flush is over. */
        if (drop && keep == VM_PROT_NONE && found != PT_WIRED) {
            *it.pm = NULL;
        }
    }
    tlb_batch_revoked(b, NULL, 0, ~(vaddr_t)0, pa, keep);
    if (drop) {
        pmap_batch_commit((struct pmap_batch *)(void *)b);
        pv_trim(page);
    }
    epoch_exit(cpu);
}

bool
pv_age(struct vm_page *page)
{
    paddr_t pa = vm_page_pa(page);
    struct pt_cpu *cpu = epoch_enter();
    struct pv_iter it;
    bool used = false;

    for (bool more = pv_first(&it, page); more; more = pv_next(&it)) {
        if (*it.pm != NULL && pt_age_one(*it.pm, *it.va, pa)) {
            used = true;
        }
    }
    epoch_exit(cpu);
    return used;
}

/* Emptied for good, and no flush of that is under way? */
static bool
pv_is_over(struct pmap *pm)
{
    return atomic_load_explicit(&pm->state, memory_order_acquire) !=
        PMAP_LIVE &&
        atomic_load_explicit(&pm->pending, memory_order_seq_cst) == 0;
}

bool
pv_forget(struct vm_page *page, const struct pmap *pm, vaddr_t start,
    vaddr_t end)
{
    struct pmap *hint = page->pv.pm;

    if (page->pv.more != NULL) {
        return false;
    }
    if (hint != NULL && (hint != pm ||
            page->pv.va - start >= end - start) && !pv_is_over(hint) &&
        !VM_MUTANT(FRAME_FREED_MAPPED)) {
        return false;
    }
    page->pv.pm = NULL;
    return true;
}

bool
pv_has(struct vm_page *page, struct pmap *pm, vaddr_t va)
{
    struct pv_iter it;
    bool found = false;

    for (bool more = pv_first(&it, page); more && !found;
        more = pv_next(&it)) {
        found = *it.pm == pm && *it.va == va;
    }
    return found;
}
