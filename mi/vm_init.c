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

static struct vm_seq vm_kernel_seq;

int
vm_init(void)
{
    vm_zone_bootstrap();
    vm_radix_bootstrap();
    vm_object_bootstrap();
    vm_flush_bootstrap();
    vm_swap_bootstrap();
    vm_map_bootstrap();
    return pmap_init(&vm_kernel_seq);
}

/*
 * Programs may be writing what the kernel reads for them, and read what it
 * writes: word by word, so that an aligned word is never torn.
 */
void
vm_bytes_copy(void *to, const void *from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;

    while (n > 0) {
        if ((((uintptr_t)d | (uintptr_t)s) & 7) == 0 && n >= 8) {
            uint64_t w = __atomic_load_n(
                (const uint64_t *)(const void *)s, __ATOMIC_RELAXED);

            __atomic_store_n((uint64_t *)(void *)d, w, __ATOMIC_RELAXED);
            d += 8;
            s += 8;
            n -= 8;
        } else {
            __atomic_store_n(d, __atomic_load_n(s, __ATOMIC_RELAXED),
                __ATOMIC_RELAXED);
            d++;
            s++;
            n--;
        }
    }
}
