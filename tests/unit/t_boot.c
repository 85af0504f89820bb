/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug */
/*
 * t_boot.c - boot/common on the host: device trees good and bad, ranges of
 * memory, the first page tables in each machine's format.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "test.h"

#include "../../boot/common/fdt.c"
#include "../../boot/common/map.c"
#include "../../boot/common/memory.c"

#define RAM             HOST_RAM_BASE
#define FRAMES          8192u
#define RAM_SIZE        ((paddr_t)FRAMES << 12)

/* ---- making a blob ---------------------------------------------------- */

static uint8_t blob[8192];
static char names[1024];
static uint32_t blob_at, names_at;

static void
cell(uint32_t v)
{
    for (int i = 24; i >= 0; i -= 8) {
        blob[blob_at++] = (uint8_t)(v >> i);
    }
}

static void
bytes(const void *p, uint32_t n)
{
    memcpy(blob + blob_at, p, n);
    blob_at = (blob_at + n + 3) & ~3u;
}

static void
node(const char *name)
{
    cell(FDT_BEGIN_NODE);
    bytes(name, (uint32_t)strlen(name) + 1);
}

static void
end(void)
{
    cell(FDT_END_NODE);
}

static void
property(const char *name, const void *p, uint32_t n)
{
    cell(FDT_PROP);
    cell(n);
    cell(names_at);
    strcpy(names + names_at, name);
    names_at += (uint32_t)strlen(name) + 1;
    bytes(p, n);
}

static void
string(const char *name, const char *s)
{
    property(name, s, (uint32_t)strlen(s) + 1);
}

#define WORDS(name, ...) do {                                           \
        const uint32_t v_[] = { __VA_ARGS__ };                          \
        uint8_t b_[sizeof(v_)];                                         \
        for (unsigned i_ = 0; i_ < sizeof(v_); i_++) {                  \
            b_[i_] = (uint8_t)(v_[i_ / 4] >> (24 - i_ % 4 * 8));        \
        }                                                               \
        property(name, b_, sizeof(v_));                                 \
    } while (0)

static void
head(unsigned word, uint32_t v)
{
    uint32_t at = blob_at;

    blob_at = 4 * word;
    cell(v);
    blob_at = at;
}

#define BLOB_STRUCT     (FDT_HEADER + 32)

/* One reservation, then the structure block. */
static void
blob_begin(void)
{
    memset(blob, 0, sizeof(blob));
    blob_at = FDT_HEADER;
    names_at = 0;
    cell(0), cell(RAM + 0x100000), cell(0), cell(0x1000);
    blob_at = BLOB_STRUCT;
    node("");
}

static uint32_t
blob_end(void)
{
    uint32_t size;

    end();
    cell(9);                            /* FDT_END */
    size = blob_at - BLOB_STRUCT;
    head(HEAD_MAGIC, FDT_MAGIC);
    head(HEAD_STRUCT, BLOB_STRUCT);
    head(HEAD_STRUCT_SIZE, size);
    head(HEAD_STRINGS, blob_at);
    head(HEAD_STRINGS_SIZE, names_at);
    head(HEAD_RESERVE, FDT_HEADER);
    head(HEAD_VERSION, 17);
    head(HEAD_COMPATIBLE, 16);
    bytes(names, names_at);
    head(HEAD_TOTAL, blob_at);
    return blob_at;
}

static void
device_node(const char *name, const char *compatible, const char *status)
{
    node(name);
    string("compatible", compatible);
    if (status != NULL) {
        string("status", status);
    }
    WORDS("reg", 0x1000, 0x100);
    end();
}

