/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_op.c - what a step may be.
 */
#include <string.h>

#include "model_int.h"

static uint8_t buffer[4 * 65536];

static vm_prot_t
draw_prot(void)
{
    static const vm_prot_t prots[] = {
        VM_PROT_NONE, VM_PROT_READ, VM_PROT_READ, VM_PROT_WRITE,
        VM_PROT_EXEC, VM_PROT_READ | VM_PROT_EXEC, VM_PROT_ALL,
        VM_PROT_READ | VM_PROT_WRITE, VM_PROT_READ | VM_PROT_WRITE,
        VM_PROT_READ | VM_PROT_WRITE, VM_PROT_ALL, VM_PROT_ALL,
    };

    return prots[draw(sizeof(prots) / sizeof(prots[0]))];
}

/* What the first access to a page must answer. */
static int
expect_access(const struct slot *t, vm_prot_t access)
{
    if (t->cell == NULL) {
        return VM_E_ADDRESS;
    }
    return (access & ~t->prot) != 0 ? VM_E_PROT : VM_OK;
}

/*
 * Hardware cannot deny READ where it grants WRITE or EXEC: whether such a
 * load faults depends on what the MMU remembers.
 */
static bool
is_grey(const struct slot *t)
{
    return t->cell != NULL && (t->prot & VM_PROT_READ) == 0 &&
        t->prot != VM_PROT_NONE;
}

/* One page's piece of an access, by a program or by the kernel. */
static int
touch(struct space *s, vaddr_t va, uint8_t *buf, size_t n, bool write,
    bool kernel)
{
    int error, tries = 0;

    arm();
    do {
        if (kernel) {
            error = write ? vm_map_write(s->map, va, buf, n) :
                vm_map_read(s->map, va, buf, n);
        } else {
            error = write ? world_store(s->map, va, buf, n) :
                world_load(s->map, va, buf, n);
        }
        host_fail_after(0);
        if (model.armed && error == VM_E_NOMEM) {
            error = VM_E_RETRY;
        }
        model.armed = false;
        if (error == VM_E_PAGER && model.config.errors && ++tries < 1000) {
            error = VM_E_RETRY;
        }
    } while (error == VM_E_RETRY);
    return error;
}

static void
access_piece(struct space *s, unsigned page, size_t offset, size_t n,
    bool write, bool kernel)
{
    struct slot *t = &s->slot[page];
    vaddr_t va = va_of(page) + offset;
    int want = expect_access(t, write ? VM_PROT_WRITE : VM_PROT_READ), got;

    page_resolve(s, page);
    if (write) {
        world_fill(buffer, n, space_id(s), page, model.step);
    }
    got = touch(s, va, buffer, n, write, kernel);
    if (!write && !kernel && is_grey(t) && got == VM_E_PROT) {
        return;
    }
    if (!write && !kernel && is_grey(t)) {
        want = VM_OK;
    }
    if (!agree(got, want)) {
        return;
    }
    if (cell_in_doubt(t->cell)) {
        /* Never seen, and partly written. */
        if (write) {
            cell_write(t->cell);
            t->cell->doubt = DOUBT_ALL;
        }
    } else if (write) {
        memcpy(cell_write(t->cell) + offset, buffer, n);
    } else if (memcmp(buffer, cell_read(t->cell) + offset, n) != 0) {
        world_fail("space %u page %u +%#zx: wrong contents", space_id(s),
            page, offset);
    }
}

static void
op_access(bool write, bool kernel)
{
    struct space *s = draw_space();
    unsigned page = (unsigned)draw(MODEL_PAGES);
    size_t offset = draw(2) ? 0 : draw(VM_PAGE_SIZE);
    size_t n = draw(3) == 0 ? VM_PAGE_SIZE : 1 + draw(64);

    told("cpu %u: %s%s %u page %u +%#zx, %zu", kern_cpu(),
        kernel ? "kernel " : "", write ? "store" : "load", space_id(s),
        page, offset, n);
    while (n > 0 && page < MODEL_PAGES) {
        size_t piece = VM_PAGE_SIZE - offset < n ? VM_PAGE_SIZE - offset : n;

        access_piece(s, page, offset, piece, write, kernel);
        page++;
        offset = 0;
        n -= piece;
    }
}

static void
op_exec(void)
{
    struct space *s = draw_space();
    unsigned page = (unsigned)draw(MODEL_PAGES);
    int error, tries = 0;

    told("cpu %u: exec %u page %u", kern_cpu(), space_id(s), page);
    do {
        error = world_exec(s->map, va_of(page));
    } while (error == VM_E_PAGER && model.config.errors && ++tries < 1000);
    (void)agree(error, expect_access(&s->slot[page], VM_PROT_EXEC));
}

