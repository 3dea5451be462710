"""TFLite with builtin operators and batch size 1, the only form that every interpreter and browser runs.

One file of float32, and one for each of its quantised forms. Inputs and outputs have the dtypes of the contract.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract, Endpoint
from export.contract.quantization import Budget, QuantizedForm, calibration_of
from export.contract.simulation import Simulation
from export.formats import tflite_metadata
from export.formats.format import Description, Format, Port, Signature, TensorQuantization
from export.formats.saved_model import save
from export.formats.tflite_branches import Branches
from export.runtime import process
from zoobase.errors import Unsupported

SELECTIVE = ("litert_quantizer",), "quantizer"  # the module that can leave operators float, and its extra
QUANTIZATIONS = (
    QuantizedForm("float16", "float16", None, Budget(40.0, 0.99)),
    QuantizedForm("dynamic", "int8", None, Budget(20.0, 0.95)),
    QuantizedForm("int8", "int8", "int8", Budget(15.0, 0.95), may_keep_float=True),
    # the converter's own 16x8 has 0.2 dB where a second signature has an operator that stays float; int4 it has none
    QuantizedForm("16x8", "int8", "int16", Budget(20.0, 0.95), *SELECTIVE),
    QuantizedForm("int4", "int4", None, Budget(10.0, 0.90), *SELECTIVE),
)
SIMULATED = "int8"  # the form that may have the ranges of a training
OF_TRAINING = "of quantization-aware training"
FLOAT = dict.fromkeys(("weights", "activations"))  # the types of a file that is not quantised
SCRATCH = ".tflite-work"  # in the staging folder; `formats.remove_scratch` removes it
RANDOM = frozenset({"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"})
STATEFUL = frozenset({"VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE"})


def path_of(quantize: str | None = None) -> str:
    """Return the path of a file in a bundle, by its precision."""
    return f"tflite/{quantize or 'float32'}.tflite"


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Prepare `tflite/float32.tflite`; the conversion runs in a process of its own when the artifact is finished."""
    return _prepare(model, contract.carried_by(FORMAT.name), folder, contract, None, {})


def write_quantized(
    model: Any,
    contract: Contract,
    folder: Path,
    quantization: QuantizedForm,
    calibration: Mapping[str, np.ndarray] | None,
    keep_float: int = 0,
    simulation: Simulation | None = None,
) -> Artifact:
    """Prepare `tflite/NAME.tflite`."""
    endpoints, rows = contract.carried_by(FORMAT.name), {}
    if simulation is not None:
        artifact = _prepare(simulation.model, endpoints, folder, simulation.contract, quantization, {}, of="simulation")
        return replace(artifact, note=OF_TRAINING)
    if quantization.is_calibrated:
        rows = calibration_of(endpoints, calibration)
        endpoints = tuple(e for e in endpoints if e.name in rows)
    if not endpoints:
        raise Unsupported(f"no endpoint of the contract is carried by TFLite {quantization.name}")
    kept = keep_float if quantization.may_keep_float else 0
    return _prepare(model, endpoints, folder, contract, quantization, rows, kept)


def _prepare(
    model: Any,
    endpoints: tuple[Endpoint, ...],
    folder: Path,
    contract: Contract,
    quantization: QuantizedForm | None,
    rows: Mapping[str, Mapping[str, np.ndarray]],
    keep_float: int = 0,
    of: str = "saved_model",
) -> Artifact:
    shared = folder / SCRATCH / of  # all precisions are converted from one
    if not shared.exists():
        save(model, contract.carried_by(FORMAT.name), shared, batch=1)
    quantize = quantization and quantization.name
    path = path_of(quantize)
    scratch = folder / SCRATCH / Path(path).stem
    scratch.mkdir()
    calibration = {}
    for endpoint, arrays in rows.items():
        file = calibration[endpoint] = scratch / f"{endpoint}.npz"
        np.savez(file, allow_pickle=False, **arrays)
    artifact = Artifact(FORMAT.name, path, tuple(e.name for e in endpoints), batch=1, quantize=quantize)
    job = {
        "saved_model": str(shared),
        "out": str(folder / path),
        "signatures": list(artifact.endpoints),
        **(quantization.types() if quantization else FLOAT),
        "calibration": {endpoint: str(file) for endpoint, file in calibration.items()},
    }
    quantized = sorted({mode for layer in model._flatten_layers() if (mode := _quantization_mode(layer))})

    def finish() -> None:
        if keep_float or (quantization and quantization.modules):
            _quantize_float_file(artifact, job, scratch, quantized, keep_float)
        else:
            _convert(artifact, job, scratch, quantized)
        if artifact.state is None:
            written = folder / path
            written.write_bytes(with_metadata(written.read_bytes(), model.name, contract))

    artifact.finish = finish
    return artifact


