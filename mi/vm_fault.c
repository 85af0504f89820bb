/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fault.c - resolve one fault: from an address to a translation.
 *
 *   look up          lock-free; "invalid address" if nothing is there
 *   legal?           "protection failure" if the entry forbids it
 *   prepare          no object yet, or needs-copy on write: slow half
 *   lock top object  and see that the map has not moved since
 *   find the page    vm_fault_page.c; may sleep, then all begins again
 *   enter            pmap compares the sequence under the leaf's lock
 *   neighbours       in the same tables, if resident and allowed
 *
 * Locks:   none in the lookup; objects front to back; leaf in pmap
 * Restart: VM_E_RETRY comes back to the single loop in vm_fault_loop().
 *          A thread that loses the race VM_FAULT_TRIES times takes the
 *          map's lock, under which nobody can move anything, and wins.
 * I/O:     the page is left BUSY, all locks are dropped
 * Tables:  where the budget has none left, vm_fault_room() frees others',
 *          with all locks dropped, and the loop tries again
 *
 * The sequence makes one thing of lookup and enter: every revocation makes
 * it odd first, then takes the leaf's lock, so an enter that holds the
 * leaf's lock and sees the old value comes before the revocation, which
 * will find what was entered.  docs/model/ proves it.
 */
#include "vm_fault_impl.h"
#include "pmap_ctl.h"

#define VM_FAULT_TRIES  8u
/* One body, compiled once for each of vm_fault() and vm_fault_thread(), which
 * know their action, and once for all others: worth a third of a soft fault's
 * instructions. */
#define VM_FAULT_INLINE static inline __attribute__((always_inline))
#define VM_FAULT_AROUND_MAX VM_RADIX_RUN
/* Of a window ahead: so many of the usual ones, and so many pages. */
#define VM_FAULT_FAR        8u
#define VM_FAULT_FAR_MAX    (4u * VM_RADIX_RUN)
/* Rounds of making room before the thread is sent to fault again. */
#define VM_FAULT_ROOMS  8u

unsigned vm_fault_around = 16;

/*
 * vm_map_prepare() where the map is locked, or has to be, and stays so; but
 * not while it waits: then VM_E_RETRY.
 */
static __attribute__((noinline)) int
vm_fault_prepare(struct vm_fault *f)
{
    int error;

    if (f->action == VM_FAULT_WIRE && !f->map_locked) {
        /* The entry is in transition by our own doing: do not wait. */
        vm_mutex_lock(&f->map->lock);
        f->map_locked = true;
    }
    if (f->action != VM_FAULT_WIRE &&
        (f->look.attr & VM_ATTR_TRANSITION) != 0) {
        vm_fault_unlock_all(f);
        error = vm_map_prepare(f->map, f->va, f->own, &f->look);
        return error == VM_OK ? VM_E_RETRY : error;
    }
    return vm_map_prepare_locked(f->map, f->va, f->own, &f->look);
}

/* Rights for a page of top (or of obj, below it) that f may see. */
VM_FAULT_INLINE vm_prot_t
vm_fault_rights(struct vm_fault *f, struct vm_page *p, bool write)
{
    vm_prot_t prot = VM_ATTR_PROT(f->look.attr) & ~(vm_prot_t)p->forbidden;

    if ((f->obj != f->top && !VM_MUTANT(BACKING_WRITABLE)) ||
        (f->look.attr & VM_ATTR_NEEDS_COPY) != 0) {
        prot &= ~VM_PROT_WRITE;
    }
    if (write) {
        /* Modified lives here: marked when the right is granted. */
        if (!VM_MUTANT(WRITE_CLEAN)) {
            vm_page_set(p, VM_PG_MODIFIED);
        }
    } else if ((vm_page_flags(p) & VM_PG_MODIFIED) == 0 ||
        f->top->copy != NULL) {
        prot &= ~VM_PROT_WRITE;
    }
    if ((prot & VM_PROT_WRITE) != 0) {
        vm_page_clear(p, VM_PG_ICACHE);
    }
    return prot | VM_PROT_READ;
}

