# SPDX-License-Identifier: BSD-2-Clause
"""./pal debug: a program on one of the kernels, under gdb.

QEMU starts stopped and serves gdb at a socket; gdb-multiarch is given the
kernel's symbols and the commands of tools/gdb (docs/debugging.md).
"""

import argparse
import os
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
import run
from guest import CannotStart, Guest
from initrd import Archive, Bad
from packages import ROOT
from usage import Parser, Usage

HELP = """\
gdb stops the machine before its first instruction: set a breakpoint and say
"continue".  Leaving gdb ends the machine.  What the program prints comes to
this terminal; the log is build/logs/debug-ARCH.log.
"""


@dataclass
class StoppedSetup(machine.Setup):
    """A machine that waits for gdb at the socket."""
    socket: str = ""

    def command(self):
        return super().command() + [
            "-S", "-gdb", f"unix:{self.socket},server=on,wait=off"]


def gdb_command(arch, flavour, socket, more=()):
    # The ELF file has the symbols, also where a flat image is booted.
    image = os.path.join(os.path.dirname(machine.kernel_path(arch, flavour)),
                         "kernel")
    return ["gdb-multiarch", "-q", "-nx", image,
            "-x", os.path.join(ROOT, "tools", "gdb", "pal.py"),
            "-ex", f"target remote {socket}", *more]


def run_gdb(setup, flavour, sinks, gdb_args, log_path, **options):
    """Start the machine and gdb; the CompletedProcess of gdb."""
    guest = Guest(setup, log_path, sinks, log_all=True)
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
        return subprocess.run(
            gdb_command(setup.arch, flavour, setup.socket, gdb_args),
            **options)
    finally:
        guest.stop("gdb has ended")
        thread.join()
        signal.signal(signal.SIGINT, old)


def parser():
    p = Parser(prog="pal debug", allow_abbrev=False, epilog=HELP,
               usage="./pal debug --arch ARCH [OPTION]... "
               "[PROGRAM [ARG]...]",
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
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


def command_debug(arguments):
    p = parser()
    options, words = p.split(arguments)
    args = p.parse_args(options)
    if not shutil.which("gdb-multiarch"):
        raise machine.Bad("gdb-multiarch is not installed; as root: "
                          "apt-get install gdb-multiarch")
    flavour = args.kernel or ("debug" if words else "test")
    try:
        run.build_all([args.arch], flavour, args.no_install)
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return run.MACHINE_FAILED
    log_path = os.path.join(machine.BUILD, "logs", f"debug-{args.arch}.log")
    more = [word for path in args.scripts for word in ("-x", path)]
    sinks = {stream: run.writer(1) for stream in
             (console.OUT, console.ERR, console.TEST)}
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
            print("pal: " + shlex.join(gdb_command(args.arch, flavour,
                                                   setup.socket, more)))
            return run_gdb(setup, flavour, sinks, more,
                           log_path).returncode
    except (elf.Unfit, Bad, CannotStart) as error:
        raise Usage(str(error)) from error
