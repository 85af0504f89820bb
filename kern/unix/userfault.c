/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * userfault.c - userfaultfd(2): a program brings the pages of its memory.
 *
 *   faulting thread                       who reads the descriptor
 *   page missing, entry has a server
 *   userfault_ask: a note into `asked` -> read: a message, the note goes
 *   sleeps on the page's event             to `told`
 *     ^                                   ioctl COPY, ZEROPAGE
 *     +-- wakes, the note is taken off <- vm_map_supply, userfault_answer
 *   looks again: the page is there
 *
 * In Mach's terms a pager outside the kernel, for anonymous memory; what it
 * has once brought is the kernel's to keep (mi/vm_map_serve.c).  The server
 * number that the map keeps for each entry is the place in userfault_table.
 *
 * A note lives on the stack of the thread that waits: so the queues are no
 * longer than there are threads, and need no memory.  Whoever waits can be
 * interrupted.  Nothing else waits for an answer: not fork, not exit, not
 * pageout, not another process that looks into this one's memory (it gets an
 * error).  When the last descriptor is closed, its memory is ordinary memory
 * again, and who waited finds zeros.
 *
 * A descriptor serves the map that made it, whoever has inherited it.  It
 * holds no reference to that map, only its serial number.
 *
 * Locks: userfault_lock (u; spin, rank SIGNAL) for the table, the queues and
 * the references; inside it, only what a wakeup takes.
 * Sources: userfaultfd(2), ioctl_userfaultfd(2); <linux/userfaultfd.h> for
 * numbers and layouts.
 */
#include "file_impl.h"
#include "pageout.h"
#include "proc_impl.h"
#include "vm_fault.h"
#include "vm_map.h"
#include "vm_zone.h"

#define USERFAULT_MAX       1024u       /* descriptors in the system, + 1 */
#define USERFAULT_PATIENCE  16u         /* rounds of waiting for a frame */

#define UFFD_API            0xaau
#define UFFDIO_REGISTER     0xc020aa00u
#define UFFDIO_UNREGISTER   0x8010aa01u
#define UFFDIO_WAKE         0x8010aa02u
#define UFFDIO_COPY         0xc028aa03u
#define UFFDIO_ZEROPAGE     0xc020aa04u
#define UFFDIO_API          0xc018aa3fu
#define BIT(cmd)            ((uint64_t)1 << ((cmd) & 0x3f))
#define REGISTER_MISSING    1u
#define MODE_DONTWAKE       1u
#define EVENT_PAGEFAULT     0x12u
#define PAGEFAULT_WRITE     1u

struct uffd_msg {
    uint8_t event, reserved[7];
    uint64_t flags, address, reserved2;
};
struct uffd_api {
    uint64_t api, features, ioctls;
};
struct uffd_range {
    uint64_t start, len;
};
struct uffd_register {
    struct uffd_range range;
    uint64_t mode, ioctls;
};
/* COPY: dst, src, len, mode, copy; ZEROPAGE: the same without src. */
struct uffd_copy {
    uint64_t dst, src, len, mode;
    int64_t copy;
};
struct uffd_zeropage {
    struct uffd_range range;
    uint64_t mode;
    int64_t zeropage;
};
_Static_assert(sizeof(struct uffd_msg) == 32 &&
    sizeof(struct uffd_copy) == 40 && sizeof(struct uffd_zeropage) == 32,
    "as in <linux/userfaultfd.h>");

/* One thread that waits. */
struct userfault_note {
    struct userfault_note *next, *prev;
    struct userfault_queue *queue;      /* (u) NULL: in none */
    vaddr_t va;
    bool write;
    bool brought;               /* (u) the page is there */
};
struct userfault_queue {
    struct userfault_note *first, *last;
};

