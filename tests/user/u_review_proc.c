/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_review_proc.c - what a review of processes, signals and futexes found:
 * each case failed once.  All of them pass on Linux.
 */
#include "utest.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "mach_vm.h"

#define PAGE    ((size_t)sysconf(_SC_PAGESIZE))
#define MS      1000000l

static void
nap(long ns)
{
    struct timespec t = { ns / 1000000000, ns % 1000000000 };

    while (nanosleep(&t, &t) != 0) {
        continue;
    }
}

/* ns of a clock. */
static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t;

    UCHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The status of a child that has to end soon. */
static int
ended(pid_t pid)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 20000000000u;
    int status;

    while (clock_ns(CLOCK_MONOTONIC) < end) {
        pid_t got = waitpid(pid, &status, WNOHANG);

        UCHECK(got == 0 || got == pid);
        if (got == pid) {
            return status;
        }
        nap(MS);
    }
    kill(pid, SIGKILL);
    UCHECK(!"the child ends");
    return -1;
}

/* ---- exec ------------------------------------------------------------- */

#define EXEC_ARGS       3000
static char *exec_args[EXEC_ARGS + 1];

static void *
exec_thread(void *arg)
{
    exec_args[0] = arg;
    exec_args[1] = "-l";
    execv("/proc/self/exe", exec_args);
    pause();
    return NULL;
}

static void
exec_many(void)
{
    pthread_t t;

    close(STDOUT_FILENO);
    UCHECK(open("/dev/null", O_WRONLY) == STDOUT_FILENO);
    for (unsigned i = 0; i < 4; i++) {
        if (pthread_create(&t, NULL, exec_thread, "exec") != 0) {
            break;
        }
    }
    exec_thread("exec");
}

/* Many arguments: a thread is likely to lose the CPU on its way. */
UTEST(threads_exec_at_once)
{
    for (unsigned i = 0; i < EXEC_ARGS; i++) {
        exec_args[i] = "";
    }
    for (unsigned i = 0; i < 8; i++) {
        pid_t pid = fork();

        UCHECK(pid >= 0);
        if (pid == 0) {
            exec_many();
        }
        UCHECK(ended(pid) == 0);
    }
}

/* ---- vfork ------------------------------------------------------------ */

static void
vfork_parent(void)
{
    if (syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) ==
        0) {
        for (;;) {
            syscall(SYS_nanosleep, &(struct timespec){ 1000, 0 }, NULL);
        }
    }
    _exit(3);
}

UTEST(parent_in_vfork_is_killed)
{
    pid_t pid = fork();
    int status;

    UCHECK(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        vfork_parent();
    }
    (void)setpgid(pid, pid);
    nap(50 * MS);
    UCHECK(kill(pid, SIGKILL) == 0);
    status = ended(pid);
    kill(-pid, SIGKILL);
    UCHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void *
vfork_thread(void *unused)
{
    (void)unused;
    vfork_parent();
    return NULL;
}

/* exec ends the thread that waits for its child. */
UTEST(exec_beside_vfork)
{
    char *argv[] = { "exec", "-l", NULL };
    pid_t pid = fork();
    int status;

    UCHECK(pid >= 0);
    if (pid == 0) {
        pthread_t t;

        setpgid(0, 0);
        close(STDOUT_FILENO);
        UCHECK(open("/dev/null", O_WRONLY) == STDOUT_FILENO);
        UCHECK(pthread_create(&t, NULL, vfork_thread, NULL) == 0);
        nap(50 * MS);
        execv("/proc/self/exe", argv);
        _exit(4);
    }
    (void)setpgid(pid, pid);
    status = ended(pid);
    kill(-pid, SIGKILL);
    UCHECK(status == 0);
}

/* ---- clone ------------------------------------------------------------ */

/* A thread pointer that the machine cannot have is refused, or is harmless. */
UTEST(tls_of_no_address)
{
    static const unsigned long bad[] = {
        0x8000000000000000ul, 0x0000800000000000ul, 0x00007ffffffff000ul,
        0xfffffffffffffff0ul, 0xdeadbeefdeadbeeful
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        long pid;
        int status;

#ifdef __x86_64__
        pid = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, bad[i]);
        UCHECK(pid == -1 && errno == EPERM);
#else
        pid = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, bad[i], 0);
        if (pid == 0) {
            for (;;) {
                syscall(SYS_exit, 0);
            }
        }
        UCHECK(pid > 0);
#endif
        UCHECK(pid < 0 || waitpid((pid_t)pid, &status, 0) == pid);
    }
}

