/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signal.c - a signal's frame on a program's stack, as Linux lays it out.
 *
 *   frame record {x29, x30}    x29 of the handler: debuggers go on here
 *   records                    each begins with magic and size
 *     FPSIMD_CONTEXT
 *     ESR_CONTEXT              what the program did, after a fault
 *     end (0, 0)
 *   struct ucontext            x2 of the handler
 *   siginfo_t                  x1; sp
 *
 * Only as much as is used is written; a program may look for 4 KiB of
 * records, so sigreturn searches that far and wants the first one back.
 *
 * Source: Linux's uapi headers of arm64: asm/sigcontext.h, asm/ucontext.h.
 */
#include "machine.h"

#define FPSIMD_MAGIC    0x46508001u
#define ESR_MAGIC       0x45535201u
#define RECORDS_SIZE    4096u

/* What a program may set: NZCV, DIT, SSBS. */
#define PSTATE_SETTABLE (0xf0000000u | 1u << 24 | 1u << 12)

#define SIGNAL_ILL      4
#define SIGNAL_TRAP     5
#define SIGNAL_BUS      7
#define SIGNAL_SEGV     11
#define INFO_SIZE       128u
#define INFO_CODE       8               /* si_code, > 0: a fault's */
#define INFO_ADDR       16

struct record {
    uint32_t magic, size;
};

struct fpsimd {                         /* q0-q31 follow */
    struct record head;
    uint32_t fpsr, fpcr;
};

struct ucontext {                       /* up to what nobody uses */
    uint64_t flags, link;
    struct md_altstack stack;
    uint64_t mask;
};

struct registers {                      /* in a frame, too */
    uint64_t x[31];
    uint64_t sp, pc, pstate;
};
_Static_assert(__builtin_offsetof(struct md_frame, pstate) ==
    __builtin_offsetof(struct registers, pstate), "md_frame");

/* Where what is, so that all goes there from where it stands. */
#define AT_INFO         0u
#define INFO_SIZE       128u
#define AT_UCONTEXT     INFO_SIZE
#define AT_FAULT        (AT_UCONTEXT + 176u)    /* sigcontext */
#define AT_REGISTERS    (AT_FAULT + 8)
#define AT_RECORDS      (AT_UCONTEXT + 464u)
#define AT_VECTORS      (AT_RECORDS + sizeof(struct fpsimd))
#define AT_TAIL         (AT_VECTORS + VECTORS_SIZE)
#define VECTORS_SIZE    USER_FPSR
_Static_assert(AT_REGISTERS + sizeof(struct registers) + 8 == AT_RECORDS,
    "sigcontext");

struct sigtail {
    struct record esr;                  /* or the end */
    uint64_t esr_value;
    uint64_t end[2];
    uint64_t fp, lr;
};
#define FRAME_BYTES     (AT_TAIL + sizeof(struct sigtail))
_Static_assert(FRAME_BYTES % 16 == 0, "stack");

static const uint32_t trampoline[] = {
    0xd2801168,                         /* mov x8, #139 (rt_sigreturn) */
    0xd4000001                          /* svc #0 */
};

const void *
md_trampoline(size_t *size)
{
    *size = sizeof(trampoline);
    return trampoline;
}

/* The fault of a siginfo (si_code is positive then), or 0: ESR_EL1 goes with
 * one only. */
static bool
has_fault(const uint8_t *info, int signo)
{
    int32_t code;

    memcpy(&code, info + INFO_CODE, sizeof(code));
    return code > 0 && (signo == SIGNAL_SEGV || signo == SIGNAL_BUS ||
        signo == SIGNAL_ILL || signo == SIGNAL_TRAP);
}

int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    vaddr_t top = s->stack != 0 ? s->stack : f->sp;
    vaddr_t at = (top & ~(vaddr_t)15) - FRAME_BYTES;
    const uint8_t *info = s->info;
    const struct ucontext uc = { .stack = s->alt, .mask = s->mask };
    struct sigtail tail = { .fp = f->x[29], .lr = f->x[30] };
    struct fpsimd fpsimd = {
        .head = { FPSIMD_MAGIC, sizeof(fpsimd) + VECTORS_SIZE }
    };
    uint64_t fault = 0;

    md_user_save(u);
    memcpy(&fpsimd.fpsr, u->bytes + USER_FPSR, 8);
    if (has_fault(info, s->signo)) {
        memcpy(&fault, info + INFO_ADDR, sizeof(fault));
        tail.esr = (struct record){ ESR_MAGIC, sizeof(tail.esr) + 8 };
        tail.esr_value = f->esr;
    }
    if (md_copyout(at + AT_INFO, info, INFO_SIZE) != VM_OK ||
        md_copyout(at + AT_UCONTEXT, &uc, sizeof(uc)) != VM_OK ||
        md_copyout(at + AT_FAULT, &fault, sizeof(fault)) != VM_OK ||
        md_copyout(at + AT_REGISTERS, f, sizeof(struct registers)) !=
            VM_OK ||
        md_copyout(at + AT_RECORDS, &fpsimd, sizeof(fpsimd)) != VM_OK ||
        md_copyout(at + AT_VECTORS, u->bytes, VECTORS_SIZE) != VM_OK ||
        md_copyout(at + AT_TAIL, &tail, sizeof(tail)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->x[0] = (uint64_t)s->signo;
    f->x[1] = at + AT_INFO;
    f->x[2] = at + AT_UCONTEXT;
    f->x[29] = at + AT_TAIL + __builtin_offsetof(struct sigtail, fp);
    f->x[30] = s->restorer != 0 ? s->restorer : s->trampoline;
    f->sp = at;
    f->pc = s->handler;
    return VM_OK;
}

/* Find the floating point among the records that the program left. */
static int
get_fpsimd(vaddr_t records, struct md_user *u)
{
    uint32_t at = 0;

    while (at <= RECORDS_SIZE - sizeof(struct fpsimd)) {
        struct fpsimd r;

        if (md_copyin(&r, records + at, sizeof(r)) != VM_OK) {
            return VM_E_ADDRESS;
        }
        if (r.head.size < sizeof(r) || r.head.size % 16 != 0 ||
            r.head.size > RECORDS_SIZE - at) {
            break;
        }
        if (r.head.magic == FPSIMD_MAGIC &&
            r.head.size == sizeof(r) + VECTORS_SIZE) {
            memcpy(u->bytes + USER_FPSR, &r.fpsr, 8);
            return md_copyin(u->bytes, records + at + sizeof(r),
                VECTORS_SIZE);
        }
        at += r.head.size;
    }
    return VM_E_ADDRESS;
}

/* The registers themselves are set, u is stale while its thread runs. */
int
md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt)
{
    vaddr_t at = f->sp;
    struct ucontext uc;
    struct md_user new;
    uint64_t tls, pstate;

    (void)u;
    if (at % 16 != 0 ||
        md_copyin(&uc, at + AT_UCONTEXT, sizeof(uc)) != VM_OK ||
        get_fpsimd(at + AT_RECORDS, &new) != VM_OK ||
        md_copyin(f->x, at + AT_REGISTERS, sizeof(f->x) + 16) != VM_OK ||
        md_copyin(&pstate, at + AT_REGISTERS +
            __builtin_offsetof(struct registers, pstate), 8) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->pstate = (pstate & PSTATE_SETTABLE) | PSTATE_USER;
    READ_REG(tpidr_el0, tls);
    md_frame_set_tls(f, &new, tls);
    md_user_load(&new);
    *mask = uc.mask;
    *alt = uc.stack;
    return VM_OK;
}
