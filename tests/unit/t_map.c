/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_map.c - address maps by themselves: what is where, with which rights.
 *
 * The model is an array with one element a page.  Every operation is done
 * to both; then the map is walked region by region and compared, and its
 * tree checked.  An error must leave the very same regions behind.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
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

static vaddr_t
va_of(uint64_t page)
{
    return BASE + (page << vm_page_shift);
}

static void
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
static bool
region_same(const struct vm_region *a, const struct vm_region *b)
{
    return a->prot == b->prot && a->max == b->max &&
        a->inherit == b->inherit && a->wired_count == b->wired_count;
}

static void
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

static bool
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

/* ---- the model --------------------------------------------------------- */

struct model_page {
    bool mapped;
    vm_prot_t prot, max;
    enum vm_inherit inherit;
    unsigned wired;
};

static struct model_page model[PAGES];

static void
model_compare(struct vm_map *map, const struct model_page *want)
{
    struct model_page seen[PAGES];
    struct vm_region r;
    vaddr_t va = 0;

    memset(seen, 0, sizeof(seen));
    vm_map_check(map);
    while (vm_map_region(map, &va, &r)) {
        CHECK(va >= BASE && va + r.size <= va_of(PAGES));
        for (vaddr_t p = va; p < va + r.size; p += VM_PAGE_SIZE) {
            seen[(p - BASE) >> vm_page_shift] = (struct model_page){
                true, r.prot, r.max, r.inherit, r.wired_count
            };
        }
        va += r.size;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        struct vm_lookup look;
        int error = vm_map_lookup(map, va_of(i) + 8, &look);

        CHECK_EQ(seen[i].mapped, want[i].mapped);
        CHECK_EQ(error, want[i].mapped ? VM_OK : VM_E_ADDRESS);
        if (!want[i].mapped) {
            continue;
        }
        CHECK_EQ(seen[i].prot, want[i].prot);
        CHECK_EQ(seen[i].max, want[i].max);
        CHECK_EQ(seen[i].inherit, want[i].inherit);
        CHECK_EQ(seen[i].wired, want[i].wired);
        CHECK_EQ(VM_ATTR_PROT(look.attr), want[i].prot);
        CHECK(look.start <= va_of(i) && va_of(i) < look.end);
    }
}

/* Are there holes in [first, first + n); is all of it mapped? */
static unsigned
model_mapped(unsigned first, unsigned n)
{
    unsigned mapped = 0;

    for (unsigned i = first; i < first + n; i++) {
        mapped += model[i].mapped;
    }
    return mapped;
}

static bool
model_max_allows(unsigned first, unsigned n, vm_prot_t prot)
{
    for (unsigned i = first; i < first + n; i++) {
        if ((prot & ~model[i].max) != 0) {
            return false;
        }
    }
    return true;
}

static bool
model_allows(unsigned first, unsigned n, vm_prot_t prot)
{
    for (unsigned i = first; i < first + n; i++) {
        if ((prot & ~model[i].prot) != 0) {
            return false;
        }
    }
    return true;
}

/* Lowest place at or above hint; beyond the window all is free. */
static unsigned
model_fit(unsigned hint, unsigned n, unsigned align)
{
    for (unsigned at = (hint + align - 1) / align * align;; at += align) {
        unsigned i = 0;

        while (i < n && (at + i >= PAGES || !model[at + i].mapped)) {
            i++;
        }
        if (i == n) {
            return at;
        }
    }
}

static void
model_set(unsigned first, unsigned n, struct model_page page)
{
    for (unsigned i = first; i < first + n && i < PAGES; i++) {
        model[i] = page;
    }
}

static const struct model_page model_fresh = {
    true, RW, VM_PROT_ALL, VM_INHERIT_COPY, 0
};

static vm_prot_t
random_prot(void)
{
    return (vm_prot_t)test_rand_below(8);
}

/* ---- one random step ---------------------------------------------------- */

struct step {
    struct vm_map *map;
    struct vm_object *object;   /* shared memory to map */
    unsigned first, n;          /* pages */
    vaddr_t va;
    vsize_t size;
    int want, got;
};

static void
step_enter(struct step *s)
{
    struct vm_map_args a = {
        .size = s->size, .prot = random_prot(), .max = random_prot(),
        .inherit = (enum vm_inherit)test_rand_below(3),
        .mode = (enum vm_map_mode)test_rand_below(3),
        .overwrite = test_rand_below(2) != 0,
        .addr = s->va,
    };
    vaddr_t addr = 0;

    if (test_rand_below(2) != 0) {
        a.object = s->object;
        a.pgno = test_rand_below(PAGES);
    }
    if ((a.prot & ~a.max) != 0) {
        s->want = VM_E_PROT;
    } else if (!a.overwrite && model_mapped(s->first, s->n) > 0) {
        s->want = VM_E_NOSPACE;
    }
    s->got = vm_map_enter(s->map, &a, &addr);
    if (s->got == VM_OK) {
        CHECK_EQ(addr, s->va);
        model_set(s->first, s->n, (struct model_page){
            true, a.prot, a.max, a.inherit, 0 });
    }
}

