/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * name.c - calls that change names: mkdir(2), rmdir(2), unlink(2), link(2),
 * symlink(2), mknod(2), readlink(2), chdir(2), getcwd(2).
 *
 * Each finds its places with the tree locked, decides and acts before it lets
 * go, so a name changes in one step.  What loses its last name is let go of
 * after that.
 */
#include "file_impl.h"

#define AT_REMOVEDIR            0x200u
#define AT_SYMLINK_FOLLOW       0x400u
#define AT_EMPTY_PATH           0x1000u

#define CWD     ((uint64_t)UNIX_AT_FDCWD)

/* The path is copied in, its directory resolved, the place found. */
struct name {
    char path[UNIX_PATH_MAX];
    struct node *at;
    struct place place;
};

static int64_t
name_find(struct name *m, uint64_t dirfd, uint64_t upath, bool follow)
{
    int64_t error = file_at_path(dirfd, upath, m->path, &m->at);

    if (error != 0) {
        return error;
    }
    error = place_find(m->at, m->path, follow, &m->place);
    if (error != 0 && m->at != NULL) {
        node_unref(m->at);
    }
    return error;
}

static void
name_end(struct name *m)
{
    place_end(&m->place);
    if (m->at != NULL) {
        node_unref(m->at);
    }
}

/* May a name be made here?  All of them ask in this order. */
static int64_t
name_is_free(const struct place *p, bool directory)
{
    if (p->node != NULL) {
        return -UNIX_EEXIST;
    }
    if (p->slash && !directory) {
        return -UNIX_ENOENT;
    }
    if (p->dir->ops->lookup != NULL) {
        return -UNIX_EACCES;
    }
    return p->dir->nlink == 0 ? -UNIX_ENOENT : node_room();
}

/* Give n, new and with one reference that goes, the name. */
static int64_t
name_new(uint64_t dirfd, uint64_t upath, struct node *n)
{
    struct name m;
    int64_t error;

    if (n == NULL) {
        return -UNIX_ENOSPC;
    }
    error = name_find(&m, dirfd, upath, false);
    if (error == 0) {
        error = name_is_free(&m.place, node_is(n, UNIX_S_IFDIR));
        if (error == 0) {
            error = node_enter(m.place.dir, m.place.name, m.place.len, n);
        }
        name_end(&m);
    }
    node_unref(n);
    return error;
}

static int64_t
name_mkdir(uint64_t dirfd, uint64_t upath, uint64_t mode)
{
    return name_new(dirfd, upath, node_create_dir((uint32_t)mode & 01777 &
        ~proc_current()->umask));
}

int64_t
sys_mkdir(const uint64_t *a)
{
    return name_mkdir(CWD, a[0], a[1]);
}

int64_t
sys_mkdirat(const uint64_t *a)
{
    return name_mkdir(a[0], a[1], a[2]);
}

int64_t
sys_mknodat(const uint64_t *a)
{
    uint32_t mode = (uint32_t)a[2] & 07777 & ~proc_current()->umask;
    uint32_t type = (uint32_t)a[2] & UNIX_S_IFMT;

    if (type == 0 || type == UNIX_S_IFREG) {
        return name_new(a[0], a[1], node_create(UNIX_S_IFREG | mode,
            &regular_ops));
    }
    if (type == UNIX_S_IFIFO) {
        return name_new(a[0], a[1], node_create(UNIX_S_IFIFO | mode,
            &pipe_node_ops));
    }
    return type == UNIX_S_IFDIR ? -UNIX_EINVAL : -UNIX_EPERM;
}

static int64_t
name_symlink(uint64_t utext, uint64_t dirfd, uint64_t upath)
{
    char text[UNIX_PATH_MAX];
    int64_t error = unix_copyin_path(text, utext);

    return error != 0 ? error : name_new(dirfd, upath,
        node_create_symlink(text, strlen(text)));
}

int64_t
sys_symlink(const uint64_t *a)
{
    return name_symlink(a[0], CWD, a[1]);
}

