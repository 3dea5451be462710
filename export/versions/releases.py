"""Which releases of a runtime there are, and the Python environment of each.

A release is installed beside the NumPy of its time, and without its other dependencies, which running a model does not
need.
"""

import dataclasses
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from export.protocol import c_api, litert_js
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from export.runners.environments import Environment
from export.runtime.installation import PIP, install
from zoobase import suggestion
from zoobase.errors import ExportError, Unavailable

NUMPY_1 = "numpy==1.26.4"
NUMPY_2 = "numpy==2.4.6"


@dataclass(frozen=True)
class Package:
    """A runtime whose releases are on PyPI; or one from elsewhere, with the one release that is pinned here."""

    runtime: str  # its name in the certificate
    distribution: str  # its name on PyPI
    numpy_2: str = "2.0"  # the first release that runs with NumPy 2
    needs: tuple[str, ...] = ()  # what else it imports
    # returns the version and the folder of one that is not on PyPI, which it downloads; else None
    pinned: Callable[[], tuple[str, Path]] | None = None


def _litert_js() -> tuple[str, Path]:
    try:
        return litert_js.versions()[litert_js.PACKAGE], litert_js.fetch()
    except (OSError, ValueError) as error:
        raise Unavailable(f"LiteRT.js is not available: {error}") from error


PACKAGES = {
    "onnxruntime": Package("onnxruntime", "onnxruntime", "1.19", ("packaging",)),
    "litert": Package("litert", "ai-edge-litert", "1.1", ("flatbuffers", "typing-extensions", "tqdm", "protobuf")),
    "openvino": Package("openvino", "openvino", "2024.5", ("openvino-telemetry", "packaging")),
    "tensorflow_c": Package("c_api", "tensorflow-cpu"),
    "litert_js": Package("browser", litert_js.PACKAGE, pinned=_litert_js),
}


@dataclass(frozen=True)
class Release:
    """A release of a runtime."""

    package: Package  # of which runtime
    version: str

    @property
    def name(self) -> str:
        """How tables name it."""
        return f"{self.package.distribution} {self.version}"

    @property
    def environment(self) -> Environment:
        """The environment in which it runs."""
        numpy = NUMPY_2 if Version(self.version) >= Version(self.package.numpy_2) else NUMPY_1
        others = () if self.package.runtime == "c_api" else (numpy, *self.package.needs)
        requirements = (f"{self.package.distribution}=={self.version}", *others)
        name = f"{self.package.distribution}-{self.version}"
        return Environment(name, requirements, f"the release {self.version}", dependencies=False)

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return self.package.pinned()[1] if self.package.pinned else self.environment.folder

    def install(self, progress: Callable[[str], None] | None = None) -> None:
        """Install its environment in the cache, once."""
        if self.package.pinned:
            self.package.pinned()
        else:
            install(self.environment, progress)

    def runtime(self, variables: dict[str, str] | None = None) -> Runtime:
        """Return the runtime of a proof that runs in this release, with further environment variables."""
        base = RUNTIMES[self.package.runtime]
        process = dataclasses.replace(base.process, environment={**base.process.environment, **(variables or {})})
        if base.name == "c_api":  # a library that this Python loads
            folder = str(self.environment.packages / "tensorflow")
            environment = {c_api.VARIABLE: folder, **process.environment}
            reads = (*process.reads, folder)
            process = dataclasses.replace(process, environment=environment, forked_from=None, reads=reads)
        elif not self.package.pinned:
            process = dataclasses.replace(process, installation=self.environment, forked_from=None)
        return dataclasses.replace(base, process=process)


def parse(text: str) -> list[tuple[Package, Requirement]]:
    """Return the packages of a list such as "onnxruntime>=1.17,<1.20;litert>=1.4" with their versions.

    A comma separates runtimes where a name follows it, and bounds of one where an operator does.

    Example:
        >>> [(package.runtime, str(wanted.specifier)) for package, wanted in parse("onnxruntime>=1.20,<1.22,litert>=2")]
        [('onnxruntime', '<1.22,>=1.20'), ('litert', '>=2')]
    """
    found = []
    for part in re.split(r"[;,]\s*(?=[A-Za-z])", text):
        try:
            wanted = Requirement(part)
        except InvalidRequirement as error:
            raise ExportError(f"{part!r} is not a runtime with versions, such as onnxruntime>=1.20 ({error})") from None
        if wanted.name not in PACKAGES:
            raise ExportError(f"unknown runtime {wanted.name!r}; {suggestion(wanted.name, tuple(PACKAGES))}")
        found.append((PACKAGES[wanted.name], wanted))
    return found


def releases(text: str) -> list[Release]:
    """Return the newest patch of each minor release that a list names, oldest first; of "==" that one."""
    found: list[Release] = []
    for package, wanted in parse(text):
        published = [package.pinned()[0]] if package.pinned else _published(package.distribution)
        versions = [v for v in published if wanted.specifier.contains(v)]
        if not versions:
            raise ExportError(f"there is no release {wanted} of {package.distribution} for this Python")
        newest: dict[tuple[int, ...], str] = {}
        for version in sorted(versions, key=Version):
            newest[Version(version).release[:2]] = version
        found += [Release(package, version) for version in newest.values()]
    return found


def _published(distribution: str) -> Sequence[str]:
    """Return the releases that pip could install here."""
    command = [*PIP, "index", "versions", distribution, "--disable-pip-version-check"]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    listed = re.search(r"^Available versions: (.*)$", result.stdout, re.MULTILINE)
    if result.returncode or not listed:
        raise Unavailable(f"the package index does not list {distribution}; the matrix needs it once, for each release")
    return [version.strip() for version in listed[1].split(",")]