static void
step_anywhere(struct step *s)
{
    unsigned align = 1u << test_rand_below(4);
    unsigned at = model_fit(s->first, s->n, align);
    struct vm_map_args a = {
        .addr = s->va + test_rand_below(VM_PAGE_SIZE), .size = s->size,
        .anywhere = true, .prot = RW, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY, .align = align << vm_page_shift,
    };
    vaddr_t addr = 0;

    s->got = vm_map_enter(s->map, &a, &addr);
    if (s->got == VM_OK) {
        CHECK_EQ(addr, va_of(at));
        if (at + s->n > PAGES) {
            host_fail_after(0);
            CHECK_EQ(vm_map_deallocate(s->map, addr, s->size), VM_OK);
            s->n = 0;
        }
        model_set(at, s->n, model_fresh);
    }
}

static void
step_allocate(struct step *s)
{
    vaddr_t addr = s->va;

    s->want = model_mapped(s->first, s->n) > 0 ? VM_E_NOSPACE : VM_OK;
    s->got = vm_map_allocate(s->map, &addr, s->size, false);
    if (s->got == VM_OK) {
        model_set(s->first, s->n, model_fresh);
    }
}

static void
step_deallocate(struct step *s)
{
    s->got = vm_map_deallocate(s->map, s->va, s->size);
    if (s->got == VM_OK) {
        model_set(s->first, s->n, (struct model_page){ 0 });
    }
}

static void
step_protect(struct step *s)
{
    vm_prot_t prot = random_prot();
    bool set_max = test_rand_below(6) == 0;

    if (model_mapped(s->first, s->n) < s->n) {
        s->want = VM_E_ADDRESS;
    } else if (!model_max_allows(s->first, s->n, prot)) {
        s->want = VM_E_PROT;
    }
    s->got = vm_map_protect(s->map, s->va, s->size, prot, set_max);
    for (unsigned i = s->first; s->got == VM_OK && i < s->first + s->n;
        i++) {
        model[i].prot = set_max ? model[i].prot & prot : prot;
        model[i].max = set_max ? prot : model[i].max;
    }
}

static void
step_inherit(struct step *s)
{
    enum vm_inherit inherit = (enum vm_inherit)test_rand_below(3);

    if (model_mapped(s->first, s->n) < s->n) {
        s->want = VM_E_ADDRESS;
    }
    s->got = vm_map_inherit(s->map, s->va, s->size, inherit);
    for (unsigned i = s->first; s->got == VM_OK && i < s->first + s->n;
        i++) {
        model[i].inherit = inherit;
    }
}

static void
step_wire(struct step *s)
{
    bool wire = test_rand_below(2) != 0;

    if (model_mapped(s->first, s->n) < s->n) {
        s->want = VM_E_ADDRESS;
    } else if (wire && !model_allows(s->first, s->n, VM_PROT_READ)) {
        s->want = VM_E_PROT;
    }
    s->got = wire ? vm_map_wire(s->map, s->va, s->size) :
        vm_map_unwire(s->map, s->va, s->size);
    for (unsigned i = s->first; s->got == VM_OK && i < s->first + s->n;
        i++) {
        model[i].wired += wire ? 1 : model[i].wired > 0 ? -1u : 0;
    }
}

static void
step_copy(struct step *s)
{
    unsigned to = (unsigned)test_rand_below(PAGES - s->n + 1);

    if (model_mapped(s->first, s->n) < s->n ||
        model_mapped(to, s->n) < s->n) {
        s->want = VM_E_ADDRESS;
    } else if (!model_allows(s->first, s->n, VM_PROT_READ) ||
        !model_allows(to, s->n, VM_PROT_WRITE)) {
        s->want = VM_E_PROT;
    }
    s->got = vm_map_copy(s->map, s->va, s->size, s->map, va_of(to));
}

static void
step_copyin(struct step *s)
{
    struct vm_map_copy *copy;
    vaddr_t addr;

    if (model_mapped(s->first, s->n) < s->n) {
        s->want = VM_E_ADDRESS;
    } else if (!model_allows(s->first, s->n, VM_PROT_READ)) {
        s->want = VM_E_PROT;
    }
    s->got = vm_map_copyin(s->map, s->va, s->size, &copy);
    if (s->got != VM_OK) {
        return;
    }
    host_fail_after(0);
    if (test_rand_below(2) != 0) {
        /* Lands below the window, and so out of the model's sight. */
        CHECK_EQ(vm_map_copyout(s->map, copy, &addr), VM_OK);
        CHECK_EQ(addr, s->map->start);
        vm_map_check(s->map);
        CHECK_EQ(vm_map_deallocate(s->map, addr, s->size), VM_OK);
    } else {
        vm_map_copy_discard(copy);
    }
}

