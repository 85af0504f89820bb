/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signal.c - signals: sending, waiting for delivery, delivering.
 *
 *   proc_signal        pending bit of the process or of a thread, a record
 *                      with the siginfo; a thread that does not block it is
 *                      interrupted and gets WORK_SIGNAL
 *   unix_signal_work   on the way to user mode: takes what is not blocked,
 *                      faults first, then the lowest number; default action,
 *                      or a frame on the user's stack (md_signal_push)
 *   rt_sigreturn       md_signal_pop
 *
 * A standard signal is pending once, a real-time signal as often as it was
 * sent.  A record that finds no room (RLIMIT_SIGPENDING, of the receiver) or no
 * memory is lost, the signal is not: its siginfo then says SI_USER; only
 * sigqueue's real-time signals are refused.  What is ignored and not blocked leaves no trace
 * and wakes nobody, so that no call ends early for it.
 *
 * Nothing stops here: SIGSTOP and its kin do nothing by default.
 *
 * Restart: a call that answered UNIX_RESTART is made again if no handler ran
 * or the first that does has SA_RESTART; else it returns EINTR.
 *
 * Locks: signal_lock of one process, a spin lock; user memory is touched
 * without it.
 */
#include "proc_impl.h"

#include "hooks.h"
#include "vm_zone.h"

#define SA_NODEFER      0x40000000u
#define SA_RESETHAND    0x80000000u
#define SA_RESTART      0x10000000u
#define SA_ONSTACK      0x08000000u
#define SA_RESTORER     0x04000000u

#define SS_AUTODISARM   0x80000000u

#define SI_USER         0
#define SI_KERNEL       0x80

#define SIGNAL_BITS(a, b, c, d) \
    (UNIX_SIGBIT(a) | UNIX_SIGBIT(b) | UNIX_SIGBIT(c) | UNIX_SIGBIT(d))
/* Ignored by default; those that would stop are among them. */
#define SIGNAL_HARMLESS \
    (SIGNAL_BITS(UNIX_SIGCHLD, UNIX_SIGCONT, UNIX_SIGURG, UNIX_SIGWINCH) | \
    SIGNAL_BITS(UNIX_SIGSTOP, UNIX_SIGTSTP, UNIX_SIGTTIN, UNIX_SIGTTOU))
/* What an instruction causes comes before everything else. */
#define SIGNAL_SYNCHRONOUS \
    (SIGNAL_BITS(UNIX_SIGSEGV, UNIX_SIGBUS, UNIX_SIGILL, UNIX_SIGTRAP) | \
    UNIX_SIGBIT(UNIX_SIGFPE) | UNIX_SIGBIT(UNIX_SIGSYS))
#define SIGNAL_REALTIME 32
/* Records of one process, whatever its limit says: kernel memory. */
#define SIGNAL_RECORDS  4096u

static struct vm_zone signal_zone;

void
signal_init(void)
{
    vm_zone_init(&signal_zone, "signal", sizeof(struct signal_info));
}

void
signal_drop(struct signal_info *list)
{
    while (list != NULL) {
        struct signal_info *next = list->next;

        vm_zone_free(&signal_zone, list);
        list = next;
    }
}

struct signal_info *
signal_all(struct proc *p, struct signal_info **list)
{
    struct signal_info *all = *list;

    for (struct signal_info *q = all; q != NULL; q = q->next) {
        p->queued--;
    }
    *list = NULL;
    return all;
}

void
signal_exec(struct proc *p)
{
    for (unsigned i = 1; i <= UNIX_NSIG; i++) {
        struct unix_sigaction *action = &p->action[i];
        bool ignored = action->handler == SIGNAL_IGNORE;

        *action = (struct unix_sigaction){ .handler = ignored ?
            SIGNAL_IGNORE : 0 };
    }
}

/* ---- sending ---------------------------------------------------------- */

/* (s) held. */
static bool
signal_is_ignored(const struct proc *p, int signo)
{
    uint64_t handler = p->action[signo].handler;

    return handler == SIGNAL_IGNORE ||
        (handler == 0 && (SIGNAL_HARMLESS & UNIX_SIGBIT(signo)) != 0);
}

