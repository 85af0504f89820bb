/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_page.h - the core map: one struct vm_page a page frame.
 *
 * A frame is named by (object, page number) while it holds data; the
 * object's radix tree leads from there to the frame, the core map back.
 * There are no paging queues: pageout is a clock over the core map itself
 * (vm_pageout.c), so that a fault touches no queue lock.
 *
 * Field letters: (c) constant; (o) the object's lock; (a) atomic, any
 * time; (f) the free-list lock.  (o,a) means written under the object's
 * lock, read by anyone who then rechecks.
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include "vm_lock.h"

struct pmap;
struct vm_object;
struct vm_zone;
struct pv_chunk;

enum vm_page_kind {
    VM_PAGE_RESERVED,           /* not ours: firmware, kernel image */
    VM_PAGE_FREE,
    VM_PAGE_OBJECT,             /* data of a memory object */
    VM_PAGE_TABLE,              /* a page table */
    VM_PAGE_KERNEL,             /* slab of a zone, kernel stack ... */
    VM_PAGE_DEVICE,
    VM_PAGE_KINDS
};

/* flags (o,a) of an object's page */
#define VM_PG_BUSY      0x01u   /* in transit: only its owner touches it */
#define VM_PG_ABSENT    0x02u   /* no data yet; with BUSY: asked for */
#define VM_PG_ERROR     0x04u   /* its pager failed; told to the waiters */
#define VM_PG_MODIFIED  0x08u   /* differs from backing: write was granted */
#define VM_PG_CLEANING  0x10u   /* being written to its pager */
#define VM_PG_UNLOCKING 0x20u   /* data_unlock sent, answer awaited */
#define VM_PG_WANTED    0x40u   /* somebody sleeps until BUSY goes */
#define VM_PG_REFERENCED 0x80u  /* hint, for the clock */
#define VM_PG_ICACHE    0x100u  /* instruction caches agree with it */
#define VM_PG_PUSH      0x200u  /* asked for on behalf of a flush */
#define VM_PG_EVICT     0x400u  /* to be freed when CLEANING is over */
#define VM_PG_WROTE     0x800u  /* CLEANING is over, but it is still BUSY */
#define VM_PG_FAILED    0x1000u /* ... and failed */
#define VM_PG_AGAIN     0x2000u /* to be cleaned again when it is over */

/* What it holds is not, or not yet, what it is named for. */
#define VM_PG_NO_DATA   (VM_PG_BUSY | VM_PG_ABSENT | VM_PG_ERROR)

/* bits of lockword (a) */
#define VM_PG_LEAF_LOCK 1u      /* entries of this leaf table */

/*
 * Head of the reverse map: mappings of the page, as hints.  Too many,
 * never too few; each is verified against the live table.  The first is
 * inline, the rest in chunks of pmap/common/pv.c.  va's low bits are 0.
 */
struct vm_page_pv {
    struct pmap *pm;            /* (o) NULL: no inline hint */
    vaddr_t va;                 /* (o) */
    struct pv_chunk *more;      /* (o) */
};

#define VM_PAGE_PRIVATE 40

struct vm_page {
    _Atomic uint32_t lockword;  /* (a) VM_PG_*_LOCK */
    _Atomic uint32_t flags;     /* (o,a) VM_PG_* */
    _Atomic uint8_t kind;       /* (f) enum vm_page_kind; (a) to read */
    uint8_t forbidden;          /* (o) access that the pager forbids */
    uint16_t unused;
    union {
        uint32_t wire_count;    /* (o) of an OBJECT page */
        uint32_t slab_used;     /* of a slab */
    };
    uint32_t link;              /* (f) next free frame; (o) swap slot */
    uint32_t stamp;             /* (f) of the last vm_page_check() */
    union {
        struct {                /* VM_PAGE_OBJECT */
            struct vm_object *_Atomic object;   /* (o,a) */
            _Atomic vm_pgno_t pgno;             /* (o,a) */
            struct vm_page_pv pv;
        };
        /*
         * The word of .object stays 0 in a frame of any other kind: who
         * looks at the core map without a lock must not take something
         * else for an object.
         */
        struct {                /* VM_PAGE_KERNEL: a zone's slab */
            uint64_t not_object;
            struct vm_zone *zone;
            void *slab_free;
            struct vm_page *slab_next, *slab_prev;
        };
        /* VM_PAGE_TABLE: pmap/common says what is here */
        uint64_t private[VM_PAGE_PRIVATE / 8];
    };
};

_Static_assert(sizeof(struct vm_page) <= 64, "core map entry");

extern struct vm_page *vm_page_array;   /* (c) */
extern uint64_t vm_page_first;          /* (c) frame number of entry 0 */
extern uint64_t vm_page_count;          /* (c) */

/*
 * vm_page_bootstrap - take charge of physical memory.
 *
 * => array: zeroed memory for the core map, VM_PAGE_ENTRIES(npages) entries
 *           long (what follows the last frame's is the allocator's)
 * => start: physical address of the first frame, page aligned
 * All frames begin RESERVED; vm_page_release() gives them to the
 * allocator.  Called by one thread, before anything else; called again, it
 * forgets all that was (tests start the core many times).  Reserves are 0.
 */
#define VM_PAGE_ENTRIES(npages) ((npages) + (npages) / 128 + 2)
void vm_page_bootstrap(struct vm_page *array, paddr_t start,
    uint64_t npages);
