# SPDX-License-Identifier: BSD-2-Clause
"""KVM or TCG: KVM is believed only once it has booted our kernel."""

import os
import platform
import re
import tempfile

import machine
from guest import CannotStart, Guest
from initrd import Archive
from packages import say

SECONDS = 20
CPUINFO = "/proc/cpuinfo"


def virtualizes(cpuinfo):
    """Does the processor run guests itself, by what the host's Linux says of
    it?  Where it does not, a KVM there interprets the guest's kernel."""
    flags = re.search(r"^flags\s*:(.*)", cpuinfo, re.M)
    return not flags or not {"vmx", "svm"}.isdisjoint(flags[1].split())


def interpreted():
    """A remark for KVMs that are no measure of the processor, or ""."""
    with open(CPUINFO) as file:
        if virtualizes(file.read()):
            return ""
    return ("the processor has neither vmx nor svm here, so KVM interprets "
            "the guest's kernel in software")


def absent(arch):
    """Why there is no KVM for it; "" if it is worth a boot."""
    if platform.machine() != arch:
        return f"KVM runs {platform.machine()} here, not {arch}"
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened; as root: chmod a+rw /dev/kvm"
    return ""


def probe(arch, flavour):
    """Why KVM does not do here; "" if it does."""
    if why := absent(arch):
        return why
    log = os.path.join(machine.BUILD, "logs", f"kvm-{os.getpid()}.log")
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        initrd = os.path.join(directory, "initrd")
        archive = Archive()
        archive.file(machine.user_path(arch, "hello"), "/bin/hello")
        archive.first_program(["/bin/hello"], [])
        archive.write(initrd)
        setup = machine.Setup(arch, machine.kernel_path(arch, flavour),
                              initrd, archive.first, accel="kvm")
        try:
            ending = Guest(setup, log, {}).run(limit=SECONDS)
        except CannotStart as error:
            return str(error)
    if ending.ok:
        return ""
    why = ending.reason or f"/bin/hello ended with status {ending.status}"
    why = "; ".join(filter(None, (why, interpreted())))
    return f"the kernel does not boot under KVM: {why} ({log})"


def choose(accel, arch, icount, flavour):
    """tcg or kvm for a machine, or machine.Bad."""
    if accel == "tcg" or (accel == "auto" and icount):
        return "tcg"
    if icount:
        raise machine.Bad("KVM cannot count instructions; leave out --icount "
                          "or --accel kvm")
    why = probe(arch, flavour)
    if not why:
        return "kvm"
    if accel == "kvm":
        raise machine.Bad(f"{why}; use --accel tcg")
    if platform.machine() == arch:
        say(f"{arch}: {why}; using TCG")
    return "tcg"