/*
 * Which of n neighbours, from pgno on, top has itself, above its shadow that
 * has the page; where that is not to be had at once, all.
 */
static uint32_t
vm_fault_above(struct vm_fault *f, vm_pgno_t pgno, unsigned n)
{
    struct vm_radix *r = &f->top->pages;
    unsigned key = (unsigned)pgno & (VM_RADIX_RUN - 1);
    const uintptr_t *slot;
    uint32_t used = 0;

    if (r->count == 0) {
        return 0;
    }
    if (r->height == 0 || key + n > VM_RADIX_RUN) {
        return UINT32_MAX;
    }
    slot = vm_radix_leaf(r, pgno, &used);
    if (VM_MUTANT(AROUND_BEHIND_SWAP) && slot != NULL) {
        used = vm_mutant_pages(slot);
    }
    return slot == NULL ? 0 : used >> key;
}

/*
 * [start, end) around f->va: aligned, as nothing is known.  Where the last
 * window ended, somebody goes through memory: what lies behind is there, so
 * it is twice as much ahead: as he has gone through, or the usual window.
 * Returns how many pages that are.
 */
static inline unsigned
vm_fault_window(const struct vm_fault *f, vaddr_t *start, vaddr_t *end)
{
    struct vm_map *map = f->map;
    unsigned around = vm_fault_around < VM_FAULT_AROUND_MAX ?
        vm_fault_around : VM_FAULT_AROUND_MAX;
    unsigned n = around;

    if (vm_get(&map->around) == f->va) {
        n = 2 * vm_get(&map->around_pages);
        n = n < around * VM_FAULT_FAR ? n : around * VM_FAULT_FAR;
        n = n < VM_FAULT_FAR_MAX ? n : VM_FAULT_FAR_MAX;
        n = n < 2 * around ? 2 * around : n;
        *start = f->va;
    } else {
        *start = f->va & ~(((vsize_t)around << vm_page_shift) - 1);
    }
    *end = *start + ((vsize_t)n << vm_page_shift);
    return n;
}

/* What neighbours may have: those that are clean, and those that are not. */
static inline void
vm_fault_near(const struct vm_fault *f, struct pmap_near *near)
{
    near->prot[0] = (VM_ATTR_PROT(f->look.attr) & ~VM_PROT_WRITE) |
        VM_PROT_READ;
    near->prot[1] = near->prot[0] | ((f->obj == f->top &&
        (f->look.attr & VM_ATTR_NEEDS_COPY) == 0 &&
        f->top->copy == NULL) || VM_MUTANT(AROUND_RIGHTS) ?
        VM_ATTR_PROT(f->look.attr) & VM_PROT_WRITE : 0);
}

/*
 * near->n pages from va on, whose numbers are pgno in top and obj_pgno in
 * obj, in one leaf of obj's tree.  How many were looked at: fewer, if there
 * is no such leaf, or the page table ends.
 */
static inline unsigned
vm_fault_leaf(struct vm_fault *f, struct pmap_near *near, vaddr_t va,
    vm_pgno_t pgno, vm_pgno_t obj_pgno)
{
    unsigned key = (unsigned)obj_pgno & (VM_RADIX_RUN - 1);
    uint32_t all = UINT32_MAX >> (VM_RADIX_RUN - near->n), used;

    near->slot = vm_radix_leaf(&f->obj->pages, obj_pgno, &used);
    if (near->slot == NULL) {
        return 0;
    }
    near->slot += key;
    near->want = used >> key & all;
    if (f->obj != f->top) {
        near->want &= ~vm_fault_above(f, pgno, near->n);
    }
    /* All in a row is quickest, f's own page, which is there, included. */
    if (near->want != all && f->va - va < (vsize_t)near->n << vm_page_shift) {
        near->want &= ~((uint32_t)1 << ((f->va - va) >> vm_page_shift));
    }
    return near->want == 0 ? near->n :
        pmap_prefill(f->map->pmap, va, near, f->look.seq);
}