void vm_page_release(paddr_t start, uint64_t npages);

static inline paddr_t
vm_page_pa(const struct vm_page *p)
{
    return (vm_page_first + (uint64_t)(p - vm_page_array))
        << vm_page_shift;
}

/* The core map entry of an address, NULL if it is not ours (a device). */
static inline struct vm_page *
vm_page_of(paddr_t pa)
{
    uint64_t i = (pa >> vm_page_shift) - vm_page_first;

    return i < vm_page_count ? &vm_page_array[i] : NULL;
}

static inline void *
vm_page_data(const struct vm_page *p)
{
    return kern_frame_ptr(vm_page_pa(p));
}

static inline uint32_t
vm_page_flags(struct vm_page *p)
{
    return vm_get(&p->flags);
}

/* Both under the object's lock, so load and store need not be one step. */
static inline void
vm_page_set(struct vm_page *p, uint32_t bits)
{
    vm_set(&p->flags, vm_get(&p->flags) | bits);
}

static inline void
vm_page_clear(struct vm_page *p, uint32_t bits)
{
    vm_set(&p->flags, vm_get(&p->flags) & ~bits);
}

/* Who may take the last frames. */
enum vm_alloc {
    VM_ALLOC_USER,      /* leaves both reserves alone */
    VM_ALLOC_KERNEL,    /* tables, zones: may take the user reserve */
    VM_ALLOC_PAGEOUT    /* the pageout path: may take the last frame */
};

/*
 * vm_page_alloc - take a free frame.
 *
 * => Context: any lock of lower rank than FREE; never sleeps
 * => Returns: a frame of that kind, contents undefined, private part
 *             zeroed, flags 0, not wired; NULL if none is left for who.
 * vm_page_free - give it back.  It is unmapped (no pv hint), unwired, in
 * no object, not busy (asserted).
 */
struct vm_page *vm_page_alloc(enum vm_page_kind kind, enum vm_alloc who);
void vm_page_free(struct vm_page *p);
/* Free n frames of one kind, the last of them to be used first again. */
void vm_page_free_many(struct vm_page *const p[], unsigned n);

/*
 * vm_page_alloc_run - an aligned run of 2^shift bytes of frames of kind
 * OBJECT, each as vm_page_alloc() gives it, but with these flags and with
 * the names of o's pages from pgno on (o locked), and freed like any other.
 * => Returns: the first; NULL: no such run is free, or too little is left
 */
struct vm_page *vm_page_alloc_run(unsigned shift, struct vm_object *o,
    vm_pgno_t pgno, uint32_t flags);

/* Bulk data.  Zeroing is what makes a recycled frame safe to hand out. */
void vm_page_zero(struct vm_page *p);
void vm_page_zero_many(struct vm_page *p, unsigned n);  /* neighbours */
void vm_page_copy(struct vm_page *to, const struct vm_page *from);

/* Frames of each kind; exact when nobody allocates. */
uint64_t vm_page_kind_count(enum vm_page_kind kind);
uint64_t vm_page_free_count(void);
/*
 * vm_page_alloc_many - up to n frames, each as vm_page_alloc() gives it, of
 * those that this CPU has at hand.  For what may also be left.
 * => Returns: how many
 */
unsigned vm_page_alloc_many(enum vm_page_kind kind, enum vm_alloc who,
    struct vm_page *p[], unsigned n);
/* An eighth of all is free: what is only likely to be used may be made. */
bool vm_page_is_plenty(void);
/* Reserve sizes in frames; (free < low) wakes pageout. */
void vm_page_set_reserves(uint64_t kernel, uint64_t pageout, uint64_t low);
/* Give every per-CPU cached frame back to the shared list. */
void vm_page_drain(void);
/* Verify the whole core map and free lists; panics with what is wrong. */
void vm_page_check(void);

/* Neighbours that a fault may map: pmap_prefill(). */
struct pmap_near {
    const uintptr_t *slot;      /* as a leaf of an object's tree has them */
    uint32_t want;              /* bit i: look at slot[i], not empty */
    unsigned n;                 /* of them; behind that want is 0 */
    vm_prot_t prot[2];          /* of a page that is clean, that is not */
};

/*
 * What in a slot is a page with data that no pager forbids, and which of
 * prot[] it may have; else NULL.  As with pmap_enter(), a grant to write ends
 * that instruction caches agree with it.
 */
static inline struct vm_page *
vm_near_look(uintptr_t slot, const vm_prot_t prot[2], unsigned *which)
{
    struct vm_page *p = (struct vm_page *)slot;
    uint32_t flags;

    if ((slot & 1) != 0) {
        return NULL;            /* in swap */
    }
    flags = vm_page_flags(p);
    if (((flags & VM_PG_NO_DATA) | p->forbidden) != 0) {
        return NULL;
    }
    *which = (flags & VM_PG_MODIFIED) != 0;
    if (__builtin_expect((flags & VM_PG_ICACHE) != 0, 0) &&
        (prot[*which] & VM_PROT_WRITE) != 0) {
        vm_page_clear(p, VM_PG_ICACHE);
    }
    return p;
}

/* The same for the i-th neighbour, with its rights. */
static inline struct vm_page *
vm_near_page(const struct pmap_near *near, unsigned i, vm_prot_t *prot)
{
    unsigned which = 0;
    struct vm_page *p = vm_near_look(near->slot[i], near->prot, &which);

    *prot = near->prot[which];
    return p;
}

#endif
