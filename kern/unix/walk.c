/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk.c - from a path to the place that it names (path_resolution(7)).
 *
 * The walk goes on with the rest of the path until the last name; a symlink
 * on the way is replaced by its text in a buffer, and the walk goes on with
 * that.  Two buffers take turns, since the rest to be kept lies in one.
 *
 * p->held[0] keeps the directory that the walk stands in if the tree does
 * not (it has no name, or was made by a lookup), held[1] what was found there.
 */
#include "file_impl.h"

struct walk {
    struct place *p;
    const char *rest;
    unsigned links, buf;
    bool follow;
};

static void
walk_hold(struct place *p, unsigned i, struct node *n)
{
    struct node *old = p->held[i];

    p->held[i] = n;
    if (old != NULL) {
        /* It may be the last reference; destroy() takes no tree lock. */
        node_unref(old);
    }
}

/* Stand in the directory that was found. */
static void
walk_step(struct place *p)
{
    p->dir = p->node;
    if (p->held[1] != NULL) {
        walk_hold(p, 0, p->held[1]);
        p->held[1] = NULL;
    }
    p->node = NULL;
}

/* The next name of the path; false: there is none. */
static bool
walk_name(struct walk *w)
{
    struct place *p = w->p;
    const char *s = w->rest;

    while (*s == '/') {
        s++;
    }
    p->name = s;
    while (*s != 0 && *s != '/') {
        s++;
    }
    p->len = (size_t)(s - p->name);
    p->slash = *s == '/';
    while (*s == '/') {
        s++;
    }
    w->rest = s;
    return p->len > 0;
}

/* Look the name up in p->dir. */
static int64_t
walk_lookup(struct place *p)
{
    struct node *dir = p->dir, *found = NULL;
    struct dirent *d;
    int64_t error;

    p->last = PLACE_NAME;
    p->node = NULL;
    if (!node_is(dir, UNIX_S_IFDIR)) {
        return -UNIX_ENOTDIR;
    }
    if (p->len == 1 && p->name[0] == '.') {
        p->last = PLACE_DOT;
        p->node = dir;
        return 0;
    }
    if (p->len == 2 && p->name[0] == '.' && p->name[1] == '.') {
        p->last = PLACE_DOTDOT;
        p->node = dir->parent;
        return p->node == NULL ? -UNIX_ENOENT : 0;
    }
    if (p->len > FILE_NAME_MAX) {
        return -UNIX_ENAMETOOLONG;
    }
    d = node_entry(dir, p->name, p->len);
    if (d != NULL) {
        p->node = d->node;
        return 0;
    }
    if (dir->ops->lookup == NULL) {
        return 0;
    }
    vm_mutex_unlock(&tree_lock);
    error = dir->ops->lookup(dir, p->name, p->len, &found);
    vm_mutex_lock(&tree_lock);
    if (error == -UNIX_ENOENT) {
        return 0;
    }
    if (error == 0) {
        walk_hold(p, 1, found);
        p->node = found;
    }
    return error;
}

/* The text of the symlink p->node, then a slash and the rest, is the path. */
static int64_t
walk_text(struct walk *w)
{
    struct place *p = w->p;
    struct node *n = p->node;
    char *to = p->buf[w->buf];
    size_t rest = strlen(w->rest);
    int64_t len;

    if (to == NULL) {
        to = p->buf[w->buf] = kern_alloc(UNIX_PATH_MAX);
        if (to == NULL) {
            return -UNIX_ENOMEM;
        }
    }
    w->buf ^= 1;
    if (n->ops->readlink != NULL) {
        vm_mutex_unlock(&tree_lock);
        len = n->ops->readlink(n, to, UNIX_PATH_MAX);
        vm_mutex_lock(&tree_lock);
        if (len < 0) {
            return len;
        }
    } else {
        len = (int64_t)n->size;
        if (len >= UNIX_PATH_MAX) {
            return -UNIX_ENAMETOOLONG;
        }
        memcpy(to, n->private, (size_t)len);
    }
    if ((size_t)len + rest + 2 > UNIX_PATH_MAX) {
        return -UNIX_ENAMETOOLONG;
    }
    if (p->slash) {
        to[len++] = '/';
    }
    memcpy(to + len, w->rest, rest);
    to[(size_t)len + rest] = 0;
    w->rest = to;
    return 0;
}

