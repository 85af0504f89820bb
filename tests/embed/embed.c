/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * embed.c - the VM core in a program of its own, with nothing but this
 * file: the example of docs/embedding.md.
 *
 * It links mi/ and pmap/common/ with the page-table format of one machine
 * and supplies what vm_kern.h asks for (one CPU, one thread) and what
 * pt_md.h asks of an MMU (here: a CPU with no TLB, which translates by
 * asking the pmap).  Then it does what a kernel does: makes an address
 * space, takes faults, forks, and looks at who sees which bytes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pmap_ctl.h"
#include "pt_md.h"
#include "vm_fault.h"
#include "vm_stat.h"

#define RAM_PAGES       1024u

unsigned char *embed_ram;
static struct vm_held embed_held_locks;
struct vm_held *embed_held = &embed_held_locks;

/* ---- what vm_kern.h asks for ------------------------------------------ */

int
kern_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible)
{
    (void)interruptible;
    if (*word == value) {
        kern_panic("one thread would wait for itself");
    }
    return VM_OK;
}

void
kern_wake(_Atomic uint32_t *word)
{
    (void)word;
}

void
kern_panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("panic: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void
kern_memory_low(void)
{
}

/* ---- what pt_md.h asks for: an MMU that remembers nothing ------------- */

unsigned
pmap_md_asid_bits(void)
{
    return 0;
}

uint64_t
pmap_md_formats(void)
{
    return ~(uint64_t)0;
}

void
pmap_md_flush(const struct pt_flush *f, struct pt_cpuset cpus)
{
    (void)f;
    (void)cpus;
}

void
pmap_md_activate(const struct pt_format *f, paddr_t root, uint32_t asid,
    bool flush_asid)
{
    (void)f;
    (void)root;
    (void)asid;
    (void)flush_asid;
}

bool
pmap_md_reload(const struct pt_format *f, paddr_t root, uint32_t asid,
    unsigned cpu, bool (*still)(void *arg, unsigned cpu), void *arg)
{
    (void)f;
    (void)root;
    (void)asid;
    return still(arg, cpu);
}

void
pmap_md_fence(vaddr_t va, uint32_t asid)
{
    (void)va;
    (void)asid;
}

void
pmap_md_icache_sync(paddr_t pa, size_t size)
{
    (void)pa;
    (void)size;
}

paddr_t
pmap_md_kernel_root(const struct pt_format *f, paddr_t made)
{
    (void)f;
    return made;
}

/* ---- a program's loads and stores ------------------------------------- */

static unsigned char *
user_byte(struct vm_map *map, vaddr_t va, vm_prot_t access)
{
    vm_prot_t prot;
    paddr_t pa;

    while (!pmap_extract(map->pmap, vm_trunc_page(va), &pa, &prot) ||
        (prot & access) != access) {
        int error = vm_fault(map, va, access);

        if (error != VM_OK) {
            return NULL;        /* a kernel would send a signal */
        }
    }
    return (unsigned char *)kern_frame_ptr(pa) + (va & VM_PAGE_MASK);
}

static void
store(struct vm_map *map, vaddr_t va, unsigned char value)
{
    *user_byte(map, va, VM_PROT_WRITE) = value;
}

static unsigned char
load(struct vm_map *map, vaddr_t va)
{
    return *user_byte(map, va, VM_PROT_READ);
}

static void
expect(bool ok, const char *what)
{
    printf("%s %s\n", ok ? "yes" : "NO ", what);
    if (!ok) {
        exit(1);
    }
}

static void
boot(void)
{
    struct vm_page *core_map = calloc(VM_PAGE_ENTRIES(RAM_PAGES),
        sizeof(struct vm_page));

    vm_page_shift = 12;
    embed_ram = mmap(NULL, RAM_PAGES << vm_page_shift,
        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (core_map == NULL || embed_ram == MAP_FAILED) {
        fputs("embed: no memory for the machine's RAM\n", stderr);
        exit(1);
    }
    vm_page_bootstrap(core_map, EMBED_RAM_BASE, RAM_PAGES);
    vm_page_release(EMBED_RAM_BASE, RAM_PAGES);
    if (vm_init() != VM_OK) {
        fputs("embed: vm_init failed\n", stderr);
        exit(1);
    }
}

int
main(void)
{
    struct vm_statistics stat;
    struct vm_map *parent, *child;
    vaddr_t va = 0;

    boot();
    expect(vm_map_create(&parent) == VM_OK, "an address space");
    expect(vm_map_allocate(parent, &va, 16 * VM_PAGE_SIZE, true) == VM_OK,
        "16 pages of memory in it");
    expect(user_byte(parent, va - 1, VM_PROT_READ) == NULL,
        "an access before them is refused");
    expect(load(parent, va) == 0, "they read as zero");
    store(parent, va, 'p');

    expect(vm_map_fork(parent, &child) == VM_OK, "a child");
    expect(load(child, va) == 'p', "it reads what its parent wrote");
    store(child, va, 'c');
    expect(load(parent, va) == 'p', "what it writes, its parent does not see");
    expect(load(child, va) == 'c', "and it reads back itself");

    expect(pmap_discard(parent->pmap) == VM_OK,
        "the parent's page tables thrown away");
    expect(load(parent, va) == 'p', "and nothing is lost");

    vm_map_check(parent);
    vm_map_check(child);
    vm_map_unref(child);
    vm_map_unref(parent);
    vm_statistics(&stat);
    expect(stat.pages_object == 0, "all memory is free again");
    printf("%llu faults, %llu pages copied, %llu zeroed\n",
        (unsigned long long)stat.event[VM_STAT_FAULTS],
        (unsigned long long)stat.event[VM_STAT_COPIES],
        (unsigned long long)stat.event[VM_STAT_ZERO_FILLS]);
    return 0;
}
