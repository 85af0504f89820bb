/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_audit.c - is a map well-formed, and does its pmap tell the truth?
 *
 * vm_map_check() looks at the map alone.  vm_map_audit() asks of every
 * translation in the page tables whether a fault could enter it now: page
 * tables hold no truth, so everything in them must follow from the map,
 * the objects and the core map.  The law that each check enforces is named
 * where it is made.
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
    KASSERT(start < end && start >= map->start && end <= map->end);
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
    vaddr_t at = map->start;
    vsize_t size = 0;

    vm_map_lock(map);
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

static _Noreturn void
audit_panic(const struct pmap_mapping *m, const char *what)
{
    kern_panic("vm_map_audit: va %#llx pa %#llx prot %u: %s",
        (unsigned long long)m->va, (unsigned long long)m->pa, m->prot,
        what);
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
static void
audit_page(struct vm_object *object, vm_pgno_t pgno,
    struct vm_page *page, bool top, const struct pmap_mapping *m)
{
    if (page == NULL || vm_page_pa(page) != m->pa) {
        audit_panic(m, "not the page that the objects name");
    }
    if ((vm_page_flags(page) & VM_PG_ABSENT) != 0) {
        audit_panic(m, "the page has no data yet");
    }
    if ((page->forbidden & m->prot) != 0) {
        audit_panic(m, "access that the pager forbids");
    }
    if ((m->prot & VM_PROT_WRITE) == 0) {
        return;
    }
    if ((vm_page_flags(page) & VM_PG_MODIFIED) == 0) {
        audit_panic(m, "a clean page is writable");
    }
    if (!top) {
        audit_panic(m, "a page of a backing object is writable");
    }
    if (audit_is_owed(object, pgno)) {
        audit_panic(m, "writable before it was pushed to a snapshot");
    }
}

/*
 * Other maps may share the objects, and take a page away or copy it.  Who does
 * revokes translations with the objects locked, so what is still there now
 * has to agree with them.
 */
static void
audit_entry(struct vm_map *map, struct vm_map_entry *e,
    struct pmap_mapping *m)
{
    struct vm_object *object = vm_get(&e->object), *at;
    vm_pgno_t pgno = vm_map_entry_pgno(e, m->va), found = pgno;
    vm_slot_t slot;

    vm_object_lock(object);
    at = vm_object_chain_find(object, &found, &slot);
    if (pmap_extract(map->pmap, m->va, &m->pa, &m->prot)) {
        audit_page(object, pgno, vm_slot_page(slot), at == object, m);
    }
    if (at != object) {
        vm_object_unlock(at);
    }
    vm_object_unlock(object);
}

static int
audit_mapping(void *arg, const struct pmap_mapping *m)
{
    struct vm_map *map = arg;
    struct vm_map_entry *e = vm_map_tree_find(map, m->va);
    uint32_t attr;

    if (e == NULL || m->va < vm_get(&e->start)) {
        audit_panic(m, "nothing is mapped there");
    }
    attr = vm_get(&e->attr);
    if (VM_ATTR_PROT(attr) == VM_PROT_NONE ||
        (m->prot & ~VM_ATTR_PROT(attr) & ~VM_PROT_READ) != 0) {
        audit_panic(m, "more than the entry's protection");
    }
    if ((m->prot & VM_PROT_WRITE) != 0 &&
        (attr & VM_ATTR_NEEDS_COPY) != 0) {
        audit_panic(m, "writable, but the entry needs copy");
    }
    if (m->wired) {
        audit_panic(m, "wired in a user's pmap");
    }
    if (vm_get(&e->object) == NULL) {
        audit_panic(m, "the entry was never touched");
    }
    /* A frame that is not ours is a device's: nothing to compare. */
    if (vm_page_of(m->pa) != NULL) {
        struct pmap_mapping now = *m;

        audit_entry(map, e, &now);
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
