/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_memory.c - mmap(2) and its family as their manual pages describe them.
 * Everything here holds on Linux too.
 */
#include "uprobe.h"

#include <sys/stat.h>

/* ---- mmap ------------------------------------------------------------- */

UTEST(mmap_bad_arguments)
{
    size_t page = page_size();
    int fd = file_of(2), ro, wo, pipes[2];
    char path[64], *p;

    UERRNO(mmap(NULL, 0, RW, PRIVATE, -1, 0), EINVAL);
    UERRNO(mmap(NULL, page, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    UERRNO(mmap(NULL, page, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0),
        EINVAL);
    UERRNO(syscall(SYS_mmap, 0, page, RW, MAP_PRIVATE, fd, 1), EINVAL);
    UERRNO(mmap(NULL, page, RW, MAP_PRIVATE, -1, 0), EBADF);
    UERRNO(mmap(NULL, page, RW, MAP_PRIVATE, 9999, 0), EBADF);
    UERRNO(mmap(NULL, (size_t)1 << 60, RW, PRIVATE, -1, 0), ENOMEM);
    UERRNO(mmap(NULL, SIZE_MAX, RW, PRIVATE, -1, 0), ENOMEM);
    UERRNO(mmap(NULL, SIZE_MAX - 2 * page, RW, PRIVATE, -1, 0), ENOMEM);
    p = map_pages(2, RW, PRIVATE);
    UERRNO(mmap(p + 1, page, RW, PRIVATE | MAP_FIXED, -1, 0), EINVAL);
    UERRNO(mmap((void *)(1ul << 63), page, RW, PRIVATE | MAP_FIXED, -1, 0),
        ENOMEM);
    UERRNO(mmap(p, page, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    UERRNO(mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd,
        (off_t)(INT64_MAX & ~(page - 1))), EOVERFLOW);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ro = open(path, O_RDONLY);
    wo = open(path, O_WRONLY);
    UCHECK(ro >= 0 && wo >= 0);
    UERRNO(mmap(NULL, page, PROT_READ, MAP_PRIVATE, wo, 0), EACCES);
    UERRNO(mmap(NULL, page, RW, MAP_SHARED, ro, 0), EACCES);
    UERRNO(mmap(NULL, page, PROT_READ, MAP_PRIVATE,
        open("/", O_RDONLY | O_DIRECTORY), 0), ENODEV);
    UCHECK(pipe(pipes) == 0);
    UERRNO(mmap(NULL, page, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV);
    UCHECK(is_filled(p, 0, 2 * page));
}

/* A file opened for reading can be written to in private alone. */
UTEST(mmap_read_only_file)
{
    size_t page = page_size();
    int fd = file_of(1), ro;
    char path[64], *p, *q, c;

    probe_init();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ro = open(path, O_RDONLY);
    p = mmap(NULL, page, PROT_READ, MAP_SHARED, ro, 0);
    q = mmap(NULL, page, RW, MAP_PRIVATE, ro, 0);
    UCHECK(p != MAP_FAILED && q != MAP_FAILED);
    UCHECK(probe_write(p, 1) == FAULT_ACCESS);
    UERRNO(mprotect(p, page, RW), EACCES);
    UCHECK(probe_write(q, 'x') == 0);
    UCHECK(p[0] == 'a' && q[0] == 'x');
    UCHECK(pread(fd, &c, 1, 0) == 1 && c == 'a');
}

UTEST(mmap_places)
{
    size_t page = page_size();
    char *p = map_pages(8, RW, PRIVATE), *q;

    UCHECK(((uintptr_t)p & (page - 1)) == 0);
    UCHECK(munmap(p + 2 * page, 4 * page) == 0);
    /* A free hint is taken, one in use is not, odd ones are rounded. */
    q = mmap(p + 3 * page, page, RW, PRIVATE, -1, 0);
    UCHECK(q == p + 3 * page);
    memset(q, 7, page);
    UCHECK(munmap(q, page) == 0);
    q = mmap(p + 3 * page + 5, page, RW, PRIVATE, -1, 0);
    UCHECK(q == p + 3 * page && q[0] == 0);
    q = mmap(p + 4 * page, page, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0);
    UCHECK(q == p + 4 * page);
    q = mmap(p, page, RW, PRIVATE, -1, 0);
    UCHECK(q != MAP_FAILED && q != p);
    q = mmap((void *)(1ul << 62), page, RW, PRIVATE, -1, 0);
    UCHECK(q != MAP_FAILED && q[0] == 0);
    q = mmap((void *)-page, page, RW, PRIVATE, -1, 0);
    UCHECK(q != MAP_FAILED && q[0] == 0);
}

UTEST(mmap_fixed_replaces)
{
    size_t page = page_size();
    char *p = map_pages(6, RW, PRIVATE), *q;
    int fd = file_of(3);

    memset(p, 1, 6 * page);
    q = mmap(p + 2 * page, 2 * page, PROT_READ, MAP_FIXED | MAP_SHARED, fd,
        (off_t)page);
    UCHECK(q == p + 2 * page && q[0] == 'b' && q[page] == 'c');
    UCHECK(is_filled(p, 1, 2 * page) && is_filled(p + 4 * page, 1, 2 * page));
    q = mmap(p + page, 4 * page, RW, MAP_FIXED | PRIVATE, -1, 0);
    UCHECK(q == p + page && is_filled(q, 0, 4 * page));
    UCHECK(p[0] == 1 && p[5 * page] == 1);
}

UTEST(mmap_big_reservations)
{
    size_t page = page_size(), size = (size_t)16 << 30;
    char *p = mmap(NULL, size, PROT_NONE, PRIVATE | MAP_NORESERVE, -1, 0);

    probe_init();
    UCHECK(p != MAP_FAILED);
    UCHECK(probe_read(p + size / 2) == FAULT_ACCESS);
    UCHECK(mprotect(p + size / 2, page, RW) == 0);
    UCHECK(probe_write(p + size / 2, 5) == 0);
    UCHECK(probe_read(p + size / 2 + page) == FAULT_ACCESS);
    UCHECK(munmap(p, size) == 0);
    UCHECK(probe_read(p + size / 2) == FAULT_NO_MAP);
    p = mmap(NULL, size, RW, PRIVATE | MAP_NORESERVE, -1, 0);
    UCHECK(p != MAP_FAILED);
    p[0] = p[size - 1] = 1;
    UCHECK(p[size / 3] == 0);
    UCHECK(munmap(p, size) == 0);
}

UTEST(mmap_many)
{
    enum { N = 600 };
    static char *at[N];
    size_t page = page_size();

    for (int i = 0; i < N; i++) {
        at[i] = mmap(NULL, page * (size_t)(1 + i % 3), RW,
            i % 2 ? PRIVATE : SHARED, -1, 0);
        UCHECK(at[i] != MAP_FAILED);
        *(int *)at[i] = i;
    }
    for (int i = 0; i < N; i += 2) {
        UCHECK(*(int *)at[i] == i);
        UCHECK(munmap(at[i], page * (size_t)(1 + i % 3)) == 0);
    }
    for (int i = 1; i < N; i += 2) {
        UCHECK(*(int *)at[i] == i);
        UCHECK(munmap(at[i], page * (size_t)(1 + i % 3)) == 0);
    }
}

UTEST(munmap_parts)
{
    size_t page = page_size();
    char *p = map_pages(5, RW, PRIVATE);

    probe_init();
    memset(p, 3, 5 * page);
    UERRNO(munmap(p + 1, page), EINVAL);
    UERRNO(munmap(p, 0), EINVAL);
    UERRNO(munmap(p, SIZE_MAX), EINVAL);
    UERRNO(munmap((void *)(1ul << 63), page), EINVAL);
    UCHECK(munmap(p + page, 1) == 0);
    UCHECK(munmap(p + 3 * page, page) == 0);
    UCHECK(probe_read(p + page - 1) == 0);
    UCHECK(probe_read(p + page) == FAULT_NO_MAP);
    UCHECK(probe_addr == (uintptr_t)p + page);
    UCHECK(probe_write(p + 2 * page - 1, 1) == FAULT_NO_MAP);
    UCHECK(probe_addr == (uintptr_t)p + 2 * page - 1);
    UCHECK(is_filled(p, 3, page) && is_filled(p + 2 * page, 3, page));
    /* Holes do not matter. */
    UCHECK(munmap(p, 5 * page) == 0 && munmap(p, 5 * page) == 0);
    UCHECK(probe_read(p) == FAULT_NO_MAP);
}

UTEST(populate)
{
    size_t page = page_size();
    unsigned char vec[4];
    char *p = map_pages(4, RW, PRIVATE | MAP_POPULATE);

    UCHECK(mincore(p, 4 * page, vec) == 0);
    UCHECK((vec[0] & vec[1] & vec[2] & vec[3] & 1) == 1);
    p = map_pages(4, RW, PRIVATE);
    UCHECK(madvise(p, 2 * page, MADV_POPULATE_WRITE) == 0);
    UCHECK(mincore(p, 4 * page, vec) == 0);
    UCHECK((vec[0] & vec[1] & 1) == 1 && ((vec[2] | vec[3]) & 1) == 0);
    UCHECK(mprotect(p, page, PROT_READ) == 0);
    UERRNO(madvise(p, page, MADV_POPULATE_WRITE), EINVAL);
    UCHECK(madvise(p, page, MADV_POPULATE_READ) == 0);
    UCHECK(munmap(p + page, page) == 0);
    UERRNO(madvise(p, 3 * page, MADV_POPULATE_READ), ENOMEM);
}

/* ---- mprotect --------------------------------------------------------- */

UTEST(mprotect_enforces)
{
    size_t page = page_size();
    char *p = map_pages(3, RW, PRIVATE);
    int (*code)(void) = (int (*)(void))(void *)p;
    int fault;

    probe_init();
    memset(p, 9, 3 * page);
    UCHECK(mprotect(p + page, page, PROT_READ) == 0);
    UCHECK(probe_write(p + page, 1) == FAULT_ACCESS);
    UCHECK(probe_addr == (uintptr_t)p + page);
    UCHECK(probe_write(p + page - 1, 9) == 0);
    UCHECK(probe_write(p + 2 * page, 9) == 0);
    UCHECK(mprotect(p + page, page, PROT_NONE) == 0);
    UCHECK(probe_read(p + page) == FAULT_ACCESS);
    UCHECK(mprotect(p, 3 * page, RW) == 0);
    UCHECK(is_filled(p, 9, 3 * page));
    fault = sigsetjmp(probe_back, 1);
    if (fault == 0) {
        (void)code();
    }
    UCHECK(fault == FAULT_ACCESS && probe_addr == (uintptr_t)p);
}

UTEST(mprotect_bad_arguments)
{
    size_t page = page_size();
    char *p = map_pages(3, RW, PRIVATE);

    UERRNO(mprotect(p + 1, page, PROT_READ), EINVAL);
    UERRNO(mprotect(p, page, 0x100), EINVAL);
    UCHECK(mprotect(p, 0, PROT_READ) == 0);
    UERRNO(mprotect(p, SIZE_MAX, PROT_READ), ENOMEM);
    UERRNO(mprotect(p, SIZE_MAX / 2, PROT_READ), ENOMEM);
    UERRNO(mprotect((void *)(1ul << 63), page, PROT_READ), ENOMEM);
    UCHECK(munmap(p + page, page) == 0);
    UERRNO(mprotect(p, 3 * page, PROT_READ), ENOMEM);
    UERRNO(mprotect(p + page, page, PROT_READ), ENOMEM);
    UERRNO(mprotect(p + page, 2 * page, PROT_READ), ENOMEM);
    UCHECK(mprotect(p, page, RW) == 0 && mprotect(p + 2 * page, 1, RW) == 0);
    p[0] = p[2 * page] = 1;
}

/* ---- mremap ----------------------------------------------------------- */

UTEST(mremap_bad_arguments)
{
    size_t page = page_size();
    char *p = map_pages(4, RW, PRIVATE), *q = map_pages(4, RW, PRIVATE);

    UERRNO(mremap(p + 1, page, page, 0), EINVAL);
    UERRNO(mremap(p, page, 0, 0), EINVAL);
    UERRNO(mremap(p, page, page, 64), EINVAL);
    UERRNO(mremap(p, page, page, MREMAP_FIXED, q), EINVAL);
    UERRNO(mremap(p, page, page, MREMAP_FIXED | MREMAP_MAYMOVE, q + 1),
        EINVAL);
    UERRNO(mremap(p, 2 * page, 2 * page, MREMAP_FIXED | MREMAP_MAYMOVE,
        p + page), EINVAL);
    UERRNO(mremap(p, page, page, MREMAP_FIXED | MREMAP_MAYMOVE,
        (void *)(1ul << 63)), EINVAL);
    UERRNO(mremap(p, 0, page, MREMAP_MAYMOVE), EINVAL);
    /* ENOMEM, EINVAL since Linux 6.17. */
    UCHECK(mremap(p, page, (size_t)1 << 60, MREMAP_MAYMOVE) == MAP_FAILED);
    UERRNO(mremap(p, page, 2 * page, 0), ENOMEM);
    UCHECK(munmap(q + page, page) == 0);
    UERRNO(mremap(q + page, page, 2 * page, MREMAP_MAYMOVE), EFAULT);
    UERRNO(mremap(q, 2 * page, 3 * page, MREMAP_MAYMOVE), EFAULT);
    UERRNO(mremap((void *)(1ul << 63), page, 2 * page, MREMAP_MAYMOVE),
        EFAULT);
    p[0] = q[0] = 1;
}

UTEST(mremap_grows_and_shrinks)
{
    size_t page = page_size();
    char *p = map_pages(8, RW, PRIVATE), *q;

    probe_init();
    UCHECK(munmap(p + 2 * page, 6 * page) == 0);
    memset(p, 4, 2 * page);
    /* There is room behind it. */
    UCHECK(mremap(p, 2 * page, 5 * page, 0) == p);
    UCHECK(is_filled(p, 4, 2 * page) && is_filled(p + 2 * page, 0, 3 * page));
    memset(p + 2 * page, 5, 3 * page);
    UCHECK(mremap(p, 5 * page, page, 0) == p);
    UCHECK(probe_read(p + page) == FAULT_NO_MAP && p[0] == 4);
    UCHECK(mremap(p, page, 2 * page, 0) == p);
    UCHECK(is_filled(p, 4, page) && is_filled(p + page, 0, page));
    /* There is none. */
    q = mmap(p + 2 * page, page, RW, PRIVATE | MAP_FIXED, -1, 0);
    UCHECK(q == p + 2 * page);
    q[0] = 8;
    UCHECK(mprotect(q, page, PROT_READ) == 0);
    q = mremap(p, 2 * page, 20 * page, MREMAP_MAYMOVE);
    UCHECK(q != MAP_FAILED && q != p);
    UCHECK(is_filled(q, 4, page) && is_filled(q + page, 0, 19 * page));
    UCHECK(probe_read(p) == FAULT_NO_MAP && p[2 * page] == 8);
    memset(q, 1, 20 * page);
}

UTEST(mremap_fixed)
{
    size_t page = page_size();
    char *p = map_pages(4, RW, PRIVATE), *q = map_pages(6, RW, PRIVATE);

    probe_init();
    memset(p, 1, 4 * page);
    memset(q, 2, 6 * page);
    UCHECK(mremap(p + page, 2 * page, 3 * page,
        MREMAP_MAYMOVE | MREMAP_FIXED, q + page) == q + page);
    UCHECK(is_filled(q, 2, page) && is_filled(q + page, 1, 2 * page) &&
        is_filled(q + 3 * page, 0, page) &&
        is_filled(q + 4 * page, 2, 2 * page));
    UCHECK(probe_read(p + page) == FAULT_NO_MAP &&
        probe_read(p + 2 * page) == FAULT_NO_MAP);
    UCHECK(p[0] == 1 && p[3 * page] == 1);
    /* Shrinking while it moves. */
    UCHECK(mremap(q, 3 * page, page, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
    UCHECK(p[0] == 2 && probe_read(q) == FAULT_NO_MAP &&
        probe_read(q + 2 * page) == FAULT_NO_MAP && q[3 * page] == 0);
}

/* Growing what maps a file shows more of the file. */
UTEST(mremap_files)
{
    size_t page = page_size();
    int fd = file_of(8);
    char *p = mmap(NULL, page, RW, MAP_SHARED, fd, (off_t)page), *q, c;

    UCHECK(p != MAP_FAILED);
    p = mremap(p, page, 4 * page, MREMAP_MAYMOVE);
    UCHECK(p != MAP_FAILED && p[0] == 'b' && p[3 * page] == 'e');
    p[3 * page] = 'E';
    UCHECK(pread(fd, &c, 1, (off_t)(4 * page)) == 1 && c == 'E');
    q = mmap(NULL, 2 * page, RW, MAP_PRIVATE, fd, 0);
    UCHECK(q != MAP_FAILED);
    q[0] = 'x';
    q = mremap(q, 2 * page, 8 * page, MREMAP_MAYMOVE);
    UCHECK(q != MAP_FAILED && q[0] == 'x' && q[page] == 'b' &&
        q[4 * page] == 'E' && q[7 * page] == 'h');
    UCHECK(pread(fd, &c, 1, 0) == 1 && c == 'a');
}

/* A copy-on-write region moves between fork and write. */
UTEST(mremap_after_fork)
{
    size_t page = page_size();
    char *p = map_pages(4, RW, PRIVATE), *q;
    int status, pipes[2];
    char c;
    pid_t pid;

    memset(p, 1, 4 * page);
    UCHECK(pipe(pipes) == 0);
    pid = fork();
    if (pid == 0) {
        UCHECK(read(pipes[0], &c, 1) == 1);
        UCHECK(is_filled(p, 1, 4 * page));
        memset(p, 3, 4 * page);
        _exit(0);
    }
    q = mremap(p, 4 * page, 64 * page, MREMAP_MAYMOVE);
    UCHECK(q != MAP_FAILED && is_filled(q, 1, 4 * page));
    memset(q, 2, 64 * page);
    UCHECK(write(pipes[1], "", 1) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    UCHECK(is_filled(q, 2, 64 * page));
}

/* ---- advice ----------------------------------------------------------- */

UTEST(madvise_bad_arguments)
{
    size_t page = page_size();
    char *p = map_pages(3, RW, PRIVATE), *q = map_pages(1, RW, SHARED);

    UERRNO(madvise(p, page, 999), EINVAL);
    UERRNO(madvise(p, page, -1), EINVAL);
    UERRNO(madvise(p + 1, page, MADV_DONTNEED), EINVAL);
    UERRNO(madvise(p, SIZE_MAX, MADV_DONTNEED), EINVAL);
    UERRNO(madvise(p, SIZE_MAX - 2 * page, MADV_DONTNEED), EINVAL);
    UCHECK(madvise(p, 0, MADV_DONTNEED) == 0);
    UERRNO(madvise(p, 0, 999), EINVAL);
    UERRNO(madvise(q, page, MADV_FREE), EINVAL);
    UCHECK(munmap(p + page, page) == 0);
    UERRNO(madvise(p, 3 * page, MADV_DONTNEED), ENOMEM);
    UERRNO(madvise(p, 3 * page, MADV_WILLNEED), ENOMEM);
    UERRNO(madvise(p + page, page, MADV_NORMAL), ENOMEM);
}

UTEST(madvise_dontneed)
{
    size_t page = page_size();
    int fd = file_of(2);
    char *anon = map_pages(3, RW, PRIVATE), *both = map_pages(1, RW, SHARED);
    char *priv = mmap(NULL, 2 * page, RW, MAP_PRIVATE, fd, 0);
    char *shared = mmap(NULL, 2 * page, RW, MAP_SHARED, fd, 0);

    memset(anon, 1, 3 * page);
    memset(both, 2, page);
    priv[0] = 'x';
    priv[page] = 'y';
    shared[page] = 'z';
    UCHECK(madvise(anon + page, page, MADV_DONTNEED) == 0);
    UCHECK(is_filled(anon, 1, page) && is_filled(anon + page, 0, page) &&
        is_filled(anon + 2 * page, 1, page));
    UCHECK(madvise(both, page, MADV_DONTNEED) == 0 && both[0] == 2);
    UCHECK(madvise(priv, 2 * page, MADV_DONTNEED) == 0);
    UCHECK(priv[0] == 'a' && priv[page] == 'z');
    UCHECK(madvise(shared, 2 * page, MADV_DONTNEED) == 0);
    UCHECK(shared[0] == 'a' && shared[page] == 'z');
    /* What is locked stays. */
    UCHECK(mlock(anon, page) == 0);
    UERRNO(madvise(anon, page, MADV_DONTNEED), EINVAL);
    UCHECK(anon[0] == 1 && munlock(anon, page) == 0);
    UCHECK(madvise(anon, page, MADV_DONTNEED) == 0 && anon[0] == 0);
}

/* Neither of parent and child forgets for the other. */
UTEST(madvise_dontneed_after_fork)
{
    size_t page = page_size();
    char *p = map_pages(2, RW, PRIVATE);
    int status;
    pid_t pid;

    for (int parent = 0; parent < 2; parent++) {
        memset(p, 1, 2 * page);
        pid = fork();
        if ((pid == 0) != parent) {
            UCHECK(madvise(p, page, MADV_DONTNEED) == 0);
            UCHECK(is_filled(p, 0, page) && is_filled(p + page, 1, page));
            memset(p, 2, 2 * page);
        } else {
            usleep(2000);
            UCHECK(is_filled(p, 1, 2 * page));
        }
        if (pid == 0) {
            _exit(0);
        }
        UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
}

static void
child_faults(void *p)
{
    probe_init();
    UCHECK(probe_read(p) == FAULT_NO_MAP);
}

static void
child_reads(void *p)
{
    UCHECK(*(char *)p == 1);
}

UTEST(madvise_dontfork)
{
    size_t page = page_size();
    char *p = map_pages(1, RW, PRIVATE), *q = map_pages(1, RW, SHARED);

    p[0] = q[0] = 1;
    UCHECK(madvise(p, page, MADV_DONTFORK) == 0);
    UCHECK(madvise(q, page, MADV_DONTFORK) == 0);
    UCHECK(utest_child(child_faults, p) == 0);
    UCHECK(utest_child(child_faults, q) == 0);
    UCHECK(madvise(p, page, MADV_DOFORK) == 0);
    UCHECK(madvise(q, page, MADV_DOFORK) == 0);
    UCHECK(utest_child(child_reads, p) == 0);
    UCHECK(utest_child(child_reads, q) == 0);
}

/* ---- mincore, msync, locks -------------------------------------------- */

UTEST(mincore_tells)
{
    size_t page = page_size();
    unsigned char vec[200];
    char *p = map_pages(200, RW, PRIVATE), *none = map_pages(1, PROT_NONE,
        PRIVATE);

    UERRNO(mincore(p + 1, page, vec), EINVAL);
    UCHECK(mincore(p, 0, vec) == 0);
    UERRNO(mincore(p, page, (void *)none), EFAULT);
    UERRNO(mincore((void *)(1ul << 63), page, vec), ENOMEM);
    UERRNO(mincore(p, SIZE_MAX / 2, vec), ENOMEM);
    p[3 * page] = p[150 * page] = 1;
    memset(vec, 0xaa, sizeof(vec));
    UCHECK(mincore(p, 199 * page + 1, vec) == 0);
    for (size_t i = 0; i < 200; i++) {
        UCHECK((vec[i] & 1) == (i == 3 || i == 150));
    }
    UCHECK(munmap(p + 100 * page, page) == 0);
    UERRNO(mincore(p, 200 * page, vec), ENOMEM);
}

UTEST(msync_arguments)
{
    size_t page = page_size();
    char *p = map_pages(3, RW, SHARED);

    UCHECK(msync(p, 3 * page, MS_SYNC) == 0);
    UCHECK(msync(p, 3 * page, MS_ASYNC | MS_INVALIDATE) == 0);
    UERRNO(msync(p, page, MS_SYNC | MS_ASYNC), EINVAL);
    UERRNO(msync(p, page, 8), EINVAL);
    UERRNO(msync(p + 1, page, MS_SYNC), EINVAL);
    UCHECK(msync(p, 0, MS_SYNC) == 0);
    UERRNO(msync(p, SIZE_MAX - 2 * page, MS_SYNC), ENOMEM);
    UCHECK(mlock(p, page) == 0);
    UERRNO(msync(p, page, MS_INVALIDATE), EBUSY);
    UCHECK(munlock(p, page) == 0);
    UCHECK(munmap(p + page, page) == 0);
    UERRNO(msync(p, 3 * page, MS_SYNC), ENOMEM);
    UERRNO(msync(p + page, page, MS_ASYNC), ENOMEM);
}

UTEST(mlock_arguments)
{
    size_t page = page_size();
    char *p = map_pages(4, RW, PRIVATE), *none = map_pages(1, PROT_NONE,
        PRIVATE);
    unsigned char vec[4];

    UCHECK(mlock(p + 1, 2 * page) == 0);
    UCHECK(mincore(p, 4 * page, vec) == 0);
    UCHECK((vec[0] & vec[1] & vec[2] & 1) == 1 && (vec[3] & 1) == 0);
    UCHECK(mlock(p, 0) == 0 && munlock(p, 0) == 0);
    /* Locks do not nest. */
    UCHECK(mlock(p, page) == 0 && munlock(p, 3 * page) == 0);
    UCHECK(madvise(p, page, MADV_DONTNEED) == 0);
    UERRNO(mlock(none, page), ENOMEM);
    UERRNO(mlock((void *)-page, page + 1), EINVAL);
    UERRNO(syscall(SYS_mlock2, p, page, 8), EINVAL);
    UCHECK(syscall(SYS_mlock2, p, page, 0) == 0);
    UCHECK(syscall(SYS_mlock2, p + 3 * page, page, 1) == 0);
    UCHECK(munlock(p, 4 * page) == 0);
    UCHECK(munmap(p + page, page) == 0);
    UERRNO(mlock(p, 3 * page), ENOMEM);
    UERRNO(munlock(p, 3 * page), ENOMEM);
    UERRNO(syscall(SYS_mlock2, p, 3 * page, 1), ENOMEM);
    /* Gone with the mapping. */
    UCHECK(munmap(p, 4 * page) == 0);
}

static void
child_forgets(void *p)
{
    UCHECK(madvise(p, page_size(), MADV_DONTNEED) == 0);
    UCHECK(*(char *)p == 0);
}

UTEST(mlockall_and_fork)
{
    size_t page = page_size();
    unsigned char vec[3];
    char *p = map_pages(2, RW, PRIVATE), *q;

    UERRNO(mlockall(0), EINVAL);
    UERRNO(mlockall(8), EINVAL);
    UERRNO(mlockall(4), EINVAL);
    p[0] = 1;
    UCHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    UERRNO(madvise(p, page, MADV_DONTNEED), EINVAL);
    q = map_pages(3, RW, PRIVATE);
    UCHECK(mincore(q, 3 * page, vec) == 0);
    UCHECK((vec[0] & vec[1] & vec[2] & 1) == 1);
    /* A child has copies, and no locks. */
    UCHECK(utest_child(child_forgets, p) == 0);
    UCHECK(p[0] == 1);
    UCHECK(munlockall() == 0);
    UCHECK(madvise(p, page, MADV_DONTNEED) == 0 && p[0] == 0);
    q = map_pages(1, RW, PRIVATE);
    UCHECK(mincore(q, page, vec) == 0 && (vec[0] & 1) == 0);
}

/* ---- the break -------------------------------------------------------- */

static char *
raw_brk(void *to)
{
    return (char *)syscall(SYS_brk, to);
}

UTEST(brk_moves)
{
    size_t page = page_size();
    char *old = raw_brk(NULL), *p;

    probe_init();
    UCHECK(((uintptr_t)old) != 0 && raw_brk((void *)1) == old);
    UCHECK(raw_brk((void *)-1ul) == old && raw_brk((void *)(1ul << 62)) ==
        old);
    p = (char *)(((uintptr_t)old + page - 1) & ~(page - 1));
    UCHECK(raw_brk(p + 3 * page + 1) == p + 3 * page + 1);
    UCHECK(is_filled(p, 0, 4 * page));
    memset(p, 6, 4 * page);
    UCHECK(raw_brk(p + page - 1) == p + page - 1);
    UCHECK(p[page - 1] == 6 && probe_read(p + page) == FAULT_NO_MAP);
    UCHECK(raw_brk(p + 4 * page) == p + 4 * page);
    UCHECK(is_filled(p, 6, page) && is_filled(p + page, 0, 3 * page));
    UCHECK(raw_brk(old) == old && probe_read(p + page) == FAULT_NO_MAP);
}

/* Something is in the way. */
UTEST(brk_stops)
{
    size_t page = page_size();
    char *old = raw_brk(NULL), *p;

    p = (char *)(((uintptr_t)old + 9 * page) & ~(page - 1));
    UCHECK(mmap(p, page, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == p);
    p[0] = 3;
    UCHECK(raw_brk(p + page) == old && p[0] == 3);
    UCHECK(raw_brk(p - 2 * page) == p - 2 * page);
}

/* ---- files ------------------------------------------------------------ */

UTEST(file_private_and_shared)
{
    size_t page = page_size();
    int fd = file_of(4);
    char *s = mmap(NULL, 4 * page, RW, MAP_SHARED, fd, 0), c;
    char *t = mmap(NULL, 2 * page, RW, MAP_SHARED, fd, (off_t)(2 * page));
    char *p = mmap(NULL, 4 * page, RW, MAP_PRIVATE, fd, 0);

    UCHECK(s != MAP_FAILED && t != MAP_FAILED && p != MAP_FAILED);
    UCHECK(s[0] == 'a' && t[0] == 'c' && t[page] == 'd' && p[page] == 'b');
    s[2 * page + 7] = 'X';
    UCHECK(t[7] == 'X' && pread(fd, &c, 1, (off_t)(2 * page + 7)) == 1 &&
        c == 'X');
    UCHECK(pwrite(fd, "Y", 1, (off_t)(3 * page)) == 1);
    UCHECK(t[page] == 'Y' && s[3 * page] == 'Y' && p[3 * page] == 'Y');
    /* Written to in private: on its own from there, page by page. */
    p[1] = 'P';
    UCHECK(s[1] == 0 && pread(fd, &c, 1, 1) == 1 && c == 0);
    s[1] = 'S';
    s[page] = 'B';
    UCHECK(p[1] == 'P' && p[page] == 'B');
    UCHECK(pwrite(fd, "Q", 1, 1) == 1 && p[1] == 'P' && s[1] == 'Q');
    /* All pages written: what follows is the file's all the same. */
    for (size_t i = 0; i < 4; i++) {
        p[i * page] = 'p';
    }
    UCHECK(madvise(p, 4 * page, MADV_DONTNEED) == 0);
    UCHECK(p[1] == 'Q' && p[3 * page] == 'Y');
    UCHECK(close(fd) == 0 && s[1] == 'Q' && t[7] == 'X');
}

/* What is written to a hole of the file later is seen, too. */
UTEST(file_private_of_a_hole)
{
    size_t page = page_size();
    int fd = memfd_create("hole", 0);
    char *p;

    UCHECK(ftruncate(fd, (off_t)(4 * page)) == 0);
    p = mmap(NULL, 4 * page, RW, MAP_PRIVATE, fd, 0);
    UCHECK(p != MAP_FAILED);
    p[0] = 1;
    UCHECK(pwrite(fd, "x", 1, (off_t)page) == 1);
    UCHECK(p[page] == 'x' && p[0] == 1);
    p[2 * page] = 2;
    UCHECK(pwrite(fd, "y", 1, (off_t)(3 * page)) == 1);
    UCHECK(pwrite(fd, "z", 1, (off_t)(2 * page)) == 1);
    UCHECK(p[3 * page] == 'y' && p[2 * page] == 2);
}

UTEST(file_ends)
{
    size_t page = page_size();
    int fd = memfd_create("end", 0);
    char *s, *p, c;

    probe_init();
    UCHECK(ftruncate(fd, (off_t)(page + 10)) == 0);
    s = mmap(NULL, 4 * page, RW, MAP_SHARED, fd, 0);
    p = mmap(NULL, 4 * page, RW, MAP_PRIVATE, fd, 0);
    UCHECK(is_filled(s, 0, 2 * page));
    UCHECK(probe_read(s + 2 * page) == FAULT_END);
    UCHECK(probe_addr == (uintptr_t)s + 2 * page);
    UCHECK(probe_write(p + 3 * page, 1) == FAULT_END);
    UERRNO(madvise(s, 3 * page, MADV_POPULATE_READ), EFAULT);
    UERRNO(write(fd, s + 2 * page, 1), EFAULT);
    s[page + 9] = 1;
    s[page + 10] = 2;
    p[0] = 3;
    /* Cut off, and the tail is zero. */
    UCHECK(ftruncate(fd, 5) == 0);
    UCHECK(probe_read(s + page) == FAULT_END);
    UCHECK(probe_write(p + page, 1) == FAULT_END && p[0] == 3);
    UCHECK(ftruncate(fd, (off_t)(2 * page)) == 0);
    UCHECK(is_filled(s, 0, 2 * page) && is_filled(p + page, 0, page));
    UCHECK(pread(fd, &c, 1, (off_t)(page + 9)) == 1 && c == 0);
    s[page] = 9;
    UCHECK(p[page] == 9);
}

/* A file that a program has no name for any more lives on in its maps. */
UTEST(file_unlinked)
{
    size_t page = page_size();
    int fd = open("/tmp/u_memory", O_RDWR | O_CREAT | O_EXCL, 0600);
    char *s, *p;

    if (fd < 0) {
        fd = open("/u_memory", O_RDWR | O_CREAT | O_EXCL, 0600);
    }
    UCHECK(fd >= 0);
    UCHECK(write(fd, "hello", 5) == 5);
    s = mmap(NULL, page, RW, MAP_SHARED, fd, 0);
    p = mmap(NULL, page, RW, MAP_PRIVATE, fd, 0);
    UCHECK(unlink("/tmp/u_memory") == 0 || unlink("/u_memory") == 0);
    UCHECK(close(fd) == 0);
    UCHECK(memcmp(s, "hello", 6) == 0);
    p[0] = 'j';
    s[1] = 'a';
    UCHECK(memcmp(s, "hallo", 5) == 0 && p[0] == 'j');
    UCHECK(munmap(s, page) == 0);
    UCHECK(madvise(p, page, MADV_DONTNEED) == 0);
    UCHECK(memcmp(p, "hallo", 5) == 0);
}

/* The file is its own buffer. */
UTEST(file_into_itself)
{
    size_t page = page_size();
    int fd = file_of(6);
    char *s = mmap(NULL, 6 * page, RW, MAP_SHARED, fd, 0);
    char *ro = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);

    UCHECK(s != MAP_FAILED && ro != MAP_FAILED);
    UCHECK(pwrite(fd, s, 2 * page, (off_t)(2 * page)) ==
        (ssize_t)(2 * page));
    UCHECK(s[2 * page] == 'a' && s[3 * page] == 'b');
    UCHECK(pread(fd, s + 4 * page, 2 * page, (off_t)(2 * page)) ==
        (ssize_t)(2 * page));
    UCHECK(s[4 * page] == 'a' && s[5 * page] == 'b');
    UCHECK(pread(fd, s, page, 0) == (ssize_t)page);
    UCHECK(pwrite(fd, s, page, 0) == (ssize_t)page && s[0] == 'a');
    UERRNO(pread(fd, ro, 10, (off_t)page), EFAULT);
    UCHECK(ro[0] == 'a');
    /* Growing it from its own end. */
    UCHECK(pwrite(fd, s + 5 * page, page, (off_t)(6 * page)) ==
        (ssize_t)page);
    s = mremap(s, 6 * page, 7 * page, MREMAP_MAYMOVE);
    UCHECK(s != MAP_FAILED && s[6 * page] == 'b');
}

UTEST(memfd_arguments)
{
    size_t page = page_size();
    char name[300];
    int fd;

    memset(name, 'n', sizeof(name));
    name[250] = 0;
    UERRNO(memfd_create(name, 0), EINVAL);
    name[249] = 0;
    UCHECK(memfd_create(name, 0) >= 0);
    UERRNO(memfd_create("x", 0x8000), EINVAL);
    UERRNO(memfd_create((char *)8, 0), EFAULT);
    fd = memfd_create("seal", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    UCHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    UCHECK(ftruncate(fd, (off_t)page) == 0);
    UCHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    UERRNO(ftruncate(fd, 1), EPERM);
    UCHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    UERRNO(write(fd, "x", 1), EPERM);
    UERRNO(mmap(NULL, page, RW, MAP_SHARED, fd, 0), EPERM);
    UCHECK(mmap(NULL, page, RW, MAP_PRIVATE, fd, 0) != MAP_FAILED);
    UERRNO(ftruncate(fd, -1), EINVAL);
}

/* ---- fork ------------------------------------------------------------- */

struct family {
    char *anon, *shared, *file, *both, *moved;
};

static void
family_child(void *arg)
{
    struct family *f = arg;
    size_t page = page_size();

    UCHECK(is_filled(f->anon, 1, 2 * page) && f->shared[0] == 2 &&
        f->file[0] == 'a' && f->both[0] == 'b' &&
        is_filled(f->moved, 5, 3 * page));
    f->anon[0] = f->shared[0] = f->file[0] = f->both[0] = f->moved[0] = 9;
    if (fork() == 0) {
        UCHECK(f->anon[0] == 9 && f->file[0] == 9 && f->anon[1] == 1);
        f->shared[1] = 7;
        f->anon[1] = 8;
        _exit(0);
    }
    wait(NULL);
    UCHECK(f->anon[1] == 1 && f->shared[1] == 7);
}

UTEST(fork_inherits_each_kind)
{
    size_t page = page_size();
    int fd = file_of(2);
    char c[2];
    struct family f = {
        .anon = map_pages(2, RW, PRIVATE),
        .shared = map_pages(1, RW, SHARED),
        .file = mmap(NULL, page, RW, MAP_PRIVATE, fd, 0),
        .both = mmap(NULL, page, RW, MAP_SHARED, fd, (off_t)page),
        .moved = map_pages(3, RW, PRIVATE),
    };

    memset(f.anon, 1, 2 * page);
    memset(f.moved, 5, 3 * page);
    f.shared[0] = 2;
    f.moved = mremap(f.moved, 3 * page, 3 * page,
        MREMAP_MAYMOVE | MREMAP_FIXED, map_pages(3, RW, PRIVATE));
    for (int i = 0; i < 3; i++) {
        f.shared[0] = 2;
        f.both[0] = 'b';
        UCHECK(utest_child(family_child, &f) == 0);
        UCHECK(is_filled(f.anon, 1, 2 * page) && f.file[0] == 'a' &&
            is_filled(f.moved, 5, 3 * page));
        UCHECK(f.shared[0] == 9 && f.shared[1] == 7 && f.both[0] == 9);
        UCHECK(pread(fd, c, 2, (off_t)page) == 2 && c[0] == 9);
    }
}
