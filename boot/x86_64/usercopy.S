/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/usercopy.S - the only code that touches user memory.
 *
 * An address at or beyond MD_USER_END is refused before it is used.  Every
 * instruction that may fault has a .fixup entry; a fault that cannot be
 * resolved goes on there, with SMAP still open and the stack as it was.
 * Words are moved by REP MOVSQ; the last, which may overlap the one before
 * it, goes first, so no loop over bytes is needed from 8 bytes up.
 */
#include "asm.h"

#define VM_OK           0
#define VM_E_ADDRESS    2
#define VM_E_NOSPACE    5

    .text

/* Refuse [base, base + size) unless it ends in user space. */
.macro CHECK base, size
    mov     \base, %rax
    add     \size, %rax
    jc      usercopy_refuse
    mov     $MD_USER_END, %rcx
    cmp     %rcx, %rax
    ja      usercopy_refuse
.endm

usercopy_fault:
    CLAC
usercopy_refuse:
    mov     $VM_E_ADDRESS, %eax
    ret

/* int md_copyin(void *to, vaddr_t from, size_t n) */
FUNCTION md_copyin
    CHECK   %rsi, %rdx
    jmp     usercopy
END md_copyin

/* int md_copyout(vaddr_t to, const void *from, size_t n) */
FUNCTION md_copyout
    CHECK   %rdi, %rdx
usercopy:
    STAC
    mov     %rdx, %rcx
    sub     $8, %rdx
    jb      1f
    FIXUP   usercopy_fault
    mov     (%rsi,%rdx), %rax
    FIXUP   usercopy_fault
    mov     %rax, (%rdi,%rdx)
    shr     $3, %rcx
    FIXUP   usercopy_fault
    rep movsq
    CLAC
    xor     %eax, %eax
    ret
1:  FIXUP   usercopy_fault
    rep movsb
    CLAC
    xor     %eax, %eax
    ret
END md_copyout

/*
 * int md_copyin_str(char *to, vaddr_t from, size_t max, size_t *len)
 *
 * Eight bytes at a time while none is 0, then bytes.  If those eight fault,
 * which may be because of bytes behind the end, the bytes decide.
 */
FUNCTION md_copyin_str
    mov     $MD_USER_END, %rax
    sub     %rsi, %rax                  /* user space left */
    jbe     usercopy_refuse
    cmp     %rdx, %rax
    cmovb   %rax, %rdx
    mov     %rcx, %r9
    mov     %rdi, %r8
    mov     $0x0101010101010101, %r10
    mov     $0x8080808080808080, %r11
    STAC
1:  sub     $8, %rdx
    jb      2f
    FIXUP   2f
    mov     (%rsi), %rax
    mov     %rax, (%rdi)
    mov     %rax, %rcx
    sub     %r10, %rcx
    not     %rax
    and     %rax, %rcx
    test    %r11, %rcx
    jnz     2f
    add     $8, %rsi
    add     $8, %rdi
    jmp     1b
2:  add     $8, %rdx
3:  sub     $1, %rdx
    jb      4f
    FIXUP   usercopy_fault
    movb    (%rsi), %al
    movb    %al, (%rdi)
    inc     %rsi
    inc     %rdi
    test    %al, %al
    jnz     3b
    CLAC
    lea     -1(%rdi), %rax
    sub     %r8, %rax
    mov     %rax, (%r9)
    xor     %eax, %eax
    ret
4:  mov     $MD_USER_END, %rax          /* did max end it, or user space? */
    cmp     %rax, %rsi
    je      usercopy_fault
    CLAC
    mov     $VM_E_NOSPACE, %eax
    ret
END md_copyin_str

/* int md_user_load32(vaddr_t from, uint32_t *value) */
FUNCTION md_user_load32
    CHECK   %rdi, $4
    STAC
    FIXUP   usercopy_fault
    mov     (%rdi), %eax
    CLAC
    mov     %eax, (%rsi)
    xor     %eax, %eax
    ret
END md_user_load32

/* int md_user_cas32(vaddr_t at, uint32_t old, uint32_t new, uint32_t *seen) */
FUNCTION md_user_cas32
    mov     %rcx, %r8
    CHECK   %rdi, $4
    mov     %esi, %eax
    STAC
    FIXUP   usercopy_fault
    lock cmpxchg %edx, (%rdi)
    CLAC
    mov     %eax, (%r8)
    xor     %eax, %eax
    ret
END md_user_cas32

/*
 * For md_probe(); VM_E_ADDRESS if it faults.
 * int usercopy_load(vaddr_t va, uint64_t *value, bool open)
 * int usercopy_store(vaddr_t va, uint64_t value, bool open)
 * int usercopy_enter(vaddr_t va)
 */
FUNCTION usercopy_load
    test    %edx, %edx
    jz      1f
    STAC
1:  FIXUP   usercopy_fault
    mov     (%rdi), %rax
    CLAC
    mov     %rax, (%rsi)
    xor     %eax, %eax
    ret
END usercopy_load

FUNCTION usercopy_store
    test    %edx, %edx
    jz      1f
    STAC
1:  FIXUP   usercopy_fault
    mov     %rsi, (%rdi)
    CLAC
    xor     %eax, %eax
    ret
END usercopy_store

/* A fault at va itself is taken for one of the call (trap.c). */
FUNCTION usercopy_enter
    FIXUP   usercopy_fault
    .globl  usercopy_call, usercopy_called
usercopy_call:
    call    *%rdi
usercopy_called:
    xor     %eax, %eax
    ret
END usercopy_enter

    .section .note.GNU-stack, "", @progbits
