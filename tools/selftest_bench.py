# SPDX-License-Identifier: BSD-2-Clause
"""Tests of ./pal bench without a machine; part of selftest.py."""

import os
import tempfile

import bench
import bench_kvm
import bench_plots
import bench_rows
import linux
import machine
from bench_rows import Figures, Row
from selftest_guest import refused
from usage import Usage

SAID = """\
# group null
null_syscall.min 120.00 ns
null_syscall.med 122.50 ns
null_syscall.max 130.00 ns
# group null took 14.7 ms
vmpte_1G_1_per_2M 2060.00 KiB
# group zero
zero_fill.med 1000.00 ns/page
# FAIL mmap: Cannot allocate memory
"""


def bench_figures(text=SAID):
    figures = Figures()
    for line in text.splitlines():
        figures.line(line)
    return figures


def a_row(name="zero_fill", aim="floor + 400", floor=521.0):
    return Row(name, "zero", "a fault", aim,
               {} if floor is None else {"x86_64": floor})


def test_bench_lines():
    figures = bench_figures()
    assert figures.median == {
        "null_syscall": (122.5, "instructions"),
        "vmpte_1G_1_per_2M": (2060.0, "KiB"),
        "zero_fill": (1000.0, "instructions/page")}
    assert figures.done == {"null"} and figures.at == "zero"
    assert figures.failures == ["zero: FAIL mmap: Cannot allocate memory"]


def test_bench_missing_source_is_no_figure():
    assert not bench_figures("meminfo_MemFree -1.00 KiB\n").median
    assert bench_figures("left 0.00 KiB\n").value("left") == 0


def test_bench_goals():
    figures = bench_figures()
    assert a_row().goal("x86_64", figures) == 921
    assert a_row(floor=None).goal("x86_64", figures) is None
    assert a_row(aim="").goal("x86_64", figures) is None
    assert a_row(aim="1.2 * null_syscall").goal("x86_64", figures) == 147
    assert a_row(aim="1.2 * absent").goal("x86_64", figures) is None


def test_bench_verdicts():
    assert bench_rows.verdict(900, 921, True) == "reached"
    assert bench_rows.verdict(1842, 921, True) == "missed by 2.00x"
    assert bench_rows.verdict(None, 921, True) == "not measured"
    assert bench_rows.verdict(5, None, False) == ""
    # An aim that hangs on a row that did not come is not reached.
    assert bench_rows.verdict(5, None, True) == "not measured"


def test_bench_table():
    ours, theirs = bench_figures(), bench_figures(
        "zero_fill.med 4000.00 ns/page\n")
    rows = [a_row(), a_row("absent", "")]
    head, _, first, second = bench_rows.table(rows, "x86_64", ours, theirs)
    assert head.split()[-5:] == ["ours", "Linux", "ratio", "aim", "floor"]
    assert first.split() == ["a", "fault", "(page)", "1,000", "4,000",
                             "0.2500", "921", "521", "missed", "by", "1.09x"]
    assert second.endswith("not measured")
    assert bench_rows.unmeasured(rows, ours) == ["absent"]
    assert bench_rows.geometric_mean(rows, ours, theirs) == (0.25, 1)
    assert bench_rows.geometric_mean(rows, ours, Figures()) == (None, 0)


def test_bench_numbers():
    assert [bench_rows.number(v) for v in (None, 0, 12.34, 1234567.8, 64)] \
        == ["-", "0", "12.3", "1,234,568", "64"]


def test_bench_csv_round_trip():
    ours = bench_figures()
    with tempfile.NamedTemporaryFile("w+", suffix=".csv") as file:
        file.write("# a remark\n" + "\n".join(
            bench_rows.csv("riscv64", ours)) + "\n")
        file.flush()
        back = bench_rows.read_figures(file.name)
    assert back["riscv64"].median == ours.median
    assert not back["x86_64"].median


