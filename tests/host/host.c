/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.c - the port of the VM core to an ordinary process (vm_kern.h), and
 * the means of tests to boot it and to run several CPUs (host.h).
 *
 * Waiting, THREADS: a futex on the word itself, so that nothing orders the
 * two threads for ThreadSanitizer but the core's own atomics.  FIBERS are
 * host_fiber.c.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "vm_page.h"
#include "vm_zone.h"

/*
 * Addresses of RAM are the same in every run, for what hashes pointers:
 * where both sanitizers' layouts leave room.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RAM_AT          ((void *)0x4000000000)
#endif
#endif
#ifndef RAM_AT
#define RAM_AT          ((void *)0x200000000000)
#endif
#define RAM_MAX         ((uint64_t)4 << 30)     /* address space only */
#define FRAMES_MAX      ((uint64_t)1 << 20)

#define LOST_SECONDS    100     /* a sleep so long has missed its wakeup */

static struct vm_held held[VM_MAX_CPUS];

struct host_cpu host_cpus[VM_MAX_CPUS];
_Thread_local struct host_cpu *host_self = &host_cpus[0];
struct host_hooks host_hooks;
unsigned char *host_ram;
uint64_t host_ram_size;

static enum host_mode mode = HOST_THREADS;
static uint64_t seed = 1;
static struct vm_page *frames;
static _Atomic long fail_at, fail_seen;
static char panic_text[512];
static void *run_expect;        /* FIBERS: host_run()'s caller expects */

/* ---- random numbers --------------------------------------------------- */

uint64_t
host_mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t
host_derive(uint64_t salt)
{
    uint64_t a = seed, b = host_mix(&a) ^ salt;

    return host_mix(&b);
}

void
host_seed(uint64_t s)
{
    seed = s;
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        host_cpus[i].random = host_derive(i);
    }
    if (host_hooks.seed != NULL) {
        host_hooks.seed();
    }
}

uint64_t
host_get_seed(void)
{
    return seed;
}

uint64_t
host_random(void)
{
    return host_mix(&host_self->random);
}

/* ---- boot ------------------------------------------------------------- */

__attribute__((constructor)) static void
host_init(void)
{
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        host_cpus[i].index = i;
        host_cpus[i].held = &held[i];
    }
    host_seed(seed);
}

static void *
reserve(void *at, uint64_t size)
{
    void *p = mmap(at, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        perror("host: mmap");
        exit(2);
    }
    return p;
}

