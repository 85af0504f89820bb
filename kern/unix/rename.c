/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rename.c - rename(2).
 *
 * Two places are needed at once, but a walk holds the tree's lock until its
 * place is given up.  So the parent of the new name is found first and kept
 * by a reference, then the old name is found; under that one lock the new
 * name is looked up again in its parent, and all is decided and done.
 */
#include "file_impl.h"

#define RENAME_NOREPLACE        1u
#define RENAME_EXCHANGE         2u

struct rename_target {
    struct node *dir;           /* referenced */
    char name[FILE_NAME_MAX + 1];
    size_t len;
    bool slash;
};

static int64_t
rename_find_target(struct node *at, const char *path,
    struct rename_target *t)
{
    struct place p;
    int64_t error = place_find(at, path, false, &p);

    if (error != 0) {
        return error;
    }
    if (p.last != PLACE_NAME) {
        error = -UNIX_EBUSY;
    } else if (p.len > FILE_NAME_MAX) {
        error = -UNIX_ENAMETOOLONG;
    } else {
        t->dir = p.dir;
        node_ref(t->dir);
        memcpy(t->name, p.name, p.len);
        t->len = p.len;
        t->slash = p.slash;
    }
    place_end(&p);
    return error;
}

/* Is dir n, or below it?  Tree locked. */
static bool
rename_is_inside(struct node *dir, struct node *n)
{
    while (dir != NULL && dir != node_root()) {
        if (dir == n) {
            return true;
        }
        dir = dir->parent;
    }
    return dir == n;
}

/* May what is at d, if anything, be replaced by n? */
static int64_t
rename_check(const struct place *from, const struct rename_target *t,
    struct dirent *d, unsigned flags)
{
    struct node *n = from->node;
    bool dir = node_is(n, UNIX_S_IFDIR);

    if (from->dir->ops->lookup != NULL || t->dir->ops->lookup != NULL ||
        n->ops->lookup != NULL) {
        return -UNIX_EPERM;
    }
    if (t->dir->nlink == 0) {
        return -UNIX_ENOENT;
    }
    if (!dir && t->slash) {
        return -UNIX_ENOTDIR;
    }
    if (dir && rename_is_inside(t->dir, n)) {
        return -UNIX_EINVAL;
    }
    if (d == NULL) {
        return (flags & RENAME_EXCHANGE) != 0 ? -UNIX_ENOENT : 0;
    }
    if ((flags & RENAME_NOREPLACE) != 0) {
        return -UNIX_EEXIST;
    }
    if (d->node == n || (flags & RENAME_EXCHANGE) != 0) {
        return 0;
    }
    if (dir != node_is(d->node, UNIX_S_IFDIR)) {
        return dir ? -UNIX_ENOTDIR : -UNIX_EISDIR;
    }
    if (d->node->ops->lookup != NULL) {
        return -UNIX_EBUSY;
    }
    return d->node->entries != NULL ? -UNIX_ENOTEMPTY : 0;
}

/* Two names change what they name. */
static int64_t
rename_exchange(struct dirent *a, struct dirent *b)
{
    struct node *na = a->node, *nb = b->node;

    if ((node_is(nb, UNIX_S_IFDIR) && rename_is_inside(a->dir, nb)) ||
        nb->ops->lookup != NULL) {
        return -UNIX_EINVAL;
    }
    a->node = nb;
    b->node = na;
    na->name = b;
    nb->name = a;
    if (node_is(na, UNIX_S_IFDIR)) {
        na->parent = b->dir;
        a->dir->nlink--;
        b->dir->nlink++;
    }
    if (node_is(nb, UNIX_S_IFDIR)) {
        nb->parent = a->dir;
        b->dir->nlink--;
        a->dir->nlink++;
    }
    return 0;
}

/*
 * The new name comes before the old one goes, so that a lack of memory
 * leaves all as it was.  Returns what lost a name in *gone.
 */
static int64_t
rename_move(struct dirent *old, const struct rename_target *t,
    struct dirent *new, struct node **gone)
{
    struct node *n = old->node;
    int64_t error;

    if (new != NULL && new->node == n) {
        return 0;               /* two names of one file stay */
    }
    error = node_enter(t->dir, t->name, t->len, n);
    if (error != 0) {
        return error;
    }
    if (new != NULL) {
        *gone = node_remove(new);
    }
    node_remove(old);
    /* node_remove() took the directory out; it is in the new one. */
    if (node_is(n, UNIX_S_IFDIR)) {
        n->parent = t->dir;
    }
    if (n->name == NULL) {
        n->name = node_entry(t->dir, t->name, t->len);
    }
    node_unref(n);
    n->ctime = file_now();
    return 0;
}

static int64_t
rename_locked(const struct place *from, const struct rename_target *t,
    unsigned flags, struct node **gone)
{
    struct dirent *old, *new = node_entry(t->dir, t->name, t->len);
    int64_t error;

    if (from->last != PLACE_NAME) {
        return -UNIX_EBUSY;
    }
    if (from->node == NULL) {
        return -UNIX_ENOENT;
    }
    error = rename_check(from, t, new, flags);
    if (error != 0) {
        return error;
    }
    old = node_entry(from->dir, from->name, from->len);
    return (flags & RENAME_EXCHANGE) != 0 ? rename_exchange(old, new) :
        rename_move(old, t, new, gone);
}

static int64_t
rename_at(uint64_t from_fd, uint64_t ufrom, uint64_t to_fd, uint64_t uto,
    unsigned flags)
{
    char path[UNIX_PATH_MAX];
    struct rename_target t;
    struct node *at, *gone = NULL;
    struct place from;
    int64_t error;

    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE)) {
        return -UNIX_EINVAL;
    }
    error = file_at_path(to_fd, uto, path, &at);
    if (error != 0) {
        return error;
    }
    error = rename_find_target(at, path, &t);
    if (at != NULL) {
        node_unref(at);
    }
    if (error != 0) {
        return error;
    }
    error = file_at_path(from_fd, ufrom, path, &at);
    if (error == 0) {
        error = place_find(at, path, false, &from);
        if (error == 0) {
            error = rename_locked(&from, &t, flags, &gone);
            place_end(&from);
        }
        if (at != NULL) {
            node_unref(at);
        }
    }
    node_unref(t.dir);
    if (gone != NULL) {
        node_unref(gone);
    }
    return error;
}

int64_t
sys_rename(const uint64_t *a)
{
    return rename_at((uint64_t)UNIX_AT_FDCWD, a[0],
        (uint64_t)UNIX_AT_FDCWD, a[1], 0);
}

int64_t
sys_renameat(const uint64_t *a)
{
    return rename_at(a[0], a[1], a[2], a[3], 0);
}

int64_t
sys_renameat2(const uint64_t *a)
{
    return rename_at(a[0], a[1], a[2], a[3], (unsigned)a[4]);
}
