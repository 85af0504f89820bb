/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug,tsan */
/*
 * t_sim.c - the simulated MMU sees what it is there to see, and is as
 * unkind as it says; on tables made by hand, without pmap/common.
 */
#include "host.h"
#include "sim.h"
#include "test.h"

#include "pmap_ctl.h"
#include "vm_page.h"

#include <pmap_md.h>
#include <pte.h>

#define VA      ((vaddr_t)0x1234567000)
#define PAGE    ((vsize_t)4096)
#define ASID    1u

static const struct pt_format *const fmt = &pte_formats[0];
static const struct pte_attr user_rw = {
    .prot = VM_PROT_READ | VM_PROT_WRITE, .user = true, .accessed = true,
    .dirty = true
};

/* A kind MMU, but for what a test asks of it. */
static const struct sim_config calm = { .asid_bits = 4, .negative = 100 };

static void
boot(const struct sim_config *config)
{
    host_seed(test_seed);
    host_memory(12, 1024);
    sim_reset(config);
}

static paddr_t
frame(enum vm_page_kind kind)
{
    struct vm_page *p = vm_page_alloc(kind, VM_ALLOC_KERNEL);

    CHECK(p != NULL);
    vm_page_zero(p);
    return vm_page_pa(p);
}

/* The entry of va at a level, tables made as needed. */
static _Atomic pte_t *
slot(paddr_t root, vaddr_t va, int level)
{
    for (int l = fmt->levels - 1;; l--) {
        _Atomic pte_t *at = (_Atomic pte_t *)kern_frame_ptr(root) +
            pt_index(fmt, l, va);

        if (l == level) {
            return at;
        }
        if (*at == 0) {
            *at = pte_table(fmt, frame(VM_PAGE_TABLE));
        }
        root = pte_pa(fmt, *at, l);
    }
}

static void
map(paddr_t root, vaddr_t va, paddr_t pa, struct pte_attr attr, int level)
{
    *slot(root, va, level) = pte_leaf(fmt, pa, attr, level);
}

static void
activate(unsigned cpu, paddr_t root, uint32_t asid, bool flush)
{
    struct host_cpu *was = host_self;

    host_self = &host_cpus[cpu];
    kern_preempt_disable();
    pmap_md_activate(fmt, root, asid, flush);
    kern_preempt_enable();
    host_self = was;
}

static void
flush(uint32_t asid, uint64_t cpus, vaddr_t va, vsize_t size, bool tables)
{
    struct pt_flush f = {
        .asid = asid, .tables = tables, .page_shift = fmt->page_shift,
        .n = size != 0, .range = { { va, va + size } }
    };

    kern_preempt_disable();
    pmap_md_flush(&f, (struct pt_cpuset){ cpus });
    kern_preempt_enable();
}

static enum sim_result
load(unsigned cpu, vaddr_t va, uint64_t *out)
{
    return sim_access(cpu, va, VM_PROT_READ, out, sizeof(*out), true);
}

static enum sim_result
store(unsigned cpu, vaddr_t va, uint64_t value)
{
    return sim_access(cpu, va, VM_PROT_WRITE, &value, sizeof(value), true);
}

/* A root with one page at VA, active on CPUs 0 and 1. */
static paddr_t
one_page(paddr_t *data)
{
    paddr_t root = frame(VM_PAGE_TABLE);

    *data = frame(VM_PAGE_OBJECT);
    map(root, VA, *data, user_rw, 0);
    activate(0, root, ASID, false);
    activate(1, root, ASID, false);
    return root;
}

TEST(moves_bytes)
{
    paddr_t data;
    uint64_t x = 0;

    boot(&calm);
    (void)one_page(&data);
    CHECK_EQ(store(0, VA + 8, 77), SIM_OK);
    CHECK_EQ(((uint64_t *)kern_frame_ptr(data))[1], 77);
    CHECK_EQ(load(1, VA + 8, &x), SIM_OK);
    CHECK_EQ(x, 77);
    CHECK_EQ(sim_access(0, VA, VM_PROT_EXEC, NULL, 0, true), SIM_PROT);
    CHECK_EQ(load(0, VA + PAGE, &x), SIM_NOT_PRESENT);
    CHECK_EQ(load(0, (vaddr_t)1 << 62, &x), SIM_NOT_PRESENT);
    CHECK_EQ(load(0, UINT64_MAX << 30, &x), SIM_NOT_PRESENT);
    sim_check_quiet();
}

