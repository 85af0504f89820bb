/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched.h - inside the scheduler: thread.c, sched.c, wait.c, trap.c, lock.c.
 *
 * AFFINITY.  A thread is woken on the CPU where it last ran (head.cpu): it
 * is put on that CPU's queue, under that queue's lock.  So a thread that is
 * woken between going to sleep and having left its stack is safe: the only
 * CPU that could run it is still busy leaving it.  One CPU may take a
 * thread from another's queue (under its lock) if it is not that CPU's
 * current, leaving or user; that is all that balancing has to mind.
 *
 * Fields: (r) lock; (i) this CPU only, interrupts disabled.
 */
#ifndef SCHED_H
#define SCHED_H

#include "thread.h"

#define SCHED_SLICE_MS  10u
#define SCHED_NEVER     UINT64_MAX
#define SCHED_STACKS    32u             /* kept mapped, unused, on each CPU */

struct sched_cpu {
    struct vm_spin lock;
    struct thread *head, *tail;         /* (r) ready, in order */
    struct thread *current;             /* (i) */
    struct thread *idle;                /* (c) */
    struct thread *leaving;             /* (i) its stack is still in use */
    struct thread *user;                /* (i) whose md_user is loaded */
    /* (i) what pmap_activate() got: not reused until this CPU has left it. */
    struct pmap *space;
    uint64_t armed;                     /* (i) the timer will fire then */
    struct thread *time_head, *time_tail;       /* (r) by deadline */
    vaddr_t stacks;                     /* (i) list of unused stacks */
    unsigned nstacks;                   /* (i) */
} __attribute__((aligned(128)));

extern struct sched_cpu sched_cpus[VM_MAX_CPUS];
extern uint64_t sched_slice;            /* (c) ticks */
extern uint64_t sched_period;           /* (c) ticks; 0: only when needed */

static inline struct sched_cpu *
sched_of(unsigned cpu)
{
    struct sched_cpu *c = &sched_cpus[cpu];

    /* Or else the address is worked out again for every field. */
    __asm__("" : "+r"(c));
    return c;
}

/* Stable while preemption or interrupts are disabled. */
static inline struct sched_cpu *
sched_this(void)
{
    return sched_of(kern_cpu());
}

/* The bare lock: the caller has disabled interrupts and tells vm_held. */
static inline void
sched_spin_lock(struct vm_spin *l)
{
    uint32_t free = 0;

    /* Acquire and release, as in vm_lock.h. */
    if (!atomic_compare_exchange_strong_explicit(&l->word, &free, 1,
            memory_order_acquire, memory_order_relaxed)) {
        vm_spin_wait(&l->word, 1);
    }
}

static inline void
sched_spin_unlock(struct vm_spin *l)
{
    KASSERT(vm_get(&l->word) == 1);
    atomic_store_explicit(&l->word, 0, memory_order_release);
}

/* With rank, interrupts being disabled already. */
static inline void
sched_lock(struct vm_spin *l)
{
    vm_held_acquire((enum vm_rank)l->rank);
    sched_spin_lock(l);
}

static inline void
sched_unlock(struct vm_spin *l)
{
    sched_spin_unlock(l);
    vm_held_release((enum vm_rank)l->rank);
}

/* Both words of vm_kern_md.h: may be switched from, and is asked to. */
static inline bool
sched_due(void)
{
    return *(volatile uint64_t *)(void *)&kern_head()->preempt == 0;
}

static inline void
sched_irq_restore(bool enabled)
{
    if (enabled) {
        md_irq_restore(true);
        if (__builtin_expect(sched_due(), 0)) {
            kern_preempt_now();
        }
    }
}

/* The timer of this CPU will fire at that tick or before. */
static inline void
sched_timer(struct sched_cpu *c, uint64_t at)
{
    if (__builtin_expect(at < c->armed, 0)) {
        c->armed = at;
        md_timer_set(at);
    }
}

/* To the end of the queue; its lock is held. */
static inline void
sched_put(struct sched_cpu *c, struct thread *t)
{
    t->state = THREAD_READY;
    t->next = NULL;
    if (c->head == NULL) {
        c->head = t;
    } else {
        c->tail->next = t;
    }
    c->tail = t;
}

/*
 * t, NEW or SLEEPING and in no queue, becomes READY.  Inline for the sake of
 * wakeups.  => Context: interrupts disabled, no queue's lock held
 */
static inline void
sched_ready(struct thread *t)
{
    unsigned cpu = t->head.cpu;
    struct sched_cpu *c = sched_of(cpu);

    sched_lock(&c->lock);
    sched_put(c, t);
    if (__builtin_expect(cpu != kern_cpu(), 0)) {
        sched_unlock(&c->lock);
        md_ipi(cpu);            /* sets its own timer, or stops idling */
        return;
    }
    if (c->current != c->idle) {
        sched_timer(c, c->current->slice_end);
    }
    sched_unlock(&c->lock);
}

/*
 * All with interrupts disabled, no scheduler lock held.
 *
 * sched_switch   run somebody else, unless the caller is RUNNING and alone;
 *                returns when it is the caller's turn again
 * sched_timeout  t's deadline is set: file it; _cancel: take it out if it
 *                is filed
 * sched_expired  the first thread whose deadline has come, or NULL; it
 *                is out of the list
 * sched_tick     after the timer fired
 * sched_wish     this CPU's current thread is to give way
 */
void sched_switch(void);
/* The first thing that a thread does when it has been switched to. */
void sched_arrived(void);
void sched_timeout(struct thread *t);
void sched_timeout_cancel(struct thread *t);
struct thread *sched_expired(uint64_t now);
void sched_tick(uint64_t now);
void sched_wish(struct sched_cpu *c);
/* t, which the timer has just made ready here, is to run next, and now. */
void sched_hurry(struct thread *t);
/* Load current's space; WORK_SPACE is set if there is no memory for it. */
void sched_space(struct sched_cpu *c, struct thread *t);

/* A CPU's first thread, which runs now, becomes its idle thread. */
void sched_adopt(struct thread *idle, unsigned cpu);

/* thread.c: t has died and nobody is on its stack. */
void thread_reap(struct sched_cpu *c, struct thread *t);
/* thread.c: give unused stacks beyond keep back; sleeps. */
void thread_trim_stacks(unsigned keep);
/* wait.c: after a timer interrupt, end the sleeps whose time has come. */
void wait_expire(uint64_t now);

/* mmu.c: load the roots that other CPUs have asked this one to load. */
void kern_mmu_serve(void);

/* time.c */
uint64_t time_deadline(uint64_t ns);    /* in ticks, never 0 */

/* alloc.c */
void alloc_bootstrap(void);
/*
 * A stack of THREAD_STACK_SIZE or an MI page, whichever is more, aligned
 * to twice that and a half: the address bit of its size is 1 everywhere in
 * it, and 0 in the unmapped pages below.  Returns its bottom or 0; sleeps.
 */
vaddr_t alloc_stack(void);
void alloc_stack_free(vaddr_t bottom);
vsize_t alloc_stack_size(void);

#endif
