/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_serve.c - anonymous memory whose missing pages a server brings.
 *
 *   entry  attr: server 5          a fault finds no page in the chain:
 *     |                              zero, says the entry without a server
 *   front   [ page  -   -  ]         ask server 5, says this one
 *     |                            what the server brings is put into the
 *   back    [  -   page -  ]         front, as if it had been written
 *
 * The server is the entry's, not the object's: a child of fork sees the same
 * objects, and has ordinary memory.  So two rules keep what is missing for
 * the one from being made for him by others (VM_OBJ_MISSING, on all objects
 * of a chain that has, or had, a server):
 *
 *   who reads zeros through such an object keeps them in a front of his own
 *   a page of it counts as data, or the clock could make it missing again
 *
 * Nothing stands for a page that is waited for: who waits holds a ticket,
 * taken while he saw that there is none, and looks again from the address
 * when he wakes.  (Mostly he finds it mapped: a page is entered when it is
 * brought.)  So a server that is slow, silent or dead is nothing that
 * fork, pageout or collapse could meet.
 *
 * Locks: map, objects front before backing.
 */
#include "vm_map_impl.h"
#include "vm_object_impl.h"
#include "pmap_ctl.h"

vm_map_ask *vm_map_server;

const void *
vm_map_missing_event(const struct vm_map *map, vaddr_t va)
{
    return (const void *)((uintptr_t)map ^ (uintptr_t)vm_trunc_page(va));
}

/* Is o's chain anonymous memory of this map and its relatives alone? */
static bool
serve_is_anonymous(struct vm_object *o)
{
    const uint32_t all = VM_OBJ_INTERNAL | VM_OBJ_SHARED | VM_OBJ_ORPHAN |
        VM_OBJ_SNAPSHOT;
    bool ok = true;

    if (o == NULL) {
        return true;
    }
    vm_object_lock(o);
    while (o != NULL) {
        struct vm_object *back = o->shadow;

        ok = ok && (o->flags & all) == VM_OBJ_INTERNAL && o->copy == NULL;
        if (back != NULL) {
            vm_object_lock(back);
        }
        vm_object_unlock(o);
        o = back;
    }
    return ok;
}

static int
serve_check(struct vm_map_entry *e, unsigned server)
{
    uint32_t attr = vm_get(&e->attr);

    if (server == 0) {
        return VM_OK;
    }
    if (!serve_is_anonymous(vm_get(&e->object))) {
        return VM_E_INVAL;
    }
    if ((VM_ATTR_MAX(attr) & VM_PROT_WRITE) == 0) {
        return VM_E_PROT;
    }
    return VM_ATTR_SERVER(attr) != 0 && VM_ATTR_SERVER(attr) != server ?
        VM_E_BUSY : VM_OK;
}

/* The rules above hold for [pgno, +n) of o's chain from now on. */
static void
serve_mark(struct vm_object *o, vm_pgno_t pgno, vm_pgno_t n)
{
    if (o == NULL) {
        return;
    }
    vm_object_lock(o);
    while (o != NULL) {
        struct vm_object *back = o->shadow;
        vm_pgno_t key = pgno;
        vm_slot_t slot;

        o->flags |= VM_OBJ_MISSING;
        while (vm_radix_next(&o->pages, &key, &slot) && key - pgno < n) {
            struct vm_page *p = vm_slot_page(slot);

            if (p != NULL && vm_page_is_valid(p)) {
                vm_page_set(p, VM_PG_MODIFIED);
            }
            key++;
        }
        pgno += o->shadow_pgno;
        if (back != NULL) {
            vm_object_lock(back);
        }
        vm_object_unlock(o);
        o = back;
    }
}

