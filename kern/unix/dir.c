/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir.c - directories as open files: getdents64(2).
 *
 * A position is the cookie of the entry to go on with; cookies rise and are
 * never used twice, so entries that come and go meanwhile are neither shown
 * twice nor make others be missed.  "." and ".." are 0 and 1, the first entry
 * is past DIR_FIRST.
 *
 * The directory remembers where it was read last, so that the next entry is
 * found at once.
 *
 * User memory is not touched with the tree locked: an entry at a time is
 * taken out of it.
 */
#include "file_impl.h"

#define DIR_FIRST       2u

struct dir_record {
    uint64_t ino;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[FILE_NAME_MAX + 1];
} __attribute__((packed));
#define DIR_RECORD_HEAD 19u

bool
dir_emit(struct dir_out *out, uint64_t ino, uint32_t mode, uint64_t next,
    const char *name, size_t len)
{
    struct dir_record r;
    size_t size = (DIR_RECORD_HEAD + len + 1 + 7) & ~(size_t)7;

    if (size > out->len - out->done) {
        /* Not even the first: the buffer is too small for anything. */
        out->error = out->done == 0 ? -UNIX_EINVAL : out->error;
        return false;
    }
    r.ino = ino;
    r.next = (int64_t)next;
    r.size = (uint16_t)size;
    r.type = (uint8_t)(mode >> 12 & 15);
    memcpy(r.name, name, len);
    memset(r.name + len, 0, size - DIR_RECORD_HEAD - len);
    if (unix_copyout(out->base + out->done, &r, size) != 0) {
        out->error = out->done == 0 ? -UNIX_EFAULT : out->error;
        return false;
    }
    out->done += size;
    return true;
}

/* The first entry of dir that is not before cookie, copied. */
struct dir_entry {
    uint64_t ino, cookie;
    uint32_t mode;
    size_t len;
    char name[FILE_NAME_MAX + 1];
};

static bool
dir_next(struct node *dir, uint64_t cookie, struct dir_entry *e)
{
    struct dirent *d;

    vm_mutex_lock(&tree_lock);
    d = dir->hint;
    if (d == NULL || d->cookie > cookie) {
        d = dir->entries;
    }
    while (d != NULL && d->cookie < cookie) {
        d = d->next;
    }
    if (d != NULL) {
        dir->hint = d;
        e->ino = d->node->ino;
        e->mode = d->node->mode;
        e->cookie = d->cookie;
        e->len = d->len;
        memcpy(e->name, d->text, d->len);
    }
    vm_mutex_unlock(&tree_lock);
    return d != NULL;
}

static bool
dir_dots(struct file *f, struct dir_out *out)
{
    struct node *dir = f->node;
    uint64_t parent;

    vm_mutex_lock(&tree_lock);
    parent = dir->parent != NULL ? dir->parent->ino : dir->ino;
    vm_mutex_unlock(&tree_lock);
    if (f->offset == 0) {
        if (!dir_emit(out, dir->ino, UNIX_S_IFDIR, 1, ".", 1)) {
            return false;
        }
        f->offset = 1;
    }
    if (f->offset == 1) {
        if (!dir_emit(out, parent, UNIX_S_IFDIR, DIR_FIRST, "..", 2)) {
            return false;
        }
        f->offset = DIR_FIRST;
    }
    return true;
}

static int64_t
dir_readdir(struct file *f, uint64_t base, uint64_t len)
{
    struct dir_out out = { .base = base, .len = len };
    struct dir_entry e;

    if (dir_dots(f, &out)) {
        while (dir_next(f->node, f->offset - DIR_FIRST, &e) &&
            dir_emit(&out, e.ino, e.mode, e.cookie + 1 + DIR_FIRST, e.name,
            e.len)) {
            f->offset = e.cookie + 1 + DIR_FIRST;
        }
    }
    return out.done > 0 ? (int64_t)out.done : out.error;
}

static uint32_t
dir_poll(struct file *f)
{
    (void)f;
    return POLL_IN | POLL_OUT | POLL_RDNORM | POLL_WRNORM;
}

const struct file_ops dir_file_ops = {
    .readdir = dir_readdir,
    .poll = dir_poll,
    .seeks = true,
};

int64_t
sys_getdents64(const uint64_t *a)
{
    struct file *f;
    int64_t n = file_get_read((int)a[0], &f);

    if (n != 0) {
        return n;
    }
    if (f->ops->readdir == NULL) {
        n = -UNIX_ENOTDIR;
    } else if (f->node->nlink == 0) {
        n = -UNIX_ENOENT;
    } else {
        vm_mutex_lock(&f->lock);
        n = f->ops->readdir(f, a[1], (uint32_t)a[2]);
        vm_mutex_unlock(&f->lock);
    }
    file_unref(f);
    return n;
}
