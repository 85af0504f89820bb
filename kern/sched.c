/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched.c - who runs next, and the timer.
 *
 *   queue    head -> ... -> tail, round robin; the idle thread is in none
 *   current  RUNNING, in no queue; when its slice ends and somebody is
 *            ready, it goes to the tail
 *
 * TIMER.  It is set only for a reason: the first deadline of a sleeper, or
 * the end of the slice while somebody else is ready.  Setting it may be a
 * call to firmware, so it is set lazily: one that will fire earlier than
 * needed is left to fire, and set anew then.  Two threads that wake each
 * other thousands of times a slice set it once a slice.  With the option
 * tick=MS it fires every so often, too: QEMU's record mode hands over input
 * only when it does.
 *
 * SPACES.  A kernel thread runs in whatever space is loaded; user registers
 * (floating point) stay in the CPU until another program's thread comes.
 *
 * Locks: a queue's (RUN), never two; all with interrupts disabled.
 */
#include "idle.h"
#include "pmap.h"
#include "sched.h"

struct sched_cpu sched_cpus[VM_MAX_CPUS];
uint64_t sched_slice;
uint64_t sched_period;

/* ---- the timer -------------------------------------------------------- */

/* What this CPU needs the timer for now; the lock is held. */
static void
sched_rearm(struct sched_cpu *c)
{
    if (c->time_head != NULL) {
        sched_timer(c, c->time_head->deadline);
    }
    if (c->head != NULL && c->current != c->idle) {
        sched_timer(c, c->current->slice_end);
    }
}

void
sched_wish(struct sched_cpu *c)
{
    struct thread *t = c->current;

    if (t == c->idle) {
        return;                 /* it looks by itself */
    }
    *(volatile uint32_t *)&t->head.settled = 0;
    if (t->user != NULL) {
        (void)atomic_fetch_or_explicit(&t->head.work, WORK_RESCHED,
            memory_order_relaxed);
    }
}

void
sched_hurry(struct thread *t)
{
    struct sched_cpu *c = sched_this();
    struct thread **at = &c->head, *before = NULL;

    sched_lock(&c->lock);
    while (*at != NULL && *at != t) {
        before = *at;
        at = &before->next;
    }
    if (*at == t && before != NULL) {
        before->next = t->next;
        c->tail = t == c->tail ? before : c->tail;
        t->next = c->head;
        c->head = t;
    }
    sched_wish(c);
    sched_unlock(&c->lock);
}

void
sched_tick(uint64_t now)
{
    struct sched_cpu *c = sched_this();

    sched_lock(&c->lock);
    if (c->head != NULL && c->current != c->idle &&
        now >= c->current->slice_end) {
        sched_wish(c);
        /* Until it gives way there is nothing to wake up for. */
        c->current->slice_end = now + sched_slice;
    }
    sched_rearm(c);
    if (sched_period != 0) {
        sched_timer(c, now + sched_period);
    }
    sched_unlock(&c->lock);
}

/* ---- deadlines -------------------------------------------------------- */

void
sched_timeout(struct thread *t)
{
    struct sched_cpu *c = &sched_cpus[t->head.cpu];
    struct thread *after;

    sched_lock(&c->lock);
    /* Most often the latest deadline so far. */
    after = c->time_tail;
    while (after != NULL && after->deadline > t->deadline) {
        after = after->time_prev;
    }
    t->time_prev = after;
    t->time_next = after != NULL ? after->time_next : c->time_head;
    if (t->time_next != NULL) {
        t->time_next->time_prev = t;
    } else {
        c->time_tail = t;
    }
    if (after != NULL) {
        after->time_next = t;
    } else {
        c->time_head = t;
        sched_timer(c, t->deadline);
    }
    sched_unlock(&c->lock);
}

/* The lock is held. */
static void
timeout_remove(struct sched_cpu *c, struct thread *t)
{
    if (t->time_prev != NULL) {
        t->time_prev->time_next = t->time_next;
    } else {
        c->time_head = t->time_next;
    }
    if (t->time_next != NULL) {
        t->time_next->time_prev = t->time_prev;
    } else {
        c->time_tail = t->time_prev;
    }
    t->deadline = 0;
}

void
sched_timeout_cancel(struct thread *t)
{
    struct sched_cpu *c = &sched_cpus[t->head.cpu];

    sched_lock(&c->lock);
    if (t->deadline != 0) {
        timeout_remove(c, t);
    }
    sched_unlock(&c->lock);
}

struct thread *
sched_expired(uint64_t now)
{
    struct sched_cpu *c = sched_this();
    struct thread *t;

    sched_lock(&c->lock);
    t = c->time_head;
    if (t != NULL && t->deadline <= now) {
        timeout_remove(c, t);
    } else {
        t = NULL;
    }
    sched_unlock(&c->lock);
    return t;
}

