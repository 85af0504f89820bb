/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_root.c - tables of another kind, no tables, and a ceiling on
 * tables, while CPUs run in the pmap.
 */
#include "contract.h"
#include "vm_fault.h"

#define RW      (VM_PROT_READ | VM_PROT_WRITE)
#define PAGES   2u
#define ROUNDS  12u

static struct space s;

static int
configure(struct space *at, const struct pmap_config *c)
{
    int error;

    vm_seq_begin(&at->seq);
    error = pmap_configure(at->pm, c);
    vm_seq_end(&at->seq);
    return error;
}

/* The n-th configuration that this MI page allows; false: no more. */
static bool
config_nth(unsigned n, struct pmap_config *c)
{
    for (unsigned f = 0; f < pmap_format_count(); f++) {
        if (pmap_format_page_shift(f) > vm_page_shift) {
            continue;
        }
        if (n < 4) {
            c->format = f;
            c->tagged = (n & 1) == 0;
            c->large = (n & 2) == 0;
            return true;
        }
        n -= 4;
    }
    return false;
}

/* Pages that every format reaches. */
static vaddr_t
page_va(unsigned i)
{
    return ((vaddr_t)1 << 30) + ((vaddr_t)i << 23);
}

static void
leave_all(void)
{
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        space_leave();
    }
    contract_on(0);
}

/* Every configuration after every other; all CPUs run in it. */
void
root_every(void)
{
    struct pmap_config from, to, now;
    vaddr_t start, end;

    contract_frames_begin(PAGES);
    space_create(&s);
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        space_load(&s);
    }
    for (unsigned i = 0; config_nth(i, &from); i++) {
        for (unsigned k = 0; config_nth(k, &to); k++) {
            EXPECT(configure(&s, &from) == VM_OK);
            for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
                contract_on(cpu);
                for (unsigned p = 0; p < PAGES; p++) {
                    reach(&s, page_va(p), p, RW);
                }
            }
            EXPECT(configure(&s, &to) == VM_OK);
            pmap_config(s.pm, &now);
            EXPECT(now.format == to.format && now.tagged == to.tagged &&
                now.large == to.large);
            pmap_config_bounds(&to, &start, &end);
            pmap_bounds(s.pm, &s.start, &s.end);
            EXPECT(start == s.start && end == s.end);
            for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
                contract_on(cpu);
                EXPECT(cannot_read(page_va(k % PAGES)));
            }
            for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
                contract_on(cpu);
                reach(&s, page_va(0), 0, RW);
            }
            frame_protect(contract_frame(0), VM_PROT_NONE, NULL);
            for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
                contract_on(cpu);
                EXPECT(cannot_read(page_va(0)));
            }
            pmap_check(s.pm);
        }
    }
    to.format = pmap_format_count();
    EXPECT(configure(&s, &to) == VM_E_INVAL);
    EXPECT(pmap_configure(pmap_kernel(), &from) == VM_E_INVAL);
    pmap_hold(s.pm);
    EXPECT(configure(&s, &from) == VM_E_BUSY);
    pmap_release(s.pm);
    leave_all();
    space_destroy(&s);
    EXPECT(pmap_reap(true) == 0);
    contract_frames_end();
}

/* No memory for a root: nothing has changed, for every n-th allocation. */
void
root_fails(void)
{
    struct pmap_config from, to;
    int error;

    contract_frames_begin(1);
    space_create(&s);
    space_load(&s);
    pmap_config(s.pm, &from);
    for (unsigned k = 0; config_nth(k, &to); k++) {
        for (long n = 1;; n++) {
            (void)pmap_reap(true);
            reach(&s, page_va(0), 0, RW);
            contract_fail(n);
            error = configure(&s, &to);
            contract_fail(0);
            if (error == VM_OK) {
                break;
            }
            EXPECT(error == VM_E_NOMEM);
            EXPECT(can_read(page_va(0), 0));
        }
        EXPECT(configure(&s, &from) == VM_OK);
    }
    space_leave();
    space_destroy(&s);
    contract_frames_end();
}

static _Atomic unsigned going;

/*
 * One CPU changes the tables, evicts, rolls ASIDs; the others each own a
 * page, that they enter and revoke: what they revoked stays revoked.
 */
