"""The inputs of a prediction: files, folders of images, patterns, and objects in S3 or Google Cloud Storage."""

from __future__ import annotations

import contextlib
import functools
import glob
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipelines.sources import remote
from pipelines.sources.storage import LARGEST_FILE
from zoobase.errors import MISSING, DataError, MissingError, UsageError
from zoobase.requirements import install_command

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SCHEMES = ("s3", "gs", "file")


def names_of(arguments: Sequence[str], are_images: bool) -> list[str]:
    """Return the names of images that arguments stand for, see `expand`; texts stand for themselves."""
    names = list(expand(arguments) if are_images else arguments)
    if not names:
        raise UsageError(f"no image files in {', '.join(arguments)}" if arguments else "no inputs: name a file")
    return names


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the names of files in the order of the arguments; what a folder or a pattern stands for is sorted."""
    # A folder stands for the image files in it and its sub-folders, a pattern such as `photos/**/*.jpg` for the files
    # that it matches. Both may be in a store: `s3://bucket/photos/`, `gs://bucket/*.jpg`.
    for argument in arguments:
        if not argument:  # Path("") is the current folder
            raise UsageError("'' is not the name of a file")
        path = Path(argument)
        if remote.is_url(argument):
            yield from _expand_url(argument)
        elif path.is_dir():
            yield from (str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES)
        elif glob.has_magic(argument) and not path.exists():
            yield from _some(argument, sorted(p for p in glob.iglob(argument, recursive=True) if Path(p).is_file()))
        else:
            yield argument


def _some(pattern: str, names: list[str]) -> list[str]:
    if not names:
        raise MissingError(f"no file matches {pattern}")
    return names


def _expand_url(argument: str) -> Iterator[str]:
    scheme, path, query = _split(argument)
    is_folder = path.endswith("/")
    if not is_folder and not glob.has_magic(path):
        yield argument
        return
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper

        names = ArrowFSWrapper(_filesystem(argument)).glob(f"{path}**" if is_folder else path)
    except ImportError as error:
        raise _needs_parquet(argument, error) from error
    except OSError as error:
        raise MissingError(f"{argument} cannot be listed: {' '.join(str(error).split())}") from error
    if is_folder:
        names = [name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    yield from (f"{scheme}://{name}{query}" for name in _some(argument, sorted(names)))


def _split(url: str) -> tuple[str, str, str]:
    """Return scheme, bucket with path, and the query with its question mark."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise UsageError(
            f"{url} cannot be read: names are files, or begin with {', '.join(s + '://' for s in SCHEMES)}"
        )
    path, mark, query = rest.partition("?")
    return scheme, path, mark + query


def _filesystem(url: str) -> FileSystem:
    scheme, path, query = _split(url)
    return _open_filesystem(f"{scheme}://{path.partition('/')[0]}{'' if path.partition('/')[0] else '/'}{query}")


@functools.cache  # a client for each file would take longer than the file
def _open_filesystem(root: str) -> FileSystem:
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(root)[0]


def _needs_parquet(url: str, error: ImportError) -> MissingError:
    return MissingError(f"{url} needs pyarrow and fsspec ({error}); {install_command('parquet')}")


@contextlib.contextmanager
def local_file(name: str) -> Iterator[str]:
    """Yield the path of a file with the content of `name`: a temporary file for an object in a store."""
    if not remote.is_url(name):
        yield name
        return
    with tempfile.NamedTemporaryFile(suffix=PurePosixPath(_split(name)[1]).suffix) as file:
        file.write(_read(name))
        file.flush()
        try:
            yield file.name
        except DataError as error:
            raise DataError(str(error).replace(file.name, name), error.exit_code) from error


def _read(url: str) -> bytes:
    path = _split(url)[1]
    try:
        with _filesystem(url).open_input_file(path) as file:
            if file.size() > LARGEST_FILE:
                raise DataError(f"{url} has {file.size() / 1e6:,.0f} MB; larger files than {LARGEST_FILE / 1e6:,.0f} "
                                "MB are not read")  # fmt: skip
            return file.read()
    except ImportError as error:
        raise _needs_parquet(url, error) from error
    except FileNotFoundError as error:
        raise DataError(f"there is no file {url}", MISSING) from error
    except OSError as error:
        raise DataError(f"{url} cannot be read ({' '.join(str(error).split())})") from error
