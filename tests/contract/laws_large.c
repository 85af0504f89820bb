/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws_large.c - large leaves keep every law that small ones keep.
 *
 * Whatever is done to a part, the part obeys at once; the rest may be
 * forgotten with it, and then comes back by faults, page by page.  Where
 * the MMU has no large leaf, or memory no run for one, there is nothing to
 * test.
 */
#include "contract.h"
#include "vm_object.h"

static struct vm_object *object;
static struct vm_page *head;
static unsigned npages;
static unsigned shift;
static struct space s;

#define RW      (VM_PROT_READ | VM_PROT_WRITE)

/* Page i of the run; the word at its beginning is 5000 + i. */
static vaddr_t
at(unsigned i)
{
    vsize_t size = (vsize_t)1 << shift;

    return ((s.end / 2 + size - 1) & ~(size - 1)) +
        ((vaddr_t)i << vm_page_shift);
}

static void
fill(void)
{
    EXPECT(vm_radix_fill(&object->pages, 0, head, npages) == VM_OK);
    vm_page_zero_many(head, npages);
    for (unsigned i = 0; i < npages; i++) {
        *(uint64_t *)vm_page_data(head + i) = 5000 + i;
    }
}

/* False: nothing of the kind here. */
static bool
begin(void)
{
    space_create(&s);
    shift = pmap_large_shift(s.pm);
    if (shift == 0) {
        space_destroy(&s);
        return false;
    }
    npages = 1u << (shift - vm_page_shift);
    EXPECT(vm_object_create(npages, NULL, &object) == VM_OK);
    vm_object_lock(object);
    head = vm_page_alloc_run(shift, object, 0, VM_PG_MODIFIED);
    if (head != NULL) {
        EXPECT((vm_page_pa(head) & (((paddr_t)1 << shift) - 1)) == 0);
        fill();
    }
    vm_object_unlock(object);
    if (head == NULL) {
        vm_object_unref(object, NULL);
        space_destroy(&s);
        return false;
    }
    space_load(&s);
    return true;
}

static void
end(void)
{
    pmap_check_all();
    space_leave();
    space_destroy(&s);
    vm_object_unref(object, NULL);
    object = NULL;
    vm_page_check();
}

static int
try_large(vm_prot_t prot)
{
    vm_seq_t seq = vm_seq_read(&s.seq);
    int error;

    vm_object_lock(object);
    error = pmap_enter_large(s.pm, at(0), head, prot, seq);
    vm_object_unlock(object);
    return error;
}

static int
try_small(unsigned i, vm_prot_t prot)
{
    vm_seq_t seq = vm_seq_read(&s.seq);
    int error;

    vm_object_lock(object);
    error = pmap_enter_page(s.pm, at(i), head + i, prot, seq);
    vm_object_unlock(object);
    return error;
}

static void
protect_page(unsigned i, vm_prot_t keep)
{
    vm_object_lock(object);
    pmap_page_protect(head + i, keep, NULL);
    vm_object_unlock(object);
}

static bool
reads(unsigned i)
{
    uint64_t value = 0;

    return contract_access(at(i), VM_PROT_READ, &value) &&
        value == 5000 + i;
}

/* After one fault, if it must be: "not there" may be remembered. */
static void
reach_page(unsigned i, vm_prot_t prot)
{
    bool write = (prot & VM_PROT_WRITE) != 0;

    if (!reads(i) || (write && !can_write(at(i)))) {
        EXPECT(try_small(i, prot) == VM_OK);
        EXPECT(reads(i));
        EXPECT(!write || can_write(at(i)));
    }
}

static uint64_t
leaves(void)
{
    struct pmap_events e;

    pmap_events(&e);
    return e.large;
}

static void
enter(vm_prot_t prot)
{
    uint64_t before = leaves();

    EXPECT(try_large(prot) == VM_OK);
    EXPECT(leaves() == before + 1);
    /* Again: it is there. */
    EXPECT(try_large(prot) == VM_OK);
    EXPECT(leaves() == before + 1);
    reach_page(0, prot);
    reach_page(npages / 2, prot);
    reach_page(npages - 1, prot);
    EXPECT((prot & VM_PROT_WRITE) != 0 || !can_write(at(1)));
    /* A fault on a page that it maps leaves it where it is. */
    EXPECT(try_small(3, prot) == VM_OK);
    EXPECT(try_large(prot) == VM_OK && leaves() == before + 1);
    pmap_check(s.pm);
}

