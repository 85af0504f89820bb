/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_int.h - between model.c (the driver) and model_op.c (the
 * operations).
 */
#ifndef MODEL_INT_H
#define MODEL_INT_H

#include "model_ref.h"

#define MODEL_HISTORY   20u
#define MODEL_LINE      120u

struct model {
    struct model_config config;
    struct model_source *source;
    vaddr_t base;               /* of every window */
    vaddr_t low, high;          /* bounds of the maps */
    struct space space[MODEL_SPACES];
    struct object object[MODEL_OBJECTS];
    struct copy copy[MODEL_COPIES];
    uint64_t step, version;
    bool armed;                 /* an allocation may fail */
    char history[MODEL_HISTORY][MODEL_LINE];
};
extern struct model model;

uint64_t draw(uint64_t n);
struct space *draw_space(void);         /* a living one */
struct span draw_span(unsigned limit);
static inline vaddr_t
va_of(unsigned page)
{
    return model.base + ((vaddr_t)page << vm_page_shift);
}
static inline vsize_t
bytes_of(unsigned npages)
{
    return (vsize_t)npages << vm_page_shift;
}

/* Describe the step, before it is done. */
void told(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* An allocation may fail from here ... to here. */
void arm(void);
/*
 * Did the operation succeed?  Fails the test if the core did not return
 * what the model expects.  An injected failure is believed; the model's
 * state then does not change.
 */
bool agree(int got, int want);
/* Name of a space, for histories. */
unsigned space_id(const struct space *s);

void space_begin(struct space *s);
void space_verify(struct space *s);
void space_end(struct space *s);
/* Look at a page that is in doubt. */
void page_resolve(struct space *s, unsigned page);

/* The operations; model_op.c has their weights. */
void model_op(void);

#endif
