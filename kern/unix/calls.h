/* SPDX-License-Identifier: BSD-2-Clause */
/* calls.h - CALL(name) for each call that is there; see unix.h. */

/* process.c, exec.c, wait.c, thread calls */
CALL(fork) CALL(vfork) CALL(clone) CALL(clone3) CALL(execve) CALL(execveat)
CALL(exit) CALL(exit_group) CALL(wait4) CALL(waitid)
CALL(getpid) CALL(getppid) CALL(gettid) CALL(getpgid) CALL(setpgid)
CALL(getpgrp) CALL(getsid) CALL(setsid) CALL(set_tid_address)
CALL(set_robust_list) CALL(get_robust_list) CALL(futex) CALL(prctl)
CALL(arch_prctl) CALL(sched_yield) CALL(sched_getaffinity)
CALL(sched_setaffinity) CALL(getcpu) CALL(prlimit64) CALL(getrlimit)
CALL(setrlimit) CALL(getrusage) CALL(times) CALL(membarrier) CALL(rseq)
CALL(getpriority) CALL(setpriority) CALL(sched_getscheduler)
CALL(sched_getparam)

/* signal.c */
CALL(rt_sigaction) CALL(rt_sigprocmask) CALL(rt_sigreturn)
CALL(rt_sigpending) CALL(rt_sigsuspend) CALL(rt_sigtimedwait)
CALL(rt_sigqueueinfo) CALL(sigaltstack) CALL(kill) CALL(tkill) CALL(tgkill)
CALL(pause) CALL(alarm) CALL(setitimer) CALL(getitimer)

/* time.c, identity and system */
CALL(clock_gettime) CALL(clock_getres) CALL(clock_nanosleep) CALL(nanosleep)
CALL(gettimeofday) CALL(time) CALL(uname) CALL(sysinfo) CALL(getrandom)
CALL(getuid) CALL(geteuid) CALL(getgid) CALL(getegid) CALL(getresuid)
CALL(getresgid) CALL(setuid) CALL(setgid) CALL(getgroups) CALL(setgroups)
CALL(reboot) CALL(sethostname) CALL(syslog)
CALL(riscv_flush_icache)

/* files */
CALL(read) CALL(write) CALL(readv) CALL(writev) CALL(pread64) CALL(pwrite64)
CALL(preadv) CALL(pwritev) CALL(open) CALL(openat) CALL(creat) CALL(close)
CALL(close_range) CALL(lseek) CALL(stat) CALL(fstat) CALL(lstat)
CALL(newfstatat) CALL(statx) CALL(statfs) CALL(fstatfs) CALL(access)
CALL(faccessat) CALL(faccessat2) CALL(getdents64) CALL(getcwd) CALL(chdir)
CALL(fchdir) CALL(mkdir) CALL(mkdirat) CALL(rmdir) CALL(unlink)
CALL(unlinkat) CALL(rename) CALL(renameat) CALL(renameat2) CALL(link)
CALL(linkat) CALL(symlink) CALL(symlinkat) CALL(readlink) CALL(readlinkat)
CALL(truncate) CALL(ftruncate) CALL(fallocate) CALL(fsync) CALL(fdatasync)
CALL(sync) CALL(dup) CALL(dup2) CALL(dup3) CALL(fcntl) CALL(ioctl)
CALL(pipe) CALL(pipe2) CALL(poll) CALL(ppoll) CALL(select) CALL(pselect6)
CALL(memfd_create) CALL(umask) CALL(chmod) CALL(fchmod) CALL(fchmodat)
CALL(chown) CALL(fchown) CALL(fchownat) CALL(utimensat) CALL(mount)
CALL(sendfile) CALL(copy_file_range) CALL(fadvise64) CALL(flock)
CALL(mknodat)

/* memory.c */
CALL(mmap) CALL(munmap) CALL(mprotect) CALL(mremap) CALL(madvise)
CALL(mincore) CALL(msync) CALL(mlock) CALL(mlock2) CALL(munlock)
CALL(mlockall) CALL(munlockall) CALL(brk)

/* userfault.c */
CALL(userfaultfd)
