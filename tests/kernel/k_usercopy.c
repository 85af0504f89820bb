/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * k_usercopy.c - the only way to a program's memory, and its limits.
 */
#include "ktest.h"
#include "pmap_ctl.h"
#include "testpoint.h"

#define BASE    KTEST_BASE

/* Three pages of bytes; the middle one is looked at. */
static uint8_t *
pattern(uint8_t seed)
{
    size_t size = 3 * VM_PAGE_SIZE;
    uint8_t *p = kern_alloc(size);

    for (size_t i = 0; p != NULL && i < size; i++) {
        p[i] = (uint8_t)(seed + i * 7 + i / 251);
    }
    return p;
}

static bool
is_byte(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != value) {
            return false;
        }
    }
    return true;
}

/* Every alignment of both ends, not a byte more. */
KTEST(alignments)
{
    struct vm_map *map = ktest_map_enter(2);
    uint8_t *from = pattern(1), to[160];

    KREQUIRE(map != NULL && from != NULL);
    for (size_t n = 0; n < 80; n += n < 34 ? 1 : 13) {
        for (unsigned a = 0; a < 9; a++) {
            for (unsigned b = 0; b < 9; b++) {
                vaddr_t va = BASE + VM_PAGE_SIZE - 32 + a;

                memset(to, 0xee, sizeof(to));
                KCHECK(md_copyout(va - 8, to, 96) == VM_OK);
                KCHECK(md_copyout(va, from + b, n) == VM_OK);
                KCHECK(md_copyin(to + 16 + b, va, n) == VM_OK);
                KCHECK(memcmp(to + 16 + b, from + b, n) == 0);
                KCHECK(is_byte(to, 16 + b, 0xee));
                KCHECK(is_byte(to + 16 + b + n, 8, 0xee));
                KCHECK(md_copyin(to, va - 8, 96) == VM_OK);
                KCHECK(is_byte(to, 8, 0xee));
                KCHECK(is_byte(to + 8 + n, 88 - n, 0xee));
            }
        }
    }
    kern_free(from, 3 * VM_PAGE_SIZE);
    ktest_map_leave(map);
}

KTEST(pages)
{
    struct vm_map *map = ktest_map_enter(3);
    uint8_t *from = pattern(2), *to = pattern(3);
    size_t size = 3 * VM_PAGE_SIZE;

    KREQUIRE(map != NULL && from != NULL && to != NULL);
    KCHECK(md_copyout(BASE, from, size) == VM_OK);
    KCHECK(md_copyin(to, BASE, size) == VM_OK);
    KCHECK(memcmp(from, to, size) == 0);
    /* What is forgotten comes back, also under the copy. */
    for (unsigned i = 0; i < 20; i++) {
        memset(to, 0, size);
        /* As entering the kernel does: else the space is held. */
        vm_progress_end(&thread_current()->progress);
        KCHECK(pmap_discard(map->pmap) == VM_OK);
        KCHECK(md_copyin(to, BASE + i, size - i) == VM_OK);
        KCHECK(memcmp(from + i, to, size - i) == 0);
    }
    kern_free(from, size);
    kern_free(to, size);
    ktest_map_leave(map);
}

/* Refused before the first byte, or at the first that is not there. */
static void
refused(vaddr_t va, size_t n)
{
    static uint8_t buf[256];
    uint32_t word = 0;
    size_t len = 0;

    KCHECK(md_copyin(buf, va, n) == VM_E_ADDRESS);
    KCHECK(md_copyout(va, buf, n) == VM_E_ADDRESS);
    KCHECK(md_copyin_str((char *)buf, va, n < 256 ? n : 256, &len) ==
        VM_E_ADDRESS);
    KCHECK(md_user_load32(va & ~(vaddr_t)3, &word) == VM_E_ADDRESS);
    KCHECK(md_user_cas32(va & ~(vaddr_t)3, 0, 0, &word) == VM_E_ADDRESS);
}

KTEST(bad_addresses)
{
    struct vm_map *map = ktest_map_enter(1);
    void *item = kern_alloc(64), *window = kern_map_pages(1);
    static uint8_t data[64];
    vaddr_t start, end;

    KREQUIRE(map != NULL && item != NULL && window != NULL);
    pmap_bounds(map->pmap, &start, &end);
    const vaddr_t bad[] = {
        0, 8, 4095, start - 8, BASE - 8, BASE + VM_PAGE_SIZE, end - 8, end,
        end + 8, UINT64_C(1) << 62, UINT64_C(1) << 63,
        (vaddr_t)(uintptr_t)item, (vaddr_t)(uintptr_t)window,
        (vaddr_t)(uintptr_t)data, (vaddr_t)(uintptr_t)kern_alloc,
        (vaddr_t)(uintptr_t)&end, ~(vaddr_t)7
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        static const size_t sizes[] = { 1, 3, 4, 8, 9, 64, 200 };

        for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            /* Below the page, not up to it. */
            if (bad[i] + sizes[k] <= BASE || bad[i] >= BASE) {
                refused(bad[i], sizes[k]);
            }
        }
    }
    kern_free(item, 64);
    kern_unmap_pages(window, 1);
    ktest_map_leave(map);
}

