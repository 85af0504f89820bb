# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what boots kernels; part of selftest.py.  No QEMU is needed: a
shell script stands in for it."""

import os
import stat
import tempfile
from dataclasses import dataclass

import console
import elf
import initrd
import kernel_test
import kvm
import machine
import packages
import run
import tour
from guest import Guest, kvm_error
from usage import Parser, Usage


def refused(kind, function, *args):
    """The text of the error that must come."""
    try:
        function(*args)
    except kind as error:
        assert "\n" not in str(error), error
        return str(error)
    raise AssertionError(f"{function.__name__}{args} was accepted")


# ---- console ------------------------------------------------------------

def test_console_streams():
    text = b"BIOS\x10Lboot\n\x10Oab\x10\x10c\x10Ed\x10T1..0\n"
    want = [("L", b"BIOSboot\n"), ("O", b"ab\x10c"), ("E", b"d"),
            ("T", b"1..0\n")]
    assert console.Demultiplexer().feed(text) == want
    # However it is cut.
    for size in (1, 2, 3, 7):
        demux, joined = console.Demultiplexer(), {}
        for at in range(0, len(text), size):
            for stream, data in demux.feed(text[at:at + size]):
                joined[stream] = joined.get(stream, b"") + data
        assert joined == dict(want)


def test_console_loses_nothing():
    demux = console.Demultiplexer()
    demux.feed(b"\x10O")
    assert demux.feed(b"a\x10qb") == [("O", b"a"), ("L", b"\x10q"),
                                      ("O", b"b")]
    assert console.encode(b"a\x10b") == b"a\x10\x10b"


def test_console_lines():
    heard = []
    lines = console.Lines(heard.append)
    for piece in (b"on", b"e\r\ntwo\nthr", b"ee"):
        lines.feed(piece)
    assert heard == ["one", "two"]
    lines.end()
    assert heard[-1] == "three"


# ---- initrd -------------------------------------------------------------

def read_newc(data):
    """{name: (mode, offset of data, data)}, as a kernel would read it."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16)
                  for i in range(13)]
        name = data[at + 110:at + 110 + fields[11]].split(b"\0")[0].decode()
        start = (at + 110 + fields[11] + 3) & ~3
        at = (start + fields[6] + 3) & ~3
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        assert name not in found
        found[name] = (fields[1], start, data[start:start + fields[6]])


def make(archive):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "initrd")
        archive.write(path)
        with open(path, "rb") as file:
            return file.read()


def test_initrd():
    archive = initrd.Archive()
    archive.data("/a/b/c", b"x" * 5000, 0o600)
    archive.data("empty", b"")
    archive.file(__file__, "/bin/me", 0o755)
    archive.first_program(["/bin/me", "", "ä b"], ["K=V"])
    data = make(archive)
    files = read_newc(data)
    assert set(files) == {"a", "a/b", "a/b/c", "empty", "bin", "bin/me",
                          ".pal", ".pal/args", ".pal/env"}
    assert stat.S_ISDIR(files["a/b"][0])
    assert files["a/b/c"][0] == stat.S_IFREG | 0o600
    assert files["a/b/c"][2] == b"x" * 5000
    assert files["bin/me"][0] & 0o777 == 0o755
    assert files[".pal/args"][2] == "/bin/me\0\0ä b\0".encode()
    assert all(start % 4096 == 0 for _, start, text in files.values()
               if text)
    order = list(files)
    assert order.index("a") < order.index("a/b") < order.index("a/b/c")
    assert make(archive) == data
    assert archive.size() >= len(data)


def test_initrd_refuses():
    archive = initrd.Archive()
    archive.data("/a", b"")
    for path in ("/", "", "/a/../b", "x\0y"):
        refused(initrd.Bad, archive.data, path, b"")
    assert "twice" in refused(initrd.Bad, archive.data, "/a", b"")
    assert "twice" in refused(initrd.Bad, archive.data, "/a/b", b"")
    assert "/no/such" in refused(initrd.Bad, archive.file, "/no/such", "/x")
    assert "/dev/null" in refused(initrd.Bad, archive.file, "/dev/null",
                                  "/x")


