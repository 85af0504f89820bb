/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt.c - reading a flattened device tree.
 *
 * Source: Devicetree Specification 0.4, chapter 5 (the blob), 2.3 (standard
 * properties), 3 (nodes).  Sections are of it.
 *
 *   header | memory reservations | structure: tokens | strings
 *
 * One walker goes through the tokens in document order with a stack of the
 * nodes that it is in; everything else is a loop around it.  A blob is small
 * and read a few times, so nothing is remembered.  Every offset is checked
 * against the block that it points into: a blob that is cut short or lies
 * ends the walk, it is never read beyond totalsize.
 */
#include "boot.h"
#include "vm_kern.h"

#define FDT_MAGIC       0xd00dfeedu     /* 5.2 */
#define FDT_VERSION     17u             /* 5.2: sizes of both blocks */
#define FDT_HEADER      40u
#define FDT_MAX_SIZE    (16u << 20)     /* ours: more is no blob */

/* Words of the header, 5.2. */
enum {
    HEAD_MAGIC, HEAD_TOTAL, HEAD_STRUCT, HEAD_STRINGS, HEAD_RESERVE,
    HEAD_VERSION, HEAD_COMPATIBLE, HEAD_CPU, HEAD_STRINGS_SIZE,
    HEAD_STRUCT_SIZE
};

/* Tokens, 5.4.1. */
#define FDT_BEGIN_NODE  1u
#define FDT_END_NODE    2u
#define FDT_PROP        3u
#define FDT_NOP         4u

#define DEPTH           16u             /* of nodes; ours */
#define CELLS           4u              /* most in one number; ours */

/* A node that the walk is in; its cells are for its children. */
struct level {
    uint32_t node;
    uint32_t address_cells, size_cells;
};

/* Where the two blocks are; the second ends with a 0 (fdt_check()). */
struct blob {
    const uint8_t *structure, *strings;
    uint32_t size, strings_size;
};

struct walk {
    const uint8_t *fdt;
    struct blob blob;
    uint32_t next;                      /* token to read */
    uint32_t depth;                     /* levels in use; the last is new */
    struct level level[DEPTH];
};

struct property {
    const char *name;
    const uint8_t *data;
    uint32_t size;
};

uint32_t
fdt_cell(const void *property, unsigned i)
{
    const uint8_t *p = (const uint8_t *)property + 4 * i;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
        (uint32_t)p[2] << 8 | p[3];
}

