/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * elf.c - the segments of a static ELF program.
 *
 *   file     | .... segment bytes .... |
 *   memory   | .... segment bytes .... 0000 | 000000000000 |
 *            ^ page                         ^ page         ^ page
 *              private mapping of the file;    anonymous
 *              its last page's rest zeroed
 *
 * Nothing is read but the headers: pages come from the file's object when
 * they are touched.  A file that is not as the format wants it is refused as
 * a whole, before anything is mapped, with a line on the log that says what is
 * wrong: which segment, and what to do about it where there is something.  Some
 * of these lines at once, and a few each second, are all that there are.
 */
#include "elf.h"
#include "exec_impl.h"
#include "file.h"
#include "mem.h"

#define ELF_SEGMENTS_MAX        64u
#define ELF_ALIGN_MAX           (1ull << 30)
/* Lines on the log: so many at once, one each so many ns in the long run. */
#define ELF_LINES               100u
#define ELF_LINE_NS             250000000ull

struct elf_file {
    struct exec_image *img;
    struct elf_header h;
    struct elf_segment *seg;    /* h.phnum of them */
    struct vm_object *object;
    uint64_t size;
};

/* A program that tries bad files for ever must not fill the log. */
static bool
elf_may_say(void)
{
    static _Atomic uint64_t paid;       /* lines were paid for until then */
    uint64_t now = kern_now(), was = vm_get(&paid), from;

    do {
        from = was > now ? was : now;
        if (from - now > ELF_LINES * ELF_LINE_NS) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&paid, &was, from + ELF_LINE_NS));
    return true;
}

static int64_t __attribute__((format(printf, 2, 3)))
elf_refuse(const struct elf_file *e, const char *fmt, ...)
{
    char path[80], why[160];
    va_list ap;

    if (elf_may_say()) {
        va_start(ap, fmt);
        (void)kern_vsnprintf(why, sizeof(why), fmt, ap);
        va_end(ap);
        kern_printf("pal: %s: %s\n",
            unix_printable(path, sizeof(path), e->img->path), why);
    }
    return -UNIX_ENOEXEC;
}

static int64_t
elf_refuse_segment(const struct elf_file *e, unsigned i, const char *why)
{
    return elf_refuse(e, "segment %u %s", i, why);
}

static vaddr_t
elf_round(vaddr_t va)
{
    return (va + VM_PAGE_MASK) & ~VM_PAGE_MASK;
}

static bool
elf_is_load(const struct elf_segment *s)
{
    return s->type == ELF_PT_LOAD && s->memsz != 0;
}

/* ---- checking --------------------------------------------------------- */

static int64_t
elf_check_header(struct elf_file *e)
{
    const struct elf_header *h = &e->h;

    if (h->class != ELF_CLASS64 || h->data != ELF_DATA_LSB) {
        return elf_refuse(e, "not a 64-bit little-endian program");
    }
    if (h->machine != UNIX_ELF_MACHINE) {
        return elf_refuse(e, "made for another machine (ELF machine %u, "
            "this is %u)", h->machine, UNIX_ELF_MACHINE);
    }
    if (h->type != ELF_ET_EXEC && h->type != ELF_ET_DYN) {
        return elf_refuse(e, "an ELF file, but not a program");
    }
    if (h->phentsize != sizeof(struct elf_segment) || h->phnum == 0 ||
        h->phnum > ELF_SEGMENTS_MAX) {
        return elf_refuse(e, "its program headers make no sense");
    }
    return 0;
}

