/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * procfs.c - /proc: names and files that exist because somebody asks.
 *
 * A table has all names; "in" says in which directory each is found.  A node
 * is made at every lookup and is gone with its last reference; its index in
 * the table and its process's number stand in node.private.  It keeps its
 * directory, so that ".." leads back.
 *
 * A text is made when a file is read at its beginning, and kept by the open
 * file, so that who reads it in pieces reads one state.
 */
#include "procfs_impl.h"

#include "vm_fault.h"

#define PROCFS_TEXT     2000u           /* bytes of a first try */
#define PROCFS_PIDS     0x1000u         /* positions of processes, descriptors */

enum { IN_ROOT, IN_PID, IN_FD, IN_SYS, IN_KERNEL, IN_VM, IN_NONE };

static const struct procfs_entry {
    const char *name;
    uint8_t in;
    uint8_t holds;              /* a directory: entries with this "in" */
    uint16_t type;
    procfs_make *make;
} procfs_table[] = {
    { "", IN_NONE, IN_ROOT, 4, NULL },
    { "", IN_NONE, IN_PID, 4, NULL },           /* PROCFS_PID */
    { "", IN_NONE, IN_NONE, 10, NULL },         /* PROCFS_LINK: fd/N */
    { "self", IN_ROOT, 0, 10, NULL },
    { "meminfo", IN_ROOT, 0, 8, procfs_meminfo },
    { "cmdline", IN_ROOT, 0, 8, procfs_boot_cmdline },
    { "cpuinfo", IN_ROOT, 0, 8, procfs_cpuinfo },
    { "uptime", IN_ROOT, 0, 8, procfs_uptime },
    { "stat", IN_ROOT, 0, 8, procfs_system_stat },
    { "vmstat", IN_ROOT, 0, 8, procfs_vmstat },
    { "version", IN_ROOT, 0, 8, procfs_version },
    { "mounts", IN_ROOT, 0, 8, procfs_mounts },
    { "filesystems", IN_ROOT, 0, 8, procfs_filesystems },
    { "loadavg", IN_ROOT, 0, 8, procfs_loadavg },
    { "sys", IN_ROOT, IN_SYS, 4, NULL },
    { "kernel", IN_SYS, IN_KERNEL, 4, NULL },
    { "vm", IN_SYS, IN_VM, 4, NULL },
    { "randomize_va_space", IN_KERNEL, 0, 8, procfs_zero },
    { "ostype", IN_KERNEL, 0, 8, procfs_ostype },
    { "osrelease", IN_KERNEL, 0, 8, procfs_osrelease },
    { "hostname", IN_KERNEL, 0, 8, procfs_hostname },
    { "pid_max", IN_KERNEL, 0, 8, procfs_pid_max },
    { "core_pattern", IN_KERNEL, 0, 8, procfs_zero },
    { "overcommit_memory", IN_VM, 0, 8, procfs_zero },
    { "max_map_count", IN_VM, 0, 8, procfs_map_count },
    { "fault_around_bytes", IN_VM, 0, 8, procfs_fault_around },
    { "fault_ahead_bytes", IN_VM, 0, 8, procfs_fault_ahead },
    { "drop_caches", IN_VM, 0, 8, procfs_zero },
    { "maps", IN_PID, 0, 8, procfs_maps },
    { "status", IN_PID, 0, 8, procfs_status },
    { "stat", IN_PID, 0, 8, procfs_pid_stat },
    { "statm", IN_PID, 0, 8, procfs_statm },
    { "cmdline", IN_PID, 0, 8, procfs_cmdline },
    { "environ", IN_PID, 0, 8, procfs_environ },
    { "comm", IN_PID, 0, 8, procfs_comm },
    { "mounts", IN_PID, 0, 8, procfs_mounts },
    { "exe", IN_PID, 0, 10, NULL },
    { "cwd", IN_PID, 0, 10, NULL },
    { "root", IN_PID, 0, 10, NULL },
    { "fd", IN_PID, IN_FD, 4, NULL },
};
#define PROCFS_PID      1u
#define PROCFS_LINK     2u
#define PROCFS_ENTRIES  (sizeof(procfs_table) / sizeof(procfs_table[0]))

