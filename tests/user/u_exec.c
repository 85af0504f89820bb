/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_exec.c - execve: arguments, environment, auxiliary vector, scripts, and
 * files that are no programs or bad ones.
 *
 * The program runs itself again; argv[1] then says what to do.
 */
#define main utest_main
#include "utest.h"
#undef main

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *self;                /* path of this program */
static char **self_argv;
extern char **environ;

static int
run(const char *path, char *const argv[], char *const envp[])
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    UCHECK(pid >= 0);
    if (pid == 0) {
        execve(path, argv, envp);
        _exit(200 + (errno == ENOEXEC ? 1 : errno == EACCES ? 2 :
            errno == ENOENT ? 3 : errno == E2BIG ? 4 : errno == ELOOP ? 5 :
            errno == ENOTDIR ? 6 : errno == ENOMEM ? 7 : 50));
    }
    UCHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#define RUN(...) \
    run(self, (char *[]){ (char *)"me", __VA_ARGS__, NULL }, environ)

/* ---- what the second program looks at --------------------------------- */

static int
child_args(int argc, char **argv)
{
    UCHECK(argc == 5 && strcmp(argv[0], "me") == 0);
    UCHECK(strcmp(argv[2], "") == 0 && strcmp(argv[3], "two words") == 0);
    UCHECK(strlen(argv[4]) == 3000 && argv[argc] == NULL);
    UCHECK(getenv("ONE") != NULL && strcmp(getenv("ONE"), "1") == 0);
    UCHECK(environ[0] != NULL && environ[1] == NULL);
    return 0;
}

static int
child_auxv(void)
{
    const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
    const unsigned char *r = (const void *)getauxval(AT_RANDOM);
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    unsigned loads = 0;

    UCHECK(getauxval(AT_PAGESZ) == (unsigned long)sysconf(_SC_PAGESIZE));
    UCHECK(getauxval(AT_PHENT) == sizeof(Elf64_Phdr));
    UCHECK(ph != NULL && r != NULL);
    for (unsigned i = 0; i < getauxval(AT_PHNUM); i++) {
        loads += ph[i].p_type == PT_LOAD;
    }
    UCHECK(loads >= 2);
    UCHECK(getauxval(AT_CLKTCK) == 100 && getauxval(AT_SECURE) == 0);
    UCHECK(getauxval(AT_UID) == getuid());
    UCHECK(getauxval(AT_ENTRY) != 0);
    UCHECK(strcmp((const char *)getauxval(AT_EXECFN), self) == 0);
    UCHECK((uintptr_t)r > sp);
    return 0;
}

static int
child_state(void)
{
    struct sigaction sa;
    sigset_t set;
    stack_t st;

    UCHECK(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
    UCHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
    UCHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    UCHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGINT));
    UCHECK(sigaltstack(NULL, &st) == 0 && st.ss_flags == SS_DISABLE);
    UCHECK(fcntl(100, F_GETFD) == 0);
    UERRNO(fcntl(101, F_GETFD), EBADF);
    return 0;
}

/* 64 KiB of bss and data with known contents. */
static char zeros[65536];
static char data[5000] = { 1, 2, 3 };

static int
child_memory(void)
{
    for (unsigned i = 0; i < sizeof(zeros); i++) {
        UCHECK(zeros[i] == 0);
    }
    UCHECK(data[0] == 1 && data[2] == 3 && data[4999] == 0);
    data[0] = 9;
    zeros[5] = 9;
    return 0;
}

static int
child(int argc, char **argv)
{
    const char *what = argv[1] + 1;

    return strcmp(what, "args") == 0 ? child_args(argc, argv) :
        strcmp(what, "auxv") == 0 ? child_auxv() :
        strcmp(what, "state") == 0 ? child_state() :
        strcmp(what, "memory") == 0 ? child_memory() :
        strcmp(what, "pid") == 0 ? getpid() != atoi(argv[2]) :
        strcmp(what, "status") == 0 ? atoi(argv[2]) :
        strcmp(what, "count") == 0 ? argc : 99;
}

/* ---- cases ------------------------------------------------------------ */

