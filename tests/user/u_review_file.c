/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_review_file.c - what a review of the entry paths and of the files found:
 * each case panicked, hung, or was told something wrong.
 *
 * pal: name=low mem=64M file=tests/user/u_review_file.c:/one.txt
 */
#include "utest.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#ifndef CLONE_SETTLS
#define CLONE_SETTLS        0x80000
#endif
#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#endif
#ifndef FALLOC_FL_PUNCH_HOLE
#define FALLOC_FL_PUNCH_HOLE 2
#endif
#define PIECE               (1u << 20)

static char path[64], other[64];

static void
names(const char *what)
{
    snprintf(path, sizeof(path), "/tmp/%s.%d", what, (int)getpid());
    snprintf(other, sizeof(other), "/tmp/%s.%d.other", what, (int)getpid());
}

static int
is_ours(void)
{
    struct utsname u;

    return uname(&u) == 0 && strstr(u.release, "palimpsest") != NULL;
}

/* ---- entry paths -------------------------------------------------------- */

/* A thread pointer that no processor takes: the switch to it panicked. */
UTEST(clone_tls_not_an_address)
{
    static const unsigned long wild[] = {
        0x8000000000000000, 0x0000800000000000, 0xffff800000000000
    };

    for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        /* x86-64 has the thread pointer last, the others before ctid. */
#ifdef __x86_64__
        UERRNO(syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, wild[i]),
            EPERM);
#else
        long pid = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, wild[i],
            0);
        int status;

        if (pid == 0) {
            syscall(SYS_exit, 0);
        }
        UCHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid);
        UCHECK(status == 0);
#endif
    }
}

/* As the kernel wrote it: the C library may have its own idea of it. */
static unsigned long
auxv(unsigned long type)
{
    char **word = environ;
    unsigned long *pair;

    while (*word++ != NULL) {
        continue;
    }
    for (pair = (void *)word; pair[0] != AT_NULL; pair += 2) {
        if (pair[0] == type) {
            return pair[1];
        }
    }
    return 0;
}

UTEST(hwcap_in_its_place)
{
#if defined(__aarch64__)
    UCHECK((auxv(AT_HWCAP) & 3) == 3);          /* FP, ASIMD */
#elif defined(__riscv)
    UCHECK((auxv(AT_HWCAP) & (1 << ('i' - 'a'))) != 0);
#else
    UCHECK((auxv(AT_HWCAP) & 1) != 0);          /* FPU */
#endif
}

/* ---- sizes -------------------------------------------------------------- */

/* Page by page through a hole of an exbyte took for ever. */
UTEST(punch_an_exbyte)
{
    struct stat st;
    char c = 1;
    int fd;

    names("punch");
    fd = open(path, O_CREAT | O_RDWR, 0600);
    UCHECK(fd >= 0 && unlink(path) == 0);
    UCHECK(ftruncate(fd, (off_t)1 << 60) == 0);
    UCHECK(pwrite(fd, "x", 1, (off_t)1 << 59) == 1);
    UCHECK(pwrite(fd, "y", 1, 5000) == 1);
    UCHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1,
        (off_t)1 << 60) == 0);
    UCHECK(pread(fd, &c, 1, (off_t)1 << 59) == 1 && c == 0);
    UCHECK(pread(fd, &c, 1, 5000) == 1 && c == 0);
    UCHECK(fstat(fd, &st) == 0 && st.st_size == (off_t)1 << 60);
}

/* The same for a file of the archive, whose holes the pager fills. */
UTEST(punch_the_archive)
{
    char c = 1;
    int fd = open("/one.txt", O_RDWR);

    if (fd < 0) {
        USKIP("no /one.txt");
    }
    UCHECK(read(fd, &c, 1) == 1 && c == '/');
    UCHECK(ftruncate(fd, (off_t)1 << 60) == 0);
    UCHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1,
        (off_t)1 << 60) == 0);
    UCHECK(pread(fd, &c, 1, 0) == 1 && c == '/');
    UCHECK(pread(fd, &c, 1, 1) == 1 && c == 0);
    UCHECK(pread(fd, &c, 1, 100) == 1 && c == 0);
    UCHECK(unlink("/one.txt") == 0);    /* what it has become is no leak */
}

