/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_revoke.c - what a call takes away is gone when it returns: the next
 * instruction already finds it so.  And what a copy holds is its own.
 *
 * Between the call and the touch nothing else is done, no system call and no
 * signal: what a CPU still remembers would serve just then.
 */
#include "uprobe.h"

#include "mach_vm.h"

static sigjmp_buf touch_back;
static size_t page;

static void
touch_handler(int sig, siginfo_t *si, void *context)
{
    (void)context;
    siglongjmp(touch_back, FAULT(sig, si->si_code));
}

static void
touch_init(void)
{
    struct sigaction sa = {
        .sa_sigaction = touch_handler, .sa_flags = SA_SIGINFO | SA_NODEFER
    };

    page = page_size();
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
}

/* call, and at once the touch: 0, or the fault. */
#define TOUCH_AFTER(call, touch)                                        \
    __extension__({                                                     \
        int fault_ = sigsetjmp(touch_back, 0);                          \
                                                                        \
        if (fault_ == 0) {                                              \
            call;                                                       \
            touch;                                                      \
        }                                                               \
        fault_;                                                         \
    })
#define READ(p)     ((void)*(volatile char *)(p))
#define WRITE(p)    ((void)(*(volatile char *)(p) = 77))

/* What touch_all() leaves in page i; never 0. */
#define OLD(i)      ((char)(1 + (i)))

/* Twice: the second time without a fault, after which a CPU may forget. */
static void
touch_all(char *p, size_t pages)
{
    for (size_t i = 0; i < 2 * pages; i++) {
        *(volatile char *)(p + i % pages * page) = OLD(i % pages);
    }
}

UTEST(unmap)
{
    enum { PAGES = 4 };

    touch_init();
    for (volatile size_t i = 0; i < PAGES; i++) {
        char *p = map_pages(PAGES, RW, PRIVATE);

        touch_all(p, PAGES);
        UCHECK(TOUCH_AFTER(munmap(p, PAGES * page), READ(p + i * page)) ==
            FAULT_NO_MAP);
        UCHECK(TOUCH_AFTER((void)0, WRITE(p + i * page)) == FAULT_NO_MAP);
    }
}

/* Tables are thrown away first: then there is little left to find. */
UTEST(discard_and_unmap)
{
    enum { PAGES = 4 };

    touch_init();
    for (volatile size_t i = 0; i < PAGES; i++) {
        char *volatile p = map_pages(PAGES, RW, PRIVATE);
        int fault;

        touch_all(p, PAGES);
        if (vm_discard(0, (vm_address_t)(uintptr_t)p, page) ==
            KERN_NOT_SUPPORTED) {
            USKIP("no Mach calls here");
        }
        touch_all(p, PAGES);
        fault = TOUCH_AFTER(
            vm_discard(0, (vm_address_t)(uintptr_t)p, PAGES * page);
            munmap(p, PAGES * page), READ(p + i * page));
        UCHECK(fault == FAULT_NO_MAP);
    }
}

UTEST(protect)
{
    enum { PAGES = 6 };

    touch_init();
    for (volatile size_t i = 0; i < 2 * PAGES; i++) {
        char *p = map_pages(PAGES, RW, PRIVATE), *at = p + i / 2 * page;
        int keep = i % 2 == 0 ? PROT_READ : PROT_NONE;

        /* Two entries, so that the last page is in one of its own. */
        UCHECK(mprotect(p + (PAGES - 2) * page, 2 * page,
            RW | PROT_EXEC) == 0);
        touch_all(p, PAGES);
        UCHECK(TOUCH_AFTER(mprotect(p, PAGES * page, keep), WRITE(at)) ==
            FAULT_ACCESS);
        UCHECK(TOUCH_AFTER((void)0, READ(at)) ==
            (keep == PROT_READ ? 0 : FAULT_ACCESS));
        UCHECK(munmap(p, PAGES * page) == 0);
    }
}

/* Every second page is there and loses a right: no list is too short. */
UTEST(protect_many)
{
    enum { MOST = 40 };

    touch_init();
    for (volatile size_t n = 2; n <= MOST; n++) {
        char *volatile p = map_pages(2 * n, RW, PRIVATE);

        for (size_t i = 0; i < 4 * n; i += 2) {
            WRITE(p + i % (2 * n) * page);
        }
        UCHECK(TOUCH_AFTER(mprotect(p, 2 * n * page, PROT_READ),
            WRITE(p + n / 2 * 2 * page)) == FAULT_ACCESS);
        UCHECK(munmap(p, 2 * n * page) == 0);
    }
}

