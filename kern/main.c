/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - bringing the kernel up, in the order in which its parts lean on
 * each other.
 *
 *   options, console    so that what goes wrong can be read
 *   core map            an entry for each frame from the lowest address of
 *                       RAM to the highest; what is free is released
 *   vm_init             objects, maps, the kernel's pmap
 *   threads             the boot thread becomes the idle thread
 *   devices             timer and console interrupts
 *   pageout, init       the first threads; the boot thread goes idle, and
 *                       init runs the tests or starts the personality
 *
 * What the command line asks for and this machine does not have is said in
 * one line, and the machine is left with status 2.
 */
#include "boot.h"
#include "idle.h"
#include "pmap_ctl.h"
#include "storm.h"
#include "testpoint.h"
#include "thread.h"

#define PAGE_SHIFT_MIN  12u
#define PAGE_SHIFT_MAX  16u
#define NOT_A_PAGE      "not 4096, 16384 or another size up to 65536"
#define TICK_MAX        60000u
#define DELAY_MAX       1000000u
#define EPOCH_MAX       (UINT64_C(1) << 33)     /* s; in ns it is a number */

#define WEAK            __attribute__((weak))

static uint64_t idle_ms;

/* ---- options ---------------------------------------------------------- */

static _Noreturn void
refuse(const char *name, const char *why)
{
    const char *value = kern_option(name);

    kern_printf("option %s=%s: %s\n", name, value != NULL ? value : "", why);
    md_exit(2);
}

static void
check_number(const char *name, uint64_t max, const char *why)
{
    const char *text = kern_option(name);
    uint64_t value;

    if (text != NULL && (!kern_parse_u64(text, &value) || value > max)) {
        refuse(name, why);
    }
}

/* Those that others read, when nobody can be told any more. */
static void
check_numbers(void)
{
    check_number("page", 1u << PAGE_SHIFT_MAX, NOT_A_PAGE);
    check_number("seed", UINT64_MAX, "not a number");
    check_number("time", EPOCH_MAX, "not seconds since 1970");
    check_number("tick", TICK_MAX, "not milliseconds up to a minute");
    check_number("delay", DELAY_MAX, "not steps up to a million");
}

static void
choose_page(void)
{
    uint64_t size = kern_option_u64("page", 1u << PAGE_SHIFT_MIN);
    unsigned shift = PAGE_SHIFT_MIN;

    while (shift < PAGE_SHIFT_MAX && (uint64_t)1 << shift < size) {
        shift++;
    }
    if ((uint64_t)1 << shift != size || shift < MD_PAGE_SHIFT) {
        refuse("page", NOT_A_PAGE);
    }
    vm_page_shift = shift;
}

static void
choose_format(void)
{
    const char *name = kern_option("format");
    unsigned n = pmap_format_count(), i = 0;

    if (name == NULL) {
        /* Programs get what the kernel itself was told to run in. */
        name = kern_option("mmu");
    }
    if (name == NULL) {
        return;
    }
    while (i < n && strcmp(pmap_format_name(i), name) != 0) {
        i++;
    }
    if (i == n) {
        refuse("format", "this machine has no such format of page tables");
    }
    if (pmap_set_default_format(i) != VM_OK) {
        refuse("format", "its page is larger than option page");
    }
}

/* Frames; with a suffix, bytes. */
static void
choose_tables(void)
{
    const char *text = kern_option("tables");
    uint64_t n;
    char why[64];

    if (text == NULL) {
        return;
    }
    if (!kern_parse_u64(text, &n)) {
        refuse("tables", "not a number of page tables, or bytes with K or M");
    }
    if (text[strlen(text) - 1] > '9') {
        n >>= vm_page_shift;
    }
    if (n == 0 || pmap_set_budget(n) != VM_OK) {
        (void)kern_snprintf(why, sizeof(why), "less than the %llu page "
            "tables that are needed", (unsigned long long)
            pmap_budget_floor());
        refuse("tables", why);
    }
}

static void
choose_idle(void)
{
    const char *text = kern_option("idle");

    idle_ms = KERN_IDLE_MS;
    if (text != NULL && (!kern_parse_u64(text, &idle_ms) ||
        idle_ms > KERN_IDLE_MAX)) {
        refuse("idle", "not milliseconds (0: never) up to an hour");
    }
}

