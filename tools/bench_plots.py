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
HEAD = """\
set terminal svg size {width},{height} font "sans,{font}" background "white"
set output "{out}"
set grid ytics lc rgb "#dddddd"
set key top left
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


def curves(out, title, xlabel, lines, xlog):
    """A script: lines is [(its title, points)]."""
    script = HEAD.format(width=720, height=420, font=12, out=out)
    script += (f'set title "{title}"\nset xlabel "{xlabel}"\n'
               'set ylabel "guest instructions"\nset logscale y\n'
               'set format y "10^{%T}"\n')
    if xlog:
        script += "set logscale x\n"
    parts = []
    for i, (name, points) in enumerate(lines):
        script += block(f"d{i}", points)
        dashes = 2 if name.endswith("Linux") else 1
        parts.append(f'$d{i} using 1:2 with linespoints lc {i // 2 + 1} '
                     f'pt {5 + 2 * (i % 2)} dt {dashes} title "{name}"')
    return script + "plot " + ", \\\n  ".join(parts) + "\n"


def ratios(out, arches, rows, ours, theirs):
    """A script: a group of bars a row."""
    points = []
    for row in rows:
        found = [bench_rows.ratio(ours[arch].value(row.name),
                                  theirs[arch].value(row.name))
                 for arch in arches]
        if any(found):
            name = row.name.replace("_", "\\\\_")
            points.append((f'"{name}"', *(
                "NaN" if value is None else f"{value:.5f}"
                for value in found)))
    if not points:
        raise Bad("no row has a figure of Linux to draw a ratio to")
    script = HEAD.format(width=1100, height=560, font=10, out=out)
    script += block("d", points)
    script += ('set title "Instructions, ours to Linux\'s (lower is '
               'better)"\nset style data histogram\n'
               "set style histogram clustered gap 1\n"
               "set style fill solid 0.9\nset logscale y\n"
               "set xtics rotate by 60 right\nset bmargin 15\n"
               "set key top right\nset arrow from graph 0, first 1 to "
               'graph 1, first 1 nohead lc rgb "black"\n'
               "set yrange [0.0005:2]\nplot ")
    return script + ", ".join(
        f'$d using {i}:xtic(1) title "{arch}"'
        for i, arch in enumerate(arches, 2)) + "\n"


def scripts(ours, theirs, rows):
    """{file name: gnuplot script}"""
    arches = list(ours)
    out = {"ratio.svg": ratios(os.path.join(PLOTS, "ratio.svg"), arches,
                               rows, ours, theirs)}
    for name, pattern, title, xlabel, xlog in (
            ("fork.svg", FORK, "fork + exit + wait", "MiB resident", False),
            ("chain.svg", CHAIN, "first read of a page that nobody has "
             "written since generation 0", "forks in a line", True),
            ("lookup.svg", LOOKUP, "zero-fill fault in a random mapping",
             "mappings", True)):
        lines = []
        for arch in arches:
            for who, figures in (("ours", ours), ("Linux", theirs)):
                if points := series(figures[arch], pattern):
                    lines.append((f"{arch}, {who}", points))
        if not lines:
            raise Bad(f"{name}: nothing was measured for it; leave the "
                      "groups away")
        out[name] = curves(os.path.join(PLOTS, name), title, xlabel, lines,
                           xlog)
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
