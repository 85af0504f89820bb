/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_signal.c - signals: handlers, masks, queues, faults with their codes,
 * alternate stacks, restart of calls, alarms.
 */
#include "utest.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count;
static volatile int last_signo, last_code;
static void *volatile last_addr;
static volatile pid_t last_pid;
static volatile int last_value;
static sigjmp_buf back;
static volatile char *volatile wild = (volatile char *)8;

static void
on_count(int signo)
{
    last_signo = signo;
    count++;
}

static void
on_info(int signo, siginfo_t *si, void *context)
{
    (void)context;
    last_signo = signo;
    last_code = si->si_code;
    last_pid = si->si_pid;
    last_value = si->si_value.sival_int;
    count++;
}

static void
on_fault(int signo, siginfo_t *si, void *context)
{
    (void)context;
    last_signo = signo;
    last_code = si->si_code;
    last_addr = si->si_addr;
    siglongjmp(back, 1);
}

static void
handle(int signo, void (*fn)(int), int flags)
{
    struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

    UCHECK(sigaction(signo, &sa, NULL) == 0);
}

static void
handle_info(int signo, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = { .sa_sigaction = fn,
        .sa_flags = flags | SA_SIGINFO };

    UCHECK(sigaction(signo, &sa, NULL) == 0);
}

static int
status_of(pid_t pid)
{
    int status;

    UCHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

UTEST(handler_runs)
{
    handle(SIGUSR1, on_count, 0);
    UCHECK(raise(SIGUSR1) == 0 && count == 1 && last_signo == SIGUSR1);
    UCHECK(kill(getpid(), SIGUSR1) == 0 && count == 2);
    signal(SIGUSR1, SIG_IGN);
    UCHECK(raise(SIGUSR1) == 0 && count == 2);
}

UTEST(registers_survive)
{
    double x = 1.5;
    uint64_t sum = 0;

    handle(SIGUSR1, on_count, 0);
    for (unsigned i = 0; i < 1000; i++) {
        x *= 1.0001;
        sum += i * 3;
        if (i % 10 == 0) {
            kill(getpid(), SIGUSR1);
        }
    }
    UCHECK(count == 100 && sum == 1498500);
    UCHECK(x > 1.657 && x < 1.658);
}

UTEST(default_kills)
{
    static const int fatal[] = {
        SIGHUP, SIGINT, SIGTERM, SIGKILL, SIGUSR1, SIGALRM, SIGPIPE,
        SIGABRT
    };

    for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            raise(fatal[i]);
            _exit(0);
        }
        status = status_of(pid);
        UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == fatal[i]);
    }
}

UTEST(default_ignores)
{
    raise(SIGCHLD);
    raise(SIGURG);
    raise(SIGWINCH);
    raise(SIGCONT);
}

UTEST(mask_holds_back)
{
    sigset_t set, old, pending;

    handle(SIGUSR1, on_count, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    UCHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    UCHECK(count == 0);
    UCHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    UCHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    UCHECK(count == 1 || count == 2);   /* one of the thread, one not */
    UCHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));
    sigfillset(&set);
    UCHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
    UCHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    UCHECK(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP));
}

UTEST(bad_arguments)
{
    struct sigaction sa = { .sa_handler = SIG_DFL };
    sigset_t set;

    UERRNO(sigaction(0, &sa, NULL), EINVAL);
    UERRNO(sigaction(65, &sa, NULL), EINVAL);
    UERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
    UERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
    UERRNO(kill(getpid(), 65), EINVAL);
    UERRNO(kill(999999, 0), ESRCH);
    UCHECK(kill(getpid(), 0) == 0);
    UERRNO(sigprocmask(77, &sa.sa_mask, NULL), EINVAL);
    UERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8), EFAULT);
    UERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL);
    UERRNO(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT);
    UERRNO(syscall(SYS_tgkill, getpid(), 999999, SIGUSR1), ESRCH);
    UERRNO(syscall(SYS_tgkill, -1, 1, SIGUSR1), EINVAL);
}

UTEST(siginfo_of_kill)
{
    union sigval v = { .sival_int = 4711 };

    handle_info(SIGUSR2, on_info, 0);
    kill(getpid(), SIGUSR2);
    UCHECK(last_code == SI_USER && last_pid == getpid());
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
    UCHECK(last_code == SI_TKILL && last_pid == getpid());
    UCHECK(sigqueue(getpid(), SIGUSR2, v) == 0);
    UCHECK(last_code == SI_QUEUE && last_value == 4711);
}

