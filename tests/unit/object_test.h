/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object_test.h - what the tests of memory objects share: a window of pages
 * at BASE, pages told apart by one number each, and a pager that does what
 * it is told when it is told (struct tp).
 */
#ifndef OBJECT_TEST_H
#define OBJECT_TEST_H

#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "world.h"
#include "vm_map_impl.h"
#include "vm_object_impl.h"

#define BASE    ((vaddr_t)0x40000000)
#define RW      (VM_PROT_READ | VM_PROT_WRITE)
#define PAGE    VM_PAGE_SIZE

static inline vaddr_t
va_of(uint64_t page)
{
    return BASE + (page << vm_page_shift);
}

static inline void
boot_seed(uint64_t ram, uint64_t swap, uint64_t seed)
{
    world_boot(&(struct world_config){
        .cpus = 3, .ram = ram, .swap = swap, .seed = seed,
    });
}

static inline void
boot(uint64_t ram, uint64_t swap)
{
    boot_seed(ram, swap, test_seed);
}

static inline uint64_t
stat_of(enum vm_stat s)
{
    struct vm_statistics st;

    vm_statistics(&st);
    return st.event[s];
}

static inline uint64_t
frames(void)
{
    return vm_page_kind_count(VM_PAGE_OBJECT);
}

/*
 * Memory is short from the n-th allocation on, n > 0; else no more.  (When
 * only one fails, the core's second way often finds memory.)
 */
static long fail_count, fail_at;

static inline void
fail_hook(void)
{
    host_fail_after(++fail_count >= fail_at ? 1 : 0);
}

static inline void
fail_from(long n)
{
    host_fail_after(0);
    fail_count = 0;
    fail_at = n;
    host_hooks.alloc = n > 0 ? fail_hook : NULL;
}

/* ---- maps ------------------------------------------------------------- */

static inline struct vm_map *
map_new(uint64_t page, uint64_t n)
{
    struct vm_map *m = world_map_create();
    vaddr_t va = va_of(page);

    if (n > 0) {
        CHECK_EQ(vm_map_allocate(m, &va, n * PAGE, false), VM_OK);
    }
    return m;
}

static inline void
map_object(struct vm_map *m, uint64_t page, uint64_t n,
    struct vm_object *o, vm_pgno_t pgno, enum vm_map_mode mode)
{
    struct vm_map_args a = {
        .addr = va_of(page), .size = n * PAGE, .object = o, .pgno = pgno,
        .mode = mode, .prot = RW, .max = VM_PROT_ALL,
        .inherit = mode == VM_MAP_SHARED ? VM_INHERIT_SHARE :
            VM_INHERIT_COPY, .overwrite = true,
    };
    vaddr_t at;

    CHECK_EQ(vm_map_enter(m, &a, &at), VM_OK);
}

/* The object at a page, without a reference. */
static inline struct vm_object *
object_at(struct vm_map *m, uint64_t page)
{
    struct vm_region r;
    vaddr_t va = va_of(page);

    CHECK(vm_map_region(m, &va, &r));
    CHECK(va <= va_of(page));
    return r.object;
}

/* A page's number stands in its first and its last word. */
static inline int
try_put(struct vm_map *m, uint64_t page, uint64_t value, bool kernel)
{
    vaddr_t a = va_of(page), b = a + PAGE - sizeof(value);
    int error = kernel ? vm_map_write(m, a, &value, sizeof(value)) :
        world_store(m, a, &value, sizeof(value));

    if (error == VM_OK) {
        error = kernel ? vm_map_write(m, b, &value, sizeof(value)) :
            world_store(m, b, &value, sizeof(value));
    }
    return error;
}

static inline int
try_get(struct vm_map *m, uint64_t page, uint64_t *value, bool kernel)
{
    vaddr_t a = va_of(page), b = a + PAGE - sizeof(*value);
    uint64_t last;
    int error = kernel ? vm_map_read(m, a, value, sizeof(*value)) :
        world_load(m, a, value, sizeof(*value));

    if (error == VM_OK) {
        error = kernel ? vm_map_read(m, b, &last, sizeof(last)) :
            world_load(m, b, &last, sizeof(last));
        if (error == VM_OK && last != *value) {
            FAIL("page %llu begins with %llu, ends with %llu",
                (unsigned long long)page, (unsigned long long)*value,
                (unsigned long long)last);
        }
    }
    return error;
}

