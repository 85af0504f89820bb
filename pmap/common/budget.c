/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * budget.c - a ceiling for the table pages of user pmaps, and who gives up
 * his when it is reached.
 *
 * A frame counts from before it becomes a table until after it is none:
 * reachable, in limbo, or wiped and kept.  Each table in use is charged to
 * the pmap that it was made for, too, until it leaves limbo; the charge is
 * taken before the frame, so neither ceiling is ever passed.
 *
 * Eviction is voluntary forgetting: always right.  A clock's hand goes
 * round the list of pmaps, at most four times for one call:
 *
 *   first   all of a pmap that no CPU has loaded, its root included, if it
 *           was not loaded since the hand passed last
 *   second  all of any that no CPU has loaded; of one that is loaded, some
 *           leaf tables: not used since they were looked at last before
 *           those that were, sparse before dense (pt_evict())
 *   third   all but the root of one that is loaded
 *   fourth  the same of those that are held for progress (law 7), which the
 *           others pass over, but for one
 *
 * What counts is what was unlinked: a table in limbo, or in the hands of a
 * thread that waits for a CPU, is nobody's to give.
 *
 * PROGRESS.  A thread that is refused again and again at one instruction
 * holds its pmap, emptied first (vm_fault_thread()), so that nobody takes
 * away again what its instruction needs; that is less than
 * pt_insn_tables(), and the floor of a budget is that much for every CPU.
 * More threads than there are CPUs may hold theirs, sleep, and have no less
 * than all there is between them.  So one is favoured: the first to hold
 * when no other was.  It alone keeps what it has when all others have
 * nothing to give; so it gets on, lets go, and another is favoured.
 *
 * Locks: pmap_list_lock (ASID) for the hand; the counts are atomic
 */
#include "pt.h"

#define BUDGET_NONE     UINT64_MAX
#define BUDGET_BATCH    16u     /* tables evicted at once: one grace period */
#define BUDGET_PART     8u      /* but no more than this part of all */
#define BUDGET_ROUNDS   4u

static _Atomic uint64_t budget_limit;
static _Atomic uint64_t budget_tables;
static _Atomic uint64_t budget_peak;
static _Atomic uint64_t budget_evicted;
static _Atomic uint64_t budget_waits;
static struct pmap hand;        /* (l) in the list of pmaps */
static struct pmap *_Atomic favoured;   /* of those that are held, or NULL */

void
budget_init(void)
{
    vm_set(&budget_limit, BUDGET_NONE);
    vm_set(&budget_tables, 0);
    vm_set(&budget_peak, 0);
    vm_set(&budget_evicted, 0);
    vm_set(&budget_waits, 0);
    vm_set(&favoured, NULL);
    pmap_list_lock = (struct vm_spin)VM_SPIN_INIT(VM_RANK_ASID);
    vm_set(&hand.state, PMAP_HAND);
    hand.kernel = true;
    hand.all_next = NULL;
    hand.all_prev = NULL;
    pmap_list = &hand;
}

/* ---- counting --------------------------------------------------------- */

/* A mark of the highest: a lost race only makes it a little low. */
static void
peak_note(_Atomic uint64_t *peak, uint64_t n)
{
    if (n > vm_get(peak)) {
        vm_set(peak, n);
    }
}

bool
budget_take(void)
{
    uint64_t was = vm_get(&budget_tables);

    do {
        if (was >= vm_get(&budget_limit)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget_tables, &was,
        was + 1, memory_order_relaxed, memory_order_relaxed));
    peak_note(&budget_peak, was + 1);
    return true;
}

void
budget_give(void)
{
    (void)atomic_fetch_sub_explicit(&budget_tables, 1,
        memory_order_relaxed);
}

bool
budget_own(struct pmap *pm)
{
    uint32_t was = vm_get(&pm->tables);

    do {
        if (was >= vm_get(&pm->limit)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&pm->tables, &was,
        was + 1, memory_order_relaxed, memory_order_relaxed));
    if (was >= vm_get(&pm->peak)) {
        vm_set(&pm->peak, was + 1);
    }
    return true;
}

