/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_state.c - laws that one CPU can see: 1, 2, 5, 6, 7, 9, and what
 * pmap.h promises beside them.
 */
#include "contract.h"
#include "vm_fault.h"

static const vm_prot_t prots[] = {
    VM_PROT_READ, VM_PROT_READ | VM_PROT_WRITE,
    VM_PROT_READ | VM_PROT_EXEC, VM_PROT_ALL,
};
#define NPROTS  4u

/* It is there as it was put, or it has been forgotten with cause. */
static bool
extracts(struct space *s, vaddr_t va, struct vm_page *p, vm_prot_t prot)
{
    paddr_t pa;
    vm_prot_t got;

    if (!pmap_extract(s->pm, va, &pa, &got)) {
        return contract_forgets();
    }
    return pa == vm_page_pa(p) && got == prot;
}

static bool
extracts_nothing(struct space *s, vaddr_t va)
{
    paddr_t pa;
    vm_prot_t prot;

    return !pmap_extract(s->pm, va, &pa, &prot);
}

void
law1_extract(void)
{
    struct space s;

    space_create(&s);
    contract_frames_begin(16);
    EXPECT(extracts_nothing(&s, s.start));
    space_enter(&s, s.start, contract_frame(0), VM_PROT_READ);
    space_enter(&s, s.end - VM_PAGE_SIZE, contract_frame(1), VM_PROT_ALL);
    EXPECT(extracts(&s, s.start, contract_frame(0), VM_PROT_READ));
    EXPECT(extracts(&s, s.end - VM_PAGE_SIZE, contract_frame(1),
        VM_PROT_ALL));
    EXPECT(extracts_nothing(&s, s.start + VM_PAGE_SIZE));
    for (unsigned i = 0; i < 16; i++) {
        vaddr_t va = space_va(&s, i + CONTRACT_FRAMES / 2 - 8);

        space_enter(&s, va, contract_frame(i), prots[i % NPROTS]);
        EXPECT(extracts(&s, va, contract_frame(i), prots[i % NPROTS]));
    }
    /* Again with other rights, and with another frame. */
    for (unsigned i = 0; i < 16; i++) {
        vaddr_t va = space_va(&s, i + CONTRACT_FRAMES / 2 - 8);
        struct vm_page *p = contract_frame(i < 8 ? i : 23 - i);

        space_enter(&s, va, p, prots[(i + 1) % NPROTS]);
        EXPECT(extracts(&s, va, p, prots[(i + 1) % NPROTS]) ||
            extracts(&s, va, p, prots[i % NPROTS] |
            prots[(i + 1) % NPROTS]));
    }
    space_remove(&s, s.start, s.end, NULL);
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        EXPECT(extracts_nothing(&s, space_va(&s, i)));
    }
    EXPECT(extracts_nothing(&s, s.start));
    pmap_check_all();
    space_destroy(&s);
    contract_frames_end();
}

void
law1_device(void)
{
    const paddr_t device = (paddr_t)0x9000000;
    struct space s;
    paddr_t pa = 0;
    vm_prot_t prot;

    if (vm_page_of(device) != NULL) {
        return;
    }
    space_create(&s);
    EXPECT(pmap_enter(s.pm, space_va(&s, 0), device,
        VM_PROT_READ | VM_PROT_WRITE, PMAP_DEVICE,
        vm_seq_read(&s.seq)) == VM_OK);
    if (pmap_extract(s.pm, space_va(&s, 0), &pa, &prot)) {
        EXPECT(pa == device);
        EXPECT(prot == (VM_PROT_READ | VM_PROT_WRITE));
    } else {
        EXPECT(contract_forgets());
    }
    pmap_check_all();
    space_remove(&s, space_va(&s, 0), space_va(&s, 1), NULL);
    EXPECT(extracts_nothing(&s, space_va(&s, 0)));
    space_destroy(&s);
}