/*
 * Map the neighbours that are there already.  Only where every object
 * above the one that has the page is known not to hold the neighbour: top
 * and its shadow are both locked, deeper chains are left alone.  And only
 * those that the page's leaf of the radix tree holds, since that many are
 * found with one descent is what makes them cheap; and the leaves behind it
 * for somebody who has gone through as much already.
 */
static __attribute__((noinline)) void
vm_fault_neighbours(struct vm_fault *f)
{
    unsigned key = (unsigned)f->obj_pgno & (VM_RADIX_RUN - 1);
    struct pmap_near near;
    vm_pgno_t back, left, pgno, obj_pgno;
    vaddr_t start, end;
    unsigned n, window;

    if (f->obj != f->top && f->obj != f->top->shadow) {
        return;                 /* what is between is not locked */
    }
    window = vm_fault_window(f, &start, &end);
    start = start < f->look.start ? f->look.start : start;
    if (end > f->look.end && !VM_MUTANT(AROUND_PAST_ENTRY)) {
        end = f->look.end;
    }
    back = (f->va - start) >> vm_page_shift;
    if (back > key) {
        start += (back - key) << vm_page_shift;
        back = key;
    }
    key -= (unsigned)back;
    left = (end - start) >> vm_page_shift;
    if (left == 1) {
        vm_set(&f->map->around, end);
        return;
    }
    if (window <= VM_RADIX_RUN && left > VM_RADIX_RUN - key) {
        left = VM_RADIX_RUN - key;
    }
    vm_fault_near(f, &near);
    pgno = f->pgno - back;
    obj_pgno = f->obj_pgno - back;
    back = 0;
    do {
        near.n = left < VM_RADIX_RUN - key ? (unsigned)left :
            VM_RADIX_RUN - key;
        n = vm_fault_leaf(f, &near, start, pgno + back, obj_pgno + back);
        start += (vsize_t)n << vm_page_shift;
        back += n;
        left -= n;
        key = 0;
    } while (left != 0 && n == near.n);
    vm_set(&f->map->around, start);
    vm_set(&f->map->around_pages, (unsigned)back);
}

VM_FAULT_INLINE int
vm_fault_enter(struct vm_fault *f)
{
    bool write = (f->access & VM_PROT_WRITE) != 0;
    vm_prot_t prot = vm_fault_rights(f, f->page, write);
    int error;

    if (f->resident && (f->obj->flags & VM_OBJ_RUNS) != 0 &&
        vm_large_enter(f, prot)) {
        return VM_OK;
    }
    error = pmap_enter_page(f->map->pmap, f->va, f->page, prot,
        f->look.seq);
    if (error == VM_OK && f->resident && vm_fault_around > 1) {
        vm_fault_neighbours(f);
    }
    return error;
}

/* The page is found, its object locked: do what f came for. */
static __attribute__((noinline)) int
vm_fault_act(struct vm_fault *f)
{
    unsigned char *data;

    switch (f->action) {
    case VM_FAULT_ENTER:
        /* vm_fault_try() does that itself. */
        break;
    case VM_FAULT_WIRE:
        f->page->wire_count++;
        return VM_OK;
    case VM_FAULT_OWN:
        /* A zero page that counts as data stays where it is. */
        vm_page_set(f->page, VM_PG_MODIFIED);
        return VM_OK;
    case VM_FAULT_COPY_OUT:
        KASSERT(f->map == NULL || f->map_locked);
        if (f->page == NULL) {
            memset(f->buf, 0, f->size);
        } else {
            data = vm_page_data(f->page);
            vm_bytes_copy(f->buf, data + f->offset, f->size);
        }
        return VM_OK;
    case VM_FAULT_COPY_IN:
        /* A store by the kernel cannot be revoked half-way. */
        KASSERT(f->map_locked);
        if ((vm_page_flags(f->page) & VM_PG_ICACHE) != 0) {
            /* Who executes it must fault, and get the new instructions. */
            pmap_page_protect(f->page, VM_PROT_READ, NULL);
        }
        vm_page_set(f->page, VM_PG_MODIFIED);
        vm_page_clear(f->page, VM_PG_ICACHE);
        data = vm_page_data(f->page);
        vm_bytes_copy(data + f->offset, f->buf, f->size);
        return VM_OK;
    }
    return VM_E_INVAL;
}

