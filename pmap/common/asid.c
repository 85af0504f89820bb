/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * asid.c - which address space a CPU runs, under which identifier, and
 * which CPUs a flush must reach.
 *
 * ACTIVE AND CACHED.  pm->active: CPUs that have pm loaded.  pm->cached:
 * CPUs whose TLB holds nothing stale under pm's ASID, so that loading pm
 * needs no flush.  A flush tells the active CPUs and strikes the others
 * from cached:
 *
 *   flush:     F1 edit of the tables (before)    activate:  A1 active |= me
 *              F2 was = active; cached &= was               A2 read cached
 *              F3 fence; tell (was | active)                A3 load the root
 * If A2 finds the bit, F2 has not struck it; then A1 precedes F3's reading
 * of active, and the CPU is told (before or after A3: invalidation works by
 * ASID).  If it does not, the CPU flushes before it walks.  A CPU in "was"
 * that leaves meanwhile is told all the same, so it may keep its bit.  On a
 * machine that broadcasts, a flush reaches every CPU, and strikes none.
 * A CPU that activates after F3's reading walks what F1 wrote.
 *
 * ASIDS.  pm->asid holds generation << 16 | ASID.  When all are used, a new
 * generation begins: every pmap needs a new one at its next activation,
 * except those that some CPU runs or is about to run, which keep theirs.
 *
 *   roll:      R1 generation++               activate:  B1 next = pm
 *              R2 read next, then current               B2 read generation
 * Either R2 sees pm and reserves its ASID, or B2 sees the new generation
 * and asks under the lock.  "current" stands until the hardware has left
 * that root.  A recycled ASID comes with cached == 0, so each CPU flushes
 * it before the first use by its new owner: that is all that a roll-over
 * needs of TLBs.  Without ASIDs all users share number 1 and every
 * activation flushes.
 *
 * UNTAGGED.  A pmap that is not to have an ASID of its own uses number 1,
 * which no other gets, and is flushed at each activation, as all are where
 * the machine has none.
 *
 * CHANGING.  Who puts another root in place of pm's, or takes it away, sets
 * PMAP_CHANGING in pm->active first.  A CPU that comes to load pm sees it
 * when it sets its own bit, takes that back and waits; one that had set its
 * bit before is waited for until it has loaded the old root (current == pm)
 * or left.  Then it is made to load the new one, if it still runs in pm at
 * that moment (pmap_md_reload()); if it is about to leave, it is waited for.
 * Nobody waits in a circle: who waits to load one pmap has left the other
 * before, and the changer takes no lock that anybody holds while he waits
 * for the change (asid_flush()) but asid_lock, under which nobody waits.
 * The new root comes with a new ASID, so that what TLBs hold of the old
 * tables belongs to nobody; it is flushed before another gets that number.
 *
 * The flush reads pm->asid after the CPUs: if pm got a new one meanwhile,
 * then either it sees that, or the CPU flushed the new one after the edit.
 *
 * Locks: asid_lock (ASID) for the bitmap and for giving out an ASID
 */
#include "pt.h"

#include <pmap_md.h>

#define ASID_MAX        65536u
#define ASID_SHARED     1u              /* PT_ASID_KERNEL is 0 */

static struct vm_spin asid_lock = VM_SPIN_INIT(VM_RANK_ASID);
static uint64_t asid_used[ASID_MAX / 64];       /* (asid_lock) */
static uint32_t asid_next;                      /* (asid_lock) */
static uint32_t asid_count;                     /* (c) 0: no ASIDs */
static _Atomic uint64_t asid_generation;        /* (asid_lock), (a) read */
static _Atomic uint64_t cpus_online;            /* (a) ever activated */

static void
asid_clear(void)
{
    for (unsigned i = 0; i < ASID_MAX / 64; i++) {
        asid_used[i] = 0;
    }
    asid_used[0] = 1u << PT_ASID_KERNEL | 1u << ASID_SHARED;
    asid_next = ASID_SHARED + 1;
}

void
asid_init(void)
{
    unsigned bits = pmap_md_asid_bits();

    KASSERT(bits <= PMAP_MD_ASID_BITS && bits <= 16);
    asid_count = bits == 0 ? 0 : 1u << bits;
    asid_clear();
    /* Never 0: that is what a header that had no ASID yet holds. */
    vm_set(&asid_generation, 1);
    kern_preempt_disable();
    vm_set(&cpus_online, (uint64_t)1 << kern_cpu());
    kern_preempt_enable();
}

/* ---- identifiers ------------------------------------------------------ */

