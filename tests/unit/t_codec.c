/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64,aarch64,riscv64 flavours=debug */
/*
 * t_codec.c - the laws of <pte.h>, once per architecture, for each format.
 *
 * No architecture is named in code: what differs stands in the tables of
 * facts, found by the name of the format.  They are copied from the manuals
 * and not computed, so that two wrong inverses cannot cancel.
 */
#include <string.h>

#include "pt_format.h"
#include "pte.h"
#include "test.h"

#define MAX_FORMATS     (PTE_FORMATS + 1)
#define RANDOM_WORDS    (1u << 20)

/* What the manuals say of each format as a whole. */
static const struct fact {
    const char *name;
    unsigned va_bits, pa_bits;
    uint64_t md;                /* CR4.LA57; T0SZ and TG0; satp.MODE */
    uint8_t leaf_levels;        /* a bit per level where a leaf may stand */
    bool dirty_is_write;        /* no dirty bit of its own */
} facts[] = {
    { "x86_64-4level", 48, 52, 0, 0x07, false },
    { "x86_64-5level", 57, 52, 1, 0x07, false },
    { "4k", 48, 48, 0x0010, 0x07, true },
    { "16k", 47, 48, 0x8011, 0x03, true },
    { "64k", 48, 48, 0x4010, 0x03, true },
    { "sv39", 39, 56, 8, 0x07, false },
    { "sv48", 48, 56, 9, 0x0f, false },
    { "sv57", 57, 56, 10, 0x1f, false }
};

/* Flags of a vector, in the order of struct pte_attr. */
enum { DEV = 1, USER = 2, GLOB = 4, WIRED = 8, ACC = 16, DIRTY = 32 };
enum { RO = VM_PROT_READ, RW = 3, RX = 5, RWX = 7 };

