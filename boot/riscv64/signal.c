/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signal.c - the frame of a signal handler.  Source: Linux's exported
 * headers asm/ucontext.h, asm/sigcontext.h, asm/ptrace.h; rt_sigaction(2).
 *
 * There is no restorer in a riscv sigaction: handlers return to the
 * trampoline, with sp at the frame.
 */
#include "machine.h"

struct signal_head {            /* struct ucontext up to what nobody uses */
    uint64_t flags, link;
    struct md_altstack alt;
    uint64_t mask;
};

/* As in struct md_user: f, fcsr; and where it says that they are used. */
#define FP_SIZE         260u

/* struct rt_sigframe: siginfo_t, struct ucontext, struct sigcontext in it. */
#define AT_INFO         0u
#define INFO_SIZE       128u
#define AT_HEAD         128u
#define AT_X            (128u + 176u)   /* pc, x1 .. x31 */
#define AT_FP           (AT_X + 256u)
#define AT_END          (AT_FP + 512u)  /* the reserved words end in these */
#define SIGNAL_FRAME    (128u + 960u)
_Static_assert(AT_END + 16 == SIGNAL_FRAME, "struct rt_sigframe");

/* Piece by piece, from where it is: what Linux does not write stays. */
int
md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s)
{
    static const uint64_t end[2];
    const struct signal_head head = { .alt = s->alt, .mask = s->mask };
    vaddr_t top = s->stack != 0 ? s->stack : f->x[2];
    vaddr_t sp = (top - SIGNAL_FRAME) & ~(vaddr_t)15;

    md_user_save(u);
    if (md_copyout(sp + AT_INFO, s->info, INFO_SIZE) != VM_OK ||
        md_copyout(sp + AT_HEAD, &head, sizeof(head)) != VM_OK ||
        md_copyout(sp + AT_X, f->x, sizeof(f->x)) != VM_OK ||
        md_copyout(sp + AT_FP, u, FP_SIZE) != VM_OK ||
        md_copyout(sp + AT_END, end, sizeof(end)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->x[0] = s->handler;
    f->x[1] = s->restorer != 0 ? s->restorer : s->trampoline;
    f->x[2] = sp;
    f->x[10] = (uint64_t)s->signo;
    f->x[11] = sp + AT_INFO;
    f->x[12] = sp + AT_HEAD;
    return VM_OK;
}

/* No register of the frame grants a right; reserved bytes are Linux's test. */
int
md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt)
{
    vaddr_t sp = f->x[2];
    struct signal_head head;
    uint64_t end[2];

    if ((sp & 15) != 0 ||
        md_copyin(end, sp + AT_END, sizeof(end)) != VM_OK ||
        end[0] >> 32 != 0 || end[1] != 0 ||
        md_copyin(&head, sp + AT_HEAD, sizeof(head)) != VM_OK ||
        md_copyin(f->x, sp + AT_X, sizeof(f->x)) != VM_OK) {
        return VM_E_ADDRESS;
    }
    f->status |= FRAME_ALL;
    /* Before its first byte: a switch must not save the old over it. */
    user_replace(u);
    if (md_copyin(u, sp + AT_FP, FP_SIZE) != VM_OK) {
        return VM_E_ADDRESS;
    }
    md_user_load(u);
    *mask = head.mask;
    *alt = head.alt;
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