def with_metadata(file: bytes, name: str, contract: Contract) -> bytes:
    """Return a file that was just converted with what each tensor means, the labels and the vocabulary."""
    endpoints = _endpoints_of(file, contract)
    metadata = tflite_metadata.metadata_of(name, contract, endpoints)
    return tflite_metadata.attach(file, metadata, tflite_metadata.files_of(contract, endpoints))


def _endpoints_of(file: bytes, contract: Contract) -> list[Endpoint | None]:
    """Return the endpoint of each subgraph, with the tensors in its order; None for those that others call."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(file, 0)
    found: list[Endpoint | None] = [None] * model.SubgraphsLength()
    for signature in map(model.SignatureDefs, range(model.SignatureDefsLength())):
        endpoint, graph = contract[_text(signature.SignatureKey())], model.Subgraphs(signature.SubgraphIndex())
        ordered = {}
        for kind, maps, count, order in (
            ("inputs", signature.Inputs, signature.InputsLength(), graph.InputsAsNumpy()),
            ("outputs", signature.Outputs, signature.OutputsLength(), graph.OutputsAsNumpy()),
        ):
            places = {_text(maps(i).Name()): [*order].index(maps(i).TensorIndex()) for i in range(count)}
            ordered[kind] = tuple(sorted(getattr(endpoint, kind), key=lambda tensor: places[tensor.name]))
        found[signature.SubgraphIndex()] = replace(endpoint, **ordered)
    return found


def _quantization_mode(layer: Any) -> str | None:
    """Return the mode that `model.quantize` gave a layer, or None."""
    return getattr(layer, "quantization_mode", None) or getattr(layer.dtype_policy, "quantization_mode", None)


def _quantize_float_file(
    artifact: Artifact, job: Mapping[str, Any], scratch: Path, quantized: Sequence[str], keep_float: int
) -> None:
    """Convert to float, and quantise that file by litert-quantizer: all operators but those that lose most."""
    exact = str(scratch / "float.tflite")
    _convert(artifact, {**job, **FLOAT, "calibration": {}, "out": exact}, scratch, quantized)
    if artifact.state:
        return
    work = {name: job[name] for name in ("out", "calibration", *FLOAT)} | {"float": exact, "keep_float": keep_float}
    report, problem = process.run_job("jobs/quantize_tflite.py", work, scratch, writes=[Path(job["out"]).parent])
    if report is None:
        artifact.state, artifact.reason = "fail", f"litert-quantizer {problem}"
        Path(job["out"]).unlink(missing_ok=True)
    else:
        artifact.producer, artifact.note = {**artifact.producer, **report["versions"]}, report["note"]


def _convert(artifact: Artifact, job: Mapping[str, Any], scratch: Path, quantized: Sequence[str] = ()) -> None:
    report, problem = process.run_job(
        "jobs/convert_tflite.py", job, scratch, "keras", reads=[scratch.parent], writes=[Path(job["out"]).parent]
    )
    if report is None:
        artifact.state, artifact.reason = "fail", f"the converter {problem}"
    else:
        artifact.producer, artifact.note = report["versions"], report["note"]
        if report["flex"]:
            artifact.state = "unsupported"
            artifact.reason = f"no builtin TFLite operator for {', '.join(report['flex'])}, and no interpreter has Flex"
        elif report["error"] and quantized:
            artifact.state = "unsupported"
            artifact.reason = (
                f"the converter has no operator for layers of model.quantize({quantized[0]!r}); quantise the float "
                f"model with quantize= instead ({report['error'][:120]})"
            )
        elif report["error"]:  # whatever its words are: a failure only where the format was asked for
            artifact.state, artifact.reason = "unsupported", f"the converter refuses the model: {report['error']}"
    if artifact.state:
        Path(job["out"]).unlink(missing_ok=True)


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is a TFLite file."""
    return head[4:8] == b"TFL3"


