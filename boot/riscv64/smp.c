/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp.c - harts beside the first: SBI's hart state management (9.1) starts
 * them, its IPIs (7.1) interrupt them.
 */
#include "machine.h"
#include "pmap_md.h"
#include "thread.h"

#define SBI_AVAILABLE   (-6)            /* 3.2: it is started already */

_Static_assert(SMP_CPUS == VM_MAX_CPUS && SMP_HART ==
    offsetof(struct smp_start, hart) && SMP_IDLE ==
    offsetof(struct smp_start, idle) && SMP_SIZE == sizeof(struct smp_start),
    "struct smp_start");

/* Not in .bss, which start.S clears while others may look here. */
struct smp_start smp_start[VM_MAX_CPUS] __attribute__((section(".data")));
uint64_t smp_satp;
static unsigned smp_cpus;
static paddr_t smp_image;

void
smp_find(const struct boot_info *b)
{
    smp_cpus = b->ncpus < VM_MAX_CPUS ? b->ncpus : VM_MAX_CPUS;
    for (unsigned i = 0; i < smp_cpus; i++) {
        smp_start[i].hart = b->cpu[i];
    }
    smp_image = b->image_start;
    CSR_READ(satp, smp_satp);
}

uint64_t
kern_hart_of(unsigned cpu)
{
    KASSERT(cpu < smp_cpus);
    return smp_start[cpu].hart;
}

int
md_cpu_start(unsigned cpu, struct thread *idle)
{
    int64_t error;

    if (cpu == 0 || cpu >= smp_cpus) {
        return VM_E_INVAL;
    }
    /* The hart runs on this from the moment that it sees it. */
    atomic_store_explicit(&smp_start[cpu].idle, idle, memory_order_release);
    error = sbi_call(SBI_HSM, 0, smp_start[cpu].hart, smp_image, 0);
    return error == 0 || error == SBI_AVAILABLE ? VM_OK : VM_E_INVAL;
}

void
smp_main(void)
{
    trap_cpu_init();
    pmap_md_cpu_init();
    CSR_SET(sie, SIE_SOFT);
    kern_cpu_main();
}

void
md_ipi(unsigned cpu)
{
    int64_t error = sbi_call(SBI_IPI, 0, 1, kern_hart_of(cpu), 0);

    KASSERT(error == 0);
    (void)error;
}

void
md_flush_icache(void)
{
    pmap_md_icache_sync(0, 0);
}
