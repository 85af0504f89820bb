/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exec.c - a process becomes another program.
 *
 *   new map    segments (elf.c) ... | stack | trampoline | end of the space
 *   stack      argc, argv[], 0, envp[], 0, auxiliary vector, random bytes,
 *   (upwards)  platform, argument strings, environment strings, path, 0
 *
 * The new map is made and filled while the old one is still in use; all that
 * can fail is done by then.  Only the end of the other threads is waited for
 * before that is taken, and there the process may be killed, never half new.
 *
 * Source: System V ABI supplements, "process initialization", which are alike
 * on the machines here; execve(2) and getauxval(3).
 */
#include "elf.h"
#include "exec_impl.h"
#include "file.h"
#include "mem.h"

#define STACK_RLIMIT    3u              /* RLIMIT_STACK */
#define CLK_TCK         100u

/* The page of md_trampoline(), the same for all programs; or NULL. */
static struct vm_object *exec_trampoline;

int
exec_init(void)
{
    struct vm_map_args args = {
        .size = VM_PAGE_SIZE, .anywhere = true, .mode = VM_MAP_SHARED,
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = VM_INHERIT_SHARE
    };
    struct vm_map *map;
    size_t size;
    const void *code = md_trampoline(&size);
    vaddr_t at;
    int error;

    if (size == 0) {
        return VM_OK;
    }
    error = vm_map_create(&map);
    if (error != VM_OK) {
        return error;
    }
    error = vm_object_create(1, NULL, &exec_trampoline);
    if (error == VM_OK) {
        args.object = exec_trampoline;
        error = vm_map_enter(map, &args, &at);
    }
    if (error == VM_OK) {
        error = vm_map_write(map, at, code, size);
    }
    vm_map_unref(map);
    return error;
}

/* ---- the stack -------------------------------------------------------- */

/* Words that go to rising addresses of a map, many at a time. */
struct exec_words {
    struct vm_map *map;
    vaddr_t va;
    unsigned n;
    int error;
    uint64_t buf[64];
};

static void
words_flush(struct exec_words *w)
{
    if (w->n != 0 && w->error == VM_OK) {
        w->error = vm_map_write(w->map, w->va, w->buf, w->n * 8);
        w->va += w->n * 8;
    }
    w->n = 0;
}

static void
words_put(struct exec_words *w, uint64_t word)
{
    w->buf[w->n++] = word;
    if (w->n == sizeof(w->buf) / 8) {
        words_flush(w);
    }
}

static void
words_aux(struct exec_words *w, enum elf_aux type, uint64_t value)
{
    words_put(w, type);
    words_put(w, value);
}

/* Addresses of n strings that follow each other from *at on; and 0. */
static void
words_strings(struct exec_words *w, const struct exec_strings *s,
    size_t *at, unsigned n, vaddr_t base)
{
    for (unsigned i = 0; i < n; i++) {
        words_put(w, base + *at);
        while (s->bytes[*at] != 0) {
            (*at)++;
        }
        (*at)++;
    }
    words_put(w, 0);
}

/* What lies above the words, by address. */
struct exec_stack {
    vaddr_t path, strings, platform, random, sp;
};

static size_t
exec_length(const char *s)
{
    size_t n = 0;

    while (s[n] != 0) {
        n++;
    }
    return n;
}

#define EXEC_AUX        20u             /* pairs that exec_words writes */

static void
exec_place(struct exec_stack *st, vaddr_t top, const char *path,
    const struct exec_strings *s)
{
    uint64_t words = 1 + s->argc + 1 + s->envc + 1 + 2 * EXEC_AUX;

    st->path = top - 8 - (exec_length(path) + 1);
    st->strings = st->path - s->size;
    st->platform = st->strings - (exec_length(md_platform) + 1);
    st->random = (st->platform - 16) & ~(vaddr_t)15;
    st->sp = (st->random - words * 8) & ~(vaddr_t)15;
}

