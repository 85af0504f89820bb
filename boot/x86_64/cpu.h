/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/cpu.h - instructions, the structure of each CPU, and what the files
 * of this directory call of each other.
 *
 * SDM: Intel SDM (325462-075), volume 3A unless another is named.
 */
#ifndef CPU_H
#define CPU_H

#include "boot.h"
#include "md.h"
#include "thread_head.h"

/* SDM 7.7, figure 7-11. */
struct cpu_tss {
    uint32_t reserved0;
    uint64_t rsp0, rsp1, rsp2, reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap;
} __attribute__((packed));

#define CPU_GDT         9u
struct md_cpu {
    struct thread_head *current;
    uint64_t scratch;                   /* user's rsp, in syscall entry */
    _Atomic uint64_t calls;             /* bit: that CPU wants a call */
    struct cpu_tss tss;
    uint32_t apic_id;
    uint64_t gdt[CPU_GDT];
} __attribute__((packed, aligned(64)));
_Static_assert(offsetof(struct md_cpu, current) == CPU_CURRENT, "current");
_Static_assert(offsetof(struct md_cpu, scratch) == CPU_SCRATCH, "scratch");
_Static_assert(offsetof(struct md_cpu, calls) == CPU_CALLS, "calls");
_Static_assert(offsetof(struct md_cpu, tss.rsp0) == CPU_KSTACK, "rsp0");

/* Stacks of what may come at any instruction, or without a stack. */
#define CPU_IST_SIZE    8192u
enum cpu_ist { IST_DOUBLE = 1, IST_NMI, IST_MACHINE };

/* Vectors: 0-31 the processor's, 32-47 the masked PIC's. */
#define VECTOR_PIC      0x20u
#define VECTOR_CONSOLE  0x34u
#define VECTOR_TIMER    0x40u
#define VECTOR_IPI      0xf0u
#define VECTOR_CALL     0xf1u
#define VECTOR_SPURIOUS 0xffu

/* SDM vol. 4, table 2-2. */
#define MSR_APIC_BASE   0x1bu
#define MSR_EFER        0xc0000080u
#define MSR_STAR        0xc0000081u
#define MSR_LSTAR       0xc0000082u
#define MSR_FMASK       0xc0000084u
#define MSR_FS_BASE     0xc0000100u
#define MSR_GS_BASE     0xc0000101u
#define MSR_KERNEL_GS   0xc0000102u

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
        : "a"(leaf), "c"(sub));
    return r;
}

static inline uint64_t
rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void
wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v),
        "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint8_t
inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline void
outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

#define READ_CR(n, v)   __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v))
#define WRITE_CR(n, v) \
    __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory")

/* What the processor can do beyond x86-64-v1, decided once (setup.c). */
struct cpu_features {
    bool xsave, fsgsbase, smap;
    uint64_t xcr0;
};
extern struct cpu_features cpu_has;

/* setup.c: descriptor tables, control registers, MSRs of the boot CPU. */
void cpu_init_boot(void);
extern struct md_cpu *cpu_of[VM_MAX_CPUS];      /* NULL: not started */

/* acpi.c: CPUs and interrupt controllers, from the tables' root. */
void acpi_read(struct boot_info *b, paddr_t rsdp);

/* intc.c */
extern paddr_t intc_ioapic;             /* 0: there is none */
extern uint32_t intc_console_pin;
extern bool intc_console_level, intc_console_low;
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t v);
uint32_t lapic_id(void);
void lapic_send(uint32_t apic_id, unsigned vector);
void lapic_eoi(void);
void intc_early(void);
void intc_init(void);
#define LAPIC_TIMER     0x320u          /* SDM table 10-1 */
#define LAPIC_INITIAL   0x380u
#define LAPIC_CURRENT   0x390u
#define LAPIC_DIVIDE    0x3e0u

/* timer.c, console.c, user.c */
void timer_init(void);
void timer_interrupt(void);
void console_init(void);
void user_setup(void);

/* trap.S, usercopy.S */
extern char trap_vectors[], trap_syscall[], usercopy_call[],
    usercopy_called[];

#endif