/*
 * vm_fault_page(), inline for the two cases that programs meet most: a
 * page that is in the entry's own object, and a new page of an anonymous
 * object that stands alone.  What does not fit is left to it, untouched.
 */
VM_FAULT_INLINE int
vm_fault_page_quick(struct vm_fault *f)
{
    struct vm_object *top = f->top;
    vm_slot_t slot = vm_radix_lookup(&top->pages, f->pgno);
    struct vm_page *p = vm_slot_page(slot);

    f->obj_pgno = f->pgno;
    f->copied = false;
    f->collapse = false;
    if (top->copy != NULL && (f->access & VM_PROT_WRITE) != 0) {
        return vm_fault_page(f);
    }
    if (p != NULL && vm_page_is_valid(p) && p->forbidden == 0) {
        f->page = p;
        f->resident = true;
        if (f->kind == VM_STAT_FAULTS) {
            f->kind = VM_STAT_FAULT_SOFT;
        }
        return VM_OK;
    }
    if (slot == VM_SLOT_EMPTY && vm_object_is_plain(top) &&
        f->pgno < top->npages && f->action == VM_FAULT_ENTER) {
        if ((f->look.attr & VM_ATTR_LARGE) != 0 &&
            (f->access & VM_PROT_WRITE) != 0 && vm_large_fill(f)) {
            return VM_OK;
        }
        p = vm_object_new_page(top, f->pgno, 0, VM_ALLOC_USER);
        if (p != NULL) {
            vm_page_zero(p);
            vm_stat_inc(VM_STAT_ZERO_FILLS);
            f->page = p;
            f->resident = false;
            f->kind = VM_STAT_FAULT_ZERO;
            return VM_OK;
        }
    }
    return vm_fault_page(f);
}

/* Is the entry as f needs it, or is it the slow half's first? */
static inline bool
vm_fault_is_prepared(const struct vm_fault *f)
{
    uint32_t attr = f->look.attr;

    return f->look.object != NULL &&
        !(f->own && (attr & VM_ATTR_NEEDS_COPY) != 0) &&
        ((attr & VM_ATTR_TRANSITION) == 0 || f->action == VM_FAULT_WIRE);
}

/* f's page was made, for a write, and entered: are there to be more? */
VM_FAULT_INLINE void
vm_fault_made(struct vm_fault *f)
{
    vaddr_t made = vm_get(&f->map->made);

    vm_set(&f->map->made, f->va + VM_PAGE_SIZE + 1);
    if (vm_trunc_page(made) == f->va) {
        vm_fault_make_ahead(f, (unsigned)(made - f->va));
    }
}