/* Known answers: an entry, what it is, what it says.  "sv" is every sv... */
static const struct vector {
    const char *prefix;
    uint8_t levels;             /* a bit per level */
    pte_t pte;
    enum pte_kind kind;
    paddr_t pa;
    uint8_t prot, flags;
} vectors[] = {
    /* Intel SDM vol. 3A, tables 4-14 to 4-20 */
    { "x86_64", 1, 0x8000000012345067, PTE_LEAF, 0x12345000, RW,
        USER | ACC | DIRTY },
    { "x86_64", 1, 0x0000000012345067, PTE_LEAF, 0x12345000, RWX,
        USER | ACC | DIRTY },
    { "x86_64", 1, 0x0000000012345025, PTE_LEAF, 0x12345000, RX,
        USER | ACC },
    { "x86_64", 1, 0x8000000012345005, PTE_LEAF, 0x12345000, RO, USER },
    { "x86_64", 1, 0x8000000012345007, PTE_LEAF, 0x12345000, RW, USER },
    { "x86_64", 1, 0x8000000012345363, PTE_LEAF, 0x12345000, RW,
        GLOB | WIRED | ACC | DIRTY },
    { "x86_64", 1, 0x80000000fee0037b, PTE_LEAF, 0xfee00000, RW,
        DEV | GLOB | WIRED | ACC | DIRTY },
    { "x86_64", 1, 0x800ffffffffff067, PTE_LEAF, 0xffffffffff000, RW,
        USER | ACC | DIRTY },
    { "x86_64", 2, 0x00000000002001a1, PTE_LEAF, 0x200000, RX, GLOB | ACC },
    { "x86_64", 4, 0x80000000400001e3, PTE_LEAF, 0x40000000, RW,
        GLOB | ACC | DIRTY },
    { "x86_64", 0x1e, 0x0000000000abc027, PTE_TABLE, 0xabc000, 0, 0 },
    { "x86_64", 1, 0x0000000000abc027, PTE_LEAF, 0xabc000, RWX,
        USER | ACC },
    { "x86_64", 0x1f, 0x8000000012345066, PTE_BAD, 0, 0, 0 },   /* P clear */
    { "x86_64", 1, 0x80000000123450e7, PTE_BAD, 0, 0, 0 },      /* PAT */
    { "x86_64", 2, 0x00000000002011a1, PTE_BAD, 0, 0, 0 },      /* PAT */
    { "x86_64", 2, 0x00000000002021a1, PTE_BAD, 0, 0, 0 },      /* 20:13 */
    { "x86_64", 4, 0x00000000402001a1, PTE_BAD, 0, 0, 0 },      /* 29:13 */
    { "x86_64", 0x18, 0x80000000000000e7, PTE_BAD, 0, 0, 0 },   /* PML4E.PS */
    { "x86_64", 1, 0x8010000012345067, PTE_BAD, 0, 0, 0 },      /* ignored */
    { "x86_64", 1, 0x8800000012345067, PTE_BAD, 0, 0, 0 },      /* key */
    { "x86_64", 1, 0x800000001234506f, PTE_BAD, 0, 0, 0 },      /* PWT only */
    { "x86_64", 1, 0x8000000012345077, PTE_BAD, 0, 0, 0 },      /* PCD only */
    { "x86_64", 1, 0x000000001234507f, PTE_BAD, 0, 0, 0 },      /* UC, exec */
    { "x86_64", 1, 0x8000000012345065, PTE_BAD, 0, 0, 0 },      /* D, no RW */
    { "x86_64", 1, 0x8000000012345167, PTE_BAD, 0, 0, 0 },      /* G of user */
    { "x86_64", 0x1e, 0x8000000000abc027, PTE_BAD, 0, 0, 0 },   /* table NX */
    { "x86_64", 0x1e, 0x0000000000abc025, PTE_BAD, 0, 0, 0 },   /* table RO */
    { "x86_64", 0x1e, 0x0000000000abc067, PTE_BAD, 0, 0, 0 },   /* ignored */

    /* Arm DDI 0487 J.a, D8.3.1 and D8.3.2 */
    { "4k", 1, 0x0060000012345f43, PTE_LEAF, 0x12345000, RW,
        USER | ACC | DIRTY },
    { "4k", 1, 0x0060000012345fc3, PTE_LEAF, 0x12345000, RO, USER | ACC },
    { "4k", 1, 0x0020000012345fc3, PTE_LEAF, 0x12345000, RX, USER | ACC },
    { "4k", 1, 0x0060000012345bc3, PTE_LEAF, 0x12345000, RO, USER },
    { "4k", 1, 0x0040000012345783, PTE_LEAF, 0x12345000, RX, GLOB | ACC },
    { "4k", 1, 0x00e0000012345703, PTE_LEAF, 0x12345000, RW,
        GLOB | WIRED | ACC | DIRTY },
    { "4k", 1, 0x0060000009000407, PTE_LEAF, 0x9000000, RW,
        DEV | GLOB | ACC | DIRTY },
    { "4k", 1, 0x0060fffffffff703, PTE_LEAF, 0xfffffffff000, RW,
        GLOB | ACC | DIRTY },
    { "4k", 6, 0x0060000040000701, PTE_LEAF, 0x40000000, RW,
        GLOB | ACC | DIRTY },
    { "16k", 1, 0x0060000012344f43, PTE_LEAF, 0x12344000, RW,
        USER | ACC | DIRTY },
    { "16k", 2, 0x0060000002000701, PTE_LEAF, 0x2000000, RW,
        GLOB | ACC | DIRTY },
    { "64k", 1, 0x0060000012340f43, PTE_LEAF, 0x12340000, RW,
        USER | ACC | DIRTY },
    { "64k", 2, 0x0060000020000701, PTE_LEAF, 0x20000000, RW,
        GLOB | ACC | DIRTY },
    { "4k", 0x0e, 0x0000000040001003, PTE_TABLE, 0x40001000, 0, 0 },
    { "16k", 0x06, 0x0000000040004003, PTE_TABLE, 0x40004000, 0, 0 },
    { "64k", 0x06, 0x0000000040010003, PTE_TABLE, 0x40010000, 0, 0 },
    { "4k", 0x0f, 0x0060000012345f42, PTE_BAD, 0, 0, 0 },       /* invalid */
    { "4k", 1, 0x0060000012345f41, PTE_BAD, 0, 0, 0 },          /* reserved */
    { "4k", 8, 0x0060000000000701, PTE_BAD, 0, 0, 0 },          /* no block */
    { "16k", 4, 0x0060000000000701, PTE_BAD, 0, 0, 0 },
    { "64k", 4, 0x0060000000000701, PTE_BAD, 0, 0, 0 },
    { "4k", 2, 0x0060000040001701, PTE_BAD, 0, 0, 0 },          /* RES0 */
    { "4k", 2, 0x0060000040010701, PTE_BAD, 0, 0, 0 },          /* nT */
    { "4k", 4, 0x0060000040200701, PTE_BAD, 0, 0, 0 },          /* RES0 */
    { "16k", 1, 0x0060000012345f43, PTE_BAD, 0, 0, 0 },         /* RES0 */
    { "64k", 1, 0x0060000012344f43, PTE_BAD, 0, 0, 0 },         /* OA[51:48] */
    { "4k", 1, 0x0061000012345f43, PTE_BAD, 0, 0, 0 },          /* 48 RES0 */
    { "4k", 1, 0x0064000012345f43, PTE_BAD, 0, 0, 0 },          /* GP */
    { "4k", 1, 0x0068000012345f43, PTE_BAD, 0, 0, 0 },          /* DBM */
    { "4k", 1, 0x0070000012345f43, PTE_BAD, 0, 0, 0 },          /* contig. */
    { "4k", 1, 0x0860000012345f43, PTE_BAD, 0, 0, 0 },          /* PBHA */
    { "4k", 1, 0x0060000012345f63, PTE_BAD, 0, 0, 0 },          /* NS */
    { "4k", 1, 0x0060000012345f4b, PTE_BAD, 0, 0, 0 },          /* AttrIndx */
    { "4k", 1, 0x0060000012345e43, PTE_BAD, 0, 0, 0 },          /* outer */
    { "4k", 1, 0x0060000009000707, PTE_BAD, 0, 0, 0 },          /* SH of dev */
    { "4k", 1, 0x0040000009000407, PTE_BAD, 0, 0, 0 },          /* exec dev */
    { "4k", 1, 0x0040000012345f43, PTE_BAD, 0, 0, 0 },          /* no PXN */
    { "4k", 1, 0x0020000012345703, PTE_BAD, 0, 0, 0 },          /* no UXN */
    { "4k", 1, 0x0060000012345743, PTE_BAD, 0, 0, 0 },          /* nG of user */
    { "4k", 0x0e, 0x0800000040001003, PTE_BAD, 0, 0, 0 },       /* PXNTable */
    { "4k", 0x0e, 0x1000000040001003, PTE_BAD, 0, 0, 0 },       /* UXNTable */
    { "4k", 0x0e, 0x2000000040001003, PTE_BAD, 0, 0, 0 },       /* APTable */
    { "4k", 0x0e, 0x4000000040001003, PTE_BAD, 0, 0, 0 },
    { "4k", 0x0e, 0x8000000040001003, PTE_BAD, 0, 0, 0 },       /* NSTable */
    { "4k", 0x0e, 0x0001000040001003, PTE_BAD, 0, 0, 0 },       /* RES0 */
    { "16k", 6, 0x0000000040001003, PTE_BAD, 0, 0, 0 },
    { "64k", 6, 0x0000000040001003, PTE_BAD, 0, 0, 0 },

    /* RISC-V Privileged Architecture 20211203, 4.3.1 and 4.4.1 */
    { "sv", 3, 0x00000000200800d7, PTE_LEAF, 0x80200000, RW,
        USER | ACC | DIRTY },
    { "sv", 1, 0x0000000020080057, PTE_LEAF, 0x80200000, RW, USER | ACC },
    { "sv", 1, 0x000000002008005b, PTE_LEAF, 0x80200000, RX, USER | ACC },
    { "sv", 1, 0x0000000020080013, PTE_LEAF, 0x80200000, RO, USER },
    { "sv", 3, 0x000000002008006b, PTE_LEAF, 0x80200000, RX, GLOB | ACC },
    { "sv", 3, 0x00000000200801e7, PTE_LEAF, 0x80200000, RW,
        GLOB | WIRED | ACC | DIRTY },
    { "sv", 1, 0x00000000040003e7, PTE_LEAF, 0x10000000, RW,
        DEV | GLOB | WIRED | ACC | DIRTY },
    { "sv", 1, 0x003ffffffffffcd7, PTE_LEAF, 0xfffffffffff000, RW,
        USER | ACC | DIRTY },
    { "sv", 4, 0x00000000200000e7, PTE_LEAF, 0x80000000, RW,
        GLOB | ACC | DIRTY },
    { "sv48", 8, 0x00000020000000e7, PTE_LEAF, 0x8000000000, RW,
        GLOB | ACC | DIRTY },
    { "sv57", 16, 0x00004000000000e7, PTE_LEAF, 0x1000000000000, RW,
        GLOB | ACC | DIRTY },
    { "sv", 0x1e, 0x0000000020080001, PTE_TABLE, 0x80200000, 0, 0 },
    { "sv", 1, 0x0000000020080001, PTE_BAD, 0, 0, 0 },          /* no level */
    { "sv", 0x1f, 0x00000000200000d6, PTE_BAD, 0, 0, 0 },       /* V clear */
    { "sv", 0x1f, 0x0000000020000000, PTE_BAD, 0, 0, 0 },
    { "sv", 1, 0x00000000200800d5, PTE_BAD, 0, 0, 0 },          /* W, no R */
    { "sv", 1, 0x00000000200800dd, PTE_BAD, 0, 0, 0 },          /* WX, no R */
    { "sv", 1, 0x0000000020080059, PTE_BAD, 0, 0, 0 },          /* X only */
    { "sv", 1, 0x00000000200800d3, PTE_BAD, 0, 0, 0 },          /* D, no W */
    { "sv", 1, 0x00000000200800f7, PTE_BAD, 0, 0, 0 },          /* G of user */
    { "sv", 1, 0x00000000040003ef, PTE_BAD, 0, 0, 0 },          /* exec dev */
    { "sv", 1, 0x00400000200800d7, PTE_BAD, 0, 0, 0 },          /* 60:54 */
    { "sv", 1, 0x10000000200800d7, PTE_BAD, 0, 0, 0 },
    { "sv", 1, 0x20000000200800d7, PTE_BAD, 0, 0, 0 },          /* PBMT */
    { "sv", 1, 0x40000000200800d7, PTE_BAD, 0, 0, 0 },
    { "sv", 1, 0x80000000200820d7, PTE_BAD, 0, 0, 0 },          /* N */
    { "sv", 2, 0x00000000200804e7, PTE_BAD, 0, 0, 0 },          /* PPN[0] */
    { "sv", 4, 0x00000000200800e7, PTE_BAD, 0, 0, 0 },          /* PPN[1] */
    { "sv48", 8, 0x00000000200000e7, PTE_BAD, 0, 0, 0 },        /* PPN[2] */
    { "sv57", 16, 0x00000020000000e7, PTE_BAD, 0, 0, 0 },       /* PPN[3] */
    { "sv", 0x1e, 0x0000000020080041, PTE_BAD, 0, 0, 0 },       /* table A */
    { "sv", 0x1e, 0x0000000020080081, PTE_BAD, 0, 0, 0 },       /* table D */
    { "sv", 0x1e, 0x0000000020080011, PTE_BAD, 0, 0, 0 },       /* table U */
    { "sv", 0x1e, 0x0000000020080021, PTE_BAD, 0, 0, 0 },       /* table G */
    { "sv", 0x1e, 0x0000000020080101, PTE_BAD, 0, 0, 0 },       /* RSW */
    { "sv", 0x1e, 0x8000000020080001, PTE_BAD, 0, 0, 0 }        /* N */
};

