/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - mmap and its family, in terms of the VM core.
 *
 * Each call checks its arguments as Linux does, in Linux's order, and then is
 * one operation on the address map.  Lengths are rounded up to the MI page,
 * which is what AT_PAGESZ says.
 */
#include "file.h"
#include "mem.h"
#include "proc.h"

#define MADV_NORMAL     0
#define MADV_WILLNEED   3
#define MADV_DONTNEED   4
#define MADV_FREE       8
#define MADV_DONTFORK   10
#define MADV_DOFORK     11
#define MADV_HUGEPAGE   14
#define MADV_NOHUGEPAGE 15
#define MADV_DODUMP     17
#define MADV_COLD       20
#define MADV_PAGEOUT    21
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23

#define MS_ASYNC        1u
#define MS_INVALIDATE   2u
#define MS_SYNC         4u

#define MREMAP_MAYMOVE  1u
#define MREMAP_FIXED    2u

/* Where a search without a hint begins: above images, brk has room below. */
#define MMAP_BASE_SHIFT 3

/* A length in whole pages, 0 if it is none (or wraps). */
static vsize_t
mem_round(uint64_t length)
{
    return (length + VM_PAGE_MASK) & ~VM_PAGE_MASK;
}

/* [addr, +length) in whole pages lies inside what a program can have. */
static bool
mem_in_bounds(const struct vm_map *map, uint64_t addr, vsize_t size)
{
    return size != 0 && vm_range_ok(addr, size) &&
        addr >= vm_get(&map->start) && addr + size <= vm_get(&map->end);
}

vaddr_t
mem_mmap_base(const struct vm_map *map)
{
    vaddr_t start = vm_get(&map->start), end = vm_get(&map->end);

    return vm_trunc_page(start + ((end - start) >> MMAP_BASE_SHIFT));
}

/*
 * Linux's heuristic: refuse what could never be, promise the rest.  Frames
 * that are not there when a page is touched are proc_kill_for_memory()'s.
 */
bool
mem_may_promise(vsize_t size)
{
    return size >> vm_page_shift <= vm_page_count -
        vm_page_kind_count(VM_PAGE_RESERVED);
}

vsize_t
mem_resident(struct vm_map *map)
{
    vaddr_t start = vm_get(&map->start), end = vm_get(&map->end);
    uint64_t n = 0;

    if (vm_map_resident(map, start, end - start, NULL, &n) != VM_OK) {
        return 0;
    }
    return n << vm_page_shift;
}

/* Bring pages in ahead of their use; what cannot be had stays out. */
static int
mem_populate(struct vm_map *map, vaddr_t start, vsize_t size,
    vm_prot_t access)
{
    int error = VM_OK;

    for (vsize_t off = 0; off < size && error == VM_OK;
        off += VM_PAGE_SIZE) {
        if (proc_signal_pending()) {
            return VM_E_INTR;
        }
        error = vm_fault(map, start + off, access);
    }
    return error;
}

/* ---- mmap ------------------------------------------------------------- */

/* What a file allows: the object, the largest protection. */
static int64_t
mmap_file(int fd, uint64_t flags, struct vm_map_args *args)
{
    bool shared = (flags & UNIX_MAP_TYPE) != UNIX_MAP_PRIVATE;
    struct file *f;
    uint32_t mode;
    uint64_t size;
    int64_t error = file_get(fd, &f);

    if (error != 0) {
        return error;
    }
    mode = vm_get(&f->flags) & UNIX_O_ACCMODE;
    if (mode == UNIX_O_WRONLY || (shared && mode != UNIX_O_RDWR &&
        (args->prot & VM_PROT_WRITE) != 0)) {
        error = -UNIX_EACCES;
    } else {
        error = node_mmap(f->node, shared && mode == UNIX_O_RDWR,
            &args->object, &size);
    }
    if (error == 0 && shared && mode != UNIX_O_RDWR) {
        args->max = VM_PROT_READ | VM_PROT_EXEC;
    }
    file_unref(f);
    return error;
}

static int64_t
mmap_anonymous(uint64_t flags, struct vm_map_args *args)
{
    if ((flags & UNIX_MAP_TYPE) == UNIX_MAP_PRIVATE) {
        return 0;
    }
    if ((flags & UNIX_MAP_TYPE) != UNIX_MAP_SHARED) {
        return -UNIX_EINVAL;
    }
    args->pgno = 0;
    return unix_error(vm_object_create(args->size >> vm_page_shift, NULL,
        &args->object));
}

/* The arguments that do not depend on the file; Linux's order. */
static int64_t
mmap_check(const struct vm_map *map, const uint64_t *a,
    struct vm_map_args *args)
{
    uint64_t flags = a[3], type = flags & UNIX_MAP_TYPE;
    bool fixed = (flags & (UNIX_MAP_FIXED | UNIX_MAP_FIXED_NOREPLACE)) != 0;

