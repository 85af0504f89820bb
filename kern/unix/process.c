/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - processes and threads: making them, and their end.
 *
 *   clone  -> proc_create --> proc_thread_create --> linked, started
 *   exit   -> proc_thread_exit, each thread by itself: robust futexes,
 *             clear_tid; the last one gives up map, files and directory,
 *             hands its children to a reaper and becomes a zombie
 *   wait4  -> wait.c unlinks the zombie; the last reference frees it
 *
 * A process is in a table by pid from its first moment in the tree until
 * it is reaped.  Threads have numbers of the same series; they are found
 * through their process.  A number is given again only when the counter has
 * wrapped and nobody has it as pid, tid, group or session.
 *
 * What hangs on a thread is freed by unix_reaped(), when it is off its stack.
 *
 * Locks: proc_tree (T), then signal_lock (s) of any one process.
 */
#include "proc_impl.h"

#include "file.h"
#include "hooks.h"
#include "vm_zone.h"

#define PID_MAX         4194304         /* as on 64-bit Linux */
#define PID_BUCKETS     256u

struct vm_mutex proc_tree = { 0, KERN_RANK_PROCS };
struct proc *proc_reaper;

static struct vm_zone proc_zone, proc_thread_zone;
static struct proc *proc_hash[PID_BUCKETS];     /* (T) */
static _Atomic int proc_last_pid;
static bool proc_wrapped;                       /* (T) */

void
proc_init(void)
{
    vm_zone_init(&proc_zone, "process", sizeof(struct proc));
    vm_zone_init(&proc_thread_zone, "unix thread",
        sizeof(struct unix_thread));
    proc_reaper = proc_create(proc_pid());
    if (proc_reaper == NULL) {
        kern_panic("no memory for process 1");
    }
    memcpy(proc_reaper->name, "reaper", 7);
    proc_reaper->pgid = proc_reaper->sid = proc_reaper->pid;
    vm_mutex_lock(&proc_tree);
    proc_link(proc_reaper, NULL);
    vm_mutex_unlock(&proc_tree);
}

/* ---- pids and the tree ------------------------------------------------ */

static inline struct proc **
proc_bucket(int pid)
{
    return &proc_hash[(unsigned)pid % PID_BUCKETS];
}

struct proc *
proc_find_locked(int pid)
{
    struct proc *p = *proc_bucket(pid);

    while (p != NULL && p->pid != pid) {
        p = p->hash_next;
    }
    return p;
}

struct proc *
proc_find(int pid)
{
    struct proc *p;

    vm_mutex_lock(&proc_tree);
    p = proc_find_locked(pid);
    if (p != NULL) {
        proc_ref(p);
    }
    vm_mutex_unlock(&proc_tree);
    return p;
}

struct proc *
proc_next_locked(struct proc *p)
{
    unsigned i = 0;

    if (p != NULL) {
        if (p->hash_next != NULL) {
            return p->hash_next;
        }
        i = (unsigned)p->pid % PID_BUCKETS + 1;
    }
    while (i < PID_BUCKETS && proc_hash[i] == NULL) {
        i++;
    }
    return i < PID_BUCKETS ? proc_hash[i] : NULL;
}

/* p may have left the tree meanwhile: go on behind where it was. */
struct proc *
proc_next(struct proc *p)
{
    struct proc *next;

    vm_mutex_lock(&proc_tree);
    if (p == NULL || proc_find_locked(p->pid) == p) {
        next = proc_next_locked(p);
    } else {
        next = NULL;
        for (unsigned i = (unsigned)p->pid % PID_BUCKETS + 1;
            i < PID_BUCKETS && next == NULL; i++) {
            next = proc_hash[i];
        }
    }
    if (next != NULL) {
        proc_ref(next);
    }
    vm_mutex_unlock(&proc_tree);
    if (p != NULL) {
        proc_unref(p);
    }
    return next;
}

/* ---- for the Mach calls ----------------------------------------------- */