static void
step_fork(struct step *s)
{
    struct model_page want[PAGES];
    struct vm_map *child;

    s->got = vm_map_fork(s->map, &child);
    if (s->got != VM_OK) {
        return;
    }
    host_fail_after(0);
    memcpy(want, model, sizeof(want));
    for (unsigned i = 0; i < PAGES; i++) {
        want[i].wired = 0;
        if (want[i].inherit == VM_INHERIT_NONE) {
            want[i] = (struct model_page){ 0 };
        }
    }
    model_compare(child, want);
    if (test_rand_below(2) != 0) {
        /* Go on in the child. */
        vm_map_unref(s->map);
        s->map = child;
        memcpy(model, want, sizeof(model));
    } else {
        vm_map_unref(child);
    }
}

/* Somebody touches a page: objects and shadows come to be. */
static void
step_touch(struct step *s)
{
    bool write = test_rand_below(2) != 0;
    vm_prot_t access = write ? VM_PROT_WRITE : VM_PROT_READ;
    uint64_t word = s->first;

    if (!model[s->first].mapped) {
        s->want = VM_E_ADDRESS;
    } else if ((access & ~model[s->first].prot) != 0) {
        s->want = VM_E_PROT;
    }
    s->got = write ? vm_map_write(s->map, s->va, &word, sizeof(word)) :
        vm_map_read(s->map, s->va, &word, sizeof(word));
}

static void (*const steps[])(struct step *) = {
    step_enter, step_enter, step_anywhere, step_allocate, step_allocate,
    step_deallocate, step_protect, step_protect, step_inherit, step_wire,
    step_copy, step_copyin, step_fork, step_touch, step_touch, step_touch,
};
#define STEPS   (sizeof(steps) / sizeof(steps[0]))

static void
random_history(unsigned count, bool failures)
{
    struct step s = { 0 };
    struct vm_statistics stat;

    boot(12, 4096);
    memset(model, 0, sizeof(model));
    CHECK_EQ(vm_map_create(&s.map), VM_OK);
    CHECK_EQ(vm_object_create(2 * PAGES, NULL, &s.object), VM_OK);
    for (unsigned i = 0; i < count; i++) {
        struct picture before, after;
        bool fail = failures && test_rand_below(2) != 0;
        unsigned op = (unsigned)test_rand_below(STEPS);

        picture_take(s.map, &before);
        s.n = 1 + (unsigned)test_rand_below(test_rand_below(3) ? 8 : PAGES);
        s.first = (unsigned)test_rand_below(PAGES - s.n + 1);
        s.va = va_of(s.first);
        s.size = (vsize_t)s.n << vm_page_shift;
        s.want = VM_OK;
        if (fail) {
            host_fail_after(1 + (long)test_rand_below(6));
        }
        steps[op](&s);
        host_fail_after(0);
        if (s.got != s.want && !(fail && s.got == VM_E_NOMEM)) {
            FAIL("step %u, operation %u at [%u, +%u): %d, not %d", i, op,
                s.first, s.n, s.got, s.want);
        }
        if (s.got != VM_OK) {
            picture_take(s.map, &after);
            CHECK(picture_same(&before, &after));
        }
        model_compare(s.map, model);
        vm_map_audit(s.map);
    }
    (void)vm_map_simplify(s.map);
    model_compare(s.map, model);
    vm_map_unref(s.map);
    vm_statistics(&stat);
    CHECK_EQ(stat.pages_wired, 0);
    vm_object_unref(s.object, NULL);
    CHECK_EQ(vm_object_count(), 0);
    CHECK_EQ(vm_page_kind_count(VM_PAGE_OBJECT), 0);
    vm_zone_check_all();
}

TEST(random_against_model)
{
    random_history(SMALL ? 1000 : test_long ? 200000 : 6000, false);
}

TEST(random_with_failures)
{
    random_history(SMALL ? 1000 : test_long ? 200000 : 6000, true);
}

/* ---- arguments ---------------------------------------------------------- */

struct bad {
    const char *what;
    vaddr_t start;
    vsize_t size;
    int want;
};

