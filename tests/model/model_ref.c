/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_ref.c - cells, slots and spaces of the model.
 */
#include <stdlib.h>
#include <string.h>

#include "model_ref.h"

static const uint8_t zeros[65536];

struct cell *
cell_new(void)
{
    struct cell *c = calloc(1, sizeof(*c));

    c->refs = 1;
    return c;
}

struct cell *
cell_ref(struct cell *c)
{
    c->refs++;
    return c;
}

void
cell_unref(struct cell *c)
{
    if (--c->refs > 0) {
        return;
    }
    if (c->under != NULL) {
        cell_unref(c->under);
    }
    free(c->bytes);
    free(c);
}

bool
cell_in_doubt(const struct cell *c)
{
    return c->doubt != DOUBT_NONE ||
        (c->under != NULL && cell_in_doubt(c->under));
}

void
cell_may_own(struct cell *c)
{
    if (c->under == NULL || c->doubt != DOUBT_NONE) {
        return;
    }
    c->bytes = malloc(VM_PAGE_SIZE);
    memcpy(c->bytes, cell_read(c->under), VM_PAGE_SIZE);
    c->doubt = DOUBT_EITHER;
}

void
cell_may_stop(struct cell *c)
{
    cell_may_own(c);
    if (c->under != NULL) {
        c->doubt = DOUBT_LOOSE;
    }
}

bool
cell_seen(struct cell *c, const uint8_t *bytes)
{
    bool own, through;

    switch (c->doubt) {
    case DOUBT_NONE:
        return cell_in_doubt(c) ||
            memcmp(cell_read(c), bytes, VM_PAGE_SIZE) == 0;
    case DOUBT_ALL:
        memcpy(cell_write(c), bytes, VM_PAGE_SIZE);
        return true;
    case DOUBT_LOOSE:
        return true;
    case DOUBT_EITHER:
        break;
    }
    if (cell_in_doubt(c->under)) {
        return true;
    }
    own = memcmp(c->bytes, bytes, VM_PAGE_SIZE) == 0;
    through = memcmp(cell_read(c->under), bytes, VM_PAGE_SIZE) == 0;
    if (own && !through) {
        cell_write(c);
    } else if (through && !own) {
        free(c->bytes);
        c->bytes = NULL;
        c->doubt = DOUBT_NONE;
    }
    return own || through;
}

const uint8_t *
cell_read(const struct cell *c)
{
    while (c->under != NULL) {
        c = c->under;
    }
    return c->bytes != NULL ? c->bytes : zeros;
}

uint8_t *
cell_write(struct cell *c)
{
    if (c->bytes == NULL) {
        c->bytes = malloc(VM_PAGE_SIZE);
        memcpy(c->bytes, c->under != NULL ? cell_read(c->under) : zeros,
            VM_PAGE_SIZE);
    }
    if (c->under != NULL) {
        cell_unref(c->under);
        c->under = NULL;
    }
    c->doubt = DOUBT_NONE;
    return c->bytes;
}

struct cell *
cell_snapshot(const struct cell *c)
{
    struct cell *copy = cell_new();

    if (c->under != NULL || c->bytes != NULL) {
        memcpy(cell_write(copy), cell_read(c), VM_PAGE_SIZE);
    }
    copy->doubt = cell_in_doubt(c) ? DOUBT_ALL : DOUBT_NONE;
    return copy;
}

struct cell *
cell_over(struct cell *under)
{
    struct cell *c = cell_new();

    c->under = cell_ref(under);
    return c;
}

struct cell *
cell_copy(const struct cell *c)
{
    struct cell *copy;

    if (c->under == NULL) {
        copy = cell_snapshot(c);
    } else {
        copy = cell_over(c->under);
        if (c->bytes != NULL) {
            copy->bytes = malloc(VM_PAGE_SIZE);
            memcpy(copy->bytes, c->bytes, VM_PAGE_SIZE);
        }
    }
    if (c->doubt != DOUBT_NONE) {
        copy->doubt = c->doubt;
    }
    return copy;
}

void
slot_set(struct slot *s, struct cell *c)
{
    slot_clear(s);
    s->cell = c;
}

void
slot_clear(struct slot *s)
{
    if (s->cell != NULL) {
        cell_unref(s->cell);
    }
    memset(s, 0, sizeof(*s));
}

unsigned
space_holes(const struct space *s, struct span r)
{
    unsigned holes = 0;

    for (unsigned i = 0; i < r.n; i++) {
        holes += s->slot[r.first + i].cell == NULL;
    }
    return holes;
}

bool
space_allows(const struct space *s, struct span r, vm_prot_t prot)
{
    for (unsigned i = 0; i < r.n; i++) {
        if ((prot & ~s->slot[r.first + i].prot) != 0) {
            return false;
        }
    }
    return true;
}

bool
space_max_allows(const struct space *s, struct span r, vm_prot_t prot)
{
    for (unsigned i = 0; i < r.n; i++) {
        if ((prot & ~s->slot[r.first + i].max) != 0) {
            return false;
        }
    }
    return true;
}

static int
space_fit_from(const struct space *s, unsigned from, unsigned n,
    unsigned align)
{
    for (unsigned i = (from + align - 1) / align * align;
        i + n <= MODEL_PAGES; i += align) {
        if (space_holes(s, (struct span){ i, n }) == n) {
            return (int)i;
        }
    }
    return -1;
}

int
space_fit(const struct space *s, unsigned hint, unsigned n, unsigned align)
{
    int i = space_fit_from(s, hint, n, align);

    return i >= 0 ? i : space_fit_from(s, 0, n, align);
}
