# SPDX-License-Identifier: BSD-2-Clause
"""One run of the stress program: on a simulated machine or a kernel.

The program (tests/flow, user/stress) is given words name=number and prints
lines "flow {json}": progress, and at the end what came out.  Whatever else
it prints says what is wrong.
"""

import dataclasses
import json
import math
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

import build
import console
import machine
import record
import run
from guest import CannotStart, Guest
from initrd import Archive

STORMS = ("page", "range", "table", "pmap", "all", "budget", "idle",
          "format", "asid", "split", "audit")
AGAINST = ("never", "delay")
DELAY = 40              # steps that "delay" makes an invalidation late
OPS = ("write", "copy", "drop", "fetch", "visit", "protect", "move", "fork",
       "exec", "kernel", "wire", "scratch", "disturb")
KEPT_OPS = ("write", "visit")           # without these there is no run
CHECK = 8               # epochs from digest to digest
SIMS = tuple(f"sim-{name}" for name in (*machine.ARCHES, "soft", "hash"))
SILENCE = 200           # seconds; then it is stuck
FLAG = "flow "
EPOCH = re.compile(r"\bin epoch (\d+)")


@dataclass(frozen=True)
class Job:
    """What one run is; two runs with the same contents() have one digest."""
    place: str                  # an architecture, or sim-<machine>
    seed: int = 1
    epochs: int = 0             # 0: until seconds are over
    seconds: int = 0
    storm: tuple = STORMS
    rate: int = 0
    budget: int = 0
    tasks: int = 8
    pages: int = 32
    writes: int = 24
    visits: int = 400
    calm: int = 1
    only: tuple = OPS
    kernel: str = "release"     # flavour of a kernel
    flavour: str = "opt"        # of a simulator
    fibers: bool = False
    schedule: int = -1          # of a simulator's fibers, -1: the seed
    format: int = -1            # of a simulator; -1: as the seed says
    mem: int = 0                # bytes; 0: as usual
    options: tuple = ()         # of a kernel
    icount: bool = False        # of a kernel: the clock counts instructions
    mutant: str = ""
    record: str = ""            # directory

    @property
    def is_sim(self):
        return self.place.startswith("sim-")

    def contents(self):
        return (self.seed, self.tasks, self.pages, self.writes,
                tuple(op for op in self.only if op in
                      ("copy", "drop", "fetch")))

    def but(self, **changes):
        return dataclasses.replace(self, **changes)

    def ops_per_epoch(self):
        return self.tasks * (self.writes + self.visits)

    def words(self):
        kinds = sum(1 << STORMS.index(name) for name in self.storm
                    if name in STORMS)
        only = sum(1 << OPS.index(name) for name in self.only)
        words = {"seed": self.seed, "epochs": self.epochs,
                 "seconds": self.seconds, "storm": kinds, "rate": self.rate,
                 "budget": self.budget, "tasks": self.tasks,
                 "pages": self.pages, "writes": self.writes,
                 "visits": self.visits, "calm": self.calm, "only": only}
        if self.is_sim:
            if "delay" in self.storm:
                words["delay"] = DELAY
            words["fibers"] = int(self.fibers)
            if self.schedule >= 0:
                words["schedule"] = self.schedule
            if self.format >= 0:
                words["format"] = self.format
            if self.mem:
                words["ram"] = self.mem >> 20
            if self.mutant:
                words["mutant"] = self.mutant
        return [f"{name}={value}" for name, value in words.items()]


@dataclass
class Result:
    job: Job
    ok: bool = False
    problem: str = ""           # one line
    text: str = ""              # all that was said about it
    last: dict = field(default_factory=dict)
    digests: dict = field(default_factory=dict)     # epoch: digest
    seconds: float = 0.0

    def take(self, line):
        """A line of the program's."""
        if not line.startswith(FLAG):
            self.text += line + "\n"
            return
        try:
            words = json.loads(line[len(FLAG):])
        except ValueError:
            self.text += line + "\n"
            return
        if "clean" in words:
            self.ok = True
            return
        self.last = words
        if "failed" not in words:
            self.digests[words["epoch"]] = words["digest"]

    def end(self, problem):
        """The run is over; problem: what its surroundings say."""
        if problem or not self.ok:
            lines = [line for line in self.text.splitlines() if line.strip()]
            first = next((line for line in lines if line.split(":")[0].
                          replace(" ", "").isupper() or
                          line.startswith("panic: ")), "")
            self.problem = first or problem or (lines or ["it ended early"])[0]
            if problem and problem != self.problem:
                self.text += f"{problem}\n"
        if self.last.get("mismatches"):
            self.problem = self.problem or (
                f"{self.last['mismatches']} translations broke a law")
        self.ok = not self.problem
        if not self.ok and "failed" not in self.last:
            self.last = {**self.last, "epoch": self.failed_in()}
        return self

    def failed_in(self):
        """The last epoch that the failure can be in.  They are told of at
        each power of two at least."""
        if match := EPOCH.search(self.text):
            return max(self.epoch, int(match[1]))
        return min(max(CHECK, 2 * self.epoch), self.job.epochs or math.inf)

    @property
    def epoch(self):
        return self.last.get("epoch", 0)


