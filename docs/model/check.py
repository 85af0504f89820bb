#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Check the SPIN models: each protocol case must hold, each mutant must fail.

usage: check.py [--list] [-k PATTERN] [-j JOBS] [BUILD_DIR]

One line per case.  A case is one of
  holds      the protocol, or an allowed variant: 0 errors, exhaustive
  mutant     a broken variant: pan must find the error named in the table
  redundant  a step left out that turns out not to be needed: 0 errors
All searches are exhaustive (no bitstate).
"""

import argparse
import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY = 1 << 30        # address space of one pan, bytes
TIME = 120              # seconds of one pan

ASSERT, DEADLOCK, CYCLE = 'assertion violated', 'invalid end state', 'acceptance cycle'

# (name, kind, model, flags, error expected of a mutant)
CASES = []


def holds(name, model, flags=''):
    CASES.append((name, 'holds', model, flags, None))


def redundant(name, model, flags):
    CASES.append((name, 'redundant', model, flags, None))


def mutant(name, model, flags, error=ASSERT):
    CASES.append((name, 'mutant', model, flags, error))


# enter against revocations and discard
holds('revoke-fork', 'revoke', 'FORK DISCARDS=1')
holds('revoke-fork-pageout', 'revoke', 'FORK F1=0 DISCARDS=2 PAGEOUT=0')
holds('revoke-fork-clean', 'revoke', 'FORK F1=0 DISCARDS=2 PAGEOUT=1')
holds('revoke-protect', 'revoke', 'PROTECT F1=0 F0=2 DISCARDS=1')
holds('revoke-protect-clean', 'revoke', 'PROTECT PAGEOUT=1')
holds('revoke-remove', 'revoke', 'REMOVE DISCARDS=1')
holds('revoke-remove-pageout', 'revoke', 'REMOVE PAGEOUT=0')
holds('revoke-leaf-only', 'revoke', 'PROTECT F1=0 DISCARDS=1 PAGEOUT=0 LEAF_ONLY')
holds('revoke-progress', 'revoke', 'FORK DISCARDS=1 LIVE NO_HW')
mutant('no-seq', 'revoke', 'FORK DISCARDS=1 M_NO_SEQ')
mutant('seq-before-lock', 'revoke', 'FORK M_SEQ_BEFORE_LOCK')
mutant('no-recheck', 'revoke', 'REMOVE F1=0 M_NO_RECHECK')
mutant('no-pend-protect', 'revoke', 'PROTECT DISCARDS=1 M_NO_PEND_PROTECT')
mutant('no-pend-fork', 'revoke', 'FORK DISCARDS=1 M_NO_PEND_PROTECT')
mutant('no-pend-remove', 'revoke', 'REMOVE DISCARDS=1 M_NO_PEND_PROTECT')
mutant('no-pend-page', 'revoke', 'F1=0 DISCARDS=1 PAGEOUT=0 M_NO_PEND_PAGE')
mutant('no-pend-clean', 'revoke', 'PROTECT PAGEOUT=1 M_NO_PEND_PAGE')
mutant('discard-no-pend', 'revoke', 'REMOVE DISCARDS=1 M_DISCARD_NO_PEND')
mutant('pend-late', 'revoke', 'REMOVE PAGEOUT=0 M_PEND_LATE')
mutant('pend-late-page', 'revoke', 'PROTECT PAGEOUT=0 M_PEND_LATE_PAGE')
mutant('remove-drops-hint', 'revoke', 'REMOVE PAGEOUT=0 M_REMOVE_DROPS_HINT')
mutant('protect-no-cas', 'revoke', 'PROTECT PAGEOUT=0 M_PROTECT_NO_CAS')
mutant('enter-weakens', 'revoke', 'PROTECT M_ENTER_WEAKENS')
mutant('leaf-only-always', 'revoke',
       'PROTECT F1=0 F0=2 DISCARDS=1 PAGEOUT=0 LEAF_ONLY M_LEAF_ONLY_ALWAYS')
mutant('shadow-seq-after', 'revoke', 'FORK M_NC_BUMP_AFTER')
mutant('shadow-seq-before', 'revoke', 'FORK M_NC_BUMP_BEFORE')
mutant('shadow-no-seq', 'revoke', 'FORK M_NC_NO_BUMP')
mutant('endless-discard', 'revoke', 'FORK DISCARDS=1 LIVE NO_HW M_ENDLESS_DISCARD NLEAF_WRAP',
       CYCLE)
redundant('no-recheck-fork', 'revoke', 'FORK M_NO_RECHECK')
redundant('hint-late', 'revoke', 'REMOVE F1=0 DISCARDS=1 PAGEOUT=0 M_HINT_LATE')

# the copy-on-write break
holds('cow-shared', 'cow', 'DISCARDS=1')
holds('cow-shared-pageout', 'cow', 'F0=2 F1=1 DISCARDS=1 PAGEOUT=0 PAGEOUT_OBJ=1')
holds('cow-shared-clean', 'cow', 'F1=1 DISCARDS=1 PAGEOUT=1 PAGEOUT_OBJ=2')
holds('cow-one-map', 'cow', 'ONE_MAP DISCARDS=1')
holds('cow-reclaim', 'cow', 'DISCARDS=1 PAGEOUT=0 PAGEOUT_OBJ=1 F0=1 RECLAIM')
holds('cow-private-remove-first', 'cow', 'ONE_MAP PRIVATE_RULE NO_PA_CHANGE F1=1 DISCARDS=2')
holds('cow-private-enter-breaks', 'cow', 'ONE_MAP PRIVATE_RULE PRIV_ENTER F1=1 DISCARDS=2')
holds('cow-fork-share-remove-first', 'cow', 'FORK_SHARE PRIVATE_RULE NO_PA_CHANGE F1=1 DISCARDS=1')
holds('cow-fork-share-enter-breaks', 'cow', 'FORK_SHARE PRIVATE_RULE PRIV_ENTER F1=1 DISCARDS=1')
holds('cow-private-undo', 'cow', 'ONE_MAP PRIVATE_RULE PRIV_ENTER UNDO F1=1 DISCARDS=2')
holds('cow-fork-share-undo', 'cow', 'FORK_SHARE PRIVATE_RULE PRIV_ENTER UNDO F1=1 DISCARDS=1')
mutant('no-undo', 'cow', 'FORK_SHARE PRIVATE_RULE PRIV_ENTER UNDO F1=1 M_NO_UNDO')
mutant('cow-late', 'cow', 'M_COW_LATE')
mutant('drop-both-locks', 'cow', 'M_DROP_BOTH')
mutant('drop-backing-lock', 'cow', 'F0=1 F1=1 PAGEOUT=0 PAGEOUT_OBJ=1 DISCARDS=1 M_DROP_B')
mutant('cow-no-pend-page', 'cow', 'DISCARDS=1 M_NO_PEND_PAGE')
mutant('no-bbm', 'cow', 'ONE_MAP PRIVATE_RULE PRIV_ENTER M_NO_BBM')
mutant('private-no-pend-enter', 'cow',
       'ONE_MAP PRIVATE_RULE PRIV_ENTER F0=1 F1=1 DISCARDS=1 M_NO_PEND_ENTER')
mutant('private-no-retry-remove', 'cow',
       'FORK_SHARE PRIVATE_RULE PRIV_ENTER F1=1 M_NO_RETRY_REMOVE')
mutant('reclaim-no-pend', 'cow',
       'DISCARDS=1 PAGEOUT=0 PAGEOUT_OBJ=1 F0=1 F1=1 RECLAIM M_RECLAIM_NO_PEND')
redundant('drop-front-lock', 'cow', 'F1=1 DISCARDS=1 M_DROP_F')
redundant('no-pv-lock', 'cow', 'F1=1 DISCARDS=1 M_NO_PV_LOCK')
redundant('cow-reclaim-no-pv-lock', 'cow',
          'DISCARDS=1 PAGEOUT=0 PAGEOUT_OBJ=1 F0=1 RECLAIM M_NO_PV_LOCK')
redundant('no-bbm-after-page-protect', 'cow', 'ONE_MAP F1=1 DISCARDS=1 M_NO_BBM NO_PA_CHANGE')

# freeing and reuse of table pages
holds('limbo', 'limbo', 'NT=3')
holds('limbo-reuse', 'limbo', 'W0=2 W1=0 DISCARDS=2')
mutant('epoch-ignored', 'limbo', 'NT=3 M_NO_EPOCH')
mutant('epoch-le', 'limbo', 'NT=3 M_EPOCH_LE')
mutant('stamp-early', 'limbo', 'NT=3 M_STAMP_EARLY')
mutant('announce-late', 'limbo', 'NT=3 M_ANNOUNCE_LATE')
mutant('free-before-flush', 'limbo', 'NT=3 M_FREE_BEFORE_FLUSH')
mutant('flush-no-walk-cache', 'limbo', 'NT=3 M_FLUSH_NO_WALKCACHE')
mutant('unlink-no-xchg', 'limbo', 'NT=3 W1=0 DISCARDS=0 REMOVES=1 TWO_REMOVERS M_UNLINK_NO_XCHG')
mutant('children-at-once', 'limbo', 'NT=3 M_CHILDREN_AT_ONCE')

# the note that a CPU keeps of its last leaf table
holds('note', 'note', 'W0=2 W1=1')
holds('note-remove', 'note', 'REMOVE W1=0')
holds('note-pageout', 'note', 'PAGEOUT')
mutant('note-epoch-late', 'note', 'M_NOTE_EPOCH_LATE')
mutant('note-before-pend', 'note', 'M_NOTE_BEFORE_PEND')
mutant('note-no-pend', 'note', 'M_NOTE_NO_PEND')
mutant('note-not-voided', 'note', 'NO_CLAIM M_NOTE_NO_EPOCH')
mutant('note-epoch-after-walk', 'note', 'NO_CLAIM M_NOTE_EPOCH_AFTER_WALK')
redundant('note-epoch-late-memory', 'note', 'PAGEOUT NO_CLAIM M_NOTE_EPOCH_LATE')
redundant('note-no-pend-memory', 'note', 'PAGEOUT NO_CLAIM M_NOTE_NO_PEND')
redundant('note-no-pend-remove', 'note', 'REMOVE W1=0 NO_CLAIM M_NOTE_NO_PEND')

# one page revoked by the revoker's own note
holds('page', 'note', 'PAGE W1=0 DISCARDS=1')
holds('page-reuse', 'note', 'PAGE W0=1 W1=0')
holds('page-enters', 'note', 'PAGE W0=1 DISCARDS=1 LINKED_FIRST NO_REAP')
holds('page-discards', 'note', 'PAGE W1=0 NO_REAP')
holds('page-pageout', 'note', 'PAGE PAGEOUT W0=1 W1=0 DISCARDS=1')
holds('page-protect', 'note', 'PROTECT PAGE W1=0 DISCARDS=1')
holds('page-protect-enters', 'note', 'PROTECT PAGE W0=1 DISCARDS=1 LINKED_FIRST NO_REAP')
holds('page-object', 'note', 'PAGE_OBJECT W1=0')
mutant('page-no-pend', 'note', 'PAGE W1=0 DISCARDS=1 NO_CLAIM M_PAGE_NO_PEND')
mutant('page-before-pend', 'note', 'PAGE W1=0 DISCARDS=1 NO_CLAIM M_PAGE_BEFORE_PEND')
mutant('page-epoch-late', 'note', 'PAGE W1=0 DISCARDS=1 NO_CLAIM M_NOTE_EPOCH_LATE')
mutant('page-object-no-pend', 'note', 'PAGE_OBJECT W1=0 DISCARDS=1 NO_CLAIM M_PAGE_NO_PEND')
mutant('page-no-epoch', 'note', 'PAGE W1=0 DISCARDS=1 NO_REAP NO_CLAIM M_PAGE_NO_EPOCH')
mutant('page-no-epoch-memory', 'note', 'PAGE W0=1 W1=0 NO_CLAIM M_PAGE_NO_EPOCH')
mutant('page-pend-late', 'note', 'PAGE PAGEOUT W0=1 W1=0 DISCARDS=0 M_PAGE_PEND_LATE')
mutant('page-no-quiet', 'note', 'PAGE PAGEOUT W0=1 W1=0 DISCARDS=0 M_PAGE_NO_QUIET')
mutant('page-nowhere-no-quiet', 'note', 'PAGE W0=1 W1=0 DISCARDS=1 M_PAGE_NOWHERE_NO_QUIET')
mutant('page-seq-late', 'note', 'PAGE W0=1 W1=0 DISCARDS=0 M_PAGE_SEQ_LATE')
mutant('page-no-lock', 'note', 'PAGE W0=1 W1=0 DISCARDS=0 M_PAGE_NO_LOCK')
mutant('page-by-address', 'note', 'PROTECT PAGE W1=0 DISCARDS=1 M_PAGE_BY_ADDRESS')
redundant('page-remove-by-address', 'note', 'PAGE W1=0 NO_REAP M_PAGE_BY_ADDRESS')

# large leaves
holds('large', 'large', 'DISCARDS=1')
holds('large-enters', 'large', 'ENTERS=2')
holds('large-makers', 'large', 'MAKERS=2 DISCARDS=1')
holds('large-remove', 'large', 'REMOVE')
holds('large-remove-discard', 'large', 'REMOVE ENTERS=0 DISCARDS=1')
holds('large-pageout', 'large', 'PAGEOUT DISCARDS=1')
mutant('large-no-mark', 'large', 'DISCARDS=1 M_NO_MARK')
mutant('large-no-seq', 'large', 'REMOVE M_NO_SEQ')
mutant('large-store', 'large', 'REMOVE M_STORE')
mutant('large-leave-mark', 'large', 'REMOVE M_LEAVE_MARK')
mutant('large-no-break', 'large', 'M_NO_BREAK')
mutant('large-no-pend', 'large', 'DISCARDS=1 M_NO_PEND')

# another root, or none
holds('change', 'change')
holds('change-often', 'change', 'TURNS=3')
holds('change-evict', 'change', 'EVICT')
holds('change-evict-often', 'change', 'EVICT TURNS=3')
mutant('change-no-reread', 'change', 'M_NO_REREAD')
mutant('change-no-reload', 'change', 'M_NO_RELOAD')
mutant('change-no-pending', 'change', 'M_NO_PENDING')
mutant('change-in-transit', 'change', 'M_RELOAD_IN_TRANSIT')
mutant('change-evict-no-pending', 'change', 'EVICT M_NO_PENDING')
mutant('change-evict-no-bar', 'change', 'EVICT M_NO_BAR')
mutant('change-no-bar', 'change', 'M_NO_BAR')
mutant('change-asid-late', 'change', 'TURNS=3 M_ASID_LATE')
mutant('change-cached-stays', 'change', 'TURNS=3 M_CACHED_STAYS')
mutant('cached-always', 'change', 'EVICT TURNS=3 M_CACHED_ALWAYS')
redundant('change-no-wait', 'change', 'M_NO_WAIT')
redundant('change-same-asid', 'change', 'TURNS=3 M_SAME_ASID')

# locks against shootdowns; fences
holds('locks', 'locks')
holds('locks-pv', 'locks', 'PV')
mutant('spinner-deaf', 'locks', 'M_SPINNER_DEAF', DEADLOCK)
mutant('waiter-deaf', 'locks', 'M_WAITER_DEAF', DEADLOCK)
mutant('object-order', 'locks', 'M_OBJECT_ORDER', DEADLOCK)
mutant('map-under-object', 'locks', 'M_MAP_UNDER_OBJECT', DEADLOCK)
redundant('leaf-under-pv', 'locks', 'PV M_LEAF_UNDER_PV')
holds('order', 'order')
mutant('no-fence-a', 'order', 'M_NO_FENCE_A')
mutant('no-fence-b', 'order', 'M_NO_FENCE_B')


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(case, build):
    """Return (ok, text)."""
    name, kind, model, flags, error = case
    live = 'LIVE' in flags.split()
    where = os.path.join(build, name)
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for f in os.listdir(HERE):
        if f.endswith('.pml'):
            shutil.copy(os.path.join(HERE, f), where)
    spin = ['spin'] + ['-D' + f for f in flags.split()] + ['-a', model + '.pml']
    p = subprocess.run(spin, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       universal_newlines=True)
    if p.returncode != 0 or 'Error' in p.stdout:
        return False, 'spin: ' + p.stdout.strip().split('\n')[0]
    cc = [os.environ.get('CC', 'cc'), '-O2' if kind != 'mutant' else '-O1', '-w', '-DCOLLAPSE',
          '-DVECTORSZ=4096', '-o', 'pan', 'pan.c']
    cc[1:1] = ['-DNFAIR=3'] if live else ['-DSAFETY', '-DNOFAIR']
    p = subprocess.run(cc, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       universal_newlines=True)
    if p.returncode != 0:
        return False, 'cc: ' + p.stdout.strip().split('\n')[0]
    start = time.time()
    pan = ['./pan', '-m200000', '-w20'] + (['-a', '-f'] if live else [])
    try:
        p = subprocess.run(pan, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           universal_newlines=True, timeout=TIME, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return False, 'no result within %d s' % TIME
    seconds = time.time() - start
    out = p.stdout
    with open(os.path.join(where, 'pan.out'), 'w') as f:
        f.write(out)
    errors = re.search(r'errors: (\d+)', out)
    states = re.search(r'(\d+) states, stored', out)
    if not errors or not states:
        return False, 'pan: ' + out.strip().split('\n')[0]
    found = int(errors.group(1))
    text = 'states=%s %.1fs %s' % (states.group(1), seconds, kind)
    if kind != 'mutant':
        why = re.search(r'pan:1: (.*)', out)
        if found:
            return False, '%s: %s' % (text, why.group(1) if why else 'errors: %d' % found)
        if 'truncated' in out or 'out of memory' in out or 'max search depth too small' in out \
           or 'Search not completed' in out:
            return False, text + ': search not complete'
        return True, text
    if not found:
        return False, text + ': no error found'
    if error not in out:
        return False, text + ': another error than "%s"' % error
    return True, text


def main():
    ap = argparse.ArgumentParser(description='check the SPIN models of the core protocol')
    ap.add_argument('build', nargs='?', default='build/model', help='directory for temporary files')
    ap.add_argument('--list', action='store_true', help='list the cases')
    ap.add_argument('-v', action='store_true', help='list what each case is')
    ap.add_argument('-k', metavar='PATTERN', help='the case of that name, or those that match (regular expression)')
    ap.add_argument('-j', type=int, default=2, metavar='JOBS', help='cases at a time (default 2)')
    args = ap.parse_args()
    cases = [c for c in CASES if c[0] == args.k]
    if not cases:
        cases = [c for c in CASES if not args.k or re.search(args.k, c[0])]
    if args.list:
        for name, kind, model, flags, _ in cases:
            print('%-28s %-9s %s.pml %s' % (name, kind, model, flags)
                  if args.v else name)
        return 0
    if not shutil.which('spin'):
        print('check.py: spin not found; install the Debian package "spin"', file=sys.stderr)
        return 2
    if not cases:
        print('check.py: no case matches', file=sys.stderr)
        return 2
    build = os.path.abspath(args.build)
    os.makedirs(build, exist_ok=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, args.j)) as pool:
        for case, (ok, text) in zip(cases, pool.map(lambda c: run(c, build), cases)):
            print('%s %s %s' % ('ok' if ok else 'FAIL', case[0], text), flush=True)
            bad += not ok
    print('%d cases, %d failed' % (len(cases), bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