/*
 * The formats to test: those of <pte.h>, and one that is not in it yet, to
 * keep the promise that five levels are data.
 */
static unsigned
formats(struct pt_format out[MAX_FORMATS])
{
    unsigned n = PTE_FORMATS;

    memcpy(out, pte_formats, sizeof(pte_formats));
    if (strcmp(out[0].name, "x86_64-4level") == 0) {
        out[n] = out[0];
        out[n].name = "x86_64-5level";
        out[n].levels = 5;
        out[n].bits[4] = 9;
        out[n].user_end = 0x00ffffffffff0000;
        out[n].md = 1;
        n++;
    }
    return n;
}

static const struct fact *
fact_of(const struct pt_format *f)
{
    for (unsigned i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        if (strcmp(facts[i].name, f->name) == 0) {
            return &facts[i];
        }
    }
    return NULL;
}

/* The first failure of a loop of millions; the rest would say the same. */
static bool
fail(const char *law, const struct pt_format *f, int level, pte_t pte)
{
    test_note("%s: %s level %d pte 0x%016llx", law, f->name, level,
        (unsigned long long)pte);
    return false;
}

static bool
same_attr(struct pte_attr a, struct pte_attr b)
{
    return a.prot == b.prot && a.memory == b.memory && a.user == b.user &&
        a.global == b.global && a.wired == b.wired &&
        a.accessed == b.accessed && a.dirty == b.dirty;
}

