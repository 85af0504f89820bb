/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_map_tree.c - the balanced tree of a map's entries.
 *
 * An AVL tree by address, with parent links, threaded in order by prev and
 * next.  Each entry owns the hole before it (from the previous entry's end,
 * or the map's start); the hole after the last belongs to the map.  gap is
 * the largest hole of a subtree, which makes the search for free space
 * O(log n), like everything else here.
 *
 *              [ e ]  gap = max(hole(e), gap of both sides)
 *             /     \                        height of the sides
 *          [...]   [...]                     differs by at most 1
 *
 * Readers walk without a lock while the tree is rotated.  They may miss an
 * entry, meet one that has left, even go round; they read only start, end,
 * left and right, stop after VM_MAP_WALK steps, and believe nothing until
 * the sequence says that nobody was here.
 */
#include "vm_map_impl.h"

static vaddr_t
entry_hole(struct vm_map *map, struct vm_map_entry *e)
{
    vaddr_t from = e->prev != NULL ? vm_get(&e->prev->end) :
        vm_get(&map->start);

    return vm_get(&e->start) - from;
}

static unsigned
tree_height(struct vm_map_entry *e)
{
    return e != NULL ? e->height : 0;
}

static vaddr_t
tree_gap(struct vm_map_entry *e)
{
    return e != NULL ? e->gap : 0;
}

/* The largest hole of the subtree of e with these sides. */
static inline vaddr_t
tree_largest(struct vm_map *map, struct vm_map_entry *e,
    struct vm_map_entry *l, struct vm_map_entry *r)
{
    vaddr_t gap = entry_hole(map, e);

    gap = tree_gap(l) > gap ? tree_gap(l) : gap;
    return tree_gap(r) > gap ? tree_gap(r) : gap;
}

/* Height and gap of e from its children's. */
static void
tree_update(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_map_entry *l = vm_get(&e->left), *r = vm_get(&e->right);
    unsigned hl = tree_height(l), hr = tree_height(r);

    e->gap = tree_largest(map, e, l, r);
    e->height = (uint8_t)(1 + (hl > hr ? hl : hr));
}

/* parent (NULL: the map's root) has new where it had old. */
static void
tree_replace(struct vm_map *map, struct vm_map_entry *parent,
    struct vm_map_entry *old, struct vm_map_entry *new)
{
    if (parent == NULL) {
        link_set(&map->root, new);
    } else if (vm_get(&parent->left) == old) {
        link_set(&parent->left, new);
    } else {
        link_set(&parent->right, new);
    }
    if (new != NULL) {
        new->parent = parent;
    }
}

/* x's right child takes its place; returns that child. */
static struct vm_map_entry *
tree_rotate_left(struct vm_map *map, struct vm_map_entry *x)
{
    struct vm_map_entry *y = vm_get(&x->right), *mid = vm_get(&y->left);

    link_set(&x->right, mid);
    if (mid != NULL) {
        mid->parent = x;
    }
    tree_replace(map, x->parent, x, y);
    link_set(&y->left, x);
    x->parent = y;
    vm_point();
    tree_update(map, x);
    tree_update(map, y);
    return y;
}

static struct vm_map_entry *
tree_rotate_right(struct vm_map *map, struct vm_map_entry *x)
{
    struct vm_map_entry *y = vm_get(&x->left), *mid = vm_get(&y->right);

    link_set(&x->left, mid);
    if (mid != NULL) {
        mid->parent = x;
    }
    tree_replace(map, x->parent, x, y);
    link_set(&y->right, x);
    x->parent = y;
    vm_point();
    tree_update(map, x);
    tree_update(map, y);
    return y;
}

/* One side of e is too high; returns what stands in its place now. */
static struct vm_map_entry *
tree_rotate(struct vm_map *map, struct vm_map_entry *e, bool left)
{
    struct vm_map_entry *l = vm_get(&e->left), *r = vm_get(&e->right);

    if (left) {
        if (tree_height(vm_get(&l->left)) < tree_height(vm_get(&l->right))) {
            tree_rotate_left(map, l);
        }
        return tree_rotate_right(map, e);
    }
    if (tree_height(vm_get(&r->right)) < tree_height(vm_get(&r->left))) {
        tree_rotate_right(map, r);
    }
    return tree_rotate_left(map, e);
}

/*
 * e's hole or sides have changed: from e up to where nothing does.  What
 * stands in e's place afterwards is as high and has as large a gap as e had,
 * then all above it is right, too.  Where two holes have changed, far from
 * each other, this is done for both: a value made of one that is not right
 * yet is made again when that one changes.
 */
static void
tree_retrace(struct vm_map *map, struct vm_map_entry *e)
{
    while (e != NULL) {
        struct vm_map_entry *l = vm_get(&e->left), *r = vm_get(&e->right);
        unsigned hl = tree_height(l), hr = tree_height(r);
        unsigned height = 1 + (hl > hr ? hl : hr), was = e->height;
        vaddr_t gap = tree_largest(map, e, l, r), had = e->gap;

        if (hl > hr + 1 || hr > hl + 1) {
            e = tree_rotate(map, e, hl > hr);
            height = e->height;
            gap = e->gap;
        } else {
            e->height = (uint8_t)height;
            e->gap = gap;
        }
        if (height == was && gap == had) {
            return;
        }
        e = e->parent;
    }
}

/* e's hole has changed, no height: as tree_retrace(). */
static void
tree_regap(struct vm_map *map, struct vm_map_entry *e)
{
    for (; e != NULL; e = e->parent) {
        vaddr_t gap = tree_largest(map, e, vm_get(&e->left),
            vm_get(&e->right));

        if (e->gap == gap) {
            return;
        }
        e->gap = gap;
    }
}

/*
 * Of two entries that follow each other, the upper one has no left side or
 * the lower one no right side: that is where e belongs.
 */
void
vm_map_tree_insert_before(struct vm_map *map, struct vm_map_entry *e,
    struct vm_map_entry *next)
{
    struct vm_map_entry *prev = next == NULL ? map->last : next->prev;
    struct vm_map_entry *parent = prev;

    e->prev = prev;
    e->next = next;
    *(prev == NULL ? &map->first : &prev->next) = e;
    *(next == NULL ? &map->last : &next->prev) = e;
    KASSERT(prev == NULL || vm_get(&prev->end) <= vm_get(&e->start));
    KASSERT(next == NULL || vm_get(&next->start) >= vm_get(&e->end));

    vm_set(&e->map, map);
    if (next != NULL && vm_get(&next->left) == NULL) {
        parent = next;
        link_set(&parent->left, e);
    } else if (prev != NULL) {
        link_set(&parent->right, e);
    } else {
        link_set(&map->root, e);
    }
    e->parent = parent;
    tree_update(map, e);
    tree_retrace(map, parent);
    /* The successor's hole shrank, too. */
    if (next != parent) {
        tree_regap(map, next);
    }
    map->entries++;
    map->size += vm_get(&e->end) - vm_get(&e->start);
}

void
vm_map_tree_insert(struct vm_map *map, struct vm_map_entry *e)
{
    vm_map_tree_insert_before(map, e,
        vm_map_tree_find(map, vm_get(&e->start)));
}

void
vm_map_tree_append(struct vm_map *map, struct vm_map_entry *e)
{
    KASSERT(map->last == NULL ||
        vm_get(&map->last->end) <= vm_get(&e->start));
    e->prev = map->last;
    e->next = NULL;
    *(e->prev == NULL ? &map->first : &e->prev->next) = e;
    map->last = e;
    vm_set(&e->map, map);
    map->entries++;
    map->size += vm_get(&e->end) - vm_get(&e->start);
}

/* A balanced tree of the next n entries from *next on. */
static struct vm_map_entry *
tree_build(struct vm_map *map, struct vm_map_entry **next, uint64_t n)
{
    struct vm_map_entry *left = NULL, *right = NULL, *e;

    if (n > 1) {
        left = tree_build(map, next, n / 2);
    }
    e = *next;
    *next = e->next;
    if (n > 2) {
        right = tree_build(map, next, n - n / 2 - 1);
    }
    link_set(&e->left, left);
    link_set(&e->right, right);
    if (left != NULL) {
        left->parent = e;
    }
    if (right != NULL) {
        right->parent = e;
    }
    tree_update(map, e);
    return e;
}

void
vm_map_tree_build(struct vm_map *map)
{
    struct vm_map_entry *next = map->first;

    /* The recursion is as deep as the tree is high. */
    if (next != NULL) {
        link_set(&map->root, tree_build(map, &next, map->entries));
    }
}

/*
 * e has two children: its successor takes its place, and until it is looked
 * at, e's values.  Returns where the tree has changed below.
 */
static struct vm_map_entry *
tree_remove_inner(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_map_entry *s = e->next, *from = s;
    struct vm_map_entry *l = vm_get(&e->left), *r = vm_get(&e->right);

    KASSERT(vm_get(&s->left) == NULL);
    if (s->parent != e) {
        from = s->parent;
        tree_replace(map, from, s, vm_get(&s->right));
        link_set(&s->right, r);
        r->parent = s;
    }
    link_set(&s->left, l);
    l->parent = s;
    s->height = e->height;
    s->gap = e->gap;
    tree_replace(map, e->parent, e, s);
    return from;
}

/* The hole behind e (NULL: the first one) may have grown. */
static void
full_until(struct vm_map *map, struct vm_map_entry *e)
{
    vaddr_t hole = e != NULL ? vm_get(&e->end) : 0;

    if (hole < map->full.to) {
        map->full.to = hole;
    }
}

void
vm_map_tree_remove(struct vm_map *map, struct vm_map_entry *e)
{
    struct vm_map_entry *l = vm_get(&e->left), *r = vm_get(&e->right);
    struct vm_map_entry *from;

    KASSERT(vm_get(&e->map) == map);
    if (l != NULL && r != NULL) {
        from = tree_remove_inner(map, e);
    } else {
        from = e->parent;
        tree_replace(map, from, e, l != NULL ? l : r);
    }
    *(e->prev == NULL ? &map->first : &e->prev->next) = e->next;
    *(e->next == NULL ? &map->last : &e->next->prev) = e->prev;
    tree_retrace(map, from);
    /* The successor's hole grew. */
    if (e->next != from) {
        tree_regap(map, e->next);
    }
    full_until(map, e->prev);

    vm_set(&e->map, NULL);
    if (vm_get(&map->hint) == e) {
        link_set(&map->hint, NULL);
    }
    map->entries--;
    map->size -= vm_get(&e->end) - vm_get(&e->start);
}

void
vm_map_tree_moved(struct vm_map *map, struct vm_map_entry *e)
{
    tree_regap(map, e);
    tree_regap(map, e->next);
    full_until(map, e->prev);
}

struct vm_map_entry *
vm_map_tree_find(struct vm_map *map, vaddr_t va)
{
    struct vm_map_entry *e = vm_get(&map->root), *best = NULL;

    while (e != NULL) {
        if (va < vm_get(&e->end)) {
            best = e;
            e = vm_get(&e->left);
        } else {
            e = vm_get(&e->right);
        }
    }
    return best;
}

struct vm_map_entry *
vm_map_tree_walk(struct vm_map *map, vaddr_t va)
{
    struct vm_map_entry *e = link_get(&map->root);
    unsigned left = VM_MAP_WALK;

    while (e != NULL && left-- > 0) {
        vm_point();
        if (va < vm_get(&e->start)) {
            e = link_get(&e->left);
        } else if (va >= vm_get(&e->end)) {
            e = link_get(&e->right);
        } else {
            return e;
        }
    }
    return NULL;
}

/* First entry in order in e's subtree whose hole is at least need. */
static struct vm_map_entry *
space_first(struct vm_map *map, struct vm_map_entry *e, vsize_t need)
{
    if (tree_gap(e) < need) {
        return NULL;
    }
    for (;;) {
        struct vm_map_entry *l = vm_get(&e->left);

        if (tree_gap(l) >= need) {
            e = l;
        } else if (entry_hole(map, e) >= need) {
            return e;
        } else {
            e = vm_get(&e->right);
        }
    }
}

/* First entry after e whose hole is at least need. */
static struct vm_map_entry *
space_next(struct vm_map *map, struct vm_map_entry *e, vsize_t need)
{
    struct vm_map_entry *found = space_first(map, vm_get(&e->right), need);

    while (found == NULL && e->parent != NULL) {
        struct vm_map_entry *up = e->parent;

        if (vm_get(&up->left) == e) {
            if (entry_hole(map, up) >= need) {
                return up;
            }
            found = space_first(map, vm_get(&up->right), need);
        }
        e = up;
    }
    return found;
}

/*
 * Lowest place at or above from; looks at no more than tries holes, but
 * those of need bytes are the only ones it looks at.
 */
static bool
space_search(struct vm_map *map, vaddr_t from, vsize_t size, vsize_t align,
    vsize_t need, uint64_t tries, vaddr_t *addr, struct vm_map_entry **next)
{
    struct vm_map_entry *e = vm_map_tree_find(map, from);
    vaddr_t low = from;

    if (e != NULL && vm_get(&e->start) <= from) {
        low = vm_get(&e->end);
        e = e->next;
    }
    for (; tries > 0; tries--) {
        vaddr_t high = vm_get(e != NULL ? &e->start : &map->end);
        vaddr_t at = (low + align - 1) & ~(align - 1);

        if (at >= low && at <= high && high - at >= size) {
            *addr = at;
            *next = e;
            return true;
        }
        if (e == NULL) {
            return false;
        }
        e = space_next(map, e, need);
        low = vm_get(&(e != NULL ? e->prev : map->last)->end);
    }
    return false;
}

/*
 * With a large alignment a hole that is big enough need not fit.  So try a
 * few, then one that is certain to fit, and only when there is none all.
 */
static bool
space_aligned(struct vm_map *map, vaddr_t from, vsize_t size,
    vsize_t align, vaddr_t *addr, struct vm_map_entry **next)
{
    vsize_t roomy = size + align - VM_PAGE_SIZE;

    if (space_search(map, from, size, align, size, 32, addr, next)) {
        return true;
    }
    if (align == VM_PAGE_SIZE) {
        /* The first hole that is looked at twice fits. */
        return false;
    }
    if (roomy >= size &&
        space_search(map, from, size, align, roomy, UINT64_MAX, addr, next)) {
        return true;
    }
    return space_search(map, from, size, align, size, UINT64_MAX, addr, next);
}

static __attribute__((noinline)) int
space_find(struct vm_map *map, vaddr_t from, vsize_t size, vsize_t align,
    vaddr_t *addr, struct vm_map_entry **next)
{
    vaddr_t start = vm_get(&map->start), end = vm_get(&map->end);

    if (size > end - start) {
        return VM_E_NOSPACE;
    }
    if (from > start && from < end &&
        space_aligned(map, from, size, align, addr, next)) {
        /* Pages fit wherever there is room, and below there is none. */
        if (align == VM_PAGE_SIZE) {
            map->full = (struct vm_map_full){ from, *addr, size };
        }
        return VM_OK;
    }
    return space_aligned(map, start, size, align, addr, next) ?
        VM_OK : VM_E_NOSPACE;
}

int
vm_map_tree_hole(struct vm_map *map, vaddr_t from, vsize_t size,
    vsize_t align, vaddr_t *addr, struct vm_map_entry **next)
{
    struct vm_map_full *full = &map->full;

    vaddr_t at = full->to > from ? full->to : from;

    /* What was full for no larger a size still is. */
    if (from == full->from && from > vm_get(&map->start) &&
        size >= full->size && align == VM_PAGE_SIZE &&
        space_search(map, at, size, align, size, 32, addr, next)) {
        full->to = *addr;
        full->size = size;
        return VM_OK;
    }
    return space_find(map, from, size, align, addr, next);
}

int
vm_map_tree_space(struct vm_map *map, vaddr_t from, vsize_t size,
    vsize_t align, vaddr_t *addr)
{
    struct vm_map_entry *next;

    return vm_map_tree_hole(map, from, size, align, addr, &next);
}

static unsigned
tree_check(struct vm_map *map, struct vm_map_entry *e,
    struct vm_map_entry *parent, uint64_t *count)
{
    struct vm_map_entry *l, *r;
    unsigned hl, hr;
    vaddr_t gap;

    if (e == NULL) {
        return 0;
    }
    KASSERT(e->parent == parent && vm_get(&e->map) == map);
    l = vm_get(&e->left);
    r = vm_get(&e->right);
    hl = tree_check(map, l, e, count);
    hr = tree_check(map, r, e, count);
    KASSERT(hl <= hr + 1 && hr <= hl + 1);
    KASSERT(e->height == 1 + (hl > hr ? hl : hr));
    KASSERT(l == NULL || vm_get(&l->end) <= vm_get(&e->start));
    KASSERT(r == NULL || vm_get(&r->start) >= vm_get(&e->end));
    gap = entry_hole(map, e);
    gap = tree_gap(l) > gap ? tree_gap(l) : gap;
    gap = tree_gap(r) > gap ? tree_gap(r) : gap;
    KASSERT(e->gap == gap);
    (void)gap;
    (*count)++;
    return 1 + (hl > hr ? hl : hr);
}

void
vm_map_tree_check(struct vm_map *map)
{
    struct vm_map_entry *e = map->first;
    uint64_t count = 0;

    tree_check(map, vm_get(&map->root), NULL, &count);
    KASSERT(count == map->entries);
    KASSERT((e == NULL) == (vm_get(&map->root) == NULL));
    for (count = 0; e != NULL; e = e->next, count++) {
        /* The threads agree with the tree: successor by descent. */
        KASSERT(vm_map_tree_find(map, vm_get(&e->start)) == e);
        KASSERT((e->next == NULL ? map->last : e->next->prev) == e);
        KASSERT((e->prev == NULL ? map->first : e->prev->next) == e);
    }
    KASSERT(count == map->entries);
}
