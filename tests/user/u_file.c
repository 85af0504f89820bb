/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_file.c - open files, descriptors, the bytes of regular files.
 */
#include "utest.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* The compiler knows better than to let these through. */
static void *volatile bad = (void *)8;
static volatile size_t huge = SIZE_MAX;
static volatile int minus = -1, many = 5000;
static char path[64];

static int
make(int flags)
{
    int fd;

    snprintf(path, sizeof(path), "/tmp/u_file.%d", (int)getpid());
    fd = open(path, O_CREAT | O_TRUNC | flags, 0640);
    UCHECK(fd >= 0);
    return fd;
}

static off_t
size_of(int fd)
{
    struct stat st;

    UCHECK(fstat(fd, &st) == 0);
    return st.st_size;
}

UTEST(bytes_and_offsets)
{
    int fd = make(O_RDWR);
    char buf[32];

    UCHECK(write(fd, "hello, world", 12) == 12);
    UCHECK(lseek(fd, 0, SEEK_CUR) == 12);
    UCHECK(read(fd, buf, 4) == 0);
    UCHECK(lseek(fd, -5, SEEK_END) == 7);
    UCHECK(read(fd, buf, sizeof(buf)) == 5);
    UCHECK(memcmp(buf, "world", 5) == 0);
    UCHECK(pread(fd, buf, 5, 0) == 5 && memcmp(buf, "hello", 5) == 0);
    UCHECK(pwrite(fd, "J", 1, 0) == 1);
    UCHECK(lseek(fd, 0, SEEK_CUR) == 12);
    UERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    UERRNO(lseek(fd, 0, 99), EINVAL);
    UERRNO(pread(fd, buf, 1, -1), EINVAL);
    UERRNO(read(-1, buf, 1), EBADF);
    UCHECK(lseek(fd, 0, SEEK_SET) == 0);
    UERRNO(read(fd, bad, 4), EFAULT);
    UERRNO(write(fd, bad, 4), EFAULT);
    UCHECK(size_of(fd) == 12);
    UCHECK(unlink(path) == 0);
}

UTEST(large_pattern)
{
    enum { N = 300000 };
    uint32_t *a = malloc(N * 4), *b = malloc(N * 4);
    int fd = make(O_RDWR);

    for (unsigned i = 0; i < N; i++) {
        a[i] = i * 2654435761u;
    }
    UCHECK(write(fd, a, N * 4) == N * 4);
    /* At an odd offset, over many pages. */
    UCHECK(pwrite(fd, (char *)a + 1, 50001, 12345) == 50001);
    memcpy((char *)b, a, N * 4);
    memmove((char *)b + 12345, (char *)a + 1, 50001);
    UCHECK(pread(fd, a, N * 4, 0) == N * 4);
    UCHECK(memcmp(a, b, N * 4) == 0);
    UCHECK(unlink(path) == 0);
}

