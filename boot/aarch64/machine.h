/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what the files of this port say to each other.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "boot.h"
#include "md.h"

#define READ_REG(r, v)  __asm__ volatile("mrs %0, " #r : "=r"(v))
#define WRITE_REG(r, v) \
    __asm__ volatile("msr " #r ", %0" : : "r"((uint64_t)(v)) : "memory")

/* ---- start.S ---------------------------------------------------------- */

/* For a CPU that starts with caches off. */
struct start_cpu {
    uint64_t root;                      /* TTBR1 */
    struct thread *idle;
} __attribute__((aligned(16)));
extern char start_cpu[];
extern struct thread boot_thread;
extern pte_t early_l1[];
void start_tables(paddr_t root, uint64_t offset);

/* MPIDR_EL1 without its flags: what the device tree calls a CPU. */
#define MPIDR_AFFINITY  0xff00ffffffu

/* ---- boot.c ----------------------------------------------------------- */

/* From start.S.  tick: the counter at entry. */
_Noreturn void md_boot(paddr_t fdt, paddr_t image, uint64_t tick);
/* Registers that each CPU sets for itself, once its tables are final. */
void cpu_init(void);

/* ---- found in the device tree, before boot_tables() --------------------- */

bool console_find(const void *fdt);     /* console_pa is set */
extern paddr_t console_pa;
void intc_find(const void *fdt);
void timer_find(const void *fdt);
void smp_find(const void *fdt);

/* ---- interrupts ------------------------------------------------------- */

#define INTC_NONE       ~0u
#define INTC_IPI        0u              /* the software-generated one */

/* Interrupt i of a node (GIC bindings, "interrupts"); INTC_NONE: no such. */
uint32_t intc_of_node(const struct fdt_node *n, unsigned i);
/* Each CPU for itself; the boot CPU first, with the distributor. */
void intc_init(bool boot);
void intc_enable(uint32_t id);
void intc_send(uint64_t mpidr, unsigned cpu);
/* From trap.S: serve what is pending. */
void intc_interrupt(void);

extern uint32_t timer_id, console_id;
void timer_interrupt(void);
void console_init(void);

/* ---- smp.c ------------------------------------------------------------ */

/* root: of the final tables. */
void smp_init(const struct boot_info *b, paddr_t root);
/* Power off by PSCI; returns if there is none. */
void smp_off(void);
_Noreturn void cpu_main(void);

/* ---- trap.S, context.S ------------------------------------------------ */

/*
 * From trap.S, interrupts disabled: all but system calls and interrupts.
 * It disables them again.
 */
void trap_user(struct md_frame *f, uint64_t esr, uint64_t far);
void trap_kernel(struct md_frame *f, uint64_t esr, uint64_t far);
void trap_stack(struct md_frame *f, uint64_t esr, uint64_t far);
extern char probe_call[], probe_called[];

/* Device registers: one access, in program order. */
static inline uint32_t
reg_read(const volatile void *base, uint32_t offset)
{
    return *(const volatile uint32_t *)((const volatile char *)base +
        offset);
}

static inline void
reg_write(volatile void *base, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)((volatile char *)base + offset) = value;
}

#endif
