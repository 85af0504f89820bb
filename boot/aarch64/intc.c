/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intc.c - GICv2 and GICv3, as far as one timer, one console and one
 * software-generated interrupt need them.
 *
 * All interrupts have one priority and are level-sensitive; they never
 * nest.  SGIs and PPIs (id < 32) belong to a CPU: in version 3 they are set
 * up in its redistributor, which has the distributor's registers for them.
 *
 * Sources: GIC Architecture 2.0, IHI 0048B.b, chapter 4; 3 and 4, IHI 0069H,
 * chapter 12; Linux's bindings arm,gic and arm,gic-v3.
 */
#include "machine.h"

#define GICD_CTLR       0x0000
#define GICD_TYPER      0x0004
#define GIC_IGROUPR     0x0080          /* these, in redistributors, too */
#define GIC_ISENABLER   0x0100
#define GIC_ICENABLER   0x0180
#define GIC_IPRIORITYR  0x0400
#define GICD_ITARGETSR  0x0800
#define GICD_SGIR       0x0f00
#define GICD_IROUTER    0x6000
#define CTLR_V3         (1u << 4 | 1u << 1)     /* ARE_NS, EnableGrp1 */
#define CTLR_RWP        (1u << 31)

#define GICC_CTLR       0x00
#define GICC_PMR        0x04
#define GICC_IAR        0x0c
#define GICC_EOIR       0x10

#define GICR_TYPER      0x08
#define GICR_WAKER      0x14
#define TYPER_VLPIS     (1u << 1)
#define TYPER_LAST      (1u << 4)
#define WAKER_SLEEP     (1u << 1)
#define WAKER_ASLEEP    (1u << 2)
#define GICR_FRAME      0x10000u        /* RD_base, SGI_base, each */

#define PRIORITY        0x80808080u
#define SPURIOUS        1020u           /* and up */
#define REGIONS         4u

/* 12.2: the system registers, by encoding. */
#define ICC_PMR         S3_0_C4_C6_0
#define ICC_SGI1R       S3_0_C12_C11_5
#define ICC_IAR1        S3_0_C12_C12_0
#define ICC_EOIR1       S3_0_C12_C12_1
#define ICC_SRE         S3_0_C12_C12_5
#define ICC_IGRPEN1     S3_0_C12_C12_7
#define GIC_READ(r, v)  READ_REG_(r, v)
#define GIC_WRITE(r, v) WRITE_REG_(r, v)
#define READ_REG_(r, v) READ_REG(r, v)
#define WRITE_REG_(r, v) WRITE_REG(r, v)

static bool v3;
static volatile void *gicd, *gicc;
static struct {
    volatile char *base;
    uint64_t size;
} region[REGIONS];                      /* version 3: of redistributors */
static volatile void *private[VM_MAX_CPUS];     /* registers of id < 32 */
static uint8_t target[VM_MAX_CPUS];     /* version 2: CPU interfaces */

void
intc_find(const void *fdt)
{
    static const char *const old[] = {
        "arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic"
    };
    struct fdt_node n = { 0 };
    uint32_t regions = 1;

    v3 = fdt_compatible(fdt, "arm,gic-v3", &n);
    for (unsigned i = 0; !v3 && gicd == NULL && i < 3; i++) {
        n = (struct fdt_node){ 0 };
        if (fdt_compatible(fdt, old[i], &n)) {
            gicd = fdt_registers(&n, 0, NULL);
            gicc = fdt_registers(&n, 1, NULL);
        }
    }
    if (v3) {
        gicd = fdt_registers(&n, 0, NULL);
        (void)fdt_u32(&n, "#redistributor-regions", &regions);
        for (unsigned i = 0; i < regions && i < REGIONS; i++) {
            region[i].base = fdt_registers(&n, 1 + i, &region[i].size);
        }
    }
    if (gicd == NULL || (v3 ? region[0].base == NULL : gicc == NULL)) {
        kern_panic("boot: no interrupt controller in the device tree");
    }
}

uint32_t
intc_of_node(const struct fdt_node *n, unsigned i)
{
    uint32_t size;
    const void *p = fdt_property(n, "interrupts", &size);

    if (p == NULL || size < (i + 1) * 12) {
        return INTC_NONE;
    }
    /* Type, number, flags; type 0 is an SPI, 1 a PPI. */
    return fdt_cell(p, 3 * i + 1) + (fdt_cell(p, 3 * i) == 0 ? 32 : 16);
}

static uint64_t
my_affinity(void)
{
    uint64_t mpidr;

    READ_REG(mpidr_el1, mpidr);
    return mpidr & MPIDR_AFFINITY;
}

/* The redistributor of this CPU: TYPER has its affinity, packed. */
static volatile char *
redistributor(void)
{
    uint64_t me = my_affinity();
    uint32_t packed = (uint32_t)(me & 0xffffff) | (uint32_t)(me >> 32) << 24;

    for (unsigned i = 0; i < REGIONS && region[i].base != NULL; i++) {
        uint64_t at = 0;
        uint32_t type;

        do {
            volatile char *r = region[i].base + at;

            type = reg_read(r, GICR_TYPER);
            if (reg_read(r, GICR_TYPER + 4) == packed) {
                return r;
            }
            at += (type & TYPER_VLPIS ? 4 : 2) * GICR_FRAME;
        } while ((type & TYPER_LAST) == 0 && at < region[i].size);
    }
    kern_panic("boot: this CPU has no redistributor");
}

