/* SPDX-License-Identifier: BSD-2-Clause */
/* pal: machines=x86_64 flavours=debug,tsan */
/*
 * t_lock.c - locks exclude, mutexes and wait channels lose no wakeup,
 * ranks are enforced, and a reader of the map sequence sees one state.
 *
 * What a lock guards here is plain memory, so that ThreadSanitizer, too,
 * says whether the lock excludes.  What takes several CPUs runs twice: in
 * threads, and in fibers whose order the seed decides.
 */
#include <string.h>

#include "host.h"
#include "test.h"
#include "vm_lock.h"

#define THREADS 4u

static unsigned
rounds(void)
{
    return test_long ? 1000000 : 5000;
}

static struct {
    struct vm_spin spin;
    struct vm_mutex mutex;
    _Atomic uint32_t word;
    uint64_t count[8];          /* guarded by whatever the test says */
    _Atomic uint32_t inside;
} g;

static void
begin(void)
{
    memset(&g, 0, sizeof(g));
    g.spin = (struct vm_spin)VM_SPIN_INIT(VM_RANK_ZONE);
    g.mutex = (struct vm_mutex)VM_MUTEX_INIT(VM_RANK_OBJECT);
    host_memory(12, 64);
}

/* Relaxed: or it is this that orders the threads, and not the lock. */
static void
enter(void)
{
    CHECK_EQ(atomic_fetch_add_explicit(&g.inside, 1, memory_order_relaxed),
        0);
}

static void
leave(void)
{
    CHECK_EQ(atomic_fetch_sub_explicit(&g.inside, 1, memory_order_relaxed),
        1);
}

static void
spin_thread(void *arg, unsigned cpu)
{
    unsigned i;

    (void)arg;
    (void)cpu;
    for (i = 0; i < rounds(); i++) {
        vm_spin_lock(&g.spin);
        enter();
        g.count[0]++;
        vm_point();
        g.count[1]++;
        leave();
        vm_spin_unlock(&g.spin);
    }
}

TEST_SMP(spin_excludes)
{
    begin();
    host_run(THREADS, spin_thread, NULL);
    CHECK_EQ(g.count[0], (uint64_t)THREADS * rounds());
    CHECK_EQ(g.count[1], (uint64_t)THREADS * rounds());
    host_memory_end();
}

/* Four bits guard four counters; the fifth bit changes all the time. */
static void
bit_thread(void *arg, unsigned cpu)
{
    struct test_rng r;
    unsigned i;

    (void)arg;
    test_rng_init(&r, cpu);
    for (i = 0; i < rounds(); i++) {
        unsigned b = (unsigned)test_rng_below(&r, 4);

        vm_bit_lock(&g.word, 1u << b, VM_RANK_LEAF);
        g.count[b]++;
        atomic_fetch_xor_explicit(&g.word, 1u << 31, memory_order_relaxed);
        CHECK((vm_get(&g.word) & 1u << b) != 0);
        vm_bit_unlock(&g.word, 1u << b, VM_RANK_LEAF);
    }
}

TEST_SMP(bit_excludes)
{
    begin();
    host_run(THREADS, bit_thread, NULL);
    CHECK_EQ(g.count[0] + g.count[1] + g.count[2] + g.count[3],
        (uint64_t)THREADS * rounds());
    CHECK_EQ(g.word, 0);
    host_memory_end();
}

static void
mutex_thread(void *arg, unsigned cpu)
{
    struct test_rng r;
    unsigned i, turn;

    (void)arg;
    test_rng_init(&r, cpu);
    for (i = 0; i < rounds(); i++) {
        if (test_rng_below(&r, 4) == 0) {
            if (!vm_mutex_trylock(&g.mutex)) {
                continue;
            }
        } else {
            vm_mutex_lock(&g.mutex);
        }
        CHECK(vm_mutex_is_locked(&g.mutex));
        enter();
        g.count[0]++;
        g.count[1 + cpu]++;
        /* Now and then long enough for the others to fall asleep. */
        turn = test_rng_below(&r, 64) == 0 ? 300 : 0;
        for (; turn != 0; turn--) {
            kern_relax();
        }
        leave();
        vm_mutex_unlock(&g.mutex);
    }
}

TEST_SMP(mutex_excludes)
{
    uint64_t sum = 0;
    unsigned i;

    begin();
    host_run(THREADS, mutex_thread, NULL);
    for (i = 0; i < THREADS; i++) {
        sum += g.count[1 + i];
    }
    CHECK_EQ(g.count[0], sum);
    CHECK_EQ(g.mutex.word, 0);
    host_memory_end();
}

