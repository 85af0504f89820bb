# SPDX-License-Identifier: BSD-2-Clause
"""./pal stress finds what is wrong, and says so: the run stress/tool.

On one simulator: the same words are the same run on the seeded scheduler;
bugs of mi/vm_mutant.h are found, named, and shrunk.
"""

import argparse
import sys

import ktap
import stress
import stress_shrink
from stress_run import Job, Run

PLACE = "sim-x86_64"


def run(**changes):
    words = {"epochs": 16, "rate": 20000, **changes}
    return Run(Job(PLACE, **words)).run(200)


def test_repeats():
    first, again = (run(fibers=True, seed=5, epochs=8) for _ in range(2))
    assert first.ok, first.text
    for name in ("trace", "visits", "faults", "discards", "digest"):
        assert first.last[name] == again.last[name], name
    other = run(fibers=True, seed=6, epochs=8)
    assert other.last["trace"] != first.last["trace"]
    assert other.last["digest"] != first.last["digest"]


def test_one_digest():
    """Whatever the storm, the number of CPUs, the size of pages."""
    want = run(storm=()).digests
    assert len(want) == 2, want
    for changes in ({"storm": ("all",), "rate": 0}, {"fibers": True},
                    {"visits": 30}, {"calm": 50}, {"storm": ("delay",)}):
        result = run(**changes)
        assert result.ok, result.text
        assert result.digests == want, changes


def test_names_a_page():
    """A bug that the simulated MMU itself does not see."""
    result = run(mutant="shadow-offset", epochs=64, fibers=True)
    assert not result.ok
    for text in ("BAD PAGE: page ", "expected: ", "holds: ", "verdict: ",
                 "history of the page:"):
        assert text in result.text, (text, result.text)


def test_finds_bugs():
    for mutant in ("no-zero", "protect-no-flush", "inherit-none",
                   "parent-needs-copy"):
        result = run(mutant=mutant, epochs=64, fibers=True)
        assert not result.ok, f"{mutant} was not found"


def test_shrinks():
    failed = run(mutant="parent-needs-copy", epochs=64, fibers=True)
    said = []
    best = stress_shrink.shrink(failed, stress.repeat,
                                lambda text, **_: said.append(text))
    assert best.job.tasks <= 2 and len(best.job.storm) <= 2, best.job
    assert "--mutant parent-needs-copy" in said[-1], said
    words = said[-1].split("./pal stress ")[1].split()
    job, = stress.make_jobs(stress.parser().parse_args(words))
    assert not Run(job).run(200).ok, job


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("--seed")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args(argv)
    tests = {name.removeprefix("test_").replace("_", "-"): function
             for name, function in globals().items()
             if name.startswith("test_")}
    printer = ktap.Printer(list(tests), args.pattern)
    for name in printer.names:
        failure = []
        try:
            tests[name]()
        except AssertionError as error:
            line = error.__traceback__.tb_next.tb_lineno
            failure = [f"stress_test.py:{line}: {error}"]
        printer.result(name, failure)
    return printer.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