static void
race_cpu(unsigned cpu)
{
    struct pmap_config c;
    vaddr_t va = page_va(cpu);
    unsigned nth = 0;

    for (unsigned i = 0; cpu == 0 && vm_get(&going) != 0; i++) {
        if (!config_nth(nth++, &c)) {
            nth = 0;
            continue;
        }
        if (i % 3 == 1) {
            pmap_roll_asids();
        }
        if (i % 4 == 3) {
            (void)pmap_evict(s.pm);
        }
        (void)configure(&s, &c);
        /* Long enough for others to get what they enter, now and then. */
        for (unsigned k = 0; k < i % 40; k++) {
            contract_pause();
        }
    }
    for (unsigned i = 0; cpu != 0 && i < ROUNDS; i++) {
        bool loaded = false;

        space_load(&s);
        while (!loaded) {
            /* The sequence moves with each change. */
            int error = space_try_enter(&s, va, contract_frame(cpu), RW);

            EXPECT(error == VM_OK || error == VM_E_RETRY);
            loaded = error == VM_OK && can_read(va, cpu);
            contract_pause();
        }
        frame_protect(contract_frame(cpu), VM_PROT_NONE, NULL);
        EXPECT(cannot_read(va));
        if (i % 4 == cpu % 4) {
            space_leave();
        }
    }
    if (cpu != 0) {
        space_leave();
        (void)atomic_fetch_sub_explicit(&going, 1, memory_order_seq_cst);
    }
}

void
root_race(void)
{
    unsigned n = contract_cpus();

    for (unsigned round = 0; n > 1 && round < 6; round++) {
        contract_frames_begin(n);
        space_create(&s);
        vm_set(&going, n - 1);
        contract_together(n, race_cpu, round);
        pmap_check_all();
        leave_all();
        space_destroy(&s);
        contract_frames_end();
        EXPECT(pmap_reap(true) == 0);
    }
}

static uint64_t
tables_of(struct space *at)
{
    struct pmap_budget b;

    (void)pmap_reap(true);
    pmap_limit(at->pm, &b);
    return b.tables;
}

void
root_evict(void)
{
    unsigned other = contract_cpus() - 1;

    contract_frames_begin(2);
    space_create(&s);
    EXPECT(tables_of(&s) == 0);
    EXPECT(pmap_evict(s.pm) == VM_OK);
    space_enter(&s, page_va(0), contract_frame(0), RW);
    pmap_hold(s.pm);
    EXPECT(pmap_evict(s.pm) == VM_E_BUSY);
    pmap_release(s.pm);
    EXPECT(pmap_evict(s.pm) == VM_OK);
    EXPECT(tables_of(&s) == 0);
    contract_on(other);
    space_load(&s);
    reach(&s, page_va(0), 0, RW);
    contract_on(0);
    /* Loaded there: the root stays, what it led to does not. */
    EXPECT(pmap_evict(s.pm) == VM_E_BUSY);
    EXPECT(tables_of(&s) <= 1);
    contract_on(other);
    EXPECT(cannot_read(page_va(0)));
    reach(&s, page_va(0), 0, RW);
    space_leave();
    contract_on(0);
    EXPECT(pmap_evict(s.pm) == VM_OK);
    EXPECT(tables_of(&s) == 0);
    /* What a CPU may remember of the tables is of no use to it. */
    contract_on(other);
    space_load(&s);
    EXPECT(cannot_read(page_va(0)));
    reach(&s, page_va(0), 0, RW);
    space_leave();
    contract_on(0);
    EXPECT(pmap_evict(pmap_kernel()) == VM_E_INVAL);
    space_destroy(&s);
    contract_frames_end();
}

/* What was known of va, in tables that reached it, is of no use to others. */
static void
shrink(const struct pmap_config *from, const struct pmap_config *to,
    vaddr_t va)
{
    vm_seq_t seq;
    vm_prot_t prot;
    paddr_t pa;

    EXPECT(configure(&s, from) == VM_OK);
    reach(&s, va, 0, RW);
    reach(&s, page_va(0), 1, RW);
    seq = vm_seq_read(&s.seq);
    space_remove(&s, va, va + VM_PAGE_SIZE, NULL);
    EXPECT(configure(&s, to) == VM_OK);
    vm_page_set(contract_frame(0), VM_PG_MODIFIED);
    /* With tables there, and without. */
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(pmap_enter(s.pm, va, vm_page_pa(contract_frame(0)), RW, 0,
            seq) == VM_E_RETRY);
        EXPECT(!pmap_extract(s.pm, va, &pa, &prot));
        reach(&s, page_va(0), 1, RW);
    }
    EXPECT(!pmap_page_age(contract_frame(0)));
    EXPECT(pmap_discard_table(s.pm, va) == VM_E_INVAL);
    frame_protect(contract_frame(0), VM_PROT_NONE, NULL);
    pmap_check_all();
}