static bool
same(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* A string that ends within size bytes. */
static bool
terminated(const uint8_t *s, uint32_t size)
{
    while (size > 0 && *s != 0) {
        s++;
        size--;
    }
    return size > 0;
}

/* ---- tokens ----------------------------------------------------------- */

static struct blob
blob_of(const uint8_t *fdt)
{
    return (struct blob){
        .structure = fdt + fdt_cell(fdt, HEAD_STRUCT),
        .strings = fdt + fdt_cell(fdt, HEAD_STRINGS),
        .size = fdt_cell(fdt, HEAD_STRUCT_SIZE),
        .strings_size = fdt_cell(fdt, HEAD_STRINGS_SIZE)
    };
}

/*
 * The token at offset at of the structure block, where the next one begins,
 * and what it holds.  False: the block ends here, or it is damaged.
 */
static bool
token(const struct blob *b, uint32_t at, uint32_t *kind, uint32_t *next,
    struct property *p)
{
    const uint8_t *block = b->structure;
    uint32_t size = b->size, name, end = at + 4;

    if (at > size || size - at < 4) {
        return false;
    }
    *kind = fdt_cell(block + at, 0);
    if (*kind == FDT_BEGIN_NODE) {
        if (!terminated(block + end, size - end)) {
            return false;
        }
        while (block[end] != 0) {
            end++;
        }
        end++;
    } else if (*kind == FDT_PROP) {
        if (size - end < 8) {
            return false;
        }
        p->size = fdt_cell(block + end, 0);
        name = fdt_cell(block + end, 1);
        end += 8;
        if (p->size > size - end || name >= b->strings_size) {
            return false;
        }
        p->name = (const char *)b->strings + name;
        p->data = block + end;
        end += p->size;
    } else if (*kind != FDT_END_NODE && *kind != FDT_NOP) {
        return false;                   /* FDT_END, or none of 5.4.1 */
    }
    *next = (end + 3) & ~3u;
    return true;
}

/*
 * The property at or after *at in the node that *at is inside of.  They all
 * come before its children (5.4.2).
 */
static bool
property_next(const struct blob *b, uint32_t *at, struct property *p)
{
    uint32_t kind, next;

    while (token(b, *at, &kind, &next, p)) {
        if (kind != FDT_PROP && kind != FDT_NOP) {
            return false;
        }
        *at = next;
        if (kind == FDT_PROP) {
            return true;
        }
    }
    return false;
}

/* Enter the node whose FDT_BEGIN_NODE is at w->next. */
static bool
walk_enter(struct walk *w, uint32_t inside)
{
    struct level *l = &w->level[w->depth];
    struct property p;

    if (w->depth == DEPTH) {
        return false;
    }
    /* 2.3.5: these defaults, not the parent's values. */
    *l = (struct level){ w->next, 2, 1 };
    w->depth++;
    w->next = inside;
    while (property_next(&w->blob, &w->next, &p)) {
        if (p.size == 4 && same(p.name, "#address-cells")) {
            l->address_cells = fdt_cell(p.data, 0);
        } else if (p.size == 4 && same(p.name, "#size-cells")) {
            l->size_cells = fdt_cell(p.data, 0);
        }
    }
    return true;
}

/* To the next node in document order. */
static bool
walk_next(struct walk *w)
{
    struct property p;
    uint32_t kind, next;

    while (token(&w->blob, w->next, &kind, &next, &p)) {
        if (kind == FDT_BEGIN_NODE) {
            return walk_enter(w, next);
        }
        if (kind == FDT_END_NODE) {
            if (w->depth == 0) {
                return false;
            }
            w->depth--;
        }
        w->next = next;
    }
    return false;
}

static void
walk_node(const struct walk *w, struct fdt_node *n)
{
    n->fdt = w->fdt;
    n->offset = w->level[w->depth - 1].node;
    n->address_cells = 2;
    n->size_cells = 1;
    if (w->depth > 1) {
        n->address_cells = w->level[w->depth - 2].address_cells;
        n->size_cells = w->level[w->depth - 2].size_cells;
    }
}

static const char *
node_name(const struct fdt_node *n)
{
    return (const char *)n->fdt + fdt_cell(n->fdt, HEAD_STRUCT) +
        n->offset + 4;
}

/* ---- nodes and properties --------------------------------------------- */

const void *
fdt_property(const struct fdt_node *n, const char *name, uint32_t *size)
{
    struct blob b = blob_of(n->fdt);
    struct property p;
    uint32_t kind, at;

    if (!token(&b, n->offset, &kind, &at, &p)) {
        return NULL;
    }
    while (property_next(&b, &at, &p)) {
        if (same(p.name, name)) {
            *size = p.size;
            return p.data;
        }
    }
    return NULL;
}

bool
fdt_u32(const struct fdt_node *n, const char *name, uint32_t *value)
{
    uint32_t size;
    const void *p = fdt_property(n, name, &size);

    if (p == NULL || size != 4) {
        return false;
    }
    *value = fdt_cell(p, 0);
    return true;
}

/* Is one of the property's strings (2.2.4, stringlist) this one? */
static bool
has_string(const struct fdt_node *n, const char *name, const char *string)
{
    uint32_t size, i = 0;
    const char *s = fdt_property(n, name, &size);

    while (s != NULL && i < size) {
        if (!terminated((const uint8_t *)s + i, size - i)) {
            return false;
        }
        if (same(s + i, string)) {
            return true;
        }
        while (s[i++] != 0) {
        }
    }
    return false;
}

/* 2.3.4: operational unless it says something else. */
static bool
is_okay(const struct fdt_node *n)
{
    uint32_t size;

    return fdt_property(n, "status", &size) == NULL ||
        has_string(n, "status", "okay") || has_string(n, "status", "ok");
}

bool
fdt_compatible(const void *fdt, const char *compatible,
    struct fdt_node *inout_after)
{
    struct walk w = { .fdt = fdt, .blob = blob_of(fdt) };
    struct fdt_node n;

    while (walk_next(&w)) {
        walk_node(&w, &n);
        if (inout_after->fdt != NULL && n.offset <= inout_after->offset) {
            continue;
        }
        if (has_string(&n, "compatible", compatible) && is_okay(&n)) {
            *inout_after = n;
            return true;
        }
    }
    return false;
}

/*
 * The next component of a path: does name match it, its unit address left
 * out if the path does?
 */
static bool
component_is(const char *path, uint32_t length, const char *name)
{
    bool unit = false;

    for (uint32_t i = 0; i < length; i++) {
        unit = unit || path[i] == '@';
        if (name[i] != path[i]) {
            return false;
        }
    }
    return name[length] == 0 || (!unit && name[length] == '@');
}

bool
fdt_path(const void *fdt, const char *path, struct fdt_node *out)
{
    struct walk w = { .fdt = fdt, .blob = blob_of(fdt) };
    uint32_t found = 1;                 /* levels of the path, with root */
    struct fdt_node n;

    while (walk_next(&w)) {
        uint32_t length = 0;

        if (w.depth < found) {
            return false;
        }
        while (*path == '/') {
            path++;
        }
        walk_node(&w, &n);
        if (w.depth != found) {
            continue;                   /* below a node that is not on it */
        }
        while (path[length] != 0 && path[length] != '/') {
            length++;
        }
        if (w.depth == 1) {
            found = 2;
        } else if (component_is(path, length, node_name(&n))) {
            path += length;
            found++;
        }
        if (*path == 0 && found == w.depth + 1) {
            *out = n;
            return true;
        }
    }
    return false;
}

/* ---- reg and ranges --------------------------------------------------- */

/*
 * A number of so many cells; false if 64 bits do not hold it.  Above the
 * low two, a bus may keep flags there: only 0 is a number.
 */
static bool
number(const uint8_t *p, uint32_t cells, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < cells; i++) {
        if (*value >> 32 != 0) {
            return false;
        }
        *value = *value << 32 | fdt_cell(p, i);
    }
    return true;
}

