/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow_page.c - one page: its words, a look at it, and the name of what is
 * wrong with it.
 *
 *   word 0    MAGIC, the page's number, its writer
 *        1    the version: epoch, and which child of the writer
 *        2    the seed
 *        3    a function of these
 *        4..  the same, with the word's number
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "flow.h"

#define MAGIC           UINT64_C(0x50a11395)
#define WORD            UINT64_C(0x9e3779b97f4a7c15)
#define WHOLE           64u             /* visits to a whole page */
#define TEXT            2048u
#define PAST            200u            /* epochs of history that are read */
#define EVENTS          6u

static uint32_t
epoch_of(uint32_t version)
{
    return version & FLOW_EPOCH_MAX;
}

static uint64_t
key_of(const struct flow_config *c, struct flow_state s)
{
    uint64_t x = flow_mix(c->seed ^ ((uint64_t)s.page << 32 | s.version));

    return flow_mix(x + WORD);
}

static uint64_t
word_of(const struct flow_config *c, struct flow_state s, uint64_t key,
    unsigned i)
{
    unsigned writer;

    if (s.page == FLOW_ZERO) {
        return 0;
    }
    switch (i) {
    case 0:
        writer = s.page >= flow_pages(c) ? c->tasks :
            flow_kind_of(c, s.page) >= FLOW_SHARED ?
            flow_writer(c, s.page, epoch_of(s.version)) :
            flow_owner(c, s.page);
        return MAGIC << 32 | (uint64_t)s.page << 8 | writer;
    case 1:
        return s.version;
    case 2:
        return c->seed;
    case 3:
        return key;
    default:
        return flow_mix(key + i * WORD);
    }
}

void
flow_fill(const struct flow_config *c, struct flow_state s,
    uint64_t words[FLOW_WORDS])
{
    uint64_t key = key_of(c, s);

    for (unsigned i = 0; i < FLOW_HEADER; i++) {
        words[i] = word_of(c, s, key, i);
    }
    for (unsigned i = FLOW_HEADER; i < FLOW_WORDS; i++) {
        words[i] = s.page == FLOW_ZERO ? 0 : flow_mix(key + i * WORD);
    }
}

uint64_t
flow_va(const struct flow_task *t, unsigned page)
{
    const struct flow_config *c = t->config;
    enum flow_kind kind = flow_kind_of(c, page);
    uint64_t index = page % c->pages;
    uint64_t va = flow_base(c, kind) + index * FLOW_UNIT;

    if (kind < FLOW_SHARED && t->side[kind * c->pages + index] != 0) {
        va += FLOW_SIDE;
    }
    return va;
}

void
flow_write(struct flow_task *t, unsigned page, struct flow_state s)
{
    uint64_t words[FLOW_WORDS];

    flow_fill(t->config, s, words);
    t->os->store(t, flow_va(t, page), words, FLOW_UNIT);
}

/* ---- what is wrong ---------------------------------------------------- */

struct text {
    char buf[TEXT];
    size_t n;
};

static void __attribute__((format(printf, 2, 3)))
say(struct text *x, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(x->buf + x->n, TEXT - x->n, fmt, ap);
    va_end(ap);
    if (n > 0) {
        x->n = x->n + (size_t)n < TEXT ? x->n + (size_t)n : TEXT - 1;
    }
}

void
flow_name(const struct flow_config *c, unsigned page, char *buf,
    size_t size)
{
    static const char *const names[FLOW_KINDS] = {
        "private memory", "inherited memory", "private file mapping",
        "copied memory", "shared memory", "shared file"
    };
    unsigned index = page % c->pages;

    if (page >= flow_pages(c)) {
        snprintf(buf, size, "page %u of the %s as it was made", index,
            page - flow_pages(c) < c->pages ? "private file" :
            "shared file");
    } else if (flow_kind_of(c, page) >= FLOW_SHARED) {
        snprintf(buf, size, "page %u of the %s", index,
            names[flow_kind_of(c, page)]);
    } else {
        snprintf(buf, size, "page %u of task %u's %s", index,
            flow_owner(c, page), names[flow_kind_of(c, page)]);
    }
}

