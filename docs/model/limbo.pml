/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freeing and reuse of table pages: root -> mid -> leaf, one address space that
 * runs on both CPUs, a pool of NT table frames, limbo, epochs.
 *
 * Processes: hw (walk caches of both levels), kernel walkers (pmap_enter; a
 * lock-free walker such as page_protect does a subset of the same), a
 * discarder (takes the mid out of the root), a remover (takes the leaf out of
 * the mid), a reaper.  A kernel walker announces in the slot of its CPU and is
 * not preempted, so each gets its own slot here.
 *
 *	-DWALKS=n -DDISCARDS=n -DREMOVES=n
 */
#ifndef NT
#define NT	4
#endif
#ifndef WALKS
#define WALKS	1
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

byte wcm[2], wcl[2];		/* walk caches: mid, leaf */
byte kpm[NK], kpl[NK];		/* ghosts: what a kernel walker holds */
byte ndone;

active proctype hw()
{
	byte c;

end:	do
	:: atomic { root != 0 && wcm[0] != root -> wcm[0] = root }
	:: atomic { root != 0 && wcm[1] != root -> wcm[1] = root }
	:: atomic { wcm[0] != 0 && slot[wcm[0]] != 0 && wcl[0] != slot[wcm[0]] ->
		wcl[0] = slot[wcm[0]] }
	:: atomic { wcm[1] != 0 && slot[wcm[1]] != 0 && wcl[1] != slot[wcm[1]] ->
		wcl[1] = slot[wcm[1]] }
	od
}

inline flush_all()
{
#ifdef M_FLUSH_NO_WALKCACHE
	skip
#else
	d_step { wcm[0] = 0; wcl[0] = 0 };
	d_step { wcm[1] = 0; wcl[1] = 0 }
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
	atomic { stamp[t_] = geg; geg++ };
#endif
#ifdef M_FREE_BEFORE_FLUSH
	flushed[t_] = 1;
#endif
	limbo[t_] = 1;
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
	assert(root != t_ && wcm[0] != t_ && wcm[1] != t_);
	assert(wcl[0] != t_ && wcl[1] != t_);
	assert(kpm[0] != t_ && kpm[1] != t_ && kpm[2] != t_);
	assert(kpl[0] != t_ && kpl[1] != t_ && kpl[2] != t_)
}

#ifdef M_EPOCH_LE
#define PASSED(k) (ann[k] == 0 || ann[k] >= stamp[i])
#else
#define PASSED(k) (ann[k] == 0 || ann[k] > stamp[i])
#endif

/* pmap_limbo_reap; a scan of the CPUs that is not atomic */
active proctype reaper()
{
	byte i = 1, c, x;

	do
	:: atomic { limbo[i] && flushed[i] -> c = 0 };
#ifndef M_NO_EPOCH
		do
		:: atomic { c < NK && PASSED(c) -> c++ }
		:: c == NK -> break
		od;
#endif
		atomic {
			c = 0;
			x = (kind[i] == MID -> slot[i] : 0);
			slot[i] = 0;
			free_table(i);
			if
			:: x != 0 -> free_table(x); assert(slot[x] == 0)
			:: else
			fi;
			x = 0
		}
	:: atomic { !(limbo[i] && flushed[i]) &&
		(ndone < 4 || (limbo[1] || limbo[2] || limbo[3] || limbo[4])) ->
		i = (i == NT -> 1 : i + 1) }
	:: atomic { ndone == 4 && !limbo[1] && !limbo[2] && !limbo[3] && !limbo[4] ->
		break }
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
		run walker(0, WALKS);
		run walker(1, WALKS);
		run remover(2, REMOVES);
		run discarder(DISCARDS)
	}
}
