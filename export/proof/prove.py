"""Prove a bundle: run every artifact in fresh processes, compare the outputs, and write the rows of a certificate."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.artifacts.reservations import reservations_of
from export.contract import FORMATS, KERAS_FORMATS, Contract
from export.contract.artifact import Artifact
from export.contract.sampling import legal_range
from export.formats import hdf5
from export.parity import recurrent_steps
from export.parity.comparison import (
    Verdict,
    compare_endpoint,
    contract_violations,
    pairwise_differences,
)
from export.parity.evidence import check_evidence
from export.parity.golden import Case
from export.parity.noise_floor import TOLERATED_VARIANTS, find_unstable_rows, measure_noise_floor, measure_row_noise
from export.parity.policy import Policy
from export.parity.quantization import compare_quantised
from export.parity.rest_requests import compare_replies
from export.proof import image_diff, layer_diff
from export.proof.certificate import FAIL, NOT_RUN, PASS, UNSUPPORTED, Certificate, Row
from export.runtime import onednn
from export.runtime.execution import Run, run_all
from export.runtime.runtimes import FRAMEWORKS, RUNTIMES, Runtime
from zoobase import suggestion
from zoobase.errors import ExportError

OURS = frozenset({"zoobase", "export", "zoo", "pipelines"})  # packages that an artifact must never import


@dataclass
class Subject:
    """The artifacts to prove, and the data to prove them with.

    Attributes:
        folder: The bundle or its staging folder.
        contract: Its contract.
        artifacts: Its artifacts.
        cases: Golden cases by endpoint, with the outputs of the reference.
        dependency: {"package", "modules"} that define classes of the model, or None.
        live: The run of the reference model, or None; it has a row of its own.
        probing: Whether an HDF5 file that cannot be loaded is unsupported (at export) or damaged.
        demanded: Formats that were requested by name.
        images: Folder for comparison images of endpoints that return images, or None.
    """

    folder: Path
    contract: Contract
    artifacts: Sequence[Artifact]
    cases: Mapping[str, Sequence[Case]]
    dependency: Mapping[str, object] | None = None
    live: Run | None = None
    probing: bool = False
    demanded: frozenset[str] = field(default_factory=frozenset)
    images: Path | None = None


def check_names(names: Sequence[str], choices: Sequence[str], kind: str) -> None:
    """Raise ExportError for an unknown name, with the nearest ones."""
    for name in names:
        if name not in choices:
            raise ExportError(f"unknown {kind} {name!r}; {suggestion(name, choices)}")


def prove(
    subject: Subject, runtimes: Sequence[str] | None = None, require: Sequence[str] = (), policy: Policy | None = None
) -> Certificate:
    """Run every artifact in every runtime and return the certificate.

    Args:
        subject: The artifacts.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
        policy: Tolerances.

    Raises:
        ExportError: If a runtime or format is unknown.
    """
    check_names(runtimes or (), tuple(RUNTIMES), "runtime")
    check_names(require, (*RUNTIMES, *FORMATS), "runtime or format")
    policy = policy or Policy()
    wanted = {name for name, r in RUNTIMES.items() if _is_wanted(r, runtimes, require)}
    available = {name: r for name, r in RUNTIMES.items() if name in wanted and r.version}
    plan = {name: (r, artifacts) for name, r in available.items() if (artifacts := _artifacts_of(subject, r))}
    modules = (subject.dependency or {}).get("modules", ())
    runs = run_all(subject.folder, subject.contract, plan, modules, again_with=_again_with(plan))
    measured = [*runs.values(), *([subject.live] if subject.live else [])]
    discontinuities = _find_discontinuities(subject, measured, policy)
    floor = _floor(measured, subject.cases, policy)
    rows = [_check_live(subject, floor, policy)] if subject.live else []
    examine = functools.cache(lambda path, format: _reservations(subject.folder / path, format))
    for artifact in subject.artifacts:
        for runtime in (r for r in RUNTIMES.values() if artifact.format in r.formats):
            if runtime.on_request and runtime.name not in {*wanted, *require}:
                continue
            row = row_for(artifact, runtime, subject.demanded, runtimes, require)
            if artifact.state:
                row.state, row.reason, row.runtime = artifact.state, artifact.reason, None
            elif runtime.name not in available:
                row.state, row.reason = NOT_RUN, absent(runtime, runtimes)
            else:
                run = runs[runtime.name, artifact.path]
                _check_run(subject, artifact, row, run, floor, policy)
                row.reservations, problem = examine(artifact.path, artifact.format)
                row.note = problem or row.note
                if row.state == FAIL and run.arrays and not _names_weight(row, run):
                    _explain_by_layer(subject, artifact, row)
            rows.append(row)
    rows += required_but_absent(rows, require)
    environment = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    environment |= {"onednn": onednn.is_chosen(), "instruction_set": onednn.instruction_set()}
    full_precision = {
        (a.path, r): run
        for (r, path), run in runs.items()
        for a in subject.artifacts
        if a.path == path and not a.quantize
    }
    if subject.images:
        image_diff.write_image_diffs(subject.images, subject.contract, subject.cases, full_precision)
    return Certificate(
        rows,
        policy.to_json(),
        floor,
        environment,
        pairwise_differences(full_precision, subject.live, subject.cases),
        discontinuities,
    )


def _again_with(plan: Mapping[str, object]) -> dict[str, Mapping[str, str]]:
    """Return the runtime that runs a second time with TensorFlow's other kernels: the one that starts fastest."""
    name = next((name for name in ("c_api", "tensorflow") if name in plan), None)
    environment = onednn.other_kernels()
    return {name: environment} if name and environment else {}


