/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * k_contract.c - the laws of pmap.h (tests/contract) on the real MMU, for
 * every format of page table that the machine has.
 *
 * The laws are the same source as on the simulated MMU.  Here an access is
 * one instruction with the rights of user mode, and what makes CPUs of the
 * simulator are threads that the seeded switch points interleave.
 */
/* pal: */
/* pal: name=page16k options="page=16384" */
/* pal: name=page64k options="page=65536" */
/* pal: name=sv39 arches=riscv64 options="mmu=sv39" */
/* pal: name=sv57 arches=riscv64 options="mmu=sv57" */
#include "contract.h"
#include "ktest.h"
#include "testpoint.h"

unsigned
contract_cpus(void)
{
    return 1;
}

void
contract_on(unsigned cpu)
{
    EXPECT(cpu == 0);
}

bool
contract_access(vaddr_t va, vm_prot_t access, uint64_t *value)
{
    return md_probe(va, access, true, value);
}

bool
contract_kernel_access(vaddr_t va, vm_prot_t access, uint64_t *value)
{
    return md_probe(va, access, false, value);
}

bool
contract_forgets(void)
{
    return false;
}

uint64_t
contract_published(void)
{
    return 0;
}

void
contract_fail(long n)
{
    kern_test_fail_after(n - 1);
}

void
contract_pause(void)
{
    thread_yield();
}

/* ---- threads that play CPUs, and the one that runs a law --------------- */

struct player {
    void (*fn)(unsigned);
    unsigned cpu;
    struct ktest_thread thread;
};

static void
play(void *arg)
{
    struct player *p = arg;

    p->fn(p->cpu);
}

void
contract_together(unsigned n, void (*fn)(unsigned cpu), uint64_t round)
{
    static struct player players[VM_MAX_CPUS];

    kern_test_switch(round + 1, 8);
    for (unsigned i = 0; i < n; i++) {
        players[i].fn = fn;
        players[i].cpu = i;
        EXPECT(ktest_spawn(&players[i].thread, play, &players[i]));
    }
    for (unsigned i = 0; i < n; i++) {
        ktest_join(&players[i].thread);
    }
    kern_test_switch(0, 0);
}

static _Atomic uint32_t law_over;

static _Noreturn void
law_end(void)
{
    kern_test_fail_after(-1);
    kern_test_switch(0, 0);
    atomic_store_explicit(&law_over, 1, memory_order_release);
    kern_wake(&law_over);
    thread_exit();
}

void
contract_failed(const char *file, int line, const char *what)
{
    ktest_failed(file, line, "not true: %s", what);
    law_end();
}

static void
law_thread(void *arg)
{
    const struct contract_law *law = arg;

    law->fn();
    law_end();
}

static void
law_run(const char *name)
{
    const struct contract_law *law = contract_laws;

    while (law->name != NULL && strcmp(law->name, name) != 0) {
        law++;
    }
    KREQUIRE(law->name != NULL);
    for (unsigned f = 0; f < pmap_format_count(); f++) {
        struct thread *t;

        if (pmap_set_default_format(f) != VM_OK) {
            continue;
        }
        ktest_say("%s", pmap_format_name(f));
        law_over = 0;
        KREQUIRE(thread_create("law", law_thread,
            (void *)(uintptr_t)law, &t) == VM_OK);
        thread_start(t);
        while (atomic_load_explicit(&law_over, memory_order_acquire) == 0) {
            (void)kern_wait(&law_over, 0, false);
        }
    }
    KCHECK(pmap_set_default_format(0) == VM_OK);
}

/* ---- one test a law ----------------------------------------------------- */

#define LAWS(LAW, KEEPS)                                                \
    LAW(law1_extract, "law1/extract")                                   \
    LAW(law1_device, "law1/device")                                     \
    LAW(law2_protect, "law2/protect")                                   \
    LAW(law2_page_protect, "law2/page_protect")                         \
    LAW(law3_remove, "law3/remove")                                     \
    LAW(law3_protect, "law3/protect")                                   \
    LAW(law3_page_protect, "law3/page_protect")                         \
    LAW(law3_discard, "law3/discard")                                   \
    LAW(law3_discard_range, "law3/discard_range")                       \
    LAW(law3_discard_table, "law3/discard_table")                       \
    LAW(law3_batched, "law3/batched")                                   \
    LAW(law3_range, "law3/range")                                       \
    LAW(law3_spaces, "law3/spaces")                                     \
    LAW(law3_asids, "law3/asids")                                       \
    LAW(law3_two, "law3/two")                                           \
    LAW(law3_destroy, "law3/destroy")                                   \
    LAW(law4_replace, "law4/replace")                                   \
    LAW(law4_holes, "law4/holes")                                       \
    LAW(law4_restrict, "law4/restrict")                                 \
    LAW(law5_enter, "law5/enter")                                       \
    LAW(law5_create, "law5/create")                                     \
    KEEPS(law6_wired, "law6/wired")                                     \
    LAW(law7_hold, "law7/hold")                                         \
    LAW(law8_fence, "law8/fence")                                       \
    LAW(law8_publish, "law8/publish")                                   \
    LAW(law9_sweep, "law9/sweep")                                       \
    LAW(enter_seq, "enter/seq")                                         \
    LAW(prefill, "prefill")                                             \
    LAW(age, "age")                                                     \
    LAW(audit, "audit")                                                 \
    LAW(change_formats, "change/formats")                               \
    LAW(change_asids, "change/asids")                                   \
    LAW(change_counts, "change/counts")                                 \
    LAW(root_every, "change/every")                                   \
    LAW(root_fails, "change/fails")                                   \
    LAW(root_race, "change/race")                                     \
    LAW(root_evict, "change/evict")                                   \
    LAW(root_shrink, "change/shrink")                                   \
    LAW(budget_holds, "budget/holds")                                   \
    LAW(budget_machine, "budget/machine")                               \
    LAW(budget_one, "budget/one")                                       \
    LAW(discard_all, "discard/all")                                     \
    LAW(table_blank, "table/blank")                                     \
    LAW(table_forget, "table/forget")                                   \
    LAW(large_enter, "large/enter")                                     \
    LAW(large_page_protect, "large/page_protect")                       \
    LAW(large_range, "large/range")                                     \
    LAW(large_replace, "large/replace")                                 \
    LAW(large_fail, "large/fail")                                       \
    LAW(large_age, "large/age")                                         \
    LAW(large_race, "large/race")

#define RUN(id, text)           KTEST(id) { law_run(text); }
#define RUN_KEEPS(id, text)     KTEST_KEEPS(id) { law_run(text); }
LAWS(RUN, RUN_KEEPS)

/* None is forgotten. */
KTEST(all_laws)
{
#define NAME(id, text)          text,
    static const char *const names[] = { LAWS(NAME, NAME) };
    unsigned n = 0;

    for (const struct contract_law *l = contract_laws; l->name != NULL;
        l++) {
        n++;
    }
    KCHECK(n == sizeof(names) / sizeof(names[0]));
}
