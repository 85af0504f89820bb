# SPDX-License-Identifier: BSD-2-Clause
"""The instructions of one turn of a row of ./pal bench, all of them.

listing.py [--arch ARCH] [--known] [ROW]...

Runs vmbench on the release kernel up to the middle of the row's loop, then
one instruction at a time from one entry of a function of the kernel to the
next, through user mode.  Writes

    docs/listings/ROW-ARCH.txt  how many in which function; and every
                                instruction, loops folded
    docs/listings.md            the former, of all the .txt that are there

Of a turn of more than LONG instructions, the latter is in build/listings/.

--known makes only that summary again.  The kernels and vmbench must be built
(./pal bench builds them).
"""

import argparse
import collections
import os
import re
import sys
import tempfile
import threading
import time

import debug
import machine
from bench_rows import ROOT
from guest import Guest
from initrd import Archive
from trace import KERNEL, MOST, Stub, Symbols

PROGRAM = "vmbench"
OUT = os.path.join(ROOT, "docs", "listings")
SUMMARY = os.path.join(ROOT, "docs", "listings.md")
LONG_OUT = os.path.join(machine.BUILD, "listings")
LONG = 5000
# The function that a fault's entry path calls.
FAULT = {"x86_64": "trap_exception", "aarch64": "trap_user",
         "riscv64": "trap_user"}

# row: group, functions to be reached so many times each, entries a turn of
# the last, what a turn is
ROWS = {
    "null_syscall": ("null", (("sys_getppid", 50),), 1, "a call"),
    "zero_fill": ("zero", (("sys_madvise", 1), ("fault", 20)), 1,
                  "a fault of eight pages"),
    "soft_read_1page": ("soft", (("sys_madvise", 7), ("fault", 20)), 1,
                        "a fault of a page"),
    "soft_read_faultaround": ("soft", (("sys_madvise", 3), ("fault", 300)), 1,
                              "a fault and its neighbours, read after it"),
    "cow_copy": ("cow", (("sys_clone", 1), ("fault", 60)), 1,
                 "a fault of eight pages"),
    "file_cow_write": ("soft", (("sys_madvise", 19), ("fault", 20)), 1,
                       "a fault of a page"),
    "mmap_munmap_1p": ("map", (("sys_mmap", 60),), 1, "both calls"),
    "mmap_touch_munmap_1p": ("map", (
        ("sys_mmap", 30), ("fault", 60), ("sys_mmap", 1)), 1,
        "both calls and the fault"),
    "mprotect_toggle_1p": ("prot", (("sys_mprotect", 301),), 2,
                           "two calls"),
    "fork_exit_wait_0M": ("fork", (("sys_clone", 4),), 1,
                          "fork, exit and wait"),
    "many_mmap": ("many", (("sys_mmap", 3000),), 1, "a call"),
    "many_fault_random": ("many", (("sys_mmap", 30), ("fault", 700)), 1,
                          "a fault of a page"),
    "pipe_pingpong_1cpu": ("ctx", (("sys_write", 100),), 2,
                           "a round trip: four calls, two switches"),
    "userfaultfd_pager_fault": ("upager", (("sys_ioctl", 200),), 1,
                                "a fault and its answer"),
    "segv_handler_mprotect": ("upager", (("trap_refused", 20),), 1,
                              "fault, handler, mprotect, return, fault"),
}


def follow(stub, turns):
    """The program counters from here until here again, turns times."""
    start = pc = stub.pc()
    steps = []
    while len(steps) < MOST:
        steps.append(pc)
        pc = stub.step()
        if pc == start:
            turns -= 1
            if turns == 0:
                return steps
    raise ValueError(f"more than {MOST} instructions")


def fold(lines):
    """Lines, with what repeats the lines right before it only counted."""
    out = []
    i = 0
    while i < len(lines):
        for size in range(1, 65):
            again = 0
            while lines[i + again * size:i + (again + 1) * size] == \
                    lines[i - size:i] and size <= len(out):
                again += 1
            if again * size > 2 and again:
                out.append(f"        (the last {size}: {again} times more)")
                i += again * size
                break
        else:
            out.append(lines[i])
            i += 1
    return out


def where(symbols, pc):
    return symbols.name(pc) if pc & KERNEL else "user mode"


def runs(steps, symbols):
    """(function, program counters) in the order of time."""
    at = None
    for pc in steps:
        name = where(symbols, pc)
        if at is None or name != at[0]:
            if at:
                yield at
            at = (name, [])
        at[1].append(pc)
    if at:
        yield at


def document(row, arch, steps, symbols):
    """Its head, and the instructions."""
    count = collections.Counter(where(symbols, pc) for pc in steps)
    lines = [f"{row}, {arch}: {ROWS[row][3]}", ""]
    lines += [f"{n:7} {name}" for name, n in count.items()]
    lines += [f"{len(steps):7} instructions", ""]
    return "\n".join(lines), "\n".join(listing(steps, symbols)) + "\n"


