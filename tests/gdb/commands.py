# SPDX-License-Identifier: BSD-2-Clause
"""The commands of tools/gdb on a booted kernel; runs inside gdb, started by
tools/gdb_test.py, whose machine waits for its first instruction.

The program is user/forktree.  Stops: in its main(), in user mode; then in
pt_enter_page(), for a fault of a process on memory that has a shadow, with the
object's lock held; then behind it, when the page is mapped.  At last the
kernel is made to panic.
"""

import os
import re
import time

import gdb

import kernel       # of tools/gdb, which pal.py has put on the path
import ktap         # of tools/, put there by gdb_test.py

PATTERN = os.environ.get("PAL_GDB_CASES")
PROGRAM = os.environ["PAL_GDB_PROGRAM"]
LOG = os.environ["PAL_GDB_LOG"]
SECONDS = 10
TRIES = 500


def run(command):
    return gdb.execute(command, to_string=True)


def value(expression):
    return kernel.address(gdb.parse_and_eval(expression))


def expect(text, *patterns):
    """What of these regular expressions no line of the text matches."""
    return [f"no line like '{p}' in:\n" + "\n".join(
        f"#   {line}" for line in text.splitlines())
        for p in patterns if not re.search(p, text, re.M)]


class Fault:
    """What pt_enter_page() was asked for, and the entry that it is for."""

    entry = object = None

    def __init__(self):
        self.pmap, self.va, self.pa = value("pm"), value("va"), value(
            "(vm_page_first + (page - vm_page_array)) << vm_page_shift")
        self.map = kernel.find_map("")
        for entry in kernel.links(self.map["first"], "next"):
            if int(entry["start"]) <= self.va < int(entry["end"]):
                self.entry = entry
                self.object = entry["object"]

    def is_copy(self):
        return (self.entry is not None
                and kernel.address(self.map["pmap"]) == self.pmap
                and kernel.address(self.object) != 0
                and kernel.address(self.object["shadow"]) != 0)


class CopyFault(gdb.Breakpoint):
    """Stops at the first fault of a process that copied a page."""
    tries = 0

    def stop(self):
        global fault
        self.tries += 1
        fault = Fault()
        return fault.is_copy() or self.tries == TRIES


fault = None


# ---- in user mode ----------------------------------------------------------

def user_stop():
    """A breakpoint in the program, and the kernel seen from there."""
    run(f"add-symbol-file {PROGRAM}")
    run("tbreak main")
    run("continue")
    text = run("backtrace 1") + run("pal-ps") + run("pal-map") \
        + run("pal-map 2") + run("pal-walk &main")
    before = run("info registers pc")
    run("next")
    problems = expect(text, r"^#0 +main \(", r"^ +2 +1 +2 \*0x\w+ running "
                      r"+forktree$", r"^ 0x\w+-0x\w+ r-x max rwx copy ",
                      r"^ level 0 entry 0x\w+: 0x\w+ leaf -> 0x\w+ ")
    if run("info registers pc") == before:
        problems.append("the program does not go on")
    return problems


# ---- in the fault ----------------------------------------------------------

def fault_stop():
    """The breakpoint in the kernel is met with its arguments."""
    stop = CopyFault("*pt_enter_page")
    stop.condition = "!pm->kernel"
    run("continue")
    stop.delete()
    if not fault.is_copy():
        return [f"none of {TRIES} faults copied a page"]
    return expect(run("backtrace"), r"^#0 +pt_enter_page \(pm=0x",
                  r"\bvm_fault_thread \(", r"\b(kern_fault|kern_trap|trap_kernel) \(")


def ps():
    text = run("pal-ps")
    pid = int(kernel.current()["proc"]["pid"])
    return expect(text, rf"^ +{pid} +\d+ +{pid} \*0x\w+ running +forktree$",
                  r"^ +1 +0 +- +- +live +reaper$",
                  r"^ +- +- +- +0x\w+ sleeping +pageout  on 0x\w+ ",
                  r"sleeping +reaper  on 0x\w+ zone \"process\"$")


def address_map():
    text = run("pal-map")
    problems = expect(
        text, rf"^map {kernel.address(fault.map):#x} pmap {fault.pmap:#x} ",
        rf"^ {int(fault.entry['start']):#018x}-"
        rf"{int(fault.entry['end']):#018x} rw- max rwx copy object "
        rf"{kernel.address(fault.object):#x} page ",
        rf"^{int(fault.map['entries'])} entries, \d+ KiB$")
    starts = re.findall(r"^ (0x\w+)-", text, re.M)
    if starts != sorted(starts) or len(starts) != int(fault.map["entries"]):
        problems.append(f"entries out of order or missing: {starts}")
    if run(f"pal-map (struct vm_map *){kernel.address(fault.map)}") != text:
        problems.append("the map by its address reads otherwise")
    return problems


def memory_object():
    at = kernel.address(fault.object)
    shadow = kernel.address(fault.object["shadow"])
    return expect(run(f"pal-object {at:#x} all"),
                  rf"^object {at:#x} internal\b", rf"page \d+: "
                  rf"{fault.pa:#x} ", rf"^shadow object {shadow:#x} internal",
                  r"^  refs \d+ \(owner \d+, fronts \d+\), \d+ pages, at page "
                  r"\d+ of the next", r"locked$")


