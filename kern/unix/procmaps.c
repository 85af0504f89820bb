/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * procmaps.c - what the files of /proc/PID say, in Linux's formats: proc(5).
 *
 * A map's entries are copied out with the map locked, and put into words
 * after that, since names of files want locks that come before the map's.
 */
#include "procfs_impl.h"

#include "mem.h"
#include "pmap_ctl.h"
#include "proc_impl.h"
#include "vm_fault.h"
#include "vm_object_io.h"

#define MAPS_NAME   73u         /* column of the file's name */
#define MAPS_STRING 4096u       /* of cmdline and environ */

struct maps_entry {
    vaddr_t start, end;
    uint32_t attr;
    const struct vm_object *object;     /* identity, at the chain's end */
    vm_pgno_t pgno;
};

/* ---- maps --------------------------------------------------------------- */

/* Copies of at most n entries; how many there are. */
static uint64_t
maps_copy(struct vm_map *map, struct maps_entry *out, uint64_t n)
{
    struct vm_map_entry *e;
    uint64_t count = 0;

    vm_mutex_lock(&map->lock);
    for (e = map->first; e != NULL; e = e->next, count++) {
        if (count < n) {
            struct vm_object *o = vm_get(&e->object);
            vm_pgno_t pgno = vm_get(&e->pgno);

            out[count] = (struct maps_entry){
                .start = vm_get(&e->start), .end = vm_get(&e->end),
                .attr = vm_get(&e->attr),
                .object = o != NULL ? vm_object_end(o, &pgno) : NULL,
                .pgno = pgno,
            };
        }
    }
    vm_mutex_unlock(&map->lock);
    return count;
}

/* What stands behind the numbers, and whether it is a file's. */
static struct node *
maps_node(const struct maps_entry *e)
{
    return e->object != NULL ? regular_find(e->object) : NULL;
}

static const char *
maps_kind(const struct maps_entry *e, const struct proc *p)
{
    if (e->end > p->brk_start && e->start < p->brk) {
        return "[heap]";
    }
    if (e->start < p->stack_top && e->end >= p->stack_top) {
        return "[stack]";
    }
    return p->trampoline != 0 && e->start <= p->trampoline &&
        p->trampoline < e->end ? "[vdso]" : NULL;
}

static void
maps_line(struct procfs_text *t, const struct maps_entry *e,
    const struct proc *p)
{
    vm_prot_t prot = VM_ATTR_PROT(e->attr);
    struct node *n = maps_node(e);
    size_t start = t->len;
    char path[UNIX_PATH_MAX];
    const char *name = maps_kind(e, p);

    procfs_put(t, "%08llx-%08llx %c%c%c%c %08llx 00:%02x %llu ",
        (unsigned long long)e->start, (unsigned long long)e->end,
        (prot & VM_PROT_READ) != 0 ? 'r' : '-',
        (prot & VM_PROT_WRITE) != 0 ? 'w' : '-',
        (prot & VM_PROT_EXEC) != 0 ? 'x' : '-',
        VM_ATTR_INHERIT(e->attr) == VM_INHERIT_SHARE ? 's' : 'p',
        n != NULL ? (unsigned long long)(e->pgno << vm_page_shift) : 0ull,
        n != NULL ? 1u : 0u, n != NULL ? (unsigned long long)n->ino : 0ull);
    if (n != NULL) {
        name = path;
        if (node_path(n, path, sizeof(path)) < 0) {
            name = "/ (deleted)";
        }
        node_unref(n);
    }
    if (name != NULL) {
        procfs_put(t, "%*s%s", t->len - start < MAPS_NAME ?
            (int)(MAPS_NAME - (t->len - start)) : 0, "", name);
    }
    procfs_put(t, "\n");
}

