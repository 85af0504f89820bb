# SPDX-License-Identifier: BSD-2-Clause
"""KVM or TCG: KVM is believed only once it has booted our kernel."""

import os
import platform
import tempfile

import machine
from guest import CannotStart, Guest
from initrd import Archive
from packages import say

SECONDS = 20


def probe(arch, flavour):
    """Why KVM does not do here; "" if it does."""
    if platform.machine() != arch:
        return f"KVM runs {platform.machine()} here, not {arch}"
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened; as root: chmod a+rw /dev/kvm"
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
