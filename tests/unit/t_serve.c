/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_serve.c - memory whose missing pages a server brings.  The server here is
 * the hook itself: page n holds n + 100 in its second word.
 */
/* pal: machines=x86_64 flavours=debug,tsan timeout=240 */
#include "map_test.h"
#include "vm_object_impl.h"

static struct vm_map *map;
static unsigned asked[PAGES];   /* how often, for each page */
static int answer;              /* of the hook; VM_OK: it brings the page */

static int
supply(unsigned page, uint64_t value)
{
    struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
    int error;

    CHECK(p != NULL);
    vm_page_zero(p);
    ((uint64_t *)vm_page_data(p))[1] = value;
    error = vm_map_supply(map, va_of(page), p);
    if (error != VM_OK) {
        vm_page_free(p);
    }
    return error;
}

static int
ask(struct vm_map *m, vaddr_t va, vm_prot_t access, unsigned server,
    struct vm_ticket ticket)
{
    unsigned page = (unsigned)((va - BASE) >> vm_page_shift);

    (void)access;
    CHECK(m == map && page < PAGES && server == 5);
    asked[page]++;
    if (answer != VM_OK) {
        return answer;
    }
    CHECK_EQ(supply(page, page + 100), VM_OK);
    /* It was woken before it slept. */
    CHECK_EQ(vm_wait_sleep(ticket, true), VM_OK);
    return VM_OK;
}

static void
begin(void)
{
    vaddr_t addr = BASE;

    boot(12, 4096);
    vm_map_server = ask;
    answer = VM_OK;
    memset(asked, 0, sizeof(asked));
    CHECK_EQ(vm_map_create(&map), VM_OK);
    CHECK_EQ(vm_map_allocate(map, &addr, PAGES * VM_PAGE_SIZE, false),
        VM_OK);
}

static void
end(void)
{
    vm_map_check(map);
    vm_map_audit(map);
    vm_map_unref(map);
    CHECK_EQ(vm_object_count(), 0);
    host_memory_end();
}

static uint64_t
get(struct vm_map *m, unsigned page)
{
    uint64_t word = 0;

    CHECK_EQ(vm_map_read(m, va_of(page) + 8, &word, sizeof(word)), VM_OK);
    return word;
}

static void
put(struct vm_map *m, unsigned page, uint64_t word)
{
    CHECK_EQ(vm_map_write(m, va_of(page) + 8, &word, sizeof(word)), VM_OK);
}

