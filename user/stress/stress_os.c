/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_os.c - struct flow_os by system calls: those of Linux, and Mach's
 * where the kernel has them.
 *
 * Words are loaded and stored one by one, so that a reader who comes between
 * finds each old or new.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "mach_vm.h"
#include "stress.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE     0x100000
#endif
#define PATIENCE        10000u          /* tries while memory is short */
#define RW              (PROT_READ | PROT_WRITE)
#define STATUS_BAD      1               /* said already what is wrong */

static struct flow_os os;
static pid_t children[FLOW_CHILDREN];
static sigjmp_buf refuge;
static volatile sig_atomic_t trying;
static struct flow_task *running;       /* for what a signal says */

static void *
at(uint64_t va)
{
    return (void *)(uintptr_t)va;
}

static void __attribute__((noreturn))
os_fail(struct flow_task *t, const char *text)
{
    printf("%s", text);
    fflush(stdout);
    if (t->child == 0) {
        stress_send(t, STRESS_FAILED, 0);
    }
    _exit(STATUS_BAD);
}

static void __attribute__((noreturn))
fail(struct flow_task *t, const char *what, uint64_t va, long error)
{
    char text[200];

    snprintf(text, sizeof(text), "REFUSED: task %u's %s at %#llx in epoch "
        "%u: error %ld (errno %d)\n", t->number, what,
        (unsigned long long)va, t->epoch, error, errno);
    os_fail(t, text);
}

/* True: done; false: memory is short; else the run ends. */
static bool
ok(struct flow_task *t, int result, const char *what, uint64_t va)
{
    if (result == 0) {
        return true;
    }
    if (errno == ENOMEM || errno == EAGAIN) {
        return false;
    }
    fail(t, what, va, result);
}

static bool
mach_ok(struct flow_task *t, kern_return_t r, const char *what, uint64_t va)
{
    if (r == KERN_SUCCESS) {
        return true;
    }
    if (r == KERN_RESOURCE_SHORTAGE) {
        return false;
    }
    fail(t, what, va, r);
}

static bool
fits(uint64_t va)
{
    return va % os.page_size == 0;
}

/* ---- access ----------------------------------------------------------- */

static void
on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (trying) {
        trying = 0;
        siglongjmp(refuge, 1);
    }
    fail(running, number == SIGSEGV ? "access (SIGSEGV)" :
        "access (SIGBUS)", (uintptr_t)info->si_addr, info->si_code);
}

void
stress_catch(void)
{
    /* Not masked while it runs: it may not come back. */
    struct sigaction action = {
        .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER,
    };

    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void
copy_words(volatile uint64_t *to, const volatile uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n / 8; i++) {
        to[i] = from[i];
    }
}

static void
os_load(struct flow_task *t, uint64_t va, void *buf, size_t n)
{
    running = t;
    copy_words(buf, at(va), n);
}

static void
os_store(struct flow_task *t, uint64_t va, const void *buf, size_t n)
{
    running = t;
    copy_words(at(va), buf, n);
}

/* Through a pipe of this process's own. */
static void
os_kernel_load(struct flow_task *t, uint64_t va, void *buf, size_t n)
{
    static int fds[2] = { -1, -1 };
    static pid_t owner;

    if (owner != getpid()) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        if (pipe(fds) != 0) {
            fail(t, "pipe", 0, -1);
        }
        owner = getpid();
    }
    if (write(fds[1], at(va), n) != (ssize_t)n ||
        read(fds[0], buf, n) != (ssize_t)n) {
        fail(t, "write", va, -1);
    }
}

static bool
os_refused(struct flow_task *t, uint64_t va, bool write)
{
    volatile uint64_t *word = at(va);

    running = t;
    if (sigsetjmp(refuge, 0) != 0) {
        return true;
    }
    trying = 1;
    if (write) {
        *word = *word;
    } else {
        (void)*word;
    }
    trying = 0;
    return false;
}

/* ---- the map ---------------------------------------------------------- */

