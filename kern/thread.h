/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.h - kernel threads, the scheduler, sleeping.
 *
 *            create
 *               |        wakeup, timeout, interrupt
 *               v       <----------------------------
 *   NEW ----> READY ----> RUNNING ----> SLEEPING ----+
 *               ^------------'  |
 *                 preempted     '----> DEAD (reaped by the next thread)
 *
 * One run queue a CPU, round robin, one slice each.  The timer is armed only
 * while somebody waits for a time or for the CPU: an idle or lone thread takes
 * no ticks.
 *
 * A thread of a program has a process and the user registers that go with
 * it; a kernel thread has neither and runs in whatever space was last there.
 */
#ifndef THREAD_H
#define THREAD_H

#include "kern.h"
#include "md.h"
#include "thread_head.h"
#include "vm_fault.h"

struct proc;

enum thread_state {
    THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD
};

#define THREAD_STACK_PAGES 4u           /* hardware pages of 4 KiB */
#define THREAD_STACK_SIZE  (THREAD_STACK_PAGES * 4096u)

struct thread {
    struct thread_head head;    /* first */
    uint64_t context;           /* (r) saved kernel context */
    enum thread_state state;    /* (r) */
    struct thread *next;        /* (r) run queue, or (w) bucket of waiters */
    struct thread *prev;        /* (w) */
    _Atomic uint32_t *_Atomic wait_word;        /* (w) what it sleeps on */
    bool is_idle;               /* (c) of some CPU; never sleeps */
    bool urgent;                /* (t) when the timer wakes it, it runs */
    bool interruptible;         /* (w) */
    int wait_result;            /* (w) what thread_wait() will return */
    uint64_t deadline;          /* (r) ticks; 0: not in the list */
    struct thread *time_next, *time_prev;       /* (r) in order of deadline */
    uint64_t slice_end;         /* (r) ticks */
    uint64_t ran;               /* (r) ticks of CPU time until started */
    uint64_t started;           /* (r) ticks */
    const char *name;           /* (c) */
    struct vm_map *map;         /* (c but for exec) the space it runs in;
                                   NULL: any */
    struct vm_progress progress;
    struct md_user *user;       /* registers beside the frame, or NULL;
                                   stale while the thread runs */
    struct proc *proc;          /* or NULL */
    _Atomic uint32_t stop;      /* sleeping interruptibly makes no sense now */
    void (*start_fn)(void *);   /* (c) */
    void *start_arg;            /* (c) */
    vaddr_t stack;              /* (c) bottom; 0: the boot thread's */
    struct thread *sibling;     /* (proc's) threads of the same process */
    /* What the personality keeps for each thread: kern/unix/proc.h. */
    void *unix_thread;
};

static inline struct thread *
thread_current(void)
{
    return md_current();
}

static inline struct md_frame *
thread_frame(struct thread *t)
{
    return (struct md_frame *)(uintptr_t)(t->head.kstack - MD_FRAME_SIZE);
}

/*
 * thread_create - a thread that will run fn(arg); thread_start makes it
 * ready.  name is not copied.
 * => Fails: VM_E_NOMEM
 * thread_destroy - one that was never started.
 */
int thread_create(const char *name, void (*fn)(void *), void *arg,
    struct thread **out) VM_MUST_CHECK;
void thread_start(struct thread *t);
void thread_destroy(struct thread *t);
/* The running thread ends.  Its stack is freed by whoever runs next. */
_Noreturn void thread_exit(void);
/* Give the CPU to another that is ready, if there is one. */
void thread_yield(void);

/*
 * thread_user_create - give t the registers that a program has beside the
 * frame (t->user), as a new program finds them; freed with the thread.  t
 * is the running thread or was not started yet, and has none.
 * => Fails: VM_E_NOMEM
 */
int thread_user_create(struct thread *t) VM_MUST_CHECK;

/* The space of the running thread changes (exec, exit: NULL). */
void thread_set_map(struct vm_map *map);

/*
 * thread_wait - kern_wait() with a deadline in ns of kern_now(), 0: none.
 * => Returns: 0; VM_E_INTR; VM_E_BUSY, the deadline has passed
 */
int thread_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible,
    uint64_t deadline) VM_MUST_CHECK;
/* Wake at most n of the sleepers on word, oldest first; how many. */
unsigned thread_wake(_Atomic uint32_t *word, unsigned n);
/* Wake t if it sleeps interruptibly: it gets VM_E_INTR.  Sets work bits. */
void thread_interrupt(struct thread *t, uint32_t work);
/* Until kern_now() >= ns. */
int thread_sleep_until(uint64_t ns, bool interruptible) VM_MUST_CHECK;

/*
 * Once, by kern_main after vm_init(): the boot thread, md_current() since
 * start.S with preempt 1 and settled 1, becomes CPU 0's idle thread.  Until
 * it goes to its loop it may call what can sleep, but never has to.
 */
void thread_bootstrap(struct thread *boot, uint64_t stack_top);
/* The scheduler takes over; the caller is the idle thread from now on. */
_Noreturn void thread_idle_loop(void);

/* For ps, meminfo and the tests. */
uint64_t thread_count(void);

#endif