static bool
is_mapped(unsigned i)
{
    vm_prot_t prot;
    paddr_t pa;

    if (!pmap_extract(s.pm, at(i), &pa, &prot)) {
        return false;
    }
    EXPECT(pa == vm_page_pa(head + i));
    return true;
}

static int
count_one(void *arg, const struct pmap_mapping *m)
{
    unsigned *n = arg;

    EXPECT(m->va == at(*n) && m->pa == vm_page_pa(head + *n));
    EXPECT(m->prot == VM_PROT_READ && !m->wired);
    ++*n;
    return 0;
}

void
large_enter(void)
{
    struct pmap_counts counts;
    unsigned n = 0;

    if (!begin()) {
        return;
    }
    EXPECT(pmap_large_room(s.pm, at(0)));
    enter(VM_PROT_READ);
    EXPECT(!pmap_large_room(s.pm, at(npages - 1)));
    EXPECT(pmap_audit(s.pm, count_one, &n) == 0 && n == npages);
    pmap_count(s.pm, &counts);
    EXPECT(counts.translations == npages);
    EXPECT(is_mapped(0) && is_mapped(npages - 1));
    /* More rights: another leaf. */
    EXPECT(try_large(RW) == VM_OK);
    reach_page(1, RW);
    reach_page(npages - 1, RW);
    pmap_check(s.pm);
    end();
}

/* A page of the run is revoked: it alone must go. */
void
large_page_protect(void)
{
    if (!begin()) {
        return;
    }
    for (unsigned i = 0; i < npages; i += npages / 2 - 1) {
        enter(RW);
        reach_page(i, RW);
        protect_page(i, VM_PROT_READ);
        EXPECT(!can_write(at(i)));
        /* Its neighbours were written, and that is not forgotten. */
        EXPECT((vm_page_flags(head + (i ^ 1)) & VM_PG_MODIFIED) != 0);
        EXPECT((vm_page_flags(head + npages / 2) & VM_PG_MODIFIED) != 0);
        reach_page(i, VM_PROT_READ);
        EXPECT(!can_write(at(i)));
        reach_page(i ^ 1, RW);
        protect_page(i, VM_PROT_NONE);
        EXPECT(cannot_read(at(i)) && !is_mapped(i));
        reach_page(i ^ 1, RW);
        pmap_check(s.pm);
    }
    /* What a page may keep, all of it may. */
    enter(VM_PROT_READ);
    protect_page(5, VM_PROT_READ);
    EXPECT(is_mapped(5) && is_mapped(6));
    end();
}

void
large_range(void)
{
    unsigned half;

    if (!begin()) {
        return;
    }
    half = npages / 2;
    enter(RW);
    space_protect(&s, at(0), at(half), VM_PROT_READ, NULL);
    EXPECT(!can_write(at(0)) && !can_write(at(half - 1)));
    reach_page(half, RW);
    reach_page(0, VM_PROT_READ);
    enter(RW);
    space_remove(&s, at(half), at(npages), NULL);
    EXPECT(cannot_read(at(half)) && cannot_read(at(npages - 1)));
    reach_page(half - 1, RW);
    enter(RW);
    space_remove(&s, at(7), at(8), NULL);
    EXPECT(cannot_read(at(7)));
    reach_page(8, RW);
    enter(RW);
    EXPECT(pmap_discard_range(s.pm, at(9), at(10)) == VM_OK);
    EXPECT(cannot_read(at(9)));
    reach_page(10, RW);
    enter(RW);
    EXPECT(pmap_discard_table(s.pm, at(11)) == VM_OK);
    EXPECT(cannot_read(at(11)) && cannot_read(at(0)));
    enter(RW);
    EXPECT(pmap_discard(s.pm) == VM_OK);
    EXPECT(cannot_read(at(0)) && cannot_read(at(npages - 1)));
    enter(RW);
    space_remove(&s, at(0), at(npages), NULL);
    EXPECT(cannot_read(at(0)) && cannot_read(at(npages - 1)));
    end();
}