static void
say_state(struct text *x, const struct flow_config *c, struct flow_state s)
{
    char name[80];

    if (s.page == FLOW_ZERO) {
        say(x, "zeros");
        return;
    }
    flow_name(c, s.page, name, sizeof(name));
    say(x, "%s", name);
    if (s.page >= flow_pages(c)) {
        return;
    }
    say(x, " of epoch %u", epoch_of(s.version));
    if (s.version != epoch_of(s.version)) {
        say(x, ", by child %u of the writer", s.version >> 28);
    } else if (flow_kind_of(c, s.page) >= FLOW_SHARED) {
        say(x, ", by task %u", flow_writer(c, s.page, s.version));
    }
}

/* Does the page's header name something that there is? */
static bool
reads_as(const struct flow_config *c, const uint64_t *w,
    struct flow_state *out)
{
    struct flow_state s = { (uint32_t)(w[0] >> 8 & 0xffffff),
        (uint32_t)w[1] };

    if (w[0] >> 32 != MAGIC || s.page >= flow_states(c) ||
        w[2] != c->seed || w[3] != key_of(c, s)) {
        return false;
    }
    *out = s;
    return true;
}

static const char *
verdict(const struct flow_config *c, const uint64_t *w,
    struct flow_state want, struct flow_state *is)
{
    bool zero = true;

    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        zero = zero && w[i] == 0;
    }
    *is = (struct flow_state){ FLOW_ZERO, 0 };
    if (zero) {
        return "lost";
    }
    if (!reads_as(c, w, is)) {
        is->page = FLOW_ZERO - 1;
        return w[0] == 0 ? "torn" : "wrong";
    }
    if (is->page != want.page) {
        return "foreign";
    }
    if (is->version != want.version) {
        return epoch_of(is->version) > epoch_of(want.version) ?
            "too new" : is->version >> 28 != want.version >> 28 ?
            "foreign (another process's copy)" : "stale";
    }
    return "torn";
}

/* How many words are those of s, and the first that is not. */
static unsigned
count_words(const struct flow_config *c, const uint64_t *w,
    struct flow_state s, unsigned *first)
{
    uint64_t words[FLOW_WORDS];
    unsigned n = 0;

    flow_fill(c, s, words);
    *first = FLOW_WORDS;
    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        if (w[i] == words[i]) {
            n++;
        } else if (*first == FLOW_WORDS) {
            *first = i;
        }
    }
    return n;
}

static void
say_event(struct text *x, const struct flow_config *c, unsigned page,
    uint32_t epoch, unsigned task, const struct flow_step *s)
{
    char name[80];

    say(x, "  epoch %u: task %u ", epoch, task);
    if (s->op == FLOW_OP_COPY || s->op == FLOW_OP_FETCH) {
        flow_name(c, s->from + (page - s->page), name, sizeof(name));
        say(x, "copies %s there\n", name);
    } else {
        say(x, "%s\n", s->op == FLOW_OP_DROP ? "maps it anew" : "writes it");
    }
}

/* What the plan did to a page lately, the last first. */
static void
say_history(struct text *x, const struct flow_config *c, unsigned page,
    uint32_t epoch)
{
    unsigned events = 0;

    say(x, "history of the page:\n");
    for (uint32_t e = epoch; e > 0 && e + PAST > epoch &&
            events < EVENTS; e--) {
        for (unsigned task = c->tasks; task-- > 0; ) {
            struct flow_step s;

            if (flow_plan_fetch(c, task, e, &s) && page - s.page < s.n) {
                say_event(x, c, page, e, task, &s);
                events++;
            }
            for (unsigned i = c->writes; i-- > 0; ) {
                s = flow_plan(c, task, e, i);
                if (page - s.page < s.n) {
                    say_event(x, c, page, e, task, &s);
                    events++;
                }
            }
        }
    }
    if (events == 0) {
        say(x, "  nothing in the last %u epochs\n", PAST);
    }
}

