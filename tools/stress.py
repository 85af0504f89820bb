# SPDX-License-Identifier: BSD-2-Clause
"""./pal stress: throw page tables away under load, and lose nothing."""

import argparse
import os
import shlex
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import build
import debug
import machine
import packages
import stress_report
import stress_shrink
import stress_sweep
from run import memory_size
from stress_run import (AGAINST, CHECK, KEPT_OPS, OPS, SIMS, STORMS, Job,
                        Run, rounded, target)
from usage import Parser, Usage, check_output, positive

SECONDS = 20                    # if nothing says how long
EPOCHS_MAX = (1 << 28) - 16
RATE_MAX = 1000000
BAD_USE = "exit status 2"
SEED_MAX = (1 << 64) - 1
STRESS_HELP = """\
Tasks write, share, copy, fork, map, move and protect memory in which each
page says what it must hold, while page tables are thrown away.  The kernels
run in QEMU, the simulators (sim-ARCH) with four CPUs in this computer.

machines   x86_64 aarch64 riscv64; sim-x86_64 ... sim-soft sim-hash; kernels:
           the first three; sim: the simulators of these; all: these six.
           Several with commas
storms     page range table pmap all budget idle format asid split audit;
           mixed: all of these; never: none of them; delay: invalidate as late
           as is allowed (simulators, test kernels).  Several with commas

One seed has the same final contents of memory, in every epoch, on every
machine, with any storm and with none: all runs are compared, and one without
storms is added for that.  docs/stress.md has more, several computers too.

exit status: 0 if nothing was lost, 1 if something was, 2 for bad use.
"""


def number(low, high):
    def parse(text):
        value = int(text, 0)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"{text} is not from {low} to {high}")
        return value
    parse.__name__ = "number"
    return parse


def parser():
    p = Parser(prog="pal stress", epilog=STRESS_HELP,
               formatter_class=argparse.RawDescriptionHelpFormatter)
    add = p.add_argument
    add("--arch", metavar="LIST", default="all",
        help="machines (default: all)")
    add("--seed", metavar="S", type=number(0, SEED_MAX), default=1,
        help="the first seed (default: 1)")
    add("--seconds", metavar="T", type=number(1, 10**7),
        help=f"how long each run takes (default: {SECONDS})")
    add("--ops", metavar="N", type=number(1, 10**13),
        help="instead: operations of each run")
    add("--epochs", metavar="N", type=number(1, EPOCHS_MAX),
        help=f"instead: epochs, rounded up to a multiple of {CHECK}")
    add("--storm", metavar="LIST", default="mixed",
        help="what is thrown away (default: mixed)")
    add("--rate", metavar="N", type=number(0, RATE_MAX), default=20000,
        help="discards a second (default: 20000; 0: all that it can)")
    add("--budget", metavar="N", type=number(1, 1 << 40), default=0,
        help="a ceiling for page tables, in tables")
    add("--jobs", metavar="N", type=positive,
        help="N seeds, S to S+N-1, as many runs at a time (default: one "
        "seed, a run on each core)")
    add("--tasks", metavar="N", type=number(1, 32), default=8)
    add("--pages", metavar="N", type=number(16, 256), default=32,
        help="of each kind of memory, a multiple of 16 (default: 32)")
    add("--writes", metavar="N", type=number(1, 10**6), default=24,
        help="changes of contents in a task and epoch (default: 24)")
    add("--visits", metavar="N", type=number(0, 10**8), default=400,
        help="other operations in a task and epoch (default: 400)")
    add("--calm", metavar="N", type=number(1, 10**6), default=1,
        help="of these, only one in N does more than look (default: 1)")
    add("--only", metavar="LIST", help="operations: " + " ".join(OPS))
    add("--kernel", choices=("debug", "test", "release"),
        help="flavour of kernels (default: release; test with delay or "
        "--mutant)")
    add("--sim", choices=("opt", "debug", "tsan"), default="opt",
        help="flavour of simulators (default: opt)")
    add("--fibers", action="store_true",
        help="simulators: on the seeded scheduler, so that a run repeats")
    add("--schedule", metavar="N", type=number(0, SEED_MAX), default=-1,
        help="another order of the same work (default: the seed)")
    add("--format", metavar="N", type=number(0, 63), default=-1,
        help="simulators: format of tables (default: as the seed says)")
    add("--mem", metavar="SIZE", type=memory_size, default=0,
        help="RAM of each machine (default: 256M; simulators 64M)")
    add("--option", metavar="K=V", action="append", default=[],
        help="an option for kernels, as page=65536")
    add("--mutant", metavar="NAME", default="",
        help="with this bug of mi/vm_mutant.h (test builds)")
    add("--no-reference", action="store_true",
        help="no run without storms beside them")
    add("--shrink", action="store_true",
        help="after a failure: look for a shorter run that fails")
    add("--record", metavar="DIR", help="kernels: keep the run for gdb; "
        "./pal debug --replay DIR")
    add("--replay", metavar="DIR", help="run nothing: gdb on a recorded run")
    add("--icount", action="store_true",
        help="kernels: count instructions; a second is 10^9 of them")
    add("--sweep", action="store_true",
        help="instead: progress at rising rates of discards")
    add("--json", metavar="FILE")
    add("--junit", metavar="FILE")
    add("--merge", metavar="FILE", nargs="+",
        help="run nothing: one report of the JSON of several computers")
    add("--no-build", action="store_true", help=argparse.SUPPRESS)
    add("--no-install", action="store_true",
        help="complain about missing packages, install none")
    return p


