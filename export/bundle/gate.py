"""What a bundle from elsewhere may make this machine do, and whether it still is what was proven.

Checksums find damage, not malice: whoever can write the folder can write the sums, and whoever changes the manifest and
the certificate is found by a signature only. Every reader of a bundle calls this before it loads anything.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from export.artifacts import ANY, check_trusted, describe, locate, reservations_of
from export.bundle import layout
from export.formats import DEFAULT_FORMATS, FORMATS, format_of, saved_model
from export.formats.format import sentence
from export.proof.certificate import PASS, RESERVED, Certificate
from export.runtime.process import home_of
from zoobase.errors import CheckFailed, ExportError

TRUSTED = frozenset({"zoo"})  # packages of ours whose classes a Keras file may need
STATES = {"unsupported": "unsupported", "fail": "a failure"}


def read_proven(folder: Path, use: str) -> dict[str, Any]:
    """Return the manifest of a whole bundle whose recorded proof passed; `use` ends the message: "is published"."""
    manifest = layout.read_manifest(folder)
    if damage := layout.find_damage(folder):
        raise CheckFailed(f"{folder} is damaged ({damage[0]}); export it again")
    verdict = layout.read_verdict(folder)
    if verdict not in (PASS, RESERVED):
        raise CheckFailed(f"the verdict of {folder} is {verdict}; only a bundle that passed {use}")
    certificate = layout.read_certificate(folder)
    if problem := find_contradiction(manifest, certificate) or false_claim(manifest, certificate):
        raise CheckFailed(f"{folder} is not what was proven: {problem}; export it again")
    return manifest


def find_saved_model(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the entry of the SavedModel in a manifest, or None where none was written."""
    name = saved_model.FORMAT.name
    return next((a for a in manifest["artifacts"] if a["format"] == name and a["state"] is None), None)


def find_contradiction(manifest: Mapping[str, Any], certificate: Mapping[str, Any]) -> str | None:
    """Return the first contradiction between a manifest and the certificate of the same bundle, or None."""
    artifacts = {artifact["path"]: artifact for artifact in manifest["artifacts"]}
    for path, artifact in artifacts.items():
        form, format = artifact.get("quantize"), FORMATS[artifact["format"]]
        if form and (format_of(form) is not format or Path(path).name != f"{form}{format.extension}"):
            return f"manifest.json calls {path} a file of the quantised form {form}, which has another name"
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in certificate["artifacts"]:
        if row["format"] not in ("reference", "bundle") and not row.get("extra"):
            rows.setdefault(row["artifact"], []).append(row)
    for path, of_path in rows.items():
        if path in artifacts and (problem := _contradiction(artifacts[path], of_path)):
            return problem
        if path not in artifacts and any(row["state"] != "not_run" for row in of_path):
            return f"the certificate has a row for {path}, and manifest.json lists no such artifact"
    known = {row["artifact"] for row in certificate["artifacts"]}
    if unproven := [path for path, artifact in artifacts.items() if artifact["state"] is None and path not in known]:
        return f"manifest.json lists {unproven[0]}, and the certificate has no row for it"
    compared = [row["artifact"] for row in certificate["artifacts"] if row.get("weights")]
    if compared and not {"golden/weights.json", "golden/weights.npz"} <= {*manifest["files"]}:
        return (
            f"the certificate compares the weights of {compared[0]} by value, and golden/ has no longer what it needs"
        )
    request = certificate.get("request") or {}
    written = {(a["format"], a.get("quantize")) for a in manifest["artifacts"]}
    asked = [(format, None) for format in request.get("formats", ())]
    asked += [(format_of(kind).name, kind) for kind in request.get("quantize", ())]
    for format, kind in asked:
        if (format, kind) not in written:
            return f"{' '.join(filter(None, (format, kind)))} was asked for, and manifest.json lists no such artifact"
    return None


