/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clone.c - fork, vfork, clone and clone3: a process or a thread more.
 *
 *                    new process               new thread (CLONE_THREAD)
 *   map              copied; CLONE_VM: same    same
 *   descriptors      copied; CLONE_FILES: same same
 *   cwd, umask       copied                    same
 *   signal actions   copied                    same
 *
 * Threads are what pthread_create makes: all of VM, FS, FILES and SIGHAND go
 * with THREAD, and SIGHAND with nothing else.  CLONE_FS alone copies.
 *
 * The child returns to user mode in a copy of its parent's frame, with result
 * 0.  Everything that can fail is done before anybody can find it.
 */
#include "proc_impl.h"

#include "file.h"

#define CLONE_SIGNAL_MASK       0xffu
#define CLONE_THREAD_SHARE (128u << 10)

#define CLONE_VM                0x100u
#define CLONE_FS                0x200u
#define CLONE_FILES             0x400u
#define CLONE_SIGHAND           0x800u
#define CLONE_PIDFD             0x1000u
#define CLONE_PTRACE            0x2000u
#define CLONE_VFORK             0x4000u
#define CLONE_PARENT            0x8000u
#define CLONE_THREAD            0x10000u
#define CLONE_SYSVSEM           0x40000u
#define CLONE_SETTLS            0x80000u
#define CLONE_PARENT_SETTID     0x100000u
#define CLONE_CHILD_CLEARTID    0x200000u
#define CLONE_DETACHED          0x400000u
#define CLONE_UNTRACED          0x800000u
#define CLONE_CHILD_SETTID      0x1000000u
#define CLONE_IO                0x80000000u
#define CLONE_CLEAR_SIGHAND     0x100000000ull

#define CLONE_KNOWN \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PTRACE | \
    CLONE_VFORK | CLONE_PARENT | CLONE_THREAD | CLONE_SYSVSEM | \
    CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | \
    CLONE_DETACHED | CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_IO | \
    CLONE_CLEAR_SIGHAND)
#define CLONE_THREAD_NEEDS \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND)

/* struct clone_args of clone3, the first version. */
struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
    uint64_t stack, stack_size, tls;
};
#define CLONE_ARGS_MAX  4096u

/* The first thing that a new thread does. */
static void
clone_begin(void *unused)
{
    struct unix_thread *ut = unix_thread(thread_current());

    (void)unused;
    if (ut->set_tid != 0) {
        (void)!md_copyout(ut->set_tid, &ut->tid, sizeof(ut->tid));
    }
    md_user_enter();
}

