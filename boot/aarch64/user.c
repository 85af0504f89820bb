/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.c - what a program starts with, and the names of things.
 */
#include "machine.h"

const char md_arch[] = "aarch64";
const char md_platform[] = "aarch64";   /* AT_PLATFORM of Linux */

_Static_assert(VM_E_ADDRESS == 2 && VM_E_NOSPACE == 5, "usercopy.S");
_Static_assert(VM_PROT_WRITE == 2 && VM_PROT_EXEC == 4, "usercopy.S");

void
md_frame_init(struct md_frame *f, vaddr_t pc, vaddr_t sp)
{
    *f = (struct md_frame){ .pc = pc, .sp = sp, .pstate = PSTATE_USER };
}

void
md_user_init(struct md_user *u)
{
    memset(u, 0, sizeof(*u));
}

unsigned
md_frame_registers(const struct md_frame *f,
    struct md_register out[MD_REGISTERS])
{
    static const char names[][8] = {
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
        "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",
        "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30",
        "sp", "pc", "pstate", "esr"
    };
    unsigned n = 0;

    for (; n < 31; n++) {
        out[n].value = f->x[n];
    }
    out[n++].value = f->sp;
    out[n++].value = f->pc;
    out[n++].value = f->pstate;
    out[n++].value = f->esr;
    for (unsigned i = 0; i < n; i++) {
        out[i].name = names[i];
    }
    return n;
}

/*
 * Linux, Documentation/arch/arm64/elf_hwcaps.rst: which value of which field
 * of an ID register (Arm ARM D17.2) is which bit.  Left out: what needs
 * more of the kernel than a bit, SVE, SME, MTE, PAC, BTI and CPUID.
 */
enum { ISAR0, ISAR1, PFR0, MMFR2, ID_REGS };

static const struct {
    uint8_t reg, shift, least, bit;     /* bit 32 and up: AT_HWCAP2 */
} hwcap[] = {
    { ISAR0, 4, 1, 3 },                 /* AES */
    { ISAR0, 4, 2, 4 },                 /* PMULL */
    { ISAR0, 8, 1, 5 },                 /* SHA1 */
    { ISAR0, 12, 1, 6 },                /* SHA2 */
    { ISAR0, 12, 2, 21 },               /* SHA512 */
    { ISAR0, 16, 1, 7 },                /* CRC32 */
    { ISAR0, 20, 2, 8 },                /* ATOMICS */
    { ISAR0, 28, 1, 12 },               /* ASIMDRDM */
    { ISAR0, 32, 1, 17 },               /* SHA3 */
    { ISAR0, 36, 1, 18 },               /* SM3 */
    { ISAR0, 40, 1, 19 },               /* SM4 */
    { ISAR0, 44, 1, 20 },               /* ASIMDDP */
    { ISAR0, 48, 1, 23 },               /* ASIMDFHM */
    { ISAR0, 52, 1, 27 },               /* FLAGM */
    { ISAR0, 52, 2, 32 + 7 },           /* FLAGM2 */
    { ISAR0, 60, 1, 32 + 16 },          /* RNG */
    { ISAR1, 0, 1, 16 },                /* DCPOP */
    { ISAR1, 0, 2, 32 + 0 },            /* DCPODP */
    { ISAR1, 12, 1, 13 },               /* JSCVT */
    { ISAR1, 16, 1, 14 },               /* FCMA */
    { ISAR1, 20, 1, 15 },               /* LRCPC */
    { ISAR1, 20, 2, 26 },               /* ILRCPC */
    { ISAR1, 32, 1, 32 + 8 },           /* FRINT */
    { ISAR1, 36, 1, 29 },               /* SB */
    { ISAR1, 44, 1, 32 + 14 },          /* BF16 */
    { ISAR1, 48, 1, 32 + 15 },          /* DGH */
    { ISAR1, 52, 1, 32 + 13 },          /* I8MM */
    { PFR0, 48, 1, 24 },                /* DIT */
    { MMFR2, 32, 1, 25 },               /* USCAT */
};

/* FP and AdvSIMD: 15 none, 0 there, 1 with half precision. */
#define HWCAP_FP_ASIMD  (1ull << 0 | 1ull << 1)
#define HWCAP_HALF      (1ull << 9 | 1ull << 10)

uint64_t
md_hwcap(unsigned n)
{
    uint64_t id[ID_REGS], caps = 0;

    READ_REG(id_aa64isar0_el1, id[ISAR0]);
    READ_REG(id_aa64isar1_el1, id[ISAR1]);
    READ_REG(id_aa64pfr0_el1, id[PFR0]);
    READ_REG(id_aa64mmfr2_el1, id[MMFR2]);
    for (unsigned i = 0; i < sizeof(hwcap) / sizeof(hwcap[0]); i++) {
        if ((id[hwcap[i].reg] >> hwcap[i].shift & 15) >= hwcap[i].least) {
            caps |= 1ull << hwcap[i].bit;
        }
    }
    if ((id[PFR0] >> 16 & 15) != 15) {
        caps |= HWCAP_FP_ASIMD;
        caps |= (id[PFR0] >> 16 & 15) >= 1 ? HWCAP_HALF : 0;
    }
    return n == 0 ? caps & 0xffffffff : caps >> 32;
}