/*
 * An address of bus's children as its parent sees it (2.3.8): the same
 * where "ranges" is empty; none where it is missing or has no such range.
 */
static bool
translate(const uint8_t *fdt, const struct level *bus,
    const struct level *parent, paddr_t size, paddr_t *pa)
{
    struct fdt_node n = { fdt, bus->node, 0, 0 };
    uint32_t child = bus->address_cells, up = parent->address_cells;
    uint32_t length, bytes;
    const uint8_t *p = fdt_property(&n, "ranges", &length);

    if (p == NULL || length == 0) {
        return p != NULL;
    }
    if (child > CELLS || up > CELLS || bus->size_cells > CELLS) {
        return false;
    }
    bytes = 4 * (child + up + bus->size_cells);
    for (; bytes != 0 && length >= bytes; p += bytes, length -= bytes) {
        uint64_t from, to, span;

        if (number(p, child, &from) && number(p + 4 * child, up, &to) &&
            number(p + 4 * (child + up), bus->size_cells, &span) &&
            *pa >= from && *pa - from < span &&
            size <= span - (*pa - from) && to + span - 1 >= to) {
            *pa = *pa - from + to;
            return true;
        }
    }
    return false;
}

bool
fdt_reg(const struct fdt_node *n, unsigned i, paddr_t *start, paddr_t *size)
{
    struct walk w = { .fdt = n->fdt, .blob = blob_of(n->fdt) };
    uint32_t a = n->address_cells, s = n->size_cells, length;
    const uint8_t *p = fdt_property(n, "reg", &length);
    paddr_t pa, bytes;

    if (p == NULL || a > CELLS || s > CELLS || a == 0 ||
        i >= length / (4 * (a + s))) {
        return false;
    }
    p += 4 * (a + s) * i;
    if (!number(p, a, &pa) || !number(p + 4 * a, s, &bytes)) {
        return false;
    }
    /* Again down to the node, for its parents. */
    do {
        if (!walk_next(&w)) {
            return false;
        }
    } while (w.level[w.depth - 1].node != n->offset);
    for (uint32_t d = w.depth; d > 2; d--) {
        if (!translate(n->fdt, &w.level[d - 2], &w.level[d - 3], bytes,
                &pa)) {
            return false;
        }
    }
    *start = pa;
    *size = bytes;
    return true;
}