/* After taking what is not in keep from put, nothing more is there. */
static void
law2_one(struct space *s, vm_prot_t put, vm_prot_t keep, bool by_frame)
{
    vaddr_t va = space_va(s, 3);
    paddr_t pa;
    vm_prot_t got;

    space_enter(s, va, contract_frame(0), put);
    if (by_frame) {
        frame_protect(contract_frame(0), keep, NULL);
    } else {
        space_protect(s, va, va + VM_PAGE_SIZE, keep, NULL);
    }
    if (pmap_extract(s->pm, va, &pa, &got)) {
        EXPECT((got & ~put) == 0);
        EXPECT((got & ~keep) == 0);
        EXPECT(pa == vm_page_pa(contract_frame(0)));
    }
    space_load(s);
    EXPECT((put & keep & VM_PROT_WRITE) != 0 || !can_write(va));
    space_remove(s, va, va + VM_PAGE_SIZE, NULL);
}

static void
law2(bool by_frame)
{
    static const vm_prot_t keeps[] = {
        VM_PROT_NONE, VM_PROT_READ, VM_PROT_READ | VM_PROT_EXEC,
    };
    struct space s;

    space_create(&s);
    contract_frames_begin(2);
    for (unsigned i = 0; i < NPROTS; i++) {
        for (unsigned j = 0; j < 3; j++) {
            law2_one(&s, prots[i], keeps[j], by_frame);
        }
    }
    space_leave();
    pmap_check_all();
    space_destroy(&s);
    contract_frames_end();
}

void
law2_protect(void)
{
    law2(false);
}

void
law2_page_protect(void)
{
    law2(true);
}

/* Reachable tables and translations. */
static struct pmap_counts
counts(struct space *s)
{
    struct pmap_counts c;

    pmap_count(s->pm, &c);
    return c;
}

void
law5_enter(void)
{
    struct space s;
    vaddr_t va;
    long n;

    space_create(&s);
    contract_frames_begin(4);
    space_enter(&s, s.start, contract_frame(0), VM_PROT_READ);
    va = s.end - VM_PAGE_SIZE;
    for (n = 1; n < 64; n++) {
        struct pmap_counts before = counts(&s), after;
        int error;

        contract_fail(n);
        error = space_try_enter(&s, va, contract_frame(1), VM_PROT_ALL);
        contract_fail(0);
        if (error == VM_OK) {
            break;
        }
        EXPECT(error == VM_E_NOMEM);
        after = counts(&s);
        EXPECT(after.translations == before.translations);
        EXPECT(after.tables == before.tables);
        EXPECT(extracts_nothing(&s, va));
        EXPECT(extracts(&s, s.start, contract_frame(0), VM_PROT_READ));
        pmap_check_all();
    }
    EXPECT(n < 64);
    EXPECT(extracts(&s, va, contract_frame(1), VM_PROT_ALL));
    /* More mappings of one frame: the reverse map needs memory. */
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        va = space_va(&s, i);
        for (n = 1; n < 64; n++) {
            int error;

            contract_fail(n);
            error = space_try_enter(&s, va, contract_frame(2),
                VM_PROT_READ);
            contract_fail(0);
            if (error == VM_OK) {
                break;
            }
            EXPECT(error == VM_E_NOMEM);
            EXPECT(extracts_nothing(&s, va));
            pmap_check_all();
        }
        EXPECT(n < 64);
    }
    frame_protect(contract_frame(2), VM_PROT_NONE, NULL);
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        EXPECT(extracts_nothing(&s, space_va(&s, i)));
    }
    space_destroy(&s);
    contract_frames_end();
}

void
law5_create(void)
{
    struct space s;
    int error;
    long n;

    vm_set(&s.seq.count, 2);
    for (n = 1; n < 16; n++) {
        contract_fail(n);
        error = pmap_create(&s.seq, &s.pm);
        contract_fail(0);
        if (error == VM_OK) {
            break;
        }
        EXPECT(error == VM_E_NOMEM);
        pmap_check_all();
    }
    EXPECT(error == VM_OK);
    for (n = 1; n < 16; n++) {
        contract_fail(n);
        kern_preempt_disable();
        error = pmap_activate(s.pm);
        kern_preempt_enable();
        contract_fail(0);
        if (error == VM_OK) {
            break;
        }
        EXPECT(error == VM_E_NOMEM);
        pmap_check_all();
    }
    EXPECT(error == VM_OK);
    EXPECT(cannot_read(s.start));
    space_leave();
    space_destroy(&s);
}

