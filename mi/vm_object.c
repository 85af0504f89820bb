/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object.c - memory objects: life, references, pages.
 *
 * An object lives while something references it: a map entry, an object
 * that shadows it, a holder.  The last reference takes its pages along,
 * then drops the reference to its shadow, and so on down the chain, in a
 * loop and not by recursion: chains are short but nothing says so here.
 *
 * Locks: one object at a time, or front before backing.  unref looks *up*
 * once: when a backing object is left with a single front, that front can
 * absorb it; its lock is tried, and if that fails the next write fault
 * through the front does the same work.
 */
#include "vm_object_impl.h"
#include "vm_zone.h"

static struct vm_zone vm_object_zone;

void
vm_object_bootstrap(void)
{
    vm_zone_init(&vm_object_zone, "vm_object", sizeof(struct vm_object));
}

struct vm_object *
vm_object_alloc(vm_pgno_t npages, uint32_t flags,
    const struct vm_map *owner)
{
    struct vm_object *o = vm_zone_alloc(&vm_object_zone);

    if (o == NULL) {
        return NULL;
    }
    /*
     * Type-stable: somebody may be looking at this memory as a dead
     * object, holding its lock.  So it is made under the lock, and the
     * lock itself is never written twice.
     */
    if (o->lock.rank != VM_RANK_OBJECT) {
        o->lock.rank = VM_RANK_OBJECT;
    }
    vm_object_lock(o);
    o->flags = flags;
    o->ref_count = 0;
    o->owner_refs = 0;
    o->front_count = 0;
    o->paging = 0;
    o->owner = NULL;
    o->npages = npages;
    o->pages = (struct vm_radix){ 0 };
    /* In parts that the compiler stores, word for word: a call of memset()
     * would cost more than all the rest. */
    atomic_signal_fence(memory_order_seq_cst);
    o->shadow = NULL;
    o->shadow_pgno = 0;
    o->copy = NULL;
    o->fronts = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    o->front_next = NULL;
    o->front_prev = NULL;
    o->pager = NULL;
    o->flushes = NULL;
    vm_object_ref_locked(o, owner);
    return o;
}

void
vm_object_release(struct vm_object *o)
{
    vm_zone_free(&vm_object_zone, o);
}

uint64_t
vm_object_count(void)
{
    return vm_zone_live(&vm_object_zone);
}

void
vm_object_link_front(struct vm_object *back, struct vm_object *front)
{
    KASSERT(vm_mutex_is_locked(&back->lock));
    front->front_prev = NULL;
    front->front_next = back->fronts;
    if (back->fronts != NULL) {
        back->fronts->front_prev = front;
    }
    back->fronts = front;
    back->front_count++;
}

void
vm_object_unlink_front(struct vm_object *back, struct vm_object *front)
{
    KASSERT(vm_mutex_is_locked(&back->lock));
    KASSERT(back->front_count > 0);
    if (front->front_prev != NULL) {
        front->front_prev->front_next = front->front_next;
    } else {
        KASSERT(back->fronts == front);
        back->fronts = front->front_next;
    }
    if (front->front_next != NULL) {
        front->front_next->front_prev = front->front_prev;
    }
    front->front_next = NULL;
    front->front_prev = NULL;
    back->front_count--;
}

void
vm_object_ref_locked(struct vm_object *o, const struct vm_map *owner)
{
    o->ref_count++;
    if (owner == NULL) {
        return;
    }
    if (o->owner == NULL) {
        o->owner = owner;
    }
    if (o->owner == owner) {
        o->owner_refs++;
    }
}

void
vm_object_drop_locked(struct vm_object *o, const struct vm_map *owner)
{
    KASSERT(o->ref_count > 0);
    o->ref_count--;
    if (owner != NULL && o->owner == owner) {
        o->owner_refs--;
        if (o->owner_refs == 0) {
            o->owner = NULL;
        }
    }
}

void
vm_object_ref(struct vm_object *o, const struct vm_map *owner)
{
    vm_object_lock(o);
    KASSERT(o->ref_count > 0);
    vm_object_ref_locked(o, owner);
    vm_object_unlock(o);
}

bool
vm_object_is_sole(struct vm_object *o, const struct vm_map *owner)
{
    return o->ref_count == 1 ||
        (o->owner == owner && o->owner_refs == o->ref_count);
}

