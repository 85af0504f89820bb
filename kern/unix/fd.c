/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fd.c - tables of descriptors: dup(2), fcntl(2), close(2), close_range(2).
 *
 * A table is an array that doubles on demand, the first FD_FEW entries inside
 * the table itself.  One lock guards it.  A table with one reference, in
 * a process with one thread, has one thread that changes it, and that is the
 * reader too: file_get() then takes no lock.  (procfs reads the tables of others under their lock.)
 */
#include "file_impl.h"
#include "vm_zone.h"

#define FD_FEW          16u
#define FD_MAX          1024u
#define FD_RLIMIT       7u              /* RLIMIT_NOFILE */
#define FD_CLOEXEC      1u

#define F_DUPFD         0u
#define F_GETFD         1u
#define F_SETFD         2u
#define F_GETFL         3u
#define F_SETFL         4u
#define F_GETLK         5u
#define F_SETLK         6u
#define F_SETLKW        7u
#define F_SETOWN        8u
#define F_GETOWN        9u
#define F_OFD_GETLK     36u
#define F_OFD_SETLK     37u
#define F_OFD_SETLKW    38u
#define F_DUPFD_CLOEXEC 1030u
#define F_SETPIPE_SZ    1031u
#define F_GETPIPE_SZ    1032u
#define F_ADD_SEALS     1033u
#define F_GET_SEALS     1034u
#define F_SEAL_SEAL     1u
#define F_SEAL_ALL      31u
#define FL_CHANGEABLE   (UNIX_O_APPEND | UNIX_O_NONBLOCK | UNIX_O_DIRECT)

struct fd_table {
    void *zone_link;
    struct vm_mutex lock;
    _Atomic uint32_t ref_count;
    unsigned size;              /* (d) entries of file[] */
    unsigned lowest;            /* (d) none below is free */
    struct file **file;         /* (d) NULL: free */
    uint64_t cloexec[FD_MAX / 64];      /* (d) */
    struct file *few[FD_FEW];
};

static struct vm_zone fd_zone;

void
fd_init(void)
{
    vm_zone_init(&fd_zone, "fd_table", sizeof(struct fd_table));
}

int64_t
fds_create(struct fd_table **out)
{
    struct fd_table *t = vm_zone_alloc(&fd_zone);

    if (t == NULL) {
        return -UNIX_ENOMEM;
    }
    memset(t, 0, sizeof(*t));
    t->lock.rank = KERN_RANK_FDS;
    vm_set(&t->ref_count, 1);
    t->size = FD_FEW;
    t->file = t->few;
    *out = t;
    return 0;
}

/* Make room for descriptor fd < FD_MAX; locked or not yet shared. */
static int64_t
fd_grow(struct fd_table *t, unsigned fd)
{
    unsigned size = t->size;
    struct file **file;

    while (size <= fd) {
        size *= 2;
    }
    if (size == t->size) {
        return 0;
    }
    file = kern_alloc(size * sizeof(*file));
    if (file == NULL) {
        return -UNIX_ENOMEM;
    }
    memcpy(file, t->file, t->size * sizeof(*file));
    if (t->file != t->few) {
        kern_free(t->file, t->size * sizeof(*file));
    }
    t->file = file;
    t->size = size;
    return 0;
}

int64_t
fds_copy(struct fd_table *from, struct fd_table **out)
{
    struct fd_table *t;
    int64_t error = fds_create(&t);

    if (error != 0) {
        return error;
    }
    vm_mutex_lock(&from->lock);
    error = fd_grow(t, from->size - 1);
    if (error == 0) {
        for (unsigned i = 0; i < from->size; i++) {
            t->file[i] = from->file[i];
            if (t->file[i] != NULL) {
                file_ref(t->file[i]);
            }
        }
        memcpy(t->cloexec, from->cloexec, sizeof(t->cloexec));
        t->lowest = from->lowest;
    }
    vm_mutex_unlock(&from->lock);
    if (error != 0) {
        fds_unref(t);
        return error;
    }
    *out = t;
    return 0;
}

void
fds_ref(struct fd_table *t)
{
    atomic_fetch_add_explicit(&t->ref_count, 1, memory_order_relaxed);
}

