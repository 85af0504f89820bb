/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The note that each CPU keeps of the leaf table that it reached last
 * (pt_note.h): two CPUs that enter, an unlinker (discard), a revoker, by a walk
 * or by its own note, freeing of tables after a grace period, reuse of their
 * frames.
 *
 * One address space, one address: the root has one upper entry, a table has one
 * entry, and one page may be mapped there.  A pool of NT frames; a frame that
 * comes back becomes a table again, or is data.  The TLB and the walk
 * cache are those of one CPU, which stands for all, as in limbo.pml.
 *
 *	-DW0=n -DW1=n	enters of the two CPUs
 *	-DDISCARDS=n
 *	-DREMOVE	a revoker by address: seq, leaf lock, pending rule
 *	-DPAGE		the same of one page by its own note (pt_page.c)
 *	-DPAGE_OBJECT	and that, the sequence left alone: under the lock of the
 *			object, which enters hold, too
 *	-DPROTECT	what is entered and revoked is the right to write: enter
 *			adds it without the pending rule (case C)
 *	-DLINKED_FIRST	a table is linked, and noted by the revoker, at first
 *	-DNO_REAP	no table is freed
 *	-DPAGEOUT	a revoker by page: object's lock, hint, pending rule
 *	-DNO_CLAIM	do not assert what the note says, only what must not
 *			happen to memory and to revocations
 */
#ifndef NT
#define NT	2
#endif
#ifndef W0
#define W0	2
#endif
#ifndef W1
#define W1	1
#endif
#ifndef DISCARDS
#define DISCARDS 2
#endif

#ifdef PAGE_OBJECT
#define PAGE
#endif
#if defined(PAGEOUT) || defined(PAGE_OBJECT)
#define OBJECT_LOCK
#endif

#define FREE	0
#define TABLE	1
#define DATA	2
/* epoch slots: two CPUs that enter, revokers: by a walk, by a note */
#define REV	2
#define PG	3
#ifdef PAGE
#define NK	4
#else
#define NK	3
#endif

byte root;			/* upper entry: 0 or a table */
bit  pte[NT + 1];		/* its entry: the page is mapped */
byte kind[NT + 1];
bit  llock[NT + 1];		/* the leaf lock, in the frame's core map entry */
byte pend;			/* revocations in flight */
byte seq;
byte geg = 1;			/* the global epoch */
byte ann[NK];			/* 0: quiescent */
byte kp[NK];			/* ghost: the table that a section uses */

byte n_t[NK], n_e[NK];		/* the note of a CPU: table, epoch */
bit  gone[NK];			/* ghost: that table has been freed since */

byte limbo[NT + 1];		/* tag; 0: not in limbo */

bit  olock, hint;		/* the page's object, its reverse map */
bit  mapped = 1;		/* what the map says */

byte wc;			/* walk cache: a table */
bit  tlb;
bit  removed, pfree;		/* ghosts: what has been promised */

#define PROMISED (removed || pfree)

/* The hardware fills its caches whenever it likes. */
active proctype hw()
{
end:	do
	:: atomic { root != 0 && wc != root -> wc = root }
	:: atomic { wc != 0 && pte[wc] && !tlb ->
		assert(kind[wc] == TABLE && !PROMISED);
		tlb = 1 }
	od
}

/* walk caches included */
inline flush_all()
{
	d_step { tlb = 0; wc = 0 }
}

/* by address, walk caches left alone: only if nobody else's is in flight */
inline flush_edit()
{
	if
	:: pend == 1 -> tlb = 0
	:: else -> flush_all()
	fi
}

/* announce the epoch, seq_cst fence; nobody asks if nothing is freed */
inline epoch_enter(k)
{
#ifndef NO_REAP
	e = geg;
	ann[k] = e;
	e = 0
#else
	skip
#endif
}

inline epoch_exit(k)
{
	d_step { kp[k] = 0; ann[k] = 0 }
}

/* pt_grow: a table from the pool, installed by CAS from empty */
inline grow()
{
	atomic {
		if
		:: root == 0 ->
			if
			:: kind[1] == FREE -> root = 1
			:: kind[1] != FREE && kind[2] == FREE -> root = 2
			:: else		/* no memory */
			fi;
			if
			:: root != 0 -> kind[root] = TABLE
			:: else
			fi
		:: else
		fi
	}
}

/* note_walk: the epoch is read before the walk */
inline note_walk(c)
{
#ifndef M_NOTE_EPOCH_AFTER_WALK
	n_e[c] = geg;
#endif
	atomic { n_t[c] = root; kp[c] = root; gone[c] = 0 };
#ifdef M_NOTE_EPOCH_AFTER_WALK
	n_e[c] = geg;
#endif
	skip
}

/* Is the note's table in the live tree? */
#define LINKED(c) (n_t[c] != 0 && root == n_t[c] && !gone[c])

inline note_pend(c)
{
	atomic { hit = hit && pend == 0; was = was || LINKED(c) }
}

inline note_epoch(c)
{
#ifndef M_NOTE_NO_EPOCH
	atomic { hit = hit && n_e[c] == geg; was = was || LINKED(c) }
#else
	skip
#endif
}