/* The i-th of ATTRS combinations, supported or not; READ is always there. */
#define ATTRS 256u

static struct pte_attr
attr_of(unsigned i)
{
    return (struct pte_attr){
        .prot = (uint8_t)(VM_PROT_READ | (i & 3) << 1),
        .memory = i & 4 ? PTE_DEVICE : PTE_NORMAL,
        .user = i & 8, .global = i & 16, .wired = i & 32,
        .accessed = i & 64, .dirty = i & 128
    };
}

/* What of it a leaf keeps. */
static struct pte_attr
supported(const struct pt_format *f, struct pte_attr a)
{
    bool write = (a.prot & VM_PROT_WRITE) != 0;

    a.dirty = fact_of(f)->dirty_is_write ? write : a.dirty && write;
    a.global = a.global && !a.user;
    if (a.memory == PTE_DEVICE) {
        a.prot &= (uint8_t)~VM_PROT_EXEC;
    }
    return a;
}

/* The i-th physical address for a shift: 0, all ones, walking ones. */
static bool
address(const struct pt_format *f, unsigned shift, unsigned i, paddr_t *pa)
{
    paddr_t all = (((paddr_t)1 << f->pa_bits) - 1) >> shift << shift;

    if (i == 0) {
        *pa = 0;
    } else if (i == 1) {
        *pa = all;
    } else if (i == 2) {
        *pa = all & 0x00a5a5a5a5a5a5a5;
    } else if (i - 3 < f->pa_bits - shift) {
        *pa = (paddr_t)1 << (shift + i - 3);
    } else {
        return false;
    }
    return true;
}