/* A machine: what boot_fdt() reads, and devices on a bus behind a bus. */
static uint32_t
good_blob(void)
{
    blob_begin();
    WORDS("#address-cells", 2);
    WORDS("#size-cells", 2);
    node("chosen");
    string("bootargs", "page=16384 console=mux");
    WORDS("linux,initrd-start", 0, RAM + 0x200000);
    WORDS("linux,initrd-end", RAM + 0x201800);
    end();
    node("cpus");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 0);
    for (uint32_t i = 0; i < 3; i++) {
        node(i == 0 ? "cpu@0" : i == 1 ? "cpu@1" : "cpu@2");
        string("device_type", "cpu");
        WORDS("reg", i + 4);
        string("status", i == 1 ? "disabled" : "okay");
        end();
    }
    node("cpu-map");
    end();
    end();
    node("reserved-memory");
    WORDS("#address-cells", 2);
    WORDS("#size-cells", 2);
    property("ranges", "", 0);
    node("keep@0");
    WORDS("reg", 0, RAM + 0x300000, 0, 0x800);
    end();
    node("secret@0");
    WORDS("reg", 0, RAM, 0, 0x80000);
    property("no-map", "", 0);
    end();
    end();
    node("memory@0");
    string("device_type", "memory");
    WORDS("reg", 0, RAM, 0, 0x800000, 0, RAM + 0x1000000, 0, 0x400fff);
    end();
    node("soc");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 1);
    WORDS("ranges", 0x0, 0x1, 0x10000000, 0x10000);
    device_node("serial@0", "none", NULL);
    device_node("serial@1000", "ns16550a\0uart", "disabled");
    node("bus@8000");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 1);
    WORDS("ranges", 0x1000, 0x8000, 0x1000);
    device_node("serial@1000", "ns16550a", NULL);
    node("closed");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 1);
    device_node("serial@1000", "ns16550a", "okay");
    end();
    end();
    end();
    return blob_end();
}

/* ---- device trees ----------------------------------------------------- */

TEST(fdt_machine)
{
    struct boot_info b = { 0 };

    (void)good_blob();
    boot_fdt(&b, blob, 0x7000000);
    CHECK_EQ(b.nram, 2);
    CHECK_EQ(b.ram[0].start, RAM + 0x80000);
    CHECK_EQ(b.ram[0].end, RAM + 0x800000);
    CHECK_EQ(b.ram[1].start, RAM + 0x1000000);
    CHECK_EQ(b.ram[1].end, RAM + 0x1400000);
    CHECK_EQ(b.nreserved, 4);
    CHECK_EQ(b.reserved[0].start, 0x7000000);
    CHECK_EQ(b.reserved[1].start, RAM + 0x100000);
    CHECK_EQ(b.reserved[2].end, RAM + 0x202000);
    CHECK_EQ(b.reserved[3].end, RAM + 0x301000);
    CHECK_EQ(b.initrd.end - b.initrd.start, 0x1800);
    CHECK(strcmp(b.cmdline, "page=16384 console=mux") == 0);
    CHECK_EQ(b.ncpus, 2);
    CHECK_EQ(b.cpu[1], 6);
    boot_first_cpu(&b, 6);
    CHECK(b.cpu[0] == 6 && b.cpu[1] == 4 && b.ncpus == 2);
    boot_first_cpu(&b, 9);
    CHECK(b.cpu[0] == 9 && b.cpu[2] == 4 && b.ncpus == 3);
}

/* The length that counts is reg's, not that of what was read after it. */
TEST(fdt_cpu_cut)
{
    struct boot_info b = { 0 };

    blob_begin();
    WORDS("#address-cells", 2);
    WORDS("#size-cells", 2);
    node("memory@0");
    string("device_type", "memory");
    WORDS("reg", 0, RAM, 0, 0x800000);
    end();
    node("cpus");
    WORDS("#address-cells", 2);
    WORDS("#size-cells", 0);
    node("cpu@0");
    string("device_type", "cpu");
    string("status", "disabled");
    string("enable-method", "spin-table");
    WORDS("reg", 4);
    end();
    end();
    (void)blob_end();
    boot_fdt(&b, blob, 0x7000000);
    CHECK_EQ(b.ncpus, 0);
}

static void
set_initrd(void *arg)
{
    const struct boot_range *r = arg;
    struct boot_info b = { 0 };

    boot_add_ram(&b, RAM, 0x10000);
    boot_add_ram(&b, RAM + 0x20000, 0x10000);
    boot_set_initrd(&b, r->start, r->end);
    CHECK_EQ(b.initrd.end, r->end);
}