TEST(stale_until_flushed)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    CHECK_EQ(load(1, VA, &x), SIM_OK);
    *slot(root, VA, 0) = 0;
    CHECK_EQ(store(0, VA, 5), SIM_OK);
    flush(ASID, 1, VA + PAGE, PAGE, true);
    flush(ASID + 1, 1, VA, PAGE, true);
    CHECK_EQ(store(0, VA, 5), SIM_OK);
    flush(ASID, 1, VA, PAGE, false);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
    CHECK_EQ(load(1, VA, &x), SIM_OK);
    flush(ASID, 2, 0, 0, false);
    CHECK_EQ(load(1, VA, &x), SIM_NOT_PRESENT);
}

TEST(kept_across_spaces)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    *slot(root, VA, 0) = 0;
    activate(0, frame(VM_PAGE_TABLE), ASID + 1, true);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
    activate(0, root, ASID, false);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    activate(0, 0, PT_ASID_KERNEL, false);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
    activate(0, root, ASID, true);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
}

TEST(no_asids_no_memory)
{
    struct sim_config config = calm;
    paddr_t data, root;
    uint64_t x;

    config.asid_bits = 0;
    boot(&config);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    *slot(root, VA, 0) = 0;
    activate(0, root, ASID, false);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
}

/* Does a walk find va within some attempts? */
static bool
reaches(unsigned cpu, vaddr_t va)
{
    uint64_t x;

    for (unsigned i = 0; i < 30; i++) {
        if (load(cpu, va, &x) == SIM_OK) {
            return true;
        }
    }
    return false;
}

TEST(partial_walks_kept)
{
    struct sim_config config = calm;
    paddr_t data, root;

    config.negative = 0;
    boot(&config);
    root = one_page(&data);
    map(root, VA + PAGE, data, user_rw, 0);
    map(root, VA + 2 * PAGE, data, user_rw, 0);
    CHECK(reaches(0, VA));
    *slot(root, VA, 1) = 0;
    /* Not in the TLB; the way there is still known. */
    CHECK(reaches(0, VA + PAGE));
    flush(ASID, 1, 0, 0, false);
    CHECK(reaches(0, VA + 2 * PAGE));
    flush(ASID, 1, VA, 3 * PAGE, true);
    CHECK(!reaches(0, VA));
    CHECK(!reaches(0, VA + 2 * PAGE));
}

TEST(nothing_is_cached)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    CHECK_EQ(load(0, VA + PAGE, &x), SIM_NOT_PRESENT);
    map(root, VA + PAGE, data, user_rw, 0);
    if (PMAP_MD_CACHES_INVALID) {
        CHECK_EQ(load(0, VA + PAGE, &x), SIM_NOT_PRESENT);
        kern_preempt_disable();
        pmap_md_fence(VA + PAGE, ASID);
        kern_preempt_enable();
    }
    CHECK_EQ(load(0, VA + PAGE, &x), SIM_OK);
}

TEST(weak_entry_stays)
{
    struct pte_attr r = user_rw;
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    r.prot = VM_PROT_READ;
    r.dirty = false;
    map(root, VA, data, r, 0);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    CHECK_EQ(store(0, VA, 1), SIM_PROT);
    map(root, VA, data, user_rw, 0);
    CHECK_EQ(store(0, VA, 1), SIM_PROT);
    kern_preempt_disable();
    pmap_md_fence(VA, ASID);
    kern_preempt_enable();
    CHECK_EQ(store(0, VA, 1), SIM_OK);
}