/* Every operation on a range, in turn; outputs must stay as they are. */
static int
range_op(struct vm_map *map, unsigned op, vaddr_t start, vsize_t size)
{
    struct vm_map_copy *none = (struct vm_map_copy *)&none, *copy = none;
    struct vm_map_args args = {
        .addr = start, .size = size, .prot = RW, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY, .overwrite = op == 9,
    };
    vaddr_t addr = start;
    int error = VM_OK;

    switch (op) {
    case 0: error = vm_map_deallocate(map, start, size); break;
    case 1: error = vm_map_protect(map, start, size, RW, false); break;
    case 2: error = vm_map_inherit(map, start, size, VM_INHERIT_COPY);
        break;
    case 3: error = vm_map_wire(map, start, size); break;
    case 4: error = vm_map_unwire(map, start, size); break;
    case 5: error = vm_map_copyin(map, start, size, &copy); break;
    case 6: error = vm_map_copy(map, start, size, map, BASE); break;
    case 7: error = vm_map_copy(map, BASE, size, map, start); break;
    case 8: error = vm_map_allocate(map, &addr, size, false); break;
    case 9: error = vm_map_enter(map, &args, &addr); break;
    }
    if (error != VM_OK) {
        CHECK(copy == none && addr == start);
    }
    return error;
}

TEST(bad_ranges)
{
    struct picture before, after;
    struct vm_map *map;
    vaddr_t addr = BASE;

    boot(12, 1024);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, 8 * VM_PAGE_SIZE, false), VM_OK);
    CHECK_EQ(vm_map_protect(map, va_of(2), VM_PAGE_SIZE, VM_PROT_READ,
        false), VM_OK);
    picture_take(map, &before);
    const struct bad bad[] = {
        { "empty", BASE, 0, VM_E_INVAL },
        { "start unaligned", BASE + 1, VM_PAGE_SIZE, VM_E_INVAL },
        { "size unaligned", BASE, VM_PAGE_SIZE - 1, VM_E_INVAL },
        { "wraps", BASE, -BASE + VM_PAGE_SIZE, VM_E_INVAL },
        { "ends at 2^64", BASE, -BASE, VM_E_INVAL },
        { "everything", 0, ~VM_PAGE_MASK, VM_E_ADDRESS },
        { "last page", ~VM_PAGE_MASK, VM_PAGE_SIZE, VM_E_INVAL },
        { "below the bounds", map->start - VM_PAGE_SIZE, VM_PAGE_SIZE,
            VM_E_ADDRESS },
        { "across the lower bound", map->start - VM_PAGE_SIZE,
            2 * VM_PAGE_SIZE, VM_E_ADDRESS },
        { "across the upper bound", map->end - VM_PAGE_SIZE,
            2 * VM_PAGE_SIZE, VM_E_ADDRESS },
        { "above the bounds", map->end, VM_PAGE_SIZE, VM_E_ADDRESS },
        { "huge", BASE, map->end, VM_E_ADDRESS },
    };
    for (unsigned op = 0; op < 10; op++) {
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            int error = range_op(map, op, bad[i].start, bad[i].size);
            int want = bad[i].want;

            if ((op == 6 || op == 7) && BASE + bad[i].size < BASE) {
                /* Copied from or to BASE, it wraps. */
                want = VM_E_INVAL;
            }
            if (error != want) {
                FAIL("operation %u, %s: %d", op, bad[i].what, error);
            }
            picture_take(map, &after);
            CHECK(picture_same(&before, &after));
        }
    }
    /* Holes: everyone minds but deallocate, allocate and overwrite. */
    for (unsigned op = 1; op < 8; op++) {
        CHECK_EQ(range_op(map, op, va_of(7), 2 * VM_PAGE_SIZE),
            VM_E_ADDRESS);
        CHECK_EQ(range_op(map, op, va_of(20), VM_PAGE_SIZE),
            VM_E_ADDRESS);
    }
    CHECK_EQ(range_op(map, 8, va_of(7), 2 * VM_PAGE_SIZE), VM_E_NOSPACE);
    CHECK_EQ(range_op(map, 7, va_of(1), 3 * VM_PAGE_SIZE), VM_E_PROT);
    picture_take(map, &after);
    CHECK(picture_same(&before, &after));
    CHECK_EQ(range_op(map, 0, va_of(20), VM_PAGE_SIZE), VM_OK);
    vm_map_check(map);
    vm_map_unref(map);
}

TEST(bad_words)
{
    struct vm_map_args a = {
        .addr = BASE, .size = VM_PAGE_SIZE, .prot = RW, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY,
    }, b;
    struct vm_map *map;
    vaddr_t addr = 7;

    boot(12, 1024);
    a.size = VM_PAGE_SIZE;
    CHECK_EQ(vm_map_create(&map), VM_OK);
    b = a; b.prot = 8;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.max = 15;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.inherit = (enum vm_inherit)3;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.mode = (enum vm_map_mode)3;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.align = 3 * VM_PAGE_SIZE;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.align = 2 * VM_PAGE_SIZE; b.addr = BASE + VM_PAGE_SIZE;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_INVAL);
    b = a; b.max = VM_PROT_READ;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_PROT);
    b = a; b.anywhere = true; b.size = map->end;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_NOSPACE);
    b = a; b.anywhere = true; b.align = (vsize_t)1 << 63;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_NOSPACE);
    b = a; b.anywhere = true; b.size = ~VM_PAGE_MASK;
    CHECK_EQ(vm_map_enter(map, &b, &addr), VM_E_NOSPACE);
    CHECK_EQ(addr, 7);
    CHECK_EQ(map->entries, 0);

    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    CHECK_EQ(vm_map_protect(map, BASE, VM_PAGE_SIZE, 8, false), VM_E_INVAL);
    CHECK_EQ(vm_map_inherit(map, BASE, VM_PAGE_SIZE, (enum vm_inherit)4),
        VM_E_INVAL);
    CHECK_EQ(vm_map_protect(map, BASE, VM_PAGE_SIZE, VM_PROT_READ, true),
        VM_OK);
    CHECK_EQ(vm_map_protect(map, BASE, VM_PAGE_SIZE, RW, false),
        VM_E_PROT);
    CHECK_EQ(vm_map_protect(map, BASE, VM_PAGE_SIZE, RW, true), VM_E_PROT);
    vm_map_unref(map);
}