/* What is not mapped must not be read. */
TEST(initrd_not_in_ram)
{
    struct boot_range bad[] = {
        { RAM, RAM + 0x10001 }, { RAM + 0x20000, RAM + 0x1000 },
        { RAM - 1, RAM + 0x1000 }, { RAM + 0xffff, RAM + 0x20001 },
        { RAM + 0x20000, UINT64_MAX }, { RAM, RAM }
    };
    struct boot_range good = { RAM + 0x20000, RAM + 0x30000 };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(host_expect_panic(set_initrd, &bad[i]));
    }
    CHECK(!host_expect_panic(set_initrd, &good));
}

TEST(fdt_devices)
{
    struct fdt_node n = { 0 };
    paddr_t start, size;
    uint32_t value;

    (void)good_blob();
    CHECK(fdt_compatible(blob, "ns16550a", &n));
    CHECK(fdt_reg(&n, 0, &start, &size));
    CHECK_EQ(start, 0x110008000);
    CHECK_EQ(size, 0x100);
    CHECK(!fdt_reg(&n, 1, &start, &size));
    /* Behind a bus without ranges there is no address. */
    CHECK(fdt_compatible(blob, "ns16550a", &n));
    CHECK(!fdt_reg(&n, 0, &start, &size));
    CHECK(!fdt_compatible(blob, "ns16550a", &n));

    CHECK(fdt_path(blob, "/cpus", &n));
    CHECK(fdt_u32(&n, "#size-cells", &value) && value == 0);
    CHECK(fdt_path(blob, "/cpus/cpu@2", &n));
    CHECK(fdt_u32(&n, "reg", &value) && value == 6);
    CHECK(!fdt_u32(&n, "status", &value));
    CHECK(fdt_path(blob, "/memory", &n));
    CHECK(fdt_path(blob, "/", &n));
    CHECK(!fdt_path(blob, "/cpu", &n));
    CHECK(!fdt_path(blob, "/cpus/cpu@2/cache", &n));
    CHECK(!fdt_path(blob, "/chosen/cpu@2", &n));
}

/* Buses whose ranges lead to each other, wrap, or have cells beyond reason. */
TEST(fdt_ranges)
{
    struct fdt_node n = { 0 };
    paddr_t start, size;

    blob_begin();
    node("memory");
    string("device_type", "memory");
    WORDS("reg", 0, RAM, 0x100000);
    end();
    node("a");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 1);
    WORDS("ranges", 0x0, 0xffffffff, 0xfffff000, 0x2000);
    device_node("wrap", "wrap", NULL);
    node("b");
    WORDS("#address-cells", 1);
    WORDS("#size-cells", 1);
    WORDS("ranges", 0x1000, 0x0, 0x1000, 0x0, 0x1000, 0x1000);
    device_node("swap", "swap", NULL);
    end();
    end();
    node("c");
    WORDS("#address-cells", 0x40000000);
    WORDS("#size-cells", 0xffffffff);
    WORDS("ranges", 0, 0, 0);
    device_node("cells", "cells", NULL);
    end();
    (void)blob_end();
    CHECK(fdt_compatible(blob, "wrap", &n));
    CHECK(!fdt_reg(&n, 0, &start, &size));
    memset(&n, 0, sizeof(n));
    CHECK(fdt_compatible(blob, "swap", &n));
    CHECK(!fdt_reg(&n, 0, &start, &size));
    memset(&n, 0, sizeof(n));
    CHECK(fdt_compatible(blob, "cells", &n));
    CHECK(!fdt_reg(&n, 0, &start, &size));
}

/* Everything that reads a blob; for host_expect_panic(). */
static void
read_all(void *fdt)
{
    struct boot_info b = { 0 };
    struct fdt_node n = { 0 };
    paddr_t start, size;

    boot_fdt(&b, fdt, 0);
    (void)fdt_path(fdt, "/cpus/cpu@2", &n);
    memset(&n, 0, sizeof(n));
    while (fdt_compatible(fdt, "ns16550a", &n)) {
        (void)fdt_reg(&n, 0, &start, &size);
    }
}

/* A copy that ends where its memory ends: the sanitizer sees the rest. */
static void
read_copy(uint32_t n)
{
    uint8_t *copy = malloc(n);

    memcpy(copy, blob, n);
    (void)host_expect_panic(read_all, copy);
    free(copy);
}

