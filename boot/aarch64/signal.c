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

struct fpsimd {
    struct record head;
    uint32_t fpsr, fpcr;
    uint8_t v[USER_FPSR];
};

struct context {                        /* ucontext and sigcontext */
    uint64_t flags, link;
    struct md_altstack stack;
    uint64_t mask;
    uint8_t unused[128];                /* 1024 signals; alignment */
    uint64_t fault_address;
    uint64_t x[31];
    uint64_t sp, pc, pstate, pad;
};
_Static_assert(sizeof(struct context) == 464 &&
    __builtin_offsetof(struct context, fault_address) == 176, "ucontext");

struct sigframe {
    uint8_t info[INFO_SIZE];
    struct context uc;
    struct fpsimd fpsimd;
    struct record esr;                  /* or the end */
    uint64_t esr_value;
    uint64_t end[2];
    uint64_t fp, lr;
};
_Static_assert(sizeof(struct sigframe) % 16 == 0, "stack");

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

/* ESR_EL1 goes with a fault only: si_code is positive then. */
static void
put_fault(struct sigframe *sf, const struct md_frame *f, int signo)
{
    int32_t code;

    memcpy(&code, sf->info + INFO_CODE, sizeof(code));
    if (code <= 0 || (signo != SIGNAL_SEGV && signo != SIGNAL_BUS &&
        signo != SIGNAL_ILL && signo != SIGNAL_TRAP)) {
        return;
    }
    memcpy(&sf->uc.fault_address, sf->info + INFO_ADDR, sizeof(uint64_t));
    sf->esr = (struct record){ ESR_MAGIC, sizeof(sf->esr) + 8 };
    sf->esr_value = f->esr;
}

int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    struct sigframe sf;
    vaddr_t top = s->stack != 0 ? s->stack : f->sp;
    vaddr_t at = (top & ~(vaddr_t)15) - sizeof(sf);

    memset(&sf, 0, sizeof(sf));
    memcpy(sf.info, s->info, INFO_SIZE);
    sf.uc.stack = s->alt;
    sf.uc.mask = s->mask;
    memcpy(sf.uc.x, f->x, sizeof(sf.uc.x));
    sf.uc.sp = f->sp;
    sf.uc.pc = f->pc;
    sf.uc.pstate = f->pstate;
    md_user_save(u);
    sf.fpsimd.head = (struct record){ FPSIMD_MAGIC, sizeof(sf.fpsimd) };
    memcpy(sf.fpsimd.v, u->bytes, USER_FPSR);
    memcpy(&sf.fpsimd.fpsr, u->bytes + USER_FPSR, 8);
    put_fault(&sf, f, s->signo);
    sf.fp = f->x[29];
    sf.lr = f->x[30];
    if (md_copyout(at, &sf, sizeof(sf)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->x[0] = (uint64_t)s->signo;
    f->x[1] = at;
    f->x[2] = at + __builtin_offsetof(struct sigframe, uc);
    f->x[29] = at + __builtin_offsetof(struct sigframe, fp);
    f->x[30] = s->restorer != 0 ? s->restorer : s->trampoline;
    f->sp = at;
    f->pc = s->handler;
    return VM_OK;
}

/* Find the floating point among the records that the program left. */
static int
get_fpsimd(vaddr_t records, struct fpsimd *fp)
{
    uint32_t at = 0;

    while (at <= RECORDS_SIZE - sizeof(struct record)) {
        struct record r;

        if (md_copyin(&r, records + at, sizeof(r)) != VM_OK) {
            return VM_E_ADDRESS;
        }
        if (r.magic == FPSIMD_MAGIC && r.size == sizeof(*fp) &&
            r.size <= RECORDS_SIZE - at) {
            return md_copyin(fp, records + at, sizeof(*fp));
        }
        if (r.size < 16 || r.size % 16 != 0 || r.size > RECORDS_SIZE - at) {
            break;
        }
        at += r.size;
    }
    return VM_E_ADDRESS;
}

int
md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt)
{
    struct context uc;
    struct fpsimd fp;
    vaddr_t at = f->sp + __builtin_offsetof(struct sigframe, uc);
    bool enabled;

    if (f->sp % 16 != 0 || md_copyin(&uc, at, sizeof(uc)) != VM_OK ||
        get_fpsimd(at + sizeof(uc), &fp) != VM_OK) {
        return VM_E_ADDRESS;
    }
    memcpy(f->x, uc.x, sizeof(f->x));
    f->sp = uc.sp;
    f->pc = uc.pc;
    f->pstate = (uc.pstate & PSTATE_SETTABLE) | PSTATE_USER;
    /* The scheduler must not save what is loaded over this. */
    enabled = md_irq_save();
    md_user_save(u);
    memcpy(u->bytes, fp.v, USER_FPSR);
    memcpy(u->bytes + USER_FPSR, &fp.fpsr, 8);
    md_user_load(u);
    md_irq_restore(enabled);
    *mask = uc.mask;
    *alt = uc.stack;
    return VM_OK;
}
