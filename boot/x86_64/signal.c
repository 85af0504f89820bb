/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/signal.c - signal frames as Linux lays them out.
 *
 *   old sp - 128 (the red zone), or the alternate stack
 *     FXSAVE or XSAVE area, aligned to 64; MAGIC2 behind XSAVE's
 *     struct signal_frame, such that the handler finds the stack as after
 *     a call: its first word is the return address
 *
 * Source: Linux's arch/x86/include/uapi/asm/{sigcontext,ucontext}.h, which
 * are interface; System V ABI x86-64, 3.2.2 for the stack.
 */
#include "user.h"

#define RED_ZONE        128u
#define UC_FP_XSTATE    1u
#define UC_SS           6u              /* SIGCONTEXT_SS, STRICT_RESTORE_SS */

/* CF PF AF ZF SF TF DF OF RF AC: what a program may set. */
#define RFLAGS_USER     0x50dd5ull

struct signal_context {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, oldmask, cr2;
    uint64_t fpstate;
    uint64_t reserved[8];
};
struct signal_frame {
    uint64_t restorer;
    uint64_t flags, link;               /* struct ucontext from here */
    struct md_altstack alt;
    struct signal_context c;
    uint64_t mask;                      /* siginfo_t follows */
};
#define INFO_SIZE       128u
#define SIGNAL_FRAME    (sizeof(struct signal_frame) + INFO_SIZE)
_Static_assert(sizeof(struct signal_context) == 256, "sigcontext");
_Static_assert(SIGNAL_FRAME == 440, "rt_sigframe");

static void
context_from(struct signal_context *c, const struct md_frame *f)
{
    c->r8 = f->args[4];
    c->r9 = f->args[5];
    c->r10 = f->args[3];
    c->r11 = f->r11;
    c->r12 = f->r12;
    c->r13 = f->r13;
    c->r14 = f->r14;
    c->r15 = f->r15;
    c->rdi = f->args[0];
    c->rsi = f->args[1];
    c->rbp = f->rbp;
    c->rbx = f->rbx;
    c->rdx = f->args[2];
    c->rax = f->rax;
    c->rcx = f->rcx;
    c->rsp = f->rsp;
    c->rip = f->rip;
    c->rflags = f->rflags;
    c->cs = SEL_USER_CS;
    c->ss = SEL_USER_DS;
    if (f->vector != FRAME_SYSCALL) {
        c->error = f->error;
        c->trap = f->vector;
    }
}

static void
context_to(const struct signal_context *c, struct md_frame *f)
{
    f->args[4] = c->r8;
    f->args[5] = c->r9;
    f->args[3] = c->r10;
    f->r11 = c->r11;
    f->r12 = c->r12;
    f->r13 = c->r13;
    f->r14 = c->r14;
    f->r15 = c->r15;
    f->args[0] = c->rdi;
    f->args[1] = c->rsi;
    f->rbp = c->rbp;
    f->rbx = c->rbx;
    f->args[2] = c->rdx;
    f->rax = c->rax;
    f->rcx = c->rcx;
    f->rflags = (f->rflags & ~RFLAGS_USER) | (c->rflags & RFLAGS_USER);
    md_frame_set_pc(f, c->rip);
    md_frame_set_sp(f, c->rsp);
}

int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    size_t size = cpu_has.xsave ? USER_XSAVE + 4 : USER_FXSAVE;
    uint64_t sp = s->stack != 0 ? s->stack : f->rsp - RED_ZONE;
    uint64_t fp = (sp - size) & ~(uint64_t)63;
    uint64_t at = ((fp - SIGNAL_FRAME) & ~(uint64_t)15) - 8;
    uint64_t info = at + sizeof(struct signal_frame);
    struct signal_frame frame = {
        .restorer = s->restorer,
        .flags = UC_SS | (cpu_has.xsave ? UC_FP_XSTATE : 0),
        .alt = s->alt,
        .c.fpstate = fp,
        .mask = s->mask
    };

    if (s->restorer == 0) {
        return VM_E_ADDRESS;            /* as Linux: it is not optional */
    }
    context_from(&frame.c, f);
    /* The registers are still the program's; its page faults save them too. */
    md_user_save(u);
    if (md_copyout(fp, u, size) != VM_OK ||
        md_copyout(at, &frame, sizeof(frame)) != VM_OK ||
        md_copyout(info, s->info, INFO_SIZE) != VM_OK) {
        return VM_E_ADDRESS;
    }
    user_reset();                       /* as Linux: pending ones, too */
    f->args[0] = (uint64_t)s->signo;
    f->args[1] = info;
    f->args[2] = at + offsetof(struct signal_frame, flags);
    f->rax = 0;
    f->rflags &= ~(uint64_t)(RFLAGS_TF | RFLAGS_DF);
    md_frame_set_pc(f, s->handler);
    md_frame_set_sp(f, at);
    return VM_OK;
}

/*
 * Read what a program says that its vectors are into a: whatever it is,
 * XRSTOR and FXRSTOR shall not fault on it.  mask: bits that MXCSR has, or 0.
 */
static int
area_read(struct user_area *a, uint64_t fp, uint32_t mask)
{
    bool all = false;
    uint32_t magic2;

    if (md_copyin(&a->fx, fp, USER_FXSAVE) != VM_OK) {
        return VM_E_ADDRESS;
    }
    if (cpu_has.xsave && a->fx.software.magic1 == USER_MAGIC1 &&
        a->fx.software.xstate_size == USER_XSAVE) {
        if (md_copyin(&magic2, fp + USER_XSAVE, sizeof(magic2)) != VM_OK ||
            (magic2 == USER_MAGIC2 && md_copyin(&a->header,
                fp + USER_FXSAVE, USER_XSAVE - USER_FXSAVE) != VM_OK)) {
            return VM_E_ADDRESS;
        }
        all = magic2 == USER_MAGIC2;
    }
    a->header.present = (all ? a->header.present : 3) & cpu_has.xcr0;
    a->header.compact = 0;
    memset(a->header.reserved, 0, sizeof(a->header.reserved));
    a->fx.mxcsr &= mask != 0 ? mask : 0xffbf;
    return VM_OK;
}

/* The registers themselves are set, u is stale while its thread runs. */
int
md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt)
{
    const struct user_area *saved = (const void *)u;
    struct user_area area __attribute__((aligned(64)));
    struct signal_frame frame;

    /* The handler's `ret` has taken the restorer from the stack. */
    if (md_copyin(&frame, f->rsp - 8, sizeof(frame)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    if (frame.c.fpstate == 0) {
        user_reset();
    } else if (area_read(&area, frame.c.fpstate, saved->fx.mxcsr_mask) !=
        VM_OK) {
        return VM_E_ADDRESS;
    } else {
        user_restore(&area);
    }
    context_to(&frame.c, f);
    *mask = frame.mask;
    *alt = frame.alt;
    return VM_OK;
}

const void *
md_trampoline(size_t *size)
{
    *size = 0;
    return NULL;
}
