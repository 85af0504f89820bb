# SPDX-License-Identifier: BSD-2-Clause
"""The rules that a compiler does not check; each is one test case.

Layers stay apart, nothing but a port names an architecture, and files,
functions and ports stay small enough to be read.
"""

import argparse
import os
import re
import subprocess
import sys

import ktap
from packages import ROOT

ARCHES = ("x86_64", "aarch64", "riscv64")
FREESTANDING = {f"std{name}.h" for name in (
    "atomic", "bool", "def", "int", "arg", "align", "noreturn")} | {
        "limits.h", "float.h", "iso646.h"}

MAX_LINE = 80
MAX_FUNCTION = 70
MAX_FILE = 800
MAX_PORT = 500
MAX_PMAP_FUNCTIONS = 16

C_FILE = (".c", ".h", ".S")
SOURCE = C_FILE + (".py", ".sh", ".cmake", ".ld", ".pml", "CMakeLists.txt",
                   "/pal", ".ci/run")

ARCH_NAME = re.compile(r"__x86_64__|__aarch64__|__riscv|__amd64__|_M_X64")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# In pieces, so that this file obeys its own rule.
UNFINISHED = re.compile(r"\b(?:TO" "DO|FIX" "ME|XX" "X|HA" "CK)\\b")


class Tree:
    """The project's files: what git tracks or could, else a walk."""

    def __init__(self, root):
        self.root = root
        self.texts = {}
        self.names = sorted(name for name in self.find()
                            if os.path.isfile(os.path.join(root, name)))

    def find(self):
        git = self.git_files()
        return self.walk() if git is None else git

    def git_files(self):
        """None where git is missing or does not know this tree."""
        try:
            done = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard"], cwd=self.root, capture_output=True,
                text=True)
        except FileNotFoundError:
            return None
        if done.returncode != 0:
            return None
        return set(done.stdout.split("\0")) - {""}

    def walk(self):
        for path, directories, files in os.walk(self.root):
            directories[:] = [d for d in directories
                              if d not in (".git", "build", "__pycache__")]
            for name in files:
                yield os.path.relpath(os.path.join(path, name), self.root)

    def select(self, directories, suffixes=C_FILE):
        """Files under any of the directories ("" means the whole tree)."""
        return [name for name in self.names
                if ("/" + name).endswith(tuple(suffixes))
                and any(not d or name.startswith(d + "/")
                        for d in directories)]

    def text(self, name):
        if name not in self.texts:
            with open(os.path.join(self.root, name),
                      errors="replace") as file:
                self.texts[name] = file.read()
        return self.texts[name]

    def lines(self, name):
        return enumerate(self.text(name).splitlines(), 1)

    def includes(self, name):
        """(line number, < or ", header) of each include."""
        for number, line in self.lines(name):
            if match := INCLUDE.match(line):
                yield number, match[1], match[2]


def without_comments(text):
    """C text with comments blanked, lines kept."""
    def blank(match):
        if match[0].startswith("/"):
            return re.sub(r"[^\n]", " ", match[0])
        return match[0]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text,
                  flags=re.S)


def arch_names(tree):
    """Only ports, tests and tools name an architecture."""
    exempt = tuple(f"{top}/{arch}/" for top in ("pmap", "boot")
                   for arch in ARCHES) + ("tests/", "tools/", "docs/", "bench/",
                                          "cmake/")
    arch_header = re.compile(
        r"(?:^|/)(?:" + "|".join(ARCHES) + r"|asm|arm_\w+|\w+intrin)(?:/|\.h)")
    for name in tree.select([""]):
        if name.startswith(exempt):
            continue
        code = without_comments(tree.text(name))
        for number, line in enumerate(code.splitlines(), 1):
            if found := ARCH_NAME.search(line):
                yield f"{name}:{number}: names an architecture: {found[0]}"
        for number, _, header in tree.includes(name):
            if arch_header.search(header):
                yield (f"{name}:{number}: includes an architecture's "
                       f"header: {header}")


def allowed_includes(tree, directory, quoted, angled):
    """Includes under directory that are in neither set."""
    for name in tree.select([directory]):
        for number, mark, header in tree.includes(name):
            allowed = quoted if mark == '"' else angled
            if header not in allowed:
                close = ">" if mark == "<" else '"'
                yield (f"{name}:{number}: {directory}/ may not include "
                       f"{mark}{header}{close}")


def headers(tree, directory):
    return {os.path.relpath(name, directory)
            for name in tree.select([directory], [".h"])}