/* ---- merging ------------------------------------------------------------ */

TEST(neighbours_merge)
{
    struct vm_map *map;
    vaddr_t addr;

    boot(12, 1024);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    /* A heap that grows, untouched: one entry. */
    for (unsigned i = 0; i < 32; i++) {
        addr = va_of(i);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
        CHECK_EQ(map->entries, 1);
    }
    /* The same when it has been touched: its object grows. */
    CHECK_EQ(vm_map_prepare(map, va_of(3), true), VM_OK);
    for (unsigned i = 32; i < 48; i++) {
        addr = va_of(i);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
        CHECK_EQ(map->entries, 1);
    }
    vm_map_check(map);
    /* Cut and mend. */
    CHECK_EQ(vm_map_protect(map, va_of(5), VM_PAGE_SIZE, VM_PROT_READ,
        false), VM_OK);
    CHECK_EQ(map->entries, 3);
    CHECK_EQ(vm_map_protect(map, va_of(5), VM_PAGE_SIZE, RW, false), VM_OK);
    CHECK_EQ(map->entries, 1);
    CHECK_EQ(vm_map_wire(map, va_of(40), 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 3);
    CHECK_EQ(vm_map_unwire(map, va_of(40), 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 1);
    /* A hole stays a hole. */
    CHECK_EQ(vm_map_deallocate(map, va_of(10), VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(map->entries, 2);
    CHECK_EQ(map->size, 47 * VM_PAGE_SIZE);
    CHECK_EQ(vm_map_simplify(map), 0);
    vm_map_check(map);
    vm_map_unref(map);
    CHECK_EQ(vm_object_count(), 0);
}

/* ---- every allocation fails once ---------------------------------------- */

/* A map with something of everything. */
static struct vm_map *
rich_map(struct vm_object *object)
{
    struct vm_map_args a = {
        .addr = va_of(16), .size = 8 * VM_PAGE_SIZE, .object = object,
        .mode = VM_MAP_SHARED, .prot = RW, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_SHARE,
    };
    vaddr_t addr = BASE;
    struct vm_map *map;
    uint64_t word = 1;

    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, 8 * VM_PAGE_SIZE, false), VM_OK);
    addr = va_of(8);
    CHECK_EQ(vm_map_allocate(map, &addr, 8 * VM_PAGE_SIZE, false), VM_OK);
    CHECK_EQ(vm_map_inherit(map, va_of(8), 8 * VM_PAGE_SIZE,
        VM_INHERIT_SHARE), VM_OK);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    a.addr = va_of(24);
    a.mode = VM_MAP_PRIVATE;
    a.inherit = VM_INHERIT_COPY;
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    for (unsigned i = 0; i < 32; i += 3) {
        CHECK_EQ(vm_map_write(map, va_of(i), &word, sizeof(word)), VM_OK);
    }
    CHECK_EQ(vm_map_wire(map, va_of(4), 2 * VM_PAGE_SIZE), VM_OK);
    /* Untouched. */
    addr = va_of(33);
    CHECK_EQ(vm_map_allocate(map, &addr, 2 * VM_PAGE_SIZE, false), VM_OK);
    a.addr = va_of(36);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    return map;
}

static int
rich_op(struct vm_map *map, unsigned op)
{
    struct vm_map_copy *copy;
    struct vm_map *child;
    struct vm_map_args a = {
        .addr = va_of(3), .size = 20 * VM_PAGE_SIZE, .overwrite = true,
        .prot = RW, .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY,
    };
    vaddr_t addr = va_of(40);
    int error = VM_OK;

    switch (op) {
    case 0: return vm_map_deallocate(map, va_of(1), 4 * VM_PAGE_SIZE);
    case 1: return vm_map_deallocate(map, va_of(5), 15 * VM_PAGE_SIZE);
    case 2: return vm_map_protect(map, va_of(5), 20 * VM_PAGE_SIZE,
        VM_PROT_READ, false);
    case 3: return vm_map_inherit(map, va_of(1), 29 * VM_PAGE_SIZE,
        VM_INHERIT_NONE);
    case 4: return vm_map_wire(map, va_of(1), 29 * VM_PAGE_SIZE);
    case 5: return vm_map_unwire(map, va_of(5), VM_PAGE_SIZE);
    case 6: return vm_map_allocate(map, &addr, VM_PAGE_SIZE, true);
    case 7: return vm_map_enter(map, &a, &addr);
    case 8:
        error = vm_map_copyin(map, va_of(1), 29 * VM_PAGE_SIZE, &copy);
        if (error == VM_OK) {
            vm_map_copy_discard(copy);
        }
        return error;
    case 9: return vm_map_copy(map, va_of(2), 5 * VM_PAGE_SIZE, map,
        va_of(25));
    case 10:
        error = vm_map_fork(map, &child);
        if (error == VM_OK) {
            vm_map_check(child);
            vm_map_unref(child);
        }
        return error;
    case 11: return vm_map_prepare(map, va_of(33), true);
    case 12: return vm_map_prepare(map, va_of(37), true);
    case 13: return vm_map_copy(map, va_of(2), 5 * VM_PAGE_SIZE, map,
        va_of(17));
    case 14: return vm_map_copy(map, va_of(20), 4 * VM_PAGE_SIZE, map,
        va_of(3));
    }
    return -1;
}

TEST(each_allocation_fails)
{
    struct vm_object *object;

    boot(12, 4096);
    CHECK_EQ(vm_object_create(64, NULL, &object), VM_OK);
    for (unsigned op = 0; op < 15; op++) {
        uint64_t objects = vm_object_count();
        int error = VM_E_NOMEM;
        long n;

        for (n = 1; error == VM_E_NOMEM; n++) {
            struct vm_map *map = rich_map(object);
            struct picture before, after;

            picture_take(map, &before);
            host_fail_after(n);
            error = rich_op(map, op);
            host_fail_after(0);
            picture_take(map, &after);
            vm_map_check(map);
            vm_map_audit(map);
            if (error != VM_OK && !picture_same(&before, &after)) {
                FAIL("operation %u, allocation %ld failed: the map has "
                    "changed", op, n);
            }
            vm_map_unref(map);
            CHECK_EQ(vm_object_count(), objects);
            CHECK(n < 1000);
        }
        if (error != VM_OK) {
            FAIL("operation %u, allocation %ld: %d", op, n - 1, error);
        }
        test_note("operation %u: %ld allocations", op, n - 2);
    }
    vm_object_unref(object, NULL);
}

/* ---- many entries ------------------------------------------------------- */

static uint64_t points;

static void
count_point(void)
{
    points++;
}

static void
shuffle(uint32_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        a[i] = i;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = (uint32_t)test_rand_below(i + 1), t = a[i];

        a[i] = a[j];
        a[j] = t;
    }
}

/* n one-page entries with one-page holes between, in any order. */
static void
many_fill(struct vm_map *map, const uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        vaddr_t addr = va_of(2 * order[i]);

        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, false), VM_OK);
    }
    CHECK_EQ(map->entries, n);
    vm_map_check(map);
}

