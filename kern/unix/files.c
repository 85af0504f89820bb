/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * files.c - the tree as it is before any program runs.
 */
#include "file_impl.h"
#include "hooks.h"

void
files_init(void)
{
    struct node *root;

    node_init();
    open_init();
    fd_init();
    pipe_init();
    regular_init();
    userfault_init();
    root = node_root();
    node_make_dir(root, "tmp", 01777);
    dev_init(node_make_dir(root, "dev", 0755));
    procfs_init(root);
    tty_init();
}

/* Before leaks are looked for: files as if nobody had mapped them. */
void
unix_trim(void)
{
    regular_trim();
}