static int
exec_write_words(const struct exec_image *img, const struct exec_stack *st,
    const struct exec_strings *s)
{
    struct exec_words w = { .map = img->map, .va = st->sp };
    size_t at = 0;

    words_put(&w, s->argc);
    words_strings(&w, s, &at, s->argc, st->strings);
    words_strings(&w, s, &at, s->envc, st->strings);
    words_aux(&w, ELF_AT_HWCAP, md_hwcap(0));
    words_aux(&w, ELF_AT_PAGESZ, VM_PAGE_SIZE);
    words_aux(&w, ELF_AT_CLKTCK, CLK_TCK);
    words_aux(&w, ELF_AT_PHDR, img->phdr);
    words_aux(&w, ELF_AT_PHENT, sizeof(struct elf_segment));
    words_aux(&w, ELF_AT_PHNUM, img->phnum);
    words_aux(&w, ELF_AT_BASE, 0);
    words_aux(&w, ELF_AT_FLAGS, 0);
    words_aux(&w, ELF_AT_ENTRY, img->entry);
    words_aux(&w, ELF_AT_UID, 0);
    words_aux(&w, ELF_AT_EUID, 0);
    words_aux(&w, ELF_AT_GID, 0);
    words_aux(&w, ELF_AT_EGID, 0);
    words_aux(&w, ELF_AT_SECURE, 0);
    words_aux(&w, ELF_AT_RANDOM, st->random);
    words_aux(&w, ELF_AT_HWCAP2, md_hwcap(1));
    words_aux(&w, ELF_AT_EXECFN, st->path);
    words_aux(&w, ELF_AT_PLATFORM, st->platform);
    /* A signal frame: registers, and what Linux has room for beside. */
    words_aux(&w, ELF_AT_MINSIGSTKSZ,
        sizeof(struct md_user) + MD_FRAME_SIZE + 4096);
    words_aux(&w, ELF_AT_NULL, 0);
    words_flush(&w);
    return w.error;
}

static int
exec_write_stack(const struct exec_image *img, const struct exec_stack *st,
    const struct exec_strings *s)
{
    uint64_t random[2] = { unix_random(), unix_random() };
    int error = vm_map_write(img->map, st->path, img->path,
        exec_length(img->path) + 1);

    if (error == VM_OK && s->size != 0) {
        error = vm_map_write(img->map, st->strings, s->bytes, s->size);
    }
    if (error == VM_OK) {
        error = vm_map_write(img->map, st->platform, md_platform,
            exec_length(md_platform) + 1);
    }
    if (error == VM_OK) {
        error = vm_map_write(img->map, st->random, random, sizeof(random));
    }
    return error != VM_OK ? error : exec_write_words(img, st, s);
}

/* ---- the map ---------------------------------------------------------- */

/* Trampoline (at the end of the space) and stack; *top: of the stack. */
static int
exec_map_top(struct vm_map *map, vaddr_t *trampoline, vaddr_t *top,
    bool exec_stack)
{
    struct vm_map_args args = {
        .addr = map->end - VM_PAGE_SIZE, .size = VM_PAGE_SIZE,
        .object = exec_trampoline, .mode = VM_MAP_SHARED,
        .prot = VM_PROT_READ | VM_PROT_EXEC,
        .max = VM_PROT_READ | VM_PROT_EXEC, .inherit = VM_INHERIT_SHARE
    };
    int error = VM_OK;
    vaddr_t at;

    *trampoline = 0;
    if (exec_trampoline != NULL) {
        error = vm_map_enter(map, &args, trampoline);
    }
    if (error != VM_OK) {
        return error;
    }
    *top = map->end - 2 * VM_PAGE_SIZE;
    args = (struct vm_map_args){
        .addr = *top - MEM_STACK_SIZE, .size = MEM_STACK_SIZE,
        .mode = VM_MAP_PRIVATE,
        .prot = VM_PROT_READ | VM_PROT_WRITE |
            (exec_stack ? VM_PROT_EXEC : 0),
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_COPY
    };
    return vm_map_enter(map, &args, &at);
}

