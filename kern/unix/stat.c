/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stat.c - what is known about files: stat(2), statx(2), statfs(2),
 * access(2), and what may be set: chmod(2), chown(2), utimensat(2).
 */
#include "file_impl.h"

#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EACCESS          0x200u
#define AT_EMPTY_PATH       0x1000u
#define AT_STATX_MASK       0x6000u
#define AT_NO_AUTOMOUNT     0x800u
#define CWD                 ((uint64_t)UNIX_AT_FDCWD)

#define STAT_DEV            DEV(0, 1)
#define UTIME_NOW           0x3fffffff
#define UTIME_OMIT          0x3ffffffe
#define NS                  1000000000

/* The node of (dirfd, path), or of dirfd itself; referenced. */
static int64_t
stat_node(uint64_t dirfd, uint64_t upath, uint64_t flags,
    struct node **out)
{
    char path[UNIX_PATH_MAX];
    struct node *at;
    struct file *f;
    int64_t error = unix_copyin_path(path, upath);

    if (error == -UNIX_ENOENT && (flags & AT_EMPTY_PATH) != 0) {
        if ((int)dirfd == UNIX_AT_FDCWD) {
            return node_walk(NULL, ".", true, out);
        }
        error = file_get((int)dirfd, &f);
        if (error == 0) {
            *out = f->node;
            node_ref(*out);
            file_unref(f);
        }
        return error;
    }
    if (error != 0) {
        return error;
    }
    error = file_at(dirfd, path, &at);
    if (error != 0) {
        return error;
    }
    error = node_walk(at, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, out);
    if (at != NULL) {
        node_unref(at);
    }
    return error;
}

static uint64_t
stat_blocks(struct node *n)
{
    return n->ops == &regular_ops ? regular_blocks(n) : 0;
}

static uint64_t
stat_size(const struct node *n)
{
    /* A directory shows what its entries take, as tmpfs does. */
    return node_is(n, UNIX_S_IFDIR) ? (n->size + 2) * 20 : n->size;
}

/* As statx(2) has it. */
struct stat_time {
    int64_t sec;
    uint32_t nsec;
    int32_t pad;
};

/* nsec counts forward from sec, also before 1970. */
static struct stat_time
stat_time(int64_t ns)
{
    int64_t nsec = ns % NS < 0 ? ns % NS + NS : ns % NS;

    return (struct stat_time){ .sec = (ns - nsec) / NS,
        .nsec = (uint32_t)nsec };
}

static int64_t
stat_out(struct node *n, uint64_t to)
{
    struct unix_stat st;

    memset(&st, 0, sizeof(st));
    st.st_blocks = (int64_t)stat_blocks(n);
    vm_mutex_lock(&n->lock);
    st.st_dev = STAT_DEV;
    st.st_ino = n->ino;
    st.st_mode = n->mode;
    st.st_nlink = n->nlink;
    st.st_uid = n->uid;
    st.st_gid = n->gid;
    st.st_rdev = n->rdev;
    st.st_size = (int64_t)stat_size(n);
    st.st_blksize = 4096;
    st.st_atime = stat_time(n->atime).sec;
    st.st_atime_nsec = stat_time(n->atime).nsec;
    st.st_mtime = stat_time(n->mtime).sec;
    st.st_mtime_nsec = stat_time(n->mtime).nsec;
    st.st_ctime = stat_time(n->ctime).sec;
    st.st_ctime_nsec = stat_time(n->ctime).nsec;
    vm_mutex_unlock(&n->lock);
    return unix_copyout(to, &st, sizeof(st));
}

static int64_t
stat_path(uint64_t dirfd, uint64_t upath, uint64_t to, uint64_t flags)
{
    struct node *n;
    int64_t error;

    if ((flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH |
        AT_NO_AUTOMOUNT)) != 0) {
        return -UNIX_EINVAL;
    }
    error = stat_node(dirfd, upath, flags, &n);
    if (error != 0) {
        return error;
    }
    error = stat_out(n, to);
    node_unref(n);
    return error;
}

int64_t
sys_stat(const uint64_t *a)
{
    return stat_path(CWD, a[0], a[1], 0);
}

int64_t
sys_lstat(const uint64_t *a)
{
    return stat_path(CWD, a[0], a[1], AT_SYMLINK_NOFOLLOW);
}

int64_t
sys_newfstatat(const uint64_t *a)
{
    return stat_path(a[0], a[1], a[2], (uint32_t)a[3]);
}

int64_t
sys_fstat(const uint64_t *a)
{
    struct file *f;
    int64_t error = file_get((int)a[0], &f);

    if (error != 0) {
        return error;
    }
    error = stat_out(f->node, a[1]);
    file_unref(f);
    return error;
}

