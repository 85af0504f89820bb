/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test.h - subtests of one program, reported as KTAP.
 *
 *   TEST(insert_random)
 *   {
 *       CHECK(x != NULL);
 *       CHECK_EQ(count, 3);
 *   }
 *
 * test.c has main().  Each subtest runs in a child process of its own, so
 * a failed check ends that subtest from whatever thread or fiber it is in,
 * and a panic or a sanitizer's report fails that subtest alone.
 *
 *   -k PATTERN   only subtests whose name contains PATTERN
 *   --seed N     another sequence of test_rand() (default 1)
 *   --long       test_long is true: take minutes instead of seconds
 *   --no-fork    in this process, stop at the first failure (for GDB)
 *   --list       names only
 *
 * Exit status: 0 all passed or skipped, 1 a failure, 2 bad usage.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stdint.h>

struct test_case {
    const char *name;
    void (*fn)(void);
    struct test_case *next;
};

/* In order of definition. */
void test_register(struct test_case *t);

#define TEST(id)                                                        \
    static void id(void);                                               \
    static struct test_case id##_case = { #id, id, 0 };                 \
    __attribute__((constructor)) static void                            \
    id##_register(void)                                                 \
    {                                                                   \
        test_register(&id##_case);                                      \
    }                                                                   \
    static void                                                         \
    id(void)

/*
 * A subtest for each way of having several CPUs (host.h), NAME_threads and
 * NAME_fibers, both from the seed of this run.
 */
#define TEST_SMP(id)                                                    \
    static void id(void);                                               \
    TEST(id##_threads)                                                  \
    {                                                                   \
        host_seed(test_seed);                                           \
        host_set_mode(HOST_THREADS);                                    \
        id();                                                           \
    }                                                                   \
    TEST(id##_fibers)                                                   \
    {                                                                   \
        host_seed(test_seed);                                           \
        host_set_mode(HOST_FIBERS);                                     \
        id();                                                           \
    }                                                                   \
    static void                                                         \
    id(void)

/* From any thread; the first two do not return if the check fails. */
void test_check(bool ok, const char *file, int line, const char *text);
void test_check_eq(uint64_t a, uint64_t b, const char *file, int line,
    const char *text_a, const char *text_b);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The subtest's verdict is "skipped", and why. */
_Noreturn void test_skip(const char *why);
/* A line of diagnostics: what seed, which step. */
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(x)        test_check((x), __FILE__, __LINE__, #x)
#define CHECK_EQ(a, b)                                                  \
    test_check_eq((uint64_t)(a), (uint64_t)(b), __FILE__, __LINE__, #a, #b)
#define FAIL(...)       test_fail(__FILE__, __LINE__, __VA_ARGS__)

extern bool test_long;
extern uint64_t test_seed;

/*
 * Random numbers.  test_rand() is for the subtest's first thread, and
 * begins anew with each subtest; other threads seed a test_rng each.
 */
struct test_rng {
    uint64_t state;
};

void test_rng_init(struct test_rng *r, uint64_t salt);
uint64_t test_rng_next(struct test_rng *r);
uint64_t test_rand(void);
/* In [0, n), n != 0. */
uint64_t test_rng_below(struct test_rng *r, uint64_t n);
uint64_t test_rand_below(uint64_t n);

#endif
