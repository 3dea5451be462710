"""The subject of the levels, and the result of a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.artifacts import Description, describe
from export.artifacts.calling import check_samplable, endpoints_of, run_artifact
from export.contract import Endpoint
from export.parity.golden import Case, cases_for
from export.runtime.execution import Run
from export.runtime.runtimes import RUNTIMES

KILLS = 10


@dataclass
class Level:
    """The result of one level.

    Attributes:
        name: One of `LEVELS`.
        state: pass, fail or not_run.
        reason: What failed, or why it did not run, or None.
        details: A short description of the check.
        required: Whether the verdict is incomplete without it.
    """

    name: str
    state: str
    reason: str | None = None
    details: str = ""
    required: bool = False


@dataclass
class Subject:
    """The version that TF Serving would serve, and its outputs.

    Attributes:
        base: The base path.
        version: The number of the newest version.
        folder: Its folder.
        description: The contents of its graph.
        endpoints: Its signatures.
        cases: Legal inputs by endpoint, with the outputs of Python TensorFlow.
        runs: Runs by runtime.
        kills: Number of publishers that the poller level kills.
    """

    base: Path
    version: int
    folder: Path
    description: Description
    endpoints: Sequence[Endpoint]
    cases: dict[str, list[Case]]
    runs: dict[str, Run] = field(default_factory=dict)
    kills: int = KILLS

    @property
    def calls(self) -> list[tuple[Endpoint, Case]]:
        """The calls that TensorFlow has answered, with their endpoints."""
        return [(e, case) for e in self.endpoints for case in self.cases[e.name] if case.outputs]


def subject_of(base: Path, version: int, folder: Path) -> Subject:
    """Return the subject before anything has run.

    Raises:
        ExportError: If the graph cannot be read, or its inputs cannot be generated.
    """
    description = describe(folder)
    endpoints = endpoints_of(description)
    for endpoint in endpoints:
        check_samplable(endpoint, folder)
    cases = {e.name: [case for case in cases_for(e) if case.compared] for e in endpoints}
    return Subject(base, version, folder, description, endpoints, cases)


def run(subject: Subject) -> None:
    """Run the version in every installed runtime, and add the outputs of TensorFlow to the cases."""
    runtimes = [r for r in RUNTIMES.values() if "saved_model" in r.formats and r.version]
    subject.runs = run_artifact(subject.folder, "saved_model", subject.endpoints, subject.cases, runtimes)
    arrays = subject.runs["tensorflow"].arrays
    for name, cases in subject.cases.items():
        for case in cases:
            prefix = f"{case.name}/main/"
            outputs = arrays.get(name, {})
            case.outputs = {key[len(prefix) :]: value for key, value in outputs.items() if key.startswith(prefix)}


def problem_of(run: Run) -> str | None:
    """Return why a run has no outputs, or None."""
    return run.problem or run.report.get("error")
