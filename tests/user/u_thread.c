/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_thread.c - threads (pthread over clone), futexes, robust mutexes, and what
 * exit, exec and signals mean for a process of several.
 */
#include "utest.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static long
futex(void *word, int op, unsigned value, const struct timespec *ts,
    void *word2, unsigned value3)
{
    return syscall(SYS_futex, word, op, value, ts, word2, value3);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int shared, turns;

static void *
return_arg(void *arg)
{
    return arg;
}

UTEST(create_and_join)
{
    for (intptr_t i = 1; i < 50; i++) {
        pthread_t t;
        void *result = NULL;

        UCHECK(pthread_create(&t, NULL, return_arg, (void *)i) == 0);
        UCHECK(pthread_join(t, &result) == 0 && (intptr_t)result == i);
    }
}

static void *
add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        shared++;
        pthread_mutex_unlock(&mutex);
        if (i % 500 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

UTEST(mutex_excludes)
{
    pthread_t t[8];

    for (int i = 0; i < 8; i++) {
        UCHECK(pthread_create(&t[i], NULL, add_many, NULL) == 0);
    }
    for (int i = 0; i < 8; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
    UCHECK(shared == 160000);
}

static void *
take_turns(void *arg)
{
    int mine = (int)(intptr_t)arg;

    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (shared % 2 != mine) {
            pthread_cond_wait(&cond, &mutex);
        }
        shared++;
        turns++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

UTEST(condition_variables)
{
    pthread_t t[2];

    for (intptr_t i = 0; i < 2; i++) {
        UCHECK(pthread_create(&t[i], NULL, take_turns, (void *)i) == 0);
    }
    for (int i = 0; i < 2; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
    UCHECK(turns == 1000);
}

UTEST(condition_times_out)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 20000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    pthread_mutex_lock(&mutex);
    UCHECK(pthread_cond_timedwait(&cond, &mutex, &ts) == ETIMEDOUT);
}

static __thread int local = 5;

static void *
use_local(void *arg)
{
    UCHECK(local == 5);
    local = (int)(intptr_t)arg;
    sched_yield();
    UCHECK(local == (int)(intptr_t)arg);
    UCHECK(syscall(SYS_gettid) != getpid());
    return NULL;
}

UTEST(thread_local_memory)
{
    pthread_t t[4];

    for (intptr_t i = 0; i < 4; i++) {
        UCHECK(pthread_create(&t[i], NULL, use_local, (void *)i) == 0);
    }
    for (int i = 0; i < 4; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
    UCHECK(local == 5);
}

static void *
keep_double(void *arg)
{
    double x = (double)(intptr_t)arg, y = x;

    for (int i = 0; i < 200000; i++) {
        y += 1.0;
        if (i % 20000 == 0) {
            sched_yield();
        }
    }
    UCHECK(y == x + 200000.0);
    return NULL;
}

UTEST(floating_point_is_private)
{
    pthread_t t[4];

    for (intptr_t i = 0; i < 4; i++) {
        UCHECK(pthread_create(&t[i], NULL, keep_double,
            (void *)(i * 1000)) == 0);
    }
    for (int i = 0; i < 4; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
}

/* ---- the raw call ----------------------------------------------------- */

UTEST(futex_errors)
{
    static unsigned word = 1;
    struct timespec ts = { 0, 5000000 }, bad = { 0, -1 };

    UERRNO(futex(&word, FUTEX_WAIT, 2, NULL, NULL, 0), EAGAIN);
    UERRNO(futex(&word, FUTEX_WAIT, 1, &ts, NULL, 0), ETIMEDOUT);
    UERRNO(futex(&word, FUTEX_WAIT, 1, &bad, NULL, 0), EINVAL);
    UERRNO(futex((char *)&word + 1, FUTEX_WAIT, 1, &ts, NULL, 0), EINVAL);
    UERRNO(futex((void *)8, FUTEX_WAIT, 1, &ts, NULL, 0), EFAULT);
    UERRNO(futex(&word, FUTEX_WAIT_BITSET, 1, &ts, NULL, 0), EINVAL);
    UERRNO(futex(&word, FUTEX_CMP_REQUEUE, 1, NULL, &word + 1, 7), EAGAIN);
    UERRNO(futex(&word, 99, 1, NULL, NULL, 0), ENOSYS);
    UCHECK(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0) == 0);
}

static unsigned gate[2];
static volatile int arrived, passed;

static void *
wait_at_gate(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (futex(&gate[0], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) != 0) {
        UCHECK(errno == EINTR);
    }
    __atomic_fetch_add(&passed, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void
wait_until(volatile int *what, int value)
{
    while (*what != value) {
        usleep(1000);
    }
    usleep(20000);
    UCHECK(*what == value);
}

UTEST(futex_requeue)
{
    pthread_t t[5];

    for (int i = 0; i < 5; i++) {
        UCHECK(pthread_create(&t[i], NULL, wait_at_gate, NULL) == 0);
    }
    wait_until(&arrived, 5);
    UCHECK(futex(&gate[0], FUTEX_CMP_REQUEUE_PRIVATE, 1,
        (void *)(uintptr_t)2, &gate[1], 0) == 3);
    wait_until(&passed, 1);
    UCHECK(futex(&gate[1], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 2);
    wait_until(&passed, 3);
    UCHECK(futex(&gate[0], FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) == 2);
    for (int i = 0; i < 5; i++) {
        UCHECK(pthread_join(t[i], NULL) == 0);
    }
}

UTEST(futex_between_processes)
{
    unsigned *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0) {
            (void)futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
        }
        _exit(0);
    }
    usleep(20000);
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    UCHECK(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

UTEST(robust_mutex)
{
    struct shared {
        pthread_mutex_t m;
    } *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    int status;
    pid_t pid;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    UCHECK(pthread_mutex_init(&s->m, &attr) == 0);
    pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&s->m);
        usleep(20000);
        _exit(0);
    }
    usleep(10000);
    UCHECK(pthread_mutex_lock(&s->m) == EOWNERDEAD);
    UCHECK(pthread_mutex_consistent(&s->m) == 0);
    UCHECK(pthread_mutex_unlock(&s->m) == 0);
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* ---- the process as a whole ------------------------------------------- */

static void *
sleep_long(void *arg)
{
    (void)arg;
    for (;;) {
        pause();
    }
    return NULL;
}

static void *
spin_long(void *arg)
{
    (void)arg;
    for (;;) {
        shared++;
    }
    return NULL;
}

static void *
exit_process(void *arg)
{
    (void)arg;
    exit(23);
}

static void *
end_last(void *arg)
{
    (void)arg;
    usleep(20000);
    shared = 1;
    return NULL;
}

static int
with_threads(void (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t t;

        UCHECK(pthread_create(&t, NULL, sleep_long, NULL) == 0);
        UCHECK(pthread_create(&t, NULL, spin_long, NULL) == 0);
        fn();
        _exit(99);
    }
    UCHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void
exit_from_thread(void)
{
    pthread_t t;

    UCHECK(pthread_create(&t, NULL, exit_process, NULL) == 0);
    pause();
}

static void
exit_from_main(void)
{
    exit(24);
}

static void
die_by_signal(void)
{
    raise(SIGTERM);
}

static void
become_another(void)
{
    execl("/proc/self/exe", "u_thread", "-l", NULL);
    execl("/init", "u_thread", "-l", NULL);
}

UTEST(exit_group_ends_all)
{
    UCHECK(WEXITSTATUS(with_threads(exit_from_thread)) == 23);
    UCHECK(WEXITSTATUS(with_threads(exit_from_main)) == 24);
}

UTEST(fatal_signal_ends_all)
{
    UCHECK(with_threads(die_by_signal) == SIGTERM);
}

UTEST(exec_ends_the_others)
{
    UCHECK(freopen("/dev/null", "w", stdout) != NULL);
    UCHECK(with_threads(become_another) == 0);
}

UTEST(main_thread_may_go_first)
{
    pthread_t t;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        UCHECK(pthread_create(&t, NULL, end_last, NULL) == 0);
        pthread_exit(NULL);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static volatile int signalled;
static volatile pid_t signalled_tid;

static void
on_signal(int signo)
{
    (void)signo;
    signalled_tid = (pid_t)syscall(SYS_gettid);
    signalled++;
}

static volatile pid_t sleeper_tid;

static void *
sleep_for_signal(void *arg)
{
    (void)arg;
    sleeper_tid = (pid_t)syscall(SYS_gettid);
    while (signalled == 0) {
        usleep(1000);
    }
    return NULL;
}

UTEST(signal_goes_to_who_does_not_block)
{
    struct sigaction sa = { .sa_handler = on_signal };
    sigset_t set;
    pthread_t t;

    sigaction(SIGUSR1, &sa, NULL);
    UCHECK(pthread_create(&t, NULL, sleep_for_signal, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    UCHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    while (sleeper_tid == 0) {
        usleep(1000);
    }
    UCHECK(kill(getpid(), SIGUSR1) == 0);
    UCHECK(pthread_join(t, NULL) == 0);
    UCHECK(signalled == 1 && signalled_tid == sleeper_tid);
}

UTEST(signal_to_one_thread)
{
    struct sigaction sa = { .sa_handler = on_signal };
    pthread_t t;

    sigaction(SIGUSR1, &sa, NULL);
    UCHECK(pthread_create(&t, NULL, sleep_for_signal, NULL) == 0);
    while (sleeper_tid == 0) {
        usleep(1000);
    }
    UCHECK(pthread_kill(t, SIGUSR1) == 0);
    UCHECK(pthread_join(t, NULL) == 0);
    UCHECK(signalled == 1 && signalled_tid == sleeper_tid);
}

UTEST(fork_from_a_thread)
{
    pthread_t t;
    int status;
    pid_t pid;

    UCHECK(pthread_create(&t, NULL, spin_long, NULL) == 0);
    pid = fork();
    if (pid == 0) {
        UCHECK(syscall(SYS_gettid) == getpid());
        _exit(11);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 11);
}
