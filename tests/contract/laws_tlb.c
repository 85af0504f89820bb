/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_tlb.c - laws about what CPUs still remember: 3, 4, 8, batches,
 * destruction, address-space identifiers.
 *
 * In each case of law 3 the CPUs stand in four ways to the space:
 *
 *   0         runs in it, and revokes
 *   1         runs in it
 *   2         ran in it, and has gone to another space since
 *   3         (if there is one) will only run in it later
 */
#include "contract.h"

#define RW (VM_PROT_READ | VM_PROT_WRITE)

enum revoke {
    REVOKE_REMOVE, REVOKE_PROTECT, REVOKE_PAGE, REVOKE_PAGE_WRITE,
    REVOKE_DISCARD, REVOKE_DISCARD_RANGE, REVOKE_DISCARD_TABLE,
    REVOKE_KINDS
};

/* Does it take all rights, or the right to write? */
static bool
takes_all(enum revoke r)
{
    return r != REVOKE_PROTECT && r != REVOKE_PAGE_WRITE;
}

static bool
can_batch(enum revoke r)
{
    return r < REVOKE_DISCARD;
}

static void
revoke(struct space *s, vaddr_t va, struct vm_page *p, enum revoke r,
    struct pmap_batch *b)
{
    vaddr_t end = va + VM_PAGE_SIZE;

    switch (r) {
    case REVOKE_REMOVE:
        space_remove(s, va, end, b);
        break;
    case REVOKE_PROTECT:
        space_protect(s, va, end, VM_PROT_READ, b);
        break;
    case REVOKE_PAGE:
        frame_protect(p, VM_PROT_NONE, b);
        break;
    case REVOKE_PAGE_WRITE:
        frame_protect(p, VM_PROT_READ, b);
        break;
    case REVOKE_DISCARD:
        EXPECT(pmap_discard(s->pm) == VM_OK);
        break;
    case REVOKE_DISCARD_RANGE:
        EXPECT(pmap_discard_range(s->pm, va, end) == VM_OK);
        break;
    case REVOKE_DISCARD_TABLE:
        EXPECT(pmap_discard_table(s->pm, va) == VM_OK);
        break;
    case REVOKE_KINDS:
        break;
    }
}

/* Every CPU that may have seen it uses it, so that it is remembered. */
static void
warm(struct space *s, struct space *other, vaddr_t va, unsigned frame)
{
    unsigned n = contract_cpus();

    for (unsigned cpu = 0; cpu < n && cpu < 3; cpu++) {
        contract_on(cpu);
        space_load(s);
        reach(s, va, frame, RW);
        if (cpu == 2) {
            space_load(other);
        }
    }
    contract_on(0);
}

/* Nobody has more than is left; then another frame comes, and is seen. */
static void
all_lost(struct space *s, vaddr_t va, bool all, unsigned frame)
{
    unsigned n = contract_cpus();

    for (unsigned cpu = n; cpu-- > 0;) {
        contract_on(cpu);
        if (cpu >= 2) {
            space_load(s);
        }
        EXPECT(!can_write(va));
        EXPECT(all ? cannot_read(va) : can_read(va, frame) ||
            cannot_read(va));
    }
    contract_on(0);
    space_enter(s, va, contract_frame(frame + 1), RW);
    for (unsigned cpu = 0; cpu < n; cpu++) {
        contract_on(cpu);
        space_load(s);
        EXPECT(can_read(va, frame + 1) || cannot_read(va));
        EXPECT(!can_read(va, frame));
    }
}

static void
all_leave(void)
{
    for (unsigned cpu = contract_cpus(); cpu-- > 0;) {
        contract_on(cpu);
        space_leave();
    }
}