TEST(sets_marks)
{
    struct sim_config config = calm;
    struct pte_attr old = user_rw;
    paddr_t data, root;
    struct pte_attr now;
    uint64_t x;

    boot(&config);
    root = one_page(&data);
    old.accessed = false;
    map(root, VA, data, old, 0);
    map(root, VA + PAGE, data, old, 0);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    now = pte_attr(fmt, *slot(root, VA, 0), 0);
    CHECK(now.accessed);
    sim_prefetch(0, VA + PAGE);
    now = pte_attr(fmt, *slot(root, VA + PAGE, 0), 0);
    CHECK(now.accessed);
    CHECK_EQ(sim_tlb_count(0, VA + PAGE), 1);

    config.software_accessed = true;
    sim_configure(&config);
    map(root, VA + 2 * PAGE, data, old, 0);
    CHECK_EQ(load(0, VA + 2 * PAGE, &x), SIM_NOT_PRESENT);
    map(root, VA + 2 * PAGE, data, user_rw, 0);
    CHECK_EQ(load(0, VA + 2 * PAGE, &x), SIM_OK);
}

TEST(any_match_answers)
{
    paddr_t data, other, root;
    unsigned seen[2] = { 0, 0 };
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    other = frame(VM_PAGE_OBJECT);
    *(uint64_t *)kern_frame_ptr(other) = 1;
    sim_expect_violations(true);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    map(root, VA, other, user_rw, 0);
    sim_prefetch(0, VA);
    CHECK_EQ(sim_tlb_count(0, VA), 2);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(load(0, VA, &x), SIM_OK);
        seen[x]++;
    }
    CHECK(seen[0] > 10 && seen[1] > 10);
}

/* ---- the rules -------------------------------------------------------- */

TEST(rule_revoked)
{
    struct sim_config config = calm;
    paddr_t data, root;
    uint64_t x;

    boot(&config);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    sim_expect_violations(true);
    /* It is in the tables: granted again meanwhile. */
    pmap_test_revoked(NULL, VA, VA + PAGE, ~(paddr_t)0, VM_PROT_NONE);
    CHECK_EQ(sim_violations(SIM_REVOKED), 0);
    *slot(root, VA, 0) = 0;
    pmap_test_revoked(NULL, VA + PAGE, VA + 2 * PAGE, ~(paddr_t)0, 0);
    pmap_test_revoked(NULL, VA, VA + PAGE, data + PAGE, 0);
    pmap_test_revoked(NULL, VA, VA + PAGE, data, VM_PROT_ALL);
    CHECK_EQ(sim_violations(SIM_REVOKED), 0);
    pmap_test_revoked(NULL, VA, VA + PAGE, data, VM_PROT_READ);
    CHECK_EQ(sim_violations(SIM_REVOKED), 1);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    CHECK_EQ(sim_violations(SIM_REVOKED), 2);

    /* Lax, or not running: when it is used. */
    config.lax = true;
    boot(&config);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    *slot(root, VA, 0) = 0;
    sim_expect_violations(true);
    pmap_test_revoked(NULL, 0, 0, data, VM_PROT_NONE);
    CHECK_EQ(sim_violations(SIM_REVOKED), 0);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    CHECK_EQ(sim_violations(SIM_REVOKED), 1);
    flush(ASID, 1, VA, PAGE, false);
    CHECK_EQ(load(0, VA, &x), SIM_NOT_PRESENT);
    CHECK_EQ(sim_violations(SIM_REVOKED), 1);
}

TEST(rule_overlap)
{
    paddr_t data, other, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    other = frame(VM_PAGE_OBJECT);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    sim_expect_violations(true);
    map(root, VA, other, user_rw, 0);
    CHECK_EQ(load(1, VA, &x), SIM_OK);
    CHECK_EQ(sim_violations(SIM_OVERLAP), 1);

    /* With a break between there is nothing to say. */
    *slot(root, VA, 0) = 0;
    flush(ASID, 3, VA, PAGE, false);
    sim_expect_violations(true);
    map(root, VA, data, user_rw, 0);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    CHECK_EQ(load(1, VA, &x), SIM_OK);
    CHECK_EQ(sim_violations(SIM_OVERLAP), 0);
    /* Nor if the other CPU runs something else now. */
    activate(0, 0, PT_ASID_KERNEL, false);
    *slot(root, VA, 0) = 0;
    flush(ASID, 2, VA, PAGE, false);
    map(root, VA, other, user_rw, 0);
    CHECK_EQ(load(1, VA, &x), SIM_OK);
    CHECK_EQ(sim_violations(SIM_OVERLAP), 0);
}

