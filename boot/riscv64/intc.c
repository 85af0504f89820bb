/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intc.c - the platform-level interrupt controller.  Source: RISC-V PLIC
 * Specification 1.0.0, chapters 3 to 9; Linux's binding
 * sifive,plic-1.0.0.yaml: entry i of interrupts-extended is where context i
 * leads, a hart's controller and the number of the interrupt there.
 *
 * All sources go to the boot hart.
 */
#include "machine.h"

#define INTC_ENABLE     (0x2000u / 4)
#define INTC_CONTEXT    (0x200000u / 4)
#define INTC_SOURCES    1024u

static volatile uint32_t *intc_base;    /* NULL: there is none */
static uint32_t intc_context;

/* A hart's id: reg of its node, of one cell or two, on no bus. */
static uint64_t
hart_id(const struct fdt_node *cpu)
{
    uint32_t size = 0;
    const void *reg = fdt_property(cpu, "reg", &size);

    return size == 4 ? fdt_cell(reg, 0) : size == 8 ?
        (uint64_t)fdt_cell(reg, 0) << 32 | fdt_cell(reg, 1) :
        ~(uint64_t)0;
}

/* The phandle of the controller inside a hart's node; 0: none. */
static uint32_t
hart_phandle(const void *fdt, uint64_t hart)
{
    struct fdt_node cpu = { 0 };
    uint32_t phandle;

    while (fdt_compatible(fdt, "riscv", &cpu)) {
        if (hart_id(&cpu) == hart) {
            return fdt_compatible(fdt, "riscv,cpu-intc", &cpu) &&
                fdt_u32(&cpu, "phandle", &phandle) ? phandle : 0;
        }
    }
    return 0;
}

void
intc_find(const void *fdt, uint64_t hart)
{
    uint32_t phandle = hart_phandle(fdt, hart), size = 0;
    struct fdt_node n;
    const void *to;
    void *base = boot_find(fdt, "riscv,plic0", &n);

    if (base == NULL) {
        base = boot_find(fdt, "sifive,plic-1.0.0", &n);
    }
    if (base == NULL || phandle == 0) {
        return;
    }
    to = fdt_property(&n, "interrupts-extended", &size);
    for (uint32_t i = 0; i < size / 8; i++) {
        if (fdt_cell(to, 2 * i) == phandle &&
            fdt_cell(to, 2 * i + 1) == IRQ_EXTERNAL) {
            intc_base = base;
            intc_context = i;
        }
    }
}

void
intc_init(void)
{
    if (intc_base != NULL) {
        intc_base[INTC_CONTEXT + 0x400 * intc_context] = 0;     /* all */
        CSR_SET(sie, SIE_EXTERNAL);
    }
}

void
intc_enable(uint32_t source)
{
    if (intc_base != NULL && source != 0 && source < INTC_SOURCES) {
        intc_base[source] = 1;                          /* priority */
        intc_base[INTC_ENABLE + 0x20 * intc_context + source / 32] |=
            1u << source % 32;
    }
}

void
intc_interrupt(void)
{
    volatile uint32_t *claim =
        &intc_base[INTC_CONTEXT + 0x400 * intc_context + 1];
    uint32_t source;

    while ((source = *claim) != 0) {
        if (source == console_source) {
            kern_interrupt_console();
        }
        *claim = source;
    }
}
