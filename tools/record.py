# SPDX-License-Identifier: BSD-2-Clause
"""Runs that can be had again: QEMU's record and replay.

    ending = record.run(directory, setup, log_path, sinks, limit=60)
    recording = record.load(directory)
    setup = recording.setup(socket)     # to be run like any other

run() boots a machine.Setup and keeps all that a replay needs: the kernel
that booted and its symbols, the initrd, QEMU's log of what came from outside
(input, clocks), and recording.json, which says how it ended.  The directory
is made, or must be empty, or an earlier recording, which is overwritten.
The other arguments are those of guest.Guest and its run(); kind is the class
of guest.  What is not a directory to record in, or no recording, or one that
has changed, is a Usage, which says what to do.

How it works here (QEMU 7.2; docs/debugging.md): one CPU, time counts its
instructions and waits in real time where the CPU idles.  Input is handed over
only when a timer of the guest fires: the option tick= of the kernel makes it
fire, and input is sent byte by byte, 50 a second.  QEMU completes
its log when it ends, so it is asked to end.
"""

import functools
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from dataclasses import asdict, dataclass, fields

import machine
from guest import Guest
from usage import Usage

VERSION = 1
ABOUT = "recording.json"
LOG = "replay.log"
SYMBOLS = "kernel"              # the ELF file
INITRD = "initrd"
SNAPSHOTS = "snapshots.qcow2"
TICK = "tick=2"
ICOUNT = "shift=0,rr={mode},rrfile={file}"
# Neither the date nor QEMU's random numbers are to need a place in the log.
FIXED = ("-seed", "1", "-rtc", "base=2024-01-01,clock=vm")
CLUSTER = 65536


@functools.cache
def qemu_version(arch):
    done = subprocess.run([machine.MACHINES[arch].qemu, "--version"],
                          capture_output=True, text=True)
    return done.stdout.partition("\n")[0]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@dataclass
class Recorded(machine.Setup):
    """A machine that records, or replays; the command line is fixed."""
    directory: str = ""
    mode: str = "record"
    line: str = ""
    socket: str = ""            # of gdb, which it then waits for
    reversible: bool = False    # room for the snapshots of a replay

    # The serial line has room for 16, and nothing keeps QEMU from dropping
    # what came behind them before the guest's next timer.
    input_pace = (1, 0.02)

    @property
    def end_signal(self):
        # QEMU completes a log only if it is let.
        return signal.SIGTERM if self.mode == "record" else signal.SIGKILL

    def command(self):
        def path(name):
            # A comma ends an option's value.
            return os.path.join(self.directory, name).replace(",", ",,")

        argv = super().command() + [*FIXED, "-icount", ICOUNT.format(
            mode=self.mode, file=path(LOG))]
        if self.socket:
            # What the person stopped ends so, too: stay and be looked at.
            argv += ["-no-shutdown", "-S", "-gdb",
                     f"unix:{self.socket},server=on,wait=off"]
        if self.reversible:
            argv += ["-drive", f"file={path(SNAPSHOTS)},format=qcow2,"
                     "if=none,id=snapshots"]
        return argv

    def command_line(self):
        return self.line


@dataclass
class Recording:
    """recording.json, and where it lies."""
    directory: str
    version: int
    qemu: str
    arch: str
    flavour: str
    memory: int
    line: str
    files: dict                 # name -> sha256
    status: int | None
    reason: str
    panic: bool
    stopped: bool               # from outside: by ^C, or time was up
    seconds: float

    def setup(self, socket="", reversible=False):
        """The machine that replays it."""
        if reversible:
            write_qcow2(os.path.join(self.directory, SNAPSHOTS))
        image = machine.MACHINES[self.arch].image
        initrd = os.path.join(self.directory, INITRD)
        return Recorded(
            self.arch, os.path.join(self.directory, image),
            initrd if INITRD in self.files else None, memory=self.memory,
            directory=self.directory, mode="replay", line=self.line,
            socket=socket, reversible=reversible)

    def check(self):
        here = qemu_version(self.arch)
        if here != self.qemu:
            raise Usage(f"{self.directory} was recorded by '{self.qemu}', "
                        f"this is '{here}': only the same one replays it")
        for name, value in self.files.items():
            path = os.path.join(self.directory, name)
            if not os.path.exists(path):
                raise Usage(f"{path} is missing; record again")
            if digest(path) != value:
                raise Usage(f"{path} is not what was recorded; record again")