int
vm_object_create(vm_pgno_t npages, const struct vm_map *owner,
    struct vm_object **out)
{
    struct vm_object *o = vm_object_alloc(npages, VM_OBJ_INTERNAL, owner);

    if (o == NULL) {
        return VM_E_NOMEM;
    }
    vm_object_unlock(o);
    *out = o;
    return VM_OK;
}

int
vm_object_shadow(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner, struct vm_object **out)
{
    struct vm_object *front = vm_object_alloc(npages, VM_OBJ_INTERNAL,
        owner);

    if (front == NULL) {
        return VM_E_NOMEM;
    }
    front->shadow = o;
    front->shadow_pgno = pgno + (VM_MUTANT(SHADOW_OFFSET) ? 1 : 0);
    vm_object_lock(o);
    front->flags |= o->flags & VM_OBJ_MISSING;
    /* The owner's reference becomes the front's: same count, no owner. */
    o->ref_count++;
    vm_object_drop_locked(o, owner);
    vm_object_link_front(o, front);
    vm_object_unlock(front);
    vm_stat_inc(VM_STAT_SHADOWS);
    *out = front;
    return VM_OK;
}

void
vm_object_set_shared(struct vm_object *o)
{
    vm_object_lock(o);
    o->flags |= VM_OBJ_SHARED;
    vm_object_unlock(o);
}

void
vm_object_set_missing(struct vm_object *o)
{
    vm_object_lock(o);
    o->flags |= VM_OBJ_MISSING;
    vm_object_unlock(o);
}

void
vm_page_wake(struct vm_page *p)
{
    if ((vm_page_flags(p) & VM_PG_WANTED) != 0) {
        vm_page_clear(p, VM_PG_WANTED);
        vm_wakeup(p);
    }
}

struct vm_object *
vm_page_lock_object(struct vm_page *p)
{
    for (;;) {
        struct vm_object *o;

        /* Frames of other kinds have 0 there. */
        o = vm_get(&p->object);
        if (o == NULL) {
            return NULL;
        }
        vm_object_lock(o);
        if (vm_get(&p->object) == o &&
            vm_get(&p->kind) == VM_PAGE_OBJECT) {
            return o;
        }
        /* Collapse moved it, or it was freed, before we had the lock. */
        vm_object_unlock(o);
    }
}

static inline int
object_add_page(struct vm_object *o, vm_pgno_t pgno, struct vm_page *p,
    uint32_t flags)
{
    int error = vm_radix_insert(&o->pages, pgno, (vm_slot_t)p);

    if (error == VM_OK) {
        o->flags |= VM_OBJ_USED;
        vm_set(&p->object, o);
        vm_set(&p->pgno, pgno);
        vm_set(&p->flags, flags);
    }
    return error;
}

int
vm_object_add_page(struct vm_object *o, vm_pgno_t pgno, struct vm_page *p,
    uint32_t flags)
{
    return object_add_page(o, pgno, p, flags);
}

struct vm_page *
vm_object_new_page(struct vm_object *o, vm_pgno_t pgno, uint32_t flags,
    enum vm_alloc who)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT, who);

    if (p == NULL) {
        return NULL;
    }
    if (object_add_page(o, pgno, p, flags) != VM_OK) {
        vm_page_free(p);
        return NULL;
    }
    return p;
}

void
vm_object_add_pages(struct vm_object *o, vm_pgno_t pgno,
    struct vm_page *const p[], unsigned n, uint32_t flags)
{
    vm_radix_put(&o->pages, pgno, p, n);
    for (unsigned i = 0; i < n; i++) {
        vm_set(&p[i]->object, o);
        vm_set(&p[i]->pgno, pgno + i);
        vm_set(&p[i]->flags, flags);
    }
}

/*
 * p is in no tree: all that names it goes, but for the allocator.  m: where
 * it may have been mapped, if that is known, all of it removed by now.
 */
static inline void
frame_release(struct vm_page *p, const struct vm_gone *m)
{
    if (p->pv.pm != NULL || p->pv.more != NULL) {
        pmap_page_forget(p, m->pmap, m->start, m->end);
    }
    vm_page_wake(p);
    vm_set(&p->object, NULL);
    vm_set(&p->flags, 0);
    p->forbidden = 0;
    p->wire_count = 0;
}

