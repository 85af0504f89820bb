/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The places where the protocol needs a store to be seen before a later load
 * of its own (a full fence, or seq_cst on both accesses).  Each thread has a
 * store buffer that drains at any time; every other reordering is excluded, so
 * this shows that the fences are needed and that these two are enough for the
 * pair of threads shown, not that C11 acquire/release is right elsewhere.
 * An atomic read-modify-write counts as a plain store here: that is what
 * aarch64 and riscv64 allow for the load that follows it.
 *
 * x and y by case:
 *	INSTALL	A = pmap_enter: CAS leaf into upper entry (x = 1), read seq (y)
 *		B = revoke: seq++ (y = 1), read upper entry (x)
 *		bad: A sees the old seq and B no leaf
 *	EPOCH	A = walker: announce (x = 1), read upper entry (y, 1 = unlinked)
 *		B = unlink (y = 1), then scan the announcements (x)
 *		bad: A has the table and B sees A quiescent
 *	ACTIVE	A = CPU joins the pmap's CPU set (x = 1), walks the table (y)
 *		B = revoke: clear the entry (y = 1), read the CPU set (x)
 *		bad: A has the entry and B sends A no shootdown
 * All three are one shape.
 */
byte x, y;
bit bx, by;			/* the store is still in the buffer */
byte ra = 9, rb = 9;

active proctype drain()
{
end:	do
	:: atomic { bx -> bx = 0; x = 1 }
	:: atomic { by -> by = 0; y = 1 }
	od
}

active proctype A()
{
	bx = 1;
#ifndef M_NO_FENCE_A
	!bx;
#endif
	ra = y;
	assert(!(ra == 0 && rb == 0))
}

active proctype B()
{
	by = 1;
#ifndef M_NO_FENCE_B
	!by;
#endif
	rb = x;
	assert(!(ra == 0 && rb == 0))
}