def describe(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(description.path.read_bytes(), 0))
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    description.producer = {"description": _text(model.description)} if model.description else {}
    description.producer |= dict(_metadata(model))
    description.signatures = tuple(_signatures(model, types))
    codes = [_code(code, names) for code in model.operatorCodes or []]
    used = Counter(codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators or [])
    description.operations = dict(sorted(used.items()))
    custom = {code for code, entry in zip(codes, model.operatorCodes or [], strict=True) if entry.customCode}
    description.flagged = {
        "flex": [op for op in used if op in custom and op.startswith("Flex")],
        "custom": [op for op in used if op in custom and not op.startswith("Flex")],
        "random": [op for op in used if op in RANDOM or "Random" in op],
        "stateful": [op for op in used if op in STATEFUL]
        + [_text(t.name) for g in model.subgraphs for t in g.tensors if t.isVariable],
        "branches": sorted({*Branches(model, codes).found.values()}),
    }
    description.parameters = _parameters(model)


def integer_tensors(file: bytes, signature: str) -> tuple[dict[str, TensorQuantization], dict[str, TensorQuantization]]:
    """Return the parameters of the tensors of integers of a signature."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    entry = next(s for s in model.signatureDefs if _text(s.signatureKey) == signature)
    graph = model.subgraphs[entry.subgraphIndex]
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    codes = [code.builtinCode for code in model.operatorCodes]

    def parameters(index: int) -> TensorQuantization | None:
        tensor = graph.tensors[index]
        return _quantization(types[tensor.type], tensor.quantization)

    results = {_text(graph.tensors[i].name): found for i in makers if (found := parameters(i))}
    outputs = {}
    for output in entry.outputs:
        index, operator = output.tensorIndex, makers.get(output.tensorIndex)
        is_last = operator and codes[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
        if found := parameters(operator.inputs[0] if is_last else index):
            outputs[_text(output.name)] = found
    return results, outputs


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _code(code: Any, names: dict[int, str]) -> str:
    if code.customCode:
        return _text(code.customCode)
    number = max(code.builtinCode, code.deprecatedBuiltinCode)  # files from before 2020 have only the second
    return names.get(number, f"builtin {number}")


def _signatures(model: Any, types: dict[int, str]) -> Iterator[Signature]:
    def port(graph: Any, name: Any, index: int) -> Port:
        tensor = graph.tensors[index]
        sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
        shape = None if sizes is None else tuple(None if s < 0 else int(s) for s in sizes)
        dtype = types[tensor.type]
        return Port(
            _text(tensor.name if name is None else name), dtype, shape, _quantization(dtype, tensor.quantization)
        )

    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        ports = [
            tuple(port(graph, entry.name, entry.tensorIndex) for entry in entries or [])
            for entries in (signature.inputs, signature.outputs)
        ]
        yield Signature(_text(signature.signatureKey), *ports)
    if not model.signatureDefs:
        graph = model.subgraphs[0]
        yield Signature(
            "", *(tuple(port(graph, None, i) for i in entries) for entries in (graph.inputs, graph.outputs))
        )


def _quantization(dtype: str, parameters: Any) -> TensorQuantization | None:
    """Return the parameters of a tensor of integers that has one scale, else None."""
    if parameters is None or "int" not in dtype or parameters.scale is None or len(parameters.scale) != 1:
        return None
    return TensorQuantization(dtype, float(parameters.scale[0]), int(parameters.zeroPoint[0]))


def _metadata(model: Any) -> Iterator[tuple[str, str]]:
    for entry in model.metadata or []:
        data = model.buffers[entry.buffer].data
        if _text(entry.name) == "min_runtime_version" and data is not None:
            yield "min_runtime_version", re.sub(r"[^\x20-\x7e]", "", bytes(data).decode("latin-1"))


def _parameters(model: Any) -> int:
    """Return the number of elements of all constant tensors that are not scalars."""
    constants = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            buffer = model.buffers[tensor.buffer]
            if (buffer.data is not None or buffer.size) and tensor.shape is not None and len(tensor.shape):
                constants[tensor.buffer] = int(np.prod(tensor.shape))
    return sum(constants.values())


def contradiction(path: Path, contract: Contract) -> str | None:
    """Return how the metadata of a file differ from the contract, as a clause; None if they do not."""
    file = path.read_bytes()
    attached = tflite_metadata.read(file)
    if attached is None:
        return "it has no metadata"
    try:
        endpoints = _endpoints_of(file, contract)
    except Exception as error:  # the file may be damaged
        return f"its signatures cannot be read ({type(error).__name__})"
    if endpoints[:1] == [None]:
        return "its first subgraph, which Interpreter.invoke() runs, is that of no signature"
    return tflite_metadata.difference(path, attached, contract, endpoints)


FORMAT = Format(
    *("tflite", ".tflite", write, matches, describe),
    has_strings=False,
    holds_graph=True,
    contradiction=contradiction,
    quantizations=QUANTIZATIONS,
    write_quantized=write_quantized,
)
