/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_radix.c - page number -> slot.
 *
 *   height 0       height 1            height 2
 *   root = slot    root -> [32 slots]  root -> [32] -> [32 slots]
 *   key  = any     keys < 32           keys < 1024
 *
 * One shape for one set of keys, whatever its history:
 *   - no key: all zero; one key: height 0, no node;
 *   - else the height is the least that the largest key needs, so the
 *     root has a branch other than 0 if it is more than one level high;
 *   - no node is empty.
 * Thus a tree that goes back and forth between one key and two makes and
 * frees nodes each time; small objects are so common that this pays.
 *
 * A node that is not in use has all slots EMPTY: it came zeroed from its
 * zone, and is given back only when its last slot has been cleared.  The
 * zone keeps that so (but for .used, which shares its first word).
 *
 * Locks:  none; the caller has the object's.  The zone's, inside.
 * Memory: an insertion first gets all nodes that it will need, then
 *         changes the tree, so that it fails with nothing to undo.
 */
#include "vm_radix.h"
#include "vm_zone.h"

#define RADIX_BITS      5u
#define RADIX_WAYS      (1u << RADIX_BITS)
#define RADIX_MASK      (RADIX_WAYS - 1)
/* Page numbers have 52 bits; more than 12 levels would overrun a shift. */
#define RADIX_HEIGHT    12u
#define RADIX_KEY_BITS  (RADIX_BITS * RADIX_HEIGHT)

struct vm_radix_node {
    uint32_t used;              /* bit i: slot[i] is not EMPTY */
    uint32_t unused;
    vm_slot_t slot[RADIX_WAYS]; /* a slot, or above the leaves a node */
};

static struct vm_zone radix_zone;

void
vm_radix_bootstrap(void)
{
    vm_zone_init(&radix_zone, "radix node", sizeof(struct vm_radix_node));
}

static inline unsigned
way_of(uint64_t key, unsigned shift)
{
    return (unsigned)(key >> shift) & RADIX_MASK;
}

/* Bits of the ways above way. */
static inline uint32_t
ways_above(unsigned way)
{
    return ~((UINT32_C(2) << way) - 1);
}

static inline struct vm_radix_node *
child_of(const struct vm_radix_node *node, unsigned way)
{
    return (struct vm_radix_node *)node->slot[way];
}

static inline void
slot_put(struct vm_radix_node *node, unsigned way, vm_slot_t slot)
{
    node->slot[way] = slot;
    node->used |= UINT32_C(1) << way;
}

static inline void
slot_clear(struct vm_radix_node *node, unsigned way)
{
    node->slot[way] = VM_SLOT_EMPTY;
    node->used &= ~(UINT32_C(1) << way);
}

/* Levels of nodes that a tree with this key and another needs. */
static unsigned
height_for(uint64_t key)
{
    unsigned height = 1;

    while ((key >> (RADIX_BITS * height)) != 0) {
        height++;
    }
    return height;
}

vm_slot_t
vm_radix_lookup(const struct vm_radix *r, uint64_t key)
{
    const struct vm_radix_node *node;
    unsigned shift = r->height * RADIX_BITS;
    vm_slot_t slot = (vm_slot_t)r->root;

    if (shift == 0) {
        /* An empty tree has slot EMPTY, whatever its key. */
        return key == r->key ? slot : VM_SLOT_EMPTY;
    }
    if ((key >> shift) != 0) {
        return VM_SLOT_EMPTY;
    }
    do {
        node = (const struct vm_radix_node *)slot;
        shift -= RADIX_BITS;
        slot = node->slot[way_of(key, shift)];
    } while (shift != 0 && slot != VM_SLOT_EMPTY);
    return slot;
}