    if (a[1] == 0 || !vm_page_aligned(a[5]) ||
        (type != UNIX_MAP_SHARED && type != UNIX_MAP_PRIVATE &&
        type != UNIX_MAP_SHARED_VALIDATE)) {
        return -UNIX_EINVAL;
    }
    args->size = mem_round(a[1]);
    if (args->size == 0 ||
        args->size > vm_get(&map->end) - vm_get(&map->start)) {
        return -UNIX_ENOMEM;
    }
    args->pgno = a[5] >> vm_page_shift;
    if ((flags & UNIX_MAP_ANONYMOUS) == 0 &&
        args->pgno + (args->size >> vm_page_shift) >
        INT64_MAX >> vm_page_shift) {
        return -UNIX_EOVERFLOW;
    }
    if (fixed && !vm_page_aligned(a[0])) {
        return -UNIX_EINVAL;
    }
    if (fixed && !mem_in_bounds(map, a[0], args->size)) {
        return a[0] < vm_get(&map->start) ? -UNIX_EPERM : -UNIX_ENOMEM;
    }
    args->prot = (vm_prot_t)(a[2] & VM_PROT_ALL);
    args->max = VM_PROT_ALL;
    args->anywhere = !fixed;
    args->overwrite = (flags & UNIX_MAP_FIXED_NOREPLACE) == 0;
    args->addr = fixed ? a[0] : vm_trunc_page(a[0]);
    if (!fixed && !mem_in_bounds(map, args->addr, args->size)) {
        args->addr = mem_mmap_base(map);
    }
    args->mode = type == UNIX_MAP_PRIVATE ? VM_MAP_PRIVATE : VM_MAP_SHARED;
    args->inherit = type == UNIX_MAP_PRIVATE ? VM_INHERIT_COPY :
        VM_INHERIT_SHARE;
    return 0;
}

int64_t
sys_mmap(const uint64_t *a)
{
    struct proc *p = proc_current();
    struct vm_map_args args = { 0 };
    uint64_t flags = a[3];
    vaddr_t addr;
    int64_t error = mmap_check(p->map, a, &args);

    if (error != 0) {
        return error;
    }
    if ((flags & UNIX_MAP_ANONYMOUS) == 0) {
        error = mmap_file((int)a[4], flags, &args);
    } else {
        error = mmap_anonymous(flags, &args);
    }
    if (error != 0) {
        return error;
    }
    if ((flags & UNIX_MAP_NORESERVE) == 0 && args.object == NULL &&
        (args.prot & VM_PROT_WRITE) != 0 && !mem_may_promise(args.size)) {
        return -UNIX_ENOMEM;
    }
    error = vm_map_enter(p->map, &args, &addr);
    if (args.object != NULL) {
        vm_object_unref(args.object, NULL);
    }
    if (error == VM_E_NOSPACE && !args.anywhere) {
        return -UNIX_EEXIST;
    }
    if (error != VM_OK) {
        return unix_error((int)error);
    }
    if ((flags & UNIX_MAP_LOCKED) != 0 || p->lock_future) {
        (void)!vm_map_wire(p->map, addr, args.size);
    } else if ((flags & UNIX_MAP_POPULATE) != 0 && args.prot != 0) {
        (void)mem_populate(p->map, addr, args.size,
            args.mode == VM_MAP_PRIVATE && (args.prot & VM_PROT_WRITE) != 0 ?
            VM_PROT_WRITE : VM_PROT_READ);
    }
    return (int64_t)addr;
}

int64_t
sys_munmap(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vaddr_t start = a[0], end, low;
    vsize_t size = mem_round(a[1]);

    if (!vm_page_aligned(start) || !vm_range_ok(start, size) ||
        start + size > vm_get(&map->end)) {
        return -UNIX_EINVAL;
    }
    /* Below the lowest address there is nothing, and that is no error. */
    end = start + size;
    low = vm_get(&map->start);
    start = start > low ? start : low;
    if (start >= end) {
        return 0;
    }
    return unix_error(vm_map_deallocate(map, start, end - start));
}

int64_t
sys_mprotect(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vsize_t size = mem_round(a[1]);

    if (!vm_page_aligned(a[0]) || (a[2] & ~(uint64_t)VM_PROT_ALL) != 0) {
        return -UNIX_EINVAL;
    }
    if (a[1] == 0) {
        return 0;
    }
    if (!mem_in_bounds(map, a[0], size)) {
        return -UNIX_ENOMEM;
    }
    switch (vm_map_protect(map, a[0], size, (vm_prot_t)a[2], false)) {
    case VM_OK:
        return 0;
    case VM_E_PROT:
        return -UNIX_EACCES;
    default:
        return -UNIX_ENOMEM;
    }
}

/* ---- mremap ----------------------------------------------------------- */