/* One attempt, with or without the map's lock; VM_E_NOSPACE: no table. */
VM_FAULT_INLINE int
vm_fault_try(struct vm_fault *f)
{
    int error = VM_MUTANT(NO_RECHECK) && f->waited != NULL ?
        (f->look.seq = vm_seq_read(&f->map->seq), VM_OK) : f->map_locked ?
        vm_map_lookup_locked(f->map, f->va, &f->look) :
        vm_map_lookup(f->map, f->va, &f->look);

    if (error != VM_OK) {
        return error;
    }
    if ((f->access & ~VM_ATTR_PROT(f->look.attr)) != 0) {
        return VM_E_PROT;
    }
    if (!vm_fault_is_prepared(f)) {
        f->progress = true;
        error = f->map_locked || f->action == VM_FAULT_WIRE ?
            vm_fault_prepare(f) :
            vm_map_prepare(f->map, f->va, f->own, &f->look);
        if (error != VM_OK) {
            return error;
        }
        if ((f->access & ~VM_ATTR_PROT(f->look.attr)) != 0 ||
            !vm_fault_is_prepared(f)) {
            return VM_E_RETRY;      /* it has changed meanwhile */
        }
    }
    f->top = f->look.object;
    f->obj = f->top;
    f->pgno = f->look.pgno;
    vm_object_lock(f->top);
    /*
     * The object may be dead and reused by now (its memory is type-
     * stable).  If the map has not moved, the entry still holds its
     * reference; and no reference goes without the object's lock.
     */
    if (!vm_seq_valid(&f->map->seq, f->look.seq)) {
        vm_fault_unlock_objects(f);
        return VM_E_RETRY;
    }
    error = vm_fault_page_quick(f);
    if (error == VM_OK) {
        error = f->action == VM_FAULT_ENTER ? vm_fault_enter(f) :
            vm_fault_act(f);
        if (error != VM_OK) {
            vm_fault_undo(f);
            /* No page table: another lack than that of a frame. */
            error = error == VM_E_NOMEM ? VM_E_NOSPACE : error;
        } else {
            if ((f->kind == VM_STAT_FAULT_ZERO ||
                (f->kind == VM_STAT_FAULT_COPY && f->copied && f->fixed)) &&
                f->thread != NULL &&
                (f->access & VM_PROT_WRITE) != 0) {
                vm_fault_made(f);
            }
            if (f->collapse) {
                vm_object_collapse(f->top);
            }
        }
        if (error == VM_OK && f->obj == f->top) {
            /* The same; nobody looks at *f any more. */
            vm_object_unlock(f->top);
        } else {
            vm_fault_unlock_objects(f);
        }
    }
    return error;
}

/*
 * The budget refuses a table, and nobody's can be evicted.  Who holds its
 * pmap for progress gathers its tables anew; everybody faults again.
 */
static void
vm_fault_refused(struct vm_fault *f)
{
    struct vm_progress *t = f->thread;
    struct pmap *pm = f->map->pmap;

    if (t == NULL || t->held != pm) {
        return;
    }
    pmap_release(pm);
    if (pmap_discard(pm) == VM_OK) {
        pmap_hold(pm);
    } else {
        /* Another thread holds it, too: for that one to get on. */
        t->held = NULL;
        t->count = 0;
    }
}

/*
 * There was no frame, or (table) no page table to enter one in: VM_E_RETRY,
 * VM_OK (fault again) or VM_E_NOMEM.  turn: how often that was so before.
 * No tables are given up for data: who gave them would have to get them back
 * from what is just as scarce.  Whether the budget refused a table is a
 * guess, since others free what they have meanwhile; only a table that is
 * refused again and again for no reason of the budget's is a lack of memory.
 */
static __attribute__((noinline)) int
vm_fault_room(struct vm_fault *f, unsigned turn, bool table)
{
    struct pmap *pm = f->map->pmap;
    bool over;

    vm_fault_unlock_all(f);
    f->progress = true;
    if (!table) {
        return VM_E_NOMEM;
    }
    over = pmap_is_over(pm);
    if (turn < VM_FAULT_ROOMS && pmap_make_room(pm)) {
        return VM_E_RETRY;
    }
    if (over || pmap_is_over(pm)) {
        if (f->copied) {
            /* It was undone, and will count when it is done. */
            f->kind = VM_STAT_FAULT_SOFT;
        }
        vm_fault_refused(f);
        return VM_OK;
    }
    return turn < VM_FAULT_ROOMS ? VM_E_RETRY : VM_E_NOMEM;
}

/* error: what the first attempt gave; VM_E_RETRY: it is still to be made. */
static __attribute__((noinline)) int
vm_fault_loop(struct vm_fault *f, int error)
{
    unsigned lost = 0, rooms = 0;

    for (;;) {
        f->progress = false;
        if (error == VM_E_RETRY) {
            error = vm_fault_try(f);
        }
        if (error == VM_E_NOMEM || error == VM_E_NOSPACE) {
            error = vm_fault_room(f, rooms++, error == VM_E_NOSPACE);
        }
        if (error != VM_E_RETRY) {
            break;
        }
        vm_stat_inc(VM_STAT_RETRIES);
        if (!f->progress) {
            kern_relax();
        }
        if (!f->map_locked && (f->action == VM_FAULT_COPY_IN ||
            f->action == VM_FAULT_COPY_OUT ||
            (!f->progress && ++lost >= VM_FAULT_TRIES))) {
            vm_mutex_lock(&f->map->lock);
            f->map_locked = true;
        }
    }
    if (f->map_locked) {
        vm_mutex_unlock(&f->map->lock);
        f->map_locked = false;
    }
    return error == VM_FAULT_DONE ? VM_OK : error;
}

