# SPDX-License-Identifier: BSD-2-Clause
"""What the cross-compiled VM core asks of a kernel: symbols.py ARCHIVE ARCH

The core and a pmap link by themselves but for the kernel's port (kern_*,
mi/vm_kern.h) and the functions that a compiler may call on its own.
"""

import argparse
import re
import subprocess
import sys

import ktap

COMPILERS = {"memset", "memcpy", "memcmp", "memmove"}
# kern_*: vm_kern.h.  The rest of pt_md.h is the machine's own; this one wants
# an interrupt on another CPU, so a kernel has it once for all its machines.
PORT = re.compile(r"kern_\w+$|pmap_md_reload$")
MACHINE = {"x86_64": "X86-64", "aarch64": "AArch64", "riscv64": "RISC-V"}


def tool(*argv):
    return subprocess.run(argv, capture_output=True, text=True,
                          check=True).stdout


def undefined(archive):
    """Symbols that some object uses and none defines, with the users."""
    defined, used = set(), {}
    for line in tool("llvm-nm", "-A", "--no-weak", archive).splitlines():
        where, _, rest = line.rpartition(": ")
        fields = rest.split()
        if fields[-2] == "U":
            used.setdefault(fields[-1], where.split(":")[-1])
        elif fields[-2].isupper():
            defined.add(fields[-1])
    return {name: user for name, user in used.items()
            if name not in defined}


def check_symbols(args):
    return [f"{user} uses {name}, which no kernel is asked for "
            "(mi/vm_kern.h)"
            for name, user in sorted(undefined(args.archive).items())
            if name not in COMPILERS and not PORT.match(name)]


def check_machine(args):
    text = tool("llvm-readelf", "-h", args.archive)
    found = set(re.findall(r"^\s*Machine:\s+(.*)$", text, re.M))
    return [f"object for {name}" for name in found
            if MACHINE[args.arch] not in name.replace("AMD x86", "X86")
            and MACHINE[args.arch] not in name]


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("arch", choices=sorted(MACHINE))
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("--seed")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    checks = {"compiled-for-the-machine": check_machine,
              "needs-only-the-kernel-port": check_symbols}
    printer = ktap.Printer(list(checks), args.pattern)
    for name in printer.names:
        printer.result(name, checks[name](args))
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
