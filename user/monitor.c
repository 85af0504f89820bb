/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor - a small command interpreter, for when there is no shell: look at
 * the files, at memory, run programs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "mach_vm.h"
#include "scene.h"

#define WORDS 32

struct command {
    const char *name, *help;
    void (*fn)(int argc, char **argv);
};

static const struct command commands[];

static void
cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (const struct command *c = commands; c->name != NULL; c++) {
        printf("  %-8s %s\n", c->name, c->help);
    }
    printf("  anything else is a program: a path, or a name in /bin\n");
}

static void
cmd_exit(int argc, char **argv)
{
    exit(argc > 1 ? atoi(argv[1]) : 0);
}

static void
cmd_ls(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : ".";
    DIR *d = opendir(path);
    struct dirent *e;
    struct stat st;

    if (d == NULL) {
        perror(path);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            printf("%06o %10lld %s\n", (unsigned)st.st_mode,
                (long long)st.st_size, e->d_name);
        }
    }
    closedir(d);
}

static void
cmd_cat(int argc, char **argv)
{
    char buf[4096];

    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDONLY);
        ssize_t n = fd < 0 ? -1 : 0;

        fflush(stdout);
        while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0 &&
            write(STDOUT_FILENO, buf, (size_t)n) == n) {
            continue;
        }
        if (n < 0) {
            perror(argv[i]);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
}

static void
cmd_cd(int argc, char **argv)
{
    if (chdir(argc > 1 ? argv[1] : "/") != 0) {
        perror(argv[1]);
    }
}

static void
cmd_map(int argc, char **argv)
{
    mach_task_t task = argc > 1 ? atoi(argv[1]) : mach_task_self();
    struct vm_region_info r;
    vm_address_t at = 0;

    while (vm_region(task, &at, &r) == KERN_SUCCESS) {
        printf("%012" PRIx64 " %9" PRIu64 " KiB  %c%c%c/%c%c%c %s%s%s "
            "object %016" PRIx64 " + %" PRIx64 "\n", at, r.size / 1024,
            r.protection & VM_PROT_READ ? 'r' : '-',
            r.protection & VM_PROT_WRITE ? 'w' : '-',
            r.protection & VM_PROT_EXECUTE ? 'x' : '-',
            r.max_protection & VM_PROT_READ ? 'r' : '-',
            r.max_protection & VM_PROT_WRITE ? 'w' : '-',
            r.max_protection & VM_PROT_EXECUTE ? 'x' : '-',
            r.shared ? "shared" : "private",
            r.needs_copy ? ", needs copy" : "", r.wired ? ", wired" : "",
            r.object, r.offset);
        at += r.size;
    }
}

static void
cmd_stat(int argc, char **argv)
{
    struct vm_statistics s;

    (void)argc;
    (void)argv;
    if (vm_statistics(&s) != KERN_SUCCESS) {
        printf("this kernel has no vm_statistics\n");
        return;
    }
    printf("pages of %" PRIu64 ": free %" PRIu64 " object %" PRIu64
        " table %" PRIu64 " kernel %" PRIu64 " wired %" PRIu64 "\n",
        s.page_size, s.pages_free, s.pages_object, s.pages_table,
        s.pages_kernel, s.pages_wired);
    printf("faults %" PRIu64 ": zero %" PRIu64 " soft %" PRIu64 " copy %"
        PRIu64 " move %" PRIu64 " pagein %" PRIu64 " errors %" PRIu64 "\n",
        s.faults, s.zero_faults, s.soft_faults, s.copy_faults,
        s.move_faults, s.pagein_faults, s.fault_errors);
    printf("shadows %" PRIu64 " collapses %" PRIu64 " bypasses %" PRIu64
        " snapshots %" PRIu64 " forks %" PRIu64 "\n", s.shadows,
        s.collapses, s.bypasses, s.snapshots, s.forks);
}

/* ---- page tables -------------------------------------------------------- */

#define NOBODY  (-2)            /* no task is called that */

/* What is no number is not taken for 0, which means something. */
static bool
number(const char *word, uint64_t *n)
{
    char *end;

    errno = 0;
    *n = strtoull(word, &end, 0);
    return errno == 0 && word[0] >= '0' && word[0] <= '9' && *end == 0;
}

