# SPDX-License-Identifier: BSD-2-Clause
"""The machines: QEMU's command line for each architecture.

One CPU, RAM, a serial line, and a way to leave with an exit status; no
disks, no network.  What a machine really has is told to the kernel by its
firmware or device tree.
"""

import os
import re
import shutil
import signal
import time
from dataclasses import dataclass

from packages import ROOT

BUILD = os.path.join(ROOT, "build")
MIN_MEMORY = 64 << 20
DEFAULT_MEMORY = 1 << 30
RECORD_DISK = 128 << 20         # what a recorded run may come to
# The date of a counting machine (2024-01-01), as in the bench's rules.
ICOUNT_DATE = 1704067200
ICOUNT = ["-icount", "shift=0,sleep=off", "-seed", "1",
          "-rtc", "base=2024-01-01,clock=vm"]
# What is measured is the processor that is there.  Some KVMs refuse a guest
# the register that tells which faults it is free of (MSR 0x10a), and QEMU
# then aborts.
KVM_CPU = {"x86_64": "host,-arch-capabilities"}


class Bad(Exception):
    """A machine that cannot be had; the text names the fix."""


@dataclass(frozen=True)
class Machine:
    arch: str
    image: str              # which of the kernel's two files boots
    cpu: str                # with all that QEMU can emulate of it
    options: tuple          # beside what all machines have
    max_memory: int

    @property
    def qemu(self):
        return f"qemu-system-{self.arch}"

    def status(self, code):
        """The kernel's exit status from QEMU's; None: not the kernel's."""
        if self.arch != "x86_64":
            return code if code >= 0 else None
        # The debug port can only make odd numbers.
        return code >> 1 if code >= 0 and code & 1 else None


MACHINES = {
    "x86_64": Machine("x86_64", "kernel", "max", (
        "-M", "q35", "-device", "isa-debug-exit,iobase=0x501,iosize=1"),
        64 << 30),
    "aarch64": Machine("aarch64", "kernel.bin", "max", (
        "-M", "virt", "-semihosting-config", "enable=on,target=native"),
        255 << 30),
    "riscv64": Machine("riscv64", "kernel", "rv64", ("-M", "virt"),
                       64 << 30),
}
ARCHES = tuple(MACHINES)


def kernel_path(arch, flavour):
    return os.path.join(BUILD, "kernel", arch, flavour,
                        MACHINES[arch].image)


def user_path(arch, name=""):
    return os.path.join(BUILD, "user", arch, name)


def size(text):
    """Bytes of "512M" or "2G"; a number alone counts MiB, as in QEMU."""
    match = re.fullmatch(r"(\d+)([KMGkmg]?)(?:i?[Bb])?", text)
    if not match:
        raise ValueError
    shift = {"K": 10, "M": 20, "G": 30}[match[2].upper() or "M"]
    return int(match[1]) << shift


def mib(count):
    return f"{count >> 20} MiB"


def available_memory():
    """What this host can still give, in bytes; None: it does not say."""
    try:
        with open("/proc/meminfo") as file:
            found = re.search(r"^MemAvailable:\s+(\d+) kB", file.read(),
                              re.M)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None


def check_memory(arch, memory):
    """Is that a machine that the architecture and this host can have?"""
    if memory < MIN_MEMORY:
        raise Bad(f"--mem {mib(memory)} is too small; the least is "
                  f"{MIN_MEMORY >> 20}M")
    if memory & 0xfffff:
        raise Bad(f"--mem {memory >> 10}K is no whole number of MiB")
    if memory > MACHINES[arch].max_memory:
        raise Bad(f"--mem {mib(memory)} is more than QEMU's {arch} machine "
                  f"can have; the most is {MACHINES[arch].max_memory >> 30}G")
    there = available_memory()
    if there is not None and memory > there:
        raise Bad(f"--mem {mib(memory)} is more than this computer has free "
                  f"({mib(there)}); give less")


def check_disk(need, directory=BUILD):
    """Room for that many bytes under build/?"""
    os.makedirs(directory, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < need:
        raise Bad(f"{directory} has {mib(free)} free, {mib(need)} are "
                  "needed; free some space there")


def check_qemu(arch):
    if not shutil.which(MACHINES[arch].qemu):
        package = {"x86_64": "x86", "aarch64": "arm"}.get(arch, "misc")
        raise Bad(f"{MACHINES[arch].qemu} is not installed; as root: "
                  f"apt-get install qemu-system-{package}")


@dataclass
class Setup:
    """What a machine is started with."""
    arch: str
    kernel: str
    initrd: str | None = None
    first: str | None = None        # the first program's guest path
    memory: int = DEFAULT_MEMORY
    options: tuple = ()             # further "name=value" for the kernel
    icount: bool = False
    accel: str = "tcg"

    # How QEMU is told to end; how many bytes it takes at once, and the pause
    # after them.
    end_signal = signal.SIGKILL
    input_pace = (1 << 20, 0.0)

    def command(self):
        machine = MACHINES[self.arch]
        # A process that dies takes its machine along.
        argv = ["setpriv", "--pdeathsig", "KILL"]
        if not shutil.which(argv[0]):
            argv = []
        argv += [machine.qemu, *machine.options,
                 "-cpu", machine.cpu if self.accel == "tcg"
                 else KVM_CPU.get(self.arch, "host"),
                 "-accel", self.accel, "-smp", "1",
                 "-m", f"{self.memory >> 20}M", "-display", "none",
                 "-nodefaults", "-no-reboot", "-monitor", "none",
                 "-chardev", "stdio,id=console,signal=off",
                 "-serial", "chardev:console", "-kernel", self.kernel,
                 "-append", self.command_line()]
        if self.initrd:
            argv += ["-initrd", self.initrd]
        if self.icount:
            argv += ICOUNT
        return argv

    @property
    def symbols(self):
        """The ELF file; where a flat image is booted, it lies beside."""
        return os.path.join(os.path.dirname(self.kernel), "kernel")

    def command_line(self):
        date = ICOUNT_DATE if self.icount else int(time.time())
        words = ["console=mux", f"time={date}", *self.options]
        if self.first:
            words.append(f"init={self.first}")
        return " ".join(words)
