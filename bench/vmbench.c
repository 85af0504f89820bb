/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench: virtual-memory micro-benchmarks on plain POSIX/Linux calls.
 *
 * One static program for x86_64, aarch64 and riscv64.  It prints one
 *     name value unit
 * line per result; every measured quantity appears as name.min, name.med and
 * name.max over its repetitions.  Lines that start with '#' are remarks.
 *
 * Run as pid 1 (as an initramfs' /init) it mounts what it needs, runs itself
 * with the arguments found in vmbench=a,b,c on the kernel command line, and
 * powers the machine off.
 *
 * usage: vmbench [-s SHIFT] [group ...]      (no group: all of them)
 *   -s SHIFT divides repetition counts by 2^SHIFT (sizes never change)
 */
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

static int ncpu = 1;
static int shift;
static const char *self = "/proc/self/exe";

/* ---------------------------------------------------------------- time -- */

static uint64_t now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint32_t lo, hi;
	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
#elif defined(__aarch64__)
	uint64_t v;
	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v));
	return v;
#elif defined(__riscv)
	uint64_t v;
	__asm__ volatile("rdtime %0" : "=r"(v));
	return v;
#else
	return 0;
#endif
}

/* ------------------------------------------------------------- results -- */

#define MAXS 512
static double S[MAXS];
static int nS;

static void sample(double v)
{
	if (nS < MAXS)
		S[nS++] = v;
}

static int dcmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void flush(void)
{
	fflush(stdout);
	tcdrain(1);             /* no serial interrupts inside the next timing */
}

static void value(const char *unit, double v, const char *fmt, ...)
{
	char n[128];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(n, sizeof n, fmt, ap);
	va_end(ap);
	printf("%s %.2f %s\n", n, v, unit);
}

static void emit(const char *unit, const char *fmt, ...)
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

static void die(const char *what)
{
	printf("# FAIL %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static int reps(int n)
{
	n >>= shift;
	return n < 2 ? 2 : n;
}

/* ------------------------------------------------------------- helpers -- */

static void pin(int cpu)
{
	cpu_set_t s;
	CPU_ZERO(&s);
	if (cpu < 0)
		for (int i = 0; i < ncpu; i++)
			CPU_SET(i, &s);
	else
		CPU_SET(cpu % ncpu, &s);
	sched_setaffinity(0, sizeof s, &s);
}

/* len bytes, 2 MiB aligned, huge pages off or on; not touched */
static char *anon(size_t len, int huge)
{
	size_t span = len + 2 * MiB;
	char *p = mmap(NULL, span, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	char *a = (char *)(((uintptr_t)p + 2 * MiB - 1) & ~(2 * MiB - 1));
	if (a > p)
		munmap(p, a - p);
	if (a + len < p + span)
		munmap(a + len, p + span - (a + len));
	madvise(a, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return a;
}

static void touch_w(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += PG)
		*(volatile char *)(p + i) = 1;
}

static void touch_r(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += PG)
		(void)*(volatile char *)(p + i);
}

static void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap shared");
	memset(p, 0, len);
	return p;
}

static void reap(pid_t p)
{
	int st;
	if (waitpid(p, &st, 0) != p)
		die("waitpid");
	if (st)
		printf("# child status %x\n", st);
}

static int wr(const char *path, const char *s)
{
	int f = open(path, O_WRONLY);
	if (f < 0)
		return -1;
	ssize_t n = write(f, s, strlen(s));
	close(f);
	return n < 0 ? -1 : 0;
}

static long field_kib(const char *path, const char *key)
{
	char b[8192];
	int f = open(path, O_RDONLY);
	if (f < 0)
		return -1;
	size_t n = 0;
	ssize_t r;
	while (n < sizeof b - 1 && (r = read(f, b + n, sizeof b - 1 - n)) > 0)
		n += r;
	close(f);
	b[n] = 0;
	char *p = strstr(b, key);
	return p ? atol(p + strlen(key)) : -1;
}

static uint32_t rnd_state = 12345;
static uint32_t rnd(void)
{
	rnd_state = rnd_state * 1664525u + 1013904223u;
	return rnd_state >> 8;
}

static void permute(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = rnd() % (i + 1), t = v[i];
		v[i] = v[j];
		v[j] = t;
	}
}

/* --------------------------------------------------------- calibration -- */

/* n iterations of exactly two instructions */
static void spin2(uint64_t n)
{
#if defined(__x86_64__)
	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n) : : "cc");
#elif defined(__aarch64__)
	__asm__ volatile("1: sub %0, %0, #1; cbnz %0, 1b" : "+r"(n));
