/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contract.h - the laws of pmap.h as tests that know nothing of where they
 * run: on the simulated MMU or inside a booted kernel.
 *
 * They see pmap.h and pmap_ctl.h, make frames through mi/, and ask the
 * harness below for what software alone cannot say: what can a CPU access?
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "pmap_ctl.h"

/* ---- supplied by the harness ------------------------------------------ */

/* CPUs that there are; the test is on CPU 0. */
unsigned contract_cpus(void);
/* Go on on this CPU.  What it has loaded stays loaded. */
void contract_on(unsigned cpu);
/*
 * One user access of a word on this CPU, in the space that it has loaded:
 * false if it faults.  READ sets *value, WRITE stores it.
 */
bool contract_access(vaddr_t va, vm_prot_t access, uint64_t *value);
/* The kernel's load or store at its own address. */
bool contract_kernel_access(vaddr_t va, vm_prot_t access, uint64_t *value);
/* May this MMU forget a translation for want of room? (law 9) */
bool contract_forgets(void);
/* How often walkers were told of new entries; 0: nobody counts here. */
uint64_t contract_published(void);
/* The n-th table allocation from now fails; 0: none. */
void contract_fail(long n);
/*
 * fn(cpu) on n CPUs at once, in an order that differs each time it is
 * called; round tells the calls apart.
 */
void contract_together(unsigned n, void (*fn)(unsigned cpu),
    uint64_t round);
/* This CPU lets others run. */
void contract_pause(void);
_Noreturn void contract_failed(const char *file, int line,
    const char *what);

#define EXPECT(x) \
    ((x) ? (void)0 : contract_failed(__FILE__, __LINE__, #x))

/* ---- the laws --------------------------------------------------------- */

struct contract_law {
    const char *name;           /* law3/remove */
    void (*fn)(void);
    unsigned wants;             /* LAW_* */
};
#define LAW_FEW_ASIDS   1u      /* a machine with very few */
#define LAW_KEEPS       2u      /* the first time, the kernel keeps tables */

/* Ends with a NULL name. */
extern const struct contract_law contract_laws[];

/* ---- between the files of laws ---------------------------------------- */

/* A space under test: a pmap and the sequence of the map it serves. */
struct space {
    struct pmap *pm;
    struct vm_seq seq;
    vaddr_t start, end;
};

/* Frames of one object; frame i's first word is its number + 1000. */
#define CONTRACT_FRAMES 64u
struct vm_page *contract_frame(unsigned i);
void contract_frames_begin(unsigned n);
void contract_frames_end(void);

void space_create(struct space *s);
void space_destroy(struct space *s);
/* Addresses: page i of a run that crosses tables of every level. */
vaddr_t space_va(const struct space *s, unsigned i);
void space_load(struct space *s);       /* on this CPU */
void space_leave(void);
int space_try_enter(struct space *s, vaddr_t va, struct vm_page *p,
    vm_prot_t prot);
void space_enter(struct space *s, vaddr_t va, struct vm_page *p,
    vm_prot_t prot);
void space_remove(struct space *s, vaddr_t start, vaddr_t end,
    struct pmap_batch *batch);
void space_protect(struct space *s, vaddr_t start, vaddr_t end,
    vm_prot_t prot, struct pmap_batch *batch);
/* The kernel's own, wired translation of a frame of user memory. */
void kernel_enter(vaddr_t va, struct vm_page *p);
void frame_protect(struct vm_page *p, vm_prot_t prot,
    struct pmap_batch *batch);
void frame_forget(struct vm_page *p, const struct pmap *pm, vaddr_t start,
    vaddr_t end);
/* Can this CPU read (write) va, and is it frame i? */
bool can_read(vaddr_t va, unsigned i);
bool can_write(vaddr_t va);
/* It cannot read at all. */
bool cannot_read(vaddr_t va);
/*
 * This CPU can read (and write) frame i at va, after one fault if it must:
 * it may remember that nothing was there.  The space is loaded.
 */
void reach(struct space *s, vaddr_t va, unsigned i, vm_prot_t prot);

void law1_extract(void);
void law1_device(void);
void law2_protect(void);
void law2_page_protect(void);
void law4_restrict(void);
void law5_enter(void);
void law5_create(void);
void law6_wired(void);
void law7_hold(void);
void law8_publish(void);
void law9_sweep(void);
void misc_seq(void);
void misc_prefill(void);
void misc_age(void);
void misc_audit(void);
void root_every(void);
void root_fails(void);
void root_race(void);
void root_evict(void);
void root_shrink(void);
void budget_machine(void);
void budget_one(void);
void budget_holds(void);
void discard_all(void);
void change_formats(void);
void change_asids(void);
void change_counts(void);
void table_blank(void);
void table_forget(void);
void large_enter(void);
void large_page_protect(void);
void large_range(void);
void large_replace(void);
void large_fail(void);
void large_age(void);
void large_race(void);

#endif
