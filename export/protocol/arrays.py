"""Arrays in files, and what an artifact returned: its outputs by (case, variant, output). Only NumPy."""

import itertools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

Arrays = dict[str, np.ndarray]
Key = str | tuple[str, ...]

MAIN = "main"  # the variant that is compared with the reference
INFLATED = 2**28  # bytes that a file may always inflate to
RATIO = 100  # and, beyond that, how many times its own size


@dataclass
class Outputs:
    """What one endpoint of an artifact returned, and what it raised.

    Example:
        >>> outputs = Outputs({("batch_7", "main", "logits"): np.zeros((7, 3))}, {("nan", "main"): "ValueError: NaN"})
        >>> outputs.get("batch_7", "logits").shape, outputs.error("nan")
        ((7, 3), 'ValueError: NaN')
    """

    arrays: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)  # {(case, variant, output): array}
    # {(case, variant): message} of the calls that raised
    errors: dict[tuple[str, str], str] = field(default_factory=dict)
    inapplicable: list[str] = field(default_factory=list)  # the cases whose inputs the runtime cannot be given

    def get(self, case: str, output: str, variant: str = MAIN) -> np.ndarray | None:
        """Return one array, or None if there is none."""
        return self.arrays.get((case, variant, output))

    def of(self, case: str, variant: str = MAIN) -> Arrays:
        """Return the arrays of one call by output."""
        return {output: array for (c, v, output), array in self.arrays.items() if (c, v) == (case, variant)}

    def error(self, case: str, variant: str = MAIN) -> str | None:
        """Return what one call raised, or None."""
        return self.errors.get((case, variant))

    def first_error(self) -> str | None:
        """Return what the first call that raised did, or None."""
        return next(iter(self.errors.values()), None)

    @property
    def names(self) -> list[str]:
        """The outputs that any call returned."""
        return list(dict.fromkeys(output for _, _, output in self.arrays))


def encode(key: Key) -> str:
    """Return a name as text; the parts of a tuple are quoted and joined by slashes."""
    return "/".join(quote(part, safe="") for part in ((key,) if isinstance(key, str) else key))


def decode(text: str) -> Key:
    """Return the name that `encode` wrote: a text, or a tuple of them."""
    parts = tuple(map(unquote, text.split("/")))
    return parts if len(parts) > 1 else parts[0]


def pack(arrays: Mapping[Key, np.ndarray]) -> Arrays:
    """Return plain arrays: strings become bytes and offsets, because NumPy would drop trailing NULs or need pickle."""
    packed: Arrays = {}
    for key, array in arrays.items():
        name, array = encode(key), np.asarray(array)
        if array.dtype.kind not in "OSU":
            packed[name] = array
            continue
        items = [v.encode() if isinstance(v, str) else bytes(v) for v in array.reshape(-1)]
        packed[f"{name}#bytes"] = np.frombuffer(b"".join(items), np.uint8)
        packed[f"{name}#offsets"] = np.cumsum([0, *map(len, items)], dtype=np.int64)
        packed[f"{name}#shape"] = np.array(array.shape, np.int64)
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[Key, np.ndarray]:
    """Return the arrays that `pack` packed, strings as object arrays of bytes."""
    arrays: dict[Key, np.ndarray] = {}
    for text in packed:
        name, _, part = text.partition("#")
        if not part:
            arrays[decode(name)] = packed[text]
        elif part == "bytes":
            data, offsets = packed[text].tobytes(), packed[f"{name}#offsets"]
            items = np.empty(len(offsets) - 1, object)
            items[:] = [data[a:b] for a, b in itertools.pairwise(offsets)]
            arrays[decode(name)] = items.reshape(packed[f"{name}#shape"])
    return arrays


def save_arrays(path: Path, arrays: Mapping[Key, np.ndarray]) -> None:
    """Write arrays of any plain dtype, strings included, as .npz without pickle."""
    np.savez(path, allow_pickle=False, **pack(arrays))


def read_arrays(path: Path) -> dict[Key, np.ndarray]:
    """Read arrays that `save_arrays` wrote."""
    check_archive(path)
    with np.load(path, allow_pickle=False) as stored:
        return unpack(stored)


def check_inflation(path: Path, inflated: int) -> None:
    """Raise ValueError for a file whose content would take far more memory than the file itself."""
    if inflated > max(INFLATED, RATIO * path.stat().st_size):
        raise ValueError(f"{path} would inflate to {inflated / 1e6:,.0f} MB, more than {RATIO} times its size")


def check_archive(path: Path) -> None:
    """Raise ValueError for a zip file that inflates without bound; `zipfile` reads no more than is stated."""
    with zipfile.ZipFile(path) as archive:
        check_inflation(path, sum(member.file_size for member in archive.infolist()))