/* One PT_LOAD against the file and the machine; end: of the one before. */
static int64_t
elf_check_load(const struct elf_file *e, unsigned i, vaddr_t *end)
{
    const struct elf_segment *s = &e->seg[i];

    if (s->filesz > s->memsz) {
        return elf_refuse_segment(e, i, "is larger in the file than in "
            "memory");
    }
    if (s->offset > e->size || s->filesz > e->size - s->offset) {
        return elf_refuse_segment(e, i, "lies beyond the end of the file");
    }
    if (!vm_range_ok(s->vaddr, s->memsz) ||
        s->vaddr + s->memsz > e->img->limit) {
        return elf_refuse_segment(e, i, "does not fit into the address "
            "space");
    }
    if (s->align > 1 && ((s->align & (s->align - 1)) != 0 ||
        s->align > ELF_ALIGN_MAX ||
        ((s->vaddr - s->offset) & (s->align - 1)) != 0)) {
        return elf_refuse_segment(e, i, "is not aligned as it says");
    }
    if (!vm_page_aligned(s->vaddr - s->offset) && s->filesz != 0) {
        return elf_refuse(e, "segment %u is not aligned to pages of %u KiB: "
            "link with -z max-page-size=65536", i,
            (unsigned)(VM_PAGE_SIZE >> 10));
    }
    if (s->vaddr < *end) {
        return elf_refuse_segment(e, i, "overlaps the one before it");
    }
    if (vm_trunc_page(s->vaddr) < elf_round(*end)) {
        return elf_refuse(e, "segment %u shares a page of %u KiB with the "
            "one before it: link with -z max-page-size=65536", i,
            (unsigned)(VM_PAGE_SIZE >> 10));
    }
    *end = s->vaddr + s->memsz;
    return 0;
}

/* All segments as the file has them; low, end: what they span. */
static int64_t
elf_check(struct elf_file *e, vaddr_t *low, vaddr_t *end, uint64_t *align)
{
    bool any = false, has_entry = false;
    int64_t error;

    *end = 0;
    *align = VM_PAGE_SIZE;
    for (unsigned i = 0; i < e->h.phnum; i++) {
        const struct elf_segment *s = &e->seg[i];

        if (s->type == ELF_PT_INTERP) {
            return elf_refuse(e, "is dynamically linked: only static "
                "programs run here (link with -static)");
        }
        if (s->type == ELF_PT_STACK) {
            e->img->exec_stack = (s->flags & ELF_PF_X) != 0;
        }
        if (!elf_is_load(s)) {
            continue;
        }
        error = elf_check_load(e, i, end);
        if (error != 0) {
            return error;
        }
        if (!any) {
            *low = vm_trunc_page(s->vaddr);
        }
        any = true;
        *align = s->align > *align ? s->align : *align;
        has_entry = has_entry || (e->h.entry >= s->vaddr &&
            e->h.entry - s->vaddr < s->memsz);
    }
    if (!any) {
        return elf_refuse(e, "has nothing to load");
    }
    return has_entry ? 0 : elf_refuse(e, "begins outside its segments");
}

/* Where the program headers are in memory, for AT_PHDR. */
static vaddr_t
elf_find_headers(const struct elf_file *e)
{
    uint64_t size = e->h.phnum * sizeof(struct elf_segment);

    for (unsigned i = 0; i < e->h.phnum; i++) {
        const struct elf_segment *s = &e->seg[i];

        if (elf_is_load(s) && e->h.phoff >= s->offset &&
            e->h.phoff - s->offset <= s->filesz &&
            size <= s->filesz - (e->h.phoff - s->offset)) {
            return s->vaddr + (e->h.phoff - s->offset) + e->img->bias;
        }
    }
    return 0;
}

/*
 * ET_DYN goes where there is room for brk behind it and mmap above; ET_EXEC
 * where it wants, if that is ours to give.
 */
static int64_t
elf_place(struct elf_file *e, vaddr_t low, vaddr_t end, uint64_t align)
{
    struct exec_image *img = e->img;
    vaddr_t base;

    if (e->h.type == ELF_ET_DYN) {
        base = ((mem_mmap_base(img->map) >> 1) + align - 1) & ~(align - 1);
        img->bias = base - (low & ~(align - 1));
        if (end + img->bias > img->limit || end > img->limit) {
            return elf_refuse(e, "does not fit into the address space");
        }
    } else if (low < img->map->start) {
        return elf_refuse(e, "wants memory below what programs can have");
    }
    img->brk = elf_round(end) + img->bias;
    img->entry = e->h.entry + img->bias;
    img->phdr = elf_find_headers(e);
    img->phnum = e->h.phnum;
    return 0;
}

/* ---- mapping ---------------------------------------------------------- */

static vm_prot_t
elf_prot(uint32_t flags)
{
    return ((flags & ELF_PF_R) != 0 ? VM_PROT_READ : 0) |
        ((flags & ELF_PF_W) != 0 ? VM_PROT_WRITE : 0) |
        ((flags & ELF_PF_X) != 0 ? VM_PROT_EXEC : 0);
}

