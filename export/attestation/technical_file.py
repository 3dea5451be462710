"""The measured parts of the technical documentation of a high-risk AI system: Regulation (EU) 2024/1689, annex IV.

`annex_iv.json` has the sections, where each fact of a bundle and of the evaluation of its run is found, and what a
person must write.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from functools import reduce
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
    manifest, certificate = layout.read_manifest(bundle), layout.read_certificate(bundle)
    beside = bundle.resolve().parent / EVALUATION
    tested = _evaluation(evaluation or beside, manifest) if evaluation or beside.is_file() else {}
    facts = {"manifest": manifest, "certificate": certificate, "evaluation": tested, **_derived(manifest, certificate)}
    pairs = itertools.pairwise([*before, bundle])
    facts["changes"] = {f"{one.name} to {other.name}": diff(one, other) for one, other in pairs}
    sections = json.loads(SECTIONS.read_text(encoding="utf-8"))
    for section in sections:
        found = {name: reduce(_item, path.split("."), facts) for name, path in section["measured"].items()}
        section["measured"] = {name: value for name, value in found.items() if value not in (None, "", [], {})}
        section["to_write"] = dict.fromkeys(section["to_write"], "")
    digest = sha256(bundle / layout.MANIFEST)
    return {"schema": 1, "bundle": manifest["name"], "manifest": digest, "sections": sections}


def _item(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


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


def _derived(manifest: Mapping[str, Any], certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts that stand in no one place, by the names that `annex_iv.json` uses."""
    parsed, used = Certificate.from_json(dict(certificate)), dict[str, dict[str, Any]]()
    for entry in bom.dependencies_of(manifest):
        notes = {key: value for key, value in entry["annotations"].items() if key != "role"}
        used.setdefault(entry["annotations"]["role"], {})[entry["name"]] = {**notes, **entry.get("digest", {})}
    endpoints = Contract.from_json(manifest["contract"]).endpoints
    takes = {f"{e.name}: {t.name}": (t.dtype, shape_text(t.shape), range_text(t)) for e in endpoints for t in e.inputs}
    rows = [row for row in parsed.rows if row.runtime]
    return used | {
        "build": _item(manifest.get("metadata", {}).get("provenance"), "buildDefinition"),
        "package": {name: notes.get("version") for name, notes in used.get("package", {}).items()},
        "files": {a["path"]: a.get("quantize") or a["format"] for a in manifest["artifacts"] if a["state"] is None},
        "compared": [*describe_examples(parsed.examples), *describe_coverage(parsed.coverage)],
        "ran": {f"{r.artifact} in {r.runtime}": f"{r.state} {worst_difference(r)}".strip() for r in rows},
        "takes": {name: " ".join(filter(None, words)) for name, words in takes.items()},
        "reservations": parsed.reservations(),
    }


def to_markdown(document: Mapping[str, Any]) -> str:
    """Return the sections as Markdown; what a person must write is a heading with an empty line."""
    source = f"Written from the bundle whose `manifest.json` has the SHA-256 `{document['manifest']}`."
    lines = [f"# Technical documentation of {document['bundle']}", "", f"Regulation (EU) 2024/1689, annex IV. {source}"]
    for section in document["sections"]:
        lines += ["", f"## {section['id']} {section['title']}"]
        for name, value in section["measured"].items():
            items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
            lines += ["", f"**{name}**", ""]
            lines += [f"- {f'{key}: ' if isinstance(key, str) else ''}{_plain(item)}" for key, item in items] or [
                _plain(value)
            ]
        for name in section["to_write"]:
            lines += ["", f"**{name}** (to be written)", "", "…"]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    """Return a value as one line, without active HTML and links."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.replace("<", "&lt;").replace("](", "]\\(").split())
