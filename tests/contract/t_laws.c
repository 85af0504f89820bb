/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_laws.c - the laws through maps and faults, for every format.
 *
 * Subtests are called law/format.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash timeout=180 */
#include <stdio.h>

#include "laws.h"
#include "test.h"

#define MAX     64u

static struct subtest {
    struct test_case test;
    char name[64];
    const struct law *law;
    unsigned format;
} subtests[MAX];
static unsigned count;

static void
run(unsigned i)
{
    const struct subtest *t = &subtests[i];
    unsigned seeds = test_long ? t->law->seeds * 100 : t->law->seeds;

    for (unsigned n = 0; n < seeds; n++) {
        struct world_config c = {
            .format = t->format, .ram = 1024, .seed = test_seed + n,
        };

        /* Now and then with pages larger than the hardware's. */
        if (c.seed % 4 == 2 && pmap_format_page_shift(t->format) == 12) {
            c.page_shift = 14;
        }
        t->law->fn(&c);
    }
}

#define OCT(m, x)       m(x##0) m(x##1) m(x##2) m(x##3) \
                        m(x##4) m(x##5) m(x##6) m(x##7)
#define FN(x)           static void fn_##x(void) { run(0##x); }
#define NAME(x)         fn_##x,
#define ALL(m)          OCT(m, 0) OCT(m, 1) OCT(m, 2) OCT(m, 3) \
                        OCT(m, 4) OCT(m, 5) OCT(m, 6) OCT(m, 7)

ALL(FN)
static void (*const fns[MAX])(void) = { ALL(NAME) };

__attribute__((constructor)) static void
add_all(void)
{
    for (const struct law *l = laws; l->name != NULL; l++) {
        for (unsigned f = 0; f < world_formats() && count < MAX; f++) {
            struct subtest *t = &subtests[count];

            t->law = l;
            t->format = f;
            snprintf(t->name, sizeof(t->name), "%s/%s", l->name,
                pmap_format_name(f));
            t->test = (struct test_case){ t->name, fns[count], NULL };
            test_register(&t->test);
            count++;
        }
    }
}
