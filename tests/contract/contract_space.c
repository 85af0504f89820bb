/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contract_space.c - frames and spaces for the laws, and the laws' list.
 */
#include "contract.h"
#include "vm_fault.h"
#include "vm_object.h"

static struct vm_object *object;
static struct vm_page *frames[CONTRACT_FRAMES];

void
contract_frames_begin(unsigned n)
{
    EXPECT(vm_object_create(n, NULL, &object) == VM_OK);
    vm_object_lock(object);
    for (unsigned i = 0; i < n; i++) {
        struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);

        EXPECT(p != NULL);
        EXPECT(vm_radix_insert(&object->pages, i, (vm_slot_t)p) == VM_OK);
        vm_set(&p->object, object);
        vm_set(&p->pgno, i);
        vm_page_zero(p);
        *(uint64_t *)vm_page_data(p) = 1000 + i;
        frames[i] = p;
    }
    vm_object_unlock(object);
}

void
contract_frames_end(void)
{
    vm_object_unref(object, NULL);
    object = NULL;
}

struct vm_page *
contract_frame(unsigned i)
{
    return frames[i];
}

void
space_create(struct space *s)
{
    vm_set(&s->seq.count, 2);
    EXPECT(pmap_create(&s->seq, &s->pm) == VM_OK);
    pmap_bounds(s->pm, &s->start, &s->end);
    EXPECT(s->start < s->end);
    EXPECT(vm_page_aligned(s->start) && vm_page_aligned(s->end));
}

void
space_destroy(struct space *s)
{
    pmap_destroy(s->pm);
    s->pm = NULL;
}

vaddr_t
space_va(const struct space *s, unsigned i)
{
    vaddr_t middle = s->end / 2 & ~(((vaddr_t)1 << 30) - 1);

    return middle + (((vaddr_t)i - CONTRACT_FRAMES / 2) << vm_page_shift);
}

void
space_load(struct space *s)
{
    int error;

    kern_preempt_disable();
    error = pmap_activate(s->pm);
    kern_preempt_enable();
    EXPECT(error == VM_OK);
}

void
space_leave(void)
{
    kern_preempt_disable();
    EXPECT(pmap_activate(pmap_kernel()) == VM_OK);
    kern_preempt_enable();
}

int
space_try_enter(struct space *s, vaddr_t va, struct vm_page *p,
    vm_prot_t prot)
{
    vm_seq_t seq = vm_seq_read(&s->seq);
    int error;

    vm_object_lock(object);
    if ((prot & VM_PROT_WRITE) != 0) {
        vm_page_set(p, VM_PG_MODIFIED);
    }
    error = pmap_enter(s->pm, va, vm_page_pa(p), prot, 0, seq);
    vm_object_unlock(object);
    return error;
}

void
space_enter(struct space *s, vaddr_t va, struct vm_page *p, vm_prot_t prot)
{
    int error = space_try_enter(s, va, p, prot);

    EXPECT(error == VM_OK);
}

void
space_remove(struct space *s, vaddr_t start, vaddr_t end,
    struct pmap_batch *batch)
{
    vm_seq_begin(&s->seq);
    pmap_remove(s->pm, start, end, batch);
    vm_seq_end(&s->seq);
}

void
space_protect(struct space *s, vaddr_t start, vaddr_t end, vm_prot_t prot,
    struct pmap_batch *batch)
{
    vm_seq_begin(&s->seq);
    pmap_protect(s->pm, start, end, prot, batch);
    vm_seq_end(&s->seq);
}

void
kernel_enter(vaddr_t va, struct vm_page *p)
{
    int error;

    vm_object_lock(object);
    vm_page_set(p, VM_PG_MODIFIED);
    error = pmap_enter(pmap_kernel(), va, vm_page_pa(p),
        VM_PROT_READ | VM_PROT_WRITE, PMAP_WIRED,
        vm_seq_read(vm_kernel_seq()));
    vm_object_unlock(object);
    EXPECT(error == VM_OK);
}

void
frame_protect(struct vm_page *p, vm_prot_t prot, struct pmap_batch *batch)
{
    vm_object_lock(object);
    pmap_page_protect(p, prot, batch);
    vm_object_unlock(object);
}

void
frame_forget(struct vm_page *p, const struct pmap *pm, vaddr_t start,
    vaddr_t end)
{
    vm_object_lock(object);
    pmap_page_forget(p, pm, start, end);
    vm_object_unlock(object);
}

bool
can_read(vaddr_t va, unsigned i)
{
    uint64_t value = 0;

    return contract_access(va, VM_PROT_READ, &value) && value == 1000 + i;
}

bool
cannot_read(vaddr_t va)
{
    uint64_t value;

    return !contract_access(va, VM_PROT_READ, &value);
}

void
reach(struct space *s, vaddr_t va, unsigned i, vm_prot_t prot)
{
    bool write = (prot & VM_PROT_WRITE) != 0;

    if (!can_read(va, i) || (write && !can_write(va))) {
        space_enter(s, va, frames[i], prot);
        EXPECT(can_read(va, i));
        EXPECT(!write || can_write(va));
    }
}

/* Stores beside the frame's number. */
bool
can_write(vaddr_t va)
{
    uint64_t value = 7;

    return contract_access(va + 8, VM_PROT_WRITE, &value);
}
