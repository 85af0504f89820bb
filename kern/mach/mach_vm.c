/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mach_vm.c - Mach's calls: arguments from user memory, one operation of the
 * VM core, results to user memory.
 *
 * A result that cannot be stored is KERN_INVALID_ADDRESS; what had been mapped
 * for it is unmapped again.
 */
#include "file.h"
#include "mach.h"
#include "proc.h"
#include "vm_stat.h"

#define MACH_MAP_ANYWHERE 1u
#define MACH_MAP_COPY     2u

int64_t
mach_error(int vm_error)
{
    static const uint8_t to[] = {
        [VM_OK] = KERN_SUCCESS,
        [VM_E_INVAL] = KERN_INVALID_ARGUMENT,
        [VM_E_ADDRESS] = KERN_INVALID_ADDRESS,
        [VM_E_PROT] = KERN_PROTECTION_FAILURE,
        [VM_E_NOMEM] = KERN_RESOURCE_SHORTAGE,
        [VM_E_NOSPACE] = KERN_NO_SPACE,
        [VM_E_RETRY] = KERN_FAILURE,
        [VM_E_BUSY] = KERN_FAILURE,
        [VM_E_PAGER] = KERN_MEMORY_ERROR,
        [VM_E_INTR] = KERN_ABORTED,
    };

    return to[vm_error];
}

struct vm_map *
mach_task_map(uint64_t task)
{
    struct proc *self = proc_current();

    if ((int)task == 0 || (int)task == self->pid) {
        vm_map_ref(self->map);
        return self->map;
    }
    return proc_descendant_map(self, (int)task);
}

int64_t
mach_task_done(struct vm_map *map, int64_t result)
{
    vm_map_unref(map);
    return result;
}

/* An address that a call chose: to the caller, or it is taken back. */
static int64_t
give_address(struct vm_map *map, uint64_t where, vaddr_t addr, vsize_t size,
    vaddr_t shown)
{
    if (md_copyout(where, &shown, sizeof(shown)) == VM_OK) {
        return KERN_SUCCESS;
    }
    (void)!vm_map_deallocate(map, addr, size);
    return KERN_INVALID_ADDRESS;
}

static int64_t
mach_vm_allocate(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);
    vaddr_t addr;
    int error;

    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    error = md_copyin(&addr, a[1], sizeof(addr));
    if (error == VM_OK) {
        error = vm_map_allocate(map, &addr, a[2], (int)a[3] != 0);
    }
    return mach_task_done(map, error != VM_OK ? mach_error(error) :
        give_address(map, a[1], addr, a[2], addr));
}

static int64_t
mach_vm_deallocate(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(vm_map_deallocate(map, a[1], a[2])));
}

static int64_t
mach_vm_protect(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(vm_map_protect(map, a[1], a[2],
            (vm_prot_t)a[4], (int)a[3] != 0)));
}

static int64_t
mach_vm_inherit(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(vm_map_inherit(map, a[1], a[2],
            a[3] > VM_INHERIT_NONE ? (enum vm_inherit)(VM_INHERIT_NONE + 1) :
            (enum vm_inherit)a[3])));
}

static int64_t
mach_vm_copy(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error(vm_map_copy(map, a[1], a[2], map,
            a[3])));
}

/* The object of fd, and what may be done with it. */
static int64_t
map_file(int fd, struct vm_map_args *args)
{
    bool copy = args->mode == VM_MAP_COPY;
    struct file *f;
    uint32_t mode;
    uint64_t size;
    int64_t error = file_get(fd, &f);

    if (error != 0) {
        return KERN_INVALID_ARGUMENT;
    }
    mode = vm_get(&f->flags) & UNIX_O_ACCMODE;
    error = mode == UNIX_O_WRONLY ? KERN_PROTECTION_FAILURE :
        node_mmap(f->node, !copy && mode == UNIX_O_RDWR, &args->object,
            &size) != 0 ? KERN_INVALID_ARGUMENT : KERN_SUCCESS;
    file_unref(f);
    if (error == KERN_SUCCESS && !copy && mode != UNIX_O_RDWR) {
        args->max = VM_PROT_READ | VM_PROT_EXEC;
        args->prot = VM_PROT_READ;
    }
    return error;
}