/* Part of memory that may be mapped by one large leaf. */
UTEST(part_of_large)
{
    enum { SIZE = 2 << 20 };

    touch_init();
    for (volatile size_t i = 0; i < 6; i++) {
        char *volatile map = map_pages(2 * SIZE / page, PROT_NONE, PRIVATE);
        char *volatile p = (char *)(((uintptr_t)map + SIZE - 1) &
            ~(uintptr_t)(SIZE - 1));
        char *volatile at = p + (i % 3 * (SIZE / page / 2 - 1) + 1) * page;
        int fault;

        at = i % 3 == 2 ? p + SIZE - page : at;
        UCHECK(mprotect(p, SIZE, RW) == 0);
        (void)madvise(p, SIZE, MADV_HUGEPAGE);
        touch_all(p, SIZE / page);
        fault = i < 3 ?
            TOUCH_AFTER(mprotect(at, page, PROT_READ), WRITE(at)) :
            TOUCH_AFTER(munmap(at, page), READ(at));
        UCHECK(fault == (i < 3 ? FAULT_ACCESS : FAULT_NO_MAP));
        UCHECK(*p == OLD(0) && at[-page] == OLD((size_t)(at - p) / page - 1));
        WRITE(p);
        UCHECK(munmap(map, 2 * SIZE) == 0);
    }
}

UTEST(truncate)
{
    touch_init();
    for (volatile size_t i = 0; i < 6; i++) {
        int fd = file_of(3), flags = i % 2 == 0 ? MAP_SHARED : MAP_PRIVATE;
        char *p = mmap(NULL, 3 * page, RW, flags, fd, 0);

        UCHECK(p != MAP_FAILED);
        for (size_t k = 0; k < 3; k++) {
            UCHECK(p[k * page] == (char)('a' + k));
        }
        UCHECK(TOUCH_AFTER((void)!ftruncate(fd, 0), READ(p + i / 2 * page))
            == FAULT_END);
        UCHECK(munmap(p, 3 * page) == 0 && close(fd) == 0);
    }
}

UTEST(replace)
{
    char *p = map_pages(3, RW, PRIVATE), *q;

    touch_init();
    touch_all(p, 3);
    UCHECK(TOUCH_AFTER(madvise(p + page, page, MADV_DONTNEED),
        UCHECK(p[page] == 0 && p[2 * page] == OLD(2))) == 0);
    UCHECK(TOUCH_AFTER(mmap(p + 2 * page, page, RW, PRIVATE | MAP_FIXED,
        -1, 0), UCHECK(p[2 * page] == 0)) == 0);
    touch_all(p, 3);
    q = map_pages(3, PROT_NONE, PRIVATE);
    UCHECK(TOUCH_AFTER(mremap(p, 3 * page, 3 * page,
        MREMAP_MAYMOVE | MREMAP_FIXED, q), READ(p + page)) == FAULT_NO_MAP);
    UCHECK(q[page] == OLD(1) && q[2 * page] == OLD(2));
}

/* What is in each page of p is what was there: the child says 0. */
static int
child_sees(char *p, size_t pages, char add, int go)
{
    char c;

    UCHECK(read(go, &c, 1) == 1);
    for (size_t i = 0; i < pages; i++) {
        UCHECK(p[i * page] == (char)(i + (size_t)add));
    }
    return 0;
}

/* The parent writes at once after each fork; no child sees that. */
UTEST(fork_then_write)
{
    enum { PAGES = 20 };
    char *p = map_pages(PAGES, RW, PRIVATE);

    touch_init();
    for (char round = 0; round < 4; round++) {
        int go[2], status;
        pid_t pid;

        for (size_t i = 0; i < PAGES; i++) {
            p[i * page] = (char)(i + (size_t)round);
        }
        UCHECK(pipe(go) == 0);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            _exit(child_sees(p, PAGES, round, go[0]));
        }
        for (size_t i = 0; i < PAGES; i++) {
            p[i * page] = 100;
        }
        UCHECK(pid > 0 && write(go[1], "", 1) == 1);
        UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
        for (size_t i = 0; i < PAGES; i++) {
            UCHECK(p[i * page] == 100);
        }
        UCHECK(close(go[0]) == 0 && close(go[1]) == 0);
    }
}

