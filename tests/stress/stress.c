/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - the operations of a stress run, and what they verify.
 *
 *   map ----- private anonymous memory    PRIVATE pages
 *       ----- memory shared with peer     SHARED pages
 *       ----- a file, shared              FILED pages
 *   peer ---- the shared memory
 *
 * The word of page p that its writer wrote for the s-th time is
 * p << 32 | s, everywhere in the page.
 */
#include "stress.h"

#define PRIVATE 12u
#define SHARED  8u
#define FILED   8u
#define PAGES   (PRIVATE + SHARED + FILED)
#define WORDS   4u              /* of a page that are looked at */

static struct stress {
    const struct stress_config *config;
    struct vm_map *map, *peer;
    struct world_file *file;
    vaddr_t va[PAGES];
    /* (a) what the writer has begun, and what he has ended */
    _Atomic uint64_t begun[PAGES], ended[PAGES];
    uint64_t state[VM_MAX_CPUS];        /* of each CPU's choices */
    uint64_t hash[VM_MAX_CPUS];
} stress;

static uint64_t
pick(uint64_t n)
{
    return host_mix(&stress.state[kern_cpu()]) % n;
}

static void
note(uint64_t x)
{
    uint64_t *h = &stress.hash[kern_cpu()];

    *h = (*h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
}

static unsigned
writer_of(unsigned page)
{
    return page % stress.config->cpus;
}

/* One of this CPU's own pages. */
static unsigned
pick_own(void)
{
    unsigned page;

    do {
        page = (unsigned)pick(PAGES);
    } while (writer_of(page) != kern_cpu());
    return page;
}

/* A word somewhere in the page. */
static vaddr_t
word_of(vaddr_t va, unsigned word)
{
    return va + word * (VM_PAGE_SIZE / WORDS);
}

static bool
is_shared(unsigned page)
{
    return page >= PRIVATE && page < PRIVATE + SHARED;
}

/* Is value a legal one of page, given the least and the most? */
static void
judge(const char *where, unsigned page, uint64_t value, uint64_t least,
    uint64_t most)
{
    uint64_t s = value & UINT32_MAX;

    note(value);
    if (s < least || s > most || (s != 0 && value >> 32 != page)) {
        world_fail("CPU %u: %s page %u: %#llx, not from %llu to %llu",
            kern_cpu(), where, page, (unsigned long long)value,
            (unsigned long long)least, (unsigned long long)most);
    }
}

/* Who else writes it in a map where its pages are private does not see. */
static void
op_write(void)
{
    unsigned page = pick_own();
    uint64_t s = atomic_load(&stress.begun[page]) + 1;
    struct vm_map *map = is_shared(page) && pick(2) ? stress.peer :
        stress.map;

    atomic_store(&stress.begun[page], s);
    for (unsigned w = 0; w < WORDS; w++) {
        world_store64(map, word_of(stress.va[page], w),
            (uint64_t)page << 32 | s);
    }
    atomic_store(&stress.ended[page], s);
}

static void
op_read(void)
{
    unsigned page = (unsigned)pick(PAGES);
    struct vm_map *map = is_shared(page) && pick(2) ? stress.peer :
        stress.map;
    uint64_t least = atomic_load(&stress.ended[page]);
    uint64_t value = world_load64(map, word_of(stress.va[page],
        (unsigned)pick(WORDS)));

    judge("read", page, value, least, atomic_load(&stress.begun[page]));
}

/* The child holds one moment of each private page, and keeps it. */
static void
op_fork(void)
{
    uint64_t least[PRIVATE], value[PRIVATE];
    struct vm_map *child;

    for (unsigned i = 0; i < PRIVATE; i++) {
        least[i] = atomic_load(&stress.ended[i]);
    }
    child = world_map_fork(stress.map);
    /* Some writer may have been in op_protect() at that moment. */
    WORLD_OK(vm_map_protect(child, stress.va[0], PRIVATE * VM_PAGE_SIZE,
        VM_PROT_READ | VM_PROT_WRITE, false));
    for (unsigned i = 0; i < PRIVATE; i++) {
        uint64_t most = atomic_load(&stress.begun[i]);

        value[i] = world_load64(child, stress.va[i]);
        judge("fork", i, value[i], least[i], most);
        if (i % 3 == 0) {
            value[i] = i;
            world_store64(child, stress.va[i], i);
        }
    }
    host_sleep_steps(pick(100));
    for (unsigned i = 0; i < PRIVATE; i++) {
        if (world_load64(child, stress.va[i]) != value[i]) {
            world_fail("CPU %u: page %u of a child changed", kern_cpu(), i);
        }
    }
    world_leave();
    world_map_destroy(child);
}

static void
op_forget(void)
{
    struct vm_map *map = pick(4) == 0 ? stress.peer : stress.map;
    vaddr_t va = stress.va[pick(PRIVATE + SHARED)];
    int error;

    switch (pick(3)) {
    case 0:
        error = pmap_discard(map->pmap);
        break;
    case 1:
        error = pmap_discard_range(map->pmap, va, va + VM_PAGE_SIZE);
        break;
    default:
        error = pmap_discard_table(map->pmap, va);
        break;
    }
    if (error != VM_OK && error != VM_E_BUSY) {
        WORLD_OK(error);
    }
    if (pick(8) == 0) {
        (void)pmap_reap(true);
    }
}

/* Own pages only: a store of somebody else's must not fail. */
static void
op_protect(void)
{
    unsigned page = pick_own();
    vaddr_t va = stress.va[page];
    uint64_t word = 0;

    WORLD_OK(vm_map_protect(stress.map, va, VM_PAGE_SIZE, VM_PROT_READ,
        false));
    WORLD_CHECK(world_store(stress.map, va, &word, 8) == VM_E_PROT);
    WORLD_OK(vm_map_protect(stress.map, va, VM_PAGE_SIZE,
        VM_PROT_READ | VM_PROT_WRITE, false));
}

static void
op_wire(void)
{
    unsigned page = pick_own();
    vaddr_t va = stress.va[page];

    WORLD_OK(vm_map_wire(stress.map, va, VM_PAGE_SIZE));
    op_write();
    WORLD_OK(vm_map_unwire(stress.map, va, VM_PAGE_SIZE));
}

/* Memory of our own in the map that all share. */
static void
op_scratch(void)
{
    vaddr_t va = 0;
    unsigned n = 1 + (unsigned)pick(4);

    WORLD_OK(vm_map_allocate(stress.map, &va, n * VM_PAGE_SIZE, true));
    for (unsigned i = 0; i < n; i++) {
        vaddr_t at = word_of(va + i * VM_PAGE_SIZE, (unsigned)pick(WORDS));

        WORLD_CHECK(world_load64(stress.map, at) == 0);
        world_store64(stress.map, at, at);
        WORLD_CHECK(world_load64(stress.map, at) == at);
    }
    WORLD_OK(vm_map_deallocate(stress.map, va, n * VM_PAGE_SIZE));
}

/* A copy of our own page is what we wrote last. */
static void
op_copy(void)
{
    unsigned page = pick_own();
    uint64_t s = atomic_load(&stress.ended[page]);
    vaddr_t va = 0;

    WORLD_OK(vm_map_allocate(stress.map, &va, VM_PAGE_SIZE, true));
    WORLD_OK(vm_map_copy(stress.map, stress.va[page], VM_PAGE_SIZE,
        stress.map, va));
    for (unsigned w = 0; w < WORDS; w++) {
        judge("copy", page, world_load64(stress.map, word_of(va, w)), s, s);
    }
    WORLD_OK(vm_map_deallocate(stress.map, va, VM_PAGE_SIZE));
}

static void
op_message(void)
{
    unsigned page = (unsigned)pick(PAGES);
    uint64_t least = atomic_load(&stress.ended[page]), most, value;
    struct vm_map_copy *copy;
    vaddr_t va;

    WORLD_OK(vm_map_copyin(stress.map, stress.va[page], VM_PAGE_SIZE,
        &copy));
    most = atomic_load(&stress.begun[page]);
    if (pick(4) == 0) {
        vm_map_copy_discard(copy);
        return;
    }
    host_sleep_steps(pick(60));
    WORLD_OK(vm_map_copyout(stress.peer, copy, &va));
    value = world_load64(stress.peer, va);
    judge("message", page, value, least, most);
    world_store64(stress.peer, va, 1);
    WORLD_CHECK(world_load64(stress.peer, va) == 1);
    WORLD_OK(vm_map_deallocate(stress.peer, va, VM_PAGE_SIZE));
}

static void
op_pager(void)
{
    vm_pgno_t pgno = pick(FILED);

    switch (pick(3)) {
    case 0:
        WORLD_OK(vm_pager_clean_request(&stress.file->pager, pgno, 1));
        break;
    case 1:
        WORLD_OK(vm_pager_flush(&stress.file->pager, pgno, 1));
        break;
    default:
        (void)vm_pageout(1 + pick(vm_page_count), 1 + pick(32));
        break;
    }
}

/* As a system call would. */
static void
op_kernel(void)
{
    unsigned page = (unsigned)pick(PAGES);
    uint64_t least = atomic_load(&stress.ended[page]), value;

    WORLD_OK(vm_map_read(stress.map, stress.va[page], &value, 8));
    judge("kernel read", page, value, least,
        atomic_load(&stress.begun[page]));
}

static void
stress_cpu(unsigned cpu, void *arg)
{
    (void)cpu;
    (void)arg;
    for (unsigned i = 0; i < stress.config->rounds; i++) {
        uint64_t x = pick(100);

        if (x < 36) {
            op_write();
        } else if (x < 62) {
            op_read();
        } else if (x < 68) {
            op_fork();
        } else if (x < 76) {
            op_forget();
        } else if (x < 80) {
            op_protect();
        } else if (x < 83) {
            op_wire();
        } else if (x < 87) {
            op_scratch();
        } else if (x < 90) {
            op_copy();
        } else if (x < 93) {
            op_message();
        } else if (x < 97) {
            op_pager();
        } else {
            op_kernel();
        }
    }
}

static void
begin(const struct stress_config *c)
{
    static const struct world_habits habits = {
        .more = 30, .late = 30,
    };
    struct vm_map_args a = {
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY, .mode = VM_MAP_SHARED,
    };
    vaddr_t va = ((vaddr_t)1 << 30) - 16 * VM_PAGE_SIZE;

    stress = (struct stress){ .config = c };
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        stress.state[i] = host_derive(1000 + i);
    }
    stress.map = world_map_create();
    WORLD_OK(vm_map_allocate(stress.map, &va,
        (PRIVATE + SHARED) * VM_PAGE_SIZE, false));
    for (unsigned i = 0; i < PAGES; i++) {
        stress.va[i] = va + i * VM_PAGE_SIZE;
    }
    WORLD_OK(vm_map_inherit(stress.map, va, PRIVATE * VM_PAGE_SIZE,
        VM_INHERIT_NONE));
    WORLD_OK(vm_map_inherit(stress.map, stress.va[PRIVATE],
        SHARED * VM_PAGE_SIZE, VM_INHERIT_SHARE));
    stress.peer = world_map_fork(stress.map);
    WORLD_OK(vm_map_inherit(stress.map, va,
        (PRIVATE + SHARED) * VM_PAGE_SIZE, VM_INHERIT_COPY));
    stress.file = world_file_create(1, FILED, &habits);
    a.object = stress.file->object;
    a.addr = stress.va[PRIVATE + SHARED];
    a.size = FILED * VM_PAGE_SIZE;
    WORLD_OK(vm_map_enter(stress.map, &a, &a.addr));
    for (unsigned i = PRIVATE + SHARED; i < PAGES; i++) {
        for (unsigned w = 0; w < WORDS; w++) {
            world_store64(stress.map, word_of(stress.va[i], w), 0);
        }
    }
}

uint64_t
stress_run(const struct stress_config *c)
{
    struct stress_config copy = *c;
    uint64_t hash;

    copy.world.cpus = c->cpus;
    world_boot(&copy.world);
    begin(&copy);
    host_set_mode(c->fibers ? HOST_FIBERS : HOST_THREADS);
    world_run(c->cpus, stress_cpu, NULL);
    host_set_mode(HOST_FIBERS);
    hash = c->fibers ? host_trace() : 0;
    for (unsigned i = 0; i < c->cpus; i++) {
        hash = (hash ^ stress.hash[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    world_serve();
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t s = atomic_load(&stress.ended[i]);

        for (unsigned w = 0; w < WORDS; w++) {
            judge("last", i, world_load64(stress.map,
                word_of(stress.va[i], w)), s, s);
        }
    }
    world_check();
    world_map_destroy(stress.map);
    world_map_destroy(stress.peer);
    world_file_close(stress.file);
    world_end();
    return hash;
}
