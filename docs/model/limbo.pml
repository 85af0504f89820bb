/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freeing and reuse of table pages: root -> mid -> leaf, one address space, a
 * pool of NT table frames, limbo, epochs.
 *
 * Processes: hw (the walk caches of both levels of one CPU: what is asked of a
 * CPU's caches does not depend on another CPU's, so one stands for all), kernel walkers (pmap_enter; a
 * lock-free walker such as page_protect does a subset of the same), a
 * discarder (takes the mid out of the root), a remover (takes the leaf out of
 * the mid), a reaper.  A kernel walker announces in the slot of its CPU and is
 * not preempted, so each gets its own slot here.
 *
 *	-DW0=n -DW1=n	walks of the two walkers
 *	-DDISCARDS=n -DREMOVES=n
 *	-DTWO_REMOVERS	walker 1 is a second remover
 */
#ifndef NT
#define NT	4
#endif
#ifndef W0
#define W0	1
#endif
#ifndef W1
#define W1	1
#endif
#ifndef DISCARDS
#define DISCARDS 1
#endif
#ifndef REMOVES
#define REMOVES	1
#endif

#define FREE	0
#define MID	1
#define LEAF	2
#define NK	3		/* two walkers, one remover */

byte root;			/* 0 or a mid */
byte slot[NT + 1];		/* a mid's upper entry: 0 or a leaf */
byte kind[NT + 1];
bit  llock[NT + 1];
byte geg = 1;			/* the global epoch */
byte ann[NK];			/* 0: quiescent */

bit  limbo[NT + 1];		/* the table heads an item in limbo */
byte stamp[NT + 1];
bit  flushed[NT + 1];

byte wcm, wcl;			/* walk caches: mid, leaf */
byte kpm[NK], kpl[NK];		/* ghosts: what a kernel walker holds */
byte ndone;

active proctype hw()
{
end:	do
	:: atomic { root != 0 && wcm != root -> wcm = root }
	:: atomic { wcm != 0 && slot[wcm] != 0 && wcl != slot[wcm] ->
		wcl = slot[wcm] }
	od
}

inline flush_all()
{
#ifdef M_FLUSH_NO_WALKCACHE
	skip
#else
	d_step { wcm = 0; wcl = 0 }
#endif
}

/* pmap_epoch_enter: announce the global epoch, seq_cst fence */
inline epoch_enter(k)
{
	e = geg;
	ann[k] = e;
	e = 0
}

inline epoch_leave(k)
{
	d_step { kpm[k] = 0; kpl[k] = 0; m = 0; l = 0 };
	ann[k] = 0
}

/* a table from the pool; t == 0: none */
inline table_alloc(k_)
{
	t = 1;
	do
	:: t <= NT && kind[t] != FREE -> t++
	:: else -> break
	od;
	if
	:: t > NT -> t = 0
	:: else -> kind[t] = k_; slot[t] = 0
	fi
}

/* pmap_enter: walk, install missing tables by CAS from empty, lock the leaf */
proctype walker(byte k; byte n)
{
	byte e, m, l, t;

	do
	:: n > 0 ->
		n--;
#ifdef M_ANNOUNCE_LATE
		atomic { m = root; kpm[k] = m };
		epoch_enter(k);
#else
		epoch_enter(k);
		atomic { m = root; kpm[k] = m };
#endif
		if
		:: m == 0 ->
			atomic {	/* allocate; CAS; the loser frees its own */
				if
				:: root == 0 -> table_alloc(MID); root = t
				:: else
				fi;
				t = 0;
				m = root;
				kpm[k] = m
			}
		:: else
		fi;
		if
		:: m != 0 ->
			assert(kind[m] == MID);
			atomic { l = slot[m]; kpl[k] = l };
			if
			:: l == 0 ->
				atomic {
					if
					:: slot[m] == 0 -> table_alloc(LEAF);
						slot[m] = t
					:: else
					fi;
					t = 0;
					l = slot[m];
					kpl[k] = l
				}
			:: else
			fi;
			if
			:: l != 0 ->
				atomic { llock[l] == 0 -> llock[l] = 1 };
				assert(kind[l] == LEAF);
				llock[l] = 0;
				assert(kind[l] == LEAF)
			:: else
			fi
		:: else
		fi;
		epoch_leave(k)
	:: else -> break
	od;
	ndone++
}

/* the item in limbo: stamped with the epoch read after the unlink, which is
 * then advanced (fetch_add) */
