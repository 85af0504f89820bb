/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf.c - formatted text, into a buffer or to a stream of the console.
 *
 * Source: C11, 7.21.6.1.  Not here: floating point, %o, %n, positions.
 *
 * A format is a row of pieces, each sent to a sink.  The sink of a stream
 * collects them, so that a line that fits its buffer is written whole.
 *
 * Locks:   none but the console's
 * Context: any
 */
#include "kern.h"

#define LINE            256u    /* of a stream's sink; on the stack */
#define DIGITS          20u     /* of 2^64 - 1, decimal */

struct sink {
    char *buf;
    size_t size;                /* of buf */
    size_t used;                /* in buf, or would be */
    size_t total;
    bool stream;                /* a full buf goes to the console */
    enum kern_stream to;
};

/* One conversion specification. */
struct spec {
    bool left, zero, alternate;
    char sign;                  /* '+', ' ' or 0 */
    int width, precision;       /* precision < 0: none */
    unsigned size;              /* of an integer argument, bytes */
    char conversion;
};

static void
put(struct sink *s, const char *text, size_t n)
{
    s->total += n;
    while (n-- > 0) {
        if (s->stream && s->used == s->size) {
            kern_console_write(s->to, s->buf, s->used);
            s->used = 0;
        }
        if (s->used < s->size) {
            s->buf[s->used] = *text;
        }
        text++;
        s->used++;
    }
}

static void
pad(struct sink *s, char c, int n)
{
    while (n-- > 0) {
        put(s, &c, 1);
    }
}

/* prefix, zeros and text in a field. */
static void
field(struct sink *s, const struct spec *f, const char *prefix, int zeros,
    const char *text, size_t n)
{
    int length = (int)strlen(prefix);
    int blanks = f->width - length - zeros - (int)n;

    pad(s, ' ', f->left ? 0 : blanks);
    put(s, prefix, (size_t)length);
    pad(s, '0', zeros);
    put(s, text, n);
    pad(s, ' ', f->left ? blanks : 0);
}

static void
integer(struct sink *s, const struct spec *f, uint64_t value, bool negative)
{
    const char *digits = f->conversion == 'X' ? "0123456789ABCDEF" :
        "0123456789abcdef";
    bool hex = f->conversion == 'x' || f->conversion == 'X';
    char text[DIGITS], prefix[3] = "";
    int n = 0, zeros;

    if (negative) {
        prefix[0] = '-';
        value = -value;
    } else if (f->conversion == 'd' && f->sign != 0) {
        prefix[0] = f->sign;
    } else if (hex && f->alternate && value != 0) {
        prefix[0] = '0';
        prefix[1] = f->conversion;
    }
    while (value != 0) {
        text[DIGITS - 1 - n++] = digits[hex ? value & 15 : value % 10];
        value = hex ? value >> 4 : value / 10;
    }
    if (n == 0 && f->precision < 0) {
        text[DIGITS - 1 - n++] = '0';
    }
    zeros = f->precision - n;
    if (f->precision < 0 && f->zero && !f->left) {
        zeros = f->width - n - (int)strlen(prefix);
    }
    field(s, f, prefix, zeros > 0 ? zeros : 0, text + DIGITS - n,
        (size_t)n);
}

/* An int of the format: digits, or * for an argument. */
static const char *
number(const char *fmt, int *out, va_list *ap)
{
    int n = 0;

    if (*fmt == '*') {
        *out = va_arg(*ap, int);
        return fmt + 1;
    }
    while (*fmt >= '0' && *fmt <= '9') {
        n = n < 10000 ? n * 10 + (*fmt - '0') : n;
        fmt++;
    }
    *out = n;
    return fmt;
}

static const char *
length(const char *fmt, struct spec *f)
{
    f->size = sizeof(int);
    switch (*fmt) {
    case 'h':
        f->size = fmt[1] == 'h' ? sizeof(char) : sizeof(short);
        return fmt + (fmt[1] == 'h' ? 2 : 1);
    case 'l':
        f->size = sizeof(long);
        return fmt + (fmt[1] == 'l' ? 2 : 1);
    case 'z':
    case 'j':
    case 't':
        f->size = sizeof(long);
        return fmt + 1;
    default:
        return fmt;
    }
}

