/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/setup.c - a processor is made ready: descriptor tables, control
 * registers, MSRs, and the code that depends on what it can do.
 *
 * Source: SDM 2.5 (control registers), 3.4.5 and 7.2.3 (descriptors), 6.14.1
 * (gates), 5.8.8 (SYSCALL); vol. 2, CPUID.
 */
#include "cpu.h"

#define CR0_MP          (1ull << 1)
#define CR0_EM          (1ull << 2)
#define CR0_TS          (1ull << 3)
#define CR0_NE          (1ull << 5)
#define CR0_AM          (1ull << 18)
#define CR4_OSFXSR      (1ull << 9)
#define CR4_OSXMMEXCPT  (1ull << 10)
#define CR4_UMIP        (1ull << 11)
#define CR4_FSGSBASE    (1ull << 16)
#define CR4_OSXSAVE     (1ull << 18)
#define CR4_SMAP        (1ull << 21)
#define CPUID1C_XSAVE   (1u << 26)
#define CPUID1C_AVX     (1u << 28)
#define CPUID7B_FSGSBASE (1u << 0)
#define CPUID7B_SMAP    (1u << 20)
#define CPUID7C_UMIP    (1u << 2)
#define XCR0_X87_SSE    3u
#define XCR0_AVX        4u

#define FMASK           0x47700u        /* AC NT IOPL DF IF TF */
#define GATE_INTERRUPT  0x8eull         /* present, DPL 0 */
#define GATE_USER       0xeeull         /* DPL 3 */

struct idt_gate {
    uint64_t low, high;
};
struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct cpu_features cpu_has;
struct md_cpu *cpu_of[VM_MAX_CPUS];
static struct md_cpu boot_cpu;
static uint8_t boot_ist[3][CPU_IST_SIZE] __attribute__((aligned(16)));
static struct idt_gate idt[256];

extern const int32_t smap_patch_start[], smap_patch_end[];

static void
load_segments(struct md_cpu *c)
{
    uint64_t tss = (uint64_t)(uintptr_t)&c->tss;
    struct table_register r = {
        sizeof(c->gdt) - 1, (uint64_t)(uintptr_t)c->gdt
    };

    c->gdt[SEL_KERNEL_CS / 8] = 0x00af9b000000ffff;
    c->gdt[SEL_KERNEL_DS / 8] = 0x00cf93000000ffff;
    c->gdt[SEL_USER_DS / 8] = 0x00cff3000000ffff;
    c->gdt[SEL_USER_CS / 8] = 0x00affb000000ffff;
    c->gdt[SEL_TSS / 8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 |
        0x89ull << 40 | (tss >> 24 & 0xff) << 56;
    c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
    c->tss.iomap = sizeof(c->tss);
    __asm__ volatile("lgdt %0; ltr %w1" : : "m"(r), "r"(SEL_TSS) : "memory");
}

/* trap.S finds the struct md_cpu where an IST stack begins. */
static uint64_t
ist_make(struct md_cpu *c, uint8_t *stack)
{
    struct md_cpu **top = (void *)(stack + CPU_IST_SIZE - 16);

    *top = c;
    return (uint64_t)(uintptr_t)top;
}

static void
load_idt(void)
{
    struct table_register r = {
        sizeof(idt) - 1, (uint64_t)(uintptr_t)idt
    };

    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (uint64_t)(uintptr_t)trap_vectors + v * 16;
        uint64_t type = v == 3 || v == 4 ? GATE_USER : GATE_INTERRUPT;
        uint64_t ist = v == 8 ? IST_DOUBLE : v == 2 ? IST_NMI :
            v == 18 ? IST_MACHINE : 0;

        idt[v].low = (at & 0xffff) | SEL_KERNEL_CS << 16 | ist << 32 |
            type << 40 | (at >> 16 & 0xffff) << 48;
        idt[v].high = at >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(r) : "memory");
}

/* While the image is still writable: no STAC and CLAC where they trap. */
static void
patch_smap(void)
{
    for (const int32_t *p = smap_patch_start; p < smap_patch_end; p++) {
        uint8_t *at = (uint8_t *)(uintptr_t)p + *p;

        at[0] = 0x0f;                   /* NOP with a ModRM byte */
        at[1] = 0x1f;
        at[2] = 0x00;
    }
}

static void
cpu_registers(void)
{
    struct cpuid c1 = cpuid(1, 0), c7 = { 0, 0, 0, 0 };
    uint64_t cr0, cr4;

    if (cpuid(0, 0).a >= 7) {
        c7 = cpuid(7, 0);
    }
    cpu_has.xsave = (c1.c & CPUID1C_XSAVE) != 0;
    cpu_has.fsgsbase = (c7.b & CPUID7B_FSGSBASE) != 0;
    cpu_has.smap = (c7.b & CPUID7B_SMAP) != 0;
    READ_CR(0, cr0);
    WRITE_CR(0, (cr0 & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_AM);
    READ_CR(4, cr4);
    WRITE_CR(4, cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT |
        (cpu_has.xsave ? CR4_OSXSAVE : 0) |
        (cpu_has.fsgsbase ? CR4_FSGSBASE : 0) |
        (cpu_has.smap ? CR4_SMAP : 0) |
        (c7.c & CPUID7C_UMIP ? CR4_UMIP : 0));
    if (cpu_has.xsave) {
        cpu_has.xcr0 = XCR0_X87_SSE | (c1.c & CPUID1C_AVX ? XCR0_AVX : 0);
        __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)cpu_has.xcr0),
            "d"(0));
    }
    wrmsr(MSR_STAR, (uint64_t)SEL_SYSRET << 48 |
        (uint64_t)SEL_KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (uint64_t)(uintptr_t)trap_syscall);
    wrmsr(MSR_FMASK, FMASK);
}

void
cpu_init_boot(void)
{
    struct md_cpu *c = &boot_cpu;

    cpu_of[0] = c;
    c->tss.ist[IST_DOUBLE - 1] = ist_make(c, boot_ist[0]);
    c->tss.ist[IST_NMI - 1] = ist_make(c, boot_ist[1]);
    c->tss.ist[IST_MACHINE - 1] = ist_make(c, boot_ist[2]);
    load_segments(c);
    load_idt();
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)c);
    wrmsr(MSR_KERNEL_GS, 0);
    cpu_registers();
    if (!cpu_has.smap) {
        patch_smap();
    }
}