/* Lengths that reach into the kernel's half, or wrap. */
KTEST(bad_lengths)
{
    struct vm_map *map = ktest_map_enter(1);
    size_t size = 2 * VM_PAGE_SIZE;
    uint8_t *buf = kern_alloc(size);

    KREQUIRE(map != NULL && buf != NULL);
    const size_t bad[] = {
        SIZE_MAX, SIZE_MAX - BASE, SIZE_MAX - BASE + 1, SIZE_MAX / 2,
        (size_t)1 << 63, ~(size_t)7,
        /* Not the program's address wraps, but the kernel's. */
        64 - (size_t)(uintptr_t)buf, 0 - (size_t)(uintptr_t)buf
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int in = md_copyin(buf, BASE, bad[i]);
        int out = md_copyout(BASE, buf, bad[i]);

        if (in != VM_E_ADDRESS || out != VM_E_ADDRESS) {
            ktest_failed(__FILE__, __LINE__, "length %zx: %d, %d", bad[i],
                in, out);
        }
    }
    KCHECK(is_byte(buf, size, 0));
    KCHECK(md_copyin(buf, BASE, 0) == VM_OK);
    KCHECK(md_copyout(BASE, buf, 0) == VM_OK);
    kern_free(buf, size);
    ktest_map_leave(map);
}

KTEST(crossing)
{
    struct vm_map *map = ktest_map_enter(1);
    vaddr_t last = BASE + VM_PAGE_SIZE;
    static uint8_t buf[64];

    KREQUIRE(map != NULL);
    for (unsigned n = 1; n <= 64; n++) {
        KCHECK(md_copyout(last - n, buf, n) == VM_OK);
        KCHECK(md_copyin(buf, last - n, n) == VM_OK);
        KCHECK(md_copyout(last - n + 1, buf, n) == VM_E_ADDRESS);
        KCHECK(md_copyin(buf, last - n + 1, n) == VM_E_ADDRESS);
        KCHECK(md_copyin(buf, BASE - 1, n) == VM_E_ADDRESS);
        KCHECK(md_copyout(BASE - 1, buf, n) == VM_E_ADDRESS);
    }
    ktest_map_leave(map);
}

KTEST(rights)
{
    struct vm_map *map = ktest_map_enter(1);
    uint64_t value = 5, seen = 0;
    uint32_t word;

    KREQUIRE(map != NULL);
    KCHECK(md_copyout(BASE, &value, 8) == VM_OK);
    KCHECK(vm_map_protect(map, BASE, VM_PAGE_SIZE, VM_PROT_READ, false) ==
        VM_OK);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_OK && seen == 5);
    KCHECK(md_copyout(BASE, &value, 8) == VM_E_ADDRESS);
    KCHECK(md_user_load32(BASE, &word) == VM_OK && word == 5);
    KCHECK(md_user_cas32(BASE, 5, 6, &word) == VM_E_ADDRESS);
    KCHECK(vm_map_protect(map, BASE, VM_PAGE_SIZE, VM_PROT_NONE, false) ==
        VM_OK);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_E_ADDRESS);
    KCHECK(md_user_load32(BASE, &word) == VM_E_ADDRESS);
    KCHECK(vm_map_protect(map, BASE, VM_PAGE_SIZE, VM_PROT_READ |
        VM_PROT_WRITE, false) == VM_OK);
    KCHECK(md_copyout(BASE, &value, 8) == VM_OK);
    ktest_map_leave(map);
}

/* A copy breaks copy-on-write as the program's own store would. */
KTEST(copy_on_write)
{
    struct vm_map *map = ktest_map_enter(1), *child;
    uint64_t one = 1, two = 2, seen = 0;

    KREQUIRE(map != NULL);
    KCHECK(md_copyout(BASE, &one, 8) == VM_OK);
    KREQUIRE(vm_map_fork(map, &child) == VM_OK);
    KCHECK(md_copyout(BASE, &two, 8) == VM_OK);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_OK && seen == 2);
    thread_set_map(child);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_OK && seen == 1);
    vm_map_unref(map);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_OK && seen == 1);
    ktest_map_leave(child);
}

