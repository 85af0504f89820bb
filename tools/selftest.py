# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the tools: a runner that loses failures proves nothing."""

import argparse
import contextlib
import io
import os
import sys
import tempfile
from types import SimpleNamespace

import ktap
import lint
import pal
import selftest_bench
import selftest_guest
import selftest_stress
from runner import Runner
from usage import Usage

PLAN2 = "KTAP version 1\n1..2\nok 1 - a\n"


def statuses(text, exit_status=0, timed_out=None):
    cases, _ = ktap.judge_ktap(text, exit_status, timed_out)
    return [(case.name, case.status) for case in cases]


def test_all_pass():
    assert statuses(PLAN2 + "ok 2 b\n") == [
        ("a", "passed"), ("b", "passed")]


def test_not_ok_counts_though_exit_is_zero():
    assert ("b", "failed") in statuses(PLAN2 + "not ok 2 - b\n")


def test_missing_result_fails():
    assert statuses(PLAN2)[-1] == ("ended early", "failed")


def test_missing_plan_fails():
    assert statuses("ok 1 - a\n")[-1] == ("ended early", "failed")
    assert statuses("")[-1] == ("ended early", "failed")


def test_repeated_number_fails():
    assert statuses(PLAN2 + "ok 1 - a\n")[-1] == ("ended early", "failed")


def test_exit_status_without_not_ok_fails():
    text = PLAN2 + "ok 2 - b\n==1==ERROR: LeakSanitizer: leaks\n"
    cases, _ = ktap.judge_ktap(text, 1, None)
    assert cases[-1].status == "failed"
    assert "LeakSanitizer" in cases[-1].detail[1]


def test_death_after_a_failure_is_seen():
    assert statuses("1..3\nnot ok 1 - a\n", -6) == [
        ("a", "failed"), ("program", "failed")]


def test_skips():
    assert statuses("1..1\nok 1 - a # SKIP no CPU\n") == [("a", "skipped")]
    assert statuses("", 77) == [("program", "skipped")]
    assert statuses("1..0 # SKIP none\n") == [("program", "skipped")]
    assert statuses("1..1\nnot ok 1 - a\n", 77) == [("a", "failed")]


def test_failed_skip_is_a_failure():
    assert statuses("1..1\nnot ok 1 - a # SKIP x\n", 1)[0][1] == "failed"


def test_timeout_fails_and_keeps_results():
    assert statuses(PLAN2, None, 5) == [
        ("a", "passed"), ("timeout", "failed")]


def test_seed_is_found():
    assert ktap.parse("# seed 17\n1..0\n").seed == "17"


def test_diagnostics_belong_to_the_next_result():
    cases = ktap.parse("# x\nok 1 - a\n# why\nnot ok 2 - b\n").cases
    assert cases[1].detail == ["# why"]


def test_real_timeout_kills_the_group():
    run = SimpleNamespace(
        name="selftest/timeout", verdict="ktap", timeout=0.5, env={},
        command=["sh", "-c", "echo 1..1; sleep 100 & sleep 100"])
    result = Runner(1, None, False, "").run_one(run)
    assert result.seconds < 20
    assert [case.name for case in result.cases] == ["timeout"]


def test_missing_program_fails():
    run = SimpleNamespace(name="selftest/missing", verdict="exit",
                          timeout=5, env={}, command=["/no/such/program"])
    result = Runner(1, None, False, "").run_one(run)
    assert result.count("failed") == 1


def test_narrowest_selection_wins():
    runs = [SimpleNamespace(name=name) for name in (
        "unit/x86_64/debug/t_a", "unit/x86_64/debug/t_ab", "lint")]
    def names(pattern):
        return [run.name[-4:] for run in pal.select(runs, pattern)]
    assert names("unit/x86_64/debug/t_a") == ["/t_a"]
    assert names("unit") == ["/t_a", "t_ab"]
    assert names("x86*t_a") == ["/t_a", "t_ab"]
    assert names("int") == ["lint"]
    try:
        names("absent")
    except Usage:
        return
    raise AssertionError("an unknown pattern was accepted")