/* node.private: process << 24 | descriptor << 8 | entry */
static uint64_t
procfs_id(const struct node *n)
{
    return (uint64_t)(uintptr_t)n->private;
}

static const struct procfs_entry *
procfs_entry(const struct node *n)
{
    return &procfs_table[procfs_id(n) & 255];
}

static int
procfs_pid(const struct node *n)
{
    return (int)(procfs_id(n) >> 24);
}

int64_t
procfs_process(int pid, struct proc **out, struct vm_map **map)
{
    struct proc *p = proc_find(pid);

    if (p == NULL) {
        return -UNIX_ENOENT;
    }
    if (map != NULL) {
        vm_mutex_lock(&p->lock);
        *map = p->map;
        if (*map != NULL) {
            vm_map_ref(*map);
        }
        vm_mutex_unlock(&p->lock);
    }
    *out = p;
    return 0;
}

/* ---- nodes -------------------------------------------------------------- */

static const struct node_ops *procfs_ops_of(unsigned type);

static int64_t
procfs_node(struct node *dir, unsigned entry, int pid, unsigned fd,
    struct node **out)
{
    static const uint32_t modes[16] = {
        [4] = UNIX_S_IFDIR | 0555, [8] = UNIX_S_IFREG | 0444,
        [10] = UNIX_S_IFLNK | 0777,
    };
    const struct procfs_entry *e = &procfs_table[entry];
    uint32_t mode = modes[e->type];
    struct node *n;

    if (e->in == IN_KERNEL || e->in == IN_VM) {
        mode |= 0200;
    }
    n = node_create(mode, procfs_ops_of(e->type));
    if (n == NULL) {
        return -UNIX_ENOMEM;
    }
    n->nlink = 1;
    n->private = (void *)(uintptr_t)((uint64_t)pid << 24 | fd << 8 | entry);
    n->parent = dir;
    node_ref(dir);
    *out = n;
    return 0;
}

static void
procfs_destroy(struct node *n)
{
    node_unref(n->parent);
}

/* A decimal number without leading zeros; -1: it is none. */
static int
procfs_number(const char *name, size_t len)
{
    int v = 0;

    if (len == 0 || len > 7 || (name[0] == '0' && len > 1)) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return -1;
        }
        v = v * 10 + (name[i] - '0');
    }
    return v;
}

static bool
procfs_is_name(const char *a, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] == 0 || a[i] != name[i]) {
            return false;
        }
    }
    return a[len] == 0;
}

/* An open file of another process, or of this one. */
static int64_t
procfs_file(int pid, unsigned fd, bool exact, unsigned *found,
    struct file **out)
{
    struct proc *p = proc_find(pid);
    struct fd_table *t = NULL;
    bool got = false;

    if (p == NULL) {
        return -UNIX_ENOENT;
    }
    vm_mutex_lock(&p->lock);
    if (p->fds != NULL) {
        t = p->fds;
        fds_ref(t);
    }
    vm_mutex_unlock(&p->lock);
    proc_unref(p);
    if (t != NULL) {
        *found = fd;
        got = fd_next(t, found, out);
        fds_unref(t);
    }
    if (got && exact && *found != fd) {
        file_unref(*out);
        got = false;
    }
    return got ? 0 : -UNIX_ENOENT;
}

static int64_t
procfs_lookup_number(struct node *dir, unsigned holds, int number,
    struct node **out)
{
    struct proc *p;
    struct file *f;
    unsigned found;
    int64_t error;

