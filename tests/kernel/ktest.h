/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ktest.h - tests inside a booted kernel.
 *
 *   KTEST(name)
 *   {
 *       KREQUIRE(something);     else: not ok, and the test returns
 *       KCHECK(x == y);          else: not ok, and it goes on
 *   }
 *
 * A test is called by the name of its file and its own, "k_thread.create".
 * kern_tests() runs those that the option "test=" names: a file, a test, or
 * the beginning of a name before a *; all without the option.  It prints
 * KTAP (Linux, Documentation/dev-tools/ktap.rst) and leaves the machine with
 * 0 if all passed, else 1.
 *
 * Each runs in a thread of its own that has no map.  When it is over, all
 * that it took must have been given back (kern_usage_check()).
 */
#ifndef KTEST_H
#define KTEST_H

#include "kern.h"
#include "thread.h"

struct ktest {
    const char *file, *name;
    void (*fn)(void);
    bool keeps;
};

/*
 * KTEST_KEEPS: the first time, the kernel keeps something (a table of its own
 * window); the test runs twice, and the second must give everything back.
 */
#define KTEST(id)       KTEST_OF(id, false)
#define KTEST_KEEPS(id) KTEST_OF(id, true)
#define KTEST_OF(id, keeps)                                                     \
    static void ktest_##id(void);                                       \
    static const struct ktest ktest_of_##id                             \
        __attribute__((used, section("ktests"))) =                      \
        { __FILE__, #id, ktest_##id, keeps };                             \
    static void ktest_##id(void)

#define KCHECK(x)                                                       \
    ((x) ? (void)0 : ktest_failed(__FILE__, __LINE__, "%s", #x))
#define KREQUIRE(x)                                                     \
    do {                                                                \
        if (!(x)) {                                                     \
            ktest_failed(__FILE__, __LINE__, "%s", #x);                 \
            return;                                                     \
        }                                                               \
    } while (0)

/* Any thread; the running test is not ok. */
void ktest_failed(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of comment. */
void ktest_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A thread that has run fn(arg) to its end: for threads that outlive no
 * test.  join sleeps.
 */
struct ktest_thread {
    struct thread *thread;
    void (*fn)(void *);
    void *arg;
    _Atomic uint32_t done;
};
bool ktest_spawn(struct ktest_thread *t, void (*fn)(void *), void *arg);
void ktest_join(struct ktest_thread *t);

/*
 * The running thread gets a map of its own, and n pages of zeros at
 * KTEST_BASE with nothing on either side; NULL: not ok.  leave gives it up.
 */
#define KTEST_BASE      ((vaddr_t)1 << 30)
struct vm_map *ktest_map_enter(unsigned n);
void ktest_map_leave(struct vm_map *map);

#endif