def test_bench_check():
    was = bench_figures("a.med 100.00 ns\nb.med 100.00 ns\nc.med 100.00 ns\n"
                        "d.med 100.00 ns\nz.med 0.00 ns\n")
    now = bench_figures("a.med 103.00 ns\nb.med 103.10 ns\nc.med 90.00 ns\n"
                        "z.med 1.00 ns\n")
    worse, better = bench_rows.check("x86_64", now, was, True)
    assert [line.split(":")[1].strip() for line in worse] == ["b", "d", "z"]
    assert "not measured" in worse[1]
    assert [line.split(":")[1].strip() for line in better] == ["c"]
    # Of a part of the groups, nothing is said about the others.
    assert len(bench_rows.check("x86_64", now, was, False)[0]) == 2


def test_bench_rows_fit_together():
    rows = bench_rows.read_rows()
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert {row.group for row in rows} <= set(bench.VMBENCH + bench.OURS)
    known = bench_rows.read_figures(bench_rows.LINUX)
    for arch, figures in known.items():
        # The rows that the project was given aims for.
        assert figures.value("null_syscall"), arch
        for row in rows:
            if "floor" in row.aim:
                assert arch in row.floors, row.name
    complete = Figures({name: (1.0, "instructions") for name in names})
    for row in rows:
        assert not row.aim or row.goal("riscv64", complete), row.name


def test_bench_bad_use():
    def chosen(*words):
        return bench.choose_groups(bench.parser().parse_args(list(words)))
    assert chosen("cow", "null") == ("null", "cow")
    assert chosen() == bench.VMBENCH + bench.OURS
    assert "no group" in refused(Usage, chosen, "nul")
    assert "several CPUs" in refused(Usage, chosen, "shoot")


def test_bench_goes_on_after_a_group_that_dies():
    class Dies:
        arch = "x86_64"
        boots = []

        def boot(self, groups, _memory, line):
            self.boots.append(list(groups))
            for group in groups:
                line(f"# group {group}")
                if group == "cow":
                    return "kernel panic: x"
                line(f"row_{group}.med 1.00 ns")
                line(f"# group {group} took 1 ms")
            return ""

    machine_of, figures = Dies(), Figures()
    bench.say, say = lambda _text: None, bench.say
    try:
        bench.measure_groups(machine_of, figures, ("null", "cow", "map"))
    finally:
        bench.say = say
    assert machine_of.boots == [["null"], ["cow"], ["map"]]
    assert set(figures.median) == {"row_null", "row_map"}
    assert figures.failures == ["cow: kernel panic: x"]


def test_bench_mirror():
    new = ("Types: deb\nURIs: http://deb.debian.org/debian-security\n\n"
           "URIs: http://mirror.example/debian/\n")
    assert linux.mirror([new]) == "http://mirror.example/debian"
    old = "deb [arch=amd64] https://m.example/debian bookworm main\n"
    assert linux.mirror(["# deb http://no/debian x\n", old]) == \
        "https://m.example/debian"
    assert linux.mirror(["deb http://other.example/apt x main\n"]) == \
        linux.MIRROR


def test_bench_linux_command():
    setup = linux.Setup("x86_64", "vmlinuz", groups=("null", "cow"),
                        memory=4 << 30, icount=True)
    words = setup.command_line().split()
    assert "mitigations=off" in words and "init_on_alloc=0" in words
    assert "vmbench=null,cow" in words and "clearcpuid=erms" in words
    assert "shift=0,sleep=off" in setup.command()


def test_bench_plots():
    ours = {"x86_64": bench_figures(
        "fork_exit_wait_1M.med 9.00 ns\nfork_exit_wait_16M.med 8.00 ns\n"
        "chain4_read_oldest.med 1.00 ns/page\n"
        "lookup_fault_10.med 3.00 ns/op\nzero_fill.med 5.00 ns/page\n"
        "rebuild_table.med 70.00 ns\nsaved_table.med 4.00 KiB\n")}
    theirs = {"x86_64": bench_figures("zero_fill.med 10.00 ns/page\n")}
    scripts = bench_plots.scripts(ours, theirs, [a_row()])
    assert set(scripts) == {"ratio.svg", "fork.svg", "chain.svg",
                            "lookup.svg", "discard.svg"}
    assert "\n4.0 70.0\n" in scripts["discard.svg"]
    assert "\n1 9.0\n16 8.0\n" in scripts["fork.svg"]
    assert "0.50000" in scripts["ratio.svg"]
    refused(bench_plots.Bad, bench_plots.scripts,
            {"x86_64": Figures()}, theirs, [a_row()])
    for script in scripts.values():
        assert os.path.isabs(script.split('set output "')[1].split('"')[0])


