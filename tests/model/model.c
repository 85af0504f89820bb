/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - the driver: one world, its spaces, what to verify when.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_int.h"

struct model model;

uint64_t
model_draw_random(struct model_source *s, uint64_t n)
{
    uint64_t z = s->seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

uint64_t
model_draw_bytes(struct model_source *s, uint64_t n)
{
    uint64_t v = 0;

    for (uint64_t span = n - 1; span != 0 && s->left > 0; span >>= 8) {
        v = v << 8 | *s->bytes++;
        s->left--;
    }
    return v % n;
}

uint64_t
draw(uint64_t n)
{
    return model.source->draw(model.source, n);
}

struct space *
draw_space(void)
{
    unsigned first = (unsigned)draw(MODEL_SPACES);

    for (unsigned i = 0; i < MODEL_SPACES; i++) {
        struct space *s = &model.space[(first + i) % MODEL_SPACES];

        if (s->map != NULL) {
            return s;
        }
    }
    return NULL;
}

struct span
draw_span(unsigned limit)
{
    struct span r;

    r.first = (unsigned)draw(limit);
    r.n = 1 + (unsigned)draw(draw(4) == 0 ? 24 : 5);
    if (r.n > limit - r.first) {
        r.n = limit - r.first;
    }
    return r;
}

unsigned
space_id(const struct space *s)
{
    return (unsigned)(s - model.space);
}

void
told(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(model.history[model.step % MODEL_HISTORY], MODEL_LINE, fmt,
        ap);
    va_end(ap);
}

static void
model_explain(void)
{
    uint64_t first = model.step < MODEL_HISTORY ? 0 :
        model.step - MODEL_HISTORY + 1;

    for (uint64_t i = first; i <= model.step; i++) {
        fprintf(stderr, "# step %llu: %s\n", (unsigned long long)i,
            model.history[i % MODEL_HISTORY]);
    }
}

void
arm(void)
{
    model.armed = model.config.failures && draw(8) == 0;
    if (model.armed) {
        host_fail_after(1 + (unsigned)draw(12));
    }
}

bool
agree(int got, int want)
{
    bool armed = model.armed;

    host_fail_after(0);
    model.armed = false;
    if (armed && got == VM_E_NOMEM) {
        return false;
    }
    if (model.config.errors && got == VM_E_PAGER) {
        return false;
    }
    if (got != want) {
        world_fail("the core says %s, the model %s",
            world_error_name(got), world_error_name(want));
    }
    return got == VM_OK;
}

/* Memory that nobody touches, from start to end. */
static void
space_fill(struct vm_map *map, vaddr_t start, vaddr_t end)
{
    struct vm_map_args a = {
        .addr = start, .size = end - start,
        .prot = VM_PROT_NONE, .max = VM_PROT_NONE,
        .inherit = VM_INHERIT_COPY,
    };

    WORLD_OK(vm_map_enter(map, &a, &a.addr));
}

void
space_begin(struct space *s)
{
    s->map = world_map_create();
    memset(s->slot, 0, sizeof(s->slot));
    space_fill(s->map, s->map->start, model.base);
    space_fill(s->map, va_of(MODEL_PAGES), s->map->end);
}

void
space_end(struct space *s)
{
    world_map_destroy(s->map);
    s->map = NULL;
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        slot_clear(&s->slot[i]);
    }
}

static void
space_verify_regions(struct space *s)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        struct slot *t = &s->slot[i];
        vaddr_t va = va_of(i);
        struct vm_region r;
        bool there = vm_map_region(s->map, &va, &r) && va <= va_of(i);

        if (there != (t->cell != NULL)) {
            world_fail("space %u page %u: %s", space_id(s), i,
                there ? "mapped" : "not mapped");
        }
        if (there && (r.prot != t->prot || r.max != t->max ||
            r.inherit != t->inherit || r.wired_count != t->wired)) {
            world_fail("space %u page %u: prot %u max %u inherit %d "
                "wired %u, not %u %u %d %u", space_id(s), i, r.prot,
                r.max, (int)r.inherit, r.wired_count, t->prot, t->max,
                (int)t->inherit, t->wired);
        }
    }
}

/* Try until the pager does not fail. */
static void
page_read(struct space *s, unsigned page, uint8_t *buf)
{
    int error, tries = 0;

    do {
        error = vm_map_read(s->map, va_of(page), buf, VM_PAGE_SIZE);
    } while (error == VM_E_PAGER && model.config.errors && ++tries < 1000);
    WORLD_OK(error);
}

void
page_resolve(struct space *s, unsigned page)
{
    static uint8_t buf[65536];
    struct slot *t = &s->slot[page];

    if (t->cell == NULL || !cell_in_doubt(t->cell) ||
        (t->prot & VM_PROT_READ) == 0) {
        return;
    }
    page_read(s, page, buf);
    if (!cell_seen(t->cell, buf)) {
        world_fail("space %u page %u: neither its own nor the file's",
            space_id(s), page);
    }
}