/* Files may have half of memory, and give it back. */
UTEST(files_fill_half)
{
    static char buf[PIECE];
    struct statfs before, full, after;
    uint64_t written = 0;
    ssize_t n;
    int fd;

    if (!is_ours()) {
        USKIP("fills a disk elsewhere");
    }
    names("fill");
    UCHECK(statfs("/tmp", &before) == 0);
    fd = open(path, O_CREAT | O_RDWR, 0600);
    UCHECK(fd >= 0 && unlink(path) == 0);
    memset(buf, 1, sizeof(buf));
    while ((n = write(fd, buf, sizeof(buf))) > 0) {
        written += (uint64_t)n;
    }
    UCHECK(n == -1 && errno == ENOSPC);
    UCHECK(statfs("/tmp", &full) == 0);
    UCHECK(full.f_bfree * (uint64_t)full.f_bsize < PIECE);
    UCHECK(written <= before.f_bfree * (uint64_t)before.f_bsize);
    UCHECK(written > before.f_bfree * (uint64_t)before.f_bsize / 2);
    UERRNO(fallocate(fd, 0, 0, (off_t)written * 2), ENOSPC);
    UCHECK(ftruncate(fd, 0) == 0);
    UCHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
    UCHECK(close(fd) == 0);
    UCHECK(statfs("/tmp", &after) == 0 && after.f_bfree == before.f_bfree);
}

/* ... and names no more than there are half as many pages. */
UTEST(names_have_an_end)
{
    struct statfs s;
    long made = 0, most;
    int error = 0;

    if (!is_ours() || statfs("/tmp", &s) != 0 || s.f_files > 50000) {
        USKIP("takes too long with more memory");
    }
    names("many");
    most = (long)s.f_files + 1;
    UCHECK(mkdir(path, 0700) == 0 && chdir(path) == 0);
    UCHECK(symlink("x", "0") == 0);
    while (error == 0 && made < most) {
        snprintf(other, sizeof(other), "%ld", made + 1);
        error = link("0", other) == 0 ? 0 : errno;
        made += error == 0;
    }
    UCHECK(error == ENOSPC);
    while (made >= 0) {
        snprintf(other, sizeof(other), "%ld", made--);
        UCHECK(unlink(other) == 0);
    }
    UCHECK(chdir("/") == 0 && rmdir(path) == 0);
}

/* ---- directories and names ---------------------------------------------- */

