/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proc.h - processes, their threads and signals.
 *
 * Process 1 is the kernel's own reaper, a kernel thread that waits for
 * orphans; the first program is its child and has pid 2.  When that ends the
 * others are killed, memory is checked for leaks, the log says how it ended
 * ("pal: exit N" or "pal: signal N") and the machine is left.
 *
 * Locks: (T) proc_tree, a mutex of rank PROCS: parents, children, pids,
 * states, exit; (p) proc.lock; (s) proc.signal_lock, a spin lock of rank
 * SIGNAL that may be taken with any other held; (t) only by the thread itself;
 * (c) constant.
 */
#ifndef PROC_H
#define PROC_H

#include "unix.h"

struct fd_table;
struct node;
struct signal_info;

#define UNIX_NSIG 64u
enum {
    UNIX_SIGHUP = 1, UNIX_SIGINT = 2, UNIX_SIGQUIT = 3, UNIX_SIGILL = 4,
    UNIX_SIGTRAP = 5, UNIX_SIGABRT = 6, UNIX_SIGBUS = 7, UNIX_SIGFPE = 8,
    UNIX_SIGKILL = 9, UNIX_SIGUSR1 = 10, UNIX_SIGSEGV = 11,
    UNIX_SIGUSR2 = 12, UNIX_SIGPIPE = 13, UNIX_SIGALRM = 14,
    UNIX_SIGTERM = 15, UNIX_SIGCHLD = 17, UNIX_SIGCONT = 18,
    UNIX_SIGSTOP = 19, UNIX_SIGTSTP = 20, UNIX_SIGTTIN = 21,
    UNIX_SIGTTOU = 22, UNIX_SIGURG = 23, UNIX_SIGXCPU = 24,
    UNIX_SIGXFSZ = 25, UNIX_SIGWINCH = 28, UNIX_SIGSYS = 31
};
#define UNIX_SIGBIT(n)  ((uint64_t)1 << ((n) - 1))

/* siginfo_t: 128 bytes, laid out alike on 64-bit Linux machines. */
struct unix_siginfo {
    int32_t signo, error, code, pad;
    union {
        struct { int32_t pid; uint32_t uid; int32_t status; } child;
        struct { uint64_t addr; } fault;
        struct { int32_t pid; uint32_t uid; uint64_t value; } queue;
        uint8_t bytes[112];
    };
};
_Static_assert(sizeof(struct unix_siginfo) == 128, "siginfo_t");

struct unix_sigaction {
    uint64_t handler, flags, restorer, mask;
};

enum proc_state { PROC_LIVE, PROC_EXITING, PROC_ZOMBIE };

#define PROC_RLIMITS 16u
#define PROC_RLIMIT_SIGPENDING 11u

struct proc {
    void *zone_link;
    struct vm_mutex lock;
    _Atomic uint32_t ref_count; /* the tree's, and each user's */
    enum proc_state state;      /* (T) */
    int pid;                    /* (c) */
    int pgid, sid;              /* (T) */
    struct proc *parent;        /* (T) NULL: reaped, or process 1 */
    struct proc *children;      /* (T) */
    struct proc *next, *prev;   /* (T) siblings */
    struct proc *hash_next;     /* (T) by pid */
    int wait_status;            /* (T) as wait4 gives it */
    _Atomic uint32_t child_event;       /* moves when a child changes */
    _Atomic uint32_t vfork_done;        /* the parent in vfork sleeps here */
    struct thread *threads;     /* (s) by ->sibling */
    unsigned nthreads;          /* (s) */
    _Atomic uint32_t thread_event;      /* moves when a thread has ended */

    struct vm_map *map;         /* (p) changed by exec alone */
    vaddr_t brk_start, brk;     /* (p) */
    bool lock_future;           /* (t) mlockall(MCL_FUTURE) */
    vaddr_t trampoline;         /* (p) of signal handlers */
    vaddr_t stack_top;          /* (p) */
    vaddr_t arg_start, arg_end, env_end;        /* (p) strings of exec */

