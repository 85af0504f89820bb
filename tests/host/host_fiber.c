/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host_fiber.c - several CPUs in one thread, under a seeded scheduler.
 *
 * A step is one call of host_fiber_point().  Most steps go on with the
 * same fiber; the policy says when another gets the processor, and which:
 *
 *   UNIFORM      every k-th step on average, any fiber
 *   PRIORITY     the runnable fiber of highest priority; at d points of the
 *                run, chosen beforehand, the running one becomes the lowest
 *   ROUND_ROBIN  every k-th step, the next fiber
 *
 * A fiber that spins (relax) lets go at once, and under PRIORITY becomes
 * the lowest, since what it waits for is another fiber's to do.
 *
 * States: RUNNABLE -> WAITING (kern_wait), SLEEPING (for some steps), DONE.
 * None RUNNABLE: time jumps to the first sleeper; none either: deadlock.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "host.h"
#include "vm_lock.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define FIBER_TSAN 1
#endif
#endif

#define STACK_SIZE      ((size_t)512 << 10)
#define LIVELOCK        2000000u    /* spins without a step of anybody */
#define UNFAIR          20000u      /* steps of one fiber in a row */
#define CHANGES_MAX     8u

enum fiber_state { DONE, RUNNABLE, WAITING, SLEEPING };

struct fiber {
    ucontext_t context;
    void *stack;
    size_t stack_size;
    void *fake_stack;               /* AddressSanitizer's */
    void *tsan;
    enum fiber_state state;
    bool interruptible;
    _Atomic uint32_t *word;
    uint64_t wake_at;               /* step */
    uint64_t priority;
};

bool host_in_fibers;

/* The last one is host_run()'s caller. */
#define CALLER          VM_MAX_CPUS
static struct fiber fibers[VM_MAX_CPUS + 1];
static unsigned nfibers, running;
static void (*run_fn)(void *, unsigned);
static void *run_arg;
static bool abandoned;

static enum host_policy wanted = HOST_ANY;
static struct {
    enum host_policy policy;
    uint64_t random;
    uint64_t step, switches, trace;
    uint64_t since;                 /* steps since the last switch */
    uint64_t spins;                 /* relaxes since the last step */
    uint64_t every;                 /* k above */
    uint64_t span, change_at;       /* PRIORITY */
    uint64_t lowest;                /* counts down */
} sched;

void
host_set_policy(enum host_policy policy)
{
    wanted = policy;
}

uint64_t
host_switches(void)
{
    return sched.switches;
}

uint64_t
host_trace(void)
{
    return sched.trace;
}

static uint64_t
pick(uint64_t n)
{
    return host_mix(&sched.random) % n;
}

/* ---- switching -------------------------------------------------------- */

static void
switch_to(unsigned to)
{
    struct fiber *from = &fibers[running], *f = &fibers[to];

    running = to;
    host_self = &host_cpus[to == CALLER ? 0 : to];
    host_in_fibers = to != CALLER;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(
        from->state == DONE && from != &fibers[CALLER] ? NULL :
        &from->fake_stack, f->stack, f->stack_size);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    swapcontext(&from->context, &f->context);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static void
deadlock(void)
{
    char text[256] = "";
    size_t n = 0;

    for (unsigned i = 0; i < nfibers; i++) {
        if (fibers[i].state == WAITING && n < sizeof(text)) {
            n += (size_t)snprintf(text + n, sizeof(text) - n,
                " CPU %u on %p (%u)", i, (void *)fibers[i].word,
                *fibers[i].word);
        }
    }
    kern_panic("deadlock: everybody waits:%s", text);
}

static bool
can_run(unsigned i)
{
    struct fiber *f = &fibers[i];

    if (f->state == SLEEPING && f->wake_at <= sched.step) {
        f->state = RUNNABLE;
    }
    if (f->state == WAITING && f->interruptible &&
        vm_get(&host_cpus[i].interrupted) != 0) {
        f->state = RUNNABLE;
    }
    return f->state == RUNNABLE;
}

/* Fibers that can run, into list. */
static unsigned
runnable(unsigned list[])
{
    unsigned n = 0;

    for (unsigned i = 0; i < nfibers; i++) {
        if (can_run(i)) {
            list[n++] = i;
        }
    }
    return n;
}

/* Nobody can run: let time pass until a sleeper wakes. */
static unsigned
pass_time(unsigned list[])
{
    uint64_t first = UINT64_MAX;
    bool done = true;

    for (unsigned i = 0; i < nfibers; i++) {
        if (fibers[i].state == SLEEPING && fibers[i].wake_at < first) {
            first = fibers[i].wake_at;
        }
        done = done && fibers[i].state == DONE;
    }
    if (first != UINT64_MAX) {
        sched.step = first;
        return runnable(list);
    }
    if (!done) {
        deadlock();
    }
    return 0;
}

static unsigned
choose(const unsigned list[], unsigned n)
{
    unsigned best = list[0];

    switch (sched.policy) {
    case HOST_ROUND_ROBIN:
        for (unsigned i = 0; i < n; i++) {
            if (list[i] > running) {
                return list[i];
            }
        }
        return list[0];
    case HOST_PRIORITY:
        for (unsigned i = 1; i < n; i++) {
            if (fibers[list[i]].priority > fibers[best].priority) {
                best = list[i];
            }
        }
        return best;
    default:
        return list[pick(n)];
    }
}

static void
schedule(void)
{
    unsigned list[VM_MAX_CPUS], to, n = runnable(list);

    sched.since = 0;
    if (n == 0) {
        n = pass_time(list);
    }
    to = n == 0 ? CALLER : choose(list, n);
    if (to == running) {
        return;
    }
    sched.switches++;
    sched.trace = (sched.trace ^ sched.step << 6 ^ to) *
        UINT64_C(0x9e3779b97f4a7c15);
    switch_to(to);
}

static void
demote(void)
{
    fibers[running].priority = --sched.lowest;
}

void
host_fiber_point(void)
{
    sched.step++;
    sched.since++;
    sched.spins = 0;
    if (sched.policy == HOST_PRIORITY) {
        if (sched.step >= sched.change_at || sched.since > UNFAIR) {
            sched.change_at = sched.step + 1 + pick(sched.span);
            demote();
            schedule();
        } else if (sched.since % 64 == 0) {
            /* Somebody of higher priority may have been woken. */
            schedule();
        }
    } else if (sched.policy == HOST_ROUND_ROBIN) {
        if (sched.since >= sched.every) {
            schedule();
        }
    } else if (pick(sched.every) == 0) {
        schedule();
    }
}

void
host_fiber_relax(void)
{
    if (++sched.spins > LIVELOCK) {
        kern_panic("livelock: CPU %u spins, nobody else gets on", running);
    }
    sched.step++;
    demote();
    schedule();
}

void
host_fiber_sleep(uint64_t steps)
{
    fibers[running].wake_at = sched.step + steps;
    fibers[running].state = SLEEPING;
    schedule();
}

int
host_fiber_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible)
{
    struct fiber *f = &fibers[running];

    host_fiber_point();
    /* Now and then it returns for no reason, as it may. */
    if (vm_get(word) == value && pick(32) != 0) {
        f->word = word;
        f->interruptible = interruptible;
        f->state = WAITING;
        schedule();
    }
    if (interruptible && vm_get(&host_self->interrupted) != 0) {
        vm_set(&host_self->interrupted, 0);
        return VM_E_INTR;
    }
    return 0;
}

