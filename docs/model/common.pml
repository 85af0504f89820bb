/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by revoke.pml and cow.pml: the hardware, pmap/common, and the part of
 * the fault that the protocol rests on.  One virtual page per address space,
 * a root with one upper entry, and one entry per leaf table.
 *
 * The including file defines NPM (address spaces), PMOF(cpu) (the address
 * space that a CPU runs), NLEAF (leaf tables, never reused here: limbo.pml does
 * that) and the macro P2_ON (a state in which page 1 is a shared snapshot that
 * nobody may write).
 *
 * Objects: 2 is a shadow over 1.  The frame of object n is page n.
 */
#define RO(p)	((p) * 2)
#define RW(p)	((p) * 2 + 1)
#define PG(e)	((e) >> 1)
#define WRITABLE(e) ((e) & 1)
#define NONE	0
#define READ	1

#define lock(m)		atomic { m == 0 -> m = 1 }
#define unlock(m)	m = 0

/* hardware: a TLB entry and a walk-cache entry (pointer to a leaf) per CPU */
byte tlb[2];
byte wc[2];

/* pmap */
byte root[NPM];			/* upper entry: 0 or a leaf table */
byte pte[NLEAF + 1];		/* leaf entry: 0, RO(page) or RW(page) */
bit  llock[NLEAF + 1];		/* the lock kept with a leaf table */
byte nleaf;
byte pend[NPM];			/* invalidations in flight */
byte seq[NPM];			/* odd: a revoking edit is going on */
byte hint[3];			/* reverse map of page n: a bit per address space */
bit  pv[3];			/* its lock */

/* map: the one entry of each address space */
bit  map_mtx[NPM];
byte e_obj[NPM];		/* 0: no entry */
bit  e_nc[NPM];			/* needs_copy */
bit  e_ro[NPM];			/* the entry forbids writing */

/* objects */
bit  olock[3];
byte opg[3];			/* resident page, 0: none */
bit  odead[3];			/* terminated */
bit  oshared[3];		/* may be mapped by anyone else */

/* ghosts: what has been promised */
bit  forked;			/* fork's revoke has returned */
bit  removed[NPM];		/* vm_remove's revoke has returned */
bit  protected[NPM];		/* vm_protect's revoke has returned */
bit  clean[3];			/* page_protect(READ) has returned, page busy */
bit  pfree[3];			/* page_protect(NONE) has returned, frame free */

#define BAD_TLB(c) \
	((P2_ON && tlb[c] == RW(1)) || (removed[PMOF(c)] && tlb[c] != 0) || \
	(protected[PMOF(c)] && WRITABLE(tlb[c])) || \
	(WRITABLE(tlb[c]) && clean[PG(tlb[c])]) || \
	(tlb[c] != 0 && pfree[PG(tlb[c])]))
/* law 4; within one address space also: one va never means two pages */
#define INCOHERENT \
	(tlb[0] != 0 && tlb[1] != 0 && PG(tlb[0]) != PG(tlb[1]) && \
	(PMOF(0) == PMOF(1) || WRITABLE(tlb[0]) || WRITABLE(tlb[1])))

/*
 * TLBs change by a fill (checked there) and by a flush (cannot hurt), promises
 * where a revocation returns (checked there): so "no CPU can use it from now
 * on" is an invariant of all states.
 */
inline check()
{
	assert(!BAD_TLB(0));
	assert(!BAD_TLB(1));
	assert(!INCOHERENT)
}

/* The hardware fills its walk cache and its TLB whenever it likes. */
#ifndef NO_HW
active proctype hw()
{
end:	do
	:: atomic { root[PMOF(0)] != 0 && wc[0] != root[PMOF(0)] ->
		wc[0] = root[PMOF(0)] }
	:: atomic { root[PMOF(1)] != 0 && wc[1] != root[PMOF(1)] ->
		wc[1] = root[PMOF(1)] }
	:: atomic { wc[0] != 0 && pte[wc[0]] != 0 && tlb[0] != pte[wc[0]] ->
		tlb[0] = pte[wc[0]]; check() }
	:: atomic { wc[1] != 0 && pte[wc[1]] != 0 && tlb[1] != pte[wc[1]] ->
		tlb[1] = pte[wc[1]]; check() }
	od
}
#endif

/* pmap_flush_all: TLBs and walk caches, one CPU after the other. */
inline flush_all(pm)
{
	if
	:: PMOF(0) == pm -> d_step { tlb[0] = 0; wc[0] = 0 }
	:: else
	fi;
	if
	:: PMOF(1) == pm -> d_step { tlb[1] = 0; wc[1] = 0 }
	:: else
	fi
}