def page():
    text = run(f"pal-page {fault.pa:#x}")
    entry = kernel.address(kernel.frame_of(fault.pa))
    problems = expect(text, rf"^page {entry:#x}: frame {fault.pa:#x} object, "
                      r"flags .*\bmodified\b", r"^  page \d+ of object 0x")
    for other in (f"{kernel.direct_base() + fault.pa + 8:#x}",
                  f"(struct vm_page *){entry:#x}"):
        if run(f"pal-page {other}") != text:
            problems.append(f"pal-page {other} reads otherwise")
    return problems + expect(
        run(f"pal-page {kernel.address(fault.object):#x}"),
        r"^page .* kernel, ", r'^  slab of zone "vm_object", \d+ of \d+ items')


def locks():
    sleeper = next(t for t in kernel.threads() if kernel.text(t["name"])
                   == "pageout")
    return expect(run("pal-locks"), r"^thread 0x\w+ forktree, running, ",
                  r"^  holds object( 2 times)?$") + expect(
        run(f"pal-locks {kernel.address(sleeper):#x}"),
        r"^thread 0x\w+ pageout, sleeping, ", r"^  waits on 0x\w+ ",
        r"^  holds no lock$")


# ---- after it --------------------------------------------------------------

def walk():
    """Before pt_enter_page() is through the entry is empty, then a leaf."""
    before = run(f"pal-walk {fault.va:#x}")
    run("finish")
    after = run(f"pal-walk {fault.va:#x}")
    problems = expect(before, r"^ level \d entry 0x\w+: 0x0+ empty$") \
        if "leaf" not in before else []
    problems += expect(
        after, rf"^pmap {fault.pmap:#x} format \S+ root 0x\w+ asid \d+$",
        rf"^ level 0 entry 0x\w+: 0x\w+ leaf -> {fault.pa:#x} ",
        rf"^ {fault.va:#x} is {fault.pa:#x}, to be read at ")
    root = re.search(r"root (0x\w+)", after)[1]
    return problems + expect(run(f"pal-page {root}"), r" table, flags -",
                             r"^  table of level \d, format \S+$")


def kernel_walk():
    """The image and a kernel stack: large leaves, and wired pages."""
    text = run("pal-walk &vm_page_shift")
    problems = expect(text, r"^ level \d entry 0x\w+: 0x\w+ leaf -> 0x")
    read = re.search(r"to be read at (0x\w+)$", text, re.M)
    if read and value(f"*(unsigned *){read[1]}") != kernel.page_shift():
        problems.append("other bytes are there: " + text)
    return problems + expect(run("pal-walk $sp"),
                             r"^ level 0 entry 0x\w+: 0x\w+ leaf .*WIRED")


def bad_input():
    """A line of explanation, no traceback."""
    problems = []
    for command, told in (
            ("pal-map 999999", "no process has the number"),
            ("pal-page -1", "is not in the core map"),
            ("pal-page", "pal-page PA"), ("pal-object", "pal-object ADDRESS"),
            ("pal-object 1", "nothing can be read"),
            ("pal-walk", "pal-walk"), ("pal-locks 0", "nothing can be read"),
            ("pal-map nonsense", "nonsense")):
        try:
            said = "no error: " + run(command)
        except gdb.error as error:
            said = str(error)
        if told not in said or "Traceback" in said:
            problems.append(f"{command}: {said}")
    return problems


def panic():
    """An argument that cannot be, with an object locked: what the log has
    then.  The machine ends."""
    run("tbreak *pmap_enter_page if !pm->kernel")
    run("continue")
    run("set var va = va | 1")
    entries = int(kernel.find_map("")["entries"])
    try:
        run("continue")
    except gdb.error:
        pass                        # the connection is gone, too
    deadline = time.monotonic() + SECONDS
    text = ""
    while "status 1" not in text and time.monotonic() < deadline:
        with open(LOG, errors="replace") as log:
            text = log.read()
    text = text[max(text.find("\npanic"), 0):].replace("\r", "")
    problems = expect(
        text, r"^panic: .*pmap_enter_page: assertion failed: ",
        r"^cpu 0, thread \S+, process \d+ \(forktree\)$",
        r"^registers of the program:$", r"^ +\w+ [0-9a-f]{16} ",
        r"^backtrace:$", r"^ [0-9a-f]{16} pmap_enter_page\+0x[0-9a-f]+$",
        r"^ [0-9a-f]{16} (kern_fault|kern_trap|trap_kernel)\+0x",
        rf"^map: {entries} entries$",
        r"^ [0-9a-f]{16}-[0-9a-f]{16} rw- max rwx private$", r"^status 1$")
    if text.count("\n 0") + text.count("\n f") < entries:
        problems.append("entries of the map are missing")
    if "panic in a panic" in text:
        problems.append(text)
    return problems


CASES = {"user-stop": user_stop, "fault-stop": fault_stop, "ps": ps,
         "map": address_map, "object": memory_object, "page": page,
         "locks": locks, "walk": walk, "kernel-walk": kernel_walk,
         "bad-input": bad_input, "panic": panic}

printer = ktap.Printer(list(CASES), PATTERN)
for case, check in CASES.items():
    # Each goes on where the last one stopped, so all are run.
    try:
        found = check()
    except Exception as error:      # pylint: disable=broad-except
        found = [f"{type(error).__name__}: {error}"]
    if case in printer.names:
        printer.result(case, found)
gdb.execute(f"quit {printer.status()}")
