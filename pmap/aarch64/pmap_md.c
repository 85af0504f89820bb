/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aarch64/pmap_md.c - TLBs, TTBR0 and instruction caches (see pt_md.h).
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D8.13 (TLB maintenance, what needs
 * it), C5.5 (TLBI), D7.5 (caches), D17.2 (system registers), B2.3 (DSB).
 *
 * Every invalidation is broadcast to the inner shareable domain, so the set
 * of CPUs is not looked at:
 *
 *   DSB ISHST   our stores to tables are seen by every walker
 *   TLBI ...IS
 *   DSB ISH     every CPU has done it, and accesses by old entries are over
 *   ISB         what this CPU fetches next uses the new ones
 */
#include "pmap_md.h"
#include "pte.h"

#define FLUSH_MAX       32u             /* pages; beyond, the whole ASID */

#define TCR_EPD0        (1ull << 7)     /* D17.2, TCR_EL1 */
#define TCR_FORMAT      (0x3full | 3ull << 14)          /* T0SZ, TG0 */
#define TCR_WALK0       (1ull << 8 | 1ull << 10 | 3ull << 12)
                                        /* IRGN0, ORGN0: WBWA; SH0: inner */
#define TCR_A1          (1ull << 22)
#define TCR_AS          (1ull << 36)
#define TCR_HA          (1ull << 39)
#define TCR_HD          (1ull << 40)
#define CTR_IDC         (1ull << 28)    /* D17.2, CTR_EL0 */
#define CTR_DIC         (1ull << 29)
#define CTR_L1IP_PIPT   3u

