/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_ref.h - the reference: what memory should contain.
 */
#ifndef MODEL_REF_H
#define MODEL_REF_H

#include "vm_map.h"

#include "model.h"

/*
 * The contents of one page.  under: shows that cell (a page of a file)
 * until it is written.  bytes NULL and no under: zero.  Where the contract
 * leaves open whether a page of a private file mapping still looks through
 * (it was wired, or copied), it is in doubt until it has been seen.
 */
enum doubt {
    DOUBT_NONE,
    DOUBT_EITHER,               /* bytes, or what under contains */
    DOUBT_ALL,                  /* written while it was in doubt */
    DOUBT_LOOSE                 /* the file's page at some time since */
};

struct cell {
    unsigned refs;
    enum doubt doubt;
    struct cell *under;
    uint8_t *bytes;
};

struct cell *cell_new(void);
struct cell *cell_ref(struct cell *c);
void cell_unref(struct cell *c);
/* Is it, or what it looks through to, in doubt? */
bool cell_in_doubt(const struct cell *c);
/* It may have stopped looking through. */
void cell_may_own(struct cell *c);
/* If it looks through, it may stop at any time. */
void cell_may_stop(struct cell *c);
/* It has been seen to contain this: false if that cannot be. */
bool cell_seen(struct cell *c, const uint8_t *bytes);
/* What it contains; not to be written. */
const uint8_t *cell_read(const struct cell *c);
/* The same, to be written: it has its own bytes from now on. */
uint8_t *cell_write(struct cell *c);
/* A copy: of what it contains now, or that looks through as this does. */
struct cell *cell_snapshot(const struct cell *c);
struct cell *cell_copy(const struct cell *c);
/* A new cell that shows under until it is written. */
struct cell *cell_over(struct cell *under);

struct slot {
    struct cell *cell;          /* NULL: a hole */
    vm_prot_t prot, max;
    enum vm_inherit inherit;
    unsigned wired;
};

struct space {
    struct vm_map *map;         /* NULL: no such space */
    struct slot slot[MODEL_PAGES];
};

struct object {
    struct vm_object *object;
    struct world_file *file;    /* NULL: shared memory */
    struct cell *cell[MODEL_OBJ_PAGES];
};

struct copy {
    struct vm_map_copy *copy;   /* NULL: none */
    unsigned npages;
    struct cell *cell[MODEL_PAGES];
};

/* A range of pages of a window. */
struct span {
    unsigned first, n;
};

void slot_set(struct slot *s, struct cell *c);  /* takes the reference */
void slot_clear(struct slot *s);
/* How many pages of the span are holes. */
unsigned space_holes(const struct space *s, struct span r);
/* ... do not have all of prot (cur) or all of prot in max. */
bool space_allows(const struct space *s, struct span r, vm_prot_t prot);
bool space_max_allows(const struct space *s, struct span r, vm_prot_t prot);
/* The lowest hole at or above hint that fits, else the lowest: or -1. */
int space_fit(const struct space *s, unsigned hint, unsigned n,
    unsigned align);

#endif
