/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io.c - read(2), write(2) and their kin: from a descriptor and user memory
 * to the file's own operations.
 *
 * A file that seeks has its lock held over a transfer at its offset, so that
 * two threads that share it do not get the same bytes.
 */
#include "file_impl.h"

#define IO_VECTOR_MAX   1024u
#define IO_VECTOR_FEW   8u

/* ---- the other end of a transfer ---------------------------------------- */

static int64_t
io_move(struct file_io *io, unsigned char *buf, size_t n, bool in)
{
    KASSERT(n <= io->len);
    while (n > 0) {
        struct unix_iovec *v = io->iov;
        size_t part = v->len < n ? v->len : n;

        if (part == 0) {
            io->iov++;
            io->count--;
            continue;
        }
        if (io->kernel) {
            void *p = (void *)(uintptr_t)v->base;

            memcpy(in ? (void *)buf : p, in ? p : (void *)buf, part);
        } else if ((in ? md_copyin(buf, v->base, part) :
                md_copyout(v->base, buf, part)) != VM_OK) {
            return -UNIX_EFAULT;
        }
        v->base += part;
        v->len -= part;
        io->len -= part;
        buf += part;
        n -= part;
    }
    return 0;
}

int64_t
file_io_in(struct file_io *io, void *to, size_t n)
{
    return io_move(io, to, n, true);
}

int64_t
file_io_out(struct file_io *io, const void *from, size_t n)
{
    return io_move(io, (unsigned char *)(uintptr_t)from, n, false);
}

/* ---- a transfer --------------------------------------------------------- */

enum io_kind { IO_READ, IO_WRITE };

static int64_t
io_run(struct file *f, struct file_io *io, enum io_kind kind)
{
    int64_t (*run)(struct file *, struct file_io *) =
        kind == IO_READ ? f->ops->read : f->ops->write;

    if (run == NULL) {
        return node_is(f->node, UNIX_S_IFDIR) ? -UNIX_EISDIR :
            -UNIX_EINVAL;
    }
    io->nonblock = (vm_get(&f->flags) & UNIX_O_NONBLOCK) != 0;
    return run(f, io);
}

/* At the file's own offset, which moves on. */
static int64_t
io_here(struct file *f, struct file_io *io, enum io_kind kind)
{
    int64_t n;

    if (!f->ops->seeks) {
        return io_run(f, io, kind);
    }
    vm_mutex_lock(&f->lock);
    io->offset = f->offset;
    n = io_run(f, io, kind);
    if (n > 0) {
        f->offset = io->offset + (uint64_t)n;
    }
    vm_mutex_unlock(&f->lock);
    return n;
}

static int64_t
io_at(struct file *f, struct file_io *io, uint64_t offset,
    enum io_kind kind)
{
    if ((int64_t)offset < 0) {
        return -UNIX_EINVAL;
    }
    if (!f->ops->seeks) {
        return -UNIX_ESPIPE;
    }
    io->offset = offset;
    return io_run(f, io, kind);
}

/* fd, base, len, and at != NULL: offset. */
static int64_t
io_plain(const uint64_t *a, const uint64_t *at, enum io_kind kind)
{
    struct unix_iovec v = { a[1], a[2] < FILE_RW_MAX ? a[2] : FILE_RW_MAX };
    struct file_io io = { .iov = &v, .count = 1, .len = v.len };
    struct file *f;
    int64_t n = kind == IO_READ ? file_get_read((int)a[0], &f) :
        file_get_write((int)a[0], &f);

    if (n != 0) {
        return n;
    }
    if ((int64_t)a[2] < 0) {
        n = -UNIX_EFAULT;       /* no program has so much */
    } else {
        n = at != NULL ? io_at(f, &io, *at, kind) : io_here(f, &io, kind);
    }
    file_unref(f);
    return n;
}

int64_t
sys_read(const uint64_t *a)
{
    return io_plain(a, NULL, IO_READ);
}

int64_t
sys_write(const uint64_t *a)
{
    return io_plain(a, NULL, IO_WRITE);
}

int64_t
sys_pread64(const uint64_t *a)
{
    return io_plain(a, &a[3], IO_READ);
}

int64_t
sys_pwrite64(const uint64_t *a)
{
    return io_plain(a, &a[3], IO_WRITE);
}

/* The vector, checked; the sum of the lengths is cut at FILE_RW_MAX. */
static int64_t
io_vector(struct file_io *io, uint64_t base, unsigned count)
{
    io->count = count;
    io->len = 0;
    if (unix_copyin(io->iov, base, count * sizeof(*io->iov)) != 0) {
        return -UNIX_EFAULT;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t len = io->iov[i].len;

        if ((int64_t)len < 0) {
            return -UNIX_EINVAL;
        }
        io->len += len < FILE_RW_MAX - io->len ? len :
            FILE_RW_MAX - io->len;
    }
    return 0;
}

