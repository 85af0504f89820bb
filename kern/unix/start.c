/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.c - from the end of the kernel's own start to the end of the first
 * program, and out of the machine.
 *
 *   process 1   the reaper, a kernel thread
 *   process 2   option "init=", else /init; its arguments and environment are
 *               in the archive: /.pal/args and /.pal/env, strings that end
 *               with 0
 *
 * This thread waits for process 2.  Then all others are killed and waited
 * for, memory is compared with what was in use before ("pal: leak: ..."), and
 * the log says "pal: exit N" or "pal: signal N"; the machine's status is N, or
 * 128 + N, or 1 if all went well but something leaked.
 */
#include "exec_impl.h"

#include "boot.h"
#include "file.h"
#include "hooks.h"
#include "idle.h"
#include "storm.h"

#define START_STRINGS_MAX       (128u << 10)
/* What the others may take to end when they are killed. */
#define START_PATIENCE_NS       10000000000ull

static const char *start_path;
static int64_t start_error;             /* why process 2 is none */

/* ---- the first program ------------------------------------------------ */

/* Strings of a file, each with its 0; count is how many. */
static int64_t
start_strings(struct exec_strings *s, const char *path, unsigned *count)
{
    struct node *n;
    int64_t error, size;

    error = node_walk(NULL, path, true, &n);
    if (error != 0) {
        return error == -UNIX_ENOENT ? 0 : error;
    }
    error = exec_room(s, START_STRINGS_MAX);
    if (error == 0) {
        size = node_read(n, 0, s->bytes + s->size, START_STRINGS_MAX - 1);
        error = size < 0 ? size : 0;
        if (size > 0 && s->bytes[s->size + (size_t)size - 1] != 0) {
            s->bytes[s->size + (size_t)size++] = 0;
        }
        for (int64_t i = 0; i < size; i++) {
            *count += s->bytes[s->size + (size_t)i] == 0;
        }
        s->size += size > 0 ? (size_t)size : 0;
    }
    node_unref(n);
    return error;
}

static int64_t
start_run(void)
{
    static const char home[] = "HOME=/\0PATH=/bin:/sbin:/usr/bin:/usr/sbin";
    struct exec_strings s = { 0 };
    size_t length = 0;
    struct node *exe;
    int64_t error = start_strings(&s, "/.pal/args", &s.argc);

    while (start_path[length++] != 0) {
        continue;
    }
    if (error == 0 && s.argc == 0) {
        s.argc = 1;
        error = exec_add(&s, start_path, length);
    }
    if (error == 0) {
        error = start_strings(&s, "/.pal/env", &s.envc);
    }
    if (error == 0 && s.envc == 0) {
        s.envc = 2;
        error = exec_add(&s, home, sizeof(home));
    }
    if (error == 0) {
        error = node_walk(NULL, start_path, true, &exe);
    }
    if (error == 0) {
        error = exec_run(exe, start_path, &s);
    }
    exec_free(&s);
    return error;
}

static void
start_first(void *unused)
{
    (void)unused;
    start_error = start_run();
    if (start_error != 0) {
        proc_exit((start_error == -UNIX_ENOENT ? 127 : 126) << 8);
    }
    md_user_enter();
}

static struct proc *
start_process(void)
{
    struct proc *p = proc_create(proc_pid());
    struct thread *t;

    if (p == NULL || fds_create(&p->fds) != 0 ||
        fds_open_console(p->fds) != 0 ||
        proc_thread_create(p, p->pid, start_first, &t) != VM_OK) {
        kern_panic("no memory for the first program");
    }
    for (unsigned i = 0; i <= UNIX_NSIG; i++) {
        p->action[i] = (struct unix_sigaction){ 0 };
    }
    system_limits(p);
    memcpy(p->name, "init", 5);
    p->umask = 022;
    p->cwd = node_root();
    node_ref(p->cwd);
    p->pgid = p->sid = p->pid;
    p->exit_signal = 0;                 /* the reaper leaves it to us */
    proc_ref(p);
    proc_thread_add(p, t);
    vm_mutex_lock(&proc_tree);
    proc_link(p, proc_reaper);
    vm_mutex_unlock(&proc_tree);
    thread_start(t);
    return p;
}

/* ---- the end ---------------------------------------------------------- */

static void
start_kill_all(void)
{
    struct proc *p;

    for (p = proc_next(NULL); p != NULL; p = proc_next(p)) {
        if (p != proc_reaper) {
            vm_spin_lock(&p->signal_lock);
            proc_kill_locked(p, UNIX_SIGKILL);
            vm_spin_unlock(&p->signal_lock);
        }
    }
}

