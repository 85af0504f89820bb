/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world_file.c - the test's pagers: files, and swap.
 *
 * What they are asked for goes to a queue.  In world_run() the pager's own
 * CPU answers from it, after a seeded delay; otherwise the answer comes
 * within the call, but for late ones, which wait for world_serve().
 *
 * Locks: one lock for all files and the queue, never held across a call
 *        into the core, and never where a fiber could switch.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"
#include "world_int.h"

#define QUEUE   4096u

enum request_op {
    REQ_DATA, REQ_UNLOCK, REQ_WROTE, REQ_WRITE_FAILED
};

struct request {
    struct world_file *file;
    enum request_op op;
    vm_pgno_t pgno, n;
    vm_prot_t access;
    uint64_t due;               /* turn of the pager */
};

static _Atomic uint32_t lock_word;
static struct request queue[QUEUE];
static unsigned queued;
static uint64_t turn, state;
static struct world_file *files;        /* all of this world, for freeing */
static struct world_file *swap;

static void
lock(void)
{
    while (atomic_exchange_explicit(&lock_word, 1, memory_order_acquire)) {
        sched_yield();
    }
}

static void
unlock(void)
{
    atomic_store_explicit(&lock_word, 0, memory_order_release);
}

/* Locked. */
static bool
chance(unsigned percent)
{
    return percent != 0 && host_mix(&state) % 100 < percent;
}

void
world_fill(void *buf, size_t n, uint64_t who, uint64_t page,
    uint64_t version)
{
    uint64_t x = who * 1000003 + page, w = 0;
    uint8_t *b = buf;

    x = x * 1000003 + version;
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0) {
            w = host_mix(&x);
        }
        b[i] = (uint8_t)(w >> i % 8 * 8);
    }
}

static uint8_t *
bytes_of(struct world_file *f, vm_pgno_t pgno)
{
    return f->bytes + (pgno << vm_page_shift);
}

static struct world_file *
file_of(struct vm_pager *pg)
{
    return (struct world_file *)(void *)pg;
}

/* ---- answering -------------------------------------------------------- */

static bool
is_zero(const uint8_t *b, size_t n)
{
    return b[0] == 0 && memcmp(b, b + 1, n - 1) == 0;
}

/* Chosen by habit: what is answered to a request for data. */
struct answer {
    vm_pgno_t pgno, n;
    bool error, hole;
    vm_prot_t forbid;
    uint8_t *bytes;
};

static struct answer
decide(const struct request *r)
{
    struct world_file *f = r->file;
    struct answer a = { .pgno = r->pgno, .n = r->n };

    lock();
    if (f != swap && chance(f->habits.more)) {
        vm_pgno_t before = host_mix(&state) % 4;

        a.pgno -= before < a.pgno ? before : a.pgno;
        a.n = r->pgno + r->n - a.pgno + host_mix(&state) % 4;
        if (a.n > f->npages - a.pgno) {
            a.n = f->npages - a.pgno;
        }
    }
    a.error = chance(f->habits.error);
    a.forbid = f->forbid;
    a.bytes = malloc(a.n << vm_page_shift);
    memcpy(a.bytes, bytes_of(f, a.pgno), a.n << vm_page_shift);
    a.hole = is_zero(a.bytes, a.n << vm_page_shift) &&
        chance(f->habits.hole);
    unlock();
    return a;
}

static void
answer_data(const struct request *r)
{
    struct world_file *f = r->file;
    struct answer a = decide(r);
    int error;

    if (a.error) {
        error = vm_pager_data_error(&f->pager, r->pgno, r->n);
    } else if (a.hole) {
        error = vm_pager_data_unavailable(&f->pager, r->pgno, r->n);
    } else {
        error = vm_pager_data_provided(&f->pager, a.pgno, a.n, a.bytes,
            a.forbid, false);
    }
    free(a.bytes);
    /* Memory may be short for what nobody asked for; it may be gone. */
    if (error != VM_OK && error != VM_E_NOMEM && error != VM_E_ADDRESS) {
        world_fail("file %u: answer refused: %s", f->id,
            world_error_name(error));
    }
}

static void
answer(const struct request *r)
{
    struct vm_pager *pg = &r->file->pager;

    switch (r->op) {
    case REQ_DATA:
        answer_data(r);
        break;
    case REQ_UNLOCK:
        lock();
        r->file->forbid = VM_PROT_NONE;
        unlock();
        (void)!vm_pager_lock(pg, r->pgno, r->n, VM_PROT_NONE);
        break;
    case REQ_WROTE:
    case REQ_WRITE_FAILED:
        (void)!vm_pager_write_done(pg, r->pgno, r->n, r->op == REQ_WROTE);
        break;
    }
}

static void
submit(struct request r)
{
    bool late;

    lock();
    late = chance(r.file->habits.late) ||
        atomic_load(&r.file->silent);
    r.due = turn + (late ? 20 + host_mix(&state) % 100 : 0);
    /* Alone, a thread that waits for data has nobody to bring it. */
    if (!world_int.running && (!late || r.op == REQ_DATA ||
        r.op == REQ_UNLOCK)) {
        unlock();
        answer(&r);
        return;
    }
    if (queued == QUEUE) {
        world_fail("the pagers' queue is full");
    }
    queue[queued++] = r;
    unlock();
    if (world_int.running) {
        atomic_fetch_add(&world_int.work, 1);
        kern_wake(&world_int.work);
    }
}