/* A process number, "all", or NULL: ourselves. */
static mach_task_t
task_named(const char *word)
{
    uint64_t n;

    if (word == NULL) {
        return mach_task_self();
    }
    return strcmp(word, "all") == 0 ? VM_ALL :
        number(word, &n) && n <= INT32_MAX ? (mach_task_t)n : NOBODY;
}

static void
say_result(kern_return_t r)
{
    static const char *const why[] = {
        [KERN_SUCCESS] = "done",
        [KERN_NO_SPACE] = "it has memory where that does not reach",
        [KERN_INVALID_ARGUMENT] = "there is no such thing",
        [KERN_FAILURE] = "it runs, or is busy",
        [KERN_INVALID_TASK] = "no process, or none of this program's",
        [KERN_NOT_SUPPORTED] = "this kernel cannot",
    };
    bool known = r >= 0 && (size_t)r < sizeof(why) / sizeof(why[0]) &&
        why[r] != NULL;

    printf("%s\n", known ? why[r] : "refused");
}

static void
cmd_discard(int argc, char **argv)
{
    say_result(vm_discard(task_named(argc > 1 ? argv[1] : NULL), 0, 0));
}

/* A budget in one line; kib: what a table takes. */
static void
print_budget(const char *who, mach_task_t task, uint64_t kib)
{
    struct vm_table_budget b;
    char limit[32] = "no limit";

    if (vm_table_budget(task, VM_BUDGET_ASK, &b) != KERN_SUCCESS) {
        return;
    }
    if (b.limit != 0) {
        snprintf(limit, sizeof(limit), "limit %" PRIu64, b.limit);
    }
    printf("%8s  %6" PRIu64 " tables, %6" PRIu64 " KiB, %s, peak %" PRIu64
        ", evicted %" PRIu64 "\n", who, b.tables, b.tables * kib, limit,
        b.peak, b.evicted);
}

static void
set_limit(mach_task_t task, const char *word)
{
    struct vm_table_budget b;
    uint64_t n;

    if (!number(word, &n) || n == VM_BUDGET_ASK) {
        printf("%s is no number of tables\n", word);
    } else if (n != 0 && vm_table_budget(task, VM_BUDGET_ASK, &b) ==
        KERN_SUCCESS && n < b.floor) {
        printf("the least is %" PRIu64 "\n", b.floor);
    } else {
        say_result(vm_table_budget(task, n, NULL));
    }
}