void
fds_unref(struct fd_table *t)
{
    if (atomic_fetch_sub_explicit(&t->ref_count, 1,
            memory_order_acq_rel) != 1) {
        return;
    }
    for (unsigned i = 0; i < t->size; i++) {
        if (t->file[i] != NULL) {
            file_unref(t->file[i]);
        }
    }
    if (t->file != t->few) {
        kern_free(t->file, t->size * sizeof(*t->file));
    }
    vm_zone_free(&fd_zone, t);
}

static bool
fd_cloexec(const struct fd_table *t, unsigned fd)
{
    return (t->cloexec[fd / 64] >> fd % 64 & 1) != 0;
}

static void
fd_set_cloexec(struct fd_table *t, unsigned fd, bool on)
{
    uint64_t bit = (uint64_t)1 << fd % 64;

    t->cloexec[fd / 64] = on ? t->cloexec[fd / 64] | bit :
        t->cloexec[fd / 64] & ~bit;
}

/* Take what is there out; locked.  The reference is the caller's. */
static struct file *
fd_take(struct fd_table *t, unsigned fd)
{
    struct file *f = fd < t->size ? t->file[fd] : NULL;

    if (f != NULL) {
        t->file[fd] = NULL;
        fd_set_cloexec(t, fd, false);
        t->lowest = fd < t->lowest ? fd : t->lowest;
    }
    return f;
}

void
fds_exec(struct fd_table *t)
{
    for (unsigned i = 0; i < FD_MAX / 64; i++) {
        while (t->cloexec[i] != 0) {
            unsigned fd = i * 64 + (unsigned)__builtin_ctzll(t->cloexec[i]);
            struct file *f;

            vm_mutex_lock(&t->lock);
            f = fd_take(t, fd);
            fd_set_cloexec(t, fd, false);
            vm_mutex_unlock(&t->lock);
            if (f != NULL) {
                file_unref(f);
            }
        }
    }
}

int64_t
file_get(int fd, struct file **out)
{
    struct proc *self = proc_current();
    struct fd_table *t = self->fds;
    bool shared = vm_get(&t->ref_count) != 1 || self->nthreads != 1;
    struct file *f = NULL;

    if (shared) {
        vm_mutex_lock(&t->lock);
    }
    if ((unsigned)fd < t->size) {
        f = t->file[fd];
        if (f != NULL) {
            file_ref(f);
        }
    }
    if (shared) {
        vm_mutex_unlock(&t->lock);
    }
    *out = f;
    return f != NULL ? 0 : -UNIX_EBADF;
}

int64_t
file_get_read(int fd, struct file **out)
{
    int64_t error = file_get(fd, out);

    if (error == 0 && !file_may_read(*out)) {
        file_unref(*out);
        return -UNIX_EBADF;
    }
    return error;
}

int64_t
file_get_write(int fd, struct file **out)
{
    int64_t error = file_get(fd, out);

    if (error == 0 && !file_may_write(*out)) {
        file_unref(*out);
        return -UNIX_EBADF;
    }
    return error;
}

static unsigned
fd_limit(void)
{
    uint64_t n = proc_current()->rlimit[FD_RLIMIT][0];

    return n < FD_MAX ? (unsigned)n : FD_MAX;
}

/* A free descriptor >= from, locked; or -errno. */
static int64_t
fd_find(struct fd_table *t, unsigned from)
{
    unsigned fd = from > t->lowest ? from : t->lowest;
    int64_t error;

    while (fd < t->size && t->file[fd] != NULL) {
        fd++;
    }
    if (fd >= fd_limit()) {
        return -UNIX_EMFILE;
    }
    error = fd_grow(t, fd);
    if (error != 0) {
        return error;
    }
    if (from <= t->lowest) {
        t->lowest = fd;
    }
    return fd;
}

static void
fd_put(struct fd_table *t, unsigned fd, struct file *f, bool cloexec)
{
    t->file[fd] = f;
    fd_set_cloexec(t, fd, cloexec);
}

void
fd_preset(struct fd_table *t, unsigned fd, struct file *f)
{
    KASSERT(fd < t->size && t->file[fd] == NULL);
    fd_put(t, fd, f, false);
}

int64_t
fd_install(struct file *f, unsigned from, bool cloexec)
{
    struct fd_table *t = proc_current()->fds;
    int64_t fd;

    vm_mutex_lock(&t->lock);
    fd = fd_find(t, from);
    if (fd >= 0) {
        fd_put(t, (unsigned)fd, f, cloexec);
    }
    vm_mutex_unlock(&t->lock);
    if (fd < 0) {
        file_unref(f);
    }
    return fd;
}

