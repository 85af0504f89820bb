/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/trap.c - exceptions and interrupts, decoded.
 *
 * Source: SDM 6.15 "Exception and interrupt reference", 4.7 "Page-fault
 * exceptions" for the error code.
 *
 * The kernel's stack overflows into an unmapped page: the page fault cannot
 * be pushed there, which makes a double fault, on its own stack, with both
 * CR2 and rsp near that page.
 */
#include "cpu.h"
#include "kern.h"

#define PF_PRESENT      (1u << 0)
#define PF_WRITE        (1u << 1)
#define PF_RESERVED     (1u << 3)
#define PF_FETCH        (1u << 4)

enum exception {
    EX_DIVIDE = 0, EX_DEBUG = 1, EX_NMI = 2, EX_BREAK = 3, EX_OVERFLOW = 4,
    EX_BOUND = 5, EX_INVALID = 6, EX_DOUBLE = 8, EX_SEGMENT = 11,
    EX_STACK = 12, EX_PROTECTION = 13, EX_PAGE = 14, EX_FLOAT = 16,
    EX_ALIGN = 17, EX_MACHINE = 18, EX_SIMD = 19
};

/* FPE_* of Linux (siginfo.h) for the exception bits of x87 and SSE. */
static int
trap_float_code(unsigned pending)
{
    static const uint8_t code[] = {
        7 /* invalid */, 5 /* denormal: underflow */, 3 /* divide */,
        4 /* overflow */, 5 /* underflow */, 6 /* inexact */
    };

    for (unsigned i = 0; i < sizeof(code); i++) {
        if (pending & (1u << i)) {
            return code[i];
        }
    }
    return 0;
}

static int
trap_float(uint64_t vector)
{
    uint32_t mxcsr;
    uint16_t status, control;

    if (vector == EX_SIMD) {
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        return trap_float_code(mxcsr & ~(mxcsr >> 7));
    }
    __asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(status), "=m"(control));
    return trap_float_code(status & ~(unsigned)control);
}

/*
 * md_probe() calls any address.  If there is nothing to execute, undo the
 * call: it has faulted, and has a .fixup entry.
 */
static void
trap_probe(struct md_frame *f)
{
    if (!md_frame_is_user(f) &&
        f->rip - (uintptr_t)kern_image_start >=
            (uintptr_t)(kern_text_end - kern_image_start) &&
        *(uint64_t *)(uintptr_t)f->rsp == (uintptr_t)usercopy_called) {
        f->rip = (uintptr_t)usercopy_call;
        f->rsp += 8;
    }
}

/* A page that SMAP or SMEP keeps from the kernel is no page to be made. */
static void
trap_page_kernel(struct md_frame *f, struct trap *t)
{
    if (t->va < MD_USER_END && (t->access == VM_PROT_EXEC ||
        (cpu_has.smap && (f->rflags & RFLAGS_AC) == 0))) {
        t->kind = TRAP_PRIVILEGED;
    }
    if (t->access == VM_PROT_EXEC) {
        trap_probe(f);
    }
}

static void
trap_enable(const struct md_frame *f)
{
    if (f->rflags & RFLAGS_IF) {
        __asm__ volatile("sti" : : : "memory");
    }
}

/*
 * RSVD says that no entry could be meant; under TCG, P is not set with it.
 */
static void
trap_page(struct md_frame *f)
{
    struct trap t;
    vaddr_t va;
    vm_prot_t access = f->error & PF_WRITE ? VM_PROT_WRITE :
        f->error & PF_FETCH ? VM_PROT_EXEC : VM_PROT_READ;

    READ_CR(2, va);
    if (__builtin_expect((f->error & PF_RESERVED) == 0 &&
            md_frame_is_user(f), 1)) {
        trap_enable(f);
        kern_fault(f, va, access, f->error);
        return;
    }
    t = (struct trap){ .kind = TRAP_FAULT, .raw = f->error, .va = va,
        .access = access };
    if (__builtin_expect((f->error & PF_RESERVED) != 0, 0)) {
        t.kind = TRAP_OTHER;
    } else if (!md_frame_is_user(f)) {
        trap_page_kernel(f, &t);
    }
    trap_enable(f);
    kern_trap(f, &t);
}

static void
trap_double(const struct md_frame *f, struct trap *t)
{
    const uint64_t page = (uint64_t)1 << MD_PAGE_SHIFT;

    READ_CR(2, t->va);
    t->kind = t->va + page - f->rsp < 2 * page ? TRAP_STACK : TRAP_OTHER;
    t->access = VM_PROT_WRITE;
}

