/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_os.c - struct flow_os on the simulated machine: tasks are maps, their
 * loads and stores go through the simulated MMU.
 *
 * A child lives from fork to join in two pieces, so that its parent writes
 * in between; it runs on its parent's CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_os.h"

#define PATIENCE        100000u         /* tries while memory is short */

/* What a task, or a child, is here. */
struct sim_task {
    struct vm_map *map;
    struct flow_task flow;
    struct sim_task *child[FLOW_CHILDREN];
};

static struct sim {
    struct sim_task task[FLOW_TASKS_MAX];
    unsigned tasks;
    struct world_file *file, *shared_file;
} sim;

static struct sim_task *
self(const struct flow_task *t)
{
    return t->machine;
}

static void __attribute__((noreturn))
os_fail(struct flow_task *t, const char *text)
{
    static _Atomic bool failed;

    /* The first page that is bad is named; others may follow from it. */
    if (!atomic_exchange(&failed, true)) {
        printf("%s", text);
        fflush(stdout);
    }
    world_fail("task %u found it", t->number);
}

/* Short of memory: whoever has it goes on meanwhile. */
static bool
again(int error, unsigned *tries)
{
    if (error != VM_E_NOMEM || ++*tries > PATIENCE) {
        return false;
    }
    (void)vm_pageout(64, 32);
    host_sleep_steps(20);
    return true;
}

static void
check(struct flow_task *t, int error, const char *what, uint64_t va)
{
    char text[200];

    if (error != VM_OK) {
        snprintf(text, sizeof(text), "REFUSED: task %u's %s at %#llx in "
            "epoch %u: %s\n", t->number, what, (unsigned long long)va,
            t->epoch, world_error_name(error));
        os_fail(t, text);
    }
}

static void
os_load(struct flow_task *t, uint64_t va, void *buf, size_t n)
{
    unsigned tries = 0;
    int error;

    do {
        error = world_load(self(t)->map, va, buf, n);
    } while (again(error, &tries));
    check(t, error, "load", va);
}

static void
os_store(struct flow_task *t, uint64_t va, const void *buf, size_t n)
{
    unsigned tries = 0;
    int error;

    do {
        error = world_store(self(t)->map, va, buf, n);
    } while (again(error, &tries));
    check(t, error, "store", va);
}

static void
os_kernel_load(struct flow_task *t, uint64_t va, void *buf, size_t n)
{
    unsigned tries = 0;
    int error;

    do {
        error = vm_map_read(self(t)->map, va, buf, n);
    } while (again(error, &tries));
    check(t, error, "system call", va);
}

static bool
os_refused(struct flow_task *t, uint64_t va, bool write)
{
    unsigned tries = 0;
    uint64_t word;
    int error;

    do {
        error = world_load(self(t)->map, va, &word, sizeof(word));
        if (error == VM_OK && write) {
            error = world_store(self(t)->map, va, &word, sizeof(word));
        }
    } while (again(error, &tries));
    if (error == VM_E_PROT || error == VM_E_ADDRESS) {
        return true;
    }
    check(t, error, "try", va);
    return false;
}

static bool
ok(struct flow_task *t, int error, const char *what, uint64_t va)
{
    if (error == VM_E_NOMEM) {
        return false;
    }
    check(t, error, what, va);
    return true;
}

static bool
fits(uint64_t va, uint64_t size)
{
    return vm_page_aligned(va) && vm_page_aligned(size);
}

static bool
os_protect(struct flow_task *t, uint64_t va, uint64_t size, bool write)
{
    return ok(t, vm_map_protect(self(t)->map, va, size, write ?
        VM_PROT_READ | VM_PROT_WRITE : VM_PROT_READ, false), "protect", va);
}

static bool
os_inherit(struct flow_task *t, uint64_t va, uint64_t size, bool yes)
{
    return ok(t, vm_map_inherit(self(t)->map, va, size, yes ?
        VM_INHERIT_COPY : VM_INHERIT_NONE), "inherit", va);
}

static bool
os_wire(struct flow_task *t, uint64_t va, uint64_t size, bool yes)
{
    return ok(t, yes ? vm_map_wire(self(t)->map, va, size) :
        vm_map_unwire(self(t)->map, va, size), "wire", va);
}

static bool
os_move(struct flow_task *t, uint64_t from, uint64_t to, uint64_t size)
{
    return ok(t, vm_map_move(self(t)->map, from, size, to), "move", from);
}

static struct vm_map_args
file_args(struct world_file *f, uint64_t va, uint64_t offset, uint64_t size,
    enum vm_map_mode mode)
{
    return (struct vm_map_args){
        .addr = va, .size = size, .overwrite = true, .object = f->object,
        .pgno = offset >> vm_page_shift, .mode = mode,
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = mode == VM_MAP_SHARED ? VM_INHERIT_SHARE :
            VM_INHERIT_COPY,
    };
}

