/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * regular.c - regular files: their bytes are the pages of a memory object.
 *
 *   tmpfs, memfd   an anonymous object, shared: holes read as zeros, what is
 *                  written is swap's to keep
 *   archive        an object whose pager copies from the archive, in place
 *                  in memory since boot.  Nothing is copied before somebody
 *                  maps or writes the file: read(2) takes the archive's bytes
 *
 * A file of the archive that is written to keeps its object: the pages that
 * were written stay resident (the pager refuses data_write, which makes them
 * modified again), the others come from the archive.  So all who map it see
 * the writes, and nothing is converted.  `valid` is how much of the archive's
 * bytes still count: truncation lowers it, and beyond it the pager says
 * "nothing there", which is zeros.
 *
 * Space: all files together may have half of memory (ENOSPC), counted when
 * they are written and cut.  Pages that a program makes by storing into a hole
 * that it has mapped are counted with the next write.
 *
 * Sizes: the object has as many pages as the file, so that a program gets
 * SIGBUS beyond; in the last page the bytes past the end are zeros.
 *
 * Locks: node.lock for size, for the object's making and for writers, which
 * so come one after the other.  Readers take none: what they read is a page
 * at a time, and a page that is cut off under them is the end of the file.
 */
#include "regular_impl.h"
#include "vm_object_io.h"

#define REGULAR_SMALL   256u            /* bounces on the stack */
#define REGULAR_BUCKETS 256u

#define F_SEAL_SHRINK   2u
#define F_SEAL_GROW     4u
#define F_SEAL_WRITE    8u
#define F_SEAL_FUTURE   16u

#define FALLOC_KEEP     1u
#define FALLOC_PUNCH    2u
#define FALLOC_ZERO     16u

/* Nodes that have an object, for names in /proc/PID/maps. */
static struct vm_spin regular_lock = VM_SPIN_INIT(KERN_RANK_SIGNAL);
static struct node *regular_hash[REGULAR_BUCKETS];
static uint64_t regular_most;           /* (c) pages that files may have */
static _Atomic uint64_t regular_used;   /* the sum of all nodes' charged */

static vm_pgno_t
regular_pages(uint64_t size)
{
    return (size + VM_PAGE_MASK) >> vm_page_shift;
}

/* ---- nodes and objects -------------------------------------------------- */

void
regular_init(void)
{
    archive_init();
    regular_most = node_memory() / 2;
}

struct node *
regular_create_archive(uint32_t mode, const void *bytes, uint64_t size)
{
    struct regular_archive *ar = kern_alloc(sizeof(*ar));
    struct node *n;

    if (ar == NULL) {
        return NULL;
    }
    n = node_create(UNIX_S_IFREG | (mode & 07777), &regular_ops);
    if (n == NULL) {
        kern_free(ar, sizeof(*ar));
        return NULL;
    }
    ar->pager.ops = &archive_ops;
    ar->bytes = bytes;
    vm_set(&ar->valid, size);
    n->size = size;
    n->private = ar;
    return n;
}

void
regular_set_archive(struct node *n, const void *bytes, uint64_t size)
{
    struct regular_archive *ar = n->private;

    KASSERT(n->object == NULL);
    ar->bytes = bytes;
    vm_set(&ar->valid, size);
    n->size = size;
}

static struct node **
regular_bucket(const struct vm_object *o)
{
    uint64_t h = (uint64_t)(uintptr_t)o * 0x9e3779b97f4a7c15u;

    return &regular_hash[h >> 32 & (REGULAR_BUCKETS - 1)];
}

static void
regular_publish(struct node *n)
{
    struct node **bucket = regular_bucket(n->object);

    vm_spin_lock(&regular_lock);
    n->object_next = *bucket;
    *bucket = n;
    vm_spin_unlock(&regular_lock);
}

struct node *
regular_find(const struct vm_object *o)
{
    struct node *n;

    vm_spin_lock(&regular_lock);
    n = *regular_bucket(o);
    while (n != NULL && n->object != o) {
        n = n->object_next;
    }
    /* One whose last reference has gone waits for our lock to leave. */
    if (n != NULL) {
        uint32_t refs = vm_get(&n->ref_count);

        while (refs != 0 && !atomic_compare_exchange_weak_explicit(
                &n->ref_count, &refs, refs + 1, memory_order_acquire,
                memory_order_relaxed)) {
            continue;
        }
        n = refs != 0 ? n : NULL;
    }
    vm_spin_unlock(&regular_lock);
    return n;
}