static int64_t
io_vectors(const uint64_t *a, const uint64_t *at, enum io_kind kind)
{
    struct unix_iovec few[IO_VECTOR_FEW], *many = NULL;
    struct file_io io = { .iov = few };
    size_t size = (size_t)a[2] * sizeof(*many);
    struct file *f;
    int64_t n;

    if (a[2] > IO_VECTOR_MAX) {
        return -UNIX_EINVAL;
    }
    n = kind == IO_READ ? file_get_read((int)a[0], &f) :
        file_get_write((int)a[0], &f);
    if (n != 0) {
        return n;
    }
    if (a[2] > IO_VECTOR_FEW) {
        io.iov = many = kern_alloc(size);
    }
    n = io.iov == NULL ? -UNIX_ENOMEM :
        io_vector(&io, a[1], (unsigned)a[2]);
    if (n == 0) {
        n = at != NULL ? io_at(f, &io, *at, kind) : io_here(f, &io, kind);
    }
    if (many != NULL) {
        kern_free(many, size);
    }
    file_unref(f);
    return n;
}

int64_t
sys_readv(const uint64_t *a)
{
    return io_vectors(a, NULL, IO_READ);
}

int64_t
sys_writev(const uint64_t *a)
{
    return io_vectors(a, NULL, IO_WRITE);
}

int64_t
sys_preadv(const uint64_t *a)
{
    return io_vectors(a, &a[3], IO_READ);
}

int64_t
sys_pwritev(const uint64_t *a)
{
    return io_vectors(a, &a[3], IO_WRITE);
}

/* ---- offsets and sizes -------------------------------------------------- */

static int64_t
lseek_to(struct file *f, int64_t offset, unsigned whence)
{
    int64_t size = (int64_t)f->node->size, base = 0;

    switch (whence) {
    case 0:                     /* SEEK_SET */
        break;
    case 1:                     /* SEEK_CUR */
        base = (int64_t)f->offset;
        break;
    case 2:                     /* SEEK_END */
        base = node_is(f->node, UNIX_S_IFREG) ? size : 0;
        break;
    case 3:                     /* SEEK_DATA: all of it is */
    case 4:                     /* SEEK_HOLE: the one at the end */
        if (offset < 0 || offset >= size) {
            return -UNIX_ENXIO;
        }
        offset = whence == 3 ? offset : size;
        break;
    default:
        return -UNIX_EINVAL;
    }
    if (__builtin_add_overflow(base, offset, &offset)) {
        return -UNIX_EOVERFLOW;
    }
    if (offset < 0) {
        return -UNIX_EINVAL;
    }
    f->offset = (uint64_t)offset;
    return offset;
}

int64_t
sys_lseek(const uint64_t *a)
{
    struct file *f;
    int64_t result = file_get((int)a[0], &f);

    if (result != 0) {
        return result;
    }
    if ((vm_get(&f->flags) & UNIX_O_PATH) != 0) {
        result = -UNIX_EBADF;
    } else if (!f->ops->seeks) {
        result = -UNIX_ESPIPE;
    } else {
        vm_mutex_lock(&f->lock);
        result = lseek_to(f, (int64_t)a[1], (unsigned)a[2]);
        vm_mutex_unlock(&f->lock);
    }
    file_unref(f);
    return result;
}

int64_t
sys_ftruncate(const uint64_t *a)
{
    struct file *f;
    int64_t result = file_get((int)a[0], &f);

    if (result != 0) {
        return result;
    }
    if ((int64_t)a[1] < 0 || !file_may_write(f) ||
        f->node->ops != &regular_ops) {
        result = -UNIX_EINVAL;
    } else {
        result = regular_truncate(f->node, a[1]);
    }
    file_unref(f);
    return result;
}

int64_t
sys_truncate(const uint64_t *a)
{
    char path[UNIX_PATH_MAX];
    struct node *n;
    int64_t error = unix_copyin_path(path, a[0]);

    if (error != 0) {
        return error;
    }
    if ((int64_t)a[1] < 0) {
        return -UNIX_EINVAL;
    }
    error = node_walk(NULL, path, true, &n);
    if (error != 0) {
        return error;
    }
    error = node_is(n, UNIX_S_IFDIR) ? -UNIX_EISDIR :
        n->ops != &regular_ops ? -UNIX_EINVAL :
        vm_get(&n->running) != 0 ? -UNIX_ETXTBSY : regular_truncate(n, a[1]);
    node_unref(n);
    return error;
}

int64_t
sys_fallocate(const uint64_t *a)
{
    struct file *f;
    int64_t result = file_get_write((int)a[0], &f);

    if (result != 0) {
        return result;
    }
    if ((int64_t)a[2] < 0 || (int64_t)a[3] <= 0) {
        result = -UNIX_EINVAL;
    } else if (a[2] + a[3] > FILE_SIZE_MAX) {
        result = -UNIX_EFBIG;
    } else if (node_is(f->node, UNIX_S_IFIFO)) {
        result = -UNIX_ESPIPE;
    } else if (f->node->ops != &regular_ops) {
        result = -UNIX_ENODEV;
    } else {
        result = regular_allocate(f->node, (uint32_t)a[1], a[2], a[3]);
    }
    file_unref(f);
    return result;
}