/* What is in the page behind the file's bytes is not the program's. */
static int
elf_zero_tail(struct vm_map *map, vaddr_t va, vsize_t size)
{
    static uint8_t zeros[4096];         /* never written */
    int error = VM_OK;

    while (size != 0 && error == VM_OK) {
        vsize_t n = size < sizeof(zeros) ? size : sizeof(zeros);

        error = vm_map_write(map, va, zeros, n);
        va += n;
        size -= n;
    }
    return error;
}

static int
elf_map_segment(struct elf_file *e, const struct elf_segment *s)
{
    struct vm_map *map = e->img->map;
    vaddr_t start = vm_trunc_page(s->vaddr + e->img->bias);
    vaddr_t data_end = s->vaddr + e->img->bias + s->filesz;
    vaddr_t file_end = s->filesz != 0 ? elf_round(data_end) : start;
    vaddr_t end = elf_round(s->vaddr + e->img->bias + s->memsz), at;
    vm_prot_t prot = elf_prot(s->flags);
    bool tail = s->memsz > s->filesz && file_end != data_end &&
        s->filesz != 0;
    struct vm_map_args args = {
        .addr = start, .size = file_end - start, .object = e->object,
        .pgno = s->offset >> vm_page_shift, .mode = VM_MAP_PRIVATE,
        .prot = tail ? prot | VM_PROT_READ | VM_PROT_WRITE : prot,
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY
    };
    int error = VM_OK;

    if (args.size != 0) {
        error = vm_map_enter(map, &args, &at);
    }
    if (error == VM_OK && tail) {
        error = elf_zero_tail(map, data_end, file_end - data_end);
        if (error == VM_OK && args.prot != prot) {
            error = vm_map_protect(map, start, args.size, prot, false);
        }
    }
    if (error == VM_OK && end > file_end) {
        args.addr = file_end;
        args.size = end - file_end;
        args.object = NULL;
        args.pgno = 0;
        args.prot = prot;
        error = vm_map_enter(map, &args, &at);
    }
    return error;
}

static int64_t
elf_map(struct elf_file *e)
{
    for (unsigned i = 0; i < e->h.phnum; i++) {
        if (elf_is_load(&e->seg[i])) {
            int error = elf_map_segment(e, &e->seg[i]);

            if (error != VM_OK) {
                return error == VM_E_PAGER ? -UNIX_EIO : -UNIX_ENOMEM;
            }
        }
    }
    return 0;
}

/* ---- the whole -------------------------------------------------------- */

static int64_t
elf_read(struct node *exe, uint64_t offset, void *buf, size_t size)
{
    int64_t n = node_read(exe, offset, buf, size);

    return n < 0 ? n : (size_t)n == size ? 0 : -UNIX_ENOEXEC;
}

/* With the headers in memory and the file's object held. */
static int64_t
elf_load_segments(struct elf_file *e)
{
    vaddr_t low = 0, end;
    uint64_t align;
    int64_t error = elf_check(e, &low, &end, &align);

    if (error == 0) {
        error = elf_place(e, low, end, align);
    }
    return error != 0 ? error : elf_map(e);
}

int64_t
elf_load(struct node *exe, struct exec_image *img)
{
    struct elf_file e = { .img = img };
    size_t size;
    int64_t error = elf_read(exe, 0, &e.h, sizeof(e.h));

    if (error != 0 || e.h.magic != ELF_MAGIC) {
        return error != 0 ? error : -UNIX_ENOEXEC;
    }
    error = elf_check_header(&e);
    if (error != 0) {
        return error;
    }
    error = node_object(exe, &e.object, &e.size);
    if (error != 0) {
        return error;
    }
    size = e.h.phnum * sizeof(struct elf_segment);
    e.seg = kern_alloc(size);
    if (e.seg == NULL) {
        error = -UNIX_ENOMEM;
    } else {
        error = e.h.phoff > e.size ? -UNIX_ENOEXEC :
            elf_read(exe, e.h.phoff, e.seg, size);
        if (error == -UNIX_ENOEXEC) {
            error = elf_refuse(&e, "ends before its program headers");
        }
        if (error == 0) {
            error = elf_load_segments(&e);
        }
        kern_free(e.seg, size);
    }
    vm_object_unref(e.object, NULL);
    return error;
}