static void
cmd_tables(int argc, char **argv)
{
    uint64_t kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    mach_task_t task = task_named(argc > 1 ? argv[1] : NULL);
    DIR *d = opendir("/proc");
    struct dirent *e;

    if (argc > 2) {
        set_limit(task, argv[2]);
    }
    print_budget("machine", VM_BUDGET_MACHINE, kib);
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (atoi(e->d_name) > 1) {
            print_budget(e->d_name, atoi(e->d_name), kib);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static void
cmd_format(int argc, char **argv)
{
    mach_task_t task = task_named(argc > 1 ? argv[1] : NULL);
    char text[256];

    if (argc > 2) {
        say_result(vm_configure(task, argv[2]));
    }
    if (vm_configuration(task, text, sizeof(text)) == KERN_SUCCESS) {
        printf("%s", text);
    }
}

/* Names with commas between them, or every; 0: none is called that. */
static uint32_t
storm_kinds(char *list)
{
    static const char *const names[VM_STORM_KINDS] = VM_STORM_NAMES;
    uint32_t kinds = 0;

    for (char *w = strtok(list, ","); w != NULL; w = strtok(NULL, ",")) {
        uint32_t kind = strcmp(w, "every") == 0 ?
            (1u << VM_STORM_KINDS) - 1 : 0;

        for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
            kind |= strcmp(w, names[i]) == 0 ? 1u << i : 0;
        }
        if (kind == 0) {
            printf("there is no storm %s\n", w);
            return 0;
        }
        kinds |= kind;
    }
    return kinds;
}

static void
cmd_storm(int argc, char **argv)
{
    static const char *const names[VM_STORM_KINDS] = VM_STORM_NAMES;
    struct vm_storm_report r;
    uint64_t rate = 1000;
    uint32_t kinds = 0;

    if (argc > 2 && (!number(argv[2], &rate) || rate > VM_STORM_RATE_MAX)) {
        printf("%s is no rate from 0 to %u\n", argv[2], VM_STORM_RATE_MAX);
        return;
    }
    if (argc > 1 && strcmp(argv[1], "off") != 0) {
        kinds = storm_kinds(argv[1]);
    }
    if (argc > 1 && (kinds != 0 || strcmp(argv[1], "off") == 0)) {
        say_result(vm_storm(kinds, rate, 1, 0));
    }
    if (vm_storm_report(&r) != KERN_SUCCESS) {
        return;
    }
    printf("%s for %" PRIu64 " ms\n", r.kinds != 0 ? "blows" : "calm, blew",
        r.nanoseconds / 1000000);
    for (unsigned i = 0; i < VM_STORM_KINDS; i++) {
        if (r.done[i] + r.refused[i] != 0) {
            printf("  %-8s %" PRIu64 " done, %" PRIu64 " refused\n",
                names[i], r.done[i], r.refused[i]);
        }
    }
    printf("since boot: %" PRIu64 " soft faults, tables made %" PRIu64
        " evicted %" PRIu64 ", mismatches %" PRIu64 "\n", r.soft_faults,
        r.tables_made, r.evicted, r.mismatches);
}

static void
cmd_heal(int argc, char **argv)
{
    mach_task_t task = argc > 1 ? task_named(argv[1]) : VM_ALL;
    uint64_t n;

    if (vm_heal(task, 1, &n) == KERN_SUCCESS) {
        printf("%" PRIu64 " translations were wrong\n", n);
    } else {
        printf("refused\n");
    }
}

static void
cmd_doze(int argc, char **argv)
{
    say_result(vm_doze(task_named(argc > 1 ? argv[1] : NULL)));
}

static const struct command commands[] = {
    { "help", "this text", cmd_help },
    { "ls", "[DIR]  a directory: mode, size, name", cmd_ls },
    { "cat", "FILE...  what is in files", cmd_cat },
    { "cd", "[DIR]  go there", cmd_cd },
    { "map", "[PID]  regions of an address space", cmd_map },
    { "stat", "memory and faults of the machine", cmd_stat },
    { "tables", "[PID [LIMIT]]  page tables of each; 0: no limit",
        cmd_tables },
    { "format", "[PID [WHAT]]  their format: sv48, 16k, untagged, large ...",
        cmd_format },
    { "discard", "[PID|all]  throw page tables away", cmd_discard },
    { "storm", "[LIST [RATE]|off]  blows: page,range,table ...", cmd_storm },
    { "heal", "[PID]  verify page tables, repair", cmd_heal },
    { "doze", "PID  take the tables of one that sleeps", cmd_doze },
    { "exit", "[STATUS]  leave the machine", cmd_exit },
    { NULL, NULL, NULL }
};

static void
run_program(char **argv)
{
    char path[256];
    int status;
    pid_t pid = scene_fork();

    if (pid == 0) {
        execv(argv[0], argv);
        if (strchr(argv[0], '/') == NULL) {
            snprintf(path, sizeof(path), "/bin/%s", argv[0]);
            execv(path, argv);
        }
        fprintf(stderr, "%s: %s (help lists the commands)\n", argv[0],
            strerror(errno));
        _exit(127);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
        printf("killed by signal %d\n", WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        printf("exit status %d\n", WEXITSTATUS(status));
    }
}

int
main(void)
{
    char line[1024], *argv[WORDS + 1];
    const struct command *c;
    int argc;

    for (;;) {
        printf("palimpsest> ");
        fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL) {
            return 0;
        }
        argc = 0;
        for (char *w = strtok(line, " \t\n"); w != NULL && argc < WORDS;
            w = strtok(NULL, " \t\n")) {
            argv[argc++] = w;
        }
        argv[argc] = NULL;
        for (c = commands; argc > 0 && c->name != NULL; c++) {
            if (strcmp(c->name, argv[0]) == 0) {
                c->fn(argc, argv);
                break;
            }
        }
        if (argc > 0 && c->name == NULL) {
            run_program(argv);
        }
    }
}