int64_t
fd_install_pair(struct file *f[2], bool cloexec, int fd[2])
{
    struct fd_table *t = proc_current()->fds;
    int64_t a, b = -UNIX_EMFILE;

    vm_mutex_lock(&t->lock);
    a = fd_find(t, 0);
    if (a >= 0) {
        fd_put(t, (unsigned)a, f[0], cloexec);
        b = fd_find(t, 0);
        if (b >= 0) {
            fd_put(t, (unsigned)b, f[1], cloexec);
        } else {
            fd_take(t, (unsigned)a);
        }
    }
    vm_mutex_unlock(&t->lock);
    if (a < 0 || b < 0) {
        file_unref(f[0]);
        file_unref(f[1]);
        return a < 0 ? a : b;
    }
    fd[0] = (int)a;
    fd[1] = (int)b;
    return 0;
}

bool
fd_next(struct fd_table *t, unsigned *fd, struct file **out)
{
    bool found = false;

    vm_mutex_lock(&t->lock);
    for (; *fd < t->size && !found; ++*fd) {
        if (t->file[*fd] != NULL) {
            *out = t->file[*fd];
            file_ref(*out);
            found = true;
            --*fd;
        }
    }
    vm_mutex_unlock(&t->lock);
    return found;
}

int64_t
sys_close(const uint64_t *a)
{
    struct fd_table *t = proc_current()->fds;
    struct file *f;

    vm_mutex_lock(&t->lock);
    f = fd_take(t, (unsigned)a[0]);
    vm_mutex_unlock(&t->lock);
    if (f == NULL) {
        return -UNIX_EBADF;
    }
    file_unref(f);
    return 0;
}

/* close_range(2): first, last, flags.  One table cannot be unshared here. */
int64_t
sys_close_range(const uint64_t *a)
{
    struct fd_table *t = proc_current()->fds;
    unsigned first = (unsigned)a[0], last = (unsigned)a[1];
    bool mark = (a[2] & 4) != 0;        /* CLOSE_RANGE_CLOEXEC */

    if (first > last || (a[2] & ~(uint64_t)6) != 0) {
        return -UNIX_EINVAL;
    }
    last = last < FD_MAX ? last : FD_MAX - 1;
    for (unsigned fd = first; fd <= last; fd++) {
        struct file *f = NULL;

        vm_mutex_lock(&t->lock);
        if (!mark) {
            f = fd_take(t, fd);
        } else if (fd < t->size && t->file[fd] != NULL) {
            fd_set_cloexec(t, fd, true);
        }
        vm_mutex_unlock(&t->lock);
        if (f != NULL) {
            file_unref(f);
        }
    }
    return 0;
}

static int64_t
fd_dup(int fd, unsigned from, bool cloexec)
{
    struct file *f;
    int64_t error = file_get(fd, &f);

    return error != 0 ? error : fd_install(f, from, cloexec);
}

int64_t
sys_dup(const uint64_t *a)
{
    return fd_dup((int)a[0], 0, false);
}

static int64_t
fd_dup_to(unsigned from, unsigned to, bool cloexec)
{
    struct fd_table *t = proc_current()->fds;
    struct file *f, *old = NULL;
    int64_t error;

    if (to >= fd_limit()) {
        return -UNIX_EBADF;
    }
    error = file_get((int)from, &f);
    if (error != 0) {
        return error;
    }
    vm_mutex_lock(&t->lock);
    error = fd_grow(t, to);
    if (error == 0) {
        old = fd_take(t, to);
        fd_put(t, to, f, cloexec);
    }
    vm_mutex_unlock(&t->lock);
    if (error != 0) {
        file_unref(f);
        return error;
    }
    if (old != NULL) {
        file_unref(old);
    }
    return to;
}

int64_t
sys_dup2(const uint64_t *a)
{
    unsigned from = (unsigned)a[0], to = (unsigned)a[1];
    struct file *f;
    int64_t error;

    if (from != to) {
        return fd_dup_to(from, to, false);
    }
    error = file_get((int)from, &f);
    if (error != 0) {
        return error;
    }
    file_unref(f);
    return to;
}

