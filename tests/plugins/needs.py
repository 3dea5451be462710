"""What tests need beyond `make setup`: extras of setup.cfg, environments of servers, programs of the system.

    @pytest.mark.needs("onnx", "chromium")     # a test, a class, a parameter; `pytestmark` for a module
    needs.require("signing")                   # in a fixture

Where something is missing the test is skipped with the command that installs it. `make test-all` passes `--complete`:
everything is meant to be installed there, so that a skip is an error.
"""

import functools
import importlib.metadata
import importlib.util
import shutil

import pytest

from export.formats import QUANTIZATIONS
from export.protocol import chromium
from export.runners import run_litert_gpu
from export.serving.servers.environments import ENVIRONMENTS
from zoobase.errors import unknown
from zoobase.requirements import distribution, install_command, requirements

PROGRAMS = {  # program -> its package in Debian
    "chromium": "chromium",
    "docker-compose": "docker-compose",
    "docker-registry": "docker-registry",
    "gcc": "gcc libc6-dev",
    "mesa-vulkan-drivers": "mesa-vulkan-drivers",
    "nginx": "nginx",
    "node": "nodejs",
    "oras": "oras",
}
PREFIX = "needs "  # of the reason of a skip


def missing(name: str) -> str | None:
    """Return the command that installs what a test needs, or None if it is installed."""
    if name in PROGRAMS:
        find = {"chromium": chromium.find, "mesa-vulkan-drivers": run_litert_gpu.version}
        path = find[name]() if name in find else shutil.which(name)
        return None if path else f"apt-get install {PROGRAMS[name]}"
    if name in ENVIRONMENTS:
        return None if name in _environments() else ENVIRONMENTS[name].command
    extras = requirements()
    if name not in extras:
        raise pytest.UsageError(str(unknown("need", name, [*PROGRAMS, *ENVIRONMENTS, *extras])))
    return None if all(map(_is_installed, extras[name])) else install_command(name)


def require(*names: str) -> None:
    """Skip the test if one of these is not installed.

    Example:
        >>> require("test")  # the extra that holds pytest
    """
    for name in names:
        if command := missing(name):
            pytest.skip(f"{PREFIX}{name}: {command}")


def quantizations() -> tuple[str, ...]:
    """Return the quantized forms that can be written here: TFLite's converter writes three, extras the others."""
    return tuple(name for name, q in QUANTIZATIONS.items() if all(map(importlib.util.find_spec, q.modules)))


@functools.cache
def _environments() -> frozenset[str]:
    return frozenset(name for name, environment in ENVIRONMENTS.items() if environment.installed)


def pytest_configure(config: pytest.Config) -> None:
    _environments()  # those of the user's cache, before a test uses another one


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        require(*mark.args)


def _is_installed(requirement: str) -> bool:
    try:
        importlib.metadata.version(distribution(requirement))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
