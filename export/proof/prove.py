"""Prove a bundle: run every artifact in fresh processes, judge what comes back, and write the rows of a certificate."""

from __future__ import annotations

import difflib
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.contract import FORMATS, KERAS_FORMATS, Contract
from export.contract.artifact import Artifact
from export.contract.sampling import legal_range
from export.errors import ExportError
from export.formats import hdf5
from export.parity import recurrent_steps
from export.parity.comparison import Verdict, between, broken_promises, constant_outputs, judge_endpoint
from export.parity.golden import Case
from export.parity.noise_floor import EXCUSES, noise, row_noise, unsteady_rows
from export.parity.policy import Policy
from export.parity.quantization import judge_quantised
from export.parity.rest_requests import judge_replies
from export.proof import image_diff, layer_diff
from export.proof.certificate import FAIL, NOT_RUN, PASS, UNSUPPORTED, Certificate, Row
from export.runtime import onednn
from export.runtime.execution import Run, run_all
from export.runtime.runtimes import FRAMEWORKS, RUNTIMES, Runtime

OURS = frozenset({"export", "zoo", "pipelines"})  # what an artifact must never need


@dataclass
class Subject:
    """What is proven.

    Attributes:
        folder: The bundle or its staging folder.
        contract: What it promises.
        artifacts: What it holds.
        cases: Golden cases by endpoint, with the outputs of the reference.
        dependency: {"package", "modules"} that hold classes of the model, or None.
        live: The reference model as a run, where it is at hand; it is judged too.
        probing: Whether an HDF5 file that does not come back is a finding about the format (at export) or damage.
        demanded: Formats that were asked for by name.
        pictures: Where to draw what endpoints that return images returned; None draws nothing.
    """

    folder: Path
    contract: Contract
    artifacts: Sequence[Artifact]
    cases: Mapping[str, Sequence[Case]]
    dependency: Mapping[str, object] | None = None
    live: Run | None = None
    probing: bool = False
    demanded: frozenset[str] = field(default_factory=frozenset)
    pictures: Path | None = None


