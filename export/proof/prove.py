"""Prove a bundle: run every artifact in fresh processes, compare the outputs, and write the rows of a certificate."""

import functools
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import operators, reservations_of
from export.contract import Artifact
from export.contract.sampling import legal_range
from export.formats import FORMATS
from export.inputs import applications, golden_files
from export.inputs.check import vocabulary_of
from export.parity import recurrent_steps
from export.parity.comparison import EndpointComparison, compare_endpoint, contract_violations, numbers_for_nan
from export.parity.evidence import check_evidence
from export.parity.noise_floor import Policy
from export.parity.quantization import compare_quantized
from export.parity.rest_requests import compare_replies
from export.proof import image_diff, layer_diff, tolerances
from export.proof.certificate import CAUSE, FAIL, NOT_RUN, NOTE, UNSUPPORTED, Certificate, Finding, ProofRequest, Row
from export.proof.tolerances import Floor
from export.protocol.runner import Runtime
from export.runners import FRAMEWORKS, GROUPS, RUNTIMES, members, runtimes_of
from export.runtime import onednn
from export.runtime.execution import ArtifactRun, run_all
from zoobase import suggestion
from zoobase.errors import ExportError

OURS = frozenset({"zoobase", "export", "zoo", "pipelines"})  # packages that an artifact must never import
NOT_CONFINED = "this kernel did not confine the processes that loaded the files (Linux with Landlock does)"


def check_names(names: Sequence[str], choices: Sequence[str], kind: str) -> None:
    """Raise ExportError for an unknown name, with the nearest ones."""
    for name in names:
        if name not in choices:
            raise ExportError(f"unknown {kind} {name!r}; {suggestion(name, choices)}")


def prove(
    request: ProofRequest,
    runtimes: Sequence[str] | None = None,
    require: Sequence[str] = (),
    policy: Policy | None = None,
    extras: Sequence[str] = (),
) -> Certificate:
    """Run every artifact in every runtime and return the certificate."""
    check_names((*(runtimes or ()), *extras), (*RUNTIMES, *GROUPS), "runtime")
    check_names(require, (*RUNTIMES, *GROUPS, *FORMATS), "runtime or format")
    formats = {artifact.format for artifact in request.artifacts}
    extras, require = members(extras, formats), members(require, formats)
    runtimes = None if runtimes is None else members(runtimes, formats)
    policy = policy or Policy()
    usual = {name for name, r in RUNTIMES.items() if not r.on_request}
    wanted = usual | {*require, *extras} if runtimes is None else {*runtimes}
    available = {name: r for name, r in RUNTIMES.items() if name in wanted and r.version}
    present = [a for a in request.artifacts if a.state is None]
    plan = {name: (r, some) for name, r in available.items() if (some := [a for a in present if a.format in r.formats])}
    runs = run_all(request.folder, request.contract, plan, request.modules)
    reference = tolerances.outputs_of_reference(request, runs)
    floor = tolerances.measure(request, reference, policy, {})
    if _may_be_rounding(request, runs, floor, policy):
        if not reference:
            reference = tolerances.run_reference(request)
            floor = tolerances.measure(request, reference, policy, floor)
        floor = tolerances.measure(request, tolerances.outputs_of_other_kernels(request, runs, policy), policy, floor)
    rows = [_check_live(request, floor, policy)] if request.live else []
    examine = functools.cache(lambda path, format: _reservations(request.folder / path, format))
    for artifact in request.artifacts:
        for runtime in runtimes_of(artifact.format):
            if runtime.on_request and runtime.name not in {*wanted, *require, *extras}:
                continue
            row = row_for(artifact, runtime, request.demanded, runtimes, require)
            if artifact.state:
                row = row.with_findings(Finding(artifact.reason, artifact.state), runtime=None)
            elif runtime.name not in available:
                row = row.with_findings(Finding(absent(runtime, runtimes), NOT_RUN))
            else:
                reservations, notes = examine(artifact.path, artifact.format)
                row = row.with_findings(*notes, reservations=reservations)
                arguments = artifact, row, runs[runtime.name, artifact.path]
                row = check_run(request, *arguments, floor, policy)
                if row.state == FAIL and not reference.keys() >= {*artifact.endpoints}:
                    measured = {e: floor.get(e, {}) for e in reference}
                    row = _undecided(request, *arguments, measured, policy, row)
            rows.append(row)
    rows += _input_rows(request, runtimes, {*wanted, *require}, plan)
    stated = {row.runtime for row in rows} | {row.format for row in rows}
    text = "required, but nothing in this bundle is or runs on"
    missing = [name for name in require if name not in stated]
    rows += [Row(name, name, None, (Finding(f"{text} {name}", NOT_RUN),), required=True) for name in missing]
    environment = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    environment |= {"onednn": onednn.is_chosen(), "instruction_set": onednn.instruction_set()}
    # The least of those that loaded artifacts; runtimes that use a network, such as a browser, do not count.
    reports = [run.report for (name, _), run in runs.items() if run.report and not RUNTIMES[name].process.network]
    states = (report["confinement"] for report in reports)
    confinement = min(states, key=lambda state: (state["landlock"], not state["network"]), default=None)
    environment["confinement"] = confinement
    if confinement is not None and not (confinement["landlock"] and not confinement["network"]):
        rows.append(Row("processes", "bundle", None, (Finding(NOT_CONFINED, NOT_RUN),)))
    if request.images:
        full_precision = {
            f"{path} in {runtime}": run.outputs
            for (runtime, path), run in runs.items()
            if not _form(next(a for a in request.artifacts if a.path == path), runtime)
        }
        image_diff.write_image_diffs(request.images, request.contract, request.cases, full_precision)
    return Certificate(
        tuple(rows),
        policy.to_json(),
        floor,
        environment,
        tolerances.discontinuities(request),
        examples=_examples(request),
    )