/* Whatever x is, it is one thing, and exactly what would be written for it. */
static bool
consistent(const struct pt_format *f, pte_t x, int level,
    enum pte_kind *kind)
{
    *kind = pte_kind(f, x, level);
    if ((*kind == PTE_EMPTY) != (x == 0)) {
        return fail("empty is 0 and only 0", f, level, x);
    }
    if (*kind == PTE_TABLE && (level == 0 ||
        pte_table(f, pte_pa(f, x, level)) != x)) {
        return fail("table re-encodes", f, level, x);
    }
    if (level > 0 && *kind != PTE_BAD &&
        pte_leads(f, x) != (*kind == PTE_TABLE)) {
        return fail("leads is TABLE", f, level, x);
    }
    if (*kind == PTE_LEAF) {
        struct pte_attr a = pte_attr(f, x, level);
        paddr_t pa = pte_pa(f, x, level);

        if ((a.prot & VM_PROT_READ) == 0 || !pte_leaf_ok(f, level) ||
            (pa & (((paddr_t)1 << pt_shift(f, level)) - 1)) != 0 ||
            pa >> f->pa_bits != 0) {
            return fail("leaf is sane", f, level, x);
        }
        if (!same_attr(a, supported(f, a))) {
            return fail("leaf has supported attributes", f, level, x);
        }
        if (pte_leaf(f, pa, a, level) != x) {
            return fail("leaf re-encodes", f, level, x);
        }
    }
    return true;
}