/*
 * was: the root led to it at some moment since the section began, so that it
 * is as good as a walk.
 */
inline note_hit(c)
{
	atomic { hit = (n_t[c] != 0); was = LINKED(c) };
	if
	:: hit ->
#ifdef M_NOTE_BEFORE_PEND
		note_epoch(c);
		note_pend(c);
#else
#ifndef M_NOTE_NO_PEND
		note_pend(c);
#endif
		note_epoch(c);
#endif
		if
		:: hit ->
			kp[c] = n_t[c];
#ifndef NO_CLAIM
			assert(was);
#endif
		:: else
		fi
	:: else
	fi;
	was = 0
}

/* The frame is still the table that it was when the note was made. */
#define SAME_OF(c) (kind[n_t[c]] == TABLE && !gone[c])
#define SAME	SAME_OF(c)

/* a fault and pmap_enter, bound to a CPU */
proctype cpu(byte c; byte n)
{
	byte e, s;
	bit hit, was, go;

	do
	:: n > 0 ->
		n--;
		atomic { !(seq & 1) -> s = seq; go = mapped };
		if
		:: !go -> break
		:: else
		fi;
#ifdef OBJECT_LOCK
		atomic { !olock -> olock = 1 };
#endif
#ifdef PAGE_OBJECT
		/* looked up under the lock */
		if
		:: !mapped -> olock = 0; break
		:: else
		fi;
#endif
		epoch_enter(c);
		note_hit(c);
		if
		:: !hit ->
			note_walk(c);
			if
			:: n_t[c] == 0 -> grow(); note_walk(c)
			:: else
			fi
		:: else
		fi;
		hit = 0;
		if
		:: n_t[c] != 0 ->
			atomic { !llock[n_t[c]] -> assert(SAME); llock[n_t[c]] = 1 };
			if
			:: seq == s ->
				hint = 1;
				if
				:: !pte[n_t[c]] ->
#ifndef PROTECT
					/* case B, the pending rule */
					if
					:: pend != 0 -> flush_all()
					:: else
					fi;
#endif
					atomic { assert(SAME); pte[n_t[c]] = 1 }
				:: else
				fi
			:: else
			fi;
			atomic { assert(SAME); llock[n_t[c]] = 0 }
		:: else
		fi;
		epoch_exit(c);
#ifdef OBJECT_LOCK
		olock = 0;
#endif
		s = 0
	:: else -> break
	od
}

/* pmap_discard: pending, unlink, flush, epoch, pending, limbo */
proctype discarder(byte n)
{
	byte x;

	do
	:: n > 0 ->
		n--;
		pend++;
		atomic { x = root; root = 0 };
		flush_all();
#ifndef M_NOTE_EPOCH_LATE
		if
		:: x != 0 -> geg++
		:: else
		fi;
#endif
		pend--;
		/* limbo_put: the epoch moves on (again), which is the tag */
		atomic {
			if
			:: x != 0 -> geg++; limbo[x] = geg
			:: else
			fi
		};
		x = 0
	:: else -> break
	od
}

/* the entry at hand is cleared; pending is raised before, if it is there */
inline revoke_entry()
{
	if
	:: l != 0 && pte[l] ->
		pend++;
		own = 1;
		atomic { found = pte[l]; pte[l] = 0 }
	:: else
	fi
}

/* the pending rule: less found than it came for; then the flush */
inline revoke_flush()
{
	if
	:: !found && pend != own ->
		if
		:: !own -> pend++; own = 1
		:: else
		fi;
		flush_all()
	:: found -> flush_edit()
	:: else
	fi;
	if
	:: own -> pend--
	:: else
	fi
}

/* pt_restrict: a walk from the root, then the pending rule */
inline restrict(k)
{
	epoch_enter(k);
	atomic { l = root; kp[k] = l };
	if
	:: l != 0 ->
		atomic { !llock[l] -> assert(kind[l] == TABLE); llock[l] = 1 };
		revoke_entry();
		llock[l] = 0
	:: else
	fi;
	l = 0;
	epoch_exit(k);
	revoke_flush()
}

/* pmap_remove of one page, under the map's mutex */
proctype remover()
{
	byte e, l;
	bit own, found;

	seq++;
	mapped = 0;
	restrict(REV);
	atomic { removed = 1; assert(!tlb) };
	seq++
}

/* note_hit of the revoker, which has its own mutants */
inline page_hit()
{
	atomic { hit = (n_t[PG] != 0); was = LINKED(PG) };
#ifdef M_PAGE_BEFORE_PEND
	atomic { hit = hit && n_e[PG] == geg; was = was || LINKED(PG) };
#endif
#ifndef M_PAGE_NO_PEND
	note_pend(PG);
#endif
#if !defined(M_PAGE_NO_EPOCH) && !defined(M_PAGE_BEFORE_PEND)
	atomic { hit = hit && n_e[PG] == geg; was = was || LINKED(PG) };
#endif
	if
	:: hit ->
		kp[PG] = n_t[PG];
#ifndef NO_CLAIM
		assert(was);
#endif
	:: else
	fi;
	was = 0
}

