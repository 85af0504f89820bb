/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64/pmap_md.c - TLBs, satp and instruction fetch (see pt_md.h).
 *
 * Source: Privileged Architecture 20211203, 4.1.11 (satp), 4.2.1
 * (SFENCE.VMA); SBI specification 1.0, chapter 8 (RFENCE).
 *
 * SFENCE.VMA with an address orders reads of leaf entries only, and with an
 * ASID not those of global mappings (4.2.1).  Hence:
 *
 *   user, few pages     va, asid        SBI: range, asid
 *   user, tables, more  x0, asid        SBI: everything, asid
 *   kernel, few pages   va, x0          SBI: range
 *   kernel, the rest    x0, x0          SBI: everything
 *
 * SBI calls return when the harts have executed the fence (OpenSBI waits
 * for each; the specification's "instructs remote harts to execute").
 */
#include "pmap_md.h"
#include "pte.h"

#define FLUSH_MAX       32u             /* pages; beyond, the whole ASID */

#define SATP_MODE_SHIFT 60              /* 4.1.11, figure 4.12 */
#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK  0xffffull
#define SATP_PPN        ((1ull << SATP_ASID_SHIFT) - 1)
#define TABLE_LAST      511u            /* index of the last entry */

#define SBI_RFENCE      0x52464e43u     /* SBI 8: "RFNC" */
#define SBI_FENCE_I     0u
#define SBI_SFENCE      1u
#define SBI_SFENCE_ASID 2u
#define SBI_ALL_HARTS   (~0ull)         /* SBI 3.1: hart_mask_base -1 */

#define READ_SATP(v)    __asm__ volatile("csrr %0, satp" : "=r"(v))
#define WRITE_SATP(v) \
    __asm__ volatile("csrw satp, %0" : : "r"((uint64_t)(v)) : "memory")

static uint64_t kernel_satp;
static uint64_t asid_mask;
static _Atomic unsigned harts;

static void
sfence_all(void)
{
    __asm__ volatile("sfence.vma x0, x0" : : : "memory");
}

static void
sfence_asid(uint64_t asid)
{
    __asm__ volatile("sfence.vma x0, %0" : : "r"(asid) : "memory");
}

/* Harts base .. base + 63 as told by mask; refusal would lose a flush. */
static void
rfence(uint64_t fid, uint64_t mask, uint64_t base, vaddr_t start,
    vsize_t size, uint64_t asid)
{
    register uint64_t a0 __asm__("a0") = mask;
    register uint64_t a1 __asm__("a1") = base;
    register uint64_t a2 __asm__("a2") = start;
    register uint64_t a3 __asm__("a3") = size;
    register uint64_t a4 __asm__("a4") = asid;
    register uint64_t a6 __asm__("a6") = fid;
    register uint64_t a7 __asm__("a7") = SBI_RFENCE;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1)
        : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
    if (a0 != 0) {
        kern_panic("SBI remote fence %u: error %d", (unsigned)fid, (int)a0);
    }
}

static void
flush_here(const struct pt_flush *f, vaddr_t start, vsize_t size)
{
    bool kernel = f->asid == PT_ASID_KERNEL;
    uint64_t asid = f->asid & asid_mask;

    if (size == 0 && kernel) {
        sfence_all();
    } else if (size == 0) {
        sfence_asid(asid);
    }
    for (vsize_t off = 0; off < size; off += 1ull << f->page_shift) {
        if (kernel) {
            __asm__ volatile("sfence.vma %0, x0"
                : : "r"(start + off) : "memory");
        } else {
            __asm__ volatile("sfence.vma %0, %1"
                : : "r"(start + off), "r"(asid) : "memory");
        }
    }
}

/* One range on all CPUs of the set; size 0 (start 0) is everything. */
static void
flush_range(const struct pt_flush *f, uint64_t cpus, vaddr_t start,
    vsize_t size)
{
    uint64_t self = 1ull << kern_cpu(), mask = 0, base = 0;
    uint64_t fid = f->asid == PT_ASID_KERNEL ? SBI_SFENCE : SBI_SFENCE_ASID;
    uint64_t asid = f->asid & asid_mask;

    if ((cpus & self) != 0) {
        flush_here(f, start, size);
    }
    cpus &= ~self;
    for (unsigned cpu = 0; cpus != 0; cpu++, cpus >>= 1) {
        uint64_t hart;

        if ((cpus & 1) == 0) {
            continue;
        }
        hart = kern_hart_of(cpu);
        if (mask != 0 && (hart & ~63ull) != base) {
            rfence(fid, mask, base, start, size, asid);
            mask = 0;
        }
        base = hart & ~63ull;
        mask |= 1ull << (hart & 63);
    }
    if (mask != 0) {
        rfence(fid, mask, base, start, size, asid);
    }
}