static void
distributor_wait(void)
{
    while (v3 && (reg_read(gicd, GICD_CTLR) & CTLR_RWP) != 0) {
        md_relax();
    }
}

/* Shared interrupts off, in group 1 where there are groups, to this CPU. */
static void
distributor_init(void)
{
    uint32_t ids = 32 * ((reg_read(gicd, GICD_TYPER) & 31) + 1);

    reg_write(gicd, GICD_CTLR, 0);
    distributor_wait();
    for (uint32_t i = 32; i < ids; i += 32) {
        reg_write(gicd, GIC_ICENABLER + i / 8, ~0u);
        if (v3) {
            reg_write(gicd, GIC_IGROUPR + i / 8, ~0u);
        }
    }
    for (uint32_t i = 32; i < ids; i += 4) {
        reg_write(gicd, GIC_IPRIORITYR + i, PRIORITY);
    }
    distributor_wait();
    reg_write(gicd, GICD_CTLR, v3 ? CTLR_V3 : 1);
    distributor_wait();
}

static void
cpu_init_v3(unsigned cpu)
{
    volatile char *r = redistributor();

    reg_write(r, GICR_WAKER, reg_read(r, GICR_WAKER) & ~WAKER_SLEEP);
    while ((reg_read(r, GICR_WAKER) & WAKER_ASLEEP) != 0) {
        md_relax();
    }
    private[cpu] = r + GICR_FRAME;
    reg_write(private[cpu], GIC_IGROUPR, ~0u);
    GIC_WRITE(ICC_SRE, 1);
    __asm__ volatile("isb");
    GIC_WRITE(ICC_PMR, 0xff);
    GIC_WRITE(ICC_IGRPEN1, 1);
    __asm__ volatile("isb");
}

void
intc_init(bool boot)
{
    unsigned cpu = kern_cpu();

    if (boot) {
        distributor_init();
    }
    if (v3) {
        cpu_init_v3(cpu);
    } else {
        private[cpu] = gicd;
        /* 4.3.12: my own interrupts target me; 0 where I am alone. */
        target[cpu] = (uint8_t)reg_read(gicd, GICD_ITARGETSR);
        target[cpu] = target[cpu] != 0 ? target[cpu] : 1;
        reg_write(gicc, GICC_PMR, 0xff);
        reg_write(gicc, GICC_CTLR, 1);
    }
    reg_write(private[cpu], GIC_ICENABLER, ~0u);
    for (uint32_t i = 0; i < 32; i += 4) {
        reg_write(private[cpu], GIC_IPRIORITYR + i, PRIORITY);
    }
}

void
intc_enable(uint32_t id)
{
    unsigned cpu = kern_cpu();
    volatile void *base = id < 32 ? private[cpu] : gicd;

    if (id >= 32 && v3) {
        reg_write(gicd, GICD_IROUTER + 8 * id, (uint32_t)my_affinity());
        reg_write(gicd, GICD_IROUTER + 8 * id + 4,
            (uint32_t)(my_affinity() >> 32));
    } else if (id >= 32) {
        *((volatile uint8_t *)gicd + GICD_ITARGETSR + id) = target[cpu];
    }
    reg_write(base, GIC_ISENABLER + id / 32 * 4, 1u << id % 32);
}

void
intc_send(uint64_t mpidr, unsigned cpu)
{
    __asm__ volatile("dsb ishst" : : : "memory");
    if (!v3) {
        reg_write(gicd, GICD_SGIR, (uint32_t)target[cpu] << 16 | INTC_IPI);
        return;
    }
    GIC_WRITE(ICC_SGI1R, (mpidr >> 32 & 0xff) << 48 |
        (mpidr >> 16 & 0xff) << 32 | (mpidr >> 8 & 0xff) << 16 |
        (mpidr >> 4 & 15) << 44 | 1ull << (mpidr & 15) |
        (uint64_t)INTC_IPI << 24);
    __asm__ volatile("isb");
}

static void
dispatch(uint32_t id)
{
    if (id == timer_id) {
        timer_interrupt();
    } else if (id == INTC_IPI) {
        kern_interrupt_ipi();
    } else if (id == console_id) {
        kern_interrupt_console();
    }
}

void
intc_interrupt(void)
{
    uint64_t iar;

    if (v3) {
        GIC_READ(ICC_IAR1, iar);
        if ((iar & 0xffffff) < SPURIOUS) {
            dispatch((uint32_t)iar & 0xffffff);
            GIC_WRITE(ICC_EOIR1, iar);
        }
    } else {
        iar = reg_read(gicc, GICC_IAR);
        if ((iar & 0x3ff) < SPURIOUS) {
            dispatch((uint32_t)iar & 0x3ff);
            reg_write(gicc, GICC_EOIR, (uint32_t)iar);
        }
    }
}