struct userfault {
    void *zone_link;
    uint32_t ref_count;         /* (u) the node's, and each note's */
    unsigned server;            /* (u) 0: closed */
    struct vm_map *map;         /* (c) identity only, with serial */
    uint64_t serial;            /* (c) */
    _Atomic bool ready;         /* UFFDIO_API was called */
    bool opened;                /* (node.lock) */
    uint32_t readers;           /* (u) threads that sleep on event */
    _Atomic uint32_t event;     /* moves when a reader has something to do */
    struct userfault_queue asked, told;         /* (u) */
};

static struct vm_spin userfault_lock = VM_SPIN_INIT(KERN_RANK_SIGNAL);
static struct userfault *userfault_table[USERFAULT_MAX];
static struct vm_zone userfault_zone;

/* ---- notes; all with the lock held -------------------------------------- */

static void
userfault_put(struct userfault_queue *q, struct userfault_note *n)
{
    n->queue = q;
    n->next = NULL;
    n->prev = q->last;
    *(q->last != NULL ? &q->last->next : &q->first) = n;
    q->last = n;
}

static void
userfault_take(struct userfault_note *n)
{
    struct userfault_queue *q = n->queue;

    *(n->prev != NULL ? &n->prev->next : &q->first) = n->next;
    *(n->next != NULL ? &n->next->prev : &q->last) = n->prev;
    n->queue = NULL;
}

/*
 * Take the notes about [start, +size) off q.  brought: the pages are there,
 * and their threads woken; else wake them.
 */
static void
userfault_answer_queue(struct userfault *u, struct userfault_queue *q,
    vaddr_t start, vsize_t size, bool brought)
{
    struct userfault_note *n = q->first, *next;

    for (; n != NULL; n = next) {
        next = n->next;
        if (n->va - start < size) {
            userfault_take(n);
            n->brought = brought;
            if (!brought) {
                vm_wakeup(vm_map_missing_event(u->map, n->va));
            }
        }
    }
}

static void
userfault_answer(struct userfault *u, vaddr_t start, vsize_t size,
    bool brought)
{
    vm_spin_lock(&userfault_lock);
    userfault_answer_queue(u, &u->told, start, size, brought);
    if (u->asked.first != NULL) {
        userfault_answer_queue(u, &u->asked, start, size, brought);
    }
    vm_spin_unlock(&userfault_lock);
}

/* Unlocks. */
static void
userfault_unref_unlock(struct userfault *u)
{
    bool last = --u->ref_count == 0;

    vm_spin_unlock(&userfault_lock);
    if (last) {
        vm_zone_free(&userfault_zone, u);
    }
}

/* ---- the fault ---------------------------------------------------------- */

/* There is a note more: who reads, or polls, looks. */
static void
userfault_tell(struct userfault *u, bool readers)
{
    if (readers) {
        atomic_fetch_add_explicit(&u->event, 1, memory_order_relaxed);
        thread_wake(&u->event, ~0u);
    }
    poll_event();
}

static int
userfault_ask(struct vm_map *map, vaddr_t va, vm_prot_t access,
    unsigned server, struct vm_ticket ticket)
{
    struct userfault_note note = {
        .va = va, .write = (access & VM_PROT_WRITE) != 0
    };
    struct vm_lookup look;
    struct userfault *u;
    bool readers;
    int error = VM_E_RETRY;

    if (map != thread_current()->map) {
        /* Only its own threads are at the mercy of its server. */
        return VM_E_PAGER;
    }
    vm_spin_lock(&userfault_lock);
    u = userfault_table[server];
    if (u == NULL || u->map != map || u->serial != map->serial) {
        /* Closed since, perhaps another's by now; the entry knows. */
        vm_spin_unlock(&userfault_lock);
        return VM_E_RETRY;
    }
    u->ref_count++;
    userfault_put(&u->asked, &note);
    readers = u->readers != 0;
    u->readers = 0;
    vm_spin_unlock(&userfault_lock);
    userfault_tell(u, readers);
    /*
     * Who takes the server from the entry wakes the notes that he finds
     * after that: if he came before ours, we see what he did.
     */
    if (vm_map_lookup(map, va, &look) == VM_OK &&
        VM_ATTR_SERVER(look.attr) == server) {
        error = vm_wait_sleep(ticket, true);
    }
    vm_spin_lock(&userfault_lock);
    if (note.queue != NULL) {
        userfault_take(&note);
    }
    if (error == VM_OK && !note.brought) {
        error = VM_E_RETRY;
    }
    userfault_unref_unlock(u);
    return error;
}

