/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mach_ctl.c - the calls on page tables: what a cache allows.  Throw them
 * away, bound them, change their format under running threads, verify them,
 * let a storm loose on them.
 *
 * There is one user, who may name the whole machine (MACH_ALL) where a call
 * concerns all tasks.
 */
#include "mach.h"

#include "idle.h"
#include "pmap_ctl.h"
#include "proc.h"
#include "storm.h"
#include "vm_stat.h"

#define CTL_TEXT        128u    /* of a configuration */
#define CTL_TRIES       8u      /* while another changes the tables */
#define CTL_TOLD        16u     /* mismatches named on the log, of one call */
#define CTL_ASK         UINT64_MAX

static bool
is_all(uint64_t task)
{
    return (int)task == MACH_ALL;
}

/* ---- forgetting ------------------------------------------------------- */

int64_t
mach_vm_discard(const uint64_t *a)
{
    struct vm_map *map;
    vaddr_t start, end;

    if (is_all(a[0]) && a[1] == 0 && a[2] == 0) {
        (void)pmap_discard_all();
        return KERN_SUCCESS;
    }
    map = mach_task_map(a[0]);
    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    if (a[1] == 0 && a[2] == 0) {
        return mach_task_done(map, mach_error(pmap_discard(map->pmap)));
    }
    start = vm_get(&map->start);
    end = vm_get(&map->end);
    if (!vm_page_aligned(a[1]) || !vm_page_aligned(a[2]) || a[2] == 0 ||
        !vm_range_ok(a[1], a[2]) || a[1] < start || a[1] + a[2] > end) {
        return mach_task_done(map, KERN_INVALID_ARGUMENT);
    }
    return mach_task_done(map, mach_error(pmap_discard_range(map->pmap,
        a[1], a[1] + a[2])));
}

int64_t
mach_vm_discard_table(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK : mach_task_done(map,
        mach_error(pmap_discard_table(map->pmap, a[1])));
}

int64_t
mach_vm_doze(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(kern_idle_doze(map)));
}

/* ---- the format ------------------------------------------------------- */

/* One word of a configuration, n bytes long, into c; false: unknown. */
static bool
config_word(const char *word, size_t n, struct pmap_config *c)
{
    static const struct {
        const char *name;
        bool large, value;
    } flags[] = {
        { "tagged", false, true }, { "untagged", false, false },
        { "large", true, true }, { "nolarge", true, false },
    };

    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strlen(flags[i].name) == n &&
            strncmp(flags[i].name, word, n) == 0) {
            *(flags[i].large ? &c->large : &c->tagged) = flags[i].value;
            return true;
        }
    }
    for (unsigned i = 0; i < pmap_format_count(); i++) {
        const char *name = pmap_format_name(i);

        if (strlen(name) == n && strncmp(name, word, n) == 0) {
            c->format = i;
            return true;
        }
    }
    return false;
}

static bool
config_parse(const char *text, struct pmap_config *c)
{
    const char *end = text;

    do {
        text = end;
        while (*end != 0 && *end != ',') {
            end++;
        }
        if (!config_word(text, (size_t)(end - text), c)) {
            return false;
        }
    } while (*end++ != 0);
    return true;
}

/* Others may be at it; their holds and changes are short. */
static int
configure(struct vm_map *map, const struct pmap_config *c)
{
    int error = vm_map_configure(map, c);

    for (unsigned i = 0; i < CTL_TRIES; i++) {
        if (error == VM_E_BUSY) {
            thread_yield();
        } else if (error != VM_E_NOMEM || !pmap_make_room(map->pmap)) {
            break;
        }
        error = vm_map_configure(map, c);
    }
    return error;
}

int64_t
mach_vm_configure(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);
    struct pmap_config c;
    char text[CTL_TEXT];
    size_t len;
    int error;

    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    error = md_copyin_str(text, a[1], sizeof(text), &len);
    if (error == VM_E_NOSPACE) {
        error = VM_E_INVAL;     /* nothing is called that */
    }
    if (error == VM_OK) {
        pmap_config(map->pmap, &c);
        error = config_parse(text, &c) ? configure(map, &c) : VM_E_INVAL;
    }
    return mach_task_done(map, mach_error(error));
}

int64_t
mach_vm_configuration(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);
    struct pmap_config c;
    char text[CTL_TEXT];
    int n;

    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    pmap_config(map->pmap, &c);
    n = kern_snprintf(text, sizeof(text), "%s,%s,%s\n",
        pmap_format_name(c.format), c.tagged ? "tagged" : "untagged",
        c.large ? "large" : "nolarge");
    for (unsigned i = 0; i < pmap_format_count(); i++) {
        if (pmap_format_page_shift(i) <= vm_page_shift) {
            n += kern_snprintf(text + n, sizeof(text) - (size_t)n, "%s ",
                pmap_format_name(i));
        }
    }
    KASSERT((size_t)n < sizeof(text));
    text[n - 1] = '\n';         /* there is one format at least */
    return mach_task_done(map, a[2] < (size_t)n + 1 ? KERN_NO_SPACE :
        mach_error(md_copyout(a[1], text, (size_t)n + 1)));
}

/* ---- the budget ------------------------------------------------------- */

