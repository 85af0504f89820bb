# SPDX-License-Identifier: BSD-2-Clause
"""What stress runs found: for people, JSON and JUnit for machines."""

import json
import platform
import time
import xml.etree.ElementTree as xml

from report import NOT_XML
from stress_run import STORMS

VERSION = 1


def short(number):
    for unit in ("", "k", "M", "G"):
        if number < 10000 or unit == "G":
            return f"{number:.0f}{unit}"
        number /= 1000
    return ""


def total(kinds):
    return sum((kinds or {}).values())


def progress(results, started, end):
    """One line about all runs that are under way."""
    lasts = [result.last for result in results if result.last]
    def add(name):
        return sum(last.get(name, 0) for last in lasts)
    kinds = {name: sum(last.get("discards", {}).get(name, 0)
                       for last in lasts) for name in STORMS}
    seconds = time.monotonic() - started
    ops = sum(total(last.get("ops")) for last in lasts)
    said = " ".join(f"{name} {short(n)}" for name, n in kinds.items() if n)
    left = (f"{max(0, end - seconds):.0f} s left" if end else
            f"{seconds:.0f} s")
    return (f"{left}: {short(ops)} operations, {short(total(kinds))} "
            f"discards ({said or 'none'}), {short(add('faults'))} faults, "
            f"{short(add('rebuilds'))} rebuilds, {short(add('visits'))} "
            f"pages verified, {short(add('visits') / max(seconds, .1))}/s")


def as_json(results, problems, ok):
    return {"version": VERSION, "ok": ok, "problems": problems,
            "host": platform.node(),
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "results": [one_as_json(result) for result in results]}


def one_as_json(result):
    job = result.job
    return {"place": job.place, "seed": job.seed, "ok": result.ok,
            "problem": result.problem, "text": result.text,
            "storm": list(job.storm), "rate": job.rate,
            "budget": job.budget, "kernel": "" if job.is_sim else job.kernel,
            "flavour": job.flavour if job.is_sim else "",
            "fibers": job.fibers, "contents": repr(job.contents()),
            "seconds": round(result.seconds, 3), "last": result.last,
            "digests": {str(e): d for e, d in result.digests.items()}}


class Old:
    """A result that was read from a file; looks like a Result."""

    class OldJob:
        def __init__(self, words):
            self.place, self.seed = words["place"], words["seed"]
            self.storm = tuple(words["storm"])
            self.is_sim = self.place.startswith("sim-")
            self.kernel, self.flavour = words["kernel"], words["flavour"]
            self.rate, self.budget = words["rate"], words["budget"]
            self.fibers = words["fibers"]
            self.key = words["contents"]

        def contents(self):
            return self.key

    def __init__(self, words):
        self.job = Old.OldJob(words)
        self.ok, self.problem = words["ok"], words["problem"]
        self.text, self.last = words["text"], words["last"]
        self.seconds = words["seconds"]
        self.digests = {int(e): d for e, d in words["digests"].items()}

    @property
    def epoch(self):
        return self.last.get("epoch", 0)


