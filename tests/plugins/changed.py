"""`--changed REV`: only test modules that reach, by imports, a Python file that differs from a revision.

    make test-changed              # what is not committed
    make test-changed SINCE=HEAD~3

Commands that a test starts in other processes are not imports of it: `make test` before a commit sees them.
"""

import subprocess
from pathlib import Path

import pytest

from tests import test_imports


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--changed", metavar="REV", help="run the tests that import what differs from a revision")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (revision := config.getoption("changed")) is None:
        return
    reached = reaching(changed_files(config.rootpath, revision))
    left_out = [item for item in items if item.path not in reached]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item.path in reached]


def changed_files(root: Path, revision: str) -> set[Path]:
    """Return the files that differ from a revision, and those that git does not know yet."""
    commands = (["git", "diff", "--name-only", revision], ["git", "ls-files", "--others", "--exclude-standard"])
    results = [subprocess.run(command, cwd=root, capture_output=True, text=True) for command in commands]
    if results[0].returncode:
        raise pytest.UsageError(f"--changed {revision}: {results[0].stderr.strip()}")
    return {root / line for result in results for line in result.stdout.splitlines()}


def reaching(changed: set[Path]) -> set[Path]:
    """Return the files from which imports lead to one of the changed files, those included."""
    files = [p for name in (*test_imports.PACKAGES, "tests") for p in (test_imports.ROOT / name).rglob("*.py")]
    modules = {test_imports.module_of(path): path for path in files}
    imports = {path: {modules[name] for name in test_imports.imported(path, set(modules))} for path in files}
    reached = changed & set(files)
    while more := {path for path, names in imports.items() if names & reached} - reached:
        reached |= more
    return reached
