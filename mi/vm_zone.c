/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_zone.c - memory for the core's own structures.
 *
 *   page frame (kind KERNEL) = slab
 *   +--------+------+------+------+------+----- ... ---+-------+
 *   | header | item | item | item | item |             | waste |
 *   +--|-----+------+--|---+------+--^---+----- ... ---+-------+
 *      |     ^         +-------------+   free items, by their first word
 *      |     |
 *      |     +--- .slab_free
 *      +--> struct vm_page (core map): zone, free list, used, neighbours
 *
 * An item finds its slab by its address alone: round down to the page,
 * follow the header.  kern_frame_ptr() promises that this works.
 *
 * Lock-free readers may look at dead items, so a freed item is not filled
 * with anything.  Against a double free, debug builds disguise the link: a
 * word that reveals a neighbour in the slab is most likely a dead item's,
 * and then the free list is searched to make sure.
 *
 * Locks: each zone's (rank ZONE), and FREE inside it; a new slab is got
 *        and zeroed with no lock held.
 */
#include "vm_zone.h"
#include "vm_page.h"

struct slab_header {
    struct vm_page *page;
    uint64_t unused;            /* items begin at a multiple of 16 */
};

_Static_assert(sizeof(struct slab_header) == VM_ZONE_HEADER, "header");
_Static_assert(sizeof(((struct vm_page *)0)->slab_used) == 4 &&
    offsetof(struct vm_page, slab_used) + 4 <=
    offsetof(struct vm_page, private) + VM_PAGE_PRIVATE,
    "vm_page_alloc() zeroes all that a slab keeps in its frame");

static struct vm_zone *zone_list;

/* What link words are disguised with; 0 is no disguise. */
static inline uintptr_t
item_mask(const void *item)
{
#if VM_DEBUG
    return (uintptr_t)UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)item;
#else
    (void)item;
    return 0;
#endif
}

static inline void *
item_next(const void *item)
{
    return (void *)(*(const uintptr_t *)item ^ item_mask(item));
}

static inline void
item_set_next(void *item, const void *next)
{
    *(uintptr_t *)item = (uintptr_t)next ^ item_mask(item);
}

/* Address of the page that an item is in. */
static inline struct slab_header *
item_header(const void *item)
{
    return (struct slab_header *)((uintptr_t)item &
        ~(uintptr_t)VM_PAGE_MASK);
}

/* NULL, or a place of an item in slab p? */
static bool
item_ok(const struct vm_zone *z, const struct vm_page *p, const void *item)
{
    uintptr_t off = (uintptr_t)item - (uintptr_t)vm_page_data(p);

    if (item == NULL) {
        return true;
    }
    return off >= VM_ZONE_HEADER && off < VM_PAGE_SIZE &&
        (off - VM_ZONE_HEADER) % z->size == 0 &&
        (off - VM_ZONE_HEADER) / z->size < z->per_slab;
}

void
vm_zone_bootstrap(void)
{
    zone_list = NULL;
}

void
vm_zone_init(struct vm_zone *z, const char *name, size_t size)
{
#if VM_DEBUG
    const struct vm_zone *other;

    for (other = zone_list; other != NULL; other = other->next) {
        KASSERT(other != z);
    }
#endif
    size = (size + 7) & ~(size_t)7;
    KASSERT(size != 0 && size <= VM_PAGE_SIZE - VM_ZONE_HEADER);
    *z = (struct vm_zone){
        .lock = VM_SPIN_INIT(VM_RANK_ZONE),
        .name = name,
        .size = (uint32_t)size,
        .per_slab = (uint32_t)((VM_PAGE_SIZE - VM_ZONE_HEADER) / size),
        .next = zone_list,
    };
    zone_list = z;
}

static void
slab_link(struct vm_page **list, struct vm_page *p)
{
    p->slab_prev = NULL;
    p->slab_next = *list;
    if (*list != NULL) {
        (*list)->slab_prev = p;
    }
    *list = p;
}

static void
slab_unlink(struct vm_page **list, struct vm_page *p)
{
    if (p->slab_next != NULL) {
        p->slab_next->slab_prev = p->slab_prev;
    }
    if (p->slab_prev != NULL) {
        p->slab_prev->slab_next = p->slab_next;
    } else {
        KASSERT(*list == p);
        *list = p->slab_next;
    }
}

/* A new slab, all items free, in no list yet; no lock held. */
static struct vm_page *
slab_create(struct vm_zone *z)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    struct slab_header *h;
    char *item;
    uint32_t i;

    if (p == NULL) {
        return NULL;
    }
    h = vm_page_data(p);
    KASSERT(vm_page_aligned((uintptr_t)h));
    /* Not vm_page_zero(): that may be told to forget user pages. */
    memset(h, 0, VM_PAGE_SIZE);
    h->page = p;
    p->zone = z;
    /* Backwards, so that the first item is handed out first. */
    for (i = z->per_slab; i-- > 0;) {
        item = (char *)h + VM_ZONE_HEADER + (size_t)i * z->size;
        item_set_next(item, p->slab_free);
        p->slab_free = item;
    }
    return p;
}

/* Under the zone's lock, some slab has a free item: take it. */
static inline void *
item_take(struct vm_zone *z)
{
    struct vm_page *p = z->partial;
    void *item = p->slab_free;
    void *next = item_next(item);

#if VM_DEBUG
    if (p->zone != z || !item_ok(z, p, item) || !item_ok(z, p, next)) {
        kern_panic("zone %s: free item %p was written to", z->name, item);
    }
#endif
    p->slab_free = next;
    p->slab_used++;
    z->live++;
    if (next == NULL) {
        slab_unlink(&z->partial, p);
        slab_link(&z->full, p);
    }
    return item;
}