def prepare(directory):
    """The directory, absolute, made or emptied."""
    directory = os.path.abspath(directory)
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise Usage(f"--record {directory}: that is no directory")
    try:
        os.makedirs(directory, exist_ok=True)
        there = os.listdir(directory)
        ours = {ABOUT, LOG, SYMBOLS, INITRD, SNAPSHOTS, "kernel.bin",
                "console.log"}
        if there and not {ABOUT} <= set(there) <= ours:
            raise Usage(f"--record {directory}: there are other files in it; "
                        "name a new directory")
        for name in there:
            os.unlink(os.path.join(directory, name))
    except OSError as error:
        raise Usage(f"--record {directory}: {error.strerror}") from error
    return directory


def run(directory, setup, log_path=None, sinks=None, kind=Guest,
        log_all=False, execute=None, **options):
    """Run and record; the Ending.  execute: instead of Guest.run."""
    directory = prepare(directory)
    machine.check_disk(machine.RECORD_DISK, directory)
    # From now on it is a recording's, even if nobody completes it.
    with open(os.path.join(directory, ABOUT), "w") as file:
        file.write("{}\n")
    names = {machine.MACHINES[setup.arch].image, SYMBOLS}
    built = os.path.dirname(setup.kernel)
    for name in names:
        shutil.copyfile(os.path.join(built, name),
                        os.path.join(directory, name))
    if setup.initrd:
        names.add(INITRD)
        shutil.copyfile(setup.initrd, os.path.join(directory, INITRD))
    line = setup.command_line()
    known = {field.name: getattr(setup, field.name)
             for field in fields(machine.Setup)}
    known |= {"icount": False, "options": ()}
    recorded = Recorded(
        **known, directory=directory, line=" ".join((line, TICK)))
    recorded.kernel = os.path.join(
        directory, machine.MACHINES[setup.arch].image)
    guest = kind(recorded, log_path or os.path.join(
        directory, "console.log"), sinks or {}, log_all)
    start = time.monotonic()
    ending = (execute or Guest.run)(guest, **options)
    if not os.path.exists(os.path.join(directory, LOG)):
        return ending           # it says why QEMU did not begin
    recording = Recording(
        directory, VERSION, qemu_version(setup.arch), setup.arch,
        os.path.basename(built), setup.memory, recorded.line,
        {name: digest(os.path.join(directory, name))
         for name in sorted(names | {LOG})},
        ending.status, ending.reason, guest.panic is not None,
        bool(guest.stopped), round(time.monotonic() - start, 1))
    about = asdict(recording)
    del about["directory"]
    with open(os.path.join(directory, ABOUT), "w") as file:
        json.dump(about, file, indent=4)
        file.write("\n")
    return ending


def load(directory):
    """The Recording, checked."""
    path = os.path.join(directory, ABOUT)
    try:
        with open(path) as file:
            about = json.load(file)
    except OSError as error:
        raise Usage(f"{directory} is no recording: {path}: "
                    f"{error.strerror}") from error
    except ValueError as error:
        raise Usage(f"{directory} is no recording: {path}: "
                    f"{error}") from error
    try:
        recording = Recording(os.path.abspath(directory), **about)
    except TypeError as error:
        raise Usage(f"{path} is not complete, or another version's; record "
                    "again") from error
    recording.check()
    return recording


def write_qcow2(path):
    """An empty image, which QEMU wants to keep snapshots in: the header, a
    table of reference counts with its one block, a table of clusters (QEMU,
    docs/interop/qcow2.txt)."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, CLUSTER,
                         0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0)
    clusters = (header, struct.pack(">Q", 2 * CLUSTER),
                struct.pack(">4H", 1, 1, 1, 1), b"")
    with open(path, "wb") as file:
        for content in clusters:
            file.write(content.ljust(CLUSTER, b"\0"))
