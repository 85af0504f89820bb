/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * procfs_impl.h - between procfs.c (names and files) and proctext.c, procmaps.c
 * (what the files say).
 */
#ifndef PROCFS_IMPL_H
#define PROCFS_IMPL_H

#include "file_impl.h"

/*
 * A text under construction.  What does not fit is counted, not stored: then
 * it is made again with more room.
 */
struct procfs_text {
    char *buf;
    size_t room, len;
    int pid;                    /* of the directory it is in, or 0 */
};

void procfs_put(struct procfs_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void procfs_put_bytes(struct procfs_text *t, const void *bytes, size_t n);

/* Each: 0, or -errno (the process is gone, no memory). */
typedef int64_t procfs_make(struct procfs_text *t);
procfs_make procfs_meminfo, procfs_boot_cmdline, procfs_cpuinfo,
    procfs_uptime, procfs_system_stat, procfs_version, procfs_mounts,
    procfs_filesystems, procfs_loadavg, procfs_zero,
    procfs_ostype, procfs_osrelease, procfs_hostname, procfs_pid_max,
    procfs_map_count, procfs_fault_around, procfs_fault_ahead, procfs_vmstat;
procfs_make procfs_maps, procfs_status, procfs_pid_stat, procfs_cmdline,
    procfs_statm, procfs_comm, procfs_environ;

/* The process of the text and its map; both referenced, map may be NULL. */
int64_t procfs_process(int pid, struct proc **p, struct vm_map **map);

#endif
