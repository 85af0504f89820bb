# SPDX-License-Identifier: BSD-2-Clause
"""Limits of the release kernel, for CTest: how long it boots, how large it is,
what it takes.  The figures are counts and do not vary.

    bench_test.py --arch A
"""

import argparse
import os
import sys
import tempfile

import bench
import bench_rows
import ktap
import machine
from packages import ROOT


def cases(arch, figures):
    """{case: problems}: each row of the groups boot and sizes that has an
    aim."""
    found = {}
    for row in bench_rows.read_rows():
        if row.group not in bench.OURS or not row.aim:
            continue
        value, unit = figures.median.get(row.name, (None, ""))
        goal = row.goal(arch, figures)
        problems = []
        if value is None:
            problems = ["not measured", *figures.failures]
        elif value > goal:
            problems = [f"{bench_rows.number(value)} {unit}; at most "
                        f"{bench_rows.number(goal)} are allowed"]
        else:
            print(f"# {row.name}: {bench_rows.number(value)} {unit}")
        found[row.name] = problems
    return found


def main(argv):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("-k", dest="pattern")
    p.add_argument("--seed")
    p.add_argument("--long", action="store_true")
    args = p.parse_args(argv)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        figures = bench.measure(args.arch, bench.OURS, directory,
                                f"bench-test-{os.getpid()}")
    found = cases(args.arch, figures)
    printer = ktap.Printer(list(found), args.pattern)
    for name in printer.names:
        printer.result(name, found[name])
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