/* p->node is a symlink to be followed. */
static int64_t
walk_symlink(struct walk *w)
{
    struct place *p = w->p;
    struct node *n = p->node, *target = NULL;
    int64_t error;

    if (++w->links > FILE_LINKS_MAX) {
        return -UNIX_ELOOP;
    }
    if (n->ops->jump != NULL) {
        vm_mutex_unlock(&tree_lock);
        error = n->ops->jump(n, &target);
        vm_mutex_lock(&tree_lock);
        if (error != 0) {
            return error;
        }
        p->node = target;
        p->last = PLACE_DOT;
        walk_hold(p, 1, target);
        if (*w->rest != 0) {
            walk_step(p);
            return 0;
        }
        return p->slash && !node_is(target, UNIX_S_IFDIR) ?
            -UNIX_ENOTDIR : 0;
    }
    error = walk_text(w);
    if (error != 0) {
        return error;
    }
    if (*w->rest == 0) {
        return -UNIX_ENOENT;
    }
    if (*w->rest == '/') {
        p->dir = node_root();
    }
    p->node = NULL;
    return 0;
}

/* The tree is locked, p->dir is where the walk begins. */
static int64_t
walk_path(struct walk *w)
{
    struct place *p = w->p;
    int64_t error;

    if (*w->rest == '/') {
        p->dir = node_root();
    }
    for (;;) {
        if (!walk_name(w)) {
            /* "/", or nothing but slashes after a symlink to "/". */
            p->node = p->dir;
            p->last = PLACE_ROOT;
            return 0;
        }
        error = walk_lookup(p);
        if (error != 0) {
            return error;
        }
        if (p->node == NULL) {
            return *w->rest != 0 ? -UNIX_ENOENT : 0;
        }
        if (node_is(p->node, UNIX_S_IFLNK) &&
            (*w->rest != 0 || p->slash || w->follow)) {
            error = walk_symlink(w);
            if (error != 0) {
                return error;
            }
            if (p->node != NULL) {
                return 0;
            }
            continue;
        }
        if (*w->rest == 0) {
            return p->slash && !node_is(p->node, UNIX_S_IFDIR) ?
                -UNIX_ENOTDIR : 0;
        }
        walk_step(p);
    }
}

/* What keeps the start: the root stays, a cwd is the process's to change. */
static struct node *
walk_start(struct node *at)
{
    struct proc *self = proc_current();

    if (at == NULL && self != NULL) {
        vm_mutex_lock(&self->lock);
        at = self->cwd;
        if (at != NULL) {
            node_ref(at);
        }
        vm_mutex_unlock(&self->lock);
    } else if (at != NULL) {
        node_ref(at);
    }
    return at;
}

int64_t
place_find(struct node *at, const char *path, bool follow, struct place *p)
{
    struct walk w = { .p = p, .rest = path, .follow = follow };
    int64_t error;

    *p = (struct place){ .dir = NULL };
    if (path[0] == 0) {
        return -UNIX_ENOENT;
    }
    if (path[0] != '/') {
        p->held[0] = walk_start(at);
    }
    p->dir = p->held[0] != NULL ? p->held[0] : node_root();
    vm_mutex_lock(&tree_lock);
    error = walk_path(&w);
    if (error != 0) {
        place_end(p);
    }
    return error;
}

void
place_end(struct place *p)
{
    vm_mutex_unlock(&tree_lock);
    for (unsigned i = 0; i < 2; i++) {
        if (p->held[i] != NULL) {
            node_unref(p->held[i]);
        }
        if (p->buf[i] != NULL) {
            kern_free(p->buf[i], UNIX_PATH_MAX);
        }
    }
}

int64_t
node_walk(struct node *at, const char *path, bool follow, struct node **out)
{
    struct place p;
    int64_t error = place_find(at, path, follow, &p);

    if (error != 0) {
        return error;
    }
    if (p.node == NULL) {
        error = -UNIX_ENOENT;
    } else {
        node_ref(p.node);
        *out = p.node;
    }
    place_end(&p);
    return error;
}

int64_t
file_at(uint64_t dirfd, const char *path, struct node **out)
{
    struct file *f;
    int64_t error;

    *out = NULL;
    if (path[0] == '/' || (int)dirfd == UNIX_AT_FDCWD) {
        return 0;
    }
    error = file_get((int)dirfd, &f);
    if (error != 0) {
        return error;
    }
    if (f->node == NULL || (path[0] != 0 &&
        !node_is(f->node, UNIX_S_IFDIR))) {
        error = -UNIX_ENOTDIR;
    } else {
        node_ref(f->node);
        *out = f->node;
    }
    file_unref(f);
    return error;
}

int64_t
file_at_path(uint64_t dirfd, uint64_t upath, char *path, struct node **at)
{
    int64_t error = unix_copyin_path(path, upath);

    return error != 0 ? error : file_at(dirfd, path, at);
}