    if (holds == IN_ROOT) {
        p = proc_find(number);
        if (p == NULL) {
            return -UNIX_ENOENT;
        }
        proc_unref(p);
        return procfs_node(dir, PROCFS_PID, number, 0, out);
    }
    if (number >= 0x10000) {
        return -UNIX_ENOENT;
    }
    error = procfs_file(procfs_pid(dir), (unsigned)number, true, &found, &f);
    if (error != 0) {
        return error;
    }
    file_unref(f);
    return procfs_node(dir, PROCFS_LINK, procfs_pid(dir), (unsigned)number,
        out);
}

static int64_t
procfs_lookup(struct node *dir, const char *name, size_t len,
    struct node **out)
{
    unsigned holds = procfs_entry(dir)->holds;
    int number = procfs_number(name, len);

    if (number >= 0 && (holds == IN_ROOT || holds == IN_FD)) {
        return procfs_lookup_number(dir, holds, number, out);
    }
    for (unsigned i = PROCFS_LINK + 1; i < PROCFS_ENTRIES; i++) {
        if (procfs_table[i].in == holds &&
            procfs_is_name(procfs_table[i].name, name, len)) {
            return procfs_node(dir, i, procfs_pid(dir), 0, out);
        }
    }
    return -UNIX_ENOENT;
}

/* ---- symlinks ----------------------------------------------------------- */

static int64_t
procfs_jump(struct node *n, struct node **out)
{
    const char *name = procfs_entry(n)->name;
    struct node *target = NULL;
    struct proc *p;
    struct file *f;
    unsigned found, fd = (unsigned)(procfs_id(n) >> 8 & 0xffff);
    int64_t error;

    if (procfs_entry(n)->in == IN_ROOT) {
        return procfs_lookup_number(n->parent, IN_ROOT,
            proc_current()->pid, out);
    }
    if ((procfs_id(n) & 255) == PROCFS_LINK) {
        error = procfs_file(procfs_pid(n), fd, true, &found, &f);
        if (error == 0) {
            *out = f->node;
            node_ref(*out);
            file_unref(f);
        }
        return error;
    }
    error = procfs_process(procfs_pid(n), &p, NULL);
    if (error != 0) {
        return error;
    }
    vm_mutex_lock(&p->lock);
    target = name[0] == 'e' ? p->exe : name[0] == 'c' ? p->cwd :
        node_root();
    if (target != NULL) {
        node_ref(target);
    }
    vm_mutex_unlock(&p->lock);
    proc_unref(p);
    *out = target;
    return target != NULL ? 0 : -UNIX_ENOENT;
}

/* As text, also of what has no name. */
static int64_t
procfs_readlink(struct node *n, char *buf, size_t size)
{
    struct node *target;
    int64_t len;

    if (procfs_entry(n)->in == IN_ROOT) {
        return kern_snprintf(buf, size, "%d", proc_current()->pid);
    }
    len = procfs_jump(n, &target);
    if (len != 0) {
        return len;
    }
    len = node_path(target, buf, size);
    if (len < 0) {
        len = kern_snprintf(buf, size, node_is(target, UNIX_S_IFIFO) ?
            "pipe:[%llu]" : "/%llu (deleted)",
            (unsigned long long)target->ino);
    }
    node_unref(target);
    return len;
}

/* ---- directories -------------------------------------------------------- */

/* The process with the lowest number >= pid; 0: there is none. */
static int
procfs_next_pid(int pid)
{
    struct proc *p = NULL;
    int best = 0;

    while ((p = proc_next(p)) != NULL) {
        if (p->pid >= pid && (best == 0 || p->pid < best)) {
            best = p->pid;
        }
    }
    return best;
}

/* The number at or after position at, as an entry; false: no more. */
static bool
procfs_number_at(struct node *dir, uint64_t at, unsigned *number)
{
    struct file *f;

    at -= PROCFS_PIDS;
    if (procfs_entry(dir)->holds == IN_ROOT) {
        *number = at > 0x7fffff ? 0 : (unsigned)procfs_next_pid((int)at);
        return *number != 0;
    }
    if (procfs_entry(dir)->holds != IN_FD || at > 0xffff ||
        procfs_file(procfs_pid(dir), (unsigned)at, false, number, &f) != 0) {
        return false;
    }
    file_unref(f);
    return true;
}

