/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_procfs.c - what /proc says, as far as programs rely on it: proc(5).
 */
#include "utest.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

static char text[65536];

static size_t
slurp(const char *name)
{
    int fd = open(name, O_RDONLY);
    size_t len = 0;
    ssize_t n;

    UCHECK(fd >= 0);
    /* In small pieces: one state all the same. */
    while ((n = read(fd, text + len, 100)) > 0) {
        len += (size_t)n;
    }
    UCHECK(n == 0 && len < sizeof(text));
    text[len] = 0;
    UCHECK(close(fd) == 0);
    return len;
}

/* The line of maps that has the address. */
static char *
line_of(const void *p, char *perms)
{
    unsigned long start, end, at = (unsigned long)p;
    char *line = text;

    while (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3) {
        if (start <= at && at < end) {
            return line;
        }
        line = strchr(line, '\n') + 1;
    }
    return NULL;
}

UTEST(maps)
{
    char perms[8], *p, *line, path[64];
    int fd, local;

    snprintf(path, sizeof(path), "/tmp/u_procfs.%d", (int)getpid());
    fd = open(path, O_CREAT | O_RDWR, 0600);
    UCHECK(fd >= 0 && ftruncate(fd, 3 * 65536) == 0);
    p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 65536);
    UCHECK(p != MAP_FAILED);
    UCHECK(slurp("/proc/self/maps") > 0);
    line = line_of(p, perms);
    UCHECK(line != NULL && strcmp(perms, "rw-s") == 0);
    UCHECK(strstr(line, " 00010000 ") != NULL);
    *strchr(line, '\n') = 0;
    UCHECK(strcmp(line + 73, path) == 0);
    UCHECK(slurp("/proc/self/maps") > 0);
    line = line_of(&local, perms);
    UCHECK(line != NULL && strncmp(strchr(line, '['), "[stack]\n", 8) == 0);
    line = line_of((void *)(unsigned long)slurp, perms);
    UCHECK(line != NULL && strcmp(perms, "r-xp") == 0);
    UCHECK(sbrk(4096) != (void *)-1 && slurp("/proc/self/maps") > 0);
    UCHECK(strstr(text, "[heap]\n") != NULL);
    UCHECK(unlink(path) == 0);
}

UTEST(status)
{
    char *s;
    int n = 0;

    UCHECK(slurp("/proc/self/status") > 0);
    UCHECK(strncmp(text, "Name:\t", 6) == 0);
    UCHECK((s = strstr(text, "\nPid:\t")) != NULL);
    UCHECK(sscanf(s + 6, "%d", &n) == 1 && n == getpid());
    UCHECK((s = strstr(text, "\nPPid:\t")) != NULL);
    UCHECK(sscanf(s + 7, "%d", &n) == 1 && n == getppid());
    UCHECK((s = strstr(text, "\nVmRSS:\t")) != NULL);
    UCHECK(sscanf(s + 8, "%d kB", &n) == 1 && n > 0);
    UCHECK((s = strstr(text, "\nVmPTE:\t")) != NULL);
    UCHECK(sscanf(s + 8, "%d kB", &n) == 1 && n > 0);
    UCHECK(slurp("/proc/self/stat") > 0);
    UCHECK(sscanf(text, "%d (", &n) == 1 && n == getpid());
    n = 0;
    for (s = text; *s != 0; s++) {
        n += *s == ' ';
    }
    UCHECK(n == 51);
    UCHECK(slurp("/proc/self/statm") > 0);
    UCHECK(sscanf(text, "%d", &n) == 1 && n > 0);
}

UTEST(links)
{
    char buf[256], name[32];
    ssize_t n = readlink("/proc/self", buf, sizeof(buf));

    UCHECK(n > 0);
    buf[n] = 0;
    UCHECK(atoi(buf) == getpid());
    n = readlink("/proc/self/exe", buf, sizeof(buf));
    UCHECK(n > 0 && buf[0] == '/');
    UCHECK(open("/proc/self/exe", O_RDONLY) >= 0);
    UCHECK(chdir("/tmp") == 0);
    n = readlink("/proc/self/cwd", buf, sizeof(buf));
    UCHECK(n == 4 && memcmp(buf, "/tmp", 4) == 0);
    n = open("/dev/null", O_RDONLY);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", (int)n);
    n = readlink(name, buf, sizeof(buf));
    UCHECK(n == 9 && memcmp(buf, "/dev/null", 9) == 0);
    UERRNO(readlink("/proc/self/fd/999", buf, sizeof(buf)), ENOENT);
    UERRNO(open("/proc/0", O_RDONLY), ENOENT);
    UERRNO(open("/proc/self/none", O_RDONLY), ENOENT);
    UCHECK(slurp("/proc/self/cmdline") > 0);
    UCHECK(text[0] != 0);
}

UTEST(meminfo)
{
    unsigned long total = 0, free_kib = 0;
    char *s;

    UCHECK(slurp("/proc/meminfo") > 0);
    UCHECK(sscanf(text, "MemTotal: %lu kB", &total) == 1);
    UCHECK((s = strstr(text, "\nMemFree:")) != NULL);
    UCHECK(sscanf(s + 9, "%lu kB", &free_kib) == 1);
    UCHECK(free_kib > 0 && free_kib < total);
    UCHECK(strstr(text, "\nPageTables:") != NULL);
    UCHECK(slurp("/proc/uptime") > 0 && slurp("/proc/stat") > 0);
    UCHECK(strncmp(text, "cpu  ", 5) == 0);
    UCHECK(slurp("/proc/cpuinfo") > 0 && slurp("/proc/cmdline") > 0);
}

UTEST(directory)
{
    int self = 0, meminfo = 0;
    struct dirent *e;
    DIR *d = opendir("/proc");

    UCHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        self += atoi(e->d_name) == getpid();
        meminfo += strcmp(e->d_name, "meminfo") == 0;
    }
    UCHECK(self == 1 && meminfo == 1);
    closedir(d);
    UCHECK(access("/proc/self/fd/1", F_OK) == 0);
    UCHECK(access("/proc/self/../meminfo", R_OK) == 0);
}
