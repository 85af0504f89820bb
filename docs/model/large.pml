/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large leaves (pt_large.c): one entry of level 1, which is empty, leads to a
 * table of one entry, holds a mark, or is a large leaf.
 *
 * Processes: hw; makers of the large leaf (page 1, whose object they lock); an
 * enterer of a small page 2, of another object, at the same address; a revoker
 * of that address; a revoker of page 1; a discarder.
 *
 *	-DMAKERS=n -DENTERS=n -DDISCARDS=n -DREMOVE -DPAGEOUT
 */
#ifndef MAKERS
#define MAKERS	1
#endif
#ifndef ENTERS
#define ENTERS	1
#endif
#ifndef DISCARDS
#define DISCARDS 0
#endif
#define NT	(2 + ENTERS + DISCARDS + MAKERS)

#define EMPTY	0
#define LEAF	20
#define MARK(i)	(10 + (i))
#define IS_TABLE(x)	((x) != EMPTY && (x) <= NT)
#define IS_MARK(x)	((x) >= 10 && (x) < LEAF)

#define lock(m)		atomic { m == 0 -> m = 1 }
#define unlock(m)	m = 0

byte slot;
bit  pte[NT + 1], llock[NT + 1];
byte nt;			/* tables made; never reused: limbo.pml */
byte pend, seq;
bit  olock;			/* of page 1's object */
byte wc[2];			/* walk cache of a CPU: a table */
bit  small[2], large[2];	/* its TLB */
bit  removed, gone;		/* promised: the address; page 1 */

#define ANY(t)	(t[0] || t[1])

inline check()
{
	assert(!(removed && (ANY(small) || ANY(large))));
	assert(!(gone && ANY(large)));
	assert(!(ANY(small) && ANY(large)))
}

inline fill(c)
{
	if
	:: IS_TABLE(slot) && wc[c] != slot -> wc[c] = slot
	:: slot == LEAF && !large[c] -> large[c] = 1; check()
	:: wc[c] != 0 && pte[wc[c]] && !small[c] -> small[c] = 1; check()
	fi
}

#define CAN(c)	((IS_TABLE(slot) && wc[c] != slot) || \
		(slot == LEAF && !large[c]) || \
		(wc[c] != 0 && pte[wc[c]] && !small[c]))

active proctype hw()
{
end:	do
	:: atomic { CAN(0) -> fill(0) }
	:: atomic { CAN(1) -> fill(1) }
	od
}

inline flush_all()
{
	d_step { small[0] = 0; large[0] = 0; wc[0] = 0 };
	d_step { small[1] = 0; large[1] = 0; wc[1] = 0 }
}

/* ok: did the entry hold from? */
inline cas(from, to)
{
	atomic {
		ok = (slot == from);
		if
		:: ok -> slot = to
		:: else
		fi
	}
}

/* Swap an entry that was not empty, flush: large_mark(), large_break(). */
inline break_entry(from, to)
{
	pend++;
	cas(from, to);
	if
	:: ok ->
#ifndef M_NO_BREAK
		flush_all()
#endif
	:: else
	fi;
	pend--
}

proctype maker(byte me)
{
	byte s, old;
	bit ok;

	lock(olock);
	atomic { s = seq; ok = !(s & 1) && !removed && !gone };
	if
	:: !ok -> goto out
	:: else
	fi;
	old = slot;
	if
	:: old == LEAF || IS_MARK(old) -> goto out
	:: IS_TABLE(old) ->
		break_entry(old, MARK(me))
	:: old == EMPTY ->
#ifdef M_NO_MARK
		ok = 1;
#else
		cas(EMPTY, MARK(me));
#endif
		if
#ifndef M_NO_PEND
		:: ok && pend != 0 -> flush_all()
#endif
		:: else
		fi
	fi;
	if
	:: !ok -> goto out
	:: else
	fi;
#ifndef M_NO_SEQ
	if
	:: seq != s -> cas(MARK(me), EMPTY); goto out
	:: else
	fi;
#endif
#ifdef M_STORE
	slot = LEAF;
#else
#ifdef M_NO_MARK
	if
	:: old == EMPTY -> cas(EMPTY, LEAF)
	:: else -> cas(MARK(me), LEAF)
	fi;
#else
	cas(MARK(me), LEAF);
#endif
#endif
out:	unlock(olock)
}

proctype enterer()
{
	byte s, old;
	bit ok;

	atomic { s = seq; ok = !(s & 1) && !removed };
	if
	:: !ok -> goto out
	:: else
	fi;
	do
	:: old = slot;
		if
		:: IS_TABLE(old) -> break
		:: old == LEAF -> break_entry(LEAF, EMPTY)
		:: IS_MARK(old) -> cas(old, EMPTY)
		:: old == EMPTY ->
			atomic {
				if
				:: slot == EMPTY ->
					nt++; assert(nt <= NT); slot = nt
				:: else
				fi
			}
		fi
	od;
	lock(llock[old]);
	if
	:: seq == s ->
		if
		:: pend != 0 -> flush_all()
		:: else
		fi;
		pte[old] = 1
	:: else
	fi;
	unlock(llock[old]);
out:	skip
}

#ifdef REMOVE
proctype remover()
{
	byte old;
	bit edit;

	seq++;
	old = slot;
	if
	:: IS_TABLE(old) ->
		lock(llock[old]);
		if
		:: pte[old] -> pend++; edit = 1; pte[old] = 0
		:: else
		fi;
		unlock(llock[old])
#ifdef M_LEAVE_MARK
	:: IS_MARK(old)
#endif
	:: old == EMPTY
	:: else ->
		pend++;
		edit = 1;
		slot = EMPTY
	fi;
	if
	:: edit -> flush_all(); pend--
	:: !edit && pend != 0 -> flush_all()
	:: else
	fi;
	atomic { removed = 1; check() };
	seq++
}
#endif

#ifdef PAGEOUT
proctype pageout()
{
	bit ok;

	lock(olock);
	if
	:: slot == LEAF -> break_entry(LEAF, EMPTY)
	:: else
	fi;
	if
	:: !ok && pend != 0 -> flush_all()
	:: else
	fi;
	atomic { gone = 1; check() };
	unlock(olock)
}
#endif

proctype discarder()
{
	pend++;
	slot = EMPTY;
	flush_all();
	pend--
}

init {
	atomic {
		/* A table with a page in it, or nothing, to begin with. */
		if
		:: nt = 1; slot = 1; pte[1] = 1
		:: skip
		fi;
#ifdef REMOVE
		run remover();
#endif
#ifdef PAGEOUT
		run pageout();
#endif
		run maker(0);
#if MAKERS > 1
		run maker(1);
#endif
#if ENTERS > 0
		run enterer();
#endif
#if ENTERS > 1
		run enterer();
#endif
#if DISCARDS > 0
		run discarder();
#endif
#if DISCARDS > 1
		run discarder();
#endif
	}
}
