# SPDX-License-Identifier: BSD-2-Clause
"""What pal needs, by Debian package name, and installing it."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def say(text):
    """Progress goes to standard error: standard output is the answer."""
    print(f"pal: {text}", file=sys.stderr, flush=True)


class Missing(Exception):
    """Something is missing that pal cannot install."""


@dataclass
class Need:
    package: str
    why: str
    present: Callable[[], bool]
    # build: to build anything; host: to test on the host; an architecture:
    # to boot its kernel and build programs for it; plots: only for those.
    group: str


def command(*names):
    return lambda: all(shutil.which(name) for name in names)


def sanitizers_present():
    """Clang says where its runtimes are; the bare name means nowhere."""
    if not shutil.which("clang"):
        return False
    for name in ("libclang_rt.asan-x86_64.a", "libclang_rt.asan.a",
                 "libclang_rt.asan-aarch64.a"):
        path = subprocess.run(["clang", f"-print-file-name={name}"],
                              capture_output=True, text=True).stdout.strip()
        if os.path.isabs(path) and os.path.exists(path):
            return True
    return False


def valgrind_present():
    return bool(shutil.which("valgrind")) and os.path.exists(
        "/usr/include/valgrind/callgrind.h")


def file(*paths):
    return lambda: any(os.path.exists(path) for path in paths)


def static_libc_present(compiler):
    """A compiler says where its archives are; the bare name: nowhere."""
    def present():
        if not shutil.which(compiler):
            return False
        path = subprocess.run([compiler, "-print-file-name=libc.a"],
                              capture_output=True, text=True).stdout.strip()
        return os.path.isabs(path) and os.path.exists(path)
    return present


# On another host than x86, its package is named as the others are.
X86_GCC = "x86_64-linux-gnu-gcc"
X86_HOST = platform.machine() == "x86_64"
FIRMWARE = file("/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
                "/usr/lib/riscv64-linux-gnu/opensbi")


# What several groups need stands in each.
NEEDS = [
    Need("clang", "the compiler", command("clang"), "build"),
    Need("lld", "the linker", command("ld.lld"), "build"),
    Need("cmake", "the build system", command("cmake", "ctest"), "build"),
    Need("ninja-build", "runs the build", command("ninja"), "build"),
    Need("llvm", "kernel images, symbols in reports, the cross check",
         command("llvm-symbolizer", "llvm-nm", "llvm-readelf",
                 "llvm-objcopy"), "build"),
    Need("libclang-rt-14-dev", "sanitizers and libFuzzer",
         sanitizers_present, "host"),
    Need("libc6-dev", "the host's C library headers",
         file("/usr/include/stdio.h"), "host"),
    Need("valgrind", "counts instructions", valgrind_present, "host"),
    Need("spin", "checks docs/model", command("spin"), "host"),
    Need("gcc", "compiles what spin generates", command("gcc"), "host"),
    Need("gdb-multiarch", "looks into the kernels",
         command("gdb-multiarch"), "host"),
    Need("qemu-system-x86", "the x86_64 machine",
         command("qemu-system-x86_64"), "x86_64"),
    Need("gcc" if X86_HOST else "gcc-x86-64-linux-gnu",
         "programs for x86_64", command(X86_GCC), "x86_64"),
    Need("libc6-dev" if X86_HOST else "libc6-dev-amd64-cross",
         "the static C library for x86_64",
         static_libc_present(X86_GCC), "x86_64"),
    Need("qemu-system-arm", "the aarch64 machine",
         command("qemu-system-aarch64"), "aarch64"),
    Need("gcc-aarch64-linux-gnu", "programs for aarch64",
         command("aarch64-linux-gnu-gcc"), "aarch64"),
    Need("libc6-dev-arm64-cross", "the static C library for aarch64",
         static_libc_present("aarch64-linux-gnu-gcc"), "aarch64"),
    Need("qemu-system-misc", "the riscv64 machine",
         command("qemu-system-riscv64"), "riscv64"),
    Need("opensbi", "the riscv64 machine's firmware",
         FIRMWARE, "riscv64"),
    Need("gcc-riscv64-linux-gnu", "programs for riscv64",
         command("riscv64-linux-gnu-gcc"), "riscv64"),
    Need("libc6-dev-riscv64-cross", "the static C library for riscv64",
         static_libc_present("riscv64-linux-gnu-gcc"), "riscv64"),
    Need("gnuplot-nox", "draws the plots of ./pal bench",
         command("gnuplot"), "plots"),
]

GROUPS = ("build", "host", "x86_64", "aarch64", "riscv64")
# Installed when asked for, and not by setup.
OPTIONAL = ("plots",)


def missing(groups):
    found = {}
    for need in NEEDS:
        if need.group in groups and need.package not in found \
                and not need.present():
            found[need.package] = need
    return list(found.values())


def apt_get(*args):
    """apt-get as root, through sudo if that asks no password."""
    prefix = []
    if os.geteuid() != 0:
        prefix = ["sudo", "-n"]
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        return subprocess.run([*prefix, "apt-get", "-q", *args],
                              env=env, stdout=sys.stderr).returncode == 0
    except FileNotFoundError:
        return False


def install(groups=GROUPS):
    """Install what is missing; say what and why, or raise Missing."""
    needs = missing(groups)
    if not needs:
        return
    names = [need.package for need in needs]
    for need in needs:
        say(f"{need.package} is missing ({need.why})")
    by_hand = "apt-get install " + " ".join(names)
    if not shutil.which("apt-get"):
        raise Missing(f"no apt-get here; install what {by_hand} would")
    say(by_hand)
    arguments = ["install", "-y", "--no-install-recommends", *names]
    if not (apt_get("update") and apt_get(*arguments)):
        raise Missing(f"that failed; as root: {by_hand}")
    still = [need.package for need in missing(groups)]
    if still:
        raise Missing("installed, yet not found: " + " ".join(still))


def check(groups=GROUPS):
    """Without installing: raise Missing with the command that would."""
    needs = missing(groups)
    if needs:
        raise Missing(
            "missing: " + ", ".join(f"{need.package} ({need.why})"
                                    for need in needs)
            + "; as root: apt-get install "
            + " ".join(need.package for need in needs))
