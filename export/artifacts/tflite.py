"""Read the contents of a TFLite file, with or without signatures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from export.artifacts import Description, Port, Signature
from export.artifacts.quantized import Quantization

RANDOM = frozenset({"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"})
STATEFUL = frozenset({"VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE"})


def read(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer.

    Raises:
        ImportError: If ai-edge-litert, which contains the schema, is not installed.
    """
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
    }
    description.parameters = _parameters(model)


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


def _quantization(dtype: str, parameters: Any) -> Quantization | None:
    """Return the parameters of a tensor of integers that has one scale, else None."""
    if parameters is None or "int" not in dtype or parameters.scale is None or len(parameters.scale) != 1:
        return None
    return Quantization(dtype, float(parameters.scale[0]), int(parameters.zeroPoint[0]))


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
            if model.buffers[tensor.buffer].data is not None and tensor.shape is not None and len(tensor.shape):
                constants[tensor.buffer] = int(np.prod(tensor.shape))
    return sum(constants.values())
