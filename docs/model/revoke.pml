/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enter against revocations (fork, vm_protect, vm_remove, pageout, cleaning)
 * and discard, in one address space that runs on both CPUs.  Entry -> object 1
 * with page 1; after fork a write makes shadow object 2.
 *
 *	-DF0=n -DF1=n	faults of the thread on CPU 0, on CPU 1
 *	-DDISCARDS=n
 *	-DFORK -DPROTECT -DREMOVE	what the map's writer may do (one of them)
 *	-DPAGEOUT=prot	pageout (0) or cleaning (1) of page 1
 */
#define NPM	1
#define PMOF(c)	0
#ifndef F0
#define F0	1
#endif
#ifndef F1
#define F1	1
#endif
#ifndef DISCARDS
#define DISCARDS 0
#endif
#define NLEAF	(2 + DISCARDS)
#define P2_ON	forked
#include "common.pml"

/* vm_fork, vm_protect, vm_remove (then object termination) */
proctype writer()
{
	byte l, old;
	bit must, un;

	lock(map_mtx[0]);
	if
	:: un = 0
	:: un = 1
	fi;
	if
#ifdef FORK
	:: true ->
		seq[0]++;
		e_nc[0] = 1;
		pmap_revoke(0, READ, un);
		atomic { forked = 1; check() };
		seq[0]++;
		unlock(map_mtx[0])
#endif
#ifdef PROTECT
	:: true ->
		seq[0]++;
		e_ro[0] = 1;
		pmap_revoke(0, READ, un);
		atomic { protected[0] = 1; check() };
		seq[0]++;
		unlock(map_mtx[0])
#endif
#ifdef REMOVE
	:: true ->
		seq[0]++;
		e_obj[0] = 0;
		pmap_revoke(0, NONE, un);
		atomic { removed[0] = 1; check() };
		seq[0]++;
		unlock(map_mtx[0]);
		/* vm_object_terminate */
		lock(olock[1]);
		odead[1] = 1;
		pmap_page_protect(1, NONE);
		atomic { pfree[1] = 1; check() };
		unlock(olock[1])
#endif
	:: false
	fi
}

init {
	atomic {
		e_obj[0] = 1;
		opg[1] = 1;
#if F0 > 0
		run user(0, F0);
#endif
#if F1 > 0
		run user(1, F1);
#endif
#if defined(FORK) || defined(PROTECT) || defined(REMOVE)
		run writer();
#endif
#if DISCARDS > 0
		run discarder(0, DISCARDS);
#endif
#ifdef PAGEOUT
		run pageout(1, PAGEOUT);
#endif
	}
}

#ifdef LIVE
ltl progress { <> (through[0] && through[1]) }
#endif