static void
trap_other(struct md_frame *f)
{
    struct trap t = { .kind = TRAP_OTHER, .raw = f->error };

    switch (f->vector) {
    case EX_DIVIDE:
        t.kind = TRAP_DIVIDE;
        t.code = 1;                     /* FPE_INTDIV */
        break;
    case EX_DEBUG:
        /* DR6 is sticky; only single steps come here (6.15). */
        __asm__ volatile("mov %0, %%db6" : : "r"(0xffff0ff0ul));
        t.kind = TRAP_STEP;
        break;
    case EX_BREAK:
        t.kind = TRAP_BREAK;
        break;
    case EX_OVERFLOW:
    case EX_BOUND:
        t.kind = TRAP_OVERFLOW;
        break;
    case EX_INVALID:
        t.kind = TRAP_ILLEGAL;
        break;
    case EX_SEGMENT:
    case EX_STACK:
        t.kind = TRAP_BUS;              /* as Linux sees it */
        break;
    case EX_PROTECTION:
        t.kind = TRAP_PRIVILEGED;
        trap_probe(f);
        break;
    case EX_FLOAT:
    case EX_SIMD:
        t.kind = TRAP_FLOAT;
        t.code = trap_float(f->vector);
        break;
    case EX_ALIGN:
        t.kind = TRAP_ALIGN;
        break;
    case EX_DOUBLE:
        trap_double(f, &t);
        break;
    default:
        t.raw |= f->vector << 32;
        break;
    }
    /*
     * Nothing sends an NMI or survives a machine check.  Both came on stacks
     * of their own, which do not bear another of their kind, nor a switch:
     * they are no fault of a program's.
     */
    if (f->vector == EX_NMI || f->vector == EX_MACHINE) {
        kern_panic_frame(f, "%s", f->vector == EX_NMI ?
            "non-maskable interrupt" : "machine check");
    }
    if (f->vector != EX_DOUBLE) {
        trap_enable(f);
    }
    kern_trap(f, &t);
}

void trap_exception(struct md_frame *f);
void
trap_exception(struct md_frame *f)
{
    if (__builtin_expect(f->vector == EX_PAGE, 1)) {
        trap_page(f);
    } else {
        trap_other(f);
    }
}

void trap_interrupt(struct md_frame *f);
void
trap_interrupt(struct md_frame *f)
{
    switch (f->vector) {
    case VECTOR_TIMER:
        lapic_eoi();
        timer_interrupt();
        break;
    case VECTOR_CONSOLE:
        kern_interrupt_console();
        lapic_eoi();
        break;
    case VECTOR_CALL:
        lapic_eoi();
        smp_serve();
        break;
    case VECTOR_IPI:
        lapic_eoi();
        kern_interrupt_ipi();
        break;
    default:
        /* Spurious ones of the APIC (SDM 10.9) and of the PIC want no EOI. */
        break;
    }
}

const char md_arch[] = "x86_64";

void
md_frame_init(struct md_frame *f, vaddr_t pc, vaddr_t sp)
{
    memset(f, 0, sizeof(*f));
    f->cs = SEL_USER_CS;
    f->ss = SEL_USER_DS;
    f->rflags = RFLAGS_IF | RFLAGS_ONE;
    md_frame_set_pc(f, pc);
    md_frame_set_sp(f, sp);
}

unsigned
md_frame_registers(const struct md_frame *f,
    struct md_register out[MD_REGISTERS])
{
    uint64_t cr2, cr3;
    unsigned n = 0;

    READ_CR(2, cr2);
    READ_CR(3, cr3);
    const struct md_register r[] = {
        { "rax", f->rax }, { "rbx", f->rbx }, { "rcx", f->rcx },
        { "rdx", f->args[2] }, { "rsi", f->args[1] }, { "rdi", f->args[0] },
        { "rbp", f->rbp }, { "rsp", f->rsp }, { "r8", f->args[4] },
        { "r9", f->args[5] }, { "r10", f->args[3] }, { "r11", f->r11 },
        { "r12", f->r12 }, { "r13", f->r13 }, { "r14", f->r14 },
        { "r15", f->r15 }, { "rip", f->rip }, { "rflags", f->rflags },
        { "cs", f->cs }, { "ss", f->ss }, { "vector", f->vector },
        { "error", f->error }, { "cr2", cr2 }, { "cr3", cr3 }
    };

    _Static_assert(sizeof(r) / sizeof(r[0]) <= MD_REGISTERS, "registers");
    for (; n < sizeof(r) / sizeof(r[0]); n++) {
        out[n] = r[n];
    }
    return n;
}
