# SPDX-License-Identifier: BSD-2-Clause
"""Run test programs in parallel and judge what they print."""

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import ktap
from build import BUILD
from packages import ROOT

FOUND = re.compile(r"Test unit written to (\S+)")


@dataclass
class Result:
    run: object
    cases: list
    seconds: float
    seed: str | None
    found: str | None       # the input on which a fuzzer failed

    def count(self, status):
        return sum(case.status == status for case in self.cases)


class Runner:
    """Runs with the options that ./pal test was given."""

    def __init__(self, jobs, seed, long, subtest):
        self.jobs = jobs
        self.seed = seed
        self.long = long
        self.subtest = subtest
        self.groups = set()
        self.stopped = False
        self.lock = threading.Lock()

    def command(self, run):
        argv = list(run.command)
        if self.long:
            argv += run.long_args
        if run.verdict == "fuzz" and self.seed is not None:
            argv.append(f"-seed={self.seed}")
        if run.verdict == "ktap":
            if self.seed is not None:
                argv += ["--seed", str(self.seed)]
            if self.subtest:
                argv += ["-k", self.subtest]
            if self.long:
                argv.append("--long")
        return argv

    def execute(self, argv, env, timeout, log_path):
        """Run in a process group of its own, all output into a file.
        Returns the exit status, or None if time ran out."""
        os.makedirs(os.path.dirname(log_path), exist_ok=True)
        with open(log_path, "wb") as log:
            with self.lock:
                if self.stopped:
                    return None
                process = subprocess.Popen(
                    argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True)
                self.groups.add(process.pid)
            try:
                return process.wait(timeout)
            except subprocess.TimeoutExpired:
                return None
            finally:
                # Whatever it forked must not outlive it.
                with self.lock:
                    self.groups.discard(process.pid)
                    kill_group(process.pid)
                process.wait()

    def run_one(self, run):
        timeout = run.long_timeout if self.long else run.timeout
        log_path = os.path.join(BUILD, "logs", run.name + ".log")
        # Another pal may be running the same program.
        own_path = f"{log_path}.{os.getpid()}"
        start = time.monotonic()
        try:
            status = self.execute(self.command(run),
                                  {**os.environ, **run.env}, timeout,
                                  own_path)
            with open(own_path, errors="replace") as log:
                text = log.read()
        except OSError as error:
            status, text = 127, f"cannot run it: {error}"
        os.replace(own_path, log_path)
        seconds = time.monotonic() - start
        judge = {"ktap": ktap.judge_ktap, "exit": ktap.judge_exit,
                 "fuzz": ktap.judge_exit}[run.verdict]
        cases, seed = judge(text, status,
                            round(timeout) if status is None else None)
        found = FOUND.search(text)
        return Result(run, cases, seconds, seed, found and found[1])

    def run_all(self, runs):
        """All results, in the order of the runs; long ones start first."""
        results = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                order = sorted(runs, key=lambda run: -run.timeout)
                futures = [pool.submit(self.run_one, run) for run in order]
                for done in as_completed(futures):
                    result = done.result()
                    results[result.run.name] = result
                    self.progress(result, len(results), len(runs))
            except BaseException:
                self.stop(pool)
                raise
        return [results[run.name] for run in runs]

    def stop(self, pool):
        with self.lock:
            self.stopped = True
            for group in self.groups:
                kill_group(group)
        pool.shutdown(wait=False, cancel_futures=True)

    def progress(self, result, done, total):
        failed = result.count(ktap.FAILED)
        skipped = result.count(ktap.SKIPPED)
        verdict = "FAILED" if failed else "SKIP" if skipped else "ok"
        width = len(str(total))
        print(f"[{done:{width}}/{total}] {verdict:6} {result.run.name}"
              f"  {len(result.cases)} cases  {result.seconds:.1f} s",
              flush=True)

    def reproduce(self, result, case):
        """The one command that repeats a failure alone."""
        if result.found and result.run.verdict == "fuzz":
            program = os.path.join(BUILD, result.run.target)
            found = os.path.relpath(result.found, ROOT)
            return f"{os.path.relpath(program, ROOT)} {found}"
        name = result.run.name
        if not case.whole_program:
            name += f":{case.name}"
        elif self.subtest:
            name += f":{self.subtest}"
        argv = ["./pal", "test", "-k", name]
        seed = self.seed if self.seed is not None else result.seed
        if seed is not None and result.run.verdict != "exit":
            argv += ["--seed", str(seed)]
        if self.long:
            argv.append("--long")
        return shlex.join(argv)


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
