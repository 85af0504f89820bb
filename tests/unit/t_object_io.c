/* pal: machines=x86_64 flavours=debug timeout=120 */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_object_io.c - bytes of objects, read and written by the kernel.
 */
#include "object_test.h"
#include "vm_object_io.h"

#define N       12u             /* pages */

static unsigned char *model, *buf;
static struct tp file;

static void
begin(uint64_t ram, uint64_t swap)
{
    boot(ram, swap);
    model = calloc(N, PAGE);
    buf = calloc(N, PAGE);
    CHECK(model != NULL && buf != NULL);
}

static void
finish(struct vm_object *o)
{
    vm_object_check(o);
    vm_object_unref(o, NULL);
    tp_free(&file);
    free(model);
    free(buf);
    world_end();
}

/* A range that is often a page, often a part, and ends inside the object. */
static void
range(uint64_t *offset, size_t *n)
{
    *offset = world_random(N * PAGE);
    *n = (size_t)world_random(3 * PAGE);
    if (world_random(3) == 0) {
        *offset &= ~VM_PAGE_MASK;
        *n = PAGE;
    }
    if (*offset + *n > N * PAGE) {
        *n = (size_t)(N * PAGE - *offset);
    }
}

/* Any history agrees with an array of bytes. */
static void
history(struct vm_object *o)
{
    uint64_t offset;
    size_t n;

    for (unsigned i = 0; i < 2000; i++) {
        range(&offset, &n);
        switch (world_random(5)) {
        case 0:
        case 1:
            for (size_t k = 0; k < n; k++) {
                buf[k] = model[offset + k] = (unsigned char)
                    world_random(256);
            }
            CHECK_EQ(vm_object_write(o, offset, buf, n), VM_OK);
            break;
        case 2:
            memset(model + offset, 0, n);
            CHECK_EQ(vm_object_zero(o, offset, n), VM_OK);
            break;
        case 3:
            CHECK_EQ(vm_object_read(o, offset, buf, n), VM_OK);
            CHECK(memcmp(buf, model + offset, n) == 0);
            break;
        default:
            (void)vm_pageout(vm_page_count, world_random(8));
            world_serve();
            break;
        }
    }
    CHECK_EQ(vm_object_read(o, 0, buf, N * PAGE), VM_OK);
    CHECK(memcmp(buf, model, N * PAGE) == 0);
}

TEST(anonymous_history)
{
    struct vm_object *o;

    begin(64, 64);
    CHECK_EQ(vm_object_create(N, NULL, &o), VM_OK);
    history(o);
    finish(o);
}

TEST(file_history)
{
    struct vm_object *o;

    begin(64, 64);
    tp_open(&file, N, 100);
    o = file.object;
    memcpy(model, file.bytes, N * PAGE);
    history(o);
    finish(o);
}

TEST(beyond_the_end)
{
    struct vm_object *o;

    begin(64, 0);
    CHECK_EQ(vm_object_create(2, NULL, &o), VM_OK);
    CHECK_EQ(vm_object_write(o, 2 * PAGE, buf, 1), VM_E_ADDRESS);
    CHECK_EQ(vm_object_read(o, 2 * PAGE - 1, buf, 2), VM_E_ADDRESS);
    CHECK_EQ(vm_object_read(o, UINT64_MAX, buf, 2), VM_E_ADDRESS);
    CHECK_EQ(vm_object_read(o, 2 * PAGE, buf, 0), VM_OK);
    /* Zeros where nothing is take no memory. */
    CHECK_EQ(vm_object_zero(o, 5, PAGE), VM_OK);
    CHECK_EQ(vm_object_page_count(o), 0);
    CHECK_EQ(vm_object_write(o, PAGE - 1, "ab", 2), VM_OK);
    CHECK_EQ(vm_object_page_count(o), 2);
    CHECK_EQ(vm_object_resize(o, 1), VM_OK);
    CHECK(!vm_object_has_page(o, 1) && vm_object_has_page(o, 0));
    finish(o);
}

/* Who maps it sees the kernel's writes, and the other way round. */
TEST(mappings_agree)
{
    struct vm_object *o;
    struct vm_map *m;
    uint64_t v = 77;

    begin(64, 64);
    CHECK_EQ(vm_object_create(N, NULL, &o), VM_OK);
    vm_object_set_shared(o);
    m = map_new(0, 0);
    map_object(m, 0, N, o, 0, VM_MAP_SHARED);
    put(m, 3, 5);
    CHECK_EQ(vm_object_read(o, 3 * PAGE, &v, sizeof(v)), VM_OK);
    CHECK_EQ(v, 5);
    v = 6;
    CHECK_EQ(vm_object_write(o, 3 * PAGE, &v, sizeof(v)), VM_OK);
    CHECK_EQ(vm_object_write(o, 4 * PAGE - 8, &v, sizeof(v)), VM_OK);
    CHECK_EQ(get(m, 3), 6);
    world_map_destroy(m);
    finish(o);
}

/* A snapshot keeps what it saw. */
TEST(snapshots_keep)
{
    struct vm_object *o, *copy;
    uint64_t v = 1, old;

    begin(64, 64);
    tp_open(&file, N, 100);
    o = file.object;
    tp_set(&file, 2, 20);
    tp_set(&file, 3, 30);
    CHECK_EQ(vm_object_read(o, 2 * PAGE, &v, sizeof(v)), VM_OK);
    CHECK_EQ(vm_object_snapshot(o, &copy), VM_OK);
    v = 99;
    for (unsigned i = 2; i < 4; i++) {
        CHECK_EQ(vm_object_write(o, i * PAGE, &v, sizeof(v)), VM_OK);
        CHECK_EQ(vm_object_read(copy, i * PAGE, &old, sizeof(old)), VM_OK);
        CHECK_EQ(old, 10 * i);
        CHECK_EQ(vm_object_read(o, i * PAGE, &old, sizeof(old)), VM_OK);
        CHECK_EQ(old, 99);
    }
    vm_object_unref(copy, NULL);
    finish(o);
}

TEST(errors)
{
    struct vm_object *o;
    uint64_t v = 4;

    begin(64, 0);
    tp_open(&file, N, 100);
    o = file.object;
    file.fail_reads = 1;
    CHECK_EQ(vm_object_read(o, 0, &v, sizeof(v)), VM_E_PAGER);
    CHECK_EQ(vm_object_read(o, 0, &v, sizeof(v)), VM_OK);
    fail_from(1);
    CHECK_EQ(vm_object_write(o, PAGE, &v, sizeof(v)), VM_E_NOMEM);
    fail_from(0);
    CHECK_EQ(vm_object_write(o, PAGE, &v, sizeof(v)), VM_OK);
    finish(o);
}
