/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.S - from the boot protocol to C at the linked address.
 *
 *   start       boot CPU, physical, x0 = device tree (Linux, Documentation/
 *               arch/arm64/booting.rst)
 *   start_cpu   the others, physical, x0 = struct start_cpu (machine.h)
 *     el1         leave EL2 if we were entered there
 *     mmu_on      TTBR0 identity, TTBR1 the kernel
 *   start_tables  boot CPU: from the early tables to the final ones
 *
 * Early tables: the identity map and the direct map are one level 1 table
 * of 1 GiB blocks, seen from two entries of the root, which both TTBRs
 * share; boot.c adds blocks to it.
 *
 *   early_l0 [i]        -> early_l1    i = image's address >> 39
 *            [256 + i]  -> early_l1
 *            [511]      -> image_l1 [504] -> image_l2, 2 MiB blocks
 *
 * Source: Arm ARM, DDI 0487 issue J.a: D17.2 (registers), D8.3 (tables),
 * D8.13 (TLB maintenance).
 */
#include "md_cpu.h"
#include "pmap_md.h"
#include "thread_head.h"

/* Block, MAIR 0, inner shareable, accessed, no execution at EL0. */
#define BLOCK           0x701
#define BLOCK_UXN       (1 << 54)
#define TABLE           3

/* T0SZ = T1SZ = 16, 4 KiB granules, walks cacheable and shareable. */
#define TCR             (16 | 1 << 8 | 1 << 10 | 3 << 12 | \
                         16 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30)
/*
 * M C SA SA0 ITD SED EOS I DZE UCT nTWI nTWE TSCXT EIS UCI nTLSMD LSMAOE.
 * SPAN is 0: traps set PAN; RES1 where there is none.  Not WXN: it would
 * take away execution from a program's own writable pages, too.
 */
#define SCTLR           0x3455d99d
#define SCTLR_SPAN      (1 << 23)

    .section .head, "ax"
    .globl start
start:
    b       start_boot
    .long   0
    .quad   0                           // offset of text from 2 MiB
    .quad   kern_image_size
    .quad   0xa                         // 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

