"""The protocol of the runners: read golden files, run the cases, write the outputs.

Only NumPy and the standard library, because a runner must not load more than its own runtime.

A job is a JSON file:
    {"golden": folder, "results": folder, "memory": bytes or null, "modules": [names that may be imported],
     "artifacts": [{"id", "format", "path", "batch", "measure_noise", "endpoints": [endpoint as in the contract]}]}
For every artifact a runner writes `results/<id>.npz` with arrays "<endpoint>/<case>/<variant>/<output>", then
`results/<id>.json`. No JSON file means that the process died in that artifact.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.runners.lib import rest, weights
    from export.runners.lib.calls import Arrays, Function, one_line, run_endpoint
    from export.runners.lib.jobs import read_job
else:
    import rest
    import weights
    from calls import Arrays, Function, one_line, run_endpoint
    from jobs import read_job

__all__ = ["Arrays", "Function"]

INFLATED = 2**28  # bytes that a file may always inflate to
RATIO = 100  # and, beyond that, how many times its own size


def pack(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Return plain arrays: strings become bytes and offsets, because NumPy would drop trailing NULs or need pickle."""
    packed: Arrays = {}
    for key, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.kind not in "OSU":
            packed[key] = array
            continue
        items = [v.encode() if isinstance(v, str) else bytes(v) for v in array.reshape(-1)]
        packed[f"{key}#bytes"] = np.frombuffer(b"".join(items), np.uint8)
        packed[f"{key}#offsets"] = np.cumsum([0, *map(len, items)], dtype=np.int64)
        packed[f"{key}#shape"] = np.array(array.shape, np.int64)
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> Arrays:
    """Return the arrays that `pack` packed, strings as object arrays of bytes."""
    arrays: Arrays = {}
    for key in packed:
        name, _, part = key.partition("#")
        if not part:
            arrays[name] = packed[key]
        elif part == "bytes":
            data, offsets = packed[key].tobytes(), packed[f"{name}#offsets"]
            items = np.empty(len(offsets) - 1, object)
            items[:] = [data[a:b] for a, b in itertools.pairwise(offsets)]
            arrays[name] = items.reshape(packed[f"{name}#shape"])
    return arrays


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of any plain dtype, strings included, as .npz without pickle."""
    np.savez(path, allow_pickle=False, **pack(arrays))


def check_inflation(path: Path, inflated: int) -> None:
    """Raise ValueError for a file whose content would take far more memory than the file itself."""
    if inflated > max(INFLATED, RATIO * path.stat().st_size):
        raise ValueError(f"{path} would inflate to {inflated / 1e6:,.0f} MB, more than {RATIO} times its size")


def check_archive(path: Path) -> None:
    """Raise ValueError for a zip file that inflates without bound; `zipfile` reads no more than is stated."""
    with zipfile.ZipFile(path) as archive:
        check_inflation(path, sum(member.file_size for member in archive.infolist()))


def read_arrays(path: Path) -> Arrays:
    """Read arrays that `save_arrays` wrote."""
    check_archive(path)
    with np.load(path, allow_pickle=False) as stored:
        return unpack(stored)


def read_cases(golden: Path, endpoint: str) -> list[dict[str, Any]]:
    """Return the cases of an endpoint, as `cases.json` has them, with "inputs": {name: array}."""
    cases = json.loads((golden / "cases.json").read_text())[endpoint]
    arrays = read_arrays(golden / f"{endpoint}.inputs.npz")
    for case in cases:
        prefix = f"{case['name']}/"
        case["inputs"] = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
    return cases


def arrange(endpoint: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    """Return named inputs in the structure that the model's own call takes."""
    values = {t["name"]: inputs[t["name"]] for t in endpoint["inputs"]}
    if endpoint["structure"] == "dict":
        return values
    if endpoint["structure"] == "list":
        return list(values.values())
    (value,) = values.values()
    return value


def name_outputs(endpoint: Mapping[str, Any], result: Any) -> dict[str, Any]:
    """Return the result of a model's call (tensor, list, dict, or nested) under the names of the contract.

    Numbers of a dtype that NumPy lacks, bfloat16, are returned as float32, which holds each of them exactly.

    Raises:
        ValueError: If the result does not match the outputs of the contract.
    """
    names = [t["name"] for t in endpoint["outputs"]]
    values = flatten(result)
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise ValueError(
                f"endpoint {endpoint['name']} returned {sorted(values)}, the contract declares {sorted(names)}"
            )
        return {name: widened(values[name]) for name in names}
    if len(values) != len(names):
        raise ValueError(f"endpoint {endpoint['name']} returned {len(values)} outputs, the contract declares {names}")
    return dict(zip(names, map(widened, values), strict=True))