TEST(many_entries)
{
    uint32_t n = SMALL ? 5000 : 100000;
    uint32_t *order = malloc(n * sizeof(*order));
    struct vm_lookup look;
    struct vm_map *map;
    uint64_t most = 0;
    vaddr_t addr;

    boot(12, 16384);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    shuffle(order, n);
    many_fill(map, order, n);
    /* AVL: less than 1.44 log2(n + 2). */
    CHECK(vm_get(&map->root)->height <= 24);
    host_hooks.point = count_point;
    for (uint32_t i = 0; i < n; i++) {
        points = 0;
        CHECK_EQ(vm_map_lookup(map, va_of(2 * order[i]), &look), VM_OK);
        CHECK_EQ(look.start, va_of(2 * order[i]));
        most = points > most ? points : most;
        CHECK_EQ(vm_map_lookup(map, va_of(2 * order[i] + 1), &look),
            VM_E_ADDRESS);
    }
    host_hooks.point = NULL;
    test_note("%u entries: height %u, %lu steps in the longest lookup", n,
        vm_get(&map->root)->height, (unsigned long)most);
    CHECK(most <= 32);

    /* Two pages fit only behind all of them; then each hole, in order. */
    addr = va_of(0);
    CHECK_EQ(vm_map_allocate(map, &addr, 2 * VM_PAGE_SIZE, true), VM_OK);
    CHECK_EQ(addr, va_of(2 * (uint64_t)n - 1));
    for (uint32_t i = 0; i < n - 1; i++) {
        addr = va_of(0);
        CHECK_EQ(vm_map_allocate(map, &addr, VM_PAGE_SIZE, true), VM_OK);
        CHECK_EQ(addr, va_of(2 * (uint64_t)i + 1));
    }
    CHECK_EQ(map->entries, 1);
    vm_map_check(map);
    vm_map_unref(map);

    /* Fill, and take away in another order. */
    CHECK_EQ(vm_map_create(&map), VM_OK);
    many_fill(map, order, n);
    shuffle(order, n);
    for (uint32_t i = 0; i < n; i++) {
        CHECK_EQ(vm_map_deallocate(map, va_of(2 * order[i]), VM_PAGE_SIZE),
            VM_OK);
        if (i % (n / 16) == 0) {
            vm_map_check(map);
        }
    }
    CHECK_EQ(map->entries, 0);
    CHECK_EQ(map->size, 0);
    vm_map_unref(map);
    free(order);
}

