/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_kern.h - everything the VM core and its pmaps need from a kernel.
 *
 * An embedder supplies the functions below and a header <vm_kern_md.h>
 * on the include path with the inline ones, which stand on the path of
 * every fault:
 *
 *   static inline unsigned kern_cpu(void)
 *       Number of the running CPU, < VM_MAX_CPUS.  Stable only while
 *       preemption is disabled (or the caller is bound to the CPU).
 *   static inline void kern_preempt_disable(void), _enable(void)
 *       They nest.
 *   static inline void kern_relax(void)
 *       One turn of a spin loop.  Must serve TLB shootdowns sent to this
 *       CPU if interrupts are masked, so that nobody who waits for an
 *       acknowledgement can wait for a spinner.
 *   static inline void *kern_frame_ptr(paddr_t pa)
 *       Kernel address of physical memory (direct map).  Frames that are
 *       aligned to the MI page map to kernel addresses that are, too.
 *   static inline struct vm_held *kern_held(void)
 *       The running thread's record of held locks (debug builds; see
 *       vm_lock.h).  Zeroed when the thread is made.
 *
 * A context that calls into the core is a thread: no function of mi/ or
 * pmap/ may be called from an interrupt handler.
 */
#ifndef VM_KERN_H
#define VM_KERN_H

#include "vm_types.h"

#define VM_MAX_CPUS     63u    /* pmap/common: one bit more in a word */

#ifndef VM_DEBUG
#define VM_DEBUG 1
#endif
#ifndef VM_TEST
#define VM_TEST 0
#endif

struct vm_held;

#include <vm_kern_md.h>

/*
 * kern_wait - sleep while *word == value.
 *
 * => Context: thread, no spin lock held; sleeps
 * => Returns: 0 after a wakeup, at once if *word != value, or for no
 *             reason; VM_E_INTR if interruptible and the thread has been
 *             told to give up what it does.
 * The test of *word and going to sleep are one step against kern_wake().
 */
int kern_wait(_Atomic uint32_t *word, uint32_t value, bool interruptible);

/* kern_wake - wake every thread that sleeps on word.  Never sleeps. */
void kern_wake(_Atomic uint32_t *word);

/* kern_panic - an impossible state; printf format, does not return. */
_Noreturn void kern_panic(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/*
 * kern_memory_low - free frames fell under the low mark; wake the
 * pageout thread if there is one.  Never sleeps; any lock may be held.
 */
void kern_memory_low(void);

#if VM_TEST
/*
 * Test builds only.  kern_test_point() is called at each step where
 * another thread's step could matter; a seeded scheduler may switch there.
 * kern_test_fail() says whether this allocation is to fail.
 */
void kern_test_point(void);
bool kern_test_fail(void);
#define vm_point()      kern_test_point()
#define vm_fail_here()  kern_test_fail()
#else
#define vm_point()      ((void)0)
#define vm_fail_here()  false
#endif

/* Assertions: what cannot happen. */
#if VM_DEBUG
#define KASSERT(x)                                                      \
    ((x) ? (void)0 : kern_panic("%s:%d: %s: assertion failed: %s",      \
                                __FILE__, __LINE__, __func__, #x))
#else
#define KASSERT(x)      ((void)sizeof(x))
#endif

/* The compiler may call these; a freestanding kernel has its own. */
void *memset(void *, int, size_t);
void *memcpy(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t);

#endif