/* n is in its bucket; the lock is held. */
static void
regular_unpublish(struct node *n)
{
    struct node **at = regular_bucket(n->object);

    while (*at != n) {
        at = &(*at)->object_next;
    }
    *at = n->object_next;
}

/* ---- space -------------------------------------------------------------- */

/* n->lock held, or the last reference gone: what n has now is charged. */
static void
regular_charge(struct node *n, uint64_t pages)
{
    if (pages != n->charged) {
        atomic_fetch_add_explicit(&regular_used, pages - n->charged,
            memory_order_relaxed);
        n->charged = pages;
    }
}

static void
regular_recharge(struct node *n)
{
    regular_charge(n, vm_object_page_count(n->object));
}

static bool
regular_has_room(uint64_t pages)
{
    uint64_t used = vm_get(&regular_used);

    return used <= regular_most && pages <= regular_most - used;
}

uint64_t
regular_space(uint64_t *left)
{
    uint64_t used = vm_get(&regular_used);

    *left = used < regular_most ? regular_most - used : 0;
    return regular_most;
}

static void
regular_destroy(struct node *n)
{
    regular_charge(n, 0);
    if (n->object != NULL) {
        vm_spin_lock(&regular_lock);
        regular_unpublish(n);
        vm_spin_unlock(&regular_lock);
        /* Mappings may keep it; its pager goes with it. */
        vm_object_unref(n->object, NULL);
    } else if (n->private != NULL) {
        kern_free(n->private, sizeof(struct regular_archive));
    }
}

/* One that could go, out of the table; NULL: there is none. */
static struct node *
regular_trim_one(void)
{
    struct node *n = NULL;

    vm_spin_lock(&regular_lock);
    for (unsigned i = 0; i < REGULAR_BUCKETS && n == NULL; i++) {
        n = regular_hash[i];
        while (n != NULL && (n->private == NULL ||
            ((struct regular_archive *)n->private)->keep)) {
            n = n->object_next;
        }
    }
    if (n != NULL) {
        node_ref(n);
        ((struct regular_archive *)n->private)->keep = true;
    }
    vm_spin_unlock(&regular_lock);
    return n;
}

void
regular_trim(void)
{
    struct node *n;

    while ((n = regular_trim_one()) != NULL) {
        struct regular_archive *ar = n->private;
        struct vm_object *o = NULL;

        vm_mutex_lock(&n->lock);
        if (vm_object_is_unused(n->object)) {
            vm_spin_lock(&regular_lock);
            regular_unpublish(n);
            vm_spin_unlock(&regular_lock);
            o = n->object;
            n->object = NULL;
            regular_charge(n, 0);
        }
        vm_mutex_unlock(&n->lock);
        if (o != NULL) {
            vm_object_unref(o, NULL);
            ar->keep = false;
        }
        node_unref(n);
    }
    for (unsigned i = 0; i < REGULAR_BUCKETS; i++) {
        for (n = regular_hash[i]; n != NULL; n = n->object_next) {
            if (n->private != NULL) {
                ((struct regular_archive *)n->private)->keep = false;
            }
        }
    }
}

/* n->lock held: the object there has to be from now on. */
static int64_t
regular_need_object(struct node *n)
{
    struct regular_archive *ar = n->private;
    struct vm_object *o;
    int error;

    if (n->object != NULL) {
        return 0;
    }
    error = ar != NULL ?
        vm_object_create_pager(&ar->pager, regular_pages(n->size), &o) :
        vm_object_create(regular_pages(n->size), NULL, &o);
    if (error != VM_OK) {
        return -UNIX_ENOMEM;
    }
    if (ar == NULL) {
        vm_object_set_shared(o);
    }
    n->object = o;
    regular_publish(n);
    return 0;
}

int64_t
node_object(struct node *n, struct vm_object **out, uint64_t *size)
{
    int64_t error;

    if (n->ops != &regular_ops) {
        return node_is(n, UNIX_S_IFDIR) ? -UNIX_EISDIR :
            node_is(n, UNIX_S_IFREG) ? -UNIX_EACCES : -UNIX_ENODEV;
    }
    vm_mutex_lock(&n->lock);
    error = regular_need_object(n);
    if (error == 0) {
        vm_object_ref(n->object, NULL);
        *out = n->object;
        *size = n->size;
    }
    vm_mutex_unlock(&n->lock);
    return error;
}

