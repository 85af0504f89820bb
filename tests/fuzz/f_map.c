/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * f_map.c - a fuzzer's bytes as choices of the model's driver (model.h).
 *
 * Each input is one life of a world; the choices end with the bytes.
 */
/* pal: machines=x86_64 */
#include "../model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_source s = {
        .draw = model_draw_bytes, .bytes = data, .left = size,
    };
    struct model_config c = {
        .world = { .cpus = 2, .ram = 1024, .swap = 1024, .seed = 1 },
    };

    if (size < 2) {
        return 0;
    }
    c.failures = s.bytes[0] & 1;
    c.errors = s.bytes[0] & 2;
    s.bytes++;
    s.left--;
    model_begin(&c, &s);
    while (s.left > 0) {
        model_step();
    }
    model_verify();
    model_end();
    return 0;
}
