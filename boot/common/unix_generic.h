/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unix_generic.h - what <unix_md.h> says on machines whose Linux has the
 * generic numbers and layouts.
 *
 * Source: Linux 6.12, include/uapi/asm-generic/stat.h.
 */
#ifndef UNIX_GENERIC_H
#define UNIX_GENERIC_H

#include <stdint.h>

/* clone(2): which of its arguments is tls and which child_tid. */
#define UNIX_CLONE_TLS          3
#define UNIX_CLONE_CHILD_TID    4

struct unix_stat {
    uint64_t st_dev;
    uint64_t st_ino;
    uint32_t st_mode;
    uint32_t st_nlink;
    uint32_t st_uid;
    uint32_t st_gid;
    uint64_t st_rdev;
    uint64_t st_pad1;
    int64_t st_size;
    int32_t st_blksize;
    int32_t st_pad2;
    int64_t st_blocks;
    int64_t st_atime;
    uint64_t st_atime_nsec;
    int64_t st_mtime;
    uint64_t st_mtime_nsec;
    int64_t st_ctime;
    uint64_t st_ctime_nsec;
    uint32_t st_unused[2];
};
_Static_assert(sizeof(struct unix_stat) == 128, "struct stat");

#endif
