/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem.h - what Linux's memory calls mean in terms of the VM core.
 */
#ifndef MEM_H
#define MEM_H

#include "unix.h"

struct proc;

#define UNIX_PROT_READ      1u
#define UNIX_PROT_WRITE     2u
#define UNIX_PROT_EXEC      4u
#define UNIX_MAP_SHARED     0x01u
#define UNIX_MAP_PRIVATE    0x02u
#define UNIX_MAP_SHARED_VALIDATE 0x03u
#define UNIX_MAP_TYPE       0x0fu
#define UNIX_MAP_FIXED      0x10u
#define UNIX_MAP_ANONYMOUS  0x20u
#define UNIX_MAP_GROWSDOWN  0x0100u
#define UNIX_MAP_LOCKED     0x2000u
#define UNIX_MAP_NORESERVE  0x4000u
#define UNIX_MAP_POPULATE   0x8000u
#define UNIX_MAP_STACK      0x20000u
#define UNIX_MAP_FIXED_NOREPLACE 0x100000u

/*
 * Where things lie in [start, end) of a program's space.
 *
 *   start .. image .. brk -->          <-- mmap   | stack | trampoline | end
 *
 * stack: MEM_STACK_SIZE reserved, zero-filled on demand, a guard below.
 */
#define MEM_STACK_SIZE  (8ull << 20)
#define MEM_STACK_GUARD (1ull << 20)

/* Hints for mmap without an address are looked for from here upwards. */
vaddr_t mem_mmap_base(const struct vm_map *map);

/* Pages of memory that may still be promised (overcommit heuristics). */
bool mem_may_promise(vsize_t size);

/* For /proc/self/status, /proc/self/maps: resident bytes of a map. */
vsize_t mem_resident(struct vm_map *map);

#endif
