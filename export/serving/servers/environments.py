"""Python environments for servers and older versions of TensorFlow that cannot be installed beside ours."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoobase.errors import Unavailable
from zoobase.files import cache_root

MARK = ".installed"  # written last: a folder without it is of an installation that did not finish


@dataclass(frozen=True)
class Environment:
    """A virtual environment in the cache of this project.

    Attributes:
        name: Its name for `python -m export servers --install NAME`.
        requirements: What pip installs; the versions are pinned.
        purpose: What it is used for.
        dependencies: Whether pip installs the dependencies, too.
    """

    name: str
    requirements: tuple[str, ...]
    purpose: str
    dependencies: bool = True

    @property
    def folder(self) -> Path:
        """The path of the environment; other requirements or another Python have another one."""
        content = repr((self.requirements, self.dependencies, sys.version_info[:2]))
        return cache_root() / "servers" / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def installed(self) -> bool:
        """Whether it is there."""
        return (self.folder / MARK).is_file()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def hint(self) -> str:
        """How it is installed."""
        return f"{self.name} is not installed; python -m export servers --install {self.name}"

    def install(self, progress: Callable[[str], None] | None = None) -> None:
        """Create it and install the requirements from PyPI; nothing is done if it is there.

        Raises:
            Unavailable: If pip fails, such as without network.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.installed:
                return
            if progress:
                progress(f"installing {', '.join(self.requirements)} in {self.folder}")
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder, symlinks=True, with_pip=True)
            command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command += [*([] if self.dependencies else ["--no-deps"]), *self.requirements]
            result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if result.returncode:
                shutil.rmtree(self.folder, ignore_errors=True)
                errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
                reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {result.returncode}"
                raise Unavailable(f"{self.name} was not installed: pip failed: {reason}")
            (self.folder / MARK).touch()


KSERVE = Environment("kserve", ("kserve==0.21.0",), "KServe's ModelServer: TF Serving's REST URLs")
# with NumPy 2.4 Triton's Python backend returns empty outputs
TRITON = Environment("triton", ("nvidia-pytriton==0.7.0", "numpy==1.26.4"), "NVIDIA Triton 2.51: HTTP and gRPC")
OLDER = tuple(
    Environment(
        f"tensorflow-{version.rpartition('.')[0]}",
        (f"tensorflow-cpu=={version}",),
        f"the loader of TF Serving {version.rpartition('.')[0]}",
        dependencies=False,
    )
    for version in ("2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0")
)
ENVIRONMENTS = {environment.name: environment for environment in (KSERVE, TRITON, *OLDER)}