/* ---- reading ------------------------------------------------------------ */

/*
 * The oldest note that nobody was told of: into *m, and *id to know it again.
 * False: there is none, and *event is what to sleep on until there may be.
 */
static bool
userfault_next(struct userfault *u, struct uffd_msg *m,
    const struct userfault_note **id, bool sleeps, uint32_t *event)
{
    struct userfault_note *n;

    vm_spin_lock(&userfault_lock);
    n = u->asked.first;
    if (n != NULL) {
        userfault_take(n);
        userfault_put(&u->told, n);
        *m = (struct uffd_msg){
            .event = EVENT_PAGEFAULT, .address = n->va,
            .flags = n->write ? PAGEFAULT_WRITE : 0
        };
        *id = n;
    } else if (sleeps) {
        u->readers++;
        *event = vm_get(&u->event);
    }
    vm_spin_unlock(&userfault_lock);
    return n != NULL;
}

/* The reader could not take it: somebody else may be told. */
static void
userfault_untell(struct userfault *u, const struct userfault_note *id)
{
    struct userfault_note *n;

    vm_spin_lock(&userfault_lock);
    for (n = u->told.first; n != NULL && n != id; n = n->next) {
        continue;
    }
    if (n != NULL) {
        userfault_take(n);
        userfault_put(&u->asked, n);
    }
    vm_spin_unlock(&userfault_lock);
}

static int64_t
userfault_read(struct file *f, struct file_io *io)
{
    struct userfault *u = f->node->private;
    const struct userfault_note *id;
    struct uffd_msg m;
    uint32_t event;
    int64_t done = 0;

    if (!vm_get(&u->ready) || io->len < sizeof(m)) {
        return -UNIX_EINVAL;
    }
    while (io->len >= sizeof(m)) {
        if (userfault_next(u, &m, &id, done == 0 && !io->nonblock,
            &event)) {
            if (file_io_out(io, &m, sizeof(m)) != 0) {
                userfault_untell(u, id);
                return done != 0 ? done : -UNIX_EFAULT;
            }
            done += sizeof(m);
        } else if (done != 0) {
            break;
        } else if (io->nonblock) {
            return -UNIX_EAGAIN;
        } else if (thread_wait(&u->event, event, true, 0) == VM_E_INTR) {
            return -UNIX_RESTART;
        }
    }
    return done;
}

/* As Linux: who may block in read has no use for poll. */
static uint32_t
userfault_poll(struct file *f)
{
    struct userfault *u = f->node->private;
    bool asked;

    if (!vm_get(&u->ready) || (vm_get(&f->flags) & UNIX_O_NONBLOCK) == 0) {
        return POLL_ERR;
    }
    vm_spin_lock(&userfault_lock);
    asked = u->asked.first != NULL;
    vm_spin_unlock(&userfault_lock);
    return asked ? POLL_IN : 0;
}

/* ---- requests ----------------------------------------------------------- */

/*
 * The map that u serves: the running thread's own, or (*other) another one,
 * with a reference; NULL: it is gone.
 */
static struct vm_map *
userfault_map(const struct userfault *u, bool *other)
{
    struct vm_map *map = thread_current()->map;

    *other = map != u->map || map->serial != u->serial;
    if (!*other) {
        return map;
    }
    map = vm_map_next(NULL);
    while (map != NULL && map->serial != u->serial) {
        map = vm_map_next(map);
    }
    return map;
}

/* Whole pages that a program could have; EINVAL. */
static bool
userfault_range_ok(const struct vm_map *map, uint64_t start, uint64_t len)
{
    return len != 0 && vm_page_aligned(start) && vm_page_aligned(len) &&
        vm_range_ok(start, len) && start >= vm_get(&map->start) &&
        start + len <= vm_get(&map->end);
}

