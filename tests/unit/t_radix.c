/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64 flavours=debug */
/*
 * t_radix.c - the radix tree against a sorted array; every allocation
 * that can fail does, and for every set of keys the tree has the nodes
 * that this set needs and no other.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "test.h"
#include "vm_page.h"
#include "vm_radix.h"
#include "vm_zone.h"

#define MODEL_MAX   600u
#define KEY_TOP     ((UINT64_C(1) << 52) - 1)

struct model {
    unsigned n;
    uint64_t key[MODEL_MAX];
    vm_slot_t slot[MODEL_MAX];
};

static struct model model;
static struct vm_radix tree;

static void
begin(void)
{
    memset(&model, 0, sizeof(model));
    memset(&tree, 0, sizeof(tree));
    host_memory(12, 2000);
    vm_radix_bootstrap();
}

/* Index of the first key >= key. */
static unsigned
model_find(uint64_t key)
{
    unsigned lo = 0, hi = model.n;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (model.key[mid] < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool
model_has(uint64_t key)
{
    unsigned at = model_find(key);

    return at < model.n && model.key[at] == key;
}

static void
model_insert(uint64_t key, vm_slot_t slot)
{
    unsigned at = model_find(key);

    CHECK(model.n < MODEL_MAX);
    memmove(&model.key[at + 1], &model.key[at],
        (model.n - at) * sizeof(model.key[0]));
    memmove(&model.slot[at + 1], &model.slot[at],
        (model.n - at) * sizeof(model.slot[0]));
    model.key[at] = key;
    model.slot[at] = slot;
    model.n++;
}

static void
model_remove(unsigned at)
{
    model.n--;
    memmove(&model.key[at], &model.key[at + 1],
        (model.n - at) * sizeof(model.key[0]));
    memmove(&model.slot[at], &model.slot[at + 1],
        (model.n - at) * sizeof(model.slot[0]));
}

/* Nodes that the model's keys need: the distinct prefixes, by level. */
static uint64_t
model_nodes(void)
{
    unsigned height = 1, level, i;
    uint64_t n = 0;

    if (model.n < 2) {
        return 0;
    }
    while (model.key[model.n - 1] >> (5 * height) != 0) {
        height++;
    }
    for (level = 1; level <= height; level++) {
        for (i = 0; i < model.n; i++) {
            n += i == 0 || model.key[i] >> (5 * level) !=
                model.key[i - 1] >> (5 * level);
        }
    }
    return n;
}

/* The tree is the model: by lookup, by iteration, in its nodes. */
static void
compare(void)
{
    uint64_t key = 0;
    vm_slot_t slot;
    unsigned i;

    vm_radix_check(&tree);
    CHECK_EQ(tree.count, model.n);
    CHECK_EQ(vm_radix_nodes(), model_nodes());
    for (i = 0; i < model.n; i++) {
        CHECK_EQ(vm_radix_lookup(&tree, model.key[i]), model.slot[i]);
        CHECK(vm_radix_next(&tree, &key, &slot));
        CHECK_EQ(key, model.key[i]);
        CHECK_EQ(slot, model.slot[i]);
        key++;
    }
    CHECK(!vm_radix_next(&tree, &key, &slot));
}

static void
compare_next(uint64_t from)
{
    unsigned at = model_find(from);
    uint64_t key = from;
    vm_slot_t slot = 0;
    bool found = vm_radix_next(&tree, &key, &slot);

    CHECK_EQ(found, at < model.n);
    CHECK_EQ(key, found ? model.key[at] : from);
    CHECK_EQ(slot, found ? model.slot[at] : 0);
}

/* Keys of several characters; each round likes some of them. */
static uint64_t
random_key(unsigned taste)
{
    uint64_t near;

    switch (taste) {
    case 0:                     /* dense */
        return test_rand_below(200);
    case 1:                     /* a file: runs here and there */
        return test_rand_below(8) * 5000 + test_rand_below(40);
    case 2:                     /* about the powers of two */
        near = (UINT64_C(1) << test_rand_below(52)) + test_rand_below(5);
        return near >= 2 ? near - 2 : near;
    case 3:                     /* anywhere */
        return test_rand() & KEY_TOP;
    case 4:                     /* anywhere, of any size */
        return (test_rand() & KEY_TOP) >> test_rand_below(52);
    default:                    /* the far end */
        return KEY_TOP - test_rand_below(100);
    }
}

static uint64_t
random_used_key(unsigned taste)
{
    if (model.n != 0 && test_rand_below(4) != 0) {
        return model.key[test_rand_below(model.n)];
    }
    return random_key(taste);
}

static vm_slot_t
random_slot(void)
{
    vm_slot_t slot = (vm_slot_t)test_rand();

    /* As a page or as a swap slot, it is all the same to the tree. */
    return slot != VM_SLOT_EMPTY ? slot : 1;
}

/* Insert, with every allocation of it failing in its turn. */
static void
insert_failing(uint64_t key, vm_slot_t slot, bool thorough)
{
    long n;
    int error;

    for (n = 1;; n++) {
        host_fail_after(n);
        error = vm_radix_insert(&tree, key, slot);
        if (error == 0) {
            break;
        }
        CHECK_EQ(error, VM_E_NOMEM);
        CHECK_EQ(vm_radix_lookup(&tree, key), VM_SLOT_EMPTY);
        CHECK_EQ(vm_radix_nodes(), model_nodes());
        if (thorough) {
            compare();
        }
        CHECK(n < 100);
    }
    host_fail_after(0);
    model_insert(key, slot);
}

/* Several at once, from a key on, to any other or to the end. */
static void
take_some(uint64_t key)
{
    vm_slot_t slots[40];
    unsigned at = model_find(key), most = 1 + (unsigned)test_rand_below(40);
    uint64_t last = UINT64_MAX;
    unsigned got;

    if (model.n != 0 && test_rand_below(2) == 0) {
        last = model.key[test_rand_below(model.n)];
        last -= last != 0 && test_rand_below(2) == 0;
    }
    got = vm_radix_take(&tree, key, last, most, slots);
    for (unsigned i = 0; i < got; i++) {
        CHECK(at < model.n && model.key[at] <= last);
        CHECK_EQ(slots[i], model.slot[at]);
        model_remove(at);
    }
    CHECK(got <= most);
    CHECK(got == most || at == model.n || model.key[at] > last);
    compare();
}

static void
one_op(unsigned taste, unsigned grow, bool thorough)
{
    uint64_t key = random_key(taste);
    vm_slot_t slot = random_slot(), old;
    unsigned at;

    if (test_rand_below(40) == 0) {
        take_some(key);
    } else if (test_rand_below(100) < grow && model.n < MODEL_MAX) {
        if (model_has(key)) {
            old = vm_radix_replace(&tree, key, slot);
            at = model_find(key);
            CHECK_EQ(old, model.slot[at]);
            model.slot[at] = slot;
        } else {
            insert_failing(key, slot, thorough);
        }
    } else {
        key = random_used_key(taste);
        at = model_find(key);
        old = vm_radix_remove(&tree, key);
        if (model_has(key)) {
            CHECK_EQ(old, model.slot[at]);
            model_remove(at);
        } else {
            CHECK_EQ(old, VM_SLOT_EMPTY);
        }
    }
    CHECK_EQ(vm_radix_nodes(), model_nodes());
    key = random_key(taste);
    CHECK_EQ(vm_radix_lookup(&tree, key), model_has(key) ?
        model.slot[model_find(key)] : VM_SLOT_EMPTY);
    compare_next(key);
    if (model.n != 0) {
        key = model.key[test_rand_below(model.n)];
        compare_next(key);
        compare_next(key + 1);
        compare_next(key != 0 ? key - 1 : 0);
    }
}

static void
random_round(unsigned round, unsigned ops, bool thorough)
{
    unsigned i, taste = round % 7, grow = 50;

    begin();
    for (i = 0; i < ops; i++) {
        if (i % 100 == 0) {
            grow = 20 + (unsigned)test_rand_below(61);
        }
        one_op(taste < 6 ? taste : (unsigned)test_rand_below(6), grow,
            thorough);
        if (i % 50 == 0) {
            compare();
        }
    }
    while (model.n != 0) {
        i = (unsigned)test_rand_below(model.n);
        CHECK_EQ(vm_radix_remove(&tree, model.key[i]), model.slot[i]);
        model_remove(i);
        if (model.n < 10) {
            compare();
        }
    }
    compare();
    CHECK(tree.root == NULL);
    CHECK_EQ(tree.key | tree.height, 0);
    vm_zone_drain();
    CHECK_EQ(vm_page_free_count(), 2000);
    vm_zone_check_all();
    host_memory_end();
}

TEST(random_model)
{
    unsigned round, rounds = test_long ? 700 : 14;

    for (round = 0; round < rounds; round++) {
        random_round(round, 2000, false);
    }
}

/* Small trees, compared as a whole after every failed allocation. */
TEST(random_failures)
{
    unsigned round, rounds = test_long ? 700 : 28;

    for (round = 0; round < rounds; round++) {
        random_round(round, 150, true);
    }
}

/* Each pair of interesting keys: grow to two, fall back to one. */
TEST(pairs)
{
    uint64_t key[160];
    unsigned n = 0, shift, i, j;

    begin();
    for (shift = 0; shift <= 52; shift++) {
        uint64_t bit = UINT64_C(1) << shift;

        key[n++] = bit - 1;
        if (shift < 52 && shift > 1) {
            key[n++] = bit;
            key[n++] = bit + 1;
        }
    }
    for (i = 0; i < n; i++) {
        for (j = 0; j < n; j++) {
            if (key[i] == key[j]) {
                continue;
            }
            CHECK_EQ(vm_radix_insert(&tree, key[i], 2 * i + 1), 0);
            model_insert(key[i], 2 * i + 1);
            CHECK_EQ(vm_radix_nodes(), 0);
            CHECK_EQ(vm_radix_insert(&tree, key[j], 2 * j + 1), 0);
            model_insert(key[j], 2 * j + 1);
            compare();
            compare_next(key[i] + 1);
            compare_next(key[j] + 1);
            compare_next(UINT64_MAX);
            CHECK_EQ(vm_radix_remove(&tree, key[i]), 2 * i + 1);
            model_remove(model_find(key[i]));
            CHECK_EQ(vm_radix_nodes(), 0);
            compare();
            CHECK_EQ(vm_radix_remove(&tree, key[i]), VM_SLOT_EMPTY);
            CHECK_EQ(vm_radix_remove(&tree, key[j]), 2 * j + 1);
            model.n = 0;
        }
    }
    host_memory_end();
}

TEST(empty)
{
    begin();
    compare();
    CHECK_EQ(vm_radix_lookup(&tree, 0), VM_SLOT_EMPTY);
    CHECK_EQ(vm_radix_lookup(&tree, UINT64_MAX), VM_SLOT_EMPTY);
    CHECK_EQ(vm_radix_remove(&tree, 0), VM_SLOT_EMPTY);
    compare_next(0);
    compare_next(UINT64_MAX);
    host_memory_end();
}

TEST(slots)
{
    struct vm_page *p = (struct vm_page *)0x1000;

    CHECK(vm_slot_page(VM_SLOT_EMPTY) == NULL);
    CHECK(!vm_slot_is_swap(VM_SLOT_EMPTY));
    CHECK(vm_slot_page((vm_slot_t)p) == p);
    CHECK(!vm_slot_is_swap((vm_slot_t)p));
    CHECK(vm_slot_page(vm_slot_swap(0)) == NULL);
    CHECK(vm_slot_is_swap(vm_slot_swap(0)));
    CHECK_EQ(vm_slot_swap_number(vm_slot_swap(123456789)), 123456789);
}

/* A million pages: in order, back in disorder. */
TEST(million)
{
    const uint64_t n = 1000000, step = 700001;  /* prime, coprime to n */
    uint64_t i, key = 0, at;
    vm_slot_t slot;

    memset(&tree, 0, sizeof(tree));
    host_memory(12, 4000);
    vm_radix_bootstrap();
    for (i = 0; i < n; i++) {
        CHECK_EQ(vm_radix_insert(&tree, i, 2 * i + 2), 0);
    }
    CHECK_EQ(tree.count, n);
    CHECK_EQ(tree.height, 4);
    /* 31250 leaves and 977 + 31 + 1 above them. */
    CHECK_EQ(vm_radix_nodes(), 31250 + 977 + 31 + 1);
    vm_radix_check(&tree);
    for (i = 0; vm_radix_next(&tree, &key, &slot); i++) {
        CHECK_EQ(key, i);
        CHECK_EQ(slot, 2 * i + 2);
        key++;
    }
    CHECK_EQ(i, n);
    for (i = 0, at = 0; i < n; i++, at = (at + step) % n) {
        CHECK_EQ(vm_radix_lookup(&tree, at), 2 * at + 2);
        CHECK_EQ(vm_radix_remove(&tree, at), 2 * at + 2);
        CHECK_EQ(vm_radix_lookup(&tree, at), VM_SLOT_EMPTY);
        if (i % 100000 == 0) {
            vm_radix_check(&tree);
        }
    }
    CHECK_EQ(tree.count, 0);
    CHECK_EQ(vm_radix_nodes(), 0);
    vm_zone_check_all();
    vm_zone_drain();
    CHECK_EQ(vm_page_free_count(), 4000);
    host_memory_end();
}

/* Memory really runs out; what is in stays in. */
TEST(exhaustion)
{
    unsigned i;
    vm_slot_t slot;
    uint64_t key;
    int error;

    memset(&model, 0, sizeof(model));
    memset(&tree, 0, sizeof(tree));
    host_memory(12, 8);
    vm_radix_bootstrap();
    for (;;) {
        key = test_rand() & KEY_TOP;
        slot = random_slot();
        error = vm_radix_insert(&tree, key, slot);
        if (error != 0) {
            break;
        }
        model_insert(key, slot);
    }
    CHECK_EQ(error, VM_E_NOMEM);
    CHECK(model.n > 5);
    compare();
    /* Keys that need no node still go in. */
    for (i = 0; i < 31; i++) {
        key = (model.key[0] & ~UINT64_C(31)) + i;
        if (!model_has(key)) {
            CHECK_EQ(vm_radix_insert(&tree, key, 1), 0);
            model_insert(key, 1);
        }
    }
    compare();
    for (i = model.n; i-- > 0;) {
        CHECK_EQ(vm_radix_remove(&tree, model.key[i]), model.slot[i]);
    }
    CHECK_EQ(vm_radix_nodes(), 0);
    host_memory_end();
}

/* Nodes that one tree gave back serve another: they must be blank. */
TEST(two_trees)
{
    struct vm_radix other = { 0 };
    uint64_t key;
    unsigned round, i;
    vm_slot_t slot;

    begin();
    for (round = 0; round < 50; round++) {
        for (i = 0; i < 100; i++) {
            key = random_key(round % 6);
            if (vm_radix_lookup(&tree, key) == VM_SLOT_EMPTY) {
                CHECK_EQ(vm_radix_insert(&tree, key, ~key), 0);
            }
            key = random_key((round + 1) % 6);
            if (vm_radix_lookup(&other, key) == VM_SLOT_EMPTY) {
                CHECK_EQ(vm_radix_insert(&other, key, key * 2 + 1), 0);
            }
        }
        vm_radix_check(&tree);
        vm_radix_check(&other);
        for (key = 0; vm_radix_next(&tree, &key, &slot); key++) {
            CHECK_EQ(slot, ~key);
            CHECK_EQ(vm_radix_remove(&tree, key), ~key);
        }
        for (key = 0; vm_radix_next(&other, &key, &slot); key++) {
            CHECK_EQ(slot, key * 2 + 1);
            if (test_rand_below(2) == 0) {
                CHECK_EQ(vm_radix_remove(&other, key), key * 2 + 1);
            }
        }
        CHECK_EQ(tree.count, 0);
    }
    host_memory_end();
}

#if VM_DEBUG
struct bad {
    uint64_t key;
    vm_slot_t slot;
};

static void
bad_insert(void *arg)
{
    struct bad *b = arg;

    (void)!vm_radix_insert(&tree, b->key, b->slot);
}

static void
bad_replace(void *arg)
{
    struct bad *b = arg;

    (void)vm_radix_replace(&tree, b->key, b->slot);
}

TEST(misuse)
{
    struct bad b[] = {
        { 5, 1 },               /* in use, height 0 and 1 */
        { 6, VM_SLOT_EMPTY },
        { UINT64_C(1) << 60, 1 },
    };
    struct bad missing = { 9, 1 }, empty = { 5, VM_SLOT_EMPTY };
    unsigned i;

    begin();
    CHECK_EQ(vm_radix_insert(&tree, 5, 7), 0);
    for (i = 0; i < 3; i++) {
        CHECK(host_expect_panic(bad_insert, &b[i]));
    }
    CHECK(host_expect_panic(bad_replace, &missing));
    CHECK_EQ(vm_radix_insert(&tree, 8, 7), 0);
    for (i = 0; i < 3; i++) {
        CHECK(host_expect_panic(bad_insert, &b[i]));
    }
    CHECK(host_expect_panic(bad_replace, &missing));
    CHECK(host_expect_panic(bad_replace, &empty));
    CHECK_EQ(tree.count, 2);
    vm_radix_check(&tree);
    host_memory_end();
}
#endif
