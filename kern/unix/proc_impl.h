/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proc_impl.h - between process.c, wait.c, exec.c, signal.c, futex.c, time.c
 * and start.c.  Lock letters are those of proc.h.
 */
#ifndef PROC_IMPL_H
#define PROC_IMPL_H

#include "proc.h"

/* Process 1, and the tree's lock (T). */
extern struct proc *proc_reaper;
extern struct vm_mutex proc_tree;

/* Zones, and the reaper as a structure without a thread. */
void proc_init(void);

/*
 * What a process is made of, apart from what clone(2) shares or copies.
 * proc_create: no thread, no map, no files, not in the tree.  NULL: no memory.
 * proc_thread_create: a thread for it that will run fn(), registers beside
 * the frame as a new program finds them; not in p->threads.
 */
struct proc *proc_create(int pid);
void proc_free(struct proc *p);
int proc_pid(void);
int proc_thread_create(struct proc *p, int tid, void (*fn)(void *),
    struct thread **out) VM_MUST_CHECK;
/* Never started: give it back. */
void proc_thread_destroy(struct thread *t);
/* From here on signals and others may find the thread. */
void proc_thread_add(struct proc *p, struct thread *t);

/* (T) held. */
struct proc *proc_find_locked(int pid);
void proc_link(struct proc *p, struct proc *parent);
/* Out of the tree, without a parent; the tree's reference goes. */
void proc_unlink(struct proc *p);
/* Each process, no reference taken. */
struct proc *proc_next_locked(struct proc *p);

/* (s) held: every thread is to end, with this status if it is the first. */
void proc_kill_locked(struct proc *p, int wait_status);
/* The running thread ends, and its process with the last of them. */
_Noreturn void proc_thread_exit(void);
/* exec: all other threads end; false if the running one is to. */
bool proc_only_thread(struct proc *p);
/*
 * As kern_wait(), but only the end of the running thread breaks it off
 * (VM_E_INTR, and it has to go back at once), not a signal with a handler.
 */
int proc_wait(_Atomic uint32_t *word, uint32_t value);
/* A child in vfork lets its parent go on. */
void proc_vfork_release(struct proc *p);

/* Ticks that p's threads have run. */
uint64_t proc_ticks(struct proc *p);
uint64_t proc_thread_ticks(const struct thread *t);

/* ---- wait.c ----------------------------------------------------------- */

/* (T) held: tell p's parent that p is a zombie. */
void wait_notify(struct proc *p);
/*
 * The reaper's thread: takes orphans away, lets alarms ring.
 * reaper_poke: an alarm was set that may ring before the others.
 * reaper_wake: it has something to do.
 */
void wait_reaper(void *unused);
void wait_reaper_poke(uint64_t ns);
void wait_reaper_wake(void);
/* Any context: SIGINT to all programs. */
void wait_console_signal(void);
/* oom.c, for the reaper: kill somebody if that is asked for. */
void oom_poll(void);
/* system.c: the limits of the first process. */
void system_limits(struct proc *p);
/* random.c, once. */
void random_init(void);

/* ---- signal.c --------------------------------------------------------- */

struct signal_info {
    void *zone_link;
    struct signal_info *next;
    struct unix_siginfo info;
};

#define UNIX_SS_ONSTACK 1u
#define UNIX_SS_DISABLE 2u
#define SIGNAL_IGNORE   1u      /* handler: SIG_IGN */
#define SIGNAL_UNMASKABLE \
    (UNIX_SIGBIT(UNIX_SIGKILL) | UNIX_SIGBIT(UNIX_SIGSTOP))

void signal_init(void);
/* exec: handlers go back to the default, what is ignored stays ignored. */
void signal_exec(struct proc *p);
/* Records that nobody will read. */
void signal_drop(struct signal_info *list);
/* (s) held: all records of one of p's lists, for signal_drop(). */
struct signal_info *signal_all(struct proc *p, struct signal_info **list);
/*
 * As proc_signal; -EAGAIN, and nothing is sent, if the record of a real-time
 * signal finds no room (RLIMIT_SIGPENDING).
 */
int64_t signal_queue(struct proc *p, const struct unix_siginfo *info);
/* (s) held: p's pending signals concern other threads now. */
void signal_retarget(struct proc *p);
/*
 * One of set that is pending, and what is to be done about it (action may be
 * NULL: it was waited for); 0: there is none.
 */
int signal_take(uint64_t set, struct unix_siginfo *info,
    struct unix_sigaction *action);
bool signal_is_pending(uint64_t set);
/*
 * Sleep until there may be a signal of set, or one that is not blocked, or for
 * no reason; VM_E_BUSY: the deadline (ns of kern_now(), 0: none) has passed.
 */
int signal_doze(uint64_t set, uint64_t deadline);
/* (s) held: signo is ignored now; records of it that were pending. */
struct signal_info *signal_forget(struct proc *p, int signo);
/* As proc_signal, for the thread with that number; -ESRCH; signo 0: none. */
int64_t signal_thread(struct proc *p, int tid,
    const struct unix_siginfo *info);
/* Let alarms ring that are due; when the next one is, or 0. */
uint64_t signal_alarms(uint64_t now);
/* mask of the running thread, under (s), and what follows from it. */
void signal_set_mask(uint64_t mask);

/* ---- futex.c ---------------------------------------------------------- */

void futex_init(void);
/* The running thread ends: robust list, clear_tid. */
void futex_thread_exit(struct unix_thread *ut);

/* ---- time.c ----------------------------------------------------------- */

/* -EINVAL, -EFAULT; else ns.  A NULL pointer is no deadline: *ns = 0. */
int64_t time_copyin(uint64_t from, uint64_t *ns);
/* ns of kern_now() for an absolute time of a clock; never 0. */
uint64_t time_absolute(int clock, uint64_t ns);
uint64_t time_relative(uint64_t ns);
uint64_t time_of_ticks(uint64_t ticks);

/* ---- exec.c ----------------------------------------------------------- */

/* A string (with its 0) more; -E2BIG, -ENOMEM. */
int64_t exec_add(struct exec_strings *s, const char *string, size_t size);
void exec_free(struct exec_strings *s);
/*
 * Run a file, which may be a script.  path: as the program is to see it.
 * Takes the reference to exe.  Returns as proc_exec().
 */
int64_t exec_run(struct node *exe, const char *path, struct exec_strings *s);
/* Once: the page of md_trampoline(). */
int exec_init(void) VM_MUST_CHECK;

#endif
