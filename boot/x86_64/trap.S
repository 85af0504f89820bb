/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/trap.S - into the kernel and out of it.
 *
 *   `syscall`          trap_syscall      -> kern_syscall()
 *   vectors 0..255     trap_vectors      -> trap_exception() below 32,
 *                                           trap_interrupt() from there
 *   #DF, NMI, #MC      on stacks of their own (IST) -> trap_exception()
 *
 * GS: all but the last kind come with the user's GS_BASE exactly if CS says
 * user mode, because IRET and SYSRET below follow their SWAPGS at once and
 * cannot fault (see md_frame_set_pc()).  The last kind may come between the
 * two.  Programs may set any GS_BASE, so its value says nothing either: the
 * CPU's is read from above the stack, the old one is kept and put back.
 *
 * Leaving by SYSRET restores only what C code may have changed; the
 * callee-saved registers are still the program's own.  Source: SDM vol. 2,
 * SYSCALL, SYSRET, IRET; vol. 3A, 6.14.
 */
#include "asm.h"

    .text

.macro PUSH_REGISTERS
    push    %r9
    push    %r8
    push    %r10
    push    %rdx
    push    %rsi
    push    %rdi
    push    %rax
    push    %rcx
    push    %r11
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
.endm

.macro POP_REGISTERS
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    pop     %r11
    pop     %rcx
    pop     %rax
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %r10
    pop     %r8
    pop     %r9
    add     $16, %rsp                   /* vector, error */
.endm

/* RFLAGS: IF, TF, DF, AC are clear (MSR_FMASK). */
FUNCTION trap_syscall
    swapgs
    mov     %rsp, %gs:CPU_SCRATCH
    mov     %gs:CPU_KSTACK, %rsp
    push    $SEL_USER_DS
    push    %gs:CPU_SCRATCH
    push    %r11
    push    $SEL_USER_CS
    push    %rcx
    push    %rax
    push    $FRAME_SYSCALL
    PUSH_REGISTERS
    mov     %rsp, %rdi
    xor     %ebp, %ebp                  /* the backtrace ends here */
    sti
    call    kern_syscall
    cli
    mov     %gs:CPU_CURRENT, %rax
    cmpl    $0, THREAD_WORK(%rax)
    jne     trap_user
    cmpl    $FRAME_SYSCALL, FRAME_VECTOR(%rsp)
    jne     trap_user_leave
    mov     FRAME_RBP(%rsp), %rbp
    mov     FRAME_RAX(%rsp), %rax
    mov     FRAME_RDI(%rsp), %rdi
    mov     FRAME_RSI(%rsp), %rsi
    mov     FRAME_RDX(%rsp), %rdx
    mov     FRAME_R10(%rsp), %r10
    mov     FRAME_R8(%rsp), %r8
    mov     FRAME_R9(%rsp), %r9
    mov     FRAME_RIP(%rsp), %rcx
    mov     FRAME_RFLAGS(%rsp), %r11
    mov     FRAME_RSP(%rsp), %rsp
    swapgs
    sysretq
END trap_syscall

FUNCTION md_user_enter
    cli
    mov     %gs:CPU_KSTACK, %rsp
    sub     $MD_FRAME_SIZE, %rsp
trap_user:                              /* interrupts are off */
    mov     %gs:CPU_CURRENT, %rax
    cmpl    $0, THREAD_WORK(%rax)
    jne     1f
trap_user_leave:
    POP_REGISTERS
    swapgs
    iretq
1:  mov     %rsp, %rdi
    xor     %ebp, %ebp
    call    kern_user_work
    jmp     trap_user
END md_user_enter

/*
 * The stub has pushed the error code (or 0) and the vector.  Exceptions of
 * the kernel go on behind the macro, its interrupts too.
 */
.macro ENTRY handler
    PUSH_REGISTERS
    cld
    CLAC
    mov     %rsp, %rdi
    testb   $3, FRAME_CS(%rsp)
    jz      1f
    swapgs
    xor     %ebp, %ebp
    call    \handler
    cli
    jmp     trap_user
1:  call    \handler
.endm

trap_entry_exception:
    ENTRY   trap_exception
    cli
trap_kernel_leave:
    POP_REGISTERS
    iretq

trap_entry_interrupt:
    ENTRY   trap_interrupt
    mov     %gs:CPU_CURRENT, %rax
    cmpq    $0, THREAD_PREEMPT(%rax)    /* and THREAD_SETTLED */
    jne     trap_kernel_leave
    call    kern_preempt_irq
    jmp     trap_kernel_leave

trap_entry_ist:
    PUSH_REGISTERS
    cld
    CLAC
    mov     $0xc0000101, %ecx           /* MSR_GS_BASE */
    rdmsr
    mov     %eax, %r12d
    mov     %edx, %r13d
    mov     MD_FRAME_SIZE(%rsp), %rax   /* struct md_cpu */
    mov     %rax, %rdx
    shr     $32, %rdx
    wrmsr
    mov     %rsp, %rdi
    call    trap_exception
    cli
    mov     $0xc0000101, %ecx
    mov     %r12d, %eax
    mov     %r13d, %edx
    wrmsr
    jmp     trap_kernel_leave

/*
 * 16 bytes for each vector.  The processor pushes an error code for some
 * (SDM table 6-1).  NMI, #DF and #MC are the three with an IST.
 */
    .balign 16
    .globl  trap_vectors
trap_vectors:
vector = 0
    .rept   256
    .balign 16
    .if     (vector == 8) || (vector >= 10 && vector <= 14) || \
        (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push    $0
    .endif
    push    $vector
    .if     (vector == 2) || (vector == 8) || (vector == 18)
    jmp     trap_entry_ist
    .elseif vector < 32
    jmp     trap_entry_exception
    .else
    jmp     trap_entry_interrupt
    .endif
vector = vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
