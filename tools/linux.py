# SPDX-License-Identifier: BSD-2-Clause
"""Debian 13's Linux kernel, to be measured beside ours.

apt-get fetches the package by name into build/linux/, with lists of its own
there: nothing of the host's apt changes and nothing is installed.  It checks
that the archive's Release file is signed by a key of debian-archive-keyring
and that the hashes lead from there to the package.  The kernel is unpacked
from it with dpkg-deb and kept, so the next time needs no network.
"""

import glob
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass

import machine
from guest import kvm_error
from initrd import Archive
from packages import say

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DIRECTORY = os.path.join(machine.BUILD, "linux")
DISK = 600 << 20
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}
CONSOLE = {"x86_64": "ttyS0", "aarch64": "ttyAMA0", "riscv64": "ttyS0"}
# Its fastest setting.  Without erms it clears pages by rep stosq: QEMU
# counts every byte of rep stosb.  A real processor is not told so.
OPTIONS = ("quiet", "mitigations=off", "init_on_alloc=0")
OPTIONS_OF = {("x86_64", "tcg"): ("clearcpuid=erms",)}
# Signing pointers is one instruction however QEMU does it; its default way
# takes most of the host's time, since Linux signs every return address.
CPU = {"aarch64": "max,pauth-impdef=on"}


class NoLinux(Exception):
    """One line: why there is no Linux kernel to measure."""


def mirror(texts):
    """The mirror that this host's apt has for Debian itself, from the
    texts of its sources, in either of their formats."""
    for text in texts:
        for line in text.splitlines():
            found = re.match(r"(?:deb\s+(?:\[[^]]*\]\s*)?|URIs:\s*)"
                             r"(https?://\S+)", line.strip())
            if found and re.search(r"/debian/?$", found[1]):
                return found[1].rstrip("/")
    return MIRROR


def host_sources():
    names = ["/etc/apt/sources.list",
             *sorted(glob.glob("/etc/apt/sources.list.d/*"))]
    for name in names:
        try:
            with open(name) as file:
                yield file.read()
        except OSError:
            pass


class Apt:
    """apt with its own lists and cache in directory, for one foreign
    architecture."""

    def __init__(self, directory, debian):
        self.directory = directory
        self.debian = debian
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        if os.path.exists(KEYRING):
            option = f"signed-by={KEYRING}"
        else:
            option = "trusted=yes"
            say("debian-archive-keyring is not installed: whose archive it "
                "is cannot be verified, only that packages fit its lists")
        with open(self._path("sources.list"), "w") as file:
            file.write(f"deb [{option}] {mirror(host_sources())} {SUITE} "
                       "main\n")
        with open(self._path("status"), "w"):
            pass

    def _path(self, name):
        return os.path.join(self.directory, name)

    def run(self, tool, *arguments):
        """Its standard output, or NoLinux with the last thing it said."""
        settings = {
            "Dir::State": self.directory,
            "Dir::State::lists": self._path("lists"),
            "Dir::State::status": self._path("status"),
            "Dir::Cache": self._path("cache"),
            "Dir::Etc::sourcelist": self._path("sources.list"),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self.debian,
            "APT::Architectures": self.debian,
            "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none", "Acquire::Retries": "2"}
        argv = [tool, "-q"]
        for name, value in settings.items():
            argv += ["-o", f"{name}={value}"]
        try:
            done = subprocess.run(
                [*argv, *arguments], cwd=self.directory, text=True,
                capture_output=True, env={**os.environ, "LC_ALL": "C"})
        except FileNotFoundError as error:
            raise NoLinux(f"there is no {tool} here to fetch Linux "
                          "with; leave out --linux") from error
        if done.returncode != 0:
            why = [line for line in done.stderr.splitlines()
                   if line.startswith("E:")] or ["E: it failed"]
            raise NoLinux(f"{tool} {arguments[0]}: {why[0][3:]}; without "
                          "network leave out --linux")
        return done.stdout

    def package(self):
        """The package that the one without a version depends on."""
        self.run("apt-get", "update")
        said = self.run("apt-cache", "depends", f"linux-image-{self.debian}")
        found = re.search(rf"Depends: (linux-image-\S+-{self.debian})$",
                          said, re.M)
        if not found:
            raise NoLinux(f"{SUITE} has no linux-image-{self.debian}; "
                          "leave out --linux")
        return found[1]

    def download(self, package):
        self.run("apt-get", "download", package)
        return glob.glob(self._path(f"{package}_*.deb"))[0]


