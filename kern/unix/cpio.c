/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpio.c - unpack the initrd: an archive in cpio's "newc" format (cpio(5),
 * Linux Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 *   header   110 bytes: "070701" or "070702", then 13 numbers of 8 hex digits
 *   name     with its 0, padded so that header and name are a multiple of 4
 *   data     padded to a multiple of 4
 *
 * Names become nodes; the bytes of files stay where they are.  Several
 * archives may follow each other, with zeros between.  What is malformed ends
 * the unpacking with a message, and what was unpacked stays.
 */
#include "file_impl.h"

#define CPIO_HEADER     110u
#define CPIO_LINKS      256u    /* inodes with several names, at a time */

struct cpio_entry {
    uint32_t ino, mode, uid, gid, nlink, mtime, size, rmajor, rminor, len;
    const char *name;           /* len bytes with the 0 */
    const unsigned char *data;
};

struct cpio {
    const unsigned char *at, *end;
    unsigned files;
    /* Hard links: only the last name of an inode has its bytes. */
    struct { uint32_t ino; struct node *node; } links[CPIO_LINKS];
    unsigned nlinks;
};

static bool
cpio_number(const unsigned char *p, uint32_t *out)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned c = p[i] | 0x20u;

        if (c >= '0' && c <= '9') {
            v = v << 4 | (c - '0');
        } else if (c >= 'a' && c <= 'f') {
            v = v << 4 | (c - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = v;
    return true;
}

/* The next entry, its bytes inside the archive; false: malformed. */
static bool
cpio_next(struct cpio *c, struct cpio_entry *e)
{
    uint32_t field[13];
    uint64_t left = (uint64_t)(c->end - c->at), name_end, data_end;

    if (left < CPIO_HEADER || memcmp(c->at, "07070", 5) != 0 ||
        (c->at[5] != '1' && c->at[5] != '2')) {
        return false;
    }
    for (unsigned i = 0; i < 13; i++) {
        if (!cpio_number(c->at + 6 + 8 * i, &field[i])) {
            return false;
        }
    }
    *e = (struct cpio_entry){ .ino = field[0], .mode = field[1],
        .uid = field[2], .gid = field[3], .nlink = field[4],
        .mtime = field[5], .size = field[6], .rmajor = field[9],
        .rminor = field[10], .len = field[11] };
    name_end = ((uint64_t)CPIO_HEADER + e->len + 3) & ~(uint64_t)3;
    data_end = name_end + e->size;
    e->name = (const char *)c->at + CPIO_HEADER;
    /* NULs behind the name are padding: they align the data to a page. */
    if (e->len == 0 || data_end > left ||
        c->at[CPIO_HEADER + e->len - 1] != 0 ||
        strlen(e->name) >= UNIX_PATH_MAX) {
        return false;
    }
    e->data = c->at + name_end;
    data_end = (data_end + 3) & ~(uint64_t)3;
    c->at += data_end < left ? data_end : left;
    return true;
}

static struct node *
cpio_linked(struct cpio *c, const struct cpio_entry *e)
{
    for (unsigned i = 0; e->nlink > 1 && i < c->nlinks; i++) {
        if (c->links[i].ino == e->ino) {
            node_ref(c->links[i].node);
            return c->links[i].node;
        }
    }
    return NULL;
}

static void
cpio_remember(struct cpio *c, const struct cpio_entry *e, struct node *n)
{
    if (e->nlink > 1 && c->nlinks < CPIO_LINKS) {
        node_ref(n);
        c->links[c->nlinks].ino = e->ino;
        c->links[c->nlinks++].node = n;
    }
}

static void
cpio_forget(struct cpio *c)
{
    for (unsigned i = 0; i < c->nlinks; i++) {
        node_unref(c->links[i].node);
    }
    c->nlinks = 0;
}

static struct node *
cpio_file(struct cpio *c, const struct cpio_entry *e)
{
    struct node *n = cpio_linked(c, e);

    if (n == NULL) {
        n = regular_create_archive(e->mode, e->data, e->size);
        if (n != NULL) {
            cpio_remember(c, e, n);
        }
    } else if (e->size > 0) {
        regular_set_archive(n, e->data, e->size);
    }
    return n;
}

/* A new node for an entry; NULL: a kind that is not known, or no memory. */
static struct node *
cpio_node(struct cpio *c, const struct cpio_entry *e)
{
    struct node *n = NULL;

    switch (e->mode & UNIX_S_IFMT) {
    case UNIX_S_IFREG:
        n = cpio_file(c, e);
        break;
    case UNIX_S_IFDIR:
        n = node_create_dir(e->mode);
        break;
    case UNIX_S_IFLNK:
        if (e->size > 0 && e->size < UNIX_PATH_MAX) {
            n = node_create_symlink((const char *)e->data, e->size);
        }
        break;
    case UNIX_S_IFIFO:
        n = node_create(UNIX_S_IFIFO | (e->mode & 07777), &pipe_node_ops);
        break;
    case UNIX_S_IFCHR:
        n = dev_create(e->mode, DEV(e->rmajor, e->rminor));
        break;
    }
    if (n != NULL) {
        n->uid = e->uid;
        n->gid = e->gid;
        n->mtime = n->ctime = n->atime = (int64_t)e->mtime * 1000000000;
    }
    return n;
}

/*
 * n gets the name, if its directory is there.  A directory that is there
 * already takes the new one's mode; another file is replaced, but for what
 * the kernel made (/dev/null ...).
 */
static int64_t
cpio_enter(const char *name, struct node *n)
{
    struct node *gone = NULL;
    struct place p;
    int64_t error = place_find(node_root(), name, false, &p);

    if (error != 0) {
        return error;
    }
    if (p.node != NULL && node_is(p.node, UNIX_S_IFDIR)) {
        error = node_is(n, UNIX_S_IFDIR) ? 0 : -UNIX_EISDIR;
        p.node->mode = error == 0 ? n->mode : p.node->mode;
    } else if (p.node != NULL && node_is(p.node, UNIX_S_IFCHR)) {
        error = 0;
    } else if (p.last != PLACE_NAME || p.dir->ops->lookup != NULL) {
        error = -UNIX_EEXIST;
    } else {
        if (p.node != NULL) {
            gone = node_remove(node_entry(p.dir, p.name, p.len));
        }
        error = node_enter(p.dir, p.name, p.len, n);
    }
    place_end(&p);
    if (gone != NULL) {
        node_unref(gone);
    }
    return error;
}

/* The directories on the way to name, where an archive leaves them out. */
static void
cpio_parents(const char *name)
{
    char part[UNIX_PATH_MAX];

    for (size_t i = 1; name[i] != 0; i++) {
        struct node *n;

        if (name[i] != '/') {
            continue;
        }
        memcpy(part, name, i);
        part[i] = 0;
        if (node_walk(node_root(), part, true, &n) == 0) {
            node_unref(n);
            continue;
        }
        n = node_create_dir(0755);
        if (n != NULL) {
            (void)cpio_enter(part, n);
            node_unref(n);
        }
    }
}

static void
cpio_unpack_one(struct cpio *c, const struct cpio_entry *e)
{
    struct node *n;
    int64_t error;

    if (e->name[0] == 0) {
        return;
    }
    n = cpio_node(c, e);
    if (n == NULL) {
        kern_printf("initrd: %s: left out (mode %#x, %u bytes)\n", e->name,
            e->mode, e->size);
        return;
    }
    error = cpio_enter(e->name, n);
    if (error == -UNIX_ENOENT) {
        cpio_parents(e->name);
        error = cpio_enter(e->name, n);
    }
    node_unref(n);
    if (error != 0) {
        kern_printf("initrd: %s: error %d\n", e->name, (int)-error);
    } else {
        c->files++;
    }
}

static bool
cpio_is_trailer(const struct cpio_entry *e)
{
    static const char trailer[] = "TRAILER!!!";

    return e->len == sizeof(trailer) &&
        memcmp(e->name, trailer, sizeof(trailer)) == 0;
}

static struct cpio cpio;

void
files_unpack(const void *archive, size_t size)
{
    struct cpio_entry e;

    cpio.at = archive;
    cpio.end = cpio.at + size;
    for (;;) {
        while (cpio.at < cpio.end && *cpio.at == 0) {
            cpio.at++;
        }
        if (cpio.at == cpio.end) {
            break;
        }
        if (!cpio_next(&cpio, &e)) {
            kern_printf("initrd: malformed at byte %zu of %zu\n",
                (size_t)(cpio.at - (const unsigned char *)archive), size);
            break;
        }
        if (cpio_is_trailer(&e)) {
            cpio_forget(&cpio);
        } else {
            cpio_unpack_one(&cpio, &e);
        }
    }
    cpio_forget(&cpio);
    kern_printf("initrd: %u files in %zu KiB\n", cpio.files, size / 1024);
}