/* What keeps enters away; that the sequence moves too late is a mutant. */
#if defined(PAGE_OBJECT)
#define PAGE_BAR	atomic { !olock -> olock = 1 }
#define PAGE_UNBAR	olock = 0
#elif defined(M_PAGE_SEQ_LATE)
#define PAGE_BAR	skip
#define PAGE_UNBAR	seq = seq + 2
#else
#define PAGE_BAR	seq++
#define PAGE_UNBAR	seq++
#endif

/* page_is_quiet: whose it was to take away has flushed */
inline page_quiet()
{
	slow = slow || pend != 0
}

/* The entry of the noted table, under its leaf lock; then the flush. */
inline page_edit()
{
#ifndef M_PAGE_NO_LOCK
	atomic { !llock[l] -> assert(SAME_OF(PG)); llock[l] = 1 };
#endif
	found = pte[l];
	if
	:: found ->
#ifndef M_PAGE_PEND_LATE
		pend++;
#endif
		/* by compare-and-swap: who came first has his own flush */
		atomic { assert(SAME_OF(PG)); pte[l] = 0 };
#ifdef M_PAGE_PEND_LATE
		pend++;
#endif
	:: else
	fi;
#ifndef M_PAGE_NO_LOCK
	llock[l] = 0;
#endif
	if
	:: found ->
		epoch_exit(PG);
#ifdef M_PAGE_BY_ADDRESS
		tlb = 0;
#else
		flush_edit();
#endif
		atomic { pend--; found = 0 }
	:: else ->
#ifndef M_PAGE_NO_QUIET
		page_quiet();
#endif
		epoch_exit(PG)
	fi
}

/* What no CPU may have, nor find, when the revocation has returned. */
#define GRANTED	(tlb || (root != 0 && pte[root]) || (wc != 0 && pte[wc]))

/* pmap_remove of one page that this CPU has used, or its neighbour */
proctype page_remover()
{
	byte e, l;
	bit own, found, hit, was, slow;

#ifndef LINKED_FIRST
	epoch_enter(PG);
	note_walk(PG);
	epoch_exit(PG);
#endif
	PAGE_BAR;
	mapped = 0;
	epoch_enter(PG);
	page_hit();
	if
	:: !hit -> note_walk(PG)
	:: else
	fi;
	atomic { hit = 0; l = n_t[PG] };
	if
	:: l != 0 -> page_edit()
	:: else ->
		/* page_is_nowhere: another walk, for what else is there */
		slow = (root != 0);
#ifndef M_PAGE_NOWHERE_NO_QUIET
		page_quiet();
#endif
		epoch_exit(PG)
	fi;
	l = 0;
	if
	:: slow -> restrict(PG)
	:: else
	fi;
	atomic {
		removed = 1;
		assert(!GRANTED);
		/* not needed any more: fewer states */
		n_t[PG] = 0; n_e[PG] = 0; gone[PG] = 0
	};
	PAGE_UNBAR
}

/* pmap_page_protect(NONE), the object locked; then the page comes back */
proctype pageout()
{
	byte e, l;
	bit own, found;

	atomic { !olock -> olock = 1 };
	if
	:: hint ->
		epoch_enter(REV);
		atomic { l = root; kp[REV] = l };
		revoke_entry();
		revoke_flush();
		hint = 0;
		l = 0;
		epoch_exit(REV)
	:: else
	fi;
	atomic { pfree = 1; assert(!tlb) };
	pfree = 0;
	olock = 0
}

#define PASSED(k) (ann[k] == 0 || ann[k] >= limbo[i])

inline reap()
{
	do
	:: atomic { c < NK && PASSED(c) -> c++ }
	:: c == NK -> break
	od;
	atomic {
		if		/* free, or somebody else's already */
		:: next = FREE
		:: next = DATA
		fi;
		assert(kind[i] == TABLE && !llock[i]);
		assert(root != i && wc != i);
		assert(kp[0] != i && kp[1] != i && kp[2] != i);
		assert(kp[NK - 1] != i);
		gone[0] = gone[0] || n_t[0] == i;
		gone[1] = gone[1] || n_t[1] == i;
		gone[NK - 1] = gone[NK - 1] || n_t[NK - 1] == i;
		kind[i] = next; pte[i] = 0; limbo[i] = 0;
		c = 0; i = 0; next = 0
	}
}

/* limbo_reap; a scan of the CPUs that is not atomic */
proctype reaper()
{
	byte i, c, next;

end:	do
	:: atomic { limbo[1] != 0 -> i = 1 }; reap()
	:: atomic { limbo[2] != 0 -> i = 2 }; reap()
	od
}

init {
	atomic {
#ifdef LINKED_FIRST
		root = 1;
		kind[1] = TABLE;
		n_t[PG] = 1;
		n_e[PG] = geg;
#endif
#ifndef NO_REAP
		run reaper();
#endif
		run cpu(0, W0);
		run cpu(1, W1);
#ifdef REMOVE
		run remover();
#endif
#ifdef PAGE
		run page_remover();
#endif
#ifdef PAGEOUT
		run pageout();
#endif
		run discarder(DISCARDS)
	}
}
