/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * t_printf.c - the kernel's printf and string functions against the C
 * library's, and its options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "test.h"

/* Our own, under other names. */
#define memset          kern_memset
#define memcpy          kern_memcpy
#define memmove         kern_memmove
#define memcmp          kern_memcmp
#define memchr          kern_memchr
#define strlen          kern_strlen
#define strnlen         kern_strnlen
#define strcmp          kern_strcmp
#define strncmp         kern_strncmp
#define strchr          kern_strchr
void *memset(void *, int, size_t);
void *memcpy(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t);
#include "../../kern/string.c"
#include "../../kern/printf.c"
#include "../../kern/option.c"
#undef memset
#undef memcpy
#undef memmove
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr

static char written[4096];
static size_t writes, written_size;

void
kern_console_write(enum kern_stream s, const void *buf, size_t n)
{
    CHECK_EQ(s, KERN_LOG);
    CHECK(written_size + n < sizeof(written));
    memcpy(written + written_size, buf, n);
    written_size += n;
    written[written_size] = 0;
    writes++;
}

/* ---- printf ----------------------------------------------------------- */

#define SAME(...) do {                                                  \
        char ours_[128], theirs_[128];                                  \
        int n_ = kern_snprintf(ours_, sizeof(ours_), __VA_ARGS__);      \
        CHECK_EQ(n_, snprintf(theirs_, sizeof(theirs_), __VA_ARGS__));  \
        if (strcmp(ours_, theirs_) != 0) {                              \
            FAIL("\"%s\" is not \"%s\"", ours_, theirs_);               \
        }                                                               \
    } while (0)

TEST(formats)
{
    const char *text = "text";
    int x = 0;

    SAME("plain %% %c%c", 'a', 'b');
    SAME("%s|%10s|%-10s|%.2s|%10.3s|%-6.*s|", text, text, text, text, text,
        1, text);
    SAME("%p %p", (void *)&x, (void *)0x10);
    SAME("%hhd %hhu %hd %hu", (signed char)-3, (unsigned char)253,
        (short)-300, (unsigned short)65000);
    SAME("%zu %zx %jd %td", (size_t)-1, (size_t)77, (intmax_t)-5,
        (ptrdiff_t)-6);
    SAME("%*d|%-*d|%0*d|%*d", 7, 42, 7, 42, 7, 42, -7, 42);
    SAME("%#x %#X %#llx %#x", 255u, 255u, 1ull << 40, 0u);
    CHECK_EQ(kern_snprintf(NULL, 0, "%s", text), 4);
}

TEST(integers)
{
    static const char *const formats[] = {
        "%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%8.3d", "%-8.3d|",
        "%+08d", "%.0d", "%i"
    };
    static const int values[] = {
        0, 1, -1, 7, -42, 999, 12345678, INT32_MAX, INT32_MIN
    };
    static const char *const wide[] = {
        "%llu", "%llx", "%20llX|", "%020llx", "%-20llu|", "%.18llx"
    };
    char ours[64], theirs[64];

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wformat-nonliteral"
    for (unsigned f = 0; f < sizeof(formats) / sizeof(*formats); f++) {
        for (unsigned i = 0; i < sizeof(values) / sizeof(*values); i++) {
            kern_snprintf(ours, sizeof(ours), formats[f], values[i]);
            snprintf(theirs, sizeof(theirs), formats[f], values[i]);
            CHECK(strcmp(ours, theirs) == 0);
        }
    }
    for (unsigned i = 0; i < 20000; i++) {
        const char *f = wide[i % (sizeof(wide) / sizeof(*wide))];
        unsigned long long v = test_rand() >> test_rand_below(64);

        kern_snprintf(ours, sizeof(ours), f, v);
        snprintf(theirs, sizeof(theirs), f, v);
        CHECK(strcmp(ours, theirs) == 0);
    }
#pragma clang diagnostic pop
}

TEST(cut)
{
    char buf[8] = "-------";

    for (size_t size = 1; size <= sizeof(buf); size++) {
        CHECK_EQ(kern_snprintf(buf, size, "%s", "0123456789"), 10);
        CHECK_EQ(strlen(buf), size - 1);
        CHECK(strncmp(buf, "0123456789", size - 1) == 0);
    }
}