def problems(rule, files):
    """What a lint rule says about a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        with contextlib.redirect_stdout(io.StringIO()):
            return list(lint.RULES[rule](lint.Tree(root)))


def test_lint_includes():
    good = {"mi/a.h": "#include <stdint.h>\n#include <vm_kern_md.h>\n",
            "mi/a.c": '#include "a.h"\n',
            "pmap/common/b.c": '#include "a.h"\n#include <pte.h>\n'}
    assert not problems("mi-includes", good)
    assert not problems("common-includes", good)
    assert problems("mi-includes", {"mi/a.c": "#include <stdio.h>\n"})
    assert problems("mi-includes", {"mi/a.c": "#include <pte.h>\n"})
    assert problems("mi-includes", {"mi/a.c": '#include "pt_md.h"\n',
                                    "pmap/common/pt_md.h": ""})
    assert problems("common-includes",
                    {"pmap/common/b.c": '#include "../x86_64/pte.h"\n'})


def test_lint_architecture_names():
    bad = "#ifdef __riscv\n#endif\n"
    assert problems("architecture-names", {"mi/a.c": bad})
    assert not problems("architecture-names",
                        {"pmap/riscv64/a.c": bad, "tests/unit/a.c": bad,
                         "mi/a.c": "/* not __riscv */\n"})
    assert problems("architecture-names",
                    {"mi/a.c": '#include "riscv64/pte.h"\n'})


def test_lint_lengths():
    function = "int\nf(void)\n{\n" + "    f();\n" * 68 + "}\n"
    assert not problems("function-length", {"mi/a.c": function})
    longer = function.replace("{\n", "{\n    f();\n")
    assert problems("function-length", {"mi/a.c": longer})
    assert not problems("file-length", {"mi/a.c": "\n" * 800})
    assert problems("file-length", {"mi/a.c": "\n" * 801})
    assert not problems("line-length", {"mi/a.c": "x" * 80 + "\n"})
    assert problems("line-length", {"mi/a.c": "x" * 81 + "\n"})


def test_lint_port_size():
    comment = "/*\n" + " * x\n" * 600 + " */\n"
    small = {"pmap/riscv64/a.c": comment + "x;\n" * 500}
    assert not problems("port-size-riscv64", small)
    small["pmap/riscv64/b.S"] = "nop\n"
    assert problems("port-size-riscv64", small)


def test_lint_contract_size():
    header = ("struct a {\n    int (*f)(void);\n};\n"
              "#define F(x) g(x)\n"
              + "".join(f"int f{i}(void) __attribute__((pure));\n"
                        for i in range(16)))
    assert not problems("pmap-contract-size", {"mi/pmap.h": header})
    assert problems("pmap-contract-size",
                    {"mi/pmap.h": header + "void\ng(int (*)(int));\n"})


def test_lint_texts():
    assert problems("spdx", {"mi/a.c": "int x;\n"})
    assert problems("spdx", {"pal": "#!/bin/sh\n"})
    assert problems("nothing-unfinished", {"mi/a.c": "/* TO" "DO */\n"})


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("--seed")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    tests = {name.removeprefix("test_").replace("_", "-"): function
             for name, function in {**globals(),
                                    **vars(selftest_guest),
                                    **vars(selftest_bench),
                                    **vars(selftest_stress)}.items()
             if name.startswith("test_")}
    printer = ktap.Printer(list(tests), args.pattern)
    for name in printer.names:
        failure = []
        try:
            tests[name]()
        except Exception as error:      # a broken tool is a failed case
            frame = error.__traceback__.tb_next
            file = os.path.basename(frame.tb_frame.f_code.co_filename)
            failure = [f"{file}:{frame.tb_lineno}: "
                       f"{type(error).__name__}: {error}"]
        printer.result(name, failure)
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
