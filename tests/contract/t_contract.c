/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_contract.c - every law of pmap.h, for every format of the machine and
 * every page size that the format can serve, on the simulated MMU.
 *
 * Subtests are called law/format/page shift.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash timeout=300 */
#include <stdio.h>

#include "contract.h"
#include "test.h"
#include "world.h"

#define MAX     1024u

static struct subtest {
    struct test_case test;
    char name[64];
    const struct contract_law *law;
    unsigned format, shift;
} subtests[MAX];
static unsigned count;

static void
run(unsigned i)
{
    const struct subtest *t = &subtests[i];
    struct world_config c = {
        .format = t->format, .page_shift = t->shift, .ram = 1024,
        .asid_bits = (t->law->wants & LAW_FEW_ASIDS) != 0 ? 3 : 0,
        .seed = test_seed,
    };

    for (c.seed = test_seed; c.seed < test_seed + (test_long ? 50 : 2);
        c.seed++) {
        world_boot(&c);
        t->law->fn();
        if ((t->law->wants & LAW_KEEPS) != 0) {
            world_rebase();
            t->law->fn();
        }
        world_end();
    }
}

/* A subtest has no argument: one function for each, by four digits. */
#define DIGIT(m, x)     m(x##0) m(x##1) m(x##2) m(x##3) \
                        m(x##4) m(x##5) m(x##6) m(x##7)
#define FN(x)           static void fn_##x(void) { run(0##x); }
#define NAME(x)         fn_##x,
#define TENS(m, x)      DIGIT(m, x##0) DIGIT(m, x##1) DIGIT(m, x##2) \
                        DIGIT(m, x##3) DIGIT(m, x##4) DIGIT(m, x##5) \
                        DIGIT(m, x##6) DIGIT(m, x##7)
#define ALL(m)          TENS(m, 0) TENS(m, 1) TENS(m, 2) TENS(m, 3) \
                        TENS(m, 4) TENS(m, 5) TENS(m, 6) TENS(m, 7)

ALL(FN)
static void (*const fns[])(void) = { ALL(NAME) };

static void
add(unsigned format, unsigned shift, void *arg)
{
    struct subtest *t = &subtests[count];

    if (count == sizeof(fns) / sizeof(fns[0])) {
        return;
    }
    t->law = arg;
    t->format = format;
    t->shift = shift;
    snprintf(t->name, sizeof(t->name), "%s/%s/%u", t->law->name,
        pmap_format_name(format), shift);
    t->test = (struct test_case){ t->name, fns[count], NULL };
    test_register(&t->test);
    count++;
}

__attribute__((constructor)) static void
add_all(void)
{
    for (const struct contract_law *l = contract_laws; l->name != NULL;
        l++) {
        world_each(add, (void *)(uintptr_t)l);
    }
}