def _find_discontinuities(subject: Subject, runs: Sequence[Run], policy: Policy) -> dict[str, dict[str, list[str]]]:
    """Measure the noise of each named row and mark discontinuous rows; return all marked rows, also recorded ones."""
    discontinuities: dict[str, dict[str, list[str]]] = {}
    for endpoint, cases in subject.cases.items():
        for case in cases:
            rows = set(case.unstable_rows)
            for arrays in (run.arrays.get(endpoint, {}) for run in runs):
                rows |= set(find_unstable_rows(case, arrays, policy, TOLERATED_VARIANTS))
                for output, noise in measure_row_noise(case, arrays, policy).items():
                    case.row_noise[output] = np.maximum(case.row_noise.get(output, 0.0), noise)
            case.unstable_rows = tuple(sorted(rows))
            if rows:
                discontinuities.setdefault(endpoint, {})[case.name] = [case.rows[i] for i in case.unstable_rows]
    return discontinuities


def _artifacts_of(subject: Subject, runtime: Runtime) -> list[Artifact]:
    return [a for a in subject.artifacts if a.format in runtime.formats and a.state is None]


def _floor(runs: Sequence[Run], cases: Mapping[str, Sequence[Case]], policy: Policy) -> dict[str, dict[str, float]]:
    """Return the noise floor by endpoint and output. Differences above the ceiling are errors and do not count."""
    floor: dict[str, dict[str, float]] = {}
    for run in runs:
        for endpoint, arrays in run.arrays.items():
            outputs = floor.setdefault(endpoint, {})
            for differences in measure_noise_floor(cases[endpoint], arrays).values():
                for output, value in differences.items():
                    if value <= policy.ceiling:
                        outputs[output] = max(outputs.get(output, 0.0), value)
    return floor


def _compare(
    subject: Subject,
    endpoint: str,
    run: Run,
    floor: Mapping[str, Mapping[str, float]],
    policy: Policy,
    quantize: str | None = None,
) -> Verdict:
    outputs = subject.contract[endpoint].outputs
    classes = frozenset(t.name for t in outputs if t.meaning in ("logits", "probabilities"))
    arrays, errors = run.arrays.get(endpoint, {}), run.errors.get(endpoint, {})
    if quantize:
        return compare_quantised(subject.cases[endpoint], arrays, errors, classes, quantize)
    peaks = {t.name: np.subtract(*legal_range(t)[::-1]) for t in outputs if t.meaning == "image"}
    return compare_endpoint(subject.cases[endpoint], arrays, errors, floor.get(endpoint, {}), classes, policy, peaks)


