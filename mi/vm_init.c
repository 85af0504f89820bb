/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_init.c - bring the core up, in the order in which its parts lean on
 * each other.  The embedder has called vm_page_bootstrap() and released
 * the frames that are free.
 */
#include "vm_fault.h"
#include "vm_object_impl.h"
#include "vm_zone.h"

unsigned vm_page_shift = 12;

static struct vm_seq kernel_seq;

struct vm_seq *
vm_kernel_seq(void)
{
    return &kernel_seq;
}

int
vm_init(void)
{
    vm_zone_bootstrap();
    vm_radix_bootstrap();
    vm_object_bootstrap();
    vm_flush_bootstrap();
    vm_swap_bootstrap();
    vm_map_bootstrap();
    return pmap_init(&kernel_seq);
}

/*
 * Programs may be writing what the kernel reads for them, and read what it
 * writes, so every access is a relaxed atomic one.  Words are moved whole
 * where the two buffers are aligned alike; elsewhere they may be torn.
 */
void
vm_bytes_copy(void *to, const void *from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;

    /* Whole pages come by here: a word costs a load and a store. */
    if ((((uintptr_t)d | (uintptr_t)s) & 7) == 0) {
        for (; n >= 32; n -= 32, d += 32, s += 32) {
            const uint64_t *f = (const uint64_t *)(const void *)s;
            uint64_t *t = (uint64_t *)(void *)d;

            for (unsigned i = 0; i < 4; i++) {
                __atomic_store_n(t + i, __atomic_load_n(f + i,
                    __ATOMIC_RELAXED), __ATOMIC_RELAXED);
            }
        }
    }
    while (n > 0) {
        uintptr_t both = (uintptr_t)d | (uintptr_t)s;
        size_t step = 1;

        if ((both & 7) == 0 && n >= 8) {
            step = 8;
            __atomic_store_n((uint64_t *)(void *)d, __atomic_load_n(
                (const uint64_t *)(const void *)s, __ATOMIC_RELAXED),
                __ATOMIC_RELAXED);
        } else if ((both & 3) == 0 && n >= 4) {
            step = 4;
            __atomic_store_n((uint32_t *)(void *)d, __atomic_load_n(
                (const uint32_t *)(const void *)s, __ATOMIC_RELAXED),
                __ATOMIC_RELAXED);
        } else {
            __atomic_store_n(d, __atomic_load_n(s, __ATOMIC_RELAXED),
                __ATOMIC_RELAXED);
        }
        d += step;
        s += step;
        n -= step;
    }
}
