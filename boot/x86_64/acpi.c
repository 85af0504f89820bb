/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/acpi.c - CPUs and the I/O APIC, from ACPI's MADT.
 *
 * Source: ACPI 6.4: 5.2.5 (RSDP), 5.2.7-8 (RSDT, XSDT), 5.2.12 (MADT).  Read
 * through the first tables; a table that they do not reach, or whose
 * checksum is wrong, is not there.
 */
#include "cpu.h"

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    uint8_t oem[26];
} __attribute__((packed));
struct acpi_rsdp {
    char signature[8];
    uint8_t checksum, oem[6], revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
} __attribute__((packed));
struct acpi_madt {
    struct acpi_header header;
    uint32_t lapic, flags;
} __attribute__((packed));

enum madt_type {
    MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9
};
struct madt_entry {
    uint8_t type, length;
    union {
        struct {
            uint8_t uid, id;
            uint32_t flags;
        } __attribute__((packed)) lapic;
        struct {
            uint8_t id, reserved;
            uint32_t address, base;
        } __attribute__((packed)) ioapic;
        struct {
            uint8_t bus, source;
            uint32_t gsi;
            uint16_t flags;
        } __attribute__((packed)) override;
        struct {
            uint16_t reserved;
            uint32_t id, flags, uid;
        } __attribute__((packed)) x2apic;
    };
} __attribute__((packed));
#define LAPIC_ENABLED   1u
#define CONSOLE_IRQ     4u              /* of COM1 on the ISA bus */

static const void *
acpi_at(const struct boot_info *b, paddr_t pa, uint32_t size)
{
    return pa != 0 && pa < b->early_end && size <= b->early_end - pa ?
        kern_frame_ptr(pa) : NULL;
}

static const struct acpi_header *
acpi_table(const struct boot_info *b, paddr_t pa, const char *signature)
{
    const struct acpi_header *h = acpi_at(b, pa, sizeof(*h));
    uint8_t sum = 0;

    if (h == NULL || memcmp(h->signature, signature, 4) != 0 ||
        h->length < sizeof(*h) || acpi_at(b, pa, h->length) == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < h->length; i++) {
        sum = (uint8_t)(sum + ((const uint8_t *)h)[i]);
    }
    return sum == 0 ? h : NULL;
}

static const struct acpi_header *
acpi_find(const struct boot_info *b, const struct acpi_rsdp *r,
    const char *signature)
{
    bool wide = r->revision >= 2 && r->xsdt != 0;
    uint32_t size = wide ? 8 : 4;
    const struct acpi_header *root = acpi_table(b, wide ? r->xsdt : r->rsdt,
        wide ? "XSDT" : "RSDT");

    if (root == NULL) {
        return NULL;
    }
    for (uint32_t at = sizeof(*root); at + size <= root->length; at += size) {
        const struct acpi_header *h;
        paddr_t pa = 0;

        memcpy(&pa, (const char *)root + at, size);
        h = acpi_table(b, pa, signature);
        if (h != NULL) {
            return h;
        }
    }
    return NULL;
}

static void
madt_cpu(struct boot_info *b, uint32_t id, uint32_t flags)
{
    if ((flags & LAPIC_ENABLED) != 0 && b->ncpus < BOOT_CPUS) {
        b->cpu[b->ncpus++] = id;
    }
}

static void
madt_entry(struct boot_info *b, const struct madt_entry *e)
{
    switch (e->type) {
    case MADT_LAPIC:
        madt_cpu(b, e->lapic.id, e->lapic.flags);
        break;
    case MADT_X2APIC:
        madt_cpu(b, e->x2apic.id, e->x2apic.flags);
        break;
    case MADT_IOAPIC:
        /* ISA's interrupts are at the first one. */
        if (e->ioapic.base == 0) {
            intc_ioapic = e->ioapic.address;
        }
        break;
    case MADT_OVERRIDE:
        /* Flags: 1:0 polarity (3: low), 3:2 trigger (3: level). */
        if (e->override.source == CONSOLE_IRQ) {
            intc_console_pin = e->override.gsi;
            intc_console_low = (e->override.flags & 3) == 3;
            intc_console_level = (e->override.flags >> 2 & 3) == 3;
        }
        break;
    default:
        break;
    }
}

void
acpi_read(struct boot_info *b, paddr_t rsdp)
{
    const struct acpi_rsdp *r = acpi_at(b, rsdp, sizeof(*r));
    const struct acpi_header *h = r == NULL ||
        memcmp(r->signature, "RSD PTR ", 8) != 0 ? NULL :
        acpi_find(b, r, "APIC");
    uint32_t at = sizeof(struct acpi_madt);

    while (h != NULL && at + 2 <= h->length) {
        const struct madt_entry *e =
            (const void *)((const char *)h + at);

        if (e->length < 2 || e->length > h->length - at) {
            return;
        }
        /* No type above is longer than its entry, or this is not read. */
        if (e->length >= (e->type == MADT_LAPIC ? 8 :
            e->type == MADT_IOAPIC ? 12 : e->type == MADT_OVERRIDE ? 10 :
            e->type == MADT_X2APIC ? 16 : 2)) {
            madt_entry(b, e);
        }
        at += e->length;
    }
}
