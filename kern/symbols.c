/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * symbols.c - names of the kernel's functions, for backtraces.
 *
 * tools/ksyms.py makes the table from a first link of the kernel, and the
 * second link has it.  It is constants, behind the text: no function
 * moves.
 *
 *   kern_symbols:  n, offset[0] .. offset[n]    from kern_image_start, rising;
 *                                               the last is the text's end
 *                  names, each ended by a 0, in the same order
 *
 * It is looked up once in a panic, so names are found by counting.
 */
#include "boot.h"
#include "kern.h"

/* A kernel of the first link has none. */
extern const uint32_t kern_symbols[];
__attribute__((weak)) const uint32_t kern_symbols[] = { 0, 0 };

bool
kern_symbol(uint64_t pc, const char **name, uint64_t *offset)
{
    uint64_t at = pc - (uint64_t)(uintptr_t)kern_image_start;
    /* Volatile: what the compiler sees here is not what is linked. */
    uint32_t n = *(const volatile uint32_t *)kern_symbols;
    const uint32_t *start = kern_symbols + 1;
    const char *s = (const char *)(start + n + 1);
    uint32_t low = 0, high = n;

    if (n == 0 || at < start[0] || at >= start[n]) {
        return false;
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (start[middle] <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    for (uint32_t i = 0; i < low; i++) {
        s += strlen(s) + 1;
    }
    *name = s;
    *offset = at - start[low];
    return true;
}