/* A line is one write; one that is longer than the buffer is complete. */
TEST(stream)
{
    kern_printf("frame %u of %s\n", 7u, "object");
    CHECK_EQ(writes, 1);
    CHECK(strcmp(written, "frame 7 of object\n") == 0);
    written_size = 0;
    kern_printf("%1000s|\n", "x");
    CHECK_EQ(written_size, 1002);
    CHECK(written[999] == 'x' && written[1000] == '|');
}

/* ---- bytes ------------------------------------------------------------ */

#define BYTES           1200u
#define AROUND          16u

TEST(bytes)
{
    uint8_t *a = malloc(BYTES), *b = malloc(BYTES), *c = malloc(BYTES);

    for (unsigned i = 0; i < 20000; i++) {
        size_t n = test_rand_below(i % 2 ? 40 : BYTES - 2 * AROUND);
        size_t to = test_rand_below(AROUND), from = test_rand_below(AROUND);

        for (unsigned k = 0; k < BYTES; k++) {
            a[k] = b[k] = (uint8_t)(i + k * 7);
            c[k] = (uint8_t)test_rand();
        }
        switch (i % 4) {
        case 0:
            CHECK(kern_memset(a + to, (int)i, n) == a + to);
            memset(b + to, (int)i, n);
            break;
        case 1:
            CHECK(kern_memcpy(a + to, c + from, n) == a + to);
            memcpy(b + to, c + from, n);
            break;
        default:
            CHECK(kern_memmove(a + to, a + from, n) == a + to);
            memmove(b + to, b + from, n);
            break;
        }
        CHECK(memcmp(a, b, BYTES) == 0);
    }
    free(a);
    free(b);
    free(c);
}

static int
sign(int x)
{
    return (x > 0) - (x < 0);
}

TEST(strings)
{
    static const char *const s[] = { "", "a", "ab", "b", "\xff", "abcdefghi" };
    char p[40], q[40];

    for (unsigned i = 0; i < 6; i++) {
        CHECK_EQ(kern_strlen(s[i]), strlen(s[i]));
        CHECK_EQ(kern_strnlen(s[i], 2), strnlen(s[i], 2));
        CHECK(kern_strchr(s[i], 'b') == strchr(s[i], 'b'));
        CHECK(kern_strchr(s[i], 0) == strchr(s[i], 0));
        for (unsigned k = 0; k < 6; k++) {
            CHECK_EQ(sign(kern_strcmp(s[i], s[k])), sign(strcmp(s[i], s[k])));
            CHECK_EQ(sign(kern_strncmp(s[i], s[k], 1)),
                sign(strncmp(s[i], s[k], 1)));
        }
    }
    for (unsigned i = 0; i < 10000; i++) {
        size_t n = test_rand_below(32), at = test_rand_below(8);

        for (unsigned k = 0; k < sizeof(p); k++) {
            p[k] = q[k] = (char)(test_rand() & 3);
        }
        q[test_rand_below(sizeof(q))] ^= (char)0x80;
        CHECK_EQ(sign(kern_memcmp(p + at, q + at, n)),
            sign(memcmp(p + at, q + at, n)));
        CHECK(kern_memchr(p + at, 2, n) == memchr(p + at, 2, n));
    }
}

/* ---- options ---------------------------------------------------------- */

TEST(options)
{
    char longest[3000];

    kern_option_bootstrap("  page=16384 console=mux\tn=3M verbose n=4K "
        "page x=18446744073709551615 y=18446744073709551616 z=5Q w=16G v=");
    CHECK(strcmp(kern_option("console"), "mux") == 0);
    CHECK(strcmp(kern_option("verbose"), "") == 0);
    CHECK(strcmp(kern_option("page"), "") == 0);
    CHECK(kern_option("pag") == NULL && kern_option("3M") == NULL);
    CHECK_EQ(kern_option_u64("n", 1), 4096);
    CHECK_EQ(kern_option_u64("w", 1), UINT64_C(16) << 30);
    CHECK_EQ(kern_option_u64("none", 1), 1);
    CHECK_EQ(kern_option_u64("y", 1), 1);
    CHECK_EQ(kern_option_u64("z", 2), 2);
    CHECK_EQ(kern_option_u64("v", 3), 3);
    kern_option_bootstrap("");
    CHECK(kern_option("page") == NULL);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = 0;
    kern_option_bootstrap(longest);
    CHECK(kern_option("xx") == NULL);
}
