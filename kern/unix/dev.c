/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dev.c - /dev: null, zero, full, random, urandom; tty.c has the console.
 */
#include "file_impl.h"

#define DEV_NULL    DEV(1, 3)
#define DEV_FULL    DEV(1, 7)
#define DEV_RANDOM  DEV(1, 8)
#define DEV_URANDOM DEV(1, 9)
#define DEV_TTY     DEV(5, 0)
#define DEV_CONSOLE DEV(5, 1)

#define DEV_CHUNK   256u

static int64_t
null_read(struct file *f, struct file_io *io)
{
    (void)f;
    (void)io;
    return 0;
}

static int64_t
null_write(struct file *f, struct file_io *io)
{
    (void)f;
    return (int64_t)io->len;
}

static int64_t
full_write(struct file *f, struct file_io *io)
{
    (void)f;
    return io->len == 0 ? 0 : -UNIX_ENOSPC;
}

/* Piece by piece from a buffer that fill() makes (once, if it is NULL). */
static int64_t
dev_read(struct file_io *io, void (*fill)(unsigned char *, size_t))
{
    unsigned char buf[DEV_CHUNK] = { 0 };
    uint64_t done = 0;
    int64_t error = 0;

    while (io->len > 0 && error == 0) {
        size_t n = io->len < sizeof(buf) ? (size_t)io->len : sizeof(buf);

        if (fill != NULL) {
            fill(buf, n);
        }
        error = file_io_out(io, buf, n);
        done += error == 0 ? n : 0;
        if (done % (1u << 20) == 0 && proc_signal_pending()) {
            break;
        }
    }
    return done > 0 ? (int64_t)done : error;
}

static int64_t
zero_read(struct file *f, struct file_io *io)
{
    (void)f;
    return dev_read(io, NULL);
}

static void
random_fill(unsigned char *buf, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t r = unix_random();

        memcpy(buf + i, &r, n - i < 8 ? n - i : 8);
    }
}

static int64_t
random_read(struct file *f, struct file_io *io)
{
    (void)f;
    return dev_read(io, random_fill);
}

static uint32_t
dev_poll(struct file *f)
{
    (void)f;
    return POLL_IN | POLL_OUT | POLL_RDNORM | POLL_WRNORM;
}

static const struct file_ops null_file = {
    .read = null_read, .write = null_write, .poll = dev_poll, .seeks = true,
};
static const struct file_ops zero_file = {
    .read = zero_read, .write = null_write, .poll = dev_poll, .seeks = true,
};
static const struct file_ops full_file = {
    .read = zero_read, .write = full_write, .poll = dev_poll, .seeks = true,
};
static const struct file_ops random_file = {
    .read = random_read, .write = null_write, .poll = dev_poll,
    .seeks = true,
};

static const struct node_ops null_ops = { .file = &null_file };
static const struct node_ops zero_ops = { .file = &zero_file };
static const struct node_ops full_ops = { .file = &full_file };
static const struct node_ops random_ops = { .file = &random_file };

static const struct {
    const char *name;
    uint64_t rdev;
    const struct node_ops *ops;
} dev_known[] = {
    { "null", DEV_NULL, &null_ops },
    { "zero", DEV_ZERO, &zero_ops },
    { "full", DEV_FULL, &full_ops },
    { "random", DEV_RANDOM, &random_ops },
    { "urandom", DEV_URANDOM, &random_ops },
    { "tty", DEV_TTY, &tty_node_ops },
    { "console", DEV_CONSOLE, &tty_node_ops },
};
#define DEV_KNOWN (sizeof(dev_known) / sizeof(dev_known[0]))

struct node *
dev_create(uint32_t mode, uint64_t rdev)
{
    for (unsigned i = 0; i < DEV_KNOWN; i++) {
        if (dev_known[i].rdev == rdev) {
            struct node *n = node_create(UNIX_S_IFCHR | (mode & 07777),
                dev_known[i].ops);

            if (n != NULL) {
                n->rdev = rdev;
            }
            return n;
        }
    }
    return NULL;
}

static void
dev_link(struct node *dev, const char *name, const char *text)
{
    struct node *n = node_create_symlink(text, strlen(text));

    vm_mutex_lock(&tree_lock);
    if (n == NULL || node_enter(dev, name, strlen(name), n) != 0) {
        kern_panic("no memory for /dev/%s", name);
    }
    vm_mutex_unlock(&tree_lock);
    node_unref(n);
}

void
dev_init(struct node *dev)
{
    for (unsigned i = 0; i < DEV_KNOWN; i++) {
        node_make(dev, dev_known[i].name, UNIX_S_IFCHR | 0666,
            dev_known[i].rdev, dev_known[i].ops);
    }
    dev_link(dev, "fd", "/proc/self/fd");
    dev_link(dev, "stdin", "/proc/self/fd/0");
    dev_link(dev, "stdout", "/proc/self/fd/1");
    dev_link(dev, "stderr", "/proc/self/fd/2");
}