/* What the process will be. */
struct exec_new {
    struct exec_image img;
    struct exec_stack stack;
    vaddr_t trampoline, top;
    struct fd_table *fds;       /* NULL: keeps its own */
};

static int64_t
exec_build(struct node *exe, struct exec_new *n,
    const struct exec_strings *s)
{
    struct proc *p = proc_current();
    int64_t error;
    int result;

    if (vm_map_create(&n->img.map) != VM_OK) {
        return -UNIX_ENOMEM;
    }
    n->img.limit = n->img.map->end - 2 * VM_PAGE_SIZE - MEM_STACK_SIZE -
        MEM_STACK_GUARD;
    error = elf_load(exe, &n->img);
    if (error == 0) {
        result = exec_map_top(n->img.map, &n->trampoline, &n->top,
            n->img.exec_stack);
        if (result == VM_OK) {
            exec_place(&n->stack, n->top, n->img.path, s);
            result = exec_write_stack(&n->img, &n->stack, s);
        }
        error = result == VM_OK ? 0 : -UNIX_ENOMEM;
    }
    if (error == 0 && p->fds_shared) {
        error = fds_copy(p->fds, &n->fds);
    }
    if (error != 0) {
        vm_map_unref(n->img.map);
    }
    return error;
}

/* ---- the change ------------------------------------------------------- */

static void
exec_name(struct proc *p, const char *path)
{
    const char *name = path;
    size_t n = 0;

    for (const char *c = path; *c != 0; c++) {
        if (*c == '/') {
            name = c + 1;
        }
    }
    for (; n + 1 < sizeof(p->name) && name[n] != 0; n++) {
        p->name[n] = name[n];
    }
    p->name[n] = 0;
}

/* The process's own half: map, files, names. */
static void
exec_process(struct proc *p, struct exec_new *n, struct node *exe,
    const struct exec_strings *s)
{
    struct vm_map *old_map = p->map;
    struct fd_table *old_fds = p->fds;
    struct node *old_exe = p->exe;
    size_t at = 0;

    for (unsigned i = 0; i < s->argc; i++) {
        at += exec_length(s->bytes + at) + 1;
    }
    node_exe_ref(exe);
    vm_mutex_lock(&p->lock);
    p->map = n->img.map;
    p->brk_start = p->brk = n->img.brk;
    p->trampoline = n->trampoline;
    p->stack_top = n->top;
    p->arg_start = n->stack.strings;
    p->arg_end = n->stack.strings + at;
    p->env_end = n->stack.strings + s->size;
    p->lock_future = false;
    p->exe = exe;
    if (n->fds != NULL) {
        p->fds = n->fds;
        p->fds_shared = false;
    }
    exec_name(p, n->img.path);
    vm_mutex_unlock(&p->lock);
    thread_set_map(n->img.map);
    fds_exec(p->fds);
    if (old_map != NULL) {
        vm_map_unref(old_map);
    }
    if (old_exe != NULL) {
        node_exe_unref(old_exe);
    }
    if (n->fds != NULL) {
        fds_unref(old_fds);
    }
}

/* The thread's: registers, signals, number. */
static void
exec_thread(struct thread *t, const struct exec_new *n)
{
    struct unix_thread *ut = t->unix_thread;
    struct proc *p = t->proc;
    bool enabled;

    vm_spin_lock(&p->signal_lock);
    ut->tid = p->pid;
    p->exit_status = p->exiting ? p->exit_status : 0;
    signal_exec(p);
    vm_spin_unlock(&p->signal_lock);
    ut->alt = (struct md_altstack){ .flags = UNIX_SS_DISABLE };
    ut->set_tid = 0;
    md_frame_init(thread_frame(t), n->img.entry, n->stack.sp);
    /* A switch in between would save the old registers over the new. */
    enabled = md_irq_save();
    md_user_init(t->user);
    md_user_load(t->user);
    md_irq_restore(enabled);
}

