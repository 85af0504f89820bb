/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/user.h - what struct md_user is on this machine, which is also what
 * stands in a signal frame.
 */
#ifndef USER_H
#define USER_H

#include "cpu.h"

#define USER_MAGIC1     0x46505853u     /* Linux: FP_XSTATE_MAGIC1, 2 */
#define USER_MAGIC2     0x46505845u
#define USER_FXSAVE     512u

/* SDM vol. 1, table 10-2; the last 48 bytes are software's. */
struct user_fxsave {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved0;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t registers[432];
    struct {                            /* Linux: struct _fpx_sw_bytes */
        uint32_t magic1, extended_size;
        uint64_t features;
        uint32_t xstate_size, padding[7];
    } software;
};
_Static_assert(sizeof(struct user_fxsave) == USER_FXSAVE, "fxsave");

struct user_area {
    struct user_fxsave fx;
    struct {                            /* SDM vol. 1, 13.4.2 */
        uint64_t present, compact, reserved[6];
    } header;
    uint8_t avx[256];
    uint32_t magic2;
    uint64_t fs, gs;
};
_Static_assert(offsetof(struct user_area, magic2) == USER_XSAVE, "xsave");
_Static_assert(offsetof(struct user_area, fs) == USER_FS, "fs");
_Static_assert(offsetof(struct user_area, gs) == USER_GS, "gs");
_Static_assert(sizeof(struct user_area) <= MD_USER_SIZE, "user");

/* This CPU's x87, SSE and AVX registers, from a. */
void user_restore(const struct user_area *a);
/* As a new program finds them. */
void user_reset(void);

#endif
