/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tty.c - the console as a file: /dev/console, /dev/tty, descriptors 0 to 2.
 *
 *   tty=0 (default)   a pipe to the host: bytes as they are, isatty(3) says
 *                     no; descriptor 2 is the stream of errors
 *   tty=1             a terminal: termios(3), of which ICANON and ECHO count.
 *                     kern/console.c edits lines, echoes and interrupts
 */
#include "file_impl.h"

#define TCGETS      0x5401u
#define TCSETS      0x5402u
#define TCSETSW     0x5403u
#define TCSETSF     0x5404u
#define TCSBRK      0x5409u
#define TCXONC      0x540au
#define TCFLSH      0x540bu
#define TIOCSCTTY   0x540eu
#define TIOCGPGRP   0x540fu
#define TIOCSPGRP   0x5410u
#define TIOCGWINSZ  0x5413u
#define TIOCSWINSZ  0x5414u
#define FIONREAD    0x541bu
#define TIOCNOTTY   0x5422u
#define TIOCGSID    0x5429u

#define ICRNL       0x100u
#define ICANON      0x2u
#define ECHO        0x8u
#define TTY_PIECE   256u

/* struct termios of the kernel: the same on every machine here. */
struct tty_termios {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[19];
};
_Static_assert(sizeof(struct tty_termios) == 36, "struct termios");

static struct {
    struct vm_mutex lock;
    bool is_tty;                /* (c) */
    struct tty_termios termios; /* (l) */
    uint16_t window[4];         /* (l) rows, columns, pixels */
    int pgid;                   /* (l) foreground group, 0: not set */
} tty = {
    .lock = VM_MUTEX_INIT(KERN_RANK_INODE),
    .termios = {
        .iflag = ICRNL, .oflag = 5, .cflag = 0xbf,
        .lflag = 0x8a3b,        /* ISIG ICANON ECHO ... as Linux begins */
        .cc = { 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22 },
    },
};

/* ---- bytes -------------------------------------------------------------- */

static int64_t
tty_read(struct file *f, struct file_io *io)
{
    unsigned char buf[TTY_PIECE];
    size_t n = io->len < sizeof(buf) ? (size_t)io->len : sizeof(buf);
    size_t got;

    (void)f;
    if (n == 0) {
        return 0;
    }
    if (io->nonblock && !kern_console_ready()) {
        return -UNIX_EAGAIN;
    }
    if (kern_console_read(buf, n, &got) != VM_OK) {
        return -UNIX_RESTART;
    }
    return file_io_out(io, buf, got) != 0 ? -UNIX_EFAULT : (int64_t)got;
}

static int64_t
tty_write(struct file *f, struct file_io *io)
{
    enum kern_stream s = f->private != NULL ? KERN_ERR : KERN_OUT;
    unsigned char buf[TTY_PIECE];
    uint64_t done = 0;
    int64_t error = 0;

    while (io->len > 0 && error == 0) {
        size_t n = io->len < sizeof(buf) ? (size_t)io->len : sizeof(buf);

        error = file_io_in(io, buf, n);
        if (error == 0) {
            kern_console_write(s, buf, n);
            done += n;
        }
        /* The line is slow, and there may be a lot. */
        if (proc_signal_pending()) {
            break;
        }
    }
    return done > 0 ? (int64_t)done : error;
}

static uint32_t
tty_poll(struct file *f)
{
    (void)f;
    return POLL_OUT | POLL_WRNORM |
        (kern_console_ready() ? POLL_IN | POLL_RDNORM : 0);
}

/* ---- ioctl -------------------------------------------------------------- */

static int64_t
tty_set_termios(uint64_t from)
{
    struct tty_termios t;

    if (unix_copyin(&t, from, sizeof(t)) != 0) {
        return -UNIX_EFAULT;
    }
    vm_mutex_lock(&tty.lock);
    tty.termios = t;
    kern_console_edit = (t.lflag & ICANON) != 0;
    kern_console_echo = (t.lflag & ECHO) != 0;
    vm_mutex_unlock(&tty.lock);
    return 0;
}

/* What of tty an ioctl reads, or writes. */
static int64_t
tty_get(uint64_t to, const void *what, size_t size)
{
    unsigned char copy[sizeof(struct tty_termios)];

    vm_mutex_lock(&tty.lock);
    memcpy(copy, what, size);
    vm_mutex_unlock(&tty.lock);
    return unix_copyout(to, copy, size);
}

static int64_t
tty_put(uint64_t from, void *what, size_t size)
{
    unsigned char copy[sizeof(struct tty_termios)];

    if (unix_copyin(copy, from, size) != 0) {
        return -UNIX_EFAULT;
    }
    vm_mutex_lock(&tty.lock);
    memcpy(what, copy, size);
    vm_mutex_unlock(&tty.lock);
    return 0;
}

static int64_t
tty_group(uint64_t to)
{
    int32_t pgid = tty.pgid != 0 ? tty.pgid : proc_current()->pgid;

    return unix_copyout(to, &pgid, sizeof(pgid));
}

static int64_t
tty_ioctl(struct file *f, uint64_t cmd, uint64_t arg)
{
    int32_t n;

    (void)f;
    if (cmd == FIONREAD) {
        n = kern_console_ready() ? 1 : 0;
        return unix_copyout(arg, &n, sizeof(n));
    }
    if (!tty.is_tty) {
        return -UNIX_ENOTTY;
    }
    switch (cmd) {
    case TCGETS:
        return tty_get(arg, &tty.termios, sizeof(tty.termios));
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return tty_set_termios(arg);
    case TIOCGWINSZ:
        return tty_get(arg, tty.window, sizeof(tty.window));
    case TIOCSWINSZ:
        return tty_put(arg, tty.window, sizeof(tty.window));
    case TIOCGPGRP:
        return tty_group(arg);
    case TIOCSPGRP:
        return tty_put(arg, &tty.pgid, sizeof(tty.pgid));
    case TIOCGSID:
        n = proc_current()->sid;
        return unix_copyout(arg, &n, sizeof(n));
    case TCSBRK:
    case TCXONC:
    case TCFLSH:
    case TIOCSCTTY:
    case TIOCNOTTY:
        return 0;
    }
    return -UNIX_ENOTTY;
}

/* ---- files -------------------------------------------------------------- */

static const struct file_ops tty_file_ops = {
    .read = tty_read,
    .write = tty_write,
    .ioctl = tty_ioctl,
    .poll = tty_poll,
};

const struct node_ops tty_node_ops = { .file = &tty_file_ops };

void
tty_init(void)
{
    tty.is_tty = kern_option_u64("tty", 0) != 0;
    tty.window[0] = (uint16_t)kern_option_u64("rows", 24);
    tty.window[1] = (uint16_t)kern_option_u64("columns", 80);
    kern_console_input = poll_event_now;
    if (tty.is_tty) {
        kern_console_edit = true;
        kern_console_echo = true;
    }
}

/* 0 reads and 1 writes the console; 2 is the stream of errors. */
int64_t
fds_open_console(struct fd_table *t)
{
    struct node *n;
    int64_t error = node_walk(node_root(), "/dev/console", true, &n);

    if (error != 0) {
        return error;
    }
    for (unsigned fd = 0; fd < 3 && error == 0; fd++) {
        struct file *f;

        error = file_open(n, UNIX_O_RDWR | UNIX_O_LARGEFILE, &f);
        if (error == 0) {
            f->private = fd == 2 ? &tty : NULL;
            fd_preset(t, fd, f);
        }
    }
    node_unref(n);
    return error;
}
