"""The certificate: one row for every artifact in every runtime, and a verdict; as JSON and as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from export.artifacts.reservations import sentence

RESERVED = "pass, with stated reservations"
PASS, FAIL, NOT_RUN, UNSUPPORTED = "pass", "fail", "not_run", "unsupported"
INCOMPLETE = "incomplete"
EXIT_CODES = {PASS: 0, RESERVED: 0, FAIL: 1, INCOMPLETE: 3}
JUNIT_KINDS = {FAIL: "failure", NOT_RUN: "error", UNSUPPORTED: "failure"}  # of rows that decide the verdict


@dataclass
class Row:
    """One artifact in one runtime.

    Attributes:
        artifact: Its path in the bundle, "live model" for the reference itself, "files" for the checksums.
        format: A format, or "reference" or "bundle".
        runtime: The runtime, or None where nothing runs.
        state: pass, fail, not_run or unsupported.
        reason: One sentence, or None if it passed.
        note: A remark on a row that passed, or None.
        required: Whether the bundle is incomplete when this is not_run.
        demanded: Whether the format was requested by name, so that `unsupported` is a failure.
        extra: Whether the runtime is optional and does not decide the verdict.
        versions: {library: version} of the runtime.
        code_dependency: The package whose code the artifact needs, or None.
        seconds: Duration of loading and running.
        endpoints: Figures by endpoint.
        reservations: {kind: operators} that may answer differently in a call that the proof has not made.
        weights: {"matched", "of", "unmatched": names}: weights of the model that are in the artifact value by value, or
            None where they were not compared.
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
    reservations: dict[str, list[str]] = field(default_factory=dict)
    weights: dict[str, Any] | None = None


@dataclass
class Certificate:
    """The rows of a proof, with the tolerances and the environment.

    Attributes:
        artifacts: The rows.
        policy: The tolerances.
        noise_floor: {endpoint: {output: largest difference of an artifact from itself}}, as measured in this proof.
        environment: Where the proof ran.
        between: {endpoint: the largest pairwise difference of artifacts}.
        jumps: {endpoint: {case: named rows at which the reference is discontinuous, which are not compared}}.
        request: {"formats", "quantize"}: what the bundle was asked to hold; empty in a certificate of `verify`.
        coverage: What the golden inputs reached in the live model, measured at export; empty if it was not measured.
    """

    artifacts: list[Row]
    policy: dict[str, float] = field(default_factory=dict)
    noise_floor: dict[str, dict[str, float]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    between: dict[str, Any] = field(default_factory=dict)
    jumps: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    request: dict[str, list[str]] = field(default_factory=dict)
    coverage: dict[str, Any] = field(default_factory=dict)

    @property
    def shallow(self) -> bool:
        """Return whether the golden inputs left much of the model unreached: a reservation, not a failure."""
        return bool(self.coverage.get("shallow"))

    @property
    def verdict(self) -> str:
        """Return fail if anything failed, incomplete if something required did not run, else pass, with or without
        reservations.
        """
        if any(self._decisive_rows(FAIL, UNSUPPORTED)):
            return FAIL
        if any(self._decisive_rows(NOT_RUN)):
            return INCOMPLETE
        return RESERVED if self.reservations() else PASS

    def reservations(self) -> list[str]:
        """Return a message for every reservation about an artifact that passed."""
        messages = [
            f"{row.artifact}: {sentence(kind, operators)}"
            for row in self.artifacts
            if row.state == PASS and not row.extra
            for kind, operators in row.reservations.items()
        ]
        return list(dict.fromkeys(messages))

    @property
    def exit_code(self) -> int:
        """Return 0 for pass, also with reservations, 1 for fail, 3 for incomplete."""
        return EXIT_CODES[self.verdict]

    def problems(self) -> list[str]:
        """Return a message for every row that prevents the verdict pass, failures first."""
        return [*map(_sentence, self._decisive_rows(FAIL, UNSUPPORTED)), *map(_sentence, self._decisive_rows(NOT_RUN))]

    def _decisive_rows(self, *states: str) -> Iterable[Row]:
        decides = {
            FAIL: lambda row: not row.extra,
            UNSUPPORTED: lambda row: row.demanded,
            NOT_RUN: lambda row: row.required,
        }
        return (row for row in self.artifacts if row.state in states and decides[row.state](row))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of parity.json."""
        return {
            "schema": 1,
            "verdict": self.verdict,
            "artifacts": [asdict(row) for row in self.artifacts],
            "policy": self.policy,
            "noise_floor": self.noise_floor,
            "environment": self.environment,
            "between": self.between,
            "jumps": self.jumps,
            "request": self.request,
            "coverage": self.coverage,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Certificate:
        """Rebuild from `to_json`."""
        rows = [Row(**row) for row in data["artifacts"]]
        sections = (data["policy"], data["noise_floor"], data["environment"], data.get("between", {}))
        return cls(rows, *sections, *(data.get(key, {}) for key in ("jumps", "request", "coverage")))


def _sentence(row: Row) -> str:
    where = f"{row.artifact} in {row.runtime}" if row.runtime else row.artifact
    return f"{where}: {row.reason}"


def to_junit(certificate: Certificate, name: str) -> str:
    """Return the XML of one test suite.

    A row that decides the verdict is a failure, or an error if it did not run; any other that did not pass is skipped.

    Args:
        certificate: The certificate.
        name: Name of the test suite.
    """
    suite = ET.Element("testsuite", name=name)
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for row in certificate.artifacts:
        case = ET.SubElement(suite, "testcase", classname=f"{name}.{row.format}", name=_name(row))
        case.set("time", f"{row.seconds or 0:.3f}")
        if row.state != PASS:
            kind = JUNIT_KINDS[row.state] if _decides(row) else "skipped"
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


def _decides(row: Row) -> bool:
    return row.state == FAIL or (row.state == NOT_RUN and row.required) or (row.state == UNSUPPORTED and row.demanded)


def _printable(text: str) -> str:
    """Return the text without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
