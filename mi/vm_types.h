/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_types.h - the words that every part of the VM core uses.
 *
 * Addresses and sizes are 64-bit on every machine.  A byte range is
 * written [start, end) and never wraps: vm_range_ok() is the one place
 * that says what a legal range is.
 */
#ifndef VM_TYPES_H
#define VM_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t vaddr_t;       /* virtual address, bytes */
typedef uint64_t paddr_t;       /* physical address, bytes */
typedef uint64_t vsize_t;       /* length, bytes */
typedef uint64_t vm_pgno_t;     /* page number inside a memory object */
typedef uint64_t vm_seq_t;      /* value of a struct vm_seq */

/* Access rights; a set of bits. */
typedef unsigned vm_prot_t;
#define VM_PROT_NONE    0u
#define VM_PROT_READ    1u
#define VM_PROT_WRITE   2u
#define VM_PROT_EXEC    4u
#define VM_PROT_ALL     7u

/* What a child gets of an entry when its parent forks. */
enum vm_inherit {
    VM_INHERIT_SHARE,           /* the same memory */
    VM_INHERIT_COPY,            /* a virtual copy (the default) */
    VM_INHERIT_NONE             /* a hole */
};

/*
 * Errors.  Every function that a caller can make fail returns one of
 * these, 0 for success; outputs are written on success only.
 */
enum vm_error {
    VM_OK = 0,
    VM_E_INVAL,         /* an argument is malformed: alignment, wrap, bits */
    VM_E_ADDRESS,       /* nothing is mapped there ("invalid address") */
    VM_E_PROT,          /* the operation is not allowed there */
    VM_E_NOMEM,         /* no page frame or no kernel memory */
    VM_E_NOSPACE,       /* no room in the address map */
    VM_E_RETRY,         /* the world moved; look again */
    VM_E_BUSY,          /* refused for now; nothing has changed */
    VM_E_PAGER,         /* the pager reported an error or is dead */
    VM_E_INTR           /* the sleeping thread was told to give up */
};

#define VM_MUST_CHECK   __attribute__((warn_unused_result))

/*
 * The machine-independent page size: a boot-time parameter, a power of
 * two multiple of the hardware page.  Constant after vm_init().
 */
extern unsigned vm_page_shift;
#define VM_PAGE_SIZE    ((vsize_t)1 << vm_page_shift)
#define VM_PAGE_MASK    (VM_PAGE_SIZE - 1)

static inline vaddr_t
vm_trunc_page(vaddr_t va)
{
    return va & ~VM_PAGE_MASK;
}

static inline bool
vm_page_aligned(uint64_t x)
{
    return (x & VM_PAGE_MASK) == 0;
}

/* True if [start, start + size) is not empty and does not wrap. */
static inline bool
vm_range_ok(vaddr_t start, vsize_t size)
{
    return size != 0 && start + size - 1 >= start && start + size != 0;
}

#endif
