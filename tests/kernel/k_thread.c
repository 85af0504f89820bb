/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * k_thread.c - threads, the scheduler, sleeping and being woken.
 */
#include "ktest.h"

#define MS      UINT64_C(1000000)

static _Atomic uint32_t counter, gate;

static void
count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&counter, 1);
}

KTEST(create)
{
    struct ktest_thread t;
    uint64_t before = thread_count();

    counter = 0;
    KREQUIRE(ktest_spawn(&t, count, NULL));
    ktest_join(&t);
    KCHECK(counter == 1);
    thread_yield();
    KCHECK(thread_count() == before);
}

KTEST(destroy)
{
    struct thread *t;
    uint64_t before = thread_count();

    KREQUIRE(thread_create("unborn", count, NULL, &t) == VM_OK);
    KCHECK(thread_count() == before + 1);
    thread_destroy(t);
    KCHECK(thread_count() == before);
}

/* ---- preemption ------------------------------------------------------- */

static void
spin(void *arg)
{
    volatile uint64_t *turns = arg;

    while (vm_get(&gate) == 0) {
        (*turns)++;
    }
}

/* Two that never give way, and we, who sleep: all get on. */
KTEST(preempt)
{
    struct ktest_thread t[2];
    static uint64_t turns[2];
    uint64_t end = kern_now() + 200 * MS;

    gate = 0;
    turns[0] = 0;
    turns[1] = 0;
    KREQUIRE(ktest_spawn(&t[0], spin, &turns[0]));
    KREQUIRE(ktest_spawn(&t[1], spin, &turns[1]));
    KCHECK(thread_sleep_until(end, false) == VM_OK);
    KCHECK(kern_now() >= end);
    gate = 1;
    ktest_join(&t[0]);
    ktest_join(&t[1]);
    KCHECK(turns[0] != 0 && turns[1] != 0);
}

/* A switch that is due while preemption is disabled comes at once after. */
KTEST(preempt_disabled)
{
    struct ktest_thread t;
    uint64_t end;

    counter = 0;
    kern_preempt_disable();
    KREQUIRE(ktest_spawn(&t, count, NULL));
    end = kern_now() + 40 * MS;
    while (kern_now() < end) {
        kern_relax();
    }
    KCHECK(counter == 0);
    kern_preempt_enable();
    KCHECK(counter == 1);
    ktest_join(&t);
}

/* Registers survive being preempted at any instruction. */
static void
churn(void *arg)
{
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    bool *good = arg;

    for (unsigned i = 0; vm_get(&gate) == 0; i++) {
        a += b, b += c, c += d, d += e, e += f, f += g, g += h, h += 1;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e),
            "+r"(f), "+r"(g), "+r"(h));
        h -= 1, g -= h, f -= g, e -= f, d -= e, c -= d, b -= c, a -= b;
        *good = *good && a == 1 && b == 2 && c == 3 && d == 4 && e == 5 &&
            f == 6 && g == 7 && h == 8;
    }
}

KTEST(registers)
{
    struct ktest_thread t[3];
    static bool good[3];

    gate = 0;
    for (unsigned i = 0; i < 3; i++) {
        good[i] = true;
        KREQUIRE(ktest_spawn(&t[i], churn, &good[i]));
    }
    KCHECK(thread_sleep_until(kern_now() + 200 * MS, false) == VM_OK);
    gate = 1;
    for (unsigned i = 0; i < 3; i++) {
        ktest_join(&t[i]);
        KCHECK(good[i]);
    }
}

/* ---- waking ----------------------------------------------------------- */

static _Atomic uint32_t word, order, asleep;

struct sleeper {
    struct ktest_thread thread;
    uint32_t woken;             /* 1: first */
    int error;
    bool interruptible;
    uint64_t deadline;
};