/* ---- statx: the same on every machine ----------------------------------- */

struct stat_x {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad0;
    uint64_t ino, size, blocks, attributes_mask;
    struct stat_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t more[14];
};
_Static_assert(sizeof(struct stat_x) == 256, "struct statx");
#define STATX_BASIC 0x7ffu

int64_t
sys_statx(const uint64_t *a)
{
    uint64_t flags = (uint32_t)a[2];
    struct stat_x x;
    struct node *n;
    int64_t error;

    if ((flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH |
        AT_NO_AUTOMOUNT | AT_STATX_MASK)) != 0 ||
        (flags & AT_STATX_MASK) == AT_STATX_MASK) {
        return -UNIX_EINVAL;
    }
    error = stat_node(a[0], a[1], flags, &n);
    if (error != 0) {
        return error;
    }
    memset(&x, 0, sizeof(x));
    x.blocks = stat_blocks(n);
    vm_mutex_lock(&n->lock);
    x.mask = STATX_BASIC;
    x.blksize = 4096;
    x.nlink = n->nlink;
    x.uid = n->uid;
    x.gid = n->gid;
    x.mode = (uint16_t)n->mode;
    x.ino = n->ino;
    x.size = stat_size(n);
    x.atime = stat_time(n->atime);
    x.ctime = stat_time(n->ctime);
    x.mtime = stat_time(n->mtime);
    x.rdev_major = (uint32_t)(n->rdev >> 8);
    x.rdev_minor = (uint32_t)(n->rdev & 255);
    x.dev_minor = STAT_DEV;
    vm_mutex_unlock(&n->lock);
    node_unref(n);
    return unix_copyout(a[4], &x, sizeof(x));
}

/* ---- statfs: the same on every 64-bit machine --------------------------- */

struct stat_fs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct stat_fs) == 120, "struct statfs");
#define STAT_TMPFS_MAGIC    0x01021994
#define STAT_PROC_MAGIC     0x9fa0

static int64_t
statfs_out(struct node *n, uint64_t to)
{
    struct stat_fs s;

    memset(&s, 0, sizeof(s));
    s.type = n->ops->lookup != NULL ? STAT_PROC_MAGIC : STAT_TMPFS_MAGIC;
    s.bsize = s.frsize = (int64_t)VM_PAGE_SIZE;
    if (n->ops->lookup == NULL) {
        s.blocks = regular_space(&s.bfree);
        s.bavail = s.bfree;
        s.files = node_space(&s.ffree);
    }
    s.namelen = FILE_NAME_MAX;
    return unix_copyout(to, &s, sizeof(s));
}

int64_t
sys_statfs(const uint64_t *a)
{
    struct node *n;
    int64_t error = stat_node(CWD, a[0], 0, &n);

    if (error == 0) {
        error = statfs_out(n, a[1]);
        node_unref(n);
    }
    return error;
}

int64_t
sys_fstatfs(const uint64_t *a)
{
    struct file *f;
    int64_t error = file_get((int)a[0], &f);

    if (error == 0) {
        error = statfs_out(f->node, a[1]);
        file_unref(f);
    }
    return error;
}

/* ---- access: the superuser may all but execute what nobody may ---------- */

