/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c - the generic timer's virtual counter and comparator (D11.2).
 */
#include "machine.h"

#define CTL_ENABLE      1u
#define VIRTUAL         2u              /* in the binding's "interrupts" */

uint32_t timer_id = INTC_NONE;

/* Binding arm,arch_timer: secure, physical, virtual, hypervisor. */
void
timer_find(const void *fdt)
{
    struct fdt_node n = { 0 };
    uint32_t hz = 0;

    READ_REG(cntfrq_el0, md_tick_hz);
    if (!fdt_compatible(fdt, "arm,armv8-timer", &n)) {
        kern_panic("boot: no timer in the device tree");
    }
    if (fdt_u32(&n, "clock-frequency", &hz)) {
        md_tick_hz = hz;
    }
    timer_id = intc_of_node(&n, VIRTUAL);
    if (timer_id == INTC_NONE || md_tick_hz == 0) {
        kern_panic("boot: the timer has no virtual interrupt or no rate");
    }
}

void
md_timer_set(uint64_t deadline)
{
    WRITE_REG(cntv_cval_el0, deadline);
    WRITE_REG(cntv_ctl_el0, CTL_ENABLE);
    __asm__ volatile("isb" : : : "memory");
}

/* The line is a level: it falls when the timer is off. */
void
timer_interrupt(void)
{
    WRITE_REG(cntv_ctl_el0, 0);
    __asm__ volatile("isb" : : : "memory");
    kern_interrupt_timer();
}

void
md_devices_init(const struct boot_info *b)
{
    (void)b;
    WRITE_REG(cntv_ctl_el0, 0);
    intc_init(true);
    intc_enable(INTC_IPI);
    intc_enable(timer_id);
    console_init();
}

/* D1.6.2: WFI ends with a pending interrupt, masked or not. */
void
md_idle(void)
{
    __asm__ volatile("dsb sy; wfi; msr daifclr, #2" : : : "memory");
}
