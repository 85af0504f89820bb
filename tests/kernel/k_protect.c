/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * k_protect.c - what the kernel has made impossible, tried.
 */
#include "ktest.h"
#include "pmap_ctl.h"

static void
nop(void)
{
}

static const uint64_t constant[64] = { 1, 2, 3 };
static uint64_t data[64] = { 1, 2, 3 };
static uint64_t bss[64];

static vaddr_t
address(const void *p)
{
    return (vaddr_t)(uintptr_t)p & ~(vaddr_t)7;
}

static vaddr_t
text(void)
{
    return (vaddr_t)(uintptr_t)nop;
}

/* Reads, and stores the same again: no harm if it succeeds. */
static bool
may_write(vaddr_t va)
{
    uint64_t value = 0;

    return md_probe(va, VM_PROT_READ, false, &value) &&
        md_probe(va, VM_PROT_WRITE, false, &value);
}

static bool
may_read(vaddr_t va)
{
    uint64_t value = 0;

    return md_probe(va, VM_PROT_READ, false, &value);
}

static bool
may_execute(vaddr_t va)
{
    uint64_t value = 0;

    return md_probe(va, VM_PROT_EXEC, false, &value);
}

static bool
user_may(vaddr_t va, vm_prot_t access)
{
    uint64_t value = 0;

    return md_probe(va, access, true, &value);
}

KTEST(text)
{
    KCHECK(may_read(text() & ~(vaddr_t)7));
    KCHECK(may_execute(text()));
    KCHECK(!may_write(text() & ~(vaddr_t)7));
}

KTEST(constants)
{
    KCHECK(may_read(address(constant)));
    KCHECK(!may_write(address(constant)));
    KCHECK(!may_execute(address(constant)));
}

KTEST(data)
{
    uint64_t stack[8];
    void *item = kern_alloc(64), *window = kern_map_pages(1);
    /* Code, so that nothing but a missing right could stop it. */
    void *const place[] = { data, bss, stack, item, window };

    KREQUIRE(item != NULL && window != NULL);
    for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
        memcpy(place[i], (const void *)text(), 16);
        KCHECK(may_write(address(place[i])));
        KCHECK(!may_execute(address(place[i])));
    }
    kern_free(item, 64);
    kern_unmap_pages(window, 1);
}

/* The frame of the text's page: found by what it holds. */
static vaddr_t
alias_of(vaddr_t page)
{
    for (uint64_t i = 0; i < vm_page_count; i++) {
        vaddr_t va = address(vm_page_data(&vm_page_array[i]));

        if (vm_get(&vm_page_array[i].kind) != VM_PAGE_RESERVED) {
            continue;
        }
        for (vaddr_t end = va + VM_PAGE_SIZE; va < end; va += 4096) {
            if (may_read(va) && memcmp((const void *)va,
                (const void *)page, 4096) == 0) {
                return va;
            }
        }
    }
    return 0;
}

KTEST(direct_map)
{
    vaddr_t code = alias_of(text() & ~(vaddr_t)4095);
    vaddr_t fixed = alias_of(address(constant) & ~(vaddr_t)4095);

    KREQUIRE(code != 0 && fixed != 0);
    KCHECK(!may_write(code));
    KCHECK(!may_execute(code + (text() & 4095)));
    KCHECK(!may_write(fixed));
    KCHECK(!may_execute(fixed));
}

static int
window_right(void *arg, const struct pmap_mapping *m)
{
    unsigned *n = arg;

    (*n)++;
    KCHECK(m->wired);
    KCHECK((m->prot & VM_PROT_EXEC) == 0);
    return 0;
}

KTEST(window)
{
    unsigned n = 0;

    KCHECK(pmap_audit(pmap_kernel(), window_right, &n) == 0);
    KCHECK(n >= THREAD_STACK_SIZE / VM_PAGE_SIZE);
}

/* What a program would get of the kernel's half. */
KTEST(user_rights)
{
    void *item = kern_alloc(64), *window = kern_map_pages(1);
    const vaddr_t place[] = {
        address((const void *)text()), address(constant), address(data),
        address(bss), address(&item), address(item), address(window)
    };

    KREQUIRE(item != NULL && window != NULL);
    for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
        KCHECK(may_read(place[i]));
        KCHECK(!user_may(place[i], VM_PROT_READ));
        KCHECK(!user_may(place[i], VM_PROT_WRITE));
    }
    kern_free(item, 64);
    kern_unmap_pages(window, 1);
}

/*
 * The page is there, in the tables and with every right of a program; but
 * the kernel gets at it only the way that says so, where the processor can
 * tell.  No map meanwhile: a fault shall not be resolved, and retried.
 */
KTEST(user_memory)
{
    struct thread *t = thread_current();
    struct vm_map *map = ktest_map_enter(1);
    uint64_t value = 7;

    KREQUIRE(map != NULL);
    KCHECK(vm_map_protect(map, KTEST_BASE, VM_PAGE_SIZE, VM_PROT_ALL, false)
        == VM_OK);
    KCHECK(md_copyout(KTEST_BASE, (const void *)text(), 16) == VM_OK);
    KCHECK(md_copyout(KTEST_BASE + 64, &value, 8) == VM_OK);
    KCHECK(vm_fault(map, KTEST_BASE, VM_PROT_ALL) == VM_OK);
    t->map = NULL;
    KCHECK(user_may(KTEST_BASE + 64, VM_PROT_READ));
    KCHECK(user_may(KTEST_BASE + 64, VM_PROT_WRITE));
    KCHECK(may_read(KTEST_BASE + 64) ==
        ((md_user_open() & VM_PROT_READ) != 0));
    KCHECK(md_probe(KTEST_BASE + 64, VM_PROT_WRITE, false, &value) ==
        ((md_user_open() & VM_PROT_WRITE) != 0));
    KCHECK(may_execute(KTEST_BASE) ==
        ((md_user_open() & VM_PROT_EXEC) != 0));
    t->map = map;
    ktest_map_leave(map);
}

KTEST(null)
{
    struct vm_map *map = ktest_map_enter(1);

    KREQUIRE(map != NULL);
    for (vaddr_t va = 0; va < 65536; va += 4096 - 8) {
        KCHECK(!may_read(va));
        KCHECK(!user_may(va, VM_PROT_READ));
        KCHECK(!user_may(va, VM_PROT_WRITE));
    }
    KCHECK(!may_execute(0));
    ktest_map_leave(map);
    KCHECK(!may_read(0));
    KCHECK(!may_execute(0));
    KCHECK(!may_execute(8));
}

/* Addresses that no table can translate. */
KTEST(no_addresses)
{
    static const vaddr_t wild[] = {
        UINT64_C(0x0000800000000000), UINT64_C(0x00007ffffffffff8),
        UINT64_C(0x4000000000000000), UINT64_C(0x8000000000000000),
        UINT64_C(0xdeadbeefdeadbee8), UINT64_C(0xfffffffffffffff8),
        UINT64_C(0xffff000000000000), UINT64_C(0xfff8000000000000)
    };

    for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        uint64_t value = 0;

        KCHECK(!may_read(wild[i]));
        KCHECK(!md_probe(wild[i], VM_PROT_WRITE, false, &value));
        KCHECK(!may_execute(wild[i]));
        KCHECK(!user_may(wild[i], VM_PROT_READ));
        KCHECK(!user_may(wild[i], VM_PROT_WRITE));
    }
}