void
vm_object_free_frame(struct vm_page *p)
{
    const struct vm_gone unknown = { .pmap = NULL };

    frame_release(p, &unknown);
    vm_page_free(p);
}

void
vm_object_free_page(struct vm_object *o, struct vm_page *p)
{
    vm_slot_t old = vm_radix_remove(&o->pages, vm_get(&p->pgno));

    KASSERT(vm_slot_page(old) == p);
    (void)old;
    vm_swap_cancel(p);
    vm_object_free_frame(p);
}

void
vm_object_free_slot(struct vm_object *o, vm_pgno_t pgno, vm_slot_t slot)
{
    if (vm_slot_is_swap(slot)) {
        vm_radix_remove(&o->pages, pgno);
        vm_swap_free(vm_slot_swap_number(slot));
    } else {
        vm_object_free_page(o, vm_slot_page(slot));
    }
}

bool
vm_object_move_page(struct vm_object *from, vm_pgno_t from_pgno,
    struct vm_object *to, vm_pgno_t to_pgno)
{
    vm_slot_t slot = vm_radix_lookup(&from->pages, from_pgno);
    struct vm_page *p = vm_slot_page(slot);

    /* Into the new tree first: a failure leaves the page where it is. */
    if (vm_radix_insert(&to->pages, to_pgno, slot) != VM_OK) {
        return false;
    }
    vm_radix_remove(&from->pages, from_pgno);
    to->flags |= VM_OBJ_USED | (from->flags & VM_OBJ_RUNS);
    if (p != NULL) {
        vm_set(&p->object, to);
        vm_set(&p->pgno, to_pgno);
    }
    return true;
}

void
vm_object_paging_begin(struct vm_object *o)
{
    o->paging++;
}

#define FREE_BATCH  32u

/* Free what o holds in pages from pgno to last; locked. */
static void
vm_object_free_range(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t last,
    const struct vm_gone *m)
{
    struct vm_page *page[FREE_BATCH];
    vm_slot_t slot[FREE_BATCH];
    unsigned n, pages;

    do {
        n = vm_radix_take(&o->pages, pgno, last, FREE_BATCH, slot);
        pages = 0;
        for (unsigned i = 0; i < n; i++) {
            struct vm_page *p = vm_slot_page(slot[i]);

            if (p == NULL) {
                vm_swap_free(vm_slot_swap_number(slot[i]));
                continue;
            }
            vm_swap_cancel(p);
            frame_release(p, m);
            page[pages++] = p;
        }
        vm_page_free_many(page, pages);
    } while (n == FREE_BATCH);
}

/*
 * The last thing that a pager's object does: modified pages go home.  The
 * object is DEAD, so nobody else touches it, but the lock is dropped for
 * the pager's call.
 */
static void
vm_object_write_back(struct vm_object *o)
{
    vm_pgno_t key = 0;
    vm_slot_t slot;

    while (o->pager != NULL && vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        if (p != NULL && vm_page_is_valid(p) &&
            (vm_page_flags(p) & VM_PG_MODIFIED) != 0) {
            struct vm_pager *pg = o->pager;

            pmap_page_protect(p, VM_PROT_NONE, NULL);
            vm_object_unlock(o);
            vm_stat_inc(VM_STAT_PAGEOUTS);
            pg->ops->data_write(pg, key, 1, vm_page_data(p));
            vm_object_lock(o);
        }
        key++;
    }
}

/*
 * o is locked and unreferenced: take it apart.  Returns its shadow, whose
 * lock is NOT held and whose reference is the caller's to drop.
 */
static struct vm_object *
vm_object_terminate(struct vm_object *o)
{
    const struct vm_gone nowhere = { .pmap = NULL };
    struct vm_object *back = o->shadow;
    struct vm_pager *pg;

    KASSERT(o->ref_count == 0 && o->front_count == 0 && o->paging == 0);
    o->flags |= VM_OBJ_DEAD;
    vm_object_write_back(o);
    vm_object_free_range(o, 0, ~(vm_pgno_t)0, &nowhere);
    if (back != NULL) {
        vm_object_lock(back);
        vm_object_unlink_front(back, o);
        if (back->copy == o) {
            back->copy = NULL;
        }
        vm_object_unlock(back);
        o->shadow = NULL;
    }
    vm_flush_drop(o);
    pg = o->pager;
    o->pager = NULL;
    vm_object_unlock(o);
    if (pg != NULL) {
        vm_set(&pg->object, NULL);
        pg->ops->terminate(pg);
    }
    vm_object_release(o);
    return back;
}

