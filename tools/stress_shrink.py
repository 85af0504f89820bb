# SPDX-License-Identifier: BSD-2-Clause
"""A shorter stress run that still fails.

Each attempt leaves something out of the last run that failed: epochs, kinds
of storm, tasks, operations, pages.  What still fails is kept.  A simulator is
tried on its seeded scheduler first: then a run repeats, and each attempt is
made in several orders of the same work.
"""

from stress_run import KEPT_OPS, OPS, Run, rounded

ATTEMPTS = 3            # of a run that does not repeat
SCHEDULES = 6           # of one that does
PATIENCE = 2.5          # times as long as the run that failed, and ...
LEAST = 20              # ... seconds more


def halves(items):
    """Shorter lists: each half, then all but one."""
    items = tuple(items)
    if len(items) > 1:
        middle = len(items) // 2
        yield items[:middle]
        yield items[middle:]
    if len(items) > 2:
        for item in items:
            yield tuple(other for other in items if other != item)


def candidates(job, epoch):
    """Smaller jobs, the most promising first."""
    end = rounded(max(1, epoch))
    if job.seconds or job.epochs > end:
        yield job.but(epochs=end, seconds=0)
    if job.storm:
        yield job.but(storm=())
    for storm in halves(job.storm):
        yield job.but(storm=storm)
    for tasks in (1, 2, 4):
        if tasks < job.tasks:
            yield job.but(tasks=tasks)
    extra = tuple(op for op in job.only if op not in KEPT_OPS)
    for ops in ((), *halves(extra)):
        if len(ops) < len(extra):
            yield job.but(only=tuple(op for op in OPS if op in ops or
                                     op in KEPT_OPS))
    if job.pages > 16:
        yield job.but(pages=16)
    for visits in (25, 100, 400):
        if visits < job.visits:
            yield job.but(visits=visits)
    if job.budget:
        yield job.but(budget=0)


def attempt(job, limit):
    """The result of a run that failed, or None."""
    fibers = job.is_sim and job.fibers
    for i in range(SCHEDULES if fibers else ATTEMPTS):
        again = job.but(schedule=i - 1) if fibers and i else job
        result = Run(again).run(limit)
        if not result.ok and result.problem != "not done in time":
            return result
    return None


def describe(result):
    job = result.job
    ops = [op for op in job.only if op not in KEPT_OPS]
    return (f"epoch {result.epoch}, {job.tasks} tasks, {job.pages} pages, "
            f"{job.visits} visits, storm {','.join(job.storm) or 'never'}, "
            f"also {','.join(ops) or 'nothing'}")


def start(failed, limit):
    """The failure in the form that is shrunk."""
    job = failed.job.but(record="")
    if job.is_sim and not job.fibers:
        return attempt(job.but(fibers=True), 4 * limit) or failed
    return failed


def shrink(failed, repeat, say=print):
    """Prints the shortest command found; returns its result."""
    limit = failed.seconds * PATIENCE + LEAST
    best = start(failed, limit)
    say(f"\nshrinking: {describe(best)}", flush=True)
    smaller = True
    while smaller:
        smaller = False
        for job in candidates(best.job, best.epoch):
            result = attempt(job, limit)
            if result:
                best, smaller = result, True
                say(f"  fails too: {describe(best)}", flush=True)
                break
    say(f"shortest: {best.problem}\n  repeat: {repeat(best)}", flush=True)
    return best
