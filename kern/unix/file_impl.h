/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file_impl.h - what the files of kern/unix that make up the file system
 * share: node.c name.c open.c fd.c io.c stat.c regular.c archive.c pipe.c
 * poll.c tty.c dev.c procfs.c cpio.c files.c userfault.c.
 */
#ifndef FILE_IMPL_H
#define FILE_IMPL_H

#include "file.h"
#include "proc.h"

#define FILE_NAME_MAX   255u
#define FILE_RW_MAX     0x7ffff000u     /* of one call, as Linux */
#define FILE_SIZE_MAX   0x7fffffffffffffffull
#define FILE_LINKS_MAX  40u             /* symlinks in one walk */

/* ---- node.c ------------------------------------------------------------- */

/* A name in a directory; holds a reference to what it names. */
struct dirent {
    struct dirent *hash_next;   /* (N) */
    struct dirent *next, *prev; /* (N) in the directory, by cookie */
    struct node *dir;           /* (c) no reference */
    struct node *node;          /* (N) */
    uint64_t cookie;            /* (c) rises in a directory */
    uint32_t hash;              /* (c) */
    uint8_t len;                /* (c) */
    char text[];                /* and a 0 */
};

/* What a path leads to, with the tree locked. */
enum place_last { PLACE_NAME, PLACE_DOT, PLACE_DOTDOT, PLACE_ROOT };
struct place {
    struct node *dir;           /* the last name is, or would be, here */
    struct node *node;          /* NULL: no such name */
    const char *name;
    size_t len;
    enum place_last last;
    bool slash;                 /* the path goes on with slashes */
    struct node *held[2];
    char *buf[2];
};

extern struct vm_mutex tree_lock;

/* One reference, no name; mode has its type.  NULL: no memory. */
struct node *node_create(uint32_t mode, const struct node_ops *ops);
struct node *node_create_symlink(const char *text, size_t len);
struct node *node_create_dir(uint32_t mode);
void node_init(void);

/*
 * place_find - walk; on success the tree is locked until place_end().
 * at: as in node_walk().  -ENOENT is only for names before the last.
 */
int64_t place_find(struct node *at, const char *path, bool follow,
    struct place *p);
void place_end(struct place *p);

/* Tree locked.  The entry of a name, or NULL. */
struct dirent *node_entry(struct node *dir, const char *name, size_t len);
/*
 * Tree locked, the name is free.  enter takes its own reference and counts
 * the link; -ENOMEM.  remove gives back the node with that reference.
 */
int64_t node_enter(struct node *dir, const char *name, size_t len,
    struct node *n);
struct node *node_remove(struct dirent *d);
/* Tree locked.  May a name be added?  -ENOSPC: there are too many. */
int64_t node_room(void);
/* Tree locked.  One of n's names, or NULL. */
struct dirent *node_name(struct node *n);
/* The same numbers for statfs(2): how many names may be, and are left. */
uint64_t node_space(uint64_t *left);
/* Pages of this machine that somebody could have. */
uint64_t node_memory(void);
/* Boot: a node with a name in dir; returned without a reference. */
struct node *node_make(struct node *dir, const char *name, uint32_t mode,
    uint64_t rdev, const struct node_ops *ops);

struct node *node_make_dir(struct node *dir, const char *name,
    uint32_t mode);

static inline bool
node_is(const struct node *n, uint32_t type)
{
    return (n->mode & UNIX_S_IFMT) == type;
}

int64_t file_now(void);                 /* ns since 1970 */
/* dirfd of the ...at calls: a directory with a reference, or NULL. */
int64_t file_at(uint64_t dirfd, const char *path, struct node **out);
/* Copy the path in and resolve dirfd. */
int64_t file_at_path(uint64_t dirfd, uint64_t upath, char *path,
    struct node **at);

/* ---- open.c, fd.c ------------------------------------------------------- */

void open_init(void);
void fd_init(void);
/* Descriptor fd of a table that nobody uses yet: takes the reference. */
void fd_preset(struct fd_table *t, unsigned fd, struct file *f);

