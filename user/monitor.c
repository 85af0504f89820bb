/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor - a small command interpreter, for when there is no shell: look at
 * the files, at memory, run programs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
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

static void
cmd_discard(int argc, char **argv)
{
    mach_task_t task = argc > 1 ? atoi(argv[1]) : mach_task_self();

    printf("%s\n", vm_discard(task, 0, 0) == KERN_SUCCESS ?
        "page tables thrown away" : "refused");
}

static const struct command commands[] = {
    { "help", "this text", cmd_help },
    { "ls", "[DIR]  a directory: mode, size, name", cmd_ls },
    { "cat", "FILE...  what is in files", cmd_cat },
    { "cd", "[DIR]  go there", cmd_cd },
    { "map", "[PID]  regions of an address space", cmd_map },
    { "stat", "memory and faults of the machine", cmd_stat },
    { "discard", "[PID]  throw page tables away", cmd_discard },
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
