/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No deadlock between locks and shootdowns.  Two CPUs; a spin lock is taken
 * with interrupts masked; a shootdown waits for the other CPU's answer.  The
 * waits under a lock: pmap_enter's break before make (leaf lock), the
 * page_protect (object locks).  The object locks and the map mutex are taken
 * with interrupts open.
 *
 *	-DPV		the reverse map of a page has a lock of its own, as in an
 *			earlier design; the code has none
 */
bit map_mtx, objF, objB;		/* chain F over B, page 0 in it */
bit objC;			/* another object, page 1 in it, same leaf */
bit leaf, pv[2];
bit req[2];			/* a shootdown request for this CPU */

inline serve()
{
	atomic { req[c] -> req[c] = 0 }
}

/* interrupts open */
inline mutex_lock(m)
{
	do
	:: atomic { m == 0 -> m = 1; break }
	:: serve()
	od
}

/* interrupts masked; the spinner serves requests */
inline spin_lock(m)
{
	do
	:: atomic { m == 0 -> m = 1; break }
#ifndef M_SPINNER_DEAF
	:: serve()
#endif
	od
}

/* tlb_shootdown: ask, wait for the answer */
inline shootdown()
{
	req[1 - c] = 1;
	do
	:: req[1 - c] == 0 -> break
#ifndef M_WAITER_DEAF
	:: serve()
#endif
	od
}

inline page_protect(pg)
{
#ifdef PV
	spin_lock(pv[pg]);
#endif
#ifdef M_LEAF_UNDER_PV
	spin_lock(leaf);
	leaf = 0;
#endif
	shootdown();
#ifdef PV
	pv[pg] = 0
#endif
}

inline enter(pg, bbm)
{
	spin_lock(leaf);
#ifdef PV
	spin_lock(pv[pg]);
	pv[pg] = 0;
#endif
	if
	:: bbm -> shootdown()
	:: else
	fi;
	leaf = 0
}

proctype cpu(byte c)
{
	byte n = 2;

	do
	:: n > 0 ->
		n--;
		if
		:: true ->		/* fault; on write a COW break first */
#ifdef M_OBJECT_ORDER
			if
			:: true -> mutex_lock(objF); mutex_lock(objB)
			:: true -> mutex_lock(objB); mutex_lock(objF)
			fi;
#else
			mutex_lock(objF);
			mutex_lock(objB);
#endif
			if
			:: true -> page_protect(0)
			:: true
			fi;
			if
			:: true -> enter(0, true)
			:: true -> enter(0, false)
			fi;
#ifdef M_MAP_UNDER_OBJECT
			mutex_lock(map_mtx);
			map_mtx = 0;
#endif
			objB = 0;
			objF = 0
		:: true ->		/* a fault on the other object */
			mutex_lock(objC);
			if
			:: true -> enter(1, true)
			:: true -> enter(1, false)
			fi;
			objC = 0
		:: true ->		/* pageout of the other object's page */
			mutex_lock(objC);
			page_protect(1);
			objC = 0
		:: true ->		/* fork: revoke, then object reference */
			mutex_lock(map_mtx);
			spin_lock(leaf);
			leaf = 0;
			shootdown();
			mutex_lock(objF);
			objF = 0;
			map_mtx = 0
		:: true ->		/* pageout */
			mutex_lock(objB);
			page_protect(0);
			objB = 0
		:: true -> shootdown()	/* discard */
		fi
	:: else -> break
	od;
end:	do
	:: serve()
	od
}

init { atomic { run cpu(0); run cpu(1) } }