TEST(mutex_try)
{
    begin();
    CHECK(vm_mutex_trylock(&g.mutex));
    CHECK(!vm_mutex_trylock(&g.mutex));
    CHECK(vm_mutex_is_locked(&g.mutex));
    vm_mutex_unlock(&g.mutex);
    CHECK(!vm_mutex_is_locked(&g.mutex));
    CHECK(vm_mutex_trylock(&g.mutex));
    vm_mutex_unlock(&g.mutex);
    host_memory_end();
}

/*
 * A ring of boxes, each with its own event: thread i waits until box i is
 * full, empties it and fills box i + 1.  One lost wakeup stops the ring.
 */
static struct vm_mutex ring_lock[THREADS];
static unsigned ring_full[THREADS];

static void
ring_thread(void *arg, unsigned cpu)
{
    unsigned i, n = *(unsigned *)arg, next = (cpu + 1) % THREADS;

    for (i = 0; i < n; i++) {
        vm_mutex_lock(&ring_lock[cpu]);
        while (ring_full[cpu] == 0) {
            struct vm_ticket t = vm_wait_ticket(&ring_full[cpu]);

            vm_mutex_unlock(&ring_lock[cpu]);
            CHECK_EQ(vm_wait_sleep(t, false), 0);
            vm_mutex_lock(&ring_lock[cpu]);
        }
        CHECK_EQ(ring_full[cpu], 1);
        ring_full[cpu] = 0;
        vm_mutex_unlock(&ring_lock[cpu]);

        vm_mutex_lock(&ring_lock[next]);
        ring_full[next]++;
        /* Inside the lock and outside of it: both are legal. */
        if ((i & 1) != 0) {
            vm_wakeup(&ring_full[next]);
            vm_mutex_unlock(&ring_lock[next]);
        } else {
            vm_mutex_unlock(&ring_lock[next]);
            vm_wakeup(&ring_full[next]);
        }
    }
}

TEST_SMP(wait_ring)
{
    unsigned i, n = rounds();

    begin();
    for (i = 0; i < THREADS; i++) {
        ring_lock[i] = (struct vm_mutex)VM_MUTEX_INIT(VM_RANK_OBJECT);
    }
    ring_full[0] = 1;
    host_run(THREADS, ring_thread, &n);
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(ring_full[i], i == 0);
    }
    host_memory_end();
}

/* All wait for one event, the last comer wakes them all. */
static unsigned gate_inside, gate_turn;

static void
gate_thread(void *arg, unsigned cpu)
{
    unsigned i, turn;

    (void)arg;
    (void)cpu;
    for (i = 0; i < rounds() / 4; i++) {
        vm_mutex_lock(&g.mutex);
        turn = gate_turn;
        CHECK_EQ(turn, i);
        if (++gate_inside == THREADS) {
            gate_inside = 0;
            gate_turn++;
            vm_wakeup(&gate_turn);
        }
        while (gate_turn == turn) {
            struct vm_ticket t = vm_wait_ticket(&gate_turn);

            vm_mutex_unlock(&g.mutex);
            CHECK_EQ(vm_wait_sleep(t, true), 0);
            vm_mutex_lock(&g.mutex);
        }
        vm_mutex_unlock(&g.mutex);
    }
}

TEST_SMP(wait_gate)
{
    begin();
    host_run(THREADS, gate_thread, NULL);
    CHECK_EQ(gate_turn, rounds() / 4);
    host_memory_end();
}

/* A wakeup between ticket and sleep is not lost. */
static void
stale_thread(void *arg, unsigned cpu)
{
    struct vm_ticket t;
    char event[64];
    unsigned i;

    (void)arg;
    (void)cpu;
    for (i = 0; i < sizeof(event); i++) {
        t = vm_wait_ticket(&event[i]);
        vm_wakeup(&event[i]);
        CHECK_EQ(vm_wait_sleep(t, false), 0);
    }
}

TEST_SMP(wait_stale_ticket)
{
    begin();
    host_run(1, stale_thread, NULL);
    host_memory_end();
}

/*
 * The sequence: the writer keeps two words equal outside its sections and
 * unequal inside; a validated reader never sees them differ.
 */
static struct {
    struct vm_seq seq;
    _Atomic uint64_t a, b;
    _Atomic bool done;
    _Atomic uint64_t seen;
} s;

