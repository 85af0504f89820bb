# SPDX-License-Identifier: BSD-2-Clause
"""A run of tests in a booted kernel, for CTest: prints their KTAP.

    kernel_test.py --arch A --cases PATTERN    cases of the test flavour
    kernel_test.py --arch A [..] PROGRAM       a program that prints KTAP

What the kernel logged follows as remarks if anything went wrong, so that a
panic stands in the report.
"""

import argparse
import os
import sys
import tempfile

import console
import elf
import ktap
import machine
import run
from guest import CannotStart, Guest
from initrd import Archive, Bad
from packages import ROOT
from usage import Usage

LOG_LINES = 60
MEMORY = "256M"


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("--cases", metavar="PATTERN")
    p.add_argument("--kernel", default="debug")
    p.add_argument("--mem", type=machine.size, default=machine.size(MEMORY))
    p.add_argument("--options", default="", help="'k=v k=v' for the kernel")
    p.add_argument("--programs", default="", help="further ones, for /bin")
    p.add_argument("--file", action="append", default=[], dest="files")
    p.add_argument("--arg", action="append", default=[], dest="args")
    p.add_argument("--icount", action="store_true")
    p.add_argument("-k", dest="pattern")
    p.add_argument("--seed")
    p.add_argument("--long", action="store_true")
    p.add_argument("program", nargs="?")
    args = p.parse_args(argv)
    if (args.cases is None) == (args.program is None):
        p.error("give --cases or a program")
    return args


def test_kernel(args):
    """(flavour, kernel options, archive)"""
    options = args.options.split()
    pattern = args.pattern or args.cases
    if not pattern.startswith(args.cases):
        pattern = f"{args.cases}.{pattern}*"
    options.append(f"test={pattern}")
    if args.seed:
        options.append(f"seed={args.seed}")
    if args.long:
        options.append("long=1")
    return "test", options, None


def user_program(args):
    archive = Archive()
    guest = "/bin/" + os.path.basename(args.program)
    archive.file(args.program, guest, 0o755)
    for name in filter(None, args.programs.split(",")):
        archive.file(machine.user_path(args.arch, name), f"/bin/{name}")
    for text in args.files:
        archive.file(*run.host_and_guest(text))
    argv = [guest, *args.args]
    if args.pattern:
        argv += ["-k", args.pattern]
    if args.seed:
        argv += ["--seed", args.seed]
    if args.long:
        argv.append("--long")
    archive.first_program(argv, run.environment([], False))
    options = args.options.split()
    if args.seed:
        options.append(f"seed={args.seed}")
    return args.kernel, options, archive


def boot(args):
    """(KTAP text, log's lines, Ending)"""
    flavour, options, archive = (user_program if args.program
                                 else test_kernel)(args)
    heard = []
    stream = console.OUT if args.program else console.TEST
    show = run.writer(1)

    def keep(data):
        heard.append(data)
        show(data)

    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        log = os.path.join(directory, "log")
        initrd = None
        if archive:
            initrd = os.path.join(directory, "initrd")
            archive.write(initrd)
        setup = machine.Setup(
            args.arch, machine.kernel_path(args.arch, flavour), initrd,
            archive and archive.first, args.mem, tuple(options), args.icount)
        sinks = {stream: keep, console.ERR: run.writer(2)}
        ending = Guest(setup, log, sinks).run()
        with open(log, errors="replace") as file:
            lines = file.read().splitlines()
    return b"".join(heard).decode(errors="replace"), lines, ending


def main(argv):
    args = arguments(argv)
    os.chdir(ROOT)
    try:
        text, log, ending = boot(args)
    except (Bad, Usage, CannotStart, OSError, elf.Unfit) as error:
        print(f"# {error}", flush=True)
        return 1
    # A kernel of tests has no program whose status would be told.
    status = ending.status
    if status is None and args.cases is not None and ending.kernel == 0:
        status = 0
    if status != 0 and ending.reason:
        print(f"# {ending.reason}")
    if ending.lost and args.program:
        print("# the kernel lost memory: " + "; ".join(ending.lost),
              flush=True)
        status = status or 1
    cases, _ = ktap.judge_ktap(text, 1 if status is None else status, None)
    if all(case.status != ktap.FAILED for case in cases):
        return 77 if status == 77 else 0
    for line in log[-LOG_LINES:]:
        print(f"# {line}")
    return 1 if status is None else status or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