/* (s) held.  Would t take that signal now? */
static inline bool
signal_wanted(const struct thread *t, uint64_t bit)
{
    const struct unix_thread *ut = t->unix_thread;

    return ((ut->mask & ~ut->awaited) & bit) == 0;
}

/* (s) held.  Somebody who would take it, NULL if all block it. */
static struct thread *
signal_taker(struct proc *p, uint64_t bit)
{
    struct thread *self = thread_current(), *t;

    if (self->proc == p && signal_wanted(self, bit)) {
        return self;
    }
    for (t = p->threads; t != NULL && !signal_wanted(t, bit);
        t = t->sibling) {
        continue;
    }
    return t;
}

/* (s) held.  Whether there is anything to send, and to whom it goes. */
static bool
signal_is_due(struct proc *p, struct thread *t, int signo)
{
    uint64_t bit = UNIX_SIGBIT(signo);
    struct thread *one = t != NULL ? t : p->threads;

    if (p->exiting || one == NULL) {
        return false;
    }
    if (signal_is_ignored(p, signo) && signal_wanted(one, bit) &&
        (unix_thread(one)->awaited & bit) == 0) {
        return false;
    }
    if (signo >= SIGNAL_REALTIME) {
        return true;
    }
    return ((t != NULL ? unix_thread(t)->pending : p->pending) & bit) == 0;
}

/* (s) held. */
static bool
signal_has_room(const struct proc *p)
{
    return p->queued < SIGNAL_RECORDS &&
        p->queued < p->rlimit[PROC_RLIMIT_SIGPENDING][0];
}

/* (s) held.  What is left of q: NULL, the process has the record now. */
static struct signal_info *
signal_post(struct proc *p, struct thread *t, int signo,
    struct signal_info *q)
{
    uint64_t bit = UNIX_SIGBIT(signo);
    struct signal_info **at;
    struct thread *taker;

    if (signo == UNIX_SIGKILL) {
        proc_kill_locked(p, UNIX_SIGKILL);
        return q;
    }
    if (t != NULL) {
        unix_thread(t)->pending |= bit;
        at = &unix_thread(t)->info;
        taker = signal_wanted(t, bit) ? t : NULL;
    } else {
        p->pending |= bit;
        at = &p->info;
        taker = signal_taker(p, bit);
    }
    if (q != NULL && signal_has_room(p)) {
        while (*at != NULL) {
            at = &(*at)->next;
        }
        *at = q;
        p->queued++;
        q = NULL;
    }
    if (taker != NULL) {
        thread_interrupt(taker, WORK_SIGNAL);
    }
    return q;
}

/* A record of it for signal_post(), NULL: no memory, or it needs none. */
static struct signal_info *
signal_record(const struct unix_siginfo *info)
{
    struct signal_info *q = NULL;

    if (info->signo != UNIX_SIGKILL) {
        q = vm_zone_alloc(&signal_zone);
    }
    if (q != NULL) {
        q->next = NULL;
        q->info = *info;
    }
    return q;
}

/* must: with its record, or not at all. */
static int64_t
signal_send(struct proc *p, struct thread *t, const struct unix_siginfo *info,
    bool must)
{
    struct signal_info *q;
    int64_t error = 0;
    bool due;

    vm_spin_lock(&p->signal_lock);
    due = signal_is_due(p, t, info->signo);
    vm_spin_unlock(&p->signal_lock);
    if (!due) {
        return 0;
    }
    q = signal_record(info);
    vm_spin_lock(&p->signal_lock);
    if (must && (q == NULL || !signal_has_room(p))) {
        error = -UNIX_EAGAIN;
    } else if (signal_is_due(p, t, info->signo)) {
        q = signal_post(p, t, info->signo, q);
    }
    vm_spin_unlock(&p->signal_lock);
    signal_drop(q);
    return error;
}

void
proc_signal(struct proc *p, struct thread *t,
    const struct unix_siginfo *info)
{
    (void)signal_send(p, t, info, false);
}

int64_t
signal_queue(struct proc *p, const struct unix_siginfo *info)
{
    return signal_send(p, NULL, info, info->signo >= SIGNAL_REALTIME);
}