static int64_t
userfault_api(struct userfault *u, uint64_t arg)
{
    struct uffd_api api;
    bool ready = false;
    int64_t error = unix_copyin(&api, arg, sizeof(api));

    if (error != 0) {
        return error;
    }
    if (api.api != UFFD_API || api.features != 0) {
        memset(&api, 0, sizeof(api));
        error = unix_copyout(arg, &api, sizeof(api));
        return error != 0 ? error : -UNIX_EINVAL;
    }
    api.ioctls = BIT(UFFDIO_API) | BIT(UFFDIO_REGISTER) |
        BIT(UFFDIO_UNREGISTER);
    error = unix_copyout(arg, &api, sizeof(api));
    if (error == 0 && !atomic_compare_exchange_strong_explicit(&u->ready,
            &ready, true, memory_order_relaxed, memory_order_relaxed)) {
        error = -UNIX_EINVAL;
    }
    return error;
}

static int64_t
userfault_register(struct userfault *u, struct vm_map *map, uint64_t arg)
{
    struct uffd_register r;
    int64_t error = unix_copyin(&r, arg, sizeof(r));

    if (error != 0) {
        return error;
    }
    if (r.mode != REGISTER_MISSING ||
        !userfault_range_ok(map, r.range.start, r.range.len)) {
        return -UNIX_EINVAL;
    }
    switch (vm_map_serve(map, r.range.start, r.range.len, u->server)) {
    case VM_OK:
        r.ioctls = BIT(UFFDIO_WAKE) | BIT(UFFDIO_COPY) |
            BIT(UFFDIO_ZEROPAGE);
        return unix_copyout(arg + offsetof(struct uffd_register, ioctls),
            &r.ioctls, sizeof(r.ioctls));
    case VM_E_PROT:
        return -UNIX_EPERM;
    case VM_E_BUSY:
        return -UNIX_EBUSY;
    case VM_E_NOMEM:
        return -UNIX_ENOMEM;
    default:
        return -UNIX_EINVAL;
    }
}

static int64_t
userfault_unregister(struct userfault *u, struct vm_map *map, uint64_t arg)
{
    struct uffd_range r;
    int64_t error = unix_copyin(&r, arg, sizeof(r));
    int served;

    if (error != 0) {
        return error;
    }
    if (!userfault_range_ok(map, r.start, r.len)) {
        return -UNIX_EINVAL;
    }
    served = vm_map_serve(map, r.start, r.len, 0);
    if (served != VM_OK) {
        return served == VM_E_NOMEM ? -UNIX_ENOMEM : -UNIX_EINVAL;
    }
    userfault_answer(u, r.start, r.len, false);
    return 0;
}

static int64_t
userfault_wake(struct userfault *u, struct vm_map *map, uint64_t arg)
{
    struct uffd_range r;
    int64_t error = unix_copyin(&r, arg, sizeof(r));

    if (error != 0) {
        return error;
    }
    if (!userfault_range_ok(map, r.start, r.len)) {
        return -UNIX_EINVAL;
    }
    userfault_answer(u, r.start, r.len, false);
    return 0;
}

/* A frame for a page of a program; waits a while for one. */
static struct vm_page *
userfault_frame(void)
{
    struct vm_page *p;

    for (unsigned i = 0; i < USERFAULT_PATIENCE; i++) {
        p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
        if (p != NULL || pageout_wait() != VM_OK) {
            return p;
        }
    }
    return NULL;
}

/* One page at dst: bytes from src, or zeros. */
static int64_t
userfault_page(struct vm_map *map, vaddr_t dst, uint64_t src, bool zero)
{
    struct vm_page *p = userfault_frame();
    int error;

    if (p == NULL) {
        return -UNIX_ENOMEM;
    }
    if (zero) {
        vm_page_zero(p);
    } else if (md_copyin(vm_page_data(p), src, VM_PAGE_SIZE) != VM_OK) {
        vm_page_free(p);
        return -UNIX_EFAULT;
    }
    error = vm_map_supply(map, dst, p);
    if (error == VM_OK) {
        return 0;
    }
    vm_page_free(p);
    return error == VM_E_ADDRESS ? -UNIX_ENOENT :
        error == VM_E_NOSPACE ? -UNIX_EEXIST :
        error == VM_E_BUSY ? -UNIX_EINVAL : -UNIX_ENOMEM;
}

