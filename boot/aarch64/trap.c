/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c - ESR_EL1 to struct trap (md.h).
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D17.2.37 (ESR_EL1: exception classes,
 * their syndromes), D1.3.5.
 */
#include "machine.h"
#include "thread.h"

#define EC_UNKNOWN      0x00u
#define EC_ILLEGAL      0x0eu           /* PSTATE.IL */
#define EC_IABORT       0x20u           /* + 1: from the kernel */
#define EC_PC           0x22u
#define EC_DABORT       0x24u
#define EC_SP           0x26u
#define EC_FLOAT        0x2cu
#define EC_SERROR       0x2fu
#define EC_BREAK        0x30u
#define EC_STEP         0x32u
#define EC_WATCH        0x34u
#define EC_BRK          0x3cu

#define ISS_WNR         (1u << 6)
#define ISS_CM          (1u << 8)       /* cache maintenance: reads */
#define FSC             0x3fu
#define FSC_ALIGN       0x21u
#define FSC_CONFLICT    0x30u           /* two entries in the TLB */

/* FPE_* of Linux. */
#define FPE_DIV         3
#define FPE_OVF         4
#define FPE_UND         5
#define FPE_RES         6
#define FPE_INV         7

_Static_assert(THREAD_STACK_SIZE == 16384, "start.S, trap.S");

/* ISS of a trapped IEEE exception: IOF DZF OFF UFF IXF. */
static int
float_code(uint32_t iss)
{
    static const int codes[] = { FPE_INV, FPE_DIV, FPE_OVF, FPE_UND, FPE_RES };

    for (unsigned i = 0; i < 5; i++) {
        if ((iss >> i & 1) != 0) {
            return codes[i];
        }
    }
    return FPE_INV;
}

/* A data or instruction abort: bits 5:2 are the kind, 1:0 the level. */
static enum trap_kind
abort_kind(uint32_t iss)
{
    switch ((iss & FSC) >> 2) {
    case 1:                             /* translation */
    case 2:                             /* access flag */
    case 3:                             /* permission */
        return TRAP_FAULT;
    default:
        return (iss & FSC) == FSC_ALIGN ? TRAP_ALIGN :
            (iss & FSC) == FSC_CONFLICT ? TRAP_OTHER : TRAP_BUS;
    }
}

static struct trap
decode(const struct md_frame *f, uint64_t esr, uint64_t far)
{
    struct trap t = { .va = far, .raw = esr, .access = VM_PROT_READ };
    uint32_t iss = (uint32_t)esr & 0x1ffffff;
    unsigned class = esr >> 26 & 0x3f;
    /* The classes that name who was interrupted, without that. */
    unsigned any = class & ~1u;

    if (__builtin_expect(any == EC_DABORT, 1)) {
        t.kind = abort_kind(iss);
        if ((iss & (ISS_WNR | ISS_CM)) == ISS_WNR) {
            t.access = VM_PROT_WRITE;
        }
    } else if (any == EC_IABORT) {
        t.kind = abort_kind(iss);
        t.access = VM_PROT_EXEC;
    } else if (class == EC_PC) {
        t.kind = TRAP_ALIGN;
        t.access = VM_PROT_EXEC;
    } else if (class == EC_SP) {
        t.kind = TRAP_ALIGN;
        t.va = f->sp;
    } else if (class == EC_FLOAT) {
        t.kind = TRAP_FLOAT;
        t.code = float_code(iss);
    } else if (class == EC_SERROR) {
        t.kind = TRAP_OTHER;
    } else if (any == EC_STEP) {
        t.kind = TRAP_STEP;
    } else if (class == EC_BRK || any == EC_BREAK || any == EC_WATCH) {
        t.kind = TRAP_BREAK;
    } else {
        /* Unknown, or trapped because this kernel keeps it off. */
        t.kind = class < EC_IABORT ? TRAP_ILLEGAL : TRAP_OTHER;
    }
    return t;
}

/*
 * The kernel at a user address, but not with the rights of user mode: PAN
 * or PXN says no whatever the program's memory is, so nobody should try to
 * supply it.  C4.1.94: load and store register (unprivileged).
 */
static bool
is_stray(const struct md_frame *f, const struct trap *t)
{
    const uint32_t *pc = (const uint32_t *)(uintptr_t)f->pc;

    if (t->kind != TRAP_FAULT || t->va >> USER_BITS != 0) {
        return false;
    }
    return t->access == VM_PROT_EXEC || ((f->pstate & PSTATE_PAN) != 0 &&
        (*pc & 0x3b200c00) != 0x38000800);
}

void
trap_user(struct md_frame *f, uint64_t esr, uint64_t far)
{
    struct trap t;

    f->esr = esr;
    __asm__ volatile("msr daifclr, #6" : : : "memory");
    /* A data abort for what is not there, or not to be written. */
    if (__builtin_expect(esr >> 26 == EC_DABORT &&
            abort_kind((uint32_t)esr) == TRAP_FAULT, 1)) {
        kern_fault(f, far, (esr & (ISS_WNR | ISS_CM)) == ISS_WNR ?
            VM_PROT_WRITE : VM_PROT_READ, esr);
        return;
    }
    t = decode(f, esr, far);
    kern_trap(f, &t);
}

void
trap_kernel(struct md_frame *f, uint64_t esr, uint64_t far)
{
    struct trap t = decode(f, esr, far);

    f->esr = esr;
    if (is_stray(f, &t)) {
        t.kind = TRAP_PRIVILEGED;
    }
    /* A call into the void is the fault of md_probe(), which expects it. */
    if (t.access == VM_PROT_EXEC && f->x[30] == (uintptr_t)probe_called) {
        f->pc = (uintptr_t)probe_call;
    }
    if ((f->pstate & PSTATE_I) == 0) {
        __asm__ volatile("msr daifclr, #6" : : : "memory");
    }
    kern_trap(f, &t);
}

void
trap_stack(struct md_frame *f, uint64_t esr, uint64_t far)
{
    struct trap t = decode(f, esr, far);

    f->esr = esr;
    t.kind = TRAP_STACK;
    kern_trap(f, &t);
    md_exit(1);
}
