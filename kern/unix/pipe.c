/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pipe.c - pipes and FIFOs: a ring of pages between writers and readers.
 *
 *   take ----- bytes ----- put        both count up for ever; the ring has
 *                                     PIPE_SIZE bytes, a page of it is
 *                                     allocated when it is first written to
 *
 * Who finds nothing to read, or no room, sleeps on the event word of his
 * side: he notes the word and that he sleeps, with the lock held, and drops
 * it; whoever changes the ring moves the word if somebody sleeps.  So a ring
 * that nobody waits for costs no wakeup, and no wakeup is lost.
 *
 * A write of at most PIPE_BUF bytes is one piece: it waits for room for all
 * of it.  Pages are kept until both ends are closed.
 *
 * Locks: node.lock for all of it; user memory is touched under it.
 */
#include "file_impl.h"
#include "vm_zone.h"

#define PIPE_SIZE       65536u
#define PIPE_BUF        4096u
#define PIPE_PAGES      (PIPE_SIZE / 4096u)     /* pages are no smaller */

struct pipe_side {
    _Atomic uint32_t event;     /* moves when there is something to do */
    uint32_t waiting;           /* (n) threads that sleep on it */
    uint32_t open;              /* (n) files of this side */
    uint32_t opened;            /* (n) counts opens: FIFOs wait for one */
};

struct pipe {
    void *zone_link;
    struct pipe_side side[2];   /* READ, WRITE */
    uint64_t take, put;         /* (n) */
    struct vm_page *page[PIPE_PAGES];   /* (n) */
};
enum { READ, WRITE };

static struct vm_zone pipe_zone;

void
pipe_init(void)
{
    vm_zone_init(&pipe_zone, "pipe", sizeof(struct pipe));
}

/* ---- waiting ------------------------------------------------------------ */

/* The ring changed for those of that side; locked. */
static void
pipe_wake(struct pipe_side *s)
{
    if (s->waiting != 0) {
        s->waiting = 0;
        atomic_fetch_add_explicit(&s->event, 1, memory_order_relaxed);
        thread_wake(&s->event, ~0u);
    }
    poll_event();
}

/* Locked; unlocks to sleep, locks again.  0 or -UNIX_RESTART. */
static int64_t
pipe_wait(struct node *n, struct pipe_side *s)
{
    uint32_t value = vm_get(&s->event);
    int error;

    s->waiting++;
    vm_mutex_unlock(&n->lock);
    error = thread_wait(&s->event, value, true, 0);
    vm_mutex_lock(&n->lock);
    return error == VM_E_INTR ? -UNIX_RESTART : 0;
}

/* ---- the ring ----------------------------------------------------------- */

/* Move n bytes at position at, which do not wrap over the page's end. */
static int64_t
pipe_move(struct pipe *p, uint64_t at, size_t n, struct file_io *io,
    bool write)
{
    unsigned i = (unsigned)(at & (PIPE_SIZE - 1)) >> vm_page_shift;
    unsigned char *data;

    if (p->page[i] == NULL) {
        p->page[i] = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
        if (p->page[i] == NULL) {
            return -UNIX_ENOMEM;
        }
    }
    data = (unsigned char *)vm_page_data(p->page[i]) + (at & VM_PAGE_MASK);
    return write ? file_io_in(io, data, n) : file_io_out(io, data, n);
}

/* As much of n bytes as moves; the first error if it is nothing. */
static int64_t
pipe_transfer(struct pipe *p, uint64_t *at, uint64_t n, struct file_io *io,
    bool write)
{
    uint64_t done = 0;
    int64_t error = 0;

    while (done < n && error == 0) {
        uint64_t part = VM_PAGE_SIZE - (*at & VM_PAGE_MASK);

        part = part < n - done ? part : n - done;
        error = pipe_move(p, *at, (size_t)part, io, write);
        if (error == 0) {
            *at += part;
            done += part;
        }
    }
    return done > 0 ? (int64_t)done : error;
}