TEST(fdt_truncated)
{
    uint32_t total = good_blob();

    for (uint32_t n = total - 1; n >= FDT_HEADER; n--) {
        head(HEAD_TOTAL, n);
        read_copy(n);
    }
    /* A structure block that ends early. */
    for (uint32_t n = 0; n < blob_at - BLOB_STRUCT; n++) {
        total = good_blob();
        head(HEAD_STRUCT_SIZE, n);
        read_copy(total);
    }
    CHECK(host_expect_panic(read_all, (void *)(uintptr_t)"not a device tree"
        ", but long enough to be the header of one"));
}

TEST(fdt_damaged)
{
    uint32_t total = good_blob();
    unsigned rounds = test_long ? 1000000 : 20000;
    uint8_t saved[sizeof(blob)];

    memcpy(saved, blob, sizeof(blob));
    for (unsigned i = 0; i < rounds; i++) {
        for (uint64_t n = test_rand_below(6); n-- > 0;) {
            /* The total is left: it is what may be read. */
            uint64_t at = 8 + test_rand_below(total - 8);

            blob[at] = test_rand_below(2) ? (uint8_t)test_rand() :
                (uint8_t)(1u << test_rand_below(8));
        }
        read_copy(total);
        memcpy(blob, saved, sizeof(blob));
    }
}

/* ---- ranges ----------------------------------------------------------- */

#define MODEL           256u

/* Lists of ranges against a map of pages. */
TEST(ranges_random)
{
    for (unsigned round = 0; round < 2000; round++) {
        struct boot_info b = { 0 };
        bool model[MODEL] = { false };

        for (unsigned op = 0; op < 12; op++) {
            uint64_t at = test_rand_below(MODEL), n = test_rand_below(40);
            bool add = test_rand_below(3) != 0;

            n = n > MODEL - at ? MODEL - at : n;
            if (add) {
                boot_add_ram(&b, at << 12, n << 12);
            } else {
                boot_drop_ram(&b, at << 12, n << 12);
            }
            memset(model + at, add, n);
        }
        for (uint64_t i = 0, r = 0; i < MODEL; i++) {
            bool in;

            r += r < b.nram && b.ram[r].end <= i << 12;
            in = r < b.nram && b.ram[r].start <= i << 12;
            CHECK_EQ(in, model[i]);
        }
        for (unsigned r = 1; r < b.nram; r++) {
            CHECK(b.ram[r - 1].end < b.ram[r].start);
        }
    }
}

static void
reserve_many(void *arg)
{
    for (paddr_t i = 0; i < 2 * BOOT_RANGES; i++) {
        boot_add_reserved(arg, i << 13, 1);
    }
}

TEST(ranges_limits)
{
    struct boot_info b = { 0 };

    boot_add_ram(&b, 0x1001, 0x2fff);
    CHECK(b.nram == 1 && b.ram[0].start == 0x2000 && b.ram[0].end == 0x4000);
    boot_add_ram(&b, 0x100000, ~(paddr_t)0);
    CHECK(b.nram == 2 && b.ram[1].end == RAM_END);
    boot_add_ram(&b, ~(paddr_t)0 - 5, 100);
    CHECK_EQ(b.nram, 2);
    boot_add_reserved(&b, 0xfff, 2);
    CHECK(b.reserved[0].start == 0 && b.reserved[0].end == 0x2000);
    boot_add_reserved(&b, 0x9000, 0);
    CHECK_EQ(b.nreserved, 1);
    CHECK(host_expect_panic(reserve_many, &b));
}

static void
alloc_much(void *arg)
{
    (void)boot_alloc(arg, RAM_SIZE, 4096);
}

