/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_progress.c - law 7, by faults at one program counter: who gets on is not
 * held, who does not is.
 */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug timeout=60 */
#include "object_test.h"

#define PAGES   4096u
#define NEEDS   6u              /* pages that an instruction needs */

/* Every page is forgotten as soon as it has been faulted in, twice. */
static void
sweep(uint64_t stride)
{
    struct vm_map *m = map_new(0, PAGES);
    struct vm_progress t = { 0 };
    vm_prot_t prot;
    paddr_t pa;

    for (uint64_t i = 0; i < PAGES; i += stride) {
        for (unsigned k = 0; k < 2; k++) {
            CHECK_EQ(vm_fault_thread(m, va_of(i), VM_PROT_WRITE, 1, &t),
                VM_OK);
            CHECK(t.held == NULL);
            CHECK(pmap_extract(m->pmap, va_of(i), &pa, &prot));
            CHECK_EQ(pmap_discard(m->pmap), VM_OK);
        }
    }
    vm_progress_end(&t);
    world_map_destroy(m);
}

TEST(sweep_is_never_held)
{
    boot(8192, 0);
    for (uint64_t stride = 1; stride <= 256; stride *= 2) {
        sweep(stride);
    }
    sweep(3);
    sweep(63);
    world_end();
}

/* The first of n pages, stride apart, that has no translation. */
static unsigned
first_missing(struct vm_map *m, unsigned n, uint64_t stride)
{
    unsigned i = 0;
    vm_prot_t prot;
    paddr_t pa;

    while (i < n && pmap_extract(m->pmap, va_of(i * stride), &pa, &prot)) {
        i++;
    }
    return i;
}

/* It needs them all at once; they are discarded after each of its pages. */
static void
instruction(struct vm_map *m, unsigned n, uint64_t stride)
{
    struct vm_progress t = { 0 };
    unsigned faults = 0, upto = 0, at;

    while ((at = first_missing(m, n, stride)) < n) {
        CHECK_EQ(vm_fault_thread(m, va_of(at * stride), VM_PROT_WRITE, 1,
            &t), VM_OK);
        CHECK(++faults <= 2 * n + VM_PROGRESS_FAULTS);
        if (at == upto) {
            (void)!pmap_discard(m->pmap);
            upto = (upto + 1) % n;
        }
    }
    CHECK(t.held == m->pmap);
    vm_progress_end(&t);
    CHECK(t.held == NULL);
    CHECK_EQ(pmap_discard(m->pmap), VM_OK);
}

TEST(instruction_gets_on)
{
    struct vm_map *m;

    boot(8192, 0);
    vm_fault_around = 1;
    m = map_new(0, PAGES);
    for (unsigned n = 1; n <= NEEDS; n++) {
        instruction(m, n, 1);
        instruction(m, n, 64);
        instruction(m, n, PAGES / 8);
    }
    vm_fault_around = 16;
    world_map_destroy(m);
    world_end();
}