/* The program's way or the kernel's, as it comes. */
static inline void
put(struct vm_map *m, uint64_t page, uint64_t value)
{
    CHECK_EQ(try_put(m, page, value, world_random(2) == 0), VM_OK);
}

static inline uint64_t
get(struct vm_map *m, uint64_t page)
{
    uint64_t value;

    CHECK_EQ(try_get(m, page, &value, world_random(2) == 0), VM_OK);
    return value;
}

static inline void
put_range(struct vm_map *m, uint64_t page, uint64_t n, uint64_t value)
{
    for (uint64_t i = 0; i < n; i++) {
        put(m, page + i, value + i);
    }
}

static inline void
want_range(struct vm_map *m, uint64_t page, uint64_t n, uint64_t value)
{
    for (uint64_t i = 0; i < n; i++) {
        CHECK_EQ(get(m, page + i), value + i);
    }
}

static inline void
want_zero(struct vm_map *m, uint64_t page, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        CHECK_EQ(get(m, page + i), 0);
    }
}

static inline void
drop_range(struct vm_map *m, uint64_t page, uint64_t n)
{
    CHECK_EQ(vm_map_deallocate(m, va_of(page), n * PAGE), VM_OK);
}

/* Write out and drop all that can be. */
static inline void
pageout_all(void)
{
    /* The simulated MMU sets accessed bits when it likes. */
    for (unsigned i = 0; i < 40 && (i < 3 || frames() > 0); i++) {
        (void)vm_pageout(vm_page_count, vm_page_count);
        world_serve();
    }
}

/* ---- a pager that obeys ------------------------------------------------ */

#define TP_QUEUE 512u

enum tp_op { TP_DATA, TP_WROTE, TP_UNLOCK };

struct tp {
    struct vm_pager pager;
    struct vm_object *object;
    vm_pgno_t npages;
    uint8_t *bytes;
    bool hold;                  /* requests wait in the queue */
    bool hold_writes;           /* so do write_done answers */
    bool hold_unlocks;
    unsigned fail_reads, fail_writes;   /* the next so many fail */
    bool hole;                  /* unavailable, whatever is there */
    vm_prot_t forbid;           /* on what is provided */
    bool dirty;
    uint64_t write_steps;       /* data_write takes so long */
    void (*on_write)(struct tp *t);
    struct {
        enum tp_op op;
        vm_pgno_t pgno;
        vm_prot_t access;
        bool ok;
    } queue[TP_QUEUE];
    unsigned queued;
    unsigned inits, requests, writes, unlocks, completed, terminated;
    vm_prot_t last_access;
    unsigned late;              /* calls after terminate */
    struct { vm_pgno_t pgno, n; } done[64];
};

static inline uint64_t *
tp_word(struct tp *t, vm_pgno_t pgno)
{
    return (uint64_t *)(void *)(t->bytes + (pgno << vm_page_shift));
}

/* What the pager holds for a page, in the way of put(). */
static inline void
tp_set(struct tp *t, vm_pgno_t pgno, uint64_t value)
{
    tp_word(t, pgno)[0] = value;
    tp_word(t, pgno + 1)[-1] = value;
}

static inline uint64_t
tp_value(struct tp *t, vm_pgno_t pgno)
{
    CHECK_EQ(tp_word(t, pgno)[0], tp_word(t, pgno + 1)[-1]);
    return tp_word(t, pgno)[0];
}

static inline int
tp_provide(struct tp *t, vm_pgno_t pgno, vm_pgno_t n)
{
    return vm_pager_data_provided(&t->pager, pgno, n,
        t->bytes + (pgno << vm_page_shift), t->forbid, t->dirty);
}

static inline void
tp_push(struct tp *t, enum tp_op op, vm_pgno_t pgno, vm_prot_t access,
    bool ok)
{
    CHECK(t->queued < TP_QUEUE);
    t->queue[t->queued].op = op;
    t->queue[t->queued].pgno = pgno;
    t->queue[t->queued].access = access;
    t->queue[t->queued++].ok = ok;
}

