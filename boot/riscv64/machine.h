/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what the files of this port share.
 *
 * SBI: RISC-V Supervisor Binary Interface Specification 1.0.
 */
#ifndef MACHINE_H
#define MACHINE_H

#define STACK_SHIFT             14      /* of THREAD_STACK_SIZE */
#define EMERGENCY_SHIFT         13      /* of trap_stack's size */
#define ERROR_ADDRESS           2       /* VM_E_ADDRESS */
#define ERROR_NOSPACE           5       /* VM_E_NOSPACE */
#define SMP_HART                0       /* struct smp_start */
#define SMP_IDLE                8
#define SMP_SIZE                16
#define SMP_CPUS                63      /* VM_MAX_CPUS */

#ifndef __ASSEMBLER__
#include "boot.h"
#include "md.h"

#define CSR_SET(csr, bits) \
    __asm__ volatile("csrs " #csr ", %0" : : "r"((uint64_t)(bits)) : "memory")
#define CSR_CLEAR(csr, bits) \
    __asm__ volatile("csrc " #csr ", %0" : : "r"((uint64_t)(bits)) : "memory")
#define CSR_WRITE(csr, value) \
    __asm__ volatile("csrw " #csr ", %0" : : "r"((uint64_t)(value)) : "memory")
#define CSR_READ(csr, value) \
    __asm__ volatile("csrr %0, " #csr : "=r"(value) : : "memory")

#define IRQ_SOFT                1u              /* 4.1.8, table 4.2 */
#define IRQ_TIMER               5u
#define IRQ_EXTERNAL            9u
#define SIE_SOFT                (1u << IRQ_SOFT)        /* 4.1.3 */
#define SIE_TIMER               (1u << IRQ_TIMER)
#define SIE_EXTERNAL            (1u << IRQ_EXTERNAL)

/* Extensions of the SBI, and their functions. */
enum {
    SBI_PUTCHAR = 0x01, SBI_GETCHAR = 0x02,     /* 5.2, 5.3: no functions */
    SBI_TIME = 0x54494d45,                      /* 6: 0 set_timer */
    SBI_IPI = 0x735049,                         /* 7: 0 send_ipi */
    SBI_HSM = 0x48534d,                         /* 9: 0 hart_start */
    SBI_SRST = 0x53525354                       /* 10: 0 system_reset */
};

/* The error (0: none), or the value of the extensions below 0x10. */
static inline int64_t
sbi_call(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1,
    uint64_t arg2)
{
    register uint64_t a0 __asm__("a0") = arg0;
    register uint64_t a1 __asm__("a1") = arg1;
    register uint64_t a2 __asm__("a2") = arg2;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1)
        : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (int64_t)a0;
}

/*
 * From start.S, on the boot thread's stack, under the first tables; which
 * hart runs, and where the device tree and the image are.
 */
_Noreturn void md_boot(uint64_t hart, paddr_t fdt, paddr_t image);
extern char boot_stack[1 << STACK_SHIFT];

/* Which hart is which CPU, and once it shall start, its idle thread. */
struct smp_start {
    uint64_t hart;
    struct thread *_Atomic idle;
};
extern struct smp_start smp_start[SMP_CPUS];
extern uint64_t smp_satp;
_Noreturn void smp_main(void);

/*
 * A device's node, its registers mapped: the first that is compatible, or
 * NULL.  While md_boot() runs.
 */
void *boot_find(const void *fdt, const char *compatible, struct fdt_node *n);
/* Each before boot_tables(), for md_devices_init() and the rest. */
void console_find(const void *fdt);
void exit_find(const void *fdt);
void intc_find(const void *fdt, uint64_t hart);
void timer_find(bool sstc);
void smp_find(const struct boot_info *b);

/* Traps of this hart go to the kernel; all interrupts stay masked. */
void trap_cpu_init(void);
/* From trap.S: interrupts disabled, also on return. */
void trap_user(struct md_frame *f, uint64_t cause, uint64_t value);
void trap_kernel(struct md_frame *f, uint64_t cause, uint64_t value);
void trap_entry(void);                  /* in stvec */
extern char trap_stack[1 << EMERGENCY_SHIFT];

/* user.c: u is about to be written in memory; what a hart has of it is void. */
void user_replace(struct md_user *u);

/* usercopy.S: see md_probe(). */
bool probe_access(vaddr_t va, vm_prot_t access, uint64_t sum,
    uint64_t *value);
extern char probe_call[], probe_called[];

/* Interrupts of the sources that have a handler. */
void timer_interrupt(void);
void intc_interrupt(void);
void intc_init(void);
void intc_enable(uint32_t source);
extern uint32_t console_source;         /* 0: none */
#endif

#endif