/* ---- queues ----------------------------------------------------------- */

static inline struct thread *
queue_get(struct sched_cpu *c)
{
    struct thread *t = c->head;

    if (t != NULL) {
        c->head = t->next;
    }
    return t;
}

/* ---- switching -------------------------------------------------------- */

void
sched_space(struct sched_cpu *c, struct thread *t)
{
    struct pmap *pm = t->map != NULL ? t->map->pmap : pmap_kernel();

    if (c->space == pm) {
        return;
    }
    if (t->map != NULL && __builtin_expect(vm_get(&t->map->rest) != 0, 0)) {
        kern_idle_over(t);
    }
    if (pmap_activate(pm) == VM_OK) {
        c->space = pm;
        return;
    }
    /* In no space at all, rather than in a stranger's. */
    if (pmap_activate(pmap_kernel()) != VM_OK) {
        kern_panic("no way into the kernel's own space");
    }
    c->space = pmap_kernel();
    (void)atomic_fetch_or_explicit(&t->head.work, WORK_SPACE,
        memory_order_relaxed);
}

/* Neither is on a queue; both are this CPU's. */
static inline void
switch_threads(struct sched_cpu *c, struct thread *prev, struct thread *next)
{
    if (next->user != NULL && c->user != next) {
        if (c->user != NULL) {
            md_user_save(c->user->user);
        }
        c->user = next;
        md_user_load(next->user);
    }
    /* next is current from here on for whoever asks c, not md_current(). */
    if (next->map != NULL && next->map->pmap != c->space) {
        sched_space(c, next);
    }
    c->leaving = prev;
    md_switch(&prev->context, next->context, &next->head);
    /* Much later; perhaps on another CPU. */
    sched_arrived();
}

void
sched_arrived(void)
{
    struct sched_cpu *c = sched_this();
    struct thread *left = c->leaving;

    c->leaving = NULL;
    if (left->state == THREAD_DEAD) {
        thread_reap(c, left);
    }
}

void
sched_switch(void)
{
    struct sched_cpu *c = sched_this();
    struct thread *prev = c->current, *next;
    uint64_t now = md_ticks();

    KASSERT(!md_irq_enabled());
    sched_lock(&c->lock);
    prev->head.settled = 1;
    if ((vm_get(&prev->head.work) & WORK_RESCHED) != 0) {
        (void)atomic_fetch_and_explicit(&prev->head.work, ~WORK_RESCHED,
            memory_order_relaxed);
    }
    if (prev->state == THREAD_RUNNING && prev != c->idle) {
        if (c->head == NULL) {
            prev->slice_end = now + sched_slice;
            sched_unlock(&c->lock);
            return;
        }
        sched_put(c, prev);
    }
    next = queue_get(c);
    if (next == NULL) {
        next = c->idle;
    }
    next->state = THREAD_RUNNING;
    next->slice_end = now + sched_slice;
    c->current = next;
    if (c->head != NULL) {
        sched_timer(c, next->slice_end);
    }
    sched_unlock(&c->lock);
    if (next == prev) {
        return;
    }
    prev->ran += now - prev->started;
    next->started = now;
    switch_threads(c, prev, next);
}

/* ---- preemption ------------------------------------------------------- */

void
kern_preempt_now(void)
{
    if (md_irq_enabled()) {
        (void)md_irq_save();
        sched_switch();
        md_irq_restore(true);
    }
}

void
kern_preempt_irq(void)
{
    sched_switch();
}

void
thread_yield(void)
{
    bool enabled = md_irq_save();

    sched_switch();
    md_irq_restore(enabled);
}

/* ---- the idle thread -------------------------------------------------- */

void
sched_adopt(struct thread *idle, unsigned cpu)
{
    struct sched_cpu *c = &sched_cpus[cpu];

    c->lock = (struct vm_spin)VM_SPIN_INIT(KERN_RANK_RUN);
    c->current = idle;
    c->idle = idle;
    c->armed = SCHED_NEVER;
    c->space = pmap_kernel();
    idle->head.cpu = cpu;
    idle->state = THREAD_RUNNING;
    idle->started = md_ticks();
}

_Noreturn void
thread_idle_loop(void)
{
    struct sched_cpu *c = sched_this();

    KASSERT(thread_current() == c->idle);
    if (sched_period != 0) {
        (void)md_irq_save();
        sched_tick(md_ticks());
    }
    for (;;) {
        (void)md_irq_save();
        if (c->head != NULL) {
            sched_switch();
        } else {
            md_idle();
        }
    }
}
