# SPDX-License-Identifier: BSD-2-Clause
"""./pal boot: the kernels, side by side, each taking the tour."""

import argparse
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import build
import console
import elf
import kvm
import machine
import tour
from guest import CannotStart, Ending, Guest
from initrd import Archive, Bad
from packages import say
from run import build_all, check_fits, environment, memory_size
from usage import Parser, Usage

FLAVOUR = "release"
FIRST = "tour"
SILENCE = 120           # seconds; no scenario says nothing for so long
LIMIT = 1800
BOOT_HELP = """\
Installs what is missing, builds the kernels, boots them side by side and
runs the tour: real programs, one scenario after the other.  The kernels'
logs are build/logs/boot-ARCH.log.

exit status: 0 if every scenario passed on every architecture and the
counters were equal, 1 if not, 2 for bad use.
"""
WORDS = ("address anonymous backing break cache chain clean copy core dirty "
         "discard entry fault fork frame generation grace inherit kernel leaf "
         "limbo lookup machine map memory modified object page pager protect "
         "prove radix range reference region remap resident revoke scrape "
         "shadow share snapshot space table task translation tree unmap "
         "virtual walk wire write zero").split()
WORDS_SIZE = 100 << 10


def parser():
    p = Parser(prog="pal boot", epilog=BOOT_HELP,
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=(*machine.ARCHES, "all"), default="all",
                   help="default: all, side by side")
    p.add_argument("--mem", metavar="SIZE", type=memory_size,
                   default=machine.DEFAULT_MEMORY,
                   help="RAM of each machine (default: 1G)")
    p.add_argument("--accel", choices=("tcg", "kvm", "auto"), default="tcg",
                   help="tcg (default) counts instructions; auto takes kvm "
                   "where that really boots")
    p.add_argument("-k", metavar="PATTERN", dest="pattern",
                   help="only scenarios whose name contains PATTERN")
    p.add_argument("--no-install", action="store_true",
                   help="complain about missing packages, install none")
    return p


def words():
    """A text, always the same: some lines of words."""
    lines = []
    size, state = 0, 1
    while size < WORDS_SIZE:
        line = []
        for _ in range(9):
            state = (state * 1103515245 + 12345) & 0x7fffffff
            line.append(WORDS[(state >> 16) % len(WORDS)])
        lines.append(" ".join(line) + "\n")
        size += len(lines[-1])
    return "".join(lines).encode()


def make_initrd(arch, pattern, memory, path):
    """All our programs, of which the tour is the first."""
    archive = Archive()
    directory = machine.user_path(arch)
    for name in sorted(os.listdir(directory)):
        host = os.path.join(directory, name)
        if not name.startswith("u_") and elf.fits(host, arch):
            archive.file(host, f"/bin/{name}")
    if f"/bin/{FIRST}" not in archive.entries:
        raise Bad(f"{directory}{FIRST} is missing; user/{FIRST}.c makes it")
    archive.data("/etc/words", words())
    archive.first_program(
        [f"/bin/{FIRST}", *([pattern] if pattern else [])],
        environment([], False))
    check_fits(archive, memory)
    archive.write(path)
    return archive.first


class Boots:
    """The machines of one ./pal boot, as many at a time as fit."""

    def __init__(self, args, accels):
        self.args = args
        self.accels = accels        # architecture -> tcg or kvm
        self.guests = {}
        self.lock = threading.Lock()
        self.stopped = False

    def at_a_time(self):
        there = machine.available_memory() or self.args.mem
        return max(1, min(len(self.accels), os.cpu_count() or 1,
                          there // self.args.mem))

    def one(self, arch, directory):
        result = tour.Tour(arch, say)
        lines = console.Lines(result.line)
        initrd = os.path.join(directory, arch)
        first = make_initrd(arch, self.args.pattern, self.args.mem, initrd)
        accel = self.accels[arch]
        setup = machine.Setup(arch, machine.kernel_path(arch, FLAVOUR),
                              initrd, first, self.args.mem,
                              icount=accel == "tcg", accel=accel)
        with self.lock:
            if self.stopped:
                return result
            guest = Guest(setup, log_path(arch), {console.OUT: lines.feed},
                          log_all=True)
            self.guests[arch] = guest
        say(f"{arch}: boots")
        try:
            ending = guest.run(silence=SILENCE, limit=LIMIT, at_end=False)
        except CannotStart as error:
            ending = Ending(None, str(error), None)
        lines.end()
        result.end(ending.reason or "; ".join(ending.lost), ending.status)
        return result

    def all(self):
        os.makedirs(machine.BUILD, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory, \
                ThreadPoolExecutor(self.at_a_time()) as pool:
            futures = [pool.submit(self.one, arch, directory)
                       for arch in self.accels]
            try:
                return [future.result() for future in futures]
            except BaseException:
                self.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def stop(self):
        with self.lock:
            self.stopped = True
            for guest in self.guests.values():
                guest.stop("stopped")


def log_path(arch):
    return os.path.join(machine.BUILD, "logs", f"boot-{arch}.log")


def show(tours, accels, partly):
    """The table and the verdict; the exit status.  partly: the counters
    may not have been asked for."""
    counted = {arch for arch, accel in accels.items() if accel == "tcg"}
    print("\n".join(tour.table(tours, counted)))
    line, differences = tour.compare_counters(tours)
    problems = tour.failures(tours)
    if any(t.counters for t in tours) or not (problems or partly):
        print(f"\n{line}")
    else:
        differences = []    # that it did not come so far is said already
    for problem in (*differences, *problems):
        print(f"  {problem}")
    arches = ", ".join(t.arch for t in tours)
    if problems or differences:
        bad = sorted({p.split(":")[0] for p in problems}) or [arches]
        print("\nFAILED; logs: " + " ".join(
            os.path.relpath(log_path(a)) for a in accels if
            any(a in name for name in bad)))
        return 1
    scenarios = len(tour.names(tours))
    print(f"\nall {scenarios} scenarios passed on {arches}")
    return 0


def command_boot(arguments):
    args = parser().parse_args(arguments)
    arches = machine.ARCHES if args.arch == "all" else (args.arch,)
    try:
        for arch in arches:
            machine.check_memory(arch, args.mem)
        build_all(arches, FLAVOUR, args.no_install)
        accels = {arch: kvm.choose(args.accel, arch, False, FLAVOUR)
                  for arch in arches}
        return show(Boots(args, accels).all(), accels,
                    args.pattern is not None)
    except (elf.Unfit, Bad, machine.Bad) as error:
        raise Usage(str(error)) from error
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return 1
