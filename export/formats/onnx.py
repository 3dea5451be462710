"""ONNX by tf2onnx: optional, written on request. A graph is one function, so it carries one endpoint.

Its quantised form has integer weights and pairs of QuantizeLinear and DequantizeLinear, by onnxruntime's quantizer.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract, Endpoint
from export.contract.quantization import Budget, QuantizedForm, calibration_of
from export.formats.format import Description, Format, Port, Signature
from export.formats.saved_model import save
from export.protocol.calls import one_line
from export.runtime import process
from zoobase.errors import Unsupported
from zoobase.requirements import install_command

OPSET = 18  # the largest that tf2onnx 1.17 writes
SCRATCH = ".onnx-work"  # in the staging folder; `formats.remove_scratch` removes it
EXTERNAL = 1  # of TensorProto.DataLocation
QUANTIZATIONS = (QuantizedForm("qdq", "int8", "int8", Budget(15.0, 0.95), ("tf2onnx", "onnx", "onnxruntime"), "onnx"),)
BATCH = 32  # rows of a call of the calibration
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
    scratch = folder / SCRATCH / FORMAT.name
    job = _job(model, endpoint, scratch, folder / artifact.path)
    artifact.finish = lambda: _convert(artifact, job, scratch)
    return artifact


def write_quantized(
    model: Any,
    contract: Contract,
    folder: Path,
    quantization: QuantizedForm,
    calibration: Mapping[str, np.ndarray] | None,
    keep_float: int = 0,
) -> Artifact:
    """Prepare `onnx/NAME.onnx`; arguments and errors as those of TFLite, but no operators stay float."""
    endpoint = next(iter(contract.carried_by(FORMAT.name)), None)
    if endpoint is None or not (rows := calibration_of((endpoint,), calibration)):
        raise Unsupported(f"no endpoint of the contract is carried by ONNX {quantization.name}")
    path, scratch = f"onnx/{quantization.name}.onnx", folder / SCRATCH / quantization.name
    artifact = Artifact(FORMAT.name, path, (endpoint.name,), batch=endpoint.batch, quantize=quantization.name)
    job = _job(model, endpoint, scratch, scratch / "float.onnx")
    np.savez(scratch / "rows.npz", allow_pickle=False, **rows[endpoint.name])
    work = {"out": str(folder / path), "float": job["out"], "calibration": str(scratch / "rows.npz")}
    work["batch"] = endpoint.batch or BATCH

    def finish() -> None:
        (folder / path).parent.mkdir(exist_ok=True)
        _convert(artifact, job, scratch)
        if artifact.state is None:
            report, problem = process.run_job(
                "jobs/quantize_onnx.py", work, scratch, reads=[scratch], writes=[(folder / path).parent]
            )
            artifact.producer = {**artifact.producer, **(report or {"versions": {}})["versions"]}
            if problem or report["error"]:
                problem = problem or f"failed: {report['error']}"
                artifact.state, artifact.reason = "fail", f"onnxruntime's quantizer {problem}"
                (folder / path).unlink(missing_ok=True)

    artifact.finish = finish
    return artifact


def _job(model: Any, endpoint: Endpoint, scratch: Path, out: Path) -> dict[str, Any]:
    """Write the SavedModel that is converted to a new scratch folder; return the job that converts it."""
    scratch.mkdir(parents=True)
    save(model, [endpoint], scratch / "saved_model")
    folder = str(scratch / "saved_model")
    return {"saved_model": folder, "out": str(out), "signature": endpoint.name, "opset": OPSET}


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
        out.unlink(missing_ok=True)


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is an ONNX file, which has no mark of its own."""
    return path.suffix == FORMAT.extension


def describe(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer."""
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
    """Return the names of all tensors with values in other files, wherever a model has them."""
    # Weights, constants, attributes, branches, loops, functions, training: a tensor of any message is read.
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


def contradiction(path: Path, contract: Contract) -> str | None:
    """Return why a file is not one of a bundle, as a clause: its values lie elsewhere; None if it is, or unreadable."""
    if importlib.util.find_spec("onnx") is None:
        return None
    description = Description(path, FORMAT.name, 0)
    try:
        describe(description)
    except Exception as error:  # a damaged file may raise anything
        return f"it cannot be read ({one_line(error)[:200]})"
    return next(iter(description.risks), None)


FORMAT = Format(
    *("onnx", ".onnx", write, matches, describe),
    contradiction=contradiction,
    is_default=False,
    has_strings=False,
    quantizations=QUANTIZATIONS,
    write_quantized=write_quantized,
)
