/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_access.c - accesses of programs, and walks that nobody asked for.
 *
 * Bytes are moved as relaxed atomics, the aligned words of them whole, so
 * that programs may race with each other as real ones do.
 *
 * Locks: the CPU's, from choosing an entry to the last byte: that makes an
 *        access one step against a flush
 */
#include "sim_impl.h"

static bool
is_word(const unsigned char *at, size_t left)
{
    return left >= 8 && ((uintptr_t)at & 7) == 0;
}

static void
move_in(unsigned char *to, const unsigned char *from, size_t len)
{
    while (len > 0) {
        if (is_word(to, len)) {
            uint64_t word;

            memcpy(&word, from, 8);
            atomic_store_explicit((_Atomic uint64_t *)(void *)to, word,
                memory_order_relaxed);
            to += 8;
            from += 8;
            len -= 8;
        } else {
            atomic_store_explicit((_Atomic unsigned char *)to, *from,
                memory_order_relaxed);
            to++;
            from++;
            len--;
        }
    }
}

static void
move_out(unsigned char *to, const unsigned char *from, size_t len)
{
    while (len > 0) {
        if (is_word(from, len)) {
            uint64_t word = atomic_load_explicit(
                (const _Atomic uint64_t *)(const void *)from,
                memory_order_relaxed);

            memcpy(to, &word, 8);
            to += 8;
            from += 8;
            len -= 8;
        } else {
            *to = atomic_load_explicit((const _Atomic unsigned char *)from,
                memory_order_relaxed);
            to++;
            from++;
            len--;
        }
    }
}

static void
move(const struct sim_entry *e, vaddr_t va, vm_prot_t access, void *buf,
    size_t len)
{
    paddr_t pa = e->pa + (va - e->va);
    struct vm_page *page = vm_page_of(pa);

    if (buf == NULL) {
        return;
    }
    if (page == NULL) {
        /* A device that answers 0 and ignores. */
        if (access != VM_PROT_WRITE) {
            memset(buf, 0, len);
        }
    } else if (access == VM_PROT_WRITE) {
        move_in(kern_frame_ptr(pa), buf, len);
    } else {
        move_out(buf, kern_frame_ptr(pa), len);
    }
}

static bool
may_cache_nothing(struct sim_cpu *c)
{
    return PMAP_MD_CACHES_INVALID && sim_pick(c, 100) < sim_config.negative;
}

/*
 * An entry for va, from the TLB or by a walk; NULL: fault.  *filled: it is
 * new, and to be checked against other TLBs.
 */
static struct sim_entry *
translate(struct sim_cpu *c, vaddr_t va, bool write, bool *filled)
{
    struct sim_entry *e = NULL, new;
    struct sim_space s;

    if (!sim_chance(c, sim_config.evict)) {
        e = sim_tlb_choose(c, va);
    }
    if (e != NULL && e->negative) {
        c->stats.negative_hits++;
        return NULL;
    }
    if (e != NULL && (!write || e->dirty ||
        (e->prot & VM_PROT_WRITE) == 0)) {
        c->stats.hits++;
        c->stats.stale_hits += !sim_walk_grants(e);
        return e;
    }
    if (!sim_space_of(c, va, &s)) {
        return NULL;
    }
    switch (sim_walk(c, &s, va, write, &new)) {
    case SIM_WALK_LEAF:
        *filled = true;
        return sim_tlb_fill(c, &new);
    case SIM_WALK_NONE:
        if (may_cache_nothing(c)) {
            (void)sim_tlb_fill(c, &new);
        }
        return NULL;
    default:
        return NULL;
    }
}

static void
note_recent(struct sim_cpu *c, vaddr_t va)
{
    c->recent[c->next_recent++ % SIM_RECENT] = va;
}

static enum sim_result
access_locked(struct sim_cpu *c, vaddr_t va, vm_prot_t access, void *buf,
    size_t len, bool user, struct sim_entry *filled)
{
    bool is_new = false;
    struct sim_entry *e;

    c->stats.accesses++;
    vm_set(&c->runs, true);
    note_recent(c, va);
    e = translate(c, va, access == VM_PROT_WRITE, &is_new);
    if (e == NULL) {
        c->stats.faults_not_present++;
        return SIM_NOT_PRESENT;
    }
    if (is_new) {
        *filled = *e;
    }
    /* A program that reaches for the kernel's half is refused. */
    if ((access & ~e->prot) != 0 ||
        (user && !e->user && sim_is_kernel_va(va))) {
        c->stats.faults_prot++;
        return SIM_PROT;
    }
    sim_check_use(c, e, va, user);
    move(e, va, access, buf, len);
    return SIM_OK;
}

enum sim_result
sim_access(unsigned cpu, vaddr_t va, vm_prot_t access, void *buf,
    size_t len, bool user)
{
    struct sim_cpu *c = &sim_cpus[cpu];
    struct sim_entry filled = { 0 };
    enum sim_result result;

    vm_point();
    sim_lock(c);
    result = access_locked(c, va, access, buf, len, user, &filled);
    sim_unlock(c);
    if (filled.valid) {
        sim_check_overlap(c, &filled);
    }
    return result;
}

int
sim_user_copy(unsigned cpu, vaddr_t va, void *buf, size_t len,
    vm_prot_t access, sim_fault_fn fault, void *ctx)
{
    unsigned char *at = buf;

    while (len > 0) {
        size_t n = 4096 - (size_t)(va & 4095);
        int error;

        if (n > len) {
            n = len;
        }
        if (sim_access(cpu, va, access, at, n, true) != SIM_OK) {
            error = fault(ctx, va, access);
            if (error != 0) {
                return error;
            }
            continue;
        }
        va += n;
        at += at == NULL ? 0 : n;
        len -= n;
    }
    return 0;
}

/* ---- speculation ------------------------------------------------------ */

void
sim_prefetch(unsigned cpu, vaddr_t va)
{
    struct sim_cpu *c = &sim_cpus[cpu];
    struct sim_entry new, filled = { 0 };
    struct sim_space s;

    sim_lock(c);
    if (sim_space_of(c, va, &s)) {
        c->stats.speculations++;
        vm_set(&c->runs, true);
        switch (sim_walk(c, &s, va, false, &new)) {
        case SIM_WALK_LEAF:
            filled = *sim_tlb_fill(c, &new);
            break;
        case SIM_WALK_NONE:
            if (may_cache_nothing(c)) {
                (void)sim_tlb_fill(c, &new);
            }
            break;
        default:
            break;
        }
    }
    sim_unlock(c);
    if (filled.valid) {
        sim_check_overlap(c, &filled);
    }
}

/*
 * Whose turn, and near what?  Among threads only this CPU's own, so that
 * locks taken here order no two threads.
 */
void
sim_speculate(void)
{
    struct sim_cpu *me = &sim_cpus[kern_cpu()], *c = me;
    vaddr_t va;

    if (sim_config.speculate == 0) {
        return;
    }
    sim_lock(me);
    if (me->countdown > 1) {
        me->countdown--;
        sim_unlock(me);
        return;
    }
    me->countdown = 1 + (unsigned)sim_pick(me, 2 * sim_config.speculate);
    if (host_in_fibers) {
        c = &sim_cpus[sim_pick(me, 4)];
    }
    va = c->recent[sim_pick(me, SIM_RECENT)];
    if (va != 0 && sim_pick(me, 2) == 0) {
        va += (sim_pick(me, 9) << 12) - (4 << 12);
    }
    sim_unlock(me);
    if (va != 0) {
        sim_prefetch(c->index, va);
    }
}