/* ---- signals ---------------------------------------------------------- */

UTEST(queue_is_limited)
{
    struct rlimit limit = { 50, 50 };
    union sigval v = { 0 };
    sigset_t set;
    unsigned n = 0;

    UCHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    UCHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    while (n < 1000 && sigqueue(getpid(), SIGRTMIN, v) == 0) {
        n++;
    }
    UCHECK(n >= 40 && n <= 50 && errno == EAGAIN);
    /* kill() always arrives. */
    UCHECK(kill(getpid(), SIGUSR1) == 0);
    UCHECK(sigwaitinfo(&set, NULL) == SIGUSR1);
    while (n-- > 0) {
        UCHECK(sigwaitinfo(&set, NULL) == SIGRTMIN);
    }
    UCHECK(sigqueue(getpid(), SIGRTMIN, v) == 0);
}

static void
ignore_it(int signo)
{
    (void)signo;
}

static void *
pause_thread(void *unused)
{
    (void)unused;
    for (;;) {
        sigset_t none;

        sigemptyset(&none);
        sigsuspend(&none);
    }
    return NULL;
}

/* A signal that is taken back leaves a sleeper asleep, not turning round. */
UTEST(pause_sleeps_on)
{
    sigset_t set;
    pthread_t t;
    uint64_t before;

    signal(SIGUSR1, ignore_it);
    UCHECK(pthread_create(&t, NULL, pause_thread, NULL) == 0);
    nap(20 * MS);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    UCHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    nap(20 * MS);
    before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    nap(400 * MS);
    UCHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 100000000u);
}

static _Atomic int sleep_result;

static void *
sleep_thread(void *unused)
{
    (void)unused;
    sleep_result = nanosleep(&(struct timespec){ 0, 200 * MS }, NULL);
    return NULL;
}

/* Nor does it end a sleep: nobody has handled anything. */
UTEST(nanosleep_sleeps_on)
{
    sigset_t set;
    pthread_t t;

    signal(SIGUSR1, ignore_it);
    sleep_result = 1;
    UCHECK(pthread_create(&t, NULL, sleep_thread, NULL) == 0);
    nap(20 * MS);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    UCHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    UCHECK(pthread_join(t, NULL) == 0 && sleep_result == 0);
    /* But a handler does. */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGALRM, ignore_it);
    UCHECK(syscall(SYS_setitimer, ITIMER_REAL, &(struct itimerval){
        .it_value.tv_usec = 50000 }, NULL) == 0);
    UERRNO(nanosleep(&(struct timespec){ 2, 0 }, NULL), EINTR);
}

static unsigned char seen_info[sizeof(siginfo_t)];

static void
keep_info(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    memcpy(seen_info, info, sizeof(seen_info));
}

static void
info_is_clean(void)
{
    for (unsigned i = 40; i < sizeof(seen_info); i++) {
        UCHECK(seen_info[i] == 0);
    }
    memset(seen_info, 0xff, sizeof(seen_info));
}

/* Nothing of the kernel's stack in what a handler is told. */
UTEST(siginfo_has_no_secrets)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
    struct itimerval it = { .it_value.tv_usec = 1000 };
    pid_t pid;

    sa.sa_sigaction = keep_info;
    UCHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    UCHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
    UCHECK(sigaction(SIGALRM, &sa, NULL) == 0);
    UCHECK(kill(getpid(), SIGUSR1) == 0);
    info_is_clean();
    UCHECK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1) == 0);
    info_is_clean();
    UCHECK(syscall(SYS_tkill, getpid(), SIGUSR1) == 0);
    info_is_clean();
    pid = fork();
    if (pid == 0) {
        _exit(1);
    }
    UCHECK(waitpid(pid, NULL, 0) == pid);
    info_is_clean();
    UCHECK(syscall(SYS_setitimer, ITIMER_REAL, &it, NULL) == 0);
    pause();
    info_is_clean();
}

