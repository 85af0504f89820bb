# SPDX-License-Identifier: BSD-2-Clause
"""What the host build needs, by Debian package name, and installing it."""

import os
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


NEEDS = [
    Need("clang", "the compiler", command("clang")),
    Need("lld", "the linker", command("ld.lld")),
    Need("cmake", "the build system", command("cmake", "ctest")),
    Need("ninja-build", "runs the build", command("ninja")),
    Need("libclang-rt-14-dev", "sanitizers and libFuzzer",
         sanitizers_present),
    Need("llvm", "symbols in sanitizer reports, the cross check",
         command("llvm-symbolizer", "llvm-nm", "llvm-readelf")),
    Need("libc6-dev", "the host's C library headers",
         lambda: os.path.exists("/usr/include/stdio.h")),
    Need("valgrind", "counts instructions", valgrind_present),
    Need("spin", "checks docs/model", command("spin")),
    Need("gcc", "compiles what spin generates", command("gcc")),
]


def missing():
    return [need for need in NEEDS if not need.present()]


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


def install():
    """Install what is missing; say what and why, or raise Missing."""
    needs = missing()
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
    still = [need.package for need in missing()]
    if still:
        raise Missing("installed, yet not found: " + " ".join(still))


def check():
    """Without installing: raise Missing with the command that would."""
    names = [need.package for need in missing()]
    if names:
        raise Missing("missing packages; as root: apt-get install "
                      + " ".join(names))
