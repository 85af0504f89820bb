/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_process.c - fork, vfork, clone, exit, wait4, waitid, groups and sessions.
 */
#include "utest.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static volatile int global = 1;

UTEST(fork_copies_memory)
{
    int local = 2, status;
    pid_t pid = fork();

    UCHECK(pid >= 0);
    if (pid == 0) {
        UCHECK(global == 1 && local == 2);
        global = 10;
        local = 20;
        _exit(global + local);
    }
    UCHECK(waitpid(pid, &status, 0) == pid);
    UCHECK(WIFEXITED(status) && WEXITSTATUS(status) == 30);
    UCHECK(global == 1 && local == 2);
}

UTEST(fork_shares_shared_memory)
{
    volatile int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid;

    UCHECK(word != MAP_FAILED);
    *word = 1;
    pid = fork();
    if (pid == 0) {
        *word = 42;
        _exit(0);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    UCHECK(*word == 42);
}

UTEST(ids)
{
    pid_t self = getpid(), pid;
    int status;

    UCHECK(self > 1 && getppid() > 0);
    UCHECK(syscall(SYS_gettid) == self);
    pid = fork();
    if (pid == 0) {
        UCHECK(getppid() == self && getpid() != self);
        UCHECK(syscall(SYS_gettid) == getpid());
        _exit(0);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

UTEST(exit_codes)
{
    for (int code = 0; code < 600; code += 37) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            _exit(code);
        }
        UCHECK(waitpid(pid, &status, 0) == pid);
        UCHECK(WIFEXITED(status) && WEXITSTATUS(status) == (code & 0xff));
    }
}

UTEST(wait_errors)
{
    int status;

    UERRNO(wait(&status), ECHILD);
    UERRNO(waitpid(getpid(), &status, 0), ECHILD);
    UERRNO(waitpid(999999, &status, 0), ECHILD);
    UERRNO(waitpid(-1, &status, 0x4000), EINVAL);
    UERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
}

UTEST(wait_nohang)
{
    int status, fds[2];
    char c;
    pid_t pid;

    UCHECK(pipe(fds) == 0);
    pid = fork();
    if (pid == 0) {
        close(fds[1]);
        (void)!read(fds[0], &c, 1);
        _exit(7);
    }
    UCHECK(waitpid(pid, &status, WNOHANG) == 0);
    UCHECK(waitpid(-1, &status, WNOHANG | WUNTRACED) == 0);
    close(fds[1]);
    UCHECK(waitpid(-1, &status, 0) == pid);
    UCHECK(WEXITSTATUS(status) == 7);
}

UTEST(wait_bad_pointer)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(0);
    }
    UERRNO(syscall(SYS_wait4, pid, 8, 0, NULL), EFAULT);
    UERRNO(waitpid(pid, NULL, 0), ECHILD);      /* it is gone */
}

UTEST(wait_by_group)
{
    int status;
    pid_t a = fork(), b;

    if (a == 0) {
        pause();
        _exit(0);
    }
    UCHECK(setpgid(a, a) == 0);
    b = fork();
    if (b == 0) {
        _exit(5);
    }
    UCHECK(setpgid(b, a) == 0 || errno == EACCES || errno == ESRCH);
    UCHECK(getpgid(a) == a);
    UCHECK(kill(-a, SIGTERM) == 0);
    UCHECK(waitpid(-a, &status, 0) > 0);
    while (wait(&status) > 0) {
        continue;
    }
    UCHECK(errno == ECHILD);
    UERRNO(kill(-a, 0), ESRCH);
}

UTEST(waitid_fills_in)
{
    siginfo_t si;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(9);
    }
    memset(&si, 0, sizeof(si));
    UCHECK(waitid(P_PID, pid, &si, WEXITED | WNOWAIT) == 0);
    UCHECK(si.si_pid == pid && si.si_code == CLD_EXITED);
    UCHECK(si.si_status == 9 && si.si_signo == SIGCHLD);
    UCHECK(waitid(P_ALL, 0, &si, WEXITED) == 0 && si.si_pid == pid);
    UERRNO(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
    UERRNO(waitid(P_ALL, 0, &si, 0), EINVAL);
    pid = fork();
    if (pid == 0) {
        raise(SIGKILL);
    }
    UCHECK(waitid(P_PID, pid, &si, WEXITED) == 0);
    UCHECK(si.si_code == CLD_KILLED && si.si_status == SIGKILL);
}

UTEST(waitid_nohang_clears)
{
    siginfo_t si;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    memset(&si, 0xff, sizeof(si));
    UCHECK(waitid(P_PID, pid, &si, WEXITED | WNOHANG) == 0);
    UCHECK(si.si_pid == 0 && si.si_signo == 0);
    kill(pid, SIGKILL);
    UCHECK(waitpid(pid, &status, 0) == pid);
}

UTEST(orphans_get_a_parent)
{
    int fds[2], status;
    pid_t pid, seen, mid;

    UCHECK(pipe(fds) == 0);
    mid = fork();
    if (mid == 0) {
        pid_t parent = getpid();

        if (fork() == 0) {
            while (getppid() == parent) {
                usleep(1000);
            }
            seen = getppid();
            (void)!write(fds[1], &seen, sizeof(seen));
            _exit(0);
        }
        _exit(0);
    }
    close(fds[1]);
    UCHECK(waitpid(mid, &status, 0) == mid && status == 0);
    UCHECK(read(fds[0], &pid, sizeof(pid)) == sizeof(pid));
    UCHECK(pid > 0 && pid != mid && pid != getpid());
    UERRNO(wait(&status), ECHILD);
}