TEST(missing_pages_are_asked_for)
{
    begin();
    put(map, 0, 1);
    CHECK_EQ(get(map, 1), 0);
    CHECK_EQ(vm_fault(map, va_of(2), VM_PROT_READ), VM_OK);
    CHECK_EQ(vm_map_serve(map, BASE, 32 * VM_PAGE_SIZE, 5), VM_OK);
    CHECK_EQ(map->entries, 2);
    /* What was there stays, be it zeros that nobody wrote. */
    CHECK_EQ(get(map, 0), 1);
    CHECK_EQ(get(map, 2), 0);
    CHECK_EQ(asked[0] + asked[2], 0);
    while (vm_pageout(vm_page_count, 64) != 0) {
        continue;
    }
    CHECK_EQ(get(map, 2), 0);
    /* What is not is brought, for every kind of access. */
    CHECK_EQ(get(map, 1), 101);
    put(map, 3, 7);
    CHECK_EQ(get(map, 3), 7);
    CHECK_EQ(vm_fault(map, va_of(4), VM_PROT_READ), VM_OK);
    CHECK_EQ(vm_fault(map, va_of(5), VM_PROT_WRITE), VM_OK);
    CHECK_EQ(vm_map_wire(map, va_of(6), 2 * VM_PAGE_SIZE), VM_OK);
    for (unsigned i = 1; i < 8; i++) {
        CHECK_EQ(asked[i], i == 2 ? 0 : 1);
    }
    CHECK_EQ(get(map, 5), 105);
    CHECK_EQ(get(map, 40), 0);
    /* Until it is thrown away. */
    CHECK_EQ(vm_map_reset(map, BASE, 5 * VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(get(map, 0), 100);
    CHECK_EQ(get(map, 3), 103);
    /* Or nobody is asked any more. */
    vm_map_unserve(map, 5);
    CHECK_EQ(get(map, 20), 0);
    CHECK_EQ(get(map, 5), 105);
    CHECK_EQ(vm_map_unwire(map, va_of(6), 2 * VM_PAGE_SIZE), VM_OK);
    end();
}

TEST(errors_of_servers)
{
    struct vm_map_args a = {
        .addr = va_of(PAGES), .size = VM_PAGE_SIZE, .mode = VM_MAP_SHARED,
        .prot = RW, .max = VM_PROT_ALL, .inherit = VM_INHERIT_SHARE,
    };
    uint64_t word;
    vaddr_t addr;

    begin();
    CHECK_EQ(vm_map_serve(map, BASE, 1, 5), VM_E_INVAL);
    CHECK_EQ(vm_map_serve(map, BASE, VM_PAGE_SIZE, VM_SERVER_MAX + 1),
        VM_E_INVAL);
    CHECK_EQ(vm_map_serve(map, va_of(PAGES), VM_PAGE_SIZE, 5),
        VM_E_ADDRESS);
    CHECK_EQ(vm_object_create(1, NULL, &a.object), VM_OK);
    CHECK_EQ(vm_map_enter(map, &a, &addr), VM_OK);
    CHECK_EQ(vm_map_serve(map, addr, VM_PAGE_SIZE, 5), VM_E_INVAL);
    vm_object_unref(a.object, NULL);
    CHECK_EQ(vm_map_serve(map, BASE, 4 * VM_PAGE_SIZE, 5), VM_OK);
    CHECK_EQ(vm_map_serve(map, BASE, 8 * VM_PAGE_SIZE, 6), VM_E_BUSY);
    CHECK_EQ(vm_map_protect(map, va_of(8), VM_PAGE_SIZE, VM_PROT_READ,
        true), VM_OK);
    CHECK_EQ(vm_map_serve(map, va_of(8), VM_PAGE_SIZE, 5), VM_E_PROT);
    CHECK_EQ(supply(8, 1), VM_E_ADDRESS);
    CHECK_EQ(supply(PAGES + 1, 1), VM_E_ADDRESS);
    CHECK_EQ(supply(0, 1), VM_OK);
    CHECK_EQ(supply(0, 2), VM_E_NOSPACE);
    CHECK_EQ(get(map, 0), 1);
    CHECK_EQ(asked[0], 0);
    /* A server that fails, or a thread that will not wait. */
    answer = VM_E_PAGER;
    CHECK_EQ(vm_map_read(map, va_of(1), &word, 8), VM_E_PAGER);
    CHECK_EQ(vm_fault(map, va_of(1), VM_PROT_READ), VM_E_PAGER);
    answer = VM_E_INTR;
    CHECK_EQ(vm_fault(map, va_of(1), VM_PROT_READ), VM_E_INTR);
    CHECK_EQ(vm_map_wire(map, va_of(1), VM_PAGE_SIZE), VM_E_INTR);
    answer = VM_OK;
    CHECK_EQ(get(map, 1), 101);
    end();
}

/* No memory, at each allocation: nothing is there, or all of it. */
TEST(supply_without_memory)
{
    begin();
    CHECK_EQ(vm_map_serve(map, va_of(3), 4 * VM_PAGE_SIZE, 5), VM_OK);
    for (long n = 1;; n++) {
        struct vm_page *p = vm_page_alloc(VM_PAGE_OBJECT, VM_ALLOC_USER);
        int error;

        CHECK(p != NULL);
        vm_page_zero(p);
        host_fail_after(n);
        error = vm_map_supply(map, va_of(4), p);
        host_fail_after(0);
        if (error == VM_OK) {
            CHECK(n > 1);
            break;
        }
        CHECK_EQ(error, VM_E_NOMEM);
        vm_page_free(p);
        vm_map_check(map);
        CHECK(n < 100);
    }
    CHECK_EQ(get(map, 4), 0);
    CHECK_EQ(asked[4], 0);
    end();
}

/* Children have ordinary memory, and make nothing for their parent. */
TEST(children_are_not_served)
{
    struct vm_map *child, *other;

    begin();
    put(map, 0, 1);
    CHECK_EQ(vm_map_fork(map, &other), VM_OK);
    CHECK_EQ(vm_map_serve(map, BASE, PAGES * VM_PAGE_SIZE, 5), VM_OK);
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    /* Read, write, wire, and read where writing is forbidden. */
    for (unsigned i = 1; i < 9; i++) {
        CHECK_EQ(vm_fault(i % 2 == 0 ? child : other, va_of(i),
            VM_PROT_READ), VM_OK);
    }
    put(child, 10, 5);
    CHECK_EQ(vm_map_wire(child, va_of(12), VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(vm_map_protect(other, BASE, PAGES * VM_PAGE_SIZE,
        VM_PROT_READ, false), VM_OK);
    CHECK_EQ(vm_fault(other, va_of(14), VM_PROT_READ), VM_OK);
    CHECK_EQ(vm_map_wire(other, va_of(15), VM_PAGE_SIZE), VM_OK);
    CHECK_EQ(get(child, 0), 1);
    for (unsigned i = 1; i < 20; i++) {
        CHECK_EQ(asked[i], 0);
        CHECK_EQ(get(map, i), i + 100);
        CHECK_EQ(asked[i], 1);
        CHECK_EQ(get(child, i), i == 10 ? 5 : 0);
        CHECK_EQ(get(other, i), 0);
    }
    /* Brought while it is shared: the parent's alone. */
    CHECK_EQ(vm_map_unwire(child, va_of(12), VM_PAGE_SIZE), VM_OK);
    vm_map_unref(child);
    CHECK_EQ(vm_map_fork(map, &child), VM_OK);
    CHECK_EQ(supply(30, 3), VM_OK);
    CHECK_EQ(get(child, 30), 0);
    CHECK_EQ(get(child, 19), 119);
    CHECK_EQ(get(map, 30), 3);
    vm_map_check(child);
    vm_map_audit(child);
    vm_map_check(other);
    vm_map_audit(other);
    vm_map_unref(child);
    vm_map_unref(other);
    /* Chains are short again, and the rest is still missing. */
    for (unsigned i = 0; i < PAGES; i++) {
        put(map, i, i);
        CHECK_EQ(asked[i], i != 0 && i != 30);
    }
    end();
}