UTEST(modes_and_flags)
{
    int rd, wr, fd = make(O_RDWR);
    char c;

    rd = open(path, O_RDONLY);
    wr = open(path, O_WRONLY | O_APPEND);
    UCHECK(rd >= 0 && wr >= 0);
    UERRNO(write(rd, "x", 1), EBADF);
    UERRNO(read(wr, &c, 1), EBADF);
    UCHECK(write(fd, "abc", 3) == 3);
    UCHECK(write(wr, "def", 3) == 3);
    UCHECK(lseek(wr, 0, SEEK_CUR) == 6);
    UCHECK((fcntl(wr, F_GETFL) & (O_ACCMODE | O_APPEND)) ==
        (O_WRONLY | O_APPEND));
    UCHECK(fcntl(wr, F_SETFL, O_NONBLOCK) == 0);
    UCHECK((fcntl(wr, F_GETFL) & (O_APPEND | O_NONBLOCK)) == O_NONBLOCK);
    UERRNO(open(path, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    UERRNO(open(path, O_DIRECTORY), ENOTDIR);
    UERRNO(open("/tmp", O_WRONLY), EISDIR);
    UERRNO(open("/tmp/none/x", O_CREAT | O_RDWR, 0600), ENOENT);
    UERRNO(open("", O_RDONLY), ENOENT);
    UCHECK(open(path, O_RDWR | O_TRUNC) >= 0);
    UCHECK(size_of(fd) == 0);
    UCHECK(unlink(path) == 0);
    UERRNO(open(path, O_RDONLY), ENOENT);
    UCHECK(write(fd, "alive", 5) == 5);
}

UTEST(truncate_reads_zeros)
{
    int fd = make(O_RDWR);
    char buf[8192], zero[8192] = { 0 };

    memset(buf, 'x', sizeof(buf));
    UCHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
    UCHECK(ftruncate(fd, 100) == 0 && size_of(fd) == 100);
    UCHECK(ftruncate(fd, 8192) == 0 && size_of(fd) == 8192);
    UCHECK(pread(fd, buf, sizeof(buf), 0) == sizeof(buf));
    UCHECK(buf[99] == 'x' && memcmp(buf + 100, zero, 8092) == 0);
    /* A hole. */
    UCHECK(pwrite(fd, "end", 3, 1 << 20) == 3);
    UCHECK(size_of(fd) == (1 << 20) + 3);
    UCHECK(pread(fd, buf, sizeof(buf), 500000) == sizeof(buf));
    UCHECK(memcmp(buf, zero, sizeof(buf)) == 0);
    UERRNO(ftruncate(fd, -1), EINVAL);
    UERRNO(truncate("/tmp", 0), EISDIR);
    UCHECK(truncate(path, 3) == 0 && size_of(fd) == 3);
    UCHECK(unlink(path) == 0);
}

UTEST(mapping_and_file_agree)
{
    int fd = make(O_RDWR);
    char *shared, *private, buf[4];
    long page = sysconf(_SC_PAGESIZE);

    UCHECK(ftruncate(fd, 3 * page) == 0);
    shared = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    private = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
        0);
    UCHECK(shared != MAP_FAILED && private != MAP_FAILED);
    UCHECK(shared[page] == 0 && private[page] == 0);
    UCHECK(pwrite(fd, "abc", 3, page) == 3);
    UCHECK(memcmp(shared + page, "abc", 3) == 0);
    UCHECK(memcmp(private + page, "abc", 3) == 0);
    shared[2 * page] = 'z';
    UCHECK(pread(fd, buf, 1, 2 * page) == 1 && buf[0] == 'z');
    private[page] = 'P';
    UCHECK(pread(fd, buf, 3, page) == 3 && memcmp(buf, "abc", 3) == 0);
    UCHECK(pwrite(fd, "xyz", 3, page) == 3);
    UCHECK(private[page] == 'P' && shared[page] == 'x');
    /* Read into a page of the same file. */
    UCHECK(pread(fd, shared + 10, 3, page) == 3);
    UCHECK(memcmp(shared + 10, "xyz", 3) == 0);
    UCHECK(pwrite(fd, shared + 10, 3, 20) == 3);
    UCHECK(memcmp(shared + 20, "xyz", 3) == 0);
    UCHECK(unlink(path) == 0);
}

static void
touch_beyond(void *p)
{
    *(volatile char *)p = 1;
}

UTEST(beyond_the_end_is_sigbus)
{
    long page = sysconf(_SC_PAGESIZE);
    int fd = make(O_RDWR), status;
    char *p;

    UCHECK(ftruncate(fd, 2 * page) == 0);
    p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    UCHECK(p != MAP_FAILED);
    p[page] = 1;
    p[50] = 2;
    UCHECK(ftruncate(fd, 40) == 0);
    status = utest_child(touch_beyond, p + page);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    UCHECK(ftruncate(fd, 2 * page) == 0);
    UCHECK(p[50] == 0 && p[page] == 0);
    UCHECK(unlink(path) == 0);
}

UTEST(vectors)
{
    int fd = make(O_RDWR);
    char a[4], b[100], c[1];
    struct iovec w[] = { { "ab", 2 }, { NULL, 0 }, { "cdef", 4 } };
    struct iovec r[] = { { a, 3 }, { b, sizeof(b) }, { c, 1 } };

    UCHECK(writev(fd, w, 3) == 6);
    UCHECK(preadv(fd, r, 3, 0) == 6);
    UCHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "def", 3) == 0);
    UCHECK(pwritev(fd, w, 1, 4) == 2);
    UCHECK(pread(fd, b, 10, 0) == 6 && memcmp(b, "abcdab", 6) == 0);
    UERRNO(writev(fd, w, minus), EINVAL);
    UERRNO(writev(fd, w, many), EINVAL);
    UERRNO(writev(fd, bad, 2), EFAULT);
    w[1].iov_len = SIZE_MAX;
    UERRNO(writev(fd, w, 3), EINVAL);
    UCHECK(writev(fd, w, 0) == 0);
    UCHECK(unlink(path) == 0);
}

UTEST(descriptors)
{
    int fd = make(O_RDWR), other, i;
    struct rlimit limit = { 64, 64 };

    other = dup(fd);
    UCHECK(other > fd);
    UCHECK(write(fd, "abc", 3) == 3);
    UCHECK(lseek(other, 0, SEEK_CUR) == 3);
    UCHECK(dup2(fd, 40) == 40 && dup2(fd, fd) == fd);
    UERRNO(dup2(99, 3), EBADF);
    UERRNO(dup3(fd, fd, 0), EINVAL);
    UCHECK(dup3(fd, 41, O_CLOEXEC) == 41);
    UCHECK(fcntl(41, F_GETFD) == FD_CLOEXEC && fcntl(40, F_GETFD) == 0);
    UCHECK(fcntl(41, F_SETFD, 0) == 0 && fcntl(41, F_GETFD) == 0);
    UCHECK(fcntl(fd, F_DUPFD, 50) == 50);
    UCHECK(fcntl(fd, F_DUPFD_CLOEXEC, 50) == 51);
    UCHECK(close(40) == 0);
    UERRNO(close(40), EBADF);
    UERRNO(fcntl(40, F_GETFD), EBADF);
    UCHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (i = 0; i < 100 && dup(fd) >= 0; i++) {
        continue;
    }
    UCHECK(i < 64 && errno == EMFILE);
    UERRNO(dup2(fd, 64), EBADF);
    UERRNO(fcntl(fd, F_DUPFD, 64), EINVAL);
#ifdef SYS_close_range
    UCHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
    UERRNO(fcntl(fd, F_GETFD), EBADF);
#endif
    UCHECK(unlink(path) == 0);
}