/* thread: whose fault it is, NULL: no program's.  quick: with a copy inline. */
VM_FAULT_INLINE int
vm_fault_enter_at(struct vm_map *map, vaddr_t va, vm_prot_t access,
    struct vm_progress *thread, bool quick)
{
    struct vm_fault f;
    int error;

    if (access == VM_PROT_NONE || (access & ~VM_PROT_ALL) != 0) {
        return VM_E_INVAL;
    }
    f.map = map;
    f.va = vm_trunc_page(va);
    f.access = access;
    f.action = VM_FAULT_ENTER;
    f.own = (access & VM_PROT_WRITE) != 0;
    f.map_locked = false;
    f.progress = false;
    f.top = NULL;
    f.obj = NULL;
    f.waited = NULL;
    f.thread = thread;
    f.kind = VM_STAT_FAULTS;
    /* Once without the loop: nearly always that is all. */
    error = quick ? vm_fault_try(&f) : VM_E_RETRY;
    if (error != VM_OK) {
        error = vm_fault_loop(&f, error);
    }
    vm_stat_inc(error == VM_OK ? f.kind : VM_STAT_FAULT_ERRORS);
    return error;
}

int
vm_fault(struct vm_map *map, vaddr_t va, vm_prot_t access)
{
    return vm_fault_enter_at(map, va, access, NULL, true);
}

int
vm_fault_resident(struct vm_map *map, vaddr_t va)
{
    struct vm_fault f = {
        .map = map, .va = va, .access = VM_PROT_READ,
        .action = VM_FAULT_ENTER, .resident = true,
    };
    int error = vm_map_lookup(map, va, &f.look);
    vm_slot_t slot;
    vm_prot_t prot;
    paddr_t pa;

    if (error != VM_OK) {
        return error;
    }
    if (f.look.object == NULL || (f.look.attr & VM_PROT_READ) == 0 ||
        (f.look.attr & VM_ATTR_TRANSITION) != 0) {
        return VM_E_ADDRESS;
    }
    if (pmap_extract(map->pmap, va, &pa, &prot)) {
        return VM_OK;
    }
    f.top = f.look.object;
    f.obj = f.top;
    f.pgno = f.look.pgno;
    f.obj_pgno = f.pgno;
    vm_object_lock(f.top);
    error = VM_E_RETRY;
    if (vm_seq_valid(&map->seq, f.look.seq)) {
        f.obj = vm_object_chain_find(f.top, &f.obj_pgno, &slot);
        f.page = vm_slot_page(slot);
        if (f.page != NULL && vm_page_is_valid(f.page) &&
            (f.page->forbidden & VM_PROT_READ) == 0) {
            error = vm_fault_enter(&f);
        }
    }
    vm_fault_unlock_objects(&f);
    return error;
}

void
vm_progress_end(struct vm_progress *t)
{
    if (t->held != NULL) {
        pmap_release(t->held);
        t->held = NULL;
    }
    t->count = 0;
}

/*
 * As many faults as that on pages that were seen before: is it one
 * instruction, with few pages, or a loop that goes round its memory?
 */
static __attribute__((noinline)) int
vm_fault_judge(struct vm_map *map, vaddr_t va, vm_prot_t access,
    uint64_t page, struct vm_progress *t)
{
    struct pmap *pm = map->pmap;

    if (__builtin_popcountll(t->seen) > (int)VM_PROGRESS_PAGES) {
        vm_progress_end(t);
        t->seen = page;
    } else if (t->held != pm) {
        vm_progress_end(t);
        t->count = VM_PROGRESS_FAULTS;
        pmap_hold(pm);
        t->held = pm;
    }
    return vm_fault_enter_at(map, va, access, t, false);
}