# ---- what is asked for -----------------------------------------------------

def places(text):
    groups = {"kernels": machine.ARCHES, "sim": SIMS[:3],
              "all": (*machine.ARCHES, *SIMS[:3])}
    chosen = []
    for name in text.split(","):
        group = groups.get(name) or ((name,) if name in
                                     (*machine.ARCHES, *SIMS) else None)
        if group is None:
            raise Usage(f"--arch {name}: no such machine; there are "
                        f"{' '.join((*machine.ARCHES, *SIMS))}, kernels, "
                        "sim, all")
        chosen += [place for place in group if place not in chosen]
    return chosen


def storms(text):
    names = []
    for name in text.split(","):
        if name == "mixed":
            names += STORMS
        elif name in STORMS or name in AGAINST:
            names.append(name)
        else:
            raise Usage(f"--storm {name}: no such storm; there are "
                        f"{' '.join((*STORMS, *AGAINST))}, mixed")
    if "never" in names:
        if set(names) - set(AGAINST):
            raise Usage("--storm never goes with no other but delay")
        names.remove("never")
    return tuple(dict.fromkeys(names))


def operations(text):
    if text is None:
        return OPS
    names = text.split(",")
    for name in names:
        if name not in OPS:
            raise Usage(f"--only {name}: no such operation; there are "
                        f"{' '.join(OPS)}")
    return tuple(op for op in OPS if op in names or op in KEPT_OPS)


def check_used(args, chosen):
    """What none of the machines looks at is a mistake."""
    for option, given, places_of, what in (
            ("--format", args.format >= 0, SIMS, "simulators"),
            ("--schedule", args.schedule >= 0, SIMS, "simulators"),
            ("--fibers", args.fibers, SIMS, "simulators"),
            ("--kernel", args.kernel, machine.ARCHES, "kernels"),
            ("--icount", args.icount, machine.ARCHES, "kernels"),
            ("--option", args.option, machine.ARCHES, "kernels")):
        if given and not set(chosen) & set(places_of):
            raise Usage(f"{option} is for {what}; --arch {args.arch} names "
                        "none")


def check(args, chosen, storm):
    if args.pages % 16:
        raise Usage(f"--pages {args.pages} is no multiple of 16")
    if args.record and (len(chosen) > 1 or chosen[0] in SIMS):
        raise Usage("--record takes one kernel; a simulator's run is "
                    "repeated by --fibers and its seed")
    if args.record and args.icount:
        raise Usage("--record counts instructions its own way; leave out "
                    "--icount")
    if args.record and (args.sweep or (args.jobs or 1) > 1):
        raise Usage("--record keeps one run; leave out --"
                    + ("sweep" if args.sweep else "jobs"))
    if args.sweep and not storm:
        raise Usage("--sweep needs something to be thrown away; give another "
                    "--storm")
    check_used(args, chosen)
    if args.seed + (args.jobs or 1) - 1 > SEED_MAX:
        raise Usage(f"--seed {args.seed} --jobs {args.jobs}: seeds end at "
                    f"{SEED_MAX}")
    if args.kernel in ("debug", "release") and (
            args.mutant or "delay" in storm):
        raise Usage(f"--kernel {args.kernel} has no test hooks; --mutant and "
                    "--storm delay need --kernel test")
    for place in chosen:
        if place in machine.ARCHES:
            machine.check_memory(place, args.mem or 256 << 20)
        elif args.mem and not 16 << 20 <= args.mem <= 4 << 30:
            raise Usage("--mem: a simulator has from 16M to 4G")


