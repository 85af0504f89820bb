# SPDX-License-Identifier: BSD-2-Clause
"""Tests of ./pal stress without a machine; part of selftest.py."""

import json
import os
import tempfile
import xml.etree.ElementTree as xml

import machine
import record
import stress
import stress_report
import stress_shrink
import stress_sweep
from stress_run import KEPT_OPS, OPS, STORMS, Job, Result, rounded
from usage import Usage

SAID = ('flow {"progress": true, "epoch": 8, "digest": "aa", "visits": 5, '
        '"ops": {"visit": 4}}\n'
        'flow {"end": true, "epoch": 16, "digest": "bb", "visits": 9, '
        '"ops": {"visit": 8}, "discards": {"page": 3}, "mismatches": 0}\n')
CLEAN = 'flow {"clean": true}\n'
BAD = "BAD PAGE: page 3 of the shared file\n  verdict: stale\n"


def a_result(said, problem="", **changes):
    result = Result(Job("x86_64", **changes))
    for line in said.splitlines():
        result.take(line)
    return result.end(problem)


def refusal(*words):
    try:
        stress.command_stress(words)
    except (Usage, machine.Bad) as error:
        assert "\n" not in str(error), error
        return str(error)
    raise AssertionError(f"{words} were accepted")


def test_stress_refuses():
    for words, text in (
            ("--storm rain", "--storm rain: no such storm; there are page"),
            ("--storm never,page", "--storm never goes with no other"),
            ("--arch vax", "--arch vax: no such machine"),
            ("--seed -3", "-3 is not from 0 to"),
            ("--seed 18446744073709551616", "is not from 0 to"),
            ("--seed 18446744073709551615 --jobs 2", "seeds end at"),
            ("--rate 1000001", "is not from 0 to 1000000"),
            ("--only dance", "--only dance: no such operation"),
            ("--pages 20", "--pages 20 is no multiple of 16"),
            ("--ops 10000000000000", "give more --visits"),
            ("--budget 0", "0 is not from 1 to"),
            ("--arch x86_64 --mem 1M", "too small"),
            ("--arch sim-soft --mem 5G", "a simulator has from 16M to 4G"),
            ("--record d", "--record takes one kernel"),
            ("--arch x86_64 --jobs 2 --record d", "--record keeps one run"),
            ("--arch x86_64 --sweep --record d", "leave out --sweep"),
            ("--sweep --storm never", "--sweep needs something"),
            ("--arch x86_64 --format 1", "--format is for simulators"),
            ("--arch x86_64 --fibers", "--fibers is for simulators"),
            ("--arch sim-soft --option tick=2", "--option is for kernels"),
            ("--arch sim-soft --icount", "--icount is for kernels"),
            ("--arch x86_64 --icount --record d", "leave out --icount"),
            ("--kernel release --mutant x", "need --kernel test"),
            ("--json /dev/null/x", "--json /dev/null/x: "),
            ("--junit /dev/null/x", "--junit /dev/null/x: "),
            ("--merge /nowhere", "--merge /nowhere: ")):
        said = refusal(*words.split())
        assert text in said, (words, said)


