# SPDX-License-Identifier: BSD-2-Clause
"""./pal debug: a program on one of the kernels, under gdb.

QEMU starts stopped and serves gdb at a socket; gdb-multiarch is given the
kernel's symbols and the commands of tools/gdb (docs/debugging.md).  With
--replay the machine is one that ./pal run --record ran (record.py).
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass

import build
import console
import elf
import machine
import record
import run
from guest import CannotStart, Guest
from initrd import Archive, Bad
from packages import ROOT
from usage import Parser, Usage

HELP = """\
gdb stops the machine before its first instruction: set a breakpoint and say
"continue".  Leaving gdb ends the machine.  What the program prints comes to
this terminal; the log is build/logs/debug-ARCH.log.

--replay: gdb stops where the recorded run failed (--at), as often as one
likes at the same instruction; "monitor info replay" tells its number.
"""

# Where --at stops; at the latest before the machine leaves, and gdb with it.
PLACES = {
    "start": (),
    "fault": ("break *unix_fault", "break *md_exit", "continue"),
    "panic": ("break *kern_panic", "break *kern_panic_frame",
              "break *md_exit", "continue"),
    "exit": ("break *md_exit", "continue"),
    "end": ("break *md_exit", "continue"),
}


@dataclass
class StoppedSetup(machine.Setup):
    """A machine that waits for gdb at the socket."""
    socket: str = ""

    def command(self):
        return super().command() + [
            "-S", "-gdb", f"unix:{self.socket},server=on,wait=off"]


def gdb_command(setup, more=()):
    return ["gdb-multiarch", "-q", "-nx", setup.symbols,
            "-x", os.path.join(ROOT, "tools", "gdb", "pal.py"),
            "-ex", f"target remote {setup.socket}", *more]


def run_gdb(setup, sinks, gdb_args, log_path, **options):
    """Start the machine and gdb; the CompletedProcess of gdb."""
    guest = Guest(setup, log_path, sinks, log_all=True)
    guest.grace = None
    failed = []

    def serve():
        try:
            # Nothing comes from it while somebody thinks: no time limit.
            guest.run()
        except CannotStart as error:
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    # ^C is gdb's: it stops the machine.
    old = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        while thread.is_alive() and not os.path.exists(setup.socket):
            thread.join(0.05)
        if failed:
            raise failed[0]
        if not thread.is_alive():
            raise CannotStart(guest.qemu_said.strip() or "QEMU ended")
        return subprocess.run(gdb_command(setup, gdb_args), **options)
    finally:
        guest.stop("gdb has ended")
        thread.join()
        signal.signal(signal.SIGINT, old)


def place(text):
    if text not in PLACES and not re.fullmatch(r"\d+", text):
        raise ValueError
    return text


place.__name__ = f"place ({', '.join(PLACES)}, a number)"


def parser():
    p = Parser(prog="pal debug", allow_abbrev=False, epilog=HELP,
               usage="./pal debug --arch ARCH [OPTION]... "
               "[PROGRAM [ARG]...]\n       ./pal debug --replay DIR "
               "[--at PLACE] [--reverse] [-x FILE]...",
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=machine.ARCHES)
    p.add_argument("--replay", metavar="DIR",
                   help="what ./pal run --record DIR ran")
    p.add_argument("--at", metavar="PLACE", type=place,
                   help="where the replay first stops: "
                   + ", ".join(PLACES) + ", or the number of an instruction "
                   "(default: panic, exit, or the end, as it ended)")
    p.add_argument("--reverse", action="store_true",
                   help="gdb's reverse-stepi and reverse-continue work in "
                   "the replay (not on riscv64)")
    p.add_argument("--mem", metavar="SIZE", type=run.memory_size,
                   default=machine.size("256M"),
                   help="RAM of the machine (default: 256M)")
    p.add_argument("--file", metavar="HOST[:GUEST]", action="append",
                   default=[], dest="files", help="as for pal run")
    p.add_argument("--env", metavar="K=V", action="append", default=[])
    p.add_argument("--kernel", choices=("debug", "test", "release"),
                   help="default: debug; test without a program")
    p.add_argument("--option", metavar="K=V", action="append", default=[],
                   help="an option for the kernel: test=PATTERN, seed=N ...")
    p.add_argument("--icount", action="store_true",
                   help="the same instructions each time (needs a program "
                   "without input)")
    p.add_argument("--no-install", action="store_true")
    p.add_argument("-x", metavar="FILE", action="append", default=[],
                   dest="scripts", help="gdb commands to run first")
    return p


def archive_of(args, words):
    """The initrd of a program, or None."""
    if not words:
        return None
    program = run.find_program(words[0], args.arch)
    elf.check(program, args.arch)
    archive = Archive()
    args.verbose = False
    run.fill(archive, program, words[1:], args, False)
    return archive


def default_place(recording):
    if recording.panic:
        return "panic"
    return "end" if recording.status is None else "exit"


def commands_at(where):
    """gdb's commands that go there and tell which instruction that is."""
    if where.isdigit():
        commands = ("break *md_exit", f"monitor replay_break {where}",
                    "continue")
    else:
        commands = PLACES[where]
    return (*commands, "monitor info replay")