static void
law3_one(enum revoke r, bool batched)
{
    struct space s, other;
    struct pmap_batch b;

    space_create(&s);
    space_create(&other);
    contract_frames_begin(4);
    for (unsigned i = 0; i < 6; i++) {
        vaddr_t va = space_va(&s, CONTRACT_FRAMES / 2 - 3 + i);

        space_enter(&s, va, contract_frame(0), RW);
        warm(&s, &other, va, 0);
        if (batched) {
            pmap_batch_begin(&b);
        }
        revoke(&s, va, contract_frame(0), r, batched ? &b : NULL);
        if (batched) {
            pmap_batch_commit(&b);
        }
        all_lost(&s, va, takes_all(r), 0);
        all_leave();
    }
    (void)pmap_reap(true);
    pmap_check_all();
    space_destroy(&s);
    space_destroy(&other);
    contract_frames_end();
}

static void
law3_remove(void)
{
    law3_one(REVOKE_REMOVE, false);
}

static void
law3_protect(void)
{
    law3_one(REVOKE_PROTECT, false);
}

static void
law3_page_protect(void)
{
    law3_one(REVOKE_PAGE, false);
    law3_one(REVOKE_PAGE_WRITE, false);
}

static void
law3_discard(void)
{
    law3_one(REVOKE_DISCARD, false);
}

static void
law3_discard_range(void)
{
    law3_one(REVOKE_DISCARD_RANGE, false);
}

static void
law3_discard_table(void)
{
    law3_one(REVOKE_DISCARD_TABLE, false);
}

static void
law3_batched(void)
{
    for (unsigned r = 0; r < REVOKE_KINDS; r++) {
        if (can_batch((enum revoke)r)) {
            law3_one((enum revoke)r, true);
        }
    }
}

static bool
still_there(struct space *s, vaddr_t va)
{
    paddr_t pa;
    vm_prot_t prot;

    return pmap_extract(s->pm, va, &pa, &prot);
}

/* One revocation of a range that crosses tables, holes in it included. */
static void
law3_range(void)
{
    struct space s, other;

    space_create(&s);
    space_create(&other);
    contract_frames_begin(1);
    for (unsigned round = 0; round < 3; round++) {
        vaddr_t first = space_va(&s, 1), last = space_va(&s, 62);
        vaddr_t far = s.end - VM_PAGE_SIZE;

        for (unsigned i = 0; i < CONTRACT_FRAMES; i += 1 + i % 3) {
            space_enter(&s, space_va(&s, i), contract_frame(0), RW);
            warm(&s, &other, space_va(&s, i), 0);
        }
        space_enter(&s, far, contract_frame(0), RW);
        warm(&s, &other, far, 0);
        if (round == 0) {
            space_remove(&s, first, last, NULL);
        } else if (round == 1) {
            EXPECT(pmap_discard_range(s.pm, first, last) == VM_OK);
        } else {
            space_remove(&s, s.start, s.end, NULL);
        }
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            space_load(&s);
            for (unsigned i = 1; i < 62; i++) {
                EXPECT(cannot_read(space_va(&s, i)));
            }
            EXPECT(round < 2 || cannot_read(far));
            EXPECT(round < 2 || cannot_read(space_va(&s, 0)));
            EXPECT(still_there(&s, far) == (round < 2) ||
                contract_forgets());
            EXPECT(still_there(&s, space_va(&s, 0)) == (round < 2) ||
                contract_forgets());
        }
        all_leave();
        contract_on(0);
    }
    space_destroy(&s);
    space_destroy(&other);
    contract_frames_end();
}

