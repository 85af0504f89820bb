/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmapcopy FILE - copy a file to standard output through a private mapping:
 * every byte of it arrives by a page fault.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int
copy(int fd, size_t size)
{
    const char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED) {
        perror("mmapcopy: mmap");
        return 1;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, p + done, size - done);

        if (n <= 0) {
            perror("mmapcopy: write");
            return 1;
        }
        done += (size_t)n;
    }
    return munmap((void *)p, size);
}

int
main(int argc, char **argv)
{
    struct stat st;
    int fd;

    if (argc != 2) {
        fprintf(stderr, "usage: mmapcopy FILE\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        perror(argv[1]);
        return 1;
    }
    return st.st_size == 0 ? 0 : copy(fd, (size_t)st.st_size);
}
