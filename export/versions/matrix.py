"""Run the artifacts of a bundle, or one file, in many releases of their runtimes; compare each with the reference."""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import check_confined, check_trusted, describe
from export.artifacts.calling import check_samplable, endpoints_of, has_rows, run_artifact, runtime_for, with_samples
from export.artifacts.operators import OperatorDifference, first_operator
from export.bundle import layout
from export.bundle.gate import read_proven, refusal
from export.contract import Artifact, Contract, Endpoint
from export.parity.cases import GoldenCase, read_golden
from export.parity.distance import max_row_error
from export.parity.golden import cases_for, check_samples
from export.parity.noise_floor import Policy
from export.proof.certificate import ProofRequest
from export.proof.prove import compare_run
from export.protocol.runner import Runtime
from export.runners import RUNTIMES, runtimes_of
from export.runtime.execution import ArtifactRun, run_all
from export.versions.metric import metric_change
from export.versions.releases import Release
from export.versions.variants import Variant
from zoobase.errors import ExportError, Unavailable

EQUAL, WITHIN, DIFFERENT, REFUSED, NOT_RUN = "equal", "within tolerance", "different", "refused", "not run"


@dataclass(frozen=True)
class Cell:
    """What one artifact answered in one release."""

    artifact: str  # its path in the bundle
    release: str  # the name of the release
    variant: str  # of kernels and threads; "" for the usual ones
    state: str  # equal, within tolerance, different, refused or not run
    reason: str = ""  # where and how much it differs, or why it was refused or did not run
    # the largest error of an output, as the certificate measures it; None where there is none
    difference: float | None = None
    # the drop of the metric on data from the installed release to this one, as of `paired_drop`
    metric: Mapping[str, Any] | None = None
    seconds: float | None = None  # of its process
    megabytes: float | None = None  # of the environment


