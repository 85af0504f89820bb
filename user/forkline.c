/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forkline [N] - a line of N forks, each the child of the one before and all
 * alive at once; each finds every ancestor's mark and adds its own.
 */
#include <sys/mman.h>

#include "scene.h"

int
main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    size_t size = (size_t)n * sizeof(int);
    int *mark = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    SCENE_CHECK(n > 0 && mark != MAP_FAILED);
    for (int i = 0; i < n; i++) {
        pid_t pid = scene_fork();

        if (pid != 0) {
            scene_wait(pid, 0);
            /* The child's mark is the child's. */
            SCENE_CHECK(mark[i] == 0);
            return 0;
        }
        mark[i] = i + 1;
        for (int k = 0; k <= i; k++) {
            SCENE_CHECK(mark[k] == k + 1);
        }
    }
    return 0;
}
