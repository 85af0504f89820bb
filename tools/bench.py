# SPDX-License-Identifier: BSD-2-Clause
"""./pal bench: what operations cost, in guest instructions, beside Linux."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import textwrap

import bench_kvm
import bench_plots
import bench_rows
import build
import console
import elf
import kvm
import linux
import machine
import packages
from bench_rows import Figures
from guest import CannotStart, Guest
from initrd import Archive, Bad
from packages import say
from run import build_all, check_fits, environment
from usage import Parser, Usage

FLAVOUR = "release"
PROGRAM = "vmbench"
MEMORY = 4 << 30
LIMIT = 1800                # seconds; a run takes one to three minutes
BOOT_MEMORY = 1 << 30
PAGE = 4096
# What vmbench measures, in its order, and what this tool adds.
VMBENCH = ("calib", "null", "zero", "soft", "cow", "fork", "map", "prot",
           "chain", "ctx", "many", "upager", "ptmem", "retouch", "drain",
           "lookup", "discard", "bill")
OURS = ("sizes", "boot")
QUICK = ("null", "zero", "soft", "cow", "map", "prot", "ctx", "sizes",
         "boot")
SEVERAL_CPUS = ("shoot", "mt")
SIZES = {"size_frame": "struct vm_page",
         "size_map_entry": "struct vm_map_entry",
         "size_object": "struct vm_object",
         "size_radix_node": "struct vm_radix_node"}
BENCH_HELP = """\
Boots the release kernel in a machine that counts its instructions (-icount,
4 GiB, one CPU), runs vmbench there and prints a table: ours, Linux, the ratio,
our aim, the floor.  The figures of Linux are those of bench/linux-6.12.csv,
or measured now with --linux.  Groups:
""" + textwrap.fill(" ".join(VMBENCH + OURS), 78) + """

exit status: 0 if every row was measured (aims that are missed are only
named); 1 if one was not, if the kernel failed, or with --check if something
got worse; 2 for bad use.