/* ---- lookups without a lock --------------------------------------------- */

#define SLOTS   24u             /* of 4 pages; every third is never touched */
#define READERS 3u

struct race {
    struct vm_map *map, *other;
    struct vm_object *object[2];
    unsigned edits;
    _Atomic bool done;
    _Atomic uint64_t found;
};

static void
race_enter(struct vm_map *map, struct vm_object *object, unsigned slot)
{
    struct vm_map_args a = {
        .addr = va_of(4 * slot), .size = 4 * VM_PAGE_SIZE,
        .object = object, .pgno = 4 * slot, .mode = VM_MAP_SHARED,
        .prot = RW, .max = VM_PROT_ALL, .inherit = VM_INHERIT_SHARE,
        .overwrite = true,
    };
    vaddr_t addr;

    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
}

/*
 * Page k of the window always shows page k of the object, if anything: a
 * mixture of two states of an entry would not.
 */
static void
race_reader(struct race *r, unsigned cpu)
{
    struct test_rng rng;
    uint64_t found = 0;

    test_rng_init(&rng, cpu);
    while (!atomic_load(&r->done)) {
        unsigned page = (unsigned)test_rng_below(&rng, 4 * SLOTS);
        struct vm_lookup look;
        int error = vm_map_lookup(r->map, va_of(page), &look);

        if (error != VM_OK) {
            CHECK_EQ(error, VM_E_ADDRESS);
            CHECK(page / 4 % 3 != 0);
            continue;
        }
        CHECK(look.object == r->object[0]);
        CHECK_EQ(look.pgno, page);
        CHECK(look.start <= va_of(page) && va_of(page) < look.end);
        CHECK((look.seq & 1) == 0);
        CHECK(VM_ATTR_PROT(look.attr) == RW ||
            (VM_ATTR_PROT(look.attr) == VM_PROT_READ && page / 4 % 3 != 0));
        found++;
    }
    atomic_fetch_add(&r->found, found);
}

static void
race_editor(struct race *r)
{
    struct test_rng rng;

    test_rng_init(&rng, 99);
    for (unsigned i = 0; i < r->edits; i++) {
        unsigned slot = (unsigned)test_rng_below(&rng, SLOTS);
        vaddr_t va = va_of(4 * slot);

        slot += slot % 3 == 0;
        va = va_of(4 * slot);
        switch (test_rng_below(&rng, 5)) {
        case 0:
            CHECK_EQ(vm_map_deallocate(r->map, va, 4 * VM_PAGE_SIZE),
                VM_OK);
            break;
        case 1:
            /* Entries that the first map gave up live here. */
            race_enter(r->other, r->object[1], slot);
            break;
        case 2:
            CHECK_EQ(vm_map_deallocate(r->other, va_of(0),
                4 * SLOTS * VM_PAGE_SIZE), VM_OK);
            break;
        case 3:
            race_enter(r->map, r->object[0], slot);
            break;
        default:
            race_enter(r->map, r->object[0], slot);
            CHECK_EQ(vm_map_protect(r->map, va + VM_PAGE_SIZE,
                2 * VM_PAGE_SIZE, VM_PROT_READ, false), VM_OK);
            break;
        }
    }
    atomic_store(&r->done, true);
}

static void
race_cpu(void *arg, unsigned cpu)
{
    struct race *r = arg;

    if (cpu < READERS) {
        race_reader(r, cpu);
    } else {
        race_editor(r);
    }
}

static void
race_run(enum host_mode mode, unsigned edits)
{
    struct race r = { .edits = edits };

    boot(12, 2048);
    host_set_mode(mode);
    CHECK_EQ(vm_map_create(&r.map), VM_OK);
    CHECK_EQ(vm_map_create(&r.other), VM_OK);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(vm_object_create(4 * SLOTS, NULL, &r.object[i]), VM_OK);
    }
    for (unsigned slot = 0; slot < SLOTS; slot += 3) {
        race_enter(r.map, r.object[0], slot);
    }
    host_run(READERS + 1, race_cpu, &r);
    test_note("%lu lookups found something during %u edits",
        (unsigned long)atomic_load(&r.found), edits);
    vm_map_check(r.map);
    vm_map_check(r.other);
    vm_map_unref(r.map);
    vm_map_unref(r.other);
    for (unsigned i = 0; i < 2; i++) {
        vm_object_unref(r.object[i], NULL);
    }
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

