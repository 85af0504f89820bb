/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern.h - messages, time, memory and locks of the kernel around the core.
 */
#ifndef KERN_H
#define KERN_H

#include "vm_page.h"

#include <stdarg.h>

/* ---- messages ---------------------------------------------------------
 *
 * The console carries several streams.  Plain (the default): everything is
 * text on one line discipline, for a person at a serial line.  Multiplexed
 * (option "console=mux"): DLE (0x10) and a letter switches the stream that the
 * following bytes belong to, until the next switch; DLE DLE is a DLE byte.
 *   out, kernel -> host:  'O' standard output   'E' standard error
 *                         'L' the kernel's log  'T' test results (KTAP)
 *   in, host -> kernel:   bytes are standard input; DLE 'Z' is its end (once),
 *                         DLE DLE a DLE byte, DLE 'S' an interrupt (SIGINT)
 * tools/console.py is the other end.
 */
enum kern_stream { KERN_OUT, KERN_ERR, KERN_LOG, KERN_TEST, KERN_STREAMS };

/* Any context; whole pieces are not torn apart by other CPUs' or threads'. */
void kern_console_write(enum kern_stream s, const void *buf, size_t n);

/*
 * Standard input.  read: at least one byte, or *got is 0 at its end (of a
 * plain console: once for each end that is typed).  ready: it would not sleep.
 * => Context: read: a thread without locks, sleeps
 * => Fails:   VM_E_INTR
 * signal: what an interrupt from the host calls, in interrupt context.
 */
int kern_console_read(void *buf, size_t n, size_t *got) VM_MUST_CHECK;
bool kern_console_ready(void);
extern void (*kern_console_signal)(void);
/* The same, when anything has come in. */
extern void (*kern_console_input)(void);
/*
 * Who types: edit: lines may be changed until they end, ^C interrupts, ^D is
 * an end; echo: what is typed is shown on the stream out.  Both are true of
 * a plain console, false of a multiplexed one, until the personality says
 * otherwise (a terminal's settings).
 */
extern bool kern_console_edit, kern_console_echo;

/* By kern_main, when there is a thread; by panic, when there is only one. */
void kern_console_bootstrap(void);
void kern_console_panic(void);

/*
 * printf to the log.  %d %i %u %x %X %p %s %c %% with the flags - 0 # + and
 * blank, width, precision (* too) and the lengths hh h l ll z j t.  Any
 * context.  A line ends with \n.
 */
void kern_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void kern_vprintf(enum kern_stream s, const char *fmt, va_list ap);
/* As C99's; returns the length that it would have. */
int kern_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int kern_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/*
 * A panic prints, in the same shape on every machine: what; the thread; the
 * registers; a backtrace with symbols; the map and process that ran.  f may be
 * NULL.  It then leaves the machine with status 1.
 */
struct md_frame;
_Noreturn void kern_panic_frame(const struct md_frame *f, const char *fmt,
    ...) __attribute__((format(printf, 2, 3)));
/* name+offset of an address in the kernel's text; false: it is none. */
bool kern_symbol(uint64_t pc, const char **name, uint64_t *offset);

/* ---- options of the boot command line --------------------------------- */

/* Value of "name=value", "" of a bare "name"; or NULL.  Constant after boot. */
const char *kern_option(const char *name);
/* The words as they stand: the first after NULL, NULL after the last. */
const char *kern_option_next(const char *word);
/* A number with an optional suffix K, M or G; def if it is not given. */
uint64_t kern_option_u64(const char *name, uint64_t def);
/* Such a number, and nothing else; false: s is none. */
bool kern_parse_u64(const char *s, uint64_t *value);
void kern_option_bootstrap(const char *cmdline);

/* ---- bytes and strings, as in C11 7.24 --------------------------------
 *
 * memset, memcpy and memcmp are in vm_kern.h.  <md_cpu.h> may define
 *   MD_PAGE_CLEAR  and md_page_clear(void *p, size_t n), which returns p
 *   MD_PAGE_COPY   and md_page_copy(void *to, const void *from, size_t n)
 *   MD_WORDS       and md_words_set(void *to, uint64_t word, uint64_t n),
 *                  md_words_copy(void *to, const void **from, uint64_t n),
 *                  upwards; both return where they ended
 * inline, pages for n bytes at addresses that are multiples of 4096, n too,
 * words for n words at addresses that are multiples of 8: with instructions
 * that are faster than stores of words.
 */
