/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - what the firmware says about memory, and the allocator that
 * serves until there is a core map.
 *
 * Two sorted lists of disjoint ranges: RAM, and what is in use of it.  What
 * is free is never listed, it is the difference.  boot_alloc() goes down
 * from the top of RAM and reserves what it gives, so its pages merge into one
 * reserved range.
 */
#include "boot.h"
#include "vm_kern.h"

#define PAGE_SIZE       ((paddr_t)1 << MD_PAGE_SHIFT)
#define PAGE_MASK       (PAGE_SIZE - 1)

/* The direct map reaches no further. */
#define RAM_END         ((paddr_t)(BOOT_DIRECT_END - MD_DIRECT_BASE))

/*
 * Insert [start, end) and merge it with what it touches.  False: there is
 * no room for one more range; nothing is changed.
 */
static bool
range_insert(struct boot_range *r, unsigned *n, paddr_t start, paddr_t end)
{
    unsigned first = 0, beyond;

    while (first < *n && r[first].end < start) {
        first++;
    }
    beyond = first;
    while (beyond < *n && r[beyond].start <= end) {
        beyond++;
    }
    if (first == beyond) {
        if (*n == BOOT_RANGES) {
            return false;
        }
        for (unsigned i = (*n)++; i > first; i--) {
            r[i] = r[i - 1];
        }
    } else {
        start = start < r[first].start ? start : r[first].start;
        end = end > r[beyond - 1].end ? end : r[beyond - 1].end;
        for (unsigned i = beyond; i < *n; i++) {
            r[first + 1 + i - beyond] = r[i];
        }
        *n -= beyond - first - 1;
    }
    r[first] = (struct boot_range){ start, end };
    return true;
}

/* The end of a range that the firmware gave, however large it is. */
static paddr_t
range_end(paddr_t start, paddr_t size)
{
    return start >= RAM_END || size > RAM_END - start ? RAM_END :
        start + size;
}

void
boot_add_ram(struct boot_info *b, paddr_t start, paddr_t size)
{
    paddr_t end = range_end(start, size) & ~PAGE_MASK;

    if (start >= RAM_END) {
        return;
    }
    start = (start + PAGE_MASK) & ~PAGE_MASK;
    if (start < end) {
        (void)range_insert(b->ram, &b->nram, start, end);
    }
}

void
boot_add_reserved(struct boot_info *b, paddr_t start, paddr_t size)
{
    paddr_t end = (range_end(start, size) + PAGE_MASK) & ~PAGE_MASK;

    start &= ~PAGE_MASK;
    if (size == 0 || start >= end) {
        return;
    }
    if (!range_insert(b->reserved, &b->nreserved, start, end)) {
        kern_panic("boot: more than %u reserved ranges of memory",
            BOOT_RANGES);
    }
}

void
boot_drop_ram(struct boot_info *b, paddr_t start, paddr_t size)
{
    paddr_t end = (range_end(start, size) + PAGE_MASK) & ~PAGE_MASK;
    struct boot_range old[BOOT_RANGES];
    unsigned n = b->nram;

    start &= ~PAGE_MASK;
    if (size == 0 || start >= end) {
        return;
    }
    memcpy(old, b->ram, sizeof(old));
    b->nram = 0;
    for (unsigned i = 0; i < n; i++) {
        struct boot_range low = old[i], high = old[i];

        low.end = low.end < start ? low.end : start;
        high.start = high.start > end ? high.start : end;
        if (low.start < low.end) {
            (void)range_insert(b->ram, &b->nram, low.start, low.end);
        }
        if (high.start < high.end) {
            (void)range_insert(b->ram, &b->nram, high.start, high.end);
        }
    }
}

void
boot_set_initrd(struct boot_info *b, paddr_t start, paddr_t end)
{
    unsigned i = 0;

    while (i < b->nram && b->ram[i].end < end) {
        i++;
    }
    if (start >= end || i == b->nram || start < b->ram[i].start) {
        kern_panic("boot: initrd from %#llx to %#llx is not in RAM",
            (unsigned long long)start, (unsigned long long)end);
    }
    b->initrd = (struct boot_range){ start, end };
    boot_add_reserved(b, start, end - start);
}

void
boot_first_cpu(struct boot_info *b, uint64_t id)
{
    unsigned i = 0;

    while (i < b->ncpus && b->cpu[i] != id) {
        i++;
    }
    if (i == b->ncpus) {
        /* Not told of, but it runs.  The last makes room if need be. */
        i = i < BOOT_CPUS ? i : BOOT_CPUS - 1;
        b->ncpus = i + 1;
    }
    for (; i > 0; i--) {
        b->cpu[i] = b->cpu[i - 1];
    }
    b->cpu[0] = id;
}

/*
 * The highest free [start, start + size) within [low, high); false: none.
 * Reserved ranges in the way move the end down, so this ends.
 */
static bool
free_range(const struct boot_info *b, paddr_t low, paddr_t high,
    paddr_t size, paddr_t align, paddr_t *start)
{
    unsigned i = b->nreserved;

    for (;;) {
        paddr_t at;

        if (high < size || high - size < low) {
            return false;
        }
        at = (high - size) & ~(align - 1);
        if (at < low) {
            return false;
        }
        while (i > 0 && b->reserved[i - 1].start >= at + size) {
            i--;
        }
        if (i == 0 || b->reserved[i - 1].end <= at) {
            *start = at;
            return true;
        }
        high = b->reserved[i - 1].start;
    }
}

paddr_t
boot_alloc(struct boot_info *b, paddr_t size, paddr_t align)
{
    paddr_t limit = b->early_end != 0 ? b->early_end : RAM_END;
    paddr_t wanted = size, start;

    KASSERT(size != 0 && align != 0 && (align & (align - 1)) == 0);
    align = align < PAGE_SIZE ? PAGE_SIZE : align;
    size = (size + PAGE_MASK) & ~PAGE_MASK;
    for (unsigned i = b->nram; i-- > 0;) {
        struct boot_range r = b->ram[i];

        r.end = r.end < limit ? r.end : limit;
        if (r.start < r.end &&
            free_range(b, r.start, r.end, size, align, &start)) {
            boot_add_reserved(b, start, size);
            memset(kern_frame_ptr(start), 0, size);
            return start;
        }
    }
    kern_panic("boot: no %llu KiB of free memory in one piece",
        (unsigned long long)(wanted + 1023) / 1024);
}

const char *
boot_option(const struct boot_info *b, const char *name, char *buf,
    unsigned size)
{
    const char *s = b->cmdline, *found = NULL;
    unsigned n = 0;

    while (*s != 0) {
        const char *want = name;

        while (*s == ' ') {
            s++;
        }
        while (*want != 0 && *s == *want) {
            s++;
            want++;
        }
        if (*want == 0 && *s == '=') {
            found = s + 1;
        }
        while (*s != 0 && *s != ' ') {
            s++;
        }
    }
    if (found == NULL || size == 0) {
        return NULL;
    }
    while (n + 1 < size && found[n] != 0 && found[n] != ' ') {
        buf[n] = found[n];
        n++;
    }
    buf[n] = 0;
    return buf;
}