void
law6_wired(void)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    struct space s;
    vaddr_t kva, kend;
    paddr_t pa;
    vm_prot_t prot;
    uint64_t value;

    EXPECT(p != NULL);
    vm_page_zero(p);
    pmap_bounds(pmap_kernel(), &kva, &kend);
    /* A kernel fills its window from below. */
    kva = kend - 16 * VM_PAGE_SIZE;
    /* As a CPU does when it starts. */
    for (unsigned cpu = contract_cpus(); cpu-- > 0;) {
        contract_on(cpu);
        space_leave();
    }
    EXPECT(pmap_enter(pmap_kernel(), kva, vm_page_pa(p),
        VM_PROT_READ | VM_PROT_WRITE, PMAP_WIRED,
        vm_seq_read(vm_kernel_seq())) == VM_OK);
    space_create(&s);
    contract_frames_begin(CONTRACT_FRAMES);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
            space_enter(&s, space_va(&s, i), contract_frame(i),
                VM_PROT_ALL);
        }
        EXPECT(pmap_discard(s.pm) == VM_OK);
        EXPECT(pmap_discard(pmap_kernel()) == VM_E_INVAL);
        EXPECT(pmap_discard_table(pmap_kernel(), kva) == VM_E_INVAL);
        (void)pmap_reap(true);
        EXPECT(pmap_extract(pmap_kernel(), kva, &pa, &prot));
        EXPECT(pa == vm_page_pa(p));
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            value = round * 100 + cpu;
            if (!contract_kernel_access(kva, VM_PROT_WRITE, &value)) {
                /* It remembered that nothing was there: a fault, once. */
                EXPECT(round == 0);
                EXPECT(pmap_enter(pmap_kernel(), kva, vm_page_pa(p),
                    VM_PROT_READ | VM_PROT_WRITE, PMAP_WIRED,
                    vm_seq_read(vm_kernel_seq())) == VM_OK);
                EXPECT(contract_kernel_access(kva, VM_PROT_WRITE, &value));
            }
            value = 0;
            EXPECT(contract_kernel_access(kva, VM_PROT_READ, &value));
            EXPECT(value == round * 100 + cpu);
        }
        contract_on(0);
    }
    /* Nor does a page's revocation take it, only its users'. */
    kernel_enter(kva + VM_PAGE_SIZE, contract_frame(1));
    frame_protect(contract_frame(1), VM_PROT_NONE, NULL);
    frame_protect(contract_frame(1), VM_PROT_NONE, NULL);
    EXPECT(pmap_extract(pmap_kernel(), kva + VM_PAGE_SIZE, &pa, &prot));
    EXPECT(pa == vm_page_pa(contract_frame(1)));
    EXPECT(!pmap_extract(s.pm, space_va(&s, 1), &pa, &prot));
    pmap_check_all();
    vm_seq_begin(vm_kernel_seq());
    pmap_remove(pmap_kernel(), kva, kva + 2 * VM_PAGE_SIZE, NULL);
    vm_seq_end(vm_kernel_seq());
    EXPECT(!pmap_extract(pmap_kernel(), kva, &pa, &prot));
    for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
        contract_on(cpu);
        EXPECT(!contract_kernel_access(kva, VM_PROT_READ, &value));
    }
    contract_on(0);
    vm_page_free(p);
    space_destroy(&s);
    contract_frames_end();
}

/* Walkers are told of each new entry before pmap_enter() returns. */
void
law8_publish(void)
{
    struct space s;

    if (contract_published() == 0) {
        return;
    }
    space_create(&s);
    contract_frames_begin(CONTRACT_FRAMES);
    for (unsigned i = 0; i < CONTRACT_FRAMES; i++) {
        uint64_t before = contract_published();

        space_enter(&s, space_va(&s, i), contract_frame(i), VM_PROT_READ);
        EXPECT(contract_published() > before);
    }
    space_destroy(&s);
    contract_frames_end();
}

