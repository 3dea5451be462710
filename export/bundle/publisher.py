"""Put a proven SavedModel under a TF Serving base path: staged there, hashed, flushed, and renamed into its version."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.bundle import layout
from export.errors import CheckFailed, ExportError
from export.formats.saved_model_versions import choose_version

EXTRA = "assets.extra"  # TF Serving copies nothing from here and reads only the warm-up records
RECORD = f"{EXTRA}/published.json"
VERSION_SUMS = f"{EXTRA}/{layout.SUMS}"
STAGING = ".publishing-"  # does not read as a number, so TF Serving passes it by
ATTEMPTS = 1000


@dataclass(frozen=True)
class Published:
    """Where a version is now.

    Attributes:
        path: Its folder, BASE_PATH/VERSION.
        version: Its number.
    """

    path: Path
    version: int


def publish(
    source: str | os.PathLike[str], base_path: str | os.PathLike[str], *, version: int | str = "next"
) -> Published:
    """Publish the SavedModel of a bundle as a version under a TF Serving base path.

    A reader sees the version whole or not at all, however often this is killed. Versions that are there are never
    touched. Several may publish at once: with "next" each gets a number of its own.

    Args:
        source: A proven bundle.
        base_path: The folder of one model's versions; made if it is not there.
        version: "next", "time" (seconds since 1970), or a positive int64.

    Raises:
        ExportError: If `source` holds no SavedModel, or the version is taken or no version.
        CheckFailed: If the bundle is damaged or its proof does not hold.
    """
    folder, base = Path(source), Path(base_path).absolute()
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a bundle: there is no such folder")
    manifest = layout.read_manifest(folder)
    if found := layout.find_damage(folder):
        raise CheckFailed(f"{folder} is damaged ({found[0]}); export it again")
    verdict = layout.read_verdict(folder)
    if verdict != "pass":
        raise CheckFailed(f"the proof of {folder} says {verdict}; only a bundle that passed is published")
    paths = [a["path"] for a in manifest["artifacts"] if a["format"] == "saved_model" and a["state"] is None]
    if not paths:
        raise ExportError(f"{folder} holds no SavedModel; export it with --formats saved_model")
    promised = {
        name.removeprefix(f"{paths[0]}/"): entry["sha256"]
        for name, entry in manifest["files"].items()
        if name.startswith(f"{paths[0]}/")
    }
    record = {"schema": 1, "bundle": folder.resolve().name, "verdict": verdict}
    record |= {key: manifest[key] for key in ("created", "producer", "contract")}
    return publish_folder(folder / paths[0], base, promised, record, version)


def publish_folder(
    source: Path, base: Path, promised: Mapping[str, str], record: Mapping[str, Any], version: int | str = "next"
) -> Published:
    """Publish the files of one version.

    Args:
        source: Where they are.
        base: The base path.
        promised: {relative path: sha256} of what is copied; anything else is left out.
        record: What `assets.extra/published.json` shall say.
        version: As for `publish`.

    Raises:
        ExportError: If a version that was asked for by number is taken, or `base` is not a base path.
        CheckFailed: If a file is not what was promised.
    """
    if (base / "saved_model.pb").exists() or (base.exists() and not base.is_dir()):
        raise ExportError(f"{base} is not a folder of versions; give the folder that holds 1/, 2/, ...")
    base.mkdir(parents=True, exist_ok=True)
    _sweep(base)
    with _staging(base) as folder:
        content = folder / "content"
        content.mkdir()
        for name, digest in promised.items():
            _copy(source / name, content / name, digest)
        (content / EXTRA).mkdir(exist_ok=True)
        layout.write_json(content / RECORD, dict(record))
        layout.write_sums(content, VERSION_SUMS)
        for _ in range(ATTEMPTS):
            number = choose_version(version, base)
            target = base / str(number)
            if not os.path.lexists(target):
                with contextlib.suppress(layout.PathTaken):  # another publisher was faster
                    return Published(layout.publish(content, target), number)
            if version not in ("next", "time"):
                raise ExportError(f"version {number} exists already in {base}; versions are never replaced: use next")
    raise ExportError(f"no free version in {base} after {ATTEMPTS} attempts; something else is writing there")


def broken(folder: Path) -> list[str]:
    """Return a sentence for every file of a published version that is not as it was published."""
    if not (folder / VERSION_SUMS).is_file():
        return [f"{VERSION_SUMS} is missing"]
    return layout.differences(folder, VERSION_SUMS)


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy a file and check what was read against what was promised."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(1 << 20):
            found.update(block)
            writer.write(block)
    if found.hexdigest() != digest:
        raise CheckFailed(f"{source} changed while it was being published; nothing was published")


@contextlib.contextmanager
def _staging(base: Path) -> Iterator[Path]:
    """Make a folder that is locked as long as this process lives, so that others see what a killed one left behind."""
    with contextlib.ExitStack() as stack:
        while True:
            folder = base / f"{STAGING}{secrets.token_hex(6)}"
            folder.mkdir()
            with contextlib.suppress(FileNotFoundError):  # swept away before it was locked
                held = stack.enter_context(_locked(folder))
                if held is not None and os.path.samestat(os.stat(folder), os.fstat(held)):
                    break
        stack.callback(layout.discard, folder)
        yield folder


def _sweep(base: Path) -> None:
    """Remove what killed publishers left behind; that of living ones is locked."""
    for folder in base.glob(f"{STAGING}*"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _locked(folder, wait=False) as held:
            if held:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[int | None]:
    """Lock a folder against other processes; give its descriptor, or None if another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        held: int | None = descriptor
    except BlockingIOError:
        held = None
    try:
        yield held
    finally:
        os.close(descriptor)


def main(source: Path, base: Path) -> None:
    """Publish a version folder again, as the next version: what `serve-check` kills at random."""
    names = [name for name in layout.files_of(source) if name not in (RECORD, VERSION_SUMS)]
    promised = {name: layout.sha256(source / name) for name in names}
    record = json.loads((source / RECORD).read_text()) if (source / RECORD).exists() else {"schema": 1}
    print("publishing", flush=True)
    publish_folder(source, base, promised, record)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