/* Is [addr, +size) one region, or several, without a hole? */
static bool
mem_is_mapped(struct vm_map *map, vaddr_t addr, vsize_t size)
{
    vaddr_t end = addr + size, at = addr;
    struct vm_region r;

    while (at < end) {
        vaddr_t found = at;

        if (!vm_map_region(map, &found, &r) || found > at) {
            return false;
        }
        at = found + r.size;
    }
    return true;
}

/* To dst; or, dst 0, wherever there is room. */
static int64_t
mremap_move(struct vm_map *map, vaddr_t src, vsize_t old, vsize_t new,
    vaddr_t dst)
{
    struct vm_map_args hold = {
        .addr = dst != 0 ? dst : mem_mmap_base(map), .size = new,
        .anywhere = dst == 0, .overwrite = true,
        .max = VM_PROT_ALL, .inherit = VM_INHERIT_NONE,
    };
    vsize_t both = old < new ? old : new;
    int error = vm_map_enter(map, &hold, &dst);

    if (error != VM_OK) {
        return -UNIX_ENOMEM;
    }
    /* What goes there takes the place of the holder, the tail too. */
    error = vm_map_move(map, src, both, dst);
    if (error == VM_OK && new > both) {
        error = vm_map_deallocate(map, dst + both, new - both);
        if (error == VM_OK) {
            error = vm_map_extend(map, dst + both, new - both);
        }
        if (error != VM_OK) {
            (void)!vm_map_move(map, dst, both, src);
        }
    }
    if (error != VM_OK) {
        (void)!vm_map_deallocate(map, dst, new);
        return -UNIX_ENOMEM;
    }
    if (old > both) {
        (void)!vm_map_deallocate(map, src + both, old - both);
    }
    return (int64_t)dst;
}

static int64_t
mremap_in_place(struct vm_map *map, vaddr_t addr, vsize_t old, vsize_t new,
    bool *full)
{
    int error;

    *full = false;
    if (new < old) {
        error = vm_map_deallocate(map, addr + new, old - new);
        return error == VM_OK ? (int64_t)addr : -UNIX_ENOMEM;
    }
    if (new == old) {
        return (int64_t)addr;
    }
    if (!mem_in_bounds(map, addr, new)) {
        *full = true;
        return -UNIX_ENOMEM;
    }
    error = vm_map_extend(map, addr + old, new - old);
    *full = error == VM_E_NOSPACE || error == VM_E_ADDRESS;
    return error == VM_OK ? (int64_t)addr : -UNIX_ENOMEM;
}

