/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_object_io.c - read and write memory objects from within the kernel.
 *
 * A page at a time, like a fault that ends in a copy instead of a
 * translation: vm_fault_page() finds or makes the page, asks pagers, pushes
 * to snapshots, and leaves the objects locked for the copy.  Two cases skip
 * it, since files are made of them: the page is there and nobody has to be
 * told, and a new page of an object that stands alone, which is not even
 * zeroed if all of it is written.
 *
 * A store by the kernel cannot be revoked half-way as a translation can, so
 * the object stays locked over the copy; that is why the other side is a
 * kernel buffer, never a program's memory, whose fault could need that lock.
 */
#include "vm_fault_impl.h"
#include "vm_object_io.h"

/* One page's share of a transfer; buf NULL in a write: zeros. */
struct vm_io {
    vm_pgno_t pgno;
    size_t offset, size;
    unsigned char *buf;
    bool write;
};

/* The page is found and locked: move the bytes. */
static void
vm_io_copy(const struct vm_io *io, struct vm_page *p)
{
    unsigned char *data;

    if (p == NULL) {
        memset(io->buf, 0, io->size);
        return;
    }
    data = (unsigned char *)vm_page_data(p) + io->offset;
    if (!io->write) {
        vm_bytes_copy(io->buf, data, io->size);
        return;
    }
    if ((vm_page_flags(p) & VM_PG_ICACHE) != 0) {
        /* Who executes it must fault, and get the new instructions. */
        pmap_page_protect(p, VM_PROT_READ, NULL);
    }
    vm_page_set(p, VM_PG_MODIFIED | VM_PG_REFERENCED);
    vm_page_clear(p, VM_PG_ICACHE);
    if (io->buf == NULL) {
        memset(data, 0, io->size);
    } else {
        vm_bytes_copy(data, io->buf, io->size);
    }
}

/* The two common cases, o locked; false: not one of them, untouched. */
static bool
vm_io_quick(struct vm_object *o, const struct vm_io *io)
{
    vm_slot_t slot = vm_radix_lookup(&o->pages, io->pgno);
    struct vm_page *p = vm_slot_page(slot);

    if (p != NULL) {
        if (!vm_page_is_valid(p) || p->forbidden != 0 ||
            (io->write && o->copy != NULL)) {
            return false;
        }
        vm_io_copy(io, p);
        return true;
    }
    if (slot != VM_SLOT_EMPTY || !vm_object_is_plain(o)) {
        return false;
    }
    if (!io->write) {
        vm_io_copy(io, NULL);
        return true;
    }
    if (io->buf == NULL) {
        return true;
    }
    p = vm_object_new_page(o, io->pgno, 0, VM_ALLOC_USER);
    if (p == NULL) {
        return false;
    }
    if (io->size < VM_PAGE_SIZE) {
        vm_page_zero(p);
        vm_stat_inc(VM_STAT_ZERO_FILLS);
    }
    vm_io_copy(io, p);
    return true;
}

static __attribute__((noinline)) int
vm_io_slow(struct vm_object *o, const struct vm_io *io)
{
    struct vm_fault f = {
        .access = io->write ? VM_PROT_WRITE : VM_PROT_READ,
        .action = io->write ? VM_FAULT_COPY_IN : VM_FAULT_COPY_OUT,
        .own = io->write, .kind = VM_STAT_FAULTS, .pgno = io->pgno,
    };
    int error;

    do {
        f.top = o;
        f.obj = o;
        vm_object_lock(o);
        if (io->pgno >= o->npages) {
            vm_object_unlock(o);
            return VM_E_ADDRESS;
        }
        error = vm_fault_page(&f);
        if (error == VM_OK) {
            vm_io_copy(io, f.page);
            vm_fault_unlock_objects(&f);
        }
    } while (error == VM_E_RETRY);
    return error;
}

static int
vm_io_page(struct vm_object *o, const struct vm_io *io)
{
    vm_object_lock(o);
    if (io->pgno < o->npages && vm_io_quick(o, io)) {
        vm_object_unlock(o);
        return VM_OK;
    }
    vm_object_unlock(o);
    return vm_io_slow(o, io);
}

static int
vm_io_move(struct vm_object *o, uint64_t offset, unsigned char *buf,
    uint64_t n, bool write)
{
    if (n != 0 && offset + n - 1 < offset) {
        return VM_E_ADDRESS;
    }
    while (n > 0) {
        size_t at = offset & VM_PAGE_MASK;
        size_t size = VM_PAGE_SIZE - at < n ? VM_PAGE_SIZE - at : n;
        struct vm_io io = {
            .pgno = offset >> vm_page_shift, .offset = at, .size = size,
            .buf = buf, .write = write,
        };
        int error = vm_io_page(o, &io);

        if (error != VM_OK) {
            return error;
        }
        offset += size;
        n -= size;
        buf = buf == NULL ? NULL : buf + size;
    }
    return VM_OK;
}

int
vm_object_read(struct vm_object *o, uint64_t offset, void *buf, size_t n)
{
    return vm_io_move(o, offset, buf, n, false);
}

int
vm_object_write(struct vm_object *o, uint64_t offset, const void *buf,
    size_t n)
{
    return vm_io_move(o, offset, (unsigned char *)(uintptr_t)buf, n, true);
}

int
vm_object_zero(struct vm_object *o, uint64_t offset, uint64_t n)
{
    return vm_io_move(o, offset, NULL, n, true);
}

bool
vm_object_has_page(struct vm_object *o, vm_pgno_t pgno)
{
    bool has;

    vm_object_lock(o);
    has = vm_radix_lookup(&o->pages, pgno) != VM_SLOT_EMPTY;
    vm_object_unlock(o);
    return has;
}

bool
vm_object_next_page(struct vm_object *o, vm_pgno_t *pgno)
{
    vm_slot_t slot;
    bool found;

    vm_object_lock(o);
    found = vm_radix_next(&o->pages, pgno, &slot);
    vm_object_unlock(o);
    return found;
}

bool
vm_object_is_unused(struct vm_object *o)
{
    vm_pgno_t key = 0;
    vm_slot_t slot;
    bool unused;

    vm_object_lock(o);
    unused = o->ref_count == 1 && o->paging == 0;
    while (unused && vm_radix_next(&o->pages, &key, &slot)) {
        struct vm_page *p = vm_slot_page(slot);

        unused = p != NULL && (vm_page_flags(p) & VM_PG_MODIFIED) == 0;
        key++;
    }
    vm_object_unlock(o);
    return unused;
}

uint64_t
vm_object_page_count(struct vm_object *o)
{
    /* One word, and without the object's lock old by the time it is used. */
    return *(volatile uint64_t *)&o->pages.count;
}

struct vm_object *
vm_object_end(struct vm_object *o, vm_pgno_t *pgno)
{
    vm_object_lock(o);
    while (o->shadow != NULL) {
        struct vm_object *back = o->shadow;

        *pgno += o->shadow_pgno;
        vm_object_lock(back);
        vm_object_unlock(o);
        o = back;
    }
    vm_object_unlock(o);
    return o;
}
