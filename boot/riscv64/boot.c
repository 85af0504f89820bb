/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.c - from start.S to kern_main(): the device tree, the devices in it,
 * the final tables; and leaving the machine.
 *
 *   Sv57  [511]--> Sv48  [511]--> Sv39  the last 512 GiB: the kernel's table
 *                                 [256]  direct map
 *                                 [504]  image
 *                                 [508]  window of the kernel's pmap
 *                                 [511]  empty: see pmap_md_formats()
 *
 * The mode is that of threads without a space; a space has its own (option
 * format), whose root leads to the same table.  Sv48 where it is there: the 47
 * bits of user addresses that programs find on the other machines too; Sv57
 * costs one more load for each TLB miss.
 */
#include "machine.h"
#include "pmap_md.h"
#include "pte.h"
#include "thread.h"

#define MODE_DEFAULT    1               /* Sv48, in pte_formats */
#define MODE_SHIFT      60              /* satp.MODE, 4.1.11 */
#define TABLE_LAST      511

/* SiFive's test finisher, as QEMU has it (hw/misc/sifive_test.c). */
#define EXIT_PASS       0x5555u
#define EXIT_FAIL       0x3333u

#define HWCAP_BIT(c)    (1ull << ((c) - 'a'))
#define HWCAP_LINUX     (HWCAP_BIT('i') | HWCAP_BIT('m') | HWCAP_BIT('a') | \
                         HWCAP_BIT('f') | HWCAP_BIT('d') | HWCAP_BIT('c'))

const char md_platform[] = "";

struct thread boot_thread;              /* for start.S */
static struct boot_info boot_info;
static volatile uint32_t *exit_base;
static uint64_t boot_hwcap;

void *
boot_find(const void *fdt, const char *compatible, struct fdt_node *n)
{
    *n = (struct fdt_node){ 0 };
    return fdt_compatible(fdt, compatible, n) ? fdt_registers(n, 0, NULL) :
        NULL;
}

/* Is the extension in "rv64imafdc_zicsr_sstc" (riscv,isa)? */
static bool
isa_has(const char *isa, uint32_t size, const char *extension)
{
    for (uint32_t i = 0; i < size; i++) {
        uint32_t n = 0;

        if (i != 0 && isa[i - 1] != '_') {
            continue;
        }
        while (i + n < size && extension[n] != 0 && isa[i + n] ==
            extension[n]) {
            n++;
        }
        if (extension[n] == 0 && i + n < size &&
            (isa[i + n] == 0 || isa[i + n] == '_')) {
            return true;
        }
    }
    return false;
}

/* All harts are taken to be alike: the first node speaks for them. */
static void
boot_isa_find(const void *fdt)
{
    struct fdt_node cpu = { 0 };
    uint32_t size = 0;
    const char *isa = NULL;

    if (fdt_compatible(fdt, "riscv", &cpu)) {
        isa = fdt_property(&cpu, "riscv,isa", &size);
    }
    if (isa == NULL) {
        size = 0;
    }
    for (uint32_t i = 4; i < size && isa[i] >= 'a' && isa[i] <= 'z'; i++) {
        boot_hwcap |= HWCAP_BIT(isa[i]);
    }
    boot_hwcap &= HWCAP_LINUX;
    timer_find(isa_has(isa, size, "sstc"));
}

static void
boot_devices(const void *fdt, uint64_t hart)
{
    struct fdt_node cpus;
    uint32_t hz;

    console_find(fdt);
    exit_find(fdt);
    intc_find(fdt, hart);
    boot_isa_find(fdt);
    if (!fdt_path(fdt, "/cpus", &cpus) ||
        !fdt_u32(&cpus, "timebase-frequency", &hz) || hz == 0) {
        kern_panic("device tree: no timebase-frequency in /cpus");
    }
    md_tick_hz = hz;
}

/* The index in pte_formats that option "mmu" wants. */
static unsigned
boot_mode(const struct boot_info *b)
{
    char buf[8];
    const char *want = boot_option(b, "mmu", buf, sizeof(buf));

    if (want == NULL) {
        return MODE_DEFAULT;
    }
    for (unsigned i = 0; i < PTE_FORMATS; i++) {
        if (strcmp(pte_formats[i].name, want) == 0) {
            return i;
        }
    }
    kern_printf("boot: mmu=%s is not known, taking %s\n", want,
        pte_formats[MODE_DEFAULT].name);
    return MODE_DEFAULT;
}

/*
 * Switch to the final tables, in the mode wanted or the widest below it: a
 * store of a mode that the hart lacks leaves satp as it was (4.1.11).
 */
static void
boot_tables_load(struct boot_info *b)
{
    unsigned mode = boot_mode(b);
    paddr_t root[PTE_FORMATS];

    root[0] = boot_tables(b, &pte_formats[0]);
    for (unsigned i = 1; i <= mode; i++) {
        pte_t *table;

        root[i] = boot_alloc(b, 1u << MD_PAGE_SHIFT, 1u << MD_PAGE_SHIFT);
        table = kern_frame_ptr(root[i]);
        table[TABLE_LAST] = pte_table(&pte_formats[i], root[i - 1]);
    }
    for (unsigned i = mode + 1; i-- > 0;) {
        uint64_t got, satp = pte_formats[i].md << MODE_SHIFT |
            root[i] >> MD_PAGE_SHIFT;

        CSR_WRITE(satp, satp);
        CSR_READ(satp, got);
        if (got == satp) {
            break;
        }
        kern_printf("boot: this machine has no %s\n", pte_formats[i].name);
    }
    __asm__ volatile("sfence.vma" : : : "memory");
}

void
md_boot(uint64_t hart, paddr_t fdt_pa, paddr_t image)
{
    struct boot_info *b = &boot_info;
    const void *fdt = kern_frame_ptr(fdt_pa);

    b->first_tick = md_ticks();
    boot_thread.head.kstack = (uintptr_t)boot_stack + sizeof(boot_stack);
    boot_thread.head.preempt = 1;
    boot_thread.head.settled = 1;
    trap_cpu_init();
    b->image_start = image;
    b->image_end = image + (paddr_t)(kern_image_end - kern_image_start);
    boot_fdt(b, fdt, fdt_pa);
    boot_first_cpu(b, hart);
    boot_add_reserved(b, b->image_start, b->image_end - b->image_start);
    boot_devices(fdt, hart);
    boot_tables_load(b);
    smp_find(b);
    pmap_md_cpu_init();
    kern_main(b);
}

void
md_devices_init(const struct boot_info *b)
{
    (void)b;
    intc_init();
    intc_enable(console_source);
    (void)md_console_receive(true);
    CSR_SET(sie, SIE_SOFT);
}

uint64_t
md_hwcap(unsigned n)
{
    return n == 0 ? boot_hwcap : 0;
}

void
exit_find(const void *fdt)
{
    struct fdt_node n;

    exit_base = boot_find(fdt, "sifive,test0", &n);
}

void
md_exit(int status)
{
    (void)md_irq_save();
    if (exit_base != NULL) {
        *exit_base = status == 0 ? EXIT_PASS :
            (uint32_t)status << 16 | EXIT_FAIL;
    }
    /* Shutdown; the reason is all that SBI lets us say. */
    (void)sbi_call(SBI_SRST, 0, 0, status != 0, 0);
    for (;;) {
        __asm__ volatile("wfi");
    }
}