void
budget_disown(struct pmap *pm)
{
    (void)atomic_fetch_sub_explicit(&pm->tables, 1, memory_order_relaxed);
}

static bool
is_over_own(struct pmap *pm)
{
    return vm_get(&pm->tables) + (uint64_t)PT_MAX_LEVELS >
        vm_get(&pm->limit);
}

/* A page may need a table of every level at once. */
bool
pmap_is_over(struct pmap *pm)
{
    return vm_get(&budget_tables) + PT_MAX_LEVELS > vm_get(&budget_limit) ||
        is_over_own(pm);
}

/* ---- eviction --------------------------------------------------------- */

static bool
is_held(struct pmap *pm)
{
    return atomic_load_explicit(&pm->holds, memory_order_acquire) != 0;
}

void
budget_held(struct pmap *pm)
{
    struct pmap *none = NULL;

    (void)atomic_compare_exchange_strong_explicit(&favoured, &none, pm,
        memory_order_relaxed, memory_order_relaxed);
}

void
budget_released(struct pmap *pm)
{
    (void)atomic_compare_exchange_strong_explicit(&favoured, &pm, NULL,
        memory_order_relaxed, memory_order_relaxed);
}

/* pm is held, and would like to be favoured. */
static bool
is_favoured(struct pmap *pm)
{
    struct pmap *f = vm_get(&favoured);

    /* One that was released while it became favoured, or is no more? */
    if (f == NULL || !is_held(f)) {
        (void)atomic_compare_exchange_strong_explicit(&favoured, &f, pm,
            memory_order_relaxed, memory_order_relaxed);
    }
    return vm_get(&favoured) == pm;
}

/*
 * The next live user pmap after the hand, pinned, the hand behind it; NULL:
 * it has come to the end, and begins anew.
 */
static struct pmap *
hand_next(void)
{
    struct pmap *pm;
    bool live = false;

    do {
        vm_spin_lock(&pmap_list_lock);
        pm = hand.all_next;
        while (pm != NULL && (pm->kernel ||
                vm_get(&pm->state) != PMAP_LIVE)) {
            pm = pm->all_next;
        }
        pmap_list_remove(&hand);
        pmap_list_insert(&hand, pm);
        live = pm != NULL && pmap_pin(pm);
        vm_spin_unlock(&pmap_list_lock);
        if (pm != NULL && !live) {
            pmap_unpin(pm);
        }
    } while (pm != NULL && !live);
    return pm;
}

static unsigned
evict_tables(struct pmap *pm, unsigned want)
{
    struct pmap_batch own;
    struct tlb_batch *b = tlb_batch(&own);
    unsigned n;

    pmap_batch_begin(&own);
    n = pt_evict(pm, want, b);
    tlb_batch_pending(b, pm);
    pmap_batch_commit(&own);
    return n;
}

/* All that pm has, but for the root of one that is loaded. */
static unsigned
evict_all(struct pmap *pm)
{
    unsigned n = 0;

    (void)change_evict(pm, &n);
    return n;
}

/* What the hand does with pm in that round. */
static unsigned
evict_from(struct pmap *pm, unsigned round, unsigned want)
{
    bool idle = vm_get(&pm->active) == 0, recent = vm_get(&pm->recent);

    if (vm_get(&pm->tables) == 0 ||
        (is_held(pm) && (round < BUDGET_ROUNDS - 1 || is_favoured(pm)))) {
        return 0;
    }
    if (!idle) {
        return round == 0 ? 0 : round == 1 ? evict_tables(pm, want) :
            evict_all(pm);
    }
    vm_set(&pm->recent, false);
    return recent && round == 0 ? 0 : evict_all(pm);
}