/* A format that reaches less; its other entries are perhaps the kernel's. */
void
root_shrink(void)
{
    struct pmap_config from, to;
    vaddr_t start, end, whole, kernel;
    uint64_t value;

    contract_frames_begin(2);
    space_create(&s);
    space_load(&s);
    pmap_bounds(pmap_kernel(), &start, &end);
    kernel = end - 16 * VM_PAGE_SIZE;
    kernel_enter(kernel, contract_frame(1));
    for (unsigned i = 0; config_nth(i, &from); i += 4) {
        for (unsigned k = 0; config_nth(k, &to); k += 4) {
            pmap_config_bounds(&from, &start, &whole);
            pmap_config_bounds(&to, &start, &end);
            if (end < whole) {
                shrink(&from, &to, end);
                shrink(&from, &to, whole - VM_PAGE_SIZE);
                shrink(&from, &to, kernel & (2 * end - 1));
                EXPECT(contract_kernel_access(kernel, VM_PROT_READ,
                    &value) && value == 1001);
            }
        }
    }
    vm_seq_begin(vm_kernel_seq());
    pmap_remove(pmap_kernel(), kernel, kernel + VM_PAGE_SIZE, NULL);
    vm_seq_end(vm_kernel_seq());
    space_leave();
    space_destroy(&s);
    EXPECT(pmap_reap(true) == 0);
    contract_frames_end();
}

#define SPACES  6u

static struct space many[SPACES];

/* Enter, making room whenever there is none. */
static void
enter_somehow(struct space *at, vaddr_t va, struct vm_page *p)
{
    struct pmap_budget b;
    int error;

    while ((error = space_try_enter(at, va, p, RW)) == VM_E_NOMEM) {
        EXPECT(pmap_is_over(at->pm));
        EXPECT(pmap_make_room(at->pm));
    }
    EXPECT(error == VM_OK);
    pmap_budget(&b);
    EXPECT(b.limit == 0 || (b.tables <= b.limit && b.peak <= b.limit));
    pmap_limit(at->pm, &b);
    EXPECT(b.limit == 0 || (b.tables <= b.limit && b.peak <= b.limit));
}

/* None is evicted that is not freed then. */
static void
counted_right(void)
{
    struct pmap_budget b;
    struct pmap_events e;

    (void)pmap_reap(true);
    pmap_budget(&b);
    pmap_events(&e);
    EXPECT(b.evicted == e.evicted && e.evicted <= e.tables_freed);
}

void
budget_machine(void)
{
    struct pmap_budget b;
    uint64_t floor;

    contract_frames_begin(SPACES);
    space_create(&many[0]);
    contract_on(contract_cpus() - 1);
    space_load(&many[0]);
    contract_on(0);
    /* Of all CPUs that have run anything. */
    floor = pmap_budget_floor();
    if (floor > 1) {
        EXPECT(pmap_set_budget(floor - 1) == VM_E_INVAL);
        EXPECT(pmap_set_budget(1) == VM_E_INVAL);
    }
    for (unsigned i = 0; i < SPACES; i++) {
        if (i > 0) {
            space_create(&many[i]);
        }
        for (unsigned k = 0; k < 8; k++) {
            space_enter(&many[i], page_va(k * 40), contract_frame(i), RW);
        }
    }
    EXPECT(pmap_set_budget(floor + 3) == VM_OK);
    pmap_budget(&b);
    EXPECT(b.tables <= floor + 3);
    for (unsigned i = 0; i < 40; i++) {
        enter_somehow(&many[i % SPACES], page_va(i * 31 % 400),
            contract_frame(i % SPACES));
    }
    pmap_check_all();
    /* One that is held keeps what it has. */
    (void)pmap_discard_all();
    enter_somehow(&many[1], page_va(3), contract_frame(1));
    pmap_hold(many[1].pm);
    for (unsigned i = 0; i < 40; i++) {
        unsigned k = i % SPACES == 1 ? 2 : i % SPACES;

        enter_somehow(&many[k], page_va(i * 31 % 400), contract_frame(k));
    }
    space_load(&many[1]);
    EXPECT(contract_forgets() || can_read(page_va(3), 1) ||
        (space_enter(&many[1], page_va(3), contract_frame(1), RW),
        can_read(page_va(3), 1)));
    space_leave();
    pmap_release(many[1].pm);
    EXPECT(pmap_set_budget(0) == VM_OK);
    leave_all();
    for (unsigned i = 0; i < SPACES; i++) {
        space_destroy(&many[i]);
    }
    EXPECT(pmap_reap(true) == 0);
    counted_right();
    pmap_budget(&b);
    EXPECT(b.tables == 0);
    contract_frames_end();
}

