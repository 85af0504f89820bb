/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - the console's streams, out and in (the protocol: kern.h).
 *
 *   out  pieces of at most PIECE bytes are written under the lock; a switch
 *        of stream is sent when the stream is another than the last one's
 *   in   device -> interrupt -> ring -> reader
 *                 [ take ... ready ... put ]    free-running positions
 *        Multiplexed, a byte is ready when it has come.  Plain, a person
 *        types: it is echoed, may be rubbed out, and is ready with its line.
 *
 * A full ring: the receive interrupt is masked until there is room, and the
 * host waits.  A machine that cannot do that loses what comes meanwhile.
 *
 * Locks: one, of rank CONSOLE.  Until there are threads it cannot be taken,
 * and a panic does without: nobody else runs then.
 */
#include "hooks.h"
#include "kern.h"

#define DLE             0x10u
#define PIECE           1024u
#define RING            4096u   /* a power of two */

/* What a person types, plain. */
#define KEY_INTERRUPT   0x03u
#define KEY_END         0x04u
#define KEY_BACKSPACE   0x08u
#define KEY_KILL        0x15u
#define KEY_DELETE      0x7fu

struct console {
    struct vm_spin lock;
    bool shared;                /* there are threads: lock */
    bool multiplexed;           /* (c) */
    bool escape;                /* the last byte in was a DLE */
    bool ended;                 /* end of input */
    bool masked;                /* the ring is full */
    enum kern_stream last;      /* out; KERN_STREAMS: none yet */
    uint32_t take, ready, put;  /* in */
    uint8_t ring[RING];
    _Atomic uint32_t event;     /* readers sleep on it */
};

static struct console console = {
    .lock = VM_SPIN_INIT(KERN_RANK_CONSOLE), .last = KERN_STREAMS
};

void (*kern_console_signal)(void);
void (*kern_console_input)(void);
bool kern_console_edit, kern_console_echo;

/* Of a machine that cannot; md.h. */
__attribute__((weak)) bool
md_console_receive(bool on)
{
    (void)on;
    return false;
}

static bool
console_lock(void)
{
    return console.shared && kern_irq_lock(&console.lock);
}

static void
console_unlock(bool enabled)
{
    if (console.shared) {
        kern_irq_unlock(&console.lock, enabled);
    }
}

void
kern_console_bootstrap(void)
{
    const char *s = kern_option("console");

    console.multiplexed = s != NULL && strcmp(s, "mux") == 0;
    kern_console_edit = kern_console_echo = !console.multiplexed;
    console.shared = true;
}

void
kern_console_panic(void)
{
    console.shared = false;
}

/* ---- out -------------------------------------------------------------- */

static void
put_multiplexed(enum kern_stream s, const uint8_t *p, size_t n)
{
    static const char letter[KERN_STREAMS] = {
        [KERN_OUT] = 'O', [KERN_ERR] = 'E', [KERN_LOG] = 'L',
        [KERN_TEST] = 'T'
    };

    if (console.last != s) {
        console.last = s;
        md_console_put(DLE);
        md_console_put((uint8_t)letter[s]);
    }
    while (n-- > 0) {
        if (*p == DLE) {
            md_console_put(DLE);
        }
        md_console_put(*p++);
    }
}

static void
put_plain(const uint8_t *p, size_t n)
{
    while (n-- > 0) {
        if (*p == '\n') {
            md_console_put('\r');
        }
        md_console_put(*p++);
    }
}

void
kern_console_write(enum kern_stream s, const void *buf, size_t n)
{
    const uint8_t *p = buf;

    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        bool enabled = console_lock();

        if (console.multiplexed) {
            put_multiplexed(s, p, piece);
        } else {
            put_plain(p, piece);
        }
        console_unlock(enabled);
        p += piece;
        n -= piece;
    }
}

/* ---- in, under the lock ----------------------------------------------- */

static bool
ring_full(void)
{
    return console.put - console.take == RING;
}

static void
ring_put(uint8_t c)
{
    if (!ring_full()) {
        console.ring[console.put++ % RING] = c;
    }
}

/* What is typed is shown where programs write. */
static void
echo(const char *text, size_t n)
{
    if (!kern_console_echo) {
        return;
    }
    if (console.multiplexed) {
        put_multiplexed(KERN_OUT, (const uint8_t *)text, n);
    } else {
        put_plain((const uint8_t *)text, n);
    }
}

