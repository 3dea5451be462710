"""The inputs of a prediction: files, folders of images, patterns, and objects in stores."""

import contextlib
import glob
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipelines.sources import remote, stores
from pipelines.sources.storage import LARGEST_FILE
from zoobase.errors import DataError, MissingError, UsageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def names_of(arguments: Sequence[str], are_images: bool) -> list[str]:
    """Return the names of images that arguments stand for, see `expand`; texts stand for themselves."""
    names = list(expand(arguments) if are_images else arguments)
    if not names:
        raise UsageError(f"no image files in {', '.join(arguments)}" if arguments else "no inputs: name a file")
    return names


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the names of files in the order of the arguments; what a folder or a pattern stands for is sorted."""
    # A folder stands for the images below it, `photos/**/*.jpg` for what it matches; both may be at s3:// or gs://.
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
    is_folder = argument.endswith("/")
    if not is_folder and not glob.has_magic(argument):
        yield argument
        return
    with stores.opened(argument) as (store, path):
        names = store.find(path) if is_folder else store.glob(path)
        if is_folder:
            names = [name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
        names = [store.unstrip_protocol(name) for name in sorted(names)]
    yield from _some(argument, names)


@contextlib.contextmanager
def local_file(name: str) -> Iterator[str]:
    """Yield the path of a file with the content of `name`: a temporary file for an object in a store."""
    if not remote.is_url(name):
        yield name
        return
    with tempfile.NamedTemporaryFile(suffix=PurePosixPath(name).suffix) as file:
        stores.download(name, Path(file.name), LARGEST_FILE)
        try:
            yield file.name
        except DataError as error:
            raise DataError(str(error).replace(file.name, name), error.exit_code) from error
