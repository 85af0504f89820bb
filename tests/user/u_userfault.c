/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_userfault.c - userfaultfd(2): pages that a program brings for itself.
 */
/* pal: timeout=120 */
#include "utest.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "mach_vm.h"

#define PAGES   16u

static void *volatile bad = (void *)8;
static size_t page;
static unsigned char *block;            /* a page of src's bytes */

static int
uffd_raw(int flags)
{
    return (int)syscall(SYS_userfaultfd, flags);
}

/* One that is ready; skips where there is none (Linux, unprivileged). */
static int
uffd_new(int flags)
{
    struct uffdio_api api = { .api = UFFD_API };
    int fd = uffd_raw(flags);

    if (fd < 0 && (errno == EPERM || errno == ENOSYS)) {
        USKIP("no userfaultfd");
    }
    UCHECK(fd >= 0);
    UCHECK(ioctl(fd, UFFDIO_API, &api) == 0);
    page = (size_t)sysconf(_SC_PAGESIZE);
    block = malloc(page);
    UCHECK(block != NULL);
    memset(block, 0x5a, page);
    return fd;
}

static unsigned char *
memory(size_t pages)
{
    unsigned char *p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    UCHECK(p != MAP_FAILED);
    return p;
}

static int
reg(int fd, void *p, size_t pages)
{
    struct uffdio_register r = {
        .range = { (uintptr_t)p, pages * page },
        .mode = UFFDIO_REGISTER_MODE_MISSING
    };
    int error = ioctl(fd, UFFDIO_REGISTER, &r);

    UCHECK(error != 0 || (r.ioctls & 1 << _UFFDIO_COPY) != 0);
    return error;
}

