# SPDX-License-Identifier: BSD-2-Clause
"""What the tour says, on each architecture, and whether all is well.

user/tour.c prints on its standard output:

    tour: NAME begin
    tour: NAME pass faults=N instructions=N
    tour: NAME fail faults=N instructions=N REASON...
    tour: counters NAME KEY=VALUE ...
    tour: done PASSED FAILED

A scenario that began and did not end has failed, and so has one that ran
elsewhere and not here, and a tour that did not say it was done.
"""

import re
from dataclasses import dataclass, field

LINE = re.compile(r"tour: (\S+) (begin|pass|fail)\b *(.*)$")
COUNTERS = re.compile(r"tour: counters (\S+) (.*)$")
DONE = re.compile(r"tour: done (\d+) (\d+)$")
FIGURE = re.compile(r"(?:^| )(faults|instructions)=(\d+)(?= |$)")
CELL = 28


@dataclass
class Scenario:
    passed: bool | None = None      # None: it has begun
    reason: str = ""
    figures: dict = field(default_factory=dict)


class Tour:
    """One architecture's, line by line; tells progress() what happens."""

    def __init__(self, arch, progress=lambda text: None):
        self.arch = arch
        self.progress = progress
        self.scenarios = {}
        self.counters = {}
        self.done = None
        self.failure = ""           # of the whole tour

    def line(self, text):
        if match := COUNTERS.match(text):
            self.counters[match[1]] = dict(
                item.partition("=")[::2] for item in match[2].split())
        elif match := DONE.match(text):
            self.done = (int(match[1]), int(match[2]))
        elif match := LINE.match(text):
            self._scenario(*match.groups())

    def _scenario(self, name, what, rest):
        if what == "begin":
            self.scenarios[name] = Scenario()
            self.progress(f"{self.arch}: {name}")
            return
        scenario = self.scenarios.setdefault(name, Scenario())
        scenario.passed = what == "pass"
        scenario.figures = {key: int(value)
                            for key, value in FIGURE.findall(rest)}
        if not scenario.passed:
            scenario.reason = (FIGURE.sub("", rest).strip()
                               or "no reason given")
            self.progress(f"{self.arch}: {name} failed: {scenario.reason}")

    def end(self, reason, status):
        """The machine has ended; reason: why it did without a last word."""
        why = reason or f"the tour ended with status {status}"
        for scenario in self.scenarios.values():
            if scenario.passed is None:
                scenario.passed, scenario.reason = False, why
                self.failure = why
        if self.done is None:
            self.failure = why + ("" if self.scenarios
                                  else ", before any scenario")
        elif reason:
            self.failure = reason
        elif status != (1 if self.done[1] else 0):
            self.failure = f"status {status} after all scenarios"
        elif self.done != self.count():
            self.failure = (f"it counts {self.done[0]} passed, "
                            f"{self.done[1]} failed; {self.count()[0]} and "
                            f"{self.count()[1]} came")
        if self.failure:
            self.progress(f"{self.arch}: {self.failure}")

    def count(self):
        passed = sum(bool(s.passed) for s in self.scenarios.values())
        return passed, len(self.scenarios) - passed


def human(number):
    """1234567 -> 1.2 M"""
    if number < 10000:
        return str(number)
    for unit in ("k", "M", "G"):
        number /= 1000
        if number < 1000:
            return f"{number:.1f} {unit}" if number < 100 else \
                f"{number:.0f} {unit}"
    return f"{number / 1000:.1f} T"


def names(tours):
    """All scenarios, in the order of the first tour that knows them."""
    found = {}
    for tour in tours:
        found.update(dict.fromkeys(tour.scenarios))
    return list(found)


def cells(tour, name, counted):
    """(verdict, faults, instructions) of a scenario."""
    scenario = tour.scenarios.get(name)
    if scenario is None:
        return "did not run", "", ""
    verdict = "pass"
    if not scenario.passed:
        verdict = scenario.reason
        if len(verdict) > CELL:
            verdict = verdict[:CELL - 3] + "..."
    faults = scenario.figures.get("faults")
    instructions = scenario.figures.get("instructions")
    return (verdict, "-" if faults is None else human(faults),
            "-" if instructions is None or not counted
            else human(instructions))


def table(tours, counted):
    """Lines: a row a scenario, three columns an architecture.  counted:
    architectures whose instructions were counted."""
    rows = [[(t.arch, "faults", "instr.") for t in tours]]
    labels = ["scenario", *names(tours)]
    for name in labels[1:]:
        rows.append([cells(t, name, t.arch in counted) for t in tours])
    widths = [[max(len(row[i][k]) for row in rows) for k in range(3)]
              for i in range(len(tours))]
    first = max(len(label) for label in labels)
    lines = []
    for label, row in zip(labels, rows):
        line = f"{label:{first}}"
        for (verdict, faults, instructions), width in zip(row, widths):
            line += (f"   {verdict:{width[0]}} {faults:>{width[1]}} "
                     f"{instructions:>{width[2]}}")
        lines.append(line.rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return lines


def failures(tours):
    """A line for everything that is not well, counters aside."""
    lines = []
    for tour in tours:
        for name in names(tours):
            scenario = tour.scenarios.get(name)
            if scenario is None:
                lines.append(f"{tour.arch}: {name} did not run")
            elif not scenario.passed:
                lines.append(f"{tour.arch}: {name}: {scenario.reason}")
        if tour.failure:
            lines.append(f"{tour.arch}: {tour.failure}")
    return lines


def compare_counters(tours):
    """(the line to print, differences)"""
    ranges = {}
    for tour in tours:
        ranges.update(dict.fromkeys(tour.counters))
    arches = ", ".join(tour.arch for tour in tours)
    differences = []
    figures = 0
    for name in ranges:
        keys = {}
        for tour in tours:
            keys.update(dict.fromkeys(tour.counters.get(name, {})))
        figures += len(keys)
        for key in keys:
            values = [tour.counters.get(name, {}).get(key, "missing")
                      for tour in tours]
            if len(set(values)) > 1:
                differences.append(f"counter {name} {key}: " + ", ".join(
                    f"{tour.arch} {value}"
                    for tour, value in zip(tours, values)))
    total = f"{figures} counters of {len(ranges)} scripted ranges"
    if not ranges:
        return "counters: the tour printed none", ["no counters were printed"]
    if differences:
        return f"counters: {len(differences)} of {total} differ", differences
    if len(tours) == 1:
        return f"counters: {total} (one architecture, none to compare)", []
    return f"counters: {total}, equal on {arches}", []