/* One batch over several spaces, more revocations than it can hold. */
static void
law3_spaces(void)
{
    enum { SPACES = 5, PAGES = 40 };
    struct space s[SPACES];
    struct pmap_batch b;

    contract_frames_begin(2);
    for (unsigned i = 0; i < SPACES; i++) {
        space_create(&s[i]);
        for (unsigned j = 0; j < PAGES; j++) {
            space_enter(&s[i], space_va(&s[i], j), contract_frame(j % 2),
                RW);
        }
    }
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        for (unsigned i = 0; i < SPACES; i++) {
            space_load(&s[(i + cpu) % SPACES]);
            for (unsigned j = 0; j < PAGES; j++) {
                reach(&s[(i + cpu) % SPACES], space_va(&s[0], j), j % 2,
                    RW);
            }
        }
    }
    contract_on(0);
    pmap_batch_begin(&b);
    for (unsigned i = 0; i + 1 < SPACES; i++) {
        for (unsigned j = 0; j < PAGES; j += 2) {
            space_protect(&s[i], space_va(&s[i], j),
                space_va(&s[i], j + 1), VM_PROT_READ, &b);
        }
    }
    frame_protect(contract_frame(1), VM_PROT_NONE, &b);
    pmap_batch_commit(&b);
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        for (unsigned i = 0; i < SPACES; i++) {
            space_load(&s[i]);
            for (unsigned j = 0; j < PAGES; j++) {
                vaddr_t va = space_va(&s[i], j);

                EXPECT(j % 2 == 0 || cannot_read(va));
                EXPECT(i + 1 == SPACES || !can_write(va));
                EXPECT(j % 2 == 1 || still_there(&s[i], va) ||
                    contract_forgets());
            }
        }
        space_leave();
    }
    contract_on(0);
    pmap_check_all();
    for (unsigned i = 0; i < SPACES; i++) {
        space_destroy(&s[i]);
    }
    contract_frames_end();
}

/*
 * More spaces than identifiers: each shows its own frame at one address,
 * whoever ran before; and what was revoked while a space was away stays so.
 */
static void
law3_asids(void)
{
    enum { SPACES = 40 };
    static struct space s[SPACES];
    unsigned n = contract_cpus();

    contract_frames_begin(SPACES);
    for (unsigned i = 0; i < SPACES; i++) {
        space_create(&s[i]);
        space_enter(&s[i], space_va(&s[i], 0), contract_frame(i), RW);
    }
    for (unsigned step = 0; step < 600; step++) {
        unsigned i = step * 7 % SPACES;
        vaddr_t va = space_va(&s[i], 0);

        contract_on(step % n);
        space_load(&s[i]);
        reach(&s[i], va, i, RW);
        if (step % 5 == 0) {
            /* While it is loaded somewhere else, or nowhere. */
            unsigned j = (i + 3) % SPACES;

            space_remove(&s[j], space_va(&s[j], 0), space_va(&s[j], 1),
                NULL);
            contract_on((step + 1) % n);
            space_load(&s[j]);
            EXPECT(cannot_read(space_va(&s[j], 0)));
            space_enter(&s[j], space_va(&s[j], 0), contract_frame(j), RW);
            EXPECT(can_read(space_va(&s[j], 0), j));
        }
        if (step % 11 == 0) {
            /* Its identifier may serve another soon. */
            unsigned j = (i + 5) % SPACES;

            space_destroy(&s[j]);
            space_create(&s[j]);
            contract_on((step + 2) % n);
            space_load(&s[j]);
            EXPECT(cannot_read(space_va(&s[j], 0)));
            space_enter(&s[j], space_va(&s[j], 0), contract_frame(j), RW);
        }
    }
    all_leave();
    pmap_check_all();
    for (unsigned i = 0; i < SPACES; i++) {
        space_destroy(&s[i]);
    }
    contract_frames_end();
}

/* Nobody runs in it, but CPUs still hold it. */
static void
law3_destroy(void)
{
    struct space s, next;
    vaddr_t va;

    contract_frames_begin(2);
    for (unsigned round = 0; round < 4; round++) {
        space_create(&s);
        va = space_va(&s, round);
        space_enter(&s, va, contract_frame(0), RW);
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            space_load(&s);
            reach(&s, va, 0, RW);
        }
        contract_on(0);
        space_destroy(&s);
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            EXPECT(cannot_read(va));
        }
        contract_on(0);
        space_create(&next);
        space_enter(&next, va + VM_PAGE_SIZE, contract_frame(1), RW);
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            space_load(&next);
            EXPECT(cannot_read(va));
            reach(&next, va + VM_PAGE_SIZE, 1, RW);
        }
        all_leave();
        contract_on(0);
        space_destroy(&next);
        pmap_check_all();
    }
    EXPECT(pmap_reap(true) == 0);
    contract_frames_end();
}

/* One CPU replaces frames; on the others an older one never comes back. */
static struct space shared;
static _Atomic uint64_t published;
static _Atomic bool over;
static bool holes;              /* CPU 1 discards what the others use */

