/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_map.c - address maps by themselves: what is where, with which
 * rights.
 *
 * The model is an array with one element a page.  Every operation is done
 * to both; then the map is walked region by region and compared, and its
 * tree checked.  An error must leave the very same regions behind.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
#include "map_test.h"

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
