/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - the PL011 that /chosen names, else the first; leaving.
 *
 * Sources: PrimeCell UART (PL011), DDI 0183G, chapter 3; Semihosting for
 * AArch32 and AArch64, 2.0, 6.9 (SYS_EXIT_EXTENDED).
 */
#include "machine.h"

#define UART_DR         0x00
#define UART_FR         0x18
#define UART_LCRH       0x2c
#define UART_CR         0x30
#define UART_IMSC       0x38
#define FR_RXFE         (1u << 4)
#define FR_TXFF         (1u << 5)
#define LCRH_8BITS_FIFO (7u << 4)
#define CR_ENABLE       (1u | 3u << 8)          /* UARTEN, TXE, RXE */
#define INT_RECEIVE     (1u << 4 | 1u << 6)     /* level, timeout */

#define SYS_EXIT_EXTENDED       0x20
#define ADP_STOPPED_EXIT        0x20026

paddr_t console_pa;
uint32_t console_id = INTC_NONE;

static volatile void *uart;

/* stdout-path is a path, perhaps with ":options" behind. */
static bool
chosen_node(const void *fdt, struct fdt_node *n)
{
    struct fdt_node chosen;
    const char *s, *compatible;
    char path[64];
    uint32_t size, i = 0;

    if (!fdt_path(fdt, "/chosen", &chosen)) {
        return false;
    }
    s = fdt_property(&chosen, "stdout-path", &size);
    if (s == NULL) {
        return false;
    }
    while (i < size && i < sizeof(path) - 1 && s[i] != 0 && s[i] != ':') {
        path[i] = s[i];
        i++;
    }
    path[i] = 0;
    if (!fdt_path(fdt, path, n)) {
        return false;
    }
    compatible = fdt_property(n, "compatible", &size);
    return compatible != NULL && size >= sizeof("arm,pl011") &&
        memcmp(compatible, "arm,pl011", sizeof("arm,pl011")) == 0;
}

bool
console_find(const void *fdt)
{
    struct fdt_node n = { 0 };
    paddr_t size;

    if (!chosen_node(fdt, &n)) {
        n = (struct fdt_node){ 0 };
        if (!fdt_compatible(fdt, "arm,pl011", &n)) {
            return false;
        }
    }
    if (!fdt_reg(&n, 0, &console_pa, &size)) {
        return false;
    }
    console_id = intc_of_node(&n, 0);
    boot_device(console_pa, size);
    uart = boot_device_ptr(console_pa);
    return true;
}

void
console_init(void)
{
    if (uart != NULL && console_id != INTC_NONE) {
        reg_write(uart, UART_LCRH, LCRH_8BITS_FIFO);
        reg_write(uart, UART_CR, CR_ENABLE);
        reg_write(uart, UART_IMSC, INT_RECEIVE);
        intc_enable(console_id);
    }
}

/* Bytes that nobody takes stay in the FIFO, and QEMU sends no more then. */
bool
md_console_receive(bool on)
{
    if (uart != NULL) {
        reg_write(uart, UART_IMSC, on ? INT_RECEIVE : 0);
    }
    return uart != NULL;
}

void
md_console_put(uint8_t c)
{
    if (uart == NULL) {
        return;
    }
    while ((reg_read(uart, UART_FR) & FR_TXFF) != 0) {
        md_relax();
    }
    reg_write(uart, UART_DR, c);
}

int
md_console_get(void)
{
    if (uart == NULL || (reg_read(uart, UART_FR) & FR_RXFE) != 0) {
        return -1;
    }
    return (int)(reg_read(uart, UART_DR) & 0xff);
}

/* HLT is undefined where nobody listens: then kern_trap() goes on at 2. */
static void
semihosting_exit(int status)
{
    uint64_t block[2] = { ADP_STOPPED_EXIT, (uint64_t)(unsigned)status };
    register uint64_t call __asm__("x0") = SYS_EXIT_EXTENDED;
    register uint64_t *at __asm__("x1") = block;

    __asm__ volatile(
        "1: hlt #0xf000\n"
        "2:\n"
        ".pushsection .fixup, \"a\"\n"
        ".balign 4\n"
        ".long 1b - .\n"
        ".long 2b - .\n"
        ".popsection"
        : "+r"(call) : "r"(at) : "memory");
}

void
md_exit(int status)
{
    (void)md_irq_save();
    semihosting_exit(status);
    smp_off();
    for (;;) {
        __asm__ volatile("wfi");
    }
}