/* Next free ASID, 0 if none.  asid_lock is held. */
static uint32_t
asid_find(void)
{
    for (uint32_t i = 0; i < asid_count; i++) {
        uint32_t a = (asid_next + i) & (asid_count - 1);

        if ((asid_used[a / 64] >> (a % 64) & 1) == 0) {
            asid_used[a / 64] |= (uint64_t)1 << (a % 64);
            asid_next = a + 1;
            return a;
        }
    }
    return 0;
}

/* pm runs, or is about to run: it takes its ASID into the generation. */
static void
asid_keep(struct pmap *pm, uint64_t generation)
{
    uint64_t word;
    uint32_t a;

    if (pm == NULL || pm->kernel) {
        return;
    }
    word = vm_get(&pm->asid);
    if (word >> 16 != generation - 1) {
        return;             /* kept already, or waiting for a new one */
    }
    a = (uint32_t)(word & 0xffff);
    asid_used[a / 64] |= (uint64_t)1 << (a % 64);
    atomic_store_explicit(&pm->asid, generation << 16 | a,
        memory_order_seq_cst);
}

static void
asid_roll(void)
{
    uint64_t generation = vm_get(&asid_generation) + 1;

    asid_clear();
    atomic_store_explicit(&asid_generation, generation,
        memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        /* next first: it becomes current before it is cleared. */
        if (VM_MUTANT(ASID_NOT_KEPT)) {
            continue;
        }
        asid_keep(atomic_load_explicit(&pt_cpu[i].next,
            memory_order_seq_cst), generation);
        asid_keep(atomic_load_explicit(&pt_cpu[i].current,
            memory_order_seq_cst), generation);
    }
    pt_event_any(EV_ASID_ROLL, 1);
}

/* asid_lock is held, and nobody runs pm under what it has. */
static void
asid_give(struct pmap *pm)
{
    uint32_t a = ASID_SHARED;

    if (asid_count != 0 && vm_get(&pm->tagged) && (a = asid_find()) == 0) {
        asid_roll();
        a = asid_find();
        if (a == 0) {
            kern_panic("asid: fewer identifiers than CPUs");
        }
    }
    if (!VM_MUTANT(ASID_EARLY)) {
        atomic_store_explicit(&pm->cached, 0, memory_order_seq_cst);
    }
    atomic_store_explicit(&pm->asid, vm_get(&asid_generation) << 16 | a,
        memory_order_seq_cst);
}

void
pmap_roll_asids(void)
{
    if (asid_count != 0) {
        vm_spin_lock(&asid_lock);
        asid_roll();
        vm_spin_unlock(&asid_lock);
    }
}

/* pm has no ASID of this generation: give it one. */
static void
asid_take(struct pmap *pm)
{
    vm_spin_lock(&asid_lock);
    /* Another CPU may have been here first. */
    if (vm_get(&pm->asid) >> 16 != vm_get(&asid_generation)) {
        asid_give(pm);
    }
    vm_spin_unlock(&asid_lock);
}

/* ---- activation ------------------------------------------------------- */

/* A CPU that comes up may hold what was flushed before it was told. */
static void
cpu_online(uint64_t me)
{
    struct pt_flush f = {
        .asid = PT_ASID_KERNEL, .tables = true,
        .page_shift = vm_get(&pmap_kernel_pmap->page_shift)
    };

    (void)atomic_fetch_or_explicit(&cpus_online, me, memory_order_seq_cst);
    pmap_md_flush(&f, (struct pt_cpuset){ .bits = me });
}

/* This CPU has left pm. */
static void
asid_leave(struct pmap *pm, uint64_t me)
{
    if (pm == NULL || pm->kernel) {
        return;
    }
    (void)atomic_fetch_and_explicit(&pm->active, ~me, memory_order_seq_cst);
    /* Against pmap_destroy(): state = DYING, then read active. */
    if (atomic_load_explicit(&pm->state, memory_order_seq_cst) ==
        PMAP_DYING) {
        pmap_finish(pm);
    }
}

/*
 * pm is being changed: let go of it, and of the old space, until it is not
 * (see above).
 */
static __attribute__((noinline)) void
asid_wait(struct pmap *pm, struct pt_cpu *cpu, uint64_t me)
{
    struct pmap *old = vm_get(&cpu->current);

    atomic_store_explicit(&cpu->next, pmap_kernel_pmap,
        memory_order_seq_cst);
    (void)atomic_fetch_and_explicit(&pm->active, ~me, memory_order_seq_cst);
    if (old != NULL && !old->kernel) {
        pt_activate(pmap_kernel_pmap, PT_ASID_KERNEL, asid_count == 0);
        atomic_store_explicit(&cpu->current, pmap_kernel_pmap,
            memory_order_seq_cst);
        asid_leave(old, me);
    }
    while ((atomic_load_explicit(&pm->active, memory_order_seq_cst) &
            PMAP_CHANGING) != 0) {
        kern_relax();
        vm_point();
    }
}