/* A flush by address that leaves the walk caches alone (riscv64 sfence.vma va,
 * aarch64 TLBI VALE1IS). */
inline flush_leaf_only(pm)
{
	if
	:: PMOF(0) == pm -> tlb[0] = 0
	:: else
	fi;
	if
	:: PMOF(1) == pm -> tlb[1] = 0
	:: else
	fi
}

/*
 * The flush after an edit in place, pending already raised by the caller.  By
 * address, if the machine has it (-DLEAF_ONLY), is enough only when nobody
 * else's invalidation is in flight: a walk cache may still lead to an unlinked
 * leaf table that holds the same translation.
 */
inline flush_edit(pm)
{
#ifdef LEAF_ONLY
	if
#ifdef M_LEAF_ONLY_ALWAYS
	:: true -> flush_leaf_only(pm)
#else
	:: pend[pm] == 1 -> flush_leaf_only(pm)
	:: else -> flush_all(pm)
#endif
	fi
#else
	flush_all(pm)
#endif
}

/* A stale hint met on insertion is dropped: not mapped now, and nothing in
 * flight. */
inline pv_reclaim(pm, page)
{
	if
	:: hint[page] & (1 << pm) ->
		lock(pv[page]);
		old = root[pm];
		atomic { gone = (old == 0 || PG(pte[old]) != page); old = 0 };
		if
#ifdef M_RECLAIM_NO_PEND
		:: gone ->
#else
		:: gone && pend[pm] == 0 ->
#endif
			hint[page] = hint[page] & ~(1 << pm)
		:: else
		fi;
		gone = 0;
		unlock(pv[page])
	:: else
	fi
}

/* pmap_enter.  Caller holds the lock of the page's object. */
inline pmap_enter(pm, page, wr_, s_)
{
	/* pmap_walk_alloc: the upper entry is installed by CAS from empty */
	atomic {
		if
		:: root[pm] == 0 ->
#ifdef NLEAF_WRAP
			/* endless discard, liveness only: tables come back */
			nleaf = nleaf % NLEAF;
#endif
			nleaf++; assert(nleaf <= NLEAF);
			root[pm] = nleaf
		:: else
		fi;
		l = root[pm];
#ifdef M_SEQ_BEFORE_LOCK
		retry = (seq[pm] != s_)
#endif
	}
	lock(llock[l]);
#ifdef M_NO_SEQ
	retry = 0;
#else
#ifndef M_SEQ_BEFORE_LOCK
	retry = (seq[pm] != s_);
#endif
#endif
	if
	:: retry
	:: else ->
#ifdef RECLAIM
		pv_reclaim(1 - pm, page);
#endif
#ifndef M_HINT_LATE
#ifdef M_NO_PV_LOCK
		hint[page] = hint[page] | (1 << pm);
#else
		atomic { pv[page] == 0 -> hint[page] = hint[page] | (1 << pm) };
#endif
#endif
		old = pte[l];
		if
		:: old == 0 ->
#ifdef PRIV_ENTER
#ifndef M_NO_PEND_ENTER
			/* the pending rule, in enter: something of this va may
			 * still be in a TLB */
			if
			:: pend[pm] != 0 -> flush_all(pm)
			:: else
			fi;
#endif
#endif
			pte[l] = RO(page) + wr_
		:: old != 0 && PG(old) == page ->
#ifdef M_ENTER_WEAKENS
			pte[l] = RO(page) + wr_
#else
			/* same page: rights are added, never taken */
			pte[l] = pte[l] | wr_
#endif
		:: old != 0 && PG(old) != page ->
#ifdef NO_PA_CHANGE
			assert(false);
#endif
#ifdef M_NO_BBM
			pend[pm]++;
			pte[l] = RO(page) + wr_;
			flush_edit(pm);
			pend[pm]--
#else
			pend[pm]++;
			pte[l] = 0;
			flush_edit(pm);
			pend[pm]--;
			pte[l] = RO(page) + wr_
#endif
		fi;
#ifdef M_HINT_LATE
		atomic { pv[page] == 0 -> hint[page] = hint[page] | (1 << pm) }
#endif
	fi;
	unlock(llock[l]);
	d_step { old = 0; l = 0 }
}

/* pmap_protect (prot == READ) and pmap_remove (prot == NONE); `unlink_` takes
 * the whole leaf table instead.  Caller holds the map's mutex, seq is odd. */
