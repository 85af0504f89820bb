/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_mutant.c - the chosen bug and the names by which bugs are chosen.
 *
 * Test builds only; nothing of it is left in others.
 *
 * Locks: none.  vm_mutant is set before the tests' threads run and not
 *        after.
 */
#include "vm_mutant.h"
#include "vm_radix.h"

#if VM_TEST
enum vm_mutant vm_mutant = VM_MUTANT_NONE;

#define VM_MUTANT_NAME(m, name, text)   [VM_MUTANT_##m] = name,
const char *const vm_mutant_names[VM_MUTANT_COUNT] = {
    [VM_MUTANT_NONE] = "none",
    VM_MUTANTS(VM_MUTANT_NAME)
};

static bool
names_equal(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool
vm_mutant_choose(const char *name)
{
    for (unsigned i = 0; i < VM_MUTANT_COUNT; i++) {
        if (names_equal(vm_mutant_names[i], name)) {
            vm_mutant = (enum vm_mutant)i;
            return true;
        }
    }
    return false;
}

uint32_t
vm_mutant_pages(const uintptr_t *slot)
{
    uint32_t pages = 0;

    for (unsigned i = 0; i < VM_RADIX_RUN; i++) {
        pages |= (uint32_t)(vm_slot_page(slot[i]) != NULL) << i;
    }
    return pages;
}
#endif