void
host_memory(unsigned page_shift, uint64_t npages)
{
    uint64_t align = (uint64_t)1 << 30;     /* a frame of any size */
    void *p;

    host_ram_size = npages << page_shift;
    if (host_ram_size > RAM_MAX || npages > FRAMES_MAX) {
        kern_panic("host: more than %llu bytes of RAM",
            (unsigned long long)RAM_MAX);
    }
    if (host_ram == NULL) {
        p = reserve(RAM_AT, RAM_MAX + align);
        host_ram = (unsigned char *)
            (((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
        frames = reserve(host_ram + RAM_MAX + align, 
            VM_PAGE_ENTRIES(FRAMES_MAX) * sizeof(*frames));
    }
    /* A frame that nobody zeroed shows. */
    memset(host_ram, 0xa5, host_ram_size);
    memset(frames, 0, npages * sizeof(*frames));
    for (unsigned i = 0; i < VM_MAX_CPUS; i++) {
        host_cpus[i].preempt = 0;
        host_cpus[i].interrupted = 0;
        held[i] = (struct vm_held){ { 0 } };
    }
    host_fail_after(0);
    if (host_hooks.boot != NULL) {
        host_hooks.boot();
    }
    vm_page_shift = page_shift;
    vm_page_bootstrap(frames, HOST_RAM_BASE, npages);
    vm_zone_bootstrap();
    vm_page_release(HOST_RAM_BASE, npages);
}

void
host_memory_end(void)
{
    if (host_ram != NULL) {
        madvise(host_ram, host_ram_size, MADV_DONTNEED);
    }
}

/* ---- CPUs ------------------------------------------------------------- */

void
host_set_mode(enum host_mode m)
{
    mode = m;
}

enum host_mode
host_get_mode(void)
{
    return mode;
}

struct thread {
    pthread_t id;
    struct host_cpu *cpu;
    void (*fn)(void *, unsigned);
    void *arg;
};

static void *
thread_main(void *p)
{
    struct thread *t = p;

    host_self = t->cpu;
    t->fn(t->arg, t->cpu->index);
    return NULL;
}

void
host_run(unsigned n, void (*fn)(void *, unsigned), void *arg)
{
    struct thread t[VM_MAX_CPUS];

    KASSERT(n > 0 && n <= VM_MAX_CPUS);
    if (mode == HOST_FIBERS) {
        run_expect = host_self->expect;
        host_fiber_run(n, fn, arg);
        if (host_fiber_abandoned()) {
            longjmp(*(jmp_buf *)run_expect, 1);
        }
        host_self->expect = run_expect;
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        t[i] = (struct thread){ .cpu = &host_cpus[i], .fn = fn, .arg = arg };
        if (pthread_create(&t[i].id, NULL, thread_main, &t[i]) != 0) {
            kern_panic("host: no thread for CPU %u", i);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(t[i].id, NULL);
    }
}

void
host_relax(void)
{
    if (host_in_fibers) {
        host_fiber_relax();
    } else {
        sched_yield();
    }
}

void
host_yield(void)
{
    host_relax();
}

void
host_sleep_steps(uint64_t n)
{
    if (host_in_fibers) {
        host_fiber_sleep(n);
    } else {
        usleep((useconds_t)(n < 10000 ? n : 10000));
    }
}

/* ---- sleeping --------------------------------------------------------- */

static long
futex(_Atomic uint32_t *word, int op, uint32_t value, time_t s, long ns)
{
    struct timespec timeout = { .tv_sec = s, .tv_nsec = ns };

    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value,
        op == FUTEX_WAIT ? &timeout : NULL, NULL, 0);
}

int
kern_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible)
{
    KASSERT(host_self->preempt == 0);
    if (host_in_fibers) {
        return host_fiber_wait(word, value, interruptible);
    }
    /* host_interrupt() does not know the word: look every 5 ms. */
    while (interruptible && atomic_load(word) == value) {
        if (atomic_exchange(&host_self->interrupted, 0) != 0) {
            return VM_E_INTR;
        }
        (void)futex(word, FUTEX_WAIT, value, 0, 5000000);
    }
    if (!interruptible && atomic_load(word) == value &&
        futex(word, FUTEX_WAIT, value, LOST_SECONDS, 0) != 0 &&
        errno == ETIMEDOUT) {
        kern_panic("host: CPU %u has slept on %p for %d s",
            host_self->index, (void *)word, LOST_SECONDS);
    }
    return 0;
}

void
kern_wake(_Atomic uint32_t *word)
{
    if (host_in_fibers) {
        host_fiber_wake(word);
    } else {
        (void)futex(word, FUTEX_WAKE, INT32_MAX, 0, 0);
    }
}

void
host_interrupt(unsigned cpu)
{
    /* A fiber that waits looks at it whenever it could be chosen. */
    atomic_store(&host_cpus[cpu].interrupted, 1);
}

void
kern_memory_low(void)
{
    if (host_hooks.memory_low != NULL) {
        host_hooks.memory_low();
    }
}

/* ---- test hooks ------------------------------------------------------- */

#if VM_TEST
void
kern_test_point(void)
{
    if (host_hooks.point != NULL) {
        host_hooks.point();
    }
    if (host_in_fibers) {
        host_fiber_point();
    }
}

bool
kern_test_fail(void)
{
    long seen = atomic_fetch_add_explicit(&fail_seen, 1,
        memory_order_relaxed) + 1;

    if (host_hooks.alloc != NULL) {
        host_hooks.alloc();
    }
    return seen == atomic_load_explicit(&fail_at, memory_order_relaxed);
}
#endif

void
host_fail_after(long n)
{
    atomic_store(&fail_seen, 0);
    atomic_store(&fail_at, n);
}

long
host_fail_count(void)
{
    return atomic_load(&fail_seen);
}

/* ---- panic ------------------------------------------------------------ */

void
host_bad_frame(paddr_t pa)
{
    kern_panic("host: %#llx is not in RAM", (unsigned long long)pa);
}

void
kern_panic(const char *fmt, ...)
{
    static _Atomic unsigned panics;
    jmp_buf *expect = host_self->expect;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, ap);
    va_end(ap);
    /* Its own CPU's expectation comes before that of host_run()'s caller. */
    if (host_in_fibers && run_expect != NULL &&
        (expect == NULL || expect == run_expect)) {
        host_fiber_abandon();
    }
    if (expect != NULL) {
        longjmp(*expect, 1);
    }
    fprintf(stderr, "panic: CPU %u: %s\n"
        "# seed %llu, %s; the same seed repeats it%s\n",
        host_self->index, panic_text, (unsigned long long)seed,
        mode == HOST_FIBERS ? "fibers" : "threads",
        mode == HOST_FIBERS ? "" : " only in fibers");
    if (atomic_fetch_add(&panics, 1) == 0 && host_hooks.panic != NULL) {
        host_hooks.panic();
    }
    abort();
}

const char *
host_panic_text(void)
{
    return panic_text;
}

bool
host_expect_panic(void (*fn)(void *), void *arg)
{
    struct vm_held was = *host_self->held;
    unsigned preempt = host_self->preempt;
    void *outer = host_self->expect;
    volatile bool panicked = true;
    jmp_buf here;

    if (setjmp(here) == 0) {
        host_self->expect = &here;
        fn(arg);
        panicked = false;
    }
    host_self->expect = outer;
    if (panicked) {
        host_self->preempt = preempt;
        *host_self->held = was;
    }
    return panicked;
}