int
vm_map_serve(struct vm_map *map, vaddr_t start, vsize_t size,
    unsigned server)
{
    vaddr_t end = start + size;
    struct vm_map_entry *e;
    struct vm_map_scan scan;
    int error;

    if (server > VM_SERVER_MAX || (server != 0 && vm_map_server == NULL)) {
        return VM_E_INVAL;
    }
    error = vm_map_lock_range(map, start, size, true, &scan);
    if (error != VM_OK) {
        return error;
    }
    error = scan.first == NULL ? VM_E_ADDRESS : VM_OK;
    for (e = scan.first; error == VM_OK && e != NULL &&
        vm_get(&e->start) < end; e = e->next) {
        error = serve_check(e, server);
    }
    if (error == VM_OK) {
        error = vm_map_clip_range(map, start, end);
    }
    if (error == VM_OK) {
        vm_seq_begin(&map->seq);
        for (e = vm_map_tree_find(map, start); e != NULL &&
            vm_get(&e->start) < end; e = e->next) {
            if (server != 0) {
                serve_mark(vm_get(&e->object), vm_get(&e->pgno),
                    vm_map_entry_pages(e));
            }
            vm_set(&e->attr, (vm_get(&e->attr) & VM_ATTR_NO_SERVER) |
                server << VM_ATTR_SERVER_SHIFT);
        }
        vm_seq_end(&map->seq);
        vm_map_merge_range(map, start, end);
    }
    vm_map_unlock(map);
    return error;
}

void
vm_map_unserve(struct vm_map *map, unsigned server)
{
    vm_map_lock(map);
    vm_seq_begin(&map->seq);
    for (struct vm_map_entry *e = map->first; e != NULL; e = e->next) {
        uint32_t attr = vm_get(&e->attr);

        if (VM_ATTR_SERVER(attr) == server) {
            vm_set(&e->attr, attr & VM_ATTR_NO_SERVER);
        }
    }
    vm_seq_end(&map->seq);
    /* What the servers alone kept apart. */
    vm_map_merge_range(map, vm_get(&map->start), vm_get(&map->end));
    vm_map_unlock(map);
}

/* What reads at page pgno of top, which is locked. */
static vm_slot_t
supply_look(struct vm_object *top, vm_pgno_t pgno)
{
    vm_slot_t slot = vm_radix_lookup(&top->pages, pgno);
    struct vm_object *at;

    if (slot == VM_SLOT_EMPTY && top->shadow != NULL) {
        at = vm_object_chain_find(top, &pgno, &slot);
        if (at != top) {
            vm_object_unlock(at);
        }
    }
    return slot;
}

/* e is va's entry, with an object of its own; map locked. */
static int
supply_page(struct vm_map *map, struct vm_map_entry *e, vaddr_t va,
    struct vm_page *p)
{
    struct vm_object *top = vm_get(&e->object);
    vm_pgno_t pgno = vm_map_entry_pgno(e, va);
    vm_prot_t prot = VM_ATTR_PROT(vm_get(&e->attr));
    int error = VM_OK;

    vm_object_lock(top);
    if (supply_look(top, pgno) != VM_SLOT_EMPTY) {
        error = VM_E_NOSPACE;
    } else if (top->copy != NULL || pgno >= top->npages) {
        /* Shared by its owner since: what it holds is no server's. */
        error = VM_E_BUSY;
    } else {
        error = vm_object_add_page(top, pgno, p,
            VM_PG_MODIFIED | VM_PG_REFERENCED);
    }
    if (error == VM_OK && prot != VM_PROT_NONE) {
        /* Top's own page, modified: all that the entry allows. */
        (void)!pmap_enter_page(map->pmap, va, p, prot | VM_PROT_READ,
            vm_get(&map->seq.count));
    }
    vm_object_unlock(top);
    return error;
}

int
vm_map_supply(struct vm_map *map, vaddr_t va, struct vm_page *p)
{
    struct vm_map_entry *e;
    int error = VM_OK;

    vm_map_lock(map);
    e = vm_map_tree_find(map, va);
    if (e == NULL || va < vm_get(&e->start) ||
        VM_ATTR_SERVER(vm_get(&e->attr)) == 0) {
        error = VM_E_ADDRESS;
    } else if (vm_get(&e->object) == NULL ||
        (vm_get(&e->attr) & VM_ATTR_NEEDS_COPY) != 0) {
        error = vm_map_resolve(map, e, true);
    }
    if (error == VM_OK) {
        error = supply_page(map, e, va, p);
    }
    vm_map_unlock(map);
    if (error == VM_OK) {
        vm_wakeup(vm_map_missing_event(map, va));
    }
    return error;
}
