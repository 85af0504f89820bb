/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c - another CPU's root, for pmap/common.
 *
 * A CPU that is to load another root is told by an interrupt and does it in
 * its handler, where it is in the midst of no switch that still() could not
 * see.  Each CPU that asks has one request; each that is asked finds whose
 * in its own word.
 *
 * Locks: none; the caller's preemption is disabled, so its request is its
 *        own until it is answered
 */
#include "md.h"
#include "pt_md.h"
#include "sched.h"

struct reload {
    const struct pt_format *f;
    paddr_t root;
    uint32_t asid;
    bool (*still)(void *arg, unsigned cpu);
    void *arg;
    bool did;
    _Atomic bool done;
};

static struct reload requests[VM_MAX_CPUS];
static _Atomic uint64_t asked[VM_MAX_CPUS];     /* (a) bits: by whom */

static bool
reload_here(const struct reload *r)
{
    if (!r->still(r->arg, kern_cpu())) {
        return false;
    }
    pmap_md_activate(r->f, r->root, r->asid, true);
    return true;
}

void
kern_mmu_serve(void)
{
    uint64_t by = atomic_exchange_explicit(&asked[kern_cpu()], 0,
        memory_order_acquire);

    for (; by != 0; by &= by - 1) {
        struct reload *r = &requests[__builtin_ctzll(by)];

        r->did = reload_here(r);
        /* Release: what was done is seen by who sees it done. */
        atomic_store_explicit(&r->done, true, memory_order_release);
    }
}

bool
pmap_md_reload(const struct pt_format *f, paddr_t root, uint32_t asid,
    unsigned cpu, bool (*still)(void *arg, unsigned cpu), void *arg)
{
    struct reload *r = &requests[kern_cpu()];

    r->f = f;
    r->root = root;
    r->asid = asid;
    r->still = still;
    r->arg = arg;
    if (cpu == kern_cpu()) {
        return reload_here(r);
    }
    atomic_store_explicit(&r->done, false, memory_order_relaxed);
    atomic_fetch_or_explicit(&asked[cpu], (uint64_t)1 << kern_cpu(),
        memory_order_release);
    md_ipi(cpu);
    while (!atomic_load_explicit(&r->done, memory_order_acquire)) {
        /* Whom we ask may be asking us. */
        kern_mmu_serve();
        kern_relax();
    }
    return r->did;
}
