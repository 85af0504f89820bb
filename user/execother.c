/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execother - one program becomes another, and finds its arguments and its
 * environment; memory of the old one is not there.
 */
#include <sys/mman.h>

#include "scene.h"

static void
second(char **argv)
{
    unsigned char vec;
    void *old = (void *)(uintptr_t)strtoull(argv[3], NULL, 0);

    SCENE_CHECK(strcmp(argv[2], "an argument with spaces") == 0);
    SCENE_CHECK(getenv("PALIMPSEST") != NULL);
    SCENE_CHECK(strcmp(getenv("PALIMPSEST"), "scraped clean") == 0);
    SCENE_CHECK(getenv("HOME") == NULL);
    /* What was mapped before the exec is not. */
    SCENE_CHECK(mincore(old, 1, &vec) == -1 && errno == ENOMEM);
    exit(42);
}

int
main(int argc, char **argv)
{
    char *env[] = { "PALIMPSEST=scraped clean", NULL };
    char old[32];
    pid_t pid;

    if (argc > 1 && strcmp(argv[1], "second") == 0) {
        second(argv);
    }
    pid = scene_fork();
    if (pid == 0) {
        char *args[] = { argv[0], "second", "an argument with spaces", old,
            NULL };
        /* An address that the second program's own mappings do not get. */
        void *p = mmap((void *)0x2000000000, 65536, PROT_READ,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        SCENE_CHECK(p != MAP_FAILED);
        snprintf(old, sizeof(old), "%p", p);
        execve("/proc/self/exe", args, env);
        scene_fail("execve: errno %d", errno);
    }
    scene_wait(pid, 42 << 8);
    SCENE_CHECK(execve("/no/such/program", argv, env) == -1);
    SCENE_CHECK(errno == ENOENT);
    return 0;
}
