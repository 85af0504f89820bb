# SPDX-License-Identifier: BSD-2-Clause
"""How much the work slows down as more is thrown away.

One run for each rate; progress is epochs a second, of the same work.  The rate
at which progress is half of what it is without storms lies between two of
them, and is found by a straight line.
"""

from stress_run import Run

RATES = (100, 1000, 3000, 10000, 30000, 100000, 300000)


def measure(job):
    """(discards a second, epochs a second, the result)"""
    result = Run(job).run()
    seconds = result.last.get("seconds") or 1
    return (sum(result.last.get("discards", {}).values()) / seconds,
            result.epoch / seconds, result)


def half(points):
    """The rate at which progress is half of points[0]'s, or None."""
    full = points[0][1]
    for (r0, p0), (r1, p1) in zip(points, points[1:]):
        if p0 >= full / 2 > p1:
            return r0 + (r1 - r0) * (p0 - full / 2) / (p0 - p1)
    return None


def sweep(job, say=print):
    """One machine; prints a table.  The results."""
    say(f"{job.place}: {'asked':>8} {'discards/s':>11} {'epochs/s':>9} "
        f"{'progress':>9}", flush=True)
    points, results = [], []
    for rate in (None, *RATES):
        discards, epochs, result = measure(
            job.but(storm=()) if rate is None else job.but(rate=rate))
        points.append((discards, epochs))
        results.append(result)
        share = epochs / points[0][1] if points[0][1] else 0
        asked = "never" if rate is None else rate
        say(f"{'':{len(job.place)}}  {asked:>8} {discards:11.0f} "
            f"{epochs:9.2f} {share:8.0%}"
            f"{'' if result.ok else '  FAILED'}", flush=True)
    found = half(points)
    say(f"{job.place}: progress is half at "
        + (f"{found:.0f} discards a second" if found else
           "no rate that was reached"), flush=True)
    return results