/* An open file of n (takes its own reference), by n's operations. */
int64_t file_open(struct node *n, uint32_t flags, struct file **out);
/* The lowest free descriptor from `from`; takes over the reference. */
int64_t fd_install(struct file *f, unsigned from, bool cloexec);
/* Two at once (pipe): both or none. */
int64_t fd_install_pair(struct file *f[2], bool cloexec, int fd[2]);
/* Referenced, and open for that: -EBADF. */
int64_t file_get_read(int fd, struct file **out);
int64_t file_get_write(int fd, struct file **out);
/* procfs: descriptors of a table in order; false at the end. */
bool fd_next(struct fd_table *t, unsigned *fd, struct file **out);

static inline bool
file_may_read(struct file *f)
{
    uint32_t flags = vm_get(&f->flags);

    return (flags & (UNIX_O_ACCMODE | UNIX_O_PATH)) != UNIX_O_WRONLY &&
        (flags & UNIX_O_PATH) == 0;
}

static inline bool
file_may_write(struct file *f)
{
    uint32_t flags = vm_get(&f->flags);

    return (flags & UNIX_O_ACCMODE) != UNIX_O_RDONLY &&
        (flags & UNIX_O_PATH) == 0;
}

/* ---- regular.c ---------------------------------------------------------- */

extern const struct node_ops regular_ops;
void regular_init(void);
/* bytes: in the archive, for ever. */
struct node *regular_create_archive(uint32_t mode, const void *bytes,
    uint64_t size);
/* Boot: the bytes of one that was made without. */
void regular_set_archive(struct node *n, const void *bytes, uint64_t size);
int64_t regular_truncate(struct node *n, uint64_t size);
/* Objects of the archive's files that nobody uses or has changed go. */
void regular_trim(void);
int64_t regular_allocate(struct node *n, uint32_t mode, uint64_t offset,
    uint64_t len);
uint64_t regular_blocks(struct node *n);        /* of 512 bytes */
/* How many pages all files may have, and how many of them are left. */
uint64_t regular_space(uint64_t *left);
/* The node whose bytes an object (identity) holds; referenced, or NULL. */
struct node *regular_find(const struct vm_object *o);

/* ---- dir.c: file operations of directories ------------------------------ */

extern const struct file_ops dir_file_ops;
/* One record of getdents64 at *at; false: no room.  *at moves on. */
struct dir_out {
    uint64_t base, len, done;
    int64_t error;
};
bool dir_emit(struct dir_out *out, uint64_t ino, uint32_t mode,
    uint64_t next, const char *name, size_t len);

/* ---- pipe.c ------------------------------------------------------------- */

extern const struct node_ops pipe_node_ops;     /* FIFOs */
void pipe_init(void);

/* ---- userfault.c -------------------------------------------------------- */

void userfault_init(void);

/* ---- poll.c ------------------------------------------------------------- */

#define POLL_IN     0x001u
#define POLL_PRI    0x002u
#define POLL_OUT    0x004u
#define POLL_ERR    0x008u
#define POLL_HUP    0x010u
#define POLL_NVAL   0x020u
#define POLL_RDNORM 0x040u
#define POLL_WRNORM 0x100u
#define POLL_RDHUP  0x2000u

/*
 * What some file's poll() says has changed.  Any context but interrupt
 * handlers with RUN or WAIT held; cheap when nobody polls.
 */
extern _Atomic uint32_t poll_waiters, poll_word;
void poll_wake(void);
void poll_event_now(void);      /* poll_event() as a function */
static inline void
poll_event(void)
{
    /* The change comes before the look: see poll.c. */
    atomic_thread_fence(memory_order_seq_cst);
    if (vm_get(&poll_waiters) != 0) {
        poll_wake();
    }
}

#define DEV(major, minor) ((uint64_t)(major) << 8 | (minor))
#define DEV_ZERO    DEV(1, 5)

/* ---- tty.c, dev.c, procfs.c --------------------------------------------- */

extern const struct node_ops tty_node_ops;
void tty_init(void);
void dev_init(struct node *dev);
/* NULL: no such device, or no memory. */
struct node *dev_create(uint32_t mode, uint64_t rdev);
void procfs_init(struct node *root);

#endif
