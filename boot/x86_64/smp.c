/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/smp.c - calls between CPUs.
 *
 * A call stands in the caller's slot; a bit in the target's word `calls`
 * names the slot.  The target runs it in its interrupt, or, where interrupts
 * are masked, in md_relax(): a CPU that waits for others serves them, so two
 * that call each other both get through.  A caller has preemption disabled,
 * and what it calls does not call again, hence one slot a CPU.
 */
#include "cpu.h"

#include "pmap_md.h"

struct smp_call {
    void (*fn)(void *);
    void *arg;
    _Atomic uint32_t left;              /* targets that are not done */
};
static struct smp_call slot[VM_MAX_CPUS];

void
smp_serve(void)
{
    struct md_cpu *c = cpu_of[kern_cpu()];
    uint64_t calls = atomic_exchange_explicit(&c->calls, 0,
        memory_order_acquire);

    while (calls != 0) {
        struct smp_call *s = &slot[__builtin_ctzll(calls)];

        calls &= calls - 1;
        s->fn(s->arg);
        /* Release: what fn did is seen by the caller that sees 0. */
        atomic_fetch_sub_explicit(&s->left, 1, memory_order_release);
    }
}

void
kern_ipi_call(struct pt_cpuset cpus, void (*fn)(void *), void *arg)
{
    unsigned self = kern_cpu();
    uint64_t others = cpus.bits & ~((uint64_t)1 << self);
    struct smp_call *s = &slot[self];

    s->fn = fn;
    s->arg = arg;
    atomic_store_explicit(&s->left,
        (uint32_t)__builtin_popcountll(others), memory_order_relaxed);
    for (uint64_t left = others; left != 0; left &= left - 1) {
        struct md_cpu *c = cpu_of[__builtin_ctzll(left)];

        KASSERT(c != NULL);
        atomic_fetch_or_explicit(&c->calls, (uint64_t)1 << self,
            memory_order_release);
        lapic_send(c->apic_id, VECTOR_CALL);
    }
    while (atomic_load_explicit(&s->left, memory_order_acquire) != 0) {
        md_relax();
    }
}

void
md_ipi(unsigned cpu)
{
    KASSERT(cpu_of[cpu] != NULL);
    lapic_send(cpu_of[cpu]->apic_id, VECTOR_IPI);
}

/* Only the boot CPU runs. */
int
md_cpu_start(unsigned cpu, struct thread *idle)
{
    (void)cpu;
    (void)idle;
    return VM_E_INVAL;
}

void
md_idle(void)
{
    /* STI takes effect after the next instruction (SDM vol. 2, STI). */
    __asm__ volatile("sti; hlt" : : : "memory");
}
