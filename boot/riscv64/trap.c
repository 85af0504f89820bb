/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c - what a trap is (Privileged Architecture 20211203, 4.1.8, table
 * 4.2), and the parts of a frame for messages.
 *
 *   interrupt          to its handler; one that came to the kernel ends with
 *                      the preemption that somebody asked for meanwhile
 *   exception          a struct trap, to kern_trap()
 *   frame on trap_stack   the kernel's stack overflowed; see trap.S
 */
#include "machine.h"
#include "thread.h"

_Static_assert(THREAD_STACK_SIZE == 1 << STACK_SHIFT, "STACK_SHIFT");
_Static_assert(VM_E_ADDRESS == ERROR_ADDRESS, "ERROR_ADDRESS");
_Static_assert(VM_E_NOSPACE == ERROR_NOSPACE, "ERROR_NOSPACE");

#define CAUSES          16u
#define CAUSE_INTERRUPT 0x8000000000000000u

static const struct {
    uint8_t kind, access;
} cause_table[CAUSES] = {
    [0] = { TRAP_ALIGN, VM_PROT_EXEC },
    [1] = { TRAP_BUS, VM_PROT_EXEC },
    [2] = { TRAP_ILLEGAL, VM_PROT_NONE },
    [3] = { TRAP_BREAK, VM_PROT_NONE },
    [4] = { TRAP_ALIGN, VM_PROT_READ },
    [5] = { TRAP_BUS, VM_PROT_READ },
    [6] = { TRAP_ALIGN, VM_PROT_WRITE },
    [7] = { TRAP_BUS, VM_PROT_WRITE },
    [8 ... 11] = { TRAP_OTHER, VM_PROT_NONE },
    [12] = { TRAP_FAULT, VM_PROT_EXEC },
    [13] = { TRAP_FAULT, VM_PROT_READ },
    [14] = { TRAP_OTHER, VM_PROT_NONE },
    [15] = { TRAP_FAULT, VM_PROT_WRITE }
};

const char md_arch[] = "riscv64";

static struct trap
trap_decode(uint64_t cause, uint64_t value)
{
    struct trap t = { .kind = TRAP_OTHER, .va = value, .raw = cause };

    if (cause < CAUSES) {
        t.kind = (enum trap_kind)cause_table[cause].kind;
        t.access = cause_table[cause].access;
    }
    return t;
}

static inline void
trap_interrupt(uint64_t cause)
{
    switch (cause & ~CAUSE_INTERRUPT) {
    case IRQ_TIMER:
        timer_interrupt();
        break;
    case IRQ_EXTERNAL:
        intc_interrupt();
        break;
    case IRQ_SOFT:
        CSR_CLEAR(sip, SIE_SOFT);
        kern_interrupt_ipi();
        break;
    default:
        kern_panic("interrupt %#llx", (unsigned long long)cause);
    }
}

void
trap_user(struct md_frame *f, uint64_t cause, uint64_t value)
{
    struct trap t;

    if ((cause & CAUSE_INTERRUPT) != 0) {
        trap_interrupt(cause);
        return;
    }
    md_irq_restore(true);
    if (__builtin_expect(cause < CAUSES &&
            cause_table[cause].kind == TRAP_FAULT, 1)) {
        kern_fault(f, value, cause_table[cause].access, cause);
    } else {
        t = trap_decode(cause, value);
        kern_trap(f, &t);
    }
    (void)md_irq_save();
}

/*
 * The kernel's own access to a user page while SUM is clear, or its fetch
 * from one, is not a matter of what is mapped: resolving the fault would not
 * help.
 */
static bool
trap_is_trespass(const struct md_frame *f, const struct trap *t)
{
    return t->kind == TRAP_FAULT && (int64_t)t->va >= 0 &&
        (t->access == VM_PROT_EXEC || (f->status & SSTATUS_SUM) == 0);
}

void
trap_kernel(struct md_frame *f, uint64_t cause, uint64_t value)
{
    struct thread_head *h = kern_head();
    struct trap t;

    if ((cause & CAUSE_INTERRUPT) != 0 &&
        (char *)(f + 1) != trap_stack + sizeof(trap_stack)) {
        trap_interrupt(cause);
        if (*(volatile uint64_t *)(void *)&h->preempt == 0) {
            kern_preempt_irq();
        }
        return;
    }
    t = trap_decode(cause, value);
    if ((char *)(f + 1) == trap_stack + sizeof(trap_stack)) {
        t.kind = TRAP_STACK;
        kern_trap(f, &t);
        return;
    }
    if (trap_is_trespass(f, &t)) {
        t.kind = TRAP_PRIVILEGED;
    }
    if (t.access == VM_PROT_EXEC &&
        f->x[1] == (uint64_t)(uintptr_t)probe_called) {
        f->x[0] = (uint64_t)(uintptr_t)probe_call;
    }
    md_irq_restore((f->status & SSTATUS_SPIE) != 0);
    kern_trap(f, &t);
    (void)md_irq_save();
}

/*
 * User mode may read time, cycle and instret (4.1.5), as Linux lets it.
 */
void
trap_cpu_init(void)
{
    CSR_WRITE(stvec, (uintptr_t)trap_entry);
    CSR_WRITE(sscratch, 0);
    CSR_WRITE(sie, 0);
    CSR_WRITE(scounteren, 7);
    CSR_CLEAR(sstatus, SSTATUS_SUM);
    CSR_SET(sstatus, SSTATUS_FS);
}

void
md_idle(void)
{
    __asm__ volatile("wfi" : : : "memory");
    md_irq_restore(true);
}

void
md_frame_init(struct md_frame *f, vaddr_t pc, vaddr_t sp)
{
    *f = (struct md_frame){ .status = FRAME_ALL };
    f->x[0] = pc;
    f->x[2] = sp;
}

unsigned
md_frame_registers(const struct md_frame *f,
    struct md_register out[MD_REGISTERS])
{
    static const char name[][7] = {
        "pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",
        "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5",
        "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"
    };
    unsigned n = sizeof(name) / sizeof(name[0]);

    for (unsigned i = 0; i < n; i++) {
        out[i] = (struct md_register){ name[i], f->x[i] };
    }
    out[n++] = (struct md_register){ "status", f->status };
    return n;
}