static void
child_writes(void *arg)
{
    volatile char *p = arg;

    /* Reading one brings its neighbours; none of them is ours yet. */
    for (size_t i = 0; i < 16; i++) {
        (void)p[(i * 5 + 3) % 16 * page];
    }
    for (size_t i = 0; i < 16; i++) {
        p[i * page] = (char)(50 + i);
    }
    for (size_t i = 0; i < 16; i++) {
        UCHECK(p[i * page] == (char)(50 + i));
    }
}

/* Children, and children of theirs, write; nobody above sees it. */
static void
child_forks(void *arg)
{
    char *p = arg;

    p[3 * page] = 33;
    UCHECK(utest_child(child_writes, p) == 0);
    UCHECK(p[3 * page] == 33 && p[4 * page] == OLD(4) &&
        p[15 * page] == OLD(15));
    p[4 * page] = 44;
    UCHECK(utest_child(child_writes, p) == 0);
    for (size_t i = 0; i < 16; i++) {
        UCHECK(p[i * page] == (i == 3 ? 33 : i == 4 ? 44 : OLD(i)));
    }
    child_writes(p);
}

UTEST(children_write)
{
    char *p = map_pages(16, RW, PRIVATE);

    touch_init();
    for (int round = 0; round < 3; round++) {
        touch_all(p, 16);
        UCHECK(utest_child(child_writes, p) == 0);
        UCHECK(utest_child(child_forks, p) == 0);
        for (size_t i = 0; i < 16; i++) {
            UCHECK(p[i * page] == OLD(i));
        }
    }
}

/* Parent and child write every second page, each the other ones. */
static void
both_child(char *p, int done, int go)
{
    char c;

    WRITE(p);
    for (size_t i = 0; i < 16; i++) {
        READ(p + i * page);
    }
    for (size_t i = 0; i < 16; i += 2) {
        p[i * page] = (char)(40 + i);
    }
    UCHECK(write(done, "", 1) == 1 && read(go, &c, 1) == 1);
    for (size_t i = 0; i < 16; i++) {
        UCHECK(p[i * page] == (i % 2 == 0 ? (char)(40 + i) : OLD(i)));
    }
}

UTEST(both_write)
{
    /* Rights that no neighbour has: an object of its own. */
    char *p = map_pages(16, RW | PROT_EXEC, PRIVATE), c;

    touch_init();
    for (int round = 0; round < 3; round++) {
        int done[2], go[2], status;
        pid_t pid;

        touch_all(p, 16);
        UCHECK(pipe(done) == 0 && pipe(go) == 0);
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            both_child(p, done[1], go[0]);
            _exit(0);
        }
        WRITE(p + page);
        for (size_t i = 0; i < 16; i++) {
            READ(p + i * page);
        }
        for (size_t i = 1; i < 16; i += 2) {
            p[i * page] = (char)(70 + i);
        }
        UCHECK(pid > 0 && read(done[0], &c, 1) == 1);
        for (size_t i = 0; i < 16; i++) {
            UCHECK(p[i * page] == (i % 2 == 1 ? (char)(70 + i) : OLD(i)));
        }
        UCHECK(write(go[1], "", 1) == 1);
        UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
        /* Now all of it is the parent's alone, and is all there. */
        p[3 * page] = OLD(3);
        for (size_t i = 0; i < 16; i++) {
            UCHECK(p[i * page] == (i == 3 || i % 2 == 0 ? OLD(i) :
                (char)(70 + i)));
        }
        for (int i = 0; i < 2; i++) {
            close(done[i]);
            close(go[i]);
        }
    }
}

