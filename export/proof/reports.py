"""A certificate as reports that continuous integration reads: JUnit XML, and SARIF 2.1.0."""

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import quote

from export.proof.certificate import FAIL, NOT_RUN, PASS, UNSUPPORTED, Certificate, Row

JUNIT_KINDS = {FAIL: "failure", NOT_RUN: "error", UNSUPPORTED: "failure"}  # of rows that decide the verdict
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_junit(certificate: Certificate, name: str) -> str:
    """Return the XML of one test suite."""
    # A row that decides is a failure, or an error if it did not run; any other that did not pass is skipped.
    suite = ET.Element("testsuite", name=name)
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for row in certificate.rows:
        case = ET.SubElement(suite, "testcase", classname=f"{name}.{row.format}", name=row.place)
        case.set("time", f"{row.seconds or 0:.3f}")
        if row.state != PASS:
            kind = JUNIT_KINDS[row.state] if row.decides else "skipped"
            counts[kind] += 1
            text = f"{row.state}: {row.reason}"  # XML holds no control characters
            text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
            ET.SubElement(case, kind, message=text)
    suite.set("tests", str(len(certificate.rows)))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    suite.set("time", f"{sum(row.seconds or 0 for row in certificate.rows):.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, "unicode", xml_declaration=True) + "\n"


def to_sarif(certificate: Certificate, folder: str | os.PathLike[str]) -> str:
    """Return the SARIF log (JSON): a result for each row that failed or that prevents the verdict pass.

    Args:
        certificate: The certificate of a bundle.
        folder: The bundle, from whose path the locations begin.
    """
    # An error prevents the verdict pass because it failed; a warning is what did not run, or what decides nothing.
    rows = [row for row in certificate.rows if row.decides or row.state == FAIL]
    rules = {_rule(row): f"What {row.runtime or 'the check'} found in {row.format} files" for row in rows}
    rules_of_driver = [{"id": rule, "shortDescription": {"text": text}} for rule, text in rules.items()]
    driver = {"name": "export verify", "rules": rules_of_driver}
    run = {"tool": {"driver": driver}, "results": [_sarif_result(row, Path(folder)) for row in rows]}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(row: Row) -> str:
    return f"{row.format}/{row.runtime}" if row.runtime else row.format


def _sarif_result(row: Row, folder: Path) -> dict[str, Any]:
    file = folder / row.artifact
    place = quote((file if file.exists() else folder).as_posix())  # what is no file, such as a check, is of the bundle
    # the location of a whole file; GitHub shows no result without a line
    location = {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}
    return {
        "ruleId": _rule(row),
        "level": "error" if row.decides and row.state != NOT_RUN else "warning",
        "message": {"text": f"{row.place}: {row.state}: {row.reason}"},
        "locations": [{"physicalLocation": location}],
    }
