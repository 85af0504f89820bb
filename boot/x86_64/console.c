/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64/console.c - COM1, a 16550 where every PC has it; and the way out.
 *
 * Source: National Semiconductor PC16550D data sheet, 8.0 "Registers".
 */
#include "cpu.h"

#define COM1            0x3f8u
#define UART_DATA       (COM1 + 0)
#define UART_IER        (COM1 + 1)
#define UART_FCR        (COM1 + 2)
#define UART_LCR        (COM1 + 3)
#define UART_MCR        (COM1 + 4)
#define UART_LSR        (COM1 + 5)
#define IER_RECEIVE     0x01u
#define FCR_ENABLE      0xc7u           /* FIFOs on and empty, by 14 */
#define LCR_8N1         0x03u
#define LCR_DLAB        0x80u
#define MCR_DTR_RTS_OUT2 0x0bu          /* OUT2 lets the interrupt through */
#define LSR_READY       0x01u
#define LSR_ROOM        0x20u

#define DEBUG_EXIT      0x501           /* QEMU's isa-debug-exit: (v << 1)|1 */
#define PS2_COMMAND     0x64u
#define PS2_RESET       0xfeu
#define RESET_CONTROL   0xcf9u          /* chip sets since the PIIX3 */

/* Input must not come before output does: the FIFOs are emptied. */
void
console_init(void)
{
    outb(UART_IER, 0);
    outb(UART_LCR, LCR_DLAB | LCR_8N1);
    outb(UART_DATA, 1);                 /* 115200 baud */
    outb(UART_IER, 0);
    outb(UART_LCR, LCR_8N1);
    outb(UART_FCR, FCR_ENABLE);
    outb(UART_MCR, MCR_DTR_RTS_OUT2);
}

/* Off, the FIFO fills, and QEMU takes no more from the host. */
bool
md_console_receive(bool on)
{
    outb(UART_IER, on ? IER_RECEIVE : 0);
    return true;
}

void
md_console_put(uint8_t c)
{
    while ((inb(UART_LSR) & LSR_ROOM) == 0) {
        md_relax();
    }
    outb(UART_DATA, c);
}

int
md_console_get(void)
{
    return inb(UART_LSR) & LSR_READY ? inb(UART_DATA) : -1;
}

void
md_exit(int status)
{
    outb(DEBUG_EXIT, (uint8_t)status);
    outb(PS2_COMMAND, PS2_RESET);
    outb(RESET_CONTROL, 0x06);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}
