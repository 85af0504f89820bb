/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_stress.c - the whole mix of operations on several CPUs (stress.h): in
 * threads, for the sanitizers, and in fibers, for histories that repeat.
 */
/* pal: machines=x86_64,aarch64,riscv64,soft,hash flavours=debug timeout=180 */
/* pal: machines=x86_64,riscv64 flavours=tsan timeout=180 */
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"
#include "test.h"

static struct stress_config
config(uint64_t seed, bool fibers, unsigned rounds)
{
    struct stress_config c = {
        .world = {
            .seed = seed, .swap = 2048, .ram = 2048,
            .format = (unsigned)(seed % world_formats()),
            .ahead = seed % 2 == 0 ? 8 : 1,
        },
        .fibers = fibers, .cpus = 4, .rounds = rounds,
    };

    return c;
}

TEST(threads)
{
    for (uint64_t i = 0; i < (test_long ? 200 : 2); i++) {
        struct stress_config c = config(test_seed + i, false,
            test_long ? 4000 : 600);

        (void)stress_run(&c);
    }
}

TEST(many_threads)
{
    struct stress_config c = config(test_seed, false,
        test_long ? 4000 : 150);

    c.cpus = 8;
    (void)stress_run(&c);
}

TEST(fibers)
{
    for (uint64_t i = 0; i < (test_long ? 5000 : 30); i++) {
        struct stress_config c = config(test_seed + i, true,
            20 + (unsigned)(i % 5) * 50);

        c.cpus = 2 + (unsigned)(i % 4);
        (void)stress_run(&c);
    }
}

/* In a process that has done nothing else. */
static uint64_t
hash_of(uint64_t seed)
{
    uint64_t hash = 0;
    int status, pipes[2];
    pid_t pid;

    CHECK(pipe(pipes) == 0);
    pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        struct stress_config c = config(seed, true, 60);

        hash = stress_run(&c);
        _exit(write(pipes[1], &hash, sizeof(hash)) != sizeof(hash));
    }
    CHECK_EQ(read(pipes[0], &hash, sizeof(hash)), sizeof(hash));
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(pipes[0]);
    close(pipes[1]);
    return hash;
}

/* The same seed is the same history. */
TEST(repeats)
{
    uint64_t first = hash_of(test_seed);

    CHECK_EQ(hash_of(test_seed), first);
    CHECK(hash_of(test_seed + 1) != first);
}