void
proc_signal_self(int signo, int code, vaddr_t addr)
{
    struct proc *p = proc_current();
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t bit = UNIX_SIGBIT(signo);
    struct unix_sigaction *action = &p->action[signo];

    vm_spin_lock(&p->signal_lock);
    if ((ut->mask & bit) != 0 || action->handler == SIGNAL_IGNORE) {
        action->handler = 0;
        ut->mask &= ~bit;
    }
    ut->pending |= bit;
    ut->fault.signo = signo;
    ut->fault.code = code;
    ut->fault.addr = addr;
    thread_interrupt(thread_current(), WORK_SIGNAL);
    vm_spin_unlock(&p->signal_lock);
}

void
signal_retarget(struct proc *p)
{
    for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
        const struct unix_thread *ut = t->unix_thread;

        if ((p->pending & ~(ut->mask & ~ut->awaited)) != 0) {
            thread_interrupt(t, WORK_SIGNAL);
        }
    }
}

/* ---- taking ----------------------------------------------------------- */

bool
proc_signal_pending(void)
{
    struct thread *t = thread_current();
    struct proc *p = t->proc;
    struct unix_thread *ut = t->unix_thread;

    return t->stop != 0 || (p != NULL &&
        (p->exiting || ((p->pending | ut->pending) & ~ut->mask) != 0));
}

void
signal_set_mask(uint64_t mask)
{
    struct thread *t = thread_current();
    struct unix_thread *ut = t->unix_thread;
    struct proc *p = t->proc;
    uint64_t more;

    vm_spin_lock(&p->signal_lock);
    mask &= ~SIGNAL_UNMASKABLE;
    more = mask & ~ut->mask;
    ut->mask = mask;
    if (((p->pending | ut->pending) & ~mask) != 0) {
        thread_interrupt(t, WORK_SIGNAL);
    }
    if ((p->pending & more) != 0 && p->nthreads > 1) {
        signal_retarget(p);
    }
    vm_spin_unlock(&p->signal_lock);
}

/* (s) held.  The first record of signo in p's list, and is there one more? */
static struct signal_info *
signal_unlink(struct proc *p, struct signal_info **list, int signo,
    bool *more)
{
    struct signal_info *found = NULL;

    *more = false;
    while (*list != NULL) {
        if ((*list)->info.signo != signo) {
            list = &(*list)->next;
        } else if (found == NULL) {
            found = *list;
            *list = found->next;
            p->queued--;
        } else {
            *more = true;
            break;
        }
    }
    return found;
}

/* Move the records of signo to out. */
static void
signal_move(struct proc *p, struct signal_info **list, int signo,
    struct signal_info **out)
{
    struct signal_info *q;
    bool more;

    while ((q = signal_unlink(p, list, signo, &more)) != NULL) {
        q->next = *out;
        *out = q;
    }
}

struct signal_info *
signal_forget(struct proc *p, int signo)
{
    struct signal_info *out = NULL;
    uint64_t bit = UNIX_SIGBIT(signo);

    if (!signal_is_ignored(p, signo)) {
        return NULL;
    }
    p->pending &= ~bit;
    signal_move(p, &p->info, signo, &out);
    for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
        unix_thread(t)->pending &= ~bit;
        signal_move(p, &unix_thread(t)->info, signo, &out);
    }
    return out;
}

/* (s) held.  Take the most urgent of set out of pending; its number or 0. */
static int
signal_dequeue(struct proc *p, uint64_t *pending, struct signal_info **list,
    uint64_t set, struct signal_info **used)
{
    uint64_t ready = *pending & set;
    bool more;
    int signo;

    if (ready == 0) {
        return 0;
    }
    if ((ready & SIGNAL_SYNCHRONOUS) != 0) {
        ready &= SIGNAL_SYNCHRONOUS;
    }
    signo = __builtin_ctzll(ready) + 1;
    *used = signal_unlink(p, list, signo, &more);
    if (!more) {
        *pending &= ~UNIX_SIGBIT(signo);
    }
    return signo;
}