void *
fdt_registers(const struct fdt_node *n, unsigned i, paddr_t *size)
{
    paddr_t start, bytes;

    if (!fdt_reg(n, i, &start, &bytes)) {
        return NULL;
    }
    boot_device(start, bytes);
    if (size != NULL) {
        *size = bytes;
    }
    return boot_device_ptr(start);
}

/* ---- what the kernel wants to know ------------------------------------ */

/* Does [offset, offset + size) lie within total? */
static bool
block_ok(uint32_t offset, uint32_t size, uint32_t total)
{
    return offset >= FDT_HEADER && offset <= total && size <= total - offset;
}

uint32_t
fdt_check(const void *blob)
{
    const uint8_t *fdt = blob;
    struct blob b;
    uint32_t total;

    if (fdt_cell(fdt, HEAD_MAGIC) != FDT_MAGIC) {
        kern_panic("device tree: magic number is %#x",
            fdt_cell(fdt, HEAD_MAGIC));
    }
    if (fdt_cell(fdt, HEAD_VERSION) < FDT_VERSION ||
        fdt_cell(fdt, HEAD_COMPATIBLE) > FDT_VERSION) {
        kern_panic("device tree: version %u, compatible to %u",
            fdt_cell(fdt, HEAD_VERSION), fdt_cell(fdt, HEAD_COMPATIBLE));
    }
    total = fdt_cell(fdt, HEAD_TOTAL);
    if (total > FDT_MAX_SIZE ||
        !block_ok(fdt_cell(fdt, HEAD_STRUCT),
            fdt_cell(fdt, HEAD_STRUCT_SIZE), total) ||
        !block_ok(fdt_cell(fdt, HEAD_STRINGS),
            fdt_cell(fdt, HEAD_STRINGS_SIZE), total) ||
        !block_ok(fdt_cell(fdt, HEAD_RESERVE), 16, total)) {
        kern_panic("device tree: %u bytes do not hold its blocks", total);
    }
    b = blob_of(fdt);
    if (b.strings_size != 0 && b.strings[b.strings_size - 1] != 0) {
        kern_panic("device tree: its last string has no end");
    }
    return total;
}

/* 5.3: pairs of address and size, the last both 0. */
static void
add_reservations(struct boot_info *b, const uint8_t *fdt, uint32_t total)
{
    uint32_t at = fdt_cell(fdt, HEAD_RESERVE);

    for (; total - at >= 16; at += 16) {
        uint64_t start = 0, size = 0;

        (void)number(fdt + at, 2, &start);
        (void)number(fdt + at + 8, 2, &size);
        if (start == 0 && size == 0) {
            return;
        }
        boot_add_reserved(b, start, size);
    }
    kern_panic("device tree: its memory reservations have no end");
}