/* Between them they hold more than there is: each gets on, in some order. */
void
budget_holds(void)
{
    vm_prot_t prot;
    paddr_t pa;

    contract_frames_begin(SPACES);
    for (unsigned i = 0; i < SPACES; i++) {
        space_create(&many[i]);
    }
    EXPECT(pmap_set_budget(pmap_budget_floor() + 1) == VM_OK);
    space_enter(&many[0], page_va(1), contract_frame(0), RW);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < SPACES; i++) {
            if (round == 0) {
                pmap_hold(many[i].pm);
            }
            for (unsigned k = 0; i != 0 && k < 16; k++) {
                enter_somehow(&many[i], page_va(k * 40 + i),
                    contract_frame(i));
            }
        }
        /* It was the first. */
        EXPECT(contract_forgets() ||
            pmap_extract(many[0].pm, page_va(1), &pa, &prot));
    }
    counted_right();
    pmap_check_all();
    for (unsigned i = 0; i < SPACES; i++) {
        pmap_release(many[i].pm);
    }
    EXPECT(pmap_set_budget(0) == VM_OK);
    for (unsigned i = 0; i < SPACES; i++) {
        space_destroy(&many[i]);
    }
    EXPECT(pmap_reap(true) == 0);
    contract_frames_end();
}

void
budget_one(void)
{
    uint64_t floor = pmap_budget_floor();

    contract_frames_begin(2);
    space_create(&s);
    if (floor > 1) {
        EXPECT(pmap_set_limit(s.pm, floor - 1) == VM_E_INVAL);
    }
    EXPECT(pmap_set_limit(pmap_kernel(), floor) == VM_E_INVAL);
    EXPECT(pmap_set_limit(s.pm, floor) == VM_OK);
    for (unsigned i = 0; i < 60; i++) {
        enter_somehow(&s, page_va(i * 37 % 400), contract_frame(i % 2));
    }
    pmap_check(s.pm);
    EXPECT(pmap_set_limit(s.pm, 0) == VM_OK);
    for (unsigned i = 0; i < 60; i++) {
        space_enter(&s, page_va(i), contract_frame(i % 2), RW);
    }
    space_destroy(&s);
    counted_right();
    EXPECT(pmap_reap(true) == 0);
    contract_frames_end();
}

void
discard_all(void)
{
    unsigned n;

    contract_frames_begin(SPACES);
    for (unsigned i = 0; i < SPACES; i++) {
        space_create(&many[i]);
        space_enter(&many[i], page_va(i), contract_frame(i), RW);
    }
    pmap_hold(many[2].pm);
    n = pmap_discard_all();
    EXPECT(n == SPACES - 1);
    pmap_release(many[2].pm);
    for (unsigned i = 0; i < SPACES; i++) {
        space_load(&many[i]);
        EXPECT(i == 2 ? contract_forgets() || can_read(page_va(i), i) :
            cannot_read(page_va(i)));
        pmap_roll_asids();
        EXPECT(i == 2 || cannot_read(page_va(i)));
        reach(&many[i], page_va(i), i, RW);
        space_leave();
    }
    for (unsigned i = 0; i < SPACES; i++) {
        space_destroy(&many[i]);
    }
    contract_frames_end();
}
