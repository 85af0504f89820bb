/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execcall.c - execve and execveat: arguments, rights and #! scripts.
 *
 * A script is run by the program that its first line names, with one optional
 * argument, the script's path, and the arguments but the first.  That program
 * may be a script again, five deep.
 */
#include "exec_impl.h"
#include "file.h"

#define SCRIPT_LINE     256u
#define SCRIPT_DEPTH    5u

#define AT_SYMLINK_NOFOLLOW     0x100u
#define AT_EMPTY_PATH           0x1000u

/* A NULL-terminated array of strings in user memory; NULL: an empty one. */
static int64_t
exec_copyin(struct exec_strings *s, uint64_t from, unsigned *count)
{
    uint64_t string;

    for (; from != 0; from += sizeof(string)) {
        int64_t error = unix_copyin(&string, from, sizeof(string));

        if (error != 0 || string == 0) {
            return error;
        }
        (*count)++;
        error = exec_add_user(s, string);
        if (error != 0) {
            return error;
        }
        if (proc_signal_pending() && thread_current()->stop != 0) {
            return -UNIX_EINTR;
        }
    }
    return 0;
}

/* A regular file that somebody may execute. */
static int64_t
exec_allowed(struct node *n)
{
    return (n->mode & UNIX_S_IFMT) == UNIX_S_IFREG && (n->mode & 0111) != 0 ?
        0 : -UNIX_EACCES;
}

/* ---- scripts ---------------------------------------------------------- */

static inline bool
script_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* line: "#!interp arg\n..."; cut into two strings, *arg NULL if none. */
static int64_t
script_parse(char *line, size_t size, char **interp, char **arg)
{
    size_t end = 2;
    char *c;

    while (end < size && line[end] != '\n' && line[end] != 0) {
        end++;
    }
    if (end == SCRIPT_LINE) {
        /* Cut short: fine for an argument, not for the program's name. */
        end--;
    }
    line[end] = 0;
    while (end > 2 && script_blank(line[end - 1])) {
        line[--end] = 0;
    }
    c = line + 2;
    while (script_blank(*c)) {
        c++;
    }
    if (*c == 0) {
        return -UNIX_ENOEXEC;
    }
    *interp = c;
    *arg = NULL;
    while (*c != 0 && !script_blank(*c)) {
        c++;
    }
    if (*c == 0) {
        return size == SCRIPT_LINE && end == SCRIPT_LINE - 1 ?
            -UNIX_ENOEXEC : 0;
    }
    *c++ = 0;
    while (script_blank(*c)) {
        c++;
    }
    if (*c != 0) {
        *arg = c;
    }
    return 0;
}

static size_t
script_length(const char *s)
{
    size_t n = 0;

    while (s[n] != 0) {
        n++;
    }
    return n + 1;
}

/* The arguments become: interp [arg] path, and the old ones but the first. */
static int64_t
script_arguments(struct exec_strings *s, const char *interp, const char *arg,
    const char *path)
{
    struct exec_strings new = { .argc = 2, .envc = s->envc };
    size_t skip = s->argc != 0 ? script_length(s->bytes) : 0;
    int64_t error = exec_add(&new, interp, script_length(interp));

    if (error == 0 && arg != NULL) {
        new.argc++;
        error = exec_add(&new, arg, script_length(arg));
    }
    if (error == 0) {
        error = exec_add(&new, path, script_length(path));
    }
    if (error == 0) {
        error = exec_room(&new, s->size - skip);
    }
    if (error == 0) {
        memcpy(new.bytes + new.size, s->bytes + skip, s->size - skip);
        new.size += s->size - skip;
        new.argc += s->argc != 0 ? s->argc - 1 : 0;
        error = exec_limit(&new);
    }
    if (error != 0) {
        exec_free(&new);
        return error;
    }
    exec_free(s);
    *s = new;
    return 0;
}

/*
 * If *exe is a script, put its interpreter there (with a reference in place
 * of the script's): 1; else 0.
 */
