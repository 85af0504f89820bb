/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unix.h - the Linux personality: calls, errors, user memory.
 *
 * Numbers, structures and errno values are those of Linux on this machine
 * (<unix_md.h>, from boot/<arch>); semantics are those of its manual pages,
 * section 2.  docs/unix.md lists the calls and what differs.
 *
 * A call is a function of its six arguments as they lie in the user's frame.
 * It returns a result, or a negative errno.  UNIX_RESTART means that a signal
 * interrupted it before anything happened: the call is made again after the
 * handler, if that has SA_RESTART, or at once if there was none; else EINTR.
 */
#ifndef UNIX_H
#define UNIX_H

#include "kern.h"
#include "md.h"
#include "thread.h"
#include <unix_md.h>

typedef int64_t unix_call(const uint64_t *a);

/* One row for each call that is there; a name for each that could be. */
struct unix_entry {
    unix_call *call;            /* NULL: ENOSYS, counted and logged by name */
    const char *name;
};
extern const struct unix_entry unix_table[];

/*
 * The calls of each file of kern/unix are declared in calls.h, which is a list
 * of CALL(name) for sys_name(): it makes the prototypes and the table.
 */
#define CALL(name) int64_t sys_##name(const uint64_t *a);
#include "calls.h"
#undef CALL

enum unix_errno {
    UNIX_EPERM = 1, UNIX_ENOENT = 2, UNIX_ESRCH = 3, UNIX_EINTR = 4,
    UNIX_EIO = 5, UNIX_ENXIO = 6, UNIX_E2BIG = 7, UNIX_ENOEXEC = 8,
    UNIX_EBADF = 9, UNIX_ECHILD = 10, UNIX_EAGAIN = 11, UNIX_ENOMEM = 12,
    UNIX_EACCES = 13, UNIX_EFAULT = 14, UNIX_EBUSY = 16, UNIX_EEXIST = 17,
    UNIX_EXDEV = 18, UNIX_ENODEV = 19, UNIX_ENOTDIR = 20, UNIX_EISDIR = 21,
    UNIX_EINVAL = 22, UNIX_ENFILE = 23, UNIX_EMFILE = 24, UNIX_ENOTTY = 25,
    UNIX_ETXTBSY = 26, UNIX_EFBIG = 27, UNIX_ENOSPC = 28, UNIX_ESPIPE = 29,
    UNIX_EROFS = 30, UNIX_EMLINK = 31, UNIX_EPIPE = 32, UNIX_EDOM = 33,
    UNIX_ERANGE = 34, UNIX_ENAMETOOLONG = 36, UNIX_ENOSYS = 38,
    UNIX_ENOTEMPTY = 39, UNIX_ELOOP = 40, UNIX_EOVERFLOW = 75,
    UNIX_ENOTSUP = 95, UNIX_ETIMEDOUT = 110,
    UNIX_RESTART = 512          /* never seen by a program */
};
/* The frame has what the program is to find: nothing is stored in it. */
#define UNIX_NO_RESULT  (-513)

/* -errno for a VM_E_*; 0 for VM_OK. */
int64_t unix_error(int vm_error);

/* The release is the Linux that the calls are measured against. */
#define UNIX_RELEASE "6.12.0-palimpsest"

/* User memory: 0 or -UNIX_EFAULT. */
static inline int64_t
unix_copyin(void *to, uint64_t from, size_t n)
{
    return md_copyin(to, from, n) == VM_OK ? 0 : -UNIX_EFAULT;
}

static inline int64_t
unix_copyout(uint64_t to, const void *from, size_t n)
{
    return md_copyout(to, from, n) == VM_OK ? 0 : -UNIX_EFAULT;
}

/*
 * A path into a buffer of UNIX_PATH_MAX: -EFAULT, -ENAMETOOLONG; "" is
 * -ENOENT.
 */
#define UNIX_PATH_MAX 1024u
int64_t unix_copyin_path(char *buf, uint64_t from);

/*
 * A name that a program chose, for a line of the log: as much as fits, control
 * characters as '?', so that it cannot end the line and write the next.
 * Returns buf.
 */
const char *unix_printable(char *buf, size_t size, const char *name);

/* A random number that a program cannot guess (seeded by option "seed="). */
uint64_t unix_random(void);

struct unix_timespec {
    int64_t sec, nsec;
};
struct unix_iovec {
    uint64_t base, len;
};

/* ---- from the kernel core: kern/hooks.h ------------------------------- */

/* Calls that are not there, for the log and the tests. */
void unix_log_missing(void);

#endif
