/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/probe.c - what would an access do?  For the tests.
 *
 * The kernel's own accesses are made.  No instruction of the kernel has the
 * rights of user mode for the kernel's half (and none fetches with them at
 * all), so for these the rights are read from the live tables, the AND over
 * all levels (SDM 4.6.1), after the access itself has faulted them in.
 */
#include "cpu.h"

#include <pte.h>

#define CR4_SMEP        (1ull << 20)    /* SDM 2.5 */

int usercopy_load(vaddr_t va, uint64_t *value, bool open) VM_MUST_CHECK;
int usercopy_store(vaddr_t va, uint64_t value, bool open) VM_MUST_CHECK;
int usercopy_enter(vaddr_t va) VM_MUST_CHECK;

static bool
probe_user_may(vaddr_t va, vm_prot_t access)
{
    const struct pt_format *f = &pte_formats[0];
    paddr_t table;
    pte_t and = ~(pte_t)0, or = 0, pte;
    int level = f->levels;

    READ_CR(3, table);
    do {
        level--;
        table &= pte_addr_mask(f, f->page_shift);
        pte = ((pte_t *)kern_frame_ptr(table))[pt_index(f, level, va)];
        and &= pte;
        or |= pte;
        table = pte;
        if ((pte & PTE_P) == 0) {
            return false;
        }
    } while (level > 0 && (pte & PTE_PS) == 0);
    return (and & PTE_US) != 0 &&
        ((access & VM_PROT_WRITE) == 0 || (and & PTE_RW) != 0) &&
        ((access & VM_PROT_EXEC) == 0 || (or & PTE_NX) == 0);
}

vm_prot_t
md_user_open(void)
{
    uint64_t cr4;

    READ_CR(4, cr4);
    return (cpu_has.smap ? 0 : VM_PROT_READ | VM_PROT_WRITE) |
        ((cr4 & CR4_SMEP) != 0 ? 0 : VM_PROT_EXEC);
}

bool
md_probe(vaddr_t va, vm_prot_t access, bool user, uint64_t *value)
{
    int error;

    if (access & VM_PROT_EXEC) {
        if (!user) {
            return usercopy_enter(va) == VM_OK;
        }
        error = va < MD_USER_END ? usercopy_load(va, value, true) : VM_OK;
    } else if (user && va >= MD_USER_END) {
        error = VM_OK;
    } else if (access & VM_PROT_WRITE) {
        error = usercopy_store(va, *value, user);
    } else {
        error = usercopy_load(va, value, user);
    }
    return error == VM_OK && (!user || probe_user_may(va, access));
}
