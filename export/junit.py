"""A certificate as JUnit XML, which CI systems show: one test case for every artifact in every runtime."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from export.certificate import FAIL, NOT_RUN, PASS, UNSUPPORTED, Certificate, Row

HARD = {FAIL: "failure", NOT_RUN: "error", UNSUPPORTED: "failure"}  # what it is when the verdict blames it


def to_junit(certificate: Certificate, name: str) -> str:
    """Return the XML of one test suite.

    A row that the verdict blames is a failure, or an error if it did not run; any other that is no pass is skipped.

    Args:
        certificate: What was proven.
        name: What the suite is called.
    """
    suite = ET.Element("testsuite", name=name)
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for row in certificate.artifacts:
        case = ET.SubElement(suite, "testcase", classname=f"{name}.{row.format}", name=_name(row))
        case.set("time", f"{row.seconds or 0:.3f}")
        if row.state != PASS:
            kind = HARD[row.state] if _blamed(row) else "skipped"
            counts[kind] += 1
            ET.SubElement(case, kind, message=_printable(f"{row.state}: {row.reason}"))
    suite.set("tests", str(len(certificate.artifacts)))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    suite.set("time", f"{sum(row.seconds or 0 for row in certificate.artifacts):.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, "unicode", xml_declaration=True) + "\n"


def _name(row: Row) -> str:
    return f"{row.artifact} in {row.runtime}" if row.runtime else row.artifact


def _blamed(row: Row) -> bool:
    return row.state == FAIL or (row.state == NOT_RUN and row.required) or (row.state == UNSUPPORTED and row.demanded)


def _printable(text: str) -> str:
    """Return the text without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