UTEST(vfork_waits)
{
    volatile int word = 0;
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        for (volatile int i = 0; i < 100000; i++) {
            continue;
        }
        word = 77;              /* the parent's own memory */
        _exit(3);
    }
    UCHECK(pid > 0 && word == 77);
    UCHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
}

static int
clone_fn(void *arg)
{
    *(volatile int *)arg = getpid();
    return 12;
}

UTEST(clone_vm_shares)
{
    static char stack[65536] __attribute__((aligned(16)));
    volatile int word = 0;
    int status;
    pid_t pid = clone(clone_fn, stack + sizeof(stack), CLONE_VM | SIGCHLD,
        (void *)&word);

    UCHECK(pid > 0);
    UCHECK(waitpid(pid, &status, 0) == pid);
    UCHECK(WEXITSTATUS(status) == 12 && word == pid);
}

UTEST(clone_child_of_another_signal)
{
    static char stack[65536] __attribute__((aligned(16)));
    volatile int word = 0;
    int status;
    pid_t pid = clone(clone_fn, stack + sizeof(stack), CLONE_VM,
        (void *)&word);

    UCHECK(pid > 0);
    UERRNO(waitpid(pid, &status, 0), ECHILD);
    UCHECK(waitpid(pid, &status, __WCLONE) == pid);
}

UTEST(clone_tids)
{
    pid_t parent_tid = 0, child_tid = 0;
    int status;
#ifdef __x86_64__
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT_SETTID |
        CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid, &child_tid, 0);
#else
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT_SETTID |
        CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid, 0, &child_tid);
#endif

    UCHECK(pid >= 0);
    if (pid == 0) {
        _exit(child_tid == syscall(SYS_getpid) ? 0 : 1);
    }
    UCHECK(parent_tid == pid && child_tid == 0);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

UTEST(clone_bad_flags)
{
    UERRNO(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0), EINVAL);
    UERRNO(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
    UERRNO(syscall(SYS_clone3, NULL, 8), EINVAL);
    UERRNO(syscall(SYS_clone3, NULL, 64), EFAULT);
    UERRNO(syscall(SYS_clone3, NULL, 1 << 20), E2BIG);
}

UTEST(sessions)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        UCHECK(setsid() == getpid());
        UCHECK(getsid(0) == getpid() && getpgrp() == getpid());
        UERRNO(setsid(), EPERM);
        UERRNO(setpgid(0, 0), EPERM);
        _exit(0);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    UERRNO(getpgid(999999), ESRCH);
    UERRNO(setpgid(999999, 0), ESRCH);
    UERRNO(setpgid(0, -1), EINVAL);
}

UTEST(rusage_and_times)
{
    struct rusage ru;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct timespec t;

        do {
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        } while (t.tv_sec == 0 && t.tv_nsec < 30000000);
        _exit(0);
    }
    memset(&ru, 0xff, sizeof(ru));
    UCHECK(wait4(pid, &status, 0, &ru) == pid && status == 0);
    UCHECK(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec >= 20000);
    UCHECK(getrusage(RUSAGE_CHILDREN, &ru) == 0);
    UCHECK(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec >= 20000);
    UCHECK(getrusage(RUSAGE_SELF, &ru) == 0 && ru.ru_maxrss > 0);
    UERRNO(syscall(SYS_getrusage, 7, &ru), EINVAL);
}

UTEST(many_children)
{
    pid_t pids[100];
    int status;

    for (int i = 0; i < 100; i++) {
        pids[i] = fork();
        UCHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            _exit(i);
        }
    }
    for (int i = 99; i >= 0; i--) {
        UCHECK(waitpid(pids[i], &status, 0) == pids[i]);
        UCHECK(WEXITSTATUS(status) == i);
    }
    UERRNO(wait(&status), ECHILD);
}

/* Each child makes the next one; all of them wait. */
UTEST(deep_line)
{
    int status;
    pid_t pid = 0;

    for (int depth = 0; depth < 60 && pid == 0; depth++) {
        pid = fork();
        UCHECK(pid >= 0);
    }
    if (pid > 0) {
        UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    _exit(0);
}

UTEST(prctl_name)
{
    char name[16] = "";

    UCHECK(prctl(PR_SET_NAME, "a-name-that-is-too-long") == 0);
    UCHECK(prctl(PR_GET_NAME, name) == 0);
    UCHECK(strcmp(name, "a-name-that-is-") == 0);
    UERRNO(prctl(12345, 0, 0, 0, 0), EINVAL);
    UERRNO(prctl(PR_SET_NAME, 8), EFAULT);
}

UTEST(limits)
{
    struct rlimit r, was;

    UCHECK(getrlimit(RLIMIT_NOFILE, &was) == 0 && was.rlim_cur >= 64);
    r = was;
    r.rlim_cur = 64;
    UCHECK(setrlimit(RLIMIT_NOFILE, &r) == 0);
    UCHECK(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur == 64);
    r.rlim_cur = r.rlim_max + 1;
    UERRNO(setrlimit(RLIMIT_NOFILE, &r), EINVAL);
    UERRNO(getrlimit(99, &r), EINVAL);
    UERRNO(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, 8), EFAULT);
}