--kvm measures something else: cycles, which differ from run to run, of the
processor that is there, ours and Linux in turns; what counts is the median of
the pairs' ratios.
"""


def parser():
    p = Parser(prog="pal bench", epilog=BENCH_HELP,
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=(*machine.ARCHES, "all"), default="all",
                   help="default: all, one after the other")
    p.add_argument("--csv", action="store_true",
                   help="arch,name,median,unit on standard output, no table")
    p.add_argument("--linux", action="store_true",
                   help="measure Debian 13's Linux, too (fetched by apt-get "
                   "into build/linux/, not installed)")
    p.add_argument("--kvm", action="store_true",
                   help="cycles of this computer's processor, ours and Linux "
                   "in pairs")
    p.add_argument("--pairs", type=int, default=bench_kvm.PAIRS, metavar="N",
                   help="with --kvm, how many (default: "
                   f"{bench_kvm.PAIRS})")
    p.add_argument("--check", action="store_true",
                   help="name what is more than 3 %% worse than in "
                   "bench/baseline.csv")
    p.add_argument("--plots", action="store_true",
                   help="draw docs/plots/*.svg, with gnuplot")
    p.add_argument("--quick", action="store_true",
                   help="only the groups that take little time: "
                   + " ".join(QUICK))
    p.add_argument("--no-install", action="store_true",
                   help="complain about missing packages, install none")
    p.add_argument("groups", metavar="GROUP", nargs="*",
                   help="default: all")
    return p


def choose_groups(args):
    known = VMBENCH + OURS
    several = [group for group in args.groups if group in SEVERAL_CPUS]
    if several:
        raise Usage(f"{' '.join(several)}: needs several CPUs, and the "
                    "machine has one")
    for group in args.groups:
        if group not in known:
            raise Usage(f"no group '{group}'; there are " + " ".join(known))
    wanted = args.groups or (QUICK if args.quick else known)
    if not args.kvm:
        return tuple(group for group in known if group in wanted)
    if args.check or args.plots:
        raise Usage("--kvm: cycles are not compared with instructions; leave "
                    "out --check and --plots")
    if args.pairs < 1:
        raise Usage("--pairs: at least 1")
    groups = tuple(group for group in VMBENCH if group in wanted)
    if not groups:
        raise Usage(f"{' '.join(wanted)}: nothing there takes time")
    return groups


# ---- one run of our kernel ----------------------------------------------

class Machine:
    """Boots of one architecture's release kernel; accel None: one that
    counts instructions."""

    def __init__(self, arch, directory, log, accel=None):
        self.arch = arch
        self.accel = accel
        self.directory = directory
        self.log = log          # how its logs are called
        self.program = machine.user_path(arch, PROGRAM)
        self.boots = 0

    def boot(self, arguments, memory, line):
        """Runs vmbench; "" or why it failed.  Its lines go to line()."""
        archive = Archive()
        guest = f"/bin/{PROGRAM}"
        archive.file(self.program, guest, 0o755)
        archive.first_program([guest, *arguments], environment([], False))
        check_fits(archive, memory)
        initrd = os.path.join(self.directory, f"{self.arch}.cpio")
        archive.write(initrd)
        setup = machine.Setup(
            self.arch, machine.kernel_path(self.arch, FLAVOUR), initrd,
            archive.first, memory, **speed(self.accel))
        lines = console.Lines(line)
        log = log_path(self.arch, self.log, self.boots)
        self.boots += 1
        try:
            ending = Guest(setup, log, {console.OUT: lines.feed},
                           log_all=True).run(limit=LIMIT)
        except CannotStart as error:
            return str(error)
        lines.end()
        if ending.ok:
            return ""
        why = (ending.reason or "; ".join(ending.lost)
               or f"vmbench ended with status {ending.status}")
        return f"{why} ({os.path.relpath(log)})"


def speed(accel):
    """How a Setup says whether it counts or runs."""
    return {"accel": accel} if accel else {"icount": True}


def log_path(arch, what, number=0):
    suffix = f"-{number}" if number else ""
    return os.path.join(machine.BUILD, "logs", f"{what}-{arch}{suffix}.log")


def progress(arch, kernel, figures):
    def line(text):
        figures.line(text)
        if match := re.match(r"# group (\w+)$", text):
            say(f"{arch}: {kernel}: {match[1]}")
    return line


def measure_groups(machine_of, figures, groups):
    """Each group has a boot of its own: what it finds does not depend on
    which others were asked for, and it takes none along when it dies."""
    for group in groups:
        why = machine_of.boot([group], MEMORY, progress(
            machine_of.arch, "ours", figures))
        if why:
            figures.failures.append(f"{group}: {why}")
        figures.at = ""


def struct_sizes(arch):
    """What debug information says about the release kernel's structures;
    nothing, if there is no gdb."""
    sizes = {}
    argv = ["gdb-multiarch", "-batch", "-nx"]
    for name, struct in SIZES.items():
        argv += ["-ex", f'printf "{name} %d\\n", (int)sizeof({struct})']
    elf_file = os.path.join(machine.BUILD, "kernel", arch, FLAVOUR, "kernel")
    try:
        said = subprocess.run([*argv, elf_file], capture_output=True,
                              text=True).stdout
    except FileNotFoundError:
        return sizes
    for name, value in re.findall(r"^(size_\w+) (\d+)$", said, re.M):
        sizes[name] = int(value)
    return sizes


def measure_boot(machine_of, figures):
    """A boot at 1 GiB: instructions to user mode, memory, the image."""
    heard = Figures()
    why = machine_of.boot(["--boot"], BOOT_MEMORY, heard.line)
    if why:
        figures.failures.append(f"boot: {why}")
        return
    if (ticks := heard.value("boot_to_user")) is not None:
        figures.add("boot_to_user", ticks, "instructions")
    image = os.path.join(machine.BUILD, "kernel", machine_of.arch, FLAVOUR,
                         "kernel.bin")
    figures.add("kernel_image", os.path.getsize(image) / 1024, "KiB")
    frame = struct_sizes(machine_of.arch).get("size_frame")
    memory = frame and kernel_memory(heard, frame)
    if memory is not None:
        figures.add("kernel_memory", memory, "KiB")


def kernel_memory(heard, frame):
    """KiB of the machine that are neither free nor a program's or file's nor
    the core map's, when the first program runs: the image, tables, stacks,
    zones, and what the firmware keeps."""
    used = [heard.value(f"boot_{name}") for name in ("MemFree", "AnonPages")]
    if None in used:
        return None
    core_map = BOOT_MEMORY // PAGE * frame / 1024
    return BOOT_MEMORY / 1024 - sum(used) - core_map


def measure(arch, groups, directory, log="bench"):
    """Our Figures of an architecture."""
    figures = Figures()
    ours = Machine(arch, directory, log)
    inside = [group for group in groups if group in VMBENCH]
    if inside:
        measure_groups(ours, figures, inside)
    if "sizes" in groups:
        say(f"{arch}: ours: sizes")
        for name, value in struct_sizes(arch).items():
            figures.add(name, value, "bytes")
    if "boot" in groups:
        say(f"{arch}: ours: boot")
        measure_boot(ours, figures)
    return figures


# ---- Linux --------------------------------------------------------------

def measure_linux(arch, groups, directory, accel=None):
    """Linux's Figures, by the same program in the same machine."""
    inside = tuple(group for group in groups if group in VMBENCH)
    figures = Figures()
    if not inside:
        return figures
    kernel = linux.fetch(arch)
    initrd = os.path.join(directory, f"{arch}-linux.cpio")
    linux.archive(machine.user_path(arch, PROGRAM)).write(initrd)
    setup = linux.Setup(arch, kernel, initrd, memory=MEMORY, groups=inside,
                        **speed(accel))
    log = f"bench-{accel}-linux" if accel else "bench-linux"
    why = linux.run(setup, log_path(arch, log),
                    progress(arch, "Linux", figures), LIMIT)
    if why:
        raise linux.NoLinux(f"{arch}: {why}")
    return figures


