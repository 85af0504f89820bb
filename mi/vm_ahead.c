/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_ahead.c - make the pages that a program is about to write.
 *
 *   faults  *  *  *        *                 *                       *
 *   pages   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 ...
 *
 * Who fills memory from one end to the other comes back for every page, and
 * most of what a fault costs is coming and going.  So the third fault to write
 * just where the last made page ended makes the next pages, too, and each
 * after it more, up to eight: zero pages of an anonymous object, or copies of
 * what the shadow has.  No more ahead than the run of faults has made before,
 * and none when memory is not plenty.  Who writes here and there gets what it
 * asks for, and no more; so does the kernel, where it faults for a program.
 *
 * A page made ahead is as one that was asked for: charged, modified, private.
 * So there is none where that could be told from a page that nobody wrote: in
 * memory that is shared, nor in private memory that goes on to show a file,
 * or what is shared, until it is written.  What cannot be had at once (in
 * swap, with a pager, in a deeper chain) is the next fault's business.
 *
 * Locks:   top, held by the fault all along; its shadow while it is copied
 */
#include "vm_fault_impl.h"
#include "pmap_ctl.h"

/* A run is counted up to this: below a page's size, with which it is kept. */
#define VM_AHEAD_RUN    1000u

unsigned vm_fault_ahead = 8;

/* How many pages there is room for, f's own with them. */
static unsigned
ahead_limit(const struct vm_fault *f, uint64_t n)
{
    uint64_t room;

    /* They are entered from one leaf of the tree. */
    room = VM_RADIX_RUN - (f->pgno & (VM_RADIX_RUN - 1));
    n = n < room ? n : room;
    room = (f->look.end - f->va) >> vm_page_shift;
    n = n < room || VM_MUTANT(AHEAD_PAST_ENTRY) ? n : room;
    room = f->top->npages - f->pgno;
    return (unsigned)(n < room ? n : room);
}

/*
 * Zero pages need an object that stands alone, and no file's: what it keeps
 * is to be what was written.  Copies need a front that this entry alone
 * leads to: else somebody may see the old page through it, and would have
 * to lose it first (law 4).  Of what they are copies, ahead_copy() asks.
 */
static bool
ahead_may(const struct vm_fault *f)
{
    const struct vm_object *top = f->top;

    if ((f->look.attr & (VM_ATTR_LARGE | VM_ATTR_WIRED)) != 0 ||
        VM_ATTR_SERVER(f->look.attr) != 0 || !vm_page_is_plenty()) {
        return false;
    }
    if (f->kind == VM_STAT_FAULT_ZERO) {
        return vm_object_is_plain(f->top) &&
            (top->flags & VM_OBJ_SHARED) == 0;
    }
    return top->ref_count == 1 && top->copy == NULL && top->shadow != NULL;
}

/* How many pages behind f's own have no slot in top: n with f's own. */
static unsigned
ahead_empty(const struct vm_fault *f, unsigned n)
{
    unsigned key = (unsigned)f->pgno & (VM_RADIX_RUN - 1), empty;
    uint32_t used;

    if (vm_radix_leaf(&f->top->pages, f->pgno, &used) == NULL) {
        return 1;               /* its first page: the next has a leaf */
    }
    used = used >> key & ~(uint32_t)1;
    empty = used == 0 ? VM_RADIX_RUN : (unsigned)__builtin_ctz(used);
    return n < empty ? n : empty;
}

/* The same for what back, locked, has to be copied; from[i] of page i. */
static unsigned
ahead_sources(const struct vm_fault *f, struct vm_object *back, unsigned n,
    struct vm_page *from[])
{
    vm_pgno_t pgno = f->top->shadow_pgno + f->pgno;
    unsigned key = (unsigned)pgno & (VM_RADIX_RUN - 1), i;
    const vm_slot_t *slot;
    uint32_t used;