static int64_t
pipe_read(struct file *f, struct file_io *io)
{
    struct node *n = f->node;
    struct pipe *p = n->private;
    int64_t result = 0;

    if (io->len == 0) {
        return 0;
    }
    vm_mutex_lock(&n->lock);
    while (p->put == p->take) {
        if (p->side[WRITE].open == 0) {
            goto out;
        }
        result = io->nonblock ? -UNIX_EAGAIN :
            pipe_wait(n, &p->side[READ]);
        if (result != 0) {
            goto out;
        }
    }
    result = pipe_transfer(p, &p->take, p->put - p->take < io->len ?
        p->put - p->take : io->len, io, false);
    if (result > 0) {
        pipe_wake(&p->side[WRITE]);
    }
out:
    vm_mutex_unlock(&n->lock);
    return result;
}

static int64_t
pipe_broken(void)
{
    struct unix_siginfo info;

    memset(&info, 0, sizeof(info));
    info.signo = UNIX_SIGPIPE;
    info.queue.pid = proc_current()->pid;
    proc_signal(proc_current(), thread_current(), &info);
    return -UNIX_EPIPE;
}

/* One round with the lock held: bytes, 0 after a wait, or an error. */
static int64_t
pipe_write_some(struct node *n, struct pipe *p, struct file_io *io,
    bool whole)
{
    uint64_t room = PIPE_SIZE - (p->put - p->take);
    int64_t result;

    if (p->side[READ].open == 0) {
        return -UNIX_EPIPE;
    }
    if (room == 0 || (whole && room < io->len)) {
        return io->nonblock ? -UNIX_EAGAIN : pipe_wait(n, &p->side[WRITE]);
    }
    result = pipe_transfer(p, &p->put, room < io->len ? room : io->len, io,
        true);
    if (result > 0) {
        pipe_wake(&p->side[READ]);
    }
    return result;
}

static int64_t
pipe_write(struct file *f, struct file_io *io)
{
    struct node *n = f->node;
    struct pipe *p = n->private;
    bool whole = io->len <= PIPE_BUF;
    int64_t done = 0, result = 0;

    vm_mutex_lock(&n->lock);
    while (io->len > 0 && result >= 0) {
        result = pipe_write_some(n, p, io, whole);
        done += result > 0 ? result : 0;
    }
    vm_mutex_unlock(&n->lock);
    if (result == -UNIX_EPIPE) {
        /* Linux signals also when some of it went. */
        result = pipe_broken();
    }
    return done > 0 ? done : result < 0 ? result : 0;
}

static uint32_t
pipe_poll(struct file *f)
{
    struct node *n = f->node;
    struct pipe *p = n->private;
    uint32_t mask = 0;

    vm_mutex_lock(&n->lock);
    if (file_may_read(f)) {
        mask |= p->put != p->take ? POLL_IN | POLL_RDNORM : 0;
        if (p->side[WRITE].open == 0 && p->side[WRITE].opened != 0) {
            mask |= POLL_HUP;
        }
    }
    if (file_may_write(f)) {
        mask |= PIPE_SIZE - (p->put - p->take) >= PIPE_BUF ?
            POLL_OUT | POLL_WRNORM : 0;
        mask |= p->side[READ].open == 0 ? POLL_ERR : 0;
    }
    vm_mutex_unlock(&n->lock);
    return mask;
}

static int64_t
pipe_ioctl(struct file *f, uint64_t cmd, uint64_t arg)
{
    struct pipe *p = f->node->private;
    int32_t n;

    if (cmd != 0x541b) {        /* FIONREAD */
        return -UNIX_ENOTTY;
    }
    vm_mutex_lock(&f->node->lock);
    n = (int32_t)(p->put - p->take);
    vm_mutex_unlock(&f->node->lock);
    return unix_copyout(arg, &n, sizeof(n));
}

/* ---- life --------------------------------------------------------------- */

static void
pipe_close(struct file *f)
{
    struct node *n = f->node;
    struct pipe *p = n->private;

    vm_mutex_lock(&n->lock);
    p->side[READ].open -= file_may_read(f);
    p->side[WRITE].open -= file_may_write(f);
    if (p->side[READ].open == 0 && p->side[WRITE].open == 0) {
        /* What was not read is lost. */
        for (unsigned i = 0; i < PIPE_PAGES; i++) {
            if (p->page[i] != NULL) {
                vm_page_free(p->page[i]);
                p->page[i] = NULL;
            }
        }
        p->take = p->put;
    }
    pipe_wake(&p->side[READ]);
    pipe_wake(&p->side[WRITE]);
    vm_mutex_unlock(&n->lock);
}