def replay_setup(recording, socket, reverse):
    if reverse and recording.arch == "riscv64":
        raise Usage("--reverse: QEMU's riscv64 does not stop at the earlier "
                    "instruction; leave it out")
    return recording.setup(socket, reverse)


def replay(args, p, words):
    for name in ("arch", "mem", "files", "env", "kernel", "option",
                 "icount"):
        if getattr(args, name) != p.get_default(name):
            raise Usage("--replay: the recording says what ran; leave out "
                        f"--{name.removesuffix('s')}")
    if words:
        raise Usage(f"--replay: leave out {words[0]}, the recording says "
                    "what ran")
    recording = record.load(args.replay)
    where = args.at or default_place(recording)
    commands = commands_at(where)
    if args.reverse:
        commands = ("monitor savevm start", *commands)
    more = [word for command in commands for word in ("-ex", command)]
    how = recording.reason or f"exit status {recording.status}"
    print(f"pal: {recording.arch}, {recording.flavour} kernel, "
          f"{recording.seconds} s; ended by: {how}")
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        setup = replay_setup(recording, os.path.join(directory, "gdb"),
                             args.reverse)
        return with_gdb(setup, more, args)


def with_gdb(setup, more, args):
    """Interactive; gdb's exit status."""
    more += [word for path in args.scripts for word in ("-x", path)]
    sinks = {stream: run.writer(1) for stream in
             (console.OUT, console.ERR, console.TEST)}
    log_path = os.path.join(machine.BUILD, "logs", f"debug-{setup.arch}.log")
    print("pal: " + shlex.join(gdb_command(setup, more)), flush=True)
    return run_gdb(setup, sinks, more, log_path).returncode


def command_debug(arguments):
    p = parser()
    options, words = p.split(arguments)
    args = p.parse_args(options)
    if not shutil.which("gdb-multiarch"):
        raise machine.Bad("gdb-multiarch is not installed; as root: "
                          "apt-get install gdb-multiarch")
    if args.replay is not None:
        try:
            return replay(args, p, words)
        except CannotStart as error:
            raise Usage(str(error)) from error
    if args.arch is None or args.at or args.reverse:
        p.error("--at and --reverse need --replay" if args.arch else
                "give --arch, or --replay")
    flavour = args.kernel or ("debug" if words else "test")
    try:
        run.build_all([args.arch], flavour, args.no_install)
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return run.MACHINE_FAILED
    try:
        archive = archive_of(args, words)
        with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
            initrd = None
            if archive:
                initrd = os.path.join(directory, "initrd")
                archive.write(initrd)
            setup = StoppedSetup(
                args.arch, machine.kernel_path(args.arch, flavour), initrd,
                archive and archive.first, args.mem, tuple(args.option),
                args.icount, socket=os.path.join(directory, "gdb"))
            return with_gdb(setup, [], args)
    except (elf.Unfit, Bad, CannotStart) as error:
        raise Usage(str(error)) from error