static bool
leaf_round_trip(const struct pt_format *f, int level)
{
    struct pte_attr a;
    paddr_t pa;

    for (unsigned i = 0; address(f, pt_shift(f, level), i, &pa); i++) {
        for (unsigned j = 0; j < ATTRS; j++) {
            pte_t x = pte_leaf(f, pa, attr_of(j), level);

            if (!pte_leaf_ok(f, level)) {
                if (pte_kind(f, x, level) == PTE_LEAF) {
                    return fail("no leaf here", f, level, x);
                }
                continue;
            }
            a = pte_attr(f, x, level);
            if (pte_kind(f, x, level) != PTE_LEAF ||
                pte_pa(f, x, level) != pa ||
                !same_attr(a, supported(f, attr_of(j)))) {
                return fail("leaf round-trips", f, level, x);
            }
        }
    }
    return true;
}

static bool
table_round_trip(const struct pt_format *f, int level)
{
    paddr_t pa;

    for (unsigned i = 0; address(f, f->page_shift, i, &pa); i++) {
        pte_t x = pte_table(f, pa);

        if (pte_kind(f, x, level) != PTE_TABLE || pte_pa(f, x, level) != pa) {
            return fail("table round-trips", f, level, x);
        }
    }
    return true;
}

static bool
flips(const struct pt_format *f, pte_t x, int level)
{
    enum pte_kind kind;

    for (int i = 0; i < 64; i++) {
        for (int j = i; j < 64; j++) {
            pte_t bits = (pte_t)1 << i | (pte_t)1 << j;

            if (!consistent(f, x ^ bits, level, &kind)) {
                return false;
            }
        }
    }
    return true;
}

/* Words that are often almost right: dense ones would nearly all be BAD. */
static pte_t
random_word(const struct pt_format *f, int level)
{
    unsigned shift = test_rand() & 1 ? pt_shift(f, level) : f->page_shift;
    paddr_t pa = test_rand() >> (64 - f->pa_bits) >> shift << shift;
    pte_t x;

    switch (test_rand() % 4) {
    case 0:
        return test_rand();
    case 1:                     /* any low and high bits, and an address */
        x = pte_table(f, pa);
        return (x & 0x000ffffffffffc00) | (test_rand() & 0xfff00000000003ff);
    case 2:
        x = pte_table(f, pa);
        break;
    default:
        x = pte_leaf(f, pa, attr_of((unsigned)test_rand() % ATTRS), level);
        break;
    }
    for (unsigned n = test_rand() % 4; n > 0; n--) {
        x ^= (pte_t)1 << (test_rand() % 64);
    }
    return x;
}

static bool
random_words(const struct pt_format *f, int level)
{
    unsigned seen[4] = { 0 };
    enum pte_kind kind;

    for (unsigned i = 0; i < RANDOM_WORDS; i++) {
        if (!consistent(f, random_word(f, level), level, &kind)) {
            return false;
        }
        seen[kind]++;
    }
    if (seen[PTE_BAD] < 1000 || (level > 0 && seen[PTE_TABLE] < 1000) ||
        (pte_leaf_ok(f, level) && seen[PTE_LEAF] < 1000)) {
        return fail("random words meet every kind", f, level, 0);
    }
    return true;
}

