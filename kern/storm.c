/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storm.c - the thread that throws page tables away while others use them.
 *
 *   strike ---> sleep until the next blow is due ---> strike ...
 *
 * The timer that ends the sleep interrupts whoever runs, in user mode or in
 * the kernel wherever that may be preempted, and the thread is "urgent": it
 * takes the CPU at once, not when a slice ends.  So its blows fall at moments
 * that nobody has chosen.  What is late is caught up with, unless it is very
 * late; without a rate, it strikes for as long as it slept, and sleeps for the
 * shortest time that the timer has.
 *
 * Locks: control, for who begins and ends it; its thread takes none.  The
 * counts are words that only the thread writes, and are read as they are.
 */
#include "storm.h"

#include "pmap_ctl.h"
#include "sched.h"

#define NS              UINT64_C(1000000000)
#define GAP             UINT64_C(20000)         /* ns, shortest sleep */
#define LATE            UINT64_C(10000000)      /* ns that are caught up */

static struct vm_mutex control = VM_MUTEX_INIT(KERN_RANK_CONTROL);
static struct kern_storm storm;         /* (control) of this or the last */
static struct vm_storm blows;
static uint64_t begun, ended;           /* ns; 0: it has not */
static _Atomic uint32_t ending;         /* 1: it is to stop */
static _Atomic uint32_t raging;         /* 1: the thread is there */

/* ---- the thread ------------------------------------------------------- */

/*
 * Strike what is due, or for as long as others ran since the thread went to
 * sleep; returns when the next blow is due.
 */
static uint64_t
strike(uint64_t due, uint64_t slept)
{
    uint64_t start = kern_now(), now = start, until = start + slept;

    if (storm.rate != 0 && now > due + LATE) {
        due = now - LATE;
    }
    do {
        (void)vm_storm_step(&blows);
        due += storm.rate != 0 ? NS / storm.rate : 0;
        now = kern_now();
    } while (vm_get(&ending) == 0 &&
        (storm.rate != 0 ? due <= now : now < until));
    return due > now + GAP ? due : now + GAP;
}

static void
storm_thread(void *arg)
{
    uint64_t due = kern_now(), since = due;

    (void)arg;
    thread_current()->urgent = true;
    while (vm_get(&ending) == 0) {
        due = strike(due, kern_now() - since);
        since = kern_now();
        (void)!thread_wait(&ending, 0, false, due);
    }
    vm_storm_end(&blows);
    ended = kern_now();
    /* Release: who sees it has the counts, and may begin another. */
    atomic_store_explicit(&raging, 0, memory_order_release);
    kern_wake(&raging);
}

/* ---- beginning and end ------------------------------------------------ */

/* control is held. */
static void
stop(void)
{
    atomic_store_explicit(&ending, 1, memory_order_seq_cst);
    kern_wake(&ending);
    while (atomic_load_explicit(&raging, memory_order_acquire) != 0) {
        (void)kern_wait(&raging, 1, false);
    }
    storm.kinds = 0;
}

/* control is held. */
static int
rage(const struct kern_storm *s)
{
    struct thread *t;
    int error = thread_create("storm", storm_thread, NULL, &t);

    if (error != VM_OK) {
        return error;
    }
    storm = *s;
    vm_storm_begin(&blows, s->kinds, s->seed);
    blows.budget = s->budget;
    begun = kern_now();
    ended = 0;
    vm_set(&ending, 0);
    vm_set(&raging, 1);
    thread_start(t);
    return VM_OK;
}

int
kern_storm(const struct kern_storm *s)
{
    int error = VM_OK;

    if (s->kinds >> VM_STORM_KINDS != 0 || s->rate > KERN_STORM_RATE_MAX ||
        (s->budget != 0 && s->budget < pmap_budget_floor())) {
        return VM_E_INVAL;
    }
    vm_mutex_lock(&control);
    stop();
    if (s->kinds != 0) {
        error = rage(s);
    }
    vm_mutex_unlock(&control);
    return error;
}

void
kern_storm_report(struct kern_storm_report *out)
{
    vm_mutex_lock(&control);
    out->storm = storm;
    out->ns = begun == 0 ? 0 : (ended != 0 ? ended : kern_now()) - begun;
    memcpy(out->done, blows.done, sizeof(out->done));
    memcpy(out->refused, blows.refused, sizeof(out->refused));
    vm_mutex_unlock(&control);
}

void
kern_storm_end(void)
{
    struct kern_storm_report r;

    vm_mutex_lock(&control);
    stop();
    vm_mutex_unlock(&control);
    kern_storm_report(&r);
    if (r.ns == 0) {
        return;                 /* there was none */
    }
    kern_printf("pal: storm of %llu ms:", (unsigned long long)(r.ns /
        (NS / 1000)));
    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        if (r.done[i] + r.refused[i] != 0) {
            kern_printf(" %s %llu (%llu refused)", vm_storm_names[i],
                (unsigned long long)r.done[i],
                (unsigned long long)r.refused[i]);
        }
    }
    kern_printf("\n");
}

/* ---- the option ------------------------------------------------------- */

/* The kind whose name is the next n bytes; VM_STORM_KINDS: none is. */
static unsigned
kind_of(const char *name, size_t n)
{
    unsigned i = 0;

    while (i < VM_STORM_KINDS && (strlen(vm_storm_names[i]) != n ||
        strncmp(vm_storm_names[i], name, n) != 0)) {
        i++;
    }
    return i;
}

bool
kern_storm_parse(const char *text, struct kern_storm *out)
{
    const char *end;
    unsigned kind;

    *out = (struct kern_storm){ .seed = kern_option_u64("seed", 1) };
    for (;; text = end + 1) {
        end = text;
        while (*end != 0 && *end != ',' && *end != ':') {
            end++;
        }
        kind = kind_of(text, (size_t)(end - text));
        if (kind == VM_STORM_KINDS) {
            return false;
        }
        out->kinds |= 1u << kind;
        if (*end != ',') {
            break;
        }
    }
    return *end == 0 || (kern_parse_u64(end + 1, &out->rate) &&
        out->rate <= KERN_STORM_RATE_MAX);
}

void
kern_storm_begin(void)
{
    const char *text = kern_option("storm");
    struct kern_storm s;

    if (text != NULL && kern_storm_parse(text, &s) &&
        kern_storm(&s) != VM_OK) {
        kern_panic("no memory for the storm");
    }
}
