"""The kernel confines a command that opens a run or a bundle of anyone, before it loads anything of that."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import zoobase
from export.runtime.execution import saved_models_named_by
from export.wire import machine
from pipelines import catalogue
from zoo.core import registry
from zoo.prediction.inputs import expand
from zoobase.console import Console
from zoobase.errors import KnownError
from zoobase.files import cache_root
from zoobase.plugins import entry_points

FOLDERS = ("ZOO_MODELS_PATH", "ZOO_DATASETS_PATH", "TFHUB_CACHE_DIR")  # variables that name what a command reads


def confine_command(source: str, inputs: Sequence[str], files: Sequence[str | None], folder: str | Path) -> None:
    """Confine this process, if it is a command's and `source` is a run or a bundle and no model of ours.

    It then reads the source, the inputs, the installed packages and the cache, writes its temporary folder and
    `folder`, and has no network. What is loaded later, and each of its threads, is subject to that.

    Args:
        source: A run, a bundle, or the name of a model.
        inputs: What is predicted on: files, folders, patterns, texts.
        files: Further files that are read, or None.
        folder: Where the results are written; it is created.

    Raises:
        OSError: The folder cannot be created, or the kernel refuses the rules.
    """
    if not (Console.is_process and Path(source).exists()):
        return
    os.makedirs(folder, exist_ok=True)
    path = Path(source)
    configurations = (path / "config.json", path / "model.keras", *path.glob("bundle*/model.keras"))
    reads = [source, *filter(None, files), *_paths_of(inputs), *_code(), str(cache_root())]
    reads += [named for file in configurations for named in saved_models_named_by(file)]
    machine.confine(map(os.path.realpath, reads), [tempfile.gettempdir(), os.path.realpath(folder)])


def _paths_of(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the files and folders that inputs name; of a pattern the folder above it, and where links lead."""
    for text in inputs:
        parts = Path(text).parts
        fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        yield str(Path(*parts[:fixed]))
        with contextlib.suppress(KnownError, OSError, ValueError):  # of a text, or of what the command will report
            yield from (os.path.realpath(name) for name in expand([text]) if os.path.islink(name))


def _code() -> Iterator[str]:
    """Yield the folders of code that this process may import: those of the project, of its path, and of plugins."""
    yield zoobase.ROOT
    yield from filter(None, sys.path)
    for name in FOLDERS:
        yield from filter(None, os.environ.get(name, "").split(os.pathsep))
    for group in (registry.ENTRY_POINTS, catalogue.ENTRY_POINTS):
        yield from (str(path.parent) for _, _, path in entry_points(group))
