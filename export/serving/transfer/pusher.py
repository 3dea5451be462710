"""Push a proven bundle to another place."""

from __future__ import annotations

import os
from pathlib import Path

from export.bundle import layout
from export.bundle.binding import read_proven
from export.serving.transfer.stores import open_store
from zoobase.files import sha256


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
