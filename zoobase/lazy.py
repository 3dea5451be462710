"""Attributes of a package that are imported when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_attributes(package: str, names: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return a function for `__getattr__` of a package.

    Args:
        package: The package.
        names: {module: attributes that come from it}; those of the package itself are its modules. A literal, because
            tests/test_imports.py reads it as imports.
    """
    modules = {name: module for module, attributes in names.items() for name in attributes}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if modules[name] == package:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(modules[name]), name)

    return get