void
host_fiber_wake(_Atomic uint32_t *word)
{
    for (unsigned i = 0; i < nfibers; i++) {
        if (fibers[i].state == WAITING && fibers[i].word == word) {
            fibers[i].state = RUNNABLE;
        }
    }
    host_fiber_point();
}

/* ---- life of a fiber -------------------------------------------------- */

static void
fiber_main(void)
{
#ifdef FIBER_ASAN
    struct fiber *caller = &fibers[CALLER];
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (caller->stack == NULL) {
        /* The first fiber comes straight from there. */
        caller->stack = (void *)(uintptr_t)bottom;
        caller->stack_size = size;
    }
#endif
    run_fn(run_arg, running);
    fibers[running].state = DONE;
    for (;;) {
        schedule();
    }
}

static void
fiber_init(struct fiber *f)
{
    if (f->stack == NULL) {
        f->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f->stack == MAP_FAILED) {
            kern_panic("host: no stack for a fiber");
        }
        f->stack_size = STACK_SIZE;
        (void)mprotect(f->stack, 4096, PROT_NONE);
    }
#ifdef FIBER_ASAN
    /* What frames of an abandoned run left poisoned. */
    __asan_unpoison_memory_region(f->stack, STACK_SIZE);
#endif
#ifdef FIBER_TSAN
    if (f->tsan != NULL) {
        __tsan_destroy_fiber(f->tsan);
    }
    f->tsan = __tsan_create_fiber(0);
#endif
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->stack_size;
    f->context.uc_link = NULL;
    makecontext(&f->context, fiber_main, 0);
    f->state = RUNNABLE;
    f->word = NULL;
}

/* The run's choices, from the seed and the number of runs before it. */
static void
sched_init(void)
{
    static const uint64_t everys[] = { 2, 3, 8, 40 };
    static const uint64_t spans[] = { 50, 300, 2000, 20000 };
    uint64_t random = host_random();

    sched.random = random;
    sched.policy = wanted != HOST_ANY ? wanted :
        (enum host_policy)(HOST_UNIFORM + pick(8) % 3);
    sched.every = everys[pick(4)];
    sched.span = spans[pick(4)];
    sched.change_at = 1 + pick(sched.span);
    sched.lowest = UINT64_MAX / 2;
    sched.step = sched.switches = sched.spins = sched.since = 0;
    sched.trace = 0;
}

void
host_fiber_run(unsigned n, void (*fn)(void *, unsigned), void *arg)
{
    if (host_in_fibers) {
        kern_panic("host: host_run() inside host_run()");
    }
    sched_init();
    abandoned = false;
    nfibers = n;
    run_fn = fn;
    run_arg = arg;
    running = CALLER;
    for (unsigned i = 0; i < n; i++) {
        fiber_init(&fibers[i]);
        fibers[i].priority = sched.lowest + 1 + pick(UINT32_MAX);
    }
#ifdef FIBER_TSAN
    fibers[CALLER].tsan = __tsan_get_current_fiber();
#endif
    schedule();
    host_in_fibers = false;
}

void
host_fiber_abandon(void)
{
    abandoned = true;
    for (unsigned i = 0; i < nfibers; i++) {
        fibers[i].state = DONE;
    }
    switch_to(CALLER);
    __builtin_unreachable();
}

bool
host_fiber_abandoned(void)
{
    return abandoned;
}
