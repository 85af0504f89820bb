# SPDX-License-Identifier: BSD-2-Clause
"""The system calls of kern/unix, and whether docs/unix.md tells of them.

    calls.py            a table: name, number on each machine, source
    calls.py --missing  the names of Linux's calls that are not there
    calls.py --check    KTAP: document and code agree (the run docs/calls)
"""

import argparse
import glob
import os
import re
import sys

import ktap
from machine import ARCHES
from packages import ROOT

DOCUMENT = "docs/unix.md"
INCLUDED = re.compile(r'^#include "(\w+\.h)"$', re.M)
CALL = re.compile(r"\bCALL\((?:(\d+),\s*)?(\w+)\)")
DEFINED = re.compile(r"^sys_(\w+)\(", re.M)
MACH = re.compile(r"\bMACH_(VM_\w+)\b")


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def sources():
    """name -> file that defines sys_<name>, in its directory."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "kern/unix/*.c"))):
        name = os.path.relpath(path, ROOT)
        for call in DEFINED.findall(read(name)):
            found[call] = os.path.basename(name)
    return found


def numbers(arch, path="unix_calls.h"):
    """name -> number, of all calls of that machine's Linux."""
    where = f"boot/{arch}/{path}"
    if not os.path.exists(os.path.join(ROOT, where)):
        where = f"boot/common/{path}"
    text = read(where)
    calls = {name: int(number) for number, name in CALL.findall(text)}
    for included in INCLUDED.findall(text):
        calls.update(numbers(arch, included))
    return calls


def mach_calls():
    body = re.search(r"enum mach_call \{(.*?)\}", read("kern/mach/mach.h"),
                     re.S)[1]
    return [name.lower() for name in MACH.findall(body)]


def section(title):
    """(table rows, other text) of a second-level section."""
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", read(DOCUMENT),
                      re.M | re.S)
    if not found:
        return [], ""
    lines = found[1].splitlines()
    return ([line for line in lines if line.startswith("|")],
            "\n".join(line for line in lines if not line.startswith("|")))


def documented(title):
    """The names in backticks in the first column of a section's tables."""
    rows, _ = section(title)
    return [name for row in rows
            for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def differences(told, there, what):
    for name in sorted(set(there) - set(told)):
        yield f"{what} {name} is there, but {DOCUMENT} does not say so"
    for name in sorted(set(told) - set(there)):
        yield f"{DOCUMENT} tells of {what} {name}, which is not there"
    for name in sorted({name for name in told if told.count(name) > 1}):
        yield f"{DOCUMENT} tells of {what} {name} twice"


def check_calls():
    return list(differences(documented("Calls"), sources(), "the call"))


def check_machines():
    """Calls that only some machines have are named as such."""
    _, text = section("Calls")
    problems = []
    tables = {arch: numbers(arch) for arch in ARCHES}
    for arch in ARCHES:
        line = re.search(rf"^Only {arch}: (.*?)\.$", text, re.M | re.S)
        told = re.findall(r"`(\w+)`", line[1]) if line else []
        only = [name for name in sources() if name in tables[arch]
                and not any(name in tables[a] for a in ARCHES if a != arch)]
        problems += differences(told, only, f"{arch}'s call")
        line = re.search(rf"^Not {arch}: (.*?)\.$", text, re.M | re.S)
        told = re.findall(r"`(\w+)`", line[1]) if line else []
        lacks = [name for name in sources() if name not in tables[arch] and
                 all(name in tables[a] for a in ARCHES if a != arch)]
        problems += differences(told, lacks, f"call not on {arch}:")
    return problems


def check_prototypes():
    """calls.h lists what is there, and nothing else."""
    listed = [name for _, name in CALL.findall(read("kern/unix/calls.h"))]
    there = sources()
    return [f"calls.h lists {name}, which nobody defines"
            for name in listed if name != "name" and name not in there]


def check_mach():
    return list(differences(documented("Mach calls"), mach_calls(),
                            "Mach's call"))


def check_reachable():
    """Each is a call of some machine's Linux, or cannot be called."""
    known = {name for arch in ARCHES for name in numbers(arch)}
    return [f"sys_{name} has no number on any machine"
            for name in sorted(set(sources()) - known)]


CHECKS = {"calls": check_calls, "machines": check_machines,
          "prototypes": check_prototypes, "mach": check_mach,
          "reachable": check_reachable}


def show():
    tables = [numbers(arch) for arch in ARCHES]
    print(f"{'call':24}" + "".join(f"{arch:>9}" for arch in ARCHES)
          + "  source")
    for name, source in sorted(sources().items()):
        cells = "".join(f"{table.get(name, '-'):>9}" for table in tables)
        print(f"{name:24}{cells}  kern/unix/{source}")
    print(f"{len(sources())} calls")


def main(argv):
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true")
    p.add_argument("--missing", action="store_true")
    p.add_argument("-k", dest="pattern", help="only matching checks")
    p.add_argument("--seed", help="accepted, as by every test")
    p.add_argument("--long", action="store_true")
    args = p.parse_args(argv)
    if args.missing:
        known = {name for arch in ARCHES for name in numbers(arch)}
        print("\n".join(sorted(known - set(sources()))))
        return 0
    if not args.check:
        show()
        return 0
    printer = ktap.Printer(list(CHECKS), args.pattern)
    for name in printer.names:
        printer.result(name, CHECKS[name]())
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
