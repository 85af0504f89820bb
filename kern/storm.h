/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storm.h - blows against page tables (mi/vm_storm.h), from a thread that
 * cares for nobody; and the end of all that works in the background.
 */
#ifndef STORM_H
#define STORM_H

#include "kern.h"
#include "vm_storm.h"

#define KERN_STORM_RATE_MAX     1000000u

struct kern_storm {
    uint32_t kinds;             /* a bit each; 0: none blows */
    uint64_t rate;              /* blows a second; 0: half of the time */
    uint64_t seed;
    uint64_t budget;            /* as in struct vm_storm */
};

/*
 * kern_storm - stop the storm that blows, and begin this one; kinds 0: none.
 * => Context: a thread, no lock held; sleeps
 * => Fails:   VM_E_INVAL  unknown kinds, a rate or a budget that cannot be
 *             VM_E_NOMEM  the old one has stopped
 * kern_storm_report: of the one that blows, or of the last one.
 */
int kern_storm(const struct kern_storm *s) VM_MUST_CHECK;
struct kern_storm_report {
    struct kern_storm storm;
    uint64_t ns;                /* that it has blown */
    uint64_t done[VM_STORM_KINDS], refused[VM_STORM_KINDS];
};
void kern_storm_report(struct kern_storm_report *out);

/*
 * kern_storm_parse - value of option "storm=LIST[:RATE]": names with commas
 * between them; false: it is no such text.
 * kern_storm_begin - begin what the option says, if it is given.
 * kern_storm_end - stop the storm that blows; on the log, what the last one
 * has done.
 */
bool kern_storm_parse(const char *text, struct kern_storm *out);
void kern_storm_begin(void);
void kern_storm_end(void);

#endif