static double
read_all(const char *dir, unsigned *count)
{
    struct timespec a, b;
    DIR *d;

    clock_gettime(CLOCK_MONOTONIC, &a);
    *count = 0;
    d = opendir(dir);
    UCHECK(d != NULL);
    while (readdir(d) != NULL) {
        ++*count;
    }
    UCHECK(closedir(d) == 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)(b.tv_sec - a.tv_sec) +
        (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* Each entry was searched from the first one on, the tree locked. */
UTEST(large_directory)
{
    enum { FEW = 1000, MANY = 6000 };
    double few = 1e9, many = 1e9, t;
    unsigned n;

    names("large");
    UCHECK(mkdir(path, 0700) == 0 && chdir(path) == 0);
    UCHECK(mknod("0", S_IFREG | 0600, 0) == 0);
    for (unsigned i = 1; i < MANY; i++) {
        snprintf(other, sizeof(other), "%u", i);
        UCHECK(link("0", other) == 0);
        if (i == FEW) {
            for (unsigned k = 0; k < 3; k++) {
                t = read_all(".", &n);
                few = t < few ? t : few;
            }
        }
    }
    for (unsigned k = 0; k < 3; k++) {
        t = read_all(".", &n);
        many = t < many ? t : many;
    }
    UCHECK(n == MANY + 2);
    printf("# %d: %.1f ms, %d: %.1f ms\n", FEW, few * 1e3, MANY, many * 1e3);
    UCHECK(many / few < 2.5 * MANY / FEW);
    /* Taken away under the reader. */
    {
        DIR *d = opendir(".");
        struct dirent *e;

        UCHECK(d != NULL);
        n = 0;
        while ((e = readdir(d)) != NULL) {
            n += e->d_name[0] != '.' && unlink(e->d_name) == 0;
        }
        UCHECK(closedir(d) == 0 && n == MANY);
    }
    UCHECK(chdir("/") == 0 && rmdir(path) == 0);
}

/* A pipe, a text of /proc: not of this file system. */
UTEST(link_from_elsewhere)
{
    char fd[64];
    int p[2];

    names("link");
    UERRNO(link("/proc/self/maps", path), EXDEV);
    UERRNO(link("/proc/self/exe", path), EXDEV);
    UCHECK(pipe(p) == 0);
    snprintf(fd, sizeof(fd), "/proc/self/fd/%d", p[0]);
    UERRNO(linkat(AT_FDCWD, fd, AT_FDCWD, path, AT_SYMLINK_FOLLOW), EXDEV);
    UERRNO(access(path, F_OK), ENOENT);
}

/* A slash behind a link that leads to a file without a text. */
UTEST(slash_behind_a_file)
{
    UERRNO(open("/proc/self/exe/", O_RDONLY), ENOTDIR);
    UERRNO(open("/proc/self/exe/x", O_RDONLY), ENOTDIR);
    UCHECK(access("/proc/self/cwd/", F_OK) == 0);
}

/* One of two names goes: the file still has the other. */
UTEST(other_name_stays)
{
    char fd[64], text[128];
    ssize_t n;
    int f;

    names("names");
    f = open(path, O_CREAT | O_RDWR, 0600);
    UCHECK(f >= 0 && link(path, other) == 0 && unlink(other) == 0);
    snprintf(fd, sizeof(fd), "/proc/self/fd/%d", f);
    n = readlink(fd, text, sizeof(text) - 1);
    UCHECK(n > 0);
    text[n] = 0;
    UCHECK(strcmp(text, path) == 0);
    UCHECK(unlink(path) == 0);
}

/* Half a second before 1970. */
UTEST(time_before_1970)
{
    struct timespec t[2] = { { -1, 500000000 }, { -7, 0 } };
    struct stat st;

    names("time");
    UCHECK(mknod(path, S_IFREG | 0600, 0) == 0);
    UCHECK(utimensat(AT_FDCWD, path, t, 0) == 0);
    UCHECK(stat(path, &st) == 0 && unlink(path) == 0);
    UCHECK(st.st_atim.tv_sec == -1 && st.st_atim.tv_nsec == 500000000);
    UCHECK(st.st_mtim.tv_sec == -7 && st.st_mtim.tv_nsec == 0);
}

/* ---- descriptors -------------------------------------------------------- */

static volatile int stop;

static void *
user_of_descriptors(void *arg)
{
    char c;

    (void)arg;
    while (!stop) {
        for (int fd = 3; fd < 40; fd++) {
            (void)!read(fd, &c, 1);
        }
    }
    return NULL;
}

/* Threads share a table that has but one reference. */
UTEST(descriptors_of_threads)
{
    struct timespec now, start;
    pthread_t t[2];

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < 2; i++) {
        UCHECK(pthread_create(&t[i], NULL, user_of_descriptors, NULL) == 0);
    }
    do {
        int fd = open("/dev/zero", O_RDONLY);

        UCHECK(fd >= 0);
        UCHECK(dup2(fd, 20 + fd % 19) >= 0);
        close(20 + fd % 19);
        close(fd);
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < 3);
    stop = 1;
    for (unsigned i = 0; i < 2; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
}