def _check_live(subject: Subject, floor: Mapping[str, Mapping[str, float]], policy: Policy) -> Row:
    """Compare the reference with itself and with the contract."""
    row = Row("live model", "reference", "keras", PASS, versions=subject.live.report["versions"])
    findings = []
    for endpoint in subject.contract.endpoints:
        verdict = _compare(subject, endpoint.name, subject.live, floor, policy)
        row.endpoints[endpoint.name] = {"noise": verdict.figures["noise"]}
        if raising := [case.name for case in subject.cases[endpoint.name] if case.may_raise and not case.outputs]:
            row.note = f"{endpoint.name} raises for {', '.join(raising)}; so must every artifact"
        if unstable := [case.rows[i] for case in subject.cases[endpoint.name] for i in case.unstable_rows]:
            row.note = f"{endpoint.name} is discontinuous at {', '.join(unstable)}, which are not compared"
        messages = verdict.findings + contract_violations(subject.cases[endpoint.name], endpoint.outputs)
        findings += [f"endpoint {endpoint.name}: {text}" for text in messages]
    failures, notes = check_evidence(subject.contract, subject.cases)
    row.note = "; ".join([*notes, *([row.note] if row.note else [])]) or None
    findings += failures
    findings += recurrent_steps.compare_steps(subject.contract, subject.live.arrays, policy)
    return _conclude(row, findings)


def _check_run(
    subject: Subject,
    artifact: Artifact,
    row: Row,
    run: Run,
    floor: Mapping[str, Mapping[str, float]],
    policy: Policy,
) -> None:
    """Fill in the row of an artifact that ran."""
    report = run.report
    row.versions, row.seconds = report.get("versions", {}), report.get("seconds")
    if subject.dependency and artifact.format in KERAS_FORMATS:
        row.code_dependency = str(subject.dependency["package"])
    if run.problem:
        row.state, row.reason = (NOT_RUN if run.timed_out else FAIL), f"the process {run.problem}"
    elif report["missing"]:
        row.state, row.reason = NOT_RUN, f"needs the code of the model: {report['missing']}; install it"
    elif report["memory_error"]:
        row.state, row.reason = NOT_RUN, "ran out of the memory that one process may take"
    elif row.extra and len(report["skipped"]) == len(artifact.endpoints):
        row.state, row.reason = UNSUPPORTED, f"{row.runtime} can run no endpoint of it"
    elif error := (report["error"] or _raised_everywhere(subject, artifact, run)):
        is_withheld = artifact.format == "hdf5" and subject.probing
        row.state, row.reason = (UNSUPPORTED, hdf5.explain(error)) if is_withheld else (FAIL, error)
        row.state = UNSUPPORTED if row.extra else row.state
    else:
        findings = _unexpected_code(subject, row, {*report["modules"]}, {*report["local"]})
        if other_frameworks := (FRAMEWORKS & {*report["modules"]}) - {*RUNTIMES[row.runtime].imports}:
            findings.append(f"loaded {', '.join(sorted(other_frameworks))}, which is not its runtime")
        skipped = report["skipped"] if row.extra else ()
        row.note = f"did not run {', '.join(skipped)}" if skipped else row.note
        for endpoint in (name for name in artifact.endpoints if name not in skipped):
            verdict = _compare(subject, endpoint, run, floor, policy, artifact.quantize)
            row.endpoints[endpoint] = verdict.figures
            messages = list(verdict.findings)
            if (replies := report["replies"].get(endpoint)) is not None:
                contract_endpoint, endpoint_floor = subject.contract[endpoint], floor.get(endpoint, {})
                verdict.figures["rest"], differences = compare_replies(
                    contract_endpoint, subject.cases[endpoint], replies, endpoint_floor, policy
                )
                messages += differences
            findings += [f"endpoint {endpoint}: {text}" for text in messages]
        findings += report["findings"] + _weight_findings(row, report["weights"])
        findings += [] if artifact.quantize else recurrent_steps.compare_steps(subject.contract, run.arrays, policy)
        _conclude(row, findings)