UTEST(arguments_arrive)
{
    static char longer[3001];

    memset(longer, 'x', 3000);
    UCHECK(run(self, (char *[]){ (char *)"me", (char *)"@args", (char *)"",
        (char *)"two words", longer, NULL },
        (char *[]){ (char *)"ONE=1", NULL }) == 0);
    UCHECK(RUN((char *)"@count", (char *)"a", (char *)"b") == 4);
}

UTEST(auxiliary_vector)
{
    UCHECK(RUN((char *)"@auxv") == 0);
}

UTEST(memory_is_fresh)
{
    memset(zeros, 7, sizeof(zeros));
    memset(data, 7, sizeof(data));
    UCHECK(RUN((char *)"@memory") == 0);
    UCHECK(RUN((char *)"@memory") == 0);
}

static void
on_signal(int signo)
{
    (void)signo;
}

UTEST(state_that_is_kept)
{
    static char stack[65536];
    stack_t st = { .ss_sp = stack, .ss_size = sizeof(stack) };
    sigset_t set;

    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    sigaltstack(&st, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_SETMASK, &set, NULL);
    UCHECK(dup2(1, 100) == 100 && dup3(1, 101, O_CLOEXEC) == 101);
    UCHECK(RUN((char *)"@state") == 0);
}

UTEST(pid_stays)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        char number[20];

        snprintf(number, sizeof(number), "%d", getpid());
        execl(self, "me", "@pid", number, NULL);
        _exit(1);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

UTEST(vfork_and_exec)
{
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        execl(self, "me", "@status", "44", NULL);
        _exit(1);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 44);
}

UTEST(many_execs)
{
    for (int i = 0; i < 30; i++) {
        UCHECK(RUN((char *)"@status", (char *)"5") == 5);
    }
}

UTEST(failure_changes_nothing)
{
    char *argv[] = { (char *)"me", NULL };
    int fd = open("/tmp/u_exec_none", O_CREAT | O_RDWR | O_CLOEXEC, 0644);

    signal(SIGUSR1, on_signal);
    UERRNO(execve("/no/such/file", argv, environ), ENOENT);
    UERRNO(execve("", argv, environ), ENOENT);
    UERRNO(execve("/", argv, environ), EACCES);
    UERRNO(execve("/tmp/u_exec_none", argv, environ), EACCES);
    UERRNO(execve("/tmp/u_exec_none/x", argv, environ), ENOTDIR);
    UERRNO(syscall(SYS_execve, 8, argv, environ), EFAULT);
    UERRNO(syscall(SYS_execve, self, 8, environ), EFAULT);
    UERRNO(syscall(SYS_execve, self, argv, (void *)8), EFAULT);
    UCHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    UCHECK(signal(SIGUSR1, SIG_DFL) == on_signal);
    unlink("/tmp/u_exec_none");
}

UTEST(too_many_arguments)
{
    size_t n = 131073;
    char *one = malloc(n + 1);
    char **many = malloc(400001 * sizeof(char *));

    memset(one, 'a', n);
    one[n] = 0;
    UCHECK(run(self, (char *[]){ (char *)"me", one, NULL }, environ) == 204);
    one[100000] = 0;
    UCHECK(RUN((char *)"@count", one) == 3);
    for (int i = 0; i < 400000; i++) {
        many[i] = (char *)"0123456789";
    }
    many[0] = (char *)"me";
    many[1] = (char *)"@count";
    many[400000] = NULL;
    UCHECK(run(self, many, environ) == 204);
    many[250] = NULL;
    UCHECK(run(self, many, environ) == 250);
}

/* ---- files ------------------------------------------------------------ */

static const char *
make_file(const void *bytes, size_t size)
{
    static char path[64];
    int fd;

    snprintf(path, sizeof(path), "/tmp/u_exec_%d", getpid());
    unlink(path);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755);
    UCHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    UCHECK(fchmod(fd, 0755) == 0 && close(fd) == 0);
    return path;
}

static int
run_file(const void *bytes, size_t size)
{
    const char *path = make_file(bytes, size);
    int result = run(path, (char *[]){ (char *)"me", (char *)"@status",
        (char *)"33", NULL }, environ);

    unlink(path);
    return result;
}

