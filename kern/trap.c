/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c - what the machines' entry paths call.
 *
 *   from       what                    becomes
 *   user       page fault              vm_fault; if refused, a signal
 *   user       anything else           a signal
 *   kernel     user address, in code   vm_fault for the program; if
 *              of .fixup               refused, on at the fixup
 *   kernel     other address, there    on at the fixup
 *   kernel     anything else           panic
 *
 * A kernel access to a user address outside .fixup is a bug even where the
 * page exists, and so is one with a spin lock held or interrupts off.
 */
#include "hooks.h"
#include "pageout.h"
#include "pmap_ctl.h"
#include "sched.h"

/* Rounds of waiting for frames before somebody has to die. */
#define TRAP_PATIENCE   16u

extern const struct md_fixup kern_fixup_start[], kern_fixup_end[];

static const char *const trap_names[] = {
    [TRAP_FAULT] = "page fault",
    [TRAP_ALIGN] = "misaligned access",
    [TRAP_BUS] = "bus error",
    [TRAP_ILLEGAL] = "illegal instruction",
    [TRAP_PRIVILEGED] = "protection exception",
    [TRAP_BREAK] = "breakpoint",
    [TRAP_STEP] = "single step",
    [TRAP_DIVIDE] = "division",
    [TRAP_OVERFLOW] = "overflow",
    [TRAP_FLOAT] = "floating point",
    [TRAP_STACK] = "stack overflow",
    [TRAP_OTHER] = "unknown exception",
};

/*
 * There was no frame for a fault at va: wait until there may be, and try
 * again.
 */
static __attribute__((noinline)) int
trap_no_memory(struct thread *t, vaddr_t va, vm_prot_t access)
{
    unsigned turn = 0;
    int error;

    vm_progress_end(&t->progress);
    do {
        if (turn++ < TRAP_PATIENCE) {
            error = pageout_wait();
            if (error != VM_OK) {
                return error;
            }
        } else if (unix_no_memory()) {
            turn = 0;
        } else {
            return VM_E_NOMEM;
        }
        error = vm_fault(t->map, va, access);
    } while (error == VM_E_NOMEM);
    return error;
}

/* Where code that faulted at pc goes on; 0: it should not have. */
static vaddr_t
trap_fixup(vaddr_t pc)
{
    const struct md_fixup *x;

    for (x = kern_fixup_start; x < kern_fixup_end; x++) {
        if ((vaddr_t)(uintptr_t)&x->from + (vaddr_t)(int64_t)x->from ==
            pc) {
            return (vaddr_t)(uintptr_t)&x->to + (vaddr_t)(int64_t)x->to;
        }
    }
    return 0;
}

/* The space of t could not be loaded for lack of a root table. */
static int
trap_space(struct thread *t)
{
    unsigned turn = 0;
    bool enabled;

    for (;;) {
        enabled = md_irq_save();
        (void)atomic_fetch_and_explicit(&t->head.work, ~WORK_SPACE,
            memory_order_relaxed);
        sched_space(sched_this(), t);
        sched_irq_restore(enabled);
        if ((vm_get(&t->head.work) & WORK_SPACE) == 0) {
            return VM_OK;
        }
        if (pmap_make_room(t->map->pmap)) {
            continue;           /* the budget was full: not any more */
        }
        /* A budget that others have in hand now is no lack of memory. */
        if (pmap_is_over(t->map->pmap) || turn++ < TRAP_PATIENCE) {
            if (pageout_wait() != VM_OK) {
                return VM_E_INTR;
            }
        } else if (unix_no_memory()) {
            turn = 0;
        } else {
            return VM_E_NOMEM;
        }
    }
}

/* Resolve a fault of the kernel's, once. */
static int
trap_resolve(struct thread *t, const struct trap *trap)
{
    int error = VM_OK;

    if ((vm_get(&t->head.work) & WORK_SPACE) != 0) {
        error = trap_space(t);
    }
    if (error == VM_OK) {
        /* A copy gets on by addresses, not by instructions. */
        error = vm_fault_thread(t->map, trap->va, trap->access,
            vm_trunc_page(trap->va), &t->progress);
    }
    if (error == VM_E_NOMEM) {
        error = trap_no_memory(t, trap->va, trap->access);
    }
    return error;
}

/*
 * The kernel touches its program's memory.  A signal that has a handler
 * must not turn a copy into a bad address: only the thread's end does.
 */
static int
trap_usercopy(struct md_frame *f, const struct trap *trap)
{
    struct thread *t = thread_current();
    uint32_t signal = 0;
    int error;

    if (t->head.preempt != 0 || !md_irq_enabled()) {
        kern_panic_frame(f, "user address %llx touched where the kernel "
            "must not sleep", (unsigned long long)trap->va);
    }
    while ((error = trap_resolve(t, trap)) == VM_E_INTR &&
        vm_get(&t->stop) == 0) {
        signal |= atomic_fetch_and_explicit(&t->head.work, ~WORK_SIGNAL,
            memory_order_seq_cst) & WORK_SIGNAL;
    }
    if (signal != 0) {
        (void)atomic_fetch_or_explicit(&t->head.work, signal,
            memory_order_seq_cst);
    }
    return error;
}