static void
add_ram(struct boot_info *b, const struct fdt_node *n)
{
    paddr_t start, size;

    for (unsigned i = 0; fdt_reg(n, i, &start, &size); i++) {
        boot_add_ram(b, start, size);
    }
}

/* 3.5: a child of /reserved-memory; without reg it has no place yet. */
static void
add_reserved(struct boot_info *b, const struct fdt_node *n)
{
    uint32_t length;
    bool keep_out = fdt_property(n, "no-map", &length) != NULL;
    paddr_t start, size;

    for (unsigned i = 0; fdt_reg(n, i, &start, &size); i++) {
        if (keep_out) {
            boot_drop_ram(b, start, size);
        } else {
            boot_add_reserved(b, start, size);
        }
    }
}

/* 3.8.1: "disabled" waits to be started, if it says how. */
static void
add_cpu(struct boot_info *b, const struct fdt_node *n)
{
    uint32_t length, other;
    const uint8_t *reg = fdt_property(n, "reg", &length);
    uint64_t id;

    if (!is_okay(n) && !(has_string(n, "status", "disabled") &&
        fdt_property(n, "enable-method", &other) != NULL)) {
        return;
    }
    if (reg != NULL && n->address_cells != 0 && n->address_cells <= 2 &&
        length >= 4 * n->address_cells && b->ncpus < BOOT_CPUS &&
        number(reg, n->address_cells, &id)) {
        b->cpu[b->ncpus++] = id;
    }
}

/* An address in one cell or two: both are in use. */
static paddr_t
chosen_address(const struct fdt_node *n, const char *name)
{
    uint32_t length;
    const uint8_t *p = fdt_property(n, name, &length);
    uint64_t value = 0;

    if (p != NULL && (length == 4 || length == 8)) {
        (void)number(p, length / 4, &value);
    }
    return value;
}

/* 3.6, and the initrd's addresses as bootloaders for Linux leave them. */
static void
add_chosen(struct boot_info *b, const struct fdt_node *n)
{
    uint32_t length, i;
    const char *args = fdt_property(n, "bootargs", &length);
    paddr_t start, end;

    for (i = 0; args != NULL && i < length && i + 1 < BOOT_CMDLINE &&
        args[i] != 0; i++) {
        b->cmdline[i] = args[i];
        b->cmdline[i + 1] = 0;
    }
    start = chosen_address(n, "linux,initrd-start");
    end = chosen_address(n, "linux,initrd-end");
    if (start != end) {
        boot_set_initrd(b, start, end);
    }
}

/* ram: memory only; it has to be known before holes are cut in it. */
static void
add_nodes(struct boot_info *b, const uint8_t *fdt, bool ram)
{
    struct walk w = { .fdt = fdt, .blob = blob_of(fdt) };
    struct fdt_node n, parent = { fdt, 0, 2, 1 };

    while (walk_next(&w)) {
        walk_node(&w, &n);
        if (w.depth == 2) {
            parent = n;
        }
        if (ram) {
            if (has_string(&n, "device_type", "memory") && is_okay(&n)) {
                add_ram(b, &n);
            }
        } else if (w.depth == 2 && same(node_name(&n), "chosen")) {
            add_chosen(b, &n);
        } else if (w.depth == 3 && same(node_name(&parent), "cpus")) {
            if (has_string(&n, "device_type", "cpu")) {
                add_cpu(b, &n);
            }
        } else if (w.depth == 3 &&
            same(node_name(&parent), "reserved-memory") && is_okay(&n)) {
            add_reserved(b, &n);
        }
    }
}

void
boot_fdt(struct boot_info *b, const void *fdt, paddr_t pa)
{
    uint32_t total = fdt_check(fdt);

    b->fdt = pa;
    boot_add_reserved(b, pa, total);
    add_reservations(b, fdt, total);
    add_nodes(b, fdt, true);
    add_nodes(b, fdt, false);
    if (b->nram == 0) {
        kern_panic("device tree: it has no memory");
    }
}