static bool
procfs_emit(struct file *f, struct dir_out *out, unsigned type,
    uint64_t next, const char *name)
{
    if (!dir_emit(out, f->node->ino + next, type << 12, next, name,
        strlen(name))) {
        return false;
    }
    f->offset = next;
    return true;
}

static int64_t
procfs_readdir(struct file *f, uint64_t base, uint64_t len)
{
    struct dir_out out = { .base = base, .len = len };
    unsigned holds = procfs_entry(f->node)->holds, number;
    char name[12];
    bool more = true;

    while (more && f->offset < PROCFS_PIDS) {
        uint64_t at = f->offset;

        if (at < 2) {
            more = procfs_emit(f, &out, 4, at + 1, at == 0 ? "." : "..");
        } else if (at >= PROCFS_ENTRIES) {
            f->offset = PROCFS_PIDS;
        } else if (procfs_table[at].in != holds) {
            f->offset++;
        } else {
            more = procfs_emit(f, &out, procfs_table[at].type, at + 1,
                procfs_table[at].name);
        }
    }
    while (more && procfs_number_at(f->node, f->offset, &number)) {
        (void)kern_snprintf(name, sizeof(name), "%u", number);
        more = procfs_emit(f, &out, holds == IN_ROOT ? 4 : 10,
            (uint64_t)number + 1 + PROCFS_PIDS, name);
    }
    return out.done > 0 ? (int64_t)out.done : out.error;
}

/* ---- texts -------------------------------------------------------------- */

void
procfs_put_bytes(struct procfs_text *t, const void *bytes, size_t n)
{
    if (t->len + n <= t->room) {
        memcpy(t->buf + t->len, bytes, n);
    }
    t->len += n;
}

void
procfs_put(struct procfs_text *t, const char *fmt, ...)
{
    size_t room = t->len < t->room ? t->room - t->len : 0;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = kern_vsnprintf(room > 0 ? t->buf + t->len : NULL, room, fmt, ap);
    va_end(ap);
    /* The 0 at the end needs room too, or the last byte is cut. */
    t->len += n > 0 ? (size_t)n : 0;
}

static void
procfs_drop(struct procfs_text *t)
{
    if (t->buf != NULL) {
        kern_free(t->buf, t->room);
    }
    t->buf = NULL;
    t->room = t->len = 0;
}

/* Make it, with more room until it fits. */
static int64_t
procfs_fill(struct procfs_text *t, procfs_make *make)
{
    size_t room = t->room > 0 ? t->room : PROCFS_TEXT;
    int64_t error = 0;

    for (;;) {
        if (t->room < room) {
            procfs_drop(t);
            t->buf = kern_alloc(room);
            if (t->buf == NULL) {
                return -UNIX_ENOMEM;
            }
            t->room = room;
        }
        t->len = 0;
        error = make(t);
        if (error != 0) {
            procfs_drop(t);
            return error == -UNIX_ENOENT ? -UNIX_ESRCH : error;
        }
        if (t->len < t->room) {
            return 0;
        }
        room = t->len + t->len / 4 + 64;
    }
}

