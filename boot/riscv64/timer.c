/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c - one interrupt at a value of the time counter: by the stimecmp of
 * Sstc (version 1.0, chapter 2) where it works, else SBI's set_timer (6.1).
 *
 * Both leave the interrupt pending until a later deadline is set, so the
 * interrupt is masked when it comes and unmasked by the next deadline.
 */
#include "machine.h"

#define NEVER   (~(uint64_t)0)

uint64_t md_tick_hz;

static bool timer_sstc;

/*
 * The device tree's word is not enough: firmware that does not know Sstc
 * leaves menvcfg.STCE clear, and the store is illegal.  If it traps, it goes
 * on at the next line all the same.  Interrupts are off.
 */
static bool
timer_try(void)
{
    uint64_t old = 0, trapped = 0;

    __asm__ volatile(
        ".option push\n"
        ".option norelax\n"
        "   lla     %1, 1f\n"
        "   csrrw   %0, stvec, %1\n"
        "   li      %1, 1\n"
        "   csrw    0x14d, %2\n"
        "   li      %1, 0\n"
        "   .balign 4\n"
        "1: csrw    stvec, %0\n"
        ".option pop\n"
        : "=&r"(old), "=&r"(trapped) : "r"(NEVER) : "memory");
    return trapped == 0;
}

void
timer_find(bool sstc)
{
    timer_sstc = sstc && timer_try();
}

void
md_timer_set(uint64_t deadline)
{
    if (timer_sstc) {
        CSR_WRITE(0x14d, deadline);
    } else {
        (void)sbi_call(SBI_TIME, 0, deadline, 0, 0);
    }
    CSR_SET(sie, SIE_TIMER);
}

void
timer_interrupt(void)
{
    CSR_CLEAR(sie, SIE_TIMER);
    kern_interrupt_timer();
}