const vm_slot_t *
vm_radix_leaf(const struct vm_radix *r, uint64_t key, uint32_t *used)
{
    const struct vm_radix_node *node = r->root;
    unsigned shift = r->height * RADIX_BITS;

    if (shift == 0 || (key >> shift) != 0) {
        return NULL;
    }
    while ((shift -= RADIX_BITS) != 0) {
        node = child_of(node, way_of(key, shift));
        if (node == NULL) {
            return NULL;
        }
    }
    *used = node->used;
    return node->slot;
}

/*
 * Nodes got in advance, a list through slot[0]; each is cleared of that
 * when it is taken off, so that it is all EMPTY again.
 */
static struct vm_radix_node *
spare_pop(struct vm_radix_node **spare)
{
    struct vm_radix_node *node = *spare;

    KASSERT(node != NULL);
    *spare = child_of(node, 0);
    node->slot[0] = VM_SLOT_EMPTY;
    return node;
}

static int
spare_get(struct vm_radix_node **spare, unsigned n)
{
    struct vm_radix_node *node;

    *spare = NULL;
    while (n-- > 0) {
        node = vm_zone_alloc(&radix_zone);
        if (node == NULL) {
            while (*spare != NULL) {
                vm_zone_free(&radix_zone, spare_pop(spare));
            }
            return VM_E_NOMEM;
        }
        node->slot[0] = (vm_slot_t)*spare;
        *spare = node;
    }
    return 0;
}

/*
 * How many nodes an insertion of key adds to a tree that is not empty,
 * and the height after it.
 */
static unsigned
nodes_missing(const struct vm_radix *r, uint64_t key, unsigned *height)
{
    const struct vm_radix_node *node = r->root;
    unsigned shift, split = 0, need = height_for(key);

    if (r->height == 0) {
        /* Two keys: one path above the digit where they part, two below. */
        if (height_for(r->key) > need) {
            need = height_for(r->key);
        }
        while (((key ^ r->key) >> (RADIX_BITS * (split + 1))) != 0) {
            split++;
        }
        *height = need;
        return need + split;
    }
    if (need > r->height) {
        /* A path of way 0 down to the old root, and one to key. */
        *height = need;
        return need - r->height + need - 1;
    }
    *height = r->height;
    for (shift = RADIX_BITS * (r->height - 1); shift != 0;
        shift -= RADIX_BITS) {
        node = child_of(node, way_of(key, shift));
        if (node == NULL) {
            return shift / RADIX_BITS;
        }
    }
    return 0;
}

/* Put a slot into a tree that is high enough; nodes come from spare. */
static void
path_put(struct vm_radix *r, uint64_t key, vm_slot_t slot,
    struct vm_radix_node **spare)
{
    struct vm_radix_node *node = r->root, *child;
    unsigned shift;

    for (shift = RADIX_BITS * (r->height - 1); shift != 0;
        shift -= RADIX_BITS) {
        child = child_of(node, way_of(key, shift));
        if (child == NULL) {
            child = spare_pop(spare);
            slot_put(node, way_of(key, shift), (vm_slot_t)child);
        }
        node = child;
    }
    KASSERT(node->slot[way_of(key, 0)] == VM_SLOT_EMPTY);
    slot_put(node, way_of(key, 0), slot);
}

/* The insertion that needs no node: the leaf's is there.  Else false. */
static inline bool
insert_in_place(struct vm_radix *r, uint64_t key, vm_slot_t slot)
{
    struct vm_radix_node *node = r->root;
    unsigned shift = r->height * RADIX_BITS;

    if (shift == 0 || (key >> shift) != 0) {
        return false;
    }
    while ((shift -= RADIX_BITS) != 0) {
        node = child_of(node, way_of(key, shift));
        if (node == NULL) {
            return false;
        }
    }
    KASSERT(node->slot[way_of(key, 0)] == VM_SLOT_EMPTY);
    slot_put(node, way_of(key, 0), slot);
    r->count++;
    return true;
}

