/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pmap.c - the contract of pmap.h, over any translation store.
 *
 * What is done here is the same for every MMU: the life of a pmap, what
 * may be asked for, and the frame of every revocation but those of one page
 * that its leaf table alone decides (pt_page.c):
 *
 *   batch     the caller's, or one of our own, committed before we return
 *   edit      by the store; each edit raises pending first (tlb_batch.c)
 *   pending   another's revocation that is not complete may have made the
 *             holes that we found: then flush the pmap ourselves
 *   commit    flush, lower pending, drop unlinked tables to limbo
 *
 * For a range the pending rule is applied always: nearly every range has
 * holes, and nobody can tell which were made just now.  It is applied
 * after the walk, hence after every hole was seen.
 *
 * Locks: none here but pmap_list_lock; see pt.h for the rest
 */
#include "pt.h"
#include "vm_zone.h"

struct pmap *pmap_kernel_pmap;
struct vm_spin pmap_list_lock = VM_SPIN_INIT(VM_RANK_ASID);
struct pmap *pmap_list;

static struct vm_zone pmap_zone;
static _Atomic uint32_t pmap_default_format;

/* ---- life ------------------------------------------------------------- */

/* after NULL: first of all, which is before the hand (budget.c). */
void
pmap_list_insert(struct pmap *pm, struct pmap *after)
{
    pm->all_prev = after;
    pm->all_next = after != NULL ? after->all_next : pmap_list;
    if (pm->all_next != NULL) {
        pm->all_next->all_prev = pm;
    }
    if (after != NULL) {
        after->all_next = pm;
    } else {
        pmap_list = pm;
    }
}

void
pmap_list_remove(struct pmap *pm)
{
    if (pm->all_prev != NULL) {
        pm->all_prev->all_next = pm->all_next;
    } else {
        pmap_list = pm->all_next;
    }
    if (pm->all_next != NULL) {
        pm->all_next->all_prev = pm->all_prev;
    }
}

/*
 * A header may still be named by stale hints, and pending may be raised by
 * one who found something in its last life: neither is reset.  Nor are the
 * tables that are still charged to it, in limbo.
 */
static int
pmap_make(struct vm_seq *seq, bool kernel, struct pmap **out)
{
    struct pmap *pm = vm_zone_alloc(&pmap_zone);
    int error;

    if (pm == NULL) {
        return VM_E_NOMEM;
    }
    KASSERT(vm_get(&pm->state) == PMAP_DEAD && vm_get(&pm->active) == 0);
    pm->seq = seq;
    /* Strangers may look: written in the first life of the kernel's only. */
    if (kernel) {
        pm->kernel = true;
    }
    vm_set(&pm->format, (uint8_t)vm_get(&pmap_default_format));
    vm_set(&pm->holds, 0);
    vm_set(&pm->cached, 0);
    vm_set(&pm->limit, UINT32_MAX);
    vm_set(&pm->peak, 0);
    vm_set(&pm->tagged, true);
    vm_set(&pm->large, true);
    error = pt_create(pm);
    if (error != VM_OK) {
        vm_zone_free(&pmap_zone, pm);
        return error;
    }
    vm_spin_lock(&pmap_list_lock);
    pmap_list_insert(pm, NULL);
    vm_spin_unlock(&pmap_list_lock);
    atomic_store_explicit(&pm->state, PMAP_LIVE, memory_order_release);
    *out = pm;
    return VM_OK;
}

static int
first_format(void)
{
    for (unsigned i = 0; i < pt_format_count(); i++) {
        if (pmap_set_default_format(i) == VM_OK) {
            return VM_OK;
        }
    }
    return VM_E_INVAL;
}

int
pmap_init(struct vm_seq *seq)
{
    int error;

    epoch_init();
    asid_init();
    pv_init();
    budget_init();
    vm_zone_init(&pmap_zone, "pmap", sizeof(struct pmap));
    pmap_kernel_pmap = NULL;
    error = pt_init();
    if (error == VM_OK) {
        error = first_format();
    }
    if (error == VM_OK) {
        error = pmap_make(seq, true, &pmap_kernel_pmap);
    }
    return error;
}

struct pmap *
pmap_kernel(void)
{
    return pmap_kernel_pmap;
}

int
pmap_create(struct vm_seq *seq, struct pmap **out)
{
    return pmap_make(seq, false, out);
}

void
pmap_finish(struct pmap *pm)
{
    uint32_t dying = PMAP_DYING;

    /* Several may see it dying and left by all; one ends it. */
    if (atomic_load_explicit(&pm->active, memory_order_seq_cst) != 0 ||
        atomic_load_explicit(&pm->pins, memory_order_seq_cst) != 0 ||
        !atomic_compare_exchange_strong_explicit(&pm->state, &dying,
            PMAP_DEAD, memory_order_seq_cst, memory_order_relaxed)) {
        return;
    }
    vm_spin_lock(&pmap_list_lock);
    pmap_list_remove(pm);
    vm_spin_unlock(&pmap_list_lock);
    pt_destroy(pm);
    vm_zone_free(&pmap_zone, pm);
}

