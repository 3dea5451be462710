"""Programs of `torch.export`, a .pt2 file: read as a reference or candidate of a comparison, never written.

Loading such a file with PyTorch (2.9) unpickles its example inputs, which executes what is in them. Here its graph and
its weights are read from JSON and raw bytes; the runner gives PyTorch a copy without the example inputs.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.format import Description, Format, Port, Signature
from zoobase.errors import ExportError

GRAPH, WEIGHTS, CONSTANTS = "models/model.json", "data/weights/", "data/constants/"
DTYPES = {  # of torch._export.serde.schema.ScalarType
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"},
    12: "bool",
}
LARGEST = 2**28  # bytes of a JSON file


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is such a program."""
    return path.suffix == FORMAT.extension and head.startswith(b"PK")


def describe(description: Description) -> None:
    """Fill in the signature, operators, parameters, producer and risks."""
    with zipfile.ZipFile(description.path) as archive:
        members = {name.partition("/")[2]: name for name in archive.namelist()}
        if GRAPH not in members:
            raise ExportError(f"{description.path} has no {GRAPH}; PyTorch 2.9 and later write it")
        program = _json(archive, members[GRAPH])
        entries = _entries(archive, members)
    graph = program["graph_module"]["graph"]
    description.producer = {"torch": str(program.get("torch_version", "unknown"))}
    description.operations = dict(sorted(Counter(node["target"] for node in graph["nodes"]).items()))
    description.flagged = {
        "flex": [],
        "custom": sorted(name for name in description.operations if not name.startswith(("torch.ops.aten.", "_"))),
        "random": sorted(name for name in description.operations if ".rand" in name or "dropout" in name),
        "stateful": [],
    }
    description.signatures = (_signature(program["graph_module"]),)
    tensors = [entry for entry in entries.values() if entry["tensor_meta"]]
    description.parameters = sum(int(np.prod(_sizes(entry["tensor_meta"]))) for entry in tensors if entry["is_param"])
    if pickled := [name for name, entry in entries.items() if entry["use_pickle"] or not entry["tensor_meta"]]:
        description.risks.append(f"{pickled[0]} is a pickle, which executes the code in it when it is read")


def weights(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, array) of the parameters and buffers that NumPy can hold."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: name for name in archive.namelist()}
        for name, entry in _entries(archive, members, (WEIGHTS,)).items():
            meta = entry["tensor_meta"]
            if entry["use_pickle"] or meta["dtype"] not in DTYPES:
                continue
            values = np.frombuffer(archive.read(members[WEIGHTS + entry["path_name"]]), DTYPES[meta["dtype"]])
            sizes, strides = _sizes(meta), [int(stride["as_int"]) for stride in meta["strides"]]
            offset = int(meta["storage_offset"]["as_int"])
            if values.size <= offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)):
                raise ExportError(f"{path}: weight {name} is larger than its values")
            bytes_of = [stride * values.itemsize for stride in strides]
            yield name, np.lib.stride_tricks.as_strided(values[offset:], sizes, bytes_of, writeable=False)


def _entries(
    archive: zipfile.ZipFile, members: Mapping[str, str], folders: Sequence[str] = (WEIGHTS, CONSTANTS)
) -> dict[str, dict[str, Any]]:
    """Return {name: how it is stored} of weights and constants."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        name = f"{folder}model_{folder.split('/')[1]}_config.json"
        found |= _json(archive, members[name])["config"] if name in members else {}
    return found


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > LARGEST:
        raise ExportError(f"{name} of {archive.filename} has more than {LARGEST:,} bytes")
    return json.loads(archive.read(name))


def _signature(module: Mapping[str, Any]) -> Signature:
    values = module["graph"]["tensor_values"]

    def ports(specs: Sequence[Mapping[str, Any]], kind: str) -> list[Port]:
        arguments = [spec[kind]["arg"] for spec in specs if kind in spec]
        if any("as_tensor" not in argument for argument in arguments):
            raise ExportError("it takes or returns what is no tensor")
        return [_port(argument["as_tensor"]["name"], values) for argument in arguments]

    inputs = ports(module["signature"]["input_specs"], "user_input")
    outputs = ports(module["signature"]["output_specs"], "user_output")
    spec = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])[1]
    if spec["type"] == "builtins.dict" and all(child["type"] is None for child in spec["children_spec"]):
        names = json.loads(spec["context"])
        outputs = [Port(str(name), port.dtype, port.shape) for name, port in zip(names, outputs, strict=True)]
    return Signature("", tuple(inputs), tuple(outputs))


def _port(name: str, values: Mapping[str, Any]) -> Port:
    meta = values[name]
    if meta["dtype"] not in DTYPES:
        raise ExportError(f"{name} has a dtype that NumPy does not have")
    return Port(name, DTYPES[meta["dtype"]], tuple(size.get("as_int") for size in meta["sizes"]))


def _sizes(meta: Mapping[str, Any]) -> list[int]:
    return [int(size["as_int"]) for size in meta["sizes"]]


FORMAT = Format("torch", ".pt2", None, matches, describe, is_default=False, has_strings=False, is_drawn=False)
