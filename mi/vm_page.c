/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_page.c - the core map and the allocator of page frames.
 *
 *        CPU 0            CPU 1       ...     up to CACHE_MAX frames each
 *     [ 7 3 9 . ]      [ 4 . . . ]
 *          |  ^             |  ^
 *   refill |  | flush       |  |              CACHE_BATCH frames at a time
 *          v  |             v  |
 *     pool: by aligned runs, see vm_run.c
 *
 * Free frames = frames in the pool + frames in all caches; there is no
 * third counter to keep in step.  While the pool alone is above what the
 * caller must leave (and above the low mark), an allocation looks at its
 * own CPU's cache only.  Else it takes the pool's lock, adds everything
 * up, and may take a frame from another CPU's cache: no frame is out of
 * reach, and a reserve is passed by no more than the allocations that were
 * already on the short path of other CPUs, one each.
 *
 * The newest free frame goes first, for the sake of caches.
 *
 * Locks:   pool.lock (rank FREE), then a cache's lock.  The latter has no
 *          rank and needs none: nothing is ever taken inside it, and who
 *          takes two of them holds the pool's.  The short path takes its
 *          own CPU's alone, with preemption disabled, where only the
 *          pool's holder can be in its way.
 * Kinds:   .kind changes under the pool's lock or the lock of a cache, so
 *          that vm_page_check(), who takes all of them, sees them stand
 *          still.
 */
#include "vm_run.h"
#include "vm_mutant.h"

#define CACHE_MAX       32u
#define CACHE_BATCH     16u
#define LINK_END        UINT32_MAX

struct page_cache {
    _Atomic uint32_t lock;      /* 0 free, 1 held */
    _Atomic uint32_t n;         /* frames here; written under lock */
    uint32_t limit;             /* CACHE_MAX; 0 until the CPU is known */
    uint32_t unused;
    /* Frames of each kind taken minus given back on this CPU. */
    _Atomic uint64_t kinds[VM_PAGE_KINDS];
    uint32_t frame[CACHE_MAX];  /* indexes into the core map */
} __attribute__((aligned(64)));

struct page_pool {
    struct vm_spin lock;
    uint32_t stamp;             /* (f) of the last vm_page_check() */
    _Atomic uint64_t count;     /* (f) to write; any time to read */
    uint64_t reserved;          /* (f) frames that are not ours */
    _Atomic unsigned cpus;      /* (f) caches in use: [0, cpus) */
} __attribute__((aligned(64)));

/* Read by every allocation, written hardly ever. */
struct page_marks {
    _Atomic uint64_t leave[VM_ALLOC_PAGEOUT + 1];   /* must stay free */
    _Atomic uint64_t fast[VM_ALLOC_PAGEOUT + 1];    /* and the low mark */
    _Atomic uint64_t low;
} __attribute__((aligned(64)));

struct vm_page *vm_page_array;
uint64_t vm_page_first;
uint64_t vm_page_count;

static struct page_pool pool;
static struct page_marks marks;
static struct page_cache caches[VM_MAX_CPUS];

static const char *const kind_names[VM_PAGE_KINDS] = {
    [VM_PAGE_RESERVED] = "reserved",
    [VM_PAGE_FREE] = "free",
    [VM_PAGE_OBJECT] = "object",
    [VM_PAGE_TABLE] = "table",
    [VM_PAGE_KERNEL] = "kernel",
    [VM_PAGE_DEVICE] = "device",
};

static inline void
cache_lock(struct page_cache *c)
{
    /* Acquire: pairs with the release in cache_unlock(). */
    if (atomic_exchange_explicit(&c->lock, 1, memory_order_acquire) != 0) {
        vm_spin_wait(&c->lock, 1);
    }
}

static inline void
cache_unlock(struct page_cache *c)
{
    atomic_store_explicit(&c->lock, 0, memory_order_release);
}

/*
 * This CPU's cache, locked, and preemption disabled until cache_leave();
 * or NULL, if the pool's holder is looking at it: then it is that lock
 * that has to be waited for.
 */