def _input_rows(
    request: ProofRequest,
    runtimes: Sequence[str] | None,
    wanted: Collection[str],
    plan: Mapping[str, tuple[Runtime, Sequence[Artifact]]],
) -> list[Row]:
    """Return rows for the golden files: the contract, snippets in the languages of the runtimes, and MediaPipe."""
    endpoint = request.contract.endpoints[0]
    real = next((case for case in request.cases[endpoint.name] if case.name == "real"), None)
    tensor = next((t for t in endpoint.inputs if t.preprocessing is not None), None)
    languages = [*(golden_files.RUN_HERE if runtimes is None else ())]
    languages += [language for runtime, language in golden_files.LANGUAGE_OF.items() if runtime in wanted]
    if real is None or tensor is None:
        return []
    outcomes = []
    if languages:
        words = vocabulary_of(request.folder)
        outcomes = golden_files.check(request.folder, tensor, real.inputs[tensor.name], words, languages)
    runtime, artifacts = plan.get("mediapipe", (None, ()))
    files = [
        a for a in artifacts if a.batch in (None, 1) and [*a.endpoints] == [endpoint.name] and tensor.meaning == "image"
    ]
    rows_of_case = len(next(iter(real.outputs.values()), ()))
    pixels = golden_files.pixels_of(request.folder, tensor) if runtime and files else {}
    if pixels := {row: image for row, image in pixels.items() if row < rows_of_case}:
        arguments = request.folder, request.contract, files[0], runtime, pixels, real.outputs
        problem, note = applications.in_mediapipe(*arguments)
        outcomes.append(golden_files.Outcome("mediapipe", len(pixels), problem=problem, note=note))
    rows = []
    for outcome in outcomes:
        state = FAIL if outcome.is_installed else NOT_RUN
        findings = [Finding(outcome.problem, state)] if outcome.problem else []
        findings += [Finding(outcome.note, NOTE)] if outcome.note else []
        name = f"input {outcome.language}"
        rows.append(Row(golden_files.FOLDER, "bundle", name, tuple(findings), facts={"files": outcome.files}))
    return rows


