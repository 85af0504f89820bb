/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/start.S - from the PVH entry to md_boot().
 *
 * Source: Xen's docs/misc/pvh.pandoc: 32-bit protected mode, flat segments,
 * no paging, ebx is the physical address of struct hvm_start_info.
 *
 * The first tables map the low 4 GiB three times: at 0, where this code
 * runs; at MD_DIRECT_BASE; and their first GiB, from the load address on, at
 * the linked address.  boot_tables() replaces them.
 */
#include "md_cpu.h"

#define LINKED          0xffffffffc0000000
#define LOADED          0x200000
#define PHYS(symbol)    ((symbol) - LINKED + LOADED)

#define CR0_PG_WP_NE_MP_PE 0x80010023
#define CR4_PAE         0x20
#define EFER_SCE_LME    0x101
#define EFER_NXE        0x800
#define PTE_TABLE       0x63            /* A, D, RW, P */
#define PTE_LARGE       0xe3

    .section .note.Xen, "a", @note
    .balign 4
    .long   4, 8, 18                    /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .quad   PHYS(start32)

    .section .text.start, "ax", @progbits
    .code32
    .globl  start32
start32:
    cli
    cld
    rdtsc
    mov     %eax, PHYS(start_tick)
    mov     %edx, PHYS(start_tick) + 4

    /* Four page directories of 2 MiB leaves are the low 4 GiB. */
    mov     $PHYS(early_pd), %edi
    mov     $PTE_LARGE, %eax
    mov     $2048, %ecx
1:  mov     %eax, (%edi)
    add     $0x200000, %eax
    add     $8, %edi
    dec     %ecx
    jnz     1b
    mov     $PHYS(early_pd) + PTE_TABLE, %eax
    mov     $PHYS(early_pdpt), %edi
    mov     $4, %ecx
1:  mov     %eax, (%edi)
    add     $0x1000, %eax
    add     $8, %edi
    dec     %ecx
    jnz     1b
    mov     $PHYS(early_image_pd), %edi
    mov     $LOADED + PTE_LARGE, %eax
    mov     $511, %ecx
1:  mov     %eax, (%edi)
    add     $0x200000, %eax
    add     $8, %edi
    dec     %ecx
    jnz     1b
    movl    $PHYS(early_image_pd) + PTE_TABLE, PHYS(early_image_pdpt) + 511 * 8
    movl    $PHYS(early_pdpt) + PTE_TABLE, PHYS(early_root)
    movl    $PHYS(early_pdpt) + PTE_TABLE, PHYS(early_root) + 256 * 8
    movl    $PHYS(early_image_pdpt) + PTE_TABLE, PHYS(early_root) + 511 * 8

    /* Every processor with long mode that we meet has NX; md_boot() asks. */
    mov     %ebx, %esi
    mov     $0x80000001, %eax
    cpuid
    mov     %edx, %edi
    mov     $CR4_PAE, %eax
    mov     %eax, %cr4
    mov     $PHYS(early_root), %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx
    xor     %edx, %edx
    mov     $EFER_SCE_LME, %eax
    test    $1 << 20, %edi
    jz      1f
    or      $EFER_NXE, %eax
1:  wrmsr
    mov     $CR0_PG_WP_NE_MP_PE, %eax
    mov     %eax, %cr0
    lgdt    PHYS(early_gdtr)
    ljmp    $SEL_KERNEL_CS, $PHYS(start64)

    .code64
start64:
    mov     $start_high, %rax
    jmp     *%rax
start_high:
    xor     %eax, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %fs
    mov     %eax, %gs
    mov     $SEL_KERNEL_DS, %ecx
    mov     %ecx, %ss
    mov     $boot_stack_top, %rsp
    xor     %ebp, %ebp
    mov     %esi, %edi                  /* struct hvm_start_info */
    call    md_boot
    ud2

    .section .rodata, "a", @progbits
    .balign 8
early_gdt:
    .quad   0, 0
    .quad   0x00af9b000000ffff          /* SEL_KERNEL_CS */
    .quad   0x00cf93000000ffff
early_gdtr:
    .word   31
    .quad   PHYS(early_gdt)

    .bss
    .balign 4096
early_root:
    .skip   4096
early_pdpt:
    .skip   4096
early_pd:
    .skip   4 * 4096
early_image_pdpt:
    .skip   4096
early_image_pd:
    .skip   4096
    .globl  boot_stack, boot_stack_top, start_tick
boot_stack:
    .skip   16384
boot_stack_top:
start_tick:
    .skip   8

    .section .note.GNU-stack, "", @progbits