struct vm_map *
proc_descendant_map(struct proc *ancestor, int pid)
{
    struct vm_map *map = NULL;
    struct proc *p, *up;

    vm_mutex_lock(&proc_tree);
    p = proc_find_locked(pid);
    up = p;
    while (up != NULL && up != ancestor) {
        up = up->parent;
    }
    if (up != NULL) {
        vm_mutex_lock(&p->lock);
        map = p->map;
        if (map != NULL) {
            vm_map_ref(map);
        }
        vm_mutex_unlock(&p->lock);
    }
    vm_mutex_unlock(&proc_tree);
    return map;
}

bool
proc_is_quiet(const struct vm_map *map)
{
    struct proc *self = proc_current();
    bool quiet = self->map == map && self->nthreads == 1;

    vm_mutex_lock(&proc_tree);
    for (struct proc *p = proc_next_locked(NULL); p != NULL;
        p = proc_next_locked(p)) {
        quiet = quiet && (p == self || p->map != map);
    }
    vm_mutex_unlock(&proc_tree);
    return quiet;
}

/* ---- numbers ---------------------------------------------------------- */

/* (T) held. */
static bool
proc_number_used(int n)
{
    for (struct proc *p = proc_next_locked(NULL); p != NULL;
        p = proc_next_locked(p)) {
        bool used = p->pid == n || p->pgid == n || p->sid == n;

        vm_spin_lock(&p->signal_lock);
        for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
            used = used || unix_thread(t)->tid == n;
        }
        vm_spin_unlock(&p->signal_lock);
        if (used) {
            return true;
        }
    }
    return false;
}

/* The slow way, once the numbers have been round. */
static int
proc_pid_wrapped(void)
{
    int n;

    vm_mutex_lock(&proc_tree);
    if (!proc_wrapped || vm_get(&proc_last_pid) >= PID_MAX) {
        proc_wrapped = true;
        vm_set(&proc_last_pid, 300);
    }
    do {
        n = atomic_fetch_add_explicit(&proc_last_pid, 1,
            memory_order_relaxed) + 1;
    } while (proc_number_used(n));
    vm_mutex_unlock(&proc_tree);
    return n;
}

int
proc_pid(void)
{
    int n;

    if (__builtin_expect(proc_wrapped, 0)) {
        return proc_pid_wrapped();
    }
    n = atomic_fetch_add_explicit(&proc_last_pid, 1, memory_order_relaxed);
    return n + 1 < PID_MAX ? n + 1 : proc_pid_wrapped();
}

static void
proc_child_add(struct proc *parent, struct proc *p)
{
    p->parent = parent;
    p->prev = NULL;
    p->next = parent->children;
    if (p->next != NULL) {
        p->next->prev = p;
    }
    parent->children = p;
}

static void
proc_child_remove(struct proc *p)
{
    if (p->prev != NULL) {
        p->prev->next = p->next;
    } else {
        p->parent->children = p->next;
    }
    if (p->next != NULL) {
        p->next->prev = p->prev;
    }
}

void
proc_link(struct proc *p, struct proc *parent)
{
    struct proc **bucket = proc_bucket(p->pid);

    p->hash_next = *bucket;
    *bucket = p;
    if (parent != NULL) {
        proc_child_add(parent, p);
    }
}

void
proc_unlink(struct proc *p)
{
    struct proc **at = proc_bucket(p->pid);

    while (*at != p) {
        at = &(*at)->hash_next;
    }
    *at = p->hash_next;
    proc_child_remove(p);
    p->parent = NULL;
    proc_unref(p);
}

/* ---- structures ------------------------------------------------------- */

/* What a zone hands out has its last user's bytes in it. */
struct proc *
proc_create(int pid)
{
    struct proc *p = vm_zone_alloc(&proc_zone);

    if (p == NULL) {
        return NULL;
    }
    memset(p, 0, offsetof(struct proc, action));
    p->lock.rank = KERN_RANK_PROC;
    p->signal_lock.rank = KERN_RANK_SIGNAL;
    p->ref_count = 1;
    p->pid = pid;
    p->alarm = p->alarm_interval = 0;
    p->exit_signal = UNIX_SIGCHLD;
    p->executed = p->subreaper = p->fds_shared = false;
    p->ticks = p->child_ticks = 0;
    p->started = kern_now();
    return p;
}