void
space_verify(struct space *s)
{
    static uint8_t buf[65536];

    space_verify_regions(s);
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        struct slot *t = &s->slot[i];
        const uint8_t *want;
        uint64_t at = 0;

        if (t->cell == NULL || (t->prot & VM_PROT_READ) == 0) {
            continue;
        }
        page_read(s, i, buf);
        if (cell_seen(t->cell, buf)) {
            continue;
        }
        want = cell_read(t->cell);
        while (buf[at] == want[at]) {
            at++;
        }
        world_fail("space %u page %u byte %llu: %#x, not %#x", space_id(s),
            i, (unsigned long long)at, buf[at], want[at]);
    }
}

static void
object_begin(struct object *o, unsigned id)
{
    static const struct world_habits habits = {
        .more = 30, .hole = 50, .late = 20,
    };
    static uint8_t buf[65536];

    memset(o, 0, sizeof(*o));
    if (id >= MODEL_OBJECTS / 2) {
        o->file = world_file_create(id, MODEL_OBJ_PAGES, &habits);
        o->object = o->file->object;
    } else {
        WORLD_OK(vm_object_create(MODEL_OBJ_PAGES, NULL, &o->object));
    }
    for (unsigned i = 0; i < MODEL_OBJ_PAGES; i++) {
        o->cell[i] = cell_new();
        if (o->file != NULL) {
            world_file_read(o->file, i, buf);
            memcpy(cell_write(o->cell[i]), buf, VM_PAGE_SIZE);
        }
    }
}

/* What somebody would see who mapped it now. */
static void
object_verify(struct object *o)
{
    static uint8_t buf[65536];

    for (unsigned i = 0; i < MODEL_OBJ_PAGES; i++) {
        int error, tries = 0;

        do {
            error = vm_object_read_page(o->object, i, buf);
        } while (error == VM_E_PAGER && model.config.errors &&
            ++tries < 1000);
        WORLD_OK(error);
        if (!cell_seen(o->cell[i], buf)) {
            world_fail("object %d page %u: wrong contents",
                (int)(o - model.object), i);
        }
    }
}

static void
object_end(struct object *o)
{
    if (o->file != NULL) {
        world_file_close(o->file);
    } else {
        vm_object_unref(o->object, NULL);
    }
    for (unsigned i = 0; i < MODEL_OBJ_PAGES; i++) {
        cell_unref(o->cell[i]);
    }
}

void
model_begin(const struct model_config *c, struct model_source *s)
{
    struct vm_map *probe;

    memset(&model, 0, sizeof(model));
    model.config = *c;
    model.source = s;
    world_boot(&c->world);
    world_explain = model_explain;
    /* Tables of every level end in the middle of the window. */
    model.base = ((vaddr_t)1 << 30) - bytes_of(MODEL_PAGES / 2);
    probe = world_map_create();
    model.low = probe->start;
    model.high = probe->end;
    world_map_destroy(probe);
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        object_begin(&model.object[i], i);
    }
    space_begin(&model.space[0]);
    told("begin");
}

void
model_step(void)
{
    model.step++;
    told("?");
    world_on((unsigned)draw(model.config.world.cpus));
    if (model.config.errors) {
        for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
            if (model.object[i].file != NULL) {
                model.object[i].file->habits.error = 10;
            }
        }
    }
    model_op();
}

void
model_verify(void)
{
    world_serve();
    for (unsigned i = 0; i < MODEL_SPACES; i++) {
        if (model.space[i].map != NULL) {
            space_verify(&model.space[i]);
        }
    }
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        object_verify(&model.object[i]);
    }
    world_check();
}

void
model_end(void)
{
    told("end");
    for (unsigned i = 0; i < MODEL_SPACES; i++) {
        if (model.space[i].map != NULL) {
            space_end(&model.space[i]);
        }
    }
    for (unsigned i = 0; i < MODEL_COPIES; i++) {
        struct copy *c = &model.copy[i];

        if (c->copy != NULL) {
            vm_map_copy_discard(c->copy);
            for (unsigned j = 0; j < c->npages; j++) {
                cell_unref(c->cell[j]);
            }
        }
    }
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        object_end(&model.object[i]);
    }
    world_end();
    world_explain = NULL;
}

void
model_run(const struct model_config *c, struct model_source *s,
    uint64_t steps)
{
    const char *from = getenv("MODEL_VERIFY");
    uint64_t all = from != NULL ? strtoull(from, NULL, 0) : UINT64_MAX;

    model_begin(c, s);
    for (uint64_t i = 1; i <= steps; i++) {
        model_step();
        if (i % 64 == 0 || i >= all) {
            model_verify();
        }
    }
    model_verify();
    model_end();
}