int64_t
sys_symlinkat(const uint64_t *a)
{
    return name_symlink(a[0], a[1], a[2]);
}

/* ---- removing ----------------------------------------------------------- */

/* May the name be taken away?  Not one of a tree that makes its own. */
static int64_t
name_may_go(const struct place *p, bool directory)
{
    struct node *n = p->node;
    bool is_dir = n != NULL && node_is(n, UNIX_S_IFDIR);

    if (p->last != PLACE_NAME) {
        return !directory ? -UNIX_EISDIR : p->last == PLACE_DOT ?
            -UNIX_EINVAL : p->last == PLACE_DOTDOT ? -UNIX_ENOTEMPTY :
            -UNIX_EBUSY;
    }
    if (n == NULL) {
        return -UNIX_ENOENT;
    }
    if (p->dir->ops->lookup != NULL) {
        return -UNIX_EPERM;
    }
    if (directory != is_dir) {
        return directory ? -UNIX_ENOTDIR : -UNIX_EISDIR;
    }
    if (is_dir && n->ops->lookup != NULL) {
        return -UNIX_EBUSY;
    }
    return is_dir && n->entries != NULL ? -UNIX_ENOTEMPTY : 0;
}

static int64_t
name_unlink(uint64_t dirfd, uint64_t upath, bool directory)
{
    struct node *gone = NULL;
    struct name m;
    int64_t error = name_find(&m, dirfd, upath, false);

    if (error != 0) {
        return error;
    }
    error = name_may_go(&m.place, directory);
    if (error == 0) {
        gone = node_remove(node_entry(m.place.dir, m.place.name,
            m.place.len));
    }
    name_end(&m);
    if (gone != NULL) {
        node_unref(gone);
    }
    return error;
}

int64_t
sys_unlink(const uint64_t *a)
{
    return name_unlink(CWD, a[0], false);
}

int64_t
sys_rmdir(const uint64_t *a)
{
    return name_unlink(CWD, a[0], true);
}

int64_t
sys_unlinkat(const uint64_t *a)
{
    if ((a[2] & ~(uint64_t)AT_REMOVEDIR) != 0) {
        return -UNIX_EINVAL;
    }
    return name_unlink(a[0], a[1], a[2] != 0);
}

/* ---- a second name ------------------------------------------------------ */

/* The node to be linked, referenced. */
static int64_t
name_source(uint64_t dirfd, uint64_t upath, bool follow, bool empty,
    struct node **out)
{
    struct name m;
    struct file *f;
    uint8_t first;
    int64_t error;

    if (empty && unix_copyin(&first, upath, 1) == 0 && first == 0) {
        error = file_get((int)dirfd, &f);
        if (error == 0) {
            *out = f->node;
            node_ref(*out);
            file_unref(f);
        }
        return error;
    }
    error = name_find(&m, dirfd, upath, follow);
    if (error != 0) {
        return error;
    }
    if (m.place.node == NULL) {
        error = -UNIX_ENOENT;
    } else {
        *out = m.place.node;
        node_ref(*out);
    }
    name_end(&m);
    return error;
}

static int64_t
name_link(uint64_t from_fd, uint64_t from, uint64_t to_fd, uint64_t to,
    uint64_t flags)
{
    struct node *n;
    struct name m;
    int64_t error = name_source(from_fd, from,
        (flags & AT_SYMLINK_FOLLOW) != 0, (flags & AT_EMPTY_PATH) != 0, &n);

    if (error != 0) {
        return error;
    }
    error = name_find(&m, to_fd, to, false);
    if (error == 0) {
        error = name_is_free(&m.place, false);
        if (error == 0 && node_is(n, UNIX_S_IFDIR)) {
            error = -UNIX_EPERM;
        } else if (error == 0 && n->nlink == 0) {
            error = -UNIX_ENOENT;
        } else if (error == 0 && !n->named) {
            error = -UNIX_EXDEV;        /* a pipe, a file of /proc */
        }
        if (error == 0) {
            error = node_enter(m.place.dir, m.place.name, m.place.len, n);
        }
        name_end(&m);
    }
    node_unref(n);
    return error;
}