def _examples(request: ProofRequest) -> dict[str, Any]:
    """Return what was compared by endpoint: the number of rows, the batch sizes, and the names of the cases."""
    found = {}
    for endpoint, cases in request.cases.items():
        compared = [case for case in cases if case.compared and case.outputs]
        sizes = [len(next(iter(case.inputs.values()))) for case in compared]
        names = [case.name for case in compared]
        found[endpoint] = {"rows": sum(sizes), "batches": sorted({*sizes}), "cases": names}
    return found


def _may_be_rounding(request: ProofRequest, runs: tolerances.Runs, floor: Floor, policy: Policy) -> bool:
    """Return whether some comparison fails, and could pass if the reference differed with other kernels."""
    most, largest = tolerances.at_most(request, policy)
    artifacts = {a.path: a for a in request.artifacts}
    compared = [(r, e) for (name, path), r in runs.items() if not _form(artifacts[path], name) for e in r.outputs]
    return any(
        compare_run(request, endpoint, run, floor, policy).findings
        and not compare_run(most, endpoint, run, largest, policy).findings
        for run, endpoint in compared
    )


def _undecided(
    request: ProofRequest, artifact: Artifact, row: Row, run: ArtifactRun, measured: Floor, policy: Policy, failed: Row
) -> Row:
    """Return a failed row as one that was not decided, if the noise of endpoints not `measured` could excuse it."""
    most, largest = tolerances.at_most(request, policy)
    most = replace(most, cases={e: (request if e in measured else most).cases[e] for e in most.cases})
    if check_run(most, artifact, row, run, {**largest, **measured}, policy).state == FAIL:
        return failed
    text = f"{failed.reason}; whether that is rounding no reference says, for none ran it here"
    return row.with_findings(Finding(text, NOT_RUN), required=True)


def compare_run(
    request: ProofRequest, endpoint: str, run: ArtifactRun, floor: Floor, policy: Policy, quantize: str | None = None
) -> EndpointComparison:
    """Compare what an artifact returned for an endpoint with the reference; a quantised one by its own rule."""
    tensors, cases = request.contract[endpoint].outputs, run.applicable(endpoint, request.cases[endpoint])
    classes = frozenset(t.name for t in tensors if t.meaning in ("logits", "probabilities"))
    if quantize:
        return compare_quantized(cases, run.of(endpoint), classes, quantize)
    peaks = {t.name: np.subtract(*legal_range(t)[::-1]) for t in tensors if t.meaning == "image"}
    return compare_endpoint(cases, run.of(endpoint), floor.get(endpoint, {}), classes, policy, peaks)


def _check_live(request: ProofRequest, floor: Floor, policy: Policy) -> Row:
    """Compare the reference with itself and with the contract."""
    failures, notes = check_evidence(request.contract, request.cases)
    findings, figures = [Finding(text, NOTE) for text in notes], {}
    for endpoint in request.contract.endpoints:
        name, cases = endpoint.name, request.cases[endpoint.name]
        comparison = compare_run(request, name, request.live, floor, policy)
        figures[name] = {"noise": comparison.figures["noise"]}
        if raising := [case.name for case in cases if case.may_raise and not case.outputs]:
            findings.append(Finding(f"{name} raises for {', '.join(raising)}; so must every artifact", NOTE))
        if unstable := [row for case in cases for row in case.unstable_names()]:
            findings.append(Finding(f"{name} is discontinuous at {', '.join(unstable)}, which are not compared", NOTE))
        messages = comparison.findings + contract_violations(cases, endpoint.outputs)
        findings += [Finding(f"endpoint {name}: {text}") for text in messages]
    steps = recurrent_steps.compare_steps(request.contract, request.live.outputs, policy)
    findings += [Finding(text) for text in failures + steps]
    versions = request.live.report["versions"]
    return Row("live model", "reference", "keras", tuple(findings), versions=versions, endpoints=figures)