#define READ_REG(r, v)  __asm__ volatile("mrs %0, " #r : "=r"(v))
#define WRITE_REG(r, v) \
    __asm__ volatile("msr " #r ", %0" : : "r"((uint64_t)(v)) : "memory")
#define TLBI(op)        __asm__ volatile("tlbi " #op : : : "memory")
#define TLBI_ARG(op, v) \
    __asm__ volatile("tlbi " #op ", %0" : : "r"((uint64_t)(v)) : "memory")
#define DSB(d)          __asm__ volatile("dsb " #d : : : "memory")
#define ISB()           __asm__ volatile("isb" : : : "memory")

static unsigned
id_field(uint64_t reg, unsigned shift)
{
    return (unsigned)(reg >> shift) & 15;
}

/* C5.5: ASID in 63:48, VA[55:12] in 43:0; TTL 0 says nothing of levels. */
static uint64_t
tlbi_arg(uint32_t asid, vaddr_t va)
{
    return (uint64_t)asid << 48 | ((va >> 12) & 0xfffffffffffull);
}

/* One page: VAAE is of every ASID, VALE leaves walk caches alone. */
static void
flush_page(const struct pt_flush *f, vaddr_t va)
{
    if (f->asid == PT_ASID_KERNEL || f->tables) {
        TLBI_ARG(vaae1is, tlbi_arg(0, va));
    } else {
        TLBI_ARG(vale1is, tlbi_arg(f->asid, va));
    }
}

void
pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus)
{
    uint64_t pages = 0;

    (void)cpus;
    KASSERT(f->n <= PT_FLUSH_RANGES);
    for (unsigned i = 0; i < f->n; i++) {
        pages += (f->range[i].end - f->range[i].start) >> f->page_shift;
    }
    DSB(ishst);
    if (f->n != 0 && pages <= FLUSH_MAX) {
        for (unsigned i = 0; i < f->n; i++) {
            for (vaddr_t va = f->range[i].start; va < f->range[i].end;
                va += 1ull << f->page_shift) {
                flush_page(f, va);
            }
        }
    } else if (f->asid == PT_ASID_KERNEL) {
        TLBI(vmalle1is);
    } else {
        TLBI_ARG(aside1is, tlbi_arg(f->asid, 0));
    }
    DSB(ish);
    ISB();
}

/*
 * TTBR0 and its ASID change in one store.  T0SZ and TG0 do not change with
 * it, and stale entries of the ASID may contradict the new root, so then
 * walks through TTBR0 stay off (EPD0) until all is in place.  The kernel
 * touches no user address meanwhile.
 */
void
pmap_md_activate(const struct pt_format *f, paddr_t root, uint32_t asid,
    bool flush_asid)
{
    uint64_t tcr, ttbr = root | (uint64_t)asid << 48;

    READ_REG(tcr_el1, tcr);
    if (root != 0 && !flush_asid && (tcr & TCR_EPD0) == 0 &&
        (tcr & TCR_FORMAT) == f->md) {
        WRITE_REG(ttbr0_el1, ttbr);
        ISB();
        return;
    }
    WRITE_REG(tcr_el1, tcr | TCR_EPD0);
    ISB();
    WRITE_REG(ttbr0_el1, ttbr);
    if (root != 0) {
        tcr = (tcr & ~TCR_FORMAT) | f->md;
        WRITE_REG(tcr_el1, tcr | TCR_EPD0);
    }
    ISB();
    if (flush_asid) {
        TLBI_ARG(aside1, tlbi_arg(asid, 0));
        DSB(nsh);
        ISB();
    }
    if (root != 0) {
        WRITE_REG(tcr_el1, tcr & ~TCR_EPD0);
        ISB();
    }
}

void
pmap_md_fence(vaddr_t va, uint32_t asid)
{
    DSB(ishst);
    TLBI_ARG(vae1, tlbi_arg(asid, va));
    DSB(nsh);
    ISB();
}

/*
 * D7.5: clean to the point of unification, then invalidate there, unless
 * CTR_EL0 says that one or both are not needed.  An instruction cache that
 * is not PIPT may hold the page under another address: all of it goes.
 * Other CPUs synchronize when they return to the program (D1.3).
 */
void
pmap_md_icache_sync(paddr_t pa, size_t size)
{
    uintptr_t start = (uintptr_t)kern_frame_ptr(pa), end = start + size;
    uint64_t ctr;
    unsigned dline, iline;

    READ_REG(ctr_el0, ctr);
    dline = 4u << id_field(ctr, 16);
    iline = 4u << id_field(ctr, 0);
    if ((ctr & CTR_IDC) == 0) {
        for (uintptr_t p = start & -(uintptr_t)dline; p < end; p += dline) {
            __asm__ volatile("dc cvau, %0" : : "r"(p) : "memory");
        }
    }
    DSB(ish);
    if ((ctr & CTR_DIC) == 0 && (ctr >> 14 & 3) != CTR_L1IP_PIPT) {
        __asm__ volatile("ic ialluis" : : : "memory");
    } else if ((ctr & CTR_DIC) == 0) {
        for (uintptr_t p = start & -(uintptr_t)iline; p < end; p += iline) {
            __asm__ volatile("ic ivau, %0" : : "r"(p) : "memory");
        }
    }
    DSB(ish);
    ISB();
}

/* ID_AA64MMFR0_EL1.ASIDBits: 0b0010 is 16 bits, 0 is 8. */
unsigned
pmap_md_asid_bits(void)
{
    uint64_t mmfr0;

    READ_REG(id_aa64mmfr0_el1, mmfr0);
    return id_field(mmfr0, 4) == 2 ? PMAP_MD_ASID_BITS : 8;
}

/*
 * ID_AA64MMFR0_EL1: TGran4 and TGran64 are signed, 15 is "none"; TGran16
 * is 0 for "none".
 */
uint64_t
pmap_md_formats(void)
{
    uint64_t mmfr0, formats = 0;

    READ_REG(id_aa64mmfr0_el1, mmfr0);
    for (unsigned i = 0; i < PTE_FORMATS; i++) {
        unsigned shift = pte_formats[i].page_shift;

        if ((shift == 12 && id_field(mmfr0, 28) != 15) ||
            (shift == 14 && id_field(mmfr0, 20) != 0) ||
            (shift == 16 && id_field(mmfr0, 24) != 15)) {
            formats |= 1ull << i;
        }
    }
    return formats;
}

/* TTBR1_EL1 less ASID and CnP; it keeps the granule it was booted with. */
paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    uint64_t ttbr;

    (void)f;
    (void)made;
    READ_REG(ttbr1_el1, ttbr);
    return ttbr & 0xfffffffffffeull;
}

/* ID_AA64MMFR1_EL1.HAFDBS: 1 and more set the access flag. */
void
pmap_md_cpu_init(void)
{
    uint64_t tcr, mmfr1;

    READ_REG(id_aa64mmfr1_el1, mmfr1);
    READ_REG(tcr_el1, tcr);
    tcr &= ~(TCR_A1 | TCR_AS | TCR_HA | TCR_HD | 0x3full << 8);
    tcr |= TCR_EPD0 | TCR_WALK0;
    if (pmap_md_asid_bits() == 16) {
        tcr |= TCR_AS;
    }
    if (id_field(mmfr1, 0) != 0) {
        tcr |= TCR_HA;
    }
    WRITE_REG(mair_el1, PMAP_MD_MAIR);
    WRITE_REG(tcr_el1, tcr);
    ISB();
    WRITE_REG(ttbr0_el1, 0);
    ISB();
    TLBI(vmalle1);
    DSB(nsh);
    ISB();
}
