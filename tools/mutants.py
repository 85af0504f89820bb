# SPDX-License-Identifier: BSD-2-Clause
"""./pal mutants: do the tests find real bugs?

mi/vm_mutant.h lists the bugs, tests/mutants.h what is likely to find each.
On the simulated MMU a mutant is a subtest of t_mutants, which tries one
scenario after the other.  In QEMU it is an option of the test kernel, and
the scenarios are what tests/kernel and tests/user have; the likely one comes
first.  A mutant is dead when a scenario fails that passes without it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass

import build
import machine
import packages
from packages import ROOT
from usage import Parser, Usage, check_output, positive

KILLED, SURVIVED, HIDDEN = "killed", "SURVIVED", "hidden"
NONE = "none"

# In a booted kernel, in this order after the likely one.
KERNEL_SCENARIOS = (
    "k_contract", "u_revoke", "u_mach", "u_memory", "u_process",
    "u_isolation", "k_alloc", "k_protect", "k_thread", "k_usercopy")
BOOT_SECONDS = 60
SIM_SECONDS = 240

DOCUMENT = "docs/testing.md"
TABLE_BEGIN = "<!-- mutants: made by tools/mutants.py --write -->"
TABLE_END = "<!-- end of mutants -->"


@dataclass(frozen=True)
class Mutant:
    id: str                 # as in C
    name: str               # as chosen
    text: str               # what is wrong
    sim: str                # the likely scenario on the simulated MMU
    kernel: dict            # arch -> the same in a booted kernel
    hidden: dict            # arch -> why nothing can find it there


@dataclass
class Result:
    mutant: str
    where: str              # sim-<machine> or qemu-<arch>
    verdict: str
    by: str                 # the scenario; hidden: why
    seconds: float
    reason: str = ""


def read(name):
    with open(os.path.join(ROOT, name)) as file:
        return file.read()


def macro(text, name):
    """The lines of a macro, continued by backslashes, as one."""
    start = re.search(rf"#define {name}\(M\)", text).end()
    end = re.compile(r"(?<!\\)\n").search(text, start).end()
    return re.sub(r"/\*.*?\*/", " ", text[start:end].replace("\\\n", " "))


STRING = r'"((?:[^"\\]|\\.)*)"'
CALL = r"(?:%s|HIDDEN\((\w+)\))" % STRING


def catalogue():
    """{name: Mutant}, in the order of vm_mutant.h."""
    hints = read("tests/mutants.h")
    why = {match[1]: "".join(re.findall(STRING, match[2]))
           for match in re.finditer(r'^#define (\w+) +("(?:[^\\\n]|\\\n)*)',
                                    hints, re.M)}
    likely = {match[1]: match for match in re.finditer(
        rf"M\((\w+),\s*{STRING},\s*{CALL}\)",
        macro(hints, "MUTANT_KILLERS"))}
    special = {(match[1], match[2]): match for match in re.finditer(
        rf"M\((\w+),\s*(\w+),\s*{CALL}\)",
        macro(hints, "MUTANT_KILLERS_ON"))}
    found = {}
    for match in re.finditer(rf"M\((\w+),\s*{STRING},\s*{STRING}\)",
                             macro(read("mi/vm_mutant.h"), "VM_MUTANTS")):
        hint = likely[match[1]]
        kernel, hidden = {}, {}
        for arch in machine.ARCHES:
            own = special.get((match[1], arch))
            kernel[arch] = own[3] if own else hint[3]
            reason = own[4] if own else hint[4]
            if reason:
                hidden[arch] = why[reason]
        found[match[2]] = Mutant(match[1], match[2], match[3], hint[2],
                                 kernel, hidden)
    return found


# ---- running --------------------------------------------------------------

def run_limited(argv, seconds):
    """(exit status or None, output)"""
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as process:
        try:
            out, _ = process.communicate(timeout=seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, _ = process.communicate()
            status = None
    return status, out.decode(errors="replace")


def sim_program(name):
    return os.path.join(machine.BUILD, "host", "model", name, "debug",
                        "t_mutants")


FOUND = re.compile(r"# found: (\S+) by (\S+) seed \d+ in (\S+) s: (.*)")


def on_simulator(name, mutant):
    start = time.monotonic()
    subtest = mutant.id if mutant else "unmutated"
    status, out = run_limited([sim_program(name), "-k", subtest],
                              SIM_SECONDS)
    seconds = time.monotonic() - start
    where = f"sim-{name}"
    if mutant is None:
        verdict = SURVIVED if status == 0 else KILLED
        return Result(NONE, where, verdict, "all scenarios", seconds,
                      "" if status == 0 else out.strip()[-300:])
    for found in FOUND.finditer(out):
        if found[1] == mutant.name:
            return Result(mutant.name, where, KILLED, found[2],
                          float(found[3]), found[4])
    return Result(mutant.name, where, SURVIVED, "all scenarios", seconds)


def boot_command(arch, mutant, scenario):
    argv = [sys.executable, "tools/kernel_test.py", "--arch", arch,
            "--options", f"mutant={mutant.name if mutant else NONE}"]
    program, _, case = scenario.partition(":")
    if program.startswith("k_"):
        return argv + ["--cases", program]
    argv += ["--kernel", "test", machine.user_path(arch, program)]
    return argv + (["-k", case] if case else [])


OK = re.compile(r"^ok \d+ (?:- )?(\S+)", re.M)
EMPTY = re.compile(r"^1\.\.0$", re.M)
NOT_OK = re.compile(r"^not ok \d+ (?:- )?(\S+)", re.M)
SAID = re.compile(r"^# ?(.*(?:panic\b|not true|assertion|not given back)"
                  r".*)", re.M)


def boot(arch, mutant, scenario, cases=None):
    """None: it passed.  Else (what failed, why).  cases: those that there
    are, to be added to."""
    status, out = run_limited(boot_command(arch, mutant, scenario),
                              BOOT_SECONDS)
    if cases is not None:
        program = scenario.partition(":")[0]
        cases.update(name if name.startswith("k_") else f"{program}:{name}"
                     for name in OK.findall(out))
    if status == 0:
        return None
    if EMPTY.search(out):
        # Not the mutant's doing: the hint names no case.
        return None
    bad, said = NOT_OK.search(out), SAID.search(out)
    what = scenario
    if bad and scenario.startswith("k_"):
        what = bad[1]
    elif bad:
        what = f"{scenario.partition(':')[0]}:{bad[1]}"
    if said:
        return what, said[1].strip()
    return what, "not done in time" if status is None else f"status {status}"


def in_kernel(arch, mutant, scenarios, cases=None):
    """Until one fails; scenarios: the likely ones first."""
    where = f"qemu-{arch}"
    name = mutant.name if mutant else NONE
    passed = "all scenarios" if len(scenarios) > 1 else scenarios[0]
    if mutant and arch in mutant.hidden:
        return Result(name, where, HIDDEN, mutant.hidden[arch], 0.0)
    begin = time.monotonic()
    for scenario in filter(None, scenarios):
        start = time.monotonic()
        if failed := boot(arch, mutant, scenario, cases):
            return Result(name, where, KILLED, failed[0],
                          time.monotonic() - start, failed[1])
    return Result(name, where, SURVIVED, passed, time.monotonic() - begin)


def tasks(mutants, simulators, arches, cases):
    """Functions, each of which gives one Result."""
    for name in simulators:
        for mutant in [None, *mutants]:
            yield lambda n=name, m=mutant: on_simulator(n, m)
    for arch in arches:
        # Without a mutant all scenarios live, each in a task of its own.
        for scenario in KERNEL_SCENARIOS:
            yield lambda a=arch, s=scenario: in_kernel(a, None, [s],
                                                       cases)
        for mutant in mutants:
            order = [mutant.kernel[arch], *KERNEL_SCENARIOS]
            yield lambda a=arch, m=mutant, o=order: in_kernel(a, m, o)


class Printer:
    """A line for each result; the summary; the exit status."""

    def __init__(self, quiet):
        self.results = []
        self.quiet = quiet
        self.lock = threading.Lock()

    def bad(self, result):
        if result.mutant == NONE:
            return result.verdict != SURVIVED
        return result.verdict == SURVIVED

    def take(self, result):
        with self.lock:
            self.results.append(result)
            if self.quiet:
                return
            if result.mutant == NONE:
                if self.bad(result):
                    print(f"FAILED   without a mutant on {result.where}: "
                          f"{result.by}: {result.reason}", flush=True)
                return
            print(f"{result.verdict:8} {result.mutant:22} "
                  f"{result.where:12} {result.by}" +
                  (f", {result.seconds:.2f} s" if result.seconds else "") +
                  (f": {result.reason[:90]}" if result.reason else ""),
                  flush=True)

    def status(self):
        return 1 if any(map(self.bad, self.results)) else 0

    def summary(self, seconds):
        wheres = sorted({result.where for result in self.results})
        for where in wheres:
            here = [r for r in self.results if r.where == where]
            count = {verdict: sum(r.verdict == verdict and r.mutant != NONE
                                  for r in here)
                     for verdict in (KILLED, SURVIVED, HIDDEN)}
            alive = all(not self.bad(r) for r in here if r.mutant == NONE)
            print(f"{where:12} {count[KILLED]} killed, "
                  f"{count[SURVIVED]} survived, {count[HIDDEN]} hidden; "
                  f"without a mutant {'all live' if alive else 'FAILED'}")
        print(f"mutants: {'FAILED' if self.status() else 'all dead'} in "
              f"{seconds:.0f} s")

    def ktap(self):
        """The same as test cases; what is hidden was not run."""
        mine = [r for r in self.results if r.verdict != HIDDEN]
        print(f"KTAP version 1\n1..{len(mine)}")
        for number, r in enumerate(mine, 1):
            print(f"# {r.verdict} by {r.by}: {r.reason}")
            word = "not ok" if self.bad(r) else "ok"
            name = f"without: {r.by}" if r.mutant == NONE else r.mutant
            print(f"{word} {number} {name}")


def run(mutants, simulators, arches, jobs, quiet=False):
    """A Printer with all results."""
    printer = Printer(quiet)
    cases = set()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(task)
                   for task in tasks(mutants, simulators, arches, cases)]
        try:
            for future in as_completed(futures):
                printer.take(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for mutant in mutants:
        for arch in arches:
            hint = mutant.kernel[arch]
            if hint and hint not in cases:
                printer.take(Result(NONE, f"qemu-{arch}", KILLED,
                                    "tests/mutants.h", 0.0,
                                    f"{mutant.name}: no case {hint}"))
    return printer


# ---- the table of docs/testing.md ------------------------------------------

def table(mutants):
    lines = ["| mutant | what is wrong | found by, simulated | "
             "found by, in QEMU |", "|---|---|---|---|"]
    for mutant in mutants.values():
        cells = {}
        for arch in machine.ARCHES:
            text = (f"hidden: {mutant.hidden[arch]}" if arch in mutant.hidden
                    else f"`{mutant.kernel[arch]}`")
            cells.setdefault(text, []).append(arch)
        kernel = "; ".join(
            text if len(cells) == 1 else f"{', '.join(arches)}: {text}"
            for text, arches in cells.items())
        lines.append(f"| `{mutant.name}` | {mutant.text} | `{mutant.sim}` | "
                     f"{kernel} |")
    return "\n".join(lines)


def documented(mutants):
    """docs/testing.md as it is, and with the table of now."""
    text = read(DOCUMENT)
    head, _, rest = text.partition(TABLE_BEGIN)
    tail = rest.partition(TABLE_END)[2]
    return text, "\n".join([head + TABLE_BEGIN, table(mutants),
                            TABLE_END + tail])


# ---- command lines ----------------------------------------------------------

def chosen(mutants, names):
    for name in names:
        if name not in mutants:
            raise Usage(f"no mutant is called '{name}'; mi/vm_mutant.h "
                        "lists them")
    return [m for m in mutants.values() if not names or m.name in names]


def command_mutants(arguments):
    parser = Parser(prog="pal mutants", description="Run the tests against "
                    "each seeded bug; exit status 1 if one survives.")
    parser.add_argument("--arch", choices=(*machine.ARCHES, "all", "sim"),
                        default="all", help="whose tables; sim: all three, "
                        "on the simulated MMU only")
    parser.add_argument("--qemu", action="store_true",
                        help="in the booted kernels only")
    parser.add_argument("--json", metavar="FILE", help="the results")
    parser.add_argument("-j", metavar="N", dest="jobs", type=positive,
                        default=os.cpu_count())
    parser.add_argument("--no-install", action="store_true",
                        help="complain about missing packages")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args(arguments)
    if args.qemu and args.arch == "sim":
        raise Usage("--qemu and --arch sim exclude each other; give one")
    mutants = chosen(catalogue(), args.names)
    check_output("--json", args.json)
    arches = machine.ARCHES if args.arch in ("all", "sim") else (args.arch,)
    simulators = () if args.qemu else arches
    booted = () if args.arch == "sim" else arches
    for arch in booted:
        machine.check_qemu(arch)
    try:
        make(simulators, booted, args.no_install)
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return 1
    start = time.monotonic()
    printer = run(mutants, simulators, booted, args.jobs)
    printer.summary(time.monotonic() - start)
    if args.json:
        with open(args.json, "w") as file:
            json.dump([asdict(r) for r in printer.results], file, indent=1)
            file.write("\n")
    return printer.status()


def make(simulators, booted, no_install):
    with build.build_lock():
        if no_install:
            packages.check()
        else:
            packages.install()
        build.configure()
        build.build([f"model/{name}/debug/t_mutants" for name in simulators]
                    + [f"user-{arch}-test" for arch in booted], None)


def main(argv):
    """For CTest: the mutants of one booted kernel as KTAP; the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--arch", choices=machine.ARCHES)
    parser.add_argument("--write", action="store_true",
                        help=f"make the table in {DOCUMENT}")
    parser.add_argument("--check", action="store_true",
                        help="is it as --write would make it?")
    parser.add_argument("-k", dest="pattern", default="")
    parser.add_argument("--seed")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    mutants = catalogue()
    old, new = documented(mutants)
    if args.write:
        with open(os.path.join(ROOT, DOCUMENT), "w") as file:
            file.write(new)
        return 0
    if args.check:
        print("KTAP version 1\n1..1")
        if old != new:
            print(f"# {DOCUMENT} is old: run tools/mutants.py --write")
        print(f"{'ok' if old == new else 'not ok'} 1 table")
        return 0 if old == new else 1
    if not args.arch:
        parser.error("give --arch, --write or --check")
    os.chdir(ROOT)
    picked = [m for m in mutants.values() if args.pattern in m.name]
    printer = run(picked, (), (args.arch,), 1, quiet=True)
    printer.ktap()
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