def test_initrd_directory():
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(os.path.join(directory, "sub"))
        with open(os.path.join(directory, "sub", "f"), "w") as file:
            file.write("text")
        archive = initrd.Archive()
        archive.file(directory, "/data")
    assert set(archive.entries) == {"/data", "/data/sub", "/data/sub/f"}


# ---- programs -----------------------------------------------------------

def elf_file(kind=2, machine_number=243, bits=2, order=1, headers=(1,),
             cut=None):
    """Bytes of a small ELF file with these kinds of program headers."""
    text = (b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
            + elf.EHDR.pack(kind, machine_number, 1, 0x10000, 64, 0, 0, 64,
                            56, len(headers), 0, 0, 0))
    for header in headers:
        text += elf.PHDR.pack(header, 5, 64 + 56 * len(headers), 0, 0, 9, 9,
                              4)
    return (text + b"/lib/ld.0")[:cut]


def verdict(content, mode=0o755, arch="riscv64"):
    """What is said about such a file; "" if it can run."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "prog")
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        try:
            elf.check(path, arch)
        except elf.Unfit as error:
            assert path in str(error) and "\n" not in str(error)
            return str(error)
        return ""


def test_elf_fits():
    assert verdict(elf_file()) == ""
    assert verdict(elf_file(kind=3, headers=(1, 2))) == ""  # static-pie


def test_elf_unfit():
    assert "--arch aarch64" in verdict(elf_file(machine_number=183))
    assert "i386" in verdict(elf_file(machine_number=3))
    assert "/lib/ld.0" in verdict(elf_file(headers=(1, 3)))
    assert "-static" in verdict(elf_file(kind=3, headers=(3, 1)))
    assert "64-bit" in verdict(elf_file(bits=1))
    assert "64-bit" in verdict(elf_file(order=2))
    assert "object file" in verdict(elf_file(kind=1))
    assert "script" in verdict(b"#!/bin/sh\n")
    assert "not an ELF" in verdict(b"hello")
    assert "not an ELF" in verdict(b"")
    assert "chmod +x" in verdict(elf_file(), mode=0o644)
    for cut in (20, 63, 70, 119):
        assert "cut off" in verdict(elf_file(cut=cut)), cut
    assert "no program headers" in verdict(elf_file(headers=()))
    assert "no such file" in refused(elf.Unfit, elf.check, "/no/such",
                                     "riscv64")
    assert "directory" in refused(elf.Unfit, elf.check, "/", "riscv64")


# ---- command lines ------------------------------------------------------

def test_program_keeps_its_options():
    parser = run.parser()
    assert parser.split(["--arch", "x86_64", "-v", "ls", "-l", "--mem"]) == (
        ["--arch", "x86_64", "-v"], ["ls", "-l", "--mem"])
    assert parser.split(["--arch=x86_64", "--", "-x"]) == (
        ["--arch=x86_64"], ["-x"])
    assert parser.split(["--icount"]) == (["--icount"], [])


def test_bad_use_is_one_line():
    def parse(*words):
        run.parser().parse_args(words)
    assert "vax" in refused(Usage, parse, "--arch", "vax")
    assert "512M" in refused(Usage, parse, "--arch", "x86_64", "--mem", "x")
    refused(Usage, parse)
    refused(Usage, run.check_environment, ["K"])
    refused(Usage, run.host_and_guest, "/no/such:/x")
    assert isinstance(run.parser(), Parser)


def test_memory_sizes():
    assert machine.size("64M") == machine.size("64") == 64 << 20
    assert machine.size("2G") == machine.size("2GiB") == 2 << 30
    refused(ValueError, machine.size, "-1")
    assert "64M" in refused(machine.Bad, machine.check_memory, "x86_64",
                            63 << 20)
    refused(machine.Bad, machine.check_memory, "aarch64", 1 << 50)
    machine.check_memory("riscv64", 64 << 20)


def test_disk_space():
    machine.check_disk(1, "/tmp")
    assert "free some" in refused(machine.Bad, machine.check_disk, 1 << 60,
                                  "/tmp")


def test_files_and_environment():
    assert run.host_and_guest("/etc:/x") == ("/etc", "/x")
    assert run.host_and_guest("/etc/passwd") == ("/etc/passwd", "/passwd")
    assert run.environment(["A=1", "A=2=3"], False)[-1] == "A=2=3"


def test_exit_codes():
    status = {arch: machine.MACHINES[arch].status
              for arch in machine.ARCHES}
    assert status["x86_64"](1) == 0 and status["x86_64"](3) == 1
    assert status["x86_64"](0) is None      # QEMU's own
    assert status["riscv64"](1) == 1 and status["aarch64"](-9) is None


def test_kernel_test_patterns():
    def pattern(*words):
        args = kernel_test.arguments(["--arch", "riscv64", *words])
        return kernel_test.test_kernel(args)[1]
    assert pattern("--cases", "k_a") == ["test=k_a"]
    assert pattern("--cases", "k_a", "-k", "k_a.b") == ["test=k_a.b"]
    assert pattern("--cases", "k_a", "-k", "b", "--seed", "3") == [
        "test=k_a.b*", "seed=3"]


def test_packages_are_named():
    for group in packages.GROUPS:
        assert any(need.group == group for need in packages.NEEDS)
    assert all(need.group in packages.GROUPS + packages.OPTIONAL
               for need in packages.NEEDS)


# ---- machines -----------------------------------------------------------

@dataclass
class FakeSetup(machine.Setup):
    """A machine that is a shell script."""
    script: str = ""

    def command(self):
        return ["sh", "-c", self.script]


def boot(script, **options):
    """(Ending, {stream: bytes}, log)"""
    heard = {}

    def sink(stream):
        def keep(data):
            heard[stream] = heard.get(stream, b"") + data
        return keep

    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        source = options.pop("stdin", None)
        if source is not None:
            source = os.open(source, os.O_RDONLY)
        guest = Guest(FakeSetup("riscv64", "kernel", script=script), log,
                      {s: sink(s) for s in "OE"})
        try:
            ending = guest.run(source=source, **options)
        finally:
            if source is not None:
                os.close(source)
        with open(log) as file:
            return ending, heard, file.read()


SAY = r"printf '\020L'; "


def test_guest_exit():
    ending, heard, log = boot(
        r"printf 'SBI\020Lup\n\020Oout\020Eerr\020Lpal: exit 7\n'")
    assert ending.status == 7 and not ending.reason
    assert heard == {"O": b"out", "E": b"err"}
    assert log == "SBIup\npal: exit 7\n"


def test_guest_signal():
    assert boot(SAY + "echo pal: signal 11")[0].status == 139


def test_guest_panic():
    ending = boot(SAY + "echo; echo 'panic: mi/x.c:3: lost'; exit 1")[0]
    assert ending.status is None and ending.kernel == 1
    assert ending.reason == "kernel panic: mi/x.c:3: lost"
    # Even if the program had ended before.
    assert boot(SAY + "echo pal: exit 0; echo panic: late")[0].status is None


def test_guest_dies():
    assert "without a word" in boot(SAY)[0].reason
    assert "SIGKILL" in boot(SAY + "kill -9 $$")[0].reason
    ending = boot("echo 'qemu: no such CPU' >&2; exit 1")[0]
    assert ending.reason == "QEMU failed: qemu: no such CPU"


def test_guest_is_stopped():
    ending = boot(SAY + "exec sleep 60", silence=0.2)[0]
    assert ending.reason == "silent for 0.2 s"
    ending = boot(SAY + "exec sleep 60", limit=0.2)[0]
    assert ending.reason == "not done after 0.2 s"


def test_guest_input():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"a\x10b" + bytes(200000))
        file.flush()
        # Input comes once the kernel has spoken, and ends with DLE Z.
        count = ("head -c 200006 | od -An -v -tx1 -w1 | sort | uniq -c "
                 "| tr -s ' \\n' ' '; printf '\\020Lpal: exit 0\\n'")
        ending, heard, _ = boot(r"sleep 0.1; printf '\020O'; " + count,
                                stdin=file.name)
    assert ending.status == 0
    assert heard["O"].decode().strip() == (
        "200000 00 3 10 1 5a 1 61 1 62"), heard


def test_guest_output_closed():
    def closed(data):
        raise BrokenPipeError
    with tempfile.TemporaryDirectory() as directory:
        guest = Guest(FakeSetup("riscv64", "kernel", script=(
            r"printf '\020Oy'; exec sleep 60")),
            os.path.join(directory, "log"), {"O": closed})
        assert guest.run().status == 141


# ---- the tour -----------------------------------------------------------

GOOD = ["tour: hello begin", "tour: hello pass faults=12 instructions=3456",
        "tour: cow begin", "tour: cow pass faults=1 instructions=12345678",
        "tour: counters fork copies=3 zero=4", "tour: done 2 0"]


def take(lines, arch="x86_64", reason="", status=0):
    result = tour.Tour(arch)
    for line in lines:
        result.line(line)
    result.end(reason, status)
    return result


def test_tour_good():
    tours = [take(GOOD, arch) for arch in machine.ARCHES]
    assert not tour.failures(tours)
    line, differences = tour.compare_counters(tours)
    assert not differences and "equal on x86_64, aarch64, riscv64" in line
    rows = tour.table(tours, set(machine.ARCHES))
    assert len(rows) == 4
    assert rows[2].split()[:4] == ["hello", "pass", "12", "3456"]
    assert "12.3 M" in rows[3]
    assert "12.3 M" not in tour.table(tours, set())[3]


def test_tour_failures():
    bad = [*GOOD[:3], "tour: cow fail faults=1 instructions=2 page 3 lost",
           GOOD[4], "tour: done 1 1"]
    result = take(bad, status=1)
    assert tour.failures([result]) == ["x86_64: cow: page 3 lost"]
    assert "page 3 lost" in tour.table([result], set())[3]
    assert take(bad, status=0).failure


def test_tour_that_stops():
    panic = take(GOOD[:3], reason="kernel panic: x", status=None)
    assert tour.failures([panic]) == ["x86_64: cow: kernel panic: x",
                                      "x86_64: kernel panic: x"]
    assert "before any" in take([], reason="silent", status=None).failure
    assert take(GOOD[:5]).failure           # never said it was done
    assert take(GOOD, reason="kernel panic: y", status=None).failure
    assert take([*GOOD[:5], "tour: done 3 0"]).failure
    assert take(GOOD, status=3).failure


def test_tour_that_differs():
    less = [*GOOD[:2], GOOD[4], "tour: done 1 0"]
    tours = [take(GOOD), take(less, "riscv64")]
    assert tour.failures(tours) == ["riscv64: cow did not run"]
    other = [line.replace("zero=4", "zero=5") for line in GOOD]
    for lines, value in ((other, "5"), ([*GOOD[:4], GOOD[5]], "missing")):
        _, differences = tour.compare_counters(
            [take(GOOD), take(lines, "riscv64")])
        assert f"x86_64 4, riscv64 {value}" in differences[-1]
    assert tour.compare_counters([take(GOOD[:4])])[1]


def test_human_numbers():
    assert [tour.human(n) for n in (0, 9999, 12345, 123456, 5 * 10**9)] == [
        "0", "9999", "12.3 k", "123 k", "5.0 G"]


def test_kvm_gives_up():
    said = ("KVM internal error. Suberror: 1\nemulation failure\n"
            "RAX=00 RBX=00\nRIP=ffffffffc00002fc RFL=00000006 CPL=0\n"
            "Code=41 fc <0f> 01 ca 48 89")
    # Not before the last line is whole.
    assert kvm_error(said) == "" and kvm_error("") == ""
    assert kvm_error(said + "\n") == (
        "KVM gave up at ffffffffc00002fc: it cannot emulate the instruction "
        "that begins 0f 01 ca 48")


def test_kvm_virtualizes():
    assert kvm.virtualizes("processor : 0\nflags\t\t: fpu svm nx\n")
    assert kvm.virtualizes("flags : vmx\n")
    assert not kvm.virtualizes("flags\t: fpu vmxnot nx\nbugs: svm\n")
    # Where nothing is said, only booting tells.
    assert kvm.virtualizes("")