int
signal_take(uint64_t set, struct unix_siginfo *info,
    struct unix_sigaction *action)
{
    struct proc *p = proc_current();
    struct unix_thread *ut = unix_thread(thread_current());
    struct signal_info *used = NULL;
    bool fault;
    int signo;

    vm_spin_lock(&p->signal_lock);
    signo = signal_dequeue(p, &ut->pending, &ut->info, set, &used);
    fault = signo != 0 && used == NULL && ut->fault.signo == signo;
    if (signo == 0) {
        signo = signal_dequeue(p, &p->pending, &p->info, set, &used);
    }
    if (fault) {
        *info = (struct unix_siginfo){ .signo = signo,
            .code = ut->fault.code, .fault.addr = ut->fault.addr };
        ut->fault.signo = 0;
    } else if (used != NULL) {
        *info = used->info;
    } else if (signo != 0) {
        *info = (struct unix_siginfo){ .signo = signo, .code = SI_USER };
    }
    if (signo != 0 && action != NULL) {
        *action = p->action[signo];
        if ((action->flags & SA_RESETHAND) != 0 &&
            action->handler > SIGNAL_IGNORE) {
            p->action[signo].handler = 0;
        }
    }
    vm_spin_unlock(&p->signal_lock);
    if (used != NULL) {
        vm_zone_free(&signal_zone, used);
    }
    return signo;
}

bool
signal_is_pending(uint64_t set)
{
    return ((proc_current()->pending |
        unix_thread(thread_current())->pending) & set) != 0;
}

int64_t
signal_thread(struct proc *p, int tid, const struct unix_siginfo *info)
{
    struct signal_info *q = info->signo == 0 ? NULL : signal_record(info);
    struct thread *t;

    vm_spin_lock(&p->signal_lock);
    for (t = p->threads; t != NULL && unix_thread(t)->tid != tid;
        t = t->sibling) {
        continue;
    }
    if (t != NULL && info->signo != 0 &&
        signal_is_due(p, t, info->signo)) {
        q = signal_post(p, t, info->signo, q);
    }
    vm_spin_unlock(&p->signal_lock);
    signal_drop(q);
    return t != NULL ? 0 : -UNIX_ESRCH;
}

/* Is the program on its alternate stack? */
static bool
signal_on_stack(const struct unix_thread *ut, uint64_t sp)
{
    return (ut->alt.flags & (UNIX_SS_DISABLE | SS_AUTODISARM)) == 0 &&
        sp > ut->alt.sp && sp - ut->alt.sp <= ut->alt.size;
}

/* Enter the handler; false: its stack cannot be written. */
static bool
signal_deliver(struct md_frame *f, const struct unix_siginfo *info,
    const struct unix_sigaction *action)
{
    struct thread *t = thread_current();
    struct unix_thread *ut = t->unix_thread;
    struct md_signal s = {
        .signo = info->signo,
        .handler = action->handler,
        .restorer = (action->flags & SA_RESTORER) != 0 ?
            action->restorer : 0,
        .mask = ut->restore_mask ? ut->saved_mask : ut->mask,
        .alt = ut->alt,
        .trampoline = t->proc->trampoline,
        .info = info,
    };
    uint64_t mask = ut->mask | action->mask;

    if ((action->flags & SA_ONSTACK) != 0 &&
        (ut->alt.flags & UNIX_SS_DISABLE) == 0 &&
        !signal_on_stack(ut, md_frame_sp(f))) {
        s.stack = ut->alt.sp + ut->alt.size;
    }
    if (md_signal_push(f, t->user, &s) != VM_OK) {
        return false;
    }
    if ((ut->alt.flags & SS_AUTODISARM) != 0) {
        ut->alt = (struct md_altstack){ .flags = UNIX_SS_DISABLE };
    }
    if ((action->flags & SA_NODEFER) == 0) {
        mask |= UNIX_SIGBIT(info->signo);
    }
    ut->restore_mask = false;
    signal_set_mask(mask);
    return true;
}

/* The call that was interrupted, now that it is known what follows. */
static void
signal_restart(struct md_frame *f, struct unix_thread *ut, bool again)
{
    if (ut->restart) {
        ut->restart = false;
        if (again) {
            md_frame_restart(f);
        } else {
            md_frame_set_result(f, (uint64_t)-(int64_t)UNIX_EINTR);
        }
    }
}