void
proc_free(struct proc *p)
{
    signal_drop(p->info);
    vm_zone_free(&proc_zone, p);
}

void
proc_ref(struct proc *p)
{
    (void)atomic_fetch_add_explicit(&p->ref_count, 1, memory_order_relaxed);
}

void
proc_unref(struct proc *p)
{
    if (atomic_fetch_sub_explicit(&p->ref_count, 1,
        memory_order_acq_rel) == 1) {
        proc_free(p);
    }
}

int
proc_thread_create(struct proc *p, int tid, void (*fn)(void *),
    struct thread **out)
{
    struct unix_thread *ut = vm_zone_alloc(&proc_thread_zone);
    struct thread *t;
    int error;

    if (ut == NULL) {
        return VM_E_NOMEM;
    }
    error = thread_create(p->name, fn, NULL, &t);
    if (error != VM_OK) {
        vm_zone_free(&proc_thread_zone, ut);
        return error;
    }
    memset(ut, 0, sizeof(*ut));
    ut->tid = tid;
    ut->alt.flags = UNIX_SS_DISABLE;
    t->unix_thread = ut;
    error = thread_user_create(t);
    if (error != VM_OK) {
        proc_thread_destroy(t);
        return error;
    }
    t->proc = p;
    t->map = p->map;
    *out = t;
    return VM_OK;
}

void
unix_reaped(struct thread *t)
{
    if (t->unix_thread != NULL) {
        vm_zone_free(&proc_thread_zone, t->unix_thread);
        t->unix_thread = NULL;
    }
}

void
proc_thread_destroy(struct thread *t)
{
    unix_reaped(t);
    thread_destroy(t);
}

void
proc_thread_add(struct proc *p, struct thread *t)
{
    vm_spin_lock(&p->signal_lock);
    t->sibling = p->threads;
    p->threads = t;
    p->nthreads++;
    if (p->exiting) {
        t->stop = 1;
        thread_interrupt(t, WORK_SIGNAL);
    }
    vm_spin_unlock(&p->signal_lock);
}

uint64_t
proc_thread_ticks(const struct thread *t)
{
    return t->ran + (t == thread_current() ? md_ticks() - t->started : 0);
}

uint64_t
proc_ticks(struct proc *p)
{
    uint64_t sum;

    vm_spin_lock(&p->signal_lock);
    sum = p->ticks;
    for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
        sum += proc_thread_ticks(t);
    }
    vm_spin_unlock(&p->signal_lock);
    return sum;
}

/* ---- the end ---------------------------------------------------------- */

void
proc_kill_locked(struct proc *p, int wait_status)
{
    if (!p->exiting) {
        p->exiting = true;
        p->exit_status = wait_status;
    }
    for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
        if (t != thread_current()) {
            t->stop = 1;
        }
        thread_interrupt(t, WORK_SIGNAL);
    }
}

void
proc_vfork_release(struct proc *p)
{
    if (vm_get(&p->vfork_done) == 0) {
        /* What the child did to the common memory comes before. */
        atomic_store_explicit(&p->vfork_done, 1, memory_order_release);
        kern_wake(&p->vfork_done);
    }
}

/* (T) held.  The nearest subreaper above p takes its children over, else the
   reaper. */
static void
proc_orphan(struct proc *p)
{
    struct proc *child, *heir = p->parent;
    bool zombies = false;

    if (p->children == NULL) {
        return;
    }
    while (heir != proc_reaper && !heir->subreaper) {
        heir = heir->parent;
    }
    while ((child = p->children) != NULL) {
        proc_child_remove(child);
        proc_child_add(heir, child);
        child->exit_signal = UNIX_SIGCHLD;
        if (child->state == PROC_ZOMBIE && heir != proc_reaper) {
            wait_notify(child);
        } else {
            zombies = zombies || child->state == PROC_ZOMBIE;
        }
    }
    if (zombies) {
        wait_reaper_wake();
    }
}

