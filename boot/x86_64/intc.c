/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/intc.c - local APIC (or x2APIC), and the I/O APIC for the console.
 *
 * Source: SDM chapter 10; Intel 82093AA data sheet for the I/O APIC; 8259A
 * data sheet for the two that are masked.
 */
#include "cpu.h"

#define APIC_X2         (1u << 10)      /* MSR_APIC_BASE */
#define APIC_ENABLE     (1u << 11)
#define APIC_ADDRESS    0xffffff000ull
#define CPUID1C_X2APIC  (1u << 21)
#define MSR_X2APIC      0x800u
#define LAPIC_ID        0x20u           /* SDM table 10-1 */
#define LAPIC_TPR       0x80u
#define LAPIC_EOI       0xb0u
#define LAPIC_SVR       0xf0u
#define LAPIC_ICR       0x300u
#define LAPIC_ICR_HIGH  0x310u
#define LAPIC_LINT0     0x350u
#define LVT_MASKED      (1u << 16)
#define SVR_ENABLE      (1u << 8)
#define ICR_ASSERT      (1u << 14)
#define ICR_PENDING     (1u << 12)

#define IOAPIC_SELECT   0x00u
#define IOAPIC_WINDOW   0x10u
#define IOAPIC_VERSION  0x01u
#define IOAPIC_ENTRY    0x10u
#define ENTRY_MASKED    (1u << 16)
#define ENTRY_LEVEL     (1u << 15)
#define ENTRY_LOW       (1u << 13)

paddr_t intc_ioapic;
uint32_t intc_console_pin = 4;
bool intc_console_level, intc_console_low;

static volatile uint32_t *lapic;        /* NULL: x2APIC */

uint32_t
lapic_read(unsigned reg)
{
    return lapic != NULL ? lapic[reg / 4] :
        (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
}

void
lapic_write(unsigned reg, uint32_t v)
{
    if (lapic != NULL) {
        lapic[reg / 4] = v;
    } else {
        wrmsr(MSR_X2APIC + reg / 16, v);
    }
}

uint32_t
lapic_id(void)
{
    uint32_t id = lapic_read(LAPIC_ID);

    return lapic != NULL ? id >> 24 : id;
}

void
lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

void
lapic_send(uint32_t apic_id, unsigned vector)
{
    bool enabled;

    if (lapic == NULL) {
        /* WRMSR to the x2APIC is not serializing (SDM 10.12.3). */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16,
            (uint64_t)apic_id << 32 | ICR_ASSERT | vector);
        return;
    }
    enabled = md_irq_save();
    while (lapic[LAPIC_ICR / 4] & ICR_PENDING) {
        md_relax();
    }
    lapic[LAPIC_ICR_HIGH / 4] = apic_id << 24;
    lapic[LAPIC_ICR / 4] = ICR_ASSERT | vector;
    md_irq_restore(enabled);
}

/*
 * Before boot_tables(), which maps the registers where boot_device() says;
 * the first tables have them there, too.
 */
void
intc_early(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_ENABLE;

    if (cpuid(1, 0).c & CPUID1C_X2APIC) {
        wrmsr(MSR_APIC_BASE, base | APIC_X2);
        return;
    }
    wrmsr(MSR_APIC_BASE, base);
    boot_device(base & APIC_ADDRESS, 4096);
    lapic = boot_device_ptr(base & APIC_ADDRESS);
}

static uint32_t
ioapic_read(unsigned reg)
{
    volatile uint32_t *io = boot_device_ptr(intc_ioapic);

    io[IOAPIC_SELECT / 4] = reg;
    return io[IOAPIC_WINDOW / 4];
}

static void
ioapic_write(unsigned reg, uint32_t v)
{
    volatile uint32_t *io = boot_device_ptr(intc_ioapic);

    io[IOAPIC_SELECT / 4] = reg;
    io[IOAPIC_WINDOW / 4] = v;
}

/* Vectors away from the processor's, then all lines masked. */
static void
pic_mask(void)
{
    static const uint8_t words[][2] = {
        { 0x11, 0x11 }, { VECTOR_PIC, VECTOR_PIC + 8 }, { 4, 2 }, { 1, 1 },
        { 0xff, 0xff }
    };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        outb(i == 0 ? 0x20 : 0x21, words[i][0]);
        outb(i == 0 ? 0xa0 : 0xa1, words[i][1]);
    }
}

/* Everything masked but what is asked for; the console to the boot CPU. */
void
intc_init(void)
{
    unsigned pins;

    pic_mask();
    lapic_write(LAPIC_LINT0, LVT_MASKED);
    lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    lapic_write(LAPIC_TPR, 0);
    if (intc_ioapic == 0) {
        return;
    }
    pins = (ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1;
    for (unsigned i = 0; i < pins; i++) {
        ioapic_write(IOAPIC_ENTRY + 2 * i, ENTRY_MASKED);
    }
    if (intc_console_pin < pins) {
        unsigned entry = IOAPIC_ENTRY + 2 * intc_console_pin;

        ioapic_write(entry + 1, lapic_id() << 24);
        ioapic_write(entry, VECTOR_CONSOLE |
            (intc_console_level ? ENTRY_LEVEL : 0) |
            (intc_console_low ? ENTRY_LOW : 0));
    }
}