static const struct file_ops pipe_file_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
    .close = pipe_close,
};

static void
pipe_destroy(struct node *n)
{
    if (n->private != NULL) {
        vm_zone_free(&pipe_zone, n->private);
    }
}

/* n->lock held. */
static int64_t
pipe_need(struct node *n)
{
    struct pipe *p = n->private;

    if (p == NULL) {
        p = vm_zone_alloc(&pipe_zone);
        if (p == NULL) {
            return -UNIX_ENOMEM;
        }
        memset(p, 0, sizeof(*p));
        n->private = p;
    }
    return 0;
}

/* A FIFO waits for somebody to open the other side: fifo(7). */
static int64_t
pipe_meet(struct node *n, struct file *f, bool reads, bool writes)
{
    struct pipe *p = n->private;
    unsigned mine = reads ? READ : WRITE, other = reads ? WRITE : READ;
    uint32_t seen = p->side[other].opened;
    int64_t error = 0;

    if (reads && writes) {
        return 0;
    }
    if ((vm_get(&f->flags) & UNIX_O_NONBLOCK) != 0) {
        return writes && p->side[READ].open == 0 ? -UNIX_ENXIO : 0;
    }
    while (p->side[other].open == 0 && p->side[other].opened == seen &&
        error == 0) {
        error = pipe_wait(n, &p->side[mine]);
    }
    return error;
}

static int64_t
pipe_open(struct node *n, struct file *f)
{
    bool reads = file_may_read(f), writes = file_may_write(f);
    struct pipe *p;
    int64_t error;

    f->ops = &pipe_file_ops;
    vm_mutex_lock(&n->lock);
    error = pipe_need(n);
    if (error == 0) {
        p = n->private;
        p->side[READ].open += reads;
        p->side[READ].opened += reads;
        p->side[WRITE].open += writes;
        p->side[WRITE].opened += writes;
        pipe_wake(&p->side[READ]);
        pipe_wake(&p->side[WRITE]);
        error = pipe_meet(n, f, reads, writes);
        if (error != 0) {
            p->side[READ].open -= reads;
            p->side[WRITE].open -= writes;
        }
    }
    vm_mutex_unlock(&n->lock);
    return error;
}

const struct node_ops pipe_node_ops = {
    .open = pipe_open,
    .destroy = pipe_destroy,
};

static int64_t
pipe_make(uint64_t to, uint64_t flags)
{
    struct node *n;
    struct file *f[2];
    int fd[2];
    int64_t error;

    if ((flags & ~(uint64_t)(UNIX_O_CLOEXEC | UNIX_O_NONBLOCK |
        UNIX_O_DIRECT)) != 0) {
        return -UNIX_EINVAL;
    }
    n = node_create(UNIX_S_IFIFO | 0600, &pipe_node_ops);
    if (n == NULL) {
        return -UNIX_ENFILE;
    }
    n->nlink = 1;
    /* Both ways first, so that neither end waits for the other. */
    error = file_open(n, UNIX_O_RDWR, &f[0]);
    if (error == 0) {
        error = file_open(n, UNIX_O_WRONLY | UNIX_O_NONBLOCK, &f[1]);
        if (error != 0) {
            file_unref(f[0]);
        }
    }
    node_unref(n);
    if (error != 0) {
        return error;
    }
    vm_set(&f[0]->flags, UNIX_O_RDONLY |
        ((uint32_t)flags & UNIX_O_NONBLOCK));
    vm_set(&f[1]->flags, UNIX_O_WRONLY |
        ((uint32_t)flags & UNIX_O_NONBLOCK));
    ((struct pipe *)n->private)->side[WRITE].open = 1;
    error = fd_install_pair(f, (flags & UNIX_O_CLOEXEC) != 0, fd);
    if (error == 0 && unix_copyout(to, fd, sizeof(fd)) != 0) {
        uint64_t a = (uint64_t)fd[0], b = (uint64_t)fd[1];

        (void)sys_close(&a);
        (void)sys_close(&b);
        error = -UNIX_EFAULT;
    }
    return error;
}

int64_t
sys_pipe(const uint64_t *a)
{
    return pipe_make(a[0], 0);
}

int64_t
sys_pipe2(const uint64_t *a)
{
    return pipe_make(a[0], a[1]);
}