int
vm_radix_insert(struct vm_radix *r, uint64_t key, vm_slot_t slot)
{
    struct vm_radix_node *spare, *node;
    unsigned height;
    int error;

    KASSERT((key >> RADIX_KEY_BITS) == 0);
    KASSERT(slot != VM_SLOT_EMPTY);
    if (insert_in_place(r, key, slot)) {
        return 0;
    }
    if (r->count == 0) {
        r->root = (void *)slot;
        r->key = key;
        r->count = 1;
        return 0;
    }
    KASSERT(r->height != 0 || r->key != key);
    error = spare_get(&spare, nodes_missing(r, key, &height));
    if (error != 0) {
        return error;
    }
    if (r->height == 0) {
        vm_slot_t first = (vm_slot_t)r->root;

        r->root = spare_pop(&spare);
        r->height = height;
        path_put(r, r->key, first, &spare);
        r->key = 0;
    }
    for (; r->height < height; r->height++) {
        node = spare_pop(&spare);
        slot_put(node, 0, (vm_slot_t)r->root);
        r->root = node;
    }
    path_put(r, key, slot, &spare);
    r->count++;
    KASSERT(spare == NULL);
    return 0;
}

/* The leaf of key, which has it; NULL: the tree has no node. */
static struct vm_radix_node *
leaf_of(const struct vm_radix *r, uint64_t key)
{
    struct vm_radix_node *node = r->root;

    if (r->height == 0) {
        return NULL;
    }
    for (unsigned shift = RADIX_BITS * (r->height - 1); shift != 0;
        shift -= RADIX_BITS) {
        node = child_of(node, way_of(key, shift));
    }
    return node;
}

/* Up to n slots from way on, not the first of all; returns how many. */
static unsigned
leaf_fill(struct vm_radix_node *leaf, unsigned way, struct vm_page *p,
    unsigned n)
{
    unsigned end = n < RADIX_WAYS - way ? way + n : RADIX_WAYS;
    for (unsigned i = way; i < end; i++, p++) {
        KASSERT(leaf->slot[i] == VM_SLOT_EMPTY);
        leaf->slot[i] = (vm_slot_t)p;
    }
    /* From way to end - 1. */
    leaf->used |= ways_above(way - 1) & ~ways_above(end - 1);
    return end - way;
}

int
vm_radix_fill(struct vm_radix *r, uint64_t key, struct vm_page *head,
    unsigned n)
{
    uint64_t before = r->count;
    unsigned i = 0;

    while (i < n) {
        struct vm_radix_node *leaf;
        int error = vm_radix_insert(r, key + i, (vm_slot_t)(head + i));

        if (error != 0) {
            while (i > 0) {
                (void)vm_radix_remove(r, key + --i);
            }
            return error;
        }
        leaf = leaf_of(r, key + i);
        i++;
        if (leaf != NULL && way_of(key + i, 0) != 0) {
            /* The rest of that leaf needs no descent. */
            i += leaf_fill(leaf, way_of(key + i, 0), head + i, n - i);
            r->count = before + i;
        }
    }
    return 0;
}

void
vm_radix_put(struct vm_radix *r, uint64_t key, struct vm_page *const page[],
    unsigned n)
{
    struct vm_radix_node *leaf = leaf_of(r, key);
    unsigned way = way_of(key, 0);

    KASSERT(leaf != NULL && way + n <= RADIX_WAYS);
    for (unsigned i = 0; i < n; i++) {
        KASSERT(leaf->slot[way + i] == VM_SLOT_EMPTY);
        slot_put(leaf, way + i, (vm_slot_t)page[i]);
    }
    r->count += n;
}

vm_slot_t
vm_radix_replace(struct vm_radix *r, uint64_t key, vm_slot_t slot)
{
    struct vm_radix_node *node = r->root;
    unsigned shift;
    vm_slot_t old;

    KASSERT(slot != VM_SLOT_EMPTY);
    KASSERT(vm_radix_lookup(r, key) != VM_SLOT_EMPTY);
    if (r->height == 0) {
        r->root = (void *)slot;
        return (vm_slot_t)node;
    }
    for (shift = RADIX_BITS * (r->height - 1); shift != 0;
        shift -= RADIX_BITS) {
        node = child_of(node, way_of(key, shift));
    }
    old = node->slot[way_of(key, 0)];
    node->slot[way_of(key, 0)] = slot;
    return old;
}

