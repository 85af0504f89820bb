/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * system.c - the small calls: what the system is, who the user is (root),
 * limits, scheduling, and what is particular to one machine.
 *
 * Limits are kept and given back; those that something here enforces are
 * NOFILE (descriptors), STACK (the room for arguments) and SIGPENDING (records
 * of signals).  There is one CPU set, one scheduling policy, one user.
 */
#include "proc_impl.h"

#include "mem.h"

#define RLIM_INFINITY   UINT64_MAX
#define RLIMIT_STACK    3u
#define RLIMIT_NOFILE   7u
#define NOFILE_MAX      1048576u

/* ---- identity --------------------------------------------------------- */

#define UTS_FIELD       65u

static char system_host[UTS_FIELD] = "palimpsest";

static void
uts_put(char *field, const char *s)
{
    for (size_t i = 0; i + 1 < UTS_FIELD && s[i] != 0; i++) {
        field[i] = s[i];
    }
}

int64_t
sys_uname(const uint64_t *a)
{
    char uts[6][UTS_FIELD];

    memset(uts, 0, sizeof(uts));
    uts_put(uts[0], "Linux");
    uts_put(uts[1], system_host);
    uts_put(uts[2], UNIX_RELEASE);
    uts_put(uts[3], "#1");
    uts_put(uts[4], UNIX_MACHINE);
    uts_put(uts[5], "(none)");
    return unix_copyout(a[0], uts, sizeof(uts));
}

int64_t
sys_sethostname(const uint64_t *a)
{
    char name[UTS_FIELD] = "";

    if (a[1] >= UTS_FIELD) {
        return -UNIX_EINVAL;
    }
    if (unix_copyin(name, a[0], a[1]) != 0) {
        return -UNIX_EFAULT;
    }
    memcpy(system_host, name, sizeof(name));
    return 0;
}

int64_t
sys_getuid(const uint64_t *a)
{
    (void)a;
    return 0;
}

int64_t
sys_geteuid(const uint64_t *a)
{
    (void)a;
    return 0;
}

int64_t
sys_getgid(const uint64_t *a)
{
    (void)a;
    return 0;
}

int64_t
sys_getegid(const uint64_t *a)
{
    (void)a;
    return 0;
}

int64_t
sys_getresuid(const uint64_t *a)
{
    static const uint32_t zero;

    for (unsigned i = 0; i < 3; i++) {
        if (unix_copyout(a[i], &zero, sizeof(zero)) != 0) {
            return -UNIX_EFAULT;
        }
    }
    return 0;
}

int64_t
sys_getresgid(const uint64_t *a)
{
    return sys_getresuid(a);
}

/* There is nobody else to become. */
int64_t
sys_setuid(const uint64_t *a)
{
    return (uint32_t)a[0] == 0 ? 0 : -UNIX_EINVAL;
}

int64_t
sys_setgid(const uint64_t *a)
{
    return (uint32_t)a[0] == 0 ? 0 : -UNIX_EINVAL;
}

int64_t
sys_getgroups(const uint64_t *a)
{
    return (int)a[0] < 0 ? -UNIX_EINVAL : 0;
}

int64_t
sys_setgroups(const uint64_t *a)
{
    return a[0] == 0 ? 0 : -UNIX_EINVAL;
}

/* ---- the machine ------------------------------------------------------ */

struct unix_sysinfo {
    int64_t uptime;
    uint64_t loads[3];
    uint64_t total_ram, free_ram, shared_ram, buffer_ram;
    uint64_t total_swap, free_swap;
    uint16_t procs, pad;
    uint64_t total_high, free_high;
    uint32_t unit;
};
_Static_assert(sizeof(struct unix_sysinfo) == 112, "struct sysinfo");

int64_t
sys_sysinfo(const uint64_t *a)
{
    struct unix_sysinfo si;
    uint64_t n = thread_count();

    memset(&si, 0, sizeof(si));
    si.uptime = (int64_t)(kern_now() / 1000000000);
    si.total_ram = (vm_page_count - vm_page_kind_count(VM_PAGE_RESERVED)) <<
        vm_page_shift;
    si.free_ram = vm_page_free_count() << vm_page_shift;
    si.procs = (uint16_t)(n > UINT16_MAX ? UINT16_MAX : n);
    si.unit = 1;
    return unix_copyout(a[0], &si, sizeof(si));
}

#define REBOOT_MAGIC1   0xfee1deadu
#define REBOOT_HALT     0xcdef0123u
#define REBOOT_RESTART  0x01234567u
#define REBOOT_POWEROFF 0x4321fedcu