# ---- pairs under KVM ----------------------------------------------------

def cycles_ours(arch, groups, directory, accel):
    """Each boot has its own idea of the clock's rate, so each measures it."""
    ours = Machine(arch, directory, f"bench-{accel}", accel)
    cycles = Figures()
    for group in groups:
        heard = Figures()
        words = list(dict.fromkeys([bench_kvm.CALIBRATE, group]))
        why = ours.boot(words, MEMORY, progress(arch, "ours", heard))
        if why:
            heard.failures.append(f"{group}: {why}")
        got = bench_kvm.cycles(heard)
        cycles.median.update(got.median)
        cycles.failures += got.failures
    return cycles


def cycles_linux(arch, groups, directory, accel):
    words = (bench_kvm.CALIBRATE, *(group for group in groups
                                    if group != bench_kvm.CALIBRATE))
    return bench_kvm.cycles(measure_linux(arch, words, directory, accel))


def bench_pairs(args, arch, groups, accel="kvm"):
    """--kvm; whether every row of time was measured."""
    rows = rows_of(groups)
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        pairs = bench_kvm.collect(
            args.pairs,
            lambda: cycles_ours(arch, groups, directory, accel),
            lambda: cycles_linux(arch, groups, directory, accel))
    form = bench_kvm.csv if args.csv else bench_kvm.table
    print("\n".join(form(rows, arch, pairs)), flush=True)
    counted = bench_rows.read_figures(bench_rows.LINUX)[arch]
    missing = bench_kvm.unmeasured(rows, counted, pairs)
    if missing:
        say(f"{arch}: not measured: " + " ".join(missing))
    failures = [why for pair in pairs for one in pair for why in one.failures]
    for why in failures:
        say(f"{arch}: {why}")
    return not (missing or failures)