/* o lost a reference; if one front has it to itself now, let it absorb. */
static void
vm_object_offer(struct vm_object *o)
{
    struct vm_object *front = o->fronts;

    if (o->ref_count != 1 || o->front_count != 1 ||
        (o->flags & VM_OBJ_INTERNAL) == 0 ||
        !vm_mutex_trylock(&front->lock)) {
        vm_object_unlock(o);
        return;
    }
    vm_object_unlock(o);
    /* front cannot be taken apart, nor change its shadow, while locked. */
    vm_object_collapse(front);
    vm_object_unlock(front);
}

/* o, locked, has one reference less; unlocks it. */
static void
object_drop(struct vm_object *o, const struct vm_map *owner)
{
    for (;;) {
        vm_object_drop_locked(o, owner);
        if (o->ref_count > 0) {
            vm_object_offer(o);
            return;
        }
        if (o->paging > 0) {
            /* Whoever ends the pager's call takes it apart. */
            vm_object_unlock(o);
            return;
        }
        o = vm_object_terminate(o);
        if (o == NULL) {
            return;
        }
        /* What a dead object shadowed loses a reference of no owner. */
        owner = NULL;
        vm_object_lock(o);
    }
}

void
vm_object_unref(struct vm_object *o, const struct vm_map *owner)
{
    if (o != NULL) {
        vm_object_lock(o);
        object_drop(o, owner);
    }
}

/*
 * Free what owner alone could see in a range of top, which stays locked.
 * Shared memory stays while anyone holds it: the holder may map it again,
 * and one map may show it at two places.  A snapshot keeps what was pushed
 * to it, or it would be pushed again.
 */
static void
object_purge(struct vm_object *top, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner, const struct vm_gone *m)
{
    struct vm_object *o = top;

    while ((o->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED |
        VM_OBJ_PUSHED)) == VM_OBJ_INTERNAL && o->paging == 0 &&
        vm_object_is_sole(o, owner)) {
        struct vm_object *back = o->shadow;

        vm_object_free_range(o, pgno, pgno + npages - 1, m);
        if (back == NULL) {
            break;
        }
        pgno += o->shadow_pgno;
        /* Below, a front's reference is the only one, or we stop. */
        owner = NULL;
        vm_object_lock(back);
        if (o != top) {
            vm_object_unlock(o);
        }
        o = back;
    }
    if (o != top) {
        vm_object_unlock(o);
    }
}

void
vm_object_leave(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner, const struct vm_gone *m)
{
    vm_object_lock(o);
    object_purge(o, pgno, npages, owner, m);
    object_drop(o, owner);
}

void
vm_object_paging_end_unlock(struct vm_object *o)
{
    KASSERT(o->paging > 0);
    o->paging--;
    if (o->paging == 0 && o->ref_count == 0 &&
        (o->flags & VM_OBJ_DEAD) == 0) {
        vm_object_unref(vm_object_terminate(o), NULL);
        return;
    }
    vm_object_unlock(o);
}

bool
vm_object_grow(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner)
{
    bool ok;

    vm_object_lock(o);
    /*
     * Not with a shadow: beyond the front's old end the backing object may
     * hold what the new pages must not show.  Nor inside o while owner has
     * another entry of it: after a move its pages may be the next ones.
     */
    ok = (o->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED)) ==
        VM_OBJ_INTERNAL && o->shadow == NULL && o->copy == NULL &&
        o->paging == 0 && (o->ref_count == 1 ||
        (pgno >= o->npages && vm_object_is_sole(o, owner)));
    if (ok) {
        const struct vm_gone nowhere = { .pmap = NULL };

        /* What was unmapped there while somebody else held o must go. */
        vm_object_free_range(o, pgno, pgno + npages - 1, &nowhere);
        if (pgno + npages > o->npages) {
            o->npages = pgno + npages;
        }
    }
    vm_object_unlock(o);
    return ok;
}

