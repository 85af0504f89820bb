/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unix_md.h - numbers and layouts of Linux that belong to this machine.
 *
 * Source: Linux 6.12's uapi headers for user programs: asm/unistd_64.h,
 * asm/stat.h, asm-generic/fcntl.h, asm/signal.h, asm/prctl.h.
 * kern/unix sees no other part of the machine's Linux.
 */
#ifndef UNIX_MD_H
#define UNIX_MD_H

#include <stdint.h>

#define UNIX_MACHINE            "x86_64"        /* uname(2) */

/* struct sigaction of rt_sigaction(2) has the field sa_restorer. */
#define UNIX_SIGACTION_RESTORER 1

/* e_machine of this machine's ELF files. */
#define UNIX_ELF_MACHINE        62

/* clone(2): which of its arguments is tls and which child_tid. */
#define UNIX_CLONE_TLS          4
#define UNIX_CLONE_CHILD_TID    3

/* open(2): the flags whose values differ among machines. */
#define UNIX_O_DIRECTORY        0200000
#define UNIX_O_NOFOLLOW         0400000
#define UNIX_O_DIRECT           0040000
#define UNIX_O_LARGEFILE        0100000

/* struct epoll_event is packed, as it was for 32-bit programs. */
#define UNIX_EPOLL_PACKED       1

/*
 * arch_prctl(2) of the running thread, whose registers these are.
 * => Returns: what the call does.  Sleeps.
 */
#define UNIX_ARCH_PRCTL         1
struct md_user;
int64_t md_arch_prctl(struct md_user *u, int code, uint64_t addr);

struct unix_stat {
    uint64_t st_dev;
    uint64_t st_ino;
    uint64_t st_nlink;
    uint32_t st_mode;
    uint32_t st_uid;
    uint32_t st_gid;
    uint32_t st_pad1;
    uint64_t st_rdev;
    int64_t st_size;
    int64_t st_blksize;
    int64_t st_blocks;
    int64_t st_atime;
    uint64_t st_atime_nsec;
    int64_t st_mtime;
    uint64_t st_mtime_nsec;
    int64_t st_ctime;
    uint64_t st_ctime_nsec;
    int64_t st_unused[3];
};
_Static_assert(sizeof(struct unix_stat) == 144, "struct stat");

#endif