/*
 * By mapping over it or, where no virtual copy went (of which what is left
 * when it is reset is the source's), in place.
 */
static bool
os_fresh(struct flow_task *t, enum flow_kind kind, uint64_t va,
    uint64_t offset, uint64_t size)
{
    struct vm_map_args args;

    if (!fits(va, size)) {
        return false;
    }
    if ((kind == FLOW_FILE_PRIVATE || kind == FLOW_INHERITED) &&
        flow_random(&t->random) % 2 == 0) {
        return ok(t, vm_map_reset(self(t)->map, va, size), "reset", va);
    }
    args = file_args(sim.file, va, offset, size, VM_MAP_PRIVATE);
    if (kind != FLOW_FILE_PRIVATE) {
        args.object = NULL;
        args.pgno = 0;
    }
    return ok(t, vm_map_enter(self(t)->map, &args, &args.addr), "map", va);
}

static bool
os_map(struct flow_task *t, uint64_t va, uint64_t size)
{
    vaddr_t at = va;

    return ok(t, vm_map_allocate(self(t)->map, &at, size, false), "map", va);
}

static void
os_unmap(struct flow_task *t, uint64_t va, uint64_t size)
{
    unsigned tries = 0;
    int error;

    do {
        error = vm_map_deallocate(self(t)->map, va, size);
    } while (again(error, &tries));
    check(t, error, "unmap", va);
}

static bool
os_copy(struct flow_task *t, uint64_t from, uint64_t to, uint64_t size)
{
    return fits(from, size) && fits(to, size) &&
        ok(t, vm_map_copy(self(t)->map, from, size, self(t)->map, to),
            "copy", from);
}

/* As a message carries it, or straight. */
static bool
os_fetch(struct flow_task *t, unsigned other, uint64_t from, uint64_t to,
    uint64_t size)
{
    struct vm_map *mine = self(t)->map, *his = sim.task[other].map;
    struct vm_map_copy *copy;
    vaddr_t at;
    bool done;

    if (!fits(from, size) || !fits(to, size)) {
        return false;
    }
    if (flow_random(&t->random) % 2 == 0) {
        return ok(t, vm_map_copy(his, from, size, mine, to), "fetch", from);
    }
    if (!ok(t, vm_map_copyin(his, from, size, &copy), "copyin", from)) {
        return false;
    }
    if (!ok(t, vm_map_copyout(mine, copy, &at), "copyout", to)) {
        vm_map_copy_discard(copy);
        return false;
    }
    done = ok(t, vm_map_move(mine, at, size, to), "move", at);
    if (!done) {
        os_unmap(t, at, size);
    }
    return done;
}

/* ---- children --------------------------------------------------------- */

static struct sim_task *
child_of(struct flow_task *t, unsigned slot, struct vm_map *map)
{
    struct sim_task *child = calloc(1, sizeof(*child));

    if (child == NULL || !flow_clone(&child->flow, t, slot)) {
        world_fail("no memory for a child");
    }
    child->map = map;
    child->flow.machine = child;
    self(t)->child[slot] = child;
    return child;
}

static bool
os_fork(struct flow_task *t, unsigned slot)
{
    struct vm_map *map;

    if (!ok(t, world_map_try_fork(self(t)->map, &map), "fork", 0)) {
        return false;
    }
    flow_child_early(&child_of(t, slot, map)->flow);
    return true;
}

static void
os_join(struct flow_task *t, unsigned slot)
{
    struct sim_task *child = self(t)->child[slot];

    if (child->flow.depth != 0) {
        flow_child_late(&child->flow);
    }
    flow_add(&t->counts, &child->flow.counts);
    world_leave();
    world_map_destroy(child->map);
    flow_end(&child->flow);
    free(child);
    self(t)->child[slot] = NULL;
}

/* A map with the file alone. */
static bool
os_exec(struct flow_task *t, unsigned slot, const unsigned *pages,
    unsigned n)
{
    struct vm_map_args args = file_args(sim.shared_file,
        flow_base(t->config, FLOW_FILE_SHARED), 0, flow_span(t->config),
        VM_MAP_SHARED);
    struct sim_task *child;
    int error;

    args.overwrite = false;
    child = child_of(t, slot, world_map_create());
    child->flow.depth = 0;      /* join: it does no more */
    error = vm_map_enter(child->map, &args, &args.addr);
    if (error == VM_OK) {
        flow_executed(&child->flow, pages, n);
    }
    (void)ok(t, error, "exec", args.addr);
    return true;
}

/* ---- trouble ---------------------------------------------------------- */