/* Registers and what is kept for each thread, as the flags say. */
static void
clone_thread_state(struct thread *t, const struct clone_args *c)
{
    struct thread *self = thread_current();
    struct unix_thread *from = unix_thread(self), *ut = unix_thread(t);
    struct md_frame *f = thread_frame(t);

    md_user_save(self->user);
    memcpy(t->user, self->user, sizeof(*t->user));
    memcpy(f, thread_frame(self), sizeof(*f));
    md_frame_set_result(f, 0);
    if (c->stack != 0) {
        md_frame_set_sp(f, c->stack + c->stack_size);
    }
    if ((c->flags & CLONE_SETTLS) != 0) {
        md_frame_set_tls(f, t->user, c->tls);
    }
    ut->mask = from->restore_mask ? from->saved_mask : from->mask;
    if ((c->flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM) {
        ut->alt = from->alt;
    }
    if ((c->flags & CLONE_CHILD_SETTID) != 0) {
        ut->set_tid = c->child_tid;
    }
    if ((c->flags & CLONE_CHILD_CLEARTID) != 0) {
        ut->clear_tid = c->child_tid;
    }
}

static void
clone_parent_tid(const struct clone_args *c, int tid)
{
    if ((c->flags & CLONE_PARENT_SETTID) != 0) {
        (void)!md_copyout(c->parent_tid, &tid, sizeof(tid));
    }
}

static int64_t
clone_thread(const struct clone_args *c)
{
    struct proc *p = proc_current();
    struct thread *t;
    int tid = proc_pid();

    if (proc_thread_create(p, tid, clone_begin, &t) != VM_OK) {
        return -UNIX_EAGAIN;
    }
    clone_thread_state(t, c);
    clone_parent_tid(c, tid);
    proc_thread_add(p, t);
    thread_start(t);
    return tid;
}

/* What both have, without the map and the descriptors. */
static void
clone_copy(struct proc *p, struct proc *from, const struct clone_args *c)
{
    vm_mutex_lock(&from->lock);
    p->brk_start = from->brk_start;
    p->brk = from->brk;
    p->trampoline = from->trampoline;
    p->stack_top = from->stack_top;
    p->arg_start = from->arg_start;
    p->arg_end = from->arg_end;
    p->env_end = from->env_end;
    p->umask = from->umask;
    p->cwd = from->cwd;
    p->exe = from->exe;
    node_ref(p->cwd);
    node_exe_ref(p->exe);
    memcpy(p->name, from->name, sizeof(p->name));
    memcpy(p->rlimit, from->rlimit, sizeof(p->rlimit));
    if ((c->flags & CLONE_FILES) != 0) {
        p->fds_shared = from->fds_shared = true;
    }
    vm_mutex_unlock(&from->lock);
    vm_spin_lock(&from->signal_lock);
    memcpy(p->action, from->action, sizeof(p->action));
    vm_spin_unlock(&from->signal_lock);
    if ((c->flags & CLONE_CLEAR_SIGHAND) != 0) {
        signal_exec(p);
    }
}

static void
clone_undo(struct proc *p)
{
    if (p->map != NULL) {
        vm_map_unref(p->map);
    }
    if (p->fds != NULL) {
        fds_unref(p->fds);
    }
    node_unref(p->cwd);
    node_exe_unref(p->exe);
    proc_free(p);
}

/* A process with one thread, which nobody knows yet. */
static int64_t
clone_make(struct proc *from, const struct clone_args *c, struct proc **out,
    struct thread **thread)
{
    struct proc *p = proc_create(proc_pid());
    int64_t error;

    if (p == NULL) {
        return -UNIX_ENOMEM;
    }
    clone_copy(p, from, c);
    p->exit_signal = (int)c->exit_signal;
    if ((c->flags & CLONE_VM) != 0) {
        p->map = from->map;
        vm_map_ref(p->map);
        error = 0;
    } else {
        error = vm_map_fork(from->map, &p->map) == VM_OK ? 0 :
            -UNIX_ENOMEM;
    }
    if (error == 0 && (c->flags & CLONE_FILES) != 0) {
        p->fds = from->fds;
        fds_ref(p->fds);
    } else if (error == 0) {
        error = fds_copy(from->fds, &p->fds);
    }
    if (error == 0 &&
        proc_thread_create(p, p->pid, clone_begin, thread) != VM_OK) {
        error = -UNIX_ENOMEM;
    }
    if (error != 0) {
        clone_undo(p);
        return error;
    }
    *out = p;
    return 0;
}

static int64_t
clone_process(const struct clone_args *c)
{
    struct proc *self = proc_current(), *parent, *p;
    bool vfork = (c->flags & CLONE_VFORK) != 0;
    struct thread *t;
    int64_t error = clone_make(self, c, &p, &t);
    int pid;

    if (error != 0) {
        return error;
    }
    pid = p->pid;
    clone_thread_state(t, c);
    clone_parent_tid(c, pid);
    proc_thread_add(p, t);
    if (vfork) {
        proc_ref(p);
    }
    vm_mutex_lock(&proc_tree);
    p->pgid = self->pgid;
    p->sid = self->sid;
    parent = (c->flags & CLONE_PARENT) != 0 ? self->parent : self;
    if (parent == proc_reaper) {
        p->exit_signal = UNIX_SIGCHLD;
    }
    proc_link(p, parent);
    vm_mutex_unlock(&proc_tree);
    thread_start(t);
    if (vfork) {
        /* A parent that is killed goes: the child has the memory, too. */
        while (atomic_load_explicit(&p->vfork_done,
            memory_order_acquire) == 0 &&
            proc_wait(&p->vfork_done, 0) == VM_OK) {
            continue;
        }
        proc_unref(p);
    }
    return pid;
}

/* As Linux: a thread for each 128 KiB of memory, and no more. */
static bool
clone_too_many(void)
{
    return thread_count() >=
        (vm_page_count << vm_page_shift) / CLONE_THREAD_SHARE;
}

static int64_t
clone_any(const struct clone_args *c)
{
    uint64_t flags = c->flags;

    if (clone_too_many()) {
        return -UNIX_EAGAIN;
    }
    if ((flags & ~(uint64_t)CLONE_KNOWN) != 0 ||
        c->exit_signal > UNIX_NSIG) {
        return -UNIX_EINVAL;
    }
    /* As arch_prctl(2). */
    if ((flags & CLONE_SETTLS) != 0 && !md_tls_ok(c->tls)) {
        return -UNIX_EPERM;
    }
    if ((flags & CLONE_THREAD) != 0) {
        return (flags & CLONE_THREAD_NEEDS) == CLONE_THREAD_NEEDS &&
            (flags & CLONE_VFORK) == 0 ? clone_thread(c) : -UNIX_EINVAL;
    }
    if ((flags & CLONE_SIGHAND) != 0) {
        return -UNIX_EINVAL;
    }
    return clone_process(c);
}

int64_t
sys_fork(const uint64_t *a)
{
    struct clone_args c = { .exit_signal = UNIX_SIGCHLD };

    (void)a;
    return clone_any(&c);
}

int64_t
sys_vfork(const uint64_t *a)
{
    struct clone_args c = {
        .flags = CLONE_VM | CLONE_VFORK, .exit_signal = UNIX_SIGCHLD
    };

    (void)a;
    return clone_any(&c);
}

int64_t
sys_clone(const uint64_t *a)
{
    struct clone_args c = {
        .flags = (uint32_t)a[0] & ~CLONE_SIGNAL_MASK,
        .exit_signal = a[0] & CLONE_SIGNAL_MASK,
        .stack = a[1], .parent_tid = a[2], .tls = a[UNIX_CLONE_TLS],
        .child_tid = a[UNIX_CLONE_CHILD_TID]
    };

    return clone_any(&c);
}

/* Bytes of a newer, longer struct must be 0. */
static int64_t
clone3_rest(uint64_t from, uint64_t size)
{
    uint8_t buf[64];

    while (size != 0) {
        size_t n = size < sizeof(buf) ? size : sizeof(buf);
        int64_t error = unix_copyin(buf, from, n);

        for (size_t i = 0; error == 0 && i < n; i++) {
            if (buf[i] != 0) {
                error = -UNIX_E2BIG;
            }
        }
        if (error != 0) {
            return error;
        }
        from += n;
        size -= n;
    }
    return 0;
}

int64_t
sys_clone3(const uint64_t *a)
{
    struct clone_args c;
    int64_t error;

    if (a[1] < sizeof(c)) {
        return -UNIX_EINVAL;
    }
    if (a[1] > CLONE_ARGS_MAX) {
        return -UNIX_E2BIG;
    }
    error = unix_copyin(&c, a[0], sizeof(c));
    if (error == 0) {
        error = clone3_rest(a[0] + sizeof(c), a[1] - sizeof(c));
    }
    if (error != 0) {
        return error;
    }
    if ((c.flags & (CLONE_DETACHED | CLONE_SIGNAL_MASK)) != 0 ||
        ((c.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 &&
        c.exit_signal != 0) || (c.stack == 0) != (c.stack_size == 0)) {
        return -UNIX_EINVAL;
    }
    return clone_any(&c);
}
