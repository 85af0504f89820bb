/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.c - wait4 and waitid, and process 1.
 *
 * A parent sleeps on its child_event, which moves when a child of it ends; so
 * do several threads of one parent, and one of them gets the child.  A
 * parent that ignores SIGCHLD (or has SA_NOCLDWAIT) gets nothing: its
 * children are reaped as they end.
 *
 * Stopped children are not told about: nothing stops here (docs/unix.md).
 *
 * Process 1 is a kernel thread.  It reaps the orphans that other processes
 * leave to it, lets alarms ring, since it has a deadline to sleep to, and does
 * what others may not where they are: kill for memory, interrupt from the host.
 */
#include "proc_impl.h"

#define WNOHANG         1u
#define WUNTRACED       2u
#define WEXITED         4u
#define WCONTINUED      8u
#define WNOWAIT         0x01000000u
#define WNOTHREAD       0x20000000u
#define WALL            0x40000000u
#define WCLONE          0x80000000u

#define SA_NOCLDWAIT    2u
#define CLD_EXITED      1
#define CLD_KILLED      2

enum wait_which { WAIT_ANY, WAIT_PID, WAIT_GROUP };

struct wait_args {
    enum wait_which which;
    int id;
    uint32_t options;
};
struct wait_result {
    int pid, status;
    uint64_t ticks;
};

/* What siginfo says of a child that ended so. */
static struct unix_siginfo
wait_info(int pid, int status)
{
    struct unix_siginfo info = { .signo = UNIX_SIGCHLD };

    info.code = (status & 0x7f) == 0 ? CLD_EXITED : CLD_KILLED;
    info.child.pid = pid;
    info.child.status = (status & 0x7f) == 0 ? status >> 8 : status & 0x7f;
    return info;
}

/* (T) held; p is a zombie and leaves the tree. */
static void
wait_reap(struct proc *p)
{
    p->parent->child_ticks += p->ticks + p->child_ticks;
    proc_unlink(p);
}

void
wait_notify(struct proc *p)
{
    struct proc *parent = p->parent;
    const struct unix_sigaction *action = &parent->action[UNIX_SIGCHLD];
    bool unwanted;

    vm_spin_lock(&parent->signal_lock);
    unwanted = p->exit_signal == UNIX_SIGCHLD &&
        (action->handler == SIGNAL_IGNORE ||
        (action->flags & SA_NOCLDWAIT) != 0) && parent != proc_reaper;
    vm_spin_unlock(&parent->signal_lock);
    if (p->exit_signal != 0 && parent != proc_reaper) {
        struct unix_siginfo info = wait_info(p->pid, p->wait_status);

        info.signo = p->exit_signal;
        proc_signal(parent, NULL, &info);
    }
    if (unwanted) {
        wait_reap(p);
    }
    (void)atomic_fetch_add_explicit(&parent->child_event, 1,
        memory_order_release);
    kern_wake(&parent->child_event);
}

static bool
wait_matches(const struct proc *p, const struct wait_args *w)
{
    bool clone = p->exit_signal != UNIX_SIGCHLD;

    if ((w->options & WALL) == 0 && clone != ((w->options & WCLONE) != 0)) {
        return false;
    }
    return w->which == WAIT_ANY ||
        (w->which == WAIT_PID ? p->pid : p->pgid) == w->id;
}

/* Pid of a zombie that matches; 0, none yet; -ECHILD. */
static int64_t
wait_look(struct proc *self, const struct wait_args *w,
    struct wait_result *out)
{
    int64_t result = -UNIX_ECHILD;
    struct proc *p;

    vm_mutex_lock(&proc_tree);
    for (p = self->children; p != NULL; p = p->next) {
        if (!wait_matches(p, w)) {
            continue;
        }
        result = 0;
        if (p->state == PROC_ZOMBIE && (w->options & WEXITED) != 0) {
            out->pid = p->pid;
            out->status = p->wait_status;
            out->ticks = p->ticks + p->child_ticks;
            result = p->pid;
            if ((w->options & WNOWAIT) == 0) {
                wait_reap(p);
            }
            break;
        }
    }
    vm_mutex_unlock(&proc_tree);
    return result;
}

static int64_t
wait_for(const struct wait_args *w, struct wait_result *out)
{
    struct proc *self = proc_current();

    for (;;) {
        uint32_t event = atomic_load_explicit(&self->child_event,
            memory_order_acquire);
        int64_t result = wait_look(self, w, out);

        if (result != 0 || (w->options & WNOHANG) != 0) {
            return result;
        }
        if (kern_wait(&self->child_event, event, true) == VM_E_INTR) {
            return -UNIX_RESTART;
        }
    }
}

/* struct rusage: 2 timevals, 14 longs; all time counts as the user's. */
static int64_t
wait_rusage(uint64_t to, uint64_t ticks)
{
    uint64_t ru[18] = { 0 }, ns = time_of_ticks(ticks);

    ru[0] = ns / 1000000000;
    ru[1] = ns % 1000000000 / 1000;
    return to == 0 ? 0 : unix_copyout(to, ru, sizeof(ru));
}