def test_record_wipes_no_others():
    """What it overwrites is a recording, by its recording.json."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "kernel")
        with open(path, "w"):
            pass
        try:
            record.prepare(directory)
            raise AssertionError("it was accepted")
        except Usage as error:
            assert "other files" in str(error), error
        assert os.path.exists(path)
        with open(os.path.join(directory, record.ABOUT), "w"):
            pass
        record.prepare(directory)
        assert os.listdir(directory) == []


def jobs_of(*words):
    return stress.make_jobs(stress.parser().parse_args(words))


def test_stress_jobs():
    jobs = jobs_of("--arch", "x86_64,sim-soft", "--jobs", "2")
    assert [(j.place, j.seed, bool(j.storm)) for j in jobs] == [
        ("x86_64", 1, True), ("sim-soft", 1, True), ("x86_64", 2, True),
        ("sim-soft", 2, True), ("x86_64", 1, False), ("x86_64", 2, False)]
    assert len(jobs_of("--storm", "never")) == 6
    assert jobs_of("--ops", "1")[0].epochs == 8
    assert jobs_of("--epochs", "9")[0].epochs == 16
    assert jobs_of("--storm", "page,delay")[0].kernel == "test"
    assert rounded(1) == 8 and rounded(16) == 16


def test_stress_words():
    words = Job("sim-soft", storm=("range", "audit", "delay"),
                fibers=True).words()
    assert "storm=1026" in words and "fibers=1" in words
    assert any(word.startswith("delay=") for word in words)
    assert not any("fibers" in word for word in Job("x86_64").words())


def test_stress_verdicts():
    good = a_result(SAID + CLEAN)
    assert good.ok and good.digests == {8: "aa", 16: "bb"}
    assert not a_result(SAID).ok                    # ended early
    assert not a_result(SAID + CLEAN, "killed").ok
    bad = a_result(SAID + BAD, "exit status 1")
    assert bad.problem == "BAD PAGE: page 3 of the shared file"
    assert "exit status 1" in bad.text
    law = a_result(SAID.replace('"mismatches": 0', '"mismatches": 2') + CLEAN)
    assert not law.ok and "2 translations" in law.problem
    assert a_result("flow {broken\n" + CLEAN).text == "flow {broken\n"


def test_stress_digests():
    one, other = a_result(SAID + CLEAN), a_result(SAID + CLEAN, storm=())
    assert stress_report.compare([one, other]) == []
    assert stress_report.agreement([one, other]) == [(1, 16, "bb", 2)]
    other.digests[16] = "cc"
    line, = stress_report.compare([one, other])
    assert "agree up to epoch 8; at epoch 16" in line
    # Other contents, other digests.
    assert not stress_report.compare(
        [one, a_result(SAID.replace("aa", "dd") + CLEAN, seed=2)])


def test_stress_files():
    results = [a_result(SAID + CLEAN), a_result(SAID + BAD, "exit status 1")]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.json")
        stress_report.write_json(path, results, ["x"], False)
        again, problems = stress_report.read(path)
        assert problems == ["x"]
        assert [r.ok for r in again] == [True, False]
        assert again[0].digests == results[0].digests
        assert stress_report.table(again) == stress_report.table(results)
        assert not stress_report.compare(again + [again[0]])
        junit = os.path.join(directory, "a.xml")
        stress_report.write_junit(junit, results, [], stress.repeat)
        suite = xml.parse(junit).getroot()[0]
        assert suite.get("failures") == "1" and len(suite) == 3
        with open(path, "w") as file:
            json.dump({"version": 0}, file)
        assert "--merge" in refusal("--merge", path)


def test_stress_repeat():
    job = Job("sim-soft", seed=7, storm=("page",), fibers=True, tasks=2,
              only=KEPT_OPS)
    result = Result(job, last={"epoch": 11})
    words = stress.repeat(result).split()[2:]
    again = jobs_of(*words)
    assert again == [job.but(epochs=16, rate=0)]
    # What is a simulator's is no word of a kernel's.
    kernel = Result(Job("x86_64", format=1, schedule=2, icount=True),
                    last={"epoch": 8})
    assert jobs_of(*stress.repeat(kernel).split()[2:])[0].icount


def test_stress_repeats_long_enough():
    """A run that dies in epoch 20 told of epoch 16 last."""
    panic = a_result(SAID + "panic: x\n", "killed", epochs=64)
    assert panic.epoch == 32
    assert "--epochs 32" in stress.repeat(panic)
    named = a_result(SAID + "BAD PAGE: page 3, seen in epoch 20, seed 1\n",
                     "exit status 1")
    assert "--epochs 24" in stress.repeat(named)
    assert a_result(SAID + BAD, "killed", epochs=16).epoch == 16


def fake_runs(fails):
    """stress_shrink.Run, without a machine."""
    class Fake:
        def __init__(self, job):
            self.result = Result(job, last={"epoch": 8})

        def run(self, _limit):
            self.result.seconds = 1
            if fails(self.result.job):
                self.result.problem = "BAD PAGE: x"
            else:
                self.result.ok = True
            return self.result
    return Fake


def test_stress_shrinks():
    real = stress_shrink.Run
    stress_shrink.Run = fake_runs(
        lambda job: "table" in job.storm and "fork" in job.only and
        job.tasks >= 2)
    try:
        failed = stress_shrink.Run(Job("x86_64", seconds=9)).run(1)
        best = stress_shrink.shrink(failed, stress.repeat,
                                    lambda *_args, **_words: None)
    finally:
        stress_shrink.Run = real
    assert best.job.storm == ("table",) and best.job.tasks == 2
    assert best.job.only == tuple(
        op for op in OPS if op in (*KEPT_OPS, "fork"))
    assert best.job.epochs == 8 and best.job.pages == 16
    assert set(best.job.storm) < set(STORMS)


def test_stress_shrinks_to_calm():
    """What fails without any storm is shown without one."""
    real = stress_shrink.Run
    stress_shrink.Run = fake_runs(lambda job: True)
    try:
        failed = stress_shrink.Run(Job("x86_64", seconds=9)).run(1)
        best = stress_shrink.shrink(failed, stress.repeat,
                                    lambda *_args, **_words: None)
    finally:
        stress_shrink.Run = real
    assert best.job.storm == () and best.job.only == KEPT_OPS


def test_stress_half():
    assert stress_sweep.half([(0, 10), (100, 8), (300, 4)]) == 250
    assert stress_sweep.half([(0, 10), (100, 8)]) is None