def check_run(
    request: ProofRequest, artifact: Artifact, row: Row, run: ArtifactRun, floor: Floor, policy: Policy
) -> Row:
    """Return the row of an artifact that ran, with what all checks of its run found."""
    report = run.report
    row = replace(
        row, versions=report.get("versions", {}), seconds=report.get("seconds"), facts=report.get("facts", {})
    )
    if request.dependency and FORMATS[artifact.format].needs_code:
        row = replace(row, code_dependency=str(request.dependency["package"]))
    if obstacle := _obstacle(request, artifact, row, run):
        return row.with_findings(obstacle)
    findings = _unexpected_code(request, row, {*report["modules"]}, {*report["local"]})
    if other_frameworks := (FRAMEWORKS & {*report["modules"]}) - {*RUNTIMES[row.runtime].process.imports}:
        findings.append(f"loaded {', '.join(sorted(other_frameworks))}, which is not its runtime")
    skipped, figures, form = report["skipped"] if row.extra else (), {}, _form(artifact, row.runtime)
    notes = [Finding(text, NOTE) for text in report["remarks"]]
    notes += [Finding(f"did not run {', '.join(skipped)}", NOTE)] if skipped else []
    for endpoint in (name for name in artifact.endpoints if name not in skipped):
        comparison = compare_run(request, endpoint, run, floor, policy, form)
        figures[endpoint], messages = comparison.figures, list(comparison.findings)
        if left_out := run.of(endpoint).inapplicable:
            notes.append(Finding(f"endpoint {endpoint}: cannot be given {', '.join(left_out)}", NOTE))
        notes += [Finding(f"endpoint {endpoint}: {text}", NOTE) for text in comparison.notes]
        hidden = numbers_for_nan(request.cases[endpoint], run.of(endpoint)) if RUNTIMES[row.runtime].group else []
        notes += [
            Finding(f"endpoint {endpoint}: {name} is a number where the model returns NaN", NOTE) for name in hidden
        ]
        if (replies := report["replies"].get(endpoint)) is not None:
            figures[endpoint]["rest"], differences = compare_replies(
                request.contract[endpoint], request.cases[endpoint], replies, floor.get(endpoint, {}), policy
            )
            messages += differences
        findings += [f"endpoint {endpoint}: {text}" for text in messages]
    weights = report["weights"] or {"findings": []}
    findings += report["findings"] + weights["findings"]
    findings += [] if form else recurrent_steps.compare_steps(request.contract, run.outputs, policy)
    compared = {key: weights[key] for key in ("matched", "of", "unmatched")} if report["weights"] else None
    # no layer's output can explain a weight that no golden input reads
    is_explicable = findings and findings[0] not in weights["findings"] and any(o.arrays for o in run.outputs.values())
    causes = _first_layer(request, artifact, row.runtime) if is_explicable else []
    causes += _first_operator(request, artifact, row.runtime, run) if is_explicable else []
    return row.with_findings(*notes, *map(Finding, findings), *causes, endpoints=figures, weights=compared)


def _obstacle(request: ProofRequest, artifact: Artifact, row: Row, run: ArtifactRun) -> Finding | None:
    """Return why the outputs of an artifact cannot be compared, or None."""
    report = run.report
    if run.problem:
        return Finding(f"the process {run.problem}", NOT_RUN if run.timed_out else FAIL)
    if report["missing"]:
        return Finding(f"needs the code of the model: {report['missing']}; install it", NOT_RUN)
    if report["memory_error"]:
        return Finding("ran out of the memory that one process may take", NOT_RUN)
    if row.extra and len(report["skipped"]) == len(artifact.endpoints):
        return Finding(f"{row.runtime} can run no endpoint of it", UNSUPPORTED)
    left_out = any(run.of(endpoint).inapplicable for endpoint in artifact.endpoints)
    if left_out and not report["error"] and not _compared(request, artifact, run):
        return Finding(f"none of the golden inputs can be given to {row.runtime}", UNSUPPORTED if row.extra else FAIL)
    if error := (report["error"] or _raised_everywhere(request, artifact, run)):
        unreadable = FORMATS[artifact.format].unreadable
        if unreadable and request.probing:
            return Finding(unreadable(error), UNSUPPORTED)
        return Finding(error, UNSUPPORTED if row.extra else FAIL)
    return None


