/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.c - the floating point registers of user mode, and md_probe().
 *
 * sstatus.FS (Privileged Architecture 20211203, 4.1.1.5) tells what this
 * hart's registers are:
 *
 *   Initial   all zero
 *   Clean     as in the struct md_user that was loaded or saved last
 *   Dirty     changed since
 *
 * so a program that never computes with them costs nothing.  It is never Off
 * in user mode.  The state of a hart that has just started is Dirty.
 */
#include "machine.h"

#define FS_INITIAL      0x2000u
#define FS_CLEAN        0x4000u
#define FS_DIRTY        0x6000u

struct user_state {
    uint64_t f[32];
    uint32_t fcsr;
    uint32_t used;              /* else all is zero */
};
_Static_assert(sizeof(struct user_state) == MD_USER_SIZE, "MD_USER_SIZE");

/* user.S */
void user_store(struct user_state *s);
void user_fetch(const struct user_state *s);

static uint64_t
user_fs(void)
{
    uint64_t status;

    CSR_READ(sstatus, status);
    return status & SSTATUS_FS;
}

static void
user_set_fs(uint64_t fs)
{
    CSR_SET(sstatus, fs);
    CSR_CLEAR(sstatus, SSTATUS_FS & ~fs);
}

void
md_user_init(struct md_user *u)
{
    *u = (struct md_user){ 0 };
}

void
md_user_save(struct md_user *u)
{
    struct user_state *s = (void *)u;

    if (user_fs() == FS_DIRTY) {
        user_store(s);
        s->used = 1;
        user_set_fs(FS_CLEAN);
    }
}

/* A switch in the middle would save a mixture: loading is writing. */
void
md_user_load(const struct md_user *u)
{
    const struct user_state *s = (const void *)u;
    bool enabled;

    if (s->used == 0 && user_fs() == FS_INITIAL) {
        return;
    }
    enabled = md_irq_save();
    user_fetch(s);
    user_set_fs(s->used != 0 ? FS_CLEAN : FS_INITIAL);
    md_irq_restore(enabled);
}

void
user_replace(struct md_user *u)
{
    struct user_state *s = (void *)u;

    s->used = 1;
    user_set_fs(FS_CLEAN);
}

/* SUM is no option. */
vm_prot_t
md_user_open(void)
{
    return VM_PROT_NONE;
}

/*
 * S-mode cannot take user mode's rights, but which pages are the user's
 * shows: they are those that need SUM.
 */
bool
md_probe(vaddr_t va, vm_prot_t access, bool user, uint64_t *value)
{
    uint64_t old = *value;

    if (!user) {
        return probe_access(va, access, 0, value);
    }
    if ((access & VM_PROT_EXEC) != 0) {
        return false;
    }
    if (probe_access(va, VM_PROT_READ, 0, value)) {
        *value = old;
        return false;
    }
    return probe_access(va, access, SSTATUS_SUM, value);
}
