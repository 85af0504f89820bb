/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbench: virtual-memory micro-benchmarks on plain POSIX/Linux calls.
 *
 * One static program for x86_64, aarch64 and riscv64.  It prints one
 *     name value unit
 * line per result; every measured quantity appears as name.min, name.med and
 * name.max over its repetitions.  Lines that start with '#' are remarks.
 *
 * Run as pid 1 (as an initramfs' /init) it mounts what it needs, runs itself
 * with the arguments found in vmbench=a,b,c on the kernel command line, and
 * powers the machine off.
 *
 * usage: vmbench [-s SHIFT] [group ...]      (no group: all of them)
 *   -s SHIFT divides repetition counts by 2^SHIFT (sizes never change)
 * usage: vmbench --boot
 *   only tells what the boot took, by the clock, and left of memory
 */
#include "vmbench.h"

int ncpu = 1;
int shift;
const char *self = "/proc/self/exe";

static const struct {
    const char *n;
    void (*f)(void);
} tab[] = {
    { "calib", b_calib },
    { "perf", b_perf },
    { "null", b_null },
    { "zero", b_zero },
    { "soft", b_soft },
    { "cow", b_cow },
    { "fork", b_fork },
    { "map", b_map },
    { "prot", b_prot },
    { "chain", b_chain },
    { "ctx", b_ctx },
    { "shoot", b_shoot },
    { "mt", b_mt },
    { "many", b_many },
    { "upager", b_upager },
    { "ptmem", b_ptmem },
    { "retouch", b_retouch },
    { "drain", b_drain },
    { "lookup", b_lookup },
    { "discard", b_discard },
    { "bill", b_bill },
};

static void
cat1(const char *path)
{
    char b[256];
    int f = open(path, O_RDONLY);
    if (f < 0) {
        return;
    }
    ssize_t n = read(f, b, sizeof b - 1);
    close(f);
    if (n <= 0) {
        return;
    }
    b[n] = 0;
    b[strcspn(b, "\n")] = 0;
    printf("# %s: %s\n", path, b);
}

/* By the first instructions of main(), so libc's start is in it. */
static int
boot(void)
{
    static const char *const keys[] = { "MemTotal:", "MemFree:", "AnonPages:",
        "Slab:", "KernelStack:", "PageTables:" };
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    value("ns", ts.tv_sec * 1e9 + ts.tv_nsec, "boot_to_user");
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        int length = (int)strlen(keys[i]) - 1;

        value("KiB", field_kib("/proc/meminfo", keys[i]), "boot_%.*s", length,
            keys[i]);
    }
    fflush(stdout);
    return 0;
}

static int
bench(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--exit")) {
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "--boot")) {
        return boot();
    }
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    int i = 1;
    if (i + 1 < argc && !strcmp(argv[i], "-s")) {
        shift = atoi(argv[i + 1]);
        i += 2;
    }
    ncpu = sysconf(_SC_NPROCESSORS_ONLN);
    struct utsname u;
    uname(&u);
    printf("# %s %s %s ncpu=%d\n", u.release, u.version, u.machine, ncpu);
    cat1("/proc/cmdline");
    cat1("/sys/kernel/mm/transparent_hugepage/enabled");
    cat1("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    static const char *vul[] = { "meltdown", "spectre_v1", "spectre_v2",
        "spec_store_bypass", "retbleed", "spec_rstack_overflow", "mds" };
    for (unsigned k = 0; k < sizeof vul / sizeof *vul; k++) {
        char p[128];
        snprintf(
            p, sizeof p, "/sys/devices/system/cpu/vulnerabilities/%s", vul[k]);
        cat1(p);
    }
    flush();
    pin(0);
    for (unsigned k = 0; k < sizeof tab / sizeof *tab; k++) {
        int want = i >= argc;
        for (int j = i; j < argc; j++) {
            want |= !strcmp(argv[j], tab[k].n);
        }
        if (!want) {
            continue;
        }
        uint64_t t = now();
        printf("# group %s\n", tab[k].n);
        flush();
        tab[k].f();
        printf("# group %s took %.1f ms\n", tab[k].n, (now() - t) / 1e6);
        flush();
        pin(0);
    }
    return 0;
}

static int
init_main(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, 0);
    mount("sys", "/sys", "sysfs", 0, 0);
    mount("dev", "/dev", "devtmpfs", 0, 0);
    mount("debug", "/sys/kernel/debug", "debugfs", 0, 0);
    int f = open("/dev/console", O_RDWR);
    if (f >= 0) {
        dup2(f, 0);
        dup2(f, 1);
        dup2(f, 2);
    }
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    value("ms", ts.tv_sec * 1e3 + ts.tv_nsec / 1e6, "boot_to_init");
    flush();
    wr("/proc/sys/kernel/perf_event_paranoid", "-1");
    wr("/proc/sys/vm/overcommit_memory", "1");
    wr("/proc/sys/vm/max_map_count", "200000");
    char b[4096], *av[64] = { "vmbench" };
    int n = 0, ac = 1;
    f = open("/proc/cmdline", O_RDONLY);
    if (f >= 0) {
        n = read(f, b, sizeof b - 1);
    }
    close(f);
    b[n < 0 ? 0 : n] = 0;
    char *p = strstr(b, "vmbench=");
    if (p) {
        p += 8;
        p[strcspn(p, " \n")] = 0;
        for (p = strtok(p, ","); p && ac < 63; p = strtok(NULL, ",")) {
            av[ac++] = p;
        }
    }
    av[ac] = NULL;
    sleep(4); /* let the kernel's boot-time threads finish */
    pid_t c = fork();
    if (!c) {
        setsid();
        execv("/init", av);
        _exit(127);
    }
    int st = -1;
    while (waitpid(c, &st, 0) != c) {
        ;
    }
    printf("VMBENCH-END %d\n", st);
    flush();
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}

int
main(int argc, char **argv)
{
    return getpid() == 1 ? init_main() : bench(argc, argv);
}