/* Arguments that are wrong in themselves. */
static void
op_bad(void)
{
    struct space *s = draw_space();
    vaddr_t start = va_of((unsigned)draw(MODEL_PAGES));
    vsize_t size = VM_PAGE_SIZE;
    vm_prot_t prot = VM_PROT_READ;
    int want = VM_E_INVAL, got = VM_OK;
    unsigned how = (unsigned)draw(6), op = (unsigned)draw(5);

    told("bad arguments: op %u, wrong in way %u", op, how);
    switch (how) {
    case 0: size = 0; break;
    case 1: size += VM_PAGE_SIZE / 2; break;
    case 2: start += 16; break;
    case 3: size = -start; break;           /* to the very end, and 0 */
    case 4: start = model.low - VM_PAGE_SIZE; want = VM_E_ADDRESS; break;
    case 5: start = model.high; want = VM_E_ADDRESS; break;
    }
    switch (op) {
    case 0: got = vm_map_allocate(s->map, &start, size, false); break;
    case 1: got = vm_map_deallocate(s->map, start, size); break;
    case 2: got = vm_map_protect(s->map, start, size, prot, false); break;
    case 3: got = vm_map_inherit(s->map, start, size, VM_INHERIT_COPY);
        break;
    case 4: got = vm_map_wire(s->map, start, size); break;
    }
    (void)agree(got, want);
}

static void
slots_new(struct space *s, struct span r, const struct vm_map_args *a,
    struct object *o)
{
    for (unsigned i = 0; i < r.n; i++) {
        struct slot *t = &s->slot[r.first + i];
        struct cell *c;

        if (o == NULL) {
            c = cell_new();
        } else if (a->mode == VM_MAP_SHARED) {
            c = cell_ref(o->cell[a->pgno + i]);
        } else if (a->mode == VM_MAP_PRIVATE) {
            c = cell_over(o->cell[a->pgno + i]);
        } else {
            c = cell_snapshot(o->cell[a->pgno + i]);
        }
        slot_set(t, c);
        t->prot = a->prot;
        t->max = a->max;
        t->inherit = a->inherit;
    }
}

static void
op_enter(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    struct object *o = draw(3) == 0 ? NULL :
        &model.object[draw(MODEL_OBJECTS)];
    unsigned align = 1u << draw(4);
    struct vm_map_args a = {
        .addr = va_of(r.first), .anywhere = draw(3) == 0,
        .overwrite = draw(3) == 0, .mode = (enum vm_map_mode)draw(3),
        .prot = draw_prot(), .max = draw(4) == 0 ? draw_prot() : VM_PROT_ALL,
        .inherit = (enum vm_inherit)draw(2),
    };
    vaddr_t addr = 0;
    int want = VM_OK, at = (int)r.first;

    if (o != NULL) {
        if (r.n > MODEL_OBJ_PAGES) {
            r.n = MODEL_OBJ_PAGES;
        }
        if (o->file == NULL && a.mode == VM_MAP_PRIVATE &&
            !model.config.private_shared) {
            a.mode = VM_MAP_COPY;
        }
        a.object = o->object;
        a.pgno = draw(MODEL_OBJ_PAGES - r.n + 1);
    }
    a.size = bytes_of(r.n);
    if (a.anywhere) {
        a.align = bytes_of(align);
        at = space_fit(s, r.first, r.n, align);
    }
    told("enter %u pages [%u, +%u) object %d page %u mode %d prot %u max %u"
        "%s%s", space_id(s), r.first, r.n,
        o == NULL ? -1 : (int)(o - model.object), (unsigned)a.pgno,
        (int)a.mode, a.prot, a.max, a.anywhere ? " anywhere" : "",
        a.overwrite ? " overwrite" : "");
    if ((a.prot & ~a.max) != 0) {
        want = VM_E_PROT;
    } else if (a.anywhere ? at < 0 :
        !a.overwrite && space_holes(s, r) != r.n) {
        want = VM_E_NOSPACE;
    }
    arm();
    if (agree(vm_map_enter(s->map, &a, &addr), want)) {
        if (addr != va_of((unsigned)at)) {
            world_fail("entered at %#llx, not at page %d",
                (unsigned long long)addr, at);
        }
        r.first = (unsigned)at;
        slots_new(s, r, &a, o);
    }
}

