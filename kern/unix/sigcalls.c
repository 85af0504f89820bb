/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sigcalls.c - the system calls about signals; signal.c does the work.
 *
 * Waiting for a signal is an interruptible sleep on a word that nobody wakes.
 * sigsuspend replaces the mask until the handler has its frame: the mask that
 * comes back is saved_mask, which the frame (or unix_signal_work, if there
 * was no handler) restores.
 */
#include "proc_impl.h"

#include "vm_zone.h"

#define SIG_BLOCK       0
#define SIG_UNBLOCK     1
#define SIG_SETMASK     2

#define SI_USER         0
#define SI_TKILL        (-6)

#define MINSIGSTKSZ     2048u
#define SS_AUTODISARM   0x80000000u

#define ITIMER_REAL     0
#define ITIMER_PROF     2

/* struct sigaction as rt_sigaction takes it: not all have a restorer. */
struct sigaction_user {
    uint64_t handler, flags;
#if UNIX_SIGACTION_RESTORER
    uint64_t restorer;
#endif
    uint64_t mask;
};

static int64_t
sigaction_copyin(uint64_t from, struct unix_sigaction *action)
{
    struct sigaction_user u;
    int64_t error = unix_copyin(&u, from, sizeof(u));

    if (error == 0) {
        *action = (struct unix_sigaction){
            .handler = u.handler, .flags = u.flags,
#if UNIX_SIGACTION_RESTORER
            .restorer = u.restorer,
#endif
            .mask = u.mask & ~SIGNAL_UNMASKABLE
        };
    }
    return error;
}

static int64_t
sigaction_copyout(uint64_t to, const struct unix_sigaction *action)
{
    struct sigaction_user u = {
        .handler = action->handler, .flags = action->flags,
#if UNIX_SIGACTION_RESTORER
        .restorer = action->restorer,
#endif
        .mask = action->mask
    };

    return unix_copyout(to, &u, sizeof(u));
}

int64_t
sys_rt_sigaction(const uint64_t *a)
{
    struct proc *p = proc_current();
    struct unix_sigaction new, old;
    struct signal_info *forgotten = NULL;
    uint64_t signo = a[0];
    int64_t error;

    if (a[3] != sizeof(uint64_t)) {
        return -UNIX_EINVAL;
    }
    if (a[1] != 0) {
        error = sigaction_copyin(a[1], &new);
        if (error != 0) {
            return error;
        }
    }
    if (signo < 1 || signo > UNIX_NSIG || (a[1] != 0 &&
        (signo == UNIX_SIGKILL || signo == UNIX_SIGSTOP))) {
        return -UNIX_EINVAL;
    }
    vm_spin_lock(&p->signal_lock);
    old = p->action[signo];
    if (a[1] != 0) {
        p->action[signo] = new;
        if (new.handler <= SIGNAL_IGNORE) {
            forgotten = signal_forget(p, (int)signo);
        }
    }
    vm_spin_unlock(&p->signal_lock);
    signal_drop(forgotten);
    return a[2] == 0 ? 0 : sigaction_copyout(a[2], &old);
}

int64_t
sys_rt_sigprocmask(const uint64_t *a)
{
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t old = ut->mask, set;
    int64_t error;

    if (a[3] != sizeof(uint64_t)) {
        return -UNIX_EINVAL;
    }
    if (a[1] != 0) {
        error = unix_copyin(&set, a[1], sizeof(set));
        if (error != 0) {
            return error;
        }
        switch ((int)a[0]) {
        case SIG_BLOCK:
            signal_set_mask(old | set);
            break;
        case SIG_UNBLOCK:
            signal_set_mask(old & ~set);
            break;
        case SIG_SETMASK:
            signal_set_mask(set);
            break;
        default:
            return -UNIX_EINVAL;
        }
    }
    return a[2] == 0 ? 0 : unix_copyout(a[2], &old, sizeof(old));
}

int64_t
sys_rt_sigpending(const uint64_t *a)
{
    struct proc *p = proc_current();
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t set;

    if (a[1] > sizeof(set)) {
        return -UNIX_EINVAL;
    }
    vm_spin_lock(&p->signal_lock);
    set = (p->pending | ut->pending) & ut->mask;
    vm_spin_unlock(&p->signal_lock);
    return unix_copyout(a[0], &set, a[1]);
}