static int64_t
procfs_read(struct file *f, struct file_io *io)
{
    procfs_make *make = procfs_entry(f->node)->make;
    struct procfs_text *t;
    int64_t result = 0;
    uint64_t n;

    if (make == NULL) {
        return -UNIX_EISDIR;
    }
    /* pread(2) comes without the file's lock. */
    vm_mutex_lock(&f->node->lock);
    t = f->private;
    if (t == NULL) {
        t = f->private = kern_alloc(sizeof(*t));
        result = t == NULL ? -UNIX_ENOMEM : 0;
    }
    if (result == 0 && (io->offset == 0 || t->buf == NULL)) {
        struct procfs_text new = { .pid = procfs_pid(f->node) };

        /* Its maker takes locks that come before a node's. */
        vm_mutex_unlock(&f->node->lock);
        result = procfs_fill(&new, make);
        vm_mutex_lock(&f->node->lock);
        procfs_drop(t);
        *t = new;
    }
    if (result == 0 && io->offset < t->len) {
        n = t->len - io->offset < io->len ? t->len - io->offset : io->len;
        result = file_io_out(io, t->buf + io->offset, (size_t)n);
        result = result == 0 ? (int64_t)n : result;
    }
    vm_mutex_unlock(&f->node->lock);
    return result;
}

/* A number of pages, a power of two, written in bytes. */
static int64_t
procfs_set_pages(struct file_io *io, unsigned *out)
{
    char text[16] = "";
    uint64_t bytes = 0, pages, len = io->len;
    int64_t error;

    if (len >= sizeof(text)) {
        return -UNIX_EINVAL;
    }
    error = file_io_in(io, text, (size_t)len);
    if (error != 0) {
        return error;
    }
    for (const char *c = text; *c >= '0' && *c <= '9'; c++) {
        bytes = bytes * 10 + (uint64_t)(*c - '0');
    }
    pages = bytes >> vm_page_shift;
    if (pages == 0 || pages > UINT16_MAX || (pages & (pages - 1)) != 0) {
        return -UNIX_EINVAL;
    }
    *out = (unsigned)pages;
    return (int64_t)len;
}

/* The other settings are taken and mean nothing. */
static int64_t
procfs_write(struct file *f, struct file_io *io)
{
    const struct procfs_entry *e = procfs_entry(f->node);

    if (e->make == procfs_fault_around) {
        return procfs_set_pages(io, &vm_fault_around);
    }
    if (e->make == procfs_fault_ahead) {
        return procfs_set_pages(io, &vm_fault_ahead);
    }
    return e->in == IN_KERNEL || e->in == IN_VM ? (int64_t)io->len :
        -UNIX_EIO;
}

static void
procfs_close(struct file *f)
{
    if (f->private != NULL) {
        procfs_drop(f->private);
        kern_free(f->private, sizeof(struct procfs_text));
    }
}

static const struct file_ops procfs_text_ops = {
    .read = procfs_read,
    .write = procfs_write,
    .close = procfs_close,
    .seeks = true,
};

static const struct file_ops procfs_dir_ops = {
    .readdir = procfs_readdir,
    .seeks = true,
};

static int64_t
procfs_open(struct node *n, struct file *f)
{
    f->ops = procfs_entry(n)->make != NULL ? &procfs_text_ops :
        &procfs_dir_ops;
    return 0;
}

static const struct node_ops procfs_dir_node_ops = {
    .open = procfs_open,
    .lookup = procfs_lookup,
    .destroy = procfs_destroy,
};
static const struct node_ops procfs_text_node_ops = {
    .open = procfs_open,
    .destroy = procfs_destroy,
};
static const struct node_ops procfs_link_node_ops = {
    .readlink = procfs_readlink,
    .jump = procfs_jump,
    .destroy = procfs_destroy,
};
static const struct node_ops procfs_root_ops = {
    .open = procfs_open,
    .lookup = procfs_lookup,
};

static const struct node_ops *
procfs_ops_of(unsigned type)
{
    return type == 4 ? &procfs_dir_node_ops : type == 8 ?
        &procfs_text_node_ops : &procfs_link_node_ops;
}

void
procfs_init(struct node *root)
{
    /* Its private is 0: PROCFS_ROOT, no process. */
    node_make(root, "proc", UNIX_S_IFDIR | 0555, 0, &procfs_root_ops);
    node_make_dir(root, "sys", 0555);
}
