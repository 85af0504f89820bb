/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_mmu.c - the simulated machine: configuration, CPUs, and the
 * privileged operations of pt_md.h.
 *
 * A flush reaches its CPUs one by one, in any order, and others run in
 * between: the only thing it promises is what is true when it returns.
 */
#include "sim_impl.h"

const struct sim_config sim_default = {
    .asid_bits = 4,
    .speculate = 24,
    .evict = 0,
    .forget_walk = 4,
    .negative = 60,
    .latency = 40
};

struct sim_config sim_config;
struct sim_cpu sim_cpus[VM_MAX_CPUS];
struct sim_space sim_kernel;

void
sim_lock(struct sim_cpu *c)
{
    if (!host_in_fibers) {
        pthread_mutex_lock(&c->lock);
    }
}

void
sim_unlock(struct sim_cpu *c)
{
    if (!host_in_fibers) {
        pthread_mutex_unlock(&c->lock);
    }
}

void
sim_lock_both(struct sim_cpu *a, struct sim_cpu *b)
{
    sim_lock(a->index < b->index ? a : b);
    sim_lock(a->index < b->index ? b : a);
}

/* ---- configuration ---------------------------------------------------- */

void
sim_configure(const struct sim_config *config)
{
    sim_config = *config;
    if (sim_config.asid_bits > PMAP_MD_ASID_BITS) {
        sim_config.asid_bits = PMAP_MD_ASID_BITS;
    }
}

static void
sim_seed(void)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        sim_cpus[i].random = host_derive(0x10000 + i);
        sim_cpus[i].countdown = 1;
    }
}

void
sim_reset(const struct sim_config *config)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        memset(&sim_cpus[i], 0, sizeof(sim_cpus[i]));
        sim_cpus[i].index = i;
        pthread_mutex_init(&sim_cpus[i].lock, NULL);
    }
    sim_kernel = (struct sim_space){ 0 };
    if (config != NULL) {
        sim_configure(config);
    }
    sim_seed();
}

static void
sim_boot(void)
{
    sim_reset(NULL);
}

__attribute__((constructor)) static void
sim_init(void)
{
    sim_reset(&sim_default);
    host_hooks.boot = sim_boot;
    host_hooks.seed = sim_seed;
    host_hooks.point = sim_speculate;
    host_hooks.alloc = sim_check_alloc;
}

void
sim_stats(struct sim_stats *out)
{
    uint64_t *sum = (uint64_t *)(void *)out;

    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        const uint64_t *one = (uint64_t *)(void *)&sim_cpus[i].stats;

        sim_lock(&sim_cpus[i]);
        for (size_t n = 0; n < sizeof(*out) / sizeof(*sum); n++) {
            sum[n] += one[n];
        }
        sim_unlock(&sim_cpus[i]);
    }
}

/* ---- spaces ----------------------------------------------------------- */

/* Is va one that a table of this format can translate? */
static bool
canonical(const struct pt_format *f, vaddr_t va)
{
    unsigned bits = pt_shift(f, f->levels);

    /* What the boot layer has outside of its window is not simulated. */
    if (sim_is_kernel_va(va)) {
        return f->kernel_start <= va && va < f->kernel_end;
    }
    /* The lower half has a table of its own, or half of one. */
    return va >> (f->shared_root ? bits - 1 : bits) == 0;
}

bool
sim_space_of(const struct sim_cpu *c, vaddr_t va, struct sim_space *out)
{
    bool kernel = sim_is_kernel_va(va);

    *out = c->space;
    if (kernel && (c->space.root == 0 || !c->space.f->shared_root)) {
        out->f = sim_kernel.f;
        out->root = sim_kernel.root;
    }
    if (kernel) {
        out->pm = NULL;         /* whoever runs here */
    }
    return out->f != NULL && out->root != 0 && canonical(out->f, va);
}

/* ---- pt_md.h ---------------------------------------------------------- */

static struct sim_cpu *
self(const char *who)
{
    struct sim_cpu *c = &sim_cpus[kern_cpu()];

    if (host_self->preempt == 0) {
        sim_violation(SIM_CALL, c, 0, "%s() with preemption enabled", who);
    }
    return c;
}

unsigned
pmap_md_asid_bits(void)
{
    return sim_config.asid_bits;
}

uint64_t
pmap_md_formats(void)
{
    uint64_t all = (UINT64_C(1) << PTE_FORMATS) - 1;

    return sim_config.formats == 0 ? all : sim_config.formats & all;
}

paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    if (made != 0) {
        sim_kernel.f = f;
        sim_kernel.root = made;
    }
    return made;
}

void
pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus)
{
    struct sim_cpu *me = self("pmap_md_flush");
    unsigned first = (unsigned)sim_pick(me, VM_MAX_CPUS);

    if (f->n > PT_FLUSH_RANGES) {
        sim_violation(SIM_CALL, me, 0, "pmap_md_flush: %u ranges", f->n);
    }
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        struct sim_cpu *c = &sim_cpus[(first + i) % VM_MAX_CPUS];

        if ((cpus.bits >> c->index & 1) == 0) {
            continue;
        }
        vm_point();
        if (host_in_fibers && sim_config.latency != 0) {
            host_sleep_steps(sim_pick(me, sim_config.latency));
        }
        sim_lock(c);
        sim_tlb_flush(c, f);
        c->stats.flushed_cpus++;
        sim_unlock(c);
    }
    vm_point();
    sim_lock(me);
    me->stats.flushes++;
    sim_unlock(me);
}

void
pmap_md_activate(const struct pt_format *f, paddr_t root, uint32_t asid,
    bool flush_asid)
{
    struct sim_cpu *c = self("pmap_md_activate");

    if (sim_config.asid_bits != 0 && asid >> sim_config.asid_bits != 0) {
        sim_violation(SIM_CALL, c, 0, "ASID %u of %u bits", asid,
            sim_config.asid_bits);
    }
    if (root != 0 && root != sim_kernel.root && asid == PT_ASID_KERNEL) {
        sim_violation(SIM_CALL, c, 0, "user root with the kernel's ASID");
    }
    if (root != 0 && SIM_HAS_TABLES) {
        sim_check_table(c, 0, root, "pmap_md_activate()");
    }
    vm_point();
    sim_lock(c);
    vm_set(&c->runs, true);
    c->space.f = f;
    c->space.root = root;
    c->space.asid = asid;
    c->space.pm = root == 0 ? NULL : vm_get(&pt_cpu[c->index].next);
    /* Without ASIDs a new root is a flush (SDM 4.10.4.1). */
    if (flush_asid || sim_config.asid_bits == 0) {
        sim_tlb_flush_asid(c, asid, sim_config.asid_bits == 0);
    }
    memset(c->recent, 0, sizeof(c->recent));
    c->stats.activations++;
    sim_unlock(c);
    vm_point();
}

bool
pmap_md_reload(const struct pt_format *f, paddr_t root, uint32_t asid,
    unsigned cpu, bool (*still)(void *arg, unsigned cpu), void *arg)
{
    struct sim_cpu *me = self("pmap_md_reload"), *c = &sim_cpus[cpu];
    bool does;

    if (SIM_HAS_TABLES) {
        sim_check_table(me, 0, root, "pmap_md_reload()");
    }
    vm_point();
    if (host_in_fibers && c != me && sim_config.latency != 0) {
        host_sleep_steps(sim_pick(me, sim_config.latency));
    }
    sim_lock(c);
    does = still(arg, cpu);
    if (does) {
        c->space.f = f;
        c->space.root = root;
        c->space.asid = asid;
        sim_tlb_flush_asid(c, asid, sim_config.asid_bits == 0);
        memset(c->recent, 0, sizeof(c->recent));
    }
    sim_unlock(c);
    vm_point();
    return does;
}

void
pmap_md_fence(vaddr_t va, uint32_t asid)
{
    struct sim_cpu *c = self("pmap_md_fence");

    sim_lock(c);
    sim_tlb_flush_page(c, va, asid);
    c->stats.fences++;
    sim_unlock(c);
}

void
pmap_md_icache_sync(paddr_t pa, size_t size)
{
    struct sim_cpu *c = &sim_cpus[kern_cpu()];

    (void)pa;
    (void)size;
    sim_lock(c);
    c->stats.icache_syncs++;
    sim_unlock(c);
}

/*
 * pmap_md_publish().  Stores reach walkers in program order, as on x86: the
 * walker runs on the host's own caches.
 */
void sim_publish(void);
static _Atomic uint64_t published;

void
sim_publish(void)
{
    atomic_fetch_add_explicit(&published, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    vm_point();
}

uint64_t
sim_published(void)
{
    return vm_get(&published);
}