void
unix_signal_work(struct md_frame *f)
{
    struct thread *t = thread_current();
    struct unix_thread *ut = t->unix_thread;
    struct unix_sigaction action;
    struct unix_siginfo info;
    int signo;

    if (ut == NULL) {
        return;
    }
    if (t->stop != 0 || t->proc->exiting) {
        proc_thread_exit();
    }
    /* One that comes after this look sets WORK_SIGNAL again. */
    while (signal_is_pending(~ut->mask) &&
        (signo = signal_take(~ut->mask, &info, &action)) != 0) {
        if (action.handler == SIGNAL_IGNORE || (action.handler == 0 &&
            (SIGNAL_HARMLESS & UNIX_SIGBIT(signo)) != 0)) {
            continue;
        }
        if (action.handler == 0) {
            proc_exit(signo);
        }
        signal_restart(f, ut, (action.flags & SA_RESTART) != 0);
        if (!signal_deliver(f, &info, &action)) {
            if (signo == UNIX_SIGSEGV) {
                proc_exit(UNIX_SIGSEGV);
            }
            proc_signal_self(UNIX_SIGSEGV, SI_KERNEL, 0);
        }
    }
    signal_restart(f, ut, true);
    if (ut->restore_mask) {
        ut->restore_mask = false;
        signal_set_mask(ut->saved_mask);
    }
}

/* ---- faults ----------------------------------------------------------- */

#define SEGV_MAPERR     1
#define SEGV_ACCERR     2
#define BUS_ADRALN      1
#define BUS_ADRERR      2
#define ILL_ILLOPC      1
#define TRAP_BRKPT      1
#define TRAP_TRACE      2
#define FPE_INTDIV      1
#define FPE_INTOVF      2

/* What a trap is to Linux: signal, code, and whether va is its address. */
struct signal_trap {
    uint8_t signo, code;
    bool has_va;
};

static const struct signal_trap signal_traps[] = {
    [TRAP_FAULT] = { UNIX_SIGSEGV, SEGV_MAPERR, true },
    [TRAP_ALIGN] = { UNIX_SIGBUS, BUS_ADRALN, true },
    [TRAP_BUS] = { UNIX_SIGBUS, BUS_ADRERR, true },
    [TRAP_ILLEGAL] = { UNIX_SIGILL, ILL_ILLOPC, false },
    [TRAP_PRIVILEGED] = { UNIX_SIGSEGV, SI_KERNEL, true },
    [TRAP_BREAK] = { UNIX_SIGTRAP, TRAP_BRKPT, false },
    [TRAP_STEP] = { UNIX_SIGTRAP, TRAP_TRACE, false },
    [TRAP_DIVIDE] = { UNIX_SIGFPE, FPE_INTDIV, false },
    [TRAP_OVERFLOW] = { UNIX_SIGFPE, FPE_INTOVF, false },
    [TRAP_FLOAT] = { UNIX_SIGFPE, 0, false },
    [TRAP_STACK] = { UNIX_SIGSEGV, SI_KERNEL, true },
    [TRAP_OTHER] = { UNIX_SIGILL, ILL_ILLOPC, false },
};

void
unix_fault(struct md_frame *f, const struct trap *t, int error)
{
    const struct signal_trap *st = &signal_traps[t->kind];
    int signo = st->signo, code = st->code;

    if (t->kind == TRAP_FAULT) {
        if (error == VM_E_INTR) {
            return;
        }
        if (error == VM_E_NOMEM) {
            if (!proc_signal_pending()) {
                proc_exit(UNIX_SIGKILL);
            }
            return;
        }
        if (error == VM_E_PROT) {
            code = SEGV_ACCERR;
        } else if (error == VM_E_PAGER) {
            signo = UNIX_SIGBUS;
            code = BUS_ADRERR;
        }
    } else if (t->code != 0) {
        code = t->code;
    }
    proc_signal_self(signo, code, st->has_va ? t->va : md_frame_pc(f));
}
