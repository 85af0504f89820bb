/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map.c - the kernel's first page tables, for every machine: only the codec
 * <pte.h> knows what an entry looks like.
 *
 *   MD_DIRECT_BASE + pa    all RAM, writable      large leaves
 *     .. image's frames    text, rodata read-only leaves split where it must
 *     .. devices           device memory
 *   kern_image_start       text executable        as the linker placed it
 *                          rodata read-only
 *                          data, bss writable
 *
 * No address is writable and executable, and no frame is writable here and
 * executable there.  Not under these tables yet, the code reaches tables
 * through the direct map of the first ones (boot_info.early_end).
 */
#include "boot.h"
#include "vm_kern.h"

#include <pte.h>

#define DEVICES         16u

static struct boot_range device[DEVICES];
static unsigned ndevices;

void
boot_device(paddr_t pa, vsize_t size)
{
    paddr_t mask = ((paddr_t)1 << MD_PAGE_SHIFT) - 1;

    if (ndevices == DEVICES) {
        kern_panic("boot: more than %u devices", DEVICES);
    }
    if (size == 0 || pa + size < pa) {
        kern_panic("boot: device registers at %#llx, %#llx bytes",
            (unsigned long long)pa, (unsigned long long)size);
    }
    device[ndevices].start = pa & ~mask;
    device[ndevices].end = (pa + size + mask) & ~mask;
    ndevices++;
}

static paddr_t
table_make(struct boot_info *b, const struct pt_format *f)
{
    vsize_t size = (vsize_t)1 << f->page_shift;

    return boot_alloc(b, size, size);
}

/* A table of smaller leaves that say the same as the large one in *slot. */
static void
leaf_split(struct boot_info *b, const struct pt_format *f, pte_t *slot,
    int level)
{
    struct pte_attr attr = pte_attr(f, *slot, level);
    paddr_t pa = pte_pa(f, *slot, level), table = table_make(b, f);
    unsigned shift = pt_shift(f, level - 1);
    pte_t *entry = kern_frame_ptr(table);

    KASSERT(pte_leaf_ok(f, level - 1));
    for (paddr_t i = 0; i < (paddr_t)1 << f->bits[level - 1]; i++) {
        entry[i] = pte_leaf(f, pa + (i << shift), attr, level - 1);
    }
    *slot = pte_table(f, table);
}

/* Does this processor have leaves of this size? */
static bool
leaf_ok(const struct boot_info *b, const struct pt_format *f, int level)
{
    return pte_leaf_ok(f, level) &&
        (b->leaf_levels == 0 || level < (int)b->leaf_levels);
}

/*
 * Map as much as one leaf can at va; returns how much that was.  Tables on
 * the way are made, larger leaves on the way are split.
 */
static vsize_t
map_one(struct boot_info *b, const struct pt_format *f, paddr_t root,
    vaddr_t va, paddr_t pa, vsize_t size, struct pte_attr attr)
{
    paddr_t table = root;

    for (int level = f->levels - 1;; level--) {
        pte_t *slot = (pte_t *)kern_frame_ptr(table) +
            pt_index(f, level, va);
        vsize_t span = (vsize_t)1 << pt_shift(f, level);
        enum pte_kind kind = pte_kind(f, *slot, level);

        if (kind != PTE_TABLE && leaf_ok(b, f, level) && size >= span &&
            ((va | pa) & (span - 1)) == 0) {
            KASSERT(kind == PTE_EMPTY || pte_pa(f, *slot, level) == pa);
            *slot = pte_leaf(f, pa, attr, level);
            return span;
        }
        KASSERT(level > 0 && kind != PTE_BAD);
        if (kind == PTE_EMPTY) {
            *slot = pte_table(f, table_make(b, f));
        } else if (kind == PTE_LEAF) {
            leaf_split(b, f, slot, level);
        }
        table = pte_pa(f, *slot, level);
    }
}

void
boot_map(struct boot_info *b, const struct pt_format *f, paddr_t root,
    vaddr_t va, paddr_t pa, vsize_t size, vm_prot_t prot,
    enum pte_memory memory)
{
    struct pte_attr attr = {
        .prot = (uint8_t)(prot | VM_PROT_READ),
        .memory = (uint8_t)memory,
        .global = true, .wired = true, .accessed = true,
        .dirty = (prot & VM_PROT_WRITE) != 0
    };

    KASSERT(((va | pa | size) & (((vsize_t)1 << f->page_shift) - 1)) == 0);
    KASSERT((prot & VM_PROT_WRITE) == 0 || (prot & VM_PROT_EXEC) == 0);
    while (size > 0) {
        vsize_t step = map_one(b, f, root, va, pa, size, attr);

        va += step;
        pa += step;
        size -= step;
    }
}

/* One part of the image, between two symbols of the linker script. */
static void
map_section(struct boot_info *b, const struct pt_format *f, paddr_t root,
    const char *start, const char *end, vm_prot_t prot)
{
    vaddr_t va = (vaddr_t)(uintptr_t)start;
    paddr_t pa = b->image_start + va - (vaddr_t)(uintptr_t)kern_image_start;

    boot_map(b, f, root, va, pa, (vaddr_t)(uintptr_t)end - va, prot,
        PTE_NORMAL);
}

/* Registers among RAM would have two memory types. */
static void
device_check(const struct boot_info *b, struct boot_range d)
{
    for (unsigned i = 0; i < b->nram; i++) {
        if (d.start < b->ram[i].end && b->ram[i].start < d.end) {
            kern_panic("boot: device registers at %#llx are in RAM",
                (unsigned long long)d.start);
        }
    }
    if (d.end > BOOT_DIRECT_END - MD_DIRECT_BASE) {
        kern_panic("boot: device registers at %#llx are out of reach",
            (unsigned long long)d.start);
    }
}

paddr_t
boot_tables(struct boot_info *b, const struct pt_format *f)
{
    const vm_prot_t rw = VM_PROT_READ | VM_PROT_WRITE;
    paddr_t root = table_make(b, f);
    vsize_t constant = (vsize_t)(kern_rodata_end - kern_image_start);

    for (unsigned i = 0; i < b->nram; i++) {
        struct boot_range r = b->ram[i];

        boot_map(b, f, root, MD_DIRECT_BASE + r.start, r.start,
            r.end - r.start, rw, PTE_NORMAL);
    }
    boot_map(b, f, root, MD_DIRECT_BASE + b->image_start, b->image_start,
        constant, VM_PROT_READ, PTE_NORMAL);
    map_section(b, f, root, kern_image_start, kern_text_end,
        VM_PROT_READ | VM_PROT_EXEC);
    map_section(b, f, root, kern_text_end, kern_rodata_end, VM_PROT_READ);
    map_section(b, f, root, kern_rodata_end, kern_image_end, rw);
    for (unsigned i = 0; i < ndevices; i++) {
        struct boot_range d = device[i];

        device_check(b, d);
        boot_map(b, f, root, MD_DIRECT_BASE + d.start, d.start,
            d.end - d.start, rw, PTE_DEVICE);
    }
    return root;
}
