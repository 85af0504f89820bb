/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_change.c - laws about what changes under CPUs that run: tables of
 * another kind, identifiers; and about the count of all tables.
 */
#include "contract.h"

#define RW      (VM_PROT_READ | VM_PROT_WRITE)
#define PAGES   8u

/* Where every format reaches. */
static vaddr_t
change_va(unsigned i)
{
    return ((vaddr_t)1 << 30) + ((vaddr_t)i << vm_page_shift) * 3;
}

/* CPUs 0 and 1 run in s and have seen it all; 2 has left; 3 comes later. */
static void
change_warm(struct space *s, struct space *other)
{
    for (unsigned cpu = contract_cpus(); cpu-- > 0;) {
        contract_on(cpu);
        if (cpu < 3) {
            space_load(s);
            for (unsigned i = 0; i < PAGES; i++) {
                reach(s, change_va(i), i, RW);
            }
        }
        if (cpu >= 2) {
            space_load(other);
        }
    }
}

/* Nothing of before is there; then all of it can be had again. */
static void
change_judge(struct space *s)
{
    struct pmap_counts counts;

    pmap_count(s->pm, &counts);
    EXPECT(counts.translations == 0);
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        space_load(s);
        for (unsigned i = 0; i < PAGES; i++) {
            EXPECT(cannot_read(change_va(i)));
        }
    }
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        for (unsigned i = 0; i < PAGES; i++) {
            reach(s, change_va(i), i, RW);
        }
    }
    contract_on(0);
    (void)pmap_reap(true);
    pmap_check_all();
}

static void
change_to(struct space *s, struct space *other, struct pmap_config to)
{
    struct pmap_config now;
    vaddr_t start, end;
    bool fits = pmap_format_page_shift(to.format) <= vm_page_shift;

    change_warm(s, other);
    pmap_hold(s->pm);
    EXPECT(pmap_configure(s->pm, &to) == (fits ? VM_E_BUSY : VM_E_INVAL));
    pmap_release(s->pm);
    EXPECT(can_read(change_va(0), 0));
    vm_seq_begin(&s->seq);
    EXPECT(pmap_configure(s->pm, &to) == (fits ? VM_OK : VM_E_INVAL));
    vm_seq_end(&s->seq);
    if (!fits) {
        EXPECT(can_read(change_va(0), 0));
        return;
    }
    pmap_config(s->pm, &now);
    EXPECT(now.format == to.format && now.tagged == to.tagged);
    pmap_config_bounds(&to, &start, &end);
    pmap_bounds(s->pm, &s->start, &s->end);
    EXPECT(s->start == start && s->end == end);
    change_judge(s);
}

static void
change_leave(void)
{
    for (unsigned cpu = contract_cpus(); cpu-- > 0;) {
        contract_on(cpu);
        space_leave();
    }
}

/* A space goes through all formats while CPUs run in it, and while none. */
void
change_formats(void)
{
    struct space s, other;

    space_create(&s);
    space_create(&other);
    contract_frames_begin(PAGES);
    for (unsigned f = 0; f < 2 * pmap_format_count(); f++) {
        struct pmap_config to = { .format = f % pmap_format_count() };

        to.tagged = f % 3 != 1;
        change_to(&s, &other, to);
        if (f % 2 == 0) {
            to.format = pmap_format(s.pm);
            change_leave();
            vm_seq_begin(&s.seq);
            EXPECT(pmap_configure(s.pm, &to) == VM_OK);
            vm_seq_end(&s.seq);
            change_judge(&s);
        }
    }
    change_leave();
    space_destroy(&s);
    space_destroy(&other);
    contract_frames_end();
}

/*
 * All identifiers are given anew while CPUs run: who runs and who comes back
 * are still one space, and what is revoked in it is gone for both.
 */
void
change_asids(void)
{
    struct space s, other, third;

    space_create(&s);
    space_create(&other);
    space_create(&third);
    contract_frames_begin(PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        change_warm(&s, &other);
        contract_on(0);
        pmap_roll_asids();
        /* So that s would not get the number back that it had. */
        space_load(&third);
        space_load(&other);
        EXPECT(cannot_read(change_va(i)));
        space_load(&s);
        EXPECT(can_read(change_va(i), i) || contract_forgets());
        space_remove(&s, change_va(i), change_va(i) + VM_PAGE_SIZE, NULL);
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            if (cpu >= 2) {
                space_load(&s);
            }
            EXPECT(cannot_read(change_va(i)));
        }
        pmap_check_all();
    }
    change_leave();
    space_destroy(&s);
    space_destroy(&other);
    space_destroy(&third);
    contract_frames_end();
}

static uint64_t
tables_counted(void)
{
    struct pmap_budget b;

    (void)pmap_reap(true);
    pmap_budget(&b);
    return b.tables;
}

/* Each table counts once, from the time it is made until it is no more. */
void
change_counts(void)
{
    uint64_t before = tables_counted(), sum = 0;
    struct pmap_counts counts;
    struct space s[4];

    contract_frames_begin(PAGES);
    for (unsigned round = 0; round < 3; round++) {
        sum = 0;
        for (unsigned i = 0; i < 4; i++) {
            space_create(&s[i]);
            for (unsigned k = 0; k <= i; k++) {
                space_enter(&s[i], change_va(k) + ((vaddr_t)k << 25),
                    contract_frame(k), RW);
            }
            pmap_count(s[i].pm, &counts);
            sum += counts.tables;
        }
        EXPECT(contract_forgets() || tables_counted() == before + sum);
        for (unsigned i = 0; i < 4; i++) {
            EXPECT(pmap_discard(s[i].pm) == VM_OK);
            space_destroy(&s[i]);
        }
    }
    EXPECT(tables_counted() == before);
    contract_frames_end();
}