static void
seq_thread(void *arg, unsigned cpu)
{
    uint64_t a, b;
    vm_seq_t v;
    unsigned i;

    (void)arg;
    if (cpu == 0) {
        for (i = 1; i <= rounds(); i++) {
            vm_seq_begin(&s.seq);
            vm_set(&s.a, i);
            vm_point();
            vm_set(&s.b, i);
            vm_seq_end(&s.seq);
            vm_point();
        }
        atomic_store(&s.done, true);
        return;
    }
    while (!atomic_load(&s.done)) {
        v = vm_seq_read(&s.seq);
        a = vm_get(&s.a);
        vm_point();
        b = vm_get(&s.b);
        if (vm_seq_valid(&s.seq, v)) {
            CHECK_EQ(a, b);
            CHECK_EQ(a * 2, v);
            atomic_fetch_add(&s.seen, 1);
        }
        kern_relax();
    }
}

TEST_SMP(seq_one_state)
{
    begin();
    host_run(THREADS, seq_thread, NULL);
    CHECK_EQ(s.a, rounds());
    CHECK(vm_seq_valid(&s.seq, 2 * (uint64_t)rounds()));
    CHECK(!vm_seq_valid(&s.seq, 2 * (uint64_t)rounds() - 2));
    vm_seq_begin(&s.seq);
    CHECK(!vm_seq_valid(&s.seq, vm_seq_read(&s.seq)));
    vm_seq_end(&s.seq);
    host_memory_end();
}

#if VM_DEBUG
static void
acquire(void *arg)
{
    vm_held_acquire(*(enum vm_rank *)arg);
}

static void
release(void *arg)
{
    vm_held_release(*(enum vm_rank *)arg);
}

static void
spin_take(void *arg)
{
    vm_spin_lock(arg);
}

static void
spin_drop(void *arg)
{
    vm_spin_unlock(arg);
}

/* Every pair: legal if the rank rises, or objects follow objects. */
TEST(rank_pairs)
{
    enum vm_rank outer, inner;

    begin();
    for (outer = VM_RANK_OUTER; outer < VM_RANK_COUNT; outer++) {
        for (inner = VM_RANK_OUTER; inner < VM_RANK_COUNT; inner++) {
            bool legal = inner > outer ||
                (inner == outer && inner == VM_RANK_OBJECT);

            vm_held_acquire(outer);
            CHECK(vm_held_any(outer));
            CHECK_EQ(host_expect_panic(acquire, &inner), !legal);
            if (legal) {
                CHECK(vm_held_any(inner));
                vm_held_release(inner);
            }
            CHECK(inner == outer || !vm_held_any(inner));
            vm_held_release(outer);
            CHECK(!vm_held_any(outer));
        }
    }
    host_memory_end();
}

/* The whole ladder up, then down in another order than it went up. */
TEST(rank_ladder)
{
    enum vm_rank r;

    begin();
    for (r = VM_RANK_OUTER; r < VM_RANK_COUNT; r++) {
        vm_held_acquire(r);
    }
    for (r = VM_RANK_OUTER; r < VM_RANK_COUNT; r++) {
        CHECK(host_expect_panic(acquire, &r));
        vm_held_release(r);
    }
    for (r = VM_RANK_OUTER; r < VM_RANK_COUNT; r++) {
        CHECK(!vm_held_any(r));
        CHECK(host_expect_panic(release, &r));
    }
    host_memory_end();
}

TEST(rank_trylock_any_order)
{
    struct vm_mutex map = VM_MUTEX_INIT(VM_RANK_MAP);
    enum vm_rank r = VM_RANK_MAP;

    begin();
    vm_mutex_lock(&g.mutex);
    CHECK(host_expect_panic(acquire, &r));
    CHECK(vm_mutex_trylock(&map));
    CHECK(vm_held_any(VM_RANK_MAP));
    vm_mutex_unlock(&map);
    CHECK(!vm_held_any(VM_RANK_MAP));
    vm_mutex_unlock(&g.mutex);
    host_memory_end();
}

TEST(rank_uninitialised)
{
    struct vm_spin zero = { 0 };

    begin();
    CHECK(host_expect_panic(spin_take, &zero));
}

TEST(rank_real_locks)
{
    struct vm_spin outer = VM_SPIN_INIT(VM_RANK_LIMBO);

    begin();
    vm_spin_lock(&g.spin);
    CHECK(host_expect_panic(spin_take, &outer));
    vm_spin_unlock(&g.spin);
    vm_spin_lock(&outer);
    vm_spin_lock(&g.spin);
    vm_spin_unlock(&outer);
    vm_spin_unlock(&g.spin);
    host_memory_end();
}

TEST(unlock_of_free_lock)
{
    begin();
    CHECK(host_expect_panic(spin_drop, &g.spin));
}
#endif