/* No thread is left but this one, which keeps nothing of p. */
static void
proc_end(struct proc *p)
{
    struct vm_map *map = p->map;
    struct fd_table *fds = p->fds;
    struct node *cwd = p->cwd, *exe = p->exe;

    vm_mutex_lock(&p->lock);
    p->map = NULL;
    p->fds = NULL;
    p->cwd = p->exe = NULL;
    vm_mutex_unlock(&p->lock);

    if (map != NULL) {
        vm_map_unref(map);
    }
    proc_vfork_release(p);
    if (fds != NULL) {
        fds_unref(fds);
    }
    if (cwd != NULL) {
        node_unref(cwd);
    }
    if (exe != NULL) {
        node_exe_unref(exe);
    }
    vm_mutex_lock(&proc_tree);
    proc_orphan(p);
    p->wait_status = p->exit_status;
    p->state = PROC_ZOMBIE;
    wait_notify(p);
    vm_mutex_unlock(&proc_tree);
}

/* Returns how many threads remain. */
static unsigned
proc_thread_remove(struct proc *p, struct thread *t)
{
    struct thread **at = &p->threads;
    struct signal_info *info;
    unsigned left;

    vm_spin_lock(&p->signal_lock);
    while (*at != t) {
        at = &(*at)->sibling;
    }
    *at = t->sibling;
    left = --p->nthreads;
    p->ticks += proc_thread_ticks(t);
    info = signal_all(p, &unix_thread(t)->info);
    if (left != 0 && p->pending != 0) {
        signal_retarget(p);
    }
    (void)atomic_fetch_add_explicit(&p->thread_event, 1,
        memory_order_release);
    kern_wake(&p->thread_event);
    vm_spin_unlock(&p->signal_lock);
    signal_drop(info);
    return left;
}

_Noreturn void
proc_thread_exit(void)
{
    struct thread *t = thread_current();
    struct proc *p = t->proc;

    /* What is left to do must not be given up. */
    t->stop = 0;
    futex_thread_exit(unix_thread(t));
    vm_progress_end(&t->progress);
    thread_set_map(NULL);
    proc_ref(p);
    if (proc_thread_remove(p, t) == 0) {
        proc_end(p);
    }
    t->proc = NULL;
    proc_unref(p);
    thread_exit();
}

_Noreturn void
proc_exit(int wait_status)
{
    struct proc *p = proc_current();

    vm_spin_lock(&p->signal_lock);
    proc_kill_locked(p, wait_status);
    vm_spin_unlock(&p->signal_lock);
    proc_thread_exit();
}

int
proc_wait(_Atomic uint32_t *word, uint32_t value)
{
    struct thread *t = thread_current();
    uint32_t signal = 0;
    int error;

    while ((error = kern_wait(word, value, true)) == VM_E_INTR &&
        vm_get(&t->stop) == 0) {
        signal |= atomic_fetch_and_explicit(&t->head.work, ~WORK_SIGNAL,
            memory_order_seq_cst) & WORK_SIGNAL;
    }
    if (signal != 0) {
        (void)atomic_fetch_or_explicit(&t->head.work, signal,
            memory_order_seq_cst);
    }
    return error;
}

/* (s) held: all but self are to end; true: they have. */
static bool
proc_stop_others(struct proc *p, struct thread *self)
{
    for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
        if (t != self) {
            t->stop = 1;
            thread_interrupt(t, WORK_SIGNAL);
        }
    }
    /* If two want to be the only one, the first has its will. */
    p->last = p->nthreads == 1 ? NULL : self;
    return p->nthreads == 1;
}

bool
proc_only_thread(struct proc *p)
{
    struct thread *self = thread_current();

    for (;;) {
        uint32_t event = atomic_load_explicit(&p->thread_event,
            memory_order_acquire);
        bool may, alone;

        vm_spin_lock(&p->signal_lock);
        may = !p->exiting && (p->last == NULL || p->last == self);
        alone = may && proc_stop_others(p, self);
        vm_spin_unlock(&p->signal_lock);
        if (alone || !may) {
            return may;
        }
        /* Broken off only by the end of the process: it is seen above. */
        (void)proc_wait(&p->thread_event, event);
    }
}

int64_t
sys_exit(const uint64_t *a)
{
    struct proc *p = proc_current();
    int status = ((int)a[0] & 0xff) << 8;

    vm_spin_lock(&p->signal_lock);
    /* The leader's code is the process's, if it ends thread by thread. */
    if (!p->exiting && unix_thread(thread_current())->tid == p->pid) {
        p->exit_status = status;
    }
    vm_spin_unlock(&p->signal_lock);
    proc_thread_exit();
}