/* From behind the % to behind the conversion. */
static const char *
spec_parse(const char *fmt, struct spec *f, va_list *ap)
{
    *f = (struct spec){ .precision = -1 };
    for (;; fmt++) {
        if (*fmt == '-') {
            f->left = true;
        } else if (*fmt == '0') {
            f->zero = true;
        } else if (*fmt == '#') {
            f->alternate = true;
        } else if (*fmt == '+' || (*fmt == ' ' && f->sign == 0)) {
            f->sign = *fmt;
        } else if (*fmt != ' ') {
            break;
        }
    }
    fmt = number(fmt, &f->width, ap);
    if (f->width < 0) {
        f->left = true;
        f->width = -f->width;
    }
    if (*fmt == '.') {
        fmt = number(fmt + 1, &f->precision, ap);
    }
    fmt = length(fmt, f);
    f->conversion = *fmt;
    return *fmt != 0 ? fmt + 1 : fmt;
}

static void
convert_signed(struct sink *s, struct spec *f, va_list *ap)
{
    int64_t v = f->size == sizeof(long) ? va_arg(*ap, long) :
        va_arg(*ap, int);

    if (f->size < sizeof(int)) {
        v = f->size == sizeof(char) ? (signed char)v : (short)v;
    }
    f->conversion = 'd';
    integer(s, f, (uint64_t)v, v < 0);
}

static void
convert_unsigned(struct sink *s, struct spec *f, va_list *ap)
{
    uint64_t v = f->size == sizeof(long) ? va_arg(*ap, unsigned long) :
        va_arg(*ap, unsigned);

    if (f->size < sizeof(int)) {
        v = f->size == sizeof(char) ? (unsigned char)v : (unsigned short)v;
    }
    integer(s, f, v, false);
}

static void
convert(struct sink *s, struct spec *f, va_list *ap)
{
    const char *text;
    char c;

    switch (f->conversion) {
    case 'd':
    case 'i':
        convert_signed(s, f, ap);
        break;
    case 'u':
    case 'x':
    case 'X':
        convert_unsigned(s, f, ap);
        break;
    case 'p':
        f->conversion = 'x';
        f->alternate = true;
        integer(s, f, (uintptr_t)va_arg(*ap, void *), false);
        break;
    case 's':
        text = va_arg(*ap, const char *);
        text = text != NULL ? text : "(null)";
        field(s, f, "", 0, text, f->precision < 0 ? strlen(text) :
            strnlen(text, (size_t)f->precision));
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        field(s, f, "", 0, &c, 1);
        break;
    default:
        /* "%%", or what this does not know: as it stands. */
        put(s, &f->conversion, f->conversion != 0 ? 1 : 0);
        break;
    }
}

static void
format(struct sink *s, const char *fmt, va_list ap)
{
    struct spec f;
    va_list args;

    /* A parameter of this type may be a pointer: &ap is not portable. */
    va_copy(args, ap);
    while (*fmt != 0) {
        size_t n = 0;

        while (fmt[n] != 0 && fmt[n] != '%') {
            n++;
        }
        put(s, fmt, n);
        fmt += n;
        if (*fmt == '%') {
            fmt = spec_parse(fmt + 1, &f, &args);
            convert(s, &f, &args);
        }
    }
    va_end(args);
}

int
kern_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct sink s = { .buf = buf, .size = size };

    format(&s, fmt, ap);
    if (size != 0) {
        buf[s.used < size ? s.used : size - 1] = 0;
    }
    return (int)s.total;
}

int
kern_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = kern_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

void
kern_vprintf(enum kern_stream stream, const char *fmt, va_list ap)
{
    char line[LINE];
    struct sink s = {
        .buf = line, .size = LINE, .stream = true, .to = stream
    };

    format(&s, fmt, ap);
    kern_console_write(stream, line, s.used);
}

void
kern_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    kern_vprintf(KERN_LOG, fmt, ap);
    va_end(ap);
}