#elif defined(__riscv)
	__asm__ volatile("1: addi %0, %0, -1; bnez %0, 1b" : "+r"(n));
#endif
}

static void b_calib(void)
{
	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		spin2(500000);
		sample((now() - t) / 1e6);
	}
	emit("ns/insn", "calib_spin");

	uint64_t c0 = ticks(), t0 = now();
	spin2(5000000);
	uint64_t c1 = ticks(), t1 = now();
	value("Hz", (c1 - c0) * 1e9 / (t1 - t0), "calib_tick_rate");

	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		for (int i = 0; i < 1000; i++)
			now();
		sample((now() - t) / 1001.0);
	}
	emit("ns", "calib_clock_gettime");

	char *p = anon(2 * PG, 0);
	touch_w(p, 2 * PG);
	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		for (int i = 0; i < 256; i++) {
			memset(p, i, PG);
			__asm__ volatile("" : : : "memory");
		}
		sample((now() - t) / 256.0);
	}
	emit("ns", "calib_memset_4k");
	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		for (int i = 0; i < 256; i++) {
			memcpy(p, p + PG, PG);
			__asm__ volatile("" : : : "memory");
		}
		sample((now() - t) / 256.0);
	}
	emit("ns", "calib_memcpy_4k");
#if defined(__x86_64__)
	for (int k = 0; k < 2; k++) {
		for (int r = 0; r < reps(10); r++) {
			uint64_t t = now();
			for (int i = 0; i < 64; i++) {
				void *d = p;
				uint64_t c = k ? PG / 8 : PG;
				if (k)
					__asm__ volatile("rep stosq" : "+D"(d), "+c"(c) : "a"(0) : "memory");
				else
					__asm__ volatile("rep stosb" : "+D"(d), "+c"(c) : "a"(0) : "memory");
			}
			sample((now() - t) / 64.0);
		}
		emit("ns", k ? "calib_rep_stosq_4k" : "calib_rep_stosb_4k");
	}
#elif defined(__aarch64__)
	uint64_t dczid;
	__asm__("mrs %0, dczid_el0" : "=r"(dczid));
	unsigned blk = 4u << (dczid & 15);
	value("bytes", blk, "calib_dczva_block");
	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		for (int i = 0; i < 64; i++)
			for (char *d = p; d < p + PG; d += blk)
				__asm__ volatile("dc zva, %0" : : "r"(d) : "memory");
		sample((now() - t) / 64.0);
	}
	emit("ns", "calib_dczva_4k");
#endif
	munmap(p, 2 * PG);
}