/* One key is left below the root: keep it in the tree's head. */
static void
collapse(struct vm_radix *r)
{
    struct vm_radix_node *node;
    vm_slot_t slot = (vm_slot_t)r->root;
    uint64_t key = 0;
    unsigned way;

    for (; r->height != 0; r->height--) {
        node = (struct vm_radix_node *)slot;
        KASSERT(node->used != 0 && (node->used & (node->used - 1)) == 0);
        way = (unsigned)__builtin_ctz(node->used);
        key = key << RADIX_BITS | way;
        slot = node->slot[way];
        slot_clear(node, way);
        vm_zone_free(&radix_zone, node);
    }
    r->root = (void *)slot;
    r->key = key;
}

/* Levels whose only branch is 0 go. */
static void
shrink(struct vm_radix *r)
{
    struct vm_radix_node *node = r->root;

    while (r->height > 1 && node->used == 1) {
        r->root = child_of(node, 0);
        r->height--;
        slot_clear(node, 0);
        vm_zone_free(&radix_zone, node);
        node = r->root;
    }
}

/* A leaf has lost slots: nodes that are empty now go; not the root. */
static void
prune(struct vm_radix *r, struct vm_radix_node *path[], uint64_t key)
{
    unsigned level = 0;

    while (path[level]->used == 0 && level + 1 < r->height) {
        vm_zone_free(&radix_zone, path[level]);
        level++;
        slot_clear(path[level], way_of(key, RADIX_BITS * level));
    }
}

/* The least tree for the keys that are left. */
static void
settle(struct vm_radix *r)
{
    if (r->count == 0) {
        vm_zone_free(&radix_zone, r->root);
        *r = (struct vm_radix){ 0 };
    } else if (r->count == 1) {
        collapse(r);
    } else {
        shrink(r);
    }
}

/* Nodes from the leaf of key, which is there, to the root. */
static void
path_find(const struct vm_radix *r, uint64_t key,
    struct vm_radix_node *path[])
{
    struct vm_radix_node *node = r->root;

    for (unsigned level = r->height - 1; level != 0; level--) {
        path[level] = node;
        node = child_of(node, way_of(key, RADIX_BITS * level));
    }
    path[0] = node;
}

vm_slot_t
vm_radix_remove(struct vm_radix *r, uint64_t key)
{
    struct vm_radix_node *path[RADIX_HEIGHT];
    vm_slot_t old = vm_radix_lookup(r, key);

    if (old == VM_SLOT_EMPTY) {
        return VM_SLOT_EMPTY;
    }
    if (r->height == 0) {
        *r = (struct vm_radix){ 0 };
        return old;
    }
    path_find(r, key, path);
    slot_clear(path[0], way_of(key, 0));
    r->count--;
    prune(r, path, key);
    settle(r);
    return old;
}

/* The slots of one leaf, up to n, from key to last. */
static unsigned
take_leaf(struct vm_radix_node *leaf, uint64_t key, uint64_t last,
    unsigned n, vm_slot_t slots[])
{
    uint32_t want = leaf->used & ~((UINT32_C(1) << way_of(key, 0)) - 1);
    unsigned got = 0;

    if ((key | RADIX_MASK) > last) {
        want &= ~ways_above(way_of(last, 0));
    }
    for (; want != 0 && got < n; want &= want - 1) {
        unsigned way = (unsigned)__builtin_ctz(want);

        slots[got++] = leaf->slot[way];
        slot_clear(leaf, way);
    }
    return got;
}

