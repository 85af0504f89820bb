/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * toy_store.c - pt.h, section 3, on an array of slots (see toy_store.h).
 *
 * A page that must give way to another is forgotten like any other: with
 * its flush, under the pending rule, unless writing the slot is its flush.
 * A page of a pmap that is held for progress gives way last, a wired one
 * never.
 */
#include "toy_store.h"

struct toy_slot toy_slots[TOY_SLOTS];

static struct vm_spin toy_lock = VM_SPIN_INIT(VM_RANK_LEAF);
static _Atomic uint32_t slots_word;
static unsigned next_victim;                    /* (toy_lock) */

void
toy_lock_slots(void)
{
    while (atomic_exchange_explicit(&slots_word, 1,
        memory_order_acquire) != 0) {
        kern_relax();
    }
}

void
toy_unlock_slots(void)
{
    atomic_store_explicit(&slots_word, 0, memory_order_release);
}

/*
 * First slot from i on that holds a page of pm in [start, end), and a copy
 * of it.  toy_count() if there is none.
 */
static unsigned
find_from(unsigned i, const struct pmap *pm, vaddr_t start, vaddr_t end,
    struct toy_slot *out)
{
    unsigned n = toy_count();

    toy_lock_slots();
    for (; i < n; i++) {
        struct toy_slot *s = &toy_slots[i];

        if (s->pm == pm && start <= s->va && s->va < end) {
            *out = *s;
            break;
        }
    }
    toy_unlock_slots();
    return i;
}

static unsigned
find_one(const struct pmap *pm, vaddr_t va, struct toy_slot *out)
{
    return find_from(0, pm, va, va + 1, out);
}

/* Weaken slot i to keep, if it still holds what it held. */
static bool
edit(unsigned i, const struct toy_slot *was, vm_prot_t keep)
{
    struct toy_slot *s = &toy_slots[i];
    bool same;

    toy_lock_slots();
    same = s->pm == was->pm && s->va == was->va && s->pa == was->pa;
    if (same && keep == VM_PROT_NONE) {
        s->pm = NULL;
    } else if (same) {
        s->prot &= (uint8_t)keep;
    }
    toy_unlock_slots();
    return same;
}

/* ---- entering --------------------------------------------------------- */

/* Take the page in slot i out of it, and out of every TLB. */
static void
drop(unsigned i, const struct toy_slot *was)
{
    tlb_break_begin(was->pm);
    (void)edit(i, was, VM_PROT_NONE);
    tlb_break_flush(was->pm, was->va, VM_PAGE_SIZE);
    tlb_break_end(was->pm);
}

/* Is s a better victim than best? */
static bool
gives_way(const struct toy_slot *s, const struct toy_slot *best)
{
    return !s->wired && (best == NULL ||
        (vm_get(&best->pm->holds) != 0 && vm_get(&s->pm->holds) == 0));
}

/*
 * A slot of group g for a page: its own, a free one, or (evict) one that
 * another page leaves.  False: none.
 */
static bool
place(const struct toy_group *g, struct pmap *pm, vaddr_t va, bool evict,
    unsigned *out)
{
    struct toy_slot *own = NULL, *empty = NULL, *victim = NULL, was;

    toy_lock_slots();
    for (unsigned n = 0; n < g->n; n++) {
        struct toy_slot *s = &toy_slots[g->first +
            (next_victim + n) % g->n];

        if (s->pm == NULL) {
            empty = s;
        } else if (s->pm == pm && s->va == va) {
            own = s;
        } else if (gives_way(s, victim)) {
            victim = s;
        }
    }
    next_victim++;
    own = own != NULL ? own : empty;
    if (victim != NULL) {
        was = *victim;
    }
    toy_unlock_slots();
    if (own == NULL && evict && victim != NULL) {
        own = victim;
        if (!toy_write_replaces) {
            drop((unsigned)(victim - toy_slots), &was);
        }
    }
    *out = own == NULL ? 0 : (unsigned)(own - toy_slots);
    return own != NULL;
}

/* Other rights than prot, or another frame, go.  Was anything there? */
static bool
make_way(const struct toy_slot *new)
{
    struct toy_slot s;
    bool there = false;
    unsigned i = 0, n = toy_count();

    while ((i = find_from(i, new->pm, new->va, new->va + 1, &s)) < n) {
        if (s.pa != new->pa || s.device != new->device ||
            (s.prot & ~new->prot) != 0) {
            drop(i, &s);
        } else {
            there = true;
        }
        i++;
    }
    return there;
}

