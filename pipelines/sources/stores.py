"""Object stores such as s3://BUCKET, by fsspec: every error is one sentence."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoobase.errors import FAILED, MISSING, USAGE, DataError


@contextlib.contextmanager
def opened(url: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URL and the path in it."""
    import fsspec
    from fsspec.registry import known_implementations

    try:
        yield fsspec.url_to_fs(url)
    except DataError:
        raise
    except ImportError as error:
        hint = known_implementations.get(url.partition("://")[0], {}).get("err", error)
        raise DataError(f"{url} cannot be read: {hint}", MISSING) from error
    except ValueError as error:
        raise DataError(f"{url} cannot be read: {error}", USAGE) from error
    except Exception as error:  # each store has errors of its own
        code = MISSING if isinstance(error, OSError) else FAILED
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(f"{url} cannot be read ({reason})", code) from error


def download(url: str, target: Path, largest: int | None = None) -> None:
    """Copy an object to a file; DataError if it has more than `largest` bytes."""
    with opened(url) as (store, path):
        if largest is not None and (size := store.size(path)) > largest:
            size, most = f"{size / 1e6:,.0f}", f"{largest / 1e6:,.0f}"
            raise DataError(f"{url} has {size} MB; larger files than {most} MB are not read")
        with store.open(path, "rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
