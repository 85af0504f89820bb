/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/boot.c - what the PVH boot protocol tells.
 *
 * Source: Xen's public/arch-x86/hvm/start_info.h, which is interface.  All
 * addresses in it are physical and, by its word, below 4 GiB.
 */
#include "cpu.h"
#include "thread.h"

#include <pmap_md.h>
#include <pte.h>

#define PVH_MAGIC       0x336ec578u
#define PVH_RAM         1u              /* as E820 counts types */
#define LOADED          0x200000u
#define EARLY_END       0x100000000ull  /* start.S */
#define LOW_END         0x100000u
#define CPUID_PAGE1GB   (1u << 26)      /* 0x80000001 edx */

struct pvh_info {
    uint32_t magic, version, flags, nmodules;
    uint64_t modules, cmdline, rsdp;
    uint64_t memory;                    /* from version 1 */
    uint32_t nmemory, reserved;
};
struct pvh_module {
    uint64_t start, size, cmdline, reserved;
};
struct pvh_memory {
    uint64_t start, size;
    uint32_t type, reserved;
};

extern uint64_t start_tick;
extern char boot_stack_top[];
static struct boot_info info;

/* The thread that runs here; kern_main() makes the rest of it. */
static struct thread boot_thread = {
    .head = { .preempt = 1, .settled = 1 }
};

static void
read_memory(const struct pvh_info *p)
{
    const struct pvh_memory *m = kern_frame_ptr(p->memory);

    if (p->version < 1 || p->nmemory == 0) {
        kern_panic("boot: the loader tells no memory map");
    }
    for (uint32_t i = 0; i < p->nmemory; i++) {
        if (m[i].type == PVH_RAM) {
            boot_add_ram(&info, m[i].start, m[i].size);
        }
    }
    /* The firmware's data are there, and a place to start CPUs. */
    boot_add_reserved(&info, 0, LOW_END);
}

static void
read_info(const struct pvh_info *p)
{
    if (p->magic != PVH_MAGIC) {
        kern_panic("boot: no PVH start info (magic %#x)", p->magic);
    }
    info.early_end = EARLY_END;
    info.leaf_levels = cpuid(0x80000001, 0).d & CPUID_PAGE1GB ? 0 : 2;
    info.first_tick = start_tick;
    info.image_start = LOADED;
    info.image_end = LOADED +
        (paddr_t)(kern_image_end - kern_image_start);
    read_memory(p);
    boot_add_reserved(&info, info.image_start,
        info.image_end - info.image_start);
    if (p->cmdline != 0) {
        const char *s = kern_frame_ptr(p->cmdline);

        for (unsigned i = 0; i < BOOT_CMDLINE - 1 && s[i] != 0; i++) {
            info.cmdline[i] = s[i];
        }
    }
    if (p->nmodules > 0) {
        const struct pvh_module *m = kern_frame_ptr(p->modules);

        if (m->size != 0) {
            boot_set_initrd(&info, m->start, m->start + m->size);
        }
    }
}

void md_boot(uint32_t start_info);
void
md_boot(uint32_t start_info)
{
    const struct pvh_info *p = kern_frame_ptr(start_info);

    cpu_init_boot();
    boot_thread.head.kstack = (uint64_t)(uintptr_t)boot_stack_top;
    cpu_of[0]->current = &boot_thread.head;
    cpu_of[0]->tss.rsp0 = boot_thread.head.kstack;
    console_init();
    user_setup();
    read_info(p);
    intc_early();
    acpi_read(&info, p->rsdp);
    boot_first_cpu(&info, lapic_id());
    cpu_of[0]->apic_id = lapic_id();
    if (intc_ioapic != 0) {
        boot_device(intc_ioapic, 4096);
    }
    WRITE_CR(3, boot_tables(&info, &pte_formats[0]));
    pmap_md_cpu_init();
    kern_main(&info);
}
