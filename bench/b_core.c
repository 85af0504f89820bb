/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * b_core.c - what the core's operations cost, in instructions.
 *
 * Run by "./pal count" under callgrind; each case does its setting-up
 * first, then N operations while instrumentation is on.  zero_fill and
 * cow_copy include the bulk data, which clear_page and copy_page give
 * alone.  Nothing is discarded unless the case says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "host.h"
#include "pmap_ctl.h"
#include "sim.h"
#include "vm_fault.h"

#define PAGES   (64u * 1024)
#define PAGE    4096ull

static struct vm_map *map;
static unsigned long ops;

static void
must(int error, const char *what)
{
    if (error != VM_OK) {
        fprintf(stderr, "b_core: %s: error %d\n", what, error);
        exit(1);
    }
}

static vaddr_t
allocate(vsize_t pages)
{
    vaddr_t va = 0;

    must(vm_map_allocate(map, &va, pages * PAGE, true), "allocate");
    return va;
}

static void
touch(struct vm_map *m, vaddr_t va, unsigned long pages, vm_prot_t access)
{
    for (unsigned long i = 0; i < pages; i++) {
        must(vm_fault(m, va + i * PAGE, access), "fault");
    }
}

static void
begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
}

static void
end(void)
{
    CALLGRIND_STOP_INSTRUMENTATION;
}

static void
bench_clear_page(void)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_USER);

    begin();
    for (unsigned long i = 0; i < ops; i++) {
        vm_page_zero(p);
    }
    end();
}

static void
bench_copy_page(void)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_USER);
    struct vm_page *q = vm_page_alloc(VM_PAGE_KERNEL, VM_ALLOC_USER);

    begin();
    for (unsigned long i = 0; i < ops; i++) {
        vm_page_copy(p, q);
    }
    end();
}

static void
bench_zero_fill(void)
{
    vaddr_t va = allocate(ops + 1);

    touch(map, va, 1, VM_PROT_WRITE);
    begin();
    touch(map, va + PAGE, ops, VM_PROT_WRITE);
    end();
}

/* One page a fault: the neighbours are not mapped along. */
static void
bench_soft_fault(void)
{
    vaddr_t va = allocate(ops + 1);

    vm_fault_around = 1;
    touch(map, va, ops + 1, VM_PROT_WRITE);
    must(pmap_discard(map->pmap), "discard");
    /* Tables back in place, a page in each. */
    for (unsigned long i = 0; i <= ops; i += 512) {
        touch(map, va + i * PAGE, 1, VM_PROT_READ);
    }
    begin();
    touch(map, va + PAGE, ops, VM_PROT_READ);
    end();
}

/* A fault maps 16; the cost is that of a page. */
static void
bench_soft_around_page(void)
{
    vaddr_t va = allocate(ops + 16);

    touch(map, va, ops + 16, VM_PROT_WRITE);
    must(pmap_discard(map->pmap), "discard");
    touch(map, va, 1, VM_PROT_READ);
    va = (va + 16 * PAGE) & ~(16 * PAGE - 1);
    begin();
    for (unsigned long i = 0; i < ops; i += 16) {
        must(vm_fault(map, va + i * PAGE, VM_PROT_READ), "fault");
    }
    end();
}

static void
bench_cow_copy(void)
{
    vaddr_t va = allocate(ops + 1);
    struct vm_map *child;

    touch(map, va, ops + 1, VM_PROT_WRITE);
    must(vm_map_fork(map, &child), "fork");
    touch(child, va, ops + 1, VM_PROT_READ);
    /* The first write makes the shadow object. */
    touch(child, va, 1, VM_PROT_WRITE);
    begin();
    touch(child, va + PAGE, ops, VM_PROT_WRITE);
    end();
}

/* The child is gone: the parent writes what is its own again. */
static void
bench_cow_reuse(void)
{
    vaddr_t va = allocate(ops + 1);
    struct vm_map *child;

    touch(map, va, ops + 1, VM_PROT_WRITE);
    must(vm_map_fork(map, &child), "fork");
    vm_map_unref(child);
    touch(map, va, ops + 1, VM_PROT_READ);
    touch(map, va, 1, VM_PROT_WRITE);
    begin();
    touch(map, va + PAGE, ops, VM_PROT_WRITE);
    end();
}