static void
law4_cpu(unsigned cpu)
{
    vaddr_t va = space_va(&shared, 0);
    uint64_t last = 0, value = 0, before;

    space_load(&shared);
    for (unsigned i = 1; cpu == 0 && i < 40; i++) {
        struct vm_page *p = contract_frame(i % 4);

        /* Nobody maps p now: three others came since. */
        frame_protect(p, VM_PROT_NONE, NULL);
        *(uint64_t *)vm_page_data(p) = i;
        space_enter(&shared, va, p, i % 2 ? RW : VM_PROT_READ);
        atomic_store(&published, i);
        if (i % 8 == 0) {
            (void)pmap_discard(shared.pm);
        }
        contract_pause();
    }
    if (cpu == 0) {
        atomic_store(&over, true);
    }
    while (cpu != 0 && !atomic_load(&over)) {
        if (holes && cpu == 1) {
            EXPECT(pmap_discard_range(shared.pm, va, va + VM_PAGE_SIZE) ==
                VM_OK);
            contract_pause();
            continue;
        }
        before = atomic_load(&published);
        if (contract_access(va, VM_PROT_READ, &value)) {
            EXPECT(value >= before && value >= last);
            last = value;
        }
        contract_pause();
    }
    space_leave();
}

static void
law4_rounds(unsigned cpus)
{
    for (unsigned round = 0; round < 10; round++) {
        space_create(&shared);
        contract_frames_begin(4);
        for (unsigned i = 0; i < 4; i++) {
            *(uint64_t *)vm_page_data(contract_frame(i)) = 0;
        }
        atomic_store(&published, 0);
        atomic_store(&over, false);
        contract_together(cpus, law4_cpu, round);
        pmap_check_all();
        space_destroy(&shared);
        contract_frames_end();
    }
}

static void
law4_replace(void)
{
    law4_rounds(3);
}

/*
 * The same where another makes holes all the time, whose flush is late: who
 * fills one must not come before it.
 */
static void
law4_holes(void)
{
    holes = true;
    vm_set(&pmap_test_delay, 20);
    law4_rounds(contract_cpus() < 4 ? 3 : 4);
    vm_set(&pmap_test_delay, 0);
    holes = false;
}

/*
 * Two revoke the same page, one by its address, one by its frame, and the
 * flush of either is late: who finds it gone must not be done before that.
 */
static void
law3_two_cpu(unsigned cpu)
{
    vaddr_t va = space_va(&shared, 0);
    uint64_t value, before;

    space_load(&shared);
    for (unsigned i = 1; cpu == 0 && i < 60; i++) {
        atomic_store(&published, 0);
        space_enter(&shared, va, contract_frame(0), RW);
        for (unsigned k = 0; k < i % 7; k++) {
            contract_pause();
        }
        if (i % 3 == 0) {
            space_protect(&shared, va, va + VM_PAGE_SIZE, VM_PROT_READ,
                NULL);
        } else {
            space_remove(&shared, va, va + VM_PAGE_SIZE, NULL);
            atomic_store(&published, i);
        }
        contract_pause();
    }
    if (cpu == 0) {
        atomic_store(&over, true);
    }
    while (cpu != 0 && !atomic_load(&over)) {
        if (cpu == 1) {
            frame_protect(contract_frame(0), VM_PROT_NONE, NULL);
            contract_pause();
            continue;
        }
        /* Removed, and not entered again meanwhile. */
        before = atomic_load(&published);
        EXPECT(!contract_access(va, VM_PROT_READ, &value) || before == 0 ||
            atomic_load(&published) != before);
        contract_pause();
    }
    space_leave();
}

static void
law3_two(void)
{
    vm_set(&pmap_test_delay, 20);
    for (unsigned round = 0; round < 10; round++) {
        space_create(&shared);
        contract_frames_begin(1);
        atomic_store(&over, false);
        contract_together(3, law3_two_cpu, round);
        pmap_check_all();
        space_destroy(&shared);
        contract_frames_end();
    }
    vm_set(&pmap_test_delay, 0);
}

