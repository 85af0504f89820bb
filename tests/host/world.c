/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.c - boots a machine, runs programs on it, looks for what is lost.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"
#include "world_int.h"
#include "vm_stat.h"
#include "vm_zone.h"

#define MAPS    512u

struct world world;
struct world_int world_int;
void (*world_explain)(void);

/* What each CPU has loaded, and how it gets on. */
static struct cpu {
    struct vm_map *_Atomic map;
    struct vm_progress progress;
    uint64_t pc;
    _Atomic uint64_t faults;
} cpus[VM_MAX_CPUS];

static void learn_formats(void);

static struct vm_map *_Atomic maps[MAPS];
static uint64_t choices;

const char *
world_error_name(int error)
{
    static const char *const names[] = {
        "OK", "INVAL", "ADDRESS", "PROT", "NOMEM", "NOSPACE", "RETRY",
        "BUSY", "PAGER", "INTR"
    };

    return (unsigned)error < sizeof(names) / sizeof(names[0]) ?
        names[error] : "?";
}

void
world_fail(const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    kern_panic("%s", text);
}

void
world_ok(int error, const char *file, int line, const char *what)
{
    if (error != VM_OK) {
        world_fail("%s:%d: %s: %s", file, line, what,
            world_error_name(error));
    }
}

static void
explain(void)
{
    if (world_explain != NULL) {
        world_explain();
    }
}

uint64_t
world_random(uint64_t n)
{
    return host_mix(&choices) % n;
}

/* ---- boot and end ----------------------------------------------------- */

/* Frames by kind when nothing is cached anywhere. */
static void
count_kinds(uint64_t kinds[])
{
    (void)pmap_reap(true);
    vm_zone_drain();
    vm_page_drain();
    for (unsigned k = 0; k < VM_PAGE_KINDS; k++) {
        kinds[k] = vm_page_kind_count((enum vm_page_kind)k);
    }
}

static uint64_t
mismatches(void)
{
    uint64_t event[VM_STAT_COUNT];

    vm_stat_events(event);
    return event[VM_STAT_MISMATCHES];
}

void
world_boot(const struct world_config *c)
{
    struct sim_config sim;
    unsigned shift;

    if (world.up) {
        world_fail("booted twice");
    }
    world.config = *c;
    c = &world.config;
    learn_formats();
    shift = pmap_format_page_shift(c->format);
    world.config.page_shift = c->page_shift > shift ? c->page_shift : shift;
    world.config.cpus = c->cpus != 0 ? c->cpus : 4;
    world.config.ram = c->ram != 0 ? c->ram : 4096;
    memset(cpus, 0, sizeof(cpus));
    memset((void *)maps, 0, sizeof(maps));
    choices = c->seed;
    host_hooks.panic = explain;
    world_on(0);
    host_set_mode(HOST_FIBERS);
    host_seed(c->seed);
    sim = sim_default;
    if (c->asid_bits != 0) {
        sim.asid_bits = c->asid_bits;
    }
    sim_reset(&sim);
    host_memory(c->page_shift, c->ram);
    vm_fault_ahead = c->ahead != 0 ? c->ahead : 1;
    WORLD_OK(vm_init());
    WORLD_OK(pmap_set_default_format(c->format));
    world_files_begin(host_derive(77), c->swap);
    world.up = true;
    world.mismatches = mismatches();
    world_rebase();
}

void
world_rebase(void)
{
    count_kinds(world.kinds);
    world.objects = vm_object_count();
}

static void
all_leave(void)
{
    for (unsigned cpu = 0; cpu <= world.config.cpus; cpu++) {
        world_on(cpu);
        world_leave();
    }
    world_on(0);
}