UTEST(realtime_queues)
{
    union sigval v;
    sigset_t set, old;

    handle_info(SIGRTMIN + 1, on_info, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, &old);
    for (int i = 1; i <= 5; i++) {
        v.sival_int = i;
        UCHECK(sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
    }
    for (int i = 1; i <= 3; i++) {
        siginfo_t si;

        UCHECK(sigwaitinfo(&set, &si) == SIGRTMIN + 1);
        UCHECK(si.si_value.sival_int == i);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    UCHECK(count == 2);
}

static int nested;

static void
on_nested(int signo)
{
    int mine = ++nested;

    if (signo == SIGUSR1 && mine == 1) {
        raise(SIGUSR1);                 /* blocked: after us */
        raise(SIGUSR2);                 /* in sa_mask: after us */
        UCHECK(nested == 1);
    }
    count++;
}

UTEST(handler_masks)
{
    struct sigaction sa = { .sa_handler = on_nested };

    sigaddset(&sa.sa_mask, SIGUSR2);
    UCHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    UCHECK(sigaction(SIGUSR2, &sa, NULL) == 0);
    raise(SIGUSR1);
    UCHECK(count == 3 && nested == 3);
}

static void
on_nodefer(int signo)
{
    if (++count < 5) {
        raise(signo);
    }
}

UTEST(nodefer_and_resethand)
{
    struct sigaction sa;

    handle(SIGUSR1, on_nodefer, SA_NODEFER);
    raise(SIGUSR1);
    UCHECK(count == 5);
    handle(SIGUSR2, on_count, SA_RESETHAND);
    raise(SIGUSR2);
    UCHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
}

/* ---- faults ----------------------------------------------------------- */

static void
expect_fault(volatile char *at, int write, int signo, int code)
{
    handle_info(SIGSEGV, on_fault, 0);
    handle_info(SIGBUS, on_fault, 0);
    last_signo = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write) {
            *at = 1;
        } else {
            (void)*at;
        }
    }
    UCHECK(last_signo == signo);
    UCHECK(last_code == code);
    UCHECK(last_addr == (void *)at);
}

UTEST(segv_maperr)
{
    char *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
        0);

    UCHECK(p != MAP_FAILED && munmap(p, 65536) == 0);
    expect_fault(p + 123, 0, SIGSEGV, SEGV_MAPERR);
    expect_fault(p + 123, 1, SIGSEGV, SEGV_MAPERR);
    expect_fault((char *)8, 0, SIGSEGV, SEGV_MAPERR);
}

UTEST(segv_accerr)
{
    char *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
        0);

    UCHECK(p != MAP_FAILED);
    expect_fault(p + 5, 1, SIGSEGV, SEGV_ACCERR);
    UCHECK(mprotect(p, 65536, PROT_NONE) == 0);
    expect_fault(p + 5, 0, SIGSEGV, SEGV_ACCERR);
}

UTEST(bus_behind_the_file)
{
    long page = sysconf(_SC_PAGESIZE);
    int fd = memfd_create("x", 0);
    char *p;

    UCHECK(fd >= 0 && ftruncate(fd, 2 * page) == 0);
    p = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
        0);
    UCHECK(p != MAP_FAILED);
    p[page] = 1;
    UCHECK(ftruncate(fd, page) == 0);
    p[0] = 1;
    expect_fault(p + page + 7, 0, SIGBUS, BUS_ADRERR);
    expect_fault(p + page + 7, 1, SIGBUS, BUS_ADRERR);
}

UTEST(no_execute)
{
    long page = sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    UCHECK(p != MAP_FAILED);
    p[0] = 0;
    handle_info(SIGSEGV, on_fault, 0);
    if (sigsetjmp(back, 1) == 0) {
        ((void (*)(void))(uintptr_t)p)();
    }
    UCHECK(last_signo == SIGSEGV && last_code == SEGV_ACCERR);
    UCHECK(last_addr == (void *)p);
}

UTEST(illegal_instruction)
{
    handle_info(SIGILL, on_fault, 0);
    if (sigsetjmp(back, 1) == 0) {
#ifdef __x86_64__
        __asm__ volatile("ud2");
#elif defined(__aarch64__)
        __asm__ volatile(".inst 0");
#else
        __asm__ volatile(".4byte 0");
#endif
    }
    UCHECK(last_signo == SIGILL);
}

UTEST(breakpoint)
{
    handle_info(SIGTRAP, on_fault, 0);
    if (sigsetjmp(back, 1) == 0) {
#ifdef __x86_64__
        __asm__ volatile("int3");
#elif defined(__aarch64__)
        __asm__ volatile("brk #0");
#else
        __asm__ volatile("ebreak");
#endif
    }
    UCHECK(last_signo == SIGTRAP);
}