inline pmap_revoke(pm, prot, unlink_)
{
	must = 0;
#ifndef M_PEND_LATE
	pend[pm]++;
#endif
	if
	:: unlink_ -> atomic { must = (root[pm] != 0); root[pm] = 0 }
	:: else ->
		l = root[pm];
		if
		:: l == 0
		:: else ->
			lock(llock[l]);
#ifdef M_PROTECT_NO_CAS
			old = pte[l];
			if
			:: prot == READ && WRITABLE(old) -> must = 1;
				pte[l] = RO(PG(old))
			:: prot == NONE && old != 0 -> must = 1; pte[l] = 0
			:: else
			fi;
			old = 0;
#else
			atomic {
				if
				:: prot == READ && WRITABLE(pte[l]) ->
					must = 1; pte[l] = RO(PG(pte[l]))
				:: prot == NONE && pte[l] != 0 ->
					must = 1;
#ifdef M_REMOVE_DROPS_HINT
					hint[PG(pte[l])] = hint[PG(pte[l])] & ~(1 << pm);
#endif
					pte[l] = 0
				:: else
				fi
			};
#endif
			unlock(llock[l]);
			l = 0
		fi
	fi;
#ifdef M_PEND_LATE
	pend[pm]++;
#endif
	if
	:: must && unlink_ -> flush_all(pm)
	:: must && !unlink_ -> flush_edit(pm)
#ifndef M_NO_PEND_PROTECT
	/* the pending rule: it found less than it came for */
	:: !must && pend[pm] > 1 -> flush_all(pm)
#endif
	:: else
	fi;
	pend[pm]--;
	must = 0
}

/* pmap_page_protect.  Caller holds the lock of the page's object. */
inline page_protect_one(pm, page, prot)
{
	if
	:: hint[page] & (1 << pm) ->
#ifndef M_PEND_LATE_PAGE
		pend[pm]++;
#endif
		l = root[pm];
		must = 0;
		if
		:: l == 0
		:: else ->
			atomic {
				if
				:: pte[l] != 0 && PG(pte[l]) == page &&
				   (prot == NONE || WRITABLE(pte[l])) ->
					must = 1;
					pte[l] = (prot == NONE -> 0 : RO(page))
				:: else
				fi
			};
			l = 0
		fi;
#ifdef M_PEND_LATE_PAGE
		pend[pm]++;
#endif
		if
		:: must -> flush_edit(pm)
#ifndef M_NO_PEND_PAGE
		:: !must && pend[pm] > 1 -> flush_all(pm)
#endif
		:: else
		fi;
		pend[pm]--;
		must = 0
	:: else
	fi
}

inline pmap_page_protect(page, prot)
{
#ifndef M_NO_PV_LOCK
	lock(pv[page]);
#endif
	page_protect_one(0, page, prot);
#if NPM > 1
	page_protect_one(1, page, prot);
#endif
	if
	:: prot == NONE -> hint[page] = 0
	:: else
	fi;
#ifndef M_NO_PV_LOCK
	unlock(pv[page])
#endif
}

/* pmap_discard: any thread, any time, no lock, does not touch seq. */
inline pmap_discard(pm)
{
#ifndef M_DISCARD_NO_PEND
	pend[pm]++;
#endif
	root[pm] = 0;
	flush_all(pm);
#ifndef M_DISCARD_NO_PEND
	pend[pm]--
#endif
}

/* vm_map_shadow: a write meets needs_copy. */
inline map_shadow(pm)
{
	lock(map_mtx[pm]);
	if
	:: e_nc[pm] ->
#ifdef M_NC_BUMP_AFTER
		e_obj[pm] = 2;
		e_nc[pm] = 0;
		seq[pm] = seq[pm] + 2
#else
#ifdef M_NC_BUMP_BEFORE
		seq[pm] = seq[pm] + 2;
		e_obj[pm] = 2;
		e_nc[pm] = 0
#else
#ifdef M_NC_NO_BUMP
		atomic { e_obj[pm] = 2; e_nc[pm] = 0 }
#else
		seq[pm]++;
		e_obj[pm] = 2;
		e_nc[pm] = 0;
		seq[pm]++
#endif
#endif
#endif
	:: else
	fi;
	unlock(map_mtx[pm])
}

/* the copy is made in frame `o` from the page of `b` (vm_fault_copy) */
inline cow_break(pm)
{
	np = o;
#ifdef M_COW_LATE
	opg[o] = np
#else
	if
#ifdef PRIVATE_RULE
	:: !oshared[o] ->
#ifdef PRIV_ENTER
		/* pmap_enter breaks the old translation itself */
		skip
#else
		/* only this va of this map resolves through F: take it out */
		pmap_revoke(pm, NONE, 0)
#endif
	:: else ->
		pmap_page_protect(opg[b], NONE)
#else
	:: true -> pmap_page_protect(opg[b], NONE)
#endif
	fi;
	opg[o] = np
#endif
}

