/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map_test.h - what the tests of address maps share: a window of pages at
 * BASE, and a picture of a map to compare it with later.
 */
#ifndef MAP_TEST_H
#define MAP_TEST_H

#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "host.h"
#include "vm_fault.h"
#include "vm_map_impl.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SMALL 1
#endif
#endif
#ifndef SMALL
#define SMALL 0
#endif

#define PAGES   64u             /* in the window that the model covers */
#define BASE    ((vaddr_t)0x40000000)
#define REGIONS (PAGES + 8)

#define RW      (VM_PROT_READ | VM_PROT_WRITE)

static inline vaddr_t
va_of(uint64_t page)
{
    return BASE + (page << vm_page_shift);
}

static inline void
boot(unsigned shift, uint64_t npages)
{
    host_memory(shift, npages);
    CHECK_EQ(vm_init(), VM_OK);
}

/* ---- what a map says of itself ---------------------------------------- */

struct picture {
    unsigned n;
    struct {
        vaddr_t start;
        struct vm_region region;
    } at[REGIONS];
};

/*
 * Alike to whoever lives there.  Objects made and shadows prepared on the
 * way to a failure cannot be seen, nor what they cut in two.
 */
static inline bool
region_same(const struct vm_region *a, const struct vm_region *b)
{
    return a->prot == b->prot && a->max == b->max &&
        a->inherit == b->inherit && a->wired_count == b->wired_count;
}

static inline void
picture_take(struct vm_map *map, struct picture *p)
{
    vaddr_t va = 0;

    memset(p, 0, sizeof(*p));
    for (;;) {
        struct vm_region r, *last = p->n == 0 ? NULL :
            &p->at[p->n - 1].region;

        if (!vm_map_region(map, &va, &r)) {
            return;
        }
        if (last != NULL && p->at[p->n - 1].start + last->size == va &&
            region_same(&r, last)) {
            last->size += r.size;
        } else {
            CHECK(p->n < REGIONS);
            p->at[p->n].region = r;
            p->at[p->n].start = va;
            p->n++;
        }
        va += r.size;
    }
}

static inline bool
picture_same(const struct picture *a, const struct picture *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (a->at[i].start != b->at[i].start ||
            a->at[i].region.size != b->at[i].region.size ||
            !region_same(&a->at[i].region, &b->at[i].region)) {
            return false;
        }
    }
    return true;
}

#endif