unsigned
vm_radix_take(struct vm_radix *r, uint64_t key, uint64_t last, unsigned n,
    vm_slot_t slots[])
{
    struct vm_radix_node *path[RADIX_HEIGHT];
    unsigned got = 0;
    vm_slot_t slot;

    while (got < n && r->count != 0 && vm_radix_next(r, &key, &slot) &&
        key <= last) {
        unsigned more;

        if (r->height == 0) {
            *r = (struct vm_radix){ 0 };
            slots[got++] = slot;
            break;
        }
        path_find(r, key, path);
        more = take_leaf(path[0], key, last, n - got, slots + got);
        got += more;
        r->count -= more;
        prune(r, path, key);
    }
    if (got != 0 && r->height != 0) {
        settle(r);
    }
    return got;
}

/*
 * vm_radix_next - one way down along *key; where that ends, the last fork
 * passed with a higher way leads to the answer, leftmost from there on.
 */
bool
vm_radix_next(const struct vm_radix *r, uint64_t *key, vm_slot_t *slot)
{
    const struct vm_radix_node *node = r->root, *fork = NULL;
    unsigned shift = r->height * RADIX_BITS, fork_shift = 0, way;
    uint64_t k = *key;

    if (shift == 0) {
        if (r->count == 0 || k > r->key) {
            return false;
        }
        *key = r->key;
        *slot = (vm_slot_t)r->root;
        return true;
    }
    if ((k >> shift) != 0) {
        return false;
    }
    for (;;) {
        shift -= RADIX_BITS;
        way = way_of(k, shift);
        if ((node->used & ways_above(way)) != 0) {
            fork = node;
            fork_shift = shift;
        }
        if ((node->used >> way & 1) == 0) {
            break;
        }
        if (shift == 0) {
            *slot = node->slot[way];
            return true;
        }
        node = child_of(node, way);
    }
    if (fork == NULL) {
        return false;
    }
    node = fork;
    shift = fork_shift;
    way = (unsigned)__builtin_ctz(node->used &
        ways_above(way_of(k, shift)));
    k = k >> (shift + RADIX_BITS) << RADIX_BITS | way;
    while (shift != 0) {
        node = child_of(node, way);
        shift -= RADIX_BITS;
        way = (unsigned)__builtin_ctz(node->used);
        k = k << RADIX_BITS | way;
    }
    *key = k;
    *slot = node->slot[way];
    return true;
}

/* Keys below one node, level 0 being a leaf; no deeper than the tree. */
static uint64_t
check_node(const struct vm_radix_node *node, unsigned level)
{
    uint64_t n = 0;
    unsigned way;

    if (node->used == 0) {
        kern_panic("radix: empty node %p", (const void *)node);
    }
    for (way = 0; way < RADIX_WAYS; way++) {
        bool used = (node->used >> way & 1) != 0;

        if (used != (node->slot[way] != VM_SLOT_EMPTY)) {
            kern_panic("radix: node %p, way %u: slot %#llx, bit %d",
                (const void *)node, way,
                (unsigned long long)node->slot[way], used);
        }
        if (used) {
            n += level == 0 ? 1 : check_node(child_of(node, way), level - 1);
        }
    }
    return n;
}

void
vm_radix_check(const struct vm_radix *r)
{
    const struct vm_radix_node *root = r->root;
    uint64_t n;

    if (r->height == 0) {
        if (r->count > 1 || (r->count == 1) != (root != NULL)) {
            kern_panic("radix: %llu keys without a node",
                (unsigned long long)r->count);
        }
        return;
    }
    if (r->height > RADIX_HEIGHT || r->count < 2 || r->key != 0) {
        kern_panic("radix: height %u with %llu keys", r->height,
            (unsigned long long)r->count);
    }
    if (r->height > 1 && root->used == 1) {
        kern_panic("radix: height %u is too high", r->height);
    }
    n = check_node(root, r->height - 1);
    if (n != r->count) {
        kern_panic("radix: %llu keys, %llu counted", (unsigned long long)n,
            (unsigned long long)r->count);
    }
}

uint64_t
vm_radix_nodes(void)
{
    return vm_zone_live(&radix_zone);
}