def widened(value: Any) -> Any:
    """Return a bfloat16 tensor of TensorFlow as float32; any other value as it is."""
    if "bfloat16" not in str(getattr(value, "dtype", "")):
        return value
    import tensorflow as tf  # it is loaded, since this is a tensor of it

    return tf.cast(value, tf.float32)


def flatten(result: Any) -> dict[str, Any] | list[Any]:
    """Return the tensors of a model's result: by name if it has names or is nested, else in order.

    The name of a nested output is its path, such as `head_boxes` for {"head": {"boxes": ...}}.
    """
    containers = (Mapping, list, tuple)
    if isinstance(result, (list, tuple)) and not any(isinstance(value, containers) for value in result):
        return list(result)
    return dict(_paths(result, "")) if isinstance(result, containers) else [result]


def _paths(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        items = [(identifier(str(key)), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(f"{'' if path else 'output_'}{i + 1}", item) for i, item in enumerate(value)]
    else:
        yield path, value
        return
    for name, item in items:
        yield from _paths(item, f"{path}_{name}" if path else name)


def identifier(name: str) -> str:
    """Return a name with everything but ASCII letters, digits and underscores replaced by an underscore."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def local_modules(before: set[str]) -> list[str]:
    """Return the top-level modules loaded since `before` that are not from Python, site-packages or the runner."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    folders = [os.path.realpath(path) + os.sep for path in [*folders, os.path.dirname(os.path.dirname(__file__))]]
    names = set()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if name.startswith("__autograph_generated_file"):  # TensorFlow's form of a function whose module counts itself
            continue
        if file and not os.path.realpath(file).startswith(tuple(folders)):
            names.add(name.partition(".")[0])
    return sorted(names)


def import_modules(names: list[str]) -> str | None:
    """Import the modules that define a model's classes; return why one cannot be imported, or None."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            return f"{name} cannot be imported ({one_line(error)})"
    return None


def main(
    open_artifact: Callable[..., dict[str, dict[str, Function]]],
    versions: Callable[[], dict[str, str]],
    check: Callable[..., list[str]] | None = None,
    serves: bool = False,
    constants: Callable[..., Iterable[tuple[str, np.ndarray]] | None] | None = None,
    exact: bool = True,
) -> None:
    """Run the job given on the command line with this runtime.

    Args:
        open_artifact: `(artifact, examples) -> {endpoint name: {"main": function, other variant: function}}`, where
            `examples` holds inputs of each endpoint, for models that must be called before they have weights. An
            extra may leave out endpoints that it cannot run.
        versions: `() -> {library: version}`.
        check: `(artifact, opened functions) -> messages`: further checks of an artifact after its cases have run.
        serves: Whether REST requests are answered too.
        constants: `(artifact, opened functions) -> (name, array) of each constant`, compared with the model's weights;
            None where they cannot be read.
        exact: Whether the artifact stores every weight as it is; see `weights.compare`.
    """
    before = set(sys.modules)
    job = read_job()
    golden, results = Path(job["golden"]), Path(job["results"])
    for artifact in job["artifacts"]:
        report = {"versions": versions(), "memory_error": False, "missing": None, "error": None}
        report |= {"errors": {}, "skipped": [], "findings": [], "replies": {}, "weights": None}
        endpoints = {endpoint["name"]: endpoint for endpoint in artifact["endpoints"]}
        arrays: Arrays = {}
        started = time.perf_counter()
        try:
            report["missing"] = import_modules(job["modules"])
            cases = {e["name"]: read_cases(golden, e["name"]) for e in artifact["endpoints"]}
            batches = {e["name"]: e["batch"] or artifact["batch"] for e in artifact["endpoints"]}
            opened = open_artifact(artifact, {name: c[0]["inputs"] for name, c in cases.items() if c})
            report["skipped"] = [name for name in cases if name not in opened]
            for name in opened:
                outputs, errors = run_endpoint(opened[name], cases[name], batches[name], artifact["measure_noise"])
                arrays |= {f"{name}/{key}": value for key, value in outputs.items()}
                report["errors"] |= {f"{name}/{key}": value for key, value in errors.items()}
                if serves:
                    report["replies"][name] = rest.replies(golden, endpoints[name], opened[name]["main"])
            report["findings"] = check(artifact, opened) if check else []
            values = constants(artifact, opened) if constants else None
            if values is not None and (expected := weights.read(golden)) is not None:
                report["weights"] = weights.compare(expected, values, exact)
        except Exception as error:
            report |= {"error": one_line(error), "memory_error": isinstance(error, MemoryError)}
        report["seconds"] = round(time.perf_counter() - started, 3)
        report["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
        report["local"] = local_modules(before)
        save_arrays(results / f"{artifact['id']}.npz", arrays)
        partial = results / f"{artifact['id']}.json.partial"
        partial.write_text(json.dumps(report))
        os.replace(partial, results / f"{artifact['id']}.json")