def _weight_findings(row: Row, weights: Mapping[str, object] | None) -> list[str]:
    """Return the weights that differ, and put the numbers of the others into the row."""
    if weights is None:
        return []
    row.weights = {key: weights[key] for key in ("matched", "of", "unmatched")}
    return list(weights["findings"])


def _names_weight(row: Row, run: Run) -> bool:
    """Return whether the reason is a weight that no golden input reads, which no layer's output can explain."""
    findings = (run.report.get("weights") or {}).get("findings", ())
    return any(str(row.reason).startswith(text) for text in findings)


def _reservations(path: Path, format: str) -> tuple[dict[str, list[str]], str | None]:
    """Return the reservations about an artifact, or why there are none."""
    try:
        return reservations_of(path, format), None
    except ExportError as error:
        return {}, f"its graph was not examined: {error}"


def _explain_by_layer(subject: Subject, artifact: Artifact, row: Row) -> None:
    """Add to the reason the first layer that differs, if it can be determined."""
    if row.runtime not in layer_diff.RUNTIMES:
        return
    modules = (subject.dependency or {}).get("modules", ()) if artifact.format in KERAS_FORMATS else ()
    clause = layer_diff.first_difference(subject.folder, subject.contract, subject.cases, artifact, modules)
    row.reason = f"{row.reason}; {clause}" if clause else row.reason


def _raised_everywhere(subject: Subject, artifact: Artifact, run: Run) -> str | None:
    """Return the first error if no compared case of any endpoint ran."""
    errors = [
        run.errors.get(e, {}).get(f"{c.name}/main") for e in artifact.endpoints for c in subject.cases[e] if c.compared
    ]
    return errors[0] if errors and all(errors) else None


def _unexpected_code(subject: Subject, row: Row, modules: set[str], local: set[str]) -> list[str]:
    if row.code_dependency:
        return []
    package = {name.strip() for name in str((subject.dependency or {}).get("package", "")).split(",")} - {""}
    loaded = sorted(((OURS | package) & modules) | local)
    return [f"loaded the code of {', '.join(loaded)}, which it must not need"] if loaded else []


def _conclude(row: Row, findings: Sequence[str]) -> Row:
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        row.state, row.reason = FAIL, findings[0] + more
    return row


def row_for(
    artifact: Artifact,
    runtime: Runtime,
    demanded: Collection[str],
    runtimes: Sequence[str] | None,
    require: Sequence[str],
) -> Row:
    """Return the initial row of an artifact in a runtime.

    Args:
        artifact: The artifact.
        runtime: The runtime.
        demanded: Formats that were requested by name when they were written.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
    """
    is_named = not runtime.extra and artifact.format in {*demanded, *require}
    is_needed = (runtime.required or is_named) and not (runtime.library and runtime.version is None)
    required = runtime.name in require or (is_needed and (runtimes is None or runtime.name in runtimes))
    return Row(
        *(artifact.path, artifact.format, runtime.name, PASS),
        note=artifact.note,
        required=required,
        extra=runtime.extra and not required,
        demanded=is_named or bool(artifact.quantize and not runtime.extra),
    )


def _is_wanted(runtime: Runtime, runtimes: Sequence[str] | None, require: Sequence[str]) -> bool:
    """Return whether a runtime is to run if it is installed."""
    if runtimes is not None:
        return runtime.name in runtimes
    return not runtime.on_request or runtime.name in require


def absent(runtime: Runtime, runtimes: Sequence[str] | None) -> str:
    """Return why a runtime is not run."""
    if runtimes is not None and runtime.name not in runtimes:
        return "not requested"
    if runtime.library:
        return f"the installed {runtime.distribution} does not contain {runtime.library}"
    return f"{runtime.name} is not installed; {runtime.install or f'pip install {runtime.distribution}'}"


def required_but_absent(rows: Sequence[Row], require: Sequence[str]) -> list[Row]:
    """Return a row for every required name that has no row."""
    names_with_rows = {row.runtime for row in rows} | {row.format for row in rows}
    return [
        Row(name, name, None, NOT_RUN, f"required, but nothing in this bundle is or runs on {name}", required=True)
        for name in require
        if name not in names_with_rows
    ]