/* Snapshots get what is about to go: from memory, what is resident. */
static int
vm_object_push_beyond(struct vm_object *o, vm_pgno_t npages)
{
    vm_pgno_t key = npages;
    vm_slot_t slot;

    while (o->copy != NULL && vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);
        int error = VM_OK;

        if (p != NULL && (vm_page_flags(p) &
            (VM_PG_ABSENT | VM_PG_ERROR)) == 0) {
            error = vm_object_push(o, key, p);
        }
        if (error == VM_E_RETRY) {
            vm_object_wait_copy(o);
        } else if (error != VM_OK) {
            return error;
        } else {
            key++;
        }
    }
    return VM_OK;
}

int
vm_object_resize(struct vm_object *o, vm_pgno_t npages)
{
    vm_pgno_t key = npages;
    vm_slot_t slot;
    int error;

    vm_object_lock(o);
    error = vm_object_push_beyond(o, npages);
    if (error != VM_OK) {
        vm_object_unlock(o);
        return error;
    }
    vm_object_paging_begin(o);
    /* First, so that nobody brings a page back while we wait for one. */
    o->npages = npages;
    while (vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        if (p != NULL && (vm_page_flags(p) &
            (VM_PG_BUSY | VM_PG_ABSENT)) == VM_PG_BUSY) {
            /* Its bytes are on their way to the pager: wait for that. */
            struct vm_ticket t = vm_wait_ticket(p);

            vm_page_set(p, VM_PG_WANTED);
            vm_object_unlock(o);
            (void)!vm_wait_sleep(t, false);
            vm_object_lock(o);
            /* Somebody may have made it larger again. */
            key = key > o->npages ? key : o->npages;
            continue;
        }
        vm_object_free_slot(o, key, slot);
    }
    vm_flush_poll(o);
    vm_object_paging_end_unlock(o);
    return VM_OK;
}

struct vm_object *
vm_object_chain_find(struct vm_object *o, vm_pgno_t *pgno, vm_slot_t *slot)
{
    struct vm_object *top = o;
    vm_pgno_t k = *pgno;

    for (;;) {
        vm_slot_t found = vm_radix_lookup(&o->pages, k);
        struct vm_object *back = o->shadow;

        if (found != VM_SLOT_EMPTY || back == NULL) {
            *pgno = k;
            *slot = found;
            return o;
        }
        k += o->shadow_pgno;
        vm_object_lock(back);
        if (o != top) {
            vm_object_unlock(o);
        }
        o = back;
    }
}

int
vm_object_copy_now(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages,
    const struct vm_map *owner, struct vm_object **out)
{
    /* It stays locked: the clock must not find pages not yet copied. */
    struct vm_object *new = vm_object_alloc(npages, VM_OBJ_INTERNAL, owner);
    int error = VM_OK;

    if (new == NULL) {
        return VM_E_NOMEM;
    }
    vm_object_lock(o);
    for (vm_pgno_t i = 0; i < npages && error == VM_OK; i++) {
        vm_pgno_t k = pgno + i;
        vm_slot_t slot;
        struct vm_object *at = vm_object_chain_find(o, &k, &slot);
        struct vm_page *p = vm_slot_page(slot), *copy;

        if (slot == VM_SLOT_EMPTY) {
            error = at->pager != NULL ||
                (at->flags & VM_OBJ_ORPHAN) != 0 ? VM_E_BUSY : VM_OK;
        } else if (p == NULL || !vm_page_is_valid(p)) {
            error = VM_E_BUSY;
        } else if ((copy = vm_object_new_page(new, i, VM_PG_MODIFIED,
                VM_ALLOC_USER)) == NULL) {
            error = VM_E_NOMEM;
        } else {
            vm_page_copy(copy, p);
            vm_stat_inc(VM_STAT_COPIES);
        }
        if (at != o) {
            vm_object_unlock(at);
        }
    }
    vm_object_unlock(o);
    vm_object_unlock(new);
    if (error != VM_OK) {
        vm_object_unref(new, owner);
        return error;
    }
    *out = new;
    return VM_OK;
}

void
vm_object_unwire(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t npages)
{
    vm_object_lock(o);
    for (vm_pgno_t i = 0; i < npages; i++) {
        vm_pgno_t k = pgno + i;
        vm_slot_t slot;
        struct vm_object *at = vm_object_chain_find(o, &k, &slot);
        struct vm_page *p = vm_slot_page(slot);

        /* A file that was cut short took its wired pages along. */
        if (p != NULL && p->wire_count > 0) {
            p->wire_count--;
        }
        if (at != o) {
            vm_object_unlock(at);
        }
    }
    vm_object_unlock(o);
}