/* fsync(2) and the like: memory is all the storage there is. */
static int64_t
io_nothing(const uint64_t *a)
{
    struct file *f;
    int64_t error = file_get((int)a[0], &f);

    if (error == 0) {
        file_unref(f);
    }
    return error;
}

int64_t
sys_fsync(const uint64_t *a)
{
    return io_nothing(a);
}

int64_t
sys_fdatasync(const uint64_t *a)
{
    return io_nothing(a);
}

int64_t
sys_sync(const uint64_t *a)
{
    (void)a;
    return 0;
}

int64_t
sys_fadvise64(const uint64_t *a)
{
    return io_nothing(a);
}

int64_t
sys_flock(const uint64_t *a)
{
    return io_nothing(a);
}

/* ---- from file to file -------------------------------------------------- */

/*
 * One piece of at most a page, through a buffer.  at: offsets, or NULL for
 * the file's own.  What was read and could not be written is given back: an
 * own offset is set back, which a file that does not seek cannot.
 */
static int64_t
io_piece(struct file *in, uint64_t *in_at, struct file *out,
    uint64_t *out_at, void *buf, size_t n)
{
    struct unix_iovec v = { (uintptr_t)buf, n };
    struct file_io io = { .iov = &v, .count = 1, .len = n, .kernel = true };
    int64_t got = in_at != NULL ? io_at(in, &io, *in_at, IO_READ) :
        io_here(in, &io, IO_READ), put;

    if (got <= 0) {
        return got;
    }
    v = (struct unix_iovec){ (uintptr_t)buf, (uint64_t)got };
    io = (struct file_io){ .iov = &v, .count = 1, .len = (uint64_t)got,
        .kernel = true };
    put = out_at != NULL ? io_at(out, &io, *out_at, IO_WRITE) :
        io_here(out, &io, IO_WRITE);
    if (in_at != NULL) {
        *in_at += put > 0 ? (uint64_t)put : 0;
    } else if (put < got && in->ops->seeks) {
        vm_mutex_lock(&in->lock);
        in->offset -= (uint64_t)(got - (put > 0 ? put : 0));
        vm_mutex_unlock(&in->lock);
    }
    if (out_at != NULL && put > 0) {
        *out_at += (uint64_t)put;
    }
    return put;
}

static int64_t
io_transfer(struct file *in, uint64_t *in_at, struct file *out,
    uint64_t *out_at, uint64_t len)
{
    struct vm_page *page = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
    uint64_t done = 0;
    int64_t n = 0;

    if (page == NULL) {
        return -UNIX_ENOMEM;
    }
    len = len < FILE_RW_MAX ? len : FILE_RW_MAX;
    while (done < len) {
        uint64_t left = len - done;

        n = io_piece(in, in_at, out, out_at, vm_page_data(page),
            left < VM_PAGE_SIZE ? (size_t)left : (size_t)VM_PAGE_SIZE);
        if (n <= 0) {
            break;
        }
        done += (uint64_t)n;
        if (proc_signal_pending()) {
            break;
        }
    }
    vm_page_free(page);
    return done > 0 ? (int64_t)done : n;
}

/* An offset in user memory, if there is one. */
static int64_t
io_offset_in(uint64_t from, uint64_t *value, uint64_t **out)
{
    *out = NULL;
    if (from == 0) {
        return 0;
    }
    if (unix_copyin(value, from, sizeof(*value)) != 0) {
        return -UNIX_EFAULT;
    }
    *out = value;
    return (int64_t)*value < 0 ? -UNIX_EINVAL : 0;
}

/* out, in, in's offset or 0, out's or 0, length */
static int64_t
io_between(int out_fd, int in_fd, uint64_t in_user, uint64_t out_user,
    uint64_t len, bool regular)
{
    uint64_t in_value, out_value, *in_at, *out_at;
    struct file *in, *out;
    int64_t n = file_get_read(in_fd, &in);

    if (n != 0) {
        return n;
    }
    n = file_get_write(out_fd, &out);
    if (n != 0) {
        file_unref(in);
        return n;
    }
    n = io_offset_in(in_user, &in_value, &in_at);
    if (n == 0) {
        n = io_offset_in(out_user, &out_value, &out_at);
    }
    if (n == 0 && regular && (in->node->ops != &regular_ops ||
        out->node->ops != &regular_ops)) {
        n = -UNIX_EINVAL;
    }
    if (n == 0) {
        n = io_transfer(in, in_at, out, out_at, len);
        if (n >= 0 && ((in_at != NULL && unix_copyout(in_user, in_at,
            sizeof(*in_at)) != 0) || (out_at != NULL &&
            unix_copyout(out_user, out_at, sizeof(*out_at)) != 0))) {
            n = -UNIX_EFAULT;
        }
    }
    file_unref(out);
    file_unref(in);
    return n;
}

int64_t
sys_sendfile(const uint64_t *a)
{
    return io_between((int)a[0], (int)a[1], a[2], 0, a[3], false);
}

int64_t
sys_copy_file_range(const uint64_t *a)
{
    if (a[5] != 0) {
        return -UNIX_EINVAL;
    }
    return io_between((int)a[2], (int)a[0], a[1], a[3], a[4], true);
}
