/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_audit.c - is a map well-formed, and does its pmap tell the truth?
 *
 * vm_map_check() looks at the map alone.  vm_map_audit() and vm_map_heal()
 * ask of every translation in the page tables whether a fault could enter it
 * now: page tables hold no truth, so everything in them must follow from the
 * map, the objects and the core map.  The law that each check enforces is
 * named where it is made.  The one panics; the other counts, tells, and
 * repairs in the only way that there is: what is forgotten comes back right.
 *
 * Both may run while threads fault, fork and write in the map.  A walk
 * through tables sees what was there a moment ago, so it is judged by what
 * is there with the locks held under which it would be revoked:
 *
 *   the map's      entries cannot change, and what they forbid was revoked
 *                  before the lock was ours; a fault that knows an older
 *                  state is stopped by the sequence
 *   the objects'   from the entry's down to the one that has the page: whoever
 *                  takes a page away, cleans or shares it holds the lock of
 *                  its object until its translations are gone
 *
 * Locks: map, objects front to back.
 */
#include "vm_map_impl.h"
#include "vm_object_impl.h"
#include "pmap_ctl.h"

/* One entry by itself. */
static void
check_entry(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_object *object = vm_get(&e->object);
    uint32_t attr = vm_get(&e->attr);
    vaddr_t start = vm_get(&e->start), end = vm_get(&e->end);

    KASSERT(vm_page_aligned(start) && vm_page_aligned(end));
    KASSERT(start < end && start >= vm_get(&map->start) &&
        end <= vm_get(&map->end));
    KASSERT((VM_ATTR_PROT(attr) & ~VM_ATTR_MAX(attr)) == 0);
    KASSERT((unsigned)VM_ATTR_INHERIT(attr) <= VM_INHERIT_NONE);
    KASSERT((attr & VM_ATTR_WIRED) != 0 ? e->wired_count > 0 :
        e->wired_count == 0);
    if (object == NULL) {
        KASSERT((attr & (VM_ATTR_NEEDS_COPY | VM_ATTR_WIRED)) == 0);
        return;
    }
    /* What is wired in place may not be written: a copy would not be. */
    KASSERT((attr & VM_ATTR_WIRED) == 0 || (attr & VM_PROT_WRITE) == 0 ||
        (attr & VM_ATTR_NEEDS_COPY) == 0);
    vm_object_lock(object);
    KASSERT((attr & VM_ATTR_WIRED) == 0 ||
        (attr & VM_ATTR_NEEDS_COPY) == 0 ||
        (object->flags & VM_OBJ_INTERNAL) == 0);
    KASSERT(object->ref_count > 0 && (object->flags & VM_OBJ_DEAD) == 0);
    if ((object->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED |
        VM_OBJ_SNAPSHOT)) == VM_OBJ_INTERNAL) {
        KASSERT(vm_get(&e->pgno) + vm_map_entry_pages(e) <=
            object->npages);
    }
    KASSERT((object->flags & VM_OBJ_SNAPSHOT) == 0 ||
        (attr & VM_ATTR_NEEDS_COPY) != 0);
    vm_object_unlock(object);
}

void
vm_map_check(struct vm_map *map)
{
    vsize_t size = 0;
    vaddr_t at;

    vm_map_lock(map);
    at = vm_get(&map->start);
    KASSERT((vm_get(&map->seq.count) & 1) == 0);
    vm_map_tree_check(map);
    for (struct vm_map_entry *e = map->first; e != NULL; e = e->next) {
        KASSERT(vm_get(&e->start) >= at);
        check_entry(map, e);
        at = vm_get(&e->end);
        size += at - vm_get(&e->start);
    }
    KASSERT(size == map->size);
    (void)size;
    vm_map_unlock(map);
}

/* A page that some snapshot still sees through must not be writable. */
static bool
audit_is_owed(struct vm_object *o, vm_pgno_t pgno)
{
    bool owed;

    /* Busy: with its owner's business, or to push that very page. */
    return vm_object_needs_push(o, pgno, &owed) == VM_OK && owed;
}

/* The objects that page comes from are locked. */
static const char *
audit_page(struct vm_object *object, vm_pgno_t pgno,
    struct vm_page *page, bool top, const struct pmap_mapping *m)
{
    if (page == NULL || vm_page_pa(page) != m->pa) {
        return "not the page that the objects name";
    }
    if ((vm_page_flags(page) & VM_PG_ABSENT) != 0) {
        return "the page has no data yet";
    }
    if ((page->forbidden & m->prot) != 0) {
        return "access that the pager forbids";
    }
    if ((m->prot & VM_PROT_WRITE) == 0) {
        return NULL;
    }
    if ((vm_page_flags(page) & VM_PG_MODIFIED) == 0) {
        return "a clean page is writable";
    }
    if (!top) {
        return "a page of a backing object is writable";
    }
    if (audit_is_owed(object, pgno)) {
        return "writable before it was pushed to a snapshot";
    }
    return NULL;
}

