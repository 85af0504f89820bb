/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/md_cpu.h - this machine's half of kern/md.h (see there).
 *
 * In the kernel GS_BASE is the CPU's struct md_cpu, whose first word is the
 * running thread.  The frame is what `syscall` and the interrupt gates save
 * in common; the six arguments of a call stand in order.  FRAME_SYSCALL as
 * its vector says that all other changes went through the functions below,
 * so that the way out may be the short one: whoever changes more than the
 * result clears it.
 */
#ifndef MD_CPU_H
#define MD_CPU_H

#define MD_DIRECT_BASE  0xffff800000000000
#define MD_PAGE_SHIFT   12
#define MD_USER_END     0x00007fffffff0000      /* pte.h: user_end */

/* Offsets in struct md_cpu (cpu.h), below GS_BASE. */
#define CPU_CURRENT     0
#define CPU_SCRATCH     8
#define CPU_CALLS       16
#define CPU_KSTACK      28      /* TSS.RSP0 */

/* Offsets in struct md_frame. */
#define FRAME_RBP       32
#define FRAME_RCX       56
#define FRAME_R11       48
#define FRAME_RAX       64
#define FRAME_RDI       72
#define FRAME_RSI       80
#define FRAME_RDX       88
#define FRAME_R10       96
#define FRAME_R8        104
#define FRAME_R9        112
#define FRAME_VECTOR    120
#define FRAME_RIP       136
#define FRAME_CS        144
#define FRAME_RFLAGS    152
#define FRAME_RSP       160
#define MD_FRAME_SIZE   176
#define FRAME_SYSCALL   0x100   /* beyond the vectors */

/* Selectors, in the order that SYSCALL and SYSRET want (SDM 5.8.8). */
#define SEL_KERNEL_CS   0x10
#define SEL_KERNEL_DS   0x18
#define SEL_SYSRET      0x23
#define SEL_USER_DS     0x2b
#define SEL_USER_CS     0x33
#define SEL_TSS         0x38

#define RFLAGS_ONE      0x2
#define RFLAGS_TF       0x100
#define RFLAGS_IF       0x200
#define RFLAGS_DF       0x400
#define RFLAGS_AC       0x40000

/*
 * struct md_user: FXSAVE or XSAVE area (SDM vol. 1, 13.4: x87, SSE and AVX
 * end at byte 832), the word that Linux has behind it in a signal frame,
 * bases of FS and GS.
 */
#define USER_XSAVE      832
#define USER_FS         840
#define USER_GS         848
#define MD_USER_SIZE    896

#define MD_FP_PREV      0
#define MD_FP_PC        8

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct thread;
struct md_user;

struct md_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, rcx, rax;
    uint64_t args[6];           /* rdi rsi rdx r10 r8 r9 */
    uint64_t vector;            /* or FRAME_SYSCALL */
    uint64_t error;             /* error code; number of the call */
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct md_frame) == MD_FRAME_SIZE, "frame");

static inline struct thread *
md_current(void)
{
    struct thread *t;

    __asm__("movq %%gs:0, %0" : "=r"(t));
    return t;
}

static inline bool
md_irq_enabled(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
    return (flags & RFLAGS_IF) != 0;
}

static inline bool
md_irq_save(void)
{
    bool enabled = md_irq_enabled();

    __asm__ volatile("cli" : : : "memory");
    return enabled;
}

static inline void
md_irq_restore(bool enabled)
{
    if (enabled) {
        __asm__ volatile("sti" : : : "memory");
    }
}

/* Calls of other CPUs wait for this one (smp.c). */
void smp_serve(void);

static inline void
md_relax(void)
{
    uint64_t calls;

    __asm__ volatile("pause; movq %%gs:%c1, %0" : "=r"(calls)
        : "i"(CPU_CALLS) : "memory");
    if (__builtin_expect(calls != 0, 0)) {
        smp_serve();
    }
}

static inline uint64_t
md_ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* One instruction for each word here, two in C. */
#define MD_WORDS
static inline void *
md_words_set(void *to, uint64_t word, uint64_t n)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(word) :
        "memory");
    return to;
}

static inline void *
md_words_copy(void *to, const void **from, uint64_t n)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(*from), "+c"(n) : :
        "memory");
    return to;
}

#define MD_PAGE_CLEAR
static inline void *
md_page_clear(void *p, uint64_t n)
{
    (void)md_words_set(p, 0, n / 8);
    return p;
}

#define MD_PAGE_COPY
static inline void
md_page_copy(void *to, const void *from, uint64_t n)
{
    (void)md_words_copy(to, &from, n / 8);
}

static inline uint64_t
md_fp(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

static inline uint64_t
md_frame_pc(const struct md_frame *f)
{
    return f->rip;
}

static inline uint64_t
md_frame_sp(const struct md_frame *f)
{
    return f->rsp;
}

static inline uint64_t
md_frame_fp(const struct md_frame *f)
{
    return f->rbp;
}

static inline bool
md_frame_is_user(const struct md_frame *f)
{
    return (f->cs & 3) != 0;
}

/*
 * IRET to a non-canonical address faults in the kernel.  The program gets its
 * fault instead, at one that is never mapped.
 */
static inline void
md_frame_set_pc(struct md_frame *f, uint64_t pc)
{
    bool canonical = (uint64_t)((int64_t)(pc << 16) >> 16) == pc;

    f->rip = canonical ? pc : MD_USER_END;
    f->vector = 0;
}

static inline void
md_frame_set_sp(struct md_frame *f, uint64_t sp)
{
    f->rsp = sp;
    f->vector = 0;
}

static inline uint64_t
md_frame_call(const struct md_frame *f)
{
    return f->error;
}

static inline const uint64_t *
md_frame_args(const struct md_frame *f)
{
    return f->args;
}

static inline void
md_frame_set_result(struct md_frame *f, uint64_t v)
{
    f->rax = v;
}

/* `syscall` has two bytes. */
static inline void
md_frame_restart(struct md_frame *f)
{
    f->rax = f->error;
    f->rip -= 2;
}

/* WRFSBASE and WRMSR fault on what is not canonical. */
static inline bool
md_tls_ok(uint64_t v)
{
    return v < MD_USER_END;
}

static inline void
md_frame_set_tls(struct md_frame *f, struct md_user *u, uint64_t v)
{
    (void)f;
    *(uint64_t *)(void *)((char *)u + USER_FS) = v;
}
#endif

#endif
