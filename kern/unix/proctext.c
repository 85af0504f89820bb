/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proctext.c - what the files of /proc say that concern the machine: proc(5).
 */
#include "procfs_impl.h"

#include "vm_fault.h"
#include "vm_stat.h"

#define NS          1000000000u
#define HZ          100u

static uint64_t
text_kib(uint64_t pages)
{
    return pages << (vm_page_shift - 10);
}

static void
text_line(struct procfs_text *t, const char *name, uint64_t kib)
{
    procfs_put(t, "%-16s%8llu kB\n", name, (unsigned long long)kib);
}

int64_t
procfs_meminfo(struct procfs_text *t)
{
    uint64_t kind[VM_PAGE_KINDS], total = 0, stacks, mapped;

    for (unsigned i = 0; i < VM_PAGE_KINDS; i++) {
        kind[i] = vm_page_kind_count((enum vm_page_kind)i);
        if (i != VM_PAGE_RESERVED && i != VM_PAGE_DEVICE) {
            total += kind[i];
        }
    }
    stacks = thread_count() * (THREAD_STACK_SIZE / 1024);
    mapped = text_kib(kind[VM_PAGE_OBJECT]);
    text_line(t, "MemTotal:", text_kib(total));
    text_line(t, "MemFree:", text_kib(kind[VM_PAGE_FREE]));
    text_line(t, "MemAvailable:", text_kib(kind[VM_PAGE_FREE]));
    text_line(t, "Buffers:", 0);
    text_line(t, "Cached:", 0);
    text_line(t, "SwapCached:", 0);
    text_line(t, "Active:", mapped);
    text_line(t, "Inactive:", 0);
    text_line(t, "SwapTotal:", 0);
    text_line(t, "SwapFree:", 0);
    text_line(t, "Dirty:", 0);
    text_line(t, "Writeback:", 0);
    text_line(t, "AnonPages:", mapped);
    text_line(t, "Mapped:", mapped);
    text_line(t, "Shmem:", 0);
    text_line(t, "Slab:", text_kib(kind[VM_PAGE_KERNEL]) > stacks ?
        text_kib(kind[VM_PAGE_KERNEL]) - stacks : 0);
    text_line(t, "KernelStack:", stacks);
    text_line(t, "PageTables:", text_kib(kind[VM_PAGE_TABLE]));
    return 0;
}

int64_t
procfs_vmstat(struct procfs_text *t)
{
    struct vm_statistics s;

    vm_statistics(&s);
    procfs_put(t, "nr_free_pages %llu\n",
        (unsigned long long)s.pages_free);
    for (unsigned i = 0; i < VM_STAT_COUNT; i++) {
        procfs_put(t, "%s %llu\n", vm_stat_names[i],
            (unsigned long long)s.event[i]);
    }
    return 0;
}

int64_t
procfs_boot_cmdline(struct procfs_text *t)
{
    const char *word = NULL, *blank = "";

    while ((word = kern_option_next(word)) != NULL) {
        procfs_put(t, "%s%s", blank, word);
        blank = " ";
    }
    procfs_put(t, "\n");
    return 0;
}

int64_t
procfs_cpuinfo(struct procfs_text *t)
{
    procfs_put(t, "processor\t: 0\nmodel name\t: %s\n\n", md_arch);
    return 0;
}

int64_t
procfs_uptime(struct procfs_text *t)
{
    uint64_t cs = kern_now() / (NS / HZ);

    procfs_put(t, "%llu.%02llu 0.00\n", (unsigned long long)(cs / HZ),
        (unsigned long long)(cs % HZ));
    return 0;
}

int64_t
procfs_system_stat(struct procfs_text *t)
{
    unsigned long long ticks = kern_now() / (NS / HZ);

    procfs_put(t, "cpu  %llu 0 0 0 0 0 0 0 0 0\n", ticks);
    procfs_put(t, "cpu0 %llu 0 0 0 0 0 0 0 0 0\n", ticks);
    procfs_put(t, "intr 0\nctxt 0\nbtime %llu\nprocesses 1\n"
        "procs_running 1\nprocs_blocked 0\n",
        (unsigned long long)kern_epoch);
    return 0;
}

int64_t
procfs_version(struct procfs_text *t)
{
    procfs_put(t, "Palimpsest version %s (%s)\n", UNIX_RELEASE, md_arch);
    return 0;
}

int64_t
procfs_mounts(struct procfs_text *t)
{
    procfs_put(t, "tmpfs / tmpfs rw 0 0\ndevtmpfs /dev devtmpfs rw 0 0\n"
        "proc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\n");
    return 0;
}

int64_t
procfs_filesystems(struct procfs_text *t)
{
    procfs_put(t, "nodev\ttmpfs\nnodev\tproc\nnodev\tsysfs\n"
        "nodev\tdevtmpfs\n");
    return 0;
}

int64_t
procfs_loadavg(struct procfs_text *t)
{
    procfs_put(t, "0.00 0.00 0.00 1/%llu %d\n",
        (unsigned long long)thread_count(), proc_current()->pid);
    return 0;
}

int64_t
procfs_zero(struct procfs_text *t)
{
    procfs_put(t, "0\n");
    return 0;
}

int64_t
procfs_ostype(struct procfs_text *t)
{
    procfs_put(t, "Linux\n");
    return 0;
}

int64_t
procfs_osrelease(struct procfs_text *t)
{
    procfs_put(t, "%s\n", UNIX_RELEASE);
    return 0;
}

int64_t
procfs_hostname(struct procfs_text *t)
{
    procfs_put(t, "pal\n");
    return 0;
}

int64_t
procfs_pid_max(struct procfs_text *t)
{
    procfs_put(t, "32768\n");
    return 0;
}

/* What one fault maps at most, as in Linux's file of that name. */
int64_t
procfs_fault_around(struct procfs_text *t)
{
    procfs_put(t, "%llu\n",
        (unsigned long long)vm_fault_around << vm_page_shift);
    return 0;
}

/* What one fault makes at most: vm_ahead.c. */
int64_t
procfs_fault_ahead(struct procfs_text *t)
{
    procfs_put(t, "%llu\n",
        (unsigned long long)vm_fault_ahead << vm_page_shift);
    return 0;
}

int64_t
procfs_map_count(struct procfs_text *t)
{
    procfs_put(t, "65530\n");
    return 0;
}
