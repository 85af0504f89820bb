# SPDX-License-Identifier: BSD-2-Clause
"""The plots of docs/performance.md, drawn by gnuplot from what ./pal bench
measured."""

import os
import re
import shutil
import subprocess

import bench_rows
import packages
from packages import ROOT, say

PLOTS = os.path.join(ROOT, "docs", "plots")
FORK = re.compile(r"fork_exit_wait_(\d+)M$")
CHAIN = re.compile(r"chain(\d+)_read_oldest$")
LOOKUP = re.compile(r"lookup_fault_(\d+)$")
REBUILD = re.compile(r"rebuild_(\w+)$")
HEAD = """\
set terminal svg noenhanced size {width},{height} font "sans,{font}" \
    background "white"
set output "{out}"
set grid ytics lc rgb "#dddddd"
set key outside right top
"""


class Bad(Exception):
    """A plot that cannot be drawn; the text names the fix."""


def prepare(no_install):
    (packages.check if no_install else packages.install)(("plots",))


def series(figures, pattern):
    """[(x, y)] of the rows whose name gives their x."""
    found = [(int(match[1]), value)
             for name, (value, _) in figures.median.items()
             if (match := pattern.match(name))]
    return sorted(found)


def block(name, points):
    """Points as data inside a gnuplot script."""
    lines = "\n".join(" ".join(str(part) for part in point)
                      for point in points)
    return f"${name} << EOD\n{lines}\nEOD\n"


def curves(out, title, xlabel, lines, logs):
    """A script: lines is [(its title, points)]; logs: axes."""
    script = HEAD.format(width=720, height=420, font=12, out=out)
    script += (f'set title "{title}"\nset xlabel "{xlabel}"\n'
               'set ylabel "guest instructions"\n')
    script += "".join(f"set logscale {axis}\n" for axis in logs)
    if "y" not in logs:
        script += "set yrange [0:*]\n"
    parts = []
    for i, (name, points) in enumerate(lines):
        script += block(f"d{i}", points)
        dashes = 2 if name.endswith("Linux") else 1
        parts.append(f'$d{i} using 1:2 with linespoints lc {i // 2 + 1} '
                     f'pt {5 + 2 * (i % 2)} dt {dashes} title "{name}"')
    return script + "plot " + ", \\\n  ".join(parts) + "\n"


def ratios(out, arches, rows, ours, theirs):
    """A script: a point a row and architecture."""
    points = []
    for row in rows:
        found = [bench_rows.ratio(ours[arch].value(row.name),
                                  theirs[arch].value(row.name))
                 for arch in arches]
        if any(found):
            points.append((f'"{row.name}"', *(
                "NaN" if value is None else f"{value:.5f}"
                for value in found)))
    if not points:
        raise Bad("no row has a figure of Linux to draw a ratio to")
    script = HEAD.format(width=1100, height=560, font=10, out=out)
    script += block("d", points)
    script += ('set title "Ours to Linux, each row (lower is better)"\n'
               "set logscale y\nset xtics rotate by 60 right\n"
               "set bmargin 15\nset grid xtics\nset pointsize 0.6\n"
               'set xrange [-1:*]\nset arrow from graph 0, first 1 to '
               'graph 1, first 1 nohead lc rgb "black"\nplot ')
    return script + ", ".join(
        f'$d using 0:{i}:xtic(1) with points pt {2 * i + 1} lc {i - 1} '
        f'title "{arch}"' for i, arch in enumerate(arches, 2)) + "\n"


def discarding(out, arches, ours):
    """A script: a point a kind of discard (its shape) and architecture (its
    colour)."""
    kinds = [match[1] for name in ours[arches[0]].median
             if (match := REBUILD.match(name))]
    if not kinds:
        raise Bad(f"{os.path.basename(out)}: no discard was measured; leave "
                  "the groups away")
    script = HEAD.format(width=720, height=420, font=12, out=out)
    script += ('set title "64 MiB resident: what a discard gives, and what '
               'it costs"\nset xlabel "KiB of page tables saved (1: nothing)"'
               '\nset ylabel "instructions to bring back what was '
               'forgotten"\nset logscale xy\nset xrange [0.5:*]\n')
    parts = []
    for k, kind in enumerate(kinds, 1):
        parts.append(f'NaN with points pt {k} lc rgb "black" title "{kind}"')
        for i, arch in enumerate(arches, 1):
            x = ours[arch].value(f"saved_{kind}")
            y = ours[arch].value(f"rebuild_{kind}")
            if x is not None and y is not None:
                script += block(f"d{i}_{k}", [(max(x, 1), max(y, 1))])
                parts.append(f"$d{i}_{k} using 1:2 with points pt {k} lc {i} "
                             "notitle")
    parts += [f'NaN with lines lw 4 lc {i} title "{arch}"'
              for i, arch in enumerate(arches, 1)]
    return script + "plot " + ", \\\n  ".join(parts) + "\n"


def scripts(ours, theirs, rows):
    """{file name: gnuplot script}"""
    arches = list(ours)
    out = {"ratio.svg": ratios(os.path.join(PLOTS, "ratio.svg"), arches,
                               rows, ours, theirs),
           "discard.svg": discarding(os.path.join(PLOTS, "discard.svg"),
                                     arches, ours)}
    for name, pattern, title, xlabel, logs in (
            ("fork.svg", FORK, "fork + exit + wait", "MiB resident", "y"),
            ("chain.svg", CHAIN, "first read of a page that nobody has "
             "written since generation 0", "forks in a line", "xy"),
            ("lookup.svg", LOOKUP, "zero-fill fault in a random mapping",
             "mappings", "x")):
        lines = []
        for arch in arches:
            for who, figures in (("ours", ours), ("Linux", theirs)):
                if points := series(figures[arch], pattern):
                    lines.append((f"{arch}, {who}", points))
        if not lines:
            raise Bad(f"{name}: nothing was measured for it; leave the "
                      "groups away")
        out[name] = curves(os.path.join(PLOTS, name), title, xlabel, lines,
                           logs)
    return out


def draw(ours, theirs, rows):
    os.makedirs(PLOTS, exist_ok=True)
    for name, script in scripts(ours, theirs, rows).items():
        done = subprocess.run([shutil.which("gnuplot") or "gnuplot"],
                              input=script, capture_output=True, text=True)
        if done.returncode != 0:
            error = done.stderr.strip().splitlines() or ["it failed"]
            raise Bad(f"gnuplot {name}: {error[-1]}")
        say(f"drew {os.path.relpath(os.path.join(PLOTS, name))}")
