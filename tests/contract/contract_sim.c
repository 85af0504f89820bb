/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contract_sim.c - what a CPU can access, on the simulated MMU.
 */
#include <string.h>

#include "contract.h"
#include "world.h"

unsigned
contract_cpus(void)
{
    return world.config.cpus;
}

void
contract_on(unsigned cpu)
{
    world_on(cpu);
}

bool
contract_access(vaddr_t va, vm_prot_t access, uint64_t *value)
{
    return sim_access(kern_cpu(), va, access, value, sizeof(*value),
        true) == SIM_OK;
}

bool
contract_kernel_access(vaddr_t va, vm_prot_t access, uint64_t *value)
{
    return sim_access(kern_cpu(), va, access, value, sizeof(*value),
        false) == SIM_OK;
}

bool
contract_forgets(void)
{
    return strcmp(PAL_MACHINE, "soft") == 0 ||
        strcmp(PAL_MACHINE, "hash") == 0;
}

uint64_t
contract_published(void)
{
    return sim_published();
}

void
contract_fail(long n)
{
    host_fail_after(n);
}

static void
together(void *arg, unsigned cpu)
{
    void (*const *fn)(unsigned) = arg;

    (*fn)(cpu);
}

void
contract_together(unsigned n, void (*fn)(unsigned cpu), uint64_t round)
{
    host_seed(world.config.seed * 1000 + round);
    host_run(n, together, &fn);
}

void
contract_pause(void)
{
    host_yield();
}

void
contract_failed(const char *file, int line, const char *what)
{
    world_fail("%s:%d: CPU %u: not true: %s", file, line, kern_cpu(), what);
}