def check_names(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise ExportError for a name that is not known, with the nearest ones."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(known)}"
            raise ExportError(f"unknown {what} {name!r}; {hint}")


def prove(
    subject: Subject, runtimes: Sequence[str] | None = None, require: Sequence[str] = (), policy: Policy | None = None
) -> Certificate:
    """Run and judge everything.

    Args:
        subject: What is proven.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
        policy: What counts as equal.

    Raises:
        ExportError: If a runtime or format is unknown.
    """
    check_names(runtimes or (), tuple(RUNTIMES), "runtime")
    check_names(require, (*RUNTIMES, *FORMATS), "runtime or format")
    policy = policy or Policy()
    chosen = {name: r for name, r in RUNTIMES.items() if (runtimes is None or name in runtimes) and r.version}
    plan = {name: (r, found) for name, r in chosen.items() if (found := _artifacts_of(subject, r))}
    modules = (subject.dependency or {}).get("modules", ())
    runs = run_all(subject.folder, subject.contract, plan, modules, again_with=_again_with(plan))
    jumps = _find_jumps(subject, [*runs.values(), *([subject.live] if subject.live else [])], policy)
    floor = _floor([*runs.values(), *([subject.live] if subject.live else [])], subject.cases, policy)
    rows = [_judge_live(subject, floor, policy)] if subject.live else []
    for artifact in subject.artifacts:
        for runtime in (r for r in RUNTIMES.values() if artifact.format in r.formats):
            row = row_for(artifact, runtime, subject.demanded, runtimes, require)
            if artifact.state:
                row.state, row.reason, row.runtime = artifact.state, artifact.reason, None
            elif runtime.name not in chosen:
                row.state, row.reason = NOT_RUN, absent(runtime, runtimes)
            else:
                run = runs[runtime.name, artifact.path]
                _judge_run(subject, artifact, row, run, floor, policy)
                if row.state == FAIL and run.arrays and runtime.name in layer_diff.RUNTIMES:
                    _locate(subject, artifact, row)
            rows.append(row)
    rows += required_but_absent(rows, require)
    environment = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    environment |= {"onednn": onednn.is_chosen(), "instruction_set": onednn.instruction_set()}
    exact = {
        (a.path, r): run
        for (r, path), run in runs.items()
        for a in subject.artifacts
        if a.path == path and not a.quantize
    }
    if subject.pictures:
        image_diff.draw(subject.pictures, subject.contract, subject.cases, exact)
    return Certificate(rows, policy.to_json(), floor, environment, between(exact, subject.live, subject.cases), jumps)


def _again_with(plan: Mapping[str, object]) -> dict[str, Mapping[str, str]]:
    """Return which runtime runs a second time with TensorFlow's other kernels: the one whose process starts fastest."""
    name = next((name for name in ("c_api", "tensorflow") if name in plan), None)
    environment = onednn.other_kernels()
    return {name: environment} if name and environment else {}


def _find_jumps(subject: Subject, runs: Sequence[Run], policy: Policy) -> dict[str, dict[str, list[str]]]:
    """Measure how steady each named row is, and mark those that jump; return all that are marked, the recorded too."""
    found: dict[str, dict[str, list[str]]] = {}
    for endpoint, cases in subject.cases.items():
        for case in cases:
            rows = set(case.unsteady)
            for arrays in (run.arrays.get(endpoint, {}) for run in runs):
                rows |= set(unsteady_rows(case, arrays, policy, EXCUSES))
                for output, moved in row_noise(case, arrays, policy).items():
                    case.row_noise[output] = np.maximum(case.row_noise.get(output, 0.0), moved)
            case.unsteady = tuple(sorted(rows))
            if rows:
                found.setdefault(endpoint, {})[case.name] = [case.rows[i] for i in case.unsteady]
    return found


def _artifacts_of(subject: Subject, runtime: Runtime) -> list[Artifact]:
    return [a for a in subject.artifacts if a.format in runtime.formats and a.state is None]


def _floor(runs: Sequence[Run], cases: Mapping[str, Sequence[Case]], policy: Policy) -> dict[str, dict[str, float]]:
    """Return the noise floor by endpoint and output. What is above the ceiling is a bug, and widens nothing."""
    floor: dict[str, dict[str, float]] = {}
    for run in runs:
        for endpoint, arrays in run.arrays.items():
            outputs = floor.setdefault(endpoint, {})
            for measured in noise(cases[endpoint], arrays).values():
                for output, value in measured.items():
                    if value <= policy.ceiling:
                        outputs[output] = max(outputs.get(output, 0.0), value)
    return floor


def _judge(
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
        return judge_quantised(subject.cases[endpoint], arrays, errors, classes, quantize)
    peaks = {t.name: np.subtract(*legal_range(t)[::-1]) for t in outputs if t.meaning == "image"}
    return judge_endpoint(subject.cases[endpoint], arrays, errors, floor.get(endpoint, {}), classes, policy, peaks)


def _judge_live(subject: Subject, floor: Mapping[str, Mapping[str, float]], policy: Policy) -> Row:
    """Judge the reference against itself and the contract."""
    row = Row("live model", "reference", "keras", PASS, versions=subject.live.report["versions"])
    findings = []
    for endpoint in subject.contract.endpoints:
        verdict = _judge(subject, endpoint.name, subject.live, floor, policy)
        row.endpoints[endpoint.name] = {"noise": verdict.figures["noise"]}
        if refused := [case.name for case in subject.cases[endpoint.name] if case.may_raise and not case.outputs]:
            row.note = f"{endpoint.name} refuses {', '.join(refused)}; so must every artifact"
        if jumps := [case.rows[i] for case in subject.cases[endpoint.name] for i in case.unsteady]:
            row.note = f"{endpoint.name} itself jumps at {', '.join(jumps)}, where no artifact is judged"
        if constant := constant_outputs(subject.cases[endpoint.name]):
            row.note = f"{', '.join(constant)} of {endpoint.name} is the same for every input: this proof says little"
        found = verdict.findings + broken_promises(subject.cases[endpoint.name], endpoint.outputs)
        findings += [f"endpoint {endpoint.name}: {text}" for text in found]
    findings += recurrent_steps.judge(subject.contract, subject.live.arrays, policy)
    return _conclude(row, findings)


def _judge_run(
    subject: Subject,
    artifact: Artifact,
    row: Row,
    run: Run,
    floor: Mapping[str, Mapping[str, float]],
    policy: Policy,
) -> None:
    """Fill in the row of an artifact that was run."""
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
        withheld = artifact.format == "hdf5" and subject.probing
        row.state, row.reason = (UNSUPPORTED, hdf5.explain(error)) if withheld else (FAIL, error)
        row.state = UNSUPPORTED if row.extra else row.state
    else:
        findings = _foreign_code(subject, row, {*report["modules"]}, {*report["local"]})
        if others := (FRAMEWORKS & {*report["modules"]}) - {*RUNTIMES[row.runtime].imports}:
            findings.append(f"loaded {', '.join(sorted(others))}, which is not its runtime")
        skipped = report["skipped"] if row.extra else ()
        row.note = f"did not run {', '.join(skipped)}" if skipped else row.note
        for endpoint in (name for name in artifact.endpoints if name not in skipped):
            verdict = _judge(subject, endpoint, run, floor, policy, artifact.quantize)
            row.endpoints[endpoint] = verdict.figures
            wrong = list(verdict.findings)
            if (replies := report["replies"].get(endpoint)) is not None:
                asked, held = subject.contract[endpoint], floor.get(endpoint, {})
                verdict.figures["rest"], bad = judge_replies(asked, subject.cases[endpoint], replies, held, policy)
                wrong += bad
            findings += [f"endpoint {endpoint}: {text}" for text in wrong]
        findings += report["findings"]
        findings += [] if artifact.quantize else recurrent_steps.judge(subject.contract, run.arrays, policy)
        _conclude(row, findings)


def _locate(subject: Subject, artifact: Artifact, row: Row) -> None:
    """Say in the reason where in the model it went wrong, if that can be found."""
    modules = (subject.dependency or {}).get("modules", ()) if artifact.format in KERAS_FORMATS else ()
    where = layer_diff.first_difference(subject.folder, subject.contract, subject.cases, artifact, modules)
    row.reason = f"{row.reason}; {where}" if where else row.reason


def _raised_everywhere(subject: Subject, artifact: Artifact, run: Run) -> str | None:
    """Return the first error if no judged case of any endpoint ran."""
    errors = [
        run.errors.get(e, {}).get(f"{c.name}/main") for e in artifact.endpoints for c in subject.cases[e] if c.judged
    ]
    return errors[0] if errors and all(errors) else None


def _foreign_code(subject: Subject, row: Row, modules: set[str], local: set[str]) -> list[str]:
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
    """Return the row of an artifact in a runtime, before anything is known but who asked for it.

    Args:
        artifact: What is run.
        runtime: What runs it.
        demanded: Formats that were asked for by name when they were written.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
    """
    named = not runtime.extra and artifact.format in {*demanded, *require}
    wanted = (runtime.required or named) and not (runtime.library and runtime.version is None)
    required = runtime.name in require or (wanted and (runtimes is None or runtime.name in runtimes))
    return Row(
        *(artifact.path, artifact.format, runtime.name, PASS),
        note=artifact.note,
        required=required,
        extra=runtime.extra and not required,
        demanded=named or bool(artifact.quantize and not runtime.extra),
    )


def absent(runtime: Runtime, runtimes: Sequence[str] | None) -> str:
    """Return why a runtime does not run here."""
    if runtimes is not None and runtime.name not in runtimes:
        return "not asked for"
    if runtime.library:
        return f"the installed {runtime.distribution} does not bring {runtime.library}"
    return f"{runtime.name} is not installed; pip install {runtime.distribution}"


def required_but_absent(rows: Sequence[Row], require: Sequence[str]) -> list[Row]:
    """Return a row for every required name that no row speaks of."""
    spoken = {row.runtime for row in rows} | {row.format for row in rows}
    return [
        Row(name, name, None, NOT_RUN, f"required, but nothing in this bundle is or runs on {name}", required=True)
        for name in require
        if name not in spoken
    ]