static int64_t
script_follow(struct node **exe, const char *path, struct exec_strings *s)
{
    char line[SCRIPT_LINE], *interp, *arg;
    struct node *next;
    int64_t n = node_read(*exe, 0, line, sizeof(line));

    if (n < 2 || line[0] != '#' || line[1] != '!') {
        return n < 0 ? n : 0;
    }
    if (n < (int64_t)sizeof(line)) {
        line[n] = 0;
    }
    n = script_parse(line, (size_t)n, &interp, &arg);
    if (n == 0) {
        n = node_walk(NULL, interp, true, &next);
    }
    if (n != 0) {
        return n;
    }
    n = script_arguments(s, interp, arg, path);
    if (n != 0) {
        node_unref(next);
        return n;
    }
    node_unref(*exe);
    *exe = next;
    return 1;
}

/* Consumes the reference to exe.  path: as the program is to see it. */
int64_t
exec_run(struct node *exe, const char *path, struct exec_strings *s)
{
    char name[UNIX_PATH_MAX];
    unsigned depth = 0;
    int64_t error;

    /* What a script's script is called is its interpreter's first word. */
    memcpy(name, path, script_length(path));
    for (;;) {
        error = exec_allowed(exe);
        if (error == 0) {
            error = script_follow(&exe, name, s);
        }
        if (error <= 0) {
            break;
        }
        memcpy(name, s->bytes, script_length(s->bytes));
        if (++depth > SCRIPT_DEPTH) {
            error = -UNIX_ELOOP;
            break;
        }
    }
    if (error == 0) {
        error = proc_exec(exe, path, s);
    }
    node_unref(exe);
    return error;
}

/* ---- the calls -------------------------------------------------------- */

static int64_t
exec_call(struct node *exe, const char *path, uint64_t argv, uint64_t envp)
{
    struct exec_strings s = { 0 };
    int64_t error = exec_copyin(&s, argv, &s.argc);

    if (error == 0 && s.argc == 0) {
        s.argc = 1;
        error = exec_add(&s, "", 1);
    }
    if (error == 0) {
        error = exec_copyin(&s, envp, &s.envc);
    }
    if (error == 0) {
        error = exec_run(exe, path, &s);
    } else {
        node_unref(exe);
    }
    exec_free(&s);
    return error;
}

int64_t
sys_execve(const uint64_t *a)
{
    char path[UNIX_PATH_MAX];
    struct node *exe;
    int64_t error = unix_copyin_path(path, a[0]);

    if (error == 0) {
        error = node_walk(NULL, path, true, &exe);
    }
    return error != 0 ? error : exec_call(exe, path, a[1], a[2]);
}

/* The file that dirfd, path and flags name. */
static int64_t
execveat_walk(int dirfd, const char *path, uint32_t flags,
    struct node **out)
{
    bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
    struct file *f;
    int64_t error;

    if (dirfd == UNIX_AT_FDCWD || path[0] == '/') {
        error = node_walk(NULL, path, follow, out);
    } else {
        error = file_get(dirfd, &f);
        if (error != 0) {
            return error;
        }
        if (path[0] == 0) {
            node_ref(f->node);
            *out = f->node;
        } else {
            error = node_walk(f->node, path, follow, out);
        }
        file_unref(f);
    }
    if (error == 0 && ((*out)->mode & UNIX_S_IFMT) == UNIX_S_IFLNK) {
        node_unref(*out);
        return -UNIX_ELOOP;
    }
    return error;
}

int64_t
sys_execveat(const uint64_t *a)
{
    char path[UNIX_PATH_MAX];
    uint32_t flags = (uint32_t)a[4];
    struct node *exe;
    int64_t error;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
        return -UNIX_EINVAL;
    }
    error = unix_copyin_path(path, a[1]);
    if (error == -UNIX_ENOENT && (flags & AT_EMPTY_PATH) != 0) {
        path[0] = 0;
        error = 0;
    }
    if (error == 0) {
        error = execveat_walk((int)a[0], path, flags, &exe);
    }
    if (error == 0 && path[0] == 0) {
        (void)kern_snprintf(path, sizeof(path), "/dev/fd/%d", (int)a[0]);
    }
    return error != 0 ? error : exec_call(exe, path, a[2], a[3]);
}