def matrix(
    bundle: str | Path,
    releases: Sequence[Release],
    variants: Sequence[Variant] = (Variant("", {}),),
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    data: Mapping[str, np.ndarray] | None = None,
    trust: Collection[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> list[Cell]:
    """Run every artifact of a proven bundle in each release that can read it, each in a confined process.

    Of the first release of a runtime that differs, the first operator that differs is found by bisection.

    Args:
        bundle: A bundle whose proof passed; or a file or SavedModel, also of third parties.
        releases: The releases; their environments are installed once, in the cache.
        variants: Kernels and numbers of threads, each of which is run.
        samples: Inputs of a file: rows of them; or those of one call, of a file whose inputs have no common rows.
        data: Inputs by name and one more array, the truth, on which the change of the metric is measured.
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
    is_bundle = (source / layout.MANIFEST).is_file()
    subject = _of_bundle(source, trust) if is_bundle else _of_file(source, trust, samples)
    cells: list[Cell] = []
    explained: set[tuple[str, ...]] = set()
    for release in releases:
        readable = [a for a in subject.artifacts if a.format in release.runtime().formats and a.state is None]
        if not readable:
            continue
        progress(release.name)
        for variant in (v for v in variants if v.suits(release)):
            try:
                release.install(progress)
            except Unavailable as error:
                cells += [Cell(a.path, release.name, variant.name, NOT_RUN, str(error)) for a in readable]
                continue
            size = sum(path.stat().st_size for path in release.folder.rglob("*") if path.is_file())
            size, runtime = round(size / 1e6, 1), release.runtime(variant.variables)
            for artifact in readable:
                start = time.monotonic()
                run = subject.run(artifact, runtime)
                if {*artifact.endpoints} <= {*run.report.get("skipped", ())}:
                    continue  # what an optional runtime never runs, such as strings
                state, reason, difference = evaluate(subject, artifact, run)
                seconds = round(time.monotonic() - start, 1)
                loaded, key = {*run.report.get("versions", {}).values()}, (artifact.path, runtime.name, variant.name)
                if loaded and release.version not in loaded:
                    state, reason = NOT_RUN, f"the process loaded {', '.join(sorted(loaded))}"
                elif state == DIFFERENT and key not in explained:
                    explained.add(key)
                    progress(f"{release.name}: {artifact.path} differs; looking for the first operator that does")
                    if found := _explain(subject, artifact, run, runtime):
                        reason += f"; {found.sentence()}"
                ran = data is not None and state in (EQUAL, WITHIN, DIFFERENT)
                metric = metric_change(subject.folder, subject.contract, artifact, release, data or {}) if ran else None
                result = (state, reason, difference, metric, seconds, size)
                cells.append(Cell(artifact.path, release.name, variant.name, *result))
    if not cells:
        raise ExportError(f"{source} holds no artifact that one of these runtimes reads")
    return cells


@dataclass(frozen=True)
class Subject(ProofRequest):
    """What is run: the artifacts of a bundle, or one file."""

    is_bundle: bool = True  # whether the folder is a bundle, which has the cases as files
    floor: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)  # that the export recorded

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


def _of_file(path: Path, trust: Collection[str], samples: Mapping[str, np.ndarray] | None) -> Subject:
    """Return a file with inputs; the reference is the release of its runtime that is installed here."""
    description = describe(path)
    check_trusted(description, trust)
    check_confined(path, trust)
    endpoints, runtime = endpoints_of(description), runtime_for(description.format)
    check_samples(samples or {}, endpoints)
    cases = {e.name: _cases(e, path, samples or {}) for e in endpoints}
    run = run_artifact(path, description.format, endpoints, cases, [runtime])[runtime.name]
    if run.failure:
        raise ExportError(f"{path} does not run in the installed {runtime.distribution}: {run.failure}")
    for name, group in cases.items():
        for case in group:
            case.outputs = run.of(name).of(case.name)
    artifact = Artifact(description.format, path.name, tuple(e.name for e in endpoints))
    return Subject(path.parent, Contract(endpoints), [artifact], cases, is_bundle=False)


def _cases(endpoint: Endpoint, path: Path, samples: Mapping[str, np.ndarray]) -> list[GoldenCase]:
    """Return the inputs of a function of a file; where they have no common rows they are given as those of one call."""
    if has_rows(endpoint):
        given = {t.name: samples[t.name] for t in endpoint.inputs if t.name in samples}
        check_samplable(with_samples(endpoint, given), path)
        return [case for case in cases_for(with_samples(endpoint, given), given) if case.compared]
    if missing := [t.name for t in endpoint.inputs if t.name not in samples]:
        raise ExportError(
            f"the inputs of {path} have no rows in common, so that none can be generated: give --samples with those of "
            f"one call ({', '.join(missing)} missing)"
        )
    return [GoldenCase("samples", {t.name: t.array(samples[t.name]) for t in endpoint.inputs})]


def _explain(subject: Subject, artifact: Artifact, run: ArtifactRun, other: Runtime) -> OperatorDifference | None:
    """Return the first operator that a runtime computes otherwise than one that is right, or None."""
    names = [name for name in artifact.endpoints if name not in run.report["skipped"]]
    calls = [
        (max((max_row_error(v, outputs[o]) for o, v in case.outputs.items() if o in outputs), default=0.0), name, case)
        for name in names
        for case in subject.cases[name]
        if case.compared and case.outputs and not case.chain
        for outputs in [run.of(name).of(case.name)]
    ]
    usable = [r for r in runtimes_of(artifact.format) if r.version and not r.on_request]
    usable.sort(key=lambda runtime: runtime.name != RUNTIMES[other.name].name)  # the installed release of it first
    states = ((r, evaluate(subject, artifact, subject.run(artifact, r))[0]) for r in usable if calls)
    right = next((r for r, state in states if state in (EQUAL, WITHIN)), None)
    if right is None:
        return None
    _, name, case = max(calls, key=lambda call: call[0])
    endpoint = subject.contract[name]
    endpoint = dataclasses.replace(endpoint, batch=artifact.batch or endpoint.batch)
    return first_operator(subject.folder / artifact.path, artifact.format, endpoint, case, right, other)


def evaluate(subject: Subject, artifact: Artifact, run: ArtifactRun) -> tuple[str, str, float | None]:
    """Return the state of a run, its reason, and the largest error of its outputs."""
    if run.problem:
        return (NOT_RUN if run.timed_out else REFUSED), f"the process {run.problem}", None
    if error := run.report["missing"] or run.report["error"]:
        return REFUSED, str(error), None
    endpoints = [name for name in artifact.endpoints if name not in run.report["skipped"]]
    findings, errors = [], []
    for name in endpoints:
        comparison = compare_run(subject, name, run, subject.floor, Policy(), artifact.quantize)
        findings += [f"{name}: {text}" if name else text for text in comparison.findings]
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