void
world_end(void)
{
    static const char *const names[VM_PAGE_KINDS] = {
        "reserved", "free", "object", "table", "kernel", "device"
    };
    uint64_t kinds[VM_PAGE_KINDS];

    world_serve();
    all_leave();
    for (unsigned i = 0; i < MAPS; i++) {
        if (vm_get(&maps[i]) != NULL) {
            world_fail("a map was not destroyed");
        }
    }
    world_check();
    if (vm_object_count() != world.objects) {
        world_fail("%llu objects left",
            (unsigned long long)(vm_object_count() - world.objects));
    }
    if (mismatches() != world.mismatches) {
        world_fail("%llu translations broke a law",
            (unsigned long long)(mismatches() - world.mismatches));
    }
    if (world.config.swap > 0 && vm_swap_used() != 0) {
        world_fail("%llu swap slots left",
            (unsigned long long)vm_swap_used());
    }
    count_kinds(kinds);
    for (unsigned k = 0; k < VM_PAGE_KINDS; k++) {
        if (kinds[k] != world.kinds[k]) {
            world_fail("%llu frames are %s, not %llu",
                (unsigned long long)kinds[k], names[k],
                (unsigned long long)world.kinds[k]);
        }
    }
    world_files_end();
    host_memory_end();
    world.up = false;
}

void
world_check(void)
{
    for (unsigned i = 0; i < MAPS; i++) {
        struct vm_map *map = vm_get(&maps[i]);

        if (map != NULL) {
            vm_map_check(map);
            vm_map_audit(map);
        }
    }
    for (uint64_t i = 0; i < vm_page_count; i++) {
        struct vm_page *p = &vm_page_array[i];

        if (vm_get(&p->kind) == VM_PAGE_OBJECT &&
            vm_get(&p->object) != NULL && (i == 0 ||
            vm_get(&p[-1].kind) != VM_PAGE_OBJECT ||
            vm_get(&p[-1].object) != vm_get(&p->object))) {
            vm_object_check(vm_get(&p->object));
        }
    }
    vm_page_check();
    vm_zone_check_all();
    pmap_check_all();
    sim_check_quiet();
}

/*
 * The formats are known once a machine has been booted: boot a small one,
 * perhaps before main(), when host.c has not made its CPUs yet.
 */
static void
learn_formats(void)
{
    static struct vm_held held;

    if (pmap_format_count() > 0) {
        return;
    }
    if (host_cpus[0].held == NULL) {
        host_cpus[0].held = &held;
    }
    host_memory(16, 256);
    WORLD_OK(vm_init());
    host_memory_end();
}

unsigned
world_formats(void)
{
    learn_formats();
    return pmap_format_count();
}

void
world_each(void (*fn)(unsigned format, unsigned shift, void *arg),
    void *arg)
{
    for (unsigned f = 0; f < world_formats(); f++) {
        for (unsigned shift = 12; shift <= 16; shift += 2) {
            if (shift >= pmap_format_page_shift(f)) {
                fn(f, shift, arg);
            }
        }
    }
}

/* ---- CPUs ------------------------------------------------------------- */

void
world_on(unsigned cpu)
{
    host_self = &host_cpus[cpu];
}

void
world_leave(void)
{
    struct cpu *c = &cpus[kern_cpu()];

    vm_progress_end(&c->progress);
    kern_preempt_disable();
    WORLD_OK(pmap_activate(pmap_kernel()));
    kern_preempt_enable();
    vm_set(&c->map, NULL);
}

struct run {
    unsigned n;
    void (*fn)(unsigned cpu, void *arg);
    void *arg;
};

static void
serve(void)
{
    for (;;) {
        uint32_t work = atomic_load(&world_int.work);

        if (world_pager_turn(false)) {
            continue;
        }
        if (atomic_load(&world_int.left) == 0) {
            world_serve();
            return;
        }
        if (world_pager_idle()) {
            (void)kern_wait(&world_int.work, work, false);
        } else {
            host_sleep_steps(30);
        }
    }
}

static void
run_cpu(void *arg, unsigned cpu)
{
    struct run *r = arg;

    if (cpu == r->n) {
        serve();
        return;
    }
    r->fn(cpu, r->arg);
    world_leave();
    atomic_fetch_sub(&world_int.left, 1);
    atomic_fetch_add(&world_int.work, 1);
    kern_wake(&world_int.work);
}

void
world_run(unsigned n, void (*fn)(unsigned cpu, void *arg), void *arg)
{
    struct run r = { n, fn, arg };

    atomic_store(&world_int.left, n);
    world_int.running = true;
    host_run(n + 1, run_cpu, &r);
    world_int.running = false;
}