void
law7_hold(void)
{
    struct space s;
    vaddr_t va;

    space_create(&s);
    contract_frames_begin(2);
    va = space_va(&s, 0);
    space_load(&s);
    space_enter(&s, va, contract_frame(0), VM_PROT_READ);
    pmap_hold(s.pm);
    pmap_hold(s.pm);
    for (unsigned left = 2; left > 0; left--) {
        EXPECT(pmap_discard(s.pm) == VM_E_BUSY);
        EXPECT(pmap_discard_range(s.pm, va, va + VM_PAGE_SIZE) ==
            VM_E_BUSY);
        EXPECT(pmap_discard_table(s.pm, va) == VM_E_BUSY);
        EXPECT(extracts(&s, va, contract_frame(0), VM_PROT_READ));
        pmap_release(s.pm);
    }
    pmap_hold(s.pm);
    /* Revocations are never refused. */
    space_protect(&s, va, va + VM_PAGE_SIZE, VM_PROT_READ, NULL);
    frame_protect(contract_frame(0), VM_PROT_NONE, NULL);
    EXPECT(extracts_nothing(&s, va));
    EXPECT(cannot_read(va));
    space_enter(&s, va, contract_frame(1), VM_PROT_READ);
    space_remove(&s, va, va + VM_PAGE_SIZE, NULL);
    EXPECT(cannot_read(va));
    pmap_release(s.pm);
    EXPECT(pmap_discard(s.pm) == VM_OK);
    EXPECT(pmap_discard_range(s.pm, s.start, s.end) == VM_OK);
    EXPECT(pmap_discard_range(s.pm, va, va) == VM_E_INVAL);
    space_leave();
    space_destroy(&s);
    contract_frames_end();
}

/* One sweep over all frames: how many accesses faulted. */
static unsigned
sweep(struct space *s, unsigned n)
{
    unsigned missing = 0;

    for (unsigned i = 0; i < n; i++) {
        vaddr_t va = space_va(s, i);

        if (!can_read(va, i) || !can_write(va)) {
            missing++;
            reach(s, va, i, VM_PROT_ALL);
        }
    }
    return missing;
}

void
law9_sweep(void)
{
    unsigned frames = CONTRACT_FRAMES;
    struct space s;

    space_create(&s);
    contract_frames_begin(frames);
    space_load(&s);
    for (unsigned i = 0; i < frames; i++) {
        space_enter(&s, space_va(&s, i), contract_frame(i), VM_PROT_ALL);
        /* This CPU uses the new one at once, whatever else is true. */
        EXPECT(can_read(space_va(&s, i), i));
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned cpu = 0; cpu < contract_cpus(); cpu++) {
            contract_on(cpu);
            space_load(&s);
            EXPECT(sweep(&s, frames) == 0 || round == 0 ||
                contract_forgets());
        }
    }
    for (unsigned cpu = contract_cpus(); cpu-- > 0;) {
        contract_on(cpu);
        space_leave();
    }
    space_destroy(&s);
    contract_frames_end();
}

void
misc_seq(void)
{
    struct space s;
    vaddr_t va;
    vm_seq_t seq;

    space_create(&s);
    contract_frames_begin(1);
    va = space_va(&s, 0);
    space_enter(&s, va + VM_PAGE_SIZE, contract_frame(0), VM_PROT_READ);
    seq = vm_seq_read(&s.seq);
    vm_seq_begin(&s.seq);
    EXPECT(pmap_enter(s.pm, va, vm_page_pa(contract_frame(0)),
        VM_PROT_READ, 0, seq) == VM_E_RETRY);
    vm_seq_end(&s.seq);
    EXPECT(pmap_enter(s.pm, va, vm_page_pa(contract_frame(0)),
        VM_PROT_READ, 0, seq) == VM_E_RETRY);
    EXPECT(extracts_nothing(&s, va));
    space_enter(&s, va, contract_frame(0), VM_PROT_READ);
    EXPECT(extracts(&s, va, contract_frame(0), VM_PROT_READ));
    space_destroy(&s);
    contract_frames_end();
}