/* Another page, or other rights, in its place. */
void
large_replace(void)
{
    uint64_t value = 0;
    vm_seq_t seq;

    if (!begin()) {
        return;
    }
    enter(RW);
    seq = vm_seq_read(&s.seq);
    vm_object_lock(object);
    EXPECT(pmap_enter_page(s.pm, at(4), head + 9, RW, seq) == VM_OK);
    vm_object_unlock(object);
    if (contract_access(at(4), VM_PROT_READ, &value)) {
        EXPECT(value == 5009);
    }
    reach_page(5, RW);
    protect_page(9, VM_PROT_NONE);
    EXPECT(cannot_read(at(4)) && cannot_read(at(9)));
    /* Back, over the table that has grown. */
    enter(RW);
    EXPECT(try_small(12, VM_PROT_READ) == VM_OK);
    EXPECT(!can_write(at(12)));
    reach_page(13, RW);
    pmap_check(s.pm);
    /* Configured away. */
    EXPECT(pmap_large_shift(s.pm) == shift);
    end();
}

/* Without memory all is as it was; a sequence that moved refuses. */
void
large_fail(void)
{
    int error;

    if (!begin()) {
        return;
    }
    for (long n = 1; n < 40; n++) {
        EXPECT(pmap_discard(s.pm) == VM_OK);
        (void)pmap_reap(true);
        contract_fail(n);
        error = try_large(VM_PROT_READ);
        contract_fail(0);
        EXPECT(error == VM_OK || error == VM_E_NOMEM);
        EXPECT((error == VM_OK) == is_mapped(1));
        pmap_check(s.pm);
    }
    EXPECT(pmap_discard(s.pm) == VM_OK);
    vm_object_lock(object);
    EXPECT(pmap_enter_large(s.pm, at(0), head, VM_PROT_READ,
        vm_seq_read(&s.seq) + 2) == VM_E_RETRY);
    vm_object_unlock(object);
    EXPECT(!is_mapped(0));
    pmap_check(s.pm);
    end();
}

void
large_age(void)
{
    if (!begin()) {
        return;
    }
    enter(VM_PROT_READ);
    reach_page(2, VM_PROT_READ);
    vm_object_lock(object);
    for (unsigned i = 0; i < npages; i++) {
        EXPECT(pmap_page_age(head + i));
    }
    /* Nobody has used it since, or a walk has set the mark again. */
    (void)pmap_page_age(head);
    vm_object_unlock(object);
    reach_page(2, VM_PROT_READ);
    end();
}

/* ---- several CPUs ----------------------------------------------------- */

/*
 * CPU 0 enters the leaf over and over; 1 enters single pages, others revoke
 * by page, by range, by table.  Each sees that what it revoked is gone.
 */
static void
race(unsigned cpu)
{
    space_load(&s);
    for (unsigned i = 0; i < 12; i++) {
        unsigned page = (i * 37 + cpu * 11) % npages;
        uint64_t value;

        switch (cpu) {
        case 0:
            (void)try_large(i % 3 == 0 ? VM_PROT_READ : RW);
            break;
        case 1:
            (void)try_small(page, i % 2 == 0 ? VM_PROT_READ : RW);
            break;
        case 2:
            vm_seq_begin(&s.seq);
            pmap_remove(s.pm, at(page), at(page + 1), NULL);
            for (unsigned n = 0; n < 4; n++) {
                EXPECT(cannot_read(at(page)));
                contract_pause();
            }
            vm_seq_end(&s.seq);
            break;
        default:
            if (i % 2 == 0) {
                vm_object_lock(object);
                pmap_page_protect(head + page, VM_PROT_NONE, NULL);
                EXPECT(cannot_read(at(page)));
                vm_object_unlock(object);
            } else {
                (void)pmap_discard_table(s.pm, at(page));
            }
        }
        if (contract_access(at(page), VM_PROT_READ, &value)) {
            EXPECT(value == 5000 + page);
        }
        (void)contract_access(at(page) + 8, VM_PROT_WRITE, &value);
        contract_pause();
    }
    space_leave();
}

void
large_race(void)
{
    if (!begin()) {
        return;
    }
    space_leave();
    for (uint64_t round = 0; round < 30; round++) {
        contract_together(4, race, round);
        pmap_check(s.pm);
    }
    end();
}