TEST(alloc)
{
    struct boot_info b = { 0 };
    paddr_t top = RAM + RAM_SIZE, a;

    host_memory(12, FRAMES);
    boot_add_ram(&b, RAM, RAM_SIZE);
    boot_add_reserved(&b, top - 0x3000, 0x1000);
    CHECK_EQ(boot_alloc(&b, 0x1001, 1), top - 0x2000);
    CHECK_EQ(boot_alloc(&b, 1, 1), top - 0x4000);
    CHECK_EQ(b.nreserved, 1);
    a = boot_alloc(&b, 0x1000, 0x10000);
    CHECK_EQ(a, (top - 0x5000) & ~(paddr_t)0xffff);
    for (unsigned i = 0; i < 0x1000; i++) {
        CHECK_EQ(((uint8_t *)kern_frame_ptr(a))[i], 0);
    }
    b.early_end = RAM + 0x200000;
    CHECK_EQ(boot_alloc(&b, 0x1000, 1), RAM + 0x1ff000);
    CHECK(host_expect_panic(alloc_much, &b));
}

TEST(option)
{
    struct boot_info b = { .cmdline = " a=1  name=x=y names=2 na name" };
    char buf[8];

    CHECK(strcmp(boot_option(&b, "a", buf, sizeof(buf)), "1") == 0);
    CHECK(strcmp(boot_option(&b, "name", buf, sizeof(buf)), "x=y") == 0);
    CHECK(strcmp(boot_option(&b, "name", buf, 3), "x=") == 0);
    CHECK(boot_option(&b, "na", buf, sizeof(buf)) == NULL);
    CHECK(boot_option(&b, "", buf, sizeof(buf)) == NULL);
}

/* ---- tables ----------------------------------------------------------- */

/* An image of two pages of text, one of constants, three of data. */
__asm__(
    ".pushsection .data.image, \"aw\"\n"
    ".balign 4096\n"
    ".globl kern_image_start, kern_text_end, kern_rodata_end\n"
    ".globl kern_data_end, kern_image_end\n"
    "kern_image_start: .space 8192\n"
    "kern_text_end: .space 4096\n"
    "kern_rodata_end: .space 4096\n"
    "kern_data_end: .space 8192\n"
    "kern_image_end: .space 4096\n"
    ".popsection\n");

#define IMAGE           (RAM + 0x400000)
#define IMAGE_SIZE      0x6000u
#define DEVICE          0x9000000u

static const struct pt_format *const format = &pte_formats[0];

static pte_t
walk(paddr_t root, vaddr_t va, int *level)
{
    paddr_t table = root;

    for (*level = format->levels - 1;; (*level)--) {
        pte_t pte = ((pte_t *)kern_frame_ptr(table))[
            pt_index(format, *level, va)];

        if (pte_kind(format, pte, *level) != PTE_TABLE) {
            return pte;
        }
        table = pte_pa(format, pte, *level);
    }
}

static void
check_at(paddr_t root, vaddr_t va, paddr_t pa, vm_prot_t prot,
    enum pte_memory memory)
{
    int level;
    pte_t pte = walk(root, va, &level);
    vsize_t span = (vsize_t)1 << pt_shift(format, level);
    struct pte_attr attr;

    CHECK_EQ(pte_kind(format, pte, level), PTE_LEAF);
    attr = pte_attr(format, pte, level);
    CHECK_EQ(pte_pa(format, pte, level) + (va & (span - 1)), pa);
    CHECK_EQ(attr.prot, prot);
    CHECK_EQ(attr.memory, memory);
    CHECK(attr.global && attr.wired && attr.accessed && !attr.user);
    CHECK_EQ(attr.dirty, (prot & VM_PROT_WRITE) != 0);
}

/* The leaves of a table: how many, how many large. */
static void
check_leaves(paddr_t table, int level, unsigned *leaves, unsigned *large)
{
    const pte_t *entry = kern_frame_ptr(table);

    for (unsigned i = 0; i < 1u << format->bits[level]; i++) {
        enum pte_kind kind = pte_kind(format, entry[i], level);

        CHECK(kind != PTE_BAD);
        if (kind == PTE_TABLE) {
            check_leaves(pte_pa(format, entry[i], level), level - 1, leaves,
                large);
        } else if (kind == PTE_LEAF) {
            vm_prot_t prot = pte_attr(format, entry[i], level).prot;

            CHECK((prot & (VM_PROT_WRITE | VM_PROT_EXEC)) !=
                (VM_PROT_WRITE | VM_PROT_EXEC));
            (*leaves)++;
            *large += level > 0;
        }
    }
}

