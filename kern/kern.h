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
 * printf to the log.  %d %i %u %x %X %p %s %c %% with - 0 width precision
 * (* too) and the lengths hh h l ll z j t.  Any context.  A line ends with \n.
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

/* Value of "name=value", or NULL.  Constant after boot. */
const char *kern_option(const char *name);
/* A number with an optional suffix K, M or G; def if it is not given. */
uint64_t kern_option_u64(const char *name, uint64_t def);

/* ---- time ------------------------------------------------------------- */

uint64_t kern_now(void);                /* ns since boot; never steps back */
/* Wall-clock seconds at boot: option "time=", 0 without. */
extern uint64_t kern_epoch;

/* ---- memory ----------------------------------------------------------- */

/*
 * kern_alloc - size bytes, aligned to 16, zeroed; or NULL.  Takes the
 * kernel's reserve.  Up to KERN_ALLOC_SMALL from zones of powers of two;
 * more is whole frames in the kernel's window.  kern_free wants the size.
 * => Locks: any of lower rank than ZONE up to that size, none of the core's
 *    (nor a spin lock) beyond
 */
#define KERN_ALLOC_SMALL 2048u
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

/*
 * Everything that a program took is back?  marks: take note of what is in
 * use now; check: give caches back, compare, and say on the log what has
 * grown, by name.  Nobody else runs.  (docs/debugging.md)
 */
struct kern_usage {
    uint64_t kind[VM_PAGE_KINDS], objects, zones[32];
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
    KERN_RANK_PROCS = VM_RANK_OUTER,    /* tree of processes (mutex) */
    KERN_RANK_PROC,                     /* one process (mutex) */
    KERN_RANK_FDS,                      /* a table of descriptors (mutex) */
    KERN_RANK_TREE,                     /* names of files (mutex) */
    KERN_RANK_FILE,                     /* one open file's offset (mutex) */
    KERN_RANK_INODE,                    /* one inode or pipe (mutex) */
    KERN_RANK_MACH,                     /* Mach calls (mutex) */
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

#define kern_container(p, type, field) \
    ((type *)(void *)((char *)(p) - offsetof(type, field)))

#endif
