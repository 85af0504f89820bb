/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage.c - is everything that was taken given back?
 *
 * What only varies with history does not count: the kernel's own leaf
 * tables (addresses of the window are used again, but not in order), and
 * slabs (items are counted instead).
 */
#include "hooks.h"
#include "pmap_ctl.h"
#include "sched.h"
#include "vm_object.h"
#include "vm_zone.h"

#define USAGE_ZONES \
    (sizeof(((struct kern_usage *)0)->zones) / sizeof(uint64_t))

static const char *const kind_names[VM_PAGE_KINDS] = {
    [VM_PAGE_RESERVED] = "reserved frames",
    [VM_PAGE_FREE] = "free frames",
    [VM_PAGE_OBJECT] = "frames of objects",
    [VM_PAGE_TABLE] = "page tables",
    [VM_PAGE_KERNEL] = "kernel frames outside zones",
    [VM_PAGE_DEVICE] = "device frames",
};

static unsigned
zone_count(void)
{
    unsigned n = 0;

    for (struct vm_zone *z = vm_zone_list(); z != NULL; z = z->next) {
        n++;
    }
    return n;
}

/* Numbered from the oldest, so that new zones change no number. */
static void
usage_zones(struct kern_usage *u)
{
    unsigned i = zone_count();

    for (struct vm_zone *z = vm_zone_list(); z != NULL; z = z->next) {
        i--;
        u->kind[VM_PAGE_KERNEL] -= z->slabs;
        if (i < USAGE_ZONES) {
            u->zones[i] = vm_zone_live(z);
        }
    }
}

void
kern_usage_mark(struct kern_usage *u)
{
    struct pmap_counts kernel;

    unix_trim();
    thread_trim_stacks(0);
    (void)pmap_reap(true);
    vm_zone_drain();
    vm_page_drain();
    memset(u, 0, sizeof(*u));
    for (unsigned k = 0; k < VM_PAGE_KINDS; k++) {
        u->kind[k] = vm_page_kind_count((enum vm_page_kind)k);
    }
    pmap_count(pmap_kernel(), &kernel);
    u->kind[VM_PAGE_TABLE] -= kernel.tables;
    u->objects = vm_object_count();
    u->threads = thread_count();
    usage_zones(u);
}

static bool
usage_same(const char *what, uint64_t was, uint64_t is)
{
    if (is <= was) {
        return true;
    }
    kern_printf("not given back: %llu %s (%llu before, %llu now)\n",
        (unsigned long long)(is - was), what, (unsigned long long)was,
        (unsigned long long)is);
    return false;
}

bool
kern_usage_check(const struct kern_usage *u)
{
    struct kern_usage now;
    unsigned i = zone_count();
    bool same = true;

    kern_usage_mark(&now);
    for (unsigned k = 0; k < VM_PAGE_KINDS; k++) {
        if (k != VM_PAGE_FREE) {
            same &= usage_same(kind_names[k], u->kind[k], now.kind[k]);
        }
    }
    same &= usage_same("objects", u->objects, now.objects);
    same &= usage_same("threads", u->threads, now.threads);
    for (struct vm_zone *z = vm_zone_list(); z != NULL; z = z->next) {
        if (--i < USAGE_ZONES) {
            same &= usage_same(z->name, u->zones[i], now.zones[i]);
        }
    }
    return same;
}