/* Bytes that were brought, or the first page's error. */
static int64_t
userfault_pages(struct userfault *u, struct vm_map *map,
    const struct uffd_copy *c, bool zero)
{
    uint64_t done = 0;
    int64_t error = 0;

    while (done < c->len && error == 0) {
        error = done != 0 && proc_signal_pending() ? -UNIX_EINTR :
            userfault_page(map, c->dst + done, c->src + done, zero);
        done += error == 0 ? VM_PAGE_SIZE : 0;
    }
    if (done != 0) {
        /* supply has woken them: here only their notes go. */
        userfault_answer(u, c->dst, done, true);
        return (int64_t)done;
    }
    return error;
}

/* The result goes to where the caller looks for it, and partly to errno. */
static int64_t
userfault_bring(struct userfault *u, struct vm_map *map,
    const struct uffd_copy *c, bool zero, uint64_t result)
{
    int64_t n, error;

    if (!userfault_range_ok(map, c->dst, c->len) ||
        (c->mode & ~(uint64_t)MODE_DONTWAKE) != 0 ||
        (!zero && c->src + c->len <= c->src)) {
        return -UNIX_EINVAL;
    }
    n = userfault_pages(u, map, c, zero);
    error = unix_copyout(result, &n, sizeof(n));
    return error != 0 ? error : n < 0 ? n :
        (uint64_t)n == c->len ? 0 : -UNIX_EAGAIN;
}

static int64_t
userfault_copy(struct userfault *u, struct vm_map *map, uint64_t arg)
{
    struct uffd_copy c;
    int64_t error = unix_copyin(&c, arg, offsetof(struct uffd_copy, copy));

    return error != 0 ? error : userfault_bring(u, map, &c, false,
        arg + offsetof(struct uffd_copy, copy));
}

static int64_t
userfault_zeropage(struct userfault *u, struct vm_map *map, uint64_t arg)
{
    struct uffd_zeropage z;
    struct uffd_copy c;
    int64_t error = unix_copyin(&z, arg,
        offsetof(struct uffd_zeropage, zeropage));

    if (error != 0) {
        return error;
    }
    c = (struct uffd_copy){
        .dst = z.range.start, .len = z.range.len, .mode = z.mode
    };
    return userfault_bring(u, map, &c, true,
        arg + offsetof(struct uffd_zeropage, zeropage));
}

static int64_t
userfault_ioctl(struct file *f, uint64_t cmd, uint64_t arg)
{
    static int64_t (*const request[])(struct userfault *, struct vm_map *,
        uint64_t) = {
        [UFFDIO_REGISTER & 7] = userfault_register,
        [UFFDIO_UNREGISTER & 7] = userfault_unregister,
        [UFFDIO_WAKE & 7] = userfault_wake,
        [UFFDIO_COPY & 7] = userfault_copy,
        [UFFDIO_ZEROPAGE & 7] = userfault_zeropage,
    };
    struct userfault *u = f->node->private;
    struct vm_map *map;
    int64_t error;
    bool other;

    if (cmd == UFFDIO_API) {
        return userfault_api(u, arg);
    }
    if (!vm_get(&u->ready) || (cmd != UFFDIO_REGISTER &&
        cmd != UFFDIO_UNREGISTER && cmd != UFFDIO_WAKE &&
        cmd != UFFDIO_COPY && cmd != UFFDIO_ZEROPAGE)) {
        return -UNIX_EINVAL;
    }
    map = userfault_map(u, &other);
    if (map == NULL) {
        return cmd == UFFDIO_REGISTER || cmd == UFFDIO_UNREGISTER ?
            -UNIX_ENOMEM : -UNIX_ESRCH;
    }
    error = request[cmd & 7](u, map, arg);
    if (other) {
        vm_map_unref(map);
    }
    return error;
}