/* A thread of another task looks, on this CPU, at what all share. */
static void
visit_as(struct flow_task *t, unsigned number, uint64_t random)
{
    struct flow_task other = *t;

    other.machine = &sim.task[number];
    flow_visit(&other, flow_page(t->config, 0, (random & 1) != 0 ?
        FLOW_SHARED : FLOW_FILE_SHARED,
        (unsigned)((random >> 8) % t->config->pages)));
    t->counts.visits = other.counts.visits;
    t->counts.whole = other.counts.whole;
}

static void
os_disturb(struct flow_task *t, uint64_t random)
{
    struct vm_pager *pager = &sim.shared_file->pager;
    vm_pgno_t pgno = (random >> 32) % sim.shared_file->npages;

    switch (random % 8) {
    case 0:
        check(t, vm_pager_clean_request(pager, pgno, 1), "clean", pgno);
        break;
    case 1:
        check(t, vm_pager_flush(pager, pgno, 1), "flush", pgno);
        break;
    case 2:
        (void)vm_pageout(1 + random / 8 % vm_page_count, 1 +
            (unsigned)(random >> 40) % 32);
        break;
    case 3:
        (void)pmap_reap(true);
        break;
    default:
        visit_as(t, (unsigned)(random >> 20) % sim.tasks, random >> 8);
        break;
    }
}

static struct flow_os os = {
    .load = os_load, .store = os_store, .kernel_load = os_kernel_load,
    .refused = os_refused, .protect = os_protect, .inherit = os_inherit,
    .wire = os_wire, .move = os_move, .fresh = os_fresh, .map = os_map,
    .unmap = os_unmap, .copy = os_copy, .fetch = os_fetch,
    .fork = os_fork, .join = os_join, .exec = os_exec,
    .disturb = os_disturb, .fail = os_fail,
};

/* ---- all tasks -------------------------------------------------------- */

static struct world_file *
make_file(const struct flow_config *c, unsigned id, enum flow_kind kind)
{
    static const struct world_habits habits = { .more = 30, .late = 10 };
    struct world_file *f = world_file_create(id,
        flow_span(c) >> vm_page_shift, &habits);
    uint64_t words[FLOW_WORDS];

    for (unsigned i = 0; i < c->pages; i++) {
        unsigned page = flow_page(c, 0, kind, i);

        flow_fill(c, (struct flow_state){ flow_original(c, page), 0 },
            words);
        memcpy(f->bytes + (size_t)i * FLOW_UNIT, words, FLOW_UNIT);
    }
    return f;
}

static void
make_root(const struct flow_config *c, struct vm_map *map)
{
    struct vm_map_args args;
    uint64_t size = flow_span(c);

    sim.file = make_file(c, 1, FLOW_FILE_PRIVATE);
    sim.shared_file = make_file(c, 2, FLOW_FILE_SHARED);
    for (unsigned kind = 0; kind < FLOW_KINDS; kind++) {
        vaddr_t va = flow_base(c, (enum flow_kind)kind);

        if (kind == FLOW_FILE_PRIVATE) {
            args = file_args(sim.file, va, 0, size, VM_MAP_PRIVATE);
            WORLD_OK(vm_map_enter(map, &args, &va));
        } else if (kind == FLOW_FILE_SHARED) {
            args = file_args(sim.shared_file, va, 0, size, VM_MAP_SHARED);
            WORLD_OK(vm_map_enter(map, &args, &va));
        } else {
            WORLD_OK(vm_map_allocate(map, &va, size, false));
        }
    }
    WORLD_OK(vm_map_inherit(map, flow_base(c, FLOW_SHARED), size,
        VM_INHERIT_SHARE));
}

void
sim_tasks_begin(const struct flow_config *c)
{
    memset(&sim, 0, sizeof(sim));
    os.page_size = VM_PAGE_SIZE;
    sim.tasks = c->tasks;
    for (unsigned i = 0; i < c->tasks; i++) {
        struct sim_task *s = &sim.task[i];

        s->map = i == 0 ? world_map_create() :
            world_map_fork(s[-1].map);
        if (!flow_init(&s->flow, c, &os, i)) {
            world_fail("no memory for task %u", i);
        }
        s->flow.machine = s;
        if (i == 0) {
            make_root(c, s->map);
            flow_prepare(&s->flow);
        }
    }
}

void
sim_tasks_end(void)
{
    for (unsigned i = 0; i < sim.tasks; i++) {
        world_map_destroy(sim.task[i].map);
        flow_end(&sim.task[i].flow);
    }
    world_file_close(sim.file);
    world_file_close(sim.shared_file);
}

struct flow_task *
sim_task(unsigned number)
{
    return &sim.task[number].flow;
}
