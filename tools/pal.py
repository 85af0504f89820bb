# SPDX-License-Identifier: BSD-2-Clause
"""pal - the front door of Palimpsest.  Started by ./pal."""

import fnmatch
import os
import signal
import sys

import bench
import boot
import build
import count
import debug
import machine
import packages
import report
import run
import stress
from packages import ROOT
from runner import Runner
from usage import Parser, Usage, positive

JUNIT = os.path.join(ROOT, "build", "junit.xml")

HELP = """\
usage: ./pal COMMAND [OPTIONS]

  boot    boot the three kernels side by side and run the tour on each
  run     run a static Linux program, or a shell, on one of the kernels
  debug   run a program on one of the kernels under gdb
  test    build everything, run all tests, print one summary
  stress  throw page tables away under load, and prove that nothing is lost
  bench   what operations cost in guest instructions, beside Linux
  count   count instructions per operation of the bench programs
  setup   install what the build needs (Debian packages)
  help    this text; ./pal COMMAND --help has the options

./pal test -k PATTERN runs the runs whose name matches (./pal test --list
names them: suite/machine/flavour/program[.name]); a whole name, the first
parts of one, a part of one or a wildcard.  RUN:CASE runs only the cases of
it that match CASE.
"""


def select(runs, pattern):
    """The runs that a pattern without its :CASE part means.  The narrowest
    reading that matches anything wins, so that a printed name is exact."""
    readings = [
        lambda name: name == pattern,
        lambda name: name.startswith(pattern.rstrip("/") + "/"),
        lambda name: pattern in name,
        lambda name: fnmatch.fnmatchcase(name, f"*{pattern}*"),
    ]
    for matches in readings:
        if chosen := [run for run in runs if matches(run.name)]:
            return chosen
    raise Usage(f"-k {pattern} matches no run; ./pal test --list names "
                "them, RUN:CASE selects inside one")


def prepare(no_install):
    """Tools present, tree configured: the runs that there are."""
    if no_install:
        packages.check()
    else:
        packages.install()
    if not os.path.exists(build.BUILD):
        machine.check_disk(build.TREE_DISK)
    build.configure()
    return build.runs()


def command_test(arguments):
    parser = Parser(prog="pal test", description="Build and run the tests.")
    parser.add_argument("-k", metavar="PATTERN", dest="pattern",
                        help="only the runs, or RUN:CASE, that match")
    parser.add_argument("-j", metavar="N", dest="jobs", type=positive,
                        default=os.cpu_count(),
                        help="run N programs at a time (default: CPUs)")
    parser.add_argument("--seed", metavar="N", type=int,
                        help="seed for everything that is random")
    parser.add_argument("--long", action="store_true",
                        help="long soaks and fuzzing")
    parser.add_argument("--list", action="store_true",
                        help="name the runs and stop")
    parser.add_argument("--no-install", action="store_true",
                        help="complain about missing packages, install none")
    args = parser.parse_args(arguments)
    pattern, _, subtest = (args.pattern or "").partition(":")

    try:
        with build.build_lock():
            runs = prepare(args.no_install)
            if args.pattern is not None:
                runs = select(runs, pattern)
            if args.list:
                print("\n".join(run.name for run in runs))
                return 0
            targets = sorted({run.target for run in runs} - {""})
            if args.pattern is None or targets:
                packages.say("building")
                build.build(targets if args.pattern is not None else [],
                            args.jobs)
        # CTest knows a program's command line for sure once it is built.
        names = {run.name for run in runs}
        runs = [run for run in build.runs() if run.name in names]
    except build.BuildFailed as failed:
        print(f"\nFAILED build: {failed}")
        report.write_build_failure(JUNIT, str(failed))
        print(report.count_line(0, 1, 0))
        return 1

    runner = Runner(args.jobs, args.seed, args.long, subtest)
    results = runner.run_all(runs)
    if subtest and not any(result.cases for result in results):
        raise Usage(f"-k {args.pattern}: no case of these runs matches "
                    f"'{subtest}'")
    report.print_cases(results, runner.reproduce)
    report.print_table(results)
    report.write_junit(JUNIT, results, runner.reproduce)
    passed, failed, skipped = report.totals(results)
    print(f"\n{report.count_line(passed, failed, skipped)}")
    return 1 if failed else 0


def command_count(arguments):
    parser = Parser(prog="pal count", description="Instructions per "
                    "operation, counted by callgrind in release builds.")
    parser.add_argument("-k", metavar="PATTERN", dest="pattern", default="",
                        help="only cases whose name contains PATTERN")
    parser.add_argument("--machine", default="x86_64",
                        help="whose page tables (default: x86_64)")
    parser.add_argument("--ops", metavar="N", type=positive, default=1000,
                        help="operations per case (default: 1000)")
    parser.add_argument("--runs", metavar="N", type=positive, default=1,
                        help="runs per case; the median is shown")
    parser.add_argument("--functions", metavar="CASE",
                        help="the top functions of one case")
    parser.add_argument("--csv", action="store_true",
                        help="platform,name,median,unit")
    parser.add_argument("--no-install", action="store_true")
    args = parser.parse_args(arguments)
    try:
        with build.build_lock():
            runs = prepare(args.no_install)
            prefix = f"count/{args.machine}/"
            targets = [run.target for run in runs
                       if run.name.startswith(prefix)]
            if not targets:
                raise Usage(f"no bench program for machine {args.machine}; "
                            "bench/b_*.c name theirs in a pal line")
            build.build(targets, None)
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return 1
    programs = [os.path.join(build.BUILD, target) for target in targets]
    try:
        return count.show(programs, args)
    except count.NoCase as error:
        raise Usage(str(error)) from error


def command_setup(arguments):
    parser = Parser(prog="pal setup", description="Install what is missing.")
    parser.parse_args(arguments)
    packages.install()
    print("pal: all that the build needs is installed")
    return 0


def command_help(_arguments):
    print(HELP, end="")
    return 0


COMMANDS = {"test": command_test, "count": command_count,
            "setup": command_setup, "boot": boot.command_boot,
            "run": run.command_run, "debug": debug.command_debug,
            "bench": bench.command_bench,
            "stress": stress.command_stress,
            "help": command_help, "--help": command_help, "-h": command_help}


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main(argv):
    # Stopped by a CI, too, take the test programs along.
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if not argv:
            raise Usage("which command? boot, run, debug, test, bench, "
                        "count, setup or help")
        if argv[0] not in COMMANDS:
            raise Usage(f"no command '{argv[0]}'; ./pal help lists them")
        return COMMANDS[argv[0]](argv[1:])
    except (Usage, packages.Missing, machine.Bad) as error:
        print(f"pal: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npal: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