/* What a person has typed and not yet ended with a line. */
static void
rub_out(bool all)
{
    while (console.put != console.ready) {
        console.put--;
        echo("\b \b", 3);
        if (!all) {
            break;
        }
    }
}

/* A byte that counts at once; what was typed before goes first. */
static void
receive_raw(uint8_t c)
{
    ring_put(c);
    console.ready = console.put;
}

/* True: it is a key that interrupts. */
static bool
receive_typed(uint8_t c)
{
    if (!kern_console_edit) {
        receive_raw(c);
        return false;
    }
    switch (c) {
    case KEY_INTERRUPT:
        echo("^C\n", 3);
        console.put = console.ready;
        return true;
    case KEY_END:
        console.ended = console.ended || console.put == console.ready;
        console.ready = console.put;
        break;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        rub_out(false);
        break;
    case KEY_KILL:
        rub_out(true);
        break;
    default:
        c = c == '\r' ? '\n' : c;
        /* The last place is for the end of the line. */
        if (c == '\n' || console.put - console.take < RING - 1) {
            ring_put(c);
            echo((const char *)&c, 1);
        }
        console.ready = c == '\n' ? console.put : console.ready;
        break;
    }
    return false;
}

/* True: an interrupt. */
static bool
receive_multiplexed(uint8_t c)
{
    bool escape = console.escape;

    console.escape = !escape && c == DLE;
    if (console.escape) {
        return false;
    }
    if (escape && c != DLE) {
        console.ended = console.ended || c == 'Z';
        return c == 'S';
    }
    return receive_typed(c);
}

/* May the device be asked for another byte? */
static bool
room(void)
{
    if (!console.multiplexed) {
        return true;
    }
    if (console.masked && !ring_full()) {
        console.masked = false;
        (void)md_console_receive(true);
    } else if (!console.masked && ring_full()) {
        /* If it cannot be masked, bytes are taken and lost. */
        console.masked = md_console_receive(false);
    }
    return !console.masked;
}

/* Everything that the device has; how many interrupts were among it. */
static unsigned
receive(void)
{
    unsigned signals = 0;
    int c;

    while (room() && (c = md_console_get()) >= 0) {
        bool signal = console.multiplexed ? receive_multiplexed((uint8_t)c) :
            receive_typed((uint8_t)c);

        signals += signal ? 1 : 0;
    }
    return signals;
}

void
console_interrupt(void)
{
    bool enabled = console_lock();
    unsigned signals = receive();

    console_unlock(enabled);
    (void)atomic_fetch_add_explicit(&console.event, 1,
        memory_order_seq_cst);
    kern_wake(&console.event);
    if (kern_console_input != NULL) {
        kern_console_input();
    }
    while (signals-- > 0 && kern_console_signal != NULL) {
        kern_console_signal();
    }
}

/* ---- readers ---------------------------------------------------------- */

bool
kern_console_ready(void)
{
    bool enabled = console_lock();
    bool ready = console.ready != console.take || console.ended;

    console_unlock(enabled);
    return ready;
}

/* Take what is ready, at most one line if it is plain.  False: nothing. */
static bool
take(uint8_t *p, size_t n, size_t *got)
{
    size_t i = 0;

    while (i < n && console.take != console.ready) {
        p[i] = console.ring[console.take++ % RING];
        if (kern_console_edit && p[i] == '\n') {
            i++;
            break;
        }
        i++;
    }
    *got = i;
    if (i == 0 && console.ended && n > 0) {
        /* A person may go on after an end, a file does not. */
        console.ended = !kern_console_edit;
        return true;
    }
    return i > 0 || n == 0;
}

int
kern_console_read(void *buf, size_t n, size_t *got)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&console.event,
            memory_order_seq_cst);
        bool enabled = console_lock(), done = take(buf, n, got), full;
        int error;

        full = console.masked;
        console_unlock(enabled);
        if (full && done) {
            /* There is room again: what the device holds comes now. */
            enabled = md_irq_save();
            console_interrupt();
            md_irq_restore(enabled);
        }
        if (done) {
            return VM_OK;
        }
        error = kern_wait(&console.event, seen, true);
        if (error != VM_OK) {
            return error;
        }
    }
}
