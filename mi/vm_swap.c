/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_swap.c - anonymous pages in the default pager's care.
 *
 * The core hands out swap slots and the default pager keeps a page for
 * each; which page of which object that is, only the core knows, and it
 * says so in the object's own radix tree.  So collapse and a page moved up
 * by a fault take a slot along like a page, and no (object, offset) pair
 * in the pager can go stale: the "swap leak" has no place to happen.
 *
 * A slot is in one of these states (swap_slots, under swap_lock):
 *   not there      free
 *   IDLE           holds a page's data; an object's tree names the slot
 *   page           being read into, or written from, that frame
 *   ORPHAN         as before, but the page is gone; freed by the answer
 * An answer finds the page by slot, locks whatever object the page is in by
 * now, and looks again.
 */
#include "vm_object_impl.h"

#define SWAP_IDLE       vm_slot_swap(0)
#define SWAP_ORPHAN     vm_slot_swap(1)

static struct vm_spin swap_lock = VM_SPIN_INIT(VM_RANK_SWAP);
static struct vm_radix swap_slots;      /* slot -> state */
static uint64_t swap_size, swap_rover;
static struct vm_pager *_Atomic swap_pager;

void
vm_swap_bootstrap(void)
{
    swap_slots = (struct vm_radix){ 0 };
    swap_size = 0;
    swap_rover = 0;
    vm_set(&swap_pager, NULL);
}

int
vm_swap_set(struct vm_pager *pg, uint64_t slots)
{
    if (pg == NULL || slots == 0 || slots > UINT32_MAX) {
        return VM_E_INVAL;
    }
    vm_spin_lock(&swap_lock);
    if (swap_slots.count != 0) {
        vm_spin_unlock(&swap_lock);
        return VM_E_BUSY;
    }
    swap_size = slots;
    swap_rover = 0;
    vm_set(&swap_pager, pg);
    vm_spin_unlock(&swap_lock);
    return VM_OK;
}

uint64_t
vm_swap_used(void)
{
    uint64_t n;

    vm_spin_lock(&swap_lock);
    n = swap_slots.count;
    vm_spin_unlock(&swap_lock);
    return n;
}

bool
vm_swap_is(const struct vm_pager *pg)
{
    return vm_get(&swap_pager) == pg;
}

static vm_slot_t
vm_swap_state(uint64_t slot)
{
    vm_slot_t s;

    vm_spin_lock(&swap_lock);
    s = vm_radix_lookup(&swap_slots, slot);
    vm_spin_unlock(&swap_lock);
    return s;
}

static void
vm_swap_set_state(uint64_t slot, vm_slot_t state)
{
    vm_spin_lock(&swap_lock);
    vm_radix_replace(&swap_slots, slot, state);
    vm_spin_unlock(&swap_lock);
}

void
vm_swap_free(uint64_t slot)
{
    vm_spin_lock(&swap_lock);
    vm_radix_remove(&swap_slots, slot);
    vm_spin_unlock(&swap_lock);
}

void
vm_swap_keep(uint64_t slot)
{
    vm_swap_set_state(slot, SWAP_IDLE);
}

int
vm_swap_in_begin(struct vm_object *o, vm_pgno_t pgno,
    struct vm_page **page, uint64_t *slot)
{
    vm_slot_t old = vm_radix_lookup(&o->pages, pgno);
    struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);

    KASSERT(vm_slot_is_swap(old));
    if (p == NULL) {
        return VM_E_NOMEM;
    }
    *slot = vm_slot_swap_number(old);
    p->link = (uint32_t)*slot;
    vm_set(&p->pgno, pgno);
    vm_set(&p->flags, VM_PG_BUSY | VM_PG_ABSENT);
    vm_set(&p->object, o);
    vm_radix_replace(&o->pages, pgno, (vm_slot_t)p);
    vm_swap_set_state(*slot, (vm_slot_t)p);
    *page = p;
    return VM_OK;
}

void
vm_swap_in_request(uint64_t slot, vm_prot_t access)
{
    struct vm_pager *pg = vm_get(&swap_pager);

    pg->ops->data_request(pg, slot, 1, access | VM_PROT_READ);
}