def false_claim(manifest: Mapping[str, Any], certificate: Mapping[str, Any]) -> str | None:
    """Return what a bundle says of its own proof and what its rows do not give, as a clause, or None."""
    if (verdict := Certificate.from_json(dict(certificate)).verdict) != certificate["verdict"]:
        return f"the certificate has the verdict {certificate['verdict']}, and its rows give {verdict}"
    chosen = tuple((certificate.get("request") or {}).get("formats", ()))
    if {*manifest["demanded"]} != {*(() if chosen in (DEFAULT_FORMATS, tuple(FORMATS)) else chosen)}:
        return "manifest.json demands other formats than the certificate says were asked for"
    return None


def _contradiction(artifact: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> str | None:
    """Return a contradiction between an artifact of the manifest and its rows that decide the verdict."""
    path, state = artifact["path"], artifact["state"]
    states = {row["state"] for row in rows}
    expected = next((name for name in ("unsupported", "fail") if name in states and _is_written(name, rows)), None)
    if state != expected:
        stated = STATES.get(state, "present")
        return (
            f"manifest.json says that {path} is {stated}, the certificate that it is {STATES.get(expected, 'present')}"
        )
    proven = {name for row in rows if row["state"] == "pass" for name in row["endpoints"]}
    if missing := sorted(proven - set(artifact["endpoints"])):
        return f"the certificate has endpoint {missing[0]} of {path}, and manifest.json does not"
    return None


def _is_written(state: str, rows: list[Mapping[str, Any]]) -> bool:
    """Return whether a row of this state is recorded in the manifest: a failure to write is, one of a run is not."""
    return state == "unsupported" or any(row["state"] == state and row["runtime"] is None for row in rows)


def refusal(folder: Path, artifact: Mapping[str, Any], trust: Collection[str]) -> str | None:
    """Return why an artifact is not loaded, or None; Unavailable if what reads it is not installed."""
    # Nothing of it is run. Its file must be of its format and of no other: each runtime reads the part that it finds.
    try:
        path, format = locate(folder / artifact["path"])
        if format != artifact["format"]:
            return f"it is of format {format}, not {artifact['format']} as manifest.json says"
        if not FORMATS[format].holds_code:
            return None
        description = describe(path, complete=False)
        check_trusted(description, trust)
    except ExportError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        return str(error)
    further = {signature.name for signature in description.signatures} - {*artifact["endpoints"]}
    if further and FORMATS[artifact["format"]].holds_graph:
        return f"it has a signature {min(further)!r}, which the contract does not have: a server would answer it"
    return None


def reservation(folder: Path, artifact: Mapping[str, Any], allow: Collection[str]) -> str | None:
    """Return why an artifact is not published for what its graph may do in other calls, or None."""
    stated = reservations_of(folder / artifact["path"], artifact["format"])
    kinds = [kind for kind in stated if kind not in allow and ANY not in allow]
    if not kinds:
        return None
    words = " ".join(f"--allow {kind}" for kind in kinds)
    return (
        f"{folder / artifact['path']} is not published: {sentence(kinds[0], stated[kinds[0]])}, so that a proof "
        f"cannot say what it will answer; {words} lets it be published"
    )


def code_refusal(folder: Path, dependency: Mapping[str, Any] | None, trust: Collection[str]) -> str | None:
    """Return why the code that Keras files of a bundle need is not imported, or None."""
    # Only installed packages are imported, ours or trusted by name; never from the bundle or the current folder.
    packages = sorted({name.partition(".")[0] for name in (dependency or {}).get("modules", ())})
    unknown = [name for name in packages if name not in TRUSTED and name not in trust]
    if unknown:
        words = " ".join(f"--trust {name}" for name in unknown)
        return f"needs the code of {', '.join(unknown)}, which is not trusted; {words} lets it be imported"
    for name in packages:
        home = home_of(name)
        if home is None:
            return f"needs the code of {name}, which is not installed; install it"
        if Path(home).is_relative_to(folder.resolve()):
            return f"needs the code of {name}, which lies in the bundle itself; it is never imported from there"
    return None
