/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ktest.c - runs the tests of ktest.h.
 */
#include "ktest.h"

extern const struct ktest __start_ktests[], __stop_ktests[];

#define LINE_SIZE       512u

static _Atomic bool failed;

/* ---- output ----------------------------------------------------------- */

static void
say(const char *prefix, const char *fmt, va_list ap)
{
    char line[LINE_SIZE];
    int n = kern_snprintf(line, sizeof(line) - 1, "%s", prefix);

    n += kern_vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
    if (n > (int)sizeof(line) - 2) {
        n = (int)sizeof(line) - 2;
    }
    line[n++] = '\n';
    kern_console_write(KERN_TEST, line, (size_t)n);
}

void
ktest_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say("# ", fmt, ap);
    va_end(ap);
}

static __attribute__((format(printf, 1, 2))) void
put(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void
ktest_failed(const char *file, int line, const char *fmt, ...)
{
    char prefix[128];
    va_list ap;

    failed = true;
    (void)kern_snprintf(prefix, sizeof(prefix), "# %s:%d: ", file, line);
    va_start(ap, fmt);
    say(prefix, fmt, ap);
    va_end(ap);
}

/* ---- threads ---------------------------------------------------------- */

static void
spawned(void *arg)
{
    struct ktest_thread *t = arg;

    t->fn(t->arg);
    atomic_store_explicit(&t->done, 1, memory_order_release);
    kern_wake(&t->done);
}

bool
ktest_spawn(struct ktest_thread *t, void (*fn)(void *), void *arg)
{
    t->fn = fn;
    t->arg = arg;
    t->done = 0;
    if (thread_create("spawned", spawned, t, &t->thread) != VM_OK) {
        return false;
    }
    thread_start(t->thread);
    return true;
}

void
ktest_join(struct ktest_thread *t)
{
    while (atomic_load_explicit(&t->done, memory_order_acquire) == 0) {
        (void)kern_wait(&t->done, 0, false);
    }
}

struct vm_map *
ktest_map_enter(unsigned n)
{
    vaddr_t va = KTEST_BASE;
    struct vm_map *map;

    if (vm_map_create(&map) != VM_OK) {
        ktest_failed(__FILE__, __LINE__, "no memory for a map");
        return NULL;
    }
    if (vm_map_allocate(map, &va, n * VM_PAGE_SIZE, false) != VM_OK) {
        ktest_failed(__FILE__, __LINE__, "no memory for its pages");
        vm_map_unref(map);
        return NULL;
    }
    thread_set_map(map);
    return map;
}

void
ktest_map_leave(struct vm_map *map)
{
    thread_set_map(NULL);
    vm_map_unref(map);
}

/* Wait until the threads that ended are gone; others may stay. */
static void
settle(uint64_t threads)
{
    for (unsigned i = 0; i < 1000 && thread_count() > threads; i++) {
        thread_yield();
    }
}

/* ---- choosing --------------------------------------------------------- */

static void
full_name(const struct ktest *t, char *buf, size_t size)
{
    const char *base = t->file, *dot;

    for (const char *s = t->file; *s != 0; s++) {
        base = *s == '/' ? s + 1 : base;
    }
    dot = strchr(base, '.');
    (void)kern_snprintf(buf, size, "%.*s.%s",
        dot == NULL ? (int)strlen(base) : (int)(dot - base), base, t->name);
}

static bool
matches(const struct ktest *t, const char *pattern)
{
    char name[LINE_SIZE];
    size_t n;

    if (pattern == NULL || *pattern == 0) {
        return true;
    }
    full_name(t, name, sizeof(name));
    n = strlen(pattern);
    if (pattern[n - 1] == '*') {
        return strncmp(name, pattern, n - 1) == 0;
    }
    return strcmp(t->name, pattern) == 0 ||
        (strncmp(name, pattern, n) == 0 && (name[n] == 0 || name[n] == '.'));
}

/* ---- running ---------------------------------------------------------- */

static void
run(void *arg)
{
    const struct ktest *t = arg;

    t->fn();
}

static void
run_once(const struct ktest *t, uint64_t threads)
{
    struct ktest_thread thread;

    if (!ktest_spawn(&thread, run, (void *)(uintptr_t)t)) {
        ktest_failed(t->file, 0, "no memory for its thread");
    } else {
        ktest_join(&thread);
    }
    settle(threads);
}

static bool
run_one(const struct ktest *t, unsigned number)
{
    char name[LINE_SIZE];
    struct kern_usage before;
    uint64_t threads = thread_count();

    full_name(t, name, sizeof(name));
    failed = false;
    if (t->keeps) {
        run_once(t, threads);
    }
    kern_usage_mark(&before);
    run_once(t, threads);
    if (!kern_usage_check(&before)) {
        ktest_failed(t->file, 0, "not all was given back (see the log)");
    }
    put("%s %u %s", failed ? "not ok" : "ok", number, name);
    return !failed;
}

static _Noreturn void
run_all(const char *pattern)
{
    unsigned n = 0, i = 0, bad = 0;
    const struct ktest *t;

    for (t = __start_ktests; t < __stop_ktests; t++) {
        n += matches(t, pattern) ? 1 : 0;
    }
    put("KTAP version 1");
    put("1..%u", n);
    for (t = __start_ktests; t < __stop_ktests; t++) {
        if (matches(t, pattern)) {
            bad += run_one(t, ++i) ? 0 : 1;
        }
    }
    if (n == 0) {
        ktest_say("no test is called %s", pattern);
    }
    md_exit(n == 0 || bad != 0);
}

/* A first program is given instead of tests: it is what is tested. */
void
kern_tests(void)
{
    if (kern_option("test") == NULL && kern_option("init") != NULL) {
        return;
    }
    run_all(kern_option("test"));
}