static bool
restrict_and_age(const struct pt_format *f, int level)
{
    paddr_t pa = (paddr_t)5 << pt_shift(f, level);

    if (!pte_leaf_ok(f, level)) {
        return true;
    }
    for (unsigned j = 0; j < ATTRS; j++) {
        pte_t x = pte_leaf(f, pa, attr_of(j), level), y;
        struct pte_attr want, a = pte_attr(f, x, level);

        for (vm_prot_t prot = VM_PROT_READ; prot <= VM_PROT_ALL; prot++) {
            if ((prot & VM_PROT_READ) == 0) {
                continue;
            }
            y = pte_restrict(f, x, prot);
            want = a;
            want.prot &= (uint8_t)prot;
            want = supported(f, want);
            if (pte_kind(f, y, level) != PTE_LEAF ||
                pte_pa(f, y, level) != pa ||
                !same_attr(pte_attr(f, y, level), want)) {
                return fail("restrict only takes rights", f, level, y);
            }
            if (pte_restrict(f, y, VM_PROT_ALL) != y) {
                return fail("restrict never adds", f, level, y);
            }
        }
        y = pte_age(f, x);
        want = a;
        want.accessed = false;
        if (pte_kind(f, y, level) != PTE_LEAF || pte_pa(f, y, level) != pa ||
            !same_attr(pte_attr(f, y, level), want)) {
            return fail("age clears accessed alone", f, level, y);
        }
    }
    return true;
}

static bool
vector_holds(const struct pt_format *f, const struct vector *v, int level)
{
    struct pte_attr want = {
        .prot = v->prot,
        .memory = v->flags & DEV ? PTE_DEVICE : PTE_NORMAL,
        .user = v->flags & USER, .global = v->flags & GLOB,
        .wired = v->flags & WIRED, .accessed = v->flags & ACC,
        .dirty = v->flags & DIRTY
    };

    if (pte_kind(f, v->pte, level) != v->kind) {
        return fail("known answer: kind", f, level, v->pte);
    }
    if (v->kind == PTE_BAD) {
        return true;
    }
    if (pte_pa(f, v->pte, level) != v->pa) {
        return fail("known answer: address", f, level, v->pte);
    }
    if (v->kind == PTE_TABLE) {
        return pte_table(f, v->pa) == v->pte ||
            fail("known answer: table", f, level, v->pte);
    }
    if (!same_attr(pte_attr(f, v->pte, level), want)) {
        return fail("known answer: attributes", f, level, v->pte);
    }
    return pte_leaf(f, v->pa, want, level) == v->pte ||
        fail("known answer: leaf", f, level, v->pte);
}

static void
check_geometry(const struct pt_format *f, const struct fact *fact)
{
    int top = f->levels - 1;
    unsigned sum = f->page_shift;
    vaddr_t half = (vaddr_t)1 << (fact->va_bits - f->shared_root);

    CHECK(f->levels <= PT_MAX_LEVELS);
    for (int l = 0; l < f->levels; l++) {
        CHECK_EQ(pt_shift(f, l), sum);
        CHECK(f->bits[l] > 0 && f->bits[l] <= f->page_shift - 3u);
        sum += f->bits[l];
    }
    CHECK_EQ(sum, fact->va_bits);
    CHECK_EQ(f->pa_bits, fact->pa_bits);
    CHECK_EQ(f->md, fact->md);

    CHECK_EQ(f->user_start, 0x10000);
    CHECK_EQ(f->user_end % 0x10000, 0);
    CHECK(f->user_end <= half && half - f->user_end <= 0x10000);
    CHECK_EQ(f->kernel_start, 0xffffffff00000000);
    CHECK_EQ(f->kernel_end, 0xffffffffc0000000);
    if (f->shared_root) {
        unsigned root_half = 1u << (f->bits[top] - 1);

        CHECK(pt_index(f, top, f->user_end - 1) < root_half);
        CHECK(pt_index(f, top, f->kernel_start) >= root_half);
    }
}

static bool
recomposes(const struct pt_format *f, unsigned va_bits)
{
    for (int i = 0; i < 100000; i++) {
        vaddr_t va = test_rand() >> (64 - va_bits);
        vaddr_t sum = va & (((vaddr_t)1 << f->page_shift) - 1);

        for (int l = 0; l < f->levels; l++) {
            unsigned index = pt_index(f, l, va);

            if (index >= 1u << f->bits[l]) {
                return fail("index in its table", f, l, va);
            }
            sum += (vaddr_t)index << pt_shift(f, l);
        }
        if (sum != va) {
            return fail("indices recompose the address", f, 0, va);
        }
    }
    return true;
}