    slot = vm_radix_leaf(&back->pages, pgno, &used);
    if (slot == NULL) {
        return 1;
    }
    n = n < VM_RADIX_RUN - key ? n : VM_RADIX_RUN - key;
    for (i = 1; i < n; i++) {
        from[i] = vm_slot_page(slot[key + i]);
        if (from[i] == NULL || !vm_page_is_valid(from[i]) ||
            (from[i]->forbidden & VM_PROT_READ) != 0) {
            break;
        }
    }
    return i;
}

/* Pages 1 to n - 1: copies of from[], or (NULL) zero.  Returns n. */
static unsigned
ahead_make(struct vm_fault *f, unsigned n, struct vm_page *const from[])
{
    struct vm_page *page[VM_RADIX_RUN];

    n = 1 + vm_page_alloc_many(VM_PAGE_OBJECT, VM_ALLOC_USER, page + 1,
        n - 1);
    if (n == 1) {
        return 1;
    }
    for (unsigned i = 1; i < n; i++) {
        if (from != NULL) {
            vm_page_copy(page[i], from[i]);
        } else {
            vm_page_zero(page[i]);
        }
    }
    vm_object_add_pages(f->top, f->pgno + 1, page + 1, n - 1,
        VM_PG_MODIFIED);
    vm_stat_add(from != NULL ? VM_STAT_COPIES : VM_STAT_ZERO_FILLS, n - 1);
    vm_stat_add(VM_STAT_AHEAD, n - 1);
    return n;
}

/* What was made is entered: writable, as the page that was asked for. */
static void
ahead_enter(struct vm_fault *f, unsigned n)
{
    struct pmap_near near;
    uint32_t used;

    near.slot = vm_radix_leaf(&f->top->pages, f->pgno, &used);
    if (near.slot == NULL) {
        return;
    }
    near.slot += (f->pgno & (VM_RADIX_RUN - 1)) + 1;
    near.n = n - 1;
    near.want = UINT32_MAX >> (VM_RADIX_RUN - near.n);
    near.prot[1] = VM_ATTR_PROT(f->look.attr) | VM_PROT_READ;
    near.prot[0] = near.prot[1] & ~VM_PROT_WRITE;
    (void)pmap_prefill(f->map->pmap, f->va + VM_PAGE_SIZE, &near,
        f->look.seq);
}

/*
 * ahead_make() of copies.  The old pages may be mapped here, to be read: they
 * are forgotten first, and nobody enters one again, since that takes top's
 * lock.  Not by pmap_remove(): the map is not ours to change, and may change.
 */
static unsigned
ahead_copy(struct vm_fault *f, unsigned n)
{
    struct vm_object *back = f->top->shadow;
    struct vm_page *from[VM_RADIX_RUN];

    vm_object_lock(back);
    n = vm_fault_is_fixed(f->top, back) ? ahead_sources(f, back, n, from) : 1;
    if (n > 1 && !VM_MUTANT(AHEAD_STALE) &&
        pmap_discard_range(f->map->pmap, f->va + VM_PAGE_SIZE,
        f->va + ((vsize_t)n << vm_page_shift)) != VM_OK) {
        n = 1;
    }
    n = n > 1 ? ahead_make(f, n, from) : n;
    vm_object_unlock(back);
    return n;
}

void
vm_fault_make_ahead(struct vm_fault *f, unsigned run)
{
    /* Two in a row are nothing yet: a stack, or data and what follows it. */
    unsigned most = run < 2 ? 1 : run + 1, n;

    most = most < vm_fault_ahead ? most : vm_fault_ahead;
    most = most < VM_RADIX_RUN ? most : VM_RADIX_RUN;
    if (!ahead_may(f)) {
        return;
    }
    n = ahead_empty(f, ahead_limit(f, most));
    if (n > 1) {
        n = f->kind == VM_STAT_FAULT_ZERO ? ahead_make(f, n, NULL) :
            ahead_copy(f, n);
    }
    if (n > 1) {
        ahead_enter(f, n);
    }
    run = run + n < VM_AHEAD_RUN ? run + n : VM_AHEAD_RUN;
    vm_set(&f->map->made, f->va + ((vsize_t)n << vm_page_shift) + run);
}
