"""The version that is checked, and the result of a level."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from export.artifacts import describe
from export.artifacts.calling import check_samplable, endpoints_of, run_artifact
from export.contract import Endpoint
from export.formats import saved_model
from export.formats.format import Description
from export.parity.cases import GoldenCase
from export.parity.golden import cases_for
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.runners import runtimes_of
from export.runtime.execution import ArtifactRun


@dataclass(frozen=True)
class Level:
    """The result of one level."""

    name: str  # one of `LEVELS`
    state: str  # pass, fail or not_run
    reason: str | None = None  # what failed, or why it did not run, or None
    details: str = ""  # a short description of the check
    required: bool = False  # whether the verdict is incomplete without it

    @classmethod
    def concluded(cls, name: str, messages: Sequence[str], details: str, calls: int = 1) -> Self:
        """Return a level that ran: it fails with the first message if there is one; without `calls` it did not run."""
        if not messages and not calls:
            return cls(name, NOT_RUN, "there is no call that TensorFlow has answered")
        return cls(name, FAIL if messages else PASS, messages[0] if messages else None, details)


@dataclass
class ServedVersion:
    """The version that TF Serving would serve, and its outputs."""

    base: Path  # the base path
    version: int  # the number of the newest version
    folder: Path  # its folder
    description: Description  # the contents of its graph
    endpoints: Sequence[Endpoint]  # its signatures
    cases: dict[str, list[GoldenCase]]  # legal inputs by endpoint, with the outputs of Python TensorFlow
    runs: dict[str, ArtifactRun] = field(default_factory=dict)  # runs by runtime

    @property
    def calls(self) -> list[tuple[Endpoint, GoldenCase]]:
        """The calls that TensorFlow has answered, with their endpoints."""
        return [(e, case) for e in self.endpoints for case in self.cases[e.name] if case.outputs]


def read_version(base: Path, version: int, folder: Path) -> ServedVersion:
    """Return a version before anything has run."""
    description = describe(folder)
    endpoints = endpoints_of(description)
    for endpoint in endpoints:
        check_samplable(endpoint, folder)
    cases = {e.name: [case for case in cases_for(e) if case.compared] for e in endpoints}
    return ServedVersion(base, version, folder, description, endpoints, cases)


def run(version: ServedVersion) -> None:
    """Run the version in every installed runtime, and add the outputs of TensorFlow to the cases."""
    name = saved_model.FORMAT.name
    runtimes = [runtime for runtime in runtimes_of(name) if runtime.version]
    version.runs = run_artifact(version.folder, name, version.endpoints, version.cases, runtimes)
    for endpoint, cases in version.cases.items():
        outputs = version.runs["tensorflow"].of(endpoint)
        for case in cases:
            case.outputs = outputs.of(case.name)