/* The long path: two threads may both add a slab; no harm is done. */
static __attribute__((noinline)) void *
zone_alloc_slow(struct vm_zone *z)
{
    struct vm_page *p = slab_create(z);
    void *item = NULL;

    vm_spin_lock(&z->lock);
    if (p != NULL) {
        slab_link(&z->partial, p);
        z->slabs++;
    }
    /* Without a frame: an item may have been freed meanwhile. */
    if (z->partial != NULL) {
        item = item_take(z);
    }
    vm_spin_unlock(&z->lock);
    return item;
}

void *
vm_zone_alloc(struct vm_zone *z)
{
    void *item;

    if (vm_fail_here()) {
        return NULL;
    }
    vm_spin_lock(&z->lock);
    if (z->partial != NULL) {
        item = item_take(z);
        vm_spin_unlock(&z->lock);
    } else {
        vm_spin_unlock(&z->lock);
        item = zone_alloc_slow(z);
    }
    if (item != NULL) {
        *(uint64_t *)item = 0;
    }
    return item;
}

#if VM_DEBUG
/* What can be wrong with an item that is freed. */
static void
item_free_assert(struct vm_zone *z, struct vm_page *p, void *item)
{
    void *other;

    if (p < vm_page_array || p >= vm_page_array + vm_page_count ||
        vm_get(&p->kind) != VM_PAGE_KERNEL || p->zone != z ||
        !item_ok(z, p, item)) {
        kern_panic("zone %s: %p freed, no item of it", z->name, item);
    }
    if (p->slab_used == 0) {
        kern_panic("zone %s: %p freed, none is in use", z->name, item);
    }
    if (!item_ok(z, p, item_next(item))) {
        return;
    }
    /* It looks dead already. */
    for (other = p->slab_free; other != NULL; other = item_next(other)) {
        if (other == item) {
            kern_panic("zone %s: %p freed twice", z->name, item);
        }
    }
}
#else
#define item_free_assert(z, p, item)    ((void)0)
#endif

void
vm_zone_free(struct vm_zone *z, void *item)
{
    struct vm_page *p;

    KASSERT(item != NULL);
    p = item_header(item)->page;
    vm_spin_lock(&z->lock);
    item_free_assert(z, p, item);
    if (p->slab_free == NULL) {
        slab_unlink(&z->full, p);
        slab_link(&z->partial, p);
    }
    item_set_next(item, p->slab_free);
    p->slab_free = item;
    p->slab_used--;
    z->live--;
    vm_spin_unlock(&z->lock);
}

void
vm_zone_drain(void)
{
    struct vm_zone *z;
    struct vm_page *p, *next;

    for (z = zone_list; z != NULL; z = z->next) {
        vm_spin_lock(&z->lock);
        for (p = z->partial; p != NULL; p = next) {
            next = p->slab_next;
            if (p->slab_used == 0) {
                slab_unlink(&z->partial, p);
                z->slabs--;
                vm_page_free(p);
            }
        }
        vm_spin_unlock(&z->lock);
    }
}

struct vm_zone *
vm_zone_list(void)
{
    return zone_list;
}

uint64_t
vm_zone_live(struct vm_zone *z)
{
    uint64_t live;

    vm_spin_lock(&z->lock);
    live = z->live;
    vm_spin_unlock(&z->lock);
    return live;
}

/* One slab of z; returns the items in use. */
static uint64_t
slab_check(struct vm_zone *z, struct vm_page *p, struct vm_page *prev)
{
    struct slab_header *h = vm_page_data(p);
    uint32_t free = 0;
    void *item;

    if (vm_get(&p->kind) != VM_PAGE_KERNEL || p->zone != z ||
        h->page != p || p->slab_prev != prev) {
        kern_panic("zone %s: slab %p is corrupt", z->name, (void *)h);
    }
    for (item = p->slab_free; item != NULL; item = item_next(item)) {
        if (!item_ok(z, p, item)) {
            kern_panic("zone %s: free item %p is corrupt", z->name, item);
        }
        /* Stops at a loop in the list, too. */
        if (++free > z->per_slab) {
            break;
        }
    }
    if (free + p->slab_used != z->per_slab) {
        kern_panic("zone %s: slab %p has %u free and %u used of %u",
            z->name, (void *)h, free, p->slab_used, z->per_slab);
    }
    return p->slab_used;
}

void
vm_zone_check(struct vm_zone *z)
{
    uint64_t live = 0, slabs = 0;
    struct vm_page *p, *prev;

    vm_spin_lock(&z->lock);
    for (prev = NULL, p = z->partial; p != NULL; p = p->slab_next) {
        if (p->slab_free == NULL) {
            kern_panic("zone %s: full slab among partial ones", z->name);
        }
        live += slab_check(z, p, prev);
        slabs++;
        prev = p;
    }
    for (prev = NULL, p = z->full; p != NULL; p = p->slab_next) {
        if (p->slab_free != NULL) {
            kern_panic("zone %s: free item in a full slab", z->name);
        }
        live += slab_check(z, p, prev);
        slabs++;
        prev = p;
    }
    if (live != z->live || slabs != z->slabs) {
        kern_panic("zone %s: %llu items in %llu slabs, %llu in %llu counted",
            z->name, (unsigned long long)live, (unsigned long long)slabs,
            (unsigned long long)z->live, (unsigned long long)z->slabs);
    }
    vm_spin_unlock(&z->lock);
}

void
vm_zone_check_all(void)
{
    struct vm_zone *z;

    for (z = zone_list; z != NULL; z = z->next) {
        vm_zone_check(z);
    }
}