    struct fd_table *fds;       /* (p) */
    struct node *cwd;           /* (p) */
    struct node *exe;           /* (p) */
    unsigned umask;             /* (p) */
    char name[16];              /* (p) */
    uint64_t rlimit[PROC_RLIMITS][2];   /* (p) */

    struct vm_spin signal_lock;
    bool exiting;               /* (s) every thread is to end */
    struct thread *last;        /* (s) in exec: all but it are to end */
    int exit_status;            /* (s) what wait4 will tell, unless killed */
    uint64_t pending;           /* (s) for any thread */
    struct signal_info *info;   /* (s) of those, oldest first */
    unsigned queued;            /* (s) records here and of the threads */
    struct unix_sigaction action[UNIX_NSIG + 1];        /* (s) */
    uint64_t alarm;             /* (s) ns, 0: none */
    uint64_t alarm_interval;    /* (s) ns, 0: once */
    int exit_signal;            /* (c) what the parent gets at the end */
    bool executed;              /* (T) execve has succeeded */
    bool subreaper;             /* (T) gets the orphans below it */
    bool fds_shared;            /* (p) with another process */
    uint64_t ticks;             /* (s) of threads that have ended */
    uint64_t child_ticks;       /* (T) of reaped children */
    uint64_t started;           /* (c) ns since boot */
};

struct unix_thread {
    int tid;                    /* (c) the process's first: pid */
    uint64_t mask;              /* (t, written with s) blocked signals */
    uint64_t saved_mask;        /* (t) of sigsuspend, ppoll ... */
    bool restore_mask;          /* (t) */
    bool restart;               /* (t) its call is to be made again */
    uint64_t awaited;           /* (s) by sigtimedwait, though blocked */
    uint64_t pending;           /* (s) for this thread */
    struct signal_info *info;   /* (s) of those, oldest first */
    struct {                    /* (s) of the one that came with a fault */
        int signo, code;
        vaddr_t addr;
    } fault;
    struct md_altstack alt;     /* (t) */
    uint64_t set_tid;           /* (t) where the tid goes at the start */
    uint64_t clear_tid;         /* (t) */
    uint64_t robust_list;       /* (t) */
};

static inline struct proc *
proc_current(void)
{
    return thread_current()->proc;
}

static inline struct unix_thread *
unix_thread(struct thread *t)
{
    return t->unix_thread;
}

/* With a reference, or NULL.  Zombies are found too. */
struct proc *proc_find(int pid);
void proc_ref(struct proc *p);
void proc_unref(struct proc *p);

/* The map of a descendant that lives, with a reference, or NULL. */
struct vm_map *proc_descendant_map(struct proc *ancestor, int pid);
/* Is this the running process's own map, and nobody else in it? */
bool proc_is_quiet(const struct vm_map *map);

/* Each process in turn, with a reference; NULL ends, and starts. */
struct proc *proc_next(struct proc *p);

/*
 * End the running process (all its threads) with a wait status.  Only
 * the calling thread's exit if others remain: thread_exit_unix.
 */
_Noreturn void proc_exit(int wait_status);

/*
 * proc_signal - make signal info->signo pending for the process, or for one
 * thread of it (t may be NULL), and wake whom it concerns.  Never sleeps.
 * Needs: a reference, or the caller is inside it.
 * proc_signal_self - a fault of the running thread: cannot be blocked or
 * ignored (then it kills).
 * proc_signal_pending - is there one that the running thread does not block?
 */
void proc_signal(struct proc *p, struct thread *t,
    const struct unix_siginfo *info);
void proc_signal_self(int signo, int code, vaddr_t addr);
bool proc_signal_pending(void);

/*
 * The largest process is killed to get memory back, said so on the log; false
 * if there is none that could be.  The running one may be chosen.
 */
bool proc_kill_for_memory(void);

/*
 * exec.c: load an executable into a fresh map; on success the process (the
 * running one, with one thread) has it.  argv, envp: NULL-terminated arrays of
 * kernel strings.  Fails with the process as it was.
 */
struct exec_strings {
    char *bytes;                /* all strings, one after the other */
    size_t size, room;
    unsigned argc, envc;
};
int64_t proc_exec(struct node *exe, const char *path,
    struct exec_strings *strings);

#endif
