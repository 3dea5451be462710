"""The user's data at a URL, or in a zip file, as a local path: fetched or unpacked once, in the cache.

No credential is accepted in a URL, because run folders and model cards state where the data came from.
"""

import hashlib
import os
import re
import shutil
import urllib.parse
import zipfile
from pathlib import Path

from pipelines.sources import packages, storage, stores
from zoobase.errors import MISSING, USAGE, DataError
from zoobase.files import cache_root, sha256

LARGEST_ARCHIVE = 20_000_000_000  # bytes of what a zip file holds
SECRETS = re.compile(
    r"(?i)(^|[-_])(token|sig|signature|secret|password|passwd|pwd|credential|api[-_]?key|access[-_]?key.*|key)$"
)


def is_url(data_dir: str | os.PathLike) -> bool:
    """Whether the user's data is at a URL: `https://host/a.csv`, `s3://bucket/a.parquet`."""
    return re.match(r"[a-z][a-z0-9+.-]*://", str(data_dir)) is not None


def local(data_dir: str | os.PathLike, cache_dir: str | os.PathLike | None) -> Path:
    """Return the local path of the user's data; a file at a URL is fetched, and a zip file unpacked, once."""
    path = _fetched(str(data_dir), cache_root(cache_dir) / "own") if is_url(data_dir) else Path(data_dir).expanduser()
    return _unpacked(path, cache_root(cache_dir) / "own") if path.suffix.lower() == ".zip" and path.is_file() else path


def check_url(url: str) -> None:
    """Raise DataError if a URL holds a user, a password or a token; the message does not repeat it."""
    parts = urllib.parse.urlsplit(url)
    keys = [key for key, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True) if SECRETS.search(key)]
    if parts.username or parts.password or keys:
        where = f"its parameter {keys[0]}" if keys else "its user"
        raise DataError(
            f"the URL at {parts.hostname} holds a credential, {where}: it would be written to the run folder; give it "
            "by the environment, as the library of the store reads it (AWS_PROFILE, ~/.netrc), or download the file",
            USAGE,
        )


def _fetched(url: str, cache: Path) -> Path:
    check_url(url)
    name = Path(urllib.parse.urlsplit(url).path).name or "data"
    folder = cache / hashlib.sha256(url.encode()).hexdigest()[:16]
    if storage.is_complete(folder):
        storage.log.info("%s: the copy in %s, which was fetched before; remove it to fetch again", url, folder)
        return folder / name
    with storage.preparing(cache):
        if not storage.is_complete(folder):
            with storage.staged(folder) as stage:
                _download(url, stage / name)
    return folder / name


def _download(url: str, target: Path) -> None:
    if url.partition("://")[0] not in ("http", "https"):
        stores.download(url, target)
        return
    import requests  # with ~/.netrc and proxies; fsspec would need aiohttp

    try:
        with requests.get(url, stream=True, timeout=60) as response, target.open("wb") as file:
            response.raise_for_status()
            shutil.copyfileobj(response.raw, file)
    except ValueError as error:
        raise DataError(f"{url} cannot be read: {error}", USAGE) from error
    except OSError as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(f"{url} cannot be read ({reason})", MISSING) from error


def _unpacked(archive: Path, cache: Path) -> Path:
    folder = cache / f"zip-{sha256(archive)[:16]}" / archive.stem
    if not storage.is_complete(folder):
        with storage.preparing(folder.parent):
            if not storage.is_complete(folder):
                _check_size(archive)
                with storage.staged(folder) as stage:
                    packages.unzip(archive, stage)
    files = [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
    return files[0] if len(files) == 1 and (files[0].is_dir() or files[0].suffix.lower() != ".zip") else folder


def _check_size(archive: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as contents:
            members = contents.infolist()
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a complete zip file ({error})") from error
    size = sum(member.file_size for member in members)
    largest = max(members, key=lambda member: member.file_size, default=None)
    if size > LARGEST_ARCHIVE:
        limit = f"{LARGEST_ARCHIVE / 1e9:,.0f}"
        raise DataError(f"{archive} holds {size / 1e9:,.0f} GB, more than {limit}: unpack it yourself", USAGE)
    if largest is not None and largest.file_size > storage.LARGEST_FILE:  # which would be refused once it is unpacked
        raise DataError(
            f"{archive} holds {largest.filename} of {largest.file_size / 1e6:,.0f} MB; files of more than "
            f"{storage.LARGEST_FILE / 1e6:,.0f} MB are not read",
            USAGE,
        )