/* As user/include/mach_vm.h has it. */
struct mach_table_budget {
    uint64_t limit, tables, peak, evicted, waits, floor;
};

/* map NULL: of the machine. */
static int
budget_out(struct vm_map *map, uint64_t where)
{
    struct mach_table_budget out;
    struct pmap_budget b;

    if (where == 0) {
        return VM_OK;
    }
    /* What is only not freed yet is not what was asked for. */
    (void)pmap_reap(true);
    if (map != NULL) {
        pmap_limit(map->pmap, &b);
    } else {
        pmap_budget(&b);
    }
    out = (struct mach_table_budget){
        .limit = b.limit, .tables = b.tables, .peak = b.peak,
        .evicted = b.evicted, .waits = b.waits,
        .floor = pmap_budget_floor(),
    };
    return md_copyout(where, &out, sizeof(out));
}

/* What cannot be told is not done. */
static int
budget_call(struct vm_map *map, uint64_t tables, uint64_t where)
{
    int error = budget_out(map, where);

    if (error != VM_OK || tables == CTL_ASK) {
        return error;
    }
    error = map != NULL ? pmap_set_limit(map->pmap, tables) :
        pmap_set_budget(tables);
    return error != VM_OK ? error : budget_out(map, where);
}

int64_t
mach_vm_table_budget(const uint64_t *a)
{
    struct vm_map *map;

    if (is_all(a[0])) {
        return mach_error(budget_call(NULL, a[1], a[2]));
    }
    map = mach_task_map(a[0]);
    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(budget_call(map, a[1], a[2])));
}

/* ---- storms ----------------------------------------------------------- */

int64_t
mach_vm_storm(const uint64_t *a)
{
    struct kern_storm s = {
        .kinds = (uint32_t)a[0], .rate = a[1], .seed = a[2], .budget = a[3]
    };

    return mach_error(kern_storm(&s));
}

/* As user/include/mach_vm.h has it. */
struct mach_storm_report {
    uint64_t kinds, rate, seed, budget, nanoseconds;
    uint64_t done[VM_STORM_KINDS], refused[VM_STORM_KINDS];
    uint64_t mismatches, faults, soft_faults;
    uint64_t discards, table_discards;
    uint64_t tables_made, tables_freed, evicted;
    uint64_t changes, asid_rolls;
    uint64_t large, large_forgotten;
    uint64_t flushes;
};
_Static_assert(VM_STORM_KINDS == 11, "enum vm_storm_kind of mach_vm.h");

int64_t
mach_vm_storm_report(const uint64_t *a)
{
    struct mach_storm_report out;
    struct kern_storm_report r;
    uint64_t event[VM_STAT_COUNT];
    struct pmap_events e;

    kern_storm_report(&r);
    vm_stat_events(event);
    pmap_events(&e);
    out = (struct mach_storm_report){
        .kinds = r.storm.kinds, .rate = r.storm.rate, .seed = r.storm.seed,
        .budget = r.storm.budget, .nanoseconds = r.ns,
        .mismatches = event[VM_STAT_MISMATCHES],
        .faults = event[VM_STAT_FAULTS],
        .soft_faults = event[VM_STAT_FAULT_SOFT],
        .discards = e.discards, .table_discards = e.table_discards,
        .tables_made = e.tables_made, .tables_freed = e.tables_freed,
        .evicted = e.evicted, .changes = e.changes,
        .asid_rolls = e.asid_rolls, .large = e.large,
        .large_forgotten = e.large_forgotten, .flushes = e.flushes,
    };
    memcpy(out.done, r.done, sizeof(out.done));
    memcpy(out.refused, r.refused, sizeof(out.refused));
    return mach_error(md_copyout(a[0], &out,
        a[1] < sizeof(out) ? a[1] : sizeof(out)));
}

/* ---- healing ---------------------------------------------------------- */

static void
heal_tell(void *arg, const struct vm_mismatch *m)
{
    unsigned *told = arg;

    if ((*told)++ < CTL_TOLD) {
        kern_printf("pal: mismatch in map %p at %llx: frame %llx, rights "
            "%x: %s\n", (const void *)m->map, (unsigned long long)m->va,
            (unsigned long long)m->pa, (unsigned)m->prot, m->what);
    }
}

/* map NULL: all. */
static uint64_t
heal(struct vm_map *map, bool repair)
{
    unsigned told = 0;
    uint64_t n = 0;

    if (map != NULL) {
        return vm_map_heal(map, repair, heal_tell, &told);
    }
    while ((map = vm_map_next(map)) != NULL) {
        n += vm_map_heal(map, repair, heal_tell, &told);
    }
    return n;
}

int64_t
mach_vm_heal(const uint64_t *a)
{
    struct vm_map *map = NULL;
    uint64_t n = 0;
    int error;

    if (!is_all(a[0])) {
        map = mach_task_map(a[0]);
        if (map == NULL) {
            return KERN_INVALID_TASK;
        }
    }
    error = md_copyout(a[2], &n, sizeof(n));
    if (error == VM_OK) {
        n = heal(map, (int)a[1] != 0);
        error = md_copyout(a[2], &n, sizeof(n));
    }
    if (map != NULL) {
        vm_map_unref(map);
    }
    return mach_error(error);
}