/*
 * Pages may share a bit of seen: then a new one looks like one that was seen,
 * never the other way.  Its bits are of 4 KiB, whatever a page is; the factor
 * scatters them, and is one instruction everywhere.
 */
int
vm_fault_thread(struct vm_map *map, vaddr_t va, vm_prot_t access,
    uint64_t pc, struct vm_progress *t)
{
    uint64_t page = UINT64_C(1) << ((uint32_t)(va >> 12) * 0x9e370000u >> 26);

    if (t->pc != pc) {
        vm_progress_end(t);
        t->pc = pc;
        t->seen = page;
    } else if ((t->seen & page) == 0) {
        t->seen |= page;
    } else if (t->count < VM_PROGRESS_FAULTS) {
        t->count++;
    } else {
        return vm_fault_judge(map, va, access, page, t);
    }
    return vm_fault_enter_at(map, va, access, t, true);
}

int
vm_fault_wire(struct vm_map *map, vaddr_t va, bool copy_up)
{
    struct vm_fault f = {
        .map = map, .va = va, .access = VM_PROT_NONE,
        .action = VM_FAULT_WIRE, .own = copy_up, .kind = VM_STAT_FAULTS,
    };

    return vm_fault_loop(&f, VM_E_RETRY);
}

int
vm_fault_own(struct vm_map *map, vaddr_t va)
{
    struct vm_fault f = {
        .map = map, .va = va, .access = VM_PROT_WRITE,
        .action = VM_FAULT_OWN, .own = true, .kind = VM_STAT_FAULTS,
    };

    return vm_fault_loop(&f, VM_E_RETRY);
}

/*
 * Bytes in and out, a page at a time.  The map is locked from a page's
 * lookup to its last byte: a store by the kernel cannot be revoked half-way
 * as a translation can, so a fork must not begin before it ends.
 */
static int
vm_map_move_bytes(struct vm_map *map, vaddr_t va, unsigned char *buf,
    size_t size, enum vm_fault_action action, vm_prot_t access)
{
    if (!vm_range_ok(va, size)) {
        return VM_E_INVAL;
    }
    while (size > 0) {
        size_t offset = va & VM_PAGE_MASK;
        size_t n = VM_PAGE_SIZE - offset < size ?
            VM_PAGE_SIZE - offset : size;
        struct vm_fault f = {
            .map = map, .va = vm_trunc_page(va), .access = access,
            .action = action, .own = action == VM_FAULT_COPY_IN,
            .kind = VM_STAT_FAULTS, .buf = buf, .offset = offset,
            .size = n, .map_locked = true,
        };
        int error;

        vm_mutex_lock(&map->lock);
        error = vm_fault_loop(&f, VM_E_RETRY);
        if (error != VM_OK) {
            return error;
        }
        va += n;
        buf += n;
        size -= n;
    }
    return VM_OK;
}

int
vm_map_read(struct vm_map *map, vaddr_t va, void *buf, size_t size)
{
    return vm_map_move_bytes(map, va, buf, size, VM_FAULT_COPY_OUT,
        VM_PROT_READ);
}

int
vm_map_write(struct vm_map *map, vaddr_t va, const void *buf, size_t size)
{
    return vm_map_move_bytes(map, va, (unsigned char *)(uintptr_t)buf,
        size, VM_FAULT_COPY_IN, VM_PROT_WRITE);
}

int
vm_object_read_page(struct vm_object *o, vm_pgno_t pgno, void *buf)
{
    struct vm_fault f = {
        .access = VM_PROT_READ, .action = VM_FAULT_COPY_OUT,
        .kind = VM_STAT_FAULTS, .pgno = pgno, .buf = buf,
        .size = VM_PAGE_SIZE,
    };
    int error;

    do {
        f.top = o;
        f.obj = o;
        vm_object_lock(o);
        error = vm_fault_page(&f);
        if (error == VM_OK) {
            error = vm_fault_act(&f);
            vm_fault_unlock_objects(&f);
        }
    } while (error == VM_E_RETRY);
    return error;
}
