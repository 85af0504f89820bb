# SPDX-License-Identifier: BSD-2-Clause
"""Can a kernel of ours run this file?  If not: why, and what to do."""

import os
import struct

MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243}
NAMES = {number: name for name, number in MACHINES.items()} | {
    3: "i386", 8: "mips", 20: "powerpc", 21: "powerpc64", 22: "s390",
    40: "arm", 258: "loongarch"}

ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
PT_INTERP = 3
EHDR = struct.Struct("<HHIQQQIHHHHHH")      # behind e_ident
PHDR = struct.Struct("<IIQQQQQQ")


class Unfit(Exception):
    """The text names the file and the fix."""


def read(path):
    if not os.path.exists(path):
        raise Unfit(f"{path}: no such file")
    if os.path.isdir(path):
        raise Unfit(f"{path} is a directory; name a program in it")
    if not os.path.isfile(path):
        raise Unfit(f"{path} is no regular file; name a program")
    if not os.access(path, os.R_OK):
        raise Unfit(f"{path} cannot be read: chmod +r {path}")
    if not os.access(path, os.X_OK):
        raise Unfit(f"{path} is not executable: chmod +x {path}")
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:2] == b"#!":
            raise Unfit(f"{path} is a script; run its interpreter, a static "
                        "program, with the script as --file and argument")
        if head[:4] != b"\x7fELF":
            raise Unfit(f"{path} is not an ELF program; build it with a "
                        "Linux compiler, static")
        if len(head) < 64:
            raise Unfit(f"{path} is cut off in its ELF header; build it "
                        "again")
        return head, file.read()


def check(path, arch):
    """Returns if path is a static program for arch, else raises Unfit."""
    head, rest = read(path)
    (kind, machine, _, _, phoff, _, _, _, phentsize, phnum, _, _,
     _) = EHDR.unpack_from(head, 16)
    if head[4] != 2 or head[5] != 1:
        # In a big-endian file the machine's bytes are swapped.
        raise Unfit(f"{path} is no 64-bit little-endian program; build it "
                    f"with {arch}-linux-gnu-gcc -static")
    if machine != MACHINES[arch]:
        name = NAMES.get(machine, f"machine {machine}")
        fix = (f"--arch {name}" if name in MACHINES
               else f"build it with {arch}-linux-gnu-gcc -static")
        raise Unfit(f"{path} is a program for {name}, not {arch}: {fix}")
    if kind == ET_REL:
        raise Unfit(f"{path} is an object file; link it, with -static")
    if kind not in (ET_EXEC, ET_DYN):
        raise Unfit(f"{path} is no program (ELF type {kind})")
    if phentsize != PHDR.size or phnum == 0:
        raise Unfit(f"{path} has no program headers; build it again")
    data = head + rest
    if phoff + phnum * PHDR.size > len(data):
        raise Unfit(f"{path} is cut off in its program headers; build it "
                    "again")
    for i in range(phnum):
        kind_of, _, offset, _, _, size, _, _ = PHDR.unpack_from(
            data, phoff + i * PHDR.size)
        if kind_of == PT_INTERP:
            loader = data[offset:offset + size].rstrip(b"\0")
            raise Unfit(f"{path} is dynamically linked (it wants "
                        f"{loader.decode(errors='replace')}); link it with "
                        "-static")


def fits(path, arch):
    try:
        check(path, arch)
    except Unfit:
        return False
    return True