/* Take one that is due, or, if all, any. */
static bool
take(struct request *out, bool all)
{
    bool found = false;

    lock();
    turn++;
    if (queued > 0) {
        unsigned first = (unsigned)(host_mix(&state) % queued);

        for (unsigned i = 0; i < queued && !found; i++) {
            struct request *r = &queue[(first + i) % queued];

            if (all || (r->due <= turn && !atomic_load(&r->file->silent))) {
                *out = *r;
                *r = queue[--queued];
                found = true;
            }
        }
    }
    unlock();
    return found;
}

bool
world_pager_turn(bool all)
{
    struct request r;

    if (!take(&r, all)) {
        return false;
    }
    answer(&r);
    return true;
}

void
world_serve(void)
{
    while (world_pager_turn(true)) {
        continue;
    }
}

bool
world_pager_idle(void)
{
    bool idle;

    lock();
    idle = queued == 0;
    unlock();
    return idle;
}

/* ---- what the core calls ---------------------------------------------- */

static void
op_init(struct vm_pager *pg)
{
    (void)pg;
}

static void
op_data_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    struct world_file *f = file_of(pg);

    atomic_fetch_add(&f->requests, 1);
    if (pgno + n > f->npages || n == 0) {
        world_fail("file %u is asked for pages [%llu, +%llu)", f->id,
            (unsigned long long)pgno, (unsigned long long)n);
    }
    submit((struct request){ f, REQ_DATA, pgno, n, access, 0 });
}

static void
op_data_write(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data)
{
    struct world_file *f = file_of(pg);
    bool failed;

    atomic_fetch_add(&f->writes, 1);
    lock();
    failed = chance(f->habits.bad_write);
    if (!failed) {
        memcpy(bytes_of(f, pgno), data, n << vm_page_shift);
    }
    unlock();
    submit((struct request){ f, failed ? REQ_WRITE_FAILED : REQ_WROTE,
        pgno, n, VM_PROT_NONE, 0 });
}

static void
op_data_unlock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    struct world_file *f = file_of(pg);

    atomic_fetch_add(&f->unlocks, 1);
    submit((struct request){ f, REQ_UNLOCK, pgno, n, access, 0 });
}

static void
op_lock_completed(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    (void)pgno;
    (void)n;
    atomic_fetch_add(&file_of(pg)->completed, 1);
    kern_wake(&file_of(pg)->completed);
}

static void
op_terminate(struct vm_pager *pg)
{
    atomic_store(&file_of(pg)->gone, true);
}

static const struct vm_pager_ops file_ops = {
    .init = op_init,
    .data_request = op_data_request,
    .data_write = op_data_write,
    .data_create = op_data_write,
    .data_unlock = op_data_unlock,
    .lock_completed = op_lock_completed,
    .terminate = op_terminate,
};

/* ---- files ------------------------------------------------------------ */

static struct world_file *
file_alloc(unsigned id, vm_pgno_t npages)
{
    struct world_file *f = calloc(1, sizeof(*f));

    f->pager.ops = &file_ops;
    f->id = id;
    f->npages = npages;
    f->bytes = calloc(npages, VM_PAGE_SIZE);
    f->next = files;
    files = f;
    return f;
}

struct world_file *
world_file_create(unsigned id, vm_pgno_t npages,
    const struct world_habits *habits)
{
    struct world_file *f = file_alloc(id, npages);

    if (habits != NULL) {
        f->habits = *habits;
    }
    for (vm_pgno_t i = 0; i < npages; i++) {
        /* Every fifth page is a hole. */
        if (i % 5 != 4) {
            world_fill(bytes_of(f, i), VM_PAGE_SIZE, id, i, 0);
        }
    }
    WORLD_OK(vm_object_create_pager(&f->pager, npages, &f->object));
    return f;
}

void
world_file_close(struct world_file *f)
{
    vm_object_unref(f->object, NULL);
    f->object = NULL;
}

void
world_file_read(struct world_file *f, vm_pgno_t pgno, void *buf)
{
    lock();
    memcpy(buf, bytes_of(f, pgno), VM_PAGE_SIZE);
    unlock();
}

void
world_file_update(struct world_file *f, vm_pgno_t pgno, uint64_t version)
{
    uint32_t before = atomic_load(&f->completed);

    WORLD_OK(vm_pager_flush(&f->pager, pgno, 1));
    if (!world_int.running) {
        world_serve();
    }
    while (atomic_load(&f->completed) == before) {
        if (!world_int.running) {
            world_fail("file %u: flush of page %llu never completed",
                f->id, (unsigned long long)pgno);
        }
        (void)kern_wait(&f->completed, before, false);
    }
    lock();
    world_fill(bytes_of(f, pgno), VM_PAGE_SIZE, f->id, pgno, version);
    unlock();
}

void
world_files_begin(uint64_t seed, uint64_t swap_slots)
{
    queued = 0;
    turn = 0;
    state = seed;
    swap = NULL;
    if (swap_slots > 0) {
        swap = file_alloc(~0u, swap_slots);
        WORLD_OK(vm_swap_set(&swap->pager, swap_slots));
    }
}

void
world_swap_behave(const struct world_habits *habits)
{
    swap->habits = *habits;
}

uint64_t
world_swap_writes(void)
{
    return swap == NULL ? 0 : atomic_load(&swap->writes);
}

void
world_files_end(void)
{
    while (files != NULL) {
        struct world_file *f = files;

        files = f->next;
        free(f->bytes);
        free(f);
    }
    swap = NULL;
}