int64_t
sys_reboot(const uint64_t *a)
{
    if ((uint32_t)a[0] != REBOOT_MAGIC1) {
        return -UNIX_EINVAL;
    }
    switch ((uint32_t)a[2]) {
    case REBOOT_HALT:
    case REBOOT_RESTART:
    case REBOOT_POWEROFF:
        kern_printf("pal: process %d leaves the machine\n",
            proc_current()->pid);
        unix_log_missing();
        md_exit(0);
    default:
        return -UNIX_EINVAL;
    }
}

/* The kernel's log goes to the host, none of it is kept. */
int64_t
sys_syslog(const uint64_t *a)
{
    return (uint32_t)a[0] <= 10 ? 0 : -UNIX_EINVAL;
}

int64_t
sys_arch_prctl(const uint64_t *a)
{
#ifdef UNIX_ARCH_PRCTL
    return md_arch_prctl(thread_current()->user, (int)a[0], a[1]);
#else
    (void)a;
    return -UNIX_ENOSYS;
#endif
}

int64_t
sys_riscv_flush_icache(const uint64_t *a)
{
#ifdef UNIX_FLUSH_ICACHE
    if ((a[2] & ~1ull) != 0) {
        return -UNIX_EINVAL;
    }
    md_flush_icache();
    return 0;
#else
    (void)a;
    return -UNIX_ENOSYS;
#endif
}

/* ---- limits ----------------------------------------------------------- */

/* As Linux starts its first process, but for what cannot be more here. */
void
system_limits(struct proc *p)
{
    for (unsigned i = 0; i < PROC_RLIMITS; i++) {
        p->rlimit[i][0] = p->rlimit[i][1] = RLIM_INFINITY;
    }
    p->rlimit[RLIMIT_STACK][0] = MEM_STACK_SIZE;
    p->rlimit[RLIMIT_NOFILE][0] = 1024;
    p->rlimit[RLIMIT_NOFILE][1] = 4096;
    p->rlimit[PROC_RLIMIT_SIGPENDING][0] = 1024;
    p->rlimit[PROC_RLIMIT_SIGPENDING][1] = 4096;
}

static int64_t
system_limit(struct proc *p, uint32_t i, uint64_t new, uint64_t old)
{
    uint64_t want[2], was[2];

    if (i >= PROC_RLIMITS) {
        return -UNIX_EINVAL;
    }
    if (new != 0) {
        if (unix_copyin(want, new, sizeof(want)) != 0) {
            return -UNIX_EFAULT;
        }
        if (want[0] > want[1]) {
            return -UNIX_EINVAL;
        }
        if (i == RLIMIT_NOFILE && want[1] > NOFILE_MAX) {
            return -UNIX_EPERM;
        }
    }
    vm_mutex_lock(&p->lock);
    memcpy(was, p->rlimit[i], sizeof(was));
    if (new != 0) {
        memcpy(p->rlimit[i], want, sizeof(want));
    }
    vm_mutex_unlock(&p->lock);
    return old == 0 ? 0 : unix_copyout(old, was, sizeof(was));
}

int64_t
sys_prlimit64(const uint64_t *a)
{
    struct proc *p;
    int64_t result;

    if ((int)a[0] == 0) {
        return system_limit(proc_current(), (uint32_t)a[1], a[2], a[3]);
    }
    p = proc_find((int)a[0]);
    if (p == NULL) {
        return -UNIX_ESRCH;
    }
    result = system_limit(p, (uint32_t)a[1], a[2], a[3]);
    proc_unref(p);
    return result;
}

int64_t
sys_getrlimit(const uint64_t *a)
{
    return a[1] == 0 ? -UNIX_EFAULT :
        system_limit(proc_current(), (uint32_t)a[0], 0, a[1]);
}

int64_t
sys_setrlimit(const uint64_t *a)
{
    return a[1] == 0 ? -UNIX_EFAULT :
        system_limit(proc_current(), (uint32_t)a[0], a[1], 0);
}

/* ---- prctl ------------------------------------------------------------ */

#define PR_SET_PDEATHSIG        1
#define PR_GET_DUMPABLE         3
#define PR_SET_DUMPABLE         4
#define PR_SET_NAME             15
#define PR_GET_NAME             16
#define PR_SET_CHILD_SUBREAPER  36
#define PR_GET_CHILD_SUBREAPER  37
#define PR_SET_NO_NEW_PRIVS     38
#define PR_GET_NO_NEW_PRIVS     39

