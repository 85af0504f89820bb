/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.c - from the number of a system call to the function; errors.
 *
 * <unix_calls.h> of the machine lists all calls of its Linux.  Each name is a
 * weak reference: the linker fills in the functions that exist, the others
 * stay NULL, answer ENOSYS, and are counted and named in the log.
 */
#include "proc_impl.h"

#include "hooks.h"
#include "mach.h"

#define CALL(number, name) \
    extern unix_call sys_##name __attribute__((weak));
#include <unix_calls.h>
#undef CALL

#define CALL(number, name) [number] = { sys_##name, #name },
const struct unix_entry unix_table[] = {
#include <unix_calls.h>
};
#undef CALL

#define TABLE_SIZE (sizeof(unix_table) / sizeof(unix_table[0]))

/* How often a call that is not there was made; the last: no such number. */
static _Atomic uint32_t table_missing[TABLE_SIZE + 1];

static __attribute__((noinline)) int64_t
table_no_call(uint64_t number, const uint64_t *args)
{
    uint64_t i = number < TABLE_SIZE ? number : TABLE_SIZE;

    if (number - MACH_CALL_BASE < MACH_CALLS) {
        return mach_table[number - MACH_CALL_BASE].call(args);
    }
    (void)atomic_fetch_add_explicit(&table_missing[i], 1,
        memory_order_relaxed);
    return -UNIX_ENOSYS;
}

void
unix_log_missing(void)
{
    for (unsigned i = 0; i <= TABLE_SIZE; i++) {
        uint32_t n = vm_get(&table_missing[i]);

        if (n == 0) {
            continue;
        }
        if (i < TABLE_SIZE && unix_table[i].name != NULL) {
            kern_printf("pal: missing call %s (%u), %u times\n",
                unix_table[i].name, i, n);
        } else {
            kern_printf("pal: missing call without a name, %u times\n", n);
        }
    }
}

/* The results that are none. */
static __attribute__((noinline)) void
table_special(int64_t result)
{
    struct thread *t = thread_current();

    if (result == -UNIX_RESTART) {
        unix_thread(t)->restart = true;
        (void)atomic_fetch_or_explicit(&t->head.work, WORK_SIGNAL,
            memory_order_relaxed);
    }
}

void
unix_syscall(struct md_frame *f)
{
    uint64_t number = md_frame_call(f);
    int64_t result;

    if (__builtin_expect(number < TABLE_SIZE &&
        unix_table[number].call != NULL, 1)) {
        result = unix_table[number].call(md_frame_args(f));
    } else {
        result = table_no_call(number, md_frame_args(f));
    }
    if (__builtin_expect(result == -UNIX_RESTART ||
        result == UNIX_NO_RESULT, 0)) {
        table_special(result);
        return;
    }
    md_frame_set_result(f, (uint64_t)result);
}

int64_t
unix_error(int vm_error)
{
    static const uint8_t table[] = {
        [VM_OK] = 0, [VM_E_INVAL] = UNIX_EINVAL,
        [VM_E_ADDRESS] = UNIX_ENOMEM, [VM_E_PROT] = UNIX_EACCES,
        [VM_E_NOMEM] = UNIX_ENOMEM, [VM_E_NOSPACE] = UNIX_ENOMEM,
        [VM_E_RETRY] = UNIX_EAGAIN, [VM_E_BUSY] = UNIX_EAGAIN,
        [VM_E_PAGER] = UNIX_EIO, [VM_E_INTR] = UNIX_EINTR
    };

    KASSERT((unsigned)vm_error < sizeof(table));
    return -(int64_t)table[vm_error];
}

int64_t
unix_copyin_path(char *buf, uint64_t from)
{
    size_t len;

    switch (md_copyin_str(buf, from, UNIX_PATH_MAX, &len)) {
    case VM_OK:
        return len == 0 ? -UNIX_ENOENT : 0;
    case VM_E_NOSPACE:
        return -UNIX_ENAMETOOLONG;
    default:
        return -UNIX_EFAULT;
    }
}

const char *
unix_printable(char *buf, size_t size, const char *name)
{
    size_t n = 0;

    for (; n + 1 < size && name[n] != 0; n++) {
        buf[n] = (unsigned char)name[n] < ' ' || name[n] == 0x7f ? '?' :
            name[n];
    }
    buf[n] = 0;
    return buf;
}