void
vm_swap_retry(struct vm_object *o, struct vm_page *p)
{
    uint64_t slot = p->link;

    vm_radix_replace(&o->pages, vm_get(&p->pgno), vm_slot_swap(slot));
    vm_swap_keep(slot);
    vm_object_free_frame(p);
}

/* A free slot, taken for p; false if swap is full or memory is short. */
bool
vm_swap_out_begin(struct vm_page *p)
{
    bool ok = false;

    vm_spin_lock(&swap_lock);
    if (swap_slots.count < swap_size) {
        while (vm_radix_lookup(&swap_slots, swap_rover) !=
            VM_SLOT_EMPTY) {
            swap_rover = (swap_rover + 1) % swap_size;
        }
        ok = vm_radix_insert(&swap_slots, swap_rover, (vm_slot_t)p) ==
            VM_OK;
        if (ok) {
            p->link = (uint32_t)swap_rover;
            swap_rover = (swap_rover + 1) % swap_size;
        }
    }
    vm_spin_unlock(&swap_lock);
    return ok;
}

void
vm_swap_out_write(uint64_t slot, const void *data)
{
    struct vm_pager *pg = vm_get(&swap_pager);

    pg->ops->data_create(pg, slot, 1, data);
}

void
vm_swap_cancel(struct vm_page *p)
{
    struct vm_object *o = vm_get(&p->object);
    uint32_t flags = vm_page_flags(p);

    if ((flags & (VM_PG_CLEANING | VM_PG_ABSENT)) == 0 ||
        o->pager != NULL) {
        return;
    }
    if ((flags & VM_PG_ERROR) != 0) {
        /* Its read is over; nobody will answer. */
        vm_swap_free(p->link);
    } else {
        vm_swap_set_state(p->link, SWAP_ORPHAN);
    }
}

/*
 * The page in transit at slot, and the object it is in, locked; NULL if
 * there is none (an orphan's slot is freed).
 */
static struct vm_page *
vm_swap_transit(uint64_t slot, struct vm_object **object)
{
    for (;;) {
        struct vm_object *o;
        vm_slot_t state;

        vm_spin_lock(&swap_lock);
        state = vm_radix_lookup(&swap_slots, slot);
        if (state == SWAP_ORPHAN) {
            /* Here and now: a second answer must not free its heir's. */
            vm_radix_remove(&swap_slots, slot);
        }
        vm_spin_unlock(&swap_lock);
        if (state == VM_SLOT_EMPTY || state == SWAP_IDLE ||
            state == SWAP_ORPHAN) {
            return NULL;
        }
        o = vm_page_lock_object(vm_slot_page(state));
        if (o != NULL) {
            if (vm_swap_state(slot) == state) {
                *object = o;
                return vm_slot_page(state);
            }
            vm_object_unlock(o);
        }
    }
}

void
vm_swap_answer(uint64_t slot, const void *data, bool error)
{
    struct vm_object *o;
    struct vm_page *p = vm_swap_transit(slot, &o);

    if (p == NULL) {
        return;
    }
    /* An answer to nothing: the page is on its way out, not in. */
    if ((vm_page_flags(p) & VM_PG_ABSENT) != 0 &&
        (vm_page_flags(p) & VM_PG_ERROR) == 0) {
        if (error) {
            vm_page_set(p, VM_PG_ERROR);
            vm_page_clear(p, VM_PG_BUSY);
        } else {
            if (data == NULL) {
                vm_page_zero(p);
            } else {
                memcpy(vm_page_data(p), data, VM_PAGE_SIZE);
            }
            /* The slot goes, so the frame is the only copy. */
            vm_swap_free(slot);
            vm_page_set(p, VM_PG_MODIFIED | VM_PG_REFERENCED);
            vm_page_clear(p, VM_PG_ABSENT | VM_PG_BUSY);
        }
        vm_page_wake(p);
    }
    vm_object_unlock(o);
}

void
vm_swap_write_done(uint64_t slot, bool ok)
{
    struct vm_object *o;
    struct vm_page *p = vm_swap_transit(slot, &o);

    if (p == NULL) {
        return;
    }
    if ((vm_page_flags(p) & VM_PG_CLEANING) != 0) {
        (void)vm_object_write_complete(o, p, ok);
    }
    vm_object_unlock(o);
}
