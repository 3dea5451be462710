"""Releases for aarch64, as phones and cheaper servers run them, in an emulator: Debian's qemu-user.

What is computed is that of the other processor; how long it takes says nothing. The interpreter and its libraries are
Debian's packages for arm64, unpacked into the cache; the wheels are those of PyPI for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.runners.environments import MARK, Environment
from export.runtime.installation import PIP
from export.wire import machine
from export.wire.machine import cache_folder
from zoobase.errors import Unavailable

QEMU = "qemu-aarch64"
PYTHON = "3.13"  # of Debian 13
DEBIAN = (
    *(f"python{PYTHON}-minimal", f"libpython{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "libc6", "libstdc++6"),
    *("libgcc-s1", "zlib1g", "libexpat1", "libffi8", "libssl3t64", "libbz2-1.0", "liblzma5"),
)
PLATFORMS = ("manylinux2014", *(f"manylinux_2_{version}" for version in (17, 26, 27, 28, 31)))  # of wheels
WRAPPER = '''\
#!{python}
"""Run Python for aarch64, confined as its job says before the emulator starts, which knows no Landlock."""

import json
import os
import sys

sys.path.insert(0, {wire!r})
import machine

with open(sys.argv[-1]) as job:
    machine.confine(**json.load(job)["confine"])
os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), {site!r}])
os.execv({qemu!r}, [{qemu!r}, "-L", {root!r}, {guest!r}, *sys.argv[1:]])
'''


def root() -> Path:
    """Return the folder with the files of Debian for arm64."""
    return cache_folder() / "servers" / "debian-arm64"


@dataclass(frozen=True)
class EmulatedEnvironment(Environment):
    """An environment for aarch64; `python` starts the emulator."""

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        return self.folder / "site"

    def install(self, progress: Callable[[str], None] | None = None) -> None:
        """Unpack the packages, once.

        Raises:
            Unavailable: There is no emulator, or a package index does not answer or has no such package.
        """
        qemu = shutil.which(QEMU)
        if not qemu:
            raise Unavailable(f"{QEMU} is not installed; sudo apt-get install qemu-user")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with root().with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.installed:
                return
            if progress:
                progress(f"installing {', '.join(self.requirements)} for aarch64 in {self.folder}")
            if not (root() / MARK).is_file():
                _unpack_debian()
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.folder / "bin").mkdir(parents=True)
            wheels = [*PIP, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(self.packages)]
            wheels += [option for name in PLATFORMS for option in ("--platform", f"{name}_aarch64")]
            _run([*wheels, "--python-version", PYTHON, "--implementation", "cp", *self.requirements])
            facts = {"python": sys.executable, "wire": str(Path(machine.__file__).parent), "site": str(self.packages)}
            guest = str(root() / "usr/bin" / f"python{PYTHON}")
            self.python.write_text(WRAPPER.format(**facts, qemu=qemu, root=str(root()), guest=guest))
            self.python.chmod(0o755)
            (self.folder / MARK).touch()


def _unpack_debian() -> None:
    shutil.rmtree(root(), ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="debian-arm64-") as scratch:
        for folder in ("state/lists/partial", "cache/archives/partial", "packages"):
            (Path(scratch) / folder).mkdir(parents=True)
        options = [
            *("-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64"),
            *("-o", f"Dir::State={scratch}/state", "-o", f"Dir::Cache={scratch}/cache"),
            *("-o", "Dir::State::status=/dev/null", "-o", "Acquire::Languages=none"),
        ]
        _run(["apt-get", *options, "update"])
        _run(["apt-get", *options, "download", *(f"{name}:arm64" for name in DEBIAN)], Path(scratch) / "packages")
        for package in sorted((Path(scratch) / "packages").glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(root())])
    for folder in ("lib", "bin"):
        if not (root() / folder).exists():
            os.symlink(f"usr/{folder}", root() / folder)
    (root() / MARK).touch()


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines() or [f"exit code {result.returncode}"]
        raise Unavailable(f"{Path(command[0]).name} failed: {lines[-1]}")
