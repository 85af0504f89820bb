/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.c - the tree of names: nodes, directory entries, walking a path.
 *
 *   dirent --node--> node          a name's reference keeps the node
 *   node --name--> dirent          one of its names, for node_path()
 *   directory --parent--> directory    no reference: "..", gone with rmdir
 *
 * All names of all directories are in one hash table by (directory, text),
 * and those of one directory in a list in order of their cookies, which
 * getdents64 goes by.  One lock guards the shape of the tree.
 *
 * A walk holds the tree's lock, under which no name goes and so no node
 * that has one; it drops it only to ask a directory whose names are made
 * on demand (/proc), and then holds a reference to what it got.
 */
#include "file_impl.h"
#include "vm_zone.h"

#define NODE_BUCKETS    1024u
#define NODE_MEMORY     8192u           /* bytes of memory for each name */

struct vm_mutex tree_lock = VM_MUTEX_INIT(KERN_RANK_TREE);
static struct vm_zone node_zone;
static struct dirent *node_hash[NODE_BUCKETS];
static struct node *root;
static _Atomic uint64_t node_last_ino;
static uint64_t node_names;             /* (N) dirents */
static uint64_t node_names_most;        /* (c) */

int64_t
file_now(void)
{
    return (int64_t)(kern_epoch * 1000000000u + kern_now());
}

struct node *
node_root(void)
{
    return root;
}

uint64_t
files_nodes(void)
{
    return vm_zone_live(&node_zone);
}

struct node *
node_create(uint32_t mode, const struct node_ops *ops)
{
    struct node *n = vm_zone_alloc(&node_zone);

    if (n == NULL) {
        return NULL;
    }
    memset(n, 0, sizeof(*n));
    n->lock.rank = KERN_RANK_INODE;
    vm_set(&n->ref_count, 1);
    n->mode = mode;
    n->ops = ops;
    n->ino = atomic_fetch_add_explicit(&node_last_ino, 1,
        memory_order_relaxed) + 1;
    n->atime = n->mtime = n->ctime = file_now();
    return n;
}

static void
node_symlink_destroy(struct node *n)
{
    kern_free(n->private, n->size + 1);
}

static const struct node_ops node_symlink_ops = {
    .destroy = node_symlink_destroy,
};

struct node *
node_create_symlink(const char *text, size_t len)
{
    struct node *n;
    char *copy = kern_alloc(len + 1);

    if (copy == NULL) {
        return NULL;
    }
    n = node_create(UNIX_S_IFLNK | 0777, &node_symlink_ops);
    if (n == NULL) {
        kern_free(copy, len + 1);
        return NULL;
    }
    memcpy(copy, text, len);
    n->private = copy;
    n->size = len;
    return n;
}

void
node_ref(struct node *n)
{
    atomic_fetch_add_explicit(&n->ref_count, 1, memory_order_relaxed);
}

void
node_unref(struct node *n)
{
    /* Release and acquire: all uses come before the end. */
    if (atomic_fetch_sub_explicit(&n->ref_count, 1,
            memory_order_acq_rel) != 1) {
        return;
    }
    KASSERT(n->name == NULL && n->entries == NULL);
    if (n->ops->destroy != NULL) {
        n->ops->destroy(n);
    }
    vm_zone_free(&node_zone, n);
}

void
node_exe_ref(struct node *n)
{
    (void)atomic_fetch_add_explicit(&n->running, 1, memory_order_relaxed);
    node_ref(n);
}

void
node_exe_unref(struct node *n)
{
    (void)atomic_fetch_sub_explicit(&n->running, 1, memory_order_relaxed);
    node_unref(n);
}

/* ---- names -------------------------------------------------------------- */

uint64_t
node_memory(void)
{
    return vm_page_count - vm_page_kind_count(VM_PAGE_RESERVED) -
        vm_page_kind_count(VM_PAGE_DEVICE);
}

int64_t
node_room(void)
{
    return node_names < node_names_most ? 0 : -UNIX_ENOSPC;
}

uint64_t
node_space(uint64_t *left)
{
    uint64_t names;

    vm_mutex_lock(&tree_lock);
    names = node_names;
    vm_mutex_unlock(&tree_lock);
    *left = names < node_names_most ? node_names_most - names : 0;
    return node_names_most;
}

/* The one that was kept has gone; that seldom matters to anybody. */
struct dirent *
node_name(struct node *n)
{
    if (n->name == NULL && n->named && n->nlink != 0) {
        for (unsigned i = 0; i < NODE_BUCKETS && n->name == NULL; i++) {
            struct dirent *d = node_hash[i];

            while (d != NULL && d->node != n) {
                d = d->hash_next;
            }
            n->name = d;
        }
    }
    return n->name;
}

static uint32_t
node_name_hash(const struct node *dir, const char *name, size_t len)
{
    uint32_t h = 2166136261u ^ (uint32_t)dir->ino * 2654435761u;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    }
    return h ^ h >> 15;
}