/* Under which ASID, and must this CPU flush it first? */
static bool
asid_arrive(struct pmap *pm, struct pt_cpu *cpu, uint64_t me,
    uint32_t *asid)
{
    bool flush;

    for (;;) {
        atomic_store_explicit(&cpu->next, pm, memory_order_seq_cst);
        if (__builtin_expect((atomic_fetch_or_explicit(&pm->active, me,
                memory_order_seq_cst) & PMAP_CHANGING) == 0, 1)) {
            break;
        }
        asid_wait(pm, cpu, me);
    }
    /* A1 before A2, and before what the hardware will read in tables. */
    atomic_thread_fence(memory_order_seq_cst);
    vm_point();
    if (((atomic_load_explicit(&pm->asid, memory_order_seq_cst) >> 16 ^
            atomic_load_explicit(&asid_generation, memory_order_seq_cst)) &
            (VM_MUTANT(GENERATION_NARROW) ? 3 : UINT64_MAX)) != 0) {
        asid_take(pm);
    }
    /*
     * Before cached, and it is this one that is loaded: a change that begins
     * now gives pm another, for which we would have to flush, too.  Until we
     * are sent over to that we run under the old one, as others do.
     */
    *asid = asid_of(pm);
    flush = *asid == ASID_SHARED ||
        (atomic_load_explicit(&pm->cached, memory_order_seq_cst) & me) == 0;
    if (flush) {
        (void)atomic_fetch_or_explicit(&pm->cached, me,
            memory_order_seq_cst);
    }
    vm_point();
    return flush;
}

/*
 * There is no root for pm: stay where we are.  A flush that was due is still
 * due when this CPU comes back.
 */
static int
asid_retreat(struct pmap *pm, struct pt_cpu *cpu, uint64_t me, bool flush,
    int error)
{
    if (flush) {
        (void)atomic_fetch_and_explicit(&pm->cached, ~me,
            memory_order_seq_cst);
    }
    atomic_store_explicit(&cpu->next, NULL, memory_order_seq_cst);
    asid_leave(pm, me);
    return error;
}

int
pmap_activate(struct pmap *pm)
{
    struct pt_cpu *cpu = &pt_cpu[kern_cpu()];
    uint64_t me = (uint64_t)1 << kern_cpu();
    struct pmap *old = vm_get(&cpu->current);
    int error;

    if ((vm_get(&cpus_online) & me) == 0) {
        cpu_online(me);
    }
    if (old == pm) {
        return VM_OK;
    }
    if (pm->kernel) {
        /* A changer must not make us load the space that we leave. */
        atomic_store_explicit(&cpu->next, pm, memory_order_seq_cst);
        pt_activate(pm, PT_ASID_KERNEL, asid_count == 0);
    } else {
        KASSERT(vm_get(&pm->state) == PMAP_LIVE);
        vm_set(&pm->recent, true);
        uint32_t asid;
        bool flush = asid_arrive(pm, cpu, me, &asid);
        error = pt_ready(pm);
        if (error != VM_OK) {
            return asid_retreat(pm, cpu, me, flush, error);
        }
        old = vm_get(&cpu->current);
        pt_activate(pm, asid, flush);
    }
    atomic_store_explicit(&cpu->current, pm, memory_order_seq_cst);
    atomic_store_explicit(&cpu->next, NULL, memory_order_seq_cst);
    asid_leave(old, me);
    return VM_OK;
}

/* ---- another root ------------------------------------------------------ */

bool
asid_runs(void *pm, unsigned cpu)
{
    struct pt_cpu *c = &pt_cpu[cpu];

    return atomic_load_explicit(&c->next, memory_order_seq_cst) == NULL &&
        atomic_load_explicit(&c->current, memory_order_seq_cst) == pm;
}

unsigned
asid_cpus(void)
{
    return (unsigned)__builtin_popcountll(atomic_load_explicit(&cpus_online,
        memory_order_relaxed));
}

bool
asid_change(struct pmap *pm, bool idle)
{
    uint64_t active = atomic_load_explicit(&pm->active,
        memory_order_seq_cst);

    do {
        if ((active & PMAP_CHANGING) != 0 || (idle && active != 0)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&pm->active, &active,
        active | PMAP_CHANGING, memory_order_seq_cst,
        memory_order_seq_cst));
    vm_point();
    return true;
}

