/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_dir.c - names: directories, links, rename, paths.
 */
#include "utest.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The compiler knows better than to let these through. */
static void *volatile bad = (void *)8;
static char top[64];

/* A directory of its own, and in it. */
static void
enter(void)
{
    snprintf(top, sizeof(top), "/tmp/u_dir.%d", (int)getpid());
    UCHECK(mkdir(top, 0755) == 0 && chdir(top) == 0);
}

static void
leave(void)
{
    UCHECK(chdir("/") == 0 && rmdir(top) == 0);
}

static void
file(const char *name, const char *text)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    UCHECK(fd >= 0 && write(fd, text, strlen(text)) ==
        (ssize_t)strlen(text));
    UCHECK(close(fd) == 0);
}

static int
holds(const char *name, const char *text)
{
    char buf[100];
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, buf, sizeof(buf));

    close(fd);
    return n == (ssize_t)strlen(text) && memcmp(buf, text, n) == 0;
}

static nlink_t
links(const char *name)
{
    struct stat st;

    UCHECK(lstat(name, &st) == 0);
    return st.st_nlink;
}

UTEST(make_and_remove)
{
    enter();
    UCHECK(mkdir("a", 0700) == 0);
    UERRNO(mkdir("a", 0700), EEXIST);
    UERRNO(mkdir("b/c", 0700), ENOENT);
    UCHECK(mkdir("a/b/", 0700) == 0 && links("a") == 3);
    UERRNO(rmdir("a"), ENOTEMPTY);
    UERRNO(unlink("a"), EISDIR);
    UERRNO(rmdir("a/."), EINVAL);
    UERRNO(rmdir("a/b/.."), ENOTEMPTY);
    file("f", "x");
    UERRNO(rmdir("f"), ENOTDIR);
    UERRNO(mkdir("f/x", 0700), ENOTDIR);
    UERRNO(open("f/", O_RDONLY), ENOTDIR);
    UERRNO(unlink("none"), ENOENT);
    UCHECK(rmdir("a/b") == 0 && rmdir("a") == 0 && unlink("f") == 0);
    leave();
}

UTEST(hard_links)
{
    enter();
    file("f", "one");
    UCHECK(link("f", "g") == 0 && links("f") == 2);
    UERRNO(link("f", "g"), EEXIST);
    UERRNO(link("none", "h"), ENOENT);
    UERRNO(link(".", "h"), EPERM);
    file("g", "two");
    UCHECK(holds("f", "two"));
    UCHECK(unlink("f") == 0 && links("g") == 1 && unlink("g") == 0);
    leave();
}

UTEST(symbolic_links)
{
    char buf[64];

    enter();
    file("f", "text");
    UCHECK(mkdir("d", 0755) == 0);
    UCHECK(symlink("../f", "d/l") == 0 && holds("d/l", "text"));
    UCHECK(readlink("d/l", buf, sizeof(buf)) == 4);
    UCHECK(memcmp(buf, "../f", 4) == 0);
    UCHECK(readlink("d/l", buf, 2) == 2);
    UERRNO(readlink("f", buf, 64), EINVAL);
    UERRNO(open("d/l", O_RDONLY | O_NOFOLLOW), ELOOP);
    UCHECK(symlink("d", "dd") == 0 && holds("dd/l", "text"));
    UCHECK(symlink("x", "y") == 0 && symlink("y", "x") == 0);
    UERRNO(open("x", O_RDONLY), ELOOP);
    UERRNO(open("x/z", O_RDONLY), ELOOP);
    UCHECK(symlink("made", "dangling") == 0);
    UERRNO(open("dangling", O_RDONLY), ENOENT);
    UERRNO(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    file("dangling", "new");
    UCHECK(holds("made", "new"));
    UERRNO(symlink("", "empty"), ENOENT);
    UCHECK(unlink("d/l") == 0 && unlink("dd") == 0 && rmdir("d") == 0);
    UCHECK(unlink("x") == 0 && unlink("y") == 0 && unlink("f") == 0);
    UCHECK(unlink("dangling") == 0 && unlink("made") == 0);
    leave();
}

UTEST(renames)
{
    enter();
    file("a", "A");
    file("b", "B");
    UCHECK(rename("a", "c") == 0 && holds("c", "A"));
    UCHECK(rename("c", "b") == 0 && holds("b", "A"));
    UERRNO(rename("c", "d"), ENOENT);
    UCHECK(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0);
    UERRNO(rename("b", "d"), EISDIR);
    UERRNO(rename("d", "b"), ENOTDIR);
    UCHECK(rename("b", "d/b") == 0);
    UERRNO(rename("e", "d"), ENOTEMPTY);
    UERRNO(rename("d", "d/x"), EINVAL);
    UCHECK(rename("d", "e") == 0 && holds("e/b", "A"));
    UCHECK(mkdir("f", 0755) == 0 && links(".") == 4);
    UCHECK(rename("f", "e/f") == 0 && links(".") == 3 && links("e") == 3);
    UCHECK(holds("e/f/../b", "A"));
    UCHECK(link("e/b", "b2") == 0 && rename("e/b", "b2") == 0);
    UCHECK(links("b2") == 2 && unlink("e/b") == 0);
#ifdef SYS_renameat2
    file("x", "X");
    UERRNO(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "b2", 1),
        EEXIST);
    UCHECK(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "b2", 2) == 0);
    UCHECK(holds("x", "A") && holds("b2", "X") && unlink("x") == 0);