KTEST(strings)
{
    struct vm_map *map = ktest_map_enter(1);
    vaddr_t last = BASE + VM_PAGE_SIZE;
    char buf[64];
    size_t len;

    KREQUIRE(map != NULL);
    for (unsigned n = 0; n < 40; n++) {
        for (unsigned a = 0; a < 9; a++) {
            vaddr_t va = last - n - 1 - a;

            memset(buf, 'x', sizeof(buf));
            KCHECK(md_copyout(last - sizeof(buf), buf, 64) == VM_OK);
            buf[0] = 0;
            KCHECK(md_copyout(va + n, buf, 1) == VM_OK);
            memset(buf, 'y', sizeof(buf));
            KCHECK(md_copyin_str(buf, va, sizeof(buf), &len) == VM_OK);
            KCHECK(len == n && strlen(buf) == n);
            memset(buf, 'y', sizeof(buf));
            KCHECK(md_copyin_str(buf, va, n + 1, &len) == VM_OK);
            KCHECK(len == n && strlen(buf) == n && buf[n + 1] == 'y');
            if (n > 0) {
                KCHECK(md_copyin_str(buf, va, n, &len) == VM_E_NOSPACE);
            }
        }
    }
    memset(buf, 'x', sizeof(buf));
    KCHECK(md_copyout(last - sizeof(buf), buf, 64) == VM_OK);
    KCHECK(md_copyin_str(buf, last - 16, 64, &len) == VM_E_ADDRESS);
    KCHECK(md_copyin_str(buf, last - 16, 16, &len) == VM_E_NOSPACE);
    ktest_map_leave(map);
}

KTEST(words)
{
    struct vm_map *map = ktest_map_enter(1);
    uint32_t seen = 99;

    KREQUIRE(map != NULL);
    KCHECK(md_user_load32(BASE, &seen) == VM_OK && seen == 0);
    KCHECK(md_user_cas32(BASE, 0, 7, &seen) == VM_OK && seen == 0);
    KCHECK(md_user_cas32(BASE, 0, 8, &seen) == VM_OK && seen == 7);
    KCHECK(md_user_load32(BASE, &seen) == VM_OK && seen == 7);
    KCHECK(md_user_load32(BASE + 4, &seen) == VM_OK && seen == 0);
    /* Misaligned ones may be refused, but do no harm. */
    (void)!md_user_load32(BASE + 1, &seen);
    (void)!md_user_cas32(BASE + VM_PAGE_SIZE - 2, 0, 1, &seen);
    (void)!md_user_cas32(BASE + 6, 0, 1, &seen);
    ktest_map_leave(map);
}

KTEST(no_map)
{
    refused(BASE, 8);
    refused(0, 8);
}

/* Threads at the same addresses in spaces of their own. */
static void
in_its_space(void *arg)
{
    uint64_t mine = (uint64_t)(uintptr_t)arg, seen;
    struct vm_map *map = ktest_map_enter(4);

    KREQUIRE(map != NULL);
    for (uint64_t i = 0; i < 200; i++) {
        vaddr_t va = BASE + (i % 4) * VM_PAGE_SIZE + 8 * (i % 32);
        uint64_t value = mine << 32 | i;

        KCHECK(md_copyout(va, &value, 8) == VM_OK);
        if (i % 3 != 0) {
            thread_yield();
        }
        if (i % 50 == 0) {
            (void)!thread_sleep_until(kern_now() + 1000000, false);
        }
        seen = 0;
        KCHECK(md_copyin(&seen, va, 8) == VM_OK);
        KCHECK(seen == value);
    }
    ktest_map_leave(map);
}

static void
five_spaces(void)
{
    struct ktest_thread t[5];

    for (uintptr_t i = 0; i < 5; i++) {
        KREQUIRE(ktest_spawn(&t[i], in_its_space, (void *)(i + 1)));
    }
    for (unsigned i = 0; i < 5; i++) {
        ktest_join(&t[i]);
    }
}

KTEST(spaces)
{
    five_spaces();
}

#if VM_TEST
/* The same with switches at the points where they could hurt. */
KTEST(spaces_stirred)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        kern_test_switch(seed, 5);
        five_spaces();
        kern_test_switch(0, 0);
    }
}

/* A fault in a copy that finds no memory waits for some. */
KTEST(no_memory)
{
    struct vm_map *map = ktest_map_enter(64);
    uint64_t value = 3, seen = 0;
    unsigned i;

    KREQUIRE(map != NULL);
    for (i = 0; i < 64; i++) {
        kern_test_fail_after((long)i);
        value = i;
        KCHECK(md_copyout(BASE + i * VM_PAGE_SIZE, &value, 8) == VM_OK);
        KCHECK(md_copyin(&seen, BASE + i * VM_PAGE_SIZE, 8) == VM_OK);
        KCHECK(seen == i);
    }
    kern_test_fail_after(-1);
    ktest_map_leave(map);
}

/* No root table when the space is to be loaded: later, then. */
KTEST(no_root)
{
    struct thread *t = thread_current();
    struct vm_map *map;
    vaddr_t va = BASE;
    uint64_t value = 3, seen = 0;

    KREQUIRE(vm_map_create(&map) == VM_OK);
    KREQUIRE(vm_map_allocate(map, &va, VM_PAGE_SIZE, false) == VM_OK);
    kern_test_fail_after(0);
    thread_set_map(map);
    KCHECK(kern_test_failed());
    kern_test_fail_after(-1);
    KCHECK((t->head.work & WORK_SPACE) != 0);
    KCHECK(md_copyout(BASE, &value, 8) == VM_OK);
    KCHECK((t->head.work & WORK_SPACE) == 0);
    KCHECK(md_copyin(&seen, BASE, 8) == VM_OK && seen == 3);
    ktest_map_leave(map);
}
#endif