static bool
os_protect(struct flow_task *t, uint64_t va, uint64_t size, bool write)
{
    return ok(t, mprotect(at(va), size, write ? RW : PROT_READ),
        "mprotect", va);
}

static bool
os_inherit(struct flow_task *t, uint64_t va, uint64_t size, bool yes)
{
    kern_return_t r = KERN_NOT_SUPPORTED;

    if (flow_random(&t->random) % 2 == 0) {
        r = vm_inherit(mach_task_self(), va, size,
            yes ? VM_INHERIT_COPY : VM_INHERIT_NONE);
    }
    if (r != KERN_NOT_SUPPORTED) {
        return mach_ok(t, r, "vm_inherit", va);
    }
    return ok(t, madvise(at(va), size, yes ? MADV_DOFORK : MADV_DONTFORK),
        "madvise", va);
}

static bool
os_wire(struct flow_task *t, uint64_t va, uint64_t size, bool yes)
{
    if (yes ? mlock(at(va), size) == 0 : munlock(at(va), size) == 0) {
        return true;
    }
    return errno == EPERM ? false : ok(t, -1, "mlock", va);
}

static bool
os_move(struct flow_task *t, uint64_t from, uint64_t to, uint64_t size)
{
    if (mremap(at(from), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
            at(to)) != MAP_FAILED) {
        return true;
    }
    /* Memory of several origins may not be moved at once. */
    return errno == EFAULT ? false : ok(t, -1, "mremap", from);
}

static bool
map_at(uint64_t va, uint64_t size, int flags, int fd, uint64_t offset)
{
    return mmap(at(va), size, RW, flags, fd, (off_t)offset) == at(va);
}

/* What was there is gone already when it fails. */
static void
map_over(struct flow_task *t, uint64_t va, uint64_t size, int flags, int fd,
    uint64_t offset)
{
    unsigned tries = 0;

    while (!map_at(va, size, MAP_FIXED | flags, fd, offset)) {
        if (errno != ENOMEM || ++tries > PATIENCE) {
            fail(t, "mmap", va, -1);
        }
        sched_yield();
    }
}

