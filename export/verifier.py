"""Verify a published bundle from its files alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.artifacts import check_confined
from export.bundle import layout
from export.bundle.gate import code_refusal, find_contradiction, refusal
from export.bundle.signature import find_forgery
from export.contract import Artifact, Contract
from export.formats import FORMATS
from export.parity.cases import read_golden
from export.parity.evidence import check_evidence
from export.proof.certificate import FAIL, NOT_RUN, NOTE, Certificate, Finding, ProofRequest, Row
from export.proof.layer_diff import with_worst_layers
from export.proof.prove import prove
from export.proof.structure import compare_conversions, compare_structure
from zoobase.errors import ExportError


def verify_bundle(
    path: str | os.PathLike[str],
    *,
    runtimes: Sequence[str] | None = None,
    require: Sequence[str] = (),
    trust: Collection[str] = (),
    signer: str | os.PathLike[str] | None = None,
    deep: bool = False,
) -> Certificate:
    """Check every file of a bundle, and run every artifact again in fresh processes.

    Args:
        path: The bundle.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
        trust: Packages, installed here, whose code the Keras files may import; and operators of a SavedModel that may
            be run although they are not on the list of inference operators; "unconfined" runs them where the kernel
            cannot confine the processes.
        signer: The public key (PEM) of who must have signed the bundle, or None; needs the extra `signing`.
        deep: Whether the Keras file is converted again, and the graphs of the TFLite and ONNX files compared with the
            result.

    Returns:
        The new certificate. Damaged files are not run, nor what could execute code that is not trusted.

    Raises:
        Unavailable: If the key or the package that checks signatures is missing, or the kernel cannot confine.
        ExportError: If `path` is not a bundle, its golden files are malformed, or a runtime is unknown.

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
    contract = Contract.from_json(manifest["contract"])
    exported = layout.read_certificate(folder)
    contradiction = find_contradiction(manifest, exported)
    problem = contradiction or _label_difference(folder, contract) or _unlisted_file(folder, manifest)
    artifacts = [Artifact.from_json(data) for data in manifest["artifacts"]]
    code = code_refusal(folder, manifest["code_dependency"], trust)
    for artifact, data in zip(artifacts, manifest["artifacts"], strict=True):
        if artifact.state is None and code and FORMATS[artifact.format].needs_code:
            artifact.state, artifact.reason = NOT_RUN, code
        elif artifact.state is None and (
            reason := refusal(folder, data, trust) or _contradiction(folder, artifact, contract)
        ):
            artifact.state, artifact.reason = FAIL, reason
    request = ProofRequest(
        folder,
        contract,
        artifacts,
        read_golden(folder / "golden", contract),
        manifest["code_dependency"],
        demanded=frozenset(manifest["demanded"]),
        floor=exported["noise_floor"],
    )
    failures, notes = check_evidence(contract, request.cases)
    found = [Finding(text) for text in ([problem] if problem else failures[:1])]
    files = files.with_findings(*found, *(Finding(text, NOTE) for text in notes))
    certificate = prove(request, runtimes, require)
    rows = with_worst_layers(request, certificate.rows)
    if runtimes is None and (structure := compare_structure(request)) is not None:
        rows = (*rows, structure)
    if deep:
        rows = (*rows, *compare_conversions(request))
    ours = [files, signature] if signer is not None else [files]
    return replace(certificate, rows=(*ours, *rows), coverage=layout.read_coverage(folder))


def _contradiction(folder: Path, artifact: Artifact, contract: Contract) -> str | None:
    """Return how what an artifact says of itself differs from the contract, or None."""
    find = FORMATS[artifact.format].contradiction
    try:
        return find(folder / artifact.path, contract) if find else None
    except ExportError as error:
        return str(error)


def _unlisted_file(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """Return a clause about a file that a loader or a person could take for an artifact, and that none is."""
    # A server serves the highest version below `saved_model/`, whatever the manifest says.
    paths = [folder / artifact["path"] for artifact in manifest["artifacts"]]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_known = any(path == known or known in path.parents for known in paths)
        if path.is_file() and path.stat().st_mode & 0o111:
            return f"{name} is executable, and no file of a bundle is"
        if is_known or (path.is_dir() and not (path / "saved_model.pb").exists()):
            continue
        head = b""
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(16)
        if format := next((f.name for f in FORMATS.values() if f.matches(path, head)), None):
            return f"{name} is a {format} file, and no artifact of the manifest"
    return None


def _label_difference(folder: Path, contract: Contract) -> str | None:
    if contract.labels is None:
        return None
    if not (folder / "labels.txt").is_file():
        return "labels.txt is missing, and the contract declares labels"
    lines = (folder / "labels.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    for number, (line, label) in enumerate(zip(lines, contract.labels, strict=False)):
        if line != label:
            return f"labels.txt names class {number} {line!r} where the contract declares {label!r}"
    if len(lines) != len(contract.labels):
        return f"labels.txt has {len(lines)} lines for {len(contract.labels)} classes"
    return None
