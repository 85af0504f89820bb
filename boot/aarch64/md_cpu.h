/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md_cpu.h - the inline half of kern/md.h for VMSAv8-64 (see there).
 *
 * A running thread is TPIDR_EL1, its user frame lies at the top of its
 * kernel stack, SP_EL1 is that top whenever user mode runs.
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D17.2 (system registers), D1.3
 * (exceptions), D11 (generic timer); AAPCS64 (frame records).
 */
#ifndef MD_CPU_H
#define MD_CPU_H

#define MD_DIRECT_BASE  0xffff800000000000u
#define MD_PAGE_SHIFT   12

/* Offsets in struct md_frame, for trap.S. */
#define FRAME_X30       240
#define FRAME_PC        256
#define FRAME_CALL_X0   272
#define MD_FRAME_SIZE   288

/* In struct md_user: q0-q31, FPSR, FPCR, TPIDR_EL0. */
#define USER_FPSR       512
#define USER_TLS        520
#define MD_USER_SIZE    528

#define MD_FP_PREV      0               /* AAPCS64 6.4.6: {x29, x30} */
#define MD_FP_PC        8

/* SPSR_EL1 and DAIF. */
#define PSTATE_USER     0               /* M: EL0t, AArch64 */
#define PSTATE_M        0xfu
#define PSTATE_I        (1u << 7)
#define PSTATE_PAN      (1u << 22)

#define USER_BITS       48              /* no program has more addresses */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct md_frame {
    uint64_t x[31];
    uint64_t sp, pc, pstate;
    uint64_t call_x0;           /* x0 as a system call found it */
    uint64_t esr;               /* of the last trap that was none */
};
_Static_assert(sizeof(struct md_frame) == MD_FRAME_SIZE &&
    __builtin_offsetof(struct md_frame, x[30]) == FRAME_X30 &&
    __builtin_offsetof(struct md_frame, pc) == FRAME_PC &&
    __builtin_offsetof(struct md_frame, call_x0) == FRAME_CALL_X0, "trap.S");

struct md_user;
struct thread;

static inline struct thread *
md_current(void)
{
    struct thread *t;

    __asm__("mrs %0, tpidr_el1" : "=r"(t));
    return t;
}

static inline bool
md_irq_enabled(void)
{
    uint64_t daif;

    __asm__ volatile("mrs %0, daif" : "=r"(daif));
    return (daif & PSTATE_I) == 0;
}

static inline bool
md_irq_save(void)
{
    bool enabled = md_irq_enabled();

    __asm__ volatile("msr daifset, #2" : : : "memory");
    return enabled;
}

static inline void
md_irq_restore(bool enabled)
{
    if (enabled) {
        __asm__ volatile("msr daifclr, #2" : : : "memory");
    }
}

/* Invalidations are broadcast by hardware: there is nothing to serve. */
static inline void
md_relax(void)
{
    __asm__ volatile("yield" : : : "memory");
}

/* D11.2: without ISB the counter may be read early. */
static inline uint64_t
md_ticks(void)
{
    uint64_t ticks;

    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    return ticks;
}

static inline uint64_t
md_fp(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

static inline uint64_t
md_frame_pc(const struct md_frame *f)
{
    return f->pc;
}

static inline uint64_t
md_frame_sp(const struct md_frame *f)
{
    return f->sp;
}

static inline uint64_t
md_frame_fp(const struct md_frame *f)
{
    return f->x[29];
}

static inline void
md_frame_set_pc(struct md_frame *f, uint64_t pc)
{
    f->pc = pc;
}

static inline void
md_frame_set_sp(struct md_frame *f, uint64_t sp)
{
    f->sp = sp;
}

static inline bool
md_frame_is_user(const struct md_frame *f)
{
    return (f->pstate & PSTATE_M) == PSTATE_USER;
}

static inline uint64_t
md_frame_call(const struct md_frame *f)
{
    return f->x[8];
}

static inline const uint64_t *
md_frame_args(const struct md_frame *f)
{
    return f->x;
}

static inline void
md_frame_set_result(struct md_frame *f, uint64_t v)
{
    f->x[0] = v;
}

static inline void
md_frame_restart(struct md_frame *f)
{
    f->x[0] = f->call_x0;
    f->pc -= 4;
}

/* page.S, see kern.h. */
#define MD_PAGE_CLEAR   1
#define MD_PAGE_COPY    1
void *md_page_clear(void *p, __SIZE_TYPE__ n);
void md_page_copy(void *to, const void *from, __SIZE_TYPE__ n);

static inline bool
md_tls_ok(uint64_t v)
{
    (void)v;
    return true;
}

static inline void
md_frame_set_tls(struct md_frame *f, struct md_user *u, uint64_t v)
{
    (void)f;
    *(uint64_t *)(void *)((char *)u + USER_TLS) = v;
}
#endif

#endif
