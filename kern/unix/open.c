/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.c - open files: open(2), creat(2), memfd_create(2), ioctl(2).
 */
#include "file_impl.h"
#include "vm_zone.h"

#define OPEN_KNOWN  (UNIX_O_ACCMODE | UNIX_O_CREAT | UNIX_O_EXCL | \
    UNIX_O_NOCTTY | UNIX_O_TRUNC | UNIX_O_APPEND | UNIX_O_NONBLOCK | \
    UNIX_O_CLOEXEC | UNIX_O_PATH | UNIX_O_DIRECTORY | UNIX_O_NOFOLLOW | \
    UNIX_O_DIRECT | UNIX_O_LARGEFILE)
/* What of them does not say how to open but how the file is. */
#define OPEN_KEPT   (OPEN_KNOWN & ~(UNIX_O_CREAT | UNIX_O_EXCL | \
    UNIX_O_NOCTTY | UNIX_O_TRUNC | UNIX_O_CLOEXEC))
#define OPEN_TMPFILE    020000000u

static struct vm_zone file_zone;

void
open_init(void)
{
    vm_zone_init(&file_zone, "file", sizeof(struct file));
}

int64_t
file_open(struct node *n, uint32_t flags, struct file **out)
{
    struct file *f = vm_zone_alloc(&file_zone);
    int64_t error = 0;

    if (f == NULL) {
        return -UNIX_ENFILE;
    }
    memset(f, 0, sizeof(*f));
    f->lock.rank = KERN_RANK_FILE;
    vm_set(&f->ref_count, 1);
    vm_set(&f->flags, flags & OPEN_KEPT);
    f->node = n;
    f->ops = n->ops->file;
    node_ref(n);
    if (n->ops->open != NULL && (flags & UNIX_O_PATH) == 0) {
        error = n->ops->open(n, f);
    }
    if (error == 0 && f->ops == NULL && (flags & UNIX_O_PATH) == 0) {
        error = -UNIX_ENXIO;
    }
    if (error != 0) {
        node_unref(n);
        vm_zone_free(&file_zone, f);
        return error;
    }
    *out = f;
    return 0;
}

void
file_ref(struct file *f)
{
    atomic_fetch_add_explicit(&f->ref_count, 1, memory_order_relaxed);
}

void
file_unref(struct file *f)
{
    if (atomic_fetch_sub_explicit(&f->ref_count, 1,
            memory_order_acq_rel) != 1) {
        return;
    }
    if (f->ops != NULL && f->ops->close != NULL &&
        (vm_get(&f->flags) & UNIX_O_PATH) == 0) {
        f->ops->close(f);
    }
    node_unref(f->node);
    vm_zone_free(&file_zone, f);
}

/* Make the file that open(O_CREAT) did not find; the tree is locked. */
static int64_t
open_create(struct place *p, uint32_t mode, struct node **out)
{
    struct node *n;
    int64_t error;

    if (p->slash) {
        return -UNIX_EISDIR;
    }
    if (p->dir->ops->lookup != NULL) {
        return -UNIX_EACCES;
    }
    if (p->dir->nlink == 0) {
        return -UNIX_ENOENT;
    }
    error = node_room();
    if (error != 0) {
        return error;
    }
    n = node_create(UNIX_S_IFREG | (mode & 07777 &
        ~proc_current()->umask), &regular_ops);
    if (n == NULL) {
        return -UNIX_ENOSPC;
    }
    error = node_enter(p->dir, p->name, p->len, n);
    if (error != 0) {
        node_unref(n);
        return error;
    }
    *out = n;
    return 0;
}

/* May it be opened so? */
static int64_t
open_check(struct node *n, uint32_t flags)
{
    bool write = (flags & UNIX_O_ACCMODE) != UNIX_O_RDONLY;

    if ((flags & UNIX_O_DIRECTORY) != 0 && !node_is(n, UNIX_S_IFDIR)) {
        return -UNIX_ENOTDIR;
    }
    if ((flags & UNIX_O_PATH) != 0) {
        return 0;
    }
    if (node_is(n, UNIX_S_IFLNK)) {
        return -UNIX_ELOOP;
    }
    if (node_is(n, UNIX_S_IFDIR) && (write ||
        (flags & (UNIX_O_CREAT | UNIX_O_TRUNC)) != 0)) {
        return -UNIX_EISDIR;
    }
    return (write || (flags & UNIX_O_TRUNC) != 0) &&
        vm_get(&n->running) != 0 ? -UNIX_ETXTBSY : 0;
}