void
pmap_destroy(struct pmap *pm)
{
    struct pmap_batch own;

    KASSERT(!pm->kernel && vm_get(&pm->state) == PMAP_LIVE);
    pmap_batch_begin(&own);
    pmap_revoke_range(pm, vm_get(&pm->start), vm_get(&pm->end),
        VM_PROT_NONE, tlb_batch(&own));
    pmap_batch_commit(&own);
    /*
     * Against who leaves it or unpins it: clear active or pins, then read
     * state.
     */
    atomic_store_explicit(&pm->state, PMAP_DYING, memory_order_seq_cst);
    pmap_finish(pm);
    limbo_poll();
}

void
pmap_bounds(const struct pmap *pm, vaddr_t *start, vaddr_t *end)
{
    *start = vm_get(&pm->start);
    *end = vm_get(&pm->end);
}

int
pmap_set_default_format(unsigned format)
{
    if (format >= pt_format_count() ||
        pt_format_page_shift(format) > vm_page_shift) {
        return VM_E_INVAL;
    }
    vm_set(&pmap_default_format, format);
    return VM_OK;
}

/* ---- entering --------------------------------------------------------- */

/*
 * What is written may be code one day, what is executed needs caches in
 * step with it.  page: NULL for a frame of no object.
 */
static void
enter_icache(struct vm_page *page, paddr_t pa, vm_prot_t prot)
{
    if ((prot & VM_PROT_EXEC) != 0 && (page == NULL ||
            (vm_page_flags(page) & VM_PG_ICACHE) == 0)) {
        pmap_md_icache_sync(pa, VM_PAGE_SIZE);
    }
    if (page != NULL && (prot & VM_PROT_WRITE) != 0) {
        vm_page_clear(page, VM_PG_ICACHE);
    } else if (page != NULL) {
        vm_page_set(page, VM_PG_ICACHE);
    }
}

/*
 * Before rights beyond READ are granted: a grant to write is a promise
 * that the page is marked modified (asserted).  True: enter_icache() has
 * something to do.
 */
static inline bool
enter_rights(struct vm_page *page, vm_prot_t prot)
{
    uint32_t flags = page == NULL ? 0 : vm_page_flags(page);

    KASSERT(page == NULL || (prot & VM_PROT_WRITE) == 0 ||
        (flags & VM_PG_MODIFIED) != 0);
    if ((flags & VM_PG_ICACHE) != 0) {
        return (prot & VM_PROT_WRITE) != 0;
    }
    return (prot & VM_PROT_EXEC) != 0;
}

/* Out of the way of the hot path, which needs no stack frame. */
static __attribute__((noinline)) int
enter_code(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq)
{
    enter_icache(pv_page(pa), pa, prot);
    return pt_enter(pm, va, pa, prot, flags, seq);
}

int
pmap_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq)
{
    KASSERT(vm_page_aligned(va | pa));
    /* A format may have come that does not reach va: VM_E_RETRY. */
    KASSERT(vm_get(&pm->start) <= va &&
        (!pm->kernel || va < vm_get(&pm->end)));
    KASSERT((prot & VM_PROT_READ) != 0 && (prot & ~VM_PROT_ALL) == 0);
    KASSERT((flags & PMAP_WIRED) == 0 || pm->kernel);
    if ((flags & PMAP_DEVICE) != 0) {
        prot &= ~VM_PROT_EXEC;
    }
    if ((prot & (VM_PROT_WRITE | VM_PROT_EXEC)) != 0 &&
        enter_rights(pv_page(pa), prot)) {
        return enter_code(pm, va, pa, prot, flags, seq);
    }
    return pt_enter(pm, va, pa, prot, flags, seq);
}

int
pmap_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq)
{
    KASSERT(vm_page_aligned(va) && pv_managed(page));
    KASSERT(vm_get(&pm->start) <= va &&
        (!pm->kernel || va < vm_get(&pm->end)));
    KASSERT((prot & VM_PROT_READ) != 0 && (prot & ~VM_PROT_ALL) == 0);
    if ((prot & (VM_PROT_WRITE | VM_PROT_EXEC)) != 0 &&
        enter_rights(page, prot)) {
        return enter_code(pm, va, vm_page_pa(page), prot, 0, seq);
    }
    return pt_enter_page(pm, va, page, prot, seq);
}

/* Out of the way of a loop whose registers are its speed. */
__attribute__((noinline)) void
pmap_near_icache(struct vm_page *page, vm_prot_t prot)
{
    if (enter_rights(page, prot)) {
        enter_icache(page, vm_page_pa(page), prot);
    }
}

