"""What a bundle that came from elsewhere may make this machine do: nothing, unless the user trusts it by name.

Checksums find damage, not malice: whoever can write the folder can write the sums. So every reader of a bundle comes
through here before it loads anything.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from export.artifacts import ANY, check_trusted, describe, reservations_of, sentence
from export.contract import Contract
from export.formats import FORMATS
from export.runtime.process import home_of
from zoobase.errors import ExportError

SCHEMA = Path(__file__).with_name("manifest.schema.json")
PARITY_SCHEMA = Path(__file__).parent.parent / "parity.schema.json"
TRUSTED = frozenset({"zoo"})  # packages of ours whose classes a Keras file may need


def check_manifest(folder: Path | str, manifest: Any) -> dict[str, Any]:
    """Return the manifest of a bundle if it is one, and if everything that it names lies inside the bundle.

    Raises:
        ExportError: If it is not valid against `manifest.schema.json`, or a path leads out of the bundle.
    """
    version = manifest.get("schema") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > 1:
        raise ExportError(f"{folder} has manifest schema {version}, which this version does not know: upgrade it")
    check_schema(folder, "manifest.json", manifest, SCHEMA)
    try:
        endpoints = {endpoint.name for endpoint in Contract.from_json(manifest["contract"]).endpoints}
    except ValueError as error:
        raise ExportError(f"{folder} is not a bundle: manifest.json is malformed at contract: {error}") from error
    for artifact in manifest["artifacts"]:
        check_path(folder, artifact["path"])
        if unknown := sorted(set(artifact["endpoints"]) - endpoints):
            raise ExportError(
                f"{folder} is not a bundle: {artifact['path']} names endpoint {unknown[0]!r}, which is unknown"
            )
    for name in manifest["files"]:
        check_path(folder, name)
    return manifest


def check_schema(folder: Path | str, name: str, data: Any, schema: Path) -> None:
    """Raise ExportError for the content of a JSON file of a bundle that is not valid against a schema."""
    if problem := _problem(schema, data):
        where, text = problem
        raise ExportError(f"{folder} is not a bundle: {name} is malformed at {where or name}: {text}")


def check_contract_data(path: Path, data: Any) -> None:
    """Raise ExportError for the content of a JSON file that is not a contract as in a manifest."""
    if problem := _problem(SCHEMA, data, "contract"):
        where, text = problem
        raise ExportError(f"{path} is not a contract: malformed at {where or 'the top level'}: {text}")


def _problem(schema: Path, data: Any, definition: str | None = None) -> tuple[str, str] | None:
    """Return where data is not valid against a schema, or one of its definitions, and what is wrong; or None."""
    from jsonschema.exceptions import best_match

    problem = best_match(_validator(schema, definition).iter_errors(data))
    return None if problem is None else (".".join(map(str, problem.absolute_path)), problem.message[:200])


@functools.cache
def _validator(schema: Path, definition: str | None) -> Any:
    from jsonschema import Draft202012Validator

    content = json.loads(schema.read_text(encoding="utf-8"))
    if schema == SCHEMA:
        content["$defs"]["format"] = {"enum": list(FORMATS)}
    if definition:
        content = {"$ref": f"#/$defs/{definition}", "$defs": content["$defs"]}
    return Draft202012Validator(content)


def check_path(folder: Path | str, name: str) -> None:
    """Raise ExportError for a path that is absolute or leads out of the bundle.

    Example:
        >>> check_path(Path("bundle"), "saved_model/1")
        >>> check_path(Path("bundle"), "../elsewhere")
        Traceback (most recent call last):
        zoobase.errors.ExportError: bundle names '../elsewhere', which is not a path inside it
    """
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or not path.parts
        or ":" in path.parts[0]
    ):
        raise ExportError(f"{folder} names {name!r}, which is not a path inside it")


def refusal(folder: Path, artifact: Mapping[str, Any], trust: Collection[str]) -> str | None:
    """Return why an artifact is not loaded, or None. It is read, and nothing of it is run.

    Args:
        folder: The bundle.
        artifact: As in the manifest.
        trust: Operators of a SavedModel that may be run all the same.
    """
    if not FORMATS[artifact["format"]].holds_code:
        return None
    try:
        check_trusted(describe(folder / artifact["path"], complete=False), trust)
    except ExportError as error:
        return str(error)
    return None


def reservation(folder: Path, artifact: Mapping[str, Any], allow: Collection[str]) -> str | None:
    """Return why an artifact is not published because of what its graph may do in other calls, or None.

    Args:
        folder: The bundle.
        artifact: As in the manifest.
        allow: Kinds of reservations that are allowed, or "any".
    """
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
    """Return why the code that Keras files of a bundle need is not imported, or None.

    Only installed packages are: ours, or those that the user trusts by name; never from the bundle or the current
    folder.

    Args:
        folder: The bundle.
        dependency: {"package", "modules"} of the manifest, or None.
        trust: Names of packages.
    """
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
