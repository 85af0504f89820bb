/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alloc.c - memory for the kernel around the core.
 *
 *   up to 2032 bytes   zones; sizes chosen so that a page is used up
 *   up to a page       a frame, used through the direct map
 *   more               frames mapped at consecutive addresses of the window
 *
 * THE WINDOW.  A bit for each page of its first GiB, lowest addresses first,
 * so that its tables stay few.  A range is preceded by a page that stays
 * unmapped; the one behind it is the next range's.  Translations are wired
 * and entered under the kernel map's sequence, which only the holder of
 * window_lock moves: an enter never finds it moved.
 *
 * Locks: window_lock (WINDOW), a mutex; the core's inside it.
 */
#include "pmap.h"
#include "sched.h"
#include "vm_zone.h"

#define CLASSES         11u
#define CLASS_MAX       2032u
#define CLASS_UNIT      16u

static const uint16_t class_size[CLASSES] = {
    16, 32, 64, 128, 192, 256, 336, 576, 816, 1360, CLASS_MAX
};
static const char *const class_name[CLASSES] = {
    "kern 16", "kern 32", "kern 64", "kern 128", "kern 192", "kern 256",
    "kern 336", "kern 576", "kern 816", "kern 1360", "kern 2032"
};
static struct vm_zone class_zone[CLASSES];
/* Class of sizes up to (index + 1) * 16. */
static uint8_t class_of[CLASS_MAX / CLASS_UNIT];

#define WINDOW_SIZE     ((vsize_t)1 << 30)
#define WINDOW_BITS     (WINDOW_SIZE >> 12)

static struct vm_mutex window_lock = VM_MUTEX_INIT(KERN_RANK_WINDOW);
static uint64_t window_used[WINDOW_BITS / 64];
static vaddr_t window_start;            /* (c) */
static uint64_t window_pages;           /* (c) */
static uint64_t window_first;           /* no free page is below */

void
alloc_bootstrap(void)
{
    vaddr_t end;

    for (unsigned i = 0, c = 0; i < CLASS_MAX / CLASS_UNIT; i++) {
        if ((i + 1) * CLASS_UNIT > class_size[c]) {
            c++;
        }
        class_of[i] = (uint8_t)c;
    }
    for (unsigned c = 0; c < CLASSES; c++) {
        vm_zone_init(&class_zone[c], class_name[c], class_size[c]);
    }
    pmap_bounds(pmap_kernel(), &window_start, &end);
    /* Whole stacks, see alloc_stack(). */
    window_start = (window_start + 2 * alloc_stack_size() - 1) &
        ~(2 * alloc_stack_size() - 1);
    end = end - window_start > WINDOW_SIZE ? window_start + WINDOW_SIZE :
        end;
    window_pages = (end - window_start) >> vm_page_shift;
    KASSERT(window_pages <= WINDOW_BITS);
}

/* ---- addresses -------------------------------------------------------- */

static inline bool
window_is_used(uint64_t i)
{
    return (window_used[i / 64] >> (i % 64) & 1) != 0;
}

static void
window_mark(uint64_t first, uint64_t n, bool used)
{
    for (uint64_t i = first; i < first + n; i++) {
        uint64_t bit = (uint64_t)1 << (i % 64);

        if (used) {
            window_used[i / 64] |= bit;
        } else {
            window_used[i / 64] &= ~bit;
        }
    }
}

/* How many of the n pages from first on are free, up to the first used. */
static uint64_t
window_run(uint64_t first, uint64_t n)
{
    uint64_t i = 0;

    while (i < n && !window_is_used(first + i)) {
        i++;
    }
    return i;
}

/*
 * n consecutive pages, the first of them a multiple of align (a power of
 * two); ~0: there are none.  The lock is held.
 */
static uint64_t
window_take(uint64_t n, uint64_t align)
{
    uint64_t i, run;

    while (window_first < window_pages && window_is_used(window_first)) {
        window_first++;
    }
    i = (window_first + align - 1) & ~(align - 1);
    while (i < window_pages && n <= window_pages - i) {
        if (i % 64 == 0 && window_used[i / 64] == ~UINT64_C(0)) {
            i += align > 64 ? align : 64;
            continue;
        }
        run = window_run(i, n);
        if (run == n) {
            window_mark(i, n, true);
            return i;
        }
        i = (i + run + align) & ~(align - 1);
    }
    return ~UINT64_C(0);
}

static void
window_give(uint64_t first, uint64_t n)
{
    KASSERT(window_is_used(first) && window_is_used(first + n - 1));
    window_mark(first, n, false);
    if (first < window_first) {
        window_first = first;
    }
}

static inline vaddr_t
window_va(uint64_t i)
{
    return window_start + (i << vm_page_shift);
}

static inline uint64_t
window_index(vaddr_t va)
{
    return (va - window_start) >> vm_page_shift;
}

/* ---- translations ----------------------------------------------------- */

/* The lock is held. */
static int
window_enter(vaddr_t va, paddr_t pa, unsigned flags)
{
    return pmap_enter(pmap_kernel(), va, pa, VM_PROT_READ | VM_PROT_WRITE,
        flags | PMAP_WIRED, vm_seq_read(vm_kernel_seq()));
}