static inline struct page_cache *
cache_enter(void)
{
    struct page_cache *c;

    kern_preempt_disable();
    c = &caches[kern_cpu()];
    if (atomic_exchange_explicit(&c->lock, 1, memory_order_acquire) != 0) {
        kern_preempt_enable();
        return NULL;
    }
    return c;
}

static inline void
cache_leave(struct page_cache *c)
{
    cache_unlock(c);
    kern_preempt_enable();
}

/* Under the pool's lock: this CPU's cache, which counts from now on. */
static struct page_cache *
cache_register(void)
{
    unsigned cpu = kern_cpu();
    struct page_cache *c = &caches[cpu];

    KASSERT(cpu < VM_MAX_CPUS);
    if (cpu >= vm_get(&pool.cpus)) {
        vm_set(&pool.cpus, cpu + 1);
    }
    cache_lock(c);
    c->limit = CACHE_MAX;
    cache_unlock(c);
    return c;
}

/* Under the pool's lock. */
static inline void
pool_push(uint32_t i)
{
    vm_run_push(i);
    vm_set(&pool.count, vm_get(&pool.count) + 1);
}

/* Under the pool's lock: n frames, which there are. */
static inline void
pool_pop(uint32_t frame[], unsigned n)
{
    unsigned got = vm_run_pop(frame, n);

    KASSERT(got == n && vm_get(&pool.count) >= n);
    vm_set(&pool.count, vm_get(&pool.count) - got);
}

/* Under the cache's lock.  LINK_END: it is empty. */
static inline uint32_t
cache_pop(struct page_cache *c)
{
    uint32_t n = vm_get(&c->n);

    if (n == 0) {
        return LINK_END;
    }
    vm_set(&c->n, n - 1);
    return c->frame[n - 1];
}

void
vm_page_bootstrap(struct vm_page *array, paddr_t start, uint64_t npages)
{
    unsigned cpu;

    KASSERT(vm_page_aligned(start));
    KASSERT(npages < LINK_END);
    vm_page_array = array;
    vm_page_first = start >> vm_page_shift;
    vm_page_count = npages;

    /* What is left of an earlier core may be anything, held locks too. */
    pool.lock = (struct vm_spin)VM_SPIN_INIT(VM_RANK_FREE);
    pool.stamp = 0;
    pool.reserved = npages;
    vm_set(&pool.count, 0);
    vm_set(&pool.cpus, 0);
    for (cpu = 0; cpu < VM_MAX_CPUS; cpu++) {
        memset(&caches[cpu], 0, sizeof(caches[cpu]));
    }
    vm_page_set_reserves(0, 0, 0);
    vm_run_bootstrap((struct vm_run *)(void *)(array + npages));
}

/*
 * vm_page_release - frames that were RESERVED are the allocator's now.
 *
 * => Locks: takes FREE
 * The lowest of them is handed out first.
 */
void
vm_page_release(paddr_t start, uint64_t npages)
{
    uint64_t first = (start >> vm_page_shift) - vm_page_first;
    uint64_t end = first + npages;
    struct vm_page *p = &vm_page_array[first];

    KASSERT(vm_page_aligned(start));
    KASSERT(first <= vm_page_count && npages <= vm_page_count - first);
    if (npages == 0) {
        return;
    }
    vm_spin_lock(&pool.lock);
    /* All memory of the machine passes here: nothing but one store. */
    for (uint64_t i = first; i < end; i++, p++) {
        KASSERT(vm_get(&p->kind) == VM_PAGE_RESERVED);
        vm_set(&p->kind, VM_PAGE_FREE);
    }
    vm_run_release(first, end);
    vm_set(&pool.count, vm_get(&pool.count) + npages);
    pool.reserved -= npages;
    vm_spin_unlock(&pool.lock);
}

/* Under a cache's lock, on its CPU: make free frame i a page of kind. */
static inline struct vm_page *
page_take(struct page_cache *c, uint32_t i, enum vm_page_kind kind)
{
    struct vm_page *p = &vm_page_array[i];

    KASSERT(vm_get(&p->kind) == VM_PAGE_FREE);
    vm_set(&p->flags, 0);
    p->forbidden = 0;
    p->wire_count = 0;
    /*
     * All of private[].  The clock may look at the first two words of any
     * frame at any time; the rest is nobody else's yet.
     */
    vm_set(&p->object, NULL);
    vm_set(&p->pgno, 0);
    p->private[2] = 0;
    p->private[3] = 0;
    p->private[4] = 0;
    /* Release: who sees the kind sees no name of its last life. */
    atomic_store_explicit(&p->kind, (uint8_t)kind, memory_order_release);
    vm_set(&c->kinds[kind], vm_get(&c->kinds[kind]) + 1);
    return p;
}