static void
op_allocate(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    bool anywhere = draw(2);
    vaddr_t addr = va_of(r.first);
    int at = anywhere ? space_fit(s, r.first, r.n, 1) : (int)r.first;
    struct vm_map_args a = {
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_COPY,
    };
    int want = VM_OK;

    told("allocate %u pages [%u, +%u)%s", space_id(s), r.first, r.n,
        anywhere ? " anywhere" : "");
    if (at < 0 || (!anywhere && space_holes(s, r) != r.n)) {
        want = VM_E_NOSPACE;
    }
    arm();
    if (agree(vm_map_allocate(s->map, &addr, bytes_of(r.n), anywhere),
        want)) {
        if (addr != va_of((unsigned)at)) {
            world_fail("allocated at %#llx, not at page %d",
                (unsigned long long)addr, at);
        }
        r.first = (unsigned)at;
        slots_new(s, r, &a, NULL);
    }
}

static void
op_deallocate(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);

    told("deallocate %u pages [%u, +%u)", space_id(s), r.first, r.n);
    arm();
    if (agree(vm_map_deallocate(s->map, va_of(r.first), bytes_of(r.n)),
        VM_OK)) {
        for (unsigned i = 0; i < r.n; i++) {
            slot_clear(&s->slot[r.first + i]);
        }
    }
}

/* Look at what is in doubt, while it can be told apart. */
static void
resolve(struct space *s, struct span r)
{
    for (unsigned i = 0; i < r.n; i++) {
        page_resolve(s, r.first + i);
    }
}

static void
op_protect(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    vm_prot_t prot = draw_prot();
    bool set_max = draw(12) == 0;
    int want = VM_OK;

    told("protect %u pages [%u, +%u) prot %u%s", space_id(s), r.first, r.n,
        prot, set_max ? " max" : "");
    resolve(s, r);
    if (space_holes(s, r) != 0) {
        want = VM_E_ADDRESS;
    } else if (!space_max_allows(s, r, prot)) {
        want = VM_E_PROT;
    }
    arm();
    if (!agree(vm_map_protect(s->map, va_of(r.first), bytes_of(r.n), prot,
            set_max), want)) {
        return;
    }
    for (unsigned i = 0; i < r.n; i++) {
        struct slot *t = &s->slot[r.first + i];

        t->prot = set_max ? t->prot & prot : prot;
        t->max = set_max ? prot : t->max;
        if (t->wired > 0) {
            cell_may_own(t->cell);
        }
    }
}

static void
op_inherit(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    enum vm_inherit inherit = (enum vm_inherit)(draw(5) % 3);

    told("inherit %u pages [%u, +%u) %d", space_id(s), r.first, r.n,
        (int)inherit);
    arm();
    if (agree(vm_map_inherit(s->map, va_of(r.first), bytes_of(r.n),
            inherit), space_holes(s, r) != 0 ? VM_E_ADDRESS : VM_OK)) {
        for (unsigned i = 0; i < r.n; i++) {
            s->slot[r.first + i].inherit = inherit;
        }
    }
}

static void
op_wire(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    int want = space_holes(s, r) != 0 ? VM_E_ADDRESS :
        !space_allows(s, r, VM_PROT_READ) ? VM_E_PROT : VM_OK;
    bool done;

    told("wire %u pages [%u, +%u)", space_id(s), r.first, r.n);
    resolve(s, r);
    arm();
    done = agree(vm_map_wire(s->map, va_of(r.first), bytes_of(r.n)), want);
    for (unsigned i = 0; i < r.n; i++) {
        struct slot *t = &s->slot[r.first + i];

        t->wired += done;
        /* Even if it failed, it may have begun. */
        if (t->cell != NULL) {
            cell_may_own(t->cell);
        }
    }
}

static void
op_unwire(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);

    told("unwire %u pages [%u, +%u)", space_id(s), r.first, r.n);
    if (agree(vm_map_unwire(s->map, va_of(r.first), bytes_of(r.n)),
        space_holes(s, r) != 0 ? VM_E_ADDRESS : VM_OK)) {
        for (unsigned i = 0; i < r.n; i++) {
            struct slot *t = &s->slot[r.first + i];

            t->wired -= t->wired > 0;
        }
    }
}

/* Snapshots of the cells of a span. */
static void
cells_take(struct space *s, struct span r, struct cell **out)
{
    for (unsigned i = 0; i < r.n; i++) {
        struct cell *c = s->slot[r.first + i].cell;

        out[i] = cell_copy(c);
        cell_may_stop(out[i]);
    }
}