int64_t
sys_dup3(const uint64_t *a)
{
    if ((a[2] & ~(uint64_t)UNIX_O_CLOEXEC) != 0 ||
        (unsigned)a[0] == (unsigned)a[1]) {
        return -UNIX_EINVAL;
    }
    return fd_dup_to((unsigned)a[0], (unsigned)a[1], a[2] != 0);
}

/* ---- fcntl -------------------------------------------------------------- */

static int64_t
fcntl_cloexec(unsigned fd, bool set, uint64_t arg)
{
    struct fd_table *t = proc_current()->fds;
    int64_t result = 0;

    vm_mutex_lock(&t->lock);
    if (fd >= t->size || t->file[fd] == NULL) {
        result = -UNIX_EBADF;
    } else if (set) {
        fd_set_cloexec(t, fd, (arg & FD_CLOEXEC) != 0);
    } else {
        result = fd_cloexec(t, fd) ? FD_CLOEXEC : 0;
    }
    vm_mutex_unlock(&t->lock);
    return result;
}

static int64_t
fcntl_flags(struct file *f, uint64_t arg)
{
    vm_mutex_lock(&f->lock);
    vm_set(&f->flags, (vm_get(&f->flags) & ~(uint32_t)FL_CHANGEABLE) |
        ((uint32_t)arg & FL_CHANGEABLE));
    vm_mutex_unlock(&f->lock);
    return 0;
}

static int64_t
fcntl_seals(struct file *f, bool add, uint64_t arg)
{
    struct node *n = f->node;
    int64_t result;

    if (n->ops != &regular_ops) {
        return -UNIX_EINVAL;
    }
    vm_mutex_lock(&n->lock);
    if (!add) {
        result = n->seals;
    } else if ((arg & ~(uint64_t)F_SEAL_ALL) != 0) {
        result = -UNIX_EINVAL;
    } else if (!file_may_write(f) || (n->seals & F_SEAL_SEAL) != 0) {
        result = -UNIX_EPERM;
    } else {
        n->seals |= (uint32_t)arg;
        result = 0;
    }
    vm_mutex_unlock(&n->lock);
    return result;
}

/*
 * Locks of files are granted to whoever asks: nothing here would know who
 * else has one, and programs that ask for them run alone.
 */
static int64_t
fcntl_lock(uint64_t cmd, uint64_t arg)
{
    int16_t type;

    if (unix_copyin(&type, arg, sizeof(type)) != 0) {
        return -UNIX_EFAULT;
    }
    if (type < 0 || type > 2) {
        return -UNIX_EINVAL;
    }
    if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
        type = 2;               /* F_UNLCK */
        return unix_copyout(arg, &type, sizeof(type));
    }
    return 0;
}

static int64_t
fcntl_file(struct file *f, uint64_t cmd, uint64_t arg)
{
    switch (cmd) {
    case F_GETFL:
        return (int64_t)(vm_get(&f->flags) & ~UNIX_O_CLOEXEC);
    case F_SETFL:
        return fcntl_flags(f, arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return fcntl_lock(cmd, arg);
    case F_SETOWN:
    case F_GETOWN:
        return 0;
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
        return !node_is(f->node, UNIX_S_IFIFO) ? -UNIX_EBADF :
            cmd == F_SETPIPE_SZ && arg > 65536 ? -UNIX_EPERM : 65536;
    case F_ADD_SEALS:
    case F_GET_SEALS:
        return fcntl_seals(f, cmd == F_ADD_SEALS, arg);
    }
    return -UNIX_EINVAL;
}

int64_t
sys_fcntl(const uint64_t *a)
{
    uint64_t cmd = (unsigned)a[1];
    struct file *f;
    int64_t result;

    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (a[2] >= fd_limit()) {
            return -UNIX_EINVAL;
        }
        return fd_dup((int)a[0], (unsigned)a[2], cmd == F_DUPFD_CLOEXEC);
    case F_GETFD:
    case F_SETFD:
        return fcntl_cloexec((unsigned)a[0], cmd == F_SETFD, a[2]);
    }
    result = file_get((int)a[0], &f);
    if (result != 0) {
        return result;
    }
    result = (vm_get(&f->flags) & UNIX_O_PATH) != 0 && cmd != F_GETFL ?
        -UNIX_EBADF : fcntl_file(f, cmd, a[2]);
    file_unref(f);
    return result;
}
