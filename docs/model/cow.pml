/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copy-on-write break.  Object 2 is the front object, a shadow over
 * object 1 which holds page 1; the break copies page 1 to page 2.
 *
 *	(default)	two address spaces, one per CPU, share the front object
 *	-DONE_MAP	one address space on both CPUs, front object private
 *	-DFORK_SHARE	as the default, but the second address space gets the
 *			front object only by a fork with inheritance "share"
 *	-DPRIVATE_RULE	the break of a private front object does without
 *			page_protect
 *	-DF0=n -DF1=n -DDISCARDS=n, -DPAGEOUT=prot -DPAGEOUT_OBJ=object
 */
#ifdef ONE_MAP
#define NPM	1
#define PMOF(c)	0
#else
#define NPM	2
#define PMOF(c)	(c)
#endif
#ifndef F0
#define F0	2
#endif
#ifndef F1
#define F1	2
#endif
#ifndef DISCARDS
#define DISCARDS 0
#endif
#define NLEAF	(NPM + DISCARDS)
#define P2_ON	true
#include "common.pml"

#ifdef FORK_SHARE
/* vm_fork, inheritance "share": the entry is not revoked */
proctype writer()
{
	lock(map_mtx[0]);
	seq[0]++;
	lock(olock[2]);
	oshared[2] = 1;
	unlock(olock[2]);
	e_obj[1] = 2;
	seq[0]++;
	unlock(map_mtx[0])
}
#endif

init {
	atomic {
		e_obj[0] = 2;
#if NPM > 1
#ifndef FORK_SHARE
		e_obj[1] = 2;
		oshared[2] = 1;
#endif
#endif
		opg[1] = 1;
#ifdef FORK_SHARE
		run writer();
#endif
		run user(0, F0);
		run user(1, F1);
#if DISCARDS > 0
		run discarder(0, DISCARDS);
#endif
#ifdef PAGEOUT
		run pageout(PAGEOUT_OBJ, PAGEOUT);
#endif
	}
}
