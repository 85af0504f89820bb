/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp.c - other CPUs and the power switch, by PSCI.
 *
 * Source: Power State Coordination Interface, DEN 0022F, chapter 5; SMC
 * Calling Convention, DEN 0028E; Linux's binding psci.
 */
#include "machine.h"

#define PSCI_CPU_ON     0xc4000003u
#define PSCI_SYSTEM_OFF 0x84000008u

static enum { PSCI_NONE, PSCI_HVC, PSCI_SMC } method;
static uint64_t affinity[BOOT_CPUS];
static struct start_cpu start[BOOT_CPUS];
static uint64_t image_offset;           /* physical less linked address */

void
smp_find(const void *fdt)
{
    struct fdt_node n = { 0 };
    const char *s;
    uint32_t size;

    if (!fdt_compatible(fdt, "arm,psci-0.2", &n)) {
        return;
    }
    s = fdt_property(&n, "method", &size);
    if (s != NULL && size == 4) {
        method = s[0] == 'h' ? PSCI_HVC : PSCI_SMC;
    }
}

static int64_t
psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;

    if (method == PSCI_HVC) {
        __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
            : : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
            "x12", "x13", "x14", "x15", "x16", "x17");
    } else {
        __asm__ volatile(".inst 0xd4000003"             /* smc #0 */
            : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
            : : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
            "x12", "x13", "x14", "x15", "x16", "x17");
    }
    return (int64_t)x0;
}

void
smp_off(void)
{
    if (method != PSCI_NONE) {
        (void)psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    }
}

void
smp_init(const struct boot_info *b, paddr_t root)
{
    for (unsigned i = 0; i < b->ncpus; i++) {
        affinity[i] = b->cpu[i];
        start[i].root = root;
    }
    image_offset = b->image_start - (uintptr_t)kern_image_start;
}

static paddr_t
image_pa(const void *p)
{
    return (uintptr_t)p + image_offset;
}

/* The new CPU reads its record with caches off: to memory with it. */
int
md_cpu_start(unsigned cpu, struct thread *idle)
{
    if (method == PSCI_NONE || cpu >= BOOT_CPUS || start[cpu].root == 0) {
        return VM_E_INVAL;
    }
    start[cpu].idle = idle;
    __asm__ volatile("dc civac, %0; dsb sy" : : "r"(&start[cpu]) : "memory");
    return psci(PSCI_CPU_ON, affinity[cpu], image_pa(start_cpu),
        image_pa(&start[cpu])) == 0 ? VM_OK : VM_E_INVAL;
}

void
md_ipi(unsigned cpu)
{
    intc_send(affinity[cpu], cpu);
}

/* From start.S, on its idle thread's stack. */
void
cpu_main(void)
{
    cpu_init();
    intc_init(false);
    intc_enable(INTC_IPI);
    intc_enable(timer_id);
    kern_cpu_main();
}
