/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.c - the life of a thread.
 *
 *   create   structure from a zone, stack from this CPU's list of unused
 *            ones; only if that is empty, fresh pages are mapped
 *   start    to its CPU's queue; begins in thread_begin()
 *   exit     DEAD, switches away for ever
 *   reap     by the thread that runs next there: structure back to the
 *            zone, stack to the CPU's list
 *
 * Reaping happens with interrupts disabled and must not sleep, so it never
 * unmaps.  The list is cut to SCHED_STACKS by those who die: each gives one
 * stack back before it adds its own.
 */
#include "hooks.h"
#include "sched.h"
#include "vm_zone.h"

static struct vm_zone thread_zone, user_zone;
static _Atomic uint64_t threads_live;

/* Zone items lie at 16 from a multiple of 64, if their size is one. */
#define USER_OFFSET     (64u - VM_ZONE_HEADER)
#define USER_ITEM       (sizeof(struct md_user) + 64u)
_Static_assert(USER_ITEM % 64 == 0 && USER_OFFSET < 64, "alignment");
/* The first thing in an unused stack: the next one. */
#define STACK_LINK(bottom)      ((vaddr_t *)(uintptr_t)(bottom))

uint64_t
thread_count(void)
{
    return vm_get(&threads_live);
}

/* ---- stacks ----------------------------------------------------------- */

/* An unused stack of this CPU, 0: there is none. */
static vaddr_t
stack_pop(void)
{
    bool enabled = md_irq_save();
    struct sched_cpu *c = sched_this();
    vaddr_t bottom = c->stacks;

    if (bottom != 0) {
        c->stacks = *STACK_LINK(bottom);
        c->nstacks--;
    }
    md_irq_restore(enabled);
    return bottom;
}

/* Interrupts are disabled. */
static void
stack_push(struct sched_cpu *c, vaddr_t bottom)
{
    *STACK_LINK(bottom) = c->stacks;
    c->stacks = bottom;
    c->nstacks++;
}

void
thread_trim_stacks(unsigned keep)
{
    while (*(volatile unsigned *)&sched_this()->nstacks > keep) {
        vaddr_t bottom = stack_pop();

        if (bottom == 0) {
            return;
        }
        alloc_stack_free(bottom);
    }
}

/* ---- birth ------------------------------------------------------------ */

static void
thread_begin(void *arg)
{
    struct thread *t = arg;

    sched_arrived();
    md_irq_restore(true);
    t->start_fn(t->start_arg);
    thread_exit();
}

int
thread_create(const char *name, void (*fn)(void *), void *arg,
    struct thread **out)
{
    struct thread *t = vm_zone_alloc(&thread_zone);
    vaddr_t bottom;

    if (t == NULL) {
        return VM_E_NOMEM;
    }
    bottom = stack_pop();
    if (bottom == 0) {
        bottom = alloc_stack();
    }
    if (bottom == 0) {
        vm_zone_free(&thread_zone, t);
        return VM_E_NOMEM;
    }
    *t = (struct thread){
        .head.settled = 1,
        .head.kstack = bottom + alloc_stack_size(),
        .state = THREAD_NEW,
        .name = name,
        .stack = bottom,
        .start_fn = fn,
        .start_arg = arg,
    };
    /* A program's first registers will be at the top, the context below. */
    t->context = md_context_make(t->head.kstack - MD_FRAME_SIZE,
        thread_begin, t);
    (void)atomic_fetch_add_explicit(&threads_live, 1, memory_order_relaxed);
    *out = t;
    return VM_OK;
}

int
thread_user_create(struct thread *t)
{
    char *item = vm_zone_alloc(&user_zone);
    struct md_user *u;
    bool enabled;

    KASSERT(t->user == NULL);
    if (item == NULL) {
        return VM_E_NOMEM;
    }
    u = (struct md_user *)(void *)(item + USER_OFFSET);
    KASSERT(((uintptr_t)u & 63) == 0);
    memset(u, 0, sizeof(*u));
    md_user_init(u);
    if (t != thread_current()) {
        t->user = u;
        return VM_OK;
    }
    enabled = md_irq_save();
    if (sched_this()->user != NULL) {
        md_user_save(sched_this()->user->user);
    }
    sched_this()->user = t;
    t->user = u;
    md_user_load(u);
    md_irq_restore(enabled);
    return VM_OK;
}

void
thread_start(struct thread *t)
{
    bool enabled = md_irq_save();

    KASSERT(t->state == THREAD_NEW);
    t->head.cpu = kern_cpu();
    sched_ready(t);
    sched_irq_restore(enabled);
}

/* ---- death ------------------------------------------------------------ */

static void
thread_free(struct thread *t)
{
    if (t->user != NULL) {
        vm_zone_free(&user_zone, (char *)t->user - USER_OFFSET);
    }
    vm_zone_free(&thread_zone, t);
    (void)atomic_fetch_sub_explicit(&threads_live, 1, memory_order_relaxed);
}

void
thread_destroy(struct thread *t)
{
    bool enabled;

    KASSERT(t->state == THREAD_NEW);
    enabled = md_irq_save();
    stack_push(sched_this(), t->stack);
    thread_free(t);
    md_irq_restore(enabled);
}

void
thread_reap(struct sched_cpu *c, struct thread *t)
{
    unix_reaped(t);
    stack_push(c, t->stack);
    thread_free(t);
}

_Noreturn void
thread_exit(void)
{
    struct thread *t = thread_current();

    KASSERT(!t->is_idle && t->head.preempt == 0);
    vm_progress_end(&t->progress);
    if (t->map != NULL) {
        thread_set_map(NULL);
    }
    thread_trim_stacks(SCHED_STACKS);
    (void)md_irq_save();
    if (sched_this()->user == t) {
        sched_this()->user = NULL;
    }
    t->state = THREAD_DEAD;
    sched_switch();
    kern_panic("dead thread %s runs", t->name);
}

/* ---- spaces ----------------------------------------------------------- */

void
thread_set_map(struct vm_map *map)
{
    struct thread *t = thread_current();
    bool enabled = md_irq_save();

    t->map = map;
    sched_space(sched_this(), t);
    sched_irq_restore(enabled);
}

/* ---- the beginning ---------------------------------------------------- */

void
thread_bootstrap(struct thread *boot, uint64_t stack_top)
{
    KASSERT(boot == thread_current());
    KASSERT(boot->head.preempt == 1 && boot->head.settled == 1);
    boot->head.kstack = stack_top;
    boot->name = "idle";
    boot->is_idle = true;
    alloc_bootstrap();
    vm_zone_init(&thread_zone, "thread", sizeof(struct thread));
    vm_zone_init(&user_zone, "thread user", USER_ITEM);
    sched_adopt(boot, 0);
    vm_set(&threads_live, 1);
}

_Noreturn void
kern_cpu_main(void)
{
    thread_idle_loop();
}