void
asid_reload(struct pmap *pm)
{
    uint32_t asid;

    vm_spin_lock(&asid_lock);
    if (!VM_MUTANT(FORMAT_KEEPS)) {
        asid_give(pm);
    }
    vm_spin_unlock(&asid_lock);
    asid = asid_of(pm);
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        uint64_t cpu = (uint64_t)1 << i;

        /* It has left, or runs on the new root. */
        while ((atomic_load_explicit(&pm->active, memory_order_seq_cst) &
                cpu) != 0 && !pt_reload(pm, asid, i)) {
            kern_relax();
            vm_point();
        }
    }
    /* A CPU that was on its way may have noted that it flushed the old. */
    atomic_store_explicit(&pm->cached, 0, memory_order_seq_cst);
}

void
asid_drop(struct pmap *pm)
{
    /* A roll that has met pm in "next" of a CPU that waits, not meanwhile. */
    vm_spin_lock(&asid_lock);
    atomic_store_explicit(&pm->asid, 0, memory_order_seq_cst);
    vm_spin_unlock(&asid_lock);
}

void
asid_changed(struct pmap *pm)
{
    (void)atomic_fetch_and_explicit(&pm->active, ~PMAP_CHANGING,
        memory_order_seq_cst);
    vm_point();
    if (atomic_load_explicit(&pm->state, memory_order_seq_cst) ==
        PMAP_DYING) {
        pmap_finish(pm);
    }
}

/* ---- flushing --------------------------------------------------------- */

static uint64_t
flush_cpus(struct pmap *pm)
{
    uint64_t was;

    /* The edits, before anything below is read. */
    atomic_thread_fence(memory_order_seq_cst);
    if (pm->kernel) {
        return atomic_load_explicit(&cpus_online, memory_order_seq_cst);
    }
    /* Some CPU may still walk a root that we do not see. */
    while (((was = atomic_load_explicit(&pm->active,
            memory_order_seq_cst)) & PMAP_CHANGING) != 0) {
        kern_relax();
        vm_point();
    }
    if (PMAP_MD_BROADCAST) {
        return was | atomic_load_explicit(&pm->cached,
            memory_order_seq_cst);
    }
    (void)atomic_fetch_and_explicit(&pm->cached, was,
        memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    vm_point();
    return (was | atomic_load_explicit(&pm->active, memory_order_seq_cst)) &
        ~PMAP_CHANGING;
}

void
asid_flush(struct pmap *pm, struct pt_flush *f)
{
    struct pt_cpuset cpus;
    struct pt_cpu *cpu;

    kern_preempt_disable();
    do {
        cpus.bits = flush_cpus(pm) &
            ~((uint64_t)VM_MUTANT(CPU_LEFT_OUT) << 1);
        f->asid = asid_of(pm) + VM_MUTANT(WRONG_ASID);
        /* The new ASID, and some CPU still runs under the old one? */
    } while ((atomic_load_explicit(&pm->active, memory_order_seq_cst) &
        PMAP_CHANGING) != 0);
    f->page_shift = vm_get(&pm->page_shift);
    if (cpus.bits != 0) {
        pmap_md_flush(f, cpus);
        cpu = &pt_cpu[kern_cpu()];
        pt_event(cpu, EV_FLUSH, 1);
        pt_event(cpu, EV_FLUSHED_CPU,
            (uint64_t)__builtin_popcountll(cpus.bits));
        pt_event(cpu, EV_FULL_FLUSH, f->n == 0);
    }
    kern_preempt_enable();
}

/* Quiet: no two live pmaps share an ASID of this generation. */
void
asid_check(void)
{
    uint64_t generation = vm_get(&asid_generation);

    for (struct pmap *a = pmap_list; asid_count != 0 && a != NULL;
        a = a->all_next) {
        uint64_t word = vm_get(&a->asid);

        if (a->kernel || word >> 16 != generation ||
            (word & 0xffff) == ASID_SHARED) {
            continue;
        }
        if ((asid_used[(word & 0xffff) / 64] >> (word % 64) & 1) == 0) {
            kern_panic("asid: %u in use and free",
                (unsigned)(word & 0xffff));
        }
        for (struct pmap *b = a->all_next; b != NULL; b = b->all_next) {
            if (!b->kernel && vm_get(&b->asid) == word) {
                kern_panic("asid: %u given twice",
                    (unsigned)(word & 0xffff));
            }
        }
    }
}