/* Entered again with fewer rights: no CPU keeps those that went. */
void
law4_restrict(void)
{
    struct space s, other;

    space_create(&s);
    space_create(&other);
    contract_frames_begin(4);
    for (unsigned i = 0; i < 8; i++) {
        vaddr_t va = space_va(&s, CONTRACT_FRAMES / 2 - 4 + i);

        space_enter(&s, va, contract_frame(0), RW);
        warm(&s, &other, va, 0);
        space_enter(&s, va, contract_frame(0), VM_PROT_READ);
        all_lost(&s, va, false, 0);
        all_leave();
    }
    pmap_check_all();
    space_destroy(&s);
    space_destroy(&other);
    contract_frames_end();
}

/* Another CPU that saw nothing there gets on after one more enter. */
static void
law8_fence(void)
{
    struct space s;

    space_create(&s);
    contract_frames_begin(2);
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        vaddr_t va = space_va(&s, i);

        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            space_load(&s);
            EXPECT(cannot_read(va));
        }
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            if (!can_read(va, 0)) {
                space_enter(&s, va, contract_frame(0), VM_PROT_READ);
                EXPECT(can_read(va, 0));
            }
        }
        /* The same when a right is added. */
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            if (!can_write(va)) {
                space_enter(&s, va, contract_frame(0), RW);
                EXPECT(can_write(va));
            }
        }
    }
    all_leave();
    pmap_check_all();
    space_destroy(&s);
    contract_frames_end();
}

const struct contract_law contract_laws[] = {
    { "law1/extract", law1_extract, 0 },
    { "law1/device", law1_device, 0 },
    { "law2/protect", law2_protect, 0 },
    { "law2/page_protect", law2_page_protect, 0 },
    { "law3/remove", law3_remove, 0 },
    { "law3/protect", law3_protect, 0 },
    { "law3/page_protect", law3_page_protect, 0 },
    { "law3/discard", law3_discard, 0 },
    { "law3/discard_range", law3_discard_range, 0 },
    { "law3/discard_table", law3_discard_table, 0 },
    { "law3/batched", law3_batched, 0 },
    { "law3/range", law3_range, 0 },
    { "law3/spaces", law3_spaces, 0 },
    { "law3/asids", law3_asids, LAW_FEW_ASIDS },
    { "law3/two", law3_two, 0 },
    { "law3/destroy", law3_destroy, 0 },
    { "law4/replace", law4_replace, 0 },
    { "law4/holes", law4_holes, 0 },
    { "law4/restrict", law4_restrict, 0 },
    { "law5/enter", law5_enter, 0 },
    { "law5/create", law5_create, 0 },
    { "law6/wired", law6_wired, LAW_KEEPS },
    { "law7/hold", law7_hold, 0 },
    { "law8/fence", law8_fence, 0 },
    { "law8/publish", law8_publish, 0 },
    { "law9/sweep", law9_sweep, 0 },
    { "enter/seq", misc_seq, 0 },
    { "prefill", misc_prefill, 0 },
    { "age", misc_age, 0 },
    { "audit", misc_audit, 0 },
    { "change/every", root_every, 0 },
    { "change/fails", root_fails, 0 },
    { "change/race", root_race, 0 },
    { "change/evict", root_evict, 0 },
    { "change/shrink", root_shrink, LAW_KEEPS },
    { "budget/machine", budget_machine, 0 },
    { "budget/one", budget_one, 0 },
    { "budget/holds", budget_holds, 0 },
    { "discard/all", discard_all, 0 },
    { "change/formats", change_formats, 0 },
    { "change/asids", change_asids, LAW_FEW_ASIDS },
    { "change/counts", change_counts, 0 },
    { "table/blank", table_blank, 0 },
    { "table/forget", table_forget, 0 },
    { "large/enter", large_enter, 0 },
    { "large/page_protect", large_page_protect, 0 },
    { "large/range", large_range, 0 },
    { "large/replace", large_replace, 0 },
    { "large/fail", large_fail, 0 },
    { "large/age", large_age, 0 },
    { "large/race", large_race, 0 },
    { NULL, NULL, 0 },
};