static void __attribute__((noreturn))
bad(struct flow_task *t, unsigned page, uint64_t va, const uint64_t *seen,
    unsigned n, unsigned at)
{
    const struct flow_config *c = t->config;
    uint64_t w[FLOW_WORDS];
    struct flow_state want = t->now[page], is;
    struct text x = { .n = 0 };
    const char *what;
    unsigned first, same;
    char name[80];

    t->os->load(t, va, w, FLOW_UNIT);
    flow_name(c, page, name, sizeof(name));
    say(&x, "BAD PAGE: %s, seen by task %u", name, t->number);
    if (t->child != 0) {
        say(&x, "'s child %u", t->child);
    }
    say(&x, " at %#llx in epoch %u, seed %llu\n", (unsigned long long)va,
        t->epoch, (unsigned long long)c->seed);
    what = verdict(c, w, want, &is);
    say(&x, "  expected: ");
    say_state(&x, c, want);
    if (t->next[page].page != want.page ||
        t->next[page].version != want.version) {
        say(&x, ", or ");
        say_state(&x, c, t->next[page]);
    }
    say(&x, "\n  holds: ");
    if (is.page == FLOW_ZERO - 1) {
        say(&x, "nothing that was written, %016llx %016llx",
            (unsigned long long)w[0], (unsigned long long)w[1]);
    } else {
        say_state(&x, c, is);
    }
    same = count_words(c, w, want, &first);
    if (same == FLOW_WORDS) {
        say(&x, "\n  now; a moment before, word %u was %016llx: a stale "
            "translation", at, (unsigned long long)seen[n - 1]);
        what = "stale";
    } else {
        say(&x, "\n  %u of %u words are as expected; the first that is not "
            "is %u", same, FLOW_WORDS, first);
    }
    say(&x, "\n  verdict: %s\n", what);
    say_history(&x, c, page, t->epoch);
    t->os->fail(t, x.buf);
}

/* ---- a look ----------------------------------------------------------- */

struct want {
    struct flow_state a, b;     /* either, word by word */
    uint64_t key_a, key_b;
    bool two;
};

/* The writer's own look, and at what has no writer now, is strict. */
static struct want
wanted(const struct flow_task *t, unsigned page)
{
    struct want w = { .a = t->now[page], .b = t->next[page] };

    w.key_a = key_of(t->config, w.a);
    w.two = flow_kind_of(t->config, page) >= FLOW_SHARED &&
        (w.a.page != w.b.page || w.a.version != w.b.version);
    if (w.two) {
        w.key_b = key_of(t->config, w.b);
    }
    return w;
}

static bool
is_right(const struct flow_config *c, const struct want *w, unsigned i,
    uint64_t value)
{
    return value == word_of(c, w->a, w->key_a, i) ||
        (w->two && value == word_of(c, w->b, w->key_b, i));
}

static void
look(struct flow_task *t, unsigned page, uint64_t va,
    void (*load)(struct flow_task *, uint64_t, void *, size_t))
{
    struct want w = wanted(t, page);
    uint64_t seen[FLOW_HEADER + 1];
    unsigned at = FLOW_HEADER + (unsigned)(flow_random(&t->random) %
        (FLOW_WORDS - FLOW_HEADER));

    load(t, va, seen, FLOW_HEADER * 8);
    load(t, va + at * 8, &seen[FLOW_HEADER], 8);
    for (unsigned i = 0; i < FLOW_HEADER; i++) {
        if (!is_right(t->config, &w, i, seen[i])) {
            bad(t, page, va, seen, i + 1, i);
        }
    }
    if (!is_right(t->config, &w, at, seen[FLOW_HEADER])) {
        bad(t, page, va, seen, FLOW_HEADER + 1, at);
    }
    t->counts.visits++;
}

static void
look_whole(struct flow_task *t, unsigned page, uint64_t va, uint64_t *hash)
{
    struct want w = wanted(t, page);
    uint64_t words[FLOW_WORDS], h = 0;

    t->os->load(t, va, words, FLOW_UNIT);
    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        if (!is_right(t->config, &w, i, words[i])) {
            bad(t, page, va, words, i + 1, i);
        }
        h = (h ^ words[i]) * WORD;
        h ^= h >> 32;
    }
    if (hash != NULL) {
        *hash = flow_mix(*hash ^ h) + WORD;
    }
    t->counts.visits++;
    t->counts.whole++;
}

void
flow_visit_at(struct flow_task *t, unsigned page, uint64_t va)
{
    if (t->counts.visits % WHOLE == 0) {
        look_whole(t, page, va, NULL);
    } else {
        look(t, page, va, t->os->load);
    }
}

void
flow_visit(struct flow_task *t, unsigned page)
{
    flow_visit_at(t, page, flow_va(t, page));
}

void
flow_visit_whole(struct flow_task *t, unsigned page, uint64_t *hash)
{
    look_whole(t, page, flow_va(t, page), hash);
}

void
flow_visit_kernel(struct flow_task *t, unsigned page)
{
    look(t, page, flow_va(t, page), t->os->kernel_load);
}