void
pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus)
{
    uint64_t pages = 0;

    KASSERT(f->n <= PT_FLUSH_RANGES);
    for (unsigned i = 0; i < f->n; i++) {
        pages += (f->range[i].end - f->range[i].start) >> f->page_shift;
    }
    pmap_md_publish();
    if (f->n == 0 || f->tables || pages > FLUSH_MAX) {
        flush_range(f, cpus.bits, 0, 0);
        return;
    }
    for (unsigned i = 0; i < f->n; i++) {
        flush_range(f, cpus.bits, f->range[i].start,
            f->range[i].end - f->range[i].start);
    }
}

/*
 * Mode, ASID and root change in one store; the kernel half is the same
 * under each.  Writing satp orders nothing (4.2.1), so the caller asks for
 * the flush when this CPU first runs a root.
 */
void
pmap_md_activate(const struct pt_format *f, paddr_t root, uint32_t asid,
    bool flush_asid)
{
    if (root == 0) {
        WRITE_SATP(kernel_satp);
    } else {
        WRITE_SATP(f->md << SATP_MODE_SHIFT |
            (asid & asid_mask) << SATP_ASID_SHIFT | root >> f->page_shift);
    }
    if (flush_asid) {
        sfence_asid(asid & asid_mask);
    }
}

/*
 * An invalid entry that is remembered may be one above the leaf, where a
 * table has been put since: an address would not reach it (4.2.1).
 */
void
pmap_md_fence(vaddr_t va, uint32_t asid)
{
    (void)va;
    if (asid == PT_ASID_KERNEL) {
        sfence_all();
    } else {
        sfence_asid(asid & asid_mask);
    }
}

/* FENCE.I is of one hart; ours first, then SBI for all, if there are more. */
void
pmap_md_icache_sync(paddr_t pa, size_t size)
{
    (void)pa;
    (void)size;
    __asm__ volatile("fence rw, rw; fence.i" : : : "memory");
    if (atomic_load_explicit(&harts, memory_order_relaxed) > 1) {
        rfence(SBI_FENCE_I, 0, SBI_ALL_HARTS, 0, 0, 0);
    }
}

unsigned
pmap_md_asid_bits(void)
{
    unsigned bits = 0;

    while ((asid_mask >> bits & 1) != 0) {
        bits++;
    }
    return bits;
}

/* Down from the boot layer's root to the table of f's size. */
paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    paddr_t pa = (kernel_satp & SATP_PPN) << 12;

    (void)made;
    for (uint64_t m = kernel_satp >> SATP_MODE_SHIFT; m > f->md; m--) {
        const pte_t *table = kern_frame_ptr(pa);

        pa = table[TABLE_LAST] >> PTE_PPN_SHIFT << 12;
    }
    return pa;
}

/*
 * A store of a mode that does not exist leaves satp as it was (4.1.11).
 * To survive one that does exist, the kernel's table of the last 512 GiB
 * (the root of Sv39) leads to itself from its last entry, which no kernel
 * address uses: then it is a root of Sv39, Sv48 and Sv57 alike.
 */
uint64_t
pmap_md_formats(void)
{
    uint64_t old, got, formats = 0;
    paddr_t pa = pmap_md_kernel_root(&pte_formats[0], 0);
    volatile pte_t *table = kern_frame_ptr(pa);
    pte_t saved = table[TABLE_LAST];

    READ_SATP(old);
    table[TABLE_LAST] = pte_table(&pte_formats[0], pa);
    sfence_all();
    for (unsigned i = 0; i < PTE_FORMATS; i++) {
        uint64_t try = pte_formats[i].md << SATP_MODE_SHIFT | pa >> 12;

        WRITE_SATP(try);
        READ_SATP(got);
        if (got == try) {
            formats |= 1ull << i;
        }
    }
    WRITE_SATP(old);
    table[TABLE_LAST] = saved;
    sfence_all();
    return formats;
}

/* Bits of satp.ASID that are not there read as zero (4.1.11). */
void
pmap_md_cpu_init(void)
{
    uint64_t old, got;

    /* In this order: who counts too few has stored before our fence. */
    atomic_fetch_add(&harts, 1);
    __asm__ volatile("fence rw, rw; fence.i" : : : "memory");
    READ_SATP(old);
    old &= ~(SATP_ASID_MASK << SATP_ASID_SHIFT);
    if (kernel_satp == 0) {
        kernel_satp = old;
        WRITE_SATP(old | SATP_ASID_MASK << SATP_ASID_SHIFT);
        READ_SATP(got);
        asid_mask = got >> SATP_ASID_SHIFT & SATP_ASID_MASK;
    }
    WRITE_SATP(old);
    sfence_all();
}