int64_t
sys_wait4(const uint64_t *a)
{
    int pid = (int)a[0];
    struct wait_args w = { .id = pid };
    struct wait_result r = { 0 };
    int64_t result;

    if ((a[2] & 0xffffffff & ~(uint64_t)(WNOHANG | WUNTRACED | WCONTINUED |
        WNOTHREAD | WALL | WCLONE)) != 0) {
        return -UNIX_EINVAL;
    }
    if (pid == INT32_MIN) {
        return -UNIX_ESRCH;
    }
    w.options = (uint32_t)a[2] | WEXITED;
    if (pid < -1 || pid == 0) {
        w.which = WAIT_GROUP;
        w.id = pid == 0 ? proc_current()->pgid : -pid;
    } else if (pid > 0) {
        w.which = WAIT_PID;
    }
    result = wait_for(&w, &r);
    if (result > 0 && a[1] != 0 &&
        unix_copyout(a[1], &r.status, sizeof(r.status)) != 0) {
        return -UNIX_EFAULT;
    }
    if (result > 0 && wait_rusage(a[3], r.ticks) != 0) {
        return -UNIX_EFAULT;
    }
    return result;
}

int64_t
sys_waitid(const uint64_t *a)
{
    static const enum wait_which which[] = {
        WAIT_ANY, WAIT_PID, WAIT_GROUP
    };
    struct wait_args w = { .id = (int)a[1], .options = (uint32_t)a[3] };
    struct wait_result r = { 0 };
    struct unix_siginfo info = { 0 };
    int64_t result;

    if ((w.options & ~(WNOHANG | WUNTRACED | WCONTINUED | WEXITED | WNOWAIT |
        WNOTHREAD | WALL | WCLONE)) != 0 ||
        (w.options & (WEXITED | WUNTRACED | WCONTINUED)) == 0 ||
        (uint32_t)a[0] > 2 || (w.id < 0 && (uint32_t)a[0] != 0) ||
        (w.id == 0 && (uint32_t)a[0] == 1)) {
        return -UNIX_EINVAL;
    }
    w.which = which[(uint32_t)a[0]];
    if (w.which == WAIT_GROUP && w.id == 0) {
        w.id = proc_current()->pgid;
    }
    result = wait_for(&w, &r);
    if (result < 0) {
        return result;
    }
    if (result > 0) {
        info = wait_info(r.pid, r.status);
        if (wait_rusage(a[4], r.ticks) != 0) {
            return -UNIX_EFAULT;
        }
    }
    return a[2] == 0 ? 0 : unix_copyout(a[2], &info, sizeof(info));
}

/* ---- process 1 -------------------------------------------------------- */

static _Atomic uint64_t wait_next_alarm;        /* ns, 0: none */

static _Atomic uint32_t wait_interrupted;       /* the host wants SIGINT */

void
wait_reaper_wake(void)
{
    (void)atomic_fetch_add_explicit(&proc_reaper->child_event, 1,
        memory_order_release);
    kern_wake(&proc_reaper->child_event);
}

/* From an interrupt handler: signals are not sent there. */
void
wait_console_signal(void)
{
    atomic_store(&wait_interrupted, 1);
    wait_reaper_wake();
}

static void
wait_send_interrupt(void)
{
    struct unix_siginfo info = {
        .signo = UNIX_SIGINT, .code = 0x80 /* SI_KERNEL */
    };

    for (struct proc *p = proc_next(NULL); p != NULL; p = proc_next(p)) {
        if (p != proc_reaper) {
            proc_signal(p, NULL, &info);
        }
    }
}

void
wait_reaper_poke(uint64_t ns)
{
    uint64_t next = atomic_load(&wait_next_alarm);

    if (next == 0 || ns < next) {
        wait_reaper_wake();
    }
}

void
wait_reaper(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t event = atomic_load_explicit(&proc_reaper->child_event,
            memory_order_acquire);
        struct proc *p, *next;

        vm_mutex_lock(&proc_tree);
        for (p = proc_reaper->children; p != NULL; p = next) {
            next = p->next;
            /* start.c waits for the first program itself. */
            if (p->state == PROC_ZOMBIE && p->exit_signal != 0) {
                wait_reap(p);
            }
        }
        vm_mutex_unlock(&proc_tree);
        oom_poll();
        if (atomic_exchange(&wait_interrupted, 0) != 0) {
            wait_send_interrupt();
        }
        /* Whoever sets one while the others are looked at pokes. */
        atomic_store(&wait_next_alarm, 0);
        atomic_store(&wait_next_alarm, signal_alarms(kern_now()));
        (void)!thread_wait(&proc_reaper->child_event, event, false,
            atomic_load(&wait_next_alarm));
    }
}