/*
 * Other maps may share the objects, and take a page away or copy it.  Who does
 * revokes translations with the objects locked, so what is still there now
 * has to agree with them.
 */
static const char *
audit_objects(struct vm_map *map, struct vm_map_entry *e,
    struct pmap_mapping *m)
{
    struct vm_object *object = vm_get(&e->object), *at;
    vm_pgno_t pgno = vm_map_entry_pgno(e, m->va), found = pgno;
    const char *what = NULL;
    vm_slot_t slot;

    vm_object_lock(object);
    at = vm_object_chain_find(object, &found, &slot);
    if (pmap_extract(map->pmap, m->va, &m->pa, &m->prot)) {
        what = audit_page(object, pgno, vm_slot_page(slot), at == object,
            m);
    }
    if (at != object) {
        vm_object_unlock(at);
    }
    vm_object_unlock(object);
    return what;
}

/*
 * The law that a translation breaks, or NULL.  The map is locked, so what
 * its entries forbid has been revoked; *m is what was found when it was
 * judged.
 */
static const char *
audit_law(struct vm_map *map, struct pmap_mapping *m)
{
    struct vm_map_entry *e = vm_map_tree_find(map, m->va);
    uint32_t attr;

    if (e == NULL || m->va < vm_get(&e->start)) {
        return "nothing is mapped there";
    }
    attr = vm_get(&e->attr);
    if (VM_ATTR_PROT(attr) == VM_PROT_NONE ||
        (m->prot & ~VM_ATTR_PROT(attr) & ~VM_PROT_READ) != 0) {
        return "more than the entry's protection";
    }
    if ((m->prot & VM_PROT_WRITE) != 0 &&
        (attr & VM_ATTR_NEEDS_COPY) != 0) {
        return "writable, but the entry needs copy";
    }
    if (m->wired) {
        return "wired in a user's pmap";
    }
    if (vm_get(&e->object) == NULL) {
        return "the entry was never touched";
    }
    /* A frame that is not ours is a device's: nothing to compare. */
    return vm_page_of(m->pa) == NULL ? NULL : audit_objects(map, e, m);
}

static int
audit_mapping(void *arg, const struct pmap_mapping *m)
{
    struct pmap_mapping now = *m;
    const char *what = audit_law(arg, &now);

    if (what != NULL) {
        kern_panic("vm_map_audit: va %#llx pa %#llx prot %u: %s",
            (unsigned long long)now.va, (unsigned long long)now.pa,
            now.prot, what);
    }
    return 0;
}

void
vm_map_audit(struct vm_map *map)
{
    vm_map_lock(map);
    (void)pmap_audit(map->pmap, audit_mapping, map);
    vm_map_unlock(map);
}

struct heal {
    struct vm_map *map;
    bool repair;
    void (*report)(void *arg, const struct vm_mismatch *m);
    void *arg;
    uint64_t found;
};

/* Forget a page's translation, held for progress or not. */
static void
heal_forget(struct vm_map *map, vaddr_t va)
{
    if (pmap_discard_range(map->pmap, va, va + VM_PAGE_SIZE) == VM_OK) {
        return;
    }
    vm_seq_begin(&map->seq);
    pmap_remove(map->pmap, va, va + VM_PAGE_SIZE, NULL);
    vm_seq_end(&map->seq);
}

static int
heal_mapping(void *arg, const struct pmap_mapping *m)
{
    struct pmap_mapping now = *m;
    struct heal *h = arg;
    const char *what = audit_law(h->map, &now);

    if (what != NULL) {
        const struct vm_mismatch mismatch = {
            .map = h->map, .va = now.va, .pa = now.pa, .prot = now.prot,
            .what = what,
        };

        h->found++;
        vm_stat_inc(VM_STAT_MISMATCHES);
        if (h->report != NULL) {
            h->report(h->arg, &mismatch);
        }
        if (h->repair) {
            heal_forget(h->map, now.va);
        }
    }
    return 0;
}

uint64_t
vm_map_heal(struct vm_map *map, bool repair,
    void (*report)(void *arg, const struct vm_mismatch *m), void *arg)
{
    struct heal h = {
        .map = map, .repair = repair, .report = report, .arg = arg,
    };

    vm_map_lock(map);
    (void)pmap_audit(map->pmap, heal_mapping, &h);
    vm_map_unlock(map);
    return h.found;
}
