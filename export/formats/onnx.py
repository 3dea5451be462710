"""ONNX by tf2onnx: optional, written on request. A graph is one function, so it carries one endpoint."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract
from export.formats.format import Description, Format, Port, Signature
from export.formats.saved_model import save
from export.runtime import process
from zoobase.requirements import install_command

OPSET = 18  # the largest that tf2onnx 1.17 writes
SCRATCH = ".onnx-work"  # in the staging folder; the exporter removes it
EXTERNAL = 1  # of TensorProto.DataLocation
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Prepare `onnx/model.onnx`; the conversion runs in a process of its own when the artifact is finished."""
    endpoint = contract.carried_by(FORMAT.name)[0]
    artifact = Artifact(FORMAT.name, "onnx/model.onnx", (endpoint.name,), batch=endpoint.batch)
    missing = [name for name in ("tf2onnx", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        artifact.state, artifact.reason = "not_run", f"{' and '.join(missing)} not installed; {install_command('onnx')}"
        return artifact
    scratch = folder / SCRATCH
    scratch.mkdir()
    save(model, [endpoint], scratch / "saved_model")
    job = {
        "saved_model": str(scratch / "saved_model"),
        "out": str(folder / artifact.path),
        "signature": endpoint.name,
        "opset": OPSET,
    }
    artifact.finish = lambda: _convert(artifact, job, scratch)
    return artifact


def _convert(artifact: Artifact, job: dict[str, Any], scratch: Path) -> None:
    report, problem = process.run_job("jobs/convert_onnx.py", job, scratch, writes=[Path(job["out"]).parent])
    report, out = report or {"error": None, "unknown": [], "versions": {}}, Path(job["out"])
    artifact.producer = report["versions"]
    if report["unknown"]:
        artifact.state, artifact.reason = "unsupported", f"no ONNX operator for {', '.join(report['unknown'])}"
    elif problem or report["error"] or not out.exists():
        problem = f"failed: {report['error']}" if report["error"] else problem or "wrote no file"
        artifact.state, artifact.reason = "fail", f"the converter {problem}"
    if artifact.state:
        shutil.rmtree(out.parent, ignore_errors=True)


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is an ONNX file, which has no mark of its own."""
    return path.suffix == FORMAT.extension


def describe(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer.

    Raises:
        ImportError: If the onnx package is not installed.
    """
    import onnx

    model = onnx.load(description.path, load_external_data=False)
    description.producer = {model.producer_name or "unknown": model.producer_version}
    nodes = [n for part in (model.graph, *model.functions) for n in _messages(part) if n.DESCRIPTOR.name == "NodeProto"]
    description.operations = dict(sorted(Counter(node.op_type for node in nodes).items()))
    description.flagged = {
        "flex": [],
        "custom": sorted({f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in ("", "ai.onnx", "ai.onnx.ml")}),
        "random": [op for op in description.operations if op in RANDOM],
        "stateful": [],
    }
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    description.signatures = (Signature("", _ports(inputs), _ports(model.graph.output)),)
    description.parameters = sum(int(np.prod(tensor.dims)) for tensor in weights.values())
    if names := external_tensors(model):
        description.risks.append(f"{', '.join(names[:3])} is in external files at paths of its choice")


def external_tensors(model: Any) -> list[str]:
    """Return the names of all tensors with values in other files, wherever a model has them.

    Weights, constants, attributes, branches, loops, functions, training: a tensor of any message is read.
    """
    tensors = [m for m in _messages(model) if m.DESCRIPTOR.name == "TensorProto"]
    return [t.name or "a tensor" for t in tensors if t.data_location == EXTERNAL or t.external_data]


def _messages(message: Any) -> Iterator[Any]:
    """Yield a message and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                yield from _messages(inner)


def _ports(values: Any) -> tuple[Port, ...]:
    import onnx

    def port(value: Any) -> Port:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        dims = kind.shape.dim if kind.HasField("shape") else None
        shape = None if dims is None else tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        return Port(value.name, "string" if np.dtype(dtype).kind == "O" else np.dtype(dtype).name, shape)

    return tuple(map(port, values))


FORMAT = Format("onnx", ".onnx", write, matches, describe, is_default=False, has_strings=False)