int64_t
procfs_maps(struct procfs_text *t)
{
    struct maps_entry *e = NULL;
    uint64_t n = 0, room;
    struct vm_map *map;
    struct proc *p;
    int64_t error = procfs_process(t->pid, &p, &map);

    if (error != 0) {
        return error;
    }
    do {
        if (e != NULL) {
            kern_free(e, room * sizeof(*e));
        }
        room = n + 16;
        e = kern_alloc(room * sizeof(*e));
        if (e == NULL) {
            error = -UNIX_ENOMEM;
            break;
        }
        n = map != NULL ? maps_copy(map, e, room) : 0;
    } while (n > room);
    if (e != NULL) {
        for (uint64_t i = 0; i < n; i++) {
            maps_line(t, &e[i], p);
        }
        kern_free(e, room * sizeof(*e));
    }
    if (map != NULL) {
        vm_map_unref(map);
    }
    proc_unref(p);
    return error;
}

/* ---- numbers of a process ----------------------------------------------- */

struct maps_sums {
    uint64_t size, resident, tables;    /* bytes */
    uint64_t data, text;
};

static void
maps_sum(struct vm_map *map, struct maps_sums *s)
{
    struct pmap_counts counts;
    struct vm_map_entry *e;

    memset(s, 0, sizeof(*s));
    if (map == NULL) {
        return;
    }
    pmap_count(map->pmap, &counts);
    vm_mutex_lock(&map->lock);
    for (e = map->first; e != NULL; e = e->next) {
        uint64_t size = vm_get(&e->end) - vm_get(&e->start);
        vm_prot_t prot = VM_ATTR_PROT(vm_get(&e->attr));

        s->size += size;
        s->text += (prot & VM_PROT_EXEC) != 0 ? size : 0;
        s->data += (prot & VM_PROT_WRITE) != 0 ? size : 0;
    }
    vm_mutex_unlock(&map->lock);
    s->resident = counts.translations << vm_page_shift;
    s->tables = counts.tables << MD_PAGE_SHIFT;
}

static char
proc_letter(const struct proc *p)
{
    return p->state == PROC_ZOMBIE ? 'Z' : p == proc_current() ? 'R' : 'S';
}

static int
proc_parent_pid(struct proc *p)
{
    int pid;

    vm_mutex_lock(&proc_tree);
    pid = p->parent != NULL ? p->parent->pid : 0;
    vm_mutex_unlock(&proc_tree);
    return pid;
}

/* SigPnd ... as of the first thread's mask. */
static void
status_signals(struct procfs_text *t, struct proc *p)
{
    uint64_t ignored = 0, caught = 0, blocked = 0, pending;

    vm_spin_lock(&p->signal_lock);
    if (p->threads != NULL) {
        blocked = unix_thread(p->threads)->mask;
    }
    pending = p->pending;
    for (unsigned i = 1; i <= UNIX_NSIG; i++) {
        ignored |= p->action[i].handler == SIGNAL_IGNORE ?
            UNIX_SIGBIT(i) : 0;
        caught |= p->action[i].handler > SIGNAL_IGNORE ?
            UNIX_SIGBIT(i) : 0;
    }
    vm_spin_unlock(&p->signal_lock);
    procfs_put(t, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n"
        "SigIgn:\t%016llx\nSigCgt:\t%016llx\n", 0ull,
        (unsigned long long)pending, (unsigned long long)blocked,
        (unsigned long long)ignored, (unsigned long long)caught);
}

static void
status_memory(struct procfs_text *t, const struct maps_sums *s,
    const struct proc *p)
{
    static const char *const names[] = { "VmPeak", "VmSize", "VmLck",
        "VmHWM", "VmRSS", "VmData", "VmStk", "VmExe", "VmPTE", "VmSwap" };
    uint64_t stack = p->stack_top != 0 ? MEM_STACK_SIZE : 0;
    const uint64_t values[] = { s->size, s->size, 0, s->resident,
        s->resident, s->data, stack, s->text, s->tables, 0 };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        procfs_put(t, "%s:\t%8llu kB\n", names[i],
            (unsigned long long)(values[i] / 1024));
    }
}

int64_t
procfs_status(struct procfs_text *t)
{
    struct maps_sums s;
    struct vm_map *map;
    struct proc *p;
    char c;
    int64_t error = procfs_process(t->pid, &p, &map);

    if (error != 0) {
        return error;
    }
    maps_sum(map, &s);
    c = proc_letter(p);
    procfs_put(t, "Name:\t%s\nUmask:\t0%u%u%u\nState:\t%c (%s)\nTgid:\t%d\n"
        "Ngid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n"
        "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t\n",
        p->name, p->umask >> 6 & 7, p->umask >> 3 & 7, p->umask & 7, c,
        c == 'R' ? "running" : c == 'Z' ? "zombie" : "sleeping", p->pid, p->pid, proc_parent_pid(p));
    if (map != NULL) {
        status_memory(t, &s, p);
        vm_map_unref(map);
    }
    procfs_put(t, "Threads:\t%u\n", p->nthreads);
    status_signals(t, p);
    proc_unref(p);
    return 0;
}