#ifdef __x86_64__
UTEST(division)
{
    volatile int zero = 0, seven = 7;

    handle_info(SIGFPE, on_fault, 0);
    if (sigsetjmp(back, 1) == 0) {
        last_value = seven / zero;
    }
    UCHECK(last_signo == SIGFPE && last_code == FPE_INTDIV);
}
#endif

UTEST(blocked_fault_kills)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        sigset_t set;

        handle_info(SIGSEGV, on_fault, 0);
        sigfillset(&set);
        sigprocmask(SIG_SETMASK, &set, NULL);
        *wild = 1;
        _exit(0);
    }
    status = status_of(pid);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_IGN);
        *wild = 1;
        _exit(0);
    }
    status = status_of(pid);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void
on_refault(int signo)
{
    (void)signo;
    *wild = 1;
}

UTEST(fault_in_handler_kills)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        handle(SIGSEGV, on_refault, 0);
        *wild = 1;
        _exit(0);
    }
    status = status_of(pid);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- alternate stack -------------------------------------------------- */

static char *alt_low, *alt_high;

static void
on_alt(int signo, siginfo_t *si, void *context)
{
    char here;
    stack_t now;

    (void)context;
    last_signo = signo;
    last_code = si->si_code;
    UCHECK(&here > alt_low && &here < alt_high);
    UCHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_ONSTACK);
    UERRNO(sigaltstack(&now, NULL), EPERM);
    count++;
    if (signo == SIGSEGV) {
        siglongjmp(back, 1);
    }
}

static int
use_stack(int depth)
{
    volatile char pad[4096];

    pad[0] = (char)depth;
    pad[4095] = 1;
    return depth > 0 ? use_stack(depth + 1) + pad[0] : 0;
}

UTEST(altstack)
{
    static char space[65536];
    stack_t st = { .ss_sp = space, .ss_size = sizeof(space) }, old;

    alt_low = space;
    alt_high = space + sizeof(space);
    UCHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    UCHECK(sigaltstack(&st, NULL) == 0);
    UCHECK(sigaltstack(NULL, &old) == 0);
    UCHECK(old.ss_sp == space && old.ss_size == sizeof(space));
    handle_info(SIGUSR1, on_alt, SA_ONSTACK);
    raise(SIGUSR1);
    raise(SIGUSR1);
    UCHECK(count == 2);
    st.ss_size = 100;
    UERRNO(sigaltstack(&st, NULL), ENOMEM);
    st.ss_flags = 1234;
    UERRNO(sigaltstack(&st, NULL), EINVAL);
}

UTEST(stack_overflow_is_caught)
{
    static char space[65536];
    stack_t st = { .ss_sp = space, .ss_size = sizeof(space) };

    alt_low = space;
    alt_high = space + sizeof(space);
    UCHECK(sigaltstack(&st, NULL) == 0);
    handle_info(SIGSEGV, on_alt, SA_ONSTACK);
    if (sigsetjmp(back, 1) == 0) {
        use_stack(1);
        UCHECK(0);
    }
    UCHECK(count == 1 && last_signo == SIGSEGV);
}

UTEST(stack_overflow_kills)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        handle(SIGSEGV, on_count, 0);   /* has no stack to run on */
        _exit(use_stack(1));
    }
    status = status_of(pid);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- waiting ---------------------------------------------------------- */

UTEST(sigsuspend_waits)
{
    sigset_t block, none, now;

    handle(SIGUSR1, on_count, 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    UCHECK(count == 0);
    UERRNO(sigsuspend(&none), EINTR);
    UCHECK(count == 1);
    sigprocmask(SIG_SETMASK, NULL, &now);
    UCHECK(sigismember(&now, SIGUSR1));
}

UTEST(sigtimedwait_waits)
{
    struct timespec ts = { 0, 20000000 };
    sigset_t set;
    siginfo_t si;
    pid_t pid;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    UERRNO(sigtimedwait(&set, &si, &ts), EAGAIN);
    pid = fork();
    if (pid == 0) {
        usleep(20000);
        kill(getppid(), SIGUSR1);
        usleep(20000);
        _exit(6);
    }
    UCHECK(sigwaitinfo(&set, &si) == SIGUSR1 && si.si_pid == pid);
    UCHECK(sigwaitinfo(&set, &si) == SIGCHLD && si.si_pid == pid);
    UCHECK(si.si_status == 6 && si.si_code == CLD_EXITED);
    ts.tv_nsec = -1;
    UERRNO(sigtimedwait(&set, &si, &ts), EINVAL);
    status_of(pid);
}

UTEST(sigchld_arrives)
{
    pid_t pid;

    handle_info(SIGCHLD, on_info, SA_RESTART);
    pid = fork();
    if (pid == 0) {
        _exit(3);
    }
    UCHECK(WEXITSTATUS(status_of(pid)) == 3);
    UCHECK(count == 1 && last_pid == pid && last_code == CLD_EXITED);
}

UTEST(ignored_sigchld_reaps)
{
    int status;

    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 5; i++) {
        if (fork() == 0) {
            _exit(0);
        }
    }
    UERRNO(wait(&status), ECHILD);
}

