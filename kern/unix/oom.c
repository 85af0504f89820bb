/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oom.c - when there is no memory left and waiting has not helped.
 *
 * The process with the largest resident set is killed, which the log says.  A
 * victim needs a little memory and time to end; until it has, nobody else is
 * chosen, but a victim that takes too long does not protect the rest for ever.
 * Process 1 is never chosen; if nobody can be, the caller has to give up.
 *
 * Whoever runs out of memory may hold locks of any rank below the core's, so
 * it is the reaper's thread that chooses.
 */
#include "proc_impl.h"

#include "hooks.h"
#include "mem.h"

#define OOM_WAIT_NS     20000000ull     /* for a victim, each time asked */
#define OOM_PATIENCE_NS 2000000000ull   /* then somebody else */

static _Atomic uint32_t oom_wanted;     /* somebody has no memory */
static _Atomic bool oom_hopeless;       /* ... and nobody could be killed */
static _Atomic int oom_victim;          /* pid, 0: none */
static _Atomic uint64_t oom_since;

/* Resident bytes; 0: it cannot be chosen. */
static uint64_t
oom_size(struct proc *p)
{
    struct vm_map *map;
    uint64_t size;

    if (p == proc_reaper || p->state != PROC_LIVE || p->exiting) {
        return 0;
    }
    /* Not to wait for somebody who waits for memory himself. */
    if (!vm_mutex_trylock(&p->lock)) {
        return 0;
    }
    map = p->map;
    if (map != NULL) {
        vm_map_ref(map);
    }
    vm_mutex_unlock(&p->lock);
    if (map == NULL) {
        return 0;
    }
    size = mem_resident(map);
    vm_map_unref(map);
    return size;
}

/* With a reference, NULL: nobody. */
static struct proc *
oom_choose(uint64_t *size)
{
    struct proc *p, *best = NULL;

    *size = 0;
    for (p = proc_next(NULL); p != NULL; p = proc_next(p)) {
        uint64_t n = oom_size(p);

        /* Of two alike, not the one that the other came from. */
        if (n > *size || (best != NULL && n == *size && p->pid > best->pid)) {
            if (best != NULL) {
                proc_unref(best);
            }
            proc_ref(p);
            best = p;
            *size = n;
        }
    }
    return best;
}

bool
proc_kill_for_memory(void)
{
    char name[sizeof(((struct proc *)NULL)->name)];
    uint64_t size;
    struct proc *p = oom_choose(&size);

    if (p == NULL) {
        return false;
    }
    kern_printf("out of memory: killed process %d (%s), %llu KiB\n", p->pid,
        unix_printable(name, sizeof(name), p->name),
        (unsigned long long)(size >> 10));
    atomic_store(&oom_victim, p->pid);
    atomic_store(&oom_since, kern_now());
    vm_spin_lock(&p->signal_lock);
    proc_kill_locked(p, UNIX_SIGKILL);
    vm_spin_unlock(&p->signal_lock);
    proc_unref(p);
    return true;
}

/* Has somebody been chosen who is still on his way out? */
static bool
oom_is_under_way(void)
{
    int pid = atomic_load(&oom_victim);
    struct proc *p = pid != 0 ? proc_find(pid) : NULL;
    bool ending = p != NULL && p->state != PROC_ZOMBIE &&
        kern_now() - atomic_load(&oom_since) < OOM_PATIENCE_NS;

    if (p != NULL) {
        proc_unref(p);
    }
    return ending;
}

void
oom_poll(void)
{
    if (atomic_exchange(&oom_wanted, 0) != 0) {
        atomic_store(&oom_hopeless,
            !oom_is_under_way() && !proc_kill_for_memory());
    }
}

bool
unix_no_memory(void)
{
    struct proc *self = proc_current();

    if (self != NULL && self->exiting) {
        return false;
    }
    atomic_store(&oom_wanted, 1);
    wait_reaper_wake();
    (void)thread_sleep_until(kern_now() + OOM_WAIT_NS, false);
    return !atomic_load(&oom_hopeless) && (self == NULL || !self->exiting);
}
