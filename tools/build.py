# SPDX-License-Identifier: BSD-2-Clause
"""Configure and build the one tree, and ask CTest what can be run."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from packages import ROOT, say

BUILD = os.path.join(ROOT, "build", "host")
# What building may take of the disk: a kernel and programs; everything.
KERNEL_DISK = 512 << 20
TREE_DISK = 3 << 30

STEP = re.compile(r"\[\d+/\d+\] ")
CLEAR = "\r\x1b[K"


class BuildFailed(Exception):
    """The build tool has said why already."""


@dataclass
class Run:
    """One run of a test program, as CTest knows it."""
    name: str               # suite/machine/flavour/program[.name]
    command: list[str]
    target: str             # what to build first; may be empty
    verdict: str            # ktap, exit or fuzz
    timeout: float
    long_args: list[str]
    long_timeout: float
    env: dict[str, str]

    @property
    def suite(self):
        return self.name.split("/")[0]


@contextlib.contextmanager
def build_lock():
    """One pal at a time in the build directory: Ninja does not check."""
    os.makedirs(os.path.dirname(BUILD), exist_ok=True)
    with open(BUILD + ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another pal that builds here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def configure():
    done = subprocess.run(["cmake", "--preset", "host"], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stderr or done.stdout)
        raise BuildFailed("cmake --preset host")


def runs():
    """All runs, from CTest, which has them from cmake/programs.cmake."""
    shown = subprocess.run(
        ["ctest", "--test-dir", BUILD, "--show-only=json-v1"],
        capture_output=True, text=True, check=True).stdout
    found = []
    for test in json.loads(shown)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        env = dict(item.split("=", 1)
                   for item in properties.get("ENVIRONMENT", []) if item)
        timeout = float(properties["TIMEOUT"])
        found.append(Run(
            name=test["name"],
            # A program that is not built yet has no command.
            command=test.get("command", []),
            target=env.pop("PAL_TARGET", ""),
            verdict=env.pop("PAL_VERDICT", "exit"),
            timeout=timeout,
            long_args=env.pop("PAL_LONG_ARGS", "").split(),
            long_timeout=float(env.pop("PAL_LONG_TIMEOUT", timeout)),
            env=env))
    return found


def build(targets, jobs):
    """Build the targets; with none, everything."""
    argv = ["ninja", "-C", BUILD, "-k", "0"]
    if jobs:
        argv += ["-j", str(jobs)]
    ninja = subprocess.Popen([*argv, *targets], cwd=ROOT, text=True,
                             errors="replace", stdout=subprocess.PIPE)
    with ninja:
        for line in ninja.stdout:
            show(line.rstrip("\n"))
    if sys.stderr.isatty():
        sys.stderr.write(CLEAR)
    if ninja.returncode != 0:
        raise BuildFailed(f"ninja -C {os.path.relpath(BUILD)}")


def show(line):
    """Steps follow each other on one line of a terminal, and nowhere else;
    what compilers say stays."""
    if STEP.match(line):
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(CLEAR + line[:width])
            sys.stderr.flush()
    elif not line.startswith(("ninja: Entering", "ninja: no work")):
        clear = CLEAR if sys.stderr.isatty() else ""
        print(clear + line, file=sys.stderr)
