/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md.h - what a machine supplies to the kernel, all of it.
 *
 * boot/<arch>/ implements this header and <md_cpu.h>, and pmap/<arch>/ the
 * MMU.  Its code decodes and forwards; whatever could be decided without
 * knowing the machine is decided in kern/.
 *
 * <md_cpu.h> (no includes but <stdint.h>, <stdbool.h>, usable from mi/):
 *   MD_DIRECT_BASE     kernel address of physical address 0: all of RAM is
 *                      mapped from there, writable, never executable; the
 *                      frames of the kernel's text and constants read-only
 *   MD_PAGE_SHIFT      hardware page of the kernel's own tables
 *   struct md_frame    the user's (or an interrupted kernel's) registers
 *                      as the entry path saves them, all of them
 *   MD_FRAME_SIZE      its size, a multiple of 16
 *   MD_USER_SIZE       bytes of floating point, vectors, thread pointer
 *   static inline, none of them touches memory that is not its own:
 *   struct thread *md_current(void)       constant for a running thread, so
 *                                         the compiler may merge the reads
 *   bool md_irq_save(void)                disable; were they enabled?
 *   void md_irq_restore(bool enabled)
 *   bool md_irq_enabled(void)
 *   void md_relax(void)                   one turn of a spin loop; serves
 *                                         calls from other CPUs if masked
 *   uint64_t md_ticks(void)               a steady counter, see md_tick_hz
 *   uint64_t md_fp(void)                  this function's frame pointer
 *   MD_FP_PREV, MD_FP_PC                  byte offsets, from a frame
 *                                         pointer, of the caller's frame
 *                                         pointer and of the return address
 *   of a struct md_frame *f:
 *   uint64_t md_frame_pc(f), md_frame_sp(f), md_frame_fp(f)
 *   void     md_frame_set_pc(f, pc), md_frame_set_sp(f, sp)
 *   bool     md_frame_is_user(f)
 *   uint64_t md_frame_call(f)             number of the system call
 *   const uint64_t *md_frame_args(f)      its six arguments, in order
 *   void     md_frame_set_result(f, v)    what the call returns
 *   void     md_frame_restart(f)          the call is made again: undo the
 *                                         result and step back to it
 *   void     md_frame_set_tls(f, u, v)    user thread pointer (CLONE_SETTLS)
 *   bool     md_tls_ok(v)                 may it be that?  Asked before
 */
#ifndef MD_H
#define MD_H

#include "vm_kern.h"

struct boot_info;
struct thread;
struct thread_head;

/* ---- console and leaving ---------------------------------------------- */

/* Polled, any context, one byte as it is; waits for room. */
void md_console_put(uint8_t c);
/* A received byte or -1.  Never waits. */
int md_console_get(void);
/*
 * No receive interrupts, and the host waits, until they are on again; false:
 * this machine cannot (the default, in console.c).  Interrupts disabled.
 */
bool md_console_receive(bool on);
/*
 * Leave the machine: QEMU exits with this status if the machine has a way
 * to say it (0 and 1 are always told apart); else halts.
 */
_Noreturn void md_exit(int status);

/* ---- CPUs, interrupts, time ------------------------------------------- */

extern uint64_t md_tick_hz;             /* (c) ticks of md_ticks() a second */

/*
 * After kern has a current thread and the VM core: interrupt controller,
 * timer, console receive interrupt.  Once for the boot CPU.
 */
void md_devices_init(const struct boot_info *b);
/* One timer interrupt when md_ticks() reaches deadline; replaces the last. */
void md_timer_set(uint64_t deadline);
/*
 * Wait for an interrupt.  Called with interrupts disabled, returns with them
 * enabled; one that comes between the caller's check and the wait is not lost.
 */
void md_idle(void);
/*
 * CPUs beside the boot CPU.  start: CPU number cpu (kern's numbering,
 * boot_info.cpu[]) begins in kern_cpu_main() on that stack; returns VM_OK,
 * or VM_E_INVAL where the machine cannot.  ipi: kern_interrupt_ipi() runs on
 * that CPU soon.
 */
