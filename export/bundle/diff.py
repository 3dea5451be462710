"""The differences between two bundles: weights, contract, labels, metrics, sizes."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import layout
from export.formats import hdf5, keras, weights
from export.protocol.arrays import check_archive, check_inflation
from export.protocol.calls import one_line
from zoobase.errors import CheckFailed, ExportError
from zoobase.hdf5 import open_hdf5

WEIGHTS = tuple(format.FORMAT.files[0] for format in (weights, keras, hdf5))  # in order of preference


def diff(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Return the changes from one bundle to another: {section: messages}, without equal sections."""
    folders = [Path(one), Path(other)]
    for folder in folders:
        if damage := layout.find_damage(folder):
            raise CheckFailed(f"{folder} is damaged ({damage[0]}); its differences would be meaningless")
    manifests = [layout.read_manifest(folder) for folder in folders]
    formats = (
        {a["path"] if a["state"] is None else a["format"]: a["state"] or "written" for a in m["artifacts"]}
        for m in manifests
    )
    changes = {
        "verdict": list(_values(*({"verdict": layout.read_verdict(folder)} for folder in folders))),
        "formats": list(_values(*formats)),
        "contract": list(_values(*(dict(_facts(m["contract"])) for m in manifests))),
        "labels": list(_labels(*(m["contract"]["labels"] for m in manifests))),
        "metrics": list(_values(*(m.get("metrics", {}) for m in manifests))),
        "weights": list(_weights(*folders)),
        "sizes": list(_sizes(*map(_bytes, manifests))),
        "producer": list(_values(*(m["producer"] for m in manifests))),
    }
    return {section: messages for section, messages in changes.items() if messages}


def _values(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each key whose value changed."""
    for key in dict.fromkeys([*one, *other]):
        if key not in one:
            yield f"{key} added: {other[key]}"
        elif key not in other:
            yield f"{key} removed: {one[key]}"
        elif one[key] != other[key]:
            change = ""
            if all(isinstance(v[key], (int, float)) and not isinstance(v[key], bool) for v in (one, other)):
                change = f" ({other[key] - one[key]:+.4g})"
            yield f"{key}: {one[key]} -> {other[key]}{change}"


def _facts(contract: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for endpoint in contract["endpoints"]:
        name = endpoint["name"]
        yield f"{name}, batch", endpoint["batch"]
        yield f"{name}, formats", ", ".join(endpoint["formats"])
        for kind in ("inputs", "outputs"):
            for tensor in endpoint[kind]:
                facts = {key: value for key, value in tensor.items() if key != "name" and value is not None}
                yield f"{name}, {kind.removesuffix('s')} {tensor['name']}", facts


def _labels(one: list[str] | None, other: list[str] | None) -> Iterator[str]:
    if one == other:
        return
    one, other = one or [], other or []
    if sorted(one) == sorted(other):
        moved = sum(a != b for a, b in zip(one, other, strict=True))
        yield f"the same {len(one)} labels in another order: {moved} moved"
        return
    yield from (f"{label} added" for label in other if label not in one)
    yield from (f"{label} removed" for label in one if label not in other)


def _weights(one: Path, other: Path) -> Iterator[str]:
    for name in WEIGHTS:
        if (one / name).exists() and (other / name).exists():
            try:
                yield from _arrays(_read(one / name), _read(other / name))
            except ExportError:
                raise
            except Exception as error:  # files of others may hold anything
                raise ExportError(f"the weights in {name} cannot be compared ({one_line(error)})") from error
            return
    yield "the two have no Keras file in common, so that weights cannot be compared"


def _read(path: Path) -> dict[str, np.ndarray]:
    import h5py

    source: Path | bytes = path
    if path.suffix == keras.FORMAT.extension:
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            source = archive.read("model.weights.h5")
    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            check_inflation(path, item.nbytes)
            arrays[name] = item[()]

    with open_hdf5(source, path) as file:
        file.visititems(visit)
    return arrays


def _arrays(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> Iterator[str]:
    yield from (f"{name} added, {other[name].shape}" for name in other if name not in one)
    yield from (f"{name} removed, {one[name].shape}" for name in one if name not in other)
    for name in (n for n in one if n in other):
        a, b = np.asarray(one[name]), np.asarray(other[name])
        if a.shape != b.shape:
            yield f"{name}: {a.shape} -> {b.shape}"
        elif a.dtype != b.dtype:
            yield f"{name}: {a.dtype} -> {b.dtype}"
        elif not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            yield f"{name}: {_change(a, b)}"


def _change(a: np.ndarray, b: np.ndarray) -> str:
    if a.dtype.kind not in "fiu":
        return "other values"
    original, change = a.astype(np.float64), b.astype(np.float64) - a.astype(np.float64)
    relative = np.linalg.norm(change) / (np.linalg.norm(original) or 1.0)
    largest = np.max(np.abs(change))
    return f"{int(np.sum(a != b))} of {a.size} values, by at most {largest:.3g}, {relative:.2%} of its norm"


def _bytes(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the bytes of each artifact, by format: its own files only."""
    return {
        a["format"]: sum(
            entry["bytes"] for name, entry in manifest["files"].items() if f"{name}/".startswith(f"{a['path']}/")
        )
        for a in manifest["artifacts"]
        if a["state"] is None
    }


def _sizes(one: Mapping[str, int], other: Mapping[str, int]) -> Iterator[str]:
    for format in (f for f in one if f in other and one[f] != other[f]):
        yield f"{format}: {one[format]:,} -> {other[format]:,} bytes ({other[format] / one[format] - 1:+.1%})"
