/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * k_alloc.c - the kernel's memory: any size, the window, failures.
 */
#include "ktest.h"
#include "testpoint.h"

static uint64_t random_state;

static unsigned
pick(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % n);
}

static bool
all_bytes(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != value) {
            return false;
        }
    }
    return true;
}

KTEST(sizes)
{
    for (size_t size = 1; size <= 3 * 4096 + 1; size += size < 64 ? 1 : 61) {
        uint8_t *p = kern_alloc(size), *q = kern_alloc(size);

        KREQUIRE(p != NULL && q != NULL);
        KCHECK(((uintptr_t)p & 15) == 0);
        KCHECK(all_bytes(p, size, 0) && all_bytes(q, size, 0));
        memset(p, 0xa5, size);
        KCHECK(all_bytes(q, size, 0));
        memset(q, 0x5a, size);
        KCHECK(all_bytes(p, size, 0xa5));
        kern_free(p, size);
        kern_free(q, size);
        kern_free(NULL, size);
    }
}

#define SLOTS   200u

KTEST(random)
{
    static struct {
        uint8_t *p;
        size_t size;
        uint8_t value;
    } slot[SLOTS];

    random_state = 1;
    for (unsigned turn = 0; turn < 20000; turn++) {
        unsigned i = pick(SLOTS);

        if (slot[i].p != NULL) {
            KCHECK(all_bytes(slot[i].p, slot[i].size, slot[i].value));
            kern_free(slot[i].p, slot[i].size);
            slot[i].p = NULL;
            continue;
        }
        slot[i].size = pick(20) != 0 ? 1 + pick(600) : 1 + pick(20000);
        slot[i].value = (uint8_t)turn;
        slot[i].p = kern_alloc(slot[i].size);
        KREQUIRE(slot[i].p != NULL);
        KCHECK(all_bytes(slot[i].p, slot[i].size, 0));
        memset(slot[i].p, slot[i].value, slot[i].size);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        kern_free(slot[i].p, slot[i].size);
        slot[i].p = NULL;
    }
}

KTEST(window)
{
    uint64_t value = 0, size = 3 * VM_PAGE_SIZE;
    uint8_t *a = kern_map_pages(3), *b = kern_map_pages(3);
    vaddr_t va = (vaddr_t)(uintptr_t)a;

    KREQUIRE(a != NULL && b != NULL);
    KCHECK(all_bytes(a, size, 0) && all_bytes(b, size, 0));
    memset(a, 1, size);
    memset(b, 2, size);
    KCHECK(all_bytes(a, size, 1));
    KCHECK(!md_probe(va - 8, VM_PROT_READ, false, &value));
    KCHECK(!md_probe(va + size, VM_PROT_READ, false, &value));
    KCHECK(md_probe(va + size - 8, VM_PROT_READ, false, &value));
    KCHECK(!md_probe(va, VM_PROT_EXEC, false, &value));
    KCHECK(!md_probe(va, VM_PROT_READ, true, &value));
    kern_unmap_pages(a, 3);
    KCHECK(!md_probe(va, VM_PROT_READ, false, &value));
    KCHECK(all_bytes(b, size, 2));
    a = kern_map_pages(3);
    KREQUIRE(a != NULL);
    KCHECK((vaddr_t)(uintptr_t)a == va);        /* lowest first */
    KCHECK(all_bytes(a, size, 0));
    kern_unmap_pages(a, 3);
    kern_unmap_pages(b, 3);
}

/* More than there are frames, and more than there are addresses. */
KTEST(too_much)
{
    KCHECK(kern_alloc((size_t)(vm_page_free_count() + 1) * VM_PAGE_SIZE)
        == NULL);
    KCHECK(kern_alloc((size_t)1 << 40) == NULL);
    KCHECK(kern_alloc(SIZE_MAX / 2) == NULL);
}

#if VM_TEST
static void
nothing(void *arg)
{
    (void)arg;
}

/* Whatever allocation fails, what was taken before it is given back. */
KTEST(failures)
{
    struct thread *t = NULL;
    long n;

    for (n = 0; n < 100; n++) {
        void *p;

        kern_test_fail_after(n);
        p = kern_alloc(5 * 4096);
        if (p != NULL) {
            kern_free(p, 5 * 4096);
        }
        if (!kern_test_failed()) {
            break;
        }
        KCHECK(p == NULL);
    }
    KCHECK(n > 0 && n < 100);
    for (n = 0; n < 100; n++) {
        int error;

        kern_test_fail_after(n);
        error = thread_create("failing", nothing, NULL, &t);
        if (error == VM_OK) {
            thread_destroy(t);
        }
        if (!kern_test_failed()) {
            break;
        }
        KCHECK(error == VM_E_NOMEM);
    }
    KCHECK(n > 0 && n < 100);
    kern_test_fail_after(-1);
}
#endif
