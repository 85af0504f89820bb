/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.c - from the device tree to kern_main() (boot.h).
 *
 * start.S maps the GiB of the image and that of the tree; here come those of
 * the console, of the tree's end and of all RAM below 512 GiB, which is
 * where boot_alloc() finds the final tables.
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D17.2 (registers), D8.3 (blocks).
 */
#include "machine.h"
#include "thread.h"

#include <pmap_md.h>
#include <pte.h>

#define GIB             ((paddr_t)1 << 30)
#define EARLY_END       ((paddr_t)512 * GIB)

#define CPACR_FPEN      (3u << 20)      /* no trap of FP and SIMD */
#define KCTL_EL0VCTEN   (1u << 1)       /* CNTVCT_EL0 for programs */

uint64_t md_tick_hz;
bool user_pan;                          /* there is PSTATE.PAN: usercopy.S */

/* md_current() from start.S on; kern makes it the idle thread. */
struct thread boot_thread = { .head = { .preempt = 1, .settled = 1 } };

static struct boot_info boot;
static const struct pt_format *const format = &pte_formats[0];

static void
early_map(paddr_t start, paddr_t end, enum pte_memory memory)
{
    struct pte_attr attr = {
        .prot = VM_PROT_READ | VM_PROT_WRITE, .memory = (uint8_t)memory,
        .global = true, .accessed = true
    };

    for (paddr_t pa = start & -GIB; pa < end && pa < EARLY_END; pa += GIB) {
        pte_t *slot = &early_l1[pa / GIB];

        if (*slot == 0) {
            *slot = pte_leaf(format, pa, attr, 2);
        }
    }
    pmap_md_publish();
}

void
cpu_init(void)
{
    uint64_t mmfr1;

    pmap_md_cpu_init();
    READ_REG(id_aa64mmfr1_el1, mmfr1);
    user_pan = (mmfr1 >> 20 & 15) != 0;
    if (user_pan) {
        __asm__ volatile(".arch_extension pan; msr pan, #1");
    }
    WRITE_REG(cpacr_el1, CPACR_FPEN);
    WRITE_REG(cntkctl_el1, KCTL_EL0VCTEN);
    WRITE_REG(mdscr_el1, 0);
    WRITE_REG(tpidrro_el0, 0);
    __asm__ volatile("isb; msr daifclr, #4" : : : "memory");
}

/* PXN is everywhere. */
vm_prot_t
md_user_open(void)
{
    return user_pan ? VM_PROT_NONE : VM_PROT_READ | VM_PROT_WRITE;
}

void
md_boot(paddr_t fdt, paddr_t image, uint64_t tick)
{
    struct boot_info *b = &boot;
    const uint32_t *blob = kern_frame_ptr(fdt);
    uint64_t mpidr;
    paddr_t root;

    early_map(fdt, fdt + fdt_cell(blob, 1), PTE_NORMAL);
    (void)fdt_check(blob);
    b->first_tick = tick;
    b->image_start = image;
    b->image_end = image + (paddr_t)(kern_image_end - kern_image_start);
    if (console_find(blob)) {
        early_map(console_pa, console_pa + 1, PTE_DEVICE);
    }
    boot_fdt(b, blob, fdt);
    boot_add_reserved(b, image, b->image_end - image);
    READ_REG(mpidr_el1, mpidr);
    boot_first_cpu(b, mpidr & MPIDR_AFFINITY);
    intc_find(blob);
    timer_find(blob);
    smp_find(blob);
    for (unsigned i = 0; i < b->nram; i++) {
        early_map(b->ram[i].start, b->ram[i].end, PTE_NORMAL);
    }
    b->early_end = EARLY_END;
    root = boot_tables(b, format);
    smp_init(b, root);
    start_tables(root, image - (uint64_t)(uintptr_t)kern_image_start);
    cpu_init();
    kern_main(b);
}