/* The node that a path names, made if it is to be; with a reference. */
static int64_t
open_find(struct node *at, const char *path, uint32_t flags, uint32_t mode,
    struct node **out)
{
    bool exclusive = (flags & (UNIX_O_CREAT | UNIX_O_EXCL)) ==
        (UNIX_O_CREAT | UNIX_O_EXCL);
    struct place p;
    int64_t error = place_find(at, path, (flags & UNIX_O_NOFOLLOW) == 0 &&
        !exclusive, &p);

    if (error != 0) {
        return error;
    }
    if (p.node == NULL) {
        error = (flags & UNIX_O_CREAT) != 0 ?
            open_create(&p, mode, out) : -UNIX_ENOENT;
    } else if (exclusive) {
        error = -UNIX_EEXIST;
    } else {
        error = open_check(p.node, flags);
        if (error == 0) {
            node_ref(p.node);
            *out = p.node;
        }
    }
    place_end(&p);
    return error;
}

static int64_t
open_at(uint64_t dirfd, uint64_t upath, uint32_t flags, uint32_t mode)
{
    char path[UNIX_PATH_MAX];
    struct node *at, *n;
    struct file *f;
    int64_t error;

    if ((flags & OPEN_TMPFILE) != 0) {
        return -UNIX_ENOTSUP;
    }
    if ((flags & UNIX_O_PATH) != 0) {
        flags &= UNIX_O_PATH | UNIX_O_CLOEXEC | UNIX_O_DIRECTORY |
            UNIX_O_NOFOLLOW;
    }
    error = file_at_path(dirfd, upath, path, &at);
    if (error != 0) {
        return error;
    }
    error = open_find(at, path, flags, mode, &n);
    if (at != NULL) {
        node_unref(at);
    }
    if (error != 0) {
        return error;
    }
    error = file_open(n, flags, &f);
    if (error == 0 && (flags & UNIX_O_TRUNC) != 0 &&
        node_is(n, UNIX_S_IFREG) && n->ops == &regular_ops) {
        error = regular_truncate(n, 0);
        if (error != 0) {
            file_unref(f);
        }
    }
    node_unref(n);
    return error != 0 ? error :
        fd_install(f, 0, (flags & UNIX_O_CLOEXEC) != 0);
}

int64_t
sys_open(const uint64_t *a)
{
    return open_at((uint64_t)UNIX_AT_FDCWD, a[0], (uint32_t)a[1],
        (uint32_t)a[2]);
}

int64_t
sys_openat(const uint64_t *a)
{
    return open_at(a[0], a[1], (uint32_t)a[2], (uint32_t)a[3]);
}

int64_t
sys_creat(const uint64_t *a)
{
    return open_at((uint64_t)UNIX_AT_FDCWD, a[0], UNIX_O_CREAT |
        UNIX_O_WRONLY | UNIX_O_TRUNC, (uint32_t)a[1]);
}

/* memfd_create(2): a file without a name. */
int64_t
sys_memfd_create(const uint64_t *a)
{
    char name[250];
    size_t len;
    struct node *n;
    struct file *f;
    int64_t error;

    /* MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC */
    if ((a[1] & ~(uint64_t)(1 | 2 | 8 | 16)) != 0) {
        return -UNIX_EINVAL;
    }
    error = md_copyin_str(name, a[0], sizeof(name), &len);
    if (error != VM_OK) {
        return error == VM_E_NOSPACE ? -UNIX_EINVAL : -UNIX_EFAULT;
    }
    n = node_create(UNIX_S_IFREG | 0777, &regular_ops);
    if (n == NULL) {
        return -UNIX_ENOMEM;
    }
    n->seals = (a[1] & 2) != 0 ? 0 : 1; /* F_SEAL_SEAL: no more of them */
    error = file_open(n, UNIX_O_RDWR | UNIX_O_LARGEFILE, &f);
    node_unref(n);
    return error != 0 ? error : fd_install(f, 0, (a[1] & 1) != 0);
}

int64_t
sys_ioctl(const uint64_t *a)
{
    struct file *f;
    uint32_t flags;
    int32_t on;
    int64_t error = file_get((int)a[0], &f);

    if (error != 0) {
        return error;
    }
    switch ((uint32_t)a[1]) {
    case 0x5421:                /* FIONBIO */
        error = unix_copyin(&on, a[2], sizeof(on));
        if (error == 0) {
            vm_mutex_lock(&f->lock);
            flags = vm_get(&f->flags) & ~UNIX_O_NONBLOCK;
            vm_set(&f->flags, flags | (on != 0 ? UNIX_O_NONBLOCK : 0));
            vm_mutex_unlock(&f->lock);
        }
        break;
    default:
        error = (vm_get(&f->flags) & UNIX_O_PATH) != 0 ? -UNIX_EBADF :
            f->ops->ioctl == NULL ? -UNIX_ENOTTY :
            f->ops->ioctl(f, (uint32_t)a[1], a[2]);
    }
    file_unref(f);
    return error;
}
