/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_radix.h - page number -> slot, for one memory object.
 *
 * A slot is EMPTY (0), a resident page (its struct vm_page), or a page
 * that the default pager keeps (a swap slot number with bit 0 set).  32
 * ways a level; the tree is as high as its largest key needs, and a tree
 * of one key, whatever it is, has no node at all.  All under the object's
 * lock.
 */
#ifndef VM_RADIX_H
#define VM_RADIX_H

#include "vm_page.h"

typedef uintptr_t vm_slot_t;
#define VM_SLOT_EMPTY   ((vm_slot_t)0)

static inline struct vm_page *
vm_slot_page(vm_slot_t s)
{
    return (s & 1) != 0 ? NULL : (struct vm_page *)s;
}

static inline bool
vm_slot_is_swap(vm_slot_t s)
{
    return (s & 1) != 0;
}

static inline vm_slot_t
vm_slot_swap(uint64_t swap)
{
    return (vm_slot_t)(swap << 1 | 1);
}

static inline uint64_t
vm_slot_swap_number(vm_slot_t s)
{
    return (uint64_t)s >> 1;
}

struct vm_radix_node;

struct vm_radix {
    void *root;         /* node, or the only slot (height 0) */
    uint64_t key;       /* height 0: key of the only slot */
    uint64_t count;     /* slots in use */
    unsigned height;    /* levels of nodes */
};

void vm_radix_bootstrap(void);
/* All-zero is an empty tree. */
vm_slot_t vm_radix_lookup(const struct vm_radix *r, uint64_t key);
/*
 * vm_radix_leaf - the slots of the VM_RADIX_RUN keys around key that differ
 * from it in their low bits alone; *used: a bit for each that is in use.
 * NULL: none is, or the tree has no node.  Until the tree is changed.
 */
#define VM_RADIX_RUN 32u
const vm_slot_t *vm_radix_leaf(const struct vm_radix *r, uint64_t key,
    uint32_t *used);
/* key must be empty.  VM_E_NOMEM leaves the tree as it was. */
int vm_radix_insert(struct vm_radix *r, uint64_t key, vm_slot_t slot)
    VM_MUST_CHECK;
/* The same for n keys, all EMPTY, and neighbours in the core map. */
int vm_radix_fill(struct vm_radix *r, uint64_t key, struct vm_page *head,
    unsigned n) VM_MUST_CHECK;
/*
 * The same for n keys, all EMPTY, in a leaf that is there: vm_radix_leaf()
 * answers for key.  Takes no memory.
 */
void vm_radix_put(struct vm_radix *r, uint64_t key,
    struct vm_page *const page[], unsigned n);
/* key must be in use; slot not EMPTY.  Returns the old slot. */
vm_slot_t vm_radix_replace(struct vm_radix *r, uint64_t key,
    vm_slot_t slot);
/* Returns the old slot, EMPTY if there was none; frees empty nodes. */
vm_slot_t vm_radix_remove(struct vm_radix *r, uint64_t key);
/* Take out up to n slots of keys from key to last, lowest first. */
unsigned vm_radix_take(struct vm_radix *r, uint64_t key, uint64_t last,
    unsigned n, vm_slot_t slots[]);
/* Smallest key >= *key in use: true, and *key and *slot are set. */
bool vm_radix_next(const struct vm_radix *r, uint64_t *key,
    vm_slot_t *slot);
/* Verify the structure; panics with what is wrong. */
void vm_radix_check(const struct vm_radix *r);
/* Nodes in use, of all trees; exact when nobody edits one. */
uint64_t vm_radix_nodes(void);

#endif
