"""Temporary files of the tests, and of all processes that they start, lie in one folder that is removed at the end.

pytest's own folders, which it keeps for a look, stay where they are. What ignores TMPDIR is named at the end of a
session.
"""

import fnmatch
import os
import tempfile
from pathlib import Path

import pytest

from zoobase.files import own_temporary_folder

OURS = (  # what processes of ours, and the libraries in them, have left behind
    *("__autograph_generated_file*", "keras-*", "tensorflow-*", "c_api-*", "litert-*", "structure-*", "export-*"),
    *("evaluation-*", "layer-diff-*", "tensor-errors-*", "server-*", "triton-*", "chromium-*", "ray*"),
    *("pymp-*", "command-*", "python_env_*", "zoo-*"),
)
REAL = Path(os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a process of pytest-xdist shares the folder of the first one
        return
    config.temporary_files = _of_ours()
    own_temporary_folder()
    config.temporary_files.add(Path(tempfile.gettempdir()))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := sorted(path.name for path in _of_ours() - config.temporary_files):
        terminalreporter.write_line(f"{len(left)} files were left in {REAL}: {', '.join(left[:5])}")


def _of_ours() -> set[Path]:
    return {path for path in REAL.iterdir() if any(fnmatch.fnmatch(path.name, pattern) for pattern in OURS)}
