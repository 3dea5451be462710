"""The measured parts of the technical documentation of a high-risk AI system: Regulation (EU) 2024/1689, annex IV.

What a bundle and the evaluation of its run say, and nothing else: `annex_iv.json` names what a person must write.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.attestation import bom
from export.bundle import layout
from export.bundle.diff import diff
from export.contract import Contract, range_text, shape_text
from export.proof.certificate import Certificate, describe_coverage, describe_examples, worst_difference
from zoobase.errors import CheckFailed, ExportError
from zoobase.files import check_present, sha256

SECTIONS = Path(__file__).with_name("annex_iv.json")
EVALUATION = "evaluation.json"
OF_TEST = ("split", "examples", "per_class", "dependence", "gains", "calibration", "conformal", "remarks")


def technical_file(bundle: Path, evaluation: Path | None = None, before: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the sections of annex IV: what was measured, and empty fields by the names of what a person must write.

    Args:
        bundle: The bundle.
        evaluation: The `evaluation.json` of its run; by default that of the folder above, if there is one.
        before: Earlier versions of the bundle, the oldest first, for the log of changes.

    Raises:
        ExportError: If the evaluation is not JSON, or has other metrics than the bundle.
        CheckFailed: If a bundle is damaged.
        Unavailable: If there is no such evaluation.
    """
    if damage := layout.find_damage(bundle):
        raise CheckFailed(f"{bundle} is damaged ({damage[0]}); export it again")
    manifest = layout.read_manifest(bundle)
    certificate = Certificate.from_json(layout.read_certificate(bundle))
    beside = bundle.resolve().parent / EVALUATION
    tested = _evaluation(evaluation or beside, manifest) if evaluation or beside.is_file() else {}
    measured: dict[str, dict[str, Any]] = {}
    pairs = itertools.pairwise([*before, bundle])
    changes = {f"{one.name} to {other.name}": diff(one, other) for one, other in pairs}
    for section, name, value in (*_facts(bundle, manifest, certificate, tested), ("6", "Log of changes", changes)):
        if value not in (None, "", [], {}, ()):
            measured.setdefault(section, {})[name] = value
    sections = json.loads(SECTIONS.read_text(encoding="utf-8"))
    return {
        "schema": 1,
        "bundle": manifest["name"],
        "manifest": sha256(bundle / layout.MANIFEST),
        "sections": [
            {**s, "measured": measured.get(s["id"], {}), "to_write": dict.fromkeys(s["to_write"], "")} for s in sections
        ],
    }


def _evaluation(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    check_present(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        metrics = dict(content["metrics"])
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is not the evaluation of a run ({error})") from error
    if metrics != manifest["metrics"]:
        raise ExportError(f"{path} has other metrics than the bundle; give that of the run that it was exported from")
    return content


def _facts(
    bundle: Path, manifest: Mapping[str, Any], certificate: Certificate, tested: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (section, name, value) of what is known; empty values are left out."""
    card, contract = manifest["card"], Contract.from_json(manifest["contract"])
    build = manifest.get("metadata", {}).get("provenance", {}).get("buildDefinition", {})
    internal = build.get("internalParameters", {})
    used: dict[str, dict[str, Any]] = {}
    for entry in bom.dependencies_of(manifest):
        notes = {key: value for key, value in entry["annotations"].items() if key != "role"}
        used.setdefault(entry["annotations"]["role"], {})[entry["name"]] = {**notes, **entry.get("digest", {})}
    yield "1", "Name", manifest["name"]
    yield "1", "Model card: title", card.get("title")
    yield "1", "Model card: purpose", card.get("description")
    yield "1", "Model card: licence", card.get("licence")
    yield "1", "Exported", manifest["created"]
    files = [a for a in manifest["artifacts"] if a["state"] is None]
    yield "1", "Files", {a["path"]: " ".join(filter(None, (a["format"], a.get("quantize")))) for a in files}
    yield "1", "Versions of software", {name: facts.get("version") for name, facts in used.get("package", {}).items()}
    yield "2a", "Command", card.get("command")
    yield "2a", "Initial weights", used.get("initial weights")
    yield "2a", "Source", used.get("source")
    yield "2b", "Settings of the training", build.get("externalParameters", {}).get("settings", {}).get("recipe")
    yield "2c", "Machine of the training", internal.get("machine")
    yield "2c", "Machine of the proof", dict(certificate.environment)
    yield "2d", "Data", card.get("data")
    yield "2d", "Files of the data", used.get("data")
    yield "2d", "Splits", internal.get("data")
    yield "2g", "Metrics", manifest["metrics"]
    yield "2g", "95 % intervals of the metrics", tested.get("intervals") or card.get("intervals")
    yield from (("2g", f"Evaluation: {key.replace('_', ' ')}", tested.get(key)) for key in OF_TEST)
    yield "2g", "Notes", card.get("notes")
    yield "2g", "Verdict of the proof", certificate.verdict
    yield "2g", "Compared", [*describe_examples(certificate.examples), *describe_coverage(certificate.coverage)]
    ran = [row for row in certificate.rows if row.runtime]
    states = {f"{row.artifact} in {row.runtime}": f"{row.state} {worst_difference(row)}".strip() for row in ran}
    yield "2g", "Robustness of the converted files: state, largest difference (tolerance) or loss", states
    yield "2h", "Confinement of the proof by the kernel", certificate.environment.get("confinement")
    yield "2h", "Bill of materials", f"python -m export bom {bundle}"
    takes = {
        f"{e.name}: {t.name}": (t.dtype, shape_text(t.shape), range_text(t))
        for e in contract.endpoints
        for t in e.inputs
    }
    yield "3", "Specification of the input data", {name: " ".join(filter(None, words)) for name, words in takes.items()}
    yield "3", "Reservations of the proof", certificate.reservations()


def to_markdown(document: Mapping[str, Any]) -> str:
    """Return the sections as Markdown; what a person must write is a heading with an empty line."""
    source = f"Written from the bundle whose `manifest.json` has the SHA-256 `{document['manifest']}`."
    lines = [f"# Technical documentation of {document['bundle']}", "", f"Regulation (EU) 2024/1689, annex IV. {source}"]
    for section in document["sections"]:
        lines += ["", f"## {section['id']} {section['title']}"]
        for name, value in section["measured"].items():
            lines += ["", f"**{name}**", "", *_list(value, "")]
        for name in section["to_write"]:
            lines += ["", f"**{name}** (to be written)", "", "…"]
    return "\n".join(lines) + "\n"


def _list(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a value: nested lists, without active HTML and links."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            nested = isinstance(item, Mapping | list) and item
            yield f"{indent}- {_plain(key)}:{'' if nested else f' {_plain(item)}'}"
            yield from _list(item, f"{indent}    ") if nested else ()
    elif isinstance(value, list):
        for item in value:
            yield f"{indent}- {_plain(item)}"
    else:
        yield f"{indent}{_plain(value)}"


def _plain(value: Any) -> str:
    return " ".join(str(value).replace("<", "&lt;").replace("](", "]\\(").split())