/* RAM begins at a multiple of any leaf's size. */
TEST(rule_sizes)
{
    vsize_t large = (vsize_t)1 << pt_shift(fmt, 1);
    vaddr_t va = VA & ~(large - 1);
    paddr_t root;
    uint64_t x;

    boot(&calm);
    root = frame(VM_PAGE_TABLE);
    for (unsigned i = 0; i < 600; i++) {
        (void)frame(VM_PAGE_OBJECT);
    }
    activate(0, root, ASID, false);
    map(root, va, HOST_RAM_BASE, user_rw, 1);
    /* The TLB may hold the leaf in parts: one with this page is in it. */
    CHECK_EQ(load(0, va + 6 * PAGE, &x), SIM_OK);
    sim_expect_violations(true);
    *slot(root, va, 1) = 0;
    map(root, va + 6 * PAGE, HOST_RAM_BASE + 7 * PAGE, user_rw, 0);
    sim_prefetch(0, va + 6 * PAGE);
    CHECK_EQ(sim_violations(SIM_SIZES), 1);
    CHECK_EQ(sim_violations(SIM_OVERLAP), 0);
}

TEST(rule_table)
{
    struct sim_config config = calm;
    paddr_t data, root, table;
    uint64_t x;

    config.negative = 0;
    boot(&config);
    root = one_page(&data);
    map(root, VA + PAGE, data, user_rw, 0);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    sim_expect_violations(true);
    table = pte_pa(fmt, *slot(root, VA, 1), 1);
    *slot(root, VA, 1) = 0;
    vm_page_free(vm_page_of(table));
    (void)reaches(0, VA + PAGE);
    CHECK(sim_violations(SIM_TABLE) > 0);

    /* It is a table again, but not the same one. */
    sim_expect_violations(true);
    for (unsigned i = 0; i < 50; i++) {
        (void)frame(VM_PAGE_TABLE);
    }
    CHECK_EQ(vm_get(&vm_page_of(table)->kind), VM_PAGE_TABLE);
    (void)reaches(0, VA + 2 * PAGE);
    CHECK(sim_violations(SIM_TABLE) > 0);
}

TEST(rule_root)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    vm_page_free(vm_page_of(root));
    sim_expect_violations(true);
    (void)load(0, VA, &x);
    CHECK(sim_violations(SIM_TABLE) > 0);
    sim_expect_violations(true);
    activate(0, root, ASID, true);
    CHECK(sim_violations(SIM_TABLE) > 0);
}

TEST(rule_bad_pte)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    /* Not valid, not 0, whatever the machine. */
    *slot(root, VA + PAGE, 0) = 2;
    CHECK_EQ(pte_kind(fmt, 2, 0), PTE_BAD);
    sim_expect_violations(true);
    (void)load(0, VA + PAGE, &x);
    CHECK_EQ(sim_violations(SIM_BAD_PTE), 1);
}

TEST(rule_frame)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    sim_expect_violations(true);
    vm_page_free(vm_page_of(data));
    (void)load(0, VA, &x);
    CHECK_EQ(sim_violations(SIM_FRAME), 1);
    map(root, VA + PAGE, root, user_rw, 0);
    (void)load(0, VA + PAGE, &x);
    CHECK_EQ(sim_violations(SIM_FRAME), 2);
}

static void
load_it(void *arg)
{
    uint64_t x;

    (void)load(0, *(vaddr_t *)arg, &x);
}

TEST(rule_user)
{
    struct pte_attr kernel = user_rw;
    paddr_t data, root;
    vaddr_t va = VA + PAGE;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    kernel.user = false;
    map(root, va, data, kernel, 0);
    sim_expect_violations(true);
    (void)load(0, va, &x);
    CHECK_EQ(sim_violations(SIM_USER), 1);
    sim_expect_violations(false);
    CHECK(host_expect_panic(load_it, &va));
    test_note("%s", host_panic_text());
}