static int
unreg(int fd, void *p, size_t pages)
{
    struct uffdio_range r = { (uintptr_t)p, pages * page };

    return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static int
copy(int fd, void *to, const void *from, size_t pages, int64_t *done)
{
    struct uffdio_copy c = {
        .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = pages * page
    };
    int error = ioctl(fd, UFFDIO_COPY, &c);

    if (done != NULL) {
        *done = c.copy;
    }
    return error;
}

static int
zeropage(int fd, void *to, size_t pages)
{
    struct uffdio_zeropage z = { .range = { (uintptr_t)to, pages * page } };

    return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}

static int
wake(int fd, void *at, size_t pages)
{
    struct uffdio_range r = { (uintptr_t)at, pages * page };

    return ioctl(fd, UFFDIO_WAKE, &r);
}

/* ---- a server ------------------------------------------------------------- */

struct server {
    int fd;
    unsigned char *base;
    unsigned left;              /* pages to serve */
    _Atomic unsigned served, writes;
    int discard;                /* throw page tables away all the time */
};

/* Page n of the memory holds n + 1 in each byte. */
static void *
serve(void *arg)
{
    struct server *s = arg;
    unsigned char *from = malloc(page);
    struct uffd_msg m;

    for (; s->left > 0; s->left--) {
        uint64_t at;

        UCHECK(read(s->fd, &m, sizeof(m)) == (ssize_t)sizeof(m));
        UCHECK(m.event == UFFD_EVENT_PAGEFAULT);
        at = m.arg.pagefault.address;
        UCHECK(at % page == 0 && at >= (uintptr_t)s->base);
        memset(from, (int)((at - (uintptr_t)s->base) / page) + 1, page);
        s->writes +=
            (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
        if (s->discard) {
            (void)vm_discard(VM_ALL, 0, 0);
        }
        UCHECK(copy(s->fd, (void *)(uintptr_t)at, from, 1, NULL) == 0);
        s->served++;
    }
    free(from);
    return NULL;
}

static pthread_t
start(void *(*fn)(void *), void *arg)
{
    pthread_t t;

    UCHECK(pthread_create(&t, NULL, fn, arg) == 0);
    return t;
}

/* Reads a byte; what it was comes back by join. */
static void *
reader(void *p)
{
    return (void *)(uintptr_t)*(volatile unsigned char *)p;
}

static unsigned
joined(pthread_t t)
{
    void *result;

    UCHECK(pthread_join(t, &result) == 0);
    return (unsigned)(uintptr_t)result;
}

/* The next message, which must be about p. */
static void
expect(int fd, void *p, unsigned flags)
{
    struct uffd_msg m;

    UCHECK(read(fd, &m, sizeof(m)) == (ssize_t)sizeof(m));
    UCHECK(m.event == UFFD_EVENT_PAGEFAULT);
    UCHECK(m.arg.pagefault.address == (uintptr_t)p);
    UCHECK(m.arg.pagefault.flags == flags);
}

/* Nobody asks. */
static int
is_silent(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    UCHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return poll(&p, 1, 0) == 0;
}

/* ---- arguments ------------------------------------------------------------ */

UTEST(api)
{
    struct uffdio_api api = { .api = 1 };
    struct uffd_msg m;
    int fd = uffd_new(O_CLOEXEC), raw;

    UERRNO(uffd_raw(0x40000000), EINVAL);
    UCHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    raw = uffd_raw(O_NONBLOCK);
    UCHECK(raw >= 0);
    UERRNO(read(raw, &m, sizeof(m)), EINVAL);
    UERRNO(reg(raw, memory(1), 1), EINVAL);
    UERRNO(ioctl(raw, UFFDIO_API, bad), EFAULT);
    UERRNO(ioctl(raw, UFFDIO_API, &api), EINVAL);
    UCHECK(api.api == 0);
    api = (struct uffdio_api){ .api = UFFD_API, .features = 1ull << 63 };
    UERRNO(ioctl(raw, UFFDIO_API, &api), EINVAL);
    api = (struct uffdio_api){ .api = UFFD_API };
    UCHECK(ioctl(raw, UFFDIO_API, &api) == 0);
    UCHECK((api.ioctls & 1ull << _UFFDIO_REGISTER) != 0);
    api = (struct uffdio_api){ .api = UFFD_API };
    UERRNO(ioctl(raw, UFFDIO_API, &api), EINVAL);
    UERRNO(read(raw, &m, sizeof(m)), EAGAIN);
    UERRNO(read(raw, &m, sizeof(m) - 1), EINVAL);
    UERRNO(write(raw, &m, sizeof(m)), EBADF);
    UERRNO(ioctl(raw, 0xaa77, &m), EINVAL);
    UCHECK(mmap(NULL, page, PROT_READ, MAP_PRIVATE, raw, 0) == MAP_FAILED);
}

UTEST(arguments)
{
    int fd = uffd_new(0), other = uffd_new(0);
    unsigned char *p = memory(PAGES), *hole = memory(1);
    struct uffdio_register r = {
        .range = { (uintptr_t)p, page }, .mode = 2ull << 60
    };
    struct uffdio_copy c = { .dst = (uintptr_t)p, .src = (uintptr_t)block,
        .len = page, .mode = 1ull << 40 };
    int64_t done;

    UERRNO(ioctl(fd, UFFDIO_REGISTER, &r), EINVAL);
    r.mode = 0;
    UERRNO(ioctl(fd, UFFDIO_REGISTER, &r), EINVAL);
    UERRNO(ioctl(fd, UFFDIO_REGISTER, bad), EFAULT);
    UERRNO(reg(fd, p + 1, 1), EINVAL);
    UERRNO(reg(fd, p, 0), EINVAL);
    UERRNO(reg(fd, (void *)(uintptr_t)-page, 1), EINVAL);
    UCHECK(munmap(hole, page) == 0);
    UERRNO(reg(fd, hole, 1), EINVAL);
    UERRNO(copy(fd, p, block, 1, &done), ENOENT);
    UCHECK(reg(fd, p, 2) == 0 && reg(fd, p, 2) == 0);
    UERRNO(reg(other, p, PAGES), EBUSY);
    UERRNO(ioctl(fd, UFFDIO_COPY, &c), EINVAL);
    UERRNO(ioctl(fd, UFFDIO_COPY, bad), EFAULT);
    UERRNO(copy(fd, p + 1, block, 1, NULL), EINVAL);
    UERRNO(copy(fd, p, (void *)(uintptr_t)-16, 1, NULL), EINVAL);
    UERRNO(copy(fd, p, bad, 1, &done), EFAULT);
    UCHECK(done == -EFAULT);
    UERRNO(zeropage(fd, p, 0), EINVAL);
    UERRNO(wake(fd, p, 0), EINVAL);
    UERRNO(ioctl(fd, UFFDIO_WAKE, bad), EFAULT);
    UERRNO(ioctl(fd, UFFDIO_ZEROPAGE, bad), EFAULT);
    UERRNO(ioctl(fd, UFFDIO_UNREGISTER, bad), EFAULT);
    UERRNO(unreg(fd, hole, 1), EINVAL);
    UCHECK(copy(fd, p, block, 1, &done) == 0 && done == (int64_t)page);
    UCHECK(p[0] == 0x5a && p[page - 1] == 0x5a);
    UERRNO(copy(fd, p, block, 1, &done), EEXIST);
    UCHECK(done == -EEXIST);
    UERRNO(zeropage(fd, p, 1), EEXIST);
    /* One of two is there: what was done before is told. */
    UCHECK(unreg(fd, p, 2) == 0 && reg(fd, p, PAGES) == 0);
    UCHECK(zeropage(fd, p + 3 * page, 1) == 0 && p[3 * page] == 0);
    UERRNO(zeropage(fd, p + 2 * page, 2), EAGAIN);
    UCHECK(p[2 * page] == 0);
}

/* ---- faults --------------------------------------------------------------- */

static void
all_pages(int discard)
{
    int fd = uffd_new(O_CLOEXEC);
    struct server s = { .fd = fd, .base = memory(64), .left = 64,
        .discard = discard };
    pthread_t t;

    UCHECK(reg(fd, s.base, 64) == 0);
    t = start(serve, &s);
    for (unsigned i = 0; i < 64; i += 2) {
        UCHECK(s.base[i * page + i] == i + 1);
    }
    for (unsigned i = 1; i < 64; i += 2) {
        s.base[i * page] = 200;
    }
    joined(t);
    UCHECK(s.served == 64 && s.writes == 32);
    (void)vm_discard(0, 0, 0);
    for (unsigned i = 0; i < 64; i++) {
        UCHECK(s.base[i * page] == (i % 2 == 0 ? i + 1 : 200));
        UCHECK(s.base[i * page + 1] == i + 1);
    }
}

UTEST(missing)
{
    all_pages(0);
}

UTEST(discarded)
{
    all_pages(1);
}

/* What the kernel touches for a program is brought like anything else. */
UTEST(kernel_access)
{
    int fd = uffd_new(0), pipe_fd[2];
    struct server s = { .fd = fd, .base = memory(4), .left = 4 };
    char in[8];
    pthread_t t;

    UCHECK(pipe(pipe_fd) == 0);
    UCHECK(reg(fd, s.base, 4) == 0);
    t = start(serve, &s);
    UCHECK(write(pipe_fd[1], s.base + page - 4, 8) == 8);
    UCHECK(read(pipe_fd[0], in, 8) == 8 && in[0] == 1 && in[7] == 2);
    UCHECK(write(pipe_fd[1], "abcd", 4) == 4);
    UCHECK(read(pipe_fd[0], s.base + 3 * page, 4) == 4);
    UCHECK(memcmp(s.base + 3 * page, "abcd\4", 5) == 0);
    UCHECK(mlock(s.base, 3 * page) == 0 && s.base[2 * page] == 3);
    joined(t);
}

/* What is there already stays, and what is thrown away is asked for. */
UTEST(present)
{
    int fd = uffd_new(O_NONBLOCK);
    unsigned char *p = memory(4);
    pthread_t t;

    p[0] = 1;
    UCHECK(p[page] == 0);               /* a page that is only read */
    UCHECK(reg(fd, p, 4) == 0);
    UCHECK(p[0] == 1 && p[page] == 0 && is_silent(fd));
    UERRNO(copy(fd, p + page, block, 1, NULL), EEXIST);
    UCHECK(madvise(p, 2 * page, MADV_DONTNEED) == 0);
    UCHECK(copy(fd, p, block, 1, NULL) == 0 && p[0] == 0x5a);
    t = start(reader, p + page);
    UCHECK(fcntl(fd, F_SETFL, 0) == 0);
    expect(fd, p + page, 0);
    UCHECK(zeropage(fd, p + page, 1) == 0 && joined(t) == 0);
    /* New memory at the same place has no server. */
    UCHECK(mmap(p + 2 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
        MAP_FIXED, -1, 0) == p + 2 * page && p[2 * page] == 0);
    UCHECK(is_silent(fd));
}

UTEST(protection)
{
    int fd = uffd_new(0);
    unsigned char *p = memory(2);

    UCHECK(mprotect(p, 2 * page, PROT_NONE) == 0);
    UCHECK(reg(fd, p, 2) == 0 && copy(fd, p, block, 1, NULL) == 0);
    UCHECK(mprotect(p, 2 * page, PROT_READ) == 0 && p[0] == 0x5a);
    UCHECK(copy(fd, p + page, block, 1, NULL) == 0 && p[page] == 0x5a);
}

UTEST(wakeup)
{
    int fd = uffd_new(0);
    unsigned char *p = memory(2);
    pthread_t t;

    UCHECK(reg(fd, p, 2) == 0);
    t = start(reader, p);
    expect(fd, p, 0);
    /* Woken for nothing, it asks again. */
    UCHECK(wake(fd, p, 2) == 0);
    expect(fd, p, 0);
    UCHECK(unreg(fd, p, 2) == 0);
    UCHECK(joined(t) == 0 && p[page] == 0 && is_silent(fd));
    /* A message that cannot be delivered is not lost. */
    UCHECK(fcntl(fd, F_SETFL, 0) == 0);
    p = memory(1);
    UCHECK(reg(fd, p, 1) == 0);
    t = start(reader, p);
    UERRNO(read(fd, bad, sizeof(struct uffd_msg)), EFAULT);
    if (vm_discard(0, 0, 0) == KERN_NOT_SUPPORTED) {
        UCHECK(wake(fd, p, 1) == 0);    /* Linux loses it */
    }
    expect(fd, p, 0);
    UCHECK(copy(fd, p, block, 1, NULL) == 0 && joined(t) == 0x5a);
}

UTEST(polling)
{
    int fd = uffd_new(O_NONBLOCK);
    struct pollfd q = { .fd = fd, .events = POLLIN };
    unsigned char *p = memory(2);
    struct uffd_msg m[3];
    pthread_t t, v;

    UCHECK(poll(&q, 1, 0) == 0);
    UCHECK(reg(fd, p, 2) == 0);
    t = start(reader, p);
    UCHECK(poll(&q, 1, -1) == 1 && q.revents == POLLIN);
    v = start(reader, p + page);
    usleep(20000);
    /* Both at once, and no more than there are. */
    UCHECK(read(fd, m, sizeof(m)) == 2 * (ssize_t)sizeof(*m));
    UCHECK(m[1].arg.pagefault.address == (uintptr_t)p + page);
    UCHECK(poll(&q, 1, 0) == 0);
    UERRNO(read(fd, m, sizeof(m)), EAGAIN);
    UCHECK(zeropage(fd, p, 2) == 0);
    UCHECK(joined(t) == 0 && joined(v) == 0);
    UCHECK(fcntl(fd, F_SETFL, 0) == 0);
    UCHECK(poll(&q, 1, 0) == 1 && (q.revents & POLLERR) != 0);
}

/* ---- ends ----------------------------------------------------------------- */

UTEST(close_with_waiters)
{
    int fd = uffd_new(0), twin = dup(fd);
    unsigned char *p = memory(4);
    pthread_t t[4];

    UCHECK(reg(fd, p, 4) == 0);
    for (unsigned i = 0; i < 4; i++) {
        t[i] = start(reader, p + i * page);
    }
    expect(fd, p, 0);
    usleep(20000);
    UCHECK(close(fd) == 0);
    /* Not the last: it goes on. */
    UCHECK(copy(twin, p, block, 1, NULL) == 0 && joined(t[0]) == 0x5a);
    UCHECK(close(twin) == 0);
    for (unsigned i = 1; i < 4; i++) {
        UCHECK(joined(t[i]) == 0);
    }
}

static void
silent_waiter(void *arg)
{
    int fd = uffd_new(0);
    unsigned char *p = memory(2);

    (void)arg;
    UCHECK(reg(fd, p, 2) == 0);
    (void)start(reader, p);
    usleep(10000);
    (void)*(volatile unsigned char *)(p + page);
}

UTEST(killed)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        silent_waiter(NULL);
        _exit(0);
    }
    usleep(100000);
    UCHECK(waitpid(pid, &status, WNOHANG) == 0);
    UCHECK(kill(pid, SIGKILL) == 0);
    UCHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static volatile sig_atomic_t signals;
static int serve_fd;
static unsigned char *serve_at;

static void
on_signal(int s)
{
    (void)s;
    if (++signals == 3) {
        (void)copy(serve_fd, serve_at, block, 1, NULL);
    }
}

/* A handler may run while its thread waits, and be the server, too. */
UTEST(interrupted)
{
    struct sigaction sa = { .sa_handler = on_signal };
    pid_t pid, parent = getpid();

    serve_fd = uffd_new(0);
    serve_at = memory(1);
    UCHECK(reg(serve_fd, serve_at, 1) == 0);
    UCHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        for (;;) {
            usleep(20000);
            (void)kill(parent, SIGUSR1);
        }
    }
    UCHECK(*(volatile unsigned char *)serve_at == 0x5a && signals >= 3);
    UCHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

/* ---- fork ----------------------------------------------------------------- */

struct family {
    int fd;
    unsigned char *p;
};

/* In the child all is ordinary memory, whatever the parent has. */
static void
child_reads(void *arg)
{
    struct family *f = arg;

    UCHECK(f->p[0] == 7 && f->p[page] == 0 && f->p[2 * page] == 0);
    f->p[3 * page] = 9;
    UCHECK(f->p[3 * page] == 9 && f->p[3 * page + 1] == 0);
    UCHECK(mprotect(f->p, PAGES * page, PROT_READ) == 0);
    UCHECK(f->p[4 * page] == 0);
    UCHECK(mlock(f->p, PAGES * page) == 0);
}

/* What was brought before fork is there; it may be written. */
static void
child_has_copy(void *arg)
{
    struct family *f = arg;

    UCHECK(f->p[0] == 7 && f->p[page] == 2 && f->p[6 * page] == 0);
    f->p[page] = 9;
    UCHECK(f->p[page] == 9 && f->p[page + 1] == 2);
}

UTEST(fork_is_ordinary)
{
    struct family f = { uffd_new(0), memory(PAGES) };
    struct server s = { .fd = f.fd, .base = f.p, .left = 5 };
    pthread_t t;

    f.p[0] = 7;
    UCHECK(reg(f.fd, f.p, PAGES) == 0);
    UCHECK(utest_child(child_reads, &f) == 0);
    UCHECK(is_silent(f.fd) && fcntl(f.fd, F_SETFL, 0) == 0);
    /* What the child has read, or written, is missing here as before. */
    t = start(serve, &s);
    for (unsigned i = 1; i < 6; i++) {
        UCHECK(f.p[i * page] == i + 1);
    }
    joined(t);
    UCHECK(utest_child(child_has_copy, &f) == 0);
    UCHECK(f.p[0] == 7 && f.p[page] == 2);
}

/* A thread waits while its process forks: the child waits for nobody. */
static void
child_reads_all(void *arg)
{
    struct family *f = arg;

    for (unsigned i = 0; i < PAGES; i++) {
        UCHECK(f->p[i * page] == 0);
    }
}

UTEST(fork_while_waiting)
{
    struct family f = { uffd_new(0), memory(PAGES) };
    pthread_t t;

    UCHECK(reg(f.fd, f.p, PAGES) == 0);
    t = start(reader, f.p);
    expect(f.fd, f.p, 0);
    UCHECK(utest_child(child_reads_all, &f) == 0);
    UCHECK(copy(f.fd, f.p, block, 1, NULL) == 0 && joined(t) == 0x5a);
}

/* Memory that relatives share already can be served, too. */
UTEST(registered_after_fork)
{
    struct family f = { uffd_new(0), memory(PAGES) };
    struct server s = { .fd = f.fd, .base = f.p, .left = 3 };
    int go[2], status;
    char byte;
    pthread_t t;
    pid_t pid;

    f.p[0] = 7;
    UCHECK(pipe(go) == 0);
    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        UCHECK(read(go[0], &byte, 1) == 1);
        child_reads(&f);
        _exit(0);
    }
    UCHECK(reg(f.fd, f.p, PAGES) == 0);
    UCHECK(write(go[1], "", 1) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    t = start(serve, &s);
    UCHECK(f.p[page] == 2 && f.p[2 * page] == 3 && f.p[3 * page] == 4);
    joined(t);
    UCHECK(f.p[0] == 7);
}

/* A child that inherited the descriptor serves its parent. */
UTEST(served_by_child)
{
    struct family f = { uffd_new(0), memory(PAGES) };
    struct server s = { .fd = f.fd, .base = f.p, .left = PAGES };
    int status;
    pid_t pid;

    UCHECK(reg(f.fd, f.p, PAGES) == 0);
    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        serve(&s);
        _exit(0);
    }
    UCHECK(close(f.fd) == 0);
    for (unsigned i = 0; i < PAGES; i++) {
        UCHECK(f.p[i * page] == i + 1);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Its memory is gone: who still has the descriptor is told. */
UTEST(orphan)
{
    int fd[2], result[2];
    int64_t error;
    pid_t pid;

    UCHECK(pipe(fd) == 0 && pipe(result) == 0);
    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        int u = uffd_new(0);
        unsigned char *p = memory(1);
        char byte;

        UCHECK(reg(u, p, 1) == 0);
        pid = fork();
        if (pid != 0) {
            _exit(pid < 0);
        }
        (void)close(fd[1]);
        /* Until the parent, and its memory, have gone. */
        UCHECK(read(fd[0], &byte, 1) == 0);
        usleep(50000);
        error = copy(u, p, block, 1, NULL) == 0 ? 0 : errno;
        UCHECK(write(result[1], &error, sizeof(error)) == sizeof(error));
        _exit(0);
    }
    UCHECK(waitpid(pid, NULL, 0) == pid);
    UCHECK(close(fd[1]) == 0);
    UCHECK(read(result[0], &error, sizeof(error)) == sizeof(error));
    UCHECK(error == ESRCH);
}