/* toy_lock held, sequence compared, hint inserted. */
static void
enter_slot(unsigned i, bool here, const struct toy_slot *new,
    struct pt_cpu *cpu)
{
    if (!make_way(new) && pmap_revoking(new->pm)) {
        tlb_flush_pending(new->pm);
    }
    if (!here) {
        return;
    }
    if (asid_is_current(new->pm, cpu)) {
        pmap_md_fence(new->va, asid_of(new->pm));
    }
    toy_write(i, new, cpu);
}

static int
enter_locked(const struct toy_slot *new, vm_seq_t seq, struct pt_cpu *cpu)
{
    struct vm_page *page = pv_page(new->pa);
    struct toy_group g;
    unsigned i = 0;
    bool here;
    int error;

    if (!pmap_seq_same(new->pm, seq)) {
        pt_event(cpu, EV_RETRY, 1);
        return VM_E_RETRY;
    }
    here = toy_group(new->pm, new->va, cpu, &g);
    if (here && !place(&g, new->pm, new->va, true, &i)) {
        return VM_E_NOMEM;
    }
    error = page == NULL ? VM_OK : pv_insert(page, new->pm, new->va);
    if (error == VM_OK) {
        enter_slot(i, here, new, cpu);
        pt_event(cpu, EV_ENTER, 1);
    }
    return error;
}

int
pt_enter(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t prot,
    unsigned flags, vm_seq_t seq)
{
    struct toy_slot new = {
        .pm = pm, .va = va, .pa = pa, .prot = (uint8_t)prot, .used = true,
        .wired = (flags & PMAP_WIRED) != 0,
        .device = (flags & PMAP_DEVICE) != 0
    };
    struct pt_cpu *cpu = epoch_enter();
    int error;

    vm_spin_lock(&toy_lock);
    error = enter_locked(&new, seq, cpu);
    vm_spin_unlock(&toy_lock);
    epoch_exit(cpu);
    return error;
}

static bool
prefill_one(struct toy_slot *new, struct pt_cpu *cpu)
{
    struct toy_group g;
    struct toy_slot s;
    unsigned i;

    if (find_one(new->pm, new->va, &s) < toy_count() ||
        !toy_group(new->pm, new->va, cpu, &g) ||
        !place(&g, new->pm, new->va, false, &i) ||
        !pv_insert_cheap(vm_page_of(new->pa), new->pm, new->va)) {
        return false;
    }
    toy_write(i, new, cpu);
    return true;
}

int
pt_enter_page(struct pmap *pm, vaddr_t va, struct vm_page *page,
    vm_prot_t prot, vm_seq_t seq)
{
    return pt_enter(pm, va, vm_page_pa(page), prot, 0, seq);
}

unsigned
pt_prefill(struct pmap *pm, vaddr_t va, const struct pmap_near *near,
    vm_seq_t seq)
{
    struct pt_cpu *cpu = epoch_enter();
    uint32_t want = near->want;
    bool same;

    vm_spin_lock(&toy_lock);
    same = pmap_seq_same(pm, seq);
    if (same) {
        for (unsigned i = 0; want != 0 && !pmap_revoking(pm); i++) {
            struct toy_slot new = { .pm = pm, .va = va };
            struct vm_page *page;
            vm_prot_t prot;

            if ((want & 1) != 0 && va < vm_get(&pm->end) &&
                (page = vm_near_page(near, i, &prot)) != NULL) {
                pmap_near_icache(page, prot);
                new.pa = vm_page_pa(page);
                new.prot = (uint8_t)prot;
                (void)prefill_one(&new, cpu);
            }
            va += VM_PAGE_SIZE;
            want >>= 1;
        }
    }
    vm_spin_unlock(&toy_lock);
    epoch_exit(cpu);
    return same ? near->n : 0;
}

/* ---- revoking --------------------------------------------------------- */

bool
pt_restrict_page(struct pmap *pm, vaddr_t va, vm_prot_t keep, bool skip)
{
    (void)pm;
    (void)va;
    (void)keep;
    (void)skip;
    return false;
}

void
pt_restrict(struct pmap *pm, vaddr_t start, vaddr_t end, vm_prot_t keep,
    struct tlb_batch *b)
{
    unsigned i = 0, n = toy_count();
    struct toy_slot s;

    vm_spin_lock(&toy_lock);
    while ((i = find_from(i, pm, start, end, &s)) < n) {
        if ((s.prot & ~keep) != 0) {
            tlb_batch_touch(b, pm);
            if (edit(i, &s, keep)) {
                tlb_batch_add(b, pm, s.va, s.va + VM_PAGE_SIZE);
            }
        }
        i++;
    }
    vm_spin_unlock(&toy_lock);
}