/* Frames in the caches of all CPUs. */
static uint64_t
cached_count(void)
{
    unsigned cpu, cpus = vm_get(&pool.cpus);
    uint64_t n = 0;

    for (cpu = 0; cpu < cpus; cpu++) {
        n += vm_get(&caches[cpu].n);
    }
    return n;
}

/* Under the pool's lock: fill an empty cache with what is spare. */
static void
cache_refill(struct page_cache *c, uint64_t spare)
{
    uint32_t want = spare < CACHE_BATCH ? (uint32_t)spare : CACHE_BATCH;

    cache_lock(c);
    if (vm_get(&c->n) == 0) {
        /* The first to leave the pool is the first to be used. */
        pool_pop(c->frame, want);
        vm_set(&c->n, want);
    }
    cache_unlock(c);
}

/* Under the pool's lock: a free frame, wherever it is; own cache first. */
static uint32_t
page_find(struct page_cache *own)
{
    unsigned cpu, cpus = vm_get(&pool.cpus);
    uint32_t i;

    cache_lock(own);
    i = cache_pop(own);
    cache_unlock(own);
    if (i == LINK_END && vm_get(&pool.count) != 0) {
        pool_pop(&i, 1);
    }
    for (cpu = 0; i == LINK_END && cpu < cpus; cpu++) {
        struct page_cache *c = &caches[cpu];

        cache_lock(c);
        i = cache_pop(c);
        cache_unlock(c);
    }
    return i;
}

/* The long path: the cache is empty or in use, or frames are few. */
static __attribute__((noinline)) struct vm_page *
page_alloc_slow(enum vm_page_kind kind, enum vm_alloc who)
{
    struct vm_page *p = NULL;
    struct page_cache *c;
    uint64_t count, fast, free;
    bool low;

    vm_spin_lock(&pool.lock);
    c = cache_register();
    fast = vm_get(&marks.fast[who]);
    count = vm_get(&pool.count);
    if (count > fast) {
        cache_refill(c, count - fast);
    }
    free = vm_get(&pool.count) + cached_count();
    if (free > vm_get(&marks.leave[who])) {
        uint32_t i = page_find(c);

        if (i != LINK_END) {
            free--;
            cache_lock(c);
            p = page_take(c, i, kind);
            cache_unlock(c);
        }
    }
    low = p == NULL || free < vm_get(&marks.low);
    vm_spin_unlock(&pool.lock);

    if (low) {
        kern_memory_low();
    }
    return p;
}

struct vm_page *
vm_page_alloc(enum vm_page_kind kind, enum vm_alloc who)
{
    struct page_cache *c;
    struct vm_page *p;
    uint32_t n;

    KASSERT(kind == VM_PAGE_OBJECT || kind == VM_PAGE_TABLE ||
        kind == VM_PAGE_KERNEL);
    if (vm_fail_here()) {
        return NULL;
    }
    vm_point();
    c = cache_enter();
    if (c == NULL) {
        return page_alloc_slow(kind, who);
    }
    n = vm_get(&c->n);
    if (n == 0 || vm_get(&pool.count) <= vm_get(&marks.fast[who])) {
        cache_leave(c);
        return page_alloc_slow(kind, who);
    }
    vm_set(&c->n, n - 1);
    p = page_take(c, c->frame[n - 1], kind);
    cache_leave(c);
    return p;
}

unsigned
vm_page_alloc_many(enum vm_page_kind kind, enum vm_alloc who,
    struct vm_page *p[], unsigned n)
{
    struct page_cache *c;
    uint32_t left;
    unsigned got;