static void
cells_put(struct space *s, struct span r, struct cell **from)
{
    for (unsigned i = 0; i < r.n; i++) {
        struct cell *to = s->slot[r.first + i].cell;

        if (to->refs > 1 && cell_in_doubt(from[i])) {
            cell_write(to);
            to->doubt = DOUBT_ALL;
        } else if (to->refs == 1 && from[i]->under != NULL) {
            /* The destination may look through now. */
            cell_write(to);
            to->under = cell_ref(from[i]->under);
            to->doubt = from[i]->doubt;
            memcpy(to->bytes, from[i]->bytes, VM_PAGE_SIZE);
        } else {
            memcpy(cell_write(to), cell_read(from[i]), VM_PAGE_SIZE);
            to->doubt = from[i]->doubt;
        }
        cell_unref(from[i]);
    }
}

static void
op_copy(void)
{
    struct space *s = draw_space(), *d = draw(2) ? draw_space() : s;
    struct span r = draw_span(MODEL_PAGES), to = draw_span(MODEL_PAGES);
    struct cell *cell[MODEL_PAGES];
    int want = VM_OK;

    if (to.n > r.n) {
        to.n = r.n;
    }
    r.n = to.n;
    told("copy %u pages [%u, +%u) to %u page %u", space_id(s), r.first, r.n,
        space_id(d), to.first);
    if (space_holes(s, r) + space_holes(d, to) != 0) {
        want = VM_E_ADDRESS;
    } else if (!space_allows(s, r, VM_PROT_READ) ||
        !space_allows(d, to, VM_PROT_WRITE)) {
        want = VM_E_PROT;
    }
    resolve(s, r);
    resolve(d, to);
    if (model.config.errors) {
        /* An error half-way leaves a prefix: not modelled. */
        for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
            if (model.object[i].file != NULL) {
                model.object[i].file->habits.error = 0;
            }
        }
    }
    if (space_holes(d, to) != 0 || space_allows(d, to, VM_PROT_READ)) {
        /* Else the core may run out of memory half-way: see BUGS.txt. */
        arm();
    }
    if (agree(vm_map_copy(s->map, va_of(r.first), bytes_of(r.n), d->map,
            va_of(to.first)), want)) {
        cells_take(s, r, cell);
        cells_put(d, to, cell);
        resolve(d, to);
    }
}

static void
op_copyin(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);
    struct copy *c = &model.copy[draw(MODEL_COPIES)];
    int want = space_holes(s, r) != 0 ? VM_E_ADDRESS :
        !space_allows(s, r, VM_PROT_READ) ? VM_E_PROT : VM_OK;

    told("copyin %u pages [%u, +%u)", space_id(s), r.first, r.n);
    if (c->copy != NULL) {
        return;
    }
    resolve(s, r);
    arm();
    if (agree(vm_map_copyin(s->map, va_of(r.first), bytes_of(r.n),
            &c->copy), want)) {
        c->npages = r.n;
        cells_take(s, r, c->cell);
    }
}

static void
op_copyout(void)
{
    struct space *s = draw_space();
    struct copy *c = &model.copy[draw(MODEL_COPIES)];
    vaddr_t addr = 0;
    int at;

    told("copyout %u", space_id(s));
    if (c->copy == NULL) {
        return;
    }
    if (draw(4) == 0) {
        told("copy_discard");
        vm_map_copy_discard(c->copy);
        for (unsigned i = 0; i < c->npages; i++) {
            cell_unref(c->cell[i]);
        }
        c->copy = NULL;
        return;
    }
    at = space_fit(s, 0, c->npages, 1);
    told("copyout %u, %u pages, to page %d", space_id(s), c->npages, at);
    arm();
    if (!agree(vm_map_copyout(s->map, c->copy, &addr),
            at < 0 ? VM_E_NOSPACE : VM_OK)) {
        return;
    }
    if (addr != va_of((unsigned)at)) {
        world_fail("copied out to %#llx, not to page %d",
            (unsigned long long)addr, at);
    }
    for (unsigned i = 0; i < c->npages; i++) {
        struct slot *t = &s->slot[(unsigned)at + i];

        slot_set(t, c->cell[i]);
        t->prot = VM_PROT_READ | VM_PROT_WRITE;
        t->max = VM_PROT_ALL;
        t->inherit = VM_INHERIT_COPY;
    }
    c->copy = NULL;
}

static void
fork_slots(const struct space *s, struct space *child)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        const struct slot *t = &s->slot[i];
        struct slot *u = &child->slot[i];

        memset(u, 0, sizeof(*u));
        if (t->cell == NULL || t->inherit == VM_INHERIT_NONE) {
            continue;
        }
        *u = *t;
        u->wired = 0;
        u->cell = t->inherit == VM_INHERIT_SHARE ? cell_ref(t->cell) :
            cell_copy(t->cell);
        if (t->wired > 0) {
            cell_may_own(u->cell);
        }
    }
}

