/* SPDX-License-Identifier: BSD-2-Clause */
/* bigsort [MIB] - sort 64 MiB of numbers; the sum and the order must hold. */
#include <sys/mman.h>

#include "scene.h"

/* Least significant digit first, a byte at a time: touches all of both. */
static void
radix_pass(const uint32_t *from, uint32_t *to, size_t n, int shift)
{
    size_t at[257] = { 0 };

    for (size_t i = 0; i < n; i++) {
        at[(from[i] >> shift & 255) + 1]++;
    }
    for (int d = 0; d < 256; d++) {
        at[d + 1] += at[d];
    }
    for (size_t i = 0; i < n; i++) {
        to[at[from[i] >> shift & 255]++] = from[i];
    }
}

int
main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 64) << 20;
    size_t n = size / 2 / sizeof(uint32_t);
    uint32_t *a = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b = a + n;
    uint64_t sum = 0, seed = 88172645463325252u;

    SCENE_CHECK(a != MAP_FAILED);
    for (size_t i = 0; i < n; i++) {
        a[i] = (uint32_t)scene_random(&seed);
        sum += a[i];
    }
    for (int shift = 0; shift < 32; shift += 16) {
        radix_pass(a, b, n, shift);
        radix_pass(b, a, n, shift + 8);
    }
    for (size_t i = 0; i < n; i++) {
        SCENE_CHECK(i == 0 || a[i - 1] <= a[i]);
        sum -= a[i];
    }
    SCENE_CHECK(sum == 0);
    return 0;
}