unsigned
pmap_prefill(struct pmap *pm, vaddr_t va, const struct pmap_near *near,
    vm_seq_t seq)
{
    KASSERT(vm_page_aligned(va) && va >= vm_get(&pm->start));
    KASSERT((near->prot[0] & near->prot[1] & VM_PROT_READ) != 0);
    KASSERT((near->prot[0] & VM_PROT_WRITE) == 0);
    KASSERT(near->n - 1 < 32 && near->want >> (near->n - 1) <= 1);
    return pt_prefill(pm, va, near, seq);
}

/* ---- revoking --------------------------------------------------------- */

void
pmap_revoke_range(struct pmap *pm, vaddr_t start, vaddr_t end, vm_prot_t keep,
    struct tlb_batch *b)
{
    pt_restrict(pm, start, end, keep, b);
    tlb_batch_pending(b, pm);
    tlb_batch_revoked(b, pm, start, end, ~(paddr_t)0, keep);
}

/* The whole of a change that concerns one page. */
static inline bool
revoke_page(struct pmap *pm, vaddr_t start, vaddr_t end, vm_prot_t keep,
    bool skip)
{
    /* The kernel's would cost the program's next fault its note. */
    if (end - start != VM_PAGE_SIZE || pm->kernel ||
        !pt_restrict_page(pm, start, keep, skip)) {
        return false;
    }
#if VM_TEST
    pmap_test_revoked(pm, start, end, ~(paddr_t)0, keep);
#endif
    return true;
}

void
pmap_remove(struct pmap *pm, vaddr_t start, vaddr_t end,
    struct pmap_batch *batch)
{
    struct pmap_batch own;
    struct pmap_batch *b = batch != NULL ? batch : &own;

    KASSERT(vm_page_aligned(start | end) && start < end);
    KASSERT(vm_get(&pm->start) <= start && end <= vm_get(&pm->end));
    pt_event_any(EV_REMOVE, 1);
    if (batch == NULL) {
        if (revoke_page(pm, start, end, VM_PROT_NONE,
                VM_MUTANT(REMOVE_NO_FLUSH))) {
            return;
        }
        pmap_batch_begin(&own);
    }
    tlb_batch_skip(tlb_batch(b), VM_MUTANT(REMOVE_NO_FLUSH));
    pmap_revoke_range(pm, start, end, VM_PROT_NONE, tlb_batch(b));
    tlb_batch_skip(tlb_batch(b), false);
    if (batch == NULL) {
        pmap_batch_commit(&own);
    }
}

void
pmap_protect(struct pmap *pm, vaddr_t start, vaddr_t end, vm_prot_t prot,
    struct pmap_batch *batch)
{
    struct pmap_batch own;
    struct pmap_batch *b = batch != NULL ? batch : &own;

    KASSERT(vm_page_aligned(start | end) && start < end);
    KASSERT(vm_get(&pm->start) <= start && end <= vm_get(&pm->end));
    if ((prot & VM_PROT_READ) == 0) {
        prot = VM_PROT_NONE;
    }
    if (prot == VM_PROT_ALL) {
        return;
    }
    pt_event_any(EV_PROTECT, 1);
    if (batch == NULL) {
        if (revoke_page(pm, start, end, prot,
                VM_MUTANT(PROTECT_NO_FLUSH))) {
            return;
        }
        pmap_batch_begin(&own);
    }
    tlb_batch_skip(tlb_batch(b), VM_MUTANT(PROTECT_NO_FLUSH));
    pmap_revoke_range(pm, start, end, prot, tlb_batch(b));
    tlb_batch_skip(tlb_batch(b), false);
    if (batch == NULL) {
        pmap_batch_commit(&own);
    }
}

void
pmap_page_protect(struct vm_page *page, vm_prot_t prot,
    struct pmap_batch *batch)
{
    struct pmap_batch own;
    struct pmap_batch *b = batch != NULL ? batch : &own;

    if (!pv_managed(page)) {
        return;
    }
    if (batch == NULL) {
        pmap_batch_begin(&own);
    }
    tlb_batch_skip(tlb_batch(b), VM_MUTANT(PAGE_PROTECT_NO_FLUSH));
    pv_protect(page, (prot & VM_PROT_READ) != 0 ? prot : VM_PROT_NONE,
        tlb_batch(b), batch == NULL);
    tlb_batch_skip(tlb_batch(b), false);
    pt_event_any(EV_PAGE_PROTECT, 1);
}

void
pmap_page_forget(struct vm_page *page, const struct pmap *pm, vaddr_t start,
    vaddr_t end)
{
    if (!pv_forget(page, pm, start, end)) {
        pmap_page_protect(page, VM_PROT_NONE, NULL);
    }
}

bool
pmap_page_age(struct vm_page *page)
{
    return pv_managed(page) && pv_age(page);
}

bool
pmap_extract(struct pmap *pm, vaddr_t va, paddr_t *pa, vm_prot_t *prot)
{
    return pt_extract(pm, va, pa, prot);
}