/* The storm begins with the first program. */
static void
choose_storm(void)
{
    const char *text = kern_option("storm");
    struct kern_storm s;

    if (text != NULL && !kern_storm_parse(text, &s)) {
        refuse("storm", "not names of storms with commas, and :RATE");
    }
}

/* ---- memory ----------------------------------------------------------- */

/* Whole MI pages of [start, end). */
static void
release(paddr_t start, paddr_t end)
{
    start = (start + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    end &= ~VM_PAGE_MASK;
    if (start < end) {
        vm_page_release(start, (end - start) >> vm_page_shift);
    }
}

/* What is RAM and not reserved; both lists are sorted. */
static void
release_free(const struct boot_info *b)
{
    for (unsigned i = 0; i < b->nram; i++) {
        paddr_t at = b->ram[i].start, end = b->ram[i].end;

        for (unsigned k = 0; k < b->nreserved && at < end; k++) {
            struct boot_range r = b->reserved[k];

            if (r.end <= at || r.start >= end) {
                continue;
            }
            if (r.start > at) {
                release(at, r.start);
            }
            at = r.end;
        }
        if (at < end) {
            release(at, end);
        }
    }
}

/*
 * Reserves: tables and structures of the kernel may take what programs may
 * not, and pageout, which takes memory to make memory, has the last word.
 * A 128th and a 512th of memory, but no less than it takes to fork, and
 * no more than is of use.
 */
static uint64_t
set_reserves(void)
{
    uint64_t n = vm_page_free_count();
    uint64_t kernel = n / 128, pageout = n / 512;

    kernel = kernel < 32 ? 32 : kernel > 1024 ? 1024 : kernel;
    pageout = pageout < 16 ? 16 : pageout > 256 ? 256 : pageout;
    vm_page_set_reserves(kernel, pageout, 2 * (kernel + pageout));
    return 2 * (kernel + pageout);
}

/* Returns the low mark, in frames. */
static uint64_t
bootstrap_memory(struct boot_info *b)
{
    paddr_t start, end, array;
    uint64_t n;

    if (b->nram == 0) {
        kern_panic("there is no memory");
    }
    /* Address 0 means "none" in many places. */
    boot_add_reserved(b, 0, VM_PAGE_SIZE);
    start = b->ram[0].start & ~VM_PAGE_MASK;
    end = (b->ram[b->nram - 1].end + VM_PAGE_MASK) & ~VM_PAGE_MASK;
    n = (end - start) >> vm_page_shift;
    array = boot_alloc(b, VM_PAGE_ENTRIES(n) * sizeof(struct vm_page),
        (paddr_t)1 << MD_PAGE_SHIFT);
    vm_page_bootstrap(kern_frame_ptr(array), start, n);
    release_free(b);
    return set_reserves();
}

/* ---- threads ---------------------------------------------------------- */

WEAK void
unix_start(const struct boot_info *b)
{
    (void)b;
    kern_printf("no personality: there is nothing to run\n");
    md_exit(0);
}

static void
init(void *arg)
{
#if VM_TEST
    kern_test_mutant();
#endif
    kern_tests();
    if (idle_ms != 0 && kern_idle_start(idle_ms) != VM_OK) {
        kern_panic("no memory for the thread of idle programs");
    }
    unix_start(arg);
}

_Noreturn void
kern_main(struct boot_info *b)
{
    struct thread *boot = thread_current(), *first;
    uint64_t low;

    kern_option_bootstrap(b->cmdline);
    kern_console_bootstrap();
    check_numbers();
    choose_page();
    b->early_end = 0;           /* the final tables map everything */
    low = bootstrap_memory(b);
    if (vm_init() != VM_OK) {
        kern_panic("no memory for the VM core");
    }
    choose_format();
    choose_tables();
    choose_idle();
    choose_storm();
    thread_bootstrap(boot, boot->head.kstack);
    md_devices_init(b);
    kern_time_bootstrap(b->first_tick);
    kern_printf("palimpsest %s: %llu MiB free, page %llu\n", md_arch,
        (unsigned long long)(vm_page_free_count() << vm_page_shift >> 20),
        (unsigned long long)VM_PAGE_SIZE);
    if (kern_pageout_start(low) != VM_OK ||
        thread_create("init", init, b, &first) != VM_OK) {
        kern_panic("no memory for the first threads");
    }
    thread_start(first);
    thread_idle_loop();
}