UTEST(scripts)
{
    char text[600];
    const char *path;

    snprintf(text, sizeof(text), "#!%s @count\nanything\n", self);
    path = make_file(text, strlen(text));
    UCHECK(run(path, (char *[]){ (char *)"zero", (char *)"1", NULL },
        environ) == 4);
    snprintf(text, sizeof(text), "#! %s\t @count one word \n", self);
    path = make_file(text, strlen(text));
    UCHECK(run(path, (char *[]){ (char *)"zero", NULL }, environ) == 99);
    unlink(path);
    UCHECK(run_file("#!/no/such/program\n", 19) == 203);
    UCHECK(run_file("#!\n", 3) == 201);
    snprintf(text, sizeof(text), "#!/tmp/u_exec_%d\n", getpid());
    UCHECK(run_file(text, strlen(text)) == 205);
}

UTEST(no_programs)
{
    UCHECK(run_file("", 0) == 201);
    UCHECK(run_file("hello\n", 6) == 201);
    UCHECK(run_file("\177ELF", 4) == 201);
    UCHECK(run_file("\177ELF\2\1\1", 7) == 201);
}

/* This program's file with one change. */
static char *image;
static size_t image_size;

static void
load_image(void)
{
    int fd = open(self, O_RDONLY);
    struct stat st;

    UCHECK(fd >= 0 && fstat(fd, &st) == 0);
    image_size = (size_t)st.st_size;
    image = malloc(image_size);
    UCHECK(read(fd, image, image_size) == st.st_size);
    close(fd);
}

static Elf64_Phdr *
first_load(void)
{
    const Elf64_Ehdr *h = (const void *)image;
    Elf64_Phdr *p = (void *)(image + h->e_phoff);

    while (p->p_type != PT_LOAD) {
        p++;
    }
    return p;
}

UTEST(good_copy_runs)
{
    load_image();
    UCHECK(run_file(image, image_size) == 33);
}

UTEST(foreign_machine)
{
    load_image();
    ((Elf64_Ehdr *)(void *)image)->e_machine = EM_S390;
    UCHECK(run_file(image, image_size) == 201);
}

UTEST(bad_headers)
{
    Elf64_Ehdr *h, good;

    load_image();
    h = (void *)image;
    good = *h;
    h->e_phentsize = 32;
    UCHECK(run_file(image, image_size) == 201);
    *h = good;
    h->e_phnum = 0;
    UCHECK(run_file(image, image_size) == 201);
    *h = good;
    h->e_type = ET_REL;
    UCHECK(run_file(image, image_size) == 201);
    *h = good;
    h->e_phoff = image_size + 100000;
    UCHECK(run_file(image, image_size) >= 201);
}

/* Linux notices some of these later than we do: by a signal. */
static int
is_refused(int result)
{
    return result >= 200;
}

UTEST(bad_segments)
{
    Elf64_Phdr *p, good;

    load_image();
    p = first_load();
    good = *p;
    p->p_filesz = p->p_memsz + 1;
    UCHECK(is_refused(run_file(image, image_size)));
    *p = good;
    p->p_vaddr = (Elf64_Addr)-4096;
    UCHECK(is_refused(run_file(image, image_size)));
    *p = good;
    p->p_memsz = (Elf64_Xword)-1;
    UCHECK(is_refused(run_file(image, image_size)));
    *p = good;
    p->p_offset += 1;
    UCHECK(is_refused(run_file(image, image_size)));
    *p = good;
    UCHECK(run_file(image, image_size) == 33);
}

UTEST(execveat_takes_a_descriptor)
{
    int fd = open(self, O_RDONLY), status;
    pid_t pid = fork();

    if (pid == 0) {
        char *argv[] = { (char *)"me", (char *)"@status", (char *)"12",
            NULL };

        syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
        _exit(1);
    }
    UCHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 12);
    UERRNO(syscall(SYS_execveat, 999, "x", self_argv, environ, 0), EBADF);
    UERRNO(syscall(SYS_execveat, fd, "", self_argv, environ, 0), ENOENT);
    UERRNO(syscall(SYS_execveat, fd, self, self_argv, environ, 0x8000),
        EINVAL);
}

int
main(int argc, char **argv)
{
    self = (const char *)getauxval(AT_EXECFN);
    self_argv = argv;
    if (argc > 1 && argv[1][0] == '@') {
        return child(argc, argv);
    }
    return utest_main(argc, argv);
}