def _reservations(path: Path, format: str) -> tuple[dict[str, list[str]], list[Finding]]:
    """Return the reservations about an artifact, or why there are none."""
    try:
        return reservations_of(path, format), []
    except ExportError as error:
        return {}, [Finding(f"its graph was not examined: {error}", NOTE)]


def _first_layer(request: ProofRequest, artifact: Artifact, runtime: str) -> list[Finding]:
    """Return the first layer that differs, if it can be determined."""
    if runtime not in layer_diff.RUNTIMES:
        return []
    modules = request.modules if FORMATS[artifact.format].needs_code else ()
    clause = layer_diff.first_difference(request.folder, request.contract, request.cases, artifact, modules)
    return [Finding(clause, CAUSE)] if clause else []


def _form(artifact: Artifact, runtime: str) -> str | None:
    """Return the quantized form by whose budget an artifact is compared in a runtime; None for full precision."""
    return artifact.quantize or RUNTIMES[runtime].precision


def _first_operator(request: ProofRequest, artifact: Artifact, runtime: str, run: ArtifactRun) -> list[Finding]:
    """Return the first operator that a runtime computes otherwise than its counterpart, if it has one."""
    for name in artifact.endpoints:
        endpoint = replace(request.contract[name], batch=artifact.batch or request.contract[name].batch)
        cases = [case for case in run.applicable(name, request.cases[name]) if case.compared]
        place = request.folder / artifact.path, artifact.format, endpoint
        if clause := operators.explain(*place, cases, run.of(name), RUNTIMES[runtime], artifact.quantize):
            return [Finding(clause, CAUSE)]
    return []


def _raised_everywhere(request: ProofRequest, artifact: Artifact, run: ArtifactRun) -> str | None:
    """Return the first error if no compared case of any endpoint ran."""
    cases = [(e, case) for e in artifact.endpoints for case in run.applicable(e, request.cases[e]) if case.compared]
    errors = [run.of(endpoint).error(case.name) for endpoint, case in cases]
    return errors[0] if errors and all(errors) else None


def _compared(request: ProofRequest, artifact: Artifact, run: ArtifactRun) -> bool:
    """Return whether any golden input with outputs could be given to the runtime."""
    cases = ((e, run.applicable(e, request.cases[e])) for e in artifact.endpoints if e not in run.report["skipped"])
    return any(case.compared for _, of_endpoint in cases for case in of_endpoint)


def _unexpected_code(request: ProofRequest, row: Row, modules: set[str], local: set[str]) -> list[str]:
    if row.code_dependency:
        return []
    package = {name.strip() for name in str((request.dependency or {}).get("package", "")).split(",")} - {""}
    loaded = sorted(((OURS | package) & modules) | local)
    return [f"loaded the code of {', '.join(loaded)}, which it must not need"] if loaded else []


def row_for(
    artifact: Artifact,
    runtime: Runtime,
    demanded: Collection[str],
    runtimes: Sequence[str] | None,
    require: Sequence[str],
) -> Row:
    """Return the row of an artifact in a runtime, before anything has run; the arguments as of `prove`."""
    is_named = not runtime.extra and artifact.format in {*demanded, *require}
    is_needed = (runtime.required or is_named) and not (runtime.library and runtime.version is None)
    required = runtime.name in require or (is_needed and (runtimes is None or runtime.name in runtimes))
    return Row(
        *(artifact.path, artifact.format, runtime.name, (Finding(artifact.note, NOTE),) if artifact.note else ()),
        required=required,
        extra=runtime.extra and not required,
        demanded=is_named or bool(artifact.quantize and not runtime.extra),
    )


def absent(runtime: Runtime, runtimes: Sequence[str] | None) -> str:
    """Return why a runtime is not run."""
    if runtimes is not None and runtime.name not in runtimes:
        return "not requested"
    if runtime.library:
        return f"the installed {runtime.distribution} does not contain {runtime.library}"
    return f"{runtime.name} is not installed; {runtime.install or f'pip install {runtime.distribution}'}"
