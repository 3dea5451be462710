"""Push a proven bundle to another place, and pull one from there; nothing of it is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.bundle import layout
from export.bundle.gate import read_proven
from export.bundle.layout import check_manifest
from export.serving.transfer.stores import Store, open_store, save
from zoobase.errors import CheckFailed, ExportError
from zoobase.files import sha256, staging

LARGEST_LIST = 64 * 2**20  # bytes of manifest.json and of SHA256SUMS
LARGEST = 50 * 2**30  # bytes of all files
MOST_FILES = 10_000


def pull(url: str, out: str | os.PathLike[str]) -> Path:
    """Copy a bundle from another place to a new folder, which appears whole or not at all.

    The manifest is read first, then the files that it lists, each of which must have its size and SHA-256. Checksums
    detect damage, not manipulation: `verify_bundle` runs the bundle, and with `signer` checks who made it.

    Args:
        url: `file:///FOLDER`, `https://HOST/PATH`, or `hf://OWNER/NAME[@REVISION]`.
        out: The folder of the bundle; it must not exist.

    Returns:
        The path of the bundle.

    Raises:
        ExportError: If `out` exists, there is no bundle, or it is larger than the limits or than the disk.
        CheckFailed: If a file is not the one that the manifest lists.
        Unavailable: If a file cannot be read, or the package `huggingface_hub` is not installed.

    Example:
        >>> pull(Path("bundle").absolute().as_uri(), "pulled").name
        'pulled'
    """
    target = Path(out).absolute()
    if os.path.lexists(target):
        raise ExportError(f"{out} exists already; choose another path")
    store = open_store(url)
    own = {name: _read(store, url, name) for name in (layout.MANIFEST, layout.SUMS)}
    files = _listed(url, own[layout.MANIFEST])
    with staging(target.parent, f".{target.name}.pulling-") as folder:
        total, free = sum(entry["bytes"] for entry in files.values()), shutil.disk_usage(folder).free
        if total > free:
            raise ExportError(f"{url} has {total:,} bytes, and the disk of {out} {free:,} free ones; make room")
        for name, content in own.items():
            (folder / name).write_bytes(content)
        for name, entry in files.items():
            save(store.read(name), folder / name, entry, f"{url}: {name}")
        if damage := layout.find_damage(folder):
            raise CheckFailed(f"{url} is damaged ({damage[0]}); push it again")
        return layout.publish(folder, target)


def _read(store: Store, url: str, name: str) -> bytes:
    content = b""
    with contextlib.closing(store.read(name)) as blocks:
        for block in blocks:
            content += block
            if len(content) > LARGEST_LIST:
                raise ExportError(f"{url} is not a bundle: {name} is larger than {LARGEST_LIST:,} bytes")
    return content


def _listed(url: str, content: bytes) -> Mapping[str, Any]:
    """Return the files that a manifest lists, {name: {"sha256", "bytes"}}, whose names and sizes are acceptable."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{url} is not a bundle: manifest.json cannot be read ({error})") from error
    files = check_manifest(url, data)["files"]
    if own := {layout.MANIFEST, layout.SUMS} & set(files):
        raise ExportError(f"{url} is not a bundle: manifest.json lists {min(own)}")
    total = sum(entry["bytes"] for entry in files.values())
    if total > LARGEST or len(files) > MOST_FILES:
        raise ExportError(
            f"{url} has {len(files):,} files of {total:,} bytes; at most {MOST_FILES:,} of {LARGEST:,} are pulled"
        )
    return files


def push(bundle: str | os.PathLike[str], url: str) -> str:
    """Write a whole bundle whose proof passed to another place, all of its files or none.

    Args:
        bundle: The bundle.
        url: `file:///FOLDER`, which must not exist, or `hf://OWNER/NAME[@REVISION]`, a repository of the Hugging Face
            Hub: the bundle is one commit there, and a repository that does not exist is created as a private one.

    Returns:
        Where it is: a path or a URL.

    Raises:
        ExportError: If `bundle` is not one, or none can be written to the URL.
        CheckFailed: If it is damaged, its proof did not pass, or the Hub refuses it.
        Unavailable: If the package `huggingface_hub` is not installed.

    Example:
        >>> push("bundle", (Path.cwd() / "copy").as_uri()).rpartition("/")[2]
        'copy'
    """
    store = open_store(url)
    store.check_writable()
    folder = Path(bundle)
    files = read_proven(folder, "is pushed")["files"]
    own = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in (layout.SUMS, layout.MANIFEST)
    }
    return store.write(folder, files | own)