int md_cpu_start(unsigned cpu, struct thread *idle) VM_MUST_CHECK;
void md_ipi(unsigned cpu);

/* ---- threads ---------------------------------------------------------- */

/*
 * A stack for a new thread: fn(arg) runs, with interrupts disabled and
 * preemption as it was at md_switch(), when it is first switched to.
 * Returns the context to load.
 */
uint64_t md_context_make(uint64_t stack_top, void (*fn)(void *), void *arg);
/*
 * Save this context to *save, load next's and return in it.  Interrupts are
 * disabled.  From now on next is md_current() and traps from user mode land
 * below next's kstack.
 */
void md_switch(uint64_t *save, uint64_t load, struct thread_head *next);
/*
 * To user mode with the registers of the frame at head->kstack -
 * MD_FRAME_SIZE; handles work first as every return to user mode does.
 */
_Noreturn void md_user_enter(void);

/* A cleared user frame that will start at pc with that stack. */
void md_frame_init(struct md_frame *f, vaddr_t pc, vaddr_t sp);

/*
 * What user mode has beside the frame: floating point, vectors, thread
 * pointer.  init: as a new program finds it.  save and load: this CPU's.
 * The kernel never uses these registers.
 */
struct md_user {
    uint8_t bytes[MD_USER_SIZE];
} __attribute__((aligned(64)));
void md_user_init(struct md_user *u);
void md_user_save(struct md_user *u);
void md_user_load(const struct md_user *u);

/* ---- user memory ------------------------------------------------------ */

/*
 * The only loads and stores that may touch user memory (SMAP, PAN, SUM).
 * They may fault; the fault is resolved like the program's own.
 *
 * => Context: a thread with a map, no spin lock, interrupts enabled; sleeps
 * => Needs:   nothing: any address may be given, the kernel's is refused
 * => Returns: VM_OK, or VM_E_ADDRESS; what was moved before stays moved
 * str: up to and with its 0 byte; *len without it; VM_E_NOSPACE if there is
 * none within max.
 */
int md_copyin(void *to, vaddr_t from, size_t n) VM_MUST_CHECK;
int md_copyout(vaddr_t to, const void *from, size_t n) VM_MUST_CHECK;
int md_copyin_str(char *to, vaddr_t from, size_t max, size_t *len)
    VM_MUST_CHECK;
/* 32-bit words, aligned, in one access (futex).  cas: *seen is what stood
 * there; stored if it equals old. */
int md_user_load32(vaddr_t from, uint32_t *value) VM_MUST_CHECK;
int md_user_cas32(vaddr_t at, uint32_t old, uint32_t new, uint32_t *seen)
    VM_MUST_CHECK;
/*
 * Tests: one access of 8 bytes at any address, the kernel's included; false
 * if it faults.  user: with the rights of user mode.  EXEC: call the address.
 * Where the thread has a map, a fault at its addresses is resolved first if
 * user is set or md_user_open() has that access.
 */
bool md_probe(vaddr_t va, vm_prot_t access, bool user, uint64_t *value);
/* What the processor cannot keep the kernel from doing at user pages, by
 * mistake: of READ, WRITE and EXEC. */
vm_prot_t md_user_open(void);

/*
 * Instructions that may fault at (or on behalf of) an address that is not
 * the kernel's to vouch for, and where to go on: section .fixup, sorted by
 * nobody, offsets from their own address.
 */
struct md_fixup {
    int32_t from, to;
};

/* ---- signals, as this machine's Linux lays them out -------------------- */