#endif
    UCHECK(unlink("b2") == 0 && rmdir("e/f") == 0 && rmdir("e") == 0);
    leave();
}

UTEST(reading_directories)
{
    enum { N = 300 };
    char name[16], seen[N] = { 0 };
    struct dirent *e;
    int dots = 0, n = 0;
    DIR *d;

    enter();
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        file(name, "");
    }
    d = opendir(".");
    UCHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') {
            dots++;
            continue;
        }
        UCHECK(e->d_type == DT_REG);
        n = atoi(e->d_name + 1);
        UCHECK(n >= 0 && n < N && seen[n] == 0);
        seen[n] = 1;
        /* What is read may go meanwhile. */
        UCHECK(unlink(e->d_name) == 0);
    }
    UCHECK(dots == 2);
    for (int i = 0; i < N; i++) {
        UCHECK(seen[i] == 1);
    }
    rewinddir(d);
    n = 0;
    while (readdir(d) != NULL) {
        n++;
    }
    UCHECK(n == 2);
    closedir(d);
    leave();
}

UTEST(current_directory)
{
    char buf[PATH_MAX], small[4];
    int fd;

    enter();
    UCHECK(getcwd(buf, sizeof(buf)) != NULL && strcmp(buf, top) == 0);
    UCHECK(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0);
    fd = open("a/b", O_RDONLY | O_DIRECTORY);
    UCHECK(fd >= 0 && fchdir(fd) == 0);
    UCHECK(chdir("../../a/./b/..//") == 0);
    UCHECK(getcwd(buf, sizeof(buf)) != NULL);
    UCHECK(strcmp(strrchr(buf, '/'), "/a") == 0);
    UCHECK(syscall(SYS_getcwd, small, sizeof(small)) == -1 &&
        errno == ERANGE);
    UCHECK(openat(fd, "f", O_CREAT | O_WRONLY, 0644) >= 0);
    UCHECK(access("b/f", F_OK) == 0);
    UCHECK(unlinkat(fd, "f", 0) == 0);
    UERRNO(openat(fd, "f", O_RDONLY), ENOENT);
    UERRNO(openat(99, "f", O_RDONLY), EBADF);
    UCHECK(rmdir("b") == 0);
    UERRNO(openat(fd, "g", O_CREAT | O_WRONLY, 0644), ENOENT);
    UCHECK(fchdir(fd) == 0);
    UCHECK(syscall(SYS_getcwd, buf, sizeof(buf)) == -1 && errno == ENOENT);
    UCHECK(chdir(top) == 0 && rmdir("a") == 0);
    UERRNO(chdir("none"), ENOENT);
    leave();
}

UTEST(attributes)
{
    struct stat st;
    struct timespec t[2] = { { 1000, 5 }, { 2000, 7 } };
    char name[300];

    enter();
    umask(022);
    UCHECK(close(open("f", O_CREAT | O_WRONLY, 0666)) == 0);
    UCHECK(stat("f", &st) == 0 && st.st_mode == (S_IFREG | 0644));
    UCHECK(chmod("f", 0400) == 0 && stat("f", &st) == 0);
    UCHECK((st.st_mode & 07777) == 0400);
    UERRNO(access("f", X_OK), EACCES);
    UCHECK(utimensat(AT_FDCWD, "f", t, 0) == 0 && stat("f", &st) == 0);
    UCHECK(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_nsec == 7);
    UCHECK(fstatat(AT_FDCWD, "f", &st, 0) == 0);
    UERRNO(stat("f", bad), EFAULT);
    UERRNO(stat("", &st), ENOENT);
    memset(name, 'n', sizeof(name));
    name[256] = 0;
    UERRNO(mkdir(name, 0755), ENAMETOOLONG);
    name[255] = 0;
    UCHECK(mkdir(name, 0755) == 0 && rmdir(name) == 0);
    UCHECK(unlink("f") == 0);
    leave();
}
