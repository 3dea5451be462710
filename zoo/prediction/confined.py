"""What a command reads that opens a run or a bundle of anyone: the kernel forbids it everything else."""

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from export.runtime.confinement import confine_command
from export.runtime.execution import saved_models_named_by
from pipelines import catalogue
from zoo.core import registry
from zoo.prediction.inputs import expand
from zoobase.console import Console
from zoobase.errors import KnownError
from zoobase.files import cache_root
from zoobase.plugins import entry_points

FOLDERS = ("ZOO_MODELS_PATH", "ZOO_DATASETS_PATH", "TFHUB_CACHE_DIR")  # variables that name what a command reads


def confine_prediction(source: str, inputs: Sequence[str], files: Sequence[str | None], folder: str | Path) -> None:
    """Confine a command if it opens a run or a bundle, and not a model of ours by its name."""
    path = Path(source)
    if not (Console.is_process and path.exists()):
        return
    configurations = (path / "config.json", path / "model.keras", *path.glob("bundle*/model.keras"))
    named = [folder for file in configurations for folder in saved_models_named_by(file)]
    reads = (source, *filter(None, files), *_paths_of(inputs), *_plugins(), cache_root(), *named)
    confine_command(reads, folder)


def _paths_of(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the files and folders that inputs name; of a pattern the folder above it, and where links lead."""
    for text in inputs:
        parts = Path(text).parts
        fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        yield str(Path(*parts[:fixed]))
        with contextlib.suppress(KnownError, OSError, ValueError):  # of a text, or of what the command will report
            yield from (name for name in expand([text]) if os.path.islink(name))


def _plugins() -> Iterator[str]:
    """Yield the folders of models and datasets of others."""
    for name in FOLDERS:
        yield from filter(None, os.environ.get(name, "").split(os.pathsep))
    for group in (registry.ENTRY_POINTS, catalogue.ENTRY_POINTS):
        yield from (str(path.parent) for _, _, path in entry_points(group))
