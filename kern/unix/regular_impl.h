/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * regular_impl.h - between regular.c and archive.c.
 */
#ifndef REGULAR_IMPL_H
#define REGULAR_IMPL_H

#include "file_impl.h"

/* node.private of a file of the archive. */
struct regular_archive {
    struct vm_pager pager;      /* its ops are archive_ops */
    const unsigned char *bytes;
    _Atomic uint64_t valid;     /* how many of them still count */
    bool keep;                  /* its node lives on without the object */
};

extern const struct vm_pager_ops archive_ops;
void archive_init(void);

#endif