static void
trap_kernel(struct md_frame *f, const struct trap *trap)
{
    struct thread *t = thread_current();
    vaddr_t fixup = trap_fixup(md_frame_pc(f));

    if (trap->kind == TRAP_STACK) {
        kern_panic_frame(f, "kernel stack overflow of thread %s", t->name);
    }
    if (fixup == 0) {
        kern_panic_frame(f, "%s in the kernel: %s at %llx (%llx)",
            trap_names[trap->kind],
            (trap->access & VM_PROT_WRITE) != 0 ? "write" :
            (trap->access & VM_PROT_EXEC) != 0 ? "execution" : "read",
            (unsigned long long)trap->va, (unsigned long long)trap->raw);
    }
    if (trap->kind == TRAP_FAULT && t->map != NULL &&
        trap->va < t->map->end && trap_usercopy(f, trap) == VM_OK) {
        return;
    }
    md_frame_set_pc(f, fixup);
}

static __attribute__((noinline)) void
trap_refused(struct md_frame *f, vaddr_t va, vm_prot_t access, uint64_t raw,
    int error)
{
    struct trap trap = { .kind = TRAP_FAULT, .va = va, .access = access,
        .raw = raw };
    struct thread *t = thread_current();

    if (error == VM_E_NOMEM) {
        error = trap_no_memory(t, va, access);
    }
    if (error == VM_OK || error == VM_E_INTR) {
        return;                 /* a signal first, and again */
    }
    vm_progress_end(&t->progress);
    unix_fault(f, &trap, error);
}

void
kern_fault(struct md_frame *f, vaddr_t va, vm_prot_t access, uint64_t raw)
{
    struct thread *t = thread_current();
    int error = vm_fault_thread(t->map, va, access, md_frame_pc(f),
        &t->progress);

    if (__builtin_expect(error != VM_OK, 0)) {
        trap_refused(f, va, access, raw, error);
    }
}

void
kern_trap(struct md_frame *f, const struct trap *trap)
{
    if (!md_frame_is_user(f)) {
        trap_kernel(f, trap);
    } else if (trap->kind == TRAP_FAULT) {
        kern_fault(f, trap->va, trap->access, trap->raw);
    } else {
        vm_progress_end(&thread_current()->progress);
        unix_fault(f, trap, VM_OK);
    }
}

void
kern_syscall(struct md_frame *f)
{
    struct vm_progress *p = &thread_current()->progress;

    /* It got on: vm_progress_end(), most often this one store. */
    p->count = 0;
    if (__builtin_expect(p->held != NULL, 0)) {
        vm_progress_end(p);
    }
    unix_syscall(f);
}

void
kern_user_work(struct md_frame *f)
{
    struct thread *t = thread_current();
    uint32_t work;

    while ((work = vm_get(&t->head.work)) != 0) {
        if ((work & WORK_RESCHED) != 0) {
            (void)atomic_fetch_and_explicit(&t->head.work, ~WORK_RESCHED,
                memory_order_relaxed);
            if (t->progress.held != NULL &&
                md_frame_pc(f) != t->progress.pc) {
                /* Interrupted elsewhere than where it faults: it got on. */
                vm_progress_end(&t->progress);
            }
            sched_switch();
            continue;
        }
        md_irq_restore(true);
        /* A signal first: it may be the one that ends the wait for memory. */
        if ((work & WORK_SIGNAL) != 0) {
            (void)atomic_fetch_and_explicit(&t->head.work, ~WORK_SIGNAL,
                memory_order_seq_cst);
            vm_progress_end(&t->progress);
            unix_signal_work(f);
        } else if ((work & WORK_WAKE) != 0 && (work & WORK_SPACE) == 0) {
            (void)atomic_fetch_and_explicit(&t->head.work, ~WORK_WAKE,
                memory_order_relaxed);
            vm_map_wake(t->map);
        } else if (trap_space(t) == VM_E_NOMEM) {
            struct trap none = { .kind = TRAP_FAULT,
                .va = md_frame_pc(f), .access = VM_PROT_EXEC };

            unix_fault(f, &none, VM_E_NOMEM);
        }
        (void)md_irq_save();
    }
}

void
kern_interrupt_timer(void)
{
    uint64_t now = md_ticks();

    sched_this()->armed = SCHED_NEVER;
    wait_expire(now);
    sched_tick(now);
}

void
kern_interrupt_ipi(void)
{
    kern_mmu_serve();
    /* Somebody became ready here; the slices are this CPU's to time. */
    sched_tick(md_ticks());
}

void
kern_interrupt_console(void)
{
    console_interrupt();
}