static int64_t
map_enter(struct vm_map *map, const uint64_t *a)
{
    struct vm_map_args args = {
        .size = a[2], .pgno = a[5] >> vm_page_shift,
        .anywhere = (a[3] & MACH_MAP_ANYWHERE) != 0,
        .mode = (a[3] & MACH_MAP_COPY) != 0 ? VM_MAP_COPY : VM_MAP_SHARED,
        .prot = VM_PROT_READ | VM_PROT_WRITE, .max = VM_PROT_ALL,
        .inherit = (a[3] & MACH_MAP_COPY) != 0 ? VM_INHERIT_COPY :
            VM_INHERIT_SHARE,
    };
    int64_t result = KERN_SUCCESS;
    vaddr_t addr;
    int error;

    if ((a[3] & ~(uint64_t)(MACH_MAP_ANYWHERE | MACH_MAP_COPY)) != 0 ||
        !vm_page_aligned(a[5])) {
        return KERN_INVALID_ARGUMENT;
    }
    if (md_copyin(&args.addr, a[1], sizeof(args.addr)) != VM_OK) {
        return KERN_INVALID_ADDRESS;
    }
    if ((int)a[4] == -1) {
        args.inherit = VM_INHERIT_COPY;
    } else {
        result = map_file((int)a[4], &args);
    }
    if (result != KERN_SUCCESS) {
        return result;
    }
    error = vm_map_enter(map, &args, &addr);
    if (args.object != NULL) {
        vm_object_unref(args.object, NULL);
    }
    return error != VM_OK ? mach_error(error) :
        give_address(map, a[1], addr, a[2], addr);
}

static int64_t
mach_vm_map(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, map_enter(map, a));
}

static int64_t
mach_vm_read(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]), *self = proc_current()->map;
    vaddr_t start = vm_trunc_page(a[1]), addr;
    vsize_t size = ((a[1] - start) + a[2] + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    struct vm_map_copy *copy;
    int error = VM_E_INVAL;

    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    if (a[2] != 0 && size >= a[2]) {
        error = vm_map_copyin(map, start, size, &copy);
    }
    vm_map_unref(map);
    if (error != VM_OK) {
        return mach_error(error);
    }
    error = vm_map_copyout(self, copy, &addr);
    if (error != VM_OK) {
        vm_map_copy_discard(copy);
        return mach_error(error);
    }
    return give_address(self, a[3], addr, size, addr + (a[1] - start));
}

/* Through a buffer: user memory is not touched with a map locked. */
static int64_t
write_bytes(struct vm_map *map, vaddr_t to, vaddr_t from, vsize_t size)
{
    uint8_t buf[512];

    if (size == 0 || !vm_range_ok(from, size) || !vm_range_ok(to, size)) {
        return KERN_INVALID_ARGUMENT;
    }
    while (size > 0) {
        size_t n = size < sizeof(buf) ? size : sizeof(buf);
        int error = vm_get(&thread_current()->stop) != 0 ? VM_E_INTR :
            md_copyin(buf, from, n);

        if (error == VM_OK) {
            error = vm_map_write(map, to, buf, n);
        }
        if (error != VM_OK) {
            return mach_error(error);
        }
        from += n;
        to += n;
        size -= n;
    }
    return KERN_SUCCESS;
}

static int64_t
mach_vm_write(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, write_bytes(map, a[1], a[2], a[3]));
}

/* An object's name for programs: unique, and tells nothing of addresses. */
static uint64_t
object_name(const struct vm_object *o)
{
    static _Atomic uint64_t secret;
    uint64_t none = 0, odd = unix_random() | 1;

    if (o == NULL) {
        return 0;
    }
    (void)atomic_compare_exchange_strong(&secret, &none, odd);
    return (uintptr_t)o * vm_get(&secret);
}

/* As user/include/mach_vm.h has it. */
struct mach_region {
    uint64_t address, size;
    uint32_t protection, max_protection, inheritance;
    uint32_t shared, needs_copy, wired;
    uint64_t object, offset;
};

static int64_t
region_out(struct vm_map *map, const uint64_t *a)
{
    struct mach_region out;
    struct vm_region r;
    vaddr_t addr;

    if (md_copyin(&addr, a[1], sizeof(addr)) != VM_OK) {
        return KERN_INVALID_ADDRESS;
    }
    if (!vm_map_region(map, &addr, &r)) {
        return KERN_NO_SPACE;
    }
    out = (struct mach_region){
        .address = addr, .size = r.size, .protection = r.prot,
        .max_protection = r.max, .inheritance = (uint32_t)r.inherit,
        .shared = r.shared, .needs_copy = r.needs_copy,
        .wired = r.wired_count,
        .object = object_name(r.object),
        .offset = r.pgno << vm_page_shift,
    };
    if (md_copyout(a[2], &out, sizeof(out)) != VM_OK ||
        md_copyout(a[1], &addr, sizeof(addr)) != VM_OK) {
        return KERN_INVALID_ADDRESS;
    }
    return KERN_SUCCESS;
}

