/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * panic.c - the last message of a kernel.
 *
 *   panic: mi/vm_map.c:12: ...
 *   cpu 0, thread init, pid 1, init
 *   registers:
 *         pc ffffffff80001234  sp ...
 *   backtrace:
 *    ffffffff80001234 vm_map_enter+0x34
 *   map: 1 entries
 *    0000000000010000-0000000000020000 r-x max rwx private
 *   status 1
 *
 * The release flavour has no frame pointers: its backtrace is all that might
 * be one, each line with a question mark.
 *
 * It trusts nothing: words of the stack and of the thread are read by
 * md_probe(), frames only lead upwards and there are at most FRAMES, the map
 * is left alone if it is locked.  A panic on the way says what, and stops.
 *
 * Locks: none; interrupts are disabled for good, the console is ours
 */
#include "thread.h"
#include "vm_map.h"

#define FRAMES          40u
#define REGIONS         64u
#define DESCRIPTION     64u
#define PER_LINE        3u      /* registers */

static _Atomic uint32_t panics;

/* ---- what is there ---------------------------------------------------- */

static void
print_pc(uint64_t pc, uint64_t back)
{
    const char *name;
    uint64_t offset;

    /* A call may be the last instruction of its function. */
    if (kern_symbol(pc - back, &name, &offset)) {
        kern_printf(" %016llx %s+0x%llx\n", (unsigned long long)pc, name,
            (unsigned long long)(offset + back));
    } else {
        kern_printf(" %016llx\n", (unsigned long long)pc);
    }
}

static bool
word_at(uint64_t va, uint64_t *value)
{
    /* The kernel's half, and no address that is not a word's. */
    return va >> 63 != 0 && va % sizeof(uint64_t) == 0 &&
        md_probe(va, VM_PROT_READ, false, value);
}

/*
 * Without frame pointers (the release flavour): what on the stack might be
 * a return address.  Some are of calls that are over.
 */
static void
print_stack(uint64_t sp)
{
    uint64_t pc, offset, end = (sp | (THREAD_STACK_SIZE - 1)) + 1;
    const char *name;
    unsigned n = 0;

    for (sp &= ~(uint64_t)7; sp < end && n < FRAMES && word_at(sp, &pc);
        sp += sizeof(uint64_t)) {
        if (kern_symbol(pc, &name, &offset) && offset != 0) {
            kern_printf("  ?");
            print_pc(pc, 1);
            n++;
        }
    }
}

static void
print_backtrace(const struct md_frame *f)
{
    uint64_t fp = f != NULL ? md_frame_fp(f) : md_fp(), next, pc;

    kern_printf("backtrace:\n");
    if (f != NULL) {
        print_pc(md_frame_pc(f), 0);
        if (md_frame_is_user(f)) {
            return;
        }
    }
    if (!VM_DEBUG) {
        print_stack(f != NULL ? md_frame_sp(f) :
            (uint64_t)(uintptr_t)&next);
        return;
    }
    for (unsigned i = 0; i < FRAMES; i++) {
        if (!word_at(fp + (uint64_t)(int64_t)MD_FP_PREV, &next) ||
            !word_at(fp + (uint64_t)(int64_t)MD_FP_PC, &pc) || pc == 0) {
            return;
        }
        print_pc(pc, 1);
        if (next <= fp) {
            return;
        }
        fp = next;
    }
    kern_printf(" ... and more\n");
}

/*
 * Those of the frame.  Without one it is an assertion that failed: what the
 * program was doing that came here, if there is one, tells more than
 * registers of the kernel, which the panic itself has used.
 */
static void
print_registers(const struct md_frame *f, struct thread *t)
{
    struct md_register r[MD_REGISTERS];
    unsigned n = 0;

    if (f == NULL && t != NULL && t->user != NULL) {
        kern_printf("registers of the program:\n");
        f = thread_frame(t);
    } else {
        kern_printf("registers:\n");
    }
    if (f != NULL) {
        n = md_frame_registers(f, r);
    } else {
        r[n++] = (struct md_register){ "fp", md_fp() };
    }
    for (unsigned i = 0; i < n; i++) {
        kern_printf(" %8s %016llx%s", r[i].name,
            (unsigned long long)r[i].value,
            i % PER_LINE == PER_LINE - 1 || i + 1 == n ? "\n" : "");
    }
}