static bool
os_fresh(struct flow_task *t, enum flow_kind kind, uint64_t va,
    uint64_t offset, uint64_t size)
{
    if (!fits(va) || !fits(size)) {
        return false;
    }
    if ((kind == FLOW_FILE_PRIVATE || kind == FLOW_INHERITED) &&
        flow_random(&t->random) % 2 == 0) {
        return ok(t, madvise(at(va), size, MADV_DONTNEED), "madvise", va);
    }
    if (kind == FLOW_FILE_PRIVATE) {
        map_over(t, va, size, MAP_PRIVATE, stress.file[0], offset);
    } else {
        map_over(t, va, size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    return true;
}

static bool
os_map(struct flow_task *t, uint64_t va, uint64_t size)
{
    return ok(t, map_at(va, size, MAP_PRIVATE | MAP_ANONYMOUS |
        MAP_FIXED_NOREPLACE, -1, 0) ? 0 : -1, "mmap", va);
}

static void
os_unmap(struct flow_task *t, uint64_t va, uint64_t size)
{
    unsigned tries = 0;

    while (!ok(t, munmap(at(va), size), "munmap", va)) {
        if (++tries > PATIENCE) {
            fail(t, "munmap", va, -1);
        }
        sched_yield();
    }
}

static bool
os_copy(struct flow_task *t, uint64_t from, uint64_t to, uint64_t size)
{
    kern_return_t r = KERN_NOT_SUPPORTED;

    if (fits(from) && fits(to) && fits(size)) {
        r = vm_copy(mach_task_self(), from, size, to);
    }
    if (r != KERN_NOT_SUPPORTED) {
        return mach_ok(t, r, "vm_copy", from);
    }
    running = t;
    copy_words(at(to), at(from), size);
    return true;
}

/* Out of a task that stands still, at least there. */
static bool
os_fetch(struct flow_task *t, unsigned other, uint64_t from, uint64_t to,
    uint64_t size)
{
    struct iovec here = { at(to), size }, there = { at(from), size };
    pid_t pid = stress.pids[other];
    vm_address_t data, start;
    kern_return_t r = vm_read(pid, from, size, &data);
    bool done;

    if (r == KERN_NOT_SUPPORTED) {
        return process_vm_readv(pid, &here, 1, &there, 1, 0) ==
            (ssize_t)size;
    }
    if (!mach_ok(t, r, "vm_read", from)) {
        return false;
    }
    done = os_copy(t, data, to, size);
    start = data & ~(os.page_size - 1);
    os_unmap(t, start, (data + size - start + os.page_size - 1) &
        ~(os.page_size - 1));
    return done;
}

/* ---- children --------------------------------------------------------- */

static bool
os_fork(struct flow_task *t, unsigned slot)
{
    struct flow_task child;
    pid_t pid = fork();

    if (pid != 0) {
        children[slot] = pid;
        return ok(t, pid > 0 ? 0 : -1, "fork", 0);
    }
    if (!flow_clone(&child, t, slot)) {
        fail(t, "malloc", 0, -1);
    }
    flow_child_early(&child);
    sched_yield();
    flow_child_late(&child);
    _exit(0);
}

static void
os_join(struct flow_task *t, unsigned slot)
{
    pid_t got;
    int status;

    do {
        got = waitpid(children[slot], &status, 0);
    } while (got == -1 && errno == EINTR);
    if (got != children[slot] || (status != 0 && !(WIFEXITED(status) &&
            WEXITSTATUS(status) == STATUS_BAD))) {
        fail(t, "child's wait status", 0, status);
    }
    if (status != 0) {
        os_fail(t, "");
    }
}

/* executed SEED TASKS PAGES WRITES EPOCH TASK {PAGE NOW NEXT}... */
#define EXECUTED_FIRST  8
#define EXECUTED_MAX    16u

static bool
os_exec(struct flow_task *t, unsigned slot, const unsigned *pages,
    unsigned n)
{
    const struct flow_config *c = t->config;
    char words[EXECUTED_FIRST + 3 * EXECUTED_MAX][24];
    char *argv[EXECUTED_FIRST + 3 * EXECUTED_MAX + 1];
    unsigned at_word = 0;
    const uint64_t first[] = { (uint64_t)stress.file[1], c->seed, c->tasks,
        c->pages, c->writes, t->epoch, t->number };
    pid_t pid;

    strcpy(words[at_word++], "executed");
    for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        snprintf(words[at_word++], 24, "%llu", (unsigned long long)first[i]);
    }
    for (unsigned i = 0; i < n && i < EXECUTED_MAX; i++) {
        struct flow_state a = t->now[pages[i]], b = t->next[pages[i]];

        snprintf(words[at_word++], 24, "%u", pages[i]);
        snprintf(words[at_word++], 24, "%x:%x", a.page, a.version);
        snprintf(words[at_word++], 24, "%x:%x", b.page, b.version);
    }
    for (unsigned i = 0; i < at_word; i++) {
        argv[i] = words[i];
    }
    argv[at_word] = NULL;
    pid = fork();
    if (pid == 0) {
        execv(stress.self, argv);
        fail(t, "execve", 0, -1);
    }
    children[slot] = pid;
    return ok(t, pid > 0 ? 0 : -1, "fork", 0);
}

static bool
map_shared_file(const struct flow_config *c, int fd)
{
    return map_at(flow_base(c, FLOW_FILE_SHARED), flow_span(c),
        MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
}

int
stress_executed(int argc, char **argv)
{
    static struct flow_config c;
    static struct flow_task t;
    unsigned pages[EXECUTED_MAX], n = 0;
    uint64_t first[EXECUTED_FIRST];

    for (int i = 1; i < EXECUTED_FIRST && i < argc; i++) {
        first[i] = strtoull(argv[i], NULL, 0);
    }
    if (argc < EXECUTED_FIRST) {
        return 2;
    }
    c = (struct flow_config){ .seed = first[2], .tasks = (unsigned)first[3],
        .pages = (unsigned)first[4], .writes = (unsigned)first[5] };
    if (!flow_init(&t, &c, stress_os(), (unsigned)first[7]) ||
        !map_shared_file(&c, (int)first[1])) {
        fprintf(stderr, "stress: no memory for an executed program\n");
        return 2;
    }
    t.epoch = (uint32_t)first[6];
    t.child = 1;                /* its verdict is its exit status */
    for (int i = EXECUTED_FIRST; i + 2 < argc && n < EXECUTED_MAX; i += 3) {
        unsigned page = (unsigned)strtoul(argv[i], NULL, 0);

        if (page >= flow_pages(&c) ||
            sscanf(argv[i + 1], "%x:%x", &t.now[page].page,
                &t.now[page].version) != 2 ||
            sscanf(argv[i + 2], "%x:%x", &t.next[page].page,
                &t.next[page].version) != 2) {
            fprintf(stderr, "stress: arguments were damaged: %s\n", argv[i]);
            return 3;
        }
        pages[n++] = page;
    }
    flow_executed(&t, pages, n);
    return 0;
}

/* ---- trouble ---------------------------------------------------------- */

static void
os_disturb(struct flow_task *t, uint64_t random)
{
    const struct flow_config *c = t->config;
    uint64_t va = flow_base(c, FLOW_FILE_SHARED), size = flow_span(c);
    unsigned char resident[FLOW_PAGES_MAX];

    switch (random % 4) {
    case 0:
        (void)ok(t, msync(at(va), size, MS_SYNC), "msync", va);
        break;
    case 1:
        (void)ok(t, mincore(at(va), size, resident), "mincore", va);
        break;
    default:
        sched_yield();
        break;
    }
}

static struct flow_os os = {
    .load = os_load, .store = os_store, .kernel_load = os_kernel_load,
    .refused = os_refused, .protect = os_protect, .inherit = os_inherit,
    .wire = os_wire, .move = os_move, .fresh = os_fresh, .map = os_map,
    .unmap = os_unmap, .copy = os_copy, .fetch = os_fetch,
    .fork = os_fork, .join = os_join, .exec = os_exec,
    .disturb = os_disturb, .fail = os_fail,
};

const struct flow_os *
stress_os(void)
{
    os.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    return &os;
}

/* ---- memory ----------------------------------------------------------- */

static void __attribute__((noreturn))
cannot(const char *what)
{
    printf("stress: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(2);
}

static int
make_file(const struct flow_config *c, enum flow_kind kind)
{
    char name[] = "/tmp/stress.XXXXXX";
    uint64_t words[FLOW_WORDS];
    int fd = mkstemp(name);

    if (fd < 0 || unlink(name) != 0) {
        cannot(name);
    }
    for (unsigned i = 0; i < c->pages; i++) {
        unsigned page = flow_page(c, 0, kind, i);

        flow_fill(c, (struct flow_state){ flow_original(c, page), 0 },
            words);
        if (write(fd, words, FLOW_UNIT) != FLOW_UNIT) {
            cannot("write");
        }
    }
    return fd;
}

void
stress_make_files(const struct flow_config *c)
{
    stress.file[0] = make_file(c, FLOW_FILE_PRIVATE);
    stress.file[1] = make_file(c, FLOW_FILE_SHARED);
}

void
stress_make_memory(const struct flow_config *c)
{
    for (unsigned kind = 0; kind < FLOW_KINDS; kind++) {
        uint64_t va = flow_base(c, (enum flow_kind)kind);
        int fd = kind == FLOW_FILE_PRIVATE ? stress.file[0] : -1;
        int flags = kind == FLOW_SHARED ? MAP_SHARED | MAP_ANONYMOUS :
            fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;

        if (kind == FLOW_FILE_SHARED ? !map_shared_file(c, stress.file[1]) :
            !map_at(va, flow_span(c), flags | MAP_FIXED_NOREPLACE, fd, 0)) {
            cannot("mmap");
        }
    }
}
