# SPDX-License-Identifier: BSD-2-Clause
"""KTAP: what test programs print, and what it says about them.

The verdict does not trust a program that stops early: results that were
planned and never came are a failure, whatever the exit status says.
"""

import re
from dataclasses import dataclass, field

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

RESULT = re.compile(r"(not )?ok (\d+)(?: -)?(?: (.*))?$")
PLAN = re.compile(r"1\.\.(\d+)\s*(?:# *skip\b *(.*))?$", re.IGNORECASE)
DIRECTIVE = re.compile(r"(?:^|\s)# *skip\b *(.*)$", re.IGNORECASE)
SEED = re.compile(r"# seed[ :=]+(\d+)\s*$", re.IGNORECASE)
REPORT = re.compile(
    r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|UndefinedBehavior"
    r"|libFuzzer: |: runtime error: |assertion failed|panic")

REPORT_LINES = 40


@dataclass
class Case:
    """One test case: a KTAP result line, or a verdict on the program."""
    name: str
    status: str
    detail: list[str] = field(default_factory=list)
    whole_program: bool = False     # not a subtest that -k could select


@dataclass
class Output:
    """What a program's output says, before its exit status is known."""
    cases: list[Case] = field(default_factory=list)
    plan: int | None = None
    plan_skip: str | None = None
    seed: str | None = None
    in_order: bool = True


def parse(text):
    """Read the result lines; what stands between them explains the next."""
    out = Output()
    before = []
    for line in text.splitlines():
        if plan := PLAN.match(line):
            out.plan = int(plan[1])
            out.plan_skip = plan[2]
        elif result := RESULT.match(line):
            name, status = result[3] or "", FAILED if result[1] else PASSED
            detail = before
            if status == PASSED and (skip := DIRECTIVE.search(name)):
                name, status = name[:skip.start()], SKIPPED
                detail = [skip[1] or "no reason given"]
            out.cases.append(Case(name.strip() or f"case {result[2]}",
                                  status, detail))
            out.in_order &= int(result[2]) == len(out.cases)
            before = []
        elif line != "KTAP version 1":
            if seed := SEED.match(line):
                out.seed = seed[1]
            before.append(line)
    return out


def excerpt(text):
    """The first lines of a sanitizer's or a panic's report, else the last
    lines of the output."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if REPORT.search(line):
            return lines[i:i + REPORT_LINES]
    return lines[-REPORT_LINES:] or ["(no output)"]


def program_case(name, status, detail):
    return Case(name, status, detail, whole_program=True)


def describe_exit(status):
    return (f"killed by signal {-status}" if status < 0
            else f"exit status {status}")


def judge_ktap(text, exit_status, timed_out):
    """All cases of a run that prints KTAP.  timed_out: seconds or None."""
    out = parse(text)
    cases = out.cases
    any_failed = any(c.status == FAILED for c in cases)
    report = excerpt(text)

    if timed_out is not None:
        cases.append(program_case("timeout", FAILED, [
            f"killed after {timed_out} s; its last lines:",
            *text.splitlines()[-REPORT_LINES:]]))
    elif exit_status == 77 and not any_failed:
        cases.append(program_case("program", SKIPPED, text.splitlines()[-5:]))
    elif exit_status != 0 and not any_failed:
        cases.append(program_case("program", FAILED, [
            describe_exit(exit_status) + ":", *report]))
    elif exit_status != 0 and out.plan != len(cases):
        # A case failed, and then the program died: two findings.
        cases.append(program_case("program", FAILED, [
            describe_exit(exit_status) + ", not all cases ran:", *report]))
    elif out.plan is None:
        cases.append(program_case("ended early", FAILED, [
            f"no plan line (1..N) among {len(cases)} results:", *report]))
    elif out.plan != len(cases) or not out.in_order:
        cases.append(program_case("ended early", FAILED, [
            f"{out.plan} results planned, {len(cases)} came, in order: "
            f"{out.in_order}", *report]))
    elif out.plan == 0 and out.plan_skip is not None:
        cases.append(program_case("program", SKIPPED, [out.plan_skip]))
    return cases, out.seed


def judge_exit(text, exit_status, timed_out):
    """The one case of a run that tells by its exit status alone."""
    if timed_out is not None:
        case = program_case("timeout", FAILED, [
            f"killed after {timed_out} s; its last lines:",
            *text.splitlines()[-REPORT_LINES:]])
    elif exit_status == 77:
        case = program_case("program", SKIPPED, text.splitlines()[-5:])
    elif exit_status != 0:
        case = program_case("program", FAILED, [
            describe_exit(exit_status) + ":", *excerpt(text)])
    else:
        case = program_case("program", PASSED, [])
    return [case], None


class Printer:
    """Prints KTAP: for the tools that are tests themselves."""

    def __init__(self, names, pattern=None):
        self.names = [n for n in names if not pattern or pattern in n]
        if pattern in names:
            self.names = [pattern]
        self.failed = 0
        self.done = 0
        print("KTAP version 1")
        print(f"1..{len(self.names)}", flush=True)

    def result(self, name, problems, max_lines=50):
        """One result; problems explain why it failed."""
        for problem in problems[:max_lines]:
            print(f"# {problem}")
        if len(problems) > max_lines:
            print(f"# ... and {len(problems) - max_lines} more")
        self.done += 1
        self.failed += bool(problems)
        verdict = "not ok" if problems else "ok"
        print(f"{verdict} {self.done} - {name}", flush=True)

    def status(self):
        return 1 if self.failed else 0
