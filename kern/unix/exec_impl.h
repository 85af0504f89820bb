/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exec_impl.h - between elf.c, exec.c and execcall.c.
 */
#ifndef EXEC_IMPL_H
#define EXEC_IMPL_H

#include "proc_impl.h"

struct elf_header;
struct elf_segment;

/* A program in a map of its own that nobody runs in yet. */
struct exec_image {
    const char *path;           /* for messages */
    struct vm_map *map;
    vaddr_t limit;              /* segments end below */
    vaddr_t bias;               /* what is added to the file's addresses */
    vaddr_t entry;              /* with bias */
    vaddr_t brk;                /* first page behind the segments */
    vaddr_t phdr;               /* program headers in memory, 0: not there */
    unsigned phnum;
    bool exec_stack;
};

/*
 * elf_load - check a file and map its segments into img->map (set by the
 * caller, as are path and limit).
 * => Fails: -ENOEXEC, said why on the log if it is an ELF file at all;
 *           -ENOMEM and node_read()'s.  The map has to be thrown away
 */
int64_t elf_load(struct node *exe, struct exec_image *img);

/*
 * Room for more bytes; is what is there too much (-E2BIG)?  A string of user
 * memory more.
 */
int64_t exec_room(struct exec_strings *s, size_t more);
int64_t exec_limit(const struct exec_strings *s);
int64_t exec_add_user(struct exec_strings *s, uint64_t from);

#endif