void
misc_prefill(void)
{
    uintptr_t pages[8];
    struct pmap_near near = {
        pages, 0, 8, { VM_PROT_READ, VM_PROT_READ }
    };
    struct space s;
    vaddr_t va;
    vm_seq_t seq;

    space_create(&s);
    contract_frames_begin(16);
    va = space_va(&s, 2 * CONTRACT_FRAMES);
    for (unsigned i = 0; i < 8; i++) {
        pages[i] = (uintptr_t)contract_frame(i);
        near.want |= i == 3 ? 0 : 1u << i;
    }
    /* Without a table: nothing; with any: no memory taken. */
    contract_fail(1);
    (void)pmap_prefill(s.pm, va + 8 * VM_PAGE_SIZE, &near,
        vm_seq_read(&s.seq));
    contract_fail(0);
    space_enter(&s, va, contract_frame(8), VM_PROT_READ);
    seq = vm_seq_read(&s.seq);
    vm_seq_begin(&s.seq);
    vm_seq_end(&s.seq);
    (void)pmap_prefill(s.pm, va, &near, seq);
    EXPECT(extracts_nothing(&s, va + VM_PAGE_SIZE));
    (void)pmap_prefill(s.pm, va, &near, vm_seq_read(&s.seq));
    /* What was there stays. */
    EXPECT(extracts(&s, va, contract_frame(8), VM_PROT_READ));
    EXPECT(extracts_nothing(&s, va + 3 * VM_PAGE_SIZE));
    for (unsigned i = 1; i < 8; i++) {
        paddr_t pa;
        vm_prot_t prot;

        if (pmap_extract(s.pm, va + i * VM_PAGE_SIZE, &pa, &prot)) {
            EXPECT(pages[i] != 0 && pa == vm_page_pa(contract_frame(i)));
            EXPECT(prot == VM_PROT_READ);
        }
    }
    pmap_check_all();
    /* The reverse map knows them. */
    for (unsigned i = 0; i < 8; i++) {
        frame_protect(contract_frame(i), VM_PROT_NONE, NULL);
        EXPECT(i == 0 || extracts_nothing(&s, va + i * VM_PAGE_SIZE));
    }
    space_destroy(&s);
    contract_frames_end();
}

void
misc_age(void)
{
    struct space s;
    vaddr_t va;

    space_create(&s);
    contract_frames_begin(1);
    va = space_va(&s, 0);
    space_load(&s);
    space_enter(&s, va, contract_frame(0), VM_PROT_READ);
    EXPECT(can_read(va, 0));
    (void)pmap_page_age(contract_frame(0));
    /* Nothing revoked, nothing used. */
    EXPECT(extracts(&s, va, contract_frame(0), VM_PROT_READ));
    EXPECT(can_read(va, 0));
    (void)pmap_page_age(contract_frame(0));
    space_leave();
    (void)pmap_page_age(contract_frame(0));
    EXPECT(!pmap_page_age(contract_frame(0)));
    pmap_check_all();
    space_destroy(&s);
    contract_frames_end();
}

struct audit {
    struct space *s;
    unsigned n;
    vaddr_t last;
};

static int
audit_one(void *arg, const struct pmap_mapping *m)
{
    struct audit *a = arg;
    paddr_t pa;
    vm_prot_t prot;

    EXPECT(a->n == 0 || m->va > a->last);
    EXPECT(!m->wired);
    EXPECT(pmap_extract(a->s->pm, m->va, &pa, &prot));
    EXPECT(pa == m->pa && prot == m->prot);
    a->last = m->va;
    a->n++;
    return a->n == 5 ? 42 : 0;
}

void
misc_audit(void)
{
    struct pmap_counts c;
    struct audit a;
    struct space s;

    space_create(&s);
    contract_frames_begin(4);
    a = (struct audit){ .s = &s };
    EXPECT(pmap_audit(s.pm, audit_one, &a) == 0 && a.n == 0);
    for (unsigned i = 0; i < 4; i++) {
        space_enter(&s, space_va(&s, 30 + i), contract_frame(i),
            prots[i % NPROTS]);
    }
    EXPECT(pmap_audit(s.pm, audit_one, &a) == 0);
    EXPECT(a.n == 4 || contract_forgets());
    pmap_count(s.pm, &c);
    EXPECT(c.translations == a.n && c.wired == 0);
    for (unsigned i = 4; i < 12; i++) {
        space_enter(&s, space_va(&s, 30 + i), contract_frame(i % 4),
            VM_PROT_READ);
    }
    a = (struct audit){ .s = &s };
    EXPECT(pmap_audit(s.pm, audit_one, &a) == 42 || contract_forgets());
    pmap_check(s.pm);
    space_destroy(&s);
    contract_frames_end();
}