int64_t
node_mmap(struct node *n, bool writable, struct vm_object **out,
    uint64_t *size)
{
    struct vm_object *o = NULL;
    int64_t error;

    if (node_is(n, UNIX_S_IFCHR) && n->rdev == DEV_ZERO) {
        /* As large as anybody can map. */
        if (writable && vm_object_create((vm_pgno_t)1 <<
            (63 - vm_page_shift), NULL, &o) != VM_OK) {
            return -UNIX_ENOMEM;
        }
        *out = o;
        *size = FILE_SIZE_MAX;
        return 0;
    }
    if (n->ops != &regular_ops) {
        return -UNIX_ENODEV;
    }
    error = node_object(n, out, size);
    if (error != 0 || !writable) {
        return error;
    }
    vm_mutex_lock(&n->lock);
    if ((n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE)) != 0) {
        error = -UNIX_EPERM;
    } else {
        n->mapped = true;
    }
    vm_mutex_unlock(&n->lock);
    if (error != 0) {
        vm_object_unref(*out, NULL);
    }
    return error;
}

/* For st_blocks: what the file takes, or would. */
uint64_t
regular_blocks(struct node *n)
{
    uint64_t blocks;

    vm_mutex_lock(&n->lock);
    if (n->private != NULL) {
        blocks = (n->size + 511) / 512;
    } else {
        blocks = n->object == NULL ? 0 :
            vm_object_page_count(n->object) << (vm_page_shift - 9);
    }
    vm_mutex_unlock(&n->lock);
    return blocks;
}

/* ---- sizes -------------------------------------------------------------- */

static int64_t
regular_error(int error)
{
    return error == VM_E_NOMEM ? -UNIX_ENOSPC : error == VM_E_PAGER ?
        -UNIX_EIO : error == VM_E_INTR ? -UNIX_EINTR : unix_error(error);
}

/* Zero what lies between the end of the file and the end of its page. */
static int64_t
regular_zero_tail(struct node *n, uint64_t size)
{
    uint64_t tail = size & VM_PAGE_MASK;

    return tail == 0 ? 0 : regular_error(vm_object_zero(n->object, size,
        VM_PAGE_SIZE - tail));
}

/* n->lock held: the object gets the pages of a file of that size. */
static int64_t
regular_resize(struct node *n, uint64_t size)
{
    struct regular_archive *ar = n->private;
    uint64_t old = n->size;
    int64_t error = regular_need_object(n);

    if (error != 0) {
        return error;
    }
    if (size > old && n->mapped) {
        /* A program may have stored there: it must not come to light. */
        error = regular_zero_tail(n, old);
        if (error != 0) {
            return error;
        }
    }
    error = regular_error(vm_object_resize(n->object,
        regular_pages(size)));
    if (error != 0) {
        return error;
    }
    if (ar != NULL && size < vm_get(&ar->valid)) {
        vm_set(&ar->valid, size);
    }
    n->size = size;
    if (size < old) {
        error = regular_zero_tail(n, size);
        /* If not now, then before these bytes are part of the file. */
        n->mapped = n->mapped || error != 0;
        regular_recharge(n);
    }
    return error;
}

int64_t
regular_truncate(struct node *n, uint64_t size)
{
    int64_t error = 0;

    if (size > FILE_SIZE_MAX - VM_PAGE_SIZE) {
        return -UNIX_EFBIG;
    }
    vm_mutex_lock(&n->lock);
    if ((size < n->size && (n->seals & F_SEAL_SHRINK) != 0) ||
        (size > n->size && (n->seals & F_SEAL_GROW) != 0)) {
        error = -UNIX_EPERM;
    } else if (size != n->size) {
        error = regular_resize(n, size);
    }
    if (error == 0) {
        n->mtime = n->ctime = file_now();
    }
    vm_mutex_unlock(&n->lock);
    return error;
}

/*
 * n->lock held: [offset, end) of the file reads as zeros from now on.  Only
 * what is there has to be touched: pages in memory, bytes of the archive.
 */
static int64_t
regular_zero(struct node *n, uint64_t offset, uint64_t end)
{
    struct regular_archive *ar = n->private;
    uint64_t valid = ar != NULL ? vm_get(&ar->valid) : 0;
    int64_t error = 0;

    if (offset < valid) {
        uint64_t to = end < valid ? end : valid;

        error = regular_error(vm_object_zero(n->object, offset,
            to - offset));
        offset = to;
    }
    while (offset < end && error == 0) {
        vm_pgno_t pgno = offset >> vm_page_shift;
        uint64_t to;

        if (!vm_object_next_page(n->object, &pgno) ||
            pgno >= regular_pages(end)) {
            break;
        }
        if (pgno << vm_page_shift > offset) {
            offset = pgno << vm_page_shift;
        }
        to = (pgno + 1) << vm_page_shift;
        to = to < end ? to : end;
        error = regular_error(vm_object_zero(n->object, offset,
            to - offset));
        offset = to;
    }
    return error;
}

