/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * badelf - files that look like programs and are not: each must be refused by
 * execve, and this program go on; then random damage to a good one, which may
 * be refused, or die, but must not take the kernel along.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "scene.h"

#define TARGET "/tmp/badelf.target"

static unsigned char *image;
static size_t image_size;

static void
load(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    SCENE_CHECK(fd >= 0 && fstat(fd, &st) == 0);
    image_size = (size_t)st.st_size;
    image = malloc(image_size);
    SCENE_CHECK(image != NULL);
    for (size_t at = 0; at < image_size;) {
        ssize_t n = read(fd, image + at, image_size - at);

        SCENE_CHECK(n > 0);
        at += (size_t)n;
    }
    close(fd);
}

static void
store(const void *data, size_t size)
{
    int fd;

    unlink(TARGET);
    fd = open(TARGET, O_CREAT | O_WRONLY | O_TRUNC, 0755);
    SCENE_CHECK(fd >= 0);
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, (const char *)data + at, size - at);

        SCENE_CHECK(n > 0);
        at += (size_t)n;
    }
    SCENE_CHECK(close(fd) == 0);
}

/* Its wait status; refused: 77 << 8 and errno's name on the way. */
static int
try(void)
{
    int status;
    pid_t pid = scene_fork();

    if (pid == 0) {
        char *argv[] = { TARGET, "child", NULL }, *envp[] = { NULL };
        int null = open("/dev/null", O_RDWR);

        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        alarm(1);
        execve(TARGET, argv, envp);
        _exit(errno == ENOEXEC || errno == EINVAL || errno == ENOMEM ||
            errno == EACCES || errno == E2BIG || errno == EIO ? 77 : 78);
    }
    SCENE_CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

typedef void damage(unsigned char *p, Elf64_Ehdr *e, Elf64_Phdr *ph);

static void
refused(const char *what, damage *fn, size_t size)
{
    unsigned char *copy = malloc(image_size);
    Elf64_Ehdr *e = (Elf64_Ehdr *)(void *)copy;
    int status;

    SCENE_CHECK(copy != NULL);
    memcpy(copy, image, image_size);
    if (fn != NULL) {
        fn(copy, e, (Elf64_Phdr *)(void *)(copy + e->e_phoff));
    }
    store(copy, size < image_size ? size : image_size);
    free(copy);
    status = try();
    if (status != 77 << 8) {
        scene_fail("%s: ended with %#x instead of being refused", what,
            status);
    }
}

static Elf64_Phdr *
first_load(Elf64_Phdr *ph)
{
    while (ph->p_type != PT_LOAD) {
        ph++;
    }
    return ph;
}

#define DAMAGE(name, statement)                                         \
    static void                                                         \
    name(unsigned char *p, Elf64_Ehdr *e, Elf64_Phdr *ph)               \
    {                                                                   \
        Elf64_Phdr *l = first_load(ph);                                 \
        (void)p; (void)e; (void)l;                                      \
        statement;                                                      \
    }
DAMAGE(bad_magic, p[0] = 0)
DAMAGE(bad_class, p[EI_CLASS] = ELFCLASS32)
DAMAGE(bad_endian, p[EI_DATA] = ELFDATA2MSB)
DAMAGE(bad_machine, e->e_machine = EM_SPARCV9)
DAMAGE(bad_type, e->e_type = ET_REL)
DAMAGE(bad_phentsize, e->e_phentsize = 55)
DAMAGE(bad_phnum, e->e_phnum = 0)
DAMAGE(many_phnum, e->e_phnum = 65535)
DAMAGE(bad_phoff, e->e_phoff = ~(Elf64_Off)0 - 8)
DAMAGE(far_phoff, e->e_phoff = (Elf64_Off)1 << 40)
DAMAGE(wrap_vaddr, l->p_vaddr = ~(Elf64_Addr)0xfff)
DAMAGE(kernel_vaddr, l->p_vaddr = (Elf64_Addr)0xffffffff << 32)
DAMAGE(huge_memsz, l->p_memsz = ~(Elf64_Xword)0)
DAMAGE(big_memsz, l->p_memsz = (Elf64_Xword)1 << 56)
DAMAGE(small_memsz, l->p_memsz = l->p_filesz - 1)
DAMAGE(odd_offset, l->p_offset += 8)
DAMAGE(wrap_offset, l->p_offset = ~(Elf64_Off)0xfff | (l->p_vaddr & 0xfff))
DAMAGE(interp, l[1].p_type = PT_INTERP)

static void
overlap(unsigned char *p, Elf64_Ehdr *e, Elf64_Phdr *ph)
{
    Elf64_Phdr *l = first_load(ph), *second = first_load(l + 1);

    (void)p;
    (void)e;
    second->p_vaddr = l->p_vaddr + (second->p_vaddr & 0xfff);
    second->p_offset = (second->p_offset & ~(Elf64_Off)0xfff) |
        (second->p_vaddr & 0xfff);
}

static void
named(void)
{
    refused("no magic", bad_magic, ~(size_t)0);
    refused("32 bit", bad_class, ~(size_t)0);
    refused("big endian", bad_endian, ~(size_t)0);
    refused("foreign machine", bad_machine, ~(size_t)0);
    refused("an object file", bad_type, ~(size_t)0);
    refused("odd program headers", bad_phentsize, ~(size_t)0);
    refused("no program headers", bad_phnum, ~(size_t)0);
    refused("too many program headers", many_phnum, ~(size_t)0);
    refused("program headers that wrap", bad_phoff, ~(size_t)0);
    refused("program headers past the end", far_phoff, ~(size_t)0);
    refused("a segment that wraps", wrap_vaddr, ~(size_t)0);
    refused("a segment in the kernel", kernel_vaddr, ~(size_t)0);
    refused("a segment of all memory", huge_memsz, ~(size_t)0);
    refused("a segment larger than space", big_memsz, ~(size_t)0);
    refused("more file than memory", small_memsz, ~(size_t)0);
    refused("offset and address that differ", odd_offset, ~(size_t)0);
    refused("an offset that wraps", wrap_offset, ~(size_t)0);
    refused("overlapping segments", overlap, ~(size_t)0);
    refused("an interpreter", interp, ~(size_t)0);
    refused("an empty file", NULL, 0);
    refused("half a header", NULL, 32);
    refused("a header alone", NULL, sizeof(Elf64_Ehdr));
    refused("a truncated file", NULL, 8192);
}

/* Whatever becomes of it, it ends, and the kernel stays. */
static void
random_damage(int rounds)
{
    uint64_t seed = 88172645463325252u;
    unsigned char *copy = malloc(image_size);

    SCENE_CHECK(copy != NULL);
    for (int r = 0; r < rounds; r++) {
        memcpy(copy, image, image_size);
        for (int k = 0; k < 4; k++) {
            uint64_t at = scene_random(&seed) % 64 +
                (scene_random(&seed) % 8) * 56;

            copy[at] = (unsigned char)scene_random(&seed);
        }
        store(copy, image_size);
        (void)try();
    }
    free(copy);
}

int
main(int argc, char **argv)
{
    if (argc > 1) {
        return strcmp(argv[1], "child") != 0;
    }
    load("/proc/self/exe");
    (void)mkdir("/tmp", 0777);
    named();
    random_damage(60);
    store(image, image_size);
    SCENE_CHECK(try() == 0);
    SCENE_CHECK(unlink(TARGET) == 0);
    return 0;
}
