/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/pmap_md.c - TLBs and control registers (see pt_md.h).
 *
 * Source: Intel SDM vol. 3A (325462-075), 4.10 "Caching translation
 * information", 2.5 (control registers); vol. 2 INVLPG, INVPCID, CPUID.
 *
 *                     with PCID                  without
 *   user, few pages   INVPCID 0 (address)        INVLPG
 *   user, tables      INVPCID 1 (context)        INVLPG
 *   user, more        INVPCID 1                  CR3 reload
 *   kernel            INVPCID 2 (all, global)    INVLPG, or CR4.PGE toggled
 *
 * INVLPG drops every paging-structure entry of the current PCID (4.10.4.1),
 * hence "tables" needs no more without PCIDs.  PCIDs are used only together
 * with INVPCID: without it, another PCID can be flushed only by running
 * under it.  Kernel ranges take INVPCID 2 because paging-structure caches
 * of all PCIDs hold the kernel half, and because INVLPG leaves global
 * entries alive under PCIDs on some processors (Alder Lake, old microcode).
 */
#include "pmap_md.h"
#include "pte.h"

#define FLUSH_MAX       32u             /* pages; beyond, the context */

#define CR0_WP          (1ull << 16)    /* SDM 2.5 */
#define CR4_PGE         (1ull << 7)
#define CR4_LA57        (1ull << 12)
#define CR4_PCIDE       (1ull << 17)
#define CR4_SMEP        (1ull << 20)
#define CR3_ADDR        0x000ffffffffff000ull
#define CR3_KEEP        (1ull << 63)    /* 4.10.4.1: keep this PCID's TLB */
#define CPUID1C_PCID    (1u << 17)
#define CPUID7B_SMEP    (1u << 7)
#define CPUID7B_INVPCID (1u << 10)

#define READ_CR(n, v)   __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v))
#define WRITE_CR(n, v) \
    __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory")

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL };

static bool have_pcid;
static paddr_t kernel_root;

static void
cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c)
{
    uint32_t d;

    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(d)
        : "a"(leaf), "c"(0));
}

static void
invlpg(vaddr_t va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void
invpcid(enum invpcid_type type, uint32_t pcid, vaddr_t va)
{
    struct { uint64_t pcid, va; } desc = { pcid, va };

    __asm__ volatile("invpcid %0, %1" : : "m"(desc), "r"((uint64_t)type)
        : "memory");
}

static void
flush_everything(void)
{
    uint64_t cr4;

    if (have_pcid) {
        invpcid(INVPCID_ALL, 0, 0);
        return;
    }
    READ_CR(4, cr4);
    WRITE_CR(4, cr4 & ~CR4_PGE);
    WRITE_CR(4, cr4);
}

static void
flush_context(uint32_t asid)
{
    uint64_t cr3;

    if (have_pcid) {
        invpcid(INVPCID_CONTEXT, asid, 0);
        return;
    }
    READ_CR(3, cr3);
    WRITE_CR(3, cr3);
}

/* What the flush asks for, on this CPU; all of these serialize. */
static void
flush_here(void *arg)
{
    const struct pt_flush *f = arg;
    bool kernel = f->asid == PT_ASID_KERNEL;
    bool whole = f->n == 0 || (have_pcid && (kernel || f->tables));
    uint64_t pages = 0;

    for (unsigned i = 0; i < f->n; i++) {
        pages += (f->range[i].end - f->range[i].start) >> f->page_shift;
    }
    if (whole || pages > FLUSH_MAX) {
        if (kernel) {
            flush_everything();
        } else {
            flush_context(f->asid);
        }
        return;
    }
    for (unsigned i = 0; i < f->n; i++) {
        for (vaddr_t va = f->range[i].start; va < f->range[i].end;
            va += 1ull << f->page_shift) {
            if (have_pcid) {
                invpcid(INVPCID_ADDRESS, f->asid, va);
            } else {
                invlpg(va);
            }
        }
    }
}

void
pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus)
{
    uint64_t self = 1ull << kern_cpu();
    struct pt_cpuset others = { .bits = cpus.bits & ~self };
    void *arg = (void *)(uintptr_t)f;

    KASSERT(f->n <= PT_FLUSH_RANGES);
    if (others.bits != 0) {
        kern_ipi_call(others, flush_here, arg);
    }
    if ((cpus.bits & self) != 0) {
        flush_here(arg);
    }
}

/* Without PCIDs every load of CR3 drops what is not global (4.10.4.1). */
void
pmap_md_activate(const struct pt_format *f, paddr_t root, uint32_t asid,
    bool flush_asid)
{
    uint64_t cr3 = root != 0 ? root : kernel_root;

    (void)f;
    if (have_pcid) {
        cr3 |= asid | (flush_asid ? 0 : CR3_KEEP);
    }
    WRITE_CR(3, cr3);
}

/* A fault drops its own page already (4.10.4.1); this is for the rest. */
void
pmap_md_fence(vaddr_t va, uint32_t asid)
{
    if (have_pcid && asid == PT_ASID_KERNEL) {
        flush_everything();
    } else {
        invlpg(va);
    }
}

/*
 * Instruction fetch snoops stores made through any address (SDM 11.6), and
 * the return to the program that will run them serializes (8.3).
 */
void
pmap_md_icache_sync(paddr_t pa, size_t size)
{
    (void)pa;
    (void)size;
}

unsigned
pmap_md_asid_bits(void)
{
    return have_pcid ? PMAP_MD_ASID_BITS : 0;
}

/* Levels change only with paging off (SDM 4.1.1): what runs is it. */
uint64_t
pmap_md_formats(void)
{
    uint64_t cr4, formats = 0;

    READ_CR(4, cr4);
    for (unsigned i = 0; i < PTE_FORMATS; i++) {
        if (pte_formats[i].md == ((cr4 & CR4_LA57) != 0)) {
            formats |= 1ull << i;
        }
    }
    return formats;
}

/* What the boot layer made, whichever format runs. */
paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    (void)f;
    (void)made;
    return kernel_root;
}

void
pmap_md_cpu_init(void)
{
    uint64_t cr0, cr3, cr4;
    uint32_t max, a, b7 = 0, b, c, c1;

    cpuid(0, &max, &b, &c);
    cpuid(1, &a, &b, &c1);
    if (max >= 7) {
        cpuid(7, &a, &b7, &c);
    }
    READ_CR(0, cr0);
    WRITE_CR(0, cr0 | CR0_WP);
    READ_CR(4, cr4);
    cr4 |= CR4_PGE | (b7 & CPUID7B_SMEP ? CR4_SMEP : 0);
    READ_CR(3, cr3);
    if (kernel_root == 0) {
        kernel_root = cr3 & CR3_ADDR;
        have_pcid = (c1 & CPUID1C_PCID) != 0 && (b7 & CPUID7B_INVPCID) != 0;
    }
    if (have_pcid) {
        /* PCIDE may be set only while CR3[11:0] is 0 (4.10.1). */
        WRITE_CR(3, cr3 & CR3_ADDR);
        cr4 |= CR4_PCIDE;
    }
    WRITE_CR(4, cr4);
    flush_everything();
}