def cycles_of(value, rate=2e9):
    return bench_kvm.cycles(bench_figures(
        f"zero_fill.med {value:.2f} ns/page\ncalib_tick_rate {rate:.2f} Hz\n"
        "left 9.00 KiB\n"))


def test_bench_kvm_cycles():
    assert cycles_of(100).median == {"zero_fill": (200.0, "cycles/page")}
    # Another idea of the rate is another idea of the nanosecond, too.
    assert cycles_of(50, 4e9).median == cycles_of(100).median
    # Without a rate there are no cycles, and failures stay.
    lost = bench_kvm.cycles(bench_figures())
    assert not lost.median and lost.failures


def test_bench_kvm_pairs():
    said, times = [], iter(range(1, 100))

    def run(who):
        said.append(who)
        return cycles_of(next(times))
    pairs = bench_kvm.collect(3, lambda: run("ours"), lambda: run("Linux"))
    assert said == ["ours", "Linux"] * 3
    line = bench_kvm.line_of("zero_fill", pairs)
    # The median of the ratios (1/2, 3/4, 5/6) is not that of the medians'.
    assert line.ratio == 3 / 4 and line.ratios == (1 / 2, 3 / 4, 5 / 6)
    assert (line.ours, line.linux) == (6.0, 8.0)
    head, _, row, mean = bench_kvm.table([a_row()], "x86_64", pairs)
    assert head.startswith("x86_64, cycles, 3 pairs")
    assert row.split() == ["a", "fault", "(page)", "6", "8", "0.7500",
                           "0.5000", "0.8333"]
    assert mean.endswith("0.750")
    assert bench_kvm.csv([a_row()], "x86_64", pairs) == [
        "x86_64,zero_fill,6.00,cycles/page",
        "x86_64,zero_fill.linux,8.00,cycles/page",
        "x86_64,zero_fill.ratio,0.7500,ratio"]


def test_bench_kvm_row_that_did_not_come():
    whole = cycles_of(1), cycles_of(2)
    rows = [a_row(), a_row("left", "")]
    counted = bench_figures("zero_fill.med 1.00 ns/page\nleft 1.00 KiB\n")
    assert not bench_kvm.unmeasured(rows, counted, [whole])
    for bad in (Figures(), cycles_of(0), cycles_of(-1)):
        pairs = [whole, (bad, cycles_of(2))]
        assert bench_kvm.unmeasured(rows, counted, pairs) == ["zero_fill"]
        assert len(bench_kvm.table(rows, "x86_64", pairs)) == 2
    assert bench_kvm.unmeasured(rows, counted, []) == ["zero_fill"]


def test_bench_kvm_stops_at_a_failure():
    dead = Figures(failures=["null: kernel panic: x"])
    pairs = bench_kvm.collect(5, lambda: dead, lambda: cycles_of(1))
    assert len(pairs) == 1


def test_bench_kvm_use():
    def chosen(*words):
        return bench.choose_groups(bench.parser().parse_args(
            ["--kvm", *words]))
    assert chosen() == bench.VMBENCH
    assert chosen("sizes", "null") == ("null",)
    assert "takes time" in refused(Usage, chosen, "sizes")
    assert "--check" in refused(Usage, chosen, "--check")
    assert "at least 1" in refused(Usage, chosen, "--pairs", "0")
    # A processor clears pages by rep stosb at its own speed.
    setup = linux.Setup("x86_64", "vmlinuz", groups=("null",), accel="kvm")
    assert "erms" not in setup.command_line()
    assert "-icount" not in setup.command()
    assert machine.KVM_CPU["x86_64"] in setup.command()
