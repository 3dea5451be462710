"""The level structure: folders, files and signatures, as TF Serving requires them."""

import re
from collections.abc import Iterator
from pathlib import Path

from export.formats.format import Description
from export.formats.saved_model import newest_version, served_versions
from export.proof.certificate import FAIL, PASS
from export.serving.publisher import STAGING, VERSION_SUMS, find_version_damage
from export.serving.servecheck.version import Level, ServedVersion, read_version
from zoobase.errors import CheckFailed, ExportError


def check(base: Path) -> tuple[Level, ServedVersion | None]:
    """Return the level, and the version for the other levels if the structure is valid."""
    messages = [*_names(base), *_damage(base)]
    if (latest := newest_version(base)) is None:
        return Level("structure", FAIL, f"{base} holds no version that TF Serving reads: no folder with a number"), None
    number, folder = latest
    messages += _files(folder)
    version = None
    if not messages:
        try:
            version = read_version(base, number, folder)
            messages += _signatures(version.description)
        except CheckFailed:
            raise
        except ExportError as error:
            messages.append(str(error))
    if messages:
        return Level("structure", FAIL, "; ".join(messages[:3])), None
    count = len(served_versions(base))
    details = f"version {number} of {count}, {len(version.endpoints)} signatures"
    return Level("structure", PASS, details=details), version


def _names(base: Path) -> Iterator[str]:
    for version, names in served_versions(base).items():
        if len(names) > 1:
            yield f"version {version} exists more than once ({', '.join(sorted(names))}); TF Serving takes either"
        elif names != [str(version)] or version == 0:
            yield f"folder {names[0]!r} is read as version {version}; call a version by a number from 1, without zeros"


def _damage(base: Path) -> Iterator[str]:
    """Yield files that differ from the published ones. Third-party versions have no checksums."""
    for names in served_versions(base).values():
        for name in names:
            if (base / name / VERSION_SUMS).exists():
                yield from (f"version {name}: {text}" for text in find_version_damage(base / name))


def _files(folder: Path) -> Iterator[str]:
    """Yield missing files: the loader accepts a folder without variables and fails at the first call (serving 1086)."""
    if not (folder / "saved_model.pb").is_file():
        yield f"{folder} has no saved_model.pb"
        return
    if b"VarHandleOp" in (folder / "saved_model.pb").read_bytes():
        variables = folder / "variables"
        shards = sorted(path.name for path in variables.glob("variables.data-*"))
        if not (variables / "variables.index").is_file():
            yield f"{variables} has no variables.index"
        elif not shards or len(shards) != int(re.sub(r".*-of-", "", shards[0])):
            yield f"{variables} has {len(shards)} of its data files ({', '.join(shards) or 'none'})"
    if staged := [path.name for path in folder.glob(f"{STAGING}*")]:
        yield f"{folder} holds {staged[0]}"


def _signatures(description: Description) -> Iterator[str]:
    if not description.signatures:
        yield "it has no signature, so it cannot serve requests"
    elif "serving_default" not in {s.name for s in description.signatures}:
        yield "it has no serving_default, which requests without a signature name use"
    for signature in description.signatures:
        for port in (*signature.inputs, *signature.outputs):
            if port.dtype is None or port.dtype in ("resource", "variant"):
                yield f"{port.name} of {signature.name} is a {port.dtype}, which no request can contain"
    if custom := description.flagged.get("custom"):
        yield f"it needs operators that the stock server does not have: {', '.join(custom)}"
