# SPDX-License-Identifier: BSD-2-Clause
"""Instructions per operation, counted by callgrind.

A bench program prints its cases, one on a line, for --list; run as
"b_x CASE N" it sets up, then does N operations between
CALLGRIND_START_INSTRUMENTATION and CALLGRIND_STOP_INSTRUMENTATION
(<valgrind/callgrind.h>).  What is counted depends on the program alone, so
two runs give the same number on any x86 machine.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

import ktap

TOP_FUNCTIONS = 25


class NoCase(Exception):
    """Asked for a case that no program has."""


class CountFailed(Exception):
    """A bench program or valgrind failed; the text says how."""


def cases(program):
    done = subprocess.run([program, "--list"], capture_output=True,
                          text=True)
    names = done.stdout.split()
    if done.returncode != 0 or not names:
        raise CountFailed(f"{program} --list: exit status "
                          f"{done.returncode}, {len(names)} cases: "
                          f"{done.stderr.strip()}")
    return names


def callgrind(program, case, operations, out):
    """Run one case under callgrind; the total of instructions."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", "-q",
         f"--callgrind-out-file={out}", program, case, str(operations)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise CountFailed(f"{program} {case} {operations}: "
                          + ktap.describe_exit(done.returncode) + ": "
                          + (done.stderr + done.stdout).strip()[-2000:])
    with open(out) as file:
        # Not "summary:", which STOP_INSTRUMENTATION leaves at 0.
        total = re.search(r"^totals: (\d+)", file.read(), re.M)
    if not total or int(total[1]) == 0:
        raise CountFailed(f"{program} {case}: nothing was counted; are the "
                          "operations between CALLGRIND_START_"
                          "INSTRUMENTATION and CALLGRIND_STOP_"
                          "INSTRUMENTATION?")
    return int(total[1])


def per_operation(program, case, operations, runs=1):
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "callgrind.out")
        return statistics.median(
            callgrind(program, case, operations, out) / operations
            for _ in range(runs))


def functions(program, case, operations):
    """Rows (instructions per operation, function) of one case."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "callgrind.out")
        total = callgrind(program, case, operations, out)
        text = subprocess.run(
            ["callgrind_annotate", "--inclusive=no", "--auto=no",
             "--threshold=100", out], capture_output=True, text=True,
            check=True).stdout
    rows = [(total / operations, "total")]
    for line in text.splitlines():
        row = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S.*)", line)
        if row and not row[2].startswith("PROGRAM TOTALS"):
            # "path/file.c:function [object]"
            name = re.sub(r"\s+\[[^]]*\]$", "", row[2])
            rows.append((int(row[1].replace(",", "")) / operations,
                         os.path.basename(name)))
    return rows[:TOP_FUNCTIONS + 1]


def show(programs, args):
    """./pal count, once the programs are built."""
    try:
        chosen = [(program, case) for program in programs
                  for case in cases(program)]
        if args.functions:
            chosen = [one for one in chosen if one[1] == args.functions]
        chosen = [one for one in chosen if args.pattern in one[1]]
        if not chosen:
            raise NoCase("no bench case matches "
                         f"'{args.functions or args.pattern}'")
        if args.functions:
            for program, case in chosen:
                for instructions, name in functions(program, case,
                                                    args.ops):
                    print(f"{instructions:12.1f}  {name}")
            return 0
        width = max(len(case) for _, case in chosen)
        print("platform,name,median,unit" if args.csv
              else f"{'case':{width}}  instructions/op")
        for program, case in chosen:
            value = per_operation(program, case, args.ops, args.runs)
            print(f"host,{case},{value:.1f},instructions" if args.csv
                  else f"{case:{width}}  {value:15.1f}", flush=True)
        return 0
    except CountFailed as failed:
        print(f"pal: {failed}", file=sys.stderr)
        return 1


def smoke(argv):
    """The run "count": every case of a program can be counted."""
    parser = argparse.ArgumentParser(description=smoke.__doc__)
    parser.add_argument("--smoke", metavar="PROGRAM", required=True)
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("--seed")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    try:
        names = cases(args.smoke)
    except CountFailed as failed:
        print(f"# {failed}")
        return 1
    printer = ktap.Printer(names, args.pattern)
    for name in printer.names:
        try:
            value = per_operation(args.smoke, name, 16)
            print(f"# {name}: {value:.1f} instructions/op")
            printer.result(name, [])
        except CountFailed as failed:
            printer.result(name, str(failed).splitlines())
    return printer.status()


if __name__ == "__main__":
    sys.exit(smoke(sys.argv[1:]))