def unpack(deb, kernel):
    """boot/vmlinu* of the package becomes the file kernel."""
    place = kernel + ".unpacked"
    shutil.rmtree(place, ignore_errors=True)
    done = subprocess.run(["dpkg-deb", "-x", deb, place],
                          capture_output=True, text=True)
    images = [name for name in glob.glob(os.path.join(place, "boot",
                                                      "vmlinu*"))]
    if done.returncode != 0 or len(images) != 1:
        raise NoLinux(f"{deb} does not unpack to one kernel: "
                      f"{done.stderr.strip() or 'no boot/vmlinu*'}")
    os.rename(images[0], kernel)
    shutil.rmtree(place)


def fetch(arch):
    """The kernel's file, from the cache or the archive."""
    directory = os.path.join(DIRECTORY, arch)
    kernel = os.path.join(directory, "vmlinuz")
    if os.path.exists(kernel):
        return kernel
    if not shutil.which("dpkg-deb"):
        raise NoLinux("there is no dpkg-deb here to unpack Linux with; "
                      "leave out --linux")
    machine.check_disk(DISK)
    apt = Apt(os.path.join(directory, "apt"), DEBIAN[arch])
    say(f"{arch}: fetching Linux from Debian {SUITE}")
    package = apt.package()
    say(f"{arch}: downloading {package}")
    unpack(apt.download(package), kernel)
    with open(os.path.join(directory, "package"), "w") as file:
        file.write(package + "\n")
    shutil.rmtree(apt.directory)
    return kernel


@dataclass
class Setup(machine.Setup):
    """A machine for Linux: the same, with its words for the kernel."""
    groups: tuple = ()

    def command(self):
        argv = super().command()
        if self.arch in CPU and self.accel == "tcg":
            argv[argv.index("-cpu") + 1] = CPU[self.arch]
        return argv

    def command_line(self):
        words = [f"console={CONSOLE[self.arch]}", *OPTIONS,
                 *OPTIONS_OF.get((self.arch, self.accel), ())]
        if self.groups:
            words.append("vmbench=" + ",".join(self.groups))
        return " ".join(words)


def archive(program):
    """An initramfs whose /init is vmbench."""
    initramfs = Archive()
    initramfs.file(program, "/init", 0o755)
    return initramfs


def run(setup, log_path, line, limit):
    """Boot; each line goes to line().  Returns why it failed, or ""."""
    argv = ["timeout", "-k", "5", str(limit), *setup.command()]
    ended, said = None, ""
    os.makedirs(os.path.dirname(log_path), exist_ok=True)
    with open(log_path, "w", buffering=1) as log, subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace") as qemu:
        try:
            for text in qemu.stdout:
                log.write(text)
                text = text.rstrip("\r\n")
                if found := re.match(r"VMBENCH-END (-?\d+)$", text):
                    ended = int(found[1])
                line(text)
                said = said + text + "\n" if said or text.startswith(
                    "KVM internal error") else ""
                if why := kvm_error(said):
                    qemu.terminate()    # and timeout QEMU, which waits
                    return f"Linux: {why} ({log_path})"
        except BaseException:
            qemu.kill()
            raise
    if ended is None:
        return f"Linux did not come to the end of vmbench ({log_path})"
    return f"vmbench ended with status {ended} ({log_path})" if ended else ""