static int64_t
stat_access(uint64_t dirfd, uint64_t upath, uint64_t mode, uint64_t flags)
{
    struct node *n;
    int64_t error;

    if ((mode & ~(uint64_t)7) != 0 || (flags & ~(uint64_t)(AT_EACCESS |
        AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
        return -UNIX_EINVAL;
    }
    error = stat_node(dirfd, upath, flags, &n);
    if (error != 0) {
        return error;
    }
    if ((mode & 1) != 0 && node_is(n, UNIX_S_IFREG) &&
        (n->mode & 0111) == 0) {
        error = -UNIX_EACCES;
    }
    node_unref(n);
    return error;
}

int64_t
sys_access(const uint64_t *a)
{
    return stat_access(CWD, a[0], (uint32_t)a[1], 0);
}

int64_t
sys_faccessat(const uint64_t *a)
{
    return stat_access(a[0], a[1], (uint32_t)a[2], 0);
}

int64_t
sys_faccessat2(const uint64_t *a)
{
    return stat_access(a[0], a[1], (uint32_t)a[2], (uint32_t)a[3]);
}

/* ---- setting ------------------------------------------------------------ */

static int64_t
stat_chmod(struct node *n, uint64_t mode)
{
    vm_mutex_lock(&n->lock);
    n->mode = (n->mode & UNIX_S_IFMT) | ((uint32_t)mode & 07777);
    n->ctime = file_now();
    vm_mutex_unlock(&n->lock);
    return 0;
}

static int64_t
stat_chown(struct node *n, uint64_t uid, uint64_t gid)
{
    vm_mutex_lock(&n->lock);
    n->uid = (uint32_t)uid == ~0u ? n->uid : (uint32_t)uid;
    n->gid = (uint32_t)gid == ~0u ? n->gid : (uint32_t)gid;
    n->ctime = file_now();
    vm_mutex_unlock(&n->lock);
    return 0;
}

int64_t
sys_fchmodat(const uint64_t *a)
{
    struct node *n;
    int64_t error = stat_node(a[0], a[1], 0, &n);

    if (error == 0) {
        error = stat_chmod(n, a[2]);
        node_unref(n);
    }
    return error;
}

int64_t
sys_chmod(const uint64_t *a)
{
    uint64_t b[] = { CWD, a[0], a[1] };

    return sys_fchmodat(b);
}

int64_t
sys_fchmod(const uint64_t *a)
{
    struct file *f;
    int64_t error = file_get((int)a[0], &f);

    if (error == 0) {
        error = stat_chmod(f->node, a[1]);
        file_unref(f);
    }
    return error;
}

int64_t
sys_fchownat(const uint64_t *a)
{
    struct node *n;
    int64_t error = stat_node(a[0], a[1], (uint32_t)a[4], &n);

    if (error == 0) {
        error = stat_chown(n, a[2], a[3]);
        node_unref(n);
    }
    return error;
}

int64_t
sys_chown(const uint64_t *a)
{
    uint64_t b[] = { CWD, a[0], a[1], a[2], 0 };

    return sys_fchownat(b);
}

int64_t
sys_fchown(const uint64_t *a)
{
    struct file *f;
    int64_t error = file_get((int)a[0], &f);

    if (error == 0) {
        error = stat_chown(f->node, a[1], a[2]);
        file_unref(f);
    }
    return error;
}

int64_t
sys_umask(const uint64_t *a)
{
    struct proc *self = proc_current();
    unsigned old;

    vm_mutex_lock(&self->lock);
    old = self->umask;
    self->umask = (unsigned)a[0] & 0777;
    vm_mutex_unlock(&self->lock);
    return old;
}

/* One of the two times: as given, now, or as it was. */
static int64_t
utime_of(const struct unix_timespec *t, int64_t was, int64_t now)
{
    return t->nsec == UTIME_OMIT ? was : t->nsec == UTIME_NOW ? now :
        t->sec * NS + t->nsec;
}

static bool
utime_ok(const struct unix_timespec *t)
{
    return t->nsec == UTIME_NOW || t->nsec == UTIME_OMIT ||
        (t->nsec >= 0 && t->nsec < NS && t->sec > -(1ll << 33) &&
        t->sec < 1ll << 33);
}

int64_t
sys_utimensat(const uint64_t *a)
{
    struct unix_timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
    uint64_t flags = (uint32_t)a[3];
    int64_t now = file_now(), error;
    struct node *n;

    if (a[2] != 0 && unix_copyin(t, a[2], sizeof(t)) != 0) {
        return -UNIX_EFAULT;
    }
    if (!utime_ok(&t[0]) || !utime_ok(&t[1]) || (flags &
        ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
        return -UNIX_EINVAL;
    }
    if (a[1] == 0) {
        struct file *f;

        error = file_get((int)a[0], &f);
        if (error == 0) {
            n = f->node;
            node_ref(n);
            file_unref(f);
        }
    } else {
        error = stat_node(a[0], a[1], flags, &n);
    }
    if (error != 0) {
        return error;
    }
    vm_mutex_lock(&n->lock);
    n->atime = utime_of(&t[0], n->atime, now);
    n->mtime = utime_of(&t[1], n->mtime, now);
    n->ctime = now;
    vm_mutex_unlock(&n->lock);
    node_unref(n);
    return 0;
}

/* All that could be mounted is there from the start. */
int64_t
sys_mount(const uint64_t *a)
{
    static const char *const known[] = { "proc", "sysfs", "devtmpfs",
        "tmpfs", "devpts", "ramfs" };
    char path[UNIX_PATH_MAX], type[16];
    struct node *n;
    size_t len;
    int64_t error = unix_copyin_path(path, a[1]);

    if (error == 0) {
        error = node_walk(NULL, path, true, &n);
    }
    if (error != 0) {
        return error;
    }
    error = node_is(n, UNIX_S_IFDIR) ? 0 : -UNIX_ENOTDIR;
    node_unref(n);
    if (error != 0 || (a[3] & 0x20) != 0) {     /* MS_REMOUNT */
        return error;
    }
    if (md_copyin_str(type, a[2], sizeof(type), &len) != VM_OK) {
        return -UNIX_EFAULT;
    }
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(type, known[i]) == 0) {
            return 0;
        }
    }
    return -UNIX_ENODEV;
}