def make_jobs(args):
    chosen = places(args.arch)
    storm = storms(args.storm)
    check(args, chosen, storm)
    hooks = args.mutant or "delay" in storm
    job = Job(
        chosen[0], args.seed, storm=storm, rate=args.rate,
        budget=args.budget, tasks=args.tasks, pages=args.pages,
        writes=args.writes, visits=args.visits, calm=args.calm,
        only=operations(args.only), fibers=args.fibers,
        kernel=args.kernel or ("test" if hooks else "release"),
        schedule=args.schedule, flavour=args.sim, format=args.format,
        mem=args.mem,
        options=tuple(args.option), mutant=args.mutant, icount=args.icount,
        record=os.path.abspath(args.record) if args.record else "")
    epochs = args.epochs or (
        -(-args.ops // job.ops_per_epoch()) if args.ops else 0)
    if epochs > EPOCHS_MAX:
        raise Usage(f"--ops {args.ops} are more than {EPOCHS_MAX} epochs; "
                    "give more --visits")
    seconds = args.seconds or (0 if epochs else SECONDS)
    job = job.but(epochs=rounded(epochs), seconds=seconds)
    jobs = [job.but(place=place, seed=args.seed + i)
            for i in range(args.jobs or 1) for place in chosen]
    if storm and not args.no_reference and not args.mutant and \
            not args.record:
        jobs += [job.but(seed=args.seed + i, storm=(), budget=0)
                 for i in range(args.jobs or 1)]
    return jobs


def repeat(result):
    """The one command that does the same run."""
    job = result.job
    storm = ("mixed" if job.storm == STORMS else ",".join(job.storm) or
             "never")
    words = ["./pal", "stress", "--arch", job.place, "--seed", job.seed,
             "--epochs", rounded(max(1, result.epoch)), "--storm", storm,
             "--rate", job.rate]
    usual = Job(job.place)
    sims = ("format", "schedule") if job.is_sim else ()
    for name in ("budget", "tasks", "pages", "writes", "visits", "calm",
                 *sims, "mutant"):
        if getattr(job, name) != getattr(usual, name):
            words += [f"--{name}", getattr(job, name)]
    if job.only != OPS:
        words += ["--only", ",".join(job.only)]
    if job.mem:
        words += ["--mem", f"{job.mem >> 20}M"]
    if job.is_sim:
        words += ["--sim", job.flavour] if job.flavour != "opt" else []
        words += ["--fibers"] if job.fibers else []
    else:
        words += ["--kernel", job.kernel]
        for option in job.options:
            words += ["--option", option]
        words += ["--icount"] if job.icount else []
    return shlex.join(map(str, [*words, "--no-reference"]))


# ---- running ---------------------------------------------------------------

def build_all(jobs, no_install):
    arches = sorted({job.place for job in jobs if not job.is_sim})
    groups = ("build", *arches)
    if no_install:
        packages.check(groups)
    else:
        packages.install(groups)
    for arch in arches:
        machine.check_qemu(arch)
    packages.say("building")
    with build.build_lock():
        build.configure()
        build.build(sorted({name for job in jobs for name in target(job)}),
                    None)


class Show:
    """The progress line: in place on a terminal, else now and then."""

    def __init__(self, runs, seconds):
        self.runs = runs
        self.end = seconds
        self.started = time.monotonic()
        self.over = threading.Event()
        self.terminal = sys.stdout.isatty()
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def line(self):
        return stress_report.progress([r.result for r in self.runs],
                                      self.started, self.end)

    def loop(self):
        while not self.over.wait(1 if self.terminal else 10):
            line = self.line()
            if self.terminal:
                width = shutil.get_terminal_size().columns
                print(f"\r{line[:width - 1]:{width - 1}}", end="", flush=True)
            else:
                print(line, flush=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if any(run.result.last for run in self.runs):
            print(("\r" if self.terminal else "") + self.line(), flush=True)


def run_all(jobs, at_a_time):
    runs = [Run(job) for job in jobs]
    rounds = -(-len(runs) // at_a_time)
    seconds = max(job.seconds for job in jobs) * rounds
    os.makedirs(machine.BUILD, exist_ok=True)

    def one(run):
        result = run.run()
        if result.problem == BAD_USE:
            for other in runs:
                other.stop()
        return result

    with Show(runs, seconds), ThreadPoolExecutor(at_a_time) as pool:
        futures = [pool.submit(one, run) for run in runs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for run in runs:
                run.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def finish(args, results, problems, reproduce):
    ok = stress_report.show(results, problems, reproduce)
    if args.json:
        stress_report.write_json(args.json, results, problems, ok)
    if args.junit:
        stress_report.write_junit(args.junit, results, problems, reproduce)
    return 0 if ok else 1


def merge(args):
    results, problems = [], []
    for path in args.merge:
        try:
            more, bad = stress_report.read(path)
        except (OSError, ValueError) as error:
            raise Usage(f"--merge {path}: {error}") from error
        results += more
        problems += bad
    problems += [line for line in stress_report.compare(results)
                 if line not in problems]
    return finish(args, results, problems, None)


def refusal(results):
    """What the program itself called bad use."""
    for result in results:
        if result.problem == BAD_USE:
            return next((line for line in result.text.splitlines()
                         if line.startswith("stress: ")), None)
    return None


def command_stress(arguments):
    args = parser().parse_args(arguments)
    check_output("--json", args.json)
    check_output("--junit", args.junit)
    if args.merge:
        return merge(args)
    if args.replay:
        return debug.command_debug(["--replay", args.replay])
    jobs = make_jobs(args)
    try:
        if not args.no_build:
            build_all(jobs, args.no_install)
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return 1
    if args.sweep:
        return finish(args, [result for job in jobs if job.storm
                             for result in stress_sweep.sweep(job)], [],
                      repeat)
    results = run_all(jobs, args.jobs or os.cpu_count() or 1)
    if line := refusal(results):
        raise Usage(line[len("stress: "):])
    problems = stress_report.compare(results)
    status = finish(args, results, problems, repeat)
    if args.record:
        print(f"replay: ./pal debug --replay {shlex.quote(args.record)}")
    bad = [result for result in results if not result.ok]
    if args.shrink and bad:
        stress_shrink.shrink(bad[0], repeat)
    return status