inline to_limbo(t_)
{
#ifndef M_STAMP_EARLY
	atomic { stamp[t_] = geg; geg++; limbo[t_] = 1 };
#else
	limbo[t_] = 1;
#endif
#ifdef M_FREE_BEFORE_FLUSH
	flushed[t_] = 1;
#endif
	flush_all();
	flushed[t_] = 1
}

/* pmap_discard */
proctype discarder(byte n)
{
	byte x, y, e;

	do
	:: n > 0 ->
		n--;
#ifdef M_STAMP_EARLY
		atomic { e = geg; geg++ };
#endif
		atomic { x = root; root = 0 };
		if
		:: x != 0 ->
#ifdef M_STAMP_EARLY
			stamp[x] = e;
#endif
#ifdef M_CHILDREN_AT_ONCE
			/* the children are listed at the unlink, not after the
			 * grace period */
			atomic { y = slot[x]; slot[x] = 0 };
			if
			:: y != 0 -> to_limbo(y)
			:: else
			fi;
#endif
			to_limbo(x)
		:: else
		fi;
		x = 0; y = 0; e = 0
	:: else -> break
	od;
	ndone++
}

/* pmap_remove of a whole leaf table */
proctype remover(byte k; byte n)
{
	byte e, m, l, x;

	do
	:: n > 0 ->
		n--;
		epoch_enter(k);
		atomic { m = root; kpm[k] = m };
		if
		:: m != 0 ->
			assert(kind[m] == MID);
#ifdef M_STAMP_EARLY
			atomic { e = geg; geg++ };
#endif
#ifdef M_UNLINK_NO_XCHG
			x = slot[m];
			slot[m] = 0;
#else
			atomic { x = slot[m]; slot[m] = 0 };
#endif
			if
			:: x != 0 ->
#ifdef M_STAMP_EARLY
				stamp[x] = e;
#endif
				to_limbo(x)
			:: else
			fi
		:: else
		fi;
		e = 0; x = 0;
		epoch_leave(k)
	:: else -> break
	od;
	ndone++
}

inline free_table(t_)
{
	assert(kind[t_] != FREE);
	kind[t_] = FREE;
	limbo[t_] = 0; flushed[t_] = 0; stamp[t_] = 0;
	assert(llock[t_] == 0);
	assert(root != t_ && wcm != t_ && wcl != t_);
	assert(kpm[0] != t_ && kpm[1] != t_ && kpm[2] != t_);
	assert(kpl[0] != t_ && kpl[1] != t_ && kpl[2] != t_)
}

#ifdef M_EPOCH_LE
#define PASSED(k) (ann[k] == 0 || ann[k] >= stamp[i])
#else
#define PASSED(k) (ann[k] == 0 || ann[k] > stamp[i])
#endif

inline reap_scan()
{
#ifndef M_NO_EPOCH
	do
	:: atomic { c < NK && PASSED(c) -> c++ }
	:: c == NK -> break
	od;
#endif
	atomic {
		c = 0;
#ifndef M_CHILDREN_AT_ONCE
		x = (kind[i] == MID -> slot[i] : 0);
#endif
		slot[i] = 0;
		free_table(i);
		i = 0;
		if
		:: x != 0 -> free_table(x); assert(slot[x] == 0)
		:: else
		fi;
		x = 0
	}
}

/* pmap_limbo_reap; a scan of the CPUs that is not atomic */
active proctype reaper()
{
	byte i, c, x;

	do
	:: atomic { limbo[1] && flushed[1] -> i = 1 }; reap_scan()
	:: atomic { limbo[2] && flushed[2] -> i = 2 }; reap_scan()
	:: atomic { limbo[3] && flushed[3] -> i = 3 }; reap_scan()
#if NT > 3
	:: atomic { limbo[4] && flushed[4] -> i = 4 }; reap_scan()
#endif
	:: atomic { ndone == 4 && !limbo[1] && !limbo[2] && !limbo[3] &&
		!limbo[NT] -> break }
	od;
	/* nothing leaked: what is not free is in the live tree */
	i = 1;
	do
	:: i <= NT -> assert(kind[i] == FREE || root == i ||
		(root != 0 && slot[root] == i)); i++
	:: else -> break
	od
}

init {
	atomic {
#ifdef TWO_REMOVERS
		run walker(0, W0);
		run remover(1, REMOVES);
#else
		run walker(0, W0);
		run walker(1, W1);
#endif
		run remover(2, REMOVES);
		run discarder(DISCARDS)
	}
}