/* ---- restart ---------------------------------------------------------- */

static void
interrupted_read(int flags, ssize_t result, int error)
{
    int fds[2];
    char c = 0;
    pid_t pid;

    handle(SIGUSR1, on_count, flags);
    UCHECK(pipe(fds) == 0);
    pid = fork();
    if (pid == 0) {
        usleep(30000);
        kill(getppid(), SIGUSR1);
        usleep(30000);
        UCHECK(write(fds[1], "x", 1) == 1);
        _exit(0);
    }
    errno = 0;
    UCHECK(read(fds[0], &c, 1) == result && errno == error);
    UCHECK(count == 1);
    UCHECK(error != 0 || c == 'x');
    UCHECK(status_of(pid) == 0);
}

UTEST(read_is_restarted)
{
    interrupted_read(SA_RESTART, 1, 0);
}

UTEST(read_is_interrupted)
{
    interrupted_read(0, -1, EINTR);
}

UTEST(wait_is_restarted)
{
    int status;
    pid_t pid;

    handle(SIGUSR1, on_count, SA_RESTART);
    pid = fork();
    if (pid == 0) {
        usleep(20000);
        kill(getppid(), SIGUSR1);
        usleep(20000);
        _exit(8);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 8);
    UCHECK(count == 1);
}

UTEST(sigpipe)
{
    int fds[2], status;
    pid_t pid;

    UCHECK(pipe(fds) == 0);
    close(fds[0]);
    pid = fork();
    if (pid == 0) {
        (void)!write(fds[1], "x", 1);
        _exit(0);
    }
    status = status_of(pid);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    signal(SIGPIPE, SIG_IGN);
    UERRNO(write(fds[1], "x", 1), EPIPE);
}

/* ---- alarms ----------------------------------------------------------- */

UTEST(itimer)
{
    struct itimerval it = { { 0, 5000 }, { 0, 10000 } }, old;

    handle(SIGALRM, on_count, 0);
    UCHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    while (count < 4) {
        pause();
    }
    memset(&it, 0, sizeof(it));
    UCHECK(setitimer(ITIMER_REAL, &it, &old) == 0);
    UCHECK(old.it_interval.tv_usec == 5000);
    it.it_value.tv_usec = 1000000;
    UERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
    UERRNO(setitimer(99, &old, NULL), EINVAL);
    UCHECK(getitimer(ITIMER_REAL, &old) == 0);
    UCHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
}

UTEST(alarm_interrupts)
{
    struct timespec ts = { 30, 0 };

    handle(SIGALRM, on_count, 0);
    UCHECK(alarm(100) == 0);
    UCHECK(alarm(1) >= 99);
    UERRNO(nanosleep(&ts, NULL), EINTR);
    UCHECK(count == 1 && alarm(0) == 0);
}

UTEST(busy_program_is_interrupted)
{
    struct itimerval it = { { 0, 0 }, { 0, 10000 } };

    handle(SIGALRM, on_count, 0);
    UCHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    while (count == 0) {
        continue;
    }
}

/* ---- contexts that a program makes up --------------------------------- */

UTEST(wild_sigreturn_kills)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        syscall(SYS_rt_sigreturn);
        _exit(0);
    }
    UCHECK(waitpid(pid, &status, 0) == pid);
    UCHECK(WIFSIGNALED(status));
}

static void
on_unmask(int signo, siginfo_t *si, void *context)
{
    ucontext_t *uc = context;

    (void)signo;
    (void)si;
    sigaddset(&uc->uc_sigmask, SIGUSR2);
}

UTEST(handler_may_change_the_mask)
{
    sigset_t now;

    handle_info(SIGUSR1, on_unmask, 0);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, NULL, &now);
    UCHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
}