int64_t
regular_allocate(struct node *n, uint32_t mode, uint64_t offset,
    uint64_t len)
{
    bool zero = (mode & (FALLOC_PUNCH | FALLOC_ZERO)) != 0;
    uint64_t end = offset + len;
    int64_t error = 0;

    if ((mode & ~(FALLOC_KEEP | FALLOC_PUNCH | FALLOC_ZERO)) != 0 ||
        (mode & (FALLOC_PUNCH | FALLOC_KEEP)) == FALLOC_PUNCH) {
        return -UNIX_ENOTSUP;
    }
    if (end > FILE_SIZE_MAX - VM_PAGE_SIZE) {
        return -UNIX_EFBIG;
    }
    vm_mutex_lock(&n->lock);
    if ((zero && (n->seals & F_SEAL_WRITE) != 0) || (end > n->size &&
        (mode & FALLOC_KEEP) == 0 && (n->seals & F_SEAL_GROW) != 0)) {
        error = -UNIX_EPERM;
    }
    if (error == 0 && zero && offset < n->size) {
        error = regular_need_object(n);
        if (error == 0) {
            error = regular_zero(n, offset, end < n->size ? end : n->size);
        }
    }
    /* Nothing is set aside, but what could never be had is refused. */
    if (error == 0 && (mode & FALLOC_PUNCH) == 0 &&
        !regular_has_room(len >> vm_page_shift)) {
        error = -UNIX_ENOSPC;
    }
    if (error == 0 && end > n->size && (mode & FALLOC_KEEP) == 0) {
        error = regular_resize(n, end);
    }
    vm_mutex_unlock(&n->lock);
    return error;
}

/* ---- reading and writing ------------------------------------------------ */

/* A buffer between user memory and the object, as small as will do. */
struct regular_bounce {
    struct vm_page *page;
    unsigned char *buf;
    size_t size;
    unsigned char few[REGULAR_SMALL];
};

static void
bounce_begin(struct regular_bounce *b, uint64_t len)
{
    b->page = NULL;
    b->buf = b->few;
    b->size = REGULAR_SMALL;
    if (len > REGULAR_SMALL) {
        b->page = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    }
    /* Without a page it is slower, but it goes on. */
    if (b->page != NULL) {
        b->buf = vm_page_data(b->page);
        b->size = VM_PAGE_SIZE;
    }
}

static void
bounce_end(struct regular_bounce *b)
{
    if (b->page != NULL) {
        vm_page_free(b->page);
    }
}

/* Up to the end of the page, of the buffer, of what is wanted. */
static size_t
bounce_piece(const struct regular_bounce *b, uint64_t offset, uint64_t left)
{
    uint64_t n = VM_PAGE_SIZE - (offset & VM_PAGE_MASK);

    n = n < b->size ? n : b->size;
    return (size_t)(n < left ? n : left);
}

static int64_t
regular_read_pages(struct node *n, struct file_io *io, uint64_t size)
{
    struct regular_bounce b;
    uint64_t offset = io->offset, done = 0;
    int64_t error = 0;

    if (offset >= size) {
        return 0;
    }
    bounce_begin(&b, io->len < size - offset ? io->len : size - offset);
    while (io->len > 0 && offset < size && error == 0) {
        uint64_t left = io->len < size - offset ? io->len : size - offset;
        size_t part = bounce_piece(&b, offset, left);
        int e = vm_object_read(n->object, offset, b.buf, part);

        if (e == VM_E_ADDRESS) {
            break;              /* cut short meanwhile */
        }
        error = e != VM_OK ? regular_error(e) :
            file_io_out(io, b.buf, part);
        if (error == 0) {
            offset += part;
            done += part;
        }
    }
    bounce_end(&b);
    return done > 0 ? (int64_t)done : error;
}

