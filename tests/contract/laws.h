/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * laws.h - the laws as seen through maps and faults.  Each function boots
 * a world of this config (seed included) and ends it.
 */
#ifndef LAWS_H
#define LAWS_H

#include "world.h"

struct law {
    const char *name;
    void (*fn)(const struct world_config *c);
    unsigned seeds;             /* worth trying by default */
};
/* Ends with a NULL name. */
extern const struct law laws[];

/* Pages of fixed memory at an address that crosses tables. */
vaddr_t law_memory(struct vm_map *map, unsigned npages);
/* The whole of object, from page 0. */
vaddr_t law_map(struct vm_map *map, struct vm_object *object,
    unsigned npages, enum vm_map_mode mode);
void law_fill(struct vm_map *map, vaddr_t va, uint64_t page,
    uint64_t version);
/* Does the page at va read as that? */
void law_expect(struct vm_map *map, vaddr_t va, uint64_t page,
    uint64_t version);
void law_expect_file(struct vm_map *map, vaddr_t va, struct world_file *f,
    vm_pgno_t pgno, uint64_t version);
void law_expect_zero(struct vm_map *map, vaddr_t va);

void law_shared_front(const struct world_config *c);
void law_adversary(const struct world_config *c);
void law_fork_reader(const struct world_config *c);
void law_fork_line(const struct world_config *c);
void law_fork_line_swap(const struct world_config *c);
void law_fork_line_file(const struct world_config *c);
void law_sleeper(const struct world_config *c);
void law_clean(const struct world_config *c);
void law_around_swap(const struct world_config *c);
void law_unmap(const struct world_config *c);
void law_no_memory(const struct world_config *c);
void law_no_memory_fork(const struct world_config *c);
void law_run(const struct world_config *c);
void law_run_random(const struct world_config *c);
void law_run_no_memory(const struct world_config *c);

#endif
