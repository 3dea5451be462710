"""Verify a published bundle from its files alone."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.artifacts import check_confined
from export.artifacts.readable import unreadable
from export.bundle import closed, layout
from export.bundle.gate import code_refusal, false_claim, find_contradiction, find_saved_model, refusal
from export.bundle.signature import find_forgery
from export.contract import Artifact, Contract
from export.formats import FORMATS
from export.parity.cases import read_golden
from export.parity.evidence import check_evidence
from export.parity.golden import differences_from_drawn
from export.proof.certificate import FAIL, NOT_RUN, NOTE, PASS, Certificate, Finding, ProofRequest, Row
from export.proof.layer_diff import with_worst_layers
from export.proof.prove import prove
from export.proof.structure import WHOLE, compare_files
from zoobase.errors import ExportError, Unavailable
from zoobase.files import check_present

SERVERS = {"server": "tf_serving", "kserve_v1": "kserve", "triton": "triton"}  # level of `serve-check` -> its row
NOT_COMPARED = "they were not compared whole with another export, as was asked for"


def verify_bundle(
    path: str | os.PathLike[str],
    *,
    runtimes: Sequence[str] | None = None,
    formats: Collection[str] | None = None,
    require: Sequence[str] = (),
    trust: Collection[str] = (),
    signer: str | os.PathLike[str] | None = None,
    deep: bool | None = None,
    served: str | os.PathLike[str] | None = None,
) -> Certificate:
    """Check every file of a bundle, and run every artifact again in fresh processes.

    Args:
        path: The bundle.
        runtimes: Run only these; None for all.
        formats: Run and compare only files of these formats, "keras" among them if they are to be compared whole; the
            checksums of all are checked. None for all.
        require: Runtimes and formats without which the certificate is incomplete.
        trust: Packages, installed here, whose code the Keras files may import; and operators of a SavedModel that may
            be run although they are not on the list of inference operators; "unconfined" runs them where the kernel
            cannot confine the processes.
        signer: The public key (PEM) of who must have signed the bundle, or None; needs the extra `signing`.
        deep: Whether each file is compared whole with the one that the Keras file gives when it is exported again; if
            not, the certificate is incomplete. None: unless `runtimes` are named.
        served: What `serve-check --json` wrote of the published SavedModel, or None: servers that answered have rows.

    Returns:
        The new certificate. Damaged files are not run, nor what could execute code that is not trusted.

    Raises:
        Unavailable: If the key or the package that checks signatures is missing, or the kernel cannot confine.
        ExportError: If `path` is not a bundle, its golden files are malformed, a runtime is unknown, or `served` is not
            of this SavedModel.

    Example:
        >>> certificate = verify_bundle("bundle", runtimes=["tensorflow"])
        >>> certificate.verdict
        'pass'
    """
    folder = Path(path)
    files = Row("files", "bundle", None)
    if damage := layout.find_damage(folder):
        return Certificate((files.with_findings(Finding("; ".join(damage[:5]))),))
    signature = Row("signature", "bundle", None)
    if signer is not None and (problem := find_forgery(folder, Path(signer))):
        return Certificate((files, signature.with_findings(Finding(problem))))
    manifest = layout.read_manifest(folder)
    check_confined(folder, trust)
    of_servers = _served(Path(served), folder, manifest) if served is not None else []
    contract = Contract.from_json(manifest["contract"])
    exported = layout.read_certificate(folder)
    cases = read_golden(folder / "golden", contract)
    contradiction = find_contradiction(manifest, exported) or false_claim(manifest, exported)
    problems = [contradiction] if contradiction else [*closed.problems(folder, manifest, exported, cases)]
    listed = [data for data in manifest["artifacts"] if formats is None or data["format"] in formats]
    artifacts = [Artifact.from_json(data) for data in listed]
    unread = unreadable([path for a in artifacts if a.state is None and (path := folder / a.path).exists()])
    code = code_refusal(folder, manifest["code_dependency"], trust)
    for artifact, data in zip(artifacts, listed, strict=True):
        if artifact.state is None and code and FORMATS[artifact.format].needs_code:
            artifact.state, artifact.reason = NOT_RUN, code
        elif artifact.state is None:
            try:
                reason = unread.get(folder / artifact.path) or refusal(folder, data, trust)
                if reason := reason or _contradiction(folder, artifact, contract):
                    artifact.state, artifact.reason = FAIL, reason
            except Unavailable as error:
                artifact.state, artifact.reason = NOT_RUN, str(error)
    request = ProofRequest(
        folder, contract, artifacts, cases, manifest["code_dependency"], demanded=frozenset(manifest["demanded"])
    )
    for case in (case for of_endpoint in cases.values() for case in of_endpoint):
        case.row_noise, case.unstable_rows = {}, ()  # measured again, whatever the bundle says
    drawn = [item for e in contract.endpoints for item in differences_from_drawn(e, cases[e.name])]
    problems += [text for text, is_missing in drawn if is_missing]
    failures, notes = check_evidence(contract, request.cases)
    found = [Finding(text) for text in (problems or failures[:1])]
    undecided = [Finding(text, NOT_RUN) for text in [closed.unread(manifest)] if text]
    undecided += [Finding(text, NOT_RUN) for text, is_missing in drawn if not is_missing]
    files = files.with_findings(*found, *undecided, *(Finding(text, NOTE) for text in notes), required=True)
    certificate = prove(request, runtimes, require)
    rows = with_worst_layers(request, certificate.rows)
    if deep or (deep is None and runtimes is None):
        rows = (*rows, *compare_files(request))
    elif deep is False:
        rows = (*rows, Row("files", "bundle", WHOLE, (Finding(NOT_COMPARED, NOT_RUN),), required=True))
    ours = [files, signature] if signer is not None else [files]
    return replace(certificate, rows=(*ours, *rows, *of_servers), coverage=layout.read_coverage(folder))


def _served(path: Path, folder: Path, manifest: Mapping[str, Any]) -> list[Row]:
    """Return a row for each server that answered in a report of `serve-check`, which must be of the same SavedModel."""
    check_present(path)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        levels = [(SERVERS[level["name"]], level) for level in report["levels"] if level["name"] in SERVERS]
        files = dict(report["files"])
        ran = [(name, level["state"], str(level["details"]), str(level["reason"])) for name, level in levels]
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is not what serve-check --json prints ({type(error).__name__}: {error})") from error
    artifact = find_saved_model(manifest)
    place = f"{artifact['path']}/" if artifact else "/"
    listed = {n.removeprefix(place): e["sha256"] for n, e in manifest["files"].items() if n.startswith(place)}
    if not listed or files != listed:
        raise ExportError(
            f"{path} is of another SavedModel than that of {folder}; publish it, and run serve-check again"
        )
    return [
        Row(artifact["path"], artifact["format"], name, (Finding(details, NOTE),)).with_findings(
            *([Finding(reason, state)] if state != PASS else [])
        )
        for name, state, details, reason in ran
        if state in (PASS, FAIL)
    ]


def _contradiction(folder: Path, artifact: Artifact, contract: Contract) -> str | None:
    """Return how what an artifact says of itself differs from the contract, or None."""
    find = FORMATS[artifact.format].contradiction
    try:
        return find(folder / artifact.path, contract) if find else None
    except ExportError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        return str(error)
