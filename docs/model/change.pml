/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another root under a pmap that CPUs run in (change.c, asid.c), or none: one
 * page, two roots, two ASIDs, one CPU that comes and goes, against an enter and
 * a revocation of the page.
 *
 * Processes: hw (the CPU's walker and TLB), cpu (pmap_activate to pm and back),
 * changer, enterer (a fault of another thread), revoker (page_protect).
 * The lock of the page's object is held by enterer and revoker, as in life.
 *
 *	-DEVICT		the root is taken away, if no CPU has it loaded
 *	-DTURNS=n	times that the CPU comes
 */
#ifndef TURNS
#define TURNS	2
#endif

#define NONE	2		/* no root */

byte root;			/* 0: the old one; 1: the new one; NONE */
byte asid;			/* 0: old; 1: new */
bit  ent[3];			/* the page's entry in each root */
bit  changing, loaded, cached = 1;
bit  cur, nxt, nxtk;		/* current == pm, next == pm, next == kernel */
byte pending;

bit  hwon;			/* pm is loaded: */
byte hwroot, hwasid;
bit  tlb[2];			/* the page, under each ASID */
bit  stale[2];			/* what an earlier owner of the ASID left */
bit  user;			/* the program runs */

bit  obj;			/* the object's lock */
bit  gone;			/* the page may be entered no more */
bit  revoked;			/* ghost: it may not be used any more */

active proctype hw()
{
end:	do
	:: atomic { hwon && ent[hwroot] && !tlb[hwasid] -> tlb[hwasid] = 1 }
	:: atomic { hwon && tlb[hwasid] && revoked -> assert(false) }
	:: atomic { user && stale[hwasid] -> assert(false) }
	od
}

/* flush_cpus() and asid_flush() */
inline flush()
{
	do
	:: true ->
#ifndef M_NO_WAIT
		!changing;
#endif
		was = loaded;
		cached = cached & was;
		was = was | loaded;
		a = asid;
#ifdef M_NO_REREAD
		break
#else
		if
		:: changing
		:: else -> break
		fi
#endif
	od;
	if
	:: was -> tlb[a] = 0
	:: else
	fi;
	was = 0;
	a = 0
}

proctype changer()
{
	bit was;
	byte a;

#ifdef EVICT
	atomic {
		if
		:: !loaded -> changing = 1
		:: else -> goto out
		fi
	};
#else
	changing = 1;
#endif
	pending++;
#ifdef EVICT
	root = NONE;
#else
	root = 1;
#ifndef M_SAME_ASID
	cached = 0;
	asid = 1;
#endif
#ifndef M_NO_RELOAD
	do
	:: !loaded -> break
	/* pmap_md_reload(): one step on the CPU itself */
	:: atomic { cur && !nxt && !nxtk ->
		hwroot = root; hwasid = asid; tlb[hwasid] = 0;
		stale[hwasid] = 0; break }
#ifdef M_RELOAD_IN_TRANSIT
	:: atomic { loaded -> hwroot = root; hwasid = asid; tlb[hwasid] = 0;
		break }
#endif
	od;
#ifndef M_CACHED_STAYS
	cached = 0;
#endif
#endif
#endif
	changing = 0;
	flush();
	pending--;
out:	skip
}

active proctype cpu()
{
	byte turns = TURNS, r, a;
	bit fresh;

	do
	:: turns > 0 ->
		turns--;
		/* asid_arrive() */
		do
		:: true ->
			nxt = 1;
			atomic { loaded = 1; fresh = changing };
#ifdef M_NO_BAR
			break
#else
			if
			:: !fresh -> break
			:: else -> nxt = 0; loaded = 0; !changing
			fi
#endif
		od;
#ifndef M_ASID_LATE
		a = asid;
#endif
		fresh = !cached;
		if
#ifdef M_CACHED_ALWAYS
		:: cached = 1
#endif
		:: fresh -> cached = 1
		:: else
		fi;
		/* pt_ready() */
		atomic {
			if
			:: root == NONE -> root = 1
			:: else
			fi
		};
#ifdef M_ASID_LATE
		a = asid;
#endif
		r = root;
		atomic {
			hwon = 1; hwroot = r; hwasid = a;
			if
			:: fresh -> tlb[a] = 0; stale[a] = 0
			:: else
			fi
		};
		cur = 1;
		nxt = 0;
		user = 1;
		/* it runs; then into the kernel's own space */
		user = 0;
		nxtk = 1;
		atomic { hwon = 0; hwroot = 0 };
		cur = 0;
		nxtk = 0;
		loaded = 0;
		fresh = 0; a = 0; r = 0
	:: else -> break
	od
}

active proctype enterer()
{
	byte r;

	atomic { !obj -> obj = 1 };
	if
	:: !gone ->
		r = root;
		if
		:: r == NONE
		:: else -> ent[r] = 1
		fi
	:: else
	fi;
	obj = 0
}

active proctype revoker()
{
	byte r, a;
	bit was;

	stale[1] = 1;
	run changer();
	atomic { !obj -> obj = 1 };
	gone = 1;
	r = root;
	atomic {
		if
		:: ent[r] -> pending++; was = 1
		:: else
		fi
	};
	if
	:: was ->
		ent[r] = 0;
		was = 0;
		flush();
		pending--
	:: else ->
		/* less than it came for: the pending rule */
		if
#ifndef M_NO_PENDING
		:: pending != 0 -> pending++; flush(); pending--
#endif
		:: else
		fi
	fi;
	revoked = 1;
	obj = 0
}
