"""Files of models, datasets and plugins: found without being imported, and imported by a computed name only here."""

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

log = logging.getLogger("zoobase")


def load_module(name: str) -> ModuleType:
    """Import a module whose name is computed: a model, a dataset, a command, or code of the user."""
    return importlib.import_module(name)


def loaded_module(name: str) -> ModuleType | None:
    """Return a module, such as one of the user, if it has been imported."""
    return sys.modules.get(name)


def catalogue(package: str) -> Iterator[tuple[str, Path]]:
    """Yield (module, file) of every file of a package whose `__path__` may have folders of the user."""
    for folder in load_module(package).__path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            yield f"{package}.{path.stem}", path


def entry_points(group: str) -> Iterator[tuple[str, str, Path]]:
    """Yield (name, module, file) of every entry point of a group, without importing anything."""
    for point in _entry_points(group, tuple((folder, _modified(folder)) for folder in sys.path)):
        path = source_file(point.module)
        if path is None:
            warn(f"entry point {point.name!r} is left out: module {point.module!r} is not found")
        else:
            yield point.name, point.module, path


@functools.lru_cache(maxsize=8)
def _entry_points(group: str, path: tuple[tuple[str, int], ...]) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Return the entry points of a group, cached by `sys.path`: reading every installed package takes 10 ms."""
    return tuple(importlib.metadata.entry_points(group=group))


def _modified(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def source_file(module: str) -> Path | None:
    """Return the file of a module; unlike `importlib.util.find_spec`, this does not import its packages."""
    top, *inner = module.split(".")
    try:
        spec, name = importlib.util.find_spec(top), top
        for part in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


UNREADABLE = (OSError, ValueError, SyntaxError)  # of a source file; ValueError: not UTF-8, or null characters


def unreadable(error: Exception) -> str:
    """Return why a source file cannot be read or parsed, one of `UNREADABLE`."""
    where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
    return f"it cannot be read: {getattr(error, 'msg', error)}{where}"


@functools.cache
def warn(message: str) -> None:
    """Write a warning to the log, which is standard error unless it is configured; each only once."""
    log.warning("warning: %s", message)