int64_t
sys_rt_sigreturn(const uint64_t *a)
{
    struct thread *t = thread_current();
    struct unix_thread *ut = t->unix_thread;
    struct md_altstack alt;
    uint64_t mask;

    (void)a;
    if (md_signal_pop(thread_frame(t), t->user, &mask, &alt) != VM_OK) {
        proc_signal_self(UNIX_SIGSEGV, 0x80 /* SI_KERNEL */, 0);
        return UNIX_NO_RESULT;
    }
    signal_set_mask(mask);
    if ((alt.flags & ~(UNIX_SS_DISABLE | UNIX_SS_ONSTACK |
        SS_AUTODISARM)) == 0) {
        alt.flags &= ~UNIX_SS_ONSTACK;
        ut->alt = alt;
    }
    return UNIX_NO_RESULT;
}

int64_t
sys_sigaltstack(const uint64_t *a)
{
    struct thread *t = thread_current();
    struct unix_thread *ut = t->unix_thread;
    uint64_t sp = md_frame_sp(thread_frame(t));
    struct md_altstack old = ut->alt, new;
    bool on = (old.flags & UNIX_SS_DISABLE) == 0 &&
        (old.flags & SS_AUTODISARM) == 0 && sp > old.sp &&
        sp - old.sp <= old.size;
    uint32_t mode;
    int64_t error;

    if (a[0] != 0) {
        error = unix_copyin(&new, a[0], sizeof(new));
        if (error != 0) {
            return error;
        }
        if (on) {
            return -UNIX_EPERM;
        }
        mode = new.flags & ~SS_AUTODISARM;
        if (mode != 0 && mode != UNIX_SS_DISABLE && mode != UNIX_SS_ONSTACK) {
            return -UNIX_EINVAL;
        }
        if (mode == UNIX_SS_DISABLE) {
            new = (struct md_altstack){ .flags = new.flags };
        } else if (new.size < MINSIGSTKSZ) {
            return -UNIX_ENOMEM;
        }
        new.flags &= ~UNIX_SS_ONSTACK;
        new.unused = 0;
        ut->alt = new;
    }
    if (on) {
        old.flags |= UNIX_SS_ONSTACK;
    }
    return a[1] == 0 ? 0 : unix_copyout(a[1], &old, sizeof(old));
}

/* ---- waiting for one -------------------------------------------------- */

/*
 * The wish to look for a signal may be an old one, for one that another thread
 * took or nobody wants any more, and would end every sleep at once; it must
 * stay if there is one.
 */
int
signal_doze(uint64_t set, uint64_t deadline)
{
    _Atomic uint32_t *work = &thread_current()->head.work, never = 0;

    (void)atomic_fetch_and_explicit(work, ~WORK_SIGNAL,
        memory_order_seq_cst);
    if (proc_signal_pending()) {
        (void)atomic_fetch_or_explicit(work, WORK_SIGNAL,
            memory_order_seq_cst);
        return VM_OK;
    }
    return signal_is_pending(set) ? VM_OK :
        thread_wait(&never, 0, true, deadline);
}

static int64_t
sig_sleep(void)
{
    while (!proc_signal_pending()) {
        (void)signal_doze(0, 0);
    }
    return -UNIX_EINTR;
}

int64_t
sys_pause(const uint64_t *a)
{
    (void)a;
    return sig_sleep();
}

int64_t
sys_rt_sigsuspend(const uint64_t *a)
{
    struct unix_thread *ut = unix_thread(thread_current());
    uint64_t set;
    int64_t error;

    if (a[1] != sizeof(set)) {
        return -UNIX_EINVAL;
    }
    error = unix_copyin(&set, a[0], sizeof(set));
    if (error != 0) {
        return error;
    }
    ut->saved_mask = ut->mask;
    ut->restore_mask = true;
    signal_set_mask(set);
    return sig_sleep();
}

int64_t
sys_rt_sigtimedwait(const uint64_t *a)
{
    struct proc *p = proc_current();
    struct unix_thread *ut = unix_thread(thread_current());
    struct unix_siginfo info;
    uint64_t set, ns = 0, deadline = 0;
    int64_t error;
    int signo, woken = VM_OK;

    if (a[3] != sizeof(set)) {
        return -UNIX_EINVAL;
    }
    error = unix_copyin(&set, a[0], sizeof(set));
    if (error == 0 && a[2] != 0) {
        error = time_copyin(a[2], &ns);
        deadline = time_relative(ns);
    }
    if (error != 0) {
        return error;
    }
    set &= ~SIGNAL_UNMASKABLE;
    vm_spin_lock(&p->signal_lock);
    ut->awaited = set;
    vm_spin_unlock(&p->signal_lock);
    for (;;) {
        signo = signal_take(set, &info, NULL);
        if (signo != 0 || woken == VM_E_BUSY || proc_signal_pending()) {
            break;
        }
        woken = signal_doze(set, deadline);
    }
    vm_spin_lock(&p->signal_lock);
    ut->awaited = 0;
    if ((p->pending & set) != 0) {
        /* It came for us, too late: somebody else may wait for it. */
        signal_retarget(p);
    }
    vm_spin_unlock(&p->signal_lock);
    if (signo == 0) {
        return proc_signal_pending() ? -UNIX_EINTR : -UNIX_EAGAIN;
    }
    if (a[1] != 0 && unix_copyout(a[1], &info, sizeof(info)) != 0) {
        return -UNIX_EFAULT;
    }
    return signo;
}