/* ---- maps ------------------------------------------------------------- */

static void
map_note(struct vm_map *map)
{
    for (unsigned i = 0; i < MAPS; i++) {
        struct vm_map *none = NULL;

        if (atomic_compare_exchange_strong(&maps[i], &none, map)) {
            return;
        }
    }
    world_fail("more than %u maps", MAPS);
}

struct vm_map *
world_map_create(void)
{
    struct vm_map *map;

    WORLD_OK(vm_map_create(&map));
    map_note(map);
    return map;
}

int
world_map_try_fork(struct vm_map *parent, struct vm_map **child)
{
    int error = vm_map_fork(parent, child);

    if (error == VM_OK) {
        map_note(*child);
    }
    return error;
}

struct vm_map *
world_map_fork(struct vm_map *parent)
{
    struct vm_map *child;

    WORLD_OK(world_map_try_fork(parent, &child));
    return child;
}

void
world_map_destroy(struct vm_map *map)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        struct vm_map *was = map;

        /* It holds the space lazily; it will not run in it. */
        if (i == kern_cpu()) {
            vm_progress_end(&cpus[i].progress);
        }
        atomic_compare_exchange_strong(&cpus[i].map, &was, NULL);
    }
    for (unsigned i = 0; i < MAPS; i++) {
        struct vm_map *was = map;

        atomic_compare_exchange_strong(&maps[i], &was, NULL);
    }
    vm_map_unref(map);
}

/* ---- programs --------------------------------------------------------- */

/* Times that a CPU without a root table waits for those that hold all. */
#define PATIENCE    1000u

static int
load_map(struct cpu *c, struct vm_map *map)
{
    unsigned tries = 0;
    int error;

    if (vm_get(&c->map) == map) {
        return VM_OK;
    }
    vm_progress_end(&c->progress);
    do {
        kern_preempt_disable();
        error = pmap_activate(map->pmap);
        kern_preempt_enable();
    } while (error == VM_E_NOMEM && ++tries < PATIENCE &&
        (pmap_make_room(map->pmap) || pmap_is_over(map->pmap) ||
        tries < 8));
    if (error == VM_OK) {
        vm_set(&c->map, map);
    }
    return error;
}

static int
fault(void *arg, vaddr_t va, vm_prot_t access)
{
    struct cpu *c = &cpus[kern_cpu()];
    struct vm_map *map = arg;

    atomic_fetch_add_explicit(&c->faults, 1, memory_order_relaxed);
    return vm_fault_thread(map, va, access, c->pc, &c->progress);
}

static int
program(struct vm_map *map, vaddr_t va, void *buf, size_t size,
    vm_prot_t access)
{
    struct cpu *c = &cpus[kern_cpu()];
    uint8_t *b = buf;
    int error;

    while (size > 0) {
        size_t n = 4096 - (va & 4095);

        n = n < size ? n : size;
        /* Each piece is an instruction of its own. */
        c->pc++;
        error = load_map(c, map);
        if (error == VM_OK) {
            error = sim_user_copy(kern_cpu(), va, b, n, access, fault,
                map);
        }
        if (error != VM_OK) {
            return error;
        }
        va += n;
        b += n;
        size -= n;
    }
    return VM_OK;
}

int
world_load(struct vm_map *map, vaddr_t va, void *buf, size_t size)
{
    return program(map, va, buf, size, VM_PROT_READ);
}

int
world_store(struct vm_map *map, vaddr_t va, const void *buf, size_t size)
{
    return program(map, va, (void *)(uintptr_t)buf, size, VM_PROT_WRITE);
}

int
world_exec(struct vm_map *map, vaddr_t va)
{
    uint32_t word;

    return program(map, va, &word, sizeof(word), VM_PROT_EXEC);
}

uint64_t
world_load64(struct vm_map *map, vaddr_t va)
{
    uint64_t value;

    WORLD_OK(world_load(map, va, &value, sizeof(value)));
    return value;
}

void
world_store64(struct vm_map *map, vaddr_t va, uint64_t value)
{
    WORLD_OK(world_store(map, va, &value, sizeof(value)));
}

uint64_t
world_faults(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        n += vm_get(&cpus[i].faults);
    }
    return n;
}