start_boot:
    mov     x20, x0
    bl      el1
    mrs     x21, cntvct_el0
    adrp    x22, start
    adrp    x23, early_l0
    add     x24, x23, #4096             // early_l1
    add     x25, x23, #8192             // image_l1
    add     x26, x23, #12288            // image_l2

    mov     x0, x23
    add     x1, x23, #16384
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b

    orr     x0, x24, #TABLE
    lsr     x1, x22, #39
    add     x2, x23, x1, lsl #3
    str     x0, [x2]
    str     x0, [x2, #256 * 8]
    orr     x0, x25, #TABLE
    str     x0, [x23, #511 * 8]
    orr     x0, x26, #TABLE
    str     x0, [x25, #504 * 8]

    mov     x3, #BLOCK
    orr     x3, x3, #BLOCK_UXN
    and     x0, x20, #~0x3fffffff       // the device tree's GiB
    ubfx    x1, x20, #30, #9
    orr     x0, x0, x3
    str     x0, [x24, x1, lsl #3]
    and     x0, x22, #~0x3fffffff       // this code's GiB
    ubfx    x1, x22, #30, #9
    orr     x0, x0, x3
    str     x0, [x24, x1, lsl #3]

    orr     x0, x22, x3
    ldr     x1, =kern_image_size
    mov     x2, x26
2:  str     x0, [x2], #8
    add     x0, x0, #0x200000
    subs    x1, x1, #0x200000
    b.hi    2b

    dmb     sy                          // no stale line may hide the tables
    mov     x0, x23
    add     x1, x23, #16384
3:  dc      ivac, x0
    add     x0, x0, #32
    cmp     x0, x1
    b.lo    3b
    dsb     sy

    mov     x0, x23
    bl      mmu_on
    ldr     x0, =start_high
    br      x0

start_high:
    adrp    x0, kern_data_end
    adrp    x1, kern_bss_end
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    adrp    x0, boot_thread
    add     x0, x0, :lo12:boot_thread
    adrp    x1, boot_stack + 16384
    str     x1, [x0, #THREAD_KSTACK]
    bl      set_current
    mov     x0, x20
    mov     x1, x22
    mov     x2, x21
    bl      md_boot

/* x0: a thread's head; its stack and the vectors are used from here on. */
set_current:
    msr     tpidr_el1, x0
    ldr     x1, [x0, #THREAD_KSTACK]
    mov     sp, x1
    adrp    x1, trap_vectors
    add     x1, x1, :lo12:trap_vectors
    msr     vbar_el1, x1
    mov     x29, xzr
    isb
    ret

    .globl start_cpu
start_cpu:
    mov     x20, x0
    bl      el1
    ldp     x0, x19, [x20]
    bl      mmu_on
    ldr     x0, =1f
    br      x0
1:  mov     x0, x19
    bl      set_current
    bl      cpu_main

/*
 * At EL1 with the stack pointer of EL1 and all masked.  From EL2 nothing
 * is trapped: counters, FP, GIC registers, debug belong to EL1.
 */
el1:
    msr     daifset, #15
    mrs     x1, currentel
    cmp     x1, #8
    b.eq    1f
    msr     spsel, #1
    ret
1:  mov     x1, #1 << 31                // HCR_EL2.RW
    msr     hcr_el2, x1
    mov     x1, #3                      // EL1PCTEN, EL1PCEN
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr
    mov     x1, #0x33ff                 // RES1, no trap of FP
    msr     cptr_el2, x1
    msr     hstr_el2, xzr
    msr     mdcr_el2, xzr
    msr     vttbr_el2, xzr
    mrs     x1, midr_el1
    msr     vpidr_el2, x1
    mrs     x1, mpidr_el1
    msr     vmpidr_el2, x1
    mrs     x1, id_aa64pfr0_el1
    ubfx    x1, x1, #24, #4
    cbz     x1, 2f
    mrs     x1, S3_4_C12_C9_5           // ICC_SRE_EL2: SRE, Enable
    mov     x2, #9
    orr     x1, x1, x2
    msr     S3_4_C12_C9_5, x1
    isb
    msr     S3_4_C12_C11_0, xzr         // ICH_HCR_EL2
2:  mov     x1, #0x3c5                  // EL1h, DAIF
    msr     spsr_el2, x1
    msr     elr_el2, x30
    eret

/* x0: root for TTBR1.  Returns to the physical address. */
mmu_on:
    mov     x1, #PMAP_MD_MAIR
    msr     mair_el1, x1
    ldr     x1, =TCR
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #15                 // PARange, IPS; no more than 48 bits
    cmp     x2, #5
    mov     x3, #5
    csel    x2, x2, x3, lo
    bfi     x1, x2, #32, #3
    msr     tcr_el1, x1
    adrp    x1, early_l0
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x0
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x1, =SCTLR
    mrs     x2, id_aa64mmfr1_el1
    ubfx    x2, x2, #20, #4             // PAN
    orr     x3, x1, #SCTLR_SPAN
    cmp     x2, #0
    csel    x1, x1, x3, ne
    msr     sctlr_el1, x1
    isb
    ret

/*
 * void start_tables(paddr_t root, uint64_t offset)
 *
 * The new tables map the image with smaller leaves, so nothing may be
 * reached through TTBR1 meanwhile (D8.13.1, break before make): the switch
 * runs from the identity map.  offset: physical less linked address.
 */
    .globl start_tables
start_tables:
    adr     x2, 1f
    add     x2, x2, x1
    br      x2
1:  msr     ttbr1_el1, x0
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    ret

    .section .stack, "aw"
    .balign 4096
boot_stack:
    .fill   16384, 1, 0

    .section .early, "aw", %nobits
    .balign 4096
    .globl early_l0, early_l1
early_l0:
    .space  4096
early_l1:
    .space  4096
    .space  8192