static void
sleeper(void *arg)
{
    struct sleeper *s = arg;

    atomic_fetch_add(&asleep, 1);
    s->error = thread_wait(&word, 0, s->interruptible, s->deadline);
    s->woken = atomic_fetch_add(&order, 1) + 1;
}

static bool
put_to_sleep(struct sleeper *s, unsigned n)
{
    asleep = 0;
    order = 0;
    word = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!ktest_spawn(&s[i].thread, sleeper, &s[i])) {
            return false;
        }
    }
    while (asleep < n) {
        thread_yield();
    }
    thread_yield();
    return true;
}

KTEST(wake_order)
{
    static struct sleeper s[8];

    memset(s, 0, sizeof(s));
    KREQUIRE(put_to_sleep(s, 8));
    KCHECK(thread_wake(&word, 3) == 3);
    while (order < 3) {
        thread_yield();
    }
    thread_yield();
    KCHECK(order == 3);
    word = 1;
    KCHECK(thread_wake(&word, UINT32_MAX) == 5);
    for (unsigned i = 0; i < 8; i++) {
        ktest_join(&s[i].thread);
        KCHECK(s[i].woken == i + 1);
        KCHECK(s[i].error == VM_OK);
    }
    KCHECK(thread_wake(&word, UINT32_MAX) == 0);
}

KTEST(wait_changed)
{
    word = 1;
    KCHECK(kern_wait(&word, 0, false) == VM_OK);
    KCHECK(thread_wait(&word, 0, true, kern_now() + 1000 * MS) == VM_OK);
}

KTEST(timeouts)
{
    static struct sleeper s[6];
    uint64_t start = kern_now();

    memset(s, 0, sizeof(s));
    for (unsigned i = 0; i < 6; i++) {
        /* Not in the order of creation. */
        s[i].deadline = start + (20 + (i * 5 % 6) * 10) * MS;
    }
    KREQUIRE(put_to_sleep(s, 6));
    for (unsigned i = 0; i < 6; i++) {
        ktest_join(&s[i].thread);
        KCHECK(s[i].error == VM_E_BUSY);
        KCHECK(s[i].woken == i * 5 % 6 + 1);
    }
    KCHECK(kern_now() >= start + 70 * MS);
    /* In time, give or take what a busy host does to it. */
    KCHECK(kern_now() < start + 2000 * MS);
    KCHECK(thread_wait(&word, 0, false, start) == VM_E_BUSY);
}

KTEST(wake_before_timeout)
{
    static struct sleeper s;

    memset(&s, 0, sizeof(s));
    s.deadline = kern_now() + 10000 * MS;
    KREQUIRE(put_to_sleep(&s, 1));
    KCHECK(thread_wake(&word, 1) == 1);
    ktest_join(&s.thread);
    KCHECK(s.error == VM_OK);
    KCHECK(kern_now() < s.deadline);
}

KTEST(interrupt)
{
    static struct sleeper s[2];

    memset(s, 0, sizeof(s));
    s[0].interruptible = true;
    KREQUIRE(put_to_sleep(s, 2));
    thread_interrupt(s[0].thread.thread, WORK_SIGNAL);
    thread_interrupt(s[1].thread.thread, WORK_SIGNAL);
    ktest_join(&s[0].thread);
    KCHECK(s[0].error == VM_E_INTR);
    KCHECK(order == 1);         /* the other one sleeps on */
    KCHECK(thread_wake(&word, 2) == 1);
    ktest_join(&s[1].thread);
    KCHECK(s[1].error == VM_OK);
}

/* A signal that came before the sleep counts. */
static void
interrupted_before(void *arg)
{
    int *error = arg;

    thread_interrupt(thread_current(), WORK_SIGNAL);
    word = 0;
    *error = kern_wait(&word, 0, true);
}

KTEST(interrupt_before)
{
    struct ktest_thread t;
    int error = VM_OK;

    KREQUIRE(ktest_spawn(&t, interrupted_before, &error));
    ktest_join(&t);
    KCHECK(error == VM_E_INTR);
}

