/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_model.c - the VM core against the model (model.h), by random steps.
 *
 * MODEL_STEPS=N in the environment: that many steps for each seed; with
 * --seed and -k, one failure again.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash timeout=180 */
#include <stdlib.h>

#include "model.h"
#include "test.h"

/* seeds x steps, each with another format and page size. */
static void
runs(const struct model_config *base, unsigned seeds, uint64_t steps)
{
    const char *given = getenv("MODEL_STEPS");

    if (given != NULL) {
        steps = strtoull(given, NULL, 0);
    }
    for (uint64_t i = 0; i < (test_long ? seeds * 20 : seeds); i++) {
        struct model_config c = *base;
        struct model_source s = {
            .draw = model_draw_random, .seed = test_seed + i,
        };
        unsigned shift;

        c.world.seed = test_seed + i;
        c.world.format = (unsigned)(c.world.seed % world_formats());
        c.world.ahead = 1u << c.world.seed % 4;
        shift = pmap_format_page_shift(c.world.format);
        c.world.page_shift = shift < 16 && c.world.seed % 5 == 4 ?
            shift + 2 : shift;
        test_note("seed %llu: format %s, page shift %u",
            (unsigned long long)c.world.seed,
            pmap_format_name(c.world.format), c.world.page_shift);
        model_run(&c, &s, steps);
    }
}

TEST(plain)
{
    runs(&(struct model_config){ .world = { .cpus = 3 } }, 40, 2000);
}

TEST(swap)
{
    runs(&(struct model_config){
        .world = { .cpus = 3, .swap = 4096 } }, 40, 2000);
}

TEST(failures)
{
    runs(&(struct model_config){
        .world = { .cpus = 3, .swap = 4096 }, .failures = true }, 40, 2000);
}

TEST(pager_errors)
{
    runs(&(struct model_config){
        .world = { .cpus = 3, .swap = 4096 }, .errors = true,
        .failures = true }, 30, 2000);
}

TEST(one_cpu)
{
    runs(&(struct model_config){
        .world = { .cpus = 1, .swap = 4096, .asid_bits = 3 } }, 30, 2000);
}

/* MAP_PRIVATE of memory that is shared but has no pager (shm, tmpfs). */
TEST(private_shared)
{
    runs(&(struct model_config){
        .world = { .cpus = 3, .swap = 4096 }, .private_shared = true },
        10, 2000);
}