/* vm_fault */
inline vm_fault(pm)
{
	do
	:: atomic { !(seq[pm] & 1) -> s = seq[pm] };
		/* vm_map_lookup: a snapshot, field by field */
		o = e_obj[pm];
		nc = e_nc[pm];
		d_step { ro = e_ro[pm]; retry = (seq[pm] != s) };
		if
		:: retry
		:: !retry && (o == 0 || (wr && ro)) -> break
		:: !retry && o != 0 && wr && !ro && nc -> map_shadow(pm)
		:: else ->
			lock(olock[o]);
#ifndef M_NO_RECHECK
			retry = (seq[pm] != s);
#endif
			if
			:: retry -> unlock(olock[o])
			:: else ->
				assert(!odead[o]);
				if
				:: opg[o] != 0 -> b = o
				:: else -> b = 1; lock(olock[b])
				fi;
				np = opg[b];
				assert(np != 0);
				if
				:: wr && b != o -> cow_break(pm)
				:: else
				fi;
#ifdef M_DROP_F
				if
				:: b != o -> unlock(olock[o])
				:: else
				fi;
#endif
#ifdef M_DROP_B
				if
				:: b != o -> unlock(olock[b])
				:: else
				fi;
#endif
#ifdef M_DROP_BOTH
				unlock(olock[o]);
				unlock(olock[b]);
#endif
#ifdef UNDO
				/* vm_fault_copy_up has let the backing go */
				if
				:: wr && b != o -> unlock(olock[b])
				:: else
				fi;
#endif
				pmap_enter(pm, np, wr, s);
#ifdef UNDO
#ifndef M_NO_UNDO
				/* vm_fault_undo: as if it had not been copied */
				if
				:: retry && wr && b != o -> opg[o] = 0
				:: else
				fi;
#endif
#elif defined(PRIV_ENTER)
#ifndef M_NO_RETRY_REMOVE
				if
				:: retry && wr && b != o && !oshared[o] ->
					pmap_revoke(pm, NONE, 0)
				:: else
				fi;
#endif
#endif
#ifdef M_COW_LATE
				if
				:: wr && b != o -> pmap_page_protect(opg[b], NONE)
				:: else
				fi;
#endif
#ifndef M_DROP_BOTH
#ifndef M_DROP_B
				if
#ifdef UNDO
				:: b != o && !wr -> unlock(olock[b])
#else
				:: b != o -> unlock(olock[b])
#endif
				:: else
				fi;
#endif
#ifdef M_DROP_F
				if
				:: b == o -> unlock(olock[o])
				:: else
				fi;
#else
				unlock(olock[o]);
#endif
#endif
				if
				:: !retry -> break
				:: else
				fi
			fi
		fi;
		d_step { s = 0; o = 0; b = 0; nc = 0; ro = 0; np = 0; retry = 0 }
	od;
	atomic { s = 0; o = 0; b = 0; nc = 0; ro = 0; np = 0; retry = 0 }
}

bit through[2];

/* a user thread, bound to a CPU: faults, spurious ones included */
proctype user(byte c; byte n)
{
	byte s, o, b, l, old, np;
	bit wr, nc, ro, must, retry, gone;

	do
	:: n > 0 ->
		atomic {
			n--;
			if
			:: wr = 0
			:: wr = 1
			fi
		};
#ifdef LIVE
		/* fault until the access gets through */
		do
		:: atomic { root[PMOF(c)] != 0 && pte[root[PMOF(c)]] >= RO(1) + wr &&
			(!wr || WRITABLE(pte[root[PMOF(c)]])) -> break }
		:: else -> vm_fault(PMOF(c))
		od;
#else
		vm_fault(PMOF(c));
#endif
		wr = 0
	:: else -> break
	od;
	through[c] = 1
}

/* a thread that discards */
proctype discarder(byte pm; byte n)
{
	do
	:: n > 0 ->
#ifndef M_ENDLESS_DISCARD
		n--;
#endif
		pmap_discard(pm)
	:: else -> break
	od
}

/* pageout (prot == NONE: the frame is free until the page is back) and
 * cleaning (prot == READ) of the page of object ob */
proctype pageout(byte ob; byte prot)
{
	byte l;
	bit must;

	lock(olock[ob]);
	if
	:: opg[ob] != 0 && !odead[ob] && prot == NONE ->
		pmap_page_protect(ob, NONE);
		atomic { pfree[ob] = 1; check() };
		pfree[ob] = 0
	:: opg[ob] != 0 && !odead[ob] && prot == READ ->
		pmap_page_protect(ob, READ);
		atomic { clean[ob] = 1; check() };
		clean[ob] = 0
	:: else
	fi;
	unlock(olock[ob])
}
