/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * random.c - numbers that a program cannot guess.
 *
 * SipHash-2-4 of a counter under a secret key.  The key comes from option
 * "seed=" (the host knows better entropy than a machine that has just started)
 * and the counter of ticks; with the same seed and QEMU's instruction counter
 * a run repeats itself exactly.
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
#include "proc_impl.h"

static uint64_t random_key[2];
static _Atomic uint64_t random_counter;

static inline uint64_t
rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* Of one word. */
static uint64_t
sip_hash(const uint64_t key[2], uint64_t word)
{
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
        key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573
    };
    uint64_t last = (uint64_t)8 << 56;

    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
random_init(void)
{
    random_key[0] = kern_option_u64("seed", 0) ^ UINT64_C(0x9e3779b97f4a7c15);
    random_key[1] = md_ticks();
    random_key[1] = sip_hash(random_key, kern_epoch);
}

uint64_t
unix_random(void)
{
    return sip_hash(random_key, atomic_fetch_add_explicit(&random_counter, 1,
        memory_order_relaxed));
}

#define GRND_KNOWN      7u              /* NONBLOCK, RANDOM, INSECURE */

int64_t
sys_getrandom(const uint64_t *a)
{
    uint64_t to = a[0], done = 0, buf[32];
    uint64_t size = a[1] > INT32_MAX ? INT32_MAX : a[1];

    if ((a[2] & ~(uint64_t)GRND_KNOWN) != 0 || (a[2] & 6) == 6) {
        return -UNIX_EINVAL;
    }
    while (done < size) {
        size_t n = size - done < sizeof(buf) ? size - done : sizeof(buf);

        for (size_t i = 0; i * 8 < n; i++) {
            buf[i] = unix_random();
        }
        if (unix_copyout(to + done, buf, n) != 0) {
            return done != 0 ? (int64_t)done : -UNIX_EFAULT;
        }
        done += n;
        if (done < size && proc_signal_pending()) {
            break;
        }
    }
    return (int64_t)done;
}
