"""Run the artifacts of a bundle, or one file, in many releases of their runtimes; compare each with the reference."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import check_confined, check_trusted, describe
from export.artifacts.calling import check_samplable, endpoints_of, run_artifact, runtime_for
from export.bundle import layout
from export.bundle.gate import read_proven, refusal
from export.contract import Artifact, Contract
from export.parity.cases import read_golden
from export.parity.golden import cases_for
from export.parity.noise_floor import Policy
from export.proof.certificate import ProofRequest
from export.proof.prove import compare_run
from export.runtime.execution import ArtifactRun, run_all
from export.runtime.installation import install
from export.versions.releases import Release
from export.versions.variants import Variant
from export.wire.protocol import Runtime
from zoobase.errors import ExportError, Unavailable

EQUAL, WITHIN, DIFFERENT, REFUSED, NOT_RUN = "equal", "within tolerance", "different", "refused", "not run"


@dataclass(frozen=True)
class Cell:
    """What one artifact answered in one release.

    Attributes:
        artifact: Its path in the bundle.
        release: The name of the release.
        variant: Of kernels and threads; "" for the usual ones.
        state: equal, within tolerance, different, refused or not run.
        reason: Where and how much it differs, or why it was refused or did not run.
        difference: The largest error of an output, as the certificate measures it; None where there is none.
        seconds: Of its process.
        megabytes: Of the environment.
    """

    artifact: str
    release: str
    variant: str
    state: str
    reason: str = ""
    difference: float | None = None
    seconds: float | None = None
    megabytes: float | None = None


def matrix(
    bundle: str | Path,
    releases: Sequence[Release],
    variants: Sequence[Variant] = (Variant("", {}),),
    *,
    trust: Collection[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> list[Cell]:
    """Run every artifact of a proven bundle in each release that can read it, each in a confined process.

    Args:
        bundle: A bundle whose proof passed; or a file or SavedModel, also of third parties.
        releases: The releases; their environments are installed once, in the cache.
        variants: Kernels and numbers of threads, each of which is run.
        trust: As of `verify_bundle`.
        progress: Called with a short description of each stage.

    Returns:
        A cell for each artifact, release and variant; only for the formats of the runtime.

    Raises:
        ExportError: If it cannot be called, or holds nothing that one of the runtimes reads.
        CheckFailed: If it is damaged, or its proof did not pass.

    Example:
        >>> from export.versions.releases import releases
        >>> [cell.state for cell in matrix("bundle", releases("litert==2.3.0"))]
        ['equal']
    """
    source = Path(bundle)
    subject = _of_bundle(source, trust) if (source / layout.MANIFEST).is_file() else _of_file(source, trust)
    cells: list[Cell] = []
    for release in releases:
        readable = [a for a in subject.artifacts if a.format in release.runtime().formats and a.state is None]
        if not readable:
            continue
        progress(release.name)
        try:
            install(release.environment, progress)
        except Unavailable as error:
            cells += [Cell(a.path, release.name, v.name, NOT_RUN, str(error)) for a in readable for v in variants]
            continue
        size = _megabytes(release.environment.folder)
        for artifact, variant in ((a, v) for a in readable for v in variants if v.suits(release)):
            start = time.monotonic()
            run = subject.run(artifact, release.runtime(variant.variables))
            if {*artifact.endpoints} <= {*run.report.get("skipped", ())}:
                continue  # what an optional runtime never runs, such as strings
            state, reason, difference = judge(subject, artifact, run)
            loaded = {*run.report.get("versions", {}).values()}
            if loaded and release.version not in loaded:
                state, reason = NOT_RUN, f"the process loaded {', '.join(sorted(loaded))}"
            seconds = round(time.monotonic() - start, 1)
            cells.append(Cell(artifact.path, release.name, variant.name, state, reason, difference, seconds, size))
    if not cells:
        raise ExportError(f"{source} holds no artifact that one of these runtimes reads")
    return cells


@dataclass(frozen=True)
class Subject(ProofRequest):
    """What is run: the artifacts of a bundle, or one file.

    Attributes:
        is_bundle: Whether the folder is a bundle, which has the cases as files.
    """

    is_bundle: bool = True

    def run(self, artifact: Artifact, runtime: Runtime) -> ArtifactRun:
        """Return the run of an artifact in a confined process."""
        if self.is_bundle:
            plan = {runtime.name: (runtime, [dataclasses.replace(artifact)])}
            return run_all(self.folder, self.contract, plan, ())[runtime.name, artifact.path]
        path, endpoints = self.folder / artifact.path, [self.contract[name] for name in artifact.endpoints]
        return run_artifact(path, artifact.format, endpoints, self.cases, [runtime])[runtime.name]


def _of_bundle(folder: Path, trust: Collection[str]) -> Subject:
    """Return a bundle with its golden cases; the reference is that of its certificate."""
    manifest = read_proven(folder, "is run in other versions")
    contract = Contract.from_json(manifest["contract"])
    artifacts = [Artifact.from_json(data) for data in manifest["artifacts"]]
    for artifact, data in zip(artifacts, manifest["artifacts"], strict=True):
        if artifact.state is None and (reason := refusal(folder, data, trust)):
            artifact.state, artifact.reason = REFUSED, reason
    floor = layout.read_certificate(folder)["noise_floor"]
    return Subject(folder, contract, artifacts, read_golden(folder / "golden", contract), floor=floor)


def _of_file(path: Path, trust: Collection[str]) -> Subject:
    """Return a file with generated inputs; the reference is the release of its runtime that is installed here."""
    description = describe(path)
    check_trusted(description, trust)
    check_confined(path, trust)
    endpoints, runtime = endpoints_of(description), runtime_for(description.format)
    for endpoint in endpoints:
        check_samplable(endpoint, path)
    cases = {e.name: [case for case in cases_for(e) if case.compared] for e in endpoints}
    run = run_artifact(path, description.format, endpoints, cases, [runtime])[runtime.name]
    if run.failure:
        raise ExportError(f"{path} does not run in the installed {runtime.distribution}: {run.failure}")
    for name, group in cases.items():
        for case in group:
            case.outputs = run.of(name).of(case.name)
    artifact = Artifact(description.format, path.name, tuple(e.name for e in endpoints))
    return Subject(path.parent, Contract(endpoints), [artifact], cases, is_bundle=False)


def judge(subject: Subject, artifact: Artifact, run: ArtifactRun) -> tuple[str, str, float | None]:
    """Return the state of a run, its reason, and the largest error of its outputs."""
    if run.problem:
        return (NOT_RUN if run.timed_out else REFUSED), f"the process {run.problem}", None
    if error := run.report["missing"] or run.report["error"]:
        return REFUSED, str(error), None
    endpoints = [name for name in artifact.endpoints if name not in run.report["skipped"]]
    findings, errors = [], []
    for name in endpoints:
        comparison = compare_run(subject, name, run, subject.floor, Policy(), artifact.quantize)
        findings += [f"{name}: {text}" for text in comparison.findings]
        outputs = comparison.figures.get("outputs", {}).values()  # those of a quantised file have no largest error
        errors += [figure["max_error"] for figure in outputs if figure.get("max_error") is not None]
    if artifact.quantize and endpoints:
        return (DIFFERENT if findings else WITHIN), findings[0] if findings else "", None
    if not errors:
        return REFUSED, findings[0] if findings else "it can run no endpoint", None
    largest = float(np.max(errors))
    if findings:
        return DIFFERENT, findings[0], largest
    return (EQUAL if largest == 0 else WITHIN), "", largest


def to_json(cell: Cell) -> dict[str, Any]:
    """Return the form that --json prints."""
    return dataclasses.asdict(cell)


def _megabytes(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)