static unsigned
evict_rounds(unsigned want, unsigned rounds)
{
    unsigned n = 0, round = 0;

    while (n < want && round < rounds) {
        struct pmap *pm = hand_next();

        if (pm == NULL) {
            round++;
            continue;
        }
        n += evict_from(pm, round, want - n);
        pmap_unpin(pm);
    }
    return n;
}

/* pm is at its own limit: it alone can give. */
static unsigned
evict_own(struct pmap *pm, unsigned want)
{
    unsigned n;

    if (is_held(pm)) {
        return 0;
    }
    n = evict_tables(pm, want);
    return n != 0 ? n : evict_all(pm);
}

/* How many to evict at once under that ceiling. */
static unsigned
batch(uint64_t limit)
{
    uint64_t part = limit / BUDGET_PART;

    return part > BUDGET_BATCH ? BUDGET_BATCH : part < PT_MAX_LEVELS ?
        PT_MAX_LEVELS : (unsigned)part;
}

bool
pmap_make_room(struct pmap *pm)
{
    unsigned n;

    n = (unsigned)limbo_reap(true);
    pt_trim();
    if (n != 0 && !pmap_is_over(pm)) {
        return true;
    }
    /*
     * For want of memory, only what lies idle: who runs would have to get
     * his tables back from what is just as scarce.
     */
    n = is_over_own(pm) ? evict_own(pm, batch(vm_get(&pm->limit))) :
        evict_rounds(batch(vm_get(&budget_limit)),
            pmap_is_over(pm) ? BUDGET_ROUNDS : 1);
    if (n != 0) {
        (void)atomic_fetch_add_explicit(&budget_evicted, n,
            memory_order_relaxed);
        pt_event_any(EV_EVICTED, n);
        (void)limbo_reap(true);
        pt_trim();
    } else if (pmap_is_over(pm)) {
        (void)atomic_fetch_add_explicit(&budget_waits, 1,
            memory_order_relaxed);
    }
    return n != 0;
}

/* ---- the ceilings ----------------------------------------------------- */

uint64_t
pmap_budget_floor(void)
{
    return (uint64_t)asid_cpus() * pt_insn_tables();
}

int
pmap_set_budget(uint64_t tables)
{
    if (tables != 0 && tables < pmap_budget_floor()) {
        return VM_E_INVAL;
    }
    vm_set(&budget_limit, tables == 0 ? BUDGET_NONE : tables);
    while (tables != 0 && vm_get(&budget_tables) > tables &&
        pmap_make_room(pmap_kernel_pmap)) {
        continue;
    }
    vm_set(&budget_peak, vm_get(&budget_tables));
    return VM_OK;
}

int
pmap_set_limit(struct pmap *pm, uint64_t tables)
{
    uint32_t limit = tables == 0 || tables >= UINT32_MAX ? UINT32_MAX :
        (uint32_t)tables;

    if (pm->kernel || (tables != 0 && tables < pmap_budget_floor())) {
        return VM_E_INVAL;
    }
    vm_set(&pm->limit, limit);
    while (vm_get(&pm->tables) > limit && pmap_make_room(pm)) {
        continue;
    }
    vm_set(&pm->peak, vm_get(&pm->tables));
    return VM_OK;
}

void
pmap_budget(struct pmap_budget *out)
{
    uint64_t limit = vm_get(&budget_limit);

    out->limit = limit == BUDGET_NONE ? 0 : limit;
    out->tables = vm_get(&budget_tables);
    out->peak = vm_get(&budget_peak);
    out->evicted = vm_get(&budget_evicted);
    out->waits = vm_get(&budget_waits);
}

void
pmap_limit(struct pmap *pm, struct pmap_budget *out)
{
    uint32_t limit = vm_get(&pm->limit);

    memset(out, 0, sizeof(*out));
    out->limit = limit == UINT32_MAX ? 0 : limit;
    out->tables = vm_get(&pm->tables);
    out->peak = vm_get(&pm->peak);
}