def command_pairs(args, groups):
    arch = kvm.platform.machine() if args.arch == "all" else args.arch
    if arch not in machine.ARCHES:
        raise Usage(f"--kvm: there is no kernel for {arch}")
    why = kvm.absent(arch)
    if not why:
        build_all((arch,), FLAVOUR, args.no_install)
        why = kvm.probe(arch, FLAVOUR) or kvm.interpreted()
    if why:
        say(f"{arch}: not measured: {why}")
        return 1
    return 0 if bench_pairs(args, arch, groups) else 1


# ---- the command --------------------------------------------------------

def rows_of(groups):
    return [row for row in bench_rows.read_rows() if row.group in groups]


def show(arch, args, rows, ours, theirs):
    """Print one architecture's; whether every row was measured."""
    if args.csv:
        print("\n".join(bench_rows.csv(arch, ours)), flush=True)
    else:
        print("\n".join(bench_rows.table(rows, arch, ours, theirs)))
        print("\n".join(bench_rows.summary(rows, arch, ours, theirs)),
              flush=True)
    missing = bench_rows.unmeasured(rows, ours)
    if missing:
        say(f"{arch}: not measured: " + " ".join(missing))
    for failure in ours.failures:
        say(f"{arch}: {failure}")
    if not args.csv:
        print()
    return not (missing or ours.failures)


def compare(figures, groups):
    """--check; true if nothing got worse."""
    try:
        baseline = bench_rows.read_figures(bench_rows.BASELINE)
    except FileNotFoundError as error:
        raise Usage("there is no bench/baseline.csv; make it: ./pal bench "
                    "--csv > bench/baseline.csv") from error
    everything = set(groups) == set(VMBENCH + OURS)
    worse, better = [], []
    for arch, ours in figures.items():
        bad, good = bench_rows.check(arch, ours, baseline[arch], everything)
        worse += bad
        better += good
    for line in worse:
        print(f"worse: {line}", file=sys.stderr)
    for line in better:
        print(f"better: {line}", file=sys.stderr)
    print(f"bench: {len(worse)} worse by more than 3 % than "
          f"bench/baseline.csv, {len(better)} better", file=sys.stderr)
    return not worse


def bench(args, arches, groups):
    good = True
    known = bench_rows.read_figures(bench_rows.LINUX)
    rows = rows_of(groups)
    all_ours, all_linux = {}, {}
    os.makedirs(machine.BUILD, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        for arch in arches:
            ours = measure(arch, groups, directory)
            theirs = measure_linux(arch, groups, directory) \
                if args.linux else known[arch]
            all_ours[arch], all_linux[arch] = ours, theirs
            good &= show(arch, args, rows, ours, theirs)
    if not args.groups and not args.quick:
        say(f"skipped: {', '.join(SEVERAL_CPUS)} (they need several CPUs; "
            "the machine has one)")
        for arch in arches:
            if arch == kvm.platform.machine():
                why = kvm.probe(arch, FLAVOUR)
                say("KVM: " + (why or "works; ./pal bench --kvm measures "
                               "cycles with it"))
    if args.check:
        good &= compare(all_ours, groups)
    if args.plots:
        bench_plots.draw(all_ours, all_linux, rows)
    return 0 if good else 1


def command_bench(arguments):
    args = parser().parse_args(arguments)
    groups = choose_groups(args)
    arches = machine.ARCHES if args.arch == "all" else (args.arch,)
    try:
        for arch in arches:
            machine.check_memory(arch, MEMORY)
        if args.kvm:
            return command_pairs(args, groups)
        if args.plots:
            bench_plots.prepare(args.no_install)
        build_all(arches, FLAVOUR, args.no_install)
        return bench(args, arches, groups)
    except (elf.Unfit, Bad, machine.Bad, bench_plots.Bad) as error:
        raise Usage(str(error)) from error
    except linux.NoLinux as error:
        print(f"pal: {error}", file=sys.stderr)
        return 1
    except build.BuildFailed as failed:
        print(f"pal: build failed: {failed}", file=sys.stderr)
        return 1
