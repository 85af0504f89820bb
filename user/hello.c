/* SPDX-License-Identifier: BSD-2-Clause */
/* hello - the first program; its arguments, a line each, with -a. */
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-a") == 0) {
        for (int i = 2; i < argc; i++) {
            puts(argv[i]);
        }
    } else {
        puts("hello, world");
    }
    return 0;
}