/* By its fields: who panicked may hold the lock of an entry's object. */
static void
print_entry(const struct vm_map_entry *e)
{
    const struct vm_object *o = vm_get(&e->object);
    uint32_t attr = vm_get(&e->attr);
    vm_prot_t prot = VM_ATTR_PROT(attr), max = VM_ATTR_MAX(attr);
    uint64_t word;
    bool shared = (attr & VM_ATTR_NEEDS_COPY) == 0 &&
        word_at((uint64_t)(uintptr_t)o, &word) &&
        (o->flags & (VM_OBJ_INTERNAL | VM_OBJ_SHARED)) != VM_OBJ_INTERNAL;

    kern_printf(" %016llx-%016llx %c%c%c max %c%c%c %s%s\n",
        (unsigned long long)vm_get(&e->start),
        (unsigned long long)vm_get(&e->end),
        prot & VM_PROT_READ ? 'r' : '-', prot & VM_PROT_WRITE ? 'w' : '-',
        prot & VM_PROT_EXEC ? 'x' : '-', max & VM_PROT_READ ? 'r' : '-',
        max & VM_PROT_WRITE ? 'w' : '-', max & VM_PROT_EXEC ? 'x' : '-',
        shared ? "shared" : "private", e->wired_count != 0 ? " wired" : "");
}

static void
print_map(struct vm_map *map)
{
    const struct vm_map_entry *e = map->first;
    unsigned n = 0;
    uint64_t word;

    if (vm_mutex_is_locked(&map->lock)) {
        kern_printf("map: locked\n");
        return;
    }
    kern_printf("map: %llu entries\n", (unsigned long long)map->entries);
    for (; n < REGIONS && word_at((uint64_t)(uintptr_t)e, &word); n++) {
        print_entry(e);
        e = e->next;
    }
    if (n == REGIONS) {
        kern_printf(" ... and more\n");
    }
}

/* A thread that can be read from end to end? */
static bool
thread_readable(const struct thread *t)
{
    uint64_t va = (uint64_t)(uintptr_t)t, word;

    return word_at(va, &word) && word_at(va + sizeof(*t) - 8, &word);
}

static void
print_thread(const struct thread *t)
{
    char text[DESCRIPTION] = "";

    unix_describe(t, text, sizeof(text));
    kern_printf("cpu %u, thread %s%s%s\n", t->head.cpu,
        t->name != NULL ? t->name : "(boot)", text[0] != 0 ? ", " : "",
        text);
}

__attribute__((weak)) void
unix_describe(const struct thread *t, char *buf, size_t size)
{
    (void)t;
    (void)buf;
    (void)size;
}

/* ---- the end ---------------------------------------------------------- */

static _Noreturn void
stop(const struct md_frame *f, const char *fmt, va_list ap)
{
    struct thread *t = thread_current();
    uint32_t before;

    (void)md_irq_save();
    before = atomic_fetch_add_explicit(&panics, 1, memory_order_seq_cst);
    if (before > 1) {
        md_exit(1);
    }
    kern_console_panic();
    kern_printf("%s: ", before == 0 ? "\npanic" : "\npanic in a panic");
    kern_vprintf(KERN_LOG, fmt, ap);
    kern_printf("\n");
    if (before == 0) {
        bool readable = thread_readable(t);

        if (readable) {
            /* Locks that are held stay so; their order is no matter now. */
            memset(kern_held(), 0, sizeof(t->head.held));
            kern_preempt_disable();
            print_thread(t);
        }
        print_registers(f, readable ? t : NULL);
        print_backtrace(f);
        if (readable && t->map != NULL) {
            print_map(t->map);
        }
    }
    kern_printf("status 1\n");
    md_exit(1);
}

void
kern_panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    stop(NULL, fmt, ap);
}

void
kern_panic_frame(const struct md_frame *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    stop(f, fmt, ap);
}