int64_t
procfs_pid_stat(struct procfs_text *t)
{
    struct maps_sums s;
    struct vm_map *map;
    struct proc *p;
    uint64_t ticks;
    int64_t error = procfs_process(t->pid, &p, &map);

    if (error != 0) {
        return error;
    }
    maps_sum(map, &s);
    ticks = md_tick_hz != 0 ? proc_ticks(p) * 100 / md_tick_hz : 0;
    procfs_put(t, "%d (%s) %c %d %d %d 0 -1 0 0 0 0 0 %llu 0 0 0 20 0 %u 0 "
        "0 %llu %llu ", p->pid, p->name, proc_letter(p), proc_parent_pid(p),
        p->pgid, p->sid, (unsigned long long)ticks, p->nthreads,
        (unsigned long long)s.size,
        (unsigned long long)(s.resident >> vm_page_shift));
    /* rsslim and on: where things lie, then what is not kept. */
    procfs_put(t, "18446744073709551615 0 0 %llu 0 0 0 0 0 0 0 0 0 17 0 0 0 "
        "0 0 0 0 0 %llu %llu %llu %llu %llu 0\n",
        (unsigned long long)p->stack_top,
        (unsigned long long)p->brk_start,
        (unsigned long long)p->arg_start, (unsigned long long)p->arg_end,
        (unsigned long long)p->arg_end, (unsigned long long)p->env_end);
    if (map != NULL) {
        vm_map_unref(map);
    }
    proc_unref(p);
    return 0;
}

int64_t
procfs_statm(struct procfs_text *t)
{
    struct maps_sums s;
    struct vm_map *map;
    struct proc *p;
    int64_t error = procfs_process(t->pid, &p, &map);

    if (error != 0) {
        return error;
    }
    maps_sum(map, &s);
    procfs_put(t, "%llu %llu 0 %llu 0 %llu 0\n",
        (unsigned long long)(s.size >> vm_page_shift),
        (unsigned long long)(s.resident >> vm_page_shift),
        (unsigned long long)(s.text >> vm_page_shift),
        (unsigned long long)(s.data >> vm_page_shift));
    if (map != NULL) {
        vm_map_unref(map);
    }
    proc_unref(p);
    return 0;
}

int64_t
procfs_comm(struct procfs_text *t)
{
    struct proc *p;
    int64_t error = procfs_process(t->pid, &p, NULL);

    if (error == 0) {
        procfs_put(t, "%s\n", p->name);
        proc_unref(p);
    }
    return error;
}

/* ---- what it was started with ------------------------------------------- */

/* Bytes of its own memory, a piece at a time; what cannot be read ends it. */
static int64_t
maps_strings(struct procfs_text *t, bool environment)
{
    unsigned char buf[256];
    struct vm_map *map;
    struct proc *p;
    vaddr_t at, end;
    int64_t error = procfs_process(t->pid, &p, &map);

    if (error != 0) {
        return error;
    }
    at = environment ? p->arg_end : p->arg_start;
    end = environment ? p->env_end : p->arg_end;
    if (end - at > MAPS_STRING) {
        end = at + MAPS_STRING;
    }
    while (map != NULL && at < end) {
        size_t n = end - at < sizeof(buf) ? end - at : sizeof(buf);

        if (vm_map_read(map, at, buf, n) != VM_OK) {
            break;
        }
        procfs_put_bytes(t, buf, n);
        at += n;
    }
    if (map != NULL) {
        vm_map_unref(map);
    }
    proc_unref(p);
    return 0;
}

int64_t
procfs_cmdline(struct procfs_text *t)
{
    return maps_strings(t, false);
}

int64_t
procfs_environ(struct procfs_text *t)
{
    return maps_strings(t, true);
}