int64_t
sys_mremap(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vsize_t old = mem_round(a[1]), new = mem_round(a[2]);
    uint64_t flags = a[3];
    vaddr_t addr = a[0], at;
    struct vm_region r;
    bool full;
    int64_t result;

    if ((flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0 ||
        flags == MREMAP_FIXED || !vm_page_aligned(addr) || new == 0 ||
        old == 0) {
        return -UNIX_EINVAL;
    }
    if (!mem_in_bounds(map, addr, old) || !mem_is_mapped(map, addr, old)) {
        return -UNIX_EFAULT;
    }
    if (new > old && !mem_may_promise(new - old)) {
        return -UNIX_ENOMEM;
    }
    if ((flags & MREMAP_FIXED) != 0) {
        if (!vm_page_aligned(a[4]) || !mem_in_bounds(map, a[4], new) ||
            (a[4] < addr + old && addr < a[4] + new)) {
            return -UNIX_EINVAL;
        }
        return mremap_move(map, addr, old, new, a[4]);
    }
    result = mremap_in_place(map, addr, old, new, &full);
    if (full && (flags & MREMAP_MAYMOVE) != 0) {
        result = mremap_move(map, addr, old, new, 0);
    }
    at = (vaddr_t)result;
    if (result > 0 && new > old && vm_map_region(map, &at, &r) &&
        r.wired_count != 0) {
        (void)!vm_map_wire(map, (vaddr_t)result + old, new - old);
    }
    return result;
}

/* ---- advice, residence, locking --------------------------------------- */

/* What DONTFORK took away: shared memory is shared again, the rest copied. */
static int64_t
mem_dofork(struct vm_map *map, vaddr_t start, vsize_t size)
{
    vaddr_t end = start + size;
    struct vm_region r;

    while (start < end) {
        vaddr_t at = start;
        vsize_t n;
        int error;

        if (!vm_map_region(map, &at, &r) || at > start) {
            return -UNIX_ENOMEM;
        }
        n = (at + r.size < end ? at + r.size : end) - start;
        error = vm_map_inherit(map, start, n,
            r.shared ? VM_INHERIT_SHARE : VM_INHERIT_COPY);
        if (error != VM_OK) {
            return unix_error(error);
        }
        start += n;
    }
    return 0;
}

/* Is any region in [start, start + size) shared, or (wired) locked? */
static bool
mem_any(struct vm_map *map, vaddr_t start, vsize_t size, bool wired)
{
    vaddr_t end = start + size;
    struct vm_region r;

    for (vaddr_t at = start; vm_map_region(map, &at, &r) && at < end;
        at += r.size) {
        if (wired ? r.wired_count != 0 : r.shared) {
            return true;
        }
    }
    return false;
}

/* Linux's errors: a hole; not allowed; beyond the end of a file. */
static int64_t
madvise_populate(struct vm_map *map, vaddr_t start, vsize_t size,
    vm_prot_t access)
{
    switch (mem_populate(map, start, size, access)) {
    case VM_OK:
        return 0;
    case VM_E_PROT:
        return -UNIX_EINVAL;
    case VM_E_PAGER:
        return -UNIX_EFAULT;
    case VM_E_INTR:
        return -UNIX_EINTR;
    default:
        return -UNIX_ENOMEM;
    }
}

static int64_t
madvise_range(struct vm_map *map, vaddr_t start, vsize_t size, int advice)
{
    int error = VM_OK;

    switch (advice) {
    case MADV_FREE:
        if (mem_any(map, start, size, false)) {
            return -UNIX_EINVAL;
        }
        /* FALLTHROUGH */
    case MADV_DONTNEED:
        error = vm_map_reset(map, start, size);
        break;
    case MADV_DONTFORK:
        error = vm_map_inherit(map, start, size, VM_INHERIT_NONE);
        break;
    case MADV_DOFORK:
        return mem_dofork(map, start, size);
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
        error = vm_map_advise_large(map, start, size,
            advice == MADV_HUGEPAGE);
        break;
    case MADV_POPULATE_READ:
        return madvise_populate(map, start, size, VM_PROT_READ);
    case MADV_POPULATE_WRITE:
        return madvise_populate(map, start, size, VM_PROT_WRITE);
    default:
        if (!mem_is_mapped(map, start, size)) {
            error = VM_E_ADDRESS;
        }
    }
    if (error == VM_E_ADDRESS) {
        return -UNIX_ENOMEM;
    }
    return error == VM_E_BUSY ? -UNIX_EINVAL : unix_error(error);
}

int64_t
sys_madvise(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vsize_t size = mem_round(a[1]);
    int advice = (int)a[2];
    bool known = (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) ||
        advice == MADV_FREE || advice == MADV_DONTFORK ||
        advice == MADV_DOFORK ||
        (advice >= MADV_HUGEPAGE && advice <= MADV_DODUMP) ||
        (advice >= MADV_COLD && advice <= MADV_POPULATE_WRITE);

    if (!known || !vm_page_aligned(a[0]) || (a[1] != 0 && size == 0)) {
        return -UNIX_EINVAL;
    }
    if (size == 0) {
        return 0;
    }
    if (!vm_range_ok(a[0], size)) {
        return -UNIX_EINVAL;
    }
    if (!mem_in_bounds(map, a[0], size)) {
        return -UNIX_ENOMEM;
    }
    return madvise_range(map, a[0], size, advice);
}

int64_t
sys_mincore(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vsize_t size = mem_round(a[1]);
    vaddr_t start = a[0], vec = a[2];
    uint8_t buf[64];
    uint64_t count;

    if (!vm_page_aligned(start)) {
        return -UNIX_EINVAL;
    }
    if (a[1] == 0) {
        return 0;
    }
    if (!mem_in_bounds(map, start, size)) {
        return -UNIX_ENOMEM;
    }
    for (vsize_t done = 0; done < size;) {
        vsize_t n = (vsize_t)sizeof(buf) << vm_page_shift;
        int64_t error;

        n = n < size - done ? n : size - done;
        if (vm_map_resident(map, start + done, n, buf, &count) != VM_OK) {
            return -UNIX_ENOMEM;
        }
        error = unix_copyout(vec + (done >> vm_page_shift), buf,
            n >> vm_page_shift);
        if (error != 0) {
            return error;
        }
        done += n;
    }
    return 0;
}

/* Files live in memory: there is nowhere to write them to. */
int64_t
sys_msync(const uint64_t *a)
{
    struct vm_map *map = proc_current()->map;
    vsize_t size = mem_round(a[1]);

    if ((a[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 ||
        (a[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC) ||
        !vm_page_aligned(a[0])) {
        return -UNIX_EINVAL;
    }
    if (a[1] == 0) {
        return 0;
    }
    if (!mem_in_bounds(map, a[0], size) ||
        !mem_is_mapped(map, a[0], size)) {
        return -UNIX_ENOMEM;
    }
    return (a[2] & MS_INVALIDATE) != 0 && mem_any(map, a[0], size, true) ?
        -UNIX_EBUSY : 0;
}
