/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench_lib.c - samples, rows, memory and small files.
 */
#include "vmbench.h"

/* ------------------------------------------------------------- results -- */

static double S[MAXS];
static int nS;

void
sample(double v)
{
    if (nS < MAXS) {
        S[nS++] = v;
    }
}

static int
dcmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void
flush(void)
{
    fflush(stdout);
    tcdrain(1); /* no serial interrupts inside the next timing */
}

void
value(const char *unit, double v, const char *fmt, ...)
{
    char n[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n, sizeof n, fmt, ap);
    va_end(ap);
    printf("%s %.2f %s\n", n, v, unit);
}

void
emit(const char *unit, const char *fmt, ...)
{
    char n[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n, sizeof n, fmt, ap);
    va_end(ap);
    if (!nS) {
        printf("# %s: no sample\n", n);
        return;
    }
    qsort(S, nS, sizeof *S, dcmp);
    double med = nS & 1 ? S[nS / 2] : (S[nS / 2 - 1] + S[nS / 2]) / 2;
    printf("%s.min %.2f %s\n", n, S[0], unit);
    printf("%s.med %.2f %s\n", n, med, unit);
    printf("%s.max %.2f %s\n", n, S[nS - 1], unit);
    nS = 0;
    flush();
}

void
die(const char *what)
{
    printf("# FAIL %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

int
reps(int n)
{
    n >>= shift;
    return n < 2 ? 2 : n;
}

/* ------------------------------------------------------------- helpers -- */

void
pin(int cpu)
{
    cpu_set_t s;
    CPU_ZERO(&s);
    if (cpu < 0) {
        for (int i = 0; i < ncpu; i++) {
            CPU_SET(i, &s);
        }
    } else {
        CPU_SET(cpu % ncpu, &s);
    }
    sched_setaffinity(0, sizeof s, &s);
}

char *
anon(size_t len, int huge)
{
    size_t span = len + 2 * MiB;
    char *p = mmap(NULL, span, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        die("mmap");
    }
    char *a = (char *)(((uintptr_t)p + 2 * MiB - 1) & ~(2 * MiB - 1));
    if (a > p) {
        munmap(p, a - p);
    }
    if (a + len < p + span) {
        munmap(a + len, p + span - (a + len));
    }
    madvise(a, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return a;
}

void *
shared(size_t len)
{
    void *p = mmap(
        NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        die("mmap shared");
    }
    memset(p, 0, len);
    return p;
}

void
reap(pid_t p)
{
    int st;
    if (waitpid(p, &st, 0) != p) {
        die("waitpid");
    }
    if (st) {
        printf("# child status %x\n", st);
    }
}

int
wr(const char *path, const char *s)
{
    int f = open(path, O_WRONLY);
    if (f < 0) {
        return -1;
    }
    ssize_t n = write(f, s, strlen(s));
    close(f);
    return n < 0 ? -1 : 0;
}

long
field_kib(const char *path, const char *key)
{
    char b[8192];
    int f = open(path, O_RDONLY);
    if (f < 0) {
        return -1;
    }
    size_t n = 0;
    ssize_t r;
    while (n < sizeof b - 1 && (r = read(f, b + n, sizeof b - 1 - n)) > 0) {
        n += r;
    }
    close(f);
    b[n] = 0;
    char *p = strstr(b, key);
    return p ? atol(p + strlen(key)) : -1;
}

static uint32_t rnd_state = 12345;
uint32_t
rnd(void)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return rnd_state >> 8;
}

void
permute(uint32_t *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        v[i] = i;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = rnd() % (i + 1), t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}