/* ---- life --------------------------------------------------------------- */

/* Its memory is ordinary again; then nobody can ask, and who waits wakes. */
static void
userfault_close(struct file *f)
{
    struct userfault *u = f->node->private;
    bool other;
    struct vm_map *map = userfault_map(u, &other);

    if (map != NULL) {
        vm_map_unserve(map, u->server);
    }
    if (map != NULL && other) {
        vm_map_unref(map);
    }
    vm_spin_lock(&userfault_lock);
    userfault_table[u->server] = NULL;
    vm_spin_unlock(&userfault_lock);
    userfault_answer(u, 0, ~(vsize_t)0, false);
}

static const struct file_ops userfault_file_ops = {
    .read = userfault_read,
    .ioctl = userfault_ioctl,
    .poll = userfault_poll,
    .close = userfault_close,
};

/* Once: /proc/self/fd/N is no way to another one. */
static int64_t
userfault_open(struct node *n, struct file *f)
{
    struct userfault *u = n->private;
    bool again;

    vm_mutex_lock(&n->lock);
    again = u->opened;
    u->opened = true;
    vm_mutex_unlock(&n->lock);
    f->ops = &userfault_file_ops;
    return again ? -UNIX_ENXIO : 0;
}

static void
userfault_destroy(struct node *n)
{
    struct userfault *u = n->private;

    if (u != NULL) {
        vm_spin_lock(&userfault_lock);
        if (userfault_table[u->server] == u) {
            /* No file was ever made for it. */
            userfault_table[u->server] = NULL;
        }
        userfault_unref_unlock(u);
    }
}

static const struct node_ops userfault_node_ops = {
    .open = userfault_open,
    .destroy = userfault_destroy,
};

void
userfault_init(void)
{
    vm_zone_init(&userfault_zone, "userfault", sizeof(struct userfault));
    vm_map_server = userfault_ask;
}

/* One for the running process, with a number; NULL: -EMFILE or -ENOMEM. */
static struct userfault *
userfault_create(int64_t *error)
{
    struct userfault *u = vm_zone_alloc(&userfault_zone);
    struct vm_map *map = thread_current()->map;
    unsigned i = 1;

    if (u == NULL) {
        *error = -UNIX_ENOMEM;
        return NULL;
    }
    memset(u, 0, sizeof(*u));
    u->ref_count = 1;
    u->map = map;
    u->serial = map->serial;
    vm_spin_lock(&userfault_lock);
    while (i < USERFAULT_MAX && userfault_table[i] != NULL) {
        i++;
    }
    if (i < USERFAULT_MAX) {
        userfault_table[i] = u;
        u->server = i;
    }
    vm_spin_unlock(&userfault_lock);
    if (u->server == 0) {
        vm_zone_free(&userfault_zone, u);
        *error = -UNIX_ENFILE;
        return NULL;
    }
    return u;
}

int64_t
sys_userfaultfd(const uint64_t *a)
{
    struct userfault *u;
    struct node *n;
    struct file *f;
    int64_t error = 0;

    if ((a[0] & ~(uint64_t)(UNIX_O_CLOEXEC | UNIX_O_NONBLOCK)) != 0) {
        return -UNIX_EINVAL;
    }
    n = node_create(0600, &userfault_node_ops);
    if (n == NULL) {
        return -UNIX_ENFILE;
    }
    u = userfault_create(&error);
    if (u == NULL) {
        node_unref(n);
        return error;
    }
    n->private = u;
    n->nlink = 1;
    error = file_open(n, (uint32_t)a[0] & UNIX_O_NONBLOCK, &f);
    node_unref(n);
    return error != 0 ? error :
        fd_install(f, 0, (a[0] & UNIX_O_CLOEXEC) != 0);
}
