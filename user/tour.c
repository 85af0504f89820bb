/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tour - the first program of ./pal boot: run real programs, each in a process
 * of its own, and say of each whether it did what it should, how many faults it
 * took and how long it was (in nanoseconds of the guest's clock, which are guest
 * instructions under -icount).  tools/tour.py reads these lines:
 *
 *   tour: NAME begin
 *   tour: NAME pass faults=N instructions=N
 *   tour: NAME fail faults=N instructions=N REASON
 *   tour: counters NAME KEY=VALUE ...
 *   tour: done PASSED FAILED
 *
 * An argument selects the scenarios whose name contains it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "mach_vm.h"
#include "scene.h"

/* What becomes of a scenario's standard output. */
enum output {
    LAST_LINE,          /* the reason, if it fails */
    SAME_AS_FILE,       /* must be the bytes of argv[1] */
    SAME_AS_TEXT,       /* must be text */
    COUNTERS,           /* lines for the tool */
};

struct scenario {
    const char *name;
    const char *argv[12];
    enum output output;
    const char *text;
    int status;         /* as waitpid gives it */
};

static const struct scenario scenarios[] = {
    { "hello", { "/bin/hello" }, SAME_AS_TEXT, "hello, world\n", 0 },
    { "arguments", { "/bin/hello", "-a", "one", "", "t w o" }, SAME_AS_TEXT,
        "one\n\nt w o\n", 0 },
    { "mmapcopy", { "/bin/mmapcopy", "/etc/words" }, SAME_AS_FILE, NULL, 0 },
    { "forktree", { "/bin/forktree" }, LAST_LINE, NULL, 0 },
    { "exec", { "/bin/execother" }, LAST_LINE, NULL, 0 },
    { "access", { "/bin/access" }, LAST_LINE, NULL, 0 },
    { "collector", { "/bin/gc" }, LAST_LINE, NULL, 0 },
    { "mach", { "/bin/machcalls" }, LAST_LINE, NULL, 0 },
    { "fork-line", { "/bin/forkline", "1000" }, LAST_LINE, NULL, 0 },
    { "sort-64M", { "/bin/bigsort", "64" }, LAST_LINE, NULL, 0 },
    { "all-memory", { "/bin/allmemory" }, LAST_LINE, NULL, 0 },
    { "bad-elf", { "/bin/badelf" }, LAST_LINE, NULL, 0 },
    { "same-counters", { "/bin/counters" }, COUNTERS, NULL, 0 },
    { "vmbench", { "/bin/vmbench", "-s", "4", "null", "zero", "soft", "cow", "map",
        "prot" },
        LAST_LINE, NULL, 0 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static char reason[256];

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t
fault_count(void)
{
    struct vm_statistics s;

    return vm_counters(&s) == KERN_SUCCESS ? s.faults : 0;
}

static pid_t
start(const struct scenario *s, int out[2])
{
    pid_t pid;

    if (pipe(out) != 0) {
        return -1;
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execv(s->argv[0], (char **)(uintptr_t)s->argv);
        printf("cannot run %s: %s\n", s->argv[0], strerror(errno));
        fflush(stdout);
        _exit(127);
    }
    close(out[1]);
    return pid;
}

/* Compare n bytes of output with the file's next ones. */
static int
same_bytes(int file, const char *buf, size_t n, size_t at)
{
    char want[4096];

    while (n > 0) {
        size_t step = n < sizeof(want) ? n : sizeof(want);

        if (pread(file, want, step, (off_t)at) != (ssize_t)step ||
            memcmp(buf, want, step) != 0) {
            snprintf(reason, sizeof(reason),
                "output differs from the file near byte %zu", at);
            return 0;
        }
        buf += step;
        at += step;
        n -= step;
    }
    return 1;
}

/* All of it into text (as much as fits), or compared with a file. */
static size_t
drain(int fd, int file, char *text, size_t room)
{
    char buf[4096];
    size_t total = 0;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        size_t keep = room > total ? room - total : 0;

        if (file >= 0) {
            (void)same_bytes(file, buf, (size_t)n, total);
        } else {
            memcpy(text + total, buf, (size_t)n < keep ? (size_t)n : keep);
        }
        total += (size_t)n;
    }
    return total;
}

static void
check_text(const struct scenario *s, char *text, size_t n, size_t room)
{
    n = n < room - 1 ? n : room - 1;
    text[n] = '\0';
    if (s->output == SAME_AS_TEXT && strcmp(text, s->text) != 0) {
        snprintf(reason, sizeof(reason), "wrong output: %.60s", text);
    }
    if (s->output == COUNTERS) {
        for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n")) {
            printf("tour: counters %s\n", l);
        }
    }
}

/* The last line of what it said, if it ended badly. */
static void
check_status(const struct scenario *s, int status, char *text)
{
    char *line;

    if (status == s->status || reason[0] != '\0') {
        return;
    }
    line = text + strlen(text);
    while (line > text && line[-1] == '\n') {
        *--line = '\0';
    }
    line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    if (WIFSIGNALED(status)) {
        snprintf(reason, sizeof(reason), "killed by signal %d: %.150s",
            WTERMSIG(status), line);
    } else {
        snprintf(reason, sizeof(reason), "exit status %d: %.150s",
            WEXITSTATUS(status), line);
    }
}

static int
run(const struct scenario *s)
{
    static char text[65536];
    uint64_t faults = fault_count(), began = now();
    int out[2], status = 0, file = -1;
    struct stat st;
    size_t n;
    pid_t pid;

    reason[0] = '\0';
    text[0] = '\0';
    printf("tour: %s begin\n", s->name);
    if (s->output == SAME_AS_FILE) {
        file = open(s->argv[1], O_RDONLY);
    }
    pid = start(s, out);
    if (pid < 0) {
        snprintf(reason, sizeof(reason), "%s", strerror(errno));
        n = 0;
    } else {
        n = drain(out[0], file, text, sizeof(text) - 1);
        close(out[0]);
        waitpid(pid, &status, 0);
    }
    faults = fault_count() - faults;
    began = now() - began;
    if (file < 0) {
        check_text(s, text, n, sizeof(text));
    } else if (fstat(file, &st) != 0 || (size_t)st.st_size != n) {
        snprintf(reason, sizeof(reason), "%zu bytes came", n);
    }
    check_status(s, status, text);
    if (file >= 0) {
        close(file);
    }
    printf("tour: %s %s faults=%llu instructions=%llu%s%s\n", s->name,
        reason[0] == '\0' ? "pass" : "fail", (unsigned long long)faults,
        (unsigned long long)began, reason[0] == '\0' ? "" : " ", reason);
    fflush(stdout);
    return reason[0] == '\0';
}

int
main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;

    for (size_t i = 0; i < SCENARIOS; i++) {
        if (argc > 1 && strstr(scenarios[i].name, argv[1]) == NULL) {
            continue;
        }
        if (run(&scenarios[i])) {
            passed++;
        } else {
            failed++;
        }
    }
    printf("tour: done %u %u\n", passed, failed);
    return failed != 0 || passed == 0;
}