def rounded(epochs):
    return math.ceil(epochs / CHECK) * CHECK


def sim_program(job):
    return os.path.join(build.BUILD, "flow", job.place[len("sim-"):],
                        job.flavour, "sim_main")


def target(job):
    """What to build for it."""
    if job.is_sim:
        return [f"flow/{job.place[len('sim-'):]}/{job.flavour}/sim_main"]
    return [f"kernel-{job.place}-{job.kernel}", f"user-{job.place}"]


class Run:
    """A job under way.  stop() from any thread."""

    def __init__(self, job, watch=lambda result: None):
        self.result = Result(job)
        self.watch = watch
        self.process = self.guest = None
        self.stopped = False

    def take(self, line):
        self.result.take(line)
        if line.startswith(FLAG):
            self.watch(self.result)

    def run(self, limit=None):
        start = time.monotonic()
        job = self.result.job
        try:
            problem = (self.run_sim if job.is_sim else self.run_guest)(limit)
        except (OSError, CannotStart) as error:
            problem = str(error)
        self.result.seconds = time.monotonic() - start
        return self.result.end(problem)

    def stop(self):
        self.stopped = True
        if self.guest:
            self.guest.stop("stopped")
        if self.process and self.process.poll() is None:
            self.process.kill()

    # -- a simulator ------------------------------------------------------

    def run_sim(self, limit):
        job = self.result.job
        argv = [sim_program(job), *job.words()]
        env = dict(os.environ)
        if job.flavour in ("debug", "tsan"):
            argv = ["setarch", "-R", *argv]
            env["TSAN_OPTIONS"] = "halt_on_error=1"
        with subprocess.Popen(argv, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=env,
                              stdin=subprocess.DEVNULL) as self.process:
            if self.stopped:
                self.process.kill()
            why = self.read(limit)
        code = self.process.returncode
        if why or self.stopped:
            return why or "stopped"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}" if code else ""

    def read(self, limit):
        lines = console.Lines(self.take)
        end = time.monotonic() + limit if limit else math.inf
        why = ""
        pipe = self.process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                left = min(SILENCE, end - time.monotonic())
                if not why and (left <= 0 or not selector.select(left)):
                    why = ("not done in time" if time.monotonic() >= end
                           else f"silent for {SILENCE} s")
                    self.process.kill()
                data = os.read(pipe.fileno(), 65536)
                if not data:
                    break
                lines.feed(data)
        lines.end()
        return why

    # -- a kernel ---------------------------------------------------------

    def keep(self, *args, **words):
        self.guest = Guest(*args, **words)
        if self.stopped:
            self.guest.stop("stopped")
        return self.guest

    def run_guest(self, limit):
        job = self.result.job
        lines = console.Lines(self.take)
        archive = Archive()
        archive.file(machine.user_path(job.place, "stress"), "/bin/stress",
                     0o755)
        archive.first_program(["/bin/stress", *job.words()],
                              run.environment([], False))
        options = [*job.options, f"seed={job.seed & 0xffffffff}"]
        if job.mutant:
            options.append(f"mutant={job.mutant}")
        if "delay" in job.storm:
            options.append(f"delay={DELAY}")
        with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
            initrd = os.path.join(directory, "initrd")
            archive.write(initrd)
            setup = machine.Setup(
                job.place, machine.kernel_path(job.place, job.kernel), initrd,
                archive.first, job.mem or 256 << 20, tuple(options),
                icount=job.icount)
            sinks = {console.OUT: lines.feed, console.ERR: lines.feed}
            if job.record:
                ending = record.run(job.record, setup, log_path(job), sinks,
                                    kind=self.keep, silence=SILENCE,
                                    limit=limit)
            else:
                ending = self.keep(setup, log_path(job), sinks).run(
                    silence=SILENCE, limit=limit)
        lines.end()
        if ending.lost and ending.status == 0:
            return "the kernel lost memory: " + "; ".join(ending.lost)
        if ending.status is None:
            return ending.reason
        return f"exit status {ending.status}" if ending.status else ""


def log_path(job):
    return os.path.join(machine.BUILD, "logs",
                        f"stress-{job.place}-{job.seed}.log")