enum pt_found
pt_restrict_one(struct pmap *pm, vaddr_t va, paddr_t pa, vm_prot_t keep,
    struct tlb_batch *b)
{
    unsigned i = 0, n = toy_count();
    struct toy_slot s;

    while ((i = find_from(i, pm, va, va + 1, &s)) < n) {
        if (s.pa == pa && s.wired) {
            return PT_WIRED;
        }
        if (s.pa == pa && (s.prot & ~keep) != 0) {
            tlb_batch_touch(b, pm);
            if (edit(i, &s, keep)) {
                tlb_batch_add(b, pm, va, va + VM_PAGE_SIZE);
            }
        }
        i++;
    }
    /* Whether that was all, nobody knows: the pending rule decides. */
    return PT_LESS;
}

bool
pt_age_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    unsigned n = toy_count();
    bool used = false;

    toy_lock_slots();
    for (unsigned i = 0; i < n; i++) {
        struct toy_slot *s = &toy_slots[i];

        if (s->pm == pm && s->va == va && s->pa == pa) {
            used = used || s->used;
            s->used = false;
        }
    }
    toy_unlock_slots();
    return used;
}

bool
pt_maps_one(struct pmap *pm, vaddr_t va, paddr_t pa)
{
    struct toy_slot s;

    return find_one(pm, va, &s) < toy_count() && s.pa == pa;
}

bool
pt_extract(struct pmap *pm, vaddr_t va, paddr_t *pa, vm_prot_t *prot)
{
    struct toy_slot s;

    if (find_one(pm, vm_trunc_page(va), &s) == toy_count()) {
        return false;
    }
    *pa = s.pa + (va & VM_PAGE_MASK);
    *prot = s.prot;
    return true;
}

/* ---- life of a pmap --------------------------------------------------- */

int
pt_init(void)
{
    memset(toy_slots, 0, sizeof(toy_slots));
    toy_lock = (struct vm_spin)VM_SPIN_INIT(VM_RANK_LEAF);
    slots_word = 0;
    next_victim = 0;
    return VM_OK;
}

unsigned
pt_format_count(void)
{
    return 1;
}

const char *
pt_format_name(unsigned format)
{
    return pte_formats[format].name;
}

unsigned
pt_format_page_shift(unsigned format)
{
    return pte_formats[format].page_shift;
}

/* What the hardware calls a space: it never looks there. */
static paddr_t
space_id(struct pmap *pm)
{
    return (paddr_t)(uintptr_t)pm;
}

int
pt_create(struct pmap *pm)
{
    const struct pt_format *f = &pte_formats[0];

    vm_set(&pm->page_shift, (uint8_t)vm_page_shift);
    vm_set(&pm->start, vm_trunc_page((pm->kernel ? f->kernel_start :
        f->user_start) + VM_PAGE_MASK));
    vm_set(&pm->end, vm_trunc_page(pm->kernel ? f->kernel_end : f->user_end));
    if (pm->kernel) {
        (void)pmap_md_kernel_root(f, space_id(pm));
    }
    return VM_OK;
}

void
pt_destroy(struct pmap *pm)
{
    struct toy_slot s;

    KASSERT(find_from(0, pm, 0, UINT64_MAX, &s) == toy_count());
    (void)pm;
    (void)s;
}

int
pt_ready(struct pmap *pm)
{
    (void)pm;
    return VM_OK;
}

void
pt_activate(struct pmap *pm, uint32_t asid, bool flush_asid)
{
    pmap_md_activate(&pte_formats[0], pm->kernel ? 0 : space_id(pm), asid,
        flush_asid);
}

/* No large leaves. */
unsigned
pt_large_shift(struct pmap *pm)
{
    (void)pm;
    return 0;
}

bool
pt_large_room(struct pmap *pm, vaddr_t va)
{
    (void)pm;
    (void)va;
    return false;
}

int
pt_enter_large(struct pmap *pm, vaddr_t va, struct vm_page *head,
    vm_prot_t prot, vm_seq_t seq)
{
    (void)pm;
    (void)va;
    (void)head;
    (void)prot;
    (void)seq;
    return VM_E_NOMEM;
}

void
pt_table_range(struct pmap *pm, vaddr_t va, vaddr_t *start, vaddr_t *end)
{
    (void)pm;
    *start = va;
    *end = va + VM_PAGE_SIZE;
}

/* Nothing is ever unlinked. */
struct vm_page *
pt_reclaim(struct vm_page *table, struct vm_page *chain)
{
    (void)table;
    return chain;
}

uint64_t
pt_reclaim_count(struct vm_page *table)
{
    (void)table;
    return 0;
}

