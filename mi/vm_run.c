/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_run.c - the pool of free frames, by aligned runs.
 *
 *   partial:  run 7 [ 3 free: 9 -> 4 -> 6 ]   run 2 [ ... ]
 *   whole:    run 5   run 0   run 3 ...
 *
 * Frames are taken from the first partial run; a whole one is taken apart
 * when there is no other.  A run whose frames are all back is whole again,
 * whatever the order in which they came: only their number is looked at.
 * So a run costs nothing before it is used (frames from .fresh on are in
 * no list), and reassembling costs nothing at all.
 *
 * A run at the edge of memory, or with frames that are not the allocator's,
 * never becomes whole.
 *
 * Locks: the pool's, held by the caller
 */
#include "vm_run.h"

static struct vm_run *runs;     /* (f) and behind them the two list heads */
static uint32_t run_count;      /* (c) */
static uint32_t run_skew;       /* (c) frames of run 0 before frame 0 */

#define PARTIAL         run_count
#define WHOLE           (run_count + 1)

static inline uint32_t
run_of(uint32_t frame)
{
    return (frame + run_skew) >> (VM_RUN_SHIFT - vm_page_shift);
}

/* Of a run that has all its frames. */
static inline uint32_t
run_first(uint32_t run)
{
    return (run << (VM_RUN_SHIFT - vm_page_shift)) - run_skew;
}

static void
list_remove(uint32_t i)
{
    runs[runs[i].prev].next = runs[i].next;
    runs[runs[i].next].prev = runs[i].prev;
}

/* At the end: a run is used up before the next one is begun. */
static void
list_append(uint32_t list, uint32_t i)
{
    runs[i].next = list;
    runs[i].prev = runs[list].prev;
    runs[runs[list].prev].next = i;
    runs[list].prev = i;
}

/* The least run first: it was released first. */
static void
run_is_whole(uint32_t i)
{
    runs[i].head = VM_RUN_NONE;
    runs[i].fresh = 0;
    list_append(WHOLE, i);
}

void
vm_run_bootstrap(struct vm_run *memory)
{
    runs = memory;
    run_skew = (uint32_t)vm_page_first & (vm_run_pages() - 1);
    run_count = run_of((uint32_t)vm_page_count + vm_run_pages() - 1);
    for (uint32_t i = 0; i < run_count + 2; i++) {
        runs[i] = (struct vm_run){
            .head = VM_RUN_NONE, .next = i, .prev = i,
            .fresh = (uint16_t)vm_run_pages()
        };
    }
}

/* The run has got frames; it had was. */
static void
run_grown(uint32_t i, uint32_t was)
{
    if (was == 0) {
        list_append(PARTIAL, i);
    }
    if (runs[i].count == vm_run_pages()) {
        list_remove(i);
        run_is_whole(i);
    }
}

void
vm_run_push(uint32_t frame)
{
    uint32_t i = run_of(frame);
    struct vm_run *r = &runs[i];

    vm_page_array[frame].link = r->head;
    r->head = frame;
    run_grown(i, r->count++);
}

void
vm_run_free(struct vm_page *const p[], unsigned n)
{
    const uintptr_t array = (uintptr_t)vm_page_array;
    const uintptr_t size = vm_run_pages() * sizeof(struct vm_page);

    while (n > 0) {
        uint32_t i = run_of((uint32_t)(p[n - 1] - vm_page_array));
        uint32_t head = runs[i].head, was = runs[i].count, left = n;
        /* Of the run's first frame, if it has one. */
        uintptr_t start = array + (intptr_t)(int32_t)run_first(i) *
            (intptr_t)sizeof(struct vm_page);

        /* Neighbours mostly: of one run, kept in registers. */
        do {
            struct vm_page *page = p[--n];

            vm_set(&page->kind, VM_PAGE_FREE);
            page->link = head;
            head = (uint32_t)(page - vm_page_array);
        } while (n > 0 && (uintptr_t)p[n - 1] - start < size);
        runs[i].head = head;
        runs[i].count = (uint16_t)(was + left - n);
        run_grown(i, was);
    }
}

/* Frames of one run that was empty, the lowest to be used first. */
static void
release_part(uint32_t first, uint32_t end)
{
    while (end > first) {
        vm_run_push(--end);
    }
}

void
vm_run_release(uint64_t first, uint64_t end)
{
    while (first < end) {
        uint32_t i = run_of((uint32_t)first);
        uint64_t stop = (uint64_t)run_first(i + 1);

        stop = stop < end ? stop : end;
        if (stop - first == vm_run_pages() && runs[i].count == 0) {
            runs[i].count = (uint16_t)vm_run_pages();
            run_is_whole(i);
        } else {
            release_part((uint32_t)first, (uint32_t)stop);
        }
        first = stop;
    }
}

/* The run to take from, NULL: none has a frame. */
static struct vm_run *
run_begin(void)
{
    uint32_t i = runs[PARTIAL].next;

    if (i == PARTIAL) {
        i = runs[WHOLE].next;
        if (i == WHOLE) {
            return NULL;
        }
        list_remove(i);
        list_append(PARTIAL, i);
    }
    return &runs[i];
}

unsigned
vm_run_pop(uint32_t frame[], unsigned n)
{
    unsigned left = n;
    struct vm_run *r;

    while (left > 0 && (r = run_begin()) != NULL) {
        uint32_t i = (uint32_t)(r - runs), head = r->head;
        uint32_t fresh = run_first(i) + r->fresh;
        uint32_t stop = left > r->count ? left - r->count : 0;

        r->count -= (uint16_t)(left - stop);
        for (; left > stop && head != VM_RUN_NONE;
            head = vm_page_array[head].link) {
            frame[--left] = head;
        }
        r->head = head;
        r->fresh += (uint16_t)(left - stop);
        while (left > stop) {
            frame[--left] = fresh++;
        }
        if (r->count == 0) {
            list_remove(i);
        }
    }
    /* Not as many as were asked for: from the beginning. */
    for (unsigned k = 0; left > 0 && k < n - left; k++) {
        frame[k] = frame[k + left];
    }
    return n - left;
}

uint32_t
vm_run_take(void)
{
    uint32_t i = runs[WHOLE].next;

    if (i == WHOLE) {
        return VM_RUN_NONE;
    }
    list_remove(i);
    runs[i].count = 0;
    runs[i].fresh = (uint16_t)vm_run_pages();
    return run_first(i);
}

uint64_t
vm_run_check(void (*fn)(uint32_t frame, const char *where))
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < run_count; i++) {
        struct vm_run *r = &runs[i];
        uint32_t n = 0;

        for (uint32_t f = r->head; f != VM_RUN_NONE;
            f = vm_page_array[f].link) {
            fn(f, "pool");
            if (run_of(f) != i) {
                kern_panic("vm_page_check: frame %u in run %u", f, i);
            }
            n++;
        }
        for (uint32_t k = r->fresh; k < vm_run_pages(); k++) {
            fn(run_first(i) + k, "pool");
            n++;
        }
        if (n != r->count) {
            kern_panic("vm_page_check: %u frames in run %u, count is %u", n,
                i, (unsigned)r->count);
        }
        all += n;
    }
    return all;
}
