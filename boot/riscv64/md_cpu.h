/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64/md_cpu.h - the inline half of kern/md.h, and the layout of a frame
 * for the assembly.
 *
 * Conventions in the kernel: tp is the current thread, sscratch is 0; in user
 * mode sscratch is the current thread.  gp is the user's and never used.
 * Sections are of the Privileged Architecture 20211203.
 */
#ifndef MD_CPU_H
#define MD_CPU_H

/* The first kernel address of Sv39, so of Sv48 and Sv57 too (4.4.1). */
#define MD_DIRECT_BASE  0xffffffc000000000
#define MD_PAGE_SHIFT   12

/*
 * Slot n of a frame is register xn, slot 0 the pc: then the first 32 are
 * Linux's struct user_regs_struct.
 */
#define FRAME_PC        0
#define FRAME_RA        (8 * 1)
#define FRAME_SP        (8 * 2)
#define FRAME_TP        (8 * 4)
#define FRAME_T0        (8 * 5)
#define FRAME_A0        (8 * 10)
#define FRAME_STATUS    (8 * 32)
#define FRAME_CALL_A0   (8 * 33)
#define MD_FRAME_SIZE   272

#define SSTATUS_SIE     0x2             /* 4.1.1 */
#define SSTATUS_SPIE    0x20
#define SSTATUS_SPP     0x100
#define SSTATUS_FS      0x6000
#define SSTATUS_SUM     0x40000
/*
 * Ours, in the frame only (bit 0 is reserved): a return from a system call
 * loads s1 to s11 too, which the kernel's functions else have preserved.
 */
#define FRAME_ALL       0x1

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/* f0 to f31, fcsr, and whether they were ever used. */
#define MD_USER_SIZE    264

struct thread;
struct md_user;

struct md_frame {
    uint64_t x[32];             /* x[0]: pc */
    uint64_t status;            /* sstatus */
    uint64_t call_a0;           /* a0 as the system call found it */
};
_Static_assert(sizeof(struct md_frame) == MD_FRAME_SIZE, "MD_FRAME_SIZE");

static inline struct thread *
md_current(void)
{
    return __builtin_thread_pointer();
}

static inline bool
md_irq_save(void)
{
    uint64_t old;

    __asm__ volatile("csrrci %0, sstatus, %1"
        : "=r"(old) : "i"(SSTATUS_SIE) : "memory");
    return (old & SSTATUS_SIE) != 0;
}

static inline void
md_irq_restore(bool enabled)
{
    if (enabled) {
        __asm__ volatile("csrsi sstatus, %0"
            : : "i"(SSTATUS_SIE) : "memory");
    }
}

static inline bool
md_irq_enabled(void)
{
    uint64_t now;

    __asm__ volatile("csrr %0, sstatus" : "=r"(now) : : "memory");
    return (now & SSTATUS_SIE) != 0;
}

/*
 * Zihintpause's PAUSE, a hint everywhere.  Remote fences are served by the
 * firmware in machine mode, which this mode cannot mask.
 */
static inline void
md_relax(void)
{
    __asm__ volatile(".4byte 0x0100000f" : : : "memory");
}

static inline uint64_t
md_ticks(void)
{
    uint64_t now;

    __asm__ volatile("rdtime %0" : "=r"(now));
    return now;
}

/* As many words a turn as an immediate reaches (page.S). */
#define MD_PAGE_CLEAR
#define MD_PAGE_COPY
void *md_page_clear(void *p, uint64_t n);
void md_page_copy(void *to, const void *from, uint64_t n);

/* The psABI's frame record lies below what s0 points to. */
#define MD_FP_PREV      (-16)
#define MD_FP_PC        (-8)

static inline __attribute__((always_inline)) uint64_t
md_fp(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

static inline uint64_t
md_frame_pc(const struct md_frame *f)
{
    return f->x[0];
}

static inline uint64_t
md_frame_sp(const struct md_frame *f)
{
    return f->x[2];
}

static inline uint64_t
md_frame_fp(const struct md_frame *f)
{
    return f->x[8];
}

static inline void
md_frame_set_pc(struct md_frame *f, uint64_t pc)
{
    f->x[0] = pc;
}

static inline void
md_frame_set_sp(struct md_frame *f, uint64_t sp)
{
    f->x[2] = sp;
}

static inline bool
md_frame_is_user(const struct md_frame *f)
{
    return (f->status & SSTATUS_SPP) == 0;
}

static inline uint64_t
md_frame_call(const struct md_frame *f)
{
    return f->x[17];
}

static inline const uint64_t *
md_frame_args(const struct md_frame *f)
{
    return &f->x[10];
}

static inline void
md_frame_set_result(struct md_frame *f, uint64_t v)
{
    f->x[10] = v;
}

/* ECALL has no short form: it is 4 bytes. */
static inline void
md_frame_restart(struct md_frame *f)
{
    f->x[10] = f->call_a0;
    f->x[0] -= 4;
}

static inline bool
md_tls_ok(uint64_t v)
{
    (void)v;
    return true;
}

static inline void
md_frame_set_tls(struct md_frame *f, struct md_user *u, uint64_t v)
{
    (void)u;
    f->x[4] = v;
}

/* For the personality's riscv_flush_icache: on all CPUs. */
void md_flush_icache(void);
#endif

#endif