/* One law, for every level of every format. */
static bool
everywhere(bool (*law)(const struct pt_format *, int), int from)
{
    struct pt_format all[MAX_FORMATS];
    unsigned n = formats(all);
    bool ok = true;

    for (unsigned i = 0; i < n; i++) {
        for (int level = from; level < all[i].levels; level++) {
            ok = law(&all[i], level) && ok;
        }
    }
    return ok;
}

static bool
leaf_levels(const struct pt_format *f, int level)
{
    return pte_leaf_ok(f, level) == (fact_of(f)->leaf_levels >> level & 1) ||
        fail("leaf_ok", f, level, 0);
}

/* What holds a place is an entry to nobody. */
static bool
marks_are_bad(const struct pt_format *f, int level)
{
    for (unsigned cpu = 0; cpu < 64; cpu++) {
        pte_t mark = PT_MARK(cpu);

        if (!PT_IS_MARK(mark) || pte_leads(f, mark) ||
            pte_kind(f, mark, level) != PTE_BAD) {
            return fail("a mark is BAD", f, level, mark);
        }
    }
    return !PT_IS_MARK(0) && !pte_leads(f, 0);
}

static bool
only_zero_is_empty(const struct pt_format *f, int level)
{
    enum pte_kind kind;

    return consistent(f, 0, level, &kind) && flips(f, 0, level);
}

static bool
leaf_flips(const struct pt_format *f, int level)
{
    paddr_t pa;

    if (!pte_leaf_ok(f, level)) {
        return true;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (!address(f, pt_shift(f, level), i, &pa)) {
            break;
        }
        for (unsigned j = 0; j < ATTRS; j++) {
            if (!flips(f, pte_leaf(f, pa, attr_of(j), level), level)) {
                return false;
            }
        }
    }
    return true;
}

static bool
table_flips(const struct pt_format *f, int level)
{
    paddr_t pa;

    for (unsigned i = 0; address(f, f->page_shift, i, &pa); i++) {
        if (!flips(f, pte_table(f, pa), level)) {
            return false;
        }
    }
    return true;
}

TEST(geometry)
{
    struct pt_format all[MAX_FORMATS];
    unsigned n = formats(all);

    for (unsigned i = 0; i < n; i++) {
        const struct fact *fact = fact_of(&all[i]);

        CHECK(fact != NULL);
        if (fact != NULL) {
            check_geometry(&all[i], fact);
            CHECK(recomposes(&all[i], fact->va_bits));
        }
    }
    CHECK(everywhere(leaf_levels, 0));
}

TEST(known_answers)
{
    struct pt_format all[MAX_FORMATS];
    unsigned n = formats(all);

    for (unsigned i = 0; i < n; i++) {
        unsigned used = 0;

        for (unsigned j = 0; j < sizeof(vectors) / sizeof(vectors[0]); j++) {
            const struct vector *v = &vectors[j];

            if (strncmp(v->prefix, all[i].name, strlen(v->prefix)) != 0) {
                continue;
            }
            used++;
            for (int level = 0; level < all[i].levels; level++) {
                CHECK((v->levels >> level & 1) == 0 ||
                    vector_holds(&all[i], v, level));
            }
        }
        CHECK(used >= 5);
    }
}

TEST(empty)
{
    CHECK(everywhere(only_zero_is_empty, 0));
    CHECK(everywhere(marks_are_bad, 0));
}

TEST(leaves_round_trip)
{
    CHECK(everywhere(leaf_round_trip, 0));
}

TEST(tables_round_trip)
{
    CHECK(everywhere(table_round_trip, 1));
}

TEST(flipped_bits)
{
    CHECK(everywhere(leaf_flips, 0));
    CHECK(everywhere(table_flips, 1));
}

TEST(words_at_random)
{
    CHECK(everywhere(random_words, 0));
}

TEST(restricted_and_aged)
{
    CHECK(everywhere(restrict_and_age, 0));
}
