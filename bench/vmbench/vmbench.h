/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench.h - what the groups of vmbench share.
 *
 * A group is a function b_NAME() that measures with now(), keeps what it got
 * with sample() and prints all samples of a row with emit().
 */
#ifndef VMBENCH_H
#define VMBENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PG 4096UL
#define KiB 1024UL
#define MiB (1024UL * 1024)
#define GiB (1024UL * MiB)
#define MAXS 512                /* samples of a row */

extern int ncpu;
extern int shift;               /* repetitions are divided by 2^shift */
extern const char *self;        /* this program's file */

static inline uint64_t
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* n iterations of exactly two instructions */
static inline void
spin2(uint64_t n)
{
#if defined(__x86_64__)
    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(n) : : "cc");
#elif defined(__aarch64__)
    __asm__ volatile("1: sub %0, %0, #1; cbnz %0, 1b" : "+r"(n));
#elif defined(__riscv)
    __asm__ volatile("1: addi %0, %0, -1; bnez %0, 1b" : "+r"(n));
#endif
}

static inline void
touch_w(char *p, size_t len)
{
    for (size_t i = 0; i < len; i += PG) {
        *(volatile char *)(p + i) = 1;
    }
}

static inline void
touch_r(char *p, size_t len)
{
    for (size_t i = 0; i < len; i += PG) {
        (void)*(volatile char *)(p + i);
    }
}

void die(const char *what);
int reps(int n);
void sample(double v);
/* Print the samples' least, median and largest, and forget them. */
void emit(const char *unit, const char *fmt, ...);
/* Print a figure that is none of time. */
void value(const char *unit, double v, const char *fmt, ...);
void flush(void);

void pin(int cpu);
/* len bytes, 2 MiB aligned, huge pages off or on; not touched */
char *anon(size_t len, int huge);
void *shared(size_t len);
void reap(pid_t p);
/* The call's time and that until the child has been waited for. */
void fork_once(double *call, double *total);
void exec_once(void);
int wr(const char *path, const char *s);
/* The number behind key in a file of /proc; -1: there is none. */
long field_kib(const char *path, const char *key);
uint32_t rnd(void);
void permute(uint32_t *v, uint32_t n);

void b_calib(void);
void b_perf(void);
void b_null(void);
void b_zero(void);
void b_soft(void);
void b_cow(void);
void b_fork(void);
void b_map(void);
void b_prot(void);
void b_chain(void);
void b_ctx(void);
void b_shoot(void);
void b_mt(void);
void b_many(void);
void b_upager(void);
void b_ptmem(void);
void b_retouch(void);
void b_drain(void);
void b_lookup(void);
void b_discard(void);
void b_bill(void);

#endif