struct dirent *
node_entry(struct node *dir, const char *name, size_t len)
{
    uint32_t h = node_name_hash(dir, name, len);
    struct dirent *d = node_hash[h % NODE_BUCKETS];

    while (d != NULL && (d->hash != h || d->dir != dir || d->len != len ||
        memcmp(d->text, name, len) != 0)) {
        d = d->hash_next;
    }
    return d;
}

int64_t
node_enter(struct node *dir, const char *name, size_t len, struct node *n)
{
    struct dirent *d, **bucket;

    if (len > FILE_NAME_MAX) {
        return -UNIX_ENAMETOOLONG;
    }
    d = kern_alloc(sizeof(*d) + len + 1);
    if (d == NULL) {
        return -UNIX_ENOMEM;
    }
    memcpy(d->text, name, len);
    d->text[len] = 0;
    d->len = (uint8_t)len;
    d->dir = dir;
    d->node = n;
    d->hash = node_name_hash(dir, name, len);
    d->cookie = ++dir->cookie;
    bucket = &node_hash[d->hash % NODE_BUCKETS];
    d->hash_next = *bucket;
    *bucket = d;
    d->next = NULL;
    d->prev = dir->last;
    if (dir->last != NULL) {
        dir->last->next = d;
    } else {
        dir->entries = d;
    }
    dir->last = d;
    dir->size++;
    dir->mtime = dir->ctime = file_now();
    node_ref(n);
    node_names++;
    n->name = d;
    n->named = true;
    n->nlink++;
    if (node_is(n, UNIX_S_IFDIR)) {
        n->parent = dir;
        n->nlink++;             /* its "." */
        dir->nlink++;           /* its ".." */
    }
    return 0;
}

struct node *
node_remove(struct dirent *d)
{
    struct node *dir = d->dir, *n = d->node;
    struct dirent **at = &node_hash[d->hash % NODE_BUCKETS];

    while (*at != d) {
        at = &(*at)->hash_next;
    }
    *at = d->hash_next;
    *(d->prev != NULL ? &d->prev->next : &dir->entries) = d->next;
    *(d->next != NULL ? &d->next->prev : &dir->last) = d->prev;
    if (dir->hint == d) {
        dir->hint = d->prev;
    }
    node_names--;
    dir->size--;
    dir->mtime = dir->ctime = n->ctime = file_now();
    n->nlink--;
    if (n->name == d) {
        n->name = NULL;
    }
    if (node_is(n, UNIX_S_IFDIR)) {
        n->parent = NULL;
        n->nlink--;
        dir->nlink--;
    }
    kern_free(d, sizeof(*d) + d->len + 1u);
    return n;
}

struct node *
node_make(struct node *dir, const char *name, uint32_t mode, uint64_t rdev,
    const struct node_ops *ops)
{
    struct node *n = node_create(mode, ops);

    if (n == NULL) {
        kern_panic("no memory for /%s", name);
    }
    n->rdev = rdev;
    vm_mutex_lock(&tree_lock);
    if (node_enter(dir, name, strlen(name), n) != 0) {
        kern_panic("no memory for /%s", name);
    }
    vm_mutex_unlock(&tree_lock);
    node_unref(n);
    return n;
}

/* Append at the end of what is free, backwards; false: no room. */
static bool
node_path_put(char *buf, size_t *at, const char *text, size_t len)
{
    if (*at < len + 1) {
        return false;
    }
    *at -= len;
    memcpy(buf + *at, text, len);
    buf[--*at] = '/';
    return true;
}

int64_t
node_path(struct node *n, char *buf, size_t size)
{
    size_t at = size;
    int64_t error = 0;

    if (size < 2) {
        return -UNIX_ERANGE;
    }
    buf[--at] = 0;
    vm_mutex_lock(&tree_lock);
    while (n != root && error == 0) {
        struct dirent *d = node_name(n);

        if (d == NULL) {
            error = -UNIX_ENOENT;
        } else if (!node_path_put(buf, &at, d->text, d->len)) {
            error = -UNIX_ERANGE;
        } else {
            n = d->dir;
        }
    }
    vm_mutex_unlock(&tree_lock);
    if (error != 0) {
        return error;
    }
    if (buf[at] == 0) {
        buf[--at] = '/';
    }
    for (size_t i = 0; at + i < size; i++) {
        buf[i] = buf[at + i];
    }
    return (int64_t)(size - at - 1);
}

static const struct node_ops node_dir_ops = { .file = &dir_file_ops };

struct node *
node_create_dir(uint32_t mode)
{
    return node_create(UNIX_S_IFDIR | (mode & 07777), &node_dir_ops);
}

struct node *
node_make_dir(struct node *dir, const char *name, uint32_t mode)
{
    return node_make(dir, name, UNIX_S_IFDIR | mode, 0, &node_dir_ops);
}

void
node_init(void)
{
    vm_zone_init(&node_zone, "node", sizeof(struct node));
    node_names_most = (node_memory() << vm_page_shift) / NODE_MEMORY;
    root = node_create_dir(0755);
    if (root == NULL) {
        kern_panic("no memory for /");
    }
    root->parent = root;
    root->nlink = 2;
}