static void
op_fork(void)
{
    struct space *s = draw_space();
    struct space *child = &model.space[draw(MODEL_SPACES)];

    told("fork %u to %u", space_id(s), space_id(child));
    if (child->map != NULL) {
        if (child == s) {
            return;
        }
        space_end(child);
    }
    arm();
    if (agree(world_map_try_fork(s->map, &child->map), VM_OK)) {
        fork_slots(s, child);
    } else {
        child->map = NULL;
    }
}

static void
op_end(void)
{
    struct space *s = draw_space();
    unsigned living = 0;

    for (unsigned i = 0; i < MODEL_SPACES; i++) {
        living += model.space[i].map != NULL;
    }
    told("end of %u", space_id(s));
    space_end(s);
    if (living == 1) {
        space_begin(s);
    }
}

static void
op_forget(void)
{
    struct space *s = draw_space();
    struct span r = draw_span(MODEL_PAGES);

    switch (draw(3)) {
    case 0:
        told("discard %u", space_id(s));
        (void)agree(pmap_discard(s->map->pmap), VM_OK);
        break;
    case 1:
        told("discard %u pages [%u, +%u)", space_id(s), r.first, r.n);
        (void)agree(pmap_discard_range(s->map->pmap, va_of(r.first),
            va_of(r.first + r.n)), VM_OK);
        break;
    case 2:
        told("discard %u table of page %u", space_id(s), r.first);
        (void)agree(pmap_discard_table(s->map->pmap, va_of(r.first)),
            VM_OK);
        break;
    }
    if (draw(4) == 0) {
        (void)pmap_reap(true);
    }
}

static void
op_pageout(void)
{
    uint64_t want = 1 + draw(64);

    told("pageout %u", (unsigned)want);
    (void)vm_pageout(1 + draw(2048), want);
    world_serve();
}

static bool
cell_is_wired(const struct cell *c)
{
    for (unsigned i = 0; i < MODEL_SPACES; i++) {
        for (unsigned j = 0; j < MODEL_PAGES; j++) {
            struct slot *t = &model.space[i].slot[j];

            if (model.space[i].map != NULL && t->wired > 0 &&
                (t->cell == c || t->cell->under == c)) {
                return true;
            }
        }
    }
    return false;
}

static void
op_file(void)
{
    struct object *o = &model.object[MODEL_OBJECTS / 2 +
        draw(MODEL_OBJECTS - MODEL_OBJECTS / 2)];
    vm_pgno_t pgno = draw(MODEL_OBJ_PAGES);
    vm_pgno_t n = 1 + draw(MODEL_OBJ_PAGES - pgno);
    unsigned id = (unsigned)(o - model.object);

    if (draw(2)) {
        told("file %u writes back pages [%u, +%u)", id, (unsigned)pgno,
            (unsigned)n);
        (void)agree(vm_pager_clean_request(&o->file->pager, pgno, n),
            VM_OK);
        return;
    }
    told("file %u changes page %u", id, (unsigned)pgno);
    if (cell_is_wired(o->cell[pgno])) {
        return;
    }
    o->file->habits.error = 0;
    world_file_update(o->file, pgno, ++model.version);
    world_file_read(o->file, pgno, cell_write(o->cell[pgno]));
}

static void
op_simplify(void)
{
    struct space *s = draw_space();

    told("simplify %u", space_id(s));
    (void)vm_map_simplify(s->map);
}

void
model_op(void)
{
    uint64_t x = draw(200);

    if (x < 46) {
        op_access(true, false);
    } else if (x < 76) {
        op_access(false, false);
    } else if (x < 82) {
        op_access(x & 1, true);
    } else if (x < 86) {
        op_exec();
    } else if (x < 96) {
        op_allocate();
    } else if (x < 112) {
        op_enter();
    } else if (x < 120) {
        op_deallocate();
    } else if (x < 128) {
        op_protect();
    } else if (x < 134) {
        op_inherit();
    } else if (x < 137) {
        op_wire();
    } else if (x < 142) {
        op_unwire();
    } else if (x < 154) {
        op_copy();
    } else if (x < 159) {
        op_copyin();
    } else if (x < 164) {
        op_copyout();
    } else if (x < 174) {
        op_fork();
    } else if (x < 178) {
        op_end();
    } else if (x < 184) {
        op_forget();
    } else if (x < 188) {
        op_pageout();
    } else if (x < 192) {
        op_file();
    } else if (x < 195) {
        op_bad();
    } else {
        op_simplify();
    }
}