/* n entries that do not merge. */
static vaddr_t
entries(unsigned long n)
{
    vaddr_t va = allocate(2 * n);

    for (unsigned long i = 0; i < n; i++) {
        must(vm_map_deallocate(map, va + (2 * i + 1) * PAGE, PAGE),
            "deallocate");
    }
    return va;
}

static void
bench_lookup(unsigned long n)
{
    vaddr_t va = entries(n);
    struct vm_lookup look;
    uint64_t x = 1;

    begin();
    for (unsigned long i = 0; i < ops; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        must(vm_map_lookup(map, va + 2 * PAGE * ((x >> 33) % n), &look),
            "lookup");
    }
    end();
}

static void
bench_lookup_same(void)
{
    vaddr_t va = entries(10);
    struct vm_lookup look;

    begin();
    for (unsigned long i = 0; i < ops; i++) {
        must(vm_map_lookup(map, va + 6 * PAGE, &look), "lookup");
    }
    end();
}

static void
bench_lookup_10(void)
{
    bench_lookup(10);
}

static void
bench_lookup_100000(void)
{
    bench_lookup(100000);
}

/* Each entry has an object and a page, written since the last fork. */
static void
bench_fork(unsigned long n)
{
    vaddr_t va = entries(n);
    struct vm_map *child;

    for (unsigned long i = 0; i < n; i++) {
        touch(map, va + 2 * i * PAGE, 1, VM_PROT_WRITE);
    }
    for (unsigned long i = 0; i < ops; i++) {
        begin();
        must(vm_map_fork(map, &child), "fork");
        end();
        vm_map_unref(child);
        touch(map, va, 1, VM_PROT_WRITE);
    }
}

static void
bench_fork_10(void)
{
    bench_fork(10);
}

static void
bench_fork_10000(void)
{
    bench_fork(10000);
}

static void
bench_map_touch_unmap(void)
{
    vaddr_t va = allocate(1);

    touch(map, va, 1, VM_PROT_WRITE);
    begin();
    for (unsigned long i = 0; i < ops; i++) {
        va = allocate(1);
        touch(map, va, 1, VM_PROT_WRITE);
        must(vm_map_deallocate(map, va, PAGE), "deallocate");
    }
    end();
}

static void
bench_unmap_page(void)
{
    vaddr_t va = allocate(ops);

    touch(map, va, ops, VM_PROT_WRITE);
    begin();
    must(vm_map_deallocate(map, va, ops * PAGE), "deallocate");
    end();
}

static void
bench_protect_page(void)
{
    vaddr_t va = allocate(1);

    touch(map, va, 1, VM_PROT_WRITE);
    begin();
    for (unsigned long i = 0; i < ops; i++) {
        must(vm_map_protect(map, va, PAGE, (i & 1) != 0 ? VM_PROT_READ :
            VM_PROT_READ | VM_PROT_WRITE, false), "protect");
    }
    end();
}

static const struct {
    const char *name;
    void (*run)(void);
} bench_cases[] = {
    { "clear_page", bench_clear_page },
    { "copy_page", bench_copy_page },
    { "zero_fill", bench_zero_fill },
    { "soft_fault", bench_soft_fault },
    { "soft_around_page", bench_soft_around_page },
    { "cow_copy", bench_cow_copy },
    { "cow_reuse", bench_cow_reuse },
    { "lookup_same", bench_lookup_same },
    { "lookup_10", bench_lookup_10 },
    { "lookup_100000", bench_lookup_100000 },
    { "fork_10", bench_fork_10 },
    { "fork_10000", bench_fork_10000 },
    { "map_touch_unmap", bench_map_touch_unmap },
    { "unmap_page", bench_unmap_page },
    { "protect_page", bench_protect_page },
};
#define CASES (sizeof(bench_cases) / sizeof(bench_cases[0]))

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < CASES; i++) {
            puts(bench_cases[i].name);
        }
        return 0;
    }
    ops = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (ops == 0 || ops > PAGES / 8) {
        fprintf(stderr, "usage: b_core --list | CASE N, N up to %u\n",
            PAGES / 8);
        return 2;
    }
    for (size_t i = 0; i < CASES; i++) {
        if (strcmp(argv[1], bench_cases[i].name) == 0) {
            host_memory(12, PAGES);
            must(vm_init(), "vm_init");
            must(vm_map_create(&map), "vm_map_create");
            kern_preempt_disable();
            must(pmap_activate(map->pmap), "pmap_activate");
            kern_preempt_enable();
            bench_cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "b_core: no case '%s'; --list names them\n", argv[1]);
    return 2;
}