def listing(steps, symbols):
    text = symbols.text()
    lines = []
    for name, pcs in runs(steps, symbols):
        lines.append(f"{name}: {len(pcs)}")
        if name == "user mode":
            continue
        start = symbols.address(name)
        lines += fold([f"    +{pc - start:04x} " + re.sub(
            r"0x[0-9a-f]+ <([^>]*)>", r"<\1>", text.get(pc, ""))
            for pc in pcs])
    return lines


def trace(row, arch):
    """What document() says of a row; raises EOFError, OSError or ValueError."""
    group, stages, turns, _ = ROWS[row]
    kernel = machine.kernel_path(arch, "release")
    image = os.path.join(os.path.dirname(kernel), "kernel")
    archive = Archive()
    archive.file(machine.user_path(arch, PROGRAM), "/bin/program", 0o755)
    archive.first_program(["/bin/program", group], ["PATH=/bin"])
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        initrd = os.path.join(directory, "initrd")
        archive.write(initrd)
        setup = debug.StoppedSetup(
            arch, kernel, initrd, archive.first, machine.DEFAULT_MEMORY,
            (), True, socket=os.path.join(directory, "gdb"))
        guest = Guest(setup, os.path.join(
            machine.BUILD, "logs", f"listing-{arch}.log"), {}, log_all=True)
        thread = threading.Thread(target=guest.run)
        thread.start()
        try:
            while thread.is_alive() and not os.path.exists(setup.socket):
                time.sleep(0.05)
            symbols = Symbols(image)
            stub = Stub(setup.socket, arch)
            for name, times in stages:
                name = FAULT[arch] if name == "fault" else name
                stub.run_to(symbols.address(name), times)
            return document(row, arch, follow(stub, turns), symbols)
        finally:
            guest.stop("listed")
            thread.join()


# ---- the summary --------------------------------------------------------

def known(row):
    """{architecture: {function: instructions}} of the files there are."""
    found = {}
    for arch in machine.ARCHES:
        try:
            with open(os.path.join(OUT, f"{row}-{arch}.txt"),
                      encoding="ascii") as file:
                body = file.read().split("\n\n")[1]
        except FileNotFoundError:
            continue
        found[arch] = {name: int(n) for n, name in
                       re.findall(r"^ *(\d+) (.+)$", body, re.M)}
    return found


def summary():
    out = ["# Where the instructions of a row go", "",
           "Made by `python3 tools/listing.py`, with every instruction in "
           "[listings/](listings/).", "A function that is called by one "
           "other is often part of that (link-time", "optimisation).  What "
           "follows from it: [performance.md](performance.md).", ""]
    for row, (_, _, _, what) in ROWS.items():
        found = known(row)
        if not found:
            continue
        out += [f"## {row}", "", f"{what[0].upper()}{what[1:]}. "
                + " ".join(f"[{arch}](listings/{row}-{arch}.txt)"
                           for arch in found), ""]
        out += ["| function | " + " | ".join(found) + " |",
                "|---|" + "---:|" * len(found)]
        names = dict.fromkeys(name for one in found.values() for name in one)
        names = [name for name in names if name != "instructions"]
        names.sort(key=lambda name: -max(
            one.get(name, 0) for one in found.values()))
        for name in names[:24] + ["instructions"]:
            numbers = (f"{one[name]:,}" if name in one else ""
                       for one in found.values())
            shown = "**all**" if name == "instructions" else f"`{name}`"
            out.append(f"| {shown} | " + " | ".join(numbers) + " |")
        out.append("")
    with open(SUMMARY, "w", encoding="ascii") as file:
        file.write("\n".join(out))


def write(name, head, body):
    if body.count("\n") > LONG:
        with open(os.path.join(LONG_OUT, name), "w", encoding="ascii") as file:
            file.write(head + "\n" + body)
        body = f"The instructions: build/listings/{name}\n"
    with open(os.path.join(OUT, name), "w", encoding="ascii") as file:
        file.write(head + "\n" + body)


def main(argv):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--arch", choices=machine.ARCHES)
    p.add_argument("--known", action="store_true")
    p.add_argument("rows", nargs="*", metavar="ROW")
    args = p.parse_args(argv)
    for row in args.rows:
        if row not in ROWS:
            p.error(f"no row '{row}'; there are " + " ".join(ROWS))
    failed = False
    os.makedirs(OUT, exist_ok=True)
    os.makedirs(LONG_OUT, exist_ok=True)
    for arch in () if args.known else \
            (args.arch,) if args.arch else machine.ARCHES:
        for row in args.rows or ROWS:
            try:
                text = trace(row, arch)
            except (EOFError, OSError, ValueError) as error:
                print(f"listing.py: {row}, {arch}: {error}", file=sys.stderr)
                failed = True
                continue
            write(f"{row}-{arch}.txt", *text)
            print(f"{arch}: {row}", flush=True)
    summary()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
