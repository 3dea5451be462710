"""How modules are imported: TensorFlow without its messages, and attributes of packages when they are first used."""

import ast
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoobase.console import Console, quiet_stderr

OURS = ("zoo", "export", "pipelines", "zoobase")
OPTIONAL = ("cv2", "matplotlib", "pandas", "sklearn")  # as in `export.protocol.fork_server`, which imports none of ours


def import_tensorflow() -> Any:
    """Import TensorFlow and return it."""
    with quiet_import():
        import tensorflow
    return tensorflow


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hide what TensorFlow logs when it is imported in the block, unless ZOO_DEBUG is set (`--debug`).

    C++ prints a line about missing CUDA before it reads any log level. In the process of a command Keras is imported
    without `OPTIONAL`, which takes a third of the CPU time, and later collections of garbage do not visit what was
    imported.
    """
    visible = "tensorflow" in sys.modules or os.environ.get("ZOO_DEBUG")
    with contextlib.nullcontext() if visible else quiet_stderr(), without_garbage_collection():
        left_out = [name for name in OPTIONAL if Console.is_process and name not in sys.modules]
        sys.modules.update(dict.fromkeys(left_out))  # an import of None raises ImportError
        try:
            yield
        finally:
            for name in left_out:
                del sys.modules[name]
            if Console.is_process:
                gc.freeze()


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector inside the block.

    What an import makes stays, so that collections visit it for nothing: a quarter of the CPU time in which TensorFlow
    and Keras are imported.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class LazyAttributes:
    """The function `__getattr__` of a package, and the names that it knows; see `lazy_attributes`."""

    def __init__(self, package: str, modules: Mapping[str, str]) -> None:
        """Keep {attribute: its module}."""
        self.package, self.modules = package, modules

    def __call__(self, name: str) -> Any:
        """Return an attribute; AttributeError for a name that is unknown."""
        module = self.modules.get(name)
        if module is None:
            raise AttributeError(f"module {self.package!r} has no attribute {name!r}")
        if module == self.package:
            return importlib.import_module(f"{module}.{name}")
        return getattr(importlib.import_module(module), name)

    def names(self) -> list[str]:
        """Return the names of the package for `__dir__`: these attributes, and what it has imported."""
        return sorted({*vars(sys.modules[self.package]), *self.modules})


def lazy_attributes(package: str, file: str) -> LazyAttributes:
    """Return a function for `__getattr__` of a package, whose `names` are those of its `__dir__`.

    The attributes are what the file of the package imports of ours under `if TYPE_CHECKING:`, where type checkers and
    editors find them, too; `file` is the `__init__.py`.
    """
    modules = {}
    for block in ast.parse(Path(file).read_bytes()).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in OURS:
                    modules |= {alias.name: node.module for alias in node.names}
    return LazyAttributes(package, modules)
