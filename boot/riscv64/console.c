/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - bytes out and in by the first ns16550a of the device tree;
 * before it is found, or without one, by the firmware (SBI 5.2, 5.3).
 *
 * Source: NS16550A data sheet (PC16550D), table II; Devicetree Specification
 * 0.4, 4.2 (reg-shift, reg-io-width).  The firmware has set the line up.
 */
#include "machine.h"

enum { UART_DATA = 0, UART_IER = 1, UART_FCR = 2, UART_MCR = 4, UART_LSR = 5 };
#define IER_RECEIVED    0x01u
#define FCR_FIFOS       0xc1u           /* on; interrupt by 14 bytes */
#define MCR_OUT2        0x08u           /* lets the interrupt out on PCs */
#define LSR_READY       0x01u
#define LSR_ROOM        0x20u

static volatile uint8_t *uart_base;
static uint32_t uart_shift, uart_width = 1;
uint32_t console_source;

static uint32_t
uart_get(unsigned reg)
{
    volatile uint8_t *at = uart_base + (reg << uart_shift);

    return uart_width == 4 ? *(volatile uint32_t *)(volatile void *)at : *at;
}

static void
uart_put(unsigned reg, uint32_t value)
{
    volatile uint8_t *at = uart_base + (reg << uart_shift);

    if (uart_width == 4) {
        *(volatile uint32_t *)(volatile void *)at = value;
    } else {
        *at = (uint8_t)value;
    }
}

void
console_find(const void *fdt)
{
    struct fdt_node n;
    uint8_t *base = boot_find(fdt, "ns16550a", &n);
    uint32_t offset = 0;

    if (base == NULL) {
        return;
    }
    (void)fdt_u32(&n, "reg-shift", &uart_shift);
    (void)fdt_u32(&n, "reg-io-width", &uart_width);
    (void)fdt_u32(&n, "reg-offset", &offset);
    (void)fdt_u32(&n, "interrupts", &console_source);
    uart_base = base + offset;
    uart_put(UART_FCR, FCR_FIFOS);
    uart_put(UART_MCR, uart_get(UART_MCR) | MCR_OUT2);
}

bool
md_console_receive(bool on)
{
    if (uart_base == NULL || console_source == 0) {
        return false;
    }
    uart_put(UART_IER, on ? IER_RECEIVED : 0);
    return true;
}

void
md_console_put(uint8_t c)
{
    if (uart_base == NULL) {
        (void)sbi_call(SBI_PUTCHAR, 0, c, 0, 0);
        return;
    }
    while ((uart_get(UART_LSR) & LSR_ROOM) == 0) {
        md_relax();
    }
    uart_put(UART_DATA, c);
}

int
md_console_get(void)
{
    if (uart_base == NULL) {
        return (int)sbi_call(SBI_GETCHAR, 0, 0, 0, 0);
    }
    return (uart_get(UART_LSR) & LSR_READY) != 0 ?
        (int)(uint8_t)uart_get(UART_DATA) : -1;
}
