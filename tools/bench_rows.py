# SPDX-License-Identifier: BSD-2-Clause
"""The rows of ./pal bench: figures, aims, the table, the comparison with a
baseline.  bench/rows.csv says which rows there are; figures are CSV lines
"arch,name,median,unit", lines with # are remarks.
"""

import math
import os
import re
from dataclasses import dataclass, field

from machine import ARCHES
from packages import ROOT

ROWS = os.path.join(ROOT, "bench", "rows.csv")
LINUX = os.path.join(ROOT, "bench", "linux-6.12.csv")
BASELINE = os.path.join(ROOT, "bench", "baseline.csv")
WORSE = 1.03

RESULT = re.compile(r"([A-Za-z]\w*)(?:\.(min|med|max))? (-?[\d.]+) (\S+)$")
GROUP = re.compile(r"# group (\w+)( took .*)?$")
FAIL = re.compile(r"# (FAIL .*|child status .*|chain \d+ failed.*)")
NOT_MEASURED = "not measured"


@dataclass
class Figures:
    """What one run of vmbench said, line by line."""
    median: dict = field(default_factory=dict)  # name -> (value, unit)
    done: set = field(default_factory=set)      # groups that came to an end
    at: str = ""                                # the group under way
    failures: list = field(default_factory=list)

    def line(self, text):
        if match := RESULT.match(text):
            name, kind, value, unit = match.groups()
            if kind in (None, "med"):
                self.add(name, float(value), unit)
        elif match := GROUP.match(text):
            self.at = "" if match[2] else match[1]
            if match[2]:
                self.done.add(match[1])
        elif match := FAIL.match(text):
            self.failures.append(
                f"{self.at}: {match[1]}" if self.at else match[1])

    def add(self, name, value, unit):
        # What is not there is said as -1, and is no figure.
        if value >= 0 or not unit.startswith("KiB"):
            # The guest's clock counts instructions.
            self.median[name] = value, re.sub("^ns", "instructions", unit)

    def value(self, name):
        return self.median.get(name, (None, ""))[0]


@dataclass(frozen=True)
class Row:
    name: str
    group: str
    what: str
    aim: str
    floors: dict            # architecture -> instructions

    def goal(self, arch, figures):
        """The aim as a number; None: there is none, or it depends on a row
        that was not measured."""
        if not self.aim:
            return None
        product = 1.0
        for factor in self.aim.split("*"):
            total = 0.0
            for term in factor.split("+"):
                term = term.strip()
                if term == "floor":
                    value = self.floors.get(arch)
                elif re.fullmatch(r"[\d.]+", term):
                    value = float(term)
                else:
                    value = figures.value(term)
                if value is None:
                    return None
                total += value
            product *= total
        return product


def csv_lines(path):
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield line.rstrip("\n").split(",")


def read_rows(path=ROWS):
    rows = []
    for name, group, what, aim, *floors in csv_lines(path):
        rows.append(Row(name, group, what.replace(";", ","), aim, {
            arch: float(floor) for arch, floor in zip(ARCHES, floors)
            if floor}))
    return rows


def read_figures(path):
    """{architecture: Figures}"""
    found = {arch: Figures() for arch in ARCHES}
    for arch, name, value, unit in csv_lines(path):
        found[arch].add(name, float(value), unit)
    return found


def csv(arch, figures):
    return [f"{arch},{name},{value:.2f},{unit}"
            for name, (value, unit) in figures.median.items()]


# ---- the table ------------------------------------------------------------

def number(value):
    """1234567.8 -> 1,234,568; small ones with a decimal."""
    if value is None:
        return "-"
    if abs(value) < 100 and value != int(value):
        return f"{value:.1f}"
    return f"{value:,.0f}"


def short(unit):
    return {"instructions": "", "KiB": "KiB", "bytes": "bytes"}.get(
        unit, unit.replace("instructions/", ""))


def verdict(ours, goal, aimed):
    if ours is None:
        return NOT_MEASURED
    if goal is None:
        return NOT_MEASURED if aimed else ""
    return "reached" if ours <= goal else f"missed by {ours / goal:.2f}x"


def ratio(ours, linux):
    return ours / linux if ours and linux else None


def cells(row, arch, ours, linux):
    mine, theirs = ours.value(row.name), linux.value(row.name)
    unit = (ours.median.get(row.name) or linux.median.get(row.name)
            or (0, ""))[1]
    what = f"{row.what} ({short(unit)})" if short(unit) else row.what
    times = ratio(mine, theirs)
    goal = row.goal(arch, ours)
    return [what, number(mine), number(theirs),
            "-" if times is None else f"{times:.4f}", number(goal),
            number(row.floors.get(arch)),
            verdict(mine, goal, bool(row.aim))]


def table(rows, arch, ours, linux):
    """The lines of one architecture's table."""
    lines = [[f"{arch}, guest instructions", "ours", "Linux", "ratio",
              "aim", "floor", ""]]
    lines += [cells(row, arch, ours, linux) for row in rows]
    width = [max(len(line[i]) for line in lines)
             for i in range(len(lines[0]))]
    text = ["  ".join([f"{line[0]:{width[0]}}",
                       *(f"{cell:>{width[i]}}" for i, cell in
                         enumerate(line[1:6], 1)), line[6]]).rstrip()
            for line in lines]
    text.insert(1, "-" * max(len(line) for line in text))
    return text


def geometric_mean(rows, ours, linux):
    """(the mean of the ratios, of how many rows); None: of none."""
    ratios = [found for row in rows
              if (found := ratio(ours.value(row.name),
                                 linux.value(row.name)))]
    if not ratios:
        return None, 0
    return math.exp(sum(map(math.log, ratios)) / len(ratios)), len(ratios)


def unmeasured(rows, ours):
    return [row.name for row in rows if ours.value(row.name) is None]


def summary(rows, arch, ours, linux):
    """The lines below the table."""
    lines = []
    aimed = [row for row in rows if row.aim]
    # Rows without an aim are variants, and would outweigh the others.
    for what, some in (("", rows), (" of rows with an aim", aimed)):
        mean, count = geometric_mean(some, ours, linux)
        if mean is not None:
            lines.append(f"{arch}: geometric mean of {count} ratios to Linux"
                         f"{what}: {mean:.3f}")
    reached = sum(verdict(ours.value(row.name), row.goal(arch, ours), True)
                  == "reached" for row in aimed)
    if aimed:
        lines.append(f"{arch}: {reached} of {len(aimed)} aims reached")
    return lines


# ---- the baseline -------------------------------------------------------

def check(arch, ours, baseline, groups_ended):
    """(what got worse, what got better): lines.  groups_ended: every row
    of the baseline should have come."""
    worse, better = [], []
    for name, (was, unit) in baseline.median.items():
        now = ours.value(name)
        if now is None:
            if groups_ended:
                worse.append(f"{arch}: {name}: {NOT_MEASURED}, was "
                             f"{number(was)} {unit}")
        elif not skipped_by_check(name) and now != was:
            change = f"{number(was)} -> {number(now)} {unit}"
            if now > was * WORSE:
                percent = f"+{(now / was - 1) * 100:.1f} %" if was > 0 \
                    else "from nothing"
                worse.append(f"{arch}: {name}: {change} ({percent})")
            elif was > now * WORSE:
                better.append(f"{arch}: {name}: {change}")
    return worse, better


def skipped_by_check(name):
    """Figures of the machine, not of our work: more is not worse."""
    return name.startswith(("calib_", "meminfo_", "boot_Mem", "drain_settle"))