int64_t
sys_link(const uint64_t *a)
{
    return name_link(CWD, a[0], CWD, a[1], 0);
}

int64_t
sys_linkat(const uint64_t *a)
{
    if ((a[4] & ~(uint64_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) {
        return -UNIX_EINVAL;
    }
    return name_link(a[0], a[1], a[2], a[3], a[4]);
}

/* ---- symlinks ----------------------------------------------------------- */

/* The text of a symlink, at most size bytes of it. */
static int64_t
name_text(struct node *n, char *buf, size_t size)
{
    struct node *target;
    int64_t len;

    if (!node_is(n, UNIX_S_IFLNK)) {
        return -UNIX_EINVAL;
    }
    if (n->ops->readlink != NULL) {
        return n->ops->readlink(n, buf, size);
    }
    if (n->ops->jump != NULL) {
        len = n->ops->jump(n, &target);
        if (len == 0) {
            len = node_path(target, buf, size);
            node_unref(target);
        }
        return len;
    }
    len = (int64_t)(n->size < size ? n->size : size);
    memcpy(buf, n->private, (size_t)len);
    return len;
}

static int64_t
name_readlink(uint64_t dirfd, uint64_t upath, uint64_t base, uint64_t size)
{
    char text[UNIX_PATH_MAX];
    struct node *n;
    int64_t len;

    if ((int)size <= 0) {
        return -UNIX_EINVAL;
    }
    len = name_source(dirfd, upath, false, true, &n);
    if (len != 0) {
        return len;
    }
    len = name_text(n, text, sizeof(text));
    node_unref(n);
    if (len < 0) {
        return len;
    }
    len = (uint64_t)len < (uint32_t)size ? len : (int64_t)(uint32_t)size;
    return unix_copyout(base, text, (size_t)len) != 0 ? -UNIX_EFAULT : len;
}

int64_t
sys_readlink(const uint64_t *a)
{
    return name_readlink(CWD, a[0], a[1], a[2]);
}

int64_t
sys_readlinkat(const uint64_t *a)
{
    return name_readlink(a[0], a[1], a[2], a[3]);
}

/* ---- the current directory ---------------------------------------------- */

/* n's reference becomes the process's. */
static int64_t
name_set_cwd(struct node *n)
{
    struct proc *self = proc_current();
    struct node *old;

    if (!node_is(n, UNIX_S_IFDIR)) {
        node_unref(n);
        return -UNIX_ENOTDIR;
    }
    vm_mutex_lock(&self->lock);
    old = self->cwd;
    self->cwd = n;
    vm_mutex_unlock(&self->lock);
    if (old != NULL) {
        node_unref(old);
    }
    return 0;
}

int64_t
sys_chdir(const uint64_t *a)
{
    struct node *n;
    int64_t error = name_source(CWD, a[0], true, false, &n);

    return error != 0 ? error : name_set_cwd(n);
}

int64_t
sys_fchdir(const uint64_t *a)
{
    struct file *f;
    struct node *n;
    int64_t error = file_get((int)a[0], &f);

    if (error != 0) {
        return error;
    }
    n = f->node;
    node_ref(n);
    file_unref(f);
    return name_set_cwd(n);
}

int64_t
sys_getcwd(const uint64_t *a)
{
    char path[UNIX_PATH_MAX];
    struct proc *self = proc_current();
    struct node *n;
    int64_t len;

    vm_mutex_lock(&self->lock);
    n = self->cwd != NULL ? self->cwd : node_root();
    node_ref(n);
    vm_mutex_unlock(&self->lock);
    len = node_path(n, path, sizeof(path));
    node_unref(n);
    if (len < 0) {
        return len == -UNIX_ERANGE ? -UNIX_ENAMETOOLONG : len;
    }
    len++;
    if ((uint64_t)len > a[1]) {
        return -UNIX_ERANGE;
    }
    return unix_copyout(a[0], path, (size_t)len) != 0 ? -UNIX_EFAULT : len;
}