void *memmove(void *to, const void *from, size_t n);
void *memchr(const void *p, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* ---- time ------------------------------------------------------------- */

uint64_t kern_now(void);                /* ns since boot; never steps back */
/* Wall-clock seconds at boot: option "time=", 0 without. */
extern uint64_t kern_epoch;
/* Once, after md_devices_init(), which may measure md_tick_hz; before it
 * kern_now() is 0.  first_tick: md_ticks() at time 0. */
void kern_time_bootstrap(uint64_t first_tick);

/* ---- memory ----------------------------------------------------------- */

/*
 * kern_alloc - size bytes (not 0), aligned to 16, zeroed; or NULL.  Takes
 * the kernel's reserve.  Up to KERN_ALLOC_SMALL from zones, or one frame;
 * beyond a page, frames in the kernel's window.  kern_free wants the size;
 * of NULL it does nothing.
 * => Locks: any of lower rank than ZONE up to that size, none of the core's
 *    (nor a spin lock) beyond
 */
#define KERN_ALLOC_SMALL 4096u
void *kern_alloc(size_t size);
void kern_free(void *p, size_t size);

/*
 * kern_map_pages - n fresh wired frames at consecutive kernel addresses, with
 * an unmapped page before and behind.  NULL if there is no memory.
 * kern_map_device - registers at [pa, +size).
 */
void *kern_map_pages(unsigned n);
void kern_unmap_pages(void *p, unsigned n);
void *kern_map_device(paddr_t pa, vsize_t size);

/* The thread that frees frames when fewer than low are free. */
int kern_pageout_start(uint64_t low) VM_MUST_CHECK;

/*
 * Everything that a program took is back?  marks: take note of what is in
 * use now; check: give caches back, compare, and say on the log what has
 * grown, by name.  Nobody else runs.  (docs/debugging.md)
 */
struct kern_usage {
    uint64_t kind[VM_PAGE_KINDS], objects, threads, zones[48];
};
void kern_usage_mark(struct kern_usage *u);
bool kern_usage_check(const struct kern_usage *u);

/* ---- locks ------------------------------------------------------------
 *
 * vm_lock.h's, with ranks outside the core's (taken before any of its locks)
 * and inside (leaves; also from interrupt handlers, therefore always with
 * interrupts disabled: kern_irq_lock).
 */
enum kern_rank {
    KERN_RANK_CONTROL = VM_RANK_OUTER,  /* storms; rounds of idle.c (mutex) */
    KERN_RANK_FILE,                     /* one open file's offset (mutex) */
    KERN_RANK_PROCS,                    /* tree of processes (mutex) */
    KERN_RANK_PROC,                     /* one process (mutex) */
    KERN_RANK_FDS,                      /* a table of descriptors (mutex) */
    KERN_RANK_TREE,                     /* names of files (mutex) */
    KERN_RANK_INODE,                    /* one inode or pipe (mutex) */
    KERN_RANK_WINDOW,                   /* kernel's window (mutex) */
    KERN_RANK_SIGNAL = VM_RANK_INNER,   /* pending signals (spin) */
    KERN_RANK_WAIT,                     /* a bucket of waiters (irq) */
    KERN_RANK_RUN,                      /* a run queue, timeouts (irq) */
    KERN_RANK_CONSOLE                   /* the console (irq) */
};

bool kern_irq_lock(struct vm_spin *l);
void kern_irq_unlock(struct vm_spin *l, bool enabled);

/* ---- test flavour ----------------------------------------------------- */

/* tests/kernel: run every case that option "test=" matches; never returns
 * where it is linked.  Elsewhere it does nothing. */
void kern_tests(void);

/* ---- the personality -------------------------------------------------- */

struct boot_info;
struct thread;

/*
 * unix_start - the first process; in a kernel thread of its own.  Without a
 * personality, leave the machine.
 * unix_describe - of a panic: the process of t as text ("pid 7, sh"), "" if
 * it has none.  Takes no lock, trusts nothing.
 */
void unix_start(const struct boot_info *b);
void unix_describe(const struct thread *t, char *buf, size_t size);

#define kern_container(p, type, field) \
    ((type *)(void *)((char *)(p) - offsetof(type, field)))

#endif
