/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/user.c - registers of user mode beside the frame: x87, SSE and AVX,
 * the bases of FS and GS.
 *
 * With FSGSBASE a program may change its bases without a call, so they are
 * read when it is switched from; without, struct md_user always has them.
 * Selectors of data segments are not kept: they mean nothing here, and a
 * program that loads them may find others later.
 *
 * Source: SDM vol. 1, 10.5 (FXSAVE), 13.4-13.8 (XSAVE), 18.2 for the bases.
 */
#include "user.h"

#include <unix_md.h>

static struct user_area initial __attribute__((aligned(64)));

static struct user_area *
user_area(const struct md_user *u)
{
    return (struct user_area *)(uintptr_t)u;
}

void
user_setup(void)
{
    initial.fx.fcw = 0x37f;
    initial.fx.mxcsr = 0x1f80;
    initial.magic2 = cpu_has.xsave ? USER_MAGIC2 : 0;
    if (cpu_has.xsave) {
        initial.fx.software.magic1 = USER_MAGIC1;
        initial.fx.software.extended_size = USER_XSAVE + 4;
        initial.fx.software.features = cpu_has.xcr0;
        initial.fx.software.xstate_size = USER_XSAVE;
    }
}

void
md_user_init(struct md_user *u)
{
    memcpy(u, &initial, sizeof(initial));
}

void
md_user_save(struct md_user *u)
{
    struct user_area *a = user_area(u);

    if (cpu_has.xsave) {
        __asm__ volatile("xsave64 %0" : "+m"(*a) : "a"(-1), "d"(-1));
    } else {
        __asm__ volatile("fxsave64 %0" : "+m"(*a));
    }
    if (cpu_has.fsgsbase) {
        __asm__ volatile("rdfsbase %0" : "=r"(a->fs));
        a->gs = rdmsr(MSR_KERNEL_GS);
    }
}

void
user_restore(const struct user_area *a)
{
    if (cpu_has.xsave) {
        __asm__ volatile("xrstor64 %0" : : "m"(*a), "a"(-1), "d"(-1));
    } else {
        __asm__ volatile("fxrstor64 %0" : : "m"(*a));
    }
}

void
user_reset(void)
{
    user_restore(&initial);
}

void
md_user_load(const struct md_user *u)
{
    const struct user_area *a = user_area(u);

    user_restore(a);
    if (cpu_has.fsgsbase) {
        __asm__ volatile("wrfsbase %0" : : "r"(a->fs));
    } else {
        wrmsr(MSR_FS_BASE, a->fs);
    }
    wrmsr(MSR_KERNEL_GS, a->gs);
}

const char md_platform[] = "x86_64";

/* AT_HWCAP2 bit 1: the FSGSBASE instructions may be used. */
uint64_t
md_hwcap(unsigned n)
{
    return n == 0 ? cpuid(1, 0).d : cpu_has.fsgsbase ? 2 : 0;
}

#define ARCH_SET_GS     0x1001
#define ARCH_SET_FS     0x1002
#define ARCH_GET_FS     0x1003
#define ARCH_GET_GS     0x1004

/* Bases of the running thread; as arch_prctl(2). */
int64_t
md_arch_prctl(struct md_user *u, int code, uint64_t addr)
{
    struct user_area *a = user_area(u);
    bool fs = code == ARCH_SET_FS || code == ARCH_GET_FS;
    uint64_t base, *kept = fs ? &a->fs : &a->gs;
    uint32_t msr = fs ? MSR_FS_BASE : MSR_KERNEL_GS;

    switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (addr >= MD_USER_END) {
            return -1;                  /* EPERM */
        }
        *kept = addr;
        wrmsr(msr, addr);
        return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
        base = rdmsr(msr);
        return md_copyout(addr, &base, sizeof(base)) == VM_OK ? 0 : -14;
    default:
        return -22;                     /* EINVAL */
    }
}
