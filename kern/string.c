/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * string.c - bytes: the functions that the compiler may call, and a few
 * more.
 *
 * Pages and the core map are cleared and copied here, so the loops move
 * words of 8 bytes, many a turn.  Where the two buffers are not aligned
 * alike, loads are done as this machine does unaligned ones, and stores are
 * aligned.  A machine that knows better for whole pages says so in
 * <md_cpu.h>: see kern.h.
 */
#include "kern.h"

#define WORD            8u
#define WORDS           32u     /* a turn; the compiler unrolls it */
#define TURN            (WORDS * WORD)
#define FEW             4u      /* a turn for what is less */
#define PAGES           4096u
#define MANY            64u     /* bytes: worth an instruction that repeats */

/* A word at any address; the compiler knows what this machine can do. */
struct unaligned {
    uint64_t word;
} __attribute__((packed));

static inline bool
aligned(const void *p, size_t to)
{
    return ((uintptr_t)p & (to - 1)) == 0;
}

#if defined(MD_PAGE_CLEAR) || defined(MD_PAGE_COPY)
static inline bool
whole_pages(const void *p, size_t n)
{
    return aligned(p, PAGES) && n % PAGES == 0 && n != 0;
}
#endif

void *
memset(void *to, int c, size_t n)
{
    uint64_t word = (uint8_t)c * UINT64_C(0x0101010101010101), *w;
    uint8_t *d = to;

#ifdef MD_PAGE_CLEAR
    if (c == 0 && whole_pages(to, n)) {
        return md_page_clear(to, n);
    }
#endif
    while (n > 0 && !aligned(d, WORD)) {
        *d++ = (uint8_t)c;
        n--;
    }
    w = (uint64_t *)(void *)d;
#ifdef MD_WORDS
    if (n >= MANY) {
        w = md_words_set(w, word, n / WORD);
        n %= WORD;
    }
#endif
    for (; n >= TURN; n -= TURN, w += WORDS) {
        for (unsigned i = 0; i < WORDS; i++) {
            w[i] = word;
        }
    }
    for (; n >= FEW * WORD; n -= FEW * WORD, w += FEW) {
        for (unsigned i = 0; i < FEW; i++) {
            w[i] = word;
        }
    }
    for (; n >= WORD; n -= WORD) {
        *w++ = word;
    }
    d = (uint8_t *)w;
    while (n-- > 0) {
        *d++ = (uint8_t)c;
    }
    return to;
}

static inline void
copy_few(uint64_t *d, const uint64_t *s)
{
    uint64_t a = s[0], b = s[1], c = s[2], e = s[3];

    d[0] = a;
    d[1] = b;
    d[2] = c;
    d[3] = e;
}

/* Both aligned; returns how much is left of n. */
static inline size_t
copy_words(uint64_t **to, const uint64_t **from, size_t n)
{
    uint64_t *d = *to;
    const uint64_t *s = *from;

#ifdef MD_WORDS
    if (n >= MANY) {
        const void *at = s;

        *to = md_words_copy(d, &at, n / WORD);
        *from = at;
        return n % WORD;
    }
#endif
    for (; n >= TURN; n -= TURN, d += WORDS, s += WORDS) {
        for (unsigned i = 0; i < WORDS; i += FEW) {
            copy_few(d + i, s + i);
        }
    }
    for (; n >= FEW * WORD; n -= FEW * WORD, d += FEW, s += FEW) {
        copy_few(d, s);
    }
    for (; n >= WORD; n -= WORD) {
        *d++ = *s++;
    }
    *to = d;
    *from = s;
    return n;
}

/* Upwards: to may overlap from if it is the lower one. */
static inline void
copy_up(uint8_t *d, const uint8_t *s, size_t n)
{
    while (n > 0 && !aligned(d, WORD)) {
        *d++ = *s++;
        n--;
    }
    if (aligned(s, WORD)) {
        uint64_t *dw = (uint64_t *)(void *)d;
        const uint64_t *sw = (const uint64_t *)(const void *)s;

        n = copy_words(&dw, &sw, n);
        d = (uint8_t *)dw;
        s = (const uint8_t *)sw;
    }
    for (; n >= WORD; n -= WORD, d += WORD, s += WORD) {
        *(uint64_t *)(void *)d =
            ((const struct unaligned *)(const void *)s)->word;
    }
    while (n-- > 0) {
        *d++ = *s++;
    }
}

/* By itself, so that a page need not save its registers. */
static __attribute__((noinline)) void *
copy_bytes(void *to, const void *from, size_t n)
{
    copy_up(to, from, n);
    return to;
}

void *
memcpy(void *to, const void *from, size_t n)
{
#ifdef MD_PAGE_COPY
    if (whole_pages(to, n) && aligned(from, PAGES)) {
        md_page_copy(to, from, n);
        return to;
    }
#endif
    return copy_bytes(to, from, n);
}

void *
memmove(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if ((uintptr_t)d - (uintptr_t)s >= n) {
        copy_up(d, s, n);
        return to;
    }
    /* Downwards; words where both ends have the same alignment. */
    d += n;
    s += n;
    if (((uintptr_t)d & (WORD - 1)) == ((uintptr_t)s & (WORD - 1))) {
        while (n > 0 && !aligned(d, WORD)) {
            *--d = *--s;
            n--;
        }
        for (; n >= WORD; n -= WORD) {
            d -= WORD;
            s -= WORD;
            *(uint64_t *)(void *)d = *(const uint64_t *)(const void *)s;
        }
    }
    while (n-- > 0) {
        *--d = *--s;
    }
    return to;
}

int
memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    if (aligned(p, WORD) && aligned(q, WORD)) {
        while (n >= WORD && *(const uint64_t *)(const void *)p ==
            *(const uint64_t *)(const void *)q) {
            p += WORD;
            q += WORD;
            n -= WORD;
        }
    }
    for (; n > 0; n--, p++, q++) {
        if (*p != *q) {
            return *p < *q ? -1 : 1;
        }
    }
    return 0;
}

void *
memchr(const void *p, int c, size_t n)
{
    const uint8_t *s = p;

    for (; n > 0; n--, s++) {
        if (*s == (uint8_t)c) {
            return (void *)(uintptr_t)s;
        }
    }
    return NULL;
}

size_t
strlen(const char *s)
{
    size_t n = 0;

    while (s[n] != 0) {
        n++;
    }
    return n;
}

size_t
strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != 0) {
        n++;
    }
    return n;
}

int
strcmp(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int
strncmp(const char *a, const char *b, size_t n)
{
    while (n > 0 && *a != 0 && *a == *b) {
        a++;
        b++;
        n--;
    }
    return n == 0 ? 0 : (uint8_t)*a - (uint8_t)*b;
}

char *
strchr(const char *s, int c)
{
    while (*s != (char)c) {
        if (*s++ == 0) {
            return NULL;
        }
    }
    return (char *)(uintptr_t)s;
}