    KASSERT(kind == VM_PAGE_OBJECT);
    if (vm_fail_here() ||
        vm_get(&pool.count) <= vm_get(&marks.fast[who])) {
        return 0;
    }
    vm_point();
    c = cache_enter();
    if (c == NULL) {
        return 0;
    }
    left = vm_get(&c->n);
    for (got = 0; got < n && left > 0; got++) {
        p[got] = page_take(c, c->frame[--left], kind);
    }
    vm_set(&c->n, left);
    cache_leave(c);
    return got;
}

/* Under a cache's lock, on its CPU: the frame is free from now on. */
static inline void
page_put(struct page_cache *c, struct vm_page *p)
{
    unsigned kind = vm_get(&p->kind);
    uint32_t n = vm_get(&c->n);

    vm_set(&p->kind, VM_PAGE_FREE);
    vm_set(&c->kinds[kind], vm_get(&c->kinds[kind]) - 1);
    c->frame[n] = (uint32_t)(p - vm_page_array);
    vm_set(&c->n, n + 1);
}

/* The long path: the cache is full or in use, or the CPU new. */
static __attribute__((noinline)) void
page_free_slow(struct vm_page *p)
{
    struct page_cache *c;
    uint32_t i, n;

    vm_spin_lock(&pool.lock);
    c = cache_register();
    cache_lock(c);
    n = vm_get(&c->n);
    if (n == CACHE_MAX) {
        /* The oldest go; the newest stay where they are warm. */
        for (i = 0; i < CACHE_BATCH; i++) {
            pool_push(c->frame[i]);
        }
        for (i = CACHE_BATCH; i < n; i++) {
            c->frame[i - CACHE_BATCH] = c->frame[i];
        }
        vm_set(&c->n, n - CACHE_BATCH);
    }
    page_put(c, p);
    cache_unlock(c);
    vm_spin_unlock(&pool.lock);
}

#if VM_DEBUG
/* What vm_page_free() promises to assert. */
static void
page_free_assert(struct vm_page *p)
{
    unsigned kind;

    KASSERT(p >= vm_page_array && p < vm_page_array + vm_page_count);
    kind = vm_get(&p->kind);
    if (kind != VM_PAGE_OBJECT && kind != VM_PAGE_TABLE &&
        kind != VM_PAGE_KERNEL) {
        kern_panic("vm_page_free: frame %llu is %s",
            (unsigned long long)(p - vm_page_array),
            kind < VM_PAGE_KINDS ? kind_names[kind] : "corrupt");
    }
    KASSERT(vm_get(&p->lockword) == 0);
    if (kind == VM_PAGE_OBJECT) {
        KASSERT((vm_get(&p->flags) & VM_PG_BUSY) == 0);
        KASSERT(vm_get(&p->object) == NULL);
        KASSERT(p->wire_count == 0);
        KASSERT(p->pv.pm == NULL && p->pv.more == NULL);
    }
}
#else
#define page_free_assert(p)     ((void)0)
#endif

void
vm_page_free_many(struct vm_page *const p[], unsigned n)
{
    struct page_cache *c;
    unsigned kind;

    if (n <= CACHE_BATCH / 2) {
        while (n > 0) {
            vm_page_free(p[--n]);
        }
        return;
    }
    /* They would not stay in the cache: past it. */
    kind = vm_get(&p[0]->kind);
    vm_spin_lock(&pool.lock);
    c = cache_register();
    cache_lock(c);
    vm_set(&c->kinds[kind], vm_get(&c->kinds[kind]) - n);
    for (unsigned i = 0; VM_DEBUG && i < n; i++) {
        page_free_assert(p[i]);
    }
    vm_run_free(p, n);
    vm_set(&pool.count, vm_get(&pool.count) + n);
    cache_unlock(c);
    vm_spin_unlock(&pool.lock);
}

void
vm_page_free(struct vm_page *p)
{
    struct page_cache *c;

    page_free_assert(p);
    vm_point();
    c = cache_enter();
    if (c == NULL) {
        page_free_slow(p);
        return;
    }
    if (vm_get(&c->n) >= c->limit) {
        cache_leave(c);
        page_free_slow(p);
        return;
    }
    page_put(c, p);
    cache_leave(c);
}

void
vm_page_zero(struct vm_page *p)
{
    if (VM_MUTANT(NO_ZERO)) {
        return;
    }
    memset(vm_page_data(p), 0, VM_PAGE_SIZE);
}