TEST(rule_stale)
{
    paddr_t data, root;
    uint64_t x;

    boot(&calm);
    root = one_page(&data);
    CHECK_EQ(load(0, VA, &x), SIM_OK);
    sim_check_quiet();
    *slot(root, VA, 0) = 0;
    sim_expect_violations(true);
    sim_check_quiet();
    CHECK_EQ(sim_violations(SIM_STALE), 1);
}

TEST(rule_call)
{
    boot(&calm);
    sim_expect_violations(true);
    pmap_md_activate(fmt, 0, PT_ASID_KERNEL, false);
    CHECK_EQ(sim_violations(SIM_CALL), 1);
    activate(0, 0, 16, false);
    CHECK_EQ(sim_violations(SIM_CALL), 2);
}

/* ---- copies, fibers --------------------------------------------------- */

static paddr_t copy_root;

static int
copy_fault(void *ctx, vaddr_t va, vm_prot_t access)
{
    unsigned *faults = ctx;

    (void)access;
    va &= ~(PAGE - 1);
    if (va >= VA + 3 * PAGE) {
        return VM_E_ADDRESS;
    }
    (*faults)++;
    map(copy_root, va, frame(VM_PAGE_OBJECT), user_rw, 0);
    kern_preempt_disable();
    pmap_md_fence(va, ASID);
    kern_preempt_enable();
    return 0;
}

TEST(user_copy)
{
    unsigned char in[6000], out[6000];
    unsigned faults = 0;

    boot(&calm);
    for (unsigned i = 0; i < sizeof(in); i++) {
        in[i] = (unsigned char)test_rand();
    }
    copy_root = frame(VM_PAGE_TABLE);
    activate(0, copy_root, ASID, false);
    CHECK_EQ(sim_user_copy(0, VA + 3001, in, sizeof(in), VM_PROT_WRITE,
        copy_fault, &faults), 0);
    CHECK_EQ(faults, 3);
    CHECK_EQ(sim_user_copy(0, VA + 3001, out, sizeof(out), VM_PROT_READ,
        copy_fault, &faults), 0);
    CHECK_EQ(faults, 3);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    CHECK_EQ(sim_user_copy(0, VA + 2 * PAGE, in, sizeof(in), VM_PROT_WRITE,
        copy_fault, &faults), VM_E_ADDRESS);
}

struct history {
    paddr_t root, data;
    _Atomic uint64_t sum;
};

static void
worker(void *arg, unsigned cpu)
{
    struct history *h = arg;
    uint64_t x;

    activate(cpu, h->root, ASID, false);
    for (unsigned i = 0; i < 200; i++) {
        (void)store(cpu, VA + (host_random() % 512) * 8, host_random());
        (void)load(cpu, VA + (host_random() % 512) * 8, &x);
        h->sum = h->sum * 31 + x;
        if (i % 16 == cpu) {
            flush(ASID, 7, VA, PAGE, true);
        }
        if (i % 50 == 0) {
            host_sleep_steps(30);
        }
    }
}

static void
play(uint64_t seed, struct history *h, uint64_t *trace)
{
    host_seed(seed);
    host_memory(12, 1024);
    sim_reset(&sim_default);
    h->root = frame(VM_PAGE_TABLE);
    h->data = frame(VM_PAGE_OBJECT);
    h->sum = 0;
    map(h->root, VA, h->data, user_rw, 0);
    host_set_mode(HOST_FIBERS);
    host_run(3, worker, h);
    *trace = host_trace();
    sim_check_quiet();
}

TEST(fibers_repeat)
{
    uint64_t trace[2], other;
    struct history a, b;

    for (unsigned s = 0; s < 20; s++) {
        play(test_seed + s, &a, &trace[0]);
        play(test_seed + s, &b, &trace[1]);
        CHECK_EQ(trace[0], trace[1]);
        CHECK_EQ(a.sum, b.sum);
        play(test_seed + s + 1, &b, &other);
        CHECK(trace[0] != other);
    }
}

TEST(threads_race)
{
    struct history h;

    boot(&sim_default);
    h.root = frame(VM_PAGE_TABLE);
    h.data = frame(VM_PAGE_OBJECT);
    map(h.root, VA, h.data, user_rw, 0);
    h.sum = 0;
    host_run(3, worker, &h);
    sim_check_quiet();
}
