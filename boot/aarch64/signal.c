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

/* Three parts, so that the vectors go where they belong in one copy. */
struct sighead {
    uint8_t info[INFO_SIZE];
    struct context uc;
    struct fpsimd fpsimd;
};
struct sigtail {
    struct record esr;                  /* or the end */
    uint64_t esr_value;
    uint64_t end[2];
    uint64_t fp, lr;
};
#define VECTORS_SIZE    USER_FPSR
#define VECTORS_AT      sizeof(struct sighead)
#define TAIL_AT         (VECTORS_AT + VECTORS_SIZE)
#define FRAME_BYTES     (TAIL_AT + sizeof(struct sigtail))
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

/* ESR_EL1 goes with a fault only: si_code is positive then. */
static void
put_fault(struct sighead *head, struct sigtail *tail,
    const struct md_frame *f, int signo)
{
    int32_t code;

    memcpy(&code, head->info + INFO_CODE, sizeof(code));
    if (code <= 0 || (signo != SIGNAL_SEGV && signo != SIGNAL_BUS &&
        signo != SIGNAL_ILL && signo != SIGNAL_TRAP)) {
        return;
    }
    memcpy(&head->uc.fault_address, head->info + INFO_ADDR,
        sizeof(uint64_t));
    tail->esr = (struct record){ ESR_MAGIC, sizeof(tail->esr) + 8 };
    tail->esr_value = f->esr;
}

int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    vaddr_t top = s->stack != 0 ? s->stack : f->sp;
    vaddr_t at = (top & ~(vaddr_t)15) - FRAME_BYTES;
    struct sigtail tail = { .fp = f->x[29], .lr = f->x[30] };
    struct sighead head = {
        .uc = { .stack = s->alt, .mask = s->mask, .sp = f->sp, .pc = f->pc,
            .pstate = f->pstate },
        .fpsimd.head = { FPSIMD_MAGIC, sizeof(struct fpsimd) + VECTORS_SIZE }
    };

    md_user_save(u);
    memcpy(head.info, s->info, INFO_SIZE);
    memcpy(head.uc.x, f->x, sizeof(head.uc.x));
    memcpy(&head.fpsimd.fpsr, u->bytes + USER_FPSR, 8);
    put_fault(&head, &tail, f, s->signo);
    if (md_copyout(at, &head, sizeof(head)) != VM_OK ||
        md_copyout(at + VECTORS_AT, u->bytes, VECTORS_SIZE) != VM_OK ||
        md_copyout(at + TAIL_AT, &tail, sizeof(tail)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->x[0] = (uint64_t)s->signo;
    f->x[1] = at;
    f->x[2] = at + INFO_SIZE;
    f->x[29] = at + TAIL_AT + __builtin_offsetof(struct sigtail, fp);
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
    struct context uc;
    struct md_user new;
    uint64_t tls;

    (void)u;
    if (f->sp % 16 != 0 ||
        md_copyin(&uc, f->sp + INFO_SIZE, sizeof(uc)) != VM_OK ||
        get_fpsimd(f->sp + INFO_SIZE + sizeof(uc), &new) != VM_OK) {
        return VM_E_ADDRESS;
    }
    memcpy(f->x, uc.x, sizeof(f->x));
    f->sp = uc.sp;
    f->pc = uc.pc;
    f->pstate = (uc.pstate & PSTATE_SETTABLE) | PSTATE_USER;
    READ_REG(tpidr_el0, tls);
    md_frame_set_tls(f, &new, tls);
    md_user_load(&new);
    *mask = uc.mask;
    *alt = uc.stack;
    return VM_OK;
}