void
vm_page_zero_many(struct vm_page *p, unsigned n)
{
    if (VM_MUTANT(NO_ZERO)) {
        return;
    }
    memset(vm_page_data(p), 0, (size_t)n << vm_page_shift);
}

void
vm_page_copy(struct vm_page *to, const struct vm_page *from)
{
    KASSERT(to != from);
    memcpy(vm_page_data(to), vm_page_data(from), VM_PAGE_SIZE);
}

uint64_t
vm_page_free_count(void)
{
    return vm_get(&pool.count) + cached_count();
}

/* Of one kind that can be allocated.  One CPU's count may be negative. */
static uint64_t
kind_sum(enum vm_page_kind kind)
{
    unsigned cpu, cpus = vm_get(&pool.cpus);
    uint64_t n = 0;

    for (cpu = 0; cpu < cpus; cpu++) {
        n += vm_get(&caches[cpu].kinds[kind]);
    }
    return n;
}

bool
vm_page_is_plenty(void)
{
    return vm_get(&pool.count) > vm_page_count / 8;
}

uint64_t
vm_page_kind_count(enum vm_page_kind kind)
{
    if (kind == VM_PAGE_FREE) {
        return vm_page_free_count();
    }
    return kind == VM_PAGE_RESERVED ? pool.reserved : kind_sum(kind);
}

void
vm_page_set_reserves(uint64_t kernel, uint64_t pageout, uint64_t low)
{
    uint64_t leave[VM_ALLOC_PAGEOUT + 1];
    unsigned who;

    leave[VM_ALLOC_USER] = kernel + pageout;
    leave[VM_ALLOC_KERNEL] = pageout;
    leave[VM_ALLOC_PAGEOUT] = 0;
    for (who = 0; who <= VM_ALLOC_PAGEOUT; who++) {
        vm_set(&marks.leave[who], leave[who]);
        vm_set(&marks.fast[who], leave[who] > low ? leave[who] : low);
    }
    vm_set(&marks.low, low);
}

/* Under the pool's lock. */
static void
caches_drain(void)
{
    unsigned cpu;

    for (cpu = 0; cpu < vm_get(&pool.cpus); cpu++) {
        struct page_cache *c = &caches[cpu];
        uint32_t i;

        cache_lock(c);
        while ((i = cache_pop(c)) != LINK_END) {
            pool_push(i);
        }
        cache_unlock(c);
    }
}

void
vm_page_drain(void)
{
    vm_spin_lock(&pool.lock);
    caches_drain();
    vm_spin_unlock(&pool.lock);
}

/* ---- runs ------------------------------------------------------------- */

/* All frames of a run that was whole, as page_take() does with one. */
static void
run_fill(struct vm_page *p, struct vm_page *end, struct vm_object *o,
    vm_pgno_t pgno, uint32_t flags)
{
    /* Some hundred frames at a time, in memory's own order. */
#pragma clang loop unroll_count(8)
    for (; p < end; p++) {
        KASSERT(vm_get(&p->kind) == VM_PAGE_FREE);
        vm_set(&p->flags, flags);
        p->forbidden = 0;
        p->wire_count = 0;
        vm_set(&p->pgno, pgno++);
        p->pv.pm = NULL;
        p->pv.va = 0;
        p->pv.more = NULL;
        vm_set(&p->object, o);
        atomic_store_explicit(&p->kind, VM_PAGE_OBJECT,
            memory_order_release);
    }
}

struct vm_page *
vm_page_alloc_run(unsigned shift, struct vm_object *o, vm_pgno_t pgno,
    uint32_t flags)
{
    uint64_t n = vm_run_pages();
    struct page_cache *c;
    uint32_t i = VM_RUN_NONE;

    if (shift != VM_RUN_SHIFT || vm_fail_here()) {
        return NULL;
    }
    vm_point();
    vm_spin_lock(&pool.lock);
    c = cache_register();
    if (vm_get(&pool.count) + cached_count() >=
        vm_get(&marks.fast[VM_ALLOC_USER]) + n) {
        i = vm_run_take();
        if (i == VM_RUN_NONE) {
            /* A frame that lies in a cache may be all that is missing. */
            caches_drain();
            i = vm_run_take();
        }
    }
    if (i != VM_RUN_NONE) {
        vm_set(&pool.count, vm_get(&pool.count) - n);
        cache_lock(c);
        run_fill(&vm_page_array[i], &vm_page_array[i] + n, o, pgno, flags);
        vm_set(&c->kinds[VM_PAGE_OBJECT],
            vm_get(&c->kinds[VM_PAGE_OBJECT]) + n);
        cache_unlock(c);
    }
    vm_spin_unlock(&pool.lock);
    return i == VM_RUN_NONE ? NULL : &vm_page_array[i];
}

