/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * elf.h - as much of the ELF-64 format as running a static program needs.
 *
 * Source: System V ABI (gABI 4.1), chapters 4 and 5; for the auxiliary vector
 * getauxval(3).
 */
#ifndef ELF_H
#define ELF_H

#include <stdint.h>

#define ELF_MAGIC       0x464c457fu     /* "\177ELF" */
#define ELF_CLASS64     2
#define ELF_DATA_LSB    1
#define ELF_ET_EXEC     2
#define ELF_ET_DYN      3
#define ELF_PT_LOAD     1u
#define ELF_PT_INTERP   3u
#define ELF_PT_PHDR     6u
#define ELF_PT_STACK    0x6474e551u     /* PT_GNU_STACK */
#define ELF_PF_X        1u
#define ELF_PF_W        2u
#define ELF_PF_R        4u

struct elf_header {
    uint32_t magic;
    uint8_t class, data, ident_version, ident[9];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "Elf64_Ehdr");

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf_segment) == 56, "Elf64_Phdr");

enum elf_aux {
    ELF_AT_NULL = 0, ELF_AT_PHDR = 3, ELF_AT_PHENT = 4, ELF_AT_PHNUM = 5,
    ELF_AT_PAGESZ = 6, ELF_AT_BASE = 7, ELF_AT_FLAGS = 8, ELF_AT_ENTRY = 9,
    ELF_AT_UID = 11, ELF_AT_EUID = 12, ELF_AT_GID = 13, ELF_AT_EGID = 14,
    ELF_AT_PLATFORM = 15, ELF_AT_HWCAP = 16, ELF_AT_CLKTCK = 17,
    ELF_AT_SECURE = 23, ELF_AT_RANDOM = 25, ELF_AT_HWCAP2 = 26,
    ELF_AT_EXECFN = 31, ELF_AT_MINSIGSTKSZ = 51
};

#endif
