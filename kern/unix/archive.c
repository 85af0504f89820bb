/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * archive.c - the pager of the archive's files (regular.c): bytes that lie in
 * memory since boot are copied when a page is touched first.
 *
 * What is written stays in memory: the pager refuses data_write, which makes
 * the pages modified again.
 */
#include "regular_impl.h"

#define ARCHIVE_CLUSTER 16u             /* pages provided at a time */

/* The last page of a file is completed here. */
static struct vm_mutex tail_lock = VM_MUTEX_INIT(KERN_RANK_WINDOW);
static unsigned char *tail_page;

static void
archive_nothing(struct vm_pager *pg)
{
    (void)pg;
}

static void
archive_provide(struct regular_archive *ar, vm_pgno_t pgno, vm_pgno_t n)
{
    uint64_t valid = vm_get(&ar->valid), start = pgno << vm_page_shift;
    vm_pgno_t whole = valid >> vm_page_shift;
    size_t tail = valid & VM_PAGE_MASK;
    int error = VM_OK;

    if (pgno < whole) {
        n = n < whole - pgno ? n : whole - pgno;
        error = vm_pager_data_provided(&ar->pager, pgno, n,
            ar->bytes + start, VM_PROT_NONE, false);
    } else if (pgno == whole && tail > 0) {
        vm_mutex_lock(&tail_lock);
        memcpy(tail_page, ar->bytes + start, tail);
        memset(tail_page + tail, 0, VM_PAGE_SIZE - tail);
        error = vm_pager_data_provided(&ar->pager, pgno, 1, tail_page,
            VM_PROT_NONE, false);
        vm_mutex_unlock(&tail_lock);
    } else {
        error = vm_pager_data_unavailable(&ar->pager, pgno, n);
    }
    /* It was cut short meanwhile, or memory is too short for more. */
    (void)error;
}

/*
 * Copying costs the same now or later, but each request costs a sleep: so
 * the neighbours come along, the page asked for first.
 */
static void
archive_request(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    struct regular_archive *ar = kern_container(pg,
        struct regular_archive, pager);
    vm_pgno_t start = pgno & ~(vm_pgno_t)(ARCHIVE_CLUSTER - 1);
    vm_pgno_t whole = vm_get(&ar->valid) >> vm_page_shift;
    vm_pgno_t end = start + ARCHIVE_CLUSTER;

    (void)access;
    for (vm_pgno_t i = 0; i < n; i++) {
        archive_provide(ar, pgno + i, 1);
    }
    end = end < whole ? end : whole;
    if (start < end && vm_page_free_count() > vm_page_count / 8) {
        archive_provide(ar, start, end - start);
    }
}

static void
archive_write(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    const void *data)
{
    (void)data;
    /* Refused: memory is where it stays. */
    if (vm_pager_write_done(pg, pgno, n, false) != VM_OK) {
        return;
    }
}

static void
archive_unlock(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n,
    vm_prot_t access)
{
    (void)pg;
    (void)pgno;
    (void)n;
    (void)access;
}

static void
archive_completed(struct vm_pager *pg, vm_pgno_t pgno, vm_pgno_t n)
{
    (void)pg;
    (void)pgno;
    (void)n;
}

static void
archive_terminate(struct vm_pager *pg)
{
    struct regular_archive *ar = kern_container(pg,
        struct regular_archive, pager);

    if (!ar->keep) {
        kern_free(ar, sizeof(*ar));
    }
}

const struct vm_pager_ops archive_ops = {
    .init = archive_nothing,
    .data_request = archive_request,
    .data_write = archive_write,
    .data_create = archive_write,
    .data_unlock = archive_unlock,
    .lock_completed = archive_completed,
    .terminate = archive_terminate,
};

void
archive_init(void)
{
    tail_page = kern_map_pages((unsigned)(VM_PAGE_SIZE >> MD_PAGE_SHIFT));
    if (tail_page == NULL) {
        kern_panic("no memory for files");
    }
}
