# SPDX-License-Identifier: BSD-2-Clause
"""The run record/<arch>, for CTest: a run whose input comes when it comes,
and one that panics, are recorded; two replays under gdb must be the same.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import console
import debug
import ktap
import machine
import record
from guest import CannotStart, Guest
from initrd import Archive
from usage import Usage

SECONDS = 90
MEMORY = machine.size("64M")
MUTANT = "mutant=write-clean"
# What a person types, with the pauses before it.
TYPED = ((0.3, b"hello\n"), (0.4, b"stat\n"), (0.2, b"exit 3\n"))
STOP = re.compile(r"instruction count = (\d+)\r?$", re.M)


def archive_of(arch, path):
    archive = Archive()
    for name in ("monitor", "hello"):
        archive.file(machine.user_path(arch, name), f"/bin/{name}", 0o755)
    archive.first_program(["/bin/monitor"], ["PATH=/bin"])
    archive.write(path)
    return archive.first


def type_slowly(descriptor):
    for pause, text in TYPED:
        time.sleep(pause)
        os.write(descriptor, text)
    os.close(descriptor)


def record_run(args, directory, name, flavour="debug", options=(),
               source=None):
    """(where it is kept, Ending, what it printed)"""
    initrd = os.path.join(directory, "initrd")
    setup = machine.Setup(
        args.arch, machine.kernel_path(args.arch, flavour), initrd,
        archive_of(args.arch, initrd), MEMORY, options)
    printed = []
    kept = os.path.join(directory, name)
    ending = record.run(kept, setup, sinks={console.OUT: printed.append},
                        source=source, limit=SECONDS)
    return kept, ending, b"".join(printed)


def replay(kept, where):
    """(instruction and its address, what was printed until then)"""
    printed = []
    commands = (*debug.commands_at(where), "info registers pc")
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        setup = record.load(kept).setup(os.path.join(directory, "gdb"))
        done = debug.run_gdb(
            setup, {console.OUT: printed.append},
            ["-batch", *(word for command in commands
                         for word in ("-ex", command))],
            os.path.join(directory, "log"), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=SECONDS)
    text = done.stdout + done.stderr
    count = STOP.search(text)
    pc = re.search(r"^pc .*", text, re.M)
    if not count or not pc:
        raise CannotStart(f"gdb said: {text}")
    return f"{count[1]} {pc[0]}", b"".join(printed)


def same_twice(kept, function, where):
    """Problems of two replays that are to stop in that function."""
    first, second = replay(kept, where), replay(kept, where)
    problems = []
    if first != second:
        problems.append(f"two replays differ: {first}, {second}")
    if function not in first[0]:
        problems.append(f"it did not stop in {function}: {first[0]}")
    return problems, first[1]


def test_input(args, directory):
    ours, theirs = os.pipe()
    typist = threading.Thread(target=type_slowly, args=(theirs,))
    typist.start()
    kept, ending, printed = record_run(args, directory, "input", source=ours)
    typist.join()
    os.close(ours)
    if ending.status != 3:
        return [f"status {ending.status}: {ending.reason}"]
    problems, again = same_twice(kept, "md_exit", "exit")
    # An instruction that there never was: it stops while there is a machine.
    late, _ = replay(kept, "9" * 15)
    if "md_exit" not in late:
        problems.append(f"behind the end it did not stop in md_exit: {late}")
    if again != printed or b"hello, world" not in printed:
        problems.append(f"printed {printed}, then {again}")
    return problems


def test_panic(args, directory):
    """A test kernel with a bug that an assertion finds."""
    kept, ending, _ = record_run(args, directory, "panic", "test", (MUTANT,))
    if "panic" not in ending.reason:
        return [f"no panic but {ending.status}, {ending.reason}"]
    return same_twice(kept, "kern_panic",
                      debug.default_place(record.load(kept)))[0]


def test_changed(args, directory):
    """A log that is not what was recorded is refused."""
    kept, _, _ = record_run(args, directory, "changed")
    with open(os.path.join(kept, record.LOG), "ab") as file:
        file.write(b"x")
    try:
        record.load(kept)
    except Usage as error:
        return [] if "record again" in str(error) else [str(error)]
    return ["it was accepted"]


def test_options(args, directory):
    """The kernel refuses values that cannot be, before anything runs."""
    problems = []
    for option in ("tick=x", "tick=60001", "delay=-1", "seed=", "page=8k9",
                   "idle=x", "tables=1", "storm=page:", "storm=rain",
                   "format=vax", "mutant=none-such"):
        setup = machine.Setup(
            args.arch, machine.kernel_path(args.arch, "test"), None,
            memory=MEMORY, options=(option,))
        ending = Guest(setup, os.path.join(directory, "log"), {}).run(
            limit=SECONDS)
        if not ending.refused.startswith(f"option {option}: "):
            problems.append(f"{option}: {ending.status}, {ending.reason}")
    return problems


TESTS = {"options": test_options, "input": test_input, "panic": test_panic, "changed": test_changed}


def main(argv):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("-k", dest="pattern")
    p.add_argument("--seed", help="accepted, as by every test")
    p.add_argument("--long", action="store_true")
    args = p.parse_args(argv)
    if not shutil.which("gdb-multiarch"):
        print("1..0 # skip gdb-multiarch is not installed")
        return 77
    printer = ktap.Printer(list(TESTS), args.pattern)
    for name in printer.names:
        with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
            try:
                problems = TESTS[name](args, directory)
            except (CannotStart, Usage, subprocess.TimeoutExpired) as error:
                problems = [str(error)]
        printer.result(name, problems)
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