void
pt_trim(void)
{
}

/* ---- another root: there is none -------------------------------------- */

bool
pt_format_bounds(unsigned format, vaddr_t *start, vaddr_t *end)
{
    *start = vm_trunc_page(pte_formats[0].user_start + VM_PAGE_MASK);
    *end = vm_trunc_page(pte_formats[0].user_end);
    return format == 0;
}

unsigned
pt_insn_tables(void)
{
    return 0;
}

bool
pt_spare(struct pmap *pm, unsigned format, struct pt_spare *out)
{
    (void)pm;
    out->root = 0;
    out->format = format;
    return true;
}

void
pt_spare_free(struct pt_spare *spare)
{
    (void)spare;
}

bool
pt_replace(struct pmap *pm, const struct pt_spare *spare,
    struct tlb_batch *b)
{
    (void)pm;
    (void)spare;
    (void)b;
    return false;
}

unsigned
pt_evict(struct pmap *pm, unsigned want, struct tlb_batch *b)
{
    (void)pm;
    (void)want;
    (void)b;
    return 0;
}

bool
pt_reload(struct pmap *pm, uint32_t asid, unsigned cpu)
{
    return pmap_md_reload(&pte_formats[0], space_id(pm), asid, cpu,
        asid_runs, pm);
}

/* ---- audit ------------------------------------------------------------ */

bool
pt_next(struct pmap *pm, vaddr_t *va, struct pmap_mapping *out)
{
    unsigned n = toy_count();
    bool found = false;

    toy_lock_slots();
    for (unsigned i = 0; i < n; i++) {
        const struct toy_slot *s = &toy_slots[i];

        if (s->pm == pm && s->va >= *va &&
            (!found || s->va < out->va)) {
            *out = (struct pmap_mapping){
                .va = s->va, .pa = s->pa, .prot = s->prot,
                .wired = s->wired
            };
            found = true;
        }
    }
    toy_unlock_slots();
    if (found) {
        *va = out->va + VM_PAGE_SIZE;
    }
    return found;
}

uint64_t
pt_table_count(struct pmap *pm)
{
    (void)pm;
    return 0;
}

void
pt_check(struct pmap *pm)
{
    unsigned n = toy_count();

    for (unsigned i = 0; i < TOY_SLOTS; i++) {
        const struct toy_slot *s = &toy_slots[i];

        if (s->pm == pm && (i >= n || !vm_page_aligned(s->va | s->pa) ||
            s->va < vm_get(&pm->start) || s->va >= vm_get(&pm->end))) {
            kern_panic("toy: slot %u is wrong: va %#llx", i,
                (unsigned long long)s->va);
        }
    }
}

/* ---- the hardware's side ---------------------------------------------- */

enum sim_walk
sim_walk(struct sim_cpu *c, const struct sim_space *s, vaddr_t va,
    bool write, struct sim_entry *e)
{
    vaddr_t page = vm_trunc_page(va);
    unsigned n = toy_count();
    enum sim_walk found = SIM_WALK_FAULT;

    (void)write;
    c->stats.walks++;
    if (!toy_walks(va)) {
        return SIM_WALK_FAULT;
    }
    toy_lock_slots();
    for (unsigned i = 0; i < n && found == SIM_WALK_FAULT; i++) {
        struct toy_slot *t = &toy_slots[i];

        if ((paddr_t)(uintptr_t)t->pm == s->root && t->va == page) {
            toy_entry(t, s, e);
            t->used = true;
            found = SIM_WALK_LEAF;
        }
    }
    toy_unlock_slots();
    return found;
}

void
toy_entry(const struct toy_slot *t, const struct sim_space *s,
    struct sim_entry *e)
{
    *e = (struct sim_entry){
        .valid = true, .global = t->pm->kernel, .user = !t->pm->kernel,
        .dirty = true, .prot = t->prot,
        .memory = t->device ? PTE_DEVICE : PTE_NORMAL, .asid = s->asid,
        .va = t->va, .size = VM_PAGE_SIZE, .pa = t->pa, .f = s->f,
        .root = s->root, .pm = s->pm
    };
}

bool
sim_walk_grants(const struct sim_entry *e)
{
    unsigned n = toy_count();
    bool grants = false;

    toy_lock_slots();
    for (unsigned i = 0; i < n; i++) {
        const struct toy_slot *t = &toy_slots[i];

        grants = grants || ((paddr_t)(uintptr_t)t->pm == e->root &&
            t->va == e->va && t->pa == e->pa &&
            (e->prot & ~t->prot) == 0);
    }
    toy_unlock_slots();
    return grants;
}
