# SPDX-License-Identifier: BSD-2-Clause
"""What a test run found: the summary people read, and JUnit for machines."""

import os
import re
import xml.etree.ElementTree as xml

from ktap import FAILED, PASSED, SKIPPED

DETAIL_LINES = 45
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd]")


def count_line(passed, failed, skipped):
    line = f"{passed} passed, {failed} failed"
    return line + (f", {skipped} skipped" if skipped else "")


def print_table(results):
    suites = {}
    for result in results:
        row = suites.setdefault(result.run.suite, [0, 0, 0, 0, 0.0])
        row[0] += 1
        for i, status in enumerate((PASSED, FAILED, SKIPPED), 1):
            row[i] += result.count(status)
        row[4] += result.seconds
    print(f"\n{'suite':12} {'runs':>5} {'passed':>7} {'failed':>7} "
          f"{'skipped':>8} {'seconds':>8}")
    for suite, row in sorted(suites.items()):
        print(f"{suite:12} {row[0]:5} {row[1]:7} {row[2]:7} {row[3]:8} "
              f"{row[4]:8.1f}")


def print_cases(results, reproduce):
    """Skips first, then failures: what matters most stands last."""
    for result in results:
        for case in result.cases:
            if case.status == SKIPPED:
                print(f"\nSKIPPED {result.run.name}: {case.name}: "
                      + "; ".join(case.detail))
    for result in results:
        for case in result.cases:
            if case.status == FAILED:
                print(f"\nFAILED {result.run.name}: {case.name}")
                for line in case.detail[-DETAIL_LINES:]:
                    print(f"    {NOT_XML.sub('?', line)}")
                print(f"  repeat: {reproduce(result, case)}")


def write_junit(path, results, reproduce):
    suites = xml.Element("testsuites", name="palimpsest")
    for result in results:
        suite = xml.SubElement(
            suites, "testsuite", name=result.run.name,
            tests=str(len(result.cases)),
            failures=str(result.count(FAILED)),
            skipped=str(result.count(SKIPPED)),
            time=f"{result.seconds:.3f}")
        for case in result.cases:
            item = xml.SubElement(suite, "testcase", name=case.name,
                                  classname=result.run.name)
            detail = NOT_XML.sub("?", "\n".join(case.detail))
            if case.status == FAILED:
                failure = xml.SubElement(item, "failure",
                                         message=reproduce(result, case))
                failure.text = detail
            elif case.status == SKIPPED:
                xml.SubElement(item, "skipped", message=detail)
    write_xml(path, suites)


def write_build_failure(path, what):
    """No test ran: say so, where an older run's results may stand."""
    suites = xml.Element("testsuites", name="palimpsest")
    suite = xml.SubElement(suites, "testsuite", name="build", tests="1",
                           failures="1")
    item = xml.SubElement(suite, "testcase", name="build",
                          classname="build")
    xml.SubElement(item, "failure", message=what)
    write_xml(path, suites)


def write_xml(path, suites):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    xml.ElementTree(suites).write(path, encoding="utf-8",
                                  xml_declaration=True)


def totals(results):
    return [sum(result.count(status) for result in results)
            for status in (PASSED, FAILED, SKIPPED)]