TEST(lookup_during_edits_threads)
{
    race_run(HOST_THREADS, SMALL ? 20000 : test_long ? 3000000 : 100000);
}

TEST(lookup_during_edits_fibers)
{
    if (SMALL) {
        test_skip("one thread");
    }
    for (unsigned i = 0; i < (test_long ? 200u : 10u); i++) {
        host_seed(test_seed + i);
        race_run(HOST_FIBERS, 300);
    }
}

/* ---- wiring and transitions --------------------------------------------- */

struct wiring {
    struct vm_map *map;
    unsigned rounds;
};

/* Everyone changes the same pages; those who wire are not disturbed. */
static void
wiring_cpu(void *arg, unsigned cpu)
{
    struct wiring *w = arg;
    struct test_rng rng;

    test_rng_init(&rng, cpu);
    for (unsigned i = 0; i < w->rounds; i++) {
        vaddr_t va = va_of(test_rng_below(&rng, 12));
        vsize_t size = (1 + test_rng_below(&rng, 4)) << vm_page_shift;
        struct vm_map *child;
        vaddr_t addr = va;
        int error = VM_OK;

        switch (test_rng_below(&rng, 8)) {
        case 0: case 1: error = vm_map_wire(w->map, va, size); break;
        case 2: error = vm_map_unwire(w->map, va, size); break;
        case 3: error = vm_map_deallocate(w->map, va, size); break;
        case 4: error = vm_map_protect(w->map, va, size,
            VM_PROT_READ | (test_rng_below(&rng, 2) ? VM_PROT_WRITE : 0),
            false); break;
        case 5: case 6: error = vm_map_allocate(w->map, &addr, size, false);
            break;
        case 7:
            error = vm_map_fork(w->map, &child);
            if (error == VM_OK) {
                vm_map_check(child);
                vm_map_unref(child);
            }
            break;
        }
        CHECK(error == VM_OK || error == VM_E_ADDRESS ||
            error == VM_E_NOSPACE);
    }
}

static void
wiring_run(enum host_mode mode, unsigned rounds)
{
    struct wiring w = { .rounds = rounds };
    struct vm_statistics stat;

    boot(12, 4096);
    host_set_mode(mode);
    CHECK_EQ(vm_map_create(&w.map), VM_OK);
    host_run(4, wiring_cpu, &w);
    vm_map_check(w.map);
    vm_map_audit(w.map);
    CHECK_EQ(vm_map_deallocate(w.map, w.map->start,
        w.map->end - w.map->start), VM_OK);
    vm_statistics(&stat);
    CHECK_EQ(stat.pages_wired, 0);
    CHECK_EQ(stat.pages_object, 0);
    vm_map_unref(w.map);
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

TEST(wire_against_everything_threads)
{
    wiring_run(HOST_THREADS, SMALL ? 500 : test_long ? 100000 : 5000);
}

TEST(wire_against_everything_fibers)
{
    if (SMALL) {
        test_skip("one thread");
    }
    for (unsigned i = 0; i < (test_long ? 300u : 20u); i++) {
        host_seed(test_seed + i);
        wiring_run(HOST_FIBERS, 100);
    }
}

/* ---- statistics --------------------------------------------------------- */

TEST(statistics)
{
    struct vm_statistics a, b;
    struct vm_map *map, *child;
    vaddr_t addr = BASE;
    uint64_t word = 1;

    boot(14, 512);
    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, 4 * VM_PAGE_SIZE, false), VM_OK);
    vm_statistics(&a);
    CHECK_EQ(a.page_size, 16384);
    CHECK_EQ(a.pages_object, 0);
    CHECK_EQ(vm_map_write(map, BASE, &word, sizeof(word)), VM_OK);
    CHECK_EQ(vm_map_wire(map, BASE, 2 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    vm_statistics(&b);
    CHECK_EQ(b.event[VM_STAT_FORKS], a.event[VM_STAT_FORKS] + 1);
    /* Wired pages were copied at once. */
    CHECK_EQ(b.event[VM_STAT_COPIES], a.event[VM_STAT_COPIES] + 2);
    CHECK_EQ(b.pages_wired, 2);
    CHECK_EQ(b.pages_object, 4);
    CHECK_EQ(b.pages_busy, 0);
    for (unsigned i = 0; i < VM_STAT_COUNT; i++) {
        CHECK(vm_stat_names[i] != NULL);
    }
    vm_map_unref(child);
    vm_map_unref(map);
    vm_statistics(&b);
    CHECK_EQ(b.pages_wired, 0);
    CHECK_EQ(b.pages_object, 0);
}