def read(path):
    """(results, problems) of a file; ValueError: it is none of ours."""
    with open(path) as file:
        words = json.load(file)
    try:
        if words["version"] != VERSION:
            raise ValueError(f"version {words['version']}")
        return ([Old(result) for result in words["results"]],
                words["problems"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no stress results ({error!r})") from error


def name(result):
    job = result.job
    kind = job.flavour if job.is_sim else job.kernel
    how = " fibers" if job.fibers else ""
    storm = "+".join(job.storm) if len(job.storm) < 4 else (
        f"{len(job.storm)} storms")
    return f"{job.place} {kind}{how} seed {job.seed} {storm}"


def compare(results):
    """One line for each two runs of the same contents that differ."""
    problems = []
    first = {}
    for result in results:
        other = first.setdefault(result.job.contents(), result)
        common = sorted(set(other.digests) & set(result.digests))
        wrong = next((epoch for epoch in common if other.digests[epoch] !=
                      result.digests[epoch]), None)
        if wrong is not None:
            good = max((e for e in common if e < wrong), default=0)
            problems.append(
                f"DIGESTS DIFFER: {name(other)} and {name(result)} agree up "
                f"to epoch {good}; at epoch {wrong} they have "
                f"{other.digests[wrong]} and {result.digests[wrong]}")
    return problems


def agreement(results):
    """[(epoch, digest, how many runs)] of those with several runs."""
    groups = {}
    for result in results:
        if result.digests:
            groups.setdefault(result.job.contents(), []).append(result)
    found = []
    for group in groups.values():
        common = set.intersection(*(set(r.digests) for r in group))
        if len(group) > 1 and common:
            epoch = max(common)
            found.append((group[0].job.seed, epoch,
                          group[0].digests[epoch], len(group)))
    return found


def table(results):
    lines = [f"{'machine':14} {'seed':>6} {'epochs':>7} {'operations':>11} "
             f"{'discards':>9} {'faults':>9} {'rebuilds':>9} "
             f"{'verified':>10} {'s':>6}  verdict"]
    for result in results:
        last = result.last
        lines.append(
            f"{result.job.place:14} {result.job.seed:6} {result.epoch:7} "
            f"{total(last.get('ops')):11} {total(last.get('discards')):9} "
            f"{last.get('faults', 0):9} {last.get('rebuilds', 0):9} "
            f"{last.get('visits', 0):10} {result.seconds:6.0f}  "
            f"{'ok' if result.ok else 'FAILED'}")
    return lines


def discards(results):
    """How often each kind of blow fell, and was refused."""
    lines = []
    for kind in STORMS:
        done, refused = (sum(r.last.get(what, {}).get(kind, 0)
                             for r in results)
                         for what in ("discards", "refused"))
        if done or refused:
            lines.append(f"  {kind:8} {done:12} done {refused:10} refused")
    return lines


def show(results, problems, reproduce):
    """The report for people; True: all is well."""
    print("\n" + "\n".join(table(results)))
    if lines := discards(results):
        print("discards:\n" + "\n".join(lines))
    pages = sum(result.last.get("visits", 0) for result in results)
    print(f"pages verified: {pages}")
    for seed, epoch, digest, count in agreement(results):
        if not problems:
            print(f"seed {seed}: digest {digest} after epoch {epoch}, the "
                  f"same in {count} runs")
    for result in results:
        if not result.ok:
            print(f"\nFAILED {name(result)}: {result.problem}")
            for line in result.text.splitlines()[:60]:
                print(f"    {line}")
            if reproduce:
                print(f"  repeat: {reproduce(result)}")
    for problem in problems:
        print(f"\nFAILED {problem}")
    ok = not problems and all(result.ok for result in results)
    bad = sum(not result.ok for result in results) + len(problems)
    print("\nnothing was lost" if ok else f"\n{bad} failures")
    return ok


def write_json(path, results, problems, ok):
    with open(path, "w") as file:
        json.dump(as_json(results, problems, ok), file, indent=1)
        file.write("\n")


def write_junit(path, results, problems, reproduce):
    suites = xml.Element("testsuites", name="palimpsest")
    bad = sum(not result.ok for result in results) + len(problems)
    suite = xml.SubElement(suites, "testsuite", name="stress",
                           tests=str(len(results) + 1), failures=str(bad))
    for result in results:
        item = xml.SubElement(suite, "testcase", name=name(result),
                              classname="stress",
                              time=f"{result.seconds:.3f}")
        if not result.ok:
            failure = xml.SubElement(item, "failure", message=NOT_XML.sub(
                "?", reproduce(result) if reproduce else result.problem))
            failure.text = NOT_XML.sub("?", result.text)
    item = xml.SubElement(suite, "testcase", name="digests are equal",
                          classname="stress")
    if problems:
        xml.SubElement(item, "failure", message=problems[0]).text = (
            "\n".join(problems))
    xml.ElementTree(suites).write(path, encoding="utf-8",
                                  xml_declaration=True)
