"""Read the contents of an ONNX file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from export.artifacts import Description, Port, Signature

RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def read(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer.

    Raises:
        ImportError: If the onnx package is not installed.
    """
    import onnx

    model = onnx.load(description.path, load_external_data=False)
    description.producer = {model.producer_name or "unknown": model.producer_version}
    nodes = list(_nodes(model.graph))
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
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in weights.values()):
        description.risks.append("its weights are in external files at paths of its choice")


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _ports(values: Any) -> tuple[Port, ...]:
    import onnx

    def port(value: Any) -> Port:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        dims = kind.shape.dim if kind.HasField("shape") else None
        shape = None if dims is None else tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        return Port(value.name, "string" if np.dtype(dtype).kind == "O" else np.dtype(dtype).name, shape)

    return tuple(map(port, values))
