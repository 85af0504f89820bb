# SPDX-License-Identifier: BSD-2-Clause
"""./pal bench --kvm: cycles of the real processor, ours and Linux in pairs.

Time on a shared computer drifts, so no run is compared with one of another
hour: ours, Linux, ours, Linux ..., each pair gives every row a ratio, and the
median of the ratios counts.  A cycle is one of the time-stamp counter: what
the guest's clock said, times the rate of that counter by the same clock
(calib_tick_rate), so a clock that is a little off is no error.
"""

import math
from dataclasses import dataclass
from statistics import median

from bench_rows import Figures, number

PAIRS = 5
CALIBRATE = "calib"             # the group that tells the rate
RATE = "calib_tick_rate"
TIME = "instructions"           # what Figures calls the guest's nanoseconds


def cycles(figures):
    """The rows of time, in cycles; those of another boot of the guest have
    another rate.  Nothing without a rate."""
    found = Figures(failures=list(figures.failures))
    rate = figures.value(RATE)
    if rate:
        for name, (value, unit) in figures.median.items():
            if unit.startswith(TIME):
                found.add(name, value * rate / 1e9,
                          unit.replace(TIME, "cycles"))
    return found


def collect(count, run_ours, run_linux):
    """[(ours, Linux)], in turns.  Stops behind a pair with a failure: what
    died will die again."""
    pairs = []
    for _ in range(count):
        pairs.append((run_ours(), run_linux()))
        if any(figures.failures for figures in pairs[-1]):
            break
    return pairs


@dataclass(frozen=True)
class Line:
    """A row over all pairs."""
    ours: float                 # median, cycles
    linux: float
    unit: str
    ratios: tuple               # one of each pair, sorted

    @property
    def ratio(self):
        return median(self.ratios)


def line_of(name, pairs):
    """None unless every pair has it, on both sides."""
    ours = [mine.value(name) for mine, _ in pairs]
    theirs = [linux.value(name) for _, linux in pairs]
    if not pairs or not all(value and value > 0 for value in ours + theirs):
        return None
    return Line(median(ours), median(theirs), pairs[0][0].median[name][1],
                tuple(sorted(a / b for a, b in zip(ours, theirs))))


def lines_of(rows, pairs):
    """{name: Line} in the order of the rows."""
    found = {row.name: line_of(row.name, pairs) for row in rows}
    return {name: line for name, line in found.items() if line}


def unmeasured(rows, counted, pairs):
    """Rows that a pair should have and has not.  counted: Figures that say
    which rows are ones of time; the others are the same without KVM."""
    lines = lines_of(rows, pairs)
    return [row.name for row in rows if row.name not in lines
            and counted.median.get(row.name, (0, ""))[1].startswith(TIME)]


def table(rows, arch, pairs):
    lines = lines_of(rows, pairs)
    cells = [[f"{arch}, cycles, {len(pairs)} pairs", "ours", "Linux",
              "ratio", "least", "largest"]]
    for row in rows:
        if line := lines.get(row.name):
            per = line.unit.partition("/")[2]
            cells.append([f"{row.what} ({per})" if per else row.what,
                          number(line.ours), number(line.linux),
                          *(f"{value:.4f}" for value in (
                              line.ratio, line.ratios[0],
                              line.ratios[-1]))])
    width = [max(map(len, column)) for column in zip(*cells)]
    text = ["  ".join([f"{cell[0]:{width[0]}}",
                       *(f"{cell[i]:>{width[i]}}" for i in range(1, 6))])
            for cell in cells]
    text.insert(1, "-" * len(text[0]))
    return text + summary(lines, arch)


def summary(lines, arch):
    if not lines:
        return []
    mean = math.exp(sum(math.log(line.ratio) for line in lines.values())
                    / len(lines))
    return [f"{arch}: geometric mean of {len(lines)} medians of ratios to "
            f"Linux: {mean:.3f}"]


def csv(rows, arch, pairs):
    """arch,name,median,unit; Linux's and the ratio with a suffix."""
    text = []
    for name, line in lines_of(rows, pairs).items():
        text += [f"{arch},{name},{line.ours:.2f},{line.unit}",
                 f"{arch},{name}.linux,{line.linux:.2f},{line.unit}",
                 f"{arch},{name}.ratio,{line.ratio:.4f},ratio"]
    return text