/* ---- sending ---------------------------------------------------------- */

static bool
sig_number_ok(int signo)
{
    return signo >= 0 && (unsigned)signo <= UNIX_NSIG;
}

/* To each of pgid (0: all but the caller and process 1). */
static int64_t
sig_send_many(int pgid, const struct unix_siginfo *info)
{
    struct proc *self = proc_current(), *p;
    int64_t result = -UNIX_ESRCH;

    vm_mutex_lock(&proc_tree);
    for (p = proc_next_locked(NULL); p != NULL; p = proc_next_locked(p)) {
        if (p == proc_reaper || (pgid == 0 ? p == self : p->pgid != pgid)) {
            continue;
        }
        result = 0;
        if (info->signo != 0) {
            proc_signal(p, NULL, info);
        }
    }
    vm_mutex_unlock(&proc_tree);
    return result;
}

int64_t
sys_kill(const uint64_t *a)
{
    int pid = (int)a[0];
    struct unix_siginfo info = {
        .signo = (int)a[1], .code = SI_USER, .queue.pid = proc_current()->pid
    };
    struct proc *p;

    if (!sig_number_ok(info.signo)) {
        return -UNIX_EINVAL;
    }
    if (pid == INT32_MIN) {
        return -UNIX_ESRCH;
    }
    if (pid <= 0) {
        return sig_send_many(pid == 0 ? proc_current()->pgid :
            pid == -1 ? 0 : -pid, &info);
    }
    p = proc_find(pid);
    if (p == NULL) {
        return -UNIX_ESRCH;
    }
    if (info.signo != 0) {
        proc_signal(p, NULL, &info);
    }
    proc_unref(p);
    return 0;
}

/*
 * To one thread; tgid 0: of any process.  The process's thread list may only
 * be read under its lock, which proc_signal takes: so the thread is named by
 * its number, and looked for there again.
 */
static int64_t
sig_send_thread(int tgid, int tid, const struct unix_siginfo *info)
{
    struct proc *p;
    int64_t result = -UNIX_ESRCH;

    if (!sig_number_ok(info->signo) || tid <= 0 || tgid < 0) {
        return -UNIX_EINVAL;
    }
    vm_mutex_lock(&proc_tree);
    p = proc_find_locked(tgid != 0 ? tgid : tid);
    if (p != NULL) {
        result = signal_thread(p, tid, info);
    }
    if (tgid == 0 && result != 0) {
        for (p = proc_next_locked(NULL); p != NULL && result != 0;
            p = proc_next_locked(p)) {
            result = signal_thread(p, tid, info);
        }
    }
    vm_mutex_unlock(&proc_tree);
    return result;
}

int64_t
sys_tkill(const uint64_t *a)
{
    struct unix_siginfo info = {
        .signo = (int)a[1], .code = SI_TKILL,
        .queue.pid = proc_current()->pid
    };

    return sig_send_thread(0, (int)a[0], &info);
}

int64_t
sys_tgkill(const uint64_t *a)
{
    struct unix_siginfo info = {
        .signo = (int)a[2], .code = SI_TKILL,
        .queue.pid = proc_current()->pid
    };

    return (int)a[0] <= 0 ? -UNIX_EINVAL :
        sig_send_thread((int)a[0], (int)a[1], &info);
}

int64_t
sys_rt_sigqueueinfo(const uint64_t *a)
{
    struct unix_siginfo info;
    struct proc *p;
    int64_t error = unix_copyin(&info, a[2], sizeof(info));

    if (error != 0) {
        return error;
    }
    info.signo = (int)a[1];
    if (!sig_number_ok(info.signo)) {
        return -UNIX_EINVAL;
    }
    /* Nobody may pretend to be kill(2) or the kernel to others. */
    if ((info.code >= 0 || info.code == SI_TKILL) &&
        (int)a[0] != proc_current()->pid) {
        return -UNIX_EPERM;
    }
    p = (int)a[0] > 0 ? proc_find((int)a[0]) : NULL;
    if (p == NULL) {
        return -UNIX_ESRCH;
    }
    if (info.signo != 0) {
        error = signal_queue(p, &info);
    }
    proc_unref(p);
    return error;
}

