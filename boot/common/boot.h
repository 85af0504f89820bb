/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.h - from firmware to kern_main(): what every machine tells in its
 * own way, and the kernel's first page tables.
 *
 *   start.S        enough of a mapping to run C at the linked address
 *   md_boot()      boot/<arch>/boot.c: fill a struct boot_info from the boot
 *                  protocol or the device tree (boot_fdt()), then
 *   boot_tables()  the final tables: all RAM at MD_DIRECT_BASE in leaves of
 *                  2 MiB and more, the image with its sections' rights
 *   load them      md_boot() again; W^X from here on
 *   kern_main()    never returns
 *
 * All of it runs on one CPU with interrupts off, on the boot stack.
 */
#ifndef BOOT_H
#define BOOT_H

#include <md_cpu.h>
#include "pt_format.h"

/* No other kernel address is lower: the direct map may reach up to here. */
#define BOOT_DIRECT_END 0xfffffffe00000000u

#define BOOT_RANGES     32u
#define BOOT_CPUS       64u
#define BOOT_CMDLINE    1024u

struct boot_range {
    paddr_t start, end;
};

struct boot_info {
    struct boot_range ram[BOOT_RANGES];         /* ascending, disjoint */
    unsigned nram;
    struct boot_range reserved[BOOT_RANGES];    /* firmware, image, FDT ... */
    unsigned nreserved;
    struct boot_range initrd;                   /* empty: none */
    char cmdline[BOOT_CMDLINE];
    unsigned ncpus;                             /* cpu[0] is the boot CPU */
    uint64_t cpu[BOOT_CPUS];                    /* hart id, MPIDR, APIC id */
    paddr_t fdt;                                /* 0: there is none */
    paddr_t image_start, image_end;             /* physical */
    paddr_t early_end;          /* the first tables map RAM at MD_DIRECT_BASE
                                   up to here; 0: all.  kern_main() ends it */
    unsigned leaf_levels;       /* large leaves stand only in levels below
                                   this; 0: wherever pte_leaf_ok() */
    uint64_t first_tick;                        /* md_ticks() at entry */
};

/*
 * Add a range.  RAM is trimmed to whole hardware pages inside it, merged and
 * sorted; reserved ranges are widened.  More than there is room for: ranges
 * of RAM are dropped, reserved ones stop the machine with a message.
 */
void boot_add_ram(struct boot_info *b, paddr_t start, paddr_t size);
void boot_add_reserved(struct boot_info *b, paddr_t start, paddr_t size);
/* What was added as RAM shall not even be mapped. */
void boot_drop_ram(struct boot_info *b, paddr_t start, paddr_t size);
/*
 * The loader has put the initrd there; reserved.  Panics if it is not whole,
 * in one range of RAM: the kernel would read what is not mapped.
 */
void boot_set_initrd(struct boot_info *b, paddr_t start, paddr_t end);
/* The running CPU becomes cpu[0]; before, they are in the firmware's order. */
void boot_first_cpu(struct boot_info *b, uint64_t id);

/*
 * A zeroed range of free RAM, for tables and the core map; it is reserved
 * from then on.  Panics with how much was wanted when there is none.
 * Highest address first, so that what stays free is one piece; below
 * early_end as long as that is set.  The image, the initrd and whatever else
 * must stay has to be reserved before.
 */
paddr_t boot_alloc(struct boot_info *b, paddr_t size, paddr_t align);

/*
 * The value of "name=" on the command line, in buf (cut if it is longer), or
 * NULL.  It ends at a blank.  The last one counts.
 */
const char *boot_option(const struct boot_info *b, const char *name,
    char *buf, unsigned size);

/* ---- device tree (Devicetree Specification 0.4) ----------------------- */

/*
 * boot_fdt - memory, reservations, CPUs, /chosen (bootargs, initrd) into b;
 * the blob and the initrd are reserved, the image is the caller's to reserve.
 * fdt: a readable address of the blob; pa: its physical address.  Bad
 * blobs panic with what is wrong.
 */
void boot_fdt(struct boot_info *b, const void *fdt, paddr_t pa);

/* Its size.  Panics if that is no blob; before anything else is asked of it. */
uint32_t fdt_check(const void *fdt);

/* A node, by walking; offsets into the structure block. */
struct fdt_node {
    const void *fdt;
    uint32_t offset;                    /* of FDT_BEGIN_NODE */
    uint32_t address_cells, size_cells; /* of its parent: for its reg */
};
/* The next node (any depth, document order) that is compatible and not
 * disabled.  inout_after: all zero for the first. */
bool fdt_compatible(const void *fdt, const char *compatible,
    struct fdt_node *inout_after);
/* Node at a path such as "/chosen", or "/cpus". */
bool fdt_path(const void *fdt, const char *path, struct fdt_node *out);
/* A property's bytes, NULL if it has none. */
const void *fdt_property(const struct fdt_node *n, const char *name,
    uint32_t *size);
uint32_t fdt_cell(const void *property, unsigned i);
/* Entry i of reg, translated through the parents' ranges. */
bool fdt_reg(const struct fdt_node *n, unsigned i, paddr_t *start,
    paddr_t *size);
/* Entry i of reg as a boot_device(); NULL if there is none.  size may be
 * NULL. */
void *fdt_registers(const struct fdt_node *n, unsigned i, paddr_t *size);
bool fdt_u32(const struct fdt_node *n, const char *name, uint32_t *value);

/* ---- the kernel's own tables ------------------------------------------ */

/*
 * boot_map - map [pa, +size) at va in tables of format f below root, with
 * the largest leaves that alignment allows (pte_leaf_ok); global, wired,
 * kernel.  New tables come from boot_alloc().  What is mapped already with
 * the same frames gets the new rights, a large leaf being split.
 * boot_tables - a new root with everything that the kernel needs: direct
 * map, image, and device registers of [pa, size) pairs that md_boot() named
 * by boot_device() before; returns the root's physical address.
 * levels_above: roots for formats of more levels are the caller's.
 */
void boot_map(struct boot_info *b, const struct pt_format *f, paddr_t root,
    vaddr_t va, paddr_t pa, vsize_t size, vm_prot_t prot,
    enum pte_memory memory);
paddr_t boot_tables(struct boot_info *b, const struct pt_format *f);

/*
 * Device registers are used at MD_DIRECT_BASE + pa, as device memory.  The
 * range must not be RAM.  Before boot_tables(); later the kernel maps them
 * through its pmap.
 */
void boot_device(paddr_t pa, vsize_t size);
static inline void *
boot_device_ptr(paddr_t pa)
{
    return (void *)(uintptr_t)(pa + MD_DIRECT_BASE);
}

/*
 * From kernel.ld, 4 KiB aligned, in this order: [text) executable,
 * [rodata) read-only, [data .. bss .. end) writable.  Linked at
 * kern_image_start; loaded anywhere 2 MiB aligned.
 */
extern char kern_image_start[], kern_text_end[], kern_rodata_end[],
    kern_data_end[], kern_image_end[];

#endif