/* The first one that is left, for the log; 0: none is. */
static int
start_survivor(void)
{
    int pid = 0;

    vm_mutex_lock(&proc_tree);
    if (proc_reaper->children != NULL) {
        pid = proc_reaper->children->pid;
    }
    vm_mutex_unlock(&proc_tree);
    return pid;
}

/* Kill what is left and wait until it is gone. */
static bool
start_end_all(uint64_t threads)
{
    uint64_t deadline = kern_now() + START_PATIENCE_NS;
    int pid;

    while ((pid = start_survivor()) != 0 && kern_now() < deadline) {
        start_kill_all();
        (void)thread_sleep_until(kern_now() + 1000000, false);
    }
    if (pid != 0) {
        kern_printf("pal: process %d does not end\n", pid);
        return false;
    }
    /* Zombies are told of before their threads are off their stacks. */
    while (thread_count() > threads && kern_now() < deadline) {
        thread_yield();
    }
    return true;
}

static int
start_wait(struct proc *first)
{
    int status;

    for (;;) {
        uint32_t event = atomic_load_explicit(&proc_reaper->child_event,
            memory_order_acquire);

        vm_mutex_lock(&proc_tree);
        if (first->state == PROC_ZOMBIE) {
            status = first->wait_status;
            proc_unlink(first);
            vm_mutex_unlock(&proc_tree);
            proc_unref(first);
            return status;
        }
        vm_mutex_unlock(&proc_tree);
        (void)kern_wait(&proc_reaper->child_event, event, false);
    }
}

static const char *
start_reason(int64_t error)
{
    switch (-error) {
    case UNIX_ENOENT:
        return "no such file";
    case UNIX_EACCES:
        return "not an executable file";
    case UNIX_EISDIR:
        return "a directory";
    case UNIX_ENOEXEC:
        return "not a program for this machine";
    case UNIX_ENOMEM:
        return "not enough memory";
    case UNIX_E2BIG:
        return "too many arguments";
    case UNIX_ELOOP:
        return "too many scripts or links";
    case UNIX_ENOTDIR:
        return "part of its path is not a directory";
    default:
        return "error";
    }
}

static _Noreturn void
start_leave(int status, bool clean)
{
    int code = (status & 0x7f) == 0 ? status >> 8 : 128 + (status & 0x7f);

    if (start_error != 0) {
        kern_printf("pal: cannot run %s: %s (%d)\n", start_path,
            start_reason(start_error), (int)-start_error);
    }
    if (!clean) {
        kern_printf("pal: leak: not everything was given back\n");
    }
    unix_log_missing();
    if ((status & 0x7f) == 0) {
        kern_printf("pal: exit %d\n", status >> 8);
    } else {
        kern_printf("pal: signal %d\n", status & 0x7f);
    }
    md_exit(code == 0 && !clean ? 1 : code);
}

static void
start_reaper(void)
{
    struct thread *t;

    if (thread_create("reaper", wait_reaper, NULL, &t) != VM_OK) {
        kern_panic("no memory for process 1");
    }
    thread_start(t);
}

/* Once its own structures are there, what is in use is the kernel's. */
void
unix_start(const struct boot_info *b)
{
    const char *path = kern_option("init");
    struct kern_usage before;
    uint64_t nodes, threads;
    bool clean;
    int status;

    start_path = path != NULL ? path : "/init";
    random_init();
    signal_init();
    futex_init();
    proc_init();
    files_init();
    if (b->initrd.end > b->initrd.start) {
        files_unpack(kern_frame_ptr(b->initrd.start),
            b->initrd.end - b->initrd.start);
    }
    if (exec_init() != VM_OK) {
        kern_panic("no memory for the trampoline");
    }
    kern_console_signal = wait_console_signal;
    start_reaper();
    threads = thread_count();
    kern_usage_mark(&before);
    nodes = files_nodes();
    kern_storm_begin();
    status = start_wait(start_process());
    kern_storm_end();
    clean = start_end_all(threads);
    kern_idle_end();
    if (clean && files_nodes() == nodes) {
        clean = kern_usage_check(&before);
    }
    start_leave(status, clean);
}

void
unix_describe(const struct thread *t, char *buf, size_t size)
{
    char name[sizeof(t->proc->name)];

    if (t->proc != NULL) {
        (void)kern_snprintf(buf, size, "process %d (%s)", t->proc->pid,
            unix_printable(name, sizeof(name), t->proc->name));
    }
}