/* ---- futexes ---------------------------------------------------------- */

/* Shared memory is shared, whatever a fork would do with it. */
UTEST(futex_after_dontfork)
{
    _Atomic unsigned *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec t = { 10, 0 };
    pid_t pid;

    UCHECK(word != MAP_FAILED);
    *word = 1;
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        nap(100 * MS);
        *word = 2;
        for (unsigned i = 0; i < 100; i++) {
            if (syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1) {
                _exit(0);
            }
            nap(10 * MS);
        }
        _exit(1);
    }
    UCHECK(madvise((void *)word, PAGE, MADV_DONTFORK) == 0);
    UCHECK(syscall(SYS_futex, word, FUTEX_WAIT, 1, &t, NULL, 0) == 0);
    UCHECK(ended(pid) == 0);
}

#define WAITERS 300

static _Atomic unsigned wait_word, wait_other, wait_ready, wait_order[WAITERS],
    wait_done;

static void *
wait_thread(void *arg)
{
    wait_ready++;
    UCHECK(syscall(SYS_futex, &wait_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL,
        0) == 0);
    wait_order[(uintptr_t)arg] = ++wait_done;
    return NULL;
}

/* One by one in their order, some moved, then all of the rest. */
UTEST(futex_queue_order)
{
    pthread_attr_t attr;
    pthread_t t;

    pthread_attr_init(&attr);
    UCHECK(pthread_attr_setstacksize(&attr, 131072) == 0);
    for (uintptr_t i = 0; i < WAITERS; i++) {
        UCHECK(pthread_create(&t, &attr, wait_thread, (void *)i) == 0);
        while (wait_ready <= i) {
            sched_yield();
        }
        nap(MS / 2);
    }
    nap(20 * MS);
    for (unsigned i = 0; i < 5; i++) {
        UCHECK(syscall(SYS_futex, &wait_word, FUTEX_WAKE_PRIVATE, 1, NULL,
            NULL, 0) == 1);
        while (wait_done <= i) {
            sched_yield();
        }
    }
    for (unsigned i = 0; i < 5; i++) {
        UCHECK(wait_order[i] == i + 1);
    }
    UCHECK(syscall(SYS_futex, &wait_word, FUTEX_CMP_REQUEUE_PRIVATE, 5,
        (void *)100, &wait_other, 0) == 105);
    UCHECK(syscall(SYS_futex, &wait_word, FUTEX_WAKE_PRIVATE, 1000, NULL,
        NULL, 0) == WAITERS - 110);
    UCHECK(syscall(SYS_futex, &wait_other, FUTEX_WAKE_PRIVATE, 1000, NULL,
        NULL, 0) == 100);
    while (wait_done != WAITERS) {
        sched_yield();
    }
}

/* ---- memory ----------------------------------------------------------- */

/* What is asked of a mapping costs its pages, not its size. */
UTEST(sparse_memory_is_cheap)
{
    size_t size = (size_t)1 << 36;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    struct rusage ru;
    char text[64];
    int fd;

    UCHECK(p != MAP_FAILED);
    p[0] = p[size / 2] = p[size - 1] = 1;
    UCHECK(getrusage(RUSAGE_SELF, &ru) == 0 && ru.ru_maxrss > 0);
    fd = open("/proc/self/statm", O_RDONLY);
    UCHECK(fd >= 0 && read(fd, text, sizeof(text)) > 0);
    UCHECK(madvise(p, size, MADV_DONTNEED) == 0 && p[size / 2] == 0);
    UCHECK(clock_ns(CLOCK_MONOTONIC) - start < 1000000000u);
}

/* Locked memory that moves and grows is locked, the new part too. */
UTEST(mremap_of_locked_memory)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
    unsigned char in[4];

    UCHECK(p != MAP_FAILED);
    UCHECK(mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0);
    UCHECK(mlock(p, 2 * PAGE) == 0);
    q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    UCHECK(q != MAP_FAILED && q != p);
    UCHECK(mincore(q, 4 * PAGE, in) == 0);
    UCHECK((in[0] & in[1] & in[2] & in[3] & 1) == 1);
    UCHECK(munlock(q, 4 * PAGE) == 0);
}

