/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_large.c - large leaves: memory that is found and mapped by the run.
 *
 *   filling    the first write to an aligned run of an advised entry, none
 *              of whose pages is there, gets all of them: one run of
 *              frames, zeroed, modified, mapped by one leaf
 *   entering   a fault on a page that is there, in an object that got a
 *              run: if all of the run is as it was, one leaf maps it again
 *
 * Filling is for those who asked for it (VM_ATTR_LARGE): a page is zeroed
 * for each of 512 that may never be touched.  Entering costs a look at each
 * page of the run, so it is tried only where no table stands in the leaf's
 * place (after a discard, when a leaf was forgotten), or from the run's
 * first page on; a run that has lost a page fails once for all of it.
 *
 * Nothing else knows of runs.  Pages are pages: each is modified, wired,
 * moved, copied, paged out and freed alone, and whoever does that revokes
 * the page first where he would revoke a small one, which forgets the leaf.
 *
 * Locks: the entry's object, held by the fault
 */
#include "vm_fault_impl.h"
#include "pmap_ctl.h"

/* The run around a fault's page. */
struct large {
    vaddr_t start;
    vsize_t size;
    vm_pgno_t pgno;             /* in the top object */
    unsigned pages;
};

/* Does the entry, and the object, cover all of an aligned run? */
static bool
large_run(const struct vm_fault *f, struct large *l)
{
    unsigned shift = pmap_large_shift(f->map->pmap);
    unsigned index;

    if (shift == 0) {
        return false;
    }
    l->size = (vsize_t)1 << shift;
    l->start = f->va & ~(l->size - 1);
    l->pages = 1u << (shift - vm_page_shift);
    index = (unsigned)((f->va - l->start) >> vm_page_shift);
    if (l->start < f->look.start || l->start + l->size > f->look.end ||
        f->pgno < index) {
        return false;
    }
    l->pgno = f->pgno - index;
    return l->pgno + l->pages <= f->top->npages;
}

/* ---- filling ---------------------------------------------------------- */

/* The frames are pages of o; false: no memory for its tree. */
static bool
large_insert(struct vm_object *o, const struct large *l,
    struct vm_page *head)
{
    if (vm_radix_fill(&o->pages, l->pgno, head, l->pages) != VM_OK) {
        for (unsigned i = 0; i < l->pages; i++) {
            vm_object_free_frame(head + i);
        }
        return false;
    }
    o->flags |= VM_OBJ_USED | VM_OBJ_RUNS;
    return true;
}

bool
vm_large_fill(struct vm_fault *f)
{
    vm_prot_t prot = VM_ATTR_PROT(f->look.attr) | VM_PROT_READ;
    struct vm_object *o = f->top;
    struct vm_page *head;
    struct large l;
    vm_pgno_t key;
    vm_slot_t slot;

    if (!large_run(f, &l)) {
        return false;
    }
    key = l.pgno;
    if (vm_radix_next(&o->pages, &key, &slot) && key < l.pgno + l.pages) {
        return false;
    }
    head = vm_page_alloc_run((unsigned)__builtin_ctzll(l.size), o, l.pgno,
        VM_PG_MODIFIED);
    if (head == NULL || !large_insert(o, &l, head)) {
        return false;
    }
    vm_page_zero_many(head, l.pages);
    vm_stat_add(VM_STAT_ZERO_FILLS, l.pages);
    /* If it cannot be had, the pages are mapped one by one. */
    (void)pmap_enter_large(f->map->pmap, l.start, head, prot, f->look.seq);
    f->page = head + (f->pgno - l.pgno);
    f->resident = false;
    f->kind = VM_STAT_FAULT_ZERO;
    return true;
}

/* ---- entering --------------------------------------------------------- */

/* Slots of one leaf of the tree: are they the frames from p on? */
static bool
large_is_run(const vm_slot_t *slot, struct vm_page *p, unsigned n,
    vm_prot_t prot)
{
    bool write = (prot & VM_PROT_WRITE) != 0;

    for (unsigned i = 0; i < n; i++, p++) {
        uint32_t flags;

        if (slot[i] != (vm_slot_t)p) {
            return false;
        }
        flags = vm_page_flags(p);
        /* One that is clean must be marked before it may be written. */
        if ((flags & VM_PG_NO_DATA) != 0 || p->forbidden != 0 ||
            (write && (flags & VM_PG_MODIFIED) == 0)) {
            return false;
        }
        if (write && (flags & VM_PG_ICACHE) != 0) {
            vm_page_clear(p, VM_PG_ICACHE);
        }
    }
    return true;
}

bool
vm_large_enter(struct vm_fault *f, vm_prot_t prot)
{
    struct vm_object *o = f->top;
    uint32_t used;
    struct vm_page *head;
    struct large l;
    unsigned n;

    if (f->obj != o || o->copy != NULL || !large_run(f, &l)) {
        return false;
    }
    head = f->page - (f->pgno - l.pgno);
    if (((vm_page_pa(f->page) ^ f->va) & (l.size - 1)) != 0 ||
        (f->va != l.start && !pmap_large_room(f->map->pmap, f->va))) {
        return false;
    }
    for (unsigned i = 0; i < l.pages; i += n) {
        unsigned way = (unsigned)(l.pgno + i) & (VM_RADIX_RUN - 1);
        const vm_slot_t *slot = vm_radix_leaf(&o->pages, l.pgno + i, &used);

        n = VM_RADIX_RUN - way;
        n = n < l.pages - i ? n : l.pages - i;
        if (slot == NULL || !large_is_run(slot + way, head + i, n, prot)) {
            return false;
        }
    }
    return pmap_enter_large(f->map->pmap, l.start, head, prot,
        f->look.seq) == VM_OK;
}