int64_t
sys_prctl(const uint64_t *a)
{
    struct proc *p = proc_current();
    char name[sizeof(p->name)] = "";
    size_t len;

    switch ((int)a[0]) {
    case PR_SET_NAME:
        switch (md_copyin_str(name, a[1], sizeof(name), &len)) {
        case VM_OK:
        case VM_E_NOSPACE:
            break;
        default:
            return -UNIX_EFAULT;
        }
        name[sizeof(name) - 1] = 0;
        vm_mutex_lock(&p->lock);
        memcpy(p->name, name, sizeof(name));
        vm_mutex_unlock(&p->lock);
        return 0;
    case PR_GET_NAME:
        vm_mutex_lock(&p->lock);
        memcpy(name, p->name, sizeof(name));
        vm_mutex_unlock(&p->lock);
        return unix_copyout(a[1], name, sizeof(name));
    case PR_GET_DUMPABLE:
    case PR_GET_NO_NEW_PRIVS:
        return (int)a[0] == PR_GET_DUMPABLE ? 1 : 0;
    case PR_SET_DUMPABLE:
        return a[1] <= 1 ? 0 : -UNIX_EINVAL;
    case PR_SET_CHILD_SUBREAPER:
        vm_mutex_lock(&proc_tree);
        p->subreaper = a[1] != 0;
        vm_mutex_unlock(&proc_tree);
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        return unix_copyout(a[1], &(int){ p->subreaper }, sizeof(int));
    default:
        return -UNIX_EINVAL;
    }
}

/* ---- scheduling ------------------------------------------------------- */

int64_t
sys_sched_yield(const uint64_t *a)
{
    (void)a;
    thread_yield();
    return 0;
}

static bool
sched_pid_ok(int pid)
{
    struct proc *p;

    if (pid == 0 || pid == proc_current()->pid ||
        pid == unix_thread(thread_current())->tid) {
        return true;
    }
    p = pid > 0 ? proc_find(pid) : NULL;
    if (p != NULL) {
        proc_unref(p);
    }
    return p != NULL;
}

int64_t
sys_sched_getaffinity(const uint64_t *a)
{
    static const uint64_t cpus = 1;

    if (a[1] < sizeof(cpus) || (a[1] & 7) != 0) {
        return -UNIX_EINVAL;
    }
    if (!sched_pid_ok((int)a[0])) {
        return -UNIX_ESRCH;
    }
    return unix_copyout(a[2], &cpus, sizeof(cpus)) != 0 ? -UNIX_EFAULT :
        (int64_t)sizeof(cpus);
}

int64_t
sys_sched_setaffinity(const uint64_t *a)
{
    uint64_t cpus = 0;
    size_t n = a[1] < sizeof(cpus) ? a[1] : sizeof(cpus);

    if (unix_copyin(&cpus, a[2], n) != 0) {
        return -UNIX_EFAULT;
    }
    if (!sched_pid_ok((int)a[0])) {
        return -UNIX_ESRCH;
    }
    return (cpus & 1) != 0 ? 0 : -UNIX_EINVAL;
}

int64_t
sys_getcpu(const uint64_t *a)
{
    uint32_t cpu = kern_cpu(), node = 0;

    if ((a[0] != 0 && unix_copyout(a[0], &cpu, sizeof(cpu)) != 0) ||
        (a[1] != 0 && unix_copyout(a[1], &node, sizeof(node)) != 0)) {
        return -UNIX_EFAULT;
    }
    return 0;
}

/* 20 - nice, as the call itself gives it. */
int64_t
sys_getpriority(const uint64_t *a)
{
    return (uint32_t)a[0] > 2 ? -UNIX_EINVAL : 20;
}

int64_t
sys_setpriority(const uint64_t *a)
{
    return (uint32_t)a[0] > 2 ? -UNIX_EINVAL : 0;
}

int64_t
sys_sched_getscheduler(const uint64_t *a)
{
    if ((int)a[0] < 0) {
        return -UNIX_EINVAL;
    }
    return sched_pid_ok((int)a[0]) ? 0 : -UNIX_ESRCH;
}

int64_t
sys_sched_getparam(const uint64_t *a)
{
    static const int32_t priority;

    if ((int)a[0] < 0 || a[1] == 0) {
        return -UNIX_EINVAL;
    }
    if (!sched_pid_ok((int)a[0])) {
        return -UNIX_ESRCH;
    }
    return unix_copyout(a[1], &priority, sizeof(priority));
}

/*
 * Libraries ask for these at their start and do without; that is not worth a
 * line of the log.
 */
int64_t
sys_rseq(const uint64_t *a)
{
    (void)a;
    return -UNIX_ENOSYS;
}

int64_t
sys_membarrier(const uint64_t *a)
{
    (void)a;
    return -UNIX_ENOSYS;
}
