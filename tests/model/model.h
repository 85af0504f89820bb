/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - the VM core against a model of it that a page can hold.
 *
 * The model knows nothing of objects, shadows or page tables: a space is
 * an array of pages, a page refers to a cell, a cell holds bytes.  Sharing
 * is two pages with one cell; copying is copying.  Each step does one
 * operation on both and compares the error code; loads compare bytes.
 *
 * Between bounds, the window, a space is full of a region that nobody
 * touches, so that "the lowest hole that fits" can be foretold.
 */
#ifndef MODEL_H
#define MODEL_H

#include "world.h"

#define MODEL_PAGES     64u     /* of a window */
#define MODEL_SPACES    6u
#define MODEL_OBJECTS   4u      /* two shared memories, two files */
#define MODEL_OBJ_PAGES 24u
#define MODEL_COPIES    3u      /* in flight */

/* Where the choices come from: a random sequence or a fuzzer's bytes. */
struct model_source {
    uint64_t (*draw)(struct model_source *s, uint64_t n);   /* [0, n) */
    uint64_t seed;
    const uint8_t *bytes;
    size_t left;
};
uint64_t model_draw_random(struct model_source *s, uint64_t n);
uint64_t model_draw_bytes(struct model_source *s, uint64_t n);

struct model_config {
    struct world_config world;
    bool failures;          /* let allocations fail now and then */
    bool errors;            /* let pagers fail now and then */
    bool private_shared;    /* private mappings of shared memory too */
};

/* Boots a world. */
void model_begin(const struct model_config *c, struct model_source *s);
void model_step(void);
/* Every byte of every space, every region, every invariant. */
void model_verify(void);
/* Destroys all, verifies that nothing is left behind, ends the world. */
void model_end(void);
/*
 * The three in one: steps of one seed; verify every so often, and, with
 * MODEL_VERIFY=N in the environment, after each step from the N-th on.
 */
void model_run(const struct model_config *c, struct model_source *s,
    uint64_t steps);

#endif
