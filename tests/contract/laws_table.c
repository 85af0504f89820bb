/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_table.c - what a pmap leaves behind: a table that served before is
 * blank when it serves again, and a page that is freed is mapped nowhere.
 */
#include "contract.h"

/* The only translations of s are the n at space_va(s, i * step). */
static void
has_only(struct space *s, unsigned n, unsigned step)
{
    struct pmap_counts counts;
    vm_prot_t prot;
    paddr_t pa;

    pmap_count(s->pm, &counts);
    EXPECT(counts.translations <= n);
    EXPECT(contract_forgets() || counts.translations == n);
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        bool there = i % step == 0 && i / step < n;

        EXPECT(there || !pmap_extract(s->pm, space_va(s, i), &pa, &prot));
    }
    pmap_check(s->pm);
}

/*
 * Spaces come and go, each with more or fewer pages than the last one and
 * at other places, some of them taken away before the end.
 */
void
table_blank(void)
{
    static const unsigned steps[] = { 1, 7, 3, 16, 64, 2, 9 };
    struct space s;

    contract_frames_begin(CONTRACT_FRAMES);
    for (unsigned round = 0; round < 28; round++) {
        unsigned step = steps[round % 7];
        unsigned n = (CONTRACT_FRAMES + step - 1) / step;

        space_create(&s);
        has_only(&s, 0, 1);
        for (unsigned i = 0; i < n; i++) {
            space_enter(&s, space_va(&s, i * step), contract_frame(i),
                VM_PROT_READ | VM_PROT_WRITE);
        }
        has_only(&s, n, step);
        if (round % 2 == 0) {
            space_protect(&s, space_va(&s, 0),
                space_va(&s, CONTRACT_FRAMES), VM_PROT_READ, NULL);
        }
        if (round % 3 == 0) {
            space_remove(&s, space_va(&s, 0), space_va(&s, 5), NULL);
            space_enter(&s, space_va(&s, 1), contract_frame(0),
                VM_PROT_READ);
        }
        if (round % 5 == 0) {
            EXPECT(pmap_discard(s.pm) == VM_OK);
            has_only(&s, 0, 1);
        }
        pmap_check(s.pm);
        space_destroy(&s);
        if (round % 8 == 7) {
            (void)pmap_reap(true);
        }
    }
    contract_frames_end();
}

/* Mapped at one place, perhaps at another; the first is removed. */
static void
forget_one(bool range, bool elsewhere, bool alive)
{
    struct vm_page *p = contract_frame(1);
    struct space s, other;
    vaddr_t va, end;
    vm_prot_t prot;
    paddr_t pa;

    space_create(&s);
    space_create(&other);
    va = space_va(&s, 8);
    end = va + 4 * VM_PAGE_SIZE;
    space_enter(&s, va + VM_PAGE_SIZE, p, VM_PROT_READ);
    if (elsewhere) {
        space_enter(&other, va, p, VM_PROT_READ);
    }
    space_remove(&s, va, end, NULL);
    if (!alive) {
        space_destroy(&other);
    }
    frame_forget(p, range ? s.pm : NULL, va, end);
    EXPECT(!pmap_extract(s.pm, va + VM_PAGE_SIZE, &pa, &prot));
    EXPECT(!alive || !pmap_extract(other.pm, va, &pa, &prot));
    EXPECT(p->pv.pm == NULL);
    if (alive) {
        /* It can be mapped again, and the audit finds its hint. */
        space_enter(&other, va, p, VM_PROT_READ);
        pmap_check(other.pm);
        space_destroy(&other);
    }
    space_destroy(&s);
}

/* A page that stays mapped where it was is revoked there, range or not. */
static void
forget_still_mapped(bool range)
{
    struct vm_page *p = contract_frame(2);
    struct space s;
    vaddr_t va;
    vm_prot_t prot;
    paddr_t pa;

    space_create(&s);
    va = space_va(&s, 8);
    space_enter(&s, va, p, VM_PROT_READ);
    /* The range that was removed is the one after it. */
    frame_forget(p, range ? s.pm : NULL, va + VM_PAGE_SIZE,
        va + 9 * VM_PAGE_SIZE);
    EXPECT(!pmap_extract(s.pm, va, &pa, &prot));
    EXPECT(p->pv.pm == NULL);
    space_destroy(&s);
}

void
table_forget(void)
{
    contract_frames_begin(4);
    for (unsigned i = 0; i < 8; i++) {
        forget_one((i & 1) != 0, (i & 2) != 0, (i & 4) != 0);
    }
    forget_still_mapped(false);
    forget_still_mapped(true);
    contract_frames_end();
}