/* The kernel writes a page that is shared with a child: we see it at once. */
UTEST(kernel_writes)
{
    char *p = map_pages(1, RW, PRIVATE), byte = 0;
    int data[2], go[2], status;
    pid_t pid;

    *p = 1;
    UCHECK(pipe(data) == 0 && pipe(go) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        UCHECK(read(go[0], &byte, 1) == 1);
        _exit(*p != 1);
    }
    UCHECK(pid > 0 && write(data[1], "\7", 1) == 1);
    READ(p);
    UCHECK(read(data[0], p, 1) == 1 && *(volatile char *)p == 7);
    UCHECK(write(go[1], "", 1) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/*
 * Memory that is written in order is made ahead: never behind where it may
 * be written, and never so that an old page is still read afterwards.
 */
UTEST(ahead)
{
    enum { PAGES = 24, END = 12 };
    char *p = map_pages(PAGES, RW, PRIVATE), *q;
    int data[2], go[2], status;
    unsigned char there[PAGES];
    pid_t pid;

    touch_init();
    WRITE(p);
    UCHECK(mprotect(p + END * page, (PAGES - END) * page, PROT_READ) == 0);
    for (size_t i = 1; i < END; i++) {
        p[i * page] = 1;
    }
    for (volatile size_t i = END; i < PAGES; i++) {
        UCHECK(TOUCH_AFTER((void)0, WRITE(p + i * page)) == FAULT_ACCESS);
        UCHECK(p[i * page] == 0);
    }
    /* Here and there: what was asked for, and no more. */
    q = map_pages(PAGES, RW, PRIVATE);
    for (size_t i = 0; i < PAGES; i += 2) {
        q[i * page] = 1;
    }
    UCHECK(mincore(q, PAGES * page, there) == 0);
    for (size_t i = 0; i < PAGES; i++) {
        UCHECK((there[i] & 1) == (i % 2 == 0));
    }
    /* Copies, of what was read just before; the kernel writes into them. */
    touch_all(p, END);
    UCHECK(pipe(data) == 0 && pipe(go) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        _exit(read(go[0], there, 1) != 1 || p[0] != OLD(0) ||
            p[5 * page] != OLD(5) || p[END / 2 * page] != OLD(END / 2));
    }
    UCHECK(pid > 0 && write(data[1], "\7\7\7", 3) == 3);
    for (size_t i = 0; i < END; i++) {
        READ(p + i * page);
    }
    for (size_t i = 0; i < 4; i++) {
        WRITE(p + i * page);
    }
    UCHECK(vm_check(mach_task_self()) == KERN_SUCCESS);
    for (size_t i = 4; i < 7; i++) {
        UCHECK(read(data[0], p + i * page, 1) == 1 &&
            *(volatile char *)(p + i * page) == 7);
    }
    UCHECK(write(go[1], "", 1) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Locked memory stays locked where its neighbour is not any more. */
UTEST(unlock_in_the_midst)
{
    char *p = map_pages(5, RW, PRIVATE);

    touch_init();
    touch_all(p, 5);
    UCHECK(mlock(p, 5 * page) == 0);
    UCHECK(munlock(p + 2 * page, page) == 0);
    for (size_t i = 0; i < 5; i++) {
        if (i == 2) {
            UCHECK(madvise(p + i * page, page, MADV_DONTNEED) == 0);
            UCHECK(p[i * page] == 0);
        } else {
            UERRNO(madvise(p + i * page, page, MADV_DONTNEED), EINVAL);
            UCHECK(p[i * page] == OLD(i));
        }
    }
    UCHECK(munlock(p, 5 * page) == 0);
    UCHECK(madvise(p, 5 * page, MADV_DONTNEED) == 0 && p[4 * page] == 0);
}

/* Locked pages are there: no fork makes the next write of one fault. */
UTEST(locked_and_forked)
{
    struct vm_statistics before = { 0 }, after = { 0 };
    char *p = map_pages(4, RW, PRIVATE), byte;
    int ready[2], go[2], status;
    pid_t pid;

    touch_init();
    if (vm_statistics(&before) == KERN_NOT_SUPPORTED) {
        USKIP("no Mach calls here");
    }
    touch_all(p, 4);
    UCHECK(mlock(p, 4 * page) == 0 && pipe(ready) == 0 && pipe(go) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        UCHECK(write(ready[1], "", 1) == 1 && read(go[0], p, 1) == 1);
        _exit(p[3 * page] != OLD(3));
    }
    /* The child sleeps; what else we write is ours again. */
    UCHECK(pid > 0 && read(ready[0], &byte, 1) == 1);
    for (int i = 0; i < 2; i++) {
        UCHECK(vm_statistics(&after) == KERN_SUCCESS);
        UCHECK(vm_statistics(&before) == KERN_SUCCESS);
        usleep(1000);
    }
    UCHECK(vm_statistics(&before) == KERN_SUCCESS);
    for (size_t i = 0; i < 4; i++) {
        p[i * page] = 9;
    }
    UCHECK(vm_statistics(&after) == KERN_SUCCESS);
    UCHECK(after.copy_faults == before.copy_faults);
    UCHECK(after.move_faults == before.move_faults);
    UCHECK(write(go[1], "", 1) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}