/* Answer the i-th that waits; what the core said to it. */
static inline int
tp_answer(struct tp *t, unsigned i)
{
    enum tp_op op = t->queue[i].op;
    vm_pgno_t pgno = t->queue[i].pgno;
    bool ok = t->queue[i].ok;

    CHECK(i < t->queued);
    memmove(&t->queue[i], &t->queue[i + 1],
        (t->queued - i - 1) * sizeof(t->queue[0]));
    t->queued--;
    switch (op) {
    case TP_WROTE:
        return vm_pager_write_done(&t->pager, pgno, 1, ok);
    case TP_UNLOCK:
        return vm_pager_lock(&t->pager, pgno, 1, VM_PROT_NONE);
    case TP_DATA:
        break;
    }
    if (t->fail_reads > 0) {
        t->fail_reads--;
        return vm_pager_data_error(&t->pager, pgno, 1);
    }
    return t->hole ? vm_pager_data_unavailable(&t->pager, pgno, 1) :
        tp_provide(t, pgno, 1);
}

static inline void
tp_answer_all(struct tp *t)
{
    while (t->queued > 0) {
        CHECK_EQ(tp_answer(t, (unsigned)world_random(t->queued)), VM_OK);
    }
}

static inline struct tp *
tp_of(struct vm_pager *pg)
{
    struct tp *t = (struct tp *)(void *)pg;

    t->late += t->terminated;
    return t;
}

static inline void
tp_op_init(struct vm_pager *pg)
{
    tp_of(pg)->inits++;
}

static inline void
tp_op_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    struct tp *t = tp_of(pg);

    CHECK(n == 1 && pgno < t->npages);
    CHECK((access & VM_PROT_READ) != 0);
    t->requests++;
    tp_push(t, TP_DATA, pgno, access, true);
    if (!t->hold) {
        (void)!tp_answer(t, t->queued - 1);
    }
}

static inline void
tp_op_write(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data)
{
    struct tp *t = tp_of(pg);
    bool ok = t->fail_writes == 0;

    CHECK(n == 1 && pgno < t->npages);
    t->writes++;
    if (ok) {
        memcpy(tp_word(t, pgno), data, PAGE);
    } else {
        t->fail_writes--;
    }
    if (t->on_write != NULL) {
        t->on_write(t);
    }
    if (t->write_steps > 0) {
        host_sleep_steps(t->write_steps);
    }
    tp_push(t, TP_WROTE, pgno, VM_PROT_NONE, ok);
    if (!t->hold_writes) {
        (void)!tp_answer(t, t->queued - 1);
    }
}

static inline void
tp_op_unlock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    struct tp *t = tp_of(pg);

    CHECK_EQ(n, 1);
    t->unlocks++;
    t->last_access = access;
    tp_push(t, TP_UNLOCK, pgno, access, true);
    if (!t->hold_unlocks) {
        (void)!tp_answer(t, t->queued - 1);
    }
}

static inline void
tp_op_completed(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    struct tp *t = tp_of(pg);

    t->done[t->completed % 64].pgno = pgno;
    t->done[t->completed++ % 64].n = n;
}

static inline void
tp_op_terminate(struct vm_pager *pg)
{
    struct tp *t = tp_of(pg);

    t->terminated++;
}

static const struct vm_pager_ops tp_ops = {
    .init = tp_op_init,
    .data_request = tp_op_request,
    .data_write = tp_op_write,
    .data_create = tp_op_write,
    .data_unlock = tp_op_unlock,
    .lock_completed = tp_op_completed,
    .terminate = tp_op_terminate,
};

/* Memory of a pager without an object: for vm_swap_set(). */
static inline void
tp_make(struct tp *t, vm_pgno_t npages)
{
    *t = (struct tp){ .npages = npages };
    t->pager.ops = &tp_ops;
    t->bytes = calloc(npages, PAGE);
}

/* A file; page i contains first + i. */
static inline void
tp_open(struct tp *t, vm_pgno_t npages, uint64_t first)
{
    tp_make(t, npages);
    for (vm_pgno_t i = 0; i < npages; i++) {
        tp_set(t, i, first + i);
    }
    CHECK_EQ(vm_object_create_pager(&t->pager, npages, &t->object), VM_OK);
    CHECK_EQ(t->inits, 1);
}

/* The last reference, and so the end, if nobody maps it. */
static inline void
tp_close(struct tp *t)
{
    vm_object_unref(t->object, NULL);
    t->object = NULL;
    CHECK_EQ(t->late, 0);
}

static inline void
tp_free(struct tp *t)
{
    free(t->bytes);
    t->bytes = NULL;
}

/* In world_run(): wait until the pager has so many to answer. */
static inline void
tp_await(struct tp *t, unsigned queued)
{
    while (t->queued < queued) {
        host_sleep_steps(5);
    }
}

#endif
