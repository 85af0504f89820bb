/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * option.c - the boot command line: words "name=value", or a bare "name",
 * whose value is "".  The last of a name counts.
 */
#include "kern.h"

#define OPTIONS_SIZE    1024u

/* (c) each ended by a 0; then an empty one */
static char option_words[OPTIONS_SIZE];

void
kern_option_bootstrap(const char *cmdline)
{
    unsigned n = 0;

    for (; *cmdline != 0 && n < OPTIONS_SIZE - 2; cmdline++) {
        if (*cmdline > ' ') {
            option_words[n++] = *cmdline;
        } else if (n > 0 && option_words[n - 1] != 0) {
            option_words[n++] = 0;
        }
    }
    option_words[n] = 0;
    option_words[n + 1] = 0;
}

const char *
kern_option(const char *name)
{
    size_t n = strlen(name);
    const char *found = NULL;

    for (const char *s = option_words; *s != 0; s += strlen(s) + 1) {
        if (strncmp(s, name, n) == 0 && (s[n] == '=' || s[n] == 0)) {
            found = s[n] == '=' ? s + n + 1 : s + n;
        }
    }
    return found;
}

/* Decimal digits and one suffix at most. */
bool
kern_parse_u64(const char *s, uint64_t *value)
{
    uint64_t v = 0;
    unsigned shift = 0;

    if (*s < '0' || *s > '9') {
        return false;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (UINT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(*s - '0');
    }
    switch (*s) {
    case 'G':
        shift += 10;
        /* fallthrough */
    case 'M':
        shift += 10;
        /* fallthrough */
    case 'K':
        shift += 10;
        s++;
        break;
    default:
        break;
    }
    if (*s != 0 || v > UINT64_MAX >> shift) {
        return false;
    }
    *value = v << shift;
    return true;
}

uint64_t
kern_option_u64(const char *name, uint64_t def)
{
    const char *s = kern_option(name);
    uint64_t value;

    if (s == NULL) {
        return def;
    }
    if (!kern_parse_u64(s, &value)) {
        kern_printf("option %s=%s is no number, %llu is taken\n", name, s,
            (unsigned long long)def);
        return def;
    }
    return value;
}

const char *
kern_option_next(const char *word)
{
    if (word == NULL) {
        word = option_words;
    } else {
        while (*word++ != 0) {
            continue;
        }
    }
    return *word != 0 ? word : NULL;
}
