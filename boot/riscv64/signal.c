/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signal.c - the frame of a signal handler.  Source: Linux's exported
 * headers asm/ucontext.h, asm/sigcontext.h, asm/ptrace.h; rt_sigaction(2).
 *
 * There is no restorer in a riscv sigaction: handlers return to the
 * trampoline, with sp at the frame.
 */
#include "machine.h"

struct signal_context {
    uint64_t x[32];             /* struct user_regs_struct: pc, x1 .. x31 */
    union {
        struct {
            uint64_t f[32];
            uint32_t fcsr;
        } d;
        uint8_t q[528];         /* the rest is reserved, zero */
    } fp;
};

struct signal_frame {
    uint8_t info[128];          /* siginfo_t */
    uint64_t flags;             /* struct ucontext */
    uint64_t link;
    struct md_altstack alt;
    uint64_t mask;
    uint8_t mask_room[120];
    struct signal_context context __attribute__((aligned(16)));
};
_Static_assert(offsetof(struct signal_frame, context) == 128 + 176 &&
    sizeof(struct signal_frame) == 128 + 960, "struct rt_sigframe");

/* As in struct md_user: f, fcsr, used. */
#define FP_SIZE         260u

int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    vaddr_t top = s->stack != 0 ? s->stack : f->x[2], sp;
    struct signal_frame frame = {
        .alt = s->alt, .mask = s->mask
    };
    int error;

    sp = (top - sizeof(frame)) & ~(vaddr_t)15;
    md_user_save(u);
    memcpy(frame.info, s->info, sizeof(frame.info));
    memcpy(frame.context.x, f->x, sizeof(frame.context.x));
    memcpy(&frame.context.fp, u, FP_SIZE);
    error = md_copyout(sp, &frame, sizeof(frame));
    if (error != VM_OK) {
        return error;
    }
    f->x[0] = s->handler;
    f->x[1] = s->restorer != 0 ? s->restorer : s->trampoline;
    f->x[2] = sp;
    f->x[10] = (uint64_t)s->signo;
    f->x[11] = sp + offsetof(struct signal_frame, info);
    f->x[12] = sp + offsetof(struct signal_frame, flags);
    return VM_OK;
}

/* No register of the frame grants a right; reserved bytes are Linux's test. */
int
md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt)
{
    struct signal_frame frame;
    struct md_user fresh = { 0 };
    uint32_t used = 1;
    bool enabled;

    if ((f->x[2] & 15) != 0 ||
        md_copyin(&frame, f->x[2], sizeof(frame)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    for (size_t i = sizeof(frame.context.fp) - 12;
        i < sizeof(frame.context.fp); i++) {
        if (frame.context.fp.q[i] != 0) {
            return VM_E_ADDRESS;
        }
    }
    memcpy(fresh.bytes, &frame.context.fp, FP_SIZE);
    memcpy(fresh.bytes + FP_SIZE, &used, sizeof(used));
    memcpy(f->x, frame.context.x, sizeof(f->x));
    f->status |= FRAME_ALL;

    /* A switch in between would save the old registers over the new. */
    enabled = md_irq_save();
    *u = fresh;
    md_user_load(u);
    md_irq_restore(enabled);
    *mask = frame.mask;
    *alt = frame.alt;
    return VM_OK;
}

/* li a7, 139 (rt_sigreturn); ecall */
const void *
md_trampoline(size_t *size)
{
    static const uint32_t code[] = { 0x08b00893, 0x00000073 };

    *size = sizeof(code);
    return code;
}