def mi_includes(tree):
    """mi/ sees its own headers, freestanding ones and <vm_kern_md.h>."""
    yield from allowed_includes(tree, "mi", headers(tree, "mi"),
                                FREESTANDING | {"vm_kern_md.h"})


def common_includes(tree):
    """pmap/common sees mi/, itself and the chosen port's two headers."""
    yield from allowed_includes(
        tree, "pmap/common",
        headers(tree, "mi") | headers(tree, "pmap/common"),
        FREESTANDING | {"pte.h", "pmap_md.h"})


def port_size(arch):
    """A rule: the port of one architecture stays small."""
    def rule(tree):
        files = tree.select([f"pmap/{arch}"])
        raw = code = 0
        for name in files:
            raw += len(tree.text(name).splitlines())
            code += sum(bool(line.strip()) for line in
                        without_comments(tree.text(name)).splitlines())
        print(f"# pmap/{arch}: {code} lines of code, {raw} with comments "
              "and blank lines")
        if code > MAX_PORT:
            yield (f"pmap/{arch} has {code} lines of code, more than "
                   f"{MAX_PORT}: what can move to pmap/common?")
    return rule


def file_length(tree):
    """No file of the kernel is longer than a reader's patience."""
    for name in tree.select(["mi", "pmap", "kern"]):
        length = len(tree.text(name).splitlines())
        if length > MAX_FILE:
            yield f"{name}: {length} lines, more than {MAX_FILE}"


def function_length(tree):
    """Functions, from { to } in column 0, fit on a screen or two."""
    for name in tree.select(["mi", "pmap", "kern"]):
        start = None
        for number, line in tree.lines(name):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start is not None:
                length = number - start + 1
                if length > MAX_FUNCTION:
                    yield (f"{name}:{start}: a function of {length} lines, "
                           f"more than {MAX_FUNCTION}")
                start = None


def line_length(tree):
    for name in tree.select(["mi", "pmap"]):
        for number, line in tree.lines(name):
            if len(line.expandtabs()) > MAX_LINE:
                yield (f"{name}:{number}: {len(line.expandtabs())} columns, "
                       f"more than {MAX_LINE}")


def spdx(tree):
    """The licence is in the first lines of every source."""
    for name in tree.select([""], SOURCE):
        head = tree.text(name).splitlines()[:3]
        if not any("SPDX-License-Identifier: BSD-2-Clause" in line
                   for line in head):
            yield (f"{name}: no SPDX-License-Identifier: BSD-2-Clause in "
                   "its first three lines")


def nothing_unfinished(tree):
    for name in tree.select([""], SOURCE):
        for number, line in tree.lines(name):
            if found := UNFINISHED.search(line):
                yield f"{name}:{number}: {found[0]}: do it or drop it"


def pmap_functions(text):
    """The names that a header declares as functions."""
    code = without_comments(text)
    code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", code, flags=re.M)
    code = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", code, flags=re.S)
    while (flat := re.sub(r"\{[^{}]*\}", ";", code)) != code:
        code = flat
    names = (re.match(r"[^(]*?(\w+)\s*\(", part, re.S)
             for part in code.split(";"))
    return sorted({name[1] for name in names if name})


def contract_size(tree):
    """pmap.h is a contract that a porter can hold in mind."""
    name = "mi/pmap.h"
    if name not in tree.names:
        yield f"{name} is missing"
        return
    functions = pmap_functions(tree.text(name))
    print(f"# {name}: {len(functions)} functions")
    if len(functions) > MAX_PMAP_FUNCTIONS:
        yield (f"{name}: {len(functions)} functions, more than "
               f"{MAX_PMAP_FUNCTIONS}: " + " ".join(functions))


RULES = {
    "architecture-names": arch_names,
    "mi-includes": mi_includes,
    "common-includes": common_includes,
    **{f"port-size-{arch}": port_size(arch) for arch in ARCHES},
    "file-length": file_length,
    "function-length": function_length,
    "line-length": line_length,
    "spdx": spdx,
    "nothing-unfinished": nothing_unfinished,
    "pmap-contract-size": contract_size,
}


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="pattern", help="only matching rules")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--root", default=ROOT, help="another tree")
    parser.add_argument("--seed", help="accepted, as by every test")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    if args.list:
        print("\n".join(RULES))
        return 0
    tree = Tree(args.root)
    printer = ktap.Printer(list(RULES), args.pattern)
    for name in printer.names:
        printer.result(name, list(RULES[name](tree)))
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