UTEST(many_descriptors)
{
    int fd[500];

    for (int i = 0; i < 500; i++) {
        fd[i] = open("/dev/null", O_RDONLY);
        UCHECK(fd[i] >= 0 && (i == 0 || fd[i] > fd[i - 1]));
    }
    UCHECK(close(fd[7]) == 0);
    UCHECK(open("/dev/zero", O_RDONLY) == fd[7]);
}

UTEST(copying)
{
    int from = make(O_RDWR), to = memfd_create("to", 0);
    char buf[20000], *data = malloc(200000);
    off_t at = 5;

    UCHECK(to >= 0);
    for (int i = 0; i < 200000; i++) {
        data[i] = (char)(i * 7);
    }
    UCHECK(write(from, data, 200000) == 200000);
    UCHECK(lseek(from, 0, SEEK_SET) == 0);
    UCHECK(sendfile(to, from, NULL, 200000) == 200000);
    UCHECK(lseek(from, 0, SEEK_CUR) == 200000);
    UCHECK(sendfile(to, from, &at, 100) == 100 && at == 105);
    UCHECK(size_of(to) == 200100);
    UCHECK(pread(to, buf, 20000, 150000) == 20000);
    UCHECK(memcmp(buf, data + 150000, 20000) == 0);
    UCHECK(pread(to, buf, 100, 200000) == 100);
    UCHECK(memcmp(buf, data + 5, 100) == 0);
    UCHECK(unlink(path) == 0);
}

UTEST(memfd_and_seals)
{
    int fd = memfd_create("m", MFD_ALLOW_SEALING);

    UCHECK(fd >= 0 && write(fd, "1234", 4) == 4);
    UCHECK(fcntl(fd, F_GET_SEALS) == 0);
    UCHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    UERRNO(ftruncate(fd, 2), EPERM);
    UERRNO(ftruncate(fd, 20), EPERM);
    UERRNO(write(fd, "x", 1), EPERM);
    UCHECK(pwrite(fd, "x", 1, 0) == 1);
    UCHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    UERRNO(pwrite(fd, "x", 1, 0), EPERM);
    UERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    UCHECK(fcntl(fd, F_GET_SEALS) == 15);
    UERRNO(memfd_create("m", 0x4000), EINVAL);
}

UTEST(allocate)
{
    int fd = make(O_RDWR);
    char buf[100];

    memset(buf, 'a', sizeof(buf));
    UCHECK(write(fd, buf, 100) == 100);
    UCHECK(fallocate(fd, 0, 0, 10000) == 0 && size_of(fd) == 10000);
    UCHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 99999) == 0);
    UCHECK(size_of(fd) == 10000);
    UCHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10,
        20) == 0);
    UCHECK(pread(fd, buf, 100, 0) == 100);
    UCHECK(buf[9] == 'a' && buf[10] == 0 && buf[29] == 0 && buf[30] == 'a');
    UERRNO(fallocate(fd, 0, -1, 10), EINVAL);
    UERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    UCHECK(unlink(path) == 0);
}

UTEST(devices)
{
    char buf[5000], zero[5000] = { 0 };
    int fd = open("/dev/zero", O_RDWR);

    memset(buf, 1, sizeof(buf));
    UCHECK(read(fd, buf, sizeof(buf)) == sizeof(buf));
    UCHECK(memcmp(buf, zero, sizeof(buf)) == 0);
    UCHECK(write(fd, buf, 77) == 77);
    fd = open("/dev/null", O_RDWR);
    UCHECK(read(fd, buf, 10) == 0 && write(fd, buf, 10) == 10);
    fd = open("/dev/full", O_RDWR);
    UERRNO(write(fd, buf, 10), ENOSPC);
    fd = open("/dev/urandom", O_RDONLY);
    UCHECK(read(fd, buf, sizeof(buf)) == sizeof(buf));
    UCHECK(memcmp(buf, buf + 2500, 2500) != 0);
    UCHECK(!isatty(fd));
}

UTEST(huge_arguments)
{
    int fd = make(O_RDWR);
    char c;

    UERRNO(write(fd, &c, huge), EFAULT);
    UERRNO(pwrite(fd, "x", 1, INT64_MAX), EFBIG);
    UCHECK(pread(fd, &c, 1, INT64_MAX) <= 0);
    UCHECK(lseek(fd, INT64_MAX, SEEK_SET) >= -1);
    UCHECK(size_of(fd) == 0);
    UCHECK(unlink(path) == 0);
}