/* ---- verifying -------------------------------------------------------- */

/* One free frame was met; twice in one check is once too often. */
static void
check_free(uint32_t i, const char *where)
{
    struct vm_page *p;

    if (i >= vm_page_count) {
        kern_panic("vm_page_check: frame %u in the %s, of %llu", i, where,
            (unsigned long long)vm_page_count);
    }
    p = &vm_page_array[i];
    if (vm_get(&p->kind) != VM_PAGE_FREE) {
        kern_panic("vm_page_check: frame %u in the %s is of kind %u", i,
            where, (unsigned)vm_get(&p->kind));
    }
    if (p->stamp == pool.stamp) {
        kern_panic("vm_page_check: frame %u is free twice, again in the %s",
            i, where);
    }
    p->stamp = pool.stamp;
}

/* Pool and caches; returns how many frames are free. */
static uint64_t
check_lists(void)
{
    uint64_t n;
    unsigned cpu;
    uint32_t i;

    n = vm_run_check(check_free);
    if (n != vm_get(&pool.count)) {
        kern_panic("vm_page_check: %llu frames in the pool, count is %llu",
            (unsigned long long)n,
            (unsigned long long)vm_get(&pool.count));
    }
    for (cpu = 0; cpu < VM_MAX_CPUS; cpu++) {
        struct page_cache *c = &caches[cpu];
        uint32_t cached = vm_get(&c->n);

        if (cached > (cpu < vm_get(&pool.cpus) ? c->limit : 0)) {
            kern_panic("vm_page_check: %u frames in the cache of CPU %u",
                cached, cpu);
        }
        for (i = 0; i < cached; i++) {
            check_free(c->frame[i], "cache of a CPU");
        }
        n += cached;
    }
    return n;
}

/* The core map against the lists and the counters. */
static void
check_kinds(uint64_t free)
{
    uint64_t tally[VM_PAGE_KINDS] = { 0 };
    uint64_t i;
    unsigned k;

    for (i = 0; i < vm_page_count; i++) {
        k = vm_get(&vm_page_array[i].kind);
        if (k >= VM_PAGE_KINDS) {
            kern_panic("vm_page_check: frame %llu is of kind %u",
                (unsigned long long)i, k);
        }
        if (k == VM_PAGE_FREE && vm_page_array[i].stamp != pool.stamp) {
            kern_panic("vm_page_check: free frame %llu is lost",
                (unsigned long long)i);
        }
        tally[k]++;
    }
    for (k = 0; k < VM_PAGE_KINDS; k++) {
        uint64_t want = k == VM_PAGE_FREE ? free :
            k == VM_PAGE_RESERVED ? pool.reserved : kind_sum(k);

        if (tally[k] != want) {
            kern_panic("vm_page_check: %llu %s frames, %llu counted",
                (unsigned long long)tally[k], kind_names[k],
                (unsigned long long)want);
        }
    }
}

/*
 * vm_page_check - true at any time, whatever other CPUs do: with all the
 * locks held no frame changes its kind.
 */
void
vm_page_check(void)
{
    unsigned cpu, cpus;

    vm_spin_lock(&pool.lock);
    cpus = vm_get(&pool.cpus);
    for (cpu = 0; cpu < cpus; cpu++) {
        cache_lock(&caches[cpu]);
    }
    pool.stamp++;
    check_kinds(check_lists());
    for (cpu = 0; cpu < cpus; cpu++) {
        cache_unlock(&caches[cpu]);
    }
    vm_spin_unlock(&pool.lock);
}