/* ---- ping and pong ---------------------------------------------------- */

#define ROUNDS  2000u

static _Atomic uint32_t ball;

static void
pong(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        while (vm_get(&ball) != me) {
            (void)kern_wait(&ball, !me, false);
        }
        atomic_store(&ball, !me);
        kern_wake(&ball);
    }
}

KTEST(ping_pong)
{
    struct ktest_thread t[2];
    uint64_t start = kern_now();

    ball = 0;
    KREQUIRE(ktest_spawn(&t[0], pong, (void *)0));
    KREQUIRE(ktest_spawn(&t[1], pong, (void *)1));
    ktest_join(&t[0]);
    ktest_join(&t[1]);
    KCHECK(ball == 0);
    ktest_say("ns for sleep, wake and switch: %llu",
        (unsigned long long)((kern_now() - start) / (2 * ROUNDS)));
}

/* ---- many ------------------------------------------------------------- */

#define MANY    1000u

static struct vm_mutex many_lock = VM_MUTEX_INIT(KERN_RANK_PROCS);
static unsigned many_count;

static void
one_of_many(void *arg)
{
    (void)arg;
    while (vm_get(&gate) == 0) {
        (void)kern_wait(&gate, 0, false);
    }
    for (unsigned i = 0; i < 5; i++) {
        unsigned seen;

        vm_mutex_lock(&many_lock);
        seen = many_count;
        if (i == 2) {
            thread_yield();
        }
        many_count = seen + 1;
        vm_mutex_unlock(&many_lock);
    }
}

KTEST(thousand)
{
    struct ktest_thread *t = kern_alloc(MANY * sizeof(*t));
    unsigned n = 0;

    KREQUIRE(t != NULL);
    gate = 0;
    many_count = 0;
    while (n < MANY && ktest_spawn(&t[n], one_of_many, NULL)) {
        n++;
    }
    KCHECK(n == MANY);
    thread_yield();
    gate = 1;
    kern_wake(&gate);
    for (unsigned i = 0; i < n; i++) {
        ktest_join(&t[i]);
    }
    KCHECK(many_count == 5 * n);
    kern_free(t, MANY * sizeof(*t));
}

/* ---- stacks ----------------------------------------------------------- */

static void
stack_probe(void *arg)
{
    vaddr_t bottom = thread_current()->stack;
    uint64_t value = 0;

    (void)arg;
    KCHECK((bottom & (THREAD_STACK_SIZE - 1)) == 0);
    KCHECK((bottom & THREAD_STACK_SIZE) != 0 ||
        VM_PAGE_SIZE > THREAD_STACK_SIZE);
    KCHECK(md_probe(bottom, VM_PROT_READ, false, &value));
    for (vsize_t below = 8; below <= THREAD_STACK_SIZE; below += 2040) {
        KCHECK(!md_probe(bottom - below, VM_PROT_READ, false, &value));
        KCHECK(!md_probe(bottom - below, VM_PROT_WRITE, false, &value));
    }
    KCHECK(!md_probe(thread_current()->head.kstack, VM_PROT_READ, false,
        &value));
}

KTEST(stack_guard)
{
    struct ktest_thread t[4];

    for (unsigned i = 0; i < 4; i++) {
        KREQUIRE(ktest_spawn(&t[i], stack_probe, NULL));
    }
    for (unsigned i = 0; i < 4; i++) {
        ktest_join(&t[i]);
    }
}

/* ---- time ------------------------------------------------------------- */

KTEST(time)
{
    uint64_t last = kern_now(), now;

    for (unsigned i = 0; i < 10000; i++) {
        now = kern_now();
        KREQUIRE(now >= last);
        last = now;
    }
    for (unsigned i = 1; i < 6; i++) {
        now = kern_now() + i * MS;
        KCHECK(thread_sleep_until(now, true) == VM_OK);
        KCHECK(kern_now() >= now);
    }
}