/* The archive's bytes as they lie, while there is no object. */
static int64_t
regular_read_archive(struct node *n, struct file_io *io, uint64_t size)
{
    struct regular_archive *ar = n->private;
    uint64_t left;

    if (io->offset >= size) {
        return 0;
    }
    left = size - io->offset;
    left = left < io->len ? left : io->len;
    return file_io_out(io, ar->bytes + io->offset, (size_t)left) != 0 ?
        -UNIX_EFAULT : (int64_t)left;
}

static int64_t
regular_read_node(struct node *n, struct file_io *io)
{
    struct vm_object *o;
    uint64_t size;

    /*
     * Once there it stays.  The size is read with it: without an object it
     * is what the archive has, and a file may grow as soon as we let go.
     */
    vm_mutex_lock(&n->lock);
    o = n->object;
    size = n->size;
    vm_mutex_unlock(&n->lock);
    if (o != NULL) {
        return regular_read_pages(n, io, size);
    }
    /* Or nobody has ever written to it. */
    return n->private == NULL ? 0 : regular_read_archive(n, io, size);
}

static int64_t
regular_read(struct file *f, struct file_io *io)
{
    return regular_read_node(f->node, io);
}

int64_t
node_read(struct node *n, uint64_t offset, void *buf, size_t size)
{
    struct unix_iovec v = { (uintptr_t)buf, size };
    struct file_io io = { .iov = &v, .count = 1, .len = size,
        .offset = offset, .kernel = true };

    if (n->ops != &regular_ops) {
        return node_is(n, UNIX_S_IFDIR) ? -UNIX_EISDIR : -UNIX_EACCES;
    }
    return regular_read_node(n, &io);
}

/* May the page at offset be written, with so little space left? */
static bool
regular_page_fits(struct node *n, uint64_t offset)
{
    regular_recharge(n);
    return regular_has_room(1) ||
        vm_object_has_page(n->object, offset >> vm_page_shift);
}

static int64_t
regular_write_pages(struct node *n, struct file_io *io)
{
    struct regular_bounce b;
    uint64_t offset = io->offset, done = 0;
    bool ample = regular_has_room((io->len >> vm_page_shift) + 2);
    int64_t error = 0;

    bounce_begin(&b, io->len);
    while (io->len > 0 && error == 0) {
        size_t part = bounce_piece(&b, offset, io->len);

        if (!ample && !regular_page_fits(n, offset)) {
            error = -UNIX_ENOSPC;
            break;
        }
        error = file_io_in(io, b.buf, part);
        if (error == 0) {
            error = regular_error(vm_object_write(n->object, offset, b.buf,
                part));
        }
        if (error == 0) {
            offset += part;
            done += part;
        }
    }
    bounce_end(&b);
    regular_recharge(n);
    return done > 0 ? (int64_t)done : error;
}

/* n->lock held. */
static int64_t
regular_write_locked(struct node *n, struct file_io *io)
{
    uint64_t old = n->size, end = io->offset + io->len;
    int64_t result;

    if (end > FILE_SIZE_MAX - VM_PAGE_SIZE) {
        return -UNIX_EFBIG;
    }
    if ((n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE)) != 0 ||
        (end > old && (n->seals & F_SEAL_GROW) != 0)) {
        return -UNIX_EPERM;
    }
    result = end > old ? regular_resize(n, end) : regular_need_object(n);
    if (result != 0) {
        return result;
    }
    result = regular_write_pages(n, io);
    if (end > old && (result < 0 ||
        io->offset + (uint64_t)result != end)) {
        /* The bytes that did not come are not there. */
        end = io->offset + (uint64_t)(result > 0 ? result : 0);
        (void)regular_resize(n, result > 0 && end > old ? end : old);
    }
    if (result > 0) {
        n->mtime = n->ctime = file_now();
    }
    return result;
}

static int64_t
regular_write(struct file *f, struct file_io *io)
{
    struct node *n = f->node;
    int64_t result;

    if (io->len == 0) {
        return 0;
    }
    vm_mutex_lock(&n->lock);
    if ((vm_get(&f->flags) & UNIX_O_APPEND) != 0) {
        io->offset = n->size;
    }
    result = regular_write_locked(n, io);
    vm_mutex_unlock(&n->lock);
    return result;
}

static uint32_t
regular_poll(struct file *f)
{
    (void)f;
    return POLL_IN | POLL_OUT | POLL_RDNORM | POLL_WRNORM;
}

static const struct file_ops regular_file_ops = {
    .read = regular_read,
    .write = regular_write,
    .poll = regular_poll,
    .seeks = true,
};

const struct node_ops regular_ops = {
    .file = &regular_file_ops,
    .destroy = regular_destroy,
};
