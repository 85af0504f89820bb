/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * u_manytasks.c - user/manytasks.c runs to its end within a budget of page
 * tables: a page for each task.  With 4 GiB of memory, 1,000 tasks in 4 MiB:
 *
 *   python3 tools/kernel_test.py --arch riscv64 --kernel release --mem 4G
 *       --programs manytasks build/user/riscv64/u_manytasks
 */
/* pal: flavours=release mem=512M programs=manytasks timeout=180 */
#define UTEST_TIMEOUT 900
#include "mach_vm.h"
#include "uprobe.h"

static void
many(void *arg)
{
    char *const *argv = arg;

    execv(argv[0], argv);
}

UTEST(many_tasks)
{
    char tasks[8], tables[8];
    char *argv[] = { "/bin/manytasks", tasks, tables, NULL };
    struct vm_table_budget b;
    struct sysinfo si;
    unsigned n;

    if (!is_palimpsest()) {
        USKIP("page tables are not bounded here");
    }
    UCHECK(sysinfo(&si) == 0);
    n = si.totalram > (uint64_t)3 << 30 ? 1000 : 100;
    snprintf(tasks, sizeof(tasks), "%u", n);
    snprintf(tables, sizeof(tables), "%u", n == 1000 ? 1024 : n);
    UCHECK(utest_child(many, argv) == 0);
    /* 512 pages, each touched twice, cost a table each time; not more. */
    UCHECK(vm_table_budget(VM_BUDGET_MACHINE, VM_BUDGET_ASK, &b) ==
        KERN_SUCCESS);
    UCHECK(b.evicted <= (uint64_t)n * 512 * 2 * 2);
}
