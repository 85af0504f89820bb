/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - names, inodes, open files and descriptors.
 *
 *   fd_table --fd--> struct file --> struct node --> struct vm_object
 *   (a process)      (an open:       (a file,        (its bytes)
 *                     offset, flags)  directory,
 *                                     device, pipe)
 *
 * One tree in memory: the initrd is unpacked into it when the kernel starts
 * (a file of it is a memory object whose pager copies from the archive when
 * a page is touched first, and which becomes ordinary memory when it is first
 * written to), the rest is a tmpfs; /dev and /proc are made of nodes with
 * operations of their own.  A regular file's bytes are the pages of its
 * object, for read(2), write(2), mmap(2) and exec alike, so all of them
 * agree at once.
 *
 * Locks: (n) node.lock, rank INODE; (f) file.lock, rank FILE; (N) the
 * tree's lock, rank TREE: names, parents, link counts; (d) fd_table.lock, rank
 * FDS; (c) constant; (a) atomic.  User memory may be touched with INODE held
 * (the core's locks come later in the order), but not with a spin lock.
 */
#ifndef FILE_H
#define FILE_H

#include "unix.h"
#include "vm_pager.h"

/* st_mode's type bits */
#define UNIX_S_IFMT     0170000u
#define UNIX_S_IFIFO    0010000u
#define UNIX_S_IFCHR    0020000u
#define UNIX_S_IFDIR    0040000u
#define UNIX_S_IFREG    0100000u
#define UNIX_S_IFLNK    0120000u

/* open(2): the flags that are alike everywhere; the rest: <unix_md.h> */
#define UNIX_O_ACCMODE  3u
#define UNIX_O_RDONLY   0u
#define UNIX_O_WRONLY   1u
#define UNIX_O_RDWR     2u
#define UNIX_O_CREAT    0100u
#define UNIX_O_EXCL     0200u
#define UNIX_O_NOCTTY   0400u
#define UNIX_O_TRUNC    01000u
#define UNIX_O_APPEND   02000u
#define UNIX_O_NONBLOCK 04000u
#define UNIX_O_CLOEXEC  02000000u
#define UNIX_O_PATH     010000000u

#define UNIX_AT_FDCWD   (-100)

struct fd_table;
struct node_ops;
struct file_ops;
struct file;
struct dirent;

struct node {
    void *zone_link;
    struct vm_mutex lock;
    _Atomic uint32_t ref_count;
    uint32_t mode;              /* (n) type (c) and permissions */
    uint64_t ino;               /* (c) */
    uint32_t nlink;             /* (N) */
    uint32_t uid, gid;          /* (n) kept, never asked */
    uint64_t rdev;              /* (c) */
    const struct node_ops *ops; /* (c) */
    uint64_t size;              /* (n) bytes; of a directory: entries (N) */
    struct vm_object *object;   /* (n) regular files: made on first need */
    struct node *object_next;   /* regular.c: nodes by object */
    struct node *parent;        /* (N) of a directory, no reference */
    struct dirent *name;        /* (N) one of its names; NULL: node_name() */
    struct dirent *hint;        /* (N) of a directory: where it was read */
    struct dirent *entries;     /* (N) of a directory, oldest first */
    struct dirent *last;        /* (N) */
    uint64_t cookie;            /* (N) of the next entry of a directory */
    int64_t atime, mtime, ctime;        /* (n) ns since 1970 */
    void *private;              /* the ops' own: symlink text, pipe ... */
    uint32_t seals;             /* (n) memfd */
    bool mapped;                /* (n) was, shared and writable */
    bool named;                 /* (N) it has a name in the tree, or had */
    uint64_t charged;           /* (n) pages, regular.c */
    _Atomic uint32_t running;   /* processes whose program it is */
};

/* What a kind of node does differently; each may be NULL. */
struct node_ops {
    const struct file_ops *file;        /* of a file opened on it */
    /* f is made, nobody else sees it; may change f->ops.  0 or -errno */
    int64_t (*open)(struct node *n, struct file *f);
    /* Names that exist because somebody asks; no lock, a reference. */
    int64_t (*lookup)(struct node *dir, const char *name, size_t len,
        struct node **out);
    /* A symlink without a text of its own: its text, or its target. */
    int64_t (*readlink)(struct node *n, char *buf, size_t size);
    int64_t (*jump)(struct node *n, struct node **out);
    /* The last reference went. */
    void (*destroy)(struct node *n);
};

struct file {
    void *zone_link;
    struct vm_mutex lock;
    _Atomic uint32_t ref_count;
    _Atomic uint32_t flags;     /* UNIX_O_*; some change by fcntl */
    uint64_t offset;            /* (f) */
    struct node *node;          /* (c) */
    const struct file_ops *ops; /* (c) */
    void *private;              /* the ops' own */
};

/*
 * One transfer between a file and memory, scattered as the program likes.
 * file_io_in and _out (io.c) move the next n bytes and advance; -EFAULT
 * moves none of them as far as the caller is concerned.
 */
struct file_io {
    struct unix_iovec *iov;     /* what is left of it */
    unsigned count;
    bool nonblock;
    bool kernel;                /* the addresses are the kernel's */
    uint64_t len;               /* bytes left */
    uint64_t offset;            /* in the file; a write that appends sets it */
};
int64_t file_io_in(struct file_io *io, void *to, size_t n);
int64_t file_io_out(struct file_io *io, const void *from, size_t n);

struct file_ops {
    /* Bytes moved, 0 at the end, or -errno.  Partial is success. */
    int64_t (*read)(struct file *f, struct file_io *io);
    int64_t (*write)(struct file *f, struct file_io *io);
    int64_t (*ioctl)(struct file *f, uint64_t cmd, uint64_t arg);
    /* POLLIN, POLLOUT ... that hold now; poll_event() when that changes. */
    uint32_t (*poll)(struct file *f);
    int64_t (*readdir)(struct file *f, uint64_t base, uint64_t len);
    void (*close)(struct file *f);      /* the last reference goes */
    bool seeks;
};

/* ---- nodes ------------------------------------------------------------ */

void node_ref(struct node *n);
void node_unref(struct node *n);

/* The program of a process: nobody may write to it meanwhile (ETXTBSY). */
void node_exe_ref(struct node *n);
void node_exe_unref(struct node *n);

/*
 * Walk a path from the running process's root or from `at` (a directory,
 * NULL: its cwd).  follow: also a symlink at the end.
 * => Returns 0 and a reference, or -errno
 */
int64_t node_walk(struct node *at, const char *path, bool follow,
    struct node **out);
struct node *node_root(void);           /* no reference */
/* Absolute path of a node into buf; -ENOENT if it has no name any more. */
int64_t node_path(struct node *n, char *buf, size_t size);

/*
 * A regular file for exec and mmap: its object with a reference, and how
 * long it is now.  -EACCES, -EISDIR, -ENODEV if it has none.
 */
int64_t node_object(struct node *n, struct vm_object **out, uint64_t *size);
/*
 * The same for mmap of an open file of any kind: writable: the mapping is
 * shared and may be written, now or after mprotect.  *out is NULL for
 * /dev/zero mapped private (zeros); -ENODEV for what cannot be mapped, -EPERM
 * if a seal forbids it.
 */
int64_t node_mmap(struct node *n, bool writable, struct vm_object **out,
    uint64_t *size);
/* Bytes into a kernel buffer; how many (0 at the end), or -errno. */
int64_t node_read(struct node *n, uint64_t offset, void *buf, size_t size);

/* ---- descriptors ------------------------------------------------------ */

int64_t fds_create(struct fd_table **out);
/* fork: a copy that shares the open files; clone(CLONE_FILES): fds_ref. */
int64_t fds_copy(struct fd_table *from, struct fd_table **out);
void fds_ref(struct fd_table *t);
void fds_unref(struct fd_table *t);
void fds_exec(struct fd_table *t);      /* close those with CLOEXEC */
/* Descriptors 0, 1, 2 of the first program: the console. */
int64_t fds_open_console(struct fd_table *t);

/* The open file of a descriptor of the running process, referenced. */
int64_t file_get(int fd, struct file **out);
void file_ref(struct file *f);
void file_unref(struct file *f);

/* Once: the tree, /dev, /proc; then the archive at [start, +size). */
void files_init(void);
void files_unpack(const void *archive, size_t size);
/* Give back what the tree keeps of files that no program uses (memory). */
uint64_t files_nodes(void);             /* how many nodes live: leak checks */

#endif
