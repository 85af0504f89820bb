/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/timer.c - the TSC tells the time, the local APIC's timer interrupts.
 *
 * How fast either runs, hardly any machine tells.  Both are measured against
 * the one clock with a known frequency, channel 2 of the 8254 (1.193182 MHz),
 * for 256 of its ticks, 0.2 ms.  Its edges are watched, so a tick more or
 * less is no error; and of a few edges the one that was seen at once counts,
 * so a virtual machine that did not run for a while does not spoil it.
 *
 * Source: SDM 10.5.4 (APIC timer), 17.17 (TSC); Intel 8254 data sheet.
 */
#include "cpu.h"

#define PIT_HZ          1193182u
#define PIT_CHANNEL2    0x42u
#define PIT_MODE        0x43u
#define PIT_RATE2       0xb4u           /* channel 2, both bytes, mode 2 */
#define PIT_LATCH2      0x80u
#define PIT_GATE        0x61u           /* bit 0: channel 2 counts; 1: beep */

#define TIMER_DIVIDE16  0x3u
#define LVT_MASKED      (1u << 16)

#define MEASURE_TICKS   256u
#define MEASURE_EDGES   4u
#define HZ_STEP         1000000u        /* finer than it is measured */

struct sample {
    unsigned pit;
    uint64_t ticks;
    uint32_t apic;
};

uint64_t md_tick_hz;
static uint64_t per_tick;               /* APIC's counts, 32.32 fixed point */
static uint64_t timer_deadline[VM_MAX_CPUS];

static unsigned
pit_read(void)
{
    unsigned low;

    outb(PIT_MODE, PIT_LATCH2);
    low = inb(PIT_CHANNEL2);
    return low | (unsigned)inb(PIT_CHANNEL2) << 8;
}

static void
timer_sample(struct sample *s)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < MEASURE_EDGES; i++) {
        unsigned last = pit_read(), pit;
        uint64_t before, after;

        do {
            before = md_ticks();
            pit = pit_read();
        } while (pit == last);
        after = md_ticks();
        if (after - before < best) {
            best = after - before;
            *s = (struct sample){ pit, after, lapic_read(LAPIC_CURRENT) };
        }
    }
}

static void
timer_measure(void)
{
    struct sample from, to;
    uint64_t ticks;
    unsigned pit;

    outb(PIT_GATE, (uint8_t)((inb(PIT_GATE) & ~2u) | 1));
    outb(PIT_MODE, PIT_RATE2);
    outb(PIT_CHANNEL2, 0);              /* 65536 */
    outb(PIT_CHANNEL2, 0);
    lapic_write(LAPIC_INITIAL, UINT32_MAX);
    timer_sample(&from);
    while (((from.pit - pit_read()) & 0xffff) < MEASURE_TICKS) {
        md_relax();
    }
    timer_sample(&to);
    pit = (from.pit - to.pit) & 0xffff;
    ticks = to.ticks - from.ticks;
    md_tick_hz = ticks * PIT_HZ / pit;
    md_tick_hz = (md_tick_hz + HZ_STEP / 2) / HZ_STEP * HZ_STEP;
    per_tick = ((uint64_t)(from.apic - to.apic) << 32) / ticks;
    if (md_tick_hz == 0 || per_tick == 0) {
        kern_panic("timer: the TSC or the APIC's timer does not count");
    }
    lapic_write(LAPIC_INITIAL, 0);
}

void
timer_init(void)
{
    lapic_write(LAPIC_DIVIDE, TIMER_DIVIDE16);
    lapic_write(LAPIC_TIMER, VECTOR_TIMER | LVT_MASKED);
    timer_measure();
    lapic_write(LAPIC_TIMER, VECTOR_TIMER);
}

/* The APIC counts 32 bits; what is farther off is set again on the way. */
void
md_timer_set(uint64_t deadline)
{
    uint64_t now = md_ticks(), count = 1;

    timer_deadline[kern_cpu()] = deadline;
    if (deadline > now) {
        uint64_t delta = deadline - now;

        delta = delta < UINT32_MAX ? delta : UINT32_MAX;
        count = (delta * per_tick >> 32) + 1;
        count = count < UINT32_MAX ? count : UINT32_MAX;
    }
    lapic_write(LAPIC_INITIAL, (uint32_t)count);
}

void
timer_interrupt(void)
{
    uint64_t deadline = timer_deadline[kern_cpu()];

    if (md_ticks() < deadline) {
        md_timer_set(deadline);
    } else {
        kern_interrupt_timer();
    }
}

void
md_devices_init(const struct boot_info *b)
{
    (void)b;
    intc_init();
    timer_init();
    (void)md_console_receive(true);
}