struct md_altstack {
    uint64_t sp;
    uint32_t flags;
    uint32_t unused;
    uint64_t size;
};
struct md_signal {
    int signo;
    vaddr_t handler, restorer;  /* restorer 0: the trampoline */
    vaddr_t stack;              /* build below here; 0: below the frame's sp
                                   (and the red zone) */
    uint64_t mask;              /* to be restored by sigreturn */
    struct md_altstack alt;
    vaddr_t trampoline;         /* where md_trampoline's code is mapped */
    const void *info;           /* siginfo_t, 128 bytes */
};
/*
 * push: build the frame on the user's stack and make f enter the handler.
 * pop: undo it; rights to registers that a program may not set are checked.
 * => Fails: VM_E_ADDRESS; after push f and u are as before, after pop they
 *    may have part of what was to come, as on Linux.  Sleeps.
 */
int md_signal_push(struct md_frame *f, struct md_user *u,
    const struct md_signal *s) VM_MUST_CHECK;
int md_signal_pop(struct md_frame *f, struct md_user *u, uint64_t *mask,
    struct md_altstack *alt) VM_MUST_CHECK;
/* Position-independent code that calls rt_sigreturn; *size 0: not needed. */
const void *md_trampoline(size_t *size);

/* ---- for messages ----------------------------------------------------- */

/* Registers by their names, in the manual's order; returns how many. */
struct md_register {
    const char *name;
    uint64_t value;
};
#define MD_REGISTERS 48u
unsigned md_frame_registers(const struct md_frame *f,
    struct md_register out[MD_REGISTERS]);
extern const char md_arch[];            /* "riscv64" */
/* AT_PLATFORM of the auxiliary vector; AT_HWCAP (n is 0) and AT_HWCAP2 (1). */
extern const char md_platform[];
uint64_t md_hwcap(unsigned n);

/* ---- what the machine calls ------------------------------------------- */

/* A trap that is no system call and no interrupt, decoded. */
enum trap_kind {
    TRAP_FAULT,                 /* page fault: va and access are set */
    TRAP_ALIGN,                 /* misaligned: va is set */
    TRAP_BUS,                   /* the bus said no: va is set */
    TRAP_ILLEGAL,               /* instruction */
    TRAP_PRIVILEGED,            /* not in user mode; general protection */
    TRAP_BREAK,                 /* breakpoint */
    TRAP_STEP,                  /* single step */
    TRAP_DIVIDE,                /* integer division */
    TRAP_OVERFLOW,
    TRAP_FLOAT,                 /* code: FPE_* of Linux */
    TRAP_STACK,                 /* the kernel's own stack overflowed */
    TRAP_OTHER                  /* what the machine should not do */
};
struct trap {
    enum trap_kind kind;
    vm_prot_t access;           /* READ, WRITE or EXEC */
    vaddr_t va;
    int code;
    uint64_t raw;               /* error code, ESR, scause: for messages */
};

/*
 * In order of the machine's calls:
 *
 * kern_main       boot CPU, on the boot thread's stack, from the final
 *                 tables, interrupts disabled, nothing of kern ready
 * kern_trap       interrupts enabled if they were before the trap
 * kern_fault      the same for a page fault of the program's; raw as in
 *                 struct trap
 * kern_syscall    interrupts enabled
 * kern_interrupt_* interrupts disabled, in the interrupted thread's context
 * kern_user_work  before a return to user mode while head->work != 0,
 *                 interrupts disabled on entry and return
 * kern_preempt_irq before a return to kernel mode from an interrupt if the
 *                 words preempt and settled are both 0; interrupts disabled
 */
_Noreturn void kern_main(struct boot_info *b);
_Noreturn void kern_cpu_main(void);
void kern_trap(struct md_frame *f, const struct trap *t);
void kern_fault(struct md_frame *f, vaddr_t va, vm_prot_t access,
    uint64_t raw);
void kern_syscall(struct md_frame *f);
void kern_interrupt_timer(void);
void kern_interrupt_ipi(void);
void kern_interrupt_console(void);
void kern_user_work(struct md_frame *f);
void kern_preempt_irq(void);

#endif