/* Unmap n pages and free their frames, if they are ours.  Lock held. */
static void
window_unmap(vaddr_t va, uint64_t n, bool frames)
{
    struct vm_page *chain = NULL, *p;
    vm_prot_t prot;
    paddr_t pa;

    if (n == 0) {
        return;
    }
    for (uint64_t i = 0; frames && i < n; i++) {
        if (!pmap_extract(pmap_kernel(), va + (i << vm_page_shift), &pa,
                &prot)) {
            kern_panic("kernel page %llx is not mapped",
                (unsigned long long)(va + (i << vm_page_shift)));
        }
        p = vm_page_of(vm_trunc_page(pa));
        p->slab_next = chain;
        chain = p;
    }
    vm_seq_begin(vm_kernel_seq());
    pmap_remove(pmap_kernel(), va, va + (n << vm_page_shift), NULL);
    vm_seq_end(vm_kernel_seq());
    while ((p = chain) != NULL) {
        chain = p->slab_next;
        vm_page_free(p);
    }
}

/* Fresh zeroed frames at va; all or none.  Lock held. */
static bool
window_fill(vaddr_t va, uint64_t n)
{
    struct vm_page *p;

    for (uint64_t i = 0; i < n; i++) {
        p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
        if (p != NULL) {
            memset(vm_page_data(p), 0, VM_PAGE_SIZE);
            if (window_enter(va + (i << vm_page_shift), vm_page_pa(p), 0)
                == VM_OK) {
                continue;
            }
            vm_page_free(p);
        }
        window_unmap(va, i, true);
        return false;
    }
    return true;
}

/* n pages behind guard unmapped ones. */
static vaddr_t
window_alloc(uint64_t n, uint64_t guard, uint64_t align)
{
    uint64_t first;
    vaddr_t va = 0;

    vm_mutex_lock(&window_lock);
    first = window_take(guard + n, align);
    if (first != ~UINT64_C(0)) {
        va = window_va(first + guard);
        if (!window_fill(va, n)) {
            window_give(first, guard + n);
            va = 0;
        }
    }
    vm_mutex_unlock(&window_lock);
    return va;
}

static void
window_free(vaddr_t va, uint64_t n, uint64_t guard, bool frames)
{
    vm_mutex_lock(&window_lock);
    window_unmap(va, n, frames);
    window_give(window_index(va) - guard, n + guard);
    vm_mutex_unlock(&window_lock);
}

void *
kern_map_pages(unsigned n)
{
    KASSERT(n != 0);
    return (void *)(uintptr_t)window_alloc(n, 1, 1);
}

void
kern_unmap_pages(void *p, unsigned n)
{
    window_free((vaddr_t)(uintptr_t)p, n, 1, true);
}

void *
kern_map_device(paddr_t pa, vsize_t size)
{
    paddr_t page = vm_trunc_page(pa);
    uint64_t n = (pa - page + size + VM_PAGE_MASK) >> vm_page_shift;
    uint64_t first, i = 0;
    vaddr_t va = 0;

    KASSERT(size != 0);
    vm_mutex_lock(&window_lock);
    first = window_take(1 + n, 1);
    if (first != ~UINT64_C(0)) {
        va = window_va(first + 1);
        while (i < n && window_enter(va + (i << vm_page_shift),
            page + (i << vm_page_shift), PMAP_DEVICE) == VM_OK) {
            i++;
        }
        if (i < n) {
            window_unmap(va, i, false);
            window_give(first, 1 + n);
            va = 0;
        }
    }
    vm_mutex_unlock(&window_lock);
    return va == 0 ? NULL : (void *)(uintptr_t)(va + (pa - page));
}

/* ---- stacks ----------------------------------------------------------- */

vsize_t
alloc_stack_size(void)
{
    return THREAD_STACK_SIZE > VM_PAGE_SIZE ? THREAD_STACK_SIZE :
        VM_PAGE_SIZE;
}

vaddr_t
alloc_stack(void)
{
    uint64_t n = alloc_stack_size() >> vm_page_shift;

    return window_alloc(n, n, 2 * n);
}

void
alloc_stack_free(vaddr_t bottom)
{
    uint64_t n = alloc_stack_size() >> vm_page_shift;

    window_free(bottom, n, n, true);
}

/* ---- any size --------------------------------------------------------- */

void *
kern_alloc(size_t size)
{
    struct vm_page *p;
    void *item;

    KASSERT(size != 0);
    if (size > VM_PAGE_SIZE) {
        uint64_t n = ((uint64_t)size + VM_PAGE_MASK) >> vm_page_shift;

        return n < window_pages ? kern_map_pages((unsigned)n) : NULL;
    }
    if (size > CLASS_MAX) {
        p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_KERNEL);
        item = p == NULL ? NULL : vm_page_data(p);
    } else {
        item = vm_zone_alloc(&class_zone[class_of[(size - 1) / CLASS_UNIT]]);
    }
    return item == NULL ? NULL : memset(item, 0, size);
}

void
kern_free(void *p, size_t size)
{
    if (p == NULL) {
        return;
    }
    KASSERT(size != 0);
    if (size > VM_PAGE_SIZE) {
        kern_unmap_pages(p,
            (unsigned)(((uint64_t)size + VM_PAGE_MASK) >> vm_page_shift));
    } else if (size > CLASS_MAX) {
        vm_page_free(vm_page_of((vaddr_t)(uintptr_t)p - MD_DIRECT_BASE));
    } else {
        vm_zone_free(&class_zone[class_of[(size - 1) / CLASS_UNIT]], p);
    }
}
