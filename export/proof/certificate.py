"""What the proof of a bundle says: one row for every artifact in every runtime, and a verdict; as JUnit XML too."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

PASS, FAIL, NOT_RUN, UNSUPPORTED = "pass", "fail", "not_run", "unsupported"
INCOMPLETE = "incomplete"
EXIT_CODES = {PASS: 0, FAIL: 1, INCOMPLETE: 3}
HARD = {FAIL: "failure", NOT_RUN: "error", UNSUPPORTED: "failure"}  # what it is when the verdict blames it


@dataclass
class Row:
    """One artifact in one runtime.

    Attributes:
        artifact: Its path in the bundle, "live model" for the reference itself, "files" for the checksums.
        format: A format, or "reference" or "bundle".
        runtime: What ran it, or None where nothing runs.
        state: pass, fail, not_run or unsupported.
        reason: One sentence, or None if it passed.
        note: What a reader should know of a row that passed, or None.
        required: Whether the bundle is incomplete when this is not_run.
        demanded: Whether it was asked for by name, so that `unsupported` is a failure.
        extra: Whether it is a second opinion, which does not decide the verdict.
        versions: {library: version} of what ran.
        code_dependency: The package whose code the artifact needs, or None.
        seconds: How long loading and running took.
        endpoints: Figures by endpoint.
    """

    artifact: str
    format: str
    runtime: str | None
    state: str
    reason: str | None = None
    note: str | None = None
    required: bool = False
    demanded: bool = False
    extra: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    code_dependency: str | None = None
    seconds: float | None = None
    endpoints: dict[str, Any] = field(default_factory=dict)


@dataclass
class Certificate:
    """The rows, and what they were judged by.

    Attributes:
        artifacts: The rows.
        policy: The numbers that decided.
        noise_floor: {endpoint: {output: largest difference of an artifact from itself}}, as measured in this proof.
        environment: Where the proof ran.
        between: {endpoint: the largest difference of any two artifacts from each other}.
        jumps: {endpoint: {case: named rows at which the reference itself jumps, so that nothing is judged there}}.
    """

    artifacts: list[Row]
    policy: dict[str, float] = field(default_factory=dict)
    noise_floor: dict[str, dict[str, float]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    between: dict[str, Any] = field(default_factory=dict)
    jumps: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return fail if anything failed, incomplete if something required did not run, else pass."""
        if any(self._blamed(FAIL, UNSUPPORTED)):
            return FAIL
        return INCOMPLETE if any(self._blamed(NOT_RUN)) else PASS

    @property
    def exit_code(self) -> int:
        """Return 0 for pass, 1 for fail, 3 for incomplete."""
        return EXIT_CODES[self.verdict]

    def problems(self) -> list[str]:
        """Return a sentence for every row that keeps the verdict from being pass, failures first."""
        return [*map(_sentence, self._blamed(FAIL, UNSUPPORTED)), *map(_sentence, self._blamed(NOT_RUN))]

    def _blamed(self, *states: str) -> Iterable[Row]:
        wanted = {
            FAIL: lambda row: not row.extra,
            UNSUPPORTED: lambda row: row.demanded,
            NOT_RUN: lambda row: row.required,
        }
        return (row for row in self.artifacts if row.state in states and wanted[row.state](row))

    def to_json(self) -> dict[str, Any]:
        """Return the form that parity.json holds."""
        return {
            "schema": 1,
            "verdict": self.verdict,
            "artifacts": [asdict(row) for row in self.artifacts],
            "policy": self.policy,
            "noise_floor": self.noise_floor,
            "environment": self.environment,
            "between": self.between,
            "jumps": self.jumps,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Certificate:
        """Rebuild from `to_json`."""
        rows = [Row(**row) for row in data["artifacts"]]
        found = (data["policy"], data["noise_floor"], data["environment"], data.get("between", {}))
        return cls(rows, *found, data.get("jumps", {}))


def _sentence(row: Row) -> str:
    where = f"{row.artifact} in {row.runtime}" if row.runtime else row.artifact
    return f"{where}: {row.reason}"


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
