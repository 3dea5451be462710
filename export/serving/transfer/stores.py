"""Where a bundle can lie: a folder, a web server (read only), or a repository of the Hugging Face Hub."""

import contextlib
import functools
import hashlib
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from export.bundle import layout
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.files import staging
from zoobase.requirements import install_command

BLOCK = 1 << 20  # bytes
LARGEST_LIST = 64 * 2**20  # bytes of manifest.json, of SHA256SUMS and of an attestation
SECONDS = (10, 60)  # to connect, and between two blocks
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # nobody listens between, so http is allowed
REPOSITORY = re.compile(r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)


class Store(Protocol):
    """A place of one bundle."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in blocks; Unavailable if it cannot be read."""

    def check_writable(self) -> None:
        """Raise ExportError if no bundle can be written there."""

    def write(self, bundle: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
        """Write the files of a bundle, {name: {"sha256", "bytes"}}, all or none; return where they are."""


def save(blocks: Iterator[bytes], path: Path, entry: Mapping[str, Any], source: str) -> None:
    """Write blocks to a new file, which must have the size and the SHA-256 of `entry`; never more than the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum, size = hashlib.sha256(), 0
    with contextlib.closing(blocks), path.open("xb") as file:
        for block in blocks:
            size += len(block)
            if size > entry["bytes"]:
                break
            checksum.update(block)
            file.write(block)
    if size != entry["bytes"]:
        relation = "more" if size > entry["bytes"] else "fewer"
        raise CheckFailed(f"{source} has {relation} bytes than the {entry['bytes']:,} in manifest.json")
    if checksum.hexdigest() != entry["sha256"]:
        raise CheckFailed(f"{source} is not the file that manifest.json lists: its SHA-256 differs")


class FolderStore(Store):
    """A folder on this machine, or of a mounted file system."""

    def __init__(self, url: str) -> None:
        """Take the path of a URL."""
        parts = urllib.parse.urlsplit(url)
        path = urllib.parse.unquote(parts.path)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or "\0" in path or not path:
            raise ExportError(f"{url} is not the path of a folder; write file:///FOLDER, with three slashes")
        self.folder = Path(path)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        path = self.folder / name
        if not path.is_file():  # a pipe or a device may have no end
            raise Unavailable(f"there is no file {path}")
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block

    def check_writable(self) -> None:
        """Raise ExportError if the folder exists."""
        if os.path.lexists(self.folder):
            raise ExportError(f"{self.folder} exists already, and is not replaced; choose another URL")

    def write(self, bundle: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
        """Copy the files to a staged folder, and rename it."""
        source = FolderStore(bundle.absolute().as_uri())
        with staging(self.folder.parent, f".{self.folder.name}.pushing-") as folder:
            for name, entry in files.items():
                save(source.read(name), folder / name, entry, str(bundle / name))
            return str(layout.publish(folder, self.folder))


class WebStore(Store):
    """A folder of a web server."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Take a URL, and headers of every request."""
        parts = urllib.parse.urlsplit(url)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ExportError(f"{url} is not the URL of a folder; write https://HOST/PATH, without password and query")
        if not _is_secure(url):
            raise ExportError(f"{url} is not encrypted; write https://")
        self.url, self.headers = url.rstrip("/"), {"Accept-Encoding": "identity", **(headers or {})}

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file; redirects to http are not accepted."""
        import requests
        import urllib3

        url = f"{self.url}/{urllib.parse.quote(name)}"
        try:
            with requests.get(url, headers=self.headers, stream=True, timeout=SECONDS) as response:
                for hop in (*response.history, response):
                    if not _is_secure(hop.url):
                        raise CheckFailed(f"{url} leads to {hop.url}, which is not encrypted")
                if response.status_code != requests.codes.ok:
                    raise Unavailable(f"{url} cannot be read: {response.status_code} {response.reason}")
                yield from response.raw.stream(BLOCK, decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Unavailable(f"{url} cannot be read: {one_line(error)}") from error

    def check_writable(self) -> None:
        """Raise ExportError: there is no common way to write to a web server."""
        raise ExportError(f"{self.url} can be pulled only; push to file:// or hf://, or copy the folder to the server")

    def write(self, bundle: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
        """Raise ExportError."""
        self.check_writable()


class HubStore(Store):
    """A repository of the Hugging Face Hub, by the package `huggingface_hub`, which knows the user's token."""

    def __init__(self, url: str) -> None:
        """Take `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`."""
        match = REPOSITORY.fullmatch(url)
        if match is None:
            raise ExportError(
                f"{url} is not a repository of the Hub; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
            )
        self.url, self.repo, self.revision = url, match["repo"], match["revision"]
        try:
            import huggingface_hub
        except ImportError as error:
            raise Unavailable(f"hf:// needs huggingface_hub ({error}); {install_command('hub')}") from error
        self._hub = huggingface_hub

    @functools.cached_property
    def _commit(self) -> WebStore:
        """The files of one commit: those of a push meanwhile are not mixed with them."""
        try:
            commit = self._hub.HfApi().repo_info(self.repo, revision=self.revision).sha
        except Exception as error:  # the library passes on what its own libraries raise
            raise Unavailable(f"{self.url} cannot be read: {one_line(error)}") from error
        url = self._hub.hf_hub_url(self.repo, layout.MANIFEST, revision=commit).removesuffix(f"/{layout.MANIFEST}")
        return WebStore(url, self._hub.utils.build_hf_headers())

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        yield from self._commit.read(name)

    def check_writable(self) -> None:
        """Do nothing: the Hub says it when it is asked to write."""

    def write(self, bundle: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
        """Upload the files in one commit, which removes others; a new repository is private."""
        api = self._hub.HfApi()
        try:
            api.create_repo(self.repo, private=True, exist_ok=True)
            if self.revision:
                api.create_branch(self.repo, branch=self.revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=self.repo,
                folder_path=bundle,
                revision=self.revision,
                commit_message="Push a proven bundle",
                delete_patterns="*",
            )
        except Exception as error:
            raise CheckFailed(f"{self.url} cannot be written: {one_line(error)}") from error
        return str(commit.commit_url)


def _is_secure(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def one_line(error: Exception) -> str:
    """Return an error of a library as one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
