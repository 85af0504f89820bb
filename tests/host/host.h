/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.h - the VM core inside an ordinary process: what tests use.
 *
 *   host_seed(seed);
 *   host_memory(12, 4096);         RAM: 4096 pages of 4 KiB
 *   error = vm_init();
 *   host_set_mode(HOST_FIBERS);
 *   host_run(3, worker, arg);      three CPUs
 *   host_memory_end();
 *
 * Modes.  THREADS: a CPU is a POSIX thread; they run in parallel, for the
 * sanitizers.  FIBERS: one POSIX thread; a scheduler switches between CPUs
 * at kern_test_point() and wherever a CPU would wait.  Every switch is a
 * function of the seed, so a failure repeats exactly (where addresses
 * matter, under "setarch -R").  If all CPUs wait for each other, it
 * panics and says for what.
 *
 * Outside host_run() the process is CPU 0.
 */
#ifndef HOST_H
#define HOST_H

#include "vm_kern.h"

enum host_mode {
    HOST_THREADS,
    HOST_FIBERS
};

/* How FIBERS choose; ANY: by the seed. */
enum host_policy {
    HOST_ANY,
    HOST_UNIFORM,       /* now and then, anybody */
    HOST_PRIORITY,      /* the first of a random order, which changes at a
                         * few random points ("PCT", ASPLOS 2010) */
    HOST_ROUND_ROBIN
};

void host_set_mode(enum host_mode mode);
enum host_mode host_get_mode(void);
void host_set_policy(enum host_policy policy);

/* Restarts every sequence of random choices, the MMU's too. */
void host_seed(uint64_t seed);
uint64_t host_get_seed(void);
/* A sequence for each CPU. */
uint64_t host_random(void);
/* A number for (seed, salt): for whoever keeps a sequence of his own. */
uint64_t host_derive(uint64_t salt);
/* splitmix64: next of a sequence. */
uint64_t host_mix(uint64_t *state);

/*
 * host_memory - fresh RAM full of garbage, given to the core map; the list
 * of zones is empty.  The rest of the core is the caller's (vm_init()).
 * May be called again, with another page size.
 */
void host_memory(unsigned page_shift, uint64_t npages);
void host_memory_end(void);

/* Run fn(arg, cpu) on CPUs 0 .. n - 1 until all have returned. */
void host_run(unsigned n, void (*fn)(void *arg, unsigned cpu), void *arg);

/* Let others run.  sleep_steps: for about n steps of others. */
void host_yield(void);
void host_sleep_steps(uint64_t n);

/* The CPU's next, or present, interruptible kern_wait() gives up. */
void host_interrupt(unsigned cpu);

/* The n-th allocation from now fails; n <= 0: none will. */
void host_fail_after(long n);
/* Allocations seen since host_fail_after(). */
long host_fail_count(void);

/*
 * host_expect_panic - true if fn(arg) panics (its locks stay locked: boot
 * again).  Catches panics of CPUs in a host_run() of FIBERS too.
 */
bool host_expect_panic(void (*fn)(void *), void *arg);
/* Text of the last panic. */
const char *host_panic_text(void);

/* FIBERS: switches in this host_run() and a hash of their history. */
uint64_t host_switches(void);
uint64_t host_trace(void);

/* What other parts of a test program want to be told. */
struct host_hooks {
    void (*seed)(void);                 /* after host_seed() */
    void (*boot)(void);                 /* host_memory(), old RAM is gone */
    void (*point)(void);                /* each kern_test_point() */
    void (*alloc)(void);                /* each kern_test_fail() */
    void (*memory_low)(void);           /* kern_memory_low() */
    void (*panic)(void);                /* before a panic ends the process */
};
extern struct host_hooks host_hooks;

/* ---- between host.c and host_fiber.c ---------------------------------- */

extern struct host_cpu host_cpus[VM_MAX_CPUS];
void host_fiber_run(unsigned n, void (*fn)(void *, unsigned), void *arg);
int host_fiber_wait(_Atomic uint32_t *word, uint32_t value,
    bool interruptible);
void host_fiber_wake(_Atomic uint32_t *word);
void host_fiber_relax(void);
void host_fiber_sleep(uint64_t steps);
/* Leave all fibers for good; host_fiber_run() returns in CPU 0. */
_Noreturn void host_fiber_abandon(void);
bool host_fiber_abandoned(void);

#endif