static int64_t
mach_vm_region(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, region_out(map, a));
}

static int64_t
mach_vm_wire(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    return map == NULL ? KERN_INVALID_TASK :
        mach_task_done(map, mach_error((int)a[3] != 0 ?
            vm_map_wire(map, a[1], a[2]) : vm_map_unwire(map, a[1], a[2])));
}

/* As user/include/mach_vm.h has it: events, then pages. */
struct mach_statistics {
    uint64_t event[VM_STAT_COUNT];
    uint64_t page_size;
    uint64_t pages_free, pages_object, pages_table, pages_kernel;
    uint64_t pages_wired, pages_modified;
};
_Static_assert(VM_STAT_COUNT == 21, "struct vm_statistics of mach_vm.h");

static int64_t
mach_vm_statistics(const uint64_t *a)
{
    struct mach_statistics out;
    struct vm_statistics s;

    if (a[1] <= sizeof(out.event)) {
        /* Between two marks: cheap, and disturbs nothing. */
        vm_stat_events(out.event);
        return mach_error(md_copyout(a[0], out.event, a[1]));
    }
    vm_statistics(&s);
    memcpy(out.event, s.event, sizeof(out.event));
    out.page_size = s.page_size;
    out.pages_free = s.pages_free;
    out.pages_object = s.pages_object;
    out.pages_table = s.pages_table;
    out.pages_kernel = s.pages_kernel;
    out.pages_wired = s.pages_wired;
    out.pages_modified = s.pages_modified;
    return mach_error(md_copyout(a[0], &out,
        a[1] < sizeof(out) ? a[1] : sizeof(out)));
}

static int64_t
mach_vm_check(const uint64_t *a)
{
    struct vm_map *map = mach_task_map(a[0]);

    if (map == NULL) {
        return KERN_INVALID_TASK;
    }
    if (proc_is_quiet(map)) {
        vm_map_check(map);
        vm_map_audit(map);
        return mach_task_done(map, KERN_SUCCESS);
    }
    return mach_task_done(map, KERN_FAILURE);
}

const struct unix_entry mach_table[MACH_CALLS] = {
    [MACH_VM_ALLOCATE] = { mach_vm_allocate, "vm_allocate" },
    [MACH_VM_DEALLOCATE] = { mach_vm_deallocate, "vm_deallocate" },
    [MACH_VM_PROTECT] = { mach_vm_protect, "vm_protect" },
    [MACH_VM_INHERIT] = { mach_vm_inherit, "vm_inherit" },
    [MACH_VM_COPY] = { mach_vm_copy, "vm_copy" },
    [MACH_VM_MAP] = { mach_vm_map, "vm_map" },
    [MACH_VM_READ] = { mach_vm_read, "vm_read" },
    [MACH_VM_WRITE] = { mach_vm_write, "vm_write" },
    [MACH_VM_REGION] = { mach_vm_region, "vm_region" },
    [MACH_VM_WIRE] = { mach_vm_wire, "vm_wire" },
    [MACH_VM_STATISTICS] = { mach_vm_statistics, "vm_statistics" },
    [MACH_VM_DISCARD] = { mach_vm_discard, "vm_discard" },
    [MACH_VM_CHECK] = { mach_vm_check, "vm_check" },
    [MACH_VM_CONFIGURE] = { mach_vm_configure, "vm_configure" },
    [MACH_VM_CONFIGURATION] = { mach_vm_configuration, "vm_configuration" },
    [MACH_VM_TABLE_BUDGET] = { mach_vm_table_budget, "vm_table_budget" },
    [MACH_VM_STORM] = { mach_vm_storm, "vm_storm" },
    [MACH_VM_STORM_REPORT] = { mach_vm_storm_report, "vm_storm_report" },
    [MACH_VM_HEAL] = { mach_vm_heal, "vm_heal" },
    [MACH_VM_DOZE] = { mach_vm_doze, "vm_doze" },
    [MACH_VM_DISCARD_TABLE] = { mach_vm_discard_table, "vm_discard_table" },
};