static paddr_t
make_tables(struct boot_info *b)
{
    host_memory(12, FRAMES);
    ndevices = 0;
    /* A hole, and an end that fits no large leaf. */
    boot_add_ram(b, RAM, RAM_SIZE - 0x1000);
    boot_drop_ram(b, RAM + 0x1000000, 0x1000);
    b->image_start = IMAGE;
    b->image_end = IMAGE + IMAGE_SIZE;
    boot_add_reserved(b, IMAGE, IMAGE_SIZE);
    boot_device(DEVICE + 0x10, 0x20);
    boot_device(DEVICE + 0x100, 0x2000);
    return boot_tables(b, format);
}

TEST(tables)
{
    const vm_prot_t r = VM_PROT_READ, rw = r | VM_PROT_WRITE;
    vaddr_t image = (vaddr_t)(uintptr_t)kern_image_start;
    struct boot_info b = { 0 };
    paddr_t root = make_tables(&b);
    unsigned leaves = 0, large = 0;
    int level;

    for (paddr_t off = 0; off < RAM_SIZE; off += 0x1000) {
        vaddr_t va = MD_DIRECT_BASE + RAM + off;

        if (off == 0x1000000 || off == RAM_SIZE - 0x1000) {
            CHECK_EQ(walk(root, va, &level), 0);
        } else {
            bool constant = off >= 0x400000 && off < 0x403000;

            check_at(root, va, RAM + off, constant ? r : rw, PTE_NORMAL);
        }
    }
    for (vaddr_t off = 0; off < IMAGE_SIZE; off += 0x1000) {
        check_at(root, image + off, IMAGE + off, off < 0x2000 ?
            r | VM_PROT_EXEC : off < 0x3000 ? r : rw, PTE_NORMAL);
    }
    CHECK_EQ(walk(root, image + IMAGE_SIZE, &level), 0);
    for (paddr_t off = 0; off < 0x3000; off += 0x1000) {
        check_at(root, MD_DIRECT_BASE + DEVICE + off, DEVICE + off, rw,
            PTE_DEVICE);
    }
    check_leaves(root, format->levels - 1, &leaves, &large);
    /* 32 MiB, three leaves of 2 MiB being in pieces. */
    CHECK_EQ(large, RAM_SIZE / 0x200000 - 3);
    CHECK_EQ(leaves, large + 3 * 512 - 2 + 6 + 3);
}

/* Larger leaves where they fit and the processor has them. */
TEST(tables_largest)
{
    const vsize_t giant = (vsize_t)1 << 30;
    int level;

    for (unsigned levels = 0; levels <= 3; levels++) {
        struct boot_info b = { .leaf_levels = levels };
        vaddr_t va = MD_DIRECT_BASE + 8 * giant;
        paddr_t root;

        host_memory(12, FRAMES);
        boot_add_ram(&b, RAM, RAM_SIZE);
        root = boot_alloc(&b, 4096, 4096);
        boot_map(&b, format, root, va, 8 * giant, levels == 1 ? 0x200000 :
            giant, VM_PROT_READ | VM_PROT_WRITE, PTE_NORMAL);
        (void)walk(root, va, &level);
        CHECK_EQ(level, levels == 0 ? 2 : levels - 1);
        /* A change of rights in the middle leaves the rest as it is. */
        boot_map(&b, format, root, va + 0x3000, 8 * giant + 0x3000, 0x1000,
            VM_PROT_READ, PTE_NORMAL);
        check_at(root, va + 0x2000, 8 * giant + 0x2000,
            VM_PROT_READ | VM_PROT_WRITE, PTE_NORMAL);
        check_at(root, va + 0x3000, 8 * giant + 0x3000, VM_PROT_READ,
            PTE_NORMAL);
    }
}

static void
ram_device(void *arg)
{
    boot_device(RAM + 0x5000, 8);
    (void)boot_tables(arg, format);
}

TEST(tables_refuse)
{
    struct boot_info b = { 0 };

    (void)make_tables(&b);
    CHECK(host_expect_panic(ram_device, &b));
}