/* ---- alarms ----------------------------------------------------------- */

/* Ring every alarm that is due; when the next one is, 0: there is none. */
uint64_t
signal_alarms(uint64_t now)
{
    struct unix_siginfo info = {
        .signo = UNIX_SIGALRM, .code = 0x80 /* SI_KERNEL */
    };
    uint64_t next = 0;

    vm_mutex_lock(&proc_tree);
    for (struct proc *p = proc_next_locked(NULL); p != NULL;
        p = proc_next_locked(p)) {
        bool rings;

        vm_spin_lock(&p->signal_lock);
        if (p->exiting || p->threads == NULL) {
            p->alarm = 0;
        }
        rings = p->alarm != 0 && p->alarm <= now;
        if (rings) {
            p->alarm = p->alarm_interval == 0 ? 0 :
                now + p->alarm_interval - (now - p->alarm) %
                p->alarm_interval;
        }
        if (p->alarm != 0 && (next == 0 || p->alarm < next)) {
            next = p->alarm;
        }
        vm_spin_unlock(&p->signal_lock);
        if (rings) {
            proc_signal(p, NULL, &info);
        }
    }
    vm_mutex_unlock(&proc_tree);
    return next;
}

/* ns from now (0: none); what was left of the one before, and its period. */
static uint64_t
alarm_set(uint64_t ns, uint64_t interval, uint64_t *old_interval)
{
    struct proc *p = proc_current();
    uint64_t now = kern_now(), left, at = ns == 0 ? 0 : time_relative(ns);

    vm_spin_lock(&p->signal_lock);
    left = p->alarm == 0 ? 0 : p->alarm > now ? p->alarm - now : 1;
    *old_interval = p->alarm_interval;
    p->alarm = at;
    p->alarm_interval = at == 0 ? 0 : interval;
    vm_spin_unlock(&p->signal_lock);
    if (at != 0) {
        wait_reaper_poke(at);
    }
    return left;
}

int64_t
sys_alarm(const uint64_t *a)
{
    uint64_t unused, left;

    left = alarm_set((a[0] & 0xffffffff) * 1000000000, 0, &unused);
    /* Rounded, but never to "none". */
    if (left != 0 && left < 1000000000) {
        return 1;
    }
    return (int64_t)((left + 500000000) / 1000000000);
}

/* struct itimerval: interval, value, each seconds and microseconds. */
static int64_t
itimer_copyout(uint64_t to, uint64_t interval, uint64_t left)
{
    uint64_t it[4] = {
        interval / 1000000000, interval % 1000000000 / 1000,
        left / 1000000000, left % 1000000000 / 1000
    };

    return unix_copyout(to, it, sizeof(it));
}

static bool
itimer_ns(const int64_t *tv, uint64_t *ns)
{
    if (tv[0] < 0 || tv[1] < 0 || tv[1] >= 1000000) {
        return false;
    }
    /* More than 100 years is for ever. */
    *ns = (uint64_t)(tv[0] > 3153600000 ? 3153600000 : tv[0]) * 1000000000 +
        (uint64_t)tv[1] * 1000;
    return true;
}

int64_t
sys_setitimer(const uint64_t *a)
{
    int64_t it[4] = { 0 };
    uint64_t value, interval, old_interval, left;
    int64_t error;

    if (a[1] != 0) {
        error = unix_copyin(it, a[1], sizeof(it));
        if (error != 0) {
            return error;
        }
    }
    if ((int)a[0] < ITIMER_REAL || (int)a[0] > ITIMER_PROF ||
        !itimer_ns(&it[0], &interval) || !itimer_ns(&it[2], &value)) {
        return -UNIX_EINVAL;
    }
    if ((int)a[0] != ITIMER_REAL) {
        return value == 0 ? 0 : -UNIX_ENOTSUP;
    }
    left = alarm_set(value, interval, &old_interval);
    return a[2] == 0 ? 0 : itimer_copyout(a[2], old_interval, left);
}

int64_t
sys_getitimer(const uint64_t *a)
{
    struct proc *p = proc_current();
    uint64_t now = kern_now(), left, interval;

    if ((int)a[0] < ITIMER_REAL || (int)a[0] > ITIMER_PROF) {
        return -UNIX_EINVAL;
    }
    vm_spin_lock(&p->signal_lock);
    left = p->alarm == 0 ? 0 : p->alarm > now ? p->alarm - now : 1000;
    interval = p->alarm_interval;
    vm_spin_unlock(&p->signal_lock);
    if ((int)a[0] != ITIMER_REAL) {
        left = interval = 0;
    }
    return itimer_copyout(a[1], interval, left);
}