/* An offset means nothing for anonymous memory. */
UTEST(offset_of_anonymous_memory)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)(0x7ffffffffffff000 &
        ~(PAGE - 1)) - (off_t)(4 * PAGE));
    int status;
    pid_t pid;

    UCHECK(p != MAP_FAILED);
    p[0] = p[3 * PAGE] = 1;
    pid = fork();
    if (pid == 0) {
        p[PAGE] = p[0] = 2;
        _exit(p[3 * PAGE] == 1 && p[2 * PAGE] == 0 ? 0 : 1);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0 && p[0] == 1);
    UCHECK(mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED);
}

/* A file shrinks while a task that has it mapped is verified. */
UTEST(check_beside_truncate)
{
    size_t size = 128 * PAGE;
    int fd = open("/tmp/u_review", O_CREAT | O_RDWR | O_TRUNC, 0600);
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 2000000000u;
    volatile char *p;
    pid_t pid;

    if (vm_check(mach_task_self()) == KERN_NOT_SUPPORTED) {
        USKIP("a call of Mach's");
    }
    UCHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    UCHECK(p != MAP_FAILED);
    pid = fork();
    if (pid == 0) {
        while (clock_ns(CLOCK_MONOTONIC) < end) {
            (void)!ftruncate(fd, 0);
            (void)!ftruncate(fd, (off_t)size);
        }
        _exit(0);
    }
    signal(SIGBUS, SIG_IGN);
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        char byte = 1;

        /* By calls: EFAULT where a load would be SIGBUS. */
        for (size_t i = 0; i < size; i += PAGE) {
            (void)!pwrite(fd, &byte, 1, (off_t)i);
            (void)!syscall(SYS_getrandom, p + i, 1, 0);
        }
        UCHECK(vm_check(mach_task_self()) == KERN_SUCCESS);
    }
    UCHECK(ended(pid) == 0);
    unlink("/tmp/u_review");
}

/* The child's memory from its parent: whatever is allowed. */
static void
meddle(pid_t pid, char *p, size_t pages, unsigned *seed)
{
    vm_address_t at = (vm_address_t)(uintptr_t)(p + PAGE *
        ((unsigned)rand_r(seed) % (pages - 4)));
    vm_size_t size = PAGE * (1 + (unsigned)rand_r(seed) % 4);
    vm_address_t other = (vm_address_t)(uintptr_t)(p + PAGE *
        ((unsigned)rand_r(seed) % (pages - 4)));
    char byte = 1;

    switch (rand_r(seed) % 9) {
    case 0: (void)vm_wire(pid, at, size, 1); break;
    case 1: (void)vm_wire(pid, at, size, 0); break;
    case 2: (void)vm_protect(pid, at, size, 0, VM_PROT_READ); break;
    case 3: (void)vm_protect(pid, at, size, 0, 3); break;
    case 4: (void)vm_copy(pid, at, size, other); break;
    case 5: (void)vm_deallocate(pid, at, size); break;
    case 6: (void)vm_allocate(pid, &at, size, 0); break;
    case 7: (void)vm_inherit(pid, at, size, rand_r(seed) % 3); break;
    default: (void)vm_write(pid, at, &byte, 1); break;
    }
    p[PAGE * ((unsigned)rand_r(seed) % pages)]++;
}

UTEST(check_beside_parent)
{
    size_t pages = 64;
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 2000000000u;
    unsigned seed = 1;
    char *p;
    pid_t pid;

    if (vm_check(mach_task_self()) == KERN_NOT_SUPPORTED) {
        USKIP("a call of Mach's");
    }
    p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    UCHECK(p != MAP_FAILED);
    memset(p, 1, pages * PAGE);
    pid = fork();
    if (pid == 0) {
        while (clock_ns(CLOCK_MONOTONIC) < end) {
            for (size_t i = 0; i < pages; i += 3) {
                (void)!syscall(SYS_getrandom, p + i * PAGE, 1, 0);
            }
            UCHECK(vm_check(mach_task_self()) == KERN_SUCCESS);
        }
        _exit(0);
    }
    UCHECK(pid > 0);
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        meddle(pid, p, pages, &seed);
    }
    UCHECK(ended(pid) == 0);
}