static long perf_open(uint64_t cfg, int kernel)
{
	struct perf_event_attr a;
	memset(&a, 0, sizeof a);
	a.size = sizeof a;
	a.type = PERF_TYPE_HARDWARE;
	a.config = cfg;
	a.exclude_kernel = !kernel;
	a.exclude_hv = 1;
	return syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static void b_perf(void)
{
	static const struct { const char *n; uint64_t c; } ev[] = {
		{ "instructions", PERF_COUNT_HW_INSTRUCTIONS },
		{ "cycles", PERF_COUNT_HW_CPU_CYCLES },
		{ "dtlb_or_cache_misses", PERF_COUNT_HW_CACHE_MISSES },
	};
	for (unsigned i = 0; i < 3; i++) {
		long f = perf_open(ev[i].c, 1);
		if (f < 0) {
			printf("# perf %s: %s\n", ev[i].n, strerror(errno));
			continue;
		}
		uint64_t a = 0, b = 0;
		if (read(f, &a, 8) != 8)
			a = 0;
		spin2(1000000);
		if (read(f, &b, 8) != 8)
			b = 0;
		close(f);
		value("count", b - a, "perf_%s_of_2M_insn", ev[i].n);
	}
	flush();
}

/* ---------------------------------------------------------- benchmarks -- */

static void b_null(void)
{
	for (int r = 0; r < reps(12); r++) {
		uint64_t t = now();
		for (int i = 0; i < 10000; i++)
			syscall(SYS_getppid);
		sample((now() - t) / 1e4);
	}
	emit("ns", "null_syscall");
}

static void b_zero(void)
{
	size_t len = 64 * MiB;
	static double um[MAXS];
	for (int huge = 0; huge < 2; huge++) {
		int n = reps(8), k = 0;
		for (int r = -1; r < n; r++) {
			char *p = anon(len, huge);
			uint64_t t = now();
			touch_w(p, len);
			uint64_t d = now() - t;
			t = now();
			munmap(p, len);
			uint64_t e = now() - t;
			if (r < 0)
				continue;       /* the first round warms up */
			sample(d / (double)(len / PG));
			um[k++] = e / (double)(len / PG);
		}
		emit("ns/page", huge ? "zero_fill_thp" : "zero_fill");
		for (int i = 0; i < k; i++)
			sample(um[i]);
		emit("ns/page", huge ? "munmap_resident_thp" : "munmap_resident");
	}
	/* reading first maps the shared zero page */
	for (int r = 0; r < reps(5); r++) {
		char *p = anon(len, 0);
		uint64_t t = now();
		touch_r(p, len);
		sample((now() - t) / (double)(len / PG));
		munmap(p, len);
	}
	emit("ns/page", "zero_read");
	for (int r = 0; r < reps(5); r++) {
		char *p = anon(len, 0);
		uint64_t t = now();
		if (madvise(p, len, 23 /* MADV_POPULATE_WRITE */))
			die("populate");
		sample((now() - t) / (double)(len / PG));
		munmap(p, len);
	}
	emit("ns/page", "populate_write");
	char *p = anon(16 * MiB, 0), *q;
	touch_w(p, 16 * MiB);
	for (int r = 0; r < reps(8); r++) {
		char *to = anon(16 * MiB, 0);
		uint64_t t = now();
		q = mremap(p, 16 * MiB, 16 * MiB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		sample((now() - t) / (16.0 * MiB / PG));
		if (q == MAP_FAILED)
			die("mremap");
		p = q;
	}
	emit("ns/page", "mremap_move_16M");
	munmap(p, 16 * MiB);
}

static void b_soft(void)
{
	static const char *fa = "/sys/kernel/debug/fault_around_bytes";
	size_t len = 64 * MiB;
	int f = memfd_create("m", 0);
	if (f < 0 || ftruncate(f, len))
		die("memfd");
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	touch_w(p, len);
	munmap(p, len);
	for (int mode = 0; mode < 4; mode++) {
		/* 0 read, fault-around as it is; 1 read without; 2 shared write;
		 * 3 private write (copy out of the page cache) */
		if (mode == 1 && wr(fa, "4096")) {
			printf("# no %s\n", fa);
			continue;
		}
		if (mode == 2)
			wr(fa, "65536");
		for (int r = 0; r < reps(6); r++) {
			p = mmap(NULL, len, PROT_READ | PROT_WRITE,
				 mode == 3 ? MAP_PRIVATE : MAP_SHARED, f, 0);
			madvise(p, len, MADV_NOHUGEPAGE);
			uint64_t t = now();
			if (mode < 2)
				touch_r(p, len);
			else
				touch_w(p, len);
			sample((now() - t) / (double)(len / PG));
			munmap(p, len);
		}
		emit("ns/page", mode == 0 ? "soft_read_faultaround" :
		     mode == 1 ? "soft_read_1page" :
		     mode == 2 ? "soft_write_shared" : "file_cow_write");
	}
	close(f);
}

static void b_cow(void)
{
	size_t len = 64 * MiB;
	double *res = shared(PG);
	static double reuse[MAXS];
	for (int huge = 0; huge < 2; huge++) {
		char *p = anon(len, huge);
		touch_w(p, len);
		int k = 0;
		for (int r = 0; r < reps(6); r++) {
			pid_t c = fork();
			if (c < 0)
				die("fork");
			if (!c) {
				uint64_t t = now();
				touch_w(p, len);
				res[0] = (now() - t) / (double)(len / PG);
				_exit(0);
			}
			reap(c);
			sample(res[0]);
			uint64_t t = now();
			touch_w(p, len);
			reuse[k++] = (now() - t) / (double)(len / PG);
		}
		emit("ns/page", huge ? "cow_copy_thp" : "cow_copy");
		for (int i = 0; i < k; i++)
			sample(reuse[i]);
		emit("ns/page", huge ? "cow_reuse_thp" : "cow_reuse");
		munmap(p, len);
	}
	munmap(res, PG);
}

static void fork_once(double *call, double *total)
{
	uint64_t t = now();
	pid_t c = fork();
	if (!c)
		_exit(0);
	uint64_t t1 = now();
	if (c < 0)
		die("fork");
	reap(c);
	*total = now() - t;
	*call = t1 - t;
}

static void b_fork(void)
{
	static const struct { int mib, n; } z[] = {
		{ 0, 40 }, { 1, 40 }, { 16, 20 }, { 64, 12 }, { 256, 8 }, { 1024, 5 },
	};
	static double call[MAXS];
	for (int huge = 0; huge < 2; huge++)
		for (unsigned i = 0; i < sizeof z / sizeof *z; i++) {
			size_t len = z[i].mib * MiB;
			if (huge && z[i].mib < 256)
				continue;
			char *p = len ? anon(len, huge) : NULL;
			touch_w(p, len);
			int k = 0;
			for (int r = -1; r < reps(z[i].n); r++) {
				double a, b;
				fork_once(&a, &b);
				if (r < 0)
					continue;
				sample(b);
				call[k++] = a;
			}
			emit("ns", huge ? "fork_exit_wait_thp_%dM" : "fork_exit_wait_%dM", z[i].mib);
			for (int j = 0; j < k; j++)
				sample(call[j]);
			emit("ns", huge ? "fork_call_thp_%dM" : "fork_call_%dM", z[i].mib);
			if (len)
				munmap(p, len);
		}

	/* vfork for comparison: nothing is copied */
	char *p = anon(256 * MiB, 0);
	touch_w(p, 256 * MiB);
	for (int r = 0; r < reps(20); r++) {
		uint64_t t = now();
		pid_t c = vfork();
		if (!c)
			_exit(0);
		reap(c);
		sample(now() - t);
	}
	emit("ns", "vfork_exit_wait_256M");
	munmap(p, 256 * MiB);

	for (int r = 0; r < reps(10); r++) {
		uint64_t t = now();
		pid_t c = fork();
		if (!c) {
			execl(self, "vmbench", "--exit", (char *)0);
			_exit(1);
		}
		reap(c);
		sample(now() - t);
	}
	emit("ns", "fork_exec_wait_static");

	for (int m = 16; m <= 256; m *= 4) {
		size_t len = m * MiB;
		p = anon(len, 0);
		touch_w(p, len);
		for (int r = 0; r < reps(6); r++) {
			uint64_t t = now();
			pid_t c = fork();
			if (!c) {
				touch_r(p, len);
				_exit(0);
			}
			reap(c);
			sample(now() - t);
		}
		emit("ns", "fork_readall_wait_%dM", m);
		munmap(p, len);
	}
}

static void b_map(void)
{
	for (int k = 0; k < 2; k++) {
		for (int r = 0; r < reps(12); r++) {
			uint64_t t = now();
			for (int i = 0; i < 1000; i++) {
				char *p = mmap(NULL, PG, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
				if (k)
					*(volatile char *)p = 1;
				munmap(p, PG);
			}
			sample((now() - t) / 1e3);
		}
		emit("ns", k ? "mmap_touch_munmap_1p" : "mmap_munmap_1p");
	}
}

static void b_prot(void)
{
	static const size_t lens[] = { PG, 16 * MiB };
	for (int z = 0; z < 2; z++)
		for (int k = 0; k < 2; k++) {
			size_t len = lens[z];
			int n = z ? 4 : 1000;
			char *p = anon(len, 0);
			touch_w(p, len);
			for (int r = 0; r < reps(10); r++) {
				uint64_t t = now();
				for (int i = 0; i < n; i++) {
					if (mprotect(p, len, PROT_READ) ||
					    mprotect(p, len, PROT_READ | PROT_WRITE))
						die("mprotect");
					if (k)
						touch_w(p, len);
				}
				sample((now() - t) / (double)n);
			}
			emit("ns/toggle", "mprotect_toggle_%s%s", z ? "16M" : "1p",
			     k ? "_touch" : "");
			munmap(p, len);
		}
}

/*
 * G generations; each child writes one page of its own and forks, its parent
 * exits (or, alive, sleeps until the end).  The last one reads, then writes,
 * NOLD pages nobody wrote since generation 0.
 */
#define NOLD 256
struct chain { double gen, rd, rd2, wrt; int ok; };

static void chain(int G, int alive, int rep)
{
	struct chain *res = shared(PG);
	static double a[4][16];
	for (int r = 0; r < rep; r++) {
		int pp[2];
		if (pipe(pp))
			die("pipe");
		res->ok = 0;
		pid_t c = fork();
		if (!c) {
			size_t len = (NOLD + G) * PG;
			char *p = anon(len, 0);
			touch_w(p, len);
			uint64_t t = now();
			for (int g = 0; g < G; g++) {
				pid_t me = getpid();
				pid_t k = fork();
				if (k < 0)
					_exit(2);
				if (k > 0) {
					char b;
					if (alive) {
						close(pp[1]);
						while (read(pp[0], &b, 1) > 0)
							;
					}
					_exit(0);
				}
				if (!alive)
					while (getppid() == me)
						sched_yield();
				p[(NOLD + g) * PG] = 2;
			}
			res->gen = (now() - t) / (double)G;
			t = now();
			touch_r(p, NOLD * PG);
			res->rd = (now() - t) / (double)NOLD;
			t = now();
			touch_r(p, NOLD * PG);
			res->rd2 = (now() - t) / (double)NOLD;
			t = now();
			touch_w(p, NOLD * PG);
			res->wrt = (now() - t) / (double)NOLD;
			res->ok = 1;
			_exit(0);
		}
		close(pp[1]);
		close(pp[0]);
		int st;
		while (wait(&st) > 0)
			;
		if (!res->ok) {
			printf("# chain %d failed\n", G);
			break;
		}
		a[0][r] = res->gen;
		a[1][r] = res->rd;
		a[2][r] = res->rd2;
		a[3][r] = res->wrt;
		if (r == rep - 1) {
			static const char *nm[] = { "per_generation", "read_oldest", "reread_oldest", "write_oldest" };
			for (int j = 0; j < 4; j++) {
				for (int i = 0; i < rep; i++)
					sample(a[j][i]);
				emit(j ? "ns/page" : "ns", "chain%d%s_%s", G,
				     alive ? "_alive" : "", nm[j]);
			}
		}
	}
	munmap(res, PG);
}

static void b_chain(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	chain(1, 0, reps(6));
	chain(64, 0, reps(6));
	chain(256, 0, reps(6));
	chain(64, 1, reps(6));
}

static void b_ctx(void)
{
	for (int mode = 0; mode < 2; mode++) {
		if (mode && ncpu < 2)
			continue;
		int a[2], b[2], n = 2000;
		char x = 0;
		if (pipe(a) || pipe(b))
			die("pipe");
		pid_t c = fork();
		if (!c) {
			pin(mode);
			close(a[1]);
			close(b[0]);
			while (read(a[0], &x, 1) == 1)
				if (write(b[1], &x, 1) != 1)
					break;
			_exit(0);
		}
		close(a[0]);
		close(b[1]);
		for (int r = -1; r < reps(8); r++) {
			uint64_t t = now();
			for (int i = 0; i < n; i++)
				if (write(a[1], &x, 1) != 1 || read(b[0], &x, 1) != 1)
					die("pingpong");
			if (r >= 0)
				sample((now() - t) / (double)n);
		}
		close(a[1]);
		reap(c);
		close(b[0]);
		emit("ns/roundtrip", mode ? "pipe_pingpong_2cpu" : "pipe_pingpong_1cpu");
	}
	/* bulk data: 1 MiB through a pipe in 64 KiB writes */
	int a[2], b[2];
	if (pipe(a) || pipe(b))
		die("pipe");
	char *p = anon(MiB, 0);
	touch_w(p, MiB);
	pid_t c = fork();
	if (!c) {
		char *q = anon(64 * KiB, 0);
		size_t got = 0;
		ssize_t n;
		close(a[1]);
		while ((n = read(a[0], q, 64 * KiB)) > 0) {
			got += n;
			if (got == MiB) {
				got = 0;
				if (write(b[1], q, 1) != 1)
					break;
			}
		}
		_exit(0);
	}
	close(a[0]);
	for (int r = 0; r < reps(10); r++) {
		char x;
		uint64_t t = now();
		for (size_t o = 0; o < MiB; o += 64 * KiB)
			if (write(a[1], p + o, 64 * KiB) != 64 * (ssize_t)KiB)
				die("pipe write");
		if (read(b[0], &x, 1) != 1)
			die("pipe ack");
		sample(now() - t);
	}
	close(a[1]);
	reap(c);
	emit("ns/MiB", "pipe_bulk_1M");
	munmap(p, MiB);
}

/* --- threads --- */

static atomic_int stop, running;

static void *spinner(void *arg)
{
	pin((int)(intptr_t)arg);
	atomic_fetch_add(&running, 1);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		spin2(100);
	return NULL;
}

static void b_shoot(void)
{
	for (int others = 0; others <= 4; others++) {
		if (others >= ncpu)
			continue;
		pthread_t th[4];
		atomic_store(&stop, 0);
		atomic_store(&running, 0);
		pin(0);
		for (int i = 0; i < others; i++)
			if (pthread_create(&th[i], NULL, spinner, (void *)(intptr_t)(i + 1)))
				die("thread");
		while (atomic_load(&running) < others)
			sched_yield();
		enum { NR = 128, NP = 16 };
		char *v[NR];
		for (int k = 0; k < 2; k++) {
			int np = k ? NP : 1;
			for (int r = 0; r < reps(8); r++) {
				for (int i = 0; i < NR; i++) {
					v[i] = mmap(NULL, np * PG, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
					touch_w(v[i], np * PG);
				}
				uint64_t t = now();
				for (int i = 0; i < NR; i++)
					munmap(v[i], np * PG);
				sample((now() - t) / (double)NR);
			}
			emit("ns", "munmap_%dp_%d_other_cpus", np, others);
		}
		char *p = anon(PG, 0);
		for (int r = 0; r < reps(8); r++) {
			uint64_t t = now();
			for (int i = 0; i < 200; i++) {
				*(volatile char *)p = 1;
				mprotect(p, PG, PROT_READ);
				mprotect(p, PG, PROT_READ | PROT_WRITE);
			}
			sample((now() - t) / 200.0);
		}
		emit("ns/toggle", "mprotect_1p_touch_%d_other_cpus", others);
		munmap(p, PG);
		atomic_store(&stop, 1);
		for (int i = 0; i < others; i++)
			pthread_join(th[i], NULL);
	}
}

static pthread_barrier_t bar;
struct mt { int cpu; char *p; size_t len; uint64_t a, b; };

static void *faulter(void *arg)
{
	struct mt *m = arg;
	pin(m->cpu);
	pthread_barrier_wait(&bar);
	m->a = now();
	touch_w(m->p, m->len);
	m->b = now();
	return NULL;
}

static void b_mt(void)
{
	size_t len = 16 * MiB;
	for (int T = 1; T <= 4; T *= 2) {
		if (T > ncpu && T > 1)
			continue;
		for (int r = -1; r < reps(8); r++) {
			struct mt m[4];
			pthread_t th[4];
			char *p = anon(len * T, 0);
			pthread_barrier_init(&bar, NULL, T);
			for (int i = 0; i < T; i++) {
				m[i] = (struct mt){ i, p + i * len, len, 0, 0 };
				if (pthread_create(&th[i], NULL, faulter, &m[i]))
					die("thread");
			}
			uint64_t a = ~0ull, b = 0;
			for (int i = 0; i < T; i++) {
				pthread_join(th[i], NULL);
				if (m[i].a < a)
					a = m[i].a;
				if (m[i].b > b)
					b = m[i].b;
			}
			munmap(p, len * T);
			if (r >= 0)
				sample((b - a) / (double)(T * len / PG));
		}
		emit("ns/page", "mt_zero_fill_%dthr", T);
	}
}

static void b_many(void)
{
	enum { N = 10000 };
	static char *v[N];
	static uint32_t ord[N], ord2[N];
	static double a[6][32];
	int n = reps(5);
	for (int r = 0; r < n; r++) {
		permute(ord, N);
		permute(ord2, N);
		uint64_t t = now();
		for (int i = 0; i < N; i++)
			v[i] = mmap(NULL, PG, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		a[0][r] = (now() - t) / (double)N;
		t = now();
		for (int i = 0; i < N; i++)
			if (!(ord[i] & 1))
				*(volatile char *)v[ord[i]] = 1;
		a[1][r] = (now() - t) / (double)(N / 2);
		double x, y;
		fork_once(&x, &y);
		a[2][r] = y;
		t = now();
		for (int i = 0; i < N; i++)
			munmap(v[ord2[i]], PG);
		a[3][r] = (now() - t) / (double)N;
		/* the same faults in one mapping */
		char *p = anon(N * PG, 0);
		t = now();
		for (int i = 0; i < N; i++)
			if (!(ord[i] & 1))
				*(volatile char *)(p + ord[i] * PG) = 1;
		a[4][r] = (now() - t) / (double)(N / 2);
		fork_once(&x, &y);
		a[5][r] = y;
		munmap(p, N * PG);
	}
	static const char *nm[] = { "many_mmap", "many_fault_random", "many_fork_exit_wait",
		"many_munmap_random", "one_fault_random", "one_fork_exit_wait" };
	for (int j = 0; j < 6; j++) {
		for (int i = 0; i < n; i++)
			sample(a[j][i]);
		emit(j == 2 || j == 5 ? "ns" : "ns/op", nm[j]);
	}
}

static void b_ptmem(void)
{
	fflush(stdout);
	static const struct { const char *n; size_t len, step; } pt[] = {
		{ "1G_every_page", GiB, PG },
		{ "1G_1_per_2M", GiB, 2 * MiB },
		{ "64G_1_per_1G", 64 * GiB, GiB },
	};
	for (int k = 0; k < 3; k++) {
		pid_t c = fork();
		if (!c) {
			long a = field_kib("/proc/self/status", "VmPTE:");
			char *p = anon(pt[k].len, 0);
			for (size_t i = 0; i < pt[k].len; i += pt[k].step)
				p[i] = 1;
			long b = field_kib("/proc/self/status", "VmPTE:");
			if (!k)
				value("KiB", a, "vmpte_at_start");
			value("KiB", b - a, "vmpte_%s", pt[k].n);
			fflush(stdout);
			_exit(0);
		}
		reap(c);
	}
	/* what does one more process with 16 MiB of shared-by-COW memory cost? */
	enum { K = 400 };
	char *p = anon(16 * MiB, 0);
	touch_w(p, 16 * MiB);
	int pp[2];
	static pid_t kid[K];
	if (pipe(pp))
		die("pipe");
	usleep(20000);
	long f0 = field_kib("/proc/meminfo", "MemFree:"), s0 = field_kib("/proc/meminfo", "Slab:"),
	     t0 = field_kib("/proc/meminfo", "PageTables:"), k0 = field_kib("/proc/meminfo", "KernelStack:");
	for (int i = 0; i < K; i++) {
		kid[i] = fork();
		if (!kid[i]) {
			char b;
			close(pp[1]);
			if (read(pp[0], &b, 1) < 0)
				_exit(1);
			_exit(0);
		}
	}
	usleep(50000);
	long f1 = field_kib("/proc/meminfo", "MemFree:"), s1 = field_kib("/proc/meminfo", "Slab:"),
	     t1 = field_kib("/proc/meminfo", "PageTables:"), k1 = field_kib("/proc/meminfo", "KernelStack:");
	close(pp[1]);
	for (int i = 0; i < K; i++)
		reap(kid[i]);
	close(pp[0]);
	munmap(p, 16 * MiB);
	value("KiB", (f0 - f1) / (double)K, "process_cost_16M_total");
	value("KiB", (t1 - t0) / (double)K, "process_cost_16M_pagetables");
	value("KiB", (s1 - s0) / (double)K, "process_cost_16M_slab");
	value("KiB", (k1 - k0) / (double)K, "process_cost_16M_kstack");
	value("KiB", field_kib("/proc/meminfo", "MemTotal:"), "meminfo_MemTotal");
	value("KiB", field_kib("/proc/meminfo", "MemFree:"), "meminfo_MemFree");
	flush();
}

/* --- faults answered in user mode --- */

static int uffd, uffd_todo;

static void *uffd_thread(void *arg)
{
	static char page[4096] __attribute__((aligned(4096)));
	memset(page, 7, sizeof page);
	for (int i = 0; i < uffd_todo; i++) {
		struct uffd_msg m;
		if (read(uffd, &m, sizeof m) != (ssize_t)sizeof m)
			break;
		struct uffdio_copy c = { .dst = m.arg.pagefault.address & ~(PG - 1),
			.src = (uintptr_t)page, .len = PG };
		if (m.event == UFFD_EVENT_PAGEFAULT && ioctl(uffd, UFFDIO_COPY, &c))
			break;
	}
	return arg;
}

static char *seg_base;
static void on_segv(int s, siginfo_t *i, void *u)
{
	(void)s; (void)u;
	char *a = (char *)((uintptr_t)i->si_addr & ~(PG - 1));
	if (a < seg_base || mprotect(a, PG, PROT_READ | PROT_WRITE))
		_exit(9);
}

static void b_upager(void)
{
	enum { NP = 1024 };
	struct uffdio_api api = { .api = UFFD_API };
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		printf("# userfaultfd: %s\n", strerror(errno));
	} else {
		pthread_t th;
		int n = reps(6);
		uffd_todo = n * NP;
		if (pthread_create(&th, NULL, uffd_thread, NULL))
			die("thread");
		for (int r = 0; r < n; r++) {
			char *p = anon(NP * PG, 0);
			struct uffdio_register g = { .range = { (uintptr_t)p, NP * PG },
				.mode = UFFDIO_REGISTER_MODE_MISSING };
			if (ioctl(uffd, UFFDIO_REGISTER, &g))
				die("uffd register");
			uint64_t t = now();
			touch_r(p, NP * PG);
			sample((now() - t) / (double)NP);
			munmap(p, NP * PG);
		}
		pthread_join(th, NULL);
		emit("ns/fault", "userfaultfd_pager_fault");
		close(uffd);
	}
	struct sigaction sa, old;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_segv;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, &old);
	for (int r = 0; r < reps(8); r++) {
		char *p = anon(1024 * PG, 0);
		seg_base = p;
		touch_w(p, 1024 * PG);
		mprotect(p, 1024 * PG, PROT_NONE);
		uint64_t t = now();
		touch_w(p, 1024 * PG);
		sample((now() - t) / 1024.0);
		munmap(p, 1024 * PG);
	}
	emit("ns/fault", "segv_handler_mprotect");
	sigaction(SIGSEGV, &old, NULL);
}

/* ---------------------------------------------------------------- main -- */

static const struct { const char *n; void (*f)(void); } tab[] = {
	{ "calib", b_calib }, { "perf", b_perf }, { "null", b_null }, { "zero", b_zero },
	{ "soft", b_soft }, { "cow", b_cow }, { "fork", b_fork }, { "map", b_map },
	{ "prot", b_prot }, { "chain", b_chain }, { "ctx", b_ctx }, { "shoot", b_shoot },
	{ "mt", b_mt }, { "many", b_many }, { "upager", b_upager }, { "ptmem", b_ptmem },
};

static void cat1(const char *path)
{
	char b[256];
	int f = open(path, O_RDONLY);
	if (f < 0)
		return;
	ssize_t n = read(f, b, sizeof b - 1);
	close(f);
	if (n <= 0)
		return;
	b[n] = 0;
	b[strcspn(b, "\n")] = 0;
	printf("# %s: %s\n", path, b);
}

static int bench(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	int i = 1;
	if (i + 1 < argc && !strcmp(argv[i], "-s")) {
		shift = atoi(argv[i + 1]);
		i += 2;
	}
	ncpu = sysconf(_SC_NPROCESSORS_ONLN);
	struct utsname u;
	uname(&u);
	printf("# %s %s %s ncpu=%d\n", u.release, u.version, u.machine, ncpu);
	cat1("/proc/cmdline");
	cat1("/sys/kernel/mm/transparent_hugepage/enabled");
	cat1("/sys/devices/system/clocksource/clocksource0/current_clocksource");
	static const char *vul[] = { "meltdown", "spectre_v1", "spectre_v2", "spec_store_bypass",
		"retbleed", "spec_rstack_overflow", "mds" };
	for (unsigned k = 0; k < sizeof vul / sizeof *vul; k++) {
		char p[128];
		snprintf(p, sizeof p, "/sys/devices/system/cpu/vulnerabilities/%s", vul[k]);
		cat1(p);
	}
	flush();
	pin(0);
	for (unsigned k = 0; k < sizeof tab / sizeof *tab; k++) {
		int want = i >= argc;
		for (int j = i; j < argc; j++)
			want |= !strcmp(argv[j], tab[k].n);
		if (!want)
			continue;
		uint64_t t = now();
		printf("# group %s\n", tab[k].n);
		flush();
		tab[k].f();
		printf("# group %s took %.1f ms\n", tab[k].n, (now() - t) / 1e6);
		flush();
		pin(0);
	}
	return 0;
}

static int init_main(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, 0);
	mount("sys", "/sys", "sysfs", 0, 0);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	mount("debug", "/sys/kernel/debug", "debugfs", 0, 0);
	int f = open("/dev/console", O_RDWR);
	if (f >= 0) {
		dup2(f, 0);
		dup2(f, 1);
		dup2(f, 2);
	}
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	value("ms", ts.tv_sec * 1e3 + ts.tv_nsec / 1e6, "boot_to_init");
	flush();
	wr("/proc/sys/kernel/perf_event_paranoid", "-1");
	wr("/proc/sys/vm/overcommit_memory", "1");
	char b[4096], *av[64] = { "vmbench" };
	int n = 0, ac = 1;
	f = open("/proc/cmdline", O_RDONLY);
	if (f >= 0)
		n = read(f, b, sizeof b - 1);
	close(f);
	b[n < 0 ? 0 : n] = 0;
	char *p = strstr(b, "vmbench=");
	if (p) {
		p += 8;
		p[strcspn(p, " \n")] = 0;
		for (p = strtok(p, ","); p && ac < 63; p = strtok(NULL, ","))
			av[ac++] = p;
	}
	av[ac] = NULL;
	sleep(4);               /* let the kernel's boot-time threads finish */
	pid_t c = fork();
	if (!c) {
		setsid();
		execv("/init", av);
		_exit(127);
	}
	int st = -1;
	while (waitpid(c, &st, 0) != c)
		;
	printf("VMBENCH-END %d\n", st);
	flush();
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}

int main(int argc, char **argv)
{
	return getpid() == 1 ? init_main() : bench(argc, argv);
}