int64_t
sys_exit_group(const uint64_t *a)
{
    proc_exit(((int)a[0] & 0xff) << 8);
}

/* ---- identity in the tree --------------------------------------------- */

int64_t
sys_getpid(const uint64_t *a)
{
    (void)a;
    return proc_current()->pid;
}

int64_t
sys_gettid(const uint64_t *a)
{
    (void)a;
    return unix_thread(thread_current())->tid;
}

int64_t
sys_getppid(const uint64_t *a)
{
    struct proc *const volatile *link = &proc_current()->parent;
    struct proc *parent;
    int pid;

    (void)a;
    /*
     * Without the tree's lock.  Processes are type-stable, and one is not
     * freed while it is somebody's parent: unchanged, it was it all along.
     */
    do {
        parent = *link;
        pid = *(volatile int *)&parent->pid;
        atomic_thread_fence(memory_order_acquire);
    } while (*link != parent);
    return pid;
}

static int64_t
proc_id_of(int pid, bool session)
{
    int64_t id = -UNIX_ESRCH;
    struct proc *p;

    vm_mutex_lock(&proc_tree);
    p = pid == 0 ? proc_current() : proc_find_locked(pid);
    if (p != NULL) {
        id = session ? p->sid : p->pgid;
    }
    vm_mutex_unlock(&proc_tree);
    return id;
}

int64_t
sys_getpgid(const uint64_t *a)
{
    return proc_id_of((int)a[0], false);
}

int64_t
sys_getpgrp(const uint64_t *a)
{
    (void)a;
    return proc_id_of(0, false);
}

int64_t
sys_getsid(const uint64_t *a)
{
    return proc_id_of((int)a[0], true);
}

/* (T) held: is there a process of that group in that session? */
static bool
proc_group_in(int pgid, int sid)
{
    for (struct proc *p = proc_next_locked(NULL); p != NULL;
        p = proc_next_locked(p)) {
        if (p->pgid == pgid && p->sid == sid) {
            return true;
        }
    }
    return false;
}

static int64_t
proc_set_group(struct proc *self, int pid, int pgid)
{
    struct proc *p = pid == 0 ? self : proc_find_locked(pid);

    if (p == NULL || (p != self && p->parent != self)) {
        return -UNIX_ESRCH;
    }
    pgid = pgid == 0 ? p->pid : pgid;
    if (p != self && p->sid != self->sid) {
        return -UNIX_EPERM;
    }
    if (p != self && p->executed) {
        return -UNIX_EACCES;
    }
    if (p->sid == p->pid ||
        (pgid != p->pid && !proc_group_in(pgid, self->sid))) {
        return -UNIX_EPERM;
    }
    p->pgid = pgid;
    return 0;
}

int64_t
sys_setpgid(const uint64_t *a)
{
    int64_t error;

    if ((int)a[0] < 0 || (int)a[1] < 0) {
        return (int)a[1] < 0 ? -UNIX_EINVAL : -UNIX_ESRCH;
    }
    vm_mutex_lock(&proc_tree);
    error = proc_set_group(proc_current(), (int)a[0], (int)a[1]);
    vm_mutex_unlock(&proc_tree);
    return error;
}

int64_t
sys_setsid(const uint64_t *a)
{
    struct proc *p = proc_current();
    int64_t result = -UNIX_EPERM;
    bool leads = false;

    (void)a;
    vm_mutex_lock(&proc_tree);
    for (struct proc *q = proc_next_locked(NULL); q != NULL;
        q = proc_next_locked(q)) {
        leads = leads || q->pgid == p->pid;
    }
    if (!leads) {
        p->pgid = p->sid = p->pid;
        result = p->pid;
    }
    vm_mutex_unlock(&proc_tree);
    return result;
}

int64_t
sys_set_tid_address(const uint64_t *a)
{
    struct unix_thread *ut = unix_thread(thread_current());

    ut->clear_tid = a[0];
    return ut->tid;
}
