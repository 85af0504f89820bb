# SPDX-License-Identifier: BSD-2-Clause
"""./pal run: one program on one of the kernels, as if it ran here."""

import argparse
import os
import re
import shlex
import signal
import sys
import tempfile
import termios
import tty

import build
import console
import elf
import kvm
import machine
import packages
import record
from guest import CannotStart, Guest
from initrd import Archive, Bad
from usage import Parser, Usage

MACHINE_FAILED = 125
INTERRUPTED = 130
RUN_HELP = """\
Runs an unmodified static Linux program on the kernel of an architecture.
Standard input, output and error are this terminal's; three times ^C within
two seconds stops the machine.

exit status: the program's; 128+N if signal N ended it; 2 for bad use;
125 if the kernel panicked or QEMU failed (the message names the log);
130 if it was stopped by ^C.
"""


def memory_size(text):
    return machine.size(text)


memory_size.__name__ = "size such as 512M or 2G"


def parser():
    p = Parser(prog="pal run", allow_abbrev=False, epilog=RUN_HELP,
               usage="./pal run --arch ARCH [OPTION]... [PROGRAM [ARG]...]",
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("--mem", metavar="SIZE", type=memory_size,
                   default=machine.DEFAULT_MEMORY,
                   help="RAM of the machine (default: 1G)")
    p.add_argument("--env", metavar="K=V", action="append", default=[],
                   help="an environment variable of the program")
    p.add_argument("--file", metavar="HOST[:GUEST]", action="append",
                   default=[], dest="files",
                   help="a further file or directory; default place: /NAME")
    p.add_argument("--icount", action="store_true",
                   help="the guest's clock counts guest instructions")
    p.add_argument("--accel", choices=("tcg", "kvm", "auto"), default="tcg",
                   help="who executes it (default: tcg)")
    p.add_argument("--kernel", choices=("debug", "release", "test"),
                   default="release", help="default: release")
    p.add_argument("--record", metavar="DIR",
                   help="keep in DIR what ./pal debug --replay needs")
    p.add_argument("--busybox", metavar="FILE",
                   default=os.environ.get("PAL_BUSYBOX"),
                   help="without PROGRAM: the shell, a static busybox "
                   "(default: $PAL_BUSYBOX, /bin/busybox if it fits, else "
                   "a small monitor)")
    p.add_argument("--tables", metavar="N",
                   help="the budget of page tables of all programs: a number "
                   "of pages, or bytes with K or M")
    p.add_argument("--option", metavar="K=V", action="append", default=[],
                   help="a further option for the kernel")
    p.add_argument("-v", "--verbose", action="store_true",
                   help="the kernel's log on standard error, too")
    p.add_argument("--no-install", action="store_true",
                   help="complain about missing packages, install none")
    return p


def host_and_guest(text):
    """HOST or HOST:GUEST; a colon in the name of an existing file is its
    own."""
    host, colon, guest = text.rpartition(":")
    if not colon or os.path.exists(text):
        host, guest = text, ""
    if not host or not os.path.exists(host):
        raise Usage(f"--file {text}: there is no file {host or text}")
    return host, guest or "/" + os.path.basename(os.path.abspath(host))


def check_environment(settings):
    for setting in settings:
        if "=" not in setting or setting.startswith("="):
            raise Usage(f"--env {setting}: give NAME=VALUE")


def environment(settings, terminal):
    """What a program finds set; the later of two settings wins."""
    values = {"PATH": "/bin", "HOME": "/"}
    if terminal:
        values["TERM"] = os.environ.get("TERM", "dumb")
    for setting in settings:
        name, _, value = setting.partition("=")
        values[name] = value
    return [f"{name}={value}" for name, value in values.items()]


def find_program(name, arch):
    """The program's file; a bare name may be one of ours."""
    ours = machine.user_path(arch, name)
    if "/" not in name and not os.path.exists(name) and os.path.exists(ours):
        return ours
    return name


def find_shell(given, arch):
    """(file, arguments) of the interactive shell."""
    if given:
        elf.check(given, arch)
        return given, ["sh"]
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if elf.fits(path, arch):
            return path, ["sh"]
    return machine.user_path(arch, "monitor"), []


def build_all(arches, flavour, no_install, programs=True):
    """Whatever is needed to boot these, and our user programs."""
    groups = ("build", *arches)
    if no_install:
        packages.check(groups)
    else:
        packages.install(groups)
    for arch in arches:
        machine.check_qemu(arch)
    if not all(os.path.exists(machine.kernel_path(arch, flavour))
               for arch in arches):
        machine.check_disk(build.KERNEL_DISK)
        packages.say("building")
    targets = [f"kernel-{arch}-{flavour}" for arch in arches]
    if programs:
        targets += [f"user-{arch}" for arch in arches]
    with build.build_lock():
        build.configure()
        build.build(targets, None)


def fill(archive, program, arguments, args, terminal):
    """The program, its files, its arguments."""
    # The kernel's command line is split at blanks.
    guest = "/bin/" + re.sub(r"\s", "_", os.path.basename(program))
    archive.file(program, guest, 0o755)
    for text in args.files:
        archive.file(*host_and_guest(text))
    archive.first_program([guest, *arguments],
                          environment(args.env, terminal))


def add_shell_tools(archive, arch):
    """Beside a shell: the programs there are, for it to run."""
    directory = machine.user_path(arch)
    for name in sorted(os.listdir(directory)):
        path = f"/bin/{name}"
        host = os.path.join(directory, name)
        if not name.startswith("u_") and path not in archive.entries \
                and elf.fits(host, arch):
            archive.file(host, path)


def writer(descriptor):
    def write(data):
        while data:
            data = data[os.write(descriptor, data):]
    return write


class TerminalGuest(Guest):
    """Its standard input is a terminal in raw mode: ^C is ours to see."""

    def take_input(self, data):
        first, *others = data.split(b"\x03")
        super().take_input(first)
        for piece in others:
            self.interrupt()
            super().take_input(piece)


class Raw:
    """The terminal gives each byte as it is typed, and echoes nothing."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def __enter__(self):
        self.saved = termios.tcgetattr(self.descriptor)
        tty.setraw(self.descriptor, termios.TCSADRAIN)
        # Output keeps its line ends: it may go elsewhere, too.
        mode = termios.tcgetattr(self.descriptor)
        mode[1] |= termios.OPOST
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, mode)

    def __exit__(self, *_):
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self.saved)


def execute(guest):
    """Run with this process's standard input."""
    old = signal.signal(signal.SIGINT, lambda *_: guest.interrupt())
    try:
        if not isinstance(guest, TerminalGuest):
            return guest.run(source=0)
        with Raw(0):
            return guest.run(source=0)
    finally:
        signal.signal(signal.SIGINT, old)


def check_record(args):
    if args.accel == "kvm" or args.icount:
        raise Usage("--record counts instructions in its own way; leave out "
                    + ("--icount" if args.icount else "--accel kvm"))
    args.accel = "tcg"
    record.prepare(args.record)


def program_and_arguments(words, args):
    """What to run, checked; builds what is ours."""
    check_environment(args.env)
    for text in args.files:
        host_and_guest(text)
    machine.check_memory(args.arch, args.mem)
    if args.record is not None:
        check_record(args)
    # What can be refused is refused before anything is built.
    if words and os.path.exists(words[0]):
        elf.check(words[0], args.arch)
    elif words and "/" in words[0]:
        raise Usage(f"{words[0]}: no such file")
    # A program from elsewhere needs none of ours.
    build_all([args.arch], args.kernel, args.no_install,
              not words or not os.path.exists(words[0]) or
              os.path.realpath(words[0]).startswith(
                  os.path.join(build.ROOT, "build") + os.sep))
    if not words:
        return find_shell(args.busybox, args.arch)
    program = find_program(words[0], args.arch)
    elf.check(program, args.arch)
    return program, words[1:]


def command_run(arguments):
    p = parser()
    options, words = p.split(arguments)
    args = p.parse_args(options)
    try:
        program, program_args = program_and_arguments(words, args)
        accel = kvm.choose(args.accel, args.arch, args.icount, args.kernel)
        terminal = os.isatty(0)
        archive = Archive()
        fill(archive, program, program_args, args, terminal)
        if not words:
            add_shell_tools(archive, args.arch)
        check_fits(archive, args.mem)
        return run_archive(archive, args, accel, terminal)
    except (elf.Unfit, Bad, machine.Bad, CannotStart) as error:
        raise Usage(str(error)) from error
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return MACHINE_FAILED


def check_fits(archive, memory):
    size = archive.size()
    if size + (32 << 20) > memory:
        raise machine.Bad(
            f"the files take {machine.mib(size)}, too much for --mem "
            f"{machine.mib(memory)}; give more memory or fewer files")
    machine.check_disk(size + (16 << 20))


def run_archive(archive, args, accel, terminal):
    log_path = os.path.join(machine.BUILD, "logs",
                            f"run-{args.arch}-{os.getpid()}.log")
    sinks = {console.OUT: writer(1), console.ERR: writer(2)}
    if args.verbose:
        sinks[console.LOG] = writer(2)
    options = (*args.option, *(["tty=1"] if terminal else []),
               *([f"tables={args.tables}"] if args.tables else []))
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        initrd = os.path.join(directory, "initrd")
        archive.write(initrd)
        setup = machine.Setup(
            args.arch, machine.kernel_path(args.arch, args.kernel), initrd,
            archive.first, args.mem, options, args.icount, accel)
        kind = TerminalGuest if terminal else Guest
        if args.record is not None:
            ending = record.run(args.record, setup, log_path, sinks, kind,
                                execute=execute)
            print(f"pal: ./pal debug --replay {shlex.quote(args.record)} "
                  "replays this run", file=sys.stderr)
        else:
            ending = execute(kind(setup, log_path, sinks))
    if ending.interrupted:
        print("pal: stopped", file=sys.stderr)
        return INTERRUPTED
    if ending.refused:
        raise Usage(ending.refused)
    if ending.status is None:
        print(f"pal: {ending.reason}; the kernel's log: "
              f"{os.path.relpath(log_path)}", file=sys.stderr)
        return MACHINE_FAILED
    if ending.cannot_run:
        print(f"pal: the kernel cannot run {ending.cannot_run}; its log: "
              f"{os.path.relpath(log_path)}", file=sys.stderr)
    for line in ending.lost:
        print(f"pal: the kernel lost memory: {line}", file=sys.stderr)
    return ending.status