int64_t
proc_exec(struct node *exe, const char *path, struct exec_strings *strings)
{
    struct thread *t = thread_current();
    struct proc *p = t->proc;
    struct exec_new n = { .img.path = path };
    int64_t error = exec_build(exe, &n, strings);

    if (error != 0) {
        return error;
    }
    if (!proc_only_thread(p)) {
        vm_map_unref(n.img.map);
        if (n.fds != NULL) {
            fds_unref(n.fds);
        }
        return -UNIX_EINTR;
    }
    if (t->map != NULL) {
        futex_thread_exit(t->unix_thread);
    }
    exec_process(p, &n, exe, strings);
    exec_thread(t, &n);
    proc_vfork_release(p);
    vm_mutex_lock(&proc_tree);
    p->executed = true;
    if (p->parent != proc_reaper) {
        p->exit_signal = UNIX_SIGCHLD;
    }
    vm_mutex_unlock(&proc_tree);
    return 0;
}

/* ---- strings ---------------------------------------------------------- */

#define EXEC_STRING_MAX         (128u << 10)
#define EXEC_STRINGS_MAX        (MEM_STACK_SIZE / 4)
#define EXEC_ROOM               2048u

int64_t
exec_room(struct exec_strings *s, size_t more)
{
    size_t room = s->room == 0 ? EXEC_ROOM : s->room;
    char *bytes;

    while (room - s->size < more) {
        room *= 2;
    }
    if (room == s->room) {
        return 0;
    }
    if (room > 2 * EXEC_STRINGS_MAX) {
        return -UNIX_E2BIG;
    }
    bytes = kern_alloc(room);
    if (bytes == NULL) {
        return -UNIX_ENOMEM;
    }
    if (s->room != 0) {
        memcpy(bytes, s->bytes, s->size);
        kern_free(s->bytes, s->room);
    }
    s->bytes = bytes;
    s->room = room;
    return 0;
}

/* Strings and pointers to them share the limit: E2BIG beyond. */
int64_t
exec_limit(const struct exec_strings *s)
{
    uint64_t limit = proc_current()->rlimit[STACK_RLIMIT][0] / 4;
    uint64_t used = s->size + 8 * (uint64_t)(s->argc + s->envc);

    limit = limit < EXEC_STRING_MAX ? EXEC_STRING_MAX : limit;
    limit = limit > EXEC_STRINGS_MAX ? EXEC_STRINGS_MAX : limit;
    return used <= limit ? 0 : -UNIX_E2BIG;
}

int64_t
exec_add(struct exec_strings *s, const char *string, size_t size)
{
    int64_t error = size > EXEC_STRING_MAX ? -UNIX_E2BIG :
        exec_room(s, size);

    if (error == 0) {
        memcpy(s->bytes + s->size, string, size);
        s->size += size;
        error = exec_limit(s);
    }
    return error;
}

int64_t
exec_add_user(struct exec_strings *s, uint64_t from)
{
    size_t want = 256, len;
    int64_t error;
    int result;

    for (;;) {
        error = exec_room(s, want);
        if (error != 0) {
            return error;
        }
        want = s->room - s->size;
        want = want > EXEC_STRING_MAX ? EXEC_STRING_MAX : want;
        result = md_copyin_str(s->bytes + s->size, from, want, &len);
        if (result == VM_OK) {
            s->size += len + 1;
            return exec_limit(s);
        }
        if (result != VM_E_NOSPACE) {
            return -UNIX_EFAULT;
        }
        if (want == EXEC_STRING_MAX) {
            return -UNIX_E2BIG;
        }
        want *= 2;
    }
}

void
exec_free(struct exec_strings *s)
{
    if (s->room != 0) {
        kern_free(s->bytes, s->room);
        s->room = 0;
    }
}
